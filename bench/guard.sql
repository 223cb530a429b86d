-- Compares the guard with no trigger, and kb_can_use with a plain filter.
-- After setup.sql.  Prints what was compared, and the median ratio of 5 rounds, each of which runs all of them in turn.
SET client_min_messages = warning;
SET search_path = public, kbilling;
SET kbilling.clock = '2026-11-15 12:00+00';
SET max_parallel_workers_per_gather = 0;	-- for all, as parallel workers do not know the acting member
\pset tuples_only on
\pset format unaligned
-- Accounts of their own, as those of the other benchmarks are in debt
SELECT kb_create_account('bench', 'bench', 1000000000 + i) FROM generate_series(1, 100) i \g /dev/null

-- Rows as in examples/helpdesk.sql, of one account and of 100
CREATE TABLE message_of_1 AS SELECT 1000000001 AS account_id, i AS message_id, 'message ' || i AS body FROM generate_series(1, 100000) i;
CREATE TABLE message_of_100 AS SELECT 1000000001 + i % 100 AS account_id, i AS message_id, 'message ' || i AS body
	FROM generate_series(1, 100000) i;
CREATE TABLE unguarded (account_id bigint NOT NULL, message_id bigint NOT NULL, body text NOT NULL, PRIMARY KEY (account_id, message_id));
CREATE TABLE guarded_by_row (LIKE unguarded INCLUDING ALL);
CREATE TABLE guarded_by_statement (LIKE unguarded INCLUDING ALL);
CREATE TRIGGER guard BEFORE INSERT ON guarded_by_row FOR EACH ROW EXECUTE FUNCTION kb_guard('account_id');
CREATE TRIGGER guard AFTER INSERT ON guarded_by_statement REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION kb_guard('account_id');

-- A million rows, to read those of one account
CREATE TABLE row_of_3 AS SELECT (1000000001 + i % 3)::bigint AS account_id, 'row ' || i AS body FROM generate_series(1, 1000000) i;
CREATE TABLE row_of_1000 AS SELECT (1000000001 + i % 1000)::bigint AS account_id, 'row ' || i AS body FROM generate_series(1, 1000000) i;
CREATE INDEX ON row_of_1000 (account_id);
VACUUM ANALYZE;

CREATE TEMP TABLE took (round int, what text, rows text, begun timestamptz DEFAULT clock_timestamp(), ended timestamptz);
-- \gexec runs each cell as a statement of its own.
SELECT
	'TRUNCATE unguarded, guarded_by_row, guarded_by_statement',
	'CHECKPOINT',
	format('INSERT INTO took (round, what, rows) VALUES (%s, %L, %L)', round, what, '100000 rows of accounts: ' || accounts),
	format('INSERT INTO %s SELECT * FROM message_of_%s', what, accounts),
	'UPDATE took SET ended = clock_timestamp() WHERE ended IS NULL'
FROM generate_series(1, 5) AS round, unnest('{1,100}'::int[]) AS accounts,
	unnest('{unguarded,guarded_by_row,guarded_by_statement}'::text[]) AS what
ORDER BY round, accounts
\gexec
\o /dev/null
SELECT
	'BEGIN',
	'SELECT kb_act_as(1000000001, ''bench'')',
	format('INSERT INTO took (round, what, rows) VALUES (%s, %L, %L)', round, condition,
		'1000000 rows of accounts: ' || accounts || CASE accounts WHEN 1000 THEN ', indexed' ELSE '' END),
	format('SELECT count(*) FROM row_of_%s WHERE %s', accounts, condition),
	'UPDATE took SET ended = clock_timestamp() WHERE ended IS NULL',
	'COMMIT'
FROM generate_series(1, 5) AS round, unnest('{3,1000}'::int[]) AS accounts,
	unnest(ARRAY['account_id = 1000000001', 'kb_can_use(account_id)',
		'account_id = kb_acting_account() AND kb_can_use(account_id)']) AS condition
ORDER BY round, accounts
\gexec
\o

SELECT format('%s / %s, %s', a.what, b.what, rows),
	round((percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM a.ended - a.begun)
		/ extract(epoch FROM b.ended - b.begun)))::numeric, 2)
FROM took a JOIN took b USING (round, rows)
WHERE b.what IN ('unguarded', 'account_id = 1000000001') AND a.what <> b.what
GROUP BY a.what, b.what, rows
ORDER BY rows, a.what DESC;
