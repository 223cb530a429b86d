\set account random(1, :accounts)
\set amount random(1, 5000)
\set key random(1, 1000000000000)
SELECT * FROM kbilling.kb_apply_topup(:account, kbilling.kb_money(:amount, 'USD'), 'card', 'pi_' || :key);
