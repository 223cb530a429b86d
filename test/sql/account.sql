BEGIN;
SET LOCAL search_path = kbilling, public;
SET LOCAL kbilling.clock = '2026-11-02 10:00+00';
SELECT no_plan();
\ir ../include/state.sql

SELECT kb_create_tariff('a', 'USD'), kb_create_tariff('b', 'USD'), kb_create_tariff('c', 'USD'), kb_create_tariff('euro', 'EUR');
SELECT kb_create_service('seat', 'recurring'), kb_create_service('unpriced', 'recurring'), kb_create_service('orders', 'metered');
SELECT kb_set_price(tariff, 'base', '30.00'), kb_set_price(tariff, 'seat', '10.00 each'), kb_set_price(tariff, 'orders', '0.05 each')
FROM unnest('{a,b,c}'::text[]) AS tariff;

-- What is refused, and its SQLSTATE
CREATE FUNCTION pg_temp.refused(calls text[][]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT throws_ok('SELECT ' || calls[i][1], calls[i][2], NULL, format('%s: %s is refused', calls[i][2], calls[i][1]))
	FROM generate_subscripts(calls, 1) AS i
$$;

-- Creation

SELECT is(kb_create_account('ann', 'a'), 1::bigint, 'account: without an id it gets the first of the sequence');
SELECT is(kb_create_account('ben', 'euro', 3), 3::bigint, 'account: an id that is brought is kept');
SELECT is(kb_create_account('cat', 'a', 2, 'europe/berlin', 'cat@example.com', '2026-10-31 23:30+00'), 2::bigint,
	'account: ids may be brought in any order');
SELECT is(kb_create_account('dan', 'a'), 4::bigint, 'account: the sequence passes over ids that were brought');
SELECT is(kb_create_account('eve', 'a', 9223372036854775807), 9223372036854775807, 'account: the highest id');

SELECT is(ARRAY(SELECT format('%s %s %s %s %s %s', account_id, balance, tariff, time_zone, tariff_from, charged_through)
				FROM account WHERE account_id <= 3 ORDER BY account_id),
	'{1 0.00 USD a UTC 2026-11-02 2026-11-01,2 0.00 USD a Europe/Berlin 2026-11-01 2026-10-31,3 0.00 EUR euro UTC 2026-11-02 2026-11-01}',
	'C3: an account begins on its own local date, with nothing, in its tariff''s currency');
SELECT is(ARRAY(SELECT format('%s %s %s <%s>', account_id, member, role, email) FROM member WHERE account_id <= 3 ORDER BY account_id),
	'{1 ann owner <>,2 cat owner <cat@example.com>,3 ben owner <>}', 'account: its first member is the owner');

-- 10:00 in UTC is midnight at UTC+14, and 23:00 of the day before at UTC-11
SELECT kb_create_account('ann', 'a', 20, 'Pacific/Kiritimati'), kb_create_account('ann', 'a', 21, 'Pacific/Pago_Pago');
SELECT is(ARRAY(SELECT tariff_from FROM account WHERE account_id IN (20, 21) ORDER BY account_id),
	'{2026-11-03,2026-11-01}', 'C1: the first day is that of the account''s time zone');

SELECT pg_temp.refused(ARRAY[
	['kb_create_account(''x'', ''a'', 1)', '23505'],
	['kb_create_account(''x'', ''a'', 0)', '22023'],
	['kb_create_account(''x'', ''a'', -1)', '22023'],
	['kb_create_account(''x'', ''none'')', 'KB012'],
	['kb_create_account(''x'', NULL)', '22004'],
	['kb_create_account(NULL, ''a'')', '22004'],
	['kb_create_account('''', ''a'')', '22004'],
	['kb_create_account(''x'', ''a'', time_zone => ''Mars/Base'')', '22023'],
	['kb_create_account(''x'', ''a'', time_zone => ''Foo5'')', '22023'],
	['kb_create_account(''x'', ''a'', time_zone => ''UTC+2'')', '22023'],
	['kb_create_account(''x'', ''a'', time_zone => '''')', '22023'],
	['kb_create_account(''x'', ''a'', created_at => ''infinity'')', '22008'],
	['kb_create_account(''x'', ''a'', created_at => ''-infinity'')', '22008'],
	['kb_create_account(''x'', ''a'', created_at => ''2026-11-02 10:00:00.000001+00'')', '22008'],
	['kb_create_account(''4111111111111111'', ''a'')', 'KB008'],
	['kb_create_account(''x'', ''a'', email => ''4111111111111111@example.com'')', 'KB008']
]);
SELECT lives_ok($$SELECT kb_create_account('x', 'a', 22, created_at => '2026-11-02 10:00+00')$$, 'account: one created this moment');
SELECT is((SELECT count(*) FROM account), 8::bigint, 'account: what was refused left nothing');

-- Members

SELECT kb_add_member(1, 'joe', 'employee', 'joe@example.com'), kb_add_member(1, 'amy', 'admin'), kb_add_member(1, 'oto', 'owner'),
	kb_add_member(2, 'joe', 'admin');
SELECT is(ARRAY(SELECT format('%s %s <%s>', member, role, email) FROM member WHERE account_id = 1 ORDER BY member),
	'{amy admin <>,ann owner <>,joe employee <joe@example.com>,oto owner <>}', 'member: an account has any number, each with a role');
SELECT pg_temp.refused(ARRAY[
	['kb_add_member(1, ''joe'', ''admin'')', '23505'],
	['kb_add_member(1, '''', ''admin'')', '22023'],
	['kb_add_member(1, NULL, ''admin'')', '22004'],
	['kb_add_member(1, ''x'', NULL)', '22004'],
	['kb_add_member(1, ''x'', ''boss'')', '22P02'],
	['kb_add_member(1, ''x'', ''admin'', ''4111 1111 1111 1111'')', 'KB008'],
	['kb_add_member(99, ''x'', ''admin'')', 'KB001'],
	['kb_add_member(NULL, ''x'', ''admin'')', '22004']
]);

-- Tariff

CREATE FUNCTION pg_temp.tariffs(account_id bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s %s to %s', t.tariff, t.from_date, t.to_date), ', ' ORDER BY t.from_date)
	FROM kbilling_internal.account_tariff t WHERE t.account_id = $1
$$;
-- The tariffs after a switch
CREATE FUNCTION pg_temp.set_tariff(account_id bigint, tariff text, from_date date = NULL) RETURNS text LANGUAGE sql AS $$
	SELECT kbilling.kb_set_tariff($1, $2, $3);
	SELECT pg_temp.tariffs($1);
$$;

SELECT is(pg_temp.tariffs(1), 'a 2026-11-02 to infinity', 'C3: the first tariff holds from the first day on');
SELECT is(pg_temp.set_tariff(1, 'b', '2026-12-01'), 'a 2026-11-02 to 2026-12-01, b 2026-12-01 to infinity',
	'C3: a later tariff ends the one before it');
SELECT is(pg_temp.set_tariff(1, 'c', '2027-02-01'),
	'a 2026-11-02 to 2026-12-01, b 2026-12-01 to 2027-02-01, c 2027-02-01 to infinity', 'C3: and so on');
SELECT is(pg_temp.set_tariff(1, 'c', '2026-12-01'), 'a 2026-11-02 to 2026-12-01, c 2026-12-01 to infinity',
	'C3: on the same day as a planned switch, it takes its place and drops later ones');
SELECT is(pg_temp.set_tariff(1, 'b', '2026-11-20'), 'a 2026-11-02 to 2026-11-20, b 2026-11-20 to infinity',
	'C3: earlier than a planned switch, it drops that');
SELECT is(pg_temp.set_tariff(1, 'c', '2026-11-20'), 'a 2026-11-02 to 2026-11-20, c 2026-11-20 to infinity',
	'C3: on the same day as the last switch, it takes its place');
SELECT is(pg_temp.set_tariff(1, 'b', '2026-11-02'), 'b 2026-11-02 to infinity', 'C3: on the first day, it is the only one');
SELECT is(pg_temp.set_tariff(20, 'b'), 'b 2026-11-03 to infinity', 'C3: without a date it holds from the local today on');
SET LOCAL kbilling.clock = '2026-11-05 10:00+00';
SELECT is(pg_temp.set_tariff(20, 'c'), 'b 2026-11-03 to 2026-11-06, c 2026-11-06 to infinity',
	'C3: without a date it holds from the local today on, and the one before it until yesterday');
SELECT is(pg_temp.set_tariff(1, 'a', '2026-11-03'), 'b 2026-11-02 to 2026-11-03, a 2026-11-03 to infinity',
	'C3: a past day that is not charged can be changed');
SELECT pg_temp.refused(ARRAY[
	['kb_set_tariff(1, ''euro'')', 'KB002'],
	['kb_set_tariff(3, ''a'')', 'KB002'],
	['kb_set_tariff(1, ''none'')', 'KB012'],
	['kb_set_tariff(1, NULL)', '22004'],
	['kb_set_tariff(99, ''a'')', 'KB001'],
	['kb_set_tariff(NULL, ''a'')', '22004'],
	['kb_set_tariff(1, ''b'', ''2026-11-01'')', 'KB009'],
	['kb_set_tariff(1, ''b'', ''infinity'')', '22008'],
	['kb_set_tariff(1, ''b'', ''-infinity'')', '22008']
]);
SELECT is(pg_temp.tariffs(1), 'b 2026-11-02 to 2026-11-03, a 2026-11-03 to infinity', 'C3: what was refused left nothing');

-- Services that are switched

CREATE FUNCTION pg_temp.switches(account_id bigint) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(format('%s x %s %s to %s', s.quantity, s.service, s.from_date, s.to_date),
		', ' ORDER BY s.from_date), 'none')
	FROM kbilling.subscription s WHERE s.account_id = $1
$$;
-- The switches after another one
CREATE FUNCTION pg_temp.switch(account_id bigint, quantity numeric, from_date date = NULL) RETURNS text LANGUAGE sql AS $$
	SELECT kbilling.kb_switch_on($1, 'seat', $2, $3) WHERE $2 > 0;
	SELECT kbilling.kb_switch_off($1, 'seat', $3) WHERE $2 = 0;
	SELECT pg_temp.switches($1);
$$;

SELECT is(pg_temp.switch(4, 0), 'none', 'C2: what was never on can be switched off');
SELECT is(pg_temp.switch(4, 1), '1 x seat 2026-11-05 to infinity', 'C2: a service is on from today on');
SELECT is(pg_temp.switch(4, 3, '2026-11-10'), '1 x seat 2026-11-05 to 2026-11-10, 3 x seat 2026-11-10 to infinity',
	'C2: another quantity begins a span of its own');
SELECT is(pg_temp.switch(4, 0, '2026-11-20'), '1 x seat 2026-11-05 to 2026-11-10, 3 x seat 2026-11-10 to 2026-11-20',
	'C2: the day of switching off is the first that is not charged');
SELECT is(pg_temp.switch(4, 2, '2026-12-01'),
	'1 x seat 2026-11-05 to 2026-11-10, 3 x seat 2026-11-10 to 2026-11-20, 2 x seat 2026-12-01 to infinity',
	'C2: it can be on again after a gap');
SELECT is(pg_temp.switch(4, 4, '2026-11-08'), '1 x seat 2026-11-05 to 2026-11-08, 4 x seat 2026-11-08 to infinity',
	'C2: an earlier switch drops later ones');
SELECT is(pg_temp.switch(4, 0.5, '2026-11-08'), '1 x seat 2026-11-05 to 2026-11-08, 0.5 x seat 2026-11-08 to infinity',
	'C2: a switch on the same day takes the place of the other');
SELECT is(pg_temp.switch(4, 0, '2026-11-08'), '1 x seat 2026-11-05 to 2026-11-08', 'C2: off on the same day, it was never on');
SELECT is(pg_temp.switch(4, 0, '2026-11-05'), 'none', 'C2: off from the first day on');
SELECT is(pg_temp.switch(20, 1), '1 x seat 2026-11-06 to infinity', 'C2: today is the account''s local date');

SELECT pg_temp.switch(1, 2, '2026-11-03');
SELECT pg_temp.refused(ARRAY[
	['kb_switch_on(1, ''seat'', 0)', '22003'],
	['kb_switch_on(1, ''seat'', -1)', '22003'],
	['kb_switch_on(1, ''seat'', ''NaN'')', '22003'],
	['kb_switch_on(1, ''seat'', ''infinity'')', '22003'],
	['kb_switch_on(1, ''seat'', NULL)', '22004'],
	['kb_switch_on(1, ''base'')', '22023'],
	['kb_switch_off(1, ''base'')', '22023'],
	['kb_switch_on(1, ''orders'')', '22023'],
	['kb_switch_off(1, ''orders'')', '22023'],
	['kb_switch_on(1, ''unpriced'')', 'KB012'],
	['kb_switch_on(3, ''seat'')', 'KB012'],
	['kb_switch_on(1, ''none'')', 'KB012'],
	['kb_switch_off(1, ''none'')', 'KB012'],
	['kb_switch_on(1, NULL)', '22004'],
	['kb_switch_off(1, NULL)', '22004'],
	['kb_switch_on(99, ''seat'')', 'KB001'],
	['kb_switch_off(99, ''seat'')', 'KB001'],
	['kb_switch_on(NULL, ''seat'')', '22004'],
	['kb_switch_off(NULL, ''seat'')', '22004'],
	['kb_switch_on(1, ''seat'', 1, ''2026-11-01'')', 'KB009'],
	['kb_switch_on(1, ''seat'', 1, ''infinity'')', '22008'],
	['kb_switch_off(1, ''seat'', ''-infinity'')', '22008']
]);
SELECT is(pg_temp.switches(1), '2 x seat 2026-11-03 to infinity', 'C2: what was refused left nothing');

-- What is charged already stays as it is

SET LOCAL kbilling.clock = '2026-12-01 00:00+00';
SELECT is((kb_month_charge(1)).replayed, false, 'C4: a first month that began on the 2nd is not charged yet');
SELECT pg_temp.refused(ARRAY[
	['kb_set_tariff(1, ''b'', ''2026-11-30'')', 'KB009'],
	['kb_switch_on(1, ''seat'', 5, ''2026-11-30'')', 'KB009'],
	['kb_switch_off(1, ''seat'', ''2026-11-30'')', 'KB009']
]);
SELECT is(pg_temp.set_tariff(1, 'b', '2026-12-01'), 'b 2026-11-02 to 2026-11-03, a 2026-11-03 to 2026-12-01, b 2026-12-01 to infinity',
	'C4: the first day that is not charged can be changed');
SELECT is(pg_temp.switch(1, 5, '2026-12-01'), '2 x seat 2026-11-03 to 2026-12-01, 5 x seat 2026-12-01 to infinity',
	'C4: so can its services');

-- Deferral

SET LOCAL kbilling.clock = '2026-12-06 10:00+00';
SELECT is(kb_access_stage(1::bigint), 'remind', 'S2: a debt of the 1st is at remind on the 6th');
SELECT kb_defer(1, '2026-12-20', 'sue', 'bank is slow');
SELECT is(kb_access_stage(1::bigint), 'grace', 'S4: deferred, it is at grace');
SELECT kb_defer(1, '2026-12-06', 'tom', 'has paid');
SELECT is(kb_access_stage(1::bigint), 'grace', 'S4: today may be the last day of a deferral');
SELECT is(kb_access_stage(1, '2026-12-07 00:00+00'), 'restrict', 'S4: the last deferral holds, though it is shorter');
SELECT kb_defer(20, '2026-12-07', 'sue', 'is today at UTC+14');
SELECT is(ARRAY(SELECT format('%s.%s %s %s %s', account_id, deferral_no, deferred_until, granted_by, reason)
				FROM deferral WHERE granted_at = '2026-12-06 10:00+00' ORDER BY account_id, deferral_no),
	'{1.1 2026-12-20 sue bank is slow,1.2 2026-12-06 tom has paid,20.1 2026-12-07 sue is today at UTC+14}',
	'S4: each deferral is kept, with who granted it and why');
SELECT pg_temp.refused(ARRAY[
	['kb_defer(1, ''2026-12-05'', ''sue'', ''why'')', '22008'],
	['kb_defer(20, ''2026-12-06'', ''sue'', ''why'')', '22008'],
	['kb_defer(1, ''-infinity'', ''sue'', ''why'')', '22008'],
	['kb_defer(1, ''infinity'', ''sue'', ''why'')', '22008'],
	['kb_defer(1, NULL, ''sue'', ''why'')', '22004'],
	['kb_defer(1, ''2026-12-20'', NULL, ''why'')', '22004'],
	['kb_defer(1, ''2026-12-20'', '''', ''why'')', '22023'],
	['kb_defer(1, ''2026-12-20'', ''sue'', NULL)', '22004'],
	['kb_defer(1, ''2026-12-20'', ''sue'', '''')', '22023'],
	['kb_defer(1, ''2026-12-20'', ''sue'', ''card 4111111111111111'')', 'KB008'],
	['kb_defer(99, ''2026-12-20'', ''sue'', ''why'')', 'KB001'],
	['kb_defer(NULL, ''2026-12-20'', ''sue'', ''why'')', '22004']
]);
SELECT throws_ok(change, 'KB007', NULL, 'S4: a deferral stays: ' || change)
FROM (VALUES ('UPDATE deferral SET reason = ''x'''), ('DELETE FROM deferral'), ('TRUNCATE deferral')) AS t (change);

-- The application's own notes

SELECT kb_create_account('ann', 'a', 501)
\g /dev/null
SELECT is(kb_metadata(501), NULL, 'metadata: none at first');
SELECT kb_set_metadata(501, '{"crm": {"id": "A-17"}, "tags": ["vip"]}')
\g /dev/null
SELECT is(kb_metadata(501), '{"crm": {"id": "A-17"}, "tags": ["vip"]}', 'metadata: as it was set');
SELECT kb_set_metadata(501, '{"crm": null}')
\g /dev/null
SELECT is((SELECT metadata::jsonb FROM account WHERE account_id = 501), '{"crm": null}',
	'metadata: replaced as a whole, in the account''s row');
SELECT kb_set_metadata(501, '{"crm": null}')
\g /dev/null
SELECT kb_set_metadata(501, jsonb_build_object('a', repeat('x', 8183)))
\g /dev/null
SELECT is(octet_length(kb_metadata(501)::text), 8192, 'metadata: 8192 bytes');
SELECT pg_temp.refused(ARRAY[
	['kb_set_metadata(501, jsonb_build_object(''a'', repeat(''x'', 8184)))', '22023'],
	['kb_set_metadata(501, ''[1]'')', '22023'], ['kb_set_metadata(501, ''"text"'')', '22023'], ['kb_set_metadata(501, ''null'')', '22023'],
	['kb_set_metadata(501, ''{"card": "4111 1111 1111 1111"}'')', 'KB008'], ['kb_set_metadata(501, ''{"4111111111111111": 1}'')', 'KB008'],
	['kb_set_metadata(404, ''{}'')', 'KB001'], ['kb_set_metadata(NULL, ''{}'')', '22004'],
	['kb_metadata(404)', 'KB001'], ['kb_metadata(NULL)', '22004']]);
SELECT is(octet_length(kb_metadata(501)::text), 8192, 'metadata: what is refused changes nothing');
SELECT kb_set_metadata(501, NULL)
\g /dev/null
SELECT is(kb_metadata(501), NULL, 'metadata: taken away');

-- A deleted account is out of reach

SELECT kb_switch_on(4, 'seat');
SELECT kb_apply_topup(4, '10 USD', 'card', 'p');
SELECT pg_temp.put_state(4, 'deleted')
\g /dev/null
SELECT pg_temp.put_state(2, 'purged')
\g /dev/null
SELECT is((kb_apply_topup(4, '10 USD', 'card', 'p')).replayed, true,
	'J3, T3: what it knows is replayed: the provider''s webhook comes any number of times');
SELECT pg_temp.refused(ARRAY(
	SELECT ARRAY[replace(call, 'N', account_id::text), 'KB010']
	FROM unnest('{2,4}'::int[]) AS account_id, (VALUES
		('kb_add_member(N, ''x'', ''admin'')'),
		('kb_set_tariff(N, ''b'')'),
		('kb_switch_on(N, ''seat'')'),
		('kb_switch_off(N, ''seat'')'),
		('kb_defer(N, ''2026-12-20'', ''sue'', ''why'')'),
		('kb_month_charge(N)'),
		('kb_set_metadata(N, ''{}'')'),
		('kb_set_billing_details(N, ''{}'')')) AS t (call)));
SELECT pg_temp.put_state(4, 'closing')
\g /dev/null
SELECT lives_ok('SELECT kb_adjust(4, ''1 USD'', ''q'', ''why'')', 'D3: a closing account works as before');

SELECT is_empty('SELECT * FROM kb_check()', 'J2: the books are right after all this');
SELECT throws_ok($$SELECT kb_create_account('bc', 'a', 77, created_at => '0002-11-15 12:00 BC')$$, '22008', NULL,
	'C4: accounts begin in 1970 or later');
SELECT throws_ok($$SELECT kb_switch_on(1, 'seat', 1e300)$$, '22003', NULL, 'M1: a quantity that no charge could hold is refused');
SELECT throws_ok($$SELECT kb_create_account('ann', 'a', 78, '4111111111111111')$$, 'KB008', NULL,
	'T4: an error does not repeat a card number');
SELECT throws_like($$SELECT kb_switch_on(1, 'seat', 1, '2000-01-01')$$, 'account 1 begins on %',
	'C4: nothing can hold before the first day');

SELECT finish();
ROLLBACK;
