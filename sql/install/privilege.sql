/*
 * Who may do what (rules E).
 */

-- The rights that kb_grant gives, by what a role is granted as; whatever only computes is for everyone.
CREATE VIEW kbilling.role_right WITH (security_invoker) AS
	WITH routine (granted_as, names) AS (
		VALUES ('app', '{kb_create_account,kb_add_member,kb_set_role,kb_remove_member,kb_login,kb_act_as,kb_set_tariff,kb_switch_on,kb_switch_off,
						kb_record_usage,kb_record_usage_batch,kb_meter,kb_guard,kb_begin_topup,kb_apply_topup,kb_fail_topup,kb_topup_offers,
						kb_balance,kb_access_stage,kb_access,kb_current_usage,kb_forecast,kb_amount_for,kb_cabinet,
						kb_set_contact,kb_cancel_closure,kb_take_notices,kb_ack_notice,kb_fail_notice,kb_render_notice}'::text[]),
			   ('support', '{kb_add_member,kb_set_role,kb_remove_member,kb_set_tariff,kb_switch_on,kb_switch_off,kb_apply_topup,kb_fail_topup,kb_topup_offers,
						kb_set_contact,kb_schedule_closure,kb_restore_account,kb_retry_notice,kb_render_notice,
						kb_defer,kb_refund,kb_chargeback,kb_adjust,kb_write_off,kb_reverse,
						kb_balance,kb_access_stage,kb_access,kb_current_usage,kb_forecast,kb_amount_for,kb_cabinet,kb_verify,kb_metrics}'),
			   ('operator', '{kb_create_tariff,kb_create_service,kb_set_price,kb_set_bonus,kb_set_template,kb_drop_template,kb_month_charge,
						kb_sweep,kb_sweep_begin,kb_sweep_step,kb_sweep_end,kb_schedule,kb_unschedule,kb_retry_notice,kb_sweep_status,kb_metrics,kb_verify,kb_check}'),
			   ('auditor', '{kb_balance,kb_access_stage,kb_access,kb_current_usage,kb_forecast,kb_amount_for,kb_topup_offers,kb_sweep_status,kb_metrics,kb_verify,kb_check}')
	), relation (granted_as, privilege, names) AS (
		VALUES ('app', 'SELECT', '{tariff,service,price,bonus_tier}'::text[]),
			   ('support', 'SELECT', NULL),
			   ('operator', 'SELECT', '{policy,tariff,service,price,bonus_tier,notice_kind,standard_template,notice_template,
						sweep_run,sweep_failure,sweep_progress,notice_queue,notice,closure_step,purge_table,purge_order,metrics,role_right}'),
			   ('operator', 'INSERT', '{policy}'),
			   ('operator', 'UPDATE', '{policy}'),
			   ('operator', 'DELETE', '{policy}'),
			   ('auditor', 'SELECT', NULL)
	)
	SELECT r.granted_as, 'EXECUTE' AS privilege, 'ROUTINE' AS kind, p.oid::regprocedure::text AS object
	FROM routine r JOIN pg_proc p ON p.proname = ANY (r.names)
	WHERE p.pronamespace = 'kbilling'::regnamespace AND (p.prosecdef OR p.prokind = 'p' OR p.proname IN ('kb_guard', 'kb_schedule', 'kb_unschedule'))
	UNION ALL
	SELECT r.granted_as, r.privilege, 'TABLE', c.oid::regclass::text
	FROM relation r JOIN pg_class c ON r.names IS NULL OR c.relname = ANY (r.names)
	WHERE c.relnamespace = 'kbilling'::regnamespace AND c.relkind IN ('r', 'v');
COMMENT ON VIEW kbilling.role_right IS 'What kb_grant gives: a row for each right';
COMMENT ON COLUMN kbilling.role_right.granted_as IS 'app, support, operator or auditor';
COMMENT ON COLUMN kbilling.role_right.privilege IS 'EXECUTE, SELECT, INSERT, UPDATE or DELETE';
COMMENT ON COLUMN kbilling.role_right.kind IS 'ROUTINE or TABLE, as GRANT calls it; a view is a TABLE';
COMMENT ON COLUMN kbilling.role_right.object IS 'The function, procedure, table or view';

CREATE FUNCTION kbilling.kb_grant(role regrole, "as" text) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_grant';
COMMENT ON FUNCTION kbilling.kb_grant(regrole, text) IS
'Gives a role the rights of an app, support, operator or auditor (kbilling.role_right); again after an upgrade, for what has come. For the owner of the extension. 22023 for anything else';

CREATE FUNCTION kbilling.kb_revoke(role regrole, "as" text) RETURNS void
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_revoke';
COMMENT ON FUNCTION kbilling.kb_revoke(regrole, text) IS
'Takes those rights back, but for what the role has as something else too, of which it must have all. For the owner of the extension. 22023 for anything else';

-- Nothing that changes data, or reads with the owner's rights, is for everyone.  Here and not at each function, so that one look shows
-- them all.

REVOKE EXECUTE ON FUNCTION
	kbilling.kb_refuse_change(),
	kbilling.kb_refuse_rewrite(),
	kbilling.kb_refuse_drop(),
	kbilling.kb_create_tariff(text, text, text, text),
	kbilling.kb_create_service(text, text, text, text),
	kbilling.kb_set_price(text, text, kbilling.kb_price, date, boolean),
	kbilling.kb_set_bonus(text, kbilling.kb_money, numeric, date, date),
	kbilling.kb_set_template(kbilling.kb_notice_kind, text, text, text, text),
	kbilling.kb_drop_template(kbilling.kb_notice_kind, text, text),
	kbilling.kb_lock_account(bigint),
	kbilling.kb_create_account(text, text, bigint, text, text, timestamptz),
	kbilling.kb_add_member(bigint, text, kbilling.kb_role, text),
	kbilling.kb_keep_owner(bigint, text),
	kbilling.kb_set_role(bigint, text, kbilling.kb_role),
	kbilling.kb_remove_member(bigint, text),
	kbilling.kb_login(bigint, text),
	kbilling.kb_act_as(bigint, text),
	kbilling.kb_may_use(),
	kbilling.kb_check_access(bigint, boolean),
	kbilling.kb_guard(),
	kbilling.kb_put_tariff(bigint, text, date, kbilling.kb_stage),
	kbilling.kb_set_tariff(bigint, text, date),
	kbilling.kb_put_subscription(bigint, text, numeric, date),
	kbilling.kb_switch_on(bigint, text, numeric, date),
	kbilling.kb_switch_off(bigint, text, date),
	kbilling.kb_set_contact(bigint, text, text, text),
	kbilling.kb_defer(bigint, date, text, text),
	kbilling.kb_wake(bigint),
	kbilling.kb_tell_stages(bigint[], timestamptz, kbilling.kb_stage, text),
	kbilling.kb_take_notices(integer, interval),
	kbilling.kb_ack_notice(bigint, bigint),
	kbilling.kb_fail_notice(bigint, bigint, text, integer),
	kbilling.kb_retry_notice(bigint, bigint),
	kbilling.kb_render_notice(bigint, bigint, text),
	kbilling.kb_register_purge(regclass, name),
	kbilling.kb_unregister_purge(text),
	kbilling.kb_purge_accounts(bigint[], timestamptz),
	kbilling.kb_tell_closures(bigint[], timestamptz),
	kbilling.kb_put_closures(bigint[], timestamptz, text, text),
	kbilling.kb_put_cancellations(bigint[], timestamptz, text, text),
	kbilling.kb_put_reminders(bigint[], timestamptz),
	kbilling.kb_put_deletions(bigint[], timestamptz),
	kbilling.kb_take_closure_steps(bigint[], timestamptz),
	kbilling.kb_skip_months(bigint, date),
	kbilling.kb_schedule_closure(bigint, text, text),
	kbilling.kb_cancel_closure(bigint, text),
	kbilling.kb_restore_account(bigint, text),
	kbilling.kb_apply_topup(bigint, kbilling.kb_money, kbilling.kb_payment_method, text, text, bigint),
	kbilling.kb_begin_topup(bigint, text, kbilling.kb_money, kbilling.kb_payment_method),
	kbilling.kb_fail_topup(bigint, bigint, text),
	kbilling.kb_topup_offers(bigint),
	kbilling.kb_refund(bigint, kbilling.kb_money, text, text),
	kbilling.kb_chargeback(bigint, text, text),
	kbilling.kb_adjust(bigint, kbilling.kb_money, text, text),
	kbilling.kb_write_off(bigint, text, text),
	kbilling.kb_reverse(bigint, bigint, text, text),
	kbilling.kb_record_usage(bigint, text, numeric, text, timestamptz, jsonb),
	kbilling.kb_record_usage_batch(jsonb),
	kbilling.kb_meter(),
	kbilling.kb_month_charge(bigint, date),
	kbilling.kb_balance(bigint),
	kbilling.kb_balance(bigint, timestamptz),
	kbilling.kb_access_stage(bigint),
	kbilling.kb_access_stage(bigint, timestamptz),
	kbilling.kb_access(bigint, kbilling.kb_role),
	kbilling.kb_access(bigint, kbilling.kb_role, timestamptz),
	kbilling.kb_current_usage(bigint),
	kbilling.kb_forecast(bigint, integer),
	kbilling.kb_amount_for(bigint, integer),
	kbilling.kb_cabinet(bigint, text),
	kbilling.kb_verify(bigint),
	kbilling.kb_check(),
	kbilling.kb_grant(regrole, text),
	kbilling.kb_revoke(regrole, text),
	kbilling.kb_sweep_begin(),
	kbilling.kb_sweep_step(bigint, integer),
	kbilling.kb_sweep_end(bigint),
	kbilling.kb_schedule(text),
	kbilling.kb_unschedule(),
	kbilling.kb_sweep_status(),
	kbilling.kb_metrics()
	FROM PUBLIC;
REVOKE EXECUTE ON PROCEDURE kbilling.kb_sweep() FROM PUBLIC;
