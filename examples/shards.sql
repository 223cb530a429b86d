-- What is other for play.sql if the accounts are on several shards, and this is their router: the clock is set, and
-- the sweep is started, on each shard; orders are recorded through the router.

SELECT kb_catalogue_wait() \g /dev/null
CREATE EXTENSION dblink;
SELECT dblink_connect(shard, conninfo) FROM shard \g /dev/null

-- In this session's connections to the shards.
CREATE FUNCTION set_shard_clock(clock text) RETURNS SETOF text LANGUAGE plproxy
	AS $$ CLUSTER 'kbilling_shards'; RUN ON ALL; SELECT set_config('kbilling.clock', clock, false); $$;

-- Views over all shards have connections of their own, to which only the last days matter.
CREATE PROCEDURE begin_day(day date) LANGUAGE sql AS $$
	SELECT set_config('kbilling.clock', day || ' 12:00+00', false);
	SELECT set_shard_clock(day || ' 12:00+00');
	SELECT dblink_exec(shard, format('SET kbilling.clock = %L', day || ' 12:00+00')) FROM shard;
	SELECT dblink_exec(shard, format('ALTER DATABASE %I SET kbilling.clock = %L', current_database(), day || ' 12:00+00'))
	FROM shard WHERE day >= '1998-06-30';
	SELECT postgres_fdw_disconnect_all() WHERE day >= '1998-06-30';
$$;

-- The shards sweep at the same time.
\set sweep 'CALL sweep_shards()'
CREATE PROCEDURE sweep_shards() LANGUAGE sql AS $$
	SELECT dblink_send_query(shard, 'CALL kbilling.kb_sweep()') FROM shard;
	SELECT r.status FROM shard, dblink_get_result(shard) AS r (status text);
	SELECT r.status FROM shard, dblink_get_result(shard) AS r (status text);	-- there are no more
$$;

CREATE FUNCTION order_on(on_day date) RETURNS bigint LANGUAGE sql
BEGIN ATOMIC
	SELECT coalesce(sum(kb_record_usage_batch(bought.events)), 0)
	FROM (SELECT jsonb_agg(jsonb_build_object('account_id', account_id, 'service', 'orders', 'quantity', quantity,
			'key', line_no::text)) AS events
		FROM purchase JOIN buyer(on_day) USING (customer) WHERE day = on_day HAVING count(*) > 0) AS bought;
END;
