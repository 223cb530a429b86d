-- what: an event, of accounts without a credit line
-- none: kb_record_usage, where nobody has one
-- others: kb_record_usage, where other accounts have one
-- line: kb_record_usage, of accounts that have one
-- case: clients=1 accounts=10000
-- goal: wall others / none <= 1.1
-- databases: lines
-- in others: lines
-- in line: lines

-- == setup
CALL bench.make_accounts(2 * :accounts);
\c bench_limit_lines
SET client_min_messages = warning;
SET search_path = kbilling;
CALL bench.make_accounts(2 * :accounts);
INSERT INTO account_credit_line SELECT i, '1000000 USD' FROM generate_series(:accounts + 1, 2 * :accounts) i;

-- == none
\set account random(1, :accounts)
\set key random(1, 1000000000000)
SELECT kbilling.kb_record_usage(:account, 'orders', 2, 'o_' || :key);

-- == others
\set account random(1, :accounts)
\set key random(1, 1000000000000)
SELECT kbilling.kb_record_usage(:account, 'orders', 2, 'o_' || :key);

-- == line
\set account random(:accounts + 1, 2 * :accounts)
\set key random(1, 1000000000000)
SELECT kbilling.kb_record_usage(:account, 'orders', 2, 'o_' || :key);
