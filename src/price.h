/*
 * price.h
 *		kb_price: how a quantity becomes an amount (rules P, C3, M4).
 *
 * What the rules leave open is decided here:
 * - A flat price is the amount of the period, whatever the quantity; it takes
 *	 no free, min or max, which would have nothing to act on.
 * - A quantity below zero is rated as zero (usage is never billed below zero).
 * - A tier's edge is inclusive: unit 100 is in the tier "to 100", and what is
 *	 above it, a fraction too, in the next.
 * - Edges count all units, free ones too: units to pay for cost what their tier
 *	 says, or that of the total, as if none were free.
 * - A tier's flat fee is due once a unit of it, or a fraction of one, is to be
 *	 paid for; a volume price has only that of the tier that is reached.
 * - Free units are taken off before packages are counted.
 * - Packages are counted within each tier, from its first unit that is to be
 *	 paid for: one that is begun when the tier ends is paid for in it, and the
 *	 next tier begins a new one.  Of full packages, what is left over at the end
 *	 of a tier costs nothing.  So an edge need be no multiple of the package.
 * - Tiers may count packages of different sizes, or units; percentages are of
 *	 money, so tiers are percentages all, or none.
 * - Free takes the first units of a percentage's quantity, which is money; the
 *	 fee is for each event all the same, whatever the quantity.
 * - min and max bound the amount of a full period, also at quantity zero.  They
 *	 are split by day with it: half a month owes half the floor, so that the
 *	 parts of a month that changed its price still add up.
 */
#ifndef KBILLING_PRICE_H
#define KBILLING_PRICE_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/numeric.h"

#include "money.h"
#include "price_terms.h"

/* The stored form is of price.c alone; it is read in place, byte by byte. */
typedef struct varlena Price;

#define DatumGetPrice(X)		((Price *) PG_DETOAST_DATUM_PACKED(X))
#define PriceGetDatum(X)		PointerGetDatum(X)
#define PG_GETARG_PRICE(n)		DatumGetPrice(PG_GETARG_DATUM(n))
#define PG_RETURN_PRICE(x)		return PriceGetDatum(x)

/*
 * Amount of a full period, rounded once by M4; 22003 on a quantity that is not
 * finite, events below zero, or an amount out of range.
 */
extern Money price_rate(const Price *price, Numeric quantity, int64 events, uint16 currency);

/* The same of one event x days / days_in_period, rounded once (C3). */
extern Money price_rate_days(const Price *price, Numeric quantity, uint16 currency, int days, int days_in_period);

/* For how many days of a period a floor and a ceiling count. */
typedef struct PriceBounds
{
	int			min_days;
	int			max_days;
	int			days_in_period;
} PriceBounds;

/*
 * Amounts in major units that are exact, as lines are summed up before they are
 * rounded (M4): times days_in_period, as dividing by it could lose something.
 * What is charged by day counts for its days; usage counts whole, within bounds
 * that count for theirs.
 */
extern Numeric price_days_exactly(const Price *price, Numeric quantity, int days);
extern Numeric price_usage_exactly(const Price *price, Numeric quantity, int64 events, PriceBounds bounds);

/* Whether usage is none, and no minimum is owed: then it costs nothing, whatever the price (C2). */
extern bool price_is_unused(const Price *price, Numeric quantity, int64 events);

/* Such an amount / days_in_period, rounded */
extern Money price_round(Numeric amount, int days_in_period, uint16 currency);

/* From "0.05 each free 50", as the type reads it; palloc'd. */
extern Price *price_from_cstring(const char *text);

/* The same, written; palloc'd. */
extern char *price_to_cstring(const Price *price);

/* From the stored form. */
extern void price_unpack(const Price *price, PriceTerms *terms);
extern bool price_has(const Price *price, PriceSlot slot);

/* Whether the price is an amount alone, as most are: of the period or, by_unit, of each unit. */
extern bool price_is_plain(const Price *price, Decimal *amount, bool *by_unit);

#endif
