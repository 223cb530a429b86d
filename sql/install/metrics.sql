/*
 * Numbers for monitoring: sums over the accounts, and how the sweep is doing.
 */

-- With the owner's rights, so that a role that watches the sums need not be able to read the accounts.
-- One pass over the accounts, and one over the switched-on services; groups are few, so prices are reckoned once for each, not once for
-- each account.  Without JIT: compiling would cost more than it saves.
CREATE FUNCTION kbilling_internal.kb_metrics() RETURNS TABLE (name text, labels jsonb, value numeric, type text, help text)
	LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET jit = off
	SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	WITH terms AS NOT MATERIALIZED (	-- every account on its local date
		SELECT a.account_id, a.state IN ('active', 'closing') AND (a.ends_on < d.today) IS NOT TRUE AS is_charged, a.state, a.balance,
			   a.unspent_bonus, a.debt_since, a.deferred_until, d.today,
			   coalesce(h.tariff, a.tariff) AS tariff
		FROM account a
		CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) d
		-- what kb_tariff_on says, joined: looked up for each account, all of this takes a fifth longer
		LEFT JOIN tariff_history h
			ON a.tariff_from > d.today AND h.account_id = a.account_id AND h.from_date <= d.today AND h.to_date > d.today
		WHERE kb_is_owned(a.account_id)
	), standing AS MATERIALIZED (
		SELECT a.is_charged, a.state, a.tariff, t.currency, a.today, s.stage, s.age, count(*) AS accounts,
			   sum(greatest(kb_minor(a.balance), 0)) AS prepaid,
			   sum(greatest(- kb_minor(a.balance), 0)) AS debt,
			   sum(kb_minor(a.unspent_bonus)) AS bonus
		FROM terms a
		JOIN tariff t ON t.tariff = a.tariff
		JOIN policy p ON p.policy = t.policy
		CROSS JOIN LATERAL (
			SELECT kb_stage(a.debt_since, a.deferred_until, a.today, p.remind_day, p.restrict_day, p.block_day) AS stage,
				   CASE WHEN a.debt_since IS NULL THEN NULL
					   WHEN a.today - a.debt_since < 3 THEN '1-3'
					   WHEN a.today - a.debt_since < 6 THEN '4-6'
					   WHEN a.today - a.debt_since < 9 THEN '7-9'
					   WHEN a.today - a.debt_since < 30 THEN '10-30'
					   WHEN a.today - a.debt_since < 90 THEN '31-90'
					   ELSE '91+' END AS age) s
		GROUP BY a.is_charged, a.state, a.tariff, t.currency, a.today, s.stage, s.age
	), recurring AS (
		SELECT s.tariff, s.today, 'base' AS service, 1::numeric AS quantity, sum(s.accounts) AS accounts
		FROM standing s WHERE s.is_charged
		GROUP BY s.tariff, s.today
		UNION ALL
		SELECT a.tariff, a.today, u.service, u.quantity, count(*)
		FROM terms a JOIN subscription u ON u.account_id = a.account_id AND u.from_date <= a.today AND u.to_date > a.today
		WHERE a.is_charged
		GROUP BY a.tariff, a.today, u.service, u.quantity
		UNION ALL	-- what is owed without usage
		SELECT s.tariff, s.today, p.service, 0, sum(s.accounts)
		FROM standing s
		JOIN price_list p ON p.tariff = s.tariff AND p.from_date <= s.today AND p.to_date > s.today AND kb_has_minimum(p.price)
		JOIN service v ON v.service = p.service AND v.kind = 'metered'
		WHERE s.is_charged
		GROUP BY s.tariff, s.today, p.service
	), agreed AS MATERIALIZED (	-- accounts with a minimum or a discount are billed one by one
		SELECT a.account_id, a.tariff, t.currency, a.today, m.first_day, m.last_day
		FROM terms a
		JOIN tariff t ON t.tariff = a.tariff
		CROSS JOIN LATERAL (SELECT kb_month_first_day(a.today) AS first_day, kb_month_last_day(a.today) AS last_day OFFSET 0) m
		WHERE a.state IN ('active', 'closing') AND (EXISTS (SELECT FROM tariff_minimum) OR EXISTS (SELECT FROM discount))
			AND (a.tariff IN (SELECT l.tariff FROM tariff_minimum l WHERE l.amount > 0)
				-- wherever the accounts are: yesterday's month by UTC
				OR a.account_id IN (SELECT d.account_id FROM discount d
									WHERE d.to_period > kb_month_first_day(kb_account_date(kb_now(), 'UTC') - 1)))
	), difference AS (
		SELECT g.tariff, kb_amount((b.bill).total) - b.undiscounted AS amount
		FROM agreed g
		CROSS JOIN LATERAL (
			SELECT kb_with_terms(kb_bill(x.service, g.first_day, g.last_day + 1, g.last_day - g.first_day + 1, x.quantity,
										 x.events, 0, 0, p.price_id, p.price, true, g.currency, g.first_day,
										 g.last_day),
								 g.account_id, g.currency, g.tariff, '-infinity', g.first_day, g.last_day) AS bill,
				   coalesce(sum(kb_amount(kb_rate(p.price, x.quantity, g.currency, (x.quantity > 0)::integer))), 0) AS undiscounted
			FROM (SELECT 'base' AS service, 1::numeric AS quantity, NULL::bigint AS events
				  UNION ALL
				  SELECT u.service, u.quantity, NULL FROM subscription u
				  WHERE u.account_id = g.account_id AND u.from_date <= g.today AND u.to_date > g.today
				  UNION ALL
				  SELECT v.service, 0, 0 FROM service v
				  WHERE v.kind = 'metered' AND EXISTS (
					  SELECT FROM price_list l WHERE l.tariff = g.tariff AND l.service = v.service AND kb_has_minimum(l.price)
						  AND l.from_date <= g.today AND l.to_date > g.today)) x
			JOIN price_list p ON p.tariff = g.tariff AND p.service = x.service AND p.from_date <= g.today AND p.to_date > g.today) b
		WHERE b.bill IS NOT NULL
	), currency AS (
		SELECT DISTINCT t.currency, kb_minor_units(t.currency) AS minor_units FROM tariff t
	), sample (name, labels, value) AS (
		SELECT 'kbilling_accounts', jsonb_build_object('state', state, 'stage', stage), coalesce(sum(s.accounts), 0)
		FROM unnest(enum_range(NULL::kb_account_state)) state
		CROSS JOIN unnest(enum_range(NULL::kb_stage)) stage
		LEFT JOIN standing s USING (state, stage)
		GROUP BY state, stage
		UNION ALL
		SELECT x.name, x.labels, x.value
		FROM (SELECT age, c.currency, c.minor_units, coalesce(sum(s.debt), 0) AS debt, coalesce(sum(s.accounts), 0) AS debtors
			  FROM currency c
			  CROSS JOIN unnest('{1-3,4-6,7-9,10-30,31-90,91+}'::text[]) age
			  LEFT JOIN standing s USING (age, currency)
			  GROUP BY age, c.currency, c.minor_units) d
		CROSS JOIN LATERAL (VALUES
			('kbilling_debt', jsonb_build_object('age', d.age, 'currency', d.currency),
			 round(d.debt / 10 ^ d.minor_units::numeric, d.minor_units)),
			('kbilling_debtors', jsonb_build_object('age', d.age, 'currency', d.currency), d.debtors)) x (name, labels, value)
		UNION ALL
		SELECT 'kbilling_balance', jsonb_build_object('currency', b.currency, 'part', x.part),
			   round(x.value / 10 ^ b.minor_units::numeric, b.minor_units)
		FROM (SELECT c.currency, c.minor_units, coalesce(sum(s.prepaid), 0) AS prepaid, coalesce(sum(s.bonus), 0) AS bonus
			  FROM currency c LEFT JOIN standing s USING (currency)
			  GROUP BY c.currency, c.minor_units) b
		CROSS JOIN LATERAL (VALUES ('paid', b.prepaid - b.bonus), ('bonus', b.bonus)) x (part, value)
		UNION ALL
		SELECT 'kbilling_mrr', jsonb_build_object('currency', t.currency, 'tariff', t.tariff),
			   coalesce(sum(kb_amount(kb_rate(p.price, r.quantity, t.currency, (r.quantity > 0)::integer)) * r.accounts), 0)
			   + coalesce((SELECT sum(d.amount) FROM difference d WHERE d.tariff = t.tariff), 0)
		FROM tariff t
		LEFT JOIN (recurring r JOIN price_list p
				   ON p.tariff = r.tariff AND p.service = r.service AND p.from_date <= r.today AND p.to_date > r.today)
			ON r.tariff = t.tariff
		GROUP BY t.currency, t.tariff
		UNION ALL
		SELECT x.name, '{}', x.value
		FROM kb_sweep_status() s
		CROSS JOIN LATERAL (VALUES
			('kbilling_sweep_running', s.running::integer),
			('kbilling_sweep_lag_seconds', extract(epoch FROM s.lag)),
			('kbilling_sweep_overdue_accounts', s.accounts_overdue),
			('kbilling_sweep_failed_accounts', s.accounts_failed),
			('kbilling_sweep_duration_seconds', coalesce(extract(epoch FROM s.duration), 0)),
			('kbilling_sweep_last_finished_timestamp_seconds', coalesce(extract(epoch FROM s.finished_at), 0))) x (name, value)
		UNION ALL
		SELECT 'kbilling_notices', jsonb_build_object('status', status), count(q.notice_no)
		FROM unnest('{waiting,leased,paused,parked}'::text[]) status LEFT JOIN notice_queue q USING (status)
		GROUP BY status
		UNION ALL
		SELECT 'kbilling_notice_lag_seconds', '{}', coalesce(extract(epoch FROM kb_now() - min(n.due_at)), 0)
		FROM notice n WHERE n.due_at <= kb_now() AND kb_is_owned(n.account_id)
		UNION ALL
		SELECT 'kbilling_sweep_periods_charged_total', '{}', coalesce(sum(r.periods_charged), 0) FROM sweep_run r
	)
	SELECT m.name, s.labels, s.value, m.type, m.help
	FROM (VALUES
		('kbilling_accounts', 'gauge', 'Accounts by state and stage'),
		('kbilling_balance', 'gauge', 'What customers have prepaid and not used up: paid money, and bonus'),
		('kbilling_debt', 'gauge', 'What customers owe, by the debt''s age in days'),
		('kbilling_debtors', 'gauge', 'Accounts in debt, by the debt''s age in days'),
		('kbilling_mrr', 'gauge',
		 'Monthly recurring revenue: base fees, recurring services and minimums of today at full-month prices, less discounts'),
		('kbilling_notice_lag_seconds', 'gauge', 'How long the longest due notice has waited for a worker; 0 if none waits'),
		('kbilling_notices', 'gauge', 'Notices that are not delivered, by status'),
		('kbilling_sweep_duration_seconds', 'gauge', 'How long the last sweep that finished took; 0 before the first'),
		('kbilling_sweep_failed_accounts', 'gauge', 'Accounts that the last sweep that finished passed over'),
		('kbilling_sweep_lag_seconds', 'gauge', 'How long the oldest month that ended has waited for its charge; 0 if none waits'),
		('kbilling_sweep_last_finished_timestamp_seconds', 'gauge', 'When the last sweep finished; 0 before the first'),
		('kbilling_sweep_overdue_accounts', 'gauge', 'Accounts with a month that ended and is not charged'),
		('kbilling_sweep_periods_charged_total', 'counter', 'Months of accounts that sweeps have charged'),
		('kbilling_sweep_running', 'gauge', 'Whether a sweep is running')) m (name, type, help)
	JOIN sample s ON s.name = m.name
	ORDER BY m.name, s.labels;
END;
COMMENT ON FUNCTION kb_metrics() IS
'What kbilling.metrics shows. It reads with the owner''s rights and returns sums alone, so that a role that monitors '
'needs no other right';

CREATE VIEW kbilling.metrics WITH (security_invoker) AS
	SELECT name, labels, value, type, help FROM kb_metrics();
COMMENT ON VIEW metrics IS
'Numbers for monitoring, as Prometheus names them. Debts, debtors and balances count accounts of every state, so '
'that they agree with the ledger: kbilling_balance - kbilling_debt is what customers have, less what they owe. '
'kbilling_mrr is what the accounts that are charged (active or closing, even if blocked, until their contract is over) would owe '
'for a whole month '
'on the terms of their local date: base fees, recurring services, and minimums of metered ones, by today''s tariff, '
'prices and quantities, each line rounded, less the discounts of the month, and at least its minimum (C9, C10), without other usage '
'and before any bonus. There is a series for every '
'state and stage, and for every currency and tariff of kbilling.tariff, even if it is zero';
COMMENT ON COLUMN metrics.name IS 'Name of the metric; amounts are in the currency''s major unit';
COMMENT ON COLUMN metrics.labels IS
'Its labels: "state" and "stage"; "age" (in days, the first day is 1) and "currency"; "currency" and "tariff"; '
'"currency" and "part" (paid, bonus); "status" of notices (waiting, leased, paused, parked)';
COMMENT ON COLUMN metrics.value IS 'The number; never NULL';
COMMENT ON COLUMN metrics.type IS '"gauge" or "counter"';
COMMENT ON COLUMN metrics.help IS 'What it counts';
