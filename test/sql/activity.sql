-- What keeps an account from being closed, and what does not (D1, D7)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/clock.sql
\ir ../include/error.sql

INSERT INTO policy (policy, activity, close_unused) VALUES ('logins', 'logins', true), ('never', 'any', false);
SELECT kb_create_tariff('free', 'USD'), kb_create_tariff('paid', 'USD'), kb_set_price('paid', 'base', '50.00'),
	kb_create_tariff('logins', 'USD', policy => 'logins'), kb_create_tariff('never', 'USD', policy => 'never'),
	kb_create_service('calls', 'metered'), kb_set_price(t, 'calls', '0.00 each')
	FROM unnest('{free,paid,logins,never}'::text[]) AS t
	WHERE t = 'free'
\g /dev/null
SELECT kb_set_price(t, 'calls', '0.00 each') FROM unnest('{paid,logins,never}'::text[]) AS t
\g /dev/null
CREATE TABLE call_log (id bigint GENERATED ALWAYS AS IDENTITY, account_id bigint, calls integer);
CREATE TRIGGER meter AFTER INSERT ON call_log REFERENCING NEW TABLE AS added FOR EACH STATEMENT
	EXECUTE FUNCTION kb_meter('calls', 'account_id', 'calls');

-- What people do: a call for each account, on the days on which it is due
CREATE TABLE habit (account_id bigint, call text, every integer NOT NULL, until date NOT NULL DEFAULT 'infinity');
CREATE SEQUENCE key;
CREATE FUNCTION pg_temp.does(account bigint, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CASE what
		WHEN 'login' THEN PERFORM kb_login(account, 'ann');
		WHEN 'act' THEN PERFORM kb_act_as(account, 'ann');
		WHEN 'begin' THEN PERFORM kb_begin_topup(account, 'ann', '5.00 USD', 'card');
		WHEN 'pay' THEN PERFORM kb_apply_topup(account, '50.00 USD', 'card', 'p' || nextval('key'));
		WHEN 'pay and go' THEN PERFORM kb_apply_topup(account, '50.00 USD', 'card', 'p' || nextval('key')),
			kb_adjust(account, '-50.00 USD', 'a' || nextval('key'), 'spent');
		WHEN 'call' THEN PERFORM kb_record_usage(account, 'calls', 3, 'u' || nextval('key'));
		WHEN 'batch' THEN PERFORM kb_record_usage_batch(jsonb_build_array(jsonb_build_object('account_id', account, 'service', 'calls',
			'quantity', 3, 'key', 'u' || nextval('key'))));
		WHEN 'meter' THEN INSERT INTO call_log (account_id, calls) VALUES (account, 3);
		WHEN 'late' THEN PERFORM kb_record_usage(account, 'calls', 3, 'u' || nextval('key'), kb_now() - interval '20 days');
		WHEN 'repeat' THEN PERFORM kb_record_usage(account, 'calls', 3, 'same');
		WHEN 'gift' THEN PERFORM kb_adjust(account, '1.00 USD', 'g' || nextval('key'), 'x'),
			kb_adjust(account, '-1.00 USD', 'g' || nextval('key'), 'x');
		WHEN 'nothing' THEN NULL;
	END CASE;
END $$;
-- Each day what is due at ten, and a sweep at noon
CREATE PROCEDURE pg_temp.days(from_day date, to_day date) LANGUAGE plpgsql AS $$
DECLARE
	day date;
BEGIN
	FOR day IN SELECT generate_series(from_day::timestamp, to_day, '1 day')::date LOOP
		PERFORM pg_temp.clock(timezone('UTC', day + time '10:00'));
		PERFORM pg_temp.does(h.account_id, h.call) FROM habit h JOIN account a USING (account_id)
			WHERE a.state <> 'deleted' AND a.state <> 'purged' AND (day - from_day) % h.every = 0 AND day <= h.until;
		PERFORM pg_temp.clock(timezone('UTC', day + time '12:00'));
		COMMIT;
		CALL kb_sweep();
	END LOOP;
END $$;
CREATE FUNCTION pg_temp.story(id bigint) RETURNS text LANGUAGE sql
	RETURN (SELECT string_agg(concat_ws(' ', to_char(taken_on, 'MM-DD'), step, 'by ' || taken_by, reason), '; ' ORDER BY step_no)
		FROM closure_step WHERE account_id = id);
CREATE FUNCTION pg_temp.active(account bigint) RETURNS text LANGUAGE sql
	RETURN (SELECT to_char(active_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') FROM activity WHERE account_id = account);

-- The customer who pays on time each month and calls by API daily, and never logs in; and each kind of activity alone

SELECT pg_temp.clock('2026-01-01 09:00+00')
\g /dev/null
INSERT INTO habit (account_id, call, every) VALUES
	(1, 'pay', 30), (1, 'call', 1), (2, 'login', 29), (3, 'act', 29), (4, 'begin', 29), (5, 'pay and go', 29), (6, 'call', 29),
	(7, 'batch', 29), (8, 'meter', 29), (9, 'late', 29), (10, 'nothing', 29), (11, 'repeat', 29), (12, 'gift', 29),
	(21, 'login', 29), (22, 'act', 29), (23, 'begin', 29), (24, 'pay and go', 29), (25, 'call', 29), (26, 'meter', 29),
	(31, 'nothing', 29);
SELECT kb_create_account('ann', CASE WHEN account_id = 1 THEN 'paid' WHEN account_id < 20 THEN 'free' WHEN account_id < 30 THEN 'logins'
	ELSE 'never' END, account_id, email => 'ann@example.org') FROM (SELECT DISTINCT account_id FROM habit) AS h
\g /dev/null
CALL pg_temp.days('2026-01-21', '2026-12-31');
SELECT is(pg_temp.story(account_id), NULL, format('D1: an account is alive after a year of %s', string_agg(call, ' and ' ORDER BY call)))
FROM habit WHERE account_id <= 9 GROUP BY account_id;
SELECT is(state, 'active', 'D1: with policy "any"') FROM account WHERE account_id = 1;
SELECT is(pg_temp.story(account_id), '02-11 scheduled by sweep; 02-18 reminded by sweep; 02-20 reminded by sweep; '
	'02-21 deleted by sweep; 03-13 purged by sweep', format('D1: one with %s is closed', call))
FROM habit WHERE account_id IN (10, 12);
SELECT is(pg_temp.story(11), '02-20 scheduled by sweep; 02-27 reminded by sweep; 03-01 reminded by sweep; '
	'03-02 deleted by sweep; 03-22 purged by sweep', 'D1, U1: one whose usage is known is closed, 30 days after it was new');
SELECT is(pg_temp.story(21), NULL, 'D1: where logins alone count, one who logs in is alive');
SELECT is(pg_temp.story(account_id), '02-11 scheduled by sweep; 02-18 reminded by sweep; 02-20 reminded by sweep; '
	'02-21 deleted by sweep; 03-13 purged by sweep', format('D1: where logins alone count, one with %s is closed', call))
FROM habit WHERE account_id BETWEEN 22 AND 26 AND account_id <> 24;
SELECT is(pg_temp.story(24), '02-11 scheduled by sweep; 02-18 reminded by sweep; 02-19 cancelled by top-up topup; '
	'02-19 scheduled by sweep; 02-26 reminded by sweep; 02-28 reminded by sweep; 03-01 deleted by sweep; 03-21 purged by sweep',
	'D1, D4: there a top-up cancels, but once it is spent, it is no activity');
SELECT is(pg_temp.story(31), NULL, 'D1: without close_unused the sweep closes nothing');
SELECT is((SELECT count(*) FROM closure_step WHERE account_id < 10), 0::bigint, 'D1: nor were they told of a closure');

-- W1: an idle sweep does not look at each account each day

SELECT is((SELECT count(*) FROM account WHERE state = 'active' AND closure_check_on <= '2027-01-01'), 0::bigint,
	'W1: nobody is looked at the next day');
SELECT is(closure_check_on - '2026-12-31'::date BETWEEN 1 AND 30, true, 'D1: one that is never closed is looked at within 30 days')
FROM account WHERE account_id = 31;

-- close_unused: by hand, while a closure is under way, and on again

SELECT is(kb_schedule_closure(31, 'support', 'asked for it'), '2027-01-10', 'D1: without close_unused it is closed by hand');
UPDATE policy SET close_unused = true WHERE policy = 'never';
SELECT kb_create_account('ann', 'never', id, created_at => '2026-06-01 00:00+00') FROM generate_series(32, 33) AS id
\g /dev/null
CALL pg_temp.days('2027-01-01', '2027-01-03');
SELECT is(pg_temp.story(32), '01-01 scheduled by sweep', 'D1: one is closed by the sweep');
UPDATE policy SET close_unused = false WHERE policy = 'never';
SELECT is((kb_access(32, 'owner', '2027-01-20 12:00+00')).access, 'full', 'S6: when it is off, no deletion is foretold');
SELECT is((kb_access(31, 'owner', '2027-01-20 12:00+00')).access, 'denied', 'S6: but that by hand is');
CALL pg_temp.days('2027-01-04', '2027-01-12');
SELECT is(pg_temp.story(32), '01-01 scheduled by sweep; 01-04 cancelled by sweep conditions',
	'D1: a closure by the sweep that is under way when close_unused is switched off is cancelled at its next look');
SELECT is(pg_temp.story(31), '12-31 scheduled by support asked for it; 01-07 reminded by sweep; 01-09 reminded by sweep; '
	'01-10 deleted by sweep', 'D1: one by hand is carried out');
UPDATE policy SET close_unused = true WHERE policy = 'never';
CALL pg_temp.days('2027-01-13', '2027-02-05');
SELECT is(pg_temp.story(32) ~ '; 02-0[1-4] scheduled by sweep$', true,
	'D1: switched on again, the sweep sees it within 30 days');

-- D4: activity while it is closing, by the sweep; a member's cancellation, a restore

SELECT pg_temp.clock('2027-03-01 10:00+00')
\g /dev/null
SELECT kb_create_account('ann', 'free', id, created_at => '2027-01-01 00:00+00') FROM generate_series(40, 47) AS id
\g /dev/null
CALL pg_temp.days('2027-03-01', '2027-03-05');
SELECT pg_temp.does(id, what) FROM (VALUES (40, 'act'), (41, 'call'), (42, 'begin'), (43, 'pay and go'), (44, 'nothing'), (45, 'login'),
	(46, 'late')) AS t (id, what)
\g /dev/null
SELECT kb_cancel_closure(47, 'ann')
\g /dev/null
SELECT is((kb_access(id, 'owner', '2027-03-20 12:00+00')).access, CASE id WHEN 44 THEN 'denied' ELSE 'full' END::kb_access,
	'D4, S6: what is foretold of ' || id) FROM generate_series(40, 46) AS id;
CALL pg_temp.days('2027-03-06', '2027-04-02');
SELECT is(pg_temp.story(id), '03-01 scheduled by sweep; 03-08 reminded by sweep; 03-10 reminded by sweep; '
	|| CASE id WHEN 44 THEN '03-11 deleted by sweep; 03-31 purged by sweep' ELSE '03-11 cancelled by sweep conditions' END,
	'D4: on the date, ' || CASE id WHEN 44 THEN 'deleted' ELSE 'cancelled: it was used' END)
FROM unnest('{40,41,42,44,45,46}'::int[]) AS id;
SELECT is(pg_temp.story(43), '03-01 scheduled by sweep; 03-05 cancelled by top-up topup', 'D4: a top-up cancels by itself');
CALL pg_temp.days('2027-04-03', '2027-04-04');
SELECT is((SELECT array_agg(DISTINCT pg_temp.story(id) ~ '; 04-04 scheduled by sweep$')
	FROM unnest('{40,41,42,43,45,46,47}'::int[]) AS id), '{t}', 'D1: idle for 30 days after the 5th of March, it goes the same way again');

-- D1: the boundary days, in the account's time zone

SELECT pg_temp.clock('2027-05-01 00:00+00')
\g /dev/null
SELECT kb_create_account('ann', 'free', 50, 'Pacific/Auckland', created_at => '2027-03-01 00:00+00'),
	kb_create_account('ann', 'free', 51, created_at => '2027-03-22 00:00+00')
\g /dev/null
-- 11:59 is the 1st of May there, 12:01 the 2nd
SELECT pg_temp.clock('2027-05-01 11:59+00'), kb_record_usage(50, 'calls', 1, 'x', '2027-04-10 00:00+00')
\g /dev/null
SELECT pg_temp.clock('2027-05-30 11:59+00')
\g /dev/null
SELECT is(pg_temp.refusal('SELECT kb_schedule_closure(50, ''x'')'), 'KB011 It was last used 29 days ago, and must be idle for 30 days.',
	'D1: usage counts when it is recorded, and 29 days are too few');
SELECT pg_temp.clock('2027-05-30 12:01+00')
\g /dev/null
SELECT is(pg_temp.refusal('SELECT kb_schedule_closure(50, ''x'')'), 'done', 'D1: 30 are enough');
SELECT pg_temp.clock('2027-05-01 00:00+00')
\g /dev/null
SELECT is(pg_temp.refusal('SELECT kb_schedule_closure(51, ''x'')'), 'KB011 It was created 40 days ago, and must be older than 40 days.',
	'D1: created 40 days ago');
SELECT pg_temp.clock('2027-05-02 00:00+00')
\g /dev/null
SELECT is(pg_temp.refusal('SELECT kb_schedule_closure(51, ''x'')'), 'done', 'D1: 41 days ago');

-- D7: who acts is noted as who logs in: once an hour, where access allows it, where the policy counts it, and where one may write

SELECT pg_temp.clock('2027-06-01 00:00+00')
\g /dev/null
SELECT kb_create_account('ann', 'free', 60), kb_create_account('ann', 'logins', 61), kb_create_account('ann', 'free', 62)
\g /dev/null
CREATE FUNCTION pg_temp.acts(account bigint, at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.clock(at);
	PERFORM kb_act_as(account, 'ann');
	RETURN coalesce(pg_temp.active(account), 'nothing');
END $$;
SELECT is(pg_temp.acts(60, at), noted, 'D7: act at ' || at) FROM (VALUES
	('2027-06-01 12:00+00'::timestamptz, '06-01 12:00'), ('2027-06-01 12:59:59+00', '06-01 12:00'), ('2027-06-01 13:00+00', '06-01 13:00'),
	('2027-06-01 12:30+00', '06-01 13:00')) AS t (at, noted);
SELECT pg_temp.clock('2027-06-01 13:59+00'), kb_login(60, 'ann')
\g /dev/null
SELECT is(pg_temp.active(60), '06-01 13:00', 'D7: a login within the hour of an act is not written');
SELECT is(pg_temp.acts(61, '2027-06-01 12:00+00'), 'nothing', 'D1: where logins alone count, an act is not noted');
SELECT kb_login(61, 'ann')
\g /dev/null
SELECT is(pg_temp.active(61), '06-01 12:00', 'D1: a login is');
SELECT kb_adjust(62, '-1.00 USD', 'debt', 'debt')
\g /dev/null
SELECT is(pg_temp.acts(62, '2027-06-09 12:00+00'), '06-09 12:00', 'D7: where access is not denied, it is noted');
SELECT is(pg_temp.acts(62, '2027-06-12 12:00+00'), '06-09 12:00', 'D7: where it is denied, it is not');
SELECT pg_temp.clock('2027-06-13 12:00+00')
\g /dev/null
BEGIN READ ONLY;
SELECT is(pg_temp.refusal('SELECT kb_act_as(60, ''ann'')'), 'done', 'D7: one may act in a read-only transaction');
SELECT is(pg_temp.active(60), '06-01 13:00', 'D7: which notes nothing');
SELECT is((kb_login(60, 'ann')).access, 'full', 'D7: and log in');
COMMIT;
SELECT is(pg_temp.active(60), '06-01 13:00', 'D7: which notes nothing either');
SELECT is(pg_temp.refusal('SELECT kb_act_as(60, ''eve'')'), 'KB004 kbilling.member has no such row.', 'KB004: a stranger');
SELECT is(pg_temp.refusal('SELECT kb_act_as(99, ''eve'')'), 'KB001 kbilling.account has no such row.', 'KB001: no such account');
SELECT is(pg_temp.active(60), '06-01 13:00', 'D7: nobody''s act is noted');
SELECT ctid AS ctid, xmin AS xmin, xmax AS xmax FROM account WHERE account_id = 60
\gset
SELECT pg_temp.acts(60, '2027-06-13 12:00+00')
\g /dev/null
SELECT is((SELECT format('%s %s %s', ctid, xmin, xmax) FROM account WHERE account_id = 60), :'ctid' || ' ' || :'xmin' || ' '
	|| :'xmax', 'D7: the account''s own row is neither written nor locked');

SELECT is_empty('SELECT * FROM kb_check()', 'J2, D2, N1: the books are right');
SELECT * FROM finish();
