/*
 * The closure of unused accounts: notice, reminders, deletion, restore (rules D).
 *
 * The account's row says how far the closure is, and when the sweep has to look at
 * it next; kbilling.closure_step has the steps that led there.
 */

CREATE TYPE kbilling.kb_closure_step AS ENUM ('scheduled', 'reminded', 'cancelled', 'deleted', 'restored', 'purged');
COMMENT ON TYPE kb_closure_step IS 'A step of a closure';

CREATE TABLE kbilling.closure_step (
	account_id bigint NOT NULL REFERENCES account,
	step_no    bigint NOT NULL,
	taken_at   timestamptz NOT NULL,
	balance    kb_money NOT NULL,
	taken_on   date NOT NULL,
	delete_on  date,
	purge_on   date,
	reminder   integer,
	step       kb_closure_step NOT NULL,
	taken_by   kb_text NOT NULL CHECK (taken_by <> ''),
	reason     kb_text,
	PRIMARY KEY (account_id, step_no)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.closure_step', '');
COMMENT ON TABLE closure_step IS
'Every step of every closure, with who took it and when. Its notice has the same number';
COMMENT ON COLUMN closure_step.account_id IS 'The account';
COMMENT ON COLUMN closure_step.step_no IS 'Rises within the account; also the number of its notice';
COMMENT ON COLUMN closure_step.taken_at IS 'When it was taken';
COMMENT ON COLUMN closure_step.balance IS 'The balance then';
COMMENT ON COLUMN closure_step.taken_on IS 'The local date on which it was taken';
COMMENT ON COLUMN closure_step.delete_on IS 'The day of the deletion that it set, cancelled or carried out';
COMMENT ON COLUMN closure_step.purge_on IS 'For a deletion: the day of the purge';
COMMENT ON COLUMN closure_step.reminder IS
'For a reminder: which of the policy''s "reminder_days" it was for. It takes the place of earlier ones that were '
'missed';
COMMENT ON COLUMN closure_step.step IS 'What was done';
COMMENT ON COLUMN closure_step.taken_by IS 'Who did it: a member, support, or "sweep"';
COMMENT ON COLUMN closure_step.reason IS
'The reason that was given. For a cancellation: "member", "topup", or "conditions" if they no longer held';

CREATE TRIGGER closure_step_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON closure_step
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE closure_step ENABLE ALWAYS TRIGGER closure_step_immutable;

CREATE TRIGGER closure_step_immutable_row BEFORE UPDATE OR DELETE ON closure_step
	FOR EACH ROW EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE closure_step ENABLE ALWAYS TRIGGER closure_step_immutable_row;

-- What leaves a row anyway is looked up here, so that payments and usage have no activity to write.  A table, as a value with
-- subqueries would be planned by itself, and not with the statement that asks for it.
CREATE FUNCTION kbilling_internal.kb_last_activity(account_id bigint, created_at timestamptz, activity kb_activity)
	RETURNS TABLE (active_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT greatest($2,
		(SELECT v.active_at FROM activity v WHERE v.account_id = $1),
		(SELECT s.taken_at FROM closure_step s
		 WHERE s.account_id = $1 AND (s.step = 'restored' OR s.step = 'cancelled' AND s.reason = 'member')
		 ORDER BY s.step_no DESC LIMIT 1),
		CASE $3 WHEN 'any' THEN greatest(
			(SELECT e.posted_at FROM entry e WHERE e.account_id = $1 AND e.kind IN ('topup', 'purchase') ORDER BY e.seq DESC LIMIT 1),
			(SELECT p.begun_at FROM payment p WHERE p.account_id = $1 ORDER BY p.payment_id DESC LIMIT 1),
			(SELECT t.counted_at FROM usage_total t WHERE t.account_id = $1 ORDER BY t.counted_at DESC LIMIT 1)) END);
END;
COMMENT ON FUNCTION kb_last_activity(bigint, timestamptz, kb_activity) IS
'When an account was last used, by what its policy takes for that (D1): its creation, a login, a member who acts or '
'cancels a closure, a restore; and with "any" a payment that was begun or confirmed, a purchase, and usage, when it was recorded';

CREATE FUNCTION kbilling_internal.kb_may_close_on(created_on date, active_on date, min_age_days integer, inactive_days integer)
	RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest($1 + $3 + 1, $2 + $4);
COMMENT ON FUNCTION kb_may_close_on(date, date, integer, integer) IS 'The day from which age and idleness allow a closure (D1)';

-- OFFSET 0 has a part planned by itself: all at once, planning would take longer than the work.
CREATE FUNCTION kbilling_internal.kb_closure_terms(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, state kb_account_state, has_money boolean, is_ended boolean, delete_on date, check_on date,
				   today date, created_on date, active_on date, may_close_on date, look_on date,
				   next_tariff_on date, is_charged boolean, is_stopped boolean, close_unused boolean,
				   min_age_days integer, inactive_days integer, notice_days integer, restore_days integer,
				   reminder integer, deletion_on date, next_on date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.account_id, a.state, a.balance > 0 AND NOT (a.is_ended AND a.is_paid_back), a.is_ended, a.delete_on,
		   a.closure_check_on, a.today, a.created_on, u.active_on, m.may_close_on,
		   least(greatest(CASE WHEN NOT a.is_ended THEN m.may_close_on END, a.today + CASE WHEN a.close_unused THEN 1 ELSE 30 END),
				 a.next_tariff_on), a.next_tariff_on,
		   a.is_charged, NOT a.close_unused AND begun.taken_by = 'sweep',
		   a.close_unused, a.min_age_days, a.inactive_days, a.notice_days, a.restore_days,
		   r.reminder, r.deletion_on, r.next_on
	FROM (
		SELECT a.account_id, a.state, a.balance, a.delete_on, a.closure_check_on, a.created_at, a.time_zone,
			   d.today, kb_account_date(a.created_at, a.time_zone) AS created_on,
			   (kb_charge_due_on(a.charged_through, a.ends_on) <= d.today) IS NOT TRUE AS is_charged,
			   a.ends_on, a.ends_on IS NOT NULL AND a.ends_on < d.today AS is_ended, a.balance = a.unspent_bonus AS is_paid_back,
			   CASE WHEN a.tariff_from > d.today THEN least(a.tariff_from, (SELECT h.from_date FROM tariff_history h
				   WHERE h.account_id = a.account_id AND h.from_date > d.today ORDER BY h.from_date LIMIT 1)) END AS next_tariff_on,
			   p.activity, p.close_unused, p.min_age_days, p.inactive_days, p.notice_days, p.restore_days, p.reminder_days
		FROM unnest($1) i (account_id)
		JOIN account a ON a.account_id = i.account_id
		CROSS JOIN LATERAL (SELECT kb_account_date($2, a.time_zone) AS today) d
		CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
		OFFSET 0) a
	CROSS JOIN LATERAL (
		SELECT kb_account_date(v.active_at, a.time_zone) AS active_on
		FROM kb_last_activity(a.account_id, a.created_at, a.activity) v OFFSET 0) u
	CROSS JOIN LATERAL (
		SELECT least(kb_may_close_on(a.created_on, u.active_on, a.min_age_days, a.inactive_days),
					 CASE WHEN a.is_ended AND a.is_charged AND a.is_paid_back AND NOT kb_has_unbilled(a.account_id)	-- X3
						 THEN a.ends_on + 1 END)
			AS may_close_on) m
	LEFT JOIN LATERAL (SELECT s.step_no, s.taken_on, s.taken_by FROM closure_step s
					   WHERE s.account_id = a.account_id AND s.step = 'scheduled' AND a.state = 'closing'
					   ORDER BY s.step_no DESC LIMIT 1) begun ON true
	LEFT JOIN LATERAL kb_next_reminder(begun.taken_on, a.delete_on, a.today, a.reminder_days, (
			SELECT s.reminder FROM closure_step s
			WHERE s.account_id = a.account_id AND s.step_no > begun.step_no AND s.step = 'reminded' ORDER BY s.reminder LIMIT 1)) r
		ON begun.taken_on IS NOT NULL;
END;
COMMENT ON FUNCTION kb_closure_terms(bigint[], timestamptz) IS
'What the rules of closure (D) say of accounts, on their local dates, beside what their rows say ("check_on" is '
'closure_check_on): whether there is money on the balance that keeps it open, the day from which age and idleness allow a closure, '
'or the end of the contract does ("may_close_on"), the day on which to look at an '
'active account again ("look_on": that one, the next day if the contract is over, in 30 days at least where the sweep closes none, '
'as the policy may change, '
'but not after another tariff begins, on "next_tariff_on"), whether all months that have ended are charged, whether the sweep '
'has scheduled the closure and the policy does not want that any more ("is_stopped"), and, for a closing account, what '
'kb_next_reminder returns';

CREATE FUNCTION kbilling_internal.kb_policies_ahead(account_id bigint, today date, in_use boolean)
	RETURNS TABLE (from_day date, policy kb_policy_ahead)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT x.from_date,
		   ROW(x.from_date, p.remind_day, p.restrict_day, p.block_day,
			   kb_may_close_on(d.created_on, d.active_on, p.min_age_days, p.inactive_days), p.close_unused AND NOT $3,
			   p.restore_days, p.reminder_days)::kb_policy_ahead
	FROM account a
	JOIN account_tariff x ON x.account_id = a.account_id
	JOIN tariff t ON t.tariff = x.tariff
	JOIN policy p ON p.policy = t.policy
	CROSS JOIN LATERAL kb_last_activity(a.account_id, a.created_at, p.activity) v
	CROSS JOIN LATERAL (SELECT kb_account_date(a.created_at, a.time_zone) AS created_on,
							   kb_account_date(v.active_at, a.time_zone) AS active_on) d
	WHERE a.account_id = $1 AND x.to_date > $2;
END;
COMMENT ON FUNCTION kb_policies_ahead(bigint, date, boolean) IS
'The policies that hold for an account from a day on, by the tariffs that it has and will have. By none of them is it '
'closed if it stays in use';

-- An account has at most one step: none that would be due after another is due on the same day.
CREATE FUNCTION kbilling_internal.kb_closure_steps(account_ids bigint[], at timestamptz, wanted kb_closure_step, used boolean)
	RETURNS TABLE (account_id bigint, today date, step kb_closure_step, reminder integer, state kb_account_state, delete_on date,
				   step_delete_on date, check_on date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT t.account_id, t.today, t.step, CASE t.step WHEN 'reminded' THEN t.reminder END, n.state, n.delete_on,
		   CASE t.step WHEN 'cancelled' THEN t.delete_on ELSE n.delete_on END,
		   CASE n.state
			   -- each day, as its policy may have changed
			   WHEN 'closing' THEN t.today + 1
			   WHEN 'deleted' THEN t.today + t.restore_days
			   ELSE CASE WHEN NOT t.has_money OR t.is_ended
				   THEN least(greatest(t.look_on, CASE WHEN $4 THEN t.today + t.inactive_days END), t.next_tariff_on) END
		   END
	FROM (
		SELECT t.*, CASE
			WHEN $3 IS NOT NULL THEN $3
			WHEN t.state = 'active' THEN CASE
				WHEN NOT t.has_money AND t.may_close_on <= t.today AND t.close_unused THEN 'scheduled'::kb_closure_step END
			WHEN t.state <> 'closing' THEN NULL
			WHEN t.is_stopped THEN 'cancelled'
			WHEN t.next_on IS NOT NULL THEN CASE WHEN t.reminder IS NOT NULL THEN 'reminded'::kb_closure_step END
			WHEN t.deletion_on IS NULL THEN NULL
			WHEN t.has_money OR t.may_close_on > t.today THEN 'cancelled'
			-- an account with a month still to be charged waits for the next sweep
			WHEN t.is_charged THEN 'deleted'
			END AS step
		FROM kb_closure_terms($1, $2) t OFFSET 0) t
	CROSS JOIN LATERAL (
		SELECT CASE t.step
				   WHEN 'scheduled' THEN 'closing'
				   WHEN 'deleted' THEN 'deleted'
				   WHEN 'cancelled' THEN 'active'
				   WHEN 'restored' THEN 'active'
				   ELSE t.state
			   END AS state,
			   CASE t.step
				   WHEN 'scheduled' THEN t.today + t.notice_days
				   WHEN 'deleted' THEN t.today
				   WHEN 'cancelled' THEN NULL
				   WHEN 'restored' THEN NULL
				   ELSE t.deletion_on
			   END AS delete_on) n
	WHERE t.step IS NOT NULL OR t.next_on IS NOT NULL OR t.state = 'active' AND t.check_on <= t.today;
END;
COMMENT ON FUNCTION kb_closure_steps(bigint[], timestamptz, kb_closure_step, boolean) IS
'The steps of closures to take for accounts, and what the rows of these say afterwards. A step is the one that is wanted, or '
'else what is due: a closure that D1 allows and the policy wants; a reminder (D2, D7); on the day of the deletion the '
'deletion, or a cancellation if the conditions no longer hold (D4); a cancellation if the sweep is not to close the account '
'any more. Accounts that were due for a look, and have no step, get another day for it ("check_on"). "step_delete_on" is '
'the day of the deletion that the step tells of; "used": whether the step shows that the account is used';

CREATE FUNCTION kbilling_internal.kb_notify_closures(account_ids bigint[], at timestamptz) RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_notify_closures';
COMMENT ON FUNCTION kb_notify_closures(bigint[], timestamptz) IS
'Writes the notices of the steps that were taken at the moment, and returns how many (D2, N1)';

CREATE FUNCTION kbilling.kb_schedule_closure(account_id bigint, by text, reason text = NULL) RETURNS date
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_schedule_closure';
COMMENT ON FUNCTION kb_schedule_closure(bigint, text, text) IS
'Schedules the closure of an unused account, writes a notice to the owners, and returns the day of the deletion (D1, '
'D2). For an account that is closing already, it returns that day and changes nothing. '
'Errors: KB001, KB010; KB011, whose detail names each condition that is not met; 22023 if "by" is empty or "sweep"';

CREATE FUNCTION kbilling.kb_cancel_closure(account_id bigint, member text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_cancel_closure';
COMMENT ON FUNCTION kb_cancel_closure(bigint, text) IS
'Cancels the closure of the account, for an owner or admin; this counts as activity (D4). '
'Errors: KB001, KB010; KB004 for any other member; 55000 if the account is not closing';

CREATE FUNCTION kbilling.kb_restore_account(account_id bigint, by text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_restore_account';
COMMENT ON FUNCTION kb_restore_account(bigint, text) IS
'Restores a deleted account as it was; this counts as activity. Months that ended while it was deleted are never '
'charged (D5). '
'Errors: KB001; KB010 if the account is purged, or the days in which it can be restored are over; 55000 if it is not '
'deleted';
