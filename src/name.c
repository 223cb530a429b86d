/*
 * name.c
 *		What services, tariffs, payment methods and units are called, by language.
 */
#include "postgres.h"

#include "fmgr.h"
#include "name.h"
#include "plan.h"
#include "rowread.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/memutils.h"


enum
{
	NAME_SUBJECT, NAME_CODE, NAME_LANGUAGE, NAME_NAME
};

/* The key goes on with the language. */
static ReadTable name_table = {
	.name = "catalogue_name", .columns = {"subject", "code", "language", "name"}, .nkeys = 2
};

/* What has a name in its row, which stands behind the code. */
static ReadTable row_tables[] = {
	{.name = "service", .columns = {"service", "name"}, .nkeys = 1},
	{.name = "tariff", .columns = {"tariff", "name"}, .nkeys = 1},
	{.name = "payment_method", .columns = {"method", "name"}, .nkeys = 1}
};

/* A built-in name */
typedef struct StandardName
{
	char	   *subject;
	char	   *code;
	char	   *language;
	char	   *name;
} StandardName;

/* They are the same as long as the session lasts. */
static StandardName *standard_names = NULL;
static int	nstandard_names;

static SavedPlan standard_plan = {
	.sql = "SELECT n.subject, n.code, n.language, n.name FROM kbilling.standard_name n"
};

/* A column of a row of the result, for the session */
static char *
kept_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = plan_row_column(row, column, &isnull);

	return isnull ? NULL : MemoryContextStrdup(TopMemoryContext, TextDatumGetCString(value));
}

/* Read the built-in names, once a session */
static void
read_standard_names(void)
{
	StandardName *names;
	int			n;

	if (standard_names != NULL)
		return;
	plan_connect();
	n = plan_execute(&standard_plan, NULL, NULL, true);
	names = MemoryContextAlloc(TopMemoryContext, Max(n, 1) * sizeof(StandardName));
	for (int i = 0; i < n; i++)
		names[i] = (StandardName) {kept_text(i, 1), kept_text(i, 2), kept_text(i, 3), kept_text(i, 4)};
	nstandard_names = n;
	standard_names = names;
	SPI_finish();
}

/* The built-in name in just this language; NULL if there is none */
static const char *
standard_name(const char *subject, const char *code, const char *language)
{
	read_standard_names();
	for (int i = 0; i < nstandard_names; i++)
	{
		const StandardName *n = &standard_names[i];

		if (strcmp(n->code, code) == 0 && strcmp(n->subject, subject) == 0 && strcmp(n->language, language) == 0)
			return n->name;
	}
	return NULL;
}

/* Whether a row is of this language */
static bool
is_of_language(const ReadRow *row, const void *language)
{
	return strcmp(TextDatumGetCString(row->values[NAME_LANGUAGE]), language) == 0;
}

/* A service's own name in just this language; NULL if there is none */
static char *
own_name(const char *subject, const char *code, const char *language)
{
	Datum		key[] = {CStringGetTextDatum(subject), CStringGetTextDatum(code)};
	ReadRow		row;

	if (!row_read_first(&name_table, key, &row, is_of_language, language))
		return NULL;
	return TextDatumGetCString(row.values[NAME_NAME]);
}

/* The name in the row of the code; NULL if it has none */
static char *
name_in_row(const char *subject, const char *code)
{
	for (int i = 0; i < (int) lengthof(row_tables); i++)
	{
		Datum		key = CStringGetTextDatum(code);
		ReadRow		row;

		if (strcmp(row_tables[i].name, subject) == 0)
			return row_read(&row_tables[i], &key, &row) && !row.nulls[1] ? TextDatumGetCString(row.values[1]) : NULL;
	}
	return NULL;
}

char *
name_of(const char *subject, const char *code, const char *language)
{
	char	   *tag = asc_tolower(language, strlen(language));
	char	   *first = pnstrdup(tag, strcspn(tag, "-"));
	bool		has_parts = strcmp(first, tag) != 0;
	const char *name = own_name(subject, code, tag);

	if (name == NULL && has_parts)
		name = own_name(subject, code, first);
	if (name == NULL)
		name = standard_name(subject, code, tag);
	if (name == NULL && has_parts)
		name = standard_name(subject, code, first);
	if (name == NULL)
		name = name_in_row(subject, code);
	return pstrdup(name != NULL ? name : code);
}

/* kb_name(subject, code, language) */
PG_FUNCTION_INFO_V1(kb_name);
Datum
kb_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(name_of(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
											 text_to_cstring(PG_GETARG_TEXT_PP(2)))));
}
