-- What the prices of a service in one month have to do with each other: usage that is taken back, minimums, proration
-- (rules C3, U1, U3, P)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/clock.sql

SET kbilling.clock = '2026-01-01 00:00+00';
SELECT kb_create_service(s, 'metered', aggregation => s) FROM unnest('{sum,count,max}'::text[]) AS s
\g /dev/null
SELECT kb_create_service('seat', 'recurring')
\g /dev/null

-- Tariffs, each with a price or none of a service: "tariff service price", with a star if it is not prorated
CREATE FUNCTION pg_temp.set_prices(VARIADIC prices text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	w text[];
BEGIN
	FOR w IN SELECT regexp_match(p, '^(\w+)(?: (\w+) ([^*@]+?)(\*?)(?: @(.*))?)?$') FROM unnest(prices) AS p LOOP
		IF NOT EXISTS (SELECT FROM tariff WHERE tariff = w[1]) THEN
			PERFORM kb_create_tariff(w[1], 'USD');
		END IF;
		IF w[2] IS NOT NULL THEN
			PERFORM kb_set_price(w[1], w[2], w[3]::kb_price, coalesce(w[5]::date, '2020-01-01'), w[4] = '');
		END IF;
	END LOOP;
END $$;
-- The lines of the running month, or of a month that was charged
CREATE FUNCTION pg_temp.running(id bigint) RETURNS text LANGUAGE sql STABLE RETURN (
	SELECT string_agg(format('%s%s %s..%s %s x %s = %s', l.service, CASE what WHEN 'late usage' THEN ' late' ELSE '' END,
		extract(day FROM from_date), extract(day FROM to_date), quantity, price, kb_amount(amount)), ', ' ORDER BY line_no)
	FROM kb_current_usage(id) AS l);
CREATE FUNCTION pg_temp.charged(id bigint, month date) RETURNS text LANGUAGE sql STABLE RETURN (
	SELECT string_agg(format('%s%s %s..%s %s x %s = %s', l.service, CASE what WHEN 'late usage' THEN ' late' ELSE '' END,
		extract(day FROM from_date), extract(day FROM to_date), quantity, price, kb_amount(amount)), ', ' ORDER BY line_no)
	FROM charge_line AS l WHERE account_id = id AND period = month);

-- U1, U3: what is taken back under a price that has less

SELECT pg_temp.set_prices('one sum 1.00 each', 'one sum 2.00 each @2026-01-10', 'one sum 4.00 each @2026-01-21',
	'b sum 1.00 each', 'c sum 1.00 each', 'c count 1.00 each', 'b count 3.00 each', 'fee sum 10% + 0.30', 'fee2 sum 20% + 0.50',
	'least sum 1.00 each min 6.20', 'peak max 1.00 each', 'peak max 2.00 each @2026-01-10', 'none')
\g /dev/null
SELECT kb_create_account('o', tariff, id)
FROM (VALUES (1, 'one'), (2, 'b'), (3, 'b'), (4, 'fee'), (5, 'least'), (6, 'one'), (7, 'one'), (8, 'peak'), (9, 'one')) AS t (id, tariff)
\g /dev/null
SELECT pg_temp.clock('2026-01-30 12:00+00')
\g /dev/null
CREATE FUNCTION pg_temp.batch(id bigint, service text, VARIADIC events text[]) RETURNS bigint LANGUAGE sql RETURN (
	SELECT kb_record_usage_batch(jsonb_agg(jsonb_build_object('account_id', id, 'service', service, 'key', e || n,
		'quantity', split_part(e, '@', 1), 'at', format('2026-01-%sT12:00:00Z', lpad(split_part(e, '@', 2), 2, '0'))) ORDER BY n))
	FROM unnest(events) WITH ORDINALITY AS u (e, n));
SELECT pg_temp.batch(1, 'sum', '5@5', '-5@25')
\g /dev/null
SELECT is(pg_temp.running(1), NULL, 'U3: what is taken back in one statement with what it takes back costs nothing');
SELECT pg_temp.batch(6, 'sum', '3@5', '6@12', '4@22', '-7@25'), pg_temp.batch(7, 'sum', '5@5', '5@12', '-2@25')
\g /dev/null
SELECT is(pg_temp.running(6), 'sum 1..9 3 x 1.00 each = 3.00, sum 10..20 3 x 2.00 each = 6.00',
	'U3: it is taken from the price with the most left');
SELECT is(pg_temp.running(7), 'sum 1..9 3 x 1.00 each = 3.00, sum 10..20 5 x 2.00 each = 10.00', 'U3: of several, from the first');
SELECT pg_temp.batch(7, 'sum', '-9@26')
\g /dev/null
SELECT is((SELECT kbilling.sum(amount)::text FROM kb_current_usage(7)), '0.00 USD', 'U3: what is more than there was costs nothing');
SELECT pg_temp.batch(8, 'max', '5@2', '9@3'), pg_temp.batch(8, 'max', '-5@2'), pg_temp.batch(8, 'max', '5@12')
\g /dev/null
SELECT pg_temp.batch(8, 'max', '-5@3')
\g /dev/null
SELECT is(pg_temp.running(8), 'max 1..9 9 x 1.00 each = 9.00',
	'U1: a quantity is taken back where it is still counted: under the price of that day it was taken back before');
SELECT pg_temp.batch(8, 'max', '3@13'), pg_temp.batch(8, 'max', '-7@14')
\g /dev/null
SELECT is((SELECT p.price::text FROM usage_event AS e JOIN price_list AS p USING (price_id)
		   WHERE e.account_id = 8 AND e.quantity = -7), '2.00 each', 'U1: what is counted nowhere is under the price of its day');
SELECT pg_temp.batch(8, 'max', '-5@14')
\g /dev/null
SELECT is((SELECT p.price::text FROM usage_event AS e JOIN price_list AS p USING (price_id)
		   WHERE e.account_id = 8 AND e.quantity = -5 AND e.at > '2026-01-14'), '2.00 each', 'U1: nor counted any more');
SELECT pg_temp.batch(9, 'sum', '5@5', '7@12', '5@21'), kb_set_tariff(9, 'none', '2026-01-31')
\g /dev/null
SELECT kb_set_tariff(2, 'c', '2026-01-15'), pg_temp.batch(2, 'sum', '10@2', '2@20')
\g /dev/null
SELECT kb_record_usage(2, 'sum', -10, 'refund')
\g /dev/null
SELECT is(pg_temp.running(2), 'sum 1..14 2 x 1.00 each = 2.00', 'U3: more is taken back than one price has');
SELECT kb_set_tariff(3, 'c', '2026-01-15'), pg_temp.batch(3, 'count', '1@2', '1@3', '1@4', '1@20'),
	pg_temp.batch(3, 'count', '-1@20', '-1@21')
\g /dev/null
SELECT is(pg_temp.running(3), 'count 1..14 2 x 3.00 each = 6.00', 'U3: of a service that counts its events');
SELECT kb_set_tariff(4, 'fee2', '2026-01-15'), pg_temp.batch(4, 'sum', '100@2', '50@3', '-30@20')
\g /dev/null
SELECT is(pg_temp.running(4), 'sum 1..14 120 x 10% + 0.30 = 12.30', 'U3: with the fee of its event');
SELECT kb_set_tariff(5, 'b', '2026-01-16'), pg_temp.batch(5, 'sum', '5@20', '-5@3')
\g /dev/null
SELECT is(pg_temp.running(5), 'sum 1..15 0 x 1.00 each min 6.20 = 3.00', 'U3, P: a minimum is owed all the same');

-- P, C3: minimums and maximums without proration

SELECT pg_temp.set_prices('p sum 1 each min 3*', 'p base 3*', 'q sum 1 each min 8*', 'q base 8*', 'np sum 1.00 each min 5.00*',
	'np2 sum 1.00 each min 5.00', 'none count 1.00 each', 'r sum 1.00 each min 4.00*')
\g /dev/null
SELECT pg_temp.clock('2026-01-01 00:00+00'), kb_create_account('o', tariff, id)
FROM (VALUES (11, 'p'), (12, 'p'), (13, 'np'), (14, 'np2'), (15, 'np')) AS t (id, tariff)
\g /dev/null
SELECT pg_temp.clock('2026-01-30 12:00+00')
\g /dev/null
SELECT kb_set_tariff(id, 'q', '2026-01-10'), kb_set_tariff(id, 'p', '2026-01-14') FROM generate_series(11, 12) AS id
\g /dev/null
SELECT is(pg_temp.running(11), 'base 14..30 1 x 3 = 3.00, sum 1..30 0 x 1 each min 3 = 3.00',
	'C3, P: of a tariff that is returned to, fee and minimum are due once');
SELECT pg_temp.batch(12, 'sum', '1@11', '4@2')
\g /dev/null
SELECT is(pg_temp.running(12), 'base 14..30 1 x 3 = 3.00, sum 1..30 4 x 1 each min 3 = 4.00, sum 10..13 1 x 1 each min 8 = 1.00',
	'P: and not that of the tariff between');
SELECT pg_temp.batch(id, 'sum', '1@5'), kb_set_tariff(id, 'none', '2026-01-01') FROM generate_series(13, 15) AS id
\g /dev/null
SELECT is(pg_temp.running(13), 'sum 1..30 1 x 1.00 each min 5.00 = 1.00', 'P: a price that held on no day owes no minimum');
SELECT is(pg_temp.running(14), 'sum 1..30 1 x 1.00 each min 5.00 = 1.00', 'P: nor with proration');
SELECT kb_set_tariff(15, 'r', '2026-01-21')
\g /dev/null
SELECT is(pg_temp.running(15), 'sum 1..30 1 x 1.00 each min 5.00 = 1.00, sum 21..30 0 x 1.00 each min 4.00 = 4.00',
	'P: and does not take the place of another');

-- C3: with proration and without it in one month, the last price says which it is

SELECT pg_temp.set_prices('whole base 100.00', 'whole base 50.00* @2026-01-16', 'whole seat 31.00 each',
	'whole seat 62.00 each* @2026-01-16',
	'days base 100.00*', 'days base 50.00 @2026-01-16', 'lo sum 1.00 each min 31.00', 'hi sum 1.00 each min 62.00*',
	'top sum 1.00 each max 31.00*', 'part sum 1.00 each max 31.00', 'full sum 2.00 each*')
\g /dev/null
SELECT pg_temp.clock('2026-01-01 00:00+00'), kb_create_account('o', tariff, id)
FROM (VALUES (21, 'whole'), (22, 'days'), (23, 'lo'), (24, 'hi'), (25, 'hi'), (26, 'hi'), (27, 'top'), (28, 'b'), (29, 'part'), (30, 'hi'))
	AS t (id, tariff)
\g /dev/null
SELECT kb_switch_on(21, 'seat', 2), kb_switch_off(21, 'seat', '2026-01-11'), kb_set_tariff(23, 'hi', '2026-01-16'),
	kb_set_tariff(24, 'lo', '2026-01-16'), kb_set_tariff(25, 'b', '2026-01-16'), kb_set_tariff(26, 'b', '2026-01-16'),
	kb_set_tariff(27, 'b', '2026-01-16'), kb_set_tariff(28, 'top', '2026-01-16'), kb_set_tariff(29, 'full', '2026-01-16'),
	kb_set_tariff(30, 'full', '2026-01-16')
\g /dev/null
SELECT pg_temp.clock('2026-01-30 12:00+00'), pg_temp.batch(26, 'sum', '1@20'), pg_temp.batch(27, 'sum', '100@2'),
	pg_temp.batch(28, 'sum', '100@20'), pg_temp.batch(29, 'sum', '100@2')
\g /dev/null
SELECT pg_temp.clock('2026-02-01 00:00+00'), kb_month_charge(id) FROM generate_series(21, 30) AS id
\g /dev/null
SELECT is(pg_temp.charged(id, '2026-01-01'), lines, 'C3: ' || why) FROM (VALUES
	(21, 'base 16..31 1 x 50.00 = 50.00, seat 1..10 2 x 31.00 each = 20.00',
		'a last price that is not prorated is due alone, in full, where the service had it'),
	(22, 'base 1..15 1 x 100.00 = 48.39, base 16..31 1 x 50.00 = 25.80', 'one that is prorated makes all be charged by day'),
	(23, 'sum 16..31 0 x 1.00 each min 62.00 = 62.00', 'so does it with a minimum, in full'),
	(24, 'sum 1..15 0 x 1.00 each min 62.00 = 30.00, sum 16..31 0 x 1.00 each min 31.00 = 16.00', 'or by day'),
	(25, 'sum 1..15 0 x 1.00 each min 62.00 = 30.00', 'the last price need have no minimum'),
	(26, 'sum 1..15 0 x 1.00 each min 62.00 = 30.00, sum 16..31 1 x 1.00 each = 1.00', 'used or not'),
	(27, 'sum 1..15 100 x 1.00 each max 31.00 = 15.00', 'a maximum by day'),
	(28, 'sum 16..31 100 x 1.00 each max 31.00 = 31.00', 'and in full'),
	(29, 'sum 1..15 100 x 1.00 each max 31.00 = 31.00', 'as the last price says, which need have none'),
	(30, 'sum 1..15 0 x 1.00 each min 62.00 = 62.00', 'the last minimum is due in full, if a price without one follows')
) AS t (id, lines, why);

-- U3: late usage is netted as what was billed of it

SELECT pg_temp.set_prices('late sum 1.00 each', 'tie sum 1.00 each', 'tie2 sum 5.00 each')
\g /dev/null
SELECT kb_create_account('o', tariff, id) FROM (VALUES (41, 'late'), (42, 'tie')) AS t (id, tariff)
\g /dev/null
SELECT kb_record_usage(41, 'sum', 10, 'a', '2026-02-01 00:30+00')
\g /dev/null
SELECT pg_temp.clock('2026-02-20 12:00+00')
\g /dev/null
SELECT ok(kb_record_usage(9, 'sum', -2, 'back'), 'U1: what is taken back needs no price, neither on its day nor in its month');
SELECT is((SELECT format('%s at %s', e.quantity, p.price) FROM usage_event AS e JOIN price_list AS p USING (price_id)
		   WHERE e.key = 'back' AND e.account_id = 9), '-2 at 2.00 each', 'U1: it is at that of an earlier month with the most left');
SELECT pg_temp.clock('2026-02-28 12:00+00'), kb_set_tariff(42, 'tie2', '2026-02-15')
\g /dev/null
SELECT kb_record_usage_batch('[{"account_id":42,"service":"sum","quantity":10,"key":"a","at":"2026-02-02T00:00:00Z"},
	{"account_id":42,"service":"sum","quantity":2,"key":"b","at":"2026-02-20T00:00:00Z"},
	{"account_id":42,"service":"sum","quantity":-6,"key":"c","at":"2026-02-20T00:00:00Z"}]')
\g /dev/null
SELECT pg_temp.clock('2026-03-01 00:00+00'), kb_month_charge(id) FROM generate_series(41, 42) AS id
\g /dev/null
SELECT is(pg_temp.charged(42, '2026-02-01'), 'sum 1..14 6 x 1.00 each = 6.00', 'U3: more is taken back than one price has');
SELECT kb_set_price('late', 'sum', '2.00 each', '2026-02-01'), kb_record_usage(41, 'sum', 1, 'b', '2026-02-10 00:00+00')
\g /dev/null
SELECT kb_record_usage(41, 'sum', -10, 'c', '2026-02-01 00:30+00')
\g /dev/null
SELECT kb_record_usage(42, 'sum', 3, 'd', '2026-02-21 00:00+00')
\g /dev/null
SELECT is(pg_temp.running(41), 'sum late 1..28 -9 x 1.00 each = -9.00', 'U3: what was billed is given back, and no more');
SELECT is(pg_temp.running(42), 'sum late 1..14 3 x 1.00 each = 3.00, sum late 15..28 0 x 5.00 each = 0.00',
	'U3: what comes late is first what is not taken back');
SELECT pg_temp.clock('2026-04-01 00:00+00'), kb_month_charge(id) FROM generate_series(41, 42) AS id
\g /dev/null
SELECT kb_record_usage(41, 'sum', -1, 'd', '2026-02-10 00:00+00'), kb_record_usage(42, 'sum', 3, 'e', '2026-02-21 00:00+00')
\g /dev/null
SELECT is(pg_temp.running(41), 'sum late 1..28 -1 x 1.00 each = -1.00', 'U3: until nothing is left');
SELECT is(pg_temp.running(42), 'sum late 1..14 1 x 1.00 each = 1.00, sum late 15..28 2 x 5.00 each = 10.00', 'U3: and then what is used');
SELECT pg_temp.clock('2026-05-01 00:00+00'), kb_month_charge(id) FROM generate_series(41, 42) AS id
\g /dev/null
SELECT kb_record_usage(41, 'sum', -5, 'e', '2026-02-10 00:00+00')
\g /dev/null
SELECT is((SELECT kbilling.sum(amount)::text FROM kb_current_usage(41)), '0.00 USD', 'U3: nothing more is given back then');
SELECT is_empty('SELECT * FROM kb_check()', 'U5: the totals are those of the events');

-- C3: terms that are set anew beside the same ones are one price, with its free units whole

SELECT pg_temp.clock('2026-01-01 00:00+00'), kb_create_service('peak', 'metered', aggregation => 'max'),
	kb_create_service('user', 'metered', 'user', 'unique')
\g /dev/null
SELECT pg_temp.set_prices('slip sum 1.00 each free 5', 'slip peak 1.00 each free 5', 'slip user 1.00 each', 'moved sum 9 each',
	'moved sum 1 each free 5 min 3.1 @2026-01-15', 'three sum 1.00 each free 5', 'three sum 9.00 each @2026-01-15',
	'three sum 1.00 each free 5 @2026-01-20')
\g /dev/null
SELECT kb_create_account('o', tariff, id)
FROM (VALUES (51, 'slip'), (52, 'moved'), (53, 'three'), (54, 'slip'), (55, 'moved')) AS t (id, tariff)
\g /dev/null
SELECT pg_temp.clock('2026-01-30 12:00+00'), pg_temp.batch(id, service, '6@5', '6@20')
FROM (VALUES (51, 'sum'), (51, 'peak'), (53, 'sum')) AS t (id, service)
\g /dev/null
SELECT pg_temp.batch(52, 'sum', '5@12', '5@20'), kb_record_usage(51, 'user', 1, 'a', '2026-01-05 00:00+00', '{"user": "x"}'),
	kb_record_usage(51, 'user', 1, 'b', '2026-01-20 00:00+00', '{"user": "x"}')
\g /dev/null
SELECT pg_temp.set_prices('slip sum 9.00 each @2026-01-15', 'slip peak 9.00 each @2026-01-15', 'slip user 9.00 each @2026-01-15')
\g /dev/null
SELECT pg_temp.clock('2026-01-30 12:01+00')
\g /dev/null
SELECT is(kb_set_price('slip', service, price, '2026-01-15'), date '2020-01-01', 'C3: a slip is put right: the price holds as before')
FROM (VALUES ('sum', kb_price '1.00 each free 5'), ('peak', '1.00 each free 5'), ('user', '1.00 each')) AS t (service, price);
SELECT is(pg_temp.running(51),
	'peak 1..30 6 x 1.00 each free 5 = 1.00, sum 1..30 12 x 1.00 each free 5 = 7.00, user 1..30 1 x 1.00 each = 1.00',
	'C3: and usage is rated as if nothing had been');
SELECT is(kb_set_price('moved', 'sum', '1 each free 5 min 3.1', '2026-01-10'), date '2026-01-10',
	'C3: a change is moved to an earlier day');
SELECT is(pg_temp.running(52), 'sum 10..30 10 x 1 each free 5 min 3.1 = 5.00', 'C3: and is one');
SELECT is(kb_set_price('three', 'sum', '1.00 each free 5', '2026-01-15'), date '2020-01-01', 'C3: what was between two is gone');
SELECT is(pg_temp.running(53), 'sum 1..30 12 x 1.00 each free 5 = 7.00', 'C3: and they are one');
SELECT results_eq($$SELECT tariff::text, from_date, to_date, price::text FROM price_list
	WHERE tariff IN ('slip', 'moved', 'three') AND service = 'sum' ORDER BY 1, 2$$,
	$$VALUES ('moved', date '2020-01-01', date '2026-01-10', '9 each'), ('moved', '2026-01-10', 'infinity', '1 each free 5 min 3.1'),
		('slip', '2020-01-01', 'infinity', '1.00 each free 5'), ('three', '2020-01-01', 'infinity', '1.00 each free 5')$$,
	'C3: the price list says so');
SELECT results_eq(format($$SELECT tariff, from_date, price::text, to_date FROM kb_price_list(%L, %L) WHERE service = 'sum'
	AND tariff IN ('slip', 'moved', 'three')$$, day, as_of), format('VALUES %s', listed),
	format('J9: the price list of %s, as of %s', day, as_of))
FROM (VALUES
	('2026-01-12', '2026-01-30 12:00+00', $$('moved', date '2020-01-01', '9 each', date '2026-01-15'),
		('slip', '2020-01-01', '1.00 each free 5', '2026-01-15'), ('three', '2020-01-01', '1.00 each free 5', '2026-01-15')$$),
	('2026-01-16', '2026-01-30 12:00+00', $$('moved', date '2026-01-15', '1 each free 5 min 3.1', date 'infinity'),
		('slip', '2026-01-15', '9.00 each', 'infinity'), ('three', '2026-01-15', '9.00 each', '2026-01-20')$$),
	('2026-01-12', '2026-01-30 12:01+00', $$('moved', date '2026-01-10', '1 each free 5 min 3.1', date 'infinity'),
		('slip', '2020-01-01', '1.00 each free 5', 'infinity'), ('three', '2020-01-01', '1.00 each free 5', 'infinity')$$)
) AS t (day, as_of, listed);
-- late: of a month that was billed before
SELECT pg_temp.set_prices('moved2 sum 9 each', 'moved2 sum 1 each free 5 @2026-01-15')
\g /dev/null
SELECT kb_set_tariff(55, 'moved2', '2026-01-01'), pg_temp.batch(54, 'sum', '5@5', '2@20'), pg_temp.batch(55, 'sum', '6@20')
\g /dev/null
SELECT pg_temp.clock('2026-02-01 00:00+00'), kb_month_charge(id) FROM generate_series(51, 55) AS id
\g /dev/null
SELECT pg_temp.set_prices('slip sum 9.00 each @2026-01-15', 'slip sum 1.00 each free 5 @2026-01-15', 'moved2 sum 1 each free 5 @2026-01-10')
\g /dev/null
SELECT pg_temp.batch(54, 'sum', '3@21'), pg_temp.batch(55, 'sum', '5@12')
\g /dev/null
SELECT is(pg_temp.running(54), 'sum late 1..31 3 x 1.00 each free 5 = 3.00', 'U3: late usage after a slip');
SELECT is(pg_temp.running(55), 'sum late 10..31 5 x 1 each free 5 = 5.00', 'U3: and of a day to which a change was moved');
SELECT is_empty('SELECT * FROM kb_check()', 'U5: the totals are those of the events');

SELECT * FROM finish();
