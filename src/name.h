/*
 * name.h
 *		What services, tariffs, payment methods and units are called, by language.
 */
#ifndef KBILLING_NAME_H
#define KBILLING_NAME_H

#include "postgres.h"

/*
 * The name of a code, palloc'd: a service's own in the language or its first part,
 * the built-in one, that in its row, or the code.
 */
extern char *name_of(const char *subject, const char *code, const char *language);

#endif
