-- Where an account stands: now, then and ahead (S1, S3 to S6)
BEGIN;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/state.sql

SET LOCAL kbilling.clock = '2026-11-01 12:00+00';
INSERT INTO policy (policy, remind_day, restrict_day, block_day) VALUES ('swift', 2, 3, 5);
INSERT INTO policy (policy, debt_counts_from) VALUES ('by_posting', 'posting_date');
SELECT kb_create_tariff('std', 'USD'), kb_set_price('std', 'base', '30.00'),
	kb_create_tariff('swift', 'USD', policy => 'swift'), kb_set_price('swift', 'base', '30.00'),
	kb_create_tariff('posting', 'USD', policy => 'by_posting'), kb_set_price('posting', 'base', '30.00')
\g /dev/null
SELECT kb_create_account('olena', tariff, id, zone, created_at => '2026-11-01 00:00+00') FROM (VALUES
	(1, 'std', 'UTC'), (2, 'std', 'UTC'), (3, 'std', 'UTC'), (4, 'std', 'UTC'), (5, 'std', 'UTC'), (6, 'swift', 'UTC'),
	(7, 'std', 'Pacific/Kiritimati'), (8, 'std', 'Etc/GMT+12'), (9, 'posting', 'Europe/Kyiv'), (10, 'std', 'UTC')
) AS t (id, tariff, zone)
\g /dev/null

\ir ../include/clock.sql

-- A month that is not paid: what is answered on the day

CREATE TEMP TABLE answer (account_id bigint, at timestamptz, balance kb_money, stage kb_stage, decision kb_access_decision);
CREATE FUNCTION pg_temp.answer(bigint) RETURNS void LANGUAGE sql BEGIN ATOMIC
	INSERT INTO answer SELECT $1, kb_now(), kb_balance($1), kb_access_stage($1), kb_access($1, 'owner');
END;
DO $$
DECLARE
	at timestamptz;
BEGIN
	FOR day IN 1..40 LOOP
		at = timestamptz '2026-11-30 00:00+00' + day * interval '1 day';
		PERFORM pg_temp.clock(at + interval '11 hours');
		IF day IN (1, 32) THEN	-- the 1st
			PERFORM kb_month_charge(1);
		ELSIF day = 5 THEN
			PERFORM kb_apply_topup(1, '10.00 USD', 'card', 'a part');
		ELSIF day = 8 THEN
			PERFORM kb_defer(1, '2026-12-12', 'support', 'wants to pay on the 12th');
		ELSIF day = 20 THEN
			PERFORM kb_apply_topup(1, '20.00 USD', 'card', 'the rest');
		ELSIF day = 25 THEN
			PERFORM kb_adjust(1, '-5.00 USD', 'fee', 'a fee');
		END IF;
		PERFORM pg_temp.clock(at + interval '12 hours');
		PERFORM pg_temp.answer(1);
	END LOOP;
END $$;
SELECT is((SELECT array_agg(DISTINCT stage) FROM answer WHERE at::date BETWEEN first_day::date AND last_day::date),
	array[stage]::kb_stage[],
	format('%s: %s', rule, description))
FROM (VALUES
	('S2', '2026-12-01', '2026-12-03', 'grace', 'charged on the 1st, the days 1 to 3'),
	('S1', '2026-12-04', '2026-12-06', 'remind', 'a part paid on the 5th does not stop the clock'),
	('S2', '2026-12-07', '2026-12-07', 'restrict', 'day 7'),
	('S4', '2026-12-08', '2026-12-12', 'grace', 'deferred on the 8th until the end of the 12th'),
	('S4', '2026-12-13', '2026-12-19', 'blocked', 'the day after it is what S2 says'),
	('S1', '2026-12-20', '2026-12-24', 'ok', 'all repaid on the 20th'),
	('S1', '2026-12-25', '2026-12-27', 'grace', 'a later debt starts anew'),
	('S1', '2026-12-28', '2026-12-30', 'remind', 'and goes its way'),
	('S1', '2026-12-31', '2027-01-02', 'restrict', 'which a further charge on the 1st does not start again'),
	('S1', '2027-01-03', '2027-01-09', 'blocked', 'to its end')
) AS t (rule, first_day, last_day, stage, description);
SELECT is((SELECT balance FROM answer WHERE at::date = day::date)::text, balance, 'J2: the balance on ' || day)
FROM (VALUES ('2026-12-01', '-30.00 USD'), ('2026-12-05', '-20.00 USD'), ('2026-12-20', '0.00 USD'),
	('2026-12-25', '-5.00 USD'), ('2027-01-01', '-35.00 USD')) AS t (day, balance);

-- S6, the past: asked for afterwards

SELECT pg_temp.clock('2027-06-01 12:00+00')
\g /dev/null
SELECT kb_apply_topup(1, '500.00 USD', 'card', 'late'), kb_defer(1, '2027-12-31', 'support', 'for ever')
\g /dev/null
SELECT results_eq('SELECT at, kb_balance(1, at), kb_access_stage(1, at), kb_access(1, ''owner'', at) FROM answer ORDER BY at',
	'SELECT at, balance, stage, decision FROM answer ORDER BY at', 'S6: each day of it is answered afterwards as it was on the day');
SELECT is(kb_access_stage(1, at::timestamptz), stage::kb_stage, format('S6: at %s it was %s', at, stage)) FROM (VALUES
	('2026-11-01 00:00+00', 'ok'),
	('2020-01-01 00:00+00', 'ok'),
	('2026-12-01 10:59:59.999999+00', 'ok'),
	('2026-12-01 11:00+00', 'grace'),
	('2026-12-03 23:59:59.999999+00', 'grace'),
	('2026-12-04 00:00+00', 'remind'),
	('2026-12-08 10:59:59.999999+00', 'restrict'),
	('2026-12-08 11:00+00', 'grace'),
	('2026-12-12 23:59:59.999999+00', 'grace'),
	('2026-12-13 00:00+00', 'blocked'),
	('2026-12-20 10:59:59.999999+00', 'blocked'),
	('2026-12-20 11:00+00', 'ok')
) AS t (at, stage);

SELECT pg_temp.clock('2026-12-02 12:00+00')
\g /dev/null
SELECT pg_temp.answer(2)
\g /dev/null
SELECT pg_temp.clock('2026-12-03 15:00+00')
\g /dev/null
SELECT kb_month_charge(2)
\g /dev/null
SELECT is((SELECT stage FROM answer WHERE account_id = 2), 'ok', 'S6: on the 2nd nothing was charged yet');
SELECT is(kb_access_stage(2, '2026-12-02 12:00+00'), 'ok', 'S6: a charge that was posted late does not change what was answered before');
SELECT is(kb_access_stage(2, '2026-12-03 15:00+00'), 'grace', 'S6, C5: from then on it counts from the 1st');
SELECT is(kb_access_stage(2, '2026-12-04 00:00+00'), 'remind', 'S6, C5: so that the 4th is day 4');
SELECT is(kb_balance(2, kb_now()), kb_balance(2), 'S6: now is now');

-- S6, ahead

SELECT pg_temp.clock('2026-11-20 12:00+00')
\g /dev/null
SELECT kb_apply_topup(3, '10.00 USD', 'card', 'a'), kb_apply_topup(4, '45.00 USD', 'card', 'a'), kb_adjust(5, '-1.00 USD', 'a', 'fee'),
	kb_defer(5, '2026-12-05', 'support', 'a promise')
\g /dev/null
SELECT is((kb_balance(id, at::timestamptz), kb_access_stage(id, at::timestamptz))::text, format('("%s USD",%s)', balance, stage),
	format('S6: on the 20th account %s is told that at %s it has %s USD and is %s', id, at, balance, stage))
FROM (VALUES
	(3, '2026-11-20 12:00+00', 10.00, 'ok'),
	(3, '2026-11-30 23:59:59.999999+00', 10.00, 'ok'),
	(3, '2026-12-01 00:00+00', -20.00, 'grace'),
	(3, '2026-12-04 12:00+00', -20.00, 'remind'),
	(3, '2026-12-12 12:00+00', -20.00, 'blocked'),
	(3, '2027-01-01 00:00+00', -50.00, 'blocked'),
	(4, '2026-12-12 12:00+00', 15.00, 'ok'),
	(4, '2027-01-01 00:00+00', -15.00, 'grace'),
	(4, '2027-01-12 12:00+00', -15.00, 'blocked'),
	(4, '2027-03-01 00:00+00', -75.00, 'blocked'),
	(5, '2026-11-20 12:00+00', -1.00, 'grace'),
	(5, '2026-11-30 12:00+00', -1.00, 'grace'),	-- day 11, deferred
	(5, '2026-12-05 23:59+00', -31.00, 'grace'),
	(5, '2026-12-06 00:00+00', -31.00, 'blocked'),	-- day 17
	(6, '2026-12-02 12:00+00', -30.00, 'remind'),
	(6, '2026-12-05 12:00+00', -30.00, 'blocked'),
	(7, '2026-11-30 09:59+00', 0.00, 'ok'),
	(7, '2026-11-30 10:00+00', -30.00, 'grace'),
	(8, '2026-12-01 11:59+00', -0.97, 'blocked'),	-- it began on the 31st of October
	(8, '2026-12-01 12:00+00', -30.97, 'blocked')
) AS t (id, at, balance, stage);

-- What was foretold comes true, if the months are charged and nothing is paid; somebody is there, so that none is closed

INSERT INTO activity SELECT id, '2099-01-01' FROM unnest('{3,5,6,9}'::int[]) AS id;

CREATE TEMP TABLE foretold AS
	SELECT id AS account_id, at, kb_balance(id, at) AS balance, kb_access(id, 'admin', at) AS decision
	FROM unnest('{3,5,6,9}'::int[]) AS id, generate_series(timestamptz '2026-11-21 13:00+00', '2027-01-15', '1 day') AS at;
CREATE TEMP TABLE seen (LIKE foretold);
DO $$
DECLARE
	t timestamptz;
	id bigint;
BEGIN
	FOR t IN SELECT DISTINCT at FROM foretold ORDER BY at LOOP
		PERFORM pg_temp.clock(t);
		FOREACH id IN ARRAY '{3,5,6,9}'::int[] LOOP
			WHILE (SELECT kb_month_last_day(charged_through + 1) < kb_local_date(t, time_zone) FROM account WHERE account_id = id) LOOP
				PERFORM kb_month_charge(id);
			END LOOP;
			INSERT INTO seen SELECT id, t, kb_balance(id), kb_access(id, 'admin');
		END LOOP;
	END LOOP;
END $$;
SELECT results_eq('SELECT * FROM seen ORDER BY 1, 2', 'SELECT * FROM foretold ORDER BY 1, 2',
	'S6: what was foretold for two months comes true, day by day');

-- What is asked for wrongly

SELECT throws_ok('SELECT ' || call, state, NULL, format('S6: error %s of %s', state, call)) FROM (VALUES
	('kb_balance(999)', 'KB001'), ('kb_balance(999, now())', 'KB001'),
	('kb_access_stage(999)', 'KB001'), ('kb_access_stage(999, now())', 'KB001'),
	('kb_access(999, ''owner'')', 'KB001'), ('kb_access(999, ''owner'', now())', 'KB001'),
	('kb_balance(NULL)', '22004'), ('kb_balance(NULL, now())', '22004'), ('kb_balance(1, NULL)', '22004'),
	('kb_access_stage(NULL::bigint)', '22004'), ('kb_access_stage(NULL, now())', '22004'),
	('kb_access_stage(1::bigint, NULL::timestamptz)', '22004'),
	('kb_access(NULL, ''owner'')', '22004'), ('kb_access(NULL, ''owner'', now())', '22004'), ('kb_access(1, ''owner'', NULL)', '22004'),
	('kb_access(1, NULL)', '22004'), ('kb_access(1, NULL, now())', '22004'),
	('kb_balance(1, ''infinity'')', '22008'), ('kb_balance(1, ''-infinity'')', '22008'),
	('kb_access_stage(1::bigint, timestamptz ''infinity'')', '22008'), ('kb_access(1, ''owner'', ''-infinity'')', '22008'),
	('kb_balance(1, kb_now() + interval ''100 years 1 second'')', '22008')
) AS t (call, state);
SELECT lives_ok($$SELECT kb_balance(1, kb_now() + interval '100 years')$$, 'S6: a hundred years ahead can be asked for');

-- S3: each stage, each role, and what comes next

SELECT pg_temp.clock('2026-12-01 00:00+00')
\g /dev/null
SELECT kb_create_account('olena', 'std', id, created_at => '2026-11-01 00:00+00'), kb_month_charge(id) FROM unnest('{11,12}'::int[]) AS id
\g /dev/null
SELECT kb_adjust(12, '30.01 USD', 'a', 'gift')
\g /dev/null
CREATE FUNCTION pg_temp.access_at(at timestamptz, id bigint, role kb_role) RETURNS kb_access_decision LANGUAGE sql AS $$
	SELECT pg_temp.clock(at);
	SELECT kbilling.kb_access(id, role);
$$;
SELECT is(pg_temp.access_at(at::timestamptz, 11, role), format('(%s,%s,30.00 USD,%s,)', stage,
		CASE role WHEN 'employee' THEN employee ELSE manager END, coalesce(next, ','))::kb_access_decision,
	format('S3: at %s an %s', at, role))
FROM (VALUES
	('2026-12-01 00:00+00', 'grace', 'full', 'full', 'remind,2026-12-04'),
	('2026-12-03 23:59:59.999999+00', 'grace', 'full', 'full', 'remind,2026-12-04'),
	('2026-12-04 00:00+00', 'remind', 'full_with_reminder', 'full', 'restrict,2026-12-07'),
	('2026-12-06 23:59:59.999999+00', 'remind', 'full_with_reminder', 'full', 'restrict,2026-12-07'),
	('2026-12-07 00:00+00', 'restrict', 'payment_only', 'full', 'blocked,2026-12-10'),
	('2026-12-09 23:59:59.999999+00', 'restrict', 'payment_only', 'full', 'blocked,2026-12-10'),
	('2026-12-10 00:00+00', 'blocked', 'denied', 'denied', NULL),
	('2027-12-10 00:00+00', 'blocked', 'denied', 'denied', NULL)
) AS t (at, stage, manager, employee, next), unnest(enum_range(NULL::kb_role)) AS role;
SELECT is(pg_temp.access_at('2026-12-31 12:00+00', 12, role), '(ok,full,0.00 USD,,,)', format('S3: without a debt, an %s', role))
FROM unnest(enum_range(NULL::kb_role)) AS role;
SELECT is((SELECT DISTINCT (balance, stage, debt_since, amount_due) FROM account_status WHERE account_id = 12)::text,
	'("0.01 USD",ok,,"0.00 USD")', 'S1: a credit is no debt');

SELECT pg_temp.clock('2026-12-02 00:00+00')
\g /dev/null
SELECT kb_defer(11, '2026-12-08', 'support', 'a promise')
\g /dev/null
SELECT is(kb_access(11, 'owner'), '(grace,full,30.00 USD,restrict,2026-12-09,)', 'S4: what comes after a deferral');
SELECT kb_defer(11, '2026-12-03', 'support', 'withdrawn')
\g /dev/null
SELECT is(kb_access(11, 'owner'), '(grace,full,30.00 USD,remind,2026-12-04,)', 'S4: the last deferral holds');
SELECT is((SELECT array_agg(deferred_until ORDER BY deferral_no) FROM deferral WHERE account_id = 11 AND granted_by = 'support'),
	'{2026-12-08,2026-12-03}', 'S4: each is kept');
SELECT throws_ok($$SELECT kb_defer(11, '2026-12-01', 'support', 'too late')$$, '22008', NULL, 'S4: a deferral cannot end in the past');
SELECT throws_ok($$UPDATE deferral SET reason = 'none'$$, 'KB007', NULL, 'S4: nor be rewritten');

SELECT pg_temp.put_state(id, 'deleted') FROM unnest('{11,12}'::int[]) AS id
\g /dev/null
SELECT is(array(SELECT DISTINCT (kb_access(id, role)).access FROM unnest('{11,12}'::int[]) AS id,
	unnest(enum_range(NULL::kb_role)) AS role),
	'{denied}', 'S3: nobody may use a deleted account, in debt or not');

-- The view and the functions

SELECT pg_temp.clock('2027-07-01 12:00+00')
\g /dev/null
SELECT results_eq(
	$$SELECT account_id, kb_balance(account_id), kb_access_stage(account_id), d.amount_due, d.next_stage, d.next_stage_on,
		d.delete_on, a.last_seq, a.state
		FROM account AS a, kb_access(account_id, 'owner') AS d ORDER BY 1$$,
	'SELECT account_id, balance, stage, amount_due, next_stage, next_stage_on, delete_on, last_seq, state FROM account_status ORDER BY 1',
	'S5: account_status shows what the functions say, for every account');
SELECT results_eq('SELECT account_id, kb_balance(account_id, kb_now()), kb_access_stage(account_id, kb_now()), '
	'kb_access(account_id, ''admin'', kb_now()) FROM account ORDER BY 1',
	'SELECT account_id, kb_balance(account_id), kb_access_stage(account_id), kb_access(account_id, ''admin'') FROM account ORDER BY 1',
	'S6: asked for the present moment, they say the same');
SELECT is_empty('SELECT * FROM kb_check()', 'J2, S1, S4: and the books are right');

-- S7: a debt deletes nothing

RESET ROLE;
SELECT kb_add_member(10, 'ivan', 'employee'), pg_temp.clock('2027-06-30 12:00+00')
\g /dev/null
CREATE TEMP TABLE kept AS SELECT (SELECT count(*) FROM member) AS members, (SELECT count(*) FROM deferral) AS deferrals,
	(SELECT count(*) FROM entry) AS entries;
SELECT is(kb_access_stage(1, kb_now() + interval '10 years'), 'blocked', 'S7: after ten years of debt an account is blocked');
SELECT results_eq('SELECT (SELECT count(*) FROM member), (SELECT count(*) FROM deferral), (SELECT count(*) FROM entry)',
	'SELECT * FROM kept',
	'S7: and its data is whole');

SELECT * FROM finish();
ROLLBACK;
