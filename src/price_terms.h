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
	PRICE_PERCENT = 6			/* 2.5% + 0.30 */
} PriceKind;

/* Numbers that a price may have besides its tiers; the values are on disk. */
typedef enum PriceSlot
{
	SLOT_PER,					/* units in a package */
	SLOT_EVENT,					/* fee per event */
	SLOT_FREE,
	SLOT_MIN,
	SLOT_MAX
} PriceSlot;

#define SLOT_COUNT		(SLOT_MAX + 1)

typedef struct PriceTier
{
	Decimal		unit;			/* price of a unit; a percentage in percent */
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

/* price_text.c: false after a soft error; what is written is palloc'd */
extern bool terms_parse(PriceTerms *terms, const char *text, Node *escontext);
extern char *terms_to_cstring(const PriceTerms *terms);
extern char *decimal_to_cstring(Decimal d);

#endif
