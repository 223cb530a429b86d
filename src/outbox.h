/*
 * outbox.h
 *		Waking the workers that deliver notices (rule N1).
 */
#ifndef KBILLING_OUTBOX_H
#define KBILLING_OUTBOX_H

/*
 * For a transaction that has written a notice: NOTIFY kbilling when it commits, if a worker sleeps by then, unless
 * kbilling.notify is off.
 */
extern void kb_wake_workers(void);

/*
 * For a worker that has found nothing.  If its session listens, it is woken from now on; true if it is to look once more, as
 * others may have committed something meanwhile.  The caller has connected to SPI.
 */
extern bool outbox_lie_down(void);

/* For a worker that has found something: nobody need wake it. */
extern void outbox_get_up(void);

/* For _PG_init: defines kbilling.notify. */
extern void outbox_init(void);

#endif
