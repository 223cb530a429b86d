-- what: an event and its month's total
-- ours: kb_record_usage
-- floor: two INSERTs in one statement
-- twin: the same rule in plpgsql
-- case: clients=1 accounts=10000
-- case: clients=8 accounts=10000
-- case: clients=8 accounts=1
-- goal: wall twin / ours >= 1.0
-- instructions: 200
-- tables ours: kbilling.usage_total kbilling.usage_event
-- tables floor: bare.usage_total bare.usage_event
-- tables twin: twin.usage_total twin.usage_event

-- == setup
CALL bench.make_accounts(:accounts);
\i twin/usage.sql

-- == floor
\set account random(1, :accounts)
\set key random(1, 1000000000000)
WITH e AS (
	INSERT INTO bare.usage_event (account_id, service, key, at, quantity) VALUES (:account, 'orders', 'o_' || :key, now(), 2)
	ON CONFLICT DO NOTHING
	RETURNING account_id, service, at, quantity
)
INSERT INTO bare.usage_total AS t (account_id, period, service, events, quantity, counted_at)
SELECT account_id, date_trunc('month', at)::date, service, 1, quantity, at FROM e
ON CONFLICT (account_id, period, service) DO UPDATE
	SET events = t.events + 1, quantity = t.quantity + excluded.quantity, counted_at = excluded.counted_at;

-- == twin
\set account random(1, :accounts)
\set key random(1, 1000000000000)
SELECT twin.record_usage(:account, 'orders', 2, 'o_' || :key);

-- == ours
\set account random(1, :accounts)
\set key random(1, 1000000000000)
SELECT kbilling.kb_record_usage(:account, 'orders', 2, 'o_' || :key);
