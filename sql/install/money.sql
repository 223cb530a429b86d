-- kb_money: an exact amount in one currency (rules M1 to M4).

CREATE TYPE kbilling.kb_money;

CREATE FUNCTION kbilling.kb_money_in(cstring) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_in(cstring) IS
	'Reads 19.00 USD or USD 19; error 22P02 on anything else and on decimals that the currency does not have, 22023 on an unknown currency, 22003 out of range (M1, M2)';

CREATE FUNCTION kbilling.kb_money_out(kbilling.kb_money) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_out(kbilling.kb_money) IS
	'Writes 19.00 USD, with all decimals of the currency (M2)';

CREATE FUNCTION kbilling.kb_money_recv(internal) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_recv(internal) IS
	'Receives the ISO 4217 number (int16) and the count of minor units (int64); error 22P03 on an unknown currency, 22003 out of range (M1)';

CREATE FUNCTION kbilling.kb_money_send(kbilling.kb_money) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_send(kbilling.kb_money) IS
	'Sends the ISO 4217 number (int16) and the count of minor units (int64)';

CREATE TYPE kbilling.kb_money (
	INPUT = kbilling.kb_money_in,
	OUTPUT = kbilling.kb_money_out,
	RECEIVE = kbilling.kb_money_recv,
	SEND = kbilling.kb_money_send,
	LIKE = bigint
);
COMMENT ON TYPE kbilling.kb_money IS
	'Exact amount in one ISO 4217 currency, as a count of its minor units within +-(2^53 - 1) (M1)';

-- Parts

CREATE FUNCTION kbilling.kb_money(amount numeric, currency text) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money(numeric, text) IS
	'The amount, in major units, as money; error 22023 if the currency is unknown or has fewer decimals than the amount needs, 22003 out of range, NaN or infinite (M1, M2)';

CREATE FUNCTION kbilling.kb_amount(amount kbilling.kb_money) RETURNS numeric
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_amount(kbilling.kb_money) IS
	'The amount in major units, with the currency''s decimals';

CREATE FUNCTION kbilling.kb_currency(amount kbilling.kb_money) RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_currency(kbilling.kb_money) IS
	'The three letters of the currency';

CREATE FUNCTION kbilling.kb_minor(amount kbilling.kb_money) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_minor(kbilling.kb_money) IS
	'The count of minor units: cents of USD, yen of JPY';

CREATE FUNCTION kbilling.kb_minor_units(currency text) RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_minor_units(text) IS
	'Decimals of the currency by ISO 4217: 2 for USD, 0 for JPY; NULL for a code that counts no money, such as XAU; error 22023 if unknown';

CREATE CAST (kbilling.kb_money AS numeric) WITH FUNCTION kbilling.kb_amount(kbilling.kb_money);
COMMENT ON CAST (kbilling.kb_money AS numeric) IS
	'The amount in major units; explicit only, as it drops the currency';

-- Arithmetic

CREATE FUNCTION kbilling.kb_money_add(kbilling.kb_money, kbilling.kb_money) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_add(kbilling.kb_money, kbilling.kb_money) IS
	'Sum of two amounts; error KB002 in two currencies, 22003 out of range (M3)';

CREATE OPERATOR kbilling.+ (
	FUNCTION = kbilling.kb_money_add, LEFTARG = kbilling.kb_money, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.+)
);
COMMENT ON OPERATOR kbilling.+ (kbilling.kb_money, kbilling.kb_money) IS
	'Sum of two amounts; error KB002 in two currencies, 22003 out of range (M3)';

CREATE FUNCTION kbilling.kb_money_sub(kbilling.kb_money, kbilling.kb_money) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_sub(kbilling.kb_money, kbilling.kb_money) IS
	'Difference of two amounts; error KB002 in two currencies, 22003 out of range (M3)';

CREATE OPERATOR kbilling.- (
	FUNCTION = kbilling.kb_money_sub, LEFTARG = kbilling.kb_money, RIGHTARG = kbilling.kb_money
);
COMMENT ON OPERATOR kbilling.- (kbilling.kb_money, kbilling.kb_money) IS
	'Difference of two amounts; error KB002 in two currencies, 22003 out of range (M3)';

CREATE FUNCTION kbilling.kb_money_neg(kbilling.kb_money) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_neg(kbilling.kb_money) IS
	'The amount with the opposite sign';

CREATE OPERATOR kbilling.- (
	FUNCTION = kbilling.kb_money_neg, RIGHTARG = kbilling.kb_money
);
COMMENT ON OPERATOR kbilling.- (NONE, kbilling.kb_money) IS
	'The amount with the opposite sign';

CREATE FUNCTION kbilling.kb_money_mul_numeric(kbilling.kb_money, numeric) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_mul_numeric(kbilling.kb_money, numeric) IS
	'Amount times number, rounded half away from zero to the minor unit; error 22003 out of range, NaN or infinite (M3, M4)';

CREATE OPERATOR kbilling.* (
	FUNCTION = kbilling.kb_money_mul_numeric, LEFTARG = kbilling.kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.*)
);
COMMENT ON OPERATOR kbilling.* (kbilling.kb_money, numeric) IS
	'Amount times number, rounded half away from zero to the minor unit; error 22003 out of range, NaN or infinite (M3, M4)';

CREATE FUNCTION kbilling.numeric_mul_kb_money(numeric, kbilling.kb_money) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.numeric_mul_kb_money(numeric, kbilling.kb_money) IS
	'Number times amount, rounded half away from zero to the minor unit; error 22003 out of range, NaN or infinite (M3, M4)';

CREATE OPERATOR kbilling.* (
	FUNCTION = kbilling.numeric_mul_kb_money, LEFTARG = numeric, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.*)
);
COMMENT ON OPERATOR kbilling.* (numeric, kbilling.kb_money) IS
	'Number times amount, rounded half away from zero to the minor unit; error 22003 out of range, NaN or infinite (M3, M4)';

CREATE FUNCTION kbilling.kb_money_div_numeric(kbilling.kb_money, numeric) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_div_numeric(kbilling.kb_money, numeric) IS
	'Amount by number, rounded half away from zero to the minor unit; error 22012 by zero, 22003 out of range, NaN or infinite (M3, M4)';

CREATE OPERATOR kbilling./ (
	FUNCTION = kbilling.kb_money_div_numeric, LEFTARG = kbilling.kb_money, RIGHTARG = numeric
);
COMMENT ON OPERATOR kbilling./ (kbilling.kb_money, numeric) IS
	'Amount by number, rounded half away from zero to the minor unit; error 22012 by zero, 22003 out of range, NaN or infinite (M3, M4)';

CREATE FUNCTION kbilling.kb_money_div(kbilling.kb_money, kbilling.kb_money) RETURNS numeric
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_div(kbilling.kb_money, kbilling.kb_money) IS
	'Ratio of two amounts; error KB002 in two currencies, 22012 by zero (M3)';

CREATE OPERATOR kbilling./ (
	FUNCTION = kbilling.kb_money_div, LEFTARG = kbilling.kb_money, RIGHTARG = kbilling.kb_money
);
COMMENT ON OPERATOR kbilling./ (kbilling.kb_money, kbilling.kb_money) IS
	'Ratio of two amounts; error KB002 in two currencies, 22012 by zero (M3)';

CREATE FUNCTION kbilling.abs(kbilling.kb_money) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME', 'kb_money_abs' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.abs(kbilling.kb_money) IS
	'The amount without its sign';

-- Order: currency first, by ISO 4217 number, then amount (M3).  Against a number,
-- the amount alone counts; that is another order, so it has no place in the
-- operator classes and its = neither hashes nor merges.

CREATE FUNCTION kbilling.kb_money_eq(kbilling.kb_money, kbilling.kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_eq(kbilling.kb_money, kbilling.kb_money) IS
	'Are currency and amount the same? (M3)';

CREATE OPERATOR kbilling.= (
	FUNCTION = kbilling.kb_money_eq, LEFTARG = kbilling.kb_money, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.=), NEGATOR = OPERATOR(kbilling.<>),
	RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR kbilling.= (kbilling.kb_money, kbilling.kb_money) IS
	'Are currency and amount the same? (M3)';

CREATE FUNCTION kbilling.kb_money_ne(kbilling.kb_money, kbilling.kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_ne(kbilling.kb_money, kbilling.kb_money) IS
	'Do currency or amount differ? (M3)';

CREATE OPERATOR kbilling.<> (
	FUNCTION = kbilling.kb_money_ne, LEFTARG = kbilling.kb_money, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.<>), NEGATOR = OPERATOR(kbilling.=),
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR kbilling.<> (kbilling.kb_money, kbilling.kb_money) IS
	'Do currency or amount differ? (M3)';

CREATE FUNCTION kbilling.kb_money_lt(kbilling.kb_money, kbilling.kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_lt(kbilling.kb_money, kbilling.kb_money) IS
	'Is the first one less, by currency, then amount? (M3)';

CREATE OPERATOR kbilling.< (
	FUNCTION = kbilling.kb_money_lt, LEFTARG = kbilling.kb_money, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.>), NEGATOR = OPERATOR(kbilling.>=),
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR kbilling.< (kbilling.kb_money, kbilling.kb_money) IS
	'Is the first one less, by currency, then amount? (M3)';

CREATE FUNCTION kbilling.kb_money_le(kbilling.kb_money, kbilling.kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_le(kbilling.kb_money, kbilling.kb_money) IS
	'Is the first one less or equal, by currency, then amount? (M3)';

CREATE OPERATOR kbilling.<= (
	FUNCTION = kbilling.kb_money_le, LEFTARG = kbilling.kb_money, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.>=), NEGATOR = OPERATOR(kbilling.>),
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR kbilling.<= (kbilling.kb_money, kbilling.kb_money) IS
	'Is the first one less or equal, by currency, then amount? (M3)';

CREATE FUNCTION kbilling.kb_money_gt(kbilling.kb_money, kbilling.kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_gt(kbilling.kb_money, kbilling.kb_money) IS
	'Is the first one greater, by currency, then amount? (M3)';

CREATE OPERATOR kbilling.> (
	FUNCTION = kbilling.kb_money_gt, LEFTARG = kbilling.kb_money, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.<), NEGATOR = OPERATOR(kbilling.<=),
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR kbilling.> (kbilling.kb_money, kbilling.kb_money) IS
	'Is the first one greater, by currency, then amount? (M3)';

CREATE FUNCTION kbilling.kb_money_ge(kbilling.kb_money, kbilling.kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_ge(kbilling.kb_money, kbilling.kb_money) IS
	'Is the first one greater or equal, by currency, then amount? (M3)';

CREATE OPERATOR kbilling.>= (
	FUNCTION = kbilling.kb_money_ge, LEFTARG = kbilling.kb_money, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.<=), NEGATOR = OPERATOR(kbilling.<),
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR kbilling.>= (kbilling.kb_money, kbilling.kb_money) IS
	'Is the first one greater or equal, by currency, then amount? (M3)';

CREATE FUNCTION kbilling.kb_money_eq_numeric(kbilling.kb_money, numeric) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_eq_numeric(kbilling.kb_money, numeric) IS
	'Is the amount, in major units of whatever currency, equal? NaN is above all. (M3)';

CREATE OPERATOR kbilling.= (
	FUNCTION = kbilling.kb_money_eq_numeric, LEFTARG = kbilling.kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.=), NEGATOR = OPERATOR(kbilling.<>),
	RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR kbilling.= (kbilling.kb_money, numeric) IS
	'Is the amount, in major units of whatever currency, equal? NaN is above all. (M3)';

CREATE FUNCTION kbilling.kb_money_ne_numeric(kbilling.kb_money, numeric) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_ne_numeric(kbilling.kb_money, numeric) IS
	'Is the amount, in major units of whatever currency, not equal? NaN is above all. (M3)';

CREATE OPERATOR kbilling.<> (
	FUNCTION = kbilling.kb_money_ne_numeric, LEFTARG = kbilling.kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.<>), NEGATOR = OPERATOR(kbilling.=),
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR kbilling.<> (kbilling.kb_money, numeric) IS
	'Is the amount, in major units of whatever currency, not equal? NaN is above all. (M3)';

CREATE FUNCTION kbilling.kb_money_lt_numeric(kbilling.kb_money, numeric) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_lt_numeric(kbilling.kb_money, numeric) IS
	'Is the amount, in major units of whatever currency, less? NaN is above all. (M3)';

CREATE OPERATOR kbilling.< (
	FUNCTION = kbilling.kb_money_lt_numeric, LEFTARG = kbilling.kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.>), NEGATOR = OPERATOR(kbilling.>=),
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR kbilling.< (kbilling.kb_money, numeric) IS
	'Is the amount, in major units of whatever currency, less? NaN is above all. (M3)';

CREATE FUNCTION kbilling.kb_money_le_numeric(kbilling.kb_money, numeric) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_le_numeric(kbilling.kb_money, numeric) IS
	'Is the amount, in major units of whatever currency, less or equal? NaN is above all. (M3)';

CREATE OPERATOR kbilling.<= (
	FUNCTION = kbilling.kb_money_le_numeric, LEFTARG = kbilling.kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.>=), NEGATOR = OPERATOR(kbilling.>),
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR kbilling.<= (kbilling.kb_money, numeric) IS
	'Is the amount, in major units of whatever currency, less or equal? NaN is above all. (M3)';

CREATE FUNCTION kbilling.kb_money_gt_numeric(kbilling.kb_money, numeric) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_gt_numeric(kbilling.kb_money, numeric) IS
	'Is the amount, in major units of whatever currency, greater? NaN is above all. (M3)';

CREATE OPERATOR kbilling.> (
	FUNCTION = kbilling.kb_money_gt_numeric, LEFTARG = kbilling.kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.<), NEGATOR = OPERATOR(kbilling.<=),
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR kbilling.> (kbilling.kb_money, numeric) IS
	'Is the amount, in major units of whatever currency, greater? NaN is above all. (M3)';

CREATE FUNCTION kbilling.kb_money_ge_numeric(kbilling.kb_money, numeric) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_ge_numeric(kbilling.kb_money, numeric) IS
	'Is the amount, in major units of whatever currency, greater or equal? NaN is above all. (M3)';

CREATE OPERATOR kbilling.>= (
	FUNCTION = kbilling.kb_money_ge_numeric, LEFTARG = kbilling.kb_money, RIGHTARG = numeric,
	COMMUTATOR = OPERATOR(kbilling.<=), NEGATOR = OPERATOR(kbilling.<),
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR kbilling.>= (kbilling.kb_money, numeric) IS
	'Is the amount, in major units of whatever currency, greater or equal? NaN is above all. (M3)';

CREATE FUNCTION kbilling.numeric_eq_kb_money(numeric, kbilling.kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.numeric_eq_kb_money(numeric, kbilling.kb_money) IS
	'Is the number equal, against the amount in major units of whatever currency? NaN is above all. (M3)';

CREATE OPERATOR kbilling.= (
	FUNCTION = kbilling.numeric_eq_kb_money, LEFTARG = numeric, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.=), NEGATOR = OPERATOR(kbilling.<>),
	RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR kbilling.= (numeric, kbilling.kb_money) IS
	'Is the number equal, against the amount in major units of whatever currency? NaN is above all. (M3)';

CREATE FUNCTION kbilling.numeric_ne_kb_money(numeric, kbilling.kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.numeric_ne_kb_money(numeric, kbilling.kb_money) IS
	'Is the number not equal, against the amount in major units of whatever currency? NaN is above all. (M3)';

CREATE OPERATOR kbilling.<> (
	FUNCTION = kbilling.numeric_ne_kb_money, LEFTARG = numeric, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.<>), NEGATOR = OPERATOR(kbilling.=),
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR kbilling.<> (numeric, kbilling.kb_money) IS
	'Is the number not equal, against the amount in major units of whatever currency? NaN is above all. (M3)';

CREATE FUNCTION kbilling.numeric_lt_kb_money(numeric, kbilling.kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.numeric_lt_kb_money(numeric, kbilling.kb_money) IS
	'Is the number less, against the amount in major units of whatever currency? NaN is above all. (M3)';

CREATE OPERATOR kbilling.< (
	FUNCTION = kbilling.numeric_lt_kb_money, LEFTARG = numeric, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.>), NEGATOR = OPERATOR(kbilling.>=),
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR kbilling.< (numeric, kbilling.kb_money) IS
	'Is the number less, against the amount in major units of whatever currency? NaN is above all. (M3)';

CREATE FUNCTION kbilling.numeric_le_kb_money(numeric, kbilling.kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.numeric_le_kb_money(numeric, kbilling.kb_money) IS
	'Is the number less or equal, against the amount in major units of whatever currency? NaN is above all. (M3)';

CREATE OPERATOR kbilling.<= (
	FUNCTION = kbilling.numeric_le_kb_money, LEFTARG = numeric, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.>=), NEGATOR = OPERATOR(kbilling.>),
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR kbilling.<= (numeric, kbilling.kb_money) IS
	'Is the number less or equal, against the amount in major units of whatever currency? NaN is above all. (M3)';

CREATE FUNCTION kbilling.numeric_gt_kb_money(numeric, kbilling.kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.numeric_gt_kb_money(numeric, kbilling.kb_money) IS
	'Is the number greater, against the amount in major units of whatever currency? NaN is above all. (M3)';

CREATE OPERATOR kbilling.> (
	FUNCTION = kbilling.numeric_gt_kb_money, LEFTARG = numeric, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.<), NEGATOR = OPERATOR(kbilling.<=),
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR kbilling.> (numeric, kbilling.kb_money) IS
	'Is the number greater, against the amount in major units of whatever currency? NaN is above all. (M3)';

CREATE FUNCTION kbilling.numeric_ge_kb_money(numeric, kbilling.kb_money) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.numeric_ge_kb_money(numeric, kbilling.kb_money) IS
	'Is the number greater or equal, against the amount in major units of whatever currency? NaN is above all. (M3)';

CREATE OPERATOR kbilling.>= (
	FUNCTION = kbilling.numeric_ge_kb_money, LEFTARG = numeric, RIGHTARG = kbilling.kb_money,
	COMMUTATOR = OPERATOR(kbilling.<=), NEGATOR = OPERATOR(kbilling.<),
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR kbilling.>= (numeric, kbilling.kb_money) IS
	'Is the number greater or equal, against the amount in major units of whatever currency? NaN is above all. (M3)';

CREATE FUNCTION kbilling.kb_money_cmp(kbilling.kb_money, kbilling.kb_money) RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_cmp(kbilling.kb_money, kbilling.kb_money) IS
	'-1, 0 or 1: order by currency, then amount (M3)';

CREATE FUNCTION kbilling.kb_money_sortsupport(internal) RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_sortsupport(internal) IS
	'Fast path of sorting';

CREATE FUNCTION kbilling.kb_money_hash(kbilling.kb_money) RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_hash(kbilling.kb_money) IS
	'Hash of currency and amount';

CREATE FUNCTION kbilling.kb_money_hash_extended(kbilling.kb_money, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_hash_extended(kbilling.kb_money, bigint) IS
	'Hash of currency and amount, with a seed';

CREATE OPERATOR CLASS kbilling.kb_money_ops
	DEFAULT FOR TYPE kbilling.kb_money USING btree AS
		OPERATOR 1 kbilling.<,
		OPERATOR 2 kbilling.<=,
		OPERATOR 3 kbilling.=,
		OPERATOR 4 kbilling.>=,
		OPERATOR 5 kbilling.>,
		FUNCTION 1 kbilling.kb_money_cmp(kbilling.kb_money, kbilling.kb_money),
		FUNCTION 2 kbilling.kb_money_sortsupport(internal),
		FUNCTION 4 pg_catalog.btequalimage(oid);
COMMENT ON OPERATOR CLASS kbilling.kb_money_ops USING btree IS
	'Order by currency, then amount (M3)';

CREATE OPERATOR CLASS kbilling.kb_money_ops
	DEFAULT FOR TYPE kbilling.kb_money USING hash AS
		OPERATOR 1 kbilling.=,
		FUNCTION 1 kbilling.kb_money_hash(kbilling.kb_money),
		FUNCTION 2 kbilling.kb_money_hash_extended(kbilling.kb_money, bigint);
COMMENT ON OPERATOR CLASS kbilling.kb_money_ops USING hash IS
	'Equality of currency and amount (M3)';

-- Aggregates.  min() and max() have no SORTOP: taken from the end of an index
-- they would not see that there are two currencies.

CREATE FUNCTION kbilling.kb_money_accum(internal, kbilling.kb_money) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_accum(internal, kbilling.kb_money) IS
	'Step of sum() and avg(); error KB002 on a second currency (M3)';

CREATE FUNCTION kbilling.kb_money_accum_inv(internal, kbilling.kb_money) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_accum_inv(internal, kbilling.kb_money) IS
	'Step back of sum() and avg(), for a window that moves';

CREATE FUNCTION kbilling.kb_money_combine(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_combine(internal, internal) IS
	'Joins the states of two workers; error KB002 on a second currency (M3)';

CREATE FUNCTION kbilling.kb_money_serialize(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_serialize(internal) IS
	'State of sum() and avg(), from a worker';

CREATE FUNCTION kbilling.kb_money_deserialize(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_deserialize(bytea, internal) IS
	'State of sum() and avg(), from a worker';

CREATE FUNCTION kbilling.kb_money_sum(internal) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_sum(internal) IS
	'End of sum(); error 22003 out of range (M1)';

CREATE FUNCTION kbilling.kb_money_avg(internal) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_avg(internal) IS
	'End of avg(), rounded half away from zero to the minor unit (M4)';

CREATE FUNCTION kbilling.kb_money_smaller(kbilling.kb_money, kbilling.kb_money) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_smaller(kbilling.kb_money, kbilling.kb_money) IS
	'The smaller amount; error KB002 in two currencies (M3)';

CREATE FUNCTION kbilling.kb_money_larger(kbilling.kb_money, kbilling.kb_money) RETURNS kbilling.kb_money
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kbilling.kb_money_larger(kbilling.kb_money, kbilling.kb_money) IS
	'The larger amount; error KB002 in two currencies (M3)';

CREATE AGGREGATE kbilling.sum(kbilling.kb_money) (
	SFUNC = kbilling.kb_money_accum, STYPE = internal, SSPACE = 48,
	FINALFUNC = kbilling.kb_money_sum,
	COMBINEFUNC = kbilling.kb_money_combine,
	SERIALFUNC = kbilling.kb_money_serialize, DESERIALFUNC = kbilling.kb_money_deserialize,
	MSFUNC = kbilling.kb_money_accum, MINVFUNC = kbilling.kb_money_accum_inv,
	MSTYPE = internal, MSSPACE = 48, MFINALFUNC = kbilling.kb_money_sum,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE kbilling.sum(kbilling.kb_money) IS
	'Sum of the amounts that are not NULL, NULL if there is none; error KB002 in two currencies, 22003 out of range (M3)';

CREATE AGGREGATE kbilling.avg(kbilling.kb_money) (
	SFUNC = kbilling.kb_money_accum, STYPE = internal, SSPACE = 48,
	FINALFUNC = kbilling.kb_money_avg,
	COMBINEFUNC = kbilling.kb_money_combine,
	SERIALFUNC = kbilling.kb_money_serialize, DESERIALFUNC = kbilling.kb_money_deserialize,
	MSFUNC = kbilling.kb_money_accum, MINVFUNC = kbilling.kb_money_accum_inv,
	MSTYPE = internal, MSSPACE = 48, MFINALFUNC = kbilling.kb_money_avg,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE kbilling.avg(kbilling.kb_money) IS
	'Mean of the amounts that are not NULL, rounded half away from zero to the minor unit, NULL if there is none; error KB002 in two currencies (M3, M4)';

CREATE AGGREGATE kbilling.min(kbilling.kb_money) (
	SFUNC = kbilling.kb_money_smaller, STYPE = kbilling.kb_money,
	COMBINEFUNC = kbilling.kb_money_smaller, PARALLEL = SAFE
);
COMMENT ON AGGREGATE kbilling.min(kbilling.kb_money) IS
	'Smallest of the amounts that are not NULL, NULL if there is none; error KB002 in two currencies (M3)';

CREATE AGGREGATE kbilling.max(kbilling.kb_money) (
	SFUNC = kbilling.kb_money_larger, STYPE = kbilling.kb_money,
	COMBINEFUNC = kbilling.kb_money_larger, PARALLEL = SAFE
);
COMMENT ON AGGREGATE kbilling.max(kbilling.kb_money) IS
	'Largest of the amounts that are not NULL, NULL if there is none; error KB002 in two currencies (M3)';
