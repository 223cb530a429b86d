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
SELECT is(pg_temp.keys(kb_portal(account_id, member)), CASE WHEN member = 'emp' OR stage = 'deleted'
	THEN 'access account_id can_cancel_closure can_continue can_end can_pay delete_on ends_on language member purge_on role stage state '
		'time_zone today'
	ELSE 'access account_id amount_due balance bonus can_cancel_closure can_continue can_end can_pay currency debt_since delete_on ends_on '
		'entries expiring_credit language member more_before_seq next_charge next_stage next_stage_on next_tariff offers payer '
		'payments purge_on '
		'refundable reminder role spending stage state tariff time_zone today usage' END,
	format('S3: the keys of %s''s page, account %s', member, stage)) FROM stage_account, unnest('{own,adm,emp}'::text[]) AS member;
SELECT unalike(kb_portal(account_id, 'emp')::text, '%USD%', 'S3: an employee sees no money: ' || stage) FROM stage_account;
SELECT unalike(kb_portal(7, member)::text, '%USD%', 'D5: nobody sees any of a deleted account: ' || member)
	FROM unnest('{own,adm,emp}'::text[]) AS member;
-- of what is in them
CREATE FUNCTION pg_temp.money(money jsonb) RETURNS text LANGUAGE sql RETURN concat_ws(' ', money ->> 'amount', money ->> 'currency');
SELECT is(pg_temp.keys(kb_portal(5, 'own') #> path), keys, format('the keys of %s', path)) FROM (VALUES
	('{tariff}'::text[], 'name tariff'), ('{usage}', 'lines total'), ('{usage,total}', 'amount currency'),
	('{usage,lines,0}', 'amount billed_events billed_quantity days days_in_month events from_date line_no name price quantity service '
		'to_date unit what'),
	('{usage,lines,0,amount}', 'amount currency'), ('{next_charge}', 'amount charged_on period'),
	('{offers,0}', 'amount bonus bonus_expires_on months reason'),
	('{payments,0}', 'amount begun_at bonus expires_at failure member method payment_id status'), ('{payments,0,method}', 'method name'),
	('{entries,0}', 'amount balance_after bonus_after effective_on kind lines member memo method paid period posted_at rate ref_seq '
		'reference seq'), ('{payer}', 'details email member')
) AS t (path, keys);
SELECT is(pg_temp.keys(kb_portal(3, 'own') -> 'reminder'), 'amount_due restricted_on', 'the keys of reminder');
-- one shape for each thing: an amount is an object wherever it is
SELECT is_empty($$SELECT key, value FROM stage_account, unnest('{own,emp}'::text[]) AS member,
	jsonb_path_query(kb_portal(account_id, member), 'strict $.**') AS part,
	jsonb_each(CASE jsonb_typeof(part) WHEN 'object' THEN part ELSE '{}' END)
	WHERE value #>> '{}' LIKE '%USD' AND key <> 'currency'$$, 'money is {"amount", "currency"}');
-- what the comment documents is what there is
SELECT is_empty($$SELECT k FROM jsonb_object_keys(kb_portal(5, 'own')) AS k
	WHERE obj_description('kb_portal(bigint,text)'::regprocedure) !~ ('\m' || k || '\M')$$, 'every key is documented');

-- What they say, worked out by hand: 20 of 31 days at 31.00 a month, 4 orders at 0.50

SELECT is((SELECT string_agg(concat_ws('/', page ->> 'state', page ->> 'stage', page ->> 'access', page ->> 'can_pay',
	nullif(pg_temp.money(page -> 'amount_due'), ''), page ->> 'debt_since', page ->> 'next_stage', page ->> 'next_stage_on',
		nullif(pg_temp.money(page #> '{reminder,amount_due}'), ''), page #>> '{reminder,restricted_on}', page ->> 'delete_on'),
	', ' ORDER BY account_id)
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
	('account_id', '5'), ('member', 'adm'), ('role', 'admin'), ('tariff', '{"name": "Standard", "tariff": "std"}'),
	('language', 'en'), ('time_zone', 'UTC'), ('today', '2026-10-20'), ('can_cancel_closure', 'false'), ('purge_on', NULL),
	('next_tariff', NULL), ('currency', 'USD'), ('balance', '{"amount": "-5.00", "currency": "USD"}'),
	('bonus', '{"amount": "0.00", "currency": "USD"}'), ('reminder', NULL), ('more_before_seq', NULL),
	('payments', '[{"bonus": {"amount": "0.00", "currency": "USD"}, "amount": {"amount": "60.00", "currency": "USD"}, '
		'"member": "own", "method": {"name": "Entered by hand", "method": "manual"}, "status": "failed", "failure": "declined", '
		'"begun_at": "2026-10-20T10:00:00+00:00", "expires_at": "2026-10-21T10:00:00+00:00", "payment_id": 2}, '
		'{"bonus": {"amount": "0.00", "currency": "USD"}, "amount": {"amount": "50.00", "currency": "USD"}, "member": "adm", '
		'"method": {"name": "Card", "method": "card"}, "status": "pending", "failure": null, '
		'"begun_at": "2026-10-20T10:00:00+00:00", "expires_at": "2026-10-21T10:00:00+00:00", "payment_id": 1}]'),
	('entries', '[{"seq": 1, "kind": "adjustment", "memo": "a fee", "paid": null, "rate": null, "lines": null, '
		'"amount": {"amount": "-5.00", "currency": "USD"}, "member": null, "method": null, "period": null, "ref_seq": null, '
		'"posted_at": "2026-10-11T10:00:00+00:00", "reference": "debt", "bonus_after": {"amount": "0.00", "currency": "USD"}, '
		'"effective_on": "2026-10-11", "balance_after": {"amount": "-5.00", "currency": "USD"}}]'),
	('payer', '{"email": null, "member": "own", "details": null}')
) AS t (key, expected);
SELECT is(kb_portal(5, 'own') -> 'usage', '{"total": {"amount": "22.00", "currency": "USD"}, "lines": [
	{"line_no": 1, "service": "base", "name": "Base fee", "unit": "month", "what": "base fee", "from_date": "2026-10-01",
	 "to_date": "2026-10-20", "days": 20, "days_in_month": 31, "quantity": 1, "events": null, "billed_quantity": null,
	 "billed_events": null, "price": "31.00", "amount": {"amount": "20.00", "currency": "USD"}},
	{"line_no": 2, "service": "orders", "name": "orders", "unit": null, "what": "usage", "from_date": "2026-10-01",
	 "to_date": "2026-10-20", "days": null, "days_in_month": null, "quantity": 4, "events": 1, "billed_quantity": null,
	 "billed_events": null, "price": "0.50 each", "amount": {"amount": "2.00", "currency": "USD"}}]}'::jsonb, 'C6: the running month');

-- It is what the functions say

SELECT is(pg_temp.money(kb_portal(account_id, 'own') -> 'balance'), kb_balance(account_id)::text, 'balance as kb_balance: ' || stage)
	FROM stage_account WHERE stage <> 'deleted';
SELECT is(page ->> 'stage' || (page ->> 'access'), d.stage::text || d.access, format('stage and access as kb_access: %s, %s', s.stage, r))
FROM stage_account AS s, (VALUES ('own', 'owner'::kb_role), ('adm', 'admin'), ('emp', 'employee')) AS m (who, r),
	kb_portal(account_id, who) AS page, kb_access(account_id, r) AS d;
-- a row with money as pages get it
CREATE FUNCTION pg_temp.shown(object jsonb) RETURNS jsonb LANGUAGE sql RETURN (
	SELECT jsonb_object_agg(key, CASE WHEN value #>> '{}' ~ '^-?[0-9.]+ [A-Z]{3}$'
		THEN jsonb_build_object('amount', split_part(value #>> '{}', ' ', 1), 'currency', split_part(value #>> '{}', ' ', 2))
		ELSE value END) FROM jsonb_each(object));
SELECT is((SELECT jsonb_agg(line - '{name,unit}'::text[])
		FROM jsonb_array_elements(kb_portal(account_id, 'own') #> '{usage,lines}') AS line),
	(SELECT jsonb_agg(pg_temp.shown(to_jsonb(u)) ORDER BY line_no) FROM kb_current_usage(account_id) AS u),
	'usage as kb_current_usage: ' || stage) FROM stage_account WHERE stage <> 'deleted';
SELECT is(pg_temp.money(kb_portal(account_id, 'own') #> '{usage,total}'), (SELECT sum(amount)::text FROM kb_current_usage(account_id)),
	'the total of usage as its sum: ' || stage) FROM stage_account WHERE stage <> 'deleted';
SELECT is(kb_portal(account_id, 'own') -> 'offers',
	(SELECT jsonb_agg(pg_temp.shown(to_jsonb(o)) ORDER BY amount) FROM kb_topup_offers(account_id) AS o),
	'offers as kb_topup_offers: ' || stage) FROM stage_account WHERE stage <> 'deleted';
SELECT is(kb_portal(account_id, 'own') -> 'next_charge',
	(SELECT pg_temp.shown(jsonb_build_object('period', f.period, 'charged_on', f.charged_on, 'amount', f.charge))
	 FROM kb_forecast(account_id, 1) AS f LIMIT 1),
	'the next charge as kb_forecast: ' || stage) FROM stage_account WHERE stage <> 'deleted';

-- Entries and payments over time

SELECT kb_apply_topup(5, '105 USD', 'card', 'pay', 'own'), kb_apply_topup(5, '50 USD', 'card', 'late', payment_id => 1)
\g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', e ->> 'seq', e ->> 'kind', pg_temp.money(e -> 'amount'), pg_temp.money(e -> 'balance_after'),
	pg_temp.money(e -> 'bonus_after'), e #>> '{method,name}', e ->> 'member', e ->> 'reference', e ->> 'ref_seq'), ', ')
	FROM jsonb_array_elements(kb_portal(5, 'own') -> 'entries') AS e),
	'4 topup 50.00 USD 160.00 USD 10.00 USD Card adm late, 3 bonus 10.00 USD 110.00 USD 10.00 USD 2, '
		'2 topup 105.00 USD 100.00 USD 0.00 USD Card own pay, 1 adjustment -5.00 USD -5.00 USD 0.00 USD debt',
	'entries, newest first; a bonus belongs to its top-up');
SELECT is((SELECT concat_ws('/', p ->> 'stage', p ->> 'access', pg_temp.money(p -> 'balance'), pg_temp.money(p -> 'bonus'),
	jsonb_path_query_array(p, '$.payments[*].payment_id'), p ->> 'debt_since') FROM kb_portal(5, 'own') AS p),
	'ok/full/160.00 USD/10.00 USD/[2]', 'T2: paid; what is settled is an entry, and no payment any more');
SELECT is((SELECT concat_ws('/', p ->> 'stage', p ->> 'access') FROM kb_portal(5, 'emp') AS p), 'ok/full', 'S3: paid, to an employee');
SET LOCAL kbilling.clock = '2026-10-21 10:00+00';
SELECT is(jsonb_path_query_array(kb_portal(4, 'own'), '$.payments[*].status'), '["failed", "expired"]',
	'T2: what has failed or expired is shown, the newest first');
SET LOCAL kbilling.clock = '2026-11-19 09:59:59+00';
SELECT is(jsonb_array_length(kb_portal(4, 'own') -> 'payments'), 2, 'for 30 days');
SET LOCAL kbilling.clock = '2026-11-19 10:00+00';
SELECT is(kb_portal(4, 'own') -> 'payments', '[]', 'and then no more');
SET LOCAL kbilling.clock = '2026-10-21 10:00+00';
SELECT kb_begin_topup(3, 'own', '1 USD', 'card') FROM generate_series(3, 14)
\g /dev/null
SELECT is(jsonb_path_query_array(kb_portal(3, 'own'), '$.payments[*].payment_id'), '[14, 13, 12, 11, 10, 9, 8, 7, 6, 5]', 'the newest 10');
SELECT kb_adjust(1, '0.01 USD', 'n' || n, 'n' || n) FROM generate_series(1, 25) AS n
\g /dev/null
SELECT is((SELECT array_agg((e ->> 'seq')::int) FROM jsonb_array_elements(kb_portal(1, 'own') -> 'entries') AS e),
	ARRAY(SELECT generate_series(25, 6, -1)), 'the last 20 entries, newest first');
SELECT is(kb_portal(1, 'own') ->> 'more_before_seq', '6', 'and where the page before them ends');
SELECT is(kb_portal(5, 'own') ->> 'more_before_seq', NULL, 'nowhere, if there is none');
SET LOCAL kbilling.clock = '2026-11-01 10:00+00';
SELECT kb_month_charge(1)
\g /dev/null
SELECT is((SELECT concat_ws('/', e ->> 'kind', e ->> 'period', pg_temp.money(e -> 'amount'),
	(SELECT string_agg(concat_ws(' ', l ->> 'name', pg_temp.money(l -> 'amount')), ', ') FROM jsonb_array_elements(e -> 'lines') AS l))
	FROM jsonb_path_query(kb_portal(1, 'own'), '$.entries[0]') AS e),
	'charge/2026-10-01/-33.00 USD/Base fee 31.00 USD, orders 2.00 USD', 'C7: a charge with its lines');

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

SELECT results_eq(format('SELECT seq, entry - ''{method,lines}''::text[] FROM kb_history(%s, %L) h', account_id, member),
	format('SELECT seq, pg_temp.shown(to_jsonb(h)) - ''{account_id,method,lines}''::text[] FROM payment_history h '
		'WHERE account_id = %s ORDER BY seq DESC LIMIT 20', account_id),
	format('the first page is the newest 20 of payment_history: account %s, %s', account_id, member))
FROM (VALUES (1, 'own'), (5, 'adm'), (4, 'own'), (3, 'adm'), (6, 'own')) AS t (account_id, member);
SELECT is((SELECT jsonb_agg(entry ORDER BY seq DESC) FROM kb_history(account_id, 'own')),
	nullif(kb_portal(account_id, 'own') -> 'entries', '[]'),
	format('and what kb_portal shows, to the letter: account %s', account_id)) FROM stage_account WHERE stage <> 'deleted';
SELECT results_eq($$SELECT l - '{name,unit}'::text[] FROM kb_history(1, 'own', NULL, 1) AS h, jsonb_array_elements(entry -> 'lines') AS l$$,
	$$SELECT pg_temp.shown(to_jsonb(l)) - '{account_id,seq,period}'::text[] FROM charge_line AS l WHERE account_id = 1 ORDER BY line_no$$,
	'C7: lines as charge_line has them');
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
SELECT is(ARRAY(SELECT entry ->> 'reference' FROM kb_history(5, 'own')), '{late,NULL,pay,debt}', 'kbilling''s own keys are not shown');
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
SELECT is((SELECT format('%s %s %s', pg_temp.money(e -> 'amount'), pg_temp.money(e -> 'paid'), e ->> 'rate')
	FROM jsonb_path_query(kb_portal(2, 'own'), '$.entries[0]') e),
	'50.00 USD 2062.75 UAH 41.255', 'T8: the page shows what was charged, and the rate');

-- To whom receipts are made out

SELECT kb_set_contact(2, 'own', 'own@example.org', 'uk'), kb_add_member(2, 'ann', 'owner', 'ann@example.org')
\g /dev/null
SELECT is(kb_portal(2, 'own') -> 'payer', '{"member": "ann", "email": "ann@example.org", "details": null}', 'the first owner');
SELECT kb_set_billing_details(2, '{"name": "Acme Ltd", "tax_number": "UA-123"}')
\g /dev/null
SELECT is(kb_portal(2, 'own') #> '{payer,details}', '{"name": "Acme Ltd", "tax_number": "UA-123"}', 'the details that are set');
SELECT is(kb_portal(2, 'emp') -> 'payer', NULL, 'which are for those who pay');
SELECT kb_set_billing_details(2, '{"name": "Acme"}'), kb_set_billing_details(2, '{"name": "Acme"}')
\g /dev/null
SELECT is(kb_portal(2, 'own') #> '{payer,details}', '{"name": "Acme"}', 'replaced');
SELECT kb_set_billing_details(2, NULL), kb_set_billing_details(2, NULL)
\g /dev/null
SELECT is(kb_portal(2, 'own') #> '{payer,details}', 'null', 'and removed');
SELECT results_eq($$SELECT account_id, before, after FROM change_log WHERE subject = 'billing_details' ORDER BY change_id$$, $$VALUES
	(2::bigint, NULL::jsonb, '{"are_set": true}'::jsonb), (2, '{"are_set": true}', '{"are_set": true}'), (2, '{"are_set": true}', NULL)$$,
	'J9: that they were changed is logged, and not what they are');
SELECT is(pg_temp.outcome('SELECT ' || call), expected, call) FROM (VALUES
	('kb_set_billing_details(2, ''[]'')', '22023 billing details must be a JSON object'),
	('kb_set_billing_details(2, jsonb_build_object(''x'', repeat(''x'', 8192)))', '22023 billing details must have at most 8192 bytes'),
	('kb_set_billing_details(2, ''{"card": "4111 1111 1111 1111"}'')', 'KB008 value holds what looks like a payment card number'),
	('kb_set_billing_details(404, ''{}'')', 'KB001 account 404 does not exist'),
	('kb_set_billing_details(7, ''{}'')', 'KB010 account 7 is deleted')
) AS t (call, expected);

-- A closure, and what comes after it (D3, D4, D5)

SELECT is((SELECT string_agg(concat_ws('/', member, p ->> 'state', p ->> 'delete_on', p ->> 'purge_on', p ->> 'can_cancel_closure'), ', '
	ORDER BY member) FROM unnest('{own,adm,emp}'::text[]) AS member, kb_portal(6, member) AS p),
	'adm/closing/2026-10-30/true, emp/closing/2026-10-30/false, own/closing/2026-10-30/true',
	'D3, D4: every member sees the date; who may cancels');
UPDATE account SET delete_on = '2026-10-19', closure_check_on = '2026-11-08' WHERE account_id = 7;
SELECT is((SELECT string_agg(concat_ws('/', member, p ->> 'state', p ->> 'delete_on', p ->> 'purge_on', p ->> 'can_cancel_closure'), ', '
	ORDER BY member) FROM unnest('{own,emp}'::text[]) AS member, kb_portal(7, member) AS p),
	'emp/deleted/2026-10-19/2026-11-08/false, own/deleted/2026-10-19/2026-11-08/false',
	'D5, D6: of a deleted one, when it was, and the purge');
SELECT kb_create_account('own', 'std', 30, 'Asia/Tokyo')
\g /dev/null
SET LOCAL kbilling.clock = '2026-11-01 16:00+00';
SELECT is(kb_portal(30, 'own') ->> 'today', '2026-11-02', 'today is the account''s local date');

-- Where there are no days of restrict, nothing is said of one
SELECT kb_set_policy('hard', '{"restrict_day": 10, "block_day": 10}'), kb_create_tariff('hard', 'USD', policy => 'hard'),
	kb_set_price('hard', 'base', '31.00'), kb_create_account('own', 'hard', 31), kb_adjust(31, '-5.00 USD', 'debt', 'a fee')
\g /dev/null
SET LOCAL kbilling.clock = '2026-11-05 10:00+00';
SELECT is((SELECT concat_ws('/', p ->> 'stage', p ->> 'next_stage', p ->> 'next_stage_on', p -> 'reminder')
	FROM kb_portal(31, 'own') AS p),
	'remind/blocked/2026-11-10/{"amount_due": {"amount": "5.00", "currency": "USD"}, "restricted_on": null}',
	'S3: the reminder names no day of restrict, where blocked comes next');

SELECT * FROM finish();
ROLLBACK;
