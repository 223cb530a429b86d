/*
 * eventrate.h
 *		Plain usage events, each with its price (C3), and what they add up to.
 *
 * Most events are plain: they take nothing back, their account has had its present tariff since their day or longer,
 * and their service adds up.  Whatever is not plain is left to the statement of usage.c.
 */
#ifndef KBILLING_EVENTRATE_H
#define KBILLING_EVENTRATE_H

#include "postgres.h"
#include "eventset.h"
#include "nodes/pg_list.h"
#include "optional_date.h"
#include "pgtime.h"
#include "price.h"
#include "utils/date.h"

/* What is known of an account. */
typedef struct RatedAccount
{
	int64		account_id;
	TimestampTz created_at;
	const text *time_zone;
	pg_tz	   *zone;
	const text *tariff;
	DateADT		tariff_from;
	OptionalDate ends_on;
	const text *currency_code;
	uint16		currency;
} RatedAccount;

/* The price of a service in a tariff, from a day to another one. */
typedef struct RatedPrice
{
	const text *tariff;
	const text *service;
	DateADT		from_date;
	DateADT		to_date;
	int32		price_id;
	bool		counts;			/* aggregation count, else sum */
	Datum		aggregation;
	Price	   *price;
} RatedPrice;

/* An event, and what follows from its account and day. */
typedef struct RatedEvent
{
	const UsageEvent *event;
	int64		n;				/* its number in the set, from 1 on */
	const RatedAccount *account;
	DateADT		period;
	RatedPrice *price;
} RatedEvent;

/* What events of a month add up to under a price. */
typedef struct RatedTotal
{
	const RatedAccount *account;
	DateADT		period;
	const RatedPrice *price;
	Numeric		quantity;
	int64		events;
} RatedTotal;

/* All of it; in the current memory context. */
typedef struct RatedEvents
{
	const EventSet *set;
	RatedEvent *events;			/* set->n, in the order in which they are to be written */
	RatedAccount *accounts;		/* by number */
	List	   *prices;			/* of RatedPrice */
	RatedPrice *last_price;		/* the one that was used last */
	RatedTotal *totals;
	int64		ntotals;
} RatedEvents;

/* Reads what the events of the set need; false if one is not plain, or cannot be recorded, or two have one key. */
extern bool events_rate(RatedEvents *rated, const EventSet *set);

/* Adds an event to the totals; they are added in their order. */
extern void rated_add(RatedEvents *rated, const RatedEvent *event);

/* Puts the totals in the order in which they are to be written. */
extern void rated_sort_totals(RatedEvents *rated);

/* What the total's row counts. */
extern Numeric rated_quantity(const RatedTotal *total);

#endif
