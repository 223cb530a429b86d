-- What a billing page shows, by role and stage (rules S3, D3, D5, T1)
BEGIN;
SET LOCAL search_path = kbilling, public;
SELECT no_plan();

SET LOCAL kbilling.clock = '2026-10-01 10:00+00';
SELECT kb_create_tariff('std', 'USD', 'Standard'), kb_set_price('std', 'base', '31.00'),
	kb_create_service('orders', 'metered'), kb_set_price('std', 'orders', '0.50 each'),
	kb_set_bonus('std', '100 USD', 10)
\g /dev/null
CREATE TEMP TABLE stage_account (account_id bigint, stage text, debt_since date);
INSERT INTO stage_account VALUES (1, 'ok', NULL), (2, 'grace', '2026-10-18'), (3, 'remind', '2026-10-15'),
	(4, 'restrict', '2026-10-12'), (5, 'blocked', '2026-10-11'), (6, 'closing', NULL), (7, 'deleted', NULL);
SELECT kb_create_account('own', 'std', account_id), kb_add_member(account_id, 'adm', 'admin'),
	kb_add_member(account_id, 'emp', 'employee') FROM stage_account ORDER BY account_id
\g /dev/null
\ir ../include/clock.sql
SELECT pg_temp.clock((debt_since || ' 10:00+00')::timestamptz), kb_adjust(account_id, '-5.00 USD', 'debt', 'a fee')
	FROM stage_account WHERE debt_since IS NOT NULL ORDER BY debt_since
\g /dev/null
SET LOCAL kbilling.clock = '2026-10-20 10:00+00';
SELECT kb_record_usage(account_id, 'orders', 4, 'a'), kb_begin_topup(account_id, 'adm', '50 USD', 'card'),
	kb_begin_topup(account_id, 'own', '60 USD', 'manual') FROM stage_account ORDER BY account_id
\g /dev/null
SELECT kb_fail_topup(account_id, 2, 'declined') FROM stage_account
\g /dev/null
UPDATE account SET state = 'closing', delete_on = '2026-10-30' WHERE account_id = 6;
UPDATE account SET state = 'deleted' WHERE account_id = 7;

-- The keys that there are, and no other

CREATE FUNCTION pg_temp.keys(page jsonb) RETURNS text LANGUAGE sql AS $$SELECT string_agg(k, ' ' ORDER BY k COLLATE "C")
	FROM jsonb_object_keys(page) AS k$$;
SELECT is(pg_temp.keys(kb_portal(account_id, member)), CASE WHEN member = 'emp'
	OR stage = 'deleted' THEN 'access account_id can_pay delete_on member role stage state'
	ELSE 'access account_id amount_due balance bonus can_pay currency debt_since delete_on entries member next_stage '
		'next_stage_on offers payments reminder role stage state tariff tariff_name usage usage_total' END,
	format('S3: the keys of %s''s page, account %s', member, stage)) FROM stage_account, unnest('{own,adm,emp}'::text[]) AS member;
SELECT unalike(kb_portal(account_id, 'emp')::text, '%USD%', 'S3: an employee sees no money: ' || stage) FROM stage_account;
SELECT unalike(kb_portal(7, member)::text, '%USD%', 'D5: nobody sees any of a deleted account: ' || member)
	FROM unnest('{own,adm,emp}'::text[]) AS member;
-- of what is in lists
SELECT is(pg_temp.keys(kb_portal(5, 'own') -> list -> 0), keys, format('the keys of %s', list)) FROM (VALUES
	('usage', 'amount billed_events billed_quantity days days_in_month events from_date line_no quantity service to_date unit_price what'),
	('offers', 'amount bonus'),
	('payments', 'amount expires_at member method payment_id'),
	('entries', 'amount balance_after effective_on kind lines member memo method paid period rate seq')
) AS t (list, keys);
SELECT is(pg_temp.keys(kb_portal(3, 'own') -> 'reminder'), 'amount_due restricted_on', 'the keys of reminder');
-- what the comment documents is what there is
SELECT is_empty($$SELECT k FROM jsonb_object_keys(kb_portal(5, 'own')) AS k
	WHERE obj_description('kb_portal(bigint,text)'::regprocedure) !~ ('\m' || k || '\M')$$, 'every key is documented');

-- What they say, worked out by hand: 20 of 31 days at 31.00 a month, 4 orders at 0.50

SELECT is((SELECT string_agg(concat_ws('/', page ->> 'state', page ->> 'stage', page ->> 'access', page ->> 'can_pay',
	page ->> 'amount_due', page ->> 'debt_since', page ->> 'next_stage', page ->> 'next_stage_on',
		page #>> '{reminder,amount_due}', page #>> '{reminder,restricted_on}', page ->> 'delete_on'), ', ' ORDER BY account_id)
	FROM stage_account, kb_portal(account_id, member) AS page), expected, 'S3: where the account stands, to ' || member)
FROM (VALUES
	('own', 'active/ok/full/true/0.00 USD, active/grace/full/true/5.00 USD/2026-10-18/remind/2026-10-21, '
		'active/remind/full_with_reminder/true/5.00 USD/2026-10-15/restrict/2026-10-21/5.00 USD/2026-10-21, '
		|| 'active/restrict/payment_only/true/5.00 USD/2026-10-12/blocked/2026-10-21, '
			'active/blocked/denied/true/5.00 USD/2026-10-11, closing/ok/full/true/0.00 USD/2026-10-30, deleted/ok/denied/false'),
	('adm', 'active/ok/full/true/0.00 USD, active/grace/full/true/5.00 USD/2026-10-18/remind/2026-10-21, '
		'active/remind/full_with_reminder/true/5.00 USD/2026-10-15/restrict/2026-10-21/5.00 USD/2026-10-21, '
		|| 'active/restrict/payment_only/true/5.00 USD/2026-10-12/blocked/2026-10-21, '
			'active/blocked/denied/true/5.00 USD/2026-10-11, closing/ok/full/true/0.00 USD/2026-10-30, deleted/ok/denied/false'),
	('emp', 'active/ok/full/false, active/grace/full/false, active/remind/full/false, active/restrict/full/false, '
		'active/blocked/denied/false, closing/ok/full/false/2026-10-30, deleted/ok/denied/false')
) AS t (member, expected);
SELECT is(kb_portal(5, 'adm') ->> key, expected, format('the page of a blocked account: %s', key)) FROM (VALUES
	('account_id', '5'), ('member', 'adm'), ('role', 'admin'), ('tariff', 'std'), ('tariff_name', 'Standard'),
	('currency', 'USD'), ('balance', '-5.00 USD'), ('bonus', '0.00 USD'), ('usage_total', '22.00 USD'), ('reminder', NULL),
	('offers', '[{"bonus": "0.00 USD", "amount": "5.00 USD"}, {"bonus": "10.00 USD", "amount": "105.00 USD"}]'),
	('payments', '[{"amount": "50.00 USD", "member": "adm", "method": "card", "expires_at": "2026-10-21T10:00:00+00:00", '
		'"payment_id": 1}]'),
	('entries', '[{"seq": 1, "kind": "adjustment", "memo": "a fee", "paid": null, "rate": null, "lines": null, '
		'"amount": "-5.00 USD", "member": null, '
		'"method": null, "period": null, "effective_on": "2026-10-11", "balance_after": "-5.00 USD"}]')
) AS t (key, expected);
SELECT is((SELECT string_agg(concat_ws(' ', line ->> 'line_no', line ->> 'service', line ->> 'from_date',
	line ->> 'to_date', line ->> 'quantity', line ->> 'amount'), ', ') FROM jsonb_array_elements(kb_portal(5, 'own') -> 'usage') AS line),
	'1 base 2026-10-01 2026-10-20 1 20.00 USD, 2 orders 2026-10-01 2026-10-20 4 2.00 USD', 'C6: the running month');

-- It is what the functions say

SELECT is(kb_portal(account_id, 'own') ->> 'balance', kb_balance(account_id)::text, 'balance as kb_balance: ' || stage)
	FROM stage_account WHERE stage <> 'deleted';
SELECT is(page ->> 'stage' || (page ->> 'access'), d.stage::text || d.access, format('stage and access as kb_access: %s, %s', s.stage, r))
FROM stage_account AS s, (VALUES ('own', 'owner'::kb_role), ('adm', 'admin'), ('emp', 'employee')) AS m (who, r),
	kb_portal(account_id, who) AS page, kb_access(account_id, r) AS d;
SELECT is(kb_portal(account_id, 'own') -> 'usage',
	(SELECT jsonb_agg(to_jsonb(u) ORDER BY line_no) FROM kb_current_usage(account_id) AS u),
	'usage as kb_current_usage: ' || stage) FROM stage_account WHERE stage <> 'deleted';
SELECT is(kb_portal(account_id, 'own') ->> 'usage_total', (SELECT sum(amount)::text FROM kb_current_usage(account_id)),
	'usage_total as its sum: ' || stage) FROM stage_account WHERE stage <> 'deleted';
SELECT is(kb_portal(account_id, 'own') -> 'offers',
	(SELECT jsonb_agg(to_jsonb(o) ORDER BY amount) FROM kb_topup_offers(account_id) AS o),
	'offers as kb_topup_offers: ' || stage) FROM stage_account WHERE stage <> 'deleted';

-- Entries and payments over time

SELECT kb_apply_topup(5, '105 USD', 'card', 'pay', 'own'), kb_apply_topup(5, '50 USD', 'card', 'late', payment_id => 1)
\g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', e ->> 'seq', e ->> 'kind', e ->> 'amount', e ->> 'balance_after',
	e ->> 'method', e ->> 'member'), ', ') FROM jsonb_array_elements(kb_portal(5, 'own') -> 'entries') AS e),
	'4 topup 50.00 USD 160.00 USD card adm, 3 bonus 10.00 USD 110.00 USD, 2 topup 105.00 USD 100.00 USD card own, '
		'1 adjustment -5.00 USD -5.00 USD', 'entries, newest first');
SELECT is((SELECT concat_ws('/', p ->> 'stage', p ->> 'access', p ->> 'balance', p ->> 'bonus', p ->> 'payments',
	p ->> 'debt_since') FROM kb_portal(5, 'own') AS p), 'ok/full/160.00 USD/10.00 USD/[]', 'T2: paid');
SELECT is((SELECT concat_ws('/', p ->> 'stage', p ->> 'access') FROM kb_portal(5, 'emp') AS p), 'ok/full', 'S3: paid, to an employee');
SET LOCAL kbilling.clock = '2026-10-21 10:00+00';
SELECT is(kb_portal(4, 'own') -> 'payments', '[]', 'T1: a payment that has expired is shown no more');
SELECT kb_adjust(1, '0.01 USD', 'n' || n, 'n' || n) FROM generate_series(1, 25) AS n
\g /dev/null
SELECT is((SELECT array_agg((e ->> 'seq')::int) FROM jsonb_array_elements(kb_portal(1, 'own') -> 'entries') AS e),
	ARRAY(SELECT generate_series(25, 6, -1)), 'the last 20 entries, newest first');
SET LOCAL kbilling.clock = '2026-11-01 10:00+00';
SELECT kb_month_charge(1)
\g /dev/null
SELECT is((SELECT concat_ws('/', e ->> 'kind', e ->> 'period', e ->> 'amount',
	(SELECT string_agg(concat_ws(' ', l ->> 'service', l ->> 'amount'), ', ') FROM jsonb_array_elements(e -> 'lines') AS l))
	FROM jsonb_path_query(kb_portal(1, 'own'), '$.entries[0]') AS e),
	'charge/2026-10-01/-33.00 USD/base 31.00 USD, orders 2.00 USD', 'C7: a charge with its lines');

-- Who asks

\ir ../include/outcome.sql
SELECT is(pg_temp.outcome('SELECT ' || call), expected, call) FROM (VALUES
	('kb_portal(1, ''stranger'')', 'KB004 "stranger" is not a member of account 1'),
	('kb_portal(1, '''')', 'KB004 "" is not a member of account 1'),
	('kb_portal(404, ''own'')', 'KB001 account 404 does not exist'),
	('kb_portal(7, ''stranger'')', 'KB004 "stranger" is not a member of account 7'),
	('kb_portal(1, NULL)', '22004 member must not be null'),
	('kb_portal(NULL, ''own'')', '22004 account_id must not be null'),
	('kb_portal(1, ''4111 1111 1111 1111'')', 'KB008 value holds what looks like a payment card number')
) AS t (call, expected);
SELECT kb_set_role(1, 'emp', 'admin')
\g /dev/null
SELECT is(kb_portal(1, 'emp') ->> 'can_pay', 'true', 'S3: by the role that a member has now');

-- kb_history: the journal, page by page

SELECT results_eq(format('SELECT (h).* FROM kb_history(%s, %L) h', account_id, member),
	format('SELECT * FROM payment_history WHERE account_id = %s ORDER BY seq DESC LIMIT 20', account_id),
	format('the first page is the newest 20 of payment_history: account %s, %s', account_id, member))
FROM (VALUES (1, 'own'), (5, 'adm'), (4, 'own'), (3, 'adm'), (6, 'own')) AS t (account_id, member);
SELECT is((SELECT array_agg(to_jsonb(h) @> e ORDER BY seq) FROM kb_history(1, 'own') h
	JOIN jsonb_array_elements(kb_portal(1, 'own') -> 'entries') AS e ON (e ->> 'seq')::bigint = seq), array_fill(true, '{20}'),
	'and what kb_portal shows');
CREATE FUNCTION pg_temp.pages(account bigint, page_size int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	next_seq bigint;
	page bigint[];
	pages text[] = '{}';
BEGIN
	LOOP
		page = ARRAY(SELECT seq FROM kbilling.kb_history(account, 'own', next_seq, page_size));
		EXIT WHEN page = '{}';
		pages = pages || array_to_string(page, ' ');
		next_seq = page[cardinality(page)];
	END LOOP;
	RETURN array_to_string(pages, ' | ');
END $$;
SELECT is(pg_temp.pages(1, 10), '26 25 24 23 22 21 20 19 18 17 | 16 15 14 13 12 11 10 9 8 7 | 6 5 4 3 2 1',
	'pages of ten, to the first entry');
SELECT is(pg_temp.pages(1, 26), '26 25 24 23 22 21 20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1', 'one page that holds them all');
SELECT is(pg_temp.pages(2, 1), '1', 'pages of one');
SELECT is(ARRAY(SELECT seq FROM kb_history(1, 'own', before_seq, 2)), expected, format('before_seq %s', before_seq))
FROM (VALUES (9223372036854775807, '{26,25}'::bigint[]), (27, '{26,25}'), (26, '{25,24}'),
	(2, '{1}'), (1, '{}'), (0, '{}'), (-5, '{}')) AS t (before_seq, expected);
-- a new entry moves no page that was read on from
SELECT kb_adjust(1, '0.01 USD', 'meanwhile', 'meanwhile')
\g /dev/null
SELECT is(ARRAY(SELECT seq FROM kb_history(1, 'own', 17, 10)), '{16,15,14,13,12,11,10,9,8,7}', 'read on after a new entry');
SELECT is((SELECT concat_ws('/', kind, amount, balance_after, bonus_after, reference, method, member, memo)
	FROM kb_history(5, 'own', 3, 1)),
	'topup/105.00 USD/100.00 USD/0.00 USD/pay/card/own', 'what a receipt needs');
SELECT is(ARRAY(SELECT reference FROM kb_history(5, 'own')), '{late,NULL,pay,debt}', 'kbilling''s own keys are not shown');
-- who may read: as on the page
SELECT is(pg_temp.outcome('SELECT ' || call), expected, call) FROM (VALUES
	('kb_history(1, ''stranger'')', 'KB004 "stranger" is not a member of account 1'),
	('kb_history(2, ''emp'')', 'KB004 member "emp" may not read the history of account 2'),
	('kb_history(5, ''emp'')', 'KB004 member "emp" may not read the history of account 5'),
	('kb_history(5, ''own'')', 'through'),
	('kb_history(4, ''adm'')', 'through'),
	('kb_history(6, ''own'')', 'through'),
	('kb_history(7, ''own'')', 'KB003 member "own" may not read the history of account 7'),
	('kb_history(7, ''emp'')', 'KB003 member "emp" may not read the history of account 7'),
	('kb_history(404, ''own'')', 'KB001 account 404 does not exist'),
	('kb_history(NULL, ''own'')', '22004 account_id must not be null'),
	('kb_history(1, NULL)', '22004 member must not be null'),
	('kb_history(1, ''4111 1111 1111 1111'')', 'KB008 value holds what looks like a payment card number'),
	('kb_history(1, ''own'', NULL, 0)', '22023 max_entries must be between 1 and 1000'),
	('kb_history(1, ''own'', NULL, -1)', '22023 max_entries must be between 1 and 1000'),
	('kb_history(1, ''own'', NULL, 1001)', '22023 max_entries must be between 1 and 1000'),
	('kb_history(1, ''own'', NULL, 1000)', 'through'),
	('kb_history(1, ''own'', NULL, NULL)', '22004 max_entries must not be null')
) AS t (call, expected);
SELECT is((kb_portal(account_id, member) ->> 'can_pay')::boolean,
	pg_temp.outcome(format('SELECT kb_history(%s, %L)', account_id, member)) = 'through',
	format('the history is for those to whom the page shows entries: account %s, %s', account_id, member))
FROM stage_account, unnest('{own,adm,emp}'::text[]) AS member;
-- A page reads what it shows: one account of many entries among others, which lie as they came
SELECT kb_create_account('own', 'std', a) FROM generate_series(1000, 1040) a
\g /dev/null
SELECT kb_adjust(a, '1 USD', 'k' || s, 'one of many')
FROM (SELECT a, s FROM generate_series(1000, 1040) a, generate_series(1, CASE a WHEN 1000 THEN 1000 ELSE 50 END) s
	  ORDER BY md5(a || ' ' || s)) x
\g /dev/null
ANALYZE entry;
CREATE FUNCTION pg_temp.read_for(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint = (SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'kbilling.entry'::regclass);
BEGIN
	EXECUTE query;
	RETURN (SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'kbilling.entry'::regclass) - before;
END $$;
SELECT is(pg_temp.read_for(format('SELECT * FROM kb_history(1000, ''own'', %s, %s)', before_seq, max_entries)), expected,
	format('of 1000 entries, a page of %s before %s reads its own', max_entries, before_seq))
FROM (VALUES ('NULL', 20, 20::bigint), ('900', 20, 20), ('11', 20, 10), ('900', 500, 500)) AS t (before_seq, max_entries, expected);

-- T8

SELECT kb_apply_topup(2, '50 USD', 'card', 'in UAH', paid => '2062.75 UAH')
\g /dev/null
SELECT is((SELECT format('%s %s %s', e ->> 'amount', e ->> 'paid', e ->> 'rate')
	FROM jsonb_path_query(kb_portal(2, 'own'), '$.entries[0]') e),
	'50.00 USD 2062.75 UAH 41.255', 'T8: the page shows what was charged, and the rate');

SELECT * FROM finish();
ROLLBACK;
