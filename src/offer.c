/*
 * offer.c
 *		What to offer for a top-up, and the year ahead that offers are made of.
 */
#include "postgres.h"

#include "account.h"
#include "args.h"
#include "calendar.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "offer.h"
#include "plan.h"
#include "shard.h"
#include "utils/array.h"
#include "utils/datetime.h"

/* One statement for the running month and those to come: starting it costs as much as several bills */
static SavedPlan ahead_plan = {
	.sql = "SELECT b.period, b.effective_on, b.total, b.lines FROM kb_bills_ahead($1, $2, true, true) b"
	" ORDER BY b.period NULLS FIRST",
	.arg_types = {"bigint", "date"},
	.is_generic = true
};

/* The same without the months, where kb_forecast would be refused as it may take seconds */
static SavedPlan running_plan = {
	.sql = "SELECT NULL::date, NULL::date, r.total, r.lines FROM running_bill r WHERE r.account_id = $1",
	.arg_types = {"bigint"},
	.is_generic = true
};

/* Their columns */
enum
{
	AHEAD_PERIOD = 1, AHEAD_EFFECTIVE_ON, AHEAD_TOTAL, AHEAD_LINES
};

static SavedPlan services_plan = {
	.sql = "SELECT (SELECT count(*) FROM subscription u WHERE u.account_id = $1 AND u.to_date > $2) * 12 <= 100000",
	.arg_types = {"bigint", "date"},
	.is_generic = true
};

/* The first day of a month, so many months later */
static DateADT
months_later(DateADT day, int months)
{
	int			year;
	int			month;
	int			dom;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &dom);
	month += months - 1;
	return date2j(year + month / MONTHS_PER_YEAR, month % MONTHS_PER_YEAR + 1, 1) - POSTGRES_EPOCH_JDATE;
}

/* Note what is to be paid for the months up to one, if so many are offered */
static void
cover(YearAhead *ahead, int months, Money balance)
{
	static const int32 offered[OFFERED_MONTHS] = {1, 3, 6, 12};

	for (int i = 0; i < OFFERED_MONTHS; i++)
	{
		if (offered[i] != months)
			continue;
		ahead->covered[ahead->ncovered] = months;
		ahead->costs[ahead->ncovered++] = money_minor(balance) < 0 ? money_neg(balance) : money_make(money_currency(balance), 0);
	}
}

/* Where credit expires, the sums of the charges do not tell what covers them */
static SavedPlan amounts_plan = {
	.sql = "SELECT m.months, kb_amount_for($1, m.months) FROM unnest($2) m (months)",
	.arg_types = {"bigint", "integer[]"},
	.is_generic = true
};

/* What is to be paid for the same months by an account with credit that expires */
static void
cover_beyond_expiry(YearAhead *ahead, int64 account_id)
{
	Datum		covered[OFFERED_MONTHS];
	Datum		values[2] = {Int64GetDatum(account_id)};
	uint64		rows;
	bool		isnull;

	for (int i = 0; i < ahead->ncovered; i++)
		covered[i] = Int32GetDatum(ahead->covered[i]);
	values[1] = PointerGetDatum(construct_array(covered, ahead->ncovered, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	rows = plan_execute(&amounts_plan, values, NULL, true);
	for (uint64 i = 0; i < rows; i++)
		ahead->costs[i] = DatumGetMoney(plan_row_column(i, 2, &isnull));
}

void
offer_look_ahead(int64 account_id, Money balance, bool expires, DateADT today, YearAhead *ahead)
{
	Datum		values[] = {Int64GetDatum(account_id), DateADTGetDatum(today)};
	uint64		rows;
	int			months = 0;

	*ahead = (YearAhead) {.used_total = NO_MONEY};
	plan_execute(&services_plan, values, NULL, true);
	if (plan_bool(1))
	{
		values[1] = DateADTGetDatum(months_later(month_first_day(today), MONTHS_PER_YEAR));
		rows = plan_execute(&ahead_plan, values, NULL, true);
	}
	else
		rows = plan_execute(&running_plan, values, NULL, true);
	for (uint64 i = 0; i < rows; i++)
	{
		bool		is_running;
		bool		isnull;
		DateADT		period = DatumGetDateADT(plan_row_column(i, AHEAD_PERIOD, &is_running));
		Money		total = DatumGetMoney(plan_row_column(i, AHEAD_TOTAL, &isnull));

		if (is_running)
		{
			ahead->used_total = total;
			ahead->used = DatumGetLines(plan_row_column(i, AHEAD_LINES, &isnull));
			continue;
		}
		if (!ahead->has_next)
		{
			ahead->has_next = true;
			ahead->period = period;
			ahead->charged_on = DatumGetDateADT(plan_row_column(i, AHEAD_EFFECTIVE_ON, &isnull));
			ahead->charge = total;
		}
		balance = money_sub(balance, total);
		if (period >= month_first_day(today))
			cover(ahead, ++months, balance);
	}
	if (expires)
		cover_beyond_expiry(ahead, account_id);
}

static SavedPlan offers_plan = {
	.sql = "SELECT o.amount, o.bonus, o.bonus_expires_on, o.reason, o.months FROM kb_offers($1, $2, $3) o ORDER BY kb_minor(o.amount)",
	.arg_types = {"bigint", "integer[]", "kb_money[]"},
	.is_generic = true
};

void
offer_find(int64 account_id, const YearAhead *ahead)
{
	Datum		covered[OFFERED_MONTHS];
	Datum		costs[OFFERED_MONTHS];
	Datum		values[3] = {Int64GetDatum(account_id)};

	for (int i = 0; i < ahead->ncovered; i++)
	{
		covered[i] = Int32GetDatum(ahead->covered[i]);
		costs[i] = MoneyGetDatum(ahead->costs[i]);
	}
	values[1] = PointerGetDatum(construct_array(covered, ahead->ncovered, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	values[2] = PointerGetDatum(construct_array(costs, ahead->ncovered, kb_type_oid("kb_money"), sizeof(Money), true, TYPALIGN_DOUBLE));
	plan_execute(&offers_plan, values, NULL, true);
}

static SavedPlan account_plan = {
	.sql = "SELECT a.balance, kb_account_date(kb_now(), a.time_zone), a.lots IS NOT NULL FROM account a WHERE a.account_id = $1",
	.arg_types = {"bigint"},
	.is_generic = true
};

/* kb_topup_offers(account_id) */
PG_FUNCTION_INFO_V1(kb_topup_offers);
Datum
kb_topup_offers(PG_FUNCTION_ARGS)
{
	Datum		account_id = PG_GETARG_DATUM(0);
	YearAhead	ahead;

	arg_required(fcinfo, 0, "account_id");
	shard_require_readable(DatumGetInt64(account_id));
	InitMaterializedSRF(fcinfo, 0);
	plan_connect();
	if (plan_execute(&account_plan, &account_id, NULL, true) == 0)
		ereport(ERROR, NO_SUCH_ACCOUNT(DatumGetInt64(account_id)));
	offer_look_ahead(DatumGetInt64(account_id), plan_money(1), plan_bool(3), plan_date(2), &ahead);
	offer_find(DatumGetInt64(account_id), &ahead);
	plan_return_rows(fcinfo);
	SPI_finish();
	return (Datum) 0;
}
