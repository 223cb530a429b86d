/*
 * notice.c
 *		Notices of what has happened to an account.
 */
#include "postgres.h"

#include "notice.h"
#include "plan.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static SavedPlan stage_plan = {
	.sql = "SELECT kb_notify_stages(ARRAY[$1], $2, $3::kb_stage, 'entry ' || $4)",
	.arg_types = {"bigint", "timestamptz", "text", "bigint"}
};

void
notice_stage_changed(const LockedAccount *account, Stage before)
{
	Datum		values[] = {Int64GetDatum(account->account_id), TimestampTzGetDatum(account->at),
		CStringGetTextDatum(stage_label(before)), Int64GetDatum(account->last_seq)
	};

	plan_execute(&stage_plan, values, NULL, false);
}
