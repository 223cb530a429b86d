/*
 * price_terms.h
 *		A price unpacked: what its text, its stored form and its rating share.
 */
#ifndef KBILLING_PRICE_TERMS_H
#define KBILLING_PRICE_TERMS_H

#include "postgres.h"

#include "decimal.h"
#include "nodes/nodes.h"

#define PRICE_MAX_TIERS		32

/* The values are on disk. */
typedef enum PriceKind
{
	PRICE_FLAT = 1,				/* 19.00 */
	PRICE_EACH = 2,				/* 0.05 each */
	PRICE_PER = 3,				/* 5.00 per 100 */
	PRICE_GRADUATED = 4,		/* graduated 0.10 to 100, 0.08 */
	PRICE_VOLUME = 5,			/* volume 0.10 to 100, 0.08 */
	PRICE_PERCENT = 6,			/* 2.5% + 0.30 */
	PRICE_PER_FULL = 7			/* 5.00 per full 100 */
} PriceKind;

/* What the price of a tier is multiplied by; the values are on disk. */
typedef enum TierMeasure
{
	MEASURE_UNITS = 0,			/* 0.05 */
	MEASURE_PACKAGES = 1,		/* 5.00 per 100: those that are begun */
	MEASURE_FULL_PACKAGES = 2,	/* 5.00 per full 100 */
	MEASURE_PERCENT = 3			/* 2.5%: a hundredth of a quantity that is money */
} TierMeasure;

/* Numbers that a price may have besides its tiers; the values are on disk. */
typedef enum PriceSlot
{
	SLOT_EVENT,					/* fee per event */
	SLOT_FREE,
	SLOT_MIN,
	SLOT_MAX
} PriceSlot;

#define SLOT_COUNT		(SLOT_MAX + 1)

typedef struct PriceTier
{
	TierMeasure measure;
	Decimal		unit;			/* price of a unit or package; a percentage in percent */
	Decimal		per;			/* units in a package, if it is by packages */
	Decimal		fee;			/* flat fee, if has_fee */
	Decimal		to;				/* the edge; the last tier has none */
	bool		has_fee;
} PriceTier;

/* Prices without tiers have one; only slots in the mask are set. */
typedef struct PriceTerms
{
	PriceKind	kind;
	uint8		slots;			/* mask of 1 << PriceSlot */
	int			ntiers;
	Decimal		numbers[SLOT_COUNT];
	PriceTier	tiers[PRICE_MAX_TIERS];
} PriceTerms;

/* Whether the terms have a number in this slot */
static inline bool
terms_have(const PriceTerms *terms, PriceSlot slot)
{
	return (terms->slots & (1 << slot)) != 0;
}

/* Whether it is written with tiers, of which each may have a fee */
static inline bool
kind_has_tiers(PriceKind kind)
{
	return kind == PRICE_GRADUATED || kind == PRICE_VOLUME;
}

/* How a price of a kind without tiers is measured; what has tiers says so in each */
static inline TierMeasure
kind_measure(PriceKind kind)
{
	switch (kind)
	{
		case PRICE_PER:
			return MEASURE_PACKAGES;
		case PRICE_PER_FULL:
			return MEASURE_FULL_PACKAGES;
		case PRICE_PERCENT:
			return MEASURE_PERCENT;
		default:
			return MEASURE_UNITS;
	}
}

/* Whether the tier counts packages, begun or full */
static inline bool
tier_has_packages(const PriceTier *tier)
{
	return tier->measure == MEASURE_PACKAGES || tier->measure == MEASURE_FULL_PACKAGES;
}

/* Whether the price is a percentage; of tiers, all are or none is */
static inline bool
terms_are_percent(const PriceTerms *terms)
{
	return terms->tiers[0].measure == MEASURE_PERCENT;
}

/* price_text.c: false after a soft error; what is written is palloc'd */
extern bool terms_parse(PriceTerms *terms, const char *text, Node *escontext);
extern char *terms_to_cstring(const PriceTerms *terms);
extern char *decimal_to_cstring(Decimal d);

#endif
