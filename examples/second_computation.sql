-- Computes the same bills and closures a second time, from the log of purchases
-- alone, in plain SQL over numerics, without anything of kbilling.  Then it compares
-- both, account by account, month by month, and step by step.
--
-- Needs what play.sql leaves behind.

CREATE TEMP TABLE bought AS
SELECT customer, row_number() OVER (PARTITION BY customer ORDER BY day, line_no) AS n, day, dollars
FROM purchase;
CREATE UNIQUE INDEX ON bought (customer, n);
CREATE INDEX ON purchase (customer, day);
ANALYZE bought;

-- What happens to each customer, event by event, as each depends on the one before.
-- An event is a purchase or an evening; in an evening, the month is charged if it is
-- the 1st, and then a step of a closure is taken if its day has come (look_on).
CREATE TEMP TABLE second_step AS
WITH RECURSIVE account AS (
	SELECT DISTINCT customer, 0 AS step, 0::bigint AS n, 0 AS nth, NULL::date AS day, NULL::date AS evening,
		NULL::date AS created, NULL::date AS restored, NULL::date AS active,
		'none' AS state, NULL::date AS look_on, 0.00 AS balance, 0.00 AS unspent_bonus, NULL::date AS debt_since,
		0.00 AS paid, 0.00 AS bonus, 0.00 AS charged, NULL::text AS closure
	FROM purchase
	UNION ALL
	SELECT a.customer, a.step + 1, CASE WHEN e.is_purchase THEN e.n ELSE a.n END, o.nth, e.day,
		CASE WHEN e.is_purchase THEN a.evening ELSE e.day END,
		o.created, o.restored, active.day, closing.state, closing.look_on, m.balance, m.unspent_bonus, m.debt_since, m.paid,
		m.bonus, m.charged,
		CASE WHEN o.is_restored THEN 'restored' || CASE WHEN closing.step IS NOT NULL THEN ' ' || closing.step ELSE '' END
			ELSE closing.step END
	FROM account AS a
	-- the next purchase, or an evening that comes before it; LIMIT makes the planner use the index, and OFFSET 0 keeps it from
	-- copying each expression to where it is used, which would double them at every step
	LEFT JOIN LATERAL (SELECT n, day, dollars FROM bought WHERE customer = a.customer AND n = a.n + 1 LIMIT 1) AS p ON true
	CROSS JOIN LATERAL (SELECT least((date_trunc('month', coalesce(a.evening, a.created)) + interval '1 month')::date,
		a.look_on, date '1998-07-02') AS day OFFSET 0) AS w
	CROSS JOIN LATERAL (SELECT p.day IS NOT NULL AND (a.created IS NULL OR p.day <= w.day) AS is_purchase OFFSET 0) AS x
	CROSS JOIN LATERAL (SELECT x.is_purchase, p.n, CASE WHEN x.is_purchase THEN p.day ELSE w.day END AS day OFFSET 0) AS e
	-- a purchase may open an account, or restore one
	CROSS JOIN LATERAL (SELECT e.is_purchase AND (a.state IN ('none', 'purged') OR a.state = 'deleted' AND a.look_on <= e.day) AS is_new,
		e.is_purchase AND a.state = 'deleted' AND a.look_on > e.day AS is_restored OFFSET 0) AS f
	CROSS JOIN LATERAL (SELECT f.is_new, f.is_restored, a.nth + f.is_new::int AS nth,
		CASE WHEN f.is_new THEN e.day ELSE a.created END AS created,
		CASE WHEN f.is_restored THEN e.day WHEN NOT f.is_new THEN a.restored END AS restored,
		CASE WHEN f.is_new OR f.is_restored THEN 'active' ELSE a.state END AS state,
		CASE WHEN f.is_new OR f.is_restored THEN e.day ELSE a.active END AS active,
		CASE WHEN f.is_new THEN e.day + 41
			WHEN f.is_restored THEN CASE WHEN a.balance <= 0 THEN greatest(a.created + 41, e.day + 30) END
			ELSE a.look_on END AS look_on,
		CASE WHEN f.is_new THEN 0 ELSE a.balance END AS balance,
		CASE WHEN f.is_new THEN 0 ELSE a.unspent_bonus END AS unspent_bonus,
		CASE WHEN NOT f.is_new THEN a.debt_since END AS debt_since OFFSET 0) AS o
	-- money: what is left of a payment after the debt is repaid may earn a bonus; on the 1st the month before is charged: by days
	-- if it was the first one, and not at all if the account was deleted when it ended
	CROSS JOIN LATERAL (SELECT CASE WHEN e.is_purchase THEN p.dollars ELSE 0 END AS paid OFFSET 0) AS y
	CROSS JOIN LATERAL (SELECT y.paid + least(o.balance, 0) AS ahead OFFSET 0) AS z
	CROSS JOIN LATERAL (SELECT
		round(CASE WHEN z.ahead >= 114 THEN z.ahead * 0.10 WHEN y.paid > 0 AND z.ahead >= 57 THEN z.ahead * 0.05
			ELSE 0 END * sign(y.paid), 2) AS bonus,
		CASE WHEN NOT e.is_purchase AND extract(day FROM e.day) = 1 AND o.state IN ('active', 'closing')
			AND (o.restored < e.day) IS NOT FALSE THEN
			(SELECT round(19.00 * (e.day - greatest(l.month, o.created)) / (e.day - l.month), 2)
				+ 0.50 * greatest(coalesce(sum(u.quantity), 0) - 3, 0)
			 FROM (SELECT (e.day - interval '1 month')::date AS month) AS l
			 LEFT JOIN purchase AS u ON u.customer = a.customer AND u.day >= greatest(l.month, o.created) AND u.day < e.day
			 GROUP BY l.month)
			ELSE 0 END AS charged OFFSET 0) AS c
	CROSS JOIN LATERAL (SELECT y.paid, c.bonus, c.charged, o.balance + y.paid + c.bonus - c.charged AS balance,
		greatest(o.unspent_bonus + c.bonus - c.charged, 0) AS unspent_bonus OFFSET 0) AS b
	CROSS JOIN LATERAL (SELECT b.*, CASE WHEN b.balance < 0 THEN coalesce(o.debt_since, e.day) END AS debt_since OFFSET 0) AS m
	-- a purchase is an order, if not a payment too: either shows that the account is used, whatever its debt
	CROSS JOIN LATERAL (SELECT CASE WHEN e.is_purchase THEN e.day ELSE o.active END AS day OFFSET 0) AS active
	-- closures: 41 days old, 30 days idle, a balance of zero or less; 10 days' notice, after which all that must still hold;
	-- 20 days to come back
	CROSS JOIN LATERAL (SELECT coalesce(o.look_on, CASE WHEN m.balance <= 0 THEN e.day END) AS look_on,
		greatest(o.created + 41, active.day + 30) AS idle_on OFFSET 0) AS k
	CROSS JOIN LATERAL (SELECT
		CASE
			WHEN e.is_purchase AND o.state = 'closing' AND m.balance > 0 THEN 'cancelled'
			WHEN e.is_purchase OR k.look_on > e.day OR k.look_on IS NULL THEN NULL
			WHEN o.state = 'active' AND m.balance <= 0 AND k.idle_on <= e.day THEN 'scheduled'
			WHEN o.state = 'closing' AND m.balance <= 0 AND k.idle_on <= e.day THEN 'deleted'
			WHEN o.state = 'closing' THEN 'cancelled'
			WHEN o.state = 'deleted' THEN 'purged'
		END AS step OFFSET 0) AS s
	CROSS JOIN LATERAL (SELECT s.step,
		CASE s.step WHEN 'scheduled' THEN 'closing' WHEN 'cancelled' THEN 'active' WHEN 'deleted' THEN 'deleted'
			WHEN 'purged' THEN 'purged' ELSE o.state END AS state,
		CASE
			WHEN s.step = 'scheduled' THEN e.day + 10
			WHEN s.step = 'deleted' THEN e.day + 20
			WHEN s.step = 'purged' THEN NULL
			WHEN (s.step = 'cancelled' OR NOT e.is_purchase AND o.state = 'active' AND k.look_on <= e.day) THEN CASE
				WHEN m.balance <= 0 THEN greatest(k.idle_on, e.day + 1) END
			WHEN o.state = 'active' THEN k.look_on
			ELSE o.look_on
		END AS look_on) AS closing
	WHERE e.day <= '1998-07-01'
)
SELECT customer + 1000000 * (nth - 1) AS account_id, * FROM account WHERE step > 0;

-- The sums by month, and in all where the month is NULL.
CREATE TEMP VIEW second_total AS
SELECT account_id, month,
	count(*) FILTER (WHERE paid > 0) + count(*) FILTER (WHERE bonus > 0) + count(*) FILTER (WHERE charged > 0) AS entries,
	sum(paid) AS topups, sum(bonus) AS bonuses, sum(charged) AS charges,
	(array_agg(balance ORDER BY step DESC))[1] AS balance,
	(array_agg(unspent_bonus ORDER BY step DESC))[1] AS unspent_bonus,
	(array_agg(debt_since ORDER BY step DESC))[1] AS debt_since
FROM second_step, LATERAL (SELECT date_trunc('month', day)::date AS month) AS m
GROUP BY GROUPING SETS ((account_id, month), (account_id));

-- A closed account still has evenings in which nothing happens; a month without an entry does not count.
CREATE TEMP VIEW second_month AS
SELECT * FROM second_total WHERE month IS NOT NULL AND entries > 0;

CREATE TEMP VIEW second_account AS
SELECT account_id, entries, topups, bonuses, charges, balance, unspent_bonus, debt_since,
	CASE
		WHEN balance >= 0 THEN 'ok'
		WHEN date '1998-07-01' - debt_since < 3 THEN 'grace'
		WHEN date '1998-07-01' - debt_since < 6 THEN 'remind'
		WHEN date '1998-07-01' - debt_since < 9 THEN 'restrict'
		ELSE 'blocked'
	END AS stage
FROM second_total
WHERE month IS NULL;

-- An account to which its customer has not come back is purged on the first day on which it cannot be restored.
CREATE TEMP VIEW second_closure AS
SELECT account_id, day, x.step FROM second_step, string_to_table(closure, ' ') AS x (step)
UNION ALL
SELECT left_behind.account_id, look_on, 'purged'
FROM (SELECT DISTINCT ON (account_id) account_id, state, look_on FROM second_step ORDER BY account_id, step DESC) AS left_behind
WHERE state = 'deleted' AND look_on <= '1998-07-01';

-- The same columns from kbilling: months from the journal, accounts from their status,
-- steps from their history.
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
SELECT account_id, last_seq AS entries, coalesce(topups, 0) AS topups, coalesce(bonuses, 0) AS bonuses, coalesce(charges, 0) AS charges,
	kb_amount(balance) AS balance, kb_amount(bonus) AS unspent_bonus, debt_since, stage::text
FROM account_status
LEFT JOIN (SELECT account_id, sum(topups) AS topups, sum(bonuses) AS bonuses, sum(charges) AS charges
	FROM kbilling_month
	GROUP BY account_id) AS total USING (account_id);

CREATE TEMP VIEW kbilling_closure AS
SELECT account_id, taken_on AS day, step::text FROM closure_step WHERE step <> 'reminded';

-- An account that only one of the two has does not agree.
CREATE TEMP VIEW agreement AS
SELECT account_id, k IS NOT DISTINCT FROM s AND coalesce(months = agreeing, true) AND coalesce(steps = steps_agreeing, true) AS agrees,
	coalesce(months, 0) AS months, coalesce(agreeing, 0) AS agreeing_months,
	coalesce(steps, 0) AS steps, coalesce(steps_agreeing, 0) AS agreeing_steps
FROM kbilling_account AS k
FULL JOIN second_account AS s USING (account_id)
LEFT JOIN (SELECT account_id, count(*) AS months, count(*) FILTER (WHERE k IS NOT DISTINCT FROM s) AS agreeing
	FROM kbilling_month AS k
	FULL JOIN second_month AS s USING (account_id, month)
	GROUP BY account_id) AS by_month USING (account_id)
LEFT JOIN (SELECT account_id, count(*) AS steps, count(*) FILTER (WHERE k.n = s.n) AS steps_agreeing
	FROM (SELECT account_id, day, step, count(*) AS n FROM kbilling_closure GROUP BY 1, 2, 3) AS k
	FULL JOIN (SELECT account_id, day, step, count(*) AS n FROM second_closure GROUP BY 1, 2, 3) AS s USING (account_id, day, step)
	GROUP BY account_id) AS by_step USING (account_id);
