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
