/*
 * purge.c
 *		The purge of deleted accounts: the application's rows, then kbilling's own.
 *
 * What the application has registered is deleted as PostgreSQL itself works on a
 * table for somebody else: with the rights of the table's owner, restricted, and
 * with settings that end with it, so that a trigger on it gains nothing by it.
 */
#include "postgres.h"

#include "args.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "plan.h"
#include "purge.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
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
static SavedPlan begin_plan = {
	.sql = "WITH step AS ("
	"  UPDATE kbilling.account a"
	"     SET state = 'purged', closure_check_on = NULL, stage_check_on = NULL, metadata = NULL, last_notice_no = a.last_notice_no + 1"
	"   WHERE a.account_id OPERATOR(pg_catalog.=) ANY ($1) AND a.state = 'deleted'"
	"     AND coalesce(a.closure_check_on, 'infinity') <= kbilling.kb_account_date($2, a.time_zone)"
	"  RETURNING a.account_id, a.last_notice_no, a.balance, a.delete_on, kbilling.kb_account_date($2, a.time_zone) AS today"
	"), logged AS ("
	"  INSERT INTO kbilling.closure_step (account_id, step_no, step, taken_at, taken_on, taken_by, balance, delete_on)"
	"  SELECT account_id, last_notice_no, 'purged', $2, today, 'sweep', balance, delete_on FROM step"
	")"
	"SELECT array_agg(account_id) FROM step",
	.arg_types = {"bigint[]", "timestamptz"}
};

static SavedPlan tables_plan = {
	.sql = "SELECT o.schema_name::text, o.table_name::text, o.account_column::text, o.\"table\" IS NOT NULL, o.owner::oid"
	"  FROM kbilling.purge_order o ORDER BY o.position"
};

/* What is left of a purged account is its row, its terms, its journal and its history. */
static SavedPlan forget_plan = {
	.sql = "WITH event AS (DELETE FROM kbilling.usage_event e WHERE e.account_id OPERATOR(pg_catalog.=) ANY ($1)),"
	" value AS (DELETE FROM kbilling.usage_value v WHERE v.account_id OPERATOR(pg_catalog.=) ANY ($1)),"
	" total AS (DELETE FROM kbilling.usage_total t WHERE t.account_id OPERATOR(pg_catalog.=) ANY ($1)),"
	" activity AS (DELETE FROM kbilling.activity v WHERE v.account_id OPERATOR(pg_catalog.=) ANY ($1)),"
	" member AS (DELETE FROM kbilling.member m WHERE m.account_id OPERATOR(pg_catalog.=) ANY ($1)),"
	" payment AS (UPDATE kbilling.payment p SET member = '(purged)', failure = NULL WHERE p.account_id OPERATOR(pg_catalog.=) ANY ($1))"
	/* nobody is left to get them */
	" UPDATE kbilling.notice n"
	"    SET last_error = CASE WHEN n.delivered_at IS NULL THEN 'the account was purged' END,"
	"        due_at = NULL, leased_until = NULL, parked_at = NULL"
	"  WHERE n.account_id OPERATOR(pg_catalog.=) ANY ($1) AND (n.due_at IS NOT NULL OR n.last_error IS NOT NULL)",
	.arg_types = {"bigint[]"}
};

/* A text column of a row, which is not NULL */
static char *
text_of(const SPITupleTable *table, uint64 row, int column)
{
	return SPI_getvalue(table->vals[row], table->tupdesc, column);
}

/* Delete the accounts' rows from one registered table */
static void
empty_table(const SPITupleTable *tables, uint64 row, ArrayType *account_ids)
{
	Oid			types[] = {INT8ARRAYOID};
	Datum		values[] = {PointerGetDatum(account_ids)};
	char	   *name = quote_qualified_identifier(text_of(tables, row, 1), text_of(tables, row, 2));
	char	   *rows = psprintf("%s WHERE %s OPERATOR(pg_catalog.=) ANY ($1)", name, quote_identifier(text_of(tables, row, 3)));
	Oid			user;
	int			context;
	int			settings;
	bool		isnull;

	if (!DatumGetBool(SPI_getbinval(tables->vals[row], tables->tupdesc, 4, &isnull)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s with column %s does not exist, but is registered for the purge", name,
						quote_identifier(text_of(tables, row, 3))),
				 errdetail("No account is purged while rows of it might be left behind (D6)."),
				 errhint("Take it back with kb_unregister_purge, and register the table by its new name, if it has one.")));
	settings = NewGUCNestLevel();
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(DatumGetObjectId(SPI_getbinval(tables->vals[row], tables->tupdesc, 5, &isnull)),
						   context | SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
	(void) SPI_execute_with_args(psprintf("DELETE FROM %s", rows), 1, types, values, NULL, false, 0);
	AtEOXact_GUC(false, settings);
	settings = NewGUCNestLevel();
	if (SPI_execute_with_args(psprintf("SELECT FROM %s", rows), 1, types, values, NULL, false, 1) != SPI_OK_SELECT || SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows are left in table %s, which is registered for the purge", name),
				 errdetail("A trigger or rule has kept them, or put them there again."),
				 errhint("Let the table's rows be deleted, or take it back with kb_unregister_purge.")));
	AtEOXact_GUC(false, settings);
	SetUserIdAndSecContext(user, context);
}

/* Delete the accounts' rows from all registered tables, in order */
static void
empty_tables(ArrayType *account_ids)
{
	uint64		n = plan_execute(&tables_plan, NULL, NULL, false);
	SPITupleTable *tables = SPI_tuptable;

	/* nothing is put off to the commit, when the rights are other ones */
	if (n > 0 && SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not set constraints");
	deconstruct_array(account_ids, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE, &emptied, NULL, &num_emptied);
	PG_TRY();
	{
		for (uint64 i = 0; i < n; i++)
			empty_table(tables, i, account_ids);
	}
	PG_FINALLY();
	{
		num_emptied = 0;
	}
	PG_END_TRY();
}

/* kb_purge_accounts(account_ids, at) */
PG_FUNCTION_INFO_V1(kb_purge_accounts);
Datum
kb_purge_accounts(PG_FUNCTION_ARGS)
{
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	ArrayType  *account_ids;
	bool		isnull;
	int64		n = 0;

	arg_required(fcinfo, 0, "account_ids");
	arg_required(fcinfo, 1, "at");
	plan_connect();
	plan_execute(&begin_plan, values, NULL, false);
	values[0] = plan_column(1, &isnull);
	if (!isnull)
	{
		account_ids = DatumGetArrayTypePCopy(values[0]);
		values[0] = PointerGetDatum(account_ids);
		empty_tables(account_ids);
		plan_execute(&forget_plan, values, NULL, false);
		n = ArrayGetNItems(ARR_NDIM(account_ids), ARR_DIMS(account_ids));
	}
	SPI_finish();
	PG_RETURN_INT64(n);
}
