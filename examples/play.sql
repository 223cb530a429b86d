-- Plays a log of purchases through kbilling, day by day: a customer has an
-- account, a purchase is a top-up, what was bought is metered, and the sweep runs
-- once a day.  A customer who stops buying is warned and deleted.  One who comes
-- back in time is restored; one who comes back too late opens a new account.
--
-- Needs the psql variable log: the path of a tab-separated file with customer,
-- date, quantity and dollars.  With the variable shards, the accounts are on
-- several shards, and this is their router.

CREATE TABLE purchase (
	line_no  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	customer bigint NOT NULL,
	day      date NOT NULL,
	quantity integer NOT NULL,
	dollars  numeric NOT NULL
);
-- \copy does not replace variables, so the whole command is one.
\set load '\\copy purchase (customer, day, quantity, dollars) FROM ' :'log'
:load
CREATE INDEX ON purchase (day);
ANALYZE purchase;

-- The accounts that a customer has had; the last one is in use.  The first has the
-- customer's number, each further one a million more.
CREATE TABLE customer_account (
	customer   bigint NOT NULL,
	account_id bigint PRIMARY KEY
);
CREATE INDEX ON customer_account (customer);

-- The customers who buy on a day, and their accounts.
CREATE FUNCTION buyer(on_day date) RETURNS TABLE (customer bigint, account_id bigint)
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT p.customer, (SELECT max(o.account_id) FROM customer_account AS o WHERE o.customer = p.customer)
	FROM (SELECT DISTINCT customer FROM purchase WHERE day = on_day) AS p;
END;

-- 19.00 a month, 0.50 for each order beyond three, and a bonus for those who pay
-- three or six months ahead.  \gset instead of a semicolon shows no result.
SELECT kb_create_tariff('monthly', 'USD'),
	kb_create_service('orders', 'metered', 'order'),
	kb_set_price('monthly', 'base', '19.00'),
	kb_set_price('monthly', 'orders', '0.50 each free 3'),
	kb_set_bonus('monthly', '57.00 USD', 5),
	kb_set_bonus('monthly', '114.00 USD', 10) \gset

\if :{?shards}
\ir shards.sql
\else
CREATE PROCEDURE begin_day(day date) LANGUAGE sql AS $$ SELECT set_config('kbilling.clock', day || ' 12:00+00', false) $$;
\set sweep 'CALL kb_sweep()'

-- The shop's own table: each row that is inserted is usage of its account.  A
-- purge of the account deletes its rows.
CREATE TABLE ordered (
	line_no    integer PRIMARY KEY,
	account_id bigint NOT NULL,
	quantity   integer NOT NULL
);
CREATE INDEX ON ordered (account_id);
CREATE TRIGGER ordered_is_metered AFTER INSERT ON ordered REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('orders', 'account_id', 'quantity');
SELECT kb_register_purge('ordered', 'account_id') \gset

CREATE FUNCTION order_on(on_day date) RETURNS bigint LANGUAGE sql
BEGIN ATOMIC
	WITH shopping AS (
		INSERT INTO ordered SELECT line_no, account_id, quantity FROM purchase JOIN buyer(on_day) USING (customer)
			WHERE day = on_day RETURNING 1)
	SELECT count(*) FROM shopping;
END;
\endif

-- What was done on each day, and when it was done.
CREATE TABLE played (
	day  date,
	what text,
	n    bigint,
	at   timestamptz DEFAULT clock_timestamp()
);
INSERT INTO played VALUES (NULL, 'start', 0);

-- \gexec runs each cell as a statement of its own, row by row, so that the sweep
-- can commit.  It skips a cell that is NULL.
SELECT
	format('CALL begin_day(%L)', day) AS clock,

	-- the first purchase opens an account, and so does one that comes too late to restore the last account
	format($$WITH opened AS (
			INSERT INTO customer_account
			SELECT customer, coalesce(account_id + 1000000, customer) FROM buyer(%1$L) LEFT JOIN account USING (account_id)
			WHERE account_id IS NULL OR state = 'purged' OR state = 'deleted' AND closure_check_on <= %1$L
			RETURNING customer, account_id)
		INSERT INTO played
		SELECT %1$L, 'accounts', count(kb_create_account('customer ' || customer, 'monthly', account_id,
			email => format('customer-%%s@example.org', customer)))
		FROM opened$$, day) AS accounts,

	-- a customer whose account was deleted, and who comes back in time, has it restored, then pays
	format($$INSERT INTO played
		SELECT %1$L, 'restored', count(*)
		FROM (SELECT kb_restore_account(account_id, 'support') FROM buyer(%1$L) JOIN account USING (account_id)
			WHERE state = 'deleted') AS restored$$, day) AS restored,

	-- a purchase of nothing is no top-up: kb_apply_topup would refuse it
	format($$INSERT INTO played
		SELECT %1$L, 'top-ups', count(*)
		FROM (SELECT kb_apply_topup(account_id, kb_money(dollars, 'USD'), 'card', 'cdnow-' || line_no)
			FROM purchase JOIN buyer(%1$L) USING (customer) WHERE day = %1$L AND dollars > 0 ORDER BY line_no) AS paid$$, day) AS topups,

	format($$INSERT INTO played
		SELECT %1$L, 'logins', count(*) FILTER (WHERE (d).access <> 'denied')
		FROM (SELECT kb_login(account_id, 'customer ' || customer) AS d FROM buyer(%1$L)) AS login$$, day) AS logins,

	format($$INSERT INTO played SELECT %1$L, 'orders', order_on(%1$L)$$, day) AS orders,

	-- on the 1st, the sweep charges every account's month; each day, it takes steps of closures and writes notices
	:'sweep' AS sweep,

	format($$INSERT INTO played
		SELECT %1$L, v.what, v.n FROM sweep_run,
			LATERAL (VALUES ('charges', entries_posted), ('steps of closures', closure_steps)) AS v (what, n)
		WHERE run_id = (SELECT max(run_id) FROM sweep_run)$$, day) AS charges,

	-- what the last day of the log shows of its month, to be compared with the charge
	CASE day WHEN '1998-06-30' THEN 'CREATE TABLE last_preview AS SELECT * FROM current_usage' END AS preview,

	-- progress, at the end of a month and of the log
	CASE WHEN day IN (date_trunc('month', day) + interval '1 month - 1 day', '1998-07-01') THEN
		format($$SELECT format('%1$s %%7s accounts %%7s top-ups %%8s charges %%7s steps of closures %%7s s',
				sum(n) FILTER (WHERE what = 'accounts'), sum(n) FILTER (WHERE what = 'top-ups'), sum(n) FILTER (WHERE what = 'charges'),
				sum(n) FILTER (WHERE what = 'steps of closures'), round(extract(epoch FROM max(at) - min(at)), 1))
			FROM played$$, day) END AS progress
FROM (SELECT generate_series(min(day)::timestamp, '1998-07-01', '1 day')::date AS day FROM purchase) AS days
ORDER BY day
\gexec
