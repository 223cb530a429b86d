-- What is to come: kb_forecast and kb_amount_for (rules C2, C3, C5, C6, S1, S2, S6, U2)
SET search_path = kbilling, public;
SELECT no_plan();
BEGIN;

SET LOCAL kbilling.clock = '2026-11-10 12:00+00';
INSERT INTO policy (policy, debt_counts_from) VALUES ('by_posting', 'posting_date');
SELECT kb_create_tariff('std', 'USD'), kb_create_tariff('big', 'USD'), kb_create_tariff('usage', 'USD'),
	kb_create_tariff('free', 'USD'), kb_create_tariff('yen', 'JPY'),
	kb_create_tariff('posting', 'USD', policy => 'by_posting')
\g /dev/null
SELECT kb_create_service('seat', 'recurring'), kb_create_service('sum', 'metered'),
	kb_create_service('count', 'metered', aggregation => 'count'),
	kb_create_service('max', 'metered', aggregation => 'max'), kb_create_service('last', 'metered', aggregation => 'last'),
	kb_create_service('unique', 'metered', 'user', 'unique')
\g /dev/null
SELECT kb_set_price('std', 'base', '30.00'), kb_set_price('std', 'seat', '4.00 each'), kb_set_price('big', 'base', '90.00'),
	kb_set_price('big', 'seat', '10.00 each'),
	kb_set_price('yen', 'base', '1000'), kb_set_price('posting', 'base', '30.00')
\g /dev/null
SELECT kb_set_price('usage', s, '1.00 each') FROM unnest('{sum,count,max,last,unique}'::text[]) AS s
\g /dev/null
\ir ../include/clock.sql
CREATE FUNCTION pg_temp.open(id bigint, tariff text = 'std', since timestamptz = '2026-11-01 00:00+00', zone text = 'UTC')
	RETURNS bigint LANGUAGE sql
	RETURN kb_create_account('olena', tariff, id, zone, created_at => since);
-- "month charge on-day balance stage" of each month, without the currency
CREATE FUNCTION pg_temp.ahead(id bigint, months int) RETURNS text[] LANGUAGE sql STABLE RETURN (
	SELECT array_agg(replace(format('%s %s %s %s %s', to_char(period, 'YY-MM'), charge, to_char(charged_on, 'YY-MM-DD'),
		balance, stage), ' USD', '') ORDER BY period)
	FROM kbilling.kb_forecast(id, months));

-- Arguments

SELECT pg_temp.open(1)
\g /dev/null
SELECT throws_ok(format('SELECT * FROM %s(%s)', f, args), state, message, format('%s(%s)', f, args))
FROM unnest('{kb_forecast,kb_amount_for}'::text[]) AS f, (VALUES
	('1, 0', '22023', 'months must be from 1 to 1200'), ('1, -1', '22023', 'months must be from 1 to 1200'),
	('1, 1201', '22023', 'months must be from 1 to 1200'),
	('1, 2147483647', '22023', 'months must be from 1 to 1200'), ('1, NULL', '22004', 'months must not be null'),
	('999, 1', 'KB001', NULL), ('NULL, 1', '22004', NULL)
) AS t (args, state, message);
SELECT is((SELECT count(*) FROM kb_forecast(1, 1200)), 1200::bigint, 'a hundred years ahead');

-- Any application may ask, so what would take minutes is refused: 2,000 services that begin on as many days
SAVEPOINT many;
SELECT pg_temp.open(90, 'std', '2026-11-01 00:00+00')
\g /dev/null
SELECT kb_create_service('later' || i, 'recurring'), kb_set_price('std', 'later' || i, '1.00', '2020-01-01')
FROM generate_series(1, 2000) AS i
\g /dev/null
INSERT INTO subscription (account_id, service, from_date, quantity)
SELECT 90, 'later' || i, date '2026-12-01' + i, 1 FROM generate_series(1, 2000) AS i;
SELECT throws_ok('SELECT * FROM kb_forecast(90, 60)', '54000', 'a forecast of 60 months is too much for account 90',
	'forecast: months in which thousands of services change');
SELECT throws_ok('SELECT kb_amount_for(90, 60)', '54000', NULL, 'forecast: so what to pay for them');
SELECT throws_ok($$SELECT kb_access(90, 'owner', '2056-11-01 00:00+00')$$, '54000', NULL, 'forecast: so where it will stand');
SELECT is((SELECT count(*) FROM kb_forecast(90, 12)), 12::bigint, 'forecast: a year ahead is told');
ROLLBACK TO many;

-- Base fee, recurring service, tariff and price to come

SELECT pg_temp.open(id) FROM generate_series(2, 9) AS id
\g /dev/null
SELECT pg_temp.open(10, 'std', '2026-11-10 00:00+00'), pg_temp.open(11, 'free'), pg_temp.open(12, 'posting'),
	pg_temp.open(13, 'std', '2026-08-01 00:00+00'),
	pg_temp.open(14, 'std', '2026-08-01 00:00+00'), pg_temp.open(15, 'posting', '2026-08-01 00:00+00'),
		pg_temp.open(16, 'std', '2026-08-16 00:00+00'), pg_temp.open(17, 'std', '2026-11-10 10:00+00', 'Pacific/Kiritimati')
\g /dev/null
SELECT kb_switch_on(2, 'seat', 2, '2026-11-16'), kb_switch_off(2, 'seat', '2027-01-01'),
	kb_set_tariff(3, 'big', '2026-12-01'), kb_set_tariff(4, 'big', '2026-11-16'),
	kb_switch_on(4, 'seat', 1), kb_apply_topup(5, '75 USD', 'card', 'p'), kb_apply_topup(6, '30 USD', 'card', 'p'),
	kb_apply_topup(7, '29.99 USD', 'card', 'p'),
	kb_adjust(8, '-5 USD', 'a', 'owed'), kb_set_price('std', 'base', '60.00', '2027-02-01'), kb_apply_topup(14, '80 USD', 'card', 'p')
\g /dev/null
SELECT is(pg_temp.ahead(id, months), lines, why) FROM (VALUES
	(1, 1, '{26-11 30.00 26-12-01 -30.00 grace}'::text[], 'C1: the running month is due on the 1st of the next'),
	(1, 4, '{26-11 30.00 26-12-01 -30.00 grace,26-12 30.00 27-01-01 -60.00 blocked,27-01 30.00 27-02-01 -90.00 '
		'blocked,27-02 60.00 27-03-01 -150.00 blocked}',
		'S2, C3: nothing is paid, a price changes'),
	(2, 3, '{26-11 34.00 26-12-01 -34.00 grace,26-12 38.00 27-01-01 -72.00 blocked,27-01 30.00 27-02-01 -102.00 blocked}',
		'C3: a service for the days that it is on, until it is off'),
	(3, 2, '{26-11 30.00 26-12-01 -30.00 grace,26-12 90.00 27-01-01 -120.00 blocked}', 'C3: another tariff next month'),
	-- 15 + 45; seat from the 10th: 4 * 6 / 30 + 10 * 15 / 30
	(4, 2, '{26-11 65.80 26-12-01 -65.80 grace,26-12 100.00 27-01-01 -165.80 blocked}', 'C3: another tariff in this one'),
	(5, 4, '{26-11 30.00 26-12-01 45.00 ok,26-12 30.00 27-01-01 15.00 ok,27-01 30.00 27-02-01 -15.00 grace,27-02 60.00 '
		'27-03-01 -75.00 blocked}', 'S1: a debt begins when the balance is used up'),
	(6, 2, '{26-11 30.00 26-12-01 0.00 ok,26-12 30.00 27-01-01 -30.00 grace}', 'S1: at zero there is none'),
	(7, 1, '{26-11 30.00 26-12-01 -0.01 grace}', 'S1: a cent below there is'),
	(8, 1, '{26-11 30.00 26-12-01 -35.00 blocked}', 'S2: a debt of today is of day 22 then'),
	(10, 1, '{26-11 21.00 26-12-01 -21.00 grace}', 'C3: the first month from the first day on'),
	(11, 2, '{26-11 0.00 26-12-01 0.00 ok,26-12 0.00 27-01-01 0.00 ok}', 'C8: without a price nothing is owed'),
	(12, 2, '{26-11 30.00 26-12-01 -30.00 grace,26-12 30.00 27-01-01 -60.00 blocked}', 'C5: by posting date, posted on the 1st'),
	(15, 1, '{26-08 30.00 26-11-10 -30.00 grace,26-09 30.00 26-11-10 -60.00 grace,26-10 30.00 26-11-10 -90.00 grace,26-11 '
		'30.00 26-12-01 -120.00 blocked}', 'C5: by posting date, from today'),
	(17, 1, '{26-11 20.00 26-12-01 -20.00 grace}', 'C1: by the account''s own calendar')
) AS t (id, months, lines, why);
SELECT is(pg_temp.ahead(id, months), lines, why) FROM (VALUES
	(13, 1, '{26-08 30.00 26-11-01 -30.00 blocked,26-09 30.00 26-11-01 -60.00 blocked,26-10 30.00 26-11-01 -90.00 '
		'blocked,26-11 30.00 26-12-01 -120.00 blocked}'::text[], 'C5: months to catch up count from this month''s 1st'),
	(14, 1, '{26-08 30.00 26-11-01 50.00 ok,26-09 30.00 26-11-01 20.00 ok,26-10 30.00 26-11-01 -10.00 blocked,26-11 30.00 '
		'26-12-01 -40.00 blocked}', 'C5: some of them are paid'),
	(16, 1, '{26-08 15.48 26-11-01 -15.48 blocked,26-09 30.00 26-11-01 -45.48 blocked,26-10 30.00 26-11-01 -75.48 '
		'blocked,26-11 30.00 26-12-01 -105.48 blocked}', 'C3: from a first day in one of them')
) AS t (id, months, lines, why);
SELECT is(pg_temp.ahead(13, 1) IS NOT NULL
	AND (SELECT array_agg(replace(format('%s %s %s', charge, charged_on, balance), ' USD', '') ORDER BY period) FROM kb_forecast(13, 1))
	= '{30.00 2026-11-01 -30.00,30.00 2026-11-01 -60.00,30.00 2026-11-01 -90.00,30.00 2026-12-01 -120.00}', true,
	'C5: months to catch up, and their balance');
SELECT is(kb_amount_for(id, months)::text, amount, format('kb_amount_for(%s, %s)', id, months)) FROM (VALUES
	(1, 1, '30.00 USD'), (1, 3, '90.00 USD'), (1, 4, '150.00 USD'), (5, 2, '0.00 USD'), (5, 3, '15.00 USD'),
	(6, 1, '0.00 USD'), (7, 1, '0.01 USD'), (8, 1, '35.00 USD'),
	(11, 12, '0.00 USD'), (13, 1, '120.00 USD'), (14, 1, '40.00 USD'), (1, 1200, '71910.00 USD')	-- 3 * 30 + 1197 * 60
) AS t (id, months, amount);
SELECT pg_temp.open(18, 'yen')
\g /dev/null
SELECT is(kb_amount_for(18, 2), '2000 JPY'::kb_money, 'M1: in the account''s currency');
-- a deferral ends
SELECT pg_temp.open(19), kb_defer(19, '2026-12-20', 'support', 'asked')
\g /dev/null
SELECT is(pg_temp.ahead(19, 2), '{26-11 30.00 26-12-01 -30.00 grace,26-12 30.00 27-01-01 -60.00 blocked}', 'S4: a deferral that ends');
UPDATE account SET state = 'deleted' WHERE account_id = 9;
SELECT isnt(kb_amount_for(9, 1), NULL, 'D5: a deleted account owes nothing more');
SELECT is_empty('SELECT * FROM kb_forecast(9, 1)', 'D5: it is charged no more');
UPDATE account SET state = 'closing' WHERE account_id = 9;
SELECT is(pg_temp.ahead(9, 1), '{26-11 30.00 26-12-01 -30.00 grace}', 'D3: one that is closing is');

-- Usage: the pace of the running month and the one before, by days
-- On 10 November 41 days are past since 1 October, 20 of November are ahead

SELECT pg_temp.clock('2026-10-05 12:00+00')
\g /dev/null
SELECT pg_temp.open(id, 'usage', '2026-08-01 00:00+00') FROM generate_series(101, 112) AS id
\g /dev/null
SELECT pg_temp.open(113, 'usage', '2026-10-01 00:00+00')
\g /dev/null
SELECT pg_temp.clock('2026-11-10 12:00+00')
\g /dev/null
SELECT pg_temp.open(114, 'usage', '2026-11-06 00:00+00'), pg_temp.open(115, 'usage', '2026-11-10 00:00+00'),
	pg_temp.open(116, 'usage', '2026-10-22 00:00+00')
\g /dev/null
SELECT kb_record_usage(id, service, quantity, service || ord, ('2026-' || day || ' 06:00+00')::timestamptz, '{"user": "x"}')
FROM (VALUES
	(101, 1, 'sum', 310, '10-20'), (101, 2, 'sum', 100, '11-05'),
	(102, 1, 'sum', 410, '10-20'),
	(103, 1, 'sum', 41, '11-05'),
	(104, 1, 'count', 7, '10-01'), (104, 2, 'count', 7, '10-31'), (104, 3, 'count', 7, '11-01'),
	(105, 1, 'max', 8, '10-20'), (105, 2, 'max', 5, '11-05'),
	(106, 1, 'last', 8, '10-20'), (106, 2, 'last', 5, '11-05'), (106, 3, 'last', 6, '11-06'),
	(107, 1, 'unique', 1, '10-20'), (107, 2, 'unique', 1, '11-05'), (107, 3, 'unique', 1, '11-06'),
	(108, 1, 'max', 8, '10-20'),
	(109, 1, 'sum', 820, '09-20'),
	(110, 1, 'sum', 41, '10-20'), (110, 2, 'sum', -82, '10-21'),
	(111, 1, 'sum', 10.00, '11-10'),
	(114, 1, 'sum', 10, '11-07'), (115, 1, 'sum', 3, '11-10'), (116, 1, 'sum', 40, '10-25')
) AS t (id, ord, service, quantity, day)
\g /dev/null
SELECT kb_month_charge(id) FROM generate_series(101, 112) AS id, generate_series(1, 3)
\g /dev/null
SELECT kb_month_charge(116)
\g /dev/null
SELECT kb_apply_topup(id, (- balance), 'card', 'square') FROM account AS a, LATERAL (SELECT account_id) AS x (id)
	WHERE balance < 0 AND account_id > 100
\g /dev/null
SELECT is((SELECT array_agg(replace(charge::text, ' USD', '') ORDER BY period) FROM kb_forecast(id, 3)), charges,
	'pace: ' || why) FROM (VALUES
	(101, '{300.00,310.00,310.00}'::text[], '410 in 41 days: 100 and 20 days of 10, then a month of 31, twice'),
	(102, '{200.00,310.00,310.00}', 'nothing yet in the running month'),
	(103, '{61.00,31.00,31.00}', 'nothing in the one before: 1 a day'),
	(104, '{2.00,2.00,2.00}', '3 events in 41 days: 1 and 1.46, then 2.27'),
	(105, '{5.00,5.00,5.00}', 'a highest stays'),
	(106, '{6.00,6.00,6.00}', 'a last one stays'),
	(107, '{1.00,1.00,1.00}', 'a count of values stays'),
	(109, '{0.00,0.00,0.00}', 'what was two months ago does not count'),
	(110, '{0.00,0.00,0.00}', 'less than nothing is nothing'),
	(111, '{14.88,7.56,7.56}', 'to the decimals of the quantity: 10.00 and 4.878, 7.561'),
	(112, '{0.00,0.00,0.00}', 'without usage nothing'),
	(114, '{50.00,62.00,62.00}', 'from the account''s first day on: 10 in 5 days'),
	(115, '{63.00,93.00,93.00}', 'of a first day'),
	(116, '{40.00,62.00,62.00}', 'of a first month before: 40 in 20 days')
) AS t (id, charges, why);
SELECT is((SELECT array_agg(replace(charge::text, ' USD', '') ORDER BY period) FROM kb_forecast(108, 3)),
	'{8.00,8.00,8.00}', 'pace: a highest of the month before stays');
-- late usage is of the running month
SELECT kb_record_usage(112, 'sum', 31, 'late', '2026-10-20 06:00+00')
\g /dev/null
-- 31 in 41 days: 15.12, then 23.44
SELECT is((SELECT array_agg(replace(charge::text, ' USD', '') ORDER BY period) FROM kb_forecast(112, 3)),
	'{46.00,23.00,23.00}', 'pace, U3: late usage is billed with the running month, once');
-- months to catch up have their own usage, and no pace
SELECT kb_record_usage(113, 'sum', 310, 'o', '2026-10-20 06:00+00'), kb_record_usage(113, 'sum', 100, 'n', '2026-11-05 06:00+00')
\g /dev/null
SELECT is((SELECT array_agg(replace(charge::text, ' USD', '') ORDER BY period) FROM kb_forecast(113, 2)),
	'{310.00,300.00,310.00}', 'pace: a month that is due is as it was');
SELECT is(kb_amount_for(113, 2), '920.00 USD'::kb_money, 'kb_amount_for with usage');
SELECT is((SELECT charge FROM kb_forecast(101, 1)), '300.00 USD'::kb_money, 'pace: one month ahead');
SELECT is((SELECT kbilling.sum(amount) FROM kb_current_usage(101)), '100.00 USD'::kb_money,
	'C6: what is used so far stays what is used so far');
SELECT is(kb_balance(101, '2026-12-01 00:00+00'), '-100.00 USD'::kb_money, 'S6: the balance ahead goes by what was used so far');
SELECT is(kb_access_stage(101, '2026-12-10 00:00+00'), 'blocked', 'S6: and so does the stage');
-- on the last day nothing is added
SELECT pg_temp.clock('2026-11-30 23:59:59+00')
\g /dev/null
SELECT is((SELECT charge FROM kb_forecast(id, 1) ORDER BY period DESC LIMIT 1),
	(SELECT coalesce(kbilling.sum(amount), '0 USD') FROM kb_current_usage(id)),
	format('C6: on the last day the forecast of account %s is what is shown', id))
FROM generate_series(101, 112) AS id WHERE id NOT IN (108);
COMMIT;

-- Played on: what kb_amount_for says is enough, and a cent less is not (base fee and services only)

SET kbilling.clock = '2026-11-10 12:00+00';
CALL kb_sweep();
SELECT pg_temp.open(1000 + i, CASE i % 3 WHEN 0 THEN 'std' WHEN 1 THEN 'big' ELSE 'posting' END,
	'2026-11-01 00:00+00'::timestamptz + i * interval '7 hours',
	(ARRAY['UTC', 'Europe/Kyiv', 'Pacific/Kiritimati', 'America/New_York'])[1 + i % 4])
FROM generate_series(0, 29) AS i
\g /dev/null
SELECT kb_switch_on(1000 + i, 'seat', i % 4 + 1, '2026-11-12'::date + i) FROM generate_series(0, 29) AS i WHERE i % 3 <> 2
\g /dev/null
SELECT kb_set_tariff(1000 + i, 'big', '2026-12-05'::date + i) FROM generate_series(0, 29, 6) AS i
\g /dev/null
-- Somebody is always there, so that none is closed.
INSERT INTO activity SELECT account_id, '2099-01-01' FROM account ON CONFLICT (account_id) DO UPDATE SET active_at = excluded.active_at;
CREATE TEMP TABLE plan AS SELECT 1000::bigint + i AS id, i % 5 + 1 AS months,
	(kb_amount_for(1000 + i, i % 5 + 1)) AS amount, i % 2 AS less FROM generate_series(0, 29) AS i;
SELECT kb_apply_topup(id, CASE less WHEN 1 THEN amount - '0.01 USD'::kb_money ELSE amount END, 'card', 'ahead') FROM plan
\g /dev/null
SELECT is_empty('SELECT id FROM plan WHERE kb_amount_for(id, months) <> CASE less '
	'WHEN 1 THEN ''0.01 USD''::kb_money ELSE ''0 USD'' END', 'kb_amount_for: paid, nothing more is due');
CREATE TEMP TABLE foresaw AS SELECT id, f.* FROM plan, kb_forecast(id, 7) AS f;
-- what the account will be let do in the middle of each month, foreseen now
CREATE TEMP TABLE stages AS SELECT id, at, kb_access_stage(id, at) AS stage, kb_balance(id, at) AS balance,
	(kb_access(id, 'owner', at)).amount_due AS due
	FROM plan, generate_series(timestamptz '2026-12-03 12:00+00', '2027-05-30', '4 days') AS at;
CREATE TEMP TABLE lived (id bigint, at timestamptz, stage kb_stage, balance kb_money, due kb_money, status_stage kb_stage);
CREATE PROCEDURE pg_temp.live() LANGUAGE plpgsql AS $$
DECLARE
	t timestamptz;
BEGIN
	-- on the 1st too, wherever that is
	FOR t IN SELECT at FROM stages UNION SELECT generate_series(timestamptz '2026-12-01 08:00+00', '2027-05-01 08:00+00',
		'1 month') ORDER BY 1 LOOP
		PERFORM set_config('kbilling.clock', t::text, false);
		COMMIT;
		CALL kb_sweep();
		INSERT INTO lived SELECT id, t, kb_access_stage(id), kb_balance(id), (kb_access(id, 'owner')).amount_due,
			s.stage FROM plan JOIN account_status AS s ON s.account_id = id;
	END LOOP;
END $$;
CALL pg_temp.live();
SELECT is_empty('SELECT * FROM stages JOIN lived USING (id, at) WHERE (stages.stage, stages.balance, '
	'stages.due) IS DISTINCT FROM (lived.stage, lived.balance, lived.due) OR lived.stage <> lived.status_stage',
	'S6: stage, balance and amount due ahead are what comes');
SELECT results_eq('SELECT id, period, charge, charged_on, balance FROM foresaw WHERE charged_on <= ''2027-05-01'' ORDER BY 1, 2',
	$$SELECT e.account_id, e.period, - e.amount, e.effective_on, e.balance_after FROM entry AS e JOIN plan ON id = account_id
		WHERE kind = 'charge' ORDER BY 1, 2$$,
	'C5: the forecast is what is charged');
SELECT is_empty($$SELECT * FROM plan JOIN lived USING (id) WHERE less = 0 AND balance < 0
	AND at < '2026-11-30 10:00+00'::timestamptz + months * interval '1 month'$$,
	'kb_amount_for: the balance lasts so many months');
SELECT is_empty($$SELECT * FROM plan WHERE less = 1 AND NOT EXISTS (SELECT FROM lived WHERE lived.id = plan.id AND balance < 0
	AND at < '2026-11-30 10:00+00'::timestamptz + months * interval '1 month')$$, 'kb_amount_for: a cent less does not');
SELECT is_empty('SELECT * FROM sweep_failure', 'W3: no account failed');

SELECT * FROM finish();
