/*
 * Where an account stands now: balance and stage.  Computed, never stored (S5).
 */

-- A tariff that is to come is in the account's row, so then that of today is in its history.  Today is computed once for many
-- accounts: OFFSET 0 keeps it from being computed wherever it is used.
CREATE VIEW kbilling_internal.account_now WITH (security_invoker) AS
	SELECT a.account_id, a.state, a.balance, a.unspent_bonus AS bonus,
		   kb_stage(a.debt_since, a.deferred_until, d.today, s.remind_day, s.restrict_day, s.block_day) AS stage,
		   a.debt_since, a.deferred_until, d.today,
		   kb_stage(a.debt_since, a.deferred_until, n.next_on, s.remind_day, s.restrict_day, s.block_day) AS next_stage,
		   n.next_on AS next_stage_on,
		   a.debt_since IS NOT NULL AND a.tariff_from > d.today AS has_plan,
		   a.debt_since IS NOT NULL AND (n.next_on < kb_charge_due_on(a.charged_through, a.ends_on)) IS NOT TRUE AS is_charged_first,
		   a.delete_on, a.last_seq, a.ends_on, a.ends_on IS NOT NULL AND a.ends_on < d.today AS is_ended
	FROM account a
	JOIN tariff t ON t.tariff = a.tariff
	JOIN policy p ON p.policy = t.policy
	CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today OFFSET 0) d
	LEFT JOIN tariff_history h ON h.account_id = a.account_id AND h.from_date <= d.today AND h.to_date > d.today
		AND a.tariff_from > d.today
	LEFT JOIN tariff ht ON ht.tariff = h.tariff
	LEFT JOIN policy hp ON hp.policy = ht.policy
	CROSS JOIN LATERAL (SELECT coalesce(hp.remind_day, p.remind_day) AS remind_day,
							   coalesce(hp.restrict_day, p.restrict_day) AS restrict_day,
							   coalesce(hp.block_day, p.block_day) AS block_day) s
	CROSS JOIN LATERAL (SELECT kb_next_stage_on(a.debt_since, a.deferred_until, d.today,
												s.remind_day, s.restrict_day, s.block_day) AS next_on) n
	WHERE kb_is_owned(a.account_id);
COMMENT ON VIEW account_now IS 'Where every account stands now, as far as its row and the policy of today say';
COMMENT ON COLUMN account_now.account_id IS 'The account';
COMMENT ON COLUMN account_now.state IS 'How far it has got on its way to deletion';
COMMENT ON COLUMN account_now.balance IS 'Sum of the entries';
COMMENT ON COLUMN account_now.bonus IS 'The part of the balance that is bonus';
COMMENT ON COLUMN account_now.stage IS 'How far the consequences of a debt have got (S2, S4)';
COMMENT ON COLUMN account_now.debt_since IS 'Local date on which the debt took effect (S1)';
COMMENT ON COLUMN account_now.deferred_until IS 'Last day on which the stage is at most grace (S4)';
COMMENT ON COLUMN account_now.today IS 'The local date';
COMMENT ON COLUMN account_now.next_stage IS 'The stage that comes next by the policy of today';
COMMENT ON COLUMN account_now.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN account_now.has_plan IS
'True for a debt if another tariff is to come, whose policy may make the next stage another one';
COMMENT ON COLUMN account_now.is_charged_first IS
'True for a debt if a month is charged before the next stage begins, or on its day; if that is a credit, it may end the debt';
COMMENT ON COLUMN account_now.delete_on IS 'The date of the deletion, if the account is closing or deleted';
COMMENT ON COLUMN account_now.last_seq IS 'Number of the last entry';
COMMENT ON COLUMN account_now.ends_on IS 'Last day of the contract (X1)';
COMMENT ON COLUMN account_now.is_ended IS 'Whether that day is over';

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

-- What is asked at each request is C without a statement, and without SET, which would cost more than its work.
CREATE FUNCTION kbilling.kb_balance(account_id bigint) RETURNS kb_money
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_balance';
COMMENT ON FUNCTION kb_balance(bigint) IS 'The balance now. Errors: KB001';

CREATE FUNCTION kbilling.kb_access_stage(account_id bigint) RETURNS kb_stage
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_access_stage_now';
COMMENT ON FUNCTION kb_access_stage(bigint) IS 'The account''s stage now (S2, S4). Errors: KB001';

-- Part of the view account_access.  They read policies whoever calls, so they are for those alone who may read the view.
CREATE FUNCTION kbilling_internal.kb_stage_now(account_id bigint, debt_since date, deferred_until date, tariff_from date,
											   tariff text, time_zone text)
	RETURNS kb_stage
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_stage_now';
COMMENT ON FUNCTION kb_stage_now(bigint, date, date, date, text, text) IS
'The stage now of an account with these columns in its row, as account_now says it (S2, S4); NULL without its tariff';

CREATE FUNCTION kbilling_internal.kb_access_now(account_id bigint, debt_since date, deferred_until date, tariff_from date,
												tariff text, time_zone text, state kb_account_state, role kb_role, ends_on date)
	RETURNS kb_access
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_access_now';
COMMENT ON FUNCTION kb_access_now(bigint, date, date, date, text, text, kb_account_state, kb_role, date) IS
'What a member with the role may do now in an account with these columns in its row (S3, X2); NULL without its tariff';
