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
