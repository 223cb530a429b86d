-- What is left to spend: credit lines and limits of services (rules L1 to L3)
BEGIN;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/error.sql
\ir ../include/clock.sql
SELECT is(table_count, 4::bigint, 'a database without limits has none of their rows')
FROM (SELECT count(*) FROM pg_class WHERE oid IN ('credit_line'::regclass, 'account_credit_line'::regclass, 'usage_limit'::regclass,
	'account_usage_limit'::regclass) AND pg_relation_size(oid) = 0) AS t (table_count);

SET LOCAL kbilling.clock = '2026-11-10 12:00+00';
SELECT kb_create_tariff('prepaid', 'USD'), kb_create_tariff('open', 'USD'), kb_create_tariff('fee', 'USD'),
	kb_create_tariff('yen', 'JPY'),
	kb_create_service('calls', 'metered', 'call'), kb_create_service('mails', 'metered'),
	kb_create_service('peak', 'metered', aggregation => 'max'),
	kb_create_service('users', 'metered', 'user', 'unique'), kb_create_service('seat', 'recurring')
\g /dev/null
SELECT kb_set_price(t, 'calls', '0.10 each'), kb_set_price(t, 'mails', 'graduated 0.10 to 10, 0.01 free 5'),
	kb_set_price(t, 'peak', '1 each'),
	kb_set_price(t, 'users', '1 each')
	FROM unnest('{prepaid,open,fee}'::text[]) AS t
\g /dev/null
SELECT kb_set_price('fee', 'base', '30.00'), kb_set_price('yen', 'calls', '10 each')
\g /dev/null
SELECT kb_set_credit_line('prepaid', '0 USD'), kb_set_credit_line('fee', '0 USD')
\g /dev/null
SELECT kb_create_account('ann', t, id, created_at => '2026-11-01 00:00+00')
	FROM (VALUES (1, 'prepaid'), (2, 'open'), (3, 'prepaid'), (4, 'fee'), (5, 'prepaid'), (6, 'open'), (7, 'prepaid'),
	(8, 'yen'), (9, 'open')) AS a (id, t)
\g /dev/null

-- L1

SELECT is(kb_available(1), '0 USD', 'L1: nothing is paid, nothing is left');
SELECT kb_apply_topup(id, '5.00 USD', 'card', 'p') FROM unnest('{1,2,3,5,7}'::bigint[]) AS id
\g /dev/null
SELECT is(kb_available(1), '5.00 USD', 'L1: what was paid');
SELECT ok(kb_record_usage(1, 'calls', 49, 'k1'), 'L2: usage that is covered is taken');
SELECT is(kb_available(1), '0.10 USD', 'L1: less the running month, 49 at 0.10');
SELECT ok(kb_record_usage(1, 'calls', 1, 'k2'), 'L2: to the last cent');
SELECT is(kb_available(1), '0.00 USD', 'L1: nothing is left');
SELECT is(pg_temp.error_of($$SELECT kb_record_usage(1, 'calls', 3, 'k3')$$),
	'KB013 account 1 has too little left for this usage | Left to spend: 0.00 USD; this usage costs 0.30 USD. | '
	'Top up at least 0.30 USD, or set another credit line with kb_set_account_credit_line (L2).', 'L2: what goes beyond is refused');
SELECT is((SELECT count(*) FROM usage_event WHERE account_id = 1), 2::bigint, 'L2: what was refused left nothing');
SELECT ok(NOT kb_record_usage(1, 'calls', 1, 'k2'), 'U1: a key that is known is told so, and not refused');
SELECT is(kb_available(2), '5.00 USD', 'L1: without a credit line the same is told');
SELECT ok(kb_record_usage(2, 'calls', 1000, 'k1'), 'L1: but usage is not limited');
SELECT is(kb_available(2), '-95.00 USD', 'L1: and goes below zero');

-- what costs nothing more is never refused
SELECT ok(kb_record_usage(1, 'mails', 5, 'm1'), 'L2: free units cost nothing');
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(1, 'mails', 1, 'm2')$$), 5), 'KB013', 'L2: the first that costs is refused');
SELECT ok(kb_record_usage(1, 'calls', -10, 'back'), 'L3: what is taken back makes room');
SELECT is(kb_available(1), '1.00 USD', 'L1: 10 at 0.10');
SELECT ok(kb_record_usage(1, 'mails', 5, 'm3'), 'L2: the price of the next event is what the month costs more: 5 at 0.10');
SELECT ok(kb_record_usage(1, 'mails', 50, 'm4'), 'L2: and then 50 at 0.01');
SELECT is(kb_available(1), '0.00 USD', 'L1: nothing is left');

-- the base fee runs by day: on the 10th, 10 days at 1.00
SELECT kb_apply_topup(4, '12.00 USD', 'card', 'p')
\g /dev/null
SELECT is(kb_available(4), '2.00 USD', 'L1: the base fee so far');
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(4, 'calls', 21, 'k')$$), 5), 'KB013', 'L2: less than the usage costs');
SELECT ok(kb_record_usage(4, 'calls', 20, 'k'), 'L2: as much as it costs');
SET LOCAL kbilling.clock = '2026-11-12 12:00+00';
SELECT is(kb_available(4), '-2.00 USD', 'L1: the base fee goes on');
SELECT ok(kb_record_usage(4, 'mails', 5, 'm'), 'L2: what is free is taken even then');
-- a month that has ended and is not charged yet counts
SET LOCAL kbilling.clock = '2026-12-02 12:00+00';
SELECT is(kb_available(4), '-21.94 USD', 'L1: what is due: 12 - 30 - 2.00 - 2 of 31 days at 30.00');
SELECT kb_month_charge(4)
\g /dev/null
SELECT is(kb_available(4), '-21.94 USD', 'L1: the same when it is charged');
SET LOCAL kbilling.clock = '2026-11-12 12:00+00';

-- Credit lines

SELECT kb_set_account_credit_line(3, '2.50 USD')
\g /dev/null
SELECT is(kb_available(3), '7.50 USD', 'L1: the account''s own line');
SELECT ok(kb_record_usage(3, 'calls', 75, 'k'), 'L2: to the end of it');
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(3, 'calls', 1, 'k2')$$), 5), 'KB013', 'L2: and no further');
SELECT kb_set_account_credit_line(3, NULL)
\g /dev/null
SELECT is(kb_available(3), '-2.50 USD', 'L1: that of the tariff again');
SELECT kb_set_account_credit_line(6, '1 USD')
\g /dev/null
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(6, 'calls', 11, 'k')$$), 5), 'KB013', 'L2: of an account whose tariff has none');
SELECT kb_set_tariff(2, 'prepaid', '2026-11-13')
\g /dev/null
SELECT ok(kb_record_usage(2, 'calls', 1, 'k2'), 'L2: the line is that of the day''s tariff');
SET LOCAL kbilling.clock = '2026-11-13 12:00+00';
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(2, 'calls', 1, 'k3')$$), 5), 'KB013', 'L2: and another one from its day on');
SELECT kb_set_tariff(2, 'open', '2026-12-01')
\g /dev/null
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(2, 'calls', 1, 'k3')$$), 5), 'KB013',
	'L2: it is that of the day''s tariff, though another one is to come');
SELECT kb_set_tariff(2, 'prepaid', '2026-12-01')
\g /dev/null
SELECT kb_set_credit_line('prepaid', NULL)
\g /dev/null
SELECT ok(kb_record_usage(2, 'calls', 1, 'k3'), 'L1: no line, no limit');
SELECT kb_set_credit_line('prepaid', '0 USD')
\g /dev/null

-- Batches and meters

SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage_batch('[{"account_id": 2, "service": "mails", "quantity": 1, "key": "b0"},
	{"account_id": 5, "service": "calls", "quantity": 51, "key": "b1"}]')$$), 5), 'KB013', 'L2: a batch is refused as one');
SELECT is((SELECT count(*) FROM usage_event WHERE key LIKE 'b_'), 0::bigint, 'L2: and leaves nothing');
SELECT results_eq($$SELECT event_no, counted, state, message FROM kb_record_usage_each('[
	{"account_id": 5, "service": "calls", "quantity": 40, "key": "e1"},
	{"account_id": 5, "service": "calls", "quantity": 11, "key": "e2"},
	{"account_id": 5, "service": "calls", "quantity": 10, "key": "e3"},
	{"account_id": 5, "service": "calls", "quantity": 10, "key": "e3"},
	{"account_id": 5, "service": "nothing", "quantity": 1, "key": "e4"},
	{"account_id": 99, "service": "calls", "quantity": 1, "key": "e5"}]')$$,
	$$VALUES (1, true, NULL, NULL), (2, NULL, 'KB013', 'account 5 has too little left for this usage'), (3, true, NULL, NULL),
		(4, false, NULL, NULL), (5, NULL, 'KB012', 'service "nothing" does not exist'), (6, NULL, 'KB001', 'account 99 does not exist')$$,
	'L2: one by one, what is refused is told, and the rest is taken');
SELECT is(kb_available(5), '0.00 USD', 'L1: 40 and 10 at 0.10');
CREATE TABLE call (id integer PRIMARY KEY, account_id bigint, units integer);
CREATE TRIGGER meter AFTER INSERT ON call REFERENCING NEW TABLE AS added FOR EACH STATEMENT
	EXECUTE FUNCTION kb_meter('calls', 'account_id', 'units', 'id');
SELECT lives_ok('INSERT INTO call SELECT i, 7, 2 FROM generate_series(1, 25) AS i', 'L2: rows that are covered');
SELECT is(pg_temp.error_of('INSERT INTO call SELECT i, 7, 1 FROM generate_series(26, 30) AS i'),
	'KB013 account 7 has too little left for this usage | Top up, or set another credit line with kb_set_account_credit_line (L2).',
	'L2: an application''s row goes with its usage; whoever writes is told no sums');
SELECT is((SELECT count(*) FROM call), 25::bigint, 'L2: the rows are not there');
CREATE TRIGGER meter_update AFTER UPDATE ON call REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT
	EXECUTE FUNCTION kb_meter('calls', 'account_id', 'units', 'id');
SELECT kb_adjust(7, '-1.00 USD', 'a', 'a fee')
\g /dev/null
SELECT lives_ok('UPDATE call SET units = 1 WHERE id = 1', 'L2: a row that changes to less is taken, though nothing is left');
SELECT is(left(pg_temp.error_of('UPDATE call SET units = units + id % 2 WHERE id < 3'), 5), 'KB013',
	'L2: one to more is not: 2 for 1, and 2');

-- Limits of services (L3)

SELECT kb_set_account_limit(8, 'calls', 5)
\g /dev/null
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(8, 'calls', 6, 'c1')$$), 5), 'KB013',
	'L3: a limit of its own, where the tariff has none');
SELECT kb_set_limit('open', 'mails', 100)
\g /dev/null
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(9, 'mails', 101, 'm0')$$), 5), 'KB013', 'L3: that of its tariff alone');
SELECT kb_set_account_limit(9, 'peak', 7), kb_set_limit('open', 'users', 2)
\g /dev/null
SELECT ok(kb_record_usage(9, 'mails', 100, 'm1'), 'L3: as many as the limit');
SELECT is(pg_temp.error_of($$SELECT kb_record_usage(9, 'mails', 2, 'm2')$$),
	'KB013 account 9 has reached its limit of service "mails" | The limit for the month of 2026-11-01 is 100; 100 were used, and 2 more '
	'were to be. | Wait for the next month, or set another limit with kb_set_account_limit (L3).', 'L3: no more than that');
SELECT ok(kb_record_usage(9, 'mails', -1, 'm3') AND kb_record_usage(9, 'mails', 1, 'm4'), 'L3: what is taken back makes room');
SELECT ok(kb_record_usage(9, 'peak', 7, 'p1') AND kb_record_usage(9, 'peak', 7, 'p2'), 'L3: as the service counts: the highest');
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(9, 'peak', 8, 'p3')$$), 5), 'KB013', 'L3: a higher one is refused');
SELECT ok(kb_record_usage(9, 'users', 1, 'u' || n, NULL, jsonb_build_object('user', n % 2)),
	'L3: distinct values: ' || n) FROM generate_series(1, 4) AS n;
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(9, 'users', 1, 'u9', NULL, '{"user": "x"}')$$), 5), 'KB013',
	'L3: a third value is refused');
SELECT kb_set_price('open', 'users', '2 each', '2026-11-13')
\g /dev/null
SELECT ok(kb_record_usage(9, 'users', 1, 'u10', NULL, '{"user": 1}'), 'L3: a value is one under all prices of the month');
SELECT kb_set_account_limit(9, 'mails', 200)
\g /dev/null
SELECT ok(kb_record_usage(9, 'mails', 100, 'm5'), 'L3: the account''s own limit takes the place of the tariff''s');
SELECT kb_set_account_limit(9, 'mails', NULL)
\g /dev/null
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(9, 'mails', 1, 'm6')$$), 5), 'KB013', 'L3: and then that of the tariff again');
-- another month has its own units; late usage of a charged month is never refused
SET LOCAL kbilling.clock = '2026-12-02 12:00+00';
SELECT ok(kb_record_usage(9, 'mails', 100, 'd1'), 'L3: the next month begins anew');
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(9, 'mails', 1, 'm7', '2026-11-20 00:00+00')$$), 5), 'KB013',
	'L3: a month that is not charged yet has its limit still');
SELECT kb_month_charge(9)
\g /dev/null
SELECT ok(kb_record_usage(9, 'mails', 1, 'm7', '2026-11-20 00:00+00'), 'L3: what arrives late for a charged month has happened');
-- soft limits
SELECT kb_set_limit('open', 'mails', 100, false), kb_set_contact(9, 'ann', 'ann@example.org', 'en')
\g /dev/null
SELECT ok(kb_record_usage(9, 'mails', 1, 'd2') AND kb_record_usage(9, 'mails', 5, 'd3'), 'L3: a soft limit takes what goes beyond');
SELECT results_eq($$SELECT facts ->> 'service', facts ->> 'month', facts ->> 'limit' FROM notice WHERE account_id = 9
	AND kind = 'limit_reached'$$,
	$$VALUES ('mails', '2026-12', '100')$$, 'L3: and tells of it once a month');
SELECT is((kb_render_notice(9, notice_no)).body,
	E'In December 2026, more than 100 of "mails" have been used, which is the limit that was agreed.\n'
	'Nothing is switched off; what goes beyond the limit is charged as usual.\n'
	'If you want another limit, please write to support.', 'N4: in words')
FROM notice WHERE account_id = 9 AND kind = 'limit_reached';
SELECT ok((kb_render_notice(9, notice_no, 'uk')).subject LIKE '%«mails»%', 'N4: in Ukrainian, where the encoding has it')
FROM notice WHERE account_id = 9 AND kind = 'limit_reached' AND getdatabaseencoding() = 'UTF8';

-- usage of the month that begins within the hour (U4) counts, too
SET LOCAL kbilling.clock = '2026-12-31 23:30+00';
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(5, 'calls', 1, 'ahead', '2027-01-01 00:15+00')$$), 5), 'KB013',
	'L2: nothing is left, an hour ahead either');
SELECT kb_apply_topup(5, '1.00 USD', 'card', 'p3')
\g /dev/null
SELECT ok(kb_record_usage(5, 'calls', 10, 'ahead', '2027-01-01 00:15+00'), 'L2: as much as is left');
SELECT is(kb_available(5), '0.00 USD', 'L1: which is then spent');

-- Bad input

SELECT is(left(pg_temp.error_of(statement), 5), state, format('%s: %s', state, statement)) FROM (VALUES
	($$SELECT kb_set_credit_line('prepaid', '-1 USD')$$, '22023'),
	($$SELECT kb_set_credit_line('prepaid', '1 UAH')$$, 'KB002'),
	($$SELECT kb_set_credit_line('nothing', '1 USD')$$, 'KB012'),
	($$SELECT kb_set_account_credit_line(1, '-0.01 USD')$$, '22023'),
	($$SELECT kb_set_account_credit_line(8, '1 USD')$$, 'KB002'),
	($$SELECT kb_set_account_credit_line(99, '1 USD')$$, 'KB001'),
	($$SELECT kb_set_limit('prepaid', 'calls', -1)$$, '22023'),
	($$SELECT kb_set_limit('prepaid', 'calls', 'NaN')$$, '22023'),
	($$SELECT kb_set_limit('prepaid', 'calls', 'Infinity')$$, '22023'),
	($$SELECT kb_set_limit('prepaid', 'seat', 1)$$, '22023'),
	($$SELECT kb_set_limit('prepaid', 'base', 1)$$, '22023'),
	($$SELECT kb_set_limit('prepaid', 'calls', 1, NULL)$$, '22004'),
	($$SELECT kb_set_limit('prepaid', 'nothing', 1)$$, 'KB012'),
	($$SELECT kb_set_account_limit(1, 'seat', 1)$$, '22023'),
	($$SELECT kb_set_account_limit(99, 'calls', 1)$$, 'KB001'),
	($$SELECT kb_available(99)$$, 'KB001'),
	($$SELECT * FROM kb_record_usage_each('{}')$$, '22023'),
	($$SELECT * FROM kb_record_usage_each('[1]')$$, '22023')) AS t (statement, state);

-- What was agreed is logged (J9), and nothing twice

SELECT kb_set_credit_line('open', '3 USD'), kb_set_credit_line('open', '3 USD'), kb_set_credit_line('open', NULL),
	kb_set_credit_line('open', NULL)
\g /dev/null
SELECT results_eq($$SELECT before ->> 'amount', after ->> 'amount' FROM change_log WHERE subject = 'credit_line'
	AND tariff = 'open' ORDER BY change_id$$,
	$$VALUES (NULL, '3.00 USD'), ('3.00 USD', NULL)$$, 'J9: a credit line that is set and taken away');
SELECT results_eq($$SELECT before ->> 'quantity', after ->> 'quantity', after ->> 'hard' FROM change_log
	WHERE subject = 'limit' AND tariff = 'open' AND service = 'mails' ORDER BY change_id$$,
	$$VALUES (NULL, '100', 'true'), ('100', '100', 'false')$$, 'J9: a limit, and that it became soft');
SELECT is_empty('SELECT * FROM kb_check()', 'the books are right');
SELECT * FROM finish();
ROLLBACK;
