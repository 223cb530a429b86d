-- Holds: units that are reserved before they are used (L4)
BEGIN;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/error.sql

SET LOCAL kbilling.clock = '2026-11-10 12:00+00';
SELECT kb_create_tariff('prepaid', 'USD'), kb_create_tariff('open', 'USD'), kb_create_service('tokens', 'metered', 'token'),
	kb_create_service('jobs', 'metered', aggregation => 'count'), kb_create_service('peak', 'metered', aggregation => 'max'),
	kb_create_service('none', 'metered'), kb_create_service('seat', 'recurring')
\g /dev/null
SELECT kb_set_price(t, 'tokens', 'graduated 0.10 to 40, 0.05'), kb_set_price(t, 'jobs', '1 each'), kb_set_price(t, 'peak', '1 each')
	FROM unnest('{prepaid,open}'::text[]) AS t
\g /dev/null
SELECT kb_set_credit_line('prepaid', '0 USD'), kb_set_limit('open', 'tokens', 100)
\g /dev/null
SELECT kb_create_account('ann', t, id, created_at => '2026-11-01 00:00+00'), kb_apply_topup(id, '5.00 USD', 'card', 'p')
	FROM (VALUES (1, 'prepaid'), (2, 'open'), (3, 'prepaid'), (4, 'prepaid')) AS a (id, t)
\g /dev/null

SELECT ok(kb_hold_usage(1, 'tokens', 30, 'h1', '2026-11-10 13:00+00'), 'L4: units are held');
SELECT is(kb_available(1), '2.00 USD', 'L1: and count at once: 30 at 0.10');
SELECT is((SELECT count(*) FROM kb_current_usage(1)), 0::bigint, 'L4: nothing is used yet');
SELECT ok(NOT kb_hold_usage(1, 'tokens', 30, 'h1', '2026-11-10 13:00+00'), 'L4: the same again changes nothing');
SELECT is(pg_temp.error_with_detail($$SELECT kb_hold_usage(1, 'tokens', 31, 'h1', '2026-11-10 13:00+00')$$),
	'KB006 the key "h1" holds something else already | It holds 30 of service "tokens" of account 1, until 2026-11-10 13:00:00+00.',
	'L4: other content is an error');
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(1, 'jobs', 1, 'j' || n) FROM generate_series(1, 3) AS n$$), 5), 'KB013',
	'L2: other usage does not get what is held');
SELECT is(left(pg_temp.error_of($$SELECT kb_hold_usage(1, 'tokens', 31, 'h2', '2026-11-10 13:00+00')$$), 5), 'KB013',
	'L2: nor does another hold: 10 at 0.10 and 21 at 0.05 are 2.05');
SELECT ok(kb_hold_usage(1, 'tokens', 30, 'h2', '2026-11-10 12:30+00'), 'L4: tiers are walked with what is held: 10 at 0.10, 20 at 0.05');
SELECT is(kb_available(1), '0.00 USD', 'L1: nothing is left');
SELECT ok(kb_record_usage(1, 'tokens', 25, 'h1'), 'L4: usage with the key settles a hold, for less');
SELECT is(kb_available(1), '0.25 USD', 'L1: 55 tokens are 4.75');
SELECT ok(NOT kb_record_usage(1, 'tokens', 25, 'h1'), 'U1: twice is once');
SELECT is(left(pg_temp.error_of($$SELECT kb_hold_usage(1, 'tokens', 1, 'h1', '2026-11-10 13:00+00')$$), 5), 'KB006',
	'L4: a key whose usage is recorded holds nothing any more');
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(1, 'tokens', 36, 'h2')$$), 5), 'KB013',
	'L4: for more, as far as there is something left');
SELECT is(kb_available(1), '0.25 USD', 'L4: what is refused leaves the hold');
SELECT ok(kb_record_usage(1, 'tokens', 35, 'h2'), 'L4: for more: 5 at 0.05');
SELECT is(kb_available(1), '0.00 USD', 'L1: 60 tokens are 5.00');
SELECT is((SELECT count(*) FROM usage_hold WHERE account_id = 1), 0::bigint, 'L4: nothing is held any more');

-- release and expiry
SELECT ok(kb_hold_usage(3, 'jobs', 5, 'a', '2026-11-10 12:10+00') AND NOT kb_release_usage(3, 'jobs', 'b')
	AND kb_release_usage(3, 'jobs', 'a')
	AND NOT kb_release_usage(3, 'jobs', 'a'), 'L4: a release frees what is held, once');
SELECT is(kb_available(3), '5.00 USD', 'L1: all is there again');
SELECT ok(kb_hold_usage(3, 'jobs', 5, 'a', '2026-11-10 12:10+00'), 'L4: the key may hold again');
SET LOCAL kbilling.clock = '2026-11-10 12:09:59.999+00';
SELECT is(kb_available(3), '0.00 USD', 'L4: it is held until its expiry');
SET LOCAL kbilling.clock = '2026-11-10 12:10+00';
SELECT is(kb_available(3), '5.00 USD', 'L4: and free from that moment on, with no job run');
SELECT ok(NOT kb_release_usage(3, 'jobs', 'a'), 'L4: there is nothing to release');
SELECT ok(kb_hold_usage(3, 'jobs', 2, 'a', '2026-11-10 12:20+00'), 'L4: an expired hold gives its key free');
SET LOCAL kbilling.clock = '2026-11-10 12:30+00';
SELECT ok(kb_record_usage(3, 'jobs', 1, 'a'), 'L4: usage after the expiry is usage like any other');
SELECT is(kb_available(3), '4.00 USD', 'L1: one job');

-- a limit in units
SELECT ok(kb_record_usage(2, 'tokens', 60, 'u') AND kb_hold_usage(2, 'tokens', 40, 'h', '2026-12-05 00:00+00'),
	'L4: held units count for L3');
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(2, 'tokens', 1, 'u2')$$), 5), 'KB013', 'L3: no more than that');
-- across the month's end
SET LOCAL kbilling.clock = '2026-12-01 00:00+00';
SELECT is((kb_month_charge(2)).total, '5.00 USD', 'L4: what is held is not charged: 60 tokens');
SELECT is(kb_available(2), '-4.00 USD', 'L1: in the next month it counts there: 5.00 - 5.00 - 40 at 0.10');
SELECT ok(kb_record_usage(2, 'tokens', 40, 'h'), 'L4: and is settled there');
SELECT is((SELECT sum(amount) FROM kb_current_usage(2)), '4.00 USD', 'C6: the running month has it');

-- on a billing page
SELECT is(kb_portal(2, 'ann') -> 'spending', '{"credit_line": null, "available": null, "holds": [], "limits": [{"service": "tokens", '
	'"name": "tokens", "unit": "token", "quantity": 100, "used": 40, "hard": true}]}', 'L3: a limit, and what is used of it');
SELECT ok(kb_hold_usage(3, 'jobs', 2, 'b', '2026-12-01 01:00+00'), 'L4: something is held');
SELECT is(kb_portal(3, 'ann') -> 'spending', '{"credit_line": {"amount": "0.00", "currency": "USD"}, "limits": [], "available": '
	'{"amount": "2.00", "currency": "USD"}, "holds": [{"service": "jobs", "name": "jobs", "unit": null, "quantity": 2, '
	'"expires_at": "2026-12-01T01:00:00+00:00"}]}', 'L1, L4: what is left, and what is held');
SELECT kb_create_account('ann', 'free', 5) FROM kb_create_tariff('free', 'USD')
\g /dev/null
SELECT is(kb_portal(5, 'ann') -> 'spending', 'null', 'L1: nothing is limited');

-- bad input
SELECT is(left(pg_temp.error_of(statement), 5), state, format('%s: %s', state, statement)) FROM (VALUES
	($$SELECT kb_hold_usage(1, 'tokens', 0, 'x', '2026-12-01 01:00+00')$$, '22023'),
	($$SELECT kb_hold_usage(1, 'tokens', 'NaN', 'x', '2026-12-01 01:00+00')$$, '22023'),
	($$SELECT kb_hold_usage(1, 'tokens', -1, 'x', '2026-12-01 01:00+00')$$, '22023'),
	($$SELECT kb_hold_usage(1, 'tokens', 1, 'x', '2026-12-01 00:00+00')$$, '22008'),
	($$SELECT kb_hold_usage(1, 'tokens', 1, 'x', 'infinity')$$, '22008'),
	($$SELECT kb_hold_usage(1, 'seat', 1, 'x', '2026-12-01 01:00+00')$$, '22023'),
	($$SELECT kb_hold_usage(1, 'peak', 1, 'x', '2026-12-01 01:00+00')$$, '22023'),
	($$SELECT kb_hold_usage(1, 'none', 1, 'x', '2026-12-01 01:00+00')$$, 'KB012'),
	($$SELECT kb_hold_usage(1, 'nothing', 1, 'x', '2026-12-01 01:00+00')$$, 'KB012'),
	($$SELECT kb_hold_usage(99, 'tokens', 1, 'x', '2026-12-01 01:00+00')$$, 'KB001'),
	($$SELECT kb_hold_usage(1, 'tokens', 1, '', '2026-12-01 01:00+00')$$, '22023'),
	($$SELECT kb_hold_usage(1, 'tokens', 1, '4111 1111 1111 1111', '2026-12-01 01:00+00')$$, 'KB008'),
	($$SELECT kb_hold_usage(1, 'tokens', 1, NULL, '2026-12-01 01:00+00')$$, '22004'),
	($$SELECT kb_release_usage(99, 'tokens', 'x')$$, 'KB001'),
	($$SELECT kb_release_usage(1, 'tokens', NULL)$$, '22004')) AS t (statement, state);
SELECT is_empty('SELECT * FROM kb_check()', 'the books are right');

-- a deleted account holds nothing, and its holds go with the purge
SELECT ok(kb_hold_usage(4, 'jobs', 1, 'a', '2027-12-01 00:00+00'), 'L4: before the deletion');
\ir ../include/state.sql
SELECT pg_temp.put_state(4, 'deleted')
\g /dev/null
SELECT is(left(pg_temp.error_of($$SELECT kb_hold_usage(4, 'jobs', 1, 'b', '2027-12-01 00:00+00')$$), 5), 'KB010',
	'D5: a deleted account');
SELECT * FROM finish();
ROLLBACK;
