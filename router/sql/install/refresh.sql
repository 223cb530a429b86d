/*
 * What is made from the catalog and the tables: PL/Proxy's cluster, servers and foreign tables, proxies, views over all shards.
 */

CREATE FUNCTION kbilling_router_internal.kb_run(composed regclass) RETURNS bigint
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'kb_run';
COMMENT ON FUNCTION kb_run(regclass) IS
'Runs the column "statement" of a view, by the column "step", and returns how many statements that were';

CREATE VIEW kbilling_router.not_proxied AS
	SELECT x.name, x.reason
	FROM (VALUES
		('kb_act_as', 'acts for a transaction, and the shard''s ends with the call'),
		('kb_can_use', 'asks for the acting member of its transaction'),
		('kb_guard', 'guards a table beside the accounts: on the shard'),
		('kb_meter', 'meters a table beside the accounts: on the shard'),
		('kb_take_notices', 'a worker serves one shard: its leases and NOTIFY are there'),
		('kb_unsettled_payments', 'a job that asks the provider serves one shard, and books there what it hears'),
		('kb_sweep', 'each shard sweeps by itself'),
		('kb_sweep_begin', 'each shard sweeps by itself'),
		('kb_sweep_step', 'each shard sweeps by itself'),
		('kb_sweep_end', 'each shard sweeps by itself'),
		('kb_schedule', 'each shard sweeps by itself, by a job of its own pg_cron'),
		('kb_unschedule', 'each shard sweeps by itself, by a job of its own pg_cron'),
		('kb_create_tariff', 'the price list is written on the router, and replicated'),
		('kb_create_service', 'the price list is written on the router, and replicated'),
		('kb_create_payment_method', 'the price list is written on the router, and replicated'),
		('kb_set_price', 'the price list is written on the router, and replicated'),
		('kb_set_bonus', 'the price list is written on the router, and replicated'),
		('kb_record_usage_each', 'it tells of each event by its number in one batch: call it on the shard, or kb_record_usage_batch here'),
		('kb_set_credit_line', 'the price list is written on the router, and replicated'),
		('kb_set_alert', 'the price list is written on the router, and replicated'),
		('kb_drop_alert', 'the price list is written on the router, and replicated'),
		('kb_set_limit', 'the price list is written on the router, and replicated'),
		('kb_set_minimum', 'the price list is written on the router, and replicated'),
		('kb_create_discount_code', 'the price list is written on the router, and replicated'),
		('kb_drop_discount_code', 'the price list is written on the router, and replicated'),
		('kb_set_policy', 'the price list is written on the router, and replicated'),
		('kb_set_template', 'the price list is written on the router, and replicated'),
		('kb_drop_template', 'the price list is written on the router, and replicated'),
		('kb_set_name', 'the price list is written on the router, and replicated'),
		('kb_shard', 'computes'),
		('kb_catalogue_digest', 'computes what nodes are compared by'),
		('kb_node', 'says what the router asks of each node'),
		('kb_stage_now', 'computes what views show, from a row that they have read'),
		('kb_access_now', 'computes what views show, from a row that they have read'),
		('kb_next_now', 'computes what views show, from a row that they have read'),
		('kb_granted_as_app', 'marks a role'),
		('kb_granted_as_payments', 'marks a role'),
		('kb_granted_as_support', 'marks a role'),
		('kb_granted_as_operator', 'marks a role'),
		('kb_granted_as_auditor', 'marks a role'),
		('kb_granted_as_tables', 'marks a role'),
		('policy', 'the price list is on the router'),
		('tariff', 'the price list is on the router'),
		('service', 'the price list is on the router'),
		('price', 'the price list is on the router'),
		('price_list', 'the price list is on the router'),
		('bonus_tier', 'the price list is on the router'),
		('credit_line', 'the price list is on the router'),
		('usage_limit', 'the price list is on the router'),
		('alert', 'the price list is on the router'),
		('tariff_minimum', 'the price list is on the router'),
		('discount_code', 'the price list is on the router'),
		('discount_code_use', 'what each shard has counted'),
		('payment_method', 'the price list is on the router'),
		('notice_kind', 'built in, the same on each node'),
		('standard_template', 'built in, the same on each node'),
		('notice_template', 'the price list is on the router'),
		('catalogue_name', 'the price list is on the router'),
		('standard_name', 'built in, the same on each node'),
		('role_right', 'what kb_grant gives on each node'),
		('purge_table', 'tables beside the accounts: on the shard'),
		('purge_order', 'tables beside the accounts: on the shard'),
		('retention', 'what each shard''s own sweep has removed'),
		('shard_bucket', 'what each node owns; bucket_map says it of all'),
		('shard_move', 'the two sides of a move are nodes of their own'),
		('shard_cut', 'the two sides of a move are nodes of their own'),
		('account_table', 'the same on each node')) x (name, reason);
COMMENT ON VIEW kbilling_router.not_proxied IS
'Functions, tables and views of kbilling that this schema has no counterpart for, and why; with kbilling after it on '
'the search_path, those of the router are called';
COMMENT ON COLUMN kbilling_router.not_proxied.name IS 'Its name in kbilling or kbilling_internal';
COMMENT ON COLUMN kbilling_router.not_proxied.reason IS 'Why there is no counterpart';
GRANT SELECT ON kbilling_router.not_proxied TO PUBLIC;

-- Servers

CREATE VIEW kbilling_router_internal.wanted_option AS
	SELECT 'kbilling_shards' AS server, 'p' || n.n AS option, kb_proxy_conninfo(coalesce(s.conninfo, d.conninfo)) AS value
	FROM (SELECT min(x.conninfo) AS conninfo, max(x.partition_no) AS last FROM kbilling_router.shard x WHERE x.partition_no IS NOT NULL) d
	CROSS JOIN generate_series(0, d.last) n (n)
	LEFT JOIN kbilling_router.shard s ON s.partition_no = n.n	-- a number that is free repeats another shard, and is not called
	UNION ALL
	SELECT 'kbilling_shard_' || s.shard, o.keyword, o.value
	FROM kbilling_router.shard s CROSS JOIN LATERAL kb_conninfo_options(s.conninfo) o;
COMMENT ON VIEW wanted_option IS
'Where PL/Proxy''s cluster and the servers of postgres_fdw connect to, by the table shard. The numbers of PL/Proxy '
'have no gaps';
COMMENT ON COLUMN wanted_option.server IS 'The server';
COMMENT ON COLUMN wanted_option.option IS 'The option';
COMMENT ON COLUMN wanted_option.value IS 'Its value';

-- Other options than these are the DBA's.
CREATE VIEW kbilling_router_internal.present_option AS
	SELECT f.srvname AS server, o.option_name AS option, o.option_value AS value
	FROM pg_foreign_server f
	JOIN pg_foreign_data_wrapper w ON w.oid = f.srvfdw
	CROSS JOIN LATERAL pg_options_to_table(f.srvoptions) o
	WHERE f.srvname = 'kbilling_shards' AND o.option_name ~ '^p[0-9]+$'
		OR starts_with(f.srvname, 'kbilling_shard_') AND w.fdwname = 'postgres_fdw'
			AND o.option_name NOT IN ('use_remote_estimate', 'fdw_startup_cost', 'fdw_tuple_cost', 'extensions', 'updatable', 'truncatable',
									  'fetch_size', 'batch_size', 'async_capable', 'analyze_sampling', 'parallel_commit',
									  'parallel_abort', 'keep_connections', 'password_required', 'use_scram_passthrough');
COMMENT ON VIEW present_option IS 'Where PL/Proxy''s cluster and the servers of postgres_fdw connect to now';
COMMENT ON COLUMN present_option.server IS 'The server';
COMMENT ON COLUMN present_option.option IS 'The option';
COMMENT ON COLUMN present_option.value IS 'Its value';

CREATE VIEW kbilling_router_internal.server_statement AS
	WITH wanted AS (
		SELECT s.server, CASE s.server WHEN 'kbilling_shards' THEN 'plproxy' ELSE 'postgres_fdw' END AS wrapper
		FROM (SELECT DISTINCT server FROM wanted_option) s
	), present AS (
		SELECT f.srvname AS server FROM pg_foreign_server f
	)
	SELECT 1 AS step, format('CREATE SERVER %I FOREIGN DATA WRAPPER %I OPTIONS (%s%s)', w.server, w.wrapper,
					 CASE w.wrapper WHEN 'plproxy' THEN 'modular_mapping ''1''' ELSE 'extensions ''kbilling'', async_capable ''true''' END,
					 (SELECT string_agg(format(', %I %L', o.option, o.value), '' ORDER BY length(o.option), o.option)
					  FROM wanted_option o WHERE o.server = w.server)) AS statement
	FROM wanted w WHERE w.server NOT IN (SELECT p.server FROM present p)
	UNION ALL
	SELECT 2, format('ALTER SERVER %I OPTIONS (%s)', server,
					 string_agg(CASE WHEN w.value IS NULL THEN format('DROP %I', option)
									WHEN p.value IS NULL THEN format('ADD %I %L', option, w.value)
									ELSE format('SET %I %L', option, w.value) END, ', ' ORDER BY length(option), option))
	FROM wanted_option w FULL JOIN present_option p USING (server, option)
	WHERE w.value IS DISTINCT FROM p.value AND server IN (SELECT p.server FROM present p) AND server IN (SELECT w.server FROM wanted w)
	GROUP BY server
	UNION ALL
	SELECT 3, format('CREATE SCHEMA %I', w.server) FROM wanted w
	WHERE w.wrapper = 'postgres_fdw' AND to_regnamespace(w.server) IS NULL
	UNION ALL
	-- whoever has no mapping of his own is on the shards who he is here
	SELECT 3, 'CREATE USER MAPPING FOR PUBLIC SERVER kbilling_shards'
	WHERE NOT EXISTS (SELECT FROM pg_user_mappings u WHERE u.srvname = 'kbilling_shards' AND u.umuser = 0);
COMMENT ON VIEW server_statement IS 'The statements that make servers and the cluster what the table shard says';
COMMENT ON COLUMN server_statement.step IS 'Their order';
COMMENT ON COLUMN server_statement.statement IS 'The statement';

-- The owner of what is made here reads the foreign tables, as the user that he is for PL/Proxy.
CREATE VIEW kbilling_router_internal.mapping_statement AS
	WITH own AS (
		SELECT m.srvname AS server, o.option_name AS option, o.option_value AS value
		FROM pg_user_mappings m CROSS JOIN LATERAL pg_options_to_table(m.umoptions) o
		WHERE m.usename = CURRENT_USER AND o.option_name IN ('user', 'password')
	), wanted AS (
		SELECT 'kbilling_shard_' || s.shard AS server, o.option, o.value
		FROM kbilling_router.shard s
		CROSS JOIN (SELECT w.option, w.value FROM own w WHERE w.server = 'kbilling_shards'
					UNION ALL
					SELECT 'user', CURRENT_USER::text
					WHERE NOT EXISTS (SELECT FROM own w WHERE w.server = 'kbilling_shards' AND w.option = 'user')) o
	), mapped AS (
		SELECT m.srvname AS server FROM pg_user_mappings m WHERE m.usename = CURRENT_USER
	)
	SELECT 1 AS step, format('CREATE USER MAPPING FOR CURRENT_USER SERVER %I OPTIONS (%s)', w.server,
							 string_agg(format('%I %L', w.option, w.value), ', ')) AS statement
	FROM wanted w WHERE w.server NOT IN (SELECT m.server FROM mapped m) GROUP BY w.server
	UNION ALL
	SELECT 2, format('ALTER USER MAPPING FOR CURRENT_USER SERVER %I OPTIONS (%s)', server,
					 string_agg(CASE WHEN w.value IS NULL THEN format('DROP %I', option)
									WHEN p.value IS NULL THEN format('ADD %I %L', option, w.value)
									ELSE format('SET %I %L', option, w.value) END, ', '))
	FROM wanted w FULL JOIN own p USING (server, option)
	WHERE w.value IS DISTINCT FROM p.value AND server IN (SELECT w.server FROM wanted w) AND server IN (SELECT m.server FROM mapped m)
	GROUP BY server;
COMMENT ON VIEW mapping_statement IS
'The statements that give the owner the same user and password for postgres_fdw as for PL/Proxy';
COMMENT ON COLUMN mapping_statement.step IS 'Their order';
COMMENT ON COLUMN mapping_statement.statement IS 'The statement';

-- What has rows of accounts, and the sweep's runs.  Types are those that domains are made of, as what is read has been
-- checked.
CREATE VIEW kbilling_router_internal.wanted_relation AS
	SELECT c.relname AS relation, c.oid,
		   bool_or(a.attname = 'account_id') AS is_by_account,
		   string_agg(format('%I %s', a.attname, format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL)), ', '
					  ORDER BY a.attnum) AS definition,
		   string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum) AS columns
	FROM pg_class c
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	JOIN pg_type t ON t.oid = a.atttypid
	WHERE c.relnamespace = 'kbilling'::regnamespace AND c.relkind IN ('r', 'v')
		AND c.relname NOT IN (SELECT x.name FROM kbilling_router.not_proxied x) AND c.relname NOT IN ('metrics', 'trial_balance')
	GROUP BY c.relname, c.oid;
COMMENT ON VIEW wanted_relation IS 'Tables and views of kbilling whose rows are on the shards';
COMMENT ON COLUMN wanted_relation.relation IS 'Its name';
COMMENT ON COLUMN wanted_relation.oid IS 'Its number';
COMMENT ON COLUMN wanted_relation.is_by_account IS 'Whether it has accounts; a row then belongs to the shard by the map';
COMMENT ON COLUMN wanted_relation.definition IS 'Its columns with their types';
COMMENT ON COLUMN wanted_relation.columns IS 'Its columns as those of "t"';

CREATE VIEW kbilling_router_internal.present_relation AS
	SELECT n.nspname AS server, c.relname AS relation,
		   string_agg(format('%I %s', a.attname, format_type(a.atttypid, NULL)), ', ' ORDER BY a.attnum) AS definition
	FROM pg_foreign_table f
	JOIN pg_class c ON c.oid = f.ftrelid
	JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE starts_with(n.nspname, 'kbilling_shard_')
	GROUP BY n.nspname, c.relname;
COMMENT ON VIEW present_relation IS 'The foreign tables that there are';
COMMENT ON COLUMN present_relation.server IS 'Its server and schema';
COMMENT ON COLUMN present_relation.relation IS 'Its name';
COMMENT ON COLUMN present_relation.definition IS 'Its columns with their types';

-- A row counts on the shard that the map gives its account to, however many have it while a bucket moves.  The
-- condition is one that the shard computes: it is sent there.
CREATE VIEW kbilling_router_internal.relation_part AS
	SELECT w.relation, w.oid, s.shard,
		   format('FROM %I.%I t', 'kbilling_shard_' || s.shard, w.relation) ||
		   CASE WHEN w.is_by_account
			   THEN format(' WHERE (hashint8(t.account_id) & 1023) = ANY ((SELECT array_agg(m.bucket) '
						   'FROM kbilling_router.bucket_map m WHERE m.shard = %L)::integer[])', s.shard)
			   ELSE '' END AS source, w.columns
	FROM wanted_relation w CROSS JOIN kbilling_router.shard s;
COMMENT ON VIEW relation_part IS 'What a view over all shards reads on one of them';
COMMENT ON COLUMN relation_part.relation IS 'The view';
COMMENT ON COLUMN relation_part.oid IS 'What it shows, in kbilling';
COMMENT ON COLUMN relation_part.shard IS 'The shard';
COMMENT ON COLUMN relation_part.source IS 'Its FROM, and WHERE';
COMMENT ON COLUMN relation_part.columns IS 'Its columns';

CREATE VIEW kbilling_router_internal.relation_statement AS
	WITH changed AS (
		SELECT DISTINCT p.relation FROM present_relation p LEFT JOIN wanted_relation w USING (relation)
		WHERE w.definition IS DISTINCT FROM p.definition
	), present AS (
		SELECT p.* FROM present_relation p WHERE p.relation NOT IN (SELECT c.relation FROM changed c)
	), part AS (
		SELECT p.relation,
			   string_agg(format('SELECT %L::text AS shard, %s %s', p.shard, p.columns, p.source), ' UNION ALL ' ORDER BY p.shard) AS rows,
			   string_agg(format('SELECT %L::text AS shard, t.tariff, t.state, count(*) AS accounts %s GROUP BY t.tariff, t.state', p.shard,
								 p.source), ' UNION ALL ' ORDER BY p.shard) AS counts, min(p.columns) AS columns
		FROM relation_part p GROUP BY p.relation
	)
	SELECT 1 AS step, format('DROP VIEW IF EXISTS kbilling_router.%I', c.relation) AS statement FROM changed c
	UNION ALL
	SELECT 1, 'DROP VIEW IF EXISTS kbilling_router.account_count' FROM changed c WHERE c.relation = 'account'
	UNION ALL
	SELECT 2, format('DROP FOREIGN TABLE %I.%I', p.server, p.relation) FROM present_relation p JOIN changed c USING (relation)
	UNION ALL
	SELECT 3, format('CREATE FOREIGN TABLE %I.%I (%s) SERVER %I OPTIONS (schema_name ''kbilling'', table_name %L)',
					 'kbilling_shard_' || s.shard, w.relation, w.definition, 'kbilling_shard_' || s.shard, w.relation)
	FROM wanted_relation w CROSS JOIN kbilling_router.shard s
	WHERE NOT EXISTS (SELECT FROM present p WHERE p.server = 'kbilling_shard_' || s.shard AND p.relation = w.relation)
	UNION ALL
	SELECT 4, format('CREATE OR REPLACE VIEW kbilling_router.%I AS %s%s', p.relation, p.rows,
					 -- the price list's changes are those of the router
					 CASE p.relation WHEN 'change_log'
						 THEN format(' UNION ALL SELECT NULL, %s FROM kbilling.change_log t WHERE t.account_id IS NULL', p.columns) END)
	FROM part p
	UNION ALL
	SELECT 4, format('CREATE OR REPLACE VIEW kbilling_router.account_count AS %s', p.counts) FROM part p WHERE p.relation = 'account'
	UNION ALL
	SELECT 5, format('COMMENT ON VIEW kbilling_router.%I IS %L', w.relation,
					 format('kbilling.%s of all shards; "shard" is the one that has the row. The moments of the shards differ. %s',
							w.relation, obj_description(w.oid, 'pg_class')))
	FROM wanted_relation w
	UNION ALL
	SELECT 5, 'COMMENT ON VIEW kbilling_router.account_count IS '
		'''How many accounts each shard has, by tariff and state; each shard counts its own''';
COMMENT ON VIEW relation_statement IS 'The statements that make foreign tables, and the views over all shards';
COMMENT ON COLUMN relation_statement.step IS 'Their order';
COMMENT ON COLUMN relation_statement.statement IS 'The statement';

CREATE VIEW kbilling_router_internal.leftover_statement AS
	WITH gone AS (
		SELECT f.srvname AS server FROM pg_foreign_server f JOIN pg_foreign_data_wrapper w ON w.oid = f.srvfdw
		WHERE starts_with(f.srvname, 'kbilling_shard_') AND w.fdwname = 'postgres_fdw'
			AND f.srvname NOT IN (SELECT 'kbilling_shard_' || s.shard FROM kbilling_router.shard s)
	)
	SELECT 1 AS step, format('DROP FOREIGN TABLE %I.%I', p.server, p.relation) AS statement
	FROM present_relation p JOIN gone g USING (server)
	UNION ALL
	SELECT 2, format('DROP USER MAPPING FOR %s SERVER %I', CASE m.umuser WHEN 0 THEN 'PUBLIC' ELSE quote_ident(m.usename) END, m.srvname)
	FROM pg_user_mappings m JOIN gone g ON g.server = m.srvname
	UNION ALL
	SELECT 3, format('DROP SERVER %I', g.server) FROM gone g
	UNION ALL
	SELECT 3, format('DROP SCHEMA IF EXISTS %I', g.server) FROM gone g;
COMMENT ON VIEW leftover_statement IS
'The statements that remove what is left of shards that are no longer in the table, when no view reads it any more';
COMMENT ON COLUMN leftover_statement.step IS 'Their order';
COMMENT ON COLUMN leftover_statement.statement IS 'The statement';

-- PL/Proxy returns rows one at a time, and the next call to the same shard ends them: in a SELECT list, rows would be lost.  So
-- what returns a set is read whole, by an SQL function around the proxy.
CREATE VIEW kbilling_router_internal.wanted_proxy AS
	SELECT p.oid, s.schema_name, p.proname AS name, pg_get_function_arguments(p.oid) AS arguments,
		   pg_get_function_identity_arguments(p.oid) AS identity, oidvectortypes(p.proargtypes) AS types,
		   pg_get_function_result(p.oid) AS result, s.language,
		   CASE s.language
			   WHEN 'plproxy' THEN format('CLUSTER ''kbilling_shards''; RUN ON kbilling_router_internal.kb_partition($1); '
										  'TARGET kbilling.%I;', p.proname)
			   ELSE format('SELECT * FROM kbilling_router_internal.%I(%s)', p.proname,
						   (SELECT string_agg('$' || n, ', ' ORDER BY n) FROM generate_series(1, p.pronargs) n)) END AS body,
		   -- arguments go as texts, which the session's own settings would write in ways that the shard reads otherwise
		   CASE WHEN s.language = 'plproxy'
				AND EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY (p.proargtypes) AND t.typcategory IN ('D', 'T'))
			   THEN '{DateStyle=iso,IntervalStyle=postgres}'::text[] END AS settings,
		   format('kbilling.%s on the account''s shard, in a transaction of its own: what it does is committed there at once, '
				  'and a rollback here undoes nothing. %s', p.proname, obj_description(p.oid, 'pg_proc')) AS comment
	FROM pg_proc p
	JOIN (VALUES ('kbilling_router', 'plproxy', false), ('kbilling_router', 'sql', true), ('kbilling_router_internal', 'plproxy', true))
		s (schema_name, language, is_set) ON s.is_set = p.proretset
	WHERE p.pronamespace = 'kbilling'::regnamespace AND p.prokind = 'f'
		AND p.proargtypes[0] = 'bigint'::regtype AND p.proargnames[1] = 'account_id'
		AND p.proname NOT IN (SELECT x.name FROM kbilling_router.not_proxied x);
COMMENT ON VIEW wanted_proxy IS 'The functions of kbilling that act on one account, as proxies';
COMMENT ON COLUMN wanted_proxy.oid IS 'The function''s number';
COMMENT ON COLUMN wanted_proxy.schema_name IS 'The proxy''s schema';
COMMENT ON COLUMN wanted_proxy.name IS 'Its name, which is the function''s';
COMMENT ON COLUMN wanted_proxy.arguments IS 'Its arguments, with their defaults';
COMMENT ON COLUMN wanted_proxy.identity IS 'Its arguments, as DROP FUNCTION names them';
COMMENT ON COLUMN wanted_proxy.types IS 'Their types';
COMMENT ON COLUMN wanted_proxy.result IS 'What it returns';
COMMENT ON COLUMN wanted_proxy.language IS '"plproxy" or "sql"';
COMMENT ON COLUMN wanted_proxy.body IS 'How it is run';
COMMENT ON COLUMN wanted_proxy.settings IS 'The settings that it is run with';
COMMENT ON COLUMN wanted_proxy.comment IS 'What is said of it';

-- Not what the extension itself has, nor what others put there
CREATE VIEW kbilling_router_internal.present_proxy AS
	SELECT p.oid, n.nspname AS schema_name, p.proname AS name, pg_get_function_arguments(p.oid) AS arguments,
		   pg_get_function_identity_arguments(p.oid) AS identity, oidvectortypes(p.proargtypes) AS types,
		   pg_get_function_result(p.oid) AS result, p.prosrc AS body, p.proconfig AS settings, obj_description(p.oid, 'pg_proc') AS comment
	FROM pg_proc p
	JOIN pg_namespace n ON n.oid = p.pronamespace
	WHERE n.nspname IN ('kbilling_router', 'kbilling_router_internal')
		AND (starts_with(p.prosrc, 'CLUSTER ''kbilling_shards''') OR starts_with(p.prosrc, 'SELECT * FROM kbilling_router_internal.'))
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e');
COMMENT ON VIEW present_proxy IS 'The proxies that there are';
COMMENT ON COLUMN present_proxy.oid IS 'The proxy''s number';
COMMENT ON COLUMN present_proxy.schema_name IS 'Its schema';
COMMENT ON COLUMN present_proxy.name IS 'Its name';
COMMENT ON COLUMN present_proxy.arguments IS 'Its arguments, with their defaults';
COMMENT ON COLUMN present_proxy.identity IS 'Its arguments, as DROP FUNCTION names them';
COMMENT ON COLUMN present_proxy.types IS 'Their types';
COMMENT ON COLUMN present_proxy.result IS 'What it returns';
COMMENT ON COLUMN present_proxy.body IS 'How it is run';
COMMENT ON COLUMN present_proxy.settings IS 'The settings that it is run with';
COMMENT ON COLUMN present_proxy.comment IS 'What is said of it';

CREATE VIEW kbilling_router_internal.proxy_statement AS
	SELECT 1 AS step, format('DROP FUNCTION %I.%I(%s)', p.schema_name, p.name, p.identity) AS statement
	FROM present_proxy p LEFT JOIN wanted_proxy w USING (schema_name, name, types)
	WHERE (p.arguments, p.result, p.body, p.settings) IS DISTINCT FROM (w.arguments, w.result, w.body, w.settings)
	UNION ALL
	SELECT CASE w.language WHEN 'plproxy' THEN 2 ELSE 3 END,
		   format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE %I%s AS %L', w.schema_name, w.name, w.arguments, w.result, w.language,
				  (SELECT string_agg(' SET ' || s, '') FROM unnest(w.settings) s), w.body)
	FROM wanted_proxy w LEFT JOIN present_proxy p USING (schema_name, name, types)
	WHERE (p.arguments, p.result, p.body, p.settings) IS DISTINCT FROM (w.arguments, w.result, w.body, w.settings)
	UNION ALL
	SELECT 4, format('COMMENT ON FUNCTION %I.%I(%s) IS %L', w.schema_name, w.name, w.identity, w.comment)
	FROM wanted_proxy w LEFT JOIN present_proxy p USING (schema_name, name, types)
	WHERE (p.arguments, p.result, p.body, p.settings, p.comment) IS DISTINCT FROM (w.arguments, w.result, w.body, w.settings, w.comment);
COMMENT ON VIEW proxy_statement IS 'The statements that make the proxies that are wanted of those that there are';
COMMENT ON COLUMN proxy_statement.step IS 'Their order';
COMMENT ON COLUMN proxy_statement.statement IS 'The statement';
