/*
 * eventrate.c
 *		Plain usage events, each with its price, and what they add up to: found in memory.
 */
#include "postgres.h"

#include "calendar.h"
#include "catalog/pg_collation.h"
#include "currency.h"
#include "decimal.h"
#include "enumvalue.h"
#include "event.h"
#include "eventrate.h"
#include "miscadmin.h"
#include "rowread.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

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
	const RatedEvent *a = x;
	const RatedEvent *b = y;
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
	const RatedTotal *a = x;
	const RatedTotal *b = y;
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
sort_events(RatedEvents *rated)
{
	const EventSet *set = rated->set;

	rated->events = palloc_extended(set->n * sizeof(RatedEvent), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < set->n; i++)
	{
		if (!is_plain(&set->events[i], set->now))
			return false;
		rated->events[i] = (RatedEvent) {.event = &set->events[i], .n = i + 1};
	}
	qsort(rated->events, set->n, sizeof(RatedEvent), event_order);
	for (int64 i = 1; i < set->n; i++)
	{
		const UsageEvent *a = rated->events[i - 1].event;
		const UsageEvent *b = rated->events[i].event;

		if (a->account_id == b->account_id && a->key != NULL && b->key != NULL &&
			text_order(a->key, b->key) == 0 && text_order(a->service, b->service) == 0)
			return false;
	}
	return true;
}

/* Columns of accounts */
enum
{
	ACCOUNT_ID, ACCOUNT_STATE, ACCOUNT_CREATED_AT, ACCOUNT_TIME_ZONE, ACCOUNT_TARIFF, ACCOUNT_TARIFF_FROM, ACCOUNT_ENDS_ON,
	ACCOUNT_CURRENCY
};

static ReadTable account_table = {
	.name = "account",
	.columns = {"account_id", "state", "created_at", "time_zone", "tariff", "tariff_from", "ends_on", "currency"},
	.nkeys = 1
};

enum
{
	STATE_ACTIVE, STATE_CLOSING, STATE_DELETED
};

static EnumType state_type = {.name = "account_state", .labels = {"active", "closing", "deleted", "purged"}};

/* Whether two texts are the same, byte by byte */
static bool
is_same(const text *a, const text *b)
{
	return VARSIZE_ANY(a) == VARSIZE_ANY(b) && memcmp(a, b, VARSIZE_ANY(a)) == 0;
}

/* What a row says of an account; most are of one zone, tariff and currency */
static void
fill_account(RatedAccount *account, const RatedAccount *last, const ReadRow *row)
{
	account->account_id = DatumGetInt64(row->values[ACCOUNT_ID]);
	account->created_at = DatumGetTimestampTz(row->values[ACCOUNT_CREATED_AT]);
	account->tariff_from = DatumGetDateADT(row->values[ACCOUNT_TARIFF_FROM]);
	account->ends_on = row_optional_date(row, ACCOUNT_ENDS_ON);
	account->tariff = DatumGetTextPP(row->values[ACCOUNT_TARIFF]);
	account->time_zone = DatumGetTextPP(row->values[ACCOUNT_TIME_ZONE]);
	account->currency_code = DatumGetTextPP(row->values[ACCOUNT_CURRENCY]);
	if (last != NULL && is_same(account->tariff, last->tariff))
		account->tariff = last->tariff;
	account->zone = last != NULL && is_same(account->time_zone, last->time_zone) ? last->zone : zone_or_utc(account->time_zone);
	account->currency = last != NULL && is_same(account->currency_code, last->currency_code) ? last->currency :
		currency_from_text(account->currency_code);
}

/* Read an account; false if it is not there, or is deleted */
static bool
read_account(int64 account_id, RatedAccount *account, const RatedAccount *last)
{
	Datum		key = Int64GetDatum(account_id);
	ReadRow		row;

	if (!row_read(&account_table, &key, &row) || enum_label_no(&state_type, row.values[ACCOUNT_STATE]) >= STATE_DELETED)
		return false;
	fill_account(account, last, &row);
	return true;
}

/* Read the accounts of the events, which are in their order */
static bool
read_accounts(RatedEvents *rated)
{
	RatedAccount *account = NULL;

	rated->accounts = palloc_extended(rated->set->n * sizeof(RatedAccount), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < rated->set->n; i++)
	{
		int64		account_id = rated->events[i].event->account_id;

		if (account == NULL || account->account_id != account_id)
		{
			RatedAccount *next = account == NULL ? rated->accounts : account + 1;

			CHECK_FOR_INTERRUPTS();
			if (!read_account(account_id, next, account))
				return false;
			account = next;
		}
		rated->events[i].account = account;
	}
	return true;
}

/* Columns of services */
enum
{
	SERVICE_SERVICE, SERVICE_KIND, SERVICE_AGGREGATION
};

static ReadTable service_table = {.name = "service", .columns = {"service", "kind", "aggregation"}, .nkeys = 1};

enum
{
	KIND_RECURRING, KIND_METERED
};

static EnumType kind_type = {.name = "service_kind", .labels = {"recurring", "metered", "one_off"}};

enum
{
	AGGREGATION_SUM, AGGREGATION_COUNT
};

static EnumType aggregation_type = {.name = "aggregation", .labels = {"sum", "count", "max", "unique", "last"}};

/* How a service counts; false if there is no such metered one, or it does not add up */
static bool
read_service(const text *service, Datum *aggregation, bool *counts)
{
	Datum		key = PointerGetDatum(service);
	ReadRow		row;
	int			which;

	if (!row_read(&service_table, &key, &row) || enum_label_no(&kind_type, row.values[SERVICE_KIND]) != KIND_METERED)
		return false;
	*aggregation = row.values[SERVICE_AGGREGATION];
	which = enum_label_no(&aggregation_type, *aggregation);
	*counts = which == AGGREGATION_COUNT;
	return which == AGGREGATION_SUM || *counts;
}

/* Columns of prices */
enum
{
	PRICE_TARIFF, PRICE_SERVICE, PRICE_FROM_DATE, PRICE_TO_DATE, PRICE_WITHDRAWN_AT, PRICE_PRICE_ID, PRICE_PRICE
};

static ReadTable price_table = {
	.name = "price",
	.columns = {"tariff", "service", "from_date", "to_date", "withdrawn_at", "price_id", "price"},
	.nkeys = 2,
	.index = "price_to_date"
};

/* Whether it is the price of a day; no two are */
static bool
is_of_day(const ReadRow *row, const void *day)
{
	return row->nulls[PRICE_WITHDRAWN_AT] && DatumGetDateADT(row->values[PRICE_FROM_DATE]) <= *(const DateADT *) day &&
		DatumGetDateADT(row->values[PRICE_TO_DATE]) > *(const DateADT *) day;
}

/* Look up a price, as kb_price_on does; NULL if there is none, or the service does not add up */
static RatedPrice *
read_price(RatedEvents *rated, const text *tariff, const text *service, DateADT day)
{
	Datum		key[] = {PointerGetDatum(tariff), PointerGetDatum(service)};
	RatedPrice *price = palloc(sizeof(RatedPrice));
	ReadRow		row;

	*price = (RatedPrice) {.tariff = tariff, .service = service};
	if (!read_service(service, &price->aggregation, &price->counts) ||
		!row_read_first(&price_table, key, &row, is_of_day, &day))
		return NULL;
	price->from_date = DatumGetDateADT(row.values[PRICE_FROM_DATE]);
	price->to_date = DatumGetDateADT(row.values[PRICE_TO_DATE]);
	price->price_id = DatumGetInt32(row.values[PRICE_PRICE_ID]);
	price->price = DatumGetPrice(row.values[PRICE_PRICE]);
	rated->prices = lappend(rated->prices, price);
	return price;
}

/* Whether it is the price of the service in the tariff on that day */
static bool
holds(const RatedPrice *price, const text *tariff, const text *service, DateADT day)
{
	return price->from_date <= day && price->to_date > day &&
		(price->tariff == tariff || is_same(price->tariff, tariff)) &&
		(price->service == service || is_same(price->service, service));
}

/* The price of a day; each is looked up once */
static RatedPrice *
find_price(RatedEvents *rated, const text *tariff, const text *service, DateADT day)
{
	ListCell   *cell;

	if (rated->last_price != NULL && holds(rated->last_price, tariff, service, day))
		return rated->last_price;
	foreach(cell, rated->prices)
		if (holds(lfirst(cell), tariff, service, day))
			return rated->last_price = lfirst(cell);
	return rated->last_price = read_price(rated, tariff, service, day);
}

/* Find each event's price (C3); false if one has none, or what holds now did not hold on its day */
static bool
price_events(RatedEvents *rated)
{
	for (int64 i = 0; i < rated->set->n; i++)
	{
		RatedEvent *event = &rated->events[i];
		const RatedAccount *account = event->account;
		DateADT		day = local_date(event->event->at, account->zone);

		if (event->event->at < account->created_at || day < account->tariff_from ||
			(account->ends_on.exists && day > account->ends_on.date))
			return false;
		event->period = month_first_day(day);
		event->price = find_price(rated, account->tariff, event->event->service, day);
		if (event->price == NULL)
			return false;
	}
	return true;
}

bool
events_rate(RatedEvents *rated, const EventSet *set)
{
	bool		is_rated;

	*rated = (RatedEvents) {.set = set};
	if (set->events == NULL || !sort_events(rated))
		return false;
	row_look_anew();
	is_rated = read_accounts(rated) && price_events(rated);
	PopActiveSnapshot();
	rated->totals = is_rated ? palloc_extended(set->n * sizeof(RatedTotal), MCXT_ALLOC_HUGE) : NULL;
	return is_rated;
}

void
rated_add(RatedEvents *rated, const RatedEvent *event)
{
	RatedTotal *total = &rated->totals[rated->ntotals];

	/* its total is one of its account's, if there is one: these are the last */
	while (--total >= rated->totals && total->account == event->account)
		if (total->period == event->period && total->price == event->price)
		{
			total->quantity = numeric_call(numeric_add, total->quantity, event->event->quantity);
			total->events += event->event->events;
			return;
		}
	rated->totals[rated->ntotals++] = (RatedTotal) {
		.account = event->account, .period = event->period, .price = event->price,
		.quantity = event->event->quantity, .events = event->event->events
	};
}

void
rated_sort_totals(RatedEvents *rated)
{
	qsort(rated->totals, rated->ntotals, sizeof(RatedTotal), total_order);
}

Numeric
rated_quantity(const RatedTotal *total)
{
	return total->price->counts ? int64_to_numeric(total->events) : total->quantity;
}
