/*
 * billterm.c
 *		Discounts and minimums: what they add to the lines of a bill (C9, C10).
 *
 * A month comes to what its services cost, less its discounts, and at least its
 * minimum.  Of late usage, a bill has what its month comes to with it, less what it
 * came to without: so nothing is discounted, or raised to the minimum, twice.
 * Values in, values out.
 */
#include "postgres.h"

#include "billterm.h"
#include "calendar.h"
#include "decimal.h"
#include "utils/builtins.h"

#define PERCENT_SCALE	10000	/* a percentage has up to 4 decimals */

/* The sums and terms of one month that are being worked on. */
typedef struct Month
{
	DateADT		day;			/* its first */
	bool		is_late;
	int			nsums;
	ServiceSum **sums;
	int64	   *left_before;	/* what the discounts so far have left of each sum */
	int64	   *left_after;
} Month;

/* A line of a discount or minimum. */
typedef struct TermLine
{
	LinesWord	what;
	const char *service;
	DateADT		from;
	DateADT		to;
	int			days;			/* for which the minimum counts; 0 if the line has no days */
	const char *price;			/* "20%", "5.00" */
	Money		sum;			/* what it applies to */
	Money		amount;
} TermLine;

/* A part of a whole that is shared in proportion. */
typedef struct Share
{
	int128		part;
	int128		whole;
} Share;

BillTermKind
term_kind(const char *name)
{
	if (strcmp(name, "billed") == 0)
		return TERM_BILLED;
	if (strcmp(name, "percent") == 0)
		return TERM_PERCENT;
	return strcmp(name, "amount") == 0 ? TERM_AMOUNT : TERM_MINIMUM;
}

/* The sum of a service in a month; a new one is zero */
static ServiceSum *
find_sum(BillTerms *terms, const char *service, DateADT month)
{
	ServiceSum *sum;
	ListCell   *cell;

	foreach(cell, terms->sums)
	{
		sum = lfirst(cell);
		if (sum->month == month && strcmp(sum->service, service) == 0)
			return sum;
	}
	sum = palloc0(sizeof(ServiceSum));
	sum->month = month;
	sum->service = service;
	terms->sums = lappend(terms->sums, sum);
	return sum;
}

void
terms_count(BillTerms *terms, const char *service, DateADT day, Money amount)
{
	find_sum(terms, service, month_first_day(day))->after += money_minor(amount);
}

/* The base fee first, then by service */
static int
compare_sums(const ListCell *a, const ListCell *b)
{
	const char *x = ((const ServiceSum *) lfirst(a))->service;
	const char *y = ((const ServiceSum *) lfirst(b))->service;
	int			by_base = (strcmp(y, "base") == 0) - (strcmp(x, "base") == 0);

	return by_base != 0 ? by_base : strcmp(x, y);
}

/* By month, the latest first; in it the discounts as they were agreed, then the parts of the minimum */
static int
compare_terms(const ListCell *a, const ListCell *b)
{
	const BillTerm *x = lfirst(a);
	const BillTerm *y = lfirst(b);
	DateADT		month_x = month_first_day(x->from);
	DateADT		month_y = month_first_day(y->from);
	bool		is_min_x = x->kind == TERM_MINIMUM;
	bool		is_min_y = y->kind == TERM_MINIMUM;

	if (month_x != month_y)
		return month_x > month_y ? -1 : 1;
	if (is_min_x != is_min_y)
		return is_min_x - is_min_y;
	if (x->number_of != y->number_of)
		return x->number_of < y->number_of ? -1 : 1;
	return (x->from > y->from) - (x->from < y->from);
}

/* base * part / whole, half away from zero; none of them is below zero */
static int64
share_of(int128 base, Share share)
{
	return (int64) ((2 * base * share.part + share.whole) / (2 * share.whole));
}

/* A number of major units, or of percent, as a whole one of the smallest unit */
static int64
whole_number(Numeric number, int64 units)
{
	Numeric		product = numeric_call(numeric_mul, number, int64_to_numeric(units));

	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(product)));
}

/* An amount of a term in minor units */
static int64
term_minor(const BillTerms *terms, const BillTerm *term)
{
	return money_minor(money_round_numeric(term->number, terms->currency));
}

void
terms_add(BillTerms *terms, const BillTerm *term)
{
	BillTerm   *added;

	if (term->kind == TERM_BILLED)
	{
		ServiceSum *sum = find_sum(terms, term->service, month_first_day(term->from));
		int64		minor = term_minor(terms, term);

		sum->before += minor;
		sum->after += minor;
		return;
	}
	added = palloc(sizeof(BillTerm));
	*added = *term;
	terms->terms = lappend(terms->terms, added);
}

/* Whether two terms are parts of one: of the same discount, or of the minimum, in the same month */
static bool
is_same_term(const BillTerm *a, const BillTerm *b)
{
	return (a->kind == TERM_MINIMUM) == (b->kind == TERM_MINIMUM) && a->number_of == b->number_of &&
		month_first_day(a->from) == month_first_day(b->from);
}

/* Whether a discount, which begins at a cell of the list, is for a service */
static bool
is_discounted(const List *terms, const ListCell *cell, const char *service)
{
	const BillTerm *first = lfirst(cell);

	for (; cell != NULL; cell = lnext(terms, cell))
	{
		const BillTerm *term = lfirst(cell);

		if (!is_same_term(first, term))
			break;
		if (term->service == NULL || strcmp(term->service, service) == 0)
			return true;
	}
	return false;
}

/* How much of the sums, of which so much is left, a discount takes */
static Share
discount_share(const BillTerms *terms, const BillTerm *term, int128 left)
{
	if (term->kind == TERM_PERCENT)
		return (Share) {whole_number(term->number, PERCENT_SCALE), 100 * PERCENT_SCALE};
	return (Share) {Min(term_minor(terms, term), left), Max(left, 1)};
}

/*
 * What a discount takes of each sum.  Each part is the rounded share of all sums up to it, less that of those before
 * it, so that the parts add up to the whole, rounded once (M4).  A part is never more than what is left of its sum.
 */
static int64 *
discount_parts(const BillTerms *terms, const ListCell *cell, const Month *month, const int64 *left)
{
	int64	   *parts = palloc0(sizeof(int64) * month->nsums);
	int128		all = 0;
	int128		so_far = 0;
	int64		taken = 0;
	Share		share;

	for (int i = 0; i < month->nsums; i++)
		if (is_discounted(terms->terms, cell, month->sums[i]->service))
			all += Max(left[i], 0);
	share = discount_share(terms, lfirst(cell), all);
	for (int i = 0; i < month->nsums; i++)
	{
		if (!is_discounted(terms->terms, cell, month->sums[i]->service))
			continue;
		so_far += Max(left[i], 0);
		parts[i] = share_of(so_far, share) - taken;
		taken += parts[i];
	}
	return parts;
}

/* "20%", or "5.00" */
static const char *
term_price(const BillTerm *term)
{
	const char *number = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(term->number)));

	return term->kind == TERM_PERCENT ? psprintf("%s%%", number) : number;
}

/* Add a line, unless it comes to nothing */
static List *
add_term_line(List *lines, const BillTerms *terms, TermLine line, int64 sum, int64 amount)
{
	TermLine   *added;

	if (amount == 0)
		return lines;
	added = palloc(sizeof(TermLine));
	*added = line;
	added->sum = money_make(terms->currency, sum);
	added->amount = money_make(terms->currency, amount);
	return lappend(lines, added);
}

/* C9: a discount's lines, one for each service */
static List *
add_discount(List *lines, const BillTerms *terms, const ListCell *cell, Month *month)
{
	const BillTerm *term = lfirst(cell);
	int64	   *before = discount_parts(terms, cell, month, month->left_before);
	int64	   *after = discount_parts(terms, cell, month, month->left_after);

	for (int i = 0; i < month->nsums; i++)
	{
		TermLine	line = {.what = LINE_DISCOUNT, .service = month->sums[i]->service, .from = term->from, .to = term->to,
			.price = term_price(term)};

		lines = add_term_line(lines, terms, line, Max(month->left_after[i], 0) - Max(month->left_before[i], 0),
							  before[i] - after[i]);
		month->left_before[i] -= before[i];
		month->left_after[i] -= after[i];
	}
	return lines;
}

/* What the terms of a minimum come to together; the line says their days, unless they are of different amounts */
static int64
minimum_of(const BillTerms *terms, const ListCell *cell, TermLine *line)
{
	const BillTerm *first = lfirst(cell);
	int			days_in_month = month_last_day(first->from) - month_first_day(first->from) + 1;
	int128		sum = 0;
	bool		is_one = true;
	int64		minimum;

	*line = (TermLine) {.what = LINE_MINIMUM, .service = "base", .from = first->from, .price = term_price(first)};
	for (; cell != NULL; cell = lnext(terms->terms, cell))
	{
		const BillTerm *term = lfirst(cell);
		int			days = term->to - term->from + 1;

		if (!is_same_term(first, term))
			break;
		sum += (int128) term_minor(terms, term) * days;
		is_one &= numeric_order(term->number, first->number) == 0;
		line->days += days;
		line->to = term->to;
	}
	minimum = share_of(sum, (Share) {1, days_in_month});
	if (is_one)
		return minimum;
	line->days = 0;
	line->price = term_price(&(BillTerm) {.number = money_to_numeric(money_make(terms->currency, minimum))});
	return minimum;
}

/* C10: the line that raises what is left of the month to its minimum */
static List *
add_minimum(List *lines, const BillTerms *terms, const ListCell *cell, const Month *month)
{
	TermLine	line;
	int64		minimum = minimum_of(terms, cell, &line);
	int64		before = 0;
	int64		after = 0;

	for (int i = 0; i < month->nsums; i++)
	{
		before += month->left_before[i];
		after += month->left_after[i];
	}
	return add_term_line(lines, terms, line, after - before,
						 Max(minimum - after, 0) - (month->is_late ? Max(minimum - before, 0) : 0));
}

/* The sums of a month, and nothing taken of them yet */
static Month
month_of(const BillTerms *terms, DateADT day)
{
	Month		month = {.day = day, .is_late = day != terms->month};
	ListCell   *cell;

	month.sums = palloc(sizeof(ServiceSum *) * list_length(terms->sums));
	month.left_before = palloc(sizeof(int64) * list_length(terms->sums));
	month.left_after = palloc(sizeof(int64) * list_length(terms->sums));
	foreach(cell, terms->sums)
	{
		ServiceSum *sum = lfirst(cell);

		if (sum->month != day)
			continue;
		month.sums[month.nsums] = sum;
		month.left_before[month.nsums] = sum->before;
		month.left_after[month.nsums++] = sum->after;
	}
	return month;
}

/* Add the lines of the terms, month by month: the minimums are kept apart, as they come last */
static void
add_lines(const BillTerms *terms, List **discounts, List **minimums)
{
	const BillTerm *last = NULL;
	Month		month = {.day = DATEVAL_NOBEGIN};
	ListCell   *cell;

	foreach(cell, terms->terms)
	{
		const BillTerm *term = lfirst(cell);

		if (month_first_day(term->from) != month.day)
			month = month_of(terms, month_first_day(term->from));
		if (last != NULL && is_same_term(last, term))
			continue;
		if (term->kind == TERM_MINIMUM)
			*minimums = add_minimum(*minimums, terms, cell, &month);
		else
			*discounts = add_discount(*discounts, terms, cell, &month);
		last = term;
	}
}

/* C7: a line says everything that it was made of; keys are in the order of jsonb */
static void
put_line(StringInfo buf, const TermLine *line)
{
	lines_open_object(buf);
	if (line->days > 0)
		lines_pair_int(buf, LINE_DAYS, line->days);
	lines_pair_word(buf, LINE_WHAT, line->what);
	lines_pair_text(buf, LINE_PRICE, line->price);
	lines_pair_money(buf, LINE_AMOUNT, line->amount);
	lines_pair_text(buf, LINE_SERVICE, line->service);
	lines_pair_date(buf, LINE_TO_DATE, line->to);
	lines_pair_numeric(buf, LINE_QUANTITY, money_to_numeric(line->sum));
	lines_pair_date(buf, LINE_FROM_DATE, line->from);
	if (line->days > 0)
		lines_pair_int(buf, LINE_DAYS_IN_MONTH, month_last_day(line->from) - month_first_day(line->from) + 1);
	lines_close(buf);
}

Lines *
terms_apply(BillTerms *terms, const Lines *lines, Money *total)
{
	List	   *discounts = NIL;
	List	   *minimums = NIL;
	StringInfoData buf;
	ListCell   *cell;

	list_sort(terms->sums, compare_sums);
	list_sort(terms->terms, compare_terms);
	add_lines(terms, &discounts, &minimums);
	lines_begin_after(&buf, lines);
	foreach(cell, list_concat(discounts, minimums))
	{
		const TermLine *line = lfirst(cell);

		*total = money_add(*total, line->amount);
		put_line(&buf, line);
	}
	lines_close(&buf);
	return lines_end(&buf);
}
