/*
 * What a billing page shows, in one call: each thing in one shape.
 */

CREATE FUNCTION kbilling_internal.kb_money_json(amount kb_money) RETURNS jsonb
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_money_json';
COMMENT ON FUNCTION kb_money_json(kb_money) IS 'An amount as pages get it: {"amount": "19.00", "currency": "USD"}';

CREATE FUNCTION kbilling_internal.kb_lines_json(lines kb_lines, language text) RETURNS jsonb
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_json';
COMMENT ON FUNCTION kb_lines_json(kb_lines, text) IS
'The lines of an entry, or of the running month, as pages get them. A line of a charge has line_no, service, name (in the '
'language), unit, what, from_date, to_date, days, days_in_month, quantity, events, billed_quantity, billed_events, price and '
'amount; one of a refund or chargeback has its own keys';

CREATE FUNCTION kbilling_internal.kb_method_json(method text, language text) RETURNS jsonb
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN method IS NOT NULL THEN jsonb_build_object('method', method, 'name', kb_name('payment_method', method, language)) END;
COMMENT ON FUNCTION kb_method_json(text, text) IS 'A payment method as pages get it; NULL if there is none';

CREATE FUNCTION kbilling_internal.kb_entries(account_id bigint, language text, before_seq bigint, max_entries integer)
	RETURNS TABLE (seq bigint, entry jsonb)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
	SELECT e.seq, jsonb_build_object(
		'seq', e.seq, 'posted_at', e.posted_at, 'effective_on', e.effective_on, 'kind', e.kind, 'amount', kb_money_json(e.amount),
		'balance_after', kb_money_json(e.balance_after), 'bonus_after', kb_money_json(e.bonus_after),
		'method', kb_method_json(e.method, $2), 'paid', kb_money_json(e.paid), 'rate', kb_exchange_rate(e.paid, e.amount),
		'period', e.period, 'reference', kb_shown_reference(e.key), 'ref_seq', e.ref_seq, 'member', e.member, 'memo', e.memo,
		'lines', kb_lines_json(e.lines, $2))
	FROM entry e
	WHERE e.account_id = $1 AND e.seq < $3
	ORDER BY e.seq DESC
	LIMIT $4;
END;
COMMENT ON FUNCTION kb_entries(bigint, text, bigint, integer) IS
'Entries of an account as pages get them: the newest before a number, so many of them, with names in a language';

CREATE FUNCTION kbilling.kb_portal(account_id bigint, member text) RETURNS jsonb
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_portal';
COMMENT ON FUNCTION kb_portal(bigint, text) IS
'All that a billing page shows to a member, as one JSON object. Money is {"amount": "19.00", "currency": "USD"}, a day '
'"2026-11-01"; codes are those of the tables, and names are in the member''s language. For everyone: account_id, state, '
'member, role, language (the member''s, else the policy''s), time_zone, today, stage, access, delete_on, purge_on (of a deleted '
'account), can_pay, can_cancel_closure. For an owner or admin of an account that is not deleted also: tariff (tariff, name), '
'next_tariff (null, or tariff, name, from_date), currency, balance, bonus, amount_due, debt_since, next_stage, next_stage_on, '
'reminder (null, or amount_due, restricted_on), usage (total, and lines, those of kb_current_usage), next_charge (null, or '
'period, charged_on and amount, by kb_forecast), offers (those of kb_topup_offers), payments (those that are pending, failed or '
'expired, of the last 30 days the newest 10: payment_id, status, amount, bonus, method, member, begun_at, expires_at, failure), '
'entries (the newest 20, as kb_history gives them), more_before_seq (null, or what to pass to kb_history for those before), '
'payer (member and email of the first owner, and details, as kb_set_billing_details has set them). '
'Errors: KB001; KB004 for an unknown member';

-- A page costs what it shows: the primary key gives its entries in their order, wherever the page begins.  As the planner
-- does not know how many are asked for, it may rather sort all that are left: SET enable_sort.
CREATE FUNCTION kbilling.kb_history(account_id bigint, member text, before_seq bigint = NULL, max_entries integer = 20)
	RETURNS TABLE (seq bigint, entry jsonb)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET enable_sort = off
BEGIN ATOMIC
	SELECT kb_require_member($1, $2);
	SELECT kb_require_not_null('max_entries', max_entries);
	SELECT CASE
		WHEN a.state IN ('deleted', 'purged')
			THEN kb_raise('KB003', format('member "%s" may not read the history of account %s', $2, $1), 'The account is deleted (D5).',
						  'Support can restore it with kb_restore_account until the day before its purge.')
		WHEN m.role NOT IN ('owner', 'admin')
			THEN kb_raise('KB004', format('member "%s" may not read the history of account %s', $2, $1),
						  'Only an owner or admin of the account sees its money.', 'Ask for an owner or admin.')
		WHEN max_entries NOT BETWEEN 1 AND 1000
			THEN kb_raise('22023', 'max_entries must be between 1 and 1000', format('It is %s.', max_entries),
						  'Read on with before_seq, the lowest seq that was returned.')
		END
	FROM account a JOIN member m ON m.account_id = a.account_id AND m.member = $2
	WHERE a.account_id = $1;
	SELECT e.seq, e.entry
	FROM account a
	JOIN member m ON m.account_id = a.account_id AND m.member = $2
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date(kb_now(), a.time_zone)) p
	CROSS JOIN LATERAL (SELECT coalesce(m.language, p.language) AS language OFFSET 0) l
	CROSS JOIN LATERAL kb_entries($1, l.language, coalesce(before_seq, 9223372036854775807), max_entries) e
	WHERE a.account_id = $1
	ORDER BY e.seq DESC;
END;
COMMENT ON FUNCTION kb_history(bigint, text, bigint, integer) IS
'The journal as an owner or admin of the account may read it, newest first, in pages of "max_entries", at most 1000. '
'For the next page, "before_seq" is the lowest seq of this one; NULL: from the newest entry on. Each entry is as in kb_portal: '
'seq, posted_at, effective_on, kind, amount, balance_after, bonus_after, method (null, or method, name), paid (null, or what '
'was paid in another currency), rate, period, reference, ref_seq, member, memo, lines (null, or an array). A line of a charge '
'has line_no, service, name, unit, what, from_date, to_date, days, days_in_month, quantity, events, billed_quantity, '
'billed_events, price, amount; kb_explain_line says how it makes up its amount. '
'Errors: KB001; KB003 if the account is deleted; KB004 for an employee, or an unknown member; 22023 for a number of '
'entries out of bounds';
