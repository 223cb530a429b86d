-- what: a top-up whose notice wakes workers
-- ours: kb_apply_topup, kbilling.notify on
-- floor: the same with kbilling.notify off
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
