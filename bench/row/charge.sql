-- what: the month charge, for each account
-- ours: kb_sweep
-- floor: an UPDATE and two INSERT … SELECT
-- mode: statement
-- case: accounts=1000 lines=3
-- case: accounts=10000 lines=3
-- case: accounts=100000 lines=3 rounds=3
-- case: accounts=1000000 lines=3 rounds=1
-- grow: lines=1,3,10,30 accounts=10000
-- per: accounts
-- memory: yes
-- tables ours: kbilling.account kbilling.entry kbilling.notice
-- tables floor: bare.account bare.entry bare.notice
-- goal: wall ours / floor <= 2.0 at accounts=10000,100000,1000000 lines=3

-- == setup
-- They have paid ahead, so a charge makes no debt.
SET kbilling.clock = '2025-12-01 12:00+00';
CALL bench.make_accounts(:accounts, :lines, '1000000 USD');

-- == before ours
SELECT set_config('kbilling.clock', date '2026-01-01' + make_interval(months => :round) || '+00', false) AS clock;

-- == ours
CALL kbilling.kb_sweep();

-- == before floor
SET client_min_messages = warning;
DROP TABLE IF EXISTS bench.charged;
CREATE TABLE bench.charged AS
SELECT e.*, kbilling.kb_minor(e.amount) AS amount_minor, kbilling.kb_minor(e.balance_after) AS balance_minor,
	e.lines::jsonb AS lines_json
FROM kbilling.entry e WHERE e.kind = 'charge' AND e.period = date '2025-12-01' + make_interval(months => :round)
ORDER BY account_id;
VACUUM ANALYZE bench.charged;

-- == floor
BEGIN;
UPDATE bare.account a SET balance = c.balance_minor, last_seq = c.seq, last_hash = c.hash, debt_since = c.debt_since,
	charged_through = c.period + interval '1 month - 1 day', last_notice_no = c.seq
FROM bench.charged c WHERE c.account_id = a.account_id;
INSERT INTO bare.entry
SELECT account_id, seq, posted_at, amount_minor, balance_minor, 0, NULL, ref_seq, effective_on, debt_since, period, 'charge',
	method, key, member, posted_by, memo, hash, lines_json
FROM bench.charged;
INSERT INTO bare.notice (account_id, notice_no, written_at, due_at, kind, stage, occasion)
SELECT account_id, seq, posted_at, posted_at, 'charge_posted', 'ok', seq::text FROM bench.charged;
COMMIT;
