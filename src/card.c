/*
 * card.c
 *		Finding payment card numbers in text, to refuse them (rule T4).
 *
 * A card number is 13 to 19 digits in one or more groups, with an issuer's
 * prefix, a length that goes with it, and a valid check digit.  Between two
 * groups stand spaces or dashes, up to three; the Unicode ones count.  A card
 * number begins and ends where a group does, so one is found inside a longer
 * row of groups, but not inside a longer run of digits and letters, nor right
 * after a plus, nor in the decimals of a number.
 *
 * What looks alike and is harmless is told apart by its shape: a UUID by its
 * groups, an IBAN by its check digits.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "card.h"
#include "errors.h"

#define CARD_MIN_DIGITS		13
#define CARD_MAX_DIGITS		19
#define MAX_SEPARATORS		3
#define UUID_LENGTH			36
#define IBAN_MIN_LENGTH		15
#define IBAN_MAX_LENGTH		34

/* What may stand between groups; a set of them is a mask. */
#define SEPARATOR_SPACE		0x01
#define SEPARATOR_DASH		0x02
#define SEPARATOR_DOT		0x04

/* Lengths that go with a prefix, as a mask of 1 << length. */
#define LENGTH(n)			(1 << (n))
#define LENGTH_FROM(n)		(LENGTH(CARD_MAX_DIGITS + 1) - LENGTH(n))

/* A range of first six digits. */
typedef struct CardPrefix
{
	int			low;
	int			high;
	int			lengths;
} CardPrefix;

/* In order; no two overlap. */
static const CardPrefix card_prefixes[] = {
	{220000, 220499, LENGTH_FROM(16)},	/* Mir */
	{222100, 272099, LENGTH(16)},	/* Mastercard */
	{300000, 305999, LENGTH(14)},	/* Diners Club */
	{340000, 349999, LENGTH(15)},	/* American Express */
	{352800, 358999, LENGTH_FROM(16)},	/* JCB */
	{360000, 369999, LENGTH(14)},	/* Diners Club */
	{370000, 379999, LENGTH(15)},	/* American Express */
	{380000, 399999, LENGTH(14)},	/* Diners Club */
	{400000, 499999, LENGTH(13) | LENGTH(16) | LENGTH(19)}, /* Visa */
	{500000, 509999, LENGTH_FROM(13)},	/* Maestro */
	{510000, 559999, LENGTH(16)},	/* Mastercard */
	{560000, 589999, LENGTH_FROM(13)},	/* Maestro */
	/* Maestro has all of 6; Discover and UnionPay are within it */
	{600000, 699999, LENGTH_FROM(13)},
	{980400, 980499, LENGTH_FROM(16)},	/* Prostir */
};

/* A card number being read, from its first digit on. */
typedef struct CardCandidate
{
	int			ndigits;
	int			separators;		/* mask of those between the groups */
	int			ngroups;		/* complete groups */
	int			shortest;		/* length of the shortest group but the last */
	int			group;			/* length of the last group */
	char		digits[CARD_MAX_DIGITS];
} CardCandidate;

/* ASCII only: the locale has no say in what a card number is. */
static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static inline bool
is_word(char c)
{
	return is_digit(c) || is_letter(c);
}

/*
 * Whether the check digit is right (Luhn)
 */
static bool
luhn_valid(const char *digits, int n)
{
	int			sum = 0;

	for (int i = 0; i < n; i++)
	{
		int			digit = digits[n - 1 - i] - '0';

		if (i % 2 == 1)
			digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
		sum += digit;
	}
	return sum % 10 == 0;
}

/*
 * Whether an issuer has numbers of this prefix and length
 */
static bool
issuer_known(const char *digits, int n)
{
	int			prefix = 0;

	for (int i = 0; i < 6; i++)
		prefix = prefix * 10 + (digits[i] - '0');
	for (int i = 0; i < (int) lengthof(card_prefixes); i++)
	{
		const CardPrefix *range = &card_prefixes[i];

		if (prefix >= range->low && prefix <= range->high)
			return (range->lengths & LENGTH(n)) != 0;
	}
	return false;
}

/*
 * Whether people part a card number so
 *
 * Dots must be all there is, and more than one, else it is a decimal number.
 * Spaces and dashes are mixed in lists of phone numbers and dates too, whose
 * groups are shorter than a card's.
 */
static bool
groups_plausible(const CardCandidate *card)
{
	if (card->separators & SEPARATOR_DOT)
		return card->separators == SEPARATOR_DOT && card->ngroups > 2;
	if (card->separators == (SEPARATOR_SPACE | SEPARATOR_DASH))
		return card->shortest >= 4;
	return true;
}

/*
 * Read one separator, 0 if none; its width in bytes goes to *width
 */
static int
read_separator(const char *s, const char *end, int *width)
{
	const unsigned char *u = (const unsigned char *) s;

	*width = 1;
	if (s < end && *s == ' ')
		return SEPARATOR_SPACE;
	if (s < end && *s == '-')
		return SEPARATOR_DASH;
	if (s < end && *s == '.')
		return SEPARATOR_DOT;

	*width = 2;
	if (end - s >= 2 && u[0] == 0xC2 && u[1] == 0xA0)	/* no-break space */
		return SEPARATOR_SPACE;

	*width = 3;
	if (end - s < 3 || u[0] != 0xE2)
		return 0;
	if (u[1] == 0x80 && (u[2] <= 0x8A || u[2] == 0xAF)) /* U+2000..200A, 202F */
		return SEPARATOR_SPACE;
	if (u[1] == 0x80 && u[2] >= 0x90 && u[2] <= 0x95)	/* U+2010..2015 */
		return SEPARATOR_DASH;
	if (u[1] == 0x88 && u[2] == 0x92)	/* minus sign */
		return SEPARATOR_DASH;
	return 0;
}

/*
 * Step over what parts two groups
 *
 * Returns the next group's first digit, or NULL if there is none.  A dash with
 * spaces around is a dash.
 */
static const char *
next_group(const char *s, const char *end, int *separators)
{
	int			seen = 0;

	for (int i = 0; i < MAX_SEPARATORS; i++)
	{
		int			width;
		int			separator = read_separator(s, end, &width);

		if (separator == 0)
			break;
		seen |= separator;
		s += width;
	}
	if (seen == 0 || s >= end || !is_digit(*s))
		return NULL;
	*separators |= (seen & SEPARATOR_DASH) ? seen & ~SEPARATOR_SPACE : seen;
	return s;
}

/*
 * Add a group to the candidate; NULL if it does not fit or runs into a letter
 */
static const char *
read_group(CardCandidate *card, const char *s, const char *end)
{
	if (card->ngroups > 0)
		card->shortest = Min(card->shortest, card->group);
	card->ngroups++;
	card->group = 0;
	for (; s < end && is_digit(*s); s++)
	{
		if (card->ndigits == CARD_MAX_DIGITS)
			return NULL;
		card->digits[card->ndigits++] = *s;
		card->group++;
	}
	return s < end && is_letter(*s) ? NULL : s;
}

/*
 * Whether a card number begins with the group at s
 */
static bool
card_begins(const char *s, const char *end)
{
	CardCandidate card = {.shortest = CARD_MAX_DIGITS};

	while (s != NULL && (s = read_group(&card, s, end)) != NULL)
	{
		if (card.ndigits >= CARD_MIN_DIGITS &&
			issuer_known(card.digits, card.ndigits) &&
			groups_plausible(&card) &&
			luhn_valid(card.digits, card.ndigits))
			return true;
		s = next_group(s, end, &card.separators);
	}
	return false;
}

/*
 * Length of the UUID at s, 0 if it is none
 */
static size_t
uuid_length(const char *s, const char *end)
{
	if (end - s < UUID_LENGTH)
		return 0;
	for (int i = 0; i < UUID_LENGTH; i++)
	{
		bool		dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !is_hex(s[i]))
			return 0;
	}
	return s + UUID_LENGTH < end && is_word(s[UUID_LENGTH]) ? 0 : UUID_LENGTH;
}

/*
 * Remainder of an IBAN by 97, a character further; a letter is 10 to 35
 */
static int
iban_step(int remainder, char c)
{
	if (is_digit(c))
		return (remainder * 10 + (c - '0')) % 97;
	return (remainder * 100 + ((c | 0x20) - 'a' + 10)) % 97;
}

/*
 * Length of the IBAN in groups of four at s, 0 if it is none
 *
 * Its first four characters count last.  An IBAN without spaces is one run of
 * digits and letters, and needs no telling apart.
 */
static size_t
iban_length(const char *s, const char *end)
{
	int			n = 4;
	int			remainder = 0;

	if (end - s < IBAN_MIN_LENGTH || !is_letter(s[0]) || !is_letter(s[1]) ||
		!is_digit(s[2]) || !is_digit(s[3]))
		return 0;
	for (const char *c = s + 4; c < end && n < IBAN_MAX_LENGTH; c++)
	{
		int			check;

		if (n % 4 == 0 && *c == ' ')
			c++;
		if (c == end || !is_word(*c))
			break;
		remainder = iban_step(remainder, *c);
		if (++n < IBAN_MIN_LENGTH || (c + 1 < end && is_word(c[1])))
			continue;
		check = remainder;
		for (int i = 0; i < 4; i++)
			check = iban_step(check, s[i]);
		if (check == 1)
			return c + 1 - s;
	}
	return 0;
}

/*
 * Whether the digit at s begins a group that a card number may begin with
 */
static bool
group_begins(const char *start, const char *s)
{
	if (!is_digit(*s))
		return false;
	if (s == start)
		return true;
	if (is_word(s[-1]) || s[-1] == '+')
		return false;
	return !(s[-1] == '.' && s - start >= 2 && is_digit(s[-2]));
}

bool
card_number_in(const char *s, size_t len)
{
	const char *end = s + len;
	const char *at = s;
	size_t		ndigits = 0;

	for (size_t i = 0; i < len; i++)
		ndigits += is_digit(s[i]);
	if (ndigits < CARD_MIN_DIGITS)
		return false;

	while (at < end)
	{
		size_t		skip = 0;

		if (is_word(*at) && (at == s || !is_word(at[-1])))
		{
			skip = uuid_length(at, end);
			if (skip == 0)
				skip = iban_length(at, end);
		}
		if (skip == 0 && group_begins(s, at) && card_begins(at, end))
			return true;
		at += Max(skip, 1);
	}
	return false;
}

/*
 * Whether a JSON number, as it is written, is a card number
 */
static bool
card_number_in_numeric(Numeric number)
{
	Datum		size = DirectFunctionCall1(numeric_abs, NumericGetDatum(number));
	char	   *s;
	bool		found;

	/* 20 digits are no card number, and a number may have a hundred thousand */
	if (DatumGetBool(DirectFunctionCall2(numeric_ge, size, NumericGetDatum(int64_div_fast_to_numeric(10, -18)))))
		return false;
	s = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	found = card_number_in(s, strlen(s));
	pfree(s);
	return found;
}

/*
 * Look into every key, string and number of a JSON value
 */
bool
card_number_in_jsonb(Jsonb *jsonb)
{
	JsonbIterator *it = JsonbIteratorInit(&jsonb->root);
	JsonbIteratorToken token;
	JsonbValue	v;

	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token != WJB_KEY && token != WJB_VALUE && token != WJB_ELEM)
			continue;
		if (v.type == jbvString && card_number_in(v.val.string.val, v.val.string.len))
			return true;
		if (v.type == jbvNumeric && card_number_in_numeric(v.val.numeric))
			return true;
	}
	return false;
}

/*
 * Raise KB008 without a word of the text
 *
 * The statement is kept out of the server's log, and the context out of the
 * error, since both would quote it: COPY shows the column's value.
 */
void
card_refuse(const char *what)
{
	error_context_stack = NULL;
	ereport(ERROR,
			(errcode(ERRCODE_KB_CARD_DATA_REFUSED),
			 errmsg("%s holds what looks like a payment card number", what),
			 errdetail("It has 13 to 19 digits with an issuer's prefix and a valid check digit."),
			 errhint("Take it out: no payment data is stored (rule T4). "
					 "Keep the payment provider's reference instead."),
			 errhidestmt(true)));
}

/*
 * Check whether a text holds a card number
 */
PG_FUNCTION_INFO_V1(kb_has_card_number_text);
Datum
kb_has_card_number_text(PG_FUNCTION_ARGS)
{
	text	   *t = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(card_number_in(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)));
}

/*
 * Check whether a JSON value holds a card number
 */
PG_FUNCTION_INFO_V1(kb_has_card_number_jsonb);
Datum
kb_has_card_number_jsonb(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(card_number_in_jsonb(PG_GETARG_JSONB_P(0)));
}

/*
 * Refuse a text that holds a card number
 */
void
card_check(const char *s)
{
	if (card_number_in(s, strlen(s)))
		card_refuse("value");
}

PG_FUNCTION_INFO_V1(kb_refuse_card_number_text);
Datum
kb_refuse_card_number_text(PG_FUNCTION_ARGS)
{
	text	   *t = PG_GETARG_TEXT_PP(0);

	if (card_number_in(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)))
		card_refuse("value");
	PG_RETURN_BOOL(true);
}

/*
 * Refuse a JSON value that holds a card number
 */
PG_FUNCTION_INFO_V1(kb_refuse_card_number_jsonb);
Datum
kb_refuse_card_number_jsonb(PG_FUNCTION_ARGS)
{
	if (card_number_in_jsonb(PG_GETARG_JSONB_P(0)))
		card_refuse("value");
	PG_RETURN_BOOL(true);
}
