/*
 * Which accounts are this node's own, where accounts are spread over several nodes (rules B).
 */

CREATE FUNCTION kbilling.kb_shard(account_id bigint) RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_shard';
COMMENT ON FUNCTION kb_shard(bigint) IS
'The bucket of an account, 0 to 1023: hashint8(account_id) & 1023, for good (B1)';

-- No rows are built in, so that all of them are dumped.
CREATE TABLE kbilling.shard_bucket (
	bucket   integer PRIMARY KEY CHECK (bucket BETWEEN 0 AND 1023),
	is_owned boolean NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.shard_bucket', '');
COMMENT ON TABLE shard_bucket IS
'Which buckets of accounts this node owns (B2). Without rows it has no shards, and owns all; with rows, it owns those '
'whose row says so, and no others';
COMMENT ON COLUMN shard_bucket.bucket IS 'The bucket, as kb_shard names it';
COMMENT ON COLUMN shard_bucket.is_owned IS 'Whether its accounts are this node''s own';

CREATE FUNCTION kbilling_internal.kb_tell_shard_change() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_tell_shard_change';
COMMENT ON FUNCTION kb_tell_shard_change() IS
'Trigger function for kbilling.shard_bucket: has all sessions read it anew, once what is written is committed. It '
'changes nothing';

-- Always, as rows may come by replication.
CREATE TRIGGER bucket_changed BEFORE INSERT OR UPDATE OR DELETE ON shard_bucket
	FOR EACH ROW EXECUTE FUNCTION kb_tell_shard_change();
ALTER TABLE kbilling.shard_bucket ENABLE ALWAYS TRIGGER bucket_changed;

CREATE TRIGGER buckets_emptied BEFORE TRUNCATE ON shard_bucket
	FOR EACH STATEMENT EXECUTE FUNCTION kb_tell_shard_change();
ALTER TABLE kbilling.shard_bucket ENABLE ALWAYS TRIGGER buckets_emptied;

CREATE FUNCTION kbilling_internal.kb_is_owned_support(request internal) RETURNS internal
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_is_owned_support';
COMMENT ON FUNCTION kb_is_owned_support(internal) IS
'Planner support for kb_is_owned: mostly, what is there is owned';

CREATE FUNCTION kbilling_internal.kb_is_owned(account_id bigint) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE SUPPORT kb_is_owned_support
	AS 'MODULE_PATHNAME', 'kb_is_owned';
COMMENT ON FUNCTION kb_is_owned(bigint) IS
'Whether the account is in a bucket that this node owns, as is committed now, whatever the transaction''s snapshot (B2)';

CREATE FUNCTION kbilling_internal.kb_require_owned(account_id bigint) RETURNS void
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'kb_require_owned';
COMMENT ON FUNCTION kb_require_owned(bigint) IS
'Raises KB014 unless the account is in a bucket that this node owns, which it then owns until the transaction ends (B3)';

CREATE FUNCTION kbilling_internal.kb_require_readable(account_id bigint) RETURNS void
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_require_readable';
COMMENT ON FUNCTION kb_require_readable(bigint) IS
'Raises KB014 unless the account is in a bucket that this node owns at the moment (B3)';

CREATE FUNCTION kbilling_internal.kb_keep_buckets() RETURNS void
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'kb_keep_buckets';
COMMENT ON FUNCTION kb_keep_buckets() IS
'Keeps the buckets that this node owns its own until the transaction ends, for who writes to many accounts (B3)';
