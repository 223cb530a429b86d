\set account random_zipfian(1, :accounts, 1.05)
\set key random(1, 1000000000000)
BEGIN;
SELECT set_config('kbilling.clock', (timestamptz '2027-01-20' + (clock_timestamp() - to_timestamp(:began)) * :pace)::text, true);
SELECT kbilling.kb_record_usage(:account, 'orders', 2, 'o_' || :key);
COMMIT;
