-- Plays a log of purchases through kbilling, day by day: a customer is an
-- account, a purchase a top-up, what was bought is metered, and the sweep runs
-- once a day.
--
-- Wants the psql variable log: the path of a tab-separated file with customer,
-- date, quantity and dollars.

CREATE TABLE purchase (
	line_no  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	customer bigint NOT NULL,
	day      date NOT NULL,
	quantity integer NOT NULL,
	dollars  numeric NOT NULL
);
-- \copy takes no variables, so it is put together as one.
\set load '\\copy purchase (customer, day, quantity, dollars) FROM ' :'log'
:load
CREATE INDEX ON purchase (day);
ANALYZE purchase;

-- 19.00 a month, 0.50 for each order beyond three, and a bonus for those who
-- pay three or six months ahead; \gset, as there is no result to show.
SELECT kb_create_tariff('monthly', 'USD'),
	kb_create_service('orders', 'metered', 'order'),
	kb_set_price('monthly', 'base', '19.00'),
	kb_set_price('monthly', 'orders', '0.50 each free 3'),
	kb_set_bonus('monthly', '57.00 USD', 5),
	kb_set_bonus('monthly', '114.00 USD', 10) \gset

-- The shop's own table: whatever is inserted into it is usage of its customer.
CREATE TABLE ordered (
	line_no  integer PRIMARY KEY,
	customer bigint NOT NULL,
	quantity integer NOT NULL
);
CREATE TRIGGER ordered_is_metered AFTER INSERT ON ordered REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('orders', 'customer', 'quantity');

-- What was done on each day, and when it was done.
CREATE TABLE played (
	day  date,
	what text,
	n    bigint,
	at   timestamptz DEFAULT clock_timestamp()
);
INSERT INTO played VALUES (NULL, 'start', 0);

-- \gexec runs each cell as a statement of its own, row by row, so that the
-- sweep can commit; a cell that is NULL is passed over.
SELECT
	format('SET kbilling.clock = %L', day || ' 12:00+00') AS clock,

	-- a customer's first purchase opens the account
	format($$INSERT INTO played
		SELECT %1$L, 'accounts', count(*)
		FROM (SELECT kb_create_account('customer ' || customer, 'monthly', customer)
			FROM (SELECT DISTINCT customer FROM purchase WHERE day = %1$L) AS p
			WHERE NOT EXISTS (SELECT FROM account WHERE account_id = customer)) AS opened$$, day) AS accounts,

	-- a purchase of nothing is no top-up: kb_apply_topup would refuse it
	format($$INSERT INTO played
		SELECT %1$L, 'top-ups', count(*)
		FROM (SELECT kb_apply_topup(customer, kb_money(dollars, 'USD'), 'card', 'cdnow-' || line_no)
			FROM purchase WHERE day = %1$L AND dollars > 0 ORDER BY line_no) AS paid$$, day) AS topups,

	format($$WITH shopping AS (
			INSERT INTO ordered SELECT line_no, customer, quantity FROM purchase WHERE day = %1$L RETURNING 1)
		INSERT INTO played SELECT %1$L, 'orders', count(*) FROM shopping$$, day) AS orders,

	-- what the last day of the log shows of its month, to lay beside the charge
	CASE day WHEN '1998-06-30' THEN 'CREATE TABLE last_preview AS SELECT * FROM current_usage' END AS preview,

	-- what is due: on the 1st, every account's month
	'CALL kb_sweep()' AS sweep,

	format($$INSERT INTO played
		SELECT %1$L, 'charges', entries_posted FROM sweep_run ORDER BY run_id DESC LIMIT 1$$, day) AS charges,

	-- progress, at the end of a month and of the log
	CASE WHEN day IN (date_trunc('month', day) + interval '1 month - 1 day', '1998-07-01') THEN
		format($$SELECT format('%1$s %%9s accounts %%9s top-ups %%9s charges %%8s s',
				sum(n) FILTER (WHERE what = 'accounts'), sum(n) FILTER (WHERE what = 'top-ups'),
				sum(n) FILTER (WHERE what = 'charges'), round(extract(epoch FROM max(at) - min(at)), 1))
			FROM played$$, day) END AS progress
FROM (SELECT generate_series(min(day)::timestamp, '1998-07-01', '1 day')::date AS day FROM purchase) AS days
ORDER BY day
\gexec
