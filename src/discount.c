/*
 * discount.c
 *		Discounts of accounts and minimums of tariffs, looked up for a bill (C9, C10).
 *
 * Bills are many, and most accounts have neither.  So that is found out without a statement: a look at tables that are
 * empty, or at an index.
 */
#include "postgres.h"

#include "args.h"
#include "billterm.h"
#include "calendar.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "currency.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "lines.h"
#include "miscadmin.h"
#include "money.h"
#include "plan.h"
#include "row.h"
#include "rowread.h"
#include "table.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/lsyscache.h"

/* Where terms are; without rows in either, there is nothing to look up. */
static Table discounts = {.name = "discount", .columns = {"account_id", "discount_no"}, .nkeys = 2};
static Table minimums = {.name = "tariff_minimum", .columns = {"tariff", "from_date"}, .nkeys = 2};

static ReadTable discount_of = {.name = "discount", .columns = {"account_id", "from_period", "to_period"}, .nkeys = 1};
static ReadTable minimum_of = {.name = "tariff_minimum", .columns = {"tariff"}, .nkeys = 1};

/* Arguments of kb_with_terms */
enum
{
	ARG_BILL, ARG_ACCOUNT_ID, ARG_CURRENCY, ARG_TARIFF, ARG_TARIFF_FROM, ARG_FIRST_DAY, ARG_LAST_DAY, ARGS
};

static const char *const arg_names[ARGS] = {"bill", "account_id", "currency", "tariff", "tariff_from", "first_day", "last_day"};

/* Columns of kb_bill_result */
enum
{
	BILL_TOTAL, BILL_LINES
};

/* The bill: its total and lines, none if it has no part */
typedef struct BillResult
{
	Money		total;
	const Lines *lines;
} BillResult;

/* Read the bill */
static BillResult
read_bill(FunctionCallInfo fcinfo, uint16 currency)
{
	HeapTupleHeader bill;
	BillResult	result;
	Datum		lines;
	bool		no_total;
	bool		no_lines;

	if (PG_ARGISNULL(ARG_BILL))
		return (BillResult) {money_make(currency, 0), lines_from_cstring("[]")};
	bill = PG_GETARG_HEAPTUPLEHEADER(ARG_BILL);
	result.total = DatumGetMoney(GetAttributeByNum(bill, BILL_TOTAL + 1, &no_total));
	lines = GetAttributeByNum(bill, BILL_LINES + 1, &no_lines);
	if (no_total || no_lines)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a bill must have a total and lines")));
	result.lines = DatumGetLines(lines);
	return result;
}

/* Count a line of the bill */
static void
count_line(void *arg, const char *service, DateADT from, Money amount)
{
	terms_count(arg, service, from, amount);
}

/* The late months that the bill has lines of, as an array; NULL if there is none */
static ArrayType *
late_months(const BillTerms *terms)
{
	Datum	   *months = palloc(sizeof(Datum) * (list_length(terms->sums) + 1));
	int			n = 0;
	ListCell   *cell;

	foreach(cell, terms->sums)
	{
		DateADT		month = ((const ServiceSum *) lfirst(cell))->month;
		int			i = 0;

		while (i < n && DatumGetDateADT(months[i]) != month)
			i++;
		if (month != terms->month && i == n)
			months[n++] = DateADTGetDatum(month);
	}
	return n == 0 ? NULL : construct_array(months, n, DATEOID, sizeof(DateADT), true, TYPALIGN_INT);
}

/* Whether a discount is for any of the bill's months, which begin with a day */
static bool
is_discount(const ReadRow *row, const void *earliest)
{
	DateADT		to_period = DatumGetDateADT(row->values[2]);

	return DatumGetDateADT(row->values[1]) < to_period && to_period > *(const DateADT *) earliest;
}

/* The first day that the bill is about */
static DateADT
earliest_day(FunctionCallInfo fcinfo, const BillTerms *terms)
{
	DateADT		day = PG_GETARG_DATEADT(ARG_FIRST_DAY);
	ListCell   *cell;

	foreach(cell, terms->sums)
	{
		DateADT		month = ((const ServiceSum *) lfirst(cell))->month;

		if (month != terms->month)
			day = Min(day, month);
	}
	return day;
}

/* Whether the caller may read discounts, as the statement that looks them up will ask */
static bool
may_read(void)
{
	Oid			discount = get_relname_relid("discount", get_namespace_oid("kbilling", false));

	return pg_class_aclcheck(discount, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/*
 * Whether an account may have a discount or minimum: a tariff that it had before the one of its row may have one.  Who may
 * not read them is not told, but gets the statement's error.
 */
static bool
may_have_terms(FunctionCallInfo fcinfo, const BillTerms *terms)
{
	Datum		account_id = PG_GETARG_DATUM(ARG_ACCOUNT_ID);
	Datum		tariff = PG_GETARG_DATUM(ARG_TARIFF);
	DateADT		earliest = earliest_day(fcinfo, terms);
	DateADT		month = month_first_day(earliest);
	ReadRow		row;

	if (!may_read())
		return true;
	if (!table_is_empty(&minimums) &&
		(PG_GETARG_DATEADT(ARG_TARIFF_FROM) > earliest || row_read(&minimum_of, &tariff, &row)))
		return true;
	return !table_is_empty(&discounts) && row_read_first(&discount_of, &account_id, &row, is_discount, &month);
}

static SavedPlan terms_plan = {
	.sql = "SELECT t.term, t.service, t.from_date, t.to_date, t.number, t.discount_no"
	"  FROM kbilling_internal.kb_bill_terms($1, $2, $3, $4, $5) t",
	.arg_types = {"bigint", "text", "date", "date", "date"},
	.is_generic = true
};

static SavedPlan late_plan = {
	.sql = "SELECT t.term, t.service, t.from_date, t.to_date, t.number, t.discount_no"
	"  FROM kbilling_internal.kb_late_terms($1, $2, $3, $4) t",
	.arg_types = {"bigint", "text", "date", "date[]"},
	.is_generic = true
};

/* Their columns */
enum
{
	TERM_TERM = 1, TERM_SERVICE, TERM_FROM_DATE, TERM_TO_DATE, TERM_NUMBER, TERM_DISCOUNT_NO
};

/* A row of the result as a term, in a memory context that outlives it */
static void
read_term(BillTerms *terms, uint64 row, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	BillTerm	term = {0};
	bool		isnull;
	Datum		service = plan_row_column(row, TERM_SERVICE, &isnull);

	if (!isnull)
		term.service = TextDatumGetCString(service);
	term.kind = term_kind(TextDatumGetCString(plan_row_column(row, TERM_TERM, &isnull)));
	term.from = DatumGetDateADT(plan_row_column(row, TERM_FROM_DATE, &isnull));
	term.to = DatumGetDateADT(plan_row_column(row, TERM_TO_DATE, &isnull)) - 1;
	term.number = DatumGetNumericCopy(plan_row_column(row, TERM_NUMBER, &isnull));
	term.number_of = DatumGetInt32(plan_row_column(row, TERM_DISCOUNT_NO, &isnull));
	terms_add(terms, &term);
	MemoryContextSwitchTo(old);
}

/* Look the terms up: those of the bill's days, and of late months */
static void
look_up_terms(FunctionCallInfo fcinfo, BillTerms *terms)
{
	MemoryContext context = CurrentMemoryContext;
	ArrayType  *late = late_months(terms);
	Datum		values[] = {PG_GETARG_DATUM(ARG_ACCOUNT_ID), PG_GETARG_DATUM(ARG_TARIFF), PG_GETARG_DATUM(ARG_TARIFF_FROM),
		PG_GETARG_DATUM(ARG_FIRST_DAY), PG_GETARG_DATUM(ARG_LAST_DAY)};
	uint64		n;

	plan_connect();
	n = plan_execute(&terms_plan, values, NULL, true);
	for (uint64 i = 0; i < n; i++)
		read_term(terms, i, context);
	if (late != NULL)
	{
		values[3] = PointerGetDatum(late);
		n = plan_execute(&late_plan, values, NULL, true);
		for (uint64 i = 0; i < n; i++)
			read_term(terms, i, context);
	}
	SPI_finish();
}

/* kb_with_terms(bill, account_id, currency, tariff, tariff_from, first_day, last_day) */
PG_FUNCTION_INFO_V1(kb_with_terms);
Datum
kb_with_terms(PG_FUNCTION_ARGS)
{
	BillTerms	terms = {0};
	BillResult	bill;
	Row			row;

	for (int i = ARG_ACCOUNT_ID; i < ARGS; i++)
		arg_required(fcinfo, i, arg_names[i]);
	if (!table_is_empty(&discounts) || !table_is_empty(&minimums))
	{
		terms.currency = currency_from_text(PG_GETARG_TEXT_PP(ARG_CURRENCY));
		terms.month = month_first_day(PG_GETARG_DATEADT(ARG_LAST_DAY));
		bill = read_bill(fcinfo, terms.currency);
		lines_each(bill.lines, count_line, &terms);
		if (may_have_terms(fcinfo, &terms))
			look_up_terms(fcinfo, &terms);
	}
	if (terms.terms == NIL)
	{
		if (PG_ARGISNULL(ARG_BILL))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(ARG_BILL));
	}
	row_begin(&row, fcinfo);
	bill.lines = terms_apply(&terms, bill.lines, &bill.total);
	row_set(&row, BILL_TOTAL, MoneyGetDatum(bill.total));
	row_set(&row, BILL_LINES, LinesGetDatum(bill.lines));
	return row_end(&row);
}

/* For lines_each: whether there is an amount */
static void
note_amount(void *found, const char *service, DateADT from, Money amount)
{
	if (money_minor(amount) != 0)
		*(bool *) found = true;
}

/* kb_bill_entries(total, lines) */
PG_FUNCTION_INFO_V1(kb_bill_entries);
Datum
kb_bill_entries(PG_FUNCTION_ARGS)
{
	bool		found = money_minor(PG_GETARG_MONEY(0)) != 0;

	if (!found)
		lines_each(PG_GETARG_LINES(1), note_amount, &found);
	PG_RETURN_INT32(found);
}
