-- Members and logins (rules S3, D1, D5, D7)
BEGIN;
SET LOCAL search_path = kbilling, public;
SELECT no_plan();

SET LOCAL kbilling.clock = '2026-11-01 10:00+00';
SELECT kb_create_tariff('std', 'USD'), kb_set_price('std', 'base', '30.00')
\g /dev/null
SELECT kb_create_account('own', 'std', id, created_at => '2026-11-01 00:00+00') FROM generate_series(1, 9) AS id
\g /dev/null
\ir ../include/clock.sql
\ir ../include/error.sql
CREATE FUNCTION pg_temp.members(account bigint) RETURNS text LANGUAGE sql AS
	$$SELECT string_agg(format('%s %s', member, role), ', ' ORDER BY member) FROM kbilling.member WHERE account_id = account$$;

-- Who is a member: one statement after the other, on account 1

CREATE TEMP TABLE step (n int GENERATED ALWAYS AS IDENTITY, call text, result text, members text, why text);
INSERT INTO step (call, result, members, why) VALUES
	('kb_add_member(1, ''adm'', ''admin'')', '', 'adm admin, own owner', 'an admin'),
	('kb_add_member(1, ''emp'', ''employee'', ''emp@example.com'')', '', 'adm admin, emp employee, own owner', 'an employee'),
	('kb_add_member(1, ''adm'', ''admin'')', '23505', 'adm admin, emp employee, own owner', 'one that is known'),
	('kb_add_member(1, ''own'', ''employee'')', '23505', 'adm admin, emp employee, own owner',
		'the owner cannot be added as something else'),
	('kb_add_member(1, '''', ''admin'')', '22023', 'adm admin, emp employee, own owner', 'no name'),
	('kb_add_member(1, NULL, ''admin'')', '22004', 'adm admin, emp employee, own owner', 'NULL'),
	('kb_add_member(1, ''x'', NULL)', '22004', 'adm admin, emp employee, own owner', 'no role'),
	('kb_add_member(NULL, ''x'', ''admin'')', '22004', 'adm admin, emp employee, own owner', 'no account'),
	('kb_add_member(404, ''x'', ''admin'')', 'KB001', 'adm admin, emp employee, own owner', 'an account that is not there'),
	('kb_add_member(1, ''x'', ''boss'')', '22P02', 'adm admin, emp employee, own owner', 'a role that is not there'),
	('kb_add_member(1, ''4111 1111 1111 1111'', ''admin'')', 'KB008', 'adm admin, emp employee, own owner', 'a card number as name (T4)'),
	('kb_add_member(1, ''x'', ''admin'', ''4111111111111111@example.com'')', 'KB008', 'adm admin, emp employee, own owner',
		'a card number in the e-mail (T4)'),
	('kb_add_member(1, ''Adm'', ''admin'')', '', 'Adm admin, adm admin, emp employee, own owner', 'names are as they are spelt'),
	('kb_remove_member(1, ''Adm'')', '', 'adm admin, emp employee, own owner', 'removed'),
	('kb_remove_member(1, ''Adm'')', 'KB004', 'adm admin, emp employee, own owner', 'removed twice'),
	('kb_remove_member(1, ''own'')', 'KB004', 'adm admin, emp employee, own owner', 'the last owner stays'),
	('kb_remove_member(1, ''stranger'')', 'KB004', 'adm admin, emp employee, own owner', 'no member'),
	('kb_remove_member(1, NULL)', '22004', 'adm admin, emp employee, own owner', 'NULL'),
	('kb_remove_member(404, ''own'')', 'KB001', 'adm admin, emp employee, own owner', 'no account'),
	('kb_remove_member(NULL, ''own'')', '22004', 'adm admin, emp employee, own owner', 'NULL account'),
	('kb_remove_member(1, ''4111111111111111'')', 'KB008', 'adm admin, emp employee, own owner', 'a card number is not repeated (T4)'),
	('kb_set_role(1, ''own'', ''admin'')', 'KB004', 'adm admin, emp employee, own owner', 'the last owner stays one'),
	('kb_set_role(1, ''own'', ''employee'')', 'KB004', 'adm admin, emp employee, own owner', 'an employee neither'),
	('kb_set_role(1, ''own'', ''owner'')', '', 'adm admin, emp employee, own owner', 'the same role'),
	('kb_set_role(1, ''stranger'', ''admin'')', 'KB004', 'adm admin, emp employee, own owner', 'no member'),
	('kb_set_role(1, ''emp'', NULL)', '22004', 'adm admin, emp employee, own owner', 'NULL'),
	('kb_set_role(1, NULL, ''admin'')', '22004', 'adm admin, emp employee, own owner', 'NULL member'),
	('kb_set_role(404, ''own'', ''admin'')', 'KB001', 'adm admin, emp employee, own owner', 'no account'),
	('kb_set_role(1, ''4111111111111111'', ''admin'')', 'KB008', 'adm admin, emp employee, own owner',
		'a card number is not repeated (T4)'),
	('kb_set_role(1, ''emp'', ''owner'')', '', 'adm admin, emp owner, own owner', 'a second owner'),
	('kb_set_role(1, ''own'', ''employee'')', '', 'adm admin, emp owner, own employee', 'the first one may be less now'),
	('kb_remove_member(1, ''emp'')', 'KB004', 'adm admin, emp owner, own employee', 'and the second is the last'),
	('kb_set_role(1, ''own'', ''owner'')', '', 'adm admin, emp owner, own owner', 'two again'),
	('kb_remove_member(1, ''own'')', '', 'adm admin, emp owner', 'one of two owners goes'),
	('kb_remove_member(1, ''emp'')', 'KB004', 'adm admin, emp owner', 'the other does not'),
	('kb_add_member(1, ''own'', ''owner'')', '', 'adm admin, emp owner, own owner', 'one that has gone may come back'),
	('kb_set_role(1, ''emp'', ''employee'')', '', 'adm admin, emp employee, own owner', 'as it was'),
	('kb_remove_member(2, ''adm'')', 'KB004', 'adm admin, emp employee, own owner', 'a member of another account');
CREATE TEMP TABLE saw (n int, result text, members text);
DO $$
DECLARE
	s step;
BEGIN
	FOR s IN SELECT * FROM step ORDER BY n LOOP
		INSERT INTO saw SELECT s.n, left(pg_temp.error_of('SELECT ' || s.call), 5), NULL;
		UPDATE saw SET members = pg_temp.members(1) WHERE saw.n = s.n;
	END LOOP;
END $$;
SELECT is(format('%s: %s', saw.result, saw.members), format('%s: %s', step.result, step.members),
	format('S3: %s: %s', call, why)) FROM step JOIN saw USING (n) ORDER BY n;
SELECT is(pg_temp.error_of(call), expected, 'the error of ' || call) FROM (VALUES
	('SELECT kb_remove_member(1, ''own'')', 'KB004 account 1 must keep an owner | "own" is the only one. '
		'| Make another member owner first, with kb_set_role.'),
	('SELECT kb_set_role(1, ''own'', ''admin'')', 'KB004 account 1 must keep an owner | "own" is the only one. '
		'| Make another member owner first, with kb_set_role.'),
	('SELECT kb_add_member(1, ''adm'', ''owner'')', '23505 "adm" is a member of account 1 already | The role is admin. '
		'| Give another role with kb_set_role, another address with kb_set_contact.'),
	('SELECT kb_remove_member(1, ''x'')', 'KB004 "x" is not a member of account 1 | kbilling.member has no such row. '
		'| Add the member with kb_add_member.'),
	('SELECT kb_login(1, ''x'')', 'KB004 "x" is not a member of account 1 | kbilling.member has no such row. '
		'| Add the member with kb_add_member.'),
	('SELECT kb_login(404, ''x'')', 'KB001 account 404 does not exist | kbilling.account has no such row. '
		'| Create it with kb_create_account.')
) AS t (call, expected);
SELECT is(pg_temp.members(2), 'own owner', 'other accounts are not touched');

-- What can be an e-mail address, for whatever takes one

CREATE TEMP SEQUENCE nth;
CREATE TEMP TABLE address (address text, is_one boolean,
	name text GENERATED ALWAYS AS (quote_literal(regexp_replace(left(address, 40), '[[:cntrl:]]', '?', 'g'))) STORED);
INSERT INTO address VALUES
	('anna@example.org', true), ('a@b', true), ('"o''hara"@example.org', true), ('анна@приклад.укр', true), ('a.b+tag/2@[192.0.2.1]', true),
	(repeat('a', 250) || '@b.c', true), (repeat('a', 251) || '@b.c', false), (repeat('я', 125) || '@b.c', true),
	(repeat('я', 126) || '@b.c', false),
	('not an address', false), ('anna', false), ('@example.org', false), ('anna@', false), ('@', false), ('', false), ('a@b@c', false),
	('anna @example.org', false), (' anna@example.org', false), ('anna@example.org ', false),
	(E'anna@example.org\n', false), (E'anna\t@example.org', false),
	(E'a@example.org\nBcc: b', false), (E'a\u0001@example.org', false), (E'a\u007f@example.org', false), ('a@b.c, d@e.f', false);
SELECT is(kbilling_internal.kb_is_email(a.address), a.is_one, format('an address or none: %s', a.name)) FROM address a;
SELECT is(pg_temp.error_of(format(call, quote_literal(a.address))), CASE WHEN a.is_one THEN '' ELSE error END, format(call, a.name))
FROM address a, (VALUES
	('SELECT kbilling.kb_add_member(3, ''address'' || nextval(''nth''), ''admin'', %s)'),
	('SELECT kbilling.kb_set_contact(3, ''own'', %s)'),
	('SELECT kbilling.kb_create_account(''own'', ''std'', email => %s)')
) AS c (call)
CROSS JOIN LATERAL (SELECT format('22023 "%s" is not an e-mail address | It has one @ with something on both sides, '
	'no blanks or control characters, and at most 254 bytes.'
	' | Give one address, such as anna@example.org, or NULL for a member who gets no notices.', a.address) AS error) e;
SELECT throws_ok($$UPDATE member SET email = 'not an address'$$, '23514', NULL, 'nor is it written otherwise');
SELECT throws_ok($$SELECT kb_add_member(3, 'x', 'admin', '4111 1111 1111 1111')$$, 'KB008', NULL,
	'T4: what is no address is not repeated if it holds a card number');

-- S3: each day of a debt, each role. The debt begins on the 1st of December, and is paid on the 12th

SELECT kb_add_member(2, 'adm', 'admin'), kb_add_member(2, 'emp', 'employee')
\g /dev/null
CREATE TEMP TABLE login (day date, hour int, member text, decision kb_access_decision);
DO $$
BEGIN
	FOR day IN 1..13 LOOP
		PERFORM pg_temp.clock(timestamptz '2026-11-30 08:00+00' + day * interval '1 day');
		IF day = 1 THEN
			PERFORM kbilling.kb_month_charge(2);
		ELSIF day = 12 THEN
			INSERT INTO login SELECT '2026-12-12', 7, m, kbilling.kb_login(2, m) FROM unnest('{own,adm,emp}'::text[]) AS m;
			PERFORM kbilling.kb_apply_topup(2, '29.99 USD', 'card', 'most');
			INSERT INTO login SELECT '2026-12-12', 8, m, kbilling.kb_login(2, m) FROM unnest('{own,adm,emp}'::text[]) AS m;
			PERFORM kbilling.kb_apply_topup(2, '0.01 USD', 'card', 'the rest');
		END IF;
		INSERT INTO login SELECT date '2026-11-30' + day, 9, m, kbilling.kb_login(2, m) FROM unnest('{own,adm,emp}'::text[]) AS m;
	END LOOP;
END $$;
SELECT is((SELECT string_agg(DISTINCT format('%s %s %s', (decision).stage, (decision).access, (decision).amount_due), ', ') FROM login AS l
		WHERE extract(day FROM l.day) BETWEEN first_day AND last_day AND l.hour = t.hour AND l.member = m.member),
	format('%s %s %s', stage, m.access[nth], due), format('S3: %s logs in on day %s to %s, %s o''clock', m.member,
		first_day, last_day, hour))
FROM (VALUES
	(1, 1, 3, 9, 'grace', '30.00 USD'),
	(2, 4, 6, 9, 'remind', '30.00 USD'),
	(3, 7, 9, 9, 'restrict', '30.00 USD'),
	(4, 10, 11, 9, 'blocked', '30.00 USD'),
	(4, 12, 12, 7, 'blocked', '30.00 USD'),
	(4, 12, 12, 8, 'blocked', '0.01 USD'),
	(5, 12, 13, 9, 'ok', '0.00 USD')
) AS t (nth, first_day, last_day, hour, stage, due), (VALUES
	('own', '{full,full_with_reminder,payment_only,denied,full}'::text[]),
	('adm', '{full,full_with_reminder,payment_only,denied,full}'),
	('emp', '{full,full,full,denied,full}')
) AS m (member, access);
SELECT is((SELECT (decision).next_stage_on || ' ' || (decision).next_stage FROM login WHERE day = '2026-12-04'
	AND member = 'own'), '2026-12-07 restrict', 'S3: a login says what comes next');
SELECT pg_temp.clock('2026-12-04 10:00+00')
\g /dev/null
SELECT is(kb_login(1, m)::text, kb_access(1, role)::text, 'S3: a login says what kb_access says: ' || m)
	FROM (VALUES ('own', 'owner'::kb_role), ('adm', 'admin'), ('emp', 'employee')) AS t (m, role);

-- D7: what is an activity, with a debt since the 1st

SELECT pg_temp.clock('2027-01-01 10:00+00')
\g /dev/null
CREATE FUNCTION pg_temp.active(account bigint) RETURNS text LANGUAGE sql AS
	$$SELECT to_char(active_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM kbilling.activity WHERE account_id = account$$;
CREATE FUNCTION pg_temp.login(account bigint, member text, at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.clock(at);
	RETURN (kbilling.kb_login(account, member)).access;
END $$;
SELECT is(pg_temp.active(3), NULL, 'D7: an account that nobody has logged in to has no row');
SELECT kb_add_member(3, 'adm', 'admin'), kb_add_member(3, 'emp', 'employee'), kb_adjust(3, '-1 USD', 'debt', 'debt')
\g /dev/null
SELECT is(pg_temp.login(3, member, at::timestamptz) || ' ' || pg_temp.active(3), access || ' ' || active,
	format('D7: %s with access %s at %s', member, access, at)) FROM (VALUES
	('own', '2027-01-01 12:00+00', 'full', '2027-01-01 12:00:00'),
	('own', '2027-01-01 12:59:59+00', 'full', '2027-01-01 12:00:00'),
	('emp', '2027-01-01 12:59:59.999999+00', 'full', '2027-01-01 12:00:00'),
	('emp', '2027-01-01 13:00+00', 'full', '2027-01-01 13:00:00'),
	('adm', '2027-01-01 11:00+00', 'full', '2027-01-01 13:00:00'),
	('adm', '2027-01-04 12:00+00', 'full_with_reminder', '2027-01-04 12:00:00'),
	('adm', '2027-01-07 12:00+00', 'payment_only', '2027-01-07 12:00:00'),
	('own', '2027-01-08 12:00+00', 'payment_only', '2027-01-08 12:00:00'),
	('emp', '2027-01-09 12:00+00', 'full', '2027-01-09 12:00:00'),
	('own', '2027-01-10 12:00+00', 'denied', '2027-01-09 12:00:00'),
	('adm', '2027-01-11 12:00+00', 'denied', '2027-01-09 12:00:00'),
	('emp', '2027-01-12 12:00+00', 'denied', '2027-01-09 12:00:00')
) AS t (member, at, access, active);
SELECT kb_apply_topup(3, '1 USD', 'card', 'paid')
\g /dev/null
SELECT is(pg_temp.active(3), '2027-01-09 12:00:00', 'D7: a payment is no login');
SELECT is(pg_temp.login(3, 'emp', '2027-01-12 12:00+00') || ' ' || pg_temp.active(3), 'full 2027-01-12 12:00:00',
	'D7: once it is paid, a login counts again');
SELECT is(pg_temp.error_of('SELECT kb_login(3, ''stranger'')') LIKE 'KB004%' AND pg_temp.active(3) = '2027-01-12 12:00:00',
	true, 'D7: nobody''s login does not');

-- D7: the row is not touched within the hour
SELECT ctid AS ctid, xmin AS xmin, xmax AS xmax FROM activity WHERE account_id = 3
\gset
SELECT pg_temp.login(3, m, '2027-01-12 12:30+00') FROM unnest('{own,adm,emp}'::text[]) AS m
\g /dev/null
SELECT is((SELECT format('%s %s %s', ctid, xmin, xmax) FROM activity WHERE account_id = 3), :'ctid' || ' ' || :'xmin' || ' '
	|| :'xmax', 'D7: logins within the hour neither write nor lock the row');
SELECT pg_temp.login(3, 'own', '2027-01-12 13:00+00')
\g /dev/null
SELECT isnt((SELECT ctid::text FROM activity WHERE account_id = 3), :'ctid', 'D7: an hour later it is written');
SELECT ctid AS ctid, xmin AS xmin, xmax AS xmax FROM account WHERE account_id = 3
\gset
SELECT pg_temp.login(3, 'own', '2027-01-13 13:00+00')
\g /dev/null
SELECT is((SELECT format('%s %s %s', ctid, xmin, xmax) FROM account WHERE account_id = 3), :'ctid' || ' ' || :'xmin' || ' '
	|| :'xmax', 'D7: the account''s own row is neither written nor locked');

-- D5: a deleted account; S4: a deferral; D3: one that is closing

SELECT pg_temp.clock('2027-01-20 10:00+00')
\g /dev/null
SELECT kb_add_member(4, 'emp', 'employee')
\g /dev/null
SELECT kb_login(4, 'own')
\g /dev/null
UPDATE account SET state = 'closing', delete_on = '2027-01-30' WHERE account_id = 4;
SELECT is((kb_login(4, m)).delete_on, '2027-01-30'::date, format('D3: %s sees the date of the deletion', m))
	FROM unnest('{own,emp}'::text[]) AS m;
SELECT is(pg_temp.login(4, 'emp', '2027-01-21 10:00+00') || ' ' || pg_temp.active(4), 'full 2027-01-21 10:00:00',
	'D3: it works as before, and a login counts');
UPDATE account SET state = 'deleted', delete_on = NULL WHERE account_id = 4;
SELECT is(pg_temp.login(4, m, '2027-01-23 10:00+00') || ' ' || pg_temp.active(4), 'denied 2027-01-21 10:00:00',
	format('D5, D7: %s of a deleted account is denied, which is no activity', m)) FROM unnest('{own,emp}'::text[]) AS m;
SELECT is(left(pg_temp.error_of(call), 5), 'KB010', 'D5: nothing about a deleted account is changed: ' || call) FROM unnest(ARRAY[
	'SELECT kb_add_member(4, ''new'', ''admin'')', 'SELECT kb_set_role(4, ''emp'', ''admin'')',
		'SELECT kb_remove_member(4, ''emp'')']) AS call;
UPDATE account SET state = 'active' WHERE account_id = 4;
SELECT is(pg_temp.login(4, 'own', '2027-01-23 11:00+00') || ' ' || pg_temp.active(4), 'full 2027-01-23 11:00:00', 'D5: restored');
SELECT pg_temp.clock('2027-01-01 10:00+00'), kb_adjust(5, '-1 USD', 'debt', 'debt'), pg_temp.clock('2027-01-15 10:00+00'),
	kb_defer(5, '2027-01-15', 'sue', 'asked')
\g /dev/null
SELECT is(pg_temp.login(5, 'own', '2027-01-15 23:59:59+00') || ' ' || pg_temp.active(5), 'full 2027-01-15 23:59:59', 'S4: deferred');
SELECT is(pg_temp.login(5, 'own', '2027-01-16 01:00+00') || ' ' || pg_temp.active(5), 'denied 2027-01-15 23:59:59', 'S4: the day after');

SELECT * FROM finish();
ROLLBACK;
