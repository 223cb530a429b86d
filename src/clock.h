/*
 * clock.h
 *		The one source of time.
 */
#ifndef KBILLING_CLOCK_H
#define KBILLING_CLOCK_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* kbilling.clock where it is set, else the start of the transaction. */
extern TimestampTz kb_current_time(void);

/* The same, but not as of the start of the transaction. */
extern TimestampTz kb_time_by_clock(void);

/* For _PG_init: defines kbilling.clock. */
extern void clock_init(void);

#endif
