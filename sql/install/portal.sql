/*
 * What a billing page shows, in one call: each thing in one shape.
 */

CREATE FUNCTION kbilling.kb_portal(account_id bigint, member text) RETURNS jsonb
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_portal';
COMMENT ON FUNCTION kb_portal(bigint, text) IS
'All that a billing page shows to a member, as one JSON object. Money is {"amount": "19.00", "currency": "USD"}, a day '
'"2026-11-01"; codes are those of the tables, and names are in the member''s language. For everyone: account_id, state, '
'member, role, language (the member''s, else the policy''s), time_zone, today, stage, access, delete_on, purge_on (of a deleted '
'account), ends_on (of the contract), can_pay, can_cancel_closure, can_end, can_continue. For an owner or admin of an account that '
'is not deleted also: tariff (tariff, name), '
'next_tariff (null, or tariff, name, from_date), currency, balance, bonus, amount_due, debt_since, next_stage, next_stage_on, '
'refundable (once the contract is over and charged, the paid money that is left), '
'expiring_credit (amount and expires_on of what expires of the bonus, the day from which on it is spent no more), '
'reminder (null, or amount_due, restricted_on: null if the next stage is blocked), usage (total, and lines, those of '
'kb_current_usage), next_charge (null, or period, charged_on and amount, by kb_forecast), '
'offers (those of kb_topup_offers), payments (those that are pending, failed or '
'expired, of the last 30 days the newest 10: payment_id, status, amount, bonus, method, member, begun_at, expires_at, failure), '
'entries (the newest 20, as kb_history gives them), more_before_seq (null, or what to pass to kb_history for those before), '
'payer (member and email of the first owner, and details, as kb_set_billing_details has set them), spending (null without a '
'credit line, limit or hold; else credit_line and available, which are null without a line, limits of services in the running month '
'(service, name, unit, quantity, used, hard), and holds (service, name, unit, quantity, expires_at)). '
'Errors: KB001; KB004 for an unknown member';

-- A page costs what it shows: the primary key gives its entries in their order, wherever the page begins.  As the planner
-- does not know how many are asked for, it may rather sort all that are left: SET enable_sort.
CREATE FUNCTION kbilling.kb_history(account_id bigint, member text, before_seq bigint = NULL, max_entries integer = 20)
	RETURNS TABLE (seq bigint, entry jsonb)
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET enable_sort = off
	AS 'MODULE_PATHNAME', 'kb_history';
COMMENT ON FUNCTION kb_history(bigint, text, bigint, integer) IS
'The journal as an owner or admin of the account may read it, newest first, in pages of "max_entries", at most 1000. '
'For the next page, "before_seq" is the lowest seq of this one; NULL: from the newest entry on. Each entry is as in kb_portal: '
'seq, posted_at, effective_on, kind, amount, balance_after, bonus_after, method (null, or method, name), paid (null, or what '
'was paid in another currency), rate, period, reference, ref_seq, member, memo, lines (null, or an array). A line of a charge '
'has line_no, service, name, unit, what, from_date, to_date, days, days_in_month, quantity, events, billed_quantity, '
'billed_events, price, amount; kb_explain_line says how it makes up its amount. '
'Errors: KB001; KB003 if the account is deleted; KB004 for an employee, or an unknown member; 22023 for a number of '
'entries out of bounds';
