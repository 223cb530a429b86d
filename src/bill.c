/*
 * bill.c
 *		The bill of a period: what an account has had becomes lines and a total.
 *
 * The one rating path: the month charge and every preview of it go through the
 * aggregate kb_bill.  Values in, value out.
 */
#include "postgres.h"

#include "calendar.h"
#include "currency.h"
#include "errors.h"
#include "fmgr.h"
#include "lines.h"
#include "money.h"
#include "price.h"
#include "row.h"
#include "utils/builtins.h"
#include "utils/date.h"

/* What the account had at one price from a day to a day, or used in a month. */
typedef struct BillPart
{
	char	   *service;
	DateADT		from;			/* first day, within the period unless late */
	DateADT		to;				/* last day, the same */
	Numeric		quantity;
	Price	   *price;
	bool		prorate;
	bool		is_usage;
	bool		is_late;		/* U3: used in a month that has been charged */
	bool		is_superseded;	/* a later part, which is not prorated, counts instead */
	int			days_in_month;	/* in that of its days */
	int32		price_id;
	int			days;			/* on which the usage's price held in its month, of those from first to last */
	int64		events;			/* that the usage is of */
	Numeric		billed_quantity;	/* of the same month's usage */
	int64		billed_events;
} BillPart;

/* State of the aggregate, in its own memory context. */
typedef struct Bill
{
	uint16		currency;
	DateADT		first_day;		/* of the period; the account's own in its first month */
	DateADT		last_day;
	int			nparts;
	int			capacity;
	BillPart   *parts;
} Bill;

/* A bill without parts */
static Bill *
bill_create(uint16 currency, DateADT first_day, DateADT last_day)
{
	Bill	   *bill = palloc(sizeof(Bill));

	bill->currency = currency;
	bill->first_day = first_day;
	bill->last_day = last_day;
	bill->nparts = 0;
	bill->capacity = 8;
	bill->parts = palloc(bill->capacity * sizeof(BillPart));
	return bill;
}

/* Room for one more part */
static BillPart *
bill_next_part(Bill *bill)
{
	if (bill->nparts == bill->capacity)
	{
		bill->capacity *= 2;
		bill->parts = repalloc(bill->parts, bill->capacity * sizeof(BillPart));
	}
	return &bill->parts[bill->nparts++];
}

/* Set the days of a part: in an earlier month if it is late, else within the period; end is the day after the last */
static void
part_set_days(const Bill *bill, BillPart *part, DateADT from, DateADT end)
{
	part->is_late = part->is_usage && end <= bill->first_day;
	part->from = part->is_late ? from : Max(from, bill->first_day);
	part->to = end - 1;
	if (!part->is_late)
		part->to = DATE_IS_NOEND(end) ? bill->last_day : Min(end - 1, bill->last_day);
	part->days_in_month = month_last_day(part->from) - month_first_day(part->from) + 1;
}

/* Arguments of kb_bill_add */
enum
{
	ARG_STATE, ARG_SERVICE, ARG_FROM_DATE, ARG_TO_DATE, ARG_DAYS, ARG_QUANTITY, ARG_EVENTS, ARG_BILLED_QUANTITY,
	ARG_BILLED_EVENTS, ARG_PRICE_ID, ARG_PRICE, ARG_PRORATE, ARG_CURRENCY, ARG_FIRST_DAY, ARG_LAST_DAY, NUM_ARGS
};

/* None may be null but for the state, and what only usage has */
static void
check_part_arguments(FunctionCallInfo fcinfo)
{
	for (int i = ARG_SERVICE; i < NUM_ARGS; i++)
	{
		bool		of_usage = i == ARG_DAYS || (i >= ARG_EVENTS && i <= ARG_BILLED_EVENTS);

		if (PG_ARGISNULL(i) && !(of_usage && PG_ARGISNULL(ARG_EVENTS)))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a part of a bill must not be null")));
	}
}

/*
 * kb_bill_add(state, service, from_date, to_date, days, quantity, events,
 * billed_quantity, billed_events, price_id, price, prorate, currency, first_day,
 * last_day): to_date is the day after the last one; days, events and what is
 * billed are NULL but for usage.
 */
PG_FUNCTION_INFO_V1(kb_bill_add);
Datum
kb_bill_add(PG_FUNCTION_ARGS)
{
	MemoryContext aggregate;
	MemoryContext old;
	Bill	   *bill = PG_ARGISNULL(ARG_STATE) ? NULL : (Bill *) PG_GETARG_POINTER(ARG_STATE);
	BillPart   *part;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "kb_bill_add is part of an aggregate");
	check_part_arguments(fcinfo);

	old = MemoryContextSwitchTo(aggregate);
	if (bill == NULL)
		bill = bill_create(currency_from_text(PG_GETARG_TEXT_PP(ARG_CURRENCY)), PG_GETARG_DATEADT(ARG_FIRST_DAY),
						   PG_GETARG_DATEADT(ARG_LAST_DAY));
	part = bill_next_part(bill);
	part->service = text_to_cstring(PG_GETARG_TEXT_PP(ARG_SERVICE));
	part->quantity = DatumGetNumericCopy(PG_GETARG_DATUM(ARG_QUANTITY));
	part->is_usage = !PG_ARGISNULL(ARG_EVENTS);
	if (part->is_usage)
	{
		part->days = PG_GETARG_INT32(ARG_DAYS);
		part->events = PG_GETARG_INT64(ARG_EVENTS);
		part->billed_quantity = DatumGetNumericCopy(PG_GETARG_DATUM(ARG_BILLED_QUANTITY));
		part->billed_events = PG_GETARG_INT64(ARG_BILLED_EVENTS);
	}
	part->price_id = PG_GETARG_INT32(ARG_PRICE_ID);
	part->price = (Price *) PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(ARG_PRICE));
	part->prorate = PG_GETARG_BOOL(ARG_PRORATE);
	part_set_days(bill, part, PG_GETARG_DATEADT(ARG_FROM_DATE), PG_GETARG_DATEADT(ARG_TO_DATE));
	MemoryContextSwitchTo(old);

	PG_RETURN_POINTER(bill);
}

/*
 * The base fee first, then by service and day, usage that is late after that of the period.  Prices that held in turn,
 * or not at all, may have the same first day.
 */
static int
compare_parts(const void *a, const void *b)
{
	const BillPart *x = a;
	const BillPart *y = b;
	int			by_base = (strcmp(y->service, "base") == 0) - (strcmp(x->service, "base") == 0);
	int			by_service = strcmp(x->service, y->service);

	if (by_base != 0)
		return by_base;
	if (by_service != 0)
		return by_service;
	if (x->is_late != y->is_late)
		return x->is_late - y->is_late;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return (x->price_id > y->price_id) - (x->price_id < y->price_id);
}

/* Whether two parts are usage of one month under one price */
static bool
parts_are_one(const BillPart *a, const BillPart *b)
{
	return a->is_usage && b->is_usage && a->is_late == b->is_late && a->from == b->from && a->price_id == b->price_id;
}

/*
 * Make one part of the usage under a price and of what says that the price has a
 * minimum, which is owed with usage or without.
 */
static void
merge_parts(Bill *bill)
{
	int			last = 0;

	for (int i = 1; i < bill->nparts; i++)
	{
		BillPart   *to = &bill->parts[last];
		const BillPart *part = &bill->parts[i];

		if (!parts_are_one(to, part))
		{
			bill->parts[++last] = *part;
			continue;
		}
		to->quantity = numeric_call(numeric_add, to->quantity, part->quantity);
		to->events += part->events;
		to->billed_quantity = numeric_call(numeric_add, to->billed_quantity, part->billed_quantity);
		to->billed_events += part->billed_events;
		to->days = Max(to->days, part->days);
	}
	bill->nparts = Min(bill->nparts, last + 1);
}

/* Which of the parts has the most left; of several, the one with the lowest number of its price */
static int
most_left(const BillPart *parts, const Numeric *left, int n)
{
	int			most = 0;

	for (int i = 1; i < n; i++)
	{
		int			order = numeric_order(left[i], left[most]);

		if (order > 0 || (order == 0 && parts[i].price_id < parts[most].price_id))
			most = i;
	}
	return most;
}

/* Take what is below zero from the parts with the most left; what they do not have stays below zero */
static void
net_deficit(const BillPart *parts, Numeric *left, int n)
{
	Numeric		zero = int64_to_numeric(0);
	Numeric		deficit = zero;
	int			first = 0;

	for (int i = n - 1; i >= 0; i--)
	{
		if (numeric_order(left[i], zero) >= 0)
			continue;
		deficit = numeric_call(numeric_add, deficit, left[i]);
		left[i] = zero;
		first = i;
	}
	while (numeric_order(deficit, zero) < 0)
	{
		int			most = most_left(parts, left, n);
		Numeric		rest = numeric_call(numeric_add, left[most], deficit);
		bool		is_enough = numeric_order(rest, zero) >= 0;

		if (numeric_order(left[most], zero) == 0)
		{
			left[first] = deficit;
			return;
		}
		left[most] = is_enough ? rest : zero;
		deficit = is_enough ? zero : rest;
	}
}

/* Whether anything of the parts is below zero */
static bool
has_deficit(const BillPart *parts, int n)
{
	Numeric		zero = int64_to_numeric(0);

	for (int i = 0; i < n; i++)
	{
		const BillPart *part = &parts[i];

		if (part->events < 0 || part->billed_events < 0 || numeric_order(part->quantity, zero) < 0 ||
			numeric_order(part->billed_quantity, zero) < 0)
			return true;
	}
	return false;
}

/* The quantities of usage in a month, netted: all of it, and what was billed of it */
static void
net_quantities(BillPart *parts, int n)
{
	Numeric    *all = palloc(n * sizeof(Numeric));
	Numeric    *billed = palloc(n * sizeof(Numeric));

	for (int i = 0; i < n; i++)
	{
		billed[i] = parts[i].billed_quantity;
		all[i] = numeric_call(numeric_add, parts[i].billed_quantity, parts[i].quantity);
	}
	net_deficit(parts, all, n);
	net_deficit(parts, billed, n);
	for (int i = 0; i < n; i++)
	{
		parts[i].billed_quantity = billed[i];
		parts[i].quantity = numeric_call(numeric_sub, all[i], billed[i]);
	}
}

/* The same of the events */
static void
net_events(BillPart *parts, int n)
{
	Numeric    *all = palloc(n * sizeof(Numeric));
	Numeric    *billed = palloc(n * sizeof(Numeric));

	for (int i = 0; i < n; i++)
	{
		billed[i] = int64_to_numeric(parts[i].billed_events);
		all[i] = int64_to_numeric(parts[i].billed_events + parts[i].events);
	}
	net_deficit(parts, all, n);
	net_deficit(parts, billed, n);
	for (int i = 0; i < n; i++)
	{
		parts[i].billed_events = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(billed[i])));
		parts[i].events = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(all[i]))) - parts[i].billed_events;
	}
}

/*
 * U3: what is taken back under a price that has less is taken from the other prices of
 * the month, so that it is not lost.  What was billed before was netted in the same way.
 */
static void
net_usage(BillPart *parts, int n)
{
	if (n == 1 || !parts[0].is_usage || !has_deficit(parts, n))
		return;
	net_quantities(parts, n);
	net_events(parts, n);
}

/* The part that holds last: of a recurring service, or of usage that owes a minimum; NULL if there is none */
static const BillPart *
last_part(const BillPart *parts, int n)
{
	const BillPart *last = NULL;

	for (int i = 0; i < n; i++)
	{
		const BillPart *part = &parts[i];
		bool		is_due = !part->is_usage || (part->days > 0 && price_has(part->price, SLOT_MIN));

		if (is_due && (last == NULL || part->to > last->to))
			last = part;
	}
	return last;
}

/*
 * C3: whether the last price is prorated says it for the month.  If it is not, that one
 * is due, in full; of usage, that is said of the minimum alone.
 */
static void
mark_superseded(BillPart *parts, int n)
{
	const BillPart *last = last_part(parts, n);

	if (last == NULL)
		return;
	for (int i = 0; i < n; i++)
	{
		parts[i].prorate = last->prorate;
		parts[i].is_superseded = !last->prorate && &parts[i] != last;
	}
}

/* The part's days that are charged: all of the month if it is not prorated */
static int
charged_days(const BillPart *part)
{
	return part->prorate ? part->to - part->from + 1 : part->days_in_month;
}

/*
 * For how many days the bounds of a usage's price count: for those on which it held.
 * Without proration they count in full, a minimum once.  A price that held on no day
 * has no minimum, and the maximum of the month.
 */
static PriceBounds
usage_bounds(const BillPart *part)
{
	PriceBounds bounds = {.min_days = part->days, .max_days = part->days, .days_in_period = part->days_in_month};

	if (!part->prorate && part->days > 0)
		bounds.min_days = part->is_superseded ? 0 : part->days_in_month;
	if (!part->prorate || part->days == 0)
		bounds.max_days = part->days_in_month;
	return bounds;
}

/* What a quantity of usage costs in all, times the days of its month */
static Numeric
usage_exactly(const BillPart *part, Numeric quantity, int64 events)
{
	return price_usage_exactly(part->price, quantity, events, usage_bounds(part));
}

/*
 * Nothing is added to what was billed, or all was taken back and no minimum is due: there is no line.  What was billed
 * is rounded with what is new all the same.
 */
static bool
part_is_nothing(const BillPart *part)
{
	bool		owes_minimum = !part->is_late && price_has(part->price, SLOT_MIN) && usage_bounds(part).min_days > 0;

	return part->events == 0 && numeric_order(part->quantity, int64_to_numeric(0)) == 0 && !owes_minimum;
}

/* What the part costs, times the days of its month */
static Numeric
part_exactly(const BillPart *part)
{
	if (!part->is_usage)
		return price_days_exactly(part->price, part->quantity, charged_days(part));
	return usage_exactly(part, numeric_call(numeric_add, part->billed_quantity, part->quantity),
						 part->billed_events + part->events);
}

/* U3: what has been billed of it, the same way */
static Numeric
part_billed(const BillPart *part)
{
	return part->is_late ? usage_exactly(part, part->billed_quantity, part->billed_events) : int64_to_numeric(0);
}

/* What a line is for */
static LinesWord
line_kind(const BillPart *part)
{
	if (part->is_late)
		return LINE_LATE_USAGE;
	if (part->is_usage)
		return LINE_USAGE;
	return strcmp(part->service, "base") == 0 ? LINE_BASE_FEE : LINE_RECURRING_SERVICE;
}

/* C7: a line says everything that it was made of */
static void
put_line(StringInfo lines, const BillPart *part, Money amount)
{
	bool		by_days = !part->is_usage || price_has(part->price, SLOT_MIN) || price_has(part->price, SLOT_MAX);

	lines_open_object(lines);
	if (by_days)
		lines_pair_int(lines, LINE_DAYS, part->is_usage ? part->days : part->to - part->from + 1);
	lines_pair_word(lines, LINE_WHAT, line_kind(part));
	lines_pair_text(lines, LINE_PRICE, price_to_cstring(part->price));
	lines_pair_money(lines, LINE_AMOUNT, amount);
	if (part->is_usage)
		lines_pair_int(lines, LINE_EVENTS, part->events);
	lines_pair_text(lines, LINE_SERVICE, part->service);
	lines_pair_date(lines, LINE_TO_DATE, part->to);
	lines_pair_numeric(lines, LINE_QUANTITY, part->quantity);
	lines_pair_date(lines, LINE_FROM_DATE, part->from);
	if (part->is_late)
		lines_pair_int(lines, LINE_BILLED_EVENTS, part->billed_events);
	if (by_days)
		lines_pair_int(lines, LINE_DAYS_IN_MONTH, part->days_in_month);
	if (part->is_late)
		lines_pair_numeric(lines, LINE_BILLED_QUANTITY, part->billed_quantity);
	lines_close(lines);
}

/* Add a line and its amount */
static void
add_line(StringInfo lines, const BillPart *part, Money amount, Money *total)
{
	*total = money_add(*total, amount);
	put_line(lines, part, amount);
}

/* The part after those that are rounded with this one: of the same service and month */
static int
group_end(const Bill *bill, int i)
{
	const BillPart *first = &bill->parts[i];

	do
		i++;
	while (i < bill->nparts && strcmp(bill->parts[i].service, first->service) == 0 &&
		   bill->parts[i].is_late == first->is_late &&
		   month_first_day(bill->parts[i].from) == month_first_day(first->from));
	return i;
}

/*
 * M4, U3: each line is the rounded sum of all so far less that of those before it.  What has been
 * billed of late usage counts as before the first.
 */
static void
add_group(StringInfo lines, Bill *bill, int first, int end, Money *total)
{
	int			days_in_month = bill->parts[first].days_in_month;
	Numeric		sum = int64_to_numeric(0);
	Money		rounded;

	net_usage(&bill->parts[first], end - first);
	mark_superseded(&bill->parts[first], end - first);
	for (int i = first; i < end; i++)
		sum = numeric_call(numeric_add, sum, part_billed(&bill->parts[i]));
	rounded = price_round(sum, days_in_month, bill->currency);
	for (int i = first; i < end; i++)
	{
		const BillPart *part = &bill->parts[i];
		Money		before = rounded;

		if (part->is_usage ? part_is_nothing(part) : part->is_superseded)
			continue;
		sum = numeric_call(numeric_add, sum, part_exactly(part));
		sum = numeric_call(numeric_sub, sum, part_billed(part));
		rounded = price_round(sum, days_in_month, bill->currency);
		add_line(lines, part, money_sub(rounded, before), total);
	}
}

/* The lines and their sum; the state's parts are sorted in place */
static Lines *
bill_finish(Bill *bill, Money *total)
{
	StringInfoData lines;
	int			end;

	qsort(bill->parts, bill->nparts, sizeof(BillPart), compare_parts);
	merge_parts(bill);
	*total = money_make(bill->currency, 0);
	lines_begin(&lines);
	lines_open_array(&lines);
	for (int i = 0; i < bill->nparts; i = end)
	{
		const BillPart *part = &bill->parts[i];

		end = group_end(bill, i);
		if (end - i == 1 && !part->is_usage)	/* as most: alone, so that few prices need numerics */
			add_line(&lines, part, price_rate_days(part->price, part->quantity, bill->currency, charged_days(part),
												   part->days_in_month), total);
		else
			add_group(&lines, bill, i, end, total);
	}
	lines_close(&lines);
	return lines_end(&lines);
}

/* Columns of kb_bill_result */
enum
{
	BILL_TOTAL, BILL_LINES
};

/* Final function: kb_bill_result(total, lines) */
PG_FUNCTION_INFO_V1(kb_bill_final);
Datum
kb_bill_final(PG_FUNCTION_ARGS)
{
	Row			row;
	Lines	   *lines;
	Money		total;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	row_begin(&row, fcinfo);
	lines = bill_finish((Bill *) PG_GETARG_POINTER(0), &total);
	row_set(&row, BILL_TOTAL, MoneyGetDatum(total));
	row_set(&row, BILL_LINES, LinesGetDatum(lines));
	return row_end(&row);
}
