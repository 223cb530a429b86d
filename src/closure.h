/*
 * closure.h
 *		The closure of an account that is locked (rules D).
 */
#ifndef KBILLING_CLOSURE_H
#define KBILLING_CLOSURE_H

#include "postgres.h"
#include "journal.h"

/* D4: a top-up that brings the balance above zero cancels the closure; member may be NULL. */
extern void closure_cancel_for_topup(const LockedAccount *account, const char *member);

#endif
