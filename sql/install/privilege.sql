/*
 * Nothing that changes data is for everyone (DESIGN, section 3).  Here and not
 * at each function, so that one look shows them all.
 */

REVOKE EXECUTE ON FUNCTION
	kbilling.kb_refuse_change(),
	kbilling.kb_refuse_rewrite(),
	kbilling.kb_refuse_drop(),
	kbilling.kb_create_tariff(text, text, text, text),
	kbilling.kb_create_service(text, text, text, text),
	kbilling.kb_set_price(text, text, kbilling.kb_price, date, boolean),
	kbilling.kb_set_bonus(text, kbilling.kb_money, numeric, date, date),
	kbilling.kb_lock_account(bigint),
	kbilling.kb_create_account(text, text, bigint, text, text, timestamptz),
	kbilling.kb_add_member(bigint, text, kbilling.kb_role, text),
	kbilling.kb_set_role(bigint, text, kbilling.kb_role),
	kbilling.kb_remove_member(bigint, text),
	kbilling.kb_login(bigint, text),
	kbilling.kb_act_as(bigint, text),
	kbilling.kb_may_use(),
	kbilling.kb_guard(),
	kbilling.kb_put_tariff(bigint, text, date),
	kbilling.kb_set_tariff(bigint, text, date),
	kbilling.kb_put_subscription(bigint, text, numeric, date),
	kbilling.kb_switch_on(bigint, text, numeric, date),
	kbilling.kb_switch_off(bigint, text, date),
	kbilling.kb_defer(bigint, date, text, text),
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
	kbilling.kb_sweep_begin(),
	kbilling.kb_sweep_step(bigint, integer),
	kbilling.kb_sweep_end(bigint)
	FROM PUBLIC;
REVOKE EXECUTE ON PROCEDURE kbilling.kb_sweep() FROM PUBLIC;
