-- A month whose charge was reversed is out of billing (J1, U3, D5)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/error.sql
\ir ../include/clock.sql

SELECT pg_temp.clock('2026-01-01 00:00+00')
\g /dev/null
INSERT INTO policy (policy, close_unused, keep_usage_months) VALUES ('open', false, NULL), ('short', false, 1);
SELECT kb_create_service('s', 'metered'), kb_create_service('m', 'metered', aggregation => 'max'),
	kb_create_service('u', 'metered', 'user', 'unique')
\g /dev/null
SELECT kb_create_tariff(t, 'USD', policy => t), kb_set_price(t, 'base', '30.00'), kb_set_price(t, 's', '1.00 each'),
	kb_set_price(t, 'm', '1.00 each'), kb_set_price(t, 'u', '1.00 each min 2.00') FROM unnest('{open,short}'::text[]) AS t
\g /dev/null
SELECT kb_create_account('olena', CASE id WHEN 9 THEN 'short' ELSE 'open' END, id) FROM generate_series(1, 9) AS id
\g /dev/null
-- January: 10 of "s", 5 of "m", 1 of "u", the least of which costs 2
SELECT pg_temp.clock('2026-01-10 12:00+00')
\g /dev/null
SELECT kb_record_usage(id, 's', 10, 'k1'), kb_record_usage(id, 'm', 5, 'k1'),
	kb_record_usage(id, 'u', 1, 'k1', NULL, '{"user": "x"}') FROM generate_series(1, 9) AS id
\g /dev/null
SELECT pg_temp.clock('2026-02-01 12:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is(balance::text, '-47.00 USD', 'C1: January is charged') FROM account WHERE account_id = 1;
-- February: 1 of "s", and 2 more of January, which come late
SELECT kb_record_usage(id, 's', 1, 'k2'), kb_record_usage(id, 's', 2, 'k3', '2026-01-11') FROM generate_series(1, 9) AS id
\g /dev/null
SELECT kb_reverse(id, 1, 'back', 'as a favour') FROM unnest('{1,2,3,5,9}'::int[]) AS id
\g /dev/null
SELECT is(balance::text, '0.00 USD', 'J1: the reversal gives the whole charge back') FROM account WHERE account_id = 1;
SELECT bag_eq('SELECT account_id, period FROM skipped_month', $$SELECT unnest('{1,2,3,5,9}'::bigint[]), date '2026-01-01'$$,
	'J1: the month of a charge that is reversed is noted as skipped');
SELECT is(kb_reverse(1, 1, 'back', 'as a favour'), 2::bigint, 'J3: the same reversal again is the first one');
SELECT is(pg_temp.refusal(format('SELECT kb_reverse(1, %s, ''again'', ''x'')', seq)), refusal, 'J1: ' || why)
FROM (VALUES (1, 'KB006 Entry 2 reversed it.', 'a charge is reversed once'), (2, '22023', 'and its reversal is not'))
	AS t (seq, refusal, why);
SELECT is((r.kb_month_charge).replayed, true, 'C4, J1: the month stays charged') FROM (SELECT kb_month_charge(1, '2026-01-01')) AS r;
-- account 1 takes back, account 2 uses more, 3 does both; 4 was not reversed
SELECT kb_record_usage(id, 's', -10, 'k4', '2026-01-10'), kb_record_usage(id, 'm', -5, 'k4', '2026-01-10')
	FROM unnest('{1,3,4}'::int[]) AS id
\g /dev/null
SELECT kb_record_usage(id, 's', 100, 'k5', '2026-01-12'), kb_record_usage(id, 'm', 50, 'k5', '2026-01-12'),
	kb_record_usage(id, 'u', 1, 'k' || n, '2026-01-12', jsonb_build_object('user', n))
	FROM unnest('{2,3}'::int[]) AS id, generate_series(5, 9) AS n
\g /dev/null
CREATE FUNCTION pg_temp.running(id bigint) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT string_agg(format('%s %s %s', service, what, amount), ', ' ORDER BY line_no) FROM kbilling.kb_current_usage(id)
	WHERE service <> 'base' AND amount <> 0
$$;
SELECT is(pg_temp.running(id), 's usage 1.00 USD, u usage 0.07 USD', format('U3, C6: account %s has no late usage of January', id))
	FROM unnest('{1,2,3,5}'::int[]) AS id;
SELECT is(pg_temp.running(4), 'm late usage -5.00 USD, s usage 1.00 USD, s late usage -8.00 USD, u usage 0.07 USD',
	'U3: a month that was not reversed is given back');
SELECT is((a.charge - b.charge)::text, '2.00 USD', 'U3: nor is any foretold: account 7 is the same without the reversal')
	FROM kb_forecast(7, 1) AS a, kb_forecast(5, 1) AS b;
SELECT is_empty('SELECT * FROM kb_check()', 'J2: the books are right');

SELECT pg_temp.clock('2026-03-01 12:00+00')
\g /dev/null
SELECT is((r.kb_month_charge).total::text, '33.00 USD', format('U3: kb_month_charge of account %s bills February alone', id))
	FROM unnest('{1,2}'::int[]) AS id, LATERAL (SELECT kb_month_charge(id)) AS r;
CALL kb_sweep();
SELECT is(sum(amount)::text, total, format('U3: the sweep, account %s', account_id))
FROM entry JOIN (VALUES (1, '-33.00 USD'), (2, '-33.00 USD'), (3, '-33.00 USD'), (4, '-20.00 USD'), (5, '-33.00 USD'), (6, '-35.00 USD'))
	AS t (id, total) ON id = account_id
WHERE period = '2026-02-01' GROUP BY account_id, total ORDER BY account_id;
SELECT is_empty('SELECT * FROM kb_check()', 'J2: the books are right');

-- February's charge of account 6 had late usage of January: that month stays in billing
SELECT kb_reverse(6, 2, 'february', 'x'), kb_record_usage(6, 's', -12, 'k6', '2026-01-12'), kb_record_usage(6, 's', -1, 'k8', '2026-02-12'),
	kb_record_usage(6, 's', 7, 'k7', '2026-02-12')
\g /dev/null
SELECT pg_temp.clock('2026-04-01 12:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is(amount::text, '-20.00 USD', 'U3: other months that a reversed charge had late usage of are billed as before')
	FROM entry WHERE account_id = 6 AND period = '2026-03-01';
SELECT is(usage_kept_from::text, '2026-03-01', 'U6: a month that is skipped holds up no removal') FROM account WHERE account_id = 9;
SELECT is_empty('SELECT * FROM kb_check()', 'J2: the books are right');
SELECT * FROM finish();
