-- Payments: begun, failed, expired, settled; what is offered (rules T1 to T5)
BEGIN;
SET LOCAL search_path = kbilling, public;
SELECT no_plan();
\ir ../include/state.sql

SET LOCAL kbilling.clock = '2026-11-01 10:00+00';
INSERT INTO policy (policy, payment_hours) VALUES ('brief', 1);
SELECT kb_create_tariff('pro', 'USD'), kb_create_tariff('plain', 'USD'),
	kb_create_tariff('brief', 'USD', policy => 'brief'), kb_create_tariff('yen', 'JPY'), kb_create_tariff('dated', 'USD')
\g /dev/null
SELECT setval('account_id_seq', 100), kb_set_bonus('pro', '100 USD', 5), kb_set_bonus('pro', '500 USD', 10),
	kb_set_bonus('yen', '1000 JPY', 2.5), kb_set_bonus('brief', '10 USD', 50)
\g /dev/null
\ir ../include/clock.sql
\ir ../include/error.sql
-- The first column of a call as text, or the SQLSTATE
CREATE FUNCTION pg_temp.result_of(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE 'SELECT ' || call INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;

-- What kb_check finds after a change, which is undone
CREATE FUNCTION pg_temp.after(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	EXECUTE change;
	SELECT string_agg(c::text, ' ') INTO found FROM kbilling.kb_check() c;
	RAISE SQLSTATE 'XX999';
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN found;
END $$;

-- T1: at every stage, by every role; seen on the 20th

CREATE TEMP TABLE stage_account (account_id bigint, stage text, debt_since date);
INSERT INTO stage_account VALUES (1, 'ok', NULL), (2, 'grace', '2026-11-18'), (3, 'remind', '2026-11-15'),
	(4, 'restrict', '2026-11-12'), (5, 'blocked', '2026-11-11'), (6, 'closing', NULL), (7, 'deleted', NULL), (8, 'purged', NULL);
SELECT kb_create_account('own', 'pro', account_id), kb_add_member(account_id, 'adm', 'admin'),
	kb_add_member(account_id, 'emp', 'employee') FROM stage_account ORDER BY account_id
\g /dev/null
SELECT kb_create_account('other', 'pro', 9)
\g /dev/null
SELECT pg_temp.clock((debt_since || ' 10:00+00')::timestamptz), kb_adjust(account_id, '-5.00 USD', 'debt', 'debt')
	FROM stage_account WHERE debt_since IS NOT NULL ORDER BY debt_since
\g /dev/null
SET LOCAL kbilling.clock = '2026-11-20 10:00+00';
SELECT pg_temp.put_state(account_id, stage::kb_account_state) FROM stage_account WHERE stage IN ('closing', 'deleted', 'purged')
\g /dev/null
SELECT is((SELECT string_agg(stage || ' '
	|| pg_temp.result_of(format('(kb_begin_topup(%s, %L, ''10 USD'', ''card'')).payment_id', account_id, member)),
	', ' ORDER BY account_id) FROM stage_account WHERE account_id <= 8),
	expected, format('T1: %s begins a payment', member)) FROM (VALUES
	('own', 'ok 1, grace 1, remind 1, restrict 1, blocked 1, closing 1, deleted KB010, purged KB010'),
	('adm', 'ok 2, grace 2, remind 2, restrict 2, blocked 2, closing 2, deleted KB010, purged KB010'),
	('emp', 'ok KB004, grace KB004, remind KB004, restrict KB004, blocked KB004, closing KB004, deleted KB010, purged KB010'),
	('other', 'ok KB004, grace KB004, remind KB004, restrict KB004, blocked KB004, closing KB004, deleted KB010, purged KB010')
) AS t (member, expected);
SELECT is((SELECT string_agg(format('%s: %s', account_id, ids), ', ' ORDER BY account_id)
	FROM (SELECT account_id, array_agg(payment_id ORDER BY payment_id) AS ids FROM payment GROUP BY 1) AS p),
	'1: {1,2}, 2: {1,2}, 3: {1,2}, 4: {1,2}, 5: {1,2}, 6: {1,2}', 'T1: numbers run within the account, and what is refused takes none');
SELECT is((SELECT count(*) FROM entry WHERE kind <> 'adjustment'), 0::bigint, 'T2: what is only begun is not on the balance');
SELECT is(pg_temp.error_of(call), expected, 'T1: ' || call) FROM (VALUES
	('SELECT kb_begin_topup(5, ''emp'', ''10 USD'', ''card'')', 'KB004 member "emp" may not top up account 5 '
		'| Only an owner or admin of the account can top it up (T1). | Ask an owner or admin of the account to pay.'),
	('SELECT kb_apply_topup(5, ''10 USD'', ''card'', ''x'', ''emp'')', 'KB004 member "emp" may not top up account 5 '
		'| Only an owner or admin of the account can top it up (T1). '
		'| Leave member out for a payment that the provider reports by itself.'),
	('SELECT kb_begin_topup(404, ''own'', ''10 USD'', ''card'')',
		'KB001 account 404 does not exist | kbilling.account has no such row. | Create it with kb_create_account.'),
	('SELECT kb_begin_topup(1, ''own'', ''0 USD'', ''card'')',
		'KB005 a top-up must be above zero | The amount is 0.00 USD. | Use kb_refund to pay money back.')
) AS t (call, expected);
SELECT is(pg_temp.result_of(call), expected, 'T1: ' || call) FROM (VALUES
	('kb_begin_topup(1, ''own'', ''-1 USD'', ''card'')', 'KB005'),
	('kb_begin_topup(1, ''own'', ''10 EUR'', ''card'')', 'KB002'),
	('kb_begin_topup(NULL, ''own'', ''10 USD'', ''card'')', '22004'),
	('kb_begin_topup(1, NULL, ''10 USD'', ''card'')', '22004'),
	('kb_begin_topup(1, ''own'', NULL, ''card'')', '22004'),
	('kb_begin_topup(1, ''own'', ''10 USD'', ''cash'')', '22023'),
	('kb_begin_topup(1, '''', ''10 USD'', ''card'')', 'KB004'),
	('kb_begin_topup(1, ''4111 1111 1111 1111'', ''10 USD'', ''card'')', 'KB008'),
	('(kb_begin_topup(1, ''own'', ''90071992547409.91 USD'', ''card'')).bonus', '9007199254740.99 USD')
) AS t (call, expected);
SELECT unalike(pg_temp.error_of('SELECT kb_begin_topup(1, ''4111 1111 1111 1111'', ''10 USD'', ''card'')'), '%1111%',
	'T4: a card number is not repeated');
SELECT is((kb_begin_topup(1, 'own', '10 USD', method)).payment_id, 3 + nth, 'T2: by ' || method)
	FROM unnest('{card,google_pay,apple_pay,bank_transfer,manual}'::text[]) WITH ORDINALITY AS m (method, nth);

-- T5: the bonus that is offered is what is earned if it is paid now

CREATE FUNCTION pg_temp.account(tariff text, balance text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	id bigint = kbilling.kb_create_account('own', tariff);
BEGIN
	IF balance IS NOT NULL THEN
		PERFORM kbilling.kb_adjust(id, balance::kbilling.kb_money, 'start', 'start');
	END IF;
	RETURN id;
END $$;
CREATE FUNCTION pg_temp.offered_and_earned(id bigint, amount text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	offer kbilling.kb_payment_offer = kbilling.kb_begin_topup(id, 'own', amount::kbilling.kb_money, 'card');
	paid kbilling.kb_topup_result = kbilling.kb_apply_topup(id, amount::kbilling.kb_money, 'card', 'ref', payment_id => offer.payment_id);
BEGIN
	RETURN offer.bonus || ' ' || paid.bonus;
END $$;
SELECT is(pg_temp.offered_and_earned(pg_temp.account(tariff, balance), amount), format('%s %1$s', bonus),
	format('T5: %s on %s in %s', amount, coalesce(balance, 'nothing'), tariff)) FROM (VALUES
	('pro', NULL, '99.99 USD', '0.00 USD'),
	('pro', NULL, '100 USD', '5.00 USD'),
	('pro', NULL, '100.10 USD', '5.01 USD'),
	('pro', NULL, '500 USD', '50.00 USD'),
	('pro', '-30 USD', '30 USD', '0.00 USD'),
	('pro', '-30 USD', '10 USD', '0.00 USD'),
	('pro', '-30 USD', '129.99 USD', '0.00 USD'),
	('pro', '-30 USD', '130 USD', '5.00 USD'),
	('pro', '-30 USD', '530 USD', '50.00 USD'),
	('pro', '450 USD', '100 USD', '5.00 USD'),
	('yen', NULL, '1020 JPY', '26 JPY'),
	('plain', NULL, '1000 USD', '0.00 USD')
) AS t (tariff, balance, amount, bonus);

-- T5: what is offered. 8 % of 100 from the 10th to the 19th in place of 5; 200 only in those days; 300 earns nothing from the 15th on

SELECT kb_set_bonus('dated', '100 USD', 5), kb_set_bonus('dated', '100 USD', 8, '2026-11-10', '2026-11-20'),
	kb_set_bonus('dated', '200 USD', 9, '2026-11-10', '2026-11-20'),
	kb_set_bonus('dated', '300 USD', 10), kb_set_bonus('dated', '300 USD', 0, '2026-11-15'),
		kb_set_bonus('dated', '0 USD', 1), kb_set_bonus('dated', '50 USD', 0)
\g /dev/null
CREATE FUNCTION pg_temp.offers(id bigint) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce((SELECT string_agg(format('%s + %s', split_part(amount::text, ' ', 1), split_part(bonus::text, ' ', 1)),
		', ') FROM kbilling.kb_topup_offers(id)), 'none')
$$;
CREATE FUNCTION pg_temp.offers(tariff text, balance text, at timestamptz, zone text = 'UTC') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	id bigint;
BEGIN
	PERFORM pg_temp.clock('2026-11-01 10:00+00');
	id = kbilling.kb_create_account('own', tariff, time_zone => zone);
	IF balance IS NOT NULL THEN
		PERFORM kbilling.kb_adjust(id, balance::kbilling.kb_money, 'start', 'start');
	END IF;
	PERFORM pg_temp.clock(at);
	RETURN pg_temp.offers(id);
END $$;
SELECT is(pg_temp.offers(tariff, balance, at::timestamptz, zone), expected,
	format('T5: offers in %s, on %s, at %s in %s', tariff, coalesce(balance, 'nothing'), at, zone)) FROM (VALUES
	('pro', NULL, '2026-11-02 00:00+00', 'UTC', '100.00 + 5.00, 500.00 + 50.00'),
	('pro', '20 USD', '2026-11-02 00:00+00', 'UTC', '100.00 + 5.00, 500.00 + 50.00'),
	('pro', '-30 USD', '2026-11-02 00:00+00', 'UTC', '30.00 + 0.00, 130.00 + 5.00, 530.00 + 50.00'),
	('pro', '-0.01 USD', '2026-11-20 00:00+00', 'UTC', '0.01 + 0.00, 100.01 + 5.00, 500.01 + 50.00'),
	('plain', NULL, '2026-11-02 00:00+00', 'UTC', 'none'),
	('plain', '-30 USD', '2026-11-02 00:00+00', 'UTC', '30.00 + 0.00'),
	('yen', '-500 JPY', '2026-11-02 00:00+00', 'UTC', '500 + 0, 1500 + 25'),
	('dated', NULL, '2026-11-09 23:59:59+00', 'UTC', '100.00 + 5.00, 300.00 + 30.00'),
	('dated', NULL, '2026-11-10 00:00+00', 'UTC', '100.00 + 8.00, 200.00 + 18.00, 300.00 + 30.00'),
	('dated', NULL, '2026-11-15 00:00+00', 'UTC', '100.00 + 8.00, 200.00 + 18.00'),
	('dated', NULL, '2026-11-20 00:00+00', 'UTC', '100.00 + 5.00'),
	('dated', '-1 USD', '2026-11-20 00:00+00', 'UTC', '1.00 + 0.00, 101.00 + 5.00'),
	('dated', NULL, '2026-11-09 14:59+00', 'Asia/Tokyo', '100.00 + 5.00, 300.00 + 30.00'),
	('dated', NULL, '2026-11-09 15:00+00', 'Asia/Tokyo', '100.00 + 8.00, 200.00 + 18.00, 300.00 + 30.00'),
	('dated', NULL, '2026-11-20 04:59+00', 'America/New_York', '100.00 + 8.00, 200.00 + 18.00')
) AS t (tariff, balance, at, zone, expected);
SET LOCAL kbilling.clock = '2026-11-20 10:00+00';
SELECT is(pg_temp.offers(5), '5.00 + 0.00, 105.00 + 5.00, 505.00 + 50.00', 'T1: paying is offered to a blocked account');
SELECT is(pg_temp.offers(7), 'none', 'T1: but not to a deleted one');
SELECT is(pg_temp.result_of('kb_topup_offers(404)'), 'KB001', 'an account that is not there');
SELECT is(pg_temp.result_of('kb_topup_offers(NULL)'), '22004', 'no account');
SELECT is_empty($$SELECT a.account_id, o.amount, o.bonus, b.bonus FROM account a, kb_topup_offers(a.account_id) o,
	kb_begin_topup(a.account_id, 'own', o.amount, 'card') b
	WHERE a.state = 'active' AND a.account_id <> 9 AND b.bonus <> o.bonus$$, 'T5: whatever is offered, the payment of it would earn');
SELECT kb_set_tariff(1, 'dated', '2026-11-20')
\g /dev/null
SELECT is(pg_temp.offers(1), '100.00 + 5.00', 'T5: by the tariff of today');
SELECT kb_create_tariff('huge', 'USD'), kb_set_bonus('huge', '90071992547409.91 USD', 1), kb_set_bonus('huge', '1 USD', 10)
\g /dev/null
SELECT is(pg_temp.result_of(format('kb_topup_offers(%s)', pg_temp.account('huge', '-1 USD'))), '("1.00 USD","0.00 USD",,debt,)',
	'T5: a tier out of reach takes no other offer away');

-- Expiry, failure, status; the policy waits 24 hours, or 1

SELECT kb_create_account('own', 'pro', 20), kb_create_account('own', 'brief', 21, 'Europe/Kyiv'),
	kb_add_member(20, 'adm', 'admin'), kb_add_member(20, 'emp', 'employee')
\g /dev/null
SET LOCAL kbilling.clock = '2027-03-27 12:00+00';	-- the night after it, clocks in Kyiv go forward
SELECT is((kb_begin_topup(20, 'adm', '100 USD', 'card'))::text, '(1,"5.00 USD","2027-03-28 12:00:00+00")',
	'T1: an offer: its number, bonus and end');
SELECT is((kb_begin_topup(21, 'own', '10 USD', 'bank_transfer'))::text, '(1,"5.00 USD","2027-03-27 13:00:00+00")',
	'T1: by the policy of the tariff');
CREATE FUNCTION pg_temp.status(account bigint, payment bigint) RETURNS text LANGUAGE sql AS
	$$SELECT format('%s%s%s', status, '/' || settled_seq, ' ' || failure) FROM kbilling.payment_status
		WHERE account_id = account AND payment_id = payment$$;
CREATE FUNCTION pg_temp.status(account bigint, at timestamptz) RETURNS text LANGUAGE plpgsql
	AS 'BEGIN PERFORM pg_temp.clock(at); RETURN pg_temp.status(account, 1); END';
SELECT is(pg_temp.status(account, at::timestamptz), expected, format('T1: account %s, at %s', account, at)) FROM (VALUES
	(20, '2027-03-27 12:00+00', 'pending'), (20, '2027-03-28 11:59:59.999999+00', 'pending'), (20, '2027-03-28 12:00+00', 'expired'),
	(21, '2027-03-27 12:59:59.999999+00', 'pending'), (21, '2027-03-27 13:00+00', 'expired'), (21, '2028-01-01 00:00+00', 'expired')
) AS t (account, at, expected);
SELECT is((SELECT format('%s %s %s %s %s %s %s', payment_id, amount, bonus, method, member, begun_at AT TIME ZONE 'UTC',
	expires_at AT TIME ZONE 'UTC') FROM payment_status WHERE account_id = 21),
	'1 10.00 USD 5.00 USD bank_transfer own 2027-03-27 12:00:00 2027-03-27 13:00:00', 'T1: a payment as it was begun');

-- T3: what happens to payments 1, 2, 3, … of account 20 in turn, and how many top-ups there are then

SET LOCAL kbilling.clock = '2027-04-01 12:00+00';
SELECT kb_begin_topup(20, 'adm', '100 USD', 'card') FROM generate_series(2, 8)
\g /dev/null
SELECT kb_begin_topup(21, 'own', '10 USD', 'card') FROM generate_series(2, 5)
\g /dev/null
CREATE TEMP TABLE step (n int GENERATED ALWAYS AS IDENTITY, call text, expected text, status text, topups int, payment int, why text);
INSERT INTO step (call, expected, payment, status, topups, why) VALUES
	('kb_fail_topup(20, 1, ''declined'')', '', 1, 'failed declined', 0, 'an expired payment fails'),
	('kb_fail_topup(20, 1, ''card 4111-1111-1111-1111 declined, code 05'')', '', 1,
		'failed card ****-****-****-**** declined, code 05', 0, 'again, with a card number, which is masked (T10)'),
	('kb_fail_topup(20, 1, ''stolen'')', '', 1, 'failed stolen', 0, 'again, with more to say'),
	('kb_fail_topup(20, 404, ''declined'')', 'KB006', 1, 'failed stolen', 0, 'a payment that is not there'),
	('kb_fail_topup(9, 1, ''declined'')', 'KB006', 1, 'failed stolen', 0, 'a payment of another account'),
	('kb_fail_topup(404, 1, ''declined'')', 'KB001', 1, 'failed stolen', 0, 'an account that is not there'),
	('kb_fail_topup(NULL, 1, ''declined'')', '22004', 1, 'failed stolen', 0, 'NULL account'),
	('kb_fail_topup(20, NULL, ''declined'')', '22004', 1, 'failed stolen', 0, 'NULL payment'),
	('kb_fail_topup(20, 1, NULL)', '22004', 1, 'failed stolen', 0, 'NULL failure'),
	('(kb_apply_topup(20, ''100 USD'', ''card'', ''late'', payment_id => 1)).replayed', 'false', 1, 'settled/1 stolen', 1,
		'a failed payment is confirmed all the same'),
	('(kb_apply_topup(20, ''100 USD'', ''card'', ''late'', payment_id => 1)).replayed', 'true', 1, 'settled/1 stolen', 1,
		'its webhook comes again'),
	('(kb_apply_topup(20, ''100 USD'', ''card'', ''late'')).replayed', 'true', 1, 'settled/1 stolen', 1, 'and without its number'),
	('(kb_apply_topup(20, ''100 USD'', ''card'', ''late'', ''own'', 1)).replayed', 'true', 1, 'settled/1 stolen', 1,
		'and with another member'),
	('kb_fail_topup(20, 1, ''declined'')', '', 1, 'settled/1 stolen', 1, 'a failure that arrives after that changes nothing (T9)'),
	('kb_apply_topup(20, ''100 USD'', ''card'', ''other'', payment_id => 1)', 'KB006', 1, 'settled/1 stolen', 1,
		'settled under another reference'),
	('kb_apply_topup(20, ''100 USD'', ''card'', ''late'', payment_id => 2)', 'KB006', 2, 'pending', 1,
		'a reference that has settled another payment'),
	('kb_apply_topup(20, ''100 EUR'', ''card'', ''two'', payment_id => 2)', 'KB002', 2, 'pending', 1, 'another currency'),
	('kb_apply_topup(21, ''100 USD'', ''card'', ''two'', payment_id => 8)', 'KB006', 8, 'pending', 1,
		'a payment of another account (T9)'),
	('kb_apply_topup(9, ''100 USD'', ''card'', ''two'', payment_id => 2)', 'KB006', 2, 'pending', 1, 'an account that has none (T9)'),
	('kb_apply_topup(20, ''100 USD'', ''card'', ''two'', payment_id => 404)', 'KB006', 2, 'pending', 1, 'a payment that is not there (T9)'),
	('kb_apply_topup(20, ''100 USD'', ''card'', ''two'', payment_id => 0)', 'KB006', 2, 'pending', 1, 'number 0'),
	('kb_apply_topup(20, ''100 USD'', ''card'', ''two'', ''emp'', 2)', 'KB004', 2, 'pending', 1, 'a member that may not (T1)'),
	('kb_apply_topup(20, ''100 USD'', ''card'', ''4111 1111 1111 1111'', payment_id => 2)', 'KB008', 2, 'pending', 1,
		'a card number as reference (T4)'),
	('kb_apply_topup(20, ''100 USD'', ''card'', ''two'', ''4111 1111 1111 1111'', 2)', 'KB008', 2, 'pending', 1,
		'a card number as member (T4)'),
	('(kb_apply_topup(20, ''100 USD'', ''card'', ''two'', ''own'', 2)).replayed', 'false', 2, 'settled/3', 2,
		'another member than the one that has begun it'),
	('(kb_apply_topup(20, ''100 USD'', ''card'', ''three'')).replayed', 'false', 3, 'pending', 3, 'credited without a number'),
	('(kb_apply_topup(20, ''100 USD'', ''card'', ''three'', payment_id => 3)).replayed', 'true', 3, 'settled/5', 3,
		'then with one: it is that payment, and no second credit'),
	('kb_apply_topup(20, ''100 USD'', ''card'', ''three'', payment_id => 4)', 'KB006', 4, 'pending', 3, 'and no other'),
	('kb_adjust(20, ''1 USD'', ''gift'', ''gift'')', '7', 4, 'pending', 3, 'an entry of another kind'),
	('kb_apply_topup(20, ''100 USD'', ''card'', ''gift'', payment_id => 4)', 'KB006', 4, 'pending', 3, 'its reference is no top-up''s'),
	('kb_remove_member(20, ''adm'')', '', 4, 'pending', 3, 'who has begun the others is removed'),
	('(kb_apply_topup(20, ''100 USD'', ''card'', ''four'', payment_id => 4)).replayed', 'false', 4, 'settled/8', 4,
		'and they are credited all the same'),
	('kb_apply_topup(20, ''100 USD'', ''card'', ''five'', ''adm'', payment_id => 5)', 'KB004', 5, 'pending', 4,
		'but not if it is named as who pays (T1)'),
	('kb_chargeback(20, ''four'', ''dispute'')', '11', 4, 'settled/8', 4, 'one is taken back, with its bonus'),
	('(kb_apply_topup(20, ''100 USD'', ''card'', ''four'', payment_id => 4)).replayed', 'true', 4, 'settled/8', 4,
		'its webhook comes again'),
	('kb_apply_topup(20, ''100 USD'', ''card'', ''four again'', payment_id => 4)', 'KB006', 4, 'settled/8', 4, 'it is not credited twice'),
	('(kb_apply_topup(21, ''10 USD'', ''card'', ''late'', payment_id => 2)).replayed', 'false', 5, 'pending', 4,
		'a reference is its account''s own');
CREATE TEMP TABLE saw (n int, result text, status text, topups int);
CREATE FUNCTION pg_temp.play() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	s step;
BEGIN
	FOR s IN SELECT * FROM step ORDER BY n LOOP
		INSERT INTO saw SELECT s.n, pg_temp.result_of(s.call);
		UPDATE saw SET status = pg_temp.status(20, s.payment),
			topups = (SELECT count(*) FROM kbilling.entry WHERE account_id = 20 AND kind = 'topup') WHERE saw.n = s.n;
	END LOOP;
END $$;
SELECT pg_temp.play()
\g /dev/null
SELECT is(format('%s, %s, %s credited', saw.result, saw.status, saw.topups),
	format('%s, %s, %s credited', step.expected, step.status, step.topups), format('T3: %s: %s', call, why))
FROM step JOIN saw USING (n) ORDER BY n;
SELECT is((SELECT string_agg(format('%s %s', key, member), ', ' ORDER BY seq) FROM entry WHERE account_id = 20
	AND kind = 'topup'), 'late adm, two own, three , four adm', 'T1: who has begun a payment has paid it, unless another one is named');
SELECT is((SELECT count(*) FROM entry WHERE account_id = 20 AND kind = 'bonus' AND amount > 0), 4::bigint, 'T5: a bonus for each, once');
SELECT is(pg_temp.error_of(call), expected, 'T3: ' || call) FROM (VALUES
	('SELECT kb_apply_topup(20, ''100 USD'', ''card'', ''x'', payment_id => 404)',
		'KB006 account 20 has no payment 404 | Payments are numbered within their account, so it may be another account''s. '
		'| Pass the account for which kb_begin_topup gave that payment_id, or leave payment_id out to credit this account.'),
	('SELECT kb_apply_topup(20, ''100 USD'', ''card'', ''x'', payment_id => 1)',
		'KB006 payment 1 of account 20 is settled | Entry 1 has credited it under another reference. '
		'| Leave payment_id out to credit a second payment.'),
	('SELECT kb_apply_topup(20, ''100 USD'', ''card'', ''late'', payment_id => 5)',
		'KB006 the reference of entry 1 of account 20 has settled another payment | It cannot settle payment 5 as well. '
		'| A reference stands for one payment.'),
	('SELECT kb_fail_topup(20, 404, ''x'')',
		'KB006 account 20 has no payment 404 | Payments are numbered within their account, so it may be another account''s. '
		'| Pass the account for which kb_begin_topup gave that payment_id.')
) AS t (call, expected);

-- A replay leaves the row as it is; a late one is credited at the bonus of its own day
SELECT settled_at FROM payment WHERE account_id = 20 AND payment_id = 1
\gset
SET LOCAL kbilling.clock = '2027-06-01 12:00+00';
SELECT kb_apply_topup(20, '100 USD', 'card', 'late', payment_id => 1)
\g /dev/null
SELECT is((SELECT settled_at FROM payment WHERE account_id = 20 AND payment_id = 1), :'settled_at'::timestamptz,
	'T3: a replay does not settle it again');
SELECT kb_set_bonus('pro', '100 USD', 20, '2027-06-01')
\g /dev/null
SELECT is((SELECT bonus FROM payment WHERE account_id = 20 AND payment_id = 5) || ' '
	|| (kb_apply_topup(20, '100 USD', 'card', 'five', payment_id => 5)).bonus, '5.00 USD 20.00 USD',
	'T5: what an expired payment earns is decided when it is credited');
SELECT is(pg_temp.status(20, 5), 'settled/12', 'T2: it is credited all the same');
SELECT is((SELECT string_agg(payment_id || ' ' || status, ', ' ORDER BY payment_id) FROM payment_status
	WHERE account_id = 20), '1 settled, 2 settled, 3 settled, 4 settled, 5 settled, 6 expired, 7 expired, 8 expired',
	'where all of them stand');

-- T9: the provider's word counts

SELECT kb_create_account('own', 'pro', 30), kb_begin_topup(30, 'own', '50 USD'), kb_begin_topup(30, 'own', '50 USD', 'card'),
	kb_begin_topup(30, 'own', '50 USD'), kb_begin_topup(30, 'own', '50 USD', 'card')
\g /dev/null
SELECT is((SELECT string_agg(coalesce(method, 'open'), ' ' ORDER BY payment_id) FROM payment_status WHERE account_id = 30),
	'open card open card', 'T9: a payment is begun with a method, or without one');
SELECT is((kb_apply_topup(30, amount::kb_money, method, 'word-' || payment_id, payment_id => payment_id)).bonus, bonus::kb_money,
	format('T9: %s by %s is confirmed: it is credited, and earns %s', amount, method, bonus))
FROM (VALUES (1, '50.00 USD', 'apple_pay', '0 USD'), (2, '120.00 USD', 'google_pay', '24 USD'), (3, '49.99 USD', 'bank_transfer', '0 USD'))
	AS t (payment_id, amount, method, bonus);
SELECT results_eq('SELECT payment_id, amount::text, method, settled_amount::text, settled_method, status::text
	FROM payment_status WHERE account_id = 30 ORDER BY payment_id', $$VALUES
	(1::bigint, '50.00 USD', NULL, '50.00 USD', 'apple_pay', 'settled'),
	(2, '50.00 USD', 'card', '120.00 USD', 'google_pay', 'settled'),
	(3, '50.00 USD', NULL, '49.99 USD', 'bank_transfer', 'settled'),
	(4, '50.00 USD', 'card', NULL, NULL, 'pending')$$, 'T9: its row shows what was begun, and what was confirmed');
SELECT results_eq($$SELECT key::text, amount::text, method, member::text FROM entry WHERE account_id = 30 AND kind = 'topup' ORDER BY seq$$,
	$$VALUES ('word-1', '50.00 USD', 'apple_pay', 'own'), ('word-2', '120.00 USD', 'google_pay', 'own'),
	('word-3', '49.99 USD', 'bank_transfer', 'own')$$, 'T9: and its entry what was confirmed');
CREATE TEMP TABLE settled AS SELECT * FROM payment WHERE account_id = 30;
SELECT is((kb_apply_topup(30, '120 USD', 'google_pay', 'word-2', payment_id => 2)).replayed, true, 'T9: the confirmation comes again');
SELECT is(coalesce(pg_temp.result_of(call), ''), expected, 'T9: after it, ' || call) FROM (VALUES
	('kb_fail_topup(30, 2, ''declined'')', ''),
	('kb_fail_topup(30, 1, ''expired'')', ''),
	('(kb_apply_topup(30, ''120 USD'', ''card'', ''word-2'', payment_id => 2)).replayed', 'true'),
	('(kb_apply_topup(30, ''120 USD'', ''google_pay'', ''word-2'', payment_id => 2, paid => ''5000 UAH'')).replayed', 'true'),
	('(kb_apply_topup(30, ''120 USD'', ''card'', ''word-2'', payment_id => 2, paid => ''5000 UAH'')).replayed', 'true'),
	('kb_apply_topup(30, ''120 USD'', ''card'', ''word-2'')', 'KB006'),
	('kb_apply_topup(30, ''50 USD'', ''card'', ''word-2'', payment_id => 2)', 'KB006'),
	('kb_apply_topup(30, ''50 USD'', ''card'', ''word-2 again'', payment_id => 2)', 'KB006'),
	('kb_apply_topup(30, ''49.99 USD'', ''bank_transfer'', ''word-3'', payment_id => 4)', 'KB006')
) AS t (call, expected);
SET LOCAL kbilling.clock = '2027-06-09 12:00+00';
SELECT set_eq('SELECT * FROM payment WHERE account_id = 30', 'SELECT * FROM settled', 'T9: none of this has changed a payment');
SELECT is((SELECT status::text FROM payment_status WHERE account_id = 30 AND payment_id = 1), 'settled', 'T9: nor does it expire');
SELECT is((SELECT format('%s %s', count(*), sum(amount)) FROM entry WHERE account_id = 30 AND kind = 'topup'), '3 219.99 USD',
	'T9: and each was credited once');
SELECT is(pg_temp.after($$UPDATE payment SET settled_amount = '50 USD' WHERE account_id = 30 AND payment_id = 2$$),
	'(30,2,"T9: payment 2 was settled by an entry of another amount or method")', 'T9: kb_check compares a payment with its entry');

SELECT pg_temp.put_state(20, 'deleted')
\g /dev/null
SELECT is(concat(pg_temp.result_of('kb_fail_topup(20, 7, ''closed 5555 5555 5555 4444'')'), pg_temp.status(20, 7)),
	'failed closed **** **** **** ****',
	'T9: what the provider says is noted for a deleted account, too');
SELECT is(pg_temp.result_of('kb_begin_topup(20, ''own'', ''100 USD'', ''card'')'), 'KB010', 'T1: until the account is deleted');
SELECT is((kb_apply_topup(20, '100 USD', 'card', 'six', payment_id => 6)).bonus::text, '0.00 USD',
	'J8: what was begun before that and is confirmed now is credited, without a bonus');
SELECT is(pg_temp.status(20, 6), 'settled/14', 'J8: and settles the payment');

-- T9: what the provider is to be asked of

SET LOCAL kbilling.clock = '2027-07-01 12:00+00';
SELECT kb_create_account('own', 'pro', id) FROM generate_series(40, 43) id
\g /dev/null
SELECT pg_temp.clock(at), kb_begin_topup(id, 'own', amount, 'card') FROM (VALUES
	(timestamptz '2027-07-10 11:00+00', 40, kb_money '1 USD'), ('2027-07-10 12:00+00', 41, '2 USD'), ('2027-07-12 12:00+00', 41, '3 USD'),
	('2027-07-12 13:00+00', 41, '4 USD'), ('2027-07-13 11:00+00', 40, '5 USD'), ('2027-07-13 11:50+00', 41, '6 USD')) t (at, id, amount)
\g /dev/null
SET LOCAL kbilling.clock = '2027-07-13 12:00+00';
SELECT kb_apply_topup(41, '3 USD', 'card', 'asked', payment_id => 2), kb_fail_topup(41, 3, 'declined')
\g /dev/null
CREATE FUNCTION pg_temp.unsettled(VARIADIC arguments text[] = '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(concat_ws('' '', account_id, payment_id, amount, status), '', '') '
		'FROM kbilling.kb_unsettled_payments(%s)', array_to_string(arguments, ', ')) INTO result;
	RETURN result;
END $$;
SELECT is(pg_temp.unsettled(VARIADIC arguments), expected, format('T9: asked of with (%s)', array_to_string(arguments, ', ')))
FROM (VALUES
	('{}'::text[], '40 2 5.00 USD pending, 41 3 4.00 USD failed'),
	('{older_than => ''10 minutes''}', '40 2 5.00 USD pending, 41 3 4.00 USD failed, 41 4 6.00 USD pending'),
	('{newer_than => ''73 hours''}', '40 2 5.00 USD pending, 41 1 2.00 USD expired, 41 3 4.00 USD failed'),
	('{''1 hour'',''74 hours'',2}', '40 1 1.00 USD expired, 40 2 5.00 USD pending'),
	('{''1 hour'',''74 hours'',2,40,2}', '41 1 2.00 USD expired, 41 3 4.00 USD failed'),
	('{''1 hour'',''74 hours'',2,41,3}', NULL),
	('{''1 hour'',''74 hours'',1,40,1}', '40 2 5.00 USD pending'),
	('{after_account => 40}', '41 3 4.00 USD failed'),
	('{settled_newer_than => ''25 hours''}', '40 2 5.00 USD pending, 41 2 3.00 USD settled, 41 3 4.00 USD failed'),
	('{settled_newer_than => ''24 hours'',newer_than => ''1 hour''}', NULL),
	('{settled_newer_than => ''70 hours'',newer_than => ''1 hour''}', '41 2 3.00 USD settled'),
	('{settled_newer_than => ''70 hours'',after_account => 41,after_payment => 2}', '41 3 4.00 USD failed')) t (arguments, expected);
SELECT pg_temp.put_state(40, 'deleted')
\g /dev/null
SELECT is(pg_temp.unsettled(), '40 2 5.00 USD pending, 41 3 4.00 USD failed', 'J8, T9: of a deleted account, too');
SELECT is(pg_temp.result_of(format('kb_unsettled_payments(%s)', arguments)), state, format('T9: %s is refused', arguments)) FROM (VALUES
	('max => 0', '22023'), ('max => 1001', '22023'), ('max => NULL', '22004'), ('NULL', '22004'), ('newer_than => NULL', '22004'),
	('settled_newer_than => NULL', '22004'))
	t (arguments, state);
SELECT is_empty('SELECT * FROM kb_check()', 'J2: the books are right');

SELECT * FROM finish();
ROLLBACK;
