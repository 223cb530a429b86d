/*
 * rowtrigger.c
 *		What triggers for tables of the application have in common.
 */
#include "postgres.h"

#include "card.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "rowtrigger.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

char *
trigger_table(Oid table)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), get_rel_name(table));
}

void
trigger_refuse(const TriggerData *trigger, const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("trigger \"%s\" on %s is attached wrongly", trigger->tg_trigger->tgname,
					trigger_table(RelationGetRelid(trigger->tg_relation))),
			 errdetail_internal("%s", why),
			 errhint("%s", hint)));
}

TriggerColumn
trigger_column(const TriggerData *trigger, int n)
{
	TriggerColumn column = {0, InvalidOid};
	char	   *name;

	if (n >= trigger->tg_trigger->tgnargs || trigger->tg_trigger->tgargs[n][0] == '\0')
		return column;
	name = trigger->tg_trigger->tgargs[n];
	column.attnum = SPI_fnumber(RelationGetDescr(trigger->tg_relation), name);
	if (column.attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" does not exist", card_hidden(name)),
				 errdetail("Trigger \"%s\" on table \"%s\" names it as argument %d of %s.", trigger->tg_trigger->tgname,
						   RelationGetRelationName(trigger->tg_relation), n + 1, get_func_name(trigger->tg_trigger->tgfoid)),
				 errhint("Name columns of the table, spelled as they are there.")));
	column.type = getBaseType(SPI_gettypeid(RelationGetDescr(trigger->tg_relation), column.attnum));
	return column;
}

bool
trigger_type_is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

void
trigger_refuse_type(const TriggerData *trigger, const TriggerColumn *column, const char *what)
{
	const Relation relation = trigger->tg_relation;

	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of table \"%s\" is not a %s",
					SPI_fname(RelationGetDescr(relation), column->attnum), RelationGetRelationName(relation), what),
			 errdetail("Trigger \"%s\" needs one, but it is of type %s.", trigger->tg_trigger->tgname,
					   format_type_be(column->type)),
			 errhint("See \\df+ kbilling.%s for the order of the arguments.", get_func_name(trigger->tg_trigger->tgfoid))));
}

void
trigger_check_integer(const TriggerData *trigger, const TriggerColumn *column)
{
	if (!trigger_type_is_integer(column->type))
		trigger_refuse_type(trigger, column, "whole number");
}

int64
trigger_integer(Datum value, Oid type)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}

int
errdetail_trigger(const TriggerData *trigger)
{
	return errdetail("Trigger \"%s\" on table \"%s\" passes the row to %s.", trigger->tg_trigger->tgname,
					 RelationGetRelationName(trigger->tg_relation), get_func_name(trigger->tg_trigger->tgfoid));
}

Datum
trigger_value(const TriggerData *trigger, TupleTableSlot *slot, const TriggerColumn *column)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column->attnum, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column \"%s\" must not be null", SPI_fname(slot->tts_tupleDescriptor, column->attnum)),
				 errdetail_trigger(trigger)));
	return value;
}

void
trigger_each_row(const TriggerData *trigger, Tuplestorestate *rows,
				 void (*visit) (TupleTableSlot *slot, void *state), void *state)
{
	TupleTableSlot *slot;
	MemoryContext per_row;

	if (rows == NULL)
		return;
	slot = MakeSingleTupleTableSlot(RelationGetDescr(trigger->tg_relation), &TTSOpsMinimalTuple);
	per_row = AllocSetContextCreate(CurrentMemoryContext, "row of a statement", ALLOCSET_SMALL_SIZES);
	/* a read pointer of our own, as other triggers read the rows too */
	tuplestore_select_read_pointer(rows, tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND));
	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		old = MemoryContextSwitchTo(per_row);
		visit(slot, state);
		MemoryContextSwitchTo(old);
		MemoryContextReset(per_row);
	}
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(per_row);
}
