/*
 * closure.c
 *		What a top-up does to a closure, and the months that a restored account
 *		is not charged.
 */
#include "postgres.h"

#include "args.h"
#include "closure.h"
#include "fmgr.h"
#include "plan.h"

static SavedPlan cancel_plan = {
	.sql = "SELECT kb_put_cancellations(ARRAY[$1], $2, coalesce($3, 'top-up'), 'topup')",
	.arg_types = {"bigint", "timestamptz", "text"}
};

static SavedPlan notify_plan = {
	.sql = "SELECT kb_notify_closures(ARRAY[$1], $2)",
	.arg_types = {"bigint", "timestamptz"}
};

void
closure_cancel_for_topup(const LockedAccount *account, const char *member)
{
	char		nulls[] = "   ";
	Datum		values[] = {Int64GetDatum(account->account_id), TimestampTzGetDatum(account->at),
		plan_text_value(member, &nulls[2])
	};

	plan_execute(&cancel_plan, values, nulls, false);
	plan_execute(&notify_plan, values, NULL, false);
}

/* The months up to a day that are not charged never will be (D5) */
static SavedPlan skip_plan = {
	.sql = "WITH skipped AS ("
	"  INSERT INTO skipped_month (account_id, period)"
	"  SELECT a.account_id, m::date"
	"    FROM account a,"
	"         generate_series(kb_month_first_day(a.charged_through + 1)::timestamp, $2::timestamp, interval '1 month') m"
	"   WHERE a.account_id = $1"
	")"
	"UPDATE account a SET charged_through = $2 WHERE a.account_id = $1 AND a.charged_through < $2",
	.arg_types = {"bigint", "date"}
};

/* kb_skip_months(account_id, through) */
PG_FUNCTION_INFO_V1(kb_skip_months);
Datum
kb_skip_months(PG_FUNCTION_ARGS)
{
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};

	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "through");
	plan_connect();
	journal_write(&skip_plan, values, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}
