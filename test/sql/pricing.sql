-- Usage priced as it was used, at random: terms and events of every day of three months, kept and priced a second time
-- (rules C3, C6, U2, U3)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/clock.sql
\set seed 0.4711
\echo # the seed is :seed

-- Each account has a twin, whose months the sweep charges; kb_month_charge charges those of the first.
\set twin 1000

SET kbilling.clock = '2026-01-01 00:00+00';
SELECT kb_create_service(a, 'metered', CASE a WHEN 'unique' THEN 'user' END, a) FROM unnest('{sum,count,max,unique,last}'::text[]) AS a
\g /dev/null
SELECT kb_create_tariff(t, 'USD') FROM unnest('{one,two,three,none}'::text[]) AS t
\g /dev/null

-- The second computation: what was agreed day by day, and what was used.  It shares kb_rate with kbilling, and nothing else.

CREATE TEMP TABLE m_account (id bigint PRIMARY KEY, zone text, charged date);	-- the month that is charged next
CREATE TEMP TABLE m_tariff (id bigint, day date, tariff text, PRIMARY KEY (id, day));
CREATE TEMP TABLE m_price (n int GENERATED ALWAYS AS IDENTITY, tariff text, service text, from_date date, price text);
CREATE TEMP TABLE m_event (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id bigint, service text, key text, at timestamptz, day date,
	month date, quantity numeric, value text, price int, taken_back bool DEFAULT false, takes bool DEFAULT false);
CREATE TEMP TABLE m_billed (id bigint, month date, service text, price int, quantity numeric, events bigint);
CREATE TEMP TABLE m_line (id bigint, period date, service text, late bool, from_date date, to_date date, quantity numeric,
	events bigint, billed_quantity numeric, billed_events bigint, price text, amount numeric);

-- Of the prices that begin until then the one that begins last; of two that begin on one day, the one that was set last
CREATE FUNCTION pg_temp.price_on(id bigint, service text, day date) RETURNS int LANGUAGE sql STABLE RETURN (
	SELECT p.n FROM m_tariff AS t JOIN m_price AS p ON p.tariff = t.tariff AND p.service = $2 AND p.from_date <= $3
	WHERE t.id = $1 AND t.day = $3 ORDER BY p.from_date DESC, p.n DESC LIMIT 1);
-- Terms have changed: usage that is not charged is priced again, where there is a price
CREATE FUNCTION pg_temp.reprice() RETURNS void LANGUAGE sql AS $$
	UPDATE m_event AS e SET price = coalesce(pg_temp.price_on(e.id, e.service, e.day), e.price)
	FROM m_account AS a WHERE a.id = e.id AND e.month >= a.charged;
$$;
CREATE FUNCTION pg_temp.cost(price text, quantity numeric, events bigint) RETURNS numeric LANGUAGE sql
	RETURN CASE WHEN quantity <= 0 AND events <= 0 THEN 0
		ELSE kb_amount(kb_rate(price::kb_price, quantity, 'USD', greatest(events, 0))) END;

-- What was used of each month under each price.  Of "sum" and "count", what takes back counts below zero; of the others,
-- what is taken back does not count.
CREATE TEMP VIEW m_used AS
	SELECT id, month, service, price,
		count(*) FILTER (WHERE NOT takes AND (NOT taken_back OR service IN ('sum', 'count'))) - count(*) FILTER (WHERE takes) AS events,
		CASE service
			WHEN 'sum' THEN coalesce(sum(quantity), 0)
			WHEN 'count' THEN count(*) FILTER (WHERE NOT takes) - count(*) FILTER (WHERE takes)
			WHEN 'max' THEN coalesce(max(quantity) FILTER (WHERE NOT taken_back), 0)
			WHEN 'unique' THEN count(DISTINCT value) FILTER (WHERE NOT taken_back)
			ELSE coalesce((array_agg(quantity ORDER BY at DESC, n DESC) FILTER (WHERE NOT taken_back))[1], 0) END AS quantity
	FROM m_event GROUP BY id, month, service, price;
-- The days of a month on which a price held for an account; of the whole month, or what it had of it, if it held on none
CREATE FUNCTION pg_temp.held(id bigint, price int, month date, OUT from_date date, OUT to_date date) LANGUAGE sql STABLE AS $$
	SELECT coalesce(min(t.day), greatest(month, (SELECT min(f.day) FROM m_tariff AS f WHERE f.id = held.id))),
		coalesce(max(t.day), (month + interval '1 month')::date - 1)
	FROM m_price AS p LEFT JOIN m_tariff AS t ON t.id = held.id AND t.tariff = p.tariff
		AND t.day >= month AND t.day < month + interval '1 month' AND pg_temp.price_on(t.id, p.service, t.day) = p.n
	WHERE p.n = held.price
$$;
-- Of what is left under each price, in the order of the prices, that of one of them, when what is below zero has been taken from
-- those with the most left
CREATE FUNCTION pg_temp.net(l numeric[], i bigint) RETURNS numeric LANGUAGE sql RETURN (
	SELECT CASE WHEN l[i] > 0 THEN greatest(l[i] - greatest(coalesce(sum(- x) FILTER (WHERE x < 0), 0)
		- coalesce(sum(x) FILTER (WHERE x > 0 AND (x > l[i] OR x = l[i] AND n < i)), 0), 0), 0) ELSE 0 END
	FROM unnest(l) WITH ORDINALITY AS u (x, n));
-- Under which prices what takes back was booked is not asked here
CREATE FUNCTION pg_temp.look_up_prices(account bigint) RETURNS void LANGUAGE sql AS $$
	UPDATE m_event AS e SET price = m.n
	FROM usage_event AS u JOIN price AS p ON p.price_id = u.price_id
	JOIN m_price AS m ON m.tariff = p.tariff AND m.service = p.service AND m.from_date = p.from_date AND m.price::kb_price = p.price
	WHERE e.takes AND e.id = account AND (u.account_id, u.service, u.key) = (e.id, e.service, e.key);
$$;
-- The lines of the month that is charged next
CREATE FUNCTION pg_temp.bill(account bigint) RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.look_up_prices(account);
	INSERT INTO m_line
	SELECT a.id, a.charged, u.service, u.month < a.charged, CASE u.month WHEN a.charged THEN h.from_date ELSE u.month END,
		CASE u.month WHEN a.charged THEN h.to_date ELSE kb_month_last_day(u.month) END, u.quantity - u.billed_quantity,
		u.events - u.billed_events, CASE WHEN u.month < a.charged THEN u.billed_quantity END,
		CASE WHEN u.month < a.charged THEN u.billed_events END, p.price::kb_price::text,
		pg_temp.cost(p.price, u.quantity, u.events::bigint) - pg_temp.cost(p.price, u.billed_quantity, u.billed_events::bigint)
	FROM m_account AS a
	CROSS JOIN LATERAL (
		SELECT u.month, u.service, u.price, pg_temp.net(array_agg(u.quantity) OVER w, i) AS quantity,
			pg_temp.net(array_agg(u.events::numeric) OVER w, i) AS events,
			pg_temp.net(array_agg(coalesce(b.quantity, 0)) OVER w, i) AS billed_quantity,
			pg_temp.net(array_agg(coalesce(b.events, 0)::numeric) OVER w, i) AS billed_events
		FROM (SELECT *, row_number() OVER (PARTITION BY month, service ORDER BY price) AS i FROM m_used
			WHERE id = a.id AND month <= a.charged) AS u
		LEFT JOIN m_billed AS b ON (b.id, b.month, b.service, b.price) = (u.id, u.month, u.service, u.price)
		WINDOW w AS (PARTITION BY u.month, u.service ORDER BY u.price ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) AS u
	JOIN m_price AS p ON p.n = u.price
	CROSS JOIN pg_temp.held(a.id, u.price, u.month) AS h
	WHERE a.id = account AND (u.quantity <> u.billed_quantity
		OR u.events <> u.billed_events AND (u.month = a.charged OR u.service = 'sum'));
	DELETE FROM m_billed WHERE id = account;
	INSERT INTO m_billed SELECT u.id, u.month, u.service, u.price, u.quantity, u.events FROM m_used AS u JOIN m_account AS a
		ON a.id = u.id AND u.month <= a.charged WHERE u.id = account;
	UPDATE m_account SET charged = charged + interval '1 month' WHERE id = account;
$$;

-- What happens

CREATE FUNCTION pg_temp.dice(n int) RETURNS int LANGUAGE sql RETURN floor(random() * n)::int;
CREATE FUNCTION pg_temp.pick(texts text[]) RETURNS text LANGUAGE sql RETURN texts[1 + pg_temp.dice(cardinality(texts))];
-- Amounts of whole cents, so that the order in which lines are rounded does not matter; each price has another
CREATE FUNCTION pg_temp.set_price(tariff text, service text, from_date date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	cents numeric = (1 + (SELECT count(*) FROM m_price)) * 0.01;
	price text = format(pg_temp.pick('{%1$s each,%1$s each free 3,%1$s per 10 free 1,"graduated %1$s to 5, 0.01",'
		'"volume %1$s to 8, 0.02 + 1.00 to 20, 0.01",%1$s,10%% + %1$s}'::text[]), cents);
BEGIN
	INSERT INTO m_price (tariff, service, from_date, price) VALUES (tariff, service, from_date, price);
	PERFORM kb_set_price(tariff, service, price::kb_price, from_date);
	PERFORM pg_temp.reprice();
END $$;
CREATE FUNCTION pg_temp.switch(account bigint, tariff text, day date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE m_tariff AS t SET tariff = switch.tariff WHERE id = account AND t.day >= switch.day;
	PERFORM kb_set_tariff(account, tariff, day), kb_set_tariff(account + 1000, tariff, day);
	PERFORM pg_temp.reprice();
END $$;
CREATE FUNCTION pg_temp.record(account bigint, service text, quantity numeric, key text, at timestamptz, value text) RETURNS text
	LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kb_record_usage(account + twin, service, quantity, key, at, jsonb_build_object('user', value))
	FROM unnest('{0,1000}'::int[]) AS twin;
	RETURN 'recorded';
EXCEPTION WHEN SQLSTATE 'KB012' THEN
	RETURN 'refused';
END $$;
-- An event of a moment, and whether kbilling and the second computation agree that it has a price
CREATE TEMP TABLE outcome (why text, agreed bool);
CREATE FUNCTION pg_temp.use(account bigint, moment timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	s text = pg_temp.pick('{sum,count,max,unique,last}');
	q numeric = 1 + pg_temp.dice(9);
	v text = pg_temp.pick('{x,y,z}');
	k text = 'k' || (SELECT count(*) FROM m_event) || '-' || (SELECT count(*) FROM outcome);
	d date = (SELECT (moment AT TIME ZONE zone)::date FROM m_account WHERE id = account);
	p int = pg_temp.price_on(account, s, d);
	was text;
BEGIN
	IF NOT EXISTS (SELECT FROM m_tariff WHERE id = account AND day = d) THEN RETURN; END IF;
	was = pg_temp.record(account, s, q, k, moment, v);
	INSERT INTO outcome VALUES (CASE WHEN p IS NULL THEN 'no price' ELSE 'a price' END, (was = 'recorded') = (p IS NOT NULL));
	IF p IS NOT NULL THEN
		INSERT INTO m_event (id, service, key, at, day, month, quantity, value, price)
		VALUES (account, s, k, moment, d, date_trunc('month', d)::date, q, v, p);
	END IF;
END $$;
-- Takes an event back: of "sum" and "count" at its time or another one of its month, else at its time, if its price is still that of
-- its day.  Of "sum", what was used in the month may be taken back as one.
CREATE FUNCTION pg_temp.take_back(account bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	e m_event = (SELECT x FROM m_event AS x WHERE id = account AND NOT taken_back AND NOT takes ORDER BY random() LIMIT 1);
	adds_up bool = e.service IN ('sum', 'count');
	zone text = (SELECT zone FROM m_account WHERE id = account);
	moment timestamptz = e.at;
BEGIN
	IF adds_up AND pg_temp.dice(3) > 0 THEN
		moment = e.at + (random() * 40 - 20) * interval '1 day';
		IF moment > kb_now() OR date_trunc('month', moment AT TIME ZONE zone) <> e.month OR NOT EXISTS (
			SELECT FROM m_tariff WHERE id = account AND day = (moment AT TIME ZONE zone)::date) THEN
			moment = e.at;
		END IF;
	END IF;
	IF e.service = 'sum' AND pg_temp.dice(2) = 0 THEN
		WITH taken AS (
			UPDATE m_event AS x SET taken_back = true
			WHERE x.id = account AND x.month = e.month AND x.service = 'sum' AND NOT x.taken_back AND NOT x.takes
			RETURNING x.quantity
		)
		SELECT sum(quantity) INTO e.quantity FROM taken;
	END IF;
	IF adds_up OR e.price = pg_temp.price_on(account, e.service, e.day) THEN
		UPDATE m_event SET taken_back = true WHERE n = e.n;
		INSERT INTO outcome VALUES ('taken back',
			pg_temp.record(account, e.service, - e.quantity, 'back ' || e.key, moment, e.value) = 'recorded');
	END IF;
	IF adds_up THEN
		INSERT INTO m_event (id, service, key, at, month, quantity, takes)
		VALUES (account, e.service, 'back ' || e.key, moment, e.month, - e.quantity, true);
	END IF;
END $$;

SELECT setseed(:seed)
\g /dev/null
INSERT INTO m_account SELECT n, (ARRAY['UTC', 'America/New_York', 'Pacific/Auckland', 'Asia/Kolkata'])[1 + n % 4], '2026-01-01'
FROM generate_series(1, 24) AS n;
INSERT INTO m_tariff SELECT id, day::date, (ARRAY['one', 'two', 'three'])[1 + id % 3] FROM m_account,
	generate_series('2026-01-02 12:00+00' AT TIME ZONE zone, '2026-08-01', interval '1 day') AS day;
SELECT pg_temp.clock('2026-01-02 12:00+00'), kb_create_account('a', t.tariff, a.id + twin, a.zone)
FROM m_account AS a JOIN m_tariff AS t ON t.id = a.id AND t.day = '2026-01-05', unnest('{0,1000}'::int[]) AS twin
\g /dev/null
SELECT pg_temp.set_price(t, s, '2026-01-01') FROM unnest('{one,two,three}'::text[]) AS t, unnest('{sum,count,max,unique,last}'::text[]) AS s
\g /dev/null

CREATE TEMP TABLE preview AS SELECT NULL::bigint AS id, NULL::date AS period, l.* FROM kb_current_usage(1) AS l;
CREATE FUNCTION pg_temp.a_day(today date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a record;
BEGIN
	PERFORM pg_temp.clock(today + interval '20 hours' + random() * interval '3 hours');
	IF pg_temp.dice(3) = 0 THEN
		PERFORM pg_temp.set_price(pg_temp.pick('{one,two,three}'), pg_temp.pick('{sum,count,max,unique,last}'),
			greatest(today + pg_temp.dice(40) - 30, (SELECT min(charged) FROM m_account), '2026-01-01'));
	END IF;
	FOR a IN SELECT *, (kb_now() AT TIME ZONE zone)::date AS local FROM m_account ORDER BY id LOOP
		IF pg_temp.dice(8) = 0 THEN
			PERFORM pg_temp.switch(a.id, pg_temp.pick('{one,two,three,none}'),
				greatest(a.charged, '2026-01-03', a.local - pg_temp.dice(20) + 8));
		END IF;
		FOR i IN 1..pg_temp.dice(4) LOOP
			PERFORM pg_temp.use(a.id, kb_now() - CASE pg_temp.dice(3) WHEN 0 THEN random() * interval '40 days' ELSE interval '0' END);
		END LOOP;
		IF pg_temp.dice(4) = 0 THEN
			PERFORM pg_temp.take_back(a.id);
		END IF;
	END LOOP;
END $$;
-- The month ends in each zone: what is shown on its last moment, and what is charged.  What comes late comes after that.
CREATE FUNCTION pg_temp.end_of(month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a record;
BEGIN
	FOR a IN SELECT * FROM m_account ORDER BY ((month + interval '1 month') AT TIME ZONE zone), id LOOP
		PERFORM pg_temp.clock(((month + interval '1 month') AT TIME ZONE a.zone) - interval '1 microsecond');
		INSERT INTO preview SELECT a.id + twin, month, l.* FROM unnest('{0,1000}'::int[]) AS twin, kb_current_usage(a.id + twin) AS l;
	END LOOP;
	FOR a IN SELECT * FROM m_account ORDER BY id LOOP
		PERFORM pg_temp.clock((month + interval '1 month') AT TIME ZONE 'America/New_York');
		PERFORM pg_temp.bill(a.id), kb_month_charge(a.id);
	END LOOP;
END $$;

SELECT pg_temp.a_day(day::date) FROM generate_series(timestamp '2026-01-03', '2026-01-30', interval '1 day') AS day \g /dev/null
SELECT pg_temp.end_of('2026-01-01') \g /dev/null
CALL kb_sweep();
SELECT pg_temp.a_day(day::date) FROM generate_series(timestamp '2026-02-01', '2026-02-27', interval '1 day') AS day \g /dev/null
SELECT pg_temp.end_of('2026-02-01') \g /dev/null
CALL kb_sweep();
SELECT pg_temp.a_day(day::date) FROM generate_series(timestamp '2026-03-01', '2026-03-30', interval '1 day') AS day \g /dev/null
SELECT pg_temp.end_of('2026-03-01') \g /dev/null
CALL kb_sweep();

SELECT is_empty('SELECT why, count(*) FROM outcome WHERE NOT agreed GROUP BY 1',
	'U4: what has a price on its day is recorded, and nothing else');
SELECT cmp_ok(n, '>', 150::bigint, 'much was ' || why) FROM (SELECT why, count(*) AS n FROM outcome GROUP BY 1
	UNION ALL SELECT CASE WHEN late THEN 'late' ELSE 'a line' END, count(*) FROM m_line GROUP BY late) AS t;
CREATE TEMP TABLE charged AS
	SELECT account_id AS id, period, line_no, service, what, from_date, to_date, days, days_in_month, quantity, events, billed_quantity,
		billed_events, price, amount
	FROM charge_line;
SELECT is_empty($$(SELECT * FROM preview WHERE (id, period) IN (SELECT id, period FROM charged) EXCEPT ALL SELECT * FROM charged)
	UNION ALL (SELECT * FROM charged EXCEPT ALL SELECT * FROM preview)$$,
	'C6: what the last moment of a month shows is charged, line by line');
SELECT is_empty($$SELECT id, period, kbilling.sum(amount) FROM preview WHERE (id, period) NOT IN (SELECT id, period FROM charged)
	GROUP BY 1, 2 HAVING kb_amount(kbilling.sum(amount)) <> 0$$, 'C8: but for months that come to zero');
SELECT is_empty($$SELECT id % 1000, to_jsonb(c) - 'id' FROM charged AS c GROUP BY 1, 2 HAVING count(*) <> 2$$,
	'C4: kb_month_charge and the sweep charge the same');
CREATE TEMP VIEW shown AS SELECT id, period, service, what = 'late usage' AS late,
	CASE what WHEN 'usage' THEN from_date ELSE kb_month_first_day(from_date) END AS from_date,
	CASE what WHEN 'usage' THEN to_date ELSE kb_month_last_day(to_date) END AS to_date, quantity, events, billed_quantity,
	billed_events, price, kb_amount(amount) AS amount FROM preview WHERE id < 1000 AND service <> 'base';
SELECT is_empty('SELECT * FROM shown EXCEPT ALL SELECT * FROM m_line', 'C3, U2, U3: every line is what the second computation says');
SELECT is_empty('SELECT * FROM m_line EXCEPT ALL SELECT * FROM shown', 'C3, U2, U3: and no line is missing');
SELECT cmp_ok(count(*), '>', 10::bigint, 'U3: under some prices more was taken back than used') FROM m_used WHERE quantity < 0;
SELECT is_empty('SELECT * FROM kb_check()', 'U5: the totals are those of the events');
SELECT is_empty('SELECT * FROM sweep_failure', 'W3: no account failed');
SELECT * FROM finish();
