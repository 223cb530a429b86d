/*
 * limit.h
 *		What accounts may still use: credit lines, and limits of services (rules L).
 */
#ifndef KBILLING_LIMIT_H
#define KBILLING_LIMIT_H

#include "eventset.h"
#include "money.h"

/* What is looked at again when events are recorded. */
typedef struct Limits
{
	TimestampTz now;
	bool		is_told;		/* whoever records may be told sums: it is not a meter, which works for whoever writes */
	Datum		account_ids;	/* bigint[]: those of the set that have a limit; they are locked */
	int			nspent;
	struct Spent *spent;		/* what they have used of it before */
} Limits;

/* Whether any tariff or account has a credit line or limit, or may have; quick to tell. */
extern bool limits_exist(void);

/*
 * Before events are recorded, and before anything else of them is locked: locks those of their accounts that have a limit.
 * False if none has one; then limits_check is not called.  The caller has connected to SPI, and stays so.
 */
extern bool limits_begin(Limits *limits, EventSet *set);

/* The same for one account, which is locked. */
extern void limits_begin_for(Limits *limits, int64 account_id, TimestampTz now);

/*
 * L5: KB013 unless an account, which is locked, can pay an amount at once: with a credit line, from what is available; without
 * one, from its balance.
 */
extern void limits_require_covered(int64 account_id, Money balance, Money amount);

/* After they were: KB013 if more was used, and that is more than there is; a notice if the limit is a soft one. */
extern void limits_check(const Limits *limits);

#endif
