-- what: a sweep with nothing due
-- ours: kb_sweep
-- mode: statement
-- case: accounts=1000
-- case: accounts=10000
-- case: accounts=100000
-- case: accounts=1000000
-- goal: cpu ours < 10 ms at accounts=1000000

-- == setup
CALL bench.make_accounts(:accounts);

-- == ours
CALL kbilling.kb_sweep();
