/*
 * The month charge: what is due, and the running month.
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

CREATE FUNCTION kbilling_internal.kb_charges(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, charged_through date, terms_version integer, period date, last_day date,
				   effective_on date, key text, total kb_money, lines kb_lines, entries integer,
				   today date, remind_day integer, restrict_day integer, block_day integer)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.account_id, a.charged_through, a.terms_version, d.period, d.last_day,
		   kb_charge_effective_on(d.today, p.debt_counts_from, d.due_on),
		   'kb:charge:' || to_char(d.period, 'YYYY-MM-DD'),
		   b.total, b.lines, kb_bill_entries(b.total, b.lines),
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
	WHERE a.state IN ('active', 'closing') AND d.due_on <= d.today;	-- D5, C1
END;
COMMENT ON FUNCTION kb_charges(bigint[], timestamptz) IS
'The charge of each account''s oldest period that is not charged, if that has ended by the moment in the account''s '
'time zone, or the contract has (C1, C4, X2). The column "entries" is 0 if it comes to nothing (C8)';

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
