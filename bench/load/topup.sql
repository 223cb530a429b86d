\set account random(1, :accounts)
\set amount random(1, 10000)
\set key random(1, 1000000000000)
BEGIN;
SELECT set_config('kbilling.clock', (timestamptz '2027-01-20' + (clock_timestamp() - to_timestamp(:began)) * :pace)::text, true);
SELECT * FROM kbilling.kb_apply_topup(:account, kbilling.kb_money(:amount, 'USD'), 'card', 'pi_' || :key);
COMMIT;
