-- kb_meter: rows of the application's tables as usage (rules E3, U1, U2, U3)
SET search_path = kbilling, public;
SELECT no_plan();
BEGIN;

SET LOCAL kbilling.clock = '2026-11-20 12:00+00';
SELECT kb_create_tariff('std', 'USD'), kb_create_service('seat', 'recurring'), kb_set_price('std', 'seat', '4.00 each')
\g /dev/null
SELECT kb_create_service(s, 'metered', CASE s WHEN 'unique' THEN 'user' END, s), kb_set_price('std', s, '1.00 each')
	FROM unnest('{sum,count,max,unique,last}'::text[]) AS s
\g /dev/null
SELECT kb_create_account('olena', 'std', id, created_at => '2026-09-01 00:00+00') FROM generate_series(1, 99) AS id
\g /dev/null
\ir ../include/clock.sql
-- The running month of an account: "service quantity/events", late usage with its month
CREATE FUNCTION pg_temp.used(id bigint) RETURNS text LANGUAGE sql STABLE RETURN coalesce((
	SELECT string_agg(format('%s %s/%s%s', service, trim_scale(quantity), events,
		CASE what WHEN 'late usage' THEN to_char(from_date, ' "of" MM') END), ', ' ORDER BY line_no)
	FROM kbilling.kb_current_usage(id)), 'none');
\ir ../include/error.sql
-- Meters all three kinds of change of a table
CREATE FUNCTION pg_temp.meter(tab text, VARIADIC args text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TRIGGER meter_i AFTER INSERT ON %s REFERENCING NEW TABLE AS n '
		'FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter(%s)', tab,
		(SELECT string_agg(quote_literal(a), ',') FROM unnest(args) AS a));
	EXECUTE format('CREATE TRIGGER meter_u AFTER UPDATE ON %s REFERENCING OLD TABLE AS o NEW TABLE AS n '
		'FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter(%s)', tab,
		(SELECT string_agg(quote_literal(a), ',') FROM unnest(args) AS a));
	EXECUTE format('CREATE TRIGGER meter_d AFTER DELETE ON %s REFERENCING OLD TABLE AS o '
		'FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter(%s)', tab,
		(SELECT string_agg(quote_literal(a), ',') FROM unnest(args) AS a));
END $$;

-- One statement after the other, and what accounts 1 and 2 have used then; table t(id, acc, qty, note) is metered with and without its key

CREATE TABLE public.keyed (id int PRIMARY KEY, acc bigint, qty numeric, note text);
CREATE TABLE public.plain (id int PRIMARY KEY, acc bigint, qty numeric, note text);
SELECT pg_temp.meter('public.keyed', 'sum', 'acc', 'qty', 'id'), pg_temp.meter('public.plain', 'sum', 'acc', 'qty')
\g /dev/null
CREATE TEMP TABLE step (n int GENERATED ALWAYS AS IDENTITY, statement text, one text, two text, recorded int, why text);
INSERT INTO step (statement, one, two, recorded, why) VALUES
	('INSERT INTO %s VALUES (1, $1, 10, ''a'')', 'sum 10/1', 'none', 1, 'a row is an event'),
	('INSERT INTO %s VALUES (2, $1, 5, ''b''), (3, $1, 7.5, ''c''), (4, $2, 1, ''d'')', 'sum 22.5/3', 'sum 1/1', 3, 'rows of two accounts'),
	('UPDATE %s SET note = ''x''', 'sum 22.5/3', 'sum 1/1', 0, 'another column records nothing'),
	('UPDATE %s SET qty = qty', 'sum 22.5/3', 'sum 1/1', 0, 'nor does the same value'),
	('UPDATE %s SET qty = qty * 1.0', 'sum 22.5/3', 'sum 1/1', 0, 'be it written otherwise'),
	('UPDATE %s SET qty = 100 WHERE id = 99', 'sum 22.5/3', 'sum 1/1', 0, 'an update of no row'),
	('DELETE FROM %s WHERE id = 99', 'sum 22.5/3', 'sum 1/1', 0, 'a deletion of none'),
	('INSERT INTO %s SELECT 1, $1, 1, ''a'' WHERE false', 'sum 22.5/3', 'sum 1/1', 0, 'an insertion of none'),
	('UPDATE %s SET qty = 12 WHERE id = 1', 'sum 24.5/3', 'sum 1/1', 2, 'a quantity is corrected'),
	('UPDATE %s SET qty = qty + 1, note = ''y'' WHERE acc IN ($1, $2)', 'sum 27.5/3', 'sum 2/1', 8, 'all are'),
	('UPDATE %s SET acc = $2 WHERE id = 2', 'sum 21.5/2', 'sum 8/2', 2, 'a row goes to another account'),
	('UPDATE %s SET acc = $1, qty = 6 WHERE id = 2', 'sum 27.5/3', 'sum 2/1', 2, 'and comes back'),
	('UPDATE %s SET qty = 0 WHERE id = 3', 'sum 19/3', 'sum 2/1', 2, 'zero is a quantity'),
	('UPDATE %s SET qty = 8.5 WHERE id = 3', 'sum 27.5/3', 'sum 2/1', 2, 'and no more'),
	('DELETE FROM %s WHERE id = 1', 'sum 14.5/2', 'sum 2/1', 1, 'a row is gone'),
	('INSERT INTO %s VALUES (1, $1, 13, ''again'')', 'sum 27.5/3', 'sum 2/1', 1, 'the same row comes again'),
	('WITH d AS (DELETE FROM %1$s WHERE id = 1 RETURNING *) INSERT INTO %1$s SELECT 5, acc, qty + 1, note FROM d',
		'sum 28.5/3', 'sum 2/1', 2, 'one goes, one comes, in one statement'),
	('INSERT INTO %s AS x VALUES (5, $1, 3, ''u''), (6, $1, 1, ''i'') ON CONFLICT (id) DO UPDATE '
		'SET qty = x.qty + excluded.qty', 'sum 32.5/4', 'sum 2/1', 3, 'ON CONFLICT DO UPDATE'),
	('INSERT INTO %s AS x VALUES (5, $1, 3, ''u''), (7, $1, 1, ''i'') ON CONFLICT (id) DO NOTHING', 'sum 33.5/5', 'sum 2/1',
		1, 'ON CONFLICT DO NOTHING'),
	('MERGE INTO %s AS x USING (VALUES (2), (6), (7), (8)) AS v (id) ON x.id = v.id
		WHEN MATCHED AND x.id = 2 THEN UPDATE SET qty = 7 WHEN MATCHED AND x.id = 6 THEN DELETE WHEN MATCHED THEN DO NOTHING
		WHEN NOT MATCHED THEN INSERT VALUES (v.id, $2, 4, ''m'')', 'sum 33.5/4', 'sum 6/2', 4, 'MERGE'),
	('UPDATE %s SET qty = -3 WHERE id = 8', 'sum 33.5/4', 'sum -1/0', 2, 'a row may be a correction itself'),
	('DELETE FROM %s WHERE id = 8', 'sum 33.5/4', 'sum 2/1', 1, 'and be taken back'),
	('UPDATE %s SET id = id + 100 WHERE acc = $1', 'sum 33.5/4', 'sum 2/1', NULL, 'other keys, the same usage'),
	('UPDATE %s SET id = 213 - id WHERE id IN (105, 107)', 'sum 33.5/4', 'sum 2/1', NULL, 'other keys again'),
	('DELETE FROM %s', 'none', 'none', 5, 'all are gone');
DO $$
DECLARE
	s step;
BEGIN
	CREATE TEMP TABLE saw (n int, keyed bool, one text, two text, recorded int);
	FOR s IN SELECT * FROM step ORDER BY n LOOP
		FOR i IN 0..1 LOOP
			DECLARE
				before int = (SELECT count(*) FROM usage_event);
				id1 int = 1 + 10 * i;
				id2 int = 2 + 10 * i;
			BEGIN
				EXECUTE replace(replace(format(s.statement, CASE i WHEN 0 THEN 'public.keyed' ELSE 'public.plain' END),
					'$1', id1::text), '$2', id2::text);
				INSERT INTO saw SELECT s.n, i = 0, pg_temp.used(id1), pg_temp.used(id2), count(*) - before FROM usage_event;
			END;
		END LOOP;
	END LOOP;
END $$;
SELECT is(format('%s, %s', saw.one, saw.two), format('%s, %s', step.one, step.two),
	format('E3: %s: %s', CASE WHEN keyed THEN 'with a key' ELSE 'without' END, why))
FROM step JOIN saw USING (n) ORDER BY keyed DESC, n;
SELECT is(saw.recorded, step.recorded, format('E3: events recorded with a key: %s', why)) FROM step JOIN saw USING (n)
	WHERE keyed AND step.recorded IS NOT NULL ORDER BY n;
SELECT is(saw.recorded, 0, format('E3: events recorded without: %s', why)) FROM step JOIN saw USING (n) WHERE NOT keyed
	AND step.recorded = 0 ORDER BY n;
SELECT cmp_ok(saw.recorded, '<=', 3, format('E3: events recorded without, one an account and trigger: %s', why)) FROM step
	JOIN saw USING (n) WHERE NOT keyed ORDER BY n;
SELECT is((SELECT count(*) FROM usage_event WHERE account_id IN (1, 2) AND key LIKE 'kb:%'), 0::bigint,
	'U1: rows with a key are recorded under it');
SELECT is((SELECT count(*) FROM usage_event WHERE account_id IN (11, 12) AND key NOT LIKE 'kb:%'), 0::bigint,
	'U1: rows without under one of their own');
SELECT results_eq($$SELECT revision, quantity, events::int FROM usage_event WHERE account_id = 1 AND key = '1' ORDER BY revision$$,
	$$VALUES (0, 10::numeric, 1), (1, -10, -1), (2, 12, 1), (3, -12, -1), (4, 13, 1), (5, -13, -1), (6, 13, 1), (7, -13, -1)$$,
	'E3: the revisions of a key');

-- Savepoints

INSERT INTO public.keyed VALUES (1, 3, 10, NULL), (2, 3, 5, NULL);
SAVEPOINT s;
UPDATE public.keyed SET qty = 99;
DELETE FROM public.keyed WHERE id = 2;
INSERT INTO public.keyed VALUES (3, 3, 50, NULL);
SELECT is(pg_temp.used(3), 'sum 149/2', 'E3: within a savepoint');
ROLLBACK TO s;
SELECT is(pg_temp.used(3), 'sum 15/2', 'E3: rolled back to it, the usage is as the rows are');

-- COPY

CREATE TABLE public.copied (acc bigint, qty numeric, key text);
SELECT pg_temp.meter('public.copied', 'sum', 'acc', 'qty', 'key')
\g /dev/null
COPY public.copied FROM PROGRAM 'seq 1 50000 | sed "s/.*/4\t2\tk&/"';
SELECT is(pg_temp.used(4), 'sum 100000/50000', 'E3: COPY of 50,000 rows');
UPDATE public.copied SET qty = qty + 1;
SELECT is(pg_temp.used(4), 'sum 150000/50000', 'E3: an update of all of them');
DELETE FROM public.copied;
SELECT is(pg_temp.used(4), 'none', 'E3: a deletion of all of them');

-- A partitioned table; a table with a child

CREATE TABLE public.parted (acc int, day date, qty int, junk text, key text) PARTITION BY RANGE (day);
CREATE TABLE public.parted_1 (key text, junk text, qty int, day date, acc int);	-- columns in another order
ALTER TABLE public.parted ATTACH PARTITION public.parted_1 FOR VALUES FROM ('2026-11-01') TO ('2026-12-01');
CREATE TABLE public.parted_2 PARTITION OF public.parted FOR VALUES FROM ('2026-12-01') TO ('2027-01-01');
ALTER TABLE public.parted DROP COLUMN junk;
SELECT pg_temp.meter('public.parted', 'sum', 'acc', 'qty', 'key')
\g /dev/null
INSERT INTO public.parted VALUES (5, '2026-11-05', 10, 'a'), (5, '2026-12-05', 20, 'b');
SELECT is(pg_temp.used(5), 'sum 30/2', 'E3: rows of two partitions');
UPDATE public.parted SET qty = qty + 1;
SELECT is(pg_temp.used(5), 'sum 32/2', 'E3: updated');
UPDATE public.parted SET day = '2026-11-06' WHERE key = 'b';
SELECT is(pg_temp.used(5), 'sum 32/2', 'E3: a row that goes to another partition is the same row');
DELETE FROM public.parted WHERE key = 'a';
SELECT is(pg_temp.used(5), 'sum 21/1', 'E3: deleted');

-- Column types

CREATE DOMAIN public.units AS numeric(10, 2) CHECK (VALUE > -1000);
CREATE DOMAIN public.more_units AS public.units;
CREATE DOMAIN public.customer AS int;
CREATE TEMP TABLE typed (n int GENERATED ALWAYS AS IDENTITY, acc_type text, qty_type text, value text, quantity text);
INSERT INTO typed (acc_type, qty_type, value, quantity) VALUES
	('smallint', 'smallint', '7', '7'), ('int', 'int', '7', '7'), ('bigint', 'bigint', '9000000000', '9000000000'),
	('customer', 'more_units', '7.25', '7.25'),
	('bigint', 'numeric(10,3)', '1.5', '1.500'), ('bigint', 'real', '0.1', '0.1'), ('bigint', 'float8', '0.1', '0.1'),
	('bigint', 'float8', '1e13', '10000000000000');
DO $$
DECLARE
	t typed;
BEGIN
	FOR t IN SELECT * FROM typed LOOP
		EXECUTE format('CREATE TABLE public.typed_%s (acc %s, qty %s)', t.n, t.acc_type, t.qty_type);
		PERFORM pg_temp.meter('public.typed_' || t.n, 'last', 'acc', 'qty', 'qty');
		EXECUTE format('INSERT INTO public.typed_%s VALUES (%s, %L)', t.n, 20 + t.n, t.value);
	END LOOP;
END $$;
SELECT is((SELECT quantity::text FROM usage_event WHERE account_id = 20 + n), quantity,
	format('E3: account as %s, quantity as %s', acc_type, qty_type)) FROM typed;
CREATE TABLE public.floats (acc bigint, qty float8);
SELECT pg_temp.meter('public.floats', 'sum', 'acc', 'qty')
\g /dev/null
SELECT is(pg_temp.error_with_detail(format('INSERT INTO public.floats VALUES (6, 1), (6, %L)', value)),
	'22003 column "qty" of a metered row must be finite | Trigger "meter_i" on table "floats" passes the row to kb_meter.',
	'U1: a float that is ' || value) FROM unnest('{NaN,Infinity,-Infinity}'::text[]) AS value;

-- Aggregations

CREATE TABLE public.peak (acc bigint, qty int, key text);
CREATE TABLE public.level (LIKE public.peak);
CREATE TABLE public.calls (acc bigint);
CREATE TABLE public.seen (acc bigint, who text, key int);
CREATE TABLE public.seen_keyed (LIKE public.seen);
SELECT pg_temp.meter('public.peak', 'max', 'acc', 'qty', 'key'), pg_temp.meter('public.level', 'last', 'acc', 'qty', 'key'),
	pg_temp.meter('public.calls', 'count', 'acc'),
	pg_temp.meter('public.seen', 'unique', 'acc', 'who'), pg_temp.meter('public.seen_keyed', 'unique', 'acc', 'who', 'key')
\g /dev/null
CREATE FUNCTION pg_temp.after(statement text, id bigint) RETURNS text LANGUAGE plpgsql
	AS 'BEGIN EXECUTE statement; RETURN pg_temp.used(id); END';
SELECT is(pg_temp.after(statement, id), used, format('U2, E3: %s: %s', statement, why)) FROM (VALUES
	(30, 'INSERT INTO public.peak VALUES (30, 10, ''a''), (30, 30, ''b''), (30, 20, ''c'')', 'max 30/3', 'the highest'),
	(30, 'UPDATE public.peak SET qty = 15 WHERE key = ''b''', 'max 20/3', 'the highest is less'),
	(30, 'DELETE FROM public.peak WHERE key = ''c''', 'max 15/2', 'the highest is gone'),
	(30, 'UPDATE public.peak SET qty = 40 WHERE key = ''a''', 'max 40/2', 'another is'),
	(30, 'DELETE FROM public.peak', 'none', 'none is left'),
	(31, 'INSERT INTO public.level VALUES (31, 10, ''a'')', 'last 10/1', 'a level'),
	(31, 'INSERT INTO public.level VALUES (31, 4, ''b'')', 'last 4/2', 'the one recorded last, at the same time'),
	(31, 'UPDATE public.level SET qty = 0 WHERE key = ''b''', 'last 0/2', 'down to zero'),
	(31, 'DELETE FROM public.level WHERE key = ''b''', 'last 10/1', 'the one before it'),
	(32, 'INSERT INTO public.calls VALUES (32), (32), (32)', 'count 3/3', 'each row is one'),
	(32, 'DELETE FROM public.calls WHERE ctid = (SELECT min(ctid) FROM public.calls)', 'count 2/2', 'one less'),
	(32, 'UPDATE public.calls SET acc = 32', 'count 2/2', 'nothing changed'),
	(33, 'INSERT INTO public.seen VALUES (33, ''x'', 1), (33, ''x'', 2), (33, ''y'', 3), (33, '''', 4)', 'unique 3/4', 'distinct values'),
	(34, 'INSERT INTO public.seen_keyed VALUES (34, ''x'', 1), (34, ''x'', 2), (34, ''y'', 3), (34, ''z'', 3)',
		'unique 2/3', 'a key counts once (U1)'),
	(34, 'DELETE FROM public.seen_keyed WHERE key = 1', 'unique 2/2', 'one of two'),
	(34, 'UPDATE public.seen_keyed SET who = ''w'' WHERE key = 2', 'unique 2/2', 'another value')
) AS t (id, statement, used, why);

-- Months: a row is of the moment at which it came

SELECT pg_temp.clock('2026-10-20 12:00+00')
\g /dev/null
INSERT INTO public.keyed VALUES (50, 50, 10, NULL), (51, 51, 10, NULL), (52, 52, 10, NULL), (53, 53, 10, NULL);
INSERT INTO public.plain VALUES (54, 54, 10, NULL);
INSERT INTO public.level VALUES (55, 10, 'a'); INSERT INTO public.peak VALUES (56, 10, 'a');
	INSERT INTO public.seen_keyed VALUES (57, 'x', 1);
SELECT pg_temp.clock('2026-10-21 12:00+00')
\g /dev/null
INSERT INTO public.level VALUES (55, 7, 'b'), (58, 3, 'c');
SELECT pg_temp.clock('2026-11-20 12:00+00')
\g /dev/null
SELECT kb_month_charge(id) FROM generate_series(50, 58) AS id, generate_series(1, 2)
\g /dev/null
SELECT is((SELECT count(*) FROM entry WHERE account_id BETWEEN 50 AND 58 AND period = '2026-10-01'), 9::bigint, 'U3: October is charged');
INSERT INTO public.keyed VALUES (151, 51, 100, NULL);
SELECT is(pg_temp.after(statement, id), used, format('U3, E3: %s', why)) FROM (VALUES
	(50, 'DELETE FROM public.keyed WHERE id = 50', 'sum -10/-1 of 10', 'a row whose month is charged is taken back late'),
	(50, 'INSERT INTO public.keyed VALUES (50, 50, 12, NULL)', 'sum 12/1, sum -10/-1 of 10', 'it comes again, now'),
	(51, 'UPDATE public.keyed SET note = ''x'' WHERE id = 51', 'sum 100/1', 'it is not touched'),
	(52, 'UPDATE public.keyed SET qty = 13 WHERE id = 52', 'sum 3/0 of 10', 'it is corrected, and keeps its time'),
	(53, 'UPDATE public.keyed SET acc = 51 WHERE id = 53', 'sum -10/-1 of 10', 'it goes to another account'),
	(51, 'SELECT', 'sum 110/2', 'which has it now'),
	(54, 'DELETE FROM public.plain WHERE id = 54', 'sum -10/-1', 'without a key it is taken back of now'),
	(55, 'DELETE FROM public.level WHERE key = ''a''', 'none', 'not the last one'),
	(55, 'DELETE FROM public.level WHERE key = ''b''', 'last -7/-2 of 10', 'the last one'),
	(56, 'DELETE FROM public.peak WHERE key = ''a''', 'max -10/-1 of 10', 'the highest one'),
	(57, 'DELETE FROM public.seen_keyed WHERE key = 1', 'unique -1/-1 of 10', 'a value')
) AS t (id, statement, used, why);
SELECT pg_temp.clock('2026-11-01 12:00+00')
\g /dev/null
INSERT INTO public.level VALUES (59, 10, '1 Nov'); INSERT INTO public.keyed VALUES (60, 60, 5, NULL);
SELECT pg_temp.clock('2026-11-02 12:00+00')
\g /dev/null
INSERT INTO public.level VALUES (59, 4, '2 Nov');
SELECT pg_temp.clock('2026-11-03 12:00+00')
\g /dev/null
UPDATE public.level SET qty = 11 WHERE key = '1 Nov';
SELECT is(pg_temp.used(59), 'last 4/2', 'U3, E3: an earlier reading is corrected, the last one stays the last');
SELECT pg_temp.clock('2026-12-01 00:05+00')
\g /dev/null
UPDATE public.keyed SET qty = 6 WHERE id = 60;
SELECT is(pg_temp.used(60), 'none', 'U3, E3: a row of a month that is not charged yet is corrected in it');
SELECT pg_temp.clock('2026-11-20 12:00+00')
\g /dev/null

-- What was there before the trigger

CREATE TABLE public.older (id int, acc bigint, qty int);
INSERT INTO public.older VALUES (1, 61, 10), (2, 61, 20), (3, 61, 30);
SELECT pg_temp.meter('public.older', 'sum', 'acc', 'qty', 'id')
\g /dev/null
DELETE FROM public.older WHERE id = 1;
SELECT is(pg_temp.used(61), 'none', 'E3: a row that was there before the trigger has nothing to take back');
UPDATE public.older SET qty = 25 WHERE id = 2;
SELECT is(pg_temp.used(61), 'sum 25/1', 'E3: once it changes, it is usage');

-- Two tables, two meters

CREATE TABLE public.mail (id int, acc bigint, size int);
CREATE TABLE public.chat (id int, acc bigint, size int);
SELECT pg_temp.meter('public.mail', 'sum', 'acc', 'size'), pg_temp.meter('public.chat', 'sum', 'acc', 'size')
\g /dev/null
CREATE TRIGGER second_i AFTER INSERT ON public.mail REFERENCING NEW TABLE AS n FOR EACH STATEMENT
	EXECUTE FUNCTION kb_meter('count', 'acc', '', 'id');
CREATE TRIGGER second_d AFTER DELETE ON public.mail REFERENCING OLD TABLE AS o FOR EACH STATEMENT
	EXECUTE FUNCTION kb_meter('count', 'acc', '', 'id');
INSERT INTO public.mail VALUES (1, 62, 100), (2, 62, 50);
INSERT INTO public.chat VALUES (1, 62, 7);
SELECT is(pg_temp.used(62), 'count 2/2, sum 157/3', 'E3: two tables of one service, two meters on one table');
DELETE FROM public.mail WHERE id = 1;
SELECT is(pg_temp.used(62), 'count 1/1, sum 57/2', 'E3: and each takes back its own');
CREATE TABLE public.sms (id int, acc bigint, size int);
CREATE TABLE public.fax (id int, acc bigint, size int);
SELECT pg_temp.meter('public.sms', 'sum', 'acc', 'size', 'id'), pg_temp.meter('public.fax', 'sum', 'acc', 'size', 'id')
\g /dev/null
INSERT INTO public.sms VALUES (1, 63, 100);
SELECT throws_ok('INSERT INTO public.fax VALUES (1, 63, 7)', 'KB006', 'key "1" of service "sum" is in use',
	'E3: nothing is lost: two tables must not share keys');
INSERT INTO public.fax VALUES (2, 63, 7);
SELECT is(pg_temp.used(63), 'sum 107/2', 'E3: two tables whose keys differ');
DELETE FROM public.sms WHERE id = 1;
INSERT INTO public.fax VALUES (1, 63, 9);
SELECT is(pg_temp.used(63), 'sum 16/2', 'E3: a key that was taken back is free');
SELECT kb_record_usage(63, 'sum', 5, '3')
\g /dev/null
INSERT INTO public.fax VALUES (3, 63, 5);
SELECT is(pg_temp.used(63), 'sum 21/3', 'U1: what a call has recorded is known');

-- A table that is renamed, or goes to another schema

CREATE TABLE public.before (id int, acc bigint, qty int);
SELECT pg_temp.meter('public.before', 'sum', 'acc', 'qty', 'id')
\g /dev/null
INSERT INTO public.before VALUES (1, 66, 10), (2, 66, 10), (3, 66, 10);
ALTER TABLE public.before RENAME TO after;
CREATE SCHEMA elsewhere;
ALTER TABLE public.after SET SCHEMA elsewhere;
UPDATE elsewhere.after SET qty = 11 WHERE id = 1;
SELECT is(pg_temp.used(66), 'sum 31/3', 'E3: a table that is renamed: a row is corrected');
DELETE FROM elsewhere.after WHERE id = 2;
SELECT is(pg_temp.used(66), 'sum 21/2', 'E3: a table that is renamed: a row is gone');
CREATE TABLE public.before (id int, acc bigint, qty int);
SELECT pg_temp.meter('public.before', 'sum', 'acc', 'qty', 'id')
\g /dev/null
INSERT INTO public.before VALUES (4, 66, 5);
SELECT is(pg_temp.used(66), 'sum 26/3', 'E3: another table that gets its name');

-- Rights: the role that writes the rows needs none

CREATE ROLE kbilling_test_app;
GRANT INSERT, UPDATE, DELETE, SELECT ON public.keyed TO kbilling_test_app;
REVOKE USAGE ON SCHEMA kbilling FROM PUBLIC;
SET LOCAL ROLE kbilling_test_app;
SET LOCAL search_path = public;
INSERT INTO public.keyed VALUES (64, 64, 10, NULL);
UPDATE public.keyed SET qty = 11 WHERE id = 64;
RESET ROLE;
SET LOCAL search_path = kbilling, public;
SELECT is(pg_temp.used(64), 'sum 11/1', 'E3: a role without any right on kbilling has its rows counted');
GRANT USAGE ON SCHEMA kbilling TO PUBLIC;
GRANT CREATE ON SCHEMA public TO kbilling_test_app;
SET LOCAL ROLE kbilling_test_app;
CREATE TABLE public.own (acc bigint);
SELECT throws_ok('CREATE TRIGGER t AFTER INSERT ON public.own REFERENCING NEW TABLE AS n '
	'FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter(''count'', ''acc'')', '42501', NULL,
	'E3: but it cannot meter a table of its own');
SELECT throws_ok('SELECT kbilling.kb_record_usage(64, ''sum'', 1, ''k'')', '42501', NULL, 'E3: nor record usage itself');
SELECT throws_ok('SELECT kbilling.kb_record_usage_batch(''[]'')', '42501', NULL, 'E3: nor in a batch');
RESET ROLE;

-- Wrong attachments

CREATE TABLE public.wrong (acc bigint, qty numeric, word text, day date, acc_numeric numeric, acc_text text, key text, "Odd ""name" int);
CREATE FUNCTION pg_temp.attach(trigger_is text, args text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	result = pg_temp.error_with_detail(format('CREATE TRIGGER wrong %s EXECUTE FUNCTION kbilling.kb_meter(%s)', trigger_is, args));
	IF result = '' THEN
		result = pg_temp.error_with_detail(statement);
		DROP TRIGGER wrong ON public.wrong;
	END IF;
	RETURN result;
END $$;
INSERT INTO public.wrong (acc, qty) VALUES (65, 1);
SELECT is(pg_temp.attach(trigger_is, args, statement), CASE WHEN error LIKE '_____ %' THEN error WHEN error = '' THEN ''
	ELSE '39P01 trigger "wrong" on public.wrong is attached wrongly | ' || error END,
	format('E3: %s kb_meter(%s)', trigger_is, args))
FROM (VALUES
	('AFTER INSERT ON public.wrong FOR EACH ROW', '''sum'', ''acc'', ''qty''',
		'INSERT INTO public.wrong (acc, qty) VALUES (65, 1)',
		'kb_meter counts rows after a statement: attach it AFTER, FOR EACH STATEMENT.'),
	('BEFORE INSERT ON public.wrong FOR EACH ROW', '''sum'', ''acc'', ''qty''',
		'INSERT INTO public.wrong (acc, qty) VALUES (65, 1)',
		'kb_meter counts rows after a statement: attach it AFTER, FOR EACH STATEMENT.'),
	('BEFORE INSERT ON public.wrong FOR EACH STATEMENT', '''sum'', ''acc'', ''qty''',
		'INSERT INTO public.wrong (acc, qty) VALUES (65, 1)',
		'kb_meter counts rows after a statement: attach it AFTER, FOR EACH STATEMENT.'),
	('AFTER INSERT ON public.wrong FOR EACH STATEMENT', '''sum'', ''acc'', ''qty''',
		'INSERT INTO public.wrong (acc, qty) VALUES (65, 1)', 'The new rows are missing: REFERENCING NEW TABLE AS added.'),
	('AFTER UPDATE ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''sum'', ''acc'', ''qty''',
		'UPDATE public.wrong SET qty = 1', 'The old rows are missing: REFERENCING OLD TABLE AS removed.'),
	('AFTER UPDATE ON public.wrong REFERENCING OLD TABLE AS o FOR EACH STATEMENT', '''sum'', ''acc'', ''qty''',
		'UPDATE public.wrong SET qty = 1', 'The new rows are missing: REFERENCING NEW TABLE AS added.'),
	('AFTER DELETE ON public.wrong FOR EACH STATEMENT', '''sum'', ''acc'', ''qty''', 'DELETE FROM public.wrong',
		'The old rows are missing: REFERENCING OLD TABLE AS removed.'),
	('AFTER TRUNCATE ON public.wrong FOR EACH STATEMENT', '''sum'', ''acc'', ''qty''', 'TRUNCATE public.wrong',
		'TRUNCATE does not tell which rows it removes, so they cannot be taken back.'),
	('BEFORE TRUNCATE ON public.wrong FOR EACH STATEMENT', '''sum'', ''acc'', ''qty''', 'TRUNCATE public.wrong',
		'kb_meter counts rows after a statement: attach it AFTER, FOR EACH STATEMENT.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '',
		'INSERT INTO public.wrong (acc) VALUES (65)',
		'It takes 2 to 4 arguments: service, account column, quantity column or '''', key column.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''count''',
		'INSERT INTO public.wrong (acc) VALUES (65)',
		'It takes 2 to 4 arguments: service, account column, quantity column or '''', key column.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT',
		'''count'', ''acc'', '''', ''key'', ''x''', 'INSERT INTO public.wrong (acc) VALUES (65)',
		'It takes 2 to 4 arguments: service, account column, quantity column or '''', key column.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''count'', ''''',
		'INSERT INTO public.wrong (acc) VALUES (65)', 'The account column is missing.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''unique'', ''acc''',
		'INSERT INTO public.wrong (acc) VALUES (65)', 'The service counts distinct values: '
		'the third argument must name the column that has them.'),
	('AFTER DELETE ON public.wrong REFERENCING OLD TABLE AS o FOR EACH STATEMENT', '''max'', ''acc'', ''qty''',
		'DELETE FROM public.wrong', 'The service''s events do not add up: the fourth argument must name the key by which a '
		'row is taken back.'),
	('AFTER UPDATE ON public.wrong REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT',
		'''last'', ''acc'', ''qty''', 'UPDATE public.wrong SET qty = 1',
		'The service''s events do not add up: the fourth argument must name the key by which a row is taken back.'),
	('AFTER DELETE ON public.wrong REFERENCING OLD TABLE AS o FOR EACH STATEMENT', '''unique'', ''acc'', ''word''',
		'DELETE FROM public.wrong', 'The service''s events do not add up: the fourth argument must name the key by which a '
		'row is taken back.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''max'', ''acc'', ''qty''',
		'INSERT INTO public.wrong (acc, qty) VALUES (65, 1)', ''),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''count'', ''account''',
		'INSERT INTO public.wrong (acc) VALUES (65)',
		'42703 column "account" does not exist | Trigger "wrong" on table "wrong" names it as argument 2 of kb_meter.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''count'', ''ctid''',
		'INSERT INTO public.wrong (acc) VALUES (65)',
		'42703 column "ctid" does not exist | Trigger "wrong" on table "wrong" names it as argument 2 of kb_meter.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''sum'', ''acc'', ''quantity''',
		'INSERT INTO public.wrong (acc) VALUES (65)',
		'42703 column "quantity" does not exist | Trigger "wrong" on table "wrong" names it as argument 3 of kb_meter.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''sum'', ''acc'', ''qty'', ''id''',
		'INSERT INTO public.wrong (acc, qty) VALUES (65, 1)',
		'42703 column "id" does not exist | Trigger "wrong" on table "wrong" names it as argument 4 of kb_meter.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''count'', ''acc_text''',
		'INSERT INTO public.wrong (acc_text) VALUES (65)',
		'42804 column "acc_text" of table "wrong" is not a whole number | Trigger "wrong" needs one, but it is of type text.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''count'', ''acc_numeric''',
		'INSERT INTO public.wrong (acc_numeric) VALUES (65)',
		'42804 column "acc_numeric" of table "wrong" is not a whole number | Trigger "wrong" needs one, but it is of type numeric.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''sum'', ''acc'', ''word''',
		'INSERT INTO public.wrong (acc, word) VALUES (65, ''1'')',
		'42804 column "word" of table "wrong" is not a number | Trigger "wrong" needs one, but it is of type text.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''sum'', ''acc'', ''day''',
		'INSERT INTO public.wrong (acc, day) VALUES (65, ''2026-11-01'')',
		'42804 column "day" of table "wrong" is not a number | Trigger "wrong" needs one, but it is of type date.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''orders'', ''acc''',
		'INSERT INTO public.wrong (acc) VALUES (65)',
		'KB012 service "orders" does not exist | Trigger "wrong" on table "wrong" names it.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''orders'', ''acc''',
		'INSERT INTO public.wrong (acc) SELECT 1 WHERE false',
		'KB012 service "orders" does not exist | Trigger "wrong" on table "wrong" names it.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''seat'', ''acc''',
		'INSERT INTO public.wrong (acc) VALUES (65)',
		'22023 service "seat" is not metered | Trigger "wrong" on table "wrong" names it.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''base'', ''acc''',
		'INSERT INTO public.wrong (acc) VALUES (65)',
		'22023 service "base" is not metered | Trigger "wrong" on table "wrong" names it.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''count'', ''acc''',
		'INSERT INTO public.wrong (acc) VALUES (65), (999)',
		'KB001 account 999 does not exist | Rows of a metered table without keys are counted together.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''count'', ''acc'', '''', ''key''',
		'INSERT INTO public.wrong (acc, key) VALUES (999, ''k'')',
		'KB001 account 999 does not exist | It is a row of a metered table, with key "k".'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''sum'', ''acc'', ''qty''',
		'INSERT INTO public.wrong (qty) VALUES (1)',
		'22004 column "acc" must not be null | Trigger "wrong" on table "wrong" passes the row to kb_meter.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''sum'', ''acc'', ''qty''',
		'INSERT INTO public.wrong (acc) VALUES (65)',
		'22004 column "qty" must not be null | Trigger "wrong" on table "wrong" passes the row to kb_meter.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''unique'', ''acc'', ''word''',
		'INSERT INTO public.wrong (acc) VALUES (65)',
		'22004 column "word" must not be null | Trigger "wrong" on table "wrong" passes the row to kb_meter.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''sum'', ''acc'', ''qty'', ''key''',
		'INSERT INTO public.wrong (acc, qty) VALUES (65, 1)',
		'22004 column "key" must not be null | Trigger "wrong" on table "wrong" passes the row to kb_meter.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''sum'', ''acc'', ''qty'', ''key''',
		'INSERT INTO public.wrong (acc, qty, key) VALUES (65, 1, '''')',
		'22023 key must have 1 to 255 bytes | It has 0.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''sum'', ''acc'', ''qty'', ''key''',
		'INSERT INTO public.wrong (acc, qty, key) VALUES (65, 1, ''4111 1111 1111 1111'')',
		'KB008 value holds what looks like a payment card number '
			'| It has 13 to 19 digits with an issuer''s prefix and a valid check digit.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''unique'', ''acc'', ''word''',
		'INSERT INTO public.wrong (acc, word) VALUES (65, ''4111 1111 1111 1111'')',
		'KB008 value holds what looks like a payment card number '
			'| It has 13 to 19 digits with an issuer''s prefix and a valid check digit.'),
	('AFTER INSERT OR UPDATE ON public.wrong FOR EACH STATEMENT', '''sum'', ''acc'', ''qty''',
		'UPDATE public.wrong SET qty = 1', 'The new rows are missing: REFERENCING NEW TABLE AS added.'),
	('AFTER INSERT ON public.wrong REFERENCING NEW TABLE AS n FOR EACH STATEMENT', '''sum'', ''acc'', ''Odd "name''',
		'INSERT INTO public.wrong (acc, "Odd ""name") VALUES (65, 4)', '')
) AS t (trigger_is, args, statement, error);
SELECT throws_ok('SELECT kb_meter()', NULL, 'kb_meter is a trigger function', 'E3: it is no function to call');
SELECT throws_ok($$INSERT INTO public.seen VALUES (65, repeat('x', 256), 1)$$, '22023', NULL, 'U2: a value of more than 255 bytes');

-- Accounts that are gone

INSERT INTO public.keyed VALUES (70, 70, 10, NULL); INSERT INTO public.plain VALUES (70, 70, 10, NULL);
UPDATE account SET state = 'deleted' WHERE account_id = 70;
SELECT throws_ok('INSERT INTO public.keyed VALUES (71, 70, 10, NULL)', 'KB010', NULL, 'D5: a deleted account uses nothing');
SELECT lives_ok('UPDATE public.keyed SET note = ''gone'' WHERE acc = 70', 'D6, E3: and be written to, where that is no usage');
SELECT lives_ok('UPDATE public.plain SET note = ''gone'' WHERE acc = 70', 'D6, E3: without a key, too');
SELECT lives_ok('DELETE FROM public.keyed WHERE acc = 70', 'D6, E3: rows of a deleted account may be deleted');
SELECT lives_ok('DELETE FROM public.plain WHERE acc = 70', 'D6, E3: rows of a deleted account may be deleted, without a key');

-- U5: totals are what the events add up to, after all that

SELECT set_eq($$SELECT account_id, period, service, sum(events) AS events, sum(quantity) AS quantity FROM usage_total
	WHERE aggregation = 'sum' GROUP BY 1, 2, 3$$,
	$$SELECT account_id, period, service, sum(events) AS events, sum(quantity) AS quantity
		FROM usage_event JOIN service AS s USING (service) WHERE s.aggregation = 'sum' GROUP BY 1, 2, 3$$,
	'U5: sums');
SELECT set_eq($$SELECT account_id, period, sum(events) AS events, sum(quantity) AS quantity FROM usage_total
	WHERE aggregation = 'unique' GROUP BY 1, 2$$,
	$$SELECT account_id, period, sum(n) AS events, count(*) FILTER (WHERE n > 0)::numeric AS quantity FROM
		(SELECT account_id, period, value, sum(events) AS n FROM usage_event WHERE value IS NOT NULL GROUP BY 1, 2, 3) AS v
			GROUP BY 1, 2$$, 'U5: distinct values');

SELECT * FROM finish();
