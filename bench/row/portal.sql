-- what: all that a billing page shows
-- ours: kb_portal
-- seconds: 1
-- case: clients=1 lines=3 events=1000
-- goal: cpu ours < 1 ms

-- == setup
CALL bench.make_accounts(1000, :lines, '100 USD');
CALL bench.use(1, :events);

-- == ours
SELECT kbilling.kb_portal(1, 'owner');
