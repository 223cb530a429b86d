/*
 * Where an account stands: balance, stage and access, now, then, and ahead.
 * Computed, never stored (S5).
 */

CREATE TYPE kbilling.kb_access_decision AS (
	stage         kbilling.kb_stage,
	access        kbilling.kb_access,
	amount_due    kbilling.kb_money,
	next_stage    kbilling.kb_stage,
	next_stage_on date,
	delete_on     date
);
COMMENT ON TYPE kbilling.kb_access_decision IS 'What a member may do, and what comes next if nothing is paid';
COMMENT ON COLUMN kbilling.kb_access_decision.stage IS 'How far the consequences of a debt have got (S2)';
COMMENT ON COLUMN kbilling.kb_access_decision.access IS 'What the member may do (S3)';
COMMENT ON COLUMN kbilling.kb_access_decision.amount_due IS 'The debt, zero or more';
COMMENT ON COLUMN kbilling.kb_access_decision.next_stage IS 'The stage that comes next; NULL without a debt, or if none does';
COMMENT ON COLUMN kbilling.kb_access_decision.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN kbilling.kb_access_decision.delete_on IS 'The date of the deletion, if the account is closing';

CREATE VIEW kbilling.account_status WITH (security_invoker) AS
	SELECT a.account_id, a.state, a.balance, a.unspent_bonus AS bonus,
		   kbilling.kb_stage(a.debt_since, a.deferred_until, d.today, p.remind_day, p.restrict_day, p.block_day) AS stage,
		   a.debt_since,
		   kbilling.kb_amount_due(a.balance) AS amount_due,
		   kbilling.kb_stage(a.debt_since, a.deferred_until, n.next_on, p.remind_day, p.restrict_day, p.block_day) AS next_stage,
		   n.next_on AS next_stage_on,
		   a.delete_on, a.last_seq
	FROM kbilling.account a
	CROSS JOIN LATERAL (SELECT kbilling.kb_account_date(kbilling.kb_now(), a.time_zone) AS today) d
	CROSS JOIN LATERAL kbilling.kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	CROSS JOIN LATERAL (SELECT kbilling.kb_next_stage_on(a.debt_since, a.deferred_until, d.today,
														  p.remind_day, p.restrict_day, p.block_day) AS next_on) n;
COMMENT ON VIEW kbilling.account_status IS 'Where every account stands now';
COMMENT ON COLUMN kbilling.account_status.account_id IS 'The account';
COMMENT ON COLUMN kbilling.account_status.state IS 'active, closing, deleted or purged';
COMMENT ON COLUMN kbilling.account_status.balance IS 'Sum of the entries; below zero it is a debt';
COMMENT ON COLUMN kbilling.account_status.bonus IS 'The part of the balance that is bonus';
COMMENT ON COLUMN kbilling.account_status.stage IS 'How far the consequences of a debt have got (S2, S4)';
COMMENT ON COLUMN kbilling.account_status.debt_since IS 'Local date on which the debt took effect (S1)';
COMMENT ON COLUMN kbilling.account_status.amount_due IS 'The debt, zero or more';
COMMENT ON COLUMN kbilling.account_status.next_stage IS 'The stage that comes next if nothing is paid';
COMMENT ON COLUMN kbilling.account_status.next_stage_on IS 'The local date on which it begins';
COMMENT ON COLUMN kbilling.account_status.delete_on IS 'The date of the deletion, if the account is closing';
COMMENT ON COLUMN kbilling.account_status.last_seq IS 'seq of the last entry';

CREATE FUNCTION kbilling.kb_stage_at(account_id bigint, seq bigint, at timestamptz) RETURNS kbilling.kb_stage
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
	SELECT kbilling.kb_stage(
		(SELECT e.debt_since FROM kbilling.entry e WHERE e.account_id = $1 AND e.seq = $2),
		(SELECT f.deferred_until FROM kbilling.deferral f WHERE f.account_id = $1 AND f.granted_at <= $3
		 ORDER BY f.deferral_no DESC LIMIT 1),
		d.today, p.remind_day, p.restrict_day, p.block_day)
	FROM kbilling.account a
	CROSS JOIN LATERAL (SELECT kbilling.kb_account_date($3, a.time_zone) AS today) d
	CROSS JOIN LATERAL kbilling.kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	WHERE a.account_id = $1
);
COMMENT ON FUNCTION kbilling.kb_stage_at(bigint, bigint, timestamptz) IS
'The stage at the moment if entry seq (0: none) is the last one; deferrals as they stood then';

CREATE FUNCTION kbilling.kb_closes_on(account_id bigint) RETURNS date
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
	SELECT a.delete_on FROM kbilling.account a
	LEFT JOIN kbilling.activity v ON v.account_id = a.account_id
	CROSS JOIN LATERAL kbilling.kb_policy_on(a.account_id, a.tariff, a.tariff_from, a.delete_on) p
	WHERE a.account_id = $1 AND a.state = 'closing' AND a.balance OPERATOR(kbilling.<=) 0
		AND kbilling.kb_account_date(a.created_at, a.time_zone) + p.min_age_days < a.delete_on
		AND kbilling.kb_account_date(greatest(v.active_at, a.created_at), a.time_zone) + p.inactive_days <= a.delete_on
);
COMMENT ON FUNCTION kbilling.kb_closes_on(bigint) IS
'The day on which the account will be deleted if nobody logs in and nothing is paid; NULL if it is not closing, or what has been since keeps it (D4)';

-- Each month is charged when it has ended, and nothing is paid; with paced, usage goes on as it does, and so does the account.
CREATE FUNCTION kbilling.kb_charges_ahead(account_id bigint, through date, paced boolean)
	RETURNS TABLE (period date, total kbilling.kb_money, effective_on date, balance kbilling.kb_money, debt_since date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT m.period, m.total, m.effective_on, m.balance,
		   CASE WHEN m.balance OPERATOR(kbilling.<) 0
			   THEN coalesce(m.debt_since, min(m.effective_on) FILTER (WHERE m.balance OPERATOR(kbilling.<) 0) OVER (ORDER BY m.period)) END
	FROM (SELECT g.period, b.total, a.debt_since,
				 a.balance OPERATOR(kbilling.-) kbilling.sum(b.total) OVER (ORDER BY g.period) AS balance,
				 CASE p.debt_counts_from WHEN 'due_date' THEN greatest(g.last_day + 1, kbilling.kb_month_first_day(d.today))
				 ELSE greatest(g.last_day + 1, d.today) END AS effective_on
		  FROM kbilling.account a
		  CROSS JOIN LATERAL (SELECT kbilling.kb_account_date(kbilling.kb_now(), a.time_zone) AS today,
									 kbilling.kb_month_first_day(a.charged_through + 1) AS oldest) d
		  CROSS JOIN LATERAL (SELECT i::date AS period, greatest(i::date, a.charged_through + 1) AS first_day,
									 kbilling.kb_month_last_day(i::date) AS last_day
							  FROM generate_series(d.oldest::timestamp, $2::timestamp, interval '1 month') i) g
		  CROSS JOIN LATERAL kbilling.kb_policy_on(a.account_id, a.tariff, a.tariff_from, g.last_day + 1) p
		  CROSS JOIN LATERAL kbilling.kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from, g.first_day, g.last_day,
			  CASE g.period WHEN d.oldest THEN '-infinity' ELSE g.period END, CASE WHEN $3 THEN d.today END) b
		  WHERE a.account_id = $1 AND g.last_day <= $2 AND a.state IN ('active', 'closing')
			AND ($3 OR (g.last_day >= kbilling.kb_closes_on(a.account_id)) IS NOT TRUE)) m;
END;
COMMENT ON FUNCTION kbilling.kb_charges_ahead(bigint, date, boolean) IS
'The months of an account that are not charged yet and end by a day: what each will come to, when it takes effect, and the balance and debt after it if nothing is paid';

CREATE FUNCTION kbilling.kb_standing(account_id bigint, at timestamptz)
	RETURNS TABLE (balance kbilling.kb_money, debt_since date, deferred_until date, today date,
				   remind_day integer, restrict_day integer, block_day integer, delete_on date, deleted boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT kbilling.kb_raise_if($2 IS NULL, '22004', 'at must not be null'),
		   kbilling.kb_raise_if(NOT isfinite($2) OR $2 > kbilling.kb_now() + interval '100 years', '22008',
								'at must be finite, and at most 100 years ahead'),
		   kbilling.kb_require_account($1);
	SELECT CASE WHEN d.is_past THEN coalesce(past.balance_after, zero.amount) ELSE coalesce(ahead.balance, a.balance) END,
		   CASE WHEN d.is_past THEN past.debt_since ELSE coalesce(ahead.debt_since, a.debt_since) END,
		   CASE WHEN d.is_past THEN granted.deferred_until ELSE a.deferred_until END,
		   d.today, p.remind_day, p.restrict_day, p.block_day,
		   CASE WHEN d.is_past THEN CASE WHEN c.step <> 'cancelled' THEN c.delete_on END ELSE a.delete_on END,
		   coalesce(c.step IN ('deleted', 'purged') OR NOT d.is_past AND d.today >= kbilling.kb_closes_on(a.account_id), false)
	FROM kbilling.account a
	CROSS JOIN LATERAL (SELECT kbilling.kb_account_date($2, a.time_zone) AS today, $2 <= kbilling.kb_now() AS is_past) d
	CROSS JOIN LATERAL (SELECT a.balance OPERATOR(kbilling.-) a.balance AS amount) zero
	CROSS JOIN LATERAL kbilling.kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	-- S6, the past: what the journal said at the moment
	LEFT JOIN LATERAL (
		SELECT e.balance_after, e.debt_since FROM kbilling.entry e
		WHERE e.account_id = a.account_id AND e.posted_at <= $2 AND d.is_past
		ORDER BY e.seq DESC LIMIT 1) past ON true
	LEFT JOIN LATERAL (
		SELECT f.deferred_until FROM kbilling.deferral f
		WHERE f.account_id = a.account_id AND f.granted_at <= $2
		ORDER BY f.deferral_no DESC LIMIT 1) granted ON true
	-- the past of closures; ahead, one that is under way is carried out
	LEFT JOIN LATERAL (
		SELECT x.step, x.delete_on FROM kbilling.closure_step x
		WHERE x.account_id = a.account_id AND x.taken_at <= $2
		ORDER BY x.step_no DESC LIMIT 1) c ON true
	-- S6, ahead: the months that end until then are charged, and nothing is paid
	LEFT JOIN LATERAL (
		SELECT m.balance, m.debt_since FROM kbilling.kb_charges_ahead(a.account_id, d.today - 1, false) m
		WHERE NOT d.is_past
		ORDER BY m.period DESC LIMIT 1) ahead ON true
	WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kbilling.kb_standing(bigint, timestamptz) IS
'What an account''s stage is made of, at any moment: in the past by the journal, ahead if nothing is paid (S6). KB001; 22008 for an infinite moment or one more than 100 years ahead';

CREATE FUNCTION kbilling.kb_balance(account_id bigint) RETURNS kbilling.kb_money
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
RETURN coalesce((SELECT a.balance FROM kbilling.account a WHERE a.account_id = $1),
				kbilling.kb_no_account($1, NULL::kbilling.kb_money));
COMMENT ON FUNCTION kbilling.kb_balance(bigint) IS 'The balance now; KB001 for an unknown account';

CREATE FUNCTION kbilling.kb_balance(account_id bigint, at timestamptz) RETURNS kbilling.kb_money
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
RETURN (SELECT s.balance FROM kbilling.kb_standing($1, $2) s);
COMMENT ON FUNCTION kbilling.kb_balance(bigint, timestamptz) IS
'The balance at a moment: in the past by the journal, ahead if nothing is paid and the months that end are charged (S6); KB001, 22008';

CREATE FUNCTION kbilling.kb_access_stage(account_id bigint) RETURNS kbilling.kb_stage
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
RETURN coalesce((SELECT s.stage FROM kbilling.account_status s WHERE s.account_id = $1),
				kbilling.kb_no_account($1, NULL::kbilling.kb_stage));
COMMENT ON FUNCTION kbilling.kb_access_stage(bigint) IS 'The account''s stage now (S2, S4); KB001 for an unknown account';

CREATE FUNCTION kbilling.kb_access_stage(account_id bigint, at timestamptz) RETURNS kbilling.kb_stage
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
RETURN (SELECT kbilling.kb_stage(s.debt_since, s.deferred_until, s.today, s.remind_day, s.restrict_day, s.block_day)
		FROM kbilling.kb_standing($1, $2) s);
COMMENT ON FUNCTION kbilling.kb_access_stage(bigint, timestamptz) IS
'The account''s stage at a moment: in the past by the journal, ahead if nothing is paid (S6); KB001, 22008';

CREATE FUNCTION kbilling.kb_access(account_id bigint, role kbilling.kb_role) RETURNS kbilling.kb_access_decision
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
	AS 'MODULE_PATHNAME', 'kb_access';
COMMENT ON FUNCTION kbilling.kb_access(bigint, kbilling.kb_role) IS
'What a member of the role may do now, and what comes next (S3); KB001 for an unknown account';

CREATE FUNCTION kbilling.kb_access(account_id bigint, role kbilling.kb_role, at timestamptz) RETURNS kbilling.kb_access_decision
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
BEGIN ATOMIC
	SELECT kbilling.kb_raise_if($2 IS NULL, '22004', 'role must not be null');
	SELECT ROW(x.stage, kbilling.kb_access_for(x.stage, $2, s.deleted),
			   kbilling.kb_amount_due(s.balance),
			   kbilling.kb_stage(s.debt_since, s.deferred_until, n.next_on, s.remind_day, s.restrict_day, s.block_day),
			   n.next_on, s.delete_on)::kbilling.kb_access_decision
	FROM kbilling.kb_standing($1, $3) s
	CROSS JOIN LATERAL (SELECT kbilling.kb_stage(s.debt_since, s.deferred_until, s.today, s.remind_day, s.restrict_day, s.block_day) AS stage) x
	CROSS JOIN LATERAL (SELECT kbilling.kb_next_stage_on(s.debt_since, s.deferred_until, s.today, s.remind_day, s.restrict_day, s.block_day) AS next_on) n;
END;
COMMENT ON FUNCTION kbilling.kb_access(bigint, kbilling.kb_role, timestamptz) IS
'What a member of the role may do at a moment, in the past or ahead (S3, S6); KB001, 22008';
