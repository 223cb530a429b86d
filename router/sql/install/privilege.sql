/*
 * Who may call what: as on a node without shards.
 */

CREATE VIEW kbilling_router_internal.counterpart AS
	SELECT 'FUNCTION' AS kind, format('%I.%I(%s)', p.schema_name, p.name, p.identity) AS object, 'EXECUTE' AS privilege,
		   coalesce(o.proacl, acldefault('f', o.proowner)) AS present, w.proacl AS wanted
	FROM present_proxy p
	JOIN pg_proc o ON o.oid = p.oid
	JOIN wanted_proxy f USING (schema_name, name, types)
	JOIN pg_proc w ON w.oid = f.oid
	UNION ALL
	SELECT 'FUNCTION', x.own, 'EXECUTE', o.proacl, w.proacl
	FROM (VALUES
		('kbilling_router.kb_create_account(text,text,bigint,text,text,timestamptz)',
			'kbilling.kb_create_account(text,text,bigint,text,text,timestamptz)'),
		('kbilling_router_internal.kb_create_account_on(text,text,bigint,text,text,timestamptz)',
			'kbilling.kb_create_account(text,text,bigint,text,text,timestamptz)'),
		('kbilling_router_internal.kb_draw_account_id()', 'kbilling.kb_create_account(text,text,bigint,text,text,timestamptz)'),
		('kbilling_router.kb_record_usage_batch(jsonb)', 'kbilling.kb_record_usage_batch(jsonb)'),
		('kbilling_router_internal.kb_record_usage_batch_on(integer[],jsonb[])', 'kbilling.kb_record_usage_batch(jsonb)'),
		('kbilling_router_internal.kb_batch_partition(jsonb)', 'kbilling.kb_record_usage_batch(jsonb)'),
		('kbilling_router.kb_locate(bigint)', 'kbilling.kb_access_stage(bigint)'),
		('kbilling_router.kb_check()', 'kbilling.kb_check()'),
		('kbilling_router.kb_sweep_status()', 'kbilling.kb_sweep_status()'),
		('kbilling_router.kb_router_status()', 'kbilling.kb_sweep_status()'),
		('kbilling_router_internal.kb_metrics()', 'kbilling_internal.kb_metrics()'),
		('kbilling_router.kb_catalogue_wait(interval)', 'kbilling.kb_set_price(text,text,kbilling.kb_price,date,boolean)'),
		('kbilling_router.kb_reprice(text,text,date)', 'kbilling.kb_set_price(text,text,kbilling.kb_price,date,boolean)')) x (own, whose)
	JOIN pg_proc o ON o.oid = x.own::regprocedure
	JOIN pg_proc w ON w.oid = x.whose::regprocedure
	UNION ALL
	SELECT 'FUNCTION', 'kbilling_router_internal.kb_trial_balance()', 'EXECUTE', o.proacl, w.relacl
	FROM pg_proc o JOIN pg_class w ON w.oid = 'kbilling.trial_balance'::regclass
	WHERE o.oid = 'kbilling_router_internal.kb_trial_balance()'::regprocedure
	UNION ALL
	SELECT 'TABLE', o.oid::regclass::text, 'SELECT', o.relacl, w.relacl
	FROM pg_class o
	JOIN pg_class w ON w.relnamespace = 'kbilling'::regnamespace
		AND w.relname = CASE o.relname WHEN 'account_count' THEN 'account_status' ELSE o.relname END
	WHERE o.relnamespace = 'kbilling_router'::regnamespace AND o.relkind = 'v';
COMMENT ON VIEW counterpart IS 'What stands for something of kbilling, and who has which right on either';
COMMENT ON COLUMN counterpart.kind IS '"FUNCTION" or "TABLE", as GRANT calls it';
COMMENT ON COLUMN counterpart.object IS 'The function or view';
COMMENT ON COLUMN counterpart.privilege IS '"EXECUTE" or "SELECT"';
COMMENT ON COLUMN counterpart.present IS 'Who has rights on it';
COMMENT ON COLUMN counterpart.wanted IS 'Who has rights on what it stands for';

-- Whoever calls a proxy needs the cluster.
CREATE VIEW kbilling_router_internal.right_statement AS
	WITH wanted AS (
		SELECT c.kind, c.object, c.privilege, a.grantee FROM counterpart c CROSS JOIN LATERAL aclexplode(c.wanted) a
		WHERE a.privilege_type IN ('EXECUTE', 'SELECT')
	), wanted_or_cluster AS (
		SELECT * FROM wanted
		UNION
		SELECT 'FOREIGN SERVER', 'kbilling_shards', 'USAGE', w.grantee FROM wanted w WHERE w.kind = 'FUNCTION'
	), present AS (
		SELECT c.kind, c.object, c.privilege, a.grantee FROM counterpart c CROSS JOIN LATERAL aclexplode(c.present) a
		WHERE a.privilege_type = c.privilege
		UNION
		SELECT 'FOREIGN SERVER', 'kbilling_shards', 'USAGE', a.grantee FROM pg_foreign_server s CROSS JOIN LATERAL aclexplode(s.srvacl) a
		WHERE s.srvname = 'kbilling_shards'
	), changed AS (
		SELECT kind, object, privilege, grantee, p.grantee IS NULL AS is_granted
		FROM (SELECT * FROM wanted_or_cluster) w FULL JOIN present p USING (kind, object, privilege, grantee)
		WHERE w.grantee IS NULL OR p.grantee IS NULL
	)
	SELECT 1 AS step, format('%s %s ON %s %s %s %s', CASE WHEN c.is_granted THEN 'GRANT' ELSE 'REVOKE' END, c.privilege, c.kind, c.object,
							 CASE WHEN c.is_granted THEN 'TO' ELSE 'FROM' END,
							 CASE c.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(c.grantee)) END) AS statement
	FROM changed c
	WHERE c.grantee <> (SELECT e.extowner FROM pg_extension e WHERE e.extname = 'kbilling_router')
		AND c.grantee <> (SELECT e.extowner FROM pg_extension e WHERE e.extname = 'kbilling');
COMMENT ON VIEW right_statement IS
'The statements by which what is here has the rights of what it stands for in kbilling';
COMMENT ON COLUMN right_statement.step IS 'Their order';
COMMENT ON COLUMN right_statement.statement IS 'The statement';

CREATE FUNCTION kbilling_router.kb_router_refresh(check_nodes boolean = true) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling_router_internal, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	-- Two that refresh take turns.
	SELECT FROM kbilling_router.shard s ORDER BY s.shard FOR NO KEY UPDATE;
	SELECT kb_require_map();
	-- A number once given stays, so that a session with an older snapshot calls no other shard by it.
	UPDATE kbilling_router.shard s SET partition_no = f.partition_no
	FROM (SELECT x.shard, row_number() OVER (ORDER BY x.shard) AS n FROM kbilling_router.shard x WHERE x.partition_no IS NULL) w
	JOIN (SELECT g.n AS partition_no, row_number() OVER (ORDER BY g.n) AS n
		  FROM (SELECT count(*) AS shards FROM kbilling_router.shard) c CROSS JOIN generate_series(0, c.shards::integer - 1) g (n)
		  WHERE NOT EXISTS (SELECT FROM kbilling_router.shard x WHERE x.partition_no = g.n)) f USING (n)
	WHERE s.shard = w.shard;
	SELECT kb_run('kbilling_router_internal.server_statement');
	SELECT kb_run('kbilling_router_internal.mapping_statement');
	SELECT kb_require_nodes() WHERE check_nodes IS NOT FALSE;
	SELECT kb_run('kbilling_router_internal.relation_statement');
	SELECT kb_run('kbilling_router_internal.leftover_statement');
	SELECT kb_run('kbilling_router_internal.proxy_statement');
	SELECT kb_run('kbilling_router_internal.publication_statement');
	SELECT kb_run('kbilling_router_internal.right_statement');
END;
COMMENT ON FUNCTION kbilling_router.kb_router_refresh(boolean) IS
'Makes what is made from the tables shard and bucket_map and from the catalog: PL/Proxy''s cluster "kbilling_shards", '
'servers of postgres_fdw, a proxy for each function of one account, views over all shards, the publication of the '
'price list, and the rights of all these. Call it after a change of shards, rights, or the version of kbilling; a '
'change of bucket_map needs none. All of it is made, or nothing. Only for the owner of the extension. Errors: 55000 if '
'a bucket has no shard, a shard does not answer or fit the router; check_nodes => false looks at no shard';

CREATE FUNCTION kbilling_router.kb_grant(role regrole, rights text) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kbilling.kb_grant($1, $2);
	SELECT kb_run('kbilling_router_internal.right_statement');
END;
COMMENT ON FUNCTION kbilling_router.kb_grant(regrole, text) IS
'kbilling.kb_grant on the router, and the same on proxies and views over all shards. On the shards it changes nothing: '
'there, the user that the role is mapped to needs rights, too. Only for the owner of the extension';

CREATE FUNCTION kbilling_router.kb_revoke(role regrole, rights text) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kbilling.kb_revoke($1, $2);
	SELECT kb_run('kbilling_router_internal.right_statement');
END;
COMMENT ON FUNCTION kbilling_router.kb_revoke(regrole, text) IS
'kbilling.kb_revoke on the router, and the same on proxies and views over all shards. On the shards it changes '
'nothing. Only for the owner of the extension';

-- A function is closed until kb_router_refresh or this opens it.
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA kbilling_router, kbilling_router_internal FROM PUBLIC;

-- What finds a shard reads with the rights of its caller.
GRANT EXECUTE ON ROUTINE kb_partition, kb_no_shard TO PUBLIC;
