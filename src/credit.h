/*
 * credit.h
 *		Credit that expires (rule G3).
 */
#ifndef KBILLING_CREDIT_H
#define KBILLING_CREDIT_H

#include "postgres.h"
#include "journal.h"
#include "utils/array.h"

/* Whether there is any of the accounts whose credit is to be looked at: far cheaper than credit_expire, which finds none. */
extern bool credit_is_due(ArrayType *account_ids, TimestampTz at);

/*
 * Takes from the balances of accounts what has expired of their credit (G3); how many entries that makes.  The accounts are
 * locked; those that have nothing to look at are passed over.  If they have been told of what will expire, the day of the
 * sweep's next look is set as well.
 */
extern uint64 credit_expire(ArrayType *account_ids, TimestampTz at, bool is_told);

/*
 * Before a posting under a key: whether it is new.  If it is, what has expired of the account's credit leaves the balance first
 * (G3), and the account is as that leaves it; if not, the amount that was posted is set, and nothing changes (J3).
 */
extern bool credit_begin_posting(LockedAccount *account, const char *key, Money *amount);

#endif
