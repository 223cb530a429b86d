/*
 * policy.c
 *		Writing a policy; and built-in rows of tables that a service adds its own to: they cannot be changed.
 */
#include "postgres.h"

#include "args.h"
#include "card.h"
#include "catalog/pg_type_d.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "plan.h"
#include "utils/rel.h"

/* Trigger of built-in rows; its argument is the hint */
PG_FUNCTION_INFO_V1(kb_refuse_change);
Datum
kb_refuse_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || trigger->tg_trigger->tgnargs != 1)
		elog(ERROR, "kb_refuse_change is a trigger function with one argument");
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a built-in row of kbilling.%s cannot be changed",
					RelationGetRelationName(trigger->tg_relation)),
			 errhint("%s", card_hidden(trigger->tg_trigger->tgargs[0]))));
}

/* The columns of kbilling.policy, as a list, and the same of the row that an INSERT has put forward */
static SavedPlan columns_plan = {
	.sql = "SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),"
	"       string_agg('excluded.' || quote_ident(a.attname), ', ' ORDER BY a.attnum)"
	"  FROM pg_attribute a WHERE a.attrelid = 'kbilling.policy'::regclass AND a.attnum > 0 AND NOT a.attisdropped"
};

/*
 * The statement that writes the policy $1 with the settings $2 over what it was, or over "standard" if it is new, and
 * logs the change.  It is made from the table's columns, so that one that is added needs nothing here.
 */
static char *
put_policy_statement(void)
{
	const char *columns;
	const char *excluded;

	plan_execute(&columns_plan, NULL, NULL, true);
	columns = plan_cstring(1);
	excluded = plan_cstring(2);
	return psprintf("WITH old AS MATERIALIZED (SELECT p FROM kbilling.policy p WHERE p.policy = $1), new AS ("
					"  INSERT INTO kbilling.policy AS n (%s)"
					"  SELECT r.* FROM kbilling.policy s LEFT JOIN old ON true"
					"   CROSS JOIN jsonb_populate_record(coalesce(old.p, s), $2 || jsonb_build_object('policy', $1)) r"
					"   WHERE s.policy = 'standard'"
					"  ON CONFLICT (policy) DO UPDATE SET (%s) = ROW (%s)"
					"  RETURNING to_jsonb(n) AS row)"
					"INSERT INTO kbilling.change_log (subject, policy, before, after)"
					"SELECT 'policy', $1, to_jsonb(old.p) - 'policy', new.row - 'policy' FROM new LEFT JOIN old ON true"
					" WHERE to_jsonb(old.p) IS DISTINCT FROM new.row", columns, columns, excluded);
}

/* kb_put_policy(policy, settings) */
PG_FUNCTION_INFO_V1(kb_put_policy);
Datum
kb_put_policy(PG_FUNCTION_ARGS)
{
	Oid			types[] = {TEXTOID, JSONBOID};
	Datum		values[2];
	int			result;

	for (int i = 0; i < 2; i++)
	{
		arg_required(fcinfo, i, i == 0 ? "policy" : "settings");
		values[i] = PG_GETARG_DATUM(i);
	}
	plan_connect();
	result = SPI_execute_with_args(put_policy_statement(), lengthof(types), types, values, NULL, false, 0);
	if (result != SPI_OK_INSERT)
		elog(ERROR, "could not write a policy: %s", SPI_result_code_string(result));
	SPI_finish();
	PG_RETURN_VOID();
}
