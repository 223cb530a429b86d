-- Usage (rules U1 to U5, C2, C3, C6 to C8)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/state.sql
BEGIN;

SET LOCAL kbilling.clock = '2026-11-20 12:00+00';
-- Services by the name of their aggregation; tariffs without a base fee, so that usage stands alone
SELECT kb_create_service(s, 'metered', CASE s WHEN 'unique' THEN 'user' END, s) FROM unnest('{sum,count,max,unique,last}'::text[]) AS s
\g /dev/null
SELECT kb_create_service(s, 'metered') FROM unnest('{free3,packs,flat,floor,nowhere,later}'::text[]) AS s
\g /dev/null
SELECT kb_create_service('max_floor', 'metered', aggregation => 'max'), kb_create_service('any', 'metered', aggregation => 'unique'),
	kb_create_service('seat', 'recurring')
\g /dev/null
SELECT kb_create_tariff('std', 'USD'), kb_create_tariff('bare', 'USD'), kb_create_tariff('cheap', 'USD'), kb_create_tariff('full', 'USD'),
	kb_create_tariff('yen', 'JPY')
\g /dev/null
SELECT kb_set_price('std', s, '1.00 each') FROM unnest('{sum,count,max,unique,last,any}'::text[]) AS s
\g /dev/null
SELECT kb_set_price('std', 'free3', '0.50 each free 3'), kb_set_price('std', 'packs', '5.00 per 100'), kb_set_price('std', 'flat', '5.00'),
	kb_set_price('std', 'seat', '4.00 each'), kb_set_price('cheap', 'sum', '0.10 each'), kb_set_price('yen', 'sum', '1.5 each'),
	kb_set_price('full', 'base', '30.00'), kb_set_price('full', 'sum', '0.05 each'), kb_set_price('full', 'seat', '4.00 each'),
	kb_set_price('full', 'max', '0.10 each')
\g /dev/null

-- A minimum is owed without usage too, so it has tariffs of its own.
SELECT kb_create_tariff(s, 'USD'), kb_set_price(s, s, '1.00 each min 5.00') FROM unnest('{floor,max_floor}'::text[]) AS s
\g /dev/null
SELECT kb_set_price(s, p.service, p.price) FROM unnest('{floor,max_floor}'::text[]) AS s, price AS p WHERE p.tariff = 'std'
\g /dev/null

CREATE FUNCTION pg_temp.open(id bigint, tariff text = 'std', since timestamptz = '2026-09-01 00:00+00', zone text = 'UTC')
	RETURNS bigint LANGUAGE sql
	RETURN kb_create_account('olena', tariff, id, zone, created_at => since);
\ir ../include/clock.sql

-- What an account's running month shows, or what a month was charged: "service what from..to quantity/events x price = amount"
CREATE FUNCTION pg_temp.show(service text, what text, from_date date, to_date date, quantity numeric, events bigint,
	price text, amount kb_money)
	RETURNS text LANGUAGE sql
	RETURN format('%s %s %s..%s %s/%s x %s = %s', service, what, to_char(from_date, 'MM-DD'), to_char(to_date, 'MM-DD'),
		quantity, events, price, amount);
CREATE FUNCTION pg_temp.running(id bigint) RETURNS text[] LANGUAGE sql STABLE RETURN (
	SELECT array_agg(pg_temp.show(service, what, from_date, to_date, quantity, events, price, amount) ORDER BY line_no)
		FROM kbilling.kb_current_usage(id));
CREATE FUNCTION pg_temp.charged(id bigint, month date) RETURNS text[] LANGUAGE sql STABLE RETURN (
	SELECT array_agg(pg_temp.show(service, what, from_date, to_date, quantity, events, price, amount) ORDER BY line_no)
	FROM charge_line AS l WHERE l.account_id = id AND l.period = month);
CREATE FUNCTION pg_temp.charge_at(id bigint, at timestamptz) RETURNS kb_charge_result LANGUAGE sql AS $$
	SELECT set_config('kbilling.clock', at::text, false);
	SELECT kbilling.kb_month_charge(id);
$$;
\ir ../include/error.sql
-- All that a refused event must leave as it is
CREATE FUNCTION pg_temp.books() RETURNS text LANGUAGE sql BEGIN ATOMIC
	SELECT md5(concat((SELECT string_agg(t::text, ';' ORDER BY t::text) FROM usage_total AS t),
		(SELECT string_agg(t::text, ';' ORDER BY t::text) FROM usage_event AS t),
		(SELECT string_agg(t::text, ';' ORDER BY t::text) FROM usage_value AS t)));
END;

-- U1

SELECT pg_temp.open(id) FROM generate_series(1, 40) AS id
\g /dev/null
SELECT is(kb_record_usage(1, 'sum', 3, 'k'), true, 'U1: an event counts');
SELECT is(kb_record_usage(1, 'sum', 3, 'k'), false, 'U1: the same key again does not');
SELECT is(kb_record_usage(1, 'sum', 8, 'k', '2026-11-02 00:00+00', '{"a": 1}'), false, 'U1: whatever else it says');
SELECT is(kb_record_usage(1, 'sum', -3, 'k'), false, 'U1: nor does a correction under it');
SELECT is(kb_record_usage(1, 'sum', 3, 'k', '2026-10-02 00:00+00'), false, 'U1: of another month neither');
SELECT is(kb_record_usage(2, 'sum', 3, 'k'), true, 'U1: another account has keys of its own');
SELECT is(kb_record_usage(1, 'count', 3, 'k'), true, 'U1: and so has another service');
SELECT is(kb_record_usage(1, 'sum', 3, 'K'), true, 'U1: another letter makes another key');
SELECT is(kb_record_usage(1, 'sum', 3, 'k '), true, 'U1: and so does a space');
SELECT is(pg_temp.running(1), '{count usage 11-01..11-20 1/1 x 1.00 each = 1.00 USD,sum usage 11-01..11-20 9/3 x 1.00 each = 9.00 USD}',
	'U1: what was known is not in the total');
SELECT is(kb_record_usage(1, 'sum', 1, key), true, format('U1: key %s bytes long', octet_length(key)))
FROM (VALUES ('x'), (repeat('y', 255)), (repeat('я', 127) || 'z')) AS t (key);
SELECT is(pg_temp.error_with_detail(format('SELECT kb_record_usage(1, ''sum'', 1, %L)', key)), error,
	format('U1: key %s is refused', left(key, 9)))
FROM (VALUES
	('', '22023 key must have 1 to 255 bytes | It has 0.'),
	(repeat('z', 256), '22023 key must have 1 to 255 bytes | It has 256.'),
	(repeat('я', 128), '22023 key must have 1 to 255 bytes | It has 256.'),
	('kb:1', '22023 key must not begin with "kb:" | Such keys are kbilling''s own.')
) AS t (key, error);

-- U2: events are "quantity@day/value"; one by one, as one batch, each from a session of its own

CREATE TEMP TABLE story (n int GENERATED ALWAYS AS IDENTITY, service text, events text, quantity numeric, counted int, why text);
INSERT INTO story (service, events, quantity, counted, why) VALUES
	('sum', '10@5 2.5@3 0@7', 12.5, 3, 'quantities add up'),
	('sum', '10@5 -4@6', 6, 0, 'a correction is subtracted'),
	('sum', '-4@6 10@5', 6, 0, 'a correction may come first'),
	('sum', '3@5 -5@5', -2, 0, 'more taken back than there was'),
	('sum', '0.000000000001@1 0.000000000002@2', 0.000000000003, 2, 'fractions are kept'),
	('sum', '1000000000000@1 1000000000000.25@2', 2000000000000.25, 2, '10^12 units'),
	('count', '10@5 0@6 7@6', 3, 3, 'each event is one, whatever its quantity'),
	('count', '10@5 -10@6', 0, 0, 'a correction takes one back'),
	('count', '5@5 5@5 -7@5', 1, 1, 'whatever its quantity'),
	('max', '10@5 30@3 20@9', 30, 3, 'the highest'),
	('max', '0@5', 0, 1, 'the highest may be zero'),
	('max', '10@5 30@3 -30@3', 10, 1, 'what is left when the highest is taken back'),
	('max', '10@5 30@3 -30@9', 10, 1, 'whenever in the month that is'),
	('max', '10@5 30@3 -10@5', 30, 1, 'another one is taken back'),
	('max', '30@3 30@4 -30@5', 30, 1, 'two of the same: one is left'),
	('max', '30@3 30@4 -30@5 -30@6', 0, 0, 'none is left'),
	('max', '30@3 -30@3 30@4', 30, 1, 'it comes again'),
	('max', '30@3 10@5 -30@3 -10@5 7@1', 7, 1, 'a new one after none was left'),
	('max', '30@3 -30@3 5@1 9@2 -9@3', 5, 1, 'twice'),
	('last', '10@5 30@3', 10, 2, 'the last by its time, not by its coming'),
	('last', '30@3 10@5', 10, 2, 'the last'),
	('last', '10@5 20@5', 20, 2, 'of one moment, the one recorded last'),
	('last', '20@5 10@5', 10, 2, 'of one moment, the one recorded last, be it lower'),
	('last', '10@3 0@5', 0, 2, 'zero is a quantity'),
	('last', '30@3 10@5 -10@5', 30, 1, 'what is left when the last is taken back'),
	('last', '30@3 10@5 -30@3', 10, 1, 'an earlier one is taken back'),
	('last', '10@5 20@5 -20@5', 10, 1, 'of one moment, the other one'),
	('last', '10@5 -10@5', 0, 0, 'none is left'),
	('last', '10@5 -10@5 3@2', 3, 1, 'a new one after none was left'),
	('last', '30@3 10@5 -10@5 7@2', 30, 2, 'an earlier one comes late'),
	('last', '10@5 10@6 -10@6 4@4', 10, 2, 'the same quantity at two moments'),
	('last', '10@3 50@5 -50@20', 10, 1, 'taken back at another moment of the month'),
	('unique', '1@5/x 1@6/y 1@7/x', 2, 3, 'distinct values'),
	('unique', '1@5/x 5@6/X 0@6/', 3, 3, 'case counts, quantity does not, an empty text is a value'),
	('unique', '1@5/x 1@6/x -1@7/x', 1, 1, 'taken back once, recorded twice'),
	('unique', '1@5/x 1@6/x -1@7/x -1@8/x', 0, 0, 'taken back as often as recorded'),
	('unique', '1@5/x 1@6/y -1@7/y', 1, 1, 'another value stays'),
	('unique', '1@5/x -1@6/x 1@7/x', 1, 1, 'it comes again'),
	('unique', '-1@7/x 1@5/x', 0, 0, 'a correction may come first'),
	('unique', '1@5/x -1@6/x -1@6/x 1@7/x', 0, 0, 'taken back twice, recorded twice'),
	('max', '-30@5 30@5', 0, 0, 'a correction may come first'),
	('last', '-30@5 30@5', 0, 0, 'a correction may come first');

CREATE TEMP VIEW story_event AS
	SELECT n, way, 1000 + 1000 * way + n AS id, service, ord, split_part(e, '@', 1)::numeric AS quantity, n || '-' || ord AS key,
		format('2026-11-%s 09:00+00', lpad(split_part(split_part(e, '@', 2), '/', 1), 2, '0'))::timestamptz AS at,
		CASE service WHEN 'unique' THEN jsonb_build_object('user', split_part(e, '/', 2)) END AS properties
	FROM story, regexp_split_to_table(events, ' ') WITH ORDINALITY AS s (e, ord), generate_series(0, 2) AS way;
SELECT pg_temp.open(id) FROM (SELECT DISTINCT id FROM story_event) AS e
\g /dev/null
DO $$
DECLARE
	e record;
BEGIN
	FOR e IN SELECT * FROM story_event WHERE way <> 1 ORDER BY id, ord LOOP
		PERFORM kb_record_usage(e.id, e.service, e.quantity, e.key, e.at, e.properties);
		IF e.way = 2 THEN
			UPDATE usage_total SET slot = 100 + e.ord WHERE account_id = e.id AND slot < 100;
		END IF;
	END LOOP;
END $$;
SELECT is(kb_record_usage_batch(jsonb_agg(jsonb_build_object('account_id', id, 'service', service, 'quantity', quantity,
	'key', key, 'at', at,
		'properties', properties) ORDER BY id, ord)), count(*), 'U2: all stories in one batch, of many accounts and services')
FROM story_event WHERE way = 1;
SELECT is(pg_temp.running(1000 + 1000 * way + n),
	-- what was all taken back was not used
	CASE WHEN quantity <> 0 OR counted <> 0
		THEN ARRAY[format('%s usage 11-01..11-20 %s/%s x 1.00 each = %s', service, quantity, counted,
			kb_money(round(greatest(quantity, 0), 2), 'USD'))] END,
	format('U2: %s of %s%s: %s', service, events, ('{"",", as a batch",", each from a session of its own"}'::text[])[way + 1], why))
FROM story, generate_series(0, 2) AS way ORDER BY n, way;
SELECT cmp_ok((SELECT count(DISTINCT slot) FROM usage_total), '>', 2::bigint, 'U5: in several slots');

-- What counts once

SELECT is(pg_temp.error_with_detail(format('SELECT kb_record_usage(3, %L, 1, %L, NULL, %L)', service, key, properties)), error,
	format('U2: %s %s of %s', key, properties, service))
FROM (VALUES
	('unique', 'a', '{"user": "x", "page": 7}', ''),
	('unique', 'b', '{"page": 7}', ''),	-- the only one stands for it
	('unique', 'c', '{"user": true}', ''),
	('unique', 'd', '{"user": 12.50}', ''),
	('any', 'e', '{"page": 7}', ''),
	('sum', 'f', '[1, 2]', ''),
	('sum', 'g', '"x"', ''),
	('unique', 'n0', NULL, 'no value'),
	('unique', 'n1', '{}', 'no value'),
	('unique', 'n2', '{"page": 7, "site": 8}', 'no value'),
	('unique', 'n3', '{"user": null}', 'no value'),
	('unique', 'n4', '{"user": {"id": 1}}', 'no value'),
	('unique', 'n5', '{"user": [1]}', 'no value'),
	('unique', 'n6', '["x"]', 'no value'),
	('unique', 'n7', '"x"', 'no value'),
	('unique', 'n8', format('{"user": "%s"}', repeat('x', 256)), 'no value'),
	('any', 'n9', '{"page": 7, "site": 8}', 'no value')
) AS t (service, key, properties, e),
LATERAL (SELECT CASE e WHEN '' THEN '' ELSE format('22023 usage of service "%s" lacks the property that is counted '
	'| The event has the key "%s".', service, key) END) AS x (error);
SELECT results_eq('SELECT value::text FROM usage_value WHERE account_id = 3 ORDER BY service, value',
	$$VALUES ('7'), ('12.50'), ('7'), ('true'), ('x')$$, 'U2: what was counted');

-- U2, U5: at random, events that may be taken back, against what they say themselves

CREATE TEMP TABLE dice (account_id bigint, service text, quantity numeric, key text, at timestamptz, properties jsonb, ord int);
SELECT setseed(0.3)
\g /dev/null
INSERT INTO dice
SELECT 4000 + i % 20, (ARRAY['sum', 'count', 'max', 'unique', 'last'])[1 + i % 5], floor(random() * 6), 'k' || i,
	timestamptz '2026-09-01 06:00+00' + floor(random() * 80) * interval '1 day' + i * interval '1 second',
		jsonb_build_object('user', floor(random() * 5)), i
FROM generate_series(1, 4000) AS i;
-- half of them are taken back, after all have come
INSERT INTO dice SELECT account_id, service, - quantity, 'back ' || key, at, properties, 10000 + ord FROM dice
WHERE random() < 0.5 AND quantity > 0;
SELECT pg_temp.open(id) FROM generate_series(4000, 4019) AS id
\g /dev/null
CREATE TEMP VIEW oracle AS
	SELECT account_id, period, e.service, s.aggregation, sum(events) AS events,
		CASE s.aggregation WHEN 'sum' THEN sum(quantity) WHEN 'count' THEN sum(events)
			WHEN 'unique' THEN (SELECT count(*) FROM (SELECT FROM usage_event AS x
				WHERE (x.account_id, x.service, x.period) = (e.account_id, e.service, e.period) GROUP BY value HAVING sum(events) > 0) AS v)
			WHEN 'max' THEN (SELECT max(q) FROM (SELECT abs(quantity) AS q FROM usage_event AS x
				WHERE (x.account_id, x.service, x.period) = (e.account_id, e.service, e.period) GROUP BY 1 HAVING sum(events) > 0) AS v)
			ELSE (SELECT q FROM (SELECT abs(quantity) AS q, at, max(recorded_at) AS r FROM usage_event AS x
				WHERE (x.account_id, x.service, x.period) = (e.account_id, e.service, e.period) GROUP BY 1, 2 HAVING sum(events) > 0
				ORDER BY 2 DESC, 3 DESC LIMIT 1) AS v) END AS quantity
	FROM usage_event AS e JOIN service AS s USING (service) GROUP BY account_id, period, e.service, s.aggregation;
CREATE TEMP VIEW totals AS
	SELECT account_id, period, service, aggregation, sum(events) AS events,
		CASE WHEN aggregation IN ('max', 'last') THEN kb_usage_level(account_id, period, service, price_id, aggregation)
			ELSE sum(quantity) END AS quantity
	FROM usage_total GROUP BY account_id, period, service, price_id, aggregation;
DO $$
DECLARE
	e record;
BEGIN
	FOR e IN SELECT *, row_number() OVER (ORDER BY ord) AS n FROM dice ORDER BY ord LOOP
		PERFORM kb_record_usage(e.account_id, e.service, e.quantity, e.key, e.at, e.properties);
		IF e.n % 400 = 0 THEN	-- another session
			UPDATE usage_total SET slot = e.n WHERE slot < 100 AND account_id BETWEEN 4000 AND 4019;
		END IF;
	END LOOP;
END $$;
SELECT set_eq('SELECT * FROM totals WHERE account_id BETWEEN 4000 AND 4019', 'SELECT * FROM oracle WHERE account_id BETWEEN 4000 AND 4019',
	'U2, U5: totals are what the events add up to');
SELECT is((SELECT count(*) FROM oracle WHERE account_id BETWEEN 4000 AND 4019), 20::bigint * 3, 'U5: for each account, service and month');
DO $$
BEGIN
	FOR i IN 0..2 LOOP
		PERFORM kb_record_usage_batch(jsonb_agg(to_jsonb(d) - 'ord' || jsonb_build_object('key', key || ' again') ORDER BY ord))
		FROM dice AS d WHERE ord % 3 = i AND ord < 10000;
	END LOOP;
	PERFORM kb_record_usage_batch(jsonb_agg(to_jsonb(d) - 'ord' || jsonb_build_object('key', key || ' again') ORDER BY ord))
	FROM dice AS d WHERE ord >= 10000;
END $$;
SELECT set_eq('SELECT account_id, period, service, aggregation, events, quantity '
	'FROM totals WHERE account_id BETWEEN 4000 AND 4019 AND service <> ''last''',
	'SELECT account_id, period, service, aggregation, events, quantity '
		'FROM oracle WHERE account_id BETWEEN 4000 AND 4019 AND service <> ''last''',
	'U2, U5: by batches, too');

-- C3, U4: priced by the local day of the event

SELECT kb_set_price('std', 'later', '1.00 each', '2026-11-30'), kb_set_price('cheap', 'later', '1.00 each', '2026-12-01'),
	kb_set_price('cheap', 'sum', '0.20 each', '2026-11-30'), kb_set_price('cheap', 'sum', '0.40 each', '2026-12-01')
\g /dev/null
SELECT pg_temp.open(50, 'cheap'), pg_temp.open(51, 'std', '2026-11-10 00:00+00'),
	pg_temp.open(52, 'std', '2026-11-10 00:00+00'), pg_temp.open(53, 'std', '2026-11-10 00:00+00'),
	pg_temp.open(54, 'bare', '2026-11-10 00:00+00'), pg_temp.open(55, 'bare', '2026-11-10 00:00+00')
\g /dev/null
SELECT kb_set_tariff(51, 'cheap', '2026-11-30'), kb_set_tariff(52, 'cheap', '2026-12-01'), kb_set_tariff(53, 'bare', '2026-11-30'),
	kb_set_tariff(54, 'std', '2026-11-30'), kb_set_tariff(55, 'std', '2026-12-01')
\g /dev/null
SELECT is(pg_temp.error_with_detail(format('SELECT kb_record_usage(%s, %L, %s, ''k'', %L)', id, service, 10, at)), error, why)
FROM (VALUES
	(50, 'sum', '2026-11-02 00:00+00', '', 'U4: a price that changes'),
	(51, 'sum', '2026-11-12 00:00+00', '', 'U4: a tariff that changes'),
	(52, 'sum', '2026-11-12 00:00+00', '', 'U4: a tariff that changes on the 1st'),
	(51, 'count', '2026-11-12 00:00+00', '', 'U4, C3: the tariff of the last day has no price'),
	(53, 'sum', '2026-11-12 00:00+00', '', 'U4, C3: nor has that one for anything'),
	(54, 'sum', '2026-11-12 00:00+00', 'KB012 tariff "bare" has no price for service "sum" '
		'| It has none on 2026-11-12, the day of this usage of account 54.',
		'U4, C3: the tariff of the last day alone has one'),
	(55, 'sum', '2026-11-12 00:00+00', 'KB012 tariff "bare" has no price for service "sum" '
		'| It has none on 2026-11-12, the day of this usage of account 55.',
		'U4: the tariff of the next month does not count'),
	(1, 'later', '2026-11-12 00:00+00', 'KB012 tariff "std" has no price for service "later" '
		'| It has none on 2026-11-12, the day of this usage of account 1.',
		'U4, C3: a price from the last day on'),
	(50, 'later', '2026-11-12 00:00+00', 'KB012 tariff "cheap" has no price for service "later" '
		'| It has none on 2026-11-12, the day of this usage of account 50.',
		'U4: a price from the next month on'),
	(1, 'nowhere', '2026-11-12 00:00+00', 'KB012 tariff "std" has no price for service "nowhere" '
		'| It has none on 2026-11-12, the day of this usage of account 1.',
		'U4: no price at all')
) AS t (id, service, at, error, why);
SELECT is(pg_temp.running(id), lines, why) FROM (VALUES
	(50, '{sum usage 11-01..11-20 10/1 x 0.10 each = 1.00 USD}'::text[], 'C3: not the price of the month''s last day'),
	(51, '{count usage 11-10..11-20 1/1 x 1.00 each = 1.00 USD,sum usage 11-10..11-20 10/1 x 1.00 each = 10.00 USD}',
		'C3: nor its tariff'),
	(52, '{sum usage 11-10..11-20 10/1 x 1.00 each = 10.00 USD}', 'C3: nor those of the next month'),
	(54, NULL, 'C3: nor what the account comes to have')
) AS t (id, lines, why);
SELECT is((SELECT array_agg((pg_temp.charge_at(id, '2026-12-01 00:00+00')).total::text ORDER BY id) FROM unnest('{51,52,54}'::int[]) AS id),
	'{11.00 USD,10.00 USD,0.00 USD}', 'C3: and charged so');
SELECT is((pg_temp.charge_at(53, '2026-12-01 00:00+00')).total, '10.00 USD', 'C3: what was accepted is billed');
SELECT pg_temp.clock('2026-11-20 12:00+00')
\g /dev/null

-- Prices of other forms

SELECT pg_temp.open(60, 'floor'), pg_temp.open(61, 'yen'), pg_temp.open(62, 'floor'), pg_temp.open(63, 'floor')
\g /dev/null
SELECT kb_record_usage(60, service, quantity, 'k') FROM (VALUES ('free3', 5.5), ('packs', 100.001), ('flat', 0),
	('floor', 2), ('sum', 0.005)) AS t (service, quantity)
\g /dev/null
SELECT kb_record_usage(61, 'sum', 1, 'k'), kb_record_usage(62, 'floor', 0, 'k'), kb_record_usage(62, 'free3', 3, 'k'),
	kb_record_usage(62, 'packs', 0, 'k')
\g /dev/null
SELECT is(pg_temp.running(id), lines, why) FROM (VALUES
	(60, '{flat usage 11-01..11-20 0/1 x 5.00 = 5.00 USD,floor usage 11-01..11-20 2/1 x 1.00 each min 5.00 = 3.33 USD,free3 '
		'usage 11-01..11-20 5.5/1 x 0.50 each free 3 = 1.25 USD,packs usage 11-01..11-20 100.001/1 x 5.00 per 100 = 10.00 '
		'USD,sum usage 11-01..11-20 0.005/1 x 1.00 each = 0.01 USD}'::text[],
		'C2, M4: each service by its price, rounded once'),
	(61, '{sum usage 11-01..11-20 1/1 x 1.5 each = 2 JPY}', 'M4: in yen'),
	(62, '{floor usage 11-01..11-20 0/1 x 1.00 each min 5.00 = 3.33 USD,free3 usage 11-01..11-20 3/1 x 0.50 each free 3 = '
		'0.00 USD,packs usage 11-01..11-20 0/1 x 5.00 per 100 = 0.00 USD}',
		'C2: a quantity of zero was used all the same')
) AS t (id, lines, why);
SELECT kb_record_usage(63, service, quantity, service || quantity)
	FROM unnest('{sum,count,flat,floor,free3}'::text[]) AS service, unnest('{2,-2}'::numeric[]) AS quantity
\g /dev/null
SELECT is(pg_temp.running(63), '{floor usage 11-01..11-20 0/0 x 1.00 each min 5.00 = 3.33 USD}',
	'C2: usage that was all taken back costs nothing, be there a fee, but for a minimum of its days');

-- U4: moments and names

SELECT is(pg_temp.error_with_detail(format('SELECT kb_record_usage(4, ''sum'', 1, %L, %L)', at, at)), error,
	format('U4: at %s, when it is 2026-11-20 12:00', at))
FROM (VALUES
	('2026-11-20 13:00+00', ''),
	('2026-11-20 13:00:00.000001+00', '22008 usage cannot be more than an hour ahead, '
		'but is of 2026-11-20 13:00:00.000001+00 | The event has the key "2026-11-20 13:00:00.000001+00".'),
	('2027-11-20 13:00+00', '22008 usage cannot be more than an hour ahead, but is of 2027-11-20 13:00:00+00 '
		'| The event has the key "2027-11-20 13:00+00".'),
	('294276-12-31 23:59:59+00', '22008 usage cannot be more than an hour ahead, but is of 294276-12-31 23:59:59+00 '
		'| The event has the key "294276-12-31 23:59:59+00".'),
	('infinity', '22008 the time of usage must be finite | The event has the key "infinity".'),
	('-infinity', '22008 the time of usage must be finite | The event has the key "-infinity".'),
	('2026-09-01 00:00+00', ''),
	('2026-08-31 23:59:59+00', '22008 account 4 had not begun on 2026-08-31 '
		'| The account''s first day is 2026-09-01. The event has the key "2026-08-31 23:59:59+00".'),
	('4713-01-01 00:00+00 BC', '22008 account 4 had not begun on 4713-01-01 BC '
		'| The account''s first day is 2026-09-01. The event has the key "4713-01-01 00:00+00 BC".')
) AS t (at, error);
SELECT is(pg_temp.error_with_detail(format('SELECT kb_record_usage(%s)', args)), error, format('U4: (%s)', left(args, 60)))
FROM (VALUES
	('999, ''sum'', 1, ''k''', 'KB001 account 999 does not exist | The event has the key "k".'),
	('0, ''sum'', 1, ''k''', 'KB001 account 0 does not exist | The event has the key "k".'),
	('-1, ''sum'', 1, ''k''', 'KB001 account -1 does not exist | The event has the key "k".'),
	('4, ''orders'', 1, ''k''', 'KB012 service "orders" does not exist | The event has the key "k".'),
	('4, '''', 1, ''k''', 'KB012 service "" does not exist | The event has the key "k".'),
	('4, ''SUM'', 1, ''k''', 'KB012 service "SUM" does not exist | The event has the key "k".'),
	('4, ''seat'', 1, ''k''', '22023 service "seat" is not metered | The event has the key "k".'),
	('4, ''base'', 1, ''k''', '22023 service "base" is not metered | The event has the key "k".'),
	('4, ''sum'', ''NaN'', ''k''', '22003 quantity must be finite, but is NaN | The event has the key "k".'),
	('4, ''sum'', ''Infinity'', ''k''', '22003 quantity must be finite, but is Infinity | The event has the key "k".'),
	('4, ''sum'', ''-Infinity'', ''k''', '22003 quantity must be finite, but is -Infinity | The event has the key "k".'),
	('NULL, ''sum'', 1, ''k''', '22004 account_id must not be null'),
	('4, NULL, 1, ''k''', '22004 service must not be null'),
	('4, ''sum'', NULL, ''k''', '22004 quantity must not be null'),
	('4, ''sum'', 1, NULL', '22004 key must not be null'),
	('4, ''sum'', 1, ''k'', NULL, ''{"card": "4111 1111 1111 1111"}''',
		'KB008 value holds what looks like a payment card number '
		'| It has 13 to 19 digits with an issuer''s prefix and a valid check digit.'),
	('4, ''unique'', 1, ''k'', NULL, ''{"user": "5500-0000-0000-0004"}''',
		'KB008 value holds what looks like a payment card number '
		'| It has 13 to 19 digits with an issuer''s prefix and a valid check digit.'),
	('4, ''sum'', 1, ''order 4111111111111111''', 'KB008 value holds what looks like a payment card number '
		'| It has 13 to 19 digits with an issuer''s prefix and a valid check digit.'),
	('4, ''4111111111111111'', 1, ''k''', 'KB008 value holds what looks like a payment card number '
		'| It has 13 to 19 digits with an issuer''s prefix and a valid check digit.')
) AS t (args, error);
SELECT is(kb_record_usage(4, 'sum', 1, 'null and null', NULL, NULL), true, 'U1: at and properties may be null');
SELECT is((SELECT at FROM usage_event WHERE account_id = 4 AND key = 'null and null'), kb_now(), 'U1: without a time it is now');

-- M1: how much can be said

SELECT is(pg_temp.error_with_detail(format('SELECT kb_record_usage(5, ''sum'', %s, %L)', quantity, left(quantity, 40))),
	error, format('M1: %s units at 1.00', left(quantity, 30)))
FROM (VALUES
	('1e12', ''), ('0.' || repeat('1', 18), ''),
	('0.' || repeat('1', 19), '22003 quantity has too many digits | The event has the key "0.1111111111111111111".'), ('1e-18', ''),
	('90071992547409.92', '22003 kb_money out of range | An amount is a count of at most 9007199254740991 (2^53 - 1) minor '
		'units of its currency.'),
	('1e15', '22003 kb_money out of range | An amount is a count of at most 9007199254740991 (2^53 - 1) minor units of its currency.'),
	('1e131071', '22003 quantity has too many digits | The event has the key "1e131071".'),
	('-1e100', '22003 quantity has too many digits | The event has the key "-1e100".')
) AS t (quantity, error);
SELECT kb_set_price('cheap', 'packs', '0.01 per 1000000')
\g /dev/null
SELECT is(kb_record_usage(50, 'packs', 1e15, 'k'), true, 'M1: 10^15 units that cost little');
SELECT is(pg_temp.running(50), '{packs usage 11-01..11-20 1000000000000000/1 x 0.01 per 1000000 = 10000000.00 USD,sum usage '
	'11-01..11-20 10/1 x 0.10 each = 1.00 USD}',
	'M1: are exact');
SELECT is(pg_temp.error_with_detail($$SELECT kb_record_usage_batch('[{"account_id":6,"service":"max","quantity":80000000000000,"key":"a"},
	{"account_id":6,"service":"max","quantity":80000000000000,"key":"b"}]')$$), '', 'U2, M1: the highest of two is no sum');
SELECT is(pg_temp.error_with_detail($$SELECT kb_record_usage(7, 'count', 1e17, 'a')$$), '', 'U2, M1: an event that counts one costs one');
-- nor can an account become one that cannot be charged
SELECT kb_record_usage(8, 'sum', 80000000000000, 'a')
\g /dev/null
SELECT throws_ok($$SELECT kb_record_usage(8, 'sum', 80000000000000, 'b')$$, '22003', NULL,
	'M1: a month''s total beyond a kb_money is refused when it gets so');
SELECT lives_ok('SELECT * FROM kb_current_usage(8)', 'M1: and the month can be looked at');

-- U3: late usage

SELECT pg_temp.clock('2026-12-03 12:00+00')
\g /dev/null
SELECT kb_set_price('std', 'sum', '0.05 each', '2026-12-01'), kb_set_price('std', 'sum', '0.07 each', '2026-12-31'),
	kb_set_price('std', 'sum', '0.09 each', '2027-01-01'),
	kb_set_price('std', 'sum', '1.00 each', '2027-02-01')
\g /dev/null
SELECT pg_temp.open(id, CASE WHEN id = 123 THEN 'max_floor' WHEN id IN (124, 125) THEN 'floor' ELSE 'std' END, '2026-10-15 00:00+00')
FROM generate_series(101, 140) AS id
\g /dev/null
CREATE TEMP TABLE late (id bigint, events text, lines text[], why text);
INSERT INTO late VALUES
	(101, 'sum:10@12-02 sum:100@10-20 sum:40@11-05 sum:2@11-06',
		'{sum usage 12-01..12-03 10/1 x 0.05 each = 0.50 USD,sum late usage 10-15..10-31 100/1 x 1.00 each = 100.00 USD,sum '
			'late usage 11-01..11-30 42/2 x 1.00 each = 42.00 USD}',
		'of two months, a line each, at the price of its own days'),
	(102, 'sum:10@12-02 sum:-4@11-05',
		'{sum usage 12-01..12-03 10/1 x 0.05 each = 0.50 USD,sum late usage 11-01..11-30 -4/-1 x 1.00 each = -4.00 USD}', 'taken back'),
	(103, 'sum:10@12-02 sum:-100@11-05',
		'{sum usage 12-01..12-03 10/1 x 0.05 each = 0.50 USD,sum late usage 11-01..11-30 -100/-1 x 1.00 each = -8.00 USD}',
		'no more is given back than was billed'),
	(104, 'sum:10@12-02 sum:-6@10-20 sum:-8@11-05',
		'{sum usage 12-01..12-03 10/1 x 0.05 each = 0.50 USD,sum late usage 10-15..10-31 -6/-1 x 1.00 each = 0.00 USD,sum '
			'late usage 11-01..11-30 -8/-1 x 1.00 each = -8.00 USD}',
		'of two months, of which one had nothing billed'),
	(105, 'sum:-6@10-20', '{sum late usage 10-15..10-31 -6/-1 x 1.00 each = 0.00 USD}', 'without usage of the month itself nothing'),
	(106, 'sum:5@10-20 sum:-5@10-20', NULL, 'come and gone'),
	(107, 'free3:5@12-02 free3:-1@11-05', '{free3 usage 12-01..12-03 5/1 x 0.50 each free 3 = 1.00 USD,free3 late usage '
		'11-01..11-30 -1/-1 x 0.50 each free 3 = -0.50 USD}', 'with units that are free'),
	(108, 'free3:5@12-02 free3:-3@11-05', '{free3 usage 12-01..12-03 5/1 x 0.50 each free 3 = 1.00 USD,free3 late usage '
		'11-01..11-30 -3/-1 x 0.50 each free 3 = -1.00 USD}', 'never more than was owed for'),
	(109, 'free3:4@12-02 free3:4@11-05', '{free3 usage 12-01..12-03 4/1 x 0.50 each free 3 = 0.50 USD,free3 late usage '
		'11-01..11-30 4/1 x 0.50 each free 3 = 2.00 USD}', 'free units are granted once a month'),
	(110, 'packs:150@12-02 packs:-49@11-05', '{packs usage 12-01..12-03 150/1 x 5.00 per 100 = 10.00 USD,packs late usage '
		'11-01..11-30 -49/-1 x 5.00 per 100 = 0.00 USD}', 'the package stays started'),
	(111, 'packs:150@12-02 packs:-50@11-05', '{packs usage 12-01..12-03 150/1 x 5.00 per 100 = 10.00 USD,packs late usage '
		'11-01..11-30 -50/-1 x 5.00 per 100 = -5.00 USD}', 'one package less'),
	(112, 'flat:1@12-02 flat:-1@11-05', '{flat usage 12-01..12-03 1/1 x 5.00 = 5.00 USD,flat late usage 11-01..11-30 -1/-1 '
		'x 5.00 = -5.00 USD}', 'all taken back, it was not used'),
	(113, 'max:25@11-28 max:3@12-01', '{max usage 12-01..12-03 3/1 x 1.00 each = 3.00 USD,max late usage 11-01..11-30 15/1 '
		'x 1.00 each = 15.00 USD}', 'of the highest, what it adds'),
	(114, 'max:8@11-28', NULL, 'one that is not the highest adds nothing'),
	(115, 'max:6@12-01 max:-10@11-20', '{max usage 12-01..12-03 6/1 x 1.00 each = 6.00 USD,max late usage 11-01..11-30 '
		'-10/-1 x 1.00 each = -10.00 USD}', 'the highest is taken back, for more than the month costs'),
	(116, 'last:30@11-25', '{last late usage 11-01..11-30 20/1 x 1.00 each = 20.00 USD}', 'of the last, what it adds'),
	(117, 'last:30@11-15', NULL, 'one that is not the last adds nothing'),
	(118, 'last:4@11-25 last:9@12-01', '{last usage 12-01..12-03 9/1 x 1.00 each = 9.00 USD,last late usage 11-01..11-30 '
		'-6/1 x 1.00 each = -6.00 USD}', 'a last one that is less gives back'),
	(119, 'unique:1@11-25/x', NULL, 'a value that is known adds nothing'),
	(120, 'unique:1@11-25/y unique:1@12-02/x', '{unique usage 12-01..12-03 1/1 x 1.00 each = 1.00 USD,unique late usage '
		'11-01..11-30 1/1 x 1.00 each = 1.00 USD}', 'a new value counts, and each month anew'),
	(121, 'unique:-1@11-20/x unique:1@12-02/z', '{unique usage 12-01..12-03 1/1 x 1.00 each = 1.00 USD,unique late usage '
		'11-01..11-30 -1/-1 x 1.00 each = -1.00 USD}', 'a value is taken back'),
	(122, 'count:7@11-20 count:9@11-30', '{count late usage 11-01..11-30 2/2 x 1.00 each = 2.00 USD}', 'events are counted'),
	(123, 'max_floor:8@11-28', '{max_floor usage 12-01..12-03 0/0 x 1.00 each min 5.00 = 0.48 USD}',
		'one that adds nothing owes nothing more'),
	(124, 'floor:8@11-28 floor:-8@11-28', '{floor usage 12-01..12-03 0/0 x 1.00 each min 5.00 = 0.48 USD}',
		'come and gone, no other minimum'),
	(125, 'floor:2@12-02 floor:-1@11-28', '{floor usage 12-01..12-03 2/1 x 1.00 each min 5.00 = 2.00 USD,floor late usage '
		'11-01..11-30 -1/-1 x 1.00 each min 5.00 = 0.00 USD}', 'the minimum of the month stays');
-- What November had: 8 of sum, 1.00 of free3, two packs, a flat fee, a floor; a highest and a last of 10, and user x
SELECT kb_record_usage(id, service, quantity, 'november', '2026-11-20 10:00+00')
FROM (VALUES ('sum', 8, '{102,103,104}'::int[]), ('free3', 5, '{107,108,109}'), ('packs', 150, '{110,111}'),
	('flat', 1, '{112}'), ('floor', 2, '{125}')) AS t (service, quantity, ids), unnest(ids) AS id
\g /dev/null
SELECT kb_record_usage(id, service, 10, 'november', '2026-11-20 10:00+00', '{"user": "x"}')
	FROM generate_series(113, 123) AS id, unnest('{max,last,unique,max_floor}'::text[]) AS service
	WHERE service <> 'max_floor' OR id = 123
\g /dev/null
SELECT kb_month_charge(id) FROM generate_series(101, 125) AS id, generate_series(1, 2)
\g /dev/null
SELECT is((SELECT count(*) FROM account WHERE account_id BETWEEN 101 AND 125 AND charged_through = '2026-11-30'),
	25::bigint, 'U3: October and November are charged');
SELECT kb_record_usage(id, split_part(e, ':', 1), substring(e from ':(.*)@')::numeric, 'e' || ord,
	('2026-' || substring(e from '@([0-9-]*)') || ' 11:00+00')::timestamptz,
	jsonb_build_object('user', split_part(e, '/', 2)))
FROM late, regexp_split_to_table(events, ' ') WITH ORDINALITY AS s (e, ord) ORDER BY id, ord
\g /dev/null
SELECT is(pg_temp.running(id), lines, 'U3: late usage, ' || why) FROM late ORDER BY id;
SELECT pg_temp.clock('2026-12-31 23:59:59.999999+00')
\g /dev/null
CREATE TEMP TABLE preview AS SELECT id, array_agg(l::text ORDER BY line_no) AS lines, bool_or(amount <> '0 USD') AS is_billed
	FROM late, kb_current_usage(id) AS l GROUP BY id;
SELECT pg_temp.charge_at(id, '2027-01-01 00:00+00') FROM late
\g /dev/null
SELECT results_eq('SELECT id, lines FROM preview WHERE is_billed ORDER BY id', $$SELECT account_id,
	array_agg((line_no, service, what, from_date, to_date, days, days_in_month,
		quantity, events, billed_quantity, billed_events, price, amount)::text ORDER BY line_no)
	FROM charge_line WHERE period = '2026-12-01' AND account_id BETWEEN 101 AND 140 GROUP BY account_id ORDER BY account_id$$,
	'C6, U3: what is shown on the last moment of the month is what is charged, line by line');
SELECT results_eq('SELECT id FROM late WHERE id NOT IN (SELECT id FROM preview WHERE is_billed) ORDER BY id',
	$$SELECT a.account_id FROM account AS a LEFT JOIN entry AS e ON e.account_id = a.account_id AND e.period = '2026-12-01'
	WHERE a.account_id BETWEEN 101 AND 125 AND e.seq IS NULL ORDER BY 1$$, 'C8: and what has no line above or below zero makes no entry');
SELECT is_empty('SELECT id, u FROM late, LATERAL kb_current_usage(id) AS u
	WHERE u.quantity <> 0 OR u.events <> 0 OR u.what = ''late usage''',
	'U3: nothing is billed again in the next month');
SELECT results_eq($$SELECT account_id, amount::text, bonus_after::text FROM entry WHERE kind = 'charge' AND amount > 0$$,
	$$VALUES (102::bigint, '3.50 USD', '0.00 USD'), (103, '7.50 USD', '0.00 USD'), (104, '7.50 USD', '0.00 USD'),
		(115, '4.00 USD', '0.00 USD')$$,
	'U3: what was billed for more than this month costs is given back, as paid money');

-- U3: again and again

SELECT kb_record_usage(101, 'sum', 1000, 'straggler', '2026-10-31 23:00+00'),
	kb_record_usage(113, 'max', 27, 'straggler', '2026-11-30 23:00+00'),
	kb_record_usage(115, 'max', 10, 'straggler', '2026-11-30 23:00+00'),
	kb_record_usage(116, 'last', 31, 'straggler', '2026-11-30 23:00+00'),
	kb_record_usage(118, 'last', 12, 'straggler', '2026-11-30 23:00+00'),
		kb_record_usage(121, 'unique', 1, 'straggler', '2026-11-30 23:00+00', '{"user": "x"}')
\g /dev/null
SELECT is(pg_temp.running(id), lines, 'U3: a straggler, ' || why) FROM (VALUES
	(101, '{sum late usage 10-15..10-31 1000/1 x 1.00 each = 1000.00 USD}'::text[], 'at the price of its own day'),
	(113, '{max late usage 11-01..11-30 2/1 x 1.00 each = 2.00 USD}', 'what it adds to what was billed late before'),
	(115, '{max late usage 11-01..11-30 10/1 x 1.00 each = 10.00 USD}', 'what was taken back is due again'),
	(116, '{last late usage 11-01..11-30 1/1 x 1.00 each = 1.00 USD}', 'by the last'),
	(118, '{last late usage 11-01..11-30 8/1 x 1.00 each = 8.00 USD}', 'after less'),
	(121, '{unique late usage 11-01..11-30 1/1 x 1.00 each = 1.00 USD}', 'a value that comes again')
) AS t (id, lines, why);

-- U3: late events of a month that is due, but not charged yet, are its own

SELECT pg_temp.open(141, 'std', '2026-10-01 00:00+00')
\g /dev/null
SELECT kb_record_usage(141, 'sum', 10, 'o', '2026-10-05 00:00+00'),
	kb_record_usage(141, 'sum', 20, 'n', '2026-11-05 00:00+00'), kb_record_usage(141, 'sum', 30, 'd', '2026-12-05 00:00+00')
\g /dev/null
SELECT is(pg_temp.running(141), NULL, 'C6: months that are due are not the running one');
SELECT kb_month_charge(141)
\g /dev/null
SELECT kb_record_usage(141, 'sum', 1, 'late', '2026-10-06 00:00+00')
\g /dev/null
SELECT is(pg_temp.running(141), NULL, 'U3: late usage is for the month that is charged next');
SELECT kb_month_charge(141), kb_month_charge(141)
\g /dev/null
SELECT is(ARRAY[pg_temp.charged(141, '2026-10-01'), pg_temp.charged(141, '2026-12-01')],
	ARRAY['{sum usage 10-01..10-31 10/1 x 1.00 each = 10.00 USD}'::text[],
		'{sum usage 12-01..12-30 30/1 x 0.05 each = 1.50 USD}'], 'C4: each month has what is its own');
SELECT is(pg_temp.charged(141, '2026-11-01'),
	'{sum usage 11-01..11-30 20/1 x 1.00 each = 20.00 USD,sum late usage 10-01..10-31 1/1 x 1.00 each = 1.00 USD}',
	'U3: late usage in the next of them, at its price');
SELECT is((kb_month_charge(141, '2026-11-01')).replayed, true, 'C4: again, nothing is billed');

-- Time zones: the month of an event is that of the account's calendar

SELECT pg_temp.clock('2026-12-01 12:00+00')
\g /dev/null
CREATE TEMP TABLE zoned (id bigint, zone text, at timestamptz, month date);
INSERT INTO zoned VALUES
	(201, 'UTC', '2026-11-30 23:30+00', '2026-11-01'),
	(202, 'Europe/Kyiv', '2026-11-30 23:30+00', '2026-12-01'),
	(203, 'Europe/Kyiv', '2026-11-30 21:59:59.999999+00', '2026-11-01'),
	(204, 'Europe/Kyiv', '2026-11-30 22:00+00', '2026-12-01'),
	(205, 'Europe/Kyiv', '2026-09-30 21:00+00', '2026-10-01'),	-- summer time
	(206, 'Europe/Kyiv', '2026-09-30 20:59:59+00', '2026-09-01'),
	(207, 'Pacific/Kiritimati', '2026-11-30 10:00+00', '2026-12-01'),
	(208, 'Pacific/Kiritimati', '2026-11-30 09:59:59+00', '2026-11-01'),
	(209, 'Etc/GMT+12', '2026-12-01 11:59:59+00', '2026-11-01'),
	(210, 'Etc/GMT+12', '2026-12-01 12:00:00+00', '2026-12-01'),
	(211, 'America/New_York', '2026-11-01 03:59:59+00', '2026-10-01'),	-- summer time ends on the 1st
	(212, 'America/New_York', '2026-11-01 04:00+00', '2026-11-01'),
	(213, 'America/New_York', '2026-12-01 04:59:59+00', '2026-11-01'),
	(214, 'America/New_York', '2026-12-01 05:00+00', '2026-12-01'),
	(215, 'Asia/Kathmandu', '2026-11-30 18:14:59+00', '2026-11-01'),
	(216, 'Asia/Kathmandu', '2026-11-30 18:15+00', '2026-12-01'),
	(217, 'UTC', '2026-12-01 13:00+00', '2026-12-01');
SELECT pg_temp.open(id, 'std', '2026-08-01 12:00+00', zone), kb_record_usage(id, 'sum', 1, 'k', at) FROM zoned
\g /dev/null
SELECT is(period, month, format('U3: %s in %s', at, zone)) FROM zoned
	JOIN (SELECT account_id AS id, period FROM usage_event) AS e USING (id);
SELECT results_eq('SELECT account_id, period FROM usage_total WHERE account_id BETWEEN 201 AND 217 ORDER BY 1',
	'SELECT id, month FROM zoned ORDER BY 1', 'U5: totals of those months');
-- an hour ahead may be the next month
SELECT pg_temp.open(220)
\g /dev/null
SELECT pg_temp.clock('2026-12-31 23:30+00')
\g /dev/null
SELECT is(kb_record_usage(220, 'sum', 5, 'k', '2027-01-01 00:15+00'), true, 'U4: an hour ahead, in the next month');
SELECT is(pg_temp.running(220), NULL, 'C6: it is not of this month');
SELECT pg_temp.clock('2027-01-01 00:10+00')
\g /dev/null
SELECT is(pg_temp.running(220), '{sum usage 01-01..01-01 5/1 x 0.09 each = 0.45 USD}', 'C6: it is of the next one');

-- The first month

SELECT pg_temp.clock('2026-11-20 12:00+00')
\g /dev/null
SELECT pg_temp.open(221, 'full', '2026-11-17 18:00+00'), kb_record_usage(221, 'sum', 100, 'k', '2026-11-17 06:00+00')
\g /dev/null
SELECT is(pg_temp.running(221), '{base base fee 11-17..11-20 1/ x 30.00 = 4.00 USD,sum usage 11-17..11-20 100/1 x 0.05 each = 5.00 USD}',
	'C3: usage of the first month is not split, and counts from the first day''s midnight on');
SELECT throws_ok($$SELECT kb_record_usage(221, 'sum', 1, 'e', '2026-11-16 23:59+00')$$, '22008',
	'account 221 had not begun on 2026-11-16', 'C3: not before it');

-- Deleted, closing

SELECT pg_temp.open(222), kb_record_usage(222, 'sum', 5, 'k')
\g /dev/null
SELECT pg_temp.put_state(222, 'deleted')
\g /dev/null
SELECT throws_ok($$SELECT kb_record_usage(222, 'sum', 5, 'k2')$$, 'KB010', 'account 222 is deleted', 'D5: a deleted account uses nothing');
SELECT throws_ok($$SELECT kb_record_usage(222, 'sum', 5, 'k')$$, 'KB010', 'account 222 is deleted',
	'D5: nor does it hear of what is known');
SELECT is(pg_temp.running(222), NULL, 'D5: and has no running month');
SELECT pg_temp.put_state(222, 'closing')
\g /dev/null
SELECT is(kb_record_usage(222, 'sum', 6, 'k2'), true, 'D3: one that is closing does');
SELECT is(pg_temp.running(222), '{sum usage 11-01..11-20 11/2 x 1.00 each = 11.00 USD}', 'D5: and what there was is there again');

-- Batches

CREATE FUNCTION pg_temp.batch(events text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	context text;
	counted bigint;
BEGIN
	counted = kbilling.kb_record_usage_batch(events::jsonb);
	RETURN counted;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, context = PG_EXCEPTION_CONTEXT;
	RETURN concat_ws(' | ', SQLSTATE || ' ' || SQLERRM, nullif(detail, ''),
		nullif(regexp_replace(context, E'\n?(PL/pgSQL|SQL statement)[^\n]*', '', 'g'), ''));
END $$;
SELECT pg_temp.books() AS before
\gset
SELECT is(pg_temp.batch(events), result, 'U1: batch ' || left(events, 150)) FROM (VALUES
	('[]', '0'),
	('null', '22023 a batch of usage must be a JSON array'),
	('{}', '22023 a batch of usage must be a JSON array'),
	('"x"', '22023 a batch of usage must be a JSON array'),
	('7', '22023 a batch of usage must be a JSON array'),
	('[1]', '22023 event 1 of the batch is not an object'),
	('[null]', '22023 event 1 of the batch is not an object'),
	('[[]]', '22023 event 1 of the batch is not an object'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a"},"x"]', '22023 event 2 of the batch is not an object'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a"},[]]', '22023 event 2 of the batch is not an object'),
	('[{}]', '22004 event 1 of the batch has no account_id | event 1 of the batch'),
	('[{"account_id":null,"service":"sum","quantity":1,"key":"a"}]', '22004 event 1 of the batch has no account_id | event 1 of the batch'),
	('[{"account_id":9,"quantity":1,"key":"a"}]', '22004 event 1 of the batch has no service | event 1 of the batch'),
	('[{"account_id":9,"service":"sum","key":"a"}]', '22004 event 1 of the batch has no quantity | event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":null}]', '22004 event 1 of the batch has no key | event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a"},{"account_id":9,"service":"sum","quantity":1}]',
		'22004 event 2 of the batch has no key | event 2 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a","when":"now"}]',
		'22023 event 1 of the batch has an unknown field | event 1 of the batch'),
	('[{"account_id":9,"Service":"sum","quantity":1,"key":"a"}]', '22023 event 1 of the batch has an unknown field | event 1 of the batch'),
	('[{"account_id":"9","service":"sum","quantity":1,"key":"a"}]',
		'22023 "account_id" of event 1 of the batch must be a whole number | event 1 of the batch'),
	('[{"account_id":9.5,"service":"sum","quantity":1,"key":"a"}]',
		'22023 "account_id" of event 1 of the batch must be a whole number | event 1 of the batch'),
	('[{"account_id":true,"service":"sum","quantity":1,"key":"a"}]',
		'22023 "account_id" of event 1 of the batch must be a whole number | event 1 of the batch'),
	('[{"account_id":1e30,"service":"sum","quantity":1,"key":"a"}]', '22003 bigint out of range | event 1 of the batch'),
	('[{"account_id":9,"service":7,"quantity":1,"key":"a"}]',
		'22023 "service" of event 1 of the batch must be a text | event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":[1],"key":"a"}]',
		'22023 "quantity" of event 1 of the batch must be a number | event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":"many","key":"a"}]',
		'22P02 invalid input syntax for type numeric: "many" | event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":"","key":"a"}]',
		'22P02 invalid input syntax for type numeric: "" | event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":"NaN","key":"a"}]',
		'22003 quantity must be finite, but is NaN | It is event 1 of the batch, with key "a".'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":7}]',
		'22023 "key" of event 1 of the batch must be a text | event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":""}]', '22023 key must have 1 to 255 bytes | It has 0. | event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"kb:1"}]',
		'22023 key must not begin with "kb:" | Such keys are kbilling''s own. | event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a","at":7}]',
		'22023 "at" of event 1 of the batch must be a text | event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a","at":"2026-11-05 09:00"}]',
		'22023 "at" of event 1 of the batch must be a time with its offset from UTC, such as "2026-11-01T09:30:00Z" '
		'| event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a","at":"2026-11-05"}]',
		'22023 "at" of event 1 of the batch must be a time with its offset from UTC, such as "2026-11-01T09:30:00Z" '
		'| event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a","at":"now"}]',
		'22023 "at" of event 1 of the batch must be a time with its offset from UTC, such as "2026-11-01T09:30:00Z" '
		'| event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a","at":""}]',
		'22023 "at" of event 1 of the batch must be a time with its offset from UTC, such as "2026-11-01T09:30:00Z" '
		'| event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a","at":"2026-11-31T00:00:00Z"}]',
		'22008 date/time field value out of range: "2026-11-31T00:00:00Z" | event 1 of the batch'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a","at":"2026-11-20T13:00:01Z"}]',
		'22008 usage cannot be more than an hour ahead, but is of 2026-11-20 13:00:01+00 | It is event 1 of the batch, with key "a".'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a"},{"account_id":999,"service":"sum","quantity":1,"key":"b"}]',
		'KB001 account 999 does not exist | It is event 2 of the batch, with key "b".'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a"},{"account_id":9,"service":"base","quantity":1,"key":"b"}]',
		'22023 service "base" is not metered | It is event 2 of the batch, with key "b".'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a","properties":{"card":"4111111111111111"}}]',
		'KB008 event 1 of the batch holds what looks like a payment card number '
		'| It has 13 to 19 digits with an issuer''s prefix and a valid check digit.'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"4111111111111111"}]',
		'KB008 event 1 of the batch holds what looks like a payment card number '
		'| It has 13 to 19 digits with an issuer''s prefix and a valid check digit.')
) AS t (events, result);
SELECT throws_ok('SELECT kb_record_usage_batch(NULL)', '22004', 'events must not be null', 'U1: a batch must be given');
SELECT matches(pg_temp.batch(events), 'event 2 of the batch|account 9',
	'U1: the error names the event, or whose total it is: ' || left(events, 190)) FROM (VALUES
	('[{"account_id":10,"service":"sum","quantity":1,"key":"a"},{"account_id":9,"service":"nowhere","quantity":1,"key":"b"}]'),
	('[{"account_id":10,"service":"sum","quantity":1,"key":"a"},{"account_id":9,"service":"unique","quantity":1,"key":"b"}]'),
	('[{"account_id":10,"service":"sum","quantity":1,"key":"a"},{"account_id":9,"service":"sum","quantity":80000000000000000,"key":"b"}]')
) AS t (events);
SELECT matches(pg_temp.batch(events), 'event 2 of the batch', 'U1, T4: the error names the event: ' || left(events, 190)) FROM (VALUES
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a"},{"account_id":9,"service":"sum","quantity":1,"key":"4111111111111111"}]'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a"},'
		'{"account_id":9,"service":"count","quantity":1,"key":"b","properties":{"card":"4111111111111111"}}]')
) AS t (events);
SELECT unalike(pg_temp.batch(events), '%4111%', 'T4: no error repeats a card number: ' || left(events, 60)) FROM (VALUES
	('[{"quantity":"4111 1111 1111 1111"}]'), ('[{"at":"4111111111111111Z"}]'), ('[{"at":"4111 1111 1111 1111 00:00+00"}]')
) AS t (events);
SELECT is(pg_temp.books(), :'before', 'U1: a batch with one bad event records nothing');

SELECT is(pg_temp.batch(events), result, 'U1: batch ' || left(events, 170)) FROM (VALUES
	('[{"account_id":9,"service":"sum","quantity":1.5,"key":"a","at":"2026-11-05T09:00:00Z","properties":{"x":[1,{"y":null}]}}]', '1'),
	('[{"key":"b","quantity":"2.50","at":"2026-11-05 09:00:00+02","service":"sum","account_id":9.0}]', '1'),
	('[{"account_id":9,"service":"sum","quantity":" 1e1 ","key":"c","at":null,"properties":null}]', '1'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"d","at":"2026-11-05T09:00:00.123456-05:30"}]', '1'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"e","at":"2026-10-31T23:30:00-01"}]', '1'),
	('[{"account_id":9,"service":"sum","quantity":1,"key":"a"},{"account_id":9,"service":"sum","quantity":1,"key":"b"}]', '0'),
	('[{"account_id":9,"service":"sum","quantity":4,"key":"f"},{"account_id":9,"service":"sum","quantity":100,"key":"f"},'
		'{"account_id":10,"service":"sum","quantity":7,"key":"f"},{"account_id":9,"service":"count","quantity":7,"key":"f"},'
		'{"account_id":9,"service":"sum","quantity":200,"key":"a"}]', '3'),
	('[{"account_id":9,"account_id":10,"service":"count","quantity":7,"key":"g"}]', '1'),
	('[{"account_id":9,"service":"sum","quantity":-0.5,"key":"h","properties":"text"}]', '1')
) AS t (events, result);
SELECT is(pg_temp.running(9), '{count usage 11-01..11-20 1/1 x 1.00 each = 1.00 USD,sum usage 11-01..11-20 19.50/5 x 1.00 '
	'each = 19.50 USD}', 'U1: what batches added up to');
SELECT is(pg_temp.running(10), '{count usage 11-01..11-20 1/1 x 1.00 each = 1.00 USD,sum usage 11-01..11-20 7/1 x 1.00 each '
	'= 7.00 USD}', 'U1: of two accounts');
SELECT results_eq($$SELECT key::text, at, quantity, properties::jsonb FROM usage_event WHERE account_id = 9
	AND service = 'sum' ORDER BY key$$,
	$$VALUES ('a', timestamptz '2026-11-05 09:00+00', 1.5, '{"x":[1,{"y":null}]}'::jsonb),
	('b', '2026-11-05 07:00+00', 2.50, NULL), ('c', '2026-11-20 12:00+00', 10, NULL),
		('d', '2026-11-05 14:30:00.123456+00', 1, NULL), ('e', '2026-11-01 00:30+00', 1, NULL),
		('f', '2026-11-20 12:00+00', 4, NULL), ('h', '2026-11-20 12:00+00', -0.5, '"text"')$$,
	'U1: all fields; the first of a key counts');
-- what a batch means must not hang on the session: on DateStyle, the machine's clock, or TimeZone
SELECT matches(pg_temp.batch(format('[{"account_id":11,"service":"sum","quantity":1,"key":%s,"at":%s}]', to_json(at),
	to_json(at))), 'of event 1 of the batch must be a time',
	format('section 6: %s means another moment in another session', at))
FROM unnest('{02/11/2026 09:30Z,yesterday 00:00Z,today 00:00+00}'::text[]) AS at;

-- The order of a batch is that of its events, whatever their keys are.
SELECT is(kb_record_usage_batch((SELECT jsonb_agg(jsonb_build_object('account_id', id, 'service', 'last', 'quantity', n - i,
	'key', 'k' || 10000 - i, 'at', '2026-11-05T00:00:00Z') ORDER BY i)
	FROM generate_series(1, n) AS i)), n::bigint, format('U2: a batch of %s of one moment', n))
		FROM (VALUES (13, 20), (14, 2000)) AS t (id, n);
SELECT is(pg_temp.running(id), ARRAY[format('last usage 11-01..11-20 0/%s x 1.00 each = 0.00 USD', n)],
	format('U2: the last of %s events of one moment, by their order in the batch', n))
FROM (VALUES (13, 20), (14, 2000)) AS t (id, n);
SELECT is(kb_record_usage_batch((SELECT jsonb_agg(jsonb_build_object('account_id', id, 'service', 'sum', 'quantity', i,
	'key', 'k' || i % (n / 10)) ORDER BY i)
	FROM generate_series(1, n) AS i)), n::bigint / 10, format('U1: %s events with each key ten times', n))
		FROM (VALUES (15, 100), (16, 20000)) AS t (id, n);
SELECT is((SELECT sum(quantity) FROM kb_current_usage(id)), n * (n + 1) / 2::numeric,
	format('U1: the first of each key counts, of %s keys', n))
FROM (VALUES (15, 10), (16, 2000)) AS t (id, n);

-- A large batch

SELECT pg_temp.open(id) FROM generate_series(301, 320) AS id
\g /dev/null
CREATE TEMP TABLE large AS
	SELECT jsonb_agg(jsonb_build_object('account_id', 301 + i % 20, 'service', CASE i % 3 WHEN 0 THEN 'sum'
		WHEN 1 THEN 'max' ELSE 'unique' END, 'quantity', i % 1000,
		'key', 'k' || i, 'at', timestamptz '2026-11-01 00:00+00' + i * interval '5 seconds', 'properties',
			jsonb_build_object('user', i % 700))) AS events
	FROM generate_series(1, 200000) AS i;
SELECT is((SELECT kb_record_usage_batch(events) FROM large), 200000::bigint, 'U1: 200,000 events');
SELECT results_eq('SELECT service, sum(quantity), sum(events)::bigint '
	'FROM kbilling.current_usage WHERE account_id BETWEEN 301 AND 320 GROUP BY service ORDER BY service COLLATE "C"',
	-- sum: 66,666 multiples of 3; each account has 50 of the 1000 quantities, and the highest of them is 980 + account % 20
	$$SELECT 'max', sum(m), 66667::bigint FROM (SELECT max(i % 1000)::numeric AS m FROM generate_series(1, 200000) AS i
		WHERE i % 3 = 1 GROUP BY i % 20) AS t
	UNION ALL SELECT 'sum', sum(i % 1000)::numeric, count(*) FROM generate_series(1, 200000) AS i WHERE i % 3 = 0
	UNION ALL SELECT 'unique', count(*)::numeric,
		66667 FROM (SELECT DISTINCT i % 20, i % 700 FROM generate_series(1, 200000) AS i WHERE i % 3 = 2) AS t$$,
	'U2: and their totals');
SELECT set_eq('SELECT * FROM totals WHERE account_id BETWEEN 301 AND 320',
	'SELECT * FROM oracle WHERE account_id BETWEEN 301 AND 320', 'U5: which are what the events add up to');
SELECT is((SELECT kb_record_usage_batch(events) FROM large), 0::bigint, 'U1: all known');
SELECT cmp_ok((SELECT count(*) FROM usage_total WHERE account_id BETWEEN 301 AND 320), '<=', 20::bigint * 3 * 8, 'U5: a few slots');

-- C2, C6: beside the base fee and a recurring service; the view is the function for all accounts

SELECT pg_temp.open(401, 'full'), kb_switch_on(401, 'seat', 2, '2026-09-01'), kb_record_usage(401, 'sum', 100, 'k', '2026-09-10 00:00+00'),
	kb_record_usage(401, 'max', 40, 'k', '2026-09-10 00:00+00')
\g /dev/null
SELECT kb_month_charge(401)
\g /dev/null
SELECT is(pg_temp.charged(401, '2026-09-01'), '{base base fee 09-01..09-30 1/ x 30.00 = 30.00 USD,max usage 09-01..09-30 '
	'40/1 x 0.10 each = 4.00 USD,seat recurring service 09-01..09-30 2/ x 4.00 each = 8.00 USD,sum usage 09-01..09-30 100/1 '
	'x 0.05 each = 5.00 USD}',
	'C2: base fee, recurring service, usage');
SELECT is((SELECT - amount FROM entry WHERE account_id = 401 AND period = '2026-09-01'), '47.00 USD'::kb_money,
	'M4: the total is the sum of its lines');
SELECT kb_set_price('full', 'sum', '9.99 each'), kb_record_usage(401, 'sum', 5, 'late', '2026-09-11 00:00+00')
\g /dev/null
SELECT is((pg_temp.charged(401, '2026-09-01'))[4], 'sum usage 09-01..09-30 100/1 x 0.05 each = 5.00 USD',
	'C7: a charge keeps its prices and quantities');
-- out of range above: the view of all fails with one
SELECT kb_record_usage(8, 'sum', -80000000000000, 'c')
\g /dev/null
SELECT results_eq('SELECT * FROM kbilling.current_usage ORDER BY account_id, line_no',
	'SELECT a.account_id, l.* FROM account AS a, kb_current_usage(a.account_id) AS l ORDER BY a.account_id, l.line_no',
	'C6: the view is the function, for all');
SELECT throws_ok('SELECT * FROM kb_current_usage(999)', 'KB001', NULL, 'C6: of an unknown account');

-- U5: rolled back, nothing stays

SELECT pg_temp.books() AS before
\gset
SAVEPOINT s;
SELECT kb_record_usage(12, 'sum', 5, 'k'), kb_record_usage(12, 'unique', 5, 'k', NULL, '{"user": "x"}'),
	kb_record_usage(3, 'unique', -1, 'k', NULL, '{"user": "x"}')
\g /dev/null
ROLLBACK TO s;
SELECT is(pg_temp.books(), :'before', 'U5: totals are kept in the transaction of their events');
SELECT is(kb_record_usage(12, 'sum', 5, 'k'), true, 'U1: and the key is free');
COMMIT;

-- C4: the sweep, twice, and one by one

SET kbilling.clock = '2027-02-01 12:00+00';
CALL kb_sweep();
SELECT is_empty('SELECT * FROM sweep_failure', 'W3: no account failed');
SELECT is_empty('SELECT account_id, charged_through FROM account '
	'WHERE charged_through <> ''2027-01-31'' AND state <> ''deleted''', 'C4: all are charged');
SELECT is_empty('SELECT * FROM kb_check()', 'J2, J5: the books are right');
SELECT is_empty('SELECT * FROM kbilling.current_usage
	WHERE service <> ''base'' AND service <> ''seat'' AND (quantity <> 0 OR events <> 0)', 'C4: all usage is billed');
SELECT is_empty('SELECT * FROM usage_total WHERE NOT settled', 'C4: all of it is settled');
SELECT count(*) AS entries FROM entry
\gset
CALL kb_sweep();
SELECT is((SELECT count(*) FROM entry), :entries::bigint, 'C4: a second sweep bills nothing');
SELECT set_eq($$SELECT l.account_id, l.service, sum(l.quantity) AS quantity, sum(l.events)::bigint AS events
		FROM charge_line AS l JOIN service AS s USING (service)
		WHERE s.kind = 'metered' AND s.aggregation IN ('sum', 'count', 'unique')
			AND (l.account_id BETWEEN 201 AND 320 OR l.account_id BETWEEN 4000 AND 4019)
		GROUP BY 1, 2 HAVING sum(l.quantity) > 0.01$$,
	$$SELECT account_id, service, sum(quantity) AS quantity, sum(events)::bigint AS events FROM oracle
		WHERE aggregation IN ('sum', 'count', 'unique') AND (account_id BETWEEN 201 AND 320 OR account_id BETWEEN 4000 AND 4019)
		GROUP BY 1, 2 HAVING sum(quantity) > 0.01$$,
	'C4, U3: every unit of every event is billed once');

SELECT * FROM finish();
