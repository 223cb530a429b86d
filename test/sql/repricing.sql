-- What usage is billed at (rules C3, C6, U1, U3, U4)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/clock.sql
\ir ../include/error.sql
\set seed 0.4711

SET kbilling.clock = '2026-01-01 00:00+00';
SELECT kb_create_service('calls', 'metered', 'call'), kb_create_service('peak', 'metered', aggregation => 'max'),
	kb_create_service('users', 'metered', 'user', 'unique'), kb_create_service('disk', 'metered', aggregation => 'last'),
	kb_create_service('orders', 'metered', aggregation => 'count')
\g /dev/null
SELECT kb_create_tariff(t, 'USD') FROM unnest('{payg,business,trial,ended,tiers}'::text[]) AS t
\g /dev/null
SELECT kb_set_price('payg', 'calls', '0.30 each', '2020-01-01'), kb_set_price('business', 'calls', '0.01 each', '2020-01-01'),
	kb_set_price('business', 'base', '100.00', '2020-01-01'), kb_set_price('trial', 'calls', '0 each', '2020-01-01'),
	kb_set_price('tiers', 'calls', 'graduated 1.00 to 10, 0.50 free 5', '2020-01-01')
\g /dev/null
SELECT kb_set_price(t, s, p::kb_price, '2020-01-01') FROM (VALUES ('payg', '1.00 each'), ('tiers', '2.00 each')) AS t (t, p),
	unnest('{peak,users,disk,orders}'::text[]) AS s
\g /dev/null

-- The lines of an account's running month without the base fee, or of a month that was charged
CREATE FUNCTION pg_temp.running(id bigint) RETURNS text[] LANGUAGE sql STABLE RETURN (
	SELECT array_agg(format('%s %s..%s %s x %s = %s', l.service || CASE what WHEN 'late usage' THEN ' late' ELSE '' END,
		to_char(from_date, 'MM-DD'), to_char(to_date, 'MM-DD'), quantity, price, kb_amount(amount)) ORDER BY line_no)
	FROM kb_current_usage(id) AS l WHERE l.service <> 'base');
CREATE FUNCTION pg_temp.total(id bigint, month date) RETURNS kb_money LANGUAGE sql STABLE RETURN (
	SELECT - amount FROM entry WHERE account_id = id AND period = month);

-- A switch, a price rise and a cancellation late in the month

SELECT kb_create_account('a', t, n) FROM unnest('{payg,business,payg,trial,payg}'::text[]) WITH ORDINALITY AS u (t, n)
\g /dev/null
SELECT pg_temp.clock('2026-01-20 00:00+00'), kb_record_usage(g, 'calls', 10000, 'k') FROM generate_series(1, 5) AS g
\g /dev/null
SELECT kb_set_tariff(1, 'business', '2026-01-31'), kb_set_tariff(2, 'payg', '2026-01-31'), kb_set_tariff(4, 'payg', '2026-01-25'),
	kb_set_tariff(5, 'ended', '2026-01-31'), kb_set_price('payg', 'calls', '0.40 each', '2026-01-31')
\g /dev/null
SELECT pg_temp.clock('2026-01-26 00:00+00')
\g /dev/null
SELECT is(kb_record_usage(4, 'calls', 10, 'k2'), true, 'C3: after a trial');
SELECT is(kb_record_usage(5, 'calls', 10, 'k2'), true, 'U4: a cancellation that is planned refuses nothing before its day');
SELECT pg_temp.clock('2026-01-31 23:00+00')
\g /dev/null
SELECT is(pg_temp.error_with_detail('SELECT kb_record_usage(5, ''calls'', 10, ''k3'')'),
	'KB012 tariff "ended" has no price for service "calls" | It has none on 2026-01-31, the day of this usage of account 5.',
	'U4: on its day it does');
CREATE TEMP TABLE preview AS SELECT g::bigint AS account_id, l.* FROM generate_series(1, 5) AS g, kb_current_usage(g) AS l;
SELECT pg_temp.clock('2026-02-01 00:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is(pg_temp.total(id, '2026-01-01')::text, total, 'C3: ' || why) FROM (VALUES
	(1, '3003.23 USD', 'a switch for the last day prices nothing that was used before'),
	(2, '196.77 USD', 'nor does one to a dearer tariff'),
	(3, '3000.00 USD', 'nor does a price that rises on the last day'),
	(4, '3.00 USD', 'what was used on trial is free'),
	(5, '3003.00 USD', 'what was used before a cancellation is billed')
) AS t (id, total, why);
SELECT results_eq('SELECT * FROM preview ORDER BY 1, 2', $$SELECT account_id, line_no, service, what, from_date, to_date, days,
		days_in_month, quantity, events, billed_quantity, billed_events, price, amount
	FROM charge_line WHERE period = '2026-01-01' ORDER BY 1, 2$$, 'C6: and shown so on the last moment of the month');

-- Terms that change for days that are past, in the open month

SELECT pg_temp.clock('2026-03-01 00:00+00')
\g /dev/null
SELECT kb_create_account('a', 'payg', g) FROM generate_series(11, 19) AS g
\g /dev/null
SELECT pg_temp.clock('2026-03-20 12:00+00'),
	kb_record_usage(g, 'calls', d, 'c' || d, timestamptz '2026-02-28 12:00+00' + d * interval '1 day')
FROM generate_series(11, 19) AS g, generate_series(1, 20) AS d
\g /dev/null
SELECT is(pg_temp.running(11), '{calls 03-01..03-20 210 x 0.40 each = 84.00}', 'C3: a month at one price');
SELECT kb_set_tariff(11, 'business', '2026-03-11'), kb_set_tariff(12, 'business', '2026-03-20'), kb_set_tariff(13, 'ended', '2026-03-11'),
	kb_set_tariff(14, 'business', '2026-03-11'), kb_set_tariff(15, 'tiers', '2026-03-11')
\g /dev/null
SELECT is(pg_temp.running(id), lines, 'C3: ' || why) FROM (VALUES
	(11, '{calls 03-01..03-10 55 x 0.40 each = 22.00,calls 03-11..03-20 155 x 0.01 each = 1.55}'::text[], 'a switch in the past'),
	(12, '{calls 03-01..03-19 190 x 0.40 each = 76.00,calls 03-20..03-20 20 x 0.01 each = 0.20}', 'a switch of today'),
	(13, '{calls 03-01..03-10 210 x 0.40 each = 84.00}', 'to a tariff without a price: what was accepted is billed'),
	(15, '{calls 03-01..03-10 55 x 0.40 each = 22.00,"calls 03-11..03-20 155 x graduated 1.00 to 10, 0.50 free 5 = 77.50"}',
		'tiers and free units are whole under each price')
) AS t (id, lines, why);
SELECT kb_set_tariff(14, 'payg', '2026-03-11'), kb_set_tariff(15, 'payg', '2026-03-16'), kb_set_tariff(13, 'business', '2026-03-16')
\g /dev/null
SELECT is(pg_temp.running(id), lines, 'C3: ' || why) FROM (VALUES
	(14, '{calls 03-01..03-20 210 x 0.40 each = 84.00}'::text[], 'taken back, it is as it was'),
	(15, '{calls 03-01..03-20 145 x 0.40 each = 58.00,"calls 03-11..03-15 65 x graduated 1.00 to 10, 0.50 free 5 = 32.50"}',
		'a tariff that is returned to goes on'),
	(13, '{calls 03-01..03-10 120 x 0.40 each = 48.00,calls 03-16..03-20 90 x 0.01 each = 0.90}',
		'where the new terms have a price, it holds')
) AS t (id, lines, why);
SELECT kb_set_price('payg', 'calls', '0.50 each', '2026-03-18')
\g /dev/null
SELECT is(pg_temp.running(id), lines, 'C3: ' || why) FROM (VALUES
	(16, '{calls 03-01..03-17 153 x 0.40 each = 61.20,calls 03-18..03-20 57 x 0.50 each = 28.50}'::text[], 'a price of the past'),
	(11, '{calls 03-01..03-10 55 x 0.40 each = 22.00,calls 03-11..03-20 155 x 0.01 each = 1.55}', 'of another tariff')
) AS t (id, lines, why);
SELECT kb_set_price('payg', 'calls', '0.60 each', '2026-03-18')
\g /dev/null
SELECT is(pg_temp.running(16), '{calls 03-01..03-17 153 x 0.40 each = 61.20,calls 03-18..03-20 57 x 0.60 each = 34.20}',
	'C3: a price that is replaced bills nothing');
SELECT is(pg_temp.error_with_detail('SELECT kb_set_tariff(1, ''trial'', ''2026-01-31'')'), 'KB009 account 1 is charged through 2026-01-31 '
	'| A change from 2026-01-31 on would alter what is charged already.', 'C4: a month that is charged stays');
SELECT is_empty('SELECT * FROM kb_check()', 'U5: the totals are those of the events');

-- U2: highest, distinct and last under each price by itself; taken back under the price that it had

SELECT pg_temp.clock('2026-04-20 12:00+00'), kb_record_usage(17, s, q, d::text, ('2026-04-' || d || ' 10:00+00')::timestamptz,
	jsonb_build_object('user', v))
FROM (VALUES ('05', 7, 'x'), ('06', 9, 'y'), ('15', 5, 'x'), ('16', 3, 'z')) AS e (d, q, v), unnest('{peak,users,disk,orders}'::text[]) AS s
\g /dev/null
SELECT kb_set_tariff(17, 'tiers', '2026-04-11')
\g /dev/null
SELECT is(pg_temp.running(17), '{disk 04-01..04-10 9 x 1.00 each = 9.00,disk 04-11..04-20 3 x 2.00 each = 6.00,orders 04-01..04-10 2 x '
	'1.00 each = 2.00,orders 04-11..04-20 2 x 2.00 each = 4.00,peak 04-01..04-10 9 x 1.00 each = 9.00,peak 04-11..04-20 5 x 2.00 each = '
	'10.00,users 04-01..04-10 2 x 1.00 each = 2.00,users 04-11..04-20 2 x 2.00 each = 4.00}', 'U2: each price by itself');
SELECT kb_record_usage(17, s, - q, 'back ' || d, ('2026-04-' || d || ' 10:00+00')::timestamptz, jsonb_build_object('user', v))
FROM (VALUES ('06', 9, 'y'), ('15', 5, 'x')) AS e (d, q, v), unnest('{peak,users,disk,orders}'::text[]) AS s
\g /dev/null
SELECT is(pg_temp.running(17), '{disk 04-01..04-10 7 x 1.00 each = 7.00,disk 04-11..04-20 3 x 2.00 each = 6.00,orders 04-01..04-10 1 x '
	'1.00 each = 1.00,orders 04-11..04-20 1 x 2.00 each = 2.00,peak 04-01..04-10 7 x 1.00 each = 7.00,peak 04-11..04-20 3 x 2.00 each = '
	'6.00,users 04-01..04-10 1 x 1.00 each = 1.00,users 04-11..04-20 1 x 2.00 each = 2.00}', 'U2: what is taken back, too');
SELECT kb_set_tariff(17, 'tiers', '2026-04-01')
\g /dev/null
SELECT is(pg_temp.running(17), '{disk 04-01..04-20 3 x 2.00 each = 6.00,orders 04-01..04-20 2 x 2.00 each = 4.00,peak 04-01..04-20 7 x '
	'2.00 each = 14.00,users 04-01..04-20 2 x 2.00 each = 4.00}', 'U2: all of it under one again');

-- What is taken back comes back at the price that it had, and no more than was billed

SELECT pg_temp.clock('2026-06-01 00:00+00')
\g /dev/null
SELECT kb_create_tariff('p', 'USD'), kb_create_tariff('q', 'USD'), kb_set_price('p', 'calls', '1 each', '2020-01-01')
\g /dev/null
SELECT kb_create_account('h', 'p', g) FROM generate_series(21, 24) AS g
\g /dev/null
SELECT kb_record_usage(g, 'calls', 5, 'k1'), kb_set_tariff(g, 'q') FROM generate_series(21, 22) AS g
\g /dev/null
SELECT kb_record_usage(23, 'calls', 5, 'k1'), kb_set_tariff(23, 'business', '2026-06-15'), kb_set_tariff(24, 'trial'),
	kb_record_usage(24, 'calls', 5, 'k1')
\g /dev/null
SELECT is(pg_temp.running(21), '{calls 06-01..06-01 5 x 1 each = 5.00}', 'C3: no price any more, from the day of the usage on');
SELECT is(kb_record_usage(22, 'calls', -2, 'k2'), true, 'U4: without a price usage can be taken back');
SELECT is(pg_temp.running(22), '{calls 06-01..06-01 3 x 1 each = 3.00}', 'C3: at the price that it had');
SELECT pg_temp.clock('2026-06-20 00:00+00')
\g /dev/null
SELECT kb_record_usage(23, 'calls', -2, 'k2')
\g /dev/null
SELECT is(pg_temp.running(23), '{calls 06-01..06-14 3 x 1 each = 3.00}', 'C3: another price that has no usage gives nothing back');
SELECT pg_temp.clock('2026-07-01 09:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is(kb_balance(21)::text, '-5.00 USD', 'C3: what was accepted is billed');
SELECT kb_set_tariff(21, 'p'), kb_record_usage(21, 'calls', -3, 'k3', '2026-06-01 09:00+00'),
	kb_set_tariff(24, 'p'), kb_record_usage(24, 'calls', -3, 'k3', '2026-06-01 09:00+00'),
	kb_set_price('p', 'calls', '9 each', '2026-06-01'), kb_record_usage(22, 'calls', -1, 'k3', '2026-06-01 09:00+00')
\g /dev/null
SELECT is(pg_temp.running(22), '{calls late 06-01..06-30 -1 x 1 each = -1.00}',
	'U3: at the price that was billed, not one that came since');
SELECT pg_temp.clock('2026-08-01 09:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is(kb_balance(21)::text, '-2.00 USD', 'U3: what is taken back late gives back what was billed');
SELECT is(kb_balance(24)::text, '0.00 USD', 'U3: of free usage nothing');

-- U1: a key that is known, whatever the repeat says

SELECT kb_record_usage(16, 'users', 1, 'known', NULL, '{"user": "x"}') \g /dev/null
SELECT kb_record_usage(16, 'calls', 1, 'known') \g /dev/null
SELECT kb_set_tariff(16, 'ended') \g /dev/null
SELECT is(pg_temp.error_with_detail(format('SELECT kb_record_usage(16, %L, %s, ''known'', %s)', service, quantity, at)), '',
	'U1: a repeat with ' || why) FROM (VALUES
	('calls', '1', 'NULL', 'no price on its day'),
	('calls', '''NaN''', 'NULL', 'no number'),
	('calls', '1e30', 'NULL', 'a quantity that is too large'),
	('calls', '1', '''2030-01-01 00:00+00''', 'a time that is to come'),
	('calls', '1', '''infinity''', 'no time'),
	('calls', '1', '''2020-01-01 00:00+00''', 'a time before the account''s first day'),
	('users', '1', 'NULL', 'no value')
) AS t (service, quantity, at, why);
SELECT is(kb_record_usage(16, 'calls', 1, 'known', '2030-01-01 00:00+00'), false, 'U1: is known');
SELECT is(kb_record_usage_batch('[{"account_id":18,"service":"calls","quantity":1,"key":"a"},{"account_id":18,"service":"calls",
	"quantity":1,"key":"a","at":"2030-01-01T00:00:00Z"},{"account_id":16,"service":"calls","quantity":"NaN","key":"known"}]'), 1::bigint,
	'U1: in a batch, and of one that is before it there');
SELECT is(pg_temp.error_with_detail('SELECT kb_record_usage(18, ''calls'', 1, ''new'', ''2030-01-01 00:00+00'')'),
	'22008 usage cannot be more than an hour ahead, but is of 2030-01-01 00:00:00+00 | The event has the key "new".',
	'U4: a key that is not known is not');

-- E3: rows of a table, across a switch

CREATE TABLE public.sale (id int PRIMARY KEY, acc bigint, qty numeric);
CREATE TRIGGER i AFTER INSERT ON public.sale REFERENCING NEW TABLE AS n
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('calls', 'acc', 'qty', 'id');
CREATE TRIGGER u AFTER UPDATE ON public.sale REFERENCING OLD TABLE AS o NEW TABLE AS n
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('calls', 'acc', 'qty', 'id');
CREATE TRIGGER d AFTER DELETE ON public.sale REFERENCING OLD TABLE AS o
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('calls', 'acc', 'qty', 'id');
SELECT pg_temp.clock('2026-08-10 09:00+00'), kb_create_account('m', 'payg', 31)
\g /dev/null
INSERT INTO public.sale VALUES (1, 31, 10), (2, 31, 20), (3, 31, 30);
SELECT pg_temp.clock('2026-08-12 09:00+00'), kb_set_tariff(31, 'ended', '2026-08-10')
\g /dev/null
UPDATE public.sale SET qty = 15 WHERE id = 1;
DELETE FROM public.sale WHERE id = 2;
SELECT is(pg_temp.running(31), '{calls 08-10..08-12 45 x 0.60 each = 27.00}', 'E3, C3: a row is corrected at the price that it had');
SELECT kb_set_tariff(31, 'business', '2026-08-10')
\g /dev/null
SELECT is(pg_temp.running(31), '{calls 08-10..08-12 45 x 0.01 each = 0.45}', 'E3, C3: and has another with its corrections');
SELECT is_empty('SELECT * FROM kb_check()', 'U5: the totals are those of the events');

-- C3: what is ahead has the price that will hold then

SELECT pg_temp.clock('2026-09-01 09:00+00')
\g /dev/null
CALL kb_sweep();
SELECT kb_create_account('f', 'payg', 41)
\g /dev/null
SELECT pg_temp.clock('2026-09-10 09:00+00'), kb_record_usage(41, 'calls', 100, 'k')
\g /dev/null
SELECT kb_set_price('payg', 'calls', '1.00 each', '2026-10-01'), kb_set_tariff(41, 'business', '2026-10-11')
\g /dev/null
-- 10 a day: in September 300 at 0.60, in October 100 at 1.00 and 210 at 0.01 and 21 of 31 days of the fee
SELECT results_eq('SELECT period, charge::text FROM kb_forecast(41, 2)',
	$$VALUES (date '2026-09-01', '180.00 USD'), ('2026-10-01', '169.84 USD')$$, 'S6, C3: usage ahead');

-- U1: what is taken back comes off where it was counted, and where something is left, when it is recorded and when its
-- month gets other prices; 1.00, 2.00 and 4.00 from the 1st, 11th and 21st

SELECT pg_temp.clock('2026-11-26 09:00+00'), kb_create_tariff('steps', 'USD'), kb_set_price('steps', 'base', '0')
\g /dev/null
SELECT kb_set_price('steps', s, p::kb_price, d::date) FROM unnest('{calls,peak,users,disk,orders}'::text[]) AS s, (VALUES
	('1.00 each', '2020-01-01'), ('2.00 each', '2026-11-11'), ('4.00 each', '2026-11-21')) AS t (p, d)
\g /dev/null
SELECT kb_create_account('t', 'steps', id, created_at => '2026-11-01 00:00+00') FROM generate_series(51, 60) AS id
\g /dev/null
SELECT kb_record_usage(id, s, q, 'k' || n, ('2026-11-' || day)::timestamptz, jsonb_build_object('user', v))
FROM (VALUES
	(1, 51, 'calls', 10, '05', NULL), (2, 51, 'calls', -9, '05', NULL), (3, 51, 'calls', 5, '15', NULL), (4, 51, 'calls', -3, '25', NULL),
	(1, 52, 'peak', 9, '05', NULL), (2, 52, 'peak', 6, '15', NULL), (3, 52, 'peak', -6, '25', NULL),
	(1, 53, 'users', 1, '05', 'ann'), (2, 53, 'users', 1, '15', 'ben'), (3, 53, 'users', -1, '25', 'ben'),
	(1, 54, 'disk', 9, '05', NULL), (2, 54, 'disk', 6, '15', NULL), (3, 54, 'disk', -6, '25', NULL),
	(1, 55, 'orders', 0, '05', NULL), (2, 55, 'orders', -1, '15', NULL)
) AS t (n, id, s, q, day, v)
\g /dev/null
-- the same, and a whole sum, in one statement
SELECT kb_record_usage_batch(jsonb_agg(jsonb_build_object('account_id', id, 'service', s, 'quantity', q, 'key', s || n,
	'at', '2026-11-' || day || 'T00:00:00Z', 'properties', jsonb_build_object('user', v)) ORDER BY n))
FROM (VALUES
	(1, 56, 'calls', -10, '25', NULL), (2, 56, 'calls', 10, '05', NULL),
	(1, 57, 'peak', 9, '05', NULL), (2, 57, 'peak', 6, '15', NULL), (3, 57, 'peak', -6, '25', NULL),
	(1, 58, 'users', 1, '05', 'ann'), (2, 58, 'users', -1, '25', 'ben'), (3, 58, 'users', 1, '15', 'ben'),
	(1, 59, 'disk', 9, '05', NULL), (2, 59, 'disk', 6, '15', NULL), (3, 59, 'disk', -6, '25', NULL)
) AS t (n, id, s, q, day, v)
\g /dev/null
PREPARE take_backs(text) AS
	SELECT is(pg_temp.running(id), lines, format('U1: %s, %s', what, $1)) FROM (VALUES
		(51, '{calls 11-01..11-10 1 x 1.00 each = 1.00,calls 11-11..11-20 2 x 2.00 each = 4.00}'::text[], 'from what is left of a sum'),
		(52, '{peak 11-01..11-10 9 x 1.00 each = 9.00}', 'the same highest quantity'),
		(53, '{users 11-01..11-10 1 x 1.00 each = 1.00}', 'the same value'),
		(54, '{disk 11-01..11-10 9 x 1.00 each = 9.00}', 'the same last quantity'),
		(55, NULL, 'an event without quantity'),
		(56, NULL, 'a sum in one batch'),
		(57, '{peak 11-01..11-10 9 x 1.00 each = 9.00}', 'the same highest quantity in one batch'),
		(58, '{users 11-01..11-10 1 x 1.00 each = 1.00}', 'the same value in one batch'),
		(59, '{disk 11-01..11-10 9 x 1.00 each = 9.00}', 'the same last quantity in one batch')
	) AS t (id, lines, what);
EXECUTE take_backs('recorded');
SELECT kb_set_price('steps', s, '5.00 each', '2026-11-24') FROM unnest('{calls,peak,users,disk,orders}'::text[]) AS s
\g /dev/null
EXECUTE take_backs('repriced');
SELECT kb_set_price('steps', s, '2.5 each', '2026-11-11') FROM unnest('{calls,peak,users,disk,orders}'::text[]) AS s
\g /dev/null
SELECT is(pg_temp.running(51), '{calls 11-01..11-10 1 x 1.00 each = 1.00,calls 11-11..11-20 2 x 2.5 each = 5.00}',
	'U1: what was taken back of days whose price is replaced');
SELECT is_empty('SELECT * FROM kb_check()', 'U5: the totals are those of the events');

SELECT * FROM finish();
