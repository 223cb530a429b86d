/*
 * What a billing page shows, in one call.
 */

CREATE FUNCTION kbilling.kb_portal(account_id bigint, member text) RETURNS jsonb
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_member($1, $2);
	SELECT jsonb_build_object(
			   'account_id', s.account_id, 'state', s.state, 'member', m.member, 'role', m.role,
			   'stage', d.stage, 'access', d.access, 'delete_on', d.delete_on)
		|| CASE WHEN m.role IN ('owner', 'admin') AND s.state IN ('active', 'closing') THEN jsonb_build_object(
			   'can_pay', true,
			   'tariff', t.tariff, 'tariff_name', t.name, 'currency', t.currency,
			   'balance', s.balance, 'bonus', s.bonus, 'amount_due', s.amount_due, 'debt_since', s.debt_since,
			   'next_stage', d.next_stage, 'next_stage_on', d.next_stage_on,
			   'reminder', CASE WHEN d.access = 'full_with_reminder' THEN jsonb_build_object(
				   'amount_due', s.amount_due, 'restricted_on', d.next_stage_on) END,
			   'usage', coalesce((SELECT jsonb_agg(to_jsonb(u) - 'account_id' ORDER BY u.line_no)
								  FROM current_usage u WHERE u.account_id = $1), '[]'),
			   'usage_total', coalesce((SELECT sum(u.amount) FROM current_usage u WHERE u.account_id = $1),
									   s.balance - s.balance),
			   'offers', coalesce((SELECT jsonb_agg(to_jsonb(o) ORDER BY kb_minor(o.amount)) FROM kb_topup_offers($1) o), '[]'),
			   'payments', coalesce((
				   SELECT jsonb_agg(jsonb_build_object('payment_id', p.payment_id, 'amount', p.amount, 'method', p.method,
													   'member', p.member, 'expires_at', p.expires_at) ORDER BY p.payment_id)
				   FROM payment_status p WHERE p.account_id = $1 AND p.status = 'pending'), '[]'),
			   'entries', coalesce((
				   SELECT jsonb_agg(jsonb_build_object('seq', e.seq, 'effective_on', e.effective_on, 'kind', e.kind, 'amount', e.amount,
													   'balance_after', e.balance_after, 'method', e.method, 'period', e.period,
													   'member', e.member, 'memo', e.memo, 'lines', e.lines) ORDER BY e.seq DESC)
				   FROM (SELECT * FROM payment_history h WHERE h.account_id = $1 ORDER BY h.seq DESC LIMIT 20) e), '[]'))
			ELSE jsonb_build_object('can_pay', false) END
	FROM account_status s
	JOIN account a ON a.account_id = s.account_id
	JOIN member m ON m.account_id = s.account_id AND m.member = $2
	CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, kb_account_date(kb_now(), a.time_zone)) x
	JOIN tariff t ON t.tariff = x.tariff
	CROSS JOIN LATERAL kb_access(s.account_id, m.role) d
	WHERE s.account_id = $1;
END;
COMMENT ON FUNCTION kb_portal(bigint, text) IS
'All that a billing page shows to a member, as one JSON object. For everyone: account_id, state, member, role, '
'stage, access, delete_on, can_pay. For an owner or admin of an account that is not deleted also: tariff, '
'tariff_name, currency, balance, bonus, amount_due, debt_since, next_stage, next_stage_on, reminder (null, or '
'amount_due and restricted_on), usage (the lines of kb_current_usage), usage_total, offers (those of '
'kb_topup_offers), payments (the pending ones), entries (the last 20, newest first, with the lines of charges). '
'Errors: KB001; KB004 for an unknown member';
