-- Rows that are written without a statement are written as a statement writes them.
BEGIN;
SET LOCAL search_path = kbilling, public;
SET LOCAL kbilling.clock = '2026-11-01 10:00+00';
SELECT no_plan();
\ir ../include/error.sql

SELECT kb_create_tariff('std', 'USD');
SELECT kb_create_account('ann', 'std', id) FROM generate_series(1, 20) AS id
\g /dev/null
CREATE FUNCTION pg_temp.pay(account_id bigint, reference text) RETURNS bigint LANGUAGE sql
	RETURN (SELECT entry_seq FROM kbilling.kb_apply_topup(account_id, '1 USD', 'card', reference));
CREATE FUNCTION pg_temp.stands(account_id bigint) RETURNS text LANGUAGE sql RETURN (
	SELECT format('%s after %s, %s entries, %s notices', a.balance, a.last_seq,
		(SELECT count(*) FROM kbilling.entry e WHERE e.account_id = stands.account_id),
		(SELECT count(*) FROM kbilling.notice n WHERE n.account_id = stands.account_id))
	FROM kbilling.account a WHERE a.account_id = stands.account_id);

-- What a command sees of those before it

SELECT is(pg_temp.pay(1, 'a') || ' ' || pg_temp.pay(1, 'b') || ' ' || pg_temp.pay(1, 'a'), '1 2 1',
	'J3: postings of one statement follow one another');
SELECT is((SELECT array_agg(pg_temp.pay(1, 'many ' || i % 50)) FROM generate_series(0, 99) AS i),
	(SELECT array_agg(3 + i % 50::bigint) FROM generate_series(0, 99) AS i), 'J3: and those of one row after another');
SELECT is(pg_temp.stands(1), '52.00 USD after 52, 52 entries, 52 notices', 'J2: each counts once');

CREATE FUNCTION pg_temp.in_blocks() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	seen text = '';
BEGIN
	FOR i IN 1..3 LOOP
		BEGIN
			PERFORM pg_temp.pay(2, 'undone ' || i);
			seen = seen || (SELECT balance FROM kbilling.account WHERE account_id = 2) || ', ';
			RAISE 'back';
		EXCEPTION WHEN raise_exception THEN
			seen = seen || (SELECT balance FROM kbilling.account WHERE account_id = 2) || '; ';
		END;
		PERFORM pg_temp.pay(2, 'kept ' || i);
	END LOOP;
	RETURN seen;
END $$;
SELECT is(pg_temp.in_blocks(), '1.00 USD, 0.00 USD; 2.00 USD, 1.00 USD; 3.00 USD, 2.00 USD; ',
	'J2: a function sees what it posts, and what it takes back');
SELECT is(pg_temp.stands(2), '3.00 USD after 3, 3 entries, 3 notices', 'J2: and what it keeps');

SAVEPOINT one;
SELECT pg_temp.pay(3, 'a');
SAVEPOINT two;
SELECT pg_temp.pay(3, 'b');
ROLLBACK TO two;
SELECT is(pg_temp.pay(3, 'b'), 2::bigint, 'J2: after a savepoint that is rolled back to, the number is given again');
RELEASE one;
SELECT is(pg_temp.stands(3), '2.00 USD after 2, 2 entries, 2 notices', 'J2: and nothing of it is left');

CREATE TEMP TABLE webhook (account_id bigint, reference text, seq bigint);
CREATE FUNCTION pg_temp.on_webhook() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	new.seq = pg_temp.pay(new.account_id, new.reference);
	RETURN new;
END $$;
CREATE TRIGGER pays BEFORE INSERT ON webhook FOR EACH ROW EXECUTE FUNCTION pg_temp.on_webhook();
INSERT INTO webhook SELECT 4, 'ref ' || i % 4 FROM generate_series(1, 10) AS i;
SELECT is((SELECT string_agg(seq::text, '' ORDER BY ctid) FROM webhook), '1234123412', 'J3: so do those of a trigger');

DECLARE before CURSOR FOR SELECT balance FROM account WHERE account_id = 4;
SELECT pg_temp.pay(4, 'while a cursor is open')
\g /dev/null
FETCH before \gset
SELECT is(:'balance'::text, '4.00 USD', 'an open cursor goes on seeing what was there');
CLOSE before;

-- Triggers of others

CREATE TABLE fired (n serial, what text);
CREATE FUNCTION pg_temp.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO kbilling.fired (what) SELECT format('%s %s %s %s %s: %s %s', tg_name, tg_when, tg_op, tg_level, tg_table_name,
		-- an AFTER trigger sees all of the posting
		(SELECT count(*) FROM kbilling.entry e WHERE e.account_id = 5),
		(SELECT a.last_seq FROM kbilling.account a WHERE a.account_id = 5));
	RETURN new;
END $$;
CREATE TRIGGER b BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION pg_temp.note();
CREATE TRIGGER a AFTER INSERT ON entry FOR EACH ROW EXECUTE FUNCTION pg_temp.note();
CREATE TRIGGER a AFTER INSERT ON notice FOR EACH ROW EXECUTE FUNCTION pg_temp.note();
CREATE TRIGGER b BEFORE UPDATE OF balance ON account FOR EACH ROW WHEN (old.balance <> new.balance) EXECUTE FUNCTION pg_temp.note();
CREATE TRIGGER a AFTER UPDATE ON account FOR EACH ROW EXECUTE FUNCTION pg_temp.note();
CREATE TRIGGER elsewhere AFTER UPDATE OF metadata ON account FOR EACH ROW EXECUTE FUNCTION pg_temp.note();
CREATE TRIGGER s AFTER INSERT ON entry FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.note();
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON entry DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.note();
SELECT pg_temp.pay(5, 'a')
\g /dev/null
SELECT results_eq('SELECT what FROM fired ORDER BY n', $$VALUES
	('b BEFORE INSERT ROW entry: 0 0'), ('b BEFORE UPDATE ROW account: 1 0'),
	('a AFTER INSERT ROW entry: 1 1'), ('a AFTER UPDATE ROW account: 1 1'), ('a AFTER INSERT ROW notice: 1 1')$$,
	'triggers for each row fire, those AFTER when all is written; those for each statement do not');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is((SELECT what FROM fired ORDER BY n DESC LIMIT 1), 'late AFTER INSERT ROW entry: 1 1', 'a deferred one fires when it is due');
SET LOCAL session_replication_role = replica;
SELECT pg_temp.pay(5, 'b')
\g /dev/null
SET LOCAL session_replication_role = origin;
SELECT is((SELECT count(*) FROM fired), 6::bigint, 'none fires while session_replication_role says so');
DROP TRIGGER b ON entry;
DROP TRIGGER a ON entry;
DROP TRIGGER s ON entry;
DROP TRIGGER late ON entry;
DROP TRIGGER a ON notice;
DROP TRIGGER b ON account;
DROP TRIGGER a ON account;
DROP TRIGGER elsewhere ON account;

CREATE FUNCTION pg_temp.posts_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.pay(7, new.key);
	RETURN NULL;
END $$;
CREATE TRIGGER again AFTER INSERT ON entry FOR EACH ROW WHEN (new.account_id = 6) EXECUTE FUNCTION pg_temp.posts_again();
SELECT pg_temp.pay(6, 'a'), pg_temp.pay(6, 'b')
\g /dev/null
DROP TRIGGER again ON entry;
SELECT is(pg_temp.stands(6) || '; ' || pg_temp.stands(7),
	'2.00 USD after 2, 2 entries, 2 notices; 2.00 USD after 2, 2 entries, 2 notices', 'J2: a trigger may post to another account');

-- What is known of a table is read anew after ANALYZE, also while a row of it is being written.
CREATE FUNCTION pg_temp.analyzes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	ANALYZE kbilling.account, kbilling.entry, kbilling.notice;
	PERFORM pg_temp.pay(8 - new.account_id + 5, 'on ' || tg_table_name || new.account_id) WHERE new.account_id = 6;
	RETURN new;
END $$;
CREATE TRIGGER b BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION pg_temp.analyzes();
CREATE TRIGGER b BEFORE INSERT ON notice FOR EACH ROW EXECUTE FUNCTION pg_temp.analyzes();
CREATE TRIGGER b BEFORE UPDATE ON account FOR EACH ROW EXECUTE FUNCTION pg_temp.analyzes();
SELECT pg_temp.pay(6, 'analyzed')
\g /dev/null
DROP TRIGGER b ON entry;
DROP TRIGGER b ON notice;
DROP TRIGGER b ON account;
SELECT is(pg_temp.stands(6) || '; ' || pg_temp.stands(7),
	'3.00 USD after 3, 3 entries, 3 notices; 5.00 USD after 5, 5 entries, 5 notices', 'J2: or have the catalog read anew meanwhile');

CREATE FUNCTION pg_temp.keeps_back() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION pg_temp.kept_back(table_name text, event text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	error text;
BEGIN
	EXECUTE format('CREATE TRIGGER back BEFORE %s ON kbilling.%I FOR EACH ROW EXECUTE FUNCTION pg_temp.keeps_back()', event, table_name);
	error = pg_temp.error_of('SELECT pg_temp.pay(8, ''a'')');
	EXECUTE format('DROP TRIGGER back ON kbilling.%I', table_name);
	RETURN error;
END $$;
SELECT is(pg_temp.kept_back(t, e), format('09000 a trigger has kept back a row of kbilling.%s | Raise an error in the trigger '
	'to refuse the whole.', t), format('J2: a trigger that keeps back %s of %s fails the posting', e, t))
FROM (VALUES ('entry', 'INSERT'), ('account', 'UPDATE'), ('notice', 'INSERT')) AS c (t, e);
SELECT is(pg_temp.stands(8), '0.00 USD after 0, 0 entries, 0 notices', 'J2: and nothing of it stays');

CREATE FUNCTION pg_temp.adds_word() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.metadata = ''{"n": 1}''; RETURN new; END';
CREATE TRIGGER word BEFORE UPDATE ON account FOR EACH ROW EXECUTE FUNCTION pg_temp.adds_word();
SELECT pg_temp.pay(9, 'a'), pg_temp.pay(9, 'b')
\g /dev/null
DROP TRIGGER word ON account;
SELECT is((SELECT format('%s %s', balance, metadata) FROM account WHERE account_id = 9), '2.00 USD {"n": 1}',
	'what a trigger puts into a row is stored');

-- Constraints, and columns that others have added or dropped

SELECT is(pg_temp.error_of($$SELECT kb_adjust(10, '1 USD', 'ref', 'card 4111 1111 1111 1111')$$) ~ '^KB008 ', true,
	'T4: a card number is refused by the column''s domain');
ALTER TABLE entry ADD CONSTRAINT small CHECK (account_id <> 10 OR balance_after < 5);
SELECT is(pg_temp.error_of($$SELECT kb_apply_topup(10, '5 USD', 'card', 'a')$$),
	'23514 new row for relation "entry" violates check constraint "small" | '
	|| (SELECT r.detail FROM pg_temp.raised($$SELECT kb_apply_topup(10, '5 USD', 'card', 'a')$$) AS r), 'a CHECK is checked');
ALTER TABLE entry DROP CONSTRAINT small;

ALTER TABLE entry ADD COLUMN number int NOT NULL DEFAULT 7, ADD COLUMN moment timestamptz DEFAULT clock_timestamp(),
	ADD COLUMN twice bigint GENERATED ALWAYS AS (seq * 2) STORED, ADD COLUMN id bigint GENERATED BY DEFAULT AS IDENTITY;
ALTER TABLE account ADD COLUMN place text DEFAULT 'here', ADD COLUMN odd boolean GENERATED ALWAYS AS (last_seq % 2 = 1) STORED;
SELECT pg_temp.pay(10, 'a'), pg_temp.pay(10, 'b'), pg_temp.pay(10, 'c')
\g /dev/null
SELECT results_eq('SELECT seq, number, twice, moment > now() FROM entry WHERE account_id = 10 ORDER BY seq',
	'SELECT i, 7, 2 * i, true FROM generate_series(1, 3::bigint) AS i', 'defaults and generated columns are made');
SELECT is((SELECT count(DISTINCT id) FROM entry WHERE account_id = 10), 3::bigint, 'with a number from each identity');
SELECT results_eq('SELECT place, odd FROM account WHERE account_id = 10', $$VALUES ('here', true)$$,
	'an update leaves added columns, and makes generated ones');
SELECT is((SELECT count(*) FROM notice WHERE account_id = 10 AND tries = 0), 3::bigint, 'notices have their own default');
ALTER TABLE entry ALTER COLUMN number DROP DEFAULT;
SELECT is(left(pg_temp.error_of('SELECT pg_temp.pay(10, ''d'')'), 5), '23502', 'NOT NULL is checked');
ALTER TABLE account DROP COLUMN place, DROP COLUMN odd;
ALTER TABLE entry DROP COLUMN number, DROP COLUMN moment, DROP COLUMN twice, DROP COLUMN id;
SELECT is(pg_temp.pay(10, 'e'), 4::bigint, 'columns that are dropped again are in nobody''s way');
SELECT is(pg_temp.stands(10), '4.00 USD after 4, 4 entries, 4 notices', 'J2: nor in that of the books');

CREATE UNIQUE INDEX one_place ON account ((metadata ->> 'place')) WHERE metadata IS NOT NULL;
CREATE INDEX by_balance ON account (balance) WHERE balance > 2;
SELECT kb_set_metadata(11, '{"place": "here"}'), pg_temp.pay(11, 'a'), pg_temp.pay(11, 'b'), pg_temp.pay(11, 'c')
\g /dev/null
SET LOCAL enable_seqscan = off;
SELECT results_eq('SELECT account_id FROM account WHERE balance > 2 AND balance = ''3 USD'' AND account_id > 10', 'VALUES (11::bigint)',
	'an index of others has the new row');
RESET enable_seqscan;
DROP INDEX one_place, by_balance;

-- A row that no longer fits on its page

SELECT kb_set_metadata(id, jsonb_build_object('note', repeat(md5(id::text), 30))) FROM generate_series(12, 20) AS id
\g /dev/null
SELECT pg_temp.pay(12 + i % 9, 'full ' || i) FROM generate_series(1, 900) AS i
\g /dev/null
SET LOCAL enable_seqscan = off;
SELECT is((SELECT string_agg(pg_temp.stands(id), '; ') FROM generate_series(12, 20) AS id),
	(SELECT string_agg('100.00 USD after 100, 100 entries, 100 notices', '; ') FROM generate_series(12, 20)),
	'J2: it is found by its index wherever it goes');
SELECT is((SELECT count(*) FROM account WHERE time_zone = 'UTC' AND charged_through < '2027-01-01' AND account_id >= 12
	AND state IN ('active', 'closing')), 9::bigint, 'and by the others');
RESET enable_seqscan;

SELECT is_empty('SELECT * FROM kb_check()', 'J2, J5: and the books are right');

-- Transactions that only read

SAVEPOINT writes;
SET LOCAL transaction_read_only = on;
SELECT is(pg_temp.error_of('SELECT * FROM kb_apply_topup(1, ''1 USD'', ''card'', ''read only'')'),
	'25006 cannot execute SELECT FOR NO KEY UPDATE in a read-only transaction', 'none posts');
ROLLBACK TO writes;

-- Another extension of the same name, in the same session

SET LOCAL kbilling.allow_drop = on;
SET LOCAL client_min_messages = error;
DROP EXTENSION kbilling CASCADE;
CREATE EXTENSION kbilling;
SELECT kb_create_tariff('std', 'USD');
SELECT kb_create_account('ann', 'std', 1)
\g /dev/null
SELECT is((SELECT format('%s %s %s', entry_seq, balance, stage_after) FROM kb_apply_topup(1, '1 USD', 'card', 'a')),
	'1 1.00 USD ok', 'an extension that is dropped and made anew has other tables and types');
SELECT is_empty('SELECT * FROM kb_check()', 'J2: whose books are right');
SELECT * FROM finish();
ROLLBACK;
