/*
 * utf8.h
 *		Texts of the database in UTF-8, and back.
 *
 * ASCII is left alone: it is the same in every encoding, also in one that the
 * server cannot convert (MULE_INTERNAL).
 */
#ifndef KBILLING_UTF8_H
#define KBILLING_UTF8_H

#include "postgres.h"

#include "common/string.h"
#include "mb/pg_wchar.h"

/* A string of the database in UTF-8, which may be the string itself */
static inline const char *
server_to_utf8(const char *s)
{
	return GetDatabaseEncoding() == PG_UTF8 || pg_is_ascii(s) ? s : pg_server_to_any(s, strlen(s), PG_UTF8);
}

/* A string in UTF-8 as one of the database, which may be the string itself */
static inline char *
utf8_to_server(char *s)
{
	return pg_is_ascii(s) ? s : pg_any_to_server(s, strlen(s), PG_UTF8);
}

#endif
