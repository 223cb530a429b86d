/*
 * Where an account stands at any moment (S6): now, in the past by the journal, and
 * ahead if nothing is paid and nothing else happens.
 */

CREATE TYPE kbilling.kb_access_decision AS (
	stage         kb_stage,
	access        kb_access,
	amount_due    kb_money,
	next_stage    kb_stage,
	next_stage_on date,
	delete_on     date
);
COMMENT ON TYPE kb_access_decision IS 'What a member may do, and what comes next if nothing is paid';
COMMENT ON COLUMN kb_access_decision.stage IS 'How far the consequences of a debt have got (S2)';
COMMENT ON COLUMN kb_access_decision.access IS 'What the member may do (S3)';
COMMENT ON COLUMN kb_access_decision.amount_due IS 'The debt, zero or more';
COMMENT ON COLUMN kb_access_decision.next_stage IS
'The stage that comes next if nothing is paid (S6); NULL without a debt, or if none comes';
COMMENT ON COLUMN kb_access_decision.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN kb_access_decision.delete_on IS 'The date of the deletion, if the account is closing';

CREATE TYPE kbilling_internal.kb_next_stage AS (stage kb_stage, begins_on date);
COMMENT ON TYPE kb_next_stage IS 'The stage that comes next';
COMMENT ON COLUMN kb_next_stage.stage IS 'The stage';
COMMENT ON COLUMN kb_next_stage.begins_on IS 'The local date on which it begins';

CREATE FUNCTION kbilling_internal.kb_standing_ahead(account_id bigint, day date, stage_before kb_stage = NULL)
	RETURNS TABLE (balance kb_money, stage kb_stage, is_deleted boolean, next_stage kb_stage, next_stage_on date, delete_on date,
				   is_ended boolean)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	-- up to the next charge, which may be a credit; those after it have no late usage
	WITH line AS MATERIALIZED (
		SELECT t.* FROM kb_timeline($1, kb_month_last_day($2) + 1, false) t
	), day AS (
		SELECT l.balance, l.debt_since, l.state, l.delete_on,
			   coalesce($3, kb_stage(l.debt_since, l.deferred_until, $2, l.remind_day, l.restrict_day, l.block_day)) AS stage
		FROM line l WHERE l.from_day <= $2 AND l.to_day > $2
	)
	SELECT d.balance, d.stage, d.state IN ('deleted', 'purged'), n.next_stage, n.next_on, d.delete_on,
		   EXISTS (SELECT FROM account a WHERE a.account_id = $1 AND a.ends_on < $2)
	FROM day d
	LEFT JOIN LATERAL (
		SELECT c.next_on, kb_stage(l.debt_since, l.deferred_until, c.next_on, l.remind_day, l.restrict_day, l.block_day) AS next_stage
		FROM line l
		CROSS JOIN LATERAL (SELECT kb_stage_changes_on(d.stage, $2, l.from_day, l.to_day, l.debt_since, l.deferred_until,
													   l.remind_day, l.restrict_day, l.block_day) AS next_on) c
		WHERE l.to_day > $2 AND c.next_on IS NOT NULL AND (d.debt_since IS NOT NULL OR $3 IS NOT NULL)
		ORDER BY c.next_on LIMIT 1) n ON true;
END;
COMMENT ON FUNCTION kb_standing_ahead(bigint, date, kb_stage) IS
'How an account will stand after the sweep of a day, today or later, and the stage that comes next; "stage_before" takes '
'the place of the stage that it then has (S6)';

CREATE FUNCTION kbilling_internal.kb_next_stage(account_id bigint) RETURNS kb_next_stage
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_next_stage';
COMMENT ON FUNCTION kb_next_stage(bigint) IS
'The stage that comes next for an account that has a debt, if nothing is paid: by the policies and charges that are to come';

-- A charge is a credit only if usage was taken back from a month that is charged.
CREATE VIEW kbilling_internal.account_with_credit WITH (security_invoker) AS
	SELECT DISTINCT t.account_id FROM usage_total t
	WHERE NOT t.settled AND t.period < kb_month_first_day(kb_local_date(kb_now(), 'UTC') + 1)
		AND (t.billed_events <> 0 OR t.events < 0 OR t.quantity < 0);
COMMENT ON VIEW account_with_credit IS 'Accounts of which a charge that is to come may be a credit';
COMMENT ON COLUMN account_with_credit.account_id IS 'The account';

-- It is joined, because the planner takes EXISTS for dearer than it is, and would compile the statement.
CREATE VIEW kbilling_internal.account_standing WITH (security_invoker) AS
	SELECT n.account_id, n.state, n.balance, n.bonus, n.stage, n.debt_since, n.next_stage, n.next_stage_on,
		   n.has_plan OR n.is_charged_first AND u.account_id IS NOT NULL AS may_differ,
		   n.delete_on, n.last_seq, n.ends_on, n.is_ended
	FROM account_now n
	LEFT JOIN account_with_credit u ON u.account_id = n.account_id;
COMMENT ON VIEW account_standing IS 'account_now, and whether something else may come next than that says';
COMMENT ON COLUMN account_standing.account_id IS 'The account';
COMMENT ON COLUMN account_standing.state IS 'How far it has got on its way to deletion';
COMMENT ON COLUMN account_standing.balance IS 'Sum of the entries';
COMMENT ON COLUMN account_standing.bonus IS 'The part of the balance that is bonus';
COMMENT ON COLUMN account_standing.stage IS 'How far the consequences of a debt have got (S2, S4)';
COMMENT ON COLUMN account_standing.debt_since IS 'Local date on which the debt took effect (S1)';
COMMENT ON COLUMN account_standing.next_stage IS 'The stage that comes next by the policy of today';
COMMENT ON COLUMN account_standing.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN account_standing.may_differ IS
'True for a debt if another tariff is to come, or a credit may be, so that kb_next_stage has to tell what comes next';
COMMENT ON COLUMN account_standing.delete_on IS 'The date of the deletion, if the account is closing or deleted';
COMMENT ON COLUMN account_standing.last_seq IS 'Number of the last entry';
COMMENT ON COLUMN account_standing.ends_on IS 'Last day of the contract (X1)';
COMMENT ON COLUMN account_standing.is_ended IS 'Whether that day is over';

CREATE VIEW kbilling.account_status WITH (security_invoker) AS
	SELECT s.account_id, s.state, s.balance, s.bonus, s.stage, s.debt_since, kb_amount_due(s.balance) AS amount_due,
		   CASE WHEN s.may_differ THEN (kb_next_stage(s.account_id)).stage ELSE s.next_stage END AS next_stage,
		   CASE WHEN s.may_differ THEN (kb_next_stage(s.account_id)).begins_on ELSE s.next_stage_on END AS next_stage_on,
		   s.delete_on, s.last_seq, s.ends_on,
		   -- once the last period is charged
		   CASE WHEN s.is_ended AND (SELECT a.charged_through >= s.ends_on FROM account a WHERE a.account_id = s.account_id)
			   THEN greatest(s.balance - s.bonus, s.balance - s.balance) END AS refundable
	FROM account_standing s;
COMMENT ON VIEW account_status IS 'Where every account stands now';
COMMENT ON COLUMN account_status.account_id IS 'The account';
COMMENT ON COLUMN account_status.state IS '"active", "closing", "deleted" or "purged"';
COMMENT ON COLUMN account_status.balance IS 'Sum of the entries; below zero it is a debt';
COMMENT ON COLUMN account_status.bonus IS 'The part of the balance that is bonus';
COMMENT ON COLUMN account_status.stage IS 'How far the consequences of a debt have got (S2, S4)';
COMMENT ON COLUMN account_status.debt_since IS 'Local date on which the debt took effect (S1)';
COMMENT ON COLUMN account_status.amount_due IS 'The debt, zero or more';
COMMENT ON COLUMN account_status.next_stage IS 'The stage that comes next if nothing is paid (S6); NULL without a debt, or if none comes';
COMMENT ON COLUMN account_status.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN account_status.delete_on IS 'The date of the deletion, if the account is closing';
COMMENT ON COLUMN account_status.last_seq IS 'Number of the last entry';
COMMENT ON COLUMN account_status.ends_on IS 'Last day of the contract (X1); NULL: it has no end';
COMMENT ON COLUMN account_status.refundable IS
'Once the contract is over and charged: the paid money that is left, to be paid back (X2, T6); NULL until then';

CREATE FUNCTION kbilling_internal.kb_standing_then(account_id bigint, at timestamptz)
	RETURNS TABLE (balance kb_money, stage kb_stage, is_deleted boolean, next_stage kb_stage, next_stage_on date, delete_on date,
				   is_ended boolean)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT coalesce(e.balance_after, a.balance - a.balance), x.stage,
		   coalesce(c.step IN ('deleted', 'purged'), false), n.next_stage, n.next_on,
		   CASE WHEN c.step <> 'cancelled' THEN c.delete_on END,
		   -- an end that is over is never moved
		   a.ends_on IS NOT NULL AND a.ends_on < d.today
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date($2, a.time_zone) AS today) d
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	LEFT JOIN LATERAL (
		SELECT y.balance_after, y.debt_since FROM entry y
		WHERE y.account_id = a.account_id AND y.posted_at <= $2
		ORDER BY y.seq DESC LIMIT 1) e ON true
	LEFT JOIN LATERAL (
		SELECT y.deferred_until FROM deferral y
		WHERE y.account_id = a.account_id AND y.granted_at <= $2
		ORDER BY y.deferral_no DESC LIMIT 1) f ON true
	LEFT JOIN LATERAL (
		SELECT y.step, y.delete_on FROM closure_step y
		WHERE y.account_id = a.account_id AND y.taken_at <= $2
		ORDER BY y.step_no DESC LIMIT 1) c ON true
	CROSS JOIN LATERAL (SELECT kb_stage(e.debt_since, f.deferred_until, d.today,
										p.remind_day, p.restrict_day, p.block_day) AS stage) x
	LEFT JOIN LATERAL kb_planned_stage(a.account_id, e.debt_since, f.deferred_until, d.today, x.stage) n ON true
	WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_standing_then(bigint, timestamptz) IS
'How an account stood at a moment in the past, by the journal, the deferrals, the steps of closures and its tariffs (S6)';

-- Without SET, as kb_balance.
CREATE FUNCTION kbilling.kb_access(account_id bigint, role kb_role) RETURNS kb_access_decision
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_access';
COMMENT ON FUNCTION kb_access(bigint, kb_role) IS
'What a member with the role may do now, and what comes next (S3). Errors: KB001';

CREATE FUNCTION kbilling_internal.kb_next_now(account_id bigint, debt_since date, deferred_until date, tariff_from date,
											  tariff text, time_zone text, charged_through date, ends_on date)
	RETURNS kb_next_stage
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_next_now';
COMMENT ON FUNCTION kb_next_now(bigint, date, date, date, text, text, date, date) IS
'The stage that comes next for an account with these columns in its row, as account_status says it; NULL without a debt. '
'Part of the view account_access';

-- With the rights of its owner, so that an application may read it that may not read accounts: it shows what kb_access does.
CREATE VIEW kbilling.account_access AS
	SELECT a.account_id,
		   kb_stage_now(a.account_id, a.debt_since, a.deferred_until, a.tariff_from, a.tariff, a.time_zone) AS stage,
		   kb_access_now(a.account_id, a.debt_since, a.deferred_until, a.tariff_from, a.tariff, a.time_zone, a.state,
						 'owner', a.ends_on) AS owner_access,
		   kb_access_now(a.account_id, a.debt_since, a.deferred_until, a.tariff_from, a.tariff, a.time_zone, a.state,
						 'employee', a.ends_on) AS employee_access,
		   kb_amount_due(a.balance) AS amount_due,
		   (kb_next_now(a.account_id, a.debt_since, a.deferred_until, a.tariff_from, a.tariff, a.time_zone,
						a.charged_through, a.ends_on)).stage AS next_stage,
		   (kb_next_now(a.account_id, a.debt_since, a.deferred_until, a.tariff_from, a.tariff, a.time_zone,
						a.charged_through, a.ends_on)).begins_on AS next_stage_on,
		   a.delete_on
	FROM account a
	WHERE kb_is_owned(a.account_id);
COMMENT ON VIEW account_access IS
'What members may do now, and what comes next: kb_access as a view, for statements that look an account up. It costs what '
'the columns cost that are asked for; for many accounts at once, account_status is quicker';
COMMENT ON COLUMN account_access.account_id IS 'The account';
COMMENT ON COLUMN account_access.stage IS 'How far the consequences of a debt have got (S2)';
COMMENT ON COLUMN account_access.owner_access IS 'What an owner or admin may do (S3)';
COMMENT ON COLUMN account_access.employee_access IS 'What an employee may do (S3)';
COMMENT ON COLUMN account_access.amount_due IS 'The debt, zero or more';
COMMENT ON COLUMN account_access.next_stage IS
'The stage that comes next if nothing is paid (S6); NULL without a debt, or if none comes';
COMMENT ON COLUMN account_access.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN account_access.delete_on IS 'The date of the deletion, if the account is closing';

CREATE FUNCTION kbilling.kb_balance(account_id bigint, at timestamptz) RETURNS kb_money
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_balance_at';
COMMENT ON FUNCTION kb_balance(bigint, timestamptz) IS
'The balance at a moment (S6): in the past by the journal; ahead if nothing is paid, and each month is charged when '
'it has ended. '
'Errors: KB001, 22008';

CREATE FUNCTION kbilling.kb_access_stage(account_id bigint, at timestamptz) RETURNS kb_stage
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_access_stage_at';
COMMENT ON FUNCTION kb_access_stage(bigint, timestamptz) IS
'The account''s stage at a moment (S6): in the past by the journal; ahead if nothing is paid. '
'Errors: KB001, 22008';

CREATE FUNCTION kbilling.kb_access(account_id bigint, role kb_role, at timestamptz) RETURNS kb_access_decision
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_access_at';
COMMENT ON FUNCTION kb_access(bigint, kb_role, timestamptz) IS
'What a member with the role may do at a moment, in the past or ahead (S3, S6). Errors: KB001, 22008';
