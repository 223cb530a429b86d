-- what: a top-up that may wake workers
-- ours: kb_apply_topup, no worker asleep
-- asleep: kb_apply_topup, one worker asleep that never gets up
-- floor: kb_apply_topup, kbilling.notify off
-- case: clients=8 accounts=100000
-- goal: wall ours / floor <= 1.1

-- == setup
CALL bench.make_accounts(:accounts);

-- == options floor
-c kbilling.notify=off

-- == floor
\set account random(1, :accounts)
\set amount random(1, 5000)
\set key random(1, 1000000000000)
SELECT * FROM kbilling.kb_apply_topup(:account, kbilling.kb_money(:amount, 'USD'), 'card', 'pi_' || :key);

-- == ours
\set account random(1, :accounts)
\set amount random(1, 5000)
\set key random(1, 1000000000000)
SELECT * FROM kbilling.kb_apply_topup(:account, kbilling.kb_money(:amount, 'USD'), 'card', 'pi_' || :key);

-- == beside asleep
-- A worker that finds nothing lies down.
TRUNCATE kbilling.notice;
LISTEN kbilling;
SELECT count(*) FROM kbilling.kb_take_notices(1, '1 minute');

-- == asleep
\set account random(1, :accounts)
\set amount random(1, 5000)
\set key random(1, 1000000000000)
SELECT * FROM kbilling.kb_apply_topup(:account, kbilling.kb_money(:amount, 'USD'), 'card', 'pi_' || :key);
