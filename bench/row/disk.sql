-- what: bytes on disk of a row, alone and with its indexes
-- ours: kbilling
-- mode: sizes
-- case: accounts=1000
-- goal: size charge_row <= 400 B
-- goal: size usage_event_all <= 130 B
-- goal: size usage_total_all <= 200 B

-- == setup
-- A month's charge of three lines; a hundred days' events, in a batch for each day, so that totals move a hundred times.
SET kbilling.clock = '2026-10-01 12:00+00';
CALL bench.make_accounts(:accounts, 3, '1000000 USD');
SET kbilling.clock = '2026-11-01 12:00+00';
CALL kbilling.kb_sweep();
SELECT format('SELECT kbilling.kb_record_usage_batch(jsonb_agg(jsonb_build_object(''account_id'', account_id, ''service'',
	''orders'', ''quantity'', 2, ''key'', ''order-'' || %s))) FROM kbilling.account', i)
FROM generate_series(1, 100) i \gexec

-- == ours
SELECT 'charge_row', avg(pg_column_size(e)) FROM kbilling.entry e
UNION ALL SELECT 'charge_table', pg_table_size('kbilling.entry') / count(*) FROM kbilling.entry
UNION ALL SELECT 'charge_all', pg_total_relation_size('kbilling.entry') / count(*) FROM kbilling.entry
UNION ALL SELECT 'usage_event_row', avg(pg_column_size(e)) FROM kbilling.usage_event e
UNION ALL SELECT 'usage_event_table', pg_table_size('kbilling.usage_event') / count(*) FROM kbilling.usage_event
UNION ALL SELECT 'usage_event_all', pg_total_relation_size('kbilling.usage_event') / count(*) FROM kbilling.usage_event
UNION ALL SELECT 'usage_total_row', avg(pg_column_size(t)) FROM kbilling.usage_total t
UNION ALL SELECT 'usage_total_table', pg_table_size('kbilling.usage_total') / count(*) FROM kbilling.usage_total
UNION ALL SELECT 'usage_total_all', pg_total_relation_size('kbilling.usage_total') / count(*) FROM kbilling.usage_total;
