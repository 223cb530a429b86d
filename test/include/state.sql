-- Accounts in a state of their closure without the way there: the row and its last step, as kb_check() wants them.
CREATE FUNCTION pg_temp.put_state(account_id bigint, state kbilling.kb_account_state, delete_on date = NULL) RETURNS void LANGUAGE sql
BEGIN ATOMIC
	UPDATE kbilling.account a
	SET state = $2, last_notice_no = a.last_notice_no + 1,
		stage_check_on = CASE WHEN $2 <> 'purged' THEN a.stage_check_on END,
		delete_on = CASE WHEN $2 <> 'active' THEN coalesce($3, kbilling_internal.kb_today($1)) END,
		closure_check_on = CASE $2 WHEN 'closing' THEN coalesce($3, kbilling_internal.kb_today($1))
			WHEN 'deleted' THEN date '2099-01-01' WHEN 'active' THEN date '2099-01-01' END
	WHERE a.account_id = $1;
	INSERT INTO kbilling.closure_step (account_id, step_no, step, taken_at, taken_on, taken_by, balance, delete_on, purge_on)
	SELECT a.account_id, a.last_notice_no,
		CASE $2 WHEN 'closing' THEN 'scheduled' WHEN 'deleted' THEN 'deleted' WHEN 'purged' THEN 'purged'
			ELSE 'restored' END::kbilling.kb_closure_step,
		kbilling.kb_now(), kbilling_internal.kb_today($1), 'a test', a.balance, a.delete_on,
			CASE $2 WHEN 'deleted' THEN date '2099-01-01' END
	FROM kbilling.account a WHERE a.account_id = $1;
	DELETE FROM kbilling.usage_event u WHERE u.account_id = $1 AND $2 = 'purged';
	DELETE FROM kbilling.member m WHERE m.account_id = $1 AND $2 = 'purged';
	SELECT kbilling_internal.kb_notify_closures(ARRAY[$1], kbilling.kb_now());
END;
