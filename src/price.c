/*
 * price.c
 *		kb_price, the type: its stored, text and wire forms, and equality.
 *
 * A price is stored in as few bytes as possible:
 *
 *		byte	the kind, and above its three bits the mask of slots
 *		byte	how many tiers, of kinds that have them
 *		tiers	unit price; of such kinds then a byte, what is measured and
 *				whether there is a fee; the package's size; the fee; the edge but
 *				for the last: each only where there is one
 *		slots	their numbers, in the order of PriceSlot
 *
 * A number is a byte, the scale in its high half and the length of the mantissa
 * in its low, then the mantissa without its leading zero bytes, high one first.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "card.h"
#include "compat.h"
#include "price.h"
#include "wire.h"

#define PRICE_WIRE_VERSION	1

#define KIND_BITS			3
#define KIND_MASK			((1 << KIND_BITS) - 1)
#define MEASURE_MASK		0x03
#define HAS_FEE				0x04
#define NUMBER_MAX_BYTES	(1 + (int) sizeof(int64))
#define PACKED_MAX_BYTES	(2 + PRICE_MAX_TIERS + (4 * PRICE_MAX_TIERS + SLOT_COUNT) * NUMBER_MAX_BYTES)

StaticAssertDecl(PRICE_PER_FULL <= KIND_MASK && KIND_BITS + SLOT_COUNT <= 8,
				 "kind and slots must fit into a byte");
StaticAssertDecl(PRICE_MAX_TIERS <= PG_UINT8_MAX, "the count of tiers must fit into a byte");

/* The stored form under construction. */
typedef struct Packer
{
	bool		by_value;		/* without last zeros, for comparison */
	int			len;
	uint8		bytes[PACKED_MAX_BYTES];
} Packer;

/* The stored form being read. */
typedef struct Unpacker
{
	const uint8 *at;
	const uint8 *end;
} Unpacker;

/*
 * Write a byte
 */
static inline void
pack_byte(Packer *packer, uint8 byte)
{
	Assert(packer->len < PACKED_MAX_BYTES);
	packer->bytes[packer->len++] = byte;
}

/*
 * Write a number
 */
static void
pack_number(Packer *packer, Decimal d)
{
	int			len = 0;

	Assert(d.mantissa >= 0 && d.scale <= DECIMAL_MAX_SCALE);
	if (packer->by_value)
		d = decimal_normal(d);
	while (len < (int) sizeof(int64) && d.mantissa >> (8 * len) != 0)
		len++;
	pack_byte(packer, d.scale << 4 | len);
	while (len-- > 0)
		pack_byte(packer, (uint8) (d.mantissa >> (8 * len)));
}

/*
 * Write a tier; the last has no edge
 */
static void
pack_tier(Packer *packer, const PriceTerms *terms, const PriceTier *tier, bool last)
{
	pack_number(packer, tier->unit);
	if (kind_has_tiers(terms->kind))
		pack_byte(packer, tier->measure | (tier->has_fee ? HAS_FEE : 0));
	if (tier_has_packages(tier))
		pack_number(packer, tier->per);
	if (tier->has_fee)
		pack_number(packer, tier->fee);
	if (!last)
		pack_number(packer, tier->to);
}

/*
 * Make the stored form; with by_value, equal prices have the same bytes
 */
static void
pack(Packer *packer, const PriceTerms *terms, bool by_value)
{
	Assert(terms->ntiers >= 1 && terms->ntiers <= PRICE_MAX_TIERS);
	packer->by_value = by_value;
	packer->len = 0;
	pack_byte(packer, terms->slots << KIND_BITS | terms->kind);
	if (kind_has_tiers(terms->kind))
		pack_byte(packer, terms->ntiers);
	for (int i = 0; i < terms->ntiers; i++)
		pack_tier(packer, terms, &terms->tiers[i], i == terms->ntiers - 1);
	for (int slot = 0; slot < SLOT_COUNT; slot++)
		if (terms_have(terms, slot))
			pack_number(packer, terms->numbers[slot]);
}

/*
 * Read a byte
 */
static inline uint8
unpack_byte(Unpacker *unpacker)
{
	Assert(unpacker->at < unpacker->end);
	return *unpacker->at++;
}

/*
 * Read a number
 */
static Decimal
unpack_number(Unpacker *unpacker)
{
	uint8		head = unpack_byte(unpacker);
	Decimal		d = {.scale = head >> 4};

	Assert(d.scale <= DECIMAL_MAX_SCALE && (head & 0x0F) <= (int) sizeof(int64));
	for (int len = head & 0x0F; len > 0; len--)
		d.mantissa = d.mantissa << 8 | unpack_byte(unpacker);
	Assert(d.mantissa >= 0);
	return d;
}

/*
 * Read a tier; the last has no edge
 */
static void
unpack_tier(Unpacker *unpacker, const PriceTerms *terms, PriceTier *tier, bool last)
{
	uint8		flags;

	tier->unit = unpack_number(unpacker);
	flags = kind_has_tiers(terms->kind) ? unpack_byte(unpacker) : kind_measure(terms->kind);
	tier->measure = flags & MEASURE_MASK;
	tier->has_fee = (flags & HAS_FEE) != 0;
	if (tier_has_packages(tier))
		tier->per = unpack_number(unpacker);
	if (tier->has_fee)
		tier->fee = unpack_number(unpacker);
	if (!last)
		tier->to = unpack_number(unpacker);
}

/*
 * Start at the first byte
 */
static inline Unpacker
unpack_begin(const Price *price)
{
	const uint8 *bytes = (const uint8 *) VARDATA_ANY(price);

	return (Unpacker) {.at = bytes, .end = bytes + VARSIZE_ANY_EXHDR(price)};
}

void
price_unpack(const Price *price, PriceTerms *terms)
{
	Unpacker	unpacker = unpack_begin(price);
	uint8		head = unpack_byte(&unpacker);

	terms->kind = head & KIND_MASK;
	terms->slots = head >> KIND_BITS;
	Assert(terms->kind >= PRICE_FLAT && terms->kind <= PRICE_PER_FULL);
	terms->ntiers = kind_has_tiers(terms->kind) ? unpack_byte(&unpacker) : 1;
	Assert(terms->ntiers >= 1 && terms->ntiers <= PRICE_MAX_TIERS);
	for (int i = 0; i < terms->ntiers; i++)
		unpack_tier(&unpacker, terms, &terms->tiers[i], i == terms->ntiers - 1);
	for (int slot = 0; slot < SLOT_COUNT; slot++)
		if (terms_have(terms, slot))
			terms->numbers[slot] = unpack_number(&unpacker);
	Assert(unpacker.at == unpacker.end);
}

bool
price_has(const Price *price, PriceSlot slot)
{
	return (*(const uint8 *) VARDATA_ANY(price) >> KIND_BITS & 1 << slot) != 0;
}

bool
price_is_plain(const Price *price, Decimal *amount, bool *by_unit)
{
	Unpacker	unpacker = unpack_begin(price);
	uint8		head = unpack_byte(&unpacker);

	if (head != PRICE_FLAT && head != PRICE_EACH)	/* without slots */
		return false;
	*by_unit = head == PRICE_EACH;
	*amount = unpack_number(&unpacker);
	Assert(unpacker.at == unpacker.end);
	return true;
}

/*
 * Read text; NULL after a soft error
 */
static Price *
price_parse(const char *text, Node *escontext)
{
	PriceTerms	terms;
	Packer		packer;
	Price	   *price;

	if (!terms_parse(&terms, text, escontext))
		return NULL;
	pack(&packer, &terms, false);
	price = palloc(VARHDRSZ + packer.len);
	SET_VARSIZE(price, VARHDRSZ + packer.len);
	memcpy(VARDATA(price), packer.bytes, packer.len);
	return price;
}

Price *
price_from_cstring(const char *text)
{
	return price_parse(text, NULL);
}

char *
price_to_cstring(const Price *price)
{
	PriceTerms	terms;

	price_unpack(price, &terms);
	return terms_to_cstring(&terms);
}

/*
 * Convert text to a price
 */
PG_FUNCTION_INFO_V1(kb_price_in);
Datum
kb_price_in(PG_FUNCTION_ARGS)
{
	char	   *input = PG_GETARG_CSTRING(0);
	ErrorContextCallback *context = card_hide_context(input);
	Price	   *price = price_parse(input, KB_ESCONTEXT(fcinfo));

	error_context_stack = context;
	if (price == NULL)
		PG_RETURN_NULL();
	PG_RETURN_PRICE(price);
}

/*
 * Convert a price to text
 */
PG_FUNCTION_INFO_V1(kb_price_out);
Datum
kb_price_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(price_to_cstring(PG_GETARG_PRICE(0)));
}

/*
 * Convert the wire form to a price
 */
PG_FUNCTION_INFO_V1(kb_price_recv);
Datum
kb_price_recv(PG_FUNCTION_ARGS)
{
	PG_RETURN_PRICE(price_parse(wire_receive(fcinfo, PRICE_WIRE_VERSION, "kb_price"), NULL));
}

/*
 * Convert a price to the wire form
 */
PG_FUNCTION_INFO_V1(kb_price_send);
Datum
kb_price_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(wire_send(PRICE_WIRE_VERSION, price_to_cstring(PG_GETARG_PRICE(0))));
}

/*
 * What equality and hash look at: the terms, without how they were written
 */
static void
price_key(Packer *key, const Price *price)
{
	PriceTerms	terms;

	price_unpack(price, &terms);
	pack(key, &terms, true);
}

/*
 * Whether two prices say the same
 */
static bool
price_equal(const Price *a, const Price *b)
{
	Packer		x;
	Packer		y;

	price_key(&x, a);
	price_key(&y, b);
	return x.len == y.len && memcmp(x.bytes, y.bytes, x.len) == 0;
}

/*
 * Compare the values of two prices
 */
PG_FUNCTION_INFO_V1(kb_price_eq);
Datum
kb_price_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(price_equal(PG_GETARG_PRICE(0), PG_GETARG_PRICE(1)));
}

/*
 * The same, the other way round
 */
PG_FUNCTION_INFO_V1(kb_price_ne);
Datum
kb_price_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!price_equal(PG_GETARG_PRICE(0), PG_GETARG_PRICE(1)));
}

/*
 * Hash a price
 */
PG_FUNCTION_INFO_V1(kb_price_hash);
Datum
kb_price_hash(PG_FUNCTION_ARGS)
{
	Packer		key;

	price_key(&key, PG_GETARG_PRICE(0));
	return hash_any(key.bytes, key.len);
}

/*
 * Hash a price with a seed
 */
PG_FUNCTION_INFO_V1(kb_price_hash_extended);
Datum
kb_price_hash_extended(PG_FUNCTION_ARGS)
{
	Packer		key;

	price_key(&key, PG_GETARG_PRICE(0));
	return hash_any_extended(key.bytes, key.len, PG_GETARG_INT64(1));
}
