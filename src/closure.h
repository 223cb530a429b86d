/*
 * closure.h
 *		The closure of accounts that are locked (rules D).  The caller has connected to SPI.
 */
#ifndef KBILLING_CLOSURE_H
#define KBILLING_CLOSURE_H

#include "postgres.h"
#include "journal.h"
#include "utils/array.h"

/* Takes the steps that are due, but for purges; how many.  Accounts that were due for a look get another day for it. */
extern uint64 closure_take_steps(ArrayType *account_ids, TimestampTz at);

/* Writes the notices of the steps that were taken at the moment, those of purges too; how many (D2, N1). */
extern uint64 closure_notify(ArrayType *account_ids, TimestampTz at);

/* D4: a top-up that brings the balance above zero cancels the closure; member may be NULL. */
extern void closure_cancel_for_topup(const LockedAccount *account, const char *member);

#endif
