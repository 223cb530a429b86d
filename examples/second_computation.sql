-- The same bills a second time, out of the log of purchases alone, in plain SQL
-- over numerics: nothing of kbilling has a part in it.  Then both are laid
-- side by side, account by account and month by month.
--
-- Wants what play.sql leaves behind.

-- What happens to each customer, in order: purchases on their day; on the 1st,
-- after the day's purchases, the month before, by days if it was the first.
CREATE TEMP TABLE happening AS
WITH customer AS (
	SELECT customer, min(day) AS first_day FROM purchase GROUP BY customer
), month AS (
	SELECT m::date AS from_day, (m + interval '1 month')::date AS to_day
	FROM generate_series('1997-01-01'::timestamp, '1998-06-01', '1 month') AS m
), happening AS (
	SELECT customer, day, line_no, dollars AS paid, 0.00 AS charged
	FROM purchase
	WHERE dollars > 0
	UNION ALL
	SELECT customer, to_day, NULL, 0.00,
		round(19.00 * (to_day - greatest(from_day, first_day)) / (to_day - from_day), 2)
			+ 0.50 * greatest(coalesce(orders, 0) - 3, 0)
	FROM customer JOIN month ON to_day > first_day
	LEFT JOIN (SELECT customer, date_trunc('month', day)::date AS from_day, sum(quantity) AS orders
		FROM purchase GROUP BY 1, 2) AS used USING (customer, from_day)
)
SELECT customer, row_number() OVER (PARTITION BY customer ORDER BY day, line_no NULLS LAST) AS n,
	day, paid, charged
FROM happening;
CREATE UNIQUE INDEX ON happening (customer, n);
ANALYZE happening;

-- One after the other, as each bonus hangs on the balance before it.
CREATE TEMP TABLE second_step AS
WITH RECURSIVE account AS (
	SELECT DISTINCT customer, 0::bigint AS n, NULL::date AS day, 0.00 AS paid, 0.00 AS bonus, 0.00 AS charged,
		0.00 AS balance, 0.00 AS unspent_bonus, NULL::date AS debt_since
	FROM purchase
	UNION ALL
	SELECT a.customer, h.n, h.day, h.paid, b.bonus, h.charged,
		c.balance,
		greatest(a.unspent_bonus + b.bonus - h.charged, 0),
		CASE WHEN c.balance < 0 THEN coalesce(a.debt_since, h.day) END
	FROM account AS a
	-- LIMIT holds the planner to the index
	CROSS JOIN LATERAL (SELECT * FROM happening WHERE customer = a.customer AND n = a.n + 1 LIMIT 1) AS h
	-- what is left of the payment once the debt is repaid
	CROSS JOIN LATERAL (SELECT h.paid + least(a.balance, 0) AS ahead) AS p
	CROSS JOIN LATERAL (
		SELECT round(ahead * CASE WHEN ahead >= 114 THEN 0.10 WHEN ahead >= 57 THEN 0.05 ELSE 0 END, 2) AS bonus) AS b
	CROSS JOIN LATERAL (SELECT a.balance + h.paid + b.bonus - h.charged AS balance) AS c
)
SELECT * FROM account WHERE n > 0;

CREATE TEMP VIEW second_month AS
SELECT customer AS account_id, date_trunc('month', day)::date AS month,
	count(*) + count(*) FILTER (WHERE bonus > 0) AS entries,
	sum(paid) AS topups, sum(bonus) AS bonuses, sum(charged) AS charges,
	(array_agg(balance ORDER BY n DESC))[1] AS balance,
	(array_agg(unspent_bonus ORDER BY n DESC))[1] AS unspent_bonus,
	(array_agg(debt_since ORDER BY n DESC))[1] AS debt_since
FROM second_step
GROUP BY customer, month;

CREATE TEMP VIEW second_account AS
SELECT account_id, entries, topups, bonuses, charges, balance, unspent_bonus, debt_since,
	CASE
		WHEN balance >= 0 THEN 'ok'
		WHEN date '1998-07-01' - debt_since < 3 THEN 'grace'
		WHEN date '1998-07-01' - debt_since < 6 THEN 'remind'
		WHEN date '1998-07-01' - debt_since < 9 THEN 'restrict'
		ELSE 'blocked'
	END AS stage
FROM (SELECT DISTINCT ON (account_id) account_id, sum(entries) OVER w AS entries,
		sum(topups) OVER w AS topups, sum(bonuses) OVER w AS bonuses, sum(charges) OVER w AS charges,
		balance, unspent_bonus, debt_since
	FROM second_month
	WINDOW w AS (PARTITION BY account_id)
	ORDER BY account_id, month DESC) AS last_month;

-- The same columns of kbilling: the months from the journal, where each account
-- stands from its row.
CREATE TEMP VIEW kbilling_month AS
SELECT account_id, date_trunc('month', effective_on)::date AS month,
	count(*) AS entries,
	coalesce(sum(kb_amount(amount)) FILTER (WHERE kind = 'topup'), 0) AS topups,
	coalesce(sum(kb_amount(amount)) FILTER (WHERE kind = 'bonus'), 0) AS bonuses,
	coalesce(-sum(kb_amount(amount)) FILTER (WHERE kind = 'charge'), 0) AS charges,
	kb_amount((array_agg(balance_after ORDER BY seq DESC))[1]) AS balance,
	kb_amount((array_agg(bonus_after ORDER BY seq DESC))[1]) AS unspent_bonus,
	(array_agg(debt_since ORDER BY seq DESC))[1] AS debt_since
FROM entry
GROUP BY account_id, month;

CREATE TEMP VIEW kbilling_account AS
SELECT account_id, last_seq::numeric AS entries, topups, bonuses, charges,
	kb_amount(balance) AS balance, kb_amount(bonus) AS unspent_bonus, debt_since, stage::text
FROM account_status
JOIN (SELECT account_id, sum(topups) AS topups, sum(bonuses) AS bonuses, sum(charges) AS charges
	FROM kbilling_month
	GROUP BY account_id) AS total USING (account_id);

-- An account that only one of them has does not agree.
CREATE TEMP VIEW agreement AS
SELECT account_id, k IS NOT DISTINCT FROM s AND coalesce(months = agreeing, false) AS agrees,
	coalesce(months, 0) AS months, coalesce(agreeing, 0) AS agreeing_months
FROM kbilling_account AS k
FULL JOIN second_account AS s USING (account_id)
LEFT JOIN (SELECT account_id, count(*) AS months, count(*) FILTER (WHERE k IS NOT DISTINCT FROM s) AS agreeing
	FROM kbilling_month AS k
	FULL JOIN second_month AS s USING (account_id, month)
	GROUP BY account_id) AS by_month USING (account_id);
