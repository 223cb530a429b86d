/*
 * privilege.c
 *		Granting the rights of kbilling.role_right to roles, and taking them back.
 */
#include "postgres.h"

#include "args.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "plan.h"
#include "utils/builtins.h"

/* The role's name; what it is granted as is one of the four */
static char *
read_arguments(FunctionCallInfo fcinfo)
{
	static const char *const known[] = {"app", "support", "operator", "auditor"};
	char	   *granted_as;

	arg_required(fcinfo, 0, "role");
	arg_required(fcinfo, 1, "as");
	granted_as = arg_cstring(fcinfo, 1);
	for (size_t i = 0; i < lengthof(known); i++)
		if (strcmp(granted_as, known[i]) == 0)
			return GetUserNameFromId(PG_GETARG_OID(0), false);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a role is not granted rights as \"%s\"", granted_as),
			 errhint("It is app, support, operator or auditor.")));
}

/* The objects of each privilege, as GRANT and REVOKE list them; what the role keeps as something else is left out */
static SavedPlan rights_plan = {
	.sql = "SELECT r.privilege || ' ON ' || r.kind || ' ' || string_agg(r.object, ', ')"
	"  FROM kbilling.role_right r"
	" WHERE r.granted_as = $1"
	"   AND NOT EXISTS (SELECT FROM kbilling.role_right k JOIN kbilling.role_grant g ON g.granted_as = k.granted_as"
	"                    WHERE g.role = $2 AND (k.privilege, k.object) = (r.privilege, r.object))"
	" GROUP BY r.privilege, r.kind",
	.arg_types = {"text", "name"}
};

/* Run a GRANT or REVOKE for each privilege */
static void
change_rights(const char *granted_as, const char *role, const char *verb, const char *preposition)
{
	Datum		values[] = {CStringGetTextDatum(granted_as), DirectFunctionCall1(namein, CStringGetDatum(role))};
	uint64		n = plan_execute(&rights_plan, values, NULL, false);
	SPITupleTable *rights = SPI_tuptable;

	for (uint64 i = 0; i < n; i++)
	{
		char	   *right = SPI_getvalue(rights->vals[i], rights->tupdesc, 1);
		char	   *statement = psprintf("%s %s %s %s", verb, right, preposition, quote_identifier(role));

		if (SPI_execute(statement, false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not execute: %s", statement);
	}
}

static SavedPlan note_plan = {
	.sql = "INSERT INTO kbilling.role_grant (role, granted_as) VALUES ($1, $2) ON CONFLICT (role, granted_as) DO NOTHING",
	.arg_types = {"name", "text"}
};

static SavedPlan forget_plan = {
	.sql = "DELETE FROM kbilling.role_grant g WHERE g.role = $1 AND g.granted_as = $2",
	.arg_types = {"name", "text"}
};

/* Note, or forget, as what the role has rights */
static void
keep_record(SavedPlan *plan, const char *granted_as, const char *role)
{
	Datum		values[] = {DirectFunctionCall1(namein, CStringGetDatum(role)), CStringGetTextDatum(granted_as)};

	plan_execute(plan, values, NULL, false);
}

/* kb_grant(role, as): what it has already is granted again, which an upgrade may have need of */
PG_FUNCTION_INFO_V1(kb_grant);
Datum
kb_grant(PG_FUNCTION_ARGS)
{
	char	   *role = read_arguments(fcinfo);
	char	   *granted_as = arg_cstring(fcinfo, 1);

	plan_connect();
	keep_record(&forget_plan, granted_as, role);
	change_rights(granted_as, role, "GRANT", "TO");
	keep_record(&note_plan, granted_as, role);
	SPI_finish();
	PG_RETURN_VOID();
}

/* kb_revoke(role, as) */
PG_FUNCTION_INFO_V1(kb_revoke);
Datum
kb_revoke(PG_FUNCTION_ARGS)
{
	char	   *role = read_arguments(fcinfo);
	char	   *granted_as = arg_cstring(fcinfo, 1);

	plan_connect();
	keep_record(&forget_plan, granted_as, role);
	change_rights(granted_as, role, "REVOKE", "FROM");
	SPI_finish();
	PG_RETURN_VOID();
}
