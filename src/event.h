/*
 * event.h
 *		What a usage event may be (rules U).
 */
#ifndef KBILLING_EVENT_H
#define KBILLING_EVENT_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "price.h"
#include "utils/numeric.h"

/* Whether a quantity is finite, and has no more digits than can be summed up and read. */
extern bool event_quantity_fits(Numeric quantity);

/* U4: whether usage of that moment may be recorded at another one. */
extern bool event_is_past(TimestampTz at, TimestampTz now);

/* U4: raises unless what a total counts can be priced, as the charge will. */
extern void event_require_priced(int64 account_id, const text *service, uint16 currency, const Price *price,
								 Numeric quantity, int64 events);

#endif
