/*
 * activity.c
 *		Activity of members: noted at most once an hour, and never waited for.
 *
 * A transaction that has noted something may stay open for long, so others do not
 * wait for it but note nothing.  An account that is closing is the exception: its
 * row is locked first, so that a deletion waits for the member, or the member for
 * the deletion (D4).
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "activity.h"
#include "args.h"
#include "clock.h"
#include "fmgr.h"
#include "ownlock.h"
#include "plan.h"

/* The member, and whether something was noted after a moment */
static SavedPlan look_plan = {
	.sql = "SELECT coalesce((SELECT v.active_at FROM activity v WHERE v.account_id = $1) > $3, false)"
	"  FROM member m WHERE m.account_id = $1 AND m.member = $2",
	.arg_types = {"bigint", "text", "timestamptz"}
};

/* Whether the account is closing; no row if this is no activity */
static SavedPlan counts_plan = {
	.sql = "SELECT a.state = 'closing'"
	"  FROM account_now s"
	"  JOIN account a ON a.account_id = s.account_id"
	"  JOIN member m ON m.account_id = s.account_id AND m.member = $2"
	" CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date($3, a.time_zone)) p"
	" WHERE s.account_id = $1 AND kb_access_for(s.stage, m.role, s.state IN ('deleted', 'purged')) <> 'denied'"
	"   AND (p.activity = 'any' OR $4)",
	.arg_types = {"bigint", "text", "timestamptz", "boolean"}
};

static SavedPlan lock_plan = {
	.sql = "SELECT FROM account a WHERE a.account_id = $1 AND a.state IN ('active', 'closing') FOR NO KEY UPDATE",
	.arg_types = {"bigint"}
};

static SavedPlan note_plan = {
	.sql = "INSERT INTO activity AS v (account_id, active_at) VALUES ($1, $2)"
	" ON CONFLICT (account_id) DO UPDATE SET active_at = excluded.active_at WHERE v.active_at <= $3",
	.arg_types = {"bigint", "timestamptz", "timestamptz"}
};

/* Lock the right to note something of the account; false if another transaction has it */
static bool
lock_note(int64 account_id)
{
	LOCKTAG		tag = own_lock(OWN_LOCK_ACTIVITY, account_id);

	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Write the row */
static void
write_note(void *values)
{
	(void) plan_execute(&note_plan, values, NULL, false);
}

/*
 * Note it.  What a snapshot does not see was noted within the hour or is a deletion's;
 * the caller's transaction does not fail for the former, and the lock has seen to the latter.
 */
static void
note(int64 account_id, TimestampTz at)
{
	Datum		values[] = {Int64GetDatum(account_id), TimestampTzGetDatum(at), TimestampTzGetDatum(at - USECS_PER_HOUR)};
	ErrorData  *error;

	if (!lock_note(account_id))
		return;
	if (!IsolationUsesXactSnapshot())
	{
		write_note(values);
		return;
	}
	error = plan_try(write_note, values);
	if (error != NULL && error->sqlerrcode != ERRCODE_T_R_SERIALIZATION_FAILURE)
		ReThrowError(error);
}

bool
activity_note(int64 account_id, const char *member, Activity activity)
{
	TimestampTz at = kb_current_time();
	Datum		look[] = {Int64GetDatum(account_id), CStringGetTextDatum(member), TimestampTzGetDatum(at - USECS_PER_HOUR)};
	Datum		values[] = {look[0], look[1], TimestampTzGetDatum(at), BoolGetDatum(activity == ACTIVITY_LOGIN)};

	if (plan_execute(&look_plan, look, NULL, false) == 0)
		return false;
	if (plan_bool(1) || XactReadOnly || RecoveryInProgress())
		return true;
	if (plan_execute(&counts_plan, values, NULL, false) == 0)
		return true;
	if (!plan_bool(1) || plan_execute(&lock_plan, values, NULL, false) > 0)
		note(account_id, at);
	return true;
}

/* kb_note_login(account_id, member) */
PG_FUNCTION_INFO_V1(kb_note_login);
Datum
kb_note_login(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "member");
	plan_connect();
	(void) activity_note(PG_GETARG_INT64(0), arg_cstring(fcinfo, 1), ACTIVITY_LOGIN);
	SPI_finish();
	PG_RETURN_VOID();
}
