\set account random(1, :accounts)
\set key random(1, 1000000000000)
BEGIN;
SELECT set_config('kbilling.clock', (timestamptz '2027-01-20' + (clock_timestamp() - to_timestamp(:began)) * :pace)::text, true);
SELECT kbilling.kb_hold_usage(:account, 'orders', 5, 'h_' || :key, kbilling.kb_now() + interval '1 hour');
SELECT kbilling.kb_record_usage(:account, 'orders', 3, 'h_' || :key);
COMMIT;
