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
#include "money.h"
#include "price.h"
#include "row.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/jsonb.h"

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
	int			days_in_month;
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
	bill->days_in_month = month_last_day(first_day) - month_first_day(first_day) + 1;
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
	if (part->is_late)
	{
		part->from = from;
		part->to = end - 1;
		return;
	}
	part->from = Max(from, bill->first_day);
	part->to = DATE_IS_NOEND(end) ? bill->last_day : Min(end - 1, bill->last_day);
}

/* Arguments of kb_bill_add */
enum
{
	ARG_STATE, ARG_SERVICE, ARG_FROM_DATE, ARG_TO_DATE, ARG_QUANTITY, ARG_EVENTS, ARG_BILLED_QUANTITY, ARG_BILLED_EVENTS,
	ARG_PRICE, ARG_PRORATE, ARG_CURRENCY, ARG_FIRST_DAY, ARG_LAST_DAY, NUM_ARGS
};

/* None may be null but for the state, and what only usage has */
static void
check_part_arguments(FunctionCallInfo fcinfo)
{
	for (int i = ARG_SERVICE; i < NUM_ARGS; i++)
	{
		bool		of_usage = i >= ARG_EVENTS && i <= ARG_BILLED_EVENTS;

		if (PG_ARGISNULL(i) && !(of_usage && PG_ARGISNULL(ARG_EVENTS)))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a part of a bill must not be null")));
	}
}

/*
 * kb_bill_add(state, service, from_date, to_date, quantity, events,
 * billed_quantity, billed_events, price, prorate, currency, first_day, last_day):
 * to_date is the day after the last one; events and what is billed are NULL but
 * for usage.
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
		part->events = PG_GETARG_INT64(ARG_EVENTS);
		part->billed_quantity = DatumGetNumericCopy(PG_GETARG_DATUM(ARG_BILLED_QUANTITY));
		part->billed_events = PG_GETARG_INT64(ARG_BILLED_EVENTS);
	}
	part->price = (Price *) PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(ARG_PRICE));
	part->prorate = PG_GETARG_BOOL(ARG_PRORATE);
	part_set_days(bill, part, PG_GETARG_DATEADT(ARG_FROM_DATE), PG_GETARG_DATEADT(ARG_TO_DATE));
	MemoryContextSwitchTo(old);

	PG_RETURN_POINTER(bill);
}

/* The base fee first, then by service and day, usage that is late after that of the period */
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
	return (x->from > y->from) - (x->from < y->from);
}

/*
 * A price that is not prorated is due in full, once a period: if the service had
 * several, the last one counts.
 */
static bool
part_is_superseded(const Bill *bill, int i)
{
	const BillPart *part = &bill->parts[i];

	return !part->prorate && !part->is_usage && i + 1 < bill->nparts &&
		strcmp(part->service, bill->parts[i + 1].service) == 0;
}

/* What a part that is charged by day costs */
static Money
rate_days(const Bill *bill, const BillPart *part)
{
	int			days = part->prorate ? part->to - part->from + 1 : bill->days_in_month;

	return price_rate_days(part->price, part->quantity, 1, bill->currency,
						   days, bill->days_in_month);
}

/* What a quantity of usage costs in all; nothing if nothing was used */
static Money
rate_total(const Bill *bill, const BillPart *part, Numeric quantity, int64 events)
{
	Numeric		zero = int64_to_numeric(0);
	bool		is_zero = DatumGetBool(DirectFunctionCall2(numeric_le, NumericGetDatum(quantity), NumericGetDatum(zero)));

	if (is_zero && events <= 0)
		return money_make(bill->currency, 0);
	return price_rate(part->price, quantity, Max(events, 0), bill->currency);
}

/*
 * U3: what usage costs: all usage of its month, less what was billed of it before.  So
 * tiers, free units and bounds are those of the whole month, whether usage comes in
 * time or late, and what is taken back is given back.
 */
static Money
rate_usage(const Bill *bill, const BillPart *part)
{
	Datum		all = DirectFunctionCall2(numeric_add, NumericGetDatum(part->billed_quantity), NumericGetDatum(part->quantity));

	return money_sub(rate_total(bill, part, DatumGetNumeric(all), part->billed_events + part->events),
					 rate_total(bill, part, part->billed_quantity, part->billed_events));
}

/* Add a text to a JSON object, as key or value */
static void
push_text(JsonbParseState **state, JsonbIteratorToken token, char *str)
{
	JsonbValue	v;

	v.type = jbvString;
	v.val.string.val = str;
	v.val.string.len = strlen(str);
	(void) pushJsonbValue(state, token, &v);
}

/* Add a pair with a text */
static void
push_string(JsonbParseState **state, char *key, char *value)
{
	push_text(state, WJB_KEY, key);
	push_text(state, WJB_VALUE, value);
}

/* Add a pair with a number */
static void
push_number(JsonbParseState **state, char *key, Numeric value)
{
	JsonbValue	v;

	push_text(state, WJB_KEY, key);
	v.type = jbvNumeric;
	v.val.numeric = value;
	(void) pushJsonbValue(state, WJB_VALUE, &v);
}

/* What a line is for */
static char *
line_kind(const BillPart *part)
{
	if (part->is_late)
		return "late usage";
	if (part->is_usage)
		return "usage";
	return strcmp(part->service, "base") == 0 ? "base fee" : "recurring service";
}

/*
 * C7: a line says everything that it was made of.  The keys are pushed in the order
 * in which jsonb stores them, by length and then by letter, which saves sorting.
 */
static void
push_line(JsonbParseState **state, const Bill *bill, const BillPart *part, Money amount)
{
	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_string(state, "to", date_to_cstring(part->to));
	if (!part->is_usage)
		push_number(state, "days", int64_to_numeric(part->to - part->from + 1));
	push_string(state, "from", date_to_cstring(part->from));
	push_string(state, "what", line_kind(part));
	push_string(state, "amount", money_to_cstring(amount));
	if (part->is_usage)
		push_number(state, "events", int64_to_numeric(part->events));
	push_string(state, "service", part->service);
	push_number(state, "quantity", part->quantity);
	push_string(state, "unit_price", price_to_cstring(part->price));
	if (!part->is_usage)
		push_number(state, "days_in_month", int64_to_numeric(bill->days_in_month));
	if (part->is_late)
	{
		push_number(state, "billed_events", int64_to_numeric(part->billed_events));
		push_number(state, "billed_quantity", part->billed_quantity);
	}
	(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* The lines and their sum; the state's parts are sorted in place */
static Jsonb *
bill_finish(Bill *bill, Money *total)
{
	JsonbParseState *state = NULL;

	qsort(bill->parts, bill->nparts, sizeof(BillPart), compare_parts);
	*total = money_make(bill->currency, 0);
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < bill->nparts; i++)
	{
		const BillPart *part = &bill->parts[i];
		Money		amount;

		if (part_is_superseded(bill, i))
			continue;
		/* rounded here and nowhere else (M4) */
		amount = part->is_usage ? rate_usage(bill, part) : rate_days(bill, part);
		*total = money_add(*total, amount);
		push_line(&state, bill, part, amount);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
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
	Jsonb	   *lines;
	Money		total;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	row_begin(&row, fcinfo);
	lines = bill_finish((Bill *) PG_GETARG_POINTER(0), &total);
	row_set(&row, BILL_TOTAL, MoneyGetDatum(total));
	row_set(&row, BILL_LINES, JsonbPGetDatum(lines));
	return row_end(&row);
}
