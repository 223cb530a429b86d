-- what: the month end, for each account
-- one: one sweep
-- workers: three workers in one database
-- shards: three shards in one server, at the same time
-- mode: statement
-- case: accounts=60000 lines=3 rounds=3
-- per: accounts
-- databases: workers a b c
-- helpers: sweep
-- goal: wall workers / one <= 0.7
-- goal: wall shards / workers <= 1.1

-- == setup
-- They have paid ahead, so a charge makes no debt.
CREATE EXTENSION dblink SCHEMA bench;
SET kbilling.clock = '2025-12-01 12:00+00';
CALL bench.make_accounts(:accounts, :lines, '1000000 USD');

-- A month later in some databases; each has a session.
CREATE PROCEDURE bench.begin_month(round integer, VARIADIC databases text[]) LANGUAGE sql AS $$
	SELECT bench.dblink_disconnect(c) FROM unnest(bench.dblink_get_connections()) c;
	SELECT bench.dblink_connect('sweep' || n, format('host=%s port=%s dbname=%s application_name=sweep',
			split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), d)),
		bench.dblink_exec('sweep' || n, format('SET kbilling.clock = %L', date '2026-01-01' + make_interval(months => round) || '+00'))
	FROM unnest(databases) WITH ORDINALITY u (d, n);
$$;
-- All of them sweep at the same time.
CREATE PROCEDURE bench.sweep(workers integer = 1) LANGUAGE sql AS $$
	SELECT bench.dblink_send_query(c, format('CALL kbilling.kb_sweep(%s)', workers)) FROM unnest(bench.dblink_get_connections()) c;
	SELECT r.status FROM unnest(bench.dblink_get_connections()) c, bench.dblink_get_result(c) r (status text);
$$;
\c bench_month_end_workers
SET client_min_messages = warning;
SET search_path = kbilling;
SET kbilling.clock = '2025-12-01 12:00+00';
CALL bench.make_accounts(:accounts, :lines, '1000000 USD');
\c bench_month_end_a
SET client_min_messages = warning;
SET search_path = kbilling;
SET kbilling.clock = '2025-12-01 12:00+00';
CALL bench.make_accounts(:accounts / 3, :lines, '1000000 USD');
\c bench_month_end_b
SET client_min_messages = warning;
SET search_path = kbilling;
SET kbilling.clock = '2025-12-01 12:00+00';
CALL bench.make_accounts(:accounts / 3, :lines, '1000000 USD');
\c bench_month_end_c
SET client_min_messages = warning;
SET search_path = kbilling;
SET kbilling.clock = '2025-12-01 12:00+00';
CALL bench.make_accounts(:accounts / 3, :lines, '1000000 USD');

-- == before one
CALL bench.begin_month(:round, 'bench_month_end');

-- == one
CALL bench.sweep();

-- == before workers
CALL bench.begin_month(:round, 'bench_month_end_workers', 'bench_month_end_workers', 'bench_month_end_workers');

-- == workers
CALL bench.sweep(3);

-- == before shards
CALL bench.begin_month(:round, 'bench_month_end_a', 'bench_month_end_b', 'bench_month_end_c');

-- == shards
CALL bench.sweep();
