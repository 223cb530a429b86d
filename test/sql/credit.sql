-- Credit that is granted, in lots with a priority and an expiry (rules G)
BEGIN;
SET LOCAL search_path = kbilling, public;
SELECT no_plan();
\i test/include/error.sql
\i test/include/clock.sql

CREATE FUNCTION pg_temp.credit(account_id bigint) RETURNS text LANGUAGE sql
RETURN (SELECT format('%s, %s of credit', a.balance, a.unspent_bonus)
			|| coalesce(': ' || (SELECT string_agg(concat_ws(' ', o.amount, nullif(o.priority, 50),
				'to ' || nullif(o.expires_on, 'infinity')), ', ' ORDER BY o.priority, o.expires_on) FROM unnest(a.lots) o), '')
		FROM account a WHERE a.account_id = $1);
CREATE FUNCTION pg_temp.books() RETURNS text LANGUAGE sql
RETURN (SELECT string_agg(c::text, ', ') FROM kb_check() c);

SELECT pg_temp.clock('2026-11-05 12:00+00') \g /dev/null
SELECT kb_create_tariff('std', 'USD'), kb_set_price('std', 'base', '10.00', prorate => false),
	kb_create_service('call', 'metered'), kb_set_price('std', 'call', '0.10 each'),
	kb_create_service('pack', 'one_off'), kb_set_price('std', 'pack', '4.00 each')
\g /dev/null
SELECT kb_create_account('ann', 'std', i, created_at => '2026-11-01 12:00+00') FROM generate_series(1, 40) AS i \g /dev/null

-- G1: a grant

SELECT is(kb_grant_credit(1, '5 USD', 'gift-1', 'welcome'), 1::bigint, 'G1: a credit is an entry');
SELECT is(kb_grant_credit(1, '5 USD', 'gift-1', 'welcome'), 1::bigint, 'J3: granted once');
SELECT is(pg_temp.credit(1), '5.00 USD, 5.00 USD of credit', 'G1: it is on the balance, and unspent');
SELECT is((SELECT format('%s %s %s %s %s', kind, amount, memo, key, lots) FROM entry WHERE account_id = 1),
	'credit 5.00 USD welcome gift-1 ',
	'J6: of its own kind, with its reason');
SELECT kb_grant_credit(1, '3 USD', 'gift-2', 'sorry', '2026-12-01') \g /dev/null
SELECT kb_grant_credit(1, '2 USD', 'gift-3', 'first', priority => 10) \g /dev/null
SELECT kb_grant_credit(1, '4 USD', 'gift-4', 'last', '2026-11-20', 90) \g /dev/null
SELECT is(pg_temp.credit(1), '14.00 USD, 14.00 USD of credit: 2.00 USD 10, 3.00 USD to 2026-12-01, 4.00 USD 90 to 2026-11-20',
	'G1: what expires, or has a priority of its own, is kept apart');
SELECT results_eq('SELECT seq, kind::text, reference, amount::text, unspent::text, priority, expires_on FROM credit_lot WHERE account_id = 1
	ORDER BY seq', $$VALUES (1::bigint, 'credit', 'gift-1', '5.00 USD', '5.00 USD', 50, NULL::date),
		(2, 'credit', 'gift-2', '3.00 USD', '3.00 USD', 50, '2026-12-01'), (3, 'credit', 'gift-3', '2.00 USD', '2.00 USD', 10, NULL),
		(4, 'credit', 'gift-4', '4.00 USD', '4.00 USD', 90, '2026-11-20')$$, 'G1: credit_lot shows each');

-- G2: the order

SELECT kb_adjust(1, '-6 USD', 'out-1', 'spent') \g /dev/null
SELECT is(pg_temp.credit(1), '8.00 USD, 8.00 USD of credit: 4.00 USD 90 to 2026-11-20',
	'G2: the lower priority goes first, then the earlier expiry, then what never expires, and last the higher priority');
SELECT is((SELECT lots::text FROM entry WHERE account_id = 1 ORDER BY seq DESC LIMIT 1),
	'{"(10,infinity,\"-2.00 USD\")","(50,2026-12-01,\"-3.00 USD\")"}', 'G2: the entry keeps which credit it has used');
SELECT kb_apply_topup(1, '20 USD', 'card', 'pay-1') \g /dev/null
SELECT kb_adjust(1, '-9 USD', 'out-2', 'spent') \g /dev/null
SELECT is(pg_temp.credit(1), '19.00 USD, 0.00 USD of credit', 'T6: and paid money after all credit');

-- Bad input

SELECT is(pg_temp.error_of(statement), error, why)
FROM (VALUES
	($$SELECT kb_grant_credit(1, '0 USD', 'x', 'y')$$,
		'KB005 a credit must be above zero | The amount is 0.00 USD. | Use kb_adjust to take money from a balance.', 'KB005: nothing'),
	($$SELECT kb_grant_credit(1, '-1 USD', 'x', 'y')$$,
		'KB005 a credit must be above zero | The amount is -1.00 USD. | Use kb_adjust to take money from a balance.', 'KB005: less'),
	($$SELECT kb_grant_credit(1, '1 EUR', 'x', 'y')$$,
		'KB002 account 1 is in USD, but the amount is in EUR | An account has one currency, that of its tariff. | '
		'Give the amount in the account''s currency.',
		'KB002: another currency'),
	($$SELECT kb_grant_credit(1, '1 USD', 'x', 'y', '2026-11-05')$$,
		'22008 credit cannot have expired already | '
		'It would be spent no more from 2026-11-05 on; today is 2026-11-05 in the account''s time zone (G3). | '
		'Give the day after the last one on which it is good.',
		'22008: an expiry that has come'),
	($$SELECT kb_grant_credit(1, '1 USD', 'x', 'y', 'infinity')$$,
		'22008 expires_on must be finite | Leave it out for credit that never expires.', '22008: infinite'),
	($$SELECT kb_grant_credit(1, '1 USD', 'x', 'y', NULL, 1001)$$,
		'22023 priority must be from 0 to 1000 | It is 1001. | Lower numbers are spent first; 50 is that of a bonus.', '22023: a priority'),
	($$SELECT kb_grant_credit(1, '5 USD', 'gift-1', 'welcome', '2027-01-01')$$,
		'KB006 reference "gift-1" of account 1 is in use | Entry 1 was posted under it, with other content. | '
		'A reference stands for one posting; repeat it only to repeat the same call.',
		'J3: another expiry is other content'),
	($$SELECT kb_grant_credit(1, '5 USD', 'gift-1', 'welcome', NULL, 40)$$,
		'KB006 reference "gift-1" of account 1 is in use | Entry 1 was posted under it, with other content. | '
		'A reference stands for one posting; repeat it only to repeat the same call.',
		'J3: another priority, too'),
	($$SELECT kb_grant_credit(1, '1 USD', 'x', NULL)$$, '22004 memo must not be null', 'a reason is needed'),
	($$SELECT kb_set_bonus('std', '10 USD', 10, valid_days => 0)$$,
		'22023 a bonus cannot be good for 0 days | '
		'valid_days is from 1 to 36500, or NULL for a bonus that never expires.', 'G1: a day at least')
) AS t (statement, error, why);

-- G3: expiry, by the local midnight; what was used before is paid with it

SELECT kb_grant_credit(2, '5 USD', 'g', 'good until the 9th', '2026-11-10'), kb_grant_credit(3, '5 USD', 'g', 'the same', '2026-11-10'),
	kb_apply_topup(3, '7 USD', 'card', 'p') \g /dev/null
SELECT kb_record_usage(3, 'call', 20, 'u', '2026-11-05 11:00+00') \g /dev/null
SELECT pg_temp.clock('2026-11-09 23:59:59+00') \g /dev/null
SELECT kb_set_account_credit_line(2, '0 USD'), kb_set_account_credit_line(3, '0 USD') \g /dev/null
SELECT is(kb_available(3), '0.00 USD', 'G3, L1: on its last day the credit is good: 12.00, less 2.00 of usage and the fee');
SELECT pg_temp.clock('2026-11-10 00:00:00+00') \g /dev/null
SELECT is(kb_available(3), '0.00 USD', 'G3, L1: and is kept for what was used before');
SELECT is(kbilling_internal.kb_sweep_credit('{2,3}', kb_now()), 0::bigint, 'G3: so nothing expires');
SELECT is(pg_temp.credit(2), '5.00 USD, 5.00 USD of credit: 5.00 USD to 2026-11-10', 'G3: until then it is on the balance');

-- A tariff that costs nothing but usage
SELECT kb_create_tariff('use', 'USD'), kb_set_price('use', 'call', '0.10 each'), kb_set_price('use', 'pack', '4.00 each') \g /dev/null
SELECT kb_create_account('ann', 'use', i, created_at => '2026-11-01 12:00+00') FROM generate_series(101, 140) AS i \g /dev/null
SELECT kb_grant_credit(i, '5 USD', 'g', 'good until the 14th', '2026-11-15') FROM generate_series(101, 110) AS i \g /dev/null
SELECT kb_apply_topup(i, '7 USD', 'card', 'p') FROM generate_series(101, 110) AS i WHERE i <> 103 \g /dev/null
SELECT kb_record_usage(102, 'call', 20, 'u', '2026-11-09 11:00+00'), kb_record_usage(104, 'call', 80, 'u',
	'2026-11-09 11:00+00') \g /dev/null
SELECT pg_temp.clock('2026-11-15 00:00:00+00') \g /dev/null
SELECT is(kb_adjust(101, '-1 USD', 'a', 'a posting'), 4::bigint, 'G3: the next posting books what has expired first');
SELECT is(pg_temp.credit(101), '6.00 USD, 0.00 USD of credit', 'G3: it was spent no more');
SELECT is((SELECT format('%s %s %s %s %s', kind, amount, effective_on, key, lots) FROM entry WHERE account_id = 101 AND seq = 3),
	'expiry -5.00 USD 2026-11-15 kb:expiry:3 {"(50,2026-11-15,\"-5.00 USD\")"}', 'G3: as an entry that says of what');
SELECT is(kb_adjust(102, '-1 USD', 'a', 'a posting'), 4::bigint, 'G3: for another account');
SELECT is(pg_temp.credit(102), '8.00 USD, 2.00 USD of credit: 2.00 USD to 2026-11-15',
	'G3: what was used before is paid with it, and is not spent by anything else');
SELECT is(kb_adjust(104, '-1 USD', 'a', 'a posting'), 3::bigint, 'G3: all of it was used');
SELECT is(pg_temp.credit(104), '11.00 USD, 5.00 USD of credit: 5.00 USD to 2026-11-15', 'G3: so nothing expires');
SELECT is(kb_adjust(101, '-1 USD', 'a', 'a posting'), 4::bigint, 'J3: a repeat');
SELECT is((SELECT last_seq FROM account WHERE account_id = 101), 4::bigint, 'J3: changes nothing');
SELECT kb_set_account_credit_line(103, '0 USD') \g /dev/null
SELECT is(kb_available(103), '0.00 USD', 'G3, L1: what has expired is not to be spent, though no job has run');
SELECT is(pg_temp.error_of($$SELECT kb_record_usage(103, 'call', 1, 'v')$$),
	'KB013 account 103 has too little left for this usage | Left to spend: 0.00 USD; this usage costs 0.10 USD. | '
	'Top up at least 0.10 USD, or set another credit line with kb_set_account_credit_line (L2).',
	'G3, L2: nor used');
SELECT is(pg_temp.error_of($$SELECT kb_buy(103, 'pack', 1, 'b')$$),
	'KB013 account 103 has too little left for this purchase | Left to spend: 0.00 USD; it costs 4.00 USD. | '
	'Top up at least 4.00 USD (L5).',
	'G3, L5: nor does it buy anything');
SELECT is(kbilling_internal.kb_sweep_credit(array(SELECT generate_series(101, 110)), kb_now()), 7::bigint,
	'G3: the sweep books what no posting has');
SELECT is(pg_temp.credit(103), '0.00 USD, 0.00 USD of credit', 'G3: an expiry never makes a debt');
SELECT is((SELECT credit_check_on FROM account WHERE account_id = 102), '2026-12-01'::date,
	'G3: what is kept is looked at when it is charged');
SELECT is(kbilling_internal.kb_sweep_credit(array(SELECT generate_series(101, 110)), kb_now()), 0::bigint, 'G3: and once');
SELECT pg_temp.clock('2026-12-01 00:00:00+00') \g /dev/null
SELECT is((kb_month_charge(102)).balance, '6.00 USD', 'G3: the charge is paid with what was good when it was used');
SELECT is(pg_temp.credit(102), '6.00 USD, 0.00 USD of credit', 'G3: all of it');
SELECT is((kb_month_charge(104)).balance, '3.00 USD', 'T6: 8.00 are charged');
SELECT is(pg_temp.credit(104), '3.00 USD, 0.00 USD of credit', 'G2: of which 5.00 were credit');
SELECT is(pg_temp.books(), NULL, 'J2, G2: the books are right');

-- What is due on the 1st is paid with what was good until the last, whoever comes first

SELECT pg_temp.clock('2026-12-02 12:00+00') \g /dev/null
SELECT kb_create_account('ann', 'std', i, created_at => '2026-12-01 12:00+00') FROM generate_series(201, 206) AS i \g /dev/null
SELECT kb_grant_credit(i, '25 USD', 'g', 'good until the 31st', '2027-01-01') FROM generate_series(201, 206) AS i \g /dev/null
SELECT kb_apply_topup(i, '10 USD', 'card', 'p') FROM generate_series(201, 206) AS i \g /dev/null
SELECT pg_temp.clock('2027-01-01 00:00:00+00') \g /dev/null
SELECT kb_month_charge(201) \g /dev/null
SELECT kb_adjust(202, '-1 USD', 'a', 'a posting') \g /dev/null
SELECT is(pg_temp.credit(202), '19.00 USD, 10.00 USD of credit: 10.00 USD to 2027-01-01', 'G3: before the charge its credit is kept');
SELECT kb_month_charge(202) \g /dev/null
SELECT is(pg_temp.credit(201), '10.00 USD, 0.00 USD of credit', 'G3: the charge is paid with it, the rest is gone');
SELECT is(pg_temp.credit(202), '9.00 USD, 0.00 USD of credit', 'G3: to the same');
SELECT is(pg_temp.books(), NULL, 'J2, G2: the books are right');

-- G4: refunds, chargebacks, reversals

SELECT kb_set_bonus('use', '10 USD', 50, valid_days => 30) \g /dev/null
SELECT is((SELECT bonus FROM kb_apply_topup(120, '10 USD', 'card', 'p1')), '5.00 USD', 'T5: a bonus');
SELECT is(pg_temp.credit(120), '15.00 USD, 5.00 USD of credit: 5.00 USD to 2027-01-31', 'G1: that is good for 30 days');
SELECT is((SELECT format('%s %s', bonus, bonus_expires_on) FROM kb_topup_offers(120) WHERE amount = 10), '5.00 USD 2027-01-31',
	'G1: as it was offered');
SELECT is((SELECT unspent_bonus::text FROM topup_status WHERE account_id = 120), '5.00 USD', 'T6: topup_status knows');
SELECT is(pg_temp.error_of($$SELECT kb_refund(120, '11 USD', 'r')$$),
	'KB005 the refund exceeds the paid money that is left | '
	'Account 120 has a balance of 15.00 USD, of which 5.00 USD is bonus; the refund is 11.00 USD (T6). | '
	'Refund less, as bonus is not paid out; or book with "forced" what the provider has refunded already.',
	'G4: credit is never paid out');
SELECT kb_refund(120, '4 USD', 'r1') \g /dev/null
SELECT is(pg_temp.credit(120), '9.00 USD, 3.00 USD of credit: 3.00 USD to 2027-01-31', 'G4: it goes with its payment');
SELECT kb_reverse(120, 4, 'r2', 'failed') \g /dev/null
SELECT is(pg_temp.credit(120), '15.00 USD, 5.00 USD of credit: 5.00 USD to 2027-01-31', 'G4: and comes back with it, with its expiry');
SELECT kb_buy(120, 'pack', 1, 'b1') \g /dev/null
SELECT is(pg_temp.credit(120), '11.00 USD, 1.00 USD of credit: 1.00 USD to 2027-01-31', 'L5: a purchase spends credit first');
SELECT kb_reverse(120, (SELECT seq FROM entry WHERE account_id = 120 AND key = 'b1'), 'b2', 'wrong') \g /dev/null
SELECT is(pg_temp.credit(120), '15.00 USD, 5.00 USD of credit: 5.00 USD to 2027-01-31', 'G4: its reversal brings it back');
SELECT kb_buy(120, 'pack', 1, 'b3') \g /dev/null
SELECT pg_temp.clock('2027-01-31 00:00:00+00') \g /dev/null
SELECT kb_reverse(120, (SELECT seq FROM entry WHERE account_id = 120 AND key = 'b3'), 'b4', 'wrong') \g /dev/null
SELECT is(pg_temp.credit(120), '14.00 USD, 4.00 USD of credit: 4.00 USD to 2027-01-31',
	'G4: what has expired meanwhile comes back as expired');
SELECT is((SELECT kind::text FROM entry WHERE account_id = 120 AND amount = -1), 'expiry', 'G3: after what had expired');
SELECT kb_apply_topup(120, '1 USD', 'card', 'p2') \g /dev/null
SELECT is(pg_temp.credit(120), '11.00 USD, 0.00 USD of credit', 'G3: so the next posting takes it');
SELECT is(pg_temp.error_of($$SELECT kb_reverse(120, (SELECT max(seq) FROM entry WHERE account_id = 120 AND kind = 'expiry'), 'x', 'y')$$),
	'22023 entry 12 of account 120 has taken credit that expired | Grant new credit with kb_grant_credit.', 'G4: an expiry stays');
SELECT kb_reverse(120, 1, 'p3', 'wrong account') \g /dev/null
SELECT is(pg_temp.credit(120), '1.00 USD, 0.00 USD of credit', 'T6: the top-up goes, of its bonus nothing is left');

-- A reversal of a grant takes it back, and what was spent of it from what is there
SELECT kb_grant_credit(121, '5 USD', 'g', 'a gift', '2027-06-01'), kb_grant_credit(121, '2 USD', 'h', 'another') \g /dev/null
SELECT kb_adjust(121, '-4 USD', 'a', 'spent') \g /dev/null
SELECT kb_reverse(121, 1, 'x', 'not meant') \g /dev/null
SELECT is(pg_temp.credit(121), '-2.00 USD, 0.00 USD of credit', 'J1: all that was given goes, into debt');
SELECT is((SELECT string_agg(concat_ws(' ', kept, unspent), ', ' ORDER BY seq) FROM credit_lot WHERE account_id = 121),
	'0.00 USD 0.00 USD, 2.00 USD 0.00 USD', 'G1: credit_lot shows it');
SELECT kb_grant_credit(121, '5 USD', 'i', 'on a debt', '2027-03-01') \g /dev/null
SELECT is(pg_temp.credit(121), '3.00 USD, 3.00 USD of credit: 3.00 USD to 2027-03-01', 'G1: what pays a debt is spent at once');
SELECT kb_adjust(121, '-9 USD', 'b', 'spent') \g /dev/null
SELECT kb_grant_credit(121, '1 USD', 'j', 'less than the debt', '2027-04-01') \g /dev/null
SELECT is(pg_temp.credit(121), '-5.00 USD, 0.00 USD of credit', 'G1: all of it, if it pays no more');
SELECT is((SELECT format('%s of %s to %s', unspent, amount, expires_on) FROM credit_lot WHERE account_id = 121 ORDER BY seq DESC LIMIT 1),
	'0.00 USD of 1.00 USD to 2027-04-01', 'G1: it is still known when it would have expired');
SELECT is(pg_temp.books(), NULL, 'J2, G2: the books are right');

-- What a review found

SELECT pg_temp.clock('2027-01-05 12:00+00') \g /dev/null
SELECT kb_create_tariff('day', 'USD'), kb_set_price('day', 'base', '31.00'), kb_set_price('day', 'call', '0.10 each') \g /dev/null
SELECT kb_create_tariff('bare', 'USD'), kb_set_price('bare', 'call', '0.10 each'), kb_set_price('bare', 'pack', '4.00 each') \g /dev/null
SELECT kb_create_account('ann', 'bare', i, created_at => '2027-01-01 12:00+00') FROM generate_series(401, 412) AS i \g /dev/null
SELECT kb_create_account('ann', 'day', i, created_at => '2027-01-01 00:00+00') FROM generate_series(421, 425) AS i \g /dev/null
-- what has expired is not taken a second time
SELECT kb_grant_credit(401, '5 USD', 'g', 'x', '2027-01-10') \g /dev/null
-- a gift pays a debt, and the bill that made the debt was wrong
SELECT kb_apply_topup(402, '30 USD', 'card', 'p'), kb_adjust(402, '-30 USD', 'a1', 'used'), kb_adjust(402, '-30 USD', 'a2', 'wrong bill'),
	kb_grant_credit(402, '30 USD', 'g', 'sorry', '2027-06-01'), kb_reverse(402, 3, 'r', 'wrong') \g /dev/null
SELECT is(pg_temp.credit(402), '30.00 USD, 30.00 USD of credit: 30.00 USD to 2027-06-01', 'G4: credit does not become money');
-- but what older debts were paid with stays spent
SELECT kb_apply_topup(403, '5 USD', 'card', 'p'), kb_adjust(403, '-15 USD', 'a1', 'used'), kb_adjust(403, '-10 USD', 'a2', 'wrong bill'),
	kb_grant_credit(403, '10 USD', 'g', 'sorry'), kb_apply_topup(403, '10 USD', 'card', 'p2'), kb_reverse(403, 3, 'r', 'wrong') \g /dev/null
SELECT is(pg_temp.credit(403), '10.00 USD, 0.00 USD of credit', 'G4: the older debt was paid with the gift, the other with money');
-- a gift is reversed, which takes another gift; and then what had spent the first
SELECT kb_apply_topup(404, '10 USD', 'card', 'p'), kb_adjust(404, '-5 USD', 'b0', 'used'),
	kb_grant_credit(404, '5 USD', 'l', 'x', priority => 10),
	kb_grant_credit(404, '5 USD', 'm', 'x', priority => 60), kb_adjust(404, '-5 USD', 'b1', 'used'), kb_reverse(404, 3, 'r1', 'not meant'),
	kb_reverse(404, 5, 'r2', 'not used') \g /dev/null
SELECT is(pg_temp.credit(404), '10.00 USD, 5.00 USD of credit: 5.00 USD 60', 'G4: the other gift comes back');
-- what is kept buys nothing, with a credit line or without
SELECT kb_grant_credit(i, '50 USD', 'a', 'x', '2027-01-10'),
	kb_record_usage(i, 'call', 300, 'l') FROM generate_series(405, 406) AS i \g /dev/null
SELECT kb_set_account_credit_line(406, '0 USD') \g /dev/null
-- what is kept stays kept, whatever is granted later
SELECT kb_grant_credit(407, '5 USD', 'a', 'x', '2027-01-10'), kb_apply_topup(407, '1 USD', 'card', 'p'),
	kb_record_usage(407, 'call', 30, 'u') \g /dev/null
-- a late sweep comes to the same as a daily one
SELECT kb_grant_credit(i, '20 USD', 'a', 'x', '2027-01-10'), kb_grant_credit(i, '20 USD', 'b', 'x', '2027-01-20')
FROM generate_series(421, 422) AS i \g /dev/null
-- a bill that was right but for its sum
SELECT kb_grant_credit(423, '31 USD', 'a', 'for January', '2027-02-01') \g /dev/null
-- a contract that ends: what the last charge leaves goes with it
SELECT kb_grant_credit(424, '10 USD', 'a', 'x', '2027-01-10'), kb_apply_topup(424, '5 USD', 'card', 'p') \g /dev/null
SELECT pg_temp.clock('2027-01-10 12:00+00') \g /dev/null
SELECT kbilling_internal.kb_sweep_credit(array(SELECT generate_series(401, 421) UNION SELECT 424), kb_now()) \g /dev/null
SELECT is(pg_temp.error_of($$SELECT kb_reverse(401, 1, 'r', 'not meant')$$),
	'KB006 entry 1 of account 401 has been taken back already | What was left of it has expired, or may have: some of what was good for as '
	'long did (G3). | Use kb_adjust if more is to be put right.', 'G4: what has expired is not taken a second time');
SELECT is(pg_temp.credit(405), '30.00 USD, 30.00 USD of credit: 30.00 USD to 2027-01-10', 'G3: so much was used before');
SELECT is(kb_available(i), '0.00 USD', 'G3, L1: and nothing is left to spend') FROM generate_series(405, 406) AS i;
SELECT is(left(pg_temp.error_of(format($$SELECT kb_buy(%s, 'pack', 1, 'b')$$, i)), 5), 'KB013',
	'G3, L5: nor to buy') FROM generate_series(405, 406) AS i;
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(406, 'call', 1, 'm')$$), 5), 'KB013', 'G3, L2: nor to use');
SELECT kb_record_usage(406, 'call', -100, 'back') \g /dev/null
SELECT is(left(pg_temp.error_of($$SELECT kb_record_usage(406, 'call', 101, 'm')$$), 5), 'KB013',
	'G3: what is not owed any more is not free');
SELECT is(left(pg_temp.error_of($$SELECT kb_buy(406, 'pack', 1, 'b')$$), 5), 'KB013', 'G3: for nothing');
SELECT kb_grant_credit(407, '3 USD', 'c', 'x', priority => 10), kb_adjust(407, '-0.01 USD', 'z', 'z') \g /dev/null
SELECT is(pg_temp.credit(407), '6.99 USD, 5.99 USD of credit: 2.99 USD 10, 3.00 USD to 2027-01-10', 'G3: what is kept stays kept');
SELECT kb_set_discount(424, 100), kb_end_account(424, 'ann', '2027-01-15') \g /dev/null
SELECT is((SELECT credit_check_on FROM account WHERE account_id = 424), '2027-01-16'::date,
	'X2, G3: the sweep looks when the contract is over');
SELECT pg_temp.clock('2027-01-20 12:00+00') \g /dev/null
SELECT kbilling_internal.kb_sweep_credit('{421,422}', kb_now()) \g /dev/null
SELECT is(pg_temp.credit(421), pg_temp.credit(422), 'G3: a sweep that is late comes to the same as one that is not');
SELECT kb_month_charge(424) \g /dev/null
SELECT kbilling_internal.kb_sweep_credit('{424}', kb_now()) \g /dev/null
SELECT is(pg_temp.credit(424), '5.00 USD, 0.00 USD of credit', 'G3: what the last charge has left is gone');
SELECT pg_temp.clock('2027-02-01 12:00+00') \g /dev/null
SELECT kb_month_charge(407), kb_month_charge(423), kb_month_charge(421) \g /dev/null
SELECT is(pg_temp.credit(407), '3.99 USD, 2.99 USD of credit: 2.99 USD 10', 'G3: and the charge takes it first');
SELECT is(pg_temp.credit(421), '-12.00 USD, 0.00 USD of credit', 'G3: of two that expire in turn, each pays for its days');
SELECT is(pg_temp.books(), NULL, 'J2, G2: the books are right');
-- usage that goes on is foretold by days
SELECT pg_temp.clock('2027-02-05 12:00+00') \g /dev/null
SELECT kb_record_usage(408, 'call', 100, 'u' || d, make_timestamptz(2027, 2, d, 1, 0, 0, 'UTC'))
FROM generate_series(1, 5) AS d \g /dev/null
SELECT kb_grant_credit(408, '300 USD', 'a', 'x', '2027-02-11') \g /dev/null
SELECT ok(kb_amount_for(408, 1) BETWEEN '5 USD'::kb_money AND '200 USD'::kb_money, 'S6, G3: credit does not pay for days after it');
-- a policy that tells earlier is told by
SELECT kb_set_policy('tell', '{"credit_notice_days": 7}'), kb_create_tariff('tell', 'USD', policy => 'tell') \g /dev/null
SELECT kb_create_account('ann', 'tell', 409 + 20, created_at => '2027-02-01 12:00+00'),
	kb_grant_credit(429, '5 USD', 'g', 'x', '2027-03-20') \g /dev/null
SELECT kb_set_policy('tell', '{"credit_notice_days": 60}') \g /dev/null
SELECT is((SELECT credit_check_on FROM account WHERE account_id = 429), '2027-02-05'::date,
	'G3: a policy that tells earlier holds at once');
SELECT kbilling_internal.kb_sweep_credit('{429}', kb_now()) \g /dev/null
SELECT kb_grant_credit(429, '100 USD', 'h', 'more', '2027-03-20') \g /dev/null
SELECT kbilling_internal.kb_sweep_credit('{429}', kb_now()) \g /dev/null
SELECT is((SELECT string_agg(facts->>'amount', ', ' ORDER BY notice_no) FROM notice WHERE account_id = 429 AND kind = 'credit_expiring'),
	'5.00 USD, 105.00 USD', 'G3: it is told again if it has become more');

-- G3: a notice before it expires, once for each day

SELECT pg_temp.clock('2027-02-10 12:00+00') \g /dev/null
SELECT kb_grant_credit(130, '5 USD', 'a', 'x', '2027-02-20'), kb_grant_credit(130, '2 USD', 'b', 'x', '2027-02-20', 10),
	kb_grant_credit(130, '1 USD', 'c', 'x', '2027-02-12'), kb_grant_credit(130, '1 USD', 'd', 'x') \g /dev/null
SELECT is((SELECT credit_check_on FROM account WHERE account_id = 130), '2027-02-10'::date,
	'G3: it is to be told at once of what expires soon');
SELECT kbilling_internal.kb_sweep_credit('{130}', kb_now()) \g /dev/null
SELECT is((SELECT facts::text FROM notice WHERE account_id = 130 AND kind = 'credit_expiring'),
	'{"amount": "1.00 USD", "balance": "9.00 USD", "last_day": "2027-02-11", "expires_on": "2027-02-12"}',
		'G3: a notice of what will expire');
SELECT is((SELECT credit_check_on FROM account WHERE account_id = 130), '2027-02-12'::date, 'G3: the next look is when that expires');
SELECT pg_temp.clock('2027-02-12 12:00+00') \g /dev/null
SELECT is(kbilling_internal.kb_sweep_credit('{130}', kb_now()), 1::bigint, 'G3: it does');
SELECT is((SELECT credit_check_on FROM account WHERE account_id = 130), '2027-02-13'::date, 'G3: the next, a week before the other');
SELECT pg_temp.clock('2027-02-14 12:00+00') \g /dev/null
SELECT kbilling_internal.kb_sweep_credit('{130}', kb_now()), kbilling_internal.kb_sweep_credit('{130}', kb_now()) \g /dev/null
SELECT is((SELECT string_agg(facts->>'amount', ', ' ORDER BY notice_no) FROM notice WHERE account_id = 130 AND kind = 'credit_expiring'),
	'1.00 USD, 7.00 USD', 'N3: of all credit that expires on a day, once');
SELECT is((SELECT array_agg(x->'amount'->>'amount' || ' ' || (x->>'expires_on')) FROM jsonb_array_elements(kb_portal(130,
	'ann')->'expiring_credit') x),
	'{7.00 2027-02-20}', 'G3: the page shows what expires');

-- Rights and states

SELECT kb_end_account(131, 'ann') \g /dev/null
SELECT pg_temp.clock('2027-02-15 12:00+00') \g /dev/null
SELECT is(left(pg_temp.error_of($$SELECT kb_grant_credit(131, '1 USD', 'x', 'y')$$), 5), '55000', 'X2: none after the contract');

-- G3: what is foretold

SELECT pg_temp.clock('2027-03-02 12:00+00') \g /dev/null
SELECT kb_create_account('ann', 'std', i, created_at => '2027-03-01 12:00+00') FROM generate_series(301, 304) AS i \g /dev/null
SELECT kb_grant_credit(301, '25 USD', 'g', 'x', '2027-05-10'), kb_apply_topup(301, '2 USD', 'card', 'p') \g /dev/null
SELECT results_eq('SELECT period, charge::text, balance::text FROM kb_forecast(301, 4)',
	$$VALUES (date '2027-03-01', '10.00 USD', '17.00 USD'), ('2027-04-01', '10.00 USD', '7.00 USD'),
		('2027-05-01', '10.00 USD', '-3.00 USD'), ('2027-06-01', '10.00 USD', '-13.00 USD')$$,
	'G3: credit that is used before it expires pays');
SELECT kb_grant_credit(302, '45 USD', 'g', 'x', '2027-05-10'), kb_apply_topup(302, '2 USD', 'card', 'p') \g /dev/null
SELECT results_eq('SELECT period, charge::text, balance::text FROM kb_forecast(302, 4)',
	$$VALUES (date '2027-03-01', '10.00 USD', '37.00 USD'), ('2027-04-01', '10.00 USD', '27.00 USD'),
		('2027-05-01', '10.00 USD', '2.00 USD'), ('2027-06-01', '10.00 USD', '-8.00 USD')$$,
	'G3: what is not, is foretold to go');
SELECT kb_set_policy('early', '{"charge_notice_days": 3}'), kb_create_tariff('early', 'USD', policy => 'early'),
	kb_set_price('early', 'base', '10.00') \g /dev/null
SELECT kb_create_account('ann', 'early', i, created_at => '2027-03-01 12:00+00') FROM generate_series(305, 306) AS i \g /dev/null
SELECT kb_grant_credit(305, '25 USD', 'g', 'x', '2027-03-30'), kb_grant_credit(306, '25 USD', 'g', 'x', '2027-04-01') \g /dev/null
SELECT pg_temp.clock('2027-03-29 12:00+00') \g /dev/null
SELECT kbilling_internal.kb_notify_alerts('{305,306}', kb_now()) \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', account_id, facts->>'missing'), ', ') FROM notice WHERE kind = 'charge_upcoming'),
	'305 0.65 USD', 'L6, G3: what is missing of the charge, as the rest of the credit will have expired');
SELECT pg_temp.clock('2027-03-02 12:00+00') \g /dev/null
SELECT is(kb_amount_for(302, 4), '8.00 USD', 'G3: and what is to be paid in its place');
SELECT is((SELECT amount FROM kb_topup_offers(302) WHERE months = 6), kb_amount_for(302, 6), 'G3: offers say the same');

SELECT * FROM finish();
ROLLBACK;
