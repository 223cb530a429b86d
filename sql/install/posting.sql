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
