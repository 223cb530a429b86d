/*
 * kbilling.h
 *		Settings, the one source of time, and the call to the notices' workers.
 */
#ifndef KBILLING_H
#define KBILLING_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* kbilling.allow_drop: lets DROP EXTENSION take a journal with it (J7). */
extern bool kb_allow_drop;

/* kbilling.clock where it is set, else the start of the transaction. */
extern TimestampTz kb_current_time(void);

/* NOTIFY kbilling, unless kbilling.notify is off: the server sends it once, when the transaction commits (N1). */
extern void kb_wake_workers(void);

#endif
