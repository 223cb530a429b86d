\set account random(1, :accounts)
\set key random(1, 1000000000000)
\set days random(1, 60)
BEGIN;
SELECT set_config('kbilling.clock', (timestamptz '2027-01-20' + (clock_timestamp() - to_timestamp(:began)) * :pace)::text, true);
SELECT kbilling.kb_grant_credit(:account, '1.00 USD', 'c_' || :key, 'a gift', kbilling.kb_now()::date + (:days)::int);
COMMIT;
