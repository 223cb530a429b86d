-- The end of a contract: its last day, the last charge, access and closing after it (X1 to X3)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/error.sql
\ir ../include/clock.sql

-- In March, the base fee is 1.00 a day, a seat 0.20 a day, the minimum of store 0.10 a day.
SET kbilling.clock = '2026-03-01 10:00+00';
SELECT kb_create_tariff(t, 'USD') FROM unnest('{basic,plus,solo,bare}'::text[]) AS t
\g /dev/null
SELECT kb_create_service('seat', 'recurring'), kb_create_service('sla', 'recurring'), kb_create_service('calls', 'metered'),
	kb_create_service('peak', 'metered'), kb_create_service('store', 'metered'), kb_create_service('pack', 'one_off')
\g /dev/null
SELECT kb_set_price(t, 'base', CASE t WHEN 'plus' THEN '62.00' ELSE '31.00' END::kb_price), kb_set_price(t, 'seat', '6.20 each'),
	kb_set_price(t, 'sla', '5.00', prorate => false), kb_set_price(t, 'calls', 'graduated 0.10 to 40, 0.05'),
	kb_set_price(t, 'peak', '1.00 each max 31.00'), kb_set_price(t, 'pack', '2.00')
FROM unnest('{basic,plus,solo,bare}'::text[]) AS t
\g /dev/null
SELECT kb_set_price('solo', 'store', '0.01 each min 3.10'), kb_set_bonus('bare', '10 USD', 50)
\g /dev/null

-- An account of its own, with an owner, an admin and an employee
CREATE FUNCTION pg_temp.account(id bigint, tariff text = 'basic', paid kb_money = NULL, zone text = 'UTC') RETURNS void
	LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kbilling.kb_create_account('ann', tariff, id, zone, email => 'ann@example.org');
	PERFORM kbilling.kb_add_member(id, 'bob', 'admin'), kbilling.kb_add_member(id, 'eve', 'employee');
	PERFORM kbilling.kb_apply_topup(id, paid, 'card', 'paid') WHERE paid IS NOT NULL;
END $$;
CREATE FUNCTION pg_temp.access(id bigint) RETURNS text LANGUAGE sql
	RETURN (SELECT string_agg((kbilling.kb_access(id, r)).access::text, ' ' ORDER BY r DESC)
			FROM unnest(enum_range(NULL::kbilling.kb_role)) AS r);
CREATE FUNCTION pg_temp.charge(id bigint) RETURNS text LANGUAGE sql VOLATILE
	AS $$ SELECT concat_ws(' ', c.period, c.total, c.balance, c.stage) FROM kbilling.kb_month_charge(id) AS c $$;
CREATE FUNCTION pg_temp.lines(id bigint) RETURNS text LANGUAGE sql
	RETURN (SELECT string_agg(concat_ws(' ', u.service, u.what, to_char(u.from_date, 'DD'), to_char(u.to_date, 'DD'), u.amount), ', '
			ORDER BY u.line_no) FROM kbilling.kb_current_usage(id) AS u);
CREATE FUNCTION pg_temp.ahead(id bigint) RETURNS text LANGUAGE sql
	RETURN (SELECT string_agg(concat_ws(' ', f.period, f.charge, f.charged_on, f.balance), ', ' ORDER BY f.period)
			FROM kbilling.kb_forecast(id, 3) AS f);

-- Mid-month, with paid money left

SELECT pg_temp.account(1, 'solo', '100 USD'), kb_switch_on(1, 'seat', 2)
\g /dev/null
CREATE VIEW mrr AS SELECT value FROM metrics WHERE name = 'kbilling_mrr' AND labels ->> 'tariff' = 'solo';
SELECT is(pg_temp.ahead(1), '2026-03-01 46.50 USD 2026-04-01 53.50 USD, 2026-04-01 46.50 USD 2026-05-01 7.00 USD, '
	'2026-05-01 46.50 USD 2026-06-01 -39.50 USD', 'without an end, months follow one another');
SELECT is(kb_end_account(1, 'ann', '2026-03-15', 'too dear'), '2026-03-15', 'X1: an owner ends the contract');
SELECT is(kb_end_account(1, 'ann', '2026-03-15'), '2026-03-15', 'X1: the same again');
SELECT is(pg_temp.ahead(1), '2026-03-01 22.50 USD 2026-03-16 77.50 USD',
	'X2: foretold at once: 15.00, 6.00 for two seats, and 1.50 for the minimum');
SELECT is(kb_amount_for(1, 12), '0.00 USD', 'X2: the balance lasts');
SELECT is((SELECT array_agg(kb_balance(1, at))
		FROM unnest('{2026-03-15 12:00+00,2026-03-16 12:00+00,2026-09-01 12:00+00}'::timestamptz[]) at),
	'{100.00 USD,77.50 USD,77.50 USD}', 'S6, X2: at any moment');
SELECT is((SELECT string_agg((kb_access(1, r, at)).access::text, ' ')
		FROM unnest('{2026-03-15 23:59+00,2026-03-16 00:00+00}'::timestamptz[]) at, unnest('{owner,admin,employee}'::kb_role[]) r),
	'full full full payment_only payment_only denied', 'S6, X2: so is access');
SELECT is(pg_temp.access(1), 'full full full', 'X1: until then all works as before');
SELECT is(kb_portal(1, m) ->> 'ends_on', '2026-03-15', 'X1: all see the day') FROM unnest('{ann,bob,eve}'::text[]) AS m;
SELECT is((SELECT (ends_on, refundable)::text FROM account_status WHERE account_id = 1), '(2026-03-15,)',
	'X2: nothing is refundable yet');

SELECT pg_temp.clock('2026-03-15 23:59:59+00'), kb_record_usage(1, 'calls', 60, 'c1', '2026-03-10 00:00+00')
\g /dev/null
SELECT is(pg_temp.lines(1), 'base base fee 01 15 15.00 USD, calls usage 01 15 5.00 USD, seat recurring service 01 15 6.00 USD, '
	'store usage 01 15 1.50 USD', 'X1: the last evening');
SELECT is((SELECT value FROM mrr), 46.50, 'X2: it recurs until then');
SELECT pg_temp.clock('2026-03-16 00:00+00')
\g /dev/null
SELECT is((SELECT value FROM mrr), 0.00, 'X2: and no longer, whether a sweep has run or not');
SELECT is(pg_temp.access(1), 'payment_only payment_only denied', 'X2: so with access');
SELECT is((SELECT (owner_access, employee_access)::text FROM account_access WHERE account_id = 1), '(payment_only,denied)',
	'X2: and in the view');
SELECT is((kb_login(1, 'eve')).access, 'denied', 'X2: an employee does not get in');
SELECT is((SELECT count(*) FROM activity WHERE account_id = 1), 0::bigint, 'D7: and that is no activity');
SELECT is((kb_login(1, 'bob')).access, 'payment_only', 'X2: an admin sees page and history');
SELECT is(pg_temp.lines(1), 'base base fee 01 15 15.00 USD, calls usage 01 15 5.00 USD, seat recurring service 01 15 6.00 USD, '
	'store usage 01 15 1.50 USD', 'C6: nothing has been added');
SELECT is((SELECT (accounts_overdue, overdue_since)::text FROM kb_sweep_status()), '(1,"2026-03-16 00:00:00+00")',
	'X2: a charge is due');
SELECT pg_temp.clock('2026-03-16 01:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT array_agg((total, effective_on, balance)::text) FROM (
		SELECT - e.amount AS total, e.effective_on, e.balance_after AS balance FROM entry e
		WHERE e.account_id = 1 AND e.kind = 'charge') x),
	'{"(\"27.50 USD\",2026-03-16,\"72.50 USD\")"}', 'X2: the first sweep after it charges, by day');
SELECT is((SELECT string_agg(concat_ws(' ', service, from_date, to_date, amount), ', ' ORDER BY line_no) FROM charge_line
		WHERE account_id = 1),
	'base 2026-03-01 2026-03-15 15.00 USD, calls 2026-03-01 2026-03-15 5.00 USD, seat 2026-03-01 2026-03-15 6.00 USD, '
	'store 2026-03-01 2026-03-15 1.50 USD', 'C6: what was shown the evening before');
SELECT is((SELECT periods_due FROM sweep_run ORDER BY run_id DESC LIMIT 1), 1::bigint, 'W3: one period was due');
SELECT is((SELECT accounts_overdue FROM kb_sweep_status()), 0::bigint, 'X2: nothing is due any more');
SELECT is((SELECT (state, refundable)::text FROM account_status WHERE account_id = 1), '(active,"72.50 USD")',
	'X2: what was paid and not used up is refundable');
SELECT is(kb_portal(1, 'ann') -> 'refundable', '{"amount": "72.50", "currency": "USD"}', 'X2: the page shows it');
SELECT is(pg_temp.ahead(1), NULL, 'X2: nothing is to come');
SELECT is(kb_amount_for(1, 6), '0.00 USD', 'X2: nor to be paid');
SELECT is((SELECT count(*) FROM kb_history(1, 'ann')), 2::bigint, 'X2: the history can be read');
SELECT pg_temp.clock('2026-05-02 01:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT (last_seq, balance, state)::text FROM account WHERE account_id = 1), '(2,"72.50 USD",active)',
	'X2, X3: months later nothing is charged, and an account with money left is not closed');
SELECT is_empty('SELECT * FROM kb_check()', 'the books are in order');

-- It is closed once the money is paid back

SELECT is(pg_temp.refusal('SELECT kb_schedule_closure(1, ''sue'')'), 'KB011 Its balance is 72.50 USD, and must be zero or less.',
	'X3: not before');
SELECT kb_refund(1, '72.50 USD', 'back', 'the end'), pg_temp.clock('2026-05-03 01:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT (state, delete_on)::text FROM account WHERE account_id = 1), '(closing,2026-05-13)',
	'X3: the next day, with the notice of D2');
SELECT is((SELECT string_agg(kind::text, ' ' ORDER BY notice_no) FROM notice WHERE account_id = 1),
	'topup_received contract_ending charge_posted closure_scheduled', 'N5: the notices of it all');
SELECT pg_temp.clock('2026-05-10 01:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT (closure_check_on, delete_on)::text FROM account WHERE account_id = 1), '(2026-05-11,2026-05-13)', 'D2: reminded');
SELECT kb_login(1, 'ann')
\g /dev/null
SELECT is((kb_access(1, 'owner', '2026-05-14 12:00+00')).access, 'denied', 'S6, X3: foretold');
SELECT pg_temp.clock('2026-05-12 01:00+00')
\g /dev/null
CALL kb_sweep();
SELECT pg_temp.clock('2026-05-13 01:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT state FROM account WHERE account_id = 1), 'deleted', 'X3: on its day it is deleted, though an owner has looked at it');
SELECT kb_restore_account(1, 'sue')
\g /dev/null
SELECT is(pg_temp.access(1), 'payment_only payment_only denied', 'D5: restored as it was: ended');
SELECT is_empty('SELECT * FROM kb_check()', 'the books are in order');

-- On the last day of a month, on the 1st, and the first day; taken back; unpaid; in another zone

SET kbilling.clock = '2026-03-01 10:00+00';
SELECT pg_temp.account(id) FROM unnest('{10,11,12,13,15}'::int[]) AS id
\g /dev/null
SELECT pg_temp.account(14, zone => 'Europe/Kyiv')
\g /dev/null
SELECT kb_end_account(10, 'ann', '2026-03-31'), kb_end_account(11, 'sue', '2026-04-01'), kb_end_account(12, 'ann'),
	kb_end_account(13, 'ann', '2026-03-20'), kb_end_account(14, 'ann', '2026-03-15'), kb_end_account(15, 'ann', '2026-03-15')
\g /dev/null
SELECT is((SELECT array_agg(pg_temp.ahead(id) ORDER BY id) FROM unnest('{10,11,12}'::int[]) AS id),
	'{2026-03-01 31.00 USD 2026-04-01 -31.00 USD,"2026-03-01 31.00 USD 2026-04-01 -31.00 USD, 2026-04-01 1.03 USD 2026-04-02 -32.03 USD",'
	'2026-03-01 1.00 USD 2026-03-02 -1.00 USD}', 'X2: a whole month; and a day of another, 31.00 / 30; the first day alone');
SELECT pg_temp.clock('2026-03-15 22:30+00')
\g /dev/null
SELECT is(pg_temp.access(14), 'payment_only payment_only denied', 'X2: it is midnight in Kyiv');
SELECT is(pg_temp.access(15), 'full full full', 'X2: but not in London');
SELECT is(pg_temp.charge(14), '2026-03-01 15.00 USD -15.00 USD grace', 'X2: charged there');
SELECT is(pg_temp.refusal('SELECT kb_month_charge(15)'),
	'KB009 It ends on 2026-03-15; today is 2026-03-15 in the account''s time zone.', 'C4: not yet here');
SELECT pg_temp.clock('2026-03-20 23:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT string_agg(concat_ws(' ', e.account_id, e.amount, e.effective_on), ', ' ORDER BY e.account_id) FROM entry e
		WHERE e.account_id >= 10 AND e.kind = 'charge'), '12 -1.00 USD 2026-03-02, 14 -15.00 USD 2026-03-16, 15 -15.00 USD 2026-03-16',
	'C5: a sweep that runs days late dates the last charge to the day after the end, not to the 1st');
SELECT is((kb_access(15, 'owner')).next_stage_on, '2026-03-22', 'S2: a debt has its stages: remind on the 19th, restrict on the 22nd');
SELECT is(pg_temp.access(15), 'payment_only payment_only denied', 'X2: with the access of an account that has ended');
SELECT is((kb_access(15, 'owner', '2026-03-25 12:00+00')).access, 'denied', 'X2: blocked as ever');
SELECT is(kb_month_charge(15, '2026-03-01')::text, '(2026-03-01,' || (SELECT last_seq FROM account WHERE account_id = 15)
	|| ',"15.00 USD","-15.00 USD",remind,t)', 'C4: charged once');
SELECT is(pg_temp.refusal('SELECT kb_month_charge(15)'),
	'KB009 The contract ended on 2026-03-15; what comes late is charged from 2026-04-01 on.', 'X2: no other month is due');
SELECT lives_ok('SELECT kb_continue_account(13, ''ann'')', 'X1: an end is taken back on its last day');
SELECT pg_temp.clock('2026-04-01 02:00+00')
\g /dev/null
SELECT is(pg_temp.access(13), 'full full full', 'X1: all is as if there had been none');
CALL kb_sweep();
SELECT is((SELECT string_agg(concat_ws(' ', e.account_id, e.amount, e.effective_on), ', ' ORDER BY e.account_id) FROM entry e
		WHERE e.account_id >= 10 AND e.kind = 'charge' AND e.posted_at = kb_now()),
	'10 -31.00 USD 2026-04-01, 11 -31.00 USD 2026-04-01, 13 -31.00 USD 2026-04-01', 'X2: on the last day of a month: as a month');
SELECT is((SELECT accounts_overdue FROM kb_sweep_status()), 0::bigint, 'W1: one sweep does it all');
SELECT pg_temp.clock('2026-04-02 02:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT array_agg((account_id, amount, effective_on)::text) FROM entry WHERE kind = 'charge' AND posted_at = kb_now()),
	'{"(11,\"-1.03 USD\",2026-04-02)"}', 'X2: on the 1st: a day');
SELECT is_empty('SELECT * FROM kb_check()', 'the books are in order');

-- A debt is paid; a bonus is not earned by that; then the account is closed, young and used as it is (X3)

SELECT pg_temp.account(20, 'bare'), kb_end_account(20, 'ann', '2026-04-03')
\g /dev/null
SELECT is((kb_apply_topup(20, '20 USD', 'card', 'p1')).bonus, '10.00 USD', 'X1: until the end a payment earns its bonus');
SELECT pg_temp.clock('2026-04-04 02:00+00')
\g /dev/null
SELECT is((SELECT count(*) FROM kb_topup_offers(20)), 0::bigint, 'T5: nothing is offered after it');
CALL kb_sweep();
SELECT is((SELECT (balance, bonus, refundable)::text FROM account_status WHERE account_id = 20), '("27.93 USD","7.93 USD","20.00 USD")',
	'T6: 2 × 31.00 / 30 took bonus, which is not refundable');
SELECT is((kb_apply_topup(20, '20 USD', 'card', 'p2')).bonus, '0.00 USD', 'T5: a payment after it earns none');
SELECT kb_refund(20, '40 USD', 'back')
\g /dev/null
SELECT is((SELECT (balance, bonus)::text FROM account_status WHERE account_id = 20), '("0.00 USD","0.00 USD")',
	'T6: the bonus went with it');
SELECT pg_temp.clock('2026-04-05 02:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT (state, delete_on)::text FROM account WHERE account_id = 20), '(closing,2026-04-15)',
	'X3: three days old, and used the day before');
SELECT kb_apply_topup(20, '5 USD', 'card', 'p3')
\g /dev/null
SELECT is((SELECT state FROM account WHERE account_id = 20), 'active', 'D4: money cancels the closure');
SELECT kb_refund(20, '5 USD', 'back2')
\g /dev/null
SELECT is(kb_schedule_closure(20, 'sue'), '2026-04-15', 'X3: by hand, too');

-- A tariff that was to change; what is due in full; a service that is off

SET kbilling.clock = '2026-05-01 10:00+00';
SELECT pg_temp.account(30), pg_temp.account(31), pg_temp.account(32)
\g /dev/null
SELECT kb_set_tariff(30, 'plus', '2026-05-20'), kb_set_tariff(31, 'plus', '2026-05-20'), kb_switch_on(32, 'sla'), kb_switch_on(32, 'seat'),
	kb_switch_off(32, 'seat', '2026-05-11'), kb_end_account(30, 'ann', '2026-05-15'), kb_end_account(31, 'ann', '2026-05-25'),
	kb_end_account(32, 'ann', '2026-05-15')
\g /dev/null
SELECT is(kb_portal(31, 'ann') -> 'next_tariff' ->> 'tariff', 'plus', 'X1: the change within the contract is to come');
SELECT is(kb_portal(30, 'ann') -> 'next_tariff', 'null', 'X2: the one after it is not');
SELECT is((SELECT array_agg(pg_temp.ahead(id) ORDER BY id) FROM unnest('{30,31,32}'::int[]) AS id),
	'{2026-05-01 15.00 USD 2026-05-16 -15.00 USD,2026-05-01 31.00 USD 2026-05-26 -31.00 USD,2026-05-01 22.00 USD 2026-05-16 -22.00 USD}',
	'C3: 15 days; 19 days and 6 of twice the fee; 15.00, 5.00 in full and ten days of a seat');
SELECT kb_end_account(30, 'ann', '2026-05-25')
\g /dev/null
SELECT is(pg_temp.ahead(30), '2026-05-01 31.00 USD 2026-05-26 -31.00 USD', 'X1: another day may be given; the plan is still there');
SELECT pg_temp.clock('2026-05-26 02:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT array_agg(balance ORDER BY account_id) FROM account WHERE account_id BETWEEN 30 AND 32),
	'{-31.00 USD,-31.00 USD,-22.00 USD}', 'X2: as foretold');

-- Usage after the end, and late usage of days before it

SET kbilling.clock = '2026-07-01 10:00+00';
SELECT pg_temp.account(40, paid => '100 USD'), kb_record_usage(40, 'calls', 30, 'a', '2026-07-01 10:00+00'),
	kb_record_usage(40, 'peak', 100, 'p', '2026-07-01 10:00+00')
\g /dev/null
SELECT pg_temp.clock('2026-07-15 23:30+00'), kb_end_account(40, 'ann')
\g /dev/null
SELECT is(pg_temp.error_of($$SELECT kb_record_usage(40, 'calls', 1, 'x', '2026-07-16 00:00+00')$$),
	'22008 the contract of account 40 ends before 2026-07-16 | Its last day is 2026-07-15. The event has the key "x". | '
	'Give the time at which it was used; usage counts until the last day (X2).', 'X2: usage after the end is refused');
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage_batch('[{"account_id": 40, "service": "calls", "quantity": 1, "key": "y"},
	{"account_id": 40, "service": "calls", "quantity": 1, "key": "z", "at": "2026-07-16 00:10+00"}]')$$), 5), '22008',
	'X2: in a batch, too');
SELECT pg_temp.clock('2026-07-16 02:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT balance FROM account WHERE account_id = 40), '67.00 USD',
	'X2: 15.00, 3.00 for 30 calls, and 15.00, the most that a peak costs in 15 days of 31');
SELECT is(pg_temp.error_of($$SELECT kb_record_usage(40, 'calls', 1, 'b')$$),
	'22008 the contract of account 40 ends before 2026-07-16 | Its last day is 2026-07-15. The event has the key "b". | '
	'Give the time at which it was used; usage counts until the last day (X2).', 'X2: usage of today is refused');
SELECT ok(NOT kb_record_usage(40, 'calls', 30, 'a'), 'U1: a key that is known is no error');
SELECT ok(kb_record_usage(40, 'calls', 20, 'c', '2026-07-14 10:00+00'), 'U3: usage of before comes late');
SELECT ok(kb_record_usage(40, 'peak', 50, 'q', '2026-07-14 10:00+00'), 'U3: and costs no more where the most is reached');
SELECT is(pg_temp.lines(40), 'calls late usage 01 15 1.50 USD, peak late usage 01 15 0.00 USD',
	'U3: it is shown: 10 calls at 0.10, and 10 at 0.05');
SELECT is(kb_available(40), '65.50 USD', 'L1: and counts as spent');
SELECT is(pg_temp.ahead(40), '2026-08-01 1.50 USD 2026-08-01 65.50 USD', 'S6: foretold for the 1st');
SELECT kb_refund(40, '67 USD', 'back')
\g /dev/null
SELECT is(pg_temp.refusal('SELECT kb_schedule_closure(40, ''sue'')'), 'KB011 It was created 15 days ago, and must be older than 40 days. '
	'It was last used 0 days ago, and must be idle for 30 days.', 'X3: usage that is not billed yet is to be settled, too');
CALL kb_sweep();
SELECT is((SELECT state FROM account WHERE account_id = 40), 'active', 'X3: the sweep waits for the bill');
SELECT pg_temp.clock('2026-08-01 02:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT (total, balance)::text FROM kb_month_charge(40, '2026-08-01')), '("1.50 USD","-1.50 USD")',
	'U3: on the 1st it is billed');
SELECT is((SELECT string_agg(concat_ws(' ', service, what, from_date, to_date, amount), ', ' ORDER BY line_no) FROM charge_line
		WHERE account_id = 40 AND period = '2026-08-01'),
	'calls late usage 2026-07-01 2026-07-15 1.50 USD, peak late usage 2026-07-01 2026-07-15 0.00 USD', 'U3: as lines of its month');
SELECT kb_write_off(40, 'off', 'too little')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT state FROM account WHERE account_id = 40), 'active', 'X3: it is looked at once a day');
SELECT pg_temp.clock('2026-08-02 02:00+00')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT state FROM account WHERE account_id = 40), 'closing', 'X3: written off, it is settled');
SELECT is_empty('SELECT * FROM kb_check()', 'the books are in order');

-- Limits, holds and purchases

SELECT pg_temp.account(50, paid => '100 USD'), kb_set_account_credit_line(50, '0 USD'), kb_end_account(50, 'ann'),
	kb_hold_usage(50, 'calls', 10, 'h', '2026-08-10 00:00+00')
\g /dev/null
SELECT is(kb_available(50), '98.00 USD', 'L4: a day, and what is held');
SELECT pg_temp.clock('2026-08-03 02:00+00')
\g /dev/null
SELECT is(kb_available(50), '99.00 USD', 'L4: after the end nothing is held any more');
SELECT ok(kb_record_usage(50, 'calls', 10, 'h', '2026-08-02 20:00+00'), 'L4: a hold is settled by what was used before');
SELECT is(kb_available(50), '98.00 USD', 'L1: which is to be paid');
SELECT is(pg_temp.refusal(statement), refusal, 'X2: ' || statement) FROM (VALUES
	($$SELECT kb_hold_usage(50, 'calls', 10, 'i', '2026-08-10 00:00+00')$$,
		'55000 Its last day was 2026-08-02; what is left to do is to settle its balance (X2).'),
	($$SELECT kb_buy(50, 'pack', 1, 'b')$$, '55000 Its last day was 2026-08-02; what is left to do is to settle its balance (X2).'),
	($$SELECT kb_switch_on(50, 'seat')$$, 'KB009 Nothing can begin after its last day (X2).'),
	($$SELECT kb_set_tariff(50, 'plus')$$, 'KB009 Nothing can begin after its last day (X2).'),
	($$SELECT kb_end_account(50, 'ann')$$, '55000 Its last day was 2026-08-02; what is left to do is to settle its balance (X2).'),
	($$SELECT kb_continue_account(50, 'ann')$$, '55000 Its last day was 2026-08-02; what is left to do is to settle its balance (X2).'),
	($$SELECT kb_begin_topup(50, 'ann', '5 USD')$$, 'done')) AS t (statement, refusal);
CREATE TABLE public.note (account_id bigint);
CREATE TRIGGER guard BEFORE INSERT ON public.note FOR EACH ROW EXECUTE FUNCTION kb_guard('account_id');
SELECT is(pg_temp.refusal('INSERT INTO public.note VALUES (50)'), 'KB003 Its contract ended on 2026-08-02; access is "denied" (X2).',
	'E1: nothing is written for it');
SELECT is(pg_temp.refusal('WITH act AS MATERIALIZED (SELECT kb_act_as(50, ''ann'')) INSERT INTO public.note SELECT 50 FROM act'),
	'KB003 Its contract ended on 2026-08-02; access is "payment_only" (X2).', 'E1: nor by its owner');

-- Who may, and what is wrong

SELECT pg_temp.account(60)
\g /dev/null
CREATE ROLE end_app; CREATE ROLE end_support;
SELECT kb_grant('end_app', 'app'), kb_grant('end_support', 'support')
\g /dev/null
GRANT USAGE ON SCHEMA kbilling TO end_app, end_support;
\ir ../include/outcome.sql
GRANT pg_read_all_data TO end_app;
SELECT is(pg_temp.outcome(format('SELECT kbilling.kb_end_account(60, %L)', by), role), outcome, concat_ws(' ', 'X1:', role, 'for', by))
FROM (VALUES ('end_app', 'bob', 'KB004 "bob" may not decide about the contract of account 60'),
	('end_app', 'eve', 'KB004 "eve" may not decide about the contract of account 60'),
	('end_app', 'sue', 'KB004 "sue" may not decide about the contract of account 60'),
	('end_support', 'bob', 'KB004 "bob" may not decide about the contract of account 60'),
	('end_support', '', '22023 by must not be empty'),
	('end_support', 'sue', 'through'), ('end_app', 'ann', 'through')) AS t (role, by, outcome);
SELECT is(pg_temp.outcome(format('SELECT kbilling.kb_continue_account(60, %L)', by), 'end_app'), outcome, 'X1: taken back for ' || by)
FROM (VALUES ('bob', 'KB004 "bob" may not decide about the contract of account 60'), ('ann', 'through'),
	('ann', '55000 the contract of account 60 has no end')) AS t (by, outcome);
SELECT is(pg_temp.refusal(format('SELECT kb_end_account(60, %L, %L, %L)', by, day, reason)), refusal, format('X1: %s %s', by, day))
FROM (VALUES ('ann', '2026-08-02', NULL, '22008 Today is 2026-08-03 in the account''s time zone.'), ('ann', 'infinity', NULL, '22008'),
	('ann', '-infinity', NULL, '22008'), (NULL, '2026-08-10', NULL, '22004'),
	('ann', '2026-08-10', 'my card is 4111 1111 1111 1111',
		'KB008 It has 13 to 19 digits with an issuer''s prefix and a valid check digit.')) AS t (by, day, reason, refusal);
SELECT is(left(pg_temp.refusal('SELECT kb_end_account(999, ''ann'')'), 5), 'KB001', 'X1: no such account');
SELECT results_eq($$SELECT before, after FROM change_log WHERE account_id = 60 ORDER BY change_id$$, $$VALUES
	(NULL::jsonb, '{"ends_on": "2026-08-03", "by": "sue", "reason": null}'::jsonb),
	('{"ends_on": "2026-08-03"}', '{"by": "ann"}')$$, 'J9: each change is in the log, and what changes nothing is not');
SELECT results_eq($$SELECT kind::text, occasion FROM notice WHERE account_id = 60 ORDER BY notice_no$$, $$VALUES
	('contract_ending', 'terms 2'), ('contract_continued', 'terms 3')$$, 'N3: each is told once');
SELECT is((kb_render_notice(60, 1)).subject, 'Account 60: the contract ends on August 3, 2026', 'N4: in words');
SELECT is((SELECT (state, ends_on)::text FROM account_status WHERE account_id = 60), '(active,)', 'X1: it goes on');
-- The minimum of a tariff is by the days of the contract, and by no others
SET kbilling.clock = '2026-10-05 10:00+00';
SELECT kb_create_tariff('least', 'USD'), kb_set_price('least', 'calls', '1.00 each'), kb_set_minimum('least', '31.00 USD')
\g /dev/null
SELECT pg_temp.account(70, 'least'), kb_end_account(70, 'ann', '2026-10-14')
\g /dev/null
SET kbilling.clock = '2026-10-15 10:00+00';
SELECT is(pg_temp.charge(70), '2026-10-01 10.00 USD -10.00 USD grace', 'X2, C10: ten days of 31');
SELECT is(pg_temp.lines(70), NULL, 'X2, C10: and none of the months after it');
SELECT is(kb_available(70), '-10.00 USD', 'L1, X2: which takes nothing of what is available');
SELECT is(pg_temp.ahead(70), NULL, 'X2, C10: nor is any foretold');
SELECT kb_record_usage(70, 'calls', 25, 'late', '2026-10-10 10:00+00')
\g /dev/null
SELECT is(pg_temp.lines(70), 'calls late usage 05 14 25.00 USD, base minimum 05 14 -10.00 USD',
	'X2, U3, C10: of late usage, the minimum that was paid is not paid twice, and no more than that');
SET kbilling.clock = '2026-11-01 10:00+00';
CALL kb_sweep();
SET kbilling.clock = '2027-01-02 10:00+00';
CALL kb_sweep();
SELECT results_eq($$SELECT period, amount FROM entry WHERE account_id = 70 ORDER BY seq$$,
	$$VALUES (date '2026-10-01', '-10.00 USD'::kb_money), ('2026-11-01', '-15.00 USD')$$, 'X2, C10: nothing else is charged');
SELECT is_empty('SELECT * FROM kb_check()', 'the books are in order');
-- C10: a minimum is due by days up to the end, and no more after it
SELECT pg_temp.clock('2026-11-05 12:00+00') \g /dev/null
SELECT kb_create_tariff('fixed', 'USD'), kb_set_price('fixed', 'base', '3.00'), kb_set_minimum('fixed', '12 USD', '-infinity') \g /dev/null
SELECT kb_create_account('ann', 'fixed', 900, created_at => '2026-11-01 00:00+00'), kb_apply_topup(900, '20 USD', 'card', 'p'),
	kb_end_account(900, 'ann', '2026-11-12') \g /dev/null
SELECT pg_temp.clock('2027-02-05 12:00+00') \g /dev/null
SELECT is((SELECT array_agg((kb_month_charge(900)).balance) FROM generate_series(1, 4)), '{15.20 USD,15.20 USD,15.20 USD,15.20 USD}',
	'X2, C10: nothing is charged after the end, no minimum either');
SELECT is_empty('SELECT * FROM kb_check()', 'and the books are in order');

-- D1: an end puts a look at an unused account off neither while it is to come, nor once it is taken back
SELECT pg_temp.clock('2027-03-02 10:00+00') \g /dev/null
SELECT kb_create_tariff('unused', 'USD'), kb_set_price('unused', 'base', '31.00') \g /dev/null
SELECT kb_create_account('ann', 'unused', i), kb_adjust(i, '25 USD', 'a', 'hello') FROM generate_series(910, 912) AS i \g /dev/null
SELECT pg_temp.clock('2027-03-20 10:00+00') \g /dev/null
SELECT kb_end_account(911, 'ann', '2027-06-30'), kb_end_account(912, 'ann', '2027-06-30'), kb_continue_account(912, 'ann') \g /dev/null
SELECT pg_temp.clock('2027-04-14 10:00+00') \g /dev/null
CALL kb_sweep();
SELECT is(array_agg(state || coalesce(' ' || delete_on, '') ORDER BY account_id), (SELECT array_agg(state || ' ' || delete_on)
		FROM account, generate_series(1, 3) WHERE account_id = 910), 'D1, X1: unused is unused')
FROM account WHERE account_id BETWEEN 910 AND 912;
SELECT is((SELECT state FROM account WHERE account_id = 910)::text, 'closing', 'D1: which the sweep closes');
SELECT is_empty('SELECT * FROM kb_check()', 'nobody is forgotten');
SELECT * FROM finish();
DROP OWNED BY end_app, end_support;
DROP ROLE end_app, end_support;
