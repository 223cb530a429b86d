/*
 * notice.c
 *		Notices are given to workers, under a lease (N2).
 */
#include "postgres.h"

#include "args.h"
#include "clock.h"
#include "fmgr.h"
#include "funcapi.h"
#include "outbox.h"
#include "plan.h"
#include "shard.h"
#include "utils/timestamp.h"

/* The most notices that a worker gets at once */
#define MAX_TAKEN		1000

/* Taken as often as they may be, and the last lease has run out without an answer; $1 the moment */
static SavedPlan park_plan = {
	.sql = "UPDATE notice n"
	"   SET due_at = NULL, parked_at = $1, last_error = coalesce(n.last_error, 'the last lease ran out')"
	" WHERE n.ctid = ANY (ARRAY(SELECT x.ctid FROM notice x"
	"                           WHERE x.due_at <= $1 AND x.tries >= kb_max_tries() AND kb_is_owned(x.account_id)"
	"                             FOR UPDATE SKIP LOCKED))",
	.arg_types = {"timestamptz"},
	.is_generic = true
};

/*
 * $1 the moment, $2 how many, $3 when the lease ends.  The planner cannot know $2, and would take it for a
 * tenth of the queue; that there are MAX_TAKEN at most, it can know.  No more are locked than $2, as no more are asked for.
 */
static SavedPlan take_plan = {
	.sql = "WITH taken AS ("
	"  UPDATE notice n"
	"     SET tries = n.tries + 1, due_at = $3, leased_until = $3"
	"   WHERE n.ctid = ANY (ARRAY(SELECT q.ctid FROM ("
	"           SELECT x.ctid FROM notice x"
	"            WHERE x.due_at <= $1 AND x.tries < kb_max_tries() AND kb_is_owned(x.account_id)"
	"            ORDER BY x.due_at, x.account_id, x.notice_no LIMIT " CppAsString2(MAX_TAKEN)
	"              FOR UPDATE SKIP LOCKED) q LIMIT $2))"
	"  RETURNING n"
	")"
	"SELECT (t.n).account_id, (t.n).notice_no, (t.n).kind, (t.n).written_at, (t.n).tries, (t.n).leased_until, f.facts, r.recipients"
	"  FROM taken t"
	" CROSS JOIN LATERAL kb_notice_facts(t.n) f"
	" CROSS JOIN LATERAL kb_recipients((t.n).account_id, (t.n).kind) r"
	" ORDER BY (t.n).written_at, (t.n).account_id, (t.n).notice_no",
	.arg_types = {"timestamptz", "integer", "timestamptz"},
	.is_generic = true
};

/* There must be some to take, and not too many */
static void
check_max(int32 max)
{
	if (max < 1 || max > MAX_TAKEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max must be from 1 to %d", MAX_TAKEN),
				 errdetail("It is %d.", max)));
}

/* When a lease ends that is given at a moment; it must be within a day.  A month less its days is an interval of no fixed length. */
static TimestampTz
lease_end(TimestampTz at, Datum lease)
{
	TimestampTz end = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(at), lease));
	Interval	day = {.day = 1};
	TimestampTz latest = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(at),
																 IntervalPGetDatum(&day)));

	if (end <= at || end > latest)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lease must be above zero, and at most a day"),
				 errdetail("It is %s.", DatumGetCString(DirectFunctionCall1(interval_out, lease))),
				 errhint("Give the time that delivering so many notices takes at most.")));
	return end;
}

/* Take up to so many notices that are due at a moment, and return them; how many */
static uint64
take(FunctionCallInfo fcinfo, TimestampTz at)
{
	Datum		values[] = {TimestampTzGetDatum(at), PG_GETARG_DATUM(0), TimestampTzGetDatum(lease_end(at, PG_GETARG_DATUM(1)))};
	uint64		n;

	plan_execute(&park_plan, values, NULL, false);
	n = plan_execute(&take_plan, values, NULL, false);
	plan_return_rows(fcinfo);
	return n;
}

/* kb_take_notices(max, lease): a session that listens, and finds nothing, is woken from then on */
PG_FUNCTION_INFO_V1(kb_take_notices);
Datum
kb_take_notices(PG_FUNCTION_ARGS)
{
	uint64		n;

	arg_required(fcinfo, 0, "max");
	arg_required(fcinfo, 1, "lease");
	check_max(PG_GETARG_INT32(0));
	InitMaterializedSRF(fcinfo, 0);
	shard_lock_many();
	plan_connect();
	n = take(fcinfo, kb_current_time());
	/* by the clock, as what others have written meanwhile is due after the start of this transaction */
	if (n == 0 && outbox_lie_down())
		n = take(fcinfo, kb_time_by_clock());
	if (n > 0)
		outbox_get_up();
	SPI_finish();
	return (Datum) 0;
}
