/*
 * moveout.c
 *		Buckets of accounts move from this node to another (rules B): see move.c.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "args.h"
#include "compat.h"
#include "miscadmin.h"
#include "moveout.h"
#include "plan.h"
#include "shard.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/pg_lsn.h"

/* How long to wait for a connection to end before its slot is dropped */
#define MAX_DETACH_SECONDS	10

/* A table of a publication; the condition may have built-in functions alone */
static void
add_table(StringInfo sql, const char *table, ArrayType *buckets)
{
	appendStringInfo(sql, "%s%s WHERE ((hashint8(account_id) & %d) = ANY ('%s'::integer[]))",
					 sql->len > 0 ? ", " : "", table, SHARD_BUCKETS - 1, move_buckets_text(buckets));
}

/*
 * Publish the accounts of a move.  Where account_id is not in the key, rows are only added, and are published as
 * such: a publication of deletes would want it there, and let nobody delete any.
 */
static void
publish(const char *name, ArrayType *buckets)
{
	StringInfoData tables;
	StringInfoData logs;
	ListCell   *lc;

	initStringInfo(&tables);
	initStringInfo(&logs);
	foreach(lc, move_tables(false))
	{
		const AccountTable *table = lfirst(lc);

		add_table(table->is_log ? &logs : &tables, table->name, buckets);
	}
	move_run(psprintf("CREATE PUBLICATION %s FOR TABLE %s, kbilling.shard_cut WHERE (move = %s) "
					  "WITH (publish = 'insert, update, delete')",
					  move_object(name), tables.data, quote_literal_cstr(name)));
	move_run(psprintf("CREATE PUBLICATION %s FOR TABLE %s WITH (publish = 'insert')",
					  move_log_object(name), logs.data));
}

/* kb_begin_move(move, buckets) */
PG_FUNCTION_INFO_V1(kb_begin_move);
Datum
kb_begin_move(PG_FUNCTION_ARGS)
{
	char	   *name = move_name_arg(fcinfo, 0);
	ArrayType  *buckets = move_buckets_arg(fcinfo, 1);

	PreventCommandDuringRecovery("kb_begin_move()");
	if (!XLogLogicalInfoActive())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("wal_level must be \"logical\" on the source of a move"),
				 errdetail("The rows go over by logical replication."),
				 errhint("Set wal_level = logical in postgresql.conf, and restart the server.")));
	plan_connect();
	if (!move_has_begun(name, true, buckets))
	{
		move_require_still(buckets, NULL);
		move_require_all_owned(buckets);
		move_insert(name, true, buckets);
		publish(name, buckets);
	}
	SPI_finish();
	PG_RETURN_VOID();
}

static SavedPlan refuse_plan = {
	.sql = "UPDATE shard_move m SET is_refused = true WHERE m.move = $1",
	.arg_types = {"text"}
};

/*
 * What the target has done follows from what the source has.  It may say again that it has verified, if it was stopped
 * before it noted that.
 */
static void
hear(Move *move, const char *state)
{
	Datum		name = CStringGetTextDatum(move->name);

	if (strcmp(state, CANCELLED) == 0 && (move_has_state(move, BEGUN) || move_has_state(move, READY) || move_has_state(move, CUT)))
		plan_execute(&refuse_plan, &name, NULL, false);
	else if (strcmp(state, READY) == 0 && move_has_state(move, BEGUN) && !move->is_refused)
		move_set_state(move, READY);
	else if (strcmp(state, TAKEN) == 0 && move_has_state(move, CUT) && !move->is_refused)
		move_set_state(move, TAKEN);
	else if (!move_has_state(move, state) && !(strcmp(state, READY) == 0 && move_has_state(move, CUT)) &&
			 !(strcmp(state, TAKEN) == 0 && move_has_state(move, FORGOTTEN)))
		move_refuse(move, psprintf("noted as \"%s\"", state));
}

/* kb_tell_move(move, state) */
PG_FUNCTION_INFO_V1(kb_tell_move);
Datum
kb_tell_move(PG_FUNCTION_ARGS)
{
	char	   *name = move_name_arg(fcinfo, 0);
	char	   *state;
	Move	   *move;
	Datum		noted;

	arg_required(fcinfo, 1, "state");
	state = arg_enum_label(fcinfo, 1);
	plan_connect();
	move = move_require(name);
	if (!move->is_source)
		move_refuse(move, psprintf("noted as \"%s\"", state));
	hear(move, state);
	ForceSyncCommit();			/* it is not said twice */
	noted = SPI_datumTransfer(CStringGetTextDatum(move->state), false, -1);
	SPI_finish();
	PG_RETURN_DATUM(noted);
}

static SavedPlan message_plan = {.sql = "SELECT pg_logical_emit_message(false, 'kbilling', '')"};

static SavedPlan slot_plan = {
	.sql = "SELECT CASE WHEN s.wal_status = 'lost' THEN 'gone' WHEN s.active THEN 'active' ELSE 'idle' END,"
	"       s.confirmed_flush_lsn >= $2, pg_wal_lsn_diff($2, s.confirmed_flush_lsn)::bigint"
	"  FROM pg_replication_slots s WHERE s.slot_name = $1 AND s.database = current_database()",
	.arg_types = {"text", "pg_lsn"}
};

/* Its columns */
enum
{
	SLOT_STATE = 1, SLOT_IS_THERE, SLOT_LAG
};

/* 55P03 if the target does not confirm in time what has been committed by now */
static void
wait_for_target(const Move *move, TimestampTz deadline)
{
	Datum		values[] = {CStringGetTextDatum(move_object(move->name)), 0};
	bool		is_late = false;

	plan_execute(&message_plan, NULL, NULL, false);
	values[1] = plan_required(1);
	XLogFlush(DatumGetLSN(values[1]));
	for (;;)
	{
		move_require_slot(move, plan_execute(&slot_plan, values, NULL, false) > 0 ? plan_cstring(SLOT_STATE) : "gone");
		if (plan_bool(SLOT_IS_THERE))
			return;
		if (is_late)
			break;
		is_late = !move_wait_until(deadline);
	}
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("the target of move \"%s\" is behind", move->name),
			 strcmp(plan_cstring(SLOT_STATE), "active") == 0 ?
			 errdetail("It has %lld bytes of the log to go, and was waited for as long as max_wait says.",
					   (long long) plan_int64(SLOT_LAG)) :
			 errdetail("It is not connected."),
			 errhint("Nothing has changed. Look at kb_move_status() and the log on the target, "
					 "and call kb_cut_move again.")));
}

/* Buckets, and until when to wait for those who write there */
typedef struct Wait
{
	Bitmapset  *buckets;
	TimestampTz deadline;
} Wait;

/* For plan_try: keep out who writes to accounts of the buckets */
static void
keep_out(void *arg)
{
	const Wait *wait = arg;

	shard_keep_out(wait->buckets, wait->deadline);
}

/* Keep out who writes to the accounts; 55P03 if those who do so do not end in time.  In a deadlock, the others go first. */
static void
lock_buckets(const Move *move, TimestampTz deadline)
{
	Wait		wait = {move_bucket_set(move->buckets), deadline};
	ErrorData  *error;

	do
		error = plan_try(keep_out, &wait);
	while (error != NULL && error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED && move_wait_until(deadline));
	if (error != NULL && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("the accounts of move \"%s\" are in use", move->name),
				 errdetail("A transaction that writes to them did not end within max_wait."),
				 errhint("Nothing has changed. Find it in pg_stat_activity, by its xact_start, "
						 "and call kb_cut_move again.")));
	if (error != NULL)
		ReThrowError(error);
}

static SavedPlan cut_plan = {
	.sql = "INSERT INTO shard_cut (move, catalogue) VALUES ($1, kb_catalogue_digest())",
	.arg_types = {"text"}
};

/* Let go of the buckets, when the target has all but the last row */
static void
cut(Move *move, FunctionCallInfo fcinfo)
{
	Datum		name = CStringGetTextDatum(move->name);

	wait_for_target(move, move_deadline_arg(fcinfo, 1));
	lock_buckets(move, move_deadline_arg(fcinfo, 1));
	move_require_all_owned(move->buckets);
	wait_for_target(move, move_deadline_arg(fcinfo, 1));
	move_set_owned(move->buckets, false);
	plan_execute(&cut_plan, &name, NULL, false);
	move_set_state(move, CUT);
}

/* kb_cut_move(move, max_wait) */
PG_FUNCTION_INFO_V1(kb_cut_move);
Datum
kb_cut_move(PG_FUNCTION_ARGS)
{
	char	   *name = move_name_arg(fcinfo, 0);
	Move	   *move;

	(void) move_deadline_arg(fcinfo, 1);
	PreventCommandDuringRecovery("kb_cut_move()");
	plan_connect();
	move = move_require(name);
	if (move->is_source && move_has_state(move, CUT))
		ereport(NOTICE, (errmsg("move \"%s\" is cut already", name)));
	else if (move->is_source && move_has_state(move, READY) && !move->is_refused)
		cut(move, fcinfo);
	else
		move_refuse(move, CUT);
	SPI_finish();
	PG_RETURN_VOID();
}

static SavedPlan receiver_plan = {
	.sql = "SELECT s.active_pid FROM pg_replication_slots s WHERE s.slot_name = $1 AND s.database = current_database()",
	.arg_types = {"text"}
};

/* Whether the slot of a move is there, and who reads it: zero if nobody does */
static bool
find_slot(const Move *move, int32 *receiver)
{
	Datum		name = CStringGetTextDatum(move_object(move->name));

	if (plan_execute(&receiver_plan, &name, NULL, false) == 0)
		return false;
	*receiver = plan_is_null(1) ? 0 : plan_int32(1);
	return true;
}

/* 55006, as the target is connected */
pg_noreturn static void
refuse_slot(const Move *move)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("the target still receives move \"%s\"", move->name),
			 errdetail("Replication slot %s is in use.", move_object(move->name)),
			 errhint("CALL kb_cancel_move('%s') on the target first; "
					 "or with forced => true here, if it is gone for good.", move->name)));
}

static SavedPlan publications_plan = {
	.sql = "SELECT p.pubname::text FROM pg_publication p WHERE p.pubname IN ($1, $2)",
	.arg_types = {"text", "text"}
};

/* Drop what is there of the publications of a move */
static void
drop_publications(const Move *move)
{
	Datum		values[] = {CStringGetTextDatum(move_object(move->name)), CStringGetTextDatum(move_log_object(move->name))};

	while (plan_execute(&publications_plan, values, NULL, false) > 0)
		move_run(psprintf("DROP PUBLICATION %s", plan_cstring(1)));
}

/* At last the slot goes, which no ROLLBACK brings back; its connection may take a moment to end. */
void
moveout_stop_sending(const Move *move, bool forced)
{
	char	   *name = move_object(move->name);
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), MAX_DETACH_SECONDS * 1000);
	int32		receiver;

	drop_publications(move);
	while (find_slot(move, &receiver))
	{
		if (receiver == 0)
		{
			move_run(psprintf("SELECT pg_drop_replication_slot(%s)", quote_literal_cstr(name)));
			return;
		}
		if (forced)
			DirectFunctionCall2(pg_terminate_backend, Int32GetDatum(receiver), Int64GetDatum(0));
		if (!move_wait_until(deadline))
			refuse_slot(move);
	}
}

/* Whether the target is known not to own the buckets: before the cut it cannot; after it, it must have said so */
static void
require_not_taken(const Move *move)
{
	int32		receiver;

	if (move->is_refused)
		return;
	if (move_has_state(move, CUT))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the target of move \"%s\" has not cancelled it", move->name),
				 errdetail("It may own the buckets at any moment."),
				 errhint("CALL kb_cancel_move('%s') on the target first; "
						 "or with forced => true here, if it can never own them.", move->name)));
	if (find_slot(move, &receiver) && receiver != 0)
		refuse_slot(move);
}

void
moveout_cancel(Move *move, bool forced)
{
	if (!forced)
		require_not_taken(move);
	if (move_has_state(move, CUT))
		move_own(move);
	move_drop_cut(move);
	move_set_state(move, CANCELLED);
	moveout_stop_sending(move, forced);
}
