/*
 * schedule.c
 *		The sweep as a job of pg_cron (W2).
 *
 * pg_cron need not be there before these are called, and may be there in
 * another database only: its functions are called by name.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "args.h"
#include "card.h"
#include "catalog/namespace.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "plan.h"
#include "sweep.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"

#define JOB_COMMAND		"CALL kbilling.kb_sweep("

/* What a worker's job runs */
static char *
job_command(int workers)
{
	return workers == 1 ? pstrdup(JOB_COMMAND ")") : psprintf(JOB_COMMAND "workers => %d)", workers);
}

/* The name of a worker's job, counted from 1; it differs from those of other databases even if theirs are cut */
static char *
job_name(const char *database, int worker)
{
	int			len = strlen(database);
	char	   *prefix = worker == 1 ? pstrdup("kbilling sweep of ") : psprintf("kbilling sweep %d of ", worker);

	if (strlen(prefix) + len < NAMEDATALEN)
		return psprintf("%s%s", prefix, database);
	return psprintf("%s%.*s %08x", prefix,
					pg_mbcliplen(database, len, NAMEDATALEN - 1 - strlen(prefix) - strlen(" 01234567")), database,
					hash_bytes((const unsigned char *) database, len));
}

/* A value as postgresql.conf wants it */
static char *
quote_setting(const char *value)
{
	char	   *escaped = escape_single_quotes_ascii(value);
	char	   *result;

	if (escaped == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	result = psprintf("'%s'", escaped);
	free(escaped);
	return result;
}

/*
 * Error 55000 unless pg_cron keeps its jobs in this database; instead is the
 * statement that does the same where it keeps them.
 */
static void
require_cron(const char *database, const char *instead)
{
	const char *home = GetConfigOption("cron.database_name", true, false);

	/* a setting without the library that defines it is a placeholder */
	if (home == NULL || (GetConfigOptionFlags("cron.database_name", false) & GUC_CUSTOM_PLACEHOLDER) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_cron is not loaded"),
				 errdetail("The server loads it when it starts; it then runs the sweep (W2)."),
				 errhint("Install pg_cron, add these lines to postgresql.conf, with what shared_preload_libraries has already, "
						 "restart the server, and CREATE EXTENSION pg_cron:\n"
						 "shared_preload_libraries = 'pg_cron'\n"
						 "cron.database_name = %s", quote_setting(database))));
	if (strcmp(home, database) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_cron keeps its jobs in database \"%s\"", home),
				 errdetail("A function of database \"%s\" cannot reach them: run the statement of the hint there. "
						   "Or set cron.database_name = %s in postgresql.conf and restart the server.",
						   database, quote_setting(database)),
				 errhint("%s", instead)));
	if (!OidIsValid(get_extension_oid("pg_cron", true)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_cron is loaded, but has no extension in this database"),
				 errdetail("Its extension has the table of jobs."),
				 errhint("Run CREATE EXTENSION pg_cron as a superuser.")));
}

/*
 * Role that has a job, or NULL; nobody changes pg_cron's jobs until the
 * transaction ends.  Row security shows a role its own jobs only, so this reads
 * the table itself: there is to be one sweep, not one for each role.
 */
static char *
job_role(const char *job)
{
	Relation	jobs = table_openrv(makeRangeVar("cron", "job", -1), ShareRowExclusiveLock);
	TupleDesc	desc = RelationGetDescr(jobs);
	SysScanDesc scan = systable_beginscan(jobs, InvalidOid, false, NULL, 0, NULL);
	char	   *role = NULL;
	HeapTuple	tuple;

	while (role == NULL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		char	   *name = SPI_getvalue(tuple, desc, SPI_fnumber(desc, "jobname"));

		if (name != NULL && strcmp(name, job) == 0)
			role = SPI_getvalue(tuple, desc, SPI_fnumber(desc, "username"));
	}
	systable_endscan(scan);
	table_close(jobs, NoLock);
	return role;
}

/* The same; error 42501 if it is not the caller, who is no superuser */
static char *
own_job_role(const char *job)
{
	char	   *role = job_role(job);

	if (role != NULL && !superuser() && strcmp(role, GetUserNameFromId(GetUserId(), false)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the sweep is scheduled by another role"),
				 errdetail("pg_cron runs it as role \"%s\".", role),
				 errhint("Have that role, or a superuser, change it or take it away.")));
	return role;
}

/* First column of the first row of a statement about pg_cron's jobs, with the caller's rights; 0 if there is none */
static Datum
ask_cron(const char *sql)
{
	bool		isnull;
	Datum		result = 0;

	plan_connect();
	if (SPI_execute(sql, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute: %s", sql);
	if (SPI_processed > 0)
		result = plan_column(1, &isnull);
	SPI_finish();
	return result;
}

/* What pg_cron is told of a worker's job: its name, its schedule and what it runs */
static char *
job_arguments(const char *database, const char *schedule, int worker, int workers)
{
	return psprintf("%s, %s, %s", quote_literal_cstr(job_name(database, worker)), quote_literal_cstr(schedule),
					quote_literal_cstr(job_command(workers)));
}

/* The statements that schedule the jobs from another database */
static char *
schedule_elsewhere(const char *database, const char *schedule, int workers)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 1; i <= workers; i++)
		appendStringInfo(&sql, "%sSELECT cron.schedule_in_database(%s, %s)", i > 1 ? "; " : "",
						 job_arguments(database, schedule, i, workers), quote_literal_cstr(database));
	return sql.data;
}

/* Take a job away, if it is there and the condition holds; false if not */
static bool
unschedule(const char *job, const char *condition)
{
	return DatumGetBool(ask_cron(psprintf("SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = %s AND %s",
										  quote_literal_cstr(job), condition)));
}

/*
 * Schedule a worker's job, as the role, or as the caller if that is NULL; its number.  pg_cron would leave one that is switched
 * off as it is.
 */
static Datum
schedule_job(const char *database, const char *schedule, int worker, int workers, const char *role)
{
	char	   *arguments = job_arguments(database, schedule, worker, workers);

	(void) unschedule(job_name(database, worker), "NOT active");
	if (role == NULL || strcmp(role, GetUserNameFromId(GetUserId(), false)) == 0)
		return ask_cron(psprintf("SELECT cron.schedule(%s)", arguments));
	return ask_cron(psprintf("SELECT cron.schedule_in_database(%s, %s, %s)", arguments,
							 quote_literal_cstr(database), quote_literal_cstr(role)));
}

/* Take away the jobs of all workers but the first so many; false if there were none */
static bool
unschedule_but(const char *database, int workers)
{
	bool		any = false;

	for (int i = workers + 1; i <= SWEEP_MAX_WORKERS; i++)
	{
		char	   *job = job_name(database, i);

		if (own_job_role(job) != NULL)
			any = unschedule(job, "true") || any;
	}
	return any;
}

/* kb_schedule(schedule, workers): the jobs run as the role that the first has */
PG_FUNCTION_INFO_V1(kb_schedule);
Datum
kb_schedule(PG_FUNCTION_ARGS)
{
	char	   *schedule = arg_cstring(fcinfo, 0);
	char	   *database = get_database_name(MyDatabaseId);
	char	   *role;
	int			workers;
	Datum		id;

	arg_required(fcinfo, 0, "schedule");
	arg_required(fcinfo, 1, "workers");
	workers = PG_GETARG_INT32(1);
	sweep_check_workers(workers);
	card_check(schedule);
	PreventCommandIfReadOnly("kb_schedule()");
	require_cron(database, schedule_elsewhere(database, schedule, workers));
	role = own_job_role(job_name(database, 1));
	id = schedule_job(database, schedule, 1, workers, role);
	for (int i = 2; i <= workers; i++)
	{
		(void) own_job_role(job_name(database, i));
		(void) schedule_job(database, schedule, i, workers, role);
	}
	(void) unschedule_but(database, workers);
	PG_RETURN_DATUM(id);
}

/* kb_unschedule() */
PG_FUNCTION_INFO_V1(kb_unschedule);
Datum
kb_unschedule(PG_FUNCTION_ARGS)
{
	char	   *database = get_database_name(MyDatabaseId);

	PreventCommandIfReadOnly("kb_unschedule()");
	require_cron(database, psprintf("SELECT cron.unschedule(jobid) FROM cron.job WHERE database = %s AND command LIKE %s",
									quote_literal_cstr(database), quote_literal_cstr(JOB_COMMAND "%")));
	PG_RETURN_BOOL(unschedule_but(database, 0));
}
