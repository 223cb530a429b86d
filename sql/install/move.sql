/*
 * Buckets of accounts move to another node, while they are used (rules B).
 *
 * The rows go over by logical replication.  The node that gives the buckets away is the source, the other one the
 * target; each has a row of its own here that says how far the move has got.
 */

CREATE TYPE kbilling.kb_move_state AS ENUM ('begun', 'ready', 'cut', 'taken', 'forgotten', 'cancelled');
COMMENT ON TYPE kb_move_state IS 'How far a move of buckets has got; see kbilling.shard_move';

CREATE TABLE kbilling.shard_move (
	move            kb_text PRIMARY KEY CHECK (move ~ '^[a-z][a-z0-9_]{0,39}$'),
	is_source       boolean NOT NULL,
	state           kb_move_state NOT NULL DEFAULT 'begun',
	buckets         integer[] NOT NULL,
	begun_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
	changed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
	unverified_from xid8,
	is_refused      boolean NOT NULL DEFAULT false
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.shard_move', '');
COMMENT ON TABLE shard_move IS 'The moves of buckets from this node to another, and from another to this one';
COMMENT ON COLUMN shard_move.move IS 'The name of the move, the same on both nodes, and used once';
COMMENT ON COLUMN shard_move.is_source IS 'Whether this node gives the buckets away; false: it receives them';
COMMENT ON COLUMN shard_move.state IS
'"begun": the rows are on their way. "ready": the target has all of them, and has verified them. "cut": the source '
'owns the buckets no more. "taken": the target owns them. "forgotten": the source has deleted the rows. "cancelled": '
'the source owns the buckets as before';
COMMENT ON COLUMN shard_move.buckets IS 'The buckets, as kb_shard numbers them';
COMMENT ON COLUMN shard_move.begun_at IS 'When it began on this node, by the machine''s clock';
COMMENT ON COLUMN shard_move.changed_at IS 'When it got as far as it is, by the machine''s clock';
COMMENT ON COLUMN shard_move.unverified_from IS
'On the target: what this and later transactions have written is not verified yet; NULL: nothing is';
COMMENT ON COLUMN shard_move.is_refused IS
'On the source: the target has cancelled the move, and will not own the buckets';

-- A row goes over with what it follows, so the target that has it has everything, and knows that the source has let go.
-- The name is a text, as a publication takes no domains in its WHERE.
CREATE TABLE kbilling.shard_cut (
	move      text PRIMARY KEY,
	cut_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
	catalogue text NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.shard_cut', '');
COMMENT ON TABLE shard_cut IS
'The last row of a move that a source sends: it owns the buckets no more, and nothing follows';
COMMENT ON COLUMN shard_cut.move IS 'The move';
COMMENT ON COLUMN shard_cut.cut_at IS 'When it was cut, by the machine''s clock';
COMMENT ON COLUMN shard_cut.catalogue IS
'What kb_catalogue_digest said then. If it says something else when somebody owns the buckets, their usage is priced anew';

CREATE FUNCTION kbilling.kb_own_buckets(buckets integer[]) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_own_buckets';
COMMENT ON FUNCTION kb_own_buckets(integer[]) IS
'Declares which buckets of accounts this node owns, and that it owns no others; with an empty array, none (B2). It '
'waits for the transactions that write to accounts of the others; on a node that had no shards, for all that run in the '
'database. Only for the owner of the extension. '
'Errors: 22004 for a null; 22023 for a number that is no bucket''s; 55000 if one of which it says otherwise is being moved';

-- From the catalog, so that no table is forgotten.  Others refer to account, so it is the last to be emptied.
CREATE VIEW kbilling_internal.account_table WITH (security_invoker) AS
	SELECT c.relname AS table_name,
		   c.relname <> 'sweep_failure' AS is_moved,	-- what failed in a run of this node
		   NOT EXISTS (SELECT FROM pg_index i
					   WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS is_log,
		   row_number() OVER (ORDER BY c.relname = 'account', c.relname) AS position
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relnamespace = 'kbilling'::regnamespace AND c.relkind = 'r'
		AND a.attname = 'account_id' AND NOT a.attisdropped
		AND EXISTS (SELECT FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'kbilling'
					WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
						AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e');
COMMENT ON VIEW account_table IS 'The tables of the extension that have rows of accounts';
COMMENT ON COLUMN account_table.table_name IS 'The table, in the schema kbilling';
COMMENT ON COLUMN account_table.is_moved IS 'Whether the rows move with the accounts; else they are of this node alone';
COMMENT ON COLUMN account_table.is_log IS 'Whether rows are only added: the account is not in the key';
COMMENT ON COLUMN account_table.position IS 'Its place in the order in which they can be emptied';

CREATE FUNCTION kbilling_internal.kb_account_columns() RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT md5(string_agg(concat_ws(' ', t.table_name, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull), ', '
						  ORDER BY t.table_name, a.attname COLLATE "C"))
	FROM account_table t
	JOIN pg_class c ON c.relnamespace = 'kbilling'::regnamespace AND c.relname = t.table_name
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped;
END;
COMMENT ON FUNCTION kb_account_columns() IS
'A digest of the columns of the tables that have rows of accounts, to compare between nodes';

-- What a node tells and asks of the other.

CREATE FUNCTION kbilling_internal.kb_offered_move(move text)
	RETURNS TABLE (is_source boolean, state text, buckets text, columns text, catalogue text, slot text)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT m.is_source, m.state::text, m.buckets::text, kb_account_columns(), kb_catalogue_digest(),
		   CASE WHEN s.slot_name IS NULL OR s.wal_status = 'lost' THEN 'gone'
				WHEN s.active THEN 'active' ELSE 'idle' END
	FROM shard_move m
	LEFT JOIN pg_replication_slots s ON s.slot_name = 'kbilling_move_' || m.move AND s.database = current_database()
	WHERE m.move = $1;
END;
COMMENT ON FUNCTION kb_offered_move(text) IS
'What a source says of a move, for the target. Its role needs this function, kb_tell_move and kb_count_moved';

CREATE FUNCTION kbilling_internal.kb_tell_move(move text, state kb_move_state) RETURNS text
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_tell_move';
COMMENT ON FUNCTION kb_tell_move(text, kb_move_state) IS
'Tells a source what its target has done: "ready", "taken" or "cancelled". Returns the state that the move has then';

CREATE FUNCTION kbilling_internal.kb_count_moved(move text) RETURNS TABLE (table_name text, rows text, digest text)
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	SET timezone = 'UTC' SET datestyle = 'ISO' SET bytea_output = 'hex'
	AS 'MODULE_PATHNAME', 'kb_count_moved';
COMMENT ON FUNCTION kb_count_moved(text) IS
'How many rows each table has of the accounts of a move, and of the accounts themselves a digest, to compare between '
'its nodes';

-- The steps.

CREATE FUNCTION kbilling.kb_begin_move(move text, buckets integer[]) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_begin_move';
COMMENT ON FUNCTION kb_begin_move(text, integer[]) IS
'On the source: offers buckets of accounts to another node, by a publication of their rows; nothing changes for their '
'users. The name is of small letters, digits and underscores, and used once. Only for the owner of the extension. '
'Errors: 22004 for a null; 22023 for a number that is no bucket''s, none, or another name; 42710 if the name is in '
'use; 55000 if a bucket is not this node''s own, or is being moved, or wal_level is not logical';

CREATE FUNCTION kbilling.kb_receive_move(move text, source text) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_receive_move';
COMMENT ON FUNCTION kb_receive_move(text, text) IS
'On the target: receives what kb_begin_move offers on the source, which a connection string names as for CREATE '
'SUBSCRIPTION: first the rows that are there, then what is written to them. Only for a superuser. Errors: 08006 if the '
'source cannot be reached; 22004; 25001 if the transaction has written before; 42704 if the source does not offer the '
'move; 42710 if the name is in use; 55000 if the nodes do not fit each other, or this one owns a bucket, or has rows '
'of its accounts';

CREATE FUNCTION kbilling.kb_verify_move(move text) RETURNS bigint
	LANGUAGE c VOLATILE SET jit = off SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_verify_move';
COMMENT ON FUNCTION kb_verify_move(text) IS
'On the target, when all tables are copied: verifies each account as kb_verify does (J5), tells the source that all is '
'here, and returns how many accounts there are. What is posted after that, kb_own_move verifies. Only for a superuser. '
'Errors: 22004; 42704 for an unknown move; 55000 if it is not that far; XX001 if an account is damaged; and those of '
'the source';

CREATE FUNCTION kbilling.kb_cut_move(move text, max_wait interval = '10 seconds') RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_cut_move';
COMMENT ON FUNCTION kb_cut_move(text, interval) IS
'On the source: waits until the target has nearly everything, lets transactions that write to the accounts end, keeps '
'new ones waiting, and when the target has the rest, disowns the buckets: from its commit on, until the target owns '
'them, calls for the accounts raise KB014. Waits for each of these so long at most, and then changes nothing. Only for '
'the owner of the extension. Errors: 22004; 42704 for an unknown move; 55000 if it is not that far, or its replication '
'slot is gone; 55P03 if that takes longer';

CREATE PROCEDURE kbilling.kb_own_move(move text, max_wait interval = '1 minute')
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_own_move';
COMMENT ON PROCEDURE kb_own_move(text, interval) IS
'On the target, when the source is cut: waits for the last row, so long at most, verifies what has changed since '
'kb_verify_move, compares with the source, owns the buckets, commits, and tells the source. If it cannot reach the '
'source in the end, call it again. Only for a superuser. Errors: 22004; 25001 in a transaction block; 42704 for an '
'unknown move; 55000 if it is not that far, or what is here is not what the source has; 55P03 if it takes longer; '
'XX001 if an account is damaged; and those of the source';

CREATE PROCEDURE kbilling.kb_forget_move(move text, batch_size integer = 1000)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_forget_move';
COMMENT ON PROCEDURE kb_forget_move(text, integer) IS
'On the source, when the target owns the buckets: deletes their rows, so many accounts in a transaction. On the '
'target: the same for a move that was cancelled. One that was stopped is called again. Only for a superuser. Errors: '
'22004; 22023 for a size below 1; 23503 if tables of the application refer to the accounts; 25001 in a transaction '
'block; 42704 for an unknown move; 55000 if the target does not own the buckets, or this node does';

CREATE PROCEDURE kbilling.kb_forget_buckets(buckets integer[] = NULL, batch_size integer = 1000)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_forget_buckets';
COMMENT ON PROCEDURE kb_forget_buckets(integer[], integer) IS
'Deletes the rows of accounts of buckets that this node does not own, of all such buckets if none are named, so many '
'accounts in a transaction. For a node that was split in two by a standby: only the caller knows that another node '
'owns them. Only for a superuser. Errors: 22023 for a number that is no bucket''s, or a size below 1; 23503 if tables '
'of the application refer to the accounts; 25001 in a transaction block; 55000 if this node owns one of them, or it is '
'being moved';

CREATE PROCEDURE kbilling.kb_cancel_move(move text, forced boolean = false)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_cancel_move';
COMMENT ON PROCEDURE kb_cancel_move(text, boolean) IS
'Takes a move back, until the target owns the buckets: on the target first, which tells the source; then on the '
'source, which owns the buckets as before. "forced" does without the other node, if that is gone for good: on the '
'source, only if the target can never own the buckets. Only for a superuser. Errors: 22004; 25001 in a transaction '
'block; 42704 for an unknown move; 55000 if the target owns the buckets, or has not cancelled it; and those of the '
'source';

CREATE FUNCTION kbilling_internal.kb_reprice_buckets(buckets integer[]) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	UPDATE account a SET terms_version = a.terms_version + 1 WHERE kb_shard(a.account_id) = ANY ($1);
	SELECT kb_reprice_usage(ARRAY(SELECT a.account_id FROM account a WHERE kb_shard(a.account_id) = ANY ($1)), NULL, '-infinity');
END;
COMMENT ON FUNCTION kb_reprice_buckets(integer[]) IS
'What kb_reprice_usage does, for all accounts of buckets that are nobody''s until the transaction ends. Part of kb_own_move '
'and kb_cancel_move';

CREATE FUNCTION kbilling_internal.kb_take_move(move text, max_wait interval) RETURNS boolean
	LANGUAGE c VOLATILE SET jit = off SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_take_move';
COMMENT ON FUNCTION kb_take_move(text, interval) IS
'Owns the buckets of a move that was cut, and stops its subscription. Part of kb_own_move';

CREATE FUNCTION kbilling_internal.kb_end_subscription(move text, is_told boolean) RETURNS boolean
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_end_subscription';
COMMENT ON FUNCTION kb_end_subscription(text, boolean) IS
'Tells the source what became of a move, if that is wanted, and drops its subscription. Part of kb_own_move and '
'kb_cancel_move';

CREATE FUNCTION kbilling_internal.kb_stop_move(move text, forced boolean) RETURNS boolean
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_stop_move';
COMMENT ON FUNCTION kb_stop_move(text, boolean) IS
'Takes a move back on this node; true if the source is to be told. Part of kb_cancel_move';

CREATE FUNCTION kbilling_internal.kb_begin_forget(move text, buckets integer[]) RETURNS integer[]
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_begin_forget';
COMMENT ON FUNCTION kb_begin_forget(text, integer[]) IS
'The buckets of a move, or if that is NULL, these, if their rows may go; NULL if they are gone. A source sends no more '
'from then on. Part of kb_forget_move and kb_forget_buckets';

CREATE FUNCTION kbilling_internal.kb_forget_accounts(buckets integer[], after bigint, batch_size integer) RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_forget_accounts';
COMMENT ON FUNCTION kb_forget_accounts(integer[], bigint, integer) IS
'Deletes the rows of the next accounts of buckets that this node does not own; the last one''s number, NULL if there '
'is none. Part of kb_forget_move';

CREATE FUNCTION kbilling_internal.kb_forget_rest(buckets integer[], batch_size integer) RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_forget_rest';
COMMENT ON FUNCTION kb_forget_rest(integer[], integer) IS
'Deletes rows of such buckets that are of no account; how many, zero if none is left. Part of kb_forget_move';

CREATE FUNCTION kbilling_internal.kb_end_forget(move text) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_end_forget';
COMMENT ON FUNCTION kb_end_forget(text) IS 'Notes that the rows of a move are gone. Part of kb_forget_move';

CREATE FUNCTION kbilling_internal.kb_next_step(move text, is_source boolean, state kb_move_state, is_refused boolean)
	RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_next_step';
COMMENT ON FUNCTION kb_next_step(text, boolean, kb_move_state, boolean) IS
'What is to be done next of a move, and where, in words';

CREATE FUNCTION kbilling.kb_move_status(move text = NULL)
	RETURNS TABLE (move text, side text, state kb_move_state, buckets integer, accounts bigint, since timestamptz,
				   tables_copied integer, tables integer, lag_bytes bigint, problem text, next_step text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT m.move, CASE WHEN m.is_source THEN 'source' ELSE 'target' END, m.state, cardinality(m.buckets),
		   (SELECT count(*) FROM account a WHERE kb_shard(a.account_id) = ANY (m.buckets)), m.changed_at,
		   r.copied, r.tables,
		   CASE WHEN m.is_source AND s.slot_name IS NOT NULL AND NOT pg_is_in_recovery()
			   THEN pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn)::bigint END,
		   CASE
			   WHEN m.state = 'begun' AND m.is_source AND s.slot_name IS NULL
				   THEN 'the target does not receive it yet'
			   WHEN m.state IN ('ready', 'cut') AND m.is_source AND s.slot_name IS NULL OR s.wal_status = 'lost'
				   THEN 'its replication slot is gone'
			   WHEN m.state IN ('begun', 'ready', 'cut') AND m.is_source AND NOT s.active
				   THEN 'the target is not connected'
			   WHEN m.state IN ('begun', 'ready') AND NOT m.is_source AND u.oid IS NULL
				   THEN 'its subscription is gone'
			   WHEN m.state IN ('begun', 'ready') AND NOT u.subenabled
				   THEN 'its subscription is disabled'
			   WHEN m.state IN ('begun', 'ready') AND e.apply_error_count + e.sync_error_count > 0
				   THEN format('its subscription has failed %s times: see the log of this server',
							   e.apply_error_count + e.sync_error_count)
			   WHEN m.state IN ('taken', 'cancelled') AND u.oid IS NOT NULL
				   THEN 'the source has not been told'
			   WHEN m.is_refused AND m.state <> 'cancelled'
				   THEN 'the target has cancelled it'
		   END,
		   kb_next_step(m.move, m.is_source, m.state, m.is_refused)
	FROM shard_move m
	LEFT JOIN pg_replication_slots s
		ON m.is_source AND s.slot_name = 'kbilling_move_' || m.move AND s.database = current_database()
	LEFT JOIN pg_subscription u ON NOT m.is_source AND u.subname = 'kbilling_move_' || m.move
		AND u.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
	LEFT JOIN pg_stat_subscription_stats e ON e.subid = u.oid
	LEFT JOIN LATERAL (
		SELECT count(*) FILTER (WHERE x.srsubstate = 'r')::integer AS copied, count(*)::integer AS tables
		FROM pg_subscription_rel x WHERE x.srsubid = u.oid) r ON u.oid IS NOT NULL
	WHERE m.move = $1 OR $1 IS NULL
	ORDER BY m.begun_at;
END;
COMMENT ON FUNCTION kb_move_status(text) IS
'How far a move has got, or all moves: on this node''s side, its state and since when; how many accounts this node has '
'of the buckets; on the target, how many tables are copied; on the source, how far the target is behind in the log, in '
'bytes; what is wrong, and what is to be done next. Only for the owner of the extension';
