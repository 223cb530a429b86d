/*
 * What is to come if nothing is paid (S6): standing, stage and access at any
 * moment, the months ahead, and what to pay for them now.
 */

CREATE FUNCTION kbilling_internal.kb_closes_on(account_id bigint) RETURNS date
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
	SELECT a.delete_on FROM account a
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, a.delete_on) p
	WHERE a.account_id = $1 AND a.state = 'closing' AND a.balance <= 0
		AND kb_account_date(a.created_at, a.time_zone) + p.min_age_days < a.delete_on
		AND kb_account_date(kb_last_activity(a.account_id, a.created_at, p.activity), a.time_zone) + p.inactive_days <= a.delete_on
		AND (p.close_unused OR (SELECT s.taken_by FROM closure_step s WHERE s.account_id = a.account_id AND s.step = 'scheduled'
								ORDER BY s.step_no DESC LIMIT 1) <> 'sweep')
);
COMMENT ON FUNCTION kb_closes_on(bigint) IS
'The day on which the account will be deleted if nobody uses it and nothing is paid. NULL if it is not closing, or '
'if something has happened since that will cancel the closure (D4)';

-- Each month is charged when it has ended, and nothing is paid.  With paced, usage goes on at its pace, and the
-- account is not closed.
CREATE FUNCTION kbilling_internal.kb_charges_ahead(account_id bigint, through date, paced boolean)
	RETURNS TABLE (period date, total kb_money, effective_on date, balance kb_money, debt_since date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT m.period, m.total, m.effective_on, m.balance,
		   CASE WHEN m.balance < 0
			   THEN coalesce(m.debt_since, min(m.effective_on) FILTER (WHERE m.balance < 0) OVER (ORDER BY m.period)) END
	FROM (SELECT g.period, b.total, a.debt_since,
				 a.balance - sum(b.total) OVER (ORDER BY g.period) AS balance,
				 kb_charge_effective_on(greatest(g.last_day + 1, d.today), p.debt_counts_from) AS effective_on
		  FROM account a
		  CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today,
									 kb_month_first_day(a.charged_through + 1) AS oldest) d
		  CROSS JOIN LATERAL (SELECT i::date AS period, greatest(i::date, a.charged_through + 1) AS first_day,
									 kb_month_last_day(i::date) AS last_day
							  FROM generate_series(d.oldest::timestamp, $2::timestamp, interval '1 month') i) g
		  CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, g.last_day + 1) p
		  CROSS JOIN LATERAL kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from, g.first_day, g.last_day,
			  CASE g.period WHEN d.oldest THEN '-infinity' ELSE g.period END, CASE WHEN $3 THEN d.today END) b
		  WHERE a.account_id = $1 AND g.last_day <= $2 AND a.state IN ('active', 'closing')
			AND ($3 OR (g.last_day >= kb_closes_on(a.account_id)) IS NOT TRUE)) m;
END;
COMMENT ON FUNCTION kb_charges_ahead(bigint, date, boolean) IS
'The months of an account that are not charged yet and end by a day: what each will come to, when the charge takes '
'effect, and the balance and debt after it if nothing is paid';

CREATE FUNCTION kbilling_internal.kb_standing(account_id bigint, at timestamptz)
	RETURNS TABLE (balance kb_money, debt_since date, deferred_until date, today date,
				   remind_day integer, restrict_day integer, block_day integer, delete_on date, deleted boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT kb_require_not_null('at', $2);
	SELECT CASE
		WHEN NOT isfinite($2) OR $2 > kb_now() + interval '100 years'
			THEN kb_raise('22008', 'at must be finite, and at most 100 years ahead')
		END;
	SELECT kb_require_account($1);
	SELECT CASE WHEN d.is_past THEN coalesce(past.balance_after, zero.amount) ELSE coalesce(ahead.balance, a.balance) END,
		   CASE WHEN d.is_past THEN past.debt_since ELSE coalesce(ahead.debt_since, a.debt_since) END,
		   CASE WHEN d.is_past THEN granted.deferred_until ELSE a.deferred_until END,
		   d.today, p.remind_day, p.restrict_day, p.block_day,
		   CASE WHEN d.is_past THEN CASE WHEN c.step <> 'cancelled' THEN c.delete_on END ELSE a.delete_on END,
		   coalesce(c.step IN ('deleted', 'purged') OR NOT d.is_past AND d.today >= kb_closes_on(a.account_id), false)
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date($2, a.time_zone) AS today, $2 <= kb_now() AS is_past) d
	CROSS JOIN LATERAL (SELECT a.balance - a.balance AS amount) zero
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	-- S6, the past: what the journal said at the moment
	LEFT JOIN LATERAL (
		SELECT e.balance_after, e.debt_since FROM entry e
		WHERE e.account_id = a.account_id AND e.posted_at <= $2 AND d.is_past
		ORDER BY e.seq DESC LIMIT 1) past ON true
	LEFT JOIN LATERAL (
		SELECT f.deferred_until FROM deferral f
		WHERE f.account_id = a.account_id AND f.granted_at <= $2
		ORDER BY f.deferral_no DESC LIMIT 1) granted ON true
	-- the past of closures; ahead, one that is under way is carried out
	LEFT JOIN LATERAL (
		SELECT x.step, x.delete_on FROM closure_step x
		WHERE x.account_id = a.account_id AND x.taken_at <= $2
		ORDER BY x.step_no DESC LIMIT 1) c ON true
	-- S6, ahead: the months that end until then are charged, and nothing is paid
	LEFT JOIN LATERAL (
		SELECT m.balance, m.debt_since FROM kb_charges_ahead(a.account_id, d.today - 1, false) m
		WHERE NOT d.is_past
		ORDER BY m.period DESC LIMIT 1) ahead ON true
	WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_standing(bigint, timestamptz) IS
'The values from which an account''s stage follows, at any moment: in the past by the journal, ahead if nothing is '
'paid (S6). '
'Errors: KB001; 22008 for an infinite moment, or one more than 100 years ahead';

CREATE FUNCTION kbilling.kb_balance(account_id bigint, at timestamptz) RETURNS kb_money
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
RETURN (SELECT s.balance FROM kb_standing($1, $2) s);
COMMENT ON FUNCTION kb_balance(bigint, timestamptz) IS
'The balance at a moment (S6): in the past by the journal; ahead if nothing is paid, and each month is charged when '
'it has ended. '
'Errors: KB001, 22008';

CREATE FUNCTION kbilling.kb_access_stage(account_id bigint, at timestamptz) RETURNS kb_stage
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
RETURN (SELECT kb_stage(s.debt_since, s.deferred_until, s.today, s.remind_day, s.restrict_day, s.block_day)
		FROM kb_standing($1, $2) s);
COMMENT ON FUNCTION kb_access_stage(bigint, timestamptz) IS
'The account''s stage at a moment (S6): in the past by the journal; ahead if nothing is paid. '
'Errors: KB001, 22008';

CREATE FUNCTION kbilling.kb_access(account_id bigint, role kb_role, at timestamptz) RETURNS kb_access_decision
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('role', $2);
	SELECT ROW(x.stage, kb_access_for(x.stage, $2, s.deleted),
			   kb_amount_due(s.balance),
			   kb_stage(s.debt_since, s.deferred_until, n.next_on, s.remind_day, s.restrict_day, s.block_day),
			   n.next_on, s.delete_on)::kb_access_decision
	FROM kb_standing($1, $3) s
	CROSS JOIN LATERAL (SELECT kb_stage(s.debt_since, s.deferred_until, s.today,
										s.remind_day, s.restrict_day, s.block_day) AS stage) x
	CROSS JOIN LATERAL (SELECT kb_next_stage_on(s.debt_since, s.deferred_until, s.today,
												s.remind_day, s.restrict_day, s.block_day) AS next_on) n;
END;
COMMENT ON FUNCTION kb_access(bigint, kb_role, timestamptz) IS
'What a member with the role may do at a moment, in the past or ahead (S3, S6). Errors: KB001, 22008';

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
	SELECT m.period, m.total, m.effective_on, m.balance,
		   kb_stage(m.debt_since, a.deferred_until, s.day, p.remind_day, p.restrict_day, p.block_day)
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) d
	CROSS JOIN LATERAL kb_charges_ahead($1, (kb_month_first_day(d.today) + $2 * interval '1 month')::date - 1, true) m
	-- what is due already is charged today, whatever day it counts from
	CROSS JOIN LATERAL (SELECT greatest(m.effective_on, d.today) AS day) s
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, s.day) p
	WHERE a.account_id = $1
	ORDER BY m.period;
END;
COMMENT ON FUNCTION kb_forecast(bigint, integer) IS
'A row for each month that is still to be charged: those that are due, the running one and those after it; "months" '
'counts from the running one on. Each row shows the charge, the day on which it takes effect, and the balance and '
'stage then, if nothing is paid and usage goes on as in the running month and the one before. '
'Errors: KB001; 22023 for fewer than 1 month, or more than 1200';

CREATE FUNCTION kbilling.kb_amount_for(account_id bigint, months integer) RETURNS kb_money
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT coalesce((SELECT kb_amount_due(f.balance)
					 FROM kb_forecast($1, $2) f ORDER BY f.period DESC LIMIT 1),
					-- a deleted account owes nothing more
					(SELECT a.balance - a.balance FROM account a WHERE a.account_id = $1));
END;
COMMENT ON FUNCTION kb_amount_for(bigint, integer) IS
'What to pay now so that the balance lasts for so many months, the running one among them, by kb_forecast; zero if '
'it lasts already. A bonus on the payment is not counted. '
'Errors: KB001, 22023';
