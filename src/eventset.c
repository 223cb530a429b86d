/*
 * eventset.c
 *		Usage events as a table that statements can read.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "eventset.h"
#include "executor/tuptable.h"
#include "plan.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* With more events than this, the plan for many is used. */
#define FEW_EVENTS		100

/* Room for so many is made at first; a power of two */
#define FIRST_EVENTS	16

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
	set->take_backs = 0;
	set->n = 0;
	set->accounts = 0;
	set->context = GenerationContextCreate(CurrentMemoryContext, "usage events", ALLOCSET_DEFAULT_SIZES);
	set->events = MemoryContextAlloc(CurrentMemoryContext, FIRST_EVENTS * sizeof(UsageEvent));
	set->desc = NULL;
	set->rows = NULL;
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

/* A copy of a value; what many events share is there once */
static void *
keep(EventSet *set, const void *value, const void *of_last)
{
	MemoryContext old;
	void	   *copy;

	if (value == NULL)
		return NULL;
	if (of_last != NULL && VARSIZE_ANY(value) == VARSIZE_ANY(of_last) && memcmp(value, of_last, VARSIZE_ANY(value)) == 0)
		return unconstify(void *, of_last);
	old = MemoryContextSwitchTo(set->context);
	copy = palloc(VARSIZE_ANY(value));
	MemoryContextSwitchTo(old);
	return memcpy(copy, value, VARSIZE_ANY(value));
}

/* Add an event to those in memory */
static void
add_in_memory(EventSet *set, const UsageEvent *event)
{
	static const UsageEvent none = {0};
	const UsageEvent *last;
	UsageEvent *copy;

	if (set->n >= FIRST_EVENTS && (set->n & (set->n - 1)) == 0)
		set->events = repalloc_huge(set->events, 2 * set->n * sizeof(UsageEvent));
	last = set->n > 0 ? &set->events[set->n - 1] : &none;
	copy = &set->events[set->n++];
	*copy = *event;
	copy->service = keep(set, event->service, last->service);
	copy->key = keep(set, event->key, NULL);
	copy->quantity = keep(set, event->quantity, last->quantity);
	copy->value = keep(set, event->value, last->value);
	copy->metered_table = keep(set, event->metered_table, last->metered_table);
	copy->properties = keep(set, event->properties, last->properties);
}

/* Add the event with a number to the tuplestore */
static void
add_row(EventSet *set, int64 n, const UsageEvent *event)
{
	Datum		values[EVENT_COLUMNS] = {
		[EVENT_N] = Int64GetDatum(n),
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

	tuplestore_putvalues(set->rows, set->desc, values, nulls);
}

/* Have the events in a tuplestore, too */
static void
fill_tuplestore(EventSet *set)
{
	if (set->rows != NULL)
		return;
	set->desc = CreateTemplateTupleDesc(EVENT_COLUMNS);
	for (int i = 0; i < EVENT_COLUMNS; i++)
		TupleDescInitEntry(set->desc, i + 1, event_columns[i].name, event_columns[i].type, -1, 0);
	set->rows = tuplestore_begin_heap(true, false, work_mem);
	for (int64 i = 0; i < set->n; i++)
		add_row(set, i + 1, &set->events[i]);
}

/* From here on they are there only */
static void
leave_memory(EventSet *set)
{
	fill_tuplestore(set);
	pfree(set->events);
	set->events = NULL;
	MemoryContextReset(set->context);
}

/* Whether it is no correction of a key, and takes back all the same */
static bool
takes_back(const UsageEvent *event)
{
	return event->revision % 2 == 0 && (event->events < 0 || events_of_quantity(event->quantity) < 0);
}

void
events_add(EventSet *set, const UsageEvent *event)
{
	set->oldest = Min(set->oldest, event->at);
	set->take_backs += takes_back(event);
	note_account(set, event->account_id);
	if (set->n == EVENTS_IN_MEMORY)
		leave_memory(set);
	if (set->events != NULL)
		add_in_memory(set, event);
	else
		add_row(set, ++set->n, event);
}

bool
events_are_many(const EventSet *set)
{
	return set->n > FEW_EVENTS;
}

void
events_register(EventSet *set, char *name)
{
	fill_tuplestore(set);
	plan_register(name, set->desc, set->rows, events_are_many(set) ? 100 * FEW_EVENTS : 1);
}

/* The same for events in the tuplestore */
static void
each_row_account(EventSet *set, void (*visit) (int64 account_id))
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(set->desc, &TTSOpsMinimalTuple);
	bool		isnull;

	tuplestore_rescan(set->rows);
	while (tuplestore_gettupleslot(set->rows, true, false, slot))
		visit(DatumGetInt64(slot_getattr(slot, EVENT_ACCOUNT_ID + 1, &isnull)));
	ExecDropSingleTupleTableSlot(slot);
}

void
events_each_account(EventSet *set, void (*visit) (int64 account_id))
{
	if (set->events == NULL)
		each_row_account(set, visit);
	else
		for (int64 i = 0; i < set->n; i++)
			visit(set->events[i].account_id);
}

void
events_end(EventSet *set)
{
	if (set->rows != NULL)
		tuplestore_end(set->rows);
	if (set->events != NULL)
		pfree(set->events);
	MemoryContextDelete(set->context);
}

int64
events_of_quantity(Numeric quantity)
{
	return DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(quantity),
											NumericGetDatum(int64_to_numeric(0)))) ? -1 : 1;
}
