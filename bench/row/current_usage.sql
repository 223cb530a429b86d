-- what: the running month, line by line
-- ours: kb_current_usage
-- seconds: 1
-- case: clients=1 lines=3 events=0
-- case: clients=1 lines=3 events=1000
-- case: clients=1 lines=3 events=1000000
-- grow: lines=1,3,10,30 events=0 clients=1
-- grow: events=1000,10000,100000,1000000 lines=3 clients=1
-- goal: cpu ours < 0.3 ms at events=0 lines=3
-- goal: cpu ours < 5 ms at events=1000000 lines=3

-- == setup
CALL bench.make_accounts(1000, :lines);
CALL bench.use(1, :events);

-- == ours
SELECT * FROM kbilling.kb_current_usage(1);
