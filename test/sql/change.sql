-- What is agreed, and the log of its changes (J9)
SET search_path = kbilling, kbilling_internal, public;
SET kbilling.clock = '2026-11-16 09:00+00';
SELECT no_plan();

-- The values of facts, in the order in which jsonb has them
CREATE FUNCTION pg_temp.short(facts jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s %s', f.key, f.value), ', ') FROM jsonb_each_text(facts) f
	WHERE f.key NOT IN ('metadata', 'name')
$$;
-- The latest rows of the log: as many as are asked for
CREATE FUNCTION pg_temp.logged(n integer) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT l.line FROM (
		SELECT c.change_id, concat_ws(' ', c.subject, c.account_id, c.tariff, c.service, c.policy, c.role) || ': '
			|| coalesce(pg_temp.short(c.before), 'none') || ' > ' || coalesce(pg_temp.short(c.after), 'none') AS line
		FROM kbilling.change_log c ORDER BY c.change_id DESC LIMIT n) l
	ORDER BY l.change_id
$$;
CREATE FUNCTION pg_temp.changes() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM kbilling.change_log';

-- The price list

SELECT kb_create_tariff('std', 'usd', 'Standard'), kb_create_tariff('big', 'USD'), kb_create_service('seat', 'recurring', 'seat')
\g /dev/null
SELECT results_eq('SELECT pg_temp.logged(3)', $$VALUES
	('tariff std: none > policy standard, currency USD'),
	('tariff big: none > policy standard, currency USD'),
	('service seat: none > kind recurring, unit seat, aggregation sum')$$, 'J9: tariffs and services are logged');
SELECT kb_set_price('std', 'base', '19.00') \g /dev/null
SELECT kb_set_price('std', 'base', '21.00') \g /dev/null
SELECT kb_set_price('std', 'base', '22.00', '2026-12-01', false) \g /dev/null
SELECT kb_set_price('std', 'base', '18.00', '2026-06-01') \g /dev/null
SELECT results_eq('SELECT pg_temp.logged(4)', $$VALUES
	('price std base: none > price 19.00, prorate true, to_date infinity, from_date -infinity'),
	('price std base: price 19.00, prorate true, to_date infinity, from_date -infinity > '
		'price 21.00, prorate true, to_date infinity, from_date 2026-12-01'),
	('price std base: price 21.00, prorate true, to_date infinity, from_date 2026-12-01 > '
		'price 22.00, prorate false, to_date infinity, from_date 2026-12-01'),
	('price std base: price 19.00, prorate true, to_date 2026-12-01, from_date -infinity > '
		'price 18.00, prorate true, to_date 2026-12-01, from_date 2026-06-01')$$, 'J9: prices, with those that held before');
SELECT kb_set_bonus('std', '50 USD', 10) \g /dev/null
SELECT kb_set_bonus('std', '50 USD', 12.5, to_date => '2027-01-01') \g /dev/null
SELECT results_eq('SELECT pg_temp.logged(2)', $$VALUES
	('bonus_tier std: none > percent 10, to_date infinity, from_date -infinity, min_amount 50.00 USD, valid_days '),
	('bonus_tier std: percent 10, to_date infinity, from_date -infinity, min_amount 50.00 USD, valid_days  > '
		'percent 12.5, to_date 2027-01-01, from_date -infinity, min_amount 50.00 USD, valid_days ')$$, 'J9: bonus tiers');

-- Policies

CREATE FUNCTION pg_temp.policy(name text) RETURNS jsonb LANGUAGE sql AS
	'SELECT to_jsonb(p) - ''policy'' FROM kbilling.policy p WHERE p.policy = name';
SELECT kb_set_policy('strict', '{"remind_day": 2, "reminder_days": [5, 2], "metadata": {"for": "resellers"}}') \g /dev/null
SELECT is(pg_temp.policy('strict'),
	pg_temp.policy('standard') || '{"remind_day": 2, "reminder_days": [5, 2], "metadata": {"for": "resellers"}}',
	'J9: a new policy has what is not set from "standard"');
SELECT kb_set_policy('strict', '{"block_day": 8, "debt_counts_from": "posting_date"}') \g /dev/null
SELECT is(pg_temp.policy('strict'), pg_temp.policy('standard')
	|| '{"remind_day": 2, "reminder_days": [5, 2], "metadata": {"for": "resellers"}, "block_day": 8, "debt_counts_from": "posting_date"}',
	'J9: one that is changed keeps what is not set');
SELECT is((SELECT array_agg(coalesce(c.before ->> 'block_day', 'none') || ' > ' || (c.after ->> 'block_day') ORDER BY c.change_id)
		   FROM change_log c WHERE c.subject = 'policy' AND c.policy = 'strict'), '{none > 10,10 > 8}', 'J9: both are logged');
SELECT is((SELECT c.after FROM change_log c WHERE c.subject = 'policy' ORDER BY c.change_id DESC LIMIT 1), pg_temp.policy('strict'),
	'J9: with all that is in the row');
-- one that is there by INSERT, and a column that is added later
INSERT INTO policy (policy, remind_day) VALUES ('plain', 3);
SELECT is((SELECT count(*) FROM change_log WHERE policy = 'plain'), 0::bigint, 'J9: rows that are written by themselves log nothing');
BEGIN;
ALTER TABLE policy ADD later_days integer;
SELECT kb_set_policy('plain', '{"later_days": 9}'), kb_set_policy('fresh', '{"remind_day": 1}') \g /dev/null
SELECT is((SELECT array_agg(format('%s %s %s', p.policy, p.remind_day, coalesce(p.later_days, 0)) ORDER BY p.policy) FROM policy p
		   WHERE p.policy IN ('plain', 'fresh')), '{fresh 1 0,plain 3 9}', 'J9: a column that is added can be set, too');
ROLLBACK;
SELECT throws_ok(format('SELECT kb_set_policy(%s)', arguments), state, message, format('J9: (%s) is refused', arguments))
FROM (VALUES
	('''strict'', ''{"remnd_day": 3, "blok_day": 4}''', '22023', 'a policy has no "blok_day", "remnd_day"'),
	('''strict'', ''{"policy": "other"}''', '22023', 'a policy has no "policy"'),
	('''strict'', ''[]''', '22023', 'settings must be an object'),
	('''strict'', ''null''', '22023', 'settings must be an object'),
	('''strict'', ''{"remind_day": "soon"}''', '22P02', NULL),
	('''strict'', ''{"remind_day": 2.5}''', '22P02', NULL),
	('''strict'', ''{"remind_day": 300}''', '23514', NULL),
	('''strict'', ''{"remind_day": null}''', '23502', NULL),
	('''strict'', ''{"language": "4111111111111111"}''', 'KB008', NULL),
	('''strict'', ''{"4111111111111111": 1}''', 'KB008', NULL),
	('''4111111111111111'', ''{}''', 'KB008', NULL),
	('''standard'', ''{"remind_day": 5}''', '55000', 'a built-in row of kbilling.policy cannot be changed'),
	('''standard'', ''{}''', '55000', 'a built-in row of kbilling.policy cannot be changed'),
	('NULL, ''{}''', '22004', 'policy must not be null'),
	('''strict'', NULL', '22004', 'settings must not be null')
) AS t (arguments, state, message);

-- Templates

SELECT kb_set_template('charge_posted', 'uk', 'Bill', '{amount}', 'strict') \g /dev/null
SELECT kb_set_template('charge_posted', 'uk', 'Your bill', '{amount}', 'strict') \g /dev/null
SELECT kb_drop_template('charge_posted', 'uk', 'strict') \g /dev/null
SELECT results_eq('SELECT pg_temp.logged(3)', $$VALUES
	('template strict: none > body {amount}, kind charge_posted, subject Bill, language uk'),
	('template strict: body {amount}, kind charge_posted, subject Bill, language uk > '
		'body {amount}, kind charge_posted, subject Your bill, language uk'),
	('template strict: body {amount}, kind charge_posted, subject Your bill, language uk > none')$$,
	'J9: templates, until they are dropped');

-- An account's terms

SELECT kb_create_account('ann', 'std', 7), kb_set_price('std', 'seat', '5.00 each'), kb_set_price('big', 'seat', '5.00 each') \g /dev/null
CREATE TEMP TABLE before_terms AS SELECT pg_temp.changes();
BEGIN;
SELECT kb_act_as(7, 'ann') \g /dev/null
SELECT kb_set_tariff(7, 'big', '2026-12-01') \g /dev/null
SELECT kb_set_tariff(7, 'std', '2027-01-01') \g /dev/null
SELECT kb_set_tariff(7, 'big') \g /dev/null
SELECT results_eq('SELECT pg_temp.logged(3)', $$VALUES
	('account_tariff 7 big: tariff std, from_date 2026-11-16 > tariff big, from_date 2026-12-01'),
	('account_tariff 7 std: tariff big, from_date 2026-12-01 > tariff std, from_date 2027-01-01'),
	('account_tariff 7 big: tariff std, dropped [{"tariff": "big", "from_date": "2026-12-01"}, '
		'{"tariff": "std", "from_date": "2027-01-01"}], from_date 2026-11-16 > tariff big, from_date 2026-11-16')$$,
	'J9: the tariff of an account, and what was planned');
SELECT kb_switch_on(7, 'seat', 3) \g /dev/null
SELECT kb_switch_on(7, 'seat', 4, '2026-12-01') \g /dev/null
SELECT kb_switch_off(7, 'seat', '2026-11-20') \g /dev/null
SELECT results_eq('SELECT pg_temp.logged(3)', $$VALUES
	('subscription 7 seat: none > quantity 3, from_date 2026-11-16'),
	('subscription 7 seat: to_date infinity, quantity 3, from_date 2026-11-16 > quantity 4, from_date 2026-12-01'),
	('subscription 7 seat: dropped [{"to_date": "infinity", "quantity": 4, "from_date": "2026-12-01"}], to_date 2026-12-01, '
		'quantity 3, from_date 2026-11-16 > quantity 0, from_date 2026-11-20')$$, 'J9: the services that are on');
COMMIT;
SELECT is((SELECT array_agg(DISTINCT member::text) FROM change_log WHERE account_id = 7), '{ann}', 'J9: with the acting member');
SELECT is((SELECT count(*) FROM change_log WHERE member IS NOT NULL AND account_id IS NULL), 0::bigint, 'J9: who is none elsewhere');

-- What is said again changes nothing, and logs nothing.

CREATE TEMP TABLE rows_before AS SELECT pg_temp.changes() AS n;
SELECT kb_set_price('std', 'base', '22.00', '2026-12-01', false), kb_set_price('std', 'base', '22.0', prorate => false),
	kb_set_bonus('std', '50 USD', 12.50, to_date => '2027-01-01'), kb_set_policy('strict', '{"block_day": 8}'),
	kb_set_policy('strict', '{}'), kb_set_tariff(7, 'big'), kb_switch_off(7, 'seat', '2026-11-25'),
	kb_set_template('stage_changed', 'en', 'Access', 'It is {stage}', 'plain') \g /dev/null
SELECT kb_set_template('stage_changed', 'en', 'Access', 'It is {stage}', 'plain') \g /dev/null
SELECT is(pg_temp.changes(), n + 1, 'J9: what holds already is not logged again') FROM rows_before;
SELECT throws_ok($$SELECT kb_set_price('std', 'base', '-1')$$, '22P02');
SELECT throws_ok($$SELECT kb_set_tariff(7, 'none')$$, 'KB012');
SELECT is(pg_temp.changes(), n + 1, 'J9: nor what is refused') FROM rows_before;

-- Who

CREATE ROLE kbilling_change_lead;
CREATE ROLE kbilling_change_clerk IN ROLE kbilling_change_lead;
SELECT kb_grant('kbilling_change_lead', 'operator') \g /dev/null
SELECT kb_grant('kbilling_change_lead', 'auditor') \g /dev/null
SELECT kb_revoke('kbilling_change_lead', 'auditor') \g /dev/null
SELECT results_eq('SELECT pg_temp.logged(3)', $$VALUES
	('rights kbilling_change_lead: rights [] > rights ["operator"]'),
	('rights kbilling_change_lead: rights ["operator"] > rights ["auditor", "operator"]'),
	('rights kbilling_change_lead: rights ["auditor", "operator"] > rights ["operator"]')$$, 'J9: rights, granted and taken back');
SET ROLE kbilling_change_clerk;
SELECT kb_set_price('std', 'base', '23.00') \g /dev/null
SELECT is((SELECT count(*) FROM change_log WHERE changed_by = 'kbilling_change_clerk'), 1::bigint,
	'J9: the role is the one that SET ROLE has chosen');
SELECT throws_ok($$INSERT INTO change_log (subject) VALUES ('price')$$, '42501', NULL, 'J9: which cannot write the log itself');
RESET ROLE;
SELECT is((SELECT array_agg(DISTINCT changed_by) FROM change_log WHERE changed_by <> 'kbilling_change_clerk'), ARRAY[session_user::text],
	'J9: or the one that has logged in');
SELECT ok((SELECT bool_and(changed_at = kb_now()) FROM change_log), 'J9: by the clock of the rules');

-- It stays

SELECT throws_ok(statement, 'KB007', NULL, 'J9: ' || statement) FROM (VALUES
	('UPDATE change_log SET member = ''bob'''), ('UPDATE change_log SET member = ''bob'' WHERE false'), ('DELETE FROM change_log'),
	('TRUNCATE change_log')) t (statement);
SET session_replication_role = replica;
SELECT throws_ok('DELETE FROM change_log', 'KB007', NULL, 'J9: a replica''s session does not, either');
RESET session_replication_role;
SELECT is_empty('SELECT * FROM kb_check()', 'J9: all is well');
ALTER TABLE change_log DISABLE TRIGGER change_log_immutable;
SELECT isnt_empty($$SELECT * FROM kb_check() WHERE problem LIKE '%change_log_immutable%'$$, 'J9: kb_check looks at its guards');
ALTER TABLE change_log ENABLE ALWAYS TRIGGER change_log_immutable;

-- Its numbers need no sequence, and rise.

CREATE TEMP TABLE numbered AS SELECT kb_change_id() AS id, n FROM generate_series(1, 20000) n;
SELECT is((SELECT count(*) FROM (SELECT id, lag(id) OVER (ORDER BY n) AS previous FROM numbered) t WHERE id <= previous), 0::bigint,
	'J9: the numbers of a session rise');
SELECT is((SELECT array_agg(DISTINCT substr(id::text, 15, 1) || ' ' || (substr(id::text, 20, 1) IN ('8', '9', 'a', 'b'))) FROM numbered),
	'{7 true}', 'J9: they are UUIDs of version 7');
SELECT ok((SELECT bool_and(abs(extract(epoch FROM clock_timestamp()) * 1000
		- ('x' || translate(substr(id::text, 1, 13), '-', ''))::bit(48)::bigint) < 3600000) FROM numbered),
	'J9: which begin with the time');

-- A policy that is changed, and the accounts that have it (S2, D1)

CREATE FUNCTION pg_temp.open(id bigint, tariff text, opened timestamptz, balance kb_money) RETURNS void LANGUAGE sql AS $$
	SELECT kbilling.kb_create_account('ann', tariff, id, email => 'ann@example.org', created_at => opened);
	SELECT kbilling.kb_adjust(id, balance, 'so it is', 'for the test') WHERE balance <> 0;
$$;
SELECT kb_create_tariff('own', 'USD', policy => 'plain'), kb_create_tariff('other', 'USD'), kb_set_tariff(7, 'other') \g /dev/null
SET kbilling.clock = '2026-11-16 09:00+00';
-- kb_adjust itself writes a notice of the new debt
SELECT pg_temp.open(id, tariff, at::timestamptz, balance::kb_money)
FROM (VALUES (11, 'own', '2026-11-16 08:00+00', '-5 USD'), (12, 'own', '2026-11-16 08:00+00', '5 USD'),
	(13, 'other', '2026-11-16 08:00+00', '-5 USD'), (14, 'own', '2026-11-16 08:00+00', '0 USD')) t (id, tariff, at, balance) \g /dev/null
SELECT kb_set_tariff(13, 'own', '2027-01-01') \g /dev/null
SET kbilling.clock = '2026-11-20 09:00+00';	-- day 5: reminded since the 18th by "plain", the 19th by "standard"
CALL kb_sweep();
CREATE FUNCTION pg_temp.looks(id bigint) RETURNS text LANGUAGE sql AS $$
	SELECT format('%s, stage on %s, closing on %s, notices %s', s.stage, a.stage_check_on, a.closure_check_on,
		(SELECT count(*) FROM kbilling.notice n WHERE n.account_id = id AND n.kind IN ('stage_changed', 'payment_reminder')))
	FROM kbilling.account a JOIN kbilling.account_status s USING (account_id) WHERE a.account_id = id
$$;
SELECT is(pg_temp.looks(id), looks, format('S2, D1: account %s before', id)) FROM (VALUES
	(11, 'remind, stage on 2026-11-22, closing on 2026-12-27, notices 2'), (12, 'ok, stage on , closing on 2026-12-27, notices 0'),
	(13, 'remind, stage on 2026-11-22, closing on 2026-12-27, notices 2'),
	(14, 'ok, stage on , closing on 2026-12-27, notices 0')) t (id, looks);
SELECT kb_set_policy('plain', '{"restrict_day": 4, "block_day": 6, "min_age_days": 2, "inactive_days": 3}') \g /dev/null
SELECT is(pg_temp.looks(id), looks, format('S2, D1, J9: account %s after', id)) FROM (VALUES
	(11, 'restrict, stage on 2026-11-21, closing on 2026-11-20, notices 3'), (12, 'ok, stage on , closing on 2026-12-27, notices 0'),
	(13, 'remind, stage on 2026-11-22, closing on 2026-12-27, notices 2'),
	(14, 'ok, stage on , closing on 2026-11-20, notices 0')) t (id, looks);
SELECT is((SELECT facts ->> 'stage_before' || ' ' || (facts ->> 'stage') FROM notice WHERE account_id = 11 ORDER BY notice_no DESC LIMIT 1),
	'remind restrict', 'N5: the notice says what was and what is');
CALL kb_sweep();
SELECT is((SELECT array_agg(state::text ORDER BY account_id) FROM account WHERE account_id BETWEEN 11 AND 14),
	'{closing,active,active,closing}', 'D1: the next sweep closes what may be closed now');
SELECT kb_set_policy('plain', '{"restrict_day": 7, "block_day": 10}') \g /dev/null
SELECT is(pg_temp.looks(11), 'remind, stage on 2026-11-22, closing on 2026-11-21, notices 4', 'S2: and back');
SELECT is_empty('SELECT * FROM kb_check()', 'J9: all is well');

DROP OWNED BY kbilling_change_lead;
DROP ROLE kbilling_change_clerk, kbilling_change_lead;

SELECT finish();
