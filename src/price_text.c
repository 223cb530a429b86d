/*
 * price_text.c
 *		kb_price as text: the parser and the writer.
 *
 * In any case, with any spacing between the words and around , + and %:
 *
 *		price	:= number [ form ] | ( "graduated" | "volume" ) tiers option*
 *		form	:= ( "each" | package | "%" [ "+" number ] ) option*
 *		package	:= "per" [ "full" ] number
 *		tiers	:= ( tier "to" number "," )* tier
 *		tier	:= number [ package | "%" ] [ "+" number ]
 *		option	:= ( "fee" | "free" | "min" | "max" ) number
 *
 * Edges, after "to", are above zero and rise.  Tiers are percentages all, or
 * none; only such tiers take "fee", for each event.  Each option comes at most
 * once, in any order; it is written in this one.
 */
#include "postgres.h"

#include "common/int.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "parser/scansup.h"

#include "ascii.h"
#include "card.h"
#include "compat.h"
#include "price_terms.h"

/* After the unit price of the first tier: per % + to free min max the end */
#define MAX_EXPECTED	8

/* How much of the text an error shows, in characters */
#define MAX_FOUND		20

typedef struct Expected
{
	const char *what;
	bool		literal;		/* to be written as it is */
} Expected;

typedef struct PriceParser
{
	const char *text;			/* the whole input */
	const char *at;				/* the next character */
	Node	   *escontext;		/* where soft errors go, or NULL */
	PriceTerms *terms;			/* what was read so far */
	int			nexpected;		/* what was looked for at this character */
	Expected	expected[MAX_EXPECTED];
} PriceParser;

static const char *const slot_words[SLOT_COUNT] = {
	[SLOT_EVENT] = "fee",
	[SLOT_FREE] = "free",
	[SLOT_MIN] = "min",
	[SLOT_MAX] = "max"
};

/*
 * Whether the character, which may be outside ASCII, continues a word
 */
static inline bool
continues_word(char c)
{
	return is_letter(c) || is_digit(c) || IS_HIGHBIT_SET(c);
}

/*
 * Go on to a character, or past the spaces there
 */
static void
advance(PriceParser *parser, const char *to)
{
	while (scanner_isspace(*to))
		to++;
	parser->at = to;
	parser->nexpected = 0;
}

/*
 * Remember what was looked for here, for an error to tell
 */
static void
expect(PriceParser *parser, const char *what, bool literal)
{
	Assert(parser->nexpected < MAX_EXPECTED);
	parser->expected[parser->nexpected++] = (Expected) {what, literal};
}

/*
 * What could stand here: "+", "to" or the end
 */
static char *
parser_expected(const PriceParser *parser)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < parser->nexpected; i++)
	{
		const char *quote = parser->expected[i].literal ? "\"" : "";

		if (i > 0)
			appendStringInfoString(&buf, i < parser->nexpected - 1 ? ", " : " or ");
		appendStringInfo(&buf, "%s%s%s", quote, parser->expected[i].what, quote);
	}
	return buf.data;
}

/*
 * What stands here instead, up to a space
 */
static char *
parser_found(const PriceParser *parser)
{
	int			len = 0;
	char	   *word;
	const char *found;

	if (*parser->at == '\0')
		return "the end";
	if (scanner_isspace(*parser->at))
		return "a space";
	while (parser->at[len] != '\0' && !scanner_isspace(parser->at[len]))
		len++;
	word = pnstrdup(parser->at, len);
	found = card_hidden(word);
	if (found == word)
		word[pg_mbcharcliplen(word, len, MAX_FOUND)] = '\0';
	return psprintf("\"%s\"", found);
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
 * Say that nothing that was looked for is here
 */
static bool
fail(PriceParser *parser)
{
	ereturn(parser->escontext, false,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", "kb_price", card_hidden(parser->text)),
			 errdetail("At position %d: expected %s, found %s.",
					   parser_position(parser), card_hidden(parser_expected(parser)), parser_found(parser)),
			 errhint("Write \"19.00\", \"0.05 each\", \"5.00 per 100\", \"5.00 per full 100\", \"2.5%% + 0.30\", "
					 "\"graduated 0.10 to 100, 0.08\" or \"volume 0.10 + 2.00 to 100, 0.08\", "
					 "with packages or percentages in tiers, too; "
					 "\"free 50\", \"min 5.00\" and \"max 100.00\" may follow all but the first.")));
}

/*
 * Say what should stand at a character
 */
static bool
fail_at(PriceParser *parser, const char *at, const char *what)
{
	parser->at = at;
	parser->nexpected = 0;
	expect(parser, what, false);
	return fail(parser);
}

/*
 * Say that the number here is too large
 */
static bool
fail_range(const PriceParser *parser)
{
	ereturn(parser->escontext, false,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("value \"%s\" is out of range for type %s", card_hidden(parser->text), "kb_price"),
			 errdetail("At position %d: without its decimal point, the number is above %lld.",
					   parser_position(parser), (long long) PG_INT64_MAX),
			 errhint("Write it with at most 18 digits, decimals included.")));
}

/*
 * Step over a word or a sign if it is next
 */
static bool
accept(PriceParser *parser, const char *word)
{
	size_t		len = 0;

	while (word[len] != '\0' && pg_ascii_tolower((unsigned char) parser->at[len]) == word[len])
		len++;
	if (word[len] != '\0' || (is_letter(word[0]) && continues_word(parser->at[len])))
	{
		expect(parser, word, true);
		return false;
	}
	advance(parser, parser->at + len);
	return true;
}

/*
 * Read digits into the number's mantissa; false if it overflows
 */
static bool
read_mantissa(const char **at, Decimal *number)
{
	for (; is_digit(**at); (*at)++)
	{
		if (pg_mul_s64_overflow(number->mantissa, 10, &number->mantissa) ||
			pg_add_s64_overflow(number->mantissa, **at - '0', &number->mantissa))
			return false;
	}
	return true;
}

/*
 * Read a number
 *
 * If the number as a whole is too long, the error points at its first character.
 */
static bool
parse_number(PriceParser *parser, Decimal *number)
{
	const char *end = parser->at;

	*number = (Decimal) {0};
	if (!is_digit(*end))
	{
		expect(parser, "a number", false);
		return fail(parser);
	}
	if (!read_mantissa(&end, number))
		return fail_range(parser);
	if (*end == '.')
	{
		const char *decimals = ++end;
		size_t		scale = strspn(decimals, "0123456789");

		if (scale == 0)
			return fail_at(parser, decimals, "a digit");
		if (scale > DECIMAL_MAX_SCALE)
			return fail_at(parser, parser->at, "a number with at most 12 decimals");
		if (!read_mantissa(&end, number))
			return fail_range(parser);
		number->scale = scale;
	}
	if (*end != '\0' && !scanner_isspace(*end) && strchr(",+%", *end) == NULL)
		return fail_at(parser, end, "a space or the end");
	advance(parser, end);
	return true;
}

/*
 * Read a number that must be above another
 */
static bool
parse_number_above(PriceParser *parser, Decimal *number, Decimal floor)
{
	const char *start = parser->at;

	if (!parse_number(parser, number))
		return false;
	if (decimal_value(*number) <= decimal_value(floor))
		return fail_at(parser, start,
					   psprintf("a number above %s", floor.mantissa == 0 ? "zero" : decimal_to_cstring(floor)));
	return true;
}

/*
 * Read the number of a slot
 */
static bool
parse_slot(PriceParser *parser, PriceSlot slot)
{
	parser->terms->slots |= 1 << slot;
	return parse_number(parser, &parser->terms->numbers[slot]);
}

/*
 * Read one of free, min and max, after its word
 */
static bool
parse_option(PriceParser *parser, PriceSlot slot)
{
	const PriceTerms *terms = parser->terms;
	const char *start = parser->at;

	if (!parse_slot(parser, slot))
		return false;
	if (terms_have(terms, SLOT_MIN) && terms_have(terms, SLOT_MAX) &&
		decimal_value(terms->numbers[SLOT_MIN]) > decimal_value(terms->numbers[SLOT_MAX]))
		return fail_at(parser, start, "a min that is not above the max");
	return true;
}

/*
 * Nothing more may follow
 */
static bool
parse_end(PriceParser *parser)
{
	if (*parser->at == '\0')
		return true;
	expect(parser, "the end", false);
	return fail(parser);
}

/*
 * Read the options, up to the end
 */
static bool
parse_options(PriceParser *parser)
{
	const PriceTerms *terms = parser->terms;
	int			first = kind_has_tiers(terms->kind) && terms_are_percent(terms) ? SLOT_EVENT : SLOT_FREE;
	int			slot = first;

	while (slot <= SLOT_MAX)
	{
		if (terms_have(terms, slot) || !accept(parser, slot_words[slot]))
			slot++;
		else if (parse_option(parser, slot))
			slot = first;
		else
			return false;
	}
	return parse_end(parser);
}

/*
 * Read the size of a package, after "per"
 */
static bool
parse_package(PriceParser *parser, PriceTier *tier)
{
	tier->measure = accept(parser, "full") ? MEASURE_FULL_PACKAGES : MEASURE_PACKAGES;
	return parse_number_above(parser, &tier->per, (Decimal) {0});
}

/*
 * Read what a tier's price is multiplied by: percentages all, or none
 */
static bool
parse_measure(PriceParser *parser, PriceTier *tier)
{
	bool		first = tier == parser->terms->tiers;

	tier->measure = MEASURE_UNITS;
	if (!first && terms_are_percent(parser->terms))
	{
		tier->measure = MEASURE_PERCENT;
		return accept(parser, "%") || fail(parser);
	}
	if (accept(parser, "per"))
		return parse_package(parser, tier);
	if (first && accept(parser, "%"))
		tier->measure = MEASURE_PERCENT;
	return true;
}

/*
 * Read the tiers and what follows them; one without an edge is the last
 */
static bool
parse_tiers(PriceParser *parser)
{
	PriceTerms *terms = parser->terms;
	Decimal		edge = {0};

	for (;;)
	{
		PriceTier  *tier = &terms->tiers[terms->ntiers];

		if (terms->ntiers == PRICE_MAX_TIERS)
			return fail_at(parser, parser->at, psprintf("at most %d tiers", PRICE_MAX_TIERS));
		if (!parse_number(parser, &tier->unit))
			return false;
		terms->ntiers++;
		if (!parse_measure(parser, tier))
			return false;
		tier->has_fee = accept(parser, "+");
		if (tier->has_fee && !parse_number(parser, &tier->fee))
			return false;
		if (!accept(parser, "to"))
			return parse_options(parser);
		if (!parse_number_above(parser, &tier->to, edge))
			return false;
		edge = tier->to;
		if (!accept(parser, ","))
			return fail(parser);
	}
}

/*
 * Read what follows the one unit price
 */
static bool
parse_form(PriceParser *parser)
{
	PriceTerms *terms = parser->terms;
	PriceTier  *tier = &terms->tiers[0];

	tier->measure = MEASURE_UNITS;
	if (accept(parser, "each"))
		terms->kind = PRICE_EACH;
	else if (accept(parser, "per"))
	{
		if (!parse_package(parser, tier))
			return false;
		terms->kind = tier->measure == MEASURE_PACKAGES ? PRICE_PER : PRICE_PER_FULL;
	}
	else if (accept(parser, "%"))
	{
		terms->kind = PRICE_PERCENT;
		tier->measure = MEASURE_PERCENT;
		if (accept(parser, "+") && !parse_slot(parser, SLOT_EVENT))
			return false;
	}
	else
	{
		terms->kind = PRICE_FLAT;
		return parse_end(parser);
	}
	return parse_options(parser);
}

bool
terms_parse(PriceTerms *terms, const char *text, Node *escontext)
{
	PriceParser parser = {.text = text, .escontext = escontext, .terms = terms};

	terms->slots = 0;
	terms->ntiers = 0;
	advance(&parser, text);
	if (accept(&parser, "graduated"))
		terms->kind = PRICE_GRADUATED;
	else if (accept(&parser, "volume"))
		terms->kind = PRICE_VOLUME;
	else
	{
		terms->ntiers = 1;
		terms->tiers[0].has_fee = false;
		return parse_number(&parser, &terms->tiers[0].unit) && parse_form(&parser);
	}
	return parse_tiers(&parser);
}

/*
 * Write a number with the decimals it was given, after a word
 */
static void
append_number(StringInfo buf, const char *word, Decimal d)
{
	int64		unit = power_of_ten(d.scale);

	appendStringInfo(buf, "%s%lld", word, (long long) (d.mantissa / unit));
	if (d.scale > 0)
		appendStringInfo(buf, ".%0*lld", d.scale, (long long) (d.mantissa % unit));
}

char *
decimal_to_cstring(Decimal d)
{
	StringInfoData buf;

	initStringInfo(&buf);
	append_number(&buf, "", d);
	return buf.data;
}

/*
 * Write the tiers; a price without them has one, which is its unit price
 */
static void
append_tiers(StringInfo buf, const PriceTerms *terms)
{
	for (int i = 0; i < terms->ntiers; i++)
	{
		const PriceTier *tier = &terms->tiers[i];

		append_number(buf, i > 0 ? ", " : "", tier->unit);
		if (terms->kind == PRICE_EACH)
			appendStringInfoString(buf, " each");
		if (tier_has_packages(tier))
			append_number(buf, tier->measure == MEASURE_PACKAGES ? " per " : " per full ", tier->per);
		if (tier->measure == MEASURE_PERCENT)
			appendStringInfoChar(buf, '%');
		if (tier->has_fee)
			append_number(buf, " + ", tier->fee);
		if (i < terms->ntiers - 1)
			append_number(buf, " to ", tier->to);
	}
}

char *
terms_to_cstring(const PriceTerms *terms)
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (terms->kind == PRICE_GRADUATED)
		appendStringInfoString(&buf, "graduated ");
	if (terms->kind == PRICE_VOLUME)
		appendStringInfoString(&buf, "volume ");
	append_tiers(&buf, terms);
	for (int slot = 0; slot <= SLOT_MAX; slot++)
	{
		const char *word = slot == SLOT_EVENT && terms->kind == PRICE_PERCENT ? "+" : slot_words[slot];

		if (terms_have(terms, slot))
			append_number(&buf, psprintf(" %s ", word), terms->numbers[slot]);
	}
	return buf.data;
}
