/*
 * eventset.h
 *		Usage events on their way to the tables (rules U).
 */
#ifndef KBILLING_EVENTSET_H
#define KBILLING_EVENTSET_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "utils/numeric.h"
#include "utils/tuplestore.h"

/* A value that is counted once in a month has at most so many bytes. */
#define MAX_VALUE_LENGTH	255

/* One event; pointers may be NULL where noted. */
typedef struct UsageEvent
{
	int64		account_id;
	text	   *service;
	text	   *key;			/* NULL: it gets one of its own */
	int32		revision;
	TimestampTz at;
	Numeric		quantity;
	int64		events;			/* 1, or -1 for a correction; more where rows without a key are taken together */
	text	   *value;			/* what counts once; NULL: it is among the properties */
	int32		price_id;		/* of what a correction corrects; 0: none */
	text	   *metered_table;	/* of a metered row with a key; NULL: it is not one */
	struct varlena *properties; /* jsonb, NULL: none */
} UsageEvent;

/*
 * The columns of a set as statements read it.  In a result without n, the others
 * have the numbers by which SPI counts columns, from 1 on.
 */
enum
{
	EVENT_N,					/* from 1 on */
	EVENT_ACCOUNT_ID,
	EVENT_SERVICE,
	EVENT_KEY,
	EVENT_REVISION,
	EVENT_AT,
	EVENT_QUANTITY,
	EVENT_EVENTS,
	EVENT_VALUE,
	EVENT_PRICE_ID,
	EVENT_METERED_TABLE,
	EVENT_PROPERTIES,
	EVENT_COLUMNS
};

/*
 * Events to record together.  The first of them are kept in memory; if there are more than EVENTS_IN_MEMORY, or once a
 * statement reads them as a table (see events_register), they are in a tuplestore, which goes to disk if they are many.
 */
#define EVENTS_MAX_ACCOUNTS	8
#define EVENTS_IN_MEMORY	250000

typedef struct EventSet
{
	const char *source;			/* what they are, for errors: SOURCE_...; NULL: kb_record_usage's one */
	TimestampTz now;			/* the moment of recording */
	TimestampTz oldest;			/* time of the oldest; the moment of recording, if they are newer */
	int64		n;
	int64		take_backs;		/* how many take back what was recorded under other keys (U1) */
	int			accounts;		/* how many they are of, and which; above EVENTS_MAX_ACCOUNTS they are not kept */
	int64		account_ids[EVENTS_MAX_ACCOUNTS];
	MemoryContext context;		/* of what follows */
	UsageEvent *events;			/* the n events, while they are in memory; else NULL */
	TupleDesc	desc;
	Tuplestorestate *rows;		/* NULL: no statement has read them, and they are in memory */
} EventSet;

#define SOURCE_BATCH	"batch"		/* kb_record_usage_batch */
#define SOURCE_ROWS		"rows"		/* metered ones with keys */
#define SOURCE_TOGETHER	"together"	/* metered ones without */

/* The caller has connected to SPI, and ends what it begins. */
extern void events_begin(EventSet *set, const char *source, TimestampTz now);

/* An event of now, else empty. */
extern UsageEvent event_make(const EventSet *set);

/* Adds a copy. */
extern void events_add(EventSet *set, const UsageEvent *event);

/*
 * Lets the statements of this connection read the set under a name, which may
 * have had another one before.
 */
extern void events_register(EventSet *set, char *name);

/* Calls visit for the account of each event. */
extern void events_each_account(EventSet *set, void (*visit) (int64 account_id));

extern void events_end(EventSet *set);

/* A plan fits the size that the set had at its first use; so there is one for few events, and one for many. */
extern bool events_are_many(const EventSet *set);

/* How many events a quantity stands for: -1 below zero, else 1 */
extern int64 events_of_quantity(Numeric quantity);

#endif
