-- What a session keeps of policies is what it would read (S2, S5, S6): its own changes, and the property that what is read without a
-- statement is what the views say.  What others change is in test/isolation/specs/policycache.spec
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/clock.sql
\ir ../include/state.sql

-- Its own changes: the debt of account 1 is in its second day

SELECT pg_temp.clock('2026-11-01 10:00+00') \g /dev/null
SELECT kb_set_policy('mine', '{}'), kb_set_policy('strict', '{"remind_day": 2}'), kb_create_tariff('start', 'USD', policy => 'mine'),
	kb_create_account('o', 'start', 1), kb_adjust(1, '-5 USD', 'fee', 'fee') \g /dev/null
SELECT pg_temp.clock('2026-11-02 10:00+00') \g /dev/null
SELECT is(kb_access_stage(1), 'grace', 'S2: the stage');
BEGIN;
UPDATE policy SET remind_day = 2 WHERE policy = 'mine';
SELECT is(kb_access_stage(1), 'remind', 'S5: by what the transaction has written');
SAVEPOINT inner_one;
UPDATE policy SET remind_day = 1, restrict_day = 2 WHERE policy = 'mine';
SELECT is(kb_access_stage(1), 'restrict', 'S5: and written again');
ROLLBACK TO inner_one;
SELECT is(kb_access_stage(1), 'remind', 'S5: a savepoint that is rolled back to takes it back');
UPDATE policy SET block_day = 20 WHERE policy = 'mine';
SAVEPOINT inner_two;
SELECT is(kb_access_stage(1), 'remind', 'S5: what does not matter does not matter');
RELEASE inner_two;
ROLLBACK;
SELECT is(kb_access_stage(1), 'grace', 'S5: rolled back, it is as before');
DO $$
BEGIN
	UPDATE kbilling.policy SET remind_day = 2 WHERE policy = 'mine';
	PERFORM kbilling.kb_access_stage(1);
	RAISE 'undone';
EXCEPTION WHEN OTHERS THEN
	IF kbilling.kb_access_stage(1) <> 'grace' THEN
		RAISE 'S5: what a block has undone is kept';
	END IF;
END $$;
SELECT is(kb_access_stage(1), 'grace', 'S5: so it is in PL/pgSQL');
WITH written AS (UPDATE policy SET remind_day = 2 WHERE policy = 'mine' RETURNING policy)
SELECT is((SELECT kb_access_stage(1) FROM written), 'grace', 'S5: a statement does not see what it writes itself');
SELECT is(kb_access_stage(1), 'remind', 'S5: the next one does');
UPDATE policy SET remind_day = 4 WHERE policy = 'mine';
BEGIN;
DECLARE old CURSOR FOR SELECT kb_access_stage(1) FROM generate_series(1, 3);
FETCH old \g /dev/null
UPDATE tariff SET policy = 'strict' WHERE tariff = 'start';
SELECT is(kb_access_stage(1), 'remind', 'S5: the tariff has another policy');
FETCH old \gset
SELECT is(:'kb_access_stage'::text, 'grace', 'S6: a cursor sees what was when it was opened');
ROLLBACK;
SELECT is(kb_access_stage(1), 'grace', 'S5: and has the old one again');

-- A new tariff that is rolled back leaves nothing for one of the same name
BEGIN;
SELECT kb_create_tariff('brief', 'USD', policy => 'strict'), kb_create_account('o', 'brief', 2), kb_adjust(2, '-5 USD', 'f', 'f'),
	pg_temp.clock('2026-11-03 10:00+00') \g /dev/null
SELECT is(kb_access_stage(2), 'remind', 'S2: a new tariff');
ROLLBACK;
SELECT kb_create_tariff('brief', 'USD', policy => 'mine'), pg_temp.clock('2026-11-02 10:00+00'), kb_create_account('o', 'brief', 2),
	kb_adjust(2, '-5 USD', 'f', 'f'), pg_temp.clock('2026-11-03 10:00+00') \g /dev/null
SELECT is(kb_access_stage(2), 'grace', 'S5: another of that name, in its place');

-- Codes that are too long to be kept are read each time
SELECT kb_create_tariff(repeat('long', 20), 'USD', policy => 'mine'), kb_create_account('o', repeat('long', 20), 3),
	kb_adjust(3, '-5 USD', 'f', 'f'), pg_temp.clock('2026-11-04 10:00+00') \g /dev/null
SELECT is(kb_access_stage(3), 'grace', 'S2: a long code');
UPDATE policy SET remind_day = 2 WHERE policy = 'mine';
SELECT is(kb_access_stage(3), 'remind', 'S5: whose policy has changed');
SELECT is_empty('SELECT 1 WHERE kb_stage_now(NULL, NULL, NULL, NULL, NULL, NULL) IS NOT NULL
	OR kb_access_now(1, NULL, NULL, ''2026-01-01'', ''start'', ''UTC'', NULL, ''owner'', NULL) IS NOT NULL
	OR kb_access_now(1, NULL, NULL, ''2026-01-01'', ''start'', ''UTC'', ''active'', NULL, NULL) IS NOT NULL
	OR kb_stage_now(1, ''2026-01-01'', NULL, ''2026-01-01'', ''none'', ''UTC'') IS NOT NULL
	OR kb_next_now(1, ''2026-01-01'', NULL, ''2026-01-01'', ''start'', ''UTC'', NULL, NULL) IS NOT NULL',
	'what is NULL gives NULL, and an unknown tariff');

-- The property: random accounts, days, zones, deferrals, tariffs that are planned, closures, credits that are to come; policies
-- that change.  kb_access with the moment of now, and the views, read by statements

SELECT kb_create_service('s', 'metered') \g /dev/null
SELECT kb_set_policy('p' || n, '{}') FROM generate_series(1, 3) AS n \g /dev/null
SELECT kb_create_tariff('t' || n, 'USD', policy => 'p' || n), kb_set_price('t' || n, 's', '1.00 each', '2020-01-01')
FROM generate_series(1, 3) AS n
\g /dev/null
SELECT pg_temp.clock('2026-11-04 01:30+00') \g /dev/null
SELECT kb_create_account('o', 't' || 1 + id % 3, id,
	(ARRAY['UTC', 'Pacific/Kiritimati', 'Etc/GMT+12', 'Europe/Kyiv', 'Asia/Kathmandu'])[1 + id % 5])
FROM generate_series(101, 130) AS id \g /dev/null
CREATE TEMP TABLE compared (at timestamptz, account_id bigint, is_same boolean, owner kb_access_decision, employee kb_access_decision,
	planned boolean);
CREATE FUNCTION pg_temp.compare() RETURNS void LANGUAGE sql BEGIN ATOMIC
	INSERT INTO compared
	SELECT kb_now(), a.account_id,
		(to_jsonb(o), e.access, kb_access_stage(a.account_id), kb_balance(a.account_id), to_jsonb(v)) IS NOT DISTINCT FROM
			(to_jsonb(s), kb_access_for(n.stage, 'employee', n.state IN ('deleted', 'purged'), n.is_ended), n.stage, n.balance,
			 to_jsonb(s) - 'access' || jsonb_build_object('account_id', a.account_id, 'owner_access', s.access,
														  'employee_access', e.access)),
		o, e, a.tariff_from > n.today
	FROM account a JOIN account_now n USING (account_id) JOIN account_access v USING (account_id)
	CROSS JOIN LATERAL kb_access(a.account_id, 'owner') o
	CROSS JOIN LATERAL kb_access(a.account_id, 'employee') e
	CROSS JOIN LATERAL kb_access(a.account_id, 'owner', kb_now()) s
	WHERE a.account_id > 100;
END;
-- What may happen to an account on a day; what the rules refuse does not
CREATE FUNCTION pg_temp.happen(id bigint, key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	today date = kbilling_internal.kb_today(id);
BEGIN
	IF extract(day FROM today) IN (2, 5) THEN
		PERFORM kbilling.kb_month_charge(id);
	END IF;
	CASE (random() * 30)::integer
		WHEN 0, 1, 2 THEN PERFORM kbilling.kb_adjust(id, '-5 USD', key, 'fee');
		WHEN 3 THEN PERFORM kbilling.kb_adjust(id, '7 USD', key, 'gift');
		WHEN 4 THEN PERFORM kbilling.kb_defer(id, today + (random() * 6)::integer, 's', 'why');
		WHEN 5, 6 THEN PERFORM kbilling.kb_set_tariff(id, 't' || 1 + (random() * 2)::integer, today + (random() * 8)::integer);
		WHEN 7, 8, 9 THEN PERFORM kbilling.kb_record_usage(id, 's', -20, key, kbilling.kb_now() - interval '12 days');
		WHEN 11 THEN PERFORM kbilling.kb_end_account(id, 'o', today + (id % 4)::integer) WHERE id % 4 = 1;
		WHEN 12 THEN PERFORM kbilling.kb_continue_account(id, 'o');
		WHEN 10 THEN PERFORM pg_temp.put_state(id, (enum_range(NULL::kbilling.kb_account_state))[1 + (random() * 2)::integer], today + 3);
		ELSE NULL;
	END CASE;
EXCEPTION WHEN OTHERS THEN NULL;
END $$;
SELECT setseed(0.42), pg_temp.clock('2026-11-18 01:30+00') \g /dev/null
SELECT kb_adjust(id, '-5 USD', 'start', 'fee'), kb_record_usage(id, 's', 20, 'start') FROM generate_series(102, 130, 2) AS id
\g /dev/null
DO $$
BEGIN
	FOR day IN 1..24 LOOP
		PERFORM pg_temp.clock(timestamptz '2026-11-20 01:30+00' + day * interval '1 day 00:35');
		PERFORM pg_temp.happen(id, 'day ' || day) FROM generate_series(101, 130) AS id;
		COMMIT;
		PERFORM pg_temp.compare();
		IF day % 4 = 0 THEN
			UPDATE kbilling.policy SET remind_day = 1 + (random() * 3)::integer, restrict_day = 4 + (random() * 3)::integer,
				block_day = 7 + (random() * 6)::integer WHERE policy = 'p' || 1 + (random() * 2)::integer;
			PERFORM pg_temp.compare();	-- not committed
			COMMIT;
		END IF;
	END LOOP;
END $$;
SELECT is_empty('SELECT * FROM compared WHERE NOT is_same', 'S2 to S6: what is read without a statement is what the views say');
SELECT is((SELECT array_agg(DISTINCT (c.owner).stage) FROM compared c), enum_range(NULL::kb_stage), 'the property has seen each stage');
SELECT is((SELECT array_agg(DISTINCT (c.owner).access) FROM compared c), enum_range(NULL::kb_access), 'and each access');
SELECT cmp_ok((SELECT count(*) FROM compared c WHERE planned AND (c.owner).next_stage IS NOT NULL), '>', 20::bigint,
	'tariffs that are planned');
SELECT cmp_ok((SELECT count(*) FROM compared c WHERE (c.owner).next_stage = 'ok'), '>', 5::bigint,
	'credits that are to come');
SELECT cmp_ok((SELECT count(*) FROM compared c WHERE (c.owner).delete_on IS NOT NULL AND (c.owner).access <> 'denied'), '>', 5::bigint,
	'accounts that are closing');
SELECT cmp_ok((SELECT count(*) FROM compared c WHERE (c.employee).access = 'denied' AND (c.owner).access = 'payment_only'), '>', 5::bigint,
	'contracts that have ended');

-- All roles and states: access_for and kb_access_for are the same (S3)
SELECT is_empty($$SELECT * FROM unnest(enum_range(NULL::kb_role)) AS role, unnest(enum_range(NULL::kb_account_state)) AS given,
	generate_series(0, 12) AS day, generate_series(-1, 1) AS ends_in, account AS a
	WHERE a.account_id = 1
		AND kb_access_now(1, kb_today(1) - day, NULL, a.tariff_from, a.tariff, a.time_zone, given, role, kb_today(1) + ends_in)
			IS DISTINCT FROM
			kb_access_for(kb_stage_now(1, kb_today(1) - day, NULL, a.tariff_from, a.tariff, a.time_zone),
						  role, given IN ('deleted', 'purged'), ends_in < 0)$$, 'S3, X2: kb_access_now is kb_access_for');

-- Many at once, in parallel workers: each reads policies for itself
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SELECT set_config(CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'debug_parallel_query'
	ELSE 'force_parallel_mode' END, 'on', false) \g /dev/null
SELECT results_eq('SELECT account_id, stage, owner_access, next_stage FROM account_access ORDER BY 1',
	'SELECT account_id, stage, kb_access_for(stage, ''owner'', state IN (''deleted'', ''purged''), is_ended), s.next_stage
	 FROM account_status s JOIN account_now USING (account_id, stage, state) ORDER BY 1',
	'S5: parallel workers say the same');
BEGIN;
UPDATE policy SET remind_day = 1, restrict_day = 1 WHERE policy <> 'standard';
SELECT results_eq('SELECT account_id, stage FROM account_access ORDER BY 1', 'SELECT account_id, stage FROM account_status ORDER BY 1',
	'S5: by what their leader has written, too');
ROLLBACK;
RESET ALL;
SET search_path = kbilling, public;

-- Another extension in place of the first, in the same session
SET kbilling.allow_drop = on;
SET client_min_messages = warning;
BEGIN;
DROP EXTENSION kbilling CASCADE;
CREATE EXTENSION kbilling;
SELECT kb_create_tariff('start', 'USD'), kb_create_account('new', 'start', 1), kb_adjust(1, '-9 USD', 'fee', 'fee') \g /dev/null
SELECT is((stage, access, amount_due)::text, '(grace,full,"9.00 USD")', 'S2: it is what is read') FROM kb_access(1, 'owner');
ROLLBACK;
SELECT is((stage, access, amount_due)::text, '(remind,full_with_reminder,"5.00 USD")', 'S2: rolled back, the first is')
FROM pg_temp.clock('2026-11-02 10:00+00') AS at, kb_access(1, 'owner');
SELECT is((d.access, kb_balance(1))::text, '(full_with_reminder,"-5.00 USD")', 'D7: a login, too') FROM kb_login(1, 'o') AS d;
DROP EXTENSION kbilling CASCADE;
CREATE EXTENSION kbilling;
SELECT kb_create_tariff('start', 'USD'), kb_create_account('new', 'start', 1), kb_adjust(1, '-9 USD', 'fee', 'fee') \g /dev/null
SELECT is((stage, access, amount_due)::text, '(grace,full,"9.00 USD")', 'S2: and dropped for good, the second') FROM kb_access(1, 'owner');
SELECT is((d.access, kb_balance(1))::text, '(full,"-9.00 USD")', 'D7: a login, too') FROM kb_login(1, 'new') AS d;
SELECT * FROM finish();
