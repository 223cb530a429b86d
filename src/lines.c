/*
 * lines.c
 *		kb_lines, the type: JSON in a compact form.
 *
 * A charge of three lines is 660 bytes of jsonb, most of them keys, and texts
 * that are dates and amounts.  Here a value is a tag and what it needs:
 *
 *		END			ends an array or an object
 *		ARRAY		the values up to END
 *		OBJECT		pairs of a key, which is a text, and a value, up to END
 *		NUMBER		the scale, and the number without its decimal point
 *		TEXT		the length, and the bytes
 *		LONG_NUMBER	the same, of a number that is too long for NUMBER
 *		DATE		the days since 2000-01-01, of a text that is such a date
 *		MONEY		the currency and the minor units, of a text that is an amount
 *		from WORDS	a text of the list of words, by its number
 *		from SMALL	a whole number from 0 to 127
 *
 * Lengths and numbers are written 7 bits a byte, low bits first; those that may
 * be below zero with the sign in the lowest bit.
 *
 * The value decides which tag it has, so equal lines have equal bytes.  The text
 * form is that of jsonb, to the letter: the hash of an entry is over it (J5).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "ascii.h"
#include "calendar.h"
#include "currency.h"
#include "lines.h"
#include "price_terms.h"
#include "wire.h"

#define LINES_WIRE_VERSION	1

/* These are stored. */
typedef enum LinesTag
{
	TAG_END, TAG_NULL, TAG_FALSE, TAG_TRUE, TAG_ARRAY, TAG_OBJECT, TAG_NUMBER, TAG_LONG_NUMBER, TAG_TEXT, TAG_DATE, TAG_MONEY,
	TAG_WORDS = 0x40,
	TAG_SMALL = 0x80
} LinesTag;

StaticAssertDecl(TAG_WORDS + LINE_WORDS <= TAG_SMALL, "each word must have a tag");

static const char *const words[LINE_WORDS] = {
	[LINE_TO_DATE] = "to_date", [LINE_DAYS] = "days", [LINE_FROM_DATE] = "from_date", [LINE_WHAT] = "what",
	[LINE_TOPUP] = "topup", [LINE_NAMED] = "named", [LINE_AMOUNT] = "amount", [LINE_EVENTS] = "events", [LINE_FORCED] = "forced",
	[LINE_SERVICE] = "service", [LINE_QUANTITY] = "quantity", [LINE_PRICE] = "price",
	[LINE_BILLED_EVENTS] = "billed_events", [LINE_DAYS_IN_MONTH] = "days_in_month", [LINE_BILLED_QUANTITY] = "billed_quantity",
	[LINE_BASE] = "base", [LINE_BASE_FEE] = "base fee", [LINE_RECURRING_SERVICE] = "recurring service",
	[LINE_USAGE] = "usage", [LINE_LATE_USAGE] = "late usage", [LINE_PURCHASE] = "purchase", [LINE_DISCOUNT] = "discount",
	[LINE_MINIMUM] = "minimum"
};

/* The stored form being read. */
typedef struct LinesReader
{
	const uint8 *at;
	const uint8 *end;
} LinesReader;

/* Write a number that is not below zero */
static void
put_unsigned(StringInfo buf, uint64 n)
{
	for (; n > 0x7F; n >>= 7)
		appendStringInfoCharMacro(buf, (char) (n | 0x80));
	appendStringInfoCharMacro(buf, (char) n);
}

/* Write a number */
static void
put_signed(StringInfo buf, int64 n)
{
	put_unsigned(buf, (uint64) n << 1 ^ (n < 0 ? ~UINT64CONST(0) : 0));
}

/* Write a tag with bytes of any length */
static void
put_bytes(StringInfo buf, LinesTag tag, const char *bytes, size_t len)
{
	appendStringInfoCharMacro(buf, (char) tag);
	put_unsigned(buf, len);
	appendBinaryStringInfo(buf, bytes, len);
}

void
lines_begin(StringInfo buf)
{
	initStringInfo(buf);
	appendStringInfoSpaces(buf, VARHDRSZ);
}

void
lines_begin_after(StringInfo buf, const Lines *lines)
{
	lines_begin(buf);
	appendBinaryStringInfo(buf, VARDATA_ANY(lines), VARSIZE_ANY_EXHDR(lines) - 1);
}

Lines *
lines_end(StringInfo buf)
{
	SET_VARSIZE(buf->data, buf->len);
	return (Lines *) buf->data;
}

void
lines_open_array(StringInfo buf)
{
	appendStringInfoCharMacro(buf, TAG_ARRAY);
}

void
lines_open_object(StringInfo buf)
{
	appendStringInfoCharMacro(buf, TAG_OBJECT);
}

void
lines_close(StringInfo buf)
{
	appendStringInfoCharMacro(buf, TAG_END);
}

void
lines_put_word(StringInfo buf, LinesWord word)
{
	appendStringInfoCharMacro(buf, (char) (TAG_WORDS + word));
}

/* Write mantissa / 10^scale */
static void
put_decimal(StringInfo buf, int64 mantissa, int scale)
{
	if (scale == 0 && mantissa >= 0 && mantissa < TAG_SMALL)
	{
		appendStringInfoCharMacro(buf, (char) (TAG_SMALL | mantissa));
		return;
	}
	appendStringInfoCharMacro(buf, TAG_NUMBER);
	put_unsigned(buf, scale);
	put_signed(buf, mantissa);
}

void
lines_put_int(StringInfo buf, int64 n)
{
	put_decimal(buf, n, 0);
}

/* Write a number as numeric writes it: digits, perhaps with a sign and a decimal point */
static void
put_number(StringInfo buf, const char *str)
{
	size_t		len = strlen(str);
	const char *point = strchr(str, '.');
	int			scale = point ? str + len - point - 1 : 0;
	int64		mantissa = 0;

	if (len > 18 || scale > DECIMAL_MAX_SCALE)
	{
		put_bytes(buf, TAG_LONG_NUMBER, str, len);
		return;
	}
	for (const char *p = str; *p != '\0'; p++)
		if (is_digit(*p))
			mantissa = mantissa * 10 + (*p - '0');
	put_decimal(buf, *str == '-' ? -mantissa : mantissa, scale);
}

void
lines_put_numeric(StringInfo buf, Numeric n)
{
	put_number(buf, DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(n))));
}

void
lines_put_date(StringInfo buf, DateADT day)
{
	char	   *str;

	if (day >= 0 && day <= PG_INT16_MAX)
	{
		appendStringInfoCharMacro(buf, TAG_DATE);
		put_unsigned(buf, day);
		return;
	}
	str = date_to_cstring(day);
	put_bytes(buf, TAG_TEXT, str, strlen(str));
}

void
lines_put_money(StringInfo buf, Money amount)
{
	appendStringInfoCharMacro(buf, TAG_MONEY);
	put_unsigned(buf, money_currency(amount));
	put_signed(buf, money_minor(amount));
}

/* The number of a text in the list of words, or LINE_WORDS */
static int
find_word(const char *str, size_t len)
{
	int			i = 0;

	while (i < LINE_WORDS && (strlen(words[i]) != len || memcmp(words[i], str, len) != 0))
		i++;
	return i;
}

/* Whether a text is what was read from it, written */
static bool
is_written(const char *written, const char *str, size_t len)
{
	return strlen(written) == len && memcmp(written, str, len) == 0;
}

/* Whether a text is a date as date_to_cstring writes it */
static bool
is_date(const char *str, size_t len, DateADT *day)
{
	int			parts[3] = {0};
	int			n = 0;

	if (len != strlen("2026-11-01"))
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (is_digit(str[i]))
			parts[n] = parts[n] * 10 + (str[i] - '0');
		else if (str[i] != '-' || ++n == lengthof(parts))
			return false;
	}
	if (n != 2 || parts[0] < 2000 || parts[1] < 1 || parts[1] > MONTHS_PER_YEAR || parts[2] < 1 || parts[2] > 31)
		return false;
	*day = date2j(parts[0], parts[1], parts[2]) - POSTGRES_EPOCH_JDATE;
	return *day <= PG_INT16_MAX && is_written(date_to_cstring(*day), str, len);
}

/* Whether a text is an amount as money_to_cstring writes it */
static bool
is_money(const char *str, size_t len, Money *amount)
{
	uint16		currency;
	int64		minor = 0;

	if (len < strlen("0 JPY") || len > strlen("-90071992547409.91 USD") || str[len - 4] != ' ')
		return false;
	currency = currency_lookup(str + len - 3, 3);
	if (currency == 0 || currency_exponent(currency) == NO_MINOR_UNIT)
		return false;
	for (size_t i = 0; i < len - 4; i++)
		if (is_digit(str[i]))
			minor = minor * 10 + (str[i] - '0');
	if (minor > MONEY_MINOR_MAX)
		return false;
	*amount = money_make(currency, *str == '-' ? -minor : minor);
	return is_written(money_to_cstring(*amount), str, len);
}

void
lines_put_text(StringInfo buf, const char *str, size_t len)
{
	int			word = find_word(str, len);
	DateADT		day;
	Money		amount;

	if (word < LINE_WORDS)
		lines_put_word(buf, word);
	else if (is_date(str, len, &day))
		lines_put_date(buf, day);
	else if (is_money(str, len, &amount))
		lines_put_money(buf, amount);
	else
		put_bytes(buf, TAG_TEXT, str, len);
}

void
lines_pair_word(StringInfo buf, LinesWord key, LinesWord word)
{
	lines_put_word(buf, key);
	lines_put_word(buf, word);
}

void
lines_pair_text(StringInfo buf, LinesWord key, const char *str)
{
	lines_put_word(buf, key);
	lines_put_text(buf, str, strlen(str));
}

void
lines_pair_int(StringInfo buf, LinesWord key, int64 n)
{
	lines_put_word(buf, key);
	lines_put_int(buf, n);
}

void
lines_pair_numeric(StringInfo buf, LinesWord key, Numeric n)
{
	lines_put_word(buf, key);
	lines_put_numeric(buf, n);
}

void
lines_pair_date(StringInfo buf, LinesWord key, DateADT day)
{
	lines_put_word(buf, key);
	lines_put_date(buf, day);
}

void
lines_pair_money(StringInfo buf, LinesWord key, Money amount)
{
	lines_put_word(buf, key);
	lines_put_money(buf, amount);
}

/* Write a value that is no array and no object */
static void
put_scalar(StringInfo buf, const JsonbValue *v)
{
	switch (v->type)
	{
		case jbvString:
			lines_put_text(buf, v->val.string.val, v->val.string.len);
			break;
		case jbvNumeric:
			lines_put_numeric(buf, v->val.numeric);
			break;
		case jbvBool:
			appendStringInfoCharMacro(buf, v->val.boolean ? TAG_TRUE : TAG_FALSE);
			break;
		default:
			appendStringInfoCharMacro(buf, TAG_NULL);
	}
}

/* The lines that jsonb says; a scalar is in an array there */
static Lines *
lines_from_jsonb(Jsonb *json)
{
	JsonbIterator *it = JsonbIteratorInit(&json->root);
	bool		is_scalar = JB_ROOT_IS_SCALAR(json);
	JsonbIteratorToken token;
	JsonbValue	v;
	StringInfoData buf;

	lines_begin(&buf);
	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		if (token == WJB_KEY || token == WJB_VALUE || token == WJB_ELEM)
			put_scalar(&buf, &v);
		else if (is_scalar)
			continue;
		else if (token == WJB_BEGIN_ARRAY)
			lines_open_array(&buf);
		else if (token == WJB_BEGIN_OBJECT)
			lines_open_object(&buf);
		else
			lines_close(&buf);
	}
	return lines_end(&buf);
}

Lines *
lines_from_cstring(const char *json)
{
	return lines_from_jsonb(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json))));
}

/* Read a byte */
static inline uint8
read_byte(LinesReader *reader)
{
	Assert(reader->at < reader->end);
	return *reader->at++;
}

/* Read a number that is not below zero */
static uint64
read_unsigned(LinesReader *reader)
{
	uint64		n = 0;
	uint8		byte;
	int			shift = 0;

	do
	{
		byte = read_byte(reader);
		n |= (uint64) (byte & 0x7F) << shift;
		shift += 7;
	}
	while (byte & 0x80);
	return n;
}

/* Read a number */
static int64
read_signed(LinesReader *reader)
{
	uint64		n = read_unsigned(reader);

	return (int64) (n >> 1 ^ (n & 1 ? ~UINT64CONST(0) : 0));
}

/* Read bytes of any length; they are not terminated */
static const char *
read_bytes(LinesReader *reader, size_t *len)
{
	const char *bytes;

	*len = read_unsigned(reader);
	bytes = (const char *) reader->at;
	reader->at += *len;
	Assert(reader->at <= reader->end);
	return bytes;
}

/* Read a number's scale, and the number without its decimal point */
static Decimal
read_decimal(LinesReader *reader, bool *negative)
{
	int			scale = read_unsigned(reader);
	int64		n = read_signed(reader);

	*negative = n < 0;
	return (Decimal) {.mantissa = n < 0 ? -n : n, .scale = scale};
}

/* The same as text */
static char *
read_number(LinesReader *reader)
{
	bool		negative;
	char	   *digits = decimal_to_cstring(read_decimal(reader, &negative));

	return negative ? psprintf("-%s", digits) : digits;
}

/* A number below 128 */
static char *
small_number(int n)
{
	char	   *digits = palloc(sizeof("127"));

	pg_ltoa(n, digits);
	return digits;
}

/* Read an amount */
static Money
read_money(LinesReader *reader)
{
	uint16		currency = read_unsigned(reader);

	return money_make(currency, read_signed(reader));
}

/* Whether a value with the tag is a text */
static inline bool
is_text(uint8 tag)
{
	return (tag >= TAG_WORDS && tag < TAG_SMALL) || tag == TAG_TEXT || tag == TAG_DATE || tag == TAG_MONEY;
}

/* Read a value that is no array and no object, as text without quotes, and its length */
static const char *
read_scalar(LinesReader *reader, uint8 tag, size_t *len)
{
	const char *str;

	if (tag == TAG_TEXT || tag == TAG_LONG_NUMBER)
		return read_bytes(reader, len);
	if (tag >= TAG_SMALL)
		str = small_number(tag - TAG_SMALL);
	else if (tag >= TAG_WORDS)
		str = words[tag - TAG_WORDS];
	else if (tag == TAG_DATE)
		str = date_to_cstring(read_unsigned(reader));
	else if (tag == TAG_MONEY)
		str = money_to_cstring(read_money(reader));
	else if (tag == TAG_NUMBER)
		str = read_number(reader);
	else
		str = tag == TAG_TRUE ? "true" : tag == TAG_FALSE ? "false" : "null";
	*len = strlen(str);
	return str;
}

/* Append a value that is no array and no object, as JSON; of texts, only some have to be escaped */
static void
append_scalar(StringInfo buf, LinesReader *reader, uint8 tag)
{
	size_t		len;
	const char *str = read_scalar(reader, tag, &len);

	if (tag == TAG_TEXT)
		escape_json(buf, pnstrdup(str, len));
	else if (is_text(tag))
	{
		appendStringInfoCharMacro(buf, '"');
		appendBinaryStringInfo(buf, str, len);
		appendStringInfoCharMacro(buf, '"');
	}
	else
		appendBinaryStringInfo(buf, str, len);
}

/* Append a value as JSON, as jsonb writes it */
static void
append_value(StringInfo buf, LinesReader *reader, uint8 tag)
{
	uint8		next;
	bool		first = true;

	if (tag != TAG_ARRAY && tag != TAG_OBJECT)
	{
		append_scalar(buf, reader, tag);
		return;
	}
	check_stack_depth();
	appendStringInfoCharMacro(buf, tag == TAG_ARRAY ? '[' : '{');
	while ((next = read_byte(reader)) != TAG_END)
	{
		if (!first)
			appendBinaryStringInfo(buf, ", ", 2);
		first = false;
		if (tag == TAG_OBJECT)
		{
			append_scalar(buf, reader, next);
			appendBinaryStringInfo(buf, ": ", 2);
			next = read_byte(reader);
		}
		append_value(buf, reader, next);
	}
	appendStringInfoCharMacro(buf, tag == TAG_ARRAY ? ']' : '}');
}

/* Start at the first byte */
static LinesReader
read_begin(const Lines *lines)
{
	const uint8 *bytes = (const uint8 *) VARDATA_ANY(lines);

	return (LinesReader) {.at = bytes, .end = bytes + VARSIZE_ANY_EXHDR(lines)};
}

char *
lines_to_cstring(const Lines *lines)
{
	LinesReader reader = read_begin(lines);
	StringInfoData buf;

	initStringInfo(&buf);
	append_value(&buf, &reader, read_byte(&reader));
	Assert(reader.at == reader.end);
	return buf.data;
}

/* Whether a value with the tag is a number */
static inline bool
is_number(uint8 tag)
{
	return tag >= TAG_SMALL || tag == TAG_NUMBER || tag == TAG_LONG_NUMBER;
}

/* Read a number */
static Numeric
read_numeric(LinesReader *reader, uint8 tag)
{
	size_t		len;
	const char *str;

	if (tag >= TAG_SMALL)
		return int64_to_numeric(tag - TAG_SMALL);
	if (tag == TAG_NUMBER)
	{
		bool		negative;
		Numeric		n = decimal_to_numeric(read_decimal(reader, &negative));

		return negative ? DatumGetNumeric(DirectFunctionCall1(numeric_uminus, NumericGetDatum(n))) : n;
	}
	str = read_bytes(reader, &len);
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(pnstrdup(str, len)),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* Read a value that is no array and no object, for jsonb */
static void
read_jsonb_scalar(LinesReader *reader, uint8 tag, JsonbValue *v)
{
	if (is_number(tag))
	{
		v->type = jbvNumeric;
		v->val.numeric = read_numeric(reader, tag);
	}
	else if (is_text(tag))
	{
		size_t		len;

		v->type = jbvString;
		v->val.string.val = unconstify(char *, read_scalar(reader, tag, &len));
		v->val.string.len = len;
	}
	else
	{
		v->type = tag == TAG_NULL ? jbvNull : jbvBool;
		v->val.boolean = tag == TAG_TRUE;
	}
}

/* Push an array or an object, and what is in it; the result is that of the last step */
static JsonbValue *
push_container(JsonbParseState **state, LinesReader *reader, uint8 tag)
{
	bool		is_array = tag == TAG_ARRAY;
	JsonbValue	v;
	uint8		next;

	check_stack_depth();
	(void) pushJsonbValue(state, is_array ? WJB_BEGIN_ARRAY : WJB_BEGIN_OBJECT, NULL);
	while ((next = read_byte(reader)) != TAG_END)
	{
		if (!is_array)
		{
			read_jsonb_scalar(reader, next, &v);
			(void) pushJsonbValue(state, WJB_KEY, &v);
			next = read_byte(reader);
		}
		if (next == TAG_ARRAY || next == TAG_OBJECT)
		{
			(void) push_container(state, reader, next);
			continue;
		}
		read_jsonb_scalar(reader, next, &v);
		(void) pushJsonbValue(state, is_array ? WJB_ELEM : WJB_VALUE, &v);
	}
	return pushJsonbValue(state, is_array ? WJB_END_ARRAY : WJB_END_OBJECT, NULL);
}

/* The lines as jsonb */
static Jsonb *
lines_to_jsonb(const Lines *lines)
{
	LinesReader reader = read_begin(lines);
	uint8		tag = read_byte(&reader);
	JsonbParseState *state = NULL;
	JsonbValue	v;

	if (tag == TAG_ARRAY || tag == TAG_OBJECT)
		return JsonbValueToJsonb(push_container(&state, &reader, tag));
	read_jsonb_scalar(&reader, tag, &v);
	return JsonbValueToJsonb(&v);
}

/* Columns of kb_line_rows, which have the names of the keys */
enum
{
	ROW_SERVICE, ROW_WHAT, ROW_FROM_DATE, ROW_TO_DATE, ROW_DAYS, ROW_DAYS_IN_MONTH, ROW_QUANTITY, ROW_EVENTS, ROW_BILLED_QUANTITY,
	ROW_BILLED_EVENTS, ROW_PRICE, ROW_AMOUNT, ROW_COLUMNS
};

static const LinesWord row_keys[ROW_COLUMNS] = {
	LINE_SERVICE, LINE_WHAT, LINE_FROM_DATE, LINE_TO_DATE, LINE_DAYS, LINE_DAYS_IN_MONTH, LINE_QUANTITY, LINE_EVENTS,
	LINE_BILLED_QUANTITY, LINE_BILLED_EVENTS, LINE_PRICE, LINE_AMOUNT
};

/* The column of a key; ROW_COLUMNS: none */
static int
row_column(uint8 key)
{
	int			i = 0;

	while (i < ROW_COLUMNS && key != TAG_WORDS + row_keys[i])
		i++;
	return i;
}

/* Step over a value */
static void
skip_value(LinesReader *reader, uint8 tag)
{
	uint8		next;
	size_t		len;

	switch (tag)
	{
		case TAG_ARRAY:
		case TAG_OBJECT:
			check_stack_depth();
			while ((next = read_byte(reader)) != TAG_END)
				skip_value(reader, next);
			break;
		case TAG_TEXT:
		case TAG_LONG_NUMBER:
			(void) read_bytes(reader, &len);
			break;
		case TAG_NUMBER:
		case TAG_MONEY:
			(void) read_unsigned(reader);
			(void) read_unsigned(reader);
			break;
		case TAG_DATE:
			(void) read_unsigned(reader);
	}
}

/* Read a value as one of the column's type: what kb_bill writes as it stands, and any other as text that says the same */
static Datum
read_column(LinesReader *reader, uint8 tag, Form_pg_attribute att)
{
	const char *str;
	size_t		len;
	Oid			input;
	Oid			element;

	if (tag == TAG_DATE && att->atttypid == DATEOID)
		return DateADTGetDatum(read_unsigned(reader));
	if (tag >= TAG_SMALL && att->atttypid == INT4OID)
		return Int32GetDatum(tag - TAG_SMALL);
	if (tag >= TAG_SMALL && att->atttypid == INT8OID)
		return Int64GetDatum(tag - TAG_SMALL);
	if (is_number(tag) && att->atttypid == NUMERICOID)
		return NumericGetDatum(read_numeric(reader, tag));
	if (tag == TAG_MONEY && att->attnum == ROW_AMOUNT + 1)
		return MoneyGetDatum(read_money(reader));
	str = read_scalar(reader, tag, &len);
	if (att->atttypid == TEXTOID)
		return PointerGetDatum(cstring_to_text_with_len(str, len));
	getTypeInputInfo(att->atttypid, &input, &element);
	return OidInputFunctionCall(input, pnstrdup(str, len), element, att->atttypmod);
}

/* Refuse lines that are not an array of objects */
static void
refuse_rows(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("lines are not an array of objects"),
			 errhint("kb_check() names entries that are not as they were posted.")));
}

/* Push a text; a key, or a value */
static void
push_text(JsonbParseState **state, JsonbIteratorToken token, const char *str)
{
	JsonbValue	v = {.type = jbvString};

	v.val.string.val = unconstify(char *, str);
	v.val.string.len = strlen(str);
	(void) pushJsonbValue(state, token, &v);
}

JsonbValue *
lines_push_money(JsonbParseState **state, Money amount)
{
	char	   *text = money_to_cstring(amount);

	text[strlen(text) - strlen(" USD")] = '\0';
	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_text(state, WJB_KEY, "amount");
	push_text(state, WJB_VALUE, text);
	push_text(state, WJB_KEY, "currency");
	push_text(state, WJB_VALUE, currency_code(money_currency(amount)));
	return pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Push a value of an object; amounts are objects of their own */
static void
push_value(JsonbParseState **state, LinesReader *reader)
{
	uint8		tag = read_byte(reader);
	JsonbValue	v;

	if (tag == TAG_MONEY)
		(void) lines_push_money(state, read_money(reader));
	else if (tag == TAG_ARRAY || tag == TAG_OBJECT)
		(void) push_container(state, reader, tag);
	else
	{
		read_jsonb_scalar(reader, tag, &v);
		(void) pushJsonbValue(state, WJB_VALUE, &v);
	}
}

/* Where the values of a line begin, by the columns of kb_line_rows; NULL for those that it does not have */
typedef struct LineValues
{
	const uint8 *at[ROW_COLUMNS];
} LineValues;

/* Find the values of the line at which the reader is, without moving it; false if it is not of a charge */
static bool
find_values(LinesReader reader, LineValues *values)
{
	uint8		key;

	memset(values, 0, sizeof(*values));
	while ((key = read_byte(&reader)) != TAG_END)
	{
		int			i = row_column(key);
		size_t		len;

		(void) read_scalar(&reader, key, &len);
		if (i < ROW_COLUMNS)
			values->at[i] = reader.at;
		skip_value(&reader, read_byte(&reader));
	}
	return values->at[ROW_WHAT] != NULL && values->at[ROW_SERVICE] != NULL;
}

/* The text at a place; of what is no scalar, an empty one */
static char *
text_at(const LinesReader *reader, const uint8 *at)
{
	LinesReader there = {.at = at, .end = reader->end};
	uint8		tag = read_byte(&there);
	size_t		len;
	const char *str;

	if (tag == TAG_ARRAY || tag == TAG_OBJECT)
		return pstrdup("");
	str = read_scalar(&there, tag, &len);
	return pnstrdup(str, len);
}

/* Push a pair of a line that has a text, or null */
static void
push_pair(JsonbParseState **state, const char *key, const char *str)
{
	JsonbValue	none = {.type = jbvNull};

	push_text(state, WJB_KEY, key);
	if (str != NULL)
		push_text(state, WJB_VALUE, str);
	else
		(void) pushJsonbValue(state, WJB_VALUE, &none);
}

/* Push a line of a charge: all that any has, and null for what this one does not have */
static void
push_line(JsonbParseState **state, const LinesReader *reader, const LineValues *values, int line_no, LineNames names)
{
	JsonbValue	v = {.type = jbvNumeric};

	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_text(state, WJB_KEY, "line_no");
	v.val.numeric = int64_to_numeric(line_no);
	(void) pushJsonbValue(state, WJB_VALUE, &v);
	push_pair(state, "name", names.name);
	push_pair(state, "unit", names.unit);
	for (int i = 0; i < ROW_COLUMNS; i++)
	{
		LinesReader there = {.at = values->at[i], .end = reader->end};

		if (there.at == NULL)
		{
			push_pair(state, words[row_keys[i]], NULL);
			continue;
		}
		push_text(state, WJB_KEY, words[row_keys[i]]);
		push_value(state, &there);
	}
	(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Push an object with its own keys */
static void
push_object(JsonbParseState **state, LinesReader reader)
{
	JsonbValue	v;
	uint8		key;

	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	while ((key = read_byte(&reader)) != TAG_END)
	{
		read_jsonb_scalar(&reader, key, &v);
		(void) pushJsonbValue(state, WJB_KEY, &v);
		push_value(state, &reader);
	}
	(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

void
lines_push(JsonbParseState **state, const Lines *lines, LineNames (*names) (void *arg, const char *service), void *arg)
{
	LinesReader reader = read_begin(lines);
	LineValues	values;
	uint8		tag;
	int			line_no = 0;

	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	if (read_byte(&reader) != TAG_ARRAY)
		refuse_rows();
	while ((tag = read_byte(&reader)) != TAG_END)
	{
		LinesReader inside = reader;

		if (tag != TAG_OBJECT)
			refuse_rows();
		skip_value(&reader, tag);
		line_no++;
		if (find_values(inside, &values))
			push_line(state, &inside, &values, line_no, names(arg, text_at(&inside, values.at[ROW_SERVICE])));
		else
			push_object(state, inside);
	}
	(void) pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* The date at a place */
static DateADT
date_at(const LinesReader *reader, const uint8 *at)
{
	LinesReader there = {.at = at, .end = reader->end};

	if (read_byte(&there) == TAG_DATE)
		return read_unsigned(&there);
	return DatumGetDateADT(DirectFunctionCall1(date_in, CStringGetDatum(text_at(reader, at))));
}

/* Whether a line has, besides a service, what lines of a bill have */
static bool
is_of_bill(const LineValues *values)
{
	return values->at[ROW_FROM_DATE] != NULL && values->at[ROW_AMOUNT] != NULL && *values->at[ROW_AMOUNT] == TAG_MONEY;
}

/* Refuse lines that are not */
static void
refuse_bill(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("lines are not those of a bill"),
			 errdetail("Each has a service, what it is for, a date and an amount.")));
}

void
lines_each(const Lines *lines, void (*each) (void *arg, const char *service, DateADT from, Money amount), void *arg)
{
	LinesReader reader = read_begin(lines);
	LineValues	values;
	uint8		tag;

	if (read_byte(&reader) != TAG_ARRAY)
		refuse_rows();
	while ((tag = read_byte(&reader)) != TAG_END)
	{
		LinesReader amount;

		if (tag != TAG_OBJECT || !find_values(reader, &values) || !is_of_bill(&values))
			refuse_bill();
		amount = (LinesReader) {.at = values.at[ROW_AMOUNT] + 1, .end = reader.end};
		each(arg, text_at(&reader, values.at[ROW_SERVICE]), date_at(&reader, values.at[ROW_FROM_DATE]), read_money(&amount));
		skip_value(&reader, tag);
	}
}

/* Read a line */
static void
read_row(LinesReader *reader, TupleDesc desc, Datum *values, bool *nulls)
{
	uint8		key;

	memset(nulls, true, ROW_COLUMNS);
	while ((key = read_byte(reader)) != TAG_END)
	{
		int			i = row_column(key);
		size_t		len;
		uint8		tag;

		(void) read_scalar(reader, key, &len);
		tag = read_byte(reader);
		if (i == ROW_COLUMNS || tag == TAG_ARRAY || tag == TAG_OBJECT || tag == TAG_NULL)
		{
			skip_value(reader, tag);
			continue;
		}
		values[i] = read_column(reader, tag, TupleDescAttr(desc, i));
		nulls[i] = false;
	}
}

/* kb_line_rows(lines) */
PG_FUNCTION_INFO_V1(kb_line_rows);
Datum
kb_line_rows(PG_FUNCTION_ARGS)
{
	LinesReader reader = read_begin(PG_GETARG_LINES(0));
	ReturnSetInfo *rows = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[ROW_COLUMNS];
	bool		nulls[ROW_COLUMNS];
	uint8		tag;

	InitMaterializedSRF(fcinfo, 0);
	if (read_byte(&reader) != TAG_ARRAY)
		refuse_rows();
	while ((tag = read_byte(&reader)) != TAG_END)
	{
		if (tag != TAG_OBJECT)
			refuse_rows();
		read_row(&reader, rows->setDesc, values, nulls);
		tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(kb_lines_in);
Datum
kb_lines_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_LINES(lines_from_cstring(PG_GETARG_CSTRING(0)));
}

PG_FUNCTION_INFO_V1(kb_lines_out);
Datum
kb_lines_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(lines_to_cstring(PG_GETARG_LINES(0)));
}

PG_FUNCTION_INFO_V1(kb_lines_recv);
Datum
kb_lines_recv(PG_FUNCTION_ARGS)
{
	PG_RETURN_LINES(lines_from_cstring(wire_receive(fcinfo, LINES_WIRE_VERSION, "kb_lines")));
}

PG_FUNCTION_INFO_V1(kb_lines_send);
Datum
kb_lines_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(wire_send(LINES_WIRE_VERSION, lines_to_cstring(PG_GETARG_LINES(0))));
}

/* Cast to jsonb */
PG_FUNCTION_INFO_V1(kb_lines_to_jsonb);
Datum
kb_lines_to_jsonb(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(lines_to_jsonb(PG_GETARG_LINES(0)));
}

/* Cast from jsonb */
PG_FUNCTION_INFO_V1(kb_lines_from_jsonb);
Datum
kb_lines_from_jsonb(PG_FUNCTION_ARGS)
{
	PG_RETURN_LINES(lines_from_jsonb(PG_GETARG_JSONB_P(0)));
}

/* Whether the bytes are the same */
static bool
lines_equal(const Lines *a, const Lines *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

PG_FUNCTION_INFO_V1(kb_lines_eq);
Datum
kb_lines_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(lines_equal(PG_GETARG_LINES(0), PG_GETARG_LINES(1)));
}

PG_FUNCTION_INFO_V1(kb_lines_ne);
Datum
kb_lines_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!lines_equal(PG_GETARG_LINES(0), PG_GETARG_LINES(1)));
}

PG_FUNCTION_INFO_V1(kb_lines_hash);
Datum
kb_lines_hash(PG_FUNCTION_ARGS)
{
	const Lines *lines = PG_GETARG_LINES(0);

	return hash_any((const uint8 *) VARDATA_ANY(lines), VARSIZE_ANY_EXHDR(lines));
}
