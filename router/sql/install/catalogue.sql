/*
 * The price list: it is written on the router, with the functions of kbilling, and comes to the shards by logical replication.
 */

-- kb_catalogue_digest covers the first.  The log of what changed in them goes along; it cannot be copied anew where it is
-- already, as nobody deletes from it.
CREATE VIEW kbilling_router_internal.catalogue_table AS
	SELECT t.publication, t.table_name, t.filter
	FROM (VALUES
		('kbilling_catalogue', 'policy', NULL), ('kbilling_catalogue', 'service', NULL), ('kbilling_catalogue', 'tariff', NULL),
		('kbilling_catalogue', 'price', NULL), ('kbilling_catalogue', 'bonus_tier', NULL), ('kbilling_catalogue', 'payment_method', NULL),
		('kbilling_catalogue', 'credit_line', NULL), ('kbilling_catalogue', 'usage_limit', NULL),
		('kbilling_catalogue', 'alert', NULL),
		('kbilling_catalogue', 'tariff_minimum', NULL), ('kbilling_catalogue', 'discount_code', NULL),
		('kbilling_catalogue', 'notice_template', NULL), ('kbilling_catalogue', 'catalogue_name', NULL),
		('kbilling_catalogue_log', 'change_log', 'account_id IS NULL')) t (publication, table_name, filter);
COMMENT ON VIEW catalogue_table IS 'The tables of kbilling that are the price list, and the log of its changes';
COMMENT ON COLUMN catalogue_table.publication IS 'By which publication it comes to the shards';
COMMENT ON COLUMN catalogue_table.table_name IS 'The table';
COMMENT ON COLUMN catalogue_table.filter IS 'A condition on its rows; NULL: all';

CREATE FUNCTION kbilling_router_internal.kb_catalogue_lag() RETURNS TABLE (shard text, problem text)
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH looked AS MATERIALIZED (
		SELECT kb_look() AS states
	)
	SELECT p.shard, p.problem FROM looked l CROSS JOIN LATERAL kb_node_problems(l.states) p
	UNION ALL
	SELECT p.shard, p.problem FROM looked l CROSS JOIN LATERAL kb_catalogue_problems(l.states) p;
END;
COMMENT ON FUNCTION kb_catalogue_lag() IS 'The shards that do not have the router''s price list, or do not say so';

CREATE FUNCTION kbilling_router.kb_catalogue_wait(timeout interval = '1 minute') RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling_router_internal, kbilling, pg_temp
	AS 'MODULE_PATHNAME', 'kb_catalogue_wait';
COMMENT ON FUNCTION kbilling_router.kb_catalogue_wait(interval) IS
'Waits until all shards have the price list as it is committed here. Errors: 55000 with the shards that have not got '
'it in time; 22004 for null';

CREATE FUNCTION kbilling_router_internal.kb_reprice_on(partitions integer[], shards text[], tariff text, service text, from_date date)
	RETURNS SETOF text
	LANGUAGE plproxy SET DateStyle = ISO
	AS $$
		CLUSTER 'kbilling_shards';
		SPLIT partitions, shards;
		RUN ON partitions;
		SELECT ($2)[1] FROM kbilling_internal.kb_reprice_tariff($3, $4, $5);
	$$;
COMMENT ON FUNCTION kb_reprice_on(integer[], text[], text, text, date) IS 'kb_reprice_tariff of kbilling on shards';

CREATE FUNCTION kbilling_router.kb_reprice(tariff text, service text, from_date date) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling_router_internal, kbilling, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('tariff, service, from_date', $1, $2, $3);
	SELECT kbilling_router.kb_catalogue_wait();
	SELECT count(*) FROM kb_reached_all() r CROSS JOIN LATERAL kb_reprice_on(r.partitions, r.shards, $1, $2, $3);
END;
COMMENT ON FUNCTION kbilling_router.kb_reprice(text, text, date) IS
'After kb_set_price with a date that is past: what was used on the shards from that day on, and is not charged yet, '
'gets the new price (C3). It waits for the price list first. Each shard commits by itself; after an error, call it '
'again. Errors: 55000 if not all shards have the price list; 08006 if one does not answer; 22004 for null';

CREATE FUNCTION kbilling_router.kb_shard_script(shard text, router_conninfo text, price_list text = 'copy') RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, kbilling_router_internal, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('shard, router_conninfo, price_list', $1, $2, $3);
	SELECT kb_raise('55000', format('there is no shard "%s"', $1), NULL, 'Write it into kbilling_router.shard.')
	WHERE NOT EXISTS (SELECT FROM kbilling_router.shard s WHERE s.shard = $1);
	SELECT kb_raise('22023', 'price_list must be "copy", "replace" or "keep"', format('It is "%s".', $3))
	WHERE $3 NOT IN ('copy', 'replace', 'keep');
	SELECT concat_ws(E'\n',
		'\set ON_ERROR_STOP on',
		format('CREATE EXTENSION IF NOT EXISTS kbilling VERSION %L CASCADE;', e.extversion),
		format('SELECT kbilling_internal.kb_raise(%L, %L, %L, %L) WHERE EXISTS (SELECT FROM pg_subscription s '
			   'JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database() AND s.subname = %L);', '55000',
			   'this database has the router''s price list already', format('Its subscription is kbilling_catalogue_%s.', $1),
			   'To copy the price list anew, drop the subscription first.', 'kbilling_catalogue_' || $1),
		CASE WHEN $3 = 'copy' THEN
			format('SELECT kbilling_internal.kb_raise(%L, %L, %L, %L) WHERE EXISTS (SELECT FROM kbilling.account);', '55000',
				   'this database has accounts', 'The price list that they are billed by would be replaced by the router''s.',
				   'Ask kb_shard_script to keep it if it is the same, or to replace it if it was copied before.') END,
		format('SELECT kbilling.kb_own_buckets(%L);',
			   coalesce((SELECT array_agg(m.bucket ORDER BY m.bucket) FROM kbilling_router.bucket_map m WHERE m.shard = $1), '{}')),
		format('SELECT (%s AND count(*) = 0)::text AS copy_log FROM kbilling.change_log WHERE account_id IS NULL \gset', c.copy_data),
		CASE WHEN $3 <> 'keep' THEN
			E'-- what is built in comes with the others\nBEGIN;\nSET LOCAL session_replication_role = replica;\n' ||
			(SELECT string_agg(format(E'DELETE FROM kbilling.%I;\n', t.table_name), '' ORDER BY t.table_name) FROM catalogue_table t
			 WHERE t.publication = 'kbilling_catalogue') || 'COMMIT;' END,
		format('CREATE SUBSCRIPTION kbilling_catalogue_%s CONNECTION %L PUBLICATION kbilling_catalogue WITH (copy_data = %s);',
			   $1, $2, c.copy_data),
		format('ALTER SUBSCRIPTION kbilling_catalogue_%s ADD PUBLICATION kbilling_catalogue_log WITH (copy_data = :copy_log);',
			   $1)) || E'\n'
	FROM pg_extension e CROSS JOIN LATERAL (SELECT ($3 <> 'keep')::text AS copy_data) c WHERE e.extname = 'kbilling';
END;
COMMENT ON FUNCTION kbilling_router.kb_shard_script(text, text, text) IS
'The statements for psql by which a superuser makes a database a shard: the extension, the buckets that it owns by the '
'map, and the subscription to the price list, with the connection string by which it reaches this router. The price list '
'is copied, which stops where there are accounts; or replaced, where a subscription was lost; or kept, where it is the '
'same already. It runs none of them. '
'Errors: 55000 for an unknown shard; 22004, 22023 for other arguments';

CREATE VIEW kbilling_router_internal.publication_statement AS
	SELECT 1 AS step, format('CREATE PUBLICATION %I FOR TABLE %s', t.publication,
							 string_agg(format('kbilling.%I%s', t.table_name, ' WHERE (' || t.filter || ')'), ', ')) AS statement
	FROM catalogue_table t
	WHERE NOT EXISTS (SELECT FROM pg_publication p WHERE p.pubname = t.publication)
	GROUP BY t.publication;
COMMENT ON VIEW publication_statement IS 'The statements that publish the price list, unless it is published';
COMMENT ON COLUMN publication_statement.step IS 'Its order';
COMMENT ON COLUMN publication_statement.statement IS 'The statement';
