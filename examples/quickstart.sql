CREATE EXTENSION kbilling;
SET search_path = public, kbilling;
SET kbilling.clock = '2026-11-16 09:00+00';  -- a superuser's setting, to play time through

SELECT kb_create_tariff('standard', 'USD'), kb_set_price('standard', 'base', '19.00');
SELECT kb_create_account('ann', 'standard');
SELECT credited, balance FROM kb_apply_topup(1, '5.00 USD', 'card', 'payment-1');

SET kbilling.clock = '2026-12-05 09:00+00';
CALL kb_sweep();  -- charges November, from the 16th on

SELECT balance, stage, debt_since, next_stage, next_stage_on FROM account_status WHERE account_id = 1;
SELECT effective_on, kind, amount, balance_after FROM payment_history WHERE account_id = 1;
