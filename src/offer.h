/*
 * offer.h
 *		What to offer for a top-up, and the year ahead that offers are made of.
 */
#ifndef KBILLING_OFFER_H
#define KBILLING_OFFER_H

#include "postgres.h"
#include "utils/date.h"

#include "lines.h"
#include "money.h"

/* One, three, six and twelve months are offered. */
#define OFFERED_MONTHS	4

/* What an account will be charged, if usage goes on at its pace. */
typedef struct YearAhead
{
	Money		used_total;		/* of the running month so far; NO_MONEY if none */
	Lines	   *used;
	bool		has_next;
	DateADT		period;			/* of the next charge */
	DateADT		charged_on;
	Money		charge;
	int			ncovered;		/* months that can be offered */
	int32		covered[OFFERED_MONTHS];
	Money		costs[OFFERED_MONTHS];	/* what is to be paid to be covered for so many */
} YearAhead;

/*
 * The year ahead of an account, from its balance, whether credit on it may expire, and today; the caller has connected to SPI.
 */
extern void offer_look_ahead(int64 account_id, Money balance, bool expires, DateADT today, YearAhead *ahead);

/* Finds the offers, which are then in SPI_tuptable. */
extern void offer_find(int64 account_id, const YearAhead *ahead);

#endif
