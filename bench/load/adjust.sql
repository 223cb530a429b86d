\set account random(1, :accounts)
\set key random(1, 1000000000000)
BEGIN;
SELECT set_config('kbilling.clock', (timestamptz '2027-01-20' + (clock_timestamp() - to_timestamp(:began)) * :pace)::text, true);
SELECT kbilling.kb_adjust(:account, '-0.10 USD', 'a_' || :key, 'a fee');
COMMIT;
