/*
 * allocation.h
 *		Which top-ups money that goes back belongs to, and which bonus goes with it (T6, T7).
 */
#ifndef KBILLING_ALLOCATION_H
#define KBILLING_ALLOCATION_H

#include "postgres.h"
#include "journal.h"

/* A part of a top-up, and of the unspent bonus that it has earned; in minor units. */
typedef struct TopupPart
{
	int64		topup_seq;
	int64		amount;
	int64		bonus_seq;		/* 0: it earned none */
	int64		bonus;
	DateADT		bonus_expires_on;	/* infinity: never */
} TopupPart;

typedef struct TopupParts
{
	int			n;
	TopupPart  *parts;
} TopupParts;

/* All that is left of one top-up, or with topup_seq 0 of each, the newest first. */
extern TopupParts allocation_remaining(const LockedAccount *account, int64 topup_seq);

/*
 * The share of a top-up that goes back with a part of what was paid, in the currency of that (T8); false if that was
 * another one.
 */
extern bool allocation_share(const LockedAccount *account, int64 topup_seq, Money paid, Money *share);

/* The sum of the parts, in minor units. */
extern int64 allocation_sum(const TopupParts *parts);

/* Leaves so much of them, from the first on, and of each one's bonus its proportion. */
extern void allocation_limit(TopupParts *parts, int64 amount);

/* The parts as an entry's lines; with a flag, true in each, if it is not NULL. */
extern Lines *allocation_lines(const LockedAccount *account, const TopupParts *parts, const char *flag);

/*
 * The postings that take the bonus of the parts away, and then the main one; they
 * count from account's last entry on.  Sets their number.
 */
extern Posting *allocation_take(const LockedAccount *account, const TopupParts *parts, const Posting *main, int *n);

/* The main posting, a reversal of the entry, and those that bring back the bonus that went with the entry. */
extern Posting *allocation_bring_back(const LockedAccount *account, int64 seq, const Posting *main, int *n);

/* What the reversal of an entry does to the credit: what it gives back to lots, or takes from those that the entry gave (G4). */
extern CreditMove allocation_credit_back(const LockedAccount *account, int64 seq);

#endif
