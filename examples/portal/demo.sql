-- Customers of the demo, one in every stage and at each end, as it is on 5 December 2026.  The tests use them, too.
--
--   psql -X -f examples/portal/demo.sql
--
-- as a superuser, after setup.sql.  It sets the database's clock to that day.

\set ON_ERROR_STOP on
\encoding UTF8
\set today 2026-12-05
\o /dev/null
SET client_min_messages = warning;
BEGIN;

CREATE SCHEMA demo;
CREATE TABLE demo.customer (
	account_id bigint PRIMARY KEY,
	tariff     text NOT NULL,
	language   text NOT NULL,
	created_on date NOT NULL,
	title      text NOT NULL,
	story      text NOT NULL
);
INSERT INTO demo.customer VALUES
	(1, 'team', 'en', '2026-09-15', 'Bakery', 'has paid ahead, and goes over to another tariff with the new year'),
	(2, 'team_ua', 'uk', '2026-09-15', 'Кав’ярня', 'pays in hryvnias, and reads Ukrainian'),
	(3, 'team', 'en', '2026-09-15', 'Florist', 'has a payment disputed on 3 December: grace'),
	(4, 'team', 'en', '2026-09-15', 'Bookshop', 'could not pay all of November: day 5, a reminder'),
	(5, 'team', 'en', '2026-09-15', 'Cinema', 'has a payment disputed on 28 November: day 8, restricted'),
	(6, 'team', 'en', '2026-09-15', 'Barber', 'has not paid since September: blocked'),
	(7, 'free', 'en', '2026-09-01', 'Choir', 'was not used for a month: it will be deleted'),
	(8, 'free', 'en', '2026-09-01', 'Chess club', 'was not used for longer: deleted, and can be restored'),
	(9, 'team', 'en', '2024-01-01', 'Newspaper', 'pays every other day, by a card in hryvnias: over 500 entries'),
	(10, 'business', 'en', '2026-09-15', 'Gallery', 'has a bonus and credit, which expire on several days'),
	(11, 'team', 'en', '2026-09-15', 'Gym', 'has ended its contract with 31 December'),
	(12, 'team', 'en', '2026-09-15', 'Theatre', 'has left with 30 November: what is left of its money is to be paid back');

-- What happens on which day.  A day begins with its sweep.
CREATE TEMP TABLE plan (
	day       date NOT NULL,
	statement text NOT NULL,
	n         integer GENERATED ALWAYS AS IDENTITY
);

INSERT INTO plan (day, statement)
SELECT created_on, statement
FROM demo.customer,
	LATERAL (VALUES
		(1, format('SELECT kbilling.kb_create_account(%L, %L, %s, %L)', 'olha', tariff, account_id, 'Europe/Kyiv')),
		(2, format('SELECT kbilling.kb_add_member(%s, %L, %L)', account_id, 'andrii', 'admin')),
		(3, format('SELECT kbilling.kb_add_member(%s, %L, %L)', account_id, 'emma', 'employee')),
		(4, format('SELECT kbilling.kb_set_contact(%1$s, member, member || %2$L, %3$L)
			FROM kbilling.member WHERE account_id = %1$s', account_id, '@example.com', language)),
		(5, format('SELECT kbilling.kb_switch_on(%s, %L, 2)', account_id, 'seat'))) AS v (step, statement)
WHERE step < 5 OR tariff <> 'free'
ORDER BY account_id, step;

INSERT INTO plan (day, statement) VALUES
	('2026-09-15', $$SELECT kbilling.kb_apply_topup(1, '300.00 USD', 'card', 'demo-1', 'olha')$$),
	('2026-09-15', $$SELECT kbilling.kb_apply_topup(2, '4000.00 UAH', 'apple_pay', 'demo-1', 'olha')$$),
	('2026-09-15', $$SELECT kbilling.kb_apply_topup(3, '100.00 USD', 'card', 'demo-1', 'olha')$$),
	('2026-09-15', $$SELECT kbilling.kb_apply_topup(4, '50.00 USD', 'card', 'demo-1', 'andrii')$$),
	('2026-09-15', $$SELECT kbilling.kb_apply_topup(5, '100.00 USD', 'google_pay', 'demo-1', 'olha')$$),
	('2026-09-15', $$SELECT kbilling.kb_apply_topup(6, '30.00 USD', 'bank_transfer', 'demo-1', 'olha')$$),
	('2026-09-15', $$SELECT kbilling.kb_apply_topup(10, '150.00 USD', 'card', 'demo-1', 'olha')$$),
	('2026-09-15', $$SELECT kbilling.kb_apply_topup(11, '100.00 USD', 'card', 'demo-1', 'olha')$$),
	('2026-09-15', $$SELECT kbilling.kb_apply_topup(12, '100.00 USD', 'card', 'demo-1', 'olha')$$),
	('2026-10-05', $$SELECT kbilling.kb_login(7, 'emma')$$),
	('2026-10-10', $$SELECT kbilling.kb_login(8, 'olha')$$),
	('2026-11-01', $$SELECT kbilling.kb_login(7, 'emma')$$),
	('2026-11-02', $$SELECT kbilling.kb_grant_credit(10, '25.00 USD', 'demo-ten-days', 'Ten days to try messages', '2026-11-12')$$),
	('2026-11-09', $$SELECT kbilling.kb_login(6, 'emma')$$),
	('2026-11-20', $$SELECT kbilling.kb_end_account(12, 'olha', '2026-11-30', 'The stage is closed')$$),
	('2026-11-28', $$SELECT kbilling.kb_chargeback(5, 'demo-1', 'demo-dispute-1')$$),
	('2026-12-01', $$SELECT kbilling.kb_apply_topup(10, '300.00 USD', 'card', 'demo-2', 'olha')$$),
	('2026-12-02', $$SELECT kbilling.kb_grant_credit(10, '10.00 USD', 'demo-sorry', 'For the outage in November', '2026-12-21')$$),
	('2026-12-02', $$SELECT kbilling.kb_grant_credit(10, '15.00 USD', 'demo-winter', 'Winter campaign', '2027-03-01')$$),
	('2026-12-02', $$SELECT kbilling.kb_grant_credit(10, '20.00 USD', 'demo-friend', 'For bringing a friend', '2027-06-01')$$),
	('2026-12-03', $$SELECT kbilling.kb_chargeback(3, 'demo-1', 'demo-dispute-1')$$),
	('2026-12-03', $$SELECT kbilling.kb_set_tariff(1, 'business', '2027-01-01')$$),
	('2026-12-03', $$SELECT kbilling.kb_set_billing_details(9,
		'{"name": "Newspaper Ltd", "address": "1 Main Street, Kyiv", "tax_number": "UA 1234-567"}')$$),
	('2026-12-04', $$SELECT kbilling.kb_begin_topup(4, 'olha', '25.00 USD')$$),
	('2026-12-04', $$SELECT kbilling.kb_fail_topup(4, 1, 'insufficient funds')$$),
	('2026-12-04', $$SELECT kbilling.kb_end_account(11, 'olha', '2026-12-31')$$),
	('2026-12-05', $$SELECT kbilling.kb_begin_topup(9, 'andrii', '40.00 USD')$$);

-- Those who use it log in and send messages, each week.
INSERT INTO plan (day, statement)
SELECT day, format('SELECT kbilling.kb_login(%1$s, %2$L), kbilling.kb_record_usage(%1$s, %3$L, %4$s, %5$L)',
	account_id, 'emma', 'messages', CASE WHEN account_id IN (1, 2) THEN 60 WHEN account_id = 9 THEN 40 ELSE 20 END, day)
FROM demo.customer, generate_series(created_on, :'today', '7 days') AS series, CAST(series AS date) AS day
WHERE tariff <> 'free' AND (account_id <> 6 OR day < '2026-11-09') AND (account_id <> 5 OR day < '2026-12-04')
	AND (account_id <> 12 OR day <= '2026-11-30')
ORDER BY day, account_id;

-- One who pays little and often, and now and then so much that it earns a bonus.
INSERT INTO plan (day, statement)
SELECT day, format($$SELECT kbilling.kb_apply_topup(9, %L, 'card', %L, %L, paid => %L)$$,
	CASE WHEN n % 50 = 0 THEN '100.00 USD' ELSE '2.50 USD' END, 'demo-' || n,
	CASE n % 2 WHEN 0 THEN 'olha' ELSE 'andrii' END,
	CASE WHEN n % 50 = 0 THEN '4150.00 UAH' ELSE '103.75 UAH' END)
FROM generate_series(timestamp '2024-01-02', :'today', '2 days') WITH ORDINALITY AS series (moment, n),
	CAST(moment AS date) AS day
ORDER BY n;

COMMIT;

-- Each row's statement is run by itself, so that the sweep can commit.  While there is one customer, it runs at the month's
-- beginning alone.
WITH day AS (
	SELECT day, extract(day FROM day) <= 2 AS is_swept FROM plan
	UNION
	SELECT CAST(d AS date), true FROM generate_series(timestamp '2026-09-01', :'today', '1 day') AS d
), played AS (
	SELECT day, 0 AS part, 0 AS n, format('SET kbilling.clock = %L', day || ' 09:00+00') AS statement
	FROM day GROUP BY day
	UNION ALL
	SELECT day, 1, 0, 'CALL kbilling.kb_sweep()' FROM day GROUP BY day HAVING bool_or(is_swept)
	UNION ALL
	SELECT day, 2, n, statement FROM plan
)
SELECT statement FROM played ORDER BY day, part, n
\gexec

SELECT format('ALTER DATABASE %I SET kbilling.clock = %L', current_database(), :'today' || ' 09:00+00')
\gexec
\o
