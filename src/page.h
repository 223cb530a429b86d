/*
 * page.h
 *		JSON that pages get, each thing in one shape: what kb_portal and kb_history
 *		show is pushed into one value, as jsonb that is put into other jsonb is
 *		copied at each level.
 */
#ifndef KBILLING_PAGE_H
#define KBILLING_PAGE_H

#include "postgres.h"
#include "utils/date.h"
#include "utils/jsonb.h"

#include "lines.h"
#include "money.h"

/* A name that was looked up. */
typedef struct PageName
{
	const char *subject;
	char	   *code;
	char	   *name;
	char	   *unit;			/* of a service; may be NULL */
} PageName;

/* A value that is being made, in the memory context in which it was begun. */
typedef struct PageJson
{
	JsonbParseState *state;
	JsonbValue *done;			/* the value, when what was opened first has been closed */
	char	   *language;
	Oid			money_type;
	Oid			lines_type;
	int			nnames;
	int			capacity;
	PageName   *names;
} PageJson;

/*
 * The caller has connected to SPI, and what is pushed has to stay until page_end,
 * after which another value can be made.
 */
extern void page_begin(PageJson *page, const char *language);
extern Jsonb *page_end(PageJson *page);

extern void page_open(PageJson *page, JsonbIteratorToken token);
extern void page_close(PageJson *page, JsonbIteratorToken token);
extern void page_key(PageJson *page, const char *key);

/* Pairs of an object */
extern void page_null(PageJson *page, const char *key);
extern void page_text(PageJson *page, const char *key, const char *str);
extern void page_integer(PageJson *page, const char *key, int64 n);
extern void page_date(PageJson *page, const char *key, DateADT day);
extern void page_money(PageJson *page, const char *key, Money amount);

/* What a "service", "tariff" or "payment_method" is called; the subject is a constant */
extern const char *page_name(PageJson *page, const char *subject, const char *code);

/* Lines, as a value */
extern void page_lines(PageJson *page, const Lines *lines);

/*
 * Columns of a row of the last statement, counted from 1, as pairs by their names: money as an object, "method" with
 * its name, lines as those of a page, dates and moments as ISO 8601, jsonb as it is, any other type as its text.
 */
extern void page_columns(PageJson *page, uint64 row, int first, int last);

/* All rows of the last statement, as an array of objects: a value */
extern void page_rows(PageJson *page);

#endif
