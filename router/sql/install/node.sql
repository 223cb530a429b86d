/*
 * The shards as nodes: whether they answer, and whether they fit together.
 */

-- Of a node without kbilling, too.
CREATE FUNCTION kbilling_router_internal.kb_version_on(partition_no integer) RETURNS SETOF text
	LANGUAGE plproxy
	AS $$
		CLUSTER 'kbilling_shards';
		RUN ON partition_no;
		SELECT (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname = 'kbilling');
	$$;
COMMENT ON FUNCTION kb_version_on(integer) IS 'The version of kbilling on a shard; NULL if it is not there';

CREATE FUNCTION kbilling_router_internal.kb_answers(OUT shard text, OUT partition_no integer, OUT version text, OUT problem text)
	RETURNS SETOF record
	LANGUAGE c VOLATILE ROWS 4 SET client_min_messages = error	-- PL/Proxy tells of connections that it drops
	AS 'MODULE_PATHNAME', 'kb_answers';
COMMENT ON FUNCTION kb_answers() IS
'Each shard that PL/Proxy knows, with the version of kbilling there (NULL: none), or the reason for which it does not '
'answer. They are asked one after another. Errors: 55000 before the first refresh';

CREATE FUNCTION kbilling_router_internal.kb_nodes_on(partitions integer[], shards text[])
	RETURNS TABLE (shard text, node text, schema_digest text, catalogue_digest text, buckets integer[], has_accounts boolean)
	LANGUAGE plproxy
	AS $$
		CLUSTER 'kbilling_shards';
		SPLIT partitions, shards;
		RUN ON partitions;
		SELECT ($2)[1] AS shard, n.node, n.schema_digest, n.catalogue_digest, n.buckets, n.has_accounts FROM kbilling_internal.kb_node() n;
	$$;
COMMENT ON FUNCTION kb_nodes_on(integer[], text[]) IS 'kbilling_internal.kb_node of shards';

CREATE TYPE kbilling_router_internal.kb_shard_state AS (
	shard            text,
	partition_no     integer,
	problem          text,
	version          text,
	node             text,
	schema_digest    text,
	catalogue_digest text,
	buckets          integer[],
	has_accounts     boolean
);
COMMENT ON TYPE kb_shard_state IS
'What a shard says of itself; all but its number is NULL after "problem" if it does not answer';

-- The shards are looked at once; what is wrong, and which are asked more, is made of that.
CREATE FUNCTION kbilling_router_internal.kb_look() RETURNS kb_shard_state[]
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH answer AS MATERIALIZED (
		SELECT a.*, a.version = e.extversion AS fits FROM kb_answers() a CROSS JOIN pg_extension e WHERE e.extname = 'kbilling'
	), node AS MATERIALIZED (
		SELECT n.* FROM (SELECT array_agg(a.partition_no) AS partitions, array_agg(a.shard) AS shards FROM answer a WHERE a.fits) a
		CROSS JOIN LATERAL kb_nodes_on(a.partitions, a.shards) n
	)
	SELECT coalesce(array_agg(ROW(a.shard, a.partition_no, a.problem, a.version, n.node, n.schema_digest, n.catalogue_digest, n.buckets,
								  n.has_accounts)::kb_shard_state ORDER BY a.shard), '{}')
	FROM answer a LEFT JOIN node n ON n.shard = a.shard;
END;
COMMENT ON FUNCTION kb_look() IS
'What each shard that PL/Proxy knows says of itself; only the version of one with another version';

-- What a call of many shards goes to, with the names by which each signs its rows.
CREATE FUNCTION kbilling_router_internal.kb_reached(states kb_shard_state[], OUT partitions integer[], OUT shards text[])
	LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
	SELECT array_agg(s.partition_no), array_agg(s.shard) FROM unnest($1) s WHERE s.node IS NOT NULL;
END;
COMMENT ON FUNCTION kb_reached(kb_shard_state[]) IS
'The numbers and the names of the shards that answer, and have the router''s version';

CREATE FUNCTION kbilling_router_internal.kb_node_problems(states kb_shard_state[]) RETURNS TABLE (shard text, problem text)
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT s.shard, format('shard "%s" does not answer: %s', s.shard, s.problem) FROM unnest($1) s WHERE s.problem IS NOT NULL
	UNION ALL
	SELECT s.shard, format('shard "%s" has no extension kbilling', s.shard) FROM unnest($1) s
	WHERE s.problem IS NULL AND s.version IS NULL
	UNION ALL
	SELECT s.shard, format('shard "%s" has kbilling %s, the router has %s', s.shard, s.version, e.extversion)
	FROM unnest($1) s JOIN pg_extension e ON e.extname = 'kbilling' AND e.extversion <> s.version
	UNION ALL
	SELECT s.shard, format('shard "%s" has other functions or tables in kbilling than the router', s.shard)
	FROM unnest($1) s CROSS JOIN kb_node() o WHERE s.schema_digest <> o.schema_digest
	UNION ALL
	SELECT s.shard, format('shard "%s" is the router''s own database', s.shard)
	FROM unnest($1) s CROSS JOIN kb_node() o WHERE s.node = o.node
	UNION ALL
	SELECT min(s.shard), format('shards "%s" are one database', string_agg(s.shard, '", "' ORDER BY s.shard))
	FROM unnest($1) s WHERE s.node IS NOT NULL GROUP BY s.node HAVING count(*) > 1;
END;
COMMENT ON FUNCTION kb_node_problems(kb_shard_state[]) IS
'Shards that do not answer, or do not fit the router, and why';

CREATE FUNCTION kbilling_router_internal.kb_catalogue_problems(states kb_shard_state[]) RETURNS TABLE (shard text, problem text)
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT s.shard, format('shard "%s" has another price list than the router', s.shard)
	FROM unnest($1) s CROSS JOIN (SELECT kb_catalogue_digest() AS digest OFFSET 0) o WHERE s.catalogue_digest <> o.digest;
END;
COMMENT ON FUNCTION kb_catalogue_problems(kb_shard_state[]) IS 'Shards whose price list is not the router''s';

CREATE FUNCTION kbilling_router_internal.kb_map_problems(states kb_shard_state[]) RETURNS TABLE (shard text, problem text)
	LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH owned AS (
		SELECT s.shard, b.bucket FROM unnest($1) s CROSS JOIN unnest(s.buckets) b (bucket)
	)
	SELECT s.shard, format('shard "%s" is not what PL/Proxy connects to: call kb_router_refresh', s.shard)
	FROM kbilling_router.shard s
	WHERE NOT EXISTS (SELECT FROM pg_foreign_server f CROSS JOIN LATERAL pg_options_to_table(f.srvoptions) o
					  WHERE f.srvname = 'kbilling_shards' AND o.option_name = 'p' || s.partition_no
						AND o.option_value = kb_proxy_conninfo(s.conninfo))
	UNION ALL
	SELECT s.shard, format('shard "%s" does not know which buckets it owns: call kbilling.kb_own_buckets there', s.shard)
	FROM unnest($1) s WHERE s.node IS NOT NULL AND s.buckets IS NULL
	UNION ALL
	SELECT m.shard, format('buckets %s are on shard "%s", which does not own them', kb_ranges(array_agg(m.bucket)), m.shard)
	FROM kbilling_router.bucket_map m JOIN unnest($1) s ON s.shard = m.shard
	WHERE m.bucket <> ALL (s.buckets) GROUP BY m.shard
	UNION ALL
	SELECT o.shard, format('buckets %s are owned by shard "%s", but are on shard "%s"', kb_ranges(array_agg(o.bucket)), o.shard, m.shard)
	FROM owned o JOIN kbilling_router.bucket_map m ON m.bucket = o.bucket AND m.shard <> o.shard GROUP BY o.shard, m.shard
	UNION ALL
	SELECT NULL, format('buckets %s are owned by shards %s', kb_ranges(array_agg(o.bucket)), o.shards)
	FROM (SELECT w.bucket, string_agg(format('"%s"', w.shard), ', ' ORDER BY w.shard) AS shards FROM owned w
		  GROUP BY w.bucket HAVING count(*) > 1) o GROUP BY o.shards
	UNION ALL
	SELECT NULL, 'the router owns buckets: call kbilling.kb_own_buckets(''{}'') on it' FROM kb_node() n
	WHERE n.buckets IS DISTINCT FROM '{}'
	UNION ALL
	SELECT NULL, 'there are accounts on the router, which nobody reaches through it' FROM kb_node() n WHERE n.has_accounts;
END;
COMMENT ON FUNCTION kb_map_problems(kb_shard_state[]) IS
'Buckets that the map places on another shard than the one that owns them, or that two own; shards that have changed '
'since the last refresh; accounts on the router';

CREATE FUNCTION kbilling_router_internal.kb_require_nodes() RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_raise('55000', 'the shards do not fit the router', string_agg(p.problem, E'\n' ORDER BY p.shard, p.problem),
					'All nodes have one version of kbilling, and are databases of their own. While a shard is down, '
					'kb_router_refresh(check_nodes => false) looks at none.')
	FROM kb_look() l CROSS JOIN LATERAL kb_node_problems(l) p HAVING count(*) > 0;
END;
COMMENT ON FUNCTION kb_require_nodes() IS 'Raises 55000 with what kb_node_problems finds';

CREATE FUNCTION kbilling_router_internal.kb_reached_all(OUT partitions integer[], OUT shards text[])
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH looked AS MATERIALIZED (
		SELECT kb_look() AS states
	), refused AS MATERIALIZED (
		SELECT kb_raise('08006', 'not all shards answer', string_agg(p.problem, E'\n' ORDER BY p.shard, p.problem),
						'Try again when they do; what one shard says can be asked there, at its conninfo.')
		FROM looked l CROSS JOIN LATERAL kb_node_problems(l.states) p HAVING count(*) > 0
	)
	SELECT r.partitions, r.shards FROM looked l CROSS JOIN LATERAL kb_reached(l.states) r WHERE NOT EXISTS (SELECT FROM refused);
END;
COMMENT ON FUNCTION kb_reached_all() IS
'The numbers and the names of all shards. Errors: 08006 if one of them does not answer, or does not fit the router';
