/*
 * lots.h
 *		Credit by priority and expiry: what it is spent by, and what is left of it (rules G).
 *
 * Lots that are alike, with the same priority and the same expiry, count together here; among them the oldest is spent
 * first, so what is left of each follows from their sum.  Most credit is plain: it never expires, and has the priority
 * that there is without saying so.  It is not listed, but is what the unspent credit has beyond what is listed.
 */
#ifndef KBILLING_LOTS_H
#define KBILLING_LOTS_H

#include "postgres.h"
#include "money.h"
#include "utils/array.h"
#include "utils/date.h"

/* The priority of credit for which none is given: lower numbers are spent first. */
#define LOT_PRIORITY	50

/* Credit of one priority and expiry. */
typedef struct Lot
{
	int32		priority;
	DateADT		expires_on;		/* the first day on which it is spent no more; infinity: it never expires */
	int64		amount;			/* in minor units of the account's currency */
} Lot;

/* Several, by priority and expiry, each once; in a move the amounts may be below zero. */
typedef struct Lots
{
	int			n;
	Lot		   *lots;
} Lots;

/* The unspent credit of an account. */
typedef struct Credit
{
	int64		total;			/* in minor units, the plain part included */
	Lots		lots;			/* the other parts */
} Credit;

/* What a posting does to the credit of an account. */
typedef struct CreditMove
{
	Lots		lots;			/* what it adds to lots, or takes from them, plain ones named like all others */
	int64		spends;			/* and what it spends besides, in the order of G2; zero or more */
} CreditMove;

/* A lot of which there is credit that never expires, with the priority that there is without saying so. */
static inline bool
lot_is_plain(const Lot *lot)
{
	return lot->priority == LOT_PRIORITY && DATE_IS_NOEND(lot->expires_on);
}

/* The move that gives so much to one lot, or takes it, if it is below zero. */
extern CreditMove credit_to_lot(int32 priority, DateADT expires_on, int64 amount);

/* The move of a debit, which spends credit first (T6); of a credit, none. */
extern CreditMove credit_for_debit(Money amount);

/* Who spends: what has expired by a day, and is on the balance, is kept for charges, which spend it first (G3). */
typedef struct Spender
{
	DateADT		today;
	bool		is_charge;
} Spender;

/*
 * The credit after a posting (G2, T6): what is taken from a lot that has less is spent, as what is spent besides is, and
 * what is left is at most what is on the balance, as credit is spent first.
 */
extern Credit credit_after(const Credit *before, const CreditMove *move, Spender spender, Money balance_after);

/* What an account owes for the days before one on which credit expires, and is not charged yet; in minor units. */
typedef struct OwedBefore
{
	DateADT		day;
	int64		owed;
} OwedBefore;

/* Which expiries have been booked, and which months charged. */
typedef struct CreditBooked
{
	DateADT		expired_through;	/* what has expired by then has been looked at: what is left of it is kept (G3) */
	DateADT		charged_through;
} CreditBooked;

/* Whether some have expired by today, and that is to be booked: when they have, or when the charge that they were kept for is there. */
extern bool lots_may_expire(const Lots *lots, CreditBooked booked, DateADT today);

/*
 * The move that takes from the balance what has expired by today, with amounts below zero (G3): of what has not been looked at yet,
 * what the account would leave of it if it paid now what it owed before; of what was kept, all that the charge has left.
 */
extern CreditMove credit_expired(const Credit *credit, CreditBooked booked, DateADT today, const OwedBefore *owed, int nowed);

/*
 * The move that leads from one to the other, but for plain credit; with a lot that the posting names, though it may not
 * have changed.
 */
extern Lots lots_move(const Lots *before, const Lots *after, const Lots *named);

/* From kb_lot[] and to it; NULL is none.  22004 for a part that is missing, KB002 for another currency. */
extern Lots lots_from_array(ArrayType *array, uint16 currency);
extern ArrayType *lots_to_array(const Lots *lots, uint16 currency, Oid lot_type);

/* As "50 2026-12-01 -5.00 USD, 60 infinity 3.00 USD", for the hash of an entry (J5); NULL for none. */
extern char *lots_to_cstring(const Lots *lots, uint16 currency);

#endif
