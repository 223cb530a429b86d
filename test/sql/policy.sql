BEGIN;
SET LOCAL search_path = kbilling, public;
SELECT no_plan();
\i test/include/error.sql

-- Policy

SELECT is(p, ROW('standard', 4, 7, 10, 40, 30, 10, '{3,1}', 20, 'en', 'due_date', '{}', 24, 'any', true, NULL, NULL, NULL, 7)::policy,
	'S2, D1, D2, D5, C5, U6, L6, G3: the policy "standard" has the values of the rules')
FROM policy p WHERE policy = 'standard';

SELECT is(ARRAY(SELECT kbilling_internal.kb_standard_day(s) FROM unnest(enum_range(NULL::kb_stage)) s), '{NULL,1,4,7,10}',
	'S2: which has the days of its stages from one place');

SELECT throws_ok(change, '55000', NULL, 'policy: a built-in row stays: ' || change)
FROM (VALUES
	('UPDATE policy SET block_day = 11'),
	('UPDATE policy SET metadata = ''{"a": 1}'' WHERE policy = ''standard'''),
	('UPDATE policy SET policy = ''other'' WHERE policy = ''standard'''),
	('DELETE FROM policy'),
	('UPDATE service SET unit = ''year'' WHERE service = ''base'''),
	('DELETE FROM service WHERE service = ''base'''),
	('UPDATE payment_method SET name = ''Karte'' WHERE method = ''card'''),
	('DELETE FROM payment_method WHERE method = ''manual''')
) AS t (change);

SELECT lives_ok($$INSERT INTO policy (policy) VALUES ('own')$$, 'policy: a service adds its own');
SELECT lives_ok($$UPDATE policy SET remind_day = 1, restrict_day = 1, block_day = 1 WHERE policy = 'own'$$,
	'S2: the stages may begin on the same day');
SELECT throws_ok(format('UPDATE policy SET %s WHERE policy = ''own''', setting), state, NULL, 'policy: ' || setting || ' is refused')
FROM (VALUES
	('policy = ''''', '23514'),
	('policy = ''standard''', '23505'),
	('remind_day = 0', '23514'),
	('remind_day = 5, restrict_day = 4', '23514'),
	('restrict_day = 11', '23514'),
	('min_age_days = -1', '23514'),
	('inactive_days = -1', '23514'),
	('notice_days = 0', '23514'),
	('restore_days = -1', '23514'),
	('debt_counts_from = ''yesterday''', '22P02'),
	('debt_counts_from = NULL', '23502'),
	('activity = ''payments''', '22P02'),
	('activity = NULL', '23502'),
	('close_unused = NULL', '23502'),
	('metadata = ''{"card": "4111 1111 1111 1111"}''', 'KB008')
) AS t (setting, state);

-- Tariff

SELECT lives_ok($$SELECT kb_create_tariff('basic', 'usd', 'Basic')$$, 'tariff: its currency is read in either case');
SELECT kb_create_tariff('strict', 'JPY', policy => 'own');
SELECT is(ARRAY(SELECT format('%s %s %s %s', tariff, currency, name, policy) FROM tariff ORDER BY tariff),
	'{basic USD Basic standard,strict JPY  own}', 'tariff: it keeps currency, name and policy');
SELECT throws_ok(format('SELECT kb_create_tariff(%s)', arguments), state, NULL, format('tariff: (%s) is refused', arguments))
FROM (VALUES
	('''basic'', ''EUR''', '23505'),
	('''x'', ''US''', '22023'),
	('''x'', ''QQQ''', '22023'),
	('''x'', ''XAU''', '22023'),
	('''x'', ''''', '22023'),
	('''x'', NULL', '22004'),
	('NULL, ''USD''', '22004'),
	(''''', ''USD''', '23514'),
	('''x'', ''USD'', NULL, ''none''', '22023'),
	('''x'', ''USD'', NULL, NULL', '22004'),
	('''x'', ''USD'', ''4111111111111111''', 'KB008')
) AS t (arguments, state);
SELECT throws_ok($$DELETE FROM policy WHERE policy = 'own'$$, '23503', NULL, 'policy: one that a tariff uses stays');

-- Service

SELECT is(s, ROW('base', 'recurring', 'month', 'sum', 'Base fee', '{}')::service, 'C2: the service "base" is built in')
FROM service s WHERE service = 'base';
SELECT lives_ok($$SELECT kb_create_service('seat', 'recurring', 'seat')$$, 'service: a recurring one');
SELECT lives_ok(format('SELECT kb_create_service(%L, %L, %L, %L)', 'by ' || aggregation, 'metered', 'unit', aggregation),
	'U2: metered by ' || aggregation)
FROM unnest('{sum,count,max,unique,last}'::text[]) AS aggregation;
SELECT throws_ok(format('SELECT kb_create_service(%s)', arguments), state, NULL, format('service: (%s) is refused', arguments))
FROM (VALUES
	('''base'', ''recurring''', '23505'),
	('''seat'', ''metered''', '23505'),
	('''x'', ''yearly''', '22023'),
	('''x'', ''metered'', NULL, ''median''', '22023'),
	('''x'', ''metered'', NULL, NULL', '22004'),
	('''x'', NULL', '22004'),
	('NULL, ''metered''', '22004'),
	(''''', ''metered''', '23514'),
	('''x'', ''metered'', name => ''4111111111111111''', 'KB008')
) AS t (arguments, state);
SELECT is(pg_temp.error_of(format('SELECT kb_create_service(%s)', arguments)), error, format('service: (%s) says what there is', arguments))
FROM (VALUES
	('''x'', ''yearly''', '22023 there is no kind of service "yearly" | The kinds are: recurring, metered, one_off.'),
	('''x'', ''recurring'', ''seat'', ''Seats''', '22023 there is no aggregation "Seats" '
		'| The aggregations are: sum, count, max, unique, last.'
		' What customers call the service is another argument, name.')
) AS t (arguments, error);
SELECT kb_create_service('chat', 'recurring', name => 'Чат'), kb_create_service('sms', 'metered', 'message', 'sum', 'Messages');
SELECT is((SELECT string_agg(format('%s: %s', service, name), ', ' ORDER BY service) FROM service WHERE name IS NOT NULL),
	'base: Base fee, chat: Чат, sms: Messages',
	'service: what customers call it');
SELECT col_type_is('kbilling', relation, attribute, 'kbilling', type,
	format('%s.%s: a closed set of words is an enum', relation, attribute))
FROM (VALUES
	('service', 'kind', 'kb_service_kind'), ('service', 'aggregation', 'kb_aggregation'), ('usage_total', 'aggregation', 'kb_aggregation'),
	('policy', 'debt_counts_from', 'kb_debt_date'), ('sweep_run', 'outcome', 'kb_sweep_outcome'), ('sweep_run', 'phase', 'kb_sweep_phase')
) AS t (relation, attribute, type);

-- Price

CREATE FUNCTION pg_temp.prices(service text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s to %s: %s', p.from_date, p.to_date, p.price) || CASE WHEN p.prorate THEN '' ELSE ' whole' END
	FROM kbilling.price_list p WHERE p.tariff = 'basic' AND p.service = $1 ORDER BY p.from_date
$$;

SELECT kb_set_price('basic', 'base', '19.00');
SELECT is(ARRAY(SELECT pg_temp.prices('base')), '{-infinity to infinity: 19.00}', 'C3: the first price without a date holds always');
SELECT kb_set_price('basic', 'base', '25.00', '2026-11-01');
SELECT is(ARRAY(SELECT pg_temp.prices('base')),
	'{-infinity to 2026-11-01: 19.00,2026-11-01 to infinity: 25.00}', 'C3: a later price ends the one before it');
SELECT kb_set_price('basic', 'base', '21.00', '2026-06-01');
SELECT is(ARRAY(SELECT pg_temp.prices('base')),
	'{-infinity to 2026-06-01: 19.00,2026-06-01 to 2026-11-01: 21.00,2026-11-01 to infinity: 25.00}',
	'C3: a price put between two others ends where the next begins');
SELECT kb_set_price('basic', 'base', '22.00', '2026-06-01', prorate => false);
SELECT is(ARRAY(SELECT pg_temp.prices('base')),
	'{-infinity to 2026-06-01: 19.00,2026-06-01 to 2026-11-01: 22.00 whole,2026-11-01 to infinity: 25.00}',
	'C3: a price on the same date takes the place of the other');
SELECT kb_set_price('basic', 'base', '18.00', '-infinity');
SELECT is((SELECT min(p) FROM pg_temp.prices('base') p), '-infinity to 2026-06-01: 18.00',
	'C3: so does one from the beginning on, of the first');

SELECT kb_set_price('basic', 'seat', '5.00 each', '2026-06-01');
SELECT kb_set_price('basic', 'seat', '4.00 each', '2026-01-01');
SELECT is(ARRAY(SELECT pg_temp.prices('seat')),
	'{2026-01-01 to 2026-06-01: 4.00 each,2026-06-01 to infinity: 5.00 each}', 'C3: a price before all others leaves them');
SELECT is(ARRAY(SELECT pg_temp.prices('base'))::text LIKE '%4.00 each%', false, 'C3: each service has its own prices');

SELECT throws_ok(format('SELECT kb_set_price(%s)', arguments), state, NULL, format('price: (%s) is refused', arguments))
FROM (VALUES
	('''none'', ''base'', ''1.00''', 'KB012'),
	('''basic'', ''none'', ''1.00''', 'KB012'),
	('NULL, ''base'', ''1.00''', '22004'),
	('''basic'', NULL, ''1.00''', '22004'),
	('''basic'', ''base'', NULL', '22004'),
	('''basic'', ''base'', ''1.00'', ''2026-01-01'', NULL', '22004'),
	('''basic'', ''base'', ''1.00'', ''infinity''', '22008'),
	('''basic'', ''base'', ''-1.00''', '22P02')
) AS t (arguments, state);
SELECT is((SELECT count(*) FROM price_list), 5::bigint, 'price: what was refused left nothing');

-- A price that is replaced stays on record.
SELECT results_eq($$SELECT from_date, to_date, price::text, prorate FROM price WHERE withdrawn_at IS NOT NULL ORDER BY price_id$$,
	$$VALUES (date '-infinity', date '2026-06-01', '19.00', true), ('2026-06-01', '2026-11-01', '21.00', true)$$,
	'C3: a price that was replaced is withdrawn, as it was');
SELECT ok((SELECT bool_and(withdrawn_at = kb_now() AND listed_at = kb_now()) FROM price WHERE withdrawn_at IS NOT NULL),
	'C3: with the time');
SELECT is((SELECT count(DISTINCT price_id) FROM price), 7::bigint, 'C3: each price has a number of its own');
CREATE TEMP TABLE prices_before AS SELECT * FROM price;
SELECT is(kb_set_price('basic', 'base', price, on_date, prorate), held_from, format('C3: %s on %s holds already', price, on_date))
FROM (VALUES ('18.00'::kb_price, date '-infinity', true, date '-infinity'), ('18.0', '2020-05-17', true, '-infinity'),
	('22.00', '2026-06-01', false, '2026-06-01'), ('22.00', '2026-10-31', false, '2026-06-01'), ('25.00', '2030-01-01', true, '2026-11-01'))
	t (price, on_date, prorate, held_from);
SELECT bag_eq('TABLE price', 'TABLE prices_before', 'C3: what holds already is not written again');
SELECT is(kb_set_price('basic', 'seat', '5.00 each', '2026-06-01', false), date '2026-06-01', 'C3: prorate is part of it');
SELECT throws_ok($$INSERT INTO price (tariff, service, from_date, price) VALUES ('basic', 'seat', '2026-06-01', '1.00')$$, '23505', NULL,
	'C3: no two prices begin on one day');

-- A change that names no day holds from the 1st of next month, by UTC.
SELECT kb_create_tariff('dated', 'USD'), kb_create_service('fax', 'metered') \g /dev/null
CREATE FUNCTION pg_temp.set_at(at timestamptz, price kb_price, from_date date = NULL) RETURNS date LANGUAGE sql AS $$
	SELECT set_config('kbilling.clock', at::text, true);
	SELECT kbilling.kb_set_price('dated', 'fax', price, from_date)
$$;
SELECT is(pg_temp.set_at(at::timestamptz, price::kb_price, from_date), held_from,
	format('C3: %s, set at %s, holds from %s on', price, at, held_from))
FROM (VALUES
	('2026-01-15 12:00+00', '1.00 each', NULL, date '-infinity'),
	('2026-01-15 12:00+00', '1.00 each', NULL, '-infinity'),		-- as it is
	('2026-01-31 23:59+00', '2.00 each', NULL, '2026-02-01'),
	('2026-02-01 01:00+02', '2.50 each', NULL, '2026-02-01'),		-- still January in UTC
	('2026-02-01 00:00+00', '3.00 each', NULL, '2026-03-01'),
	('2026-02-01 00:00+00', '3.0 each', NULL, '2026-03-01'),		-- as it is planned
	('2026-02-10 00:00+00', '4.00 each', date '2026-06-01', '2026-06-01'),
	('2026-12-31 00:00+00', '5.00 each', NULL, '2027-01-01'),
	('2026-12-31 00:00+00', '4.00 each', NULL, '2026-06-01')		-- what was planned is taken back
) AS t (at, price, from_date, held_from);
SELECT results_eq($$SELECT from_date, to_date, price::text FROM price_list WHERE tariff = 'dated' ORDER BY from_date$$,
	$$VALUES (date '-infinity', date '2026-02-01', '1.00 each'), ('2026-02-01', '2026-03-01', '2.50 each'),
		('2026-03-01', '2026-06-01', '3.00 each'), ('2026-06-01', 'infinity', '4.00 each')$$,
	'C3: the price that held before is not lost');
SELECT is(kb_set_price('dated', 'base', '9.00', '2027-06-01'), date '2027-06-01', 'C3: a first price with a date');
SELECT is(kb_set_price('dated', 'base', '8.00'), date '2027-01-01', 'C3: what follows is a change, though nothing holds yet');

-- What the list says of a day, and what it said
SELECT results_eq(format($$SELECT service, price::text, from_date, to_date FROM kb_price_list(%L, %L) WHERE tariff = 'dated'$$,
		on_date, as_of),
	format('SELECT * FROM (%s) t', listed),
	format('J9: the price list of %s, as of %s', coalesce(on_date, 'today'), coalesce(as_of, 'today')))
FROM (VALUES
	('2026-02-15', NULL, $$VALUES ('fax'::text, '2.50 each'::text, date '2026-02-01', date '2026-03-01')$$),
	('2026-05-31', NULL, $$VALUES ('fax'::text, '3.00 each'::text, date '2026-03-01', date '2026-06-01')$$),
	(NULL, NULL, $$VALUES ('fax'::text, '4.00 each'::text, date '2026-06-01', date 'infinity')$$),
	('2027-07-01', NULL, $$VALUES ('base'::text, '9.00'::text, date '2027-06-01', date 'infinity'),
		('fax', '4.00 each', '2026-06-01', 'infinity')$$),
	('2026-02-15', '2026-01-31 22:00+00', $$VALUES ('fax'::text, '1.00 each'::text, date '-infinity', date 'infinity')$$),
	('2026-02-15', '2026-01-31 23:59+00', $$VALUES ('fax'::text, '2.50 each'::text, date '2026-02-01', date 'infinity')$$),
	('2026-02-15', '2026-02-09 00:00+00', $$VALUES ('fax'::text, '2.50 each'::text, date '2026-02-01', date '2026-03-01')$$),
	('2026-07-01', '2026-02-09 00:00+00', $$VALUES ('fax'::text, '3.00 each'::text, date '2026-03-01', date 'infinity')$$),
	(NULL, '2026-07-09 00:00+00', $$VALUES ('fax'::text, '4.00 each'::text, date '2026-06-01', date 'infinity')$$),
	('2026-01-15', '2026-01-14 00:00+00', $$SELECT ''::text, ''::text, NULL::date, NULL::date WHERE false$$)
) AS t (on_date, as_of, listed);
RESET kbilling.clock;

-- Bonus tier

SELECT kb_set_bonus('basic', '100 USD', 5);
SELECT kb_set_bonus('basic', '100 USD', 7, '2026-11-01', '2026-12-01');
SELECT kb_set_bonus('basic', '500 USD', 1000);
SELECT kb_set_bonus('basic', '100 USD', 6);
SELECT kb_set_bonus('basic', '0 USD', 0, to_date => '2027-01-01');
SELECT is(ARRAY(SELECT format('%s %s to %s: %s%%', min_amount, from_date, to_date, percent)
				FROM bonus_tier ORDER BY min_amount, from_date),
	'{0.00 USD -infinity to 2027-01-01: 0%,100.00 USD -infinity to infinity: 6%,100.00 USD 2026-11-01 to 2026-12-01: '
		'7%,500.00 USD -infinity to infinity: 1000%}',
	'T5: a tier has an amount and dates; the same ones again take its place');
SELECT throws_ok(format('SELECT kb_set_bonus(%s)', arguments), state, NULL, format('T5: (%s) is refused', arguments))
FROM (VALUES
	('''none'', ''1 USD'', 1', 'KB012'),
	('NULL, ''1 USD'', 1', '22004'),
	('''basic'', ''1 EUR'', 1', 'KB002'),
	('''strict'', ''1 USD'', 1', 'KB002'),
	('''basic'', NULL, 1', '22004'),
	('''basic'', ''1 USD'', NULL', '22004'),
	('''basic'', ''1 USD'', 1, NULL', '22004'),
	('''basic'', ''1 USD'', 1, ''2026-01-01'', NULL', '22004'),
	('''basic'', ''-0.01 USD'', 1', '22023'),
	('''basic'', ''1 USD'', -0.01', '22023'),
	('''basic'', ''1 USD'', 1000.01', '22023'),
	('''basic'', ''1 USD'', ''NaN''', '22023'),
	('''basic'', ''1 USD'', ''infinity''', '22023'),
	('''basic'', ''1 USD'', 1, ''2026-02-01'', ''2026-02-01''', '22008')
) AS t (arguments, state);
SELECT is((SELECT count(*) FROM bonus_tier), 4::bigint, 'T5: what was refused left nothing');

SELECT throws_ok('TRUNCATE service CASCADE', '55000', NULL, 'policy: what is built in is not truncated either');
SELECT throws_ok('TRUNCATE payment_method', '55000', NULL, 'policy: nor the payment methods');
SELECT throws_ok('TRUNCATE policy CASCADE', '55000', NULL, 'policy: nor here');
SELECT throws_ok(format('SELECT kb_set_price(%L, %L, %L)', 'basic', 'base', price), '22003', NULL,
	'M1: a price that no charge could hold is refused: ' || price)
FROM unnest('{9223372036854775807,"graduated 1 to 10, 900000000000000000","volume 1 + 900000000000000000 to 10, '
	'1","2% + 900000000000000000","1 each max 900000000000000000"}'::text[]) AS price;
SELECT lives_ok($$SELECT kb_set_price('basic', 'base', '0.01 each free 900000000000000000')$$, 'M1: free units are no money');
SELECT throws_ok($$SELECT kb_set_price('4111 1111 1111 1111', 'base', '1.00')$$, 'KB008', NULL,
	'T4: an error does not repeat a card number');

SELECT finish();
ROLLBACK;
