-- The month charge (rules C1 to C8)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/state.sql
BEGIN;

SET LOCAL kbilling.clock = '2028-06-15 12:00+00';
INSERT INTO policy (policy, debt_counts_from) VALUES ('by_posting', 'posting_date');
SELECT kb_create_tariff('std', 'USD'), kb_create_tariff('big', 'USD'), kb_create_tariff('odd', 'USD'),
	kb_create_tariff('free', 'USD'), kb_create_tariff('none', 'USD'), kb_create_tariff('once', 'USD'),
	kb_create_tariff('yen', 'JPY'), kb_create_tariff('posting', 'USD', policy => 'by_posting')
\g /dev/null
SELECT kb_create_service('seat', 'recurring'), kb_create_service('source', 'recurring'), kb_create_service('setup', 'recurring')
\g /dev/null
SELECT kb_set_price('std', 'base', '30.00'), kb_set_price('std', 'seat', '4.00 each'), kb_set_price('std', 'source', '10.00'),
	kb_set_price('std', 'setup', '5.00 each', prorate => false),
	kb_set_price('big', 'base', '90.00'), kb_set_price('big', 'source', '20.00'),
	kb_set_price('odd', 'base', '19.00'), kb_set_price('free', 'base', '0.00'),
	kb_set_price('once', 'base', '30.00', prorate => false),
	kb_set_price('yen', 'base', '1000'), kb_set_price('posting', 'base', '30.00')
\g /dev/null

CREATE FUNCTION pg_temp.open(id bigint, tariff text, since timestamptz, zone text = 'UTC') RETURNS bigint LANGUAGE sql
	RETURN kb_create_account('olena', tariff, id, zone, created_at => since);

-- The lines of a charge: "service from-to quantity x unit price = amount", and the total
CREATE FUNCTION pg_temp.bill(id bigint, month date) RETURNS text[] LANGUAGE sql BEGIN ATOMIC
	SELECT array_agg(format('%s %s-%s %s x %s = %s', l.service, extract(day FROM l.from_date), extract(day FROM l.to_date),
			l.quantity, l.price, l.amount) ORDER BY l.line_no)
		|| (SELECT (- e.amount)::text FROM entry AS e WHERE e.account_id = id AND e.period = month)
	FROM charge_line AS l WHERE l.account_id = id AND l.period = month;
END;

-- All that a refused or repeated charge must leave as it is
CREATE FUNCTION pg_temp.books() RETURNS text LANGUAGE sql BEGIN ATOMIC
	SELECT md5((SELECT string_agg(a::text, ';' ORDER BY account_id) FROM account AS a)
		|| (SELECT string_agg(e::text, ';' ORDER BY account_id, seq) FROM entry AS e));
END;

-- C1

CREATE TEMP TABLE midnight (id bigint, zone text, since timestamptz, month_ends timestamptz);
INSERT INTO midnight VALUES
	(101, 'UTC', '2026-11-01 00:00+00', '2026-12-01 00:00+00'),
	(102, 'Pacific/Kiritimati', '2026-10-31 10:00+00', '2026-11-30 10:00+00'),
	(103, 'Etc/GMT+12', '2026-11-01 12:00+00', '2026-12-01 12:00+00'),
	(104, 'Europe/Kyiv', '2026-10-31 22:00+00', '2026-11-30 22:00+00'),
	(105, 'America/New_York', '2026-11-01 04:00+00', '2026-12-01 05:00+00');	-- summer time ends on the 1st
SELECT pg_temp.open(id, 'std', since, zone) FROM midnight
\g /dev/null
CREATE FUNCTION pg_temp.charge_at(id bigint, at timestamptz, month date = NULL) RETURNS kb_charge_result LANGUAGE sql AS $$
	SELECT set_config('kbilling.clock', at::text, true);
	SELECT kbilling.kb_month_charge(id, month);
$$;
SELECT throws_ok(format('SELECT pg_temp.charge_at(%s, %L)', id, month_ends - interval '1 microsecond'), 'KB009', NULL,
	format('C1: in %s November is not charged before its own midnight', zone))
FROM midnight;
SELECT is(pg_temp.charge_at(id, month_ends), '(2026-11-01,1,30.00 USD,-30.00 USD,grace,f)',
	format('C1: in %s it is charged from midnight on', zone))
FROM midnight;
SELECT results_eq(format('SELECT effective_on, debt_since, posted_at FROM entry WHERE account_id = %s', id),
	format($$VALUES (date '2026-12-01', date '2026-12-01', timestamptz %L)$$, month_ends),
	format('C1: in %s it takes effect on the local 1st', zone))
FROM midnight;
SELECT is(pg_temp.bill(id, '2026-11-01'), '{base 1-30 1 x 30.00 = 30.00 USD,30.00 USD}', format('C2: the base fee in %s', zone))
FROM midnight;

-- C3, days

CREATE TEMP TABLE first_day (id bigint, since date, charged date, days int, of int, amount text);
INSERT INTO first_day VALUES
	(201, '2026-02-01', '2026-03-01', 28, 28, '19.00 USD'),
	(202, '2026-02-15', '2026-03-01', 14, 28, '9.50 USD'),
	(203, '2028-02-29', '2028-03-01', 1, 29, '0.66 USD'),	-- 0.6552
	(204, '2028-02-15', '2028-03-01', 15, 29, '9.83 USD'),	-- 9.8276
	(205, '2026-11-10', '2026-12-01', 21, 30, '13.30 USD'),
	(206, '2026-11-30', '2026-12-01', 1, 30, '0.63 USD'),	-- 0.6333
	(207, '2026-12-31', '2027-01-01', 1, 31, '0.61 USD'),	-- 0.6129
	(208, '2026-12-17', '2027-01-01', 15, 31, '9.19 USD'),	-- 9.1935
	(209, '2026-12-02', '2027-01-01', 30, 31, '18.39 USD');	-- 18.3871
SET LOCAL kbilling.clock = '2028-06-15 12:00+00';
SELECT pg_temp.open(id, 'odd', since + time '23:59:59.999999' AT TIME ZONE 'UTC') FROM first_day
\g /dev/null
SELECT is((pg_temp.charge_at(id, charged)).total::text, amount, format('C3: from %s on, %s of %s days', since, days, of))
FROM first_day;
SELECT results_eq(format('SELECT from_date, to_date, days, days_in_month FROM charge_line WHERE account_id = %s', id),
	format('VALUES (date %L, date %L, %s, %s)', since, charged - 1, days, of), format('C3: the line of %s says so', since))
FROM first_day;

-- C2, C3: what changes inside the month

SET LOCAL kbilling.clock = '2026-11-01 12:00+00';
SELECT pg_temp.open(id, tariff, '2026-11-01 00:00+00')
FROM (VALUES (301, 'std'), (302, 'std'), (303, 'std'), (304, 'std'), (305, 'std'), (306, 'std'), (307, 'std'), (308, 'std'),
	(311, 'once'), (312, 'odd'), (313, 'yen'), (314, 'std')) AS t (id, tariff)
\g /dev/null
SELECT kb_set_price('odd', 'base', '0.15', '2026-11-02'),
	kb_set_price('odd', 'base', '0.45', '2026-11-30'),
	kb_set_price('yen', 'base', '1015', '2026-11-16'),
	kb_set_tariff(302, 'big', '2026-11-21'),
	kb_switch_on(303, 'seat', 3, '2026-11-11'), kb_switch_off(303, 'seat', '2026-11-21'),
	kb_switch_on(304, 'source'), kb_switch_off(304, 'source', '2026-11-04'), kb_switch_on(304, 'source', 1, '2026-11-29'),
	kb_switch_on(305, 'seat', 1), kb_switch_on(305, 'seat', 5, '2026-11-16'), kb_switch_on(305, 'seat', 0.5, '2026-11-25'),
	kb_switch_on(306, 'source', 1, '2026-11-05'), kb_switch_off(306, 'source', '2026-11-05'),
	kb_switch_on(306, 'seat', 1, '2026-12-01'),
	kb_switch_on(307, 'setup', 1), kb_switch_off(307, 'setup', '2026-11-05'), kb_switch_on(307, 'setup', 3, '2026-11-20'),
	kb_switch_on(308, 'source'), kb_set_tariff(308, 'big', '2026-11-16'), kb_switch_on(308, 'source', 2, '2026-11-16'),
	kb_switch_on(314, 'source'), kb_switch_on(314, 'setup'), kb_switch_on(314, 'seat', 2), kb_switch_off(314, 'seat', '2026-12-01')
\g /dev/null
SET LOCAL kbilling.clock = '2026-11-20 23:59+00';
SELECT pg_temp.open(310, 'once', '2026-11-20 23:59+00')
\g /dev/null
SET LOCAL kbilling.clock = '2026-12-01 00:00+00';
SELECT kb_month_charge(id) FROM unnest('{301,302,303,304,305,306,307,308,310,311,312,313,314}'::int[]) AS id
\g /dev/null
SELECT is(pg_temp.bill(id, '2026-11-01'), bill, description) FROM (VALUES
	(301, '{base 1-30 1 x 30.00 = 30.00 USD,30.00 USD}'::text[], 'C2: an account that nobody uses owes the base fee'),
	(302, '{base 1-20 1 x 30.00 = 20.00 USD,base 21-30 1 x 90.00 = 30.00 USD,50.00 USD}',
		'C3: a tariff that changes makes one line for each part'),
	(303, '{base 1-30 1 x 30.00 = 30.00 USD,seat 11-20 3 x 4.00 each = 4.00 USD,34.00 USD}',
		'C3: a service is charged for the days that it was on'),
	(304, '{base 1-30 1 x 30.00 = 30.00 USD,source 1-3 1 x 10.00 = 1.00 USD,source 29-30 1 x 10.00 = 0.67 USD,31.67 USD}',
		'C3: on twice, two lines'),
	(305, '{base 1-30 1 x 30.00 = 30.00 USD,seat 1-15 1 x 4.00 each = 2.00 USD,seat 16-24 5 x 4.00 each = 6.00 USD,seat '
		'25-30 0.5 x 4.00 each = 0.40 USD,38.40 USD}', 'C3: a quantity that changes makes one line for each part'),
	(306, '{base 1-30 1 x 30.00 = 30.00 USD,30.00 USD}', 'C3: off on the day it was switched on, or on from the next month: no line'),
	(307, '{base 1-30 1 x 30.00 = 30.00 USD,setup 20-30 3 x 5.00 each = 15.00 USD,45.00 USD}',
		'C3: without proration the full price, once, by the last part'),
	(308, '{base 1-15 1 x 30.00 = 15.00 USD,base 16-30 1 x 90.00 = 45.00 USD,source 1-15 1 x 10.00 = 5.00 USD,source 16-30 '
		'2 x 20.00 = 10.00 USD,75.00 USD}', 'C3: tariff and quantity change on one day'),
	(310, '{base 20-30 1 x 30.00 = 30.00 USD,30.00 USD}', 'C3: a base fee without proration is due in full in the first month'),
	(311, '{base 1-30 1 x 30.00 = 30.00 USD,30.00 USD}', 'C3: and in a whole month'),
	-- 0.6333, 0.14, 0.015
	(312, '{base 1-1 1 x 19.00 = 0.63 USD,base 2-29 1 x 0.15 = 0.14 USD,base 30-30 1 x 0.45 = 0.02 USD,0.79 USD}',
		'C3, M4: a price that changes; lines are rounded half away from zero'),
	-- 500, 507.5
	(313, '{base 1-15 1 x 1000 = 500 JPY,base 16-30 1 x 1015 = 508 JPY,1008 JPY}', 'M4: to the currency''s own minor unit'),
	(314, '{base 1-30 1 x 30.00 = 30.00 USD,seat 1-30 2 x 4.00 each = 8.00 USD,setup 1-30 1 x 5.00 each = 5.00 USD,source '
		'1-30 1 x 10.00 = 10.00 USD,53.00 USD}', 'C2: the base fee first, then the services by name')
) AS t (id, bill, description);

SET LOCAL kbilling.clock = '2027-01-01 00:00+00';
SELECT kb_month_charge(id) FROM unnest('{303,306,314}'::int[]) AS id
\g /dev/null
SELECT is(pg_temp.bill(id, '2026-12-01'), bill, description) FROM (VALUES
	(303, '{base 1-31 1 x 30.00 = 30.00 USD,30.00 USD}'::text[], 'C2: what was switched off costs nothing in the next month'),
	(306, '{base 1-31 1 x 30.00 = 30.00 USD,seat 1-31 1 x 4.00 each = 4.00 USD,34.00 USD}',
		'C2: what was switched on ahead begins with the next month'),
	(314, '{base 1-31 1 x 30.00 = 30.00 USD,setup 1-31 1 x 5.00 each = 5.00 USD,source 1-31 1 x 10.00 = 10.00 USD,45.00 '
		'USD}', 'C3: off from the 1st, the month before was whole')
) AS t (id, bill, description);

-- M4: the lines of a service in a period are rounded together

SELECT kb_create_service('gb', 'recurring', 'GB'), kb_create_tariff('store', 'USD'), kb_create_tariff('yen2', 'JPY'),
	kb_set_price('store', 'gb', '0.023 each'), kb_set_price('store', 'base', '0.01'), kb_set_price('yen2', 'gb', '0.5 each')
\g /dev/null
SELECT pg_temp.open(320 + n, tariff, '2026-09-01 00:00+00')
FROM (VALUES (1, 'store'), (2, 'store'), (3, 'yen2')) AS t (n, tariff)
\g /dev/null
SELECT count(kb_switch_on(id, 'gb', CASE WHEN id = 322 THEN 600 ELSE 5 END + day % 2, date '2026-11-01' + day))
FROM unnest('{321,322,323}'::int[]) AS id, generate_series(0, 29) AS day
\g /dev/null
SELECT kb_set_price('store', 'base', '0.02', '2026-11-02'), kb_set_price('store', 'base', '0.03', '2026-11-03')
\g /dev/null
CREATE FUNCTION pg_temp.sum_of(id bigint, service text) RETURNS text LANGUAGE sql BEGIN ATOMIC
	SELECT kbilling.sum(l.amount)::text FROM charge_line AS l
	WHERE l.account_id = id AND l.service = sum_of.service AND l.period = date '2026-11-01';
END;
SELECT kb_month_charge(id) FROM unnest('{321,322,323}'::int[]) AS id, generate_series(1, 3)
\g /dev/null
SELECT is(pg_temp.sum_of(id, service), amount, 'M4: ' || description) FROM (VALUES
	(321, 'gb', '0.13 USD', 'thirty days of 5 and 6 GB in turn'),	-- 15 x 11 x 0.023 / 30 = 0.1265
	(322, 'gb', '13.81 USD', 'of 600 and 601 GB'),	-- 15 x 1201 x 0.023 / 30 = 13.8115
	(323, 'gb', '3 JPY', 'in yen'),	-- 15 x 11 x 0.5 / 30 = 2.75
	(321, 'base', '0.03 USD', 'three prices of a base fee')	-- (0.01 + 0.02 + 28 x 0.03) / 30 = 0.029
) AS t (id, service, amount, description);
SELECT is((SELECT array_agg(amount::text ORDER BY line_no) FROM charge_line WHERE account_id = 321 AND service = 'base'
		AND period = '2026-11-01'),
	'{"0.00 USD","0.00 USD","0.03 USD"}', 'M4: each line rounds the sum so far, less what the lines before it are');
SET LOCAL kbilling.clock = '2027-05-01 00:00+00';
SELECT pg_temp.open(330, 'std', '2027-05-01 00:00+00'), kb_set_price('std', 'gb', '1.00 each')
\g /dev/null
SELECT count(kb_switch_on(330, 'gb', quantity, ('2027-05-' || day)::date))
FROM (VALUES (60, 20), (135, 21), (225, 22), (280, 23), (380, 26)) AS t (quantity, day)
\g /dev/null
SELECT is((pg_temp.charge_at(330, '2027-06-01')).total::text, '144.19 USD', 'M4: five quantities in a month, and the base fee');
SELECT is((SELECT kbilling.sum(amount)::text FROM charge_line WHERE account_id = 330 AND service = 'gb'), '114.19 USD',
	'M4: (60 + 135 + 225 + 3 x 280 + 6 x 380) / 31 = 114.1935');

CREATE FUNCTION pg_temp.usage_at(id bigint, at timestamptz) RETURNS text[] LANGUAGE sql AS $$
	SELECT set_config('kbilling.clock', at::text, true);
	SELECT array_agg(format('%s %s-%s = %s', service, extract(day FROM from_date), extract(day FROM to_date), amount) ORDER BY line_no)
	FROM kbilling.kb_current_usage(id);
$$;
-- C2, P: the minimum of a metered service is owed by the day, whether it was used or not; a maximum is by the day, too

SET LOCAL kbilling.clock = '2026-11-01 00:00+00';
SELECT kb_create_service(s, 'metered') FROM unnest('{call,sms}'::text[]) AS s
\g /dev/null
SELECT kb_create_tariff(t, 'USD') FROM unnest('{least,most,plain,once_least,mixed,packs}'::text[]) AS t
\g /dev/null
SELECT kb_set_price('least', 'call', '1.00 each min 30.00'), kb_set_price('most', 'call', '1.00 each max 30.00'),
	kb_set_price('plain', 'call', '1.00 each'), kb_set_price('once_least', 'call', '1.00 each min 30.00 max 50.00', prorate => false),
	kb_set_price('mixed', 'call', '2.5% + 0.30 min 6.00'), kb_set_price('mixed', 'sms', '1.00 each min 0'),
	kb_set_price('packs', 'call', '15.00 per 10 min 100.00')
\g /dev/null
SELECT pg_temp.open(340 + n, tariff, '2026-11-01 00:00+00')
FROM unnest('{least,least,least,most,most,once_least,once_least,plain,mixed,least,packs,packs,packs,packs,most}'::text[])
	WITH ORDINALITY AS t (tariff, n)
\g /dev/null
SELECT pg_temp.open(356, 'least', '2026-11-21 12:00+00') FROM set_config('kbilling.clock', '2026-11-21 12:00+00', true)
\g /dev/null
SET LOCAL kbilling.clock = '2026-11-01 00:00+00';
SELECT kb_set_tariff(342, 'plain', '2026-11-11'), kb_set_tariff(343, 'plain', '2026-11-11'), kb_set_tariff(343, 'least', '2026-11-21')
\g /dev/null
SELECT kb_set_tariff(345, 'plain', '2026-11-16'), kb_set_tariff(347, 'packs', '2026-11-16'), kb_set_tariff(348, 'least', '2026-11-16')
\g /dev/null
SELECT kb_record_usage(id, 'call', quantity, 'k' || n, at)
FROM (VALUES (1, 342, 4, '2026-11-01'::timestamptz), (2, 343, 4, '2026-11-01'), (3, 344, 99, '2026-11-01'), (4, 345, 99, '2026-11-01'),
	(5, 348, 40, '2026-11-01'), (6, 350, 31, '2026-11-01'), (7, 352, 1, '2026-11-01'), (8, 353, 0, '2026-11-01'), (9, 354, 1, '2026-11-01'),
	(10, 354, -1, '2026-11-01'), (11, 355, 3, '2026-11-01')) AS t (n, id, quantity, at)
\g /dev/null
SET LOCAL kbilling.clock = '2026-11-25 00:00+00';
SELECT kb_record_usage(342, 'call', 7, 'k')
\g /dev/null
SELECT is(pg_temp.usage_at(id, at::timestamptz), lines, format('C6, C2: a minimum so far, %s', description)) FROM (VALUES
	(341, '2026-11-01 12:00+00', '{call 1-1 = 1.00 USD}'::text[], 'on the first day'),
	(341, '2026-11-10 12:00+00', '{call 1-10 = 10.00 USD}', 'on the tenth'),
	(344, '2026-11-10 12:00+00', '{call 1-10 = 10.00 USD}', 'and a maximum'),
	(346, '2026-11-10 12:00+00', '{call 1-10 = 30.00 USD}', 'without proration')
) AS t (id, at, lines, description);
SET LOCAL kbilling.clock = '2026-12-01 00:00+00';
SELECT kb_month_charge(id) FROM generate_series(341, 356) AS id
\g /dev/null
SELECT is(pg_temp.bill(id, '2026-11-01'), bill, description) FROM (VALUES
	(341, '{call 1-30 0 x 1.00 each min 30.00 = 30.00 USD,30.00 USD}'::text[], 'C2: nothing was used, the minimum is owed'),
	(342, '{call 1-10 4 x 1.00 each min 30.00 = 10.00 USD,call 11-30 7 x 1.00 each = 7.00 USD,17.00 USD}',
		'C3, P: for the days on which the price held'),
	(343, '{call 1-30 4 x 1.00 each min 30.00 = 20.00 USD,20.00 USD}', 'C3, P: of a tariff that is returned to, once'),
	(344, '{call 1-30 99 x 1.00 each max 30.00 = 30.00 USD,30.00 USD}', 'P: a maximum'),
	(345, '{call 1-15 99 x 1.00 each max 30.00 = 15.00 USD,15.00 USD}', 'P: a maximum of half a month'),
	(346, '{call 1-30 0 x 1.00 each min 30.00 max 50.00 = 30.00 USD,30.00 USD}', 'P: without proration in full'),
	(347, '{call 1-15 0 x 1.00 each min 30.00 max 50.00 = 15.00 USD,call 16-30 0 x 15.00 per 10 min 100.00 = 50.00 USD,65.00 USD}',
		'C3, P: by day, if a price with proration follows'),
	(348, '{call 1-15 40 x 1.00 each = 40.00 USD,call 16-30 0 x 1.00 each min 30.00 = 15.00 USD,55.00 USD}',
		'C2, P: a tariff with a minimum begins'),
	(349, '{call 1-30 0 x 2.5% + 0.30 min 6.00 = 6.00 USD,6.00 USD}', 'C2: no event, no fee; and a minimum of zero makes no line'),
	(350, '{call 1-30 31 x 1.00 each min 30.00 = 31.00 USD,31.00 USD}', 'P: above the minimum'),
	(351, '{call 1-30 0 x 15.00 per 10 min 100.00 = 100.00 USD,100.00 USD}', 'P: no package'),
	(352, '{call 1-30 1 x 15.00 per 10 min 100.00 = 100.00 USD,100.00 USD}', 'P: one'),
	(353, '{call 1-30 0 x 15.00 per 10 min 100.00 = 100.00 USD,100.00 USD}', 'P: an event of nothing'),
	(354, '{call 1-30 0 x 15.00 per 10 min 100.00 = 100.00 USD,100.00 USD}', 'P: all taken back'),
	(355, '{call 1-30 3 x 1.00 each max 30.00 = 3.00 USD,3.00 USD}', 'P: below the maximum'),
	(356, '{call 21-30 0 x 1.00 each min 30.00 = 10.00 USD,10.00 USD}', 'C3, P: from the account''s first day on')
) AS t (id, bill, description);
SELECT is(kb_rate('15.00 per 10 min 100.00', 0, 'USD', 0)::text, '100.00 USD', 'P: what kb_rate says of nothing is what is charged');
SELECT results_eq('SELECT account_id, days, days_in_month FROM charge_line WHERE account_id IN (342, 343) ORDER BY account_id, line_no',
	'VALUES (342::bigint, 10, 30), (342, NULL, NULL), (343, 20, 30)', 'C7: the line says for how many days its bounds count');
SELECT is_empty('SELECT * FROM kb_check()', 'C2: and the books are right');

-- U3: of late usage, the minimum was billed before
SELECT kb_record_usage(id, 'call', quantity, 'late', '2026-11-05 00:00+00')
FROM (VALUES (341, 5), (342, 7), (350, -5), (356, 11)) AS t (id, quantity) WHERE id <> 356
\g /dev/null
SELECT kb_record_usage(356, 'call', 11, 'late', '2026-11-25 00:00+00')
\g /dev/null
SET LOCAL kbilling.clock = '2027-01-01 00:00+00';
SELECT kb_month_charge(id) FROM unnest('{341,342,350,356}'::int[]) AS id
\g /dev/null
SELECT is((SELECT amount::text FROM charge_line WHERE account_id = id AND period = '2026-12-01' AND what = 'late usage'), amount,
	'U3, P: ' || description) FROM (VALUES
	(341, '0.00 USD', 'five units are covered by the minimum that was billed'),
	(342, '1.00 USD', 'what is above the minimum of its days is owed'),	-- 4 + 7 against 10
	(350, '-1.00 USD', 'what is taken back is given back down to the minimum'),	-- 31 - 5 against 30
	(356, '1.00 USD', 'of an account''s first days')	-- 11 against 10
) AS t (id, amount, description);

-- M4, U3: two prices of a month, of which each adds a fraction of a cent, are rounded together, late usage with them
SET LOCAL kbilling.clock = '2026-11-01 00:00+00';
SELECT kb_create_tariff('low', 'USD'), kb_create_tariff('lower', 'USD'), kb_set_price('low', 'call', '0.004 each'),
	kb_set_price('lower', 'call', '0.003 each min 0.006')
\g /dev/null
SELECT pg_temp.open(360, 'low', '2026-11-01 00:00+00'), kb_set_tariff(360, 'lower', '2026-11-16')
\g /dev/null
SELECT kb_record_usage(360, 'call', 1, 'a')
\g /dev/null
SET LOCAL kbilling.clock = '2026-12-01 00:00+00';
SELECT kb_month_charge(360)
\g /dev/null
SELECT is(pg_temp.bill(360, '2026-11-01'), '{call 1-15 1 x 0.004 each = 0.00 USD,call 16-30 0 x 0.003 each min 0.006 = 0.01 USD,0.01 USD}',
	'M4, C2: 0.004 and half a minimum of 0.006');
SELECT kb_record_usage(360, 'call', 2, 'b', '2026-11-02 00:00+00')
\g /dev/null
SET LOCAL kbilling.clock = '2027-01-01 00:00+00';
SELECT kb_month_charge(360)
\g /dev/null
SELECT is(kbilling.sum(amount)::text, '0.02 USD', 'M4, U3: 3 x 0.004 and 0.003 are 0.015, in two bills')
FROM charge_line WHERE account_id = 360 AND from_date < '2026-12-01';

-- C4

SET LOCAL kbilling.clock = '2026-12-05 12:00+00';
SELECT pg_temp.open(401, 'std', '2026-09-10 00:00+00'), pg_temp.open(402, 'std', '2026-11-30 12:00+00'),
	pg_temp.open(403, 'std', '2026-11-01 00:00+00')
\g /dev/null
SELECT pg_temp.put_state(403, 'deleted')
\g /dev/null
SELECT pg_temp.books() AS before
\gset
SELECT throws_ok(format('SELECT kb_month_charge(%s)', arguments), state, NULL, 'C4: ' || description) FROM (VALUES
	('401, ''2026-10-01''', 'KB009', 'September comes before October'),
	('401, ''2026-11-01''', 'KB009', 'and before November'),
	('401, ''2026-12-01''', 'KB009', 'a month that has not ended'),
	('401, ''2030-01-01''', 'KB009', 'a month that has not begun'),
	('401, ''2026-08-01''', 'KB009', 'a month before the account''s first day'),
	('101, ''2026-10-01''', 'KB009', 'a month before the account''s first day, although later ones are charged'),
	('101', 'KB009', 'nothing is due any more'),
	('401, ''2026-09-10''', '22023', 'a period is named by its first day'),
	('401, ''infinity''', '22008', 'infinity is no month'),
	('401, ''-infinity''', '22008', 'nor is its opposite'),
	('NULL', '22004', 'which account?'),
	('999', 'KB001', 'an account that does not exist'),
	('403', 'KB010', 'an account that is deleted')
) AS t (arguments, state, description);
SELECT is(pg_temp.books(), :'before', 'C4: what was refused has changed nothing');

SELECT is(kb_month_charge(401, '2026-09-01'), '(2026-09-01,1,21.00 USD,-21.00 USD,remind,f)', 'C4: the oldest first, 21 of 30 days');
SELECT is(kb_month_charge(401), '(2026-10-01,2,30.00 USD,-51.00 USD,remind,f)', 'C4: then the next');
SELECT is(kb_month_charge(401), '(2026-11-01,3,30.00 USD,-81.00 USD,remind,f)', 'C4: then the last one that has ended');
SELECT is(kb_month_charge(402), '(2026-11-01,1,1.00 USD,-1.00 USD,remind,f)',
	'C3: an account''s first day counts, be it the last of a month');
SELECT pg_temp.books() AS before
\gset
SELECT is(kb_month_charge(401, period::date), result::kb_charge_result, 'C4: charged once, ' || period || ' is only repeated')
FROM (VALUES
	('2026-09-01', '(2026-09-01,1,21.00 USD,-21.00 USD,remind,t)'),
	('2026-10-01', '(2026-10-01,2,30.00 USD,-51.00 USD,remind,t)'),
	('2026-11-01', '(2026-11-01,3,30.00 USD,-81.00 USD,remind,t)')
) AS t (period, result);
SET LOCAL kbilling.clock = '2026-12-31 23:59+00';
SELECT is(kb_month_charge(401, '2026-11-01'), '(2026-11-01,3,30.00 USD,-81.00 USD,remind,t)',
	'C4: the first answer, stage and all, on a later day too');
SELECT is(pg_temp.books(), :'before', 'C4: repeating changes nothing');
SELECT throws_ok($$SELECT kb_switch_on(401, 'seat', 1, '2026-11-30')$$, 'KB009', NULL,
	'C4: no change reaches into a month that is charged');
SELECT throws_ok($$SELECT kb_set_tariff(401, 'big', '2026-11-30')$$, 'KB009', NULL, 'C4: nor does another tariff');

-- C5

SET LOCAL kbilling.clock = '2026-12-03 12:00+00';
SELECT pg_temp.open(501, 'std', '2026-11-01 00:00+00'), pg_temp.open(502, 'std', '2026-09-01 00:00+00'),
	pg_temp.open(503, 'posting', '2026-11-01 00:00+00'), pg_temp.open(504, 'posting', '2026-09-01 00:00+00'),
	pg_temp.open(505, 'posting', '2026-10-31 10:00+00', 'Pacific/Kiritimati'), pg_temp.open(506, 'std', '2026-11-01 00:00+00')
\g /dev/null
SELECT kb_month_charge(id) FROM unnest('{501,502,502,502,503,504,504,504}'::int[]) AS id
\g /dev/null
SELECT pg_temp.charge_at(505, '2026-11-30 10:30+00')
\g /dev/null
SELECT is(array(SELECT DISTINCT (effective_on, debt_since)::text FROM entry WHERE account_id = id), array[dates], 'C5: ' || description)
FROM (VALUES
	(501, '(2026-12-01,2026-12-01)', 'a sweep on the 3rd dates the debt to the 1st'),
	(502, '(2026-12-01,2026-12-01)', 'a catch-up of three months dates it no further back'),
	(503, '(2026-12-03,2026-12-03)', 'with posting_date to the day of posting'),
	(504, '(2026-12-03,2026-12-03)', 'and a catch-up too'),
	(505, '(2026-12-01,2026-12-01)', 'which is the account''s local date')
) AS t (id, dates, description);
SELECT is(pg_temp.charge_at(506, '2026-12-10 00:00+00'), '(2026-11-01,1,30.00 USD,-30.00 USD,blocked,f)',
	'C5: the stages follow the calendar, however late the sweep');

-- C6

SET LOCAL kbilling.clock = '2026-11-01 00:00+00';
SELECT pg_temp.open(601, 'std', '2026-11-01 00:00+00'), kb_switch_on(601, 'seat', 2, '2026-11-11'), kb_set_tariff(601, 'big', '2026-11-21')
\g /dev/null
SELECT is(pg_temp.usage_at(601, at::timestamptz), lines, format('C6: used so far, at %s', at)) FROM (VALUES
	('2026-11-01 00:00+00', '{base 1-1 = 1.00 USD}'::text[]),
	('2026-11-10 23:59+00', '{base 1-10 = 10.00 USD}'),
	('2026-11-11 00:00+00', '{base 1-11 = 11.00 USD,seat 11-11 = 0.27 USD}'),	-- 0.2667
	('2026-11-20 12:00+00', '{base 1-20 = 20.00 USD,seat 11-20 = 2.67 USD}'),	-- 2.6667
	('2026-11-21 12:00+00', '{base 1-20 = 20.00 USD,base 21-21 = 3.00 USD,seat 11-20 = 2.67 USD}'),	-- "big" prices no seat
	('2026-12-01 00:00+00', '{base 1-1 = 2.90 USD}')	-- 2.9032, November being over though not charged
) AS t (at, lines);
SELECT is_empty('SELECT * FROM kb_current_usage(403)', 'C6: an account that is deleted uses nothing');
SELECT throws_ok('SELECT * FROM kb_current_usage(999)', 'KB001', NULL, 'C6: an account that does not exist');
SELECT throws_ok('SELECT * FROM kb_current_usage(NULL)', '22004', NULL, 'C6: which account?');

-- C7

CREATE TEMP TABLE lines_before AS SELECT * FROM charge_line;
SELECT kb_set_price('std', 'base', '1.00'), kb_set_price('std', 'seat', '1.00 each', '2026-11-05', false),
	kb_set_price('std', 'source', '99.00', '2026-10-01'), kb_set_price('big', 'base', '0.00')
\g /dev/null
SELECT results_eq('SELECT * FROM charge_line ORDER BY account_id, seq, line_no',
	'SELECT * FROM lines_before ORDER BY account_id, seq, line_no',
	'C7: prices that change afterwards change no line of a charge');
SELECT is_empty('SELECT * FROM kb_check()', 'C7: and the books are right');

-- C8

SET LOCAL kbilling.clock = '2026-11-01 00:00+00';
SELECT pg_temp.open(801, 'free', '2026-11-01 00:00+00'), pg_temp.open(802, 'none', '2026-11-01 00:00+00'),
	kb_adjust(801, '7.00 USD', 'gift', 'welcome')
\g /dev/null
SET LOCAL kbilling.clock = '2026-12-01 00:00+00';
SELECT is(kb_month_charge(801), '(2026-11-01,,0.00 USD,7.00 USD,ok,f)', 'C8: a month that comes to zero is charged as nothing');
SELECT is(kb_month_charge(802), '(2026-11-01,,0.00 USD,0.00 USD,ok,f)', 'C8: so is one of a tariff without prices');
SELECT results_eq('SELECT last_seq, charged_through FROM account WHERE account_id IN (801, 802) ORDER BY account_id',
	$$VALUES (1::bigint, date '2026-11-30'), (0, '2026-11-30')$$, 'C8: there is no entry, and the month is closed');
SELECT is(kb_month_charge(801, '2026-11-01'), '(2026-11-01,,0.00 USD,7.00 USD,ok,t)', 'C8: repeating it says so');
SELECT throws_ok('SELECT kb_month_charge(801)', 'KB009', NULL, 'C8: it is charged once');

-- A charge that cannot be posted

SELECT pg_temp.open(901, 'once', '2026-11-01 00:00+00'),
	kb_adjust(901, '-90071992547400.00 USD', 'deep', 'as deep as it goes')
\g /dev/null
SELECT pg_temp.books() AS before
\gset
SELECT throws_ok('SELECT kb_month_charge(901)', '22003', NULL, 'M1: a charge beyond the range of a balance');
SELECT is(pg_temp.books(), :'before', 'C4: and nothing is changed by it');
ROLLBACK;

-- Two copies of many accounts: one is charged by kb_month_charge, one by the sweep.

CREATE TEMP TABLE pick AS
	SELECT '{UTC,Pacific/Kiritimati,Etc/GMT+12,Europe/Kyiv,America/New_York,Asia/Kathmandu,Australia/Lord_Howe}'::text[] AS zones,
		'{a,b,c}'::text[] AS tariffs, '{s1,s2,s3}'::text[] AS services, '{sum,count,max,unique,last}'::text[] AS metered;
CREATE FUNCTION pg_temp.one_of(choices text[]) RETURNS text LANGUAGE sql VOLATILE
	RETURN choices[1 + floor(random() * cardinality(choices))];
CREATE FUNCTION pg_temp.up_to(n int) RETURNS int LANGUAGE sql VOLATILE RETURN floor(random() * (n + 1));

SET kbilling.clock = '2027-01-01 12:00+00';
DO $$
DECLARE
	p record;
	n int;
	zone text;
	plan text;
	since timestamptz;
BEGIN
	PERFORM setseed(0.27);
	SELECT * INTO p FROM pick;
	INSERT INTO policy (policy, debt_counts_from) VALUES ('by_posting', 'posting_date');
	PERFORM kb_create_service(service, 'recurring') FROM unnest(p.services) AS service;
	PERFORM kb_create_service(service, 'metered', 'thing', service) FROM unnest(p.metered) AS service;
	FOREACH plan IN ARRAY p.tariffs LOOP
		PERFORM kb_create_tariff(plan, 'USD', NULL, CASE plan WHEN 'c' THEN 'by_posting' ELSE 'standard' END);
		FOR i IN 1..4 LOOP
			PERFORM kb_set_price(plan, 'base', (pg_temp.up_to(9000) / 100.0)::numeric(8, 2)::text::kb_price,
				CASE i WHEN 1 THEN '-infinity' ELSE date '2027-01-01' + pg_temp.up_to(240) END);
			PERFORM kb_set_price(plan, 's1', (format('%s each', (pg_temp.up_to(900) / 100.0)::numeric(8, 2)))::kb_price,
				CASE i WHEN 1 THEN '-infinity' ELSE date '2027-01-01' + pg_temp.up_to(240) END);
		END LOOP;
		PERFORM kb_set_price(plan, 'sum', format('graduated 0.10 + 2.00 to 10, 0.08 to %s, 0.05 free 3 min 1.00',
			20 + nth)::kb_price, begins::date)
			FROM unnest('{-infinity,2027-01-20,2027-03-31}'::text[]) WITH ORDINALITY AS t (begins, nth);
		PERFORM kb_set_price(plan, 'count', '2.5% + 0.30'), kb_set_price(plan, 'max', 'volume 1.00 to 5, 0.50 + 1.00 to 9, 0.25'),
			kb_set_price(plan, 'unique', '3.00 per 2'),
			kb_set_price(plan, 'last', CASE plan WHEN 'b' THEN '7.00' ELSE '0.333 each' END::kb_price);
		PERFORM kb_set_price(plan, 's2', '5.00 per 3 free 1 max 20.00', CASE plan WHEN 'b' THEN date '2027-03-10' ELSE '-infinity' END),
			kb_set_price(plan, 's3', '7.77', '-infinity', false);
	END LOOP;
	FOR i IN 1..300 LOOP
		zone = pg_temp.one_of(p.zones);
		plan = pg_temp.one_of(p.tariffs);
		since = timestamptz '2027-01-01 12:00+00' - random() * interval '100 days';
		PERFORM kb_create_account('olena', plan, i + copy, zone, NULL, since) FROM unnest('{0,100000}'::int[]) AS copy;
	END LOOP;
END $$;

-- What happens to both copies at a moment: switches, tariffs, money, usage
CREATE FUNCTION pg_temp.live() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	p record;
	a record;
	op int;
	service text;
	plan text;
	amount int;
	quantity int;
	begins date;
	meter text;
	used_at timestamptz;
BEGIN
	SELECT * INTO p FROM pick;
	FOR a IN SELECT account_id AS id, kb_local_date(kb_now(), time_zone) AS today, charged_through, created_at FROM account
		WHERE account_id <= 300 ORDER BY 1 LOOP
		FOR i IN 1..pg_temp.up_to(8) LOOP
			op = pg_temp.up_to(8);
			meter = pg_temp.one_of(p.metered);
			used_at = greatest(a.created_at, kb_now() - random() * interval '70 days');
			service = pg_temp.one_of(p.services);
			plan = pg_temp.one_of(p.tariffs);
			amount = 1 + pg_temp.up_to(20000);
			quantity = 1 + pg_temp.up_to(9);
			begins = greatest(a.charged_through + 1, a.today - 10 + pg_temp.up_to(60));
			FOR copy IN 0..100000 BY 100000 LOOP
				CASE op
					WHEN 0 THEN PERFORM kb_set_tariff(a.id + copy, plan, begins);
					WHEN 1 THEN PERFORM kb_switch_off(a.id + copy, service, begins);
					WHEN 2, 3 THEN PERFORM kb_switch_on(a.id + copy, service, quantity, begins);
					WHEN 4, 5, 6, 7 THEN PERFORM kb_record_usage(a.id + copy, meter, CASE amount % 5 WHEN 0 THEN - quantity
						ELSE quantity END,
						format('%s %s', kb_now(), i), used_at, jsonb_build_object('thing', amount % 7));
					ELSE PERFORM kb_apply_topup(a.id + copy, kb_money(amount / 100.0, 'USD'), 'card', format('%s %s', kb_now(), i));
				END CASE;
			END LOOP;
		END LOOP;
	END LOOP;
END $$;

-- Charges an account's months one by one, until none is due
CREATE FUNCTION pg_temp.charge_all(id bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	months int = 0;
BEGIN
	LOOP
		BEGIN
			PERFORM kb_month_charge(id);
		EXCEPTION WHEN SQLSTATE 'KB009' THEN
			RETURN months;
		END;
		months = months + 1;
	END LOOP;
END $$;

-- Neither the months of the first copy nor those of the second are due after it.
CREATE PROCEDURE pg_temp.play(at timestamptz) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('kbilling.clock', at::text, false);
	PERFORM pg_temp.live();
	PERFORM pg_temp.charge_all(id) FROM generate_series(1, 300) AS id;
	COMMIT;
	CALL kb_sweep();
END $$;
-- Somebody is always there, so that none is closed.
INSERT INTO activity SELECT account_id, '2099-01-01' FROM account ON CONFLICT (account_id) DO UPDATE SET active_at = excluded.active_at;
CALL pg_temp.play('2027-01-01 12:00+00');
CALL pg_temp.play('2027-02-01 05:00+00');	-- after midnight in some zones only
CALL pg_temp.play('2027-02-20 00:00+00');
CALL pg_temp.play('2027-05-03 18:00+00');	-- months to catch up
CALL pg_temp.play('2027-06-30 11:00+00');	-- July in Kiritimati

SELECT cmp_ok((SELECT count(*) FROM entry WHERE kind = 'charge' AND account_id > 100000), '>', 2000::bigint,
	'C4: some thousand charges by the sweep');
SELECT cmp_ok((SELECT count(*) FROM (SELECT FROM charge_line GROUP BY account_id, period,
	service HAVING count(*) > 1) AS t), '>', 1000::bigint,
	'C3: many of them with changes inside the month');
CREATE TEMP VIEW copy AS
	SELECT account_id % 100000 AS id, account_id > 100000 AS swept, to_jsonb(e) - '{account_id,hash}'::text[] AS entry FROM entry AS e
	UNION ALL
	SELECT account_id % 100000, account_id > 100000, to_jsonb(a) - '{account_id,last_hash}'::text[] FROM account AS a
	UNION ALL
	SELECT account_id % 100000, account_id > 100000, to_jsonb(t) - '{account_id,last_recorded_at}'::text[] FROM usage_total AS t;
SELECT is_empty('(SELECT id, entry FROM copy WHERE swept EXCEPT ALL SELECT id, entry FROM copy WHERE NOT swept)
	UNION ALL (SELECT id, entry FROM copy WHERE NOT swept EXCEPT ALL SELECT id, entry FROM copy WHERE swept)',
	'C4: the sweep and kb_month_charge write the same, to the last field');
SELECT is_empty('SELECT * FROM kb_check()', 'J2, J5, C7: and the books are right');
SELECT is_empty($$SELECT account_id, seq FROM entry AS e WHERE kind = 'charge' AND (- amount) IS DISTINCT FROM
		(SELECT kbilling.sum(l.amount) FROM charge_line AS l WHERE (l.account_id, l.seq) = (e.account_id, e.seq))$$,
	'M4: a total is the sum of its rounded lines');

-- What was charged, day by day, against what was on
ANALYZE;
CREATE TEMP TABLE charged AS
	SELECT account_id, service, d::date AS day, quantity, price
	FROM charge_line, generate_series(from_date::timestamp, to_date, '1 day') AS d
	WHERE events IS NULL;
CREATE TEMP TABLE had AS
	SELECT a.account_id, s.service, d::date AS day, s.quantity, p.price::text AS price
	FROM account AS a
	CROSS JOIN generate_series(kb_local_date(a.created_at, a.time_zone)::timestamp, a.charged_through, '1 day') AS d
	JOIN account_tariff AS t ON t.account_id = a.account_id AND t.from_date <= d AND d < t.to_date
	CROSS JOIN LATERAL (
		SELECT 'base', 1 UNION ALL
		SELECT u.service, u.quantity FROM subscription AS u WHERE u.account_id = a.account_id AND u.from_date <= d AND d < u.to_date
	) AS s (service, quantity)
	JOIN price_list AS p ON p.tariff = t.tariff AND p.service = s.service AND p.from_date <= d AND d < p.to_date;
SELECT is_empty($$(SELECT * FROM charged WHERE service <> 's3' EXCEPT ALL SELECT * FROM had WHERE service <> 's3')
	UNION ALL (SELECT * FROM had WHERE service <> 's3' EXCEPT ALL SELECT * FROM charged WHERE service <> 's3')$$,
	'C2, C3: each day of each service is charged once, at its quantity and price');
SELECT is_empty($$
	SELECT * FROM (
		SELECT account_id, period, line_no, amount, days_in_month,
			sum(price::numeric * days) OVER w AS exact, coalesce(sum(price::numeric * days) OVER (w ROWS BETWEEN
				UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS exact_before
		FROM charge_line WHERE service = 'base' WINDOW w AS (PARTITION BY account_id, period ORDER BY line_no)
	) AS l
	WHERE amount IS DISTINCT FROM kb_money(round(exact / days_in_month, 2) - round(exact_before / days_in_month, 2), 'USD')$$,
	'C3, M4: a flat price by the day, of which each line rounds the sum so far');
SELECT results_eq($$SELECT account_id, period, 1::bigint, '7.77 USD'::kb_money FROM
		(SELECT DISTINCT account_id, kb_month_first_day(day) AS period FROM had WHERE service = 's3') AS t ORDER BY 1, 2$$,
	$$SELECT account_id, period, count(*), kbilling.sum(amount) FROM charge_line WHERE service = 's3' GROUP BY 1, 2 ORDER BY 1, 2$$,
	'C3: without proration once a month in which it was on');

-- What was used, against what was billed for it, sooner or later

CREATE TEMP TABLE used AS
	WITH event AS (SELECT account_id, period, service, at, recorded_at, events, quantity, value FROM usage_event)
	SELECT account_id, period, service, sum(quantity) AS quantity FROM event WHERE service = 'sum' GROUP BY 1, 2, 3
	UNION ALL SELECT account_id, period, service, sum(events) FROM event WHERE service = 'count' GROUP BY 1, 2, 3
	UNION ALL SELECT account_id, period, service, sum(quantity) FROM usage_total WHERE service = 'unique' GROUP BY 1, 2, 3;
-- a highest or last quantity that comes down after its month was billed gives the difference back
CREATE TEMP TABLE billed AS
	SELECT account_id, kb_month_first_day(from_date) AS period, service, sum(quantity) AS quantity
	FROM (SELECT account_id, from_date, service, quantity FROM charge_line WHERE events IS NOT NULL
		UNION ALL
		SELECT a.account_id, u.period, u.service, u.quantity FROM account AS a,
			kb_unbilled_usage(a.account_id, '-infinity', 'infinity') AS u) AS l
	GROUP BY 1, 2, 3;
INSERT INTO used
	SELECT account_id, period, service, sum(level)
	FROM (SELECT t.account_id, t.period, t.service, kb_usage_level(t.account_id, t.period, t.service, t.price_id, t.aggregation) AS level
		FROM usage_total AS t WHERE t.service IN ('max', 'last') GROUP BY 1, 2, 3, t.price_id, t.aggregation) AS l
	GROUP BY 1, 2, 3;
SELECT cmp_ok((SELECT count(*) FROM charge_line WHERE what = 'late usage'), '>', 500::bigint, 'U3: some hundred lines of late usage');
DELETE FROM used WHERE quantity = 0;
DELETE FROM billed WHERE quantity = 0;
SELECT cmp_ok((SELECT count(*) FROM used), '>', 1000::bigint, 'U2: there is much to compare');
SELECT is_empty('(SELECT * FROM used EXCEPT ALL SELECT * FROM billed) UNION ALL (SELECT * FROM billed EXCEPT ALL SELECT * FROM used)',
	'U2, U3: what was used in each month is billed, or yet to be billed, once');
-- a minimum, which comes last here, is by the days of its price
CREATE FUNCTION pg_temp.costs(price text, quantity numeric, events bigint, days integer, days_in_month integer)
	RETURNS kb_money LANGUAGE sql
	RETURN greatest(CASE WHEN quantity <= 0 AND events <= 0 THEN '0.00 USD'
			ELSE kb_rate(regexp_replace(price, ' min .*', '')::kb_price, quantity, 'USD', greatest(events, 0)) END,
		kb_money(round(coalesce(substring(price FROM ' min (.*)')::numeric * days / days_in_month, 0), 2), 'USD'));
-- lines of one service and month are rounded together, so these are the months that have one price
CREATE TEMP VIEW one_price AS
	SELECT l.* FROM charge_line AS l JOIN (SELECT account_id, service, kb_month_first_day(from_date) AS used_in FROM charge_line
		WHERE events IS NOT NULL GROUP BY 1, 2, 3 HAVING count(DISTINCT from_date) = 1) AS m
		ON m.account_id = l.account_id AND m.service = l.service AND m.used_in = kb_month_first_day(l.from_date);
SELECT is_empty($$SELECT * FROM one_price WHERE what = 'usage' AND amount IS DISTINCT FROM
		pg_temp.costs(price, quantity, events, days, days_in_month)$$,
	'P, C7: a line of usage is its quantity at its price');
SELECT is_empty($$SELECT * FROM one_price WHERE what = 'late usage' AND amount IS DISTINCT FROM
		pg_temp.costs(price, quantity + billed_quantity, events + billed_events, days, days_in_month)
			- pg_temp.costs(price, billed_quantity, billed_events, days, days_in_month)$$,
	'U3, C7: a line of late usage is what all of its month costs more than what was billed');
SELECT is_empty($$SELECT l.account_id, l.service, kb_month_first_day(l.from_date) FROM charge_line AS l WHERE events IS NOT NULL
		GROUP BY 1, 2, 3 HAVING kbilling.sum(amount) < 0$$,
			'U3: no month''s usage is billed below zero');
SELECT is_empty($$SELECT e.account_id, e.service, e.at FROM usage_event AS e JOIN account AS a USING (account_id)
		JOIN account_tariff AS t ON t.account_id = e.account_id
			AND t.from_date <= kb_local_date(e.at, a.time_zone) AND kb_local_date(e.at, a.time_zone) < t.to_date
		LEFT JOIN price_list AS p ON p.tariff = t.tariff AND p.service = e.service
			AND p.from_date <= kb_local_date(e.at, a.time_zone) AND kb_local_date(e.at, a.time_zone) < p.to_date
		WHERE e.quantity > 0 AND e.price_id IS DISTINCT FROM p.price_id$$,
	'C3: each event has the price of its local day, by the tariff of that day');
SELECT is_empty($$SELECT l.account_id, l.service, l.from_date FROM charge_line AS l
		JOIN service AS s ON s.service = l.service AND s.kind = 'metered'
		WHERE l.events <> 0 AND NOT EXISTS (SELECT FROM usage_event AS e JOIN price AS p USING (price_id) WHERE e.account_id = l.account_id
			AND e.service = l.service AND e.period = kb_month_first_day(l.from_date) AND p.price::text = l.price)$$,
	'C3, C7: and each line of usage is of a price that events of its month have');
SELECT is_empty($$
	WITH owed AS (
		SELECT a.account_id, kb_month_first_day(d::date) AS period, p.service, p.price::text AS price, count(*) AS days
		FROM account AS a
		CROSS JOIN generate_series(kb_local_date(a.created_at, a.time_zone)::timestamp, a.charged_through, '1 day') AS d
		JOIN account_tariff AS t ON t.account_id = a.account_id AND t.from_date <= d AND d < t.to_date
		JOIN price_list AS p ON p.tariff = t.tariff AND p.from_date <= d AND d < p.to_date AND p.price::text LIKE '% min %'
		JOIN service AS s ON s.service = p.service AND s.kind = 'metered'
		GROUP BY 1, 2, 3, 4
	), billed AS (
		SELECT account_id, period, service, price, sum(days) FROM charge_line
		WHERE what = 'usage' AND price LIKE '% min %' AND days > 0 GROUP BY 1, 2, 3, 4
	)
	(TABLE owed EXCEPT ALL TABLE billed) UNION ALL (TABLE billed EXCEPT ALL TABLE owed)$$,
	'C2, P: each day of a metered service with a minimum is in one line, used or not');
SELECT is_empty($$
	SELECT a.account_id, a.created_at, a.charged_through FROM account AS a
	WHERE charged_through <> kb_month_first_day(kb_local_date(kb_now(), time_zone)) - 1$$,
		'C1: every month that has ended is charged, and no other');

-- Again

SELECT md5(string_agg(entry::text, '' ORDER BY swept, id, entry)) AS before FROM copy
\gset
SELECT throws_ok('SELECT kb_month_charge(17)', 'KB009', NULL, 'C4: nothing is left to charge');
SELECT is_empty($$
	SELECT e.account_id, r FROM entry AS e, LATERAL kb_month_charge(e.account_id, e.period) AS r
	WHERE e.kind = 'charge' AND e.account_id <= 100
		AND (r.period, r.entry_seq, r.total, r.balance, r.replayed) IS DISTINCT FROM (e.period, e.seq, - e.amount, e.balance_after, true)$$,
	'C4: every charge again is its first answer');
CALL kb_sweep();
SELECT is((SELECT md5(string_agg(entry::text, '' ORDER BY swept, id, entry)) FROM copy), :'before',
	'C4, W1: a second charge and a second sweep change nothing');

-- C6: the preview of the last moment of a month, and the charge a moment later

CREATE TEMP TABLE preview (account_id bigint, period date, lines text[]);
CREATE FUNCTION pg_temp.lines_of(account_id bigint) RETURNS text[] LANGUAGE sql STABLE AS
	'SELECT array_agg(l::text ORDER BY line_no) FROM kbilling.kb_current_usage($1) AS l';
DO $$
DECLARE
	a record;
	month_ends timestamptz;
BEGIN
	FOR a IN SELECT account_id, time_zone, charged_through FROM account WHERE account_id <= 300 LOOP
		month_ends = (a.charged_through + 1 + interval '1 month') AT TIME ZONE a.time_zone;
		PERFORM set_config('kbilling.clock', (month_ends - interval '1 microsecond')::text, false);
		INSERT INTO preview VALUES (a.account_id, a.charged_through + 1, pg_temp.lines_of(a.account_id));
		PERFORM set_config('kbilling.clock', month_ends::text, false);
		PERFORM kb_month_charge(a.account_id);
	END LOOP;
END $$;
SELECT results_eq('SELECT account_id, period, lines FROM preview WHERE lines IS NOT NULL ORDER BY account_id',
	$$SELECT account_id, period,
		array_agg((line_no, service, what, from_date, to_date, days, days_in_month, quantity, events, billed_quantity,
		billed_events, price, amount)::text
			ORDER BY line_no)
		FROM charge_line JOIN preview USING (account_id, period) GROUP BY account_id, period ORDER BY account_id$$,
	'C6: what is shown on the last moment of a month is what is charged a moment later, line by line');

SELECT * FROM finish();
