-- Which top-ups money that goes back belongs to, and which bonus goes with it (T6, T7, J8)
BEGIN;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SET LOCAL kbilling.clock = '2026-11-01 10:00+00';
SELECT no_plan();
\ir ../include/error.sql
\ir ../include/state.sql

SELECT kb_create_tariff('pro', 'USD'), kb_create_tariff('plain', 'USD')
\g /dev/null
SELECT kb_set_bonus('pro', '100 USD', 10), kb_set_bonus('pro', '7 USD', 3.3), kb_set_price('pro', 'base', '30.00')
\g /dev/null

-- The entries, and what the view says

SELECT kb_create_account('ann', 'pro', 1)
\g /dev/null
SELECT kb_apply_topup(1, '100 USD', 'card', 'p1'), kb_apply_topup(1, '200 USD', 'card', 'p2'), kb_apply_topup(1, '5 USD', 'card', 'p3')
\g /dev/null
SELECT is(kb_refund(1, '255 USD', 'r1', 'moved'), 8::bigint, 'T6: a refund of several top-ups returns its own entry');
SELECT is(kb_chargeback(1, 'p1', 'd1', '40 USD'), 10::bigint, 'T7: so does a chargeback');
SELECT results_eq('SELECT seq, kind::text, amount::text, balance_after::text, bonus_after::text, ref_seq, lines::jsonb FROM entry
		WHERE account_id = 1 AND seq > 5 ORDER BY seq',
	$$VALUES
		(6::bigint, 'bonus', '-20.00 USD', '315.00 USD', '10.00 USD', 4::bigint, NULL::jsonb),
		(7, 'bonus', '-5.00 USD', '310.00 USD', '5.00 USD', 2, NULL),
		(8, 'refund', '-255.00 USD', '55.00 USD', '5.00 USD', NULL, '[{"topup": 5, "amount": "5.00 USD"},
			{"topup": 3, "amount": "200.00 USD"}, {"topup": 1, "amount": "50.00 USD"}]'),
		(9, 'bonus', '-4.00 USD', '51.00 USD', '1.00 USD', 2, NULL),
		(10, 'chargeback', '-40.00 USD', '11.00 USD', '1.00 USD', 1, '[{"topup": 1, "amount": "40.00 USD", "named": true}]')$$,
	'T6, T7: the entries say of which top-ups, and what goes of which bonus');
SELECT results_eq('SELECT seq, reference::text, amount::text, taken_back::text, remaining::text, bonus_seq, bonus_earned::text, bonus::text,
		unspent_bonus::text FROM topup_status WHERE account_id = 1 ORDER BY seq',
	$$VALUES
		(1::bigint, 'p1', '100.00 USD', '90.00 USD', '10.00 USD', 2::bigint, '10.00 USD', '1.00 USD', '1.00 USD'),
		(3, 'p2', '200.00 USD', '200.00 USD', '0.00 USD', 4, '20.00 USD', '0.00 USD', '0.00 USD'),
		(5, 'p3', '5.00 USD', '5.00 USD', '0.00 USD', NULL, '0.00 USD', '0.00 USD', '0.00 USD')$$,
	'T6, T7: what is left of each top-up');
SELECT is(kb_reverse(1, 8, 'v1', 'it came back'), 11::bigint, 'T6: the reversal of a refund returns its own entry');
SELECT is(ARRAY(SELECT format('%s %s %s for %s: %s, bonus %s', seq, kind, amount, ref_seq, balance_after, bonus_after)
				FROM entry WHERE account_id = 1 AND seq > 10 ORDER BY seq),
	'{"11 reversal 255.00 USD for 8: 266.00 USD, bonus 1.00 USD","12 bonus 20.00 USD for 4: 286.00 USD, bonus 21.00 USD",
	"13 bonus 5.00 USD for 2: 291.00 USD, bonus 26.00 USD"}', 'T6: and brings back each bonus that went');
SELECT is(ARRAY(SELECT ledger_account || ' ' || balance FROM trial_balance ORDER BY 1),
	'{"cash 265.00 USD","customers -291.00 USD","promotions 26.00 USD","refunds 0.00 USD"}', 'J4: each is booked at its contra account');
SELECT is_empty('SELECT * FROM kb_check()', 'J2, T6, T7: the books are right');
SELECT is(pg_temp.error_of(call), error, 'T6, T7: ' || call) FROM (VALUES
	('SELECT kb_refund(1, ''500 USD'', ''x'')', 'KB005 the refund exceeds the paid money that is left'
		' | Account 1 has a balance of 291.00 USD, of which 26.00 USD is bonus; the refund is 500.00 USD (T6).'
		' | Refund less, as bonus is not paid out; or book with "forced" what the provider has refunded already.'),
	('SELECT kb_refund(1, ''60.01 USD'', ''x'', topup_reference => ''p1'')', 'KB005 the refund exceeds what is left of the top-up'
		' | 60.00 USD is left of the top-up of account 1; the refund is 60.01 USD (T6, T7).'
		' | kbilling.topup_status shows what is left of each. Use kb_adjust for money that no top-up has brought.'),
	('SELECT kb_refund(1, ''265.01 USD'', ''x'', forced => true)', 'KB005 the refund exceeds what is left of the top-ups'
		' | 265.00 USD is left of the top-ups of account 1; the refund is 265.01 USD (T6, T7).'
		' | kbilling.topup_status shows what is left of each. Use kb_adjust for money that no top-up has brought.'),
	('SELECT kb_chargeback(1, ''p1'', ''x'', ''1 EUR'')', 'KB002 account 1 is in USD, but the amount is in EUR'
		' | An account has one currency, that of its tariff. | Give the amount in the account''s currency.'),
	('SELECT kb_reverse(1, 1, ''x'', ''m'')', 'KB006 entry 1 of account 1 has been taken back already'
		' | 40.00 USD of 100.00 USD has been refunded, charged back or reversed (T7). | Use kb_adjust if more is to be put right.'),
	('SELECT kb_reverse(1, 2, ''x'', ''m'')', 'KB006 entry 2 of account 1 has been taken back already'
		' | 4.00 USD of 10.00 USD has gone with what was given back of its top-up (T6). | Use kb_adjust if more is to be put right.'),
	('SELECT kb_reverse(1, 9, ''x'', ''m'')', '22023 entry 9 of account 1 moves a bonus along with another entry'
		' | Reverse the refund or chargeback that it went with: its bonus comes back with it.'),
	('SELECT kb_refund(1, ''1 USD'', ''x'', forced => NULL)', '22004 forced must not be null'),
	('SELECT kb_refund(1, ''1 USD'', ''x'', topup_reference => ''p9'')', '22023 account 1 has no top-up "p9"'
		' | Give the reference under which the top-up was applied; kbilling.topup_status lists them.'),
	('SELECT kb_refund(1, ''1 USD'', ''x'', topup_reference => ''4111111111111111'')',
		'KB008 value holds what looks like a payment card number'
		' | It has 13 to 19 digits with an issuer''s prefix and a valid check digit.'
		' | Take it out: no payment data is stored (rule T4). Keep the payment provider''s reference instead.')
) AS t (call, error);

-- J3: what was asked for is content, too

SELECT kb_create_account('bob', 'plain', 2)
\g /dev/null
SELECT kb_apply_topup(2, '100 USD', 'card', 'p1'), kb_apply_topup(2, '100 USD', 'card', 'p2')
\g /dev/null
CREATE TEMP TABLE asked (call text, others text[]);
INSERT INTO asked VALUES
	('kb_refund(2, ''10 USD'', ''r1'')',
		'{"kb_refund(2, ''10 USD'', ''r1'', topup_reference => ''p2'')",
		"kb_refund(2, ''10 USD'', ''r1'', forced => true)", "kb_refund(2, ''11 USD'', ''r1'')",
		"kb_refund(2, ''10 USD'', ''r1'', ''m'')"}'),
	('kb_refund(2, ''10 USD'', ''r2'', topup_reference => ''p1'')', '{"kb_refund(2, ''10 USD'', ''r2'')",
		"kb_refund(2, ''10 USD'', ''r2'', topup_reference => ''p2'')"}'),
	('kb_refund(2, ''10 USD'', ''r3'', forced => true)', '{"kb_refund(2, ''10 USD'', ''r3'')"}'),
	('kb_chargeback(2, ''p1'', ''c1'', ''20 USD'')', '{"kb_chargeback(2, ''p1'', ''c1'')", "kb_chargeback(2, ''p1'', ''c1'', ''21 USD'')",
		"kb_chargeback(2, ''p2'', ''c1'', ''20 USD'')"}'),
	('kb_chargeback(2, ''p1'', ''c2'')', '{"kb_chargeback(2, ''p1'', ''c2'', ''70 USD'')", "kb_chargeback(2, ''p2'', ''c2'')"}'),
	('kb_reverse(2, 7, ''v1'', ''won'')', '{"kb_reverse(2, 6, ''v1'', ''won'')"}');
CREATE FUNCTION pg_temp.seq_of(call text, OUT seq bigint) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT ' || call INTO seq;
END $$;
SELECT is(pg_temp.seq_of(call), nth + 2, 'J3: it is posted: ' || call) FROM (SELECT call, row_number() OVER () AS nth FROM asked) a;
SELECT is(pg_temp.seq_of(call), nth + 2, 'J3: again, it gives the first result: ' || call)
FROM (SELECT call, row_number() OVER () AS nth FROM asked) a;
SELECT is(left(pg_temp.error_of('SELECT ' || other), 5), 'KB006', 'J3: not asked for in the same way: ' || other)
FROM asked, unnest(others) AS other;
SELECT is((SELECT last_seq FROM account WHERE account_id = 2), 8::bigint, 'J3: nothing more was posted');

-- J8: booked in every state

SELECT kb_create_tariff('ahead', 'USD'), kb_set_bonus('ahead', '100 USD', 10), kb_set_price('ahead', 'base', '30.00')
\g /dev/null
SELECT kb_create_account('ann', 'ahead', id, email => 'ann@example.org') FROM unnest('{31,32,33}'::int[]) AS id
\g /dev/null
SELECT kb_apply_topup(id, '20 USD', 'card', 'p1'), kb_apply_topup(id, '80 USD', 'card', 'p2'), kb_adjust(id, '-40 USD', 'k', 'spent')
FROM unnest('{31,32,33}'::int[]) AS id
\g /dev/null
SET LOCAL kbilling.clock = '2026-12-05 10:00+00';
SELECT kb_month_charge(id) FROM unnest('{31,32,33}'::int[]) AS id
\g /dev/null
SELECT pg_temp.put_state(31, 'deleted'), pg_temp.put_state(33, 'deleted')
\g /dev/null
SELECT pg_temp.put_state(32, 'purged')
\g /dev/null
-- What a call makes of the account's balance
CREATE FUNCTION pg_temp.books(call text, account_id bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT ' || replace(call, 'ACCOUNT', account_id::text);
	RETURN (SELECT format('%s, bonus %s, %s', a.balance, a.unspent_bonus, a.state)
			FROM kbilling.account a WHERE a.account_id = books.account_id);
END $$;
-- 100 was paid in, 70 is spent.
SELECT is(pg_temp.books(call, account_id), format('%s, bonus 0.00 USD, %s', balance, state), format('J8: %s: %s', state, call))
FROM (VALUES
	(1, 'kb_chargeback(ACCOUNT, ''p1'', ''d1'', ''15 USD'')', '15.00 USD'),
	(2, 'kb_refund(ACCOUNT, ''5 USD'', ''r1'')', '10.00 USD'),
	(3, 'kb_refund(ACCOUNT, ''75 USD'', ''r2'', NULL, ''p2'', true)', '-65.00 USD'),
	(4, 'kb_write_off(ACCOUNT, ''w1'', ''gone'')', '0.00 USD'),
	(5, 'kb_adjust(ACCOUNT, ''-3 USD'', ''a1'', ''a fee'')', '-3.00 USD'),
	(6, 'kb_reverse(ACCOUNT, 5, ''v1'', ''won'')', '12.00 USD'),
	(7, 'kb_apply_topup(ACCOUNT, ''150 USD'', ''bank_transfer'', ''late'', ''nobody'')', '162.00 USD'),
	(8, 'kb_apply_topup(ACCOUNT, ''150 USD'', ''bank_transfer'', ''late'')', '162.00 USD'),
	(9, 'kb_chargeback(ACCOUNT, ''late'', ''d2'')', '12.00 USD'),
	(10, 'kb_chargeback(ACCOUNT, ''late'', ''d2'')', '12.00 USD'),
	(11, 'kb_month_charge(ACCOUNT, ''2026-11-01'')', '12.00 USD')
) AS t (n, call, balance), (VALUES (31, 'deleted'), (32, 'purged')) AS a (account_id, state)
ORDER BY account_id, n;
SELECT is(kb_month_charge(id, '2026-11-01')::text, '(2026-11-01,4,"30.00 USD","30.00 USD",ok,t)',
	format('J3: the charge of account %s is replayed', id))
FROM unnest('{31,32}'::int[]) AS id;
SELECT is(left(pg_temp.error_of(format('SELECT kb_month_charge(%s, ''2026-12-01'')', id)), 5), 'KB010',
	format('D5: account %s is charged no more', id))
FROM unnest('{31,32}'::int[]) AS id;
SELECT is(left(pg_temp.error_of(format('SELECT kb_begin_topup(%s, ''ann'', ''1 USD'', ''card'')', id)), 5), 'KB010',
	format('T1: no member of account %s begins a payment', id))
FROM unnest('{31,32}'::int[]) AS id;
SELECT is(stage_check_on IS NULL AND closure_check_on IS NULL, true, 'J8: no sweep looks at a purged account')
FROM account WHERE account_id = 32;
SELECT is(kb_refund(33, '10 USD', 'r1'), 5::bigint, 'J8: refunded while it is deleted');
SELECT is(closure_check_on, '2099-01-01', 'D6: its purge is due when it was') FROM account WHERE account_id = 33;

-- J8, N5: what the application is told

SELECT is(ARRAY(SELECT format('%s: %s to %s', t.account_id, t.facts, t.recipients) FROM kb_take_notices(1000, '1 minute') t
				WHERE t.kind = 'topup_after_deletion' ORDER BY t.account_id),
	ARRAY(SELECT format('%s: %s to []', id, format('{"amount": "150.00 USD", "in_debt": false, "has_ended": false,
		"stage": "ok", "balance": "162.00 USD", "reference": "late", "account_id": %s, "amount_due": "0.00 USD"}', id)::jsonb)
		FROM unnest('{31,32}'::int[]) AS id),
	'J8, N5: money that has arrived for a deleted account is told once, to the application');
SELECT is((kb_render_notice(account_id, notice_no, language)).subject, subject, 'N4: in ' || language)
FROM notice, (VALUES ('en', 'Account 31 is deleted, but 150.00 USD has been paid'),
	('uk', 'Кабінет №31 видалено, але надійшов платіж 150.00 USD'))
	AS t (language, subject)
WHERE account_id = 31 AND kind = 'topup_after_deletion';
SELECT is_empty('SELECT FROM notice WHERE account_id IN (31, 32) AND kind = ''topup_received'' AND occasion::bigint > 4',
	'N5: and not to its owner');

-- D5, D6 go on as ever

SELECT kb_restore_account(31, 'support')
\g /dev/null
SELECT is(format('%s, %s, looked at %s', state, balance, coalesce(closure_check_on::text, 'never')), 'active, 12.00 USD, looked at never',
	'D5: an account with money on it is restored as ever') FROM account WHERE account_id = 31;
SELECT is(kb_purge_accounts('{33}', '2099-01-02 00:00+00'), 1::bigint, 'D6: an account with money on it is purged as ever');
SELECT is((SELECT balance::text FROM account WHERE account_id = 33), '20.00 USD', 'D6: its books stay');
SELECT kb_apply_topup(31, '1 USD', 'card', 'again')
\g /dev/null
SELECT is((SELECT kind::text FROM notice WHERE account_id = 31 ORDER BY notice_no DESC LIMIT 1), 'topup_received',
	'N5: an account that is back is told as ever');
SELECT kb_create_account('ann', 'ahead', 34)
\g /dev/null
SELECT pg_temp.put_state(34, 'deleted')
\g /dev/null
SELECT kb_apply_topup(34, '1 USD', 'card', 'p1'), kb_purge_accounts('{34}', '2099-01-02 00:00+00'),
	kb_notify_closures('{33,34}', '2099-01-02 00:00+00')
\g /dev/null
SELECT is(ARRAY(SELECT kind || ' ' || (due_at IS NOT NULL) FROM notice WHERE account_id = 34 ORDER BY notice_no),
	'{"account_deleted false","topup_after_deletion true","account_purged true"}',
	'D6: a purge does not withdraw what the application is to know');
SELECT is_empty('SELECT * FROM kb_check()', 'J2: the books are right');
SELECT is_empty('SELECT currency FROM trial_balance GROUP BY currency HAVING sum(balance) <> 0', 'J4: and add up to zero');

-- T8: what goes back in the currency in which it was paid

SELECT kb_create_account('eve', 'plain', 80), kb_create_account('eve', 'plain', 81), kb_create_account('eve', 'pro', 82)
\g /dev/null
SELECT kb_apply_topup(80, '10 USD', 'card', 'p1', paid => '300 UAH'), kb_apply_topup(80, '0.03 USD', 'card', 'p2', paid => '6 UAH'),
	kb_apply_topup(80, '5 USD', 'card', 'p3'), kb_apply_topup(80, '5 USD', 'card', 'p4', paid => '5.20 USD')
\g /dev/null
CREATE FUNCTION pg_temp.said(account_id bigint, seq bigint) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT format('%s %s of %s for %s', kind, amount, paid, ref_seq) FROM kbilling.entry e WHERE e.account_id = $1 AND e.seq = $2 $$;
SELECT is(pg_temp.said(80, kb_refund(80, '100 UAH', 'r1', topup_reference => 'p1')), 'refund -3.33 USD of -100.00 UAH for 1',
	'T8: a third of what was paid is a third of the top-up');
SELECT is(pg_temp.said(80, kb_chargeback(80, 'p1', 'd1', '100 UAH')), 'chargeback -3.34 USD of -100.00 UAH for 1',
	'T8: two thirds are 6.67, of which 3.33 have gone');
SELECT is(pg_temp.said(80, kb_refund(80, '100 UAH', 'r2', topup_reference => 'p1')), 'refund -3.33 USD of -100.00 UAH for 1',
	'T8: the last part takes all the rest');
SELECT is((SELECT remaining FROM topup_status WHERE account_id = 80 AND reference = 'p1'), '0 USD', 'T8: nothing is left of it');
SELECT is(kb_refund(80, '100 UAH', 'r1', topup_reference => 'p1'), 5::bigint, 'J3, T8: the same again is the first result');
SELECT is(kb_chargeback(80, 'p1', 'd1', '100 UAH'), 6::bigint, 'J3, T8: of a chargeback, too');
SELECT is(pg_temp.said(80, kb_reverse_chargeback(80, 'd1', 'w1')), 'reversal 3.34 USD of 100.00 UAH for 6',
	'T8: a reversal says what came back');
SELECT is(pg_temp.said(80, kb_chargeback(80, 'p1', 'd2', '100 UAH')), 'chargeback -3.34 USD of -100.00 UAH for 1',
	'T8: so that it can go again');
SELECT is(pg_temp.said(80, kb_refund(80, '1 UAH', 'r3', topup_reference => 'p2')), 'refund -0.01 USD of -1.00 UAH for 2',
	'T8: half a cent, rounded as a whole: M4');
SELECT kb_apply_topup(81, '20 USD', 'card', reference, paid => '800 UAH') FROM unnest('{c1,c2}'::text[]) reference
\g /dev/null
SELECT is(pg_temp.said(81, kb_refund(81, paid::kb_money, key, topup_reference => reference, forced => true)),
	format('refund -%s of -%s for %s', amount, paid, (SELECT seq FROM entry WHERE account_id = 81 AND key = reference)), 'T8: ' || why)
FROM (VALUES ('c1', 'c1-1', '0.15 UAH', '0.01 USD', 'less than half a cent takes one'),
	('c1', 'c1-2', '400.00 UAH', '9.99 USD', 'which the next part takes less'),
	('c1', 'c1-3', '0.05 UAH', '0.01 USD', 'and once more'), ('c1', 'c1-4', '399.80 UAH', '9.99 USD', 'up to all of it'),
	('c2', 'c2-1', '799.85 UAH', '20.00 USD', 'nearly all is all')) t (reference, key, paid, amount, why);
SELECT is(kb_refund(81, '0.15 UAH', 'c1-1', topup_reference => 'c1', forced => true),
	(SELECT seq FROM entry WHERE account_id = 81 AND key = 'c1-1'), 'J3, T8: the same again is the first result');
SELECT is(posted, NULL, 'T8: of what is left then, nothing is posted') FROM (VALUES
	(kb_refund(81, '0.15 UAH', 'c2-2', topup_reference => 'c2', forced => true)),
	(kb_refund(81, '0.15 UAH', 'c2-2', topup_reference => 'c2', forced => true)), (kb_chargeback(81, 'c2', 'c2-3', '0.15 UAH')))
	t (posted);
SELECT is_empty('SELECT FROM entry WHERE account_id = 81 AND key IN (''c2-2'', ''c2-3'')', 'T8: nor takes its reference');
SELECT is(left(pg_temp.error_of(call), 5), 'KB005', 'T8: ' || call) FROM (VALUES
	('SELECT kb_refund(81, ''0.15 UAH'', ''x'', topup_reference => ''c2'')'),
	('SELECT kb_refund(81, ''0 UAH'', ''x'', topup_reference => ''c2'', forced => true)'),
	('SELECT kb_refund(81, ''-0.01 UAH'', ''x'', topup_reference => ''c2'', forced => true)'),
	('SELECT kb_refund(81, ''400 UAH'', ''x'', topup_reference => ''c2'', forced => true)'),
	('SELECT kb_chargeback(81, ''c1'', ''x'', ''-0.01 UAH'')'), ('SELECT kb_chargeback(80, ''p2'', ''x'', ''0 USD'')')) AS t (call);
SELECT is(pg_temp.error_of(call), error, 'T8: ' || call) FROM (VALUES
	('SELECT kb_refund(80, ''-1 UAH'', ''x'', topup_reference => ''p2'')', 'KB005 a refund must be above zero'
		' | The amount is -0.01 USD. | Give the amount that is paid back as a positive one.'),
	('SELECT kb_refund(80, ''6 UAH'', ''x'', topup_reference => ''p2'', forced => true)',
		'KB005 the refund exceeds what is left of the top-up'
		' | 0.02 USD is left of the top-up of account 80; the refund is 0.03 USD (T6, T7).'
		' | kbilling.topup_status shows what is left of each. Use kb_adjust for money that no top-up has brought.'),
	('SELECT kb_refund(80, ''101 UAH'', ''r1'', topup_reference => ''p1'')', 'KB006 reference "r1" of account 80 is in use'
		' | Entry 5 was posted under it, with other content.'
		' | A reference stands for one posting; repeat it only to repeat the same call.'),
	('SELECT kb_refund(80, ''3.33 USD'', ''r1'', topup_reference => ''p1'')', 'KB006 reference "r1" of account 80 is in use'
		' | Entry 5 was posted under it, with other content.'
		' | A reference stands for one posting; repeat it only to repeat the same call.')
) AS t (call, error);
SELECT is(pg_temp.error_of(call), 'KB002 account 80 is in USD, but the amount is in ' || currency
	|| ' | An account has one currency, that of its tariff. | Give the amount in the account''s currency.', 'T8: ' || call)
FROM (VALUES
	('SELECT kb_refund(80, ''1 UAH'', ''x'')', 'UAH'), ('SELECT kb_refund(80, ''1 UAH'', ''x'', topup_reference => ''p3'')', 'UAH'),
	('SELECT kb_refund(80, ''1 EUR'', ''x'', topup_reference => ''p1'')', 'EUR'),
	('SELECT kb_chargeback(80, ''p4'', ''x'', ''1 UAH'')', 'UAH')
) AS t (call, currency);
SELECT is(pg_temp.said(80, kb_refund(80, '1 USD', 'r5', topup_reference => 'p4')), 'refund -1.00 USD of  for 4',
	'T8: a fee that was paid on top does not count');

-- whatever the parts are, they add up
CREATE FUNCTION pg_temp.parts_of(id bigint, reference text, amount kb_money, paid kb_money) RETURNS kb_money LANGUAGE plpgsql AS $$
DECLARE
	rest bigint = kbilling.kb_minor(paid);
	part bigint;
	n int = 0;
BEGIN
	PERFORM kbilling.kb_apply_topup(id, amount, 'card', reference, paid => paid);
	WHILE rest > 0 LOOP
		n := n + 1;
		part := greatest(1, (rest * random() ^ 2)::bigint);
		IF n > 6 THEN part := rest; END IF;
		PERFORM kbilling.kb_refund(id, kbilling.kb_money(part / 100.0, 'UAH'), format('%s-%s', reference, n),
			topup_reference => reference, forced => true);
		rest := rest - part;
	END LOOP;
	RETURN (SELECT remaining FROM kbilling.topup_status t WHERE t.account_id = id AND t.reference = $2);
END $$;
SELECT setseed(0.42)
\g /dev/null
SELECT is_empty($$SELECT n, remaining FROM generate_series(1, 60) n,
	pg_temp.parts_of(81, 't' || n, kb_money(round((random() * 100)::numeric, 2) + 0.01, 'USD'),
		kb_money(round((random() * 4000)::numeric, 2) + 1, 'UAH')) remaining
	WHERE remaining <> 0$$, 'T8: parts of what was paid add up to the top-up');

-- T6: sums of what went back

SELECT kb_apply_topup(82, '100 USD', 'card', 'p1'), kb_apply_topup(82, '20 USD', 'card', 'p2', paid => '820 UAH')
\g /dev/null
SELECT is(pg_temp.said(82, kb_refund_total(82, 'p1', '30 USD', 's1')), 'refund -30.00 USD of  for 1', 'T6: a sum is booked');
SELECT is(kb_refund_total(82, 'p1', '30 USD', 's1'), (SELECT seq FROM entry WHERE account_id = 82 AND key = 's1'),
	'J3, T6: again, it is the same refund');
SELECT is(pg_temp.said(82, kb_refund_total(82, 'p1', '70 USD', 's2')), 'refund -40.00 USD of  for 1',
	'T6: what is missing of a higher one');
SELECT is(kb_refund_total(82, 'p1', '50 USD', 's3'), NULL, 'T6: nothing of one that comes late');
SELECT is(kb_refund_total(82, 'p1', '70 USD', 's4'), NULL, 'T6: nothing of one that is known under another reference');
SELECT is(kb_refund_total(82, 'p1', '0 USD', 's4'), NULL, 'T6: nor of nothing');
SELECT is(pg_temp.said(82, kb_refund_total(82, 'p2', '410 UAH', 's5')), 'refund -10.00 USD of -410.00 UAH for 3',
	'T6, T8: in the currency in which it was paid');
SELECT is(pg_temp.said(82, kb_refund_total(82, 'p2', '15 USD', 's6')), 'refund -5.00 USD of  for 3', 'T6, T8: or in the account''s');
SELECT kb_apply_topup(82, '20 USD', 'card', reference, paid => '800 UAH') FROM unnest('{q1,q2,q3}'::text[]) reference
\g /dev/null
SELECT kb_refund(82, '10 USD', 'q1-1', topup_reference => 'q1', forced => true)
\g /dev/null
SELECT is(kb_refund_total(82, 'q1', '400 UAH', 'q1-2'), NULL, 'T6, T8: half of what was paid is the half that has gone in dollars');
SELECT is(pg_temp.said(82, kb_refund_total(82, 'q1', '600 UAH', 'q1-3')), 'refund -5.00 USD of  for ' || seq,
	'T6, T8: what is missing of three quarters') FROM entry WHERE account_id = 82 AND key = 'q1';
SELECT kb_chargeback(82, 'q2', 'q2-1', '5 USD')
\g /dev/null
SELECT is(kb_refund_total(82, 'q2', '200 UAH', 'q2-2'), NULL, 'T6, T8: a quarter, that was disputed');
SELECT is(pg_temp.said(82, kb_refund_total(82, 'q2', '800 UAH', 'q2-3')), 'refund -15.00 USD of  for ' || seq,
	'T6, T8: and all the rest') FROM entry WHERE account_id = 82 AND key = 'q2';
SELECT is(kb_refund_total(82, 'q3', '0.15 UAH', 'q3-1'), NULL, 'T8: a sum of less than half a cent');
SELECT is(pg_temp.said(82, kb_refund_total(82, 'q3', '0.30 UAH', 'q3-2')), 'refund -0.01 USD of -0.30 UAH for ' || seq,
	'T8: is counted once it is more') FROM entry WHERE account_id = 82 AND key = 'q3';
SELECT is(pg_temp.said(82, kb_reverse_refund(82, 's2', 'f2')), 'reversal 40.00 USD of  for ' ||
	(SELECT seq FROM entry WHERE account_id = 82 AND key = 's2'), 'T6: a refund of a sum can fail');
SELECT is(pg_temp.said(82, kb_refund_total(82, 'p1', '70 USD', 's7')), 'refund -40.00 USD of  for 1', 'T6: and come again');
SELECT is(pg_temp.error_of(call), error, 'T6: ' || call) FROM (VALUES
	('SELECT kb_refund_total(82, ''p1'', ''100.01 USD'', ''x'')', 'KB005 the refund exceeds what is left of the top-up'
		' | 30.00 USD is left of the top-up of account 82; the refund is 30.01 USD (T6, T7).'
		' | kbilling.topup_status shows what is left of each. Use kb_adjust for money that no top-up has brought.'),
	('SELECT kb_refund_total(82, ''p1'', ''80 USD'', ''s1'')', 'KB006 reference "s1" of account 82 is in use'
		' | Entry ' || (SELECT seq FROM entry WHERE account_id = 82 AND key = 's1') || ' was posted under it, with other content.'
		' | A reference stands for one posting; repeat it only to repeat the same call.'),
	('SELECT kb_refund_total(82, ''p9'', ''1 USD'', ''x'')', '22023 account 82 has no top-up "p9"'
		' | Give the reference under which the top-up was applied; kbilling.topup_status lists them.')
) AS t (call, error);
SELECT is(left(pg_temp.error_of(call), 5), state, 'T6: ' || call) FROM (VALUES
	('SELECT kb_refund_total(82, ''p1'', ''1 EUR'', ''x'')', 'KB002'), ('SELECT kb_refund_total(404, ''p1'', ''1 USD'', ''x'')', 'KB001'),
	('SELECT kb_refund_total(82, NULL, ''1 USD'', ''x'')', '22004'), ('SELECT kb_refund_total(82, ''p1'', NULL, ''x'')', '22004')
) AS t (call, state);
SELECT is_empty('SELECT * FROM kb_check()', 'J2, T6, T8: the books are right');
SELECT is_empty('SELECT currency FROM trial_balance GROUP BY currency HAVING sum(balance) <> 0', 'J4, T8: and balanced');

-- Every order of them, at random

-- Minor units of an amount, at most "most"
CREATE FUNCTION pg_temp.some_money(most bigint) RETURNS kbilling.kb_money LANGUAGE sql VOLATILE AS $$
	SELECT kbilling.kb_money((1 + floor(random() * greatest(most, 1)))::numeric / 100, 'USD')
$$;
-- What an account's own record of what went through says of it, beside the books: an empty result is well.  All that was
-- paid in and not given back, and all bonus that has not gone with it, is on the balance, or spent.
CREATE TEMP TABLE spending (account_id bigint, seq bigint, amount kbilling.kb_money, reversed boolean DEFAULT false);
CREATE FUNCTION pg_temp.wrong(id bigint) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT v.problem FROM kbilling.kb_verify(id) v
	UNION ALL
	SELECT format('topup %s', t) FROM kbilling.topup_status t
	WHERE t.account_id = id AND NOT (t.taken_back >= 0 AND t.remaining >= 0 AND t.bonus >= 0
		AND t.bonus OPERATOR(kbilling.<=) t.bonus_earned AND t.unspent_bonus OPERATOR(kbilling.<=) t.bonus AND t.unspent_bonus >= 0)
	UNION ALL
	SELECT format('balance %s, bonus %s; %s remaining, %s of bonus, of which %s unspent; %s spent', a.balance, a.unspent_bonus,
		t.remaining, t.bonus, t.unspent, s.amount)
	FROM kbilling.account a,
		 (SELECT coalesce(sum(kbilling.kb_minor(x.remaining)), 0) AS remaining, coalesce(sum(kbilling.kb_minor(x.bonus)), 0) AS bonus,
				 coalesce(sum(kbilling.kb_minor(x.unspent_bonus)), 0) AS unspent
		  FROM kbilling.topup_status x WHERE x.account_id = id) t,
		 (SELECT coalesce(sum(kbilling.kb_minor(x.amount)), 0) AS amount FROM spending x WHERE x.account_id = id AND NOT x.reversed) s
	WHERE a.account_id = id AND (t.unspent <> kbilling.kb_minor(a.unspent_bonus)
		OR kbilling.kb_minor(a.balance) <> t.remaining + t.bonus - s.amount)
$$;
-- A random step; "refused" if it is, else what it was
CREATE FUNCTION pg_temp.step(id bigint, n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	what integer := floor(random() * 12);
	ref text := 'k' || n;
	topup kbilling.topup_status := (SELECT t FROM kbilling.topup_status t WHERE t.account_id = id ORDER BY random() LIMIT 1);
	spent spending := (SELECT s FROM spending s WHERE s.account_id = id AND NOT s.reversed ORDER BY random() LIMIT 1);
	balance bigint := (SELECT kbilling.kb_minor(a.balance) FROM kbilling.account a WHERE a.account_id = id);
	call text;
	posted bigint;
BEGIN
	call := CASE
		WHEN what < 2 OR topup.seq IS NULL
			THEN format('(kb_apply_topup(%s, %L, ''card'', %L)).entry_seq', id, pg_temp.some_money(30000), ref)
		WHEN what < 5 THEN format('kb_adjust(%s, -%L::kb_money, %L, ''spent'')', id, pg_temp.some_money(9000), ref)
		WHEN what = 5 THEN format('kb_refund(%s, %L, %L)', id, pg_temp.some_money(balance), ref)
		WHEN what = 6 THEN format('kb_refund(%s, %L, %L, topup_reference => %L, forced => %s)', id,
			pg_temp.some_money(kbilling.kb_minor(topup.remaining)), ref, topup.reference, (random() < 0.5)::text)
		WHEN what = 7 THEN format('kb_chargeback(%s, %L, %L, %L)', id, topup.reference, ref,
			pg_temp.some_money(kbilling.kb_minor(topup.remaining)))
		WHEN what = 8 THEN format('kb_chargeback(%s, %L, %L)', id, topup.reference, ref)
		WHEN what = 9 AND spent.seq IS NOT NULL THEN format('kb_reverse(%s, %s, %L, ''not spent'')', id, spent.seq, ref)
		-- a top-up, a bonus, what went of one, a refund, a chargeback: of whatever but what was spent
		ELSE format('kb_reverse(%s, %s, %L, ''undone'')', id, (SELECT e.seq FROM kbilling.entry e
			WHERE e.account_id = id AND e.kind <> 'adjustment' ORDER BY random() LIMIT 1), ref)
		END;
	EXECUTE 'SELECT ' || call INTO posted;
	IF call LIKE 'kb_adjust%' THEN
		INSERT INTO spending SELECT id, posted, - e.amount FROM kbilling.entry e WHERE e.account_id = id AND e.seq = posted;
	ELSIF call LIKE '%not spent%' THEN
		UPDATE spending s SET reversed = true WHERE s.account_id = id AND s.seq = spent.seq;
	ELSIF call LIKE 'kb_refund%' AND call NOT LIKE '%true%'
		AND EXISTS (SELECT FROM kbilling.account a WHERE a.account_id = id AND a.balance < 0) THEN
		RETURN call || ': made a debt';
	END IF;
	-- J3
	BEGIN
		EXECUTE 'SELECT 1 / (' || call || ' = ' || posted || ')::integer';
	EXCEPTION WHEN OTHERS THEN
		RETURN call || ': not replayed: ' || SQLERRM;
	END;
	IF EXISTS (SELECT FROM pg_temp.wrong(id)) THEN
		RETURN call || ': ' || (SELECT string_agg(w, '; ') FROM pg_temp.wrong(id) w);
	END IF;
	RETURN ltrim(regexp_replace(call, '^\(?(\w+).*', '\1') || coalesce((SELECT ' of ' || e.kind FROM kbilling.entry e JOIN kbilling.entry r
		ON r.account_id = id AND r.seq = posted WHERE e.account_id = id AND e.seq = r.ref_seq AND r.kind = 'reversal'), ''));
EXCEPTION WHEN SQLSTATE 'KB005' OR SQLSTATE 'KB006' OR SQLSTATE '22023' THEN
	RETURN 'refused';
END $$;
SELECT setseed(0.42)
\g /dev/null
SELECT kb_create_account('ann', 'pro', id) FROM generate_series(1001, 1040) AS id
\g /dev/null
SELECT pg_temp.put_state(id, 'deleted') FROM generate_series(1036, 1040) AS id
\g /dev/null
CREATE TEMP TABLE played AS
	SELECT id, n, pg_temp.step(id, n) AS what FROM generate_series(1001, 1040) AS id, generate_series(1, 35) AS n;
SELECT is_empty('SELECT id, n, what FROM played WHERE what LIKE ''%: %'' ORDER BY 1, 2', 'T6, T7: no order of steps breaks the books');
SELECT set_eq('SELECT what FROM played GROUP BY 1 HAVING count(*) > 5',
	'{refused,kb_apply_topup,kb_adjust,kb_refund,kb_chargeback,"kb_reverse of topup","kb_reverse of bonus","kb_reverse of refund",
	"kb_reverse of chargeback","kb_reverse of adjustment"}'::text[], 'enough of each was played');
SELECT is_empty('SELECT * FROM kb_check()', 'J2: kb_check finds nothing wrong');
SELECT is_empty('SELECT currency FROM trial_balance GROUP BY currency HAVING sum(balance) <> 0', 'J4: the trial balance is zero');

SELECT * FROM finish();
ROLLBACK;
