/*
 * The month charge: what is billable, the bill of a period, what is due.
 */

CREATE VIEW kbilling.billable_part WITH (security_invoker) AS
	SELECT t.account_id, p.service,
		   greatest(t.from_date, p.from_date) AS from_date,
		   least(t.to_date, p.to_date) AS to_date,
		   1::numeric AS quantity, p.price, p.prorate
	FROM kbilling.account_tariff t
	JOIN kbilling.price p ON p.tariff = t.tariff AND p.service = 'base'
		AND p.from_date < t.to_date AND p.to_date > t.from_date
	UNION ALL
	SELECT s.account_id, s.service,
		   greatest(s.from_date, t.from_date, p.from_date),
		   least(s.to_date, t.to_date, p.to_date),
		   s.quantity, p.price, p.prorate
	FROM kbilling.subscription s
	JOIN kbilling.account_tariff t ON t.account_id = s.account_id
		AND t.from_date < s.to_date AND t.to_date > s.from_date
	JOIN kbilling.price p ON p.tariff = t.tariff AND p.service = s.service
		AND p.from_date < least(s.to_date, t.to_date) AND p.to_date > greatest(s.from_date, t.from_date);
COMMENT ON VIEW kbilling.billable_part IS 'What each account has had, or will have, at which price: one row for each part in which nothing changes (C2, C3)';
COMMENT ON COLUMN kbilling.billable_part.account_id IS 'The account';
COMMENT ON COLUMN kbilling.billable_part.service IS 'The service; "base" for the base fee';
COMMENT ON COLUMN kbilling.billable_part.from_date IS 'First day of the part';
COMMENT ON COLUMN kbilling.billable_part.to_date IS 'The day after its last';
COMMENT ON COLUMN kbilling.billable_part.quantity IS 'How many units were on';
COMMENT ON COLUMN kbilling.billable_part.price IS 'The price that holds in it';
COMMENT ON COLUMN kbilling.billable_part.prorate IS 'Whether a part of a month costs its part of the price';

CREATE TYPE kbilling.kb_bill_result AS (total kbilling.kb_money, lines jsonb);
COMMENT ON TYPE kbilling.kb_bill_result IS 'What an account owes for a period, and the lines that it is the sum of';

CREATE FUNCTION kbilling.kb_bill_add(state internal, service text, from_date date, to_date date, quantity numeric,
									 price kbilling.kb_price, prorate boolean,
									 currency text, first_day date, last_day date)
	RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_bill_add';
COMMENT ON FUNCTION kbilling.kb_bill_add(internal, text, date, date, numeric, kbilling.kb_price, boolean, text, date, date) IS
'Transition function of kb_bill';

CREATE FUNCTION kbilling.kb_bill_final(state internal) RETURNS kbilling.kb_bill_result
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_bill_final';
COMMENT ON FUNCTION kbilling.kb_bill_final(internal) IS 'Final function of kb_bill';

CREATE AGGREGATE kbilling.kb_bill(service text, from_date date, to_date date, quantity numeric,
								  price kbilling.kb_price, prorate boolean,
								  currency text, first_day date, last_day date) (
	SFUNC = kbilling.kb_bill_add,
	STYPE = internal,
	SSPACE = 1024,
	FINALFUNC = kbilling.kb_bill_final,
	FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE kbilling.kb_bill(text, date, date, numeric, kbilling.kb_price, boolean, text, date, date) IS
'The bill of a period from its billable parts: lines in order, each rounded once, and their sum (C2, C3, M4); NULL if there is no part';

CREATE FUNCTION kbilling.kb_bill_for(account_id bigint, currency text, first_day date, last_day date)
	RETURNS TABLE (total kbilling.kb_money, lines jsonb)
	LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
	SELECT coalesce((b.bill).total, kbilling.kb_money(0, $2)), coalesce((b.bill).lines, '[]')
	FROM (SELECT kbilling.kb_bill(p.service, p.from_date, p.to_date, p.quantity, p.price, p.prorate, $2, $3, $4) AS bill
		  FROM kbilling.billable_part p
		  WHERE p.account_id = $1 AND p.from_date <= $4 AND p.to_date > $3) b;
END;
COMMENT ON FUNCTION kbilling.kb_bill_for(bigint, text, date, date) IS
'What the account owes for the days of one month, and the lines: the one rating path of charge, preview and forecast';

CREATE FUNCTION kbilling.kb_charges(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, charged_through date, terms_version integer, period date, last_day date,
				   effective_on date, key text, total kbilling.kb_money, lines jsonb, entries integer)
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT d.account_id, d.charged_through, d.terms_version, d.period, d.last_day,
		   CASE y.debt_counts_from WHEN 'due_date' THEN kbilling.kb_month_first_day(d.today) ELSE d.today END,
		   'kb:charge:' || to_char(d.period, 'YYYY-MM-DD'),
		   b.total, b.lines, CASE WHEN b.total OPERATOR(kbilling.=) 0 THEN 0 ELSE 1 END
	FROM (SELECT a.account_id, a.charged_through, a.terms_version, a.currency,
				 kbilling.kb_month_first_day(a.charged_through + 1) AS period,
				 kbilling.kb_month_last_day(a.charged_through + 1) AS last_day,
				 kbilling.kb_local_date($2, a.time_zone) AS today
		  FROM unnest($1) i (account_id) JOIN kbilling.account a ON a.account_id = i.account_id
		  WHERE a.state IN ('active', 'closing')) d
	JOIN kbilling.account_tariff s ON s.account_id = d.account_id AND s.from_date <= d.today AND s.to_date > d.today
	JOIN kbilling.tariff t ON t.tariff = s.tariff
	JOIN kbilling.policy y ON y.policy = t.policy
	CROSS JOIN LATERAL kbilling.kb_bill_for(d.account_id, d.currency, d.charged_through + 1, d.last_day) b
	WHERE d.last_day < d.today;
END;
COMMENT ON FUNCTION kbilling.kb_charges(bigint[], timestamptz) IS
'The charge of the oldest period of each account, where that has ended by the moment in the account''s time zone (C1, C4); entries is 0 where nothing is due (C8)';

CREATE TYPE kbilling.kb_charge_result AS (
	period    date,
	entry_seq bigint,
	total     kbilling.kb_money,
	balance   kbilling.kb_money,
	stage     kbilling.kb_stage,
	replayed  boolean
);
COMMENT ON TYPE kbilling.kb_charge_result IS 'What kb_month_charge did';
COMMENT ON COLUMN kbilling.kb_charge_result.period IS 'The month charged, by its first day';
COMMENT ON COLUMN kbilling.kb_charge_result.entry_seq IS 'The entry; NULL if nothing was due (C8)';
COMMENT ON COLUMN kbilling.kb_charge_result.total IS 'What was charged, zero or more';
COMMENT ON COLUMN kbilling.kb_charge_result.balance IS 'The balance after it';
COMMENT ON COLUMN kbilling.kb_charge_result.stage IS 'The stage after it, at the moment of the posting';
COMMENT ON COLUMN kbilling.kb_charge_result.replayed IS 'True if the period had been charged before';

CREATE FUNCTION kbilling.kb_month_charge(account_id bigint, period date = NULL) RETURNS kbilling.kb_charge_result
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
	AS 'MODULE_PATHNAME', 'kb_month_charge';
COMMENT ON FUNCTION kbilling.kb_month_charge(bigint, date) IS
'Charges a period that has ended, the oldest that is due unless given; once (C4): a charged one is replayed. KB001, KB010; KB009 for one that has not ended, is not the oldest or is before the account''s first day; 22023 if it is not the first day of a month';

CREATE FUNCTION kbilling.kb_current_usage(account_id bigint)
	RETURNS TABLE (line_no integer, service text, what text, from_date date, to_date date, days integer, days_in_month integer,
				   quantity numeric, unit_price text, amount kbilling.kb_money)
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT kbilling.kb_require_account($1);
	SELECT l.line_no::integer, l.service, l.what, l."from", l."to", l.days, l.days_in_month, l.quantity, l.unit_price, l.amount
	FROM (SELECT a.account_id, a.currency, kbilling.kb_local_date(kbilling.kb_now(), a.time_zone) AS today, a.charged_through
		  FROM kbilling.account a WHERE a.account_id = $1) a
	CROSS JOIN LATERAL kbilling.kb_bill_for(a.account_id, a.currency,
		greatest(kbilling.kb_month_first_day(a.today), a.charged_through + 1), a.today) b
	CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(b.lines) AS (service text, what text, "from" date, "to" date,
		days integer, days_in_month integer, quantity numeric, unit_price text, amount kbilling.kb_money)) WITH ORDINALITY
		AS l (service, what, "from", "to", days, days_in_month, quantity, unit_price, amount, line_no)
	WHERE a.charged_through < a.today;
END;
COMMENT ON FUNCTION kbilling.kb_current_usage(bigint) IS
'The running month''s lines up to and including today, by the code that charges it (C6); KB001 for an unknown account';
