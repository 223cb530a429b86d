\set account random(1, :accounts)
BEGIN;
SELECT set_config('kbilling.clock', (timestamptz '2027-01-20' + (clock_timestamp() - to_timestamp(:began)) * :pace)::text, true);
SELECT kbilling.kb_portal(:account, 'owner');
COMMIT;
