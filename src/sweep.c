/*
 * sweep.c
 *		The sweep: what is due of all accounts, batch by batch (W1, W3).
 *
 * The procedure commits, so it has the rights and the search_path of its
 * caller; what it calls has the owner's.  A run's row says how far it has got, for
 * the next step and for other sessions that watch.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "args.h"
#include "charge.h"
#include "closure.h"
#include "credit.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "ownlock.h"
#include "plan.h"
#include "purge.h"
#include "shard.h"
#include "sweep.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* How often a batch is tried again after a deadlock, or a conflict of transactions, before its accounts are passed over */
#define MAX_RETRIES		3

/* What a batch did, as kbilling.sweep_run counts it */
typedef struct BatchResult
{
	int64		periods_charged;
	int64		entries_posted;
	int64		closure_steps;
	int64		notices_written;
	int64		rows_removed;
	int64		accounts_failed;
	bool		is_partial;		/* more is left to do for the same accounts */
} BatchResult;

static SavedPlan lock_plan = {
	.sql = "SELECT FROM account a WHERE a.account_id = ANY ($1) ORDER BY a.account_id FOR NO KEY UPDATE",
	.arg_types = {"bigint[]"},
	.is_generic = true
};

/*
 * Lock the accounts before a statement that takes them in the order of its plan, and so that
 * it sees what was committed while they were waited for
 */
static void
lock_accounts(ArrayType *account_ids)
{
	Datum		value = PointerGetDatum(account_ids);

	plan_execute(&lock_plan, &value, NULL, false);
}

/* Charges: the oldest period of each */
static void
charge_accounts(ArrayType *account_ids, TimestampTz at, BatchResult *result)
{
	uint64		entries;

	lock_accounts(account_ids);
	result->periods_charged += charge_post(account_ids, at, &entries);
	result->entries_posted += entries;
}

/* D4: usage that is being recorded shows that an account is used, so a deletion waits for it */
static SavedPlan wait_plan = {
	.sql = "SELECT kb_lock_usage(d.account_id)"
	"  FROM (SELECT a.account_id FROM account a"
	"         WHERE a.account_id = ANY ($1) AND a.state = 'closing' AND a.delete_on <= kb_account_date($2, a.time_zone)"
	"         ORDER BY a.account_id) d",
	.arg_types = {"bigint[]", "timestamptz"},
	.is_generic = true
};

/* Take every step of a closure that is due, purges among them, and write their notices; how many steps */
static int64
take_closure_steps(ArrayType *account_ids, TimestampTz at)
{
	Datum		values[] = {PointerGetDatum(account_ids), TimestampTzGetDatum(at)};
	int64		steps;

	lock_accounts(account_ids);
	(void) plan_execute(&wait_plan, values, NULL, false);
	steps = closure_take_steps(account_ids, at);
	steps += purge_accounts(account_ids, at);
	if (steps > 0)
		(void) closure_notify(account_ids, at);
	return steps;
}

/* kb_sweep_closures(account_ids, at) */
PG_FUNCTION_INFO_V1(kb_sweep_closures);
Datum
kb_sweep_closures(PG_FUNCTION_ARGS)
{
	int64		steps;

	arg_required(fcinfo, 0, "account_ids");
	arg_required(fcinfo, 1, "at");
	plan_connect();
	steps = take_closure_steps(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_TIMESTAMPTZ(1));
	SPI_finish();
	PG_RETURN_INT64(steps);
}

/* Closures: each is taken a step further */
static void
close_accounts(ArrayType *account_ids, TimestampTz at, BatchResult *result)
{
	result->closure_steps += take_closure_steps(account_ids, at);
}

/* Write the notices that a statement finds for accounts at a moment */
static void
write_notices(SavedPlan *plan, ArrayType *account_ids, TimestampTz at, BatchResult *result)
{
	Datum		values[] = {PointerGetDatum(account_ids), TimestampTzGetDatum(at)};

	lock_accounts(account_ids);
	plan_execute(plan, values, NULL, false);
	result->notices_written += plan_int64(1);
}

static SavedPlan credit_plan = {
	.sql = "SELECT kb_notify_credit($1, $2)",
	.arg_types = {"bigint[]", "timestamptz"}
};

/* G3: what has expired leaves the balances; who has credit that soon will, is told */
static void
look_at_credit(ArrayType *account_ids, TimestampTz at, BatchResult *result)
{
	write_notices(&credit_plan, account_ids, at, result);
	result->entries_posted += credit_expire(account_ids, at, true);
}

/* kb_sweep_credit(account_ids, at) */
PG_FUNCTION_INFO_V1(kb_sweep_credit);
Datum
kb_sweep_credit(PG_FUNCTION_ARGS)
{
	BatchResult result = {0};

	arg_required(fcinfo, 0, "account_ids");
	arg_required(fcinfo, 1, "at");
	plan_connect();
	look_at_credit(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_TIMESTAMPTZ(1), &result);
	SPI_finish();
	PG_RETURN_INT64(result.entries_posted);
}

static SavedPlan notices_plan = {
	.sql = "SELECT kb_notify_stages($1, $2)",
	.arg_types = {"bigint[]", "timestamptz"}
};

/* Notices of stages that time has changed */
static void
notify_accounts(ArrayType *account_ids, TimestampTz at, BatchResult *result)
{
	write_notices(&notices_plan, account_ids, at, result);
}

static SavedPlan alerts_plan = {
	.sql = "SELECT kb_notify_alerts($1, $2)",
	.arg_types = {"bigint[]", "timestamptz"}
};

/* L6: alerts, and charges that the balance will not cover */
static void
alert_accounts(ArrayType *account_ids, TimestampTz at, BatchResult *result)
{
	write_notices(&alerts_plan, account_ids, at, result);
}

/* So many rows of a kind are removed in a transaction, however many an account has */
#define MAX_ROWS_REMOVED	20000

static SavedPlan remove_plan = {
	.sql = "SELECT kb_remove_old($1, $2, $3)",
	.arg_types = {"bigint[]", "timestamptz", "bigint"}
};

/* U6: what is kept no longer */
static void
remove_old(ArrayType *account_ids, TimestampTz at, BatchResult *result)
{
	Datum		values[] = {PointerGetDatum(account_ids), TimestampTzGetDatum(at), Int64GetDatum(MAX_ROWS_REMOVED)};
	int64		removed;

	plan_execute(&remove_plan, values, NULL, false);
	removed = plan_int64(1);
	result->rows_removed += removed;
	result->is_partial = result->is_partial || removed >= MAX_ROWS_REMOVED;
}

/*
 * What a run does, in this order, so that closures see what was charged, and
 * notices what was closed.  The names are those in kbilling.sweep_run.
 */
typedef struct Phase
{
	const char *name;
	SavedPlan	next_zone;		/* the next zone in which it has accounts to look at; $1 the zone before */
	SavedPlan	due;			/* the next accounts there with something to do, and their dates; see accounts_due */
	void		(*work) (ArrayType *account_ids, TimestampTz at, BatchResult *result);
} Phase;

/* How far a run is. */
typedef struct Run
{
	int64		run_id;
	int32		workers;		/* how many shares there are */
	int32		share;			/* the one of this run, from 1 on */
	TimestampTz as_of;			/* the moment for which it looks what is due */
	int			phase;
	char	   *zone;			/* by name; the empty one is before all others */
	DateADT		date;			/* within a zone the oldest goes first, then by account */
	int64		account_id;
} Run;

/* Columns of what is due */
enum
{
	DUE_ACCOUNT_ID = 1, DUE_DATE
};

/* $1 the zone, $2 and $3 where the run is in it, $4 the moment, $5 how many, $6 and $7 the shares and the one of the run */
#define DUE_TYPES	{"text", "date", "bigint", "timestamptz", "integer", "integer", "integer"}

static Phase phases[] = {
	{
		.name = "charges",
		.next_zone = {
			.sql = "SELECT min(a.time_zone) FROM account a"
			" WHERE a.time_zone > $1 AND a.state IN ('active', 'closing')",
			.arg_types = {"text"},
			.is_generic = true
		},
		/*
		 * What is due longest first.  A batch is of one day: so the charge takes its
		 * accounts to a place ahead of the run, and one with more months to charge
		 * comes up again.
		 */
		.due = {
			.sql = "SELECT a.account_id, kb_charge_due_on(a.charged_through, a.ends_on) FROM account a"
			" WHERE a.time_zone = $1 AND (kb_charge_due_on(a.charged_through, a.ends_on), a.account_id) > ($2, $3)"
			"   AND a.state IN ('active', 'closing') AND kb_is_in_share(a.account_id, $6, $7) AND kb_is_owned(a.account_id)"
			"   AND kb_charge_due_on(a.charged_through, a.ends_on) <= least(kb_account_date($4, $1),"
			"         (SELECT min(kb_charge_due_on(b.charged_through, b.ends_on)) FROM account b"
			"           WHERE b.time_zone = $1 AND (kb_charge_due_on(b.charged_through, b.ends_on), b.account_id) > ($2, $3)"
			"             AND b.state IN ('active', 'closing')"
			"             AND kb_is_in_share(b.account_id, $6, $7) AND kb_is_owned(b.account_id)))"
			" ORDER BY kb_charge_due_on(a.charged_through, a.ends_on), a.account_id LIMIT $5",
			.arg_types = DUE_TYPES,
			.is_generic = true
		},
		.work = charge_accounts
	},
	{
		.name = "credit",
		.next_zone = {
			.sql = "SELECT min(a.time_zone) FROM account a"
			" WHERE a.time_zone > $1 AND a.credit_check_on IS NOT NULL AND a.state IN ('active', 'closing')",
			.arg_types = {"text"},
			.is_generic = true
		},
		.due = {
			.sql = "SELECT a.account_id, a.credit_check_on FROM account a"
			" WHERE a.time_zone = $1 AND (a.credit_check_on, a.account_id) > ($2, $3) AND a.state IN ('active', 'closing')"
			"   AND a.credit_check_on <= kb_account_date($4, $1) AND kb_is_in_share(a.account_id, $6, $7) AND kb_is_owned(a.account_id)"
			" ORDER BY a.credit_check_on, a.account_id LIMIT $5",
			.arg_types = DUE_TYPES,
			.is_generic = true
		},
		.work = look_at_credit
	},
	{
		.name = "closures",
		.next_zone = {
			.sql = "SELECT min(a.time_zone) FROM account a WHERE a.time_zone > $1 AND a.closure_check_on IS NOT NULL",
			.arg_types = {"text"},
			.is_generic = true
		},
		.due = {
			.sql = "SELECT a.account_id, a.closure_check_on FROM account a"
			" WHERE a.time_zone = $1 AND (a.closure_check_on, a.account_id) > ($2, $3)"
			"   AND a.closure_check_on <= kb_account_date($4, $1) AND kb_is_in_share(a.account_id, $6, $7) AND kb_is_owned(a.account_id)"
			" ORDER BY a.closure_check_on, a.account_id LIMIT $5",
			.arg_types = DUE_TYPES,
			.is_generic = true
		},
		.work = close_accounts
	},
	{
		.name = "notices",
		.next_zone = {
			.sql = "SELECT min(a.time_zone) FROM account a"
			" WHERE a.time_zone > $1 AND a.stage_check_on IS NOT NULL AND a.state IN ('active', 'closing')",
			.arg_types = {"text"},
			.is_generic = true
		},
		.due = {
			.sql = "SELECT a.account_id, a.stage_check_on FROM account a"
			" WHERE a.time_zone = $1 AND (a.stage_check_on, a.account_id) > ($2, $3) AND a.state IN ('active', 'closing')"
			"   AND a.stage_check_on <= kb_account_date($4, $1) AND kb_is_in_share(a.account_id, $6, $7) AND kb_is_owned(a.account_id)"
			" ORDER BY a.stage_check_on, a.account_id LIMIT $5",
			.arg_types = DUE_TYPES,
			.is_generic = true
		},
		.work = notify_accounts
	},
	{
		.name = "alerts",
		.next_zone = {
			.sql = "SELECT min(a.time_zone) FROM account a"
			" WHERE a.time_zone > $1 AND a.state IN ('active', 'closing')"
			"   AND kb_alerts_are_set()",
			.arg_types = {"text"},
			.is_generic = true
		},
		/* First what leaves out most accounts, and reads nothing of them. */
		.due = {
			.sql = "SELECT a.account_id, kb_charge_due_on(a.charged_through, a.ends_on) FROM account a"
			" WHERE a.time_zone = $1 AND (kb_charge_due_on(a.charged_through, a.ends_on), a.account_id) > ($2, $3)"
			"   AND a.state IN ('active', 'closing')"
			"   AND kb_is_in_share(a.account_id, $6, $7) AND kb_is_owned(a.account_id)"
			"   AND (a.tariff_from > kb_account_date($4, $1)"
			"        OR a.tariff = ANY (ARRAY(SELECT l.tariff FROM alert l UNION ALL SELECT t.tariff FROM tariff t"
			"               JOIN policy p ON p.policy = t.policy AND p.charge_notice_days IS NOT NULL))"
			"        OR EXISTS (SELECT FROM account_alert l WHERE l.account_id = a.account_id))"
			"   AND kb_alerts_are_due(a.account_id, a.tariff, a.tariff_from, a.last_seq, kb_account_date($4, $1))"
			" ORDER BY kb_charge_due_on(a.charged_through, a.ends_on), a.account_id LIMIT $5",
			.arg_types = DUE_TYPES,
			.is_generic = true
		},
		.work = alert_accounts
	},
	{
		.name = "retention",
		.next_zone = {
			.sql = "SELECT min(a.time_zone) FROM account a"
			" WHERE a.time_zone > $1 AND a.state IN ('active', 'closing')"
			"   AND kb_retention_is_set()",
			.arg_types = {"text"},
			.is_generic = true
		},
		.due = {
			.sql = "SELECT a.account_id, kb_charge_due_on(a.charged_through, a.ends_on) FROM account a"
			" WHERE kb_retention_is_due($1, kb_account_date($4, $1), $6, $7)"
			"   AND kb_is_in_share(a.account_id, $6, $7) AND kb_is_owned(a.account_id)"
			"   AND a.time_zone = $1 AND (kb_charge_due_on(a.charged_through, a.ends_on), a.account_id) > ($2, $3)"
			"   AND a.state IN ('active', 'closing')"
			"   AND EXISTS (SELECT FROM kb_removable(ARRAY[a.account_id], $4))"
			" ORDER BY kb_charge_due_on(a.charged_through, a.ends_on), a.account_id LIMIT $5",
			.arg_types = DUE_TYPES,
			.is_generic = true
		},
		.work = remove_old
	}
};

static SavedPlan position_plan = {
	.sql = "SELECT r.as_of, r.phase::text, r.at_time_zone, coalesce(r.at_date, '-infinity'), coalesce(r.at_account_id, 0),"
	"       r.workers, r.share"
	"  FROM sweep_run r WHERE r.run_id = $1 AND r.outcome = 'running' FOR UPDATE",
	.arg_types = {"bigint"}
};

static SavedPlan move_plan = {
	.sql = "UPDATE sweep_run r SET phase = $2::kb_sweep_phase, at_time_zone = $3, at_date = NULL, at_account_id = NULL WHERE r.run_id = $1",
	.arg_types = {"bigint", "text", "text"}
};

static SavedPlan progress_plan = {
	.sql = "UPDATE sweep_run r"
	"   SET periods_charged = r.periods_charged + $2, entries_posted = r.entries_posted + $3,"
	"       closure_steps = r.closure_steps + $4, notices_written = r.notices_written + $5,"
	"       accounts_failed = r.accounts_failed + $6, at_date = $7, at_account_id = $8, rows_removed = r.rows_removed + $9"
	" WHERE r.run_id = $1",
	.arg_types = {"bigint", "bigint", "bigint", "bigint", "bigint", "bigint", "date", "bigint", "bigint"}
};

static SavedPlan failure_plan = {
	.sql = "INSERT INTO sweep_failure (account_id, run_id, failed_at, state, message)"
	" VALUES ($1, $2, clock_timestamp(), $3,"
	"         kb_mask_card_numbers($4))"
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

/* Whether the same work may well succeed when it is tried again */
static bool
is_transient(int sqlstate)
{
	return sqlstate == ERRCODE_T_R_SERIALIZATION_FAILURE || sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED;
}

/* Accounts to work on, and what that did. */
typedef struct Work
{
	const Run  *run;
	ArrayType  *account_ids;
	BatchResult result;
} Work;

/* Do what the phase has to do */
static void
do_work(void *arg)
{
	Work	   *work = arg;

	phases[work->run->phase].work(work->account_ids, work->run->as_of, &work->result);
	SPI_freetuptable(SPI_tuptable);
}

/* Work on accounts in a subtransaction; the error if that failed, else NULL */
static ErrorData *
try_work(const Run *run, ArrayType *account_ids, BatchResult *result)
{
	ErrorData  *error;
	Work		work;

	for (int retries = 0;; retries++)
	{
		CHECK_FOR_INTERRUPTS();
		work = (Work) {run, account_ids, *result};
		error = plan_try(do_work, &work);
		if (error == NULL || !is_transient(error->sqlerrcode) || retries == MAX_RETRIES)
			break;
	}
	if (error == NULL)
		*result = work.result;
	else if (concerns_server(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

static SavedPlan lock_failure_plan = {
	.sql = "SELECT kb_lock_failure($1, $2)",
	.arg_types = {"bigint", "text"}
};

/* W3: note an account that was passed over; false if this run has noted it before */
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
 * W3: work on accounts; if one fails, halve them, so that it is found in few steps and
 * holds up no other.  A locked account costs its time-out at each step, so then they
 * are taken one by one.
 */
static void
halve_and_work(const Run *run, Datum *ids, int n, BatchResult *result)
{
	ErrorData  *error;
	int			part;

	error = try_work(run, construct_array(ids, n, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE), result);
	if (error == NULL)
		return;
	if (n == 1)
	{
		result->accounts_failed += report_failure(run->run_id, DatumGetInt64(ids[0]), error);
		return;
	}
	part = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ? 1 : (n + 1) / 2;
	for (int i = 0; i < n; i += part)
		halve_and_work(run, ids + i, Min(part, n - i), result);
}

/* Read where the run is, and lock it */
static void
read_run(Run *run, int64 run_id)
{
	Datum		value = Int64GetDatum(run_id);
	char	   *phase;

	if (plan_execute(&position_plan, &value, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no sweep %lld is running", (long long) run_id)));
	run->run_id = run_id;
	run->as_of = plan_timestamptz(1);
	phase = plan_cstring(2);
	run->zone = plan_cstring(3);
	run->date = plan_date(4);
	run->account_id = plan_int64(5);
	run->workers = plan_int32(6);
	run->share = plan_int32(7);
	for (run->phase = 0; strcmp(phases[run->phase].name, phase) != 0; run->phase++)
		if (run->phase == (int) lengthof(phases) - 1)
			elog(ERROR, "a sweep has no phase \"%s\"", phase);
}

/* The next accounts with something to do, at most so many, as rows in SPI_tuptable; how many there are */
static uint64
accounts_due(const Run *run, int max)
{
	Datum		values[] = {CStringGetTextDatum(run->zone), DateADTGetDatum(run->date), Int64GetDatum(run->account_id),
		TimestampTzGetDatum(run->as_of), Int32GetDatum(max), Int32GetDatum(run->workers), Int32GetDatum(run->share)
	};

	return plan_execute(&phases[run->phase].due, values, NULL, false);
}

/* Go on to the next zone where the phase has accounts; false if there is none */
static bool
go_to_next_zone(Run *run)
{
	Datum		value = CStringGetTextDatum(run->zone);

	plan_execute(&phases[run->phase].next_zone, &value, NULL, false);
	if (plan_is_null(1))
		return false;
	run->zone = plan_cstring(1);
	DATE_NOBEGIN(run->date);
	run->account_id = 0;
	return true;
}

/* Go on to the next zone with something to do, of this phase or of a later one; false if there is none */
static bool
move_on(Run *run)
{
	for (; run->phase < (int) lengthof(phases); run->phase++)
	{
		while (go_to_next_zone(run))
			if (accounts_due(run, 1) > 0)
				return true;
		run->zone = "";
	}
	return false;
}

/* Write down where the run is */
static void
write_position(const Run *run)
{
	Datum		values[] = {Int64GetDatum(run->run_id), CStringGetTextDatum(phases[run->phase].name),
		CStringGetTextDatum(run->zone)
	};

	plan_execute(&move_plan, values, NULL, false);
}

/* Add what was done, up to the run's date and account */
static void
write_progress(const Run *run, const BatchResult *result)
{
	Datum		values[] = {Int64GetDatum(run->run_id), Int64GetDatum(result->periods_charged),
		Int64GetDatum(result->entries_posted), Int64GetDatum(result->closure_steps), Int64GetDatum(result->notices_written),
		Int64GetDatum(result->accounts_failed), DateADTGetDatum(run->date), Int64GetDatum(run->account_id),
		Int64GetDatum(result->rows_removed)
	};

	plan_execute(&progress_plan, values, NULL, false);
}

/* Work on the n accounts that are due, and note how far the run is */
static void
work_on_batch(Run *run, int n)
{
	BatchResult result = {0};
	Run			before = *run;
	Datum	   *ids = palloc(n * sizeof(Datum));
	bool		isnull;

	for (int i = 0; i < n; i++)
		ids[i] = plan_row_column(i, DUE_ACCOUNT_ID, &isnull);
	run->account_id = DatumGetInt64(ids[n - 1]);
	run->date = DatumGetDateADT(plan_row_column(n - 1, DUE_DATE, &isnull));
	SPI_freetuptable(SPI_tuptable);
	halve_and_work(run, ids, n, &result);
	if (result.is_partial)
		*run = before;
	write_progress(run, &result);
}

/* kb_sweep_step(run_id, batch_size) */
PG_FUNCTION_INFO_V1(kb_sweep_step);
Datum
kb_sweep_step(PG_FUNCTION_ARGS)
{
	Run			run;
	uint64		n;
	bool		more = true;

	arg_required(fcinfo, 0, "run_id");
	arg_required(fcinfo, 1, "batch_size");
	shard_lock_many();
	plan_connect();
	read_run(&run, PG_GETARG_INT64(0));
	n = accounts_due(&run, Max(PG_GETARG_INT32(1), 1));
	if (n > 0)
		work_on_batch(&run, n);
	else if (move_on(&run))
		write_position(&run);
	else
		more = false;
	SPI_finish();
	PG_RETURN_BOOL(more);
}

/*
 * The lock of a share, which whoever sweeps it holds.  Workers that divide the accounts into other numbers of shares would
 * meet, so they shut each other out: see take_share.
 */
static LOCKTAG
share_lock(int workers, int share)
{
	return own_lock(OWN_LOCK_SWEEP, (int64) workers << 32 | share);
}

/* kb_is_in_share(account_id, workers, share) */
PG_FUNCTION_INFO_V1(kb_is_in_share);
Datum
kb_is_in_share(PG_FUNCTION_ARGS)
{
	uint32		hash = DatumGetUInt32(DirectFunctionCall1(hashint8, PG_GETARG_DATUM(0)));

	PG_RETURN_BOOL(PG_GETARG_INT32(1) > 0 && hash % PG_GETARG_INT32(1) + 1 == (uint32) PG_GETARG_INT32(2));
}

/* The lock under which a share is taken: none has this number */
#define GATE_LOCK		share_lock(0, 0)

/* Whether a lock is held by anybody */
static bool
is_held(const LockInstanceData *instance, const LOCKTAG *tag)
{
	return instance->holdMask != 0 && memcmp(&instance->locktag, tag, sizeof(*tag)) == 0;
}

/*
 * kb_sweep_is_running(workers, share): a sweep that died holds no lock; NULL on a standby, which
 * does not see the locks of its primary.
 */
PG_FUNCTION_INFO_V1(kb_sweep_is_running);
Datum
kb_sweep_is_running(PG_FUNCTION_ARGS)
{
	LOCKTAG		tag;
	LockData   *locks;

	arg_required(fcinfo, 0, "workers");
	arg_required(fcinfo, 1, "share");
	if (RecoveryInProgress())
		PG_RETURN_NULL();
	tag = share_lock(PG_GETARG_INT32(0), PG_GETARG_INT32(1));
	locks = GetLockStatusData();
	for (int i = 0; i < locks->nelements; i++)
		if (is_held(&locks->locks[i], &tag))
			PG_RETURN_BOOL(true);
	PG_RETURN_BOOL(false);
}

/* Whether a share of another number of shares is being swept */
static bool
others_run(int workers)
{
	LOCKTAG		gate = GATE_LOCK;
	LockData   *locks = GetLockStatusData();

	for (int i = 0; i < locks->nelements; i++)
	{
		LOCKTAG		tag = locks->locks[i].locktag;
		uint32		its_workers = tag.locktag_field2;

		/* the number of workers and of the share are fields of the lock's name; all else is as in the gate's */
		tag.locktag_field2 = tag.locktag_field3 = 0;
		if (locks->locks[i].holdMask != 0 && memcmp(&tag, &gate, sizeof(tag)) == 0 &&
			its_workers != 0 && its_workers != (uint32) workers)
			return true;
	}
	return false;
}

/* Take a share; false if somebody has it, or the accounts are divided otherwise.  The gate is closed until the next commit. */
static bool
take_share(int workers, int share)
{
	LOCKTAG		gate = GATE_LOCK;
	LOCKTAG		lock = share_lock(workers, share);

	(void) LockAcquire(&gate, ExclusiveLock, false, false);
	return !others_run(workers) && LockAcquire(&lock, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* First column of the one row of a statement, which has an int64 or a boolean; zero for NULL */
static Datum
execute_one(const char *sql)
{
	bool		isnull;
	Datum		result;

	if (SPI_execute(sql, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not execute: %s", sql);
	result = plan_column(1, &isnull);
	SPI_freetuptable(SPI_tuptable);
	return isnull ? (Datum) 0 : result;
}

/* The steps of a run, each in a transaction of its own, and its end */
static void
take_steps(int64 run_id)
{
	char	   *step = psprintf("SELECT kbilling_internal.kb_sweep_step(" INT64_FORMAT ")", run_id);

	do
	{
		plan_next_transaction();
		shard_lock_many();		/* here, as a step has a time-out for locks */
		CHECK_FOR_INTERRUPTS();
	} while (DatumGetBool(execute_one(step)));
	plan_next_transaction();
	(void) execute_one(psprintf("SELECT kbilling_internal.kb_sweep_end(" INT64_FORMAT ")", run_id));
}

/* One run of a share; none if another worker has done it since the moment.  What follows has the session's default again. */
static void
run_share(int workers, int share, const char *since)
{
	int64		run_id;

	plan_next_transaction();
	run_id = DatumGetInt64(execute_one(psprintf("SELECT kbilling_internal.kb_sweep_begin(%d, %d, '%s')", workers, share, since)));
	if (run_id != 0)
		take_steps(run_id);
	SPI_commit();
}

/* Sweep a share if it is free; false if not */
static bool
sweep_share(int workers, int share, const char *since)
{
	LOCKTAG		lock = share_lock(workers, share);

	if (!take_share(workers, share))
		return false;
	PG_TRY();
	{
		run_share(workers, share, since);
	}
	PG_FINALLY();
	{
		(void) LockRelease(&lock, ExclusiveLock, true);
	}
	PG_END_TRY();
	return true;
}

/*
 * Sweep whatever share is free, one after the other; and once more those that were not, as the worker that had one
 * may have died.  False if none was free.
 */
static bool
sweep_shares(int workers)
{
	const char *since = pstrdup(timestamptz_to_str(GetCurrentTimestamp()));
	uint64		done = 0;

	for (int i = 0; i < 2 * workers; i++)
	{
		uint64		bit = UINT64CONST(1) << i % workers;

		if ((done & bit) == 0 && sweep_share(workers, i % workers + 1, since))
			done |= bit;
	}
	return done != 0;
}

/* CALL kb_sweep(workers) */
PG_FUNCTION_INFO_V1(kb_sweep);
Datum
kb_sweep(PG_FUNCTION_ARGS)
{
	int			workers;

	plan_require_nonatomic(fcinfo, "kb_sweep", "It commits after each batch (W1).");
	arg_required(fcinfo, 0, "workers");
	workers = PG_GETARG_INT32(0);
	sweep_check_workers(workers);
	if (RecoveryInProgress())
	{
		ereport(NOTICE,
				(errmsg("the sweep does not run on a standby"),
				 errdetail("It runs on the primary.")));
		PG_RETURN_VOID();
	}
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("kb_sweep cannot run in a read-only transaction"),
				 errdetail("default_transaction_read_only is on in this session."),
				 errhint("Set it to off for the role that runs the sweep.")));
	plan_connect_nonatomic();
	if (!sweep_shares(workers))
		ereport(NOTICE, (errmsg("another sweep is running and does the work")));
	SPI_finish();
	PG_RETURN_VOID();
}

void
sweep_check_workers(int workers)
{
	if (workers < 1 || workers > SWEEP_MAX_WORKERS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workers must be from 1 to %d", SWEEP_MAX_WORKERS),
				 errdetail("It is %d.", workers)));
}
