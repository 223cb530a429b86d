BEGIN;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/error.sql

-- Runs a command and undoes it: its SQLSTATE, 00000 if it went well
CREATE FUNCTION pg_temp.undone(command text, role text = NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF role IS NOT NULL THEN
		EXECUTE format('SET LOCAL ROLE %I', role);
	END IF;
	EXECUTE command;
	RAISE SQLSTATE 'XX999';
EXCEPTION WHEN OTHERS THEN
	RETURN CASE SQLSTATE WHEN 'XX999' THEN '00000' ELSE SQLSTATE END;
END $$;

-- J7, with nothing to lose
CREATE ROLE kbilling_journal_nobody;
CREATE SCHEMA other;
SELECT is(pg_temp.undone(command, role), state, format('J7: an empty journal, %s by %s: %s', command, coalesce(role, 'a superuser'), state))
FROM (VALUES
	('DROP EXTENSION kbilling', NULL, '00000'),
	('DROP EXTENSION kbilling CASCADE', NULL, '00000'),
	('DROP SCHEMA kbilling CASCADE', NULL, '2BP01'),
	('DROP SCHEMA other', NULL, '00000'),
	('DROP OWNED BY kbilling_journal_nobody', NULL, '00000'),
	('DROP OWNED BY kbilling_journal_nobody', 'kbilling_journal_nobody', '00000'),
	('DROP EXTENSION kbilling', 'kbilling_journal_nobody', '42501')
) AS t (command, role, state);

-- J6

SELECT enum_has_labels('kbilling', 'kb_entry_kind',
	'{topup,bonus,charge,refund,chargeback,adjustment,writeoff,reversal,purchase,credit,expiry}', 'J6: the kinds of entries');

-- The rules of a posting, as pure functions

SELECT is(kb_bonus_after(bonus::kb_money, delta::kb_money, balance::kb_money), after::kb_money,
	format('T6: a bonus of %s moved by %s is %s on a balance of %s', bonus, delta, after, balance))
FROM (VALUES
	('10 USD', '-4 USD', '50 USD', '6 USD'), ('10 USD', '-14 USD', '50 USD', '0 USD'), ('10 USD', '5 USD', '50 USD', '15 USD'),
	('10 USD', '0 USD', '7 USD', '7 USD'), ('10 USD', '0 USD', '-1 USD', '0 USD')
) AS t (bonus, delta, balance, after);
SELECT throws_ok($$SELECT kb_bonus_after('1 USD', '1 USD', '1 EUR')$$, 'KB002', NULL, 'M3: in one currency');

SELECT is(kb_debt_since(before::date, balance::kb_money, '2026-11-01'), after::date,
	format('S1: a debt since %s, and %s on 2026-11-01: since %s', before, balance, after))
FROM (VALUES
	(NULL, '-0.01 USD', '2026-11-01'), ('2026-10-01', '-5 USD', '2026-10-01'), ('2026-10-01', '0 USD', NULL), (NULL, '5 USD', NULL)
) AS t (before, balance, after);

SELECT is(kb_stage_check_on(check_on::date, before::date, since::date, deferred::date, tariff_from::date, today::date, 4, 7,
	10), after::date, 'N5: ' || what)
FROM (VALUES
	('without a debt there is nothing to look at', '2026-11-04', '2026-11-01', NULL, NULL, '2026-12-01', '2026-11-04', NULL),
	('a new debt is looked at when its stage changes', NULL, NULL, '2026-11-01', NULL, '2026-01-01', '2026-11-01', '2026-11-04'),
	('a day that is to come is found anew', '2026-11-20', '2026-11-01', '2026-11-01', NULL, '2026-01-01', '2026-11-05', '2026-11-07'),
	('a change that is due stays so', '2026-11-04', '2026-11-01', '2026-11-01', NULL, '2026-01-01', '2026-11-04', '2026-11-04'),
	('or overdue, though another tariff is to come', '2026-11-04', '2026-11-01', '2026-11-01', NULL, '2026-12-01',
		'2026-11-08', '2026-11-04'),
	('but not for another debt', '2026-10-10', '2026-10-01', '2026-11-01', NULL, '2026-01-01', '2026-11-01', '2026-11-04'),
	('nor for a first one', '2026-10-10', NULL, '2026-11-01', NULL, '2026-01-01', '2026-11-01', '2026-11-04'),
	('a deferral is looked at when it has ended', NULL, NULL, '2026-11-01', '2026-11-20', '2026-01-01', '2026-11-05', '2026-11-21'),
	('the last stage stays', NULL, '2026-11-01', '2026-11-01', NULL, '2026-11-15', '2026-11-15', NULL),
	('unless another tariff is to come: then tomorrow', NULL, '2026-11-01', '2026-11-01', NULL, '2026-11-16', '2026-11-15', '2026-11-16'),
	('tomorrow before the next stage', NULL, NULL, '2026-11-01', NULL, '2026-12-01', '2026-11-01', '2026-11-02'),
	('or on its day', NULL, NULL, '2026-11-01', NULL, '2026-12-01', '2026-11-03', '2026-11-04')
) AS t (what, check_on, before, since, deferred, tariff_from, today, after);

SELECT is(kb_closure_check_on(check_on::date, before::kb_money, balance::kb_money, '2026-11-01'), after::date,
	format('D1: to be looked at on %s, and %s after %s on the balance on 2026-11-01: on %s', check_on, balance, before, after))
FROM (VALUES
	('2026-12-01', '0 USD', '0 USD', '2026-12-01'), ('2026-10-01', '0 USD', '-1 USD', '2026-10-01'),
	('2026-12-01', '2 USD', '1 USD', '2026-12-01'), ('2026-12-01', '-1 USD', '1 USD', '2026-12-01'),
	('2026-12-01', '2 USD', '0 USD', '2026-11-01'), ('2026-10-01', '2 USD', '0 USD', '2026-10-01'),
	(NULL, '1 USD', '0.01 USD', NULL), (NULL, '1 USD', '0 USD', '2026-11-01'), (NULL, '0 USD', '-1 USD', '2026-11-01')
) AS t (check_on, before, balance, after);

-- Account 1 in USD: every kind of entry, then each reversed.  Account 2 in JPY.

SELECT kb_create_tariff('usd', 'USD'), kb_create_tariff('jpy', 'JPY'), kb_create_service('seat', 'recurring');
SELECT kb_set_price('usd', 'base', '30.00'), kb_set_price('usd', 'seat', '10.00 each'), kb_set_price('jpy', 'base', '1000'),
	kb_set_bonus('usd', '100 USD', 10);
SET LOCAL kbilling.clock = '2026-11-01 08:00:00.123456+00';
SELECT kb_create_account('ann', 'usd', 1), kb_create_account('ben', 'jpy', 2);
SELECT kb_switch_on(1, 'seat', 1, '2026-11-16');
SELECT kb_apply_topup(1, '100 USD', 'card', 'pay-1', 'ann', paid => '4125.50 UAH'), kb_apply_topup(2, '5000 JPY', 'manual', 'pay-1');
SET LOCAL kbilling.clock = '2026-12-01 08:00+00';
SELECT kb_month_charge(1), kb_month_charge(2);
SELECT kb_refund(1, '20 USD', 'refund-1', 'moved away'), kb_adjust(1, '-60 USD', 'adjust-1', 'damage — ущерб'),
	kb_write_off(1, 'writeoff-1', 'too small'), kb_chargeback(1, 'pay-1', 'chargeback-1');
SELECT kb_apply_topup(1, '300 USD', 'bank_transfer', 'pay-2');
SET LOCAL kbilling.clock = '2026-12-02 08:00+00';
SELECT kb_reverse(1, seq, 'reverse-' || seq, 'wrong') FROM unnest('{3,4,5,6,7,9,8}'::bigint[]) AS seq;

-- 35 is the base fee and half a month of the seat; the bonus of 10 is spent first.  Of the 100, 20 were refunded: 80 are
-- charged back.  300 repays those, and earns 10% of 220.
SELECT is(ARRAY(SELECT format('%s %s %s: %s, bonus %s, %s', seq, kind, amount, balance_after, bonus_after, debt_since)
				FROM entry WHERE account_id = 1 ORDER BY seq),
	ARRAY[
		'1 topup 100.00 USD: 100.00 USD, bonus 0.00 USD, ',
		'2 bonus 10.00 USD: 110.00 USD, bonus 10.00 USD, ',
		'3 charge -35.00 USD: 75.00 USD, bonus 0.00 USD, ',
		'4 refund -20.00 USD: 55.00 USD, bonus 0.00 USD, ',
		'5 adjustment -60.00 USD: -5.00 USD, bonus 0.00 USD, 2026-12-01',
		'6 writeoff 5.00 USD: 0.00 USD, bonus 0.00 USD, ',
		'7 chargeback -80.00 USD: -80.00 USD, bonus 0.00 USD, 2026-12-01',
		'8 topup 300.00 USD: 220.00 USD, bonus 0.00 USD, ',
		'9 bonus 22.00 USD: 242.00 USD, bonus 22.00 USD, ',
		'10 reversal 35.00 USD: 277.00 USD, bonus 32.00 USD, ',
		'11 reversal 20.00 USD: 297.00 USD, bonus 32.00 USD, ',
		'12 reversal 60.00 USD: 357.00 USD, bonus 32.00 USD, ',
		'13 reversal -5.00 USD: 352.00 USD, bonus 32.00 USD, ',
		'14 reversal 80.00 USD: 432.00 USD, bonus 32.00 USD, ',
		'15 reversal -22.00 USD: 410.00 USD, bonus 10.00 USD, ',
		'16 reversal -300.00 USD: 110.00 USD, bonus 10.00 USD, '],
	'J6: what each kind of entry does to balance, bonus and debt');

-- J1

CREATE FUNCTION pg_temp.rewrites() RETURNS SETOF text LANGUAGE sql AS $$
	VALUES
		('UPDATE entry SET memo = ''x'' WHERE account_id = 1 AND seq = 1'),
		('UPDATE entry SET amount = amount'),
		('UPDATE entry SET hash = hash WHERE false'),
		('DELETE FROM entry WHERE account_id = 1 AND seq = 16'),
		('DELETE FROM entry'),
		('TRUNCATE entry'),
		('TRUNCATE account CASCADE'),
		('CREATE TABLE par (amount kb_money NOT NULL); ALTER TABLE entry INHERIT par; UPDATE par SET amount = ''1 USD'''),
		('INSERT INTO entry SELECT * FROM entry'),
		('INSERT INTO entry SELECT (jsonb_populate_record(e, ''{"seq": 17, "key": "x"}'')).* FROM entry e WHERE seq = 16'),
		('INSERT INTO entry SELECT (jsonb_populate_record(e, ''{"seq": 0, "key": "x"}'')).* FROM entry e WHERE seq = 16'),
		('INSERT INTO entry SELECT (jsonb_populate_record(e, ''{"account_id": 7}'')).* FROM entry e WHERE seq = 16'),
		('INSERT INTO entry SELECT * FROM entry ON CONFLICT (account_id, seq) DO UPDATE SET memo = ''x'''),
		('MERGE INTO entry e USING account a ON a.account_id = e.account_id WHEN MATCHED THEN DELETE'),
		('UPDATE account SET account_id = 7 WHERE account_id = 2'),
		('UPDATE account SET created_at = created_at'),
		('UPDATE account SET balance = ''1000000 USD'' WHERE account_id = 1'),
		('UPDATE account SET unspent_bonus = unspent_bonus'),
		('UPDATE account SET last_seq = 0'),
		('UPDATE account SET last_hash = NULL'),
		('UPDATE account SET debt_since = ''2026-12-31'''),
		('UPDATE account SET charged_through = ''2027-01-31'''),
		('INSERT INTO account SELECT * FROM account ON CONFLICT (account_id) DO UPDATE SET balance = excluded.balance'),
		('DELETE FROM account WHERE account_id = 2'),
		('DELETE FROM deferral')
$$;
SELECT throws_ok(rewrite, 'KB007', NULL, 'J1, J2: refused to a superuser: ' || rewrite) FROM pg_temp.rewrites() AS rewrite;
SET LOCAL session_replication_role = replica;
SELECT throws_ok(rewrite, 'KB007', NULL, 'J1, J2: and without ordinary triggers: ' || rewrite) FROM pg_temp.rewrites() AS rewrite;
SET LOCAL session_replication_role = origin;
SELECT is((pg_temp.raised(rewrite)).hint, hint, 'J1, J2: what to do instead: ' || rewrite) FROM (VALUES
	('DELETE FROM entry', 'Put a mistake right with kb_reverse or kb_adjust.'),
	('UPDATE account SET last_seq = 0', 'Put a mistake right with kb_reverse or kb_adjust.'),
	('DELETE FROM account', 'Close an account with kb_schedule_closure.'),
	('DELETE FROM deferral', 'Call kb_defer again.'),
	('INSERT INTO entry SELECT * FROM entry', 'Post with kb_adjust or its like. To restore entries, restore the rows of '
		'kbilling.account before them.'),
	('DELETE FROM closure_step', '')
) AS t (rewrite, hint);
SELECT lives_ok('UPDATE account SET metadata = ''{"crm": 5}'' WHERE account_id = 2', 'J2: what is no part of the ledger may change');
SELECT lives_ok('SELECT kb_adjust(2, ''-1 JPY'', ''adjust-1'', ''after a refusal'')', 'J2: the ledger itself goes on');
SELECT is((SELECT balance::text FROM account WHERE account_id = 2), '3999 JPY', 'J2: and moves the balance');

-- J2

CREATE FUNCTION pg_temp.broken() RETURNS SETOF bigint LANGUAGE sql AS $$
	SELECT a.account_id
	FROM kbilling.account a
	JOIN (SELECT e.account_id, kbilling.sum(e.amount) AS total, count(*) AS entries,
				 bool_and(e.seq = e.nth AND e.balance_after OPERATOR(kbilling.=) e.running) AS whole
		  FROM (SELECT *, row_number() OVER w AS nth, kbilling.sum(amount) OVER w AS running
				FROM kbilling.entry WINDOW w AS (PARTITION BY account_id ORDER BY seq)) e
		  GROUP BY e.account_id) j ON j.account_id = a.account_id
	WHERE NOT (j.whole AND j.entries = a.last_seq AND j.total OPERATOR(kbilling.=) a.balance)
$$;
SELECT is_empty('SELECT pg_temp.broken()', 'J2: balance = sum(amount), balance_after without a gap, seq 1, 2, 3, …');
SELECT is((SELECT array_agg(last_seq ORDER BY account_id) FROM account), '{16,3}', 'J2: of as many entries as were posted');

-- J3

SELECT kb_create_account('eve', 'usd', 3);
CREATE TEMP TABLE replay (posting text, call text, others text[]);
INSERT INTO replay VALUES
	('topup', 'kb_apply_topup(3, ''50 USD'', ''card'', ''t'')', ARRAY[
		'kb_apply_topup(3, ''50.01 USD'', ''card'', ''t'')',
		'kb_apply_topup(3, ''50 USD'', ''manual'', ''t'')',
		'kb_adjust(3, ''50 USD'', ''t'', ''m'')']),
	('refund', 'kb_refund(3, ''10 USD'', ''r'', ''m'')', ARRAY[
		'kb_refund(3, ''10.01 USD'', ''r'', ''m'')',
		'kb_refund(3, ''10 USD'', ''r'', ''n'')',
		'kb_refund(3, ''10 USD'', ''r'')',
		'kb_adjust(3, ''-10 USD'', ''r'', ''m'')']),
	('adjustment', 'kb_adjust(3, ''-90 USD'', ''a'', ''m'')', ARRAY[
		'kb_adjust(3, ''90 USD'', ''a'', ''m'')',
		'kb_adjust(3, ''-90 USD'', ''a'', ''n'')',
		'kb_apply_topup(3, ''90 USD'', ''card'', ''a'')']),
	('write-off', 'kb_write_off(3, ''w'', ''m'')', ARRAY[
		'kb_write_off(3, ''w'', ''n'')',
		'kb_adjust(3, ''50 USD'', ''w'', ''m'')']),
	('chargeback', 'kb_chargeback(3, ''t'', ''c'')', ARRAY[
		'kb_chargeback(3, ''t'', ''r'')',
		'kb_adjust(3, ''-50 USD'', ''c'', ''m'')']),
	('reversal', 'kb_reverse(3, 2, ''v'', ''m'')', ARRAY[
		'kb_reverse(3, 2, ''v'', ''n'')',
		'kb_reverse(3, 3, ''v'', ''m'')',
		'kb_adjust(3, ''10 USD'', ''v'', ''m'')']);

-- seq that a call gives
CREATE FUNCTION pg_temp.seq_of(call text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	seq bigint;
BEGIN
	EXECUTE 'SELECT ' || CASE WHEN call LIKE 'kb_apply%' THEN '(' || call || ').entry_seq' ELSE call END INTO seq;
	RETURN seq;
END $$;
CREATE TEMP TABLE account_before AS SELECT * FROM account WHERE false;

SELECT is(pg_temp.seq_of(call), nth, format('J3: the %s is posted', posting))
FROM (SELECT *, row_number() OVER () AS nth FROM replay) r;
INSERT INTO account_before SELECT * FROM account WHERE account_id = 3;
SELECT is(pg_temp.seq_of(call), nth, format('J3: the %s again gives the first result', posting))
FROM (SELECT *, row_number() OVER () AS nth FROM replay) r;
SELECT throws_ok('SELECT ' || other, 'KB006', NULL, format('J3: the key of the %s with other content: %s', posting, other))
FROM replay, unnest(others) AS other;
SELECT set_eq('SELECT * FROM account WHERE account_id = 3', 'SELECT * FROM account_before', 'J3: neither changed anything');
SELECT is((SELECT count(*) FROM entry WHERE account_id = 3), 6::bigint, 'J3: nor wrote an entry');
SELECT is((kb_month_charge(1, '2026-11-01')).entry_seq, 3::bigint, 'J3: a charge again gives the first result');
SELECT is(pg_temp.seq_of('kb_adjust(2, ''1 JPY'', ''t'', ''m'')'), 4::bigint, 'J3: a key is the account''s own');

SELECT throws_ok(format('SELECT ' || call, quote_nullable(reference)), state, NULL, format('J3: a reference that is %s, in %s', what, call))
FROM (VALUES
	('empty', '', '22023'),
	('over-long', repeat('x', 256), '22023'),
	('over-long in UTF-8', repeat('щ', 128), '22023'),
	('kbilling''s own', 'kb:charge:2026-11-01', '22023'),
	('null', NULL, '22004'),
	('a card number', '4111 1111 1111 1111', 'KB008')
) AS r (what, reference, state), (VALUES
	('kb_apply_topup(1, ''1 USD'', ''card'', %s)'),
	('kb_refund(1, ''1 USD'', %s)'),
	('kb_chargeback(1, ''pay-2'', %s)'),
	('kb_adjust(1, ''1 USD'', %s, ''m'')'),
	('kb_write_off(1, %s, ''m'')'),
	('kb_reverse(1, 2, %s, ''m'')')
) AS c (call)
WHERE state <> 'KB008' OR call NOT LIKE ALL ('{kb_chargeback%,kb_write_off%}'::text[]);
SELECT is(pg_temp.seq_of(format('kb_adjust(2, ''1 JPY'', %L, ''m'')', repeat('x', 255))), 5::bigint, 'J3: a reference of 255 bytes');

-- J4

SELECT is(ARRAY(SELECT seq || ' ' || string_agg(coalesce('debit ' || ledger_account || ' ' || debit::text,
														'credit ' || ledger_account || ' ' || credit::text),
												', ' ORDER BY debit IS NULL, ledger_account)
				FROM general_ledger WHERE account_id = 1 GROUP BY seq ORDER BY seq),
	ARRAY[
		'1 debit cash 100.00 USD, credit customers 100.00 USD',
		'2 debit promotions 10.00 USD, credit customers 10.00 USD',
		'3 debit customers 35.00 USD, credit revenue: base 30.00 USD, credit revenue: seat 5.00 USD',
		'4 debit customers 20.00 USD, credit refunds 20.00 USD',
		'5 debit customers 60.00 USD, credit adjustments 60.00 USD',
		'6 debit bad debt 5.00 USD, credit customers 5.00 USD',
		'7 debit customers 80.00 USD, credit cash 80.00 USD',
		'8 debit cash 300.00 USD, credit customers 300.00 USD',
		'9 debit promotions 22.00 USD, credit customers 22.00 USD',
		'10 debit revenue: base 30.00 USD, debit revenue: seat 5.00 USD, credit customers 35.00 USD',
		'11 debit refunds 20.00 USD, credit customers 20.00 USD',
		'12 debit adjustments 60.00 USD, credit customers 60.00 USD',
		'13 debit customers 5.00 USD, credit bad debt 5.00 USD',
		'14 debit cash 80.00 USD, credit customers 80.00 USD',
		'15 debit customers 22.00 USD, credit promotions 22.00 USD',
		'16 debit customers 300.00 USD, credit cash 300.00 USD'],
	'J4: both legs of every kind of entry');
-- Account 3: 50 paid in, 10 refunded, 40 charged back, the refund reversed, 90 adjusted down, 50 written off.
SELECT is(ARRAY(SELECT format('%s %s: %s - %s = %s', currency, ledger_account, debit, credit, balance)
				FROM trial_balance ORDER BY currency, ledger_account),
	ARRAY[
		'JPY adjustments: 2 JPY - 1 JPY = 1 JPY',
		'JPY cash: 5000 JPY - 0 JPY = 5000 JPY',
		'JPY customers: 1001 JPY - 5002 JPY = -4001 JPY',
		'JPY revenue: base: 0 JPY - 1000 JPY = -1000 JPY',
		'USD adjustments: 60.00 USD - 150.00 USD = -90.00 USD',
		'USD bad debt: 55.00 USD - 5.00 USD = 50.00 USD',
		'USD cash: 530.00 USD - 420.00 USD = 110.00 USD',
		'USD customers: 662.00 USD - 742.00 USD = -80.00 USD',
		'USD promotions: 32.00 USD - 22.00 USD = 10.00 USD',
		'USD refunds: 30.00 USD - 30.00 USD = 0.00 USD',
		'USD revenue: base: 30.00 USD - 30.00 USD = 0.00 USD',
		'USD revenue: seat: 5.00 USD - 5.00 USD = 0.00 USD'],
	'J4: the trial balance');
SELECT is_empty('SELECT currency FROM trial_balance GROUP BY currency HAVING sum(balance) <> 0', 'J4: is zero per currency');

-- J2: by whom it was posted; the role that is set, not the functions' owner, nor who logged in

CREATE ROLE kbilling_journal_clerk;
CREATE ROLE "Kasa 2";
GRANT EXECUTE ON FUNCTION kb_apply_topup, kb_adjust, kb_month_charge TO kbilling_journal_clerk, "Kasa 2";
SELECT kb_create_account('ann', 'usd', 7, created_at => '2026-09-01 00:00+00');
SET ROLE kbilling_journal_clerk;
SELECT kb_apply_topup(7, '1000 USD', 'card', 'by the clerk');
SET ROLE "Kasa 2";
SELECT kb_adjust(7, '-1 USD', 'by the other', 'a fee'), kb_month_charge(7);
RESET ROLE;
SELECT kb_month_charge(7);
SELECT results_eq('SELECT seq, kind::text, posted_by FROM entry WHERE account_id = 7 ORDER BY seq', format($$VALUES
	(1::bigint, 'topup', 'kbilling_journal_clerk'), (2, 'bonus', 'kbilling_journal_clerk'), (3, 'adjustment', 'Kasa 2'),
	(4, 'charge', 'Kasa 2'), (5, 'charge', %L)$$, current_user), 'J2: an entry says which database role posted it');
SET ROLE "Kasa 2";
SELECT is((SELECT t.replayed FROM kb_apply_topup(7, '1000 USD', 'card', 'by the clerk') t), true, 'J3: who posted it is not its content');
RESET ROLE;
SELECT is((SELECT posted_by FROM entry WHERE account_id = 7 AND seq = 1), 'kbilling_journal_clerk', 'J2: a replay leaves that as it was');

SELECT kb_grant_credit(7, '2 USD', 'gift', 'of two kinds', kbilling_internal.kb_today(7) + 40),
	kb_grant_credit(7, '3 USD', 'other gift', 'of two kinds', priority => 10), kb_adjust(7, '-1 USD', 'spent', 'some of it');

-- J5: the chain, recomputed from nothing but the entries by the format in src/posting.h

CREATE FUNCTION pg_temp.field(value bytea) RETURNS bytea LANGUAGE sql AS $$
	SELECT coalesce(int4send(length(value)) || value, '\xffffffff')
$$;
CREATE FUNCTION pg_temp.field(value bigint) RETURNS bytea LANGUAGE sql AS $$SELECT pg_temp.field(int8send(value))$$;
CREATE FUNCTION pg_temp.field(value date) RETURNS bytea LANGUAGE sql AS $$SELECT pg_temp.field((value - date '2000-01-01')::bigint)$$;
CREATE FUNCTION pg_temp.field(value text) RETURNS bytea LANGUAGE sql AS $$SELECT pg_temp.field(convert_to(value, 'UTF8'))$$;
CREATE TEMP VIEW chain AS
	WITH RECURSIVE content AS (
		SELECT account_id, seq, hash,
			   pg_temp.field(account_id) || pg_temp.field(seq) || pg_temp.field(kind::text) || pg_temp.field(amount::text)
			   || pg_temp.field(balance_after::text) || pg_temp.field(bonus_after::text) || pg_temp.field(debt_since)
			   || pg_temp.field(effective_on)
			   || pg_temp.field((extract(epoch FROM posted_at - '2000-01-01 00:00+00'::timestamptz) * 1000000)::bigint)
			   || pg_temp.field(key::text) || pg_temp.field(period) || pg_temp.field(method) || pg_temp.field(paid::text)
			   || pg_temp.field(ref_seq) || pg_temp.field(member::text) || pg_temp.field(posted_by)
			   || pg_temp.field(memo::text) || pg_temp.field(lines::text)
			   || pg_temp.field((SELECT string_agg(concat_ws(' ', o.priority, o.expires_on, o.amount), ', '
												   ORDER BY o.priority, o.expires_on)
								 FROM unnest(lots) o)) AS bytes
		FROM entry
	), link AS (
		SELECT account_id, seq, sha256(bytes) AS computed, hash FROM content WHERE seq = 1
		UNION ALL
		SELECT c.account_id, c.seq, sha256(l.computed || c.bytes), c.hash
		FROM link l JOIN content c ON c.account_id = l.account_id AND c.seq = l.seq + 1
	)
	SELECT * FROM link;
SELECT is(l.computed, e.hash, format('J5: hash of account %s, entry %s (%s)', e.account_id, e.seq, e.kind))
FROM entry e LEFT JOIN chain l ON l.account_id = e.account_id AND l.seq = e.seq ORDER BY e.account_id, e.seq;
SELECT is(a.last_hash, l.computed, format('J5: the last hash of account %s', a.account_id))
FROM account a LEFT JOIN chain l ON l.account_id = a.account_id AND l.seq = a.last_seq ORDER BY a.account_id;

SELECT is_empty(format('SELECT * FROM kb_verify(%s)', account_id), 'J5: kb_verify finds nothing wrong') FROM account;
SELECT is_empty('SELECT * FROM kb_check()', 'J5: nor does kb_check');
SELECT throws_ok('SELECT * FROM kb_verify(99)', 'KB001', NULL, 'J5: an unknown account');

-- What kb_verify and kb_check name after a change past the triggers, which is then undone
CREATE FUNCTION pg_temp.tamper(change text, OUT verified bigint, OUT checked bigint[]) LANGUAGE plpgsql AS $$
BEGIN
	ALTER TABLE kbilling.entry DISABLE TRIGGER USER;
	EXECUTE change;
	verified := (SELECT seq FROM kbilling.kb_verify(1));
	checked := ARRAY(SELECT seq FROM kbilling.kb_check() WHERE account_id = 1);
	RAISE SQLSTATE 'XX999';
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN;
END $$;

SELECT is(format('%s, %s', verified, seq = ANY (checked)), format('%s, t', seq), format('J5: %s: entry %s is named', change, seq))
FROM (VALUES
	-- each column; where the entry has gone, the one after it does not fit
	('UPDATE entry SET account_id = 9 WHERE account_id = 1 AND seq = 5', 6),
	('UPDATE entry SET seq = 50 WHERE account_id = 1 AND seq = 5', 6),
	('UPDATE entry SET posted_at = posted_at + interval ''1 microsecond'' WHERE account_id = 1 AND seq = 1', 1),
	('UPDATE entry SET amount = ''-59.99 USD'' WHERE account_id = 1 AND seq = 5', 5),
	('UPDATE entry SET balance_after = ''-4.99 USD'' WHERE account_id = 1 AND seq = 5', 5),
	('UPDATE entry SET bonus_after = ''9.99 USD'' WHERE account_id = 1 AND seq = 2', 2),
	('UPDATE entry SET bonus_after = ''500 USD'' WHERE account_id = 1 AND seq = 2', 2),
	('UPDATE entry SET ref_seq = 2 WHERE account_id = 1 AND seq = 7', 7),
	('UPDATE entry SET ref_seq = NULL WHERE account_id = 1 AND seq = 7', 7),
	('UPDATE entry SET ref_seq = 0 WHERE account_id = 1 AND seq = 1', 1),
	('UPDATE entry SET ref_seq = -1 WHERE account_id = 1 AND seq = 1', 1),
	('UPDATE entry SET effective_on = ''2026-12-02'' WHERE account_id = 1 AND seq = 6', 6),
	('UPDATE entry SET debt_since = ''2026-12-02'' WHERE account_id = 1 AND seq = 5', 5),
	('UPDATE entry SET debt_since = NULL WHERE account_id = 1 AND seq = 5', 5),
	('UPDATE entry SET period = ''2026-10-01'' WHERE account_id = 1 AND seq = 3', 3),
	('UPDATE entry SET period = NULL WHERE account_id = 1 AND seq = 3', 3),
	('UPDATE entry SET kind = ''refund'' WHERE account_id = 1 AND seq = 5', 5),
	('UPDATE entry SET method = ''manual'' WHERE account_id = 1 AND seq = 1', 1),
	('UPDATE entry SET paid = ''4125.01 UAH'' WHERE account_id = 1 AND seq = 1', 1),
	('UPDATE entry SET paid = NULL WHERE account_id = 1 AND seq = 1', 1),
	('UPDATE entry SET paid = amount WHERE account_id = 1 AND seq = 8', 8),
	('UPDATE entry SET posted_by = ''mallory'' WHERE account_id = 1 AND seq = 5', 5),
	('UPDATE entry SET key = ''adjust-2'' WHERE account_id = 1 AND seq = 5', 5),
	('UPDATE entry SET member = ''bob'' WHERE account_id = 1 AND seq = 1', 1),
	('UPDATE entry SET member = NULL WHERE account_id = 1 AND seq = 1', 1),
	('UPDATE entry SET memo = memo || '' '' WHERE account_id = 1 AND seq = 5', 5),
	('UPDATE entry SET memo = '''' WHERE account_id = 1 AND seq = 1', 1),
	('UPDATE entry SET member = NULL, memo = member WHERE account_id = 1 AND seq = 1', 1),
	('UPDATE entry SET hash = sha256(hash) WHERE account_id = 1 AND seq = 5', 5),
	('UPDATE entry SET lines = jsonb_set(lines, ''{0,days}'', ''29'') WHERE account_id = 1 AND seq = 3', 3),
	('UPDATE entry SET lines = jsonb_set(lines, ''{0,days}'', ''30.0'') WHERE account_id = 1 AND seq = 3', 3),
	('UPDATE entry SET lines = NULL WHERE account_id = 1 AND seq = 3', 3),
	('UPDATE entry SET lines = ''[]'' WHERE account_id = 1 AND seq = 5', 5),
	-- rows lost
	('DELETE FROM entry WHERE account_id = 1 AND seq = 1', 2),
	('DELETE FROM entry WHERE account_id = 1 AND seq = 8', 9),
	('DELETE FROM entry WHERE account_id = 1 AND seq = 16', 16),
	('DELETE FROM entry WHERE account_id = 1', 16),
	-- two amounts changed so that the balance is right again
	('UPDATE entry SET amount = ''20 USD'', balance_after = ''430 USD'' WHERE account_id = 1 AND seq = 15', 15),
	-- a hash made to fit a changed entry: then the next one does not
	('UPDATE entry e SET memo = ''x'', hash = kb_entry_hash(p.hash, e.account_id, e.seq, e.kind::text, e.amount,
		e.balance_after, e.bonus_after, e.debt_since, e.effective_on, e.posted_at, e.key, e.period, e.method, e.paid,
		e.ref_seq, e.member, e.posted_by, ''x'', e.lines, e.lots)
	  FROM entry p WHERE e.account_id = 1 AND p.account_id = 1 AND e.seq = 5 AND p.seq = 4', 6),
	('UPDATE entry e SET memo = ''x'', hash = kb_entry_hash(p.hash, e.account_id, e.seq, e.kind::text, e.amount,
		e.balance_after, e.bonus_after, e.debt_since, e.effective_on, e.posted_at, e.key, e.period, e.method, e.paid,
		e.ref_seq, e.member, e.posted_by, ''x'', e.lines, e.lots)
	  FROM entry p WHERE e.account_id = 1 AND p.account_id = 1 AND e.seq = 16 AND p.seq = 15', 16),
	-- the account's row
	('ALTER TABLE account DISABLE TRIGGER USER; UPDATE account SET balance = ''110.01 USD'' WHERE account_id = 1', 16),
	('ALTER TABLE account DISABLE TRIGGER USER; UPDATE account SET unspent_bonus = ''0 USD'' WHERE account_id = 1', 16),
	('ALTER TABLE account DISABLE TRIGGER USER; UPDATE account SET last_hash = sha256(''x'') WHERE account_id = 1', 16),
	('ALTER TABLE account DISABLE TRIGGER USER; UPDATE account SET debt_since = ''2026-12-01'' WHERE account_id = 1', 16)
) AS t (change, seq), pg_temp.tamper(change);
SELECT is_empty('SELECT * FROM kb_check()', 'J5: all of it was undone');

-- J7, with entries

SELECT is(pg_temp.undone(prepare || command, role), state,
	format('J7: with entries, %s by %s: %s', prepare || command, coalesce(role, 'a superuser'), state))
FROM (VALUES
	('', 'DROP EXTENSION kbilling', NULL, 'KB007'),
	('', 'DROP EXTENSION kbilling CASCADE', NULL, 'KB007'),
	('', 'DROP EXTENSION IF EXISTS plpgsql, kbilling CASCADE', NULL, 'KB007'),
	('', 'DROP SCHEMA kbilling CASCADE', NULL, 'KB007'),
	('', 'DROP SCHEMA other, kbilling CASCADE', NULL, 'KB007'),
	('', 'DROP OWNED BY CURRENT_USER', NULL, 'KB007'),
	('SET LOCAL session_replication_role = replica; ', 'DROP EXTENSION kbilling', NULL, 'KB007'),
	('', 'DROP TABLE entry CASCADE', NULL, '2BP01'),
	('', 'DROP SCHEMA other', NULL, '00000'),
	('', 'DROP OWNED BY kbilling_journal_nobody', NULL, '00000'),
	('', 'DROP OWNED BY kbilling_journal_nobody', 'kbilling_journal_nobody', '00000'),
	('SET LOCAL kbilling.allow_drop = on; ', 'DROP EXTENSION kbilling CASCADE', NULL, '00000'),
	('SET LOCAL kbilling.allow_drop = on; ', 'DROP SCHEMA kbilling CASCADE', NULL, '2BP01'),
	('SET LOCAL kbilling.allow_drop = on; ', 'DROP OWNED BY CURRENT_USER', NULL, '2BP01'),
	('SET LOCAL kbilling.allow_drop = off; ', 'DROP EXTENSION kbilling', NULL, 'KB007'),
	('', 'SET LOCAL kbilling.allow_drop = on', 'kbilling_journal_nobody', '42501'),
	('', 'SET LOCAL kbilling.clock = ''2030-01-01 00:00+00''', 'kbilling_journal_nobody', '42501')
) AS t (prepare, command, role, state);

-- The permission that the journal gives itself is for its own statement, not for those of another's trigger.
CREATE FUNCTION pg_temp.ride() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE kbilling.account SET balance = '12345 USD' WHERE account_id = 2;
	RETURN NULL;
END $$;
CREATE TRIGGER ride AFTER UPDATE ON account FOR EACH ROW EXECUTE FUNCTION pg_temp.ride();
SELECT throws_ok($$SELECT kb_adjust(1, '1 USD', 'ride', 'test')$$, 'KB007', NULL, 'J2: a trigger on account does not ride along');
DROP TRIGGER ride ON account;
CREATE TRIGGER ride AFTER UPDATE ON account FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.ride();
SET LOCAL kbilling.clock = '2030-01-01 10:00+00';
SELECT throws_ok('SELECT kb_month_charge(1)', 'KB007', NULL, 'J2: nor one of a statement');
DROP TRIGGER ride ON account;

SELECT finish();
ROLLBACK;
