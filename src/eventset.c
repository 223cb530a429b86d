/*
 * eventset.c
 *		Usage events as a table that statements can read.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "eventset.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/queryenvironment.h"
#include "utils/timestamp.h"

/* With more events than this, the plan for many is used. */
#define FEW_EVENTS		100

static const struct
{
	const char *name;
	Oid			type;
} event_columns[EVENT_COLUMNS] = {
	[EVENT_N] = {"n", INT8OID},
	[EVENT_ACCOUNT_ID] = {"account_id", INT8OID},
	[EVENT_SERVICE] = {"service", TEXTOID},
	[EVENT_KEY] = {"key", TEXTOID},
	[EVENT_REVISION] = {"revision", INT4OID},
	[EVENT_AT] = {"at", TIMESTAMPTZOID},
	[EVENT_QUANTITY] = {"quantity", NUMERICOID},
	[EVENT_EVENTS] = {"events", INT8OID},
	[EVENT_VALUE] = {"value", TEXTOID},
	[EVENT_PRICE_ID] = {"price_id", INT4OID},
	[EVENT_METERED_TABLE] = {"metered_table", TEXTOID},
	[EVENT_PROPERTIES] = {"properties", JSONBOID}
};

void
events_begin(EventSet *set, const char *source, TimestampTz now)
{
	set->source = source;
	set->now = now;
	set->oldest = now;
	set->n = 0;
	set->accounts = 0;
	set->desc = CreateTemplateTupleDesc(EVENT_COLUMNS);
	for (int i = 0; i < EVENT_COLUMNS; i++)
		TupleDescInitEntry(set->desc, i + 1, event_columns[i].name, event_columns[i].type, -1, 0);
	set->rows = tuplestore_begin_heap(true, false, work_mem);
}

UsageEvent
event_make(const EventSet *set)
{
	return (UsageEvent) {.at = set->now, .events = 1};
}

/* Keep which accounts the events are of, while they are few */
static void
note_account(EventSet *set, int64 account_id)
{
	for (int i = 0; i < set->accounts && i < EVENTS_MAX_ACCOUNTS; i++)
		if (set->account_ids[i] == account_id)
			return;
	if (set->accounts < EVENTS_MAX_ACCOUNTS)
		set->account_ids[set->accounts] = account_id;
	set->accounts = Min(set->accounts + 1, EVENTS_MAX_ACCOUNTS + 1);
}

void
events_add(EventSet *set, const UsageEvent *event)
{
	Datum		values[EVENT_COLUMNS] = {
		[EVENT_N] = Int64GetDatum(++set->n),
		[EVENT_ACCOUNT_ID] = Int64GetDatum(event->account_id),
		[EVENT_SERVICE] = PointerGetDatum(event->service),
		[EVENT_KEY] = PointerGetDatum(event->key),
		[EVENT_REVISION] = Int32GetDatum(event->revision),
		[EVENT_AT] = TimestampTzGetDatum(event->at),
		[EVENT_QUANTITY] = NumericGetDatum(event->quantity),
		[EVENT_EVENTS] = Int64GetDatum(event->events),
		[EVENT_VALUE] = PointerGetDatum(event->value),
		[EVENT_PRICE_ID] = Int32GetDatum(event->price_id),
		[EVENT_METERED_TABLE] = PointerGetDatum(event->metered_table),
		[EVENT_PROPERTIES] = PointerGetDatum(event->properties)
	};
	bool		nulls[EVENT_COLUMNS] = {
		[EVENT_KEY] = event->key == NULL,
		[EVENT_VALUE] = event->value == NULL,
		[EVENT_PRICE_ID] = event->price_id == 0,
		[EVENT_METERED_TABLE] = event->metered_table == NULL,
		[EVENT_PROPERTIES] = event->properties == NULL
	};

	set->oldest = Min(set->oldest, event->at);
	note_account(set, event->account_id);
	tuplestore_putvalues(set->rows, set->desc, values, nulls);
}

bool
events_are_many(const EventSet *set)
{
	return set->n > FEW_EVENTS;
}

void
events_register(const EventSet *set, char *name)
{
	EphemeralNamedRelation table = palloc0(sizeof(EphemeralNamedRelationData));

	table->md.name = name;
	table->md.reliddesc = InvalidOid;
	table->md.tupdesc = set->desc;
	table->md.enrtype = ENR_NAMED_TUPLESTORE;
	table->md.enrtuples = events_are_many(set) ? 100 * FEW_EVENTS : 1;
	table->reldata = set->rows;
	(void) SPI_unregister_relation(name);
	if (SPI_register_relation(table) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register a set of events");
}

void
events_end(EventSet *set)
{
	tuplestore_end(set->rows);
}

int64
events_of_quantity(Numeric quantity)
{
	return DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(quantity),
											NumericGetDatum(int64_to_numeric(0)))) ? -1 : 1;
}
