-- examples/helpdesk.sql: a company's people through twelve days of a debt and back, as the app's role (E, S2, S3, T1, T5, D7)

-- A role of that name that was there before is left there.
SELECT coalesce(to_regrole('helpdesk_app'), to_regrole('helpdesk_webhook')) IS NULL AS role_is_ours \gset
SET timezone = 'UTC';
SET kbilling.clock = '2026-11-01 12:00+00';
\o /dev/null
\ir ../../examples/helpdesk.sql
\o
SET search_path = public, kbilling;
SELECT no_plan();

-- What the example opens

CREATE TEMP TABLE own AS SELECT c.* FROM pg_class AS c WHERE c.relnamespace = 'helpdesk'::regnamespace AND c.relkind = 'r';
SELECT is((SELECT array_agg(relname ORDER BY relname) FROM own), '{message,ticket}', 'the example has two tables');
SELECT is_empty('SELECT relname FROM own WHERE NOT relrowsecurity OR NOT relforcerowsecurity',
	'E2: both have row security, for their owner too');
SELECT is_empty($$SELECT relname, event FROM own, unnest('{INSERT,UPDATE,DELETE}'::text[]) AS event
		WHERE NOT EXISTS (SELECT FROM information_schema.triggers WHERE (event_object_schema, event_object_table,
			event_manipulation) = ('helpdesk', relname, event)
			AND action_statement LIKE '%kb_guard(''account_id'', ''member'')')$$,
				'E1: and a guard against each kind of write that no member does');
SELECT is_empty($$SELECT o.relname FROM own AS o, aclexplode(o.relacl) AS a WHERE a.grantee = 0$$, 'no table is open to PUBLIC');
SELECT is_empty($$SELECT FROM pg_namespace AS n, aclexplode(n.nspacl) AS a WHERE n.nspname = 'helpdesk' AND a.grantee = 0$$,
	'nor is the schema');
SELECT is_empty($$SELECT relname, p FROM own, unnest('{TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p
	WHERE has_table_privilege('helpdesk_app', oid, p)$$,
	'the app can neither empty a table nor change what guards it');
SELECT is_empty($$SELECT attrelid::regclass, attname FROM pg_attribute WHERE attrelid IN (SELECT oid FROM own)
	AND attname IN ('account_id', 'ticket_id')
		AND has_column_privilege('helpdesk_app', attrelid, attname, 'UPDATE')$$, 'and move no row');
SELECT is((SELECT string_agg(c.relname || ' ' || p, ', ' ORDER BY c.relname, p) FROM pg_class AS c,
	unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) AS p
		WHERE c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND c.relkind IN ('r', 'v')
			AND has_table_privilege('helpdesk_app', c.oid, p)),
	'account_access SELECT, bonus_tier SELECT, catalogue_name SELECT, credit_line SELECT, payment_method SELECT, price SELECT, '
	'price_list SELECT, service SELECT, standard_name SELECT, tariff SELECT, tariff_minimum SELECT, usage_limit SELECT',
	'E: of kbilling''s tables it reads the price list, the methods of paying, and what accounts may do');

-- Two companies: Acme, with an owner, an admin and an employee, pays 20.00 ahead, and Bolt 100.00

SET ROLE helpdesk_app;
EXECUTE sign_up ('olena', 'Europe/Kyiv', 'olena@acme.example') \gset acme_
EXECUTE sign_up ('bob', 'America/New_York', 'bob@bolt.example') \gset bolt_
SELECT lives_ok(format('EXECUTE invite (%s, ''ann'', ''admin'')', :acme_account_id), 'an admin is invited');
SELECT lives_ok(format('EXECUTE invite (%s, ''eve'', ''employee'')', :acme_account_id), 'an employee is invited');
SELECT lives_ok(format('EXECUTE set_seats (%s, 2)', :acme_account_id), 'two seats are taken');
EXECUTE pay (:acme_account_id, 'olena', '20.00 USD', 'card') \gset acme_
EXECUTE pay (:bolt_account_id, 'bob', '100.00 USD', 'card') \gset bolt_
SELECT throws_ok(format('EXECUTE paid (%s, %s, ''20.00 USD'', ''card'', ''pi_1'')', :acme_account_id, :acme_payment_id),
	'42501', NULL, 'E6: the app credits nobody');
SET ROLE helpdesk_webhook;
SELECT results_eq(format('EXECUTE paid (%s, %s, ''20.00 USD'', ''card'', ''pi_1'')', :acme_account_id, :acme_payment_id),
	$$VALUES ('20.00 USD'::kb_money, '0.00 USD'::kb_money, '20.00 USD'::kb_money, 'ok'::kb_stage, 'ok'::kb_stage, false)$$,
	'T2: Acme has paid');
SELECT results_eq(format('EXECUTE paid (%s, %s, ''100.00 USD'', ''card'', ''pi_2'')', :bolt_account_id, :bolt_payment_id),
	$$VALUES ('100.00 USD'::kb_money, '5.00 USD'::kb_money, '105.00 USD'::kb_money, 'ok'::kb_stage, 'ok'::kb_stage, false)$$,
	'T5: and Bolt, with a bonus');
SET ROLE helpdesk_app;

-- 120 messages; one of them goes to six people instead of one, five are deleted: 120 units again

BEGIN;
EXECUTE act_as (:acme_account_id, 'eve') \g /dev/null
EXECUTE open_ticket (:acme_account_id, 'Printer on fire') \gset acme_
EXECUTE open_ticket (:acme_account_id, 'No coffee') \g /dev/null
EXECUTE close_ticket (:acme_ticket_id);
SELECT array_agg('message ' || i) AS bodies FROM generate_series(1, 120) AS i \gset
EXECUTE send_messages (:acme_account_id, :acme_ticket_id, :'bodies');
UPDATE helpdesk.message SET recipients = 6 WHERE body = 'message 7';
DELETE FROM helpdesk.message WHERE body IN ('message 1', 'message 20', 'message 21', 'message 22', 'message 120');
SELECT results_eq('EXECUTE tickets',
	format($$VALUES (%1$s::bigint, 'Printer on fire', true), (%1$s + 1, 'No coffee', false)$$, :acme_ticket_id), 'Acme''s tickets');
SELECT results_eq(format('SELECT count(*), sum(recipients) FROM helpdesk.message WHERE ticket_id = %s', :acme_ticket_id),
	'VALUES (115::bigint, 120::bigint)', 'and messages');
COMMIT;
BEGIN;
EXECUTE act_as (:bolt_account_id, 'bob') \g /dev/null
EXECUTE open_ticket (:bolt_account_id, 'Merger with Acme') \gset bolt_
EXECUTE send_messages (:bolt_account_id, :bolt_ticket_id, '{not a word to anyone}');
SELECT results_eq(format('EXECUTE messages (%s)', :bolt_ticket_id),
	$$SELECT max(message_id), 1, 'not a word to anyone' FROM helpdesk.message$$, 'Bolt''s message');
COMMIT;

-- Nobody: a transaction that does not say for whom it acts, after one that did

SELECT is_empty('EXECUTE tickets', 'E4: without kb_act_as no ticket is seen');
SELECT is_empty('SELECT FROM helpdesk.message', 'E4: and no message');
SELECT throws_ok(format('EXECUTE open_ticket (%s, ''x'')', :acme_account_id), 'KB003',
	format('nothing may be written for account %s without a member', :acme_account_id),
	'E1, E4: nothing is written: the guard of rows says so');
SELECT throws_ok(format('EXECUTE send_messages (%s, %s, ''{x}'')', :acme_account_id, :acme_ticket_id), '42501', NULL,
	'E1, E4: nor in bulk: row security comes first');
WITH changed AS (UPDATE helpdesk.ticket SET closed = true RETURNING 1) SELECT is(count(*), 0::bigint, 'E4: nor changed') FROM changed;
WITH gone AS (DELETE FROM helpdesk.message RETURNING 1) SELECT is(count(*), 0::bigint, 'E4: nor deleted') FROM gone;

-- Mallory: a member's requests that want more

BEGIN;
EXECUTE act_as (:acme_account_id, 'eve') \g /dev/null
SELECT throws_ok(statement, state, NULL, why)
FROM (VALUES
	(format('EXECUTE act_as (%s, ''eve'')', :bolt_account_id), 'KB004', 'E4: she cannot act for an account that she is no member of'),
	(format('EXECUTE act_as (%s, ''bob'')', :acme_account_id), 'KB004', 'E4: nor as somebody who is none of hers'),
	(format('EXECUTE open_ticket (%s, ''x'')', :bolt_account_id), 'KB003', 'E1: a ticket for another account'),
	(format('EXECUTE send_messages (%s, %s, ''{x}'')', :bolt_account_id, :bolt_ticket_id), '42501', 'E2: a message for another account'),
	(format('EXECUTE send_messages (%s, %s, ''{x}'')', :acme_account_id, :bolt_ticket_id), '23503',
		'a message of hers on another account''s ticket'),
	(format('UPDATE helpdesk.ticket SET account_id = %s', :bolt_account_id), '42501', 'a ticket given away'),
	('INSERT INTO helpdesk.ticket (account_id, ticket_id, subject) OVERRIDING SYSTEM VALUE VALUES (1, 1, ''x'')', '42501',
		'a number of her own'),
	('DELETE FROM helpdesk.ticket', '42501', 'a ticket deleted'),
	('SET kbilling.member = ''bob''', '42602', 'E4: the member by SET'),
	('SET kbilling.acting_member = ''bob''', '42602', 'E4: under another name'),
	(format('SELECT set_config(''kbilling.acting_account'', ''%s'', true)', :bolt_account_id), '42602', 'E4: the account by set_config'),
	('SET kbilling.clock = ''2026-11-01 00:00+00''', '42501', 'the clock'),
	('SET session_replication_role = replica', '42501', 'writes without triggers'),
	('SET LOCAL row_security = off; SELECT FROM helpdesk.ticket', '42501', 'sight without row security'),
	('ALTER TABLE helpdesk.ticket DISABLE TRIGGER guard', '42501', 'the guard switched off'),
	('ALTER TABLE helpdesk.ticket NO FORCE ROW LEVEL SECURITY', '42501', 'row security too'),
	('DROP POLICY account ON helpdesk.message', '42501', 'the policy dropped'),
	('CREATE POLICY all_rows ON helpdesk.message USING (true)', '42501', 'a policy that lets all through'),
	('TRUNCATE helpdesk.message', '42501', 'a table emptied'),
	('SELECT FROM kbilling.account', '42501', 'E: accounts read'),
	('SELECT FROM kbilling.account_status', '42501', 'E: or where they stand'),
	('SELECT FROM kbilling.entry', '42501', 'E: the journal'),
	('SELECT FROM kbilling.member', '42501', 'E: the members'),
	('UPDATE kbilling.account SET balance = ''1000000.00 USD''', '42501', 'E: a balance written'),
	('UPDATE kbilling.member SET role = ''owner''', '42501', 'E: a role'),
	('UPDATE kbilling.price SET price = ''0.00''', '42501', 'E: a price'),
	('DELETE FROM kbilling.usage_event', '42501', 'E: usage deleted'),
	('SELECT kbilling.kb_adjust(1, ''1000000.00 USD'', ''gift'', ''gift'')', '42501', 'E: a gift'),
	('SELECT kbilling.kb_defer(1, ''2030-01-01'', ''eve'', ''why not'')', '42501', 'E: a deferral'),
	('SELECT kbilling.kb_set_price(''helpdesk'', ''base'', ''0.00'')', '42501', 'E: a price by its function'),
	('SELECT kbilling.kb_month_charge(1)', '42501', 'E: a charge'),
	('SELECT kbilling.kb_grant(''helpdesk_app'', ''operator'')', '42501', 'E: more rights')
) AS attempt (statement, state, why);
WITH changed AS (UPDATE helpdesk.ticket SET closed = true WHERE account_id = :bolt_account_id RETURNING 1)
SELECT is(count(*), 0::bigint, 'E2: another account''s ticket is not changed') FROM changed;
WITH gone AS (DELETE FROM helpdesk.message WHERE account_id = :bolt_account_id RETURNING 1)
SELECT is(count(*), 0::bigint, 'E2: nor its message deleted') FROM gone;
SELECT is(kb_acting_account() || ' ' || kb_acting_member(), :'acme_account_id' || ' eve', 'E4: after all that she is who she was');
ROLLBACK;
RESET ROLE;

-- Days of the debt, with the stage and what comes next; by hand, from S2 and S3.  19.00 + 2 x 5.00 + 20 x 0.05 = 30.00
-- for November, less 20.00.

CREATE TEMP TABLE debt (from_day int, to_day int, stage kb_stage, due kb_money, next_stage kb_stage, next_on date);
INSERT INTO debt VALUES
	( 0,  0, 'ok',       '0.00 USD',  NULL,       NULL),
	( 1,  3, 'grace',    '10.00 USD', 'remind',   '2026-12-04'),
	( 4,  6, 'remind',   '10.00 USD', 'restrict', '2026-12-07'),
	( 7,  9, 'restrict', '10.00 USD', 'blocked',  '2026-12-10'),
	(10, 12, 'blocked',  '10.00 USD', NULL,       NULL);
CREATE TEMP TABLE expected (from_day int, to_day int, member text, access kb_access, reads boolean, writes boolean,
	pays boolean, reminded_of text);
INSERT INTO expected VALUES
	( 0,  3, 'olena', 'full',               true,  true,  true,  NULL),
	( 0,  3, 'ann',   'full',               true,  true,  true,  NULL),
	( 0,  3, 'eve',   'full',               true,  true,  false, NULL),
	( 4,  6, 'olena', 'full_with_reminder', true,  true,  true,  '2026-12-07'),
	( 4,  6, 'ann',   'full_with_reminder', true,  true,  true,  '2026-12-07'),
	( 4,  6, 'eve',   'full',               true,  true,  false, NULL),
	( 7,  9, 'olena', 'payment_only',       false, false, true,  NULL),
	( 7,  9, 'ann',   'payment_only',       false, false, true,  NULL),
	( 7,  9, 'eve',   'full',               true,  true,  false, NULL),
	(10, 12, 'olena', 'denied',             false, false, true,  NULL),
	(10, 12, 'ann',   'denied',             false, false, true,  NULL),
	(10, 12, 'eve',   'denied',             false, false, false, NULL),
	( 0, 12, 'bob',   'full',               true,  true,  true,  NULL);
CREATE TEMP TABLE company (account_id bigint, members text[], ticket_id bigint, subjects text[], messages bigint);
INSERT INTO company VALUES
	(:acme_account_id, '{olena,ann,eve}', :acme_ticket_id, '{No coffee,Printer on fire}', 115),
	(:bolt_account_id, '{bob}', :bolt_ticket_id, '{Merger with Acme}', 1);

-- What a member does on a visit, and what should come of it: one cell each, for \gexec
CREATE TEMP VIEW visit AS
SELECT day, at, member, cells.*
FROM (SELECT n AS day, n AS as_on_day, date '2026-11-30' + n + time '12:00' AS at, format('day %s', n) AS which
	FROM generate_series(0, 12) AS n
	UNION ALL VALUES (13, 0, timestamp '2026-12-12 13:00', 'day 12, paid'), (14, 0, '2026-12-13 12:00', 'the day after')) AS visit
JOIN expected AS e ON as_on_day BETWEEN e.from_day AND e.to_day
JOIN debt AS d ON CASE member WHEN 'bob' THEN 0 ELSE as_on_day END BETWEEN d.from_day AND d.to_day
JOIN company AS c ON member = ANY (members),
LATERAL (SELECT which || ', ' || member || ': ' AS who) AS w,
LATERAL (SELECT
	format('SET kbilling.clock = %L', at || '+00') AS clock,
	'CALL kb_sweep()' AS sweep,
	'SET ROLE helpdesk_app' AS app,
	format('SELECT results_eq(%L, %L, %L)', format('EXECUTE login (%s, %L)', account_id, member),
		format('VALUES (%L::kb_stage, %L::kb_access, %L::kb_money, %L::kb_stage, %L::date, NULL::date)', stage, access, due,
			next_stage, next_on), who || 'login (S2, S3)') AS login,
	'BEGIN' AS request,
	format('EXECUTE act_as (%s, %L)', account_id, member) AS act,
	format('SELECT is((SELECT array_agg(subject ORDER BY subject) FROM helpdesk.ticket), %L, %L)',
		CASE WHEN reads THEN subjects END, who || 'tickets seen (E2)') AS tickets,
	format('SELECT is((SELECT count(*) FROM helpdesk.message), %L, %L)', CASE WHEN reads THEN messages ELSE 0 END,
		who || 'messages seen (E2)') AS messages,
	format('WITH changed AS (UPDATE helpdesk.ticket SET closed = NOT closed RETURNING 1) SELECT is(count(*), %L, %L) FROM changed',
		CASE WHEN writes THEN cardinality(subjects) ELSE 0 END, who || 'tickets changed (E2)') AS change,
	format('WITH gone AS (DELETE FROM helpdesk.message RETURNING 1) SELECT is(count(*), %L, %L) FROM gone',
		CASE WHEN writes THEN messages ELSE 0 END, who || 'messages deleted (E2)') AS delete,
	CASE WHEN writes THEN format('SELECT lives_ok(%L, %L)', ticket, who || 'a ticket is opened (E1)')
		ELSE format('SELECT throws_ok(%L, ''KB003'', %L, %L)', ticket, denied, who || 'no ticket is opened (E1)') END AS open,
	CASE WHEN writes THEN format('SELECT lives_ok(%L, %L)', message, who || 'messages are sent (E1)')
		ELSE format('SELECT throws_ok(%L, ''KB003'', %L, %L)', message, denied, who || 'no message is sent (E1)') END AS send,
	CASE WHEN pays THEN format('SELECT lives_ok(%L, %L)', payment, who || 'a payment is begun (T1)')
		ELSE format('SELECT throws_ok(%L, ''KB004'', NULL, %L)', payment, who || 'no payment is begun (T1)') END AS pay,
	format('SELECT is(kb_portal(%s, %L) ->> ''can_pay'', %L, %L)', account_id, member, pays::text,
		who || 'the way to the payment page (T1)') AS can_pay,
	format('SELECT is(kb_portal(%s, %L) #>> ''{reminder,restricted_on}'', %L, %L)', account_id, member, reminded_of,
		who || 'the reminder (S3)') AS reminder,
	'ROLLBACK' AS done,
	'RESET ROLE' AS away
	FROM (SELECT format('EXECUTE open_ticket (%s, ''x'')', account_id) AS ticket,
		format('EXECUTE send_messages (%s, %s, ''{x,y}'')', account_id, ticket_id) AS message,
		format('EXECUTE pay (%s, %L, ''10.00 USD'', ''apple_pay'')', account_id, member) AS payment,
		format('member "%s" may not write for account %s', member, account_id) AS denied) AS x) AS cells;
SELECT is((SELECT count(*) FROM visit), 60::bigint, 'four people on fifteen occasions');

SELECT clock, sweep, app, login, request, act, tickets, messages, change, delete, open, send, pay, can_pay, reminder, done, away
FROM visit WHERE day <= 12 ORDER BY day, member
\gexec

-- The bill

SELECT results_eq(format('SELECT service, quantity, price, amount '
	'FROM charge_line WHERE account_id = %s ORDER BY line_no', :acme_account_id),
	$$VALUES ('base', 1::numeric, '19.00', '19.00 USD'::kb_money), ('messages', 120, '0.05 each free 100', '1.00 USD'),
		('seat', 2, '5.00 each', '10.00 USD')$$,
	'E3, C2: November''s bill of Acme: messages by recipient, as they were changed and deleted');
SELECT results_eq(format('SELECT service, amount FROM charge_line WHERE account_id = %s ORDER BY line_no', :bolt_account_id),
	$$VALUES ('base', '19.00 USD'::kb_money), ('messages', '0.00 USD')$$, 'E3: and of Bolt');

SELECT is((SELECT active_at FROM activity WHERE account_id = :acme_account_id), '2026-12-09 12:00+00',
	'D7: the last login that was let in is that of day 9');

-- What she is told

\ir ../include/error.sql
SET ROLE helpdesk_app;
BEGIN;
EXECUTE act_as (:acme_account_id, 'olena') \g /dev/null
SELECT is((SELECT concat_ws(' ', r.detail, r.hint) FROM pg_temp.raised(statement) r),
	'Its stage is "blocked": 10.00 USD is due since 2026-12-01; '
	'access is "denied" (S3). An owner or admin can top up at any time (T1); paying 10.00 USD restores full access.',
	'E1: why, how much, since when, and the way out: ' || statement)
FROM unnest(ARRAY[format('EXECUTE open_ticket (%s, ''x'')', :acme_account_id),
	format('EXECUTE send_messages (%s, %s, ''{x}'')', :acme_account_id, :acme_ticket_id)]) AS statement;
SELECT throws_ok(format('INSERT INTO helpdesk.message (account_id, ticket_id, body) '
	'VALUES (%s, %s, ''x'') RETURNING message_id', :acme_account_id, :acme_ticket_id), '42501', NULL,
	'E2: with RETURNING, row security comes before the guard of the statement');
ROLLBACK;

-- Day 12: the owner pays what is due and 100.00 ahead; the webhook comes twice

SELECT results_eq(format('EXECUTE offers (%s)', :acme_account_id),
	format($$SELECT * FROM (VALUES ('10.00 USD'::kb_money, '0.00 USD'::kb_money, 'debt', NULL::integer),
			('110.00 USD', '5.00 USD', 'tier', NULL)
		UNION ALL
		SELECT a, CASE WHEN a >= '110.00 USD'::kb_money THEN (a - '10.00 USD') * 0.05 ELSE '0.00 USD' END,
			CASE n WHEN 1 THEN 'month' ELSE 'months' END, n
		FROM unnest('{1,3,6,12}'::integer[]) AS n, kb_amount_for(%s, n) AS a) AS t ORDER BY 1$$, :acme_account_id),
	'T5: the offers: the debt, the tier, and the months to come');
SELECT is(kb_portal(:acme_account_id, 'olena') - '{usage,entries,offers,next_charge,next_stage,next_stage_on,delete_on}'::text[],
	jsonb_build_object('account_id', :acme_account_id, 'state', 'active', 'member', 'olena', 'role', 'owner', 'stage',
		'blocked', 'access', 'denied', 'can_pay', true, 'can_cancel_closure', false, 'purge_on', NULL,
		'ends_on', NULL, 'can_end', true, 'can_continue', false, 'refundable', NULL,
		'language', 'en', 'time_zone', 'Europe/Kyiv', 'today', '2026-12-12',
		'tariff', '{"tariff": "helpdesk", "name": "Help desk"}'::jsonb, 'next_tariff', NULL, 'currency', 'USD',
		'balance', '{"amount": "-10.00", "currency": "USD"}'::jsonb, 'bonus', '{"amount": "0.00", "currency": "USD"}'::jsonb,
		'amount_due', '{"amount": "10.00", "currency": "USD"}'::jsonb, 'debt_since', '2026-12-01', 'reminder', NULL,
		'payments', '[]'::jsonb, 'more_before_seq', NULL, 'spending', NULL, 'expiring_credit', '[]'::jsonb,
		'payer', '{"member": "olena", "email": "olena@acme.example", "details": null}'::jsonb),
			'T1: the payment page, of an account that is blocked');
EXECUTE pay (:acme_account_id, 'olena', '110.00 USD', 'google_pay') \gset
SELECT is(:'payment_id' || ' ' || :'bonus', '2 5.00 USD', 'T5: the payment is begun');
SELECT is(kb_portal(:acme_account_id, 'ann') #>> '{payments,0,payment_id}', '2', 'and shown as pending, to the admin too');
SET ROLE helpdesk_webhook;
SELECT throws_ok(format('EXECUTE paid (%s, %s, ''110.00 USD'', ''google_pay'', ''pi_3'')', :bolt_account_id, :payment_id),
	'KB006', NULL, 'it is not another account''s');
SELECT results_eq(format('EXECUTE paid (%s, %s, ''110.00 USD'', ''google_pay'', ''pi_3'')', :acme_account_id, :payment_id),
	$$VALUES ('110.00 USD'::kb_money, '5.00 USD'::kb_money, '105.00 USD'::kb_money, 'blocked'::kb_stage, 'ok'::kb_stage, false)$$,
	'T2, T5: the webhook credits it, with the bonus');
SELECT results_eq(format('EXECUTE paid (%s, %s, ''110.00 USD'', ''google_pay'', ''pi_3'')', :acme_account_id, :payment_id),
	$$VALUES ('110.00 USD'::kb_money, '5.00 USD'::kb_money, '105.00 USD'::kb_money, 'blocked'::kb_stage, 'ok'::kb_stage, true)$$,
	'T3: once');
SET ROLE helpdesk_app;
SELECT is(kb_portal(:acme_account_id, 'olena') -> 'payments', '[]', 'nothing is pending');
SELECT results_eq(format($$SELECT e ->> 'kind', e #>> '{amount,amount}', e #>> '{balance_after,amount}', e ->> 'member'
		FROM jsonb_array_elements(kb_portal(%s, 'olena') -> 'entries') AS e$$, :acme_account_id),
	$$VALUES ('bonus', '5.00', '105.00', NULL), ('topup', '110.00', '100.00', 'olena'),
		('charge', '-30.00', '-10.00', NULL), ('topup', '20.00', '20.00', 'olena')$$,
	'the payment page has the whole story');
SELECT results_eq(format('EXECUTE history (%s, ''olena'', 3)', :acme_account_id),
	format('SELECT h.* FROM kb_history(%s, ''ann'') h WHERE seq < 3', :acme_account_id), 'and so has the history, page by page');
SELECT throws_ok(format('EXECUTE history (%s, ''eve'', NULL)', :acme_account_id), 'KB004', NULL, 'but for an employee');
EXECUTE pay (:acme_account_id, 'ann', '50.00 USD', 'card') \gset
SET ROLE helpdesk_webhook;
SELECT lives_ok(format('EXECUTE not_paid (%s, %s, ''declined'')', :acme_account_id, :payment_id), 'one that fails');
SELECT throws_ok(format('SELECT kb_portal(%s, ''olena'')', :acme_account_id), '42501', NULL, 'E6: the webhook reads no page');
SET ROLE helpdesk_app;
SELECT is(kb_portal(:acme_account_id, 'olena') #>> '{balance,amount}', '105.00', 'moves nothing');
RESET ROLE;

-- All is as on day 0

SELECT clock, sweep, app, login, request, act, tickets, messages, change, delete, open, send, pay, can_pay, reminder, done, away
FROM visit WHERE day > 12 ORDER BY day, member
\gexec
SELECT results_eq('SELECT account_id, balance, debt_since FROM account_status ORDER BY 1',
	format($$VALUES (%s::bigint, '105.00 USD'::kb_money, NULL::date), (%s, '86.00 USD', NULL)$$, :acme_account_id,
		:bolt_account_id), 'and Bolt never knew');
SELECT is_empty('SELECT * FROM kb_check()', 'the books are right');

-- The rest of what the webhook sends: a refund that fails, and a dispute that is won

SET ROLE helpdesk_webhook;
SELECT lives_ok(format(statement, :acme_account_id), statement) FROM unnest(ARRAY[
	'EXECUTE paid_back (%s, ''5.00 USD'', ''re_1'')', 'EXECUTE not_paid_back (%s, ''re_1'', ''re_1_failed'')',
	'EXECUTE disputed (%s, ''pi_3'', ''dp_1'')', 'EXECUTE dispute_won (%s, ''dp_1'', ''dp_1_won'')']) AS statement;
RESET ROLE;
SELECT is_empty('SELECT * FROM kb_check()', 'the books are right');

\if :role_is_ours
DROP OWNED BY helpdesk_app, helpdesk_webhook;
DROP ROLE helpdesk_app, helpdesk_webhook;
\endif
SELECT * FROM finish();
