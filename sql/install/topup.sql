/*
 * Top-ups and bonuses.
 */

CREATE TYPE kbilling.kb_topup_result AS (
	entry_seq    bigint,
	bonus_seq    bigint,
	credited     kb_money,
	bonus        kb_money,
	balance      kb_money,
	stage_before kb_stage,
	stage_after  kb_stage,
	replayed     boolean
);
COMMENT ON TYPE kb_topup_result IS 'What kb_apply_topup has done';
COMMENT ON COLUMN kb_topup_result.entry_seq IS 'The top-up''s entry';
COMMENT ON COLUMN kb_topup_result.bonus_seq IS 'The bonus''s entry; NULL if it earned none';
COMMENT ON COLUMN kb_topup_result.credited IS 'The money that was paid in';
COMMENT ON COLUMN kb_topup_result.bonus IS 'The bonus on top of it, zero or more';
COMMENT ON COLUMN kb_topup_result.balance IS 'The balance after both';
COMMENT ON COLUMN kb_topup_result.stage_before IS 'The stage before the top-up';
COMMENT ON COLUMN kb_topup_result.stage_after IS 'The stage after the top-up';
COMMENT ON COLUMN kb_topup_result.replayed IS 'True if the reference was credited before; then nothing has changed';

CREATE FUNCTION kbilling.kb_apply_topup(account_id bigint, amount kb_money, method text, reference text,
										member text = NULL, payment_id bigint = NULL, paid kb_money = NULL)
	RETURNS kb_topup_result
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_apply_topup';
COMMENT ON FUNCTION kb_apply_topup(bigint, kb_money, text, text, text, bigint, kb_money) IS
'Credits a confirmed payment, and the bonus that it earns, once for each reference (T2, T3, T5). "paid" is what the '
'customer was charged, if that is another amount, perhaps in another currency (T8). With "payment_id" '
'it settles a payment that was begun, whatever amount and method that was begun with (T9). '
'Errors: KB001, KB010; KB002 for another currency; KB004 if the member is no owner or admin (T1); KB005 for an '
'amount that is not above zero; KB006 if the reference stands for something else, or the payment is settled or is '
'not the account''s (T9); 22023 for an unknown method';
