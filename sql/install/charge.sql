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
