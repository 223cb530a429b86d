-- The closure of unused accounts (D1 to D7)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();

INSERT INTO policy (policy, activity) VALUES ('logins', 'logins');
INSERT INTO policy (policy, min_age_days, inactive_days, notice_days, reminder_days, restore_days) VALUES
	('brisk', 0, 2, 3, '{}', 1), ('chatty', 10, 5, 10, '{10,12,7,2,5}', 3), ('instant', 0, 0, 1, '{1}', 1);
SELECT kb_create_tariff('std', 'USD'), kb_set_price('std', 'base', '30.00'),
	kb_create_tariff('logins', 'USD', policy => 'logins'), kb_set_price('logins', 'base', '30.00'), kb_create_tariff('free', 'USD'),
	kb_create_tariff('brisk', 'USD', policy => 'brisk'), kb_create_tariff('chatty', 'USD', policy => 'chatty'),
		kb_create_tariff('instant', 'USD', policy => 'instant')
\g /dev/null

\ir ../include/clock.sql
-- A sweep at noon of each day, or of each that is not left out
CREATE PROCEDURE pg_temp.sweep_days(from_day date, to_day date, but daterange = 'empty') LANGUAGE plpgsql AS $$
DECLARE
	day date;
BEGIN
	FOR day IN SELECT generate_series(from_day::timestamp, to_day, '1 day')::date LOOP
		PERFORM pg_temp.clock(timezone('UTC', day + time '12:00'));
		IF NOT day <@ but THEN
			COMMIT;
			CALL kb_sweep();
		END IF;
	END LOOP;
END $$;
CREATE FUNCTION pg_temp.story(id bigint) RETURNS text LANGUAGE sql
	RETURN (SELECT string_agg(concat_ws(' ', to_char(taken_on, 'MM-DD'), step, 'for ' || to_char(delete_on, 'MM-DD'),
		'by ' || taken_by, 'r' || reminder, reason), '; ' ORDER BY step_no)
		FROM closure_step WHERE account_id = id);
CREATE FUNCTION pg_temp.notices(id bigint) RETURNS text LANGUAGE sql
	RETURN (SELECT string_agg(concat_ws(' ', to_char(written_at, 'MM-DD'), kind), '; ' ORDER BY notice_no) FROM notice
		WHERE account_id = id AND kind::text ~ '^(closure|account)');
\ir ../include/error.sql

-- The reminders, as values: scheduled on the 1st, the deletion on the 11th

SELECT is(to_jsonb(r), jsonb_build_object('reminder', t.reminder, 'deletion_on', t.deletion_on, 'next_on', t.next_on),
	format('D2: %s: today %s, %s, given %s', what, today, days, coalesce(reminded::text, 'none')))
FROM (VALUES
	('the next day', '{3,1}'::int[], date '2026-03-02', NULL::int, NULL::int, date '2026-03-11', date '2026-03-08'),
	('the day before', '{3,1}', '2026-03-07', NULL, NULL, '2026-03-11', '2026-03-08'),
	('the first one', '{3,1}', '2026-03-08', NULL, 3, '2026-03-11', '2026-03-10'),
	('the same day again', '{3,1}', '2026-03-08', 3, NULL, '2026-03-11', '2026-03-10'),
	('its day has passed: with the next', '{3,1}', '2026-03-09', NULL, NULL, '2026-03-11', '2026-03-10'),
	('between them', '{3,1}', '2026-03-09', 3, NULL, '2026-03-11', '2026-03-10'),
	('the last one', '{3,1}', '2026-03-10', 3, 1, '2026-03-11', '2026-03-11'),
	('both in one', '{3,1}', '2026-03-10', NULL, 1, '2026-03-11', '2026-03-11'),
	('the deletion is due', '{3,1}', '2026-03-11', 1, NULL, '2026-03-11', NULL),
	('and a week later', '{3,1}', '2026-03-18', 1, NULL, '2026-03-11', NULL),
	('the last one was missed', '{3,1}', '2026-03-11', 3, 1, '2026-03-12', '2026-03-12'),
	('both were missed, for two months', '{3,1}', '2026-05-11', NULL, 1, '2026-05-12', '2026-05-12'),
	('in any order', '{1,3}', '2026-03-08', NULL, 3, '2026-03-11', '2026-03-10'),
	('the only one was missed by a day', '{3}', '2026-03-09', NULL, 3, '2026-03-12', '2026-03-12'),
	('none', '{}', '2026-03-05', NULL, NULL, '2026-03-11', '2026-03-11'),
	('none, and due', '{}', '2026-03-11', NULL, NULL, '2026-03-11', NULL),
	('one of the notice''s day is the notice', '{10}', '2026-03-01', NULL, NULL, '2026-03-11', '2026-03-11'),
	('and is not missed', '{10}', '2026-03-11', NULL, NULL, '2026-03-11', NULL),
	('one of before it, too', '{12,1}', '2026-03-02', NULL, NULL, '2026-03-11', '2026-03-10'),
	('the first day after the notice', '{9,1}', '2026-03-02', NULL, 9, '2026-03-11', '2026-03-10')
) AS t (what, days, today, reminded, reminder, deletion_on, next_on),
	kb_next_reminder('2026-03-01', '2026-03-11', today, days, reminded) AS r;
SELECT throws_ok($$INSERT INTO policy (policy, reminder_days) VALUES ('wrong', '{3,0}')$$, '23514', NULL,
	'D2: a reminder comes before the day');
SELECT throws_ok($$INSERT INTO policy (policy, reminder_days) VALUES ('wrong', '{3,NULL}')$$, '23514', NULL, 'D2: on some day');

-- D1: the conditions, by hand

SELECT pg_temp.clock('2026-01-01 12:00+00')
\g /dev/null
SELECT kb_create_account('ann', 'free', id, email => 'ann@example.org') FROM unnest('{1,2,3,4}'::int[]) AS id
\g /dev/null
SELECT kb_add_member(1, 'eve', 'employee'), kb_add_member(1, 'bob', 'admin')
\g /dev/null
SELECT pg_temp.clock('2026-01-12 12:00+00'), kb_login(1, 'eve'), kb_apply_topup(1, '5.00 USD', 'card', 'a')
\g /dev/null
SELECT pg_temp.clock('2026-02-10 23:59+00')
\g /dev/null
SELECT is(pg_temp.refusal('SELECT kb_schedule_closure(1, ''support'')'),
	'KB011 It was created 40 days ago, and must be older than 40 days. '
		'It was last used 29 days ago, and must be idle for 30 days. Its balance is 5.00 USD, and must be zero or less.',
	'D1: the error names each condition that is not met');
SELECT throws_ok('SELECT kb_schedule_closure(1, ''support'')', 'KB011', 'account 1 may not be closed', 'D1: and the account');
SELECT is(pg_temp.refusal('SELECT kb_schedule_closure(2, ''support'')'),
	'KB011 It was created 40 days ago, and must be older than 40 days.', 'D1: more than 40 days');
SELECT pg_temp.clock('2026-02-11 00:00+00')
\g /dev/null
SELECT is(pg_temp.refusal('SELECT kb_schedule_closure(1, ''support'')'),
	'KB011 Its balance is 5.00 USD, and must be zero or less.', 'D1: the 41st day, 30 days after the login: only the balance is left');
SELECT is(kb_schedule_closure(2, 'support', 'asked for it'), '2026-02-21', 'D2: ten days ahead');
SELECT is(kb_schedule_closure(2, 'somebody else'), '2026-02-21', 'D2: of one that is closing it gives the day');
SELECT is(pg_temp.story(2), '02-11 scheduled for 02-21 by support asked for it', 'and changes nothing');
SELECT is(pg_temp.notices(2), '02-11 closure_scheduled', 'D2: the owner gets a notice at once');
SELECT is(pg_temp.refusal(format('SELECT kb_schedule_closure(%s)', args)), state, 'KB001, 22004, 22023: ' || args)
FROM (VALUES ('77, ''x''', 'KB001 kbilling.account has no such row.'), ('3, NULL', '22004'), ('NULL, ''x''', '22004'),
	('3, ''''', '22023'), ('3, ''sweep''', '22023 That name is for closures that the sweep schedules by itself.')) AS t (args, state);
SELECT is(pg_temp.refusal('SELECT kb_schedule_closure(3, ''4111 1111 1111 1111'')') ~ '^KB008', true, 'T4: no card number comes in');

-- D3: it works as before, and every member sees the date

SELECT is((SELECT array_agg((kb_access(2, role)).delete_on) FROM unnest(enum_range(NULL::kb_role)) AS role),
	'{2026-02-21,2026-02-21,2026-02-21}', 'D3: every role sees the date');
SELECT is(kb_portal(2, 'ann') ->> 'delete_on', '2026-02-21', 'D3: on the billing page, too');
SELECT results_eq('SELECT state, delete_on FROM account_status WHERE account_id = 2',
	$$VALUES ('closing'::kb_account_state, '2026-02-21'::date)$$, 'D3: and in account_status');
SELECT is((kb_access(2, 'owner')).access, 'full', 'D3: it works as before');

-- D4: cancelled by hand, and by a top-up

SELECT kb_refund(1, '5.00 USD', 'r')
\g /dev/null
SELECT is(kb_schedule_closure(1, 'support'), '2026-02-21', 'D1: paid back, it may be closed');
SELECT is(pg_temp.refusal('SELECT kb_cancel_closure(1, ''eve'')'), 'KB004 Only an owner or admin can cancel it (D4).',
	'D4: an employee does not cancel');
SELECT is(pg_temp.refusal('SELECT kb_cancel_closure(1, ''nobody'')'), 'KB004 kbilling.member has no such row.', 'D4: nor does a stranger');
SELECT is(pg_temp.refusal('SELECT kb_cancel_closure(1, ''bob'')'), 'done', 'D4: an admin does');
SELECT is(pg_temp.refusal('SELECT kb_cancel_closure(1, ''bob'')'), '55000 It is active.', 'D4: once');
SELECT is(pg_temp.story(1), '02-11 scheduled for 02-21 by support; 02-11 cancelled for 02-21 by bob member', 'D4: with who and why');
SELECT is(pg_temp.notices(1), '02-11 closure_scheduled; 02-11 closure_cancelled', 'N5: and a notice');
SELECT is((kb_access(1, 'owner')).delete_on, NULL, 'D4: the date is gone');
SELECT is(pg_temp.refusal('SELECT kb_schedule_closure(1, ''support'')'),
	'KB011 It was last used 0 days ago, and must be idle for 30 days.', 'D4: who cancels uses the account');
SELECT kb_schedule_closure(3, 'support'), kb_adjust(3, '-7.00 USD', 'f', 'a fee'), kb_apply_topup(3, '7.00 USD', 'card', 'a', 'ann')
\g /dev/null
SELECT is(state, 'closing', 'D4: a top-up to zero does not cancel') FROM account WHERE account_id = 3;
SELECT kb_apply_topup(3, '0.01 USD', 'card', 'b', 'ann')
\g /dev/null
SELECT is(state, 'active', 'D4: one above zero does') FROM account WHERE account_id = 3;
SELECT is(pg_temp.story(3), '02-11 scheduled for 02-21 by support; 02-11 cancelled for 02-21 by ann topup', 'D4: by itself');
SELECT kb_apply_topup(3, '0.01 USD', 'card', 'b', 'ann')
\g /dev/null
SELECT is(pg_temp.notices(3), '02-11 closure_scheduled; 02-11 closure_cancelled', 'N3: a replay cancels nothing');

-- The sweep: the whole way

SELECT pg_temp.clock('2026-03-01 00:00+00')
\g /dev/null
SELECT kb_create_account('ann', tariff, id, zone, email => 'ann@example.org') FROM (VALUES
	(11, 'std', 'UTC'), (12, 'std', 'UTC'), (13, 'std', 'UTC'), (14, 'free', 'UTC'), (15, 'free', 'UTC'),
		(16, 'std', 'UTC'), (17, 'chatty', 'UTC'), (18, 'brisk', 'UTC')) AS t (id, tariff, zone)
\g /dev/null
SELECT kb_apply_topup(12, '100.00 USD', 'card', 'a')
\g /dev/null
CALL pg_temp.sweep_days('2026-03-02', '2026-04-15');
SELECT is(pg_temp.story(11), '04-11 scheduled for 04-21 by sweep', 'D1: on the 41st day, not before');
SELECT is(pg_temp.story(12), NULL, 'D1: one with money is not closed');
SELECT is(closure_check_on, NULL, 'W1: nor looked at again') FROM account WHERE account_id = 12;
SELECT pg_temp.clock('2026-04-16 12:00+00'), kb_login(14, 'ann'), kb_apply_topup(13, '100.00 USD', 'card', 'a')
\g /dev/null
CALL pg_temp.sweep_days('2026-04-16', '2026-04-25');
SELECT is(pg_temp.story(11), '04-11 scheduled for 04-21 by sweep; 04-18 reminded for 04-21 by sweep r3; '
	'04-20 reminded for 04-21 by sweep r1; 04-21 deleted for 04-21 by sweep',
	'D2: reminders three days and one day before, and the deletion');
SELECT is(pg_temp.notices(11), '04-11 closure_scheduled; 04-18 closure_reminder; 04-20 closure_reminder; '
	'04-21 account_deleted', 'N5: a notice of each');
SELECT is(pg_temp.story(14), '04-11 scheduled for 04-21 by sweep; 04-18 reminded for 04-21 by sweep r3; '
	'04-20 reminded for 04-21 by sweep r1; 04-21 cancelled for 04-21 by sweep conditions',
	'D4: somebody has logged in: on the date it is cancelled, not carried out');
SELECT is(pg_temp.story(13), '04-11 scheduled for 04-21 by sweep; 04-16 cancelled for 04-21 by top-up topup', 'D4: by a top-up');
SELECT is(pg_temp.story(17), '03-12 scheduled for 03-22 by sweep; 03-15 reminded for 03-22 by sweep r7; '
	'03-17 reminded for 03-22 by sweep r5; 03-20 reminded for 03-22 by sweep r2; 03-22 deleted for 03-22 by sweep; '
	'03-25 purged for 03-22 by sweep',
	'D1, D2, D6: a policy of its own: the reminder of the notice''s day is the notice');
SELECT is(pg_temp.story(18), '03-03 scheduled for 03-06 by sweep; 03-06 deleted for 03-06 by sweep; '
	'03-07 purged for 03-06 by sweep', 'D2: no reminders, if a policy has none');

-- D5: out of reach

SELECT is((SELECT array_agg((kb_access(11, role)).access) FROM unnest(enum_range(NULL::kb_role)) AS role),
	'{denied,denied,denied}', 'D5: a deleted account is out of reach for everyone');
SELECT is((kb_login(11, 'ann')).access, 'denied', 'D5: nobody gets in');
SELECT is(pg_temp.refusal(call), 'KB010 ' || detail, 'D5: ' || call) FROM (VALUES
	('SELECT kb_begin_topup(11, ''ann'', ''1 USD'', ''card'')', 'It is charged no more, and its members cannot act (D5).'),
	('SELECT kb_month_charge(11)', 'It is charged no more, and its members cannot act (D5).'),
	('SELECT kb_add_member(11, ''x'', ''owner'')', 'Nothing about a deleted account is changed.'),
	('SELECT kb_schedule_closure(11, ''x'')', 'Nothing about a deleted account is changed.'),
	('SELECT kb_cancel_closure(11, ''ann'')', 'Nothing about a deleted account is changed.')) AS t (call, detail);

-- S6: the past, and what is to come

SELECT is((kb_access(11, 'owner', at)).access || coalesce(' ' || (kb_access(11, 'owner', at)).delete_on, ''), expected,
	'S6: account 11 on ' || at)
FROM (VALUES
	('2026-04-10 12:00+00'::timestamptz, 'denied'),	-- its debt is of the 1st
	('2026-04-01 12:00+00', 'full'), ('2026-04-11 11:59+00', 'denied'), ('2026-04-11 12:00+00', 'denied 2026-04-21'),
		('2026-04-21 11:59+00', 'denied 2026-04-21'), ('2026-04-22 12:00+00', 'denied 2026-04-21')
) AS t (at, expected);
SELECT is((kb_access(14, 'owner', '2026-04-20 12:00+00')).delete_on, '2026-04-21', 'S6: a date that no longer holds was shown then');
SELECT is((kb_access(14, 'owner', '2026-04-22 12:00+00')).delete_on, NULL, 'S6: and not after it was cancelled');

-- D5: restored, as it was; the months that ended meanwhile are never charged

SELECT is(pg_temp.refusal('SELECT kb_restore_account(14, ''support'')'), '55000 It is active.', 'D5: only a deleted account is restored');
SELECT pg_temp.clock('2026-05-10 23:59+00'), kb_restore_account(11, 'support')
\g /dev/null
SELECT is(pg_temp.refusal('SELECT kb_restore_account(11, ''support'')'), '55000 It is active.', 'D5: once');
SELECT is(charged_through, '2026-04-30', 'D5: April ended while it was deleted') FROM account WHERE account_id = 11;
SELECT is((SELECT string_agg(to_char(period, 'MM'), ' ') FROM entry WHERE account_id = 11), '03', 'D5: and is not charged');
SELECT is((SELECT array_agg(member) FROM member WHERE account_id = 11), '{ann}', 'D5: as it was');
SELECT is(balance::text, '-30.00 USD', 'D5: with its debt') FROM account WHERE account_id = 11;
SELECT is(pg_temp.refusal('SELECT kb_schedule_closure(11, ''support'')'),
	'KB011 It was last used 0 days ago, and must be idle for 30 days.', 'D5: restoring counts as activity');
CALL pg_temp.sweep_days('2026-05-11', '2026-06-08');
SELECT is((SELECT string_agg(format('%s %s', to_char(period, 'MM'), amount), ', ' ORDER BY seq) FROM entry
	WHERE account_id = 11), '03 -30.00 USD, 05 -30.00 USD',
	'D5: the month it is restored in is charged as if nothing had happened');
SELECT is(pg_temp.story(11) ~ '; 05-10 restored by support$', true, 'D5: with who, and the sweep leaves it alone');
CALL pg_temp.sweep_days('2026-06-09', '2026-06-30');
SELECT is(substr(pg_temp.story(11), 147), '05-10 restored by support; 06-09 scheduled for 06-19 by sweep; '
	'06-16 reminded for 06-19 by sweep r3; 06-18 reminded for 06-19 by sweep r1; 06-19 deleted for 06-19 by sweep',
	'D1: for 30 days; then it goes the same way again');

-- D5: the last day of the window, and D6

SELECT pg_temp.clock('2026-07-08 23:59+00')
\g /dev/null
BEGIN;
SELECT is(pg_temp.refusal('SELECT kb_restore_account(11, ''support'')'), 'done', 'D5: on the 20th day it can still be restored');
ROLLBACK;
SELECT pg_temp.clock('2026-07-09 00:00+00')
\g /dev/null
SELECT is(pg_temp.refusal('SELECT kb_restore_account(11, ''support'')'),
	'KB010 It could be restored until 2026-07-08 (D5).', 'D5: then it cannot, though no sweep has come yet');
CALL kb_sweep();
SELECT is(state, 'purged', 'D6: on the 20th day after the deletion it is purged') FROM account WHERE account_id = 11;
SELECT is(pg_temp.refusal('SELECT kb_restore_account(11, ''support'')'), 'KB010 Its data is gone (D6).', 'D6: for good');
SELECT is_empty('SELECT FROM member WHERE account_id = 11 UNION ALL SELECT FROM activity WHERE account_id = 11', 'D6: members are gone');
SELECT is((SELECT count(*) FROM entry WHERE account_id = 11), 2::bigint, 'D6: the journal stays');
SELECT is(pg_temp.refusal('SELECT kb_restore_account(99, ''support'')'), 'KB001 kbilling.account has no such row.', 'KB001');
SELECT is(pg_temp.refusal('SELECT kb_restore_account(11, NULL)'), '22004', '22004');
SELECT throws_ok('DELETE FROM closure_step WHERE account_id = 11', 'KB007', NULL, 'D: the history stays as it is');

-- D7: a late sweep skips no step

SELECT pg_temp.clock('2026-08-01 00:00+00')
\g /dev/null
SELECT kb_create_account('ann', 'free', id) FROM unnest('{21,22,23,24,25}'::int[]) AS id
\g /dev/null
CALL pg_temp.sweep_days('2026-08-01', '2026-12-31', '[2026-09-11,2026-11-10)');
SELECT is(pg_temp.story(21), '11-10 scheduled for 11-20 by sweep; 11-17 reminded for 11-20 by sweep r3; '
	'11-19 reminded for 11-20 by sweep r1; 11-20 deleted for 11-20 by sweep; 12-10 purged for 11-20 by sweep',
	'D7: two months late, the full notice time counts from the day of the notice');
SELECT pg_temp.clock('2027-01-01 00:00+00')
\g /dev/null
SELECT kb_create_account('ann', 'free', 31)
\g /dev/null
CALL pg_temp.sweep_days('2027-02-10', '2027-03-31', '[2027-02-17,2027-02-20)');
SELECT is(pg_temp.story(31), '02-11 scheduled for 02-21 by sweep; 02-20 reminded for 02-21 by sweep r1; '
	'02-21 deleted for 02-21 by sweep; 03-13 purged for 02-21 by sweep',
	'D7: a reminder whose day has passed goes with the next');
SELECT pg_temp.clock('2027-04-01 00:00+00')
\g /dev/null
SELECT kb_create_account('ann', 'free', 32)
\g /dev/null
CALL pg_temp.sweep_days('2027-05-12', '2027-07-31', '[2027-05-18,2027-05-30)');
SELECT is(pg_temp.story(32), '05-12 scheduled for 05-22 by sweep; 05-30 reminded for 05-31 by sweep r1; '
	'05-31 deleted for 05-31 by sweep; 06-20 purged for 05-31 by sweep',
	'D7: all reminders missed: one is given, and the deletion put off by its days');
SELECT is((SELECT facts FROM notice WHERE account_id = 32 AND kind = 'closure_reminder'),
	'{"days": 1, "stage": "ok", "in_debt": false, "delete_on": "2027-05-31", "has_ended": false, "amount_due": "0.00 USD"}',
	'D7: which the reminder says');
SELECT pg_temp.clock('2027-08-01 00:00+00')
\g /dev/null
SELECT kb_create_account('ann', 'free', 33)
\g /dev/null
CALL pg_temp.sweep_days('2027-09-11', '2027-11-30', '[2027-09-21,2027-10-01)');
SELECT is(pg_temp.story(33), '09-11 scheduled for 09-21 by sweep; 09-18 reminded for 09-21 by sweep r3; '
	'09-20 reminded for 09-21 by sweep r1; 10-01 deleted for 10-01 by sweep; 10-21 purged for 10-01 by sweep',
	'D7: the deletion itself is late, and the days to restore count from when it was done');

-- D4: the balance is above zero on the date, though not by a top-up

SELECT pg_temp.clock('2027-12-01 00:00+00')
\g /dev/null
SELECT kb_create_account('ann', 'free', 34)
\g /dev/null
CALL pg_temp.sweep_days('2028-01-11', '2028-01-20');
SELECT kb_adjust(34, '3.00 USD', 'g', 'a gift')
\g /dev/null
SELECT is(state, 'closing', 'D4: only a top-up cancels by itself') FROM account WHERE account_id = 34;
CALL pg_temp.sweep_days('2028-01-21', '2028-02-20');
SELECT is(pg_temp.story(34), '01-11 scheduled for 01-21 by sweep; 01-18 reminded for 01-21 by sweep r3; '
	'01-20 reminded for 01-21 by sweep r1; 01-21 cancelled for 01-21 by sweep conditions',
	'D4: but nothing is deleted that has money');
SELECT kb_adjust(34, '-3.00 USD', 'h', 'taken back')
\g /dev/null
SELECT is(closure_check_on, '2028-02-20', 'D1: when the balance has gone, it is looked at again') FROM account WHERE account_id = 34;
CALL kb_sweep();
SELECT is(pg_temp.story(34) ~ '; 02-20 scheduled for 03-01 by sweep$', true, 'D1: and closed; 2028 is a leap year');

-- A policy that does it all in two days

SELECT kb_create_account('ann', 'instant', 41)
\g /dev/null
CALL pg_temp.sweep_days('2028-02-21', '2028-02-23');
SELECT is(pg_temp.story(41), '02-21 scheduled for 02-22 by sweep; 02-22 deleted for 02-22 by sweep; '
	'02-23 purged for 02-22 by sweep', 'D2, D6: a day each');
SELECT throws_ok($$INSERT INTO policy (policy, restore_days) VALUES ('wrong', 0)$$, '23514', NULL,
	'D5: there is a day to restore, as there is one to be told');

-- A policy that changes meanwhile counts from the next day on

INSERT INTO policy (policy, reminder_days) VALUES ('moody', '{3,1}');
SELECT kb_create_tariff('moody', 'USD', policy => 'moody'), kb_create_account('ann', 'moody', 42, created_at => '2028-01-01 00:00+00')
\g /dev/null
CALL pg_temp.sweep_days('2028-02-24', '2028-02-25');
UPDATE policy SET reminder_days = '{5,1}' WHERE policy = 'moody';
CALL pg_temp.sweep_days('2028-02-26', '2028-03-05');
SELECT is(pg_temp.story(42), '02-24 scheduled for 03-05 by sweep; 02-29 reminded for 03-05 by sweep r5; '
	'03-04 reminded for 03-05 by sweep r1; 03-05 deleted for 03-05 by sweep', 'D2: reminders by the new policy, and a leap day');

-- What is to come

SELECT pg_temp.clock('2028-03-06 12:00+00'), kb_create_account('ann', 'std', 43, created_at => '2028-01-01 00:00+00'),
	kb_create_account('ann', 'std', 44, created_at => '2028-01-01 00:00+00')
\g /dev/null
CALL kb_sweep();
SELECT results_eq('SELECT account_id, delete_on FROM account WHERE account_id IN (43, 44) ORDER BY 1',
	$$VALUES (43::bigint, '2028-03-16'::date), (44, '2028-03-16')$$, 'D1: two that are closing');
SELECT pg_temp.clock('2028-03-07 12:00+00'), kb_cancel_closure(44, 'ann')
\g /dev/null
SELECT is((SELECT array_agg((kb_access(id, 'owner', at)).access ORDER BY at)
	FROM unnest('{2028-03-15,2028-03-17,2028-05-02}'::timestamptz[]) AS at), access::kb_access[], 'S6: account ' || id)
FROM (VALUES (43, '{denied,denied,denied}'), (44, '{denied,denied,denied}')) AS t (id, access);
SELECT is(kb_balance(43, '2028-06-02 12:00+00'), '-60.00 USD', 'S6, D5: months after the deletion are not charged');
SELECT is(kb_balance(44, '2028-06-02 12:00+00'), '-150.00 USD', 'S6: those of an account that goes on are');
SELECT is(kb_amount_for(43, 1), '90.00 USD', 'kb_amount_for: who pays keeps the account');
SELECT kb_cancel_closure(43, 'ann')
\g /dev/null

-- Usage of months that are never charged

SELECT pg_temp.clock('2028-03-01 00:00+00')
\g /dev/null
SELECT kb_create_service('s', 'metered'), kb_create_service('m', 'metered', aggregation => 'max'),
	kb_set_price('logins', 's', '1.00 each'), kb_set_price('logins', 'm', '1.00 each'), kb_create_account('ann', 'logins', 51)
\g /dev/null
CALL pg_temp.sweep_days('2028-04-10', '2028-04-20');
SELECT kb_record_usage(51, 's', 5, 'a'), kb_record_usage(51, 'm', 7, 'a'), kb_record_usage(51, 's', 2, 'b', '2028-03-10 12:00+00')
\g /dev/null
CALL pg_temp.sweep_days('2028-04-21', '2028-05-01');
SELECT is(state, 'deleted', 'D1: where the policy counts logins alone, usage is no activity') FROM account WHERE account_id = 51;
SELECT kb_restore_account(51, 'support'), kb_record_usage(51, 's', 3, 'c')
\g /dev/null
SELECT is((SELECT string_agg(format('%s %s', what, quantity), ', ' ORDER BY line_no) FROM kb_current_usage(51)
	WHERE service <> 'base'), 'usage 3, late usage 2', 'D5, U3: what was used in a month that is never charged is not, '
	'either; what comes late for one that was, is');
SELECT kb_record_usage(51, 's', -5, 'a-', '2028-04-20 12:00+00'), kb_record_usage(51, 'm', -7, 'a-', '2028-04-20 12:00+00'),
	kb_record_usage(51, 's', 50, 'd', '2028-04-20 12:00+00'), kb_record_usage(51, 'm', 9, 'd', '2028-04-20 12:00+00')
\g /dev/null
SELECT is((SELECT string_agg(format('%s %s', what, quantity), ', ' ORDER BY line_no) FROM kb_current_usage(51)
	WHERE service <> 'base'), 'usage 3, late usage 2', 'D5: nor is it given back, nor charged if it comes after');
CALL pg_temp.sweep_days('2028-05-02', '2028-06-01');
SELECT is((SELECT string_agg(format('%s %s', to_char(period, 'MM'), amount), ', ' ORDER BY seq) FROM entry
	WHERE account_id = 51), '03 -30.00 USD, 05 -35.00 USD', 'D5: nor is any of it on the next bill');

-- An account that cannot be charged is not deleted

SELECT kb_create_account('ann', 'std', 52, created_at => '2028-05-01 00:00+00')
\g /dev/null
CALL pg_temp.sweep_days('2028-06-10', '2028-06-20');
SELECT kb_adjust(52, '-90071992547370.00 USD', 'deep', 'as deep as it goes')
\g /dev/null
-- no sweep until July
CALL pg_temp.sweep_days('2028-07-01', '2028-07-05');
SELECT is(state, 'closing', 'D5: the month that ended before is charged first: while it cannot be, nothing is deleted')
	FROM account WHERE account_id = 52;
SELECT kb_adjust(52, '90000000000000.00 USD', 'up', 'put right')
\g /dev/null
CALL pg_temp.sweep_days('2028-07-06', '2028-07-09');
SELECT is(state, 'deleted', 'D5: then it is') FROM account WHERE account_id = 52;
SELECT is((SELECT max(period) FROM entry WHERE account_id = 52), '2028-06-01', 'D5: and its months are charged');

SELECT is_empty('SELECT * FROM kb_check()', 'J2, D2, N1: the books are right');
SELECT * FROM finish();
