/*
 * plan.c
 *		SPI statements that are prepared once a session.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "compat.h"
#include "funcapi.h"
#include "plan.h"
#include "utils/queryenvironment.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "version.h"

/* Everything prepared so far, and the extension's schema that it was prepared for. */
static SavedPlan *prepared = NULL;
static Oid	prepared_for = InvalidOid;

/*
 * Forget the statements of an extension that has been dropped since: its types,
 * which the parameters have, are gone with its schema.
 */
static void
forget_plans_of_another_extension(void)
{
	Oid			schema = get_namespace_oid("kbilling", false);

	if (schema == prepared_for)
		return;
	while (prepared != NULL)
	{
		SPI_freeplan(prepared->plan);
		prepared->plan = NULL;
		prepared = prepared->next;
	}
	prepared_for = schema;
}

/* Prepare a statement for the session */
static void
prepare(SavedPlan *plan)
{
	Oid			types[PLAN_MAX_ARGS];
	SPIPlanPtr	made;

	for (plan->nargs = 0; plan->nargs < PLAN_MAX_ARGS && plan->arg_types[plan->nargs] != NULL; plan->nargs++)
		types[plan->nargs] = kb_type_oid(plan->arg_types[plan->nargs]);
	made = SPI_prepare_cursor(plan->sql, plan->nargs, types, plan->is_generic ? CURSOR_OPT_GENERIC_PLAN : 0);
	if (made == NULL || SPI_keepplan(made) != 0)
		elog(ERROR, "could not prepare: %s", plan->sql);
	plan->plan = made;
	plan->next = prepared;
	prepared = plan;
}

/* Remove our own statement from an error's context: it is long, and tells a caller nothing */
static void
drop_statement(ErrorData *error, const char *sql)
{
	char	   *found = error->context ? strstr(error->context, sql) : NULL;
	char	   *line = found;
	char	   *end;

	if (found == NULL)
		return;
	while (line > error->context && line[-1] != '\n')
		line--;
	end = strchr(found + strlen(sql), '\n');
	if (end != NULL)
		memmove(line, end + 1, strlen(end + 1) + 1);
	else
		*(line > error->context ? line - 1 : line) = '\0';
	if (*error->context == '\0')
		error->context = NULL;
}

/* Run a statement, prepared */
static void
run_prepared(SavedPlan *plan, Datum *values, const char *nulls, bool read_only)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		if (SPI_execute_plan(plan->plan, values, nulls, read_only, 0) < 0)
			elog(ERROR, "could not execute: %s", plan->sql);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		drop_statement(error, plan->sql);
		ReThrowError(error);
	}
	PG_END_TRY();
}

uint64
plan_execute(SavedPlan *plan, Datum *values, const char *nulls, bool read_only)
{
	forget_plans_of_another_extension();
	if (!plan->of_any_version)
		version_require();
	if (plan->plan == NULL)
		prepare(plan);
	run_prepared(plan, values, nulls, read_only);
	return SPI_processed;
}

void
plan_require_current(SavedPlan *plan, Datum *values, const char *nulls)
{
	Snapshot	latest;
	char	   *then;

	if (!IsolationUsesXactSnapshot())
		return;
	plan_execute(plan, values, nulls, false);
	then = plan_cstring(1);
	latest = RegisterSnapshot(GetLatestSnapshot());
	if (SPI_execute_snapshot(plan->plan, values, nulls, latest, InvalidSnapshot, true, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute: %s", plan->sql);
	UnregisterSnapshot(latest);
	if (strcmp(then, plan_cstring(1)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errdetail("What it depends on has changed since the transaction began."),
				 errhint("The transaction might succeed if retried.")));
}

void
plan_register(char *name, TupleDesc desc, Tuplestorestate *rows, double expected)
{
	EphemeralNamedRelation table = palloc0(sizeof(EphemeralNamedRelationData));

	table->md.name = name;
	table->md.reliddesc = InvalidOid;
	table->md.tupdesc = desc;
	table->md.enrtype = ENR_NAMED_TUPLESTORE;
	table->md.enrtuples = expected;
	table->reldata = rows;
	(void) SPI_unregister_relation(name);
	if (SPI_register_relation(table) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register a set of rows");
}

ErrorData *
plan_try(void (*work) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;	/* set within PG_TRY */

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

void
plan_require_nonatomic(FunctionCallInfo fcinfo, const char *name, const char *detail)
{
	const CallContext *call = (const CallContext *) fcinfo->context;

	if (call == NULL || !IsA(call, CallContext) || call->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block", name),
				 errdetail("%s", detail),
				 errhint("CALL it on its own, from a session in autocommit mode.")));
}

void
plan_connect_nonatomic(void)
{
	version_require();
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
}

/* There is no snapshot yet, and the next transaction has the default again. */
void
plan_next_transaction(void)
{
	SPI_commit();
	XactIsoLevel = XACT_READ_COMMITTED;
}

void
plan_return_rows(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rows = (ReturnSetInfo *) fcinfo->resultinfo;

	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(rows->setResult, SPI_tuptable->vals[i]);
}

Datum
plan_row_column(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

Datum
plan_column(int column, bool *isnull)
{
	return plan_row_column(0, column, isnull);
}

Datum
plan_required(int column)
{
	bool		isnull;
	Datum		value = plan_column(column, &isnull);

	if (isnull)
		elog(ERROR, "column %d of a statement's result is null", column);
	return value;
}

bool
plan_is_null(int column)
{
	bool		isnull;

	(void) plan_column(column, &isnull);
	return isnull;
}

OptionalDate
plan_optional_date(int column)
{
	bool		isnull;
	Datum		value = plan_column(column, &isnull);

	return isnull ? no_date() : optional_date(DatumGetDateADT(value));
}

char *
plan_optional_cstring(int column)
{
	bool		isnull;
	Datum		value = plan_column(column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

Datum
plan_text_value(const char *str, char *null)
{
	*null = str ? ' ' : 'n';
	return str ? CStringGetTextDatum(str) : (Datum) 0;
}

Datum
plan_date_value(OptionalDate d, char *null)
{
	*null = d.exists ? ' ' : 'n';
	return DateADTGetDatum(d.date);
}
