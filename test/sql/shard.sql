BEGIN;
SET LOCAL search_path = kbilling, public;
SET LOCAL kbilling.clock = '2026-11-02 10:00+00';
SELECT no_plan();
\ir ../include/error.sql

-- Buckets

SELECT is(kb_shard(x), b, format('B1: account %s is in bucket %s', x, b))
FROM (VALUES (1, 838), (2, 246), (3, 919), (42, 712), (1000, 276), (4294967296, 838), (9223372036854775807, 951),
	(0, 175), (-1, 330), (-9223372036854775808, 531)) v (x, b);
SELECT is_empty($$
	SELECT x FROM (SELECT generate_series(1, 20000) UNION ALL SELECT (random() * 2 ^ 62)::bigint FROM generate_series(1, 20000)
		UNION ALL SELECT -(random() * 2 ^ 62)::bigint FROM generate_series(1, 20000)) v (x)
	WHERE kb_shard(x) <> hashint8(x) & 1023
$$, 'B1: the bucket is that of the built-in functions, which publications can filter by');
SELECT is((SELECT count(DISTINCT kb_shard(x)) FROM generate_series(1, 20000) x), 1024::bigint, 'B1: accounts are in all buckets');
SELECT is(kb_shard(NULL), NULL, 'B1: no account is in no bucket');

-- All accounts but of bucket 838, which has account 1, or of others

CREATE FUNCTION pg_temp.disown(VARIADIC buckets integer[]) RETURNS void LANGUAGE sql
	RETURN kb_own_buckets(ARRAY(SELECT b FROM generate_series(0, 1023) b WHERE b <> ALL (buckets)));

SELECT kb_create_tariff('a', 'USD'), kb_create_service('orders', 'metered');
SELECT kb_set_price('a', 'base', '30.00'), kb_set_price('a', 'orders', '0.05 each');
SELECT kb_create_account('ann', 'a', 1), kb_create_account('ben', 'a', 2);

SELECT is((SELECT count(*) FROM shard_bucket), 0::bigint, 'B2: a node has no shards at first');
SELECT ok(kbilling_internal.kb_is_owned(x), format('B2: without shards account %s is its own', x)) FROM unnest('{1,2,77}'::bigint[]) x;

SELECT pg_temp.disown(838);
SELECT is((SELECT array_agg(bucket) FROM shard_bucket WHERE NOT is_owned), '{838}', 'B2: what is not declared is not owned');
SELECT is((SELECT count(*) FROM shard_bucket), 1024::bigint, 'B2: each bucket has its row');
SELECT is(ARRAY(SELECT kbilling_internal.kb_is_owned(x) FROM unnest('{1,2,77,4294967296}'::bigint[]) x), '{f,t,t,f}',
	'B2: accounts of other buckets are its own, whether they are there or not');

SELECT kb_own_buckets('{}');
SELECT is((SELECT count(*) FROM shard_bucket WHERE NOT is_owned), 1024::bigint, 'B2: an empty array declares that nothing is owned');
SELECT is(kbilling_internal.kb_is_owned(2), false, 'B2: a node that owns nothing still has shards');
SELECT kb_own_buckets('{838,838}');
SELECT is((SELECT array_agg(bucket) FROM shard_bucket WHERE is_owned), '{838}', 'B2: declaring it anew replaces what was declared');
DELETE FROM shard_bucket WHERE bucket = 838;
SELECT is(ARRAY(SELECT kbilling_internal.kb_is_owned(x) FROM unnest('{1,2}'::bigint[]) x), '{f,f}',
	'B2: a bucket without a row is not owned where others have rows');
DELETE FROM shard_bucket;
SELECT ok(kbilling_internal.kb_is_owned(1), 'B2: without rows, all are its own again');

SELECT is(pg_temp.error_of('SELECT kb_own_buckets(NULL)'), '22004 buckets must not be null', '22004: no array');
SELECT is(pg_temp.error_of($$SELECT kb_own_buckets('{1,NULL}')$$), '22004 buckets must not contain nulls', '22004: a null in it');
SELECT is(pg_temp.error_of(format('SELECT kb_own_buckets(ARRAY[0, %s])', b)),
	format('22023 there is no bucket %s | Buckets have the numbers 0 to 1023. | kb_shard says in which bucket an account is.', b),
	format('22023: bucket %s', b)) FROM unnest('{-1,1024,2147483647,-2147483648}'::integer[]) b;
SELECT is((SELECT count(*) FROM shard_bucket), 0::bigint, 'B2: what was refused has declared nothing');

-- KB014

SELECT pg_temp.disown(838);
SELECT is(pg_temp.error_of($$SELECT kb_apply_topup(1, '5 USD', 'card', 'r1')$$),
	'KB014 account 1 is on another shard | It is in bucket 838, which this node does not own. | '
	'Repeat the call on the node that owns the bucket, as the router does.', 'B3: a posting to an account that is not owned');
SELECT is((SELECT balance FROM account WHERE account_id = 1), '0 USD', 'B3: it has changed nothing');
SELECT is((kb_apply_topup(2, '5 USD', 'card', 'r1')).balance, '5 USD', 'B3: an account that is owned is topped up');
SELECT is(left(pg_temp.error_of(call), 5), state, format('B3: %s: %s', state, call))
FROM (VALUES
	('SELECT kb_set_metadata(1, ''{}'')', 'KB014'), ('SELECT kb_metadata(1)', 'KB014'),
	('SELECT kb_record_usage(1, ''orders'', 1, ''k'')', 'KB014'),
	('SELECT kb_record_usage_batch(''[{"account_id": 2, "service": "orders", "quantity": 1, "key": "k"},
		{"account_id": 1, "service": "orders", "quantity": 1, "key": "k"}]'')', 'KB014'),
	('SELECT kb_set_metadata(4294967296, ''{}'')', 'KB014'), ('SELECT kb_metadata(4294967296)', 'KB014'),
	('SELECT kb_set_metadata(77, ''{}'')', 'KB001'), ('SELECT kb_metadata(77)', 'KB001'),
	('SELECT kb_adjust(77, ''1 USD'', ''r'', ''m'')', 'KB001')) v (call, state);
SELECT is(left(pg_temp.error_of(format('SELECT kb_record_usage_batch(%L)', (
		SELECT jsonb_agg(jsonb_build_object('account_id', x, 'service', 'orders', 'quantity', 1, 'key', 'k'))
		FROM generate_series(least_id, least_id + 19) x))), 5), state, format('B3: a batch of twenty accounts from %s on', least_id))
FROM (VALUES (1, 'KB014'), (100, 'KB001')) v (least_id, state);
SELECT is((SELECT count(*) FROM usage_event), 0::bigint, 'B3: a batch that was refused has recorded nothing');

-- New accounts

SELECT is(left(pg_temp.error_of($$SELECT kb_create_account('eve', 'a', 4294967296)$$), 5), 'KB014',
	'B4: an account of a bucket that is not owned is not created');
SELECT is(left(pg_temp.error_of($$SELECT kb_create_account('eve', 'a', 1)$$), 5), 'KB014',
	'B4: nor said to exist');
SELECT is(kb_create_account('eve', 'a', 3), 3::bigint, 'B4: one of an own bucket is');
SELECT kb_own_buckets(ARRAY(SELECT b FROM generate_series(0, 1023, 8) b));
SELECT is((SELECT count(*) FROM generate_series(1, 30) WHERE kb_shard(kb_create_account('eve', 'a')) % 8 = 0), 30::bigint,
	'B4: a number that is drawn is in a bucket that is owned');
SELECT kb_own_buckets('{}');
SELECT is(pg_temp.error_of($$SELECT kb_create_account('eve', 'a')$$),
	'KB014 accounts are on other shards | This node owns no bucket, so it has no number for a new account. | '
	'Create the account through the router, or on a node that owns buckets.', 'B4: a node that owns nothing draws no number');

SELECT finish();
ROLLBACK;
