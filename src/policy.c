/*
 * policy.c
 *		Built-in rows of tables that a service adds its own to: they cannot be changed.
 */
#include "postgres.h"

#include "card.h"
#include "commands/trigger.h"
#include "fmgr.h"
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
