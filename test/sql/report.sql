-- What the journal says, and what is wrong with it (J2, J4, J5, C7)
BEGIN;
SET LOCAL search_path = kbilling, public;
SELECT no_plan();

SET LOCAL kbilling.clock = '2026-11-01 12:00+00';
SELECT kb_create_tariff('std', 'USD'), kb_create_tariff('big', 'USD'), kb_create_service('seat', 'recurring'),
	kb_create_service('source', 'recurring')
\g /dev/null
SELECT kb_set_price('std', 'base', '30.00'), kb_set_price('std', 'seat', '4.00 each'), kb_set_price('std', 'source', '10.00'),
	kb_set_price('big', 'base', '60.00'), kb_set_price('std', 'base', '31.00', '2027-06-01'), kb_set_bonus('std', '50.00 USD', 10)
\g /dev/null
SELECT kb_create_account('olena', 'std', 1), kb_create_account('petro', 'std', 2), kb_create_account('ivan', 'std', 3)
\g /dev/null
SELECT kb_switch_on(1, 'seat', 2), kb_switch_on(1, 'source'), kb_switch_off(1, 'seat', '2026-12-01'),
	kb_switch_on(1, 'seat', 3, '2026-12-01'),
	kb_set_tariff(3, 'big', '2026-11-16'), kb_set_tariff(3, 'std', '2026-11-20'),
	kb_apply_topup(1, '100.00 USD', 'card', 'pay_1', 'olena')
\g /dev/null
SET LOCAL kbilling.clock = '2026-12-01 12:00+00';
SELECT kb_month_charge(1)
\g /dev/null
SELECT kb_refund(1, '12.00 USD', 'refund_1', 'unhappy')
\g /dev/null
SELECT kb_adjust(1, '5.00 USD', 'sorry', 'an outage')
\g /dev/null
SELECT kb_reverse(1, 5, 'not_sorry', 'it was none')
\g /dev/null
SELECT kb_apply_topup(1, '20.00 USD', 'google_pay', 'pay_2')
\g /dev/null
SELECT kb_chargeback(1, 'pay_2', 'dispute')
\g /dev/null
SELECT kb_reverse(1, 3, 'month_back', 'as a favour')
\g /dev/null
SELECT kb_adjust(2, '-7.00 USD', 'fee', 'a fee')
\g /dev/null
SELECT kb_write_off(2, 'lost', 'gone')
\g /dev/null
SELECT kb_month_charge(3), kb_defer(3, '2026-12-24', 'support', 'a promise')
\g /dev/null

-- charge_line

SELECT results_eq('SELECT seq, period, line_no, service, what, from_date, to_date, days, days_in_month, quantity, price, amount
		FROM charge_line WHERE account_id = 1 ORDER BY seq, line_no',
	$$VALUES
		(3::bigint, date '2026-11-01', 1, 'base', 'base fee', date '2026-11-01', date '2026-11-30', 30, 30, 1::numeric,
			'30.00', '30.00 USD'::kb_money),
		(3, '2026-11-01', 2, 'seat', 'recurring service', '2026-11-01', '2026-11-30', 30, 30, 2, '4.00 each', '8.00 USD'),
		(3, '2026-11-01', 3, 'source', 'recurring service', '2026-11-01', '2026-11-30', 30, 30, 1, '10.00', '10.00 USD')$$,
	'C7: charge_line has a row for each line of a charge, and none for its reversal');

-- payment_history

SELECT results_eq('SELECT seq, kind, amount, balance_after, bonus_after, reference, ref_seq, method, member::text, '
	'memo::text, period FROM payment_history WHERE account_id = 1',
	$$VALUES
		(9::bigint, 'reversal'::kb_entry_kind, '48.00 USD'::kb_money, '98.00 USD'::kb_money, '10.00 USD'::kb_money,
			'month_back', 3::bigint, NULL::text, NULL::text, 'as a favour', NULL::date),
		(8, 'chargeback', '-20.00 USD', '50.00 USD', '0.00 USD', 'dispute', 7, NULL, NULL, NULL, NULL),
		(7, 'topup', '20.00 USD', '70.00 USD', '0.00 USD', 'pay_2', NULL, 'google_pay', NULL, NULL, NULL),
		(6, 'reversal', '-5.00 USD', '50.00 USD', '0.00 USD', 'not_sorry', 5, NULL, NULL, 'it was none', NULL),
		(5, 'adjustment', '5.00 USD', '55.00 USD', '0.00 USD', 'sorry', NULL, NULL, NULL, 'an outage', NULL),
		(4, 'refund', '-12.00 USD', '50.00 USD', '0.00 USD', 'refund_1', NULL, NULL, NULL, 'unhappy', NULL),
		(3, 'charge', '-48.00 USD', '62.00 USD', '0.00 USD', NULL, NULL, NULL, NULL, NULL, '2026-11-01'),
		(2, 'bonus', '10.00 USD', '110.00 USD', '10.00 USD', NULL, 1, NULL, NULL, NULL, NULL),
		(1, 'topup', '100.00 USD', '100.00 USD', '0.00 USD', 'pay_1', NULL, 'card', 'olena', NULL, NULL)$$,
	'J1: payment_history is the journal, newest first');

-- general_ledger and trial_balance

SELECT results_eq('SELECT seq, ledger_account, debit, credit FROM general_ledger WHERE account_id = 1 ORDER BY seq, ledger_account',
	$$VALUES
		(1::bigint, 'cash', '100.00 USD'::kb_money, NULL::kb_money), (1, 'customers', NULL, '100.00 USD'),
		(2, 'customers', NULL, '10.00 USD'), (2, 'promotions', '10.00 USD', NULL),
		(3, 'customers', '48.00 USD', NULL), (3, 'revenue: base', NULL, '30.00 USD'),
		(3, 'revenue: seat', NULL, '8.00 USD'), (3, 'revenue: source', NULL, '10.00 USD'),
		(4, 'customers', '12.00 USD', NULL), (4, 'refunds', NULL, '12.00 USD'),
		(5, 'adjustments', '5.00 USD', NULL), (5, 'customers', NULL, '5.00 USD'),
		(6, 'adjustments', NULL, '5.00 USD'), (6, 'customers', '5.00 USD', NULL),
		(7, 'cash', '20.00 USD', NULL), (7, 'customers', NULL, '20.00 USD'),
		(8, 'cash', NULL, '20.00 USD'), (8, 'customers', '20.00 USD', NULL),
		(9, 'customers', NULL, '48.00 USD'), (9, 'revenue: base', '30.00 USD', NULL),
		(9, 'revenue: seat', '8.00 USD', NULL), (9, 'revenue: source', '10.00 USD', NULL)$$,
	'J4: each entry has both its legs');
SELECT results_eq('SELECT ledger_account, debit, credit FROM general_ledger WHERE account_id = 2 AND seq = 2 ORDER BY 1',
	$$VALUES ('bad debt', '7.00 USD'::kb_money, NULL::kb_money), ('customers', NULL, '7.00 USD')$$, 'J4: a debt written off is bad debt');
SELECT results_eq('SELECT ledger_account, balance FROM trial_balance WHERE currency = ''USD'' ORDER BY 1',
	-- account 3: 15 days at 30, 4 at 60, 11 at 30 a month
	$$VALUES ('adjustments', '-7.00 USD'::kb_money), ('bad debt', '7.00 USD'), ('cash', '100.00 USD'), ('customers', '-64.00 USD'),
		('promotions', '10.00 USD'), ('refunds', '-12.00 USD'), ('revenue: base', '-34.00 USD'),
		('revenue: seat', '0.00 USD'), ('revenue: source', '0.00 USD')$$,
	'J4: the trial balance');
SELECT is((SELECT kbilling.sum(balance)::text FROM trial_balance), '0.00 USD', 'J4: is zero');

-- What is used, in two months that are charged, in time and late, and in the running one; by 5 and 6 in months of zero

SELECT kb_create_service('calls', 'metered'), kb_create_service('peak', 'metered', aggregation => 'max'),
	kb_create_service('users', 'metered', 'user', 'unique'), kb_create_tariff('free', 'USD'),
	kb_set_price('free', 'calls', '0.00 each'), kb_set_price('std', 'calls', '1.00 each free 3'),
	kb_set_price('std', 'peak', '1.00 each'), kb_set_price('std', 'users', '1.00 each')
\g /dev/null
SELECT kb_create_account('ann', CASE id WHEN 4 THEN 'std' ELSE 'free' END, id, created_at => '2026-10-05 12:00+00')
FROM generate_series(4, 6) AS id
\g /dev/null
SELECT kb_record_usage(id, 'calls', 10, 'a', '2026-10-10'), kb_record_usage(id, 'calls', 5, 'b', '2026-11-10'),
	kb_record_usage(6, 'calls', -7, 'b-', '2026-11-10') FROM generate_series(4, 6) AS id
\g /dev/null
SELECT kb_record_usage(4, 'peak', 7, 'a', '2026-10-10'), kb_record_usage(4, 'users', 1, 'a', '2026-10-10', '{"user": "x"}'),
	kb_month_charge(4), kb_month_charge(5), kb_month_charge(6)
\g /dev/null
SELECT kb_record_usage(id, 'calls', 3, 'c', '2026-10-20'), kb_record_usage(6, 'calls', -4, 'd', '2026-10-20')
FROM generate_series(4, 5) AS id
\g /dev/null
SELECT kb_record_usage(4, 'peak', 9, 'c', '2026-10-10'), kb_record_usage(4, 'users', 1, 'c', '2026-10-10', '{"user": "y"}'),
	kb_month_charge(4), kb_month_charge(5), kb_month_charge(6)
\g /dev/null
SELECT kb_record_usage(4, 'calls', 2, 'e')
\g /dev/null

-- The books are right, until someone who may do anything does it

SELECT is_empty('SELECT * FROM kb_check()', 'J2: nothing is wrong');
SELECT is_empty(format('SELECT * FROM kb_verify(%s)', id), format('J5: nothing is wrong with account %s', id))
	FROM unnest('{1,2,3}'::int[]) AS id;
SELECT throws_ok('SELECT * FROM kb_verify(999)', 'KB001', NULL, 'J5: an account that does not exist has no chain');
SELECT throws_ok('SELECT * FROM kb_verify(NULL)', '22004', NULL, 'J5: which account?');

SELECT bag_eq('SELECT table_name, trigger_name FROM kbilling_internal.guard_trigger',
	$$SELECT c.relname::text, t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
		WHERE c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND NOT t.tgisinternal$$,
	'J1: kb_check knows every trigger on kbilling''s tables');

SET LOCAL session_replication_role = replica;
SELECT throws_ok($$UPDATE entry SET memo = 'x'$$, 'KB007', NULL, 'J1: replication mode does not lift the guard');
SELECT throws_ok($$UPDATE account SET balance = '0.00 USD'$$, 'KB007', NULL, 'J2: nor that of the balance');
SET LOCAL session_replication_role = origin;
ALTER TABLE entry DISABLE TRIGGER USER;
ALTER TABLE account DISABLE TRIGGER USER;
ALTER TABLE deferral DISABLE TRIGGER USER;

-- What a query says after a change, which is then undone
CREATE FUNCTION pg_temp.after(change text, question text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE change;
	EXECUTE format('SELECT string_agg(a::text, ''; '') FROM (%s) AS a', question) INTO answer;
	RAISE EXCEPTION SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	RETURN answer;
END $$;
SELECT alike(pg_temp.after(change, 'SELECT account_id, seq, problem FROM kb_check()'), '%' || problem || '%', 'kb_check finds ' || problem)
FROM (VALUES
	($$UPDATE account SET balance = balance + '0.01 USD' WHERE account_id = 1$$,
		'(1,9,"J2: the balance is 98.01 USD, the sum of the entries 9800 minor units'),
	($$UPDATE account SET last_seq = 8 WHERE account_id = 1$$, '(1,8,"J2: the account counts 8 entries, the journal has 9'),
	($$DELETE FROM entry WHERE account_id = 1 AND seq = 9$$, 'J2: the account counts 9 entries, the journal has 8'),
	($$DELETE FROM entry WHERE account_id = 1 AND seq = 4$$, '(1,5,"J2: entry 5 follows entry 3'),
	($$DELETE FROM entry WHERE account_id = 2$$, 'J2: the account counts 2 entries, the journal has 0'),
	($$UPDATE entry SET amount = '-11.00 USD' WHERE account_id = 1 AND seq = 4$$,
		'(1,4,"J2: balance after is 50.00 USD, 62.00 USD before and the entry is -11.00 USD'),
	($$UPDATE entry SET balance_after = '55.01 USD' WHERE account_id = 1 AND seq = 5$$,
		'(1,5,"J2: balance after is 55.01 USD, 50.00 USD before and the entry is 5.00 USD'),
	($$DELETE FROM member; DELETE FROM subscription; DELETE FROM skipped_month; DELETE FROM account WHERE account_id = 1$$,
		'(1,1,"J2: 9 entries without an account'),
	($$UPDATE entry SET bonus_after = '50.01 USD' WHERE account_id = 1 AND seq = 6$$,
		'T6: unspent bonus is 50.01 USD on a balance of 50.00 USD'),
	($$UPDATE account SET unspent_bonus = '11.00 USD' WHERE account_id = 1$$,
		'T6: unspent bonus is 11.00 USD, after the last entry 10.00 USD'),
	($$UPDATE entry SET debt_since = '2026-11-30' WHERE account_id = 2 AND seq = 1$$, '(2,1,"S1: debt counts since 2026-11-30'),
	($$UPDATE account SET debt_since = '2026-12-02' WHERE account_id = 3$$,
		'S1: debt counts since 2026-12-02, after the last entry since 2026-12-01'),
	($$UPDATE account SET deferred_until = '2027-12-24' WHERE account_id = 3$$, 'S4: deferred until 2027-12-24'),
	($$DELETE FROM deferral$$, 'S4: deferred until 2026-12-24'),
	($$UPDATE entry SET memo = 'for nothing' WHERE account_id = 1 AND seq = 4$$, '(1,4,"J5: '),
	($$UPDATE entry SET posted_at = posted_at - interval '1 microsecond' WHERE account_id = 1 AND seq = 7$$, '(1,7,"J5: '),
	($$UPDATE entry SET hash = sha256('') WHERE account_id = 1 AND seq = 9$$, '(1,9,"J5: '),
	($$UPDATE account SET last_hash = sha256('') WHERE account_id = 1$$, 'J5: the account''s hash is not that of the last entry'),
	($$UPDATE account SET charged_through = '2026-10-31' WHERE account_id = 1$$,
		'C4: charged through 2026-10-31, but there is a charge for 2026-11-01'),
	($$UPDATE entry SET lines = jsonb_set(lines, '{0,amount}', '"30.01 USD"') WHERE account_id = 1 AND seq = 3$$,
		'(1,3,"C7: the lines do not add up to -48.00 USD'),
	($$UPDATE entry SET lines = '[]' WHERE account_id = 1 AND seq = 3$$, '(1,3,"C7: '),
	($$UPDATE entry SET lines = '{}' WHERE account_id = 1 AND seq = 3$$, '(1,3,"C7: '),
	($$UPDATE entry SET lines = '[{"amount": "x"}, 7]' WHERE account_id = 1 AND seq = 3$$, '(1,3,"C7: '),
	($$UPDATE entry SET lines = jsonb_set(lines, '{0,amount}', '"30.00 EUR"') WHERE account_id = 1 AND seq = 3$$, '(1,3,"C7: '),
	($$UPDATE entry SET amount = '1 EUR' WHERE account_id = 1 AND seq = 4$$, '(1,4,"M3: '),
	($$UPDATE entry SET balance_after = '90071992547409.91 USD' WHERE account_id = 1 AND seq = 4$$, '(1,5,"J2: '),
	($$UPDATE entry SET hash = '\x00' WHERE account_id = 1 AND seq = 4$$, '(1,5,"J5: the hash before it is damaged'),
	($$UPDATE account SET charged_through = '2026-11-15' WHERE account_id = 1$$,
		'C4: charged through 2026-11-15, which is not the end of a month'),
	($$UPDATE account SET ends_on = '2026-10-31' WHERE account_id = 1$$, 'X1: its contract ends on 2026-10-31'),
	($$UPDATE account SET ends_on = 'infinity' WHERE account_id = 1$$, 'X1: its contract ends on infinity'),
	($$UPDATE account SET time_zone = 'US/Gone' WHERE account_id = 1$$, 'W2: this server does not know the time zone ""US/Gone""'),
	($$CREATE TABLE parent (amount kb_money NOT NULL); ALTER TABLE entry INHERIT parent$$, 'J1: entry has a parent, parent'),
	($$ALTER EVENT TRIGGER kbilling_refuse_drop DISABLE$$, 'J7: event trigger kbilling_refuse_drop is not enabled always'),
	($$ALTER EXTENSION kbilling DROP EVENT TRIGGER kbilling_refuse_drop; DROP EVENT TRIGGER kbilling_refuse_drop$$,
		'J7: event trigger kbilling_refuse_drop is gone'),
	($$ALTER EXTENSION kbilling DROP EVENT TRIGGER kbilling_refuse_drop; DROP EVENT TRIGGER kbilling_refuse_drop;
			CREATE EVENT TRIGGER kbilling_refuse_drop ON ddl_command_start WHEN TAG IN ('DROP SCHEMA') EXECUTE FUNCTION
			kbilling_internal.kb_refuse_drop(); ALTER EVENT TRIGGER kbilling_refuse_drop ENABLE ALWAYS$$,
		'J7: event trigger kbilling_refuse_drop is not what it was'),
	($$DROP TRIGGER entry_immutable_row ON entry$$, 'J1: trigger entry_immutable_row on entry is gone'),
	($$DROP TRIGGER entry_insert ON entry$$, 'J1: trigger entry_insert on entry is gone'),
	($$DROP TRIGGER account_ledger ON account$$, 'J1: trigger account_ledger on account is gone'),
	($$DROP TRIGGER closure_step_immutable ON closure_step$$, 'J1: trigger closure_step_immutable on closure_step is gone'),
	($$DROP TRIGGER policy_standard ON policy$$, 'J1: trigger policy_standard on policy is gone'),
	($$ALTER TABLE service DISABLE TRIGGER service_base$$, 'J1: trigger service_base on service is not enabled'),
	($$DROP TRIGGER account_ledger ON account; CREATE TRIGGER account_ledger BEFORE UPDATE OF last_hash ON account
			FOR EACH STATEMENT EXECUTE FUNCTION kbilling_internal.kb_refuse_rewrite();
			ALTER TABLE account ENABLE ALWAYS TRIGGER account_ledger$$, 'J1: trigger account_ledger on account is not what it was'),
	-- the newest entry cut off, and the account's row put back
	($$DELETE FROM entry WHERE account_id = 3; UPDATE account SET balance = '0 USD', last_seq = 0, last_hash = NULL, debt_since = NULL,
			charged_through = '2026-10-31' WHERE account_id = 3$$, '(3,,"N1: notice 1 is of entry 1, which is not there'),
	($$DELETE FROM entry WHERE account_id = 3; DELETE FROM notice WHERE account_id = 3; UPDATE account SET balance = '0 USD',
			last_seq = 0, last_hash = NULL, debt_since = NULL, charged_through = '2026-10-31' WHERE account_id = 3$$,
		'(3,0,"N1: the account counts 1 notices, there are 0'),
	($$INSERT INTO payment (account_id, payment_id, amount, bonus, begun_at, expires_at, settled_at, settled_seq,
			settled_amount, settled_method, method, member)
			VALUES (1, 1, '9 USD', '0 USD', now(), now(), now(), 10, '9 USD', 'card', 'card', 'olena')$$,
		'(1,10,"T2: payment 1 was settled by an entry that is not there'),
	($$DELETE FROM notice WHERE account_id = 1 AND notice_no = 1$$, '(1,9,"N1: the account counts 3 notices, there are 2'),
	($$DELETE FROM notice WHERE account_id = 1 AND notice_no = 3$$, '(1,9,"N1: the account counts 3 notices, there are 2'),
	($$UPDATE notice SET due_at = NULL WHERE account_id = 1 AND notice_no = 2$$, '(1,,"N2: notice 2 is never due'),
	($$UPDATE notice SET due_at = 'infinity' WHERE account_id = 1 AND notice_no = 2$$, '(1,,"N2: notice 2 is never due'),
	-- no sweep comes any more
	($$UPDATE account SET stage_check_on = NULL WHERE account_id = 3$$, '(3,1,"N5: no sweep looks at its stage before infinity'),
	($$UPDATE account SET stage_check_on = '2099-01-01' WHERE account_id = 3$$, '(3,1,"N5: no sweep looks at its stage before 2099-01-01'),
	($$UPDATE account SET closure_check_on = NULL WHERE account_id = 2$$, '(2,2,"D1: no sweep looks at it'),
	($$UPDATE account SET closure_check_on = 'infinity' WHERE account_id = 2$$, '(2,2,"D1: no sweep looks before infinity'),
	($$UPDATE account SET closure_check_on = '2099-01-01' WHERE account_id = 1$$, '(1,9,"D1: no sweep looks before 2099-01-01'),
	-- what went back of a top-up
	($$UPDATE entry SET lines = '[{"topup": 1, "amount": "112.00 USD"}]', amount = '-112 USD' WHERE account_id = 1 AND seq = 4$$,
		'(1,1,"T7: 112.00 USD of the top-up of 100.00 USD has been taken back'),
	($$UPDATE entry SET lines = '[{"topup": 99, "amount": 7}, {"topup": "x"}, {"topup": 1e300, "amount": "1.00 USD"}, 5]'
			WHERE account_id = 1 AND seq = 4$$, '(1,4,"C7: the lines do not add up to -12.00 USD'),
	($$UPDATE entry SET method = 'cash' WHERE account_id = 1 AND seq = 7$$, '(1,7,"T2: there is no payment method ""cash""'),
	($$INSERT INTO payment (account_id, payment_id, amount, bonus, begun_at, expires_at, method, member)
			VALUES (1, 1, '1 USD', '0 USD', now(), now(), 'cash', 'ann')$$, '(1,,"T2: payment 1 has the method ""cash""'),
	($$UPDATE subscription SET to_date = '2026-12-02' WHERE service = 'seat' AND quantity = 2$$,
		'(1,,"C2: service ""seat"" is on twice on 2026-12-01'),
	($$UPDATE tariff_history SET to_date = '2026-11-21' WHERE tariff = 'big'$$, '(3,,"C3: two tariffs on 2026-11-20'),
	($$INSERT INTO usage_total (account_id, period, price_id, slot, events, counted_at, service, aggregation, quantity)
			VALUES (1, '2026-12-01', 0, 0, 3, now(), 'calls', 'sum', 7)$$,
		'(1,,"U5: usage of ""calls"" in 2026-12-01 has no events, its total counts 3'),
	($$INSERT INTO usage_event (account_id, at, period, price_id, is_level, events, service, key, quantity)
			VALUES (1, now(), '2026-12-01', 0, false, 1, 'calls', 'k', 7)$$,
		'(1,,"U5: usage of ""calls"" in 2026-12-01 has 1 events, its total counts none'),
	($$INSERT INTO usage_event (account_id, at, period, price_id, is_level, events, service, key, quantity)
			VALUES (1, now(), '2026-12-01', 0, false, 1, 'calls', 'k', 7);
		INSERT INTO usage_total (account_id, period, price_id, slot, events, counted_at, service, aggregation, quantity)
			VALUES (1, '2026-12-01', 0, 0, 1, now(), 'calls', 'sum', 7)$$,
		'(1,,"C3: usage of ""calls"" in 2026-12-01 has the price 0, which is none of the service'),
	-- what is marked as billed, and what is let through
	($$UPDATE usage_total SET billed_quantity = 0, billed_events = 0, settled = false WHERE service = 'calls'$$,
		'(4,,"U3: 0 of the usage of ""calls"" in 2026-10-01 is marked as billed, its charges say 13'),
	($$UPDATE usage_total SET billed_quantity = 0, billed_events = 0, settled = false WHERE service = 'peak'$$,
		'(4,,"U3: 0 of the usage of ""peak"" in 2026-10-01 is marked as billed, its charges say 9'),
	($$UPDATE usage_total SET billed_quantity = 1, settled = false WHERE service = 'users'$$,
		'(4,,"U3: 1 of the usage of ""users"" in 2026-10-01 is marked as billed, its charges say 2'),
	($$UPDATE usage_total SET billed_quantity = quantity, settled = true WHERE period = '2026-12-01'$$,
		'(4,,"U3: 2 of the usage of ""calls"" in 2026-12-01 is marked as billed, its charges say 0'),
	($$UPDATE entry SET lines = '[{"from_date": 7, "events": 1, "quantity": "x", "service": 8, "amount": "1.00 USD"}, [5], 6, "events"]'
			WHERE account_id = 4 AND seq = 1$$,
		'(4,,"U3: 13 of the usage of ""calls"" in 2026-10-01 is marked as billed, its charges say 3'),
	($$DELETE FROM skipped_month$$, '(1,3,"U3: the charge of 2026-11-01 is reversed, but not its usage'),
	($$INSERT INTO skipped_month VALUES (4, '2026-10-01')$$,
		'(4,1,"U3: the usage of 2026-10-01 is skipped, but its charge is not reversed'),
	($$UPDATE account SET usage_kept_from = 'infinity' WHERE account_id = 4$$,
		'(4,2,"U6: its usage is kept from infinity on, and it is charged through 2026-11-30'),
	($$UPDATE account SET usage_kept_from = '2026-12-02' WHERE account_id = 4$$, '(4,2,"U6: its usage is kept from 2026-12-02 on'),
	($$UPDATE account SET charged_through = '2027-01-31' WHERE account_id = 4$$,
		'(4,2,"C4: charged through 2027-01-31, a month that had not ended on 2026-12-01'),
	($$UPDATE account SET charged_through = '2026-12-31' WHERE account_id = 4$$, '(4,2,"C4: charged through 2026-12-31'),
	($$UPDATE price SET to_date = 'infinity' WHERE service = 'base'$$, 'C3: tariff ""std"" has two prices for ""base"" on 2027-06-01')
) AS t (change, problem);
SELECT is(pg_temp.after($$UPDATE entry SET memo = 'x' WHERE account_id = 1 AND seq IN (4, 6, 8)$$,
	'SELECT account_id, seq FROM kb_verify(1)'), '(1,4)',
	'J5: kb_verify names the first entry that does not fit');
SELECT is(pg_temp.after($$UPDATE entry SET memo = 'x' WHERE account_id = 1$$, 'SELECT * FROM kb_verify(2)'), NULL,
	'J5: of that account alone');
SELECT is(pg_temp.after($$UPDATE account SET balance = '0.00 USD' WHERE account_id = 1$$,
	'SELECT account_id, seq FROM kb_verify(1)'), '(1,9)',
	'J2: or its last one, if it is the account''s row that is wrong');
SELECT results_eq('SELECT problem FROM kb_check() ORDER BY 1', $$VALUES
	('J1: trigger account_ledger on account is not enabled always'), ('J1: trigger account_ledger_row on account is not enabled always'),
	('J1: trigger deferral_immutable on deferral is not enabled always'),
	('J1: trigger deferral_immutable_row on deferral is not enabled always'),
	('J1: trigger entry_immutable on entry is not enabled always'), ('J1: trigger entry_immutable_row on entry is not enabled always'),
	('J1: trigger entry_insert on entry is not enabled always')$$,
	'J1: all of it undone, only the guards are missing');

-- T8

SELECT is(kbilling_internal.kb_exchange_rate(paid::kb_money, amount::kb_money), rate::numeric, format('T8: %s for %s', paid, amount))
FROM (VALUES ('4125.50 UAH', '100 USD', '41.255'), ('100 UAH', '3 USD', '33.33333333'), ('1 USD', '16000 IDR', '0.0000625'),
	('15000 JPY', '100 USD', '150'), ('10.30 USD', '10 USD', NULL), (NULL, '10 USD', NULL)) AS t (paid, amount, rate);
SELECT kb_create_account('ann', 'big', 77), kb_apply_topup(77, '100 USD', 'card', 'p1', paid => '4125.50 UAH'),
	kb_apply_topup(77, '10 USD', 'card', 'p2', paid => '10.30 USD'), kb_apply_topup(77, '10 USD', 'card', 'p3')
\g /dev/null
SELECT results_eq('SELECT amount::text, paid::text, rate FROM payment_history WHERE account_id = 77', $$VALUES
	('10.00 USD', NULL, NULL::numeric), ('10.00 USD', '10.30 USD', NULL), ('100.00 USD', '4125.50 UAH', 41.255)$$,
	'T8: payment_history shows what was paid, and the rate');
SELECT is((SELECT jsonb_array_length(lines) FROM payment_history WHERE account_id = 1 AND seq = 3), 3,
	'C7: a charge shows its lines there');

SELECT * FROM finish();
ROLLBACK;
