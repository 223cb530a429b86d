/*
 * forget.c
 *		Rows of accounts that another node has are deleted (rules B).
 */
#include "postgres.h"

#include "args.h"
#include "catalog/pg_type.h"
#include "journal.h"
#include "miscadmin.h"
#include "movein.h"
#include "moveout.h"
#include "plan.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

/* Whose buckets may go: those of a move that the target has taken, or of one that was cancelled here */
static bool
may_forget(const Move *move)
{
	if (move->is_source)
	{
		if (!move_has_state(move, TAKEN) && !move_has_state(move, FORGOTTEN))
			move_refuse(move, FORGOTTEN);
		return move_has_state(move, TAKEN);
	}
	if (!move_has_state(move, CANCELLED))
		move_refuse(move, FORGOTTEN);
	if (movein_source(move) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the source of move \"%s\" has not been told that it is cancelled", move->name),
				 errdetail("The subscription is still there."),
				 errhint("CALL kb_cancel_move('%s') here again, with forced => true if the source is gone for good.",
						 move->name)));
	return true;
}

static SavedPlan others_plan = {
	.sql = "SELECT array_agg(b.bucket) FROM shard_bucket b WHERE NOT b.is_owned"
};

/* The buckets that are another node's: those that an argument names, or all; NULL if there are none */
static ArrayType *
others_arg(FunctionCallInfo fcinfo, int n)
{
	if (!PG_ARGISNULL(n))
		return move_buckets_arg(fcinfo, n);
	plan_execute(&others_plan, NULL, NULL, false);
	return plan_is_null(1) ? NULL : DatumGetArrayTypePCopy(plan_required(1));
}

/* kb_begin_forget(move, buckets) */
PG_FUNCTION_INFO_V1(kb_begin_forget);
Datum
kb_begin_forget(PG_FUNCTION_ARGS)
{
	Move	   *move = NULL;
	ArrayType  *buckets;

	plan_connect();
	if (!PG_ARGISNULL(0))
		move = move_require(move_name_arg(fcinfo, 0));
	if (move == NULL)
		buckets = others_arg(fcinfo, 1);
	else
		buckets = may_forget(move) ? move->buckets : NULL;
	if (buckets != NULL)
	{
		move_require_still(buckets, move ? move->name : NULL);
		move_require_none_owned(buckets);
		buckets = DatumGetArrayTypeP(SPI_datumTransfer(PointerGetDatum(buckets), false, -1));
		if (move != NULL && move->is_source)
			moveout_stop_sending(move, false);
	}
	SPI_finish();
	if (buckets == NULL)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(buckets);
}

static SavedPlan hold_plan = {
	.sql = "SELECT FROM shard_bucket b WHERE b.bucket = ANY ($1) FOR SHARE",
	.arg_types = {"integer[]"}
};

/* 55000 if this node owns one of the buckets; none becomes its own until the commit */
static void
hold_disowned(ArrayType *buckets)
{
	Datum		value = PointerGetDatum(buckets);

	plan_execute(&hold_plan, &value, NULL, false);
	move_require_none_owned(buckets);
}

static SavedPlan next_accounts_plan = {
	.sql = "SELECT array_agg(n.account_id), max(n.account_id)"
	"  FROM (SELECT a.account_id FROM account a WHERE a.account_id > $2 AND kb_shard(a.account_id) = ANY ($1)"
	"         ORDER BY a.account_id LIMIT $3) n",
	.arg_types = {"integer[]", "bigint", "integer"}
};

/* kb_forget_accounts(buckets, after, batch_size) */
PG_FUNCTION_INFO_V1(kb_forget_accounts);
Datum
kb_forget_accounts(PG_FUNCTION_ARGS)
{
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};
	Datum		account_ids;
	int64		last = 0;
	ListCell   *lc;

	plan_connect();
	hold_disowned(PG_GETARG_ARRAYTYPE_P(0));
	plan_execute(&next_accounts_plan, values, NULL, false);
	if (!plan_is_null(2))
	{
		account_ids = PointerGetDatum(DatumGetArrayTypePCopy(plan_required(1)));
		last = plan_int64(2);
		foreach(lc, move_tables(true))
			(void) journal_forget(psprintf("DELETE FROM %s t WHERE t.account_id = ANY ($1)",
										   ((const AccountTable *) lfirst(lc))->name), INT8ARRAYOID, account_ids);
	}
	SPI_finish();
	if (last == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(last);
}

/* kb_forget_rest(buckets, batch_size) */
PG_FUNCTION_INFO_V1(kb_forget_rest);
Datum
kb_forget_rest(PG_FUNCTION_ARGS)
{
	ArrayType  *buckets = PG_GETARG_ARRAYTYPE_P(0);
	int32		size = PG_GETARG_INT32(1);
	int64		rows = 0;
	ListCell   *lc;

	plan_connect();
	hold_disowned(buckets);
	foreach(lc, move_tables(true))
	{
		const char *table = ((const AccountTable *) lfirst(lc))->name;

		rows += journal_forget(psprintf("DELETE FROM %s t WHERE t.ctid = ANY (ARRAY(SELECT o.ctid FROM %s o"
										" WHERE kbilling.kb_shard(o.account_id) = ANY ($1) LIMIT %d))", table, table, size),
							   INT4ARRAYOID, PointerGetDatum(buckets));
	}
	SPI_finish();
	PG_RETURN_INT64(rows);
}

/* kb_end_forget(move): the target's row stays as it was cancelled */
PG_FUNCTION_INFO_V1(kb_end_forget);
Datum
kb_end_forget(PG_FUNCTION_ARGS)
{
	char	   *name = move_name_arg(fcinfo, 0);
	Move	   *move;

	plan_connect();
	move = move_require(name);
	move_drop_cut(move);
	if (move->is_source)
		move_set_state(move, FORGOTTEN);
	SPI_finish();
	PG_RETURN_VOID();
}

/* Delete the rows of buckets, as they are written in SQL, so many accounts in a transaction */
static void
forget(const char *buckets, int size)
{
	char	   *last = "0";

	while ((last = move_step(psprintf("SELECT kbilling_internal.kb_forget_accounts(%s, %s, %d)",
									  buckets, last, size))) != NULL)
		CHECK_FOR_INTERRUPTS();
	while (strcmp(move_step(psprintf("SELECT kbilling_internal.kb_forget_rest(%s, %d)", buckets, size)), "0") != 0)
		CHECK_FOR_INTERRUPTS();
}

/* How many accounts a transaction deletes */
static int
size_arg(FunctionCallInfo fcinfo, int n)
{
	arg_required(fcinfo, n, "batch_size");
	if (PG_GETARG_INT32(n) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch_size must be above zero"),
				 errdetail("It is %d.", PG_GETARG_INT32(n)),
				 errhint("Give the number of accounts that one transaction deletes.")));
	return PG_GETARG_INT32(n);
}

/* CALL kb_forget_move(move, batch_size) */
PG_FUNCTION_INFO_V1(kb_forget_move);
Datum
kb_forget_move(PG_FUNCTION_ARGS)
{
	char	   *name = quote_literal_cstr(move_name_arg(fcinfo, 0));
	int			size = size_arg(fcinfo, 1);
	char	   *buckets;

	move_begin_procedure(fcinfo, "kb_forget_move");
	buckets = move_step(psprintf("SELECT kbilling_internal.kb_begin_forget(%s, NULL)", name));
	if (buckets != NULL)
	{
		forget(quote_literal_cstr(buckets), size);
		(void) move_step(psprintf("SELECT kbilling_internal.kb_end_forget(%s)", name));
	}
	move_end_procedure();
	PG_RETURN_VOID();
}

/* CALL kb_forget_buckets(buckets, batch_size) */
PG_FUNCTION_INFO_V1(kb_forget_buckets);
Datum
kb_forget_buckets(PG_FUNCTION_ARGS)
{
	int			size = size_arg(fcinfo, 1);
	char	   *buckets = move_literal(fcinfo, 0, F_ARRAY_OUT);

	move_begin_procedure(fcinfo, "kb_forget_buckets");
	buckets = move_step(psprintf("SELECT kbilling_internal.kb_begin_forget(NULL, %s)", buckets));
	if (buckets != NULL)
		forget(quote_literal_cstr(buckets), size);
	move_end_procedure();
	PG_RETURN_VOID();
}
