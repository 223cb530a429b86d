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

-- What leaves a row anyway is looked up here, so that payments and usage have no activity to write.
CREATE FUNCTION kbilling_internal.kb_last_activity(account_id bigint, created_at timestamptz, activity kb_activity) RETURNS timestamptz
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN greatest($2,
	(SELECT v.active_at FROM activity v WHERE v.account_id = $1),
	(SELECT max(s.taken_at) FROM closure_step s
	 WHERE s.account_id = $1 AND (s.step = 'restored' OR s.step = 'cancelled' AND s.reason = 'member')),
	CASE $3 WHEN 'any' THEN greatest(
		(SELECT e.posted_at FROM entry e WHERE e.account_id = $1 AND e.kind = 'topup' ORDER BY e.seq DESC LIMIT 1),
		(SELECT p.begun_at FROM payment p WHERE p.account_id = $1 ORDER BY p.payment_id DESC LIMIT 1),
		(SELECT max(t.counted_at) FROM usage_total t WHERE t.account_id = $1)) END);
COMMENT ON FUNCTION kb_last_activity(bigint, timestamptz, kb_activity) IS
'When an account was last used, by what its policy takes for that (D1): its creation, a login, a member who acts or '
'cancels a closure, a restore; and with "any" a payment that was begun or confirmed, and usage, when it was recorded';

CREATE FUNCTION kbilling_internal.kb_may_close_on(created_on date, active_on date, min_age_days integer, inactive_days integer)
	RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest($1 + $3 + 1, $2 + $4);
COMMENT ON FUNCTION kb_may_close_on(date, date, integer, integer) IS 'The day from which age and idleness allow a closure (D1)';

CREATE FUNCTION kbilling_internal.kb_closure_terms(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, delete_on date, today date, created_on date, active_on date, may_close_on date, look_on date,
				   next_tariff_on date, is_charged boolean, is_stopped boolean, close_unused boolean,
				   min_age_days integer, inactive_days integer, notice_days integer, restore_days integer,
				   reminder integer, deletion_on date, next_on date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.account_id, a.delete_on, d.today, d.created_on, u.active_on,
		   kb_may_close_on(d.created_on, u.active_on, p.min_age_days, p.inactive_days),
		   least(greatest(kb_may_close_on(d.created_on, u.active_on, p.min_age_days, p.inactive_days),
						  d.today + CASE WHEN p.close_unused THEN 1 ELSE 30 END), n.next_tariff_on), n.next_tariff_on,
		   a.charged_through >= kb_month_first_day(d.today) - 1,
		   NOT p.close_unused AND begun.taken_by = 'sweep', p.close_unused,
		   p.min_age_days, p.inactive_days, p.notice_days, p.restore_days,
		   r.reminder, r.deletion_on, r.next_on
	FROM unnest($1) i (account_id)
	JOIN account a ON a.account_id = i.account_id
	CROSS JOIN LATERAL (SELECT kb_account_date($2, a.time_zone) AS today,
							   kb_account_date(a.created_at, a.time_zone) AS created_on) d
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	CROSS JOIN LATERAL (
		SELECT CASE WHEN a.tariff_from > d.today THEN (SELECT min(x.from_date) FROM account_tariff x
			WHERE x.account_id = a.account_id AND x.from_date > d.today) END AS next_tariff_on) n
	CROSS JOIN LATERAL (
		SELECT kb_account_date(kb_last_activity(a.account_id, a.created_at, p.activity), a.time_zone) AS active_on) u
	LEFT JOIN LATERAL (SELECT s.step_no, s.taken_on, s.taken_by FROM closure_step s
					   WHERE s.account_id = a.account_id AND s.step = 'scheduled' AND a.state = 'closing'
					   ORDER BY s.step_no DESC LIMIT 1) begun ON true
	LEFT JOIN LATERAL kb_next_reminder(begun.taken_on, a.delete_on, d.today, p.reminder_days, (
			SELECT min(s.reminder) FROM closure_step s
			WHERE s.account_id = a.account_id AND s.step_no > begun.step_no AND s.step = 'reminded')) r
		ON begun.taken_on IS NOT NULL;
END;
COMMENT ON FUNCTION kb_closure_terms(bigint[], timestamptz) IS
'What the rules of closure (D) say of accounts, on their local dates: the day from which age and idleness allow a '
'closure ("may_close_on"), the day on which to look at an active account again ("look_on": that one, or in 30 days at '
'least where the sweep closes none, as the policy may change, but not after another tariff begins, on '
'"next_tariff_on"), whether all months that have ended are charged, whether the sweep has scheduled the closure and the '
'policy does not want that any more ("is_stopped"), and, for a closing account, what kb_next_reminder returns';

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
	CROSS JOIN LATERAL (SELECT kb_account_date(a.created_at, a.time_zone) AS created_on,
							   kb_account_date(kb_last_activity(a.account_id, a.created_at, p.activity), a.time_zone) AS active_on) d
	WHERE a.account_id = $1 AND x.to_date > $2;
END;
COMMENT ON FUNCTION kb_policies_ahead(bigint, date, boolean) IS
'The policies that hold for an account from a day on, by the tariffs that it has and will have. By none of them is it '
'closed if it stays in use';

-- A step's notice has its number, so that this writes the notices of steps that have none.
CREATE FUNCTION kbilling_internal.kb_notify_closures(account_ids bigint[], at timestamptz) RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH written AS (
		INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, facts)
		SELECT s.account_id, s.step_no, s.taken_at, s.taken_at,
			   CASE s.step
				   WHEN 'scheduled' THEN 'closure_scheduled'
				   WHEN 'reminded' THEN 'closure_reminder'
				   WHEN 'cancelled' THEN 'closure_cancelled'
				   WHEN 'deleted' THEN 'account_deleted'
				   WHEN 'restored' THEN 'account_restored'
				   WHEN 'purged' THEN 'account_purged'
			   END::kb_notice_kind, s.step_no::text,
			   CASE s.step
				   WHEN 'scheduled' THEN f.debt || f.stage || jsonb_build_object(
					   'delete_on', s.delete_on, 'days', s.delete_on - s.taken_on, 'restore_days', p.restore_days)
				   WHEN 'reminded' THEN f.debt || f.stage || jsonb_build_object('delete_on', s.delete_on, 'days', s.delete_on - s.taken_on)
				   WHEN 'cancelled' THEN f.debt || f.stage || jsonb_build_object('why', s.reason, 'delete_on', s.delete_on)
				   WHEN 'deleted' THEN f.debt || jsonb_build_object(
					   'deleted_on', s.taken_on, 'purge_on', s.purge_on, 'restore_until', s.purge_on - 1, 'days', s.purge_on - s.taken_on)
				   WHEN 'restored' THEN f.debt || f.stage || jsonb_build_object('restored_on', s.taken_on, 'balance', s.balance)
				   WHEN 'purged' THEN jsonb_build_object('purged_on', s.taken_on)
			   END
		FROM closure_step s
		JOIN account a ON a.account_id = s.account_id
		CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, s.taken_on) p
		CROSS JOIN LATERAL (
			SELECT jsonb_build_object('in_debt', s.balance < 0, 'amount_due', kb_amount_due(s.balance)) AS debt,
				   jsonb_build_object('stage', kb_stage(a.debt_since, a.deferred_until, s.taken_on,
														p.remind_day, p.restrict_day, p.block_day)) AS stage) f
		WHERE s.account_id = ANY ($1) AND s.taken_at = $2
			AND NOT EXISTS (SELECT FROM notice n WHERE n.account_id = s.account_id AND n.notice_no = s.step_no)
		RETURNING notice_no
	)
	SELECT kb_wake(count(*)) FROM written;
END;
COMMENT ON FUNCTION kb_notify_closures(bigint[], timestamptz) IS
'Writes the notices of the steps that were taken at the moment, and returns how many (D2, N1)';

CREATE FUNCTION kbilling_internal.kb_put_closures(account_ids bigint[], at timestamptz, taken_by text, reason text) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH step AS (
		UPDATE account a
		SET state = 'closing', delete_on = t.today + t.notice_days, closure_check_on = t.today + 1, last_notice_no = a.last_notice_no + 1
		FROM kb_closure_terms($1, $2) t
		WHERE a.account_id = t.account_id AND a.state = 'active' AND a.balance <= 0 AND t.may_close_on <= t.today
			AND (t.close_unused OR $3 <> 'sweep')
		RETURNING a.account_id, a.last_notice_no, a.balance, a.delete_on, t.today
	)
	INSERT INTO closure_step (account_id, step_no, step, taken_at, taken_on, taken_by, reason, balance, delete_on)
	SELECT account_id, last_notice_no, 'scheduled', $2, today, $3, $4, balance, delete_on FROM step;
END;
COMMENT ON FUNCTION kb_put_closures(bigint[], timestamptz, text, text) IS
'Schedules the closures of those accounts for which D1 allows it, the sweep''s only where the policy wants them';

CREATE FUNCTION kbilling_internal.kb_put_cancellations(account_ids bigint[], at timestamptz, taken_by text, reason text) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH step AS (
		UPDATE account a
		SET state = 'active', delete_on = NULL, last_notice_no = a.last_notice_no + 1,
			-- a member who cancels uses the account; the step that says so comes with this
			closure_check_on = CASE WHEN a.balance <= 0
				THEN least(greatest(t.look_on, CASE $4 WHEN 'member' THEN t.today + t.inactive_days END), t.next_tariff_on) END
		FROM kb_closure_terms($1, $2) t
		WHERE a.account_id = t.account_id AND a.state = 'closing'
		RETURNING a.account_id, a.last_notice_no, a.balance, t.delete_on, t.today
	)
	INSERT INTO closure_step (account_id, step_no, step, taken_at, taken_on, taken_by, reason, balance, delete_on)
	SELECT account_id, last_notice_no, 'cancelled', $2, today, $3, $4, balance, delete_on FROM step;
END;
COMMENT ON FUNCTION kb_put_cancellations(bigint[], timestamptz, text, text) IS
'Cancels the closures of those accounts that are closing';

-- A closing account is looked at each day, as its policy may have changed.
CREATE FUNCTION kbilling_internal.kb_put_reminders(account_ids bigint[], at timestamptz) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH looked AS (
		UPDATE account a
		SET delete_on = t.deletion_on, closure_check_on = t.today + 1, last_notice_no = a.last_notice_no + (t.reminder IS NOT NULL)::integer
		FROM kb_closure_terms($1, $2) t
		WHERE a.account_id = t.account_id AND a.state = 'closing' AND a.delete_on = t.delete_on AND t.next_on IS NOT NULL
		RETURNING a.account_id, a.last_notice_no, a.balance, a.delete_on, t.today, t.reminder
	)
	INSERT INTO closure_step (account_id, step_no, step, taken_at, taken_on, taken_by, balance, delete_on, reminder)
	SELECT account_id, last_notice_no, 'reminded', $2, today, 'sweep', balance, delete_on, reminder FROM looked WHERE reminder IS NOT NULL;
END;
COMMENT ON FUNCTION kb_put_reminders(bigint[], timestamptz) IS 'Gives the reminders that are due (D2, D7)';

CREATE FUNCTION kbilling_internal.kb_put_deletions(account_ids bigint[], at timestamptz) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	-- an account with a month still to be charged waits for the next sweep
	WITH step AS (
		UPDATE account a
		SET state = 'deleted', delete_on = t.today, closure_check_on = t.today + t.restore_days, last_notice_no = a.last_notice_no + 1
		FROM kb_closure_terms($1, $2) t
		WHERE a.account_id = t.account_id AND a.state = 'closing' AND a.delete_on = t.delete_on
			AND t.deletion_on IS NOT NULL AND t.next_on IS NULL
			AND a.balance <= 0 AND t.may_close_on <= t.today AND t.is_charged AND t.is_stopped IS NOT TRUE
		RETURNING a.account_id, a.last_notice_no, a.balance, a.delete_on, a.closure_check_on, t.today
	)
	INSERT INTO closure_step (account_id, step_no, step, taken_at, taken_on, taken_by, balance, delete_on, purge_on)
	SELECT account_id, last_notice_no, 'deleted', $2, today, 'sweep', balance, delete_on, closure_check_on FROM step;
	SELECT kb_put_cancellations(array_agg(t.account_id), $2, 'sweep', 'conditions')
	FROM kb_closure_terms($1, $2) t JOIN account a ON a.account_id = t.account_id
	WHERE a.state = 'closing' AND (t.is_stopped OR t.deletion_on IS NOT NULL AND t.next_on IS NULL
								   AND (a.balance > 0 OR t.may_close_on > t.today));
END;
COMMENT ON FUNCTION kb_put_deletions(bigint[], timestamptz) IS
'Deletes those accounts whose day has come and for which the conditions still hold; for the others whose day has '
'come it cancels the closure (D4), and for those that the sweep is not to close any more (D1)';

CREATE FUNCTION kbilling_internal.kb_take_closure_steps(account_ids bigint[], at timestamptz) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_lock_accounts($1);
	SELECT kb_put_deletions($1, $2);
	SELECT kb_put_reminders($1, $2);
	SELECT kb_put_closures($1, $2, 'sweep', NULL);
	-- accounts that are in use, or have money, for now; coalesce keeps the planner from the index on that column,
	-- which may have been empty when statistics were made
	UPDATE account a
	SET closure_check_on = CASE WHEN a.balance <= 0 THEN t.look_on END
	FROM kb_closure_terms($1, $2) t
	WHERE a.account_id = t.account_id AND a.state = 'active' AND coalesce(a.closure_check_on, 'infinity') <= t.today;
END;
COMMENT ON FUNCTION kb_take_closure_steps(bigint[], timestamptz) IS
'Takes the steps of closures that are due for the accounts: schedules, reminds, deletes and cancels';

CREATE FUNCTION kbilling.kb_schedule_closure(account_id bigint, by text, reason text = NULL) RETURNS date
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('account_id, by', account_id, "by");
	SELECT CASE "by"
		WHEN '' THEN kb_raise('22023', 'by must not be empty')
		WHEN 'sweep' THEN kb_raise('22023', 'by must not be "sweep"', 'That name is for closures that the sweep schedules by itself.',
								   'Say who wants the account closed.')
		END;
	SELECT kb_lock_account(account_id);
	SELECT CASE
		WHEN a.balance > 0 OR t.may_close_on > t.today
			THEN kb_raise('KB011', format('account %s may not be closed', a.account_id),
				concat_ws(' ',
					CASE WHEN t.today - t.created_on <= t.min_age_days
						THEN format('It was created %s days ago, and must be older than %s days.',
									t.today - t.created_on, t.min_age_days) END,
					CASE WHEN t.today - t.active_on < t.inactive_days
						THEN format('It was last used %s days ago, and must be idle for %s days.',
									t.today - t.active_on, t.inactive_days) END,
					CASE WHEN a.balance > 0
						THEN format('Its balance is %s, and must be zero or less.', a.balance) END),
				CASE WHEN t.may_close_on > t.today
					THEN format('It may be closed from %s on, if nobody uses it until then and its balance is zero or less (D1).',
								to_char(t.may_close_on, 'YYYY-MM-DD'))
					ELSE 'Pay the balance back with kb_refund first, or take it off with kb_adjust (D1).' END)
		END
	FROM kb_closure_terms(ARRAY[$1], kb_now()) t JOIN account a ON a.account_id = t.account_id
	WHERE a.state = 'active';
	SELECT kb_put_closures(ARRAY[$1], kb_now(), $2, $3);
	SELECT kb_notify_closures(ARRAY[$1], kb_now());
	SELECT a.delete_on FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_schedule_closure(bigint, text, text) IS
'Schedules the closure of an unused account, writes a notice to the owners, and returns the day of the deletion (D1, '
'D2). For an account that is closing already, it returns that day and changes nothing. '
'Errors: KB001, KB010; KB011, whose detail names each condition that is not met; 22023 if "by" is empty or "sweep"';

CREATE FUNCTION kbilling.kb_cancel_closure(account_id bigint, member text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('account_id, member', account_id, member);
	SELECT kb_lock_account(account_id);
	SELECT kb_require_member(account_id, member);
	SELECT CASE
		WHEN m.role = 'employee'
			THEN kb_raise('KB004', format('member "%s" may not cancel the closure of account %s', $2, $1),
						  'Only an owner or admin can cancel it (D4).',
						  'Ask an owner or admin, or log in: an account that is used is not deleted.')
		WHEN a.state <> 'closing'
			THEN kb_raise('55000', format('account %s is not closing', $1), format('It is %s.', a.state), 'There is nothing to cancel.')
		END
	FROM account a JOIN member m ON m.account_id = a.account_id AND m.member = $2
	WHERE a.account_id = $1;
	SELECT kb_put_cancellations(ARRAY[$1], kb_now(), $2, 'member');
	SELECT kb_notify_closures(ARRAY[$1], kb_now());
END;
COMMENT ON FUNCTION kb_cancel_closure(bigint, text) IS
'Cancels the closure of the account, for an owner or admin; this counts as activity (D4). '
'Errors: KB001, KB010; KB004 for any other member; 55000 if the account is not closing';

CREATE FUNCTION kbilling_internal.kb_skip_months(account_id bigint, through date) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_skip_months';
COMMENT ON FUNCTION kb_skip_months(bigint, date) IS
'Skips the months up to the day that are not charged: neither they nor their usage are charged later (D5). Part of '
'kb_restore_account';

CREATE FUNCTION kbilling.kb_restore_account(account_id bigint, by text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('account_id, by', account_id, "by");
	SELECT CASE WHEN "by" = '' THEN kb_raise('22023', 'by must not be empty') END;
	SELECT FROM account a WHERE a.account_id = $1 FOR NO KEY UPDATE;
	SELECT kb_require_account($1);
	SELECT CASE
		WHEN a.state IN ('active', 'closing')
			THEN kb_raise('55000', format('account %s is not deleted', $1), format('It is %s.', a.state), 'There is nothing to restore.')
		WHEN a.state = 'purged' OR a.closure_check_on <= d.today
			THEN kb_raise('KB010', format('account %s cannot be restored', $1),
						  CASE a.state WHEN 'purged' THEN 'Its data is gone (D6).'
						  ELSE format('It could be restored until %s (D5).', to_char(a.closure_check_on - 1, 'YYYY-MM-DD')) END,
						  'Create a new account.')
		END
	FROM account a CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) d
	WHERE a.account_id = $1;
	SELECT kb_skip_months($1, kb_month_first_day(kb_today($1)) - 1);
	WITH step AS (
		UPDATE account a
		SET state = 'active', delete_on = NULL, last_notice_no = a.last_notice_no + 1,
			closure_check_on = CASE WHEN a.balance <= 0 THEN least(greatest(t.look_on, t.today + t.inactive_days), t.next_tariff_on) END
		FROM kb_closure_terms(ARRAY[$1], kb_now()) t
		WHERE a.account_id = t.account_id AND a.state = 'deleted'
		RETURNING a.account_id, a.last_notice_no, a.balance, t.today
	)
	INSERT INTO closure_step (account_id, step_no, step, taken_at, taken_on, taken_by, balance)
	SELECT step.account_id, last_notice_no, 'restored', kb_now(), today, kb_restore_account."by", balance FROM step;
	SELECT kb_notify_closures(ARRAY[$1], kb_now());
END;
COMMENT ON FUNCTION kb_restore_account(bigint, text) IS
'Restores a deleted account as it was; this counts as activity. Months that ended while it was deleted are never '
'charged (D5). '
'Errors: KB001; KB010 if the account is purged, or the days in which it can be restored are over; 55000 if it is not '
'deleted';
