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
#include "clock.h"
#include "ownlock.h"
#include "plan.h"
#include "rowread.h"
#include "status.h"

enum
{
	ACTIVITY_ACCOUNT_ID, ACTIVITY_ACTIVE_AT
};

static ReadTable activity_table = {.name = "activity", .columns = {"account_id", "active_at"}, .nkeys = 1};

/* Names, types and operators are written out, as what runs these pins no path. */
static SavedPlan lock_plan = {
	.sql = "SELECT FROM kbilling.account a WHERE a.account_id OPERATOR(pg_catalog.=) $1"
	" AND a.state OPERATOR(pg_catalog.=) ANY ('{active,closing}'::kbilling.kb_account_state[]) FOR NO KEY UPDATE",
	.arg_types = {"bigint"}
};

static SavedPlan note_plan = {
	.sql = "INSERT INTO kbilling.activity AS v (account_id, active_at) VALUES ($1, $2)"
	" ON CONFLICT (account_id) DO UPDATE SET active_at = excluded.active_at WHERE v.active_at OPERATOR(pg_catalog.<=) $3",
	.arg_types = {"bigint", "timestamp with time zone", "timestamp with time zone"}
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

/* Whether something was noted after a moment */
static bool
was_noted(int64 account_id, TimestampTz after)
{
	Datum		key = Int64GetDatum(account_id);
	ReadRow		row;

	return row_read(&activity_table, &key, &row) && DatumGetTimestampTz(row.values[ACTIVITY_ACTIVE_AT]) > after;
}

/* Whether what a member with the role does is activity of the account */
static bool
counts(const AccountStatus *account, Role role, Activity activity)
{
	TariffPolicy policy;

	if (access_for(account->now.stage, role, account->is_deleted, account->is_ended) == ACCESS_DENIED)
		return false;
	return activity == ACTIVITY_LOGIN || (status_policy(&account->row, &policy) && !policy.counts_logins_alone);
}

bool
activity_note(int64 account_id, Role role, Activity activity)
{
	Datum		value = Int64GetDatum(account_id);
	TimestampTz at = kb_current_time();
	AccountStatus account;

	if (was_noted(account_id, at - USECS_PER_HOUR) || XactReadOnly || RecoveryInProgress())
		return false;
	if (!status_read(account_id, &account) || !counts(&account, role, activity))
		return false;
	plan_connect();
	if (!account.is_closing || plan_execute(&lock_plan, &value, NULL, false) > 0)
		note(account_id, at);
	SPI_finish();
	return true;
}
