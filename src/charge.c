/*
 * charge.c
 *		The month charge of one account.
 */
#include "postgres.h"

#include "args.h"
#include "calendar.h"
#include "catalog/pg_type.h"
#include "clock.h"
#include "errors.h"
#include "fmgr.h"
#include "journal.h"
#include "plan.h"
#include "row.h"
#include "utils/array.h"
#include "utils/timestamp.h"

/* Columns of kb_charge_result */
enum
{
	CHARGE_PERIOD, CHARGE_ENTRY_SEQ, CHARGE_TOTAL, CHARGE_BALANCE, CHARGE_STAGE, CHARGE_REPLAYED
};

/* Refuse a charge (KB009) */
static void
refuse(const LockedAccount *account, DateADT period, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_KB_PERIOD_NOT_CHARGEABLE),
			 errmsg("period %s of account %lld cannot be charged",
					date_to_cstring(period), (long long) account->account_id),
			 errdetail_internal("%s", why),
			 errhint("A period is charged once, after its end, the oldest first (C4).")));
}

/* C4: only the oldest period, and only when it has ended */
static void
check_chargeable(const LockedAccount *account, DateADT period)
{
	DateADT		oldest = month_first_day(account->charged_through + 1);

	if (period < month_first_day(account->created_on))
		refuse(account, period, psprintf("The account's first day is %s.", date_to_cstring(account->created_on)));
	if (month_last_day(period) >= account->today)
		refuse(account, period, psprintf("It ends on %s; today is %s in the account's time zone.",
										 date_to_cstring(month_last_day(period)),
										 date_to_cstring(account->today)));
	if (period > oldest)
		refuse(account, period, psprintf("Period %s has not been charged yet.", date_to_cstring(oldest)));
}

/* The period that is asked for */
static DateADT
requested_period(FunctionCallInfo fcinfo, const LockedAccount *account)
{
	DateADT		period;

	if (PG_ARGISNULL(1))
		return month_first_day(account->charged_through + 1);
	period = PG_GETARG_DATEADT(1);
	if (month_first_day(period) != period)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not the first day of a month", date_to_cstring(period)),
				 errhint("A period is named by its first day.")));
	return period;
}

static SavedPlan charged_plan = {
	.sql = "SELECT e.seq, - e.amount, e.balance_after"
	"  FROM entry e WHERE e.account_id = $1 AND e.key = 'kb:charge:' || $2",
	.arg_types = {"bigint", "text"}
};

/* A period that has been charged; one that came to zero has no entry (C8) */
static void
replay_charge(LockedAccount *account, DateADT period, Row *row)
{
	Datum		values[] = {Int64GetDatum(account->account_id),
	CStringGetTextDatum(date_to_cstring(period))};
	bool		isnull;
	int64		seq;

	row_set(row, CHARGE_REPLAYED, BoolGetDatum(true));
	if (plan_execute(&charged_plan, values, NULL, false) == 0)
	{
		row_set(row, CHARGE_TOTAL, MoneyGetDatum(money_make(money_currency(account->balance), 0)));
		row_set(row, CHARGE_BALANCE, MoneyGetDatum(account->balance));
		row_set_enum(row, CHARGE_STAGE, stage_label(journal_stage(account)));
		return;
	}
	seq = DatumGetInt64(plan_column(1, &isnull));
	row_set(row, CHARGE_ENTRY_SEQ, Int64GetDatum(seq));
	row_set(row, CHARGE_TOTAL, plan_column(2, &isnull));
	row_set(row, CHARGE_BALANCE, plan_column(3, &isnull));
	row_set_enum(row, CHARGE_STAGE, journal_stage_then(account, seq, seq));
}

/* Post the charge of the oldest period */
static void
post_charge(LockedAccount *account, Row *row)
{
	Datum		id = Int64GetDatum(account->account_id);
	Datum		value;
	bool		isnull;

	if (journal_post_charges(construct_array(&id, 1, INT8OID, 8, true, TYPALIGN_DOUBLE), account->at) != 1)
		elog(ERROR, "account %lld was not charged", (long long) account->account_id);
	value = plan_column(3, &isnull);
	if (!isnull)
		row_set(row, CHARGE_ENTRY_SEQ, value);
	row_set(row, CHARGE_TOTAL, plan_column(4, &isnull));
	row_set(row, CHARGE_BALANCE, plan_column(5, &isnull));
	account->debt_since.date = DatumGetDateADT(plan_column(6, &isnull));
	account->debt_since.exists = !isnull;
	row_set_enum(row, CHARGE_STAGE, stage_label(journal_stage(account)));
	row_set(row, CHARGE_REPLAYED, BoolGetDatum(false));
}

/* kb_month_charge(account_id, period) */
PG_FUNCTION_INFO_V1(kb_month_charge);
Datum
kb_month_charge(PG_FUNCTION_ARGS)
{
	LockedAccount account;
	DateADT		period;
	Row			row;

	arg_required(fcinfo, 0, "account_id");
	row_begin(&row, fcinfo);
	plan_connect();

	journal_lock(PG_GETARG_INT64(0), kb_current_time(), &account);
	period = requested_period(fcinfo, &account);
	row_set(&row, CHARGE_PERIOD, DateADTGetDatum(period));
	if (month_last_day(period) <= account.charged_through && period >= month_first_day(account.created_on))
		replay_charge(&account, period, &row);
	else
	{
		check_chargeable(&account, period);
		post_charge(&account, &row);
	}

	SPI_finish();
	return row_end(&row);
}
