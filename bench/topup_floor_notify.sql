\set account random(1, :accounts)
\set amount random(1, 5000)
\set key random(1, 1000000000000)
WITH a AS (
	UPDATE bare_account
	SET balance = balance + :amount, last_seq = last_seq + 1, last_notice_no = last_notice_no + 1,
		last_hash = '\x00000000000000000000000000000000ffffffffffffffffffffffffffffffff'
	WHERE account_id = :account
	RETURNING account_id, last_seq, last_notice_no, balance, last_hash
), n AS (
	INSERT INTO bare_notice (account_id, notice_no, written_at, due_at, kind, stage_before, stage, occasion)
	SELECT account_id, last_notice_no, now(), now(), 'topup_received', 'ok', 'ok', last_seq::text FROM a
)
INSERT INTO bare_entry (account_id, seq, posted_at, amount, balance_after, bonus_after, effective_on, kind, method, key, posted_by, hash)
SELECT account_id, last_seq, now(), :amount, balance, 0, current_date, 'topup', 'card', 'pi_' || :key, current_user, last_hash FROM a
RETURNING seq, balance_after, pg_notify('bench', '');
