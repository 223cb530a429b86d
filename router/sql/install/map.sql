/*
 * Which shards there are, and which has an account.
 */

CREATE SCHEMA kbilling_router;
COMMENT ON SCHEMA kbilling_router IS
'What is called in kbilling, for accounts that are spread over several databases: set search_path = kbilling_router, '
'kbilling';
GRANT USAGE ON SCHEMA kbilling_router TO PUBLIC;

CREATE SCHEMA kbilling_router_internal;
COMMENT ON SCHEMA kbilling_router_internal IS 'What kbilling_router is made of; not to be called by others';
GRANT USAGE ON SCHEMA kbilling_router_internal TO PUBLIC;

-- Names in function bodies are looked up in these schemas when they are created.  What is of kbilling_router itself has
-- the names of kbilling, so it is always named with its schema; what is of kbilling_router_internal goes before that.
SET LOCAL search_path TO pg_catalog, kbilling_router_internal, kbilling, kbilling_internal, pg_temp;

CREATE FUNCTION kbilling_router_internal.kb_is_conninfo(conninfo text) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_is_conninfo';
COMMENT ON FUNCTION kb_is_conninfo(text) IS
'True, or 22023 for what libpq does not read, for a user or a password in it, and if it names no database';

CREATE FUNCTION kbilling_router_internal.kb_proxy_conninfo(conninfo text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_proxy_conninfo';
COMMENT ON FUNCTION kb_proxy_conninfo(text) IS
'The connection string for PL/Proxy, with settings by which dates and intervals are read as they are written';

CREATE FUNCTION kbilling_router_internal.kb_conninfo_options(conninfo text) RETURNS TABLE (keyword text, value text)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 5
	AS 'MODULE_PATHNAME', 'kb_conninfo_options';
COMMENT ON FUNCTION kb_conninfo_options(text) IS 'The connection string as options of a server of postgres_fdw';

CREATE TABLE kbilling_router.shard (
	shard        text PRIMARY KEY CHECK (shard ~ '^[a-z0-9_]{1,32}$'),
	conninfo     text NOT NULL UNIQUE CHECK (kb_is_conninfo(conninfo)),
	partition_no integer UNIQUE CHECK (partition_no >= 0)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling_router.shard', '');
COMMENT ON TABLE kbilling_router.shard IS 'The shards: databases with kbilling. After a change, call kb_router_refresh';
COMMENT ON COLUMN kbilling_router.shard.shard IS 'Its name here: small letters, digits and "_", at most 32';
COMMENT ON COLUMN kbilling_router.shard.conninfo IS
'Where it is, as libpq reads it: host, port, dbname and the like. User and password are in user mappings';
COMMENT ON COLUMN kbilling_router.shard.partition_no IS
'Its number for PL/Proxy, which kb_router_refresh gives it; NULL: it is not called yet';
-- The connection strings are for roles that kb_locate is for.
GRANT SELECT (shard, partition_no) ON kbilling_router.shard TO PUBLIC;

CREATE TABLE kbilling_router.bucket_map (
	bucket integer PRIMARY KEY CHECK (bucket BETWEEN 0 AND 1023),
	shard  text NOT NULL REFERENCES kbilling_router.shard ON UPDATE CASCADE
);
CREATE INDEX bucket_map_shard ON kbilling_router.bucket_map (shard);
SELECT pg_catalog.pg_extension_config_dump('kbilling_router.bucket_map', '');
COMMENT ON TABLE kbilling_router.bucket_map IS
'Which shard has the accounts of a bucket: a row for each of 0 to 1023. A change holds for the next statement of every '
'session, without a refresh';
COMMENT ON COLUMN kbilling_router.bucket_map.bucket IS 'The bucket, as kbilling.kb_shard computes it';
COMMENT ON COLUMN kbilling_router.bucket_map.shard IS 'The shard';
GRANT SELECT ON kbilling_router.bucket_map TO PUBLIC;

-- VOLATILE, so that the planner does not call it to see what it would return.
CREATE FUNCTION kbilling_router_internal.kb_no_shard(bucket integer) RETURNS integer
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'kb_no_shard';
COMMENT ON FUNCTION kb_no_shard(integer) IS
'Raises 55000 for a bucket of which no shard is known. It returns nothing; its type lets it stand in coalesce()';

-- PL/Proxy's partitions are the shards, and this is a look at the map: a bucket that moves changes one row, and no
-- session has to connect anew, as it would if each bucket were a partition.  It is inlined.  A null is refused by the
-- shard it comes to.
CREATE FUNCTION kbilling_router_internal.kb_partition(account_id bigint) RETURNS SETOF integer
	LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
	SELECT coalesce((SELECT s.partition_no FROM kbilling_router.bucket_map m JOIN kbilling_router.shard s ON s.shard = m.shard
					 WHERE m.bucket = kb_shard(coalesce($1, 0))), kb_no_shard(kb_shard(coalesce($1, 0))));
END;
COMMENT ON FUNCTION kb_partition(bigint) IS
'The number of the account''s shard for PL/Proxy. Errors: 55000 if no shard is known to have its bucket';

CREATE FUNCTION kbilling_router.kb_locate(account_id bigint) RETURNS TABLE (shard text, conninfo text)
	LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, kbilling_router_internal, kbilling, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('account_id', $1);
	SELECT s.shard, s.conninfo FROM kb_partition($1) p (partition_no) JOIN kbilling_router.shard s USING (partition_no);
END;
COMMENT ON FUNCTION kbilling_router.kb_locate(bigint) IS
'The shard that has an account, or would have it, and where that is. An application with tables, guards and meters of '
'its own connects there, with a user and a password that it has. Errors: 22004 for null; 55000 if no shard is known to '
'have its bucket';

-- Numbers that are beside each other as one range: 0-5, 7.
CREATE FUNCTION kbilling_router_internal.kb_ranges(numbers integer[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT string_agg(CASE WHEN r.first = r.last THEN r.first::text ELSE r.first || '-' || r.last END, ', ' ORDER BY r.first)
		FROM (SELECT min(n.n) AS first, max(n.n) AS last
			  FROM (SELECT u.n, u.n - row_number() OVER (ORDER BY u.n) AS island FROM unnest($1) u (n)) n GROUP BY n.island) r);
COMMENT ON FUNCTION kb_ranges(integer[]) IS 'Numbers as ranges, such as "0-5, 7"; NULL for none';

CREATE FUNCTION kbilling_router_internal.kb_require_map() RETURNS void
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM kbilling_router.shard)
			THEN kb_raise('55000', 'there are no shards', 'kbilling_router.shard has no rows.',
						  'Write the shards, and for each bucket the shard that has it: kbilling_router.bucket_map.')
		END;
	SELECT kb_raise('55000', format('%s buckets have no shard', count(*)), format('They are %s.', kb_ranges(array_agg(b.bucket))),
					'Write them into kbilling_router.bucket_map.')
	FROM generate_series(0, 1023) b (bucket)
	WHERE NOT EXISTS (SELECT FROM kbilling_router.bucket_map m WHERE m.bucket = b.bucket)
	HAVING count(*) > 0;
END;
COMMENT ON FUNCTION kb_require_map() IS 'Raises 55000 unless there are shards, and every bucket is on one of them';
