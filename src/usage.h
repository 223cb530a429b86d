/*
 * usage.h
 *		Usage events on their way to the tables (rules U).
 */
#ifndef KBILLING_USAGE_H
#define KBILLING_USAGE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/numeric.h"

/* One event; pointers may be NULL where noted. */
typedef struct UsageEvent
{
	int64		account_id;
	text	   *service;
	text	   *key;			/* NULL: it gets one of its own */
	int32		revision;
	TimestampTz at;
	Numeric		quantity;
	int16		sign;			/* 1, or -1 for a correction */
	text	   *value;			/* what counts once, NULL: it is among the properties */
	struct varlena *properties; /* jsonb, NULL: none */
} UsageEvent;

/* Events to record together. */
typedef struct EventSet
{
	const char *source;			/* what one is called in an error: "event %lld of the batch"; NULL: there is one */
	TimestampTz now;			/* the moment of recording */
	int			n;
	int			capacity;
	UsageEvent *events;
} EventSet;

/* The columns of an event as SQL has them. */
typedef enum EventColumn
{
	COL_ACCOUNT_ID, COL_SERVICE, COL_KEY, COL_REVISION, COL_AT, COL_QUANTITY, COL_SIGN, COL_VALUE, COL_PROPERTIES
} EventColumn;

#define NUM_COLUMNS		(COL_PROPERTIES + 1)

/* How to write the sources; messages name the number, from 1 on. */
#define SOURCE_BATCH	"event %lld of the batch"
#define SOURCE_TABLE	"row %lld of the statement"

extern void events_init(EventSet *set, const char *source, TimestampTz now);

/* A new event at the end of the set: of now, else empty. */
extern UsageEvent *events_add(EventSet *set);

/* A column of all events as an array; what is NULL there is NULL in it. */
extern Datum events_column(const EventSet *set, EventColumn column);

/* -1 below zero, else 1 */
extern int16 quantity_sign(Numeric quantity);

/*
 * Records them all or raises; the number that count, as their keys were not
 * known.  The caller has connected to SPI.
 */
extern uint64 usage_record(const EventSet *set);

/* Reads the events of kb_record_usage_batch, a JSON array; errors say which one is wrong. */
extern void batch_read(struct varlena *events, EventSet *set);

#endif
