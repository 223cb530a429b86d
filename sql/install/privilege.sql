/*
 * Who may do what (rules E).
 */

-- Nobody calls these: that a role may is how kb_revoke knows what the role was granted as, whatever else was granted or
-- revoked since.  It is kept where PostgreSQL keeps rights, so it goes with the role, and into a dump.
CREATE FUNCTION kbilling_internal.kb_granted_as_app() RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION kb_granted_as_app() IS 'Marks a role that was granted "app". Part of kb_grant';

CREATE FUNCTION kbilling_internal.kb_granted_as_payments() RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION kb_granted_as_payments() IS 'Marks a role that was granted "payments". Part of kb_grant';

CREATE FUNCTION kbilling_internal.kb_granted_as_support() RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION kb_granted_as_support() IS 'Marks a role that was granted "support". Part of kb_grant';

CREATE FUNCTION kbilling_internal.kb_granted_as_operator() RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION kb_granted_as_operator() IS 'Marks a role that was granted "operator". Part of kb_grant';

CREATE FUNCTION kbilling_internal.kb_granted_as_auditor() RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION kb_granted_as_auditor() IS 'Marks a role that was granted "auditor". Part of kb_grant';

CREATE FUNCTION kbilling_internal.kb_granted_as_tables() RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION kb_granted_as_tables() IS 'Marks a role that was granted "tables". Part of kb_grant';

-- The rights that kb_grant gives, by what a role is granted as; whatever only computes is for everyone.
CREATE VIEW kbilling.role_right WITH (security_invoker) AS
	WITH routine (granted_as, names) AS (
		VALUES ('app', '{kb_create_account,kb_add_member,kb_set_role,kb_remove_member,kb_login,kb_act_as,
						kb_set_tariff,kb_switch_on,kb_switch_off,kb_set_metadata,kb_set_billing_details,
						kb_record_usage,kb_record_usage_batch,kb_record_usage_each,kb_hold_usage,kb_release_usage,kb_buy,
						kb_set_account_alert,kb_drop_account_alert,kb_redeem_code,
						kb_begin_topup,kb_topup_offers,
						kb_balance,kb_access_stage,kb_access,kb_stage_now,kb_access_now,kb_next_now,
						kb_current_usage,kb_available,kb_forecast,kb_amount_for,kb_portal,kb_history,kb_metadata,
						kb_end_account,kb_continue_account,
						kb_set_contact,kb_cancel_closure,kb_take_notices,kb_ack_notice,kb_fail_notice,kb_render_notice}'::text[]),
			   ('payments', '{kb_apply_topup,kb_fail_topup,kb_refund,kb_refund_total,kb_reverse_refund,kb_chargeback,kb_reverse_chargeback,
						kb_unsettled_payments}'),
			   ('support', '{kb_set_account_credit_line,kb_set_account_limit,kb_set_account_alert,kb_drop_account_alert,
						kb_set_discount,kb_redeem_code,kb_available,
						kb_add_member,kb_set_role,kb_remove_member,kb_set_tariff,kb_switch_on,kb_switch_off,kb_set_metadata,
						kb_set_billing_details,kb_apply_topup,kb_fail_topup,kb_unsettled_payments,kb_topup_offers,
						kb_end_account,kb_continue_account,
						kb_set_contact,kb_schedule_closure,kb_restore_account,kb_retry_notice,kb_render_notice,
						kb_defer,kb_refund,kb_refund_total,kb_reverse_refund,kb_chargeback,kb_reverse_chargeback,
						kb_adjust,kb_write_off,kb_reverse,kb_grant_credit,
						kb_balance,kb_access_stage,kb_access,kb_stage_now,kb_access_now,kb_next_now,
						kb_current_usage,kb_forecast,kb_amount_for,kb_portal,kb_history,kb_metadata,
						kb_verify,kb_metrics}'),
			   ('operator', '{kb_create_tariff,kb_create_service,kb_create_payment_method,kb_set_price,kb_set_bonus,kb_set_policy,
						kb_set_credit_line,kb_set_limit,kb_set_alert,kb_drop_alert,
						kb_set_minimum,kb_create_discount_code,kb_drop_discount_code,
						kb_set_template,kb_drop_template,kb_set_name,kb_month_charge,
						kb_sweep,kb_sweep_begin,kb_sweep_step,kb_sweep_end,kb_schedule,kb_unschedule,kb_retry_notice,
						kb_sweep_status,kb_metrics,kb_verify,kb_check,kb_catalogue_digest,kb_node}'),
			   ('auditor', '{kb_available,kb_balance,kb_access_stage,kb_access,kb_stage_now,kb_access_now,kb_next_now,
						kb_current_usage,kb_forecast,kb_amount_for,kb_topup_offers,kb_metadata,
						kb_sweep_status,kb_metrics,kb_verify,kb_check,kb_catalogue_digest,kb_node}'),
			   ('tables', '{kb_guard,kb_meter}')
		UNION ALL
		-- by these kb_revoke knows as what a role has been granted
		SELECT k, ARRAY['kb_granted_as_' || k] FROM unnest('{app,payments,support,operator,auditor,tables}'::text[]) k
	), relation (granted_as, privilege, names) AS (
		VALUES ('app', 'SELECT', '{account_access,tariff,service,price,price_list,bonus_tier,credit_line,usage_limit,tariff_minimum,
						payment_method,catalogue_name,standard_name}'::text[]),
			   ('support', 'SELECT', NULL),
			   ('operator', 'SELECT', '{policy,tariff,service,price,price_list,bonus_tier,credit_line,usage_limit,tariff_minimum,
						payment_method,catalogue_name,standard_name,
						change_log,notice_kind,standard_template,notice_template,sweep_run,sweep_failure,sweep_progress,notice_queue,
						notice,closure_step,discount_code,discount_code_use,purge_table,purge_order,metrics,role_right,shard_bucket}'),
			   ('auditor', 'SELECT', NULL),
			   ('tables', 'REFERENCES', '{account}')
	)
	SELECT r.granted_as, 'EXECUTE' AS privilege, 'ROUTINE' AS kind, p.oid::regprocedure::text AS object
	FROM routine r JOIN pg_proc p ON p.proname = ANY (r.names)
	WHERE p.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace)
		AND (p.prosecdef OR p.prokind = 'p'
			 OR p.proname IN ('kb_guard', 'kb_schedule', 'kb_unschedule', 'kb_stage_now', 'kb_access_now')
			 OR p.proname LIKE 'kb\_granted\_as\_%')
	UNION ALL
	SELECT r.granted_as, r.privilege, 'TABLE', c.oid::regclass::text
	FROM relation r JOIN pg_class c ON r.names IS NULL OR c.relname = ANY (r.names)
	WHERE c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND c.relkind IN ('r', 'v');
COMMENT ON VIEW kbilling.role_right IS 'What kb_grant gives: a row for each right';
COMMENT ON COLUMN kbilling.role_right.granted_as IS '"app", "payments", "support", "operator", "auditor" or "tables"';
COMMENT ON COLUMN kbilling.role_right.privilege IS '"EXECUTE", "SELECT", "INSERT", "UPDATE", "DELETE" or "REFERENCES"';
COMMENT ON COLUMN kbilling.role_right.kind IS '"ROUTINE" or "TABLE", as GRANT calls it; a view is a "TABLE"';
COMMENT ON COLUMN kbilling.role_right.object IS 'The function, procedure, table or view';

CREATE FUNCTION kbilling_internal.kb_rights_of(role regrole) RETURNS jsonb
	LANGUAGE sql STABLE
RETURN (SELECT jsonb_build_object('rights', coalesce(jsonb_agg(g.granted_as ORDER BY g.granted_as), '[]'))
		FROM (SELECT substr(p.proname, length('kb_granted_as_') + 1) AS granted_as
			  FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) x
			  WHERE p.pronamespace = 'kbilling_internal'::regnamespace AND starts_with(p.proname, 'kb_granted_as_') AND x.grantee = $1) g);
COMMENT ON FUNCTION kb_rights_of(regrole) IS 'The rights that kb_grant gave a role, as the log shows them (J9)';

CREATE FUNCTION kbilling.kb_grant(role regrole, rights text) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_grant';
COMMENT ON FUNCTION kbilling.kb_grant(regrole, text) IS
'Gives a role the rights "app", "payments", "support", "operator", "auditor" or "tables", as kbilling.role_right lists '
'them, and no others (E6). Call it again after an upgrade, for what has been added; what was revoked by hand of the '
'same rights is then given again. Only for the owner of the extension. '
'Errors: 22023 for any other rights';

CREATE FUNCTION kbilling.kb_revoke(role regrole, rights text) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_revoke';
COMMENT ON FUNCTION kbilling.kb_revoke(regrole, text) IS
'Takes back rights that kb_grant gave, except what is also part of other rights that kb_grant gave the role. Only for '
'the owner of the extension. '
'Errors: 22023 for any other rights';

CREATE FUNCTION kbilling_internal.kb_carry_rights(old_routine regprocedure, new_routine regprocedure) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_carry_rights';
COMMENT ON FUNCTION kbilling_internal.kb_carry_rights(regprocedure, regprocedure) IS
'For scripts that update the extension: gives the rights that roles have on a routine, whoever granted them, on the one that takes its '
'place, and no others. Errors: 22004';

-- A function is closed until it is listed here, or in role_right: one that is added to the script needs nothing to be safe.
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA kbilling, kbilling_internal FROM PUBLIC;

-- What computes from its arguments: types and their operators, prices, stages.
GRANT EXECUTE ON ROUTINE
	kb_money, kb_amount, kb_currency, kb_minor, kb_minor_units, kb_max_minor,
	abs(kb_money), sum(kb_money), avg(kb_money), min(kb_money), max(kb_money),
	kb_money_in, kb_money_out, kb_money_recv, kb_money_send, kb_money_add, kb_money_sub, kb_money_neg, kb_money_mul_numeric,
	numeric_mul_kb_money, kb_money_div_numeric, kb_money_div, kb_money_eq, kb_money_ne, kb_money_lt, kb_money_le, kb_money_gt, kb_money_ge,
	kb_money_eq_numeric, kb_money_ne_numeric, kb_money_lt_numeric, kb_money_le_numeric, kb_money_gt_numeric, kb_money_ge_numeric,
	numeric_eq_kb_money, numeric_ne_kb_money, numeric_lt_kb_money, numeric_le_kb_money, numeric_gt_kb_money, numeric_ge_kb_money,
	kb_money_cmp, kb_money_sortsupport, kb_money_hash, kb_money_hash_extended, kb_money_accum, kb_money_accum_inv, kb_money_combine,
	kb_money_serialize, kb_money_deserialize, kb_money_sum, kb_money_avg, kb_money_smaller, kb_money_larger, kb_is_amount,
	kb_lines_in, kb_lines_out, kb_lines_recv, kb_lines_send, kb_lines_eq, kb_lines_ne, kb_lines_hash, kb_lines_to_jsonb,
	kb_lines_from_jsonb, kb_line_rows,
	kb_price_in, kb_price_out, kb_price_recv, kb_price_send, kb_price_eq, kb_price_ne, kb_price_hash, kb_price_hash_extended,
	kb_rate, kb_rate_days, kb_explain_price, kb_require_price_range, kb_has_minimum, kb_standard_phrases, kb_price_steps, kb_line_steps,
	kb_describe_price, kb_explain_line, kb_shown_reference,
	kb_has_card_number(text), kb_has_card_number(jsonb), kb_mask_card_numbers, kb_reference, kb_reference_id,
	kb_refuse_card_number(text), kb_refuse_card_number(jsonb),
	kb_month_first_day, kb_month_last_day, kb_local_date, kb_account_date, kb_day_begins, kb_time_zone, kb_is_language, kb_is_email,
	kb_utf8, kb_format_message,
	kb_access_stage(date, date), kb_access_stage(date, date, policy), kb_standard_day, kb_stage, kb_next_stage_on, kb_stage_changes_on,
	kb_access_for, kb_may_close_on, kb_walk_ahead,
	kb_next_reminder, kb_charge_due_on, kb_billed_until, kb_charge_effective_on, kb_standard_methods, kb_bonus, kb_bonus_after,
	kb_debt_since, kb_stage_check_on,
	kb_lots_after, kb_lots_less, kb_lots_move, kb_expired_lots, kb_lots_may_expire, kb_kept, kb_credit_check_on,
	kb_closure_check_on, kb_amount_due, kb_exchange_rate, kb_entry_hash, kb_bill, kb_bill_add, kb_bill_final, kb_bill_entries,
	kb_usage_day, kb_usage_value, kb_usage_is_priced, kb_refuse_unpriced, kb_topup_parts,
	kb_lines_total, kb_max_tries, kb_shard, kb_raise, kb_require_not_null
	TO PUBLIC;

-- What is of the caller's own transaction.
GRANT EXECUTE ON ROUTINE kb_now, kb_acting_account, kb_acting_member, kb_can_use, kb_can_use_support, kb_is_owned_support TO PUBLIC;

-- What views are made of: it reads with the rights of its caller, who has them on the tables or gets nothing.
GRANT EXECUTE ON ROUTINE
	kb_price_list, kb_price_on, kb_next_price_on, kb_price_change_on, kb_require_tariff, kb_require_service, kb_require_price,
	kb_require_settings, kb_has_settings, kb_require_account, kb_require_open, kb_is_owned, kb_require_readable,
	kb_require_notice, kb_today, kb_tariff_on, kb_policy_on, kb_template, kb_stage_changes, kb_stage_at, kb_notice_facts, kb_recipients,
	kb_last_revision, kb_take_back_price, kb_level_of_events, kb_usage_level, kb_unbilled_usage, kb_has_unbilled,
	kb_paced_usage, kb_minimums,
	kb_days_held, kb_last_prorate, kb_held, kb_discount_terms, kb_minimum_terms, kb_bill_terms,
	kb_late_terms, kb_with_terms, kb_bill_for,
	kb_charges, kb_charges_ahead, kb_last_activity, kb_closure_terms, kb_policies_ahead, kb_terms_changes, kb_require_forecast, kb_timeline,
	kb_bills_ahead, kb_running_days, kb_owed_through, kb_owed_before, kb_expiries_ahead, kb_lots_back, kb_has_expired,
	kb_planned_stage, kb_next_stage, kb_standing_ahead, kb_standing_then
	TO PUBLIC;

-- The names alone: a role that may call a function of kbilling_internal has to find it.
GRANT USAGE ON SCHEMA kbilling_internal TO PUBLIC;
