/*
 * privilege.c
 *		Granting the rights of kbilling.role_right to roles, and taking them back.
 */
#include "postgres.h"

#include "args.h"
#include "card.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "plan.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* Arguments of kb_grant and kb_revoke */
enum
{
	ARG_ROLE, ARG_RIGHTS
};

/* Whether there are such rights, and which there are */
static SavedPlan kinds_plan = {
	.sql = "SELECT coalesce(bool_or(r.granted_as = $1), false), string_agg(DISTINCT r.granted_as, ', ') FROM kbilling.role_right r",
	.arg_types = {"text"}
};

/* Refuse rights that role_right does not know */
static void
check_rights(const char *rights)
{
	Datum		value = CStringGetTextDatum(rights);

	plan_execute(&kinds_plan, &value, NULL, false);
	if (!plan_bool(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are no rights \"%s\"", card_hidden(rights)),
				 errhint("The rights are: %s.", plan_cstring(2))));
}

/*
 * The objects of each privilege, as GRANT and REVOKE list them.  If $2 is a role, less
 * what it keeps because it was granted other rights as well.
 */
static SavedPlan rights_plan = {
	.sql = "WITH kept AS ("
	"  SELECT substr(p.proname, length('kb_granted_as_') + 1) AS granted_as"
	"    FROM pg_proc p CROSS JOIN aclexplode(p.proacl) a"
	"   WHERE p.pronamespace = 'kbilling_internal'::regnamespace AND p.proname LIKE 'kb\\_granted\\_as\\_%'"
	"     AND a.grantee = $2"
	")"
	"SELECT r.privilege || ' ON ' || r.kind || ' ' || string_agg(r.object, ', ')"
	"  FROM kbilling.role_right r"
	" WHERE r.granted_as = $1"
	"   AND (r.privilege, r.object) NOT IN"
	"         (SELECT k.privilege, k.object FROM kbilling.role_right k JOIN kept USING (granted_as) WHERE k.granted_as <> $1)"
	" GROUP BY r.privilege, r.kind",
	.arg_types = {"text", "oid"}
};

/* The rights that the role has */
static SavedPlan has_plan = {.sql = "SELECT kbilling_internal.kb_rights_of($1)", .arg_types = {"regrole"}};

static Datum
rights_of(Datum role)
{
	plan_execute(&has_plan, &role, NULL, false);
	return plan_required(1);
}

/* Log what the rights of the role were and are (J9) */
static SavedPlan log_plan = {
	.sql = "INSERT INTO kbilling.change_log (subject, role, before, after)"
	"VALUES ('rights', pg_catalog.pg_get_userbyid($1), $2, kbilling_internal.kb_rights_of($1))",
	.arg_types = {"oid", "jsonb"}
};

/* Run a GRANT or REVOKE */
static void
run_utility(const char *statement)
{
	if (SPI_execute(statement, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not execute: %s", statement);
}

/* For each privilege, GRANT all, or REVOKE what is not kept */
static void
change_rights(FunctionCallInfo fcinfo, bool grant)
{
	Datum		values[2];
	Datum		logged[2];
	char	   *role;
	SPITupleTable *objects;
	uint64		n;

	arg_required(fcinfo, ARG_ROLE, "role");
	arg_required(fcinfo, ARG_RIGHTS, "rights");
	values[0] = PG_GETARG_DATUM(ARG_RIGHTS);
	values[1] = PG_GETARG_DATUM(ARG_ROLE);
	plan_connect();
	check_rights(arg_cstring(fcinfo, ARG_RIGHTS));
	role = GetUserNameFromId(PG_GETARG_OID(ARG_ROLE), false);
	logged[0] = PG_GETARG_DATUM(ARG_ROLE);
	logged[1] = rights_of(logged[0]);
	n = plan_execute(&rights_plan, values, grant ? " n" : NULL, false);
	objects = SPI_tuptable;
	for (uint64 i = 0; i < n; i++)
		run_utility(psprintf("%s %s %s %s", grant ? "GRANT" : "REVOKE", SPI_getvalue(objects->vals[i], objects->tupdesc, 1),
							 grant ? "TO" : "FROM", quote_identifier(role)));
	plan_execute(&log_plan, logged, NULL, false);
	SPI_finish();
}

/* kb_grant(role, rights): may be repeated, after an upgrade for what is new */
PG_FUNCTION_INFO_V1(kb_grant);
Datum
kb_grant(PG_FUNCTION_ARGS)
{
	change_rights(fcinfo, true);
	PG_RETURN_VOID();
}

/* What roles may do with a routine, and so with another; 0 is PUBLIC */
static SavedPlan carried_plan = {
	.sql = "SELECT 'GRANT EXECUTE ON ROUTINE ' || $2 || ' TO '"
	"       || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END"
	"       || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END"
	"  FROM pg_catalog.pg_proc p"
	"  CROSS JOIN pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a"
	" WHERE p.oid = $1 AND a.grantee <> p.proowner",
	.arg_types = {"regprocedure", "regprocedure"}
};

/*
 * Run grants as if no script of the extension did: what a script grants counts as rights that the extension has given, which
 * pg_dump leaves out.
 */
static void
grant_as_user(const SPITupleTable *grants, uint64 n)
{
	bool		was_creating = creating_extension;

	creating_extension = false;
	PG_TRY();
	{
		for (uint64 i = 0; i < n; i++)
			run_utility(SPI_getvalue(grants->vals[i], grants->tupdesc, 1));
	}
	PG_FINALLY();
	{
		creating_extension = was_creating;
	}
	PG_END_TRY();
}

/* kb_carry_rights(old_routine, new_routine) */
PG_FUNCTION_INFO_V1(kb_carry_rights);
Datum
kb_carry_rights(PG_FUNCTION_ARGS)
{
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	SPITupleTable *grants;
	uint64		n;

	arg_required(fcinfo, 0, "old_routine");
	arg_required(fcinfo, 1, "new_routine");
	plan_connect();
	n = plan_execute(&carried_plan, values, NULL, false);
	grants = SPI_tuptable;
	run_utility(psprintf("REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC",
						 DatumGetCString(DirectFunctionCall1(regprocedureout, values[1]))));
	grant_as_user(grants, n);
	SPI_finish();
	PG_RETURN_VOID();
}

/* kb_revoke(role, rights) */
PG_FUNCTION_INFO_V1(kb_revoke);
Datum
kb_revoke(PG_FUNCTION_ARGS)
{
	change_rights(fcinfo, false);
	PG_RETURN_VOID();
}
