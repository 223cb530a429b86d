-- what: a sweep with nothing due
-- ours: kb_sweep
-- mode: statement
-- case: accounts=1000000
-- grow: accounts=1000,10000,100000,1000000
-- goal: cpu ours < 10 ms

-- == setup
CALL bench.make_accounts(:accounts);

-- == ours
CALL kbilling.kb_sweep();
