-- what: a sweep that looks at accounts, none idle
-- ours: kb_sweep, for each account
-- mode: statement
-- case: accounts=10000
-- per: accounts
-- goal: cpu ours <= 40 us

-- == setup
SET kbilling.clock = '2026-03-01 12:00+00';
CALL bench.make_accounts(:accounts, 1, tariff => 'idle');
SET kbilling.clock = '2026-05-04 12:00+00';
INSERT INTO kbilling.activity SELECT account_id, '2026-05-03' FROM kbilling.account;
CALL kbilling.kb_sweep();

-- == before
SET kbilling.clock = '2026-05-04 12:00+00';
UPDATE kbilling.account SET closure_check_on = '2026-05-04';
VACUUM kbilling.account;

-- == ours
CALL kbilling.kb_sweep();
