-- what: what a member may do now
-- ours: kb_access(account, role)
-- floor: a prepared SELECT of one account's row
-- twin: the same rule in plpgsql
-- case: clients=1 accounts=100000
-- case: clients=8 accounts=100000
-- instructions: 500
-- goal: instructions floor / ours >= 0.6

-- == setup
CALL bench.make_accounts(:accounts);
\i twin/access.sql

-- == floor
\set account random(1, :accounts)
SELECT state, balance, debt_since, deferred_until, delete_on, tariff FROM bare.account WHERE account_id = :account;

-- == twin
\set account random(1, :accounts)
SELECT * FROM twin.access(:account, 'admin');

-- == ours
\set account random(1, :accounts)
SELECT * FROM kbilling.kb_access(:account, 'admin');
