-- What goes with a purge: the account's own data, and the application's tables (D6)
DROP ROLE IF EXISTS kbilling_purge_shop;
CREATE ROLE kbilling_purge_shop;
SET search_path = kbilling, public;
SELECT no_plan();

INSERT INTO policy (policy, min_age_days, inactive_days, notice_days, reminder_days, restore_days) VALUES ('instant', 0, 0, 1, '{}', 1);
SELECT kb_create_tariff('std', 'USD', policy => 'instant'), kb_set_price('std', 'base', '30.00'),
	kb_create_service('s', 'metered'), kb_create_service('u', 'metered', aggregation => 'unique'),
		kb_set_price('std', 's', '1.00 each'), kb_set_price('std', 'u', '1.00 each')
\g /dev/null
SET kbilling.clock = '2026-11-01 12:00+00';

CREATE FUNCTION pg_temp.open(VARIADIC ids bigint[]) RETURNS bigint LANGUAGE sql
	RETURN (SELECT count(kb_create_account('ann', 'std', id, email => 'ann@example.org')) FROM unnest(ids) AS id);
-- Deleted and purged on the next days; how many were purged, and why not
CREATE PROCEDURE pg_temp.close(day date) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 0..2 LOOP
		PERFORM set_config('kbilling.clock', (day + i)::text || ' 12:00+00', false);
		COMMIT;
		CALL kb_sweep();
	END LOOP;
END $$;
CREATE FUNCTION pg_temp.outcome() RETURNS text LANGUAGE sql
	RETURN (SELECT format('%s purged', count(*)) FROM closure_step WHERE step = 'purged' AND taken_at = kb_now())
		|| coalesce((SELECT ', ' || string_agg(format('%s: %s %s', account_id, f.state, message), ', ' ORDER BY account_id)
			FROM sweep_failure AS f WHERE run_id = (SELECT max(run_id) FROM sweep_run)), '');

-- kbilling's own

SELECT pg_temp.open(1, 2), kb_add_member(1, 'eve', 'employee', 'eve@example.org'), kb_login(1, 'eve'),
	kb_record_usage(1, 's', 5, 'a'), kb_record_usage(1, 'u', 5, 'a', properties => '{"who": "eve"}'),
	kb_adjust(1, '-5.00 USD', 'f', 'a fee'), kb_begin_topup(1, 'ann', '5 USD', 'card'), kb_fail_topup(1, 1, 'ann has no money')
\g /dev/null
UPDATE account SET metadata = '{"name": "Ann"}' WHERE account_id = 1;
SELECT kb_set_billing_details(1, '{"name": "Ann"}') \g /dev/null
UPDATE notice SET last_error = 'no such user: ann@example.org', tries = 1 WHERE account_id = 1;
CALL pg_temp.close('2026-11-03');
SELECT is(pg_temp.outcome(), '2 purged', 'D6: two were purged');
SELECT is_empty($$SELECT FROM member UNION ALL SELECT FROM activity UNION ALL SELECT FROM usage_event UNION ALL SELECT
	FROM usage_value UNION ALL SELECT FROM usage_total UNION ALL SELECT FROM billing_details$$,
	'D6: members, activity, usage and billing details are gone');
SELECT is_empty($$SELECT FROM change_log WHERE to_jsonb(change_log)::text LIKE '%Ann%'$$, 'D6: nor does the log have them');
SELECT results_eq('SELECT state, metadata FROM account',
	$$VALUES ('purged'::kb_account_state, NULL::kb_json), ('purged', NULL::kb_json)$$, 'D6: the account''s row stays, without metadata');
SELECT is((SELECT count(*) FROM entry), 1::bigint, 'D6: the journal stays');
SELECT is((SELECT failure FROM payment), NULL, 'D6: why a payment failed is gone');
SELECT results_eq('SELECT kind::text, due_at IS NULL, last_error::text, facts IS NOT NULL '
	'FROM notice WHERE account_id = 1 ORDER BY notice_no', $$VALUES
	('stage_changed', true, 'the account was purged', true), ('closure_scheduled', true, 'the account was purged', true),
	('account_deleted', true, 'the account was purged', true), ('account_purged', false, NULL, true)$$,
	'D6: what nobody got is taken back, with the addresses in its errors; the application is told');
SELECT is((SELECT array_agg(facts ->> 'purge_on') FROM notice WHERE kind = 'account_deleted'), '{2026-11-05,2026-11-05}',
	'D6: as it was in time');
SELECT is((SELECT count(*) FROM kb_take_notices(10, '1 minute') WHERE kind = 'account_purged' AND recipients = '[]'),
	2::bigint, 'D6: by a notice that has no other recipient');
SELECT is_empty('SELECT * FROM kb_check()', 'J2: the books are right');

-- The application's tables

CREATE SCHEMA "my shop";
CREATE TABLE "my shop".customer (account_id bigint PRIMARY KEY REFERENCES account, name text);
CREATE TABLE "my shop".orders (order_id int PRIMARY KEY, "whose account" int NOT NULL REFERENCES "my shop".customer);
CREATE TABLE "my shop".line (order_id int NOT NULL REFERENCES "my shop".orders, line_no int, account smallint);
CREATE TABLE "my shop".shipping (order_id int REFERENCES "my shop".orders ON DELETE CASCADE, line_order int);	-- not registered
CREATE TABLE "my shop".staff (account bigint, member text, boss text, PRIMARY KEY (account, member),
	FOREIGN KEY (account, member) REFERENCES kbilling.member, FOREIGN KEY (account, boss) REFERENCES "my shop".staff);
CREATE TABLE "my shop".log (account_id bigint, n int) PARTITION BY RANGE (n);
CREATE TABLE "my shop".log_1 PARTITION OF "my shop".log FOR VALUES FROM (1) TO (100);
CREATE VIEW "my shop".customers AS SELECT * FROM "my shop".customer;
CREATE TEMP TABLE mine (account_id bigint);

SELECT throws_ok(format('SELECT kb_register_purge(%s)', args), state, message, 'D6: ' || message)
FROM (VALUES
	('''"my shop".customers'', ''account_id''', '42809', '"my shop".customers is not a table of an application'),
	('''mine'', ''account_id''', '42809', 'mine is not a table of an application'),
	('''kbilling.entry'', ''account_id''', '42809', 'entry is not a table of an application'),
	('''pg_catalog.pg_class'', ''oid''', '42809', 'pg_class is not a table of an application'),
	('''"my shop".customer'', ''account''', '42703', '"my shop".customer has no column "account"'),
	('''"my shop".customer'', ''ctid''', '42703', '"my shop".customer has no column "ctid"'),
	('''"my shop".customer'', ''name''', '42804', 'column "name" of "my shop".customer is not of an integer type'),
	('NULL, ''name''', '22004', 'relation must not be null'),
	('''"my shop".customer'', NULL', '22004', 'account_column must not be null')) AS t (args, state, message);
SELECT kb_register_purge('"my shop".customer', 'account_id'), kb_register_purge('"my shop".customer', 'account_id'),
	kb_register_purge('"my shop".orders', 'whose account'),
	kb_register_purge('"my shop".line', 'account'), kb_register_purge('"my shop".staff', 'account'),
		kb_register_purge('"my shop".log', 'account_id')
\g /dev/null
SELECT is((SELECT array_agg(table_name::text ORDER BY position) FROM purge_order), '{line,staff,orders,customer,log}',
	'D6: in an order that foreign keys allow');

SET kbilling.clock = '2026-11-10 12:00+00';
SELECT pg_temp.open(11, 12, 13)
\g /dev/null
INSERT INTO "my shop".customer VALUES (11, 'Ann'), (12, 'Ann'), (13, 'Ann'), (1, 'Ann');
INSERT INTO "my shop".orders SELECT n, 11 + n % 3 FROM generate_series(1, 9) AS n;
INSERT INTO "my shop".line SELECT order_id, n, "whose account" FROM "my shop".orders, generate_series(1, 2) AS n;
INSERT INTO "my shop".shipping SELECT order_id FROM "my shop".orders;
INSERT INTO "my shop".staff VALUES (11, 'ann', 'ann'), (12, 'ann', NULL);
INSERT INTO "my shop".log VALUES (11, 1), (12, 2), (99, 3), (NULL, 4);
SELECT kb_apply_topup(13, '100.00 USD', 'card', 'a')
\g /dev/null
CALL pg_temp.close('2026-11-11');
SELECT is(pg_temp.outcome(), '2 purged', 'D6: purged');
SELECT results_eq('SELECT account_id FROM "my shop".customer ORDER BY 1', 'VALUES (1::bigint), (13)',
	'D6: their rows are gone, and nobody else''s');
SELECT results_eq('SELECT DISTINCT "whose account" FROM "my shop".orders UNION ALL SELECT DISTINCT account::int '
	'FROM "my shop".line', 'VALUES (13), (13)', 'D6: from tables that refer to it');
SELECT results_eq('SELECT n FROM "my shop".log ORDER BY 1', 'VALUES (3), (4)', 'D6: from partitions');
SELECT is_empty('SELECT * FROM "my shop".staff', 'D6: before the members that it refers to');

-- Guarded and metered tables, and their owner's rights

GRANT USAGE ON SCHEMA "my shop" TO kbilling_purge_shop;
SELECT kb_grant('kbilling_purge_shop', 'tables')
\g /dev/null
CREATE TABLE "my shop".guarded (account_id bigint);
ALTER TABLE "my shop".guarded OWNER TO kbilling_purge_shop;
ALTER TABLE "my shop".guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE "my shop".guarded FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON "my shop".guarded USING (kb_can_use(account_id));
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON "my shop".guarded FOR EACH ROW EXECUTE FUNCTION kb_guard('account_id', 'member');
CREATE TRIGGER meter AFTER DELETE ON "my shop".guarded REFERENCING OLD TABLE AS removed FOR EACH STATEMENT
	EXECUTE FUNCTION kb_meter('s', 'account_id', '');
CREATE TABLE seen (who text, could_be_super boolean);
GRANT INSERT ON seen TO PUBLIC;
CREATE FUNCTION public.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO kbilling.seen VALUES (current_user, false);
	BEGIN
		EXECUTE 'SET ROLE ' || quote_ident(session_user);
		UPDATE kbilling.seen SET could_be_super = true;
	EXCEPTION WHEN insufficient_privilege THEN
		NULL;
	END;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER look AFTER DELETE ON "my shop".guarded DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.look();
SELECT kb_register_purge('"my shop".guarded', 'account_id')
\g /dev/null
SET kbilling.clock = '2026-11-15 12:00+00';
SELECT pg_temp.open(21)
\g /dev/null
BEGIN;
SELECT kb_act_as(21, 'ann')
\g /dev/null
INSERT INTO "my shop".guarded VALUES (21);
COMMIT;
CALL pg_temp.close('2026-11-16');
SELECT is(pg_temp.outcome(), '1 purged', 'D6: a guard lets a purge through, as do row security and a meter');
SELECT is_empty('SELECT * FROM "my shop".guarded', 'D6: and the rows are gone');
SELECT is((SELECT string_agg(who || ' ' || could_be_super, ', ') FROM seen), 'kbilling_purge_shop false',
	'D6: triggers run with the rights of the table''s owner, a deferred one too, and gain no others');
SELECT throws_ok('INSERT INTO "my shop".guarded VALUES (21)', 'KB003', NULL, 'E1: the guard holds for everyone else');

-- A trigger that would have its owner's operators used with more rights

CREATE SCHEMA trap AUTHORIZATION kbilling_purge_shop;
SET ROLE kbilling_purge_shop;
CREATE TABLE trap.bait (account_id bigint);
CREATE FUNCTION trap.equal(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'kbilling_purge_shop' THEN
		RAISE EXCEPTION 'with the rights of %', current_user;
	END IF;
	RETURN $1 OPERATOR(pg_catalog.=) $2;
END $$;
CREATE OPERATOR trap.= (leftarg = bigint, rightarg = bigint, function = trap.equal);
CREATE FUNCTION trap.spring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_catalog.set_config('search_path', 'trap, pg_catalog', false);
	RETURN OLD;
END $$;
CREATE TRIGGER spring BEFORE DELETE ON trap.bait FOR EACH ROW EXECUTE FUNCTION trap.spring();
RESET ROLE;
SELECT kb_register_purge('trap.bait', 'account_id')
\g /dev/null
SET kbilling.clock = '2026-11-25 12:00+00';
SELECT pg_temp.open(22)
\g /dev/null
INSERT INTO trap.bait VALUES (22);
CALL pg_temp.close('2026-11-26');
SELECT is(pg_temp.outcome(), '1 purged', 'D6: a trigger''s search_path is not that of the purge');
SELECT is(current_setting('search_path'), 'kbilling, public', 'D6: nor of the session afterwards');
SELECT is_empty('SELECT * FROM trap.bait', 'D6: and the rows are gone');

-- One that puts a table of its own in the place of another's

CREATE TABLE trap.cage (account_id bigint);	-- another's
CREATE FUNCTION trap.swap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS trap.cage;
	CREATE TABLE trap.cage (account_id bigint);
	INSERT INTO trap.cage VALUES (OLD.account_id);
	CREATE TRIGGER spring BEFORE DELETE ON trap.cage FOR EACH ROW EXECUTE FUNCTION trap.tell();
	RETURN OLD;
END $$;
CREATE FUNCTION trap.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO kbilling.seen VALUES (current_user, true);
	RETURN OLD;
END $$;
CREATE OR REPLACE TRIGGER spring BEFORE DELETE ON trap.bait FOR EACH ROW EXECUTE FUNCTION trap.swap();
SELECT kb_register_purge('trap.cage', 'account_id')
\g /dev/null
TRUNCATE seen;
SELECT pg_temp.open(25)
\g /dev/null
INSERT INTO trap.bait VALUES (25);
CALL pg_temp.close('2026-11-29');
SELECT is(pg_temp.outcome(), '1 purged', 'D6: a table is taken for what it is when its turn comes');
SELECT is((SELECT string_agg(DISTINCT who, ', ') FROM seen), 'kbilling_purge_shop', 'D6: with the rights of its owner of that moment');
SELECT kb_unregister_purge('trap.cage')
\g /dev/null

-- Tables that are written to by triggers on later ones

CREATE TABLE "my shop".audit (account_id bigint, what text);
CREATE TABLE "my shop".zebra (account_id bigint);
CREATE FUNCTION "my shop".note() RETURNS trigger LANGUAGE plpgsql
	AS $$BEGIN INSERT INTO "my shop".audit VALUES (OLD.account_id, 'deleted'); RETURN OLD; END$$;
CREATE TRIGGER note AFTER DELETE ON "my shop".zebra FOR EACH ROW EXECUTE FUNCTION "my shop".note();
SELECT kb_register_purge('"my shop".audit', 'account_id'), kb_register_purge('"my shop".zebra', 'account_id'), pg_temp.open(26)
\g /dev/null
INSERT INTO "my shop".zebra VALUES (26);
CALL pg_temp.close('2026-12-02');
SELECT is(pg_temp.outcome(), '1 purged', 'D6: purged');
SELECT is_empty('SELECT * FROM "my shop".audit', 'D6: also what a trigger has written of it meanwhile');

-- Rows that are kept

CREATE FUNCTION trap.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE OR REPLACE TRIGGER spring BEFORE DELETE ON trap.bait FOR EACH ROW EXECUTE FUNCTION trap.keep();
TRUNCATE trap.bait;
SELECT pg_temp.open(23)
\g /dev/null
INSERT INTO trap.bait VALUES (23);
CALL pg_temp.close('2026-12-05');
SELECT is(pg_temp.outcome(), '0 purged, 23: 55000 rows are left in a table that is registered for the purge',
	'D6: a trigger that keeps rows is an error');
CREATE OR REPLACE FUNCTION trap.keep() RETURNS trigger
	LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'as if the server were out of something' USING ERRCODE = '53000'; END$$;
CALL kb_sweep();
SELECT is(pg_temp.outcome(), '0 purged, 23: 09000 as if the server were out of something',
	'W3: what a trigger raises is one account''s trouble, whatever it says');
ALTER TABLE trap.bait RENAME TO hidden;
CREATE VIEW trap.bait AS SELECT * FROM trap.hidden WHERE false;
CALL kb_sweep();
SELECT is(pg_temp.outcome(), '0 purged, 23: 42P01 table trap.bait with column account_id does not exist, '
	'but is registered for the purge', 'D6: a view under the table''s name is not the table');
DROP SCHEMA trap CASCADE;
SELECT kb_unregister_purge('trap.bait')
\g /dev/null
CALL kb_sweep();
SELECT is(pg_temp.outcome(), '1 purged', 'D6: and then it goes');

-- Foreign keys of partitions count

CREATE TABLE "my shop".z_parent (account_id bigint PRIMARY KEY);
CREATE TABLE "my shop".z_sale (account_id bigint, n int) PARTITION BY RANGE (n);
CREATE TABLE "my shop".z_sale_1 PARTITION OF "my shop".z_sale (FOREIGN KEY (account_id) REFERENCES "my shop".z_parent) FOR
	VALUES FROM (1) TO (9);
SELECT kb_register_purge('"my shop".z_parent', 'account_id'), kb_register_purge('"my shop".z_sale', 'account_id')
\g /dev/null
SELECT cmp_ok((SELECT position FROM purge_order WHERE table_name = 'z_sale'), '<',
	(SELECT position FROM purge_order WHERE table_name = 'z_parent'), 'D6: what a partition refers to comes after it');

-- What cannot be emptied is not purged, and nothing is half done

DROP TRIGGER look ON "my shop".guarded;
CREATE TABLE "my shop".blocker (account_id bigint REFERENCES "my shop".customer);	-- not registered
SET kbilling.clock = '2026-12-10 12:00+00';
SELECT pg_temp.open(31, 32)
\g /dev/null
INSERT INTO "my shop".customer VALUES (31, 'Ann'), (32, 'Ann');
INSERT INTO "my shop".blocker VALUES (31);
CALL pg_temp.close('2026-12-11');
SELECT is(pg_temp.outcome(), '1 purged, 31: 23503 update or delete on table "customer" violates foreign key constraint '
	'"blocker_account_id_fkey" on table "blocker"', 'W3: the account is reported, and holds up no other');
SELECT is(state, 'deleted', 'D6: it waits') FROM account WHERE account_id = 31;
SELECT is((SELECT count(*) FROM member WHERE account_id = 31), 1::bigint, 'D6: whole');
DELETE FROM "my shop".blocker;
DROP TABLE "my shop".line;
CALL kb_sweep();
SELECT is(pg_temp.outcome(), '1 purged, 31: 42P01 table "my shop".line with column account does not exist, '
	'but is registered for the purge', 'D6: nothing is purged while a registered table is gone');
SELECT is((SELECT array_agg(problem) FROM kb_check()),
	'{"D6: table \"my shop\".line is registered for the purge, but is gone"}', 'D6: kb_check() says so');
SELECT is(kb_unregister_purge('"my shop".line'), true, 'D6: it is taken back');
SELECT is(kb_unregister_purge('"my shop".line'), false, 'D6: once');
CALL kb_sweep();
SELECT is(state, 'purged', 'D6: then the next sweep does it') FROM account WHERE account_id = 31;
SELECT is_empty('SELECT * FROM kb_check()', 'J2: the books are right');

DROP SCHEMA "my shop" CASCADE;
DROP OWNED BY kbilling_purge_shop;
DROP ROLE kbilling_purge_shop;
SELECT * FROM finish();
