-- what: the balance
-- ours: kb_balance(account)
-- floor: a prepared SELECT of one account's row
-- seconds: 1
-- case: clients=1 accounts=100000
-- instructions: 500
-- goal: instructions floor / ours >= 0.6

-- == setup
CALL bench.make_accounts(:accounts);

-- == floor
\set account random(1, :accounts)
SELECT state, balance, debt_since, deferred_until, delete_on, tariff FROM bare.account WHERE account_id = :account;

-- == ours
\set account random(1, :accounts)
SELECT kbilling.kb_balance(:account);
