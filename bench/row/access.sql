-- what: what a member may do now
-- ours: kb_access(account, role)
-- from: SELECT … FROM kb_access(account, role)
-- view: the view account_access: stage, access, what is due
-- view_all: the view account_access, and what comes next
-- floor: a prepared SELECT of one account's row
-- twin: the same rule in plpgsql
-- seconds: 1
-- case: clients=1 accounts=100000
-- case: clients=8 accounts=100000
-- instructions: 500
-- goal: instructions floor / ours >= 0.6
-- goal: instructions floor / view >= 0.95

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
SELECT kbilling.kb_access(:account, 'admin');

-- == from
\set account random(1, :accounts)
SELECT stage, access, amount_due, next_stage, next_stage_on, delete_on FROM kbilling.kb_access(:account, 'admin');

-- == view
\set account random(1, :accounts)
SELECT stage, owner_access, amount_due, delete_on FROM kbilling.account_access WHERE account_id = :account;

-- == view_all
\set account random(1, :accounts)
SELECT stage, owner_access, amount_due, next_stage, next_stage_on, delete_on
FROM kbilling.account_access WHERE account_id = :account;
