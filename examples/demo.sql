-- Plays eighteen months of a shop's purchases as the payments of a service's customers.
--
--   make demo
--
-- or, in a database of your own, as a superuser:
--
--   psql -X -v log=examples/cdnow-sample.tsv -f examples/demo.sql

\set QUIET on
\set ON_ERROR_STOP on
\pset pager off
\pset footer off
\pset numericlocale on

CREATE EXTENSION kbilling;
-- Tables are created in public; types, functions and views of kbilling are found without its name.
SET search_path = public, kbilling;
SET timezone = 'UTC';
SET work_mem = '128MB';

\echo
\echo Playing :log
\echo
\pset format unaligned
\pset tuples_only on
\ir play.sql
\pset tuples_only off
\pset format aligned
SELECT count(*) AS purchases, count(*) FILTER (WHERE dollars = 0) AS left_out FROM purchase \gset
\echo
\echo :purchases purchases; :left_out of them, of 0.00 dollars, were no top-ups.
\echo

\pset title 'Accounts by stage'
SELECT stage, count(account_id) AS accounts, coalesce(sum(kb_amount(amount_due)), 0.00) AS "debt, USD"
FROM unnest(enum_range(NULL::kb_stage)) AS stage
LEFT JOIN account_status USING (stage)
GROUP BY stage
ORDER BY stage;

\pset title 'Debt by age'
SELECT days, count(account_id) AS accounts, coalesce(sum(kb_amount(amount_due)), 0.00) AS "debt, USD"
FROM unnest('{1 to 3,4 to 6,7 to 9,10 to 30,31 to 90,91 and more}'::text[]) WITH ORDINALITY AS age (days, n)
LEFT JOIN (SELECT *, 1 + width_bucket((kb_now() AT TIME ZONE 'UTC')::date - debt_since + 1, '{4,7,10,31,91}') AS n
	FROM account_status
	WHERE debt_since IS NOT NULL) AS debtor USING (n)
GROUP BY n, days
ORDER BY n;

\pset title 'Top-ups, bonuses and charges by month'
SELECT to_char(effective_on, 'YYYY-MM') AS month,
	count(*) FILTER (WHERE kind = 'topup') AS "top-ups",
	coalesce(sum(kb_amount(amount)) FILTER (WHERE kind = 'topup'), 0.00) AS "USD",
	count(*) FILTER (WHERE kind = 'bonus') AS bonuses,
	coalesce(sum(kb_amount(amount)) FILTER (WHERE kind = 'bonus'), 0.00) AS "USD",
	count(*) FILTER (WHERE kind = 'charge') AS charges,
	coalesce(-sum(kb_amount(amount)) FILTER (WHERE kind = 'charge'), 0.00) AS "USD"
FROM entry
GROUP BY month
ORDER BY month;

-- A customer who left a month unpaid and repaid it soon after, with a bonus if there is one: a charge that made a debt, a
-- second charge, then the top-up that ended the debt.
SELECT unpaid.account_id AS customer, unpaid.seq, unpaid.effective_on AS unpaid_from, paid.effective_on AS paid_on
FROM entry AS unpaid
JOIN entry AS next ON next.account_id = unpaid.account_id AND next.seq = unpaid.seq + 1 AND next.kind = 'charge'
JOIN entry AS paid ON paid.account_id = unpaid.account_id AND paid.seq = unpaid.seq + 2 AND paid.debt_since IS NULL
LEFT JOIN entry AS bonus ON bonus.account_id = unpaid.account_id AND bonus.ref_seq = paid.seq
WHERE unpaid.kind = 'charge' AND unpaid.debt_since = unpaid.effective_on
ORDER BY bonus.seq IS NULL, paid.effective_on - unpaid.effective_on, unpaid.account_id
LIMIT 1 \gset

\set title 'Payment history of customer ' :customer ', newest first'
\pset title :title
SELECT effective_on AS day, kind, amount, balance_after AS balance, bonus_after AS "of it bonus", reference
FROM payment_history
WHERE account_id = :customer AND seq <= :seq + 6
LIMIT 15;

\set title 'What the first charges of customer ' :customer ' are made of'
\pset title :title
SELECT to_char(period, 'YYYY-MM') AS period, service, from_date, to_date, days || ' of ' || days_in_month AS days,
	price, amount
FROM charge_line
WHERE account_id = :customer
ORDER BY period, line_no
LIMIT 3;

\pset title 'Customers who stopped buying: steps of closures'
SELECT step, count(*) AS steps, count(DISTINCT account_id) AS accounts,
	coalesce(string_agg(DISTINCT reason, ', '), CASE WHEN step = 'restored' THEN 'came back within 20 days' END) AS why
FROM closure_step
GROUP BY step
ORDER BY step;

\pset title 'Where the accounts are now'
SELECT state, count(account_id) AS accounts, count(account_id) FILTER (WHERE nth > 1) AS "opened after a purge",
	coalesce(sum(kb_amount(amount_due)), 0.00) AS "debt, USD"
FROM unnest(enum_range(NULL::kb_account_state)) AS state
LEFT JOIN (SELECT *, 1 + account_id / 1000000 AS nth FROM account_status) AS a USING (state)
GROUP BY state
ORDER BY state;

\pset title 'Notices written'
SELECT kind, count(*) AS notices FROM notice GROUP BY kind ORDER BY kind;

-- The account with the shortest story that was warned, deleted, restored and in the end purged.
SELECT account_id AS returner FROM closure_step
GROUP BY account_id
HAVING bool_or(step = 'restored') AND bool_or(step = 'purged')
ORDER BY count(*), account_id
LIMIT 1 \gset

\set title 'The whole story of account ' :returner ', as it was told'
\pset title :title
SELECT n.written_at::date AS day, n.kind, (kb_render_notice(n.account_id, n.notice_no, 'en')).subject
FROM notice AS n
WHERE n.account_id = :returner
ORDER BY n.notice_no;

\set title 'The notice of the deletion in full'
\pset title :title
SELECT (r).subject, (r).body
FROM (SELECT kb_render_notice(account_id, notice_no, 'uk') AS r FROM notice
	WHERE account_id = :returner AND kind = 'account_deleted' ORDER BY notice_no LIMIT 1) AS rendered;

-- The customer with the most orders on the log's last day.
SELECT account_id AS shopper FROM last_preview WHERE service = 'orders' ORDER BY quantity DESC, account_id LIMIT 1 \gset

\set title 'Current usage of customer ' :shopper ' on June 30th'
\pset title :title
SELECT service, what, from_date, to_date, quantity, price, amount
FROM last_preview
WHERE account_id = :shopper
ORDER BY line_no;

\set title 'What was charged to customer ' :shopper ' on July 1st'
\pset title :title
SELECT service, what, from_date, to_date, quantity, price, amount
FROM charge_line
WHERE account_id = :shopper AND period = '1998-06-01'
ORDER BY line_no;

\set title 'How its orders make up that sum'
\pset title :title
SELECT e.what, e.units, e.unit_price, e.amount
FROM charge_line AS l, kb_explain_price(l.price::kb_price, l.quantity, 'USD', l.events) AS e
WHERE l.account_id = :shopper AND l.period = '1998-06-01' AND l.service = 'orders';

\pset title 'June''s lines as shown on its last day, and as charged'
SELECT count(*) AS "lines shown or charged", count(*) FILTER (WHERE p IS NOT DISTINCT FROM c) AS "the same"
FROM (SELECT account_id, line_no, service, what, from_date, to_date, quantity, events, price, amount FROM last_preview) AS p
FULL JOIN (SELECT account_id, line_no, service, what, from_date, to_date, quantity, events, price, amount
	FROM charge_line WHERE period = '1998-06-01') AS c USING (account_id, line_no);

\set title 'Customer ' :customer ', at noon of each day of the unpaid month'
\pset title :title
SELECT noon::date AS day, kb_balance(:customer, noon) AS balance,
	owner.stage, owner.access AS "owner may", employee.access AS "employee may"
FROM generate_series(date :'unpaid_from' - interval '12 hours', date :'paid_on' + interval '12 hours', '1 day') AS day,
	timezone('UTC', day) AS noon,
	kb_access(:customer, 'owner', noon) AS owner,
	kb_access(:customer, 'employee', noon) AS employee;

\pset title 'Trial balance'
SELECT coalesce(ledger_account, 'all together') AS ledger_account, kb_amount(sum(debit)) AS "debit, USD",
	kb_amount(sum(credit)) AS "credit, USD", kb_amount(sum(balance)) AS "balance, USD"
FROM trial_balance
GROUP BY ROLLUP (ledger_account)
ORDER BY trial_balance.ledger_account;

\pset footer on
\pset title 'What kb_check() finds wrong'
SELECT * FROM kb_check();
\pset footer off

\ir second_computation.sql
\pset title 'The same bills and closures, computed from the log without kbilling'
SELECT count(*) FILTER (WHERE agrees) AS "accounts that agree", count(*) AS "of",
	sum(agreeing_months) AS "months that agree", sum(months) AS "of",
	sum(agreeing_steps) AS "steps of closures that agree", sum(steps) AS "of"
FROM agreement;

\pset title 'What it took'
WITH step AS (
	SELECT CASE WHEN what = 'charges' AND n = 0 THEN 'sweeps without charges' ELSE what END AS what,
		CASE WHEN what = 'charges' AND n = 0 THEN 1 ELSE n END AS n,
		extract(epoch FROM at - lag(at) OVER (ORDER BY at)) AS seconds
	FROM played
)
SELECT what, sum(n) AS n, round(sum(seconds), 1) AS seconds, round(sum(n) / sum(seconds)) AS "a second"
FROM step
WHERE what NOT IN ('start', 'steps of closures')	-- counted with the charges
GROUP BY what
UNION ALL
SELECT 'the play in all', NULL, round(sum(seconds), 1), NULL FROM step
UNION ALL
SELECT 'the play and these tables', NULL, round(extract(epoch FROM clock_timestamp() - min(at)), 1), NULL FROM played;
