-- what: the rows of one account of three, among 300,000 that are read
-- ours: kb_can_use(account_id)
-- floor: account_id = 1
-- mode: statement
-- case: rows=300000
-- per: rows

-- == setup
CALL bench.make_accounts(3);
CREATE TABLE bench.note AS SELECT 1 + i % 3 AS account_id, 'note ' || i AS body FROM generate_series(1, :rows) i;
VACUUM ANALYZE bench.note;

-- == before
BEGIN;
SELECT kbilling.kb_act_as(1, 'owner');

-- == floor
SELECT count(*) FROM bench.note WHERE account_id = 1;

-- == ours
SELECT count(*) FROM bench.note WHERE kbilling.kb_can_use(account_id);

-- == after
COMMIT;
