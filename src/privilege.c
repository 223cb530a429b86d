/*
 * privilege.c
 *		Granting the rights of kbilling.role_right to roles, and taking them back.
 */
#include "postgres.h"

#include "args.h"
#include "card.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "plan.h"
#include "utils/builtins.h"

/* Arguments that are none of the four are refused */
static char *
read_granted_as(FunctionCallInfo fcinfo)
{
	static const char *const known[] = {"app", "support", "operator", "auditor"};
	char	   *granted_as;

	arg_required(fcinfo, 0, "role");
	arg_required(fcinfo, 1, "as");
	granted_as = arg_cstring(fcinfo, 1);
	for (size_t i = 0; i < lengthof(known); i++)
		if (strcmp(granted_as, known[i]) == 0)
			return granted_as;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a role is not granted rights as \"%s\"", card_hidden(granted_as)),
			 errhint("It is app, support, operator or auditor.")));
}

/*
 * The objects of each privilege, as GRANT and REVOKE list them; less what the role
 * $2, if there is one, keeps: it has something else as well if it has all of that.
 */
static SavedPlan rights_plan = {
	.sql = "WITH kept AS ("
	"  SELECT k.granted_as FROM kbilling.role_right k WHERE k.granted_as <> $1 AND $2 IS NOT NULL"
	"   GROUP BY k.granted_as"
	"  HAVING bool_and(CASE k.kind WHEN 'ROUTINE' THEN has_function_privilege($2, k.object::regprocedure, k.privilege)"
	"                      ELSE has_table_privilege($2, k.object::regclass, k.privilege) END)"
	")"
	"SELECT r.privilege || ' ON ' || r.kind || ' ' || string_agg(r.object, ', ')"
	"  FROM kbilling.role_right r"
	" WHERE r.granted_as = $1"
	"   AND (r.privilege, r.object) NOT IN (SELECT k.privilege, k.object FROM kbilling.role_right k JOIN kept USING (granted_as))"
	" GROUP BY r.privilege, r.kind",
	.arg_types = {"text", "oid"}
};

/* Run a GRANT, of all, or a REVOKE, of what is not kept, for each privilege */
static void
change_rights(FunctionCallInfo fcinfo, bool grant)
{
	Datum		values[] = {CStringGetTextDatum(read_granted_as(fcinfo)), PG_GETARG_DATUM(0)};
	char	   *role = GetUserNameFromId(PG_GETARG_OID(0), false);
	SPITupleTable *rights;
	uint64		n;

	plan_connect();
	n = plan_execute(&rights_plan, values, grant ? " n" : NULL, false);
	rights = SPI_tuptable;
	for (uint64 i = 0; i < n; i++)
	{
		char	   *right = SPI_getvalue(rights->vals[i], rights->tupdesc, 1);
		char	   *statement = psprintf("%s %s %s %s", grant ? "GRANT" : "REVOKE", right, grant ? "TO" : "FROM",
										 quote_identifier(role));

		if (SPI_execute(statement, false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not execute: %s", statement);
	}
	SPI_finish();
}

/* kb_grant(role, as): what it has already is granted again, which an upgrade may have need of */
PG_FUNCTION_INFO_V1(kb_grant);
Datum
kb_grant(PG_FUNCTION_ARGS)
{
	change_rights(fcinfo, true);
	PG_RETURN_VOID();
}

/* kb_revoke(role, as) */
PG_FUNCTION_INFO_V1(kb_revoke);
Datum
kb_revoke(PG_FUNCTION_ARGS)
{
	change_rights(fcinfo, false);
	PG_RETURN_VOID();
}
