/*
 * Where an account stands now: balance, stage and access.  Computed, never
 * stored (S5).
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
'The stage that comes next if nothing is paid; NULL without a debt, or if none comes';
COMMENT ON COLUMN kb_access_decision.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN kb_access_decision.delete_on IS 'The date of the deletion, if the account is closing';

CREATE VIEW kbilling.account_status WITH (security_invoker) AS
	SELECT a.account_id, a.state, a.balance, a.unspent_bonus AS bonus,
		   kb_stage(a.debt_since, a.deferred_until, d.today, p.remind_day, p.restrict_day, p.block_day) AS stage,
		   a.debt_since,
		   kb_amount_due(a.balance) AS amount_due,
		   kb_stage(a.debt_since, a.deferred_until, n.next_on, p.remind_day, p.restrict_day, p.block_day) AS next_stage,
		   n.next_on AS next_stage_on,
		   a.delete_on, a.last_seq
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) d
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	CROSS JOIN LATERAL (SELECT kb_next_stage_on(a.debt_since, a.deferred_until, d.today,
														  p.remind_day, p.restrict_day, p.block_day) AS next_on) n;
COMMENT ON VIEW account_status IS 'Where every account stands now';
COMMENT ON COLUMN account_status.account_id IS 'The account';
COMMENT ON COLUMN account_status.state IS '"active", "closing", "deleted" or "purged"';
COMMENT ON COLUMN account_status.balance IS 'Sum of the entries; below zero it is a debt';
COMMENT ON COLUMN account_status.bonus IS 'The part of the balance that is bonus';
COMMENT ON COLUMN account_status.stage IS 'How far the consequences of a debt have got (S2, S4)';
COMMENT ON COLUMN account_status.debt_since IS 'Local date on which the debt took effect (S1)';
COMMENT ON COLUMN account_status.amount_due IS 'The debt, zero or more';
COMMENT ON COLUMN account_status.next_stage IS 'The stage that comes next if nothing is paid';
COMMENT ON COLUMN account_status.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN account_status.delete_on IS 'The date of the deletion, if the account is closing';
COMMENT ON COLUMN account_status.last_seq IS 'Number of the last entry';

CREATE FUNCTION kbilling_internal.kb_stage_at(account_id bigint, seq bigint, at timestamptz) RETURNS kb_stage
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
	SELECT kb_stage(
		(SELECT e.debt_since FROM entry e WHERE e.account_id = $1 AND e.seq = $2),
		(SELECT f.deferred_until FROM deferral f WHERE f.account_id = $1 AND f.granted_at <= $3
		 ORDER BY f.deferral_no DESC LIMIT 1),
		d.today, p.remind_day, p.restrict_day, p.block_day)
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date($3, a.time_zone) AS today) d
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	WHERE a.account_id = $1
);
COMMENT ON FUNCTION kb_stage_at(bigint, bigint, timestamptz) IS
'The stage at a moment if the entry with that number (0: none) is the last one, with the deferrals as they stood then';

CREATE FUNCTION kbilling.kb_balance(account_id bigint) RETURNS kb_money
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
RETURN coalesce((SELECT a.balance FROM account a WHERE a.account_id = $1),
				kb_no_account($1, NULL::kb_money));
COMMENT ON FUNCTION kb_balance(bigint) IS 'The balance now. Errors: KB001';

CREATE FUNCTION kbilling.kb_access_stage(account_id bigint) RETURNS kb_stage
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
RETURN coalesce((SELECT s.stage FROM account_status s WHERE s.account_id = $1),
				kb_no_account($1, NULL::kb_stage));
COMMENT ON FUNCTION kb_access_stage(bigint) IS 'The account''s stage now (S2, S4). Errors: KB001';

CREATE FUNCTION kbilling.kb_access(account_id bigint, role kb_role) RETURNS kb_access_decision
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_access';
COMMENT ON FUNCTION kb_access(bigint, kb_role) IS
'What a member with the role may do now, and what comes next (S3). Errors: KB001';
