-- what: a top-up through the router
-- ours: kb_apply_topup through the router, in the same server
-- floor: kb_apply_topup, on the shard
-- case: clients=1 accounts=10000
-- case: clients=8 accounts=10000
-- databases: shard
-- in floor: shard
-- goal: wall ours / floor <= 2.0

-- == setup
-- Nobody subscribes to the price list here.
SET client_min_messages = error;
CREATE EXTENSION kbilling_router CASCADE;
SELECT kb_own_buckets('{}');
INSERT INTO kbilling_router.shard (shard, conninfo)
VALUES ('shard', format('host=%s port=%s dbname=bench_router_shard', :'HOST', :'PORT'));
INSERT INTO kbilling_router.bucket_map SELECT bucket, 'shard' FROM generate_series(0, 1023) bucket;
SELECT kbilling_router.kb_router_refresh(check_nodes => false);
\c bench_router_shard
SET client_min_messages = warning;
SET search_path = kbilling;
CALL bench.make_accounts(:accounts);
SELECT kbilling.kb_own_buckets(ARRAY(SELECT generate_series(0, 1023)));

-- == floor
\set account random(1, :accounts)
\set amount random(1, 5000)
\set key random(1, 1000000000000)
SELECT * FROM kbilling.kb_apply_topup(:account, kbilling.kb_money(:amount, 'USD'), 'card', 'pi_' || :key);

-- == ours
\set account random(1, :accounts)
\set amount random(1, 5000)
\set key random(1, 1000000000000)
SELECT * FROM kbilling_router.kb_apply_topup(:account, kbilling.kb_money(:amount, 'USD'), 'card', 'pi_' || :key);
