/*
 * lines.h
 *		kb_lines: the lines of an entry, which are JSON, in few bytes (C7).
 */
#ifndef KBILLING_LINES_H
#define KBILLING_LINES_H

#include "postgres.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "money.h"

/* The stored form is of lines.c alone. */
typedef struct varlena Lines;

#define DatumGetLines(X)		((Lines *) PG_DETOAST_DATUM_PACKED(X))
#define LinesGetDatum(X)		PointerGetDatum(X)
#define PG_GETARG_LINES(n)		DatumGetLines(PG_GETARG_DATUM(n))
#define PG_RETURN_LINES(x)		return LinesGetDatum(x)

/* Texts that are a byte each; their numbers are stored, so new ones come last, before the count. */
typedef enum LinesWord
{
	LINE_TO_DATE, LINE_DAYS, LINE_FROM_DATE, LINE_WHAT, LINE_TOPUP, LINE_NAMED, LINE_AMOUNT, LINE_EVENTS, LINE_FORCED, LINE_SERVICE,
	LINE_QUANTITY, LINE_PRICE, LINE_BILLED_EVENTS, LINE_DAYS_IN_MONTH, LINE_BILLED_QUANTITY,
	LINE_BASE, LINE_BASE_FEE, LINE_RECURRING_SERVICE, LINE_USAGE, LINE_LATE_USAGE, LINE_PURCHASE,
	LINE_DISCOUNT, LINE_MINIMUM,
	LINE_WORDS
} LinesWord;

/*
 * To write lines: begin, values in the order of jsonb (keys by length, then by
 * letter), end.  Within an object a key comes before each value.
 */
extern void lines_begin(StringInfo buf);
extern void lines_open_array(StringInfo buf);
extern void lines_open_object(StringInfo buf);
extern void lines_close(StringInfo buf);
extern void lines_put_word(StringInfo buf, LinesWord word);
extern void lines_put_text(StringInfo buf, const char *str, size_t len);
extern void lines_put_int(StringInfo buf, int64 n);
extern void lines_put_numeric(StringInfo buf, Numeric n);
extern void lines_put_date(StringInfo buf, DateADT day);
extern void lines_put_money(StringInfo buf, Money amount);

/* A key and its value. */
extern void lines_pair_word(StringInfo buf, LinesWord key, LinesWord word);
extern void lines_pair_text(StringInfo buf, LinesWord key, const char *str);
extern void lines_pair_int(StringInfo buf, LinesWord key, int64 n);
extern void lines_pair_numeric(StringInfo buf, LinesWord key, Numeric n);
extern void lines_pair_date(StringInfo buf, LinesWord key, DateADT day);
extern void lines_pair_money(StringInfo buf, LinesWord key, Money amount);

/* What was written. */
extern Lines *lines_end(StringInfo buf);

/* The same, after lines that are there already: an array. */
extern void lines_begin_after(StringInfo buf, const Lines *lines);

/* Calls each() for the lines of a bill. */
extern void lines_each(const Lines *lines, void (*each) (void *arg, const char *service, DateADT from, Money amount), void *arg);

/* From JSON and to it, as jsonb is written; palloc'd. */
extern Lines *lines_from_cstring(const char *json);
extern char *lines_to_cstring(const Lines *lines);

/* What a page calls a service, and its unit, which may be NULL. */
typedef struct LineNames
{
	const char *name;
	const char *unit;
} LineNames;

/* Push the lines as pages get them, an array, with the names that names(arg, service) knows. */
extern void lines_push(JsonbParseState **state, const Lines *lines, LineNames (*names) (void *arg, const char *service), void *arg);

/* Push an amount as pages get it: {"amount": "19.00", "currency": "USD"}. */
extern JsonbValue *lines_push_money(JsonbParseState **state, Money amount);

#endif
