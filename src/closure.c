/*
 * closure.c
 *		What a top-up does to a closure.
 */
#include "postgres.h"

#include "closure.h"
#include "plan.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static SavedPlan cancel_plan = {
	.sql = "SELECT kb_put_cancellations(ARRAY[$1], $2, coalesce($3, 'top-up'), 'topup')",
	.arg_types = {"bigint", "timestamptz", "text"}
};

static SavedPlan tell_plan = {
	.sql = "SELECT kb_notify_closures(ARRAY[$1], $2)",
	.arg_types = {"bigint", "timestamptz"}
};

void
closure_cancel_for_topup(const LockedAccount *account, const char *member)
{
	Datum		values[] = {Int64GetDatum(account->account_id), TimestampTzGetDatum(account->at),
		member ? CStringGetTextDatum(member) : (Datum) 0
	};

	plan_execute(&cancel_plan, values, member ? NULL : "  n", false);
	plan_execute(&tell_plan, values, NULL, false);
}
