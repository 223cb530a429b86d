/*
 * compat.h
 *		Everything that differs between PostgreSQL 15 and 18, in one place.
 */
#ifndef KBILLING_COMPAT_H
#define KBILLING_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "kbilling needs PostgreSQL 15 or later"
#endif

#ifndef USE_FLOAT8_BYVAL
#error "kbilling needs a 64-bit server: kb_money is passed by value in 8 bytes"
#endif

#ifndef HAVE_INT128
#error "kbilling needs a compiler with 128-bit integers: sums are made in them"
#endif

/* Soft errors came with 16; before it an input function just raises. */
#if PG_VERSION_NUM < 160000
#define ereturn(escontext, dummy, ...) \
	do { (void) (escontext); ereport(ERROR, __VA_ARGS__); } while (0)
#define KB_ESCONTEXT(fcinfo) NULL
#else
#define KB_ESCONTEXT(fcinfo) ((fcinfo)->context)
#endif

#endif
