/*
 * eventload.c
 *		Plain usage events into the tables: what the statement of usage.c does for whatever events.
 *
 * That statement has a dozen steps, which cost more to start than a few events to write, and looks each key up before
 * it inserts the event.  Here a few events are inserted one by one.  Many are inserted by the thousand: if a key is
 * known after all, the subtransaction is rolled back, and the statement does it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bulk.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "decimal.h"
#include "event.h"
#include "eventload.h"
#include "eventrate.h"
#include "executor/spi.h"
#include "plan.h"
#include "table.h"
#include "usage.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

/* More events than this are written as if they were many: that costs a subtransaction, but no statement for each. */
#define FEW_BY_ROW		16

/* Events that are being written. */
typedef struct Load
{
	RatedEvents rated;
	TimestampTz recorded_at;	/* the n-th event was recorded n microseconds later */
	Oid			table;			/* usage_event */
	int16		slot;
	int64		counted;		/* events whose keys were new */
} Load;

static SavedPlan known_plan = {
	.sql = "SELECT FROM usage_event e WHERE e.account_id = $1 AND e.service = $2 AND e.key = $3 LIMIT 1",
	.arg_types = {"bigint", "text", "text"},
	.is_generic = true
};

/* Whether the key of an event is known */
static bool
is_known(const UsageEvent *event)
{
	Datum		values[] = {Int64GetDatum(event->account_id), PointerGetDatum(event->service), PointerGetDatum(event->key)};

	return event->key != NULL && plan_execute(&known_plan, values, NULL, false) > 0;
}

/* Whether a sample of the keys is new: who sends events again sends all of them, mostly */
static bool
looks_new(const Load *load)
{
	const RatedEvent *events = load->rated.events;
	int64		n = load->rated.set->n;

	return !is_known(events[0].event) && !is_known(events[n / 2].event) && !is_known(events[n - 1].event);
}

/* The columns of usage_event that are written */
enum
{
	COLUMN_ACCOUNT_ID, COLUMN_AT, COLUMN_RECORDED_AT, COLUMN_PERIOD, COLUMN_REVISION, COLUMN_PRICE_ID, COLUMN_IS_LEVEL,
	COLUMN_EVENTS, COLUMN_SERVICE, COLUMN_KEY, COLUMN_QUANTITY, COLUMN_METERED_TABLE, COLUMN_PROPERTIES, COLUMNS
};

static const char *const column_names[COLUMNS] = {
	[COLUMN_ACCOUNT_ID] = "account_id",
	[COLUMN_AT] = "at",
	[COLUMN_RECORDED_AT] = "recorded_at",
	[COLUMN_PERIOD] = "period",
	[COLUMN_REVISION] = "revision",
	[COLUMN_PRICE_ID] = "price_id",
	[COLUMN_IS_LEVEL] = "is_level",
	[COLUMN_EVENTS] = "events",
	[COLUMN_SERVICE] = "service",
	[COLUMN_KEY] = "key",
	[COLUMN_QUANTITY] = "quantity",
	[COLUMN_METERED_TABLE] = "metered_table",
	[COLUMN_PROPERTIES] = "properties"
};

/* A key for an event that has none */
static Datum
own_key(void)
{
	Datum		uuid = DirectFunctionCall1(gen_random_uuid, (Datum) 0);

	return CStringGetTextDatum(psprintf("kb:%s", DatumGetCString(DirectFunctionCall1(uuid_out, uuid))));
}

/*
 * An event as a row.  Its texts hold no card numbers (T4): a service has none, keys were read so, and so were the
 * properties of a batch; those of a call are looked at when its row is inserted.
 */
static void
fill_row(const Load *load, const RatedEvent *e, Datum *values, bool *nulls)
{
	const UsageEvent *event = e->event;

	memset(nulls, false, COLUMNS * sizeof(bool));
	values[COLUMN_ACCOUNT_ID] = Int64GetDatum(event->account_id);
	values[COLUMN_AT] = TimestampTzGetDatum(event->at);
	values[COLUMN_RECORDED_AT] = TimestampTzGetDatum(load->recorded_at + e->n);
	values[COLUMN_PERIOD] = DateADTGetDatum(e->period);
	values[COLUMN_REVISION] = Int32GetDatum(event->revision);
	values[COLUMN_PRICE_ID] = Int32GetDatum(e->price->price_id);
	values[COLUMN_IS_LEVEL] = BoolGetDatum(false);
	values[COLUMN_EVENTS] = Int64GetDatum(event->events);
	values[COLUMN_SERVICE] = PointerGetDatum(event->service);
	values[COLUMN_KEY] = event->key != NULL ? PointerGetDatum(event->key) : own_key();
	values[COLUMN_QUANTITY] = NumericGetDatum(event->quantity);
	values[COLUMN_METERED_TABLE] = PointerGetDatum(event->metered_table);
	nulls[COLUMN_METERED_TABLE] = event->metered_table == NULL;
	values[COLUMN_PROPERTIES] = PointerGetDatum(event->properties);
	nulls[COLUMN_PROPERTIES] = event->properties == NULL;
}

/* Write the events by the thousand */
static void
write_many_events(Load *load)
{
	Bulk	   *bulk = bulk_begin(load->table, column_names, COLUMNS);
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS];

	for (int64 i = 0; i < load->rated.set->n; i++)
	{
		const RatedEvent *event = &load->rated.events[i];

		fill_row(load, event, values, nulls);
		bulk_add(bulk, values, nulls);
		rated_add(&load->rated, event);
	}
	bulk_end(bulk);
	load->counted = load->rated.set->n;
}

/* The columns in the order of the values of a row; what has a domain's type has been checked */
static SavedPlan event_plan = {
	.sql = "INSERT INTO usage_event (account_id, at, recorded_at, period, revision, price_id, is_level, events, service, key,"
	"                         quantity, metered_table, properties)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
	" ON CONFLICT (account_id, service, key, revision) DO NOTHING",
	.arg_types = {"bigint", "timestamptz", "timestamptz", "date", "integer", "integer", "boolean", "bigint", "kb_text", "kb_text",
		"numeric", "text", "jsonb"
	},
	.is_generic = true
};

/* Write an event, unless its key is known */
static void
write_event(Load *load, const RatedEvent *event)
{
	Datum		values[COLUMNS];
	bool		is_null[COLUMNS];
	char		nulls[COLUMNS];

	fill_row(load, event, values, is_null);
	for (int i = 0; i < COLUMNS; i++)
		nulls[i] = is_null[i] ? 'n' : ' ';
	plan_execute(&event_plan, values, nulls, false);
	if (SPI_processed == 0)
		return;
	rated_add(&load->rated, event);
	load->counted++;
}

/* As in record_plan of usage.c, for what adds up */
#define TOTAL_PLAN(rows) \
	"INSERT INTO usage_total AS t (account_id, period, service, price_id, aggregation, quantity, events, slot, counted_at) " rows \
	" ON CONFLICT (account_id, period, service, price_id, slot) DO UPDATE" \
	"    SET quantity = t.quantity + excluded.quantity, events = t.events + excluded.events, settled = false," \
	"        counted_at = greatest(t.counted_at, excluded.counted_at)" \
	" RETURNING t.quantity, t.events"

/* The values of a total */
enum
{
	TOTAL_ACCOUNT_ID, TOTAL_PERIOD, TOTAL_SERVICE, TOTAL_PRICE_ID, TOTAL_AGGREGATION, TOTAL_QUANTITY, TOTAL_EVENTS, TOTAL_COLUMNS,
	TOTAL_SLOT = TOTAL_COLUMNS, TOTAL_COUNTED_AT, TOTAL_VALUES
};

static const struct
{
	const char *name;
	const char *type;
} total_columns[TOTAL_COLUMNS] = {
	[TOTAL_ACCOUNT_ID] = {"account_id", "bigint"},
	[TOTAL_PERIOD] = {"period", "date"},
	[TOTAL_SERVICE] = {"service", "kb_text"},
	[TOTAL_PRICE_ID] = {"price_id", "integer"},
	[TOTAL_AGGREGATION] = {"aggregation", "kb_aggregation"},
	[TOTAL_QUANTITY] = {"quantity", "numeric"},
	[TOTAL_EVENTS] = {"events", "bigint"}
};

static SavedPlan total_plan = {
	.sql = TOTAL_PLAN("VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"),
	.arg_types = {"bigint", "date", "kb_text", "integer", "kb_aggregation", "numeric", "bigint", "smallint", "timestamptz"},
	.is_generic = true
};

static SavedPlan totals_plan = {
	.sql = TOTAL_PLAN("SELECT e.account_id, e.period, e.service, e.price_id, e.aggregation, e.quantity, e.events, $1, $2 FROM total_set e"),
	.arg_types = {"smallint", "timestamptz"},
	.is_generic = true
};

/* The first TOTAL_COLUMNS values */
static void
fill_total(const RatedTotal *total, Datum *values)
{
	values[TOTAL_ACCOUNT_ID] = Int64GetDatum(total->account->account_id);
	values[TOTAL_PERIOD] = DateADTGetDatum(total->period);
	values[TOTAL_SERVICE] = PointerGetDatum(total->price->service);
	values[TOTAL_PRICE_ID] = Int32GetDatum(total->price->price_id);
	values[TOTAL_AGGREGATION] = total->price->aggregation;
	values[TOTAL_QUANTITY] = NumericGetDatum(rated_quantity(total));
	values[TOTAL_EVENTS] = Int64GetDatum(total->events);
}

/* U4: what the total is now can be priced */
static void
require_priced(const RatedTotal *total, Numeric quantity, int64 events)
{
	event_require_priced(total->account->account_id, total->price->service, total->account->currency, total->price->price,
						 quantity, events);
}

/* The same of what a row of the result says */
static void
require_priced_row(const RatedTotal *total, uint64 row)
{
	bool		isnull;
	Numeric		quantity = DatumGetNumeric(plan_row_column(row, 1, &isnull));

	require_priced(total, quantity, DatumGetInt64(plan_row_column(row, 2, &isnull)));
}

/* Columns of usage_total: its key first */
enum
{
	ROW_ACCOUNT_ID, ROW_PERIOD, ROW_SERVICE, ROW_PRICE_ID, ROW_SLOT, ROW_KEYS, ROW_QUANTITY = ROW_KEYS, ROW_EVENTS, ROW_SETTLED,
	ROW_COUNTED_AT
};

static Table total_table = {
	.name = "usage_total",
	.columns = {"account_id", "period", "service", "price_id", "slot", "quantity", "events", "settled", "counted_at"},
	.nkeys = ROW_KEYS
};

/* Lock the row of a total */
static bool
lock_total(const Load *load, const RatedTotal *total, TableRow *row)
{
	Datum		key[ROW_KEYS] = {
		[ROW_ACCOUNT_ID] = Int64GetDatum(total->account->account_id),
		[ROW_PERIOD] = DateADTGetDatum(total->period),
		[ROW_SERVICE] = PointerGetDatum(total->price->service),
		[ROW_PRICE_ID] = Int32GetDatum(total->price->price_id),
		[ROW_SLOT] = Int16GetDatum(load->slot)
	};

	return table_lock(&total_table, key, row);
}

/* Add to a total whose row is there and locked: as the statement does on a conflict */
static void
update_total(const Load *load, const RatedTotal *total, TableRow *row)
{
	Datum		now = TimestampTzGetDatum(load->rated.set->now);
	Numeric		quantity = numeric_call(numeric_add, DatumGetNumeric(table_value(row, ROW_QUANTITY)), rated_quantity(total));
	Datum		events = DirectFunctionCall2(int8pl, table_value(row, ROW_EVENTS), Int64GetDatum(total->events));
	TableWrite	write;

	table_set(row, ROW_QUANTITY, NumericGetDatum(quantity));
	table_set(row, ROW_EVENTS, events);
	table_set(row, ROW_SETTLED, BoolGetDatum(false));
	table_set(row, ROW_COUNTED_AT, DirectFunctionCall2(timestamp_larger, table_value(row, ROW_COUNTED_AT), now));
	table_begin_write(&write);
	table_update(&write, row);
	table_end_write(&write);
	require_priced(total, quantity, DatumGetInt64(events));
}

/* Write a total: mostly, its row is there */
static void
write_total(const Load *load, const RatedTotal *total)
{
	Datum		values[TOTAL_VALUES];
	TableRow	row;

	if (lock_total(load, total, &row))
	{
		update_total(load, total, &row);
		return;
	}
	fill_total(total, values);
	values[TOTAL_SLOT] = Int16GetDatum(load->slot);
	values[TOTAL_COUNTED_AT] = TimestampTzGetDatum(load->rated.set->now);
	if (plan_execute(&total_plan, values, NULL, false) != 1)
		table_refuse_kept_back(total_table.name);
	require_priced_row(total, 0);
}

/* The totals as rows that a statement can read */
static Tuplestorestate *
totals_as_rows(const RatedEvents *rated, TupleDesc desc)
{
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	bool		nulls[TOTAL_COLUMNS] = {false};
	Datum		values[TOTAL_COLUMNS];

	for (int64 i = 0; i < rated->ntotals; i++)
	{
		fill_total(&rated->totals[i], values);
		tuplestore_putvalues(rows, desc, values, nulls);
	}
	return rows;
}

/* Write many totals; the rows of the result are in their order */
static void
write_many_totals(const Load *load)
{
	const RatedEvents *rated = &load->rated;
	Datum		values[] = {Int16GetDatum(load->slot), TimestampTzGetDatum(rated->set->now)};
	TupleDesc	desc = CreateTemplateTupleDesc(TOTAL_COLUMNS);
	Tuplestorestate *rows;

	for (int i = 0; i < TOTAL_COLUMNS; i++)
		TupleDescInitEntry(desc, i + 1, total_columns[i].name, kb_type_oid(total_columns[i].type), -1, 0);
	rows = totals_as_rows(rated, desc);
	plan_register("total_set", desc, rows, rated->ntotals);
	if (plan_execute(&totals_plan, values, NULL, false) != (uint64) rated->ntotals)
		table_refuse_kept_back(total_table.name);
	for (int64 i = 0; i < rated->ntotals; i++)
		require_priced_row(&rated->totals[i], i);
	tuplestore_end(rows);
}

/* Write few events and their totals, each by a statement */
static void
write_few(Load *load)
{
	for (int64 i = 0; i < load->rated.set->n; i++)
		write_event(load, &load->rated.events[i]);
	rated_sort_totals(&load->rated);
	for (int64 i = 0; i < load->rated.ntotals; i++)
		write_total(load, &load->rated.totals[i]);
}

/* Write many, in a subtransaction */
static void
write_many(void *arg)
{
	Load	   *load = arg;

	write_many_events(load);
	rated_sort_totals(&load->rated);
	write_many_totals(load);
}

/* Write many if each is new; else nothing has happened, and the result is false */
static bool
try_to_write_many(Load *load)
{
	ErrorData  *error;

	if (!looks_new(load))
		return false;
	error = plan_try(write_many, load);
	if (error != NULL && error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION && error->sqlerrcode != ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE)
		ReThrowError(error);
	return error == NULL;
}

bool
events_load(const EventSet *set, TimestampTz recorded_at, int64 *counted)
{
	Load		load = {.recorded_at = recorded_at, .slot = usage_slot()};

	load.table = get_relname_relid("usage_event", get_namespace_oid("kbilling", false));
	if (IsolationUsesXactSnapshot() || !bulk_is_possible(load.table) || !events_rate(&load.rated, set))
		return false;
	if (set->n <= FEW_BY_ROW)
		write_few(&load);
	else if (!try_to_write_many(&load))
		return false;
	*counted = load.counted;
	return true;
}
