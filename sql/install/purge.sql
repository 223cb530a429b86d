/*
 * The purge of a deleted account: members' personal data and usage go, and the
 * rows of tables that the application has registered (D6).
 */

-- By name, because a restore gives tables other OIDs.
CREATE TABLE kbilling.purge_table (
	schema_name    name NOT NULL,
	table_name     name NOT NULL,
	account_column name NOT NULL,
	PRIMARY KEY (schema_name, table_name, account_column)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.purge_table', '');
COMMENT ON TABLE purge_table IS
'The application''s tables from which a purge deletes the account''s rows (D6); written by kb_register_purge';
COMMENT ON COLUMN purge_table.schema_name IS 'The table''s schema';
COMMENT ON COLUMN purge_table.table_name IS 'The table';
COMMENT ON COLUMN purge_table.account_column IS 'The column with the account''s number';


CREATE FUNCTION kbilling.kb_register_purge(relation regclass, account_column name) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('relation, account_column', $1, $2);
	SELECT CASE
		WHEN c.relkind NOT IN ('r', 'p') OR c.relpersistence = 't'
			 OR c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace, 'pg_catalog'::regnamespace)
			THEN kb_raise('42809', format('%s is not a table of an application', $1), NULL, 'Register an ordinary or partitioned table.')
		WHEN a.attnum IS NULL
			THEN kb_raise('42703', format('%s has no column "%s"', $1, $2), NULL, 'Name the column that holds the account''s number.')
		WHEN a.atttypid NOT IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype)
			THEN kb_raise('42804', format('column "%s" of %s is not of an integer type', $2, $1),
						  format('Its type is %s.', format_type(a.atttypid, a.atttypmod)),
						  'Name the column that holds the account''s number.')
		END
	FROM pg_class c
	LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.oid = $1;
	INSERT INTO purge_table (schema_name, table_name, account_column)
	SELECT n.nspname, c.relname, kb_register_purge.account_column
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.oid = kb_register_purge.relation
	ON CONFLICT DO NOTHING;
END;
COMMENT ON FUNCTION kb_register_purge(regclass, name) IS
'Registers a table of the application: each purge deletes the account''s rows from it, in its own transaction (D6), '
'with the rights of the table''s owner. Tables that refer to others are emptied first. Only for the owner of the '
'extension. '
'Errors: 42809 if it is not a table of an application; 42703 if it has no such column; 42804 if the column does not '
'hold integers';


CREATE FUNCTION kbilling.kb_unregister_purge(relation text) RETURNS boolean
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('relation', $1);
	WITH gone AS (
		DELETE FROM purge_table t
		WHERE ARRAY[t.schema_name::text, t.table_name] = parse_ident($1)
		RETURNING t.table_name
	)
	SELECT EXISTS (SELECT FROM gone);
END;
COMMENT ON FUNCTION kb_unregister_purge(text) IS
'Undoes kb_register_purge. The table, which may be gone, is named with its schema. False if it is not registered. '
'Only for the owner of the extension';

-- A table that refers to another reaches more tables than that one, and so comes first.

CREATE VIEW kbilling.purge_order WITH (security_invoker) AS
	WITH RECURSIVE reference (from_table, to_table) AS (	-- so do its partitions and children
		SELECT c.conrelid, c.confrelid FROM pg_constraint c WHERE c.contype = 'f'
		UNION
		SELECT i.inhparent, i.inhrelid FROM pg_inherits i
	), reached (from_table, to_table) AS (
		SELECT f.from_table, f.to_table FROM reference f
		UNION
		SELECT r.from_table, f.to_table FROM reached r JOIN reference f ON f.from_table = r.to_table
	)
	SELECT t.schema_name, t.table_name, t.account_column, c.oid::regclass AS relation, c.relowner::regrole AS owner,
		   row_number() OVER (ORDER BY (SELECT count(*) FROM reached r WHERE r.from_table = c.oid) DESC,
									   t.schema_name, t.table_name, t.account_column) AS position
	FROM purge_table t
	LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
		ON n.nspname = t.schema_name AND c.relname = t.table_name AND c.relkind IN ('r', 'p')
			AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = t.account_column AND NOT a.attisdropped);
COMMENT ON VIEW purge_order IS
'The registered tables in the order in which a purge empties them, which is one that foreign keys allow';
COMMENT ON COLUMN purge_order.schema_name IS 'The table''s schema';
COMMENT ON COLUMN purge_order.table_name IS 'The table';
COMMENT ON COLUMN purge_order.account_column IS 'The column with the account''s number';
COMMENT ON COLUMN purge_order.relation IS
'The table; NULL if it or its column is gone: then purges fail until it is unregistered';
COMMENT ON COLUMN purge_order.owner IS 'The role with whose rights its rows are deleted';
COMMENT ON COLUMN purge_order.position IS 'Its place in the order';

CREATE FUNCTION kbilling_internal.kb_purge_accounts(account_ids bigint[], at timestamptz) RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_purge_accounts';
COMMENT ON FUNCTION kb_purge_accounts(bigint[], timestamptz) IS
'Purges those accounts whose day has come, and returns how many (D6). '
'Errors: 42P01 if a registered table is gone';
