/*
 * Notices: what is written because of a stage, and how workers empty the outbox (N2, N4).
 */

-- An account's stage on its local date, and the one before the last change; the sweep comes on that day, or later.
CREATE FUNCTION kbilling_internal.kb_stage_changes(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, balance kb_money, debt_since date, deferred_until date, today date,
				   stage_before kb_stage, stage kb_stage, next_on date, occasion text, facts jsonb)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.account_id, a.balance, a.debt_since, a.deferred_until, d.today,
		   kb_stage(a.debt_since, a.deferred_until, b.day, o.remind_day, o.restrict_day, o.block_day),
		   s.stage, least(n.next_on, t.next_on),
		   concat_ws(' ', s.stage, 'since', to_char(a.debt_since, 'YYYY-MM-DD'), 'by', p.policy,
					 'deferred until ' || to_char(a.deferred_until, 'YYYY-MM-DD')),
		   jsonb_build_object(
			   'balance', a.balance, 'amount_due', kb_amount_due(a.balance), 'next_stage_on', n.next_on,
			   'has_ended', coalesce(a.ends_on < d.today, false),
			   'next_stage', coalesce(n.next_stage::text, 'none'))
		   || CASE s.stage
			   WHEN 'remind' THEN jsonb_build_object('day', d.today - a.debt_since + 1, 'days', coalesce(n.next_on - d.today, 0))
			   ELSE jsonb_build_object('stage', s.stage)
			   END
	FROM unnest($1) i (account_id)
	JOIN account a ON a.account_id = i.account_id
	CROSS JOIN LATERAL (SELECT kb_account_date($2, a.time_zone) AS today) d
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	CROSS JOIN LATERAL (SELECT kb_stage(a.debt_since, a.deferred_until, d.today,
										p.remind_day, p.restrict_day, p.block_day) AS stage) s
	LEFT JOIN LATERAL kb_planned_stage(a.account_id, a.debt_since, a.deferred_until, d.today, s.stage) n ON true
	-- the policy may have been another one the day before, or become another one
	CROSS JOIN LATERAL (SELECT least(a.stage_check_on, d.today) - 1 AS day) b
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, coalesce(b.day, d.today)) o
	CROSS JOIN LATERAL (SELECT CASE WHEN a.debt_since IS NOT NULL THEN min(x.from_date) END AS next_on FROM account_tariff x
						WHERE x.account_id = a.account_id AND x.from_date > d.today) t
	WHERE a.state IN ('active', 'closing');
END;
COMMENT ON FUNCTION kb_stage_changes(bigint[], timestamptz) IS
'For accounts that are not deleted: the stage at the moment, the stage before it, and the facts for a notice of the '
'change';

-- Without stage_before: changes that time, or another policy, has made.  The change to grace is told by the notice
-- of what made the debt.
CREATE FUNCTION kbilling_internal.kb_notify_stages(account_ids bigint[], at timestamptz, stage_before kb_stage = NULL, occasion text = NULL)
	RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH news AS (
		SELECT x.account_id, x.balance, x.debt_since, x.deferred_until, x.today, x.next_on, coalesce($4, x.occasion) AS occasion,
			   k.kind, x.facts || CASE x.stage WHEN 'remind' THEN '{}'
				   ELSE jsonb_build_object('stage_before', coalesce($3, x.stage_before)) END AS facts,
			   x.stage <> coalesce($3, x.stage_before) AND ($3 IS NOT NULL OR NOT (x.stage_before = 'ok' AND x.stage = 'grace'))
			   AND NOT EXISTS (SELECT FROM notice n
							   WHERE n.account_id = x.account_id AND n.kind = k.kind AND n.occasion = coalesce($4, x.occasion)) AS is_new
		FROM kb_stage_changes($1, $2) x
		CROSS JOIN LATERAL (SELECT CASE x.stage WHEN 'remind' THEN 'payment_reminder' ELSE 'stage_changed' END::kb_notice_kind AS kind) k
	), looked AS (
		UPDATE account a
		-- a change by time that is not told here is left for the sweep to tell
		SET stage_check_on = CASE WHEN $3 IS NOT NULL AND NOT x.is_new AND a.stage_check_on <= x.today THEN a.stage_check_on
				ELSE x.next_on END,
			last_notice_no = a.last_notice_no + x.is_new::integer
		FROM news x
		WHERE a.account_id = x.account_id AND a.state IN ('active', 'closing')
			-- what was paid or deferred meanwhile has a notice of its own, and the next sweep tells the rest
			AND a.balance = x.balance
			AND a.debt_since IS NOT DISTINCT FROM x.debt_since AND a.deferred_until IS NOT DISTINCT FROM x.deferred_until
		RETURNING a.account_id, a.last_notice_no, x.kind, x.occasion, x.facts, x.is_new
	), written AS (
		INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, facts)
		SELECT l.account_id, l.last_notice_no, $2, $2, l.kind, l.occasion, l.facts FROM looked l WHERE l.is_new
		RETURNING notice_no
	)
	SELECT kb_wake(count(*)) FROM written;
END;
COMMENT ON FUNCTION kb_notify_stages(bigint[], timestamptz, kb_stage, text) IS
'Writes a notice for each of the accounts whose stage has changed, by itself or from the one that is given, and '
'returns how many (N3, N5). It also sets the day on which the stage will change next';

-- This and kb_recipients are tables, so that they are planned with the statement that asks.
CREATE FUNCTION kbilling_internal.kb_notice_facts(notice notice) RETURNS TABLE (facts jsonb)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT jsonb_build_object('account_id', ($1).account_id) || coalesce(($1).facts, (
		SELECT jsonb_build_object(
				   'balance', l.balance_after, 'in_debt', l.balance_after < 0, 'amount_due', kb_amount_due(l.balance_after),
				   'stage', ($1).stage, 'has_ended', (
					   SELECT coalesce(a.ends_on < kb_account_date(($1).written_at, a.time_zone), false) FROM account a
					   WHERE a.account_id = ($1).account_id))
			|| CASE ($1).kind
				WHEN 'topup_received' THEN jsonb_build_object(
					'amount', e.amount, 'bonus', coalesce(b.amount, z.zero), 'has_bonus', b.seq IS NOT NULL,
					'stage_before', ($1).stage_before, 'has_paid', e.paid IS NOT NULL, 'paid', coalesce(e.paid, e.amount),
					'has_rate', r.rate IS NOT NULL, 'rate', coalesce(r.rate, 1))
				WHEN 'topup_after_deletion' THEN jsonb_build_object('amount', e.amount, 'reference', e.key)
				ELSE jsonb_build_object(
					'month', to_char(e.period, 'YYYY-MM'), 'amount', - e.amount,
					'is_credit', e.amount > 0, 'credit', greatest(e.amount, z.zero))
				END
		FROM entry e
		LEFT JOIN entry b ON b.account_id = e.account_id AND b.seq = e.seq + 1 AND b.kind = 'bonus' AND b.ref_seq = e.seq
		CROSS JOIN LATERAL (SELECT coalesce(b.balance_after, e.balance_after) AS balance_after) l
		CROSS JOIN LATERAL (SELECT e.amount - e.amount AS zero) z
		CROSS JOIN LATERAL (SELECT kb_exchange_rate(e.paid, e.amount) AS rate) r
		WHERE e.account_id = ($1).account_id AND e.seq = ($1).occasion::bigint), '{}');
END;
COMMENT ON FUNCTION kb_notice_facts(notice) IS
'The facts for a notice''s text: those in its row, or those of its entry as they were then; kbilling.notice_kind '
'lists them';

CREATE FUNCTION kbilling_internal.kb_recipients(account_id bigint, kind kb_notice_kind) RETURNS TABLE (recipients jsonb)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT coalesce(jsonb_agg(jsonb_build_object('member', m.member, 'email', m.email, 'language', coalesce(m.language, p.language))
							  ORDER BY m.role DESC, m.member), '[]')
	FROM account a
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date(kb_now(), a.time_zone)) p
	JOIN member m ON m.account_id = a.account_id
	WHERE a.account_id = $1 AND m.email IS NOT NULL AND $2 <> 'topup_after_deletion'
		AND (m.role = 'owner'
			 OR m.role = 'admin' AND $2 IN ('stage_changed', 'payment_reminder', 'limit_reached', 'alert', 'charge_upcoming',
																  'credit_expiring'));
END;
COMMENT ON FUNCTION kb_recipients(bigint, kb_notice_kind) IS
'Who gets a notice, as an array of member, email and language: owners with an email, and also admins if it asks to '
'pay or says what they may do; nobody if it is for the application';

CREATE FUNCTION kbilling.kb_take_notices(max integer, lease interval)
	RETURNS TABLE (account_id bigint, notice_no bigint, kind kb_notice_kind, written_at timestamptz, tries integer,
				   leased_until timestamptz, facts jsonb, recipients jsonb)
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_take_notices';
COMMENT ON FUNCTION kb_take_notices(integer, interval) IS
'Gives a worker up to "max" (1 to 1000) of the notices that are due, those that have waited longest first, under a '
'lease of at most a day: until it ends, no other worker gets them (N2). The worker commits, delivers them, and calls '
'kb_ack_notice or kb_fail_notice for each. "recipients" is an array of member, email and language. It is empty if '
'nobody has an email, and for "account_purged" and "topup_after_deletion", which are for the application. '
'If nothing is due, and the session has said LISTEN kbilling before, NOTIFY kbilling wakes it for the next notice (N1). '
'Errors: 22023 if "max" or the lease is out of range';

CREATE FUNCTION kbilling_internal.kb_require_notice(account_id bigint, notice_no bigint) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT kb_require_not_null('account_id, notice_no', $1, $2);
	SELECT kb_require_readable($1);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM notice n WHERE n.account_id = $1 AND n.notice_no = $2)
			THEN kb_raise('22023', format('account %s has no notice %s', $1, $2), NULL,
						  'Pass the account_id and notice_no that kb_take_notices gave.')
		END;
END;
COMMENT ON FUNCTION kb_require_notice(bigint, bigint) IS
'Raises 22023 if there is no such notice, KB014 if the account is on another shard';

CREATE FUNCTION kbilling.kb_ack_notice(account_id bigint, notice_no bigint) RETURNS boolean
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_owned($1);
	SELECT kb_require_notice($1, $2);
	WITH delivered AS (
		UPDATE notice n SET delivered_at = kb_now(), due_at = NULL, parked_at = NULL, leased_until = NULL
		WHERE n.account_id = $1 AND n.notice_no = $2 AND n.delivered_at IS NULL
		RETURNING notice_no
	)
	SELECT EXISTS (SELECT FROM delivered);
END;
COMMENT ON FUNCTION kb_ack_notice(bigint, bigint) IS
'Notes that a notice was delivered, even if its lease has ended; false if that was noted before. '
'Errors: 22023 if there is no such notice';

CREATE FUNCTION kbilling.kb_fail_notice(account_id bigint, notice_no bigint, error text, tries integer = NULL) RETURNS timestamptz
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_owned($1);
	SELECT kb_require_notice($1, $2);
	SELECT kb_require_not_null('error', error);
	UPDATE notice n
	SET due_at = CASE WHEN n.tries < kb_max_tries() THEN kb_now() + interval '1 minute' * 2 ^ (n.tries - 1) END,
		parked_at = CASE WHEN n.tries >= kb_max_tries() THEN kb_now() END,
		leased_until = NULL,
		-- the cut may turn digits into a card number
		last_error = kb_mask_card_numbers(left(kb_mask_card_numbers(error), 500))
	WHERE n.account_id = $1 AND n.notice_no = $2 AND n.due_at IS NOT NULL AND n.tries > 0
		AND n.tries = coalesce(kb_fail_notice.tries, n.tries);
	SELECT n.due_at FROM notice n WHERE n.account_id = $1 AND n.notice_no = $2;
END;
COMMENT ON FUNCTION kb_fail_notice(bigint, bigint, text, integer) IS
'Notes that a notice could not be delivered, and why, with card numbers masked (T10), and returns when it is due '
'again: after 1, 2, 4, ... 256 minutes. NULL if it is parked, as it is after the tenth try (N2), or delivered. '
'With "tries" as kb_take_notices gave it, a worker whose lease has ended does not disturb the worker that has the notice now. '
'Errors: 22023 if there is no such notice';

CREATE FUNCTION kbilling.kb_retry_notice(account_id bigint, notice_no bigint) RETURNS boolean
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_owned($1);
	SELECT kb_require_notice($1, $2);
	WITH again AS (
		UPDATE notice n SET due_at = kb_now(), parked_at = NULL, tries = 0
		WHERE n.account_id = $1 AND n.notice_no = $2 AND n.parked_at IS NOT NULL
		RETURNING notice_no
	)
	SELECT kb_wake(count(*)) > 0 FROM again;
END;
COMMENT ON FUNCTION kb_retry_notice(bigint, bigint) IS
'Puts a parked notice back into the queue, for ten tries more; false if it is not parked. '
'Errors: 22023 if there is no such notice';

CREATE TYPE kbilling.kb_notice_text AS (language text, subject text, body text);
COMMENT ON TYPE kb_notice_text IS 'A notice in words';
COMMENT ON COLUMN kb_notice_text.language IS
'The language of the text: the one that was asked for, if there is a text in it';
COMMENT ON COLUMN kb_notice_text.subject IS 'One line';
COMMENT ON COLUMN kb_notice_text.body IS 'Plain text';

CREATE FUNCTION kbilling.kb_render_notice(account_id bigint, notice_no bigint, language text = NULL) RETURNS kb_notice_text
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_notice($1, $2);
	SELECT ROW(t.language, kb_format_message(t.subject, t.language, f.facts),
			   kb_format_message(t.body, t.language, f.facts))::kb_notice_text
	FROM notice n
	JOIN account a ON a.account_id = n.account_id
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date(kb_now(), a.time_zone)) p
	CROSS JOIN LATERAL kb_notice_facts(n) f
	CROSS JOIN LATERAL kb_recipients(n.account_id, n.kind) r
	CROSS JOIN LATERAL kb_template(p.policy, n.kind, coalesce($3, r.recipients -> 0 ->> 'language', p.language)) t
	WHERE n.account_id = $1 AND n.notice_no = $2;
END;
COMMENT ON FUNCTION kb_render_notice(bigint, bigint, text) IS
'The text of a notice (N4) in the given language, else in that of its first recipient, else in that of the policy; '
'in English if there is no text in that language. '
'Errors: 22023 if there is no such notice';

CREATE VIEW kbilling.notice_queue WITH (security_invoker) AS
	SELECT n.account_id, n.notice_no, n.kind,
		   CASE
			   WHEN n.parked_at IS NOT NULL THEN 'parked'
			   WHEN n.leased_until > kb_now() THEN 'leased'
			   WHEN n.due_at > kb_now() THEN 'paused'
			   ELSE 'waiting'
		   END AS status, n.written_at, n.due_at, n.tries, n.last_error
	FROM notice n
	WHERE (n.due_at IS NOT NULL OR n.parked_at IS NOT NULL) AND kb_is_owned(n.account_id);
COMMENT ON VIEW notice_queue IS 'The notices that are not delivered yet';
COMMENT ON COLUMN notice_queue.account_id IS 'The account';
COMMENT ON COLUMN notice_queue.notice_no IS 'Number of the notice within the account';
COMMENT ON COLUMN notice_queue.kind IS 'What it is about';
COMMENT ON COLUMN notice_queue.status IS
'"waiting"; "leased" to a worker; "paused" after a failed try; "parked" after ten';
COMMENT ON COLUMN notice_queue.written_at IS 'When it was written';
COMMENT ON COLUMN notice_queue.due_at IS 'When a worker may take it';
COMMENT ON COLUMN notice_queue.tries IS 'How many times a worker has taken it';
COMMENT ON COLUMN notice_queue.last_error IS 'Why it could not be delivered';
