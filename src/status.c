/*
 * status.c
 *		Where an account stood when an entry was posted.
 */
#include "postgres.h"

#include "plan.h"
#include "status.h"

static SavedPlan stage_then_plan = {
	.sql = "SELECT kb_stage_at($1, $2, e.posted_at)::text FROM entry e"
	" WHERE e.account_id = $1 AND e.seq = $3",
	.arg_types = {"bigint", "bigint", "bigint"}
};

char *
status_stage_then(const LockedAccount *account, int64 seq, int64 at_seq)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(seq), Int64GetDatum(at_seq)};

	if (plan_execute(&stage_then_plan, values, NULL, false) == 0)
		elog(ERROR, "entry %lld is gone", (long long) at_seq);
	return plan_cstring(1);
}
