-- The sweep (W1 to W3)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/state.sql

SET kbilling.clock = '2026-11-01 12:00+00';
SELECT kb_create_tariff('std', 'USD'), kb_set_price('std', 'base', '30.00'), kb_create_tariff('free', 'USD')
\g /dev/null
SELECT kb_create_account('olena', 'std', id, zone, created_at => '2026-11-01 12:00+00') FROM (VALUES
	(1, 'UTC'), (2, 'UTC'), (3, 'Pacific/Kiritimati'), (4, 'Etc/GMT+12')) AS t (id, zone)
\g /dev/null
SELECT kb_create_account('olena', 'free', 5, created_at => '2026-11-01 12:00+00'),
	kb_create_account('olena', 'std', 6, created_at => '2026-11-01 12:00+00')
\g /dev/null
SELECT pg_temp.put_state(6, 'deleted')
\g /dev/null
-- Somebody is always there, so that none is closed.
INSERT INTO activity SELECT account_id, '2099-01-01' FROM account ON CONFLICT (account_id) DO UPDATE SET active_at = excluded.active_at;

-- The last run: how it ended and what it did
CREATE VIEW last_run AS
	SELECT format('%s: %s due, %s charged, %s posted, %s failed', outcome, periods_due, periods_charged, entries_posted,
		accounts_failed) AS done, *
	FROM sweep_run ORDER BY run_id DESC LIMIT 1;
CREATE FUNCTION pg_temp.charged() RETURNS text LANGUAGE sql
	RETURN (SELECT string_agg(format('%s:%s', account_id, to_char(period, 'MM')), ' ' ORDER BY account_id, seq) FROM entry
		WHERE kind = 'charge');

-- W1, W2

SET kbilling.clock = '2026-11-30 09:59:59.999999+00';
CALL kb_sweep();
SELECT is(pg_temp.charged(), NULL, 'W1: nothing is due, nothing is charged');
SELECT is((SELECT done FROM last_run), 'finished: 0 due, 0 charged, 0 posted, 0 failed', 'W3: and the run says so');

SET kbilling.clock = '2026-11-30 10:00+00';
CALL kb_sweep();
SELECT is(pg_temp.charged(), '3:11', 'W2: the zone where it is midnight is charged, no other');
SELECT is((SELECT done FROM last_run), 'finished: 1 due, 1 charged, 1 posted, 0 failed', 'W3: one was due');
CALL kb_sweep();
SELECT is((SELECT done FROM last_run), 'finished: 0 due, 0 charged, 0 posted, 0 failed', 'W1: a second sweep has nothing to do');

SET kbilling.clock = '2026-12-01 00:00+00';
CALL kb_sweep();
SELECT is(pg_temp.charged(), '1:11 2:11 3:11', 'W2: then those of UTC');
SELECT is((SELECT done FROM last_run), 'finished: 3 due, 3 charged, 2 posted, 0 failed', 'C8, W3: one of them came to zero');
SELECT is((SELECT charged_through FROM account WHERE account_id = 5), '2026-11-30', 'C8: its month is closed all the same');
SELECT is((SELECT charged_through FROM account WHERE account_id = 6), '2026-10-31', 'D5: a deleted account is not charged');

SET kbilling.clock = '2027-03-01 12:00+00';
CALL kb_sweep();
SELECT is(pg_temp.charged(), '1:11 1:12 1:01 1:02 2:11 2:12 2:01 2:02 3:11 3:12 3:01 3:02 4:11 4:12 4:01 4:02',
	'W1: one run catches up with three months, in order');
SELECT is((SELECT done FROM last_run), 'finished: 16 due, 16 charged, 13 posted, 0 failed', 'W3: as many as were due');

-- W3: the row of a run, and how to watch it

SELECT results_eq('SELECT as_of, finished_at >= started_at AND started_at > now() - interval ''1 minute'' FROM last_run',
	$$VALUES (timestamptz '2027-03-01 12:00+00', true)$$,
	'W3: a run says as of when it looked, and by the machine''s clock how long it took');
SELECT is((SELECT percent FROM sweep_progress ORDER BY run_id DESC LIMIT 1), 100.0, 'W3: all of it is done');

SET kbilling.clock = '2027-04-01 12:00+00';
SELECT kb_sweep_begin() AS run
\gset
SELECT is((SELECT (outcome, periods_due, periods_charged, percent, at_time_zone) FROM sweep_progress ORDER BY run_id DESC LIMIT 1)::text,
	'(running,5,0,0.0,"")', 'W3: before the first batch');
CREATE TEMP TABLE step (n int, more boolean, progress text);
DO $$
DECLARE
	run bigint = (SELECT max(run_id) FROM sweep_run);
	goes_on boolean = true;
	n int = 0;
BEGIN
	WHILE goes_on AND n < 20 LOOP
		n = n + 1;
		goes_on = kb_sweep_step(run, 2);
		INSERT INTO step SELECT n, goes_on, format('%s %s/%s: %s', p.phase, p.at_time_zone, p.at_account_id,
			p.periods_charged) FROM sweep_progress AS p WHERE run_id = run;
	END LOOP;
END $$;
SELECT is((SELECT array_agg(progress ORDER BY n) FROM step WHERE more),
	'{charges Etc/GMT+12/: 0,charges Etc/GMT+12/4: 1,charges Pacific/Kiritimati/: 1,charges Pacific/Kiritimati/3: '
		'2,charges UTC/: 2,charges UTC/2: 4,charges UTC/5: 5,notices Etc/GMT+12/: 5,notices Etc/GMT+12/4: 5}',
	'W1, W3: charges before notices, zone by zone and in batches, each to be seen');
SELECT is((SELECT array_agg(more ORDER BY n) FROM step WHERE n > 9), '{f}', 'W1: then it is done');
SELECT is((SELECT outcome FROM last_run), 'running', 'W3: until it is closed');

CALL kb_sweep();
SELECT results_eq('SELECT outcome FROM sweep_run ORDER BY run_id DESC LIMIT 2', $$VALUES ('finished'::kb_sweep_outcome), ('interrupted')$$,
	'W1: the next run marks one that was interrupted');
SELECT throws_ok(format('SELECT kb_sweep_step(%s)', :run), '22023', NULL, 'W1: which cannot go on');
SELECT throws_ok('SELECT kb_sweep_step(NULL)', '22004', NULL, 'W1: which run?');

-- W3: accounts that fail

SELECT kb_create_account('olena', 'std', id, created_at => '2027-04-01 12:00+00') FROM generate_series(101, 120) AS id
\g /dev/null
SELECT kb_adjust(id, '-90071992547409.00 USD', 'deep', 'as deep as it goes') FROM unnest('{101,110,111,120}'::int[]) AS id
\g /dev/null
SET kbilling.clock = '2027-05-02 12:00+00';
CALL kb_sweep();
SELECT is((SELECT done FROM last_run), 'finished: 25 due, 21 charged, 20 posted, 4 failed',
	'W3: accounts that fail are passed over, the others of their batch charged');
SELECT results_eq('SELECT account_id, state, failed_at > now() - interval ''1 minute'' '
	'FROM sweep_failure WHERE run_id = (SELECT run_id FROM last_run) ORDER BY 1',
	$$VALUES (101::bigint, '22003', true), (110, '22003', true), (111, '22003', true), (120, '22003', true)$$,
	'W3: each is reported with its error');
SELECT isnt((SELECT min(message) FROM sweep_failure), '', 'W3: and its message');
SELECT is((SELECT array_agg(account_id ORDER BY account_id) FROM entry WHERE period = '2027-04-01' AND account_id > 100), array(
	SELECT generate_series(102::bigint, 119) EXCEPT SELECT unnest('{110,111}'::bigint[]) ORDER BY 1), 'W3: every other account is charged');
SELECT is((SELECT array_agg(DISTINCT charged_through) FROM account WHERE account_id IN (101, 110, 111, 120)),
	'{2027-03-31}', 'W3: one that failed has still its month to pay');
SELECT kb_adjust(110, '100.00 USD', 'help', 'put right')
\g /dev/null
CALL kb_sweep();
SELECT is((SELECT done FROM last_run), 'finished: 4 due, 1 charged, 1 posted, 3 failed', 'W3: the next sweep tries again');
SELECT is_empty('SELECT * FROM kb_check()', 'J2, C4: the books are right');

-- A transaction block

SELECT throws_ok('CALL kb_sweep()', '25001', NULL, 'W1: a sweep commits, so it is refused where it could not');
SELECT is((SELECT count(*) FROM sweep_run WHERE outcome = 'running'), 0::bigint, 'W1: and leaves no run behind');
SELECT is((SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()), 0::bigint, 'W1: nor a lock');

-- W1: shares of the accounts

SELECT is((SELECT count(*) FROM account a, generate_series(1, n) s WHERE kb_is_in_share(a.account_id, n, s)),
	(SELECT count(*) FROM account), format('W1: with %s workers, each account is in one share', n)) FROM unnest('{1,2,3,64}'::int[]) AS n;
SELECT ok((SELECT min(n) > 400 AND max(n) < 600 FROM (SELECT count(*) AS n FROM generate_series(2, 8000, 4) id, generate_series(1, 4) s
	WHERE kb_is_in_share(id, 4, s) GROUP BY s) c), 'W1: shares are of like size, whatever the pattern of the numbers');
SELECT throws_ok(format('CALL kb_sweep(%s)', n), state, NULL, format('W1: workers => %s', n))
FROM (VALUES ('0', '25001'), ('65', '25001'), ('NULL', '25001')) AS t (n, state);
SET kbilling.clock = '2027-06-01 12:00+00';
CALL kb_sweep(workers => 3);
SELECT is((SELECT sum(periods_charged)::int FROM sweep_run WHERE workers = 3),
	(SELECT count(*)::int FROM entry WHERE period = '2027-05-01') + 1,
	'W1: one worker does all three shares');
SELECT results_eq('SELECT share, outcome::text FROM sweep_run WHERE workers = 3 ORDER BY run_id',
	$$VALUES (1, 'finished'), (2, 'finished'), (3, 'finished')$$, 'W3: each has its run');
SELECT is_empty('SELECT * FROM kb_check()', 'C4: and the books are right');

-- How what is due is found

SELECT kb_create_account('olena', 'std', id, zone, created_at => '2027-05-01 12:00+00')
FROM generate_series(1001, 4000) AS id, LATERAL (SELECT (ARRAY['UTC', 'Europe/Kyiv', 'Asia/Tokyo'])[1 + id % 3] AS zone) AS z
\g /dev/null
ANALYZE account;
\ir ../include/plan.sql
SET plan_cache_mode = force_generic_plan;
\set source `cat src/sweep.c`
CREATE TEMP TABLE statement AS
	SELECT n, regexp_replace(m[1], '"\s*"', '', 'g') AS query, m[2] AS types,
		(ARRAY['account_due', 'account_credit_check', 'account_closure_check', 'account_stage_check', 'account_due',
			'account_due'])[(n + 1) / 2] AS index
	FROM regexp_matches(:'source', '\.sql = "((?:[^"]|"\s*")*)",\s*\.arg_types = (DUE_TYPES|\{"text"\})', 'g') WITH ORDINALITY AS t (m, n);
SELECT is((SELECT array_agg(types ORDER BY n) FROM statement), ARRAY['{"text"}', 'DUE_TYPES', '{"text"}', 'DUE_TYPES',
	'{"text"}', 'DUE_TYPES', '{"text"}', 'DUE_TYPES', '{"text"}', 'DUE_TYPES', '{"text"}', 'DUE_TYPES'],
	'W1: each phase asks for its next zone, and for the accounts that are due there');
SELECT format('PREPARE s%s (%s) AS %s', n, CASE types WHEN 'DUE_TYPES' THEN 'text, date, bigint, timestamptz, integer, integer, integer'
	ELSE 'text' END, query)
FROM statement
\gexec
CREATE TEMP TABLE plan AS
	SELECT n, index, pg_temp.plan_of(format('EXECUTE s%s (%s)', n,
		CASE types WHEN 'DUE_TYPES' THEN $$'UTC', '-infinity', 0, '2027-05-02 12:00+00', 4000, 1, 1$$ ELSE $$''$$ END)) AS steps
	FROM statement;
RESET plan_cache_mode;
SELECT alike(steps, format('%%using %s on%%', index), format('W1: statement %s steps through %s', n, index)) FROM plan ORDER BY n;
SELECT unalike(steps, '%Seq Scan on account a%', format('W1: statement %s looks at no other accounts', n)) FROM plan ORDER BY n;
SELECT unalike(steps, '%Sort%', format('W1: statement %s stops where it has found enough', n)) FROM plan ORDER BY n;
SELECT results_eq('SELECT time_zone FROM account_zone', 'SELECT DISTINCT time_zone FROM account '
	'WHERE state IN (''active'', ''closing'') ORDER BY 1',
	'W1: account_zone has every zone of living accounts');

-- A zone that the system's data has dropped holds up neither its accounts nor others.
UPDATE account SET time_zone = 'US/Gone' WHERE account_id = 1001;
SET kbilling.clock = '2027-06-02 12:00+00';
CALL kb_sweep();
SELECT is((SELECT charged_through FROM account WHERE account_id = 1001), '2027-05-31',
	'W3: an account in a zone that is gone is charged by UTC');
SELECT is((SELECT count(*) FROM account WHERE account_id > 1001 AND charged_through = '2027-05-31'), 2999::bigint,
	'W3: and so are the others');

-- Nobody else can hold the sweep's lock.
SELECT pg_advisory_lock(x'6b62696c6c696e67'::bigint), pg_advisory_lock(x'6b62696c'::int, x'6c696e67'::int);
SELECT lives_ok($$SELECT kb_sweep_end(kb_sweep_begin())$$, 'W1: a run can begin');
SET kbilling.clock = '2027-07-02 12:00+00';
CALL kb_sweep();
SELECT is((SELECT count(*) FROM account WHERE account_id > 1000 AND charged_through = '2027-06-30'), 3000::bigint,
	'W1: an advisory lock of somebody else''s does not stop the sweep');
SELECT pg_advisory_unlock_all();

SELECT * FROM finish();
