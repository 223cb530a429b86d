/*
 * card.c
 *		Finding payment card numbers in text, to refuse them (rule T4).
 *
 * A card number is 13 to 19 digits in one or more groups, with an issuer's
 * prefix, a length that goes with it, and a valid check digit.  Between two
 * groups stand spaces or dashes, up to three.  A card number begins and ends
 * where a group does, so one is found inside a longer row of groups, but not
 * inside a longer run of digits, nor in the decimals of a number.
 *
 * What looks alike and is harmless is told apart by its shape: a UUID and a
 * hash by their digits, an IBAN by its country, length and check digits, a
 * phone number by its plus, and a list of numbers by groups that are no card's.
 *
 * All of this reads ASCII.  A text with other characters is folded first, so
 * that digits, spaces and dashes of all scripts are recognized (unicodelist.h).
 */
#include "postgres.h"

#include "access/xact.h"
#include "ascii.h"
#include "catalog/namespace.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "card.h"
#include "errors.h"

#define CARD_MIN_DIGITS		13
#define CARD_MAX_DIGITS		19
#define MAX_SEPARATORS		3
#define PHONE_MAX_DIGITS	15		/* E.164 */
#define UUID_LENGTH			36
#define IBAN_MIN_LENGTH		15
#define HASH_MAX_LENGTH		128		/* SHA-512 */
#define FOLDED_MARK			'\xFF' /* a digit that is to be masked */
#define FOLDED_OTHER		'\x7F' /* a character that is none of ours */
#define FOLDED_PIECE		1024	/* bytes that are converted to UTF-8 at once */

/* What may stand between groups; a set of them is a mask. */
#define SEPARATOR_SPACE		0x01
#define SEPARATOR_DASH		0x02
#define SEPARATOR_DOT		0x04
#define SEPARATOR_LINE		0x08	/* one break of a line */
#define SEPARATOR_LINES		0x10	/* more than one */

/* Lengths that go with a prefix, as a mask of 1 << length. */
#define LENGTH(n)			(1 << (n))
#define LENGTH_FROM(n)		(LENGTH(CARD_MAX_DIGITS + 1) - LENGTH(n))
#define DINERS_LENGTHS		(LENGTH(14) | LENGTH(16) | LENGTH(19))
#define NATIONAL_LENGTHS	(LENGTH(16) | LENGTH(18) | LENGTH(19))

/* A range of first six digits. */
typedef struct CardPrefix
{
	int			low;
	int			high;
	int			lengths;
} CardPrefix;

/* A country, and how long its IBANs are. */
typedef struct IbanLength
{
	char		country[2 + 1];
	uint8		length;
} IbanLength;

#define CARD_PREFIX(low, high, lengths)	{low, high, lengths},
#define IBAN(country, length)
static const CardPrefix card_prefixes[] = {
#include "cardlist.h"
};
#undef CARD_PREFIX
#undef IBAN

#define CARD_PREFIX(low, high, lengths)
#define IBAN(country, length)	{#country, length},
static const IbanLength iban_lengths[] = {
#include "cardlist.h"
};
#undef CARD_PREFIX
#undef IBAN

/* Characters outside ASCII, and what they count as; if it is a digit, the next ones are the digits after it. */
typedef struct UnicodeRange
{
	uint32		first;
	uint32		last;
	char		as;
} UnicodeRange;

#define UNICODE_RANGE(first, last, as)	{first, last, as},
static const UnicodeRange unicode_ranges[] = {
#include "unicodelist.h"
};
#undef UNICODE_RANGE

/* Where the forms of full width begin: those of ASCII, from '!' to '~' */
#define FULL_WIDTH_FIRST	0xFF01

/* How a digit outside ASCII begins in UTF-8: ² and its like so, or at least so */
#define LATIN_DIGIT_LEAD	0xC2
#define SCRIPT_DIGIT_LEAD	0xD9

/* A card number being read, from its first digit on. */
typedef struct CardCandidate
{
	const char *text;			/* where the whole text begins */
	const char *begin;
	int			ndigits;
	int			separators;		/* mask of those between the groups */
	int			ngroups;		/* complete groups */
	int			lengths;		/* mask of the groups' lengths, but the last's */
	int			group;			/* length of the last group */
	char		digits[CARD_MAX_DIGITS];
} CardCandidate;

/*
 * Digit of a hexadecimal number
 */
static inline bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/*
 * What words are made of
 */
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
	for (int i = 0; i < (int) lengthof(card_prefixes) && card_prefixes[i].low <= prefix; i++)
		if (prefix <= card_prefixes[i].high)
			return (card_prefixes[i].lengths & LENGTH(n)) != 0;
	return false;
}

/*
 * What a character outside ASCII is to us, as the ASCII character for it
 */
static char
fold_char(uint32 c)
{
	int			low = 0;
	int			high = lengthof(unicode_ranges);

	if (c - FULL_WIDTH_FIRST <= '~' - '!')
		return '!' + (c - FULL_WIDTH_FIRST);
	while (low < high)
	{
		int			middle = (low + high) / 2;
		const UnicodeRange *range = &unicode_ranges[middle];

		if (c > range->last)
			low = middle + 1;
		else if (c < range->first)
			high = middle;
		else if (is_digit(range->as))
			return '0' + (range->as - '0' + c - range->first) % 10;
		else
			return range->as;
	}
	return FOLDED_OTHER;
}

/*
 * Read a character of UTF-8, 0 if there is none at u
 */
static uint32
read_utf8(const unsigned char *u, const unsigned char *end, int *width)
{
	uint32		c;

	*width = *u < 0xC0 ? 1 : *u < 0xE0 ? 2 : *u < 0xF0 ? 3 : 4;
	if (*width == 1 || end - u < *width)
		return 0;
	c = *u & (0xFF >> (*width + 1));
	for (int i = 1; i < *width; i++)
	{
		if ((u[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 0x3F);
	}
	return c;
}

/*
 * Fold a text in UTF-8 to ASCII, one byte for each character
 *
 * What is no UTF-8 is read as one of the ISO 8859 and Windows sets: their no-break
 * space and dashes are recognized, and most other characters are letters.
 */
static size_t
fold_utf8(char *to, const char *s, size_t len)
{
	const unsigned char *u = (const unsigned char *) s;
	const unsigned char *end = u + len;
	char	   *begin = to;

	while (u < end)
	{
		int			width = 1;
		uint32		c;

		if (!IS_HIGHBIT_SET(*u))
			*to++ = *u;
		else if ((c = read_utf8(u, end, &width)) != 0)
			*to++ = fold_char(c);
		else
		{
			*to++ = *u == 0xA0 ? ' ' : *u == 0x96 || *u == 0x97 ? '-' : FOLDED_OTHER;
			width = 1;
		}
		u += width;
	}
	return to - begin;
}

/*
 * Fold a text of another encoding, piece by piece, by way of UTF-8
 *
 * A character that has no equivalent there is none of ours.
 */
static size_t
fold_converted(char *to, const char *s, size_t len, Oid conversion)
{
	int			encoding = GetDatabaseEncoding();
	unsigned char utf8[FOLDED_PIECE * MAX_CONVERSION_GROWTH + 1];
	const char *end = s + len;
	char	   *begin = to;

	while (s < end)
	{
		int			n = pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8, unconstify(unsigned char *, (const unsigned char *) s),
													  Min(end - s, FOLDED_PIECE), utf8, sizeof(utf8), true);

		if (n > 0)
			to += fold_utf8(to, (char *) utf8, strlen((char *) utf8));
		else
		{
			n = Min(pg_encoding_mblen(encoding, s), end - s);
			*to++ = FOLDED_OTHER;
		}
		s += n;
	}
	return to - begin;
}

/*
 * Whether the bytes of a text are UTF-8, or may be: SQL_ASCII says nothing, and
 * nothing converts MULE_INTERNAL
 */
static inline bool
reads_as_utf8(int encoding)
{
	return encoding == PG_UTF8 || encoding == PG_SQL_ASCII || encoding == PG_MULE_INTERNAL;
}

/*
 * Fold a text of the database to ASCII, at most one byte for each of its own
 *
 * Outside of a transaction, where a setting is read, nothing can be converted.
 */
static size_t
fold(char *to, const char *s, size_t len)
{
	int			encoding = GetDatabaseEncoding();
	Oid			conversion = InvalidOid;

	if (!reads_as_utf8(encoding) && IsTransactionState())
		conversion = FindDefaultConversionProc(encoding, PG_UTF8);
	return OidIsValid(conversion) ? fold_converted(to, s, len, conversion) : fold_utf8(to, s, len);
}

/*
 * How many digits outside ASCII a text has, at most
 *
 * Of the encodings that have one byte for a character, only WIN874 has any that
 * a number could be written in: the Thai ones.
 */
static size_t
count_other_digits(const char *s, size_t len)
{
	int			encoding = GetDatabaseEncoding();
	size_t		n = 0;

	if (reads_as_utf8(encoding))
		for (size_t i = 0; i < len; i++)
			n += (unsigned char) s[i] >= SCRIPT_DIGIT_LEAD || (unsigned char) s[i] == LATIN_DIGIT_LEAD;
	else if (pg_encoding_max_length(encoding) > 1 || encoding == PG_WIN874)
		for (size_t i = 0; i < len; i++)
			n += IS_HIGHBIT_SET(s[i]) != 0;
	return n;
}

/*
 * What kind of separator a character is, 0 if it is none
 */
static inline int
separator(char c)
{
	switch (c)
	{
		case ' ':
		case '\t':
		case '\v':
		case '\f':
		case '\r':
			return SEPARATOR_SPACE;
		case '-':
		case '_':
			return SEPARATOR_DASH;
		case '.':
			return SEPARATOR_DOT;
		case '\n':
			return SEPARATOR_LINE;
		default:
			return 0;
	}
}

/*
 * Step over what separates two groups
 *
 * Returns the next group's first digit, or NULL if there is none.  A dash with
 * spaces around it counts as a dash, and a line break with spaces or dashes
 * around it as a line break.
 */
static const char *
next_group(const char *s, const char *end, int *separators)
{
	int			seen = 0;

	for (int i = 0; i < MAX_SEPARATORS && s < end && separator(*s) != 0; i++, s++)
	{
		if (seen & separator(*s) & SEPARATOR_LINE)
			return NULL;
		seen |= separator(*s);
	}
	if (seen == 0 || s >= end || !is_digit(*s))
		return NULL;

	if (seen & SEPARATOR_LINE)
		seen = (*separators & SEPARATOR_LINE) ? SEPARATOR_LINES : SEPARATOR_LINE;
	else if (seen & SEPARATOR_DASH)
		seen &= ~SEPARATOR_SPACE;
	*separators |= seen;
	return s;
}

/*
 * Whether a group stands before the one at s
 */
static bool
follows_group(const char *text, const char *s)
{
	const char *before = s;

	while (before > text && s - before < MAX_SEPARATORS && separator(before[-1]) != 0)
		before--;
	return before > text && before < s && is_digit(before[-1]);
}

/*
 * Whether the row of groups ends at s, but for an expiry date
 */
static bool
ends_row(const char *s, const char *end)
{
	int			ignored = 0;
	const char *next = next_group(s, end, &ignored);

	return next == NULL || (end - next > 2 && is_digit(next[1]) && next[2] == '/');
}

/*
 * Whether the groups are as on a card, or all of one length
 *
 * Networks print groups of 4, 6 and 8 digits, and a rest: 4-4-4-4, 4-6-5,
 * 4-4-4-4-3, 6-13.  The Visa of 13 digits was 4-3-3-3.
 */
static bool
groups_regular(const CardCandidate *card)
{
	int			lengths = card->lengths;

	if ((lengths & ~(LENGTH(4) | LENGTH(6) | LENGTH(8))) == 0)
		return true;
	if (lengths == (LENGTH(4) | LENGTH(3)) && card->ndigits == 13 && is_digit(card->begin[3]))
		return true;
	return (lengths & (lengths - 1)) == 0 && lengths < LENGTH(4) && LENGTH(card->group) <= lengths;
}

/*
 * Whether a person would write a card number in these groups
 *
 * Dots count only if there are several and no other separators; else it is a
 * decimal number.  Lists of phone numbers and dates mix spaces and dashes too,
 * but their groups are shorter than a card's.  One line break may be inside a
 * number that has other separators as well; numbers on lines of their own are a
 * list.
 *
 * Irregular groups are taken for a slip of the typist if the number stands by
 * itself, or before its expiry date.  In a longer row they are other numbers,
 * side by side.
 */
static bool
groups_plausible(const CardCandidate *card, const char *s, const char *end)
{
	int			separators = card->separators;
	bool		short_group = (card->lengths & (LENGTH(4) - 1)) != 0;

	if (card->ngroups == 1)
		return true;
	if ((separators & SEPARATOR_DOT) && (separators != SEPARATOR_DOT || card->ngroups == 2))
		return false;
	if ((separators & SEPARATOR_LINES) || separators == SEPARATOR_LINE)
		return false;
	if (((separators & SEPARATOR_LINE) || separators == (SEPARATOR_SPACE | SEPARATOR_DASH)) && short_group)
		return false;

	if (groups_regular(card))
		return true;
	return !(separators & SEPARATOR_DOT) && card->ngroups <= (card->ndigits + 3) / 4 + 1 &&
		!follows_group(card->text, card->begin) && ends_row(s, end);
}

/*
 * Whether the word around s is a hash or the like: hexadecimal, perhaps after 0x
 */
static bool
in_hash(const char *text, const char *s, const char *end)
{
	const char *c;

	for (c = s; c > text && is_word(c[-1]) && s - c < HASH_MAX_LENGTH; c--)
	{
		bool		marks_hex = (c[-1] | 0x20) == 'x' && c - 1 > text && c[-2] == '0' && (c - 2 == text || !is_word(c[-3]));

		if (marks_hex)
			break;
		if (!is_hex(c[-1]))
			return false;
	}
	for (c = s; c < end && is_word(*c) && c - s < HASH_MAX_LENGTH; c++)
		if (!is_hex(*c))
			return false;
	return true;
}

/*
 * Whether what stands before or after it makes it something else
 */
static bool
is_part_of_other(const CardCandidate *card, const char *s, const char *end)
{
	const char *begin = card->begin;

	if (begin > card->text && begin[-1] == '+' && card->ndigits <= PHONE_MAX_DIGITS)
		return true;
	if (begin > card->text && is_letter(begin[-1]) && in_hash(card->text, begin, end))
		return true;
	return s < end && is_letter(*s) && in_hash(card->text, s, end);
}

/*
 * Add a group to the candidate; NULL if it does not fit
 */
static const char *
read_group(CardCandidate *card, const char *s, const char *end)
{
	if (card->ngroups > 0)
		card->lengths |= LENGTH(card->group);
	card->ngroups++;
	card->group = 0;
	for (; s < end && is_digit(*s); s++)
	{
		if (card->ndigits == CARD_MAX_DIGITS)
			return NULL;
		card->digits[card->ndigits++] = *s;
		card->group++;
	}
	return s;
}

/*
 * Where the card number ends that begins with the group at s, NULL if none does;
 * of several, the longest
 */
static const char *
card_end(const char *text, const char *s, const char *end)
{
	CardCandidate card = {.text = text, .begin = s};
	const char *found = NULL;

	while (s != NULL && (s = read_group(&card, s, end)) != NULL)
	{
		if (card.ndigits >= CARD_MIN_DIGITS &&
			issuer_known(card.digits, card.ndigits) &&
			luhn_valid(card.digits, card.ndigits) &&
			groups_plausible(&card, s, end) &&
			!is_part_of_other(&card, s, end))
			found = s;
		s = next_group(s, end, &card.separators);
	}
	return found;
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
 * How long the IBANs of a country are, 0 if it has none
 */
static int
iban_country_length(char first, char second)
{
	first &= ~0x20;
	second &= ~0x20;
	for (int i = 0; i < (int) lengthof(iban_lengths); i++)
		if (iban_lengths[i].country[0] == first && iban_lengths[i].country[1] == second)
			return iban_lengths[i].length;
	return 0;
}

/*
 * Remainder of an IBAN divided by 97, after one more character; a letter counts as 10 to 35
 */
static int
iban_step(int remainder, char c)
{
	if (is_digit(c))
		return (remainder * 10 + (c - '0')) % 97;
	return (remainder * 100 + ((c | 0x20) - 'a' + 10)) % 97;
}

/*
 * Length of the IBAN at s, 0 if it is none; it may be in groups of four
 *
 * Its first four characters count last.
 */
static size_t
iban_length(const char *s, const char *end)
{
	const char *c = s + 4;
	int			remainder = 0;
	int			length;

	if (end - s < IBAN_MIN_LENGTH || !is_letter(s[0]) || !is_letter(s[1]) ||
		!is_digit(s[2]) || !is_digit(s[3]))
		return 0;
	length = iban_country_length(s[0], s[1]);
	if (length == 0)
		return 0;
	for (int n = 4; n < length; n++)
	{
		if (n % 4 == 0 && c < end && *c == ' ')
			c++;
		if (c == end || !is_word(*c))
			return 0;
		remainder = iban_step(remainder, *c++);
	}
	for (int i = 0; i < 4; i++)
		remainder = iban_step(remainder, s[i]);
	if (remainder != 1 || (c < end && is_word(*c)))
		return 0;
	return c - s;
}

/*
 * Whether the digit at s begins a group that a card number may begin with
 */
static bool
group_begins(const char *text, const char *s)
{
	if (!is_digit(*s))
		return false;
	if (s == text)
		return true;
	if (is_digit(s[-1]))
		return false;
	return !(s[-1] == '.' && s - text >= 2 && is_digit(s[-2]));
}

/*
 * Find a card number in a text of ASCII, from begin on; sets where it begins and ends
 */
static bool
find_card_number(const char *s, size_t len, const char **begin, const char **finish)
{
	const char *end = s + len;
	const char *at = *begin;

	while (at < end)
	{
		size_t		skip = 0;

		if (is_word(*at) && (at == s || !is_word(at[-1])))
		{
			skip = uuid_length(at, end);
			if (skip == 0)
				skip = iban_length(at, end);
		}
		if (skip == 0 && group_begins(s, at) && (*finish = card_end(s, at, end)) != NULL)
		{
			*begin = at;
			return true;
		}
		at += Max(skip, 1);
	}
	return false;
}

/*
 * Look into a text of ASCII
 */
static bool
card_number_in_ascii(const char *s, size_t len)
{
	const char *begin = s;
	const char *finish;

	return find_card_number(s, len, &begin, &finish);
}

bool
card_number_in(const char *s, size_t len)
{
	size_t		ndigits = 0;
	unsigned char bits = 0;
	char	   *folded;
	bool		found;

	for (size_t i = 0; i < len; i++)
	{
		ndigits += is_digit(s[i]);
		bits |= s[i];
	}
	if (!IS_HIGHBIT_SET(bits))
		return ndigits >= CARD_MIN_DIGITS && card_number_in_ascii(s, len);
	if (ndigits < CARD_MIN_DIGITS && ndigits + count_other_digits(s, len) < CARD_MIN_DIGITS)
		return false;

	folded = palloc(len);
	found = card_number_in_ascii(folded, fold(folded, s, len));
	pfree(folded);
	return found;
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
 * Raise KB008 without repeating any of the text
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

const char *
card_hidden(const char *s)
{
	return card_number_in(s, strlen(s)) ? "(what looks like a payment card number)" : s;
}

/*
 * Mark the digits of card numbers in a folded text
 */
static void
mark_folded(char *folded, size_t len)
{
	const char *finish;
	bool		found;

	/* again until there is none: what is left of a row of groups may be a number by itself */
	do
	{
		found = false;
		for (const char *begin = folded; find_card_number(folded, len, &begin, &finish); begin = finish)
		{
			found = true;
			for (char *c = folded + (begin - folded); c < finish; c++)
				if (is_digit(*c))
					*c = FOLDED_MARK;
		}
	} while (found);
}

/*
 * How many bytes the character at s has, as fold() reads it
 */
static int
char_width(const char *s, const char *end)
{
	int			encoding = GetDatabaseEncoding();
	int			width = 1;

	if (!IS_HIGHBIT_SET(*s))
		return 1;
	if (!reads_as_utf8(encoding))
		return Min(pg_encoding_mblen(encoding, s), end - s);
	return read_utf8((const unsigned char *) s, (const unsigned char *) end, &width) != 0 ? width : 1;
}

/*
 * Fold a text character by character, so that each has one byte
 */
static size_t
fold_each(char *to, const char *s, const char *end)
{
	char	   *begin = to;
	int			width;

	for (; s < end; s += width)
	{
		char		one[MAX_MULTIBYTE_CHAR_LEN];

		width = char_width(s, end);
		*to++ = fold(one, s, width) == 1 ? one[0] : FOLDED_OTHER;
	}
	return to - begin;
}

/*
 * A copy of a text that holds a card number, with asterisks for its digits
 */
static char *
mask(const char *s)
{
	const char *end = s + strlen(s);
	char	   *masked = palloc(end - s + 1);
	char	   *folded = palloc(end - s + 1);
	char	   *to = masked;
	int			width;

	mark_folded(folded, fold_each(folded, s, end));
	for (; s < end; s += width)
	{
		width = char_width(s, end);
		if (*folded++ == FOLDED_MARK)
			*to++ = '*';
		else
		{
			memcpy(to, s, width);
			to += width;
		}
	}
	*to = '\0';
	return masked;
}

char *
card_masked(const char *s)
{
	char	   *masked = card_number_in(s, strlen(s)) ? mask(s) : pstrdup(s);

	/* whatever a conversion between encodings makes of it: a text that holds a number is not kept */
	return pstrdup(card_hidden(masked));
}

PG_FUNCTION_INFO_V1(kb_mask_card_numbers);
Datum
kb_mask_card_numbers(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(card_masked(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}

/*
 * Refuse a text that holds a card number, for a domain
 */
ErrorContextCallback *
card_hide_context(const char *s)
{
	ErrorContextCallback *context = error_context_stack;

	if (card_number_in(s, strlen(s)))
		error_context_stack = NULL;
	return context;
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
 * Refuse a JSON value that holds a card number, for a domain
 */
PG_FUNCTION_INFO_V1(kb_refuse_card_number_jsonb);
Datum
kb_refuse_card_number_jsonb(PG_FUNCTION_ARGS)
{
	if (card_number_in_jsonb(PG_GETARG_JSONB_P(0)))
		card_refuse("value");
	PG_RETURN_BOOL(true);
}
