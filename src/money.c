/*
 * money.c
 *		kb_money: text and binary form, arithmetic, order, aggregates
 *		(rules M1 to M4).
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/int.h"
#include "libpq/pqformat.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/sortsupport.h"

#include "ascii.h"
#include "card.h"
#include "compat.h"
#include "currency.h"
#include "decimal.h"
#include "errors.h"
#include "money.h"

/* Sign, 16 digits, a zero before the point, the point, blank, code, end. */
#define MONEY_TEXT_SIZE		32

#define MONEY_OUT_OF_RANGE \
	(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), \
	 errmsg("kb_money out of range"), \
	 errdetail("An amount is a count of at most %lld (2^53 - 1) minor units of its currency.", \
			   (long long) MONEY_MINOR_MAX))

/* A number as it was written, before its currency is known. */
typedef struct WrittenAmount
{
	uint64		digits;			/* stops growing once out of range */
	int			fraction;		/* how many of them stand after the point */
	bool		negative;
} WrittenAmount;

/* State of sum() and avg(); the currency counts only while count > 0. */
typedef struct MoneySum
{
	int128		total;
	int64		count;
	uint16		currency;
} MoneySum;

/*
 * Values
 */

/* Factor from major to minor units */
static inline int64
minor_per_major(uint16 currency)
{
	int			exponent = currency_exponent(currency);

	if (exponent < 0)
		elog(ERROR, "kb_money with invalid currency number %d", currency);
	return power_of_ten(exponent);
}

/* Value from its parts */
Money
money_make(uint16 currency, int64 minor)
{
	Assert(currency_exponent(currency) != NO_MINOR_UNIT);
	if (minor > MONEY_MINOR_MAX || minor < -MONEY_MINOR_MAX)
		ereport(ERROR, MONEY_OUT_OF_RANGE);
	return ((Money) currency << MONEY_MINOR_BITS) | (Money) (minor + MONEY_MINOR_BIAS);
}

/* Refuse two currencies */
static inline void
check_same_currency(uint16 a, uint16 b)
{
	if (unlikely(a != b))
		ereport(ERROR,
				(errcode(ERRCODE_KB_CURRENCY_MISMATCH),
				 errmsg("amounts in two currencies cannot be combined"),
				 errdetail("One amount is in %s, the other in %s.",
						   currency_code(a), currency_code(b)),
				 errhint("Convert one of them first, or keep them apart with GROUP BY kbilling.kb_currency(...).")));
}

void
money_check_same_currency(Money a, Money b)
{
	check_same_currency(money_currency(a), money_currency(b));
}

/* Two counts below 2^53 never overflow 64 bits; money_make checks the rest. */
Money
money_add(Money a, Money b)
{
	money_check_same_currency(a, b);
	return money_make(money_currency(a), money_minor(a) + money_minor(b));
}

Money
money_sub(Money a, Money b)
{
	money_check_same_currency(a, b);
	return money_make(money_currency(a), money_minor(a) - money_minor(b));
}

Money
money_neg(Money m)
{
	return money_make(money_currency(m), -money_minor(m));
}

/*
 * Text form
 */

/* Refuse what is not an amount */
static bool
syntax_error(const char *input, const char *detail, struct Node *escontext)
{
	ereturn(escontext, false,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", "kb_money", card_hidden(input)),
			 errdetail("%s", detail),
			 errhint("Write an amount like \"19.00 USD\".")));
}

/* Step over blanks */
static const char *
skip_blanks(const char *s)
{
	while (scanner_isspace(*s))
		s++;
	return s;
}

/* Step over ASCII letters */
static const char *
skip_letters(const char *s)
{
	while (is_letter(*s))
		s++;
	return s;
}

/* Read digits and a point; false if there is no digit */
static bool
scan_amount(const char **s, WrittenAmount *amount)
{
	const char *p = *s;
	bool		in_fraction = false;
	bool		found = false;

	*amount = (WrittenAmount) {.negative = (*p == '-')};
	if (*p == '-' || *p == '+')
		p++;
	for (;; p++)
	{
		if (is_digit(*p))
		{
			found = true;
			amount->fraction += in_fraction;
			if (amount->digits <= MONEY_MINOR_MAX)
				amount->digits = amount->digits * 10 + (*p - '0');
		}
		else if (*p == '.' && !in_fraction)
			in_fraction = true;
		else
			break;
	}
	*s = p;
	return found;
}

/* Scale an amount to minor units */
static bool
count_minor(const char *input, const WrittenAmount *amount, uint16 currency,
			Money *result, struct Node *escontext)
{
	int			exponent = currency_exponent(currency);
	uint64		minor;

	if (exponent == NO_MINOR_UNIT)
		ereturn(escontext, false, CURRENCY_NOT_MONEY(currency));
	if (amount->fraction > exponent)
		ereturn(escontext, false,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("too many decimals in amount \"%s\"", card_hidden(input)),
				 errdetail("%s has %d of them, the amount has %d.",
						   currency_code(currency), exponent, amount->fraction),
				 errhint("Round it first: amounts are never rounded on input.")));
	if (pg_mul_u64_overflow(amount->digits, power_of_ten(exponent - amount->fraction), &minor) ||
		minor > MONEY_MINOR_MAX)
		ereturn(escontext, false, MONEY_OUT_OF_RANGE);

	*result = money_make(currency, amount->negative ? -(int64) minor : (int64) minor);
	return true;
}

/* Read number and code, in either order */
static bool
money_parse(const char *input, Money *result, struct Node *escontext)
{
	const char *s = skip_blanks(input);
	const char *code = s;
	const char *code_end = skip_letters(s);
	bool		code_first = code_end > code;
	WrittenAmount amount;
	uint16		currency;

	if (code_first)
		s = skip_blanks(code_end);
	if (!scan_amount(&s, &amount))
		return syntax_error(input, "A number is missing.", escontext);
	if (!code_first)
	{
		code = skip_blanks(s);
		s = code_end = skip_letters(code);
		if (code_end == code)
			return syntax_error(input, "The currency code is missing.", escontext);
	}
	if (*skip_blanks(s) != '\0')
		return syntax_error(input, "There is more text after the amount.", escontext);

	currency = currency_lookup(code, code_end - code);
	if (currency == 0)
		ereturn(escontext, false, CURRENCY_UNKNOWN(currency_shown(code, code_end - code)));
	return count_minor(input, &amount, currency, result, escontext);
}

Money
money_from_cstring(const char *str)
{
	Money		result = NO_MONEY;

	(void) money_parse(str, &result, NULL);
	return result;
}

/* Write "19.00 USD" */
char *
money_to_cstring(Money m)
{
	char	   *result = palloc(MONEY_TEXT_SIZE);
	char	   *p = result;
	int64		minor = money_minor(m);
	uint16		currency = money_currency(m);
	int64		factor = minor_per_major(currency);
	uint64		magnitude = minor < 0 ? -minor : minor;

	if (minor < 0)
		*p++ = '-';
	p += pg_ulltoa_n(magnitude / factor, p);
	if (factor > 1)
	{
		*p++ = '.';
		p = pg_ultostr_zeropad(p, magnitude % factor, currency_exponent(currency));
	}
	*p++ = ' ';
	strcpy(p, currency_code(currency));
	return result;
}

PG_FUNCTION_INFO_V1(kb_money_in);
Datum
kb_money_in(PG_FUNCTION_ARGS)
{
	char	   *input = PG_GETARG_CSTRING(0);
	ErrorContextCallback *context = card_hide_context(input);
	Money		result;
	bool		valid = money_parse(input, &result, KB_ESCONTEXT(fcinfo));

	error_context_stack = context;
	if (!valid)
		PG_RETURN_NULL();
	PG_RETURN_MONEY(result);
}

PG_FUNCTION_INFO_V1(kb_money_out);
Datum
kb_money_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(money_to_cstring(PG_GETARG_MONEY(0)));
}

/* Binary form, which is read without a list of currencies: int64 minor units, int8 decimals, three letters */
PG_FUNCTION_INFO_V1(kb_money_recv);
Datum
kb_money_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int64		minor = pq_getmsgint64(buf);
	int			decimals = (int8) pq_getmsgbyte(buf);
	uint16		currency = currency_lookup(pq_getmsgbytes(buf, CURRENCY_LETTERS), CURRENCY_LETTERS);

	if (decimals == NO_MINOR_UNIT || decimals != currency_exponent(currency))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid currency in external kb_money value"),
				 errhint("Send the decimals and the three letters of a currency of ISO 4217, such as 2 and USD.")));
	PG_RETURN_MONEY(money_make(currency, minor));
}

PG_FUNCTION_INFO_V1(kb_money_send);
Datum
kb_money_send(PG_FUNCTION_ARGS)
{
	Money		m = PG_GETARG_MONEY(0);
	uint16		currency = money_currency(m);
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendint64(&buf, money_minor(m));
	pq_sendint8(&buf, currency_exponent(currency));
	pq_sendbytes(&buf, currency_code(currency), CURRENCY_LETTERS);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/*
 * Numbers
 */

/* Magnitude of a numeric */
static inline Numeric
numeric_magnitude(Numeric n)
{
	return DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(n)));
}

/* Whether a number is zero, told without arithmetic by its having no digits; it may miss a zero. */
static inline bool
numeric_is_plain_zero(Numeric n)
{
	return VARSIZE_ANY_EXHDR(n) == sizeof(uint16) &&
		!numeric_is_nan(n) && !numeric_is_inf(n);
}

/* Refuse NaN and infinity */
static inline void
check_finite_amount(Numeric n)
{
	if (numeric_is_nan(n) || numeric_is_inf(n))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("NaN and infinity are not amounts of money")));
}

/* Minor units of a whole number */
static int64
minor_from_whole(Numeric whole)
{
	if (numeric_order(numeric_magnitude(whole), int64_to_numeric(MONEY_MINOR_MAX)) > 0)
		ereport(ERROR, MONEY_OUT_OF_RANGE);
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(whole)));
}

/* Round minor units, half away from zero as numeric does */
static int64
minor_from_numeric(Numeric minor)
{
	return minor_from_whole(DatumGetNumeric(DirectFunctionCall2(numeric_round,
																NumericGetDatum(minor),
																Int32GetDatum(0))));
}

Numeric
money_to_numeric(Money m)
{
	uint16		currency = money_currency(m);

	return int64_div_fast_to_numeric(money_minor(m), currency_exponent(currency));
}

/* M4: minor_from_numeric rounds */
Money
money_round_numeric(Numeric amount, uint16 currency)
{
	Numeric		factor = int64_to_numeric(minor_per_major(currency));

	check_finite_amount(amount);
	return money_make(currency,
					  minor_from_numeric(numeric_call(numeric_mul, amount, factor)));
}

/* The product is exact, so it is rounded once. */
static Money
money_mul(Money m, Numeric factor)
{
	Numeric		product;

	check_finite_amount(factor);
	product = numeric_call(numeric_mul, int64_to_numeric(money_minor(m)), factor);
	return money_make(money_currency(m), minor_from_numeric(product));
}

/*
 * A quotient of numerics is rounded already, and rounding it again may go
 * wrong by one; so look at the remainder of the whole quotient instead.
 */
static Money
money_div(Money m, Numeric divisor)
{
	Numeric		dividend = int64_to_numeric(money_minor(m));
	Numeric		quotient;
	Numeric		rest;
	int64		minor;

	check_finite_amount(divisor);
	quotient = numeric_call(numeric_div_trunc, dividend, divisor);
	minor = minor_from_whole(quotient);
	rest = numeric_call(numeric_sub, dividend,
						numeric_call(numeric_mul, quotient, divisor));
	if (numeric_order(numeric_magnitude(numeric_call(numeric_add, rest, rest)),
					  numeric_magnitude(divisor)) >= 0)
	{
		bool		divisor_negative = numeric_order(divisor, int64_to_numeric(0)) < 0;

		minor += (money_minor(m) < 0) == divisor_negative ? 1 : -1;
	}
	return money_make(money_currency(m), minor);
}

/* SQL: amount and code to money, exactly */
PG_FUNCTION_INFO_V1(kb_money);
Datum
kb_money(PG_FUNCTION_ARGS)
{
	Numeric		amount = PG_GETARG_NUMERIC(0);
	uint16		currency = currency_from_text(PG_GETARG_TEXT_PP(1));
	Money		result = money_round_numeric(amount, currency);

	if (numeric_order(money_to_numeric(result), amount) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("too many decimals in amount %s", card_hidden(numeric_normalize(amount))),
				 errdetail("%s has %d of them.",
						   currency_code(currency), currency_exponent(currency)),
				 errhint("Round it first: amounts are rounded only where a line of a charge is made.")));
	PG_RETURN_MONEY(result);
}

PG_FUNCTION_INFO_V1(kb_amount);
Datum
kb_amount(PG_FUNCTION_ARGS)
{
	PG_RETURN_NUMERIC(money_to_numeric(PG_GETARG_MONEY(0)));
}

PG_FUNCTION_INFO_V1(kb_currency);
Datum
kb_currency(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(currency_code(money_currency(PG_GETARG_MONEY(0)))));
}

PG_FUNCTION_INFO_V1(kb_minor);
Datum
kb_minor(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(money_minor(PG_GETARG_MONEY(0)));
}

PG_FUNCTION_INFO_V1(kb_max_minor);
Datum
kb_max_minor(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(MONEY_MINOR_MAX);
}

/*
 * Operators
 */

PG_FUNCTION_INFO_V1(kb_money_add);
Datum
kb_money_add(PG_FUNCTION_ARGS)
{
	PG_RETURN_MONEY(money_add(PG_GETARG_MONEY(0), PG_GETARG_MONEY(1)));
}

PG_FUNCTION_INFO_V1(kb_money_sub);
Datum
kb_money_sub(PG_FUNCTION_ARGS)
{
	PG_RETURN_MONEY(money_sub(PG_GETARG_MONEY(0), PG_GETARG_MONEY(1)));
}

PG_FUNCTION_INFO_V1(kb_money_neg);
Datum
kb_money_neg(PG_FUNCTION_ARGS)
{
	PG_RETURN_MONEY(money_neg(PG_GETARG_MONEY(0)));
}

PG_FUNCTION_INFO_V1(kb_money_abs);
Datum
kb_money_abs(PG_FUNCTION_ARGS)
{
	Money		m = PG_GETARG_MONEY(0);

	PG_RETURN_MONEY(money_minor(m) < 0 ? money_neg(m) : m);
}

PG_FUNCTION_INFO_V1(kb_money_mul_numeric);
Datum
kb_money_mul_numeric(PG_FUNCTION_ARGS)
{
	PG_RETURN_MONEY(money_mul(PG_GETARG_MONEY(0), PG_GETARG_NUMERIC(1)));
}

PG_FUNCTION_INFO_V1(numeric_mul_kb_money);
Datum
numeric_mul_kb_money(PG_FUNCTION_ARGS)
{
	PG_RETURN_MONEY(money_mul(PG_GETARG_MONEY(1), PG_GETARG_NUMERIC(0)));
}

PG_FUNCTION_INFO_V1(kb_money_div_numeric);
Datum
kb_money_div_numeric(PG_FUNCTION_ARGS)
{
	PG_RETURN_MONEY(money_div(PG_GETARG_MONEY(0), PG_GETARG_NUMERIC(1)));
}

/* Ratio of two amounts */
PG_FUNCTION_INFO_V1(kb_money_div);
Datum
kb_money_div(PG_FUNCTION_ARGS)
{
	Money		a = PG_GETARG_MONEY(0);
	Money		b = PG_GETARG_MONEY(1);

	money_check_same_currency(a, b);
	PG_RETURN_NUMERIC(numeric_call(numeric_div, int64_to_numeric(money_minor(a)),
								   int64_to_numeric(money_minor(b))));
}

/*
 * Order
 */

/* Order of the amount alone against a number */
static int
money_numeric_order(Money m, Numeric n)
{
	int64		minor = money_minor(m);

	if (numeric_is_plain_zero(n))
		return (minor > 0) - (minor < 0);
	return numeric_order(money_to_numeric(m), n);
}

/* One comparison, for each pair of operands */
#define MONEY_COMPARISON(name, op) \
PG_FUNCTION_INFO_V1(kb_money_##name); \
Datum \
kb_money_##name(PG_FUNCTION_ARGS) \
{ \
	PG_RETURN_BOOL(PG_GETARG_MONEY(0) op PG_GETARG_MONEY(1)); \
} \
PG_FUNCTION_INFO_V1(kb_money_##name##_numeric); \
Datum \
kb_money_##name##_numeric(PG_FUNCTION_ARGS) \
{ \
	PG_RETURN_BOOL(money_numeric_order(PG_GETARG_MONEY(0), PG_GETARG_NUMERIC(1)) op 0); \
} \
PG_FUNCTION_INFO_V1(numeric_##name##_kb_money); \
Datum \
numeric_##name##_kb_money(PG_FUNCTION_ARGS) \
{ \
	PG_RETURN_BOOL(0 op money_numeric_order(PG_GETARG_MONEY(1), PG_GETARG_NUMERIC(0))); \
} \
extern int	no_such_variable

MONEY_COMPARISON(eq, ==);
MONEY_COMPARISON(ne, !=);
MONEY_COMPARISON(lt, <);
MONEY_COMPARISON(le, <=);
MONEY_COMPARISON(gt, >);
MONEY_COMPARISON(ge, >=);

PG_FUNCTION_INFO_V1(kb_money_cmp);
Datum
kb_money_cmp(PG_FUNCTION_ARGS)
{
	Money		a = PG_GETARG_MONEY(0);
	Money		b = PG_GETARG_MONEY(1);

	PG_RETURN_INT32((a > b) - (a < b));
}

/* The order is that of unsigned datums, which the server sorts inline. */
PG_FUNCTION_INFO_V1(kb_money_sortsupport);
Datum
kb_money_sortsupport(PG_FUNCTION_ARGS)
{
	SortSupport ssup = (SortSupport) PG_GETARG_POINTER(0);

	ssup->comparator = ssup_datum_unsigned_cmp;
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(kb_money_hash);
Datum
kb_money_hash(PG_FUNCTION_ARGS)
{
	Money		m = PG_GETARG_MONEY(0);

	return hash_any((unsigned char *) &m, sizeof(m));
}

PG_FUNCTION_INFO_V1(kb_money_hash_extended);
Datum
kb_money_hash_extended(PG_FUNCTION_ARGS)
{
	Money		m = PG_GETARG_MONEY(0);

	return hash_any_extended((unsigned char *) &m, sizeof(m), PG_GETARG_INT64(1));
}

/*
 * Aggregates
 */

/* Step of min() */
PG_FUNCTION_INFO_V1(kb_money_smaller);
Datum
kb_money_smaller(PG_FUNCTION_ARGS)
{
	Money		a = PG_GETARG_MONEY(0);
	Money		b = PG_GETARG_MONEY(1);

	money_check_same_currency(a, b);
	PG_RETURN_MONEY(Min(a, b));
}

/* Step of max() */
PG_FUNCTION_INFO_V1(kb_money_larger);
Datum
kb_money_larger(PG_FUNCTION_ARGS)
{
	Money		a = PG_GETARG_MONEY(0);
	Money		b = PG_GETARG_MONEY(1);

	money_check_same_currency(a, b);
	PG_RETURN_MONEY(Max(a, b));
}

/* State of the aggregate, made on first use */
static MoneySum *
sum_state(FunctionCallInfo fcinfo)
{
	MemoryContext aggregate;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "kb_money aggregate called in non-aggregate context");
	if (!PG_ARGISNULL(0))
		return (MoneySum *) PG_GETARG_POINTER(0);
	return MemoryContextAllocZero(aggregate, sizeof(MoneySum));
}

/* Add a part to the sum; sign is -1 to take it out again */
static void
sum_move(MoneySum *state, uint16 currency, int128 total, int64 count, int sign)
{
	if (state->count == 0)
		state->currency = currency;
	check_same_currency(state->currency, currency);
	state->total += sign * total;
	state->count += sign * count;
}

/* Step of sum() and avg() */
PG_FUNCTION_INFO_V1(kb_money_accum);
Datum
kb_money_accum(PG_FUNCTION_ARGS)
{
	MoneySum   *state = sum_state(fcinfo);

	if (!PG_ARGISNULL(1))
	{
		Money		m = PG_GETARG_MONEY(1);

		sum_move(state, money_currency(m), money_minor(m), 1, 1);
	}
	PG_RETURN_POINTER(state);
}

/* Step back, for a window that moves */
PG_FUNCTION_INFO_V1(kb_money_accum_inv);
Datum
kb_money_accum_inv(PG_FUNCTION_ARGS)
{
	MoneySum   *state = sum_state(fcinfo);

	if (!PG_ARGISNULL(1))
	{
		Money		m = PG_GETARG_MONEY(1);

		Assert(state->count > 0);
		sum_move(state, money_currency(m), money_minor(m), 1, -1);
	}
	PG_RETURN_POINTER(state);
}

/* Join two workers' states */
PG_FUNCTION_INFO_V1(kb_money_combine);
Datum
kb_money_combine(PG_FUNCTION_ARGS)
{
	MoneySum   *state = sum_state(fcinfo);

	if (!PG_ARGISNULL(1))
	{
		MoneySum   *other = (MoneySum *) PG_GETARG_POINTER(1);

		if (other->count > 0)
			sum_move(state, other->currency, other->total, other->count, 1);
	}
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(kb_money_serialize);
Datum
kb_money_serialize(PG_FUNCTION_ARGS)
{
	MoneySum   *state = sum_state(fcinfo);
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendint16(&buf, state->currency);
	pq_sendint64(&buf, state->count);
	pq_sendint64(&buf, (uint64) (state->total >> 64));
	pq_sendint64(&buf, (uint64) state->total);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

PG_FUNCTION_INFO_V1(kb_money_deserialize);
Datum
kb_money_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *bytes;
	StringInfoData buf;
	MoneySum   *state = palloc(sizeof(MoneySum));
	uint64		high;
	uint64		low;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "kb_money aggregate called in non-aggregate context");
	bytes = PG_GETARG_BYTEA_PP(0);
	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	state->currency = (uint16) pq_getmsgint(&buf, 2);
	state->count = pq_getmsgint64(&buf);
	high = pq_getmsgint64(&buf);
	low = pq_getmsgint64(&buf);
	state->total = (int128) (((uint128) high << 64) | low);
	pq_getmsgend(&buf);
	PG_RETURN_POINTER(state);
}

/* State of a final function; NULL where there was nothing to add */
static inline MoneySum *
final_state(FunctionCallInfo fcinfo)
{
	MoneySum   *state = PG_ARGISNULL(0) ? NULL : (MoneySum *) PG_GETARG_POINTER(0);

	return state != NULL && state->count > 0 ? state : NULL;
}

/* The range is checked last, so the order of the rows does not matter. */
PG_FUNCTION_INFO_V1(kb_money_sum);
Datum
kb_money_sum(PG_FUNCTION_ARGS)
{
	MoneySum   *state = final_state(fcinfo);

	if (state == NULL)
		PG_RETURN_NULL();
	if (state->total > MONEY_MINOR_MAX || state->total < -MONEY_MINOR_MAX)
		ereport(ERROR, MONEY_OUT_OF_RANGE);
	PG_RETURN_MONEY(money_make(state->currency, (int64) state->total));
}

/* Rounded half away from zero */
PG_FUNCTION_INFO_V1(kb_money_avg);
Datum
kb_money_avg(PG_FUNCTION_ARGS)
{
	MoneySum   *state = final_state(fcinfo);
	int128		twice;

	if (state == NULL)
		PG_RETURN_NULL();
	twice = 2 * state->total + (state->total < 0 ? -state->count : state->count);
	PG_RETURN_MONEY(money_make(state->currency,
							   (int64) (twice / (2 * (int128) state->count))));
}
