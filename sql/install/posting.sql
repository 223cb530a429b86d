/*
 * The rules of a posting, over values: bonus, debt, and the hash of an entry.
 */

CREATE TYPE kbilling.kb_debt_date AS ENUM ('due_date', 'posting_date');
COMMENT ON TYPE kb_debt_date IS
'The day on which a charge takes effect (C5): due_date, the 1st of the month in which it is posted; posting_date, the day of posting';

CREATE FUNCTION kbilling_internal.kb_charge_effective_on(posted_on date, debt_counts_from kb_debt_date) RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE debt_counts_from WHEN 'due_date' THEN kb_month_first_day(posted_on) ELSE posted_on END;
COMMENT ON FUNCTION kb_charge_effective_on(date, kb_debt_date) IS
'The day on which a charge that is posted on a day takes effect (C5)';

CREATE FUNCTION kbilling_internal.kb_bonus_after(bonus kb_money, delta kb_money, balance_after kb_money)
	RETURNS kb_money
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_bonus_after';
COMMENT ON FUNCTION kb_bonus_after(kb_money, kb_money, kb_money) IS
'bonus + delta, kept between nothing and what is on the balance: bonus is spent first (T6)';

CREATE FUNCTION kbilling_internal.kb_debt_since(before date, balance_after kb_money, effective_on date) RETURNS date
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_debt_since';
COMMENT ON FUNCTION kb_debt_since(date, kb_money, date) IS
'Since when there is a debt after an entry (S1): what it was before, or the day on which the entry takes effect; NULL if there is none';

CREATE FUNCTION kbilling_internal.kb_amount_due(balance kb_money) RETURNS kb_money
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest(- balance, balance - balance);
COMMENT ON FUNCTION kb_amount_due(kb_money) IS 'The debt of a balance, zero or more';

CREATE FUNCTION kbilling_internal.kb_entry_hash(
		previous bytea, account_id bigint, seq bigint, kind text,
		amount kb_money, balance_after kb_money, bonus_after kb_money,
		debt_since date, effective_on date, posted_at timestamptz, key text, period date, method text,
		ref_seq bigint, member text, memo text, lines jsonb)
	RETURNS bytea
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_entry_hash';
COMMENT ON FUNCTION kb_entry_hash(bytea, bigint, bigint, text, kb_money, kb_money, kb_money, date, date, timestamptz, text, date, text, bigint, text, text, jsonb) IS
'SHA-256 of an entry and the hash before it (J5); docs/reference.md says over which bytes';
