-- Compares recording usage with a plain INSERT of the same rows, and reads a busy month.
-- Needs -v accounts=N, after setup.sql.  Prints what was compared, and the ratio or milliseconds.
SET client_min_messages = warning;
SET search_path = public, kbilling;
SET kbilling.clock = '2026-11-15 12:00+00';
\pset tuples_only on
\pset format unaligned
SELECT kb_create_service('orders', 'metered'), kb_set_price('bench', 'orders', '0.50 each free 3') \g /dev/null

CREATE TABLE sale AS
SELECT i AS sale_id, 1 + i % least(:accounts, 10000) AS account_id, 1 + i % 7 AS quantity, 'sale ' || i AS note
FROM generate_series(1, 3 * :accounts) i;
CREATE TEMP TABLE batch AS
SELECT jsonb_agg(jsonb_build_object('account_id', account_id, 'service', 'orders', 'quantity', quantity, 'key', 'sale ' || sale_id,
	'at', '2026-11-14T10:00:00Z')) AS events
FROM sale;
CREATE TABLE bare_event (account_id bigint, service text, key text, at timestamptz NOT NULL, quantity numeric NOT NULL, properties jsonb,
	PRIMARY KEY (account_id, service, key));
CREATE TABLE shop (sale_id bigint PRIMARY KEY, account_id bigint NOT NULL, quantity integer NOT NULL, note text);
CREATE TABLE metered_shop (LIKE shop INCLUDING ALL);
CREATE TABLE keyed_shop (LIKE shop INCLUDING ALL);
CREATE TRIGGER meter AFTER INSERT ON metered_shop REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('orders', 'account_id', 'quantity');
CREATE TRIGGER meter AFTER INSERT ON keyed_shop REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('orders', 'account_id', 'quantity', 'sale_id');
VACUUM ANALYZE;
CHECKPOINT;

CREATE TEMP TABLE took (what text, seconds numeric);
SELECT clock_timestamp() AS begun \gset
INSERT INTO bare_event SELECT account_id, service, key, at, quantity, properties
FROM batch, jsonb_to_recordset(events) AS e (account_id bigint, service text, key text, at timestamptz, quantity numeric, properties jsonb);
INSERT INTO took SELECT 'bare events', extract(epoch FROM clock_timestamp() - :'begun');
SELECT clock_timestamp() AS begun \gset
SELECT kb_record_usage_batch(events) FROM batch \g /dev/null
INSERT INTO took SELECT 'batch', extract(epoch FROM clock_timestamp() - :'begun');
SELECT clock_timestamp() AS begun \gset
INSERT INTO shop SELECT * FROM sale;
INSERT INTO took SELECT 'shop', extract(epoch FROM clock_timestamp() - :'begun');
SELECT clock_timestamp() AS begun \gset
INSERT INTO metered_shop SELECT * FROM sale;
INSERT INTO took SELECT 'metered shop', extract(epoch FROM clock_timestamp() - :'begun');
SELECT clock_timestamp() AS begun \gset
INSERT INTO keyed_shop SELECT * FROM sale;
INSERT INTO took SELECT 'keyed shop', extract(epoch FROM clock_timestamp() - :'begun');

SELECT format('%s / %s, %s rows', a.what, b.what, count(*)), round(a.seconds / b.seconds, 2)
FROM (VALUES ('batch', 'bare events'), ('metered shop', 'shop'), ('keyed shop', 'shop')) AS v (x, y)
JOIN took a ON a.what = x JOIN took b ON b.what = y, sale
GROUP BY a.what, b.what, a.seconds, b.seconds;

-- An account with a thousand events this month, and one with a million
SELECT kb_record_usage_batch(jsonb_agg(jsonb_build_object('account_id', CASE WHEN i <= 1000 THEN :accounts - 1 ELSE :accounts END,
	'service', 'orders', 'quantity', 1, 'key', i::text)))
FROM generate_series(1, 1001000) i \g /dev/null
