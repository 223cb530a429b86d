/*
 * explain.c
 *		How a line of a charge makes up its amount (C7), and what a price says (P):
 *		steps, each with the name of a phrase and the facts to fill in.
 *
 * Values in, values out; the words are in explain.sql.
 */
#include "postgres.h"

#include "args.h"
#include "compat.h"
#include "currency.h"
#include "fmgr.h"
#include "funcapi.h"
#include "money.h"
#include "plan.h"
#include "price.h"
#include "price_parts.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

/* Facts of a phrase, which are a JSON object that is being made. */
typedef struct Facts
{
	JsonbParseState *state;
} Facts;

/* A line, as kb_portal and kb_history show it. */
typedef struct Line
{
	char	   *what;
	Price	   *price;
	PriceTerms	terms;
	Money		amount;
	Numeric		quantity;
	Numeric		billed_quantity;
	int64		events;
	int64		billed_events;
	int			days;
	int			days_in_month;	/* 1 if the line has no days */
	bool		is_usage;
	bool		is_late;
	bool		is_discount;	/* C9 */
	bool		is_minimum;		/* C10 */
	char	   *month;			/* of its days: "2026-11" */
} Line;

/* Steps that are being made; their exact amounts are times the days of the month, as in a bill. */
typedef struct Steps
{
	ReturnSetInfo *rows;
	int			count;
	uint16		currency;
	int			days_in_month;
	bool		is_taken_back;	/* the line has the amounts of a reversal */
	Numeric		exact;			/* of all steps so far */
	Money		shown;			/* the same, rounded */
} Steps;

/* Columns of kb_price_steps and of kb_line_steps, which has all of them */
enum
{
	STEP_NO, STEP_PHRASE, STEP_FACTS, STEP_AMOUNT, STEP_COLUMNS
};

/* Begin an object */
static Facts
facts_begin(void)
{
	Facts		facts = {NULL};

	pushJsonbValue(&facts.state, WJB_BEGIN_OBJECT, NULL);
	return facts;
}

/* Add a fact */
static void
put_fact(Facts *facts, const char *name, JsonbValue *value)
{
	JsonbValue	key = {.type = jbvString};

	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(&facts->state, WJB_KEY, &key);
	pushJsonbValue(&facts->state, WJB_VALUE, value);
}

/* Add a text */
static void
fact_text(Facts *facts, const char *name, const char *text)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	put_fact(facts, name, &value);
}

/* Add a number; NULL is zero */
static void
fact_number(Facts *facts, const char *name, Numeric number)
{
	JsonbValue	value = {.type = jbvNumeric};

	value.val.numeric = number != NULL ? number : int64_to_numeric(0);
	put_fact(facts, name, &value);
}

/* The same of a decimal */
static void
fact_decimal(Facts *facts, const char *name, Decimal d)
{
	fact_number(facts, name, decimal_to_numeric(decimal_normal(d)));
}

/* Add a truth */
static void
fact_bool(Facts *facts, const char *name, bool truth)
{
	JsonbValue	value = {.type = jbvBool};

	value.val.boolean = truth;
	put_fact(facts, name, &value);
}

/* The facts as a value */
static Datum
facts_end(Facts *facts)
{
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&facts->state, WJB_END_OBJECT, NULL)));
}

/* A number of a price as an amount: with the decimals of the currency at least, and its code */
static char *
price_amount(Decimal d, uint16 currency)
{
	while (d.scale < currency_exponent(currency) && d.mantissa <= PG_INT64_MAX / 10)
	{
		d.mantissa *= 10;
		d.scale++;
	}
	return psprintf("%s %s", decimal_to_cstring(d), currency_code(currency));
}

/* Add a step; an amount that is NO_MONEY is none */
static void
put_step(Steps *steps, const char *phrase, Datum facts, Money amount)
{
	Datum		values[STEP_COLUMNS];
	bool		nulls[STEP_COLUMNS] = {false};

	if (steps->is_taken_back && amount != NO_MONEY)
		amount = money_neg(amount);
	values[STEP_NO] = Int32GetDatum(++steps->count);
	values[STEP_PHRASE] = CStringGetTextDatum(phrase);
	values[STEP_FACTS] = facts;
	values[STEP_AMOUNT] = MoneyGetDatum(amount);
	nulls[STEP_AMOUNT] = amount == NO_MONEY;
	tuplestore_putvalues(steps->rows->setResult, steps->rows->setDesc, values, nulls);
}

/* M4: each step is the rounded sum of all so far, less that of those before it */
static void
put_exact(Steps *steps, const char *phrase, Datum facts, Numeric exact)
{
	Money		before = steps->shown;

	steps->exact = numeric_call(numeric_add, steps->exact, exact);
	steps->shown = price_round(steps->exact, steps->days_in_month, steps->currency);
	put_step(steps, phrase, facts, money_sub(steps->shown, before));
}

/* A number times the days of the month */
static Numeric
times(Numeric number, int days)
{
	return numeric_call(numeric_mul, number, int64_to_numeric(days));
}

/* A number times -1 */
static Numeric
negated(Numeric number)
{
	return DatumGetNumeric(DirectFunctionCall1(numeric_uminus, NumericGetDatum(number)));
}

/* What a tier's price is multiplied by */
static const char *
measure_word(const PriceTier *tier)
{
	static const char *const words[] = {
		[MEASURE_UNITS] = "units", [MEASURE_PACKAGES] = "packages", [MEASURE_FULL_PACKAGES] = "full_packages",
		[MEASURE_PERCENT] = "percent"
	};

	return words[tier->measure];
}

/* Where a tier is among the others */
static const char *
position_word(const PriceTerms *terms, int i)
{
	if (terms->ntiers == 1)
		return "only";
	if (i == 0)
		return "first";
	return i == terms->ntiers - 1 ? "last" : "middle";
}

/* What a tier says, with its fee or without: facts of the phrases "price_tier" and "tier" */
static Facts
tier_facts(const PriceTerms *terms, int i, bool has_fee, uint16 currency)
{
	const PriceTier *tier = &terms->tiers[i];
	Facts		facts = facts_begin();
	bool		has_edge = i < terms->ntiers - 1;

	fact_text(&facts, "kind", terms->kind == PRICE_VOLUME ? "volume" : "graduated");
	fact_text(&facts, "position", position_word(terms, i));
	fact_text(&facts, "measure", measure_word(tier));
	fact_text(&facts, "price", tier->measure == MEASURE_PERCENT ? "" : price_amount(tier->unit, currency));
	fact_decimal(&facts, "percent", tier->unit);
	fact_decimal(&facts, "per", tier_has_packages(tier) ? tier->per : (Decimal) {.mantissa = 1});
	fact_bool(&facts, "has_fee", has_fee);
	fact_text(&facts, "fee", has_fee ? price_amount(tier->fee, currency) : "");
	fact_number(&facts, "from", i > 0 ? decimal_to_numeric(terms->tiers[i - 1].to) : NULL);
	fact_number(&facts, "to", has_edge ? decimal_to_numeric(tier->to) : NULL);
	return facts;
}

/* A phrase of a price that has one amount */
static void
put_amount(Steps *steps, const char *phrase, Decimal d)
{
	Facts		facts = facts_begin();

	fact_text(&facts, "price", price_amount(d, steps->currency));
	put_step(steps, phrase, facts_end(&facts), NO_MONEY);
}

/* A tier of a price in words; unit may be NULL */
static void
put_price_tier(Steps *steps, const PriceTerms *terms, int i, const char *unit)
{
	Facts		facts = tier_facts(terms, i, terms->tiers[i].has_fee, steps->currency);

	fact_bool(&facts, "has_unit", unit != NULL);
	fact_text(&facts, "unit", unit != NULL ? unit : "");
	put_step(steps, "price_tier", facts_end(&facts), NO_MONEY);
}

/* The first units of a price, if they are free, in words */
static void
put_price_free(Steps *steps, Decimal units)
{
	Facts		facts = facts_begin();

	fact_decimal(&facts, "units", units);
	put_step(steps, "price_free", facts_end(&facts), NO_MONEY);
}

/* What a price says, phrase by phrase */
static void
put_price(Steps *steps, const PriceTerms *terms, const char *unit)
{
	if (terms->kind == PRICE_FLAT)
	{
		put_amount(steps, "price_flat", terms->tiers[0].unit);
		return;
	}
	for (int i = 0; i < terms->ntiers; i++)
		put_price_tier(steps, terms, i, unit);
	if (terms_have(terms, SLOT_EVENT))
		put_amount(steps, "price_event", terms->numbers[SLOT_EVENT]);
	if (terms_have(terms, SLOT_FREE))
		put_price_free(steps, terms->numbers[SLOT_FREE]);
	if (terms_have(terms, SLOT_MIN))
		put_amount(steps, "price_min", terms->numbers[SLOT_MIN]);
	if (terms_have(terms, SLOT_MAX))
		put_amount(steps, "price_max", terms->numbers[SLOT_MAX]);
}

/* kb_price_steps(price, currency, unit) */
PG_FUNCTION_INFO_V1(kb_price_steps);
Datum
kb_price_steps(PG_FUNCTION_ARGS)
{
	Steps		steps = {.rows = (ReturnSetInfo *) fcinfo->resultinfo};
	PriceTerms	terms;

	arg_required(fcinfo, 0, "price");
	arg_required(fcinfo, 1, "currency");
	InitMaterializedSRF(fcinfo, 0);
	steps.currency = currency_from_text(PG_GETARG_TEXT_PP(1));
	price_unpack(PG_GETARG_PRICE(0), &terms);
	put_price(&steps, &terms, arg_cstring(fcinfo, 2));
	return (Datum) 0;
}

/* Refuse what is no line */
pg_noreturn static void
refuse_line(const char *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("not a line of a charge: its \"%s\" is missing, or not what a line has", key),
			 errhint("Pass a line of a charge, or of the running month, as kb_portal and kb_history show it.")));
}

/* The value of a key; NULL if it has none, or null */
static JsonbValue *
find_value(const JsonbContainer *object, const char *key)
{
	JsonbValue	name = {.type = jbvString};
	JsonbValue *value;

	name.val.string.val = unconstify(char *, key);
	name.val.string.len = strlen(key);
	value = findJsonbValueFromContainer(unconstify(JsonbContainer *, object), JB_FOBJECT, &name);
	return value == NULL || value->type == jbvNull ? NULL : value;
}

/* A text of a line */
static char *
line_text(const JsonbContainer *object, const char *key)
{
	const JsonbValue *value = find_value(object, key);

	if (value == NULL || value->type != jbvString)
		refuse_line(key);
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* A number of a line; NULL if it has none */
static Numeric
line_number(const JsonbContainer *object, const char *key)
{
	const JsonbValue *value = find_value(object, key);

	if (value == NULL)
		return NULL;
	if (value->type != jbvNumeric)
		refuse_line(key);
	return value->val.numeric;
}

/* A whole number of a line, zero if it has none */
static int64
line_integer(const JsonbContainer *object, const char *key)
{
	Numeric		number = line_number(object, key);

	return number == NULL ? 0 : DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(number)));
}

/* The amount of a line: {"amount": "19.00", "currency": "USD"}, or a text */
static Money
line_amount(const JsonbContainer *object)
{
	const JsonbValue *value = find_value(object, "amount");
	char	   *text;

	if (value != NULL && value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data))
		text = psprintf("%s %s", line_text(value->val.binary.data, "amount"), line_text(value->val.binary.data, "currency"));
	else
		text = line_text(object, "amount");
	return money_from_cstring(text);
}

/* Read how many days a line has, of how many */
static void
read_days(const JsonbContainer *object, Line *line)
{
	int64		days = line_integer(object, "days");
	int64		days_in_month = line_integer(object, "days_in_month");

	if (days_in_month == 0)
		days = days_in_month = 1;
	if (days_in_month < 1 || days_in_month > 31 || days < 0 || days > days_in_month)
		refuse_line("days");
	line->days = days;
	line->days_in_month = days_in_month;
}

/* Read a line */
static void
read_line(Jsonb *json, Line *line)
{
	const JsonbContainer *object = &json->root;

	if (!JB_ROOT_IS_OBJECT(json))
		refuse_line("what");
	line->what = line_text(object, "what");
	line->price = price_from_cstring(line_text(object, "price"));
	price_unpack(line->price, &line->terms);
	line->amount = line_amount(object);
	line->quantity = line_number(object, "quantity");
	line->billed_quantity = line_number(object, "billed_quantity");
	line->is_usage = find_value(object, "events") != NULL;
	line->is_late = line->billed_quantity != NULL;
	line->events = line_integer(object, "events");
	line->billed_events = line_integer(object, "billed_events");
	if (line->quantity == NULL)
		refuse_line("quantity");
	line->is_discount = strcmp(line->what, "discount") == 0;
	line->is_minimum = strcmp(line->what, "minimum") == 0;
	if (!line->is_usage && !line->is_discount && !line->is_minimum && find_value(object, "days_in_month") == NULL)
		refuse_line("days_in_month");
	read_days(object, line);
	line->month = pnstrdup(line_text(object, "from_date"), strlen("2026-11"));
}

/* The quantity of the month, with what was billed of it before */
static Numeric
all_quantity(const Line *line)
{
	return line->is_late ? numeric_call(numeric_add, line->quantity, line->billed_quantity) : line->quantity;
}

/* What was billed of late usage before, times the days of the month */
static Numeric
billed_exactly(const Line *line, PriceBounds bounds)
{
	return line->is_late ? price_usage_exactly(line->price, line->billed_quantity, line->billed_events, bounds) : int64_to_numeric(0);
}

/* What a line comes to, times the days of the month */
static Numeric
line_exactly(const Line *line, PriceBounds bounds)
{
	if (!line->is_usage)
		return price_days_exactly(line->price, line->quantity, bounds.max_days);
	return numeric_call(numeric_sub,
						price_usage_exactly(line->price, all_quantity(line), line->events + line->billed_events, bounds),
						billed_exactly(line, bounds));
}

/* By how much a line's amount differs from one that is exact */
static Numeric
difference(const Line *line, Numeric exact, bool is_taken_back)
{
	Money		amount = is_taken_back ? money_neg(line->amount) : line->amount;
	Numeric		rest = numeric_call(numeric_sub, exact, times(money_to_numeric(amount), line->days_in_month));

	return DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(rest)));
}

/*
 * C3: how the days of a line count, which it does not say itself: for their part of the month; in full, as without
 * proration; or in full, where a later price owes the minimum.  And whether it is of a reversal, with opposite
 * amounts.  What comes nearest to the amount is what it was made of.
 */
static PriceBounds
bounds_of(const Line *line, bool *is_taken_back)
{
	int			all = line->days_in_month;
	PriceBounds ways[] = {{line->days, line->days, all}, {all, all, all}, {0, all, all}};
	PriceBounds best = ways[0];
	Numeric		least = NULL;

	for (int sign = 0; sign < 2; sign++)
	{
		for (int i = 0; i < (int) lengthof(ways); i++)
		{
			Numeric		miss = difference(line, line_exactly(line, ways[i]), sign == 1);

			if (least != NULL && numeric_order(miss, least) >= 0)
				continue;
			least = miss;
			best = ways[i];
			*is_taken_back = sign == 1;
		}
	}
	return best;
}

/* Facts of how many days are charged, of how many */
static Facts
days_facts(const Line *line, int days)
{
	Facts		facts = facts_begin();

	fact_number(&facts, "days", int64_to_numeric(days));
	fact_number(&facts, "days_in_month", int64_to_numeric(line->days_in_month));
	fact_bool(&facts, "by_days", days < line->days_in_month);
	return facts;
}

/* A bound, for some days */
static void
put_bound(Steps *steps, const Line *line, PriceSlot slot, int days, Numeric *sum)
{
	Decimal		number = line->terms.numbers[slot];
	Numeric		bound = times(decimal_to_numeric(number), days);
	bool		is_min = slot == SLOT_MIN;
	Facts		facts;

	if (!terms_have(&line->terms, slot) || numeric_order(*sum, bound) != (is_min ? -1 : 1))
		return;
	facts = days_facts(line, days);
	fact_text(&facts, "price", price_amount(number, steps->currency));
	put_exact(steps, is_min ? "minimum" : "maximum", facts_end(&facts), numeric_call(numeric_sub, bound, *sum));
	*sum = bound;
}

/* A part of a price, for the whole month */
static void
put_part(Steps *steps, const Line *line, const PricePart *part)
{
	Numeric		exact = times(part->amount, line->days_in_month);
	Facts		facts;

	if (part->kind == PART_TIER)
		facts = tier_facts(&line->terms, part->tier, part->fee != NULL, steps->currency);
	else
		facts = facts_begin();
	if (part->kind == PART_FLAT)
		fact_text(&facts, "price", price_amount(line->terms.tiers[0].unit, steps->currency));
	else
		fact_number(&facts, "units", part->units);
	if (part->kind == PART_EVENTS)
		fact_text(&facts, "price", price_amount(line->terms.numbers[SLOT_EVENT], steps->currency));
	put_exact(steps, part->kind == PART_FLAT ? "flat" : part->kind == PART_FREE ? "free" :
			  part->kind == PART_EVENTS ? "events" : "tier", facts_end(&facts), exact);
}

/* The parts of a quantity, and the bounds that it meets; the result is their sum, times the days of the month */
static Numeric
put_parts(Steps *steps, const Line *line, Numeric quantity, int64 events, PriceBounds bounds)
{
	PriceParts	parts;
	Numeric		sum;

	if (line->is_usage && price_is_unused(line->price, quantity, events))
		return int64_to_numeric(0);
	price_walk_quantity(&parts, &line->terms, quantity, Max(events, 0));
	for (int i = 0; i < parts.count; i++)
		put_part(steps, line, &parts.parts[i]);
	sum = times(parts.sum, line->days_in_month);
	put_bound(steps, line, SLOT_MIN, bounds.min_days, &sum);
	put_bound(steps, line, SLOT_MAX, bounds.max_days, &sum);
	return sum;
}

/* What is charged by day: the whole month first, and then less for the days that are not charged */
static void
put_days(Steps *steps, const Line *line, int days)
{
	int			all = line->days_in_month;
	Numeric		sum = put_parts(steps, line, line->quantity, 1, (PriceBounds) {all, all, all});
	Facts		facts = days_facts(line, line->days);

	if (days < all)
		put_exact(steps, "days", facts_end(&facts), numeric_call(numeric_sub, price_days_exactly(line->price, line->quantity, days), sum));
	else if (line->days < all)
		put_step(steps, "in_full", facts_end(&facts), NO_MONEY);
}

/* Usage; of a month that was charged before, all of it, less what was billed */
static void
put_usage(Steps *steps, const Line *line, PriceBounds bounds)
{
	Facts		facts = facts_begin();

	if (line->is_late)
	{
		fact_text(&facts, "month", line->month);
		put_step(steps, "late", facts_end(&facts), NO_MONEY);
	}
	(void) put_parts(steps, line, all_quantity(line), line->events + line->billed_events, bounds);
	if (!line->is_late)
		return;
	facts = facts_begin();
	fact_number(&facts, "units", line->billed_quantity);
	put_exact(steps, "billed", facts_end(&facts),
			  negated(billed_exactly(line, bounds)));
}

/* Facts of a phrase that has none */
static Datum
no_facts(void)
{
	Facts		facts = facts_begin();

	return facts_end(&facts);
}

/* The number of a line's price: a percentage, or an amount */
static Numeric
price_number(const Line *line)
{
	return decimal_to_numeric(decimal_normal(line->terms.tiers[0].unit));
}

/* C9: a percentage of what the service comes to; of an amount, a part, for which the other services have to be known */
static void
put_discount(Steps *steps, const Line *line)
{
	bool		is_percent = line->terms.kind != PRICE_FLAT;
	Numeric		percent = price_number(line);
	Numeric		off = numeric_call(numeric_div, numeric_call(numeric_mul, line->quantity, percent), int64_to_numeric(100));
	Numeric		zero = int64_to_numeric(0);
	Facts		facts = facts_begin();

	steps->is_taken_back = money_minor(line->amount) != 0 &&
		(money_minor(line->amount) > 0) == (numeric_order(line->quantity, zero) > 0) && numeric_order(line->quantity, zero) != 0;
	if (steps->is_taken_back)
		put_step(steps, "taken_back", no_facts(), NO_MONEY);
	if (is_percent)
	{
		fact_number(&facts, "percent", percent);
		fact_text(&facts, "sum", money_to_cstring(money_round_numeric(line->quantity, steps->currency)));
		put_exact(steps, "discount_percent", facts_end(&facts), negated(off));
		return;
	}
	fact_text(&facts, "price", price_amount(line->terms.tiers[0].unit, steps->currency));
	steps->shown = steps->is_taken_back ? money_neg(line->amount) : line->amount;
	put_step(steps, "discount_amount", facts_end(&facts), steps->shown);
}

/* C10: the minimum of the days, less what the other lines come to; of a month that was charged before, what has changed */
static void
put_minimum(Steps *steps, const Line *line)
{
	bool		has_days = line->days_in_month > 1;
	Numeric		least = times(price_number(line), line->days);
	Numeric		sum = times(line->quantity, line->days_in_month);
	Money		amount = price_round(numeric_call(numeric_sub, least, sum), line->days_in_month, steps->currency);
	Facts		facts = days_facts(line, line->days);

	steps->is_taken_back = amount != line->amount && amount == money_neg(line->amount);
	if (steps->is_taken_back)
		put_step(steps, "taken_back", no_facts(), NO_MONEY);
	fact_text(&facts, "price", price_amount(line->terms.tiers[0].unit, steps->currency));
	fact_text(&facts, "month", line->month);
	if (amount != line->amount && !steps->is_taken_back)
	{
		steps->shown = line->amount;
		put_step(steps, "minimum_late", facts_end(&facts), line->amount);
		return;
	}
	put_exact(steps, has_days ? "minimum_month" : "minimum_days", facts_end(&facts), least);
	put_exact(steps, "minimum_sum", no_facts(), negated(sum));
}

/* The steps of a line, which add up to its amount */
static void
put_line(Steps *steps, const Line *line)
{
	Money		amount;

	if (line->is_discount)
		put_discount(steps, line);
	else if (line->is_minimum)
		put_minimum(steps, line);
	else
	{
		PriceBounds bounds = bounds_of(line, &steps->is_taken_back);

		if (steps->is_taken_back)
			put_step(steps, "taken_back", no_facts(), NO_MONEY);
		if (line->is_usage)
			put_usage(steps, line, bounds);
		else
			put_days(steps, line, bounds.max_days);
	}
	amount = steps->is_taken_back ? money_neg(line->amount) : line->amount;
	if (amount != steps->shown)
		put_step(steps, "rounding", no_facts(), money_sub(amount, steps->shown));
	else if (steps->count == 0)
		put_step(steps, "nothing", no_facts(), amount);
}

/* kb_line_steps(line) */
PG_FUNCTION_INFO_V1(kb_line_steps);
Datum
kb_line_steps(PG_FUNCTION_ARGS)
{
	Steps		steps = {.rows = (ReturnSetInfo *) fcinfo->resultinfo};
	Line		line;

	InitMaterializedSRF(fcinfo, 0);
	read_line(PG_GETARG_JSONB_P(0), &line);
	steps.currency = money_currency(line.amount);
	steps.days_in_month = line.days_in_month;
	steps.exact = int64_to_numeric(0);
	steps.shown = money_make(steps.currency, 0);
	put_line(&steps, &line);
	return (Datum) 0;
}

/* The text of each phrase in a language, or its first part, or English */
#define PHRASES \
	"WITH text AS MATERIALIZED (" \
	"  SELECT DISTINCT ON (p.phrase) p.phrase, p.language, p.pattern" \
	"    FROM kb_standard_phrases() p" \
	"    JOIN unnest(ARRAY[lower($1), split_part(lower($1), '-', 1), 'en']) WITH ORDINALITY w (language, n) ON w.language = p.language" \
	"   ORDER BY p.phrase, w.n)"

/* A flat price is one of the month, of what is bought once (L5), or a minimum (C10) */
#define PHRASE_OF(what) \
	"CASE WHEN " what " = 'purchase' AND s.phrase IN ('price_flat', 'flat') THEN s.phrase || '_once'" \
	" WHEN " what " = 'minimum' AND s.phrase = 'price_flat' THEN 'price_min' ELSE s.phrase END"

#define PRICE_IN_WORDS(price, currency, unit, what) \
	"SELECT string_agg(kb_format_message(t.pattern, t.language, s.facts), '; ' ORDER BY s.step_no)" \
	"  FROM kb_price_steps(" price ", " currency ", " unit ") s JOIN text t ON t.phrase = " PHRASE_OF(what)

static SavedPlan price_plan = {
	.sql = PHRASES PRICE_IN_WORDS("$2", "$3", "$4", "''"),
	.arg_types = {"text", "kb_price", "text", "text"},
	.is_generic = true
};

/* kb_describe_price(price, currency, unit, language) */
PG_FUNCTION_INFO_V1(kb_describe_price);
Datum
kb_describe_price(PG_FUNCTION_ARGS)
{
	char		nulls[] = "    ";
	Datum		values[] = {PG_GETARG_DATUM(3), PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};
	Datum		text;

	arg_required(fcinfo, 0, "price");
	arg_required(fcinfo, 1, "currency");
	nulls[0] = PG_ARGISNULL(3) ? 'n' : ' ';
	nulls[3] = PG_ARGISNULL(2) ? 'n' : ' ';
	plan_connect();
	plan_execute(&price_plan, values, nulls, true);
	text = SPI_datumTransfer(plan_required(1), false, -1);
	SPI_finish();
	return text;
}

#define WHAT		"$2 ->> 'what'"

/* The price in words is the first step */
static SavedPlan line_plan = {
	.sql = PHRASES
	"SELECT 1, (" PRICE_IN_WORDS("$3", "$4", "$2 ->> 'unit'", WHAT) "), NULL::kb_money"
	" UNION ALL "
	"SELECT s.step_no + 1, kb_format_message(t.pattern, t.language, s.facts), s.amount"
	"  FROM kb_line_steps($2) s JOIN text t ON t.phrase = " PHRASE_OF(WHAT)
	" ORDER BY 1",
	.arg_types = {"text", "jsonb", "kb_price", "text"},
	.is_generic = true
};

/* kb_explain_line(line, language) */
PG_FUNCTION_INFO_V1(kb_explain_line);
Datum
kb_explain_line(PG_FUNCTION_ARGS)
{
	char		nulls[] = "    ";
	Datum		values[] = {PG_GETARG_DATUM(1), PG_GETARG_DATUM(0), (Datum) 0, (Datum) 0};
	Line		line;

	arg_required(fcinfo, 0, "line");
	nulls[0] = PG_ARGISNULL(1) ? 'n' : ' ';
	InitMaterializedSRF(fcinfo, 0);
	read_line(PG_GETARG_JSONB_P(0), &line);
	values[2] = PriceGetDatum(line.price);
	values[3] = CStringGetTextDatum(currency_code(money_currency(line.amount)));
	plan_connect();
	plan_execute(&line_plan, values, nulls, true);
	plan_return_rows(fcinfo);
	SPI_finish();
	return (Datum) 0;
}
