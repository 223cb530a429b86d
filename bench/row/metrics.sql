-- what: the numbers for monitoring
-- ours: the view metrics
-- mode: statement
-- case: accounts=1000
-- case: accounts=10000
-- case: accounts=100000
-- case: accounts=1000000 rounds=3
-- goal: cpu ours < 50 ms at accounts=100000

-- == setup
CALL bench.make_accounts(:accounts);

-- == ours
SELECT count(value) FROM kbilling.metrics;
