/*
 * limit.h
 *		What accounts may still use: credit lines, and limits of services (rules L).
 */
#ifndef KBILLING_LIMIT_H
#define KBILLING_LIMIT_H

#include "eventset.h"
#include "money.h"

/* Accounts that have a limit, and what they have used of it before something is recorded. */
typedef struct Limits
{
	bool		exist;			/* any of the accounts has one; else nothing else is set */
	TimestampTz now;
	bool		is_told;		/* whoever records may be told sums: it is not a meter, which works for whoever writes */
	Datum		account_ids;	/* bigint[]: those that have a limit; they are locked */
	int			nspent;
	struct Spent *spent;
} Limits;

/* Whether any tariff or account has a credit line or limit, or may have; quick to tell. */
extern bool limits_exist(void);

/*
 * The caller has connected to SPI, and stays so until the check.  First, and before anything else of the events is locked:
 * locks those of their accounts that have a limit.  The other set may be NULL.
 */
extern void limits_lock(Limits *limits, EventSet *set, EventSet *other);

/* The same of accounts alone, whose numbers are Datums, and are not kept; how many it has locked. */
extern uint64 limits_lock_accounts(Datum *account_ids, int n);

/* Second, when terms are locked, too: looks at what they have used. */
extern void limits_look(Limits *limits);

/* Both for one account, which is locked. */
extern void limits_look_at(Limits *limits, int64 account_id, TimestampTz now);

/* Third, after events were recorded: KB013 if more was used, and that is more than there is; a notice if the limit is a soft one. */
extern void limits_check(const Limits *limits);

/*
 * L5: KB013 unless an account, which is locked, can pay an amount at once: with a credit line, from what is available; without
 * one, from its balance, but for what is kept for a charge (G3).
 */
extern void limits_require_covered(int64 account_id, Money amount);

#endif
