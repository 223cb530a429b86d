-- Alerts, and charges that the balance will not cover (L6)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/error.sql

SET kbilling.clock = '2026-11-02 12:00+00';
SELECT kb_create_tariff('std', 'USD'), kb_create_service('calls', 'metered', 'call'),
	kb_create_service('peak', 'metered', aggregation => 'max'),
	kb_create_service('seat', 'recurring'), kb_set_policy('early', '{"charge_notice_days": 3}'),
	kb_create_tariff('early', 'USD', NULL, 'early')
\g /dev/null
SELECT kb_set_price(t, 'base', '30.00'), kb_set_price(t, 'calls', '0.10 each'), kb_set_price(t, 'peak', '1 each')
	FROM unnest('{std,early}'::text[]) AS t
\g /dev/null
SELECT kb_create_account('ann', t, id, created_at => '2026-11-01 00:00+00', email => 'ann@example.org'),
	kb_add_member(id, 'bob', 'admin', 'bob@example.org'),
	kb_add_member(id, 'eve', 'employee', 'eve@example.org')
	FROM (VALUES (1, 'std'), (2, 'std'), (3, 'early'), (4, 'early')) AS a (id, t)
\g /dev/null
-- What was told: "account kind facts"
CREATE FUNCTION pg_temp.told(after bigint DEFAULT 0) RETURNS text LANGUAGE sql
	RETURN (SELECT string_agg(concat_ws(' ', n.account_id, n.facts ->> 'alert', nullif(n.facts ->> 'service', ''), n.facts ->> 'amount',
			n.facts ->> 'threshold_amount', nullif(n.facts ->> 'number', '0'), nullif(n.facts ->> 'threshold', '0'), n.facts ->> 'missing'),
			', ' ORDER BY n.account_id, n.notice_no)
		FROM notice n WHERE n.kind IN ('alert', 'charge_upcoming') AND n.written_at = kb_now());

-- nothing is agreed, nothing is looked at
CALL kb_sweep();
SELECT is((SELECT count(*) FROM alert_look), 0::bigint, 'W1: without alerts no account is looked at');

SELECT kb_set_alert('std', 'balance', 10), kb_set_alert('std', 'balance', 5), kb_set_alert('std', 'units', 100, 'calls'),
	kb_set_alert('std', 'units', 80, 'calls'), kb_set_alert('std', 'month', 20.00), kb_set_alert('std', 'days', 7),
	kb_apply_topup(1, '100.00 USD', 'card', 'p1'), kb_apply_topup(2, '100.00 USD', 'card', 'p1')
\g /dev/null
CALL kb_sweep();
SELECT is(pg_temp.told(), NULL, 'L6: nothing is passed');
SELECT is((SELECT count(*) FROM alert_look), 2::bigint, 'L6: both were looked at');
SET kbilling.clock = '2026-11-02 13:00+00';
SELECT kb_record_usage(1, 'calls', 85, 'k1')
\g /dev/null
CALL kb_sweep();
SELECT is(pg_temp.told(), '1 units calls   85 80', 'L6: 80 units are passed, 100 are not');
SELECT is((SELECT last_seq FROM alert_look WHERE account_id = 2), 1::bigint, 'L6: who has done nothing is not looked at again');
SELECT is((SELECT looked_at FROM alert_look WHERE account_id = 2), '2026-11-02 12:00+00', 'W1: that day');
SET kbilling.clock = '2026-11-02 14:00+00';
SELECT kb_record_usage(1, 'calls', 10, 'k2')
\g /dev/null
CALL kb_sweep();
SELECT is(pg_temp.told(), NULL, 'N3: nothing is said twice');
SET kbilling.clock = '2026-11-02 15:00+00';
SELECT kb_record_usage(1, 'calls', 90, 'k3')
\g /dev/null
CALL kb_sweep();
SELECT is(pg_temp.told(), '1 month 20.50 USD 20.00 USD, 1 units calls   185 100',
	'L6: the next threshold; and two days of the base fee at 1.00 and 185 calls are 20.50');
SELECT is((kb_render_notice(1, notice_no)).body, E'In November 2026, 185 of "calls" have been used; you are told at 100.\n'
	'A payment in time keeps the access full.\nThank you!', 'N4: in words')
FROM notice WHERE account_id = 1 AND written_at = kb_now() AND facts ->> 'alert' = 'units';
SELECT is((SELECT string_agg(r ->> 'member', ', ' ORDER BY r ->> 'member')
	FROM notice n, kb_recipients(n.account_id, n.kind) x (recipients), jsonb_array_elements(x.recipients) r
	WHERE n.account_id = 1 AND n.kind = 'alert' AND n.written_at = kb_now() AND n.facts ->> 'alert' = 'units'),
	'ann, bob', 'L6: owners and admins are told');

-- the balance: several at once tell the furthest, and a top-up arms again
SET kbilling.clock = '2026-11-03 12:00+00';
SELECT kb_adjust(2, '-96.00 USD', 'a1', 'spent')
\g /dev/null
CALL kb_sweep();
SELECT is(pg_temp.told(), '2 balance 4.00 USD 5.00 USD', 'L6: 4.00 is below both, and the furthest is told');
SET kbilling.clock = '2026-11-03 13:00+00';
SELECT kb_adjust(2, '3.00 USD', 'a2', 'a gift')
\g /dev/null
CALL kb_sweep();
SELECT is(pg_temp.told(), NULL, 'L6: nor one that is less far than what was told');
SET kbilling.clock = '2026-11-03 14:00+00';
SELECT kb_apply_topup(2, '2.00 USD', 'card', 'p2')
\g /dev/null
CALL kb_sweep();
SELECT is(pg_temp.told(), '2 balance 9.00 USD 10.00 USD', 'L6: a top-up arms them again');
-- days: 9.00 lasts until the charge of 30.00 on 1 December
SET kbilling.clock = '2026-11-24 12:00+00';
CALL kb_sweep();
SELECT is(pg_temp.told(), '2 days   7 7, 2 month 24.00 USD 20.00 USD',
	'L6: 9.00 lasts 7 days, to the charge of 1 December, and 24 days have cost 24.00; account 1 has 100.00');
-- another month arms them
SET kbilling.clock = '2026-12-01 12:00+00';
CALL kb_sweep();
SELECT is(pg_temp.told(), '2 balance -21.00 USD 5.00 USD, 2 days   7', 'L6: a new month; 9.00 less 30.00, which lasts no day');

-- an account's own take the place of those of the tariff, by kind and service
SET kbilling.clock = '2026-12-02 12:00+00';
SELECT kb_set_account_alert(1, 'units', 10, 'calls'), kb_record_usage(1, 'calls', 20, 'd1'), kb_set_account_alert(1, 'units', 3, 'peak'),
	kb_record_usage(1, 'peak', 3, 'd2'), kb_record_usage(1, 'peak', 2, 'd3')
\g /dev/null
CALL kb_sweep();
SELECT is(pg_temp.told(), '1 units calls   20 10, 1 units peak   3 3', 'L6: its own; as the service counts them');
SELECT kb_drop_account_alert(1, 'units', 10, 'calls'), kb_drop_account_alert(1, 'units', 11, 'calls'), kb_drop_alert('std', 'month', 20)
\g /dev/null
SELECT is((SELECT count(*) FROM alert) + (SELECT count(*) FROM account_alert), 6::bigint, 'L6: an alert is taken back');

-- charges that the balance will not cover: 3 days before the month's end
SELECT kb_apply_topup(3, '20.00 USD', 'card', 'p'), kb_apply_topup(4, '60.00 USD', 'card', 'p')
\g /dev/null
SET kbilling.clock = '2026-12-28 12:00+00';
CALL kb_sweep();
SELECT is(pg_temp.told(), NULL, 'L6: on the 28th it is too early');
SET kbilling.clock = '2026-12-29 12:00+00';
CALL kb_sweep();
SELECT is(pg_temp.told(), '3 30.00 USD 40.00 USD', 'L6: -10.00 and a charge of 30.00: 40.00 are missing; 60.00 - 30.00 cover it');
SET kbilling.clock = '2026-12-30 12:00+00';
CALL kb_sweep();
SELECT is(pg_temp.told(), NULL, 'N3: once a month');
SELECT is((SELECT charge FROM kb_forecast(3, 1)), '30.00 USD', 'L6: what is told is the forecast');
SET kbilling.clock = '2027-01-01 12:00+00';
CALL kb_sweep();
SELECT is((SELECT total FROM charge_line l, LATERAL (SELECT sum(x.amount) AS total FROM charge_line x WHERE x.account_id = 3
	AND x.period = '2026-12-01') t WHERE l.account_id = 3 LIMIT 1), '30.00 USD', 'L6: and what is charged');

-- bad input
SELECT is(left(pg_temp.error_of(statement), 5), state, format('%s: %s', state, statement)) FROM (VALUES
	($$SELECT kb_set_alert('nothing', 'balance', 1)$$, 'KB012'), ($$SELECT kb_set_alert('std', 'units', 1)$$, '22023'),
	($$SELECT kb_set_alert('std', 'balance', 1, 'calls')$$, '22023'), ($$SELECT kb_set_alert('std', 'units', 1, 'seat')$$, '22023'),
	($$SELECT kb_set_alert('std', 'units', 1, 'nothing')$$, 'KB012'), ($$SELECT kb_set_alert('std', 'balance', 'NaN')$$, '22023'),
	($$SELECT kb_set_alert('std', 'balance', 0.001)$$, '22023'), ($$SELECT kb_set_alert('std', 'days', -1)$$, '22023'),
	($$SELECT kb_set_alert('std', 'days', NULL)$$, '22004'), ($$SELECT kb_set_account_alert(99, 'days', 1)$$, 'KB001'),
	($$SELECT kb_set_policy('early', '{"charge_notice_days": 0}')$$, '23514')) AS t (statement, state);
SELECT is_empty('SELECT * FROM kb_check()', 'the books are right');
SELECT is_empty('SELECT * FROM sweep_failure', 'no sweep has failed');
SELECT * FROM finish();
