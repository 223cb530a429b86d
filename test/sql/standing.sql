-- Where an account stands ahead (rules S6, S1, S2, C5, D1, D3, D4): what comes to be known beforehand
SET search_path = kbilling, public;
BEGIN;
SELECT no_plan();
\ir ../include/clock.sql

SELECT pg_temp.clock('2026-01-05 09:00+00') \g /dev/null
INSERT INTO policy (policy, debt_counts_from) VALUES ('post', 'posting_date');
INSERT INTO policy (policy, remind_day, restrict_day, block_day) VALUES ('soft', 20, 25, 30);
INSERT INTO policy (policy, min_age_days, inactive_days) VALUES ('quick', 5, 5);
SELECT kb_create_tariff('a', 'USD'), kb_create_service('s', 'metered'), kb_set_price('a', 's', '1.00 each'),
	kb_create_tariff('p', 'USD', policy => 'post'), kb_set_price('p', 'base', '10'), kb_create_tariff('d', 'USD'),
		kb_set_price('d', 'base', '10'),
	kb_create_tariff('soft', 'USD', policy => 'soft'), kb_create_tariff('free', 'USD'), kb_create_tariff('quick', 'USD', policy => 'quick')
\g /dev/null
SELECT kb_create_account('o', tariff, id) FROM (VALUES (1, 'a'), (2, 'd'), (3, 'd'), (4, 'free'), (5, 'free')) AS t (id, tariff)
\g /dev/null
SELECT kb_record_usage(1, 's', 100, 'k1'), kb_set_tariff(2, 'p', '2026-03-20'), kb_adjust(3, '-5 USD', 'r1', 'm'),
	kb_set_tariff(3, 'soft', '2026-01-07'),
	kb_set_tariff(5, 'quick', '2026-01-20')
\g /dev/null
SELECT is((next_stage, next_stage_on), ('remind'::kb_stage, '2026-01-24'::date),
	'S6: the next stage is by the policy of the day: ' || by) FROM (
	SELECT 'kb_access' AS by, next_stage, next_stage_on FROM kb_access(3, 'owner')
	UNION ALL SELECT 'account_status', next_stage, next_stage_on FROM account_status WHERE account_id = 3
	UNION ALL SELECT 'kb_access ahead', next_stage, next_stage_on FROM kb_access(3, 'owner', '2026-01-06 09:00+00')) AS x;
SELECT is(kb_access_stage(3, at::timestamptz), stage::kb_stage, 'S6: and the stage is so at ' || at)
FROM (VALUES ('2026-01-23 12:00+00', 'grace'), ('2026-01-24 12:00+00', 'remind'), ('2026-02-03 12:00+00', 'blocked')) AS t (at, stage);
SELECT is(closure_check_on, day::date, 'D1: account ' || account_id || ' is looked at when it may be closed, or has another policy')
FROM account JOIN (VALUES (4, '2026-02-15'), (5, '2026-01-20')) AS t (id, day) ON account_id = id;
SELECT is((state, d.delete_on, d.access)::text, format('(active,%s,%s)', t.delete_on, t.access),
	format('S6: that account %s will be closed for not being used is not foreseen at %s', id, at)) FROM (VALUES
	(4, '2026-02-14 12:00+00', NULL, 'full'), (4, '2026-02-25 12:00+00', NULL, 'full'), (4, '2026-06-01 12:00+00', NULL, 'full'),
	(5, '2026-01-30 12:00+00', NULL, 'full')) AS t (id, at, delete_on, access)
JOIN account ON account_id = id, kb_access(id, 'admin', at::timestamptz) AS d;

SELECT pg_temp.clock('2026-02-02 09:00+00') \g /dev/null
SELECT kb_month_charge(id) FROM generate_series(1, 2) AS id \g /dev/null
SELECT kb_record_usage(1, 's', -100, 'k2', '2026-01-05 09:00+00'), kb_apply_topup(2, '8.71 USD', 'card', 't') \g /dev/null
SELECT is((stage, access, amount_due, next_stage, next_stage_on)::text, expected, format('S6: a credit is to come: at %s', at)) FROM (VALUES
	('2026-02-02 09:00+00', '(grace,full,"100.00 USD",remind,2026-02-04)'), ('2026-02-12 09:00+00',
		'(blocked,denied,"100.00 USD",ok,2026-03-01)'),
	('2026-02-28 23:59+00', '(blocked,denied,"100.00 USD",ok,2026-03-01)'), ('2026-03-01 00:00+00', '(ok,full,"0.00 USD",,)'),
	('2026-03-15 00:00+00', '(ok,full,"0.00 USD",,)')) AS t (at, expected), kb_access(1, 'owner', at::timestamptz);
SELECT is(kb_balance(1, '2026-03-15'), '0.00 USD', 'S6: and the balance');
SELECT is((SELECT stage FROM kb_forecast(1, 1)), 'ok', 'S6: and the forecast');
SELECT pg_temp.clock('2026-02-12 09:00+00') \g /dev/null
SELECT is((next_stage, next_stage_on), ('ok'::kb_stage, '2026-03-01'::date), 'S6: a credit that is to come ends the debt: ' || by) FROM (
	SELECT 'kb_access' AS by, next_stage, next_stage_on FROM kb_access(1, 'owner')
	UNION ALL SELECT 'account_status', next_stage, next_stage_on FROM account_status WHERE account_id = 1) AS x;

SELECT pg_temp.clock('2026-03-28 09:00+00') \g /dev/null
SELECT is(kb_access_stage(2, '2026-03-28 09:00:01+00'), 'grace', 'S6, C5: an overdue month is charged today, by the policy of today');
SELECT is((SELECT charged_on FROM kb_forecast(2, 1) ORDER BY period LIMIT 1), '2026-03-28', 'C5: so does kb_forecast say');

-- a closure that will not be carried out
SELECT kb_create_account('o', 'free', 6, created_at => '2026-01-01 00:00+00'), kb_schedule_closure(6, 'support'),
	kb_login(6, 'o') \g /dev/null
SELECT is(d.delete_on, t.delete_on::date, 'S6, D3, D4: the day of the deletion at ' || at) FROM (VALUES
	('2026-03-28 09:00+00', '2026-04-07'), ('2026-04-06 09:00+00', '2026-04-07'), ('2026-04-07 09:00+00', NULL),
		('2026-04-26 09:00+00', NULL),
	('2026-04-27 09:00+00', NULL)) AS t (at, delete_on), kb_access(6, 'owner', at::timestamptz) AS d;
SELECT * FROM finish();
ROLLBACK;
