/*
 * message.c
 *		Messages in the syntax of ICU's MessageFormat (rule N4): the SQL side.
 *
 * The facts of a JSON object fill in a pattern.  Dates and months are written
 * out beforehand, as a pattern's date formats would depend on a time zone.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "ascii.h"
#include "catalog/namespace.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "card.h"
#include "compat.h"
#include "message_icu.h"
#include "utf8.h"

/* BCP 47: the longest tag that is sure to be taken */
#define MAX_LANGUAGE	35

/* More digits than any count or identifier has */
#define MAX_NUMBER		64

/* How much of a pattern an error shows, in characters */
#define MAX_FOUND		20

/*
 * Whether it is a tag of BCP 47 that begins with a language: en, uk-UA, sr-Latn-RS
 */
static bool
is_language(const char *s)
{
	return strlen(s) <= MAX_LANGUAGE && is_letter(s[0]) && is_letter(s[1]) && message_is_tag(s);
}

pg_noreturn static void
fail_language(char *language)
{
	const char *shown = card_hidden(language);

	if (shown == language)
		language[pg_mbcharcliplen(language, strlen(language), MAX_LANGUAGE)] = '\0';
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is not a language", shown),
			 errdetail("A language is named by a tag of BCP 47, of at most %d characters.", MAX_LANGUAGE),
			 errhint("Write \"en\", \"uk\" or \"uk-UA\".")));
}

/*
 * A text of the database, as a string in UTF-8
 */
static const char *
to_utf8(const char *s, int len)
{
	return server_to_utf8(pnstrdup(s, len));
}

/*
 * A string of the database, from UTF-8
 */
static char *
from_utf8(const char *s, int len)
{
	return utf8_to_server(pnstrdup(s, len));
}

/*
 * What ICU has allocated, as a string of the database; it is freed
 */
static char *
take_text(MessageResult *result)
{
	char	   *volatile text = NULL;

	if (result->text == NULL)
		return NULL;
	PG_TRY();
	{
		text = from_utf8(result->text, strlen(result->text));
	}
	PG_FINALLY();
	{
		free(result->text);
	}
	PG_END_TRY();
	return text;
}

/*
 * Read two or four digits and what follows them
 */
static bool
read_digits(const char **s, int n, char follows, int *value)
{
	*value = 0;
	for (int i = 0; i < n; i++, (*s)++)
	{
		if (!is_digit(**s))
			return false;
		*value = *value * 10 + (**s - '0');
	}
	return *(*s)++ == follows;
}

/*
 * Whether a text is a date (2026-11-16) or a month (2026-11), and which
 */
static bool
read_date(MessageFact *fact)
{
	const char *s = fact->value;
	int			year;
	int			month;
	int			day = 1;
	bool		is_month = strlen(s) == strlen("2026-11");

	if (!read_digits(&s, 4, '-', &year) || !read_digits(&s, 2, is_month ? '\0' : '-', &month) ||
		(!is_month && !read_digits(&s, 2, '\0', &day)))
		return false;
	if (year < 1 || month < 1 || month > MONTHS_PER_YEAR || day < 1 || day > day_tab[isleap(year)][month - 1])
		return false;
	fact->kind = is_month ? MESSAGE_MONTH : MESSAGE_DATE;
	fact->days = date2j(year, month, day) - UNIX_EPOCH_JDATE;
	return true;
}

/*
 * Digits of a number
 */
static char *
number_text(const char *name, Numeric number)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));

	if (strlen(text) > MAX_NUMBER)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("fact \"%s\" is out of range", card_hidden(name)),
				 errdetail("It has more than %d digits.", MAX_NUMBER)));
	return text;
}

/*
 * A fact, from a value of JSON
 */
static MessageFact
read_fact(char *key, const JsonbValue *value)
{
	MessageFact fact = {MESSAGE_TEXT, to_utf8(key, strlen(key)), "", 0};

	switch (value->type)
	{
		case jbvNull:
			break;
		case jbvBool:
			fact.value = value->val.boolean ? "true" : "false";
			break;
		case jbvString:
			fact.value = to_utf8(value->val.string.val, value->val.string.len);
			read_date(&fact);
			break;
		case jbvNumeric:
			fact.value = number_text(key, value->val.numeric);
			fact.kind = MESSAGE_NUMBER;
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("fact \"%s\" is an array or an object", card_hidden(key)),
					 errhint("A fact is a text, a number, a boolean or null.")));
	}
	return fact;
}

/*
 * The facts of a JSON object
 */
static MessageFact *
read_facts(Jsonb *object, int *nfacts)
{
	MessageFact *facts;
	JsonbIterator *it;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("facts must be a JSON object"),
				 errhint("Write {\"amount\": \"19.00 USD\", \"days\": 3}.")));
	facts = palloc(sizeof(MessageFact) * Max(JB_ROOT_COUNT(object), 1));
	*nfacts = 0;
	it = JsonbIteratorInit(&object->root);
	(void) JsonbIteratorNext(&it, &value, false);
	while (JsonbIteratorNext(&it, &value, true) == WJB_KEY)
	{
		char	   *key = pnstrdup(value.val.string.val, value.val.string.len);

		(void) JsonbIteratorNext(&it, &value, true);
		facts[(*nfacts)++] = read_fact(key, &value);
	}
	return facts;
}

/*
 * Say where a pattern is wrong
 */
pg_noreturn static void
fail_syntax(const char *pattern, const MessageResult *result)
{
	char	   *before = from_utf8(pattern, result->offset);
	char	   *rest = from_utf8(pattern + result->offset, strlen(pattern + result->offset));
	/* a card number may begin before the fault and end after it */
	const char *hidden = card_hidden(card_number_in(pattern, result->offset) ? rest : pattern);
	const char *found = hidden == pattern ? rest : hidden;

	if (found == rest)
		rest[pg_mbcharcliplen(rest, strlen(rest), MAX_FOUND)] = '\0';
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("syntax error in a message: %s", result->reason),
			 *found == '\0' ? errdetail("At character %d: the end.", pg_mbstrlen(before) + 1)
			 : errdetail("At character %d: \"%s\".", pg_mbstrlen(before) + 1, found),
			 errhint("Messages are in ICU's MessageFormat: {amount}, {days, plural, one {# day} other {# days}}, "
					 "{stage, select, ok {fine} other {}}; write a literal brace in apostrophes: '{'.")));
}

/*
 * Say what else is wrong, of which ICU tells a name
 */
pg_noreturn static void
fail_named(MessageOutcome outcome, const char *name)
{
	name = card_hidden(name);
	if (outcome == MESSAGE_NO_FACT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the message has \"%s\", which is not among the facts", name),
				 errhint("Take it out, or look up in kbilling.notice_kind what a kind of notice has.")));
	if (outcome == MESSAGE_WRONG_KIND)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("fact \"%s\" does not fit its format", name),
				 errdetail("A select takes a text; plural, selectordinal and number take a number.")));
	if (outcome == MESSAGE_WRONG_FORMAT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no format \"%s\"", name),
				 errhint("Formats are plural, select, selectordinal and number; a date is written out by itself.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the message cannot be formatted"),
			 errdetail("ICU says %s.", name)));
}

/*
 * Say that there was no memory
 */
pg_noreturn static void
fail_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory"),
			 errdetail("ICU could not format a message.")));
}

/*
 * Say what about a number could take ICU too long
 */
pg_noreturn static void
fail_number(MessageOutcome outcome)
{
	if (outcome == MESSAGE_HAS_EXPONENT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a number's format has an exponent"),
				 errhint("Write the number out: \"scale/100\".")));
	if (outcome == MESSAGE_WRONG_OFFSET)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the offset of a plural is out of range"),
				 errdetail("It is a whole number of at most %d.", MESSAGE_MAX_OFFSET),
				 errhint("Write \"offset:1\", or leave it out.")));
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a number in words has more than %d decimals", MESSAGE_MAX_DECIMALS),
			 errhint("Round it, or use the format \"number\".")));
}

/*
 * Say of what there is too much
 */
pg_noreturn static void
fail_bound(MessageOutcome outcome)
{
	const char *message = "the message is too long";

	if (outcome == MESSAGE_TOO_MANY_BRACES)
		message = psprintf("the message has more than %d opening braces", MESSAGE_MAX_BRACES);
	if (outcome == MESSAGE_TOO_MANY_SIGNS)
		message = psprintf("the message has more than %d number signs", MESSAGE_MAX_SIGNS);
	if (outcome == MESSAGE_TOO_MANY_WORDS)
		message = psprintf("the message has more than %d numbers in words", MESSAGE_MAX_WORDS);
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg_internal("%s", message),
			 errdetail("A pattern has at most %d bytes, its facts %d as JSON, and what is filled in %d.",
					   MESSAGE_MAX_PATTERN, MESSAGE_MAX_FACTS, MESSAGE_MAX_LENGTH),
			 errhint("Take something out, or link to what is long.")));
}

/* kb_is_language(language) */
PG_FUNCTION_INFO_V1(kb_is_language);
Datum
kb_is_language(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(is_language(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

/*
 * kb_utf8(bytes): what the script has in UTF-8, as a text of the database
 *
 * Null where the encoding cannot hold it.  To SQL_ASCII it is bytes.
 */
PG_FUNCTION_INFO_V1(kb_utf8);
Datum
kb_utf8(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	int			len = VARSIZE_ANY_EXHDR(bytes);
	int			encoding = GetDatabaseEncoding();
	char	   *utf8;
	char	   *converted;
	Oid			proc;

	if (len > MESSAGE_MAX_PATTERN)
		fail_bound(MESSAGE_TOO_LONG);
	pg_verify_mbstr(PG_UTF8, VARDATA_ANY(bytes), len, false);
	utf8 = text_to_cstring(bytes);
	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII || pg_is_ascii(utf8))
		PG_RETURN_TEXT_P(bytes);
	proc = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(proc))
		PG_RETURN_NULL();
	converted = palloc(len * MAX_CONVERSION_GROWTH + 1);
	if (pg_do_encoding_conversion_buf(proc, PG_UTF8, encoding, (unsigned char *) utf8, len,
									  (unsigned char *) converted, len * MAX_CONVERSION_GROWTH + 1, true) < len)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(converted));
}

/* kb_format_message(pattern, language, facts) */
PG_FUNCTION_INFO_V1(kb_format_message);
Datum
kb_format_message(PG_FUNCTION_ARGS)
{
	const char *pattern;
	char	   *language = text_to_cstring(PG_GETARG_TEXT_PP(1));
	MessageResult result;
	MessageFact *facts;
	int			nfacts;
	char	   *message;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();		/* braces that nest take some more */
	if (!is_language(language))
		fail_language(language);
	if (toast_raw_datum_size(PG_GETARG_DATUM(0)) > MESSAGE_MAX_PATTERN + VARHDRSZ ||
		toast_raw_datum_size(PG_GETARG_DATUM(2)) > MESSAGE_MAX_FACTS + VARHDRSZ)
		fail_bound(MESSAGE_TOO_LONG);
	pattern = to_utf8(VARDATA_ANY(PG_GETARG_TEXT_PP(0)), VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0)));
	facts = read_facts(PG_GETARG_JSONB_P(2), &nfacts);
	message_format(pattern, language, facts, nfacts, &result);
	message = take_text(&result);
	switch (result.outcome)
	{
		case MESSAGE_DONE:
			PG_RETURN_TEXT_P(cstring_to_text(message));
		case MESSAGE_SYNTAX_ERROR:
			fail_syntax(pattern, &result);
		case MESSAGE_NO_MEMORY:
			fail_memory();
		case MESSAGE_HAS_EXPONENT:
		case MESSAGE_WRONG_OFFSET:
		case MESSAGE_TOO_MANY_DECIMALS:
			fail_number(result.outcome);
		case MESSAGE_TOO_MANY_BRACES:
		case MESSAGE_TOO_MANY_SIGNS:
		case MESSAGE_TOO_MANY_WORDS:
		case MESSAGE_TOO_LONG:
			fail_bound(result.outcome);
		default:
			fail_named(result.outcome, message);
	}
}
