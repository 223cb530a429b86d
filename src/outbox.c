/*
 * outbox.c
 *		Waking the workers that deliver notices (N1).
 *
 * A NOTIFY makes commits take turns, so there is one only where somebody sleeps.  A worker that lies down takes
 * a lock and then looks once more.  A transaction that has written a notice tries another mode of that lock just before
 * it commits, and keeps it until others see what it has written.  So either the transaction finds the worker's lock,
 * and notifies; or the worker waits for the transaction's, and its look finds the notice.
 */
#include "postgres.h"

#include "access/xact.h"
#include "args.h"
#include "commands/async.h"
#include "compat.h"
#include "fmgr.h"
#include "outbox.h"
#include "ownlock.h"
#include "plan.h"
#include "utils/guc.h"

/* The modes of the lock: each goes together with itself, and not with the other */
#define SLEEP_LOCK		own_lock(OWN_LOCK_SLEEP, 0)
#define SLEEPING		ShareLock
#define COMMITTING		RowExclusiveLock

static bool notify = true;

/* The transaction has written a notice */
static bool has_notices = false;

/* Before the commit: wake the workers if there is one that sleeps, or lies down; who waits for the lock counts */
static void
wake_sleepers(void)
{
	LOCKTAG		lock = SLEEP_LOCK;

	if (kb_lock_is_held(&lock, SLEEPING) || LockAcquire(&lock, COMMITTING, false, true) == LOCKACQUIRE_NOT_AVAIL)
		Async_Notify("kbilling", "");
}

/* What is prepared for a second phase wakes nobody: a NOTIFY cannot be prepared, and a lock might be kept for days. */
static void
end_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT && has_notices)
		wake_sleepers();
	has_notices = false;
}

void
outbox_init(void)
{
	DefineCustomBoolVariable("kbilling.notify",
							 "Sends NOTIFY kbilling for notices where a worker sleeps.",
							 "Without it workers find a notice when they look by themselves.",
							 &notify,
							 true,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);
	RegisterXactCallback(end_transaction, NULL);
}

void
kb_wake_workers(void)
{
	if (notify)
		has_notices = true;
}

static SavedPlan listening_plan = {
	.sql = "SELECT FROM pg_listening_channels() c WHERE c = 'kbilling'",
	.is_generic = true
};

bool
outbox_lie_down(void)
{
	LOCKTAG		lock = SLEEP_LOCK;

	if (kb_lock_is_held(&lock, SLEEPING) || plan_execute(&listening_plan, NULL, NULL, false) == 0)
		return false;
	(void) LockAcquire(&lock, SLEEPING, true, false);
	if (!IsolationUsesXactSnapshot())
		return true;
	/* another look would see no more than the first: the session wakes itself when it commits, and looks again then */
	Async_Notify("kbilling", "");
	return false;
}

void
outbox_get_up(void)
{
	LOCKTAG		lock = SLEEP_LOCK;

	if (kb_lock_is_held(&lock, SLEEPING))
		(void) LockRelease(&lock, SLEEPING, true);
}

/* kb_wake(notices): wakes the workers if there are notices, and returns their number */
PG_FUNCTION_INFO_V1(kb_wake);
Datum
kb_wake(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "notices");
	if (PG_GETARG_INT64(0) > 0)
		kb_wake_workers();
	PG_RETURN_INT64(PG_GETARG_INT64(0));
}
