/*
 * rate.c
 *		What a quantity costs by a kb_price, and why (rules P, C3, M4).
 *
 * A walk over the price turns a quantity into parts, each with its exact
 * amount.  Rating is their sum, rounded once; explaining shows them.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "currency.h"
#include "price.h"
#include "price_parts.h"

/* Columns of kb_explain_price */
enum
{
	EXPLAIN_WHAT, EXPLAIN_FROM_UNITS, EXPLAIN_TO_UNITS, EXPLAIN_UNITS, EXPLAIN_UNIT_PRICE,
	EXPLAIN_FLAT_FEE, EXPLAIN_AMOUNT, EXPLAIN_COLUMNS
};

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
 * Refuse days that are no part of a period
 */
static void
check_days(int days, int days_in_period)
{
	if (days < 0 || days_in_period < 1 || days > days_in_period)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("days are not a part of the period"),
				 errdetail("They are %d of %d.", days, days_in_period),
				 errhint("Give from 0 to all days of a period of at least one day (C3).")));
}

/*
 * Add a part and its amount
 */
static void
add_part(PriceParts *parts, PricePart part)
{
	Assert(parts->count < MAX_PARTS);
	parts->sum = parts->count == 0 ? part.amount : numeric_call(numeric_add, parts->sum, part.amount);
	parts->parts[parts->count++] = part;
}

/*
 * Add a part whose amount follows from its units and prices
 */
static void
add_priced(PriceParts *parts, PricePart part)
{
	part.amount = numeric_call(numeric_mul, part.units, part.unit_price);
	if (part.fee != NULL)
		part.amount = numeric_call(numeric_add, part.amount, part.fee);
	add_part(parts, part);
}

/*
 * How many packages are started
 *
 * Whole packages first, then the rest: the quotient of two numerics may be
 * rounded, the whole part of it never is.
 */
static Numeric
started_packages(Numeric units, Numeric size)
{
	Numeric		whole = numeric_call(numeric_div_trunc, units, size);

	if (numeric_order(numeric_call(numeric_mul, whole, size), units) < 0)
		whole = numeric_call(numeric_add, whole, int64_to_numeric(1));
	return whole;
}

/*
 * What the price of a tier is multiplied by: its units, or how many packages they make
 */
static Numeric
measured(const PriceTier *tier, Numeric units)
{
	if (tier->measure == MEASURE_PACKAGES)
		return started_packages(units, decimal_to_numeric(tier->per));
	if (tier->measure == MEASURE_FULL_PACKAGES)
		return numeric_call(numeric_div_trunc, units, decimal_to_numeric(tier->per));
	return units;
}

/*
 * Add the units of a tier that are to be paid for, at least a fraction of one
 *
 * The flat fee is not due for units that make no full package.
 */
static void
add_tier(PriceParts *parts, const PriceTerms *terms, int i, Numeric from, Numeric to, Numeric units)
{
	const PriceTier *tier = &terms->tiers[i];
	PricePart	part = {.kind = PART_TIER, .tier = i, .from = from, .to = to};

	part.units = measured(tier, units);
	part.unit_price = decimal_to_numeric(tier->unit);
	if (tier->measure == MEASURE_PERCENT)
		part.unit_price = int64_div_fast_to_numeric(tier->unit.mantissa, tier->unit.scale + 2);
	if (tier->has_fee && numeric_order(part.units, int64_to_numeric(0)) > 0)
		part.fee = decimal_to_numeric(tier->fee);
	add_priced(parts, part);
}

/*
 * P: each unit in its own tier; a price without tiers counts as one tier without an end
 */
static void
walk_graduated(PriceParts *parts, const PriceTerms *terms, Numeric quantity, Numeric free_units)
{
	Numeric		from = free_units;

	for (int i = 0; i < terms->ntiers; i++)
	{
		bool		last = i == terms->ntiers - 1;
		Numeric		edge = last ? NULL : decimal_to_numeric(terms->tiers[i].to);
		bool		ends_here = last || numeric_order(quantity, edge) <= 0;
		Numeric		upto = ends_here ? quantity : edge;

		if (numeric_order(from, upto) < 0)
		{
			add_tier(parts, terms, i, from, edge, numeric_call(numeric_sub, upto, from));
			from = upto;
		}
		if (ends_here)
			break;
	}
}

/*
 * P: all units in the tier that the total reaches
 */
static void
walk_volume(PriceParts *parts, const PriceTerms *terms, Numeric quantity, Numeric free_units)
{
	Numeric		from = int64_to_numeric(0);
	Numeric		to = NULL;
	int			i;

	if (numeric_order(quantity, free_units) <= 0)
		return;
	for (i = 0; i < terms->ntiers - 1; i++)
	{
		to = decimal_to_numeric(terms->tiers[i].to);
		if (numeric_order(quantity, to) <= 0)
			break;
		from = to;
		to = NULL;
	}
	add_tier(parts, terms, i, from, to, numeric_call(numeric_sub, quantity, free_units));
}

/*
 * Add the free units, and return how many there may be
 */
static Numeric
add_free(PriceParts *parts, const PriceTerms *terms, Numeric quantity)
{
	Numeric		zero = int64_to_numeric(0);
	PricePart	part = {.kind = PART_FREE, .from = zero, .unit_price = zero, .amount = zero};

	if (!terms_have(terms, SLOT_FREE))
		return zero;
	part.to = decimal_to_numeric(terms->numbers[SLOT_FREE]);
	part.units = numeric_call(numeric_smaller, quantity, part.to);
	if (numeric_order(part.units, zero) > 0)
		add_part(parts, part);
	return part.to;
}

/*
 * Add the difference to a bound, if the sum is on the wrong side of it
 */
static void
add_bound(PriceParts *parts, const PriceTerms *terms, PriceSlot slot, PartKind kind, int wrong_order)
{
	PricePart	part = {.kind = kind};
	Numeric		bound;

	if (!terms_have(terms, slot))
		return;
	bound = decimal_to_numeric(terms->numbers[slot]);
	if (numeric_order(parts->sum, bound) != wrong_order)
		return;
	part.amount = numeric_call(numeric_sub, bound, parts->sum);
	add_part(parts, part);
}

/*
 * The one walk over a price
 */
void
price_walk_quantity(PriceParts *parts, const PriceTerms *terms, Numeric quantity, int64 events)
{
	Numeric		free_units;

	parts->sum = int64_to_numeric(0);
	parts->count = 0;
	if (terms->kind == PRICE_FLAT)
	{
		PricePart	part = {.kind = PART_FLAT, .fee = decimal_to_numeric(terms->tiers[0].unit)};

		part.amount = part.fee;
		add_part(parts, part);
		return;
	}
	quantity = numeric_call(numeric_larger, quantity, parts->sum);
	free_units = add_free(parts, terms, quantity);
	if (terms->kind == PRICE_VOLUME)
		walk_volume(parts, terms, quantity, free_units);
	else
		walk_graduated(parts, terms, quantity, free_units);
	if (terms_have(terms, SLOT_EVENT) && events > 0)
		add_priced(parts, (PricePart) {.kind = PART_EVENTS, .units = int64_to_numeric(events),
									   .unit_price = decimal_to_numeric(terms->numbers[SLOT_EVENT])});
}

void
price_walk(PriceParts *parts, const PriceTerms *terms, Numeric quantity, int64 events)
{
	price_walk_quantity(parts, terms, quantity, events);
	add_bound(parts, terms, SLOT_MIN, PART_MINIMUM, -1);
	add_bound(parts, terms, SLOT_MAX, PART_MAXIMUM, 1);
}

/*
 * Amount of a full period in major units, not rounded
 */
static Numeric
rate_exactly(const Price *price, Numeric quantity, int64 events)
{
	PriceTerms	terms;
	PriceParts	parts;

	price_unpack(price, &terms);
	price_walk(&parts, &terms, quantity, events);
	return parts.sum;
}

/*
 * A number of a price, times the days on which it holds
 */
static Numeric
times_days(Numeric number, int days)
{
	return numeric_call(numeric_mul, number, int64_to_numeric(days));
}

Numeric
price_days_exactly(const Price *price, Numeric quantity, int days)
{
	check_quantity(quantity, 1);
	return times_days(rate_exactly(price, quantity, 1), days);
}

bool
price_is_unused(const Price *price, Numeric quantity, int64 events)
{
	return numeric_order(quantity, int64_to_numeric(0)) <= 0 && events <= 0 && !price_has(price, SLOT_MIN);
}

Numeric
price_usage_exactly(const Price *price, Numeric quantity, int64 events, PriceBounds bounds)
{
	PriceTerms	terms;
	PriceParts	parts;
	Numeric		amount;

	if (price_is_unused(price, quantity, events))
		return int64_to_numeric(0);
	events = Max(events, 0);
	check_quantity(quantity, events);
	price_unpack(price, &terms);
	price_walk_quantity(&parts, &terms, quantity, events);
	amount = times_days(parts.sum, bounds.days_in_period);
	if (terms_have(&terms, SLOT_MIN))
		amount = numeric_call(numeric_larger, amount,
							  times_days(decimal_to_numeric(terms.numbers[SLOT_MIN]), bounds.min_days));
	if (terms_have(&terms, SLOT_MAX))
		amount = numeric_call(numeric_smaller, amount,
							  times_days(decimal_to_numeric(terms.numbers[SLOT_MAX]), bounds.max_days));
	return amount;
}

/*
 * Whether a quantity, which is finite, is a whole number from 0 to the largest int32
 */
static bool
is_whole(Numeric quantity, int32 *units)
{
	if (numeric_order(quantity, int64_to_numeric(0)) < 0 || numeric_order(quantity, int64_to_numeric(PG_INT32_MAX)) > 0)
		return false;
	*units = DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(quantity)));
	return numeric_order(quantity, int64_to_numeric(*units)) == 0;
}

/*
 * Whether the price is an amount times a whole number, as that of most lines is: then no numerics are needed
 */
static bool
is_multiple(const Price *price, Numeric quantity, Decimal *amount, int32 *units)
{
	bool		by_unit;

	*units = 1;
	return price_is_plain(price, amount, &by_unit) && (!by_unit || is_whole(quantity, units));
}

/*
 * Amount x units x days / period, rounded
 */
static Money
round_multiple(Decimal amount, int32 units, uint16 currency, int days, int period)
{
	int128		minor = (int128) amount.mantissa * units * power_of_ten(currency_exponent(currency)) * days;
	int128		unit = (int128) power_of_ten(amount.scale) * period;

	minor = (2 * minor + unit) / (2 * unit);
	return money_make(currency, (int64) Min(minor, PG_INT64_MAX));
}

/*
 * Half a minor unit is added, away from zero, before the one division, whose
 * whole part is exact: a quotient rounded by the server could turn just under a
 * half into a half, and be rounded again.
 */
Money
price_round(Numeric amount, int days_in_period, uint16 currency)
{
	int			exponent = currency_exponent(currency);
	int			half = numeric_order(amount, int64_to_numeric(0)) < 0 ? - days_in_period : days_in_period;
	Numeric		minor = numeric_call(numeric_mul, amount, int64_to_numeric(2 * power_of_ten(exponent)));

	minor = numeric_call(numeric_add, minor, int64_to_numeric(half));
	minor = numeric_call(numeric_div_trunc, minor, int64_to_numeric(2 * (int64) days_in_period));
	return money_round_numeric(numeric_call(numeric_mul, minor, int64_div_fast_to_numeric(1, exponent)),
							   currency);
}

Money
price_rate(const Price *price, Numeric quantity, int64 events, uint16 currency)
{
	Decimal		amount;
	int32		units;

	check_quantity(quantity, events);
	if (is_multiple(price, quantity, &amount, &units))
		return round_multiple(amount, units, currency, 1, 1);
	return money_round_numeric(rate_exactly(price, quantity, events), currency);
}

Money
price_rate_days(const Price *price, Numeric quantity, uint16 currency, int days, int days_in_period)
{
	Decimal		amount;
	int32		units;

	check_days(days, days_in_period);
	check_quantity(quantity, 1);
	if (is_multiple(price, quantity, &amount, &units))
		return round_multiple(amount, units, currency, days, days_in_period);
	return price_round(price_days_exactly(price, quantity, days), days_in_period, currency);
}

/*
 * Whether something is owed for no quantity
 */
PG_FUNCTION_INFO_V1(kb_has_minimum);
Datum
kb_has_minimum(PG_FUNCTION_ARGS)
{
	const Price *price = PG_GETARG_PRICE(0);
	PriceTerms	terms;

	if (!price_has(price, SLOT_MIN))
		PG_RETURN_BOOL(false);
	price_unpack(price, &terms);
	PG_RETURN_BOOL(terms.numbers[SLOT_MIN].mantissa > 0);
}

/*
 * Refuse a price with a number that no kb_money can hold
 */
PG_FUNCTION_INFO_V1(kb_require_price_range);
Datum
kb_require_price_range(PG_FUNCTION_ARGS)
{
	static const PriceSlot amounts[] = {SLOT_EVENT, SLOT_MIN, SLOT_MAX};
	uint16		currency = currency_from_text(PG_GETARG_TEXT_PP(1));
	PriceTerms	terms;

	price_unpack(PG_GETARG_PRICE(0), &terms);
	for (int i = 0; i < terms.ntiers; i++)
	{
		(void) money_round_numeric(decimal_to_numeric(terms.tiers[i].unit), currency);
		if (terms.tiers[i].has_fee)
			(void) money_round_numeric(decimal_to_numeric(terms.tiers[i].fee), currency);
	}
	for (size_t i = 0; i < lengthof(amounts); i++)
		if (terms_have(&terms, amounts[i]))
			(void) money_round_numeric(decimal_to_numeric(terms.numbers[amounts[i]]), currency);
	PG_RETURN_VOID();
}

/* Arguments of kb_rate and kb_explain_price, and of kb_rate_days */
enum
{
	ARG_PRICE, ARG_QUANTITY, ARG_CURRENCY, ARG_EVENTS,
	ARG_DAYS = ARG_EVENTS, ARG_DAYS_IN_PERIOD
};

/*
 * Rate a quantity for a full period
 */
PG_FUNCTION_INFO_V1(kb_rate);
Datum
kb_rate(PG_FUNCTION_ARGS)
{
	PG_RETURN_MONEY(price_rate(PG_GETARG_PRICE(ARG_PRICE), PG_GETARG_NUMERIC(ARG_QUANTITY), PG_GETARG_INT64(ARG_EVENTS),
							   currency_from_text(PG_GETARG_TEXT_PP(ARG_CURRENCY))));
}

/*
 * Rate a quantity of one event for some days of a period
 */
PG_FUNCTION_INFO_V1(kb_rate_days);
Datum
kb_rate_days(PG_FUNCTION_ARGS)
{
	PG_RETURN_MONEY(price_rate_days(PG_GETARG_PRICE(ARG_PRICE), PG_GETARG_NUMERIC(ARG_QUANTITY),
									currency_from_text(PG_GETARG_TEXT_PP(ARG_CURRENCY)),
									PG_GETARG_INT32(ARG_DAYS), PG_GETARG_INT32(ARG_DAYS_IN_PERIOD)));
}

/*
 * What a tier's price is multiplied by, in words; NULL for units
 */
static const char *
measure_words(const PriceTier *tier)
{
	if (tier->measure == MEASURE_PACKAGES)
		return psprintf("packages of %s", decimal_to_cstring(tier->per));
	if (tier->measure == MEASURE_FULL_PACKAGES)
		return psprintf("full packages of %s", decimal_to_cstring(tier->per));
	return tier->measure == MEASURE_PERCENT ? "percentage" : NULL;
}

/*
 * What a part is, in words
 */
static const char *
part_words(const PriceTerms *terms, const PricePart *part)
{
	const char *measure;
	static const char *const words[] = {
		[PART_FLAT] = "flat price",
		[PART_FREE] = "free units",
		[PART_EVENTS] = "fee per event",
		[PART_MINIMUM] = "minimum",
		[PART_MAXIMUM] = "maximum",
		[PART_ROUNDING] = "rounding"
	};

	if (part->kind != PART_TIER)
		return words[part->kind];
	measure = measure_words(&terms->tiers[part->tier]);
	if (!kind_has_tiers(terms->kind))
		return measure != NULL ? measure : "units";
	return psprintf("tier %d%s%s", part->tier + 1, measure != NULL ? ", " : "", measure != NULL ? measure : "");
}

/*
 * Set a column; NULL where there is no number
 */
static void
set_number(Datum *values, bool *nulls, int column, Numeric number)
{
	nulls[column] = number == NULL;
	values[column] = NumericGetDatum(number);
}

/*
 * Show a part as a row
 */
static void
put_part(ReturnSetInfo *rows, const PriceTerms *terms, const PricePart *part)
{
	Datum		values[EXPLAIN_COLUMNS];
	bool		nulls[EXPLAIN_COLUMNS];

	values[EXPLAIN_WHAT] = CStringGetTextDatum(part_words(terms, part));
	nulls[EXPLAIN_WHAT] = false;
	set_number(values, nulls, EXPLAIN_FROM_UNITS, part->from);
	set_number(values, nulls, EXPLAIN_TO_UNITS, part->to);
	set_number(values, nulls, EXPLAIN_UNITS, part->units);
	set_number(values, nulls, EXPLAIN_UNIT_PRICE, part->unit_price);
	set_number(values, nulls, EXPLAIN_FLAT_FEE, part->fee);
	set_number(values, nulls, EXPLAIN_AMOUNT, part->amount);
	tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
}

/*
 * Show what an amount is made of: the parts, and what rounding adds to them
 */
PG_FUNCTION_INFO_V1(kb_explain_price);
Datum
kb_explain_price(PG_FUNCTION_ARGS)
{
	const Price *price = PG_GETARG_PRICE(ARG_PRICE);
	Numeric		quantity = PG_GETARG_NUMERIC(ARG_QUANTITY);
	uint16		currency = currency_from_text(PG_GETARG_TEXT_PP(ARG_CURRENCY));
	int64		events = PG_GETARG_INT64(ARG_EVENTS);
	ReturnSetInfo *rows = (ReturnSetInfo *) fcinfo->resultinfo;
	PriceTerms	terms;
	PriceParts	parts;
	PricePart	rounding = {.kind = PART_ROUNDING};
	Numeric		rounded;

	InitMaterializedSRF(fcinfo, 0);
	check_quantity(quantity, events);
	price_unpack(price, &terms);
	price_walk(&parts, &terms, quantity, events);
	for (int i = 0; i < parts.count; i++)
		put_part(rows, &terms, &parts.parts[i]);

	rounded = money_to_numeric(money_round_numeric(parts.sum, currency));
	rounding.amount = numeric_call(numeric_sub, rounded, parts.sum);
	if (numeric_order(rounding.amount, int64_to_numeric(0)) != 0)
		put_part(rows, &terms, &rounding);
	return (Datum) 0;
}
