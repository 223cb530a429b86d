-- The month charge of all accounts, three lines each, and the same rows written to bare tables.
-- Needs -v accounts=N, after setup.sql.  Prints what was done, and its seconds.
SET client_min_messages = warning;
SET kbilling.clock = '2026-11-01 12:00+00';
CREATE TEMP TABLE took (what text, seconds numeric);
\pset tuples_only on
\pset format unaligned
CHECKPOINT;

SELECT clock_timestamp() AS begun \gset
CALL kbilling.kb_sweep();
INSERT INTO took SELECT 'sweep', extract(epoch FROM clock_timestamp() - :'begun');

CREATE TEMP TABLE charged AS
SELECT e.*, kbilling.kb_minor(e.amount) AS amount_minor, kbilling.kb_minor(e.balance_after) AS balance_minor
FROM kbilling.entry e WHERE e.kind = 'charge' ORDER BY account_id;
ANALYZE charged;
CHECKPOINT;

SELECT clock_timestamp() AS begun \gset
BEGIN;
UPDATE bare_account a SET balance = c.balance_minor, last_seq = c.seq, last_hash = c.hash, debt_since = c.debt_since,
	charged_through = '2026-10-31',
	stage_check_on = '2026-11-04', last_notice_no = 1
FROM charged c WHERE c.account_id = a.account_id;
INSERT INTO bare_entry
SELECT account_id, seq, posted_at, amount_minor, balance_minor, 0, NULL, ref_seq, effective_on, debt_since, period, 'charge',
	method, key, member, posted_by, memo, hash, lines
FROM charged;
INSERT INTO bare_notice (account_id, notice_no, written_at, due_at, kind, stage, occasion)
SELECT account_id, 1, posted_at, posted_at, 'charge_posted', 'grace', seq::text FROM charged;
COMMIT;
INSERT INTO took SELECT 'bare rows', extract(epoch FROM clock_timestamp() - :'begun');

SELECT clock_timestamp() AS begun \gset
CALL kbilling.kb_sweep();
INSERT INTO took SELECT 'sweep with nothing due', extract(epoch FROM clock_timestamp() - :'begun');

SELECT what, round(seconds, 3) FROM took;
SELECT 'sweep / bare rows', round(a.seconds / b.seconds, 2) FROM took a, took b WHERE a.what = 'sweep' AND b.what = 'bare rows';
SELECT 'entries', count(*), count(DISTINCT account_id), sum(jsonb_array_length(lines)) FROM kbilling.entry WHERE kind = 'charge';
