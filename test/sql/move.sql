SET search_path = kbilling, public;
SELECT no_plan();
\ir ../include/error.sql

-- What moves

SELECT results_eq($$
	SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'account_id'
	WHERE c.relnamespace = 'kbilling'::regnamespace AND c.relkind = 'r' ORDER BY 1
$$, $$ SELECT table_name FROM kbilling_internal.account_table ORDER BY 1 $$, 'B7: each table that has rows of accounts is known');
SELECT results_eq($$ SELECT table_name FROM kbilling_internal.account_table WHERE NOT is_moved ORDER BY 1 $$,
	$$ VALUES ('sweep_failure'::name) $$, 'B7: all of them move, but for what failed on this node');
SELECT results_eq($$ SELECT table_name FROM kbilling_internal.account_table WHERE is_log ORDER BY 1 $$,
	$$ VALUES ('change_log'::name) $$, 'B7: one of them has a key without the account');
SELECT results_eq($$ SELECT table_name FROM kbilling_internal.account_table ORDER BY position DESC LIMIT 1 $$,
	$$ VALUES ('account'::name) $$, 'B8: others refer to accounts, which are deleted last');
SELECT is_empty($$
	SELECT a.attname FROM kbilling_internal.account_table t
	JOIN pg_class c ON c.relnamespace = 'kbilling'::regnamespace AND c.relname = t.table_name
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE a.attgenerated <> '' OR a.attidentity <> ''
$$, 'B7: no row of an account has a value that replication would not bring');

-- Bad input

SELECT is(pg_temp.error_of($$SELECT kb_begin_move(NULL, '{1}')$$), '22004 move must not be null', '22004: no name');
SELECT is(pg_temp.error_of(format('SELECT kb_begin_move(%L, ''{1}'')', n)), format('22023 "%s" cannot be the name of a move | '
	'It is part of the name of a replication slot. | '
	'Begin with a small letter, and go on with small letters, digits and underscores, at most 40 in all.', n),
	format('22023: the name "%s"', n))
FROM unnest(ARRAY['', '1', '_a', 'A', 'a b', 'a"b', 'ä', repeat('a', 41)]) n;
SELECT is(pg_temp.error_of($$SELECT kb_begin_move('a_4111111111111111', '{1}')$$)
	~ '^KB008 [^0-9]*13 to 19 digits', true, 'T4: a card number');
SELECT is(pg_temp.error_of(format($$SELECT kb_begin_move('a', %s)$$, b)), e, format('kb_begin_move: %s', e))
FROM (VALUES ('NULL', '22004 buckets must not be null'), ($$'{1,NULL}'$$, '22004 buckets must not contain nulls'),
	($$'{1024}'$$, '22023 there is no bucket 1024 | Buckets have the numbers 0 to 1023. | kb_shard says in which bucket an account is.'),
	($$'{}'$$, '22023 there must be a bucket | The array is empty. | Name the buckets: kb_shard(account_id) is that of an account.'))
	v (b, e);
SELECT is(pg_temp.error_of($$SELECT kb_begin_move('a', '{1}')$$), '55000 wal_level must be "logical" on the source of a move | '
	'The rows go over by logical replication. | Set wal_level = logical in postgresql.conf, and restart the server.',
	'55000: a server that does not write what is to be sent') WHERE current_setting('wal_level') <> 'logical';
SELECT is(pg_temp.error_of($$SELECT kb_receive_move('a', NULL)$$), '22004 source must not be null', '22004: no connection string');
SELECT is(pg_temp.error_of(format('SELECT %s', call)),
	'42704 there is no move "a" | kbilling.shard_move has no such row on this node. | kb_move_status() shows the moves of this node.',
	format('42704: %s', call))
FROM unnest(ARRAY[$$kb_verify_move('a')$$, $$kb_cut_move('a')$$]) call;
SELECT is(pg_temp.error_of($$SELECT kb_cut_move('a', NULL)$$), '22004 max_wait must not be null', '22004: no limit');
SELECT is(pg_temp.error_of(format('CALL %s', call)), format('25001 %s cannot run inside a transaction block | '
	'It commits between its steps. | CALL it on its own, from a session in autocommit mode.', split_part(call, '(', 1)),
	format('25001: %s', call))
FROM unnest(ARRAY[$$kb_own_move('a')$$, $$kb_forget_move('a')$$, 'kb_forget_buckets()', $$kb_cancel_move('a')$$]) call;
SELECT is(pg_temp.error_of($$CALL kb_forget_move('a', 0)$$), '22023 batch_size must be above zero | It is 0. | Give the number of accounts '
	'that one transaction deletes.', '22023: no batch');
SELECT is((SELECT count(*) FROM kb_move_status()), 0::bigint, 'nothing of that has begun a move');
SELECT is((SELECT count(*) FROM pg_publication), 0::bigint, 'or published anything');

-- A move that is here by hand, as its steps would leave it

INSERT INTO shard_move (move, is_source, state, buckets) VALUES ('out', true, 'begun', '{838}'), ('in', false, 'begun', '{839}');
SELECT is(pg_temp.error_of(format('SELECT %s', call)), error, call) FROM (VALUES
	($$kb_verify_move('out')$$, '55000 move "out" cannot be verified now | This node is its source, and its state here is '
		'"begun". | On the target, call kb_receive_move(''out'', ...) with the connection string of this server, if it has '
		'not been called, and then kb_verify_move.'),
	($$kb_cut_move('in')$$, '55000 move "in" cannot be cut now | This node is its target, and its state here is "begun". | '
		'When all tables are copied, call kb_verify_move(''in'') here.'),
	($$kb_verify_move('in')$$, '55000 the subscription of move "in" is gone | '
		'There is no subscription kbilling_move_in in this database. | '
		'CALL kb_cancel_move here and on the source, and begin another move.'),
	($$kbilling_internal.kb_tell_move('out', 'taken')$$, '55000 move "out" cannot be noted as "taken" now | This node is its source, and '
		'its state here is "begun". | On the target, call kb_receive_move(''out'', ...) with the connection string of this '
		'server, if it has not been called, and then kb_verify_move.'),
	($$kbilling_internal.kb_tell_move('in', 'ready')$$, '55000 move "in" cannot be noted as "ready" now | This node is its target, and '
		'its state here is "begun". | When all tables are copied, call kb_verify_move(''in'') here.')) v (call, error);
SELECT results_eq('SELECT move, side, state::text, buckets, problem FROM kb_move_status()',
	$$VALUES ('out', 'source', 'begun', 1, 'the target does not receive it yet'),
		('in', 'target', 'begun', 1, 'its subscription is gone')$$,
	'B7: the status says what is missing');
SELECT is(kbilling_internal.kb_tell_move('out', 'ready') || kbilling_internal.kb_tell_move('out', 'ready'), 'readyready',
	'B7: a source may be told twice');
SELECT is(kbilling_internal.kb_tell_move('out', 'cancelled'), 'ready', 'B7: of a target that has cancelled, it takes note');
SELECT is(pg_temp.error_of($$SELECT kb_cut_move('out')$$), '55000 move "out" cannot be cut now | This node is its source, '
	'and its state here is "ready". | CALL kb_cancel_move(''out'') here: the target has cancelled it.', 'B7: and then does not let go');
CALL kb_cancel_move('out');
CALL kb_cancel_move('out');
CALL kb_cancel_move('in');
SELECT results_eq('SELECT move::text, state::text FROM shard_move ORDER BY 1', $$VALUES ('in', 'cancelled'), ('out', 'cancelled')$$,
	'B7: a move is taken back on both sides, where it has no slot or subscription, too');

-- What is not this node's own is forgotten

SET kbilling.clock = '2025-07-01 00:00+00';
SELECT kb_create_tariff('start', 'USD'), kb_create_service('orders', 'metered');
SELECT kb_set_price('start', 'base', '31'), kb_set_price('start', 'orders', '0.10 each');
SELECT kb_create_account('olga', 'start', id) FROM generate_series(1, 12) id;
SELECT kb_apply_topup(account_id, '10 USD', 'card', 'pay-1'), kb_record_usage(account_id, 'orders', 5, 'order-1') FROM account;
SELECT kb_defer(1, '2025-09-15', 'support', 'holiday'), kb_defer(2, '2025-09-15', 'support', 'holiday');
SET kbilling.clock = '2025-08-12 06:00+00';
CALL kb_sweep();
SELECT kb_own_buckets(ARRAY(SELECT generate_series(0, 1023) EXCEPT SELECT kb_shard(id) FROM generate_series(1, 4) id));
SELECT is(pg_temp.error_of(format('DELETE FROM %s WHERE account_id = 1', t)),
	(SELECT format('KB007 DELETE on kbilling.%s is refused | What is posted stays as it is, and a balance moves only with an '
		'entry (J1, J2).', t)
	 || CASE t WHEN 'entry' THEN ' | Put a mistake right with kb_reverse or kb_adjust.' WHEN 'account' THEN ' | Close an account with '
		'kb_schedule_closure.' ELSE ' | Call kb_defer again.' END), format('J1: rows of %s stay, by hand, whoever owns the account', t))
FROM unnest('{entry,account,deferral}'::text[]) t;
CREATE TABLE before AS SELECT t.table_name, x.account_id FROM kbilling_internal.account_table t
	CROSS JOIN LATERAL (SELECT (xpath('//account_id/text()', r))[1]::text::bigint AS account_id
		FROM unnest(xpath('//row', query_to_xml(format('SELECT account_id FROM kbilling.%I', t.table_name), true, false, ''))) r) x;
SELECT is((SELECT count(DISTINCT account_id) FROM before WHERE account_id <= 4), 4::bigint, 'there are rows to forget');
CALL kb_forget_buckets(batch_size => 3);
SELECT is_empty($$SELECT account_id FROM account WHERE account_id <= 4 UNION ALL SELECT account_id FROM entry WHERE account_id <= 4
	UNION ALL SELECT account_id FROM usage_event WHERE account_id <= 4 UNION ALL SELECT account_id FROM notice WHERE account_id <= 4
	UNION ALL SELECT account_id FROM change_log WHERE account_id <= 4 UNION ALL SELECT account_id FROM deferral WHERE account_id <= 4$$,
	'B8: nothing is left of accounts that another node has');
SELECT is((SELECT count(*) FROM account), 8::bigint, 'B8: all that is its own is left');
SELECT is((SELECT count(*) FROM entry), (SELECT count(*) FROM before WHERE table_name = 'entry' AND account_id > 4), 'with its entries');
SELECT is_empty('SELECT * FROM kb_check()', 'and the books are right');
CALL kb_forget_buckets();
SELECT is((SELECT count(*) FROM account), 8::bigint, 'a second time there is nothing to forget');

SELECT * FROM finish();
