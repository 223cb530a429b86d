/*
 * What is asked of all shards at once.  Each signs its rows.
 */

CREATE FUNCTION kbilling_router_internal.kb_check_on(partitions integer[], shards text[])
	RETURNS TABLE (shard text, account_id bigint, seq bigint, problem text)
	LANGUAGE plproxy
	AS $$
		CLUSTER 'kbilling_shards';
		SPLIT partitions, shards;
		RUN ON partitions;
		SELECT ($2)[1] AS shard, c.* FROM kbilling.kb_check() c;
	$$;
COMMENT ON FUNCTION kb_check_on(integer[], text[]) IS 'kbilling.kb_check of shards';

CREATE FUNCTION kbilling_router.kb_check() RETURNS TABLE (shard text, account_id bigint, seq bigint, problem text)
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling_router_internal, kbilling, pg_temp
BEGIN ATOMIC
	WITH looked AS MATERIALIZED (
		SELECT kb_look() AS states
	)
	SELECT c.shard, c.account_id, c.seq, c.problem
	FROM looked l CROSS JOIN LATERAL kb_reached(l.states) r CROSS JOIN LATERAL kb_check_on(r.partitions, r.shards) c
	UNION ALL
	SELECT p.shard, NULL, NULL, p.problem FROM looked l CROSS JOIN LATERAL kb_node_problems(l.states) p
	UNION ALL
	SELECT p.shard, NULL, NULL, p.problem FROM looked l CROSS JOIN LATERAL kb_map_problems(l.states) p
	UNION ALL
	SELECT p.shard, NULL, NULL, p.problem FROM looked l CROSS JOIN LATERAL kb_catalogue_problems(l.states) p;
END;
COMMENT ON FUNCTION kbilling_router.kb_check() IS
'kbilling.kb_check of all shards, and what is wrong between them and the router: shards that do not answer, or do not '
'fit, buckets that are not where the map says, price lists that differ. No row if all is well';

-- Of accounts that a shard owns alone: while a bucket moves, its entries are on two.
CREATE FUNCTION kbilling_router_internal.kb_trial_balance_on(partitions integer[], shards text[])
	RETURNS TABLE (shard text, currency text, ledger_account text, debit kb_money, credit kb_money)
	LANGUAGE plproxy
	AS $$
		CLUSTER 'kbilling_shards';
		SPLIT partitions, shards;
		RUN ON partitions;
		SELECT ($2)[1] AS shard, l.currency, l.ledger_account, kbilling.sum(l.debit) AS debit, kbilling.sum(l.credit) AS credit
		FROM kbilling.general_ledger l WHERE kbilling_internal.kb_is_owned(l.account_id) GROUP BY l.currency, l.ledger_account;
	$$;
COMMENT ON FUNCTION kb_trial_balance_on(integer[], text[]) IS 'The sums of the general ledger of shards';

CREATE FUNCTION kbilling_router_internal.kb_trial_balance()
	RETURNS TABLE (currency text, ledger_account text, debit kb_money, credit kb_money, balance kb_money)
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling_router_internal, kbilling, pg_temp
BEGIN ATOMIC
	SELECT t.currency, t.ledger_account, t.debit, t.credit, t.debit - t.credit
	FROM (SELECT o.currency, o.ledger_account, coalesce(sum(o.debit), kb_money(0, o.currency)) AS debit,
				 coalesce(sum(o.credit), kb_money(0, o.currency)) AS credit
		  FROM kb_reached_all() r CROSS JOIN LATERAL kb_trial_balance_on(r.partitions, r.shards) o
		  GROUP BY o.currency, o.ledger_account) t;
END;
COMMENT ON FUNCTION kb_trial_balance() IS 'What kbilling_router.trial_balance shows';

CREATE VIEW kbilling_router.trial_balance AS
	SELECT t.currency, t.ledger_account, t.debit, t.credit, t.balance FROM kb_trial_balance() t;
COMMENT ON VIEW kbilling_router.trial_balance IS
'kbilling.trial_balance, the sums of all shards (J4). As a sum without a shard is wrong, it is an error if one does '
'not answer (08006). The shards are asked one after another, so their moments differ; each by itself adds up to zero';
COMMENT ON COLUMN kbilling_router.trial_balance.currency IS 'ISO 4217 code';
COMMENT ON COLUMN kbilling_router.trial_balance.ledger_account IS 'As in kbilling.general_ledger';
COMMENT ON COLUMN kbilling_router.trial_balance.debit IS 'Sum of the debits';
COMMENT ON COLUMN kbilling_router.trial_balance.credit IS 'Sum of the credits';
COMMENT ON COLUMN kbilling_router.trial_balance.balance IS 'Debits less credits';

CREATE FUNCTION kbilling_router_internal.kb_sweep_status_on(partitions integer[], shards text[])
	RETURNS TABLE (shard text, running boolean, interrupted boolean, run_id bigint, started_at timestamptz, finished_at timestamptz,
				   duration interval, periods_charged bigint, accounts_failed bigint, failures jsonb, accounts_overdue bigint,
				   overdue_since timestamptz, lag interval)
	LANGUAGE plproxy
	AS $$
		CLUSTER 'kbilling_shards';
		SPLIT partitions, shards;
		RUN ON partitions;
		SELECT ($2)[1] AS shard, s.* FROM kbilling.kb_sweep_status() s;
	$$;
COMMENT ON FUNCTION kb_sweep_status_on(integer[], text[]) IS 'kbilling.kb_sweep_status of shards';

CREATE FUNCTION kbilling_router.kb_sweep_status()
	RETURNS TABLE (shard text, answers boolean, running boolean, interrupted boolean, run_id bigint, started_at timestamptz,
				   finished_at timestamptz, duration interval, periods_charged bigint, accounts_failed bigint, failures jsonb,
				   accounts_overdue bigint, overdue_since timestamptz, lag interval)
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling_router_internal, kbilling, pg_temp
BEGIN ATOMIC
	WITH status AS MATERIALIZED (
		SELECT o.* FROM kb_look() l CROSS JOIN LATERAL kb_reached(l) r CROSS JOIN LATERAL kb_sweep_status_on(r.partitions, r.shards) o
	)
	SELECT h.shard, s.shard IS NOT NULL, s.running, s.interrupted, s.run_id, s.started_at, s.finished_at, s.duration,
		   s.periods_charged, s.accounts_failed, s.failures, s.accounts_overdue, s.overdue_since, s.lag
	FROM kbilling_router.shard h LEFT JOIN status s ON s.shard = h.shard
	WHERE h.partition_no IS NOT NULL
	ORDER BY h.shard;
END;
COMMENT ON FUNCTION kbilling_router.kb_sweep_status() IS
'kbilling.kb_sweep_status of each shard, in whose database its sweep runs. "answers" is false, and the rest NULL, for '
'one that does not answer, or has another version of kbilling';

CREATE FUNCTION kbilling_router_internal.kb_metrics_on(partitions integer[], shards text[])
	RETURNS TABLE (name text, labels jsonb, value numeric, type text, help text)
	LANGUAGE plproxy
	AS $$
		CLUSTER 'kbilling_shards';
		SPLIT partitions, shards;
		RUN ON partitions;
		SELECT m.name, m.labels, m.value, m.type, m.help FROM kbilling.metrics m WHERE ($2)[1] IS NOT NULL;
	$$;
COMMENT ON FUNCTION kb_metrics_on(integer[], text[]) IS 'kbilling.metrics of shards';

-- What counts or adds up is a sum.  Whether something runs, and how long it takes or waits, is said of the worst shard;
-- when the sweep last finished, of the one whose sweep is the longest ago.
CREATE FUNCTION kbilling_router_internal.kb_metrics() RETURNS TABLE (name text, labels jsonb, value numeric, type text, help text)
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling_router_internal, kbilling, pg_temp
BEGIN ATOMIC
	WITH reached AS MATERIALIZED (
		SELECT r.partitions, r.shards FROM kb_look() l CROSS JOIN LATERAL kb_reached(l) r
	)
	SELECT m.name, m.labels,
		   CASE WHEN m.name LIKE '%\_timestamp\_seconds' THEN min(m.value)
				WHEN m.name LIKE '%\_seconds' OR m.name LIKE '%\_running' THEN max(m.value)
				ELSE sum(m.value) END, m.type, m.help
	FROM reached r CROSS JOIN LATERAL kb_metrics_on(r.partitions, r.shards) m
	GROUP BY m.name, m.labels, m.type, m.help
	UNION ALL
	SELECT 'kbilling_shard_up', jsonb_build_object('shard', s.shard), coalesce(s.shard = ANY (r.shards), false)::integer, 'gauge',
		   'Whether the shard answers, and has the router''s version; the other numbers are of those that do'
	FROM kbilling_router.shard s CROSS JOIN reached r
	WHERE s.partition_no IS NOT NULL
	ORDER BY 1, 2;
END;
COMMENT ON FUNCTION kb_metrics() IS 'What kbilling_router.metrics shows';

CREATE VIEW kbilling_router.metrics AS
	SELECT m.name, m.labels, m.value, m.type, m.help FROM kb_metrics() m;
COMMENT ON VIEW kbilling_router.metrics IS
'kbilling.metrics of all shards that answer and have the router''s version: sums of what counts, the maximum of what '
'waits, lasts or runs, and the minimum of when a sweep last finished. kbilling_shard_up says which these are. Seconds '
'and time stamps of one shard are in its own';
COMMENT ON COLUMN kbilling_router.metrics.name IS 'Name of the metric, as in kbilling.metrics, and kbilling_shard_up';
COMMENT ON COLUMN kbilling_router.metrics.labels IS 'Its labels; "shard" of kbilling_shard_up';
COMMENT ON COLUMN kbilling_router.metrics.value IS 'The number; never NULL';
COMMENT ON COLUMN kbilling_router.metrics.type IS '"gauge" or "counter"';
COMMENT ON COLUMN kbilling_router.metrics.help IS 'What it counts';

CREATE FUNCTION kbilling_router.kb_router_status()
	RETURNS TABLE (shard text, conninfo text, answers boolean, version text, buckets integer, has_catalogue boolean, problems text)
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling_router_internal, kbilling, pg_temp
BEGIN ATOMIC
	WITH looked AS MATERIALIZED (
		SELECT kb_look() AS states
	), lag AS MATERIALIZED (
		SELECT p.shard, p.problem FROM looked l CROSS JOIN LATERAL kb_catalogue_problems(l.states) p
	), problem AS (
		SELECT p.shard, p.problem FROM looked l CROSS JOIN LATERAL kb_node_problems(l.states) p
		UNION ALL
		SELECT p.shard, p.problem FROM looked l CROSS JOIN LATERAL kb_map_problems(l.states) p
		UNION ALL
		SELECT p.shard, p.problem FROM lag p
	), by_shard AS (
		SELECT p.shard, string_agg(p.problem, E'\n' ORDER BY p.problem) AS problems FROM problem p GROUP BY p.shard
	)
	SELECT s.shard, s.conninfo, a.shard IS NOT NULL AND a.problem IS NULL, a.version,
		   (SELECT count(*)::integer FROM kbilling_router.bucket_map m WHERE m.shard = s.shard),
		   CASE WHEN a.node IS NOT NULL THEN NOT EXISTS (SELECT FROM lag g WHERE g.shard = s.shard) END, b.problems
	FROM kbilling_router.shard s
	LEFT JOIN (looked l CROSS JOIN LATERAL unnest(l.states) a) ON a.shard = s.shard
	LEFT JOIN by_shard b ON b.shard = s.shard
	UNION ALL
	SELECT NULL, NULL, NULL, NULL, NULL, NULL, b.problems FROM by_shard b WHERE b.shard IS NULL
	ORDER BY 1;
END;
COMMENT ON FUNCTION kbilling_router.kb_router_status() IS
'A row for each shard: whether it answers, its version of kbilling, how many buckets the map gives it, whether it has '
'the router''s price list, and what is wrong with it, a line for each; NULL if all is well. A row without a shard says '
'what is wrong with the router itself';
