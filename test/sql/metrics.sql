-- Numbers for monitoring (W1, W3)
DROP ROLE IF EXISTS kbilling_metrics_exporter;
CREATE ROLE kbilling_metrics_exporter;
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/state.sql

CREATE FUNCTION pg_temp.metric(name text) RETURNS TABLE (labels text, value numeric) LANGUAGE sql
	BEGIN ATOMIC SELECT string_agg(l.value, ' ' ORDER BY l.key), m.value FROM metrics AS m
		LEFT JOIN jsonb_each_text(m.labels) AS l ON true WHERE m.name = $1 GROUP BY m.labels, m.value; END;
CREATE FUNCTION pg_temp.sweep_metrics() RETURNS text LANGUAGE sql
	BEGIN ATOMIC SELECT string_agg(format('%s=%s', substr(name, 16), trim_scale(value)), ' ' ORDER BY name) FROM metrics
		WHERE name LIKE 'kbilling_sweep_%' AND name NOT IN ('kbilling_sweep_duration_seconds',
			'kbilling_sweep_last_finished_timestamp_seconds'); END;
CREATE FUNCTION pg_temp.status() RETURNS text LANGUAGE sql
	RETURN (SELECT format('running %s, interrupted %s, run %s, %s charged, %s failed %s, %s overdue since %s, lag %s',
		running, interrupted, coalesce(run_id::text, '-'),
		periods_charged, accounts_failed, failures, accounts_overdue,
		coalesce(to_char(overdue_since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), '-'), lag) FROM kb_sweep_status());

-- An empty database

SET kbilling.clock = '2026-09-01 00:30+00';
SELECT is(pg_temp.status(), 'running f, interrupted f, run -, 0 charged, 0 failed {}, 0 overdue since -, lag 00:00:00',
	'W3: no sweep yet, no account: zeros');
SELECT is((SELECT count(*) FROM kb_sweep_status() WHERE started_at IS NULL AND finished_at IS NULL AND duration IS NULL),
	1::bigint, 'W3: one row, without a last run');
SELECT results_eq('SELECT name, count(*), sum(value) FROM metrics GROUP BY name ORDER BY name COLLATE "C"', $$VALUES
	('kbilling_accounts', 20::bigint, 0::numeric), ('kbilling_notice_lag_seconds', 1, 0), ('kbilling_notices', 4, 0),
	('kbilling_sweep_duration_seconds', 1, 0), ('kbilling_sweep_failed_accounts', 1, 0), ('kbilling_sweep_lag_seconds', 1, 0),
	('kbilling_sweep_last_finished_timestamp_seconds', 1, 0), ('kbilling_sweep_overdue_accounts', 1, 0),
	('kbilling_sweep_periods_charged_total', 1, 0), ('kbilling_sweep_running', 1, 0)$$,
	'an empty database has its series, at zero');

-- A service of two currencies

INSERT INTO policy (policy, remind_day, restrict_day, block_day) VALUES ('swift', 2, 3, 5);
SELECT kb_create_tariff('std', 'USD'), kb_create_tariff('pro', 'USD'), kb_create_tariff('yen', 'JPY'),
	kb_create_tariff('free', 'USD'), kb_create_tariff('swift', 'USD', policy => 'swift'),
	kb_create_tariff('nobody', 'KWD'), kb_create_service('seat', 'recurring'), kb_create_service('source', 'recurring'),
		kb_create_service('orders', 'metered')
\g /dev/null
SELECT kb_set_price('std', 'base', '29.00'), kb_set_price('std', 'base', '30.00', '2026-12-01'),
	kb_set_price('std', 'base', '31.00', '2027-01-01'),
	kb_set_price('std', 'seat', '4.00 each'), kb_set_price('std', 'source', '10.00', prorate => false),
	kb_set_price('std', 'orders', '0.10 each'), kb_set_price('pro', 'base', '60.00'),
	kb_set_price('yen', 'base', '1500'), kb_set_price('yen', 'seat', '0.5 each'), kb_set_price('swift', 'base', '5.00'),
	kb_set_price('nobody', 'base', '1.000'),
	kb_set_bonus('std', '50.00 USD', 10)
\g /dev/null
SELECT results_eq('SELECT m.name, m.labels, m.value::text FROM metrics AS m '
	'WHERE labels ->> ''currency'' = ''KWD'' AND name IN (''kbilling_balance'', ''kbilling_mrr'') ORDER BY 1, 2', $$VALUES
	('kbilling_balance', '{"part": "bonus", "currency": "KWD"}'::jsonb, '0.000'),
	('kbilling_balance', '{"part": "paid", "currency": "KWD"}', '0.000'),
	('kbilling_mrr', '{"tariff": "nobody", "currency": "KWD"}', '0')$$,
	'a tariff without accounts has its series');

-- Accounts in debt: so many days before now, so much
CREATE TEMP TABLE debtor (account_id bigint, tariff text, zone text, since timestamptz, amount kb_money);
INSERT INTO debtor
SELECT 100 + n, 'free', 'UTC', timestamptz '2026-12-21 12:00+00' - n * interval '1 day', kb_money(n, 'USD')
	FROM unnest('{1,3,4,6,7,9,10,30,31,90,91}'::int[]) AS n;
INSERT INTO debtor VALUES
	(201, 'yen', 'Pacific/Kiritimati', '2026-12-18 09:59:59+00', '500 JPY'),	-- the 18th there; now it is the 21st
	(211, 'swift', 'UTC', '2026-12-18 12:00+00', '5.00 USD'),
	(212, 'free', 'UTC', '2026-12-18 12:00+00', '7.00 USD'),
	(301, 'free', 'UTC', '2026-12-20 12:00+00', '1000.00 USD');
SELECT kb_create_account('owner', tariff, account_id, zone) FROM debtor
\g /dev/null
SELECT kb_create_account('owner', tariff, id, zone) FROM (VALUES
	(1, 'std', 'UTC'), (2, 'std', 'Pacific/Kiritimati'), (4, 'std', 'UTC'), (5, 'std', 'UTC'), (6, 'std', 'UTC'),
		(7, 'std', 'UTC'), (8, 'std', 'Pacific/Kiritimati'), (202, 'yen', 'UTC')) AS t (id, tariff, zone)
\g /dev/null
SELECT kb_switch_on(1, 'seat', 2), kb_switch_on(1, 'source'), kb_switch_on(2, 'seat', 3, '2026-12-21'),
	kb_switch_on(4, 'seat', 2, '2026-12-21'), kb_switch_on(5, 'seat'), kb_switch_on(7, 'seat'),
	kb_switch_on(201, 'seat', 3), kb_switch_on(202, 'seat', 3), kb_record_usage(1, 'orders', 70, 'a')
\g /dev/null
SELECT set_config('kbilling.clock', since::text, false), kb_adjust(account_id, - amount, 'fee', 'a fee')
	FROM (SELECT * FROM debtor ORDER BY since OFFSET 0) AS d
\g /dev/null

SET kbilling.clock = '2026-12-20 12:00+00';
SELECT kb_create_account('owner', 'std', 3, created_at => '2026-12-10 12:00+00')
\g /dev/null
SELECT kb_switch_on(3, 'seat', from_date => '2026-12-10'), kb_switch_off(3, 'seat'),
	kb_switch_on(1, 'seat', 5, '2026-12-21'), kb_set_tariff(4, 'pro', '2026-12-21'), kb_set_tariff(5, 'pro', '2026-12-20'),
	kb_set_tariff(8, 'pro', '2026-12-21'),
	kb_set_tariff(212, 'swift', '2027-01-01'), kb_defer(110, '2026-12-25', 'support', 'asked'),
	kb_apply_topup(1, '100.00 USD', 'card', 'a'), kb_adjust(1, '-4.00 USD', 'fee', 'a fee'),
		kb_apply_topup(6, '20.00 USD', 'card', 'a'), kb_apply_topup(7, '40.00 USD', 'card', 'a'),
		kb_apply_topup(202, '5000 JPY', 'card', 'a')
\g /dev/null
SELECT pg_temp.put_state(6, 'closing', '2027-12-30'), pg_temp.put_state(7, 'deleted'), pg_temp.put_state(301, 'deleted')
\g /dev/null
-- Somebody is always there, so that none is closed.
INSERT INTO activity SELECT account_id, '2099-01-01' FROM account ON CONFLICT (account_id) DO UPDATE SET active_at = excluded.active_at;

SELECT results_eq('SELECT * FROM pg_temp.metric(''kbilling_accounts'') WHERE value <> 0 ORDER BY labels COLLATE "C"', $$VALUES
	('blocked active', 4::numeric),	-- 130, 131, 190, 191
	('grace active', 4),	-- 101, 103; 110 is deferred, 212 not yet on its swift tariff
	('grace deleted', 1),	-- 301
	('ok active', 7),	-- 1 to 5, 8, 202
	('ok closing', 1), ('ok deleted', 1),	-- 6, 7
	('remind active', 3),	-- 104, 106; and 201, where it is the 21st
	('restrict active', 3)$$,	-- 107, 109; and 211, on the swift policy
	'S2, S4: accounts by stage and state, each on its own date, policy and deferral');
SELECT results_eq('SELECT * FROM pg_temp.metric(''kbilling_debt'') '
	'WHERE labels NOT LIKE ''% KWD'' ORDER BY split_part(labels, '' '', 2), labels COLLATE "C"', $$VALUES
	('1-3 JPY', 0::numeric), ('10-30 JPY', 0), ('31-90 JPY', 0), ('4-6 JPY', 500), ('7-9 JPY', 0), ('91+ JPY', 0),
	('1-3 USD', 1016.00),	-- 101, 103, 211, 212; and 301, though it is deleted
	('10-30 USD', 40.00), ('31-90 USD', 121.00), ('4-6 USD', 10.00), ('7-9 USD', 16.00), ('91+ USD', 91.00)$$,
	'S2: debt by age: the first day is 1, the 30th still 10-30, the 90th 31-90');
SELECT results_eq('SELECT * FROM pg_temp.metric(''kbilling_debtors'') WHERE value <> 0 ORDER BY labels COLLATE "C"', $$VALUES
	('1-3 USD', 5::numeric), ('10-30 USD', 2), ('31-90 USD', 2), ('4-6 JPY', 1), ('4-6 USD', 2), ('7-9 USD', 2),
	('91+ USD', 1)$$, 'S2: and how many owe it');
SELECT results_eq('SELECT labels, value FROM pg_temp.metric(''kbilling_balance'') WHERE labels NOT LIKE ''KWD %'' ORDER BY labels', $$VALUES
	('JPY bonus', 0::numeric), ('JPY paid', 5000), ('USD bonus', 6.00), ('USD paid', 160.00)$$,
	'T6: what is prepaid: bonus is spent first');
SELECT results_eq($$SELECT labels ->> 'currency', sum(CASE name WHEN 'kbilling_debt' THEN - value ELSE value END)
	FROM metrics WHERE name IN ('kbilling_balance', 'kbilling_debt') AND labels ->> 'currency' <> 'KWD' GROUP BY 1 ORDER BY 1$$,
	$$SELECT currency, - kb_amount(balance) FROM trial_balance WHERE ledger_account = 'customers' ORDER BY 1$$,
	'J4: balances less debts are what the ledger has of the customers');
SELECT results_eq('SELECT * FROM pg_temp.metric(''kbilling_mrr'') ORDER BY 1', $$VALUES
	('JPY yen', 3004::numeric),	-- 2 x (1500 + 1.5, rounded)
	('KWD nobody', 0),
	('USD free', 0),
	('USD pro', 120.00),	-- 5 since today, whose seat has no price there; 8, where it is the 21st
	('USD std', 180.00),	-- 1: 30 + 2 x 4 + 10; 2: 30 + 3 x 4, where it is the 21st; 3, 4, 6: 30
	('USD swift', 5.00)$$,
	'C2: recurring revenue: of today''s tariff, prices and quantities, for whole months, without usage; '
		'of who is blocked or closing, too, but not deleted');
SELECT is_empty('SELECT * FROM metrics WHERE name IS NULL OR labels IS NULL OR value IS NULL OR help IS NULL OR type NOT IN '
	'(''gauge'', ''counter'')', 'nothing is NULL');
SELECT is_empty($$SELECT name FROM metrics WHERE name !~ '^kbilling_[a-z_]+$' OR (type = 'counter') <> (name LIKE '%\_total')
		UNION ALL SELECT l FROM metrics, jsonb_object_keys(labels) AS l WHERE l !~ '^[a-z]+$' UNION ALL SELECT l.key
			FROM metrics, jsonb_each(labels) AS l WHERE jsonb_typeof(l.value) <> 'string'$$,
	'names and labels are as Prometheus wants them');
SELECT is_empty('SELECT name, labels FROM metrics GROUP BY 1, 2 HAVING count(*) > 1', 'a series comes once');

-- Who may

GRANT SELECT ON metrics TO kbilling_metrics_exporter;
GRANT EXECUTE ON FUNCTION kb_metrics() TO kbilling_metrics_exporter;
SET ROLE kbilling_metrics_exporter;
SELECT is((SELECT sum(value) FROM metrics WHERE name = 'kbilling_accounts'), 24::numeric,
	'a role with no more than the view and its function sees the sums');
SELECT throws_ok('SELECT FROM account', '42501', NULL, 'and no account');
SELECT throws_ok('SELECT FROM kb_sweep_status()', '42501', NULL, 'nor the status, which is for operators and auditors');
RESET ROLE;

-- What the exporter is given

\set query `sed -n '/^    query: |/,/^[^ ]/s/^      //p' examples/metrics/sql_exporter.yml`
\set columns `sed -n 's/^    labels: \[\(.*\)\]/{\1}/p' examples/metrics/sql_exporter.yml`
SELECT lives_ok('CREATE TEMP TABLE exported AS ' || :'query', 'examples/metrics: the query runs');
SELECT results_eq($$SELECT attname::text COLLATE "default", format_type(atttypid, NULL) FROM pg_attribute
	WHERE attrelid = 'exported'::regclass AND attnum > 0 ORDER BY attnum$$,
	format($$SELECT c, 'text' FROM unnest(%L::text[]) AS c UNION ALL VALUES ('value', 'double precision')$$, :'columns'),
	'examples/metrics: its columns are the labels and the value that the file names');
SELECT is_empty(format('SELECT DISTINCT l FROM metrics, jsonb_object_keys(labels) AS l WHERE l <> ALL (%L)', :'columns'),
	'examples/metrics: no label is left out');
SELECT is_empty('SELECT to_jsonb(e) - ''value'' FROM exported AS e GROUP BY 1 HAVING count(*) > 1',
	'examples/metrics: no series comes twice');
SELECT is((SELECT count(*) FROM exported), (SELECT count(*) FROM metrics), 'examples/metrics: all are there');

-- The sweep: before

SELECT is(pg_temp.status(), 'running f, interrupted f, run -, 0 charged, 0 failed {}, 21 overdue since 2026-09-30 10:00, '
	'lag 81 days 02:00:00',
	'W1: before the first sweep: all living accounts but the one that is new; September ended first in Kiritimati');
SELECT is(pg_temp.sweep_metrics(), 'failed_accounts=0 lag_seconds=7005600 overdue_accounts=21 periods_charged_total=0 '
	'running=0', 'and so say the metrics');

-- Two that cannot be charged: together they are more than a kb_money holds

SELECT kb_create_account('owner', 'std', id, created_at => '2026-11-05 12:00+00') FROM unnest('{401,402}'::int[]) AS id
\g /dev/null
SELECT kb_adjust(id, '-90071992547409.00 USD', 'deep', 'as deep as it goes') FROM unnest('{401,402}'::int[]) AS id
\g /dev/null
SELECT is((SELECT value FROM metrics WHERE name = 'kbilling_debt' AND labels = '{"age": "1-3", "currency": "USD"}'),
	180143985095834.00, 'M1: a sum may be more than a kb_money');
CALL kb_sweep();
SELECT is(pg_temp.status(), format('running f, interrupted f, run 1, %s charged, 2 failed {"22003": 2}, '
	'2 overdue since 2026-12-01 00:00, lag 19 days 12:00:00', 21 * 3),
	'W3: after a sweep: what failed is overdue, and why');
SELECT results_eq('SELECT run_id, started_at, finished_at, duration FROM kb_sweep_status()',
	'SELECT run_id, started_at, finished_at, finished_at - started_at FROM sweep_run', 'W3: the times of the run');
SELECT is(pg_temp.sweep_metrics(), 'failed_accounts=2 lag_seconds=1684800 overdue_accounts=2 periods_charged_total=63 '
	'running=0', 'and so say the metrics');
SELECT results_eq($$SELECT name, value FROM metrics WHERE name IN ('kbilling_sweep_duration_seconds',
	'kbilling_sweep_last_finished_timestamp_seconds') ORDER BY 1$$,
	$$SELECT 'kbilling_sweep_duration_seconds', extract(epoch FROM finished_at - started_at) FROM sweep_run
		UNION ALL SELECT 'kbilling_sweep_last_finished_timestamp_seconds', extract(epoch FROM finished_at) FROM sweep_run$$,
	'in seconds');
SELECT kb_adjust(id, '1000.00 USD', 'help', 'put right') FROM unnest('{401,402}'::int[]) AS id
\g /dev/null

-- One that was cut off (one that runs is in test/t/002_sweep.pl)

SELECT kb_sweep_begin()
\g /dev/null
SELECT alike(pg_temp.status(), 'running f, interrupted t, run 1, 63 charged, 2 failed%',
	'W3: a run that nobody is at is not running; the last that finished is the one before');
SELECT pg_advisory_lock(x'6b62696c6c696e67'::bigint), pg_advisory_lock(x'6b62696c'::int, x'6c696e67'::int)
\g /dev/null
SELECT alike(pg_temp.status(), 'running f, interrupted t, %', 'W1: a lock that anybody can take does not make it run');
SELECT pg_advisory_unlock_all()
\g /dev/null
SELECT kb_sweep_begin() AS run
\gset
SELECT kb_sweep_end(:run)
\g /dev/null
SELECT alike(pg_temp.status(), 'running f, interrupted f, run 3, 0 charged, 0 failed {}, 2 overdue%', 'W3: the next one goes on');
SELECT kb_sweep_begin()
\g /dev/null
CALL kb_sweep();
SELECT is(pg_temp.status(), 'running f, interrupted f, run 5, 2 charged, 0 failed {}, 0 overdue since -, lag 00:00:00',
	'W3: what failed before is made up for');
SELECT is(pg_temp.sweep_metrics(), 'failed_accounts=0 lag_seconds=0 overdue_accounts=0 periods_charged_total=65 running=0',
	'the counter counts on');

-- Zone by zone

CREATE TEMP TABLE overdue (at timestamptz, accounts bigint, since timestamptz, lag interval);
INSERT INTO overdue VALUES
	('2026-12-31 09:59:59.999999+00', 0, NULL, '0'),
	('2026-12-31 10:00+00', 3, '2026-12-31 10:00+00', '0'),	-- 2, 8 and 201 in Kiritimati
	('2026-12-31 23:59+00', 3, '2026-12-31 10:00+00', '13:59'),
	('2027-01-01 00:00+00', 24, '2026-12-31 10:00+00', '14:00'),
	('2027-03-01 12:00+00', 24, '2026-12-31 10:00+00', '60 days 02:00');
CREATE FUNCTION pg_temp.overdue_at(at timestamptz) RETURNS TABLE (accounts bigint, since timestamptz, lag interval) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('kbilling.clock', at::text, true);
	RETURN QUERY SELECT s.accounts_overdue, s.overdue_since, s.lag FROM kb_sweep_status() AS s;
END $$;
SELECT results_eq(format('SELECT * FROM pg_temp.overdue_at(%L)', at),
	format('SELECT accounts, since, lag FROM overdue WHERE at = %L', at), format('W2: what is overdue at %s', at)) FROM overdue ORDER BY at;
UPDATE account SET time_zone = 'US/Gone' WHERE account_id = 1;
SELECT results_eq('SELECT * FROM pg_temp.overdue_at(''2027-01-01 00:00+00'')',
	'SELECT accounts, since, lag FROM overdue WHERE at = ''2027-01-01 00:00+00''', 'W2: a zone that the system has dropped counts as UTC');

-- What it reads

SELECT kb_create_account('owner', 'std', id, zone, created_at => '2026-12-20 12:00+00')
FROM generate_series(1001, 4000) AS id, LATERAL (SELECT (ARRAY['UTC', 'Europe/Kyiv', 'Asia/Tokyo'])[1 + id % 3] AS zone) AS z
\g /dev/null
SET kbilling.clock = '2027-01-01 12:00+00';
CALL kb_sweep();
SELECT kb_create_account('owner', 'std', 5001, created_at => '2026-12-31 12:00+00')
\g /dev/null
VACUUM ANALYZE account;
SELECT pg_stat_force_next_flush()
\g /dev/null
BEGIN;
SELECT is(pg_temp.status(), 'running f, interrupted f, run 6, 3024 charged, 0 failed {}, 1 overdue since 2027-01-01 00:00, '
	'lag 12:00:00', 'W1: one of many');
SELECT is(pg_stat_get_xact_numscans('account'::regclass), 0::bigint, 'W1: is found by an index');
SELECT cmp_ok(pg_stat_get_xact_tuples_returned('account_due'::regclass), '<', 20::bigint, 'W1: without a look at the others');
COMMIT;

DROP OWNED BY kbilling_metrics_exporter;
DROP ROLE kbilling_metrics_exporter;
SELECT * FROM finish();
