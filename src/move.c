/*
 * move.c
 *		Buckets of accounts move to another node, while they are used (rules B): what
 *		the steps share.
 *
 * The rows go over by logical replication, from a publication of the source to a
 * subscription of the target.  Each node has a row in shard_move that says how far it
 * has got; every step can be repeated.
 *
 *		source						target
 *		kb_begin_move
 *									kb_receive_move		the rows that are there, and then what is written
 *									kb_verify_move		tells the source that all is there
 *		kb_cut_move										from here on nobody owns the buckets
 *									kb_own_move			has the last row, owns, tells the source
 *		kb_forget_move
 *
 * Never do both own a bucket.  The transaction in which the source disowns it writes a row
 * to shard_cut, which goes over like any other: the target that has it knows that the
 * cut is committed, and has all that was committed before.  The source takes a move
 * back when the target has said that it never will own the buckets, and forgets rows
 * when it has said that it does.  The target alone calls: the connection string of its
 * subscription serves for that, too.
 */
#include "postgres.h"

#include "access/xact.h"
#include "args.h"
#include "card.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "miscadmin.h"
#include "move.h"
#include "outbox.h"
#include "plan.h"
#include "shard.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"

#define OBJECT_PREFIX		"kbilling_move_"
#define MAX_NAME_LENGTH		40

/* How long to wait between two looks */
#define LOOK_SECONDS		0.01

char *
move_object(const char *move)
{
	return psprintf(OBJECT_PREFIX "%s", move);
}

char *
move_log_object(const char *move)
{
	return psprintf(OBJECT_PREFIX "%s_log", move);
}

bool
move_has_state(const Move *move, const char *state)
{
	return strcmp(move->state, state) == 0;
}

/* What is to be done next, and where */
static char *
next_step(const char *move, bool is_source, const char *state, bool is_refused)
{
	const char *format;

	if (is_refused && strcmp(state, CANCELLED) != 0)
		format = "CALL kb_cancel_move('%s') here: the target has cancelled it.";
	else if (strcmp(state, BEGUN) == 0)
		format = is_source ? "On the target, call kb_receive_move('%s', ...) with the connection string of this server, "
			"if it has not been called, and then kb_verify_move." :
			"When all tables are copied, call kb_verify_move('%s') here.";
	else if (strcmp(state, READY) == 0)
		format = is_source ? "Call kb_cut_move('%s') here." :
			"Call kb_cut_move('%s') on the source, and then CALL kb_own_move here.";
	else if (strcmp(state, CUT) == 0)
		format = "CALL kb_own_move('%s') on the target.";
	else if (strcmp(state, TAKEN) == 0)
		format = is_source ? "CALL kb_forget_move('%s') here." : "CALL kb_forget_move('%s') on the source.";
	else if (strcmp(state, CANCELLED) == 0 && !is_source)
		format = "CALL kb_forget_move('%s') here, if rows were copied, and kb_cancel_move on the source.";
	else
		format = "Nothing is left to be done of \"%s\".";
	return psprintf(format, move);
}

/* kb_next_step(move, is_source, state, is_refused) */
PG_FUNCTION_INFO_V1(kb_next_step);
Datum
kb_next_step(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(next_step(arg_cstring(fcinfo, 0), PG_GETARG_BOOL(1), arg_enum_label(fcinfo, 2),
											   PG_GETARG_BOOL(3))));
}

void
move_refuse(const Move *move, const char *step)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("move \"%s\" cannot be %s now", move->name, step),
			 errdetail("This node is its %s, and its state here is \"%s\".", move->is_source ? "source" : "target",
					   move->state),
			 errhint("%s", next_step(move->name, move->is_source, move->state, move->is_refused))));
}

char *
move_name_arg(FunctionCallInfo fcinfo, int n)
{
	char	   *name;

	arg_required(fcinfo, n, "move");
	name = arg_cstring(fcinfo, n);
	card_check(name);
	if (name[0] < 'a' || name[0] > 'z' || strlen(name) > MAX_NAME_LENGTH ||
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" cannot be the name of a move", name),
				 errdetail("It is part of the name of a replication slot."),
				 errhint("Begin with a small letter, and go on with small letters, digits and underscores, at most %d in all.",
						 MAX_NAME_LENGTH)));
	return name;
}

static SavedPlan find_plan = {
	.sql = "SELECT m.is_source, m.state::text, m.buckets, m.is_refused FROM shard_move m WHERE m.move = $1 FOR UPDATE",
	.arg_types = {"text"}
};

/* Its columns */
enum
{
	FOUND_IS_SOURCE = 1, FOUND_STATE, FOUND_BUCKETS, FOUND_IS_REFUSED
};

/* The move of that name, locked; NULL if there is none */
static Move *
find_move(const char *name)
{
	Datum		value = CStringGetTextDatum(name);
	Move	   *move = palloc(sizeof(Move));

	if (plan_execute(&find_plan, &value, NULL, false) == 0)
		return NULL;
	move->name = pstrdup(name);
	move->is_source = plan_bool(FOUND_IS_SOURCE);
	move->state = plan_cstring(FOUND_STATE);
	move->buckets = DatumGetArrayTypePCopy(plan_required(FOUND_BUCKETS));
	move->is_refused = plan_bool(FOUND_IS_REFUSED);
	return move;
}

Move *
move_require(const char *name)
{
	Move	   *move = find_move(name);

	if (move == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no move \"%s\"", name),
				 errdetail("kbilling.shard_move has no such row on this node."),
				 errhint("kb_move_status() shows the moves of this node.")));
	return move;
}

static SavedPlan state_plan = {
	.sql = "UPDATE shard_move m SET state = $2::kb_move_state, changed_at = clock_timestamp() WHERE m.move = $1",
	.arg_types = {"text", "text"}
};

void
move_set_state(Move *move, const char *state)
{
	Datum		values[] = {CStringGetTextDatum(move->name), CStringGetTextDatum(state)};

	plan_execute(&state_plan, values, NULL, false);
	move->state = pstrdup(state);
}

void
move_run(const char *sql)
{
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not execute: %s", sql);
}

bool
move_wait_until(TimestampTz deadline)
{
	DirectFunctionCall1(pg_sleep, Float8GetDatum(LOOK_SECONDS));
	return GetCurrentTimestamp() < deadline;
}

TimestampTz
move_deadline_arg(FunctionCallInfo fcinfo, int n)
{
	arg_required(fcinfo, n, "max_wait");
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(GetCurrentTimestamp()),
												   PG_GETARG_DATUM(n)));
}

/* 55000 for the move that a statement has found */
pg_noreturn static void
refuse_moving(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("some of the buckets are being moved"),
			 errdetail("Move \"%s\" has them.", plan_cstring(1)),
			 errhint("End that move or cancel it first; kb_move_status() says what is left to be done.")));
}

static SavedPlan overlap_plan = {
	.sql = "SELECT m.move FROM shard_move m"
	" WHERE m.buckets && $1 AND m.move IS DISTINCT FROM $2"
	"   AND (m.state IN ('begun', 'ready', 'cut') OR m.state = 'taken' AND m.is_source) LIMIT 1",
	.arg_types = {"integer[]", "text"}
};

/* The lock keeps out its like alone: steps of other moves do not wait, however long this one does. */
void
move_require_still(ArrayType *buckets, const char *name)
{
	Datum		values[] = {PointerGetDatum(buckets), name ? CStringGetTextDatum(name) : (Datum) 0};

	move_run("LOCK TABLE kbilling.shard_move IN SHARE UPDATE EXCLUSIVE MODE");
	if (plan_execute(&overlap_plan, values, name ? NULL : " n", false) > 0)
		refuse_moving();
}

/* A move of buckets of which $1 says otherwise than this node does, until it ends */
static SavedPlan contrary_plan = {
	.sql = "SELECT m.move::text FROM shard_move m"
	" WHERE (m.state IN ('begun', 'ready', 'cut') OR m.state = 'taken' AND m.is_source)"
	"   AND EXISTS (SELECT FROM shard_bucket s"
	"               WHERE s.bucket = ANY (m.buckets) AND s.is_owned <> (s.bucket = ANY ($1)))"
	" ORDER BY m.move FOR SHARE OF m",
	.arg_types = {"integer[]"}
};

/* 55000 if buckets that are being moved were to be another's: the other node of the move knows nothing of it */
static void
require_not_moving(Datum buckets)
{
	if (plan_execute(&contrary_plan, &buckets, NULL, false) > 0)
		refuse_moving();
}

/* kb_own_buckets(buckets) */
PG_FUNCTION_INFO_V1(kb_own_buckets);
Datum
kb_own_buckets(PG_FUNCTION_ARGS)
{
	plan_connect();
	bms_free(shard_buckets_arg(fcinfo, 0));
	require_not_moving(PG_GETARG_DATUM(0));
	shard_own_buckets(fcinfo, 0);
	SPI_finish();
	PG_RETURN_VOID();
}

static SavedPlan owned_plan = {
	.sql = "SELECT count(*) FILTER (WHERE b.is_owned), min(b.bucket) FILTER (WHERE b.is_owned),"
	"       min(b.bucket) FILTER (WHERE NOT b.is_owned)"
	"  FROM shard_bucket b WHERE b.bucket = ANY ($1)",
	.arg_types = {"integer[]"}
};

/* Its columns */
enum
{
	OWNED_COUNT = 1, OWNED_FIRST, OWNED_FIRST_OTHER
};

/* 55000 unless this node has shards */
static void
require_shards(void)
{
	if (!shard_is_sharded())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this node owns all buckets"),
				 errdetail("It has not been told which ones are its own."),
				 errhint("Call kb_own_buckets first: with all of them if it has accounts, with none if it is new.")));
}

void
move_require_all_owned(ArrayType *buckets)
{
	Datum		value = PointerGetDatum(buckets);

	require_shards();
	plan_execute(&owned_plan, &value, NULL, false);
	if (!plan_is_null(OWNED_FIRST_OTHER))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this node does not own all of the buckets"),
				 errdetail("Bucket %d is another node's.", plan_int32(OWNED_FIRST_OTHER)),
				 errhint("Name buckets that it owns; kbilling.shard_bucket says which.")));
}

void
move_require_none_owned(ArrayType *buckets)
{
	Datum		value = PointerGetDatum(buckets);

	require_shards();
	plan_execute(&owned_plan, &value, NULL, false);
	if (!plan_is_null(OWNED_FIRST))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this node owns some of the buckets"),
				 errdetail("It owns %lld of them; the first is bucket %d.", (long long) plan_int64(OWNED_COUNT),
						   plan_int32(OWNED_FIRST)),
				 errhint("Name buckets that it does not own; kbilling.shard_bucket says which.")));
}

static SavedPlan own_plan = {
	.sql = "UPDATE shard_bucket b SET is_owned = $2 WHERE b.bucket = ANY ($1)",
	.arg_types = {"integer[]", "boolean"}
};

void
move_set_owned(ArrayType *buckets, bool is_owned)
{
	Datum		values[] = {PointerGetDatum(buckets), BoolGetDatum(is_owned)};

	plan_execute(&own_plan, values, NULL, false);
}

static SavedPlan reprice_plan = {
	.sql = "SELECT kb_reprice_buckets($2) FROM shard_cut c WHERE c.move = $1 AND c.catalogue <> kb_catalogue_digest()",
	.arg_types = {"text", "integer[]"}
};

static SavedPlan retention_plan = {.sql = "DELETE FROM retention"};

/* While the buckets were nobody's, a new price was not theirs (C3), and what is not kept was not removed of them (U6). */
void
move_own(const Move *move)
{
	Datum		values[] = {CStringGetTextDatum(move->name), PointerGetDatum(move->buckets)};

	move_set_owned(move->buckets, true);
	plan_execute(&reprice_plan, values, NULL, false);
	plan_execute(&retention_plan, NULL, NULL, false);
	kb_wake_workers();
}

/* A set of buckets as an array, in their order */
static ArrayType *
bucket_array(const Bitmapset *buckets)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(bms_num_members(buckets), 1));
	int			n = 0;

	for (int bucket = -1; (bucket = bms_next_member(buckets, bucket)) >= 0;)
		values[n++] = Int32GetDatum(bucket);
	return construct_array(values, n, INT4OID, sizeof(int32), true, TYPALIGN_INT);
}

Bitmapset *
move_bucket_set(ArrayType *buckets)
{
	Bitmapset  *set = NULL;
	Datum	   *values;
	int			n;

	deconstruct_array(buckets, INT4OID, sizeof(int32), true, TYPALIGN_INT, &values, NULL, &n);
	for (int i = 0; i < n; i++)
		set = bms_add_member(set, DatumGetInt32(values[i]));
	return set;
}

ArrayType *
move_buckets_arg(FunctionCallInfo fcinfo, int n)
{
	Bitmapset  *buckets;

	arg_required(fcinfo, n, "buckets");
	buckets = shard_buckets_arg(fcinfo, n);
	if (bms_is_empty(buckets))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there must be a bucket"),
				 errdetail("The array is empty."),
				 errhint("Name the buckets: kb_shard(account_id) is that of an account.")));
	return bucket_array(buckets);
}

char *
move_buckets_text(ArrayType *buckets)
{
	return OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(buckets));
}

static SavedPlan tables_plan = {
	.sql = "SELECT t.table_name::text, t.is_log FROM account_table t WHERE t.is_moved OR $1 ORDER BY t.position",
	.arg_types = {"boolean"}
};

List *
move_tables(bool all)
{
	Datum		value = BoolGetDatum(all);
	uint64		n = plan_execute(&tables_plan, &value, NULL, false);
	List	   *tables = NIL;

	for (uint64 i = 0; i < n; i++)
	{
		AccountTable *table = palloc(sizeof(AccountTable));
		bool		isnull;

		table->name = psprintf("kbilling.%s", quote_identifier(TextDatumGetCString(plan_row_column(i, 1, &isnull))));
		table->is_log = DatumGetBool(plan_row_column(i, 2, &isnull));
		tables = lappend(tables, table);
	}
	return tables;
}

static SavedPlan insert_plan = {
	.sql = "INSERT INTO shard_move (move, is_source, buckets) VALUES ($1, $2, $3)",
	.arg_types = {"text", "boolean", "integer[]"}
};

void
move_insert(const char *name, bool is_source, ArrayType *buckets)
{
	Datum		values[] = {CStringGetTextDatum(name), BoolGetDatum(is_source), PointerGetDatum(buckets)};

	plan_execute(&insert_plan, values, NULL, false);
}

bool
move_has_begun(const char *name, bool is_source, ArrayType *buckets)
{
	Move	   *move = find_move(name);

	if (move == NULL)
		return false;
	if (move->is_source != is_source || !move_has_state(move, BEGUN) ||
		(buckets != NULL && !bms_equal(move_bucket_set(buckets), move_bucket_set(move->buckets))))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("there is a move \"%s\" already", name),
				 errdetail("This node is its %s, and its state here is \"%s\".", move->is_source ? "source" : "target",
						   move->state),
				 errhint("Give each move a name of its own.")));
	ereport(NOTICE, (errmsg("move \"%s\" has begun already", name)));
	return true;
}

void
move_require_slot(const Move *move, const char *slot)
{
	if (strcmp(slot, "gone") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the replication slot of move \"%s\" is gone", move->name),
				 errdetail("What the target has not received yet cannot be sent any more."),
				 errhint("CALL kb_cancel_move on the target, then on the source, and begin another move.")));
}

static SavedPlan drop_cut_plan = {.sql = "DELETE FROM shard_cut c WHERE c.move = $1",.arg_types = {"text"}};

void
move_drop_cut(const Move *move)
{
	Datum		name = CStringGetTextDatum(move->name);

	plan_execute(&drop_cut_plan, &name, NULL, false);
}

void
move_begin_procedure(FunctionCallInfo fcinfo, const char *name)
{
	plan_require_nonatomic(fcinfo, name, "It commits between its steps.");
	PreventCommandDuringRecovery(name);
	plan_connect_nonatomic();
	plan_next_transaction();
}

char *
move_step(const char *sql)
{
	char	   *result;

	if (SPI_execute(sql, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not execute: %s", sql);
	result = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	SPI_freetuptable(SPI_tuptable);
	plan_next_transaction();
	return result;
}

/* What follows has the session's default isolation level again. */
void
move_end_procedure(void)
{
	SPI_commit();
	SPI_finish();
}

char *
move_literal(FunctionCallInfo fcinfo, int n, Oid output)
{
	return PG_ARGISNULL(n) ? "NULL" : quote_literal_cstr(OidOutputFunctionCall(output, PG_GETARG_DATUM(n)));
}
