/*
 * price.h
 *		kb_price: how a quantity becomes an amount (rules P, C3, M4).
 *
 * A value is a small varlena: the kind of price, a mask that says which
 * numbers are there, then those numbers in the order of PriceSlot, nine bytes
 * each: the scale, then the mantissa.
 *
 * What the design leaves open is decided here:
 * - A flat price is the amount of the period, whatever the quantity; it takes
 *	 no free, min or max, which would have nothing to act on.
 * - A quantity below zero is rated as zero (usage is never billed below zero).
 * - Free units are taken off before packages are counted.
 * - min and max bound the line of a full period, also at quantity zero, and
 *	 are split by day with it: half a month owes half the floor, so that the
 *	 parts of a month that changed its price still add up.
 */
#ifndef KBILLING_PRICE_H
#define KBILLING_PRICE_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/numeric.h"

#include "money.h"

typedef enum PriceKind
{
	PRICE_FLAT = 1,				/* 19.00 */
	PRICE_EACH = 2,				/* 0.05 each */
	PRICE_PER = 3				/* 5.00 per 100 */
} PriceKind;

typedef struct Price
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	uint8		kind;			/* PriceKind */
	uint8		slots;			/* mask of 1 << PriceSlot */
	char		numbers[FLEXIBLE_ARRAY_MEMBER];
} Price;

#define DatumGetPrice(X)		((Price *) PG_DETOAST_DATUM(X))
#define PriceGetDatum(X)		PointerGetDatum(X)
#define PG_GETARG_PRICE(n)		DatumGetPrice(PG_GETARG_DATUM(n))
#define PG_RETURN_PRICE(x)		return PriceGetDatum(x)

/* Amount of a full period in major units, not rounded; palloc'd. */
extern Numeric price_rate_numeric(const Price *price, Numeric quantity, int64 events);

/* The same, rounded once by M4; 22003 on a quantity or amount out of range. */
extern Money price_rate(const Price *price, Numeric quantity, int64 events, uint16 currency);

/* Amount x days / days_in_period, rounded once (C3). */
extern Money price_rate_days(const Price *price, Numeric quantity, uint16 currency,
							 int days, int days_in_period);

/* "0.05 each free 50"; palloc'd. */
extern char *price_to_cstring(const Price *price);

#endif
