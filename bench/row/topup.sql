-- what: a top-up with its notice
-- ours: kb_apply_topup
-- floor: UPDATE … RETURNING and two INSERTs
-- twin: the same rule in plpgsql
-- case: clients=1 accounts=100000
-- case: clients=8 accounts=100000
-- case: clients=16 accounts=100000
-- case: clients=8 accounts=10
-- case: clients=8 accounts=1
-- grow: accounts=1000,10000,100000,1000000 clients=1
-- instructions: 200
-- tables ours: kbilling.account kbilling.entry kbilling.notice
-- tables floor: bare.account bare.entry bare.notice
-- tables twin: twin.account twin.entry twin.notice
-- goal: wall floor / ours >= 1.0 at clients=1,8 accounts=100000
-- goal: wall twin / ours >= 1.5 at clients=1,8 accounts=100000
-- goal: instructions floor / ours >= 0.9

-- == setup
CALL bench.make_accounts(:accounts);
\i twin/topup.sql

-- == options
-c kbilling.notify=off

-- == floor
\set account random(1, :accounts)
\set amount random(1, 5000)
\set key random(1, 1000000000000)
WITH a AS (
	UPDATE bare.account
	SET balance = balance + :amount, last_seq = last_seq + 1, last_notice_no = last_notice_no + 1,
		last_hash = '\x00000000000000000000000000000000ffffffffffffffffffffffffffffffff'
	WHERE account_id = :account
	RETURNING account_id, last_seq, last_notice_no, balance, last_hash
), n AS (
	INSERT INTO bare.notice (account_id, notice_no, written_at, due_at, kind, stage_before, stage, occasion)
	SELECT account_id, last_notice_no, now(), now(), 'topup_received', 'ok', 'ok', last_seq::text FROM a
)
INSERT INTO bare.entry (account_id, seq, posted_at, amount, balance_after, bonus_after, effective_on, kind, method, key,
	posted_by, hash)
SELECT account_id, last_seq, now(), :amount, balance, 0, current_date, 'topup', 'card', 'pi_' || :key, current_user, last_hash
FROM a
RETURNING seq, balance_after;

-- == twin
\set account random(1, :accounts)
\set amount random(1, 5000)
\set key random(1, 1000000000000)
SELECT * FROM twin.apply_topup(:account, :amount, 'card', 'pi_' || :key);

-- == ours
\set account random(1, :accounts)
\set amount random(1, 5000)
\set key random(1, 1000000000000)
SELECT * FROM kbilling.kb_apply_topup(:account, kbilling.kb_money(:amount, 'USD'), 'card', 'pi_' || :key);
