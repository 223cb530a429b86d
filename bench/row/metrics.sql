-- what: the numbers for monitoring
-- ours: the view metrics
-- mode: statement
-- case: accounts=100000
-- grow: accounts=1000,10000,100000,1000000
-- goal: cpu ours < 50 ms

-- == setup
CALL bench.make_accounts(:accounts);

-- == ours
SELECT count(value) FROM kbilling.metrics;
