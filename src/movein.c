/*
 * movein.c
 *		Buckets of accounts move from another node to this one (rules B): see move.c.
 */
#include "postgres.h"

#include "access/xact.h"
#include "args.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "movein.h"
#include "moveout.h"
#include "peer.h"
#include "plan.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

/* What the source says of a move. */
typedef struct Offer
{
	bool		is_source;
	char	   *state;
	char	   *buckets;
	char	   *columns;		/* digests */
	char	   *catalogue;
	char	   *slot;			/* "gone", "idle" or "active" */
} Offer;

#define OFFER_COLUMNS	6

static SavedPlan own_offer_plan = {
	.sql = "SELECT x.extversion, kb_account_columns(), kb_catalogue_digest()"
	"  FROM pg_catalog.pg_extension x WHERE x.extname = 'kbilling'"
};

/* 55000 unless something is the same on both nodes */
static void
require_same(const char *what, const char *here, const char *there, const char *hint)
{
	if (strcmp(here, there) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the source has %s than this node", what),
				 errdetail("It is %s there, and %s here.", there, here),
				 errhint("%s", hint)));
}

/* Ask the source for a move; 55000 unless both nodes fit each other */
static Offer
get_offer(const char *source, const char *name)
{
	char	   *sql = psprintf("SELECT is_source::text, state, buckets, columns, catalogue, slot"
							   " FROM kbilling_internal.kb_offered_move(%s)", quote_literal_cstr(name));
	char	  **version = peer_query_row(source, "SELECT coalesce((SELECT extversion FROM pg_catalog.pg_extension "
										 "WHERE extname = 'kbilling'), 'no version')", 1);
	List	   *rows;
	char	  **row;

	plan_execute(&own_offer_plan, NULL, NULL, false);
	require_same("another version of kbilling", plan_cstring(1), version[0],
				 "Install the same version on both, with ALTER EXTENSION kbilling UPDATE.");
	rows = peer_query(source, sql, OFFER_COLUMNS);
	if (rows == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the source has no move \"%s\"", name),
				 errdetail("kbilling.shard_move has no such row there."),
				 errhint("Call kb_begin_move there first, or check the connection string.")));
	row = linitial(rows);
	require_same("other columns in the tables of accounts", plan_cstring(2), row[3],
				 "Compare them in pg_attribute: a column has been added, changed or dropped by hand.");
	require_same("another price list", plan_cstring(3), row[4],
				 "Compare the tables of the price list on both, or wait until it has been replicated.");
	return (Offer) {strcmp(row[0], "true") == 0, row[1], row[2], row[3], row[4], row[5]};
}

/* 55000 if there are rows of the buckets already */
static void
require_no_rows(ArrayType *buckets)
{
	ListCell   *lc;
	Oid			type = INT4ARRAYOID;
	Datum		value = PointerGetDatum(buckets);

	foreach(lc, move_tables(true))
	{
		const AccountTable *table = lfirst(lc);
		char	   *sql = psprintf("SELECT FROM %s t WHERE kbilling.kb_shard(t.account_id) = ANY ($1) LIMIT 1",
								   table->name);

		if (SPI_execute_with_args(sql, 1, &type, &value, NULL, false, 0) != SPI_OK_SELECT)
			elog(ERROR, "could not execute: %s", sql);
		if (SPI_processed > 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("this node has rows of the buckets already"),
					 errdetail("Table %s has some.", table->name),
					 errhint("If they are left from a move, CALL kb_forget_move for that; "
							 "if they were here before a split, CALL kb_forget_buckets.")));
	}
}

/* Make the slot on the source; what is left there of an attempt that failed goes first */
static void
make_slot(const char *source, const char *name, const Offer *offer)
{
	char	   *slot = quote_literal_cstr(move_object(name));

	if (strcmp(offer->slot, "active") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("another server receives move \"%s\"", name),
				 errdetail("Its replication slot on the source is in use."),
				 errhint("CALL kb_cancel_move on the server that should not receive it.")));
	(void) peer_query(source, psprintf("SELECT pg_catalog.pg_drop_replication_slot(slot_name)::text "
									   "FROM pg_catalog.pg_replication_slots WHERE slot_name = %s", slot), 1);
	(void) peer_query(source, psprintf("SELECT slot_name::text "
									   "FROM pg_catalog.pg_create_logical_replication_slot(%s, 'pgoutput')", slot), 1);
}

/* Check all that is to be checked before the first row comes, and have them come */
static void
receive(const char *name, const char *source)
{
	Offer		offer = get_offer(source, name);
	ArrayType  *buckets;

	if (!offer.is_source || strcmp(offer.state, BEGUN) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("move \"%s\" cannot be received from there", name),
				 errdetail("That node is its %s, and its state there is \"%s\".", offer.is_source ? "source" : "target",
						   offer.state),
				 errhint("Call kb_begin_move there, with another name.")));
	buckets = DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN, offer.buckets, INT4OID, -1));
	move_require_still(buckets, NULL);
	move_require_none_owned(buckets);
	require_no_rows(buckets);
	make_slot(source, name, &offer);
	move_insert(name, false, buckets);
	move_run(psprintf("CREATE SUBSCRIPTION %s CONNECTION %s PUBLICATION %s, %s WITH (create_slot = false)",
					  move_object(name), quote_literal_cstr(source), move_object(name), move_log_object(name)));
}

/*
 * kb_receive_move(move, source): the slot waits for all transactions that write on the source, which may be
 * another database of this server.
 */
PG_FUNCTION_INFO_V1(kb_receive_move);
Datum
kb_receive_move(PG_FUNCTION_ARGS)
{
	char	   *name = move_name_arg(fcinfo, 0);
	char	   *source = arg_cstring(fcinfo, 1);

	arg_required(fcinfo, 1, "source");
	PreventCommandDuringRecovery("kb_receive_move()");
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("kb_receive_move cannot run in a transaction that has written something"),
				 errdetail("It makes a replication slot on the source, which no ROLLBACK takes back."),
				 errhint("Call it on its own.")));
	plan_connect();
	if (!move_has_begun(name, false, NULL))
		receive(name, source);
	SPI_finish();
	PG_RETURN_VOID();
}

static SavedPlan source_plan = {
	.sql = "SELECT s.subconninfo FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
	" WHERE d.datname = current_database() AND s.subname = $1",
	.arg_types = {"text"}
};

/* The connection string of the source, which the subscription has; NULL if that is gone */
char *
movein_source(const Move *move)
{
	Datum		value = CStringGetTextDatum(move_object(move->name));

	return plan_execute(&source_plan, &value, NULL, false) > 0 ? plan_cstring(1) : NULL;
}

/* The same; 55000 if it is gone */
static char *
require_source(const Move *move)
{
	char	   *source = movein_source(move);

	if (source == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the subscription of move \"%s\" is gone", move->name),
				 errdetail("There is no subscription %s in this database.", move_object(move->name)),
				 errhint("CALL kb_cancel_move here and on the source, and begin another move.")));
	return source;
}

/* Tell the source what has been done here */
static void
tell_source(const Move *move, const char *source, const char *state)
{
	(void) peer_query_row(source, psprintf("SELECT kbilling_internal.kb_tell_move(%s, %s)",
										   quote_literal_cstr(move->name), quote_literal_cstr(state)), 1);
}

static SavedPlan copied_plan = {
	.sql = "SELECT count(*) FILTER (WHERE x.srsubstate = 'r'), count(*) FROM pg_subscription_rel x"
	"  JOIN pg_subscription s ON s.oid = x.srsubid JOIN pg_database d ON d.oid = s.subdbid"
	" WHERE d.datname = current_database() AND s.subname = $1",
	.arg_types = {"text"}
};

/* 55000 unless the rows that were there at the start are here: from then on they come in the order of their commits */
static void
require_copied(const Move *move)
{
	Datum		value = CStringGetTextDatum(move_object(move->name));
	int64		expected = list_length(move_tables(false)) + 1;

	plan_execute(&copied_plan, &value, NULL, false);
	if (plan_int64(1) != expected || plan_int64(2) != expected)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the rows of move \"%s\" are still being copied", move->name),
				 errdetail("%lld of %lld tables are copied.", (long long) plan_int64(1), (long long) expected),
				 errhint("Call this again later; kb_move_status() shows how far it is, and what is wrong.")));
}

static SavedPlan problem_plan = {
	.sql = "SELECT c.account_id, c.problem FROM entry_check c"
	" WHERE kb_shard(c.account_id) = ANY ($1) AND c.problem IS NOT NULL"
	" UNION ALL "
	"SELECT c.account_id, c.problem FROM account_check c"
	" WHERE kb_shard(c.account_id) = ANY ($1) AND c.problem IS NOT NULL"
	" LIMIT 1",
	.arg_types = {"integer[]"}
};

/* Have the planner know the tables, into which so much has come */
static void
analyze_tables(void)
{
	ListCell   *lc;

	foreach(lc, move_tables(false))
		move_run(psprintf("ANALYZE %s", ((const AccountTable *) lfirst(lc))->name));
}

/* Raise what is wrong with an account, if the statement found something */
static void
require_no_problem(uint64 found)
{
	if (found > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("account %lld is damaged", (long long) plan_int64(1)),
				 errdetail("%s.", plan_cstring(2)),
				 errhint("See what kb_verify(%lld) says of it on the source, and kb_move_status() here.",
						 (long long) plan_int64(1))));
}

static SavedPlan verified_plan = {
	.sql = "UPDATE shard_move m SET unverified_from = $2, state = 'ready', changed_at = clock_timestamp()"
	" WHERE m.move = $1"
	" RETURNING (SELECT count(*) FROM account a WHERE kb_shard(a.account_id) = ANY (m.buckets))",
	.arg_types = {"text", "xid8"}
};

static SavedPlan horizon_plan = {.sql = "SELECT pg_snapshot_xmin(pg_current_snapshot())"};

/* Verify all accounts, and note what has been written by then; how many accounts there are */
static int64
verify_all(const Move *move)
{
	Datum		values[] = {CStringGetTextDatum(move->name), 0};
	Datum		buckets = PointerGetDatum(move->buckets);

	analyze_tables();
	plan_execute(&horizon_plan, NULL, NULL, false);
	values[1] = plan_required(1);	/* passed by value */
	require_no_problem(plan_execute(&problem_plan, &buckets, NULL, false));
	plan_execute(&verified_plan, values, NULL, false);
	return plan_int64(1);
}

/* kb_verify_move(move) */
PG_FUNCTION_INFO_V1(kb_verify_move);
Datum
kb_verify_move(PG_FUNCTION_ARGS)
{
	char	   *name = move_name_arg(fcinfo, 0);
	Move	   *move;
	char	   *source;
	int64		accounts;

	PreventCommandDuringRecovery("kb_verify_move()");
	plan_connect();
	move = move_require(name);
	if (move->is_source || !(move_has_state(move, BEGUN) || move_has_state(move, READY)))
		move_refuse(move, "verified");
	source = require_source(move);
	move_require_slot(move, get_offer(source, name).slot);
	require_copied(move);
	accounts = verify_all(move);
	tell_source(move, source, READY);
	SPI_finish();
	PG_RETURN_INT64(accounts);
}

static SavedPlan changed_plan = {
	.sql = "SELECT v.account_id, v.problem FROM shard_move m"
	"  JOIN account a ON kb_shard(a.account_id) = ANY (m.buckets) AND age(a.xmin) <= age(m.unverified_from::xid)"
	" CROSS JOIN LATERAL kb_account_problem(a.account_id) v"
	" WHERE m.move = $1 LIMIT 1",
	.arg_types = {"text"}
};

/* Verify the accounts that have changed since all of them were */
static void
verify_changed(const Move *move)
{
	Datum		name = CStringGetTextDatum(move->name);

	require_no_problem(plan_execute(&changed_plan, &name, NULL, false));
}

static SavedPlan has_cut_plan = {.sql = "SELECT FROM shard_cut c WHERE c.move = $1",.arg_types = {"text"}};

/* Wait for the last row of the source; 55P03 if it does not come in time */
static void
wait_for_cut(const Move *move, TimestampTz deadline)
{
	Datum		name = CStringGetTextDatum(move->name);
	bool		is_late = false;

	while (plan_execute(&has_cut_plan, &name, NULL, false) == 0)
	{
		if (is_late)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("the last row of move \"%s\" has not come", move->name),
					 errdetail("It was waited for as long as max_wait says."),
					 errhint("Nothing has changed. Look at kb_move_status() and the log of this server, "
							 "and CALL kb_own_move again.")));
		is_late = !move_wait_until(deadline);
	}
}

/* A digest of the accounts themselves */
#define ACCOUNT_DIGEST	"coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text"

/* How many rows each table has of the accounts: its name, the number, and a digest */
static char *
count_statement(ArrayType *buckets)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, move_tables(false))
	{
		const AccountTable *table = lfirst(lc);

		appendStringInfo(&sql, "%sSELECT '%s', count(*)::text, %s FROM %s t"
						 " WHERE kbilling.kb_shard(t.account_id) = ANY ('%s')",
						 sql.len > 0 ? " UNION ALL " : "", table->name,
						 strcmp(table->name, "kbilling.account") == 0 ? ACCOUNT_DIGEST : "''", table->name,
						 move_buckets_text(buckets));
	}
	return sql.data;
}

static SavedPlan buckets_plan = {.sql = "SELECT m.buckets FROM shard_move m WHERE m.move = $1",.arg_types = {"text"}};

/* kb_count_moved(move) */
PG_FUNCTION_INFO_V1(kb_count_moved);
Datum
kb_count_moved(PG_FUNCTION_ARGS)
{
	Datum		name = PG_GETARG_DATUM(0);

	arg_required(fcinfo, 0, "move");
	InitMaterializedSRF(fcinfo, 0);
	plan_connect();
	if (plan_execute(&buckets_plan, &name, NULL, true) > 0)
	{
		move_run(count_statement(DatumGetArrayTypePCopy(plan_required(1))));
		plan_return_rows(fcinfo);
	}
	SPI_finish();
	return (Datum) 0;
}

#define COUNT_STATEMENT \
	"SELECT table_name, rows, digest FROM kbilling_internal.kb_count_moved(%s)" \
	" ORDER BY pg_catalog.convert_to(table_name, 'UTF8')"

/* 55000 unless this node has what the source has, whose rows nobody writes any more */
static void
compare(const Move *move, const char *source)
{
	char	   *sql = psprintf(COUNT_STATEMENT, quote_literal_cstr(move->name));
	List	   *there = peer_query(source, sql, 3);
	uint64		i = 0;
	ListCell   *lc;

	move_run(sql);
	foreach(lc, there)
	{
		char	  **row = lfirst(lc);
		char	   *rows = i < SPI_processed ? SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2) : "no";
		char	   *digest = i < SPI_processed ? SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 3) : "";

		if (strcmp(rows, row[1]) != 0 || strcmp(digest, row[2]) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the copy of move \"%s\" differs from what the source has", move->name),
					 errdetail("Table %s has %s rows here, and %s there%s.", row[0], rows, row[1],
							   strcmp(rows, row[1]) == 0 ? ", with other contents" : ""),
					 errhint("Nothing is lost: CALL kb_cancel_move here, then on the source, "
							 "and begin another move.")));
		i++;
	}
}

/* Stop the subscription, and let go of its slot, which the source drops */
static void
stop_subscription(const Move *move)
{
	char	   *name = move_object(move->name);

	if (movein_source(move) == NULL)
		return;
	move_run(psprintf("ALTER SUBSCRIPTION %s DISABLE", name));
	move_run(psprintf("ALTER SUBSCRIPTION %s SET (slot_name = NONE)", name));
}

/* Own the buckets; the source may then forget them, so this commit must not be lost */
static void
take(Move *move)
{
	move_own(move);
	move_drop_cut(move);
	stop_subscription(move);
	move_set_state(move, TAKEN);
	ForceSyncCommit();
}

/* See to it that all is here and right, and own it */
static void
check_and_take(Move *move, TimestampTz deadline)
{
	char	   *source = require_source(move);
	Offer		offer = get_offer(source, move->name);

	if (strcmp(offer.state, CUT) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("move \"%s\" is not cut", move->name),
				 errdetail("Its state on the source is \"%s\".", offer.state),
				 errhint("%s", strcmp(offer.state, READY) == 0 ? "Call kb_cut_move there first." :
						 "kb_move_status() says there what is left to be done.")));
	require_copied(move);
	wait_for_cut(move, deadline);
	move_require_none_owned(move->buckets);
	verify_changed(move);
	compare(move, source);
	take(move);
}

/* kb_take_move(move, max_wait) */
PG_FUNCTION_INFO_V1(kb_take_move);
Datum
kb_take_move(PG_FUNCTION_ARGS)
{
	char	   *name = move_name_arg(fcinfo, 0);
	TimestampTz deadline = move_deadline_arg(fcinfo, 1);
	Move	   *move;

	PreventCommandDuringRecovery("kb_own_move");
	plan_connect();
	move = move_require(name);
	if (!move->is_source && move_has_state(move, READY))
		check_and_take(move, deadline);
	else if (move->is_source || !move_has_state(move, TAKEN))
		move_refuse(move, "owned");
	SPI_finish();
	PG_RETURN_BOOL(true);
}

/* kb_end_subscription(move, is_told): the source is told once, while there is the subscription */
PG_FUNCTION_INFO_V1(kb_end_subscription);
Datum
kb_end_subscription(PG_FUNCTION_ARGS)
{
	char	   *name = move_name_arg(fcinfo, 0);
	Move	   *move;
	char	   *source;

	plan_connect();
	move = move_require(name);
	source = movein_source(move);
	if (source != NULL && PG_GETARG_BOOL(1))
		tell_source(move, source, move->state);
	if (source != NULL)
		move_run(psprintf("DROP SUBSCRIPTION %s", move_object(name)));
	SPI_finish();
	PG_RETURN_BOOL(source != NULL);
}

/* Take a move back on the target; the source may then own the buckets again, so this commit must not be lost */
static void
cancel(Move *move)
{
	stop_subscription(move);
	move_drop_cut(move);
	move_set_state(move, CANCELLED);
	ForceSyncCommit();
}

/* kb_stop_move(move, forced) */
PG_FUNCTION_INFO_V1(kb_stop_move);
Datum
kb_stop_move(PG_FUNCTION_ARGS)
{
	char	   *name = move_name_arg(fcinfo, 0);
	bool		forced;
	Move	   *move;

	arg_required(fcinfo, 1, "forced");
	forced = PG_GETARG_BOOL(1);
	plan_connect();
	move = move_require(name);
	if (move_has_state(move, TAKEN) || move_has_state(move, FORGOTTEN))
		move_refuse(move, CANCELLED);
	if (!move_has_state(move, CANCELLED))
		move->is_source ? moveout_cancel(move, forced) : cancel(move);
	SPI_finish();
	PG_RETURN_BOOL(!move->is_source && !forced);
}

/* CALL kb_own_move(move, max_wait) */
PG_FUNCTION_INFO_V1(kb_own_move);
Datum
kb_own_move(PG_FUNCTION_ARGS)
{
	char	   *name = quote_literal_cstr(move_name_arg(fcinfo, 0));
	char	   *max_wait = move_literal(fcinfo, 1, F_INTERVAL_OUT);

	move_begin_procedure(fcinfo, "kb_own_move");
	(void) move_step(psprintf("SELECT kbilling_internal.kb_take_move(%s, %s)", name, max_wait));
	(void) move_step(psprintf("SELECT kbilling_internal.kb_end_subscription(%s, true)", name));
	move_end_procedure();
	PG_RETURN_VOID();
}

/* CALL kb_cancel_move(move, forced) */
PG_FUNCTION_INFO_V1(kb_cancel_move);
Datum
kb_cancel_move(PG_FUNCTION_ARGS)
{
	char	   *name = quote_literal_cstr(move_name_arg(fcinfo, 0));
	char	   *is_told;

	move_begin_procedure(fcinfo, "kb_cancel_move");
	is_told = move_step(psprintf("SELECT kbilling_internal.kb_stop_move(%s, %s)", name,
								 move_literal(fcinfo, 1, F_BOOLOUT)));
	(void) move_step(psprintf("SELECT kbilling_internal.kb_end_subscription(%s, '%s')", name, is_told));
	move_end_procedure();
	PG_RETURN_VOID();
}
