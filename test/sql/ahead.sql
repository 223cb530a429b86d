-- What is foretold comes true (rules S6, C5, D1, D2, D4 to D7)
SET search_path = kbilling, public;
SELECT no_plan();
\ir ../include/clock.sql

-- The walk through the days, over values: a text for each change, "from balance debt_since state delete_on"

CREATE FUNCTION pg_temp.walk(balance kb_money, debt_since date, state text, delete_on date, check_on date, scheduled_on date,
	policies kbilling_internal.kb_policy_ahead[], charges kbilling_internal.kb_charge_ahead[] = '{}',
	bonus kb_money = '0 USD', ends_on date = NULL, lots kb_lot[] = NULL, expiries kbilling_internal.kb_expiry_ahead[] = NULL)
	RETURNS text LANGUAGE sql
RETURN (SELECT string_agg(concat_ws(' ', to_char(from_day, 'MM-DD'), stands), ', ' ORDER BY from_day)
	FROM (SELECT from_day, stands, lag(stands) OVER (ORDER BY from_day, to_day) AS stood
		FROM (SELECT *, concat_ws(' ', w.balance, to_char(w.debt_since, 'MM-DD'), w.state, to_char(w.delete_on, 'MM-DD')) AS stands
			FROM kbilling_internal.kb_walk_ahead('2026-06-10', '2026-09-01', balance, debt_since, state, delete_on,
				check_on, scheduled_on, true,
				NULL, bonus, lots, NULL, '2026-05-31', ends_on, policies, charges, expiries) AS w) AS x) AS y
	WHERE stands IS DISTINCT FROM stood);
SELECT is(pg_temp.walk(balance::kb_money, debt_since::date, state, delete_on::date, check_on::date, scheduled_on::date,
	policies::kbilling_internal.kb_policy_ahead[], charges::kbilling_internal.kb_charge_ahead[]), ways, why)
FROM (VALUES
	('5 USD', NULL, 'active', NULL, NULL, NULL, '{"(2026-01-01,4,7,10,2026-06-01,t,20,\"{3,1}\")"}',
		'{"(2026-06-01,2026-07-01,2026-07-01,3 USD)","(2026-07-01,2026-08-01,2026-08-01,3 USD)"}',
		'06-10 5.00 USD active, 07-01 2.00 USD active, 08-01 -1.00 USD 08-01 active',
		'C1, S1, S6: when the balance is used up, a debt begins; a closure that has not begun is not foreseen'),
	('-4 USD', '2026-06-05', 'active', NULL, '2026-06-30', NULL, '{"(2026-01-01,4,7,10,2026-08-20,t,20,{})"}',
		'{"(2026-05-01,2026-06-10,2026-06-01,3 USD)","(2026-06-01,2026-07-01,2026-07-01,-7.01 USD)"}',
		'06-10 -7.00 USD 06-05 active, 07-01 0.01 USD active',
		'S1: a month that is due is charged today, and a credit ends the debt; with money on the balance nothing is closed'),
	('0 USD', NULL, 'active', NULL, '2026-08-20', NULL,
		'{"(2026-01-01,4,7,10,2026-08-20,t,9,{})","(2026-06-15,4,7,10,2026-06-01,t,9,{})"}', '{}',
		'06-10 0.00 USD active', 'S6: nor by another policy'),
	('0 USD', NULL, 'closing', '2026-06-20', '2026-06-11', '2026-06-10', '{"(2026-01-01,4,7,10,2026-07-25,t,20,{3})"}', '{}',
		'06-10 0.00 USD closing 06-20, 06-20 0.00 USD active',
		'D4: a closure that no longer may be is cancelled on its date'),
	('0 USD', NULL, 'closing', '2026-06-20', '2026-06-11', '2026-06-01',
		'{"(2026-01-01,4,7,10,2026-05-01,t,20,{1})","(2026-06-14,4,7,10,2026-05-01,f,20,{1})"}',
		'{}', '06-10 0.00 USD closing 06-20, 06-14 0.00 USD active',
		'D1: or at once, if by the next policy the sweep closes none'),
	('0 USD', NULL, 'closing', '2026-06-08', '2026-06-08', '2026-05-29', '{"(2026-01-01,4,7,10,2026-05-01,t,20,{3})"}', '{}',
		'06-10 0.00 USD closing 06-13, 06-13 0.00 USD deleted 06-13, 07-03 0.00 USD purged 06-13',
		'D7: a last reminder that is late puts the deletion off'),
	('0 USD', NULL, 'deleted', '2026-06-01', '2026-06-21', NULL, '{"(2026-01-01,4,7,10,2026-05-01,t,20,{3})"}',
		'{"(2026-06-01,2026-07-01,2026-07-01,3 USD)"}',
		'06-10 0.00 USD deleted 06-01, 06-21 0.00 USD purged 06-01', 'D5, D6: a deleted account is charged no more, and purged')
) AS t (balance, debt_since, state, delete_on, check_on, scheduled_on, policies, charges, ways, why);

-- A contract that ends: closed whatever D1 says, once nothing is to be charged, and all is settled
SELECT is(pg_temp.walk(balance::kb_money, NULL, 'closing', '2026-06-20', '2026-06-11', '2026-06-10',
	'{"(2026-01-01,4,7,10,2026-12-01,t,20,{})"}',
	charges::kbilling_internal.kb_charge_ahead[], bonus::kb_money, ends_on::date), ways, 'X3: ' || why)
FROM (VALUES
	('0 USD', '0 USD', '2026-06-09', '{}', '06-10 0.00 USD closing 06-20, 06-20 0.00 USD deleted 06-20, 07-10 0.00 USD purged 06-20',
		'a settled balance'),
	('5 USD', '5 USD', '2026-06-19', '{"(2026-06-01,2026-06-20,2026-06-20,3 USD)"}', '06-10 5.00 USD closing 06-20, '
		'06-20 2.00 USD deleted 06-20, 07-10 2.00 USD purged 06-20', 'a bonus that the last charge leaves'),
	('5 USD', '4 USD', '2026-06-09', '{}', '06-10 5.00 USD closing 06-20, 06-20 5.00 USD active', 'paid money is left'),
	('0 USD', '0 USD', '2026-06-20', '{}', '06-10 0.00 USD closing 06-20, 06-20 0.00 USD active', 'the end is not over'),
	('2 USD', '2 USD', '2026-06-09', '{"(2026-07-01,2026-07-01,2026-07-01,3 USD)"}', '06-10 2.00 USD closing 06-20, '
		'06-20 2.00 USD active, 07-01 -1.00 USD 07-01 active', 'late usage is to be billed')
) AS t (balance, bonus, ends_on, charges, ways, why);

-- Credit that expires
SELECT is(pg_temp.walk(balance::kb_money, NULL, 'active', NULL, NULL, NULL, '{"(2026-01-01,4,7,10,2026-12-01,t,20,{})"}',
	'{"(2026-06-01,2026-07-01,2026-07-01,3 USD)","(2026-07-01,2026-08-01,2026-08-01,3 USD)"}', bonus::kb_money, NULL, lots::kb_lot[],
	expiries::kbilling_internal.kb_expiry_ahead[]), ways, 'G3: ' || why)
FROM (VALUES
	('9 USD', '5 USD', '{"(50,2026-06-20,5 USD)"}', '{"(2026-06-20,1 USD)"}', '06-10 9.00 USD active, 06-20 5.00 USD active, '
		'07-01 2.00 USD active, 08-01 -1.00 USD 08-01 active', 'what was used before it expires is kept for the charge'),
	('9 USD', '5 USD', '{"(50,2026-06-10,5 USD)"}', '{"(2026-06-10,)"}', '06-10 4.00 USD active, '
		'07-01 1.00 USD active, 08-01 -2.00 USD 08-01 active', 'what has expired goes today'),
	('9 USD', '5 USD', '{"(50,2026-06-20,5 USD)"}', '{"(2026-06-20,4.50 USD)"}', '06-10 9.00 USD active, 06-20 8.50 USD active, '
		'07-01 5.50 USD active, 07-01 4.00 USD active, 08-01 1.00 USD active', 'what the charge leaves of it goes then'),
	('9 USD', '5 USD', '{"(50,2026-07-01,5 USD)"}', '{"(2026-07-01,3 USD)"}', '06-10 9.00 USD active, 07-01 4.00 USD active, '
		'08-01 1.00 USD active', 'on the day of a charge'),
	('9 USD', '5 USD', '{"(50,2026-07-01,5 USD)"}', '{"(2026-07-01,4.50 USD)"}', '06-10 9.00 USD active, 07-01 5.50 USD active, '
		'07-01 4.00 USD active, 08-01 1.00 USD active', 'and what that charge leaves of it, on the same day'),
	('9 USD', '8 USD', '{"(10,2026-08-15,2 USD)","(50,2026-07-20,5 USD)","(90,infinity,1 USD)"}', '{"(2026-07-20,0 USD)","(2026-08-15,)"}',
		'06-10 9.00 USD active, 07-01 6.00 USD active, 07-20 2.00 USD active, 08-01 -1.00 USD 08-01 active', 'in the order of priority')
) AS t (balance, bonus, lots, expiries, ways, why);

-- Values that no account has: whoever may read a standing may call it
SELECT throws_ok(format($$SELECT FROM kbilling_internal.kb_walk_ahead('2026-06-10', %L, '1 USD', NULL, %L, '2026-06-01', '2026-06-11', NULL,
	NULL, NULL, '0 USD', NULL, NULL, NULL, NULL, %L, '{}', '{}')$$, through, state, policies), sqlstate,
	'what is to come cannot be foretold from such values', why)
FROM (VALUES ('2026-09-01', 'gone', '{"(2026-01-01,4,7,10,2026-05-01,t,20,{3})"}', '22023', 'a state that there is not'),
	('2026-09-01', 'active', '{}', '22023', 'no policy'),
	('2026-09-01', 'active', '{"(2026-01-01,4,7,10,2026-05-01,t,,{3})"}', '22004', 'a policy without a number'),
	('infinity', 'active', '{"(2026-01-01,4,7,10,2026-05-01,t,20,{3})"}', '22023', 'days without end')
) AS t (through, state, policies, sqlstate, why);

-- Random accounts, foretold for 120 days, then played with a sweep each day and nothing else

\getenv seed KBILLING_SEED
\if :{?seed}
\else
	\set seed 20261127
\endif
SELECT diag('KBILLING_SEED=' || :'seed');

-- The same number for the same seed, account and purpose: from 0 to n - 1
SELECT set_config('test.seed', :'seed', false) \g /dev/null
CREATE FUNCTION pg_temp.r(id bigint, purpose text, n int) RETURNS int STABLE LANGUAGE sql
RETURN (abs(hashtextextended(id || ' ' || purpose, current_setting('test.seed')::bigint) % n))::int;
-- One of them
CREATE FUNCTION pg_temp.one(id bigint, purpose text, choices anyarray) RETURNS anyelement STABLE LANGUAGE sql
AS 'SELECT choices[1 + pg_temp.r(id, purpose, cardinality(choices))]';
-- Runs a statement that the rules may refuse
CREATE FUNCTION pg_temp.try(statement text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
EXCEPTION WHEN SQLSTATE 'KB004' OR SQLSTATE 'KB009' OR SQLSTATE 'KB010' OR SQLSTATE 'KB011' OR SQLSTATE 'KB012' OR SQLSTATE '55000'
		OR SQLSTATE '22008' THEN
END $$;

-- Policies, tariffs and prices that change

SELECT pg_temp.clock('2026-01-01 00:00+00') \g /dev/null
INSERT INTO policy (policy, remind_day, restrict_day, block_day, min_age_days, inactive_days, notice_days, reminder_days, restore_days,
					debt_counts_from)
SELECT 'policy' || i, 1 + pg_temp.r(i, 'remind', 9), 10 + pg_temp.r(i, 'restrict', 9), 19 + pg_temp.r(i, 'block', 20),
	pg_temp.one(i, 'age', '{0,20,40,90}'::int[]), pg_temp.one(i, 'idle', '{0,10,30,70}'::int[]), 1 + pg_temp.r(i, 'notice', 20),
	pg_temp.one(i, 'reminders', ARRAY['{3,1}', '{}', '{2}', '{7,5,1}', '{30}'])::int[], 1 + pg_temp.r(i, 'restore', 30),
	pg_temp.one(i, 'from', '{due_date,posting_date}'::text[])::kb_debt_date
FROM generate_series(1, 9) AS i;
SELECT kb_create_service('seat', 'recurring'), kb_create_service('call', 'metered') \g /dev/null
SELECT kb_create_tariff('tariff' || i, 'USD', policy => CASE WHEN i > 9 THEN 'standard' ELSE 'policy' || i END)
FROM generate_series(1, 12) AS i \g /dev/null
SELECT kb_set_price('tariff' || i, service, pg_temp.one(i, service || ' price ' || change, prices)::kb_price,
	CASE change WHEN 0 THEN '-infinity' ELSE date '2026-05-20' + pg_temp.r(i, service || change, 150) END,
	pg_temp.r(i, service || ' prorate ' || change, 4) > 0)
FROM generate_series(1, 12) AS i, (VALUES ('base', '{10.00,19.00,0.00,45.00}'::text[]), ('seat', '{3.00 each,4.50 per 3,0.99 each}'),
	('call', '{0.10 each,1.00 per 10}')) AS t (service, prices), generate_series(0, 2) AS change
\g /dev/null

-- Accounts, and what happens to them from February to May

SELECT pg_temp.clock('2026-05-12 12:00+00') \g /dev/null
SELECT kb_create_account('ann', pg_temp.one(i, 'tariff', array(SELECT t.tariff::text FROM tariff AS t ORDER BY 1))::text, i,
	pg_temp.one(i, 'zone', ARRAY['UTC', 'Europe/Kyiv', 'Pacific/Kiritimati', 'America/New_York', 'Australia/Lord_Howe', 'Etc/GMT+11',
		'Africa/Cairo', 'Pacific/Auckland']),
	created_at => timestamptz '2026-02-01 00:00+00' + pg_temp.r(i, 'born', 100) * interval '1 day' + pg_temp.r(i, 'hour',
		24) * interval '1 hour')
FROM generate_series(1, 100) AS i
\g /dev/null
SELECT pg_temp.try(format('SELECT kb_switch_on(%s, %L, %s, kbilling_internal.kb_today(%s) - %s)', id, 'seat',
	1 + pg_temp.r(id, 'seats', 9), id,
	pg_temp.r(id, 'since', 12))) FROM generate_series(1, 100) AS id WHERE pg_temp.r(id, 'seat', 2) = 0
\g /dev/null
SELECT pg_temp.try(format('SELECT kb_record_usage(%s, %L, %s, %L, %L)', id, 'call', 10 + pg_temp.r(id, 'calls', 900), 'early',
	timestamptz '2026-04-25 12:00+00' + pg_temp.r(id, 'called', 17) * interval '1 day'))
FROM account, LATERAL (SELECT account_id) AS x (id) WHERE pg_temp.r(id, 'used', 3) = 0 AND created_at < '2026-04-25'
\g /dev/null
CREATE TEMP TABLE past AS SELECT account_id AS id, pg_temp.r(account_id, 'paid on', 31) AS topup_day,
	pg_temp.r(account_id, 'login on', 31) AS login_day,
	pg_temp.r(account_id, 'deferred on', 40) AS deferral_day, pg_temp.r(account_id, 'adjusted on', 60) AS adjust_day,
	pg_temp.r(account_id, 'ended on', 60) AS end_day FROM account;
CREATE PROCEDURE pg_temp.live() LANGUAGE plpgsql AS $$
BEGIN
	FOR day IN 0..30 LOOP
		PERFORM set_config('kbilling.clock', (timestamptz '2026-05-13 12:00+00' + day * interval '1 day')::text, false);
		COMMIT;
		-- the last days without a sweep, so that charges and closures are overdue
		IF day % 4 <> 3 AND day < 17 THEN
			CALL kb_sweep();
		END IF;
		PERFORM pg_temp.try(format('SELECT kb_apply_topup(%s, %L, %L, %L)', id, pg_temp.one(id, 'paid',
			'{20 USD,5.50 USD,100 USD,45 USD}'::text[]), 'card', 'p')) FROM past WHERE topup_day = day AND pg_temp.r(id, 'pays', 2) = 0;
		PERFORM pg_temp.try(format('SELECT kb_login(%s, %L)', id, 'ann')) FROM past WHERE login_day = day;
		PERFORM pg_temp.try(format('SELECT kb_adjust(%s, %L, %L, %L)', id, pg_temp.one(id, 'adjusted',
			'{-7 USD,3 USD,-0.01 USD}'::text[]), 'a', 'put right')) FROM past WHERE adjust_day = day;
		PERFORM pg_temp.try(format('SELECT kb_grant_credit(%s, %L, %L, %L, kbilling_internal.kb_today(%s) + %s, %s)', id, pg_temp.one(id,
			'granted', '{5 USD,30 USD,0.30 USD,90 USD}'::text[]), 'g' || part, 'a gift', id, pg_temp.r(id, 'good ' || part, 70),
			pg_temp.one(id, 'priority ' || part, '{10,50,50,90}'::int[]))) FROM past, generate_series(0, 2) AS part
			WHERE pg_temp.r(id, 'granted on ' || part, 60) = day;
		PERFORM pg_temp.try(format('SELECT kb_defer(%s, kbilling_internal.kb_today(%s) + %s, %L, %L)', id, id,
			pg_temp.r(id, 'deferred', 90), 'support', 'asked'))
			FROM past WHERE deferral_day = day;
		PERFORM pg_temp.try(format('SELECT kb_end_account(%s, %L, kbilling_internal.kb_today(%s) + %s)', id, 'ann', id,
			pg_temp.one(id, 'ends in', '{0,0,3,15,30,90}'::int[]))) FROM past WHERE end_day = day;
		-- most are paid back then
		PERFORM pg_temp.try(format('SELECT kb_adjust(%s, %L, %L, %L)', account_id, - refundable, 'paid back ' || day, 'paid back'))
			FROM account_status WHERE refundable > 0 AND pg_temp.r(account_id, 'paid back', 4) > 0;
		PERFORM pg_temp.try(format('SELECT kb_schedule_closure(%s, %L)', id, 'support')) FROM past WHERE login_day = 28 - day;
		PERFORM pg_temp.try(format('SELECT kb_cancel_closure(%s, %L)', id, 'ann')) FROM past WHERE login_day = 37 - day;
	END LOOP;
END $$;
CALL pg_temp.live();
-- some have no month overdue, some are given back what they have been charged for
SELECT pg_temp.try(format('SELECT kb_month_charge(%s)', id)) FROM past WHERE pg_temp.r(id, 'charged', 3) = 0
\g /dev/null
SELECT pg_temp.try(format('SELECT kb_record_usage(%s, %L, %s, %L, %L)', e.account_id, 'call', - e.quantity, 'back', e.at))
FROM usage_event AS e JOIN account AS a ON a.account_id = e.account_id WHERE e.period <= a.charged_through
	AND pg_temp.r(e.account_id, 'back', 4) > 0
\g /dev/null
SELECT pg_temp.try(format('SELECT kb_record_usage(%s, %L, %s, %L, %L)', account_id, 'call', 30, 'late',
	kbilling_internal.kb_day_begins(ends_on, time_zone)))
FROM account AS a WHERE ends_on < kbilling_internal.kb_today(account_id) AND pg_temp.r(account_id, 'late', 3) > 0
\g /dev/null
-- what is planned
SELECT pg_temp.try(format('SELECT kb_set_tariff(%s, %L, kbilling_internal.kb_today(%s) + %s)', id, pg_temp.one(id,
	'to' || n, array(SELECT t.tariff::text FROM tariff AS t ORDER BY 1)),
	id, n * 25 + pg_temp.r(id, 'on' || n, 25)))
FROM past, generate_series(0, 3) AS n WHERE pg_temp.r(id, 'plans', 6) > n + 1 ORDER BY n
\g /dev/null
SELECT pg_temp.try(format('SELECT kb_switch_%s(%s, %L, from_date => kbilling_internal.kb_today(%s) + %s)', pg_temp.one(id,
	'switch', '{on,off}'::text[]), id, 'seat', id,
	pg_temp.r(id, 'switched', 70))) FROM past WHERE pg_temp.r(id, 'switches', 3) = 0
\g /dev/null
SELECT cmp_ok(accounts, '>', 0::bigint, 'there are ' || what) FROM (
	SELECT count(*) FILTER (WHERE state = 'closing'), count(*) FILTER (WHERE debt_since IS NOT NULL),
		count(*) FILTER (WHERE debt_since IS NOT NULL AND deferred_until > kbilling_internal.kb_today(account_id)),
		count(*) FILTER (WHERE charged_through < '2026-05-31'),
			count(*) FILTER (WHERE tariff_from > kbilling_internal.kb_today(account_id)),
		count(*) FILTER (WHERE EXISTS (SELECT FROM usage_total AS t WHERE t.account_id = a.account_id AND NOT settled
			AND quantity < billed_quantity)),
		count(*) FILTER (WHERE ends_on < kbilling_internal.kb_today(account_id)),
		count(*) FILTER (WHERE ends_on >= kbilling_internal.kb_today(account_id)),
		count(*) FILTER (WHERE ends_on < charged_through AND kbilling_internal.kb_has_unbilled(account_id)),
		count(*) FILTER (WHERE EXISTS (SELECT FROM unnest(lots) AS o WHERE o.expires_on < 'infinity'))
	FROM account AS a) AS x (closing, owing, deferred, overdue, planned, credited, ended, ending, late, expiring),
	LATERAL (VALUES ('closures under way', closing), ('debts', owing), ('deferrals', deferred), ('months overdue',
		overdue), ('tariffs to come', planned),
		('credits to come', credited), ('contracts that have ended', ended), ('contracts that end', ending),
		('usage that came late', late),
		('credits that expire', expiring)) AS t (what, accounts);

-- Foretold, on 12 June

CREATE TEMP TABLE foretold AS
	SELECT a.account_id, day, kb_access(a.account_id, 'owner', at) AS owner,
		CASE WHEN pg_temp.r(a.account_id, 'all on' || day, 8) = 0 THEN (kb_access(a.account_id, 'employee', at)).access END AS employee,
		CASE WHEN pg_temp.r(a.account_id, 'all on' || day, 8) = 0 THEN kb_access_stage(a.account_id, at) END AS stage,
		CASE WHEN pg_temp.r(a.account_id, 'all on' || day, 8) = 0 THEN kb_balance(a.account_id, at) END AS balance
	FROM account AS a, generate_series(0, 119) AS day,
		LATERAL (SELECT timestamptz '2026-06-12 12:00:01+00' + day * interval '1 day') AS x (at)
	WHERE pg_temp.r(a.account_id, 'asked on' || day, 3) = 0;
CREATE TEMP TABLE charge_foretold AS SELECT a.account_id, f.* FROM account AS a, kb_forecast(a.account_id, 6) AS f
	WHERE NOT EXISTS (SELECT FROM usage_total AS t WHERE t.account_id = a.account_id AND t.period >= '2026-05-01' AND t.quantity > 0);

-- Played

CREATE TEMP TABLE seen (LIKE foretold);
CREATE TEMP TABLE seen_status (account_id bigint, day int, stage kb_stage, amount_due kb_money, next_stage kb_stage,
	next_stage_on date, delete_on date);
CREATE PROCEDURE pg_temp.play() LANGUAGE plpgsql AS $$
BEGIN
	FOR d IN 0..119 LOOP
		PERFORM set_config('kbilling.clock', (timestamptz '2026-06-12 12:00:01+00' + d * interval '1 day')::text, false);
		COMMIT;
		CALL kb_sweep();
		INSERT INTO seen SELECT f.account_id, d, kb_access(f.account_id, 'owner'),
			CASE WHEN f.stage IS NOT NULL THEN (kb_access(f.account_id, 'employee')).access END,
			CASE WHEN f.stage IS NOT NULL THEN kb_access_stage(f.account_id) END,
			CASE WHEN f.stage IS NOT NULL THEN kb_balance(f.account_id) END FROM foretold AS f WHERE f.day = d;
		INSERT INTO seen_status SELECT account_id, d, stage, amount_due, next_stage, next_stage_on, delete_on FROM account_status;
	END LOOP;
END $$;
CALL pg_temp.play();

-- closures that the sweep began meanwhile were not foreseen
CREATE TEMP TABLE closed_anew AS
	SELECT account_id, min(floor(extract(epoch FROM taken_at - '2026-06-12 12:00:01+00') / 86400)) AS day
	FROM closure_step WHERE step = 'scheduled' AND taken_at >= '2026-06-12 12:00:01+00' GROUP BY account_id;

SELECT is_empty($$SELECT f.account_id, f.day, f.owner AS foretold, s.owner AS seen, f.employee, s.employee, f.stage,
	s.stage, f.balance, s.balance
	FROM foretold AS f JOIN seen AS s USING (account_id, day)
	WHERE NOT EXISTS (SELECT FROM closed_anew AS c WHERE c.account_id = f.account_id AND c.day <= f.day)
		AND (f.owner, f.employee, f.stage, f.balance)::text IS DISTINCT FROM (s.owner, s.employee, s.stage, s.balance)::text
	ORDER BY day, account_id LIMIT 1$$,
		'S6: stage, access, balance, amount due, next stage and day of deletion are what was foretold, on each day');
SELECT is_empty($$SELECT s.account_id, s.day, s.owner, t FROM seen AS s JOIN seen_status AS t USING (account_id, day)
	WHERE ((s.owner).stage, (s.owner).amount_due, (s.owner).next_stage, (s.owner).next_stage_on, (s.owner).delete_on)::text
		IS DISTINCT FROM (t.stage, t.amount_due, t.next_stage, t.next_stage_on, t.delete_on)::text
	ORDER BY day, account_id LIMIT 1$$, 'S5: account_status shows what kb_access says');
SELECT is_empty($$SELECT a.account_id, a.day, (a.owner).next_stage_on, (a.owner).next_stage, b.day, (b.owner).stage
	FROM seen AS a JOIN account AS x ON x.account_id = a.account_id
	JOIN seen AS b ON b.account_id = a.account_id AND b.day > a.day
		AND kbilling_internal.kb_local_date(timestamptz '2026-06-12 12:00:01+00' + b.day * interval '1 day',
			x.time_zone) <= (a.owner).next_stage_on
	WHERE a.day % 7 = 0 AND NOT EXISTS (SELECT FROM closed_anew AS c WHERE c.account_id = b.account_id AND c.day <= b.day)
		AND (b.owner).stage <> CASE
		WHEN kbilling_internal.kb_local_date(timestamptz '2026-06-12 12:00:01+00' + b.day * interval '1 day', x.time_zone)
			= (a.owner).next_stage_on
		THEN (a.owner).next_stage ELSE (a.owner).stage END
	ORDER BY a.day, a.account_id LIMIT 1$$, 'S6: the stage stays until next_stage_on, and is next_stage then');
SELECT is_empty($$SELECT e.account_id, e.period, - e.amount, e.effective_on, e.balance_after FROM entry AS e
	WHERE e.kind = 'charge' AND e.posted_at >= '2026-06-12 12:00:01+00' AND e.account_id IN (SELECT account_id FROM charge_foretold)
	EXCEPT SELECT account_id, period, charge, charged_on, balance FROM charge_foretold ORDER BY 2, 1 LIMIT 1$$,
	'C5: what is charged is what kb_forecast said');
SELECT is_empty($$SELECT b.account_id, b.day, a.stage, b.stage FROM seen_status AS a JOIN seen_status AS b
	ON b.account_id = a.account_id AND b.day = a.day + 1 AND b.stage <> a.stage AND (a.stage, b.stage) <> ('ok', 'grace')
	CROSS JOIN LATERAL (SELECT timestamptz '2026-06-12 12:00:01+00' + b.day * interval '1 day') AS x (at)
	WHERE NOT EXISTS (SELECT FROM notice AS n WHERE n.account_id = b.account_id AND n.written_at = at
			AND n.kind IN ('stage_changed', 'payment_reminder', 'charge_posted'))
		AND NOT EXISTS (SELECT FROM closure_step AS c WHERE c.account_id = b.account_id AND c.step = 'deleted' AND c.taken_at <= at)
	ORDER BY b.day, b.account_id LIMIT 1$$, 'N5: each change of stage is told on its day');
SELECT is_empty('SELECT * FROM sweep_failure', 'W3: no account failed');
SELECT is_empty('SELECT * FROM kb_check()', 'J2: the books are right');
SELECT cmp_ok(accounts, '>', 0::bigint, 'accounts have been ' || step) FROM (SELECT step, count(DISTINCT account_id) FROM closure_step
	WHERE taken_at >= '2026-06-12 12:00:01+00' GROUP BY step) AS x (step, accounts);

SELECT * FROM finish();
