/*
 * status.c
 *		Where an account stands now, the answer that an app asks for at each
 *		request; and where it stood when an entry was posted.
 */
#include "postgres.h"

#include "account.h"
#include "args.h"
#include "fmgr.h"
#include "plan.h"
#include "row.h"
#include "status.h"

static SavedPlan access_plan = {
	.sql = "SELECT s.stage, kb_access_for(s.stage, $2, s.state IN ('deleted', 'purged')),"
	"       s.amount_due, s.next_stage, s.next_stage_on, s.delete_on"
	"  FROM account_status s WHERE s.account_id = $1",
	.arg_types = {"bigint", "kb_role"}
};

/* kb_access(account_id, role) */
PG_FUNCTION_INFO_V1(kb_access);
Datum
kb_access(PG_FUNCTION_ARGS)
{
	Datum		values[2];
	Row			row;

	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "role");
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	row_begin(&row, fcinfo);

	plan_connect();
	if (plan_execute(&access_plan, values, NULL, true) == 0)
		ereport(ERROR, NO_SUCH_ACCOUNT(PG_GETARG_INT64(0)));
	/* every column is passed by value, so it outlives the connection */
	for (int i = 0; i < row.desc->natts; i++)
		row.values[i] = plan_column(i + 1, &row.nulls[i]);
	SPI_finish();
	return row_end(&row);
}

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
