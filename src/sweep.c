/*
 * sweep.c
 *		The sweep: what is due of all accounts, batch by batch (W1, W3).
 *
 * The procedure commits, so it has the rights and the search_path of its
 * caller; what it calls has the owner's.  Where a run has got to stands in its
 * row, which is also what another session sees of it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "args.h"
#include "fmgr.h"
#include "funcapi.h"
#include "journal.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "plan.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

/*
 * The lock that the running sweep of a database holds: an advisory one, of a
 * class that SQL cannot take (it has 1 and 2), so that nobody stops the billing.
 */
#define SET_SWEEP_LOCKTAG(tag)	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0x6b62696c, 0x6c696e67, 3)

/* What a batch did */
typedef struct BatchResult
{
	int64		done;
	int64		posted;
	int64		failed;
} BatchResult;

/*
 * What a run does, one after the other: so a closure sees what was charged, and
 * a notice what was closed.  The names are those in kbilling.sweep_run.
 */
typedef struct Phase
{
	const char *name;
	SavedPlan	next_zone;		/* the next zone in which there is something to do */
	SavedPlan	pick;			/* the next accounts there, and the place where they end */
	SavedPlan	work;			/* does it, and gives how much it did; the journal posts the charges */
	SavedPlan	progress;		/* adds what was done */
} Phase;

/*
 * A zone with something due, found by a step in the index for each zone.  $1 the
 * run's moment, $2 the zone where it is; the empty name is before all others.
 */
#define NEXT_ZONE(column, states, due) \
	"WITH RECURSIVE zone(time_zone) AS (" \
	"  SELECT min(a.time_zone) FROM account a WHERE a.time_zone > $2 AND " states \
	"  UNION ALL" \
	"  SELECT (SELECT min(a.time_zone) FROM account a WHERE a.time_zone > zone.time_zone AND " states ")" \
	"    FROM zone WHERE zone.time_zone IS NOT NULL" \
	"     AND NOT EXISTS (SELECT FROM account a WHERE a.time_zone = zone.time_zone AND " states \
	"                        AND a." column " " due("zone.time_zone") ")" \
	")" \
	"SELECT max(zone.time_zone) FROM zone HAVING count(*) = count(zone.time_zone)"

#define NEXT_ZONE_TYPES	{"timestamptz", "text"}

/* $1 the zone, $2 and $3 where the run is in it, $4 the moment, $5 how many */
#define PICK_TYPES	{"text", "date", "bigint", "timestamptz", "integer"}

/* The next accounts by a date that has come */
#define PICK_DUE(column, states) \
	"SELECT array_agg(x.account_id ORDER BY x.at, x.account_id), max(x.at)," \
	"       (array_agg(x.account_id ORDER BY x.at DESC, x.account_id DESC))[1]" \
	"  FROM (SELECT a.account_id, a." column " AS at FROM account a" \
	"         WHERE a.time_zone = $1 AND (a." column ", a.account_id) > ($2, $3)" \
	"           AND a." column " <= kb_account_date($4, $1) AND " states \
	"         ORDER BY a." column ", a.account_id LIMIT $5) x"

#define WORK_TYPES	{"bigint[]", "timestamptz"}

#define PROGRESS_TYPES	{"bigint", "bigint", "bigint", "bigint", "date", "bigint"}
#define PROGRESS(set) \
	"UPDATE sweep_run SET " set "," \
	"       accounts_failed = accounts_failed + $4, at_date = $5, at_account_id = $6" \
	" WHERE run_id = $1"

#define LIVING	"a.state IN ('active', 'closing')"
#define MONTH_OVER(zone)	"< kbilling_internal.kb_month_first_day(kbilling_internal.kb_account_date($1, " zone ")) - 1"
#define DAY_COME(zone)	"<= kbilling_internal.kb_account_date($1, " zone ")"

static Phase phases[] = {
	{
		.name = "charges",
		.next_zone = {.sql = NEXT_ZONE("charged_through", LIVING, MONTH_OVER), .arg_types = NEXT_ZONE_TYPES},
		/*
		 * Oldest month first.  A batch is of one month: so the charge takes its
		 * accounts to a place ahead of the run, and one with more months to charge
		 * comes up again.
		 */
		.pick = {
			.sql = "SELECT array_agg(x.account_id ORDER BY x.charged_through, x.account_id), max(x.charged_through),"
			"       (array_agg(x.account_id ORDER BY x.charged_through DESC, x.account_id DESC))[1]"
			"  FROM (SELECT a.account_id, a.charged_through FROM account a"
			"         WHERE a.time_zone = $1 AND (a.charged_through, a.account_id) > ($2, $3)"
			"           AND a.charged_through < least(kb_month_first_day(kb_account_date($4, $1)) - 1,"
			"                 kb_month_last_day(1 + (SELECT min(b.charged_through) FROM account b"
			"                    WHERE b.time_zone = $1 AND (b.charged_through, b.account_id) > ($2, $3)"
			"                      AND b.state IN ('active', 'closing'))))"
			"           AND a.state IN ('active', 'closing')"
			"         ORDER BY a.charged_through, a.account_id LIMIT $5) x",
			.arg_types = PICK_TYPES
		},
		.progress = {.sql = PROGRESS("periods_charged = periods_charged + $2, entries_posted = entries_posted + $3"), .arg_types = PROGRESS_TYPES}
	},
	{
		.name = "closures",
		.next_zone = {.sql = NEXT_ZONE("closure_check_on", "a.closure_check_on IS NOT NULL", DAY_COME), .arg_types = NEXT_ZONE_TYPES},
		.pick = {.sql = PICK_DUE("closure_check_on", "a.closure_check_on IS NOT NULL"), .arg_types = PICK_TYPES},
		.work = {.sql = "SELECT kb_take_closure_steps($1, $2)", .arg_types = WORK_TYPES},
		.progress = {.sql = PROGRESS("closure_steps = closure_steps + $2"), .arg_types = PROGRESS_TYPES}
	},
	{
		.name = "notices",
		.next_zone = {.sql = NEXT_ZONE("stage_check_on", "a.stage_check_on IS NOT NULL AND " LIVING, DAY_COME), .arg_types = NEXT_ZONE_TYPES},
		.pick = {.sql = PICK_DUE("stage_check_on", "a.stage_check_on IS NOT NULL AND " LIVING), .arg_types = PICK_TYPES},
		.work = {.sql = "SELECT kb_notify_stages($1, $2)", .arg_types = WORK_TYPES},
		.progress = {.sql = PROGRESS("notices_written = notices_written + $2"), .arg_types = PROGRESS_TYPES}
	}
};

static SavedPlan position_plan = {
	.sql = "SELECT r.as_of, r.at_time_zone, coalesce(r.at_date, '-infinity'), coalesce(r.at_account_id, 0), r.phase::text"
	"  FROM sweep_run r WHERE r.run_id = $1 AND r.outcome = 'running' FOR UPDATE",
	.arg_types = {"bigint"}
};

static SavedPlan move_plan = {
	.sql = "UPDATE sweep_run r SET phase = $2::kb_sweep_phase, at_time_zone = $3, at_date = NULL, at_account_id = NULL WHERE r.run_id = $1",
	.arg_types = {"bigint", "text", "text"}
};

static SavedPlan failure_plan = {
	.sql = "INSERT INTO sweep_failure (account_id, run_id, failed_at, state, message)"
	" VALUES ($1, $2, clock_timestamp(), $3,"
	"         CASE WHEN kb_has_card_number($4) THEN '(a message with a card number)' ELSE $4 END)"
	" ON CONFLICT (account_id, run_id) DO NOTHING",
	.arg_types = {"bigint", "bigint", "text", "text"}
};

/* Whether an error is about the server, not about an account */
static bool
concerns_server(int sqlstate)
{
	int			category = ERRCODE_TO_CATEGORY(sqlstate);

	return category == ERRCODE_OPERATOR_INTERVENTION ||
		category == ERRCODE_INSUFFICIENT_RESOURCES ||
		category == ERRCODE_SYSTEM_ERROR ||
		sqlstate == ERRCODE_READ_ONLY_SQL_TRANSACTION;
}

/* Post the charges of accounts */
static void
charge_accounts(ArrayType *account_ids, TimestampTz at, BatchResult *result)
{
	uint64		charged = journal_post_charges(account_ids, at);

	result->done += charged;
	for (uint64 i = 0; i < charged; i++)
	{
		bool		nothing_due;

		(void) SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 3, &nothing_due);
		result->posted += !nothing_due;
	}
}

/* Do a phase's work on accounts */
static void
work_on_accounts(Phase *phase, ArrayType *account_ids, TimestampTz at, BatchResult *result)
{
	Datum		values[] = {PointerGetDatum(account_ids), TimestampTzGetDatum(at)};
	bool		isnull;

	if (phase->work.sql == NULL)
		charge_accounts(account_ids, at, result);
	else
	{
		plan_execute(&phase->work, values, NULL, false);
		result->done += DatumGetInt64(plan_column(1, &isnull));
	}
}

/* Work on accounts in a subtransaction; the error if that failed, else NULL */
static ErrorData *
try_work(Phase *phase, ArrayType *account_ids, TimestampTz at, BatchResult *result)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;	/* set within PG_TRY */

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		BatchResult done = *result;

		work_on_accounts(phase, account_ids, at, &done);
		SPI_freetuptable(SPI_tuptable);
		ReleaseCurrentSubTransaction();
		*result = done;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (concerns_server(error->sqlerrcode))
			ReThrowError(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

static SavedPlan lock_failure_plan = {
	.sql = "SELECT kb_lock_failure($1, $2)",
	.arg_types = {"bigint", "text"}
};

/* Note an account that was passed over; false if it has been before in this run */
static bool
report_failure(int64 run_id, int64 account_id, const ErrorData *error)
{
	Datum		message[] = {Int64GetDatum(account_id), CStringGetTextDatum(error->message)};
	Datum		values[] = {Int64GetDatum(account_id), Int64GetDatum(run_id),
		CStringGetTextDatum(unpack_sql_state(error->sqlerrcode)), message[1]
	};
	bool		isnull;

	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
	{
		plan_execute(&lock_failure_plan, message, NULL, false);
		values[3] = plan_column(1, &isnull);
	}
	return plan_execute(&failure_plan, values, NULL, false) > 0;
}

/*
 * Work on accounts; halve them around one that fails, so that it is found in few
 * steps and holds up no other.  One that is locked costs its time-out at each
 * step: then one by one is quicker.
 */
static void
halve_and_work(Phase *phase, int64 run_id, Datum *ids, int n, TimestampTz at, BatchResult *result)
{
	ErrorData  *error;
	int			part;

	CHECK_FOR_INTERRUPTS();
	error = try_work(phase, construct_array(ids, n, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE), at, result);
	if (error == NULL)
		return;
	if (n == 1)
	{
		result->failed += report_failure(run_id, DatumGetInt64(ids[0]), error);
		return;
	}
	part = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ? 1 : (n + 1) / 2;
	for (int i = 0; i < n; i += part)
		halve_and_work(phase, run_id, ids + i, Min(part, n - i), at, result);
}

/* Work on what was picked, and note how far the run is */
static void
work_on_batch(Phase *phase, int64 run_id, TimestampTz at)
{
	BatchResult result = {0};
	bool		isnull;
	ArrayType  *picked = DatumGetArrayTypePCopy(plan_column(1, &isnull));
	Datum		progress[] = {Int64GetDatum(run_id), 0, 0, 0, plan_column(2, &isnull), plan_column(3, &isnull)};
	Datum	   *ids;
	int			n;

	deconstruct_array(picked, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE, &ids, NULL, &n);
	halve_and_work(phase, run_id, ids, n, at, &result);
	progress[1] = Int64GetDatum(result.done);
	progress[2] = Int64GetDatum(result.posted);
	progress[3] = Int64GetDatum(result.failed);
	plan_execute(&phase->progress, progress, NULL, false);
}

/* Go on to the next zone with something due, of this phase or of a later one; false if there is none */
static bool
move_on(int phase, int64 run_id, Datum at, Datum zone)
{
	Datum		values[] = {at, zone};
	Datum		move[] = {Int64GetDatum(run_id), 0, 0};
	bool		isnull = true;

	for (; phase < (int) lengthof(phases); phase++)
	{
		if (plan_execute(&phases[phase].next_zone, values, NULL, false) > 0)
			move[2] = plan_column(1, &isnull);
		if (!isnull)
			break;
		values[1] = CStringGetTextDatum("");
	}
	if (isnull)
		return false;
	move[1] = CStringGetTextDatum(phases[phase].name);
	plan_execute(&move_plan, move, NULL, false);
	return true;
}

/* The number of a phase by its name */
static int
phase_number(const char *name)
{
	for (int i = 0; i < (int) lengthof(phases); i++)
		if (strcmp(phases[i].name, name) == 0)
			return i;
	elog(ERROR, "a sweep has no phase \"%s\"", name);
}

/* kb_sweep_step(run_id, batch_size) */
PG_FUNCTION_INFO_V1(kb_sweep_step);
Datum
kb_sweep_step(PG_FUNCTION_ARGS)
{
	int64		run_id;
	int			phase;
	Datum		pick[5];
	bool		isnull;
	bool		more = true;

	arg_required(fcinfo, 0, "run_id");
	arg_required(fcinfo, 1, "batch_size");
	run_id = PG_GETARG_INT64(0);
	plan_connect();

	if (plan_execute(&position_plan, &PG_GETARG_DATUM(0), NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no sweep %lld is running", (long long) run_id)));
	pick[0] = PointerGetDatum(DatumGetTextPCopy(plan_column(2, &isnull)));
	pick[1] = plan_column(3, &isnull);
	pick[2] = plan_column(4, &isnull);
	pick[3] = plan_column(1, &isnull);
	pick[4] = Int32GetDatum(Max(PG_GETARG_INT32(1), 1));
	phase = phase_number(TextDatumGetCString(plan_column(5, &isnull)));

	/* the first position is before every zone */
	isnull = VARSIZE_ANY_EXHDR(DatumGetPointer(pick[0])) == 0;
	if (!isnull)
	{
		plan_execute(&phases[phase].pick, pick, NULL, false);
		(void) plan_column(1, &isnull);
	}
	if (isnull)
		more = move_on(phase, run_id, pick[3], pick[0]);
	else
		work_on_batch(&phases[phase], run_id, DatumGetTimestampTz(pick[3]));
	SPI_finish();
	PG_RETURN_BOOL(more);
}

/* First column of the one row of a statement */
static Datum
execute_one(const char *sql)
{
	bool		isnull;

	if (SPI_execute(sql, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not execute: %s", sql);
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
}

/* One run, each step in a transaction of its own */
static void
run_sweep(void)
{
	int64		run_id = DatumGetInt64(execute_one("SELECT kbilling_internal.kb_sweep_begin()"));
	char	   *step = psprintf("SELECT kbilling_internal.kb_sweep_step(" INT64_FORMAT ")", run_id);
	char	   *end = psprintf("SELECT kbilling_internal.kb_sweep_end(" INT64_FORMAT ")", run_id);
	bool		more = true;

	SPI_commit();
	while (more)
	{
		CHECK_FOR_INTERRUPTS();
		more = DatumGetBool(execute_one(step));
		SPI_freetuptable(SPI_tuptable);
		SPI_commit();
	}
	(void) execute_one(end);
	SPI_commit();
}

/* CALL kb_sweep() */
PG_FUNCTION_INFO_V1(kb_sweep);
Datum
kb_sweep(PG_FUNCTION_ARGS)
{
	const CallContext *call = (const CallContext *) fcinfo->context;
	LOCKTAG		lock;

	if (call == NULL || !IsA(call, CallContext) || call->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("kb_sweep cannot run inside a transaction block"),
				 errdetail("It commits after each batch (W1)."),
				 errhint("CALL it on its own, from a session in autocommit mode.")));
	if (RecoveryInProgress())
	{
		ereport(NOTICE, (errmsg("a standby has nothing to sweep")));
		PG_RETURN_VOID();
	}
	SET_SWEEP_LOCKTAG(lock);
	if (LockAcquire(&lock, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		ereport(NOTICE, (errmsg("another sweep is running and does the work")));
		PG_RETURN_VOID();
	}
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	PG_TRY();
	{
		run_sweep();
	}
	PG_FINALLY();
	{
		(void) LockRelease(&lock, ExclusiveLock, true);
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_VOID();
}
