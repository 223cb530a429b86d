/*
 * kbilling.h
 *		Settings and the one source of time.
 */
#ifndef KBILLING_H
#define KBILLING_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* kbilling.allow_drop: lets DROP EXTENSION take a journal with it (J7). */
extern bool kb_allow_drop;

/* kbilling.clock where it is set, else the start of the transaction. */
extern TimestampTz kb_current_time(void);

#endif
