/*
 * eventload.c
 *		Usage events by the thousand: what the statement of usage.c does, for events that are new, valid and add up.
 *
 * That statement looks each key up before it inserts the event.  Here the events are inserted, and if a key is known
 * after all, the subtransaction is rolled back, and the statement does it.  So it does with whatever is not plain.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bulk.h"
#include "calendar.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "currency.h"
#include "decimal.h"
#include "event.h"
#include "eventload.h"
#include "executor/spi.h"
#include "money.h"
#include "plan.h"
#include "price.h"
#include "usage.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"
#include "utils/varlena.h"

/* The price of a service in a tariff, from a day to another one. */
typedef struct LoadPrice
{
	const text *tariff;
	const text *service;
	DateADT		from_date;
	DateADT		to_date;
	int32		price_id;
	bool		counts;			/* aggregation count, else sum */
	Datum		aggregation;
	Price	   *price;
} LoadPrice;

/* What is known of an account. */
typedef struct LoadAccount
{
	int64		account_id;
	TimestampTz created_at;
	const text *time_zone;
	pg_tz	   *zone;
	const text *tariff;
	DateADT		tariff_from;
	const text *currency_code;
	uint16		currency;
} LoadAccount;

/* An event, and what follows from its account and day. */
typedef struct LoadEvent
{
	const UsageEvent *event;
	int64		n;
	LoadAccount *account;
	DateADT		period;
	int32		price_id;
} LoadEvent;

/* What the events of a month add up to under a price. */
typedef struct LoadTotal
{
	const LoadAccount *account;
	DateADT		period;
	const LoadPrice *price;
	Numeric		quantity;
	int64		events;
} LoadTotal;

typedef struct Load
{
	const EventSet *set;
	TimestampTz recorded_at;
	Oid			table;			/* usage_event */
	LoadEvent  *events;			/* set->n, in the order in which they are written */
	LoadAccount *accounts;		/* by number */
	List	   *prices;			/* of LoadPrice */
	LoadPrice  *last_price;		/* the one that was used last */
	LoadTotal  *totals;			/* in the order in which they are written */
	int64		ntotals;
} Load;

/* The order of two texts, by which statements order them, too */
static int
text_order(const text *a, const text *b)
{
	if (a == b)
		return 0;
	if (a == NULL || b == NULL)
		return a == NULL ? 1 : -1;
	return varstr_cmp(VARDATA_ANY(a), VARSIZE_ANY_EXHDR(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b), DEFAULT_COLLATION_OID);
}

static int
number_order(int64 a, int64 b)
{
	return (a > b) - (a < b);
}

/* By account, service and key: whoever records keys in this order waits for no one who waits for it */
static int
event_order(const void *x, const void *y)
{
	const LoadEvent *a = x;
	const LoadEvent *b = y;
	int			order = number_order(a->event->account_id, b->event->account_id);

	if (order == 0)
		order = text_order(a->event->service, b->event->service);
	if (order == 0)
		order = text_order(a->event->key, b->event->key);
	return order != 0 ? order : number_order(a->n, b->n);
}

/* By account, period, service and price: the same for totals */
static int
total_order(const void *x, const void *y)
{
	const LoadTotal *a = x;
	const LoadTotal *b = y;
	int			order = number_order(a->account->account_id, b->account->account_id);

	if (order == 0)
		order = number_order(a->period, b->period);
	if (order == 0)
		order = text_order(a->price->service, b->price->service);
	return order != 0 ? order : number_order(a->price->price_id, b->price->price_id);
}

/* Whether there is nothing about an event that takes more than the price of its day */
static bool
is_plain(const UsageEvent *event, TimestampTz now)
{
	return event->revision == 0 && event->value == NULL && event->price_id == 0 && event->events > 0 &&
		event_is_past(event->at, now) && event_quantity_fits(event->quantity) &&
		numeric_order(event->quantity, int64_to_numeric(0)) >= 0;
}

/* Put the events in order; false if one is not plain, or a key is there twice */
static bool
sort_events(Load *load)
{
	const EventSet *set = load->set;

	load->events = palloc_extended(set->n * sizeof(LoadEvent), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < set->n; i++)
	{
		if (!is_plain(&set->events[i], set->now))
			return false;
		load->events[i] = (LoadEvent) {.event = &set->events[i], .n = i + 1};
	}
	qsort(load->events, set->n, sizeof(LoadEvent), event_order);
	for (int64 i = 1; i < set->n; i++)
	{
		const UsageEvent *a = load->events[i - 1].event;
		const UsageEvent *b = load->events[i].event;

		if (a->account_id == b->account_id && a->key != NULL && b->key != NULL &&
			text_order(a->key, b->key) == 0 && text_order(a->service, b->service) == 0)
			return false;
	}
	return true;
}

static SavedPlan accounts_plan = {
	.sql = "SELECT a.account_id, a.created_at, a.time_zone, a.tariff, a.tariff_from, a.currency FROM account a"
	" WHERE a.account_id = ANY ($1) AND a.state IN ('active', 'closing') ORDER BY a.account_id",
	.arg_types = {"bigint[]"},
	.is_generic = true
};

/* Its columns */
enum
{
	ACCOUNT_ID, ACCOUNT_CREATED_AT, ACCOUNT_TIME_ZONE, ACCOUNT_TARIFF, ACCOUNT_TARIFF_FROM, ACCOUNT_CURRENCY, ACCOUNT_COLUMNS
};

/* Whether two texts are the same, byte by byte */
static bool
is_same(const text *a, const text *b)
{
	return VARSIZE_ANY(a) == VARSIZE_ANY(b) && memcmp(a, b, VARSIZE_ANY(a)) == 0;
}

/* A row of the accounts; most are of one zone, tariff and currency */
static void
read_account(LoadAccount *account, const LoadAccount *last, HeapTuple row, TupleDesc desc)
{
	Datum		values[ACCOUNT_COLUMNS];
	bool		nulls[ACCOUNT_COLUMNS];

	heap_deform_tuple(row, desc, values, nulls);
	account->account_id = DatumGetInt64(values[ACCOUNT_ID]);
	account->created_at = DatumGetTimestampTz(values[ACCOUNT_CREATED_AT]);
	account->tariff_from = DatumGetDateADT(values[ACCOUNT_TARIFF_FROM]);
	account->tariff = DatumGetTextPP(values[ACCOUNT_TARIFF]);
	account->time_zone = DatumGetTextPP(values[ACCOUNT_TIME_ZONE]);
	account->currency_code = DatumGetTextPP(values[ACCOUNT_CURRENCY]);
	if (last != NULL && is_same(account->tariff, last->tariff))
		account->tariff = last->tariff;
	account->zone = last != NULL && is_same(account->time_zone, last->time_zone) ? last->zone : zone_or_utc(account->time_zone);
	account->currency = last != NULL && is_same(account->currency_code, last->currency_code) ? last->currency :
		currency_from_text(account->currency_code);
}

/* Whether the event with this index is the first of its account */
static bool
begins_account(const Load *load, int64 i)
{
	return i == 0 || load->events[i].event->account_id != load->events[i - 1].event->account_id;
}

/* Read the accounts of the events; false if one is not there, or is deleted */
static bool
read_accounts(Load *load)
{
	ArrayBuildState *ids = initArrayResult(INT8OID, CurrentMemoryContext, false);
	int64		accounts = 0;
	Datum		array;

	for (int64 i = 0; i < load->set->n; i++)
		if (begins_account(load, i))
			accumArrayResult(ids, Int64GetDatum(load->events[i].event->account_id), false, INT8OID, CurrentMemoryContext);
	array = makeArrayResult(ids, CurrentMemoryContext);
	if (plan_execute(&accounts_plan, &array, NULL, false) != (uint64) ids->nelems)
		return false;
	load->accounts = palloc_extended(ids->nelems * sizeof(LoadAccount), MCXT_ALLOC_HUGE);
	for (int i = 0; i < ids->nelems; i++)
		read_account(&load->accounts[i], i > 0 ? &load->accounts[i - 1] : NULL, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	for (int64 i = 0; i < load->set->n; i++)
	{
		accounts += begins_account(load, i);
		load->events[i].account = &load->accounts[accounts - 1];
	}
	return true;
}

static SavedPlan price_plan = {
	.sql = "SELECT p.from_date, p.to_date, p.price_id, p.price, s.aggregation, s.aggregation = 'count'"
	"  FROM service s CROSS JOIN kb_price_on($1, s.service, $3) p"
	" WHERE s.service = $2 AND s.kind = 'metered' AND s.aggregation IN ('sum', 'count')",
	.arg_types = {"text", "text", "date"},
	.is_generic = true
};

/* Look up a price; NULL if there is none, or the service does not add up */
static LoadPrice *
read_price(Load *load, const text *tariff, const text *service, DateADT day)
{
	Datum		values[] = {PointerGetDatum(tariff), PointerGetDatum(service), DateADTGetDatum(day)};
	LoadPrice  *price;

	if (plan_execute(&price_plan, values, NULL, false) == 0)
		return NULL;
	price = palloc(sizeof(LoadPrice));
	*price = (LoadPrice) {
		.tariff = tariff, .service = service, .from_date = plan_date(1), .to_date = plan_date(2), .price_id = plan_int32(3),
		.price = DatumGetPrice(plan_required(4)), .aggregation = plan_required(5), .counts = plan_bool(6)
	};
	load->prices = lappend(load->prices, price);
	return price;
}

/* Whether it is the price of the service in the tariff on that day */
static bool
holds(const LoadPrice *price, const text *tariff, const text *service, DateADT day)
{
	return price->from_date <= day && price->to_date > day &&
		(price->tariff == tariff || is_same(price->tariff, tariff)) &&
		(price->service == service || is_same(price->service, service));
}

/* The price of a day; each is looked up once */
static LoadPrice *
find_price(Load *load, const text *tariff, const text *service, DateADT day)
{
	ListCell   *cell;

	if (load->last_price != NULL && holds(load->last_price, tariff, service, day))
		return load->last_price;
	foreach(cell, load->prices)
		if (holds(lfirst(cell), tariff, service, day))
			return load->last_price = lfirst(cell);
	return load->last_price = read_price(load, tariff, service, day);
}

/* Add an event to the total of its month and price, which is one of its account's if there is one: these are the last */
static void
add_to_total(Load *load, const LoadEvent *event, const LoadPrice *price)
{
	LoadTotal  *total = &load->totals[load->ntotals];

	while (--total >= load->totals && total->account == event->account)
		if (total->period == event->period && total->price == price)
		{
			total->quantity = numeric_call(numeric_add, total->quantity, event->event->quantity);
			total->events += event->event->events;
			return;
		}
	load->totals[load->ntotals++] = (LoadTotal) {
		.account = event->account, .period = event->period, .price = price,
		.quantity = event->event->quantity, .events = event->event->events
	};
}

/* Find each event's price (C3), and what they add up to; false if one has none, or what holds now did not hold on its day */
static bool
price_events(Load *load)
{
	load->totals = palloc_extended(load->set->n * sizeof(LoadTotal), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < load->set->n; i++)
	{
		LoadEvent  *event = &load->events[i];
		const LoadAccount *account = event->account;
		DateADT		day = local_date(event->event->at, account->zone);
		LoadPrice  *price;

		if (event->event->at < account->created_at || day < account->tariff_from)
			return false;
		price = find_price(load, account->tariff, event->event->service, day);
		if (price == NULL)
			return false;
		event->period = month_first_day(day);
		event->price_id = price->price_id;
		add_to_total(load, event, price);
	}
	qsort(load->totals, load->ntotals, sizeof(LoadTotal), total_order);
	return true;
}

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
	int64		n = load->set->n;

	return !is_known(load->events[0].event) && !is_known(load->events[n / 2].event) && !is_known(load->events[n - 1].event);
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

/* Write one event.  Its texts hold no card numbers: a service has none, and keys and properties were read so (T4). */
static void
write_event(Bulk *bulk, const Load *load, const LoadEvent *e)
{
	const UsageEvent *event = e->event;
	Datum		values[COLUMNS] = {
		[COLUMN_ACCOUNT_ID] = Int64GetDatum(event->account_id),
		[COLUMN_AT] = TimestampTzGetDatum(event->at),
		[COLUMN_RECORDED_AT] = TimestampTzGetDatum(load->recorded_at + e->n),
		[COLUMN_PERIOD] = DateADTGetDatum(e->period),
		[COLUMN_REVISION] = Int32GetDatum(event->revision),
		[COLUMN_PRICE_ID] = Int32GetDatum(e->price_id),
		[COLUMN_IS_LEVEL] = BoolGetDatum(false),
		[COLUMN_EVENTS] = Int64GetDatum(event->events),
		[COLUMN_SERVICE] = PointerGetDatum(event->service),
		[COLUMN_KEY] = event->key != NULL ? PointerGetDatum(event->key) : own_key(),
		[COLUMN_QUANTITY] = NumericGetDatum(event->quantity),
		[COLUMN_METERED_TABLE] = PointerGetDatum(event->metered_table),
		[COLUMN_PROPERTIES] = PointerGetDatum(event->properties)
	};
	bool		nulls[COLUMNS] = {
		[COLUMN_METERED_TABLE] = event->metered_table == NULL,
		[COLUMN_PROPERTIES] = event->properties == NULL
	};

	bulk_add(bulk, values, nulls);
}

/* Write the events */
static void
write_events(const Load *load)
{
	Bulk	   *bulk = bulk_begin(load->table, column_names, COLUMNS);

	for (int64 i = 0; i < load->set->n; i++)
		write_event(bulk, load, &load->events[i]);
	bulk_end(bulk);
}

/* The columns of the set of totals */
enum
{
	TOTAL_ACCOUNT_ID, TOTAL_PERIOD, TOTAL_SERVICE, TOTAL_PRICE_ID, TOTAL_AGGREGATION, TOTAL_QUANTITY, TOTAL_EVENTS,
	TOTAL_COLUMNS
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

/* As in record_plan of usage.c, for what adds up */
static SavedPlan total_plan = {
	.sql = "INSERT INTO usage_total AS t (account_id, period, service, price_id, slot, aggregation, quantity, events, counted_at)"
	" SELECT e.account_id, e.period, e.service, e.price_id, $1, e.aggregation, e.quantity, e.events, $2 FROM total_set e"
	" ON CONFLICT (account_id, period, service, price_id, slot) DO UPDATE"
	"    SET quantity = t.quantity + excluded.quantity, events = t.events + excluded.events, settled = false,"
	"        counted_at = greatest(t.counted_at, excluded.counted_at)"
	" RETURNING t.quantity, t.events",
	.arg_types = {"smallint", "timestamptz"},
	.is_generic = true
};

/* The totals as rows that a statement can read */
static Tuplestorestate *
totals_as_rows(const Load *load, TupleDesc desc)
{
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	bool		nulls[TOTAL_COLUMNS] = {false};

	for (int64 i = 0; i < load->ntotals; i++)
	{
		const LoadTotal *total = &load->totals[i];
		Datum		values[TOTAL_COLUMNS] = {
			[TOTAL_ACCOUNT_ID] = Int64GetDatum(total->account->account_id),
			[TOTAL_PERIOD] = DateADTGetDatum(total->period),
			[TOTAL_SERVICE] = PointerGetDatum(total->price->service),
			[TOTAL_PRICE_ID] = Int32GetDatum(total->price->price_id),
			[TOTAL_AGGREGATION] = total->price->aggregation,
			[TOTAL_QUANTITY] = NumericGetDatum(total->price->counts ? int64_to_numeric(total->events) : total->quantity),
			[TOTAL_EVENTS] = Int64GetDatum(total->events)
		};

		tuplestore_putvalues(rows, desc, values, nulls);
	}
	return rows;
}

/* U4: what the total is now can be priced; the rows of the result are in the order of the totals */
static void
check_priced(const Load *load)
{
	for (int64 i = 0; i < load->ntotals; i++)
	{
		bool		isnull;
		Numeric		quantity = DatumGetNumeric(plan_row_column(i, 1, &isnull));
		int64		events = DatumGetInt64(plan_row_column(i, 2, &isnull));

		(void) price_rate(load->totals[i].price->price, quantity, Max(events, 0), load->totals[i].account->currency);
	}
}

/* Write the totals */
static void
write_totals(const Load *load)
{
	Datum		values[] = {Int16GetDatum(usage_slot()), TimestampTzGetDatum(load->set->now)};
	TupleDesc	desc = CreateTemplateTupleDesc(TOTAL_COLUMNS);
	Tuplestorestate *rows;

	for (int i = 0; i < TOTAL_COLUMNS; i++)
		TupleDescInitEntry(desc, i + 1, total_columns[i].name, kb_type_oid(total_columns[i].type), -1, 0);
	rows = totals_as_rows(load, desc);
	plan_register("total_set", desc, rows, load->ntotals);
	if (plan_execute(&total_plan, values, NULL, false) != (uint64) load->ntotals)
		elog(ERROR, "totals of usage are missing");
	check_priced(load);
	tuplestore_end(rows);
}

/* Both, in a subtransaction */
static void
write_all(void *arg)
{
	write_events(arg);
	write_totals(arg);
}

/* Record the events if each is new and plain; else nothing has happened, and the result is false */
static bool
load_events(const EventSet *set, TimestampTz recorded_at)
{
	Load		load = {.set = set, .recorded_at = recorded_at};
	ErrorData  *error;

	load.table = get_relname_relid("usage_event", get_namespace_oid("kbilling", false));
	if (set->events == NULL || IsolationUsesXactSnapshot() || !bulk_is_possible(load.table))
		return false;
	if (!sort_events(&load) || !read_accounts(&load) || !price_events(&load) || !looks_new(&load))
		return false;
	error = plan_try(write_all, &load);
	if (error != NULL && error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION && error->sqlerrcode != ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE)
		ReThrowError(error);
	return error == NULL;
}

int64
events_record(EventSet *set)
{
	TimestampTz recorded_at = GetCurrentTimestamp();

	if (set->n == 0)
		return 0;
	usage_prepare(set);
	if (events_are_many(set) && load_events(set, recorded_at))
		return set->n;
	return usage_record(set, recorded_at);
}
