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
