/*
 * args.h
 *		Arguments of an SQL function that may be NULL, or must not.
 */
#ifndef KBILLING_ARGS_H
#define KBILLING_ARGS_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/builtins.h"

/* A text as a C string; NULL for SQL NULL. */
static inline char *
arg_cstring(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* The label of an enum that is not NULL. */
static inline char *
arg_enum_label(FunctionCallInfo fcinfo, int n)
{
	return DatumGetCString(DirectFunctionCall1(enum_out, PG_GETARG_DATUM(n)));
}

/* Error 22004 if the argument, which has this name in SQL, is NULL. */
static inline void
arg_required(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

#endif
