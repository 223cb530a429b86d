/*
 * event.h
 *		What a usage event may be (rules U).
 */
#ifndef KBILLING_EVENT_H
#define KBILLING_EVENT_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/numeric.h"

/* Whether a quantity is finite, and has no more digits than can be summed up and read. */
extern bool event_quantity_fits(Numeric quantity);

/* U4: whether usage of that moment may be recorded at another one. */
extern bool event_is_past(TimestampTz at, TimestampTz now);

#endif
