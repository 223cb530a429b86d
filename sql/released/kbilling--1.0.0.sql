\echo Use "CREATE EXTENSION kbilling" to load this file. \quit
SET LOCAL search_path TO pg_catalog, pg_temp;
/*
 * The schema, the clock, and the SQL way to raise an error.
 */

CREATE SCHEMA kbilling;
COMMENT ON SCHEMA kbilling IS
'Billing rules of a subscription service: accounts, journal, month charges, stages of access';
GRANT USAGE ON SCHEMA kbilling TO PUBLIC;

CREATE SCHEMA kbilling_internal;
COMMENT ON SCHEMA kbilling_internal IS
'What the functions, views and triggers of kbilling are made of; not to be called by others';

-- Names in function bodies and views are looked up in these schemas when they are created; what is created is named
-- with its schema.
SET LOCAL search_path TO pg_catalog, kbilling, kbilling_internal, pg_temp;

CREATE FUNCTION kbilling.kb_now() RETURNS timestamptz
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_now';
COMMENT ON FUNCTION kbilling.kb_now() IS
'The time by which all rules go: the start of the transaction, or the setting kbilling.clock if a superuser has set '
'that for a test';

-- It stands in a CASE, which tries its conditions in the order in which they are written; the items of a SELECT are evaluated in
-- no certain order, so a check that is a function is a statement of its own.
-- STABLE though it raises: a VOLATILE one would keep the functions that use it from being inlined.
CREATE FUNCTION kbilling_internal.kb_raise(state text, message text, detail text = NULL, hint text = NULL) RETURNS void
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_raise';
COMMENT ON FUNCTION kbilling_internal.kb_raise(text, text, text, text) IS
'Raises an error with the given SQLSTATE, message, detail and hint; KB008 instead if it would repeat a card number (T4)';

CREATE FUNCTION kbilling_internal.kb_require_not_null(names text, VARIADIC "any") RETURNS void
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_require_not_null';
COMMENT ON FUNCTION kbilling_internal.kb_require_not_null(text, "any") IS
'Raises 22004 with the name of the first value that is null; the names are separated by commas, one for each value';
-- Free text and JSON that hold no payment card number (T4)

CREATE FUNCTION kbilling.kb_has_card_number(value text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kb_has_card_number_text' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION kb_has_card_number(text) IS
	'True if the text holds a payment card number (T4)';

CREATE FUNCTION kbilling.kb_has_card_number(value jsonb) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kb_has_card_number_jsonb' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION kb_has_card_number(jsonb) IS
	'True if a key, a string or a number of the JSON value holds a payment card number (T4)';

CREATE FUNCTION kbilling.kb_mask_card_numbers(value text) RETURNS text
	AS 'MODULE_PATHNAME', 'kb_mask_card_numbers' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION kb_mask_card_numbers(text) IS
	'The text with an asterisk for each digit of the payment card numbers in it, and all else as it is (T10)';

CREATE FUNCTION kbilling_internal.kb_refuse_card_number(value text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kb_refuse_card_number_text' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION kb_refuse_card_number(text) IS
	'True, or error KB008 if the value holds a payment card number; the error does not repeat it (T4)';

CREATE FUNCTION kbilling_internal.kb_refuse_card_number(value jsonb) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kb_refuse_card_number_jsonb' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION kb_refuse_card_number(jsonb) IS
	'True, or error KB008 if the value holds a payment card number; the error does not repeat it (T4)';

CREATE DOMAIN kbilling.kb_text AS text
	CONSTRAINT no_card_number CHECK (kb_refuse_card_number(VALUE));
COMMENT ON DOMAIN kb_text IS
	'Free text without payment card numbers (T4). Errors: KB008 if it holds one';

CREATE DOMAIN kbilling.kb_json AS jsonb
	CONSTRAINT no_card_number CHECK (kb_refuse_card_number(VALUE));
COMMENT ON DOMAIN kb_json IS
	'Free JSON without payment card numbers in its keys, strings and numbers (T4). '
	'Errors: KB008 if it holds one';
-- kb_money: an exact amount in one currency (rules M1 to M4).

CREATE TYPE kbilling.kb_money;

CREATE FUNCTION kbilling_internal.kb_money_in(cstring) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_in(cstring) IS
	'Reads 19.00 USD or USD 19 (M1, M2). '
	'Errors: 22P02 for anything else, and for decimals that the currency does not have; 22023 for an unknown '
	'currency; 22003 out of range';

CREATE FUNCTION kbilling_internal.kb_money_out(kb_money) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_out(kb_money) IS
	'Writes 19.00 USD, with all decimals of the currency (M2)';

CREATE FUNCTION kbilling_internal.kb_money_recv(internal) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_recv(internal) IS
	'Receives the count of minor units (int64), the decimals of the currency (int8) and its three letters (M1). '
	'Errors: 22P03 for an unknown currency, or other decimals than it has; 22003 out of range';

CREATE FUNCTION kbilling_internal.kb_money_send(kb_money) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_send(kb_money) IS
	'Sends the count of minor units (int64), the decimals of the currency (int8) and its three letters';

CREATE TYPE kbilling.kb_money (
	INPUT = kb_money_in,
	OUTPUT = kb_money_out,
	RECEIVE = kb_money_recv,
	SEND = kb_money_send,
	LIKE = bigint
);
COMMENT ON TYPE kb_money IS
	'An exact amount in one currency of ISO 4217: a count of its minor units, within +-(2^53 - 1) (M1). Its text is as '
	'19.00 USD; its binary form is the count (int64), the decimals of the currency (int8) and its three letters (M2)';

-- Parts

CREATE FUNCTION kbilling.kb_money(amount numeric, currency text) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money(numeric, text) IS
	'An amount in major units, as money (M1, M2). '
	'Errors: 22023 if the currency is unknown, or has fewer decimals than the amount needs; 22003 if it is out of '
	'range, NaN or infinite';

CREATE FUNCTION kbilling.kb_amount(amount kb_money) RETURNS numeric
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_amount(kb_money) IS
	'The amount in major units, with the decimals of its currency';

CREATE FUNCTION kbilling.kb_currency(amount kb_money) RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_currency(kb_money) IS
	'The three letters of the currency';

CREATE FUNCTION kbilling.kb_minor(amount kb_money) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_minor(kb_money) IS
	'The count of minor units: cents of USD, yen of JPY';

CREATE FUNCTION kbilling_internal.kb_max_minor() RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kb_max_minor() IS
	'The greatest count of minor units that an amount can have (M1)';

CREATE FUNCTION kbilling.kb_minor_units(currency text) RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_minor_units(text) IS
	'Decimals of the currency by ISO 4217: 2 for USD, 0 for JPY; NULL for a code without minor units, such as '
	'XAU. '
	'Errors: 22023 for an unknown code';

CREATE CAST (kb_money AS numeric) WITH FUNCTION kb_amount(kb_money);
COMMENT ON CAST (kb_money AS numeric) IS
	'The amount in major units; only explicit, as it loses the currency';

-- Arithmetic

CREATE FUNCTION kbilling_internal.kb_money_add(kb_money, kb_money) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_add(kb_money, kb_money) IS
	'Sum of two amounts (M3). Errors: KB002 for two currencies, 22003 out of range';

CREATE OPERATOR kbilling.+ (
	FUNCTION = kb_money_add, LEFTARG = kb_money, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.+)
);
COMMENT ON OPERATOR kbilling.+ (kbilling.kb_money, kbilling.kb_money) IS
	'Sum of two amounts (M3). Errors: KB002 for two currencies, 22003 out of range';

CREATE FUNCTION kbilling_internal.kb_money_sub(kb_money, kb_money) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_sub(kb_money, kb_money) IS
	'Difference of two amounts (M3). Errors: KB002 for two currencies, 22003 out of range';

CREATE OPERATOR kbilling.- (
	FUNCTION = kb_money_sub, LEFTARG = kb_money, RIGHTARG = kb_money
);
COMMENT ON OPERATOR kbilling.- (kbilling.kb_money, kbilling.kb_money) IS
	'Difference of two amounts (M3). Errors: KB002 for two currencies, 22003 out of range';

CREATE FUNCTION kbilling_internal.kb_money_neg(kb_money) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_neg(kb_money) IS
	'The amount with the opposite sign';

CREATE OPERATOR kbilling.- (
	FUNCTION = kb_money_neg, RIGHTARG = kb_money
);
COMMENT ON OPERATOR kbilling.- (NONE, kbilling.kb_money) IS
	'The amount with the opposite sign';

CREATE FUNCTION kbilling_internal.kb_money_mul_numeric(kb_money, numeric) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_mul_numeric(kb_money, numeric) IS
	'The amount times the number, rounded half away from zero to the minor unit (M3, M4). '
	'Errors: 22003 if it is out of range, NaN or infinite';

CREATE OPERATOR kbilling.* (
	FUNCTION = kb_money_mul_numeric, LEFTARG = kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.*)
);
COMMENT ON OPERATOR kbilling.* (kbilling.kb_money, numeric) IS
	'The amount times the number, rounded half away from zero to the minor unit (M3, M4). '
	'Errors: 22003 if it is out of range, NaN or infinite';

CREATE FUNCTION kbilling_internal.numeric_mul_kb_money(numeric, kb_money) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION numeric_mul_kb_money(numeric, kb_money) IS
	'The number times the amount, rounded half away from zero to the minor unit (M3, M4). '
	'Errors: 22003 if it is out of range, NaN or infinite';

CREATE OPERATOR kbilling.* (
	FUNCTION = numeric_mul_kb_money, LEFTARG = numeric, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.*)
);
COMMENT ON OPERATOR kbilling.* (numeric, kbilling.kb_money) IS
	'The number times the amount, rounded half away from zero to the minor unit (M3, M4). '
	'Errors: 22003 if it is out of range, NaN or infinite';

CREATE FUNCTION kbilling_internal.kb_money_div_numeric(kb_money, numeric) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_div_numeric(kb_money, numeric) IS
	'The amount divided by the number, rounded half away from zero to the minor unit (M3, M4). '
	'Errors: 22012 for a division by zero; 22003 if it is out of range, NaN or infinite';

CREATE OPERATOR kbilling./ (
	FUNCTION = kb_money_div_numeric, LEFTARG = kb_money, RIGHTARG = numeric
);
COMMENT ON OPERATOR kbilling./ (kbilling.kb_money, numeric) IS
	'The amount divided by the number, rounded half away from zero to the minor unit (M3, M4). '
	'Errors: 22012 for a division by zero; 22003 if it is out of range, NaN or infinite';

CREATE FUNCTION kbilling_internal.kb_money_div(kb_money, kb_money) RETURNS numeric
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_div(kb_money, kb_money) IS
	'Ratio of two amounts (M3). Errors: KB002 for two currencies, 22012 for a division by zero';

CREATE OPERATOR kbilling./ (
	FUNCTION = kb_money_div, LEFTARG = kb_money, RIGHTARG = kb_money
);
COMMENT ON OPERATOR kbilling./ (kbilling.kb_money, kbilling.kb_money) IS
	'Ratio of two amounts (M3). Errors: KB002 for two currencies, 22012 for a division by zero';

CREATE FUNCTION kbilling.abs(kb_money) RETURNS kb_money
	AS 'MODULE_PATHNAME', 'kb_money_abs' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION abs(kb_money) IS
	'The amount without its sign';

-- Order: currency first, by ISO 4217 number, then amount (M3).  Against a number,
-- only the amount counts; as that is another order, it is not in the operator
-- classes, and its = neither hashes nor merges.

CREATE FUNCTION kbilling_internal.kb_money_eq(kb_money, kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_eq(kb_money, kb_money) IS
	'True if both the currency and the amount are the same (M3)';

CREATE OPERATOR kbilling.= (
	FUNCTION = kb_money_eq, LEFTARG = kb_money, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.=), NEGATOR = OPERATOR(kbilling.<>),
	RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR kbilling.= (kbilling.kb_money, kbilling.kb_money) IS
	'True if both the currency and the amount are the same (M3)';

CREATE FUNCTION kbilling_internal.kb_money_ne(kb_money, kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_ne(kb_money, kb_money) IS
	'True if the currency or the amount differs (M3)';

CREATE OPERATOR kbilling.<> (
	FUNCTION = kb_money_ne, LEFTARG = kb_money, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.<>), NEGATOR = OPERATOR(kbilling.=),
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR kbilling.<> (kbilling.kb_money, kbilling.kb_money) IS
	'True if the currency or the amount differs (M3)';

CREATE FUNCTION kbilling_internal.kb_money_lt(kb_money, kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_lt(kb_money, kb_money) IS
	'Compares the currency first, then the amount (M3)';

CREATE OPERATOR kbilling.< (
	FUNCTION = kb_money_lt, LEFTARG = kb_money, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.>), NEGATOR = OPERATOR(kbilling.>=),
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR kbilling.< (kbilling.kb_money, kbilling.kb_money) IS
	'Compares the currency first, then the amount (M3)';

CREATE FUNCTION kbilling_internal.kb_money_le(kb_money, kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_le(kb_money, kb_money) IS
	'Compares the currency first, then the amount (M3)';

CREATE OPERATOR kbilling.<= (
	FUNCTION = kb_money_le, LEFTARG = kb_money, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.>=), NEGATOR = OPERATOR(kbilling.>),
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR kbilling.<= (kbilling.kb_money, kbilling.kb_money) IS
	'Compares the currency first, then the amount (M3)';

CREATE FUNCTION kbilling_internal.kb_money_gt(kb_money, kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_gt(kb_money, kb_money) IS
	'Compares the currency first, then the amount (M3)';

CREATE OPERATOR kbilling.> (
	FUNCTION = kb_money_gt, LEFTARG = kb_money, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.<), NEGATOR = OPERATOR(kbilling.<=),
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR kbilling.> (kbilling.kb_money, kbilling.kb_money) IS
	'Compares the currency first, then the amount (M3)';

CREATE FUNCTION kbilling_internal.kb_money_ge(kb_money, kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_ge(kb_money, kb_money) IS
	'Compares the currency first, then the amount (M3)';

CREATE OPERATOR kbilling.>= (
	FUNCTION = kb_money_ge, LEFTARG = kb_money, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.<=), NEGATOR = OPERATOR(kbilling.<),
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR kbilling.>= (kbilling.kb_money, kbilling.kb_money) IS
	'Compares the currency first, then the amount (M3)';

CREATE FUNCTION kbilling_internal.kb_money_eq_numeric(kb_money, numeric) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_eq_numeric(kb_money, numeric) IS
	'Compares the amount in major units, whatever its currency, with the number; NaN is above all amounts (M3)';

CREATE OPERATOR kbilling.= (
	FUNCTION = kb_money_eq_numeric, LEFTARG = kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.=), NEGATOR = OPERATOR(kbilling.<>),
	RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR kbilling.= (kbilling.kb_money, numeric) IS
	'Compares the amount in major units, whatever its currency, with the number; NaN is above all amounts (M3)';

CREATE FUNCTION kbilling_internal.kb_money_ne_numeric(kb_money, numeric) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_ne_numeric(kb_money, numeric) IS
	'Compares the amount in major units, whatever its currency, with the number; NaN is above all amounts (M3)';

CREATE OPERATOR kbilling.<> (
	FUNCTION = kb_money_ne_numeric, LEFTARG = kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.<>), NEGATOR = OPERATOR(kbilling.=),
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR kbilling.<> (kbilling.kb_money, numeric) IS
	'Compares the amount in major units, whatever its currency, with the number; NaN is above all amounts (M3)';

CREATE FUNCTION kbilling_internal.kb_money_lt_numeric(kb_money, numeric) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_lt_numeric(kb_money, numeric) IS
	'Compares the amount in major units, whatever its currency, with the number; NaN is above all amounts (M3)';

CREATE OPERATOR kbilling.< (
	FUNCTION = kb_money_lt_numeric, LEFTARG = kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.>), NEGATOR = OPERATOR(kbilling.>=),
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR kbilling.< (kbilling.kb_money, numeric) IS
	'Compares the amount in major units, whatever its currency, with the number; NaN is above all amounts (M3)';

CREATE FUNCTION kbilling_internal.kb_money_le_numeric(kb_money, numeric) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_le_numeric(kb_money, numeric) IS
	'Compares the amount in major units, whatever its currency, with the number; NaN is above all amounts (M3)';

CREATE OPERATOR kbilling.<= (
	FUNCTION = kb_money_le_numeric, LEFTARG = kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.>=), NEGATOR = OPERATOR(kbilling.>),
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR kbilling.<= (kbilling.kb_money, numeric) IS
	'Compares the amount in major units, whatever its currency, with the number; NaN is above all amounts (M3)';

CREATE FUNCTION kbilling_internal.kb_money_gt_numeric(kb_money, numeric) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_gt_numeric(kb_money, numeric) IS
	'Compares the amount in major units, whatever its currency, with the number; NaN is above all amounts (M3)';

CREATE OPERATOR kbilling.> (
	FUNCTION = kb_money_gt_numeric, LEFTARG = kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.<), NEGATOR = OPERATOR(kbilling.<=),
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR kbilling.> (kbilling.kb_money, numeric) IS
	'Compares the amount in major units, whatever its currency, with the number; NaN is above all amounts (M3)';

CREATE FUNCTION kbilling_internal.kb_money_ge_numeric(kb_money, numeric) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_ge_numeric(kb_money, numeric) IS
	'Compares the amount in major units, whatever its currency, with the number; NaN is above all amounts (M3)';

CREATE OPERATOR kbilling.>= (
	FUNCTION = kb_money_ge_numeric, LEFTARG = kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.<=), NEGATOR = OPERATOR(kbilling.<),
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR kbilling.>= (kbilling.kb_money, numeric) IS
	'Compares the amount in major units, whatever its currency, with the number; NaN is above all amounts (M3)';

CREATE FUNCTION kbilling_internal.numeric_eq_kb_money(numeric, kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION numeric_eq_kb_money(numeric, kb_money) IS
	'Compares the number with the amount in major units, whatever its currency; NaN is above all amounts (M3)';

CREATE OPERATOR kbilling.= (
	FUNCTION = numeric_eq_kb_money, LEFTARG = numeric, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.=), NEGATOR = OPERATOR(kbilling.<>),
	RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR kbilling.= (numeric, kbilling.kb_money) IS
	'Compares the number with the amount in major units, whatever its currency; NaN is above all amounts (M3)';

CREATE FUNCTION kbilling_internal.numeric_ne_kb_money(numeric, kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION numeric_ne_kb_money(numeric, kb_money) IS
	'Compares the number with the amount in major units, whatever its currency; NaN is above all amounts (M3)';

CREATE OPERATOR kbilling.<> (
	FUNCTION = numeric_ne_kb_money, LEFTARG = numeric, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.<>), NEGATOR = OPERATOR(kbilling.=),
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR kbilling.<> (numeric, kbilling.kb_money) IS
	'Compares the number with the amount in major units, whatever its currency; NaN is above all amounts (M3)';

CREATE FUNCTION kbilling_internal.numeric_lt_kb_money(numeric, kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION numeric_lt_kb_money(numeric, kb_money) IS
	'Compares the number with the amount in major units, whatever its currency; NaN is above all amounts (M3)';

CREATE OPERATOR kbilling.< (
	FUNCTION = numeric_lt_kb_money, LEFTARG = numeric, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.>), NEGATOR = OPERATOR(kbilling.>=),
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR kbilling.< (numeric, kbilling.kb_money) IS
	'Compares the number with the amount in major units, whatever its currency; NaN is above all amounts (M3)';

CREATE FUNCTION kbilling_internal.numeric_le_kb_money(numeric, kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION numeric_le_kb_money(numeric, kb_money) IS
	'Compares the number with the amount in major units, whatever its currency; NaN is above all amounts (M3)';

CREATE OPERATOR kbilling.<= (
	FUNCTION = numeric_le_kb_money, LEFTARG = numeric, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.>=), NEGATOR = OPERATOR(kbilling.>),
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR kbilling.<= (numeric, kbilling.kb_money) IS
	'Compares the number with the amount in major units, whatever its currency; NaN is above all amounts (M3)';

CREATE FUNCTION kbilling_internal.numeric_gt_kb_money(numeric, kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION numeric_gt_kb_money(numeric, kb_money) IS
	'Compares the number with the amount in major units, whatever its currency; NaN is above all amounts (M3)';

CREATE OPERATOR kbilling.> (
	FUNCTION = numeric_gt_kb_money, LEFTARG = numeric, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.<), NEGATOR = OPERATOR(kbilling.<=),
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR kbilling.> (numeric, kbilling.kb_money) IS
	'Compares the number with the amount in major units, whatever its currency; NaN is above all amounts (M3)';

CREATE FUNCTION kbilling_internal.numeric_ge_kb_money(numeric, kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION numeric_ge_kb_money(numeric, kb_money) IS
	'Compares the number with the amount in major units, whatever its currency; NaN is above all amounts (M3)';

CREATE OPERATOR kbilling.>= (
	FUNCTION = numeric_ge_kb_money, LEFTARG = numeric, RIGHTARG = kb_money,
	COMMUTATOR = OPERATOR(kbilling.<=), NEGATOR = OPERATOR(kbilling.<),
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR kbilling.>= (numeric, kbilling.kb_money) IS
	'Compares the number with the amount in major units, whatever its currency; NaN is above all amounts (M3)';

CREATE FUNCTION kbilling_internal.kb_money_cmp(kb_money, kb_money) RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_cmp(kb_money, kb_money) IS
	'-1, 0 or 1: compares the currency first, then the amount (M3)';

CREATE FUNCTION kbilling_internal.kb_money_sortsupport(internal) RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_sortsupport(internal) IS
	'Support function for fast sorting';

CREATE FUNCTION kbilling_internal.kb_money_hash(kb_money) RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_hash(kb_money) IS
	'Hash of currency and amount';

CREATE FUNCTION kbilling_internal.kb_money_hash_extended(kb_money, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_hash_extended(kb_money, bigint) IS
	'Hash of currency and amount, with a seed';

-- Not for our own functions and views, which order by kb_minor(): pg_upgrade makes operator classes after functions.
CREATE OPERATOR CLASS kbilling.kb_money_ops
	DEFAULT FOR TYPE kb_money USING btree AS
		OPERATOR 1 kbilling.<,
		OPERATOR 2 kbilling.<=,
		OPERATOR 3 kbilling.=,
		OPERATOR 4 kbilling.>=,
		OPERATOR 5 kbilling.>,
		FUNCTION 1 kb_money_cmp(kb_money, kb_money),
		FUNCTION 2 kb_money_sortsupport(internal),
		FUNCTION 4 pg_catalog.btequalimage(oid);
COMMENT ON OPERATOR CLASS kbilling.kb_money_ops USING btree IS
	'Order by currency, then amount (M3)';

CREATE OPERATOR CLASS kbilling.kb_money_ops
	DEFAULT FOR TYPE kb_money USING hash AS
		OPERATOR 1 kbilling.=,
		FUNCTION 1 kb_money_hash(kb_money),
		FUNCTION 2 kb_money_hash_extended(kb_money, bigint);
COMMENT ON OPERATOR CLASS kbilling.kb_money_ops USING hash IS
	'Equality of currency and amount (M3)';

-- Aggregates.  min() and max() have no SORTOP: taken from the end of an index
-- they would not see that there are two currencies.

CREATE FUNCTION kbilling_internal.kb_money_accum(internal, kb_money) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_accum(internal, kb_money) IS
	'Transition function of sum and avg (M3). Errors: KB002 for a second currency';

CREATE FUNCTION kbilling_internal.kb_money_accum_inv(internal, kb_money) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_accum_inv(internal, kb_money) IS
	'Inverse transition function of sum and avg, for moving windows';

CREATE FUNCTION kbilling_internal.kb_money_combine(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_combine(internal, internal) IS
	'Combines the states of two workers (M3). Errors: KB002 for a second currency';

CREATE FUNCTION kbilling_internal.kb_money_serialize(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_serialize(internal) IS
	'Writes the state of sum and avg, to pass it between workers';

CREATE FUNCTION kbilling_internal.kb_money_deserialize(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_deserialize(bytea, internal) IS
	'Reads the state of sum and avg that another worker wrote';

CREATE FUNCTION kbilling_internal.kb_money_sum(internal) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_sum(internal) IS
	'Final function of sum (M1). Errors: 22003 out of range';

CREATE FUNCTION kbilling_internal.kb_money_avg(internal) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_avg(internal) IS
	'Final function of avg, rounded half away from zero to the minor unit (M4)';

CREATE FUNCTION kbilling_internal.kb_money_smaller(kb_money, kb_money) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_smaller(kb_money, kb_money) IS
	'The smaller amount (M3). Errors: KB002 for two currencies';

CREATE FUNCTION kbilling_internal.kb_money_larger(kb_money, kb_money) RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_money_larger(kb_money, kb_money) IS
	'The larger amount (M3). Errors: KB002 for two currencies';

CREATE AGGREGATE kbilling.sum(kb_money) (
	SFUNC = kb_money_accum, STYPE = internal, SSPACE = 48,
	FINALFUNC = kb_money_sum,
	COMBINEFUNC = kb_money_combine,
	SERIALFUNC = kb_money_serialize, DESERIALFUNC = kb_money_deserialize,
	MSFUNC = kb_money_accum, MINVFUNC = kb_money_accum_inv,
	MSTYPE = internal, MSSPACE = 48, MFINALFUNC = kb_money_sum,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(kb_money) IS
	'Sum of the amounts that are not NULL; NULL if there is none (M3). '
	'Errors: KB002 for two currencies, 22003 out of range';

CREATE AGGREGATE kbilling.avg(kb_money) (
	SFUNC = kb_money_accum, STYPE = internal, SSPACE = 48,
	FINALFUNC = kb_money_avg,
	COMBINEFUNC = kb_money_combine,
	SERIALFUNC = kb_money_serialize, DESERIALFUNC = kb_money_deserialize,
	MSFUNC = kb_money_accum, MINVFUNC = kb_money_accum_inv,
	MSTYPE = internal, MSSPACE = 48, MFINALFUNC = kb_money_avg,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(kb_money) IS
	'Mean of the amounts that are not NULL, rounded half away from zero to the minor unit; NULL if there is none '
	'(M3, M4). '
	'Errors: KB002 for two currencies';

CREATE AGGREGATE kbilling.min(kb_money) (
	SFUNC = kb_money_smaller, STYPE = kb_money,
	COMBINEFUNC = kb_money_smaller, PARALLEL = SAFE
);
COMMENT ON AGGREGATE min(kb_money) IS
	'Smallest of the amounts that are not NULL; NULL if there is none (M3). '
	'Errors: KB002 for two currencies';

CREATE AGGREGATE kbilling.max(kb_money) (
	SFUNC = kb_money_larger, STYPE = kb_money,
	COMBINEFUNC = kb_money_larger, PARALLEL = SAFE
);
COMMENT ON AGGREGATE max(kb_money) IS
	'Largest of the amounts that are not NULL; NULL if there is none (M3). '
	'Errors: KB002 for two currencies';

CREATE FUNCTION kbilling_internal.kb_is_amount(amount text, currency text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce($1 ~ format('^-?[0-9]{1,15}%s %s$', '\.[0-9]{' || nullif(kb_minor_units($2), 0) || '}', $2), false);
COMMENT ON FUNCTION kb_is_amount(text, text) IS
	'Whether a text is an amount in the currency, written as kb_money writes it; a check must not fail on one that is not';
-- kb_price: a price as a person writes it, and what a quantity costs by it

CREATE TYPE kbilling.kb_price;

CREATE FUNCTION kbilling_internal.kb_price_in(cstring) RETURNS kb_price
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_price_in(cstring) IS
	'Reads a price (P). Errors: 22P02, which points at the character; 22003 if a number is too large';

CREATE FUNCTION kbilling_internal.kb_price_out(kb_price) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_price_out(kb_price) IS
	'Writes a price with the decimals that it was given, so that reading it gives the same value (P)';

CREATE FUNCTION kbilling_internal.kb_price_recv(internal) RETURNS kb_price
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_price_recv(internal) IS
	'Reads the binary form: a version byte, which is 1, then the text. Errors: as kb_price_in';

CREATE FUNCTION kbilling_internal.kb_price_send(kb_price) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_price_send(kb_price) IS
	'Writes the binary form: a version byte, which is 1, then the text';

CREATE TYPE kbilling.kb_price (
	INPUT = kb_price_in,
	OUTPUT = kb_price_out,
	RECEIVE = kb_price_recv,
	SEND = kb_price_send,
	STORAGE = main
);
COMMENT ON TYPE kb_price IS
	'A price as it is written in a price list (P). "19.00" is flat, for the whole period. "0.05 each" is for each '
	'unit, "5.00 per 100" for each started package of 100, "5.00 per full 100" for each full one. With "graduated 0.10 '
	'to 100, 0.08 to 1000, 0.05" each unit costs the price of its own tier; with "volume 0.10 to 100, 0.08 to 1000, '
	'0.05" all units cost the price of the tier that the total reaches. A tier may add a flat fee, as in "0.10 + 2.00 '
	'to 100". "2.5% + 0.30" is a percentage of a monetary quantity, and a fee for each event. A tier may have packages, '
	'as in "1.00 per 1000 to 5000"; all may be percentages, as in "graduated 1% to 10000, 0.5% fee 0.30". All forms but '
	'the flat one may be followed by "free 50", "min 5.00" and "max 100.00"';

CREATE FUNCTION kbilling_internal.kb_price_eq(kb_price, kb_price) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF;
COMMENT ON FUNCTION kb_price_eq(kb_price, kb_price) IS
	'True if two prices have the same terms; 19.0 equals 19.00 (P)';

CREATE FUNCTION kbilling_internal.kb_price_ne(kb_price, kb_price) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF;
COMMENT ON FUNCTION kb_price_ne(kb_price, kb_price) IS
	'True if two prices have different terms (P)';

CREATE FUNCTION kbilling_internal.kb_price_hash(kb_price) RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF;
COMMENT ON FUNCTION kb_price_hash(kb_price) IS
	'Hash of a price; equal prices hash alike';

CREATE FUNCTION kbilling_internal.kb_price_hash_extended(kb_price, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF;
COMMENT ON FUNCTION kb_price_hash_extended(kb_price, bigint) IS
	'64-bit hash of a price, with a seed; equal prices hash alike';

CREATE OPERATOR kbilling.= (
	LEFTARG = kb_price,
	RIGHTARG = kb_price,
	FUNCTION = kb_price_eq,
	COMMUTATOR = OPERATOR(kbilling.=),
	NEGATOR = OPERATOR(kbilling.<>),
	RESTRICT = eqsel,
	JOIN = eqjoinsel,
	HASHES
);
COMMENT ON OPERATOR kbilling.= (kbilling.kb_price, kbilling.kb_price) IS
	'True if two prices have the same terms; 19.0 equals 19.00 (P)';

CREATE OPERATOR kbilling.<> (
	LEFTARG = kb_price,
	RIGHTARG = kb_price,
	FUNCTION = kb_price_ne,
	COMMUTATOR = OPERATOR(kbilling.<>),
	NEGATOR = OPERATOR(kbilling.=),
	RESTRICT = neqsel,
	JOIN = neqjoinsel
);
COMMENT ON OPERATOR kbilling.<> (kbilling.kb_price, kbilling.kb_price) IS
	'True if two prices have different terms (P)';

-- Prices have no order: which of two is the lower depends on the quantity.
CREATE OPERATOR CLASS kbilling.kb_price_hash_ops DEFAULT FOR TYPE kb_price USING hash AS
	OPERATOR 1 kbilling.=,
	FUNCTION 1 kb_price_hash(kb_price),
	FUNCTION 2 kb_price_hash_extended(kb_price, bigint);
COMMENT ON OPERATOR CLASS kbilling.kb_price_hash_ops USING hash IS
	'Equality of prices, for hash joins, DISTINCT and hash indexes';

CREATE FUNCTION kbilling.kb_rate(price kb_price, quantity numeric, currency text, events bigint DEFAULT 1)
	RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_rate(kb_price, numeric, text, bigint) IS
	'What a quantity costs in a full period, rounded once (P, M4). A quantity below zero counts as zero. A fee for '
	'each event is multiplied by "events". '
	'Errors: 22003 for NaN, infinity, overflow, and a number of events below zero; 22023 for an unknown currency';

CREATE FUNCTION kbilling_internal.kb_has_minimum(price kb_price) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_has_minimum(kb_price) IS 'Whether the price has a minimum above zero (P)';

CREATE FUNCTION kbilling_internal.kb_require_price_range(price kb_price, currency text) RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_require_price_range(kb_price, text) IS
	'Raises 22003 if an amount in the price is more than a kb_money of the currency can hold, 22023 for an unknown '
	'currency (M1)';

CREATE FUNCTION kbilling.kb_rate_days(price kb_price, quantity numeric, currency text, days integer, days_in_period integer)
	RETURNS kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kb_rate_days(kb_price, numeric, text, integer, integer) IS
	'What a quantity, as one event, costs for some days of a period, rounded once (C3, M4): the price, with its '
	'minimum and maximum, times "days" / "days_in_period". '
	'Errors: as kb_rate, and 22023 if the days are not a part of the period';

CREATE FUNCTION kbilling.kb_explain_price(price kb_price, quantity numeric, currency text, events bigint DEFAULT 1)
	RETURNS TABLE (what text, from_units numeric, to_units numeric, units numeric, unit_price numeric, flat_fee numeric, amount numeric)
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 4;
COMMENT ON FUNCTION kb_explain_price(kb_price, numeric, text, bigint) IS
	'How the amount of kb_rate is made up, a row for each step (P, M4): flat price, free units, units, packages '
	'of n, full packages of n, percentage, tier n with any of these, fee per event, minimum, maximum, rounding. The '
	'exact amount of a step is "units" x "unit_price" + "flat_fee"; together they are what kb_rate returns. "units" '
	'are packages where there are any. "to_units" is where a step ends, or NULL if it has no end. What does not apply '
	'to a step is NULL. '
	'Errors: as kb_rate';
/*
 * Months, local dates and time zones.
 */

CREATE FUNCTION kbilling_internal.kb_month_first_day(day date) RETURNS date
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_month_first_day';
COMMENT ON FUNCTION kb_month_first_day(date) IS
'First day of the day''s month, which names the period. Errors: 22008 for an infinite date';

CREATE FUNCTION kbilling_internal.kb_month_last_day(day date) RETURNS date
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_month_last_day';
COMMENT ON FUNCTION kb_month_last_day(date) IS
'Last day of the day''s month. Errors: 22008 for an infinite date';

CREATE FUNCTION kbilling_internal.kb_local_date(at timestamptz, time_zone text) RETURNS date
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_local_date';
COMMENT ON FUNCTION kb_local_date(timestamptz, text) IS
'The date that a clock in the time zone shows at the moment. '
'Errors: 22008 for an infinite moment, 22023 for an unknown zone';

CREATE FUNCTION kbilling_internal.kb_account_date(at timestamptz, time_zone text) RETURNS date
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_account_date';
COMMENT ON FUNCTION kb_account_date(timestamptz, text) IS
'Like kb_local_date, for the time zone of an account. A zone that the server no longer knows counts as UTC; kb_check '
'reports it';

CREATE FUNCTION kbilling_internal.kb_day_begins(day date, time_zone text) RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_day_begins';
COMMENT ON FUNCTION kb_day_begins(date, text) IS
'The moment at which the day begins in the time zone of an account, by kb_account_date. '
'Errors: 22008 for an infinite date';

CREATE FUNCTION kbilling_internal.kb_time_zone(name text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_time_zone';
COMMENT ON FUNCTION kb_time_zone(text) IS
'The name of an IANA time zone in its usual spelling. '
'Errors: 22023 if it does not exist. That goes for POSIX rules such as "Foo5" too: PostgreSQL would accept a '
'misspelt name as one';
/*
 * kb_lines: the lines of an entry, in few bytes (C7).
 */

CREATE TYPE kbilling.kb_lines;

CREATE FUNCTION kbilling_internal.kb_lines_in(cstring) RETURNS kb_lines
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_in';
COMMENT ON FUNCTION kb_lines_in(cstring) IS 'Reads JSON. Errors: 22P02 and others, as jsonb';

CREATE FUNCTION kbilling_internal.kb_lines_out(kb_lines) RETURNS cstring
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_out';
COMMENT ON FUNCTION kb_lines_out(kb_lines) IS 'Writes JSON, to the letter as jsonb does';

CREATE FUNCTION kbilling_internal.kb_lines_recv(internal) RETURNS kb_lines
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_recv';
COMMENT ON FUNCTION kb_lines_recv(internal) IS
'Reads the binary form: a version byte, which is 1, then the text. Errors: 22P03 for another version; as kb_lines_in';

CREATE FUNCTION kbilling_internal.kb_lines_send(kb_lines) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_send';
COMMENT ON FUNCTION kb_lines_send(kb_lines) IS 'Writes the binary form: a version byte, which is 1, then the text';

CREATE TYPE kbilling.kb_lines (
	INPUT = kb_lines_in,
	OUTPUT = kb_lines_out,
	RECEIVE = kb_lines_recv,
	SEND = kb_lines_send,
	STORAGE = extended
);
COMMENT ON TYPE kb_lines IS
'The lines of an entry. It is read and written as jsonb is, becomes jsonb by itself wherever that is asked for, and takes a '
'fifth of its bytes';

CREATE FUNCTION kbilling_internal.kb_lines_to_jsonb(lines kb_lines) RETURNS jsonb
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_to_jsonb';
COMMENT ON FUNCTION kb_lines_to_jsonb(kb_lines) IS 'Lines as jsonb';

CREATE FUNCTION kbilling_internal.kb_lines_from_jsonb(lines jsonb) RETURNS kb_lines
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_from_jsonb';
COMMENT ON FUNCTION kb_lines_from_jsonb(jsonb) IS 'jsonb as lines';

CREATE CAST (kb_lines AS jsonb) WITH FUNCTION kb_lines_to_jsonb(kb_lines) AS IMPLICIT;
COMMENT ON CAST (kb_lines AS jsonb) IS 'Lines as jsonb';

CREATE CAST (jsonb AS kb_lines) WITH FUNCTION kb_lines_from_jsonb(jsonb) AS ASSIGNMENT;
COMMENT ON CAST (jsonb AS kb_lines) IS 'jsonb as lines';

CREATE FUNCTION kbilling_internal.kb_lines_eq(kb_lines, kb_lines) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF
	AS 'MODULE_PATHNAME', 'kb_lines_eq';
COMMENT ON FUNCTION kb_lines_eq(kb_lines, kb_lines) IS 'True if two lines are written alike; 30.0 is another number than 30';

CREATE FUNCTION kbilling_internal.kb_lines_ne(kb_lines, kb_lines) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF
	AS 'MODULE_PATHNAME', 'kb_lines_ne';
COMMENT ON FUNCTION kb_lines_ne(kb_lines, kb_lines) IS 'True if two lines are not written alike';

CREATE FUNCTION kbilling_internal.kb_lines_hash(kb_lines) RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF
	AS 'MODULE_PATHNAME', 'kb_lines_hash';
COMMENT ON FUNCTION kb_lines_hash(kb_lines) IS 'Hash of lines; equal lines hash alike';

CREATE OPERATOR kbilling.= (
	LEFTARG = kb_lines,
	RIGHTARG = kb_lines,
	FUNCTION = kb_lines_eq,
	COMMUTATOR = OPERATOR(kbilling.=),
	NEGATOR = OPERATOR(kbilling.<>),
	RESTRICT = eqsel,
	JOIN = eqjoinsel,
	HASHES
);
COMMENT ON OPERATOR kbilling.= (kbilling.kb_lines, kbilling.kb_lines) IS
'True if two lines are written alike; 30.0 is another number than 30';

CREATE OPERATOR kbilling.<> (
	LEFTARG = kb_lines,
	RIGHTARG = kb_lines,
	FUNCTION = kb_lines_ne,
	COMMUTATOR = OPERATOR(kbilling.<>),
	NEGATOR = OPERATOR(kbilling.=),
	RESTRICT = neqsel,
	JOIN = neqjoinsel
);
COMMENT ON OPERATOR kbilling.<> (kbilling.kb_lines, kbilling.kb_lines) IS 'True if two lines are not written alike';

CREATE OPERATOR CLASS kbilling.kb_lines_hash_ops DEFAULT FOR TYPE kb_lines USING hash AS
	OPERATOR 1 kbilling.=,
	FUNCTION 1 kb_lines_hash(kb_lines);
COMMENT ON OPERATOR CLASS kbilling.kb_lines_hash_ops USING hash IS 'Equality of lines, for DISTINCT and hash joins';

CREATE FUNCTION kbilling_internal.kb_line_rows(lines kb_lines)
	RETURNS TABLE (service text, what text, from_date date, to_date date, days integer, days_in_month integer, quantity numeric,
				   events bigint, billed_quantity numeric, billed_events bigint, price text, amount kb_money)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 3
	AS 'MODULE_PATHNAME', 'kb_line_rows';
COMMENT ON FUNCTION kb_line_rows(kb_lines) IS
'The lines of a charge, each a row of its keys; NULL for a key that a line does not have. '
'Errors: 22023 if they are not an array of objects; those of the types for other values than kb_bill writes';
/*
 * Credit by priority and expiry (rules G), over values.
 */

CREATE TYPE kbilling.kb_lot AS (
	priority   integer,
	expires_on date,
	amount     kb_money
);
COMMENT ON TYPE kb_lot IS
'Credit of one priority and expiry (G2). Credit that never expires, and has the priority 50, is not listed: it is what the '
'unspent credit has beyond what is listed';
COMMENT ON COLUMN kb_lot.priority IS 'Lower numbers are spent first';
COMMENT ON COLUMN kb_lot.expires_on IS 'The local date from which on it is spent no more (G3); infinity: it never expires';
COMMENT ON COLUMN kb_lot.amount IS 'How much of it there is; in an entry, by how much that moved it';

-- Strict, so that accounts without such credit pay nothing for them.
CREATE FUNCTION kbilling_internal.kb_lots_after(lots kb_lot[], total kb_money, total_after kb_money, today date) RETURNS kb_lot[]
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lots_after';
COMMENT ON FUNCTION kb_lots_after(kb_lot[], kb_money, kb_money, date) IS
'The lots of an account whose unspent credit was, and is then, as the arguments say, as a charge of today has spent some: first '
'what had expired and was kept for it (G3), then the rest in the order of G2; NULL if none is left';

CREATE FUNCTION kbilling_internal.kb_lots_less(lots kb_lot[], total kb_money, expired kb_lot[]) RETURNS kb_lot[]
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lots_less';
COMMENT ON FUNCTION kb_lots_less(kb_lot[], kb_money, kb_lot[]) IS
'The lots of an account without those that kb_expired_lots says; NULL if none is left';

CREATE FUNCTION kbilling_internal.kb_lots_move(before kb_lot[], after kb_lot[], total kb_money) RETURNS kb_lot[]
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lots_move';
COMMENT ON FUNCTION kb_lots_move(kb_lot[], kb_lot[], kb_money) IS
'By how much lots have moved from one to the other, in the currency of "total"; NULL if they are the same';

CREATE FUNCTION kbilling_internal.kb_expired_lots(lots kb_lot[], total kb_money, expired_through date, charged_through date,
												  today date, days date[], owed kb_money[])
	RETURNS kb_lot[]
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_expired_lots';
COMMENT ON FUNCTION kb_expired_lots(kb_lot[], kb_money, date, date, date, date[], kb_money[]) IS
'What has to leave the balance today as it has expired (G3), as amounts below zero; NULL if nothing. The arguments are columns of the '
'account, its local date, and what it owes for the days before each day on which credit expires that was not booked yet';

CREATE FUNCTION kbilling_internal.kb_lots_may_expire(lots kb_lot[], total kb_money, expired_through date, charged_through date, today date)
	RETURNS boolean
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lots_may_expire';
COMMENT ON FUNCTION kb_lots_may_expire(kb_lot[], kb_money, date, date, date) IS
'Whether kb_expired_lots has anything to look at: some have expired, and that is to be booked, or what was kept for a charge that is '
'there by now. The arguments are its first ones; false without lots';
/*
 * Stages of a debt and what a member may do in each: rules S1 to S4 over values.
 */

CREATE TYPE kbilling.kb_stage AS ENUM ('ok', 'grace', 'remind', 'restrict', 'blocked');
COMMENT ON TYPE kb_stage IS 'The stage of a debt: how far its consequences have got, in rising order (S2)';

CREATE TYPE kbilling.kb_access AS ENUM ('full', 'full_with_reminder', 'payment_only', 'denied');
COMMENT ON TYPE kb_access IS 'What a member may do, in falling order (S3)';

CREATE TYPE kbilling.kb_role AS ENUM ('employee', 'admin', 'owner');
COMMENT ON TYPE kb_role IS 'A member''s role; an owner may do all that an admin may';

CREATE FUNCTION kbilling.kb_access_stage(debt_since date, today date) RETURNS kb_stage
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1
	AS 'MODULE_PATHNAME', 'kb_access_stage';
COMMENT ON FUNCTION kb_access_stage(date, date) IS
'Stage of a debt by the policy "standard" (S2); "ok" without a debt (NULL). The first day of a debt is day 1';

CREATE FUNCTION kbilling_internal.kb_standard_day(stage kb_stage) RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_standard_day';
COMMENT ON FUNCTION kb_standard_day(kb_stage) IS
'The day of a debt on which the stage begins by the policy "standard" (S2); NULL for ok';

CREATE FUNCTION kbilling_internal.kb_stage(debt_since date, deferred_until date, today date,
										   remind_day integer, restrict_day integer, block_day integer)
	RETURNS kb_stage
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1
	AS 'MODULE_PATHNAME', 'kb_stage';
COMMENT ON FUNCTION kb_stage(date, date, date, integer, integer, integer) IS
'Stage of a debt by the days of a policy (S2); at most grace until the end of "deferred_until" (S4)';

CREATE FUNCTION kbilling_internal.kb_next_stage_on(debt_since date, deferred_until date, today date,
												   remind_day integer, restrict_day integer, block_day integer)
	RETURNS date
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1
	AS 'MODULE_PATHNAME', 'kb_next_stage_on';
COMMENT ON FUNCTION kb_next_stage_on(date, date, date, integer, integer, integer) IS
'The next day on which the stage is another than today''s, if nothing is paid; NULL if it stays';

-- Not STRICT, so that it is inlined; so the next one, too.
CREATE FUNCTION kbilling_internal.kb_stage_changes_on(stage kb_stage, today date, from_day date, to_day date, debt_since date,
													  deferred_until date, remind_day integer, restrict_day integer, block_day integer)
	RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
	WHEN $3 >= $2 AND kb_stage($5, $6, $3, $7, $8, $9) <> $1 THEN $3
	WHEN kb_next_stage_on($5, $6, greatest($2, $3), $7, $8, $9) < $4
		THEN kb_next_stage_on($5, $6, greatest($2, $3), $7, $8, $9)
END;
COMMENT ON FUNCTION kb_stage_changes_on(kb_stage, date, date, date, date, date, integer, integer, integer) IS
'The first day from today on, of those from "from_day" to the day before "to_day", on which the stage is not the one that '
'is given, for the debt and the policy of those days; NULL if there is none. It takes it that the stage is the one given up '
'to "from_day"';

CREATE FUNCTION kbilling_internal.kb_access_for(stage kb_stage, role kb_role, deleted boolean = false, ended boolean = false)
	RETURNS kb_access
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
	WHEN stage IS NULL OR role IS NULL THEN NULL
	WHEN deleted OR stage = 'blocked' THEN 'denied'::kb_access
	WHEN role = 'employee' THEN CASE WHEN ended THEN 'denied'::kb_access ELSE 'full' END
	WHEN ended OR stage = 'restrict' THEN 'payment_only'
	WHEN stage = 'remind' THEN 'full_with_reminder'
	ELSE 'full'
END;
COMMENT ON FUNCTION kb_access_for(kb_stage, kb_role, boolean, boolean) IS
'What a member with the role may do at the stage (S3), and once the contract has ended (X2)';
/*
 * The rules of a posting, over values: bonus, debt, and the hash of an entry.
 */

CREATE TYPE kbilling.kb_debt_date AS ENUM ('due_date', 'posting_date');
COMMENT ON TYPE kb_debt_date IS
'The day on which a charge takes effect (C5): due_date, the 1st of the month in which it is posted; posting_date, the day of posting';

-- In the index account_due, so the same for good.
CREATE FUNCTION kbilling_internal.kb_charge_due_on(charged_through date, ends_on date) RETURNS date
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_charge_due_on';
COMMENT ON FUNCTION kb_charge_due_on(date, date) IS
'The day from which the next period of an account can be charged: the one after its last day (C1), or after the end of the '
'contract (X2). Once all is charged up to the end, what comes late is billed on the 1sts (U3)';

CREATE FUNCTION kbilling_internal.kb_billed_until(today date, charged_through date, ends_on date) RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN ends_on <= charged_through THEN greatest(today, charged_through + 1) ELSE least(today, ends_on) END;
COMMENT ON FUNCTION kb_billed_until(date, date, date) IS
'The day up to which an account is shown what it has used so far: today, or the end of its contract; and once all is charged up '
'to that, the first day of the next bill, which has what comes late alone (U3)';

CREATE FUNCTION kbilling_internal.kb_charge_effective_on(posted_on date, debt_counts_from kb_debt_date, due_on date) RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE debt_counts_from WHEN 'due_date' THEN greatest(kb_month_first_day(posted_on), due_on) ELSE posted_on END;
COMMENT ON FUNCTION kb_charge_effective_on(date, kb_debt_date, date) IS
'The day on which a charge that is posted on a day, and can be since another one, takes effect (C5)';

CREATE FUNCTION kbilling_internal.kb_bonus_after(bonus kb_money, delta kb_money, balance_after kb_money)
	RETURNS kb_money
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_bonus_after';
COMMENT ON FUNCTION kb_bonus_after(kb_money, kb_money, kb_money) IS
'The unspent bonus after an entry: bonus + delta, but at least zero, and at most the balance, as bonus is spent '
'first (T6)';

CREATE FUNCTION kbilling_internal.kb_debt_since(before date, balance_after kb_money, effective_on date) RETURNS date
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_debt_since';
COMMENT ON FUNCTION kb_debt_since(date, kb_money, date) IS
'The day since which there is a debt after an entry (S1): the one before it, or the day on which the entry takes '
'effect; NULL if there is no debt';

CREATE FUNCTION kbilling_internal.kb_stage_check_on(check_on date, debt_before date, debt_since date, deferred_until date,
													tariff_from date, today date,
													remind_day integer, restrict_day integer, block_day integer)
	RETURNS date
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_stage_check_on';
COMMENT ON FUNCTION kb_stage_check_on(date, date, date, date, date, date, integer, integer, integer) IS
'The day on which the sweep is to look at an account''s stage after an entry (N5): when it changes by itself, or '
'tomorrow while another tariff is to come. A day that has come stays as long as the debt does. NULL without a debt, '
'or if the stage will not change';

CREATE FUNCTION kbilling_internal.kb_closure_check_on(check_on date, balance_before kb_money, balance_after kb_money,
		effective_on date) RETURNS date
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_closure_check_on';
COMMENT ON FUNCTION kb_closure_check_on(date, kb_money, kb_money, date) IS
'The day on which the sweep is to look after an entry whether the account may be closed (D1, X3): the one before it, but '
'if the entry takes the last of the balance, the day on which it takes effect at the latest';

CREATE FUNCTION kbilling_internal.kb_amount_due(balance kb_money) RETURNS kb_money
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest(- balance, balance - balance);
COMMENT ON FUNCTION kb_amount_due(kb_money) IS 'The debt of a balance, zero or more';

CREATE FUNCTION kbilling_internal.kb_exchange_rate(paid kb_money, amount kb_money) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN kb_currency(paid) <> kb_currency(amount)
	THEN trim_scale(round(kb_amount(paid) / nullif(kb_amount(amount), 0), 8)) END;
COMMENT ON FUNCTION kb_exchange_rate(kb_money, kb_money) IS
'What was paid for one of the amount''s currency, to 8 decimals (T8); NULL if both are in one currency';

CREATE FUNCTION kbilling_internal.kb_entry_hash(
		previous bytea, account_id bigint, seq bigint, kind text,
		amount kb_money, balance_after kb_money, bonus_after kb_money,
		debt_since date, effective_on date, posted_at timestamptz, key text, period date, method text,
		paid kb_money, ref_seq bigint, member text, posted_by text, memo text, lines kb_lines, lots kb_lot[])
	RETURNS bytea
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_entry_hash';
COMMENT ON FUNCTION kb_entry_hash(bytea, bigint, bigint, text, kb_money, kb_money, kb_money, date, date, timestamptz, text, date, text,
								  kb_money, bigint, text, text, text, kb_lines, kb_lot[]) IS
'SHA-256 of an entry and the hash before it (J5); docs/reference.md says over which bytes';
/*
 * A payment provider's ids as references.
 */

CREATE FUNCTION kbilling.kb_reference(provider text, id text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_reference';
COMMENT ON FUNCTION kb_reference(text, text) IS
'Writes a provider''s id of a payment as a reference that never looks like a card number, though the id may, as one '
'that consists of digits (T10): kb_reference(''liqpay'', ''24567891234567'') is "liqpay:245678~912345~67~". '
'Other ids give other references, and kb_reference_id gives the id back. It is for ids alone: it cannot know if '
'what it is given is a card number. '
'Errors: 22023 for an id with other characters than letters, digits and underscores, unless it is a UUID, and for a '
'provider''s name that does not begin with a letter, or is "kb"';

CREATE FUNCTION kbilling.kb_reference_id(reference text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_reference_id';
COMMENT ON FUNCTION kb_reference_id(text) IS
'The provider''s id in a reference that kb_reference has written (T10); NULL for any other text';
/*
 * The bill of a period, as an aggregate over its billable parts (C2, C3).
 */

CREATE TYPE kbilling_internal.kb_bill_result AS (total kb_money, lines kb_lines);
COMMENT ON TYPE kb_bill_result IS 'What an account owes for a period, and the lines that add up to it';
COMMENT ON COLUMN kb_bill_result.total IS 'Sum of the lines';
COMMENT ON COLUMN kb_bill_result.lines IS 'As in kbilling.entry';

CREATE FUNCTION kbilling_internal.kb_bill_add(state internal, service text, from_date date, to_date date, days integer,
											  quantity numeric, events bigint, billed_quantity numeric, billed_events bigint,
											  price_id integer, price kb_price, prorate boolean,
											  currency text, first_day date, last_day date)
	RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_bill_add';
COMMENT ON FUNCTION kb_bill_add(internal, text, date, date, integer, numeric, bigint, numeric, bigint, integer, kb_price, boolean, text,
								date, date) IS
'Transition function of kb_bill';

CREATE FUNCTION kbilling_internal.kb_bill_final(state internal) RETURNS kb_bill_result
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_bill_final';
COMMENT ON FUNCTION kb_bill_final(internal) IS 'Final function of kb_bill';

CREATE AGGREGATE kbilling_internal.kb_bill(service text, from_date date, to_date date, days integer, quantity numeric, events bigint,
										   billed_quantity numeric, billed_events bigint, price_id integer, price kb_price, prorate boolean,
										   currency text, first_day date, last_day date) (
	SFUNC = kb_bill_add,
	STYPE = internal,
	SSPACE = 1024,
	FINALFUNC = kb_bill_final,
	FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE kb_bill(text, date, date, integer, numeric, bigint, numeric, bigint, integer, kb_price, boolean, text, date, date) IS
'The bill of a period from its billable parts (C2, C3, M4): the lines in their order, '
'those of a service rounded together, and their sum; NULL if there is no part. A part is charged by day if "events" '
'is NULL. Else it is the usage of a month under one price, which held on so many "days" of it; "billed_quantity" and '
'"billed_events" were billed before';
/*
 * Notices as text: ICU's MessageFormat, and tags of languages.
 */

CREATE FUNCTION kbilling_internal.kb_is_language(language text) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_is_language';
COMMENT ON FUNCTION kb_is_language(text) IS
'True if the text looks like a language tag of BCP 47, such as "uk" or "pt-BR"';

CREATE FUNCTION kbilling_internal.kb_utf8(bytes bytea) RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_utf8';
COMMENT ON FUNCTION kb_utf8(bytea) IS
'A text in UTF-8, in the encoding of the database; NULL if that cannot hold it. In calls of it, make writes literals '
'beyond ASCII as bytes';

-- STABLE, as the words for dates and numbers come with ICU's version.
CREATE FUNCTION kbilling.kb_format_message(pattern text, language text, facts jsonb) RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000
	AS 'MODULE_PATHNAME', 'kb_format_message';
COMMENT ON FUNCTION kb_format_message(text, text, jsonb) IS
'Fills facts, which are the keys of a JSON object, into a pattern of ICU''s MessageFormat, such as "{amount}", '
'"{days, plural, one {# day} other {# days}}" or "{stage, select, ok {fine} other {}}". A text that is a date '
'(2026-11-16) or a month (2026-11) is written out in the language; null becomes the empty text. '
'Errors: 22023 for a syntax error, with its place, and for a fact that is not there; 54000 beyond its bounds, as nothing interrupts ICU';
/*
 * Reminders of a closure (D2, D7): which one is due, over values.
 */

CREATE FUNCTION kbilling_internal.kb_next_reminder(scheduled_on date, delete_on date, today date, reminder_days integer[], reminded integer,
												   OUT reminder integer, OUT deletion_on date, OUT next_on date)
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_next_reminder';
COMMENT ON FUNCTION kb_next_reminder(date, date, date, integer[], integer) IS
'What is to be done about a closure today (D2, D7), where "reminded" is the smallest of the reminders that were '
'given (NULL: none). It returns the reminder to give now; the day of the deletion, moved if the last reminder comes '
'too late for it; and the day to look again ("next_on"), NULL if the deletion is due';
/*
 * What becomes of an account if nothing is paid and nothing else happens (S6),
 * over values: the days of a sweep that runs each day.
 */

CREATE TYPE kbilling_internal.kb_policy_ahead AS (
	from_day      date,
	remind_day    integer,
	restrict_day  integer,
	block_day     integer,
	may_close_on  date,
	close_unused  boolean,
	restore_days  integer,
	reminder_days integer[]
);
COMMENT ON TYPE kb_policy_ahead IS 'The policy that holds for an account from a day on';
COMMENT ON COLUMN kb_policy_ahead.from_day IS 'First day of the tariff whose policy it is';
COMMENT ON COLUMN kb_policy_ahead.remind_day IS 'As in kbilling.policy';
COMMENT ON COLUMN kb_policy_ahead.restrict_day IS 'As in kbilling.policy';
COMMENT ON COLUMN kb_policy_ahead.block_day IS 'As in kbilling.policy';
COMMENT ON COLUMN kb_policy_ahead.may_close_on IS 'The day from which age and idleness allow a closure by this policy (D1)';
COMMENT ON COLUMN kb_policy_ahead.close_unused IS 'Whether the sweep may close it';
COMMENT ON COLUMN kb_policy_ahead.restore_days IS 'As in kbilling.policy';
COMMENT ON COLUMN kb_policy_ahead.reminder_days IS 'As in kbilling.policy';

CREATE TYPE kbilling_internal.kb_charge_ahead AS (
	period       date,
	posted_on    date,
	effective_on date,
	total        kb_money
);
COMMENT ON TYPE kb_charge_ahead IS 'A month that will be charged';
COMMENT ON COLUMN kb_charge_ahead.period IS 'The month, by its first day';
COMMENT ON COLUMN kb_charge_ahead.posted_on IS 'The day on which a sweep that runs each day charges it (C1)';
COMMENT ON COLUMN kb_charge_ahead.effective_on IS 'The day on which that takes effect (C5)';
COMMENT ON COLUMN kb_charge_ahead.total IS 'What it will come to; below zero it is a credit';

CREATE TYPE kbilling_internal.kb_expiry_ahead AS (
	expires_on date,
	owed       kb_money
);
COMMENT ON TYPE kb_expiry_ahead IS 'A day on which credit expires (G3)';
COMMENT ON COLUMN kb_expiry_ahead.expires_on IS 'The day';
COMMENT ON COLUMN kb_expiry_ahead.owed IS
'What was used before it, and is not charged by then unless a month that is charged sooner has it: the credit is kept for that';

CREATE FUNCTION kbilling_internal.kb_walk_ahead(
		today date, through date, balance kb_money, debt_since date, state text, delete_on date, closure_check_on date,
		scheduled_on date, scheduled_by_sweep boolean, reminded integer, unspent_bonus kb_money, lots kb_lot[],
		expired_through date, charged_through date, ends_on date,
		policies kb_policy_ahead[], charges kb_charge_ahead[], expiries kb_expiry_ahead[])
	RETURNS TABLE (from_day date, to_day date, balance kb_money, debt_since date, state text, delete_on date,
				   remind_day integer, restrict_day integer, block_day integer,
				   period date, charge kb_money, effective_on date)
	LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 10
	AS 'MODULE_PATHNAME', 'kb_walk_ahead';
COMMENT ON FUNCTION kb_walk_ahead(date, date, kb_money, date, text, date, date, date, boolean, integer, kb_money, kb_lot[], date,
								  date, date, kb_policy_ahead[], kb_charge_ahead[], kb_expiry_ahead[]) IS
'How an account that now stands as the arguments say will stand, up to the day "through", after the sweep of each day: '
'a row for each stretch of days without a change, from "from_day" to the day before "to_day". Charges are posted while '
'the account is not deleted (D5), and credit expires (G3); a closure that is under way is carried out or cancelled (D4), a '
'deleted account purged (D6). A row that begins with a charge shows it; of several on one day, all but the last have '
'rows of no length. Errors: 22004, 22023 for values that no account has';
/*
 * What a usage event may be, over values: called for each event that is recorded.
 */

CREATE FUNCTION kbilling_internal.kb_usage_day(source text, n bigint, account_id bigint, service text, key text, quantity numeric,
											   at timestamptz, now timestamptz, created_at timestamptz, time_zone text, deleted boolean,
											   ends_on date, kind text, lacks_value boolean, refuse boolean)
	RETURNS date
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_usage_day';
COMMENT ON FUNCTION kb_usage_day(text, bigint, bigint, text, text, numeric, timestamptz, timestamptz, timestamptz, text, boolean,
								 date, text, boolean, boolean) IS
'The day of an event in the account''s time zone. If the event may not be recorded, NULL, or with "refuse" an error: '
'KB001, KB010, KB012, 22003, 22008 or 22023 (U1, U4, X2)';

CREATE FUNCTION kbilling_internal.kb_usage_value(unit text, properties jsonb) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_usage_value';
COMMENT ON FUNCTION kb_usage_value(text, jsonb) IS
'The property of an event whose distinct values are counted (U2): the one that has the name of the service''s unit, '
'else the only one. NULL if there is no such property, or if it is not a text, a number or a boolean of at most 255 '
'bytes';

CREATE FUNCTION kbilling_internal.kb_refuse_unpriced(account_id bigint, service text, tariff text, day date) RETURNS integer
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_refuse_unpriced';
COMMENT ON FUNCTION kb_refuse_unpriced(bigint, text, text, date) IS
'Raises KB012, as the tariff has no price for the service on the day of the usage (U4). The result has the type of a '
'price''s number, so that it can stand in coalesce()';

CREATE FUNCTION kbilling_internal.kb_usage_is_priced(account_id bigint, service text, currency text, price kb_price, quantity numeric,
													 events bigint)
	RETURNS boolean
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_usage_is_priced';
COMMENT ON FUNCTION kb_usage_is_priced(bigint, text, text, kb_price, numeric, bigint) IS
'True, or an error: 22003 if the quantity costs more than a kb_money can hold (U4)';
/*
 * Which accounts are this node's own, where accounts are spread over several nodes (rules B).
 */

CREATE FUNCTION kbilling.kb_shard(account_id bigint) RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_shard';
COMMENT ON FUNCTION kb_shard(bigint) IS
'The bucket of an account, 0 to 1023: hashint8(account_id) & 1023, for good (B1)';

-- No rows are built in, so that all of them are dumped.
CREATE TABLE kbilling.shard_bucket (
	bucket   integer PRIMARY KEY CHECK (bucket BETWEEN 0 AND 1023),
	is_owned boolean NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.shard_bucket', '');
COMMENT ON TABLE shard_bucket IS
'Which buckets of accounts this node owns (B2). Without rows it has no shards, and owns all; with rows, it owns those '
'whose row says so, and no others';
COMMENT ON COLUMN shard_bucket.bucket IS 'The bucket, as kb_shard names it';
COMMENT ON COLUMN shard_bucket.is_owned IS 'Whether its accounts are this node''s own';

CREATE FUNCTION kbilling_internal.kb_tell_shard_change() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_tell_shard_change';
COMMENT ON FUNCTION kb_tell_shard_change() IS
'Trigger function for kbilling.shard_bucket: has all sessions read it anew, once what is written is committed. It '
'changes nothing';

-- Always, as rows may come by replication.
CREATE TRIGGER bucket_changed BEFORE INSERT OR UPDATE OR DELETE ON shard_bucket
	FOR EACH ROW EXECUTE FUNCTION kb_tell_shard_change();
ALTER TABLE kbilling.shard_bucket ENABLE ALWAYS TRIGGER bucket_changed;

CREATE TRIGGER buckets_emptied BEFORE TRUNCATE ON shard_bucket
	FOR EACH STATEMENT EXECUTE FUNCTION kb_tell_shard_change();
ALTER TABLE kbilling.shard_bucket ENABLE ALWAYS TRIGGER buckets_emptied;

CREATE FUNCTION kbilling_internal.kb_is_owned_support(request internal) RETURNS internal
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_is_owned_support';
COMMENT ON FUNCTION kb_is_owned_support(internal) IS
'Planner support for kb_is_owned: mostly, what is there is owned';

CREATE FUNCTION kbilling_internal.kb_is_owned(account_id bigint) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE SUPPORT kb_is_owned_support
	AS 'MODULE_PATHNAME', 'kb_is_owned';
COMMENT ON FUNCTION kb_is_owned(bigint) IS
'Whether the account is in a bucket that this node owns, as is committed now, whatever the transaction''s snapshot (B2)';

CREATE FUNCTION kbilling_internal.kb_require_owned(account_id bigint) RETURNS void
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'kb_require_owned';
COMMENT ON FUNCTION kb_require_owned(bigint) IS
'Raises KB014 unless the account is in a bucket that this node owns, which it then owns until the transaction ends (B3)';

CREATE FUNCTION kbilling_internal.kb_require_readable(account_id bigint) RETURNS void
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_require_readable';
COMMENT ON FUNCTION kb_require_readable(bigint) IS
'Raises KB014 unless the account is in a bucket that this node owns at the moment (B3)';

CREATE FUNCTION kbilling_internal.kb_keep_buckets() RETURNS void
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'kb_keep_buckets';
COMMENT ON FUNCTION kb_keep_buckets() IS
'Keeps the buckets that this node owns its own until the transaction ends, for who writes to many accounts (B3)';
/*
 * The log of what is agreed: who changed it, what it was, what it is (J9).
 *
 * The functions that change it write the log themselves; so a restore or
 * replication, which replays rows, logs nothing twice.
 */

CREATE FUNCTION kbilling_internal.kb_change_id() RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'kb_change_id';
COMMENT ON FUNCTION kb_change_id() IS
'A number for a row of the log that needs no sequence: a UUID of version 7, which rises with the time';

CREATE FUNCTION kbilling_internal.kb_calling_role() RETURNS text
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'kb_calling_role';
COMMENT ON FUNCTION kb_calling_role() IS
'The database role as the session sees it, after SET ROLE; within a function of kbilling, its caller''s and not its owner''s';

CREATE TABLE kbilling.change_log (
	change_id  uuid PRIMARY KEY DEFAULT kb_change_id(),
	changed_at timestamptz NOT NULL DEFAULT kb_now(),
	changed_by text NOT NULL DEFAULT kb_calling_role(),
	member     kb_text,
	subject    text NOT NULL,
	account_id bigint,
	tariff     kb_text,
	service    kb_text,
	policy     kb_text,
	role       text,
	before     jsonb,
	after      jsonb
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.change_log', '');
COMMENT ON TABLE change_log IS
'Every change of what is agreed: price list, policies, templates, payment methods, names, accounts'' terms, rights (J9). Nothing in it is '
'changed or deleted; written by the functions that make the changes';
COMMENT ON COLUMN change_log.change_id IS 'Number of the change; numbers rise in the order in which a session writes them';
COMMENT ON COLUMN change_log.changed_at IS 'When: the start of the transaction';
COMMENT ON COLUMN change_log.changed_by IS 'The database role that made the change, after SET ROLE';
COMMENT ON COLUMN change_log.member IS 'The acting member, if kb_act_as has named one';
COMMENT ON COLUMN change_log.subject IS
'What was changed: "tariff", "service", "price", "bonus_tier", "policy", "template", "payment_method", "credit_line", "limit", '
'"alert", "minimum", "discount", "discount_code", "name", "account_tariff", "subscription", "end", "billing_details" '
'or "rights"';
COMMENT ON COLUMN change_log.account_id IS 'The account whose terms were changed';
COMMENT ON COLUMN change_log.tariff IS 'The tariff: of the price or bonus tier, or the one that the account was put on';
COMMENT ON COLUMN change_log.service IS 'The service';
COMMENT ON COLUMN change_log.policy IS 'The policy; for a template, the one whose accounts get it';
COMMENT ON COLUMN change_log.role IS 'The database role whose rights were changed';
COMMENT ON COLUMN change_log.before IS 'What held before; NULL if there was nothing';
COMMENT ON COLUMN change_log.after IS 'What holds now; NULL if nothing does';

CREATE INDEX change_log_account ON change_log (account_id, change_id) WHERE account_id IS NOT NULL;
COMMENT ON INDEX change_log_account IS 'Finds the changes of an account''s terms';
/*
 * Policies: the numbers of the rules.
 *
 * Built-in rows are not dumped, as CREATE EXTENSION makes them again on
 * restore; so they cannot be changed either.
 */

CREATE FUNCTION kbilling_internal.kb_refuse_change() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_refuse_change';
COMMENT ON FUNCTION kb_refuse_change() IS
'Trigger function for built-in rows: raises 55000, with the trigger''s argument as the hint';

CREATE TYPE kbilling.kb_activity AS ENUM ('any', 'logins');
COMMENT ON TYPE kb_activity IS 'What shows that an account is used (D1)';

CREATE TABLE kbilling.policy (
	policy           kb_text PRIMARY KEY CHECK (policy <> ''),
	remind_day       integer NOT NULL DEFAULT kb_standard_day('remind'),
	restrict_day     integer NOT NULL DEFAULT kb_standard_day('restrict'),
	block_day        integer NOT NULL DEFAULT kb_standard_day('blocked'),
	min_age_days     integer NOT NULL DEFAULT 40 CHECK (min_age_days BETWEEN 0 AND 36500),
	inactive_days    integer NOT NULL DEFAULT 30 CHECK (inactive_days BETWEEN 0 AND 36500),
	notice_days      integer NOT NULL DEFAULT 10 CHECK (notice_days BETWEEN 1 AND 36500),
	reminder_days    integer[] NOT NULL DEFAULT '{3,1}' CHECK (coalesce(0 < ALL (reminder_days), false)),
	restore_days     integer NOT NULL DEFAULT 20 CHECK (restore_days BETWEEN 1 AND 36500),
	language         kb_text NOT NULL DEFAULT 'en' CHECK (kb_is_language(language)),
	debt_counts_from kb_debt_date NOT NULL DEFAULT 'due_date',
	metadata         kb_json NOT NULL DEFAULT '{}',
	payment_hours    integer NOT NULL DEFAULT 24 CHECK (payment_hours >= 1),
	activity         kb_activity NOT NULL DEFAULT 'any',
	close_unused     boolean NOT NULL DEFAULT true,
	keep_usage_months   integer CHECK (keep_usage_months BETWEEN 1 AND 1200),
	keep_notices_months integer CHECK (keep_notices_months BETWEEN 1 AND 1200),
	charge_notice_days integer CHECK (charge_notice_days BETWEEN 1 AND 28),
	credit_notice_days integer DEFAULT 7 CHECK (credit_notice_days BETWEEN 1 AND 366),
	CHECK (1 <= remind_day AND remind_day <= restrict_day AND restrict_day <= block_day)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.policy', $$WHERE policy <> 'standard'$$);
COMMENT ON TABLE policy IS
'The numbers of the rules. "standard" is built in; a service that wants other numbers adds a row of its own';
COMMENT ON COLUMN policy.policy IS 'Name, by which a tariff refers to it';
COMMENT ON COLUMN policy.remind_day IS 'Day of a debt on which stage remind begins (S2)';
COMMENT ON COLUMN policy.restrict_day IS 'Day of a debt on which stage restrict begins (S2)';
COMMENT ON COLUMN policy.block_day IS 'Day of a debt on which stage blocked begins (S2)';
COMMENT ON COLUMN policy.min_age_days IS 'An account may be closed when it was created more than so many days ago (D1)';
COMMENT ON COLUMN policy.inactive_days IS 'An account may be closed when it has not been used for so many days (D1)';
COMMENT ON COLUMN policy.notice_days IS 'Days from the notice of a closure to the deletion (D2)';
COMMENT ON COLUMN policy.reminder_days IS 'How many days before the deletion the owners are reminded (D2)';
COMMENT ON COLUMN policy.language IS 'Language of notices to members who have none of their own, such as "uk"';
COMMENT ON COLUMN policy.restore_days IS 'Days after the deletion in which support can restore the account (D5)';
COMMENT ON COLUMN policy.payment_hours IS 'Hours after which a payment that was begun expires';
COMMENT ON COLUMN policy.keep_usage_months IS
'Usage events of charged months are removed when their month has ended so many months ago; NULL: never (U6)';
COMMENT ON COLUMN policy.keep_notices_months IS
'Notices are removed when they were delivered so many months ago; NULL: never (U6)';
COMMENT ON COLUMN policy.charge_notice_days IS
'So many days before the end of the month, payers are told of a charge that the balance will not cover; NULL: never (L6)';
COMMENT ON COLUMN policy.credit_notice_days IS
'So many days before credit expires, payers are told of it; NULL: never (G3)';
COMMENT ON COLUMN policy.debt_counts_from IS
'When a charge takes effect (C5): "due_date", on the 1st of the month in which it is posted; "posting_date", on the '
'day of posting';
COMMENT ON COLUMN policy.activity IS
'What shows that an account is used (D1): "any", a login, a member who acts, a payment or recorded usage; "logins", a '
'login alone';
COMMENT ON COLUMN policy.close_unused IS
'Whether the sweep closes accounts that are not used (D1). If not, kb_schedule_closure still does';
COMMENT ON COLUMN policy.metadata IS 'For the application''s own use';

INSERT INTO policy (policy) VALUES ('standard');

CREATE TRIGGER policy_standard BEFORE UPDATE OR DELETE ON policy
	FOR EACH ROW WHEN (OLD.policy = 'standard')
	EXECUTE FUNCTION kb_refuse_change('Create a policy of your own with kb_set_policy, and name it in kb_create_tariff.');

CREATE TRIGGER policy_truncate BEFORE TRUNCATE ON policy
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_change('Delete the rows that are your own.');

CREATE FUNCTION kbilling_internal.kb_put_policy(policy text, settings jsonb) RETURNS void
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'kb_put_policy';
COMMENT ON FUNCTION kb_put_policy(text, jsonb) IS
'Writes what kb_set_policy has checked, and logs it if it changes anything (J9)';

CREATE FUNCTION kbilling_internal.kb_require_settings(settings jsonb) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN jsonb_typeof(settings) <> 'object'
			THEN kb_raise('22023', 'settings must be an object', format('It is: %s.', jsonb_typeof(settings)),
						  'Give names and values, such as {"remind_day": 5}.')
		END;
	SELECT CASE
		WHEN k.unknown IS NOT NULL
			THEN kb_raise('22023', format('a policy has no %s', k.unknown), NULL, format('Its settings are: %s.', k.known))
		END
	FROM (SELECT string_agg(format('"%s"', s.key), ', ' ORDER BY s.key) FILTER (WHERE c.attname IS NULL) AS unknown,
				 string_agg(c.attname, ', ' ORDER BY c.attnum) AS known
		  FROM jsonb_object_keys(settings) s (key)
		  FULL JOIN (SELECT a.attname::text, a.attnum FROM pg_attribute a
					 WHERE a.attrelid = 'kbilling.policy'::regclass AND a.attnum > 0 AND NOT a.attisdropped
						AND a.attname <> 'policy') c
			ON c.attname = s.key) k;
END;
COMMENT ON FUNCTION kb_require_settings(jsonb) IS
'Raises 22023 unless it is an object whose keys are columns of kbilling.policy, other than its name';

CREATE FUNCTION kbilling.kb_access_stage(debt_since date, today date, policy policy) RETURNS kb_stage
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN kb_stage(debt_since, NULL, today, (policy).remind_day, (policy).restrict_day, (policy).block_day);
COMMENT ON FUNCTION kb_access_stage(date, date, policy) IS
'Stage of a debt by a row of kbilling.policy (S2); "ok" without a debt (NULL)';
/*
 * The price list: tariffs, services, and the price of a service in a tariff, by date.
 *
 * Whatever holds from a date on is a span: from_date is its first day, to_date the
 * day after its last.
 */

CREATE TABLE kbilling.tariff (
	tariff     kb_text PRIMARY KEY CHECK (tariff <> ''),
	currency   text NOT NULL CHECK (kb_minor_units(currency) IS NOT NULL),
	name       kb_text,
	policy     kb_text NOT NULL DEFAULT 'standard' REFERENCES policy,
	metadata   kb_json NOT NULL DEFAULT '{}'
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.tariff', '');
COMMENT ON TABLE tariff IS 'The price lists';
COMMENT ON COLUMN tariff.tariff IS 'Code of the tariff';
COMMENT ON COLUMN tariff.currency IS 'ISO 4217 code of all its prices, and of the accounts that use it';
COMMENT ON COLUMN tariff.name IS 'What customers call it';
COMMENT ON COLUMN tariff.policy IS 'The row of kbilling.policy that holds for its accounts';
COMMENT ON COLUMN tariff.metadata IS 'For the application''s own use';

CREATE TYPE kbilling.kb_service_kind AS ENUM ('recurring', 'metered', 'one_off');
COMMENT ON TYPE kb_service_kind IS 'How a service is billed: recurring, while it is switched on; metered, by its usage; one_off, when it '
'is bought';

CREATE TYPE kbilling.kb_aggregation AS ENUM ('sum', 'count', 'max', 'unique', 'last');
COMMENT ON TYPE kb_aggregation IS 'How the usage events of a period become its quantity (U2)';

CREATE TABLE kbilling.service (
	service     kb_text PRIMARY KEY CHECK (service <> ''),
	kind        kb_service_kind NOT NULL,
	unit        kb_text,
	aggregation kb_aggregation NOT NULL DEFAULT 'sum',
	name        kb_text,
	metadata    kb_json NOT NULL DEFAULT '{}'
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.service', $$WHERE service <> 'base'$$);
COMMENT ON TABLE service IS 'Services: whatever has a price. The base fee is a built-in one, "base"';
COMMENT ON COLUMN service.service IS 'Code of the service';
COMMENT ON COLUMN service.kind IS '"recurring": billed while it is switched on; "metered": billed by usage; "one_off": billed when '
'it is bought';
COMMENT ON COLUMN service.unit IS 'What one unit is called';
COMMENT ON COLUMN service.aggregation IS
'How the usage events of a period become its quantity (U2): "sum", "count", "max", "unique" or "last"';
COMMENT ON COLUMN service.name IS 'What customers call it';
COMMENT ON COLUMN service.metadata IS 'For the application''s own use';

INSERT INTO service (service, kind, unit, name) VALUES ('base', 'recurring', 'month', 'Base fee');

CREATE TRIGGER service_base BEFORE UPDATE OR DELETE ON service
	FOR EACH ROW WHEN (OLD.service = 'base')
	EXECUTE FUNCTION kb_refuse_change('Give the base fee a price in each tariff with kb_set_price, or create a service of your own.');

CREATE TRIGGER service_truncate BEFORE TRUNCATE ON service
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_change('Delete the rows that are your own.');

-- What was once on the price list stays here: a price that is replaced is withdrawn, and its row is not written again.  The
-- days of a price may change, as others are listed; as it was, it stays on record.
CREATE TABLE kbilling.price (
	price_id     integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	tariff       kb_text NOT NULL REFERENCES tariff,
	service      kb_text NOT NULL REFERENCES service,
	from_date    date NOT NULL DEFAULT '-infinity',
	to_date      date NOT NULL DEFAULT 'infinity',
	price        kb_price NOT NULL,
	prorate      boolean NOT NULL DEFAULT true,
	listed_at    timestamptz NOT NULL DEFAULT kb_now(),
	withdrawn_at timestamptz,
	CHECK (from_date < to_date)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.price', '');
SELECT pg_catalog.pg_extension_config_dump('kbilling.price_price_id_seq', '');
COMMENT ON SEQUENCE price_price_id_seq IS 'Numbers of the prices';
COMMENT ON TABLE price IS
'The price of a service in a tariff, by date, and the prices that were withdrawn; written by kb_set_price. What holds '
'is in kbilling.price_list';
COMMENT ON COLUMN price.price_id IS 'Number of the price. What it stands for never changes, but for its days';
COMMENT ON COLUMN price.tariff IS 'The tariff';
COMMENT ON COLUMN price.service IS 'The service';
COMMENT ON COLUMN price.from_date IS 'First day on which the price holds';
COMMENT ON COLUMN price.to_date IS 'The day after the last on which it holds: the next price''s "from_date"';
COMMENT ON COLUMN price.price IS 'The price of a whole period, in the tariff''s currency';
COMMENT ON COLUMN price.prorate IS 'Whether a part of a month costs only that part of the price (C3)';
COMMENT ON COLUMN price.listed_at IS 'When it was put on the price list with this "from_date"';
COMMENT ON COLUMN price.withdrawn_at IS 'When another price took the place of it, or of its "from_date"; NULL while it holds';

CREATE UNIQUE INDEX price_from_date ON price (tariff, service, from_date) WHERE withdrawn_at IS NULL;
COMMENT ON INDEX price_from_date IS 'No two prices of a service begin on one day';

-- What holds on a day or later is where the reading begins, however many prices there were before.
CREATE INDEX price_to_date ON price (tariff, service, to_date, from_date) WHERE withdrawn_at IS NULL;
COMMENT ON INDEX price_to_date IS 'Finds the price that holds on a day';

CREATE INDEX price_minimum ON price (tariff, service) WHERE withdrawn_at IS NULL AND kb_has_minimum(price);
COMMENT ON INDEX price_minimum IS 'Finds the prices with a minimum, which is owed without usage, too (C2)';

CREATE VIEW kbilling.price_list WITH (security_invoker) AS
	SELECT price_id, tariff, service, from_date, to_date, price, prorate
	FROM price
	WHERE withdrawn_at IS NULL;
COMMENT ON VIEW price_list IS
'The price list as it stands: what held, what holds and what will hold, without the prices that were withdrawn';
COMMENT ON COLUMN price_list.price_id IS 'Number of the price';
COMMENT ON COLUMN price_list.tariff IS 'The tariff';
COMMENT ON COLUMN price_list.service IS 'The service';
COMMENT ON COLUMN price_list.from_date IS 'First day on which the price holds';
COMMENT ON COLUMN price_list.to_date IS 'The day after the last on which it holds: the next price''s "from_date"';
COMMENT ON COLUMN price_list.price IS 'The price of a whole period, in the tariff''s currency';
COMMENT ON COLUMN price_list.prorate IS 'Whether a part of a month costs only that part of the price (C3)';

CREATE FUNCTION kbilling_internal.kb_require_tariff(tariff text) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN tariff IS NULL
			THEN kb_raise('22004', 'tariff must not be null')
		WHEN NOT EXISTS (SELECT FROM tariff t WHERE t.tariff = $1)
			THEN kb_raise('KB012', format('tariff "%s" does not exist', $1), 'kbilling.tariff has no such row.',
						  'Create it with kb_create_tariff, or look it up in kbilling.tariff.')
		END;
END;
COMMENT ON FUNCTION kb_require_tariff(text) IS 'Raises KB012 if there is no such tariff';

CREATE FUNCTION kbilling_internal.kb_require_service(service text) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN service IS NULL
			THEN kb_raise('22004', 'service must not be null')
		WHEN NOT EXISTS (SELECT FROM service s WHERE s.service = $1)
			THEN kb_raise('KB012', format('service "%s" does not exist', $1), 'kbilling.service has no such row.',
						  'Create it with kb_create_service, or look it up in kbilling.service.')
		END;
END;
COMMENT ON FUNCTION kb_require_service(text) IS 'Raises KB012 if there is no such service';

CREATE FUNCTION kbilling.kb_create_tariff(tariff text, currency text, name text = NULL, policy text = 'standard')
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('tariff, currency, policy', tariff, currency, policy);
	SELECT CASE
		WHEN kb_minor_units(currency) IS NULL
			THEN kb_raise('22023', format('%s is not a currency of payment', upper(currency)),
						  'ISO 4217 gives it no minor unit to count in.', 'Use the code of a currency, such as USD.')
		WHEN NOT EXISTS (SELECT FROM policy p WHERE p.policy = kb_create_tariff.policy)
			THEN kb_raise('22023', format('policy "%s" does not exist', policy), NULL, 'Create it with kb_set_policy first.')
		END;
	WITH new AS (
		INSERT INTO tariff (tariff, currency, name, policy)
		VALUES (kb_create_tariff.tariff, pg_catalog.upper(kb_create_tariff.currency),
				kb_create_tariff.name, kb_create_tariff.policy)
		RETURNING tariff.*
	)
	INSERT INTO change_log (subject, tariff, after) SELECT 'tariff', new.tariff, to_jsonb(new) - 'tariff' FROM new;
END;
COMMENT ON FUNCTION kb_create_tariff(text, text, text, text) IS
'Creates a tariff in a currency of ISO 4217. '
'Errors: 22023 for an unknown currency or policy, 23505 if the tariff exists';

CREATE FUNCTION kbilling.kb_create_service(service text, kind text, unit text = NULL, aggregation text = 'sum', name text = NULL)
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('service, kind, aggregation', service, kind, aggregation);
	SELECT CASE
		WHEN kind <> ALL (enum_range(NULL::kb_service_kind)::text[])
			THEN kb_raise('22023', format('there is no kind of service "%s"', kind), NULL,
						  format('The kinds are: %s.', array_to_string(enum_range(NULL::kb_service_kind), ', ')))
		WHEN aggregation <> ALL (enum_range(NULL::kb_aggregation)::text[])
			THEN kb_raise('22023', format('there is no aggregation "%s"', aggregation), NULL,
						  format('The aggregations are: %s. What customers call the service is another argument, name.',
								 array_to_string(enum_range(NULL::kb_aggregation), ', ')))
		END;
	WITH new AS (
		INSERT INTO service (service, kind, unit, aggregation, name)
		VALUES (kb_create_service.service, kb_create_service.kind::kb_service_kind, kb_create_service.unit,
				kb_create_service.aggregation::kb_aggregation, kb_create_service.name)
		RETURNING service.*
	)
	INSERT INTO change_log (subject, service, after) SELECT 'service', new.service, to_jsonb(new) - 'service' FROM new;
END;
COMMENT ON FUNCTION kb_create_service(text, text, text, text, text) IS
'Creates a service of the kind "recurring", "metered" or "one_off" (kb_buy). A metered one aggregates its usage by "sum", "count", '
'"max", "unique" or "last" (U2). '
'Errors: 22023 for another kind or an unknown aggregation, 23505 if the service exists';

-- The first that ends later is the one, so that this costs the same however many prices there are.
CREATE FUNCTION kbilling_internal.kb_price_on(tariff text, service text, day date) RETURNS SETOF price_list
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT p.price_id, p.tariff, p.service, p.from_date, p.to_date, p.price, p.prorate
	FROM (SELECT x.* FROM price_list x WHERE x.tariff = $1 AND x.service = $2 AND x.to_date > $3 ORDER BY x.to_date LIMIT 1) p
	WHERE p.from_date <= $3;
END;
COMMENT ON FUNCTION kb_price_on(text, text, date) IS 'The price of a service in a tariff on a day; no row if there is none';

CREATE FUNCTION kbilling_internal.kb_next_price_on(tariff text, service text, on_date date) RETURNS date
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce((SELECT min(p.from_date) FROM price_list p WHERE p.tariff = $1 AND p.service = $2 AND p.from_date > $3), 'infinity');
COMMENT ON FUNCTION kb_next_price_on(text, text, date) IS
'The first date after the given one from which another price of the service holds in the tariff; infinity if there is none';

CREATE FUNCTION kbilling_internal.kb_price_change_on(tariff text, service text, at timestamptz) RETURNS date
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN EXISTS (SELECT FROM price_list p WHERE p.tariff = $1 AND p.service = $2)
	THEN kb_month_last_day(kb_account_date($3, 'UTC')) + 1 ELSE '-infinity' END;
COMMENT ON FUNCTION kb_price_change_on(text, text, timestamptz) IS
'The date from which a price holds if none is given: the 1st of next month, or the beginning for a service that has '
'no price in the tariff yet';

CREATE FUNCTION kbilling.kb_price_list(on_date date = NULL, as_of timestamptz = NULL)
	RETURNS TABLE (tariff text, service text, price kb_price, prorate boolean, from_date date, to_date date, price_id integer)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	-- A price that has been withdrawn, or was not listed then, has cut no other: "to_date" is found anew.
	SELECT p.tariff, p.service, p.price, p.prorate, p.from_date, p.to_date, p.price_id
	FROM (SELECT x.tariff, x.service, x.price, x.prorate, x.from_date, x.price_id,
				 lead(x.from_date, 1, 'infinity') OVER (PARTITION BY x.tariff, x.service ORDER BY x.from_date, x.price_id) AS to_date
		  FROM price x
		  WHERE (x.withdrawn_at IS NULL OR x.withdrawn_at > $2) AND (x.listed_at <= $2 OR $2 IS NULL)) p
	CROSS JOIN (SELECT coalesce($1, kb_account_date(coalesce($2, kb_now()), 'UTC')) AS day) d
	WHERE p.from_date <= d.day AND p.to_date > d.day
	ORDER BY p.tariff, p.service;
END;
COMMENT ON FUNCTION kb_price_list(date, timestamptz) IS
'The prices in force on a day, by the price list as it stands, or as it stood at the moment "as_of". The day is, if it '
'is NULL, that of the moment (UTC): kb_price_list() is today''s, kb_price_list(''2026-03-01'') what holds or held on a '
'day, kb_price_list(''2026-03-01'', ''2026-02-01'') what the list said in February of that day';

CREATE FUNCTION kbilling_internal.kb_require_price(tariff text, service text, on_date date, quantity numeric) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	-- kb_rate raises by itself
	SELECT CASE
		WHEN count(kb_rate(p.price, $4, t.currency)) = 0
			THEN kb_raise('KB012', format('tariff "%s" has no price for service "%s"', $1, $2),
						  format('It has none on %s or later.', to_char($3, 'YYYY-MM-DD')), 'Set one with kb_set_price.')
		END
	FROM tariff t
	LEFT JOIN price_list p ON p.tariff = t.tariff AND p.service = $2 AND p.to_date > $3
	WHERE t.tariff = $1;
END;
COMMENT ON FUNCTION kb_require_price(text, text, date, numeric) IS
'Raises KB012 if the tariff has no price for the service on that day or later, 22003 if the quantity costs more than '
'a kb_money can hold';
/*
 * Accounts and their members.
 *
 * The account row is the only hot row; what changes once in a while stands in
 * tables beside it.
 */

CREATE TYPE kbilling.kb_account_state AS ENUM ('active', 'closing', 'deleted', 'purged');
COMMENT ON TYPE kb_account_state IS 'How far an account has got on its way to deletion';

-- Room on each page lets a top-up stay a heap-only update.  No CHECK on the hot
-- tables: each statement would parse it anew; account_ledger keeps other hands
-- off, and kb_check looks.
CREATE TABLE kbilling.account (
	account_id      bigint PRIMARY KEY,
	created_at      timestamptz NOT NULL,
	last_seq        bigint NOT NULL DEFAULT 0,
	balance         kb_money NOT NULL,
	unspent_bonus   kb_money NOT NULL,
	debt_since      date,
	deferred_until  date,
	charged_through date NOT NULL,
	tariff_from     date NOT NULL,
	delete_on       date,
	ends_on         date,
	stage_check_on  date,
	closure_check_on date,
	credit_check_on date,
	expired_through date,
	usage_kept_from date,
	notices_kept_from timestamptz,
	notices_removed integer,
	last_notice_no  bigint NOT NULL DEFAULT 0,
	terms_version   integer NOT NULL DEFAULT 1,
	state           kb_account_state NOT NULL DEFAULT 'active',
	last_hash       bytea,
	lots            kb_lot[],
	currency        text NOT NULL,
	tariff          kb_text NOT NULL REFERENCES tariff,
	time_zone       text NOT NULL,
	metadata        kb_json
) WITH (fillfactor = 80);
SELECT pg_catalog.pg_extension_config_dump('kbilling.account', '');
COMMENT ON TABLE account IS
'The paying customers. The balance and what follows from it are written by the journal alone (J2)';
COMMENT ON COLUMN account.account_id IS 'A number of the application''s own, or one from kbilling.account_id_seq';
COMMENT ON COLUMN account.created_at IS 'When it was created; the local date of that is the first day that is charged';
COMMENT ON COLUMN account.last_seq IS 'Number of the last entry; 0 if there is none';
COMMENT ON COLUMN account.balance IS 'Sum of the entries; below zero it is a debt';
COMMENT ON COLUMN account.unspent_bonus IS
'The part of the balance that was not paid in, bonus and granted credit: spent first, never refunded (T6, G1)';
COMMENT ON COLUMN account.debt_since IS 'Local date on which the debt took effect (S1); NULL without a debt';
COMMENT ON COLUMN account.deferred_until IS 'Last day on which support lets the stage be at most grace (S4)';
COMMENT ON COLUMN account.charged_through IS
'Last day of the last period that was charged, which is a month''s last even if the contract ended before it; the next period '
'begins on the day after';
COMMENT ON COLUMN account.tariff_from IS
'First day of the tariff in this row; earlier tariffs are in kbilling.tariff_history';
COMMENT ON COLUMN account.delete_on IS 'Day of the deletion, if the account is closing or deleted';
COMMENT ON COLUMN account.ends_on IS 'Last day of the contract (X1); NULL: it has no end';
COMMENT ON COLUMN account.stage_check_on IS
'Local date on which the sweep is to look whether the stage has changed, and to write a notice of it; NULL if the '
'stage cannot change by itself';
COMMENT ON COLUMN account.closure_check_on IS
'Local date on which the sweep is to look at the account again: whether it may be closed (D1), or a step of its '
'closure or its purge is due. NULL while the balance is above zero, and once the account is purged';
COMMENT ON COLUMN account.credit_check_on IS
'Local date on which the sweep is to look at the credit: whether it is to tell of some that will expire, or some has expired '
'(G3). NULL if there is none that expires';
COMMENT ON COLUMN account.expired_through IS
'Credit that has expired by this day is booked: what is left of it is kept for the months up to then that are not charged (G3)';
COMMENT ON COLUMN account.usage_kept_from IS
'First day whose usage events are kept: older ones have been removed, and none is accepted any more (U6). NULL: all are kept';
COMMENT ON COLUMN account.notices_kept_from IS
'Notices that were delivered before this moment have been removed (U6). NULL: all are kept';
COMMENT ON COLUMN account.notices_removed IS 'How many notices have been removed; NULL: none';
COMMENT ON COLUMN account.last_notice_no IS
'Number of the last notice, or of the last step of a closure; 0 before the first';
COMMENT ON COLUMN account.terms_version IS
'Counts changes of tariff, services and discounts, so that a charge that was computed from earlier terms is not posted';
COMMENT ON COLUMN account.state IS 'How far it has got on its way to deletion';
COMMENT ON COLUMN account.last_hash IS 'Hash of the last entry (J5)';
COMMENT ON COLUMN account.lots IS
'What of the unspent credit expires, or has a priority of its own, by these (G2); NULL if there is none';
COMMENT ON COLUMN account.currency IS 'ISO 4217 code of the balance and of the tariff';
COMMENT ON COLUMN account.tariff IS 'The tariff from "tariff_from" on';
COMMENT ON COLUMN account.time_zone IS 'IANA name; it decides when the account''s days and months begin';
COMMENT ON COLUMN account.metadata IS 'The application''s own notes: kb_set_metadata';

-- What is due, zone by zone, oldest first, in the order in which the sweep goes.
CREATE INDEX account_due ON account (time_zone, kb_charge_due_on(charged_through, ends_on), account_id)
	WHERE state IN ('active', 'closing');
COMMENT ON INDEX account_due IS 'Finds the accounts that have a month to charge without reading the others (W1)';

-- What the sweep has to look at besides, by the day.
CREATE INDEX account_stage_check ON account (time_zone, stage_check_on, account_id)
	WHERE stage_check_on IS NOT NULL AND state IN ('active', 'closing');
COMMENT ON INDEX account_stage_check IS 'Finds the accounts whose stage may have changed by itself (N5)';

CREATE INDEX account_closure_check ON account (time_zone, closure_check_on, account_id)
	WHERE closure_check_on IS NOT NULL;
COMMENT ON INDEX account_closure_check IS
'Finds the accounts that may be closed, and those that have a step of their closure due (D1 to D6)';

CREATE INDEX account_credit_check ON account (time_zone, credit_check_on, account_id)
	WHERE credit_check_on IS NOT NULL AND state IN ('active', 'closing');
COMMENT ON INDEX account_credit_check IS 'Finds the accounts whose credit expires, or soon will (G3)';

CREATE SEQUENCE kbilling.account_id_seq;
SELECT pg_catalog.pg_extension_config_dump('kbilling.account_id_seq', '');
COMMENT ON SEQUENCE account_id_seq IS 'Numbers of accounts, for applications that bring none';

-- Generous: whether there is such an address, only a mail server knows.
CREATE FUNCTION kbilling_internal.kb_is_email(address text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN octet_length(address) <= 254 AND address COLLATE "C" ~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+$';
COMMENT ON FUNCTION kb_is_email(text) IS
'Whether it may be an e-mail address: one @ with something on both sides, no blanks or control characters, at most 254 bytes';

CREATE FUNCTION kbilling_internal.kb_require_email(address text) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN NOT kb_is_email(address)
			THEN kb_raise('22023', format('"%s" is not an e-mail address', address),
						  'It has one @ with something on both sides, no blanks or control characters, and at most 254 bytes.',
						  'Give one address, such as anna@example.org, or NULL for a member who gets no notices.')
		END;
END;
COMMENT ON FUNCTION kb_require_email(text) IS 'Raises 22023 for what is no e-mail address; NULL is fine';

CREATE TABLE kbilling.member (
	account_id bigint NOT NULL REFERENCES account,
	member     kb_text NOT NULL CHECK (member <> ''),
	role       kb_role NOT NULL,
	email      kb_text CHECK (kb_is_email(email)),
	language   kb_text CHECK (kb_is_language(language)),
	metadata   kb_json,
	PRIMARY KEY (account_id, member)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.member', '');
COMMENT ON TABLE member IS 'The people who use an account, each with a role';
COMMENT ON COLUMN member.account_id IS 'The account';
COMMENT ON COLUMN member.member IS 'The application''s name for the person';
COMMENT ON COLUMN member.role IS '"owner", "admin" or "employee"';
COMMENT ON COLUMN member.email IS 'Where the member''s notices go; NULL: nowhere';
COMMENT ON COLUMN member.language IS
'Language of the member''s notices, such as "uk" or "pt-BR"; NULL: that of the policy';
COMMENT ON COLUMN member.metadata IS 'For the application''s own use';

CREATE FUNCTION kbilling_internal.kb_require_account(account_id bigint) RETURNS void
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_require_account';
COMMENT ON FUNCTION kb_require_account(bigint) IS
'Raises KB001 if there is no such account, KB014 if it is on another shard';

CREATE FUNCTION kbilling_internal.kb_lock_account(account_id bigint) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_require_owned($1);
	SELECT FROM account a WHERE a.account_id = $1 FOR NO KEY UPDATE;
	SELECT kb_require_account($1);
	SELECT CASE
		WHEN a.state IN ('deleted', 'purged')
			THEN kb_raise('KB010', format('account %s is deleted', $1), 'Nothing about a deleted account is changed.',
						  'Support can restore it with kb_restore_account until the day before its purge.')
		END
	FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_lock_account(bigint) IS
'Locks the account''s row until the end of the transaction. '
'Errors: KB001 if there is none, KB010 if the account is deleted, KB014 if it is on another shard';

CREATE FUNCTION kbilling.kb_create_account(owner text, tariff text, account_id bigint = NULL, time_zone text = NULL,
										   email text = NULL, created_at timestamptz = NULL)
	RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_create_account';
COMMENT ON FUNCTION kb_create_account(text, text, bigint, text, text, timestamptz) IS
'Creates an account with its owner, in the tariff''s currency, and returns its number. The time zone is UTC unless '
'another is given. '
'Errors: KB012 for an unknown tariff; 23505 if the account exists; 22023 for an unknown time zone or an email that is '
'no address; 22008 for a moment that is in the future or before 1970';

-- The account's row is written by every top-up, so what an application notes there has to stay small.
CREATE FUNCTION kbilling.kb_set_metadata(account_id bigint, metadata jsonb) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN jsonb_typeof(metadata) <> 'object'
			THEN kb_raise('22023', 'metadata must be a JSON object', format('It is of the type "%s".', jsonb_typeof(metadata)),
						  'Give an object, such as {"crm_id": "A-17"}, or NULL for none.')
		WHEN octet_length(metadata::text) > 8192
			THEN kb_raise('22023', 'metadata must have at most 8192 bytes',
						  format('It has %s, written as text.', octet_length(metadata::text)),
						  'Keep more in a table of your own, under the account''s number.')
		END;
	SELECT kb_lock_account(account_id);
	UPDATE account a SET metadata = kb_set_metadata.metadata
	WHERE a.account_id = kb_set_metadata.account_id AND a.metadata IS DISTINCT FROM kb_set_metadata.metadata;
END;
COMMENT ON FUNCTION kb_set_metadata(bigint, jsonb) IS
'Replaces the application''s own notes on an account: a JSON object of at most 8192 bytes, or NULL for none. kbilling '
'keeps them with the account until its purge, and makes nothing of them. '
'Errors: KB001, KB010; KB008 for a card number in it; 22023 for what is no object, or too long';

CREATE FUNCTION kbilling.kb_metadata(account_id bigint) RETURNS jsonb
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_account(account_id);
	SELECT a.metadata FROM account a WHERE a.account_id = kb_metadata.account_id;
END;
COMMENT ON FUNCTION kb_metadata(bigint) IS
'The application''s own notes on an account, as kb_set_metadata has set them; NULL if there are none. Errors: KB001';

-- A table of its own, as the account's row is written by every top-up.
CREATE TABLE kbilling.billing_details (
	account_id bigint PRIMARY KEY REFERENCES account,
	details    kb_json NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.billing_details', '');
COMMENT ON TABLE billing_details IS
'To whom receipts and invoices are made out, where that is not just the first owner; written by kb_set_billing_details, and '
'gone with the purge (D6)';
COMMENT ON COLUMN billing_details.account_id IS 'The account';
COMMENT ON COLUMN billing_details.details IS 'Name, address, tax number and the like, under keys of the application''s choice';

CREATE FUNCTION kbilling.kb_set_billing_details(account_id bigint, details jsonb) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN jsonb_typeof(details) <> 'object'
			THEN kb_raise('22023', 'billing details must be a JSON object', format('They are of the type "%s".', jsonb_typeof(details)),
						  'Give an object, such as {"name": "Acme Ltd", "tax_number": "UA-123"}, or NULL for none.')
		WHEN octet_length(details::text) > 8192
			THEN kb_raise('22023', 'billing details must have at most 8192 bytes',
						  format('They have %s, written as text.', octet_length(details::text)),
						  'Keep more in a table of your own, under the account''s number.')
		END;
	SELECT kb_lock_account(account_id);
	WITH old AS MATERIALIZED (
		SELECT b.details FROM billing_details b WHERE b.account_id = kb_set_billing_details.account_id
	), gone AS (
		DELETE FROM billing_details b
		WHERE b.account_id = kb_set_billing_details.account_id AND kb_set_billing_details.details IS NULL
	), new AS (
		INSERT INTO billing_details AS b (account_id, details)
		SELECT kb_set_billing_details.account_id, kb_set_billing_details.details WHERE kb_set_billing_details.details IS NOT NULL
		ON CONFLICT ON CONSTRAINT billing_details_pkey DO UPDATE SET details = excluded.details
		RETURNING b.details
	)
	-- the log outlives a purge, so it does not say what they are
	INSERT INTO change_log (subject, account_id, before, after)
	SELECT 'billing_details', kb_set_billing_details.account_id,
		   CASE WHEN old.details IS NOT NULL THEN jsonb '{"are_set": true}' END,
		   CASE WHEN new.details IS NOT NULL THEN jsonb '{"are_set": true}' END
	FROM (SELECT) one LEFT JOIN old ON true LEFT JOIN new ON true
	WHERE new.details IS DISTINCT FROM old.details;
END;
COMMENT ON FUNCTION kb_set_billing_details(bigint, jsonb) IS
'Replaces what receipts and invoices of an account are made out to: a JSON object of at most 8192 bytes, with a name, an '
'address, a tax number and the like, or NULL for none. kb_portal shows it to owners and admins; it is gone with the purge '
'(D6). The log says that it was changed, and not what it is (J9). '
'Errors: KB001, KB010; KB008 for a card number in it; 22023 for what is no object, or too long';

CREATE FUNCTION kbilling_internal.kb_require_open(account_id bigint, from_date date) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN NOT isfinite(from_date)
			THEN kb_raise('22008', 'from_date must be finite')
		WHEN from_date < kb_account_date(a.created_at, a.time_zone)
			THEN kb_raise('KB009', format('account %s begins on %s', a.account_id,
										  to_char(kb_account_date(a.created_at, a.time_zone), 'YYYY-MM-DD')),
						  'Nothing can begin before its first day.', 'Give that day or a later one.')
		WHEN a.charged_through >= from_date
			THEN kb_raise('KB009', format('account %s is charged through %s', a.account_id, to_char(a.charged_through, 'YYYY-MM-DD')),
						  format('A change from %s on would alter what is charged already.', to_char(from_date, 'YYYY-MM-DD')),
						  'Give a later day, and correct what was charged with kb_adjust.')
		WHEN a.ends_on < from_date
			THEN kb_raise('KB009', format('the contract of account %s ends on %s', a.account_id, to_char(a.ends_on, 'YYYY-MM-DD')),
						  'Nothing can begin after its last day (X2).',
						  'Give that day or an earlier one; until it is over, the end can be taken back with kb_continue_account.')
		END
	FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_require_open(bigint, date) IS
'Raises KB009 if the day is in a period that has been charged, before the first day (C4), or after the last one (X2); 22008 if it '
'is infinite';

CREATE FUNCTION kbilling_internal.kb_today(account_id bigint) RETURNS date
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT kb_account_date(kb_now(), a.time_zone) FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_today(bigint) IS 'Today''s date in the account''s time zone; NULL for an unknown account';
/*
 * The tariff, and with it the policy, that an account has on a day.
 */

CREATE TABLE kbilling.tariff_history (
	account_id bigint NOT NULL REFERENCES account,
	from_date  date NOT NULL,
	to_date    date NOT NULL,
	tariff     kb_text NOT NULL REFERENCES tariff,
	PRIMARY KEY (account_id, from_date),
	CHECK (from_date < to_date)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.tariff_history', '');
COMMENT ON TABLE tariff_history IS 'Tariffs that an account had before the one in its row; written by kb_set_tariff';
COMMENT ON COLUMN tariff_history.account_id IS 'The account';
COMMENT ON COLUMN tariff_history.from_date IS 'First day of the tariff';
COMMENT ON COLUMN tariff_history.to_date IS 'The day after its last day';
COMMENT ON COLUMN tariff_history.tariff IS 'The tariff';

CREATE VIEW kbilling_internal.account_tariff WITH (security_invoker) AS
	SELECT account_id, tariff_from AS from_date, 'infinity'::date AS to_date, tariff
	FROM account
	UNION ALL
	SELECT account_id, from_date, to_date, tariff
	FROM tariff_history;
COMMENT ON VIEW account_tariff IS 'Every account''s tariffs by date';
COMMENT ON COLUMN account_tariff.account_id IS 'The account';
COMMENT ON COLUMN account_tariff.from_date IS 'First day of the tariff';
COMMENT ON COLUMN account_tariff.to_date IS 'The day after its last day';
COMMENT ON COLUMN account_tariff.tariff IS 'The tariff';

-- These take what they need of the account's row, so as not to read that again.
CREATE FUNCTION kbilling_internal.kb_tariff_on(account_id bigint, tariff text, tariff_from date, day date) RETURNS TABLE (tariff text)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT CASE WHEN $3 <= $4 THEN $2
		ELSE coalesce((SELECT h.tariff FROM tariff_history h
					   WHERE h.account_id = $1 AND h.from_date <= $4 AND h.to_date > $4), $2) END;
END;
COMMENT ON FUNCTION kb_tariff_on(bigint, text, date, date) IS
'The tariff that an account has on a day; the second and third argument are the columns of its row. Before the '
'account''s first day it is that row''s tariff';

CREATE FUNCTION kbilling_internal.kb_policy_on(account_id bigint, tariff text, tariff_from date, day date)
	RETURNS TABLE (remind_day integer, restrict_day integer, block_day integer, debt_counts_from kb_debt_date,
				   min_age_days integer, inactive_days integer, notice_days integer, reminder_days integer[], restore_days integer,
				   policy text, language text, activity kb_activity, close_unused boolean)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT p.remind_day, p.restrict_day, p.block_day, p.debt_counts_from,
		   p.min_age_days, p.inactive_days, p.notice_days, p.reminder_days, p.restore_days, p.policy, p.language,
		   p.activity, p.close_unused
	FROM kb_tariff_on($1, $2, $3, $4) x
	JOIN tariff t ON t.tariff = x.tariff
	JOIN policy p ON p.policy = t.policy;
END;
COMMENT ON FUNCTION kb_policy_on(bigint, text, date, date) IS
'The policy that holds for an account on a day: that of the tariff which kb_tariff_on finds';

CREATE FUNCTION kbilling_internal.kb_planned_stage(account_id bigint, debt_since date, deferred_until date, today date, stage kb_stage)
	RETURNS TABLE (next_on date, next_stage kb_stage)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT c.next_on, kb_stage($2, $3, c.next_on, p.remind_day, p.restrict_day, p.block_day)
	FROM account_tariff x
	JOIN tariff t ON t.tariff = x.tariff
	JOIN policy p ON p.policy = t.policy
	CROSS JOIN LATERAL (SELECT kb_stage_changes_on($5, $4, x.from_date, x.to_date, $2, $3,
												   p.remind_day, p.restrict_day, p.block_day) AS next_on) c
	WHERE x.account_id = $1 AND x.to_date > $4 AND c.next_on > $4
	ORDER BY c.next_on LIMIT 1;
END;
COMMENT ON FUNCTION kb_planned_stage(bigint, date, date, date, kb_stage) IS
'The stage of a debt that comes after the one of today, and its day, by the policy of the tariff that the account has on '
'each day; no row if it stays';
/*
 * Telling sessions, which keep what policies and tariffs say, that it has changed.
 */

CREATE FUNCTION kbilling_internal.kb_tell_policy_change() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_tell_policy_change';
COMMENT ON FUNCTION kb_tell_policy_change() IS
'Trigger function for kbilling.policy and kbilling.tariff: has all sessions read them anew. It changes nothing';

-- Always, as rows may come by replication.  New rows need nothing: that there is none is not kept.
CREATE TRIGGER policy_changed AFTER UPDATE OR DELETE ON policy
	FOR EACH ROW EXECUTE FUNCTION kb_tell_policy_change();
ALTER TABLE kbilling.policy ENABLE ALWAYS TRIGGER policy_changed;

CREATE TRIGGER tariff_changed AFTER UPDATE OR DELETE ON tariff
	FOR EACH ROW EXECUTE FUNCTION kb_tell_policy_change();
ALTER TABLE kbilling.tariff ENABLE ALWAYS TRIGGER tariff_changed;
/*
 * Members: who uses an account, in which role, where notices go, and when somebody was there.
 */

CREATE FUNCTION kbilling.kb_add_member(account_id bigint, member text, role kb_role, email text = NULL)
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('member, role', member, role);
	SELECT CASE WHEN member = '' THEN kb_raise('22023', 'member must not be empty') END;
	SELECT kb_require_email(email);
	SELECT kb_lock_account(account_id);
	-- what a repeatable read does not see is then a conflict to try again (40001), not a duplicate
	WITH added AS (
		INSERT INTO member AS m (account_id, member, role, email)
		VALUES (kb_add_member.account_id, kb_add_member.member, kb_add_member.role, kb_add_member.email)
		ON CONFLICT (account_id, member) DO NOTHING
		RETURNING m.member
	)
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM added)
			THEN kb_raise('23505', format('"%s" is a member of account %s already', $2, $1),
						  format('The role is %s.', (SELECT m.role FROM member m WHERE m.account_id = $1 AND m.member = $2)),
						  'Give another role with kb_set_role, another address with kb_set_contact.')
		END;
END;
COMMENT ON FUNCTION kb_add_member(bigint, text, kb_role, text) IS
'Adds a member to an account. '
'Errors: KB001 for an unknown account, KB010 for a deleted one, 23505 if the account has the member already; '
'22023 for an email that is no address';

CREATE FUNCTION kbilling_internal.kb_require_member(account_id bigint, member text) RETURNS void
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_require_member';
COMMENT ON FUNCTION kb_require_member(bigint, text) IS
'Raises KB001 if there is no such account, KB004 if it has no such member';

-- An account has an owner at all times, to whom notices go.  Owners are locked, so that two who leave at once do not
-- count on each other.
CREATE FUNCTION kbilling_internal.kb_keep_owner(account_id bigint, member text) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT FROM member m WHERE m.account_id = $1 AND m.role = 'owner' ORDER BY m.member FOR UPDATE;
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM member m WHERE m.account_id = $1 AND m.role = 'owner' AND m.member <> $2)
			THEN kb_raise('KB004', format('account %s must keep an owner', $1), format('"%s" is the only one.', $2),
						  'Make another member owner first, with kb_set_role.')
		END;
END;
COMMENT ON FUNCTION kb_keep_owner(bigint, text) IS
'Locks the account''s owners, and raises KB004 if there is none apart from the member. The account is locked already';

CREATE FUNCTION kbilling.kb_set_role(account_id bigint, member text, role kb_role) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('member, role', member, role);
	SELECT kb_lock_account(account_id);
	-- in statements after the lock, so that they see what was done while it was waited for
	SELECT kb_require_member(account_id, member);
	SELECT kb_keep_owner(account_id, member) WHERE role <> 'owner';
	UPDATE member m SET role = kb_set_role.role
	WHERE m.account_id = kb_set_role.account_id AND m.member = kb_set_role.member AND m.role <> kb_set_role.role;
END;
COMMENT ON FUNCTION kb_set_role(bigint, text, kb_role) IS
'Gives a member another role. '
'Errors: KB001, KB010; KB004 for an unknown member, and for the only owner';

CREATE FUNCTION kbilling.kb_remove_member(account_id bigint, member text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('member', member);
	SELECT kb_lock_account(account_id);
	SELECT kb_require_member(account_id, member);
	SELECT kb_keep_owner(account_id, member);
	DELETE FROM member m WHERE m.account_id = kb_remove_member.account_id AND m.member = kb_remove_member.member;
END;
COMMENT ON FUNCTION kb_remove_member(bigint, text) IS
'Removes a member from the account. '
'Errors: KB001, KB010; KB004 for an unknown member, and for the only owner';

CREATE FUNCTION kbilling.kb_set_contact(account_id bigint, member text, email text, language text = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_lock_account(account_id);
	SELECT kb_require_member(account_id, member);
	SELECT kb_require_email(email);
	SELECT CASE
		WHEN NOT kb_is_language(language)
			THEN kb_raise('22023', format('"%s" is not a language', language),
						  'A language is named by a tag of BCP 47, of at most 35 characters.', 'Write "en", "uk" or "uk-UA".')
		END;
	UPDATE member m SET email = kb_set_contact.email, language = kb_set_contact.language
	WHERE m.account_id = kb_set_contact.account_id AND m.member = kb_set_contact.member;
END;
COMMENT ON FUNCTION kb_set_contact(bigint, text, text, text) IS
'Sets where a member''s notices go (NULL: nowhere), and in which language they are (NULL: that of the policy). '
'Errors: KB001, KB010; KB004 for an unknown member; 22023 for an email that is no address, or a language that is no tag';
/*
 * The outbox: notices that wait for a worker, and the call that wakes one (N1).
 *
 * The journal writes an entry's notice with the entry; it stores only the entry's
 * number, as the journal has the facts.  Other notices store their facts.
 */

CREATE TYPE kbilling.kb_notice_kind AS ENUM (
	'topup_received', 'charge_posted', 'stage_changed', 'payment_reminder', 'closure_scheduled', 'closure_reminder',
	'closure_cancelled', 'account_deleted', 'account_restored', 'account_purged', 'topup_after_deletion', 'limit_reached',
	'alert', 'charge_upcoming', 'contract_ending', 'contract_continued', 'credit_expiring'
);
COMMENT ON TYPE kb_notice_kind IS 'What a notice is about (N5)';

-- It is in the index notice_stuck, which another number here would want built anew.
CREATE FUNCTION kbilling_internal.kb_max_tries() RETURNS integer
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 10;
COMMENT ON FUNCTION kb_max_tries() IS 'How often a worker may take a notice before it is parked (N2)';

CREATE FUNCTION kbilling_internal.kb_wake(notices bigint) RETURNS bigint
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'kb_wake';
COMMENT ON FUNCTION kb_wake(bigint) IS
'If the number of notices is above zero, wakes the workers when the transaction commits (N1); returns that number';

-- No foreign key to account, and the number comes from its row: as with entries.
CREATE TABLE kbilling.notice (
	account_id   bigint NOT NULL,
	notice_no    bigint NOT NULL,
	written_at   timestamptz NOT NULL,
	due_at       timestamptz,
	leased_until timestamptz,
	delivered_at timestamptz,
	parked_at    timestamptz,
	tries        integer NOT NULL DEFAULT 0,
	kind         kb_notice_kind NOT NULL,
	stage_before kb_stage,
	stage        kb_stage,
	occasion     text NOT NULL,
	last_error   kb_text,
	facts        jsonb,
	PRIMARY KEY (account_id, notice_no),
	UNIQUE (account_id, kind, occasion)	-- N3
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.notice', '');
COMMENT ON TABLE notice IS 'Messages that someone must get, delivered or not (N1 to N3)';
COMMENT ON COLUMN notice.account_id IS 'The account';
COMMENT ON COLUMN notice.notice_no IS 'Runs 1, 2, 3, ... within the account';
COMMENT ON COLUMN notice.written_at IS 'When it was written';
COMMENT ON COLUMN notice.due_at IS
'When a worker may take it next; NULL once it is delivered or parked, and if the account was purged before that';
COMMENT ON COLUMN notice.leased_until IS 'When the lease of the worker that took it last ends (N2)';
COMMENT ON COLUMN notice.delivered_at IS 'When a worker noted that it was delivered';
COMMENT ON COLUMN notice.parked_at IS 'When it was parked (N2)';
COMMENT ON COLUMN notice.tries IS 'How many times a worker has taken it';
COMMENT ON COLUMN notice.kind IS 'What it is about (N5)';
COMMENT ON COLUMN notice.stage_before IS 'For a top-up: the stage before it';
COMMENT ON COLUMN notice.stage IS 'For a top-up or a charge: the stage after it, when it was written';
COMMENT ON COLUMN notice.occasion IS
'What it is about, so that nothing is said twice (N3): the number of an entry or of a closure''s step, or a change '
'of stage';
COMMENT ON COLUMN notice.last_error IS 'Why it could not be delivered, in the worker''s words';
COMMENT ON COLUMN notice.facts IS 'The facts for its text; NULL if they are in the journal';

CREATE INDEX notice_due ON notice (due_at, account_id, notice_no) WHERE due_at IS NOT NULL;
COMMENT ON INDEX notice_due IS 'Finds the notices that are due, in their order';

-- One index for both, as each posting looks at the condition of every index.
CREATE INDEX notice_stuck ON notice (due_at, parked_at) WHERE parked_at IS NOT NULL OR tries >= kb_max_tries();
COMMENT ON INDEX notice_stuck IS 'Finds the notices that are to be parked, and the parked ones, without reading the queue';
/*
 * What notices say: texts by kind and language (N4).
 *
 * A text is a pattern in the syntax of ICU's MessageFormat, in which the facts
 * of a notice are filled in.  The built-in texts are a view, so that a dump has
 * a service's own ones only.
 */

-- Amounts are texts as kb_money writes them, and dates ISO; has_... and in_... say what a select asks.
CREATE VIEW kbilling.notice_kind WITH (security_invoker) AS
	SELECT k.kind::kb_notice_kind AS kind, k.example::jsonb AS example
	FROM (VALUES
		('topup_received',
			'{"account_id": 7, "has_ended": false,
			"amount": "50.00 USD", "bonus": "5.00 USD", "balance": "36.00 USD", "amount_due": "0.00 USD",
			"has_bonus": true, "in_debt": false, "stage_before": "restrict", "stage": "ok",
			"has_paid": true, "paid": "2062.75 UAH", "has_rate": true, "rate": 41.255}'),
		('charge_posted',
			'{"account_id": 7, "has_ended": false, "month": "2026-11", "amount": "19.00 USD", "is_credit": false, "credit": "0.00 USD",
			"balance": "-4.50 USD", "amount_due": "4.50 USD", "in_debt": true, "stage": "grace"}'),
		('stage_changed',
			'{"account_id": 7, "has_ended": false,
			"stage_before": "remind", "stage": "restrict", "amount_due": "4.50 USD", "balance": "-4.50 USD",
			"next_stage": "blocked", "next_stage_on": "2026-12-10"}'),
		('payment_reminder',
			'{"account_id": 7, "has_ended": false, "amount_due": "4.50 USD", "balance": "-4.50 USD", "day": 5, "next_stage": "restrict",
			"next_stage_on": "2026-12-07", "days": 2}'),
		('closure_scheduled',
			'{"account_id": 7, "has_ended": false, "delete_on": "2026-12-26", "days": 10, "amount_due": "4.50 USD", "in_debt": true,
			"stage": "blocked", "restore_days": 20}'),
		('closure_reminder',
			'{"account_id": 7, "has_ended": false, "delete_on": "2026-12-26", "days": 3, "amount_due": "4.50 USD", "in_debt": true,
			"stage": "blocked"}'),
		('closure_cancelled',
			'{"account_id": 7, "has_ended": false, "why": "member", "delete_on": "2026-12-26", "amount_due": "4.50 USD", "in_debt": true,
			"stage": "blocked"}'),
		('account_deleted',
			'{"account_id": 7, "deleted_on": "2026-12-26", "purge_on": "2027-01-15", "restore_until": "2027-01-14", "days": 20,
			"amount_due": "4.50 USD", "in_debt": true}'),
		('account_restored',
			'{"account_id": 7, "has_ended": false,
			"restored_on": "2027-01-05", "balance": "-4.50 USD", "amount_due": "4.50 USD", "in_debt": true,
			"stage": "blocked"}'),
		('account_purged', '{"account_id": 7, "purged_on": "2027-01-15"}'),
		('topup_after_deletion',
			'{"account_id": 7, "amount": "50.00 USD", "reference": "PAY-1", "balance": "45.50 USD", "amount_due": "0.00 USD",
			"in_debt": false}'),
		('limit_reached', '{"account_id": 7, "service": "messages", "month": "2026-11", "limit": 1000}'),
		('alert',
			'{"account_id": 7, "alert": "balance", "service": "", "month": "2026-11", "amount": "4.50 USD", "threshold_amount": "5.00 USD",
			"number": 0, "threshold": 0}'),
		('charge_upcoming',
			'{"account_id": 7, "month": "2026-11", "charged_on": "2026-12-01", "amount": "19.00 USD", "balance": "4.50 USD",
			"missing": "14.50 USD"}'),
		('contract_ending', '{"account_id": 7, "ends_on": "2026-12-31", "balance": "-4.50 USD", "amount_due": "4.50 USD",
			"in_debt": true}'),
		('contract_continued', '{"account_id": 7, "ends_on": "2026-12-31", "balance": "-4.50 USD", "amount_due": "4.50 USD",
			"in_debt": true}'),
		('credit_expiring',
			'{"account_id": 7, "amount": "5.00 USD", "expires_on": "2026-12-31", "last_day": "2026-12-30", "balance": "12.00 USD"}')
	) AS k (kind, example);
COMMENT ON VIEW notice_kind IS 'The kinds of notices, each with the facts that its texts can use';
COMMENT ON COLUMN notice_kind.kind IS 'The kind';
COMMENT ON COLUMN notice_kind.example IS 'An example of its facts';

CREATE VIEW kbilling.standard_template WITH (security_invoker) AS
	SELECT t.kind::kb_notice_kind AS kind, t.language, t.subject, t.body
	FROM (VALUES
		('topup_received', 'en',
		 'Account {account_id, number, ::group-off}: payment of {amount} received',
'We have received your payment of {amount}.{has_paid, select, true {
You paid {paid}{has_rate, select, true {, at a rate of {rate, number, ::.00######}} other {}}.} other {}}{has_bonus, select, true {
A bonus of {bonus} has been added to it.} other {}}
The balance is now {balance}.{in_debt, select, true {
{amount_due} is still to be paid.} other {}}{has_ended, select, true {} other {{stage, select,
restrict {
Until then, owners and administrators can only pay; employees work on for now.}
blocked {
Until then, nobody can get in, but you can pay at any time.}
other {{stage_before, select, restrict {
The account can be used in full again.} blocked {
The account can be used in full again.} other {}}}}}}
Thank you!'),

		('topup_received', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off}: \320\276\321\202\321\200\320\270\320\274\320\260\320\275\320\276 \320\277\320\273\320\260\321\202\321\226\320\266 {amount}'),
kb_utf8('\320\234\320\270 \320\276\321\202\321\200\320\270\320\274\320\260\320\273\320\270 \320\262\320\260\321\210 \320\277\320\273\320\260\321\202\321\226\320\266 {amount}.{has_paid, select, true {
\320\222\320\270 \321\201\320\277\320\273\320\260\321\202\320\270\320\273\320\270 {paid}{has_rate, select, true { \320\267\320\260 \320\272\321\203\321\200\321\201\320\276\320\274 {rate, number, ::.00######}} other {}}.} other {}}{has_bonus, select, true {
\320\224\320\276 \320\275\321\214\320\276\320\263\320\276 \320\275\320\260\321\200\320\260\321\205\320\276\320\262\320\260\320\275\320\276 \320\261\320\276\320\275\321\203\321\201 {bonus}.} other {}}
\320\242\320\265\320\277\320\265\321\200 \320\275\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 {balance}.{in_debt, select, true {
\320\227\320\260\320\273\320\270\321\210\320\270\320\273\320\276\321\201\321\217 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 {amount_due}.} other {}}{has_ended, select, true {} other {{stage, select,
restrict {
\320\224\320\276 \320\277\320\276\320\262\320\275\320\276\321\227 \321\201\320\277\320\273\320\260\321\202\320\270 \320\262\320\273\320\260\321\201\320\275\320\270\320\272\320\270 \320\271 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200\320\270 \320\274\320\276\320\266\321\203\321\202\321\214 \320\273\320\270\321\210\320\265 \320\277\320\273\320\260\321\202\320\270\321\202\320\270, \320\277\321\200\320\260\321\206\321\226\320\262\320\275\320\270\320\272\320\270 \320\277\320\276\320\272\320\270 \321\211\320\276 \320\277\321\200\320\260\321\206\321\216\321\216\321\202\321\214 \320\264\320\260\320\273\321\226.}
blocked {
\320\224\320\276 \320\277\320\276\320\262\320\275\320\276\321\227 \321\201\320\277\320\273\320\260\321\202\320\270 \321\203\320\262\321\226\320\271\321\202\320\270 \320\264\320\276 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260, \320\260\320\273\320\265 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 \320\274\320\276\320\266\320\275\320\260 \320\261\321\203\320\264\321\214-\320\272\320\276\320\273\320\270.}
other {{stage_before, select, restrict {
\320\232\320\260\320\261\321\226\320\275\320\265\321\202\320\276\320\274 \320\267\320\275\320\276\320\262\321\203 \320\274\320\276\320\266\320\275\320\260 \320\272\320\276\321\200\320\270\321\201\321\202\321\203\320\262\320\260\321\202\320\270\321\201\321\217 \320\261\320\265\320\267 \320\276\320\261\320\274\320\265\320\266\320\265\320\275\321\214.} blocked {
\320\232\320\260\320\261\321\226\320\275\320\265\321\202\320\276\320\274 \320\267\320\275\320\276\320\262\321\203 \320\274\320\276\320\266\320\275\320\260 \320\272\320\276\321\200\320\270\321\201\321\202\321\203\320\262\320\260\321\202\320\270\321\201\321\217 \320\261\320\265\320\267 \320\276\320\261\320\274\320\265\320\266\320\265\320\275\321\214.} other {}}}}}}
\320\224\321\217\320\272\321\203\321\224\320\274\320\276!')),

		('charge_posted', 'en',
		 'Account {account_id, number, ::group-off}: {is_credit, select, true {credit} other {charge}} for {month}',
'{is_credit, select, true {For {month}, {credit} has been credited to the account.} other {For {month}, {amount} has been charged.}}
The balance is now {balance}.
{in_debt, select, true {Please pay {amount_due}.{has_ended, select, true {} other {{stage, select,
restrict {
Until it is paid, owners and administrators can only pay; employees work on for now.}
blocked {
Until it is paid, nobody can get in, but you can pay at any time.}
other {
The account can be used in full for now. Paying in time keeps it so.}}}}} other {There is nothing to pay now. Thank you!}}'),

		('charge_posted', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off}: {is_credit, select, true {\320\277\320\276\320\262\320\265\321\200\320\275\320\265\320\275\320\275\321\217} other {\320\275\320\260\321\200\320\260\321\205\321\203\320\262\320\260\320\275\320\275\321\217}} \320\267\320\260 {month}'),
kb_utf8('{is_credit, select, true {\320\227\320\260 {month} \320\275\320\260 \320\261\320\260\320\273\320\260\320\275\321\201 \320\277\320\276\320\262\320\265\321\200\320\275\321\203\321\202\320\276 {credit}.} other {\320\227\320\260 {month} \320\275\320\260\321\200\320\260\321\205\320\276\320\262\320\260\320\275\320\276 \320\264\320\276 \321\201\320\277\320\273\320\260\321\202\320\270 {amount}.}}
\320\242\320\265\320\277\320\265\321\200 \320\275\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 {balance}.
{in_debt, select, true {\320\221\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \321\201\320\277\320\273\320\260\321\202\321\226\321\202\321\214 {amount_due}.{has_ended, select, true {} other {{stage, select,
restrict {
\320\224\320\276 \320\277\320\276\320\262\320\275\320\276\321\227 \321\201\320\277\320\273\320\260\321\202\320\270 \320\262\320\273\320\260\321\201\320\275\320\270\320\272\320\270 \320\271 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200\320\270 \320\274\320\276\320\266\321\203\321\202\321\214 \320\273\320\270\321\210\320\265 \320\277\320\273\320\260\321\202\320\270\321\202\320\270, \320\277\321\200\320\260\321\206\321\226\320\262\320\275\320\270\320\272\320\270 \320\277\320\276\320\272\320\270 \321\211\320\276 \320\277\321\200\320\260\321\206\321\216\321\216\321\202\321\214 \320\264\320\260\320\273\321\226.}
blocked {
\320\224\320\276 \320\277\320\276\320\262\320\275\320\276\321\227 \321\201\320\277\320\273\320\260\321\202\320\270 \321\203\320\262\321\226\320\271\321\202\320\270 \320\264\320\276 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260, \320\260\320\273\320\265 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 \320\274\320\276\320\266\320\275\320\260 \320\261\321\203\320\264\321\214-\320\272\320\276\320\273\320\270.}
other {
\320\237\320\276\320\272\320\270 \321\211\320\276 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\320\276\320\274 \320\274\320\276\320\266\320\275\320\260 \320\272\320\276\321\200\320\270\321\201\321\202\321\203\320\262\320\260\321\202\320\270\321\201\321\217 \320\261\320\265\320\267 \320\276\320\261\320\274\320\265\320\266\320\265\320\275\321\214. \320\241\320\262\320\276\321\224\321\207\320\260\321\201\320\275\320\260 \321\201\320\277\320\273\320\260\321\202\320\260 \320\267\320\261\320\265\321\200\320\265\320\266\320\265 \320\264\320\276\321\201\321\202\321\203\320\277.}}}}} other {\320\227\320\260\321\200\320\260\320\267 \320\277\320\273\320\260\321\202\320\270\321\202\320\270 \320\275\321\226\321\207\320\276\320\263\320\276 \320\275\320\265 \320\277\320\276\321\202\321\200\321\226\320\261\320\275\320\276. \320\224\321\217\320\272\321\203\321\224\320\274\320\276!}}')),

		('stage_changed', 'en',
		 'Account {account_id, number, ::group-off}: {has_ended, select, true {{stage, select, ok {no debt} blocked {access is blocked} other {payment is due}}} other {{stage, select, ok {no debt, full access} grace {payment is due} restrict {access is restricted} blocked {access is blocked} other {access has changed}}}}',
'{has_ended, select, true {{stage, select,
ok {The debt of the account is settled.}
blocked {The account has a debt: nobody can get in now, but you can pay at any time.}
other {The account has a debt.}}
The balance is {balance}.{next_stage, select,
blocked {
From {next_stage_on} on, nobody will be able to get in.}
other {}}
{stage, select, ok {Thank you!} other {Please pay {amount_due}.}}} other {{stage, select,
ok {The debt of the account is settled, and it can be used in full.}
grace {The account has a debt, and can be used in full for now.}
restrict {The account has a debt: owners and administrators can only pay now. Employees work on.}
blocked {The account has a debt: nobody can get in now, but you can pay at any time.}
other {The access to the account has changed.}}
The balance is {balance}.{next_stage, select,
remind {
From {next_stage_on} on, owners and administrators will see a reminder.}
restrict {
From {next_stage_on} on, owners and administrators will only be able to pay.}
blocked {
From {next_stage_on} on, nobody will be able to get in.}
other {}}{stage, select,
ok {
Thank you!}
grace {
Please pay {amount_due}.
Nothing is deleted because of a debt alone.}
other {
Please pay {amount_due}: the account can then be used in full at once.
Nothing is deleted because of a debt alone.}}}}'),

		('stage_changed', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off}: {has_ended, select, true {{stage, select, ok {\320\261\320\276\321\200\320\263\321\203 \320\275\320\265\320\274\320\260\321\224} blocked {\320\264\320\276\321\201\321\202\321\203\320\277 \320\267\320\260\320\272\321\200\320\270\321\202\320\276} other {\321\207\320\260\321\201 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270}}} other {{stage, select, ok {\320\261\320\276\321\200\320\263\321\203 \320\275\320\265\320\274\320\260\321\224, \320\264\320\276\321\201\321\202\321\203\320\277 \320\277\320\276\320\262\320\275\320\270\320\271} grace {\321\207\320\260\321\201 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270} restrict {\320\264\320\276\321\201\321\202\321\203\320\277 \320\276\320\261\320\274\320\265\320\266\320\265\320\275\320\276} blocked {\320\264\320\276\321\201\321\202\321\203\320\277 \320\267\320\260\320\272\321\200\320\270\321\202\320\276} other {\320\264\320\276\321\201\321\202\321\203\320\277 \320\267\320\274\321\226\320\275\320\265\320\275\320\276}}}}'),
kb_utf8('{has_ended, select, true {{stage, select,
ok {\320\221\320\276\321\200\320\263 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \320\277\320\276\320\263\320\260\321\210\320\265\320\275\320\276.}
blocked {\320\243 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\226 \321\224 \320\261\320\276\321\200\320\263: \321\203\320\262\321\226\320\271\321\202\320\270 \320\264\320\276 \320\275\321\214\320\276\320\263\320\276 \321\202\320\265\320\277\320\265\321\200 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260, \320\260\320\273\320\265 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 \320\274\320\276\320\266\320\275\320\260 \320\261\321\203\320\264\321\214-\320\272\320\276\320\273\320\270.}
other {\320\243 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\226 \321\224 \320\261\320\276\321\200\320\263.}}
\320\235\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 {balance}.{next_stage, select,
blocked {
\320\227 {next_stage_on} \321\203\320\262\321\226\320\271\321\202\320\270 \320\264\320\276 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \320\261\321\203\320\264\320\265 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260.}
other {}}
{stage, select, ok {\320\224\321\217\320\272\321\203\321\224\320\274\320\276!} other {\320\221\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \321\201\320\277\320\273\320\260\321\202\321\226\321\202\321\214 {amount_due}.}}} other {{stage, select,
ok {\320\221\320\276\321\200\320\263 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \320\277\320\276\320\263\320\260\321\210\320\265\320\275\320\276, \320\275\320\270\320\274 \320\274\320\276\320\266\320\275\320\260 \320\272\320\276\321\200\320\270\321\201\321\202\321\203\320\262\320\260\321\202\320\270\321\201\321\217 \320\261\320\265\320\267 \320\276\320\261\320\274\320\265\320\266\320\265\320\275\321\214.}
grace {\320\243 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\226 \321\224 \320\261\320\276\321\200\320\263. \320\237\320\276\320\272\320\270 \321\211\320\276 \320\275\320\270\320\274 \320\274\320\276\320\266\320\275\320\260 \320\272\320\276\321\200\320\270\321\201\321\202\321\203\320\262\320\260\321\202\320\270\321\201\321\217 \320\261\320\265\320\267 \320\276\320\261\320\274\320\265\320\266\320\265\320\275\321\214.}
restrict {\320\243 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\226 \321\224 \320\261\320\276\321\200\320\263: \320\262\320\273\320\260\321\201\320\275\320\270\320\272\320\270 \320\271 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200\320\270 \321\202\320\265\320\277\320\265\321\200 \320\274\320\276\320\266\321\203\321\202\321\214 \320\273\320\270\321\210\320\265 \320\277\320\273\320\260\321\202\320\270\321\202\320\270. \320\237\321\200\320\260\321\206\321\226\320\262\320\275\320\270\320\272\320\270 \320\277\321\200\320\260\321\206\321\216\321\216\321\202\321\214 \320\264\320\260\320\273\321\226.}
blocked {\320\243 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\226 \321\224 \320\261\320\276\321\200\320\263: \321\203\320\262\321\226\320\271\321\202\320\270 \320\264\320\276 \320\275\321\214\320\276\320\263\320\276 \321\202\320\265\320\277\320\265\321\200 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260, \320\260\320\273\320\265 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 \320\274\320\276\320\266\320\275\320\260 \320\261\321\203\320\264\321\214-\320\272\320\276\320\273\320\270.}
other {\320\224\320\276\321\201\321\202\321\203\320\277 \320\264\320\276 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \320\267\320\274\321\226\320\275\320\265\320\275\320\276.}}
\320\235\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 {balance}.{next_stage, select,
remind {
\320\227 {next_stage_on} \320\262\320\273\320\260\321\201\320\275\320\270\320\272\320\270 \320\271 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200\320\270 \320\261\320\260\321\207\320\270\321\202\320\270\320\274\321\203\321\202\321\214 \320\275\320\260\320\263\320\260\320\264\321\203\320\262\320\260\320\275\320\275\321\217.}
restrict {
\320\227 {next_stage_on} \320\262\320\273\320\260\321\201\320\275\320\270\320\272\320\270 \320\271 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200\320\270 \320\267\320\274\320\276\320\266\321\203\321\202\321\214 \320\273\320\270\321\210\320\265 \320\277\320\273\320\260\321\202\320\270\321\202\320\270.}
blocked {
\320\227 {next_stage_on} \321\203\320\262\321\226\320\271\321\202\320\270 \320\264\320\276 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \320\261\321\203\320\264\320\265 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260.}
other {}}{stage, select,
ok {
\320\224\321\217\320\272\321\203\321\224\320\274\320\276!}
grace {
\320\221\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \321\201\320\277\320\273\320\260\321\202\321\226\321\202\321\214 {amount_due}.
\320\233\320\270\321\210\320\265 \321\207\320\265\321\200\320\265\320\267 \320\261\320\276\321\200\320\263 \320\275\321\226\321\207\320\276\320\263\320\276 \320\275\320\265 \320\262\320\270\320\264\320\260\320\273\321\217\321\224\321\202\321\214\321\201\321\217.}
other {
\320\221\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \321\201\320\277\320\273\320\260\321\202\321\226\321\202\321\214 {amount_due}: \320\264\320\276\321\201\321\202\321\203\320\277 \320\276\320\264\321\200\320\260\320\267\321\203 \321\201\321\202\320\260\320\275\320\265 \320\277\320\276\320\262\320\275\320\270\320\274.
\320\233\320\270\321\210\320\265 \321\207\320\265\321\200\320\265\320\267 \320\261\320\276\321\200\320\263 \320\275\321\226\321\207\320\276\320\263\320\276 \320\275\320\265 \320\262\320\270\320\264\320\260\320\273\321\217\321\224\321\202\321\214\321\201\321\217.}}}}')),

		('payment_reminder', 'en',
		 'Account {account_id, number, ::group-off}: please pay {amount_due}',
'This is the {day, selectordinal, one {#st} two {#nd} few {#rd} other {#th}} day on which the account has a debt.
The balance is {balance}.
Please pay {amount_due}.{next_stage, select,
restrict {{has_ended, select, true {} other {
{days, plural, one {In # day} other {In # days}}, on {next_stage_on}, the account will be restricted: from then on owners and administrators will only be able to pay; employees work on.}}}
blocked {
{days, plural, one {In # day} other {In # days}}, on {next_stage_on}, the account will be blocked: from then on nobody will be able to get in.}
other {}}
Nothing is deleted because of a debt alone.'),

		('payment_reminder', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off}: \320\261\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \321\201\320\277\320\273\320\260\321\202\321\226\321\202\321\214 {amount_due}'),
kb_utf8('\320\241\321\214\320\276\320\263\320\276\320\264\320\275\321\226 {day}-\320\271 \320\264\320\265\320\275\321\214, \321\217\320\272 \321\203 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\226 \321\224 \320\261\320\276\321\200\320\263.
\320\235\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 {balance}.
\320\221\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \321\201\320\277\320\273\320\260\321\202\321\226\321\202\321\214 {amount_due}.{next_stage, select,
restrict {{has_ended, select, true {} other {
{days, plural, one {\320\247\320\265\321\200\320\265\320\267 # \320\264\320\265\320\275\321\214} few {\320\247\320\265\321\200\320\265\320\267 # \320\264\320\275\321\226} many {\320\247\320\265\321\200\320\265\320\267 # \320\264\320\275\321\226\320\262} other {\320\247\320\265\321\200\320\265\320\267 # \320\264\320\275\321\217}}, {next_stage_on}, \320\264\320\276\321\201\321\202\321\203\320\277 \320\261\321\203\320\264\320\265 \320\276\320\261\320\274\320\265\320\266\320\265\320\275\320\276: \320\262\321\226\320\264\321\202\320\276\320\264\321\226 \320\262\320\273\320\260\321\201\320\275\320\270\320\272\320\270 \320\271 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200\320\270 \320\267\320\274\320\276\320\266\321\203\321\202\321\214 \320\273\320\270\321\210\320\265 \320\277\320\273\320\260\321\202\320\270\321\202\320\270, \320\277\321\200\320\260\321\206\321\226\320\262\320\275\320\270\320\272\320\270 \320\277\321\200\320\260\321\206\321\216\320\262\320\260\321\202\320\270\320\274\321\203\321\202\321\214 \320\264\320\260\320\273\321\226.}}}
blocked {
{days, plural, one {\320\247\320\265\321\200\320\265\320\267 # \320\264\320\265\320\275\321\214} few {\320\247\320\265\321\200\320\265\320\267 # \320\264\320\275\321\226} many {\320\247\320\265\321\200\320\265\320\267 # \320\264\320\275\321\226\320\262} other {\320\247\320\265\321\200\320\265\320\267 # \320\264\320\275\321\217}}, {next_stage_on}, \320\264\320\276\321\201\321\202\321\203\320\277 \320\261\321\203\320\264\320\265 \320\267\320\260\320\272\321\200\320\270\321\202\320\276: \320\262\321\226\320\264\321\202\320\276\320\264\321\226 \321\203\320\262\321\226\320\271\321\202\320\270 \320\264\320\276 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \320\261\321\203\320\264\320\265 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260.}
other {}}
\320\233\320\270\321\210\320\265 \321\207\320\265\321\200\320\265\320\267 \320\261\320\276\321\200\320\263 \320\275\321\226\321\207\320\276\320\263\320\276 \320\275\320\265 \320\262\320\270\320\264\320\260\320\273\321\217\321\224\321\202\321\214\321\201\321\217.')),

		('closure_scheduled', 'en',
		 'Account {account_id, number, ::group-off} will be deleted on {delete_on}',
'{has_ended, select, true {The contract has ended{in_debt, select, true {, and {amount_due} is still to be paid} other { and all is settled}}. The account will be deleted {days, plural, =0 {today} one {in # day} other {in # days}}, on {delete_on}.
Until then, its history can be read. To put the deletion off, have an owner or administrator cancel it.} other {The account is not in use and has no money on it, so it will be deleted {days, plural, =0 {today} one {in # day} other {in # days}}, on {delete_on}.
{stage, select,
blocked {The account has a debt of {amount_due}: nobody can get in, but you can pay at any time.
To keep the account, pay so that the balance is above zero, or have an owner or administrator cancel the deletion.}
other {Until then it works as before{in_debt, select, true {, as far as its debt of {amount_due} allows} other {}}.
To keep the account, log in, or pay so that the balance is above zero, or have an owner or administrator cancel the deletion.}}}}
{restore_days, plural, =0 {A deleted account cannot be restored.} other {After the deletion, support can restore it for {restore_days, plural, one {# day} other {# days}}.}} Then its data is erased for good.'),

		('closure_scheduled', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off} \320\261\321\203\320\264\320\265 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\276 {delete_on}'),
kb_utf8('{has_ended, select, true {\320\224\320\276\320\263\320\276\320\262\321\226\321\200 \320\267\320\260\320\262\320\265\321\200\321\210\320\265\320\275\320\276{in_debt, select, true {, \320\267\320\260\320\273\320\270\321\210\320\270\320\273\320\276\321\201\321\217 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 {amount_due}} other {, \321\200\320\276\320\267\321\200\320\260\321\205\321\203\320\275\320\272\320\270 \320\267\320\260\320\272\321\200\320\270\321\202\320\276}}, \321\202\320\276\320\274\321\203 {days, plural, =0 {\321\201\321\214\320\276\320\263\320\276\320\264\320\275\321\226} one {\321\207\320\265\321\200\320\265\320\267 # \320\264\320\265\320\275\321\214} few {\321\207\320\265\321\200\320\265\320\267 # \320\264\320\275\321\226} many {\321\207\320\265\321\200\320\265\320\267 # \320\264\320\275\321\226\320\262} other {\321\207\320\265\321\200\320\265\320\267 # \320\264\320\275\321\217}}, {delete_on}, \320\272\320\260\320\261\321\226\320\275\320\265\321\202 \320\261\321\203\320\264\320\265 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\276.
\320\224\320\276 \321\202\320\276\320\263\320\276 \321\207\320\260\321\201\321\203 \320\274\320\276\320\266\320\275\320\260 \320\277\320\265\321\200\320\265\320\263\320\273\321\217\320\264\320\260\321\202\320\270 \321\226\321\201\321\202\320\276\321\200\321\226\321\216. \320\251\320\276\320\261 \320\262\321\226\320\264\320\272\320\273\320\260\321\201\321\202\320\270 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\275\321\217, \320\275\320\265\321\205\320\260\320\271 \320\262\320\273\320\260\321\201\320\275\320\270\320\272 \321\207\320\270 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200 \321\201\320\272\320\260\321\201\321\203\321\224 \320\271\320\276\320\263\320\276.} other {\320\232\320\260\320\261\321\226\320\275\320\265\321\202\320\276\320\274 \320\275\320\265 \320\272\320\276\321\200\320\270\321\201\321\202\321\203\321\216\321\202\321\214\321\201\321\217, \321\226 \320\275\320\260 \320\271\320\276\320\263\320\276 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 \320\275\320\265\320\274\320\260\321\224 \320\263\321\200\320\276\321\210\320\265\320\271, \321\202\320\276\320\274\321\203 {days, plural, =0 {\321\201\321\214\320\276\320\263\320\276\320\264\320\275\321\226} one {\321\207\320\265\321\200\320\265\320\267 # \320\264\320\265\320\275\321\214} few {\321\207\320\265\321\200\320\265\320\267 # \320\264\320\275\321\226} many {\321\207\320\265\321\200\320\265\320\267 # \320\264\320\275\321\226\320\262} other {\321\207\320\265\321\200\320\265\320\267 # \320\264\320\275\321\217}}, {delete_on}, \320\271\320\276\320\263\320\276 \320\261\321\203\320\264\320\265 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\276.
{stage, select,
blocked {\320\243 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\226 \321\224 \320\261\320\276\321\200\320\263 {amount_due}: \321\203\320\262\321\226\320\271\321\202\320\270 \320\264\320\276 \320\275\321\214\320\276\320\263\320\276 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260, \320\260\320\273\320\265 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 \320\274\320\276\320\266\320\275\320\260 \320\261\321\203\320\264\321\214-\320\272\320\276\320\273\320\270.
\320\251\320\276\320\261 \320\267\320\261\320\265\321\200\320\265\320\263\321\202\320\270 \320\272\320\260\320\261\321\226\320\275\320\265\321\202, \320\277\320\276\320\277\320\276\320\262\320\275\321\226\321\202\321\214 \320\261\320\260\320\273\320\260\320\275\321\201 \321\202\320\260\320\272, \321\211\320\276\320\261 \320\262\321\226\320\275 \321\201\321\202\320\260\320\262 \320\261\321\226\320\273\321\214\321\210\320\270\320\274 \320\267\320\260 \320\275\321\203\320\273\321\214, \320\260\320\261\320\276 \320\275\320\265\321\205\320\260\320\271 \320\262\320\273\320\260\321\201\320\275\320\270\320\272 \321\207\320\270 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200 \321\201\320\272\320\260\321\201\321\203\321\224 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\275\321\217.}
other {\320\224\320\276 \321\202\320\276\320\263\320\276 \321\207\320\260\321\201\321\203 \320\262\321\226\320\275 \320\277\321\200\320\260\321\206\321\216\321\224, \321\217\320\272 \321\226 \321\200\320\260\320\275\321\226\321\210\320\265{in_debt, select, true {, \320\275\320\260\321\201\320\272\321\226\320\273\321\214\320\272\320\270 \320\264\320\276\320\267\320\262\320\276\320\273\321\217\321\224 \320\261\320\276\321\200\320\263 {amount_due}} other {}}.
\320\251\320\276\320\261 \320\267\320\261\320\265\321\200\320\265\320\263\321\202\320\270 \320\272\320\260\320\261\321\226\320\275\320\265\321\202, \321\203\320\262\321\226\320\271\320\264\321\226\321\202\321\214 \320\264\320\276 \320\275\321\214\320\276\320\263\320\276, \320\260\320\261\320\276 \320\277\320\276\320\277\320\276\320\262\320\275\321\226\321\202\321\214 \320\261\320\260\320\273\320\260\320\275\321\201 \321\202\320\260\320\272, \321\211\320\276\320\261 \320\262\321\226\320\275 \321\201\321\202\320\260\320\262 \320\261\321\226\320\273\321\214\321\210\320\270\320\274 \320\267\320\260 \320\275\321\203\320\273\321\214, \320\260\320\261\320\276 \320\275\320\265\321\205\320\260\320\271 \320\262\320\273\320\260\321\201\320\275\320\270\320\272 \321\207\320\270 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200 \321\201\320\272\320\260\321\201\321\203\321\224 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\275\321\217.}}}}
{restore_days, plural, =0 {\320\222\321\226\320\264\320\275\320\276\320\262\320\270\321\202\320\270 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\270\320\271 \320\272\320\260\320\261\321\226\320\275\320\265\321\202 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260.} other {\320\237\321\226\321\201\320\273\321\217 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\275\321\217 \321\201\320\273\321\203\320\266\320\261\320\260 \320\277\321\226\320\264\321\202\321\200\320\270\320\274\320\272\320\270 \320\274\320\276\320\266\320\265 \320\262\321\226\320\264\320\275\320\276\320\262\320\270\321\202\320\270 \320\271\320\276\320\263\320\276 \320\277\321\200\320\276\321\202\321\217\320\263\320\276\320\274 {restore_days, plural, one {# \320\264\320\275\321\217} few {# \320\264\320\275\321\226\320\262} many {# \320\264\320\275\321\226\320\262} other {# \320\264\320\275\321\217}}.}} \320\237\320\276\321\202\321\226\320\274 \320\271\320\276\320\263\320\276 \320\264\320\260\320\275\321\226 \320\261\321\203\320\264\320\265 \321\201\321\202\320\265\321\200\321\202\320\276 \320\275\320\260\320\267\320\260\320\262\320\266\320\264\320\270.')),

		('closure_reminder', 'en',
		 'Reminder: account {account_id, number, ::group-off} will be deleted on {delete_on}',
'{days, plural, =0 {Today} one {In # day} other {In # days}}, on {delete_on}, the account will be deleted, as {has_ended, select, true {its contract has ended.{in_debt, select, true {
{amount_due} is still to be paid.} other {}}
Until then, its history can be read.
To put the deletion off, have an owner or administrator cancel it.} other {it is not in use.
{stage, select,
blocked {The account has a debt of {amount_due}: nobody can get in, but you can pay at any time.
To keep the account, pay so that the balance is above zero, or have an owner or administrator cancel the deletion.}
other {Until then it works as before{in_debt, select, true {, as far as its debt of {amount_due} allows} other {}}.
To keep the account, log in, or pay so that the balance is above zero, or have an owner or administrator cancel the deletion.}}}}'),

		('closure_reminder', 'uk',
		 kb_utf8('\320\235\320\260\320\263\320\260\320\264\321\203\320\262\320\260\320\275\320\275\321\217: \320\272\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off} \320\261\321\203\320\264\320\265 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\276 {delete_on}'),
kb_utf8('{days, plural, =0 {\320\241\321\214\320\276\320\263\320\276\320\264\320\275\321\226} one {\320\247\320\265\321\200\320\265\320\267 # \320\264\320\265\320\275\321\214} few {\320\247\320\265\321\200\320\265\320\267 # \320\264\320\275\321\226} many {\320\247\320\265\321\200\320\265\320\267 # \320\264\320\275\321\226\320\262} other {\320\247\320\265\321\200\320\265\320\267 # \320\264\320\275\321\217}}, {delete_on}, \320\272\320\260\320\261\321\226\320\275\320\265\321\202 \320\261\321\203\320\264\320\265 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\276, \320\261\320\276 {has_ended, select, true {\320\264\320\276\320\263\320\276\320\262\321\226\321\200 \320\267\320\260\320\262\320\265\321\200\321\210\320\265\320\275\320\276.{in_debt, select, true {
\320\227\320\260\320\273\320\270\321\210\320\270\320\273\320\276\321\201\321\217 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 {amount_due}.} other {}}
\320\224\320\276 \321\202\320\276\320\263\320\276 \321\207\320\260\321\201\321\203 \320\274\320\276\320\266\320\275\320\260 \320\277\320\265\321\200\320\265\320\263\320\273\321\217\320\264\320\260\321\202\320\270 \321\226\321\201\321\202\320\276\321\200\321\226\321\216.
\320\251\320\276\320\261 \320\262\321\226\320\264\320\272\320\273\320\260\321\201\321\202\320\270 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\275\321\217, \320\275\320\265\321\205\320\260\320\271 \320\262\320\273\320\260\321\201\320\275\320\270\320\272 \321\207\320\270 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200 \321\201\320\272\320\260\321\201\321\203\321\224 \320\271\320\276\320\263\320\276.} other {\320\275\320\270\320\274 \320\275\320\265 \320\272\320\276\321\200\320\270\321\201\321\202\321\203\321\216\321\202\321\214\321\201\321\217.
{stage, select,
blocked {\320\243 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\226 \321\224 \320\261\320\276\321\200\320\263 {amount_due}: \321\203\320\262\321\226\320\271\321\202\320\270 \320\264\320\276 \320\275\321\214\320\276\320\263\320\276 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260, \320\260\320\273\320\265 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 \320\274\320\276\320\266\320\275\320\260 \320\261\321\203\320\264\321\214-\320\272\320\276\320\273\320\270.
\320\251\320\276\320\261 \320\267\320\261\320\265\321\200\320\265\320\263\321\202\320\270 \320\272\320\260\320\261\321\226\320\275\320\265\321\202, \320\277\320\276\320\277\320\276\320\262\320\275\321\226\321\202\321\214 \320\261\320\260\320\273\320\260\320\275\321\201 \321\202\320\260\320\272, \321\211\320\276\320\261 \320\262\321\226\320\275 \321\201\321\202\320\260\320\262 \320\261\321\226\320\273\321\214\321\210\320\270\320\274 \320\267\320\260 \320\275\321\203\320\273\321\214, \320\260\320\261\320\276 \320\275\320\265\321\205\320\260\320\271 \320\262\320\273\320\260\321\201\320\275\320\270\320\272 \321\207\320\270 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200 \321\201\320\272\320\260\321\201\321\203\321\224 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\275\321\217.}
other {\320\224\320\276 \321\202\320\276\320\263\320\276 \321\207\320\260\321\201\321\203 \320\262\321\226\320\275 \320\277\321\200\320\260\321\206\321\216\321\224, \321\217\320\272 \321\226 \321\200\320\260\320\275\321\226\321\210\320\265{in_debt, select, true {, \320\275\320\260\321\201\320\272\321\226\320\273\321\214\320\272\320\270 \320\264\320\276\320\267\320\262\320\276\320\273\321\217\321\224 \320\261\320\276\321\200\320\263 {amount_due}} other {}}.
\320\251\320\276\320\261 \320\267\320\261\320\265\321\200\320\265\320\263\321\202\320\270 \320\272\320\260\320\261\321\226\320\275\320\265\321\202, \321\203\320\262\321\226\320\271\320\264\321\226\321\202\321\214 \320\264\320\276 \320\275\321\214\320\276\320\263\320\276, \320\260\320\261\320\276 \320\277\320\276\320\277\320\276\320\262\320\275\321\226\321\202\321\214 \320\261\320\260\320\273\320\260\320\275\321\201 \321\202\320\260\320\272, \321\211\320\276\320\261 \320\262\321\226\320\275 \321\201\321\202\320\260\320\262 \320\261\321\226\320\273\321\214\321\210\320\270\320\274 \320\267\320\260 \320\275\321\203\320\273\321\214, \320\260\320\261\320\276 \320\275\320\265\321\205\320\260\320\271 \320\262\320\273\320\260\321\201\320\275\320\270\320\272 \321\207\320\270 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200 \321\201\320\272\320\260\321\201\321\203\321\224 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\275\321\217.}}}}')),

		('closure_cancelled', 'en',
		 'Account {account_id, number, ::group-off} will not be deleted',
'The account will not be deleted on {delete_on}.
{why, select,
member {An owner or administrator has cancelled the deletion.}
topup {A payment has brought the balance above zero.}
conditions {{has_ended, select, true {Something is still to be settled.} other {{in_debt, select, true {It is in use again.} other {It is in use again, or its balance is above zero.}}}}}
other {The deletion has been cancelled.}}
{in_debt, select, true {Please pay {amount_due}.{has_ended, select, true {} other {{stage, select,
restrict {
Until it is paid, owners and administrators can only pay; employees work on for now.}
blocked {
Until it is paid, nobody can get in, but you can pay at any time.}
other {
The account can be used in full for now. Paying in time keeps it so.}}}}} other {{has_ended, select, true {There is nothing that you need to do now.} other {It works as before, and there is nothing that you need to do.}}}}'),

		('closure_cancelled', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off} \320\275\320\265 \320\261\321\203\320\264\320\265 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\276'),
kb_utf8('\320\222\320\270\320\264\320\260\320\273\320\265\320\275\320\275\321\217 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203, \320\277\321\200\320\270\320\267\320\275\320\260\321\207\320\265\320\275\320\265 \320\275\320\260 {delete_on}, \321\201\320\272\320\260\321\201\320\276\320\262\320\260\320\275\320\276.
{why, select,
member {\320\231\320\276\320\263\320\276 \321\201\320\272\320\260\321\201\321\203\320\262\320\260\320\262 \320\262\320\273\320\260\321\201\320\275\320\270\320\272 \320\260\320\261\320\276 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200.}
topup {\320\237\321\226\321\201\320\273\321\217 \320\277\320\273\320\260\321\202\320\265\320\266\321\203 \320\261\320\260\320\273\320\260\320\275\321\201 \321\201\321\202\320\260\320\262 \320\261\321\226\320\273\321\214\321\210\320\270\320\274 \320\267\320\260 \320\275\321\203\320\273\321\214.}
conditions {{has_ended, select, true {\320\240\320\276\320\267\321\200\320\260\321\205\321\203\320\275\320\272\320\270 \321\211\320\265 \320\275\320\265 \320\267\320\260\320\262\320\265\321\200\321\210\320\265\320\275\320\276.} other {{in_debt, select, true {\320\232\320\260\320\261\321\226\320\275\320\265\321\202\320\276\320\274 \320\267\320\275\320\276\320\262\321\203 \320\272\320\276\321\200\320\270\321\201\321\202\321\203\321\216\321\202\321\214\321\201\321\217.} other {\320\232\320\260\320\261\321\226\320\275\320\265\321\202\320\276\320\274 \320\267\320\275\320\276\320\262\321\203 \320\272\320\276\321\200\320\270\321\201\321\202\321\203\321\216\321\202\321\214\321\201\321\217, \320\260\320\261\320\276 \320\271\320\276\320\263\320\276 \320\261\320\260\320\273\320\260\320\275\321\201 \321\201\321\202\320\260\320\262 \320\261\321\226\320\273\321\214\321\210\320\270\320\274 \320\267\320\260 \320\275\321\203\320\273\321\214.}}}}}
other {\320\237\321\200\320\270\321\207\320\270\320\275 \320\264\320\273\321\217 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\275\321\217 \320\261\321\226\320\273\321\214\321\210\320\265 \320\275\320\265\320\274\320\260\321\224.}}
{in_debt, select, true {\320\221\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \321\201\320\277\320\273\320\260\321\202\321\226\321\202\321\214 {amount_due}.{has_ended, select, true {} other {{stage, select,
restrict {
\320\224\320\276 \320\277\320\276\320\262\320\275\320\276\321\227 \321\201\320\277\320\273\320\260\321\202\320\270 \320\262\320\273\320\260\321\201\320\275\320\270\320\272\320\270 \320\271 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200\320\270 \320\274\320\276\320\266\321\203\321\202\321\214 \320\273\320\270\321\210\320\265 \320\277\320\273\320\260\321\202\320\270\321\202\320\270, \320\277\321\200\320\260\321\206\321\226\320\262\320\275\320\270\320\272\320\270 \320\277\320\276\320\272\320\270 \321\211\320\276 \320\277\321\200\320\260\321\206\321\216\321\216\321\202\321\214 \320\264\320\260\320\273\321\226.}
blocked {
\320\224\320\276 \320\277\320\276\320\262\320\275\320\276\321\227 \321\201\320\277\320\273\320\260\321\202\320\270 \321\203\320\262\321\226\320\271\321\202\320\270 \320\264\320\276 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260, \320\260\320\273\320\265 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 \320\274\320\276\320\266\320\275\320\260 \320\261\321\203\320\264\321\214-\320\272\320\276\320\273\320\270.}
other {
\320\237\320\276\320\272\320\270 \321\211\320\276 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\320\276\320\274 \320\274\320\276\320\266\320\275\320\260 \320\272\320\276\321\200\320\270\321\201\321\202\321\203\320\262\320\260\321\202\320\270\321\201\321\217 \320\261\320\265\320\267 \320\276\320\261\320\274\320\265\320\266\320\265\320\275\321\214. \320\241\320\262\320\276\321\224\321\207\320\260\321\201\320\275\320\260 \321\201\320\277\320\273\320\260\321\202\320\260 \320\267\320\261\320\265\321\200\320\265\320\266\320\265 \320\264\320\276\321\201\321\202\321\203\320\277.}}}}} other {{has_ended, select, true {\320\227\320\260\321\200\320\260\320\267 \320\262\321\226\320\264 \320\262\320\260\321\201 \320\275\321\226\321\207\320\276\320\263\320\276 \320\275\320\265 \320\277\320\276\321\202\321\200\321\226\320\261\320\275\320\276.} other {\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \320\277\321\200\320\260\321\206\321\216\321\224, \321\217\320\272 \321\226 \321\200\320\260\320\275\321\226\321\210\320\265, \320\262\321\226\320\264 \320\262\320\260\321\201 \320\275\321\226\321\207\320\276\320\263\320\276 \320\275\320\265 \320\277\320\276\321\202\321\200\321\226\320\261\320\275\320\276.}}}}')),

		('account_deleted', 'en',
		 'Account {account_id, number, ::group-off} has been deleted',
'The account was deleted on {deleted_on}. Nobody can get in, and nothing more is charged.
{days, plural, =0 {It cannot be restored.} other {For {days, plural, one {# day} other {# days}}, until {restore_until}, support can restore it as it was. If you need it, please write to support.}}
On {purge_on} its data is erased for good; only the books are kept, as the law requires.{in_debt, select, true {
The account has a debt of {amount_due}.} other {}}'),

		('account_deleted', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off} \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\276'),
kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\276 {deleted_on} \320\243\320\262\321\226\320\271\321\202\320\270 \320\264\320\276 \320\275\321\214\320\276\320\263\320\276 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260, \320\277\320\273\320\260\321\202\320\260 \320\261\321\226\320\273\321\214\321\210\320\265 \320\275\320\265 \320\275\320\260\321\200\320\260\321\205\320\276\320\262\321\203\321\224\321\202\321\214\321\201\321\217.
{days, plural, =0 {\320\222\321\226\320\264\320\275\320\276\320\262\320\270\321\202\320\270 \320\271\320\276\320\263\320\276 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260.} other {\320\237\321\200\320\276\321\202\321\217\320\263\320\276\320\274 {days, plural, one {# \320\264\320\275\321\217} few {# \320\264\320\275\321\226\320\262} many {# \320\264\320\275\321\226\320\262} other {# \320\264\320\275\321\217}}, \320\264\320\276 {restore_until} \320\262\320\272\320\273\321\216\321\207\320\275\320\276, \321\201\320\273\321\203\320\266\320\261\320\260 \320\277\321\226\320\264\321\202\321\200\320\270\320\274\320\272\320\270 \320\274\320\276\320\266\320\265 \320\262\321\226\320\264\320\275\320\276\320\262\320\270\321\202\320\270 \320\271\320\276\320\263\320\276 \321\202\320\260\320\272\320\270\320\274, \321\217\320\272\320\270\320\274 \320\262\321\226\320\275 \320\261\321\203\320\262. \320\257\320\272\321\211\320\276 \320\262\321\226\320\275 \320\262\320\260\320\274 \320\277\320\276\321\202\321\200\321\226\320\261\320\265\320\275, \320\261\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \320\275\320\260\320\277\320\270\321\210\321\226\321\202\321\214 \321\227\320\271.}}
{purge_on} \320\271\320\276\320\263\320\276 \320\264\320\260\320\275\321\226 \320\261\321\203\320\264\320\265 \321\201\321\202\320\265\321\200\321\202\320\276 \320\275\320\260\320\267\320\260\320\262\320\266\320\264\320\270; \320\267\320\260\320\273\320\270\321\210\320\270\321\202\321\214\321\201\321\217 \320\273\320\270\321\210\320\265 \320\276\320\261\320\273\321\226\320\272 \320\277\320\273\320\260\321\202\320\265\320\266\321\226\320\262, \321\217\320\272 \321\202\320\276\320\263\320\276 \320\262\320\270\320\274\320\260\320\263\320\260\321\224 \320\267\320\260\320\272\320\276\320\275.{in_debt, select, true {
\320\243 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\226 \321\224 \320\261\320\276\321\200\320\263 {amount_due}.} other {}}')),

		('account_restored', 'en',
		 'Account {account_id, number, ::group-off} has been restored',
'The account was restored on {restored_on}, with all of its data as it was.
The balance is {balance}.
{in_debt, select, true {{has_ended, select, true {Please pay {amount_due}.} other {{stage, select,
restrict {Please pay {amount_due}.
Until it is paid, owners and administrators can only pay; employees work on for now.}
blocked {Please pay {amount_due}.
Until it is paid, nobody can get in, but you can pay at any time.}
other {Please pay {amount_due} to keep the access full.}}}}} other {There is nothing to pay now.}}
Welcome back!'),

		('account_restored', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off} \320\262\321\226\320\264\320\275\320\276\320\262\320\273\320\265\320\275\320\276'),
kb_utf8('{restored_on} \320\272\320\260\320\261\321\226\320\275\320\265\321\202 \320\262\321\226\320\264\320\275\320\276\320\262\320\273\320\265\320\275\320\276 \320\267 \321\203\321\201\321\226\320\274\320\260 \320\264\320\260\320\275\320\270\320\274\320\270, \321\217\320\272 \320\261\321\203\320\273\320\276.
\320\235\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 {balance}.
{in_debt, select, true {{has_ended, select, true {\320\221\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \321\201\320\277\320\273\320\260\321\202\321\226\321\202\321\214 {amount_due}.} other {{stage, select,
restrict {\320\221\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \321\201\320\277\320\273\320\260\321\202\321\226\321\202\321\214 {amount_due}.
\320\224\320\276 \320\277\320\276\320\262\320\275\320\276\321\227 \321\201\320\277\320\273\320\260\321\202\320\270 \320\262\320\273\320\260\321\201\320\275\320\270\320\272\320\270 \320\271 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200\320\270 \320\274\320\276\320\266\321\203\321\202\321\214 \320\273\320\270\321\210\320\265 \320\277\320\273\320\260\321\202\320\270\321\202\320\270, \320\277\321\200\320\260\321\206\321\226\320\262\320\275\320\270\320\272\320\270 \320\277\320\276\320\272\320\270 \321\211\320\276 \320\277\321\200\320\260\321\206\321\216\321\216\321\202\321\214 \320\264\320\260\320\273\321\226.}
blocked {\320\221\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \321\201\320\277\320\273\320\260\321\202\321\226\321\202\321\214 {amount_due}.
\320\224\320\276 \320\277\320\276\320\262\320\275\320\276\321\227 \321\201\320\277\320\273\320\260\321\202\320\270 \321\203\320\262\321\226\320\271\321\202\320\270 \320\264\320\276 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \320\275\320\265 \320\274\320\276\320\266\320\275\320\260, \320\260\320\273\320\265 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 \320\274\320\276\320\266\320\275\320\260 \320\261\321\203\320\264\321\214-\320\272\320\276\320\273\320\270.}
other {\320\221\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \321\201\320\277\320\273\320\260\321\202\321\226\321\202\321\214 {amount_due}, \321\211\320\276\320\261 \320\264\320\276\321\201\321\202\321\203\320\277 \320\267\320\260\320\273\320\270\321\210\320\260\320\262\321\201\321\217 \320\277\320\276\320\262\320\275\320\270\320\274.}}}}} other {\320\227\320\260\321\200\320\260\320\267 \320\277\320\273\320\260\321\202\320\270\321\202\320\270 \320\275\321\226\321\207\320\276\320\263\320\276 \320\275\320\265 \320\277\320\276\321\202\321\200\321\226\320\261\320\275\320\276.}}
\320\227 \320\277\320\276\320\262\320\265\321\200\320\275\320\265\320\275\320\275\321\217\320\274!')),

		-- For the application: the account has no members left.
		('account_purged', 'en',
		 'Account {account_id, number, ::group-off} has been purged',
'Account {account_id, number, ::group-off} was purged on {purged_on}.
Its members'' personal data and usage are erased; the journal is kept, as the law requires.
Please erase what the application itself still has of this account.'),

		('account_purged', 'uk',
		 kb_utf8('\320\224\320\260\320\275\321\226 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \342\204\226{account_id, number, ::group-off} \321\201\321\202\320\265\321\200\321\202\320\276'),
kb_utf8('\320\224\320\260\320\275\321\226 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \342\204\226{account_id, number, ::group-off} \321\201\321\202\320\265\321\200\321\202\320\276 {purged_on}
\320\236\321\201\320\276\320\261\320\270\321\201\321\202\321\226 \320\264\320\260\320\275\321\226 \320\271\320\276\320\263\320\276 \321\203\321\207\320\260\321\201\320\275\320\270\320\272\321\226\320\262 \321\202\320\260 \320\276\320\261\320\273\321\226\320\272 \320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\320\275\321\217 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\276; \320\266\321\203\321\200\320\275\320\260\320\273 \320\267\320\260\320\273\320\270\321\210\320\260\321\224\321\202\321\214\321\201\321\217, \321\217\320\272 \321\202\320\276\320\263\320\276 \320\262\320\270\320\274\320\260\320\263\320\260\321\224 \320\267\320\260\320\272\320\276\320\275.
\320\221\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \320\267\321\226\321\202\321\200\321\226\321\202\321\214 \321\203\321\201\320\265, \321\211\320\276 \320\277\321\200\320\276 \321\206\320\265\320\271 \320\272\320\260\320\261\321\226\320\275\320\265\321\202 \321\226\321\211\320\265 \320\267\320\261\320\265\321\200\321\226\320\263\320\260\321\224 \321\201\320\260\320\274 \320\267\320\260\321\201\321\202\320\276\321\201\321\203\320\275\320\276\320\272.')),

		-- For the application, too.
		('topup_after_deletion', 'en',
		 'Account {account_id, number, ::group-off} is deleted, but {amount} has been paid',
'A payment of {amount} has arrived for account {account_id, number, ::group-off}, which is deleted. Its reference is {reference}.
It is booked; the balance is now {balance}.{in_debt, select, true {
{amount_due} is still to be paid.} other {}}
The account stays deleted. Please pay back what is left on the balance, or have the account restored while that is possible.'),

		('topup_after_deletion', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off} \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\276, \320\260\320\273\320\265 \320\275\320\260\320\264\321\226\320\271\321\210\320\276\320\262 \320\277\320\273\320\260\321\202\321\226\320\266 {amount}'),
kb_utf8('\320\235\320\260\320\264\321\226\320\271\321\210\320\276\320\262 \320\277\320\273\320\260\321\202\321\226\320\266 {amount} \320\264\320\273\321\217 \320\272\320\260\320\261\321\226\320\275\320\265\321\202\321\203 \342\204\226{account_id, number, ::group-off}, \321\217\320\272\320\270\320\271 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\276. \320\235\320\276\320\274\320\265\321\200 \320\277\320\273\320\260\321\202\320\265\320\266\321\203: {reference}.
\320\237\320\273\320\260\321\202\321\226\320\266 \320\267\320\260\321\200\320\260\321\205\320\276\320\262\320\260\320\275\320\276; \321\202\320\265\320\277\320\265\321\200 \320\275\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 {balance}.{in_debt, select, true {
\320\227\320\260\320\273\320\270\321\210\320\270\320\273\320\276\321\201\321\217 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 {amount_due}.} other {}}
\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \320\267\320\260\320\273\320\270\321\210\320\260\321\224\321\202\321\214\321\201\321\217 \320\262\320\270\320\264\320\260\320\273\320\265\320\275\320\270\320\274. \320\221\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \320\277\320\276\320\262\320\265\321\200\320\275\321\226\321\202\321\214 \321\202\320\265, \321\211\320\276 \321\224 \320\275\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226, \320\260\320\261\320\276 \320\262\321\226\320\264\320\275\320\276\320\262\321\226\321\202\321\214 \320\272\320\260\320\261\321\226\320\275\320\265\321\202, \320\277\320\276\320\272\320\270 \321\206\320\265 \320\274\320\276\320\266\320\273\320\270\320\262\320\276.')),

		('limit_reached', 'en',
		 'Account {account_id, number, ::group-off}: the limit of "{service}" for {month} is passed',
'In {month}, more than {limit, number} of "{service}" have been used, which is the limit that was agreed.
Nothing is switched off; what goes beyond the limit is charged as usual.
If you want another limit, please write to support.'),

		('limit_reached', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off}: \320\277\320\265\321\200\320\265\320\262\320\270\321\211\320\265\320\275\320\276 \320\273\321\226\320\274\321\226\321\202 \302\253{service}\302\273 \320\267\320\260 {month}'),
kb_utf8('\320\227\320\260 {month} \320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\320\276 \320\277\320\276\320\275\320\260\320\264 {limit, number} \302\253{service}\302\273: \321\202\320\260\320\272\320\270\320\271 \320\273\321\226\320\274\321\226\321\202 \320\261\321\203\320\273\320\276 \320\277\320\276\320\263\320\276\320\264\320\266\320\265\320\275\320\276.
\320\235\321\226\321\207\320\276\320\263\320\276 \320\275\320\265 \320\262\320\270\320\274\320\272\320\275\320\265\320\275\320\276; \320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\320\265 \320\277\320\276\320\275\320\260\320\264 \320\273\321\226\320\274\321\226\321\202 \320\276\320\277\320\273\320\260\321\207\321\203\321\224\321\202\321\214\321\201\321\217, \321\217\320\272 \320\267\320\262\320\270\321\207\320\260\320\271\320\275\320\276.
\320\257\320\272\321\211\320\276 \320\262\320\260\320\274 \320\277\320\276\321\202\321\200\321\226\320\261\320\265\320\275 \321\226\320\275\321\210\320\270\320\271 \320\273\321\226\320\274\321\226\321\202, \320\261\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \320\275\320\260\320\277\320\270\321\210\321\226\321\202\321\214 \321\201\320\273\321\203\320\266\320\261\321\226 \320\277\321\226\320\264\321\202\321\200\320\270\320\274\320\272\320\270.')),

		('alert', 'en',
		 'Account {account_id, number, ::group-off}: {alert, select, balance {the balance is {amount}} days {the balance lasts {number, plural, =0 {no longer} one {# more day} other {# more days}}} units {{number} of "{service}" used} other {{amount} used in {month}}}',
'{alert, select,
balance {The balance has fallen to {amount}; you are told at {threshold_amount}.}
days {At the pace of these days, the balance lasts {number, plural, =0 {no longer} one {# more day} other {# more days}}.}
units {In {month}, {number} of "{service}" have been used; you are told at {threshold}.}
other {In {month}, {amount} have been used so far; you are told at {threshold_amount}.}}
A payment in time keeps the access full.
Thank you!'),

		('alert', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off}: {alert, select, balance {\320\275\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 {amount}} days {\320\261\320\260\320\273\320\260\320\275\321\201\321\203 \320\262\320\270\321\201\321\202\320\260\321\207\320\270\321\202\321\214 {number, plural, =0 {\320\273\320\270\321\210\320\265 \320\275\320\260 \321\201\321\214\320\276\320\263\320\276\320\264\320\275\321\226} one {\321\211\320\265 \320\275\320\260 # \320\264\320\265\320\275\321\214} few {\321\211\320\265 \320\275\320\260 # \320\264\320\275\321\226} many {\321\211\320\265 \320\275\320\260 # \320\264\320\275\321\226\320\262} other {\321\211\320\265 \320\275\320\260 # \320\264\320\275\321\217}}} units {\320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\320\276 {number} \302\253{service}\302\273} other {\320\267\320\260 {month} \320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\320\276 {amount}}}'),
kb_utf8('{alert, select,
balance {\320\235\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 \320\267\320\260\320\273\320\270\321\210\320\270\320\273\320\276\321\201\321\217 {amount}; \320\274\320\270 \320\277\320\276\320\262\321\226\320\264\320\276\320\274\320\273\321\217\321\224\320\274\320\276 \320\277\321\200\320\276 \321\206\320\265, \320\272\320\276\320\273\320\270 \321\224 \320\275\320\265 \320\261\321\226\320\273\321\214\321\210\320\265 {threshold_amount}.}
days {\320\227 \321\202\320\260\320\272\320\270\320\274 \320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\320\275\321\217\320\274, \321\217\320\272 \321\202\320\265\320\277\320\265\321\200, \320\261\320\260\320\273\320\260\320\275\321\201\321\203 \320\262\320\270\321\201\321\202\320\260\321\207\320\270\321\202\321\214 {number, plural, =0 {\320\273\320\270\321\210\320\265 \320\275\320\260 \321\201\321\214\320\276\320\263\320\276\320\264\320\275\321\226} one {\321\211\320\265 \320\275\320\260 # \320\264\320\265\320\275\321\214} few {\321\211\320\265 \320\275\320\260 # \320\264\320\275\321\226} many {\321\211\320\265 \320\275\320\260 # \320\264\320\275\321\226\320\262} other {\321\211\320\265 \320\275\320\260 # \320\264\320\275\321\217}}.}
units {\320\227\320\260 {month} \320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\320\276 {number} \302\253{service}\302\273; \320\274\320\270 \320\277\320\276\320\262\321\226\320\264\320\276\320\274\320\273\321\217\321\224\320\274\320\276 \320\277\321\200\320\276 \321\206\320\265 \320\262\321\226\320\264 {threshold}.}
other {\320\227\320\260 {month} \320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\320\276 \320\262\320\266\320\265 {amount}; \320\274\320\270 \320\277\320\276\320\262\321\226\320\264\320\276\320\274\320\273\321\217\321\224\320\274\320\276 \320\277\321\200\320\276 \321\206\320\265 \320\262\321\226\320\264 {threshold_amount}.}}
\320\241\320\262\320\276\321\224\321\207\320\260\321\201\320\275\320\260 \321\201\320\277\320\273\320\260\321\202\320\260 \320\267\320\261\320\265\321\200\320\265\320\266\320\265 \320\264\320\276\321\201\321\202\321\203\320\277.
\320\224\321\217\320\272\321\203\321\224\320\274\320\276!')),

		('charge_upcoming', 'en',
		 'Account {account_id, number, ::group-off}: please pay {missing} by {charged_on}',
'On {charged_on}, about {amount} will be charged for {month}.
The balance is {balance}, so {missing} are missing.
A payment in time keeps the access full.'),

		('charge_upcoming', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off}: \320\261\321\203\320\264\321\214 \320\273\320\260\321\201\320\272\320\260, \321\201\320\277\320\273\320\260\321\202\321\226\321\202\321\214 {missing} \320\264\320\276 {charged_on}'),
kb_utf8('\320\227\320\260 {month} \320\261\321\203\320\264\320\265 \320\275\320\260\321\200\320\260\321\205\320\276\320\262\320\260\320\275\320\276 \320\261\320\273\320\270\320\267\321\214\320\272\320\276 {amount}, \321\226 \321\201\321\202\320\260\320\275\320\265\321\202\321\214\321\201\321\217 \321\206\320\265 {charged_on}
\320\235\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 {balance}, \321\202\320\276\320\266 \320\261\321\200\320\260\320\272\321\203\321\224 {missing}.
\320\241\320\262\320\276\321\224\321\207\320\260\321\201\320\275\320\260 \321\201\320\277\320\273\320\260\321\202\320\260 \320\267\320\261\320\265\321\200\320\265\320\266\320\265 \320\264\320\276\321\201\321\202\321\203\320\277.')),

		('credit_expiring', 'en',
		 'Account {account_id, number, ::group-off}: {amount} of your credit expires after {last_day}',
'{amount} of the credit on your balance can be used until {last_day}, that day included, and then expires.
What you use until then is paid with your credit before your money.
The balance is now {balance}.'),

		('credit_expiring', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off}: {amount} \320\261\320\276\320\275\321\203\321\201\321\226\320\262 \320\267\320\263\320\276\321\200\321\217\321\202\321\214 \320\277\321\226\321\201\320\273\321\217 {last_day}'),
kb_utf8('\320\235\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 \321\224 {amount} \320\261\320\276\320\275\321\203\321\201\321\226\320\262, \321\217\320\272\321\226 \320\274\320\276\320\266\320\275\320\260 \320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\321\202\320\270 \320\264\320\276 {last_day} \320\262\320\272\320\273\321\216\321\207\320\275\320\276; \320\277\320\276\321\202\321\226\320\274 \320\262\320\276\320\275\320\270 \320\267\320\263\320\276\321\200\321\217\321\202\321\214.
\320\222\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\320\265 \320\264\320\276 \321\202\320\276\320\263\320\276 \321\207\320\260\321\201\321\203 \320\261\321\203\320\264\320\265 \321\201\320\277\320\273\320\260\321\207\320\265\320\275\320\276 \320\277\320\265\321\200\320\265\320\264\321\203\321\201\321\226\320\274 \320\261\320\276\320\275\321\203\321\201\320\260\320\274\320\270.
\320\227\320\260\321\200\320\260\320\267 \320\275\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 {balance}.')),

		('contract_ending', 'en',
		 'Account {account_id, number, ::group-off}: the contract ends on {ends_on}',
'The contract ends with {ends_on}. Until then the account works as before, and an owner can take the end back.
The day after, what has been used until then is charged, and nothing any more. The balance is now {balance}{in_debt, select, true {, so {amount_due} is to be paid} other {}}.
Money that you have paid and not used up is then paid back. Owners and administrators can go on reading the history.'),

		('contract_ending', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off}: \320\276\321\201\321\202\320\260\320\275\320\275\321\226\320\271 \320\264\320\265\320\275\321\214 \320\264\320\276\320\263\320\276\320\262\320\276\321\200\321\203 {ends_on}'),
kb_utf8('\320\236\321\201\321\202\320\260\320\275\320\275\321\226\320\271 \320\264\320\265\320\275\321\214 \320\264\320\276\320\263\320\276\320\262\320\276\321\200\321\203: {ends_on} \320\224\320\276 \320\271\320\276\320\263\320\276 \320\272\321\226\320\275\321\206\321\217 \320\272\320\260\320\261\321\226\320\275\320\265\321\202 \320\277\321\200\320\260\321\206\321\216\321\224, \321\217\320\272 \321\226 \321\200\320\260\320\275\321\226\321\210\320\265, \321\226 \320\262\320\273\320\260\321\201\320\275\320\270\320\272 \320\274\320\276\320\266\320\265 \320\262\321\226\320\264\320\272\320\273\320\270\320\272\320\260\321\202\320\270 \320\267\320\260\320\262\320\265\321\200\321\210\320\265\320\275\320\275\321\217.
\320\235\320\260\321\201\321\202\321\203\320\277\320\275\320\276\320\263\320\276 \320\264\320\275\321\217 \320\261\321\203\320\264\320\265 \320\275\320\260\321\200\320\260\321\205\320\276\320\262\320\260\320\275\320\276 \320\277\320\273\320\260\321\202\321\203 \320\267\320\260 \320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\320\265 \320\264\320\276 \321\202\320\276\320\263\320\276 \321\207\320\260\321\201\321\203, \320\260 \320\277\320\276\321\202\321\226\320\274 \321\203\320\266\320\265 \320\275\321\226\321\207\320\276\320\263\320\276. \320\227\320\260\321\200\320\260\320\267 \320\275\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 {balance}{in_debt, select, true {, \320\276\321\202\320\266\320\265 \321\201\320\273\321\226\320\264 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 {amount_due}} other {}}.
\320\241\320\277\320\273\320\260\321\207\320\265\320\275\321\226 \320\271 \320\275\320\265 \320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\321\226 \320\263\321\200\320\276\321\210\321\226 \321\202\320\276\320\264\321\226 \320\261\321\203\320\264\320\265 \320\277\320\276\320\262\320\265\321\200\320\275\321\203\321\202\320\276. \320\222\320\273\320\260\321\201\320\275\320\270\320\272\320\270 \320\271 \320\260\320\264\320\274\321\226\320\275\321\226\321\201\321\202\321\200\320\260\321\202\320\276\321\200\320\270 \320\271 \320\275\320\260\320\264\320\260\320\273\321\226 \320\261\320\260\321\207\320\270\321\202\320\270\320\274\321\203\321\202\321\214 \321\226\321\201\321\202\320\276\321\200\321\226\321\216.')),

		('contract_continued', 'en',
		 'Account {account_id, number, ::group-off}: the contract goes on',
'The contract does not end on {ends_on}: the end has been taken back.
The account works as before, and is charged each month.
The balance is now {balance}{in_debt, select, true {, so {amount_due} is to be paid} other {}}.'),

		('contract_continued', 'uk',
		 kb_utf8('\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \342\204\226{account_id, number, ::group-off}: \320\264\320\276\320\263\320\276\320\262\321\226\321\200 \320\264\321\226\321\224 \320\264\320\260\320\273\321\226'),
kb_utf8('\320\227\320\260\320\262\320\265\321\200\321\210\320\265\320\275\320\275\321\217 \320\264\320\276\320\263\320\276\320\262\320\276\321\200\321\203, \320\277\321\200\320\270\320\267\320\275\320\260\321\207\320\265\320\275\320\265 \320\275\320\260 {ends_on}, \320\262\321\226\320\264\320\272\320\273\320\270\320\272\320\260\320\275\320\276.
\320\232\320\260\320\261\321\226\320\275\320\265\321\202 \320\277\321\200\320\260\321\206\321\216\321\224, \321\217\320\272 \321\226 \321\200\320\260\320\275\321\226\321\210\320\265, \320\277\320\273\320\260\321\202\320\260 \320\275\320\260\321\200\320\260\321\205\320\276\320\262\321\203\321\224\321\202\321\214\321\201\321\217 \321\211\320\276\320\274\321\226\321\201\321\217\321\206\321\217.
\320\227\320\260\321\200\320\260\320\267 \320\275\320\260 \320\261\320\260\320\273\320\260\320\275\321\201\321\226 {balance}{in_debt, select, true {, \320\276\321\202\320\266\320\265 \321\201\320\273\321\226\320\264 \321\201\320\277\320\273\320\260\321\202\320\270\321\202\320\270 {amount_due}} other {}}.'))
	) AS t (kind, language, subject, body)
	-- what the database's encoding cannot hold is left out
	WHERE t.subject IS NOT NULL AND t.body IS NOT NULL;
COMMENT ON VIEW standard_template IS
'The built-in texts of notices, in English and, where the database''s encoding can hold it, in Ukrainian (N4)';
COMMENT ON COLUMN standard_template.kind IS 'The kind of notice';
COMMENT ON COLUMN standard_template.language IS '"en" or "uk"';
COMMENT ON COLUMN standard_template.subject IS 'Pattern of the subject, one line';
COMMENT ON COLUMN standard_template.body IS 'Pattern of the text';

CREATE TABLE kbilling.notice_template (
	policy   kb_text NOT NULL DEFAULT 'standard' REFERENCES policy,
	kind     kb_notice_kind NOT NULL,
	language kb_text NOT NULL CHECK (language = pg_catalog.lower(language)),
	subject  kb_text NOT NULL,
	body     kb_text NOT NULL,
	PRIMARY KEY (policy, kind, language)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.notice_template', '');
COMMENT ON TABLE notice_template IS
'A service''s own texts of notices, which come before the built-in ones; written by kb_set_template';
COMMENT ON COLUMN notice_template.policy IS
'The text is for accounts whose tariff has this policy. One of "standard" is also for policies without a text of '
'their own';
COMMENT ON COLUMN notice_template.kind IS 'The kind of notice';
COMMENT ON COLUMN notice_template.language IS 'Language tag of BCP 47, in lower case';
COMMENT ON COLUMN notice_template.subject IS 'Pattern of the subject, one line';
COMMENT ON COLUMN notice_template.body IS 'Pattern of the text';

CREATE FUNCTION kbilling_internal.kb_template(policy text, kind kb_notice_kind, language text)
	RETURNS TABLE (language text, subject text, body text)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT t.language, t.subject, t.body
	FROM unnest(ARRAY[lower($3), split_part(lower($3), '-', 1), 'en']) WITH ORDINALITY AS wanted (language, n)
		JOIN (SELECT o.policy, o.kind, o.language, o.subject, o.body FROM notice_template o WHERE o.policy IN ($1, 'standard')
			  UNION ALL
			  SELECT NULL, s.kind, s.language, s.subject, s.body FROM standard_template s) t
			ON t.language = wanted.language AND t.kind = $2
	-- English last; own texts before standard's own, and those before built-in ones; the nearer language first
	ORDER BY wanted.n = 3, t.policy IS NULL, t.policy IS DISTINCT FROM $1, wanted.n
	LIMIT 1;
END;
COMMENT ON FUNCTION kb_template(text, kb_notice_kind, text) IS
'The text in force, and its language: the policy''s own text, that of the policy "standard", or the built-in one, '
'each in the language or in its first part ("uk" for "uk-UA"); if there is none, the same in English';

CREATE FUNCTION kbilling.kb_set_template(kind kb_notice_kind, language text, subject text, body text, policy text = 'standard')
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('kind, language, subject, body, policy', kind, language, subject, body, policy);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM policy p WHERE p.policy = kb_set_template.policy)
			THEN kb_raise('22023', format('policy "%s" does not exist', policy), NULL, 'Create it with kb_set_policy first.')
		WHEN subject !~ '\S' OR body !~ '\S'
			THEN kb_raise('22023', 'a notice must have a subject and a text', NULL, 'To drop a text of your own, call kb_drop_template.')
		WHEN subject ~ '[\n\r]'
			THEN kb_raise('22023', 'the subject of a notice must be one line')
		END;
	-- A slip is found now, not when the notice is due.
	SELECT kb_format_message(kb_set_template.subject, kb_set_template.language, k.example)
	FROM notice_kind k WHERE k.kind = kb_set_template.kind;
	SELECT kb_format_message(kb_set_template.body, kb_set_template.language, k.example)
	FROM notice_kind k WHERE k.kind = kb_set_template.kind;
	-- Two that set texts of one policy take turns.
	SELECT FROM policy p WHERE p.policy = kb_set_template.policy FOR NO KEY UPDATE;
	WITH old AS MATERIALIZED (
		SELECT to_jsonb(t) - 'policy' AS template FROM notice_template t
		WHERE (t.policy, t.kind, t.language) = (kb_set_template.policy, kb_set_template.kind, lower(kb_set_template.language))
	), new AS (
		INSERT INTO notice_template AS t (policy, kind, language, subject, body)
		VALUES (kb_set_template.policy, kb_set_template.kind, lower(kb_set_template.language), kb_set_template.subject,
				kb_set_template.body)
		ON CONFLICT ON CONSTRAINT notice_template_pkey DO UPDATE SET subject = excluded.subject, body = excluded.body
		RETURNING to_jsonb(t) - 'policy' AS template
	)
	INSERT INTO change_log (subject, policy, before, after)
	SELECT 'template', kb_set_template.policy, old.template, new.template FROM new LEFT JOIN old ON true
	WHERE new.template IS DISTINCT FROM old.template;
END;
COMMENT ON FUNCTION kb_set_template(kb_notice_kind, text, text, text, text) IS
'Sets a service''s own text for a kind of notice in a language, for the accounts of a policy. '
'Errors: 22023 for an unknown policy, a blank subject or text, a subject of two lines, a syntax error in a pattern, '
'and a fact that kbilling.notice_kind does not show';

CREATE FUNCTION kbilling.kb_drop_template(kind kb_notice_kind, language text, policy text = 'standard')
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('kind, language, policy', kind, language, policy);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM notice_template t
						 WHERE (t.policy, t.kind, t.language)
							 = (kb_drop_template.policy, kb_drop_template.kind, lower(kb_drop_template.language)))
			THEN kb_raise('22023', format('policy "%s" has no own text of %s in "%s"', policy, kind, language), NULL,
						  'Own texts are in kbilling.notice_template.')
		END;
	WITH old AS (
		DELETE FROM notice_template t
		WHERE (t.policy, t.kind, t.language) = (kb_drop_template.policy, kb_drop_template.kind, lower(kb_drop_template.language))
		RETURNING to_jsonb(t) - 'policy' AS template
	)
	INSERT INTO change_log (subject, policy, before)
	SELECT 'template', kb_drop_template.policy, old.template FROM old;
END;
COMMENT ON FUNCTION kb_drop_template(kb_notice_kind, text, text) IS
'Drops a service''s own text for a kind of notice in a language, so that the text of the policy "standard" or the '
'built-in one holds again. '
'Errors: 22023 if there is none';
/*
 * The journal: entries, and what keeps them whole.
 */

CREATE TYPE kbilling.kb_entry_kind AS ENUM
	('topup', 'bonus', 'charge', 'refund', 'chargeback', 'adjustment', 'writeoff', 'reversal', 'purchase', 'credit', 'expiry');
COMMENT ON TYPE kb_entry_kind IS 'What an entry is: why it moved the balance (J6)';

-- No foreign key to account: an account is never deleted (see account_ledger
-- below), and a check for each entry would be paid for on every posting; none
-- to payment_method for the same reason. kb_check looks.
CREATE TABLE kbilling.entry (
	account_id    bigint NOT NULL,
	seq           bigint NOT NULL,
	posted_at     timestamptz NOT NULL,
	amount        kb_money NOT NULL,
	balance_after kb_money NOT NULL,
	bonus_after   kb_money NOT NULL,
	paid          kb_money,
	ref_seq       bigint,
	effective_on  date NOT NULL,
	debt_since    date,
	period        date,
	kind          kb_entry_kind NOT NULL,
	method        text,
	key           kb_text NOT NULL,
	member        kb_text,
	posted_by     text NOT NULL,
	memo          kb_text,
	hash          bytea NOT NULL,
	lines         kb_lines,
	lots          kb_lot[],
	PRIMARY KEY (account_id, seq),
	UNIQUE (account_id, key)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.entry', '');
COMMENT ON TABLE entry IS 'The journal: append-only (J1), and written by the journal''s own functions alone (J2)';
COMMENT ON COLUMN entry.account_id IS 'The account';
COMMENT ON COLUMN entry.seq IS 'Runs 1, 2, 3, ... within the account (J2)';
COMMENT ON COLUMN entry.posted_at IS 'When it was written';
COMMENT ON COLUMN entry.amount IS 'By how much it moved the balance';
COMMENT ON COLUMN entry.balance_after IS 'The balance after it';
COMMENT ON COLUMN entry.bonus_after IS 'Unspent bonus and credit after it';
COMMENT ON COLUMN entry.paid IS
'What the customer of a top-up was charged, perhaps in another currency (T8); of a refund or chargeback, what went back of '
'that, below zero; NULL if that is the amount';
COMMENT ON COLUMN entry.ref_seq IS
'The entry that it belongs to or takes back: a bonus belongs to a top-up; what goes of a bonus, or comes back, to the '
'bonus; a chargeback or a reversal takes an entry back, a refund the top-up that was named';
COMMENT ON COLUMN entry.effective_on IS 'Local date on which it takes effect (C5)';
COMMENT ON COLUMN entry.debt_since IS 'First day of the debt after it (S1); NULL if there is none';
COMMENT ON COLUMN entry.period IS 'The month of a charge, by its first day';
COMMENT ON COLUMN entry.kind IS 'What it is (J6)';
COMMENT ON COLUMN entry.method IS 'How a top-up was paid: a row of kbilling.payment_method (T2)';
COMMENT ON COLUMN entry.key IS
'The reference under which it is posted once (J3). Keys that begin with "kb:" are kbilling''s own';
COMMENT ON COLUMN entry.member IS 'The member who topped up, if one is known';
COMMENT ON COLUMN entry.posted_by IS
'The database role that posted it: the one that the session had logged in as, or chosen by SET ROLE';
COMMENT ON COLUMN entry.memo IS 'The reason, in words';
COMMENT ON COLUMN entry.hash IS 'SHA-256 over the entry and the hash before it (J5)';
COMMENT ON COLUMN entry.lines IS
'How a charge is made up (C7), see kbilling.charge_line; or, of a refund or chargeback, how much of which top-up it '
'takes back ("topup", "amount"). A refund may be "forced"; the amount of a chargeback may have been "named". A '
'reversal has the same lines with opposite amounts';

COMMENT ON COLUMN entry.lots IS
'How it moved credit that expires, or has a priority of its own: what it gave, spent or took (G2); NULL if it moved none';

CREATE FUNCTION kbilling_internal.kb_shown_reference(key text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN key NOT LIKE 'kb:%' THEN key END;
COMMENT ON FUNCTION kb_shown_reference(text) IS 'The key of an entry, if it is a caller''s reference; NULL for kbilling''s own (J3)';

-- J1, J2: statement-level, so that they cost nothing for each row; and row-level too, where no posting pays for that,
-- because a statement on a parent table fires only these.  ALWAYS, so that session_replication_role does not lift them.
CREATE FUNCTION kbilling_internal.kb_refuse_rewrite() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_refuse_rewrite';
COMMENT ON FUNCTION kb_refuse_rewrite() IS 'Trigger function: raises KB007 unless the journal itself is writing';

CREATE TRIGGER entry_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_immutable;

CREATE TRIGGER entry_immutable_row BEFORE UPDATE OR DELETE ON entry
	FOR EACH ROW EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_immutable_row;

-- An entry is inserted by the journal, or brought back by a restore.
CREATE TRIGGER entry_insert BEFORE INSERT ON entry
	FOR EACH ROW EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_insert;

CREATE TRIGGER account_ledger
	BEFORE UPDATE OF account_id, created_at, balance, unspent_bonus, lots, last_seq, last_hash, debt_since, charged_through
	OR DELETE OR TRUNCATE ON account
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE account ENABLE ALWAYS TRIGGER account_ledger;

CREATE TRIGGER account_ledger_row BEFORE DELETE ON account
	FOR EACH ROW EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE account ENABLE ALWAYS TRIGGER account_ledger_row;

-- J9
CREATE TRIGGER change_log_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON change_log
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE change_log ENABLE ALWAYS TRIGGER change_log_immutable;

CREATE TRIGGER change_log_immutable_row BEFORE UPDATE OR DELETE ON change_log
	FOR EACH ROW EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE change_log ENABLE ALWAYS TRIGGER change_log_immutable_row;

-- J7
CREATE FUNCTION kbilling_internal.kb_refuse_drop() RETURNS event_trigger
	LANGUAGE c SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_refuse_drop';
COMMENT ON FUNCTION kb_refuse_drop() IS
'Event trigger function: refuses to drop the extension, its schema or its owner''s objects while the journal has '
'entries, unless kbilling.allow_drop is on (J7)';

CREATE EVENT TRIGGER kbilling_refuse_drop ON ddl_command_start
	WHEN TAG IN ('DROP EXTENSION', 'DROP SCHEMA', 'DROP OWNED')
	EXECUTE FUNCTION kb_refuse_drop();
ALTER EVENT TRIGGER kbilling_refuse_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER kbilling_refuse_drop IS 'Keeps the journal from being dropped by mistake (J7)';
/*
 * Bonus tiers: what paying ahead earns (T5).
 */

CREATE TABLE kbilling.bonus_tier (
	tariff     kb_text NOT NULL REFERENCES tariff,
	min_amount kb_money NOT NULL CHECK (min_amount >= 0),
	from_date  date NOT NULL DEFAULT '-infinity',
	to_date    date NOT NULL DEFAULT 'infinity',
	percent    numeric NOT NULL CHECK (percent >= 0 AND percent <= 1000),
	valid_days integer CHECK (valid_days BETWEEN 1 AND 36500),
	PRIMARY KEY (tariff, min_amount, from_date),
	CHECK (from_date < to_date)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.bonus_tier', '');
COMMENT ON TABLE bonus_tier IS 'Tiers of the bonus for paying ahead (T5)';
COMMENT ON COLUMN bonus_tier.tariff IS 'The tariff';
COMMENT ON COLUMN bonus_tier.min_amount IS
'The tier is reached if the part of a top-up that is left after the debt is at least this';
COMMENT ON COLUMN bonus_tier.from_date IS 'First day on which the tier holds';
COMMENT ON COLUMN bonus_tier.to_date IS 'The day after the last on which it holds';
COMMENT ON COLUMN bonus_tier.percent IS
'The bonus, in percent of that part, from 0 to 1000. At 0, a top-up that reaches the tier earns none';

COMMENT ON COLUMN bonus_tier.valid_days IS
'For how many days its bonus is good, the day on which it is earned among them (G1); NULL: it never expires';

CREATE FUNCTION kbilling.kb_set_bonus(tariff text, min_amount kb_money, percent numeric,
									  from_date date = '-infinity', to_date date = 'infinity', valid_days integer = NULL)
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('min_amount, percent, from_date, to_date', min_amount, percent, from_date, to_date);
	SELECT kb_require_tariff(tariff);
	SELECT CASE
		WHEN min_amount < 0 OR percent NOT BETWEEN 0 AND 1000
			THEN kb_raise('22023', format('a bonus of %s %% from %s is out of range', percent, min_amount), NULL,
						  'min_amount is zero or more, percent 0 to 1000.')
		WHEN valid_days NOT BETWEEN 1 AND 36500
			THEN kb_raise('22023', format('a bonus cannot be good for %s days', valid_days), NULL,
						  'valid_days is from 1 to 36500, or NULL for a bonus that never expires.')
		WHEN from_date >= to_date
			THEN kb_raise('22008', 'to_date must be after from_date')
		WHEN t.currency <> kb_currency(min_amount)
			THEN kb_raise('KB002', format('tariff "%s" is in %s, but the bonus tier is in %s',
										  t.tariff, t.currency, kb_currency(min_amount)),
						  'A tariff has one currency.', 'Give min_amount in it.')
		END
	FROM tariff t WHERE t.tariff = kb_set_bonus.tariff;
	-- Two that set tiers of one tariff take turns.
	SELECT FROM tariff t WHERE t.tariff = kb_set_bonus.tariff FOR NO KEY UPDATE;
	WITH old AS MATERIALIZED (
		SELECT to_jsonb(b) - 'tariff' AS tier FROM bonus_tier b
		WHERE (b.tariff, b.min_amount, b.from_date) = (kb_set_bonus.tariff, kb_set_bonus.min_amount, kb_set_bonus.from_date)
	), new AS (
		INSERT INTO bonus_tier AS b (tariff, min_amount, from_date, to_date, percent, valid_days)
		VALUES (kb_set_bonus.tariff, kb_set_bonus.min_amount, kb_set_bonus.from_date, kb_set_bonus.to_date, kb_set_bonus.percent,
				kb_set_bonus.valid_days)
		ON CONFLICT (tariff, min_amount, from_date) DO UPDATE
			SET to_date = excluded.to_date, percent = excluded.percent, valid_days = excluded.valid_days
		RETURNING to_jsonb(b) - 'tariff' AS tier
	)
	INSERT INTO change_log (subject, tariff, before, after)
	SELECT 'bonus_tier', kb_set_bonus.tariff, old.tier, new.tier FROM new LEFT JOIN old ON true
	WHERE new.tier IS DISTINCT FROM old.tier;
END;
COMMENT ON FUNCTION kb_set_bonus(text, kb_money, numeric, date, date, integer) IS
'Sets the bonus tier that begins at "min_amount" (T5). It holds from "from_date" to the day before "to_date"; its '
'bonus is good for "valid_days", the day on which it is earned among them (G1); without them, for ever, though the tier had some '
'before. '
'Errors: KB012 for an unknown tariff, KB002 for another currency, 22023 for numbers out of range, 22008 if it ends before it begins';

CREATE FUNCTION kbilling_internal.kb_bonus(amount kb_money, percent numeric) RETURNS kb_money
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN amount * (percent / 100);
COMMENT ON FUNCTION kb_bonus(kb_money, numeric) IS
'So many percent of the amount, rounded half away from zero (T5, M4)';
/*
 * Notices: what is written because of a stage, and how workers empty the outbox (N2, N4).
 */

-- An account's stage on its local date, and the one before the last change; the sweep comes on that day, or later.
CREATE FUNCTION kbilling_internal.kb_stage_changes(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, balance kb_money, debt_since date, deferred_until date, today date,
				   stage_before kb_stage, stage kb_stage, next_on date, occasion text, facts jsonb)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.account_id, a.balance, a.debt_since, a.deferred_until, d.today,
		   kb_stage(a.debt_since, a.deferred_until, b.day, o.remind_day, o.restrict_day, o.block_day),
		   s.stage, least(n.next_on, t.next_on),
		   concat_ws(' ', s.stage, 'since', to_char(a.debt_since, 'YYYY-MM-DD'), 'by', p.policy,
					 'deferred until ' || to_char(a.deferred_until, 'YYYY-MM-DD')),
		   jsonb_build_object(
			   'balance', a.balance, 'amount_due', kb_amount_due(a.balance), 'next_stage_on', n.next_on,
			   'has_ended', coalesce(a.ends_on < d.today, false),
			   'next_stage', coalesce(n.next_stage::text, 'none'))
		   || CASE s.stage
			   WHEN 'remind' THEN jsonb_build_object('day', d.today - a.debt_since + 1, 'days', coalesce(n.next_on - d.today, 0))
			   ELSE jsonb_build_object('stage', s.stage)
			   END
	FROM unnest($1) i (account_id)
	JOIN account a ON a.account_id = i.account_id
	CROSS JOIN LATERAL (SELECT kb_account_date($2, a.time_zone) AS today) d
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	CROSS JOIN LATERAL (SELECT kb_stage(a.debt_since, a.deferred_until, d.today,
										p.remind_day, p.restrict_day, p.block_day) AS stage) s
	LEFT JOIN LATERAL kb_planned_stage(a.account_id, a.debt_since, a.deferred_until, d.today, s.stage) n ON true
	-- the policy may have been another one the day before, or become another one
	CROSS JOIN LATERAL (SELECT least(a.stage_check_on, d.today) - 1 AS day) b
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, coalesce(b.day, d.today)) o
	CROSS JOIN LATERAL (SELECT CASE WHEN a.debt_since IS NOT NULL THEN min(x.from_date) END AS next_on FROM account_tariff x
						WHERE x.account_id = a.account_id AND x.from_date > d.today) t
	WHERE a.state IN ('active', 'closing');
END;
COMMENT ON FUNCTION kb_stage_changes(bigint[], timestamptz) IS
'For accounts that are not deleted: the stage at the moment, the stage before it, and the facts for a notice of the '
'change';

-- Without stage_before: changes that time, or another policy, has made.  The change to grace is told by the notice
-- of what made the debt.
CREATE FUNCTION kbilling_internal.kb_notify_stages(account_ids bigint[], at timestamptz, stage_before kb_stage = NULL, occasion text = NULL)
	RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH news AS (
		SELECT x.account_id, x.balance, x.debt_since, x.deferred_until, x.today, x.next_on, coalesce($4, x.occasion) AS occasion,
			   k.kind, x.facts || CASE x.stage WHEN 'remind' THEN '{}'
				   ELSE jsonb_build_object('stage_before', coalesce($3, x.stage_before)) END AS facts,
			   x.stage <> coalesce($3, x.stage_before) AND ($3 IS NOT NULL OR NOT (x.stage_before = 'ok' AND x.stage = 'grace'))
			   AND NOT EXISTS (SELECT FROM notice n
							   WHERE n.account_id = x.account_id AND n.kind = k.kind AND n.occasion = coalesce($4, x.occasion)) AS is_new
		FROM kb_stage_changes($1, $2) x
		CROSS JOIN LATERAL (SELECT CASE x.stage WHEN 'remind' THEN 'payment_reminder' ELSE 'stage_changed' END::kb_notice_kind AS kind) k
	), looked AS (
		UPDATE account a
		-- a change by time that is not told here is left for the sweep to tell
		SET stage_check_on = CASE WHEN $3 IS NOT NULL AND NOT x.is_new AND a.stage_check_on <= x.today THEN a.stage_check_on
				ELSE x.next_on END,
			last_notice_no = a.last_notice_no + x.is_new::integer
		FROM news x
		WHERE a.account_id = x.account_id AND a.state IN ('active', 'closing')
			-- what was paid or deferred meanwhile has a notice of its own, and the next sweep tells the rest
			AND a.balance = x.balance
			AND a.debt_since IS NOT DISTINCT FROM x.debt_since AND a.deferred_until IS NOT DISTINCT FROM x.deferred_until
		RETURNING a.account_id, a.last_notice_no, x.kind, x.occasion, x.facts, x.is_new
	), written AS (
		INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, facts)
		SELECT l.account_id, l.last_notice_no, $2, $2, l.kind, l.occasion, l.facts FROM looked l WHERE l.is_new
		RETURNING notice_no
	)
	SELECT kb_wake(count(*)) FROM written;
END;
COMMENT ON FUNCTION kb_notify_stages(bigint[], timestamptz, kb_stage, text) IS
'Writes a notice for each of the accounts whose stage has changed, by itself or from the one that is given, and '
'returns how many (N3, N5). It also sets the day on which the stage will change next';

-- This and kb_recipients are tables, so that they are planned with the statement that asks.
CREATE FUNCTION kbilling_internal.kb_notice_facts(notice notice) RETURNS TABLE (facts jsonb)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT jsonb_build_object('account_id', ($1).account_id) || coalesce(($1).facts, (
		SELECT jsonb_build_object(
				   'balance', l.balance_after, 'in_debt', l.balance_after < 0, 'amount_due', kb_amount_due(l.balance_after),
				   'stage', ($1).stage, 'has_ended', (
					   SELECT coalesce(a.ends_on < kb_account_date(($1).written_at, a.time_zone), false) FROM account a
					   WHERE a.account_id = ($1).account_id))
			|| CASE ($1).kind
				WHEN 'topup_received' THEN jsonb_build_object(
					'amount', e.amount, 'bonus', coalesce(b.amount, z.zero), 'has_bonus', b.seq IS NOT NULL,
					'stage_before', ($1).stage_before, 'has_paid', e.paid IS NOT NULL, 'paid', coalesce(e.paid, e.amount),
					'has_rate', r.rate IS NOT NULL, 'rate', coalesce(r.rate, 1))
				WHEN 'topup_after_deletion' THEN jsonb_build_object('amount', e.amount, 'reference', e.key)
				ELSE jsonb_build_object(
					'month', to_char(e.period, 'YYYY-MM'), 'amount', - e.amount,
					'is_credit', e.amount > 0, 'credit', greatest(e.amount, z.zero))
				END
		FROM entry e
		LEFT JOIN entry b ON b.account_id = e.account_id AND b.seq = e.seq + 1 AND b.kind = 'bonus' AND b.ref_seq = e.seq
		CROSS JOIN LATERAL (SELECT coalesce(b.balance_after, e.balance_after) AS balance_after) l
		CROSS JOIN LATERAL (SELECT e.amount - e.amount AS zero) z
		CROSS JOIN LATERAL (SELECT kb_exchange_rate(e.paid, e.amount) AS rate) r
		WHERE e.account_id = ($1).account_id AND e.seq = ($1).occasion::bigint), '{}');
END;
COMMENT ON FUNCTION kb_notice_facts(notice) IS
'The facts for a notice''s text: those in its row, or those of its entry as they were then; kbilling.notice_kind '
'lists them';

CREATE FUNCTION kbilling_internal.kb_recipients(account_id bigint, kind kb_notice_kind) RETURNS TABLE (recipients jsonb)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT coalesce(jsonb_agg(jsonb_build_object('member', m.member, 'email', m.email, 'language', coalesce(m.language, p.language))
							  ORDER BY m.role DESC, m.member), '[]')
	FROM account a
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date(kb_now(), a.time_zone)) p
	JOIN member m ON m.account_id = a.account_id
	WHERE a.account_id = $1 AND m.email IS NOT NULL AND $2 <> 'topup_after_deletion'
		AND (m.role = 'owner'
			 OR m.role = 'admin' AND $2 IN ('stage_changed', 'payment_reminder', 'limit_reached', 'alert', 'charge_upcoming',
																  'credit_expiring'));
END;
COMMENT ON FUNCTION kb_recipients(bigint, kb_notice_kind) IS
'Who gets a notice, as an array of member, email and language: owners with an email, and also admins if it asks to '
'pay or says what they may do; nobody if it is for the application';

CREATE FUNCTION kbilling.kb_take_notices(max integer, lease interval)
	RETURNS TABLE (account_id bigint, notice_no bigint, kind kb_notice_kind, written_at timestamptz, tries integer,
				   leased_until timestamptz, facts jsonb, recipients jsonb)
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_take_notices';
COMMENT ON FUNCTION kb_take_notices(integer, interval) IS
'Gives a worker up to "max" (1 to 1000) of the notices that are due, those that have waited longest first, under a '
'lease of at most a day: until it ends, no other worker gets them (N2). The worker commits, delivers them, and calls '
'kb_ack_notice or kb_fail_notice for each. "recipients" is an array of member, email and language. It is empty if '
'nobody has an email, and for "account_purged" and "topup_after_deletion", which are for the application. '
'If nothing is due, and the session has said LISTEN kbilling before, NOTIFY kbilling wakes it for the next notice (N1). '
'Errors: 22023 if "max" or the lease is out of range';

CREATE FUNCTION kbilling_internal.kb_require_notice(account_id bigint, notice_no bigint) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT kb_require_not_null('account_id, notice_no', $1, $2);
	SELECT kb_require_readable($1);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM notice n WHERE n.account_id = $1 AND n.notice_no = $2)
			THEN kb_raise('22023', format('account %s has no notice %s', $1, $2), NULL,
						  'Pass the account_id and notice_no that kb_take_notices gave.')
		END;
END;
COMMENT ON FUNCTION kb_require_notice(bigint, bigint) IS
'Raises 22023 if there is no such notice, KB014 if the account is on another shard';

CREATE FUNCTION kbilling.kb_ack_notice(account_id bigint, notice_no bigint) RETURNS boolean
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_owned($1);
	SELECT kb_require_notice($1, $2);
	WITH delivered AS (
		UPDATE notice n SET delivered_at = kb_now(), due_at = NULL, parked_at = NULL, leased_until = NULL
		WHERE n.account_id = $1 AND n.notice_no = $2 AND n.delivered_at IS NULL
		RETURNING notice_no
	)
	SELECT EXISTS (SELECT FROM delivered);
END;
COMMENT ON FUNCTION kb_ack_notice(bigint, bigint) IS
'Notes that a notice was delivered, even if its lease has ended; false if that was noted before. '
'Errors: 22023 if there is no such notice';

CREATE FUNCTION kbilling.kb_fail_notice(account_id bigint, notice_no bigint, error text, tries integer = NULL) RETURNS timestamptz
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_owned($1);
	SELECT kb_require_notice($1, $2);
	SELECT kb_require_not_null('error', error);
	UPDATE notice n
	SET due_at = CASE WHEN n.tries < kb_max_tries() THEN kb_now() + interval '1 minute' * 2 ^ (n.tries - 1) END,
		parked_at = CASE WHEN n.tries >= kb_max_tries() THEN kb_now() END,
		leased_until = NULL,
		-- the cut may turn digits into a card number
		last_error = kb_mask_card_numbers(left(kb_mask_card_numbers(error), 500))
	WHERE n.account_id = $1 AND n.notice_no = $2 AND n.due_at IS NOT NULL AND n.tries > 0
		AND n.tries = coalesce(kb_fail_notice.tries, n.tries);
	SELECT n.due_at FROM notice n WHERE n.account_id = $1 AND n.notice_no = $2;
END;
COMMENT ON FUNCTION kb_fail_notice(bigint, bigint, text, integer) IS
'Notes that a notice could not be delivered, and why, with card numbers masked (T10), and returns when it is due '
'again: after 1, 2, 4, ... 256 minutes. NULL if it is parked, as it is after the tenth try (N2), or delivered. '
'With "tries" as kb_take_notices gave it, a worker whose lease has ended does not disturb the worker that has the notice now. '
'Errors: 22023 if there is no such notice';

CREATE FUNCTION kbilling.kb_retry_notice(account_id bigint, notice_no bigint) RETURNS boolean
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_owned($1);
	SELECT kb_require_notice($1, $2);
	WITH again AS (
		UPDATE notice n SET due_at = kb_now(), parked_at = NULL, tries = 0
		WHERE n.account_id = $1 AND n.notice_no = $2 AND n.parked_at IS NOT NULL
		RETURNING notice_no
	)
	SELECT kb_wake(count(*)) > 0 FROM again;
END;
COMMENT ON FUNCTION kb_retry_notice(bigint, bigint) IS
'Puts a parked notice back into the queue, for ten tries more; false if it is not parked. '
'Errors: 22023 if there is no such notice';

CREATE TYPE kbilling.kb_notice_text AS (language text, subject text, body text);
COMMENT ON TYPE kb_notice_text IS 'A notice in words';
COMMENT ON COLUMN kb_notice_text.language IS
'The language of the text: the one that was asked for, if there is a text in it';
COMMENT ON COLUMN kb_notice_text.subject IS 'One line';
COMMENT ON COLUMN kb_notice_text.body IS 'Plain text';

CREATE FUNCTION kbilling.kb_render_notice(account_id bigint, notice_no bigint, language text = NULL) RETURNS kb_notice_text
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_notice($1, $2);
	SELECT ROW(t.language, kb_format_message(t.subject, t.language, f.facts),
			   kb_format_message(t.body, t.language, f.facts))::kb_notice_text
	FROM notice n
	JOIN account a ON a.account_id = n.account_id
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date(kb_now(), a.time_zone)) p
	CROSS JOIN LATERAL kb_notice_facts(n) f
	CROSS JOIN LATERAL kb_recipients(n.account_id, n.kind) r
	CROSS JOIN LATERAL kb_template(p.policy, n.kind, coalesce($3, r.recipients -> 0 ->> 'language', p.language)) t
	WHERE n.account_id = $1 AND n.notice_no = $2;
END;
COMMENT ON FUNCTION kb_render_notice(bigint, bigint, text) IS
'The text of a notice (N4) in the given language, else in that of its first recipient, else in that of the policy; '
'in English if there is no text in that language. '
'Errors: 22023 if there is no such notice';

CREATE VIEW kbilling.notice_queue WITH (security_invoker) AS
	SELECT n.account_id, n.notice_no, n.kind,
		   CASE
			   WHEN n.parked_at IS NOT NULL THEN 'parked'
			   WHEN n.leased_until > kb_now() THEN 'leased'
			   WHEN n.due_at > kb_now() THEN 'paused'
			   ELSE 'waiting'
		   END AS status, n.written_at, n.due_at, n.tries, n.last_error
	FROM notice n
	WHERE (n.due_at IS NOT NULL OR n.parked_at IS NOT NULL) AND kb_is_owned(n.account_id);
COMMENT ON VIEW notice_queue IS 'The notices that are not delivered yet';
COMMENT ON COLUMN notice_queue.account_id IS 'The account';
COMMENT ON COLUMN notice_queue.notice_no IS 'Number of the notice within the account';
COMMENT ON COLUMN notice_queue.kind IS 'What it is about';
COMMENT ON COLUMN notice_queue.status IS
'"waiting"; "leased" to a worker; "paused" after a failed try; "parked" after ten';
COMMENT ON COLUMN notice_queue.written_at IS 'When it was written';
COMMENT ON COLUMN notice_queue.due_at IS 'When a worker may take it';
COMMENT ON COLUMN notice_queue.tries IS 'How many times a worker has taken it';
COMMENT ON COLUMN notice_queue.last_error IS 'Why it could not be delivered';
/*
 * Deferrals: support gives a debtor time (S4).
 */

CREATE TABLE kbilling.deferral (
	account_id     bigint NOT NULL REFERENCES account,
	deferral_no    integer NOT NULL,
	granted_at     timestamptz NOT NULL,
	deferred_until date NOT NULL CHECK (isfinite(deferred_until)),
	granted_by     kb_text NOT NULL CHECK (granted_by <> ''),
	reason         kb_text NOT NULL CHECK (reason <> ''),
	PRIMARY KEY (account_id, deferral_no)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.deferral', '');
COMMENT ON TABLE deferral IS 'The deferrals that support has granted (S4); the last one of an account holds';
COMMENT ON COLUMN deferral.account_id IS 'The account';
COMMENT ON COLUMN deferral.deferral_no IS 'Runs 1, 2, 3, ... within the account';
COMMENT ON COLUMN deferral.granted_at IS 'When it was granted';
COMMENT ON COLUMN deferral.deferred_until IS 'Last day on which the stage is at most grace';
COMMENT ON COLUMN deferral.granted_by IS 'Who granted it';
COMMENT ON COLUMN deferral.reason IS 'Why';

CREATE TRIGGER deferral_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON deferral
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE deferral ENABLE ALWAYS TRIGGER deferral_immutable;

CREATE TRIGGER deferral_immutable_row BEFORE UPDATE OR DELETE ON deferral
	FOR EACH ROW EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE deferral ENABLE ALWAYS TRIGGER deferral_immutable_row;

CREATE FUNCTION kbilling_internal.kb_put_deferral(account_id bigint, until date, granted_by text, reason text, stage_before kb_stage)
	RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	INSERT INTO deferral (account_id, deferral_no, granted_at, deferred_until, granted_by, reason)
	SELECT $1, coalesce(max(d.deferral_no), 0) + 1, kb_now(), $2, $3, $4 FROM deferral d WHERE d.account_id = $1;
	UPDATE account a SET deferred_until = $2 WHERE a.account_id = $1;
	SELECT kb_notify_stages(ARRAY[$1], kb_now(), $5, 'deferral ' || max(d.deferral_no)) FROM deferral d WHERE d.account_id = $1;
END;
COMMENT ON FUNCTION kb_put_deferral(bigint, date, text, text, kb_stage) IS
'Writes what kb_defer has checked, and tells of a stage that is another than before by it; the account is locked';

CREATE FUNCTION kbilling.kb_defer(account_id bigint, until date, granted_by text, reason text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('until, granted_by, reason', until, granted_by, reason);
	SELECT CASE WHEN granted_by = '' OR reason = '' THEN kb_raise('22023', 'granted_by and reason must not be empty') END;
	SELECT kb_lock_account(account_id);
	SELECT CASE
		WHEN NOT isfinite(until)
			THEN kb_raise('22008', 'until must be finite')
		WHEN until < kb_today(account_id)
			THEN kb_raise('22008', 'a deferral cannot end in the past', format('Today is %s.', to_char(kb_today(account_id), 'YYYY-MM-DD')))
		END;
	SELECT kb_put_deferral(x.account_id, until, granted_by, reason, x.stage)
	FROM kb_stage_changes(ARRAY[kb_defer.account_id], kb_now()) x;
END;
COMMENT ON FUNCTION kb_defer(bigint, date, text, text) IS
'Keeps the stage at most at grace until the end of a local date (S4). A later call replaces an earlier one. '
'Errors: KB001, KB010; 22008 for a date that is in the past, or infinite';
/*
 * Where an account stands now: balance and stage.  Computed, never stored (S5).
 */

-- A tariff that is to come is in the account's row, so then that of today is in its history.  Today is computed once for many
-- accounts: OFFSET 0 keeps it from being computed wherever it is used.
CREATE VIEW kbilling_internal.account_now WITH (security_invoker) AS
	SELECT a.account_id, a.state, a.balance, a.unspent_bonus AS bonus,
		   kb_stage(a.debt_since, a.deferred_until, d.today, s.remind_day, s.restrict_day, s.block_day) AS stage,
		   a.debt_since, a.deferred_until, d.today,
		   kb_stage(a.debt_since, a.deferred_until, n.next_on, s.remind_day, s.restrict_day, s.block_day) AS next_stage,
		   n.next_on AS next_stage_on,
		   a.debt_since IS NOT NULL AND a.tariff_from > d.today AS has_plan,
		   a.debt_since IS NOT NULL AND (n.next_on < kb_charge_due_on(a.charged_through, a.ends_on)) IS NOT TRUE AS is_charged_first,
		   a.delete_on, a.last_seq, a.ends_on, a.ends_on IS NOT NULL AND a.ends_on < d.today AS is_ended
	FROM account a
	JOIN tariff t ON t.tariff = a.tariff
	JOIN policy p ON p.policy = t.policy
	CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today OFFSET 0) d
	LEFT JOIN tariff_history h ON h.account_id = a.account_id AND h.from_date <= d.today AND h.to_date > d.today
		AND a.tariff_from > d.today
	LEFT JOIN tariff ht ON ht.tariff = h.tariff
	LEFT JOIN policy hp ON hp.policy = ht.policy
	CROSS JOIN LATERAL (SELECT coalesce(hp.remind_day, p.remind_day) AS remind_day,
							   coalesce(hp.restrict_day, p.restrict_day) AS restrict_day,
							   coalesce(hp.block_day, p.block_day) AS block_day) s
	CROSS JOIN LATERAL (SELECT kb_next_stage_on(a.debt_since, a.deferred_until, d.today,
												s.remind_day, s.restrict_day, s.block_day) AS next_on) n
	WHERE kb_is_owned(a.account_id);
COMMENT ON VIEW account_now IS 'Where every account stands now, as far as its row and the policy of today say';
COMMENT ON COLUMN account_now.account_id IS 'The account';
COMMENT ON COLUMN account_now.state IS 'How far it has got on its way to deletion';
COMMENT ON COLUMN account_now.balance IS 'Sum of the entries';
COMMENT ON COLUMN account_now.bonus IS 'The part of the balance that is bonus';
COMMENT ON COLUMN account_now.stage IS 'How far the consequences of a debt have got (S2, S4)';
COMMENT ON COLUMN account_now.debt_since IS 'Local date on which the debt took effect (S1)';
COMMENT ON COLUMN account_now.deferred_until IS 'Last day on which the stage is at most grace (S4)';
COMMENT ON COLUMN account_now.today IS 'The local date';
COMMENT ON COLUMN account_now.next_stage IS 'The stage that comes next by the policy of today';
COMMENT ON COLUMN account_now.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN account_now.has_plan IS
'True for a debt if another tariff is to come, whose policy may make the next stage another one';
COMMENT ON COLUMN account_now.is_charged_first IS
'True for a debt if a month is charged before the next stage begins, or on its day; if that is a credit, it may end the debt';
COMMENT ON COLUMN account_now.delete_on IS 'The date of the deletion, if the account is closing or deleted';
COMMENT ON COLUMN account_now.last_seq IS 'Number of the last entry';
COMMENT ON COLUMN account_now.ends_on IS 'Last day of the contract (X1)';
COMMENT ON COLUMN account_now.is_ended IS 'Whether that day is over';

CREATE FUNCTION kbilling_internal.kb_stage_at(account_id bigint, seq bigint, at timestamptz) RETURNS kb_stage
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
	SELECT kb_stage(
		(SELECT e.debt_since FROM entry e WHERE e.account_id = $1 AND e.seq = $2),
		(SELECT f.deferred_until FROM deferral f WHERE f.account_id = $1 AND f.granted_at <= $3
		 ORDER BY f.deferral_no DESC LIMIT 1),
		d.today, p.remind_day, p.restrict_day, p.block_day)
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date($3, a.time_zone) AS today) d
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	WHERE a.account_id = $1
);
COMMENT ON FUNCTION kb_stage_at(bigint, bigint, timestamptz) IS
'The stage at a moment if the entry with that number (0: none) is the last one, with the deferrals as they stood then';

-- What is asked at each request is C without a statement, and without SET, which would cost more than its work.
CREATE FUNCTION kbilling.kb_balance(account_id bigint) RETURNS kb_money
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_balance';
COMMENT ON FUNCTION kb_balance(bigint) IS 'The balance now. Errors: KB001';

CREATE FUNCTION kbilling.kb_access_stage(account_id bigint) RETURNS kb_stage
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_access_stage_now';
COMMENT ON FUNCTION kb_access_stage(bigint) IS 'The account''s stage now (S2, S4). Errors: KB001';

-- Part of the view account_access.  They read policies whoever calls, so they are for those alone who may read the view.
CREATE FUNCTION kbilling_internal.kb_stage_now(account_id bigint, debt_since date, deferred_until date, tariff_from date,
											   tariff text, time_zone text)
	RETURNS kb_stage
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_stage_now';
COMMENT ON FUNCTION kb_stage_now(bigint, date, date, date, text, text) IS
'The stage now of an account with these columns in its row, as account_now says it (S2, S4); NULL without its tariff';

CREATE FUNCTION kbilling_internal.kb_access_now(account_id bigint, debt_since date, deferred_until date, tariff_from date,
												tariff text, time_zone text, state kb_account_state, role kb_role, ends_on date)
	RETURNS kb_access
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_access_now';
COMMENT ON FUNCTION kb_access_now(bigint, date, date, date, text, text, kb_account_state, kb_role, date) IS
'What a member with the role may do now in an account with these columns in its row (S3, X2); NULL without its tariff';
/*
 * Usage: the events of metered services, and their totals by month and price.
 *
 * An event has the price that holds on its day (C3), so a total is what one price
 * rates, whole.  Terms that change for days that are past give those days' events
 * another price: kb_reprice_usage.
 *
 * A month's total is kept in a few slots, so that writers of one account do not
 * queue behind each other.  A charge bills what the slots have beyond what was
 * billed before: whatever comes after it, or was still on its way, is left for
 * the next one.
 *
 * No foreign keys to account and service, as they would be checked for each
 * event; kb_check looks.
 */

CREATE TABLE kbilling.usage_event (
	account_id  bigint NOT NULL,
	at          timestamptz NOT NULL,
	recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	period      date NOT NULL,
	revision    integer NOT NULL DEFAULT 0,
	price_id    integer NOT NULL,
	is_level    boolean NOT NULL,
	events      bigint NOT NULL,
	service     kb_text NOT NULL,
	key         kb_text NOT NULL,
	quantity    numeric NOT NULL,
	value       kb_text,
	metered_table text,
	properties  kb_json,
	PRIMARY KEY (account_id, service, key, revision)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.usage_event', '');
COMMENT ON TABLE usage_event IS 'Usage events (U1); written by kb_record_usage, kb_record_usage_batch and kb_meter';
COMMENT ON COLUMN usage_event.account_id IS 'The account';
COMMENT ON COLUMN usage_event.at IS 'When it was used';
COMMENT ON COLUMN usage_event.recorded_at IS
'When it was recorded, by the machine''s clock. Events that are recorded together are a microsecond apart, in their '
'order';
COMMENT ON COLUMN usage_event.period IS 'The month of its time, by its first day, in the account''s time zone';
COMMENT ON COLUMN usage_event.revision IS
'0 when the key comes first. An odd number takes the event back, as its metered row was changed or deleted; an even '
'one counts it again';
COMMENT ON COLUMN usage_event.price_id IS
'The price of kbilling.price under which it is billed: that of its local day (C3). What a correction takes back it '
'takes back under the same price';
COMMENT ON COLUMN usage_event.is_level IS
'True if the service aggregates by "max" or "last": then a correction has to look at the events again';
COMMENT ON COLUMN usage_event.events IS
'1, or -1 for a correction. For metered rows without a key, how many of them the event stands for';
COMMENT ON COLUMN usage_event.service IS 'The metered service';
COMMENT ON COLUMN usage_event.key IS
'Counts once for each account and service (U1). Keys that begin with "kb:" are those of metered rows without a key';
COMMENT ON COLUMN usage_event.quantity IS 'Units; below zero for a correction';
COMMENT ON COLUMN usage_event.value IS 'The value that counts once in a month, for the aggregation "unique" (U2)';
COMMENT ON COLUMN usage_event.metered_table IS
'The table, with its schema, whose row has the key; NULL if the event was recorded by a call, or has no key';
COMMENT ON COLUMN usage_event.properties IS 'The application''s own notes on the event';


CREATE INDEX usage_level ON usage_event (account_id, service, period, price_id) WHERE is_level;
COMMENT ON INDEX usage_level IS 'Finds the events of a month whose highest or last quantity has been corrected';

CREATE INDEX usage_level_correction ON usage_event (account_id, service, period, price_id) WHERE is_level AND events < 0;
COMMENT ON INDEX usage_level_correction IS 'Tells whether a month has such a correction';


-- Half of a page is left free, so that a statement that counts for all of its accounts leaves the old rows room beside the
-- new ones: every update is heap-only, and the table stays as large as it is.
CREATE TABLE kbilling.usage_total (
	account_id      bigint NOT NULL,
	events          bigint NOT NULL,
	billed_events   bigint NOT NULL DEFAULT 0,
	counted_at      timestamptz NOT NULL,
	last_at         timestamptz,
	last_recorded_at timestamptz,
	period          date NOT NULL,
	price_id        integer NOT NULL,
	aggregation     kb_aggregation NOT NULL,
	slot            smallint NOT NULL,
	settled         boolean NOT NULL DEFAULT false,
	service         kb_text NOT NULL,
	quantity        numeric,
	billed_quantity numeric NOT NULL DEFAULT 0,
	PRIMARY KEY (account_id, period, service, price_id, slot)
) WITH (fillfactor = 50);
SELECT pg_catalog.pg_extension_config_dump('kbilling.usage_total', '');
COMMENT ON TABLE usage_total IS 'Totals of kbilling.usage_event by month and price, in slots (U5)';
COMMENT ON COLUMN usage_total.account_id IS 'The account';
COMMENT ON COLUMN usage_total.period IS 'The month of the events'' time, by its first day';
COMMENT ON COLUMN usage_total.price_id IS 'The price of kbilling.price under which they are billed, as one line (C3)';
COMMENT ON COLUMN usage_total.slot IS 'Number of the slot. Sessions write to different ones; the total is their sum';
COMMENT ON COLUMN usage_total.settled IS 'True if all of it has been billed';
COMMENT ON COLUMN usage_total.events IS 'How many events there are, less corrections';
COMMENT ON COLUMN usage_total.billed_events IS 'How many of them have been billed';
COMMENT ON COLUMN usage_total.last_at IS 'Time of the last event, for the aggregation "last"';
COMMENT ON COLUMN usage_total.last_recorded_at IS
'When that event was recorded: of two events of the same time, the later recorded is the last';
COMMENT ON COLUMN usage_total.counted_at IS
'When something was last counted here, by kb_now(): recorded usage is activity (D1), whatever the time of the events';
COMMENT ON COLUMN usage_total.service IS 'The metered service';
COMMENT ON COLUMN usage_total.aggregation IS 'How the events become the quantity (U2)';
COMMENT ON COLUMN usage_total.quantity IS
'This slot''s part of the quantity. For "max" and "last" it leaves corrections out, and is NULL if the slot has '
'nothing else';
COMMENT ON COLUMN usage_total.billed_quantity IS
'The part of the quantity that has been billed; for "max" and "last", that of all slots';

-- settled changes only with a charge, and with the first event after it, so that counting stays a heap-only update.

CREATE INDEX usage_unbilled ON usage_total (account_id, period) WHERE NOT settled;
COMMENT ON INDEX usage_unbilled IS 'Finds what is still to be billed, of whatever month';


CREATE TABLE kbilling.usage_value (
	account_id bigint NOT NULL,
	period     date NOT NULL,
	price_id   integer NOT NULL,
	events     bigint NOT NULL,
	change     smallint NOT NULL,
	service    kb_text NOT NULL,
	value      kb_text NOT NULL,
	PRIMARY KEY (account_id, period, service, price_id, value)
) WITH (fillfactor = 80);
SELECT pg_catalog.pg_extension_config_dump('kbilling.usage_value', '');
COMMENT ON TABLE usage_value IS 'The distinct values of a month under a price, for the aggregation "unique" (U2)';
COMMENT ON COLUMN usage_value.account_id IS 'The account';
COMMENT ON COLUMN usage_value.period IS 'The month, by its first day';
COMMENT ON COLUMN usage_value.price_id IS 'The price of kbilling.price under which they are billed';
COMMENT ON COLUMN usage_value.events IS
'How many events have the value, less corrections; it counts while that is above zero';
COMMENT ON COLUMN usage_value.change IS
'By how much the statement that wrote the row last changed the number of values';
COMMENT ON COLUMN usage_value.service IS 'The metered service';
COMMENT ON COLUMN usage_value.value IS 'The value';


CREATE TABLE kbilling.usage_hold (
	account_id bigint NOT NULL,
	expires_at timestamptz NOT NULL,
	service    kb_text NOT NULL,
	key        kb_text NOT NULL,
	quantity   numeric NOT NULL,
	PRIMARY KEY (account_id, service, key)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.usage_hold', '');
COMMENT ON TABLE usage_hold IS 'Units that are held before they are used (L4): kb_hold_usage. What is settled or released has no row';
COMMENT ON COLUMN usage_hold.account_id IS 'The account';
COMMENT ON COLUMN usage_hold.expires_at IS 'From this moment on it is free; the row may stay longer';
COMMENT ON COLUMN usage_hold.service IS 'The metered service';
COMMENT ON COLUMN usage_hold.key IS 'The key of the usage that settles it';
COMMENT ON COLUMN usage_hold.quantity IS 'Units';

CREATE TABLE kbilling.skipped_month (
	account_id bigint NOT NULL REFERENCES account,
	period     date NOT NULL,
	PRIMARY KEY (account_id, period)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.skipped_month', '');
COMMENT ON TABLE skipped_month IS
'Months that ended while an account was deleted (D5), or whose charge was reversed (U3). They are not charged any '
'more, nor is their usage billed or given back, whenever it is recorded or taken back';
COMMENT ON COLUMN skipped_month.account_id IS 'The account';
COMMENT ON COLUMN skipped_month.period IS 'The month, by its first day';

-- Inlined; a key's revisions take turns: even ones count, odd ones take back.

CREATE FUNCTION kbilling_internal.kb_last_revision(account_id bigint, service text, key text)
	RETURNS TABLE (revision integer, at timestamptz, quantity numeric, events bigint, value text, price_id integer, metered_table text)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT e.revision, e.at, e.quantity, e.events, e.value, e.price_id, e.metered_table FROM usage_event e
	WHERE e.account_id = $1 AND e.service = $2 AND e.key = $3
	ORDER BY e.revision DESC LIMIT 1;
END;
COMMENT ON FUNCTION kb_last_revision(bigint, text, text) IS
'The last event that was recorded under a key; no row if there is none';

-- What is taken back had a price, and comes back at that: where the same value or level was counted; else that of its day,
-- if that has usage in the month; else that of the month under which the most is left.  Where neither day nor month has a
-- price, that of an earlier month.
CREATE FUNCTION kbilling_internal.kb_take_back_price(account_id bigint, period date, service text, price_id integer, quantity numeric,
													 value text)
	RETURNS integer
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce((SELECT u.price_id
				 FROM (SELECT t.period, t.price_id,
							  CASE WHEN min(t.aggregation) IN ('max', 'last') THEN max(t.quantity) ELSE sum(t.quantity) END AS quantity,
							  CASE min(t.aggregation)
								  WHEN 'unique' THEN EXISTS (SELECT FROM usage_value v
															 WHERE v.account_id = $1 AND v.period = t.period AND v.service = $3
																AND v.price_id = t.price_id AND v.value = $6 AND v.events > 0)
								  WHEN 'sum' THEN false
								  WHEN 'count' THEN false
								  ELSE coalesce((SELECT sum(e.events) FROM usage_event e
												 WHERE e.account_id = $1 AND e.period = t.period AND e.service = $3
													AND e.price_id = t.price_id AND e.is_level AND e.quantity IN ($5, - $5)), 0) > 0
							  END AS has_it
					   FROM usage_total t
					   WHERE t.account_id = $1 AND t.service = $3 AND (t.period = $2 OR t.period < $2 AND $4 IS NULL)
					   GROUP BY t.period, t.price_id) u
				 WHERE u.quantity > 0 OR u.has_it OR $4 IS NULL
				 ORDER BY u.period DESC, u.has_it DESC, (u.price_id IS NOT DISTINCT FROM $4 AND u.quantity > 0) DESC,
					 u.quantity DESC NULLS LAST, u.price_id
				 LIMIT 1), $4);
COMMENT ON FUNCTION kb_take_back_price(bigint, date, text, integer, numeric, text) IS
'The price under which a quantity below zero, or one with a value, counts in a month, where "price_id" is the price of its '
'day, or NULL; NULL if the account has never used the service';

-- The aggregations "max" and "last", whose slots do not add up.

-- A correction takes back the event of the same quantity and time; if there is none, the latest of the same quantity.
CREATE FUNCTION kbilling_internal.kb_level_of_events(account_id bigint, period date, service text, price_id integer,
													 aggregation kb_aggregation)
	RETURNS TABLE (quantity numeric, at timestamptz, recorded_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	WITH correction AS MATERIALIZED (
		SELECT abs(c.quantity) AS quantity, c.at, - sum(c.events) AS events,
			   - sum(sum(c.events)) OVER (PARTITION BY abs(c.quantity)) AS all_events
		FROM usage_event c
		WHERE c.account_id = $1 AND c.service = $3 AND c.period = $2 AND c.price_id = $4 AND c.is_level AND c.events < 0
		GROUP BY abs(c.quantity), c.at
	), event AS NOT MATERIALIZED (
		SELECT e.quantity, e.at, e.recorded_at FROM usage_event e
		WHERE e.account_id = $1 AND e.service = $3 AND e.period = $2 AND e.price_id = $4 AND e.is_level AND e.events > 0
	), candidate AS (
		SELECT e.quantity, e.at, e.recorded_at,
			   row_number() OVER (PARTITION BY e.quantity, e.at ORDER BY e.recorded_at DESC)
			   <= coalesce((SELECT c.events FROM correction c WHERE c.quantity = e.quantity AND c.at = e.at), 0) AS is_meant
		FROM event e WHERE e.quantity IN (SELECT c.quantity FROM correction c)
	)
	SELECT l.quantity, l.at, l.recorded_at
	FROM ((SELECT e.quantity, e.at, e.recorded_at FROM event e
		   WHERE e.quantity NOT IN (SELECT c.quantity FROM correction c)
		   ORDER BY CASE $5 WHEN 'max' THEN e.quantity END DESC, e.at DESC, e.recorded_at DESC
		   LIMIT 1)
		  UNION ALL
		  SELECT k.quantity, k.at, k.recorded_at
		  FROM (SELECT x.*, row_number() OVER (PARTITION BY x.quantity ORDER BY x.is_meant DESC, x.at DESC, x.recorded_at DESC) AS n
				FROM candidate x) k
		  WHERE k.n > (SELECT max(c.all_events) FROM correction c WHERE c.quantity = k.quantity)) l
	ORDER BY CASE $5 WHEN 'max' THEN l.quantity END DESC, l.at DESC, l.recorded_at DESC
	LIMIT 1;
END;
COMMENT ON FUNCTION kb_level_of_events(bigint, date, text, integer, kb_aggregation) IS
'A month''s quantity under a price of a service that aggregates by "max" or "last", from its events without those '
'that were taken back; no row if none is left';

-- The slots ignore corrections: if there are any, the events are looked at again.  So no session has to wait for
-- another one, and none overlooks a correction.
CREATE FUNCTION kbilling_internal.kb_usage_level(account_id bigint, period date, service text, price_id integer,
												 aggregation kb_aggregation)
	RETURNS numeric
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT coalesce(CASE
		WHEN EXISTS (SELECT FROM usage_event c
					 WHERE c.account_id = $1 AND c.service = $3 AND c.period = $2 AND c.price_id = $4 AND c.is_level AND c.events < 0)
			THEN (SELECT l.quantity FROM kb_level_of_events($1, $2, $3, $4, $5) l)
		WHEN $5 = 'max'
			THEN (SELECT max(t.quantity) FROM usage_total t
				  WHERE t.account_id = $1 AND t.period = $2 AND t.service = $3 AND t.price_id = $4)
		ELSE (SELECT t.quantity FROM usage_total t
			  WHERE t.account_id = $1 AND t.period = $2 AND t.service = $3 AND t.price_id = $4 AND t.quantity IS NOT NULL
			  ORDER BY t.last_at DESC, t.last_recorded_at DESC LIMIT 1)
		END, 0);
END;
COMMENT ON FUNCTION kb_usage_level(bigint, date, text, integer, kb_aggregation) IS
'A month''s quantity under a price of a service that aggregates by "max" or "last"; zero if there is none';

-- Late usage is on the next bill, as a line of its own month and price (U3).  from_period and to_period are the first
-- and the last month to look at.  Usage that was taken back completely does not count, nor does late usage that adds
-- nothing to a highest, last or distinct quantity: what it was billed for stands there with zero, as do the other
-- prices of such a month and service, because they are all rounded together (M4).
CREATE FUNCTION kbilling_internal.kb_unbilled_usage(account_id bigint, from_period date, to_period date)
	RETURNS TABLE (period date, service text, price_id integer, quantity numeric, events bigint,
				   billed_quantity numeric, billed_events bigint)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT u.period, u.service, u.price_id, u.quantity - u.billed_quantity,
		   CASE WHEN u.period = $3 OR u.quantity <> u.billed_quantity OR u.aggregation = 'sum'
			   THEN u.events - u.billed_events ELSE 0 END::bigint,
		   u.billed_quantity, u.billed_events::bigint
	FROM (SELECT t.period, t.service, t.price_id, t.aggregation, sum(t.events) AS events, sum(t.billed_events) AS billed_events,
				 CASE WHEN t.aggregation IN ('max', 'last') THEN kb_usage_level($1, t.period, t.service, t.price_id, t.aggregation)
					 ELSE sum(t.quantity) END AS quantity,
				 CASE WHEN t.aggregation IN ('max', 'last') THEN max(t.billed_quantity) ELSE sum(t.billed_quantity) END AS billed_quantity
		  FROM (SELECT DISTINCT o.period, o.service FROM usage_total o
				WHERE o.account_id = $1 AND o.period >= $2 AND o.period <= $3 AND NOT o.settled
				  AND (o.period = $3 OR NOT EXISTS (SELECT FROM skipped_month k WHERE k.account_id = $1 AND k.period = o.period))) n
		  JOIN usage_total t ON t.account_id = $1 AND t.period = n.period AND t.service = n.service
		  GROUP BY t.period, t.service, t.price_id, t.aggregation) u
	WHERE u.period < $3 OR u.quantity <> u.billed_quantity OR u.events <> u.billed_events;
END;
COMMENT ON FUNCTION kb_unbilled_usage(bigint, date, date) IS
'What an account has used in the months and has not been billed for, by month, service and price, with what it has '
'been billed for';

-- What a reversal or a restore has skipped is never billed.
CREATE FUNCTION kbilling_internal.kb_has_unbilled(account_id bigint) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (SELECT FROM usage_total o
			   WHERE o.account_id = $1 AND NOT o.settled
				AND NOT EXISTS (SELECT FROM skipped_month k WHERE k.account_id = $1 AND k.period = o.period));
COMMENT ON FUNCTION kb_has_unbilled(bigint) IS 'Whether usage of an account waits for its bill';

-- The pace is that of the running month and the one before, together, at the prices of the days ahead.  A highest,
-- last or distinct quantity stays as it is; if there is none yet, as it was in the month before.
CREATE FUNCTION kbilling_internal.kb_paced_usage(account_id bigint, from_period date, to_period date, today date)
	RETURNS TABLE (period date, service text, price_id integer, quantity numeric, events bigint,
				   billed_quantity numeric, billed_events bigint)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH month AS (
		SELECT kb_month_first_day($4) AS running, kb_month_first_day(kb_month_first_day($4) - 1) AS before
	), used AS (
		SELECT t.service, t.price_id, t.aggregation, t.period = m.running AS is_running, sum(t.events) AS events,
			   CASE WHEN t.aggregation IN ('max', 'last') THEN kb_usage_level($1, t.period, t.service, t.price_id, t.aggregation)
				   ELSE greatest(sum(t.quantity), 0) END AS quantity
		FROM month m JOIN usage_total t ON t.account_id = $1 AND t.period IN (m.running, m.before)
		GROUP BY t.service, t.price_id, t.aggregation, t.period, m.running
	), basis AS (
		SELECT u.service, u.aggregation IN ('sum', 'count') AS adds_up, sum(u.quantity) AS quantity, sum(u.events) AS events,
			   (array_agg(u.quantity ORDER BY u.is_running DESC, u.quantity DESC))[1] AS level,
			   (array_agg(u.events ORDER BY u.is_running DESC, u.quantity DESC))[1] AS level_events
		FROM used u GROUP BY u.service, u.aggregation
	), ahead AS (
		SELECT $4 - greatest(m.before, kb_account_date(a.created_at, a.time_zone)) + 1 AS days_past,
			   greatest($4 + 1, $3) AS from_date, least(kb_month_last_day($3), a.ends_on) + 1 AS to_date, $3 = m.running AS is_running
		FROM month m JOIN account a ON a.account_id = $1
		WHERE $3 >= m.running
	), priced AS (
		SELECT b.service, p.price_id, d.is_running, d.days_past, b.adds_up, b.quantity, b.events, b.level, b.level_events,
			   sum(least(x.to_date, p.to_date, d.to_date) - greatest(x.from_date, p.from_date, d.from_date)) AS days
		FROM basis b
		CROSS JOIN ahead d
		JOIN account_tariff x ON x.account_id = $1
		JOIN price_list p ON p.tariff = x.tariff AND p.service = b.service
		WHERE greatest(x.from_date, p.from_date, d.from_date) < least(x.to_date, p.to_date, d.to_date)
		GROUP BY b.service, p.price_id, d.is_running, d.days_past, b.adds_up, b.quantity, b.events, b.level, b.level_events
	)
	SELECT u.period, u.service, u.price_id, sum(u.quantity), sum(u.events)::bigint, sum(u.billed_quantity), sum(u.billed_events)::bigint
	FROM (SELECT x.period, x.service, x.price_id, x.quantity, x.events, x.billed_quantity, x.billed_events
		  FROM kb_unbilled_usage($1, $2, $3) x
		  UNION ALL
		  SELECT $3, y.service, y.price_id,
				 CASE WHEN y.adds_up THEN round(y.quantity * y.days / y.days_past, scale(y.quantity)) ELSE y.level END,
				 CASE WHEN y.adds_up THEN round(y.events * y.days / y.days_past) ELSE y.level_events END, 0, 0
		  FROM priced y
		  WHERE y.adds_up OR NOT y.is_running
			OR NOT EXISTS (SELECT FROM used s WHERE s.is_running AND s.service = y.service AND s.price_id = y.price_id)) u
	GROUP BY u.period, u.service, u.price_id;
END;
COMMENT ON FUNCTION kb_paced_usage(bigint, date, date, date) IS
'The same as kb_unbilled_usage, with what "to_period" adds to it if usage goes on as it does today';

-- Recording an event and changing the terms of its day exclude each other: whoever comes second sees what the first
-- has done.  Those who record do not wait for each other.
CREATE FUNCTION kbilling_internal.kb_lock_usage(account_id bigint) RETURNS void
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'kb_lock_usage';
COMMENT ON FUNCTION kb_lock_usage(bigint) IS
'Waits until no other transaction that has recorded usage of the account is open, and lets none record any until '
'this one ends; of all accounts, if it is NULL. What the account''s row holds is locked before';

-- Corrections of a key have the time of what they take back, and so its price.  What was taken back by a quantity of
-- its own goes where usage is left, as when it was recorded: see kb_take_back_price.
CREATE FUNCTION kbilling_internal.kb_repriced_events(account_ids bigint[], service text, from_date date)
	RETURNS TABLE (account_id bigint, period date, service text, aggregation kb_aggregation, key text, revision integer, price_id integer,
				   new_price_id integer, month_changes boolean, quantity numeric, events bigint, value text, at timestamptz,
				   recorded_at timestamptz)
	LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH month AS (
		SELECT a.account_id, a.time_zone, a.tariff, a.tariff_from, t.period, t.service, min(t.aggregation) AS aggregation
		FROM account a JOIN usage_total t ON t.account_id = a.account_id
		WHERE a.account_id = ANY ($1) AND t.period >= kb_month_first_day(greatest(a.charged_through + 1, $3))
			AND ($2 IS NULL OR t.service = $2)
		GROUP BY a.account_id, t.period, t.service
	), event AS MATERIALIZED (
		SELECT e.account_id, e.period, e.service, m.aggregation, e.key, e.revision, e.price_id, e.quantity, e.events, e.value, e.at,
			   e.recorded_at, (e.events < 0 OR e.quantity < 0) <> (e.revision % 2 = 1) AS takes_back,
			   CASE m.aggregation WHEN 'sum' THEN NULL WHEN 'count' THEN NULL WHEN 'unique' THEN e.value
				   ELSE trim_scale(abs(e.quantity))::text END AS mark,
			   CASE WHEN d.day >= $3 THEN coalesce(p.price_id, e.price_id) ELSE e.price_id END AS day_price_id
		FROM month m
		JOIN usage_event e ON e.account_id = m.account_id AND e.service = m.service AND e.period = m.period
		CROSS JOIN LATERAL (SELECT kb_account_date(e.at, m.time_zone) AS day OFFSET 0) d
		CROSS JOIN LATERAL kb_tariff_on(m.account_id, m.tariff, m.tariff_from, d.day) x
		LEFT JOIN price_list p ON p.tariff = x.tariff AND p.service = e.service AND p.from_date <= d.day AND p.to_date > d.day
	), used AS MATERIALIZED (	-- "left" is what the take-backs of the same days leave of it
		SELECT u.account_id, u.period, u.service, u.price_id, u.quantity,
			   CASE u.aggregation WHEN 'sum' THEN u.quantity + u.taken_back WHEN 'count' THEN u.events - u.times_taken_back
				   ELSE u.quantity END AS "left"
		FROM (SELECT e.account_id, e.period, e.service, e.aggregation, e.day_price_id AS price_id,
					 CASE e.aggregation WHEN 'sum' THEN sum(e.quantity) FILTER (WHERE NOT e.takes_back)
						 WHEN 'max' THEN max(e.quantity) FILTER (WHERE NOT e.takes_back)
						 WHEN 'last' THEN max(e.quantity) FILTER (WHERE NOT e.takes_back)
						 ELSE sum(e.events) FILTER (WHERE NOT e.takes_back) END AS quantity,
					 coalesce(sum(- abs(e.quantity)) FILTER (WHERE e.takes_back), 0) AS taken_back,
					 coalesce(sum(e.events) FILTER (WHERE NOT e.takes_back), 0) AS events,
					 count(*) FILTER (WHERE e.takes_back) AS times_taken_back
			  FROM event e
			  GROUP BY e.account_id, e.period, e.service, e.aggregation, e.day_price_id) u
		WHERE u.quantity > 0
	), same AS MATERIALIZED (	-- where a value or level that is taken back was counted
		SELECT e.account_id, e.service, e.key, e.revision,
			   (array_agg(c.day_price_id ORDER BY c.day_price_id = e.day_price_id DESC, c.day_price_id = e.price_id DESC,
						  c.day_price_id))[1] AS price_id
		FROM event e
		JOIN (SELECT DISTINCT o.account_id, o.period, o.service, o.mark, o.day_price_id FROM event o
			  WHERE o.mark IS NOT NULL AND NOT o.takes_back AND o.events > 0) c
			ON c.account_id = e.account_id AND c.period = e.period AND c.service = e.service AND c.mark = e.mark
		WHERE e.takes_back
		GROUP BY e.account_id, e.service, e.key, e.revision
	)
	SELECT p.account_id, p.period, p.service, p.aggregation, p.key, p.revision, p.price_id, p.new_price_id,
		   bool_or(p.new_price_id <> p.price_id) OVER (PARTITION BY p.account_id, p.period, p.service),
		   p.quantity, p.events, p.value, p.at, p.recorded_at
	FROM (SELECT e.*, CASE WHEN e.takes_back
						  THEN coalesce(s.price_id,
										(SELECT u.price_id FROM used u
										 WHERE u.account_id = e.account_id AND u.period = e.period AND u.service = e.service
										 ORDER BY u.price_id = e.day_price_id DESC, u.price_id = e.price_id DESC,
											u."left" DESC, u.price_id
										 LIMIT 1), e.day_price_id)
						  ELSE e.day_price_id END AS new_price_id
		  FROM event e
		  LEFT JOIN same s ON s.account_id = e.account_id AND s.service = e.service AND s.key = e.key AND s.revision = e.revision) p;
END;
COMMENT ON FUNCTION kb_repriced_events(bigint[], text, date) IS
'The usage of the accounts'' months that are not charged, of one service or all of them (NULL), with the price that '
'each event has now: for days from the date on, the one that holds on its day, if there is one';

-- Nobody records usage of the accounts meanwhile, and nobody charges them.  What was is deleted before what is now is
-- written, so the parts that insert look at those that delete.
CREATE FUNCTION kbilling_internal.kb_reprice_usage(account_ids bigint[], service text, from_date date) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH event AS MATERIALIZED (
		SELECT e.* FROM kb_repriced_events($1, $2, $3) e WHERE e.month_changes
	), month AS (
		SELECT DISTINCT e.account_id, e.period, e.service FROM event e
	), written AS (
		UPDATE usage_event x SET price_id = e.new_price_id FROM event e
		WHERE x.account_id = e.account_id AND x.service = e.service AND x.key = e.key AND x.revision = e.revision
			AND e.new_price_id <> e.price_id
	), value AS MATERIALIZED (
		SELECT e.account_id, e.period, e.service, e.new_price_id AS price_id, e.value, sum(e.events)::bigint AS events
		FROM event e WHERE e.value IS NOT NULL
		GROUP BY e.account_id, e.period, e.service, e.new_price_id, e.value
	), old_value AS (
		DELETE FROM usage_value v USING month m
		WHERE v.account_id = m.account_id AND v.period = m.period AND v.service = m.service
		RETURNING v.account_id
	), new_value AS (
		INSERT INTO usage_value (account_id, period, service, price_id, value, events, change)
		SELECT v.account_id, v.period, v.service, v.price_id, v.value, v.events, 0 FROM value v
		WHERE (SELECT count(*) FROM old_value) >= 0
	), old_total AS (
		DELETE FROM usage_total t USING month m
		WHERE t.account_id = m.account_id AND t.period = m.period AND t.service = m.service
		RETURNING t.account_id, t.period, t.service, t.counted_at
	)
	INSERT INTO usage_total (account_id, period, service, price_id, slot, aggregation, events, quantity, last_at, last_recorded_at,
							 counted_at)
	SELECT g.account_id, g.period, g.service, g.price_id, 0, g.aggregation, g.events,
		   CASE g.aggregation WHEN 'sum' THEN g.quantity WHEN 'count' THEN g.events WHEN 'max' THEN g.highest
			   WHEN 'unique' THEN (SELECT count(*) FROM value v WHERE v.account_id = g.account_id AND v.period = g.period
									AND v.service = g.service AND v.price_id = g.price_id AND v.events > 0)
			   ELSE g.latest[3] END,
		   to_timestamp(g.latest[1]::double precision), to_timestamp(g.latest[2]::double precision),
		   (SELECT max(o.counted_at) FROM old_total o
			WHERE o.account_id = g.account_id AND o.period = g.period AND o.service = g.service)
	FROM (SELECT e.account_id, e.period, e.service, e.new_price_id AS price_id, e.aggregation, sum(e.quantity) AS quantity,
				 sum(e.events)::bigint AS events,
				 max(e.quantity) FILTER (WHERE e.aggregation = 'max' AND e.events > 0) AS highest,
				 max(ARRAY[extract(epoch FROM e.at), extract(epoch FROM e.recorded_at), e.quantity])
					 FILTER (WHERE e.aggregation = 'last' AND e.events > 0) AS latest
		  FROM event e GROUP BY e.account_id, e.period, e.service, e.new_price_id, e.aggregation) g;
END;
COMMENT ON FUNCTION kb_reprice_usage(bigint[], text, date) IS
'Writes what kb_repriced_events says, and counts anew the months in which an event gets another price (C3). Months that '
'are charged stay as they are. The accounts are locked, and their usage';

CREATE FUNCTION kbilling_internal.kb_reprice_account(account_id bigint, from_date date) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_lock_usage($1);
	SELECT kb_reprice_usage(ARRAY[$1], NULL, $2);
END;
COMMENT ON FUNCTION kb_reprice_account(bigint, date) IS
'What kb_reprice_usage does, for an account whose terms have changed. It waits for every other transaction that has '
'recorded usage of it. The account is locked';

CREATE FUNCTION kbilling_internal.kb_accounts_to_reprice(tariff text, service text, from_date date) RETURNS bigint[]
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (SELECT coalesce(array_agg(DISTINCT t.account_id), '{}')
		FROM usage_total t JOIN account a ON a.account_id = t.account_id
		WHERE kb_is_owned(t.account_id) AND t.service = $2 AND NOT t.settled
			AND t.period >= kb_month_first_day(greatest(a.charged_through + 1, $3))
			AND EXISTS (SELECT FROM account_tariff x
						WHERE x.account_id = t.account_id AND x.tariff = $1 AND x.to_date > greatest($3, t.period)));
COMMENT ON FUNCTION kb_accounts_to_reprice(text, text, date) IS
'The accounts that have used the service, in a month that is not charged, and were on the tariff from the date on';

CREATE FUNCTION kbilling_internal.kb_reprice_tariff(tariff text, service text, from_date date) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_keep_buckets();
	SELECT FROM account a WHERE a.account_id = ANY (kb_accounts_to_reprice($1, $2, $3)) ORDER BY a.account_id FOR NO KEY UPDATE;
	SELECT kb_lock_usage(NULL);
	UPDATE account a SET terms_version = a.terms_version + 1 WHERE a.account_id = ANY (kb_accounts_to_reprice($1, $2, $3));
	SELECT kb_reprice_usage(kb_accounts_to_reprice($1, $2, $3), $2, $3);
END;
COMMENT ON FUNCTION kb_reprice_tariff(text, text, date) IS
'What kb_reprice_usage does, for all accounts on a tariff, as a price of it has changed. It waits for every other '
'transaction that has recorded usage, and lets none record any until this one ends';

CREATE FUNCTION kbilling.kb_record_usage(account_id bigint, service text, quantity numeric, key text,
										 at timestamptz = NULL, properties jsonb = NULL)
	RETURNS boolean
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_record_usage';
COMMENT ON FUNCTION kb_record_usage(bigint, text, numeric, text, timestamptz, jsonb) IS
'Records usage of a metered service, at a moment (NULL: now). True if it counts, false if the account has had the '
'key for the service before (U1). A quantity below zero takes usage back, from the month of the moment. '
'Errors: KB001, KB010; KB012 for an unknown service, or one without a price; 22003 for a quantity that is not '
'finite, or too large; 22008 for a moment more than an hour ahead, before the account''s first day, or after the end of its '
'contract; 22023 for a '
'service that is not metered, or a key that makes no sense';
/*
 * What is agreed: prices, the tariff of an account, and services that are switched on.
 */

CREATE FUNCTION kbilling_internal.kb_price_beside(tariff text, service text, on_date date, price kb_price, prorate boolean)
	RETURNS TABLE (price_id integer, next_id integer)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT (SELECT p.price_id FROM price_list p
			WHERE p.tariff = $1 AND p.service = $2 AND p.to_date = $3 AND p.price = $4 AND p.prorate = $5),
		   (SELECT p.price_id FROM price_list p
			WHERE p.tariff = $1 AND p.service = $2 AND p.from_date = kb_next_price_on($1, $2, $3) AND p.price = $4 AND p.prorate = $5);
END;
COMMENT ON FUNCTION kb_price_beside(text, text, date, kb_price, boolean) IS
'The numbers of the price that ends on a date, and of the next one after it, each NULL if its terms are not these';

-- Prices change here alone, so that what depends on them follows from here.
CREATE FUNCTION kbilling_internal.kb_put_price(tariff text, service text, price kb_price, from_date date, prorate boolean)
	RETURNS date
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	INSERT INTO change_log (subject, tariff, service, before, after)
	SELECT 'price', $1, $2, (SELECT to_jsonb(o) - '{price_id,tariff,service}'::text[] FROM kb_price_on($1, $2, $4) o),
		   jsonb_build_object('price', $3, 'prorate', $5, 'from_date', $4, 'to_date', kb_next_price_on($1, $2, $4));
	-- The price that held on that day ends there, or is withdrawn if it began there.
	UPDATE price p
	SET to_date = CASE WHEN p.from_date < $4 THEN $4 ELSE p.to_date END, withdrawn_at = CASE WHEN p.from_date = $4 THEN kb_now() END
	WHERE p.price_id = (SELECT o.price_id FROM kb_price_on($1, $2, $4) o);
	-- A price that has the same terms and ends there, or is the next, holds longer, so that what is used under it is one.  As it was
	-- listed, the next one stays on record, too.
	INSERT INTO price (tariff, service, from_date, to_date, price, prorate, listed_at, withdrawn_at)
	SELECT n.tariff, n.service, n.from_date, n.to_date, n.price, n.prorate, n.listed_at, kb_now()
	FROM price n JOIN kb_price_beside($1, $2, $4, $3, $5) b ON b.next_id = n.price_id AND b.price_id IS NULL;
	UPDATE price n
	SET from_date = CASE WHEN b.price_id IS NULL THEN $4 ELSE n.from_date END,
		listed_at = CASE WHEN b.price_id IS NULL THEN kb_now() ELSE n.listed_at END,
		withdrawn_at = CASE WHEN b.price_id IS NOT NULL THEN kb_now() END
	FROM kb_price_beside($1, $2, $4, $3, $5) b WHERE n.price_id = b.next_id;
	UPDATE price p SET to_date = kb_next_price_on($1, $2, $4)
	FROM kb_price_beside($1, $2, $4, $3, $5) b WHERE p.price_id = b.price_id;
	INSERT INTO price (tariff, service, from_date, to_date, price, prorate)
	SELECT $1, $2, $4, kb_next_price_on($1, $2, $4), $3, $5 WHERE NOT EXISTS (SELECT FROM kb_price_on($1, $2, $4));
	-- days that are past, and a day's margin, as the transaction may end on another day than it began
	SELECT kb_reprice_tariff($1, $2, $4) FROM service s
	WHERE s.service = $2 AND s.kind = 'metered' AND $4 <= kb_account_date(kb_now(), 'UTC') + 2;
	SELECT p.from_date FROM kb_price_on($1, $2, $4) p;
END;
COMMENT ON FUNCTION kb_put_price(text, text, kb_price, date, boolean) IS
'Puts a price on the list, from a date on to that of the next price, logs it (J9), and returns the date from which it '
'holds. What has been used on its days and is not charged yet gets the price (C3). The tariff is locked';

CREATE FUNCTION kbilling.kb_set_price(tariff text, service text, price kb_price,
									  from_date date = NULL, prorate boolean = true)
	RETURNS date
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('price, prorate', price, prorate);
	SELECT kb_require_tariff(tariff);
	SELECT kb_require_service(service);
	SELECT CASE
		WHEN from_date = 'infinity'
			THEN kb_raise('22008', 'from_date must not be infinity', NULL, 'Leave it out for the 1st of next month.')
		END;
	-- A price that is beyond a kb_money is refused here, not on the 1st.
	SELECT kb_require_price_range(price, t.currency) FROM tariff t WHERE t.tariff = kb_set_price.tariff;
	-- Two that set prices of one tariff take turns.
	SELECT FROM tariff t WHERE t.tariff = kb_set_price.tariff FOR NO KEY UPDATE;
	-- What holds on the day already is not written again.
	SELECT coalesce((SELECT p.from_date FROM kb_price_on($1, $2, d.day) p WHERE p.price = $3 AND p.prorate = $5),
					kb_put_price($1, $2, $3, d.day, $5))
	FROM (SELECT coalesce($4, kb_price_change_on($1, $2, kb_now())) AS day) d;
END;
COMMENT ON FUNCTION kb_set_price(text, text, kb_price, date, boolean) IS
'Sets the price of a service in a tariff from a date on, until the date of the next price, and returns the date from '
'which it holds. NULL is the beginning for the first price of a service in a tariff, and for a change the 1st of next '
'month (UTC). If the price holds on that day already, nothing is changed, and the date is that from which it holds. '
'A date that has passed changes what the running month costs, usage too (C3); what has been charged stays as it is. '
'Errors: KB012 for an unknown tariff or service; 22003 for a price that kb_money cannot hold; 22008 for infinity';

CREATE FUNCTION kbilling_internal.kb_put_tariff(account_id bigint, tariff text, from_date date, stage_before kb_stage) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_require_open(account_id, from_date);
	SELECT CASE
		WHEN t.currency <> a.currency
			THEN kb_raise('KB002', format('tariff "%s" is in %s, but account %s is in %s', t.tariff, t.currency, a.account_id, a.currency),
						  'An account keeps its currency.', 'Choose a tariff in that currency.')
		END
	FROM account a, tariff t
	WHERE a.account_id = kb_put_tariff.account_id AND t.tariff = kb_put_tariff.tariff;
	-- What holds on the day, and what was to come after it (J9)
	WITH old AS (
		SELECT jsonb_agg(jsonb_build_object('tariff', x.tariff, 'from_date', x.from_date) ORDER BY x.from_date) AS tariffs
		FROM account_tariff x
		WHERE x.account_id = kb_put_tariff.account_id AND x.to_date > kb_put_tariff.from_date
	)
	INSERT INTO change_log (subject, account_id, tariff, before, after)
	SELECT 'account_tariff', kb_put_tariff.account_id, kb_put_tariff.tariff,
		   old.tariffs -> 0
		   || CASE WHEN jsonb_array_length(old.tariffs) > 1 THEN jsonb_build_object('dropped', old.tariffs - 0) ELSE '{}' END,
		   jsonb_build_object('tariff', kb_put_tariff.tariff, 'from_date', kb_put_tariff.from_date)
	FROM old
	WHERE old.tariffs -> 0 ->> 'tariff' <> kb_put_tariff.tariff OR jsonb_array_length(old.tariffs) > 1;
	-- The tariff so far ends there; what was to come after it is dropped.
	INSERT INTO tariff_history (account_id, from_date, to_date, tariff)
	SELECT a.account_id, a.tariff_from, kb_put_tariff.from_date, a.tariff FROM account a
	WHERE a.account_id = kb_put_tariff.account_id AND a.tariff_from < kb_put_tariff.from_date;
	DELETE FROM tariff_history h
	WHERE h.account_id = kb_put_tariff.account_id AND h.from_date >= kb_put_tariff.from_date;
	UPDATE tariff_history h SET to_date = kb_put_tariff.from_date
	WHERE h.account_id = kb_put_tariff.account_id AND h.to_date > kb_put_tariff.from_date;
	-- the sweep looks whether its policy allows a closure (D1)
	UPDATE account a
	SET tariff = kb_put_tariff.tariff, tariff_from = kb_put_tariff.from_date, terms_version = a.terms_version + 1,
		closure_check_on = CASE WHEN a.closure_check_on IS NOT NULL THEN least(a.closure_check_on, kb_put_tariff.from_date) END,
		credit_check_on = CASE WHEN a.credit_check_on IS NOT NULL THEN least(a.credit_check_on, kb_put_tariff.from_date) END
	WHERE a.account_id = kb_put_tariff.account_id;
	-- a day's margin, as the transaction may end on another day than it began
	SELECT kb_reprice_account(a.account_id, kb_put_tariff.from_date) FROM account a
	WHERE a.account_id = kb_put_tariff.account_id AND kb_put_tariff.from_date <= kb_account_date(kb_now(), a.time_zone) + 1;
	-- its policy may have other days
	SELECT kb_notify_stages(ARRAY[a.account_id], kb_now(), kb_put_tariff.stage_before, 'terms ' || a.terms_version)
	FROM account a WHERE a.account_id = kb_put_tariff.account_id;
END;
COMMENT ON FUNCTION kb_put_tariff(bigint, text, date, kb_stage) IS
'Writes what kb_set_tariff has resolved, and a notice if that makes the stage another than before. The account is '
'locked';

CREATE FUNCTION kbilling.kb_set_tariff(account_id bigint, tariff text, from_date date = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_lock_account(account_id);
	SELECT kb_require_tariff(tariff);
	SELECT kb_put_tariff(account_id, tariff, coalesce(from_date, kb_today(account_id)), kb_access_stage(account_id));
END;
COMMENT ON FUNCTION kb_set_tariff(bigint, text, date) IS
'Puts the account on another tariff of its currency, from a local date on (NULL: today). Changes of tariff that were '
'to come after that date are dropped. Services for which the tariff has no price are not billed. '
'Errors: KB001, KB010, KB012, KB002; KB009 if the day has been charged';

CREATE TABLE kbilling.subscription (
	account_id bigint NOT NULL REFERENCES account,
	service    kb_text NOT NULL REFERENCES service,
	from_date  date NOT NULL,
	to_date    date NOT NULL DEFAULT 'infinity',
	quantity   numeric NOT NULL CHECK (quantity > 0 AND quantity < 'infinity'),
	PRIMARY KEY (account_id, service, from_date),
	CHECK (from_date < to_date)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.subscription', '');
COMMENT ON TABLE subscription IS
'The days on which recurring services were on; written by kb_switch_on and kb_switch_off';
COMMENT ON COLUMN subscription.account_id IS 'The account';
COMMENT ON COLUMN subscription.service IS 'The recurring service';
COMMENT ON COLUMN subscription.from_date IS 'First day on which it is on';
COMMENT ON COLUMN subscription.to_date IS 'First day on which it is off again';
COMMENT ON COLUMN subscription.quantity IS 'How many units are on';

CREATE FUNCTION kbilling_internal.kb_put_subscription(account_id bigint, service text, quantity numeric, from_date date) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_require_open(account_id, from_date);
	SELECT CASE
		WHEN s.kind <> 'recurring' OR s.service = 'base'
			THEN kb_raise('22023', format('service "%s" cannot be switched on or off', s.service),
						  CASE WHEN s.service = 'base' THEN 'The base fee is always due.'
							   WHEN s.kind = 'one_off' THEN 'It is billed when it is bought, by kb_buy.'
							   ELSE 'A metered service is billed by its usage.' END)
		END
	FROM service s WHERE s.service = kb_put_subscription.service;
	-- What is on that day, and what was to come after it (J9)
	WITH old AS (
		SELECT jsonb_agg(p.part ORDER BY u.from_date) FILTER (WHERE u.from_date <= kb_put_subscription.from_date) -> 0 AS part,
			   jsonb_agg(p.part ORDER BY u.from_date) FILTER (WHERE u.from_date > kb_put_subscription.from_date) AS dropped
		FROM subscription u
		CROSS JOIN LATERAL (SELECT jsonb_build_object('quantity', u.quantity, 'from_date', u.from_date, 'to_date', u.to_date) AS part) p
		WHERE u.account_id = kb_put_subscription.account_id AND u.service = kb_put_subscription.service
			AND u.to_date > kb_put_subscription.from_date
	)
	INSERT INTO change_log (subject, account_id, service, before, after)
	SELECT 'subscription', kb_put_subscription.account_id, kb_put_subscription.service,
		   CASE WHEN old.dropped IS NULL THEN old.part ELSE coalesce(old.part, '{}') || jsonb_build_object('dropped', old.dropped) END,
		   jsonb_build_object('quantity', kb_put_subscription.quantity, 'from_date', kb_put_subscription.from_date)
	FROM old
	WHERE coalesce((old.part ->> 'quantity')::numeric, 0) IS DISTINCT FROM kb_put_subscription.quantity
		OR old.dropped IS NOT NULL OR old.part ->> 'to_date' <> 'infinity';
	DELETE FROM subscription u
	WHERE u.account_id = kb_put_subscription.account_id AND u.service = kb_put_subscription.service
		AND u.from_date >= kb_put_subscription.from_date;
	UPDATE subscription u SET to_date = kb_put_subscription.from_date
	WHERE u.account_id = kb_put_subscription.account_id AND u.service = kb_put_subscription.service
		AND u.to_date > kb_put_subscription.from_date;
	INSERT INTO subscription (account_id, service, from_date, quantity)
	SELECT kb_put_subscription.account_id, kb_put_subscription.service, kb_put_subscription.from_date, kb_put_subscription.quantity
	WHERE kb_put_subscription.quantity IS DISTINCT FROM 0;
	UPDATE account a SET terms_version = a.terms_version + 1
	WHERE a.account_id = kb_put_subscription.account_id;
END;
COMMENT ON FUNCTION kb_put_subscription(bigint, text, numeric, date) IS
'Writes what kb_switch_on and kb_switch_off (quantity 0) have resolved. The account is locked';

CREATE FUNCTION kbilling.kb_switch_on(account_id bigint, service text, quantity numeric = 1, from_date date = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('quantity', quantity);
	SELECT kb_lock_account(account_id);
	SELECT kb_require_service(service);
	SELECT CASE
		WHEN NOT (quantity > 0 AND quantity < 'infinity')
			THEN kb_raise('22003', 'quantity must be finite and above zero', format('It is %s.', quantity),
						  'Use kb_switch_off to switch a service off.')
		END;
	SELECT kb_put_subscription(account_id, service, quantity, coalesce(from_date, kb_today(account_id)));
	SELECT kb_require_price(t.tariff, service, d.day, quantity)
	FROM account a
	CROSS JOIN LATERAL (SELECT coalesce(kb_switch_on.from_date, kb_account_date(kb_now(), a.time_zone)) AS day) d
	CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, d.day) t
	WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_switch_on(bigint, text, numeric, date) IS
'Switches a recurring service on, or changes its quantity, from a local date on (NULL: today). What was to come for '
'the service after that date is dropped. '
'Errors: KB001, KB010; KB012 for an unknown service, or one without a price in the account''s tariff; KB009 if the '
'day has been charged; 22003 for a quantity that is not finite and above zero';

CREATE FUNCTION kbilling.kb_switch_off(account_id bigint, service text, from_date date = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_lock_account(account_id);
	SELECT kb_require_service(service);
	SELECT kb_put_subscription(account_id, service, 0, coalesce(from_date, kb_today(account_id)));
END;
COMMENT ON FUNCTION kb_switch_off(bigint, text, date) IS
'Switches a recurring service off from a local date on (NULL: today): the first day that is not charged. '
'Errors: KB001, KB010, KB012; KB009 if the day has been charged';
/*
 * Discounts of accounts, codes that grant them, and minimums of tariffs (C9, C10).
 */

CREATE TABLE kbilling.tariff_minimum (
	tariff    kb_text NOT NULL REFERENCES tariff,
	from_date date NOT NULL,
	to_date   date NOT NULL DEFAULT 'infinity',
	amount    kb_money NOT NULL CHECK (amount >= 0),
	PRIMARY KEY (tariff, from_date),
	CHECK (from_date < to_date)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.tariff_minimum', '');
COMMENT ON TABLE tariff_minimum IS 'The least that a month costs on a tariff, all lines together, by date (C10); written by kb_set_minimum';
COMMENT ON COLUMN tariff_minimum.tariff IS 'The tariff';
COMMENT ON COLUMN tariff_minimum.from_date IS 'First day on which it holds';
COMMENT ON COLUMN tariff_minimum.to_date IS 'The day after the last on which it holds: the next row''s "from_date"';
COMMENT ON COLUMN tariff_minimum.amount IS 'The least for a whole month; zero: there is none';

CREATE TABLE kbilling.discount (
	account_id  bigint NOT NULL REFERENCES account,
	discount_no integer NOT NULL,
	percent     numeric,
	amount      kb_money,
	services    text[],
	from_period date NOT NULL,
	to_period   date NOT NULL DEFAULT 'infinity',
	code        kb_text,
	PRIMARY KEY (account_id, discount_no),
	CHECK ((percent IS NULL) <> (amount IS NULL)),
	CHECK (from_period <= to_period)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.discount', '');
COMMENT ON TABLE discount IS
'Discounts of accounts (C9); written by kb_set_discount and kb_redeem_code. One that has ended, or was replaced, stays';
COMMENT ON COLUMN discount.account_id IS 'The account';
COMMENT ON COLUMN discount.discount_no IS 'Its number within the account; discounts are taken in the order of their numbers';
COMMENT ON COLUMN discount.percent IS 'How much it takes off, in percent; NULL if it is an amount';
COMMENT ON COLUMN discount.amount IS 'How much it takes off a month; NULL if it is a percentage';
COMMENT ON COLUMN discount.services IS 'The services that it is for, in their order; NULL: all';
COMMENT ON COLUMN discount.from_period IS 'The first month that it is for, by its first day';
COMMENT ON COLUMN discount.to_period IS 'The month after the last that it is for; if it is "from_period", it is for none';
COMMENT ON COLUMN discount.code IS 'The code that granted it; NULL: kb_set_discount';

CREATE TABLE kbilling.discount_code (
	code        kb_text PRIMARY KEY CHECK (code <> ''),
	percent     numeric,
	amount      kb_money,
	services    text[],
	months      integer CHECK (months > 0),
	valid_until date NOT NULL DEFAULT 'infinity',
	max_uses    integer CHECK (max_uses > 0),
	CHECK ((percent IS NULL) <> (amount IS NULL))
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.discount_code', '');
COMMENT ON TABLE discount_code IS 'Codes that grant a discount (C9); written by kb_create_discount_code';
COMMENT ON COLUMN discount_code.code IS 'The code, as it is to be typed';
COMMENT ON COLUMN discount_code.percent IS 'How much the discount takes off, in percent; NULL if it is an amount';
COMMENT ON COLUMN discount_code.amount IS 'How much it takes off a month; NULL if it is a percentage';
COMMENT ON COLUMN discount_code.services IS 'The services that it is for, in their order; NULL: all';
COMMENT ON COLUMN discount_code.months IS 'For how many months it is, from the one in which the code is redeemed; NULL: for good';
COMMENT ON COLUMN discount_code.valid_until IS 'The last day on which the code can be redeemed, by the account''s local date';
COMMENT ON COLUMN discount_code.max_uses IS 'How many accounts can redeem it on one node; NULL: any number';

CREATE TABLE kbilling.discount_code_use (
	code kb_text PRIMARY KEY,
	uses integer NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.discount_code_use', '');
COMMENT ON TABLE discount_code_use IS
'How many accounts have redeemed a code on this node (C9). It is no part of the price list: each node counts its own';
COMMENT ON COLUMN discount_code_use.code IS 'The code';
COMMENT ON COLUMN discount_code_use.uses IS 'How many accounts';

-- Minimums

CREATE FUNCTION kbilling_internal.kb_put_minimum(tariff text, amount kb_money, from_date date) RETURNS date
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	INSERT INTO change_log (subject, tariff, before, after)
	SELECT 'minimum', $1,
		   (SELECT to_jsonb(m) - 'tariff' FROM tariff_minimum m WHERE m.tariff = $1 AND m.from_date <= $3 AND m.to_date > $3),
		   jsonb_build_object('amount', $2, 'from_date', $3, 'to_date', coalesce(
			   (SELECT min(m.from_date) FROM tariff_minimum m WHERE m.tariff = $1 AND m.from_date > $3), 'infinity'));
	UPDATE tariff_minimum m SET to_date = $3 WHERE m.tariff = $1 AND m.from_date < $3 AND m.to_date > $3;
	INSERT INTO tariff_minimum AS m (tariff, from_date, to_date, amount)
	SELECT $1, $3, coalesce((SELECT min(n.from_date) FROM tariff_minimum n WHERE n.tariff = $1 AND n.from_date > $3), 'infinity'), $2
	ON CONFLICT ON CONSTRAINT tariff_minimum_pkey DO UPDATE SET amount = excluded.amount;
	SELECT $3;
END;
COMMENT ON FUNCTION kb_put_minimum(text, kb_money, date) IS
'Writes what kb_set_minimum sets, from a date on to that of the next one, logs it (J9), and returns the date. The tariff is '
'locked';

CREATE FUNCTION kbilling.kb_set_minimum(tariff text, amount kb_money, from_date date = NULL) RETURNS date
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('amount', amount);
	SELECT kb_require_tariff(tariff);
	SELECT CASE
		WHEN t.currency <> kb_currency(amount)
			THEN kb_raise('KB002', format('tariff "%s" is in %s, but the minimum is in %s', t.tariff, t.currency, kb_currency(amount)),
						  'A tariff has one currency.', 'Give the minimum in it.')
		WHEN amount < 0
			THEN kb_raise('22023', 'a minimum must not be below zero', format('It is %s.', amount), 'Zero is no minimum.')
		WHEN from_date = 'infinity'
			THEN kb_raise('22008', 'from_date must not be infinity', NULL, 'Leave it out for the 1st of next month.')
		END
	FROM tariff t WHERE t.tariff = kb_set_minimum.tariff;
	-- Two that set terms of one tariff take turns.
	SELECT FROM tariff t WHERE t.tariff = kb_set_minimum.tariff FOR NO KEY UPDATE;
	SELECT coalesce((SELECT m.from_date FROM tariff_minimum m
					 WHERE m.tariff = $1 AND m.from_date <= d.day AND m.to_date > d.day AND kb_minor(m.amount) = kb_minor($2)),
					kb_put_minimum($1, $2, d.day))
	FROM (SELECT coalesce($3, CASE WHEN EXISTS (SELECT FROM tariff_minimum m WHERE m.tariff = $1)
								  THEN kb_month_last_day(kb_account_date(kb_now(), 'UTC')) + 1 ELSE '-infinity' END) AS day) d;
END;
COMMENT ON FUNCTION kb_set_minimum(text, kb_money, date) IS
'Sets the least that a month costs on a tariff, all lines together, from a date on, until that of the next one, and returns the date '
'from which it holds (C10). Zero: there is none. NULL is the beginning for a tariff''s first minimum, and for a change the 1st of next '
'month (UTC). A date that has passed counts for months that are not charged yet. '
'Errors: KB012 for an unknown tariff, KB002 for another currency, 22023 below zero, 22008 for infinity';

-- Discounts

CREATE FUNCTION kbilling_internal.kb_require_discount(percent numeric, amount kb_money, services text[], months integer) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN percent IS NOT NULL AND amount IS NOT NULL
			THEN kb_raise('22023', 'a discount is a percentage or an amount', 'Both are given.', 'Give one of them.')
		WHEN NOT (percent > 0 AND percent <= 100) OR scale(percent) > 4
			THEN kb_raise('22023', 'percent must be above 0, at most 100, with up to 4 decimals', format('It is %s.', percent),
						  'A discount never takes more than what is charged.')
		WHEN amount <= 0
			THEN kb_raise('22023', 'amount must be above zero', format('It is %s.', amount), 'It is what is taken off a month.')
		WHEN services = '{}' OR array_position(services, NULL) IS NOT NULL
			THEN kb_raise('22023', 'services must not be empty, and must not have null', NULL, 'Leave them out for all services.')
		WHEN months <= 0
			THEN kb_raise('22023', 'months must be above zero', format('It is %s.', months), 'Leave it out for a discount without end.')
		END;
	SELECT kb_require_service(s) FROM unnest(services) s;
	SELECT CASE
		WHEN s.kind = 'one_off'
			THEN kb_raise('22023', format('service "%s" cannot be discounted', s.service), 'It is charged when it is bought.',
						  'Set another price for it in a tariff.')
		END
	FROM service s WHERE s.service = ANY (services);
END;
COMMENT ON FUNCTION kb_require_discount(numeric, kb_money, text[], integer) IS
'Raises 22023 for a discount that is none, KB012 for an unknown service';

CREATE FUNCTION kbilling_internal.kb_require_discount_currency(account_id bigint, amount kb_money) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN a.currency <> kb_currency($2)
			THEN kb_raise('KB002', format('account %s is in %s, but the discount is in %s', $1, a.currency, kb_currency($2)), NULL,
						  format('Give a discount in %s, or in percent.', a.currency))
		END
	FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_require_discount_currency(bigint, kb_money) IS 'Raises KB002 if the discount is not in the account''s currency';

CREATE FUNCTION kbilling_internal.kb_put_discount(account_id bigint, percent numeric, amount kb_money, services text[], from_period date,
												  months integer, code text, member text)
	RETURNS integer
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH new AS (
		INSERT INTO discount AS d (account_id, discount_no, percent, amount, services, from_period, to_period, code)
		SELECT $1, coalesce(max(o.discount_no), 0) + 1, $2, $3, $4, $5, coalesce(($5 + $6 * interval '1 month')::date, 'infinity'), $7
		FROM discount o WHERE o.account_id = $1
		RETURNING d.*
	), logged AS (
		INSERT INTO change_log (subject, account_id, member, after)
		SELECT 'discount', $1, $8, to_jsonb(new) - 'account_id' FROM new
	)
	SELECT new.discount_no FROM new;
END;
COMMENT ON FUNCTION kb_put_discount(bigint, numeric, kb_money, text[], date, integer, text, text) IS
'Writes a discount, logs it (J9), and returns its number. The account is locked';

CREATE FUNCTION kbilling_internal.kb_discount_from(account_id bigint) RETURNS date
	LANGUAGE sql STABLE
RETURN (SELECT kb_month_first_day(greatest(kb_today(a.account_id), a.charged_through + 1)) FROM account a WHERE a.account_id = $1);
COMMENT ON FUNCTION kb_discount_from(bigint) IS
'The month from which a discount holds that is agreed now: the running one, or the one after it if that is charged, as the contract '
'has ended (C9)';

CREATE FUNCTION kbilling_internal.kb_replace_discount(account_id bigint, percent numeric, amount kb_money, services text[],
													  from_period date, months integer)
	RETURNS integer
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH old AS MATERIALIZED (
		SELECT d.* FROM discount d
		WHERE d.account_id = $1 AND d.code IS NULL AND d.services IS NOT DISTINCT FROM $4 AND d.to_period > $5
			AND d.from_period < d.to_period
	), new AS (
		UPDATE discount d SET to_period = greatest(d.from_period, $5)
		FROM old WHERE d.account_id = $1 AND d.discount_no = old.discount_no
		RETURNING d.*
	)
	INSERT INTO change_log (subject, account_id, before, after)
	SELECT 'discount', $1, to_jsonb(old) - 'account_id', to_jsonb(new) - 'account_id' FROM old JOIN new USING (discount_no);
	-- A charge that was computed meanwhile is computed again.
	UPDATE account a SET terms_version = a.terms_version + 1 WHERE a.account_id = $1;
	SELECT kb_put_discount($1, $2, $3, $4, $5, $6, NULL, NULL) WHERE $2 IS NOT NULL OR $3 IS NOT NULL;
END;
COMMENT ON FUNCTION kb_replace_discount(bigint, numeric, kb_money, text[], date, integer) IS
'Ends the discount that kb_set_discount has set for these services, from a month on, and those to come, puts another one in its place, '
'logs both (J9), and returns the number of the new one. The account is locked';

CREATE FUNCTION kbilling.kb_set_discount(account_id bigint, percent numeric = NULL, amount kb_money = NULL, services text[] = NULL,
										 months integer = NULL, from_period date = NULL)
	RETURNS integer
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_discount($2, $3, $4, $5);
	SELECT kb_lock_account($1);
	SELECT kb_require_discount_currency($1, $3);
	SELECT CASE
		WHEN NOT isfinite($6) OR $6 <> kb_month_first_day($6)
			THEN kb_raise('22023', format('%s is not the first day of a month', $6), NULL, 'A period is named by its first day.')
		WHEN $6 < kb_month_first_day(a.charged_through + 1)
			THEN kb_raise('KB009', format('period %s of account %s has been charged', $6, $1), 'What is charged stays as it is (C4).',
						  'Let the discount begin with a later month, or give back money with kb_adjust.')
		END
	FROM account a WHERE a.account_id = $1;
	SELECT coalesce((SELECT max(d.discount_no) FROM discount d
					 WHERE d.account_id = $1 AND d.code IS NULL AND d.services IS NOT DISTINCT FROM w.services
						AND d.from_period <= w.from_period AND d.to_period > w.from_period
						AND d.to_period = coalesce((w.from_period + $5 * interval '1 month')::date, 'infinity')
						AND (d.percent = $2 OR kb_minor(d.amount) = kb_minor($3))),
					kb_replace_discount($1, trim_scale($2), $3, w.services, w.from_period, $5))
	FROM (SELECT coalesce($6, kb_discount_from($1)) AS from_period,
				 (SELECT array_agg(DISTINCT s ORDER BY s) FROM unnest($4) s) AS services) w;
END;
COMMENT ON FUNCTION kb_set_discount(bigint, numeric, kb_money, text[], integer, date) IS
'Sets an account''s own discount, in percent or as an amount a month, for the lines of these services (NULL: all), for so many months '
'(NULL: without end), from the month that is named by its first day (NULL: the running one, or the next if that is charged), and returns '
'its number (C9). It takes the place of the one for the same services, from that month on; without percent and amount that one ends, and '
'the result is NULL. '
'Errors: KB001, KB010; KB002 for another currency; KB009 for a month that is charged; KB012 for an unknown service; 22023 for other '
'numbers, a service of the kind "one_off", and a date that is not the first of a month';

-- Codes

CREATE FUNCTION kbilling.kb_create_discount_code(code text, percent numeric = NULL, amount kb_money = NULL, services text[] = NULL,
												 months integer = NULL, valid_until date = NULL, max_uses integer = NULL)
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('code', code);
	SELECT kb_require_discount($2, $3, $4, $5);
	SELECT CASE
		WHEN code = ''
			THEN kb_raise('22023', 'code must not be empty')
		WHEN percent IS NULL AND amount IS NULL
			THEN kb_raise('22023', 'a discount is a percentage or an amount', 'None is given.', 'Give one of them.')
		WHEN max_uses <= 0
			THEN kb_raise('22023', 'max_uses must be above zero', format('It is %s.', max_uses), 'Leave it out for any number.')
		END;
	WITH new AS (
		INSERT INTO discount_code AS c (code, percent, amount, services, months, valid_until, max_uses)
		SELECT $1, trim_scale($2), $3, (SELECT array_agg(DISTINCT s ORDER BY s) FROM unnest($4) s), $5, coalesce($6, 'infinity'), $7
		RETURNING c.*
	)
	INSERT INTO change_log (subject, after) SELECT 'discount_code', to_jsonb(new) FROM new;
END;
COMMENT ON FUNCTION kb_create_discount_code(text, numeric, kb_money, text[], integer, date, integer) IS
'Creates a code that grants a discount when it is redeemed: percent or amount, services and months are as in kb_set_discount (C9). '
'It can be redeemed up to the day "valid_until" (NULL: always), by "max_uses" accounts (NULL: any number), which each node counts for '
'itself. '
'Errors: 23505 if the code exists; KB012 for an unknown service; 22023 as kb_set_discount, and without percent and amount';

CREATE FUNCTION kbilling.kb_drop_discount_code(code text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('code', code);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM discount_code c WHERE c.code = $1)
			THEN kb_raise('22023', format('there is no discount code "%s"', $1), NULL, 'Look it up in kbilling.discount_code.')
		END;
	WITH old AS (
		DELETE FROM discount_code c WHERE c.code = $1 RETURNING c.*
	)
	INSERT INTO change_log (subject, before) SELECT 'discount_code', to_jsonb(old) FROM old;
END;
COMMENT ON FUNCTION kb_drop_discount_code(text) IS
'Drops a discount code, so that nobody redeems it any more. The discounts that it has granted stay. '
'Errors: 22023 for an unknown code';

-- Who counts a use waits for whoever counts another one, so that no more are counted than there may be.
CREATE FUNCTION kbilling_internal.kb_use_code(account_id bigint, code text, member text) RETURNS integer
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT CASE
		WHEN c.code IS NULL
			THEN kb_raise('22023', format('there is no discount code "%s"', $2), NULL, 'A code is to be typed as it was given.')
		WHEN c.valid_until < kb_today($1)
			THEN kb_raise('22008', format('discount code "%s" is not valid any more', $2), format('It was valid until %s.', c.valid_until),
						  'Ask for another code.')
		END
	FROM (SELECT) x LEFT JOIN discount_code c ON c.code = $2;
	SELECT kb_require_discount_currency($1, c.amount) FROM discount_code c WHERE c.code = $2;
	WITH used AS (
		INSERT INTO discount_code_use AS u (code, uses) SELECT c.code, 1 FROM discount_code c WHERE c.code = $2
		ON CONFLICT ON CONSTRAINT discount_code_use_pkey DO UPDATE SET uses = u.uses + 1
			WHERE u.uses < coalesce((SELECT c.max_uses FROM discount_code c WHERE c.code = u.code), 2147483647)
		RETURNING u.code
	)
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM used)
			THEN kb_raise('KB013', format('discount code "%s" is used up', $2),
						  format('%s accounts can redeem it.', (SELECT c.max_uses FROM discount_code c WHERE c.code = $2)),
						  'Ask for another code.')
		END;
	UPDATE account a SET terms_version = a.terms_version + 1 WHERE a.account_id = $1;
	SELECT kb_put_discount($1, c.percent, c.amount, c.services, kb_discount_from($1), c.months, c.code, $3)
	FROM discount_code c WHERE c.code = $2;
END;
COMMENT ON FUNCTION kb_use_code(bigint, text, text) IS
'Counts a use of a code, and grants its discount to an account, which is locked and has not redeemed it yet';

CREATE FUNCTION kbilling.kb_redeem_code(account_id bigint, code text, member text) RETURNS integer
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('code, member', code, member);
	SELECT kb_lock_account(account_id);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM member m WHERE m.account_id = $1 AND m.member = $3 AND m.role IN ('owner', 'admin'))
			THEN kb_raise('KB004', format('member "%s" may not redeem a code for account %s', $3, $1),
						  'Only an owner or admin of the account redeems codes.', 'Ask for an owner or admin.')
		END;
	SELECT coalesce((SELECT d.discount_no FROM discount d WHERE d.account_id = $1 AND d.code = $2), kb_use_code($1, $2, $3));
END;
COMMENT ON FUNCTION kb_redeem_code(bigint, text, text) IS
'Redeems a code for an account: its discount holds from the running month on, or from the next if that is charged, and its number is '
'returned (C9). "member" is who redeems it, an owner or admin. An account redeems a code once; again, the result is the same, and '
'nothing changes. '
'Errors: KB001, KB010; KB002 for a discount in another currency; KB004 if the member is no owner or admin; KB013 if the code is used up; '
'22008 if it is not valid any more; 22023 for an unknown code';

-- What a bill takes from here

CREATE FUNCTION kbilling_internal.kb_discount_terms(account_id bigint, period date)
	RETURNS TABLE (term text, service text, number numeric, discount_no integer)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT CASE WHEN d.percent IS NULL THEN 'amount' ELSE 'percent' END, unnest(coalesce(d.services, '{NULL}')),
		   coalesce(d.percent, kb_amount(d.amount)), d.discount_no
	FROM discount d
	WHERE d.account_id = $1 AND d.from_period <= $2 AND d.to_period > $2;
END;
COMMENT ON FUNCTION kb_discount_terms(bigint, date) IS
'The discounts of an account for a month, a row for each service; NULL for all of them (C9)';

CREATE FUNCTION kbilling_internal.kb_minimum_terms(account_id bigint, tariff text, tariff_from date, first_day date, last_day date)
	RETURNS TABLE (from_date date, to_date date, amount numeric)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT greatest(t.from_date, m.from_date, $4), least(t.to_date, m.to_date, e.to_date), kb_amount(m.amount)
	FROM (SELECT $2 AS tariff, $3 AS from_date, date 'infinity' AS to_date
		  UNION ALL
		  SELECT h.tariff, h.from_date, h.to_date FROM tariff_history h
		  WHERE h.account_id = $1 AND h.from_date <= $5 AND h.to_date > $4 AND $3 > $4) t
	-- nothing is due after the end of the contract (X2)
	CROSS JOIN (SELECT least($5, a.ends_on) + 1 AS to_date FROM account a WHERE a.account_id = $1) e
	JOIN tariff_minimum m ON m.tariff = t.tariff AND m.amount > 0
		AND greatest(t.from_date, m.from_date, $4) < least(t.to_date, m.to_date, e.to_date);
END;
COMMENT ON FUNCTION kb_minimum_terms(bigint, text, date, date, date) IS
'The minimums that an account has had on days of one month, up to the end of its contract; the second and third '
'argument are the columns of its row (C10)';

CREATE FUNCTION kbilling_internal.kb_bill_terms(account_id bigint, tariff text, tariff_from date, first_day date, last_day date)
	RETURNS TABLE (term text, service text, from_date date, to_date date, number numeric, discount_no integer)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT 'minimum', 'base', m.from_date, m.to_date, m.amount, 0 FROM kb_minimum_terms($1, $2, $3, $4, $5) m
	UNION ALL
	SELECT d.term, d.service, $4, $5 + 1, d.number, d.discount_no FROM kb_discount_terms($1, kb_month_first_day($5)) d;
END;
COMMENT ON FUNCTION kb_bill_terms(bigint, text, date, date, date) IS
'The discounts and minimums of an account for days of one month (C9, C10); a discount has a row for each of its services, with NULL '
'for all. The second and third argument are the columns of its row';

CREATE FUNCTION kbilling_internal.kb_late_terms(account_id bigint, tariff text, tariff_from date, periods date[])
	RETURNS TABLE (term text, service text, from_date date, to_date date, number numeric, discount_no integer)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 3
BEGIN ATOMIC
	SELECT t.term, t.service, t.from_date, t.to_date, t.number, t.discount_no
	FROM unnest($4) p (period)
	CROSS JOIN LATERAL kb_bill_terms($1, $2, $3, p.period, kb_month_last_day(p.period)) t
	UNION ALL
	SELECT 'billed', l.service, p.period, p.period + 1, sum(kb_amount(l.amount)), 0
	FROM unnest($4) p (period)
	JOIN entry e ON e.account_id = $1 AND e.kind = 'charge' AND e.period >= p.period
	CROSS JOIN LATERAL kb_line_rows(e.lines) l
	WHERE kb_month_first_day(l.from_date) = p.period AND l.what NOT IN ('discount', 'minimum')
	GROUP BY l.service, p.period;
END;
COMMENT ON FUNCTION kb_late_terms(bigint, text, date, date[]) IS
'The same for months that were charged before, and what their services were billed before: a row "billed" for each';

CREATE FUNCTION kbilling_internal.kb_with_terms(bill kb_bill_result, account_id bigint, currency text, tariff text, tariff_from date,
												first_day date, last_day date)
	RETURNS kb_bill_result
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_with_terms';
COMMENT ON FUNCTION kb_with_terms(kb_bill_result, bigint, text, text, date, date, date) IS
'A bill of an account for days of one month with the lines of its discounts and minimums (C9, C10); as it was if there are none';

CREATE FUNCTION kbilling_internal.kb_bill_entries(total kb_money, lines kb_lines) RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_bill_entries';
COMMENT ON FUNCTION kb_bill_entries(kb_money, kb_lines) IS
'How many entries a charge makes: one, but none if all its lines come to zero (C8)';
/*
 * The one rating path: what an account owes for days of a month, which charge, preview and forecast read (C6).
 */

CREATE TYPE kbilling_internal.kb_days_held AS (from_date date, to_date date, days integer);
COMMENT ON TYPE kb_days_held IS 'The days of a month on which a price held for an account';
COMMENT ON COLUMN kb_days_held.from_date IS 'The first of them; NULL if there is none';
COMMENT ON COLUMN kb_days_held.to_date IS 'The day after the last of them';
COMMENT ON COLUMN kb_days_held.days IS 'How many they are';

CREATE FUNCTION kbilling_internal.kb_days_held(account_id bigint, tariff text, tariff_from date, price_tariff text,
											   from_date date, to_date date, is_listed boolean)
	RETURNS kb_days_held
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
	SELECT ROW(min(greatest(t.from_date, $5)), max(least(t.to_date, $6)),
			   sum(least(t.to_date, $6) - greatest(t.from_date, $5))::integer)::kb_days_held
	FROM (SELECT $2 AS tariff, $3 AS from_date, date 'infinity' AS to_date
		  UNION ALL
		  SELECT h.tariff, h.from_date, h.to_date FROM tariff_history h
		  WHERE h.account_id = $1 AND h.from_date < $6 AND h.to_date > $5) t
	WHERE t.tariff = $4 AND $7 AND greatest(t.from_date, $5) < least(t.to_date, $6)
);
COMMENT ON FUNCTION kb_days_held(bigint, text, date, text, date, date, boolean) IS
'On which days from "from_date" on, and before "to_date", an account had the tariff of a price; the second and third '
'argument are the columns of its row';

CREATE FUNCTION kbilling_internal.kb_last_prorate(account_id bigint, tariff text, tariff_from date, service text,
												  from_date date, to_date date)
	RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
	SELECT p.prorate
	FROM (SELECT $2 AS tariff, $3 AS from_date, date 'infinity' AS to_date
		  UNION ALL
		  SELECT h.tariff, h.from_date, h.to_date FROM tariff_history h
		  WHERE h.account_id = $1 AND h.from_date < $6 AND h.to_date > $5) t
	JOIN price_list p ON p.tariff = t.tariff AND p.service = $4 AND p.to_date > $5
	WHERE greatest(t.from_date, p.from_date, $5) < least(t.to_date, p.to_date, $6)
	ORDER BY least(t.to_date, p.to_date, $6) DESC LIMIT 1
);
COMMENT ON FUNCTION kb_last_prorate(bigint, text, date, text, date, date) IS
'Whether the last price that an account had for a service on days of a month is prorated, which holds for the whole month '
'(C3); NULL if it had none';

-- From usage_from on, only months with late usage count, so that a minimum that was billed is rounded with it (M4).
CREATE FUNCTION kbilling_internal.kb_minimums(account_id bigint, tariff text, tariff_from date, first_day date, last_day date,
											  usage_from date, ends_on date)
	RETURNS TABLE (period date, service text, price_id integer)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT m.period, p.service, p.price_id
	FROM (SELECT kb_month_first_day($5) AS period, $4 AS from_date, least($5, $7) + 1 AS to_date, NULL::text AS service
		  UNION ALL
		  SELECT o.period, o.period, least(kb_month_last_day(o.period), $7) + 1, o.service FROM usage_total o
		  WHERE o.account_id = $1 AND o.period >= $6 AND o.period < kb_month_first_day($5) AND NOT o.settled) m
	CROSS JOIN LATERAL (
		SELECT $2 AS tariff, $3 AS from_date, date 'infinity' AS to_date
		UNION ALL
		SELECT h.tariff, h.from_date, h.to_date FROM tariff_history h
		WHERE h.account_id = $1 AND h.from_date < m.to_date AND h.to_date > m.from_date AND $3 > m.from_date) t
	JOIN price_list p ON p.tariff = t.tariff AND kb_has_minimum(p.price)
		AND greatest(t.from_date, p.from_date, m.from_date) < least(t.to_date, p.to_date, m.to_date)
		AND (m.service IS NULL OR p.service = m.service)
	JOIN service s ON s.service = p.service AND s.kind = 'metered';
END;
COMMENT ON FUNCTION kb_minimums(bigint, text, date, date, date, date, date) IS
'The prices of metered services with a minimum that an account has had on days of a month, used or not (C2); a price '
'may come more than once';

CREATE FUNCTION kbilling_internal.kb_held(account_id bigint, tariff text, tariff_from date, on_date date, at timestamptz)
	RETURNS TABLE (service text, price_id integer, quantity numeric, holds bigint)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT h.service, p.price_id, sum(h.quantity), count(*)
	FROM usage_hold h
	CROSS JOIN LATERAL kb_tariff_on($1, $2, $3, $4) x
	JOIN price_list p ON p.tariff = x.tariff AND p.service = h.service AND p.from_date <= $4 AND p.to_date > $4
	WHERE h.account_id = $1 AND h.expires_at > $5
	GROUP BY h.service, p.price_id;
END;
COMMENT ON FUNCTION kb_held(bigint, text, date, date, timestamptz) IS
'What an account holds at a moment, at the prices of a day; the second and third argument are the columns of its row (L4)';

-- A row for each part in which nothing changes: what the account had, on which tariff, at which price.  Usage has a row
-- for each month and price of it, from usage_from on, with the days on which the price held in the month; if it held on
-- none, as other terms took its place, usage that has stayed with it is of the whole month.  After ends_on the account has
-- nothing.  If paced_on is a day, usage goes on at its pace; if held_at is a moment, what is held then counts as used on the
-- last day.
-- The arguments are what is needed of the account's row, so that it is not read again (account_tariff reads it, which
-- takes 7 % longer); as a whole row it would be built anew for each field.
CREATE FUNCTION kbilling_internal.kb_bill_for(account_id bigint, currency text, tariff text, tariff_from date,
											  first_day date, last_day date, usage_from date, paced_on date, ends_on date,
											  held_at timestamptz = NULL)
	RETURNS TABLE (total kb_money, lines kb_lines)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT coalesce((b.bill).total, kb_money(0, $2)), coalesce((b.bill).lines, '[]')
	FROM (SELECT kb_with_terms(kb_bill(x.service, x.from_date, x.to_date, x.days, x.quantity, x.events, x.billed_quantity, x.billed_events,
						 x.price_id, x.price, x.prorate, $2, $5, $6), $1, $2, $3, $4, $5, $6) AS bill
		  FROM (SELECT h.service, greatest(h.from_date, p.from_date) AS from_date, least(h.to_date, p.to_date) AS to_date,
					   NULL::integer AS days, h.quantity, NULL::bigint AS events, NULL::numeric AS billed_quantity,
					   NULL::bigint AS billed_events, p.price_id, p.price, p.prorate
				FROM (SELECT s.service, t.tariff, greatest(s.from_date, t.from_date) AS from_date,
							 least(s.to_date, t.to_date) AS to_date, s.quantity
					  FROM (SELECT 'base' AS service, $5 AS from_date, $6 + 1 AS to_date, 1::numeric AS quantity
							UNION ALL
							SELECT u.service, greatest(u.from_date, $5), least(u.to_date, $6 + 1), u.quantity
							FROM subscription u
							WHERE u.account_id = $1 AND u.from_date <= $6 AND u.to_date > $5) s
					  JOIN (SELECT $3 AS tariff, $4 AS from_date, coalesce($9 + 1, 'infinity') AS to_date
							UNION ALL
							SELECT h.tariff, h.from_date, least(h.to_date, $9 + 1) FROM tariff_history h
							WHERE h.account_id = $1 AND h.from_date <= $6 AND h.to_date > $5 AND $4 > $5) t
						ON t.from_date < s.to_date AND t.to_date > s.from_date) h
				CROSS JOIN LATERAL (
					SELECT l.price_id, l.price, l.prorate, l.from_date, l.to_date FROM price_list l
					WHERE l.tariff = h.tariff AND l.service = h.service AND l.to_date > h.from_date AND l.from_date < h.to_date
					OFFSET 0) p
				UNION ALL
				SELECT u.service, coalesce((d.held).from_date, m.from_date), coalesce((d.held).to_date, m.to_date),
					   coalesce((d.held).days, 0), u.quantity, u.events, u.billed_quantity, u.billed_events, u.price_id, p.price,
					   CASE WHEN (d.held).days = m.to_date - m.from_date THEN p.prorate
						   ELSE coalesce(kb_last_prorate($1, $3, $4, u.service, m.from_date, m.to_date), p.prorate) END
				FROM (SELECT n.* FROM kb_unbilled_usage($1, $7, kb_month_first_day($6)) n WHERE $8 IS NULL
					  UNION ALL
					  SELECT n.* FROM kb_paced_usage($1, $7, kb_month_first_day($6), $8) n WHERE $8 IS NOT NULL
					  UNION ALL
					  SELECT kb_month_first_day($6), n.service, n.price_id, n.quantity, n.holds, 0, 0
					  FROM kb_held($1, $3, $4, $6, $10) n WHERE $10 IS NOT NULL
					  UNION ALL
					  SELECT n.period, n.service, n.price_id, 0, 0, 0, 0 FROM kb_minimums($1, $3, $4, $5, $6, $7, $9) n) u
				JOIN price p ON p.price_id = u.price_id
				CROSS JOIN LATERAL (
					SELECT CASE u.period WHEN kb_month_first_day($6) THEN $5 ELSE u.period END AS from_date,
						   CASE u.period WHEN kb_month_first_day($6) THEN $6
							   ELSE least(kb_month_last_day(u.period), greatest(coalesce($9, 'infinity'), u.period)) END + 1
							   AS to_date OFFSET 0) m
				-- as a rule it held all the time
				CROSS JOIN LATERAL (
					SELECT CASE WHEN p.tariff = $3 AND $4 <= m.from_date AND p.from_date <= m.from_date AND p.to_date >= m.to_date
								AND p.withdrawn_at IS NULL
							THEN ROW(m.from_date, m.to_date, m.to_date - m.from_date)::kb_days_held
							ELSE kb_days_held($1, $3, $4, p.tariff, greatest(p.from_date, m.from_date), least(p.to_date, m.to_date),
											  p.withdrawn_at IS NULL OR u.period < kb_month_first_day($6)) END AS held OFFSET 0) d
				-- no more than these two looks if there is nothing; the second is one for all accounts
				WHERE $8 IS NOT NULL OR $10 IS NOT NULL
					OR EXISTS (SELECT FROM usage_total o
							   WHERE o.account_id = $1 AND o.period >= $7 AND o.period <= kb_month_first_day($6) AND NOT o.settled)
					OR EXISTS (SELECT FROM price_list l WHERE kb_has_minimum(l.price))) x) b;
END;
COMMENT ON FUNCTION kb_bill_for(bigint, text, text, date, date, date, date, date, date, timestamptz) IS
'What an account owes for days of one month, and the lines of it: the one rating path of charge, preview and '
'forecast (C2, C3, C9, C10)';
/*
 * The lots of credit, and what of it expires (rules G).
 *
 * The account's row has what is unspent, by priority and expiry, so that a posting needs no other row.  What is left of each
 * lot follows from it and the journal, as of those that are alike the oldest is spent first.
 */

CREATE VIEW kbilling.credit_lot WITH (security_invoker) AS
	SELECT s.account_id, s.seq, s.kind, kb_shown_reference(s.key) AS reference, s.topup_seq, s.amount, s.kept,
		   greatest(least(s.kept, s.alike - s.later), s.zero) AS unspent, s.priority, nullif(s.expires_on, 'infinity') AS expires_on,
		   s.posted_at
	FROM (SELECT x.*, sum(x.kept) OVER (PARTITION BY x.account_id, x.currency, x.priority, x.expires_on ORDER BY x.seq DESC) - x.kept
					AS later
		  FROM (SELECT e.account_id, e.seq, e.kind, e.key, t.seq AS topup_seq, e.amount, c.currency, c.zero, l.priority, l.expires_on,
					   e.posted_at, e.amount + coalesce(m.amount, c.zero) AS kept,
					   -- what is unspent of all that are alike
					   CASE WHEN l.priority = 50 AND l.expires_on = 'infinity'
						   THEN a.unspent_bonus - coalesce((SELECT sum(o.amount) FROM unnest(a.lots) o), c.zero)
						   ELSE coalesce((SELECT o.amount FROM unnest(a.lots) o
										  WHERE o.priority = l.priority AND o.expires_on = l.expires_on), c.zero) END AS alike
				FROM entry e
				CROSS JOIN LATERAL (SELECT kb_currency(e.amount) AS currency, e.amount - e.amount AS zero) c
				JOIN account a ON a.account_id = e.account_id AND kb_currency(a.unspent_bonus) = c.currency
				CROSS JOIN LATERAL (SELECT coalesce((e.lots[1]).priority, 50) AS priority,
										   coalesce((e.lots[1]).expires_on, 'infinity') AS expires_on) l
				LEFT JOIN entry t ON t.account_id = e.account_id AND t.seq = e.ref_seq AND t.kind = 'topup'
				-- what has gone of it with its payment, and come back, and a reversal of it
				LEFT JOIN (SELECT b.account_id, b.ref_seq, kb_currency(b.amount) AS currency, sum(b.amount) AS amount
						   FROM entry b WHERE b.kind IN ('bonus', 'reversal')
						   GROUP BY b.account_id, b.ref_seq, kb_currency(b.amount)) m
					ON m.account_id = e.account_id AND m.ref_seq = e.seq AND m.currency = c.currency
				WHERE (e.kind = 'credit' OR e.kind = 'bonus' AND t.seq IS NOT NULL) AND kb_is_owned(e.account_id)) x) s;
COMMENT ON VIEW credit_lot IS 'Every lot of credit: each bonus and each granted credit, and what of it is unspent (G1)';
COMMENT ON COLUMN credit_lot.account_id IS 'The account';
COMMENT ON COLUMN credit_lot.seq IS 'The entry that gave it';
COMMENT ON COLUMN credit_lot.kind IS '"bonus" or "credit"';
COMMENT ON COLUMN credit_lot.reference IS 'The reference under which a credit was granted; NULL for a bonus';
COMMENT ON COLUMN credit_lot.topup_seq IS 'The top-up that has earned a bonus; NULL for a credit';
COMMENT ON COLUMN credit_lot.amount IS 'How much was given';
COMMENT ON COLUMN credit_lot.kept IS 'That, less what was reversed, or has gone with money that was given back (T6, T7)';
COMMENT ON COLUMN credit_lot.unspent IS 'What of it is unspent: of lots with the same priority and expiry the oldest is spent first (G2)';
COMMENT ON COLUMN credit_lot.priority IS 'Lower numbers are spent first';
COMMENT ON COLUMN credit_lot.expires_on IS 'The local date from which on it is spent no more (G3); NULL: it never expires';
COMMENT ON COLUMN credit_lot.posted_at IS 'When it was given';

-- The month of the day is billed up to the day, those before it whole, as the charge will bill them; a hold is of the running month.
CREATE FUNCTION kbilling_internal.kb_owed_through(account_id bigint, day date, at timestamptz) RETURNS TABLE (owed kb_money)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT (
		SELECT sum(b.total)
		FROM unnest(ARRAY(SELECT g::date FROM generate_series(d.oldest::timestamp, $2::timestamp, interval '1 month') g)) m (month)
		CROSS JOIN LATERAL kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from, greatest(m.month, a.charged_through + 1),
			least(kb_month_last_day(m.month), $2), CASE WHEN m.month = d.oldest THEN '-infinity' ELSE m.month END, NULL, a.ends_on,
			CASE WHEN m.month = d.running THEN $3 END) b
		WHERE a.charged_through < $2)
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_month_first_day(a.charged_through + 1) AS oldest,
							   kb_month_first_day(kb_account_date($3, a.time_zone)) AS running OFFSET 0) d
	WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_owed_through(bigint, date, timestamptz) IS
'What an account owes for its months up to a day that are not charged yet, with what it holds at the moment; NULL if all are charged';

CREATE FUNCTION kbilling_internal.kb_owed_before(account_id bigint, lots kb_lot[], expired_through date, charged_through date,
												 today date, at timestamptz)
	RETURNS TABLE (days date[], owed kb_money[])
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT array_agg(x.expires_on), array_agg(o.owed)
	FROM (SELECT DISTINCT o.expires_on FROM unnest($2) o
		  WHERE o.expires_on <= $5 AND o.expires_on > coalesce($3, '-infinity') AND o.expires_on - 1 > $4) x
	CROSS JOIN LATERAL kb_owed_through($1, x.expires_on - 1, $6) o;
END;
COMMENT ON FUNCTION kb_owed_before(bigint, kb_lot[], date, date, date, timestamptz) IS
'The days on which credit of an account has expired that was not looked at yet, and what the account owes for the days before each: '
'what kb_expired_lots has to know. The arguments are columns of its row, its local date, and the moment';

CREATE FUNCTION kbilling_internal.kb_kept(lots kb_lot[], today date, zero kb_money) RETURNS kb_money
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce((SELECT sum(o.amount) FROM unnest($1) o WHERE o.expires_on <= $2), $3);
COMMENT ON FUNCTION kb_kept(kb_lot[], date, kb_money) IS
'How much credit that has expired is on the balance: kept for the charge, once its expiry is booked (G3)';

-- Credit that is kept is to be looked at when the next charge has been posted.
CREATE FUNCTION kbilling_internal.kb_credit_check_on(lots kb_lot[], today date, notice_days integer, charged_on date) RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
	SELECT min(CASE
		WHEN o.expires_on <= $2 THEN greatest($4, $2 + 1)
		WHEN o.expires_on - coalesce($3, 0) > $2 THEN o.expires_on - coalesce($3, 0)
		ELSE o.expires_on END)
	FROM unnest($1) o WHERE o.expires_on < 'infinity'
);
COMMENT ON FUNCTION kb_credit_check_on(kb_lot[], date, integer, date) IS
'The day on which the sweep has to look at credit again after a look today: when it is to tell that some will expire, when some '
'expires, or when the next charge has been posted; NULL if none expires';

-- Of what will have to leave the balance if nothing more is used; again, if it has become more.
CREATE FUNCTION kbilling_internal.kb_notify_credit(account_ids bigint[], at timestamptz) RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH news AS MATERIALIZED (
		SELECT a.account_id, x.expires_on, x.amount, a.balance, row_number() OVER (PARTITION BY a.account_id ORDER BY x.expires_on) AS n
		FROM (SELECT o.*, kb_account_date($2, o.time_zone) AS today FROM account o
			  WHERE o.account_id = ANY ($1) AND o.lots IS NOT NULL AND o.state IN ('active', 'closing') OFFSET 0) a
		CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, a.today) p
		JOIN policy q ON q.policy = p.policy
		CROSS JOIN LATERAL kb_owed_through(a.account_id, a.today, $2) u
		CROSS JOIN LATERAL (SELECT array_agg(DISTINCT o.expires_on) AS days FROM unnest(a.lots) o
							WHERE o.expires_on > a.today AND o.expires_on - q.credit_notice_days <= a.today) d
		CROSS JOIN LATERAL (
			SELECT l.expires_on, - sum(l.amount) AS amount
			FROM unnest(kb_expired_lots(a.lots, a.unspent_bonus, a.today, a.charged_through, (SELECT max(e) FROM unnest(d.days) e), d.days,
										array_fill(u.owed, ARRAY[coalesce(cardinality(d.days), 0)]))) l
			WHERE l.expires_on > a.today GROUP BY l.expires_on) x
		WHERE NOT EXISTS (SELECT FROM notice n WHERE n.account_id = a.account_id AND n.kind = 'credit_expiring'
							AND n.facts->>'expires_on' = to_char(x.expires_on, 'YYYY-MM-DD')
							AND (n.facts->>'amount')::kb_money >= x.amount)
	), numbered AS (
		UPDATE account a SET last_notice_no = a.last_notice_no + c.notices
		FROM (SELECT x.account_id, count(*) AS notices FROM news x GROUP BY x.account_id) c
		WHERE a.account_id = c.account_id
		RETURNING a.account_id, a.last_notice_no - c.notices AS before
	), written AS (
		INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, facts)
		SELECT x.account_id, b.before + x.n, $2, $2, 'credit_expiring', to_char(x.expires_on, 'YYYY-MM-DD') || ' ' || x.amount,
			   jsonb_build_object('amount', x.amount, 'expires_on', x.expires_on, 'last_day', x.expires_on - 1, 'balance', x.balance)
		FROM news x JOIN numbered b ON b.account_id = x.account_id
		RETURNING notice_no
	)
	SELECT kb_wake(count(*)) FROM written;
END;
COMMENT ON FUNCTION kb_notify_credit(bigint[], timestamptz) IS
'Writes the notices of credit that will expire in the days that the policy names, if nothing more is used, which accounts have not '
'got yet, and returns how many (G3). They are locked';
/*
 * The month charge: what is due, and the running month.
 */

CREATE FUNCTION kbilling_internal.kb_charges(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, charged_through date, terms_version integer, period date, last_day date,
				   effective_on date, key text, total kb_money, lines kb_lines, lots kb_lot[], entries integer,
				   today date, remind_day integer, restrict_day integer, block_day integer)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.account_id, a.charged_through, a.terms_version, d.period, d.last_day,
		   kb_charge_effective_on(d.today, p.debt_counts_from, d.due_on),
		   'kb:charge:' || to_char(d.period, 'YYYY-MM-DD'),
		   b.total, b.lines, a.lots, kb_bill_entries(b.total, b.lines),
		   d.today, p.remind_day, p.restrict_day, p.block_day
	FROM unnest($1) i (account_id)
	JOIN account a ON a.account_id = i.account_id
	-- OFFSET 0 keeps these from being computed wherever they are used
	CROSS JOIN LATERAL (SELECT kb_month_first_day(a.charged_through + 1) AS period,
							   kb_month_last_day(a.charged_through + 1) AS last_day,
							   kb_charge_due_on(a.charged_through, a.ends_on) AS due_on,
							   kb_account_date($2, a.time_zone) AS today OFFSET 0) d
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	CROSS JOIN LATERAL kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from, a.charged_through + 1,
		greatest(d.due_on - 1, a.charged_through + 1), '-infinity', NULL, a.ends_on) b
	WHERE a.state IN ('active', 'closing') AND d.due_on <= d.today	-- D5, C1
		AND ((a.credit_check_on <= d.today) IS NOT TRUE	-- G3
			 OR NOT kb_lots_may_expire(a.lots, a.unspent_bonus, a.expired_through, a.charged_through, d.today));
END;
COMMENT ON FUNCTION kb_charges(bigint[], timestamptz) IS
'The charge of each account''s oldest period that is not charged, if that has ended by the moment in the account''s '
'time zone, or the contract has (C1, C4, X2), and no credit of it has expired that is not booked (G3). The column '
'"entries" is 0 if all its lines come to zero (C8)';

CREATE TYPE kbilling.kb_charge_result AS (
	period    date,
	entry_seq bigint,
	total     kb_money,
	balance   kb_money,
	stage     kb_stage,
	replayed  boolean
);
COMMENT ON TYPE kb_charge_result IS 'What kb_month_charge has done';
COMMENT ON COLUMN kb_charge_result.period IS 'The month that was charged, by its first day';
COMMENT ON COLUMN kb_charge_result.entry_seq IS 'The entry; NULL if the month came to zero (C8)';
COMMENT ON COLUMN kb_charge_result.total IS
'What was charged; below zero if more usage of earlier months was taken back than the month costs';
COMMENT ON COLUMN kb_charge_result.balance IS 'The balance after it';
COMMENT ON COLUMN kb_charge_result.stage IS 'The stage after it, at the moment of the posting';
COMMENT ON COLUMN kb_charge_result.replayed IS 'True if the period was charged before; then nothing has changed';

CREATE FUNCTION kbilling.kb_month_charge(account_id bigint, period date = NULL) RETURNS kb_charge_result
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_month_charge';
COMMENT ON FUNCTION kb_month_charge(bigint, date) IS
'Charges a period that has ended: the one that is given, or else the oldest that is due. It is charged once (C4); '
'for a period that was charged before, the result is that charge. If the contract has ended, so has its last period (X2). '
'Errors: KB001, KB010; KB009 for a period that has not ended, is not the oldest, or is before the account''s first '
'day; 22023 if the date is not the first of a month';

CREATE FUNCTION kbilling_internal.kb_running_days(charged_through date, time_zone text, ends_on date)
	RETURNS TABLE (first_day date, last_day date, usage_from date)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	-- late usage belongs to the month that is charged next
	SELECT greatest(m.period, $1 + 1), d.until, CASE WHEN $1 + 1 < m.period THEN m.period ELSE '-infinity' END
	FROM (SELECT kb_billed_until(t.today, $1, $3) AS until FROM (SELECT kb_account_date(kb_now(), $2) AS today OFFSET 0) t OFFSET 0) d
	CROSS JOIN LATERAL (SELECT kb_month_first_day(d.until) AS period OFFSET 0) m;
END;
COMMENT ON FUNCTION kb_running_days(date, text, date) IS
'Of which days what was used of the running month is billed, and from which month on usage is on that bill (C6); see kb_billed_until';

CREATE VIEW kbilling_internal.running_bill WITH (security_invoker) AS
	SELECT a.account_id, b.total, b.lines
	FROM account a
	CROSS JOIN LATERAL kb_running_days(a.charged_through, a.time_zone, a.ends_on) r
	CROSS JOIN LATERAL kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from, r.first_day, r.last_day, r.usage_from, NULL,
		a.ends_on) b
	WHERE a.state IN ('active', 'closing') AND a.charged_through < r.last_day AND kb_is_owned(a.account_id);
COMMENT ON VIEW running_bill IS
'What every account owes for its running month, up to and including today, by the code that charges it (C6)';
COMMENT ON COLUMN running_bill.account_id IS 'The account';
COMMENT ON COLUMN running_bill.total IS 'Sum of the lines';
COMMENT ON COLUMN running_bill.lines IS 'The lines, as in kbilling.entry';

CREATE VIEW kbilling.current_usage WITH (security_invoker) AS
	SELECT r.account_id, l.line_no::integer, l.service, l.what, l.from_date, l.to_date, l.days, l.days_in_month,
		   l.quantity, l.events, l.billed_quantity, l.billed_events, l.price, l.amount
	FROM running_bill r
	CROSS JOIN LATERAL kb_line_rows(r.lines) WITH ORDINALITY
		AS l (service, what, from_date, to_date, days, days_in_month, quantity, events, billed_quantity, billed_events,
			  price, amount, line_no);
COMMENT ON VIEW current_usage IS
'The lines of every account''s running month, up to and including today, by the code that charges it (C6)';
COMMENT ON COLUMN current_usage.account_id IS 'The account';
COMMENT ON COLUMN current_usage.line_no IS 'Runs 1, 2, 3, ... within the account';
COMMENT ON COLUMN current_usage.service IS 'What is priced; "base" for the base fee';
COMMENT ON COLUMN current_usage.what IS
'The kind of line: base fee, recurring service, usage, late usage of an earlier month (U3), discount (C9) or minimum (C10)';
COMMENT ON COLUMN current_usage.from_date IS 'First day';
COMMENT ON COLUMN current_usage.to_date IS 'Last day';
COMMENT ON COLUMN current_usage.days IS
'Days charged; for usage, the days for which minimum and maximum of the price count; NULL if it has none';
COMMENT ON COLUMN current_usage.days_in_month IS 'Days that the whole price is for; NULL for usage';
COMMENT ON COLUMN current_usage.quantity IS
'Units; for a discount, the amount that it is of, and for a minimum, what the other lines come to';
COMMENT ON COLUMN current_usage.events IS
'How many events the usage is made of, less corrections; NULL for what is charged by day';
COMMENT ON COLUMN current_usage.billed_quantity IS
'For late usage: how many units of its month were billed before. The amount is what all units cost, less what those '
'cost';
COMMENT ON COLUMN current_usage.billed_events IS 'For late usage: how many events of its month were billed before';
COMMENT ON COLUMN current_usage.price IS 'The price, as a kb_price is written; of a discount, its percentage or amount a month';
COMMENT ON COLUMN current_usage.amount IS 'The amount; those of a service in a month are rounded together (M4)';

CREATE FUNCTION kbilling.kb_current_usage(account_id bigint)
	RETURNS TABLE (line_no integer, service text, what text, from_date date, to_date date, days integer, days_in_month integer,
				   quantity numeric, events bigint, billed_quantity numeric, billed_events bigint, price text, amount kb_money)
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_current_usage';
COMMENT ON FUNCTION kb_current_usage(bigint) IS
'The lines of the account''s running month, up to and including today, by the code that charges it (C6). '
'Errors: KB001';
/*
 * What is left to spend: credit lines, and limits of services (rules L).
 *
 * Each may be agreed for a tariff, and for one account, which then has its own.
 */

CREATE TABLE kbilling.credit_line (
	tariff kb_text PRIMARY KEY REFERENCES tariff,
	amount kb_money NOT NULL CHECK (amount >= 0)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.credit_line', '');
COMMENT ON TABLE credit_line IS
'How far below zero the accounts of a tariff may go by what they use (L1). Accounts of a tariff without a row have no credit '
'line: their usage is not limited by it';
COMMENT ON COLUMN credit_line.tariff IS 'The tariff';
COMMENT ON COLUMN credit_line.amount IS 'The credit line, zero or more: 0.00 lets an account spend what it has paid';

CREATE TABLE kbilling.account_credit_line (
	account_id bigint PRIMARY KEY REFERENCES account,
	amount     kb_money NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.account_credit_line', '');
COMMENT ON TABLE account_credit_line IS 'Credit lines of single accounts, which take the place of their tariff''s (L1)';
COMMENT ON COLUMN account_credit_line.account_id IS 'The account';
COMMENT ON COLUMN account_credit_line.amount IS 'The credit line, zero or more';

CREATE TABLE kbilling.usage_limit (
	tariff   kb_text NOT NULL REFERENCES tariff,
	service  kb_text NOT NULL REFERENCES service,
	quantity numeric NOT NULL CHECK (quantity >= 0 AND quantity < 'infinity'),
	hard     boolean NOT NULL,
	PRIMARY KEY (tariff, service)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.usage_limit', '');
COMMENT ON TABLE usage_limit IS 'How much of a metered service the accounts of a tariff may use in a month (L3)';
COMMENT ON COLUMN usage_limit.tariff IS 'The tariff';
COMMENT ON COLUMN usage_limit.service IS 'The metered service';
COMMENT ON COLUMN usage_limit.quantity IS 'Units in a month, as the service counts them (U2)';
COMMENT ON COLUMN usage_limit.hard IS 'True: what goes beyond is refused (KB013). False: it is taken, and a notice tells of it';

CREATE TABLE kbilling.account_usage_limit (
	account_id bigint NOT NULL REFERENCES account,
	service    kb_text NOT NULL REFERENCES service,
	quantity   numeric NOT NULL,
	hard       boolean NOT NULL,
	PRIMARY KEY (account_id, service)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.account_usage_limit', '');
COMMENT ON TABLE account_usage_limit IS 'Limits of single accounts, which take the place of their tariff''s (L3)';
COMMENT ON COLUMN account_usage_limit.account_id IS 'The account';
COMMENT ON COLUMN account_usage_limit.service IS 'The metered service';
COMMENT ON COLUMN account_usage_limit.quantity IS 'Units in a month, as the service counts them (U2)';
COMMENT ON COLUMN account_usage_limit.hard IS 'True: what goes beyond is refused (KB013). False: it is taken, and a notice tells of it';

CREATE FUNCTION kbilling_internal.kb_require_credit_line(amount kb_money, currency text, of_what text) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN kb_currency(amount) <> currency
			THEN kb_raise('KB002', format('%s is in %s, but the credit line is in %s', of_what, currency, kb_currency(amount)),
						  NULL, format('Give the credit line in %s.', currency))
		WHEN amount < 0
			THEN kb_raise('22023', 'a credit line must not be below zero', format('It is %s.', amount),
						  'It says how far below zero the balance may go: 0 for prepaid, NULL for no credit line.')
		END;
END;
COMMENT ON FUNCTION kb_require_credit_line(kb_money, text, text) IS
'Raises KB002 for a credit line in another currency, 22023 for one below zero; NULL is fine';

CREATE FUNCTION kbilling.kb_set_credit_line(tariff text, amount kb_money) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_tariff(tariff);
	SELECT kb_require_credit_line(amount, t.currency, format('tariff "%s"', t.tariff)) FROM tariff t
	WHERE t.tariff = kb_set_credit_line.tariff;
	-- Two that set terms of one tariff take turns.
	SELECT FROM tariff t WHERE t.tariff = kb_set_credit_line.tariff FOR NO KEY UPDATE;
	INSERT INTO change_log (subject, tariff, before, after)
	SELECT 'credit_line', $1, (SELECT jsonb_build_object('amount', l.amount) FROM credit_line l WHERE l.tariff = $1),
		   CASE WHEN $2 IS NOT NULL THEN jsonb_build_object('amount', $2) END
	WHERE (SELECT kb_minor(l.amount) FROM credit_line l WHERE l.tariff = $1) IS DISTINCT FROM kb_minor($2);
	DELETE FROM credit_line l WHERE l.tariff = $1 AND $2 IS NULL;
	INSERT INTO credit_line AS l (tariff, amount) SELECT $1, $2 WHERE $2 IS NOT NULL
	ON CONFLICT ON CONSTRAINT credit_line_pkey DO UPDATE SET amount = excluded.amount;
END;
COMMENT ON FUNCTION kb_set_credit_line(text, kb_money) IS
'Sets the credit line of a tariff: how far below zero its accounts may go by what they use (L1, L2); NULL: none, so that usage '
'is never refused for it. It holds at once. '
'Errors: KB012 for an unknown tariff, KB002 for another currency, 22023 below zero';

CREATE FUNCTION kbilling.kb_set_account_credit_line(account_id bigint, amount kb_money) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_lock_account($1);
	-- whoever records has begun before, or sees it
	SELECT kb_lock_usage($1);
	SELECT kb_require_credit_line($2, a.currency, format('account %s', a.account_id)) FROM account a WHERE a.account_id = $1;
	INSERT INTO change_log (subject, account_id, before, after)
	SELECT 'credit_line', $1, (SELECT jsonb_build_object('amount', l.amount) FROM account_credit_line l WHERE l.account_id = $1),
		   CASE WHEN $2 IS NOT NULL THEN jsonb_build_object('amount', $2) END
	WHERE (SELECT kb_minor(l.amount) FROM account_credit_line l WHERE l.account_id = $1) IS DISTINCT FROM kb_minor($2);
	DELETE FROM account_credit_line l WHERE l.account_id = $1 AND $2 IS NULL;
	INSERT INTO account_credit_line AS l (account_id, amount) SELECT $1, $2 WHERE $2 IS NOT NULL
	ON CONFLICT ON CONSTRAINT account_credit_line_pkey DO UPDATE SET amount = excluded.amount;
END;
COMMENT ON FUNCTION kb_set_account_credit_line(bigint, kb_money) IS
'Sets an account''s own credit line, in the place of its tariff''s; NULL: that of the tariff again (L1). It holds at once. '
'Errors: KB001, KB010, KB002 for another currency, 22023 below zero';

CREATE FUNCTION kbilling_internal.kb_require_limit(service text, quantity numeric, hard boolean) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT kb_require_service(service);
	SELECT kb_require_not_null('hard', hard) WHERE quantity IS NOT NULL;
	SELECT CASE
		WHEN s.kind <> 'metered'
			THEN kb_raise('22023', format('service "%s" is not metered', s.service), 'A limit is for usage in a month.',
						  'Limit what is switched on by kb_switch_on in your application.')
		WHEN NOT (kb_require_limit.quantity >= 0 AND kb_require_limit.quantity < 'infinity')
			THEN kb_raise('22023', 'a limit must be zero or more, and finite', format('It is %s.', kb_require_limit.quantity),
						  'Give units in a month, or NULL for no limit.')
		END
	FROM service s WHERE s.service = kb_require_limit.service;
END;
COMMENT ON FUNCTION kb_require_limit(text, numeric, boolean) IS
'Raises KB012 for an unknown service, 22023 for one that is not metered and for a limit below zero or not finite';

CREATE FUNCTION kbilling.kb_set_limit(tariff text, service text, quantity numeric, hard boolean = true) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_tariff(tariff);
	SELECT kb_require_limit(service, quantity, hard);
	SELECT FROM tariff t WHERE t.tariff = kb_set_limit.tariff FOR NO KEY UPDATE;
	WITH old AS (
		SELECT jsonb_build_object('quantity', l.quantity, 'hard', l.hard) AS terms FROM usage_limit l
		WHERE l.tariff = $1 AND l.service = $2
	), new AS (
		SELECT CASE WHEN $3 IS NOT NULL THEN jsonb_build_object('quantity', $3, 'hard', $4) END AS terms
	)
	INSERT INTO change_log (subject, tariff, service, before, after)
	SELECT 'limit', $1, $2, old.terms, new.terms FROM new LEFT JOIN old ON true WHERE old.terms IS DISTINCT FROM new.terms;
	DELETE FROM usage_limit l WHERE l.tariff = $1 AND l.service = $2 AND $3 IS NULL;
	INSERT INTO usage_limit (tariff, service, quantity, hard) SELECT $1, $2, $3, $4 WHERE $3 IS NOT NULL
	ON CONFLICT ON CONSTRAINT usage_limit_pkey DO UPDATE SET quantity = excluded.quantity, hard = excluded.hard;
END;
COMMENT ON FUNCTION kb_set_limit(text, text, numeric, boolean) IS
'Sets how much of a metered service the accounts of a tariff may use in a month (L3); NULL: as much as they like. Beyond a '
'"hard" limit usage is refused (KB013), beyond another one a notice is written. It holds at once. '
'Errors: KB012 for an unknown tariff or service; 22023 for a service that is not metered, a limit below zero or not finite';

CREATE FUNCTION kbilling.kb_set_account_limit(account_id bigint, service text, quantity numeric, hard boolean = true) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_limit(service, quantity, hard);
	SELECT kb_lock_account(account_id);
	SELECT kb_lock_usage(account_id);
	WITH old AS (
		SELECT jsonb_build_object('quantity', l.quantity, 'hard', l.hard) AS terms FROM account_usage_limit l
		WHERE l.account_id = $1 AND l.service = $2
	), new AS (
		SELECT CASE WHEN $3 IS NOT NULL THEN jsonb_build_object('quantity', $3, 'hard', $4) END AS terms
	)
	INSERT INTO change_log (subject, account_id, service, before, after)
	SELECT 'limit', $1, $2, old.terms, new.terms FROM new LEFT JOIN old ON true WHERE old.terms IS DISTINCT FROM new.terms;
	DELETE FROM account_usage_limit l WHERE l.account_id = $1 AND l.service = $2 AND $3 IS NULL;
	INSERT INTO account_usage_limit (account_id, service, quantity, hard) SELECT $1, $2, $3, $4 WHERE $3 IS NOT NULL
	ON CONFLICT ON CONSTRAINT account_usage_limit_pkey DO UPDATE SET quantity = excluded.quantity, hard = excluded.hard;
END;
COMMENT ON FUNCTION kb_set_account_limit(bigint, text, numeric, boolean) IS
'Sets an account''s own limit of a metered service, in the place of its tariff''s; NULL: that of the tariff again (L3). It holds '
'at once. '
'Errors: KB001, KB010; KB012 for an unknown service; 22023 for a service that is not metered, a limit below zero or not finite';

-- The months that are not charged yet, up to today, are billed one by one, as a charge would bill them.
CREATE FUNCTION kbilling_internal.kb_uncharged(account_id bigint, at timestamptz) RETURNS TABLE (total kb_money)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT (
		SELECT coalesce(sum(b.total), a.balance - a.balance)
		-- an array, as the planner takes a series for a thousand months, and would compile the statement
		FROM unnest(ARRAY(SELECT g FROM generate_series(d.oldest::timestamp, u.until::timestamp, interval '1 month') g)) m (month)
		CROSS JOIN LATERAL kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from,
			greatest(m.month::date, a.charged_through + 1),
			greatest(least(kb_month_last_day(m.month::date), u.billed_until), m.month::date, a.charged_through + 1),
			CASE WHEN m.month::date = d.oldest THEN '-infinity' ELSE m.month::date END, NULL, a.ends_on,
			CASE WHEN m.month::date = kb_month_first_day(d.today) AND (a.ends_on < d.today) IS NOT TRUE THEN $2 END) b
		WHERE a.charged_through < u.until)
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date($2, a.time_zone) AS today,
							   kb_month_first_day(a.charged_through + 1) AS oldest OFFSET 0) d
	CROSS JOIN LATERAL (
		-- usage may be of the next month already, an hour ahead (U4)
		SELECT b.billed_until, greatest(b.billed_until, CASE WHEN (a.ends_on < d.today) IS NOT TRUE THEN
					(SELECT max(o.period) FROM usage_total o WHERE o.account_id = a.account_id AND NOT o.settled) END) AS until
		FROM (SELECT kb_billed_until(d.today, a.charged_through, a.ends_on) AS billed_until) b OFFSET 0) u
	WHERE a.account_id = $1 AND a.state IN ('active', 'closing');
END;
COMMENT ON FUNCTION kb_uncharged(bigint, timestamptz) IS
'What an account owes for its months up to today that are not charged yet: the running month so far (C6), with what is held, and '
'whatever is due';

CREATE FUNCTION kbilling_internal.kb_credit_line_of(account_id bigint, tariff text, tariff_from date, today date)
	RETURNS TABLE (amount kb_money)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT coalesce((SELECT o.amount FROM account_credit_line o WHERE o.account_id = $1),
					(SELECT l.amount FROM kb_tariff_on($1, $2, $3, $4) x JOIN credit_line l ON l.tariff = x.tariff));
END;
COMMENT ON FUNCTION kb_credit_line_of(bigint, text, date, date) IS
'The credit line that holds for an account on a day: its own, else that of its tariff; NULL if there is none (L1)';

CREATE FUNCTION kbilling_internal.kb_limits_of(account_id bigint, tariff text, tariff_from date, today date)
	RETURNS TABLE (service text, quantity numeric, hard boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.service, o.quantity, o.hard FROM account_usage_limit o WHERE o.account_id = $1
	UNION ALL
	SELECT l.service, l.quantity, l.hard FROM kb_tariff_on($1, $2, $3, $4) x JOIN usage_limit l ON l.tariff = x.tariff
	WHERE NOT EXISTS (SELECT FROM account_usage_limit o WHERE o.account_id = $1 AND o.service = l.service);
END;
COMMENT ON FUNCTION kb_limits_of(bigint, text, date, date) IS
'The limits of services that hold for an account on a day: its own, and those of its tariff for the other services (L3)';

CREATE FUNCTION kbilling_internal.kb_spent(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, service text, period date, hard boolean, most numeric, used numeric)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH account_today AS MATERIALIZED (
		SELECT a.*, kb_account_date($2, a.time_zone) AS today FROM account a WHERE a.account_id = ANY ($1)
	)
	SELECT a.account_id, NULL, NULL::date, true, kb_minor(l.amount)::numeric,
		   -- what is kept for the charge pays for nothing else (G3)
		   greatest(kb_minor(u.total), kb_minor(kb_kept(a.lots, a.today, a.balance - a.balance)))::numeric - kb_minor(a.balance)
	FROM account_today a
	CROSS JOIN LATERAL kb_credit_line_of(a.account_id, a.tariff, a.tariff_from, a.today) l
	CROSS JOIN LATERAL kb_uncharged(a.account_id, $2) u
	WHERE l.amount IS NOT NULL
	UNION ALL
	SELECT a.account_id, l.service, u.period, l.hard, l.quantity, u.quantity
	FROM account_today a
	CROSS JOIN LATERAL kb_limits_of(a.account_id, a.tariff, a.tariff_from, a.today) l
	JOIN service s ON s.service = l.service
	CROSS JOIN LATERAL (
		SELECT t.period, CASE WHEN s.aggregation IN ('max', 'last') THEN max(t.quantity)
				WHEN s.aggregation = 'unique' THEN (SELECT count(DISTINCT v.value) FROM usage_value v
					WHERE v.account_id = a.account_id AND v.period = t.period AND v.service = l.service AND v.events > 0)
				ELSE sum(t.quantity) END AS quantity
		FROM (SELECT o.period, o.price_id, CASE WHEN s.aggregation IN ('max', 'last')
						 THEN kb_usage_level(a.account_id, o.period, l.service, o.price_id, s.aggregation)
						 ELSE sum(o.quantity) END AS quantity
			  FROM usage_total o
			  WHERE o.account_id = a.account_id AND o.service = l.service
				AND o.period >= kb_month_first_day(a.charged_through + 1)
			  GROUP BY o.period, o.price_id
			  UNION ALL
			  SELECT kb_month_first_day(a.today), h.price_id, h.quantity
			  FROM kb_held(a.account_id, a.tariff, a.tariff_from, a.today, $2) h WHERE h.service = l.service) t
		GROUP BY t.period) u;
END;
COMMENT ON FUNCTION kb_spent(bigint[], timestamptz) IS
'What accounts have used of what they may: a row for each credit line, in minor units, where "used" is what has been charged and '
'used beyond what was paid (L2); and a row for each limit of a service and month that is not charged, in units (L3)';

CREATE FUNCTION kbilling.kb_available(account_id bigint) RETURNS kb_money
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_available';
COMMENT ON FUNCTION kb_available(bigint) IS
'What is left to spend: the balance, less the running month so far, what is held and what is due, and the credit line, if there '
'is one (L1). '
'Below zero, nothing is left. '
'Errors: KB001';
/*
 * The end of a contract (rules X): a last day, after which nothing is charged.
 *
 * The account's row has the day.  What follows from it is computed: what is charged
 * (kb_charge_due_on, kb_bill_for), what members may do (kb_access_for), when the account may be closed
 * (kb_closure_terms).
 */

-- Support are the roles that may restore an account; an application ends a contract for an owner alone.
CREATE FUNCTION kbilling_internal.kb_require_owner(account_id bigint, by text) RETURNS void
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT CASE
		WHEN $2 = '' THEN kb_raise('22023', 'by must not be empty')
		WHEN m.role = 'owner' THEN NULL
		WHEN m.role IS NOT NULL
			 OR NOT has_function_privilege(kb_calling_role(), 'kbilling.kb_adjust(bigint, kbilling.kb_money, text, text)', 'EXECUTE')
			THEN kb_raise('KB004', format('"%s" may not decide about the contract of account %s', $2, $1),
						  'Only an owner of the account can, or support (X1).', 'Ask an owner.')
		END
	FROM (SELECT) one LEFT JOIN member m ON m.account_id = $1 AND m.member = $2;
END;
COMMENT ON FUNCTION kb_require_owner(bigint, text) IS
'Raises KB004 for a member who is no owner of the account, and for anybody else unless the caller''s role is support; 22023 for '
'an empty name';

CREATE FUNCTION kbilling_internal.kb_require_contract(account_id bigint) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN a.ends_on < kb_account_date(kb_now(), a.time_zone)
			THEN kb_raise('55000', format('the contract of account %s has ended', a.account_id),
						  format('Its last day was %s; what is left to do is to settle its balance (X2).',
								 to_char(a.ends_on, 'YYYY-MM-DD')),
						  'Create a new account with kb_create_account.')
		END
	FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_require_contract(bigint) IS 'Raises 55000 for an account whose contract has ended (X2)';

-- Charges that were computed before are not posted: terms_version.  The sweep looks at closing once the last period is charged.
CREATE FUNCTION kbilling_internal.kb_put_end(account_id bigint, ends_on date, by kb_text, reason kb_text) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	INSERT INTO change_log (subject, account_id, before, after)
	SELECT 'end', $1, CASE WHEN a.ends_on IS NOT NULL THEN jsonb_build_object('ends_on', a.ends_on) END,
		   CASE WHEN $2 IS NULL THEN jsonb_build_object('by', $3) ELSE jsonb_build_object('ends_on', $2, 'by', $3, 'reason', $4) END
	FROM account a
	WHERE a.account_id = $1 AND a.ends_on IS DISTINCT FROM $2;
	WITH old AS MATERIALIZED (
		SELECT a.ends_on FROM account a WHERE a.account_id = $1
	), moved AS (
		UPDATE account a
		SET ends_on = $2, terms_version = a.terms_version + 1, last_notice_no = a.last_notice_no + 1,
			closure_check_on = least(a.closure_check_on, $2 + 1),
			credit_check_on = CASE WHEN a.credit_check_on IS NOT NULL THEN least(a.credit_check_on, $2 + 1) END
		FROM old
		WHERE a.account_id = $1 AND a.ends_on IS DISTINCT FROM $2
		RETURNING a.account_id, a.last_notice_no, a.terms_version, a.balance, old.ends_on AS ended_on
	), written AS (
		INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, facts)
		SELECT m.account_id, m.last_notice_no, kb_now(), kb_now(),
			   CASE WHEN $2 IS NULL THEN 'contract_continued' ELSE 'contract_ending' END::kb_notice_kind, 'terms ' || m.terms_version,
			   jsonb_build_object('balance', m.balance, 'in_debt', m.balance < 0, 'amount_due', kb_amount_due(m.balance),
								  'ends_on', coalesce($2, m.ended_on))
		FROM moved m
		RETURNING notice_no
	)
	SELECT kb_wake(count(*)) FROM written;
END;
COMMENT ON FUNCTION kb_put_end(bigint, date, kb_text, kb_text) IS
'Writes what kb_end_account and, with NULL for the day, kb_continue_account have resolved, logs it (J9), and writes a notice. The '
'account is locked';

CREATE FUNCTION kbilling.kb_end_account(account_id bigint, by text, on_date date = NULL, reason text = NULL) RETURNS date
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('by', by);
	SELECT kb_lock_account($1);
	SELECT kb_require_owner($1, $2);
	SELECT kb_require_contract($1);
	SELECT CASE
		WHEN NOT isfinite(d.day)
			THEN kb_raise('22008', 'on_date must be finite', NULL, 'Give the last day of the contract; leave it out for today.')
		WHEN d.day < d.today
			THEN kb_raise('22008', format('the contract of account %s cannot end before today', $1),
						  format('Today is %s in the account''s time zone.', to_char(d.today, 'YYYY-MM-DD')),
						  'Give today or a later day; correct what was charged with kb_adjust.')
		WHEN d.day <= d.charged_through
			THEN kb_raise('KB009', format('account %s is charged through %s', $1, to_char(d.charged_through, 'YYYY-MM-DD')),
						  'A contract ends after the last day that is charged (X1).', 'Give a later day.')
		END
	FROM (SELECT t.today, coalesce($3, t.today) AS day, a.charged_through
		  FROM account a CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) t
		  WHERE a.account_id = $1) d;
	SELECT kb_put_end($1, coalesce($3, kb_today($1)), $2, $4);
	SELECT a.ends_on FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_end_account(bigint, text, date, text) IS
'Ends the contract of an account with a local day, today at the earliest (NULL: today), and returns that day (X1). "by" is an owner, '
'or whoever of support does it. The day after, the last period is charged up to that day, and then nothing any more (X2). Until then '
'another day may be given, and kb_continue_account takes the end back. '
'Errors: KB001, KB010; KB004 if "by" may not; KB009 if the day is charged already; 22008 for a day before today, or infinity; 55000 '
'if the contract has ended; 22023 if "by" is empty';

CREATE FUNCTION kbilling.kb_continue_account(account_id bigint, by text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('by', by);
	SELECT kb_lock_account($1);
	SELECT kb_require_owner($1, $2);
	SELECT kb_require_contract($1);
	SELECT CASE
		WHEN a.ends_on IS NULL
			THEN kb_raise('55000', format('the contract of account %s has no end', $1), NULL, 'There is nothing to take back.')
		END
	FROM account a WHERE a.account_id = $1;
	SELECT kb_put_end($1, NULL, $2, NULL);
END;
COMMENT ON FUNCTION kb_continue_account(bigint, text) IS
'Takes back the end of a contract, until its last day is over (X1): all is as if it had not been ended. "by" is an owner, or whoever '
'of support does it. '
'Errors: KB001, KB010; KB004 if "by" may not; 55000 if there is no end, or it is over; 22023 if "by" is empty';
/*
 * Holds: units of a service that are reserved before they are used (L4).
 *
 * What is held counts as if it were used already.  The usage that is recorded under the hold's key takes its place.
 */

CREATE FUNCTION kbilling_internal.kb_put_hold(account_id bigint, service text, quantity numeric, key text, expires_at timestamptz)
	RETURNS boolean
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_require_service($2);
	SELECT CASE
		WHEN s.kind <> 'metered' OR s.aggregation NOT IN ('sum', 'count')
			THEN kb_raise('22023', format('units of service "%s" cannot be held', s.service),
						  'Only a metered service whose usage adds up, by sum or count, has units that can be held.',
						  'Record what is used with kb_record_usage.')
		WHEN NOT ($3 > 0 AND $3 < 'infinity')
			THEN kb_raise('22023', 'quantity must be above zero, and finite', format('It is %s.', $3), 'Give how many units may be used.')
		WHEN NOT ($5 > kb_now() AND isfinite($5))
			THEN kb_raise('22008', 'expires_at must be ahead', format('It is %s.', $5),
						  'Give the moment until which the units are kept at most, such as now() + interval ''10 minutes''.')
		END
	FROM service s WHERE s.service = $2;
	SELECT kb_refuse_unpriced(a.account_id, $2, x.tariff, d.today)
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) d
	CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, d.today) x
	WHERE a.account_id = $1 AND NOT EXISTS (SELECT FROM kb_price_on(x.tariff, $2, d.today));
	SELECT kb_require_contract($1);
	-- who is settling one of them has it locked, and waits for nobody
	DELETE FROM usage_hold h
	WHERE h.ctid = ANY (ARRAY(SELECT x.ctid FROM usage_hold x WHERE x.account_id = $1 AND x.expires_at <= kb_now() FOR UPDATE SKIP LOCKED));
	SELECT CASE
		WHEN EXISTS (SELECT FROM usage_event e WHERE e.account_id = $1 AND e.service = $2 AND e.key = $4)
			THEN kb_raise('KB006', format('usage with the key "%s" is recorded already', $4),
						  format('It is of service "%s" of account %s.', $2, $1), 'Give each hold a key of its own.')
		WHEN (h.quantity, h.expires_at) IS DISTINCT FROM ($3, $5)
			THEN kb_raise('KB006', format('the key "%s" holds something else already', $4),
						  format('It holds %s of service "%s" of account %s, until %s.', h.quantity, $2, $1, h.expires_at),
						  'Release it first with kb_release_usage, or give each hold a key of its own.')
		END
	FROM (SELECT) x LEFT JOIN usage_hold h ON h.account_id = $1 AND h.service = $2 AND h.key = $4
	WHERE h.key IS NOT NULL OR EXISTS (SELECT FROM usage_event e WHERE e.account_id = $1 AND e.service = $2 AND e.key = $4);
	WITH held AS (
		INSERT INTO usage_hold (account_id, service, key, quantity, expires_at) VALUES ($1, $2, $4, $3, $5)
		ON CONFLICT ON CONSTRAINT usage_hold_pkey DO NOTHING
		RETURNING key
	)
	SELECT EXISTS (SELECT FROM held);
END;
COMMENT ON FUNCTION kb_put_hold(bigint, text, numeric, text, timestamptz) IS
'Checks and writes what kb_hold_usage holds; false if the key holds it already. The account is locked';

CREATE FUNCTION kbilling.kb_hold_usage(account_id bigint, service text, quantity numeric, key text, expires_at timestamptz)
	RETURNS boolean
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_hold_usage';
COMMENT ON FUNCTION kb_hold_usage(bigint, text, numeric, text, timestamptz) IS
'Holds units of a metered service before they are used: they count as used at once, at the price of the day (L4). Recording '
'usage with the same key settles the hold, be it less or more; kb_release_usage frees it, and so does its expiry, at the moment it '
'is reached. True if the units are held now; false if the key held the same already. '
'Errors: KB001, KB010; KB012 for an unknown service, or one without a price; KB013 beyond the credit line or a hard limit; KB006 '
'if the key holds something else, or its usage is recorded; 22023 for a service that is not metered or does not add up, and a '
'quantity that is not above zero; 22008 for a moment that has passed; 55000 once the contract has ended (X2)';

CREATE FUNCTION kbilling.kb_release_usage(account_id bigint, service text, key text) RETURNS boolean
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('service, key', service, key);
	SELECT kb_require_owned(account_id);
	-- what is freed must not change what is left between the two looks of who records
	SELECT FROM account a WHERE a.account_id = $1 FOR NO KEY UPDATE;
	SELECT kb_require_account(account_id);
	WITH released AS (
		DELETE FROM usage_hold h WHERE h.account_id = $1 AND h.service = $2 AND h.key = $3
		RETURNING h.expires_at
	)
	SELECT coalesce((SELECT r.expires_at > kb_now() FROM released r), false);
END;
COMMENT ON FUNCTION kb_release_usage(bigint, text, text) IS
'Frees what is held under a key (L4). False if nothing was: it has been settled, released, or has expired. '
'Errors: KB001';
/*
 * Payment methods, and payments that a member has begun and the provider has yet to confirm.
 */

CREATE FUNCTION kbilling_internal.kb_standard_methods() RETURNS text[]
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_standard_methods';
COMMENT ON FUNCTION kb_standard_methods() IS 'The payment methods that are built in (T2)';

-- Rows, and not an enum: a label that is added to an enum is lost with a dump, and the entries that have it with it.
CREATE TABLE kbilling.payment_method (
	method   kb_text PRIMARY KEY CHECK (method <> ''),
	name     kb_text,
	metadata kb_json NOT NULL DEFAULT '{}'
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.payment_method',
	'WHERE method <> ALL (kbilling_internal.kb_standard_methods())');
COMMENT ON TABLE payment_method IS
'How a top-up can be paid (T2). Some are built in; others are added with kb_create_payment_method';
COMMENT ON COLUMN payment_method.method IS 'Code of the method, as entries have it';
COMMENT ON COLUMN payment_method.name IS 'What customers call it';
COMMENT ON COLUMN payment_method.metadata IS 'For the application''s own use';

INSERT INTO payment_method (method, name)
SELECT m, initcap(replace(m, '_', ' ')) FROM unnest(kb_standard_methods()) m;

CREATE TRIGGER payment_method_standard BEFORE UPDATE OR DELETE ON payment_method
	FOR EACH ROW WHEN (OLD.method = ANY (kb_standard_methods()))
	EXECUTE FUNCTION kb_refuse_change('Create a method of your own with kb_create_payment_method.');

CREATE TRIGGER payment_method_truncate BEFORE TRUNCATE ON payment_method
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_change('Delete the rows that are your own.');

CREATE FUNCTION kbilling.kb_create_payment_method(method text, name text = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('method', method);
	WITH new AS (
		INSERT INTO payment_method (method, name) VALUES (kb_create_payment_method.method, kb_create_payment_method.name)
		RETURNING *
	)
	INSERT INTO change_log (subject, after) SELECT 'payment_method', to_jsonb(new) FROM new;
END;
COMMENT ON FUNCTION kb_create_payment_method(text, text) IS
'Creates a method by which top-ups can be paid (T2); "name" is what customers call it. '
'Errors: 23505 if the method exists, 23514 if it is empty';

CREATE TABLE kbilling.payment (
	account_id   bigint NOT NULL REFERENCES account,
	payment_id   bigint NOT NULL,
	amount       kb_money NOT NULL,
	bonus        kb_money NOT NULL,
	begun_at     timestamptz NOT NULL,
	expires_at   timestamptz NOT NULL,
	failed_at    timestamptz,
	settled_at   timestamptz,
	settled_seq  bigint,
	settled_amount kb_money,
	method       text,
	settled_method text,
	member       kb_text NOT NULL,
	failure      kb_text,
	PRIMARY KEY (account_id, payment_id),
	UNIQUE (account_id, settled_seq),
	CHECK (num_nulls(settled_at, settled_seq, settled_amount, settled_method) IN (0, 4))
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.payment', '');

-- For kb_unsettled_payments.  Not only of those that are not settled: to settle one would then be no change in place.
CREATE INDEX payment_begun ON payment (begun_at);
COMMENT ON INDEX payment_begun IS 'Finds the payments that were begun in a time';

COMMENT ON TABLE payment IS 'Payments that were begun with kb_begin_topup, without any payment data (T4)';
COMMENT ON COLUMN payment.account_id IS 'The account';
COMMENT ON COLUMN payment.payment_id IS 'Runs 1, 2, 3, ... within the account';
COMMENT ON COLUMN payment.amount IS 'What was to be paid when it was begun';
COMMENT ON COLUMN payment.bonus IS
'The bonus that it would have earned when it was begun; the bonus that it earns is computed when it is credited';
COMMENT ON COLUMN payment.begun_at IS 'When it was begun';
COMMENT ON COLUMN payment.expires_at IS 'When it expires; if it is confirmed later, it is credited all the same';
COMMENT ON COLUMN payment.failed_at IS 'When the provider reported that it failed';
COMMENT ON COLUMN payment.settled_at IS 'When it was credited';
COMMENT ON COLUMN payment.settled_seq IS 'The top-up''s entry';
COMMENT ON COLUMN payment.settled_amount IS 'What the provider has confirmed, and was credited (T9)';
COMMENT ON COLUMN payment.method IS
'How it was to be paid when it was begun: a row of kbilling.payment_method; NULL if that was left open';
COMMENT ON COLUMN payment.settled_method IS 'How it was paid, as the provider has confirmed it (T9)';
COMMENT ON COLUMN payment.member IS 'Who began it';
COMMENT ON COLUMN payment.failure IS 'Why it failed, in the provider''s words, with card numbers masked (T10)';

CREATE TYPE kbilling.kb_payment_status AS ENUM ('pending', 'expired', 'failed', 'settled');
COMMENT ON TYPE kb_payment_status IS 'What has become of a payment';

CREATE VIEW kbilling.payment_status WITH (security_invoker) AS
	SELECT p.account_id, p.payment_id, p.amount, p.bonus, p.method, p.member, p.begun_at, p.expires_at,
		   CASE
			   WHEN p.settled_at IS NOT NULL THEN 'settled'
			   WHEN p.failed_at IS NOT NULL THEN 'failed'
			   WHEN p.expires_at <= kb_now() THEN 'expired'
			   ELSE 'pending'
		   END::kb_payment_status AS status, p.settled_seq, p.settled_amount, p.settled_method, p.failure
	FROM payment p
	WHERE kb_is_owned(p.account_id);
COMMENT ON VIEW payment_status IS 'The payments that were begun, and what has become of each';
COMMENT ON COLUMN payment_status.account_id IS 'The account';
COMMENT ON COLUMN payment_status.payment_id IS 'Runs 1, 2, 3, ... within the account';
COMMENT ON COLUMN payment_status.amount IS 'What was to be paid when it was begun';
COMMENT ON COLUMN payment_status.bonus IS 'The bonus that it would have earned when it was begun';
COMMENT ON COLUMN payment_status.method IS 'How it was to be paid when it was begun; NULL if that was left open';
COMMENT ON COLUMN payment_status.member IS 'Who began it';
COMMENT ON COLUMN payment_status.begun_at IS 'When it was begun';
COMMENT ON COLUMN payment_status.expires_at IS 'When it expires; if it is confirmed later, it is credited all the same';
COMMENT ON COLUMN payment_status.status IS '"pending", "expired", "failed" or "settled"';
COMMENT ON COLUMN payment_status.settled_seq IS 'The top-up''s entry, once it is settled';
COMMENT ON COLUMN payment_status.settled_amount IS 'What was confirmed and credited';
COMMENT ON COLUMN payment_status.settled_method IS 'How it was paid';
COMMENT ON COLUMN payment_status.failure IS 'Why it failed';

CREATE TYPE kbilling.kb_payment_offer AS (
	payment_id bigint,
	bonus      kb_money,
	expires_at timestamptz
);
COMMENT ON TYPE kb_payment_offer IS 'A payment that kb_begin_topup has begun';
COMMENT ON COLUMN kb_payment_offer.payment_id IS
'Number of the payment; the provider''s webhook passes it on to kb_apply_topup';
COMMENT ON COLUMN kb_payment_offer.bonus IS 'The bonus that it would earn now';
COMMENT ON COLUMN kb_payment_offer.expires_at IS 'When it expires';

CREATE FUNCTION kbilling.kb_begin_topup(account_id bigint, member text, amount kb_money, method text = NULL)
	RETURNS kb_payment_offer
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_begin_topup';
COMMENT ON FUNCTION kb_begin_topup(bigint, text, kb_money, text) IS
'Begins a payment by a member, at any stage (T1), and returns its number and the bonus that it would earn (T5). '
'The method may be left open, as it often is chosen at the provider; what is confirmed is booked as it was confirmed (T9). '
'Errors: KB001, KB010; KB002 for another currency; KB004 if the member is no owner or admin; KB005 for an amount '
'that is not above zero; 22023 for an unknown method';

CREATE FUNCTION kbilling.kb_fail_topup(account_id bigint, payment_id bigint, failure text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('payment_id, failure', payment_id, failure);
	SELECT kb_require_owned(account_id);
	SELECT FROM account a WHERE a.account_id = $1 FOR NO KEY UPDATE;
	SELECT kb_require_account(account_id);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM payment p WHERE p.account_id = kb_fail_topup.account_id AND p.payment_id = kb_fail_topup.payment_id)
			THEN kb_raise('KB006', format('account %s has no payment %s', $1, $2),
						  'Payments are numbered within their account, so it may be another account''s.',
						  'Pass the account for which kb_begin_topup gave that payment_id.')
		END;
	-- what arrives after the confirmation changes nothing (T9), and a purge has taken the words of others
	UPDATE payment p
	SET failed_at = coalesce(p.failed_at, kb_now()),
		failure = CASE WHEN a.state <> 'purged' THEN kb_mask_card_numbers(kb_fail_topup.failure) END
	FROM account a
	WHERE p.account_id = kb_fail_topup.account_id AND p.payment_id = kb_fail_topup.payment_id AND p.settled_at IS NULL
		AND a.account_id = p.account_id;
END;
COMMENT ON FUNCTION kb_fail_topup(bigint, bigint, text) IS
'Notes that a payment failed or expired at the provider, and why, with card numbers masked (T10). It changes nothing if the '
'payment has been credited (T9); if it is confirmed after the failure, it is credited all the same. '
'Errors: KB001; KB006 if the account has no such payment';

CREATE FUNCTION kbilling.kb_unsettled_payments(older_than interval = '15 minutes', newer_than interval = '3 days',
											   max integer = 1000, after_account bigint = NULL, after_payment bigint = NULL,
											   settled_newer_than interval = '0')
	RETURNS TABLE (account_id bigint, payment_id bigint, amount kb_money, begun_at timestamptz, expires_at timestamptz,
				   status kb_payment_status)
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('older_than, newer_than, max, settled_newer_than', $1, $2, $3, $6);
	SELECT CASE
		WHEN $3 NOT BETWEEN 1 AND 1000
			THEN kb_raise('22023', format('max is %s', $3), 'It may be 1 to 1000.', 'Read more of them page by page.')
		END;
	SELECT s.account_id, s.payment_id, s.amount, s.begun_at, s.expires_at, s.status
	FROM payment_status s
	-- the first for the index
	WHERE s.begun_at > kb_now() - greatest($2, $6) AND s.begun_at <= kb_now() - $1
		AND s.begun_at > kb_now() - CASE WHEN s.status = 'settled' THEN $6 ELSE $2 END
		AND ($4 IS NULL OR s.account_id > $4 OR s.account_id = $4 AND s.payment_id > $5)
	ORDER BY s.account_id, s.payment_id
	LIMIT $3;
END;
COMMENT ON FUNCTION kb_unsettled_payments(interval, interval, integer, bigint, bigint, interval) IS
'The payments that were begun in a time of the past and are not settled: pending, failed or expired. A job asks the '
'provider what has become of them, as reports get lost, and a failed one may be paid after all (T9). They come by account '
'and payment, up to "max" (1 to 1000) of them; "after_account" and "after_payment" are the last of the page before. '
'With "settled_newer_than", settled ones that were begun since then are among them, for providers that have to be asked of '
'refunds, too. '
'Errors: 22023 if "max" is out of range';
/*
 * What services, tariffs, payment methods and units are called, by language.
 */

CREATE TABLE kbilling.catalogue_name (
	subject  text NOT NULL CHECK (subject IN ('service', 'tariff', 'payment_method', 'unit')),
	code     kb_text NOT NULL,
	language kb_text NOT NULL CHECK (language = pg_catalog.lower(language)),
	name     kb_text NOT NULL CHECK (name <> ''),
	PRIMARY KEY (subject, code, language)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.catalogue_name', '');
COMMENT ON TABLE catalogue_name IS
'Names by language, as customers see them on pages; they come before the built-in ones, and before the names in the rows of '
'service, tariff and payment_method. Written by kb_set_name';
COMMENT ON COLUMN catalogue_name.subject IS 'What has the name: "service", "tariff", "payment_method" or "unit"';
COMMENT ON COLUMN catalogue_name.code IS 'Its code; of a unit, what services have in the column "unit"';
COMMENT ON COLUMN catalogue_name.language IS 'Language tag of BCP 47, in lower case';
COMMENT ON COLUMN catalogue_name.name IS 'The name';

CREATE VIEW kbilling.standard_name WITH (security_invoker) AS
	SELECT n.subject, n.code, n.language, n.name
	FROM (SELECT v.*, bool_and(v.name IS NOT NULL) OVER (PARTITION BY v.language) AS is_whole FROM (VALUES
		('service', 'base', 'en', 'Base fee'),
		('service', 'base', 'uk', kb_utf8('\320\220\320\261\320\276\320\275\320\265\320\275\321\202\321\201\321\214\320\272\320\260 \320\277\320\273\320\260\321\202\320\260')),
		('payment_method', 'card', 'en', 'Card'),
		('payment_method', 'card', 'uk', kb_utf8('\320\232\320\260\321\200\321\202\320\272\320\260')),
		('payment_method', 'google_pay', 'en', 'Google Pay'),
		('payment_method', 'google_pay', 'uk', 'Google Pay'),
		('payment_method', 'apple_pay', 'en', 'Apple Pay'),
		('payment_method', 'apple_pay', 'uk', 'Apple Pay'),
		('payment_method', 'bank_transfer', 'en', 'Bank transfer'),
		('payment_method', 'bank_transfer', 'uk', kb_utf8('\320\221\320\260\320\275\320\272\321\226\320\262\321\201\321\214\320\272\320\270\320\271 \320\277\320\265\321\200\320\265\320\272\320\260\320\267')),
		('payment_method', 'manual', 'en', 'Entered by hand'),
		('payment_method', 'manual', 'uk', kb_utf8('\320\222\320\275\320\265\321\201\320\265\320\275\320\276 \320\262\321\200\321\203\321\207\320\275\321\203')),
		('unit', 'month', 'en', 'month'),
		('unit', 'month', 'uk', kb_utf8('\320\274\321\226\321\201\321\217\321\206\321\214'))
	) AS v (subject, code, language, name)) n
	-- a language that the database's encoding cannot hold is left out
	WHERE n.is_whole;
COMMENT ON VIEW standard_name IS
'The built-in names of what is built in, in English and, where the database''s encoding can hold it, in Ukrainian';
COMMENT ON COLUMN standard_name.subject IS 'What has the name, as in kbilling.catalogue_name';
COMMENT ON COLUMN standard_name.code IS 'Its code';
COMMENT ON COLUMN standard_name.language IS '"en" or "uk"';
COMMENT ON COLUMN standard_name.name IS 'The name';

-- C, as a page asks for the name of each of its lines.
CREATE FUNCTION kbilling_internal.kb_name(subject text, code text, language text) RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_name';
COMMENT ON FUNCTION kb_name(text, text, text) IS
'What a service, tariff, payment method or unit is called in a language: its own name there, or in the first part of the '
'language ("uk" for "uk-UA"); else the built-in one, the name in its row, its code';

CREATE FUNCTION kbilling_internal.kb_has_code(subject text, code text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE $1
	WHEN 'service' THEN EXISTS (SELECT FROM service s WHERE s.service = $2)
	WHEN 'tariff' THEN EXISTS (SELECT FROM tariff t WHERE t.tariff = $2)
	WHEN 'payment_method' THEN EXISTS (SELECT FROM payment_method m WHERE m.method = $2)
	WHEN 'unit' THEN EXISTS (SELECT FROM service s WHERE s.unit = $2)
	END;
COMMENT ON FUNCTION kb_has_code(text, text) IS
'Whether there is such a service, tariff, payment method or unit; NULL if the subject is another';

CREATE FUNCTION kbilling.kb_set_name(subject text, code text, language text, name text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('subject, code, language', subject, code, language);
	SELECT CASE
		WHEN kb_has_code(subject, code) IS NULL
			THEN kb_raise('22023', format('"%s" has no names', subject), NULL,
						  'Name a "service", a "tariff", a "payment_method" or a "unit".')
		WHEN NOT kb_is_language(language)
			THEN kb_raise('22023', format('"%s" is not a language', language),
						  'A language is named by a tag of BCP 47, of at most 35 characters.', 'Write "en", "uk" or "uk-UA".')
		WHEN name !~ '\S'
			THEN kb_raise('22023', 'a name must not be blank', NULL, 'To remove a name, pass NULL.')
		-- what is gone from the price list can still be removed here
		WHEN name IS NOT NULL AND NOT kb_has_code(subject, code)
			THEN kb_raise('KB012', format('there is no %s "%s"', replace(subject, '_', ' '), code), NULL,
						  CASE subject WHEN 'unit' THEN 'Units are what services have in the column "unit" of kbilling.service.'
							  ELSE format('Create it first; kbilling.%s has the others.', subject) END)
		END;
	-- Two that set names of one code take turns.
	SELECT FROM service s
	WHERE CASE kb_set_name.subject WHEN 'service' THEN s.service = kb_set_name.code WHEN 'unit' THEN s.unit = kb_set_name.code END
	ORDER BY s.service FOR NO KEY UPDATE;
	SELECT FROM tariff t WHERE kb_set_name.subject = 'tariff' AND t.tariff = kb_set_name.code FOR NO KEY UPDATE;
	SELECT FROM payment_method m WHERE kb_set_name.subject = 'payment_method' AND m.method = kb_set_name.code FOR NO KEY UPDATE;
	WITH old AS MATERIALIZED (
		SELECT to_jsonb(n) AS named FROM catalogue_name n
		WHERE (n.subject, n.code, n.language) = (kb_set_name.subject, kb_set_name.code, lower(kb_set_name.language))
	), gone AS (
		DELETE FROM catalogue_name n
		WHERE (n.subject, n.code, n.language) = (kb_set_name.subject, kb_set_name.code, lower(kb_set_name.language))
			AND kb_set_name.name IS NULL
	), new AS (
		INSERT INTO catalogue_name AS n (subject, code, language, name)
		SELECT kb_set_name.subject, kb_set_name.code, lower(kb_set_name.language), kb_set_name.name
		WHERE kb_set_name.name IS NOT NULL
		ON CONFLICT ON CONSTRAINT catalogue_name_pkey DO UPDATE SET name = excluded.name
		RETURNING to_jsonb(n) AS named
	)
	INSERT INTO change_log (subject, tariff, service, before, after)
	SELECT 'name', CASE kb_set_name.subject WHEN 'tariff' THEN kb_set_name.code END,
		   CASE kb_set_name.subject WHEN 'service' THEN kb_set_name.code END, old.named, new.named
	FROM (SELECT) one LEFT JOIN old ON true LEFT JOIN new ON true
	WHERE new.named IS DISTINCT FROM old.named;
END;
COMMENT ON FUNCTION kb_set_name(text, text, text, text) IS
'Names a "service", a "tariff", a "payment_method" or a "unit" in a language, as pages and kb_explain_line show it; NULL '
'removes the name. A name in "uk" is also for "uk-UA". '
'Errors: 22023 for another subject, what is no language tag, and a blank name; KB012 for a code that there is not';
/*
 * Activity: what shows that an account is used (D1, D7).
 */

-- Beside the account's row, so that a login waits for no payment and no payment for a login.
CREATE TABLE kbilling.activity (
	account_id bigint PRIMARY KEY REFERENCES account,
	active_at  timestamptz NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.activity', '');
COMMENT ON TABLE activity IS
'When somebody was last there: a login, or a member who acts (D1, D7). Payments and usage leave rows of their own; '
'kb_last_activity looks at them all';
COMMENT ON COLUMN activity.account_id IS 'The account';
COMMENT ON COLUMN activity.active_at IS
'The last of it. It is noted at most once an hour, so this may be up to an hour too early';
/*
 * The closure of unused accounts: notice, reminders, deletion, restore (rules D).
 *
 * The account's row says how far the closure is, and when the sweep has to look at
 * it next; kbilling.closure_step has the steps that led there.
 */

CREATE TYPE kbilling.kb_closure_step AS ENUM ('scheduled', 'reminded', 'cancelled', 'deleted', 'restored', 'purged');
COMMENT ON TYPE kb_closure_step IS 'A step of a closure';

CREATE TABLE kbilling.closure_step (
	account_id bigint NOT NULL REFERENCES account,
	step_no    bigint NOT NULL,
	taken_at   timestamptz NOT NULL,
	balance    kb_money NOT NULL,
	taken_on   date NOT NULL,
	delete_on  date,
	purge_on   date,
	reminder   integer,
	step       kb_closure_step NOT NULL,
	taken_by   kb_text NOT NULL CHECK (taken_by <> ''),
	reason     kb_text,
	PRIMARY KEY (account_id, step_no)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.closure_step', '');
COMMENT ON TABLE closure_step IS
'Every step of every closure, with who took it and when. Its notice has the same number';
COMMENT ON COLUMN closure_step.account_id IS 'The account';
COMMENT ON COLUMN closure_step.step_no IS 'Rises within the account; also the number of its notice';
COMMENT ON COLUMN closure_step.taken_at IS 'When it was taken';
COMMENT ON COLUMN closure_step.balance IS 'The balance then';
COMMENT ON COLUMN closure_step.taken_on IS 'The local date on which it was taken';
COMMENT ON COLUMN closure_step.delete_on IS 'The day of the deletion that it set, cancelled or carried out';
COMMENT ON COLUMN closure_step.purge_on IS 'For a deletion: the day of the purge';
COMMENT ON COLUMN closure_step.reminder IS
'For a reminder: which of the policy''s "reminder_days" it was for. It takes the place of earlier ones that were '
'missed';
COMMENT ON COLUMN closure_step.step IS 'What was done';
COMMENT ON COLUMN closure_step.taken_by IS 'Who did it: a member, support, or "sweep"';
COMMENT ON COLUMN closure_step.reason IS
'The reason that was given. For a cancellation: "member", "topup", or "conditions" if they no longer held';

CREATE TRIGGER closure_step_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON closure_step
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE closure_step ENABLE ALWAYS TRIGGER closure_step_immutable;

CREATE TRIGGER closure_step_immutable_row BEFORE UPDATE OR DELETE ON closure_step
	FOR EACH ROW EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE closure_step ENABLE ALWAYS TRIGGER closure_step_immutable_row;

-- What leaves a row anyway is looked up here, so that payments and usage have no activity to write.  A table, as a value with
-- subqueries would be planned by itself, and not with the statement that asks for it.
CREATE FUNCTION kbilling_internal.kb_last_activity(account_id bigint, created_at timestamptz, activity kb_activity)
	RETURNS TABLE (active_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT greatest($2,
		(SELECT v.active_at FROM activity v WHERE v.account_id = $1),
		(SELECT s.taken_at FROM closure_step s
		 WHERE s.account_id = $1 AND (s.step = 'restored' OR s.step = 'cancelled' AND s.reason = 'member')
		 ORDER BY s.step_no DESC LIMIT 1),
		CASE $3 WHEN 'any' THEN greatest(
			(SELECT e.posted_at FROM entry e WHERE e.account_id = $1 AND e.kind IN ('topup', 'purchase') ORDER BY e.seq DESC LIMIT 1),
			(SELECT p.begun_at FROM payment p WHERE p.account_id = $1 ORDER BY p.payment_id DESC LIMIT 1),
			(SELECT t.counted_at FROM usage_total t WHERE t.account_id = $1 ORDER BY t.counted_at DESC LIMIT 1)) END);
END;
COMMENT ON FUNCTION kb_last_activity(bigint, timestamptz, kb_activity) IS
'When an account was last used, by what its policy takes for that (D1): its creation, a login, a member who acts or '
'cancels a closure, a restore; and with "any" a payment that was begun or confirmed, a purchase, and usage, when it was recorded';

CREATE FUNCTION kbilling_internal.kb_may_close_on(created_on date, active_on date, min_age_days integer, inactive_days integer)
	RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest($1 + $3 + 1, $2 + $4);
COMMENT ON FUNCTION kb_may_close_on(date, date, integer, integer) IS 'The day from which age and idleness allow a closure (D1)';

-- OFFSET 0 has a part planned by itself: all at once, planning would take longer than the work.
CREATE FUNCTION kbilling_internal.kb_closure_terms(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, state kb_account_state, has_money boolean, is_ended boolean, delete_on date, check_on date,
				   today date, created_on date, active_on date, may_close_on date, look_on date,
				   next_tariff_on date, is_charged boolean, is_stopped boolean, close_unused boolean,
				   min_age_days integer, inactive_days integer, notice_days integer, restore_days integer,
				   reminder integer, deletion_on date, next_on date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.account_id, a.state, a.balance > 0 AND NOT (a.is_ended AND a.is_paid_back), a.is_ended, a.delete_on,
		   a.closure_check_on, a.today, a.created_on, u.active_on, m.may_close_on,
		   least(greatest(CASE WHEN NOT a.is_ended THEN m.may_close_on END, a.today + CASE WHEN a.close_unused THEN 1 ELSE 30 END),
				 a.next_tariff_on), a.next_tariff_on,
		   a.is_charged, NOT a.close_unused AND begun.taken_by = 'sweep',
		   a.close_unused, a.min_age_days, a.inactive_days, a.notice_days, a.restore_days,
		   r.reminder, r.deletion_on, r.next_on
	FROM (
		SELECT a.account_id, a.state, a.balance, a.delete_on, a.closure_check_on, a.created_at, a.time_zone,
			   d.today, kb_account_date(a.created_at, a.time_zone) AS created_on,
			   (kb_charge_due_on(a.charged_through, a.ends_on) <= d.today) IS NOT TRUE AS is_charged,
			   a.ends_on, a.ends_on IS NOT NULL AND a.ends_on < d.today AS is_ended, a.balance = a.unspent_bonus AS is_paid_back,
			   CASE WHEN a.tariff_from > d.today THEN least(a.tariff_from, (SELECT h.from_date FROM tariff_history h
				   WHERE h.account_id = a.account_id AND h.from_date > d.today ORDER BY h.from_date LIMIT 1)) END AS next_tariff_on,
			   p.activity, p.close_unused, p.min_age_days, p.inactive_days, p.notice_days, p.restore_days, p.reminder_days
		FROM unnest($1) i (account_id)
		JOIN account a ON a.account_id = i.account_id
		CROSS JOIN LATERAL (SELECT kb_account_date($2, a.time_zone) AS today) d
		CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
		OFFSET 0) a
	CROSS JOIN LATERAL (
		SELECT kb_account_date(v.active_at, a.time_zone) AS active_on
		FROM kb_last_activity(a.account_id, a.created_at, a.activity) v OFFSET 0) u
	CROSS JOIN LATERAL (
		SELECT least(kb_may_close_on(a.created_on, u.active_on, a.min_age_days, a.inactive_days),
					 CASE WHEN a.is_ended AND a.is_charged AND a.is_paid_back AND NOT kb_has_unbilled(a.account_id)	-- X3
						 THEN a.ends_on + 1 END)
			AS may_close_on) m
	LEFT JOIN LATERAL (SELECT s.step_no, s.taken_on, s.taken_by FROM closure_step s
					   WHERE s.account_id = a.account_id AND s.step = 'scheduled' AND a.state = 'closing'
					   ORDER BY s.step_no DESC LIMIT 1) begun ON true
	LEFT JOIN LATERAL kb_next_reminder(begun.taken_on, a.delete_on, a.today, a.reminder_days, (
			SELECT s.reminder FROM closure_step s
			WHERE s.account_id = a.account_id AND s.step_no > begun.step_no AND s.step = 'reminded' ORDER BY s.reminder LIMIT 1)) r
		ON begun.taken_on IS NOT NULL;
END;
COMMENT ON FUNCTION kb_closure_terms(bigint[], timestamptz) IS
'What the rules of closure (D) say of accounts, on their local dates, beside what their rows say ("check_on" is '
'closure_check_on): whether there is money on the balance that keeps it open, the day from which age and idleness allow a closure, '
'or the end of the contract does ("may_close_on"), the day on which to look at an '
'active account again ("look_on": that one, the next day if the contract is over, in 30 days at least where the sweep closes none, '
'as the policy may change, '
'but not after another tariff begins, on "next_tariff_on"), whether all months that have ended are charged, whether the sweep '
'has scheduled the closure and the policy does not want that any more ("is_stopped"), and, for a closing account, what '
'kb_next_reminder returns';

CREATE FUNCTION kbilling_internal.kb_policies_ahead(account_id bigint, today date, in_use boolean)
	RETURNS TABLE (from_day date, policy kb_policy_ahead)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT x.from_date,
		   ROW(x.from_date, p.remind_day, p.restrict_day, p.block_day,
			   kb_may_close_on(d.created_on, d.active_on, p.min_age_days, p.inactive_days), p.close_unused AND NOT $3,
			   p.restore_days, p.reminder_days)::kb_policy_ahead
	FROM account a
	JOIN account_tariff x ON x.account_id = a.account_id
	JOIN tariff t ON t.tariff = x.tariff
	JOIN policy p ON p.policy = t.policy
	CROSS JOIN LATERAL kb_last_activity(a.account_id, a.created_at, p.activity) v
	CROSS JOIN LATERAL (SELECT kb_account_date(a.created_at, a.time_zone) AS created_on,
							   kb_account_date(v.active_at, a.time_zone) AS active_on) d
	WHERE a.account_id = $1 AND x.to_date > $2;
END;
COMMENT ON FUNCTION kb_policies_ahead(bigint, date, boolean) IS
'The policies that hold for an account from a day on, by the tariffs that it has and will have. By none of them is it '
'closed if it stays in use';

-- An account has at most one step: none that would be due after another is due on the same day.
CREATE FUNCTION kbilling_internal.kb_closure_steps(account_ids bigint[], at timestamptz, wanted kb_closure_step, used boolean)
	RETURNS TABLE (account_id bigint, today date, step kb_closure_step, reminder integer, state kb_account_state, delete_on date,
				   step_delete_on date, check_on date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT t.account_id, t.today, t.step, CASE t.step WHEN 'reminded' THEN t.reminder END, n.state, n.delete_on,
		   CASE t.step WHEN 'cancelled' THEN t.delete_on ELSE n.delete_on END,
		   CASE n.state
			   -- each day, as its policy may have changed
			   WHEN 'closing' THEN t.today + 1
			   WHEN 'deleted' THEN t.today + t.restore_days
			   ELSE CASE WHEN NOT t.has_money OR t.is_ended
				   THEN least(greatest(t.look_on, CASE WHEN $4 THEN t.today + t.inactive_days END), t.next_tariff_on) END
		   END
	FROM (
		SELECT t.*, CASE
			WHEN $3 IS NOT NULL THEN $3
			WHEN t.state = 'active' THEN CASE
				WHEN NOT t.has_money AND t.may_close_on <= t.today AND t.close_unused THEN 'scheduled'::kb_closure_step END
			WHEN t.state <> 'closing' THEN NULL
			WHEN t.is_stopped THEN 'cancelled'
			WHEN t.next_on IS NOT NULL THEN CASE WHEN t.reminder IS NOT NULL THEN 'reminded'::kb_closure_step END
			WHEN t.deletion_on IS NULL THEN NULL
			WHEN t.has_money OR t.may_close_on > t.today THEN 'cancelled'
			-- an account with a month still to be charged waits for the next sweep
			WHEN t.is_charged THEN 'deleted'
			END AS step
		FROM kb_closure_terms($1, $2) t OFFSET 0) t
	CROSS JOIN LATERAL (
		SELECT CASE t.step
				   WHEN 'scheduled' THEN 'closing'
				   WHEN 'deleted' THEN 'deleted'
				   WHEN 'cancelled' THEN 'active'
				   WHEN 'restored' THEN 'active'
				   ELSE t.state
			   END AS state,
			   CASE t.step
				   WHEN 'scheduled' THEN t.today + t.notice_days
				   WHEN 'deleted' THEN t.today
				   WHEN 'cancelled' THEN NULL
				   WHEN 'restored' THEN NULL
				   ELSE t.deletion_on
			   END AS delete_on) n
	WHERE t.step IS NOT NULL OR t.next_on IS NOT NULL OR t.state = 'active' AND t.check_on <= t.today;
END;
COMMENT ON FUNCTION kb_closure_steps(bigint[], timestamptz, kb_closure_step, boolean) IS
'The steps of closures to take for accounts, and what the rows of these say afterwards. A step is the one that is wanted, or '
'else what is due: a closure that D1 allows and the policy wants; a reminder (D2, D7); on the day of the deletion the '
'deletion, or a cancellation if the conditions no longer hold (D4); a cancellation if the sweep is not to close the account '
'any more. Accounts that were due for a look, and have no step, get another day for it ("check_on"). "step_delete_on" is '
'the day of the deletion that the step tells of; "used": whether the step shows that the account is used';

CREATE FUNCTION kbilling_internal.kb_notify_closures(account_ids bigint[], at timestamptz) RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_notify_closures';
COMMENT ON FUNCTION kb_notify_closures(bigint[], timestamptz) IS
'Writes the notices of the steps that were taken at the moment, and returns how many (D2, N1)';

CREATE FUNCTION kbilling.kb_schedule_closure(account_id bigint, by text, reason text = NULL) RETURNS date
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_schedule_closure';
COMMENT ON FUNCTION kb_schedule_closure(bigint, text, text) IS
'Schedules the closure of an unused account, writes a notice to the owners, and returns the day of the deletion (D1, '
'D2). For an account that is closing already, it returns that day and changes nothing. '
'Errors: KB001, KB010; KB011, whose detail names each condition that is not met; 22023 if "by" is empty or "sweep"';

CREATE FUNCTION kbilling.kb_cancel_closure(account_id bigint, member text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_cancel_closure';
COMMENT ON FUNCTION kb_cancel_closure(bigint, text) IS
'Cancels the closure of the account, for an owner or admin; this counts as activity (D4). '
'Errors: KB001, KB010; KB004 for any other member; 55000 if the account is not closing';

CREATE FUNCTION kbilling.kb_restore_account(account_id bigint, by text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_restore_account';
COMMENT ON FUNCTION kb_restore_account(bigint, text) IS
'Restores a deleted account as it was; this counts as activity. Months that ended while it was deleted are never '
'charged (D5). '
'Errors: KB001; KB010 if the account is purged, or the days in which it can be restored are over; 55000 if it is not '
'deleted';
/*
 * A policy that is changed, and what follows for the accounts that have it.
 */

CREATE FUNCTION kbilling_internal.kb_has_settings(policy text, settings jsonb) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (SELECT FROM policy p WHERE p.policy = $1 AND to_jsonb(jsonb_populate_record(p, $2)) = to_jsonb(p));
COMMENT ON FUNCTION kb_has_settings(text, jsonb) IS 'Whether there is such a policy, and it has these settings already';

CREATE FUNCTION kbilling_internal.kb_change_policy(policy text, settings jsonb, account_ids bigint[], stages_before kb_stage[])
	RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_put_policy($1, $2);
	SELECT kb_notify_stages(array_agg(d.account_id ORDER BY d.account_id), kb_now(), d.stage,
							format('policy %s at %s', $1, extract(epoch FROM kb_now())))
	FROM unnest($3, $4) d (account_id, stage)
	WHERE d.stage <> 'ok'
	GROUP BY d.stage;
	-- The sweep looks at closing on the day that the rules give now, be it earlier or later than before.
	UPDATE account a
	SET closure_check_on = least(greatest(t.may_close_on, t.today), t.next_tariff_on)
	FROM kb_closure_terms($3, kb_now()) t
	WHERE a.account_id = t.account_id AND a.state = 'active' AND a.balance <= 0
		AND a.closure_check_on IS DISTINCT FROM least(greatest(t.may_close_on, t.today), t.next_tariff_on);
	-- It looks anew when credit that will expire is to be told of.
	UPDATE account a
	SET credit_check_on = least(a.credit_check_on, kb_account_date(kb_now(), a.time_zone))
	FROM (SELECT x.account_id FROM account x
		  CROSS JOIN LATERAL kb_policy_on(x.account_id, x.tariff, x.tariff_from, kb_account_date(kb_now(), x.time_zone)) p
		  WHERE x.credit_check_on IS NOT NULL AND x.state IN ('active', 'closing') AND p.policy = $1 AND $2 ? 'credit_notice_days'
		  ORDER BY x.account_id FOR NO KEY UPDATE OF x) c
	WHERE a.account_id = c.account_id;
END;
COMMENT ON FUNCTION kb_change_policy(text, jsonb, bigint[], kb_stage[]) IS
'Writes what kb_set_policy has checked, and then, for the accounts, the notices of stages that are now others than '
'those given, and the days on which the sweep looks at them. The accounts are locked';

CREATE FUNCTION kbilling.kb_set_policy(policy text, settings jsonb) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('policy, settings', policy, settings);
	SELECT kb_require_settings(settings);
	SELECT kb_keep_buckets();
	SELECT FROM policy p WHERE p.policy = kb_set_policy.policy FOR NO KEY UPDATE;
	SELECT FROM account a
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date(kb_now(), a.time_zone)) p
	WHERE p.policy = $1 AND a.state IN ('active', 'closing') AND a.balance <= 0 AND kb_is_owned(a.account_id)
		AND NOT kb_has_settings($1, $2)
	ORDER BY a.account_id
	FOR NO KEY UPDATE OF a;
	-- The built-in row says itself that it cannot be changed.
	SELECT kb_change_policy($1, $2, array_agg(s.account_id ORDER BY s.account_id), array_agg(s.stage ORDER BY s.account_id))
	FROM account a
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date(kb_now(), a.time_zone)) p
	JOIN account_now s ON s.account_id = a.account_id
	WHERE p.policy = $1 AND a.state IN ('active', 'closing') AND a.balance <= 0
	HAVING $1 = 'standard' OR NOT kb_has_settings($1, $2);
END;
COMMENT ON FUNCTION kb_set_policy(text, jsonb) IS
'Creates a policy, or changes one: "settings" has the columns of kbilling.policy that are to be set, such as '
'{"remind_day": 5}. The others stay, or are those of "standard" if the policy is new. For its accounts, the change '
'holds at once: notices are written of stages that have changed. '
'Errors: 22023 for settings that are no object, or that kbilling.policy has no column for; 22P02 and 23514 for values that '
'it refuses; 55000 for the policy "standard", which is built in';
/*
 * The purge of a deleted account: members' personal data and usage go, and the
 * rows of tables that the application has registered (D6).
 */

-- By name, because a restore gives tables other OIDs.
CREATE TABLE kbilling.purge_table (
	schema_name    name NOT NULL,
	table_name     name NOT NULL,
	account_column name NOT NULL,
	PRIMARY KEY (schema_name, table_name, account_column)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.purge_table', '');
COMMENT ON TABLE purge_table IS
'The application''s tables from which a purge deletes the account''s rows (D6); written by kb_register_purge';
COMMENT ON COLUMN purge_table.schema_name IS 'The table''s schema';
COMMENT ON COLUMN purge_table.table_name IS 'The table';
COMMENT ON COLUMN purge_table.account_column IS 'The column with the account''s number';


CREATE FUNCTION kbilling.kb_register_purge(relation regclass, account_column name) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('relation, account_column', $1, $2);
	SELECT CASE
		WHEN c.relkind NOT IN ('r', 'p') OR c.relpersistence = 't'
			 OR c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace, 'pg_catalog'::regnamespace)
			THEN kb_raise('42809', format('%s is not a table of an application', $1), NULL, 'Register an ordinary or partitioned table.')
		WHEN a.attnum IS NULL
			THEN kb_raise('42703', format('%s has no column "%s"', $1, $2), NULL, 'Name the column that holds the account''s number.')
		WHEN a.atttypid NOT IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype)
			THEN kb_raise('42804', format('column "%s" of %s is not of an integer type', $2, $1),
						  format('Its type is %s.', format_type(a.atttypid, a.atttypmod)),
						  'Name the column that holds the account''s number.')
		END
	FROM pg_class c
	LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.oid = $1;
	INSERT INTO purge_table (schema_name, table_name, account_column)
	SELECT n.nspname, c.relname, kb_register_purge.account_column
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.oid = kb_register_purge.relation
	ON CONFLICT DO NOTHING;
END;
COMMENT ON FUNCTION kb_register_purge(regclass, name) IS
'Registers a table of the application: each purge deletes the account''s rows from it, in its own transaction (D6), '
'with the rights of the table''s owner. Tables that refer to others are emptied first. Only for the owner of the '
'extension. '
'Errors: 42809 if it is not a table of an application; 42703 if it has no such column; 42804 if the column does not '
'hold integers';


CREATE FUNCTION kbilling.kb_unregister_purge(relation text) RETURNS boolean
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('relation', $1);
	WITH gone AS (
		DELETE FROM purge_table t
		WHERE ARRAY[t.schema_name::text, t.table_name] = parse_ident($1)
		RETURNING t.table_name
	)
	SELECT EXISTS (SELECT FROM gone);
END;
COMMENT ON FUNCTION kb_unregister_purge(text) IS
'Undoes kb_register_purge. The table, which may be gone, is named with its schema. False if it is not registered. '
'Only for the owner of the extension';

-- A table that refers to another reaches more tables than that one, and so comes first.

CREATE VIEW kbilling.purge_order WITH (security_invoker) AS
	WITH RECURSIVE reference (from_table, to_table) AS (	-- a table refers to what its partitions and children do
		SELECT c.conrelid, c.confrelid FROM pg_constraint c WHERE c.contype = 'f'
		UNION
		SELECT i.inhparent, i.inhrelid FROM pg_inherits i
	), reached (from_table, to_table) AS (
		SELECT f.from_table, f.to_table FROM reference f
		UNION
		SELECT r.from_table, f.to_table FROM reached r JOIN reference f ON f.from_table = r.to_table
	)
	SELECT t.schema_name, t.table_name, t.account_column, c.oid::regclass AS relation, c.relowner::regrole AS owner,
		   row_number() OVER (ORDER BY (SELECT count(*) FROM reached r WHERE r.from_table = c.oid) DESC,
									   t.schema_name, t.table_name, t.account_column) AS position
	FROM purge_table t
	LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
		ON n.nspname = t.schema_name AND c.relname = t.table_name AND c.relkind IN ('r', 'p')
			AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = t.account_column AND NOT a.attisdropped);
COMMENT ON VIEW purge_order IS
'The registered tables in the order in which a purge empties them, which is one that foreign keys allow';
COMMENT ON COLUMN purge_order.schema_name IS 'The table''s schema';
COMMENT ON COLUMN purge_order.table_name IS 'The table';
COMMENT ON COLUMN purge_order.account_column IS 'The column with the account''s number';
COMMENT ON COLUMN purge_order.relation IS
'The table; NULL if it or its column is gone: then purges fail until it is unregistered';
COMMENT ON COLUMN purge_order.owner IS 'The role with whose rights its rows are deleted';
COMMENT ON COLUMN purge_order.position IS 'Its place in the order';

CREATE FUNCTION kbilling_internal.kb_purge_accounts(account_ids bigint[], at timestamptz) RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_purge_accounts';
COMMENT ON FUNCTION kb_purge_accounts(bigint[], timestamptz) IS
'Purges those accounts whose day has come, and returns how many (D6). '
'Errors: 42P01 if a registered table is gone';
/*
 * Top-ups and bonuses.
 */

CREATE TYPE kbilling.kb_topup_result AS (
	entry_seq    bigint,
	bonus_seq    bigint,
	credited     kb_money,
	bonus        kb_money,
	balance      kb_money,
	stage_before kb_stage,
	stage_after  kb_stage,
	replayed     boolean
);
COMMENT ON TYPE kb_topup_result IS 'What kb_apply_topup has done';
COMMENT ON COLUMN kb_topup_result.entry_seq IS 'The top-up''s entry';
COMMENT ON COLUMN kb_topup_result.bonus_seq IS 'The bonus''s entry; NULL if it earned none';
COMMENT ON COLUMN kb_topup_result.credited IS 'The money that was paid in';
COMMENT ON COLUMN kb_topup_result.bonus IS 'The bonus on top of it, zero or more';
COMMENT ON COLUMN kb_topup_result.balance IS 'The balance after both';
COMMENT ON COLUMN kb_topup_result.stage_before IS 'The stage before the top-up';
COMMENT ON COLUMN kb_topup_result.stage_after IS 'The stage after the top-up';
COMMENT ON COLUMN kb_topup_result.replayed IS 'True if the reference was credited before; then nothing has changed';

CREATE FUNCTION kbilling.kb_apply_topup(account_id bigint, amount kb_money, method text, reference text,
										member text = NULL, payment_id bigint = NULL, paid kb_money = NULL)
	RETURNS kb_topup_result
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_apply_topup';
COMMENT ON FUNCTION kb_apply_topup(bigint, kb_money, text, text, text, bigint, kb_money) IS
'Credits a confirmed payment, and the bonus that it earns, once for each reference (T2, T3, T5). "paid" is what the '
'customer was charged, if that is another amount, perhaps in another currency (T8). With "payment_id" '
'it settles a payment that was begun, whatever amount and method that was begun with (T9). '
'Errors: KB001, KB010; KB002 for another currency; KB004 if the member is no owner or admin (T1); KB005 for an '
'amount that is not above zero; KB006 if the reference stands for something else, or the payment is settled or is '
'not the account''s (T9); 22023 for an unknown method';
/*
 * Which top-ups a refund, a chargeback or a reversal belongs to, and what is left of each (T6, T7).
 *
 * The lines of a refund and of a chargeback say which top-ups they take back, and how much of each; those of their
 * reversals say the same with opposite amounts.  What goes of a bonus, and what comes back, is an entry that refers to
 * the bonus.
 */

-- Whatever is no part of a top-up is passed over: a check must not fail on it.
CREATE FUNCTION kbilling_internal.kb_topup_parts(lines jsonb, currency text) RETURNS TABLE (topup_seq bigint, amount kb_money)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT CASE WHEN p.is_part THEN (p.line->>'topup')::bigint END, CASE WHEN p.is_part THEN (p.line->>'amount')::kb_money END
	FROM (SELECT x.line, x.line->>'topup' ~ '^[0-9]{1,18}$' AND kb_is_amount(x.line->>'amount', $2) AS is_part
		  FROM jsonb_array_elements(CASE jsonb_typeof($1) WHEN 'array' THEN $1 ELSE '[]' END) x (line)) p
	WHERE p.is_part;
END;
COMMENT ON FUNCTION kb_topup_parts(jsonb, text) IS
'The parts of an entry''s lines that belong to top-ups, each with the top-up''s entry and how much of it was taken '
'back, which is below zero in a reversal';

-- T8: each refund or chargeback that was said in the currency of "paid" has it below zero, a reversal of it above
CREATE FUNCTION kbilling_internal.kb_paid_back(account_id bigint, topup_seq bigint) RETURNS TABLE (paid kb_money, amount kb_money)
	LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
	SELECT coalesce(b.paid, t.paid - t.paid), coalesce(b.amount, t.amount - t.amount)
	FROM entry t
	CROSS JOIN LATERAL (SELECT - sum(e.paid) AS paid, - sum(e.amount) AS amount
						FROM entry e
						LEFT JOIN entry r ON e.kind = 'reversal' AND r.account_id = e.account_id AND r.seq = e.ref_seq
						WHERE e.account_id = t.account_id AND e.kind IN ('refund', 'chargeback', 'reversal')
							AND e.paid IS NOT NULL AND coalesce(r.ref_seq, e.ref_seq) = t.seq) b
	WHERE t.account_id = $1 AND t.seq = $2;
END;
COMMENT ON FUNCTION kb_paid_back(bigint, bigint) IS
'Of what the customer of a top-up was charged (T8), how much went back by refunds and chargebacks that were said in that '
'currency, and by how much these moved the balance';

-- Of all that went back until then, and now, the exact share, rounded once: the last part takes all the rest.
CREATE FUNCTION kbilling_internal.kb_paid_share(account_id bigint, topup_seq bigint, paid kb_money) RETURNS kb_money
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT kb_money(round(kb_amount(t.amount) * kb_amount(b.paid + $3) / kb_amount(t.paid), kb_minor_units(c.currency)), c.currency)
		- b.amount
	FROM entry t
	CROSS JOIN LATERAL (SELECT kb_currency(t.amount) AS currency) c
	CROSS JOIN LATERAL kb_paid_back(t.account_id, t.seq) b
	WHERE t.account_id = $1 AND t.seq = $2 AND kb_currency(t.paid) = kb_currency($3);
END;
COMMENT ON FUNCTION kb_paid_share(bigint, bigint, kb_money) IS
'The part of a top-up that goes back with a part of what the customer was charged (T8); NULL if that was in another '
'currency';

-- Sums are within one currency, even where an entry has another one by mistake: kb_check reads this.
CREATE VIEW kbilling.topup_status WITH (security_invoker) AS
	SELECT t.account_id, t.seq, t.key AS reference, t.amount, coalesce(k.amount, c.zero) AS taken_back,
		   t.amount - coalesce(k.amount, c.zero) AS remaining, b.seq AS bonus_seq, coalesce(b.amount, c.zero) AS bonus_earned,
		   coalesce(b.kept, c.zero) AS bonus, coalesce(b.unspent, c.zero) AS unspent_bonus, b.expires_on AS bonus_expires_on
	FROM entry t
	CROSS JOIN LATERAL (SELECT kb_currency(t.amount) AS currency, t.amount - t.amount AS zero) c
	LEFT JOIN credit_lot b ON b.account_id = t.account_id AND b.topup_seq = t.seq AND kb_currency(b.amount) = c.currency
	LEFT JOIN (SELECT p.account_id, p.topup_seq, p.currency, sum(p.amount) AS amount
			   FROM (SELECT e.account_id, l.topup_seq, kb_currency(e.amount) AS currency, l.amount
					 FROM entry e CROSS JOIN LATERAL kb_topup_parts(e.lines, kb_currency(e.amount)) l
					 WHERE e.kind IN ('refund', 'chargeback', 'reversal') AND e.lines IS NOT NULL
					 UNION ALL
					 SELECT r.account_id, r.ref_seq, kb_currency(r.amount), - r.amount FROM entry r
					 WHERE r.kind = 'reversal' AND r.lines IS NULL) p
			   GROUP BY p.account_id, p.topup_seq, p.currency) k
		ON k.account_id = t.account_id AND k.topup_seq = t.seq AND k.currency = c.currency
	WHERE t.kind = 'topup' AND kb_is_owned(t.account_id);
COMMENT ON VIEW topup_status IS
'Every top-up, with what was refunded, charged back or reversed of it, and what of its bonus is unspent (T6, T7)';
COMMENT ON COLUMN topup_status.account_id IS 'The account';
COMMENT ON COLUMN topup_status.seq IS 'The top-up''s entry';
COMMENT ON COLUMN topup_status.reference IS 'The provider''s reference';
COMMENT ON COLUMN topup_status.amount IS 'What was paid in';
COMMENT ON COLUMN topup_status.taken_back IS 'What was refunded, charged back or reversed of it, and has not come back since';
COMMENT ON COLUMN topup_status.remaining IS 'What can still be refunded or charged back of it';
COMMENT ON COLUMN topup_status.bonus_seq IS 'The bonus''s entry; NULL if it earned none';
COMMENT ON COLUMN topup_status.bonus_earned IS 'The bonus that it earned';
COMMENT ON COLUMN topup_status.bonus IS 'That bonus, less what has gone with money that was given back';
COMMENT ON COLUMN topup_status.unspent_bonus IS 'The part of it that is unspent (G2)';
COMMENT ON COLUMN topup_status.bonus_expires_on IS
'The local date from which on the bonus is spent no more (G3); NULL if it never expires, or there is none';

-- A debt that the entry made may have been paid by credit that was granted after it, older debts first.
CREATE FUNCTION kbilling_internal.kb_lots_back(account_id bigint, seq bigint)
	RETURNS TABLE (priority integer, expires_on date, back kb_money, spent kb_money, on_debt kb_money)
	LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH reversed AS (
		SELECT e.*, e.amount - e.amount AS zero,
			   coalesce((SELECT p.bonus_after FROM entry p WHERE p.account_id = e.account_id AND p.seq = e.seq - 1), e.amount - e.amount)
				   AS bonus_before
		FROM entry e WHERE e.account_id = $1 AND e.seq = $2
	), moved AS (
		SELECT o.priority, o.expires_on, o.amount FROM reversed r CROSS JOIN LATERAL unnest(r.lots) o
		UNION ALL
		SELECT 50, 'infinity', r.bonus_after - r.bonus_before - coalesce((SELECT sum(o.amount) FROM unnest(r.lots) o), r.zero)
		FROM reversed r
	), lot AS (
		SELECT l.priority, coalesce(l.expires_on, 'infinity') AS expires_on, sum(l.kept - l.unspent) AS spent
		FROM credit_lot l WHERE l.account_id = $1 GROUP BY 1, 2
	), debt AS (
		SELECT least(greatest(- r.balance_after, r.zero) - d.before,
					 greatest((SELECT coalesce(sum(l.amount - (g.bonus_after - p.bonus_after)), r.zero)
							   FROM credit_lot l
							   JOIN entry g ON g.account_id = l.account_id AND g.seq = l.seq
							   JOIN entry p ON p.account_id = l.account_id AND p.seq = l.seq - 1
							   WHERE l.account_id = $1 AND l.seq > $2) - d.before, r.zero)) AS paid
		FROM reversed r CROSS JOIN LATERAL (SELECT greatest(r.amount - r.balance_after, r.zero) AS before OFFSET 0) d
		WHERE r.amount < 0
	)
	SELECT coalesce(l.priority, m.priority), coalesce(l.expires_on, m.expires_on), coalesce(- m.amount, r.zero), coalesce(l.spent, r.zero),
		   greatest(coalesce((SELECT d.paid FROM debt d), r.zero), r.zero)
	FROM reversed r
	CROSS JOIN (lot l FULL JOIN moved m ON m.priority = l.priority AND m.expires_on = l.expires_on)
	ORDER BY 1, 2;
END;
COMMENT ON FUNCTION kb_lots_back(bigint, bigint) IS
'What a reversal of an entry has to do with credit, by priority and expiry: what the entry took, or below zero gave; how much has been '
'spent of such lots by now; and, in each row, how much credit has paid of the debt that the entry made (G4)';

CREATE FUNCTION kbilling_internal.kb_has_expired(account_id bigint, seq bigint) RETURNS boolean
	LANGUAGE sql STABLE
RETURN EXISTS (
	SELECT FROM credit_lot l
	JOIN entry x ON x.account_id = l.account_id AND x.kind = 'expiry' AND x.seq > l.seq
	CROSS JOIN LATERAL unnest(x.lots) o
	WHERE l.account_id = $1 AND l.seq = $2 AND o.priority = l.priority AND o.expires_on = l.expires_on
);
COMMENT ON FUNCTION kb_has_expired(bigint, bigint) IS 'Whether the entry gave credit of which an expiry has taken some, or of lots like it';
/*
 * What puts a balance right: refund, chargeback, adjustment, write-off, reversal.
 */

CREATE FUNCTION kbilling.kb_refund(account_id bigint, amount kb_money, reference text, memo text = NULL,
								   topup_reference text = NULL, forced boolean = false)
	RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_refund';
COMMENT ON FUNCTION kb_refund(bigint, kb_money, text, text, text, boolean) IS
'Pays money back, at most the balance less the unspent bonus, and returns the number of the entry. It is money of the '
'top-up that is named, else of the newest ones; their unspent bonus goes with it by proportion (T6). With "forced" it '
'books a refund that the provider has made already, even into debt. Of a top-up that is named, the amount may be in the '
'currency in which it was paid (T8): it takes the smallest unit of the account''s at least, or, with "forced", if nothing '
'is left of the top-up and it would round to zero, posts nothing, and the result is NULL. '
'Errors: KB001, KB002, KB006; KB005 for more than is left of the paid money or of the top-ups, and for an amount that '
'is not above zero; 22023 if there is no such top-up';

-- The lock first, so that what it reads then is what kb_refund finds.
CREATE FUNCTION kbilling.kb_refund_total(account_id bigint, topup_reference text, total kb_money, reference text, memo text = NULL)
	RETURNS bigint
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('account_id, topup_reference, total, reference', $1, $2, $3, $4);
	SELECT kb_require_owned($1);
	SELECT FROM account a WHERE a.account_id = $1 FOR NO KEY UPDATE;
	SELECT kb_require_account($1);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM entry t WHERE t.account_id = $1 AND t.key = $2 AND t.kind = 'topup')
			THEN kb_raise('22023', format('account %s has no top-up "%s"', $1, $2), NULL,
						  'Give the reference under which the top-up was applied; kbilling.topup_status lists them.')
		END;
	SELECT CASE WHEN m.missing > 0
		THEN kb_refund($1, coalesce(m.paid, m.missing), $4, $5, $2, true)
		ELSE (SELECT e.seq FROM entry e WHERE e.account_id = $1 AND e.key = $4 AND e.kind = 'refund') END
	-- of a sum in the currency in which was paid, its share counts; it is booked so if all that went back was said so
	FROM (SELECT CASE WHEN c.is_paid THEN kb_paid_share($1, e.seq, $3 - b.paid) + b.amount ELSE $3 END - t.taken_back AS missing,
				 CASE WHEN c.is_paid AND b.amount = t.taken_back THEN $3 - b.paid END AS paid
		  FROM topup_status t
		  JOIN entry e ON e.account_id = t.account_id AND e.seq = t.seq
		  CROSS JOIN LATERAL kb_paid_back(e.account_id, e.seq) b
		  CROSS JOIN LATERAL (SELECT kb_currency(e.paid) = kb_currency($3) AND kb_currency(e.amount) <> kb_currency($3) AS is_paid) c
		  WHERE t.account_id = $1 AND t.reference = $2) m;
END;
COMMENT ON FUNCTION kb_refund_total(bigint, text, kb_money, text, text) IS
'Books that the provider has paid back "total" of a top-up until now, all together, for providers that report no single '
'refunds: as a refund of what is missing of it (kb_refund with "forced"), whose number it returns. If nothing is missing, '
'as an earlier or later report was booked, nothing is posted, and the result is NULL. The total may be in the currency in '
'which the top-up was paid (T8). '
'Errors: those of kb_refund';

CREATE FUNCTION kbilling.kb_chargeback(account_id bigint, topup_reference text, reference text, amount kb_money = NULL)
	RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_chargeback';
COMMENT ON FUNCTION kb_chargeback(bigint, text, text, kb_money) IS
'Takes back what is left of a top-up, or the amount, even into debt, and the unspent bonus of that part (T7), and '
'returns the number of the chargeback''s entry. The amount may be in the currency in which the top-up was paid (T8): '
'it takes the smallest unit of the account''s at least, or, if nothing is left of the top-up and it would round to zero, '
'posts nothing, and the result is NULL. A '
'dispute that was won is the reversal of that entry. '
'Errors: KB001, KB002; KB005 for more than is left of the top-up, and for an amount that is not above zero; KB006 if '
'nothing is left of it, or the reference stands for something else; 22023 if there is no such top-up';

CREATE FUNCTION kbilling.kb_adjust(account_id bigint, amount kb_money, reference text, memo text) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_adjust';
COMMENT ON FUNCTION kb_adjust(bigint, kb_money, text, text) IS
'Moves the balance up or down by the amount, for the reason in "memo", and returns the number of the entry. '
'Errors: KB001, KB002, KB006; KB005 for zero';

CREATE FUNCTION kbilling.kb_write_off(account_id bigint, reference text, memo text) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_write_off';
COMMENT ON FUNCTION kb_write_off(bigint, text, text) IS
'Writes off the whole debt as bad debt, and returns the number of the entry. '
'Errors: KB001, KB006; KB005 if there is no debt';

CREATE FUNCTION kbilling.kb_reverse(account_id bigint, entry_seq bigint, reference text, memo text) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_reverse';
COMMENT ON FUNCTION kb_reverse(bigint, bigint, text, text) IS
'Reverses one whole entry (J1), and returns the number of the reversal. The reversal of a charge gives back the '
'bonus that the charge spent. Its month stays charged, and its usage is never billed or given back any more, whenever '
'it is recorded or taken back (U3): what is still owed of it is posted with kb_adjust. Credit that has expired meanwhile '
'comes back as expired (G4): grant it anew with kb_grant_credit. The reversal of a top-up takes its '
'unspent bonus along; that of a refund or a chargeback brings back the bonus that went with it (T6, T7). '
'Errors: KB001; KB006 if the entry, or a part of it, has been taken back already, or the reference stands for '
'something else; 22023 if there is no such entry, or it is a reversal, or has moved a bonus with another entry';

-- What the provider may take back of its own doing, by the reference that it knows: kb_reverse can do more.
CREATE FUNCTION kbilling_internal.kb_reverse_kind(account_id bigint, kind kb_entry_kind, reversed text, reference text, memo text)
	RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_require_not_null('account_id, ' || $2 || '_reference, reference', $1, $3, $4);
	SELECT kb_require_account($1);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM entry e WHERE e.account_id = $1 AND e.key = $3 AND e.kind = $2)
			THEN kb_raise('22023', format('account %s has no %s "%s"', $1, $2, $3), NULL,
						  format('Give the reference under which the %s was posted; kbilling.payment_history lists them.', $2))
		END;
	SELECT kb_reverse($1, e.seq, $4, $5) FROM entry e WHERE e.account_id = $1 AND e.key = $3 AND e.kind = $2;
END;
COMMENT ON FUNCTION kb_reverse_kind(bigint, kb_entry_kind, text, text, text) IS
'Reverses the entry that has this reference, if it is of this kind; else 22023. Part of kb_reverse_refund and '
'kb_reverse_chargeback';

CREATE FUNCTION kbilling.kb_reverse_refund(account_id bigint, refund_reference text, reference text, memo text = 'refund failed')
	RETURNS bigint
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
RETURN kb_reverse_kind(account_id, 'refund', refund_reference, reference, memo);
COMMENT ON FUNCTION kb_reverse_refund(bigint, text, text, text) IS
'Books that a refund has failed at the provider, as the reversal of the refund that has this reference, and returns '
'the number of the entry. Another entry cannot be reversed by it (E6). '
'Errors: those of kb_reverse; 22023 if the account has no such refund';

CREATE FUNCTION kbilling.kb_reverse_chargeback(account_id bigint, chargeback_reference text, reference text,
											   memo text = 'dispute won')
	RETURNS bigint
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
RETURN kb_reverse_kind(account_id, 'chargeback', chargeback_reference, reference, memo);
COMMENT ON FUNCTION kb_reverse_chargeback(bigint, text, text, text) IS
'Books that a dispute was won, as the reversal of the chargeback that has this reference, and returns the number of '
'the entry. Another entry cannot be reversed by it (E6). '
'Errors: those of kb_reverse; 22023 if the account has no such chargeback';
/*
 * Credit that is granted (rules G).
 */

CREATE FUNCTION kbilling.kb_grant_credit(account_id bigint, amount kb_money, reference text, memo text, expires_on date = NULL,
										 priority integer = 50)
	RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_grant_credit';
COMMENT ON FUNCTION kb_grant_credit(bigint, kb_money, text, text, date, integer) IS
'Gives an account credit, for the reason in "memo", and returns the number of the entry (G1). It is spent before paid money, and '
'never paid out (G4): lower priorities, from 0 to 1000, first, then what expires first (G2). From the local midnight with which '
'"expires_on" begins it is spent no more (G3); NULL: it never expires. '
'Errors: KB001, KB002, KB006, KB010; KB005 for an amount that is not above zero; 22008 for an expiry that is not after today, or is '
'infinite; 22023 for a priority out of range; 55000 once the contract has ended (X2)';
/*
 * Purchases: services that are billed when they are bought (L5).
 */

CREATE FUNCTION kbilling_internal.kb_purchase_of(account_id bigint, service text, quantity numeric, today date)
	RETURNS TABLE (amount kb_money, lines kb_lines)
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT kb_require_service($2);
	SELECT CASE
		WHEN s.kind <> 'one_off'
			THEN kb_raise('22023', format('service "%s" cannot be bought', s.service),
						  CASE s.kind WHEN 'metered' THEN 'It is billed by its usage.' ELSE 'It is billed while it is switched on.' END,
						  'Buy a service of the kind "one_off".')
		WHEN NOT ($3 > 0 AND $3 < 'infinity')
			THEN kb_raise('22023', 'quantity must be above zero, and finite', format('It is %s.', $3),
						  'Give how many are bought. A purchase is given back by kb_reverse.')
		WHEN NOT EXISTS (SELECT FROM account a CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, $4) x
						 CROSS JOIN LATERAL kb_price_on(x.tariff, $2, $4) p WHERE a.account_id = $1)
			THEN kb_raise('KB012', format('service "%s" has no price for account %s', $2, $1),
						  format('Its tariff has none on %s.', $4), 'Set one with kb_set_price.')
		END
	FROM service s WHERE s.service = $2;
	SELECT r.amount,
		   jsonb_build_array(jsonb_build_object('service', $2, 'what', 'purchase', 'from_date', $4, 'to_date', $4, 'days', 1,
												'days_in_month', 1, 'quantity', $3, 'price', p.price::text, 'amount', r.amount))::kb_lines
	FROM account a
	CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, $4) x
	CROSS JOIN LATERAL kb_price_on(x.tariff, $2, $4) p
	CROSS JOIN LATERAL (SELECT kb_rate(p.price, $3, a.currency) AS amount OFFSET 0) r
	WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_purchase_of(bigint, text, numeric, date) IS
'What so many of a service cost the account on a day, and the line of it';

CREATE FUNCTION kbilling.kb_buy(account_id bigint, service text, quantity numeric, reference text, member text = NULL) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_buy';
COMMENT ON FUNCTION kb_buy(bigint, text, numeric, text, text) IS
'Buys so many of a service of the kind "one_off", at the price of the day, charges them at once, and returns the entry''s seq (L5). '
'The same reference again returns the first entry and changes nothing. "member" is who buys, an owner or admin. kb_reverse gives a '
'purchase back. '
'Errors: KB001, KB010; KB004 if the member is no owner or admin; KB006 if the reference stands for something else; KB012 for an '
'unknown service, or one without a price; KB013 if too little is left: with a credit line, of what is available, else of the '
'balance; KB005 if it costs nothing; 22023 for a service of another kind, and a quantity that is not above zero; 55000 once the '
'contract has ended (X2)';
/*
 * What is to come if nothing is paid (S6): standing, stage and access at any
 * moment, the months ahead, and what to pay for them now.
 */

CREATE FUNCTION kbilling_internal.kb_terms_changes(account_id bigint, today date) RETURNS TABLE (day date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT x.from_date FROM account_tariff x WHERE x.account_id = $1 AND x.from_date > $2
	UNION ALL
	SELECT u.from_date FROM subscription u WHERE u.account_id = $1 AND u.from_date > $2
	UNION ALL
	SELECT u.to_date FROM subscription u WHERE u.account_id = $1 AND u.to_date > $2 AND u.to_date < 'infinity'
	UNION ALL
	SELECT p.from_date FROM account_tariff x JOIN price_list p ON p.tariff = x.tariff
	WHERE x.account_id = $1 AND x.to_date > $2 AND p.from_date > $2
	UNION ALL
	SELECT p.to_date FROM account_tariff x JOIN price_list p ON p.tariff = x.tariff
	WHERE x.account_id = $1 AND x.to_date > $2 AND p.to_date > $2 AND p.to_date < 'infinity'
	UNION ALL
	SELECT a.ends_on + 1 FROM account a WHERE a.account_id = $1 AND a.ends_on >= $2
	UNION ALL
	SELECT m.from_date FROM account_tariff x JOIN tariff_minimum m ON m.tariff = x.tariff
	WHERE x.account_id = $1 AND x.to_date > $2 AND m.from_date > $2
	UNION ALL
	SELECT d.from_period FROM discount d WHERE d.account_id = $1 AND d.from_period > $2
	UNION ALL
	SELECT d.to_period FROM discount d WHERE d.account_id = $1 AND d.to_period > $2 AND d.to_period < 'infinity';
END;
COMMENT ON FUNCTION kb_terms_changes(bigint, date) IS
'The days after today on which the tariff of an account, its minimum, its services, their prices or its discounts change, or its '
'contract is over, some of them repeatedly';

-- Whole months in which nothing changes cost the same, if they have as many days, or nothing is metered; so one of them is
-- billed for all.  The months before those have usage of their own, as the next one may have, whose first hour can be recorded.
CREATE FUNCTION kbilling_internal.kb_bills_ahead(account_id bigint, through date, paced boolean, with_running boolean)
	RETURNS TABLE (period date, posted_on date, effective_on date, total kb_money, lines kb_lines)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH month AS MATERIALIZED (
		SELECT g.period, g.first_day, greatest(g.due_on - 1, g.first_day) AS last_day, g.due_on, greatest(g.due_on, d.today) AS posted_on,
			   d.ends_on,
			   CASE g.period WHEN d.oldest THEN '-infinity' ELSE g.period END AS usage_from, CASE WHEN $3 THEN d.today END AS paced_on,
			   CASE WHEN g.period > d.own AND width_bucket(g.period, d.changes) = width_bucket(g.last_day, d.changes)
				   THEN min(g.period) OVER (PARTITION BY g.period > d.own, width_bucket(g.period, d.changes),
											width_bucket(g.last_day, d.changes), CASE WHEN d.is_metered THEN g.last_day - g.period END)
				   ELSE g.period END AS like_period
		FROM (SELECT a.charged_through, a.ends_on, t.today, kb_month_first_day(a.charged_through + 1) AS oldest,
					 greatest(kb_month_last_day(t.today), kb_month_last_day(a.charged_through + 1), l.last_used) AS own,
					 l.last_used >= kb_month_first_day(kb_month_first_day(t.today) - 1) AS is_metered,
					 (SELECT coalesce(array_agg(c.day ORDER BY c.day), '{}') FROM kb_terms_changes(a.account_id, t.today) c) AS changes
			  FROM account a
			  CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) t
			  CROSS JOIN LATERAL (SELECT max(u.period) AS last_used FROM usage_total u WHERE u.account_id = a.account_id) l
			  WHERE a.account_id = $1 AND a.state IN ('active', 'closing')
			  OFFSET 0) d
		CROSS JOIN LATERAL (SELECT i::date AS period, greatest(i::date, d.charged_through + 1) AS first_day,
								   kb_month_last_day(i::date) AS last_day,
								   kb_charge_due_on(greatest(i::date - 1, d.charged_through), d.ends_on) AS due_on
							-- after the end, nothing but what is late already is to come
							FROM generate_series(d.oldest::timestamp, least($2, greatest(coalesce(d.ends_on, $2), d.oldest))::timestamp,
												 interval '1 month') i) g
		WHERE g.due_on <= $2
	), bill AS MATERIALIZED (
		SELECT m.period, b.total, b.lines
		FROM account a
		CROSS JOIN LATERAL (
			SELECT x.period, x.first_day, x.last_day, x.usage_from, x.paced_on FROM month x WHERE x.period = x.like_period
			UNION ALL
			SELECT NULL, r.first_day, r.last_day, r.usage_from, NULL
			FROM kb_running_days(a.charged_through, a.time_zone, a.ends_on) r
			WHERE $4 AND a.state IN ('active', 'closing') AND a.charged_through < r.last_day) m
		CROSS JOIN LATERAL kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from, m.first_day, m.last_day,
			m.usage_from, m.paced_on, a.ends_on) b
		WHERE a.account_id = $1
	)
	SELECT m.period, m.posted_on, kb_charge_effective_on(m.posted_on, p.debt_counts_from, m.due_on), b.total, NULL::kb_lines
	FROM month m
	JOIN bill b ON b.period = m.like_period
	JOIN account a ON a.account_id = $1
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, m.posted_on) p
	WHERE (m.ends_on < m.first_day) IS NOT TRUE OR kb_has_unbilled($1)
	UNION ALL
	SELECT NULL, NULL, NULL, b.total, b.lines FROM bill b WHERE $4 AND b.period IS NULL;
END;
COMMENT ON FUNCTION kb_bills_ahead(bigint, date, boolean, boolean) IS
'The months of an account that are not charged yet, and that a sweep which runs each day charges up to a day: what each '
'will come to, when it is charged, and when that takes effect. Usage does not go on, or, with "paced", at its pace. '
'Whether the account is deleted first is not looked at. "with_running" adds what current_usage shows, with its lines: a row '
'without a period';

CREATE FUNCTION kbilling_internal.kb_charges_ahead(account_id bigint, through date, paced boolean)
	RETURNS TABLE (period date, posted_on date, effective_on date, total kb_money)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT b.period, b.posted_on, b.effective_on, b.total FROM kb_bills_ahead($1, $2, $3, false) b;
END;
COMMENT ON FUNCTION kb_charges_ahead(bigint, date, boolean) IS 'The months that kb_bills_ahead gives';

-- What the sweep of that day will find: kb_owed_through, as the months before the one of the day will be charged by then.  Usage
-- that goes on adds to it day by day what it adds to the month.  No set, so that it is not planned where nothing expires.
CREATE FUNCTION kbilling_internal.kb_expiries_ahead(account_id bigint, through date, paced boolean)
	RETURNS kb_expiry_ahead[]
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
	SELECT array_agg(ROW(x.expires_on,
		   CASE WHEN x.expires_on <= d.today THEN (SELECT o.owed FROM kb_owed_through(a.account_id, x.expires_on - 1, kb_now()) o)
			   WHEN x.expires_on - 1 <= a.charged_through THEN NULL
			   WHEN $3 THEN (
				SELECT b.total + (p.total - w.total)
					   * ((x.expires_on - 1 - m.used_through)::numeric / greatest(m.last_day - m.used_through, 1))
				FROM kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from, m.first_day, x.expires_on - 1, m.usage_from, NULL,
								 a.ends_on) b,
					 kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from, m.first_day, m.last_day, m.usage_from, d.today,
								 a.ends_on) p,
					 kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from, m.first_day, m.last_day, m.usage_from, NULL,
								 a.ends_on) w)
			   ELSE (
				SELECT b.total
				FROM kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from, m.first_day, x.expires_on - 1, m.usage_from, NULL,
					a.ends_on, CASE WHEN m.month = kb_month_first_day(d.today) THEN kb_day_begins(x.expires_on, a.time_zone) END) b)
			   END)::kb_expiry_ahead)
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today OFFSET 0) d
	CROSS JOIN LATERAL (SELECT DISTINCT o.expires_on FROM unnest(a.lots) o WHERE o.expires_on <= $2) x
	CROSS JOIN LATERAL (SELECT kb_month_first_day(x.expires_on - 1) AS month, kb_month_last_day(x.expires_on - 1) AS last_day OFFSET 0) c
	CROSS JOIN LATERAL (SELECT c.month, c.last_day, greatest(c.month, a.charged_through + 1) AS first_day,
							   greatest(c.month - 1, d.today) AS used_through,
							   CASE WHEN c.month <= kb_month_first_day(a.charged_through + 1) THEN '-infinity' ELSE c.month END
									AS usage_from OFFSET 0) m
	WHERE a.account_id = $1
);
COMMENT ON FUNCTION kb_expiries_ahead(bigint, date, boolean) IS
'The days up to one on which credit of an account expires or has expired, and what it will owe then for the month that is not '
'charged yet (G3); NULL if all is charged. Usage does not go on, or, with "paced", at its pace';

CREATE FUNCTION kbilling_internal.kb_timeline(account_id bigint, through date, in_use boolean)
	RETURNS TABLE (today date, deferred_until date, from_day date, to_day date, balance kb_money, debt_since date, state text,
				   delete_on date, remind_day integer, restrict_day integer, block_day integer,
				   period date, charge kb_money, effective_on date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT d.today, a.deferred_until, w.from_day, w.to_day, w.balance, w.debt_since, w.state, w.delete_on,
		   w.remind_day, w.restrict_day, w.block_day, w.period, w.charge, w.effective_on
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) d
	LEFT JOIN LATERAL (SELECT s.step_no, s.taken_on, s.taken_by = 'sweep' AS by_sweep FROM closure_step s
					   WHERE s.account_id = a.account_id AND s.step = 'scheduled' AND a.state = 'closing' AND NOT $3
					   ORDER BY s.step_no DESC LIMIT 1) begun ON true
	CROSS JOIN LATERAL kb_walk_ahead(d.today, $2, a.balance, a.debt_since, a.state::text, a.delete_on,
		a.closure_check_on, begun.taken_on, begun.by_sweep,
		(SELECT min(s.reminder) FROM closure_step s
		 WHERE s.account_id = a.account_id AND s.step_no > begun.step_no AND s.step = 'reminded'), a.unspent_bonus, a.lots,
		a.expired_through, a.charged_through, a.ends_on,
		(SELECT array_agg(p.policy ORDER BY p.from_day) FROM kb_policies_ahead(a.account_id, d.today, $3) p),
		(SELECT array_agg(ROW(c.period, c.posted_on, c.effective_on, c.total)::kb_charge_ahead ORDER BY c.period)
		 FROM kb_charges_ahead(a.account_id, $2, $3) c),
		CASE WHEN a.lots IS NOT NULL THEN kb_expiries_ahead(a.account_id, $2, $3) END) w
	WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_timeline(bigint, date, boolean) IS
'What kb_walk_ahead says of an account, from today up to a day (S6). With "in_use", usage goes on at its pace, and the '
'account is not closed';

-- Months in which nothing changes are billed once for each length of a month that lies between two changes.
CREATE FUNCTION kbilling_internal.kb_require_forecast(account_id bigint, months integer) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN f.services * least($2, 5 * f.changes + 5) > 100000
			THEN kb_raise('54000', format('a forecast of %s months is too much for account %s', $2, $1),
						  format('It has %s services, and its terms change in %s months to come.', f.services, f.changes),
						  'Ask for fewer months.')
		END
	FROM (SELECT kb_today($1) AS today OFFSET 0) d
	CROSS JOIN LATERAL (
		SELECT (SELECT count(*) FROM subscription u WHERE u.account_id = $1 AND u.to_date > d.today) AS services,
			   (SELECT count(DISTINCT kb_month_first_day(c.day)) FROM kb_terms_changes($1, d.today) c
				WHERE c.day < d.today + $2 * 31) AS changes OFFSET 0) f;
END;
COMMENT ON FUNCTION kb_require_forecast(bigint, integer) IS
'Raises 54000 for a forecast that may bill more than 100,000 lines, which takes seconds';

CREATE FUNCTION kbilling.kb_forecast(account_id bigint, months integer)
	RETURNS TABLE (period date, charge kb_money, charged_on date, balance kb_money, stage kb_stage)
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_account($1);
	SELECT kb_require_not_null('months', $2);
	SELECT CASE
		WHEN $2 NOT BETWEEN 1 AND 1200
			THEN kb_raise('22023', 'months must be from 1 to 1200', format('It is %s.', $2),
						  'Give how many months to look ahead, the running one included.')
		END;
	SELECT kb_require_forecast($1, $2);
	SELECT t.period, t.charge, t.effective_on, t.balance,
		   kb_stage(t.debt_since, t.deferred_until, t.from_day, t.remind_day, t.restrict_day, t.block_day)
	FROM kb_timeline($1, (kb_month_first_day(kb_today($1)) + $2 * interval '1 month')::date, true) t
	WHERE t.period IS NOT NULL
	ORDER BY t.period;
END;
COMMENT ON FUNCTION kb_forecast(bigint, integer) IS
'A row for each month that is still to be charged: those that are due, the running one and those after it, up to the end of the '
'contract (X2); "months" '
'counts from the running one on. Each row shows the charge, the day on which it takes effect, and the balance and '
'stage then, if nothing is paid and usage goes on as in the running month and the one before. '
'Errors: KB001; 22023 for fewer than 1 month, or more than 1200; 54000 if the account''s services change so often that it '
'would take long';

CREATE FUNCTION kbilling.kb_amount_for(account_id bigint, months integer) RETURNS kb_money
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT coalesce((SELECT kb_amount_due(f.balance)
					 FROM kb_forecast($1, $2) f ORDER BY f.period DESC LIMIT 1),
					-- nothing more is charged; a deleted account is not asked to pay
					(SELECT CASE WHEN a.state IN ('active', 'closing') THEN kb_amount_due(a.balance) ELSE a.balance - a.balance END
					 FROM account a WHERE a.account_id = $1));
END;
COMMENT ON FUNCTION kb_amount_for(bigint, integer) IS
'What to pay now so that the balance lasts for so many months, the running one among them, by kb_forecast; zero if '
'it lasts already. A bonus on the payment is not counted. '
'Errors: KB001, 22023, 54000';
/*
 * What to offer for a top-up: amounts that make sense, each with its bonus (T5).
 */

-- Of two tiers that begin at one amount, the later holds.  What is offered stays within what a kb_money can say (M1).
CREATE FUNCTION kbilling_internal.kb_offers(account_id bigint, covered integer[], costs kb_money[])
	RETURNS TABLE (amount kb_money, bonus kb_money, bonus_expires_on date, reason text, months integer)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 5
BEGIN ATOMIC
	SELECT o.amount, kb_bonus(o.amount - d.due, coalesce(r.percent, 0)), d.today + r.valid_days, o.reason, o.months
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today, kb_amount_due(a.balance) AS due OFFSET 0) d
	CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, d.today) t
	CROSS JOIN LATERAL (
		SELECT DISTINCT ON (kb_minor(w.amount)) w.amount, w.reason, w.months
		FROM (SELECT d.due AS amount, 'debt' AS reason, NULL::integer AS months, 0 AS rank WHERE d.due > 0
			  UNION ALL
			  SELECT m.amount, CASE m.months WHEN 1 THEN 'month' ELSE 'months' END, m.months, m.months
			  FROM unnest($2, $3) m (months, amount) WHERE m.amount > 0
			  UNION ALL
			  SELECT d.due + b.min_amount, 'tier', NULL, 100
			  FROM bonus_tier b
			  WHERE b.tariff = t.tariff AND b.from_date <= d.today AND b.to_date > d.today AND b.percent > 0 AND b.min_amount > 0
				AND (a.ends_on < d.today) IS NOT TRUE
				AND kb_minor(d.due) + kb_minor(b.min_amount) < kb_max_minor()
				AND NOT EXISTS (SELECT FROM bonus_tier l
								WHERE l.tariff = b.tariff AND l.min_amount = b.min_amount AND l.from_date > b.from_date
									AND l.from_date <= d.today AND l.to_date > d.today)) w
		ORDER BY kb_minor(w.amount), w.rank) o
	LEFT JOIN LATERAL (
		SELECT b.percent, CASE WHEN b.percent > 0 THEN b.valid_days END AS valid_days FROM bonus_tier b
		WHERE b.tariff = t.tariff AND b.from_date <= d.today AND b.to_date > d.today
			AND o.amount > d.due AND kb_minor(b.min_amount) <= kb_minor(o.amount) - kb_minor(d.due) AND (a.ends_on < d.today) IS NOT TRUE
		ORDER BY kb_minor(b.min_amount) DESC, b.from_date DESC LIMIT 1) r ON true
	WHERE a.account_id = $1 AND a.state IN ('active', 'closing')
		AND kb_minor(o.amount) + (kb_minor(o.amount) - kb_minor(d.due)) * coalesce(r.percent, 0) / 100 < kb_max_minor();
END;
COMMENT ON FUNCTION kb_offers(bigint, integer[], kb_money[]) IS
'The rows of kb_topup_offers, in no certain order, of an account that has to pay these amounts to be covered for so many months';

CREATE FUNCTION kbilling.kb_topup_offers(account_id bigint)
	RETURNS TABLE (amount kb_money, bonus kb_money, bonus_expires_on date, reason text, months integer)
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_topup_offers';
COMMENT ON FUNCTION kb_topup_offers(bigint) IS
'Amounts to offer for a top-up, the lowest first, each once, with the bonus that it would earn (T5), the day from which on '
'that would be spent no more (G3; NULL: never), and the reason: "debt", '
'what is due; "month", what covers the running month, and "months" three, six or twelve of them, as kb_amount_for says; "tier", '
'what reaches a bonus tier beyond the debt. Of several reasons for an amount, it is the first of these. There is none for a '
'deleted account; the months are left out for one whose forecast may be refused. '
'Errors: KB001';
/*
 * Where an account stands at any moment (S6): now, in the past by the journal, and
 * ahead if nothing is paid and nothing else happens.
 */

CREATE TYPE kbilling.kb_access_decision AS (
	stage         kb_stage,
	access        kb_access,
	amount_due    kb_money,
	next_stage    kb_stage,
	next_stage_on date,
	delete_on     date
);
COMMENT ON TYPE kb_access_decision IS 'What a member may do, and what comes next if nothing is paid';
COMMENT ON COLUMN kb_access_decision.stage IS 'How far the consequences of a debt have got (S2)';
COMMENT ON COLUMN kb_access_decision.access IS 'What the member may do (S3)';
COMMENT ON COLUMN kb_access_decision.amount_due IS 'The debt, zero or more';
COMMENT ON COLUMN kb_access_decision.next_stage IS
'The stage that comes next if nothing is paid (S6); NULL without a debt, or if none comes';
COMMENT ON COLUMN kb_access_decision.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN kb_access_decision.delete_on IS 'The date of the deletion, if the account is closing';

CREATE TYPE kbilling_internal.kb_next_stage AS (stage kb_stage, begins_on date);
COMMENT ON TYPE kb_next_stage IS 'The stage that comes next';
COMMENT ON COLUMN kb_next_stage.stage IS 'The stage';
COMMENT ON COLUMN kb_next_stage.begins_on IS 'The local date on which it begins';

CREATE FUNCTION kbilling_internal.kb_standing_ahead(account_id bigint, day date, stage_before kb_stage = NULL)
	RETURNS TABLE (balance kb_money, stage kb_stage, is_deleted boolean, next_stage kb_stage, next_stage_on date, delete_on date,
				   is_ended boolean)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	-- up to the next charge, which may be a credit; those after it have no late usage
	WITH line AS MATERIALIZED (
		SELECT t.* FROM kb_timeline($1, kb_month_last_day($2) + 1, false) t
	), day AS (
		SELECT l.balance, l.debt_since, l.state, l.delete_on,
			   coalesce($3, kb_stage(l.debt_since, l.deferred_until, $2, l.remind_day, l.restrict_day, l.block_day)) AS stage
		FROM line l WHERE l.from_day <= $2 AND l.to_day > $2
	)
	SELECT d.balance, d.stage, d.state IN ('deleted', 'purged'), n.next_stage, n.next_on, d.delete_on,
		   EXISTS (SELECT FROM account a WHERE a.account_id = $1 AND a.ends_on < $2)
	FROM day d
	LEFT JOIN LATERAL (
		SELECT c.next_on, kb_stage(l.debt_since, l.deferred_until, c.next_on, l.remind_day, l.restrict_day, l.block_day) AS next_stage
		FROM line l
		CROSS JOIN LATERAL (SELECT kb_stage_changes_on(d.stage, $2, l.from_day, l.to_day, l.debt_since, l.deferred_until,
													   l.remind_day, l.restrict_day, l.block_day) AS next_on) c
		WHERE l.to_day > $2 AND c.next_on IS NOT NULL AND (d.debt_since IS NOT NULL OR $3 IS NOT NULL)
		ORDER BY c.next_on LIMIT 1) n ON true;
END;
COMMENT ON FUNCTION kb_standing_ahead(bigint, date, kb_stage) IS
'How an account will stand after the sweep of a day, today or later, and the stage that comes next; "stage_before" takes '
'the place of the stage that it then has (S6)';

CREATE FUNCTION kbilling_internal.kb_next_stage(account_id bigint) RETURNS kb_next_stage
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_next_stage';
COMMENT ON FUNCTION kb_next_stage(bigint) IS
'The stage that comes next for an account that has a debt, if nothing is paid: by the policies and charges that are to come';

-- A charge is a credit only if usage was taken back from a month that is charged.
CREATE VIEW kbilling_internal.account_with_credit WITH (security_invoker) AS
	SELECT DISTINCT t.account_id FROM usage_total t
	WHERE NOT t.settled AND t.period < kb_month_first_day(kb_local_date(kb_now(), 'UTC') + 1)
		AND (t.billed_events <> 0 OR t.events < 0 OR t.quantity < 0);
COMMENT ON VIEW account_with_credit IS 'Accounts of which a charge that is to come may be a credit';
COMMENT ON COLUMN account_with_credit.account_id IS 'The account';

-- It is joined, because the planner takes EXISTS for dearer than it is, and would compile the statement.
CREATE VIEW kbilling_internal.account_standing WITH (security_invoker) AS
	SELECT n.account_id, n.state, n.balance, n.bonus, n.stage, n.debt_since, n.next_stage, n.next_stage_on,
		   n.has_plan OR n.is_charged_first AND u.account_id IS NOT NULL AS may_differ,
		   n.delete_on, n.last_seq, n.ends_on, n.is_ended
	FROM account_now n
	LEFT JOIN account_with_credit u ON u.account_id = n.account_id;
COMMENT ON VIEW account_standing IS 'account_now, and whether something else may come next than that says';
COMMENT ON COLUMN account_standing.account_id IS 'The account';
COMMENT ON COLUMN account_standing.state IS 'How far it has got on its way to deletion';
COMMENT ON COLUMN account_standing.balance IS 'Sum of the entries';
COMMENT ON COLUMN account_standing.bonus IS 'The part of the balance that is bonus';
COMMENT ON COLUMN account_standing.stage IS 'How far the consequences of a debt have got (S2, S4)';
COMMENT ON COLUMN account_standing.debt_since IS 'Local date on which the debt took effect (S1)';
COMMENT ON COLUMN account_standing.next_stage IS 'The stage that comes next by the policy of today';
COMMENT ON COLUMN account_standing.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN account_standing.may_differ IS
'True for a debt if another tariff is to come, or a credit may be, so that kb_next_stage has to tell what comes next';
COMMENT ON COLUMN account_standing.delete_on IS 'The date of the deletion, if the account is closing or deleted';
COMMENT ON COLUMN account_standing.last_seq IS 'Number of the last entry';
COMMENT ON COLUMN account_standing.ends_on IS 'Last day of the contract (X1)';
COMMENT ON COLUMN account_standing.is_ended IS 'Whether that day is over';

CREATE VIEW kbilling.account_status WITH (security_invoker) AS
	SELECT s.account_id, s.state, s.balance, s.bonus, s.stage, s.debt_since, kb_amount_due(s.balance) AS amount_due,
		   CASE WHEN s.may_differ THEN (kb_next_stage(s.account_id)).stage ELSE s.next_stage END AS next_stage,
		   CASE WHEN s.may_differ THEN (kb_next_stage(s.account_id)).begins_on ELSE s.next_stage_on END AS next_stage_on,
		   s.delete_on, s.last_seq, s.ends_on,
		   -- once the last period is charged
		   CASE WHEN s.is_ended AND (SELECT a.charged_through >= s.ends_on FROM account a WHERE a.account_id = s.account_id)
			   THEN greatest(s.balance - s.bonus, s.balance - s.balance) END AS refundable
	FROM account_standing s;
COMMENT ON VIEW account_status IS 'Where every account stands now';
COMMENT ON COLUMN account_status.account_id IS 'The account';
COMMENT ON COLUMN account_status.state IS '"active", "closing", "deleted" or "purged"';
COMMENT ON COLUMN account_status.balance IS 'Sum of the entries; below zero it is a debt';
COMMENT ON COLUMN account_status.bonus IS 'The part of the balance that is bonus';
COMMENT ON COLUMN account_status.stage IS 'How far the consequences of a debt have got (S2, S4)';
COMMENT ON COLUMN account_status.debt_since IS 'Local date on which the debt took effect (S1)';
COMMENT ON COLUMN account_status.amount_due IS 'The debt, zero or more';
COMMENT ON COLUMN account_status.next_stage IS 'The stage that comes next if nothing is paid (S6); NULL without a debt, or if none comes';
COMMENT ON COLUMN account_status.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN account_status.delete_on IS 'The date of the deletion, if the account is closing';
COMMENT ON COLUMN account_status.last_seq IS 'Number of the last entry';
COMMENT ON COLUMN account_status.ends_on IS 'Last day of the contract (X1); NULL: it has no end';
COMMENT ON COLUMN account_status.refundable IS
'Once the contract is over and charged: the paid money that is left, to be paid back (X2, T6); NULL until then';

CREATE FUNCTION kbilling_internal.kb_standing_then(account_id bigint, at timestamptz)
	RETURNS TABLE (balance kb_money, stage kb_stage, is_deleted boolean, next_stage kb_stage, next_stage_on date, delete_on date,
				   is_ended boolean)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT coalesce(e.balance_after, a.balance - a.balance), x.stage,
		   coalesce(c.step IN ('deleted', 'purged'), false), n.next_stage, n.next_on,
		   CASE WHEN c.step <> 'cancelled' THEN c.delete_on END,
		   -- an end that is over is never moved
		   a.ends_on IS NOT NULL AND a.ends_on < d.today
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date($2, a.time_zone) AS today) d
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	LEFT JOIN LATERAL (
		SELECT y.balance_after, y.debt_since FROM entry y
		WHERE y.account_id = a.account_id AND y.posted_at <= $2
		ORDER BY y.seq DESC LIMIT 1) e ON true
	LEFT JOIN LATERAL (
		SELECT y.deferred_until FROM deferral y
		WHERE y.account_id = a.account_id AND y.granted_at <= $2
		ORDER BY y.deferral_no DESC LIMIT 1) f ON true
	LEFT JOIN LATERAL (
		SELECT y.step, y.delete_on FROM closure_step y
		WHERE y.account_id = a.account_id AND y.taken_at <= $2
		ORDER BY y.step_no DESC LIMIT 1) c ON true
	CROSS JOIN LATERAL (SELECT kb_stage(e.debt_since, f.deferred_until, d.today,
										p.remind_day, p.restrict_day, p.block_day) AS stage) x
	LEFT JOIN LATERAL kb_planned_stage(a.account_id, e.debt_since, f.deferred_until, d.today, x.stage) n ON true
	WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_standing_then(bigint, timestamptz) IS
'How an account stood at a moment in the past, by the journal, the deferrals, the steps of closures and its tariffs (S6)';

-- Without SET, as kb_balance.
CREATE FUNCTION kbilling.kb_access(account_id bigint, role kb_role) RETURNS kb_access_decision
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_access';
COMMENT ON FUNCTION kb_access(bigint, kb_role) IS
'What a member with the role may do now, and what comes next (S3). Errors: KB001';

CREATE FUNCTION kbilling_internal.kb_next_now(account_id bigint, debt_since date, deferred_until date, tariff_from date,
											  tariff text, time_zone text, charged_through date, ends_on date)
	RETURNS kb_next_stage
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_next_now';
COMMENT ON FUNCTION kb_next_now(bigint, date, date, date, text, text, date, date) IS
'The stage that comes next for an account with these columns in its row, as account_status says it; NULL without a debt. '
'Part of the view account_access';

-- With the rights of its owner, so that an application may read it that may not read accounts: it shows what kb_access does.
CREATE VIEW kbilling.account_access AS
	SELECT a.account_id,
		   kb_stage_now(a.account_id, a.debt_since, a.deferred_until, a.tariff_from, a.tariff, a.time_zone) AS stage,
		   kb_access_now(a.account_id, a.debt_since, a.deferred_until, a.tariff_from, a.tariff, a.time_zone, a.state,
						 'owner', a.ends_on) AS owner_access,
		   kb_access_now(a.account_id, a.debt_since, a.deferred_until, a.tariff_from, a.tariff, a.time_zone, a.state,
						 'employee', a.ends_on) AS employee_access,
		   kb_amount_due(a.balance) AS amount_due,
		   (kb_next_now(a.account_id, a.debt_since, a.deferred_until, a.tariff_from, a.tariff, a.time_zone,
						a.charged_through, a.ends_on)).stage AS next_stage,
		   (kb_next_now(a.account_id, a.debt_since, a.deferred_until, a.tariff_from, a.tariff, a.time_zone,
						a.charged_through, a.ends_on)).begins_on AS next_stage_on,
		   a.delete_on
	FROM account a
	WHERE kb_is_owned(a.account_id);
COMMENT ON VIEW account_access IS
'What members may do now, and what comes next: kb_access as a view, for statements that look an account up. It costs what '
'the columns cost that are asked for; for many accounts at once, account_status is quicker';
COMMENT ON COLUMN account_access.account_id IS 'The account';
COMMENT ON COLUMN account_access.stage IS 'How far the consequences of a debt have got (S2)';
COMMENT ON COLUMN account_access.owner_access IS 'What an owner or admin may do (S3)';
COMMENT ON COLUMN account_access.employee_access IS 'What an employee may do (S3)';
COMMENT ON COLUMN account_access.amount_due IS 'The debt, zero or more';
COMMENT ON COLUMN account_access.next_stage IS
'The stage that comes next if nothing is paid (S6); NULL without a debt, or if none comes';
COMMENT ON COLUMN account_access.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN account_access.delete_on IS 'The date of the deletion, if the account is closing';

CREATE FUNCTION kbilling.kb_balance(account_id bigint, at timestamptz) RETURNS kb_money
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_balance_at';
COMMENT ON FUNCTION kb_balance(bigint, timestamptz) IS
'The balance at a moment (S6): in the past by the journal; ahead if nothing is paid, and each month is charged when '
'it has ended. '
'Errors: KB001, 22008';

CREATE FUNCTION kbilling.kb_access_stage(account_id bigint, at timestamptz) RETURNS kb_stage
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_access_stage_at';
COMMENT ON FUNCTION kb_access_stage(bigint, timestamptz) IS
'The account''s stage at a moment (S6): in the past by the journal; ahead if nothing is paid. '
'Errors: KB001, 22008';

CREATE FUNCTION kbilling.kb_access(account_id bigint, role kb_role, at timestamptz) RETURNS kb_access_decision
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_access_at';
COMMENT ON FUNCTION kb_access(bigint, kb_role, timestamptz) IS
'What a member with the role may do at a moment, in the past or ahead (S3, S6). Errors: KB001, 22008';
/*
 * Retention: usage events and notices are kept as long as the policy says (U6).
 *
 * Totals, charges and the journal stay.  What has been removed of an account is noted
 * in its row before anything is deleted, so that an event of such a month is refused
 * from then on, and kb_check() knows.
 */

-- A month's events of an account are found without reading its others.
CREATE INDEX usage_event_month ON usage_event (account_id, period);
COMMENT ON INDEX usage_event_month IS 'Finds the events of months that are not kept any more (U6)';

CREATE TABLE kbilling.retention (
	policy            kb_text NOT NULL,
	time_zone         kb_text NOT NULL,
	workers           integer NOT NULL DEFAULT 1,
	share             integer NOT NULL DEFAULT 1,
	usage_kept_from   date,
	notices_kept_from date,
	PRIMARY KEY (policy, time_zone, workers, share)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.retention', '');
COMMENT ON TABLE retention IS
'What the sweep has removed by each policy in each time zone, so that it looks at the accounts again only when there may '
'be more: once a month, or when the policy keeps less (U6)';
COMMENT ON COLUMN retention.policy IS 'The policy';
COMMENT ON COLUMN retention.time_zone IS 'IANA name';
COMMENT ON COLUMN retention.workers IS 'Into how many shares the accounts are divided, as in kbilling.sweep_run';
COMMENT ON COLUMN retention.share IS 'The share whose accounts have been looked at';
COMMENT ON COLUMN retention.usage_kept_from IS 'All events of charged months before it have been removed';
COMMENT ON COLUMN retention.notices_kept_from IS 'All notices that were delivered before it have been removed';

CREATE FUNCTION kbilling_internal.kb_retention(today date)
	RETURNS TABLE (policy text, usage_kept_from date, notices_kept_from date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT p.policy, (kb_month_first_day($1) - make_interval(months => p.keep_usage_months))::date,
		   (kb_month_first_day($1) - make_interval(months => p.keep_notices_months))::date
	FROM policy p
	WHERE p.keep_usage_months IS NOT NULL OR p.keep_notices_months IS NOT NULL;
END;
COMMENT ON FUNCTION kb_retention(date) IS
'The policies by which something is removed, and the first days of what each keeps on a day (U6)';

CREATE FUNCTION kbilling_internal.kb_retention_is_set() RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (SELECT FROM policy p WHERE p.keep_usage_months IS NOT NULL OR p.keep_notices_months IS NOT NULL);
COMMENT ON FUNCTION kb_retention_is_set() IS 'Whether there is a policy by which something is removed (U6)';

CREATE FUNCTION kbilling_internal.kb_retention_is_due(time_zone text, today date, workers integer, share integer) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (
	SELECT FROM kb_retention($2) k
	LEFT JOIN retention r ON r.policy = k.policy AND r.time_zone = $1 AND r.workers = $3 AND r.share = $4
	WHERE coalesce(r.usage_kept_from < k.usage_kept_from, k.usage_kept_from IS NOT NULL)
	   OR coalesce(r.notices_kept_from < k.notices_kept_from, k.notices_kept_from IS NOT NULL)
);
COMMENT ON FUNCTION kb_retention_is_due(text, date, integer, integer) IS
'Whether a policy keeps less than it did when the sweep last looked at the accounts of the time zone that are in the share';

-- Months that are charged, and of which no late usage waits for its bill.
CREATE FUNCTION kbilling_internal.kb_removable(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, usage_kept_from date, notices_kept_from timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.account_id, u.kept_from, n.kept_from
	FROM unnest($1) i (account_id)
	JOIN account a ON a.account_id = i.account_id
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date($2, a.time_zone)) p
	JOIN kb_retention(kb_account_date($2, a.time_zone)) k ON k.policy = p.policy
	CROSS JOIN LATERAL (
		SELECT CASE WHEN k.usage_kept_from IS NOT NULL
			THEN least(k.usage_kept_from, kb_month_first_day(a.charged_through + 1),
					   (SELECT min(t.period) FROM usage_total t WHERE t.account_id = a.account_id AND NOT t.settled))
			END AS kept_from) u
	CROSS JOIN LATERAL (SELECT kb_day_begins(k.notices_kept_from, a.time_zone) AS kept_from) n
	WHERE EXISTS (SELECT FROM usage_event e WHERE e.account_id = a.account_id AND e.period < u.kept_from)
	   OR EXISTS (SELECT FROM usage_value v WHERE v.account_id = a.account_id AND v.period < u.kept_from)
	   OR EXISTS (SELECT FROM notice x WHERE x.account_id = a.account_id AND x.delivered_at < n.kept_from);
END;
COMMENT ON FUNCTION kb_removable(bigint[], timestamptz) IS
'Those of the accounts of which something is to be removed, and from when on the rest is kept (U6)';

-- Each statement sees what was committed before it: once an account is noted, no event of a removed month can come.
CREATE FUNCTION kbilling_internal.kb_remove_old(account_ids bigint[], at timestamptz, max_rows bigint) RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH old AS MATERIALIZED (
		SELECT r.account_id, r.usage_kept_from, r.notices_kept_from FROM kb_removable($1, $2) r
	), row_lock AS MATERIALIZED (
		SELECT a.account_id FROM account a WHERE a.account_id IN (SELECT o.account_id FROM old o) ORDER BY a.account_id FOR NO KEY UPDATE
	)
	UPDATE account a
	SET usage_kept_from = greatest(a.usage_kept_from, o.usage_kept_from),
		notices_kept_from = greatest(a.notices_kept_from, o.notices_kept_from)
	FROM old o JOIN row_lock l ON l.account_id = o.account_id
	WHERE a.account_id = o.account_id
		AND (greatest(a.usage_kept_from, o.usage_kept_from), greatest(a.notices_kept_from, o.notices_kept_from))
			IS DISTINCT FROM (a.usage_kept_from, a.notices_kept_from);
	WITH event AS (
		DELETE FROM usage_event d
		WHERE d.ctid = ANY (ARRAY(SELECT e.ctid FROM unnest($1) i (account_id)
								  JOIN account a ON a.account_id = i.account_id
								  JOIN usage_event e ON e.account_id = a.account_id AND e.period < a.usage_kept_from
								  LIMIT $3))
		RETURNING 1
	), value AS (
		DELETE FROM usage_value d
		WHERE d.ctid = ANY (ARRAY(SELECT v.ctid FROM unnest($1) i (account_id)
								  JOIN account a ON a.account_id = i.account_id
								  JOIN usage_value v ON v.account_id = a.account_id AND v.period < a.usage_kept_from
								  LIMIT $3))
		RETURNING 1
	), notice AS (
		DELETE FROM notice d
		WHERE d.ctid = ANY (ARRAY(SELECT n.ctid FROM unnest($1) i (account_id)
								  JOIN account a ON a.account_id = i.account_id
								  JOIN notice n ON n.account_id = a.account_id AND n.delivered_at < a.notices_kept_from
								  LIMIT $3))
		RETURNING d.account_id
	), counted AS (
		UPDATE account a SET notices_removed = coalesce(a.notices_removed, 0) + n.notices
		FROM (SELECT account_id, count(*)::integer AS notices FROM notice GROUP BY account_id) n
		WHERE a.account_id = n.account_id
	)
	SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM value) + (SELECT count(*) FROM notice);
END;
COMMENT ON FUNCTION kb_remove_old(bigint[], timestamptz, bigint) IS
'Removes usage events and notices that the accounts'' policies keep no longer, at most so many of each kind, and returns '
'how many rows it removed (U6). Part of kb_sweep_step';
/*
 * Alerts: what payers are told before it is too late (L6).
 *
 * The sweep finds what has passed a threshold.  It looks again at an account only if something was posted or used since, or
 * another day has begun.
 */

CREATE TYPE kbilling.kb_alert_kind AS ENUM ('balance', 'days', 'units', 'month');
COMMENT ON TYPE kb_alert_kind IS
'What an alert is about: the balance has fallen to an amount, or lasts so many days; so many units of a service, or so much '
'money, have been used in the running month';

CREATE TABLE kbilling.alert (
	tariff    kb_text NOT NULL REFERENCES tariff,
	kind      kb_alert_kind NOT NULL,
	service   kb_text NOT NULL DEFAULT '',
	threshold numeric NOT NULL CHECK (threshold > '-infinity' AND threshold < 'infinity'),
	PRIMARY KEY (tariff, kind, service, threshold),
	CHECK ((kind = 'units') = (service <> ''))
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.alert', '');
COMMENT ON TABLE alert IS 'Alerts for the accounts of a tariff (L6)';
COMMENT ON COLUMN alert.tariff IS 'The tariff';
COMMENT ON COLUMN alert.kind IS '"balance", "days", "units" or "month"';
COMMENT ON COLUMN alert.service IS 'The metered service whose units it is about; empty for other kinds';
COMMENT ON COLUMN alert.threshold IS
'For "balance" and "days" it is passed at this value or below, for "units" and "month" at this one or above. In the currency''s '
'major units, days, or units of the service';

CREATE TABLE kbilling.account_alert (
	account_id bigint NOT NULL REFERENCES account,
	kind       kb_alert_kind NOT NULL,
	service    kb_text NOT NULL DEFAULT '',
	threshold  numeric NOT NULL,
	PRIMARY KEY (account_id, kind, service, threshold)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.account_alert', '');
COMMENT ON TABLE account_alert IS
'Alerts of single accounts; those of a kind and service take the place of their tariff''s (L6)';
COMMENT ON COLUMN account_alert.account_id IS 'The account';
COMMENT ON COLUMN account_alert.kind IS 'As in kbilling.alert';
COMMENT ON COLUMN account_alert.service IS 'As in kbilling.alert';
COMMENT ON COLUMN account_alert.threshold IS 'As in kbilling.alert';

CREATE TABLE kbilling.alert_told (
	account_id bigint NOT NULL REFERENCES account,
	topup_seq  bigint NOT NULL,
	period     date NOT NULL,
	kind       kb_alert_kind NOT NULL,
	service    kb_text NOT NULL,
	threshold  numeric NOT NULL,
	PRIMARY KEY (account_id, kind, service)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.alert_told', '');
COMMENT ON TABLE alert_told IS 'The furthest threshold that was told last, of each kind and service';
COMMENT ON COLUMN alert_told.account_id IS 'The account';
COMMENT ON COLUMN alert_told.topup_seq IS 'The newest top-up then; 0: none. Another one arms the alerts again';
COMMENT ON COLUMN alert_told.period IS 'The month, by its first day; another one arms them again';
COMMENT ON COLUMN alert_told.kind IS 'As in kbilling.alert';
COMMENT ON COLUMN alert_told.service IS 'As in kbilling.alert';
COMMENT ON COLUMN alert_told.threshold IS 'As in kbilling.alert';

CREATE TABLE kbilling.alert_look (
	account_id bigint PRIMARY KEY REFERENCES account,
	looked_at  timestamptz NOT NULL,
	last_seq   bigint NOT NULL,
	events     bigint NOT NULL,
	quantity   numeric NOT NULL,
	looked_on  date NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.alert_look', '');
COMMENT ON TABLE alert_look IS 'When the sweep has looked for alerts of an account; it looks again when something has changed';
COMMENT ON COLUMN alert_look.account_id IS 'The account';
COMMENT ON COLUMN alert_look.looked_at IS 'When it looked';
COMMENT ON COLUMN alert_look.last_seq IS 'The last entry then';
COMMENT ON COLUMN alert_look.events IS
'How many events were not billed then: not a time, as what was recorded before may be committed later';
COMMENT ON COLUMN alert_look.quantity IS 'The sum of their quantities, of whatever services';
COMMENT ON COLUMN alert_look.looked_on IS 'The local date then';

CREATE FUNCTION kbilling_internal.kb_require_alert(kind kb_alert_kind, threshold numeric, service text, currency text) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT kb_require_not_null('kind, threshold', kind, threshold);
	SELECT kb_require_service(service) WHERE service IS NOT NULL;
	SELECT CASE
		WHEN (kind = 'units') <> (service IS NOT NULL)
			THEN kb_raise('22023', CASE WHEN service IS NULL THEN 'an alert on units needs a service'
									   ELSE format('an alert on %s is about no service', kind) END, NULL,
						  'Name the service for "units", and for no other kind.')
		WHEN NOT (threshold > '-infinity' AND threshold < 'infinity') OR kind <> 'balance' AND threshold < 0
			THEN kb_raise('22023', format('a threshold of %s makes no sense', threshold), NULL,
						  'Give a finite number, which only for a balance may be below zero.')
		END;
	SELECT CASE WHEN s.kind <> 'metered'
			THEN kb_raise('22023', format('service "%s" is not metered', s.service), 'Its units are not counted.',
						  'Name a metered service.') END
	FROM service s WHERE s.service = $3;
	-- an amount that the currency has
	SELECT kb_money($2, $4) WHERE $1 IN ('balance', 'month');
END;
COMMENT ON FUNCTION kb_require_alert(kb_alert_kind, numeric, text, text) IS
'Raises 22023 for an alert that makes no sense, KB012 for an unknown service';

CREATE FUNCTION kbilling.kb_set_alert(tariff text, kind kb_alert_kind, threshold numeric, service text = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_tariff(tariff);
	SELECT kb_require_alert($2, $3, $4, t.currency) FROM tariff t WHERE t.tariff = $1;
	WITH new AS (
		INSERT INTO alert (tariff, kind, threshold, service) VALUES ($1, $2, $3, coalesce($4, ''))
		ON CONFLICT ON CONSTRAINT alert_pkey DO NOTHING
		RETURNING to_jsonb(alert) - '{tariff,service}'::text[] AS terms
	)
	INSERT INTO change_log (subject, tariff, service, after) SELECT 'alert', $1, $4, new.terms FROM new;
END;
COMMENT ON FUNCTION kb_set_alert(text, kb_alert_kind, numeric, text) IS
'Has the owners and admins of a tariff''s accounts told when a threshold is passed (L6): "balance" has fallen to an amount; the '
'balance lasts so many "days", by the forecast; so many "units" of a metered service, or so much money of the "month" so far. Each is '
'told once a month, and again after a top-up; of several that are passed at once, the furthest. '
'Errors: KB012 for an unknown tariff or service; 22023 for a threshold or service that makes no sense';

CREATE FUNCTION kbilling.kb_drop_alert(tariff text, kind kb_alert_kind, threshold numeric, service text = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_tariff(tariff);
	WITH old AS (
		DELETE FROM alert l WHERE l.tariff = $1 AND l.kind = $2 AND l.threshold = $3 AND l.service = coalesce($4, '')
		RETURNING to_jsonb(l) - '{tariff,service}'::text[] AS terms
	)
	INSERT INTO change_log (subject, tariff, service, before) SELECT 'alert', $1, $4, old.terms FROM old;
END;
COMMENT ON FUNCTION kb_drop_alert(text, kb_alert_kind, numeric, text) IS
'Takes back an alert of a tariff, if there is one. Errors: KB012 for an unknown tariff';

CREATE FUNCTION kbilling.kb_set_account_alert(account_id bigint, kind kb_alert_kind, threshold numeric, service text = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_lock_account(account_id);
	SELECT kb_require_alert($2, $3, $4, a.currency) FROM account a WHERE a.account_id = $1;
	WITH new AS (
		INSERT INTO account_alert (account_id, kind, threshold, service) VALUES ($1, $2, $3, coalesce($4, ''))
		ON CONFLICT ON CONSTRAINT account_alert_pkey DO NOTHING
		RETURNING to_jsonb(account_alert) - '{account_id,service}'::text[] AS terms
	)
	INSERT INTO change_log (subject, account_id, service, after) SELECT 'alert', $1, $4, new.terms FROM new;
	DELETE FROM alert_look l WHERE l.account_id = $1;
END;
COMMENT ON FUNCTION kb_set_account_alert(bigint, kb_alert_kind, numeric, text) IS
'The same for one account (L6). Its alerts of a kind and service take the place of its tariff''s. '
'Errors: KB001, KB010; KB012 for an unknown service; 22023 for a threshold or service that makes no sense';

CREATE FUNCTION kbilling.kb_drop_account_alert(account_id bigint, kind kb_alert_kind, threshold numeric, service text = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_lock_account(account_id);
	WITH old AS (
		DELETE FROM account_alert l WHERE l.account_id = $1 AND l.kind = $2 AND l.threshold = $3 AND l.service = coalesce($4, '')
		RETURNING to_jsonb(l) - '{account_id,service}'::text[] AS terms
	)
	INSERT INTO change_log (subject, account_id, service, before) SELECT 'alert', $1, $4, old.terms FROM old;
END;
COMMENT ON FUNCTION kb_drop_account_alert(bigint, kb_alert_kind, numeric, text) IS
'Takes back an alert of an account, if there is one. Errors: KB001, KB010';

CREATE FUNCTION kbilling_internal.kb_alerts_of(account_id bigint, tariff text, tariff_from date, today date)
	RETURNS TABLE (kind kb_alert_kind, service text, threshold numeric)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.kind, o.service, o.threshold FROM account_alert o WHERE o.account_id = $1
	UNION ALL
	SELECT l.kind, l.service, l.threshold FROM kb_tariff_on($1, $2, $3, $4) x JOIN alert l ON l.tariff = x.tariff
	WHERE NOT EXISTS (SELECT FROM account_alert o WHERE o.account_id = $1 AND o.kind = l.kind AND o.service = l.service);
END;
COMMENT ON FUNCTION kb_alerts_of(bigint, text, date, date) IS
'The alerts that hold for an account on a day: its own, and those of its tariff for other kinds and services (L6)';

CREATE FUNCTION kbilling_internal.kb_alerts_are_set() RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (SELECT FROM alert) OR EXISTS (SELECT FROM account_alert)
	OR EXISTS (SELECT FROM policy p WHERE p.charge_notice_days IS NOT NULL);
COMMENT ON FUNCTION kb_alerts_are_set() IS 'Whether there is any alert, or a policy that tells of charges to come';

CREATE FUNCTION kbilling_internal.kb_unsettled(account_id bigint) RETURNS TABLE (events bigint, quantity numeric)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT coalesce(sum(t.events), 0)::bigint, coalesce(sum(t.quantity), 0) FROM usage_total t
	WHERE t.account_id = $1 AND NOT t.settled;
END;
COMMENT ON FUNCTION kb_unsettled(bigint) IS
'What an account has used and was not billed for yet, counted up: it tells whether there is more by now';

CREATE FUNCTION kbilling_internal.kb_alerts_are_due(account_id bigint, tariff text, tariff_from date, last_seq bigint, today date)
	RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN NOT EXISTS (SELECT FROM alert_look l CROSS JOIN kb_unsettled($1) u
				   WHERE l.account_id = $1 AND l.looked_on = $5 AND l.last_seq = $4 AND l.events = u.events AND l.quantity = u.quantity)
	AND (EXISTS (SELECT FROM kb_alerts_of($1, $2, $3, $5))
		 OR EXISTS (SELECT FROM kb_policy_on($1, $2, $3, $5) p JOIN policy q ON q.policy = p.policy
					WHERE $5 > kb_month_last_day($5) - q.charge_notice_days));
COMMENT ON FUNCTION kb_alerts_are_due(bigint, text, date, bigint, date) IS
'Whether the sweep has to look for alerts of an account, of which the arguments are columns, on its local date';

-- What an alert is about, as a number; NULL if the balance lasts for a year.
CREATE FUNCTION kbilling_internal.kb_alert_value(account_id bigint, kind kb_alert_kind, service text, today date, balance kb_money)
	RETURNS numeric
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE $2
	WHEN 'balance' THEN kb_amount($5)
	WHEN 'month' THEN coalesce((SELECT kb_amount(b.total) FROM running_bill b WHERE b.account_id = $1), 0)
	WHEN 'days' THEN (SELECT min(greatest(t.from_day, $4)) - $4 FROM kb_timeline($1, $4 + 366, true) t WHERE kb_minor(t.balance) < 0)
	ELSE (SELECT CASE WHEN s.aggregation IN ('max', 'last') THEN max(x.quantity) ELSE sum(x.quantity) END
		  FROM service s
		  CROSS JOIN LATERAL (
			SELECT CASE WHEN s.aggregation IN ('max', 'last') THEN kb_usage_level($1, o.period, o.service, o.price_id, s.aggregation)
						ELSE sum(o.quantity) END AS quantity
			FROM usage_total o
			WHERE o.account_id = $1 AND o.service = $3 AND o.period = kb_month_first_day($4)
			GROUP BY o.period, o.service, o.price_id) x
		  WHERE s.service = $3
		  GROUP BY s.aggregation) END;
COMMENT ON FUNCTION kb_alert_value(bigint, kb_alert_kind, text, date, kb_money) IS
'The value that is compared with the thresholds of a kind and service, on the account''s local date';

CREATE FUNCTION kbilling_internal.kb_passed_alerts(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, kind kb_alert_kind, service text, threshold numeric, period date, topup_seq bigint,
				   currency text, value numeric)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH watched AS MATERIALIZED (	-- until their contract is over (X2)
		SELECT a.account_id, a.balance, a.currency, a.today, w.kind, w.service, w.thresholds,
			   coalesce((SELECT e.seq FROM entry e WHERE e.account_id = a.account_id AND e.kind = 'topup'
						 ORDER BY e.seq DESC LIMIT 1), 0) AS topup_seq
		FROM (SELECT x.*, kb_account_date($2, x.time_zone) AS today FROM account x
			  WHERE x.account_id = ANY ($1) AND x.state IN ('active', 'closing')
				AND (x.ends_on < kb_account_date($2, x.time_zone)) IS NOT TRUE OFFSET 0) a
		CROSS JOIN LATERAL (
			SELECT l.kind, l.service, array_agg(l.threshold) AS thresholds
			FROM kb_alerts_of(a.account_id, a.tariff, a.tariff_from, a.today) l GROUP BY l.kind, l.service) w
	), measured AS MATERIALIZED (
		SELECT w.*, kb_alert_value(w.account_id, w.kind, w.service, w.today, w.balance) AS value FROM watched w
	)
	SELECT m.account_id, m.kind, m.service, f.threshold, kb_month_first_day(m.today), m.topup_seq, m.currency, m.value
	FROM measured m
	CROSS JOIN LATERAL (SELECT CASE WHEN m.kind IN ('balance', 'days') THEN -1 ELSE 1 END AS sign) d
	-- the furthest that is passed
	CROSS JOIN LATERAL (SELECT d.sign * max(d.sign * t) AS threshold FROM unnest(m.thresholds) t WHERE d.sign * t <= d.sign * m.value) f
	LEFT JOIN alert_told o ON o.account_id = m.account_id AND o.kind = m.kind AND o.service = m.service
		AND o.period = kb_month_first_day(m.today) AND o.topup_seq = m.topup_seq
	WHERE f.threshold IS NOT NULL AND (o.threshold IS NULL OR d.sign * f.threshold > d.sign * o.threshold);
END;
COMMENT ON FUNCTION kb_passed_alerts(bigint[], timestamptz) IS
'The alerts that accounts have passed and that were not told yet: of each kind and service the furthest (L6)';

CREATE FUNCTION kbilling_internal.kb_uncovered_charges(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, period date, charged_on date, total kb_money, balance kb_money)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.account_id, c.period, c.effective_on, c.total, b.balance
	FROM (SELECT x.*, kb_account_date($2, x.time_zone) AS today FROM account x
		  WHERE x.account_id = ANY ($1) AND x.state IN ('active', 'closing') OFFSET 0) a
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, a.today) p
	JOIN policy q ON q.policy = p.policy AND a.today > kb_month_last_day(a.today) - q.charge_notice_days
	CROSS JOIN LATERAL kb_charges_ahead(a.account_id, kb_month_last_day(a.today) + 1, true) c
	-- less the credit that will have expired by then (G3)
	CROSS JOIN LATERAL (SELECT CASE WHEN a.lots IS NULL THEN a.balance
									ELSE (SELECT t.balance + t.charge FROM kb_timeline(a.account_id, kb_month_last_day(a.today) + 1, true) t
										  WHERE t.period = c.period) END AS balance OFFSET 0) b
	WHERE c.period = kb_month_first_day(a.today) AND kb_minor(c.total) > greatest(kb_minor(b.balance), 0)
		AND NOT EXISTS (SELECT FROM notice n WHERE n.account_id = a.account_id AND n.kind = 'charge_upcoming'
						AND n.occasion = to_char(c.period, 'YYYY-MM'));
END;
COMMENT ON FUNCTION kb_uncovered_charges(bigint[], timestamptz) IS
'The charges of the running month that the balance will not cover, in the days before the month''s end that the policy names, of '
'accounts that were not told yet (L6)';

CREATE FUNCTION kbilling_internal.kb_notify_alerts(account_ids bigint[], at timestamptz) RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH passed AS MATERIALIZED (
		SELECT x.* FROM kb_passed_alerts($1, $2) x
	), news AS MATERIALIZED (
		SELECT x.account_id, x.kind, x.occasion, x.facts, row_number() OVER (PARTITION BY x.account_id ORDER BY x.kind, x.occasion) AS n
		FROM (SELECT p.account_id, 'alert'::kb_notice_kind AS kind,
					 concat_ws(' ', p.kind, nullif(p.service, ''), p.threshold, 'in', to_char(p.period, 'YYYY-MM'), 'after',
							   p.topup_seq) AS occasion,
					 jsonb_build_object('alert', p.kind, 'service', p.service, 'month', to_char(p.period, 'YYYY-MM'),
						'amount', CASE WHEN p.kind IN ('balance', 'month') THEN kb_money(p.value, p.currency)::text ELSE '' END,
						'threshold_amount', CASE WHEN p.kind IN ('balance', 'month') THEN kb_money(p.threshold, p.currency)::text
							ELSE '' END,
						'number', CASE WHEN p.kind IN ('days', 'units') THEN p.value ELSE 0 END,
						'threshold', CASE WHEN p.kind IN ('days', 'units') THEN p.threshold ELSE 0 END) AS facts
			  FROM passed p
			  UNION ALL
			  SELECT u.account_id, 'charge_upcoming', to_char(u.period, 'YYYY-MM'),
					 jsonb_build_object('month', to_char(u.period, 'YYYY-MM'), 'charged_on', u.charged_on, 'amount', u.total,
										'balance', u.balance, 'missing', u.total - u.balance)
			  FROM kb_uncovered_charges($1, $2) u) x
	), told AS (
		INSERT INTO alert_told AS o (account_id, kind, service, threshold, period, topup_seq)
		SELECT p.account_id, p.kind, p.service, p.threshold, p.period, p.topup_seq FROM passed p
		ON CONFLICT ON CONSTRAINT alert_told_pkey DO UPDATE
			SET threshold = excluded.threshold, period = excluded.period, topup_seq = excluded.topup_seq
	), looked AS (
		INSERT INTO alert_look AS l (account_id, looked_at, looked_on, last_seq, events, quantity)
		SELECT a.account_id, $2, kb_account_date($2, a.time_zone), a.last_seq, u.events, u.quantity
		FROM account a CROSS JOIN LATERAL kb_unsettled(a.account_id) u WHERE a.account_id = ANY ($1)
		ON CONFLICT ON CONSTRAINT alert_look_pkey DO UPDATE
			SET looked_at = excluded.looked_at, looked_on = excluded.looked_on, last_seq = excluded.last_seq,
				events = excluded.events, quantity = excluded.quantity
	), numbered AS (
		UPDATE account a SET last_notice_no = a.last_notice_no + c.notices
		FROM (SELECT x.account_id, count(*) AS notices FROM news x GROUP BY x.account_id) c
		WHERE a.account_id = c.account_id
		RETURNING a.account_id, a.last_notice_no - c.notices AS before
	), written AS (
		INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, facts)
		SELECT x.account_id, b.before + x.n, $2, $2, x.kind, x.occasion, x.facts FROM news x JOIN numbered b ON b.account_id = x.account_id
		RETURNING notice_no
	)
	SELECT kb_wake(count(*)) FROM written;
END;
COMMENT ON FUNCTION kb_notify_alerts(bigint[], timestamptz) IS
'Writes the notices of alerts and of charges to come that accounts have not got yet, and returns how many (L6). They are locked';
/*
 * Who is there: logins, and the member that a transaction acts for (E4).  They are asked at each request, and SET would
 * cost more than their work: their C names whatever it uses with its schema.
 */

CREATE FUNCTION kbilling.kb_login(account_id bigint, member text) RETURNS kb_access_decision
	LANGUAGE c VOLATILE SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_login';
COMMENT ON FUNCTION kb_login(bigint, text) IS
'What the member may do now (S3). A login counts as activity unless access is "denied"; in a read-only transaction and on '
'a standby it is not noted (D7). '
'Errors: KB001; KB004 for an unknown member';

/*
 * Enforcement in the application's own tables: the member that a transaction
 * acts for, the guard, and row security (rules E).
 */

CREATE FUNCTION kbilling.kb_act_as(account_id bigint, member text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_act_as';
COMMENT ON FUNCTION kb_act_as(bigint, text) IS
'From here on the transaction acts for the member, until it ends, or is rolled back to a savepoint before this call '
'(E4). This counts as activity, as a login does, unless the policy counts logins alone (D1, D7). '
'Errors: KB001; KB004 for an unknown member';


CREATE FUNCTION kbilling.kb_acting_account() RETURNS bigint
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'kb_acting_account';
COMMENT ON FUNCTION kb_acting_account() IS
'The account of the member for whom the transaction acts; NULL if it acts for nobody';


CREATE FUNCTION kbilling.kb_acting_member() RETURNS text
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'kb_acting_member';
COMMENT ON FUNCTION kb_acting_member() IS 'The member for whom the transaction acts; NULL if it acts for nobody';

-- What writes the log is below, and knows of no session.
ALTER TABLE kbilling.change_log ALTER member SET DEFAULT kb_acting_member();

/*
 * Enforcement in the application's own tables: the guard, and row security (E1, E2).
 */

-- These two run under the search path of whoever reads or writes, as pinning it would cost more than they do; what they
-- execute names schemas.

CREATE FUNCTION kbilling_internal.kb_may_use() RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_may_use';
COMMENT ON FUNCTION kb_may_use() IS
'True if the member for whom the transaction acts may use the account now. Part of kb_can_use';

CREATE FUNCTION kbilling_internal.kb_check_access(account_ids bigint[], needs_member boolean, writer oid) RETURNS void
	LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_check_access';
COMMENT ON FUNCTION kb_check_access(bigint[], boolean, oid) IS
'Raises KB003 for the first of the accounts for which the transaction may not write; it says no more than the role '
'"writer" may know (E5). Part of kb_guard';

-- With its caller's rights, as switching to the owner's would cost for each row; kb_may_use has these, and is called
-- once.

CREATE FUNCTION kbilling_internal.kb_can_use_support(internal) RETURNS internal
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_can_use_support';
COMMENT ON FUNCTION kb_can_use_support(internal) IS
'Planner support function: lets an index on the account find the rows for which kb_can_use is true';

CREATE FUNCTION kbilling.kb_can_use(account_id bigint) RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED SUPPORT kb_can_use_support
	AS 'MODULE_PATHNAME', 'kb_can_use';
COMMENT ON FUNCTION kb_can_use(bigint) IS
'For row security policies (E2): true if the member for whom the transaction acts may use the account now, with '
'access "full" or "full_with_reminder". False for any other account, for NULL, and without a member; it never raises '
'an error. It is decided once in a statement, and an index on the column is used';

-- With its caller's rights, for the same reason as kb_can_use.
CREATE FUNCTION kbilling.kb_guard() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_guard';
COMMENT ON FUNCTION kb_guard() IS
'Trigger function that lets a write through only if the account''s access allows it, and raises KB003 if not (E1). '
'If the transaction acts for a member (kb_act_as), that member''s access decides, and rows of other accounts are '
'refused. If it acts for nobody, the account itself decides: nothing is written for one that is blocked or deleted. '
'What is due, and since when, is told to an acting owner or admin, and to roles with a right on kbilling (E5). '
'Its arguments are the account column and, if writes without a member are to be refused, ''member''. It is attached '
'FOR EACH ROW, BEFORE or AFTER, or FOR EACH STATEMENT, AFTER, with transition tables. An UPDATE checks both the old '
'and the new account';
/*
 * Usage by the batch, as JSON.
 */

-- Without JIT: compiling takes longer than most batches do.
CREATE FUNCTION kbilling.kb_record_usage_batch(events jsonb) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET jit = off
	AS 'MODULE_PATHNAME', 'kb_record_usage_batch';
COMMENT ON FUNCTION kb_record_usage_batch(jsonb) IS
'Records an array of usage events, all of them or none, and returns how many count. Each event is an object whose '
'fields are the arguments of kb_record_usage; "at" is a text with an offset from UTC. '
'Errors: as kb_record_usage; they say which event it is';

CREATE FUNCTION kbilling.kb_record_usage_each(events jsonb)
	RETURNS TABLE (event_no integer, counted boolean, state text, message text, detail text)
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET jit = off
	AS 'MODULE_PATHNAME', 'kb_record_usage_each';
COMMENT ON FUNCTION kb_record_usage_each(jsonb) IS
'Records what it can of an array of usage events, as kb_record_usage_batch takes it, in its order. A row for each event says '
'whether it counts (false: its key was known), or why it was refused: "counted" is then NULL, and "state" is the SQLSTATE, such as '
'KB013 beyond a limit. It costs a subtransaction for each event. '
'Errors: 22023 for what is no array of events, 54000 for too many of them';
/*
 * Metering: the rows of an application's table as usage (E3).
 */

CREATE FUNCTION kbilling.kb_meter() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET jit = off
	AS 'MODULE_PATHNAME', 'kb_meter';
COMMENT ON FUNCTION kb_meter() IS
'Trigger function that records the rows of an application''s table as usage (E3). It is attached AFTER INSERT, '
'UPDATE or DELETE, FOR EACH STATEMENT, with transition tables; an UPDATE or DELETE corrects what was recorded. Its '
'arguments are the service, the account column, the quantity column and the key column. If the quantity column is '
'missing, or an empty text, each row counts 1; for the aggregation "unique" it is the column whose values are '
'counted. If the key column is missing, each row counts';
/*
 * The sweep: all that is due, in batches that commit (W1, W3).
 */

CREATE TYPE kbilling.kb_sweep_outcome AS ENUM ('running', 'finished', 'interrupted');
COMMENT ON TYPE kb_sweep_outcome IS 'What became of a run of the sweep; one that was interrupted, the next run goes on with';

CREATE TYPE kbilling.kb_sweep_phase AS ENUM ('charges', 'credit', 'closures', 'notices', 'alerts', 'retention');
COMMENT ON TYPE kb_sweep_phase IS 'What a run of the sweep is at, in this order';

CREATE TABLE kbilling.sweep_run (
	run_id           bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	started_at       timestamptz NOT NULL,
	finished_at      timestamptz,
	as_of            timestamptz NOT NULL,
	outcome          kb_sweep_outcome NOT NULL DEFAULT 'running',
	periods_due      bigint NOT NULL,
	periods_charged  bigint NOT NULL DEFAULT 0,
	entries_posted   bigint NOT NULL DEFAULT 0,
	closure_steps    bigint NOT NULL DEFAULT 0,
	notices_written  bigint NOT NULL DEFAULT 0,
	rows_removed     bigint NOT NULL DEFAULT 0,
	accounts_failed  bigint NOT NULL DEFAULT 0,
	phase            kb_sweep_phase NOT NULL DEFAULT 'charges',
	at_time_zone     text NOT NULL DEFAULT '',
	at_date          date,
	at_account_id    bigint,
	workers          integer NOT NULL DEFAULT 1,
	share            integer NOT NULL DEFAULT 1,
	CHECK (share BETWEEN 1 AND workers)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.sweep_run', '');
SELECT pg_catalog.pg_extension_config_dump('kbilling.sweep_run_run_id_seq', '');
COMMENT ON SEQUENCE sweep_run_run_id_seq IS 'Numbers of the runs';
COMMENT ON TABLE sweep_run IS 'The runs of the sweep: what each has done, how far it has got, how long it took (W3)';
COMMENT ON COLUMN sweep_run.run_id IS 'Number of the run';
COMMENT ON COLUMN sweep_run.started_at IS 'When it started, by the machine''s clock';
COMMENT ON COLUMN sweep_run.finished_at IS 'When it ended; NULL while it runs, or if it was interrupted';
COMMENT ON COLUMN sweep_run.as_of IS 'The moment for which it looks what is due (kb_now)';
COMMENT ON COLUMN sweep_run.outcome IS '"running", "finished", or "interrupted": then the next run goes on';
COMMENT ON COLUMN sweep_run.periods_due IS 'How many periods there were to charge when it started';
COMMENT ON COLUMN sweep_run.periods_charged IS 'Periods charged so far';
COMMENT ON COLUMN sweep_run.entries_posted IS 'How many of those charges did not come to zero (C8)';
COMMENT ON COLUMN sweep_run.closure_steps IS 'Steps of closures taken so far, purges among them';
COMMENT ON COLUMN sweep_run.notices_written IS 'Notices written so far, of stages that changed with time';
COMMENT ON COLUMN sweep_run.rows_removed IS 'Usage events, their distinct values, and notices removed so far (U6)';
COMMENT ON COLUMN sweep_run.accounts_failed IS 'Accounts that were passed over; kbilling.sweep_failure says why';
COMMENT ON COLUMN sweep_run.phase IS 'What it is doing: first charges, then closures, then notices, then what is kept no longer';
COMMENT ON COLUMN sweep_run.at_time_zone IS 'How far it has got: time zones are taken in the order of their names';
COMMENT ON COLUMN sweep_run.at_date IS
'How far it has got in the time zone: the oldest are taken first, by the day on which a charge, or a look, is due';
COMMENT ON COLUMN sweep_run.at_account_id IS 'How far it has got on the date, by account';
COMMENT ON COLUMN sweep_run.workers IS 'Into how many shares the accounts are divided, for as many workers';
COMMENT ON COLUMN sweep_run.share IS 'The share of this run, from 1 to that number: see kb_is_in_share';

CREATE TABLE kbilling.sweep_failure (
	account_id bigint NOT NULL REFERENCES account,
	run_id     bigint NOT NULL REFERENCES sweep_run,
	failed_at  timestamptz NOT NULL,
	state      text NOT NULL,
	message    kb_text NOT NULL,
	PRIMARY KEY (account_id, run_id)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.sweep_failure', '');
COMMENT ON TABLE sweep_failure IS 'The accounts that a sweep passed over, and why; the next sweep tries again (W3)';
COMMENT ON COLUMN sweep_failure.account_id IS 'The account';
COMMENT ON COLUMN sweep_failure.run_id IS 'The run';
COMMENT ON COLUMN sweep_failure.failed_at IS 'When, by the machine''s clock';
COMMENT ON COLUMN sweep_failure.state IS 'SQLSTATE of the error';
COMMENT ON COLUMN sweep_failure.message IS 'Its message';

CREATE INDEX sweep_failure_run ON sweep_failure (run_id);
COMMENT ON INDEX sweep_failure_run IS 'Finds the failures of a run';

-- What held the sweep up is gone from pg_blocking_pids() by then.  But if it was the account's row, that is locked still, and its xmax
-- is the transaction that has it, unless several have.
CREATE FUNCTION kbilling_internal.kb_lock_failure(account_id bigint, error text) RETURNS text
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH free AS MATERIALIZED (
		SELECT FROM account a WHERE a.account_id = $1 FOR NO KEY UPDATE SKIP LOCKED
	), holder AS (
		SELECT l.pid, s.application_name
		FROM account a JOIN pg_locks l ON l.transactionid = a.xmax AND l.granted JOIN pg_stat_activity s ON s.pid = l.pid
		WHERE a.account_id = $1
	)
	SELECT CASE
		WHEN EXISTS (SELECT FROM free)
			THEN format('something of account %s was locked by another transaction: %s', $1, $2)
		ELSE format('account %s was locked by %s for more than %s', $1,
					coalesce((SELECT format('process %s (%s)', h.pid, h.application_name) FROM holder h LIMIT 1), 'another transaction'),
					current_setting('lock_timeout'))
		END;
END;
COMMENT ON FUNCTION kb_lock_failure(bigint, text) IS
'What to say of an account that a sweep passed over with 55P03: what was locked, and by whom if that can be seen; part of kb_sweep_step';

CREATE VIEW kbilling_internal.account_zone WITH (security_invoker) AS
	WITH RECURSIVE zone(time_zone) AS (
		SELECT min(time_zone) FROM account WHERE state IN ('active', 'closing')
		UNION ALL
		SELECT (SELECT min(a.time_zone) FROM account a
				WHERE a.time_zone > zone.time_zone AND a.state IN ('active', 'closing'))
		FROM zone WHERE zone.time_zone IS NOT NULL
	)
	SELECT time_zone FROM zone WHERE time_zone IS NOT NULL;
COMMENT ON VIEW account_zone IS
'The time zones of the accounts that are not deleted; each is found by one step in the index account_due';
COMMENT ON COLUMN account_zone.time_zone IS 'IANA name';

-- Hashed, as the numbers of an application's accounts may be such that one share would have them all.  In C, so that the planner
-- does not take it for a condition that few accounts meet.
CREATE FUNCTION kbilling_internal.kb_is_in_share(account_id bigint, workers integer, share integer) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_is_in_share';
COMMENT ON FUNCTION kb_is_in_share(bigint, integer, integer) IS
'Whether an account belongs to a share, counted from 1, of so many: each is swept by one worker at a time (W1)';

-- Without JIT: how few zones there are is not known to the planner, and compiling
-- for the many that it expects would cost more than an idle sweep does.
-- While this worker has its share, none with another number of shares is running.
CREATE FUNCTION kbilling_internal.kb_sweep_begin(workers integer = 1, share integer = 1, since timestamptz = NULL) RETURNS bigint
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET jit = off
BEGIN ATOMIC
	UPDATE sweep_run r SET outcome = 'interrupted' WHERE r.outcome = 'running' AND (r.workers <> $1 OR r.share = $2);
	INSERT INTO sweep_run (started_at, as_of, workers, share, periods_due)
	SELECT clock_timestamp(), kb_now(), $1, $2,
		   coalesce(sum((SELECT sum((extract(year FROM z.today) - extract(year FROM a.charged_through + 1)) * 12
									+ extract(month FROM z.today) - extract(month FROM a.charged_through + 1)
									-- once a contract is over, a period ends as it begins
									+ CASE WHEN a.ends_on < z.today - (extract(day FROM z.today) = 1)::integer THEN 1 ELSE 0 END)
						 FROM account a
						 WHERE a.time_zone = z.time_zone AND kb_charge_due_on(a.charged_through, a.ends_on) <= z.today
							AND a.state IN ('active', 'closing') AND kb_is_in_share(a.account_id, $1, $2)
							AND kb_is_owned(a.account_id))), 0)
	FROM (SELECT time_zone, kb_account_date(kb_now(), time_zone) AS today FROM account_zone) z
	HAVING NOT EXISTS (SELECT FROM sweep_run r
					   WHERE r.outcome = 'finished' AND r.workers = $1 AND r.share = $2 AND r.started_at >= $3)
	RETURNING run_id;
END;
COMMENT ON FUNCTION kb_sweep_begin(integer, integer, timestamptz) IS
'Starts a run of the sweep for a share of the accounts, and counts what is due; NULL if another worker has begun, and '
'finished, one since the moment. Part of kb_sweep';

CREATE FUNCTION kbilling_internal.kb_sweep_credit(account_ids bigint[], at timestamptz) RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_sweep_credit';
COMMENT ON FUNCTION kb_sweep_credit(bigint[], timestamptz) IS
'What the sweep does about the credit of accounts, of those that are due: tells of what will expire, and takes what has expired '
'from their balances, in as many entries as it returns (G3)';

CREATE FUNCTION kbilling_internal.kb_sweep_closures(account_ids bigint[], at timestamptz) RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_sweep_closures';
COMMENT ON FUNCTION kb_sweep_closures(bigint[], timestamptz) IS
'Takes every step of a closure that is due for the accounts, purges among them, writes its notice, and returns how '
'many steps were taken. Part of kb_sweep_step';

-- A statement is planned once for all batches, and what a table had then says nothing of what it will have: so none is read as
-- a whole where there is an index.
CREATE FUNCTION kbilling_internal.kb_sweep_step(run_id bigint, batch_size integer = 4000) RETURNS boolean
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET lock_timeout = '2s'
	SET enable_seqscan = off SET jit = off
	AS 'MODULE_PATHNAME', 'kb_sweep_step';
COMMENT ON FUNCTION kb_sweep_step(bigint, integer) IS
'Does what is due for the next accounts of a run, at most "batch_size" of them; false if none is left. Part of '
'kb_sweep';

CREATE FUNCTION kbilling_internal.kb_note_retention(run_id bigint) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	DELETE FROM retention t USING sweep_run r WHERE r.run_id = $1 AND t.workers <> r.workers;
	INSERT INTO retention (policy, time_zone, workers, share, usage_kept_from, notices_kept_from)
	SELECT k.policy, z.time_zone, r.workers, r.share, k.usage_kept_from, k.notices_kept_from
	FROM sweep_run r, account_zone z, kb_retention(kb_account_date(r.as_of, z.time_zone)) k
	WHERE r.run_id = $1 AND NOT EXISTS (SELECT FROM sweep_failure f WHERE f.run_id = r.run_id)
		AND kb_retention_is_set()
	ON CONFLICT (policy, time_zone, workers, share) DO UPDATE
		SET usage_kept_from = excluded.usage_kept_from, notices_kept_from = excluded.notices_kept_from
		WHERE (retention.usage_kept_from, retention.notices_kept_from)
			IS DISTINCT FROM (excluded.usage_kept_from, excluded.notices_kept_from);
END;
COMMENT ON FUNCTION kb_note_retention(bigint) IS
'Notes that a run of the sweep has removed all that was to be removed, if it passed over no account. Part of kb_sweep_end';

CREATE FUNCTION kbilling_internal.kb_sweep_end(run_id bigint) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_note_retention($1);
	UPDATE sweep_run r SET finished_at = clock_timestamp(), outcome = 'finished' WHERE r.run_id = $1;
END;
COMMENT ON FUNCTION kb_sweep_end(bigint) IS 'Ends a run of the sweep. Part of kb_sweep';

CREATE PROCEDURE kbilling.kb_sweep(workers integer = 1)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_sweep';
COMMENT ON PROCEDURE kb_sweep(integer) IS
'Does all that is due, in batches that commit, in read committed whatever the session''s default is. It can be stopped at '
'any point and called again. While another one is running, it returns at once (W1). '
'With "workers" (1 to 64), so many sessions that call it alike at the same time share the accounts: each takes a share that is '
'free, and then another, until all are done. '
'Errors: 25001 inside a transaction block; 25006 if the session''s transactions are read-only; 22023 if "workers" is out of '
'range';

CREATE FUNCTION kbilling_internal.kb_sweep_is_running(workers integer, share integer) RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'kb_sweep_is_running';
COMMENT ON FUNCTION kb_sweep_is_running(integer, integer) IS
'True if a session holds the lock of the share in this database''s sweep; NULL on a standby, where the lock cannot be seen. Part '
'of kb_sweep_status';

-- A sweep that died leaves a row that says "running", but no lock; on a standby only the row can be seen.
-- Without JIT: as kb_sweep_begin.
CREATE FUNCTION kbilling.kb_sweep_status()
	RETURNS TABLE (running boolean, interrupted boolean, run_id bigint, started_at timestamptz, finished_at timestamptz, duration interval,
				   periods_charged bigint, accounts_failed bigint, failures jsonb,
				   accounts_overdue bigint, overdue_since timestamptz, lag interval)
	LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY DEFINER ROWS 1 SET jit = off
	SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT coalesce(newest.running, false), coalesce(newest.interrupted, false),
		   last.run_id, last.started_at, last.finished_at, last.finished_at - last.started_at,
		   coalesce(last.periods_charged, 0), coalesce(last.accounts_failed, 0),
		   coalesce((SELECT jsonb_object_agg(f.state, f.accounts)
					 FROM (SELECT x.state, count(*) AS accounts FROM sweep_failure x
						   WHERE x.run_id = ANY (last.run_ids) GROUP BY x.state) f), '{}'),
		   due.accounts, due.since, coalesce(kb_now() - due.since, interval '0')
	FROM (SELECT coalesce(sum((SELECT count(*) FROM account a
							   WHERE a.time_zone = z.time_zone AND kb_charge_due_on(a.charged_through, a.ends_on) <= z.today
								  AND a.state IN ('active', 'closing') AND kb_is_owned(a.account_id))), 0)::bigint AS accounts,
				 min(kb_day_begins((SELECT min(kb_charge_due_on(a.charged_through, a.ends_on)) FROM account a
									WHERE a.time_zone = z.time_zone AND kb_charge_due_on(a.charged_through, a.ends_on) <= z.today
										AND a.state IN ('active', 'closing') AND kb_is_owned(a.account_id)), z.time_zone)) AS since
		  FROM (SELECT time_zone, kb_account_date(kb_now(), time_zone) AS today FROM account_zone) z) due
	CROSS JOIN (SELECT max(r.run_id) AS run_id, min(r.started_at) AS started_at, max(r.finished_at) AS finished_at,
					   sum(r.periods_charged)::bigint AS periods_charged, sum(r.accounts_failed)::bigint AS accounts_failed,
					   array_agg(r.run_id) AS run_ids
				FROM (SELECT x.workers FROM sweep_run x WHERE x.outcome = 'finished' ORDER BY x.run_id DESC LIMIT 1) w
				CROSS JOIN generate_series(1, w.workers) s (share)
				CROSS JOIN LATERAL (SELECT x.run_id, x.started_at, x.finished_at, x.periods_charged, x.accounts_failed FROM sweep_run x
									WHERE x.outcome = 'finished' AND x.workers = w.workers AND x.share = s.share
									ORDER BY x.run_id DESC LIMIT 1) r) last
	CROSS JOIN (SELECT bool_or(r.outcome = 'running' AND r.is_alive) AS running,
					   bool_or(r.outcome = 'interrupted' OR r.outcome = 'running' AND NOT r.is_alive) AS interrupted
				FROM (SELECT x.workers FROM sweep_run x ORDER BY x.run_id DESC LIMIT 1) w
				CROSS JOIN generate_series(1, w.workers) s (share)
				CROSS JOIN LATERAL (SELECT x.outcome, coalesce(kb_sweep_is_running(x.workers, x.share), true) AS is_alive FROM sweep_run x
									WHERE x.workers = w.workers AND x.share = s.share ORDER BY x.run_id DESC LIMIT 1) r) newest;
END;
COMMENT ON FUNCTION kb_sweep_status() IS
'One row for monitoring (W3): whether a sweep is running; whether the newest one was interrupted; the last one that '
'finished, with its failures by SQLSTATE; how many accounts have a month that has ended and is not charged, since '
'when the oldest of those months has been due, and how long that is (the sweep''s lag, zero if nothing is overdue). '
'Where workers share the accounts, the last sweep is the last run of each share, and "run_id" the newest of these';

CREATE VIEW kbilling.sweep_progress WITH (security_invoker) AS
	SELECT r.run_id, r.outcome, r.started_at, r.as_of,
		   coalesce(r.finished_at, clock_timestamp()) - r.started_at AS duration,
		   r.periods_due, r.periods_charged, r.entries_posted, r.closure_steps, r.notices_written, r.rows_removed, r.accounts_failed,
		   round(100.0 * r.periods_charged / nullif(r.periods_due, 0), 1) AS percent,
		   r.phase, r.at_time_zone, r.at_date, r.at_account_id, r.workers, r.share
	FROM sweep_run r
	ORDER BY r.run_id DESC;
COMMENT ON VIEW sweep_progress IS 'How far each sweep has got, the newest first (W3)';
COMMENT ON COLUMN sweep_progress.run_id IS 'Number of the run';
COMMENT ON COLUMN sweep_progress.outcome IS '"running", "finished" or "interrupted"';
COMMENT ON COLUMN sweep_progress.started_at IS 'When it started, by the machine''s clock';
COMMENT ON COLUMN sweep_progress.as_of IS 'The moment for which it looks what is due';
COMMENT ON COLUMN sweep_progress.duration IS 'How long it took, or has taken so far';
COMMENT ON COLUMN sweep_progress.periods_due IS 'How many periods there were to charge when it started';
COMMENT ON COLUMN sweep_progress.periods_charged IS 'Periods charged so far';
COMMENT ON COLUMN sweep_progress.entries_posted IS 'How many of those charges did not come to zero (C8)';
COMMENT ON COLUMN sweep_progress.closure_steps IS 'Steps of closures taken so far';
COMMENT ON COLUMN sweep_progress.notices_written IS 'Notices written so far, of stages that changed with time';
COMMENT ON COLUMN sweep_progress.rows_removed IS 'As in kbilling.sweep_run';
COMMENT ON COLUMN sweep_progress.accounts_failed IS 'Accounts that were passed over; kbilling.sweep_failure says why';
COMMENT ON COLUMN sweep_progress.percent IS 'How many percent of the due periods are charged; NULL if none was due';
COMMENT ON COLUMN sweep_progress.phase IS 'What it is doing: first charges, then closures, then notices';
COMMENT ON COLUMN sweep_progress.at_time_zone IS 'How far it has got, as in kbilling.sweep_run';
COMMENT ON COLUMN sweep_progress.at_date IS 'How far it has got, as in kbilling.sweep_run';
COMMENT ON COLUMN sweep_progress.at_account_id IS 'How far it has got, as in kbilling.sweep_run';
COMMENT ON COLUMN sweep_progress.workers IS 'Into how many shares the accounts are divided';
COMMENT ON COLUMN sweep_progress.share IS 'The share of this run';
/*
 * The sweep as a job of pg_cron (W2).
 *
 * pg_cron runs a job as the role that scheduled it, so these have their caller's rights; they look for pg_cron when they are called.
 */

CREATE FUNCTION kbilling.kb_schedule(schedule text = '3 * * * *', workers integer = 1) RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_schedule';
COMMENT ON FUNCTION kb_schedule(text, integer) IS
'Has pg_cron call kb_sweep as the caller, each hour or by another schedule, and returns the number of the job (W2). '
'With "workers" (1 to 64), so many jobs share the accounts; the number is that of the first. '
'Called again, it changes these jobs. '
'Errors: 55000 if pg_cron is not loaded, or not set up in this database; the hint says what to do. 42501 if another '
'role has scheduled it, unless the caller is a superuser; 22023 if "workers" is out of range';

CREATE FUNCTION kbilling.kb_unschedule() RETURNS boolean
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_unschedule';
COMMENT ON FUNCTION kb_unschedule() IS
'Removes the jobs that kb_schedule has made; false if there was none (W2). '
'Errors: 55000 and 42501, as kb_schedule';
/*
 * What the journal says, for customers, bookkeepers and whoever checks it.
 */

CREATE VIEW kbilling.charge_line WITH (security_invoker) AS
	SELECT e.account_id, e.seq, e.period, l.line_no::integer, l.service, l.what, l.from_date, l.to_date,
		   l.days, l.days_in_month, l.quantity, l.events, l.billed_quantity, l.billed_events, l.price, l.amount
	FROM entry e
	CROSS JOIN LATERAL kb_line_rows(e.lines) WITH ORDINALITY
		AS l (service, what, from_date, to_date, days, days_in_month, quantity, events, billed_quantity, billed_events,
			  price, amount, line_no)
	WHERE e.kind IN ('charge', 'purchase') AND kb_is_owned(e.account_id);
COMMENT ON VIEW charge_line IS 'One row for each line of each charge and purchase, as it was posted (C7, L5)';
COMMENT ON COLUMN charge_line.account_id IS 'The account';
COMMENT ON COLUMN charge_line.seq IS 'The entry of the charge or purchase';
COMMENT ON COLUMN charge_line.period IS 'The month of a charge, by its first day; NULL for a purchase';
COMMENT ON COLUMN charge_line.line_no IS 'Runs 1, 2, 3, ... within the charge';
COMMENT ON COLUMN charge_line.service IS 'What was priced; "base" for the base fee';
COMMENT ON COLUMN charge_line.what IS
'The kind of line: base fee, recurring service, usage, late usage of an earlier month (U3), discount (C9), minimum (C10) or '
'purchase (L5)';
COMMENT ON COLUMN charge_line.from_date IS 'First day charged';
COMMENT ON COLUMN charge_line.to_date IS 'Last day charged';
COMMENT ON COLUMN charge_line.days IS
'Days charged; for usage, the days for which minimum and maximum of the price count; NULL if it has none';
COMMENT ON COLUMN charge_line.days_in_month IS 'Days that the whole price is for; NULL for usage';
COMMENT ON COLUMN charge_line.quantity IS
'Units; for a discount, the amount that it is of, and for a minimum, what the other lines come to';
COMMENT ON COLUMN charge_line.events IS
'How many events the usage is made of, less corrections; NULL for what is charged by day';
COMMENT ON COLUMN charge_line.billed_quantity IS
'For late usage: how many units of its month were billed before. The amount is what all units cost, less what those '
'cost';
COMMENT ON COLUMN charge_line.billed_events IS 'For late usage: how many events of its month were billed before';
COMMENT ON COLUMN charge_line.price IS 'The price at that time, as a kb_price is written';
COMMENT ON COLUMN charge_line.amount IS 'The amount; those of a service in a month are rounded together (M4)';

CREATE VIEW kbilling.payment_history WITH (security_invoker) AS
	SELECT e.account_id, e.seq, e.posted_at, e.effective_on, e.kind, e.amount, e.balance_after, e.bonus_after,
		   e.method, e.paid, kb_exchange_rate(e.paid, e.amount) AS rate, e.period,
		   kb_shown_reference(e.key) AS reference, e.ref_seq, e.member, e.memo, e.lines::jsonb AS lines
	FROM entry e
	WHERE kb_is_owned(e.account_id)
	ORDER BY e.account_id, e.seq DESC;
COMMENT ON VIEW payment_history IS 'The journal as a customer reads it, newest first, with each charge''s lines';
COMMENT ON COLUMN payment_history.account_id IS 'The account';
COMMENT ON COLUMN payment_history.seq IS 'Number of the entry';
COMMENT ON COLUMN payment_history.posted_at IS 'When it was posted';
COMMENT ON COLUMN payment_history.effective_on IS 'Local date on which it takes effect';
COMMENT ON COLUMN payment_history.kind IS 'What it is';
COMMENT ON COLUMN payment_history.amount IS 'By how much it moved the balance';
COMMENT ON COLUMN payment_history.balance_after IS 'The balance after it';
COMMENT ON COLUMN payment_history.bonus_after IS 'Unspent bonus after it';
COMMENT ON COLUMN payment_history.method IS 'How a top-up was paid';
COMMENT ON COLUMN payment_history.paid IS
'What the customer was charged, or below zero got back, where that is another amount, perhaps in another currency (T8)';
COMMENT ON COLUMN payment_history.rate IS 'The rate of that, if it is in another currency: paid for one of the amount''s currency';
COMMENT ON COLUMN payment_history.period IS 'The month of a charge';
COMMENT ON COLUMN payment_history.reference IS 'The caller''s reference; NULL for charges and bonuses';
COMMENT ON COLUMN payment_history.ref_seq IS 'The entry that it belongs to or takes back';
COMMENT ON COLUMN payment_history.member IS 'The member who topped up, if one is known';
COMMENT ON COLUMN payment_history.memo IS 'The reason';
COMMENT ON COLUMN payment_history.lines IS
'How a charge is made up (C7), or of which top-ups a refund or chargeback is (T6, T7)';

-- J4.  A credit to the customer is a debit of its contra account, and the other way round.
CREATE VIEW kbilling.general_ledger WITH (security_invoker) AS
	WITH leg AS (
		SELECT e.account_id, e.seq, e.posted_at, e.posted_by, e.effective_on, e.kind, 'customers' AS ledger_account, e.amount AS credit
		FROM entry e
		UNION ALL
		SELECT e.account_id, e.seq, e.posted_at, e.posted_by, e.effective_on, e.kind,
			   CASE coalesce(r.kind, e.kind)
				   WHEN 'topup' THEN 'cash'
				   WHEN 'chargeback' THEN 'cash'
				   WHEN 'bonus' THEN 'promotions'
				   WHEN 'credit' THEN 'promotions'
				   WHEN 'expiry' THEN 'promotions: expired'
				   WHEN 'refund' THEN 'refunds'
				   WHEN 'adjustment' THEN 'adjustments'
				   WHEN 'writeoff' THEN 'bad debt'
			   END, - e.amount
		FROM entry e
		LEFT JOIN entry r ON e.kind = 'reversal' AND r.account_id = e.account_id AND r.seq = e.ref_seq
		WHERE coalesce(r.kind, e.kind) NOT IN ('charge', 'purchase')
		UNION ALL
		SELECT e.account_id, e.seq, e.posted_at, e.posted_by, e.effective_on, e.kind, 'revenue: ' || l.service, l.amount
		FROM entry e
		LEFT JOIN entry r ON e.kind = 'reversal' AND r.account_id = e.account_id AND r.seq = e.ref_seq
		CROSS JOIN LATERAL kb_line_rows(e.lines) l
		WHERE coalesce(r.kind, e.kind) IN ('charge', 'purchase')
	)
	SELECT account_id, seq, posted_at, effective_on, kind, ledger_account, kb_currency(credit) AS currency,
		   CASE WHEN credit < 0 THEN - credit END AS debit,
		   CASE WHEN credit >= 0 THEN credit END AS credit, posted_by
	FROM leg
	WHERE kb_is_owned(account_id);
COMMENT ON VIEW general_ledger IS
'The journal as double entry (J4): for each entry, its leg at the customers and its contra legs';
COMMENT ON COLUMN general_ledger.account_id IS 'The account';
COMMENT ON COLUMN general_ledger.seq IS 'The entry';
COMMENT ON COLUMN general_ledger.posted_at IS 'When it was posted';
COMMENT ON COLUMN general_ledger.effective_on IS 'Local date on which it takes effect';
COMMENT ON COLUMN general_ledger.kind IS 'What the entry is';
COMMENT ON COLUMN general_ledger.ledger_account IS
'"customers", "cash", "promotions", "promotions: expired", "refunds", "adjustments", "bad debt", or revenue by service';
COMMENT ON COLUMN general_ledger.currency IS 'ISO 4217 code';
COMMENT ON COLUMN general_ledger.debit IS 'The amount, if it is a debit';
COMMENT ON COLUMN general_ledger.credit IS 'The amount, if it is a credit';
COMMENT ON COLUMN general_ledger.posted_by IS 'The database role that posted it';

CREATE VIEW kbilling.trial_balance WITH (security_invoker) AS
	SELECT currency, ledger_account,
		   coalesce(sum(debit), kb_money(0, currency)) AS debit,
		   coalesce(sum(credit), kb_money(0, currency)) AS credit,
		   coalesce(sum(debit), kb_money(0, currency))
		   - coalesce(sum(credit), kb_money(0, currency)) AS balance
	FROM general_ledger
	GROUP BY currency, ledger_account;
COMMENT ON VIEW trial_balance IS 'Sums of the general ledger; the balances of each currency add up to zero (J4)';
COMMENT ON COLUMN trial_balance.currency IS 'ISO 4217 code';
COMMENT ON COLUMN trial_balance.ledger_account IS 'As in kbilling.general_ledger';
COMMENT ON COLUMN trial_balance.debit IS 'Sum of the debits';
COMMENT ON COLUMN trial_balance.credit IS 'Sum of the credits';
COMMENT ON COLUMN trial_balance.balance IS 'Debits less credits';

-- The sum of a charge's lines, or NULL if they are not as kb_bill writes them: a check must not fail on it.
CREATE FUNCTION kbilling_internal.kb_lines_total(lines jsonb, currency text) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE WHEN bool_and(l.is_amount) THEN sum(CASE WHEN l.is_amount THEN kb_minor(l.amount::kb_money) END) END
	FROM (SELECT x.line->>'amount' AS amount,
				 kb_is_amount(x.line->>'amount', $2) AS is_amount
		  FROM jsonb_array_elements(CASE jsonb_typeof($1) WHEN 'array' THEN $1 ELSE '[]' END) x (line)) l;
END;
COMMENT ON FUNCTION kb_lines_total(jsonb, text) IS
'Sum of the amounts of an entry''s lines, in minor units; NULL if there is no line, or one of them is not an amount '
'in the currency';

-- Every entry beside the one before it, with what it should be.
CREATE VIEW kbilling_internal.entry_check WITH (security_invoker) AS
	SELECT e.account_id, e.seq,
		   CASE
			   WHEN e.seq <> e.previous_seq + 1
				   THEN format('J2: entry %s follows entry %s', e.seq, e.previous_seq)
			   WHEN kb_currency(e.balance_after) <> kb_currency(e.amount)
					OR kb_currency(e.bonus_after) <> kb_currency(e.amount)
					OR kb_currency(e.previous_balance) <> kb_currency(e.amount)
				   THEN 'M3: two currencies meet in the entry'
			   WHEN kb_minor(e.balance_after) <> kb_minor(e.previous_balance) + kb_minor(e.amount)
				   THEN format('J2: balance after is %s, %s before and the entry is %s', e.balance_after, e.previous_balance, e.amount)
			   WHEN e.bonus_after < 0 OR e.bonus_after > greatest(e.balance_after, e.zero)
				   THEN format('T6: unspent bonus is %s on a balance of %s', e.bonus_after, e.balance_after)
			   WHEN e.debt_since IS DISTINCT FROM kb_debt_since(e.previous_debt_since, e.balance_after, e.effective_on)
				   THEN format('S1: debt counts since %s', coalesce(e.debt_since::text, 'never'))
			   -- the hash takes a number below one for none
			   WHEN e.ref_seq < 1 OR e.ref_seq >= e.seq
				   THEN format('J5: it refers to entry %s, which is not before it', e.ref_seq)
			   WHEN octet_length(e.previous_hash) <> 32
				   THEN 'J5: the hash before it is damaged'
			   WHEN e.hash <> kb_entry_hash(e.previous_hash, e.account_id, e.seq, e.kind::text, e.amount, e.balance_after,
					   e.bonus_after, e.debt_since, e.effective_on, e.posted_at, e.key, e.period, e.method,
					   e.paid, e.ref_seq, e.member, e.posted_by, e.memo, e.lines, e.lots)
				   THEN 'J5: the hash does not fit the entry and the hash before it'
		   END AS problem
	FROM (SELECT x.*, x.amount - x.amount AS zero,
				 coalesce(lag(x.seq) OVER w, 0) AS previous_seq,
				 coalesce(lag(x.balance_after) OVER w, x.amount - x.amount) AS previous_balance,
				 lag(x.debt_since) OVER w AS previous_debt_since,
				 lag(x.hash) OVER w AS previous_hash
		  FROM entry x
		  WINDOW w AS (PARTITION BY x.account_id ORDER BY x.seq)) e;
COMMENT ON VIEW entry_check IS 'Every entry, and what is wrong with it (J2, J5); NULL if all is well';
COMMENT ON COLUMN entry_check.account_id IS 'The account';
COMMENT ON COLUMN entry_check.seq IS 'The entry';
COMMENT ON COLUMN entry_check.problem IS 'The rule that is broken, and how';

-- Every account's row beside its journal.
CREATE VIEW kbilling_internal.account_check WITH (security_invoker) AS
	SELECT a.account_id, a.last_seq AS seq,
		   CASE
			   WHEN kb_currency(a.balance) <> a.currency
				   THEN format('M3: the account is in %s, its balance is %s', a.currency, a.balance)
			   WHEN coalesce(e.entries, 0) <> a.last_seq
				   THEN format('J2: the account counts %s entries, the journal has %s', a.last_seq, coalesce(e.entries, 0))
			   WHEN kb_minor(a.balance) <> coalesce(e.total, 0)
				   THEN format('J2: the balance is %s, the sum of the entries %s minor units', a.balance, coalesce(e.total, 0))
			   WHEN a.unspent_bonus <> coalesce(l.bonus_after, a.balance - a.balance)
				   THEN format('T6: unspent bonus is %s, after the last entry %s', a.unspent_bonus,
							   coalesce(l.bonus_after::text, 'nothing'))
			   WHEN a.lots IS DISTINCT FROM g.lots
				   THEN format('G2: its credit by priority and expiry is %s, after its entries %s', coalesce(a.lots::text, 'nothing'),
							   coalesce(g.lots::text, 'nothing'))
			   WHEN g.least <= 0 OR g.total > kb_minor(a.unspent_bonus)
				   THEN format('G1: its credit by priority and expiry is %s, of %s', a.lots, a.unspent_bonus)
			   WHEN a.state IN ('active', 'closing') AND coalesce(a.credit_check_on, 'infinity') > g.expires_on
					AND coalesce(a.credit_check_on, 'infinity') >
						greatest(d.today + 1, kb_charge_due_on(a.charged_through, a.ends_on))
				   THEN format('G3: no sweep looks at its credit before %s', coalesce(a.credit_check_on, 'infinity'))
			   WHEN a.debt_since IS DISTINCT FROM l.debt_since
				   THEN format('S1: debt counts since %s, after the last entry since %s', coalesce(a.debt_since::text, 'never'),
							   coalesce(l.debt_since::text, 'never'))
			   WHEN a.last_hash IS DISTINCT FROM l.hash
				   THEN 'J5: the account''s hash is not that of the last entry'
			   WHEN a.currency <> (SELECT t.currency FROM tariff t WHERE t.tariff = a.tariff)
				   THEN format('M3: the account is in %s, its tariff "%s" is not', a.currency, a.tariff)
			   WHEN NOT isfinite(a.charged_through)
				   THEN format('C4: charged through %s', a.charged_through)
			   WHEN a.charged_through NOT IN (kb_month_last_day(a.charged_through),
											  kb_account_date(a.created_at, a.time_zone) - 1)
				   THEN format('C4: charged through %s, which is not the end of a month', a.charged_through)
			   WHEN NOT isfinite(a.ends_on) OR a.ends_on < kb_account_date(a.created_at, a.time_zone)
				   THEN format('X1: its contract ends on %s', a.ends_on)
			   WHEN kb_charge_due_on(kb_month_first_day(a.charged_through) - 1, a.ends_on) > d.today
					AND a.charged_through >= kb_account_date(a.created_at, a.time_zone)
				   THEN format('C4: charged through %s, a month that had not ended on %s', a.charged_through, d.today)
			   WHEN a.usage_kept_from > kb_month_first_day(a.charged_through + 1) OR NOT isfinite(a.usage_kept_from)
				   THEN format('U6: its usage is kept from %s on, and it is charged through %s', a.usage_kept_from,
							   a.charged_through)
			   WHEN e.last_period > kb_month_first_day(a.charged_through)
				   THEN format('C4: charged through %s, but there is a charge for %s', a.charged_through, e.last_period)
			   WHEN a.deferred_until IS DISTINCT FROM (SELECT f.deferred_until FROM deferral f
													   WHERE f.account_id = a.account_id ORDER BY f.deferral_no DESC LIMIT 1)
				   THEN format('S4: deferred until %s, which is not the last deferral', coalesce(a.deferred_until::text, 'never'))
			   WHEN a.state IS DISTINCT FROM
					CASE c.step WHEN 'scheduled' THEN 'closing' WHEN 'reminded' THEN 'closing' WHEN 'deleted' THEN 'deleted'
						WHEN 'purged' THEN 'purged' ELSE 'active' END::kb_account_state
				   THEN format('D2: the account is %s, its last step is %s', a.state, coalesce(c.step::text, 'none'))
			   WHEN a.delete_on IS DISTINCT FROM CASE WHEN c.step IN ('scheduled', 'reminded', 'deleted', 'purged') THEN c.delete_on END
				   THEN format('D2: it is to be deleted on %s, by its last step on %s', coalesce(a.delete_on::text, 'no day'),
							   coalesce(c.delete_on::text, 'no day'))
			   WHEN a.closure_check_on IS NULL AND a.state <> 'purged' AND (a.balance <= 0 OR a.state <> 'active')
				   THEN format('D1: no sweep looks at it, though its state is %s and its balance %s', a.state, a.balance)
			   WHEN a.closure_check_on IS DISTINCT FROM c.purge_on AND a.state = 'deleted'
					OR a.closure_check_on > a.delete_on AND a.state = 'closing'
				   THEN format('D6: the account is %s, and no sweep looks at it before %s', a.state, a.closure_check_on)
			   WHEN a.state = 'purged' AND (m.members > 0 OR EXISTS (SELECT FROM usage_event u WHERE u.account_id = a.account_id))
				   THEN 'D6: the account is purged, but has members or usage'
			   WHEN a.state <> 'purged' AND coalesce(m.owners, 0) = 0
				   THEN 'D2: the account has no owner'
			   WHEN a.last_notice_no < n.last_notice_no
				   THEN format('N3: the account counts %s notices, but there is a notice %s', a.last_notice_no, n.last_notice_no)
			   WHEN a.last_notice_no > coalesce(n.notices, 0) + coalesce(a.notices_removed, 0)	-- U6
				   THEN format('N1: the account counts %s notices, there are %s', a.last_notice_no - coalesce(a.notices_removed, 0),
							   coalesce(n.notices, 0))
			   WHEN a.state = 'purged' AND (a.closure_check_on IS NOT NULL OR a.stage_check_on IS NOT NULL
												OR a.credit_check_on IS NOT NULL)
				   THEN 'D6: the account is purged, but a sweep would look at it'
			   -- policies may have changed since the day was set, but not by a year
			   WHEN a.state = 'active' AND a.closure_check_on > d.today + 366
					AND a.closure_check_on IS DISTINCT FROM a.ends_on + 1
					AND a.closure_check_on > (SELECT t.may_close_on FROM kb_closure_terms(ARRAY[a.account_id], kb_now()) t) + 366
				   THEN format('D1: no sweep looks before %s whether it may be closed', a.closure_check_on)
			   WHEN a.state IN ('active', 'closing') AND a.debt_since IS NOT NULL
					AND coalesce(a.stage_check_on, 'infinity') > greatest(d.today, a.deferred_until) + 366
					AND coalesce(a.stage_check_on, 'infinity') >
						(SELECT kb_next_stage_on(a.debt_since, a.deferred_until, d.today, p.remind_day, p.restrict_day, p.block_day)
						 FROM kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p)
				   THEN format('N5: no sweep looks at its stage before %s', coalesce(a.stage_check_on, 'infinity'))
		   END AS problem
	FROM account a
	LEFT JOIN (SELECT x.account_id, count(*) AS entries, sum(kb_minor(x.amount)) AS total, max(x.period) AS last_period
			   FROM entry x GROUP BY x.account_id) e ON e.account_id = a.account_id
	LEFT JOIN entry l ON l.account_id = a.account_id AND l.seq = a.last_seq
	LEFT JOIN (SELECT o.account_id, array_agg(ROW(o.priority, o.expires_on, o.amount)::kb_lot ORDER BY o.priority, o.expires_on) AS lots,
					  sum(kb_minor(o.amount)) AS total, min(kb_minor(o.amount)) AS least, min(o.expires_on) AS expires_on
			   FROM (SELECT x.account_id, m.priority, m.expires_on, sum(m.amount) AS amount
					 FROM entry x CROSS JOIN LATERAL unnest(x.lots) m
					 WHERE x.lots IS NOT NULL GROUP BY x.account_id, m.priority, m.expires_on, kb_currency(m.amount)) o
			   WHERE o.amount <> 0 GROUP BY o.account_id) g ON g.account_id = a.account_id
	LEFT JOIN (SELECT x.account_id, count(*) AS members, count(*) FILTER (WHERE x.role = 'owner') AS owners
			   FROM member x GROUP BY x.account_id) m ON m.account_id = a.account_id
	LEFT JOIN (SELECT DISTINCT ON (x.account_id) x.account_id, x.step, x.delete_on, x.purge_on FROM closure_step x
			   ORDER BY x.account_id, x.step_no DESC) c ON c.account_id = a.account_id
	LEFT JOIN (SELECT x.account_id, max(x.notice_no) AS last_notice_no, count(*) AS notices
			   FROM notice x GROUP BY x.account_id) n ON n.account_id = a.account_id
	-- by the clock that was set back, what was posted later counts
	CROSS JOIN LATERAL (SELECT kb_account_date(greatest(kb_now(), l.posted_at), a.time_zone) AS today) d;
COMMENT ON VIEW account_check IS
'Every account, and what is wrong between its row and its journal; NULL if all is well';
COMMENT ON COLUMN account_check.account_id IS 'The account';
COMMENT ON COLUMN account_check.seq IS 'Its last entry';
COMMENT ON COLUMN account_check.problem IS 'The rule that is broken, and how';

-- Every total of usage beside its events; "unique" beside its values, whose events are another row's.
CREATE VIEW kbilling_internal.usage_check WITH (security_invoker) AS
	WITH event AS (
		SELECT e.account_id, e.period, e.service, e.price_id, sum(e.events) AS events, sum(e.quantity) AS quantity
		FROM usage_event e GROUP BY e.account_id, e.period, e.service, e.price_id
	), total AS (
		SELECT t.account_id, t.period, t.service, t.price_id, min(t.aggregation) AS aggregation, max(t.aggregation) AS other_aggregation,
			   sum(t.events) AS events, sum(t.quantity) AS quantity
		FROM usage_total t GROUP BY t.account_id, t.period, t.service, t.price_id
	), recorded AS (
		SELECT account_id, period, service, price_id, t.aggregation, t.aggregation <> t.other_aggregation AS is_mixed,
			   coalesce(e.events, 0) AS recorded_events, t.events AS total_events,
			   CASE t.aggregation
				   WHEN 'sum' THEN coalesce(e.quantity, 0)
				   WHEN 'count' THEN coalesce(e.events, 0)
				   WHEN 'unique' THEN (SELECT count(*) FROM usage_value v
									   WHERE v.account_id = e.account_id AND v.period = e.period AND v.service = e.service
										AND v.price_id = e.price_id AND v.events > 0)
				   ELSE coalesce((SELECT l.quantity FROM kb_level_of_events(account_id, period, service, price_id, t.aggregation) l), 0)
			   END AS recorded_quantity,
			   CASE WHEN t.aggregation IN ('max', 'last') THEN kb_usage_level(account_id, period, service, price_id, t.aggregation)
				   ELSE t.quantity END AS total_quantity
		FROM event e FULL JOIN total t USING (account_id, period, service, price_id)
		WHERE NOT EXISTS (SELECT FROM account a WHERE a.account_id = coalesce(e.account_id, t.account_id)
							AND a.usage_kept_from > coalesce(e.period, t.period))	-- U6
	)
	SELECT account_id, period, service, price_id,
		   CASE
			   WHEN is_mixed
				   THEN format('U2: usage of "%s" in %s is aggregated in two ways', service, period)
			   WHEN recorded_events IS DISTINCT FROM total_events
				   THEN format('U5: usage of "%s" in %s has %s events, its total counts %s', service, period,
							   coalesce(nullif(recorded_events, 0)::text, 'no'), coalesce(total_events::text, 'none'))
			   WHEN recorded_quantity IS DISTINCT FROM total_quantity
				   THEN format('U5: usage of "%s" in %s is %s, its total says %s', service, period, recorded_quantity, total_quantity)
			   WHEN NOT EXISTS (SELECT FROM price p WHERE p.price_id = recorded.price_id AND p.service = recorded.service)
				   THEN format('C3: usage of "%s" in %s has the price %s, which is none of the service', service, period, price_id)
		   END AS problem
	FROM recorded;
COMMENT ON VIEW usage_check IS
'Every month and price of a metered service of an account, and what is wrong between its events and its total (C3, '
'U2, U5); NULL if all is well';
COMMENT ON COLUMN usage_check.account_id IS 'The account';
COMMENT ON COLUMN usage_check.period IS 'The month, by its first day';
COMMENT ON COLUMN usage_check.service IS 'The metered service';
COMMENT ON COLUMN usage_check.price_id IS 'The price of kbilling.price';
COMMENT ON COLUMN usage_check.problem IS 'The rule that is broken, and how';

-- What has been billed of a month's usage beside the lines that billed it.  A charge of zero has no lines (C8), so what
-- was used before it is not compared; nor is a month that is skipped, which is marked as billed without a line.  Where
-- usage is below zero in all, the lines may say zero.
CREATE VIEW kbilling_internal.billed_check WITH (security_invoker) AS
	WITH line AS (
		-- as text, as a damaged line must not fail
		SELECT e.account_id, left(x.line->>'from_date', 7) AS month, x.line->>'service' AS service,
			   sum(CASE jsonb_typeof(x.line->'quantity') WHEN 'number' THEN (x.line->>'quantity')::numeric END) AS quantity
		FROM entry e
		CROSS JOIN LATERAL jsonb_array_elements(
			CASE jsonb_typeof(e.lines::jsonb) WHEN 'array' THEN e.lines::jsonb ELSE '[]' END) x (line)
		WHERE e.kind = 'charge' AND x.line ? 'events'
		GROUP BY e.account_id, left(x.line->>'from_date', 7), x.line->>'service'
	), total AS (
		SELECT p.account_id, to_char(p.period, 'YYYY-MM') AS month, p.service::text AS service, p.period,
			   sum(p.billed) AS quantity
		FROM (SELECT t.account_id, t.period, t.service, t.price_id,
					 CASE WHEN min(t.aggregation) IN ('max', 'last') THEN max(t.billed_quantity)
						 ELSE sum(t.billed_quantity) END AS billed
			  FROM usage_total t GROUP BY t.account_id, t.period, t.service, t.price_id) p
		GROUP BY p.account_id, p.period, p.service
	), closed AS (
		SELECT c.account_id, c.period, count(*) OVER (PARTITION BY c.account_id ORDER BY c.period DESC) AS months
		FROM (SELECT e.account_id, e.period FROM entry e WHERE e.kind = 'charge'
			  UNION
			  SELECT k.account_id, k.period FROM skipped_month k) c
	)
	SELECT u.account_id, u.period, u.service,
		   format('U3: %s of the usage of "%s" in %s is marked as billed, its charges say %s', u.quantity, u.service, u.period,
				  coalesce(l.quantity, 0)) AS problem
	FROM total u
	JOIN account a ON a.account_id = u.account_id
	LEFT JOIN closed c ON c.account_id = u.account_id AND c.period = u.period
	LEFT JOIN line l ON l.account_id = u.account_id AND l.month = u.month AND l.service = u.service
	WHERE greatest(coalesce(l.quantity, 0), 0) <> greatest(u.quantity, 0)
		AND (u.period > a.charged_through
			 OR c.months = (extract(year FROM a.charged_through) - extract(year FROM u.period)) * 12
						   + extract(month FROM a.charged_through) - extract(month FROM u.period) + 1)
		AND NOT EXISTS (SELECT FROM skipped_month k WHERE k.account_id = u.account_id AND k.period = u.period);
COMMENT ON VIEW billed_check IS
'Every month of a metered service of which another quantity is marked as billed than its charges have billed (U3). '
'What cannot be compared is left out: what was used before a charge of zero, and months that are skipped';
COMMENT ON COLUMN billed_check.account_id IS 'The account';
COMMENT ON COLUMN billed_check.period IS 'The month, by its first day';
COMMENT ON COLUMN billed_check.service IS 'The metered service';
COMMENT ON COLUMN billed_check.problem IS 'The rule that is broken, and how';

-- Every notice beside what it is about.
CREATE VIEW kbilling_internal.notice_check WITH (security_invoker) AS
	SELECT n.account_id, n.notice_no,
		   CASE
			   WHEN n.kind IN ('topup_received', 'charge_posted', 'topup_after_deletion') AND e.seq IS NULL
				   THEN format('N1: notice %s is of entry %s, which is not there', n.notice_no, n.occasion)
			   WHEN NOT isfinite(n.due_at)
					OR n.due_at IS NULL AND n.delivered_at IS NULL AND n.parked_at IS NULL AND a.state <> 'purged'
				   THEN format('N2: notice %s is never due', n.notice_no)
		   END AS problem
	FROM notice n
	JOIN account a ON a.account_id = n.account_id
	LEFT JOIN entry e ON e.account_id = n.account_id
		AND e.seq = CASE WHEN n.occasion ~ '^[0-9]{1,18}$' THEN n.occasion::bigint END;
COMMENT ON VIEW notice_check IS 'Every notice, and what is wrong with it (N1, N2); NULL if all is well';
COMMENT ON COLUMN notice_check.account_id IS 'The account';
COMMENT ON COLUMN notice_check.notice_no IS 'The notice';
COMMENT ON COLUMN notice_check.problem IS 'The rule that is broken, and how';

-- What guards the tables, as pg_get_triggerdef writes it under the search_path of kb_check.
CREATE VIEW kbilling_internal.guard_trigger WITH (security_invoker) AS
	SELECT g.table_name, g.trigger_name, g.enabled::"char" AS enabled,
		   format('CREATE TRIGGER %s %s %s ON kbilling.%s FOR EACH %s EXECUTE FUNCTION %s', g.trigger_name,
				  CASE g.does WHEN 'kb_tell_policy_change()' THEN 'AFTER' ELSE 'BEFORE' END, g.event, g.table_name,
				  g.level, g.does) AS definition
	FROM (VALUES
		('account', 'account_ledger', 'A', 'DELETE OR UPDATE OF account_id, created_at, balance, unspent_bonus, lots, last_seq, last_hash, '
			'debt_since, charged_through OR TRUNCATE', 'STATEMENT', 'kb_refuse_rewrite()'),
		('account', 'account_ledger_row', 'A', 'DELETE', 'ROW', 'kb_refuse_rewrite()'),
		('change_log', 'change_log_immutable', 'A', 'DELETE OR UPDATE OR TRUNCATE', 'STATEMENT', 'kb_refuse_rewrite()'),
		('change_log', 'change_log_immutable_row', 'A', 'DELETE OR UPDATE', 'ROW', 'kb_refuse_rewrite()'),
		('closure_step', 'closure_step_immutable', 'A', 'DELETE OR UPDATE OR TRUNCATE', 'STATEMENT', 'kb_refuse_rewrite()'),
		('closure_step', 'closure_step_immutable_row', 'A', 'DELETE OR UPDATE', 'ROW', 'kb_refuse_rewrite()'),
		('deferral', 'deferral_immutable', 'A', 'DELETE OR UPDATE OR TRUNCATE', 'STATEMENT', 'kb_refuse_rewrite()'),
		('deferral', 'deferral_immutable_row', 'A', 'DELETE OR UPDATE', 'ROW', 'kb_refuse_rewrite()'),
		('entry', 'entry_immutable', 'A', 'DELETE OR UPDATE OR TRUNCATE', 'STATEMENT', 'kb_refuse_rewrite()'),
		('entry', 'entry_immutable_row', 'A', 'DELETE OR UPDATE', 'ROW', 'kb_refuse_rewrite()'),
		('entry', 'entry_insert', 'A', 'INSERT', 'ROW', 'kb_refuse_rewrite()'),
		('payment_method', 'payment_method_standard', 'O', 'DELETE OR UPDATE',
			'ROW WHEN (((old.method)::text = ANY (kb_standard_methods())))',
			'kb_refuse_change(''Create a method of your own with kb_create_payment_method.'')'),
		('payment_method', 'payment_method_truncate', 'O', 'TRUNCATE', 'STATEMENT',
			'kb_refuse_change(''Delete the rows that are your own.'')'),
		('policy', 'policy_changed', 'A', 'DELETE OR UPDATE', 'ROW', 'kb_tell_policy_change()'),
		('policy', 'policy_standard', 'O', 'DELETE OR UPDATE', 'ROW WHEN (((old.policy)::text = ''standard''::text))',
			'kb_refuse_change(''Create a policy of your own with kb_set_policy, and name it in kb_create_tariff.'')'),
		('policy', 'policy_truncate', 'O', 'TRUNCATE', 'STATEMENT', 'kb_refuse_change(''Delete the rows that are your own.'')'),
		('service', 'service_base', 'O', 'DELETE OR UPDATE', 'ROW WHEN (((old.service)::text = ''base''::text))',
			'kb_refuse_change(''Give the base fee a price in each tariff with kb_set_price, or create a service of your own.'')'),
		('service', 'service_truncate', 'O', 'TRUNCATE', 'STATEMENT', 'kb_refuse_change(''Delete the rows that are your own.'')'),
		('shard_bucket', 'bucket_changed', 'A', 'INSERT OR DELETE OR UPDATE', 'ROW', 'kb_tell_shard_change()'),
		('shard_bucket', 'buckets_emptied', 'A', 'TRUNCATE', 'STATEMENT', 'kb_tell_shard_change()'),
		('tariff', 'tariff_changed', 'A', 'DELETE OR UPDATE', 'ROW', 'kb_tell_policy_change()')
	) AS g (table_name, trigger_name, enabled, event, level, does);
COMMENT ON VIEW guard_trigger IS
'The triggers that keep kbilling''s tables whole, and sessions told of policies and buckets, as they are made (J1, J2, S5, B2)';
COMMENT ON COLUMN guard_trigger.table_name IS 'The table, in the schema kbilling';
COMMENT ON COLUMN guard_trigger.trigger_name IS 'The trigger';
COMMENT ON COLUMN guard_trigger.enabled IS 'As in pg_trigger: "A", always; "O", but for replication';
COMMENT ON COLUMN guard_trigger.definition IS 'The statement that makes it, if kbilling_internal is on the search_path';

CREATE FUNCTION kbilling_internal.kb_account_problem(account_id bigint) RETURNS TABLE (account_id bigint, seq bigint, problem text)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT p.account_id, p.seq, p.problem
	FROM (SELECT 1 AS step, c.account_id, c.seq, c.problem FROM entry_check c
		  WHERE c.account_id = $1 AND c.problem IS NOT NULL
		  UNION ALL
		  SELECT 2, c.account_id, c.seq, c.problem FROM account_check c
		  WHERE c.account_id = $1 AND c.problem IS NOT NULL) p
	ORDER BY p.step, p.seq LIMIT 1;
END;
COMMENT ON FUNCTION kb_account_problem(bigint) IS
'What kb_verify says of an account, whose own it may be';

-- Without JIT: compiling so many expressions would take seconds.
CREATE FUNCTION kbilling.kb_verify(account_id bigint) RETURNS TABLE (account_id bigint, seq bigint, problem text)
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET jit = off
	SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_account($1);
	SELECT p.account_id, p.seq, p.problem FROM kb_account_problem($1) p;
END;
COMMENT ON FUNCTION kb_verify(bigint) IS
'Computes the account''s chain of hashes anew, and names the first entry that does not fit (J5); no row if all is '
'well. '
'Errors: KB001';

-- Without JIT, as above.
CREATE FUNCTION kbilling.kb_check() RETURNS TABLE (account_id bigint, seq bigint, problem text)
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET jit = off
	SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT p.account_id, p.seq, p.problem FROM (
		SELECT c.account_id, c.seq, c.problem FROM entry_check c WHERE c.problem IS NOT NULL
		UNION ALL
		SELECT c.account_id, c.seq, c.problem FROM account_check c WHERE c.problem IS NOT NULL
		UNION ALL
		SELECT e.account_id, min(e.seq), format('J2: %s entries without an account', count(*)) FROM entry e
		WHERE NOT EXISTS (SELECT FROM account a WHERE a.account_id = e.account_id)
		GROUP BY e.account_id
		UNION ALL
		SELECT n.account_id, NULL, format('N1: %s notices without an account', count(*)) FROM notice n
		WHERE NOT EXISTS (SELECT FROM account a WHERE a.account_id = n.account_id)
		GROUP BY n.account_id
		UNION ALL
		SELECT n.account_id, NULL, n.problem FROM notice_check n WHERE n.problem IS NOT NULL
		UNION ALL
		SELECT p.account_id, p.settled_seq, format('T2: payment %s was settled by an entry that is not there', p.payment_id) FROM payment p
		WHERE p.settled_seq IS NOT NULL
			AND NOT EXISTS (SELECT FROM entry e WHERE e.account_id = p.account_id AND e.seq = p.settled_seq AND e.kind = 'topup')
		UNION ALL
		SELECT s.account_id, NULL, format('N1: step %s, %s, has no notice', s.step_no, s.step) FROM closure_step s
		WHERE NOT EXISTS (SELECT FROM notice n WHERE n.account_id = s.account_id AND n.notice_no = s.step_no)
			AND NOT EXISTS (SELECT FROM account a WHERE a.account_id = s.account_id AND a.notices_kept_from > s.taken_at)	-- U6
		UNION ALL
		SELECT NULL, NULL, format('D6: table %I.%I is registered for the purge, but is gone', o.schema_name, o.table_name)
		FROM purge_order o
		WHERE o.relation IS NULL
		UNION ALL
		SELECT e.account_id, e.seq, format('T2: there is no payment method "%s"', e.method) FROM entry e
		WHERE e.method IS NOT NULL AND NOT EXISTS (SELECT FROM payment_method m WHERE m.method = e.method)
		UNION ALL
		SELECT p.account_id, NULL, format('T2: payment %s has the method "%s", which there is not', p.payment_id, p.method) FROM payment p
		WHERE p.method IS NOT NULL AND NOT EXISTS (SELECT FROM payment_method m WHERE m.method = p.method)
		UNION ALL
		SELECT p.account_id, p.settled_seq, format('T9: payment %s was settled by an entry of another amount or method', p.payment_id)
		FROM payment p JOIN entry e ON e.account_id = p.account_id AND e.seq = p.settled_seq
		WHERE e.amount <> p.settled_amount OR e.method <> p.settled_method
		UNION ALL
		SELECT u.account_id, NULL, u.problem FROM usage_check u WHERE u.problem IS NOT NULL
		UNION ALL
		SELECT u.account_id, NULL, format('U1: usage of "%s" without an account', u.service) FROM usage_check u
		WHERE NOT EXISTS (SELECT FROM account a WHERE a.account_id = u.account_id)
		UNION ALL
		SELECT u.account_id, NULL, u.problem FROM billed_check u
		UNION ALL
		SELECT c.account_id, c.seq, format('U3: the charge of %s is reversed, but not its usage', c.period)
		FROM entry r JOIN entry c ON c.account_id = r.account_id AND c.seq = r.ref_seq
		WHERE r.kind = 'reversal' AND c.kind = 'charge'
			AND NOT EXISTS (SELECT FROM skipped_month k WHERE k.account_id = c.account_id AND k.period = c.period)
		UNION ALL
		SELECT c.account_id, c.seq, format('U3: the usage of %s is skipped, but its charge is not reversed', c.period)
		FROM skipped_month k JOIN entry c ON c.account_id = k.account_id AND c.period = k.period AND c.kind = 'charge'
		WHERE NOT EXISTS (SELECT FROM entry r WHERE r.account_id = c.account_id AND r.ref_seq = c.seq AND r.kind = 'reversal')
		UNION ALL
		SELECT t.account_id, t.seq, format('T7: %s of the top-up of %s has been taken back', t.taken_back, t.amount) FROM topup_status t
		WHERE t.taken_back < 0 OR t.remaining < 0
		UNION ALL
		SELECT t.account_id, t.bonus_seq, format('T6: %s of the bonus of %s is left', t.bonus, t.bonus_earned) FROM topup_status t
		WHERE t.bonus < 0 OR t.bonus > t.bonus_earned
		UNION ALL
		-- so the general ledger is zero too (J4): every other contra leg is the entry's own amount
		SELECT e.account_id, e.seq, format('C7: the lines do not add up to %s', e.amount) FROM entry e
		WHERE e.lines IS NOT NULL
			AND kb_lines_total(e.lines, kb_currency(e.amount)) IS DISTINCT FROM - kb_minor(e.amount)
		UNION ALL
		SELECT s.account_id, NULL, format('C2: service "%s" is on twice on %s', s.service, s.from_date)
		FROM (SELECT u.*, lag(u.to_date) OVER (PARTITION BY u.account_id, u.service ORDER BY u.from_date) AS previous_end
			  FROM subscription u) s
		WHERE s.from_date < s.previous_end
		UNION ALL
		SELECT h.account_id, NULL, format('C3: two tariffs on %s', h.from_date)
		FROM (SELECT t.*, lag(t.to_date) OVER (PARTITION BY t.account_id ORDER BY t.from_date) AS previous_end
			  FROM account_tariff t) h
		WHERE h.from_date < h.previous_end
		UNION ALL
		SELECT NULL, NULL, format('C3: tariff "%s" has two prices for "%s" on %s', p.tariff, p.service, p.from_date)
		FROM (SELECT x.*, lag(x.to_date) OVER (PARTITION BY x.tariff, x.service ORDER BY x.from_date) AS previous_end
			  FROM price_list x) p
		WHERE p.from_date < p.previous_end
		UNION ALL
		SELECT NULL, NULL, format('W2: this server does not know the time zone "%s" of some accounts, and takes UTC for it', z.time_zone)
		FROM account_zone z
		WHERE NOT EXISTS (SELECT FROM pg_timezone_names n WHERE n.name = z.time_zone)
		UNION ALL
		SELECT NULL, NULL, format('J1: trigger %s on %s is %s', g.trigger_name, g.table_name,
				CASE WHEN t.oid IS NULL THEN 'gone' WHEN pg_get_triggerdef(t.oid) <> g.definition THEN 'not what it was'
					WHEN g.enabled = 'A' THEN 'not enabled always' ELSE 'not enabled' END)
		FROM guard_trigger g
		LEFT JOIN pg_trigger t ON t.tgrelid = to_regclass('kbilling.' || g.table_name) AND t.tgname = g.trigger_name
		WHERE t.oid IS NULL OR pg_get_triggerdef(t.oid) <> g.definition OR t.tgenabled NOT IN (g.enabled, 'A')
		UNION ALL
		SELECT NULL, NULL, format('J7: event trigger kbilling_refuse_drop is %s',
				CASE WHEN v.oid IS NULL THEN 'gone' WHEN v.evtenabled <> 'A' THEN 'not enabled always' ELSE 'not what it was' END)
		FROM (VALUES (ARRAY['DROP EXTENSION', 'DROP SCHEMA', 'DROP OWNED'])) g (tags)
		LEFT JOIN pg_event_trigger v ON v.evtname = 'kbilling_refuse_drop'
		WHERE v.oid IS NULL OR v.evtenabled <> 'A' OR v.evtevent <> 'ddl_command_start' OR NOT coalesce(v.evttags @> g.tags, true)
			OR v.evtfoid <> 'kbilling_internal.kb_refuse_drop()'::regprocedure
		UNION ALL
		SELECT NULL, NULL, format('J1: %s has a parent, %s, on which its triggers do not fire', i.inhrelid::regclass, i.inhparent::regclass)
		FROM pg_inherits i
		WHERE i.inhrelid IN ('kbilling.entry'::regclass, 'kbilling.account'::regclass)
	) p
	WHERE kb_is_owned(p.account_id) IS NOT FALSE
	UNION ALL
	SELECT NULL, NULL, format('B3: bucket %s is not owned, and has %s accounts here', b.bucket, b.accounts)
	FROM (SELECT kb_shard(a.account_id) AS bucket, count(*) AS accounts FROM account a
		  WHERE NOT kb_is_owned(a.account_id) GROUP BY kb_shard(a.account_id)) b
	UNION ALL
	SELECT NULL, NULL, format('B2: %s of 1024 buckets have a row, so the others are not owned', count(*)) FROM shard_bucket
	HAVING count(*) NOT IN (0, 1024);
END;
COMMENT ON FUNCTION kb_check() IS
'Everything that is wrong in the books, a row for each problem; no row if all is well. It reads the whole journal. Accounts '
'of buckets that this node does not own are passed over, but for one row for each such bucket (B3)';

-- When a price was listed is left out, as a node may have got it later than another.
CREATE FUNCTION kbilling.kb_catalogue_digest() RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET timezone = 'UTC' SET datestyle = 'ISO'
	SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT encode(sha256(convert_to(string_agg(l.line, E'\n' ORDER BY l.line COLLATE "C"), 'UTF8')), 'hex')
	FROM (SELECT concat_ws(' ', 'policy', to_jsonb(p)) FROM policy p
		  UNION ALL
		  SELECT concat_ws(' ', 'tariff', to_jsonb(t)) FROM tariff t
		  UNION ALL
		  SELECT concat_ws(' ', 'service', to_jsonb(s)) FROM service s
		  UNION ALL
		  SELECT concat_ws(' ', 'price', to_jsonb(p) - '{listed_at,withdrawn_at}'::text[], p.withdrawn_at IS NOT NULL) FROM price p
		  UNION ALL
		  SELECT concat_ws(' ', 'bonus_tier', to_jsonb(b)) FROM bonus_tier b
		  UNION ALL
		  SELECT concat_ws(' ', 'credit_line', to_jsonb(c)) FROM credit_line c
		  UNION ALL
		  SELECT concat_ws(' ', 'usage_limit', to_jsonb(u)) FROM usage_limit u
		  UNION ALL
		  SELECT concat_ws(' ', 'alert', to_jsonb(a)) FROM alert a
		  UNION ALL
		  SELECT concat_ws(' ', 'tariff_minimum', to_jsonb(m)) FROM tariff_minimum m
		  UNION ALL
		  SELECT concat_ws(' ', 'discount_code', to_jsonb(d)) FROM discount_code d
		  UNION ALL
		  SELECT concat_ws(' ', 'payment_method', to_jsonb(m)) FROM payment_method m
		  UNION ALL
		  SELECT concat_ws(' ', 'standard_name', to_jsonb(n)) FROM standard_name n
		  UNION ALL
		  SELECT concat_ws(' ', 'catalogue_name', to_jsonb(n)) FROM catalogue_name n
		  UNION ALL
		  SELECT concat_ws(' ', 'standard_template', to_jsonb(x)) FROM standard_template x
		  UNION ALL
		  SELECT concat_ws(' ', 'notice_template', to_jsonb(x)) FROM notice_template x) l (line);
END;
COMMENT ON FUNCTION kb_catalogue_digest() IS
'A digest of the price list: policies, tariffs, services, prices with their numbers, bonus tiers, credit lines, limits, minimums, '
'discount codes, payment methods, names and texts of notices, built-in ones too. Nodes whose digests are equal bill alike '
'(B6). When prices were listed is left out';

-- Nodes of one version have the same; who has changed something by hand has not.
CREATE FUNCTION kbilling_internal.kb_schema_digest() RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (SELECT md5(string_agg(format('%s.%s(%s) %s', o.schema_name, o.name, o.arguments, o.result), E'\n'
							  ORDER BY o.schema_name, o.name, o.arguments, o.result))
		FROM (SELECT n.nspname::text COLLATE "C" AS schema_name, p.proname::text COLLATE "C" AS name,
					 (SELECT string_agg(concat_ws(' ', p.proargnames[a.n], x.nspname, t.typname), ',' ORDER BY a.n)
					  FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY a (type, n)
					  JOIN pg_type t ON t.oid = a.type JOIN pg_namespace x ON x.oid = t.typnamespace) COLLATE "C" AS arguments,
					 (r.typname || p.pronargdefaults) COLLATE "C" AS result
			  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type r ON r.oid = p.prorettype
			  WHERE n.nspname IN ('kbilling', 'kbilling_internal')
			  UNION ALL
			  SELECT n.nspname, c.relname, a.attname, t.typname
			  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
			  JOIN pg_type t ON t.oid = a.atttypid
			  WHERE n.nspname IN ('kbilling', 'kbilling_internal') AND c.relkind IN ('r', 'v')) o);
COMMENT ON FUNCTION kb_schema_digest() IS
'A digest of the functions, tables and views of kbilling by their names and types, to compare between nodes (B)';

CREATE FUNCTION kbilling_internal.kb_node(OUT node text, OUT schema_digest text, OUT catalogue_digest text, OUT buckets integer[],
										  OUT has_accounts boolean)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	-- a standby that is promoted keeps the system identifier, and starts at a time of its own
	SELECT format('%s/%s/%s', (SELECT c.system_identifier FROM pg_control_system() c),
				  (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()), extract(epoch FROM pg_postmaster_start_time())),
		   kb_schema_digest(), kb_catalogue_digest(),
		   (SELECT coalesce(array_agg(b.bucket ORDER BY b.bucket) FILTER (WHERE b.is_owned), '{}') FROM shard_bucket b HAVING count(*) > 0),
		   EXISTS (SELECT FROM account);
END;
COMMENT ON FUNCTION kb_node() IS
'What tells this node from others, and whether it fits them: its database, digests of its schema and of its price list, the '
'buckets that it owns (NULL: it has no shards), and whether it has accounts (B)';
/*
 * A price, and how a line of a charge makes up its amount, in words that a customer reads (P, C7).
 *
 * The steps and their facts are computed in C; a phrase is a pattern in the syntax of ICU's MessageFormat.
 */

-- A function, and not a view, so that everyone can explain a line: no view is open to PUBLIC.  Numbers are not grouped in
-- Ukrainian, whose space for that few encodings have.
CREATE FUNCTION kbilling_internal.kb_standard_phrases() RETURNS TABLE (phrase text, language text, pattern text)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 50
BEGIN ATOMIC
	SELECT t.phrase, t.language, t.pattern
	FROM (SELECT v.*, bool_and(v.pattern IS NOT NULL) OVER (PARTITION BY v.language) AS is_whole FROM (VALUES
		('price_flat', 'en',
		 '{price} a month'),
		('price_flat', 'uk',
		 kb_utf8('{price} \320\275\320\260 \320\274\321\226\321\201\321\217\321\206\321\214')),

		('price_flat_once', 'en',
		 '{price} once'),
		('price_flat_once', 'uk',
		 kb_utf8('{price} \320\276\320\264\320\275\320\276\321\200\320\260\320\267\320\276\320\262\320\276')),

		('price_tier', 'en',
		 '{measure, select, units {{price} {has_unit, select, true {per {unit}} other {for each unit}}} packages {{price} for each package of {per, number, ::.############}{has_unit, select, true { ({unit})} other {}}, even if it is only begun} full_packages {{price} for each full package of {per, number, ::.############}{has_unit, select, true { ({unit})} other {}}} other {{percent, number, ::.############}% of the amount}}{has_fee, select, true {, and {fee} once} other {}}{position, select, first {{kind, select, volume {, if the total is at most {to, number, ::.############}} other {, for the first {to, number, ::.############}}}} middle {{kind, select, volume {, if the total is above {from, number, ::.############} and at most {to, number, ::.############}} other {, for those beyond {from, number, ::.############}, up to {to, number, ::.############}}}} last {{kind, select, volume {, if the total is above {from, number, ::.############}} other {, for those beyond {from, number, ::.############}}}} other {}}'),
		('price_tier', 'uk',
		 kb_utf8('{measure, select, units {{price} \320\267\320\260 \320\276\320\264\320\270\320\275\320\270\321\206\321\216{has_unit, select, true { ({unit})} other {}}} packages {{price} \320\267\320\260 \320\272\320\276\320\266\320\265\320\275 \320\277\320\260\320\272\320\265\321\202 \320\277\320\276 {per, number, ::.############ group-off}{has_unit, select, true { ({unit})} other {}}, \320\275\320\260\320\262\321\226\321\202\321\214 \321\200\320\276\320\267\320\277\320\276\321\207\320\260\321\202\320\270\320\271} full_packages {{price} \320\267\320\260 \320\272\320\276\320\266\320\265\320\275 \320\277\320\276\320\262\320\275\320\270\320\271 \320\277\320\260\320\272\320\265\321\202 \320\277\320\276 {per, number, ::.############ group-off}{has_unit, select, true { ({unit})} other {}}} other {{percent, number, ::.############ group-off}% \320\262\321\226\320\264 \321\201\321\203\320\274\320\270}}{has_fee, select, true {, \321\226 {fee} \320\276\320\264\320\275\320\276\321\200\320\260\320\267\320\276\320\262\320\276} other {}}{position, select, first {{kind, select, volume {, \321\217\320\272\321\211\320\276 \320\262\321\201\321\214\320\276\320\263\320\276 \320\275\320\265 \320\261\321\226\320\273\321\214\321\210\320\265 {to, number, ::.############ group-off}} other {, \320\267\320\260 \320\277\320\265\321\200\321\210\321\226 {to, number, ::.############ group-off}}}} middle {{kind, select, volume {, \321\217\320\272\321\211\320\276 \320\262\321\201\321\214\320\276\320\263\320\276 \320\277\320\276\320\275\320\260\320\264 {from, number, ::.############ group-off} \321\226 \320\275\320\265 \320\261\321\226\320\273\321\214\321\210\320\265 {to, number, ::.############ group-off}} other {, \320\267\320\260 \320\275\320\260\321\201\321\202\321\203\320\277\320\275\321\226, \320\262\321\226\320\264 {from, number, ::.############ group-off} \320\264\320\276 {to, number, ::.############ group-off}}}} last {{kind, select, volume {, \321\217\320\272\321\211\320\276 \320\262\321\201\321\214\320\276\320\263\320\276 \320\277\320\276\320\275\320\260\320\264 {from, number, ::.############ group-off}} other {, \320\267\320\260 \321\200\320\265\321\210\321\202\321\203, \320\277\320\276\320\275\320\260\320\264 {from, number, ::.############ group-off}}}} other {}}')),

		('price_event', 'en',
		 '{price} for each event'),
		('price_event', 'uk',
		 kb_utf8('{price} \320\267\320\260 \320\272\320\276\320\266\320\275\321\203 \320\277\320\276\320\264\321\226\321\216')),

		('price_free', 'en',
		 '{units, plural, one {the first one is} other {the first {units, number, ::.##################} are}} free'),
		('price_free', 'uk',
		 kb_utf8('{units, plural, one {\320\277\320\265\321\200\321\210\320\260 {units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\217 \320\261\320\265\320\267\320\272\320\276\321\210\321\202\320\276\320\262\320\275\320\260} few {\320\277\320\265\321\200\321\210\321\226 {units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\226 \320\261\320\265\320\267\320\272\320\276\321\210\321\202\320\276\320\262\320\275\321\226} many {\320\277\320\265\321\200\321\210\321\226 {units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\214 \320\261\320\265\320\267\320\272\320\276\321\210\321\202\320\276\320\262\320\275\321\226} other {\320\277\320\265\321\200\321\210\321\226 {units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\226 \320\261\320\265\320\267\320\272\320\276\321\210\321\202\320\276\320\262\320\275\321\226}}')),

		('price_min', 'en',
		 'at least {price} a month'),
		('price_min', 'uk',
		 kb_utf8('\321\211\320\276\320\275\320\260\320\271\320\274\320\265\320\275\321\210\320\265 {price} \320\275\320\260 \320\274\321\226\321\201\321\217\321\206\321\214')),

		('price_max', 'en',
		 'at most {price} a month'),
		('price_max', 'uk',
		 kb_utf8('\321\211\320\276\320\275\320\260\320\271\320\261\321\226\320\273\321\214\321\210\320\265 {price} \320\275\320\260 \320\274\321\226\321\201\321\217\321\206\321\214')),

		('flat', 'en',
		 'Price of the month: {price}'),
		('flat', 'uk',
		 kb_utf8('\320\246\321\226\320\275\320\260 \320\267\320\260 \320\274\321\226\321\201\321\217\321\206\321\214: {price}')),

		('flat_once', 'en',
		 'Price: {price}'),
		('flat_once', 'uk',
		 kb_utf8('\320\246\321\226\320\275\320\260: {price}')),

		('free', 'en',
		 '{units, plural, one {{units, number, ::.##################} unit is} other {{units, number, ::.##################} units are}} free'),
		('free', 'uk',
		 kb_utf8('\320\221\320\265\320\267\320\272\320\276\321\210\321\202\320\276\320\262\320\275\320\276: {units, plural, one {{units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\217} few {{units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\226} many {{units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\214} other {{units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\226}}')),

		('tier', 'en',
		 '{position, select, first {{kind, select, volume {The total is at most {to, number, ::.############}: } other {The first {to, number, ::.############}: }}} middle {{kind, select, volume {The total is above {from, number, ::.############} and at most {to, number, ::.############}: } other {Beyond {from, number, ::.############}, up to {to, number, ::.############}: }}} last {{kind, select, volume {The total is above {from, number, ::.############}: } other {Beyond {from, number, ::.############}: }}} other {}}{measure, select, units {{units, plural, one {{units, number, ::.##################} unit} other {{units, number, ::.##################} units}} at {price}} packages {{units, plural, one {{units, number, ::.##################} package} other {{units, number, ::.##################} packages}} of {per, number, ::.############} at {price}} full_packages {{units, plural, one {{units, number, ::.##################} full package} other {{units, number, ::.##################} full packages}} of {per, number, ::.############} at {price}} other {{percent, number, ::.############}% of {units, number, ::.##################}}}{has_fee, select, true {, and {fee} once} other {}}'),
		('tier', 'uk',
		 kb_utf8('{position, select, first {{kind, select, volume {\320\243\321\201\321\214\320\276\320\263\320\276 \320\275\320\265 \320\261\321\226\320\273\321\214\321\210\320\265 {to, number, ::.############ group-off}: } other {\320\237\320\265\321\200\321\210\321\226 {to, number, ::.############ group-off}: }}} middle {{kind, select, volume {\320\243\321\201\321\214\320\276\320\263\320\276 \320\277\320\276\320\275\320\260\320\264 {from, number, ::.############ group-off} \321\226 \320\275\320\265 \320\261\321\226\320\273\321\214\321\210\320\265 {to, number, ::.############ group-off}: } other {\320\222\321\226\320\264 {from, number, ::.############ group-off} \320\264\320\276 {to, number, ::.############ group-off}: }}} last {{kind, select, volume {\320\243\321\201\321\214\320\276\320\263\320\276 \320\277\320\276\320\275\320\260\320\264 {from, number, ::.############ group-off}: } other {\320\237\320\276\320\275\320\260\320\264 {from, number, ::.############ group-off}: }}} other {}}{measure, select, units {{units, plural, one {{units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\217} few {{units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\226} many {{units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\214} other {{units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\226}} \320\277\320\276 {price}} packages {{units, plural, one {{units, number, ::.################## group-off} \320\277\320\260\320\272\320\265\321\202} few {{units, number, ::.################## group-off} \320\277\320\260\320\272\320\265\321\202\320\270} many {{units, number, ::.################## group-off} \320\277\320\260\320\272\320\265\321\202\321\226\320\262} other {{units, number, ::.################## group-off} \320\277\320\260\320\272\320\265\321\202\320\260}} \320\277\320\276 {per, number, ::.############ group-off}, \320\272\320\276\320\266\320\265\320\275 \320\267\320\260 {price}} full_packages {{units, plural, one {{units, number, ::.################## group-off} \320\277\320\276\320\262\320\275\320\270\320\271 \320\277\320\260\320\272\320\265\321\202} few {{units, number, ::.################## group-off} \320\277\320\276\320\262\320\275\321\226 \320\277\320\260\320\272\320\265\321\202\320\270} many {{units, number, ::.################## group-off} \320\277\320\276\320\262\320\275\320\270\321\205 \320\277\320\260\320\272\320\265\321\202\321\226\320\262} other {{units, number, ::.################## group-off} \320\277\320\276\320\262\320\275\320\276\320\263\320\276 \320\277\320\260\320\272\320\265\321\202\320\260}} \320\277\320\276 {per, number, ::.############ group-off}, \320\272\320\276\320\266\320\265\320\275 \320\267\320\260 {price}} other {{percent, number, ::.############ group-off}% \320\262\321\226\320\264 {units, number, ::.################## group-off}}}{has_fee, select, true {, \321\226 {fee} \320\276\320\264\320\275\320\276\321\200\320\260\320\267\320\276\320\262\320\276} other {}}')),

		('events', 'en',
		 '{units, plural, one {{units, number, ::.##################} event} other {{units, number, ::.##################} events}} at {price}'),
		('events', 'uk',
		 kb_utf8('{units, plural, one {{units, number, ::.################## group-off} \320\277\320\276\320\264\321\226\321\217} few {{units, number, ::.################## group-off} \320\277\320\276\320\264\321\226\321\227} many {{units, number, ::.################## group-off} \320\277\320\276\320\264\321\226\320\271} other {{units, number, ::.################## group-off} \320\277\320\276\320\264\321\226\321\227}} \320\277\320\276 {price}')),

		('minimum', 'en',
		 'Raised to the minimum of {price} a month{by_days, select, true {, for {days, number} of {days_in_month, number} days} other {}}'),
		('minimum', 'uk',
		 kb_utf8('\320\224\320\276\320\277\320\276\320\262\320\275\320\265\320\275\320\276 \320\264\320\276 \320\274\321\226\320\275\321\226\320\274\321\203\320\274\321\203 {price} \320\275\320\260 \320\274\321\226\321\201\321\217\321\206\321\214{by_days, select, true {, \320\267\320\260 {days, plural, one {# \320\264\320\265\320\275\321\214} few {# \320\264\320\275\321\226} many {# \320\264\320\275\321\226\320\262} other {# \320\264\320\275\321\217}} \321\226\320\267 {days_in_month, number}} other {}}')),

		('maximum', 'en',
		 'Lowered to the maximum of {price} a month{by_days, select, true {, for {days, number} of {days_in_month, number} days} other {}}'),
		('maximum', 'uk',
		 kb_utf8('\320\227\320\274\320\265\320\275\321\210\320\265\320\275\320\276 \320\264\320\276 \320\274\320\260\320\272\321\201\320\270\320\274\321\203\320\274\321\203 {price} \320\275\320\260 \320\274\321\226\321\201\321\217\321\206\321\214{by_days, select, true {, \320\267\320\260 {days, plural, one {# \320\264\320\265\320\275\321\214} few {# \320\264\320\275\321\226} many {# \320\264\320\275\321\226\320\262} other {# \320\264\320\275\321\217}} \321\226\320\267 {days_in_month, number}} other {}}')),

		('days', 'en',
		 'Charged for {days, number} of {days_in_month, number} days'),
		('days', 'uk',
		 kb_utf8('\320\235\320\260\321\200\320\260\321\205\320\276\320\262\320\260\320\275\320\276 \320\267\320\260 {days, plural, one {# \320\264\320\265\320\275\321\214} few {# \320\264\320\275\321\226} many {# \320\264\320\275\321\226\320\262} other {# \320\264\320\275\321\217}} \321\226\320\267 {days_in_month, number}')),

		('in_full', 'en',
		 'Charged in full, though it was on for {days, number} of {days_in_month, number} days'),
		('in_full', 'uk',
		 kb_utf8('\320\235\320\260\321\200\320\260\321\205\320\276\320\262\320\260\320\275\320\276 \320\277\320\276\320\262\320\275\321\226\321\201\321\202\321\216, \321\205\320\276\321\207\320\260 \320\264\321\226\321\217\320\273\320\276 {days, plural, one {# \320\264\320\265\320\275\321\214} few {# \320\264\320\275\321\226} many {# \320\264\320\275\321\226\320\262} other {# \320\264\320\275\321\217}} \321\226\320\267 {days_in_month, number}')),

		('late', 'en',
		 'All that was used in {month} is priced together'),
		('late', 'uk',
		 kb_utf8('\320\243\321\201\320\265 \320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\320\265 \320\267\320\260 {month} \321\200\320\260\321\205\321\203\321\224\321\202\321\214\321\201\321\217 \321\200\320\260\320\267\320\276\320\274')),

		('billed', 'en',
		 'Billed before: {units, plural, one {{units, number, ::.##################} unit} other {{units, number, ::.##################} units}}'),
		('billed', 'uk',
		 kb_utf8('\320\235\320\260\321\200\320\260\321\205\320\276\320\262\320\260\320\275\320\276 \321\200\320\260\320\275\321\226\321\210\320\265: {units, plural, one {{units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\217} few {{units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\226} many {{units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\214} other {{units, number, ::.################## group-off} \320\276\320\264\320\270\320\275\320\270\321\206\321\226}}')),

		('taken_back', 'en',
		 'What was charged is taken back'),
		('taken_back', 'uk',
		 kb_utf8('\320\235\320\260\321\200\320\260\321\205\320\276\320\262\320\260\320\275\320\265 \321\201\320\272\320\260\321\201\320\276\320\262\320\260\320\275\320\276')),

		('discount_percent', 'en',
		 '{percent, number, ::.####}% off {sum}'),
		('discount_percent', 'uk',
		 kb_utf8('\320\227\320\275\320\270\320\266\320\272\320\260 {percent, number, ::.#### group-off}% \320\262\321\226\320\264 {sum}')),

		('discount_amount', 'en',
		 'This service''s part of {price} off a month, by what each service comes to'),
		('discount_amount', 'uk',
		 kb_utf8('\320\247\320\260\321\201\321\202\320\272\320\260 \321\206\321\226\321\224\321\227 \320\277\320\276\321\201\320\273\321\203\320\263\320\270 \321\203 \320\267\320\275\320\270\320\266\321\206\321\226 {price} \320\275\320\260 \320\274\321\226\321\201\321\217\321\206\321\214, \320\267\320\260 \320\262\320\260\321\200\321\202\321\226\321\201\321\202\321\216 \320\272\320\276\320\266\320\275\320\276\321\227 \320\277\320\276\321\201\320\273\321\203\320\263\320\270')),

		('minimum_month', 'en',
		 'Minimum of {price} a month{by_days, select, true {, for {days, number} of {days_in_month, number} days} other {}}'),
		('minimum_month', 'uk',
		 kb_utf8('\320\234\321\226\320\275\321\226\320\274\321\203\320\274 {price} \320\275\320\260 \320\274\321\226\321\201\321\217\321\206\321\214{by_days, select, true {, \320\267\320\260 {days, plural, one {# \320\264\320\265\320\275\321\214} few {# \320\264\320\275\321\226} many {# \320\264\320\275\321\226\320\262} other {# \320\264\320\275\321\217}} \321\226\320\267 {days_in_month, number}} other {}}')),

		('minimum_days', 'en',
		 'Minimum of {price} for these days, as it has changed in the month'),
		('minimum_days', 'uk',
		 kb_utf8('\320\234\321\226\320\275\321\226\320\274\321\203\320\274 {price} \320\267\320\260 \321\206\321\226 \320\264\320\275\321\226, \320\261\320\276 \320\277\321\200\320\276\321\202\321\217\320\263\320\276\320\274 \320\274\321\226\321\201\321\217\321\206\321\217 \320\262\321\226\320\275 \320\267\320\274\321\226\320\275\320\270\320\262\321\201\321\217')),

		('minimum_sum', 'en',
		 'Less what the other lines of the month come to'),
		('minimum_sum', 'uk',
		 kb_utf8('\320\234\321\226\320\275\321\203\321\201 \321\201\321\203\320\274\320\260 \321\226\320\275\321\210\320\270\321\205 \321\200\321\217\320\264\320\272\321\226\320\262 \320\267\320\260 \320\274\321\226\321\201\321\217\321\206\321\214')),

		('minimum_late', 'en',
		 'The minimum of {month} was counted before; what came late changes what is missing to it'),
		('minimum_late', 'uk',
		 kb_utf8('\320\234\321\226\320\275\321\226\320\274\321\203\320\274 \320\267\320\260 {month} \320\262\321\200\320\260\321\205\320\276\320\262\320\260\320\275\320\276 \321\200\320\260\320\275\321\226\321\210\320\265; \320\277\321\226\320\267\320\275\321\226\321\210\320\265 \320\262\320\270\320\272\320\276\321\200\320\270\321\201\321\202\320\260\320\275\320\265 \320\267\320\274\321\226\320\275\321\216\321\224 \321\202\320\265, \321\207\320\276\320\263\320\276 \320\264\320\276 \320\275\321\214\320\276\320\263\320\276 \320\261\321\200\320\260\320\272\321\203\321\224')),

		('rounding', 'en',
		 'Rounding, together with the other lines of the month'),
		('rounding', 'uk',
		 kb_utf8('\320\236\320\272\321\200\321\203\320\263\320\273\320\265\320\275\320\275\321\217, \321\200\320\260\320\267\320\276\320\274 \320\267 \321\226\320\275\321\210\320\270\320\274\320\270 \321\200\321\217\320\264\320\272\320\260\320\274\320\270 \320\267\320\260 \320\274\321\226\321\201\321\217\321\206\321\214')),

		('nothing', 'en',
		 'Nothing to charge'),
		('nothing', 'uk',
		 kb_utf8('\320\235\320\265\320\274\320\260\321\224 \321\211\320\276 \320\275\320\260\321\200\320\260\321\205\320\276\320\262\321\203\320\262\320\260\321\202\320\270'))
	) AS v (phrase, language, pattern)) t
	-- a language that the database's encoding cannot hold is left out, as phrases stand beside each other
	WHERE t.is_whole;
END;
COMMENT ON FUNCTION kb_standard_phrases() IS
'The phrases of kb_describe_price and kb_explain_line, in English and, where the database''s encoding can hold it, in '
'Ukrainian';

CREATE FUNCTION kbilling_internal.kb_price_steps(price kb_price, currency text, unit text)
	RETURNS TABLE (step_no integer, phrase text, facts jsonb, amount kb_money)
	LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 3
	AS 'MODULE_PATHNAME', 'kb_price_steps';
COMMENT ON FUNCTION kb_price_steps(kb_price, text, text) IS
'What a price says, as phrases of kb_standard_phrases with their facts; they have no amounts';

CREATE FUNCTION kbilling_internal.kb_line_steps(line jsonb)
	RETURNS TABLE (step_no integer, phrase text, facts jsonb, amount kb_money)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 3
	AS 'MODULE_PATHNAME', 'kb_line_steps';
COMMENT ON FUNCTION kb_line_steps(jsonb) IS
'How a line makes up its amount, as phrases of kb_standard_phrases with their facts. Errors: 22023 for what is no line';

CREATE FUNCTION kbilling.kb_describe_price(price kb_price, currency text, unit text = NULL, language text = NULL) RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_describe_price';
COMMENT ON FUNCTION kb_describe_price(kb_price, text, text, text) IS
'What a price says, in words that a customer reads (P): in English ("en"), which is also for languages that there are no '
'phrases in, or Ukrainian ("uk"). "unit" is what one unit is called. '
'Errors: 22023 for an unknown currency; 22004 without a price or a currency';

CREATE FUNCTION kbilling.kb_explain_line(line jsonb, language text = NULL)
	RETURNS TABLE (step_no integer, text text, amount kb_money)
	LANGUAGE c STABLE PARALLEL SAFE ROWS 4 SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_explain_line';
COMMENT ON FUNCTION kb_explain_line(jsonb, text) IS
'How a line of a charge, or of the running month, makes up its amount, step by step, in words that a customer reads (C7): '
'the price; units, packages and fees by its tiers; its minimum or maximum; the days; for late usage, what was billed '
'before; of what a discount is; what a tariff''s minimum lacks; rounding. The amounts of the steps add up to that of '
'the line; a step that only says something has none. "line" is '
'one of kb_portal or kb_history, or a row of kbilling.charge_line or kb_current_usage by to_jsonb. Languages are those of '
'kb_describe_price. '
'Errors: 22023 for what is no line of a charge';
/*
 * What a billing page shows, in one call: each thing in one shape.
 */

CREATE FUNCTION kbilling.kb_portal(account_id bigint, member text) RETURNS jsonb
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_portal';
COMMENT ON FUNCTION kb_portal(bigint, text) IS
'All that a billing page shows to a member, as one JSON object. Money is {"amount": "19.00", "currency": "USD"}, a day '
'"2026-11-01"; codes are those of the tables, and names are in the member''s language. For everyone: account_id, state, '
'member, role, language (the member''s, else the policy''s), time_zone, today, stage, access, delete_on, purge_on (of a deleted '
'account), ends_on (of the contract), can_pay, can_cancel_closure, can_end, can_continue. For an owner or admin of an account that '
'is not deleted also: tariff (tariff, name), '
'next_tariff (null, or tariff, name, from_date), currency, balance, bonus, amount_due, debt_since, next_stage, next_stage_on, '
'refundable (once the contract is over and charged, the paid money that is left), '
'expiring_credit (amount and expires_on of what expires of the bonus, the day from which on it is spent no more), '
'reminder (null, or amount_due, restricted_on: null if the next stage is blocked), usage (total, and lines, those of '
'kb_current_usage), next_charge (null, or period, charged_on and amount, by kb_forecast), '
'offers (those of kb_topup_offers), payments (those that are pending, failed or '
'expired, of the last 30 days the newest 10: payment_id, status, amount, bonus, method, member, begun_at, expires_at, failure), '
'entries (the newest 20, as kb_history gives them), more_before_seq (null, or what to pass to kb_history for those before), '
'payer (member and email of the first owner, and details, as kb_set_billing_details has set them), spending (null without a '
'credit line, limit or hold; else credit_line and available, which are null without a line, limits of services in the running month '
'(service, name, unit, quantity, used, hard), and holds (service, name, unit, quantity, expires_at)). '
'Errors: KB001; KB004 for an unknown member';

-- A page costs what it shows: the primary key gives its entries in their order, wherever the page begins.  As the planner
-- does not know how many are asked for, it may rather sort all that are left: SET enable_sort.
CREATE FUNCTION kbilling.kb_history(account_id bigint, member text, before_seq bigint = NULL, max_entries integer = 20)
	RETURNS TABLE (seq bigint, entry jsonb)
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET enable_sort = off
	AS 'MODULE_PATHNAME', 'kb_history';
COMMENT ON FUNCTION kb_history(bigint, text, bigint, integer) IS
'The journal as an owner or admin of the account may read it, newest first, in pages of "max_entries", at most 1000. '
'For the next page, "before_seq" is the lowest seq of this one; NULL: from the newest entry on. Each entry is as in kb_portal: '
'seq, posted_at, effective_on, kind, amount, balance_after, bonus_after, method (null, or method, name), paid (null, or what '
'was paid in another currency), rate, period, reference, ref_seq, member, memo, lines (null, or an array). A line of a charge '
'has line_no, service, name, unit, what, from_date, to_date, days, days_in_month, quantity, events, billed_quantity, '
'billed_events, price, amount; kb_explain_line says how it makes up its amount. '
'Errors: KB001; KB003 if the account is deleted; KB004 for an employee, or an unknown member; 22023 for a number of '
'entries out of bounds';
/*
 * Numbers for monitoring: sums over the accounts, and how the sweep is doing.
 */

-- With the owner's rights, so that a role that watches the sums need not be able to read the accounts.
-- One pass over the accounts, and one over the switched-on services; groups are few, so prices are reckoned once for each, not once for
-- each account.  Without JIT: compiling would cost more than it saves.
CREATE FUNCTION kbilling_internal.kb_metrics() RETURNS TABLE (name text, labels jsonb, value numeric, type text, help text)
	LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET jit = off
	SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	WITH terms AS NOT MATERIALIZED (	-- every account on its local date
		SELECT a.account_id, a.state IN ('active', 'closing') AND (a.ends_on < d.today) IS NOT TRUE AS is_charged, a.state, a.balance,
			   a.unspent_bonus, a.debt_since, a.deferred_until, d.today,
			   coalesce(h.tariff, a.tariff) AS tariff
		FROM account a
		CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) d
		-- what kb_tariff_on says, joined: looked up for each account, all of this takes a fifth longer
		LEFT JOIN tariff_history h
			ON a.tariff_from > d.today AND h.account_id = a.account_id AND h.from_date <= d.today AND h.to_date > d.today
		WHERE kb_is_owned(a.account_id)
	), standing AS MATERIALIZED (
		SELECT a.is_charged, a.state, a.tariff, t.currency, a.today, s.stage, s.age, count(*) AS accounts,
			   sum(greatest(kb_minor(a.balance), 0)) AS prepaid,
			   sum(greatest(- kb_minor(a.balance), 0)) AS debt,
			   sum(kb_minor(a.unspent_bonus)) AS bonus
		FROM terms a
		JOIN tariff t ON t.tariff = a.tariff
		JOIN policy p ON p.policy = t.policy
		CROSS JOIN LATERAL (
			SELECT kb_stage(a.debt_since, a.deferred_until, a.today, p.remind_day, p.restrict_day, p.block_day) AS stage,
				   CASE WHEN a.debt_since IS NULL THEN NULL
					   WHEN a.today - a.debt_since < 3 THEN '1-3'
					   WHEN a.today - a.debt_since < 6 THEN '4-6'
					   WHEN a.today - a.debt_since < 9 THEN '7-9'
					   WHEN a.today - a.debt_since < 30 THEN '10-30'
					   WHEN a.today - a.debt_since < 90 THEN '31-90'
					   ELSE '91+' END AS age) s
		GROUP BY a.is_charged, a.state, a.tariff, t.currency, a.today, s.stage, s.age
	), recurring AS (
		SELECT s.tariff, s.today, 'base' AS service, 1::numeric AS quantity, sum(s.accounts) AS accounts
		FROM standing s WHERE s.is_charged
		GROUP BY s.tariff, s.today
		UNION ALL
		SELECT a.tariff, a.today, u.service, u.quantity, count(*)
		FROM terms a JOIN subscription u ON u.account_id = a.account_id AND u.from_date <= a.today AND u.to_date > a.today
		WHERE a.is_charged
		GROUP BY a.tariff, a.today, u.service, u.quantity
		UNION ALL	-- what is owed without usage
		SELECT s.tariff, s.today, p.service, 0, sum(s.accounts)
		FROM standing s
		JOIN price_list p ON p.tariff = s.tariff AND p.from_date <= s.today AND p.to_date > s.today AND kb_has_minimum(p.price)
		JOIN service v ON v.service = p.service AND v.kind = 'metered'
		WHERE s.is_charged
		GROUP BY s.tariff, s.today, p.service
	), agreed AS MATERIALIZED (	-- accounts with a minimum or a discount are billed one by one
		SELECT a.account_id, a.tariff, t.currency, a.today, m.first_day, m.last_day
		FROM terms a
		JOIN tariff t ON t.tariff = a.tariff
		CROSS JOIN LATERAL (SELECT kb_month_first_day(a.today) AS first_day, kb_month_last_day(a.today) AS last_day OFFSET 0) m
		WHERE a.state IN ('active', 'closing') AND (EXISTS (SELECT FROM tariff_minimum) OR EXISTS (SELECT FROM discount))
			AND (a.tariff IN (SELECT l.tariff FROM tariff_minimum l WHERE l.amount > 0)
				-- wherever the accounts are: yesterday's month by UTC
				OR a.account_id IN (SELECT d.account_id FROM discount d
									WHERE d.to_period > kb_month_first_day(kb_account_date(kb_now(), 'UTC') - 1)))
	), difference AS (
		SELECT g.tariff, kb_amount((b.bill).total) - b.undiscounted AS amount
		FROM agreed g
		CROSS JOIN LATERAL (
			SELECT kb_with_terms(kb_bill(x.service, g.first_day, g.last_day + 1, g.last_day - g.first_day + 1, x.quantity,
										 x.events, 0, 0, p.price_id, p.price, true, g.currency, g.first_day,
										 g.last_day),
								 g.account_id, g.currency, g.tariff, '-infinity', g.first_day, g.last_day) AS bill,
				   coalesce(sum(kb_amount(kb_rate(p.price, x.quantity, g.currency, (x.quantity > 0)::integer))), 0) AS undiscounted
			FROM (SELECT 'base' AS service, 1::numeric AS quantity, NULL::bigint AS events
				  UNION ALL
				  SELECT u.service, u.quantity, NULL FROM subscription u
				  WHERE u.account_id = g.account_id AND u.from_date <= g.today AND u.to_date > g.today
				  UNION ALL
				  SELECT v.service, 0, 0 FROM service v
				  WHERE v.kind = 'metered' AND EXISTS (
					  SELECT FROM price_list l WHERE l.tariff = g.tariff AND l.service = v.service AND kb_has_minimum(l.price)
						  AND l.from_date <= g.today AND l.to_date > g.today)) x
			JOIN price_list p ON p.tariff = g.tariff AND p.service = x.service AND p.from_date <= g.today AND p.to_date > g.today) b
		WHERE b.bill IS NOT NULL
	), currency AS (
		SELECT DISTINCT t.currency, kb_minor_units(t.currency) AS minor_units FROM tariff t
	), sample (name, labels, value) AS (
		SELECT 'kbilling_accounts', jsonb_build_object('state', state, 'stage', stage), coalesce(sum(s.accounts), 0)
		FROM unnest(enum_range(NULL::kb_account_state)) state
		CROSS JOIN unnest(enum_range(NULL::kb_stage)) stage
		LEFT JOIN standing s USING (state, stage)
		GROUP BY state, stage
		UNION ALL
		SELECT x.name, x.labels, x.value
		FROM (SELECT age, c.currency, c.minor_units, coalesce(sum(s.debt), 0) AS debt, coalesce(sum(s.accounts), 0) AS debtors
			  FROM currency c
			  CROSS JOIN unnest('{1-3,4-6,7-9,10-30,31-90,91+}'::text[]) age
			  LEFT JOIN standing s USING (age, currency)
			  GROUP BY age, c.currency, c.minor_units) d
		CROSS JOIN LATERAL (VALUES
			('kbilling_debt', jsonb_build_object('age', d.age, 'currency', d.currency),
			 round(d.debt / 10 ^ d.minor_units::numeric, d.minor_units)),
			('kbilling_debtors', jsonb_build_object('age', d.age, 'currency', d.currency), d.debtors)) x (name, labels, value)
		UNION ALL
		SELECT 'kbilling_balance', jsonb_build_object('currency', b.currency, 'part', x.part),
			   round(x.value / 10 ^ b.minor_units::numeric, b.minor_units)
		FROM (SELECT c.currency, c.minor_units, coalesce(sum(s.prepaid), 0) AS prepaid, coalesce(sum(s.bonus), 0) AS bonus
			  FROM currency c LEFT JOIN standing s USING (currency)
			  GROUP BY c.currency, c.minor_units) b
		CROSS JOIN LATERAL (VALUES ('paid', b.prepaid - b.bonus), ('bonus', b.bonus)) x (part, value)
		UNION ALL
		SELECT 'kbilling_mrr', jsonb_build_object('currency', t.currency, 'tariff', t.tariff),
			   coalesce(sum(kb_amount(kb_rate(p.price, r.quantity, t.currency, (r.quantity > 0)::integer)) * r.accounts), 0)
			   + coalesce((SELECT sum(d.amount) FROM difference d WHERE d.tariff = t.tariff), 0)
		FROM tariff t
		LEFT JOIN (recurring r JOIN price_list p
				   ON p.tariff = r.tariff AND p.service = r.service AND p.from_date <= r.today AND p.to_date > r.today)
			ON r.tariff = t.tariff
		GROUP BY t.currency, t.tariff
		UNION ALL
		SELECT x.name, '{}', x.value
		FROM kb_sweep_status() s
		CROSS JOIN LATERAL (VALUES
			('kbilling_sweep_running', s.running::integer),
			('kbilling_sweep_lag_seconds', extract(epoch FROM s.lag)),
			('kbilling_sweep_overdue_accounts', s.accounts_overdue),
			('kbilling_sweep_failed_accounts', s.accounts_failed),
			('kbilling_sweep_duration_seconds', coalesce(extract(epoch FROM s.duration), 0)),
			('kbilling_sweep_last_finished_timestamp_seconds', coalesce(extract(epoch FROM s.finished_at), 0))) x (name, value)
		UNION ALL
		SELECT 'kbilling_notices', jsonb_build_object('status', status), count(q.notice_no)
		FROM unnest('{waiting,leased,paused,parked}'::text[]) status LEFT JOIN notice_queue q USING (status)
		GROUP BY status
		UNION ALL
		SELECT 'kbilling_notice_lag_seconds', '{}', coalesce(extract(epoch FROM kb_now() - min(n.due_at)), 0)
		FROM notice n WHERE n.due_at <= kb_now() AND kb_is_owned(n.account_id)
		UNION ALL
		SELECT 'kbilling_sweep_periods_charged_total', '{}', coalesce(sum(r.periods_charged), 0) FROM sweep_run r
	)
	SELECT m.name, s.labels, s.value, m.type, m.help
	FROM (VALUES
		('kbilling_accounts', 'gauge', 'Accounts by state and stage'),
		('kbilling_balance', 'gauge', 'What customers have prepaid and not used up: paid money, and bonus'),
		('kbilling_debt', 'gauge', 'What customers owe, by the debt''s age in days'),
		('kbilling_debtors', 'gauge', 'Accounts in debt, by the debt''s age in days'),
		('kbilling_mrr', 'gauge',
		 'Monthly recurring revenue: base fees, recurring services and minimums of today at full-month prices, less discounts'),
		('kbilling_notice_lag_seconds', 'gauge', 'How long the longest due notice has waited for a worker; 0 if none waits'),
		('kbilling_notices', 'gauge', 'Notices that are not delivered, by status'),
		('kbilling_sweep_duration_seconds', 'gauge', 'How long the last sweep that finished took; 0 before the first'),
		('kbilling_sweep_failed_accounts', 'gauge', 'Accounts that the last sweep that finished passed over'),
		('kbilling_sweep_lag_seconds', 'gauge', 'How long the oldest month that ended has waited for its charge; 0 if none waits'),
		('kbilling_sweep_last_finished_timestamp_seconds', 'gauge', 'When the last sweep finished; 0 before the first'),
		('kbilling_sweep_overdue_accounts', 'gauge', 'Accounts with a month that ended and is not charged'),
		('kbilling_sweep_periods_charged_total', 'counter', 'Months of accounts that sweeps have charged'),
		('kbilling_sweep_running', 'gauge', 'Whether a sweep is running')) m (name, type, help)
	JOIN sample s ON s.name = m.name
	ORDER BY m.name, s.labels;
END;
COMMENT ON FUNCTION kb_metrics() IS
'What kbilling.metrics shows. It reads with the owner''s rights and returns sums alone, so that a role that monitors '
'needs no other right';

CREATE VIEW kbilling.metrics WITH (security_invoker) AS
	SELECT name, labels, value, type, help FROM kb_metrics();
COMMENT ON VIEW metrics IS
'Numbers for monitoring, as Prometheus names them. Debts, debtors and balances count accounts of every state, so '
'that they agree with the ledger: kbilling_balance - kbilling_debt is what customers have, less what they owe. '
'kbilling_mrr is what the accounts that are charged (active or closing, even if blocked, until their contract is over) would owe '
'for a whole month '
'on the terms of their local date: base fees, recurring services, and minimums of metered ones, by today''s tariff, '
'prices and quantities, each line rounded, less the discounts of the month, and at least its minimum (C9, C10), without other usage '
'and before any bonus. There is a series for every '
'state and stage, and for every currency and tariff of kbilling.tariff, even if it is zero';
COMMENT ON COLUMN metrics.name IS 'Name of the metric; amounts are in the currency''s major unit';
COMMENT ON COLUMN metrics.labels IS
'Its labels: "state" and "stage"; "age" (in days, the first day is 1) and "currency"; "currency" and "tariff"; '
'"currency" and "part" (paid, bonus); "status" of notices (waiting, leased, paused, parked)';
COMMENT ON COLUMN metrics.value IS 'The number; never NULL';
COMMENT ON COLUMN metrics.type IS '"gauge" or "counter"';
COMMENT ON COLUMN metrics.help IS 'What it counts';
/*
 * Buckets of accounts move to another node, while they are used (rules B).
 *
 * The rows go over by logical replication.  The node that gives the buckets away is the source, the other one the
 * target; each has a row of its own here that says how far the move has got.
 */

CREATE TYPE kbilling.kb_move_state AS ENUM ('begun', 'ready', 'cut', 'taken', 'forgotten', 'cancelled');
COMMENT ON TYPE kb_move_state IS 'How far a move of buckets has got; see kbilling.shard_move';

CREATE TABLE kbilling.shard_move (
	move            kb_text PRIMARY KEY CHECK (move ~ '^[a-z][a-z0-9_]{0,39}$'),
	is_source       boolean NOT NULL,
	state           kb_move_state NOT NULL DEFAULT 'begun',
	buckets         integer[] NOT NULL,
	begun_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
	changed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
	unverified_from xid8,
	is_refused      boolean NOT NULL DEFAULT false
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.shard_move', '');
COMMENT ON TABLE shard_move IS 'The moves of buckets from this node to another, and from another to this one';
COMMENT ON COLUMN shard_move.move IS 'The name of the move, the same on both nodes, and used once';
COMMENT ON COLUMN shard_move.is_source IS 'Whether this node gives the buckets away; false: it receives them';
COMMENT ON COLUMN shard_move.state IS
'"begun": the rows are on their way. "ready": the target has all of them, and has verified them. "cut": the source '
'owns the buckets no more. "taken": the target owns them. "forgotten": the source has deleted the rows. "cancelled": '
'the source owns the buckets as before';
COMMENT ON COLUMN shard_move.buckets IS 'The buckets, as kb_shard numbers them';
COMMENT ON COLUMN shard_move.begun_at IS 'When it began on this node, by the machine''s clock';
COMMENT ON COLUMN shard_move.changed_at IS 'When it got as far as it is, by the machine''s clock';
COMMENT ON COLUMN shard_move.unverified_from IS
'On the target: what this and later transactions have written is not verified yet; NULL: nothing is';
COMMENT ON COLUMN shard_move.is_refused IS
'On the source: the target has cancelled the move, and will not own the buckets';

-- A row goes over with what it follows, so the target that has it has everything, and knows that the source has let go.
-- The name is a text, as a publication takes no domains in its WHERE.
CREATE TABLE kbilling.shard_cut (
	move      text PRIMARY KEY,
	cut_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
	catalogue text NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.shard_cut', '');
COMMENT ON TABLE shard_cut IS
'The last row of a move that a source sends: it owns the buckets no more, and nothing follows';
COMMENT ON COLUMN shard_cut.move IS 'The move';
COMMENT ON COLUMN shard_cut.cut_at IS 'When it was cut, by the machine''s clock';
COMMENT ON COLUMN shard_cut.catalogue IS
'What kb_catalogue_digest said then. If it says something else when somebody owns the buckets, their usage is priced anew';

CREATE FUNCTION kbilling.kb_own_buckets(buckets integer[]) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_own_buckets';
COMMENT ON FUNCTION kb_own_buckets(integer[]) IS
'Declares which buckets of accounts this node owns, and that it owns no others; with an empty array, none (B2). It '
'waits for the transactions that write to accounts of the others; on a node that had no shards, for all that run in the '
'database. Only for the owner of the extension. '
'Errors: 22004 for a null; 22023 for a number that is no bucket''s; 55000 if one of which it says otherwise is being moved';

-- From the catalog, so that no table is forgotten.  Others refer to account, so it is the last to be emptied.
CREATE VIEW kbilling_internal.account_table WITH (security_invoker) AS
	SELECT c.relname AS table_name,
		   c.relname <> 'sweep_failure' AS is_moved,	-- what failed in a run of this node
		   NOT EXISTS (SELECT FROM pg_index i
					   WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS is_log,
		   row_number() OVER (ORDER BY c.relname = 'account', c.relname) AS position
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relnamespace = 'kbilling'::regnamespace AND c.relkind = 'r'
		AND a.attname = 'account_id' AND NOT a.attisdropped
		AND EXISTS (SELECT FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'kbilling'
					WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
						AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e');
COMMENT ON VIEW account_table IS 'The tables of the extension that have rows of accounts';
COMMENT ON COLUMN account_table.table_name IS 'The table, in the schema kbilling';
COMMENT ON COLUMN account_table.is_moved IS 'Whether the rows move with the accounts; else they are of this node alone';
COMMENT ON COLUMN account_table.is_log IS 'Whether rows are only added: the account is not in the key';
COMMENT ON COLUMN account_table.position IS 'Its place in the order in which they can be emptied';

CREATE FUNCTION kbilling_internal.kb_account_columns() RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT md5(string_agg(concat_ws(' ', t.table_name, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull), ', '
						  ORDER BY t.table_name, a.attname COLLATE "C"))
	FROM account_table t
	JOIN pg_class c ON c.relnamespace = 'kbilling'::regnamespace AND c.relname = t.table_name
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped;
END;
COMMENT ON FUNCTION kb_account_columns() IS
'A digest of the columns of the tables that have rows of accounts, to compare between nodes';

-- What a node tells and asks of the other.

CREATE FUNCTION kbilling_internal.kb_offered_move(move text)
	RETURNS TABLE (is_source boolean, state text, buckets text, columns text, catalogue text, slot text)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT m.is_source, m.state::text, m.buckets::text, kb_account_columns(), kb_catalogue_digest(),
		   CASE WHEN s.slot_name IS NULL OR s.wal_status = 'lost' THEN 'gone'
				WHEN s.active THEN 'active' ELSE 'idle' END
	FROM shard_move m
	LEFT JOIN pg_replication_slots s ON s.slot_name = 'kbilling_move_' || m.move AND s.database = current_database()
	WHERE m.move = $1;
END;
COMMENT ON FUNCTION kb_offered_move(text) IS
'What a source says of a move, for the target. Its role needs this function, kb_tell_move and kb_count_moved';

CREATE FUNCTION kbilling_internal.kb_tell_move(move text, state kb_move_state) RETURNS text
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_tell_move';
COMMENT ON FUNCTION kb_tell_move(text, kb_move_state) IS
'Tells a source what its target has done: "ready", "taken" or "cancelled". Returns the state that the move has then';

CREATE FUNCTION kbilling_internal.kb_count_moved(move text) RETURNS TABLE (table_name text, rows text, digest text)
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	SET timezone = 'UTC' SET datestyle = 'ISO' SET bytea_output = 'hex'
	AS 'MODULE_PATHNAME', 'kb_count_moved';
COMMENT ON FUNCTION kb_count_moved(text) IS
'How many rows each table has of the accounts of a move, and of the accounts themselves a digest, to compare between '
'its nodes';

-- The steps.

CREATE FUNCTION kbilling.kb_begin_move(move text, buckets integer[]) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_begin_move';
COMMENT ON FUNCTION kb_begin_move(text, integer[]) IS
'On the source: offers buckets of accounts to another node, by a publication of their rows; nothing changes for their '
'users. The name is of small letters, digits and underscores, and used once. Only for the owner of the extension. '
'Errors: 22004 for a null; 22023 for a number that is no bucket''s, none, or another name; 42710 if the name is in '
'use; 55000 if a bucket is not this node''s own, or is being moved, or wal_level is not logical';

CREATE FUNCTION kbilling.kb_receive_move(move text, source text) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_receive_move';
COMMENT ON FUNCTION kb_receive_move(text, text) IS
'On the target: receives what kb_begin_move offers on the source, which a connection string names as for CREATE '
'SUBSCRIPTION: first the rows that are there, then what is written to them. Only for a superuser. Errors: 08006 if the '
'source cannot be reached; 22004; 25001 if the transaction has written before; 42704 if the source does not offer the '
'move; 42710 if the name is in use; 55000 if the nodes do not fit each other, or this one owns a bucket, or has rows '
'of its accounts';

CREATE FUNCTION kbilling.kb_verify_move(move text) RETURNS bigint
	LANGUAGE c VOLATILE SET jit = off SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_verify_move';
COMMENT ON FUNCTION kb_verify_move(text) IS
'On the target, when all tables are copied: verifies each account as kb_verify does (J5), tells the source that all is '
'here, and returns how many accounts there are. What is posted after that, kb_own_move verifies. Only for a superuser. '
'Errors: 22004; 42704 for an unknown move; 55000 if it is not that far; XX001 if an account is damaged; and those of '
'the source';

CREATE FUNCTION kbilling.kb_cut_move(move text, max_wait interval = '10 seconds') RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_cut_move';
COMMENT ON FUNCTION kb_cut_move(text, interval) IS
'On the source: waits until the target has nearly everything, lets transactions that write to the accounts end, keeps '
'new ones waiting, and when the target has the rest, disowns the buckets: from its commit on, until the target owns '
'them, calls for the accounts raise KB014. Waits for each of these so long at most, and then changes nothing. Only for '
'the owner of the extension. Errors: 22004; 42704 for an unknown move; 55000 if it is not that far, or its replication '
'slot is gone; 55P03 if that takes longer';

CREATE PROCEDURE kbilling.kb_own_move(move text, max_wait interval = '1 minute')
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_own_move';
COMMENT ON PROCEDURE kb_own_move(text, interval) IS
'On the target, when the source is cut: waits for the last row, so long at most, verifies what has changed since '
'kb_verify_move, compares with the source, owns the buckets, commits, and tells the source. If it cannot reach the '
'source in the end, call it again. Only for a superuser. Errors: 22004; 25001 in a transaction block; 42704 for an '
'unknown move; 55000 if it is not that far, or what is here is not what the source has; 55P03 if it takes longer; '
'XX001 if an account is damaged; and those of the source';

CREATE PROCEDURE kbilling.kb_forget_move(move text, batch_size integer = 1000)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_forget_move';
COMMENT ON PROCEDURE kb_forget_move(text, integer) IS
'On the source, when the target owns the buckets: deletes their rows, so many accounts in a transaction. On the '
'target: the same for a move that was cancelled. One that was stopped is called again. Only for a superuser. Errors: '
'22004; 22023 for a size below 1; 23503 if tables of the application refer to the accounts; 25001 in a transaction '
'block; 42704 for an unknown move; 55000 if the target does not own the buckets, or this node does';

CREATE PROCEDURE kbilling.kb_forget_buckets(buckets integer[] = NULL, batch_size integer = 1000)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_forget_buckets';
COMMENT ON PROCEDURE kb_forget_buckets(integer[], integer) IS
'Deletes the rows of accounts of buckets that this node does not own, of all such buckets if none are named, so many '
'accounts in a transaction. For a node that was split in two by a standby: only the caller knows that another node '
'owns them. Only for a superuser. Errors: 22023 for a number that is no bucket''s, or a size below 1; 23503 if tables '
'of the application refer to the accounts; 25001 in a transaction block; 55000 if this node owns one of them, or it is '
'being moved';

CREATE PROCEDURE kbilling.kb_cancel_move(move text, forced boolean = false)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_cancel_move';
COMMENT ON PROCEDURE kb_cancel_move(text, boolean) IS
'Takes a move back, until the target owns the buckets: on the target first, which tells the source; then on the '
'source, which owns the buckets as before. "forced" does without the other node, if that is gone for good: on the '
'source, only if the target can never own the buckets. Only for a superuser. Errors: 22004; 25001 in a transaction '
'block; 42704 for an unknown move; 55000 if the target owns the buckets, or has not cancelled it; and those of the '
'source';

CREATE FUNCTION kbilling_internal.kb_reprice_buckets(buckets integer[]) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	UPDATE account a SET terms_version = a.terms_version + 1 WHERE kb_shard(a.account_id) = ANY ($1);
	SELECT kb_reprice_usage(ARRAY(SELECT a.account_id FROM account a WHERE kb_shard(a.account_id) = ANY ($1)), NULL, '-infinity');
END;
COMMENT ON FUNCTION kb_reprice_buckets(integer[]) IS
'What kb_reprice_usage does, for all accounts of buckets that are nobody''s until the transaction ends. Part of kb_own_move '
'and kb_cancel_move';

CREATE FUNCTION kbilling_internal.kb_take_move(move text, max_wait interval) RETURNS boolean
	LANGUAGE c VOLATILE SET jit = off SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_take_move';
COMMENT ON FUNCTION kb_take_move(text, interval) IS
'Owns the buckets of a move that was cut, and stops its subscription. Part of kb_own_move';

CREATE FUNCTION kbilling_internal.kb_end_subscription(move text, is_told boolean) RETURNS boolean
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_end_subscription';
COMMENT ON FUNCTION kb_end_subscription(text, boolean) IS
'Tells the source what became of a move, if that is wanted, and drops its subscription. Part of kb_own_move and '
'kb_cancel_move';

CREATE FUNCTION kbilling_internal.kb_stop_move(move text, forced boolean) RETURNS boolean
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_stop_move';
COMMENT ON FUNCTION kb_stop_move(text, boolean) IS
'Takes a move back on this node; true if the source is to be told. Part of kb_cancel_move';

CREATE FUNCTION kbilling_internal.kb_begin_forget(move text, buckets integer[]) RETURNS integer[]
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_begin_forget';
COMMENT ON FUNCTION kb_begin_forget(text, integer[]) IS
'The buckets of a move, or if that is NULL, these, if their rows may go; NULL if they are gone. A source sends no more '
'from then on. Part of kb_forget_move and kb_forget_buckets';

CREATE FUNCTION kbilling_internal.kb_forget_accounts(buckets integer[], after bigint, batch_size integer) RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_forget_accounts';
COMMENT ON FUNCTION kb_forget_accounts(integer[], bigint, integer) IS
'Deletes the rows of the next accounts of buckets that this node does not own; the last one''s number, NULL if there '
'is none. Part of kb_forget_move';

CREATE FUNCTION kbilling_internal.kb_forget_rest(buckets integer[], batch_size integer) RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_forget_rest';
COMMENT ON FUNCTION kb_forget_rest(integer[], integer) IS
'Deletes rows of such buckets that are of no account; how many, zero if none is left. Part of kb_forget_move';

CREATE FUNCTION kbilling_internal.kb_end_forget(move text) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_end_forget';
COMMENT ON FUNCTION kb_end_forget(text) IS 'Notes that the rows of a move are gone. Part of kb_forget_move';

CREATE FUNCTION kbilling_internal.kb_next_step(move text, is_source boolean, state kb_move_state, is_refused boolean)
	RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_next_step';
COMMENT ON FUNCTION kb_next_step(text, boolean, kb_move_state, boolean) IS
'What is to be done next of a move, and where, in words';

CREATE FUNCTION kbilling.kb_move_status(move text = NULL)
	RETURNS TABLE (move text, side text, state kb_move_state, buckets integer, accounts bigint, since timestamptz,
				   tables_copied integer, tables integer, lag_bytes bigint, problem text, next_step text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT m.move, CASE WHEN m.is_source THEN 'source' ELSE 'target' END, m.state, cardinality(m.buckets),
		   (SELECT count(*) FROM account a WHERE kb_shard(a.account_id) = ANY (m.buckets)), m.changed_at,
		   r.copied, r.tables,
		   CASE WHEN m.is_source AND s.slot_name IS NOT NULL AND NOT pg_is_in_recovery()
			   THEN pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn)::bigint END,
		   CASE
			   WHEN m.state = 'begun' AND m.is_source AND s.slot_name IS NULL
				   THEN 'the target does not receive it yet'
			   WHEN m.state IN ('ready', 'cut') AND m.is_source AND s.slot_name IS NULL OR s.wal_status = 'lost'
				   THEN 'its replication slot is gone'
			   WHEN m.state IN ('begun', 'ready', 'cut') AND m.is_source AND NOT s.active
				   THEN 'the target is not connected'
			   WHEN m.state IN ('begun', 'ready') AND NOT m.is_source AND u.oid IS NULL
				   THEN 'its subscription is gone'
			   WHEN m.state IN ('begun', 'ready') AND NOT u.subenabled
				   THEN 'its subscription is disabled'
			   WHEN m.state IN ('begun', 'ready') AND e.apply_error_count + e.sync_error_count > 0
				   THEN format('its subscription has failed %s times: see the log of this server',
							   e.apply_error_count + e.sync_error_count)
			   WHEN m.state IN ('taken', 'cancelled') AND u.oid IS NOT NULL
				   THEN 'the source has not been told'
			   WHEN m.is_refused AND m.state <> 'cancelled'
				   THEN 'the target has cancelled it'
		   END,
		   kb_next_step(m.move, m.is_source, m.state, m.is_refused)
	FROM shard_move m
	LEFT JOIN pg_replication_slots s
		ON m.is_source AND s.slot_name = 'kbilling_move_' || m.move AND s.database = current_database()
	LEFT JOIN pg_subscription u ON NOT m.is_source AND u.subname = 'kbilling_move_' || m.move
		AND u.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
	LEFT JOIN pg_stat_subscription_stats e ON e.subid = u.oid
	LEFT JOIN LATERAL (
		SELECT count(*) FILTER (WHERE x.srsubstate = 'r')::integer AS copied, count(*)::integer AS tables
		FROM pg_subscription_rel x WHERE x.srsubid = u.oid) r ON u.oid IS NOT NULL
	WHERE m.move = $1 OR $1 IS NULL
	ORDER BY m.begun_at;
END;
COMMENT ON FUNCTION kb_move_status(text) IS
'How far a move has got, or all moves: on this node''s side, its state and since when; how many accounts this node has '
'of the buckets; on the target, how many tables are copied; on the source, how far the target is behind in the log, in '
'bytes; what is wrong, and what is to be done next. Only for the owner of the extension';
/*
 * Who may do what (rules E).
 */

-- Nobody calls these: that a role may is how kb_revoke knows what the role was granted as, whatever else was granted or
-- revoked since.  It is kept where PostgreSQL keeps rights, so it goes with the role, and into a dump.
CREATE FUNCTION kbilling_internal.kb_granted_as_app() RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION kb_granted_as_app() IS 'Marks a role that was granted "app". Part of kb_grant';

CREATE FUNCTION kbilling_internal.kb_granted_as_payments() RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION kb_granted_as_payments() IS 'Marks a role that was granted "payments". Part of kb_grant';

CREATE FUNCTION kbilling_internal.kb_granted_as_support() RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION kb_granted_as_support() IS 'Marks a role that was granted "support". Part of kb_grant';

CREATE FUNCTION kbilling_internal.kb_granted_as_operator() RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION kb_granted_as_operator() IS 'Marks a role that was granted "operator". Part of kb_grant';

CREATE FUNCTION kbilling_internal.kb_granted_as_auditor() RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION kb_granted_as_auditor() IS 'Marks a role that was granted "auditor". Part of kb_grant';

CREATE FUNCTION kbilling_internal.kb_granted_as_tables() RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION kb_granted_as_tables() IS 'Marks a role that was granted "tables". Part of kb_grant';

-- The rights that kb_grant gives, by what a role is granted as; whatever only computes is for everyone.
CREATE VIEW kbilling.role_right WITH (security_invoker) AS
	WITH routine (granted_as, names) AS (
		VALUES ('app', '{kb_create_account,kb_add_member,kb_set_role,kb_remove_member,kb_login,kb_act_as,
						kb_set_tariff,kb_switch_on,kb_switch_off,kb_set_metadata,kb_set_billing_details,
						kb_record_usage,kb_record_usage_batch,kb_record_usage_each,kb_hold_usage,kb_release_usage,kb_buy,
						kb_set_account_alert,kb_drop_account_alert,kb_redeem_code,
						kb_begin_topup,kb_topup_offers,
						kb_balance,kb_access_stage,kb_access,kb_stage_now,kb_access_now,kb_next_now,
						kb_current_usage,kb_available,kb_forecast,kb_amount_for,kb_portal,kb_history,kb_metadata,
						kb_end_account,kb_continue_account,
						kb_set_contact,kb_cancel_closure,kb_take_notices,kb_ack_notice,kb_fail_notice,kb_render_notice}'::text[]),
			   ('payments', '{kb_apply_topup,kb_fail_topup,kb_refund,kb_refund_total,kb_reverse_refund,kb_chargeback,kb_reverse_chargeback,
						kb_unsettled_payments}'),
			   ('support', '{kb_set_account_credit_line,kb_set_account_limit,kb_set_account_alert,kb_drop_account_alert,
						kb_set_discount,kb_redeem_code,kb_available,
						kb_add_member,kb_set_role,kb_remove_member,kb_set_tariff,kb_switch_on,kb_switch_off,kb_set_metadata,
						kb_set_billing_details,kb_apply_topup,kb_fail_topup,kb_unsettled_payments,kb_topup_offers,
						kb_end_account,kb_continue_account,
						kb_set_contact,kb_schedule_closure,kb_restore_account,kb_retry_notice,kb_render_notice,
						kb_defer,kb_refund,kb_refund_total,kb_reverse_refund,kb_chargeback,kb_reverse_chargeback,
						kb_adjust,kb_write_off,kb_reverse,kb_grant_credit,
						kb_balance,kb_access_stage,kb_access,kb_stage_now,kb_access_now,kb_next_now,
						kb_current_usage,kb_forecast,kb_amount_for,kb_portal,kb_history,kb_metadata,
						kb_verify,kb_metrics}'),
			   ('operator', '{kb_create_tariff,kb_create_service,kb_create_payment_method,kb_set_price,kb_set_bonus,kb_set_policy,
						kb_set_credit_line,kb_set_limit,kb_set_alert,kb_drop_alert,
						kb_set_minimum,kb_create_discount_code,kb_drop_discount_code,
						kb_set_template,kb_drop_template,kb_set_name,kb_month_charge,
						kb_sweep,kb_sweep_begin,kb_sweep_step,kb_sweep_end,kb_schedule,kb_unschedule,kb_retry_notice,
						kb_sweep_status,kb_metrics,kb_verify,kb_check,kb_catalogue_digest,kb_node}'),
			   ('auditor', '{kb_available,kb_balance,kb_access_stage,kb_access,kb_stage_now,kb_access_now,kb_next_now,
						kb_current_usage,kb_forecast,kb_amount_for,kb_topup_offers,kb_metadata,
						kb_sweep_status,kb_metrics,kb_verify,kb_check,kb_catalogue_digest,kb_node}'),
			   ('tables', '{kb_guard,kb_meter}')
		UNION ALL
		-- by these kb_revoke knows as what a role has been granted
		SELECT k, ARRAY['kb_granted_as_' || k] FROM unnest('{app,payments,support,operator,auditor,tables}'::text[]) k
	), relation (granted_as, privilege, names) AS (
		VALUES ('app', 'SELECT', '{account_access,tariff,service,price,price_list,bonus_tier,credit_line,usage_limit,tariff_minimum,
						payment_method,catalogue_name,standard_name}'::text[]),
			   ('support', 'SELECT', NULL),
			   ('operator', 'SELECT', '{policy,tariff,service,price,price_list,bonus_tier,credit_line,usage_limit,tariff_minimum,
						payment_method,catalogue_name,standard_name,
						change_log,notice_kind,standard_template,notice_template,sweep_run,sweep_failure,sweep_progress,notice_queue,
						notice,closure_step,discount_code,discount_code_use,purge_table,purge_order,metrics,role_right,shard_bucket}'),
			   ('auditor', 'SELECT', NULL),
			   ('tables', 'REFERENCES', '{account}')
	)
	SELECT r.granted_as, 'EXECUTE' AS privilege, 'ROUTINE' AS kind, p.oid::regprocedure::text AS object
	FROM routine r JOIN pg_proc p ON p.proname = ANY (r.names)
	WHERE p.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace)
		AND (p.prosecdef OR p.prokind = 'p'
			 OR p.proname IN ('kb_guard', 'kb_schedule', 'kb_unschedule', 'kb_stage_now', 'kb_access_now')
			 OR p.proname LIKE 'kb\_granted\_as\_%')
	UNION ALL
	SELECT r.granted_as, r.privilege, 'TABLE', c.oid::regclass::text
	FROM relation r JOIN pg_class c ON r.names IS NULL OR c.relname = ANY (r.names)
	WHERE c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND c.relkind IN ('r', 'v');
COMMENT ON VIEW kbilling.role_right IS 'What kb_grant gives: a row for each right';
COMMENT ON COLUMN kbilling.role_right.granted_as IS '"app", "payments", "support", "operator", "auditor" or "tables"';
COMMENT ON COLUMN kbilling.role_right.privilege IS '"EXECUTE", "SELECT", "INSERT", "UPDATE", "DELETE" or "REFERENCES"';
COMMENT ON COLUMN kbilling.role_right.kind IS '"ROUTINE" or "TABLE", as GRANT calls it; a view is a "TABLE"';
COMMENT ON COLUMN kbilling.role_right.object IS 'The function, procedure, table or view';

CREATE FUNCTION kbilling_internal.kb_rights_of(role regrole) RETURNS jsonb
	LANGUAGE sql STABLE
RETURN (SELECT jsonb_build_object('rights', coalesce(jsonb_agg(g.granted_as ORDER BY g.granted_as), '[]'))
		FROM (SELECT substr(p.proname, length('kb_granted_as_') + 1) AS granted_as
			  FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) x
			  WHERE p.pronamespace = 'kbilling_internal'::regnamespace AND starts_with(p.proname, 'kb_granted_as_') AND x.grantee = $1) g);
COMMENT ON FUNCTION kb_rights_of(regrole) IS 'The rights that kb_grant gave a role, as the log shows them (J9)';

CREATE FUNCTION kbilling.kb_grant(role regrole, rights text) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_grant';
COMMENT ON FUNCTION kbilling.kb_grant(regrole, text) IS
'Gives a role the rights "app", "payments", "support", "operator", "auditor" or "tables", as kbilling.role_right lists '
'them, and no others (E6). Call it again after an upgrade, for what has been added; what was revoked by hand of the '
'same rights is then given again. Only for the owner of the extension. '
'Errors: 22023 for any other rights';

CREATE FUNCTION kbilling.kb_revoke(role regrole, rights text) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_revoke';
COMMENT ON FUNCTION kbilling.kb_revoke(regrole, text) IS
'Takes back rights that kb_grant gave, except what is also part of other rights that kb_grant gave the role. Only for '
'the owner of the extension. '
'Errors: 22023 for any other rights';

CREATE FUNCTION kbilling_internal.kb_carry_rights(old_routine regprocedure, new_routine regprocedure) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_carry_rights';
COMMENT ON FUNCTION kbilling_internal.kb_carry_rights(regprocedure, regprocedure) IS
'For scripts that update the extension: gives the rights that roles have on a routine, whoever granted them, on the one that takes its '
'place, and no others. Errors: 22004';

-- A function is closed until it is listed here, or in role_right: one that is added to the script needs nothing to be safe.
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA kbilling, kbilling_internal FROM PUBLIC;

-- What computes from its arguments: types and their operators, prices, stages.
GRANT EXECUTE ON ROUTINE
	kb_money, kb_amount, kb_currency, kb_minor, kb_minor_units, kb_max_minor,
	abs(kb_money), sum(kb_money), avg(kb_money), min(kb_money), max(kb_money),
	kb_money_in, kb_money_out, kb_money_recv, kb_money_send, kb_money_add, kb_money_sub, kb_money_neg, kb_money_mul_numeric,
	numeric_mul_kb_money, kb_money_div_numeric, kb_money_div, kb_money_eq, kb_money_ne, kb_money_lt, kb_money_le, kb_money_gt, kb_money_ge,
	kb_money_eq_numeric, kb_money_ne_numeric, kb_money_lt_numeric, kb_money_le_numeric, kb_money_gt_numeric, kb_money_ge_numeric,
	numeric_eq_kb_money, numeric_ne_kb_money, numeric_lt_kb_money, numeric_le_kb_money, numeric_gt_kb_money, numeric_ge_kb_money,
	kb_money_cmp, kb_money_sortsupport, kb_money_hash, kb_money_hash_extended, kb_money_accum, kb_money_accum_inv, kb_money_combine,
	kb_money_serialize, kb_money_deserialize, kb_money_sum, kb_money_avg, kb_money_smaller, kb_money_larger, kb_is_amount,
	kb_lines_in, kb_lines_out, kb_lines_recv, kb_lines_send, kb_lines_eq, kb_lines_ne, kb_lines_hash, kb_lines_to_jsonb,
	kb_lines_from_jsonb, kb_line_rows,
	kb_price_in, kb_price_out, kb_price_recv, kb_price_send, kb_price_eq, kb_price_ne, kb_price_hash, kb_price_hash_extended,
	kb_rate, kb_rate_days, kb_explain_price, kb_require_price_range, kb_has_minimum, kb_standard_phrases, kb_price_steps, kb_line_steps,
	kb_describe_price, kb_explain_line, kb_shown_reference,
	kb_has_card_number(text), kb_has_card_number(jsonb), kb_mask_card_numbers, kb_reference, kb_reference_id,
	kb_refuse_card_number(text), kb_refuse_card_number(jsonb),
	kb_month_first_day, kb_month_last_day, kb_local_date, kb_account_date, kb_day_begins, kb_time_zone, kb_is_language, kb_is_email,
	kb_utf8, kb_format_message,
	kb_access_stage(date, date), kb_access_stage(date, date, policy), kb_standard_day, kb_stage, kb_next_stage_on, kb_stage_changes_on,
	kb_access_for, kb_may_close_on, kb_walk_ahead,
	kb_next_reminder, kb_charge_due_on, kb_billed_until, kb_charge_effective_on, kb_standard_methods, kb_bonus, kb_bonus_after,
	kb_debt_since, kb_stage_check_on,
	kb_lots_after, kb_lots_less, kb_lots_move, kb_expired_lots, kb_lots_may_expire, kb_kept, kb_credit_check_on,
	kb_closure_check_on, kb_amount_due, kb_exchange_rate, kb_entry_hash, kb_bill, kb_bill_add, kb_bill_final, kb_bill_entries,
	kb_usage_day, kb_usage_value, kb_usage_is_priced, kb_refuse_unpriced, kb_topup_parts,
	kb_lines_total, kb_max_tries, kb_shard, kb_raise, kb_require_not_null
	TO PUBLIC;

-- What is of the caller's own transaction.
GRANT EXECUTE ON ROUTINE kb_now, kb_acting_account, kb_acting_member, kb_can_use, kb_can_use_support, kb_is_owned_support TO PUBLIC;

-- What views are made of: it reads with the rights of its caller, who has them on the tables or gets nothing.
GRANT EXECUTE ON ROUTINE
	kb_price_list, kb_price_on, kb_next_price_on, kb_price_change_on, kb_require_tariff, kb_require_service, kb_require_price,
	kb_require_settings, kb_has_settings, kb_require_account, kb_require_open, kb_is_owned, kb_require_readable,
	kb_require_notice, kb_today, kb_tariff_on, kb_policy_on, kb_template, kb_stage_changes, kb_stage_at, kb_notice_facts, kb_recipients,
	kb_last_revision, kb_take_back_price, kb_level_of_events, kb_usage_level, kb_unbilled_usage, kb_has_unbilled,
	kb_paced_usage, kb_minimums,
	kb_days_held, kb_last_prorate, kb_held, kb_discount_terms, kb_minimum_terms, kb_bill_terms,
	kb_late_terms, kb_with_terms, kb_bill_for,
	kb_charges, kb_charges_ahead, kb_last_activity, kb_closure_terms, kb_policies_ahead, kb_terms_changes, kb_require_forecast, kb_timeline,
	kb_bills_ahead, kb_running_days, kb_owed_through, kb_owed_before, kb_expiries_ahead, kb_lots_back, kb_has_expired,
	kb_planned_stage, kb_next_stage, kb_standing_ahead, kb_standing_then
	TO PUBLIC;

-- The names alone: a role that may call a function of kbilling_internal has to find it.
GRANT USAGE ON SCHEMA kbilling_internal TO PUBLIC;
