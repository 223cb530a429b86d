BEGIN;
SET LOCAL search_path = kbilling, public;
SET LOCAL kbilling.clock = '2026-11-01 10:00+00';
SELECT no_plan();

SELECT kb_create_tariff('pro', 'USD'), kb_create_tariff('plain', 'USD'), kb_create_tariff('euro', 'EUR');
SELECT kb_set_bonus('pro', '100 USD', 10), kb_set_price('pro', 'base', '30.00'), kb_set_price('plain', 'base', '30.00');

-- Plays steps on a new account; what the last one has made of it, or its SQLSTATE.
-- Top-ups are t1, t2, …; a charge of N is an adjustment, which spends bonus first, too.  A refund may name its top-up, a
-- chargeback its amount; what is forced is a refund that the provider has made already.
CREATE FUNCTION pg_temp.play(tariff text, VARIADIC steps text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	id bigint := kbilling.kb_create_account('ann', tariff);
	topups integer := 0;
	verb text;
	what text;
	which text;
BEGIN
	FOR n IN 1 .. cardinality(steps) LOOP
		verb := split_part(steps[n], ' ', 1);
		what := split_part(steps[n], ' ', 2);
		which := nullif(split_part(steps[n], ' ', 3), '');
		CASE verb
			WHEN 'topup' THEN
				topups := topups + 1;
				PERFORM kbilling.kb_apply_topup(id, (what || ' USD')::kbilling.kb_money, 'card', 't' || topups);
			WHEN 'spend' THEN PERFORM kbilling.kb_adjust(id, ('-' || what || ' USD')::kbilling.kb_money, 'k' || n, 'spent');
			WHEN 'give' THEN PERFORM kbilling.kb_adjust(id, (what || ' USD')::kbilling.kb_money, 'k' || n, 'given');
			WHEN 'refund' THEN
				PERFORM kbilling.kb_refund(id, (what || ' USD')::kbilling.kb_money, 'k' || n, topup_reference => which);
			WHEN 'forced' THEN
				PERFORM kbilling.kb_refund(id, (what || ' USD')::kbilling.kb_money, 'k' || n, NULL, which, true);
			WHEN 'chargeback' THEN
				PERFORM kbilling.kb_chargeback(id, what, 'k' || n, (which || ' USD')::kbilling.kb_money);
			WHEN 'writeoff' THEN PERFORM kbilling.kb_write_off(id, 'k' || n, 'small');
			WHEN 'reverse' THEN PERFORM kbilling.kb_reverse(id, what::bigint, 'k' || n, 'wrong');
		END CASE;
	END LOOP;
	IF EXISTS (SELECT FROM kbilling.kb_verify(id)) THEN
		RETURN 'broken';
	END IF;
	RETURN (SELECT format('%s, bonus %s', balance, unspent_bonus) || coalesce(', debt since ' || debt_since, '')
			FROM kbilling.account WHERE account_id = id);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
CREATE FUNCTION pg_temp.plays(rule text, tariff text, steps text, result text) RETURNS text LANGUAGE sql AS $$
	SELECT is(pg_temp.play(tariff, VARIADIC string_to_array(steps, ', ')), result, format('%s: %s: %s', rule, steps, result))
$$;

-- A top-up of 100 earns 10, one of 200 earns 20, and so on.

-- Refund: the paid money that is left, to the cent

SELECT pg_temp.plays('T6', tariff, steps, result)
FROM (VALUES
	('plain', 'topup 50, refund 20', '30.00 USD, bonus 0.00 USD'),
	('plain', 'topup 50, refund 50', '0.00 USD, bonus 0.00 USD'),
	('plain', 'topup 50, refund 50.01', 'KB005'),
	('plain', 'topup 50, refund 30, refund 20.01', 'KB005'),
	('plain', 'topup 50, refund 0', 'KB005'),
	('plain', 'topup 50, refund -1', 'KB005'),
	('plain', 'refund 0.01', 'KB005'),
	('plain', 'spend 50, refund 0.01', 'KB005'),
	('plain', 'spend 50, topup 50, refund 0.01', 'KB005'),
	('plain', 'spend 50, topup 60, refund 10', '0.00 USD, bonus 0.00 USD'),
	('plain', 'spend 50, topup 60, refund 10.01', 'KB005'),
	-- never the bonus, which goes with the money that earned it
	('pro', 'topup 100, refund 100', '0.00 USD, bonus 0.00 USD'),
	('pro', 'topup 100, refund 100.01', 'KB005'),
	-- which is spent first
	('pro', 'topup 100, spend 4, refund 100', '0.00 USD, bonus 0.00 USD'),
	('pro', 'topup 100, spend 4, refund 100.01', 'KB005'),
	('pro', 'topup 100, spend 10, refund 100', '0.00 USD, bonus 0.00 USD'),
	('pro', 'topup 100, spend 10.01, refund 99.99', '0.00 USD, bonus 0.00 USD'),
	('pro', 'topup 100, spend 10.01, refund 100', 'KB005'),
	('pro', 'topup 100, refund 100, spend 4', '-4.00 USD, bonus 0.00 USD, debt since 2026-11-01'),
	('pro', 'topup 100, refund 100, topup 100, refund 100', '0.00 USD, bonus 0.00 USD'),
	-- by proportion, of what is unspent; the last part takes the rest
	('pro', 'topup 100, refund 30', '77.00 USD, bonus 7.00 USD'),
	('pro', 'topup 100, spend 4, refund 50', '53.00 USD, bonus 3.00 USD'),
	('pro', 'topup 100, refund 33.33', '73.34 USD, bonus 6.67 USD'),
	('pro', 'topup 100, refund 33.33, refund 33.33', '36.68 USD, bonus 3.34 USD'),
	('pro', 'topup 100, refund 33.33, refund 33.33, refund 33.34', '0.00 USD, bonus 0.00 USD'),
	('pro', 'topup 100, refund 0.01, refund 99.99', '0.00 USD, bonus 0.00 USD'),
	('pro', 'topup 100, refund 0.05', '109.94 USD, bonus 9.99 USD'),	-- 0.005 is rounded away from zero
	('pro', 'topup 100, refund 0.04', '109.96 USD, bonus 10.00 USD'),
	('pro', 'topup 100, spend 10, refund 50, refund 50', '0.00 USD, bonus 0.00 USD'),
	-- the newest top-up first, or the one that is named
	('pro', 'topup 100, topup 50, refund 50', '110.00 USD, bonus 10.00 USD'),
	('pro', 'topup 100, topup 50, refund 60', '99.00 USD, bonus 9.00 USD'),
	('pro', 'topup 50, topup 100, refund 60', '94.00 USD, bonus 4.00 USD'),
	('pro', 'topup 100, topup 50, refund 60 t1', '94.00 USD, bonus 4.00 USD'),
	('pro', 'topup 100, topup 200, refund 200', '110.00 USD, bonus 10.00 USD'),
	('pro', 'topup 100, topup 200, refund 100 t1', '220.00 USD, bonus 20.00 USD'),
	('pro', 'topup 100, topup 200, refund 300', '0.00 USD, bonus 0.00 USD'),
	('pro', 'topup 100, topup 200, spend 15, refund 100 t1', '215.00 USD, bonus 15.00 USD'),
	('pro', 'topup 100, topup 200, spend 15, refund 100 t2', '207.50 USD, bonus 7.50 USD'),
	-- for at most its amount
	('pro', 'topup 100, topup 50, refund 50.01 t2', 'KB005'),
	('pro', 'topup 100, topup 50, refund 50 t2, refund 0.01 t2', 'KB005'),
	('pro', 'topup 100, topup 50, refund 150.01', 'KB005'),
	('pro', 'topup 100, topup 50, refund 10 t3', '22023'),
	('plain', 'topup 50, give 60, refund 50.01', 'KB005'),	-- what was given was not paid
	('plain', 'give 60, refund 1', 'KB005'),
	('plain', 'topup 50, spend 50, give 50, refund 50', '0.00 USD, bonus 0.00 USD'),
	-- what the provider has refunded already
	('plain', 'topup 50, spend 50, refund 20', 'KB005'),
	('plain', 'topup 50, spend 50, forced 20', '-20.00 USD, bonus 0.00 USD, debt since 2026-11-01'),
	('plain', 'topup 50, spend 50, forced 50.01', 'KB005'),
	('plain', 'topup 50, topup 50, spend 100, forced 60 t2', 'KB005'),
	('plain', 'topup 50, topup 50, spend 100, forced 60', '-60.00 USD, bonus 0.00 USD, debt since 2026-11-01'),
	('plain', 'topup 50, spend 50, forced 50, forced 0.01', 'KB005'),
	('plain', 'topup 50, spend 50, forced 0', 'KB005'),
	('pro', 'topup 100, forced 100', '0.00 USD, bonus 0.00 USD'),
	('pro', 'topup 100, spend 60, forced 100', '-50.00 USD, bonus 0.00 USD, debt since 2026-11-01'),
	-- 200 of paid money are spent; the bonus of t2 stays until t2 goes, or the debt spends it
	('pro', 'topup 50, spend 50, topup 100, forced 50 t1', '60.00 USD, bonus 10.00 USD'),
	('pro', 'topup 50, spend 50, topup 100, forced 50 t1, forced 100 t2', '-50.00 USD, bonus 0.00 USD, debt since 2026-11-01'),
	-- reversed: the money is back, its bonus too, and it can be refunded again
	('pro', 'topup 100, refund 30, reverse 4', '110.00 USD, bonus 10.00 USD'),
	('pro', 'topup 100, refund 30, reverse 4, refund 100', '0.00 USD, bonus 0.00 USD'),
	('pro', 'topup 100, refund 30, reverse 4, refund 100.01', 'KB005'),
	('pro', 'topup 100, refund 30, refund 70, reverse 4', '33.00 USD, bonus 3.00 USD'),
	('pro', 'topup 100, topup 200, refund 250, reverse 7', '330.00 USD, bonus 30.00 USD'),
	('pro', 'topup 100, spend 110, forced 100, reverse 4', '0.00 USD, bonus 0.00 USD'),
	('pro', 'topup 100, refund 30, reverse 4, reverse 4', 'KB006'),
	('pro', 'topup 100, refund 30, reverse 3', '22023'),	-- the bonus comes back with the refund
	('pro', 'topup 100, refund 30, reverse 4, reverse 6', '22023')
) AS t (tariff, steps, result);

-- Chargeback: what is left of the top-up, and as much of its bonus as is unspent

SELECT pg_temp.plays('T7', 'pro', steps, result)
FROM (VALUES
	('topup 50, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, spend 4, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, spend 10, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, spend 30, chargeback t1', '-20.00 USD, bonus 0.00 USD, debt since 2026-11-01'),
	('topup 100, spend 110, chargeback t1', '-100.00 USD, bonus 0.00 USD, debt since 2026-11-01'),
	('topup 100, refund 30, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, refund 100, chargeback t1', 'KB006'),
	('topup 100, spend 50, refund 60, chargeback t1', '-40.00 USD, bonus 0.00 USD, debt since 2026-11-01'),
	-- or the part that is named
	('topup 100, chargeback t1 40', '66.00 USD, bonus 6.00 USD'),
	('topup 100, chargeback t1 40, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, chargeback t1 40, chargeback t1 60', '0.00 USD, bonus 0.00 USD'),
	('topup 100, chargeback t1 40, chargeback t1 60.01', 'KB005'),
	('topup 100, chargeback t1 100.01', 'KB005'),
	('topup 100, chargeback t1 0', 'KB005'),
	('topup 100, chargeback t1 -1', 'KB005'),
	('topup 100, chargeback t1 100, chargeback t1 1', 'KB006'),
	('topup 100, chargeback t1 40, refund 60', '0.00 USD, bonus 0.00 USD'),
	('topup 100, chargeback t1 40, refund 60.01', 'KB005'),
	('topup 100, chargeback t1 33.33, refund 33.33, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, spend 110, chargeback t1 40', '-40.00 USD, bonus 0.00 USD, debt since 2026-11-01'),
	-- the oldest bonus is spent first: a later top-up's is not touched
	('topup 100, topup 200, chargeback t1', '220.00 USD, bonus 20.00 USD'),
	('topup 100, topup 200, chargeback t2', '110.00 USD, bonus 10.00 USD'),
	('topup 100, topup 200, spend 4, chargeback t1', '220.00 USD, bonus 20.00 USD'),
	('topup 100, topup 200, spend 4, chargeback t2', '106.00 USD, bonus 6.00 USD'),
	('topup 100, topup 200, spend 10, chargeback t1', '220.00 USD, bonus 20.00 USD'),
	('topup 100, topup 200, spend 15, chargeback t1', '215.00 USD, bonus 15.00 USD'),
	('topup 100, topup 200, spend 15, chargeback t2', '100.00 USD, bonus 0.00 USD'),
	('topup 100, topup 200, spend 15, chargeback t1, chargeback t2', '0.00 USD, bonus 0.00 USD'),
	('topup 100, topup 200, spend 15, chargeback t2, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, topup 200, spend 4, chargeback t2, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, topup 50, spend 4, chargeback t2', '106.00 USD, bonus 6.00 USD'),
	-- nor once an earlier one has been taken back: of 50, 20 are spent from t2, 5 from t3
	('topup 100, topup 200, topup 300, chargeback t1, spend 25, chargeback t2', '325.00 USD, bonus 25.00 USD'),
	('topup 100, topup 200, topup 300, chargeback t1, spend 5, chargeback t2', '330.00 USD, bonus 30.00 USD'),
	('topup 100, topup 200, topup 300, chargeback t3, spend 15, chargeback t1', '215.00 USD, bonus 15.00 USD'),
	-- a bonus that was reversed is there no more
	('topup 100, topup 200, reverse 4, chargeback t1', '200.00 USD, bonus 0.00 USD'),
	('topup 200, topup 100, reverse 4, chargeback t2', '220.00 USD, bonus 20.00 USD'),
	('topup 100, topup 200, reverse 2, chargeback t1', '220.00 USD, bonus 20.00 USD'),
	-- one that was given back is
	('topup 100, spend 10, reverse 3, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	-- once
	('topup 100, chargeback t1, chargeback t1', 'KB006'),
	('topup 100, reverse 1, chargeback t1', 'KB006'),
	('topup 100, chargeback t1, reverse 1', 'KB006'),
	('topup 100, chargeback t1 40, reverse 1', 'KB006'),
	('topup 100, refund 40, reverse 1', 'KB006'),
	-- a dispute that was won brings the bonus back, and can be lost again
	('topup 100, chargeback t1, reverse 4', '110.00 USD, bonus 10.00 USD'),
	('topup 100, spend 4, chargeback t1, reverse 5', '106.00 USD, bonus 6.00 USD'),
	('topup 100, chargeback t1, reverse 4, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, chargeback t1, reverse 4, chargeback t1, reverse 8, refund 100', '0.00 USD, bonus 0.00 USD'),
	('topup 100, chargeback t1 40, reverse 4, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, chargeback t1 40, chargeback t1, reverse 4', '44.00 USD, bonus 4.00 USD'),
	('topup 100, chargeback t1 40, chargeback t1, reverse 4, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, chargeback t1, spend 20, reverse 4', '90.00 USD, bonus 10.00 USD'),
	('topup 100, chargeback t1, reverse 4, reverse 1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, chargeback t1, reverse 4, reverse 2', '100.00 USD, bonus 0.00 USD'),
	('topup 100, chargeback t1, reverse 4, reverse 4', 'KB006'),
	-- what has been taken of a bonus is taken once
	('topup 100, spend 4, chargeback t1, reverse 2', 'KB006'),
	('topup 100, chargeback t1 40, reverse 2', 'KB006'),
	('topup 100, refund 40, reverse 2', 'KB006'),
	('topup 100, chargeback t1, reverse 3', '22023'),
	('topup 100, chargeback t1, reverse 4, reverse 6', '22023'),
	('topup 100, reverse 2, chargeback t1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, reverse 2, chargeback t1, reverse 4', '100.00 USD, bonus 0.00 USD'),
	('topup 100, reverse 2, refund 100', '0.00 USD, bonus 0.00 USD'),
	('topup 100, chargeback t2', '22023'),
	('topup 100, spend 1, chargeback k2', '22023')
) AS t (steps, result);

SELECT kb_create_account('ann', 'pro', 1000);
SELECT kb_apply_topup(1000, '100 USD', 'card', 't1'), kb_adjust(1000, '-4 USD', 'k', 'spent'), kb_chargeback(1000, 't1', 'c');
SELECT is(ARRAY(SELECT format('%s %s %s for %s: %s, bonus %s', seq, kind, amount, ref_seq, balance_after, bonus_after)
				FROM entry WHERE account_id = 1000 AND seq > 3 ORDER BY seq),
	'{"4 bonus -6.00 USD for 2: 100.00 USD, bonus 0.00 USD","5 chargeback -100.00 USD for 1: 0.00 USD, bonus 0.00 USD"}',
	'T6: what is taken of the bonus is an entry of its own');
SELECT is(kb_chargeback(1000, 't1', 'c'), 5::bigint, 'J3: the chargeback again gives the first result');
SELECT is((SELECT last_seq FROM account WHERE account_id = 1000), 5::bigint, 'J3: and takes no more bonus');

-- Adjustment and write-off

SELECT pg_temp.plays('J4', 'pro', steps, result)
FROM (VALUES
	('give 5', '5.00 USD, bonus 0.00 USD'),
	('topup 100, give 5', '115.00 USD, bonus 10.00 USD'),
	('topup 100, spend 3', '107.00 USD, bonus 7.00 USD'),
	('topup 100, spend 12', '98.00 USD, bonus 0.00 USD'),
	('topup 100, spend 110.01', '-0.01 USD, bonus 0.00 USD, debt since 2026-11-01'),
	('give 0', 'KB005'),
	('spend 0.01, writeoff', '0.00 USD, bonus 0.00 USD'),
	('spend 50, topup 20, writeoff', '0.00 USD, bonus 0.00 USD'),
	('writeoff', 'KB005'),
	('give 1, writeoff', 'KB005'),
	('spend 1, writeoff, writeoff', 'KB005')
) AS t (steps, result);

-- Reversal of each kind

SELECT pg_temp.plays('J1', 'pro', steps, result)
FROM (VALUES
	('topup 50, reverse 1', '0.00 USD, bonus 0.00 USD'),
	('topup 50, spend 20, reverse 1', '-20.00 USD, bonus 0.00 USD, debt since 2026-11-01'),
	('topup 100, reverse 2', '100.00 USD, bonus 0.00 USD'),
	('topup 100, reverse 2, reverse 1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, reverse 1', '0.00 USD, bonus 0.00 USD'),	-- its unspent bonus goes with it
	('topup 100, spend 4, reverse 1', '0.00 USD, bonus 0.00 USD'),
	('topup 100, reverse 1, reverse 2', 'KB006'),
	('topup 100, reverse 1, refund 1', 'KB005'),
	('topup 100, reverse 1, reverse 3', '22023'),
	('topup 100, spend 4, reverse 2', '96.00 USD, bonus 0.00 USD'),
	('topup 100, refund 20, reverse 4', '110.00 USD, bonus 10.00 USD'),
	-- what a charge spent of a bonus that is gone comes back as paid money
	('topup 100, spend 10, reverse 2, reverse 3', '100.00 USD, bonus 0.00 USD'),
	('topup 100, spend 4, reverse 3', '110.00 USD, bonus 10.00 USD'),
	('topup 100, spend 50, reverse 3', '110.00 USD, bonus 10.00 USD'),
	('topup 100, spend 200, reverse 3', '110.00 USD, bonus 10.00 USD'),
	('topup 100, spend 200, topup 40, reverse 3', '150.00 USD, bonus 10.00 USD'),
	('topup 100, spend 200, spend 105, reverse 3', '5.00 USD, bonus 5.00 USD'),
	('topup 50, chargeback t1, reverse 2', '50.00 USD, bonus 0.00 USD'),
	('give 5, reverse 1', '0.00 USD, bonus 0.00 USD'),
	('spend 50, writeoff, reverse 2', '-50.00 USD, bonus 0.00 USD, debt since 2026-11-01'),
	('spend 50, reverse 1', '0.00 USD, bonus 0.00 USD'),
	('give 5, reverse 1, reverse 1', 'KB006'),
	('give 5, reverse 1, reverse 2', '22023'),
	('give 5, reverse 2', '22023'),
	('give 5, reverse 0', '22023'),
	('give 5, reverse -1', '22023')
) AS t (steps, result);

-- A charge of 30 that spent a bonus of 10
SELECT kb_create_account('ann', 'pro', 2000);
SELECT kb_apply_topup(2000, '100 USD', 'card', 't1');
SET LOCAL kbilling.clock = '2026-12-01 10:00+00';
SELECT is(kb_month_charge(2000)::text, '(2026-11-01,3,"30.00 USD","80.00 USD",ok,f)', 'T6: a charge spends bonus first');
SELECT is((SELECT unspent_bonus::text FROM account WHERE account_id = 2000), '0.00 USD', 'T6: all of it');
SELECT is(kb_reverse(2000, 3, 'r', 'was down all month'), 4::bigint, 'J1: the charge is reversed');
SELECT is((SELECT format('%s, bonus %s', balance, unspent_bonus) FROM account WHERE account_id = 2000), '110.00 USD, bonus 10.00 USD',
	'T6: which gives back the bonus that it spent');
SELECT is((SELECT lines -> 0 ->> 'amount' FROM entry WHERE account_id = 2000 AND seq = seqs.seq), amount,
	format('C7: entry %s has the line', seq))
FROM (VALUES (3, '30.00 USD'), (4, '-30.00 USD')) AS seqs (seq, amount);
SELECT is((SELECT count(*) FROM charge_line WHERE account_id = 2000), 1::bigint, 'C7: charge_line shows that of the charge alone');
SELECT is((kb_month_charge(2000, '2026-11-01')).replayed, true, 'C4: the period stays charged');
SELECT throws_ok('SELECT kb_reverse(2000, 3, ''r2'', ''again'')', 'KB006', NULL, 'J1: a charge is reversed once');

-- A reversal takes effect today, and may make a debt of its own
SELECT kb_create_account('ann', 'plain', 2001);
SELECT kb_apply_topup(2001, '40 USD', 'card', 't1'), kb_adjust(2001, '-40 USD', 'a', 'spent');
SET LOCAL kbilling.clock = '2026-12-05 10:00+00';
SELECT kb_chargeback(2001, 't1', 'c');
SELECT is((SELECT format('%s since %s', balance, debt_since) FROM account WHERE account_id = 2001), '-40.00 USD since 2026-12-05',
	'S1: the debt counts from the day of the chargeback');

-- What the provider takes back of its own doing, by its reference, and nothing else (E6)

SELECT kb_create_account('ann', 'pro', 701), kb_create_account('bob', 'pro', 702);
SELECT kb_apply_topup(701, '100 USD', 'card', 'pay'), kb_refund(701, '30 USD', 'back'), kb_adjust(701, '-5 USD', 'fee', 'a fee');
SELECT isnt(kb_reverse_refund(701, 'back', 'failed'), NULL, 'a refund that has failed at the provider is reversed');
SELECT is((SELECT (r.kind, r.amount, r.memo, o.key)::text FROM entry r JOIN entry o ON (o.account_id, o.seq) = (r.account_id, r.ref_seq)
	WHERE (r.account_id, r.key) = (701, 'failed')), '(reversal,"30.00 USD","refund failed",back)', 'as a reversal of the refund');
SELECT is(kb_reverse_refund(701, 'back', 'failed'), (SELECT seq FROM entry WHERE (account_id, key) = (701, 'failed')), 'J3: and replayed');
SELECT kb_chargeback(701, 'pay', 'dispute');
SELECT isnt(kb_reverse_chargeback(701, 'dispute', 'won'), NULL, 'E6: a dispute that was won is a reversal');
SELECT is((SELECT (r.kind, - o.amount = r.amount, r.memo, o.key)::text FROM entry r
	JOIN entry o ON (o.account_id, o.seq) = (r.account_id, r.ref_seq) WHERE (r.account_id, r.key) = (701, 'won')),
	'(reversal,t,"dispute won",dispute)', 'E6: of the chargeback, as a whole');
SELECT is(kb_reverse_chargeback(701, 'dispute', 'won'), (SELECT seq FROM entry WHERE (account_id, key) = (701, 'won')), 'J3: and replayed');
SELECT throws_ok('SELECT ' || call, state, NULL, format('E6: %s: %s', state, call)) FROM (VALUES
	('kb_reverse_refund(701, ''pay'', ''x'')', '22023'), ('kb_reverse_refund(701, ''fee'', ''x'')', '22023'),
	('kb_reverse_refund(701, ''dispute'', ''x'')', '22023'), ('kb_reverse_refund(701, ''failed'', ''x'')', '22023'),
	('kb_reverse_refund(701, ''none'', ''x'')', '22023'), ('kb_reverse_refund(702, ''back'', ''x'')', '22023'),
	('kb_reverse_refund(701, ''back'', ''another'')', 'KB006'), ('kb_reverse_refund(701, ''back'', ''pay'')', 'KB006'),
	('kb_reverse_chargeback(701, ''pay'', ''x'')', '22023'), ('kb_reverse_chargeback(701, ''back'', ''x'')', '22023'),
	('kb_reverse_chargeback(701, ''kb:bonus:1'', ''x'')', '22023'), ('kb_reverse_chargeback(702, ''dispute'', ''x'')', '22023'),
	('kb_reverse_chargeback(701, ''dispute'', ''another'')', 'KB006'), ('kb_reverse_chargeback(404, ''dispute'', ''x'')', 'KB001'),
	('kb_reverse_chargeback(NULL, ''dispute'', ''x'')', '22004'), ('kb_reverse_chargeback(701, NULL, ''x'')', '22004'),
	('kb_reverse_chargeback(701, ''dispute'', NULL)', '22004'), ('kb_reverse_chargeback(701, ''dispute'', ''won'', NULL)', '22004'),
	('kb_reverse_refund(701, ''4111 1111 1111 1111'', ''x'')', 'KB008')
) AS t (call, state);
SELECT is_empty('SELECT * FROM kb_verify(701)', 'J5: the chain fits');

-- The limits, +-(2^53 - 1) minor units: nothing wraps, nothing is done

SELECT pg_temp.plays('M1', 'plain', steps, result)
FROM (VALUES
	('give 90071992547409.91', '90071992547409.91 USD, bonus 0.00 USD'),
	('give 90071992547409.91, give 0.01', '22003'),
	('give 90071992547409.92', '22003'),
	('spend 90071992547409.91', '-90071992547409.91 USD, bonus 0.00 USD, debt since 2026-12-05'),
	('spend 90071992547409.91, spend 0.01', '22003'),
	('spend 90071992547409.91, writeoff', '0.00 USD, bonus 0.00 USD'),
	('topup 1, spend 90071992547409.91, chargeback t1', '-90071992547409.91 USD, bonus 0.00 USD, debt since 2026-12-05'),
	('topup 1, spend 90071992547409.91, spend 0.01, chargeback t1', '22003'),
	('spend 1, give 90071992547409.91, give 0.99, reverse 1', '22003'),
	('give 1, spend 90071992547409.91, spend 0.01, reverse 1', '22003')
) AS t (steps, result);

-- What is refused

SELECT kb_create_account('ann', 'plain', 3000), kb_create_account('ann', 'plain', 3001);
SELECT kb_apply_topup(3000, '10 USD', 'card', 't1'), kb_adjust(3001, '-90071992547409.91 USD', 'k', 'the limit');
CREATE TEMP TABLE before AS SELECT account_id, balance, last_seq, last_hash FROM account;
SELECT throws_ok('SELECT ' || call, state, NULL, format('%s: %s', state, call))
FROM (VALUES
	('kb_refund(3000, ''1 EUR'', ''r'')', 'KB002'),
	('kb_refund(9999, ''1 USD'', ''r'')', 'KB001'),
	('kb_refund(NULL, ''1 USD'', ''r'')', '22004'),
	('kb_refund(3000, NULL, ''r'')', '22004'),
	('kb_refund(3000, ''1 USD'', NULL)', '22004'),
	('kb_refund(3000, ''1 USD'', ''r'', ''to 4111111111111111'')', 'KB008'),
	('kb_chargeback(9999, ''t1'', ''c'')', 'KB001'),
	('kb_chargeback(NULL, ''t1'', ''c'')', '22004'),
	('kb_chargeback(3000, NULL, ''c'')', '22004'),
	('kb_chargeback(3000, ''t1'', NULL)', '22004'),
	('kb_chargeback(3000, ''t1'', ''t1'')', 'KB006'),
	('kb_adjust(3000, ''1 EUR'', ''a'', ''m'')', 'KB002'),
	('kb_adjust(3001, ''-0.01 USD'', ''a'', ''m'')', '22003'),
	('kb_adjust(9999, ''1 USD'', ''a'', ''m'')', 'KB001'),
	('kb_adjust(NULL, ''1 USD'', ''a'', ''m'')', '22004'),
	('kb_adjust(3000, NULL, ''a'', ''m'')', '22004'),
	('kb_adjust(3000, ''1 USD'', NULL, ''m'')', '22004'),
	('kb_adjust(3000, ''1 USD'', ''a'', NULL)', '22004'),
	('kb_write_off(9999, ''w'', ''m'')', 'KB001'),
	('kb_write_off(NULL, ''w'', ''m'')', '22004'),
	('kb_write_off(3001, NULL, ''m'')', '22004'),
	('kb_write_off(3001, ''w'', NULL)', '22004'),
	('kb_reverse(9999, 1, ''v'', ''m'')', 'KB001'),
	('kb_reverse(NULL, 1, ''v'', ''m'')', '22004'),
	('kb_reverse(3000, NULL, ''v'', ''m'')', '22004'),
	('kb_reverse(3000, 1, NULL, ''m'')', '22004'),
	('kb_reverse(3000, 1, ''v'', NULL)', '22004'),
	('kb_month_charge(3001)', 'KB009')
) AS t (call, state);
SET LOCAL kbilling.clock = '2027-01-01 10:00+00';
SELECT throws_ok('SELECT kb_month_charge(3001)', '22003', NULL, '22003: a charge beyond the limit');
SELECT set_eq('SELECT account_id, balance, last_seq, last_hash FROM account', 'SELECT * FROM before',
	'J2: what was refused changed no account');
SELECT is((SELECT count(*) FROM entry), (SELECT sum(last_seq)::bigint FROM before), 'J2: nor wrote an entry');
SELECT is_empty(format('SELECT * FROM kb_verify(%s)', account_id), format('J5: account %s is whole', account_id))
FROM account WHERE account_id >= 1000 ORDER BY account_id;

SELECT finish();
ROLLBACK;
