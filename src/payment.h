/*
 * payment.h
 *		Payments that were begun (kbilling.payment), for an account that is locked.
 */
#ifndef KBILLING_PAYMENT_H
#define KBILLING_PAYMENT_H

#include "postgres.h"
#include "journal.h"

/* Only money paid in is a top-up: KB005 for zero or less. */
extern void payment_check_amount(Money amount);

/* T2: 22023 for a method that kbilling.payment_method does not have; the caller has connected to SPI. */
extern void payment_check_method(const char *method);

/*
 * Checks whether the posting may settle the payment, whatever its amount and
 * method: KB006 if the account has no such payment, or another reference has
 * settled it.  Fills in the member who began it, if the posting has none; and, if
 * the same reference has settled it, how it was paid by that one's word.
 */
extern void payment_check(const LockedAccount *account, int64 payment_id, Posting *posting);

/* Notes the entry that settles it, and what was confirmed; KB006 if that has settled another one. */
extern void payment_settle(const LockedAccount *account, int64 payment_id, const Posting *posting, int64 seq);

#endif
