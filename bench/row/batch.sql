-- what: usage by the batch, an event
-- ours: kb_record_usage_batch
-- floor: INSERT … SELECT of the same JSON
-- twin: the same rule in plpgsql
-- mode: statement
-- case: events=1000 accounts=10000
-- case: events=10000 accounts=10000
-- case: events=100000 accounts=10000
-- case: events=1000000 accounts=10000 rounds=1
-- per: events
-- tables ours: kbilling.usage_total kbilling.usage_event
-- tables floor: bare.usage_event
-- tables twin: twin.usage_total twin.usage_event
-- goal: wall ours / floor <= 1.6 at events=100000

-- == setup
CALL bench.make_accounts(:accounts);
\i twin/usage.sql

-- == before
SET client_min_messages = warning;
DROP TABLE IF EXISTS bench.batch;
CREATE TABLE bench.batch AS
SELECT jsonb_agg(jsonb_build_object('account_id', 1 + i % :accounts, 'service', 'orders', 'quantity', 1 + i % 7,
	'key', :'round' || '-' || i, 'at', now())) AS events
FROM generate_series(1, :events) i;

-- == floor
INSERT INTO bare.usage_event SELECT account_id, service, key, at, quantity, properties
FROM bench.batch, jsonb_to_recordset(events) AS
	e (account_id bigint, service text, key text, at timestamptz, quantity numeric, properties jsonb);

-- == twin
SELECT twin.record_usage_batch(events) FROM bench.batch;

-- == ours
SELECT kbilling.kb_record_usage_batch(events) FROM bench.batch;
