/*
 * price_parts.h
 *		The parts of what a quantity costs by a price: rating adds them up, and
 *		explaining shows them (P).
 */
#ifndef KBILLING_PRICE_PARTS_H
#define KBILLING_PRICE_PARTS_H

#include "postgres.h"
#include "utils/numeric.h"

#include "price_terms.h"

/* A part for each tier, and the free units, the fee per event, a bound. */
#define MAX_PARTS		(PRICE_MAX_TIERS + 3)

typedef enum PartKind
{
	PART_FLAT,
	PART_FREE,
	PART_TIER,					/* the one tier of prices without them, too */
	PART_EVENTS,
	PART_MINIMUM,
	PART_MAXIMUM,
	PART_ROUNDING
} PartKind;

/* A step that a customer can follow; what does not apply is NULL. */
typedef struct PricePart
{
	PartKind	kind;
	int			tier;			/* from 0 */
	Numeric		from;			/* units before it */
	Numeric		to;				/* where it ends; NULL where it does not */
	Numeric		units;			/* what is multiplied: units, packages, events */
	Numeric		unit_price;
	Numeric		fee;
	Numeric		amount;			/* units x unit_price + fee */
} PricePart;

typedef struct PriceParts
{
	Numeric		sum;			/* of the amounts */
	int			count;
	PricePart	parts[MAX_PARTS];
} PriceParts;

/* The parts of a quantity, which is finite, but for the bounds of the price. */
extern void price_walk_quantity(PriceParts *parts, const PriceTerms *terms, Numeric quantity, int64 events);

/* The same, with the bounds of a full period. */
extern void price_walk(PriceParts *parts, const PriceTerms *terms, Numeric quantity, int64 events);

#endif
