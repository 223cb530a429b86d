-- Stages of a debt and access, as pure functions (S1 to S4)
BEGIN;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();

INSERT INTO policy (policy, remind_day, restrict_day, block_day) VALUES
	('swift', 2, 3, 5), ('at_once', 1, 1, 1), ('no_reminder', 5, 5, 8);

-- S2, day by day

CREATE TEMP TABLE expected (policy text, stages kb_stage[]);	-- of the days 0, 1, 2, …
INSERT INTO expected VALUES
	('standard', '{ok,grace,grace,grace,remind,remind,remind,restrict,restrict,restrict,blocked,blocked,blocked}'),
	('swift', '{ok,grace,remind,restrict,restrict,blocked,blocked}'),
	('at_once', '{ok,blocked,blocked}'),
	('no_reminder', '{ok,grace,grace,grace,grace,restrict,restrict,restrict,blocked,blocked}');

SELECT is(kb_access_stage('2026-11-01', '2026-10-31'::date + (n - 1)::int), stage, format('S2: day %s of a debt is %s', n - 1, stage))
FROM expected, unnest(stages) WITH ORDINALITY AS s (stage, n) WHERE policy = 'standard';

SELECT is(kb_access_stage('2026-02-27', '2026-02-26'::date + (n - 1)::int, p), stage,
	format('S2: day %s of a debt is %s by policy %s', n - 1, stage, p.policy))
FROM expected AS e JOIN policy AS p USING (policy), unnest(stages) WITH ORDINALITY AS s (stage, n);

SELECT is_empty($$
	SELECT n FROM policy AS p, generate_series(-20, 400) AS n
	WHERE p.policy = 'standard' AND kb_access_stage('2026-11-01', '2026-11-01'::date + n)
		IS DISTINCT FROM kb_access_stage('2026-11-01', '2026-11-01'::date + n, p) $$,
	'S2: the form without a policy goes by the row "standard"');
SELECT results_eq($$SELECT remind_day, restrict_day, block_day FROM policy WHERE policy = 'standard'$$,
	'VALUES (4, 7, 10)', 'S2: the days of the policy "standard"');

SELECT is(kb_access_stage(debt_since::date, today::date), stage::kb_stage,
	format('S2: a debt since %s is %s on %s', coalesce(debt_since, 'never'), stage, today))
FROM (VALUES
	(NULL, '2026-11-01', 'ok'),
	('2026-11-02', '2026-11-01', 'ok'),
	('2027-11-01', '2026-11-01', 'ok'),
	('2025-11-01', '2026-11-01', 'blocked'),
	('0001-01-01', '2026-11-01', 'blocked'),
	('-infinity', '2026-11-01', 'blocked'),
	('infinity', '2026-11-01', 'ok'),
	('2026-11-01', 'infinity', 'blocked'),
	('2026-11-01', '-infinity', 'ok'),
	('-infinity', 'infinity', 'blocked'),
	('infinity', '-infinity', 'ok'),
	('4714-11-24 BC', '5874897-12-31', 'blocked'),
	('5874897-12-31', '4714-11-24 BC', 'ok')
) AS t (debt_since, today, stage);
SELECT is(kb_access_stage(date '2026-11-01', NULL), NULL, 'S2: no day, no stage');

-- S3, the whole table

SELECT is(kb_access_for(stage::kb_stage, role::kb_role, deleted), access::kb_access,
	format('S3: %s, %s%s: %s', stage, role, CASE WHEN deleted THEN ', deleted' ELSE '' END, access))
FROM (
	SELECT stage, role, false, CASE role WHEN 'employee' THEN employee ELSE manager END
	FROM (VALUES
		('ok', 'full', 'full'),
		('grace', 'full', 'full'),
		('remind', 'full_with_reminder', 'full'),
		('restrict', 'payment_only', 'full'),
		('blocked', 'denied', 'denied')
	) AS t (stage, manager, employee), unnest('{owner,admin,employee}'::text[]) AS role
	UNION ALL
	SELECT stage, role, true, 'denied'
	FROM unnest(enum_range(NULL::kb_stage)::text[]) AS stage, unnest('{owner,admin,employee}'::text[]) AS role
) AS t (stage, role, deleted, access);
SELECT is(kb_access_for(stage, role, ended => true),
	CASE WHEN stage = 'blocked' OR role = 'employee' THEN 'denied' ELSE 'payment_only' END::kb_access,
	format('X2: %s, %s, once the contract has ended', stage, role))
FROM unnest(enum_range(NULL::kb_stage)) AS stage, unnest(enum_range(NULL::kb_role)) AS role;
SELECT is(kb_access_for(NULL, 'owner'), NULL, 'S3: no stage, no access');
SELECT is(kb_access_for('ok', NULL), NULL, 'S3: no role, no access');

-- S4

SELECT is(kb_stage('2026-11-01', '2026-11-08', '2026-11-01'::date + n - 1, 4, 7, 10), stage::kb_stage,
	format('S4: deferred until the 8th, the %s. is %s', n, stage))
FROM unnest('{grace,grace,grace,grace,grace,grace,grace,grace,restrict,blocked,blocked}'::text[])
	WITH ORDINALITY AS t (stage, day), LATERAL (SELECT day::int AS n) AS d;

SELECT is(kb_stage(debt_since::date, deferred_until::date, '2026-11-20', 4, 7, 10), stage::kb_stage,
	format('S4: debt since %s, deferred until %s: %s', coalesce(debt_since, 'never'), deferred_until, stage))
FROM (VALUES
	(NULL, '2026-11-30', 'ok'),
	('2026-11-21', '2026-11-30', 'ok'),
	('2026-11-01', '2026-11-20', 'grace'),
	('2026-11-01', '2026-11-19', 'blocked'),
	('2026-11-01', 'infinity', 'grace'),
	('2026-11-01', '-infinity', 'blocked')
) AS t (debt_since, deferred_until, stage);
SELECT is(kb_stage('2026-11-01', '2026-11-30', '2026-11-01', 1, 1, 1), 'grace', 'S4: a deferral holds back a policy that blocks at once');

-- What comes next

SELECT is(kb_next_stage_on('2026-11-01', deferred_until::date, today::date, 4, 7, 10), next_on::date,
	format('S2, S4: deferred until %s, on %s the next stage begins on %s', coalesce(deferred_until, 'never'), today,
		coalesce(next_on, 'no day')))
FROM (VALUES
	(NULL, '2026-10-20', '2026-11-01'),
	(NULL, '2026-11-01', '2026-11-04'),
	(NULL, '2026-11-03', '2026-11-04'),
	(NULL, '2026-11-04', '2026-11-07'),
	(NULL, '2026-11-09', '2026-11-10'),
	(NULL, '2026-11-10', NULL),
	('2026-11-05', '2026-11-04', '2026-11-06'),
	('2026-11-05', '2026-11-06', '2026-11-07'),
	('2026-11-02', '2026-11-01', '2026-11-04'),
	('2026-11-30', '2026-11-15', '2026-12-01'),
	('infinity', '2026-11-15', NULL)
) AS t (deferred_until, today, next_on);
SELECT is(kb_next_stage_on(debt_since::date, NULL, '2026-11-01', 4, 7, 10), NULL,
	format('S2: a debt since %s has no next stage', coalesce(debt_since, 'never')))
FROM unnest('{NULL,infinity,-infinity}'::text[]) AS debt_since;

SELECT is_empty($$
	SELECT p.policy, t.today, f.until
	FROM policy AS p,
		generate_series(-3, 20) AS n, LATERAL (SELECT '2026-11-01'::date + n AS today) AS t,
		(SELECT NULL::date UNION ALL SELECT '2026-10-25'::date + i FROM generate_series(0, 30) AS i) AS f (until)
	WHERE kb_next_stage_on('2026-11-01', f.until, t.today, p.remind_day, p.restrict_day, p.block_day) IS DISTINCT FROM (
		SELECT min(t.today + i) FROM generate_series(1, 60) AS i
		WHERE kb_stage('2026-11-01', f.until, t.today + i, p.remind_day, p.restrict_day, p.block_day)
			<> kb_stage('2026-11-01', f.until, t.today, p.remind_day, p.restrict_day, p.block_day)) $$,
	'S2, S4: the next stage is what a look at each day finds, for every policy, day and deferral');

-- Labels

SELECT is(array_agg(p.oid::regprocedure::text ORDER BY 1), NULL, 'S5: the functions over values are immutable, parallel safe and take NULL')
FROM pg_proc AS p
WHERE p.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace)
	AND (p.proname IN ('kb_stage', 'kb_next_stage_on', 'kb_access_for')
		OR p.oid IN ('kb_access_stage(date,date)'::regprocedure, 'kb_access_stage(date,date,policy)'::regprocedure))
	AND (p.provolatile, p.proparallel, p.proisstrict) <> ('i', 's', false);

\ir ../include/plan.sql
CREATE TEMP TABLE debt (debt_since date, today date, stage kb_stage, role kb_role, deleted boolean);
SELECT alike(pg_temp.plan_of('SELECT kb_access_stage(debt_since, today, p) FROM debt, policy AS p', 'VERBOSE, COSTS off'),
	'%kb_stage(debt.debt_since, NULL::date,%',
	'S2: the form with a policy is inlined');
SELECT unalike(pg_temp.plan_of('SELECT kb_access_for(stage, role, deleted) FROM debt', 'VERBOSE, COSTS off'),
	'%kb_access_for%', 'S3: kb_access_for is inlined');

SELECT * FROM finish();
ROLLBACK;
