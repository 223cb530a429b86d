-- Notices: what is written when, and how workers get it (N1 to N5)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();

SET kbilling.clock = '2026-11-05 12:00+00';
INSERT INTO policy (policy, language) VALUES ('lviv', 'uk');
SELECT kb_create_tariff('std', 'USD'), kb_set_price('std', 'base', '30.00'), kb_set_bonus('std', '100.00 USD', 10),
	kb_create_tariff('lviv', 'USD', policy => 'lviv'), kb_create_tariff('free', 'USD')
\g /dev/null
-- Accounts in which somebody is always there, so that none is closed
CREATE FUNCTION pg_temp.open(id bigint, since timestamptz, tariff text = 'std') RETURNS bigint LANGUAGE sql
BEGIN ATOMIC
	SELECT kb_create_account('ann', tariff, id, email => 'ann@example.org', created_at => since);
	INSERT INTO activity VALUES (id, '2099-01-01') RETURNING id;
END;
SELECT pg_temp.open(id, '2026-11-01 00:00+00') FROM generate_series(1, 9) AS id
\g /dev/null

\ir ../include/clock.sql
CREATE PROCEDURE pg_temp.sweep_at(VARIADIC days timestamptz[]) LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz;
BEGIN
	FOREACH at IN ARRAY days LOOP
		PERFORM pg_temp.clock(at);
		COMMIT;
		CALL kb_sweep();
	END LOOP;
END $$;
-- The notices of an account since a number: when, what, and some of the facts
CREATE FUNCTION pg_temp.told(id bigint, after bigint = 0) RETURNS text LANGUAGE sql
	RETURN (SELECT string_agg(concat_ws(' ', to_char(written_at, 'MM-DD'), kind, f ->> 'stage_before',
		'> ' || (f ->> 'stage'), f ->> 'amount_due', f ->> 'next_stage_on'), '; ' ORDER BY notice_no)
		FROM notice, kb_notice_facts(notice) AS f WHERE account_id = id AND notice_no > after);
CREATE FUNCTION pg_temp.facts(id bigint, no bigint) RETURNS jsonb LANGUAGE sql
	RETURN (SELECT kb_notice_facts(notice) FROM notice WHERE account_id = id AND notice_no = no);

-- Top-ups and charges: with the entry, and as it was then

SELECT kb_apply_topup(1, '120.00 USD', 'card', 'a'), kb_apply_topup(1, '120.00 USD', 'card', 'a'),
	kb_apply_topup(1, '5.00 USD', 'card', 'b')
\g /dev/null
SELECT is((SELECT count(*) FROM notice WHERE account_id = 1), 2::bigint, 'N3: a replay says nothing twice');
SELECT is(pg_temp.facts(1, 1), '{"has_ended": false, "account_id": 1, "amount": "120.00 USD", "bonus": "12.00 USD", "has_bonus": true,
	"paid": "120.00 USD", "has_paid": false,
	"rate": 1, "has_rate": false, '
	'"balance": "132.00 USD", "in_debt": false, "amount_due": "0.00 USD", "stage": "ok", "stage_before": "ok"}',
	'N1: topup_received, with the bonus, as things stood after it');
SELECT is(pg_temp.facts(1, 2) - 'account_id', '{"has_ended": false, "amount": "5.00 USD", "bonus": "0.00 USD", "has_bonus": false,
	"paid": "5.00 USD", "has_paid": false,
	"rate": 1, "has_rate": false, '
	'"balance": "137.00 USD", "in_debt": false, "amount_due": "0.00 USD", "stage": "ok", "stage_before": "ok"}', 'N1: and without');
BEGIN;
SELECT kb_apply_topup(2, '9.00 USD', 'card', 'a')
\g /dev/null
ROLLBACK;
SELECT is((SELECT count(*) FROM notice WHERE account_id = 2), 0::bigint, 'N1: committed with what causes it, or never');
SELECT is(pg_temp.told(2), NULL, 'N1: nothing is left of one rolled back');

SELECT kb_apply_topup(2, '10.00 USD', 'card', 'a')
\g /dev/null
CALL pg_temp.sweep_at('2026-12-01 12:00+00');
SELECT is(pg_temp.facts(2, 2), '{"has_ended": false, "account_id": 2, "month": "2026-11", "amount": "30.00 USD", "is_credit": false, '
	'"credit": "0.00 USD", "balance": "-20.00 USD", "in_debt": true, "amount_due": "20.00 USD", "stage": "grace"}', 'N1: charge_posted');
CALL pg_temp.sweep_at('2026-12-02 12:00+00', '2026-12-03 12:00+00', '2026-12-04 00:00+00', '2026-12-04 01:00+00',
	'2026-12-05 12:00+00', '2026-12-07 00:00+00', '2026-12-09 23:59+00', '2026-12-10 00:00+00', '2026-12-20 12:00+00');
SELECT is(pg_temp.told(2, 2), '12-04 payment_reminder 20.00 USD 2026-12-07; '
	'12-07 stage_changed remind > restrict 20.00 USD 2026-12-10; 12-10 stage_changed restrict > blocked 20.00 USD',
	'N5, S2: each stage once, on its day');
SELECT is(pg_temp.facts(2, 3), '{"has_ended": false, "account_id": 2, "balance": "-20.00 USD", "amount_due": "20.00 USD", '
	'"day": 4, "days": 3, '
	'"next_stage": "restrict", "next_stage_on": "2026-12-07"}', 'N5: payment_reminder');
SELECT is(pg_temp.facts(2, 4), '{"has_ended": false, "account_id": 2, "balance": "-20.00 USD", "amount_due": "20.00 USD", '
	'"stage_before": "remind", "stage": "restrict", "next_stage": "blocked", "next_stage_on": "2026-12-10"}', 'N5: stage_changed');
SELECT is(pg_temp.facts(2, 5) ->> 'next_stage', 'none', 'N5: and the last one');
SELECT is(stage_check_on, NULL, 'W1: then it is looked at no more') FROM account WHERE account_id = 2;
SELECT kb_apply_topup(2, '20.00 USD', 'card', 'b')
\g /dev/null
SELECT is(pg_temp.told(2, 5), '12-20 topup_received blocked > ok 0.00 USD', 'N3: the top-up that ends the debt says so itself');
SELECT is((SELECT facts ->> 'stage' FROM notice WHERE account_id = 2 AND notice_no = 4), 'restrict', 'N4: what was said then stays');

-- What other entries do to the stage

SELECT kb_chargeback(2, 'b', 'cb')
\g /dev/null
SELECT is(pg_temp.told(2, 6), '12-20 stage_changed ok > grace 20.00 USD 2026-12-23',
	'N5: a chargeback has no notice of its own: the stage has');
SELECT kb_adjust(2, '1.00 USD', 'x', 'a gift')
\g /dev/null
SELECT is(pg_temp.told(2, 7), NULL, 'N5: where the stage stays, nothing is said');
SELECT kb_write_off(2, 'w', 'gone'), kb_write_off(2, 'w', 'gone')
\g /dev/null
SELECT is(pg_temp.told(2, 7), '12-20 stage_changed grace > ok 0.00 USD', 'N3: a write-off, and its replay');

-- A deferral, and its end

CALL pg_temp.sweep_at('2026-12-21 12:00+00');
SELECT kb_defer(3, '2026-12-28', 'support', 'asked'), kb_defer(3, '2026-12-26', 'support', 'less')
\g /dev/null
SELECT is(pg_temp.told(3, 4), '12-21 stage_changed blocked > grace 30.00 USD 2026-12-29',
	'S4, N5: a deferral says so; one more changes no stage');
CALL pg_temp.sweep_at('2026-12-27 12:00+00', '2026-12-28 12:00+00');
SELECT is(pg_temp.told(3, 5), '12-27 stage_changed grace > blocked 30.00 USD',
	'S4: and the day after its end, though it was told of before');

-- A sweep that comes late tells what is, not what was

CALL pg_temp.sweep_at('2027-01-08 12:00+00');
SELECT pg_temp.open(20, '2027-01-01 00:00+00')
\g /dev/null
CALL pg_temp.sweep_at('2027-02-08 12:00+00', '2027-02-15 12:00+00');
SELECT is(pg_temp.told(20), '02-08 charge_posted > restrict 30.00 USD; 02-15 stage_changed restrict > blocked 30.00 USD',
	'N3: the charge says how far its debt has got; then each stage as it is found');
SELECT pg_temp.open(21, '2027-02-01 00:00+00')
\g /dev/null
CALL pg_temp.sweep_at('2027-03-01 12:00+00', '2027-03-25 12:00+00');
SELECT is(pg_temp.told(21), '03-01 charge_posted > grace 30.00 USD; 03-25 stage_changed grace > blocked 30.00 USD',
	'N5: after three weeks without a sweep the last stage is told, once');

-- Another tariff has another policy

INSERT INTO policy (policy, remind_day, restrict_day, block_day) VALUES ('patient', 30, 40, 50);
SELECT kb_create_tariff('patient', 'USD', policy => 'patient'), pg_temp.open(22, '2027-03-01 00:00+00'),
	pg_temp.open(24, '2027-03-01 00:00+00', 'patient'), pg_temp.open(25, '2027-03-01 00:00+00', 'patient')
\g /dev/null
SELECT kb_set_price('patient', 'base', '30.00')
\g /dev/null
CALL pg_temp.sweep_at('2027-04-01 12:00+00');
SELECT kb_set_tariff(22, 'patient'), kb_set_tariff(25, 'std', '2027-04-21')
\g /dev/null
CALL pg_temp.sweep_at('2027-04-01 13:00+00');
SELECT is(stage_check_on, '2027-04-30', 'S2: the next look is by the new policy') FROM account WHERE account_id = 22;
SELECT is(stage_check_on, '2027-04-21', 'S2: or on the day on which the next one comes') FROM account WHERE account_id = 25;
CALL pg_temp.sweep_at('2027-04-04 12:00+00', '2027-04-20 12:00+00');
SELECT kb_set_tariff(24, 'std')
\g /dev/null
CALL pg_temp.sweep_at('2027-04-20 13:00+00', '2027-04-21 12:00+00');
SELECT is(pg_temp.told(24, 1), '04-20 stage_changed grace > blocked 30.00 USD', 'S2, N5: a stage that another policy has changed is told');
SELECT is(pg_temp.told(25, 1), '04-21 stage_changed grace > blocked 30.00 USD', 'S2, N5: on the day on which it does');
SELECT kb_set_tariff(24, 'patient')
\g /dev/null
CALL pg_temp.sweep_at('2027-04-22 12:00+00', '2027-04-29 12:00+00', '2027-04-30 12:00+00');
SELECT is(pg_temp.told(24, 2), '04-21 stage_changed blocked > grace 30.00 USD 2027-04-30; '
	'04-30 payment_reminder 30.00 USD 2027-05-10', 'S2, N5: for the better, too, and on from there');
SELECT is(pg_temp.told(22, 1), '04-30 payment_reminder 30.00 USD 2027-05-10', 'S2, N5: and so is the reminder');

-- A switch that is dated back, and one to come, met by a posting and by the charge that makes the debt

INSERT INTO policy (policy, remind_day, restrict_day, block_day) VALUES ('quick', 2, 3, 20), ('same', 4, 7, 10), ('slow', 14, 17, 20);
SELECT kb_create_tariff(p, 'USD', policy => p), kb_set_price(p, 'base', '30.00'), pg_temp.open(id, '2027-04-01 00:00+00')
	FROM (VALUES ('quick', 51), ('same', 52), ('slow', 53)) AS t (p, id)
\g /dev/null
SELECT pg_temp.open(54, '2027-04-01 00:00+00'), kb_set_tariff(54, 'quick', '2027-05-03')
\g /dev/null
CALL pg_temp.sweep_at('2027-05-01 12:00+00');
SELECT kb_set_tariff(51, 'quick', '2027-05-03'), kb_adjust(51, '1.00 USD', 'a', 'a gift')
\g /dev/null
CALL pg_temp.sweep_at('2027-05-02 12:00+00', '2027-05-03 12:00+00', '2027-05-04 12:00+00', '2027-05-07 12:00+00');
SELECT is(pg_temp.told(51, 1), '05-03 stage_changed grace > restrict 29.00 USD 2027-05-20',
	'S2, N5: a posting does not hide a switch that is to come');
SELECT is(pg_temp.told(54, 1), '05-03 stage_changed grace > restrict 30.00 USD 2027-05-20',
	'S2, N5: nor does the charge that makes the debt');
SELECT pg_temp.clock('2027-05-08 12:00+00'), kb_set_tariff(52, 'same', '2027-05-02'), kb_set_tariff(53, 'slow', '2027-05-02')
\g /dev/null
CALL pg_temp.sweep_at('2027-05-08 13:00+00', '2027-05-09 12:00+00');
SELECT is(pg_temp.told(52, 3), NULL, 'N3: where another policy changes nothing, nothing is said again');
SELECT is(pg_temp.told(53, 3), '05-08 stage_changed restrict > grace 30.00 USD 2027-05-14',
	'N5: what it makes better is told, also if it is dated back');

-- A posting on the day of a change, before the sweep has told of it

SELECT pg_temp.open(26, '2027-04-20 00:00+00'), pg_temp.open(27, '2027-04-20 00:00+00'), pg_temp.open(28, '2027-04-20 00:00+00')
\g /dev/null
CALL pg_temp.sweep_at('2027-05-01 12:00+00');
SELECT pg_temp.clock('2027-05-04 00:01+00'), kb_adjust(26, '1.00 USD', 'a', 'a gift'),
	kb_apply_topup(27, '1.00 USD', 'card', 'a'), kb_defer(28, '2027-05-31', 'support', 'asked')
\g /dev/null
CALL pg_temp.sweep_at('2027-05-04 00:03+00');
SELECT is(pg_temp.told(26, 1), '05-04 payment_reminder 10.00 USD 2027-05-07', 'N5: an adjustment on the day takes no reminder away');
SELECT is(pg_temp.told(27, 2), '05-04 payment_reminder 10.00 USD 2027-05-07', 'N5: nor does a top-up that pays a part');
CALL pg_temp.sweep_at('2027-06-01 12:00+00');
SELECT is(pg_temp.told(28, 1), '05-04 stage_changed remind > grace 11.00 USD 2027-06-01; '
	'06-01 charge_posted > blocked 41.00 USD; 06-01 stage_changed grace > blocked 41.00 USD',
	'S4, N5: nor does the charge of the day on which a deferral has ended');
SELECT is(pg_temp.told(26, 2), '06-01 charge_posted > blocked 40.00 USD; 06-01 stage_changed remind > blocked 40.00 USD',
	'N5: and what a late sweep finds is told once');

-- What was said stays, whatever the policy is later

SELECT pg_temp.open(29, '2027-05-20 00:00+00', 'patient'), pg_temp.clock('2027-06-01 13:00+00'), (kb_month_charge(29)).stage
\g /dev/null
UPDATE policy SET remind_day = 1, restrict_day = 1, block_day = 1 WHERE policy = 'patient';
SELECT is(pg_temp.told(29), '06-01 charge_posted > grace 11.61 USD', 'N4: a charge''s stage is the one that it had');
UPDATE policy SET remind_day = 30, restrict_day = 40, block_day = 50 WHERE policy = 'patient';

-- A month that comes to less than nothing, and one to nothing

SELECT kb_create_service('s', 'metered'), kb_set_price('free', 's', '1.00 each'),
	pg_temp.open(23, '2027-04-01 00:00+00', 'free'), kb_record_usage(23, 's', 5, 'a', '2027-04-15 12:00+00')
\g /dev/null
CALL pg_temp.sweep_at('2027-05-01 12:00+00');
SELECT kb_record_usage(23, 's', -5, 'b', '2027-04-15 12:00+00')
\g /dev/null
CALL pg_temp.sweep_at('2027-06-01 12:00+00', '2027-07-01 12:00+00');
SELECT is((SELECT array_agg(f ->> 'month' || ' ' || (f ->> 'is_credit') || ' ' || (f ->> 'amount') || ' '
	|| (f ->> 'credit') ORDER BY notice_no)
	FROM notice, kb_notice_facts(notice) AS f WHERE account_id = 23 AND kind = 'charge_posted'),
		'{"2027-04 false 5.00 USD 0.00 USD","2027-05 true -5.00 USD 5.00 USD"}',
	'C8: a month that comes to zero says nothing; a credit says how much');

-- Who gets it

SELECT kb_create_account('ann', 'lviv', 30, email => 'ann@example.org'),
	kb_add_member(30, 'bob', 'admin', 'bob@example.org'), kb_add_member(30, 'eve', 'employee', 'eve@example.org'),
	kb_add_member(30, 'ivan', 'owner')
\g /dev/null
SELECT is(kb_recipients(30, 'charge_posted'), '[{"member": "ann", "email": "ann@example.org", "language": "uk"}]',
	'N4: the owner who has an address, in the policy''s language');
SELECT kb_set_contact(30, 'ivan', 'ivan@example.org', 'pl'), kb_set_contact(30, 'ann', 'ann@example.net', 'en')
\g /dev/null
SELECT is(kb_recipients(30, 'payment_reminder'), '[{"member": "ann", "email": "ann@example.net", "language": "en"}, '
	'{"member": "ivan", "email": "ivan@example.org", "language": "pl"}, {"member": "bob", "email": "bob@example.org", "language": "uk"}]',
	'N4: owners first, and admins where it is about paying');
SELECT throws_ok($$SELECT kb_set_contact(30, 'ann', 'a@b', 'not a language')$$, '22023', NULL, 'kb_set_contact: a language is a tag');
SELECT throws_ok($$SELECT kb_set_contact(30, 'zoe', 'a@b')$$, 'KB004', NULL, 'kb_set_contact: an unknown member');
SELECT throws_ok($$SELECT kb_set_contact(30, 'ann', '4111 1111 1111 1111')$$, 'KB008', NULL, 'T4: no card number for an address');
SELECT kb_set_contact(30, 'ann', NULL)
\g /dev/null
SELECT is(kb_recipients(30, 'charge_posted'), '[{"member": "ivan", "email": "ivan@example.org", "language": "pl"}]',
	'kb_set_contact: and away again');

-- The queue

UPDATE notice SET due_at = NULL, delivered_at = kb_now();
SELECT pg_temp.clock('2028-01-01 12:00+00')
\g /dev/null
SELECT kb_create_account('ann', 'free', id, email => 'a@example.org') FROM generate_series(101, 105) AS id
\g /dev/null
SELECT kb_apply_topup(id, '1.00 USD', 'card', 'a') FROM generate_series(101, 105) AS id
\g /dev/null
CREATE FUNCTION pg_temp.take(max int = 10, lease interval = '5 minutes') RETURNS text LANGUAGE sql
	RETURN (SELECT string_agg(format('%s/%s#%s', account_id, notice_no, tries), ' ' ORDER BY account_id) FROM kb_take_notices(max, lease));
CREATE FUNCTION pg_temp.queue() RETURNS text LANGUAGE sql
	RETURN (SELECT string_agg(concat_ws(' ', account_id, status, tries, to_char(due_at, 'HH24:MI'), last_error),
		'; ' ORDER BY account_id) FROM notice_queue);
SELECT is(pg_temp.queue(), '101 waiting 0 12:00; 102 waiting 0 12:00; 103 waiting 0 12:00; 104 waiting 0 12:00; '
	'105 waiting 0 12:00', 'notice_queue: what waits');
SELECT is(pg_temp.take(2), '101/1#1 102/1#1', 'N2: two are taken');
SELECT is(pg_temp.take(2), '103/1#1 104/1#1', 'N2: another worker gets others');
SELECT is(pg_temp.take(), '105/1#1', 'N2: and what is left');
SELECT is(pg_temp.take(), NULL, 'N2: until the leases run out');
SELECT is((kb_ack_notice(101, 1), kb_ack_notice(101, 1))::text, '(t,f)', 'N2: acknowledged, once');
SELECT is(kb_fail_notice(102, 1, 'mailbox full'), '2028-01-01 12:01+00'::timestamptz, 'N2: one that failed comes again after a minute');
SELECT is(kb_fail_notice(101, 1, 'too late'), NULL, 'N2: one that is delivered does not');
SELECT is(pg_temp.queue(), '102 paused 1 12:01 mailbox full; 103 leased 1 12:05; 104 leased 1 12:05; 105 leased 1 12:05',
	'notice_queue: paused and leased');
SELECT pg_temp.clock('2028-01-01 12:01+00')
\g /dev/null
SELECT is(pg_temp.take(), '102/1#2', 'N2: after its pause');
SELECT is(kb_fail_notice(102, 1, 'still full'), '2028-01-01 12:03+00'::timestamptz, 'N2: pauses grow');
SELECT pg_temp.clock('2028-01-01 12:05+00')
\g /dev/null
SELECT is(pg_temp.take(), '102/1#3 103/1#2 104/1#2 105/1#2', 'N2: a lease that has run out is given again');
SELECT is(kb_ack_notice(103, 1), true, 'N2: and can still be acknowledged');
DO $$
BEGIN
	FOR i IN 4..10 LOOP
		PERFORM kb_fail_notice(102, 1, 'failure ' || i - 1);
		PERFORM pg_temp.clock((SELECT due_at FROM notice WHERE account_id = 102));
		PERFORM kb_take_notices(10, '1 second');
	END LOOP;
END $$;
SELECT is((SELECT tries FROM notice WHERE account_id = 102), 10, 'N2: the tenth try');
SELECT is(kb_now() - '2028-01-01 12:05+00'::timestamptz, '8:28:00', 'N2: after pauses of 4, 8, … 256 minutes');
SELECT is(kb_fail_notice(102, 1, 'for the last time'), NULL, 'N2: which fails');
SELECT is((SELECT status || ' ' || last_error FROM notice_queue WHERE account_id = 102), 'parked for the last time',
	'N2: it is parked, with its last error');
SELECT is((SELECT array_agg(tries) FROM notice WHERE account_id IN (104, 105)), (SELECT ARRAY[8, 8]),
	'N2: those whose worker does not answer come again, too');
SELECT pg_temp.clock(kb_now() + interval '1 minute')
\g /dev/null
SELECT is(pg_temp.take(lease => '1 second'), '104/1#9 105/1#9', 'N2: for the ninth time');
SELECT pg_temp.clock(kb_now() + interval '1 minute')
\g /dev/null
SELECT is(pg_temp.take(lease => '1 second'), '104/1#10 105/1#10', 'N2: for the tenth time');
SELECT pg_temp.clock(kb_now() + interval '1 minute')
\g /dev/null
SELECT is(pg_temp.take(), NULL, 'N2: not an eleventh');
SELECT is((SELECT array_agg(status || ' ' || last_error) FROM notice_queue WHERE account_id IN (104, 105)),
	'{"parked the last lease ran out","parked the last lease ran out"}', 'N2: they are parked as well');
SELECT is(kb_ack_notice(105, 1), true, 'N2: a worker that had it may say so, however late');
SELECT is((kb_retry_notice(104, 1), kb_retry_notice(104, 1))::text, '(t,f)', 'kb_retry_notice: a parked one is put back');
SELECT is(pg_temp.take(), '104/1#1', 'kb_retry_notice: with all its tries');
SELECT is(kb_fail_notice(104, 1, 'card 4111 1111 1111 1111 refused') IS NOT NULL, true,
	'T4: an error that has a card number does not stop the worker');
SELECT is((SELECT last_error::text FROM notice WHERE account_id = 104), 'card **** **** **** **** refused',
	'T10: it is kept with the number masked');
SELECT results_eq('SELECT labels ->> ''status'', value FROM metrics WHERE name = ''kbilling_notices'' ORDER BY 1',
	$$VALUES ('leased', 0::numeric), ('parked', 1), ('paused', 1), ('waiting', 0)$$, 'N2: what is parked is counted in the metrics');
SELECT is(kb_fail_notice(104, 1, repeat('x', 483) || ' 411111111111111111') IS NOT NULL, true,
	'T4: nor does one that is cut to a card number');
SELECT is((SELECT last_error::text FROM notice WHERE account_id = 104), repeat('x', 483) || ' ' || repeat('*', 16),
	'T10: and that is masked, too');
-- two workers with one notice
SELECT pg_temp.clock(kb_now() + interval '1 day')
\g /dev/null
SELECT is(pg_temp.take(lease => '1 hour'), '104/1#2', 'N2: taken again');
SELECT is(kb_fail_notice(104, 1, 'late', 1), kb_now() + interval '1 hour',
	'N2: a worker whose lease has run out leaves alone what another has');
SELECT is(kb_fail_notice(104, 1, 'now', 2), kb_now() + interval '2 minutes', 'N2: the one that has it does not');

SELECT throws_ok(call, state, NULL, call) FROM (VALUES
	('SELECT kb_take_notices(0, ''1 minute'')', '22023'), ('SELECT kb_take_notices(1001, ''1 minute'')', '22023'),
	('SELECT kb_take_notices(NULL, ''1 minute'')', '22004'),
	('SELECT kb_take_notices(1, ''0'')', '22023'), ('SELECT kb_take_notices(1, ''-1 minute'')', '22023'),
	('SELECT kb_take_notices(1, ''25 hours'')', '22023'), ('SELECT kb_take_notices(1, ''1 mon -29 days'')', '22023'),
	('SELECT kb_take_notices(1, NULL)', '22004'),
	('SELECT kb_ack_notice(101, 99)', '22023'), ('SELECT kb_ack_notice(NULL, 1)', '22004'),
	('SELECT kb_fail_notice(101, 99, ''x'')', '22023'), ('SELECT kb_fail_notice(101, 1, NULL)', '22004'),
	('SELECT kb_retry_notice(999, 1)', '22023'), ('SELECT kb_render_notice(101, 99)', '22023')) AS t (call, state);

-- In words

SELECT is((kb_render_notice(101, 1)).language, 'en', 'N4: in the language of the first recipient');
SELECT is((kb_render_notice(101, 1, 'uk')).language, 'uk', 'N4: or the one asked for');
SELECT is((kb_render_notice(101, 1, 'xx')).language, 'en', 'N4: or English, where there are no texts in it');
SELECT alike((kb_render_notice(101, 1, 'uk')).body, '%1.00 USD%', 'N4: with the facts filled in');
SELECT is_empty($$SELECT * FROM notice, LATERAL kb_render_notice(account_id, notice_no, 'uk') AS r WHERE r.subject ~ '[{}]'
	OR r.body ~ '[{}]' OR r.body = '' OR r.language <> 'uk'$$, 'N4: every notice here can be said');

-- How the queue is read

SELECT kb_create_account('ann', 'free', id) FROM generate_series(1001, 4000) AS id
\g /dev/null
INSERT INTO notice (account_id, notice_no, written_at, delivered_at, kind, occasion)
SELECT id, n, kb_now(), kb_now(), 'topup_received', n FROM generate_series(1001, 4000) AS id, generate_series(1, 5) AS n;
VACUUM ANALYZE notice;
SELECT pg_stat_force_next_flush()
\g /dev/null
BEGIN;
SELECT is(pg_temp.take(), NULL, 'N2: nothing is due');
SELECT is(pg_stat_get_xact_numscans('notice'::regclass), 0::bigint, 'N2: which is found without a look at what was delivered');
COMMIT;
UPDATE notice SET due_at = kb_now(), delivered_at = NULL, facts = '{}' WHERE account_id > 1000;
VACUUM ANALYZE notice;
SELECT pg_stat_force_next_flush()
\g /dev/null
BEGIN;
SELECT is((SELECT count(*) FROM kb_take_notices(10, '1 minute')), 10::bigint, 'N2: of many, ten');
SELECT is(pg_stat_get_xact_numscans('notice'::regclass), 0::bigint, 'N2: are taken without a look at the others');
ROLLBACK;
SELECT is((SELECT array_agg(DISTINCT left(problem, 2)) FROM kb_check()), '{N1,N3}',
	'N3, N1: kb_check() names numbers that the account has not given, and notices of entries that are not there');
DELETE FROM notice WHERE account_id > 1000;
SELECT is_empty('SELECT * FROM kb_check()', 'J2: the books are right');
SELECT * FROM finish();
