/*
 * price.c
 *		kb_price: its text and binary forms, equality, and rating.
 *
 * The text form, in any case, with any spacing between the words:
 *
 *		price	:= number [ form ]
 *		form	:= ( "each" | "per" number ) option*
 *		option	:= ( "free" | "min" | "max" ) number
 *
 * Each option comes at most once, in any order; it is written in this one.
 */
#include "postgres.h"

#include <ctype.h>

#include "common/hashfn.h"
#include "common/int.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "parser/scansup.h"
#include "utils/builtins.h"

#include "compat.h"
#include "currency.h"
#include "price.h"

#define NUMBER_MAX_SCALE	12
#define PRICE_WIRE_VERSION	1

/* A decimal as it was written: 19.00 is 1900 and 2. */
typedef struct PriceNumber
{
	int64		mantissa;		/* never negative */
	uint8		scale;			/* 0 .. NUMBER_MAX_SCALE */
} PriceNumber;

#define NUMBER_SIZE		(sizeof(uint8) + sizeof(int64))

/* What the numbers mean; the values are on disk. */
typedef enum PriceSlot
{
	SLOT_UNIT,
	SLOT_PER,
	SLOT_FREE,
	SLOT_MIN,
	SLOT_MAX
} PriceSlot;

#define SLOT_COUNT		(SLOT_MAX + 1)

/* A price unpacked; slots that are not in the mask are zero. */
typedef struct PriceTerms
{
	PriceKind	kind;
	uint8		slots;
	PriceNumber numbers[SLOT_COUNT];
} PriceTerms;

typedef struct PriceParser
{
	const char *text;			/* the whole input */
	const char *at;				/* the next character */
	Node	   *escontext;		/* where soft errors go, or NULL */
	PriceTerms	terms;			/* what was read so far */
} PriceParser;

static const char *const slot_words[SLOT_COUNT] = {
	[SLOT_FREE] = "free",
	[SLOT_MIN] = "min",
	[SLOT_MAX] = "max"
};

static const int64 powers_of_ten[NUMBER_MAX_SCALE + 1] = {
	INT64CONST(1), INT64CONST(10), INT64CONST(100), INT64CONST(1000),
	INT64CONST(10000), INT64CONST(100000), INT64CONST(1000000),
	INT64CONST(10000000), INT64CONST(100000000), INT64CONST(1000000000),
	INT64CONST(10000000000), INT64CONST(100000000000),
	INT64CONST(1000000000000)
};

/*
 * Whether the terms have a number in this slot
 */
static inline bool
terms_have(const PriceTerms *terms, PriceSlot slot)
{
	return (terms->slots & (1 << slot)) != 0;
}

/*
 * Value of a number in units of its smallest decimal, for comparison
 */
static inline int128
number_value(PriceNumber number)
{
	return (int128) number.mantissa * powers_of_ten[NUMBER_MAX_SCALE - number.scale];
}

static inline Numeric
number_to_numeric(PriceNumber number)
{
	return int64_div_fast_to_numeric(number.mantissa, number.scale);
}

/*
 * Write a number with the decimals it was given
 */
static void
append_number(StringInfo buf, PriceNumber number)
{
	int64		unit = powers_of_ten[number.scale];

	appendStringInfo(buf, "%lld", (long long) (number.mantissa / unit));
	if (number.scale > 0)
		appendStringInfo(buf, ".%0*lld", number.scale, (long long) (number.mantissa % unit));
}

/*
 * Pack terms into the stored form
 */
static Price *
price_pack(const PriceTerms *terms)
{
	Price	   *price = palloc0(offsetof(Price, numbers) + SLOT_COUNT * NUMBER_SIZE);
	char	   *at = price->numbers;

	price->kind = terms->kind;
	price->slots = terms->slots;
	for (int slot = 0; slot < SLOT_COUNT; slot++)
	{
		if (!terms_have(terms, slot))
			continue;
		*at = terms->numbers[slot].scale;
		memcpy(at + 1, &terms->numbers[slot].mantissa, sizeof(int64));
		at += NUMBER_SIZE;
	}
	SET_VARSIZE(price, at - (char *) price);
	return price;
}

/*
 * Unpack the stored form
 */
static PriceTerms
price_unpack(const Price *price)
{
	PriceTerms	terms = {.kind = price->kind, .slots = price->slots};
	const char *at = price->numbers;

	for (int slot = 0; slot < SLOT_COUNT; slot++)
	{
		if (!terms_have(&terms, slot))
			continue;
		terms.numbers[slot].scale = *at;
		memcpy(&terms.numbers[slot].mantissa, at + 1, sizeof(int64));
		at += NUMBER_SIZE;
	}
	return terms;
}

/*
 * Position of the next character, counted from 1
 */
static int
parser_position(const PriceParser *parser)
{
	return pg_mbstrlen_with_len(parser->text, parser->at - parser->text) + 1;
}

/*
 * The next word as an error shows it
 */
static char *
parser_found(const PriceParser *parser)
{
	int			len = 0;

	if (*parser->at == '\0')
		return "the end";
	while (parser->at[len] != '\0' && !scanner_isspace(parser->at[len]))
		len++;
	len = pg_mbcharcliplen(parser->at, len, 20);
	return psprintf("\"%.*s\"", len, parser->at);
}

/*
 * Say what should stand here
 */
static bool
parser_fail(const PriceParser *parser, const char *expected)
{
	ereturn(parser->escontext, false,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", "kb_price", parser->text),
			 errdetail("At position %d: expected %s, found %s.",
					   parser_position(parser), expected, parser_found(parser)),
			 errhint("Write \"19.00\", \"0.05 each\" or \"5.00 per 100\"; "
					 "\"free 50\", \"min 5.00\" and \"max 100.00\" may follow the last two.")));
}

/*
 * Say that a number is too large
 */
static bool
parser_fail_range(const PriceParser *parser)
{
	ereturn(parser->escontext, false,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("value \"%s\" is out of range for type %s", parser->text, "kb_price"),
			 errdetail("At position %d: without its point, the number is above %lld.",
					   parser_position(parser), (long long) PG_INT64_MAX),
			 errhint("Write it with at most 18 digits, decimals included.")));
}

static void
skip_space(PriceParser *parser)
{
	while (scanner_isspace(*parser->at))
		parser->at++;
}

/*
 * Step over a word if it is next
 */
static bool
accept_word(PriceParser *parser, const char *word)
{
	size_t		len = strlen(word);

	if (pg_strncasecmp(parser->at, word, len) != 0 ||
		isalnum((unsigned char) parser->at[len]))
		return false;
	parser->at += len;
	skip_space(parser);
	return true;
}

/*
 * Read digits into the number's mantissa; false if it overflows
 */
static bool
read_digits(const char **at, PriceNumber *number)
{
	for (; isdigit((unsigned char) **at); (*at)++)
	{
		if (pg_mul_s64_overflow(number->mantissa, 10, &number->mantissa) ||
			pg_add_s64_overflow(number->mantissa, **at - '0', &number->mantissa))
			return false;
	}
	return true;
}

/*
 * Read the number for a slot
 *
 * On failure parser->at is the character to blame; for a number that is as a
 * whole too long that is its first.
 */
static bool
parse_number(PriceParser *parser, PriceSlot slot)
{
	PriceNumber *number = &parser->terms.numbers[slot];
	const char *end = parser->at;

	if (!isdigit((unsigned char) *end))
		return parser_fail(parser, "a number");
	if (!read_digits(&end, number))
		return parser_fail_range(parser);
	if (*end == '.')
	{
		const char *decimals = ++end;
		size_t		scale = strspn(decimals, "0123456789");

		if (scale == 0)
		{
			parser->at = decimals;
			return parser_fail(parser, "a digit");
		}
		if (scale > NUMBER_MAX_SCALE)
			return parser_fail(parser, "a number with at most 12 decimals");
		if (!read_digits(&end, number))
			return parser_fail_range(parser);
		number->scale = scale;
	}
	parser->at = end;
	if (*end != '\0' && !scanner_isspace(*end))
		return parser_fail(parser, "a space or the end");
	parser->terms.slots |= 1 << slot;
	skip_space(parser);
	return true;
}

/*
 * Read the package size after "per"
 */
static bool
parse_per(PriceParser *parser)
{
	const char *start = parser->at;

	if (!parse_number(parser, SLOT_PER))
		return false;
	if (parser->terms.numbers[SLOT_PER].mantissa == 0)
	{
		parser->at = start;
		return parser_fail(parser, "a number above zero");
	}
	return true;
}

/*
 * Say which options may still come
 */
static bool
fail_option(const PriceParser *parser)
{
	StringInfoData expected;

	initStringInfo(&expected);
	for (int slot = SLOT_FREE; slot <= SLOT_MAX; slot++)
	{
		if (!terms_have(&parser->terms, slot))
			appendStringInfo(&expected, "%s\"%s\"", expected.len > 0 ? ", " : "", slot_words[slot]);
	}
	appendStringInfo(&expected, "%sthe end", expected.len > 0 ? " or " : "");
	return parser_fail(parser, expected.data);
}

/*
 * Read one of free, min and max
 */
static bool
parse_option(PriceParser *parser)
{
	PriceTerms *terms = &parser->terms;

	for (int slot = SLOT_FREE; slot <= SLOT_MAX; slot++)
	{
		const char *start;

		if (terms_have(terms, slot) || !accept_word(parser, slot_words[slot]))
			continue;
		start = parser->at;
		if (!parse_number(parser, slot))
			return false;
		if (terms_have(terms, SLOT_MIN) && terms_have(terms, SLOT_MAX) &&
			number_value(terms->numbers[SLOT_MIN]) > number_value(terms->numbers[SLOT_MAX]))
		{
			parser->at = start;
			return parser_fail(parser, "a min that is not above the max");
		}
		return true;
	}
	return fail_option(parser);
}

/*
 * Read what follows the unit price
 */
static bool
parse_form(PriceParser *parser)
{
	PriceTerms *terms = &parser->terms;

	if (*parser->at == '\0')
	{
		terms->kind = PRICE_FLAT;
		return true;
	}
	if (accept_word(parser, "each"))
		terms->kind = PRICE_EACH;
	else if (accept_word(parser, "per"))
	{
		terms->kind = PRICE_PER;
		if (!parse_per(parser))
			return false;
	}
	else
		return parser_fail(parser, "\"each\", \"per\" or the end");

	while (*parser->at != '\0')
	{
		if (!parse_option(parser))
			return false;
	}
	return true;
}

/*
 * Read a price; NULL after a soft error
 */
static Price *
price_parse(const char *text, Node *escontext)
{
	PriceParser parser = {.text = text, .at = text, .escontext = escontext};

	skip_space(&parser);
	if (!parse_number(&parser, SLOT_UNIT) || !parse_form(&parser))
		return NULL;
	return price_pack(&parser.terms);
}

/*
 * Write the unit price with its package
 */
static void
append_unit(StringInfo buf, const PriceTerms *terms)
{
	append_number(buf, terms->numbers[SLOT_UNIT]);
	if (terms->kind == PRICE_PER)
	{
		appendStringInfoString(buf, " per ");
		append_number(buf, terms->numbers[SLOT_PER]);
	}
}

char *
price_to_cstring(const Price *price)
{
	PriceTerms	terms = price_unpack(price);
	StringInfoData buf;

	initStringInfo(&buf);
	append_unit(&buf, &terms);
	if (terms.kind == PRICE_EACH)
		appendStringInfoString(&buf, " each");
	for (int slot = SLOT_FREE; slot <= SLOT_MAX; slot++)
	{
		if (!terms_have(&terms, slot))
			continue;
		appendStringInfo(&buf, " %s ", slot_words[slot]);
		append_number(&buf, terms.numbers[slot]);
	}
	return buf.data;
}

/*
 * Call one of the server's functions over two numerics
 */
static inline Numeric
numeric_call(PGFunction function, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), NumericGetDatum(b)));
}

/*
 * Refuse a quantity that cannot be billed
 */
static void
check_quantity(Numeric quantity, int64 events)
{
	if (numeric_is_nan(quantity) || numeric_is_inf(quantity))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("quantity is not finite"),
				 errhint("Give a quantity that is a finite number.")));
	if (events < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("count of events is below zero"),
				 errdetail("It is %lld.", (long long) events),
				 errhint("Give how many events the quantity is made of.")));
}

/*
 * How many packages are started
 *
 * Whole packages first, then the rest: the quotient of two numerics may be
 * rounded, the whole part of it never is.
 */
static Numeric
started_packages(Numeric quantity, Numeric size)
{
	Numeric		whole = numeric_call(numeric_div_trunc, quantity, size);
	Numeric		packed = numeric_call(numeric_mul, whole, size);

	if (DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(packed), NumericGetDatum(quantity))))
		whole = numeric_call(numeric_add, whole, int64_to_numeric(1));
	return whole;
}

/*
 * Units to pay for: what is left after the free ones, or its packages
 */
static Numeric
billable_units(const PriceTerms *terms, Numeric quantity)
{
	Numeric		units = quantity;

	if (terms_have(terms, SLOT_FREE))
		units = numeric_call(numeric_sub, units, number_to_numeric(terms->numbers[SLOT_FREE]));
	units = numeric_call(numeric_larger, units, int64_to_numeric(0));
	if (terms->kind == PRICE_PER)
		units = started_packages(units, number_to_numeric(terms->numbers[SLOT_PER]));
	return units;
}

Numeric
price_rate_numeric(const Price *price, Numeric quantity, int64 events)
{
	PriceTerms	terms = price_unpack(price);
	Numeric		amount = number_to_numeric(terms.numbers[SLOT_UNIT]);

	check_quantity(quantity, events);
	if (terms.kind == PRICE_FLAT)
		return amount;

	amount = numeric_call(numeric_mul, amount, billable_units(&terms, quantity));
	if (terms_have(&terms, SLOT_MIN))
		amount = numeric_call(numeric_larger, amount, number_to_numeric(terms.numbers[SLOT_MIN]));
	if (terms_have(&terms, SLOT_MAX))
		amount = numeric_call(numeric_smaller, amount, number_to_numeric(terms.numbers[SLOT_MAX]));
	return amount;
}

/*
 * Flat price x days / period, rounded; no numerics, for most lines are this
 */
static Money
round_flat(PriceNumber price, uint16 currency, int days, int period)
{
	int128		minor = (int128) price.mantissa * powers_of_ten[currency_exponent(currency)] * days;
	int128		unit = (int128) powers_of_ten[price.scale] * period;

	minor = (2 * minor + unit) / (2 * unit);
	return money_make(currency, (int64) Min(minor, PG_INT64_MAX));
}

/*
 * Amount x days / period, rounded
 *
 * Half a minor unit is added before the one division, whose whole part is
 * exact: a quotient rounded by the server could turn just under a half into a
 * half, and be rounded again.
 */
static Money
round_days(Numeric amount, uint16 currency, int days, int period)
{
	int			exponent = currency_exponent(currency);
	Numeric		minor = numeric_call(numeric_mul, amount,
									 int64_to_numeric(2 * powers_of_ten[exponent] * days));

	minor = numeric_call(numeric_add, minor, int64_to_numeric(period));
	minor = numeric_call(numeric_div_trunc, minor, int64_to_numeric(2 * (int64) period));
	return money_round_numeric(numeric_call(numeric_mul, minor, int64_div_fast_to_numeric(1, exponent)),
							   currency);
}

Money
price_rate(const Price *price, Numeric quantity, int64 events, uint16 currency)
{
	if (price->kind == PRICE_FLAT)
	{
		check_quantity(quantity, events);
		return round_flat(price_unpack(price).numbers[SLOT_UNIT], currency, 1, 1);
	}
	return money_round_numeric(price_rate_numeric(price, quantity, events), currency);
}

Money
price_rate_days(const Price *price, Numeric quantity, uint16 currency,
				int days, int days_in_period)
{
	if (days < 0 || days_in_period < 1 || days > days_in_period)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("days are not a part of the period"),
				 errdetail("They are %d of %d.", days, days_in_period),
				 errhint("Give from 0 to all days of a period of at least one day (C3).")));
	if (price->kind == PRICE_FLAT)
	{
		check_quantity(quantity, 1);
		return round_flat(price_unpack(price).numbers[SLOT_UNIT], currency, days, days_in_period);
	}
	return round_days(price_rate_numeric(price, quantity, 1), currency, days, days_in_period);
}

/*
 * Convert text to a price
 */
PG_FUNCTION_INFO_V1(kb_price_in);
Datum
kb_price_in(PG_FUNCTION_ARGS)
{
	Price	   *price = price_parse(PG_GETARG_CSTRING(0), KB_ESCONTEXT(fcinfo));

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
 *
 * The wire form is a version and the text, so that what the parser refuses is
 * refused here too.
 */
PG_FUNCTION_INFO_V1(kb_price_recv);
Datum
kb_price_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			version = pq_getmsgbyte(buf);
	int			len;
	char	   *text;

	if (version != PRICE_WIRE_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("unsupported version %d of the binary form of type %s", version, "kb_price"),
				 errhint("Send version %d, or text.", PRICE_WIRE_VERSION)));
	text = pq_getmsgtext(buf, buf->len - buf->cursor, &len);
	PG_RETURN_PRICE(price_parse(text, NULL));
}

/*
 * Convert a price to the wire form
 */
PG_FUNCTION_INFO_V1(kb_price_send);
Datum
kb_price_send(PG_FUNCTION_ARGS)
{
	char	   *text = price_to_cstring(PG_GETARG_PRICE(0));
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendbyte(&buf, PRICE_WIRE_VERSION);
	pq_sendtext(&buf, text, strlen(text));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/*
 * What equality and hash look at: the terms, without how they were written
 */
typedef struct PriceKey
{
	int128		values[SLOT_COUNT];
	uint64		kind;
	uint64		slots;
} PriceKey;

static PriceKey
price_key(const Price *price)
{
	PriceTerms	terms = price_unpack(price);
	PriceKey	key = {.kind = terms.kind, .slots = terms.slots};

	for (int slot = 0; slot < SLOT_COUNT; slot++)
		key.values[slot] = number_value(terms.numbers[slot]);
	return key;
}

static bool
price_equal(const Price *a, const Price *b)
{
	PriceKey	x = price_key(a);
	PriceKey	y = price_key(b);

	return memcmp(&x, &y, sizeof(PriceKey)) == 0;
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
	PriceKey	key = price_key(PG_GETARG_PRICE(0));

	return hash_any((unsigned char *) &key, sizeof(key));
}

PG_FUNCTION_INFO_V1(kb_price_hash_extended);
Datum
kb_price_hash_extended(PG_FUNCTION_ARGS)
{
	PriceKey	key = price_key(PG_GETARG_PRICE(0));

	return hash_any_extended((unsigned char *) &key, sizeof(key), PG_GETARG_INT64(1));
}

/*
 * Rate a quantity for a full period
 */
PG_FUNCTION_INFO_V1(kb_rate);
Datum
kb_rate(PG_FUNCTION_ARGS)
{
	PG_RETURN_MONEY(price_rate(PG_GETARG_PRICE(0), PG_GETARG_NUMERIC(1), PG_GETARG_INT64(3),
							   currency_from_text(PG_GETARG_TEXT_PP(2))));
}

/*
 * Rate a quantity for some days of a period
 */
PG_FUNCTION_INFO_V1(kb_rate_days);
Datum
kb_rate_days(PG_FUNCTION_ARGS)
{
	PG_RETURN_MONEY(price_rate_days(PG_GETARG_PRICE(0), PG_GETARG_NUMERIC(1),
									currency_from_text(PG_GETARG_TEXT_PP(2)),
									PG_GETARG_INT32(3), PG_GETARG_INT32(4)));
}
