-- Purchases: services that are billed when they are bought (L5)
BEGIN;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/error.sql

SET LOCAL kbilling.clock = '2026-11-10 12:00+00';
SELECT kb_create_tariff('std', 'USD', 'Standard'), kb_create_tariff('prepaid', 'USD'), kb_create_tariff('line', 'USD'),
	kb_create_service('pack', 'one_off', 'pack'), kb_create_service('setup', 'one_off'), kb_create_service('gift', 'one_off'),
	kb_create_service('none', 'one_off'), kb_create_service('calls', 'metered'), kb_create_service('seat', 'recurring')
\g /dev/null
SELECT kb_set_price(t, 'pack', 'graduated 5.00 to 2, 4.00'), kb_set_price(t, 'setup', '10.00'), kb_set_price(t, 'gift', '0 each'),
	kb_set_price(t, 'calls', '1 each') FROM unnest('{std,prepaid,line}'::text[]) AS t
\g /dev/null
SELECT kb_set_credit_line('prepaid', '0 USD'), kb_set_credit_line('line', '20 USD'), kb_set_bonus('std', '40 USD', 10)
\g /dev/null
SELECT kb_create_account('ann', t, id, created_at => '2026-11-01 00:00+00'), kb_add_member(id, 'bob', 'admin'),
	kb_add_member(id, 'eve', 'employee')
FROM (VALUES (1, 'std'), (2, 'prepaid'), (3, 'line'), (4, 'std')) AS a (id, t)
\g /dev/null

SELECT is(pg_temp.error_with_detail($$SELECT kb_buy(1, 'setup', 1, 'b1')$$),
	'KB013 account 1 has too little left for this purchase | Left to spend: 0.00 USD; it costs 10.00 USD.',
	'L5: without a credit line a purchase makes no debt');
SELECT kb_apply_topup(1, '40 USD', 'card', 'p1')
\g /dev/null
SELECT is(kb_buy(1, 'pack', 3, 'b1', 'bob'), 3::bigint, 'L5: an entry of its own');
SELECT results_eq('SELECT kind, amount, balance_after, bonus_after, member FROM entry WHERE account_id = 1 AND seq = 3',
	$$VALUES ('purchase'::kb_entry_kind, '-14.00 USD'::kb_money, '30.00 USD'::kb_money, '0.00 USD'::kb_money, 'bob'::kb_text)$$,
	'L5, T6: 2 at 5.00 and 1 at 4.00, which spends the bonus of 4.00 first');
SELECT results_eq('SELECT service, what, from_date, to_date, quantity, price, amount FROM charge_line WHERE account_id = 1 AND seq = 3',
	$$VALUES ('pack', 'purchase', date '2026-11-10', date '2026-11-10', 3::numeric, 'graduated 5.00 to 2, 4.00', '14.00 USD'::kb_money)$$,
	'L5: with its line');
SELECT is(kb_buy(1, 'pack', 3, 'b1', 'bob'), 3::bigint, 'J3: again is the first one');
SELECT kb_set_price('std', 'pack', '9.00 each', '2026-11-10')
\g /dev/null
SELECT is(kb_buy(1, 'pack', 3, 'b1', 'bob'), 3::bigint, 'J3: whatever it costs by now');
SELECT is(left(pg_temp.error_of(statement), 5), state, format('%s: %s', state, statement)) FROM (VALUES
	($$SELECT kb_buy(1, 'pack', 2, 'b1', 'bob')$$, 'KB006'), ($$SELECT kb_buy(1, 'setup', 3, 'b1', 'bob')$$, 'KB006'),
	($$SELECT kb_buy(1, 'pack', 3, 'b1')$$, 'KB006'), ($$SELECT kb_buy(1, 'pack', 3, 'p1')$$, 'KB006'),
	($$SELECT kb_buy(1, 'pack', 1, 'x', 'eve')$$, 'KB004'), ($$SELECT kb_buy(1, 'pack', 1, 'x', 'nobody')$$, 'KB004'),
	($$SELECT kb_buy(1, 'gift', 1, 'x')$$, 'KB005'), ($$SELECT kb_buy(1, 'none', 1, 'x')$$, 'KB012'),
	($$SELECT kb_buy(1, 'nothing', 1, 'x')$$, 'KB012'), ($$SELECT kb_buy(1, 'calls', 1, 'x')$$, '22023'),
	($$SELECT kb_buy(1, 'seat', 1, 'x')$$, '22023'), ($$SELECT kb_buy(1, 'base', 1, 'x')$$, '22023'),
	($$SELECT kb_buy(1, 'pack', 0, 'x')$$, '22023'), ($$SELECT kb_buy(1, 'pack', -1, 'x')$$, '22023'),
	($$SELECT kb_buy(1, 'pack', 'NaN', 'x')$$, '22023'), ($$SELECT kb_buy(99, 'pack', 1, 'x')$$, 'KB001'),
	($$SELECT kb_buy(1, 'pack', 1, '')$$, '22023'), ($$SELECT kb_buy(1, 'pack', 1, NULL)$$, '22004'),
	($$SELECT kb_record_usage(1, 'pack', 1, 'x')$$, '22023'), ($$SELECT kb_switch_on(1, 'pack')$$, '22023')) AS t (statement, state);

-- with a credit line: what is available
SELECT kb_apply_topup(2, '12 USD', 'card', 'p'), kb_record_usage(2, 'calls', 3, 'k')
\g /dev/null
SELECT is(left(pg_temp.error_of($$SELECT kb_buy(2, 'setup', 1, 'b')$$), 5), 'KB013', 'L5: the running month counts: 12 - 3');
SELECT ok(kb_buy(2, 'pack', 1, 'b') IS NOT NULL, 'L5: 5.00 is left for it');
SELECT is(kb_available(2), '4 USD', 'L1: 12 - 3 - 5');
SELECT ok(kb_buy(3, 'setup', 1, 'b') IS NOT NULL AND kb_buy(3, 'setup', 1, 'c') IS NOT NULL, 'L5: down to the credit line');
SELECT is(left(pg_temp.error_of($$SELECT kb_buy(3, 'pack', 1, 'd')$$), 5), 'KB013', 'L5: and no further');
SELECT is((SELECT debt_since FROM account_status WHERE account_id = 3), date '2026-11-10', 'S1: a debt begins with it');
SELECT is((SELECT facts ->> 'stage' FROM notice WHERE account_id = 3 AND kind = 'stage_changed'), 'grace', 'N5: its owners are told');

-- a purchase is given back by its reversal, once
SELECT ok(kb_reverse(1, 3, 'back', 'not wanted') IS NOT NULL, 'L5: a reversal');
SELECT results_eq('SELECT balance, bonus FROM account_status WHERE account_id = 1', $$VALUES ('44 USD'::kb_money, '4 USD'::kb_money)$$,
	'T6: the bonus that it spent is there again');
SELECT is(left(pg_temp.error_of($$SELECT kb_reverse(1, 3, 'back2', 'not wanted')$$), 5), 'KB006', 'L5: not twice');

-- the books
SELECT set_eq($$SELECT ledger_account, balance FROM trial_balance WHERE currency = 'USD' AND ledger_account LIKE 'revenue%'$$,
	$$VALUES ('revenue: pack', '-5.00 USD'::kb_money), ('revenue: setup', '-20.00 USD')$$, 'J4: revenue by service');
SELECT is((SELECT sum(balance) FROM trial_balance), '0 USD', 'J4: the trial balance is zero');
SELECT is_empty('SELECT * FROM kb_check()', 'the books are right');
SELECT kb_record_usage(1, 'calls', 1, 'k')
\g /dev/null
SET LOCAL kbilling.clock = '2026-12-01 12:00+00';
SELECT is((kb_month_charge(1)).total, '1.00 USD', 'L5: the month''s charge knows nothing of what was bought');

-- who buys uses the account (D1)
SELECT ok(kb_last.active_at = '2026-11-10 12:00+00', 'D1: a purchase is activity')
FROM kb_last_activity(3, '2026-11-01 00:00+00', 'any') AS kb_last;

-- in words
SELECT results_eq($$SELECT text, amount FROM kb_explain_line(
	(SELECT entry -> 'lines' -> 0 FROM kb_history(3, 'ann') ORDER BY seq LIMIT 1), 'en')$$,
	$$VALUES ('10.00 USD once', NULL), ('Price: 10.00 USD', '10.00 USD'::kb_money)$$, 'L5: a line of it in words');

-- a deleted account buys nothing
\ir ../include/state.sql
SELECT pg_temp.put_state(4, 'deleted')
\g /dev/null
SELECT is(left(pg_temp.error_of($$SELECT kb_buy(4, 'pack', 1, 'x')$$), 5), 'KB010', 'D5: a deleted account');
SELECT * FROM finish();
ROLLBACK;
