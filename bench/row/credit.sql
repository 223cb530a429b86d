-- what: the month charge of accounts that have credit, for each account
-- plain: kb_sweep, of accounts that have paid
-- credit: kb_sweep, of accounts with credit of three kinds
-- mode: statement
-- case: accounts=10000 lines=3
-- per: accounts
-- goal: wall credit / plain <= 1.1

-- == setup
-- It is the 1st for those who have paid first, and a day later for the others.
SET kbilling.clock = '2025-12-01 12:00+00';
CALL bench.make_accounts(2 * :accounts, :lines, '1000000 USD');
UPDATE account SET time_zone = CASE WHEN account_id <= :accounts THEN 'Etc/GMT-14' ELSE 'Etc/GMT+12' END;
ALTER TABLE account DISABLE TRIGGER account_ledger;
UPDATE account SET unspent_bonus = '1000 USD', lots = '{"(10,2040-01-01,\"100.00 USD\")","(50,2039-01-01,\"300.00 USD\")"}'
WHERE account_id > :accounts;
ALTER TABLE account ENABLE ALWAYS TRIGGER account_ledger;

-- == before plain
SELECT set_config('kbilling.clock', (date '2026-01-01' + make_interval(months => :round) - interval '13 hours') || '+00', false) AS clock;

-- == plain
CALL kbilling.kb_sweep();

-- == before credit
SELECT set_config('kbilling.clock', (date '2026-01-01' + make_interval(months => :round) + interval '13 hours') || '+00', false) AS clock;

-- == credit
CALL kbilling.kb_sweep();
