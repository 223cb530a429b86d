/*
 * meter.c
 *		kb_meter: rows of an application's table as usage (E3).
 *
 * A statement-level trigger, so that one statement records all rows.  An UPDATE
 * or DELETE takes back what the old rows were recorded as: by their key, where
 * there is a key column, of the time at which they were used; else by their
 * quantity, of now.  A key's revisions are even while it counts and odd while it
 * is taken back.
 */
#include "postgres.h"

#include "args.h"
#include "calendar.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "errors.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "journal.h"
#include "kbilling.h"
#include "miscadmin.h"
#include "plan.h"
#include "usage.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#define METER_HINT \
	"Attach it so: CREATE TRIGGER meter AFTER INSERT ON %s REFERENCING NEW TABLE AS added " \
	"FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('service', 'account column'); " \
	"for UPDATE with OLD TABLE and NEW TABLE, for DELETE with OLD TABLE."

/* A column of the metered table; attnum 0: there is none. */
typedef struct Column
{
	int			attnum;
	Oid			type;			/* below a domain */
} Column;

/* What the trigger's arguments mean. */
typedef struct Meter
{
	TriggerData *trigger;
	text	   *service;
	bool		counts_values;	/* aggregation unique: the quantity column has the values */
	bool		has_level;		/* aggregation max or last */
	Column		account;
	Column		quantity;
	Column		key;
} Meter;

/* Refuse the way in which the trigger is attached */
static void
refuse_attachment(const TriggerData *trigger, const char *why)
{
	char	   *table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(trigger->tg_relation)),
												   RelationGetRelationName(trigger->tg_relation));

	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("trigger \"%s\" on %s is attached wrongly", trigger->tg_trigger->tgname, table),
			 errdetail_internal("%s", why),
			 errhint(METER_HINT, table)));
}

/* When it may fire, and with what */
static void
check_attachment(const TriggerData *trigger)
{
	TriggerEvent event = trigger->tg_event;

	if (!TRIGGER_FIRED_AFTER(event) || !TRIGGER_FIRED_FOR_STATEMENT(event))
		refuse_attachment(trigger, "kb_meter counts after the statement: AFTER, FOR EACH STATEMENT.");
	if (TRIGGER_FIRED_BY_TRUNCATE(event))
		refuse_attachment(trigger, "A TRUNCATE does not say which rows there were, so they cannot be taken back.");
	if (!TRIGGER_FIRED_BY_DELETE(event) && trigger->tg_newtable == NULL)
		refuse_attachment(trigger, "The new rows are missing: REFERENCING NEW TABLE AS added.");
	if (!TRIGGER_FIRED_BY_INSERT(event) && trigger->tg_oldtable == NULL)
		refuse_attachment(trigger, "The old rows are missing: REFERENCING OLD TABLE AS removed.");
	if (trigger->tg_trigger->tgnargs < 2 || trigger->tg_trigger->tgnargs > 4)
		refuse_attachment(trigger, "It takes 2 to 4 arguments: service, account column, quantity column or '', key column.");
}

/* The column that an argument names; attnum 0 if that is missing or '' */
static Column
find_column(const TriggerData *trigger, int n)
{
	Column		column = {0, InvalidOid};
	char	   *name;

	if (n >= trigger->tg_trigger->tgnargs || trigger->tg_trigger->tgargs[n][0] == '\0')
		return column;
	name = trigger->tg_trigger->tgargs[n];
	column.attnum = SPI_fnumber(RelationGetDescr(trigger->tg_relation), name);
	if (column.attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" does not exist", name),
				 errdetail("Trigger \"%s\" on table \"%s\" names it as argument %d of kb_meter.",
						   trigger->tg_trigger->tgname, RelationGetRelationName(trigger->tg_relation), n + 1),
				 errhint("The arguments are service, account column, quantity column or '', key column.")));
	column.type = getBaseType(SPI_gettypeid(RelationGetDescr(trigger->tg_relation), column.attnum));
	return column;
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* The column's type must be one that can be read */
static void
check_type(const Meter *meter, const Column *column, bool can_be_fraction, const char *what)
{
	const Relation relation = meter->trigger->tg_relation;

	if (is_integer(column->type) ||
		(can_be_fraction && (column->type == NUMERICOID || column->type == FLOAT4OID || column->type == FLOAT8OID)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of table \"%s\" is no %s",
					SPI_fname(RelationGetDescr(relation), column->attnum), RelationGetRelationName(relation), what),
			 errdetail("Trigger \"%s\" takes it for one, and it is of type %s.", meter->trigger->tg_trigger->tgname,
					   format_type_be(column->type)),
			 errhint("The arguments of kb_meter are service, account column, quantity column or '', key column.")));
}

static SavedPlan service_plan = {
	.sql = "SELECT s.kind = 'metered', s.aggregation FROM kbilling.service s WHERE s.service = $1",
	.arg_types = {"text"}
};

/* How the service counts */
static void
read_service(Meter *meter)
{
	Datum		service = PointerGetDatum(meter->service);
	char	   *aggregation;
	bool		isnull;

	if (plan_execute(&service_plan, &service, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_KB_UNKNOWN_SERVICE_OR_TARIFF),
				 errmsg("service \"%s\" does not exist", text_to_cstring(meter->service)),
				 errdetail("Trigger \"%s\" on table \"%s\" names it.", meter->trigger->tg_trigger->tgname,
						   RelationGetRelationName(meter->trigger->tg_relation)),
				 errhint("Create it with kb_create_service, or look it up in kbilling.service.")));
	aggregation = text_to_cstring(DatumGetTextPP(plan_column(2, &isnull)));
	meter->counts_values = strcmp(aggregation, "unique") == 0;
	meter->has_level = strcmp(aggregation, "max") == 0 || strcmp(aggregation, "last") == 0;
}

/* Everything that the trigger's arguments say, checked */
static void
read_meter(Meter *meter, TriggerData *trigger)
{
	check_attachment(trigger);
	meter->trigger = trigger;
	meter->service = cstring_to_text(trigger->tg_trigger->tgargs[0]);
	meter->account = find_column(trigger, 1);
	meter->quantity = find_column(trigger, 2);
	meter->key = find_column(trigger, 3);
	read_service(meter);
	if (meter->account.attnum == 0)
		refuse_attachment(trigger, "The account column is missing.");
	check_type(meter, &meter->account, false, "whole number");
	if (meter->counts_values && meter->quantity.attnum == 0)
		refuse_attachment(trigger, "The service counts distinct values: the third argument names the column that has them.");
	if (meter->quantity.attnum != 0 && !meter->counts_values)
		check_type(meter, &meter->quantity, true, "number");
	if (meter->has_level && meter->key.attnum == 0 && !TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		refuse_attachment(trigger, "The service's quantity is the highest or last one: to take a row back, its key is needed, as fourth argument.");
}

/* A column's value, which must not be NULL */
static Datum
required_value(const Meter *meter, TupleTableSlot *slot, const Column *column)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column->attnum, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column \"%s\" of a metered row must not be null",
						SPI_fname(slot->tts_tupleDescriptor, column->attnum)),
				 errdetail("Trigger \"%s\" counts the rows of table \"%s\" as usage.", meter->trigger->tg_trigger->tgname,
						   RelationGetRelationName(meter->trigger->tg_relation))));
	return value;
}

/* An integer */
static int64
integer_value(Datum value, Oid type)
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

/* A number */
static Numeric
number_value(Datum value, Oid type)
{
	switch (type)
	{
		case NUMERICOID:
			return DatumGetNumericCopy(value);
		case FLOAT4OID:
			return DatumGetNumeric(DirectFunctionCall1(float4_numeric, value));
		case FLOAT8OID:
			return DatumGetNumeric(DirectFunctionCall1(float8_numeric, value));
		default:
			return int64_to_numeric(integer_value(value, type));
	}
}

/* A value as text */
static text *
text_value(const Meter *meter, TupleTableSlot *slot, const Column *column)
{
	Datum		value = required_value(meter, slot, column);
	Oid			output;
	bool		is_varlena;

	getTypeOutputInfo(column->type, &output, &is_varlena);
	return cstring_to_text(OidOutputFunctionCall(output, value));
}

/* One row as an event */
static void
add_row(const Meter *meter, TupleTableSlot *slot, EventSet *set)
{
	UsageEvent *event = events_add(set);

	event->account_id = integer_value(required_value(meter, slot, &meter->account), meter->account.type);
	event->service = meter->service;
	if (meter->counts_values)
		event->value = text_value(meter, slot, &meter->quantity);
	if (meter->counts_values || meter->quantity.attnum == 0)
		event->quantity = int64_to_numeric(1);
	else
		event->quantity = number_value(required_value(meter, slot, &meter->quantity), meter->quantity.type);
	event->sign = quantity_sign(event->quantity);
	if (meter->key.attnum != 0)
		event->key = cstring_to_text(journal_key(text_value(meter, slot, &meter->key), "key"));
}

/* All rows of a transition table as events */
static void
read_rows(const Meter *meter, Tuplestorestate *rows, EventSet *set)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(meter->trigger->tg_relation), &TTSOpsMinimalTuple);

	events_init(set, SOURCE_TABLE, kb_current_time());
	/* a read pointer of our own, as other triggers read the rows too */
	tuplestore_select_read_pointer(rows, tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND));
	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		add_row(meter, slot, set);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/* A column of the result's row, NULL for an SQL NULL; copied */
static struct varlena *
varlena_column(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? NULL : PG_DETOAST_DATUM_COPY(value);
}

/* A column of the result's row that is not NULL */
static Datum
scalar_column(uint64 row, int column)
{
	bool		isnull;

	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);
}

/* A row of the result as an event: account_id, events, quantity, key, value */
static UsageEvent *
add_result_row(const Meter *meter, uint64 row, EventSet *set)
{
	UsageEvent *event = events_add(set);

	event->service = meter->service;
	event->account_id = DatumGetInt64(scalar_column(row, 1));
	event->sign = DatumGetInt16(scalar_column(row, 2));
	event->quantity = (Numeric) varlena_column(row, 3);
	event->key = (text *) varlena_column(row, 4);
	event->value = (text *) varlena_column(row, 5);
	return event;
}

/* Rows that an UPDATE left as they were, for usage, are in both sets: what is in the first alone */
static SavedPlan difference_plan = {
	.sql = "SELECT account_id, events, quantity, key, value"
	"  FROM unnest($1, $2, $3, $4, $5) AS a (account_id, events, quantity, key, value)"
	" EXCEPT ALL"
	" SELECT account_id, events, quantity, key, value"
	"  FROM unnest($6, $7, $8, $9, $10) AS b (account_id, events, quantity, key, value)",
	.arg_types = {"bigint[]", "smallint[]", "numeric[]", "text[]", "text[]",
		"bigint[]", "smallint[]", "numeric[]", "text[]", "text[]"},
	.replan = true
};

static void
subtract_rows(const Meter *meter, const EventSet *from, const EventSet *other, EventSet *result)
{
	static const EventColumn columns[] = {COL_ACCOUNT_ID, COL_SIGN, COL_QUANTITY, COL_KEY, COL_VALUE};
	Datum		values[2 * lengthof(columns)];

	for (int i = 0; i < (int) lengthof(columns); i++)
	{
		values[i] = events_column(from, columns[i]);
		values[lengthof(columns) + i] = events_column(other, columns[i]);
	}
	plan_execute(&difference_plan, values, NULL, false);

	events_init(result, SOURCE_TABLE, from->now);
	for (uint64 row = 0; row < SPI_processed; row++)
		(void) add_result_row(meter, row, result);
}

/* The events that are recorded under keys, turned round */
static SavedPlan take_back_plan = {
	.sql = "SELECT e.account_id, (- e.events)::smallint, - e.quantity, e.key, e.value, e.at, e.revision + 1"
	"  FROM (SELECT DISTINCT account_id, key FROM unnest($2, $3) AS r (account_id, key)) r"
	" CROSS JOIN LATERAL (SELECT * FROM kbilling.usage_event x"
	"                      WHERE x.account_id = r.account_id AND x.service = $1 AND x.key = r.key"
	"                      ORDER BY x.revision DESC LIMIT 1) e"
	" WHERE e.revision % 2 = 0",
	.arg_types = {"text", "bigint[]", "text[]"}
};

/* By their keys; a row without an event was there before the trigger */
static void
take_back_keys(const Meter *meter, const EventSet *removed)
{
	Datum		values[] = {PointerGetDatum(meter->service), events_column(removed, COL_ACCOUNT_ID),
	events_column(removed, COL_KEY)};
	EventSet	events;

	plan_execute(&take_back_plan, values, NULL, false);
	events_init(&events, SOURCE_TABLE, removed->now);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		UsageEvent *event = add_result_row(meter, row, &events);

		event->at = DatumGetTimestampTz(scalar_column(row, 6));
		event->revision = DatumGetInt32(scalar_column(row, 7));
	}
	usage_record(&events);
}

/* By their quantities */
static void
take_back_quantities(EventSet *removed)
{
	for (int i = 0; i < removed->n; i++)
	{
		UsageEvent *event = &removed->events[i];

		event->quantity = DatumGetNumeric(DirectFunctionCall1(numeric_uminus, NumericGetDatum(event->quantity)));
		event->sign = -event->sign;
	}
	usage_record(removed);
}

/* Rows are gone */
static void
take_back(const Meter *meter, EventSet *removed)
{
	if (removed->n == 0)
		return;
	if (meter->key.attnum != 0)
		take_back_keys(meter, removed);
	else
		take_back_quantities(removed);
}

/* Keys that were taken back before, by their place among the events */
static SavedPlan again_plan = {
	.sql = "SELECT r.n, e.revision + 1"
	"  FROM unnest($2, $3) WITH ORDINALITY AS r (account_id, key, n)"
	" CROSS JOIN LATERAL (SELECT x.revision FROM kbilling.usage_event x"
	"                      WHERE x.account_id = r.account_id AND x.service = $1 AND x.key = r.key"
	"                      ORDER BY x.revision DESC LIMIT 1) e"
	" WHERE e.revision % 2 = 1",
	.arg_types = {"text", "bigint[]", "text[]"}
};

/* Rows are new; one whose key was taken back counts again */
static void
count(const Meter *meter, EventSet *added)
{
	Datum		values[3];
	EventSet	again;

	if (usage_record(added) == (uint64) added->n || meter->key.attnum == 0)
		return;
	values[0] = PointerGetDatum(meter->service);
	values[1] = events_column(added, COL_ACCOUNT_ID);
	values[2] = events_column(added, COL_KEY);
	plan_execute(&again_plan, values, NULL, false);
	events_init(&again, SOURCE_TABLE, added->now);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		UsageEvent *event = events_add(&again);

		*event = added->events[DatumGetInt64(scalar_column(row, 1)) - 1];
		event->revision = DatumGetInt32(scalar_column(row, 2));
	}
	usage_record(&again);
}

/* Trigger: kb_meter(service, account column [, quantity column [, key column]]) */
PG_FUNCTION_INFO_V1(kb_meter);
Datum
kb_meter(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Meter		meter;
	EventSet	old_rows;
	EventSet	new_rows;
	EventSet	removed;
	EventSet	added;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "kb_meter is a trigger function");
	plan_connect();
	read_meter(&meter, trigger);
	if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		read_rows(&meter, trigger->tg_oldtable, &old_rows);
	if (!TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		read_rows(&meter, trigger->tg_newtable, &new_rows);

	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		subtract_rows(&meter, &old_rows, &new_rows, &removed);
		subtract_rows(&meter, &new_rows, &old_rows, &added);
		take_back(&meter, &removed);
		count(&meter, &added);
	}
	else if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		take_back(&meter, &old_rows);
	else
		count(&meter, &new_rows);
	SPI_finish();
	return PointerGetDatum(NULL);
}
