BEGIN;
SET LOCAL search_path = kbilling, public;
SET LOCAL kbilling.clock = '2026-11-01 10:00+00';
SELECT no_plan();
\ir ../include/state.sql
\ir ../include/error.sql

SELECT kb_create_tariff('pro', 'USD'), kb_create_tariff('plain', 'USD'), kb_create_tariff('yen', 'JPY'), kb_create_tariff('euro', 'EUR');
SELECT kb_set_bonus('pro', '100 USD', 5), kb_set_bonus('pro', '500 USD', 10), kb_set_bonus('yen', '1000 JPY', 2.5);

-- An account in the tariff, brought to a balance
CREATE FUNCTION pg_temp.account(tariff text, balance text = NULL) RETURNS bigint LANGUAGE sql AS $$
	WITH a AS MATERIALIZED (SELECT kbilling.kb_create_account('ann', $1) AS id),
		b AS MATERIALIZED (SELECT id, CASE WHEN $2 IS NOT NULL THEN kbilling.kb_adjust(id, $2::kbilling.kb_money, 'start',
			'start') END AS seq FROM a)
	SELECT id FROM b WHERE seq IS NULL OR seq > 0
$$;
-- A top-up that nobody is named for: bonus and balance
CREATE FUNCTION pg_temp.topup(account_id bigint, amount text, reference text = 'p') RETURNS text LANGUAGE sql AS $$
	SELECT format('%s, %s', t.bonus, t.balance) FROM kbilling.kb_apply_topup($1, $2::kbilling.kb_money, 'card', $3) t
$$;

-- T5

SELECT is(pg_temp.topup(pg_temp.account(tariff, before), amount), result,
	format('T5: %s on %s in %s', amount, coalesce(before, 'nothing'), tariff))
FROM (VALUES
	-- the edge of a tier
	('pro', NULL, '99.99 USD', '0.00 USD, 99.99 USD'),
	('pro', NULL, '100 USD', '5.00 USD, 105.00 USD'),
	('pro', NULL, '499.99 USD', '25.00 USD, 524.99 USD'),
	-- the highest tier alone
	('pro', NULL, '500 USD', '50.00 USD, 550.00 USD'),
	-- half a cent goes away from zero: 5.005, 5.0045, 5.015
	('pro', NULL, '100.10 USD', '5.01 USD, 105.11 USD'),
	('pro', NULL, '100.09 USD', '5.00 USD, 105.09 USD'),
	('pro', NULL, '100.30 USD', '5.02 USD, 105.32 USD'),
	-- what is left after the debt decides
	('pro', '-50 USD', '20 USD', '0.00 USD, -30.00 USD'),
	('pro', '-50 USD', '50 USD', '0.00 USD, 0.00 USD'),
	('pro', '-50 USD', '149.99 USD', '0.00 USD, 99.99 USD'),
	('pro', '-50 USD', '150 USD', '5.00 USD, 105.00 USD'),
	('pro', '-50 USD', '549.99 USD', '25.00 USD, 524.99 USD'),
	('pro', '-50 USD', '550 USD', '50.00 USD, 550.00 USD'),
	('pro', '-0.01 USD', '100 USD', '0.00 USD, 99.99 USD'),
	-- what was there before does not
	('pro', '50 USD', '99.99 USD', '0.00 USD, 149.99 USD'),
	('pro', '450 USD', '100 USD', '5.00 USD, 555.00 USD'),
	-- a currency without minor units: 24.975, 25, 25.475, 25.5
	('yen', NULL, '999 JPY', '0 JPY, 999 JPY'),
	('yen', NULL, '1000 JPY', '25 JPY, 1025 JPY'),
	('yen', NULL, '1019 JPY', '25 JPY, 1044 JPY'),
	('yen', NULL, '1020 JPY', '26 JPY, 1046 JPY'),
	-- no tier at all
	('plain', NULL, '1000 USD', '0.00 USD, 1000.00 USD')
) AS t (tariff, before, amount, result);

SELECT kb_set_bonus('plain', '0 USD', 1);
SELECT is(pg_temp.topup(pg_temp.account('plain'), '0.50 USD'), '0.01 USD, 0.51 USD', 'T5: half a cent of bonus is a cent');
SELECT is((SELECT t FROM kb_apply_topup(pg_temp.account('plain'), '0.49 USD', 'card', 'p') t)::text,
	'(1,,"0.49 USD","0.00 USD","0.49 USD",ok,ok,f)', 'T5: less than that is none, and no entry');

SELECT kb_apply_topup(pg_temp.account('pro', '-50 USD'), '150 USD', 'card', 'an entry of its own');
SELECT is(ARRAY(SELECT format('%s %s %s for %s, bonus %s, %s', e.seq, e.kind, e.amount, e.ref_seq, e.bonus_after, e.posted_at = t.posted_at)
				FROM entry t JOIN entry e USING (account_id) WHERE t.key = 'an entry of its own' AND e.seq > 1 ORDER BY e.seq),
	'{"2 topup 150.00 USD for , bonus 0.00 USD, t","3 bonus 5.00 USD for 2, bonus 5.00 USD, t"}',
	'T5: the bonus is an entry of its own kind, that names its top-up');

-- T5: dates, which are the account's own
SELECT kb_create_tariff('dated', 'USD');
SELECT kb_set_bonus('dated', '100 USD', 5, '2026-11-10', '2026-11-20'), kb_set_bonus('dated', '100 USD', 0, '2026-11-15', '2026-11-16'),
	kb_set_bonus('dated', '200 USD', 7, '2026-11-15');
SELECT kb_create_account('ann', 'dated', 1000), kb_create_account('ann', 'dated', 1001, 'Asia/Tokyo');
CREATE FUNCTION pg_temp.bonus_at(account_id bigint, at text, amount text = '100 USD') RETURNS text LANGUAGE sql AS $$
	SELECT set_config('kbilling.clock', $2, true);
	SELECT split_part(pg_temp.topup($1, $3, $2 || $3), ',', 1);
$$;
SELECT is(pg_temp.bonus_at(account_id, at, amount), bonus, format('T5: %s on %s in %s', amount, at, zone))
FROM (VALUES
	(1000, 'UTC', '2026-11-09 23:59:59.999999+00', '100 USD', '0.00 USD'),
	(1000, 'UTC', '2026-11-10 00:00+00', '100 USD', '5.00 USD'),
	(1000, 'UTC', '2026-11-14 23:59+00', '200 USD', '10.00 USD'),
	(1000, 'UTC', '2026-11-15 00:00+00', '199.99 USD', '0.00 USD'),
	(1000, 'UTC', '2026-11-15 00:00+00', '200 USD', '14.00 USD'),
	(1000, 'UTC', '2026-11-16 00:00+00', '199.99 USD', '10.00 USD'),
	(1000, 'UTC', '2026-11-19 23:59:59.999999+00', '100 USD', '5.00 USD'),
	(1000, 'UTC', '2026-11-20 00:00+00', '100 USD', '0.00 USD'),
	(1000, 'UTC', '2026-11-20 00:00+00', '200 USD', '14.00 USD'),
	(1001, 'Tokyo', '2026-11-09 14:59+00', '100 USD', '0.00 USD'),
	(1001, 'Tokyo', '2026-11-09 15:00+00', '100 USD', '5.00 USD'),
	(1001, 'Tokyo', '2026-11-19 15:00+00', '100 USD', '0.00 USD')
) AS t (account_id, zone, at, amount, bonus);

-- T5: the tariff in force today
SELECT kb_set_tariff(1000, 'pro', '2026-12-01');
SELECT is(pg_temp.bonus_at(1000, at, '500 USD'), bonus, format('T5: by the tariff of %s', at))
FROM (VALUES ('2026-11-30 23:59+00', '35.00 USD'), ('2026-12-01 00:00+00', '50.00 USD')) AS t (at, bonus);

-- T1

SET LOCAL kbilling.clock = '2026-11-01 10:00+00';
SELECT kb_create_account('owner', 'plain', 2000), kb_create_account('stranger', 'plain', 2001);
SELECT kb_add_member(2000, 'admin', 'admin'), kb_add_member(2000, 'employee', 'employee'), kb_adjust(2000, '-1000 USD', 'debt', 'debt');
CREATE FUNCTION pg_temp.pay(member text, at text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('kbilling.clock', at, true);
	RETURN (SELECT t.stage_after FROM kbilling.kb_apply_topup(2000, '1 USD', 'card', member || at, member) t);
EXCEPTION WHEN SQLSTATE 'KB004' THEN
	RETURN SQLSTATE;
END $$;
SELECT is(pg_temp.pay(member, at), CASE WHEN member IN ('owner', 'admin') THEN stage ELSE 'KB004' END,
	format('T1: %s at stage %s: %s', member, stage, CASE WHEN member IN ('owner', 'admin') THEN 'pays' ELSE 'may not' END))
FROM (VALUES
	('2026-11-01 12:00+00', 'grace'),
	('2026-11-04 12:00+00', 'remind'),
	('2026-11-07 12:00+00', 'restrict'),
	('2026-11-10 12:00+00', 'blocked')
) AS s (at, stage), unnest('{owner,admin,employee,stranger,nobody}'::text[]) AS member;
SELECT is((SELECT string_agg(member, ' ' ORDER BY member) FROM entry WHERE account_id = 2000 AND kind = 'topup'),
	'admin admin admin admin owner owner owner owner', 'T1: the entry keeps who paid');
SELECT pg_temp.put_state(2000, 'closing')
\g /dev/null
SELECT is(pg_temp.pay('owner', '2026-11-10 13:00+00'), 'blocked', 'T1: paying is possible until the account is deleted');
SELECT pg_temp.put_state(2000, 'deleted')
\g /dev/null
SELECT throws_ok($$SELECT kb_begin_topup(2000, 'owner', '1 USD', 'card')$$, 'KB010', NULL, 'T1: and no longer');

-- T2

SELECT is((SELECT balance::text FROM kb_apply_topup(2001, '10 USD', method, method)), (10.10 * nth) || ' USD',
	format('T2: by %s, it is on the balance at once, with its bonus', method))
FROM unnest('{card,google_pay,apple_pay,bank_transfer,manual}'::text[]) WITH ORDINALITY AS m (method, nth);
SELECT bag_eq('SELECT method::text, name::text FROM payment_method', $$VALUES ('card', 'Card'), ('google_pay', 'Google Pay'),
	('apple_pay', 'Apple Pay'), ('bank_transfer', 'Bank Transfer'), ('manual', 'Manual')$$, 'T2: the methods that are built in');
SELECT is(pg_temp.error_of($$SELECT kb_apply_topup(2001, '10 USD', 'cash', 'cash')$$), '22023 there is no payment method "cash" '
	'| The methods are: apple_pay, bank_transfer, card, google_pay, manual. '
	'| Use one of them, or add the method with kb_create_payment_method.', 'T2: another is refused');
SELECT kb_create_payment_method('cash', 'Готівка');
SELECT kb_apply_topup(2001, '10 USD', 'cash', 'cash');
SELECT is((SELECT format('%s, %s', method, balance_after) FROM entry WHERE account_id = 2001 AND key = 'cash'), 'cash, 60.50 USD',
	'T2: one that a service has added is a method like the others');
SELECT is((SELECT after FROM change_log WHERE subject = 'payment_method'),
	'{"method": "cash", "name": "Готівка", "metadata": {}}'::jsonb,
	'J9: that is in the log');
SELECT is((SELECT name FROM payment_method WHERE method = 'cash'), 'Готівка', 'T2: with a name that customers know');
SELECT is(pg_temp.error_of(format('SELECT kb_create_payment_method(%s)', arguments)) ~ ('^' || state), true,
	format('T2: kb_create_payment_method(%s): %s', arguments, state))
FROM (VALUES ('''cash''', '23505'), ('''card''', '23505'), ('NULL', '22004'), ('''''', '23514'), ('''4111 1111 1111 1111''', 'KB008'),
	('''pos'', ''4111 1111 1111 1111''', 'KB008')) AS t (arguments, state);

-- T8

SELECT kb_create_account('ann', 'plain', 2500), kb_create_account('ann', 'plain', 2501);
SELECT is((SELECT format('%s, %s, %s', t.credited, t.bonus, t.balance)
	FROM kb_apply_topup(2500, '100 USD', 'card', 'uah', paid => '4125.50 UAH') t), '100.00 USD, 1.00 USD, 101.00 USD',
	'T8: the balance moves by the amount, whatever the card was charged');
SELECT is((SELECT t.replayed FROM kb_apply_topup(2500, '100 USD', 'card', 'uah', paid => '4125.50 UAH') t), true,
	'T8: the same again is a replay');
SELECT throws_ok(format($$SELECT kb_apply_topup(2500, '100 USD', 'card', 'uah', paid => %L)$$, paid), 'KB006', NULL,
	format('T8: with %s it is not the same (J3)', coalesce(paid, 'nothing')))
FROM unnest('{4125.51 UAH,4125.50 EUR,100.00 USD,NULL}'::text[]) paid;
SELECT lives_ok($$SELECT kb_apply_topup(2500, '10 USD', 'card', 'same', paid => '10.00 USD')$$,
	'T8: what was charged may be said though it is the amount');
SELECT is((SELECT t.replayed FROM kb_apply_topup(2500, '10 USD', 'card', 'same') t), true, 'T8: which is the same as not to say it');
SELECT lives_ok($$SELECT kb_apply_topup(2500, '10 USD', 'card', 'fee', paid => '10.30 USD')$$,
	'T8: it may be another amount of the same currency');
SELECT is(pg_temp.error_of(format('SELECT kb_apply_topup(2501, ''1 USD'', ''card'', ''q'', paid => %L)', paid)),
	format('KB005 what was paid must be above zero | It is %s. | Leave paid out if the customer was charged the amount itself.', paid),
	format('T8: %s was not charged', paid))
FROM unnest('{0.00 UAH,-1.00 UAH,0.00 USD}'::text[]) paid;
SELECT results_eq('SELECT seq, kind::text, paid::text FROM entry WHERE account_id = 2500 ORDER BY seq', $$VALUES
	(1::bigint, 'topup', '4125.50 UAH'), (2, 'bonus', NULL), (3, 'topup', NULL), (4, 'bonus', NULL),
	(5, 'topup', '10.30 USD'), (6, 'bonus', NULL)$$,
	'T8: the entry keeps what was charged, where it is not the amount');

-- T3

SET LOCAL kbilling.clock = '2026-11-01 10:00+00';
INSERT INTO policy (policy, remind_day, restrict_day, block_day) VALUES ('soft', 100, 200, 300);
SELECT kb_create_tariff('soft', 'USD', policy => 'soft');
SELECT kb_set_price('pro', 'base', '300.00');
SELECT kb_create_account('ann', 'pro', 3000), kb_create_account('ann', 'pro', 3001);
SELECT kb_adjust(3000, '-50 USD', 'debt', 'debt'), kb_adjust(3001, '-50 USD', 'debt', 'debt');
SET LOCAL kbilling.clock = '2026-11-05 10:00+00';
SELECT is(kb_apply_topup(3000, '20 USD', 'card', 'part')::text, '(2,,"20.00 USD","0.00 USD","-30.00 USD",remind,remind,f)',
	'T3: a part of the debt is paid on the 5th');
SELECT kb_defer(3001, '2026-11-20', 'sue', 'asked');
SELECT is(kb_apply_topup(3001, '20 USD', 'card', 'part')::text, '(2,,"20.00 USD","0.00 USD","-30.00 USD",grace,grace,f)',
	'T3: so is one of a debt that is deferred');
SET LOCAL kbilling.clock = '2026-11-08 10:00+00';
SELECT kb_defer(3001, '2026-11-08', 'sue', 'is over');
SELECT is(kb_apply_topup(3000, '230 USD', 'google_pay', 'rest', 'ann')::text, '(3,4,"230.00 USD","10.00 USD","210.00 USD",restrict,ok,f)',
	'T3: the rest is paid on the 8th: 200 is left and earns 10');
SET LOCAL kbilling.clock = '2026-12-11 10:00+00';
SELECT kb_month_charge(3000), kb_month_charge(3001);
SELECT kb_set_tariff(3000, 'soft'), kb_set_bonus('pro', '100 USD', 50);
SELECT is((SELECT format('%s %s', balance, debt_since) FROM account WHERE account_id = 3000), '-90.00 USD 2026-12-01',
	'T3: the account is in debt again');
SELECT is(kb_apply_topup(3000, '20 USD', 'card', 'part')::text, '(2,,"20.00 USD","0.00 USD","-30.00 USD",remind,remind,t)',
	'T3: the part again: the first result');
SELECT is(kb_apply_topup(3000, '230 USD', 'google_pay', 'rest', 'ann')::text, '(3,4,"230.00 USD","10.00 USD","210.00 USD",restrict,ok,t)',
	'T3: the rest again, after a charge, under another tariff, in another stage: the first result');
SELECT is(kb_apply_topup(3000, '230 USD', 'google_pay', 'rest')::text, '(3,4,"230.00 USD","10.00 USD","210.00 USD",restrict,ok,t)',
	'T3: by a webhook that does not know who paid, too');
SELECT is(kb_apply_topup(3001, '20 USD', 'card', 'part')::text, '(2,,"20.00 USD","0.00 USD","-30.00 USD",grace,grace,t)',
	'T3: the deferral that held then decides');
SELECT is((SELECT format('%s %s', balance, last_seq) FROM account WHERE account_id = 3000), '-90.00 USD 5',
	'T3: nothing was credited twice');

-- What is refused

SELECT kb_create_account('ann', 'pro', 4000), kb_create_account('ann', 'pro', 4001), kb_create_account('ann', 'pro', 4002);
SELECT kb_adjust(4001, '90071992547409.90 USD', 'start', 'near the limit');
SELECT is(pg_temp.topup(4001, '0.01 USD'), '0.00 USD, 90071992547409.91 USD', 'M1: a balance may reach 2^53 - 1 minor units');
SELECT is((SELECT t.balance::text FROM kb_apply_topup(4002, '99 USD', 'card', 'p') t), '99.00 USD', 'T2: a top-up');
CREATE TEMP TABLE before AS SELECT account_id, balance, last_seq, last_hash FROM account;
SELECT throws_ok(format('SELECT kb_apply_topup(%s)', arguments), state, NULL, format('%s: kb_apply_topup(%s)', state, arguments))
FROM (VALUES
	('4000, ''0 USD'', ''card'', ''q''', 'KB005'),
	('4000, ''-0.01 USD'', ''card'', ''q''', 'KB005'),
	('4000, ''1 EUR'', ''card'', ''q''', 'KB002'),
	('4000, ''1 JPY'', ''card'', ''q''', 'KB002'),
	('4000, ''0.001 USD'', ''card'', ''q''', '22P02'),
	('4000, ''90071992547409.92 USD'', ''card'', ''q''', '22003'),
	('4001, ''0.01 USD'', ''card'', ''q''', '22003'),
	-- the top-up would fit, its bonus does not
	('4000, ''90071992547409.91 USD'', ''card'', ''q''', '22003'),
	('99, ''1 USD'', ''card'', ''q''', 'KB001'),
	('NULL, ''1 USD'', ''card'', ''q''', '22004'),
	('4000, NULL, ''card'', ''q''', '22004'),
	('4000, ''1 USD'', NULL, ''q''', '22004'),
	('4000, ''1 USD'', ''card'', NULL', '22004'),
	('4000, ''1 USD'', ''cheque'', ''q''', '22023'),
	('4000, ''1 USD'', '''', ''q''', '22023'),
	('4000, ''1 USD'', ''Card'', ''q''', '22023'),
	('4000, ''1 USD'', ''4111111111111111'', ''q''', '22023'),
	('4000, ''1 USD'', ''card'', ''''', '22023'),
	('4000, ''1 USD'', ''card'', ''kb:bonus:1''', '22023'),
	('4000, ''1 USD'', ''card'', ''4111 1111 1111 1111''', 'KB008'),
	('4000, ''1 USD'', ''card'', ''q'', ''''', 'KB004'),
	('4000, ''1 USD'', ''card'', ''q'', NULL, 12345', 'KB006'),
	('4002, ''98.99 USD'', ''card'', ''p''', 'KB006'),
	('4002, ''99 USD'', ''manual'', ''p''', 'KB006')
) AS t (arguments, state);
SELECT set_eq('SELECT account_id, balance, last_seq, last_hash FROM account', 'SELECT * FROM before',
	'J2: what was refused changed no account');
SELECT is((SELECT count(*) FROM entry), (SELECT sum(last_seq)::bigint FROM before), 'J2: nor wrote an entry');
-- What was once credited is credited, whatever has come since.
SELECT kb_create_account('ann', 'plain', 5000);
SELECT kb_add_member(5000, 'bob', 'admin');
SELECT kb_apply_topup(5000, '100 USD', 'card', 'x', 'bob');
SELECT kb_adjust(5000, '90071992547300 USD', 'nearly full', 'to the limit');
SELECT is((SELECT row(t.entry_seq, t.balance, t.replayed) FROM kb_apply_topup(5000, '100 USD', 'card', 'x') t),
	row(1::bigint, '101 USD'::kb_money, true), 'T3: a replay needs no room on the balance');
SELECT throws_ok($$SELECT kb_apply_topup(5000, '200 USD', 'card', 'x')$$, 'KB006', NULL, 'J3: other content is still an error there');
SELECT throws_ok($$SELECT kb_apply_topup(5000, '200 USD', 'card', 'y')$$, '22003', NULL, 'M1: and so is what is new and finds no room');
UPDATE member SET role = 'employee' WHERE account_id = 5000 AND member = 'bob';
SELECT is((SELECT t.replayed FROM kb_apply_topup(5000, '100 USD', 'card', 'x', 'bob') t), true,
	'T3: a replay does not ask who may pay now');
SELECT throws_ok($$SELECT kb_apply_topup(5000, '1 USD', 'card', 'z', '4111 1111 1111 1111')$$, 'KB008', NULL,
	'T4: a card number is no member, and is not repeated');
SELECT throws_ok($$SELECT kb_chargeback(5000, '4111 1111 1111 1111', 'z')$$, 'KB008', NULL,
	'T4: nor is it a reference');
SET kbilling.clock = '2020-01-01 00:00+00';
SELECT lives_ok($$SELECT kb_apply_topup(5000, '0.01 USD', 'card', 'before its first day')$$,
	'T2: a clock before the first day finds the first tariff');

SELECT is_empty(format('SELECT * FROM kb_verify(%s)', account_id), format('J5: account %s is whole', account_id))
FROM account WHERE account_id >= 1000 ORDER BY account_id;

SELECT finish();
ROLLBACK;
