-- Retention (rule U6)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/error.sql
\ir ../include/clock.sql

SELECT pg_temp.clock('2026-01-10 12:00+00')
\g /dev/null
INSERT INTO policy (policy, inactive_days, keep_usage_months, keep_notices_months)
VALUES ('short', 36500, 2, 1), ('long', 36500, NULL, NULL);
SELECT kb_create_service(s, 'metered', CASE s WHEN 'unique' THEN 'user' END, s) FROM unnest('{sum,max,unique}'::text[]) AS s
\g /dev/null
SELECT kb_create_tariff(t, 'USD', policy => t), kb_set_price(t, 'base', '10.00') FROM unnest('{short,long}'::text[]) AS t
\g /dev/null
SELECT kb_set_price(t, s, '1.00 each') FROM unnest('{short,long}'::text[]) AS t, unnest('{sum,max,unique}'::text[]) AS s
\g /dev/null
SELECT kb_create_account('olena', CASE WHEN id = 3 THEN 'long' ELSE 'short' END, id,
	CASE WHEN id = 2 THEN 'Pacific/Kiritimati' ELSE 'UTC' END)
FROM generate_series(1, 5) AS id
\g /dev/null
CREATE FUNCTION pg_temp.use(id bigint) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(kbilling.kb_record_usage(id, s, 4, kbilling.kb_now()::date || ' ' || s, NULL, '{"user": "x"}'))
	FROM unnest('{sum,max,unique}'::text[]) AS s
$$;
CREATE FUNCTION pg_temp.months(id bigint) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT string_agg(DISTINCT to_char(period, 'MM'), ',' ORDER BY to_char(period, 'MM')) FROM kbilling.usage_event WHERE account_id = id
$$;
CREATE FUNCTION pg_temp.totals() RETURNS text LANGUAGE sql STABLE AS $$
	SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) FROM kbilling.usage_total AS t
$$;

SELECT pg_temp.use(id) FROM generate_series(1, 4) AS id
\g /dev/null
SELECT kb_record_usage(1, 'max', 9, 'high'), kb_record_usage(1, 'max', -9, 'low')	-- a month that is computed from its events
\g /dev/null
SELECT pg_temp.clock('2026-02-10 12:00+00')
\g /dev/null
CALL kb_sweep();
SELECT pg_temp.use(id) FROM generate_series(1, 4) AS id
\g /dev/null
SELECT pg_temp.clock('2026-03-10 12:00+00')
\g /dev/null
CALL kb_sweep();
SELECT pg_temp.use(id) FROM generate_series(1, 4) AS id
\g /dev/null
SELECT is(pg_temp.months(1), '01,02,03', 'U6: January has ended a month and some days ago');
SELECT is(usage_kept_from, NULL, 'U6: and all is kept') FROM account WHERE account_id = 1;
SELECT pg_temp.clock('2026-03-31 23:00+00')
\g /dev/null
SELECT pg_temp.totals() AS totals
\gset
CALL kb_sweep();
SELECT is(pg_temp.months(id), months, format('U6: account %s', id)) FROM (VALUES
	(1, '01,02,03'), (2, '02,03')) AS t (id, months);	-- where it is April, January has ended two months ago
SELECT pg_temp.clock('2026-04-01 00:00+00')
\g /dev/null
SELECT kb_record_usage(4, 'sum', 1, 'late', '2026-01-20 12:00+00')	-- before the month is removed
\g /dev/null
CALL kb_sweep();
SELECT is(pg_temp.months(id), months, format('U6: %s', why)) FROM (VALUES
	(1, '02,03', 'January has ended two months ago'), (2, '02,03', 'and in Kiritimati'),
	(3, '01,02,03', 'of a policy that keeps everything, everything'), (5, NULL, 'of nothing, nothing'),
	(4, '02,03', 'late usage is billed first')) AS t (id, months, why);
SELECT is((SELECT array_agg(DISTINCT to_char(period, 'MM') ORDER BY to_char(period, 'MM')) FROM usage_value WHERE account_id = 1),
	'{02,03}', 'U6: values go with their events');
SELECT is((SELECT sum(amount)::text FROM charge_line WHERE account_id = 4 AND what = 'late usage'), '1.00 USD',
	'U3, U6: late usage was billed');
SELECT is(usage_kept_from::text, kept, format('U6: account %s is kept from %s on', account_id, kept))
FROM account JOIN (VALUES (1, '2026-02-01'), (2, '2026-02-01'), (3, NULL), (5, NULL)) AS t (id, kept) ON id = account_id ORDER BY 1;
SELECT is((SELECT count(*) FROM usage_total WHERE account_id = 1 AND period = '2026-01-01'), 3::bigint, 'U6: totals stay');
SELECT is_empty('SELECT * FROM kb_check()', 'U6: the books are right');
SELECT is(phase::text, 'retention', 'W3: the sweep tells what it did') FROM sweep_run ORDER BY run_id DESC LIMIT 1;
SELECT is((SELECT sum(rows_removed) FROM sweep_run), 3 * 3 + 3 + 2 + 1::numeric + (SELECT 0), 'W3: and of how many rows');

-- What is of a removed month

SELECT is((SELECT state || ' ' || message FROM pg_temp.raised(statement)), '22008 usage of account 1 on 2026-01-10 is not kept any more',
	'U6: ' || why)
FROM (VALUES
	($$SELECT kb_record_usage(1, 'sum', 4, '2026-01-10 sum', '2026-01-10 12:00+00')$$, 'a late duplicate of a removed event'),
	($$SELECT kb_record_usage(1, 'sum', 4, 'new', '2026-01-10 12:00+00')$$, 'an event with a new key'),
	($$SELECT kb_record_usage(1, 'sum', -4, 'back', '2026-01-10 12:00+00')$$, 'a take-back'),
	($$SELECT kb_record_usage(1, 'max', -4, 'back', '2026-01-10 12:00+00')$$, 'a correction of the highest quantity'),
	($$SELECT kb_record_usage_batch('[{"account_id": 1, "service": "sum", "quantity": 1, "key": "a"},
		{"account_id": 1, "service": "sum", "quantity": 1, "key": "b", "at": "2026-01-10 12:00+00"}]')$$, 'in a batch')
) AS t (statement, why);
SELECT is(kb_record_usage(1, 'sum', 4, '2026-02-10 sum', '2026-01-10 12:00+00'), false,
	'U1, U6: a key that is kept is known, whatever time the repeat says');
SELECT is(kb_record_usage(1, 'sum', 4, 'feb', '2026-02-01 00:00+00'), true, 'U6: late usage of a month that is kept counts');
SELECT is(kb_record_usage(3, 'sum', 4, 'jan', '2026-01-10 12:00+00'), true, 'U6: and of an account whose policy keeps all');

-- Metered rows

SELECT pg_temp.clock('2026-02-20 12:00+00')
\g /dev/null
SELECT kb_create_account('olena', 'short', 6), kb_create_account('olena', 'short', 7)
\g /dev/null
CREATE TABLE public.app_order (id text, account_id bigint, units numeric, note text);
CREATE TRIGGER meter_i AFTER INSERT ON app_order REFERENCING NEW TABLE AS n
	FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('sum', 'account_id', 'units', 'id');
CREATE TRIGGER meter_u AFTER UPDATE ON app_order REFERENCING OLD TABLE AS o NEW TABLE AS n
	FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('sum', 'account_id', 'units', 'id');
CREATE TRIGGER meter_d AFTER DELETE ON app_order REFERENCING OLD TABLE AS o
	FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('sum', 'account_id', 'units', 'id');
INSERT INTO app_order VALUES ('a', 6, 5), ('b', 6, 7), ('c', 7, 7);
SELECT pg_temp.clock('2026-05-02 12:00+00')
\g /dev/null
INSERT INTO app_order VALUES ('d', 6, 1);
CALL kb_sweep();
SELECT is(pg_temp.months(6), '05', 'U6: what was metered in February is removed in May');
SELECT is(pg_temp.refusal(statement), error, 'U6: ' || why) FROM (VALUES
	('UPDATE app_order SET units = 9 WHERE id = ''a''', '22008 Usage events of account 6 are kept from 2026-03-01 on.',
		'a metered row of a removed month cannot be made to count otherwise'),
	('UPDATE app_order SET id = ''z'' WHERE id = ''a''', '22008 Usage events of account 6 are kept from 2026-03-01 on.',
		'nor under another key'),
	('UPDATE app_order SET note = ''x''', 'done', 'what is not metered may change'),
	('UPDATE app_order SET units = 2 WHERE id = ''d''', 'done', 'and a row of a month that is kept'),
	('DELETE FROM app_order WHERE id IN (''a'', ''d'')', 'done', 'rows may be deleted')
) AS t (statement, error, why);
SELECT is((SELECT sum(quantity) FROM usage_event WHERE account_id = 6), 0::numeric, 'U6: what was removed is not taken back');
SELECT is((SELECT sum(quantity) FROM usage_total WHERE account_id = 6), 12::numeric, 'U6: and stays in the total');
SELECT is_empty('SELECT * FROM kb_check()', 'U6: the books are right');

-- A policy that changes, and one that is taken back

SELECT cmp_ok((SELECT rows_removed FROM sweep_run ORDER BY run_id DESC LIMIT 1), '>', 0::bigint, 'W3: the last sweep removed something');
CALL kb_sweep();
SELECT is((SELECT rows_removed FROM sweep_run ORDER BY run_id DESC LIMIT 1), 0::bigint, 'U6: and the next one nothing');
UPDATE policy SET keep_usage_months = 1 WHERE policy = 'short';
CALL kb_sweep();
SELECT is(pg_temp.months(1), NULL, 'U6: a policy that keeps less is followed by the next sweep');
SELECT is(usage_kept_from, date '2026-04-01', 'U6: and the account says so') FROM account WHERE account_id = 1;
UPDATE policy SET keep_usage_months = NULL WHERE policy = 'short';
SELECT is((SELECT state FROM pg_temp.raised($$SELECT kb_record_usage(1, 'sum', 4, 'k', '2026-03-10 12:00+00')$$)), '22008',
	'U6: what was removed stays refused');
SELECT throws_ok($$INSERT INTO policy (policy, keep_usage_months) VALUES ('none', 0)$$, '23514', NULL,
	'U6: a month that has just been charged is kept');

-- Notices

SELECT pg_temp.clock('2026-05-20 12:00+00')
\g /dev/null
SELECT count(kb_ack_notice(n.account_id, n.notice_no)) FROM kb_take_notices(1000, '5 minutes') AS n WHERE n.notice_no <= 2
\g /dev/null
SELECT count(*) AS notices FROM notice WHERE account_id = 1 AND delivered_at IS NULL
\gset
SELECT pg_temp.clock('2026-06-30 12:00+00')
\g /dev/null
CALL kb_sweep();
SELECT cmp_ok((SELECT count(*) FROM notice WHERE delivered_at IS NOT NULL AND account_id <> 3), '>', 0::bigint,
	'U6: notices that were delivered in May are kept in June');
SELECT pg_temp.clock('2026-07-01 12:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT count(*) FROM notice WHERE delivered_at IS NOT NULL AND account_id <> 3), 0::bigint, 'U6: and removed in July');
SELECT cmp_ok((SELECT count(*) FROM notice WHERE delivered_at IS NOT NULL AND account_id = 3), '>', 0::bigint,
	'U6: not of a policy that keeps all');
SELECT cmp_ok((SELECT count(*) FROM notice WHERE account_id = 1 AND delivered_at IS NULL), '>=', :notices::bigint,
	'U6: nor those that nobody has got');
SELECT is_empty('SELECT * FROM kb_check()', 'U6: the books are right');
SELECT * FROM finish();
