/*
 * router.c
 *		What SQL cannot do: statements that a query composes, shards that do not
 *		answer, and waiting.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

PG_MODULE_MAGIC;

#define CLUSTER			"kbilling_shards"

/* How often kb_catalogue_wait looks */
#define LOOK_EVERY_MS	100

/* What fails sooner is tried again */
#define RETRY_WITHIN_MS	1000

/* How long a shard may take to say that it is there; PL/Proxy itself waits for a silent host for ever. */
#define ANSWER_WITHIN_MS	5000

/* Run a statement; the result is then in SPI_tuptable */
static void
run(const char *sql, int nargs, Oid *types, Datum *values)
{
	int			code = SPI_execute_with_args(sql, nargs, types, values, NULL, false, 0);

	if (code < 0)
		elog(ERROR, "\"%s\" failed: %s", sql, SPI_result_code_string(code));
}

/* A column, counted from 1, of a row of the result, counted from 0, as text; NULL for NULL */
static char *
column(SPITupleTable *rows, uint64 row, int n)
{
	return SPI_getvalue(rows->vals[row], rows->tupdesc, n);
}

/* kb_run(view) */
PG_FUNCTION_INFO_V1(kb_run);
Datum
kb_run(PG_FUNCTION_ARGS)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {PG_GETARG_DATUM(0)};
	SPITupleTable *statements;
	uint64		n;

	SPI_connect();
	run("SELECT pg_catalog.format('SELECT statement FROM %s ORDER BY step, statement', $1)", 1, types, values);
	run(column(SPI_tuptable, 0, 1), 0, NULL, NULL);
	statements = SPI_tuptable;
	n = SPI_processed;
	for (uint64 i = 0; i < n; i++)
		run(column(statements, i, 1), 0, NULL, NULL);
	SPI_finish();
	PG_RETURN_INT64((int64) n);
}

/* What a shard says */
typedef struct Answer
{
	int			partition_no;
	char	   *version;		/* of its kbilling; NULL: it has none */
} Answer;

/* Ask a shard, in memory of the caller */
static void
ask(Answer *answer, MemoryContext context)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(answer->partition_no)};
	char	   *version;

	run("SELECT v FROM kbilling_router_internal.kb_version_on($1) v", 1, types, values);
	version = SPI_processed == 1 ? column(SPI_tuptable, 0, 1) : NULL;
	answer->version = version ? MemoryContextStrdup(context, version) : NULL;
}

/* What an error says, less PL/Proxy's name of the function, and but for its first line */
static char *
say_briefly(const char *message)
{
	const char *said = strstr(message, "): ");
	char	   *result = pstrdup(said ? said + strlen("): ") : message);

	result[strcspn(result, "\n")] = '\0';
	return result;
}

/* A shard has taken too long */
static volatile sig_atomic_t waited_enough;

/* Cancel the call that waits for it, as a user would */
static void
stop_waiting(void)
{
	waited_enough = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

/* Ask a shard in a subtransaction; NULL, or why it does not answer */
static char *
try_to_ask(Answer *answer)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *volatile problem = NULL;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		ask(answer, context);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && waited_enough)
			problem = psprintf("it has said nothing for %d s", ANSWER_WITHIN_MS / 1000);
		else if (error->sqlerrcode == ERRCODE_QUERY_CANCELED || error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
			ReThrowError(error);
		else
			problem = say_briefly(error->message);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return problem;
}

/* Error 55000 until kb_router_refresh has been called */
static void
require_cluster(void)
{
	if (GetForeignServerByName(CLUSTER, true) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this router has no proxies yet"),
				 errhint("Write the tables kbilling_router.shard and kbilling_router.bucket_map, and call "
						 "kbilling_router.kb_router_refresh().")));
}

/* The same, within ANSWER_WITHIN_MS */
static char *
try_to_ask_in_time(Answer *answer)
{
	static TimeoutId timeout;
	static bool registered = false;
	char	   *volatile problem = NULL;

	if (!registered)
		timeout = RegisterTimeout(USER_TIMEOUT, stop_waiting);
	registered = true;
	waited_enough = false;
	enable_timeout_after(timeout, ANSWER_WITHIN_MS);
	PG_TRY();
	{
		problem = try_to_ask(answer);
	}
	PG_FINALLY();
	{
		disable_timeout(timeout, false);
	}
	PG_END_TRY();
	if (waited_enough)
		QueryCancelPending = false; /* it came too late */
	return problem;
}

/* The same; a connection from before the shard was restarted fails at once, and only once */
static char *
try_again_to_ask(Answer *answer)
{
	TimestampTz start = GetCurrentTimestamp();
	char	   *problem = try_to_ask_in_time(answer);

	if (problem != NULL && !TimestampDifferenceExceeds(start, GetCurrentTimestamp(), RETRY_WITHIN_MS))
		problem = try_to_ask_in_time(answer);
	return problem;
}

/* kb_answers(): each shard, with the version of kbilling there, or why it does not answer */
PG_FUNCTION_INFO_V1(kb_answers);
Datum
kb_answers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	SPITupleTable *shards;
	uint64		n;

	InitMaterializedSRF(fcinfo, 0);
	require_cluster();
	SPI_connect();
	run("SELECT shard, partition_no FROM kbilling_router.shard WHERE partition_no IS NOT NULL ORDER BY shard", 0, NULL, NULL);
	shards = SPI_tuptable;
	n = SPI_processed;
	for (uint64 i = 0; i < n; i++)
	{
		Answer		answer = {.partition_no = pg_strtoint32(column(shards, i, 2))};
		char	   *problem = try_again_to_ask(&answer);
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = CStringGetTextDatum(column(shards, i, 1));
		values[1] = Int32GetDatum(answer.partition_no);
		nulls[2] = answer.version == NULL;
		values[2] = nulls[2] ? (Datum) 0 : CStringGetTextDatum(answer.version);
		nulls[3] = problem == NULL;
		values[3] = nulls[3] ? (Datum) 0 : CStringGetTextDatum(problem);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}

/* kb_no_shard(bucket) */
PG_FUNCTION_INFO_V1(kb_no_shard);
Datum
kb_no_shard(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("no shard is known to have bucket %d", PG_GETARG_INT32(0)),
			 errdetail("Either kbilling_router.bucket_map has no row for it, or its shard was added after the last refresh."),
			 errhint("Give it a shard in kbilling_router.bucket_map, and call kbilling_router.kb_router_refresh().")));
	PG_RETURN_NULL();
}

/* The shards whose price list is not the router's, a line for each; NULL if all have it */
static char *
find_laggards(void)
{
	run("SELECT string_agg(problem, E'\\n' ORDER BY shard) FROM kbilling_router_internal.kb_catalogue_lag()", 0, NULL, NULL);
	return column(SPI_tuptable, 0, 1);
}

/* kb_catalogue_wait(timeout) */
PG_FUNCTION_INFO_V1(kb_catalogue_wait);
Datum
kb_catalogue_wait(PG_FUNCTION_ARGS)
{
	TimestampTz end;
	char	   *laggards;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("timeout must not be null")));
	end = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(GetCurrentTimestamp()),
												  PG_GETARG_DATUM(0)));
	SPI_connect();
	while ((laggards = find_laggards()) != NULL)
	{
		if (GetCurrentTimestamp() >= end)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("not all shards have the price list yet"),
					 errdetail_internal("%s", laggards),
					 errhint("Commit what you have changed before you wait. See kbilling_router.kb_router_status() here, and "
							 "pg_stat_subscription and the server's log on the shard.")));
		SPI_freetuptable(SPI_tuptable);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_EVERY_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_finish();
	PG_RETURN_VOID();
}
