/*
 * outbox.h
 *		Waking the workers that deliver notices (rule N1).
 */
#ifndef KBILLING_OUTBOX_H
#define KBILLING_OUTBOX_H

/* NOTIFY kbilling, unless kbilling.notify is off: the server sends it once, when the transaction commits. */
extern void kb_wake_workers(void);

/* For _PG_init: defines kbilling.notify. */
extern void outbox_init(void);

#endif
