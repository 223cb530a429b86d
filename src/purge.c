/*
 * purge.c
 *		The purge of deleted accounts: the application's rows, then kbilling's own.
 *
 * Rows of registered tables are deleted as PostgreSQL does maintenance: with the
 * rights of the table's owner, in a restricted operation, and with settings that end
 * with it, so that a trigger on the table gains nothing.
 */
#include "postgres.h"

#include "args.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "plan.h"
#include "purge.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* The accounts whose rows are being deleted. */
static Datum *emptied;
static int	num_emptied = 0;

bool
purge_is_emptying(int64 account_id)
{
	for (int i = 0; i < num_emptied; i++)
		if (DatumGetInt64(emptied[i]) == account_id)
			return true;
	return false;
}

/* The accounts whose day has come, and the step of each */
static SavedPlan mark_plan = {
	.sql = "WITH step AS ("
	"  UPDATE account a"
	"     SET state = 'purged', closure_check_on = NULL, stage_check_on = NULL, credit_check_on = NULL, metadata = NULL,"
	"         last_notice_no = a.last_notice_no + 1"
	"   WHERE a.account_id OPERATOR(pg_catalog.=) ANY ($1) AND a.state = 'deleted'"
	"     AND coalesce(a.closure_check_on, 'infinity') <= kb_account_date($2, a.time_zone)"
	"  RETURNING a.account_id, a.last_notice_no, a.balance, a.delete_on, kb_account_date($2, a.time_zone) AS today"
	"), logged AS ("
	"  INSERT INTO closure_step (account_id, step_no, step, taken_at, taken_on, taken_by, balance, delete_on)"
	"  SELECT account_id, last_notice_no, 'purged', $2, today, 'sweep', balance, delete_on FROM step"
	")"
	"SELECT array_agg(account_id) FROM step",
	.arg_types = {"bigint[]", "timestamptz"},
	.is_generic = true
};

static SavedPlan tables_plan = {
	.sql = "SELECT o.schema_name::text, o.table_name::text, o.account_column::text, o.relation IS NOT NULL"
	"  FROM purge_order o ORDER BY o.position"
};

/* Its columns */
enum
{
	TABLE_SCHEMA = 1, TABLE_NAME, TABLE_ACCOUNT_COLUMN, TABLE_EXISTS
};

/* What is left of a purged account is its row, its terms, its journal and its history. */
static SavedPlan forget_plan = {
	.sql = "WITH event AS (DELETE FROM usage_event e WHERE e.account_id OPERATOR(pg_catalog.=) ANY ($1)),"
	" value AS (DELETE FROM usage_value v WHERE v.account_id OPERATOR(pg_catalog.=) ANY ($1)),"
	" hold AS (DELETE FROM usage_hold h WHERE h.account_id OPERATOR(pg_catalog.=) ANY ($1)),"
	" total AS (DELETE FROM usage_total t WHERE t.account_id OPERATOR(pg_catalog.=) ANY ($1)),"
	" activity AS (DELETE FROM activity v WHERE v.account_id OPERATOR(pg_catalog.=) ANY ($1)),"
	" member AS (DELETE FROM member m WHERE m.account_id OPERATOR(pg_catalog.=) ANY ($1)),"
	" details AS (DELETE FROM billing_details b WHERE b.account_id OPERATOR(pg_catalog.=) ANY ($1)),"
	" payment AS (UPDATE payment p SET member = '(purged)', failure = NULL WHERE p.account_id OPERATOR(pg_catalog.=) ANY ($1))"
	/* nobody is left to get them, but the application */
	" UPDATE notice n"
	"    SET last_error = CASE WHEN n.delivered_at IS NULL THEN 'the account was purged' END,"
	"        due_at = NULL, leased_until = NULL, parked_at = NULL"
	"   FROM (SELECT x.account_id, x.notice_no FROM notice x"
	"          WHERE x.account_id OPERATOR(pg_catalog.=) ANY ($1) AND (x.due_at IS NOT NULL OR x.last_error IS NOT NULL)"
	"            AND x.kind <> 'topup_after_deletion'"
	"          ORDER BY x.account_id, x.notice_no FOR NO KEY UPDATE) w"
	"  WHERE n.account_id = w.account_id AND n.notice_no = w.notice_no",
	.arg_types = {"bigint[]"}
};

/* A text column of a row, which is not NULL */
static char *
text_of(const SPITupleTable *table, uint64 row, int column)
{
	return SPI_getvalue(table->vals[row], table->tupdesc, column);
}

/*
 * Delete rows.  An error of a trigger fails only its account, even if it claims to be an
 * error of the server, which would end the sweep.
 */
static void
delete_rows(const char *rows, Datum account_ids)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[] = {INT8ARRAYOID};

	PG_TRY();
	{
		(void) SPI_execute_with_args(psprintf("DELETE FROM %s", rows), 1, types, &account_ids, NULL, false, 0);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES ||
			error->sqlerrcode == ERRCODE_READ_ONLY_SQL_TRANSACTION)
			error->sqlerrcode = ERRCODE_TRIGGERED_ACTION_EXCEPTION;
		ReThrowError(error);
	}
	PG_END_TRY();
}

/* Lock a registered table, and return its owner; looked up now: a trigger on another table may have replaced it */
static Oid
lock_table(const SPITupleTable *tables, uint64 row)
{
	char	   *schema = text_of(tables, row, TABLE_SCHEMA);
	char	   *name = text_of(tables, row, TABLE_NAME);
	Oid			table = RangeVarGetRelid(makeRangeVar(schema, name, -1), RowExclusiveLock, true);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	bool		isnull;
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relkind == RELKIND_RELATION || form->relkind == RELKIND_PARTITIONED_TABLE)
			owner = form->relowner;
		ReleaseSysCache(tuple);
	}
	if (!OidIsValid(owner) || !DatumGetBool(SPI_getbinval(tables->vals[row], tables->tupdesc, TABLE_EXISTS, &isnull)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s with column %s does not exist, but is registered for the purge",
						quote_qualified_identifier(schema, name),
						quote_identifier(text_of(tables, row, TABLE_ACCOUNT_COLUMN))),
				 errdetail("No account is purged while rows of it might be left behind (D6)."),
				 errhint("Take the table off the list with kb_unregister_purge, and register it by its new name, if it has one.")));
	return owner;
}

/* Do something to the accounts' rows in a registered table, as its owner; settings are restored afterwards */
static void
as_owner(const SPITupleTable *tables, uint64 row, Datum account_ids, void (*what) (const char *rows, Datum account_ids))
{
	char	   *rows = psprintf("%s WHERE %s OPERATOR(pg_catalog.=) ANY ($1)",
								quote_qualified_identifier(text_of(tables, row, TABLE_SCHEMA), text_of(tables, row, TABLE_NAME)),
								quote_identifier(text_of(tables, row, TABLE_ACCOUNT_COLUMN)));
	Oid			owner = lock_table(tables, row);
	int			settings = NewGUCNestLevel();
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
	what(rows, account_ids);
	AtEOXact_GUC(false, settings);
	SetUserIdAndSecContext(user, context);
}

/* There must be no rows left */
static void
refuse_rows(const char *rows, Datum account_ids)
{
	Oid			types[] = {INT8ARRAYOID};

	if (SPI_execute_with_args(psprintf("SELECT FROM %s", rows), 1, types, &account_ids, NULL, false, 1) != SPI_OK_SELECT ||
		SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows are left in a table that is registered for the purge"),
				 errdetail("They are rows of %s. A trigger or rule has kept them, or put them there again.", rows),
				 errhint("Let the table's rows be deleted, or take the table off the list with kb_unregister_purge.")));
}

/*
 * Delete the accounts' rows from all registered tables, in order; twice, as
 * triggers on the later ones may write to the earlier.
 */
static void
empty_tables(const SPITupleTable *tables, uint64 n, ArrayType *account_ids)
{
	/* nothing is deferred to the commit, when other rights apply */
	if (n > 0 && SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not set constraints");
	deconstruct_array(account_ids, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE, &emptied, NULL, &num_emptied);
	PG_TRY();
	{
		for (uint64 i = 0; i < 2 * n; i++)
			as_owner(tables, i % n, PointerGetDatum(account_ids), delete_rows);
	}
	PG_FINALLY();
	{
		num_emptied = 0;
	}
	PG_END_TRY();
}

/* Purge accounts that are marked already */
static void
purge(ArrayType *account_ids)
{
	Datum		values[] = {PointerGetDatum(account_ids)};
	uint64		n = plan_execute(&tables_plan, NULL, NULL, false);
	SPITupleTable *tables = SPI_tuptable;

	empty_tables(tables, n, account_ids);
	plan_execute(&forget_plan, values, NULL, false);
	for (uint64 i = 0; i < n; i++)
		as_owner(tables, i, values[0], refuse_rows);
}

int64
purge_accounts(ArrayType *account_ids, TimestampTz at)
{
	Datum		values[] = {PointerGetDatum(account_ids), TimestampTzGetDatum(at)};
	ArrayType  *due;

	plan_execute(&mark_plan, values, NULL, false);
	if (plan_is_null(1))
		return 0;
	due = DatumGetArrayTypePCopy(plan_required(1));
	purge(due);
	return ArrayGetNItems(ARR_NDIM(due), ARR_DIMS(due));
}

/* kb_purge_accounts(account_ids, at) */
PG_FUNCTION_INFO_V1(kb_purge_accounts);
Datum
kb_purge_accounts(PG_FUNCTION_ARGS)
{
	int64		n;

	arg_required(fcinfo, 0, "account_ids");
	arg_required(fcinfo, 1, "at");
	plan_connect();
	n = purge_accounts(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_TIMESTAMPTZ(1));
	SPI_finish();
	PG_RETURN_INT64(n);
}
