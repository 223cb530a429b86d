/*
 * conninfo.c
 *		Where a shard is: a connection string as libpq reads it.
 *
 * Servers show their options to everyone, so what opens a shard, user and
 * password, belongs in user mappings.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "utils/builtins.h"

/* Dates and intervals come as texts that mean the same on every node. */
#define PLAIN_TEXTS "-c DateStyle=ISO -c IntervalStyle=postgres"

/* What the string says, in memory that libpq frees; error 22023 if it is none */
static PQconninfoOption *
parse_conninfo(const char *conninfo)
{
	char	   *message = NULL;
	PQconninfoOption *options = PQconninfoParse(conninfo, &message);
	char	   *copy;

	if (options != NULL)
		return options;
	copy = message ? pstrdup(message) : "out of memory";
	PQfreemem(message);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("not a connection string: %s", pchomp(copy)),
			 errhint("Write it as libpq reads it, such as \"host=shard1 dbname=billing\".")));
}

/* The value of an option, or NULL if it is not given */
static const char *
option_value(const PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword != NULL; options++)
		if (strcmp(options->keyword, keyword) == 0)
			return options->val;
	return NULL;
}

/* An option that belongs in a user mapping, or NULL; libpq does not show what has an asterisk */
static const char *
find_secret(const PQconninfoOption *options)
{
	for (; options->keyword != NULL; options++)
		if (options->val != NULL && (strcmp(options->keyword, "user") == 0 || options->dispchar[0] == '*'))
			return options->keyword;
	return NULL;
}

/* kb_is_conninfo(conninfo) */
PG_FUNCTION_INFO_V1(kb_is_conninfo);
Datum
kb_is_conninfo(PG_FUNCTION_ARGS)
{
	PQconninfoOption *options = parse_conninfo(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	const char *secret = find_secret(options);
	bool		has_dbname = option_value(options, "dbname") != NULL;
	char	   *keyword = secret ? pstrdup(secret) : NULL;

	PQconninfoFree(options);
	if (keyword != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the connection string of a shard must not have \"%s\"", keyword),
				 errdetail("Every role can read it."),
				 errhint("Leave it out, and name user and password in CREATE USER MAPPING ... SERVER kbilling_shards.")));
	if (!has_dbname)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the connection string of a shard must have \"dbname\""),
				 errhint("Write it as libpq reads it, such as \"host=shard1 dbname=billing\".")));
	PG_RETURN_BOOL(true);
}

/* Add an option as libpq reads it */
static void
append_option(StringInfo str, const char *keyword, const char *value)
{
	appendStringInfo(str, "%s%s='", str->len > 0 ? " " : "", keyword);
	for (; *value != '\0'; value++)
	{
		if (*value == '\'' || *value == '\\')
			appendStringInfoChar(str, '\\');
		appendStringInfoChar(str, *value);
	}
	appendStringInfoChar(str, '\'');
}

/* kb_proxy_conninfo(conninfo) */
PG_FUNCTION_INFO_V1(kb_proxy_conninfo);
Datum
kb_proxy_conninfo(PG_FUNCTION_ARGS)
{
	PQconninfoOption *options = parse_conninfo(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	const char *settings = option_value(options, "options");
	StringInfoData str;

	initStringInfo(&str);
	for (PQconninfoOption *option = options; option->keyword != NULL; option++)
		if (option->val != NULL && strcmp(option->keyword, "options") != 0)
			append_option(&str, option->keyword, option->val);
	append_option(&str, "options", settings ? psprintf("%s " PLAIN_TEXTS, settings) : PLAIN_TEXTS);
	if (option_value(options, "application_name") == NULL)
		append_option(&str, "application_name", "kbilling_router");
	PQconninfoFree(options);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(str.data, str.len));
}

/* kb_conninfo_options(conninfo) */
PG_FUNCTION_INFO_V1(kb_conninfo_options);
Datum
kb_conninfo_options(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PQconninfoOption *options;

	InitMaterializedSRF(fcinfo, 0);
	options = parse_conninfo(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	for (PQconninfoOption *option = options; option->keyword != NULL; option++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		if (option->val == NULL)
			continue;
		values[0] = CStringGetTextDatum(option->keyword);
		values[1] = CStringGetTextDatum(option->val);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PQconninfoFree(options);
	return (Datum) 0;
}
