-- Discounts of accounts, codes that grant them, and minimums of tariffs (C9, C10)
BEGIN;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/error.sql
\ir ../include/clock.sql
SELECT is((SELECT count(*) FROM pg_class WHERE oid IN ('discount'::regclass, 'tariff_minimum'::regclass) AND pg_relation_size(oid) = 0),
	2::bigint, 'a database without discounts and minimums has none of their rows');

-- The lines of the running month, or of a month that was charged: "service amount", discounts and minimums as such
CREATE FUNCTION pg_temp.line(service text, what text, from_date date, quantity numeric, price text,
	amount kb_money) RETURNS text LANGUAGE sql
	RETURN format('%s%s%s %s', service, CASE what WHEN 'discount' THEN format(' -%s of %s', price, quantity)
		WHEN 'minimum' THEN format(' min %s', price) WHEN 'late usage' THEN ' late' END,
		CASE WHEN from_date < date_trunc('month', kb_now()) - interval '1 month' THEN to_char(from_date, ' MM') END, kb_amount(amount));
CREATE FUNCTION pg_temp.running(id bigint) RETURNS text LANGUAGE sql STABLE RETURN (
	SELECT string_agg(pg_temp.line(service, what, NULL, quantity, price, amount), ', ' ORDER BY line_no) FROM kb_current_usage(id));
CREATE FUNCTION pg_temp.charged(id bigint, month date) RETURNS text LANGUAGE sql STABLE RETURN (
	SELECT string_agg(pg_temp.line(service, what, NULL, quantity, price, amount), ', ' ORDER BY line_no)
	FROM charge_line WHERE account_id = id AND period = month);
CREATE FUNCTION pg_temp.total(id bigint) RETURNS numeric LANGUAGE sql STABLE
	RETURN (SELECT coalesce(sum(kb_amount(amount)), 0) FROM kb_current_usage(id));

SELECT pg_temp.clock('2026-11-01 00:00+00')
\g /dev/null
SELECT kb_create_tariff(t, 'USD') FROM unnest('{std,big,bare,free}'::text[]) AS t
\g /dev/null
SELECT kb_create_tariff('yen', 'JPY'), kb_create_service('seat', 'recurring', 'seat'), kb_create_service('calls', 'metered', 'call'),
	kb_create_service('mails', 'metered'), kb_create_service('pack', 'one_off')
\g /dev/null
SELECT kb_set_price(t, 'base', '30.00'), kb_set_price(t, 'seat', '5.00 each'),
	kb_set_price(t, 'calls', 'graduated 0.10 to 100, 0.05 free 10'), kb_set_price(t, 'mails', '0.01 each min 6.00'),
	kb_set_price(t, 'pack', '7.00') FROM unnest('{std,big}'::text[]) AS t
\g /dev/null
SELECT kb_set_price('yen', 'base', '1000'), kb_set_price('free', 'calls', '0.10 each')
\g /dev/null
SELECT kb_create_account('ann', t, id), kb_add_member(id, 'bob', 'admin'), kb_add_member(id, 'eve', 'employee')
FROM (VALUES (1, 'std'), (2, 'std'), (3, 'std'), (4, 'big'), (5, 'bare'), (6, 'yen'), (7, 'std'), (8, 'free'), (9, 'free'),
	(10, 'free'), (11, 'free'), (12, 'free'), (13, 'free'), (14, 'bare'), (15, 'free')) AS a (id, t)
\g /dev/null
SELECT kb_switch_on(id, 'seat', 2) FROM unnest('{1,2,3,4}'::bigint[]) AS id
\g /dev/null

-- C9: a percentage of each service's lines

SELECT pg_temp.clock('2026-11-30 12:00+00')
\g /dev/null
SELECT kb_record_usage(1, 'calls', 143, 'k')
\g /dev/null
SELECT is(kb_set_discount(1, percent => 15), 1, 'C9: a discount has a number');
-- 10 free, 90 at 0.10, 43 at 0.05: 11.15.  15 % of 57.15 are 8.5725, rounded once; of the first ones 4.5, 6.1725, 7.0725
SELECT is(pg_temp.running(1), 'base 30.00, calls 11.15, mails 6.00, seat 10.00, base -15% of 30.00 -4.50, calls -15% of 11.15 -1.67, '
	'mails -15% of 6.00 -0.90, seat -15% of 10.00 -1.50', 'C9, M4: each service''s part, which add up to the whole, rounded once');
SELECT results_eq($$SELECT from_date, to_date, days, days_in_month, events FROM kb_current_usage(1)
	WHERE what = 'discount' AND service = 'calls'$$,
	$$VALUES (date '2026-11-01', date '2026-11-30', NULL::integer, NULL::integer, NULL::bigint)$$, 'C9: its days are those of the month');

-- an amount of two services, and what is left discounted again, in the order in which they were agreed
SELECT is(kb_set_discount(2, amount => '5.00 USD', services => '{seat,calls,seat}', months => 2), 1, 'C9: an amount');
SELECT is(kb_set_discount(2, percent => 50.0, services => '{seat}'), 2, 'C9: of other services: another one');
SELECT kb_record_usage(2, 'calls', 20, 'k')
\g /dev/null
-- calls 1.00, seat 10.00: 5.00 / 11 are 0.4545, and the rest 4.55; half of 5.45 is 2.725
SELECT is(pg_temp.running(2), 'base 30.00, calls 1.00, mails 6.00, seat 10.00, calls -5.00 of 1.00 -0.45, seat -5.00 of 10.00 -4.55, '
	'seat -50% of 5.45 -2.73', 'C9, M4: an amount is shared by what the services come to; the next discount is of what is left');
-- never below zero: more than there is, and all of it
SELECT kb_set_discount(3, amount => '100 USD'), kb_set_discount(3, percent => 100, services => '{base}')
\g /dev/null
SELECT is(pg_temp.running(3), 'base 30.00, mails 6.00, seat 10.00, base -100.00 of 30.00 -30.00, mails -100.00 of 6.00 -6.00, '
	'seat -100.00 of 10.00 -10.00', 'C9: never below zero; what is left of nothing makes no line');
SELECT is((kb_available(3)), '0.00 USD', 'L1: what is left to spend knows of it');

-- C10: the least that a month costs

SELECT is(kb_set_minimum('big', '90.00 USD'), '-infinity', 'C10: a first minimum holds from the beginning');
SELECT is(kb_set_minimum('bare', '30.00 USD', '2026-11-11'), date '2026-11-11', 'C10: or from a date on');
SELECT is(pg_temp.running(4), 'base 30.00, mails 6.00, seat 10.00, base min 90.00 44.00', 'C10: what is missing to it is a line');
SELECT is(pg_temp.running(5), 'base min 30.00 20.00', 'C10: by days: 20 of 30; of an account that nothing is charged for, too');
SELECT results_eq('SELECT from_date, to_date, days, days_in_month, quantity FROM kb_current_usage(5)',
	$$VALUES (date '2026-11-11', date '2026-11-30', 20, 30, 0.00)$$, 'C10: the line says its days, and what the others come to');
SELECT kb_record_usage(4, 'calls', 930, 'k')
\g /dev/null
-- 9.00 + 830 * 0.05 = 50.50; 96.50 in all
SELECT is(pg_temp.running(4), 'base 30.00, calls 50.50, mails 6.00, seat 10.00', 'C10: not if they come to it');
SELECT kb_set_discount(4, percent => 10, services => '{base,seat}')
\g /dev/null
-- 96.50 - 4.00 = 92.50, still above; then 50 %: 96.50 - 20.00 = 76.50
SELECT is(pg_temp.total(4), 92.50, 'C10: the discounts count, ...');
SELECT is(kb_set_discount(4, percent => 50, services => '{seat,base}'), 2, 'C9: another one for the same services takes its place');
SELECT is(pg_temp.running(4), 'base 30.00, calls 50.50, mails 6.00, seat 10.00, base -50% of 30.00 -15.00, seat -50% of 10.00 -5.00, '
	'base min 90.00 13.50', 'C10: ... so that what is left comes to the minimum');

-- by days in the first month, and over a switch: 10 days of std, none; 11 to 30 of big; then the preview of a part of the month
SELECT kb_create_account('ann', 'big', 20, created_at => '2026-11-21 12:00+00'),
	kb_create_account('ann', 'std', 21, created_at => '2026-11-01 12:00+00'), kb_set_tariff(21, 'big', '2026-11-11'),
	kb_create_account('ann', 'bare', 22, created_at => '2026-11-01 12:00+00'), kb_set_tariff(22, 'big', '2026-11-21')
\g /dev/null
-- base 10.00 and mails 2.00 of 10 days
SELECT is(pg_temp.running(20), 'base 10.00, mails 2.00, base min 90.00 18.00',
	'C10: an account that was there for 10 of 30 days owes a third');
SELECT is(pg_temp.running(21), 'base 10.00, base 20.00, mails 2.00, mails 4.00, base min 90.00 24.00',
	'C10: a tariff that was there for 20 days: 60.00 over all lines of the month');
-- bare: 10 days at 30.00 from the 11th: 10.00; big: 10 days at 90.00: 30.00; base and mails of big: 12.00
SELECT is(pg_temp.running(22), 'base 10.00, mails 2.00, base min 40.00 28.00', 'C10: two of different amounts are one line');
SELECT results_eq($$SELECT from_date, to_date, days, days_in_month FROM kb_current_usage(22) WHERE what = 'minimum'$$,
	$$VALUES (date '2026-11-11', date '2026-11-30', NULL::integer, NULL::integer)$$, 'C10: which has no number of days then');
SELECT pg_temp.clock('2026-11-10 12:00+00')
\g /dev/null
SELECT is(pg_temp.running(4), 'base 10.00, calls 50.50, mails 2.00, seat 3.33, base -50% of 10.00 -5.00, seat -50% of 3.33 -1.67',
	'C6: so far, and the minimum of ten days');
SELECT pg_temp.clock('2026-11-30 12:00+00')
\g /dev/null

-- A change of the minimum, from the next month on or in this one

SELECT is(kb_set_minimum('bare', '60.00 USD'), date '2026-12-01', 'C10: a change holds from the 1st of next month');
SELECT is(kb_set_minimum('bare', '60.00 USD', '2027-02-01'), date '2026-12-01', 'C10: what holds already is not set again');
SELECT is(kb_set_minimum('bare', '0 USD', '2026-11-26'), date '2026-11-26', 'C10: zero is none');
SELECT is(pg_temp.running(5), 'base min 30.00 15.00', 'C10: 15 of 30 days');
SELECT results_eq($$SELECT from_date, to_date, amount FROM tariff_minimum WHERE tariff = 'bare' ORDER BY from_date$$,
	$$VALUES (date '2026-11-11', date '2026-11-26', '30.00 USD'::kb_money), ('2026-11-26', '2026-12-01', '0.00 USD'),
		('2026-12-01', 'infinity', '60.00 USD')$$, 'C10: each holds to the next one');

-- The charge is the preview, line by line (C6); the books are right by service (J4)

SELECT pg_temp.clock('2026-11-30 23:59:59+00')
\g /dev/null
CREATE TEMP TABLE preview AS SELECT account_id, string_agg(c::text, E'\n' ORDER BY line_no) AS lines FROM current_usage AS c
	WHERE account_id IN (1, 2, 4, 5, 20, 21, 22) GROUP BY account_id;
CREATE TEMP TABLE foretold AS SELECT id, f.charge FROM unnest('{1,2,3,4,5,20,21,22}'::bigint[]) AS id, kb_forecast(id, 1) AS f;
SELECT pg_temp.clock('2026-12-01 12:00+00')
\g /dev/null
SELECT results_eq('SELECT id, (kb_month_charge(id)).total FROM foretold', 'SELECT id, charge FROM foretold',
	'S6: the forecast foretold the charge');
SELECT results_eq($$SELECT p.account_id, (SELECT string_agg(row(l.account_id, l.line_no, l.service, l.what, l.from_date,
	l.to_date, l.days,
		l.days_in_month, l.quantity, l.events, l.billed_quantity, l.billed_events, l.price, l.amount)::text, E'\n' ORDER BY l.line_no)
		FROM charge_line AS l WHERE l.account_id = p.account_id) FROM preview AS p ORDER BY 1$$,
	'SELECT account_id, lines FROM preview ORDER BY 1', 'C6: the charge is what was shown at the last moment, line by line');
SELECT results_eq($$SELECT ledger_account, sum(credit - debit) FROM (SELECT ledger_account, coalesce(credit, '0 USD') AS credit,
	coalesce(debit, '0 USD') AS debit FROM general_ledger WHERE account_id = 4) AS l
		WHERE ledger_account LIKE 'revenue%' GROUP BY 1 ORDER BY 1$$,
	$$VALUES ('revenue: base', '28.50 USD'::kb_money), ('revenue: calls', '50.50 USD'), ('revenue: mails', '6.00 USD'),
		('revenue: seat', '5.00 USD')$$,
	'J4: revenue by service is less its discounts; the minimum is of the base fee');
SELECT results_eq('SELECT amount, balance_after, (SELECT count(*) FROM charge_line AS l WHERE l.account_id = 3)
	FROM entry WHERE account_id = 3',
	$$VALUES ('0.00 USD'::kb_money, '0.00 USD'::kb_money, 6::bigint)$$,
		'C8: what a discount has brought to zero is an entry of zero, which says so');
SELECT kb_create_account('ann', 'free', 23, created_at => '2026-11-01 12:00+00'), kb_set_discount(23, percent => 10,
	from_period => '2026-11-01')
\g /dev/null
SELECT is((kb_month_charge(23)).entry_seq, NULL, 'C8: what there was nothing of makes none');
SELECT is((SELECT sum(balance) FROM trial_balance WHERE currency = 'USD'), '0 USD', 'J4: the trial balance is zero');

-- The end of the months: two for account 2, November and December

SELECT pg_temp.clock('2026-12-31 12:00+00')
\g /dev/null
SELECT is(pg_temp.running(2), 'base 30.00, mails 6.00, seat 10.00, seat -5.00 of 10.00 -5.00, seat -50% of 5.00 -2.50',
	'C9: the second month');
SELECT is((SELECT array_agg(kb_amount(charge) ORDER BY period) FROM kb_forecast(2, 3)), '{38.50,41.00,41.00}',
	'S6: a forecast knows the end');
SELECT pg_temp.clock('2027-01-31 12:00+00')
\g /dev/null
SELECT is(pg_temp.running(2), 'base 30.00, mails 6.00, seat 10.00, seat -50% of 10.00 -5.00', 'C9: the third has none');
SELECT is(kb_set_discount(2, services => '{seat}', from_period => '2027-02-01'), NULL, 'C9: without percent and amount it ends');
SELECT is((SELECT array_agg(kb_amount(charge) ORDER BY period) FROM kb_forecast(2, 2)), '{38.50,41.00,46.00}', 'C9: from a month on');
SELECT is(kb_set_discount(2, percent => 10, from_period => '2027-03-01'), 3, 'C9: one to come');
SELECT is((SELECT array_agg(kb_amount(charge) ORDER BY period) FROM kb_forecast(2, 4)), '{38.50,41.00,46.00,41.40,41.40}',
	'S6: and its beginning');
SELECT is((SELECT array_agg(kb_amount(charge) ORDER BY period) FROM kb_forecast(5, 2)), '{60.00,60.00,60.00}',
	'C10: a forecast has the minimum');
SELECT is(kb_set_minimum('bare', '0 USD', '2027-02-15'), date '2027-02-15', 'C10: an end in the next month');
SELECT is((SELECT array_agg(kb_amount(charge) ORDER BY period) FROM kb_forecast(5, 3)), '{60.00,60.00,30.00,0.00}',
	'S6: the forecast knows: 14 of 28 days');

-- Late usage (U3): its month has its own discounts and its own minimum, and nothing twice

SELECT pg_temp.clock('2026-11-30 12:00+00')
\g /dev/null
SELECT kb_record_usage(id, 'calls', 100, 'k') FROM unnest('{8,9,10,11,12,13}'::bigint[]) AS id
\g /dev/null
SELECT kb_set_discount(8, percent => 25, months => 1), kb_set_discount(9, amount => '8 USD', months => 1),
	kb_set_discount(10, amount => '12 USD', months => 1),
	kb_set_discount(13, percent => 33.3, months => 1)
\g /dev/null
SELECT kb_create_tariff('least', 'USD'), kb_set_price('least', 'calls', '0.10 each'), kb_set_minimum('least', '15 USD'),
	kb_create_account('ann', 'least', 30, created_at => '2026-11-01 12:00+00'), kb_record_usage(30, 'calls', 100, 'k')
\g /dev/null
SELECT pg_temp.clock('2026-12-02 12:00+00')
\g /dev/null
SELECT is(string_agg(format('%s: %s', id, kb_amount((kb_month_charge(id)).total)), ', ' ORDER BY id),
	'8: 7.50, 9: 2.00, 10: 0.00, 13: 6.67, 30: 15.00', 'C9, C10: November') FROM unnest('{8,9,10,13,30}'::bigint[]) AS id;
SELECT kb_record_usage(id, 'calls', 30, 'late', '2026-11-20 12:00+00') FROM unnest('{8,9,10,13,30}'::bigint[]) AS id
\g /dev/null
SELECT is(pg_temp.running(8), 'calls late 3.00, calls -25% of 3.00 -0.75', 'U3, C9: late usage has the discount of its own month');
SELECT is(pg_temp.running(9), 'calls late 3.00', 'U3, C9: an amount that is used up is not given again');
SELECT is(pg_temp.running(10), 'calls late 3.00, calls -12.00 of 3.00 -2.00', 'U3, C9: what was left of it is');
-- 33.3 % of 13.00 are 4.329, of which 3.33 were given
SELECT is(pg_temp.running(13), 'calls late 3.00, calls -33.3% of 3.00 -1.00', 'U3, M4: the bills of a month add up');
-- 10.00 and 3.00 are less than 15.00; December's minimum of 2 days is 0.97
SELECT is(pg_temp.running(30), 'calls late 3.00, base min 15.00 0.97, base min 15.00 -3.00',
	'U3, C10: what its minimum has paid for is not paid twice');
SELECT kb_set_discount(8, percent => 50)
\g /dev/null
SELECT is(pg_temp.running(8), 'calls late 3.00, calls -25% of 3.00 -0.75',
	'U3, C9: the discount of the running month is not of late usage');
-- taken back: all of November, and what was late
SELECT kb_record_usage(id, 'calls', -130, 'back', '2026-11-21 12:00+00') FROM unnest('{8,9,10,30}'::bigint[]) AS id
\g /dev/null
SELECT is(pg_temp.running(8), 'calls late -10.00, calls -25% of -10.00 2.50', 'U3, C9: what is taken back gives back what was billed');
SELECT is(pg_temp.running(9), 'calls late -10.00, calls -8.00 of -10.00 8.00', 'U3, C9: no more than that');
SELECT is(pg_temp.running(10), 'calls late -10.00, calls -12.00 of -10.00 10.00', 'U3, C9: and nothing, if nothing was');
SELECT is(pg_temp.running(30), 'calls late -10.00, base min 15.00 0.97, base min 15.00 10.00', 'U3, C10: the minimum is owed still');
SELECT pg_temp.clock('2027-01-02 12:00+00')
\g /dev/null
SELECT is(kb_amount((kb_month_charge(9)).total), -2.00, 'U3, C9: a charge gives back what was paid');
SELECT is(pg_temp.running(9), NULL, 'C9: nothing is left of it');
SELECT kb_record_usage(9, 'calls', 200, 'later', '2026-11-20 12:00+00')
\g /dev/null
SELECT is(pg_temp.running(9), 'calls late 20.00, calls -8.00 of 20.00 -8.00',
	'U3, C9: a third bill of the month goes on from both before');
-- what is bought is not discounted
SELECT kb_apply_topup(1, '100 USD', 'card', 'p')
\g /dev/null
SELECT is((SELECT amount FROM entry WHERE account_id = 1 AND seq = kb_buy(1, 'pack', 1, 'b')), NULL,
	'a statement does not see its own entry');
SELECT is((SELECT amount FROM entry WHERE account_id = 1 AND kind = 'purchase'), '-7.00 USD', 'C9, L5: a purchase has no discount');

-- What usage costs by a credit line (L2): nothing, as long as the minimum pays for it

SELECT kb_create_account('ann', 'least', 31, created_at => '2027-01-01 12:00+00'), kb_set_account_credit_line(31, '0 USD'),
	kb_apply_topup(31, '1.00 USD', 'card', 'p')
\g /dev/null
-- two of 31 days of the minimum are 0.97
SELECT ok(kb_record_usage(31, 'calls', 9, 'k'), 'L2: usage within the minimum costs nothing more');
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(31, 'calls', 2, 'k2')$$), 5), 'KB013', 'L2: what goes beyond is refused: 1.10');

-- Codes

SELECT kb_create_discount_code('WELCOME', percent => 20, months => 2, valid_until => '2027-01-31', max_uses => 2),
	kb_create_discount_code('FIVE', amount => '5 USD', services => '{calls,base}'), kb_create_discount_code('YEN', amount => '100 JPY')
\g /dev/null
SELECT is(kb_redeem_code(12, 'WELCOME', 'bob'), 1, 'C9: a code grants a discount');
SELECT results_eq('SELECT percent, amount, services, from_period, to_period, code FROM discount WHERE account_id = 12',
	$$VALUES (20::numeric, NULL::kb_money, NULL::text[], date '2027-01-01', date '2027-03-01', 'WELCOME'::kb_text)$$,
	'C9: for its months, the running one the first');
SELECT is(kb_redeem_code(12, 'WELCOME', 'ann'), 1, 'C9: again is the first one');
SELECT is(kb_redeem_code(11, 'WELCOME', 'ann'), 1, 'C9: as often as it may be');
SELECT is(pg_temp.error_of($$SELECT kb_redeem_code(10, 'WELCOME', 'ann')$$),
	'KB013 discount code "WELCOME" is used up | 2 accounts can redeem it. | Ask for another code.', 'C9: and no more');
SELECT is(kb_redeem_code(12, 'WELCOME', 'bob'), 1, 'C9: who has it keeps it');
SELECT is((SELECT uses FROM discount_code_use WHERE code = 'WELCOME'), 2, 'C9: what was asked for again, or refused, is no use');
SELECT is(kb_redeem_code(12, 'FIVE', 'ann'), 2, 'C9: another code');
SELECT is(kb_redeem_code(10, 'FIVE', 'ann'), 2, 'C9: beside a discount of its own');
SELECT pg_temp.clock('2027-02-01 00:00:01+00')
\g /dev/null
SELECT is(pg_temp.error_of($$SELECT kb_redeem_code(10, 'WELCOME', 'ann')$$),
	'22008 discount code "WELCOME" is not valid any more | It was valid until 2027-01-31. | Ask for another code.', 'C9: too late');
SELECT is(kb_redeem_code(12, 'WELCOME', 'bob'), 1, 'C9: who has it keeps it, whatever has become of the code');
SELECT kb_drop_discount_code('FIVE')
\g /dev/null
SELECT is(left(pg_temp.error_of($$SELECT kb_redeem_code(13, 'FIVE', 'ann')$$), 5), '22023', 'C9: a code that was dropped');

-- Monthly recurring revenue: what the accounts would owe for a whole month

CREATE FUNCTION pg_temp.mrr(tariff text) RETURNS numeric LANGUAGE sql STABLE
	RETURN (SELECT value FROM metrics WHERE name = 'kbilling_mrr' AND labels ->> 'tariff' = $1);
-- two accounts of 15.00
SELECT is(pg_temp.mrr('least'), 30.00, 'C10: minimums are recurring');
SELECT kb_create_tariff('mrr', 'USD'), kb_set_price('mrr', 'base', '40.00'), kb_set_price('mrr', 'seat', '3.33 each'),
	kb_set_price('mrr', 'mails', '0.01 each min 6.00'), kb_create_account('ann', 'mrr', 40), kb_create_account('ann', 'mrr', 41),
	kb_create_account('ann', 'mrr', 42), kb_switch_on(41, 'seat', 2), kb_switch_on(42, 'seat', 5)
\g /dev/null
-- 46.00, 52.66, 62.65
SELECT is(pg_temp.mrr('mrr'), 161.31, 'without discounts');
SELECT kb_set_discount(41, percent => 25, months => 1), kb_set_discount(42, amount => '20 USD', services => '{seat}')
\g /dev/null
-- 25 % of 52.66 are 13.165; seats of 16.65 are less than 20
SELECT is(pg_temp.mrr('mrr'), 161.31 - 13.17 - 16.65, 'C9: recurring revenue is less its discounts');
SELECT kb_set_minimum('mrr', '45.00 USD')
\g /dev/null
-- 46.00; 39.49, raised by 5.51; 46.00
SELECT is(pg_temp.mrr('mrr'), 161.31 - 13.17 - 16.65 + 5.51, 'C10: and at least its minimum');
SELECT pg_temp.clock('2027-02-28 12:00+00')
\g /dev/null
SELECT is(pg_temp.mrr('mrr'), (SELECT sum(pg_temp.total(id)) FROM unnest('{40,41,42}'::bigint[]) AS id),
	'C9, C10: which is what the month costs');
SELECT pg_temp.clock('2027-03-01 12:00+00')
\g /dev/null
SELECT is(pg_temp.mrr('mrr'), 161.31 - 16.65, 'C9: a discount has ended: 46.00, 52.66, 46.00');

-- In words (C7)

CREATE FUNCTION pg_temp.words(line jsonb, language text = 'en') RETURNS text LANGUAGE sql STABLE RETURN (
	SELECT string_agg(concat_ws(': ', s.text, kb_amount(s.amount)), ' | ' ORDER BY step_no) FROM kb_explain_line(line, language) AS s);
SELECT is(pg_temp.words(to_jsonb(l)), '15% of the amount | 15% off 11.15 USD: -1.67', 'C7: a percentage')
FROM charge_line AS l WHERE account_id = 1 AND period = '2026-11-01' AND what = 'discount' AND service = 'calls';
SELECT is(pg_temp.words(to_jsonb(l)),
	'5.00 USD a month | This service''s part of 5.00 USD off a month, by what each service comes to: -4.55',
	'C7: an amount')
FROM charge_line AS l WHERE account_id = 2 AND period = '2026-11-01' AND what = 'discount' AND service = 'seat' AND price = '5.00';
SELECT is(pg_temp.words(to_jsonb(l)), 'at least 90.00 USD a month | Minimum of 90.00 USD a month, for 10 of 30 days: 30.00 | '
	'Less what the other lines of the month come to: -12.00', 'C7: a minimum of some days')
FROM charge_line AS l WHERE account_id = 20 AND what = 'minimum' AND period = '2026-11-01';
SELECT is(pg_temp.words(to_jsonb(l)),
	'at least 40.00 USD a month | Minimum of 40.00 USD for these days, as it has changed in the month: 40.00 | '
	'Less what the other lines of the month come to: -12.00', 'C7: one that has changed')
FROM charge_line AS l WHERE account_id = 22 AND what = 'minimum' AND period = '2026-11-01';
SELECT is(pg_temp.words(to_jsonb(l), 'uk'), 'щонайменше 90.00 USD на місяць | Мінімум 90.00 USD на місяць, за 10 днів із 30: 30.00 | '
	'Мінус сума інших рядків за місяць: -12.00', 'C7: in Ukrainian')
FROM charge_line AS l WHERE account_id = 20 AND what = 'minimum' AND period = '2026-11-01' AND getdatabaseencoding() = 'UTF8';
SELECT is(pg_temp.words(jsonb_build_object('what', 'discount', 'price', '15%', 'quantity', 11.15, 'amount', '1.67 USD',
	'from_date', '2026-11-01')),
	'15% of the amount | What was charged is taken back | 15% off 11.15 USD: 1.67', 'C7: of a reversal');
SELECT is(pg_temp.words(jsonb_build_object('what', 'minimum', 'price', '90.00', 'quantity', 12, 'days', 10, 'days_in_month', 30,
	'amount', '-18.00 USD', 'from_date', '2026-11-01')), 'at least 90.00 USD a month | What was charged is taken back | '
	'Minimum of 90.00 USD a month, for 10 of 30 days: -30.00 | Less what the other lines of the month come to: 12.00',
		'C7: of a reversal');
SELECT is(pg_temp.words(jsonb_build_object('what', 'minimum', 'price', '15.00', 'quantity', 3, 'days', 30, 'days_in_month', 30,
	'amount', '-3.00 USD', 'from_date', '2026-11-01')), 'at least 15.00 USD a month | '
	'The minimum of November 2026 was counted before; what came late changes what is missing to it: -3.00',
		'C7: of a month that was charged before');
SELECT is(count(*), 8::bigint, 'the page shows these lines as it shows others')
FROM jsonb_array_elements((SELECT entry -> 'lines' FROM kb_history(1, 'ann') WHERE entry ->> 'period' = '2026-11-01')) AS l;

-- Bad input

SELECT is(left(pg_temp.error_of(statement), 5), state, format('%s: %s', state, statement)) FROM (VALUES
	($$SELECT kb_set_minimum('none', '1 USD')$$, 'KB012'), ($$SELECT kb_set_minimum('std', '-1 USD')$$, '22023'),
	($$SELECT kb_set_minimum('std', '1 UAH')$$, 'KB002'), ($$SELECT kb_set_minimum('std', NULL)$$, '22004'),
	($$SELECT kb_set_minimum('std', '1 USD', 'infinity')$$, '22008'),
	($$SELECT kb_set_discount(1, 10, '1 USD')$$, '22023'), ($$SELECT kb_set_discount(1, 0)$$, '22023'),
	($$SELECT kb_set_discount(1, -5)$$, '22023'), ($$SELECT kb_set_discount(1, 100.01)$$, '22023'),
	($$SELECT kb_set_discount(1, 'NaN')$$, '22023'), ($$SELECT kb_set_discount(1, 0.00001)$$, '22023'),
	($$SELECT kb_set_discount(1, amount => '0 USD')$$, '22023'), ($$SELECT kb_set_discount(1, amount => '1 UAH')$$, 'KB002'),
	($$SELECT kb_set_discount(1, 10, services => '{}')$$, '22023'), ($$SELECT kb_set_discount(1, 10, services => '{NULL}')$$, '22023'),
	($$SELECT kb_set_discount(1, 10, services => '{nothing}')$$, 'KB012'), ($$SELECT kb_set_discount(1, 10,
		services => '{pack}')$$, '22023'),
	($$SELECT kb_set_discount(1, 10, months => 0)$$, '22023'), ($$SELECT kb_set_discount(1, 10, from_period => '2027-03-02')$$, '22023'),
	($$SELECT kb_set_discount(1, 10, from_period => 'infinity')$$, '22023'),
	($$SELECT kb_set_discount(1, 10, from_period => '2026-11-01')$$, 'KB009'), ($$SELECT kb_set_discount(99, 10)$$, 'KB001'),
	($$SELECT kb_create_discount_code('WELCOME', 5)$$, '23505'), ($$SELECT kb_create_discount_code('X')$$, '22023'),
	($$SELECT kb_create_discount_code('', 5)$$, '22023'), ($$SELECT kb_create_discount_code(NULL, 5)$$, '22004'),
	($$SELECT kb_create_discount_code('X', 5, '1 USD')$$, '22023'), ($$SELECT kb_create_discount_code('X', 5, max_uses => 0)$$, '22023'),
	($$SELECT kb_create_discount_code('4111111111111111', 5)$$, 'KB008'), ($$SELECT kb_create_discount_code('X', 101)$$, '22023'),
	($$SELECT kb_drop_discount_code('nothing')$$, '22023'),
	($$SELECT kb_redeem_code(1, 'nothing', 'ann')$$, '22023'), ($$SELECT kb_redeem_code(1, 'WELCOME', 'eve')$$, 'KB004'),
	($$SELECT kb_redeem_code(1, 'WELCOME', 'nobody')$$, 'KB004'), ($$SELECT kb_redeem_code(1, 'YEN', 'ann')$$, 'KB002'),
	($$SELECT kb_redeem_code(99, 'WELCOME', 'ann')$$, 'KB001'), ($$SELECT kb_redeem_code(1, NULL, 'ann')$$, '22004'))
		AS t (statement, state);

-- What was agreed is logged (J9), and nothing twice

SELECT kb_set_discount(15, percent => 10), kb_set_discount(15, percent => 10.00), kb_set_discount(15, percent => 20), kb_set_discount(15),
	kb_set_discount(15)
\g /dev/null
SELECT results_eq($$SELECT before ->> 'percent', before ->> 'to_period', after ->> 'percent', after ->> 'to_period' FROM change_log
	WHERE subject = 'discount' AND account_id = 15 ORDER BY change_id$$,
	$$VALUES (NULL, NULL, '10', 'infinity'), ('10', 'infinity', '10', '2027-03-01'), (NULL, NULL, '20', 'infinity'),
		('20', 'infinity', '20', '2027-03-01')$$, 'J9: a discount that is set, replaced and ended');
SELECT results_eq($$SELECT member::text, after ->> 'code' FROM change_log WHERE subject = 'discount'
	AND account_id = 12 ORDER BY change_id$$,
	$$VALUES ('bob', 'WELCOME'), ('ann', 'FIVE')$$, 'J9: who redeemed a code');
SELECT results_eq($$SELECT before ->> 'amount', after ->> 'amount', after ->> 'from_date' FROM change_log WHERE subject = 'minimum'
	AND tariff = 'bare' ORDER BY change_id LIMIT 2$$,
	$$VALUES (NULL, '30.00 USD', '2026-11-11'), ('30.00 USD', '60.00 USD', '2026-12-01')$$, 'J9: minimums');
SELECT results_eq($$SELECT before ->> 'code', after ->> 'code' FROM change_log WHERE subject = 'discount_code' ORDER BY change_id$$,
	$$VALUES (NULL, 'WELCOME'), (NULL, 'FIVE'), (NULL, 'YEN'), ('FIVE', NULL)$$, 'J9: codes');

-- Who may not read discounts does not learn who has one

CREATE ROLE kbilling_discount_stranger;
SET LOCAL ROLE kbilling_discount_stranger;
SELECT is(left(pg_temp.error_of(format($$SELECT kbilling_internal.kb_with_terms(NULL, %s, 'USD', 'std', '2026-11-01',
	'2027-03-01', '2027-03-01')$$, id)), 5), '42501', 'E6: a stranger asks for account ' || id) FROM unnest('{1,5}'::bigint[]) AS id;
RESET ROLE;

-- Whatever the terms, however late the usage: all bills of a month together are what it comes to as a whole

SELECT setseed(0.15)
\g /dev/null
SELECT kb_create_tariff(t, 'USD'), kb_set_price(t, 'base', p::kb_price), kb_set_price(t, 'seat', '3.33 each'),
	kb_set_price(t, 'calls', 'graduated 0.07 to 50, 0.013 free 5'), kb_set_price(t, 'mails', '0.01 each min 1.50')
FROM (VALUES ('p0', '19.99'), ('p1', '7.00'), ('p2', '0.00')) AS x (t, p)
\g /dev/null
SELECT kb_set_minimum('p1', '25.55 USD'), kb_set_minimum('p1', '11 USD', '2026-12-17'), kb_set_minimum('p2', '9.99 USD', '2026-11-20')
\g /dev/null
CREATE FUNCTION pg_temp.dice(n integer, b bigint) RETURNS integer LANGUAGE sql VOLATILE RETURN floor(random() * n)::integer + b * 0;
SELECT pg_temp.clock('2026-11-15 12:00+00')
\g /dev/null
SELECT kb_create_account('ann', 'p' || id % 3, id, created_at => timestamptz '2026-11-01 12:00+00' + pg_temp.dice(14,
	id) * interval '1 day')
FROM generate_series(1001, 1060) AS id
\g /dev/null
SELECT kb_switch_on(id, 'seat', 1 + pg_temp.dice(3, id)), CASE WHEN id % 4 = 0 THEN kb_set_tariff(id, 'p' || (id + 1) % 3,
	'2026-11-21') END
FROM generate_series(1001, 1060) AS id
\g /dev/null
-- percentages and amounts by which each discount is known: those of an account are all different
SELECT CASE pg_temp.dice(2, id)
	WHEN 0 THEN kb_set_discount(id, percent => (ARRAY[12.5, 33.3333, 77])[n] + id % 10, services => w.services,
		months => 1 + pg_temp.dice(2, id + n), from_period => w.period)
	ELSE kb_set_discount(id, amount => kb_money((ARRAY[1.01, 7.77, 30])[n] + id % 10, 'USD'), services => w.services,
		from_period => w.period) END
FROM generate_series(1001, 1060) AS id, generate_series(1, 3) AS n
CROSS JOIN LATERAL (SELECT (ARRAY[NULL, '{calls}', '{base,calls,seat}', '{mails,seat}'])[1 + pg_temp.dice(4, id + n)]::text[] AS services,
	(date '2026-11-01' + pg_temp.dice(2, id + n) * interval '1 month')::date AS period OFFSET 0) AS w
WHERE pg_temp.dice(2, id + n) = 0
\g /dev/null
CREATE TEMP TABLE usage_to_come AS
SELECT id, s.service, n, greatest(timestamptz '2026-11-16 00:00+00', timestamptz '2026-11-16 00:00+00' + pg_temp.dice(60,
	id) * interval '1 day') AS at,
	CASE WHEN pg_temp.dice(4, id) = 0 THEN -1 ELSE 1 END * pg_temp.dice(120, id) AS quantity,
	timestamptz '2026-11-16 12:00+00' + pg_temp.dice(90, id) * interval '1 day' AS known_at
FROM generate_series(1001, 1060) AS id, unnest('{calls,mails}'::text[]) AS s (service), generate_series(1, 6) AS n;
UPDATE usage_to_come SET known_at = greatest(known_at, at + interval '1 hour');
CREATE TABLE shown (account_id bigint, period date, lines text, total kb_money);
DO $$
DECLARE
	month date;
BEGIN
	FOR month IN SELECT d::date FROM generate_series(timestamp '2026-11-01', '2027-02-01', '1 month') AS d LOOP
		PERFORM pg_temp.clock(month + interval '1 month' - interval '1 second');
		PERFORM kb_record_usage(id, service, quantity, format('%s', n), at) FROM usage_to_come
			WHERE known_at <= kb_now() AND known_at > kb_now() - interval '1 month' AND at <= kb_now() ORDER BY known_at, id, n;
		INSERT INTO shown SELECT id, month, (SELECT string_agg(row(c.*)::text, E'\n' ORDER BY line_no) FROM kb_current_usage(id) AS c),
			(SELECT f.charge FROM kb_forecast(id, 1) AS f WHERE f.period = month)
			FROM generate_series(1001, 1060) AS id;
		PERFORM pg_temp.clock(month + interval '1 month' + interval '6 hours');
		PERFORM kb_month_charge(id) FROM generate_series(1001, 1060) AS id;
	END LOOP;
END $$;
SELECT is_empty($$SELECT s.account_id, s.period, s.lines, l.lines FROM shown AS s LEFT JOIN LATERAL (
	SELECT string_agg(row(c.line_no, c.service, c.what, c.from_date, c.to_date, c.days, c.days_in_month, c.quantity,
		c.events, c.billed_quantity,
		c.billed_events, c.price, c.amount)::text, E'\n' ORDER BY line_no) AS lines FROM charge_line AS c
	WHERE (c.account_id, c.period) = (s.account_id, s.period)) AS l ON true
	WHERE l.lines IS DISTINCT FROM s.lines AND l.lines IS NOT NULL$$,
		'C6: of random accounts, the charge is what was shown, line by line');
SELECT is_empty($$SELECT s.* FROM shown AS s LEFT JOIN entry AS e ON e.account_id = s.account_id AND e.period = s.period
	WHERE s.total <> coalesce(- e.amount, '0 USD')$$, 'S6: and what was foretold');
-- the second computation: of all lines about a month, whichever bill they are on
CREATE TEMP TABLE about AS SELECT account_id, date_trunc('month', from_date)::date AS month, service, what, price,
	sum(kb_amount(amount)) AS amount
	FROM charge_line WHERE account_id > 1000 GROUP BY 1, 2, 3, 4, 5;
CREATE TEMP TABLE wrong (account_id bigint, month date, problem text);
DO $$
DECLARE
	m record;
	d record;
	s record;
	left_of jsonb;
	base numeric;
	due numeric;
	taken numeric;
BEGIN
	FOR m IN SELECT account_id, month FROM about GROUP BY 1, 2 LOOP
		SELECT jsonb_object_agg(service, amount) INTO left_of FROM (SELECT service, sum(amount) AS amount FROM about
			WHERE (account_id, month) = (m.account_id, m.month) AND what NOT IN ('discount', 'minimum') GROUP BY service) AS x;
		FOR d IN SELECT * FROM discount WHERE account_id = m.account_id AND from_period <= m.month
			AND to_period > m.month ORDER BY discount_no LOOP
			SELECT coalesce(sum(value::numeric), 0) INTO base FROM jsonb_each_text(left_of) WHERE d.services IS NULL
				OR key = ANY (d.services);
			due = CASE WHEN d.percent IS NOT NULL THEN round(base * d.percent / 100, 2) ELSE least(kb_amount(d.amount), base) END;
			taken = 0;
			FOR s IN SELECT * FROM about WHERE (account_id, month, what) = (m.account_id, m.month, 'discount')
				AND price = coalesce(d.percent || '%', kb_amount(d.amount)::text) LOOP
				IF s.amount > 0 OR - s.amount > (left_of ->> s.service)::numeric OR NOT coalesce(s.service = ANY (d.services), true) THEN
					INSERT INTO wrong VALUES (m.account_id, m.month, format('%s of %s', s, left_of));
				END IF;
				taken = taken - s.amount;
				left_of = left_of || jsonb_build_object(s.service, (left_of ->> s.service)::numeric + s.amount);
			END LOOP;
			IF taken <> due THEN
				INSERT INTO wrong VALUES (m.account_id, m.month, format('%s takes %s of %s', d, taken, left_of));
			END IF;
		END LOOP;
		SELECT coalesce(sum(value::numeric), 0) INTO base FROM jsonb_each_text(left_of);
		SELECT round(coalesce(sum(kb_amount(l.amount)), 0) / extract(day
			FROM m.month + interval '1 month' - interval '1 day'), 2) INTO due
		FROM generate_series(m.month, m.month + interval '1 month' - interval '1 day', '1 day') AS g (day)
		JOIN account_tariff AS t ON t.account_id = m.account_id AND t.from_date <= day AND t.to_date > day
		JOIN tariff_minimum AS l ON l.tariff = t.tariff AND l.from_date <= day AND l.to_date > day;
		SELECT coalesce(sum(amount), 0) INTO taken FROM about WHERE (account_id, month, what) = (m.account_id, m.month, 'minimum');
		IF taken <> greatest(due - base, 0) THEN
			INSERT INTO wrong VALUES (m.account_id, m.month, format('minimum %s of %s, services %s', taken, due, left_of));
		END IF;
	END LOOP;
END $$;
SELECT is_empty('SELECT * FROM wrong', 'C9, C10, U3: the bills of a month add up to what it comes to');
SELECT cmp_ok((SELECT count(*) FROM charge_line WHERE account_id > 1000 AND what = w), '>', 20::bigint, 'there are many lines: ' || w)
FROM unnest('{discount,minimum,late usage}'::text[]) AS w;
SELECT cmp_ok((SELECT count(*) FROM charge_line WHERE account_id > 1000 AND what = 'minimum' AND from_date < period), '>', 5::bigint,
	'and minimums of late months');
SELECT is_empty($$SELECT to_jsonb(l), s FROM charge_line AS l, LATERAL (SELECT sum(e.amount) AS sum,
	max(abs(kb_minor(e.amount))) FILTER (WHERE e.text LIKE 'Rounding%') AS rounding FROM kb_explain_line(to_jsonb(l)) AS e) AS s
	WHERE account_id > 1000 AND what IN ('discount', 'minimum') AND (s.sum <> l.amount OR s.rounding > 1)$$,
	'C7: the steps of a line add up to its amount, but for a unit of rounding');
SELECT is_empty('SELECT * FROM kb_check()', 'the books are right');

-- kb_with_terms is for everyone, as views are made of it: what is no bill is refused, as are arguments that are not there
SELECT isnt((SELECT count(*) FROM tariff_minimum), 0::bigint, 'there is something to look up');
SELECT matches(pg_temp.error_of(format('SELECT kb_with_terms(ROW(%L, %L)::kb_bill_result, 1, ''USD'', ''std'', ''2026-01-01'', '
	'''2026-01-01'', ''2026-01-31'')', total, lines)), error, coalesce(lines, 'no lines') || ' are no lines of a bill')
FROM (VALUES ('1 USD', '1', '^22023 lines are not an array'), ('1 USD', '{"service": "base"}', '^22023 lines are not an array'),
	('1 USD', '[1]', '^22023 lines are not those of a bill'), ('1 USD', '[{}]', '^22023 lines are not those of a bill'),
	('1 USD', '[{"service": "base", "what": "base fee", "from_date": "2026-01-01"}]', '^22023 lines are not those of a bill'),
	('1 USD', '[{"service": "base", "what": "base fee", "amount": "1.00 USD"}]', '^22023 lines are not those of a bill'),
	('1 USD', '[{"service": "base", "what": "base fee", "from_date": "2026-01-01", "amount": 1}]',
		'^22023 lines are not those of a bill'),
	(NULL, '[]', '^22004 a bill must have'), ('1 USD', NULL, '^22004 a bill must have')
) AS t (total, lines, error);
SELECT matches(pg_temp.error_of(format('SELECT kb_with_terms(NULL, %s)', array_to_string(
		(ARRAY['1', '''USD''', '''std''', '''2026-01-01''', '''2026-01-01''', '''2026-01-31'''])[:i - 1] || 'NULL'::text
		|| (ARRAY['1', '''USD''', '''std''', '''2026-01-01''', '''2026-01-01''', '''2026-01-31'''])[i + 1:], ', '))),
	'^22004 .* must not be null', format('argument %s must not be null', i))
FROM generate_series(1, 6) AS i;
-- C8, C10: lines that set each other off are an entry of zero; a minimum that was met is not paid back for what comes late
SET kbilling.clock = '2028-02-01 10:00+00';
SELECT kb_create_tariff('off', 'USD'), kb_set_price('off', 'calls', '1.00 each'), kb_set_minimum('off', '5 USD', '2028-03-01') \g /dev/null
SELECT kb_create_account('ann', 'off', 60), kb_record_usage(60, 'calls', 5, 'k1') \g /dev/null
SET kbilling.clock = '2028-03-01 10:00+00';
SELECT kb_month_charge(60), kb_record_usage(60, 'calls', 5, 'k2'), kb_record_usage(60, 'calls', -5, 'k3', '2028-02-01 10:00+00')
\g /dev/null
SET kbilling.clock = '2028-04-01 10:00+00';
SELECT isnt((kb_month_charge(60)).entry_seq, NULL, 'C8: usage and what was taken back are an entry of zero');
SELECT is((SELECT array_agg(l.what || ' ' || l.amount ORDER BY l.line_no) FROM charge_line l
		WHERE account_id = 60 AND period = '2028-03-01'),
	'{usage 5.00 USD,late usage -5.00 USD}', 'C8: which shows them');
SELECT kb_record_usage(60, 'calls', 2, 'k4', '2028-03-05 10:00+00') \g /dev/null
SELECT is((SELECT array_agg(what || ' ' || amount ORDER BY line_no) FROM kb_current_usage(60) WHERE from_date < '2028-04-01'),
	'{late usage 2.00 USD}', 'C10: what comes late is owed, as that month had no minimum');
-- C9: the month in which a contract ended is charged on the next day; what is agreed after that is not for its late usage
SET kbilling.clock = '2028-05-02 10:00+00';
SELECT kb_create_account('ann', 'off', 61), kb_end_account(61, 'ann', '2028-05-05'),
	kb_create_discount_code('LATE', percent => 10) \g /dev/null
SET kbilling.clock = '2028-05-07 10:00+00';
SELECT kb_month_charge(61) \g /dev/null
SELECT is(charged_through, '2028-05-31', 'X2: the running month is charged') FROM account WHERE account_id = 61;
SELECT kb_record_usage(61, 'calls', 10, 'k1', '2028-05-04 10:00+00'), kb_set_discount(61, 50), kb_redeem_code(61, 'LATE', 'ann')
\g /dev/null
SELECT is((SELECT array_agg(what || ' ' || amount ORDER BY line_no) FROM kb_current_usage(61) WHERE what <> 'minimum'),
	'{late usage 10.00 USD}', 'C9: a charged month stays as it is');
SELECT is(array_agg(from_period), '{2028-06-01,2028-06-01}', 'C9: it is for the months after it') FROM discount WHERE account_id = 61;
SELECT * FROM finish();
ROLLBACK;
