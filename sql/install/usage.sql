/*
 * Usage: the events of metered services, and their totals by month and price.
 *
 * An event has the price that holds on its day (C3), so a total is what one price
 * rates, whole.  Terms that change for days that are past give those days' events
 * another price: kb_reprice_usage.
 *
 * A month's total is kept in a few slots, so that writers of one account do not
 * queue behind each other.  A charge bills what the slots have beyond what was
 * billed before: whatever comes after it, or was still on its way, is left for
 * the next one.
 *
 * No foreign keys to account and service, as they would be checked for each
 * event; kb_check looks.
 */

CREATE TABLE kbilling.usage_event (
	account_id  bigint NOT NULL,
	at          timestamptz NOT NULL,
	recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	period      date NOT NULL,
	revision    integer NOT NULL DEFAULT 0,
	price_id    integer NOT NULL,
	is_level    boolean NOT NULL,
	events      bigint NOT NULL,
	service     kb_text NOT NULL,
	key         kb_text NOT NULL,
	quantity    numeric NOT NULL,
	value       kb_text,
	metered_table text,
	properties  kb_json,
	PRIMARY KEY (account_id, service, key, revision)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.usage_event', '');
COMMENT ON TABLE usage_event IS 'Usage events (U1); written by kb_record_usage, kb_record_usage_batch and kb_meter';
COMMENT ON COLUMN usage_event.account_id IS 'The account';
COMMENT ON COLUMN usage_event.at IS 'When it was used';
COMMENT ON COLUMN usage_event.recorded_at IS
'When it was recorded, by the machine''s clock. Events that are recorded together are a microsecond apart, in their '
'order';
COMMENT ON COLUMN usage_event.period IS 'The month of its time, by its first day, in the account''s time zone';
COMMENT ON COLUMN usage_event.revision IS
'0 when the key comes first. An odd number takes the event back, as its metered row was changed or deleted; an even '
'one counts it again';
COMMENT ON COLUMN usage_event.price_id IS
'The price of kbilling.price under which it is billed: that of its local day (C3). What a correction takes back it '
'takes back under the same price';
COMMENT ON COLUMN usage_event.is_level IS
'True if the service aggregates by "max" or "last": then a correction has to look at the events again';
COMMENT ON COLUMN usage_event.events IS
'1, or -1 for a correction. For metered rows without a key, how many of them the event stands for';
COMMENT ON COLUMN usage_event.service IS 'The metered service';
COMMENT ON COLUMN usage_event.key IS
'Counts once for each account and service (U1). Keys that begin with "kb:" are those of metered rows without a key';
COMMENT ON COLUMN usage_event.quantity IS 'Units; below zero for a correction';
COMMENT ON COLUMN usage_event.value IS 'The value that counts once in a month, for the aggregation "unique" (U2)';
COMMENT ON COLUMN usage_event.metered_table IS
'The table, with its schema, whose row has the key; NULL if the event was recorded by a call, or has no key';
COMMENT ON COLUMN usage_event.properties IS 'The application''s own notes on the event';


CREATE INDEX usage_level ON usage_event (account_id, service, period, price_id) WHERE is_level;
COMMENT ON INDEX usage_level IS 'Finds the events of a month whose highest or last quantity has been corrected';

CREATE INDEX usage_level_correction ON usage_event (account_id, service, period, price_id) WHERE is_level AND events < 0;
COMMENT ON INDEX usage_level_correction IS 'Tells whether a month has such a correction';


-- Half of a page is left free, so that a statement that counts for all of its accounts leaves the old rows room beside the
-- new ones: every update is heap-only, and the table stays as large as it is.
CREATE TABLE kbilling.usage_total (
	account_id      bigint NOT NULL,
	events          bigint NOT NULL,
	billed_events   bigint NOT NULL DEFAULT 0,
	counted_at      timestamptz NOT NULL,
	last_at         timestamptz,
	last_recorded_at timestamptz,
	period          date NOT NULL,
	price_id        integer NOT NULL,
	aggregation     kb_aggregation NOT NULL,
	slot            smallint NOT NULL,
	settled         boolean NOT NULL DEFAULT false,
	service         kb_text NOT NULL,
	quantity        numeric,
	billed_quantity numeric NOT NULL DEFAULT 0,
	PRIMARY KEY (account_id, period, service, price_id, slot)
) WITH (fillfactor = 50);
SELECT pg_catalog.pg_extension_config_dump('kbilling.usage_total', '');
COMMENT ON TABLE usage_total IS 'Totals of kbilling.usage_event by month and price, in slots (U5)';
COMMENT ON COLUMN usage_total.account_id IS 'The account';
COMMENT ON COLUMN usage_total.period IS 'The month of the events'' time, by its first day';
COMMENT ON COLUMN usage_total.price_id IS 'The price of kbilling.price under which they are billed, as one line (C3)';
COMMENT ON COLUMN usage_total.slot IS 'Number of the slot. Sessions write to different ones; the total is their sum';
COMMENT ON COLUMN usage_total.settled IS 'True if all of it has been billed';
COMMENT ON COLUMN usage_total.events IS 'How many events there are, less corrections';
COMMENT ON COLUMN usage_total.billed_events IS 'How many of them have been billed';
COMMENT ON COLUMN usage_total.last_at IS 'Time of the last event, for the aggregation "last"';
COMMENT ON COLUMN usage_total.last_recorded_at IS
'When that event was recorded: of two events of the same time, the later recorded is the last';
COMMENT ON COLUMN usage_total.counted_at IS
'When something was last counted here, by kb_now(): recorded usage is activity (D1), whatever the time of the events';
COMMENT ON COLUMN usage_total.service IS 'The metered service';
COMMENT ON COLUMN usage_total.aggregation IS 'How the events become the quantity (U2)';
COMMENT ON COLUMN usage_total.quantity IS
'This slot''s part of the quantity. For "max" and "last" it leaves corrections out, and is NULL if the slot has '
'nothing else';
COMMENT ON COLUMN usage_total.billed_quantity IS
'The part of the quantity that has been billed; for "max" and "last", that of all slots';

-- settled changes only with a charge, and with the first event after it, so that counting stays a heap-only update.

CREATE INDEX usage_unbilled ON usage_total (account_id, period) WHERE NOT settled;
COMMENT ON INDEX usage_unbilled IS 'Finds what is still to be billed, of whatever month';


CREATE TABLE kbilling.usage_value (
	account_id bigint NOT NULL,
	period     date NOT NULL,
	price_id   integer NOT NULL,
	events     bigint NOT NULL,
	change     smallint NOT NULL,
	service    kb_text NOT NULL,
	value      kb_text NOT NULL,
	PRIMARY KEY (account_id, period, service, price_id, value)
) WITH (fillfactor = 80);
SELECT pg_catalog.pg_extension_config_dump('kbilling.usage_value', '');
COMMENT ON TABLE usage_value IS 'The distinct values of a month under a price, for the aggregation "unique" (U2)';
COMMENT ON COLUMN usage_value.account_id IS 'The account';
COMMENT ON COLUMN usage_value.period IS 'The month, by its first day';
COMMENT ON COLUMN usage_value.price_id IS 'The price of kbilling.price under which they are billed';
COMMENT ON COLUMN usage_value.events IS
'How many events have the value, less corrections; it counts while that is above zero';
COMMENT ON COLUMN usage_value.change IS
'By how much the statement that wrote the row last changed the number of values';
COMMENT ON COLUMN usage_value.service IS 'The metered service';
COMMENT ON COLUMN usage_value.value IS 'The value';


CREATE TABLE kbilling.usage_hold (
	account_id bigint NOT NULL,
	expires_at timestamptz NOT NULL,
	service    kb_text NOT NULL,
	key        kb_text NOT NULL,
	quantity   numeric NOT NULL,
	PRIMARY KEY (account_id, service, key)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.usage_hold', '');
COMMENT ON TABLE usage_hold IS 'Units that are held before they are used (L4): kb_hold_usage. What is settled or released has no row';
COMMENT ON COLUMN usage_hold.account_id IS 'The account';
COMMENT ON COLUMN usage_hold.expires_at IS 'From this moment on it is free; the row may stay longer';
COMMENT ON COLUMN usage_hold.service IS 'The metered service';
COMMENT ON COLUMN usage_hold.key IS 'The key of the usage that settles it';
COMMENT ON COLUMN usage_hold.quantity IS 'Units';

CREATE TABLE kbilling.skipped_month (
	account_id bigint NOT NULL REFERENCES account,
	period     date NOT NULL,
	PRIMARY KEY (account_id, period)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.skipped_month', '');
COMMENT ON TABLE skipped_month IS
'Months that ended while an account was deleted (D5), or whose charge was reversed (U3). They are not charged any '
'more, nor is their usage billed or given back, whenever it is recorded or taken back';
COMMENT ON COLUMN skipped_month.account_id IS 'The account';
COMMENT ON COLUMN skipped_month.period IS 'The month, by its first day';

-- Inlined; a key's revisions take turns: even ones count, odd ones take back.

CREATE FUNCTION kbilling_internal.kb_last_revision(account_id bigint, service text, key text)
	RETURNS TABLE (revision integer, at timestamptz, quantity numeric, events bigint, value text, price_id integer, metered_table text)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT e.revision, e.at, e.quantity, e.events, e.value, e.price_id, e.metered_table FROM usage_event e
	WHERE e.account_id = $1 AND e.service = $2 AND e.key = $3
	ORDER BY e.revision DESC LIMIT 1;
END;
COMMENT ON FUNCTION kb_last_revision(bigint, text, text) IS
'The last event that was recorded under a key; no row if there is none';

-- What is taken back had a price, and comes back at that: where the same value or level was counted; else that of its day,
-- if that has usage in the month; else that of the month under which the most is left.  Where neither day nor month has a
-- price, that of an earlier month.
CREATE FUNCTION kbilling_internal.kb_take_back_price(account_id bigint, period date, service text, price_id integer, quantity numeric,
													 value text)
	RETURNS integer
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce((SELECT u.price_id
				 FROM (SELECT t.period, t.price_id,
							  CASE WHEN min(t.aggregation) IN ('max', 'last') THEN max(t.quantity) ELSE sum(t.quantity) END AS quantity,
							  CASE min(t.aggregation)
								  WHEN 'unique' THEN EXISTS (SELECT FROM usage_value v
															 WHERE v.account_id = $1 AND v.period = t.period AND v.service = $3
																AND v.price_id = t.price_id AND v.value = $6 AND v.events > 0)
								  WHEN 'sum' THEN false
								  WHEN 'count' THEN false
								  ELSE coalesce((SELECT sum(e.events) FROM usage_event e
												 WHERE e.account_id = $1 AND e.period = t.period AND e.service = $3
													AND e.price_id = t.price_id AND e.is_level AND e.quantity IN ($5, - $5)), 0) > 0
							  END AS has_it
					   FROM usage_total t
					   WHERE t.account_id = $1 AND t.service = $3 AND (t.period = $2 OR t.period < $2 AND $4 IS NULL)
					   GROUP BY t.period, t.price_id) u
				 WHERE u.quantity > 0 OR u.has_it OR $4 IS NULL
				 ORDER BY u.period DESC, u.has_it DESC, (u.price_id IS NOT DISTINCT FROM $4 AND u.quantity > 0) DESC,
					 u.quantity DESC NULLS LAST, u.price_id
				 LIMIT 1), $4);
COMMENT ON FUNCTION kb_take_back_price(bigint, date, text, integer, numeric, text) IS
'The price under which a quantity below zero, or one with a value, counts in a month, where "price_id" is the price of its '
'day, or NULL; NULL if the account has never used the service';

-- The aggregations "max" and "last", whose slots do not add up.

-- A correction takes back the event of the same quantity and time; if there is none, the latest of the same quantity.
CREATE FUNCTION kbilling_internal.kb_level_of_events(account_id bigint, period date, service text, price_id integer,
													 aggregation kb_aggregation)
	RETURNS TABLE (quantity numeric, at timestamptz, recorded_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	WITH correction AS MATERIALIZED (
		SELECT abs(c.quantity) AS quantity, c.at, - sum(c.events) AS events,
			   - sum(sum(c.events)) OVER (PARTITION BY abs(c.quantity)) AS all_events
		FROM usage_event c
		WHERE c.account_id = $1 AND c.service = $3 AND c.period = $2 AND c.price_id = $4 AND c.is_level AND c.events < 0
		GROUP BY abs(c.quantity), c.at
	), event AS NOT MATERIALIZED (
		SELECT e.quantity, e.at, e.recorded_at FROM usage_event e
		WHERE e.account_id = $1 AND e.service = $3 AND e.period = $2 AND e.price_id = $4 AND e.is_level AND e.events > 0
	), candidate AS (
		SELECT e.quantity, e.at, e.recorded_at,
			   row_number() OVER (PARTITION BY e.quantity, e.at ORDER BY e.recorded_at DESC)
			   <= coalesce((SELECT c.events FROM correction c WHERE c.quantity = e.quantity AND c.at = e.at), 0) AS is_meant
		FROM event e WHERE e.quantity IN (SELECT c.quantity FROM correction c)
	)
	SELECT l.quantity, l.at, l.recorded_at
	FROM ((SELECT e.quantity, e.at, e.recorded_at FROM event e
		   WHERE e.quantity NOT IN (SELECT c.quantity FROM correction c)
		   ORDER BY CASE $5 WHEN 'max' THEN e.quantity END DESC, e.at DESC, e.recorded_at DESC
		   LIMIT 1)
		  UNION ALL
		  SELECT k.quantity, k.at, k.recorded_at
		  FROM (SELECT x.*, row_number() OVER (PARTITION BY x.quantity ORDER BY x.is_meant DESC, x.at DESC, x.recorded_at DESC) AS n
				FROM candidate x) k
		  WHERE k.n > (SELECT max(c.all_events) FROM correction c WHERE c.quantity = k.quantity)) l
	ORDER BY CASE $5 WHEN 'max' THEN l.quantity END DESC, l.at DESC, l.recorded_at DESC
	LIMIT 1;
END;
COMMENT ON FUNCTION kb_level_of_events(bigint, date, text, integer, kb_aggregation) IS
'A month''s quantity under a price of a service that aggregates by "max" or "last", from its events without those '
'that were taken back; no row if none is left';

-- The slots ignore corrections: if there are any, the events are looked at again.  So no session has to wait for
-- another one, and none overlooks a correction.
CREATE FUNCTION kbilling_internal.kb_usage_level(account_id bigint, period date, service text, price_id integer,
												 aggregation kb_aggregation)
	RETURNS numeric
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT coalesce(CASE
		WHEN EXISTS (SELECT FROM usage_event c
					 WHERE c.account_id = $1 AND c.service = $3 AND c.period = $2 AND c.price_id = $4 AND c.is_level AND c.events < 0)
			THEN (SELECT l.quantity FROM kb_level_of_events($1, $2, $3, $4, $5) l)
		WHEN $5 = 'max'
			THEN (SELECT max(t.quantity) FROM usage_total t
				  WHERE t.account_id = $1 AND t.period = $2 AND t.service = $3 AND t.price_id = $4)
		ELSE (SELECT t.quantity FROM usage_total t
			  WHERE t.account_id = $1 AND t.period = $2 AND t.service = $3 AND t.price_id = $4 AND t.quantity IS NOT NULL
			  ORDER BY t.last_at DESC, t.last_recorded_at DESC LIMIT 1)
		END, 0);
END;
COMMENT ON FUNCTION kb_usage_level(bigint, date, text, integer, kb_aggregation) IS
'A month''s quantity under a price of a service that aggregates by "max" or "last"; zero if there is none';

-- Late usage is on the next bill, as a line of its own month and price (U3).  from_period and to_period are the first
-- and the last month to look at.  Usage that was taken back completely does not count, nor does late usage that adds
-- nothing to a highest, last or distinct quantity: what it was billed for stands there with zero, as do the other
-- prices of such a month and service, because they are all rounded together (M4).
CREATE FUNCTION kbilling_internal.kb_unbilled_usage(account_id bigint, from_period date, to_period date)
	RETURNS TABLE (period date, service text, price_id integer, quantity numeric, events bigint,
				   billed_quantity numeric, billed_events bigint)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT u.period, u.service, u.price_id, u.quantity - u.billed_quantity,
		   CASE WHEN u.period = $3 OR u.quantity <> u.billed_quantity OR u.aggregation = 'sum'
			   THEN u.events - u.billed_events ELSE 0 END::bigint,
		   u.billed_quantity, u.billed_events::bigint
	FROM (SELECT t.period, t.service, t.price_id, t.aggregation, sum(t.events) AS events, sum(t.billed_events) AS billed_events,
				 CASE WHEN t.aggregation IN ('max', 'last') THEN kb_usage_level($1, t.period, t.service, t.price_id, t.aggregation)
					 ELSE sum(t.quantity) END AS quantity,
				 CASE WHEN t.aggregation IN ('max', 'last') THEN max(t.billed_quantity) ELSE sum(t.billed_quantity) END AS billed_quantity
		  FROM (SELECT DISTINCT o.period, o.service FROM usage_total o
				WHERE o.account_id = $1 AND o.period >= $2 AND o.period <= $3 AND NOT o.settled
				  AND (o.period = $3 OR NOT EXISTS (SELECT FROM skipped_month k WHERE k.account_id = $1 AND k.period = o.period))) n
		  JOIN usage_total t ON t.account_id = $1 AND t.period = n.period AND t.service = n.service
		  GROUP BY t.period, t.service, t.price_id, t.aggregation) u
	WHERE u.period < $3 OR u.quantity <> u.billed_quantity OR u.events <> u.billed_events;
END;
COMMENT ON FUNCTION kb_unbilled_usage(bigint, date, date) IS
'What an account has used in the months and has not been billed for, by month, service and price, with what it has '
'been billed for';

-- What a reversal or a restore has skipped is never billed.
CREATE FUNCTION kbilling_internal.kb_has_unbilled(account_id bigint) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (SELECT FROM usage_total o
			   WHERE o.account_id = $1 AND NOT o.settled
				AND NOT EXISTS (SELECT FROM skipped_month k WHERE k.account_id = $1 AND k.period = o.period));
COMMENT ON FUNCTION kb_has_unbilled(bigint) IS 'Whether usage of an account waits for its bill';

-- The pace is that of the running month and the one before, together, at the prices of the days ahead.  A highest,
-- last or distinct quantity stays as it is; if there is none yet, as it was in the month before.
CREATE FUNCTION kbilling_internal.kb_paced_usage(account_id bigint, from_period date, to_period date, today date)
	RETURNS TABLE (period date, service text, price_id integer, quantity numeric, events bigint,
				   billed_quantity numeric, billed_events bigint)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH month AS (
		SELECT kb_month_first_day($4) AS running, kb_month_first_day(kb_month_first_day($4) - 1) AS before
	), used AS (
		SELECT t.service, t.price_id, t.aggregation, t.period = m.running AS is_running, sum(t.events) AS events,
			   CASE WHEN t.aggregation IN ('max', 'last') THEN kb_usage_level($1, t.period, t.service, t.price_id, t.aggregation)
				   ELSE greatest(sum(t.quantity), 0) END AS quantity
		FROM month m JOIN usage_total t ON t.account_id = $1 AND t.period IN (m.running, m.before)
		GROUP BY t.service, t.price_id, t.aggregation, t.period, m.running
	), basis AS (
		SELECT u.service, u.aggregation IN ('sum', 'count') AS adds_up, sum(u.quantity) AS quantity, sum(u.events) AS events,
			   (array_agg(u.quantity ORDER BY u.is_running DESC, u.quantity DESC))[1] AS level,
			   (array_agg(u.events ORDER BY u.is_running DESC, u.quantity DESC))[1] AS level_events
		FROM used u GROUP BY u.service, u.aggregation
	), ahead AS (
		SELECT $4 - greatest(m.before, kb_account_date(a.created_at, a.time_zone)) + 1 AS days_past,
			   greatest($4 + 1, $3) AS from_date, least(kb_month_last_day($3), a.ends_on) + 1 AS to_date, $3 = m.running AS is_running
		FROM month m JOIN account a ON a.account_id = $1
		WHERE $3 >= m.running
	), priced AS (
		SELECT b.service, p.price_id, d.is_running, d.days_past, b.adds_up, b.quantity, b.events, b.level, b.level_events,
			   sum(least(x.to_date, p.to_date, d.to_date) - greatest(x.from_date, p.from_date, d.from_date)) AS days
		FROM basis b
		CROSS JOIN ahead d
		JOIN account_tariff x ON x.account_id = $1
		JOIN price_list p ON p.tariff = x.tariff AND p.service = b.service
		WHERE greatest(x.from_date, p.from_date, d.from_date) < least(x.to_date, p.to_date, d.to_date)
		GROUP BY b.service, p.price_id, d.is_running, d.days_past, b.adds_up, b.quantity, b.events, b.level, b.level_events
	)
	SELECT u.period, u.service, u.price_id, sum(u.quantity), sum(u.events)::bigint, sum(u.billed_quantity), sum(u.billed_events)::bigint
	FROM (SELECT x.period, x.service, x.price_id, x.quantity, x.events, x.billed_quantity, x.billed_events
		  FROM kb_unbilled_usage($1, $2, $3) x
		  UNION ALL
		  SELECT $3, y.service, y.price_id,
				 CASE WHEN y.adds_up THEN round(y.quantity * y.days / y.days_past, scale(y.quantity)) ELSE y.level END,
				 CASE WHEN y.adds_up THEN round(y.events * y.days / y.days_past) ELSE y.level_events END, 0, 0
		  FROM priced y
		  WHERE y.adds_up OR NOT y.is_running
			OR NOT EXISTS (SELECT FROM used s WHERE s.is_running AND s.service = y.service AND s.price_id = y.price_id)) u
	GROUP BY u.period, u.service, u.price_id;
END;
COMMENT ON FUNCTION kb_paced_usage(bigint, date, date, date) IS
'The same as kb_unbilled_usage, with what "to_period" adds to it if usage goes on as it does today';

-- Recording an event and changing the terms of its day exclude each other: whoever comes second sees what the first
-- has done.  Those who record do not wait for each other.
CREATE FUNCTION kbilling_internal.kb_lock_usage(account_id bigint) RETURNS void
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'kb_lock_usage';
COMMENT ON FUNCTION kb_lock_usage(bigint) IS
'Waits until no other transaction that has recorded usage of the account is open, and lets none record any until '
'this one ends; of all accounts, if it is NULL. What the account''s row holds is locked before';

-- Corrections of a key have the time of what they take back, and so its price.  What was taken back by a quantity of
-- its own goes where usage is left, as when it was recorded: see kb_take_back_price.
CREATE FUNCTION kbilling_internal.kb_repriced_events(account_ids bigint[], service text, from_date date)
	RETURNS TABLE (account_id bigint, period date, service text, aggregation kb_aggregation, key text, revision integer, price_id integer,
				   new_price_id integer, month_changes boolean, quantity numeric, events bigint, value text, at timestamptz,
				   recorded_at timestamptz)
	LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH month AS (
		SELECT a.account_id, a.time_zone, a.tariff, a.tariff_from, t.period, t.service, min(t.aggregation) AS aggregation
		FROM account a JOIN usage_total t ON t.account_id = a.account_id
		WHERE a.account_id = ANY ($1) AND t.period >= kb_month_first_day(greatest(a.charged_through + 1, $3))
			AND ($2 IS NULL OR t.service = $2)
		GROUP BY a.account_id, t.period, t.service
	), event AS MATERIALIZED (
		SELECT e.account_id, e.period, e.service, m.aggregation, e.key, e.revision, e.price_id, e.quantity, e.events, e.value, e.at,
			   e.recorded_at, (e.events < 0 OR e.quantity < 0) <> (e.revision % 2 = 1) AS takes_back,
			   CASE m.aggregation WHEN 'sum' THEN NULL WHEN 'count' THEN NULL WHEN 'unique' THEN e.value
				   ELSE trim_scale(abs(e.quantity))::text END AS mark,
			   CASE WHEN d.day >= $3 THEN coalesce(p.price_id, e.price_id) ELSE e.price_id END AS day_price_id
		FROM month m
		JOIN usage_event e ON e.account_id = m.account_id AND e.service = m.service AND e.period = m.period
		CROSS JOIN LATERAL (SELECT kb_account_date(e.at, m.time_zone) AS day OFFSET 0) d
		CROSS JOIN LATERAL kb_tariff_on(m.account_id, m.tariff, m.tariff_from, d.day) x
		LEFT JOIN price_list p ON p.tariff = x.tariff AND p.service = e.service AND p.from_date <= d.day AND p.to_date > d.day
	), used AS MATERIALIZED (	-- "left" is what the take-backs of the same days leave of it
		SELECT u.account_id, u.period, u.service, u.price_id, u.quantity,
			   CASE u.aggregation WHEN 'sum' THEN u.quantity + u.taken_back WHEN 'count' THEN u.events - u.times_taken_back
				   ELSE u.quantity END AS "left"
		FROM (SELECT e.account_id, e.period, e.service, e.aggregation, e.day_price_id AS price_id,
					 CASE e.aggregation WHEN 'sum' THEN sum(e.quantity) FILTER (WHERE NOT e.takes_back)
						 WHEN 'max' THEN max(e.quantity) FILTER (WHERE NOT e.takes_back)
						 WHEN 'last' THEN max(e.quantity) FILTER (WHERE NOT e.takes_back)
						 ELSE sum(e.events) FILTER (WHERE NOT e.takes_back) END AS quantity,
					 coalesce(sum(- abs(e.quantity)) FILTER (WHERE e.takes_back), 0) AS taken_back,
					 coalesce(sum(e.events) FILTER (WHERE NOT e.takes_back), 0) AS events,
					 count(*) FILTER (WHERE e.takes_back) AS times_taken_back
			  FROM event e
			  GROUP BY e.account_id, e.period, e.service, e.aggregation, e.day_price_id) u
		WHERE u.quantity > 0
	), same AS MATERIALIZED (	-- where a value or level that is taken back was counted
		SELECT e.account_id, e.service, e.key, e.revision,
			   (array_agg(c.day_price_id ORDER BY c.day_price_id = e.day_price_id DESC, c.day_price_id = e.price_id DESC,
						  c.day_price_id))[1] AS price_id
		FROM event e
		JOIN (SELECT DISTINCT o.account_id, o.period, o.service, o.mark, o.day_price_id FROM event o
			  WHERE o.mark IS NOT NULL AND NOT o.takes_back AND o.events > 0) c
			ON c.account_id = e.account_id AND c.period = e.period AND c.service = e.service AND c.mark = e.mark
		WHERE e.takes_back
		GROUP BY e.account_id, e.service, e.key, e.revision
	)
	SELECT p.account_id, p.period, p.service, p.aggregation, p.key, p.revision, p.price_id, p.new_price_id,
		   bool_or(p.new_price_id <> p.price_id) OVER (PARTITION BY p.account_id, p.period, p.service),
		   p.quantity, p.events, p.value, p.at, p.recorded_at
	FROM (SELECT e.*, CASE WHEN e.takes_back
						  THEN coalesce(s.price_id,
										(SELECT u.price_id FROM used u
										 WHERE u.account_id = e.account_id AND u.period = e.period AND u.service = e.service
										 ORDER BY u.price_id = e.day_price_id DESC, u.price_id = e.price_id DESC,
											u."left" DESC, u.price_id
										 LIMIT 1), e.day_price_id)
						  ELSE e.day_price_id END AS new_price_id
		  FROM event e
		  LEFT JOIN same s ON s.account_id = e.account_id AND s.service = e.service AND s.key = e.key AND s.revision = e.revision) p;
END;
COMMENT ON FUNCTION kb_repriced_events(bigint[], text, date) IS
'The usage of the accounts'' months that are not charged, of one service or all of them (NULL), with the price that '
'each event has now: for days from the date on, the one that holds on its day, if there is one';

-- Nobody records usage of the accounts meanwhile, and nobody charges them.  What was is deleted before what is now is
-- written, so the parts that insert look at those that delete.
CREATE FUNCTION kbilling_internal.kb_reprice_usage(account_ids bigint[], service text, from_date date) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH event AS MATERIALIZED (
		SELECT e.* FROM kb_repriced_events($1, $2, $3) e WHERE e.month_changes
	), month AS (
		SELECT DISTINCT e.account_id, e.period, e.service FROM event e
	), written AS (
		UPDATE usage_event x SET price_id = e.new_price_id FROM event e
		WHERE x.account_id = e.account_id AND x.service = e.service AND x.key = e.key AND x.revision = e.revision
			AND e.new_price_id <> e.price_id
	), value AS MATERIALIZED (
		SELECT e.account_id, e.period, e.service, e.new_price_id AS price_id, e.value, sum(e.events)::bigint AS events
		FROM event e WHERE e.value IS NOT NULL
		GROUP BY e.account_id, e.period, e.service, e.new_price_id, e.value
	), old_value AS (
		DELETE FROM usage_value v USING month m
		WHERE v.account_id = m.account_id AND v.period = m.period AND v.service = m.service
		RETURNING v.account_id
	), new_value AS (
		INSERT INTO usage_value (account_id, period, service, price_id, value, events, change)
		SELECT v.account_id, v.period, v.service, v.price_id, v.value, v.events, 0 FROM value v
		WHERE (SELECT count(*) FROM old_value) >= 0
	), old_total AS (
		DELETE FROM usage_total t USING month m
		WHERE t.account_id = m.account_id AND t.period = m.period AND t.service = m.service
		RETURNING t.account_id, t.period, t.service, t.counted_at
	)
	INSERT INTO usage_total (account_id, period, service, price_id, slot, aggregation, events, quantity, last_at, last_recorded_at,
							 counted_at)
	SELECT g.account_id, g.period, g.service, g.price_id, 0, g.aggregation, g.events,
		   CASE g.aggregation WHEN 'sum' THEN g.quantity WHEN 'count' THEN g.events WHEN 'max' THEN g.highest
			   WHEN 'unique' THEN (SELECT count(*) FROM value v WHERE v.account_id = g.account_id AND v.period = g.period
									AND v.service = g.service AND v.price_id = g.price_id AND v.events > 0)
			   ELSE g.latest[3] END,
		   to_timestamp(g.latest[1]::double precision), to_timestamp(g.latest[2]::double precision),
		   (SELECT max(o.counted_at) FROM old_total o
			WHERE o.account_id = g.account_id AND o.period = g.period AND o.service = g.service)
	FROM (SELECT e.account_id, e.period, e.service, e.new_price_id AS price_id, e.aggregation, sum(e.quantity) AS quantity,
				 sum(e.events)::bigint AS events,
				 max(e.quantity) FILTER (WHERE e.aggregation = 'max' AND e.events > 0) AS highest,
				 max(ARRAY[extract(epoch FROM e.at), extract(epoch FROM e.recorded_at), e.quantity])
					 FILTER (WHERE e.aggregation = 'last' AND e.events > 0) AS latest
		  FROM event e GROUP BY e.account_id, e.period, e.service, e.new_price_id, e.aggregation) g;
END;
COMMENT ON FUNCTION kb_reprice_usage(bigint[], text, date) IS
'Writes what kb_repriced_events says, and counts anew the months in which an event gets another price (C3). Months that '
'are charged stay as they are. The accounts are locked, and their usage';

CREATE FUNCTION kbilling_internal.kb_reprice_account(account_id bigint, from_date date) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_lock_usage($1);
	SELECT kb_reprice_usage(ARRAY[$1], NULL, $2);
END;
COMMENT ON FUNCTION kb_reprice_account(bigint, date) IS
'What kb_reprice_usage does, for an account whose terms have changed. It waits for every other transaction that has '
'recorded usage of it. The account is locked';

CREATE FUNCTION kbilling_internal.kb_accounts_to_reprice(tariff text, service text, from_date date) RETURNS bigint[]
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (SELECT coalesce(array_agg(DISTINCT t.account_id), '{}')
		FROM usage_total t JOIN account a ON a.account_id = t.account_id
		WHERE kb_is_owned(t.account_id) AND t.service = $2 AND NOT t.settled
			AND t.period >= kb_month_first_day(greatest(a.charged_through + 1, $3))
			AND EXISTS (SELECT FROM account_tariff x
						WHERE x.account_id = t.account_id AND x.tariff = $1 AND x.to_date > greatest($3, t.period)));
COMMENT ON FUNCTION kb_accounts_to_reprice(text, text, date) IS
'The accounts that have used the service, in a month that is not charged, and were on the tariff from the date on';

CREATE FUNCTION kbilling_internal.kb_reprice_tariff(tariff text, service text, from_date date) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_keep_buckets();
	SELECT FROM account a WHERE a.account_id = ANY (kb_accounts_to_reprice($1, $2, $3)) ORDER BY a.account_id FOR NO KEY UPDATE;
	SELECT kb_lock_usage(NULL);
	UPDATE account a SET terms_version = a.terms_version + 1 WHERE a.account_id = ANY (kb_accounts_to_reprice($1, $2, $3));
	SELECT kb_reprice_usage(kb_accounts_to_reprice($1, $2, $3), $2, $3);
END;
COMMENT ON FUNCTION kb_reprice_tariff(text, text, date) IS
'What kb_reprice_usage does, for all accounts on a tariff, as a price of it has changed. It waits for every other '
'transaction that has recorded usage, and lets none record any until this one ends';

CREATE FUNCTION kbilling.kb_record_usage(account_id bigint, service text, quantity numeric, key text,
										 at timestamptz = NULL, properties jsonb = NULL)
	RETURNS boolean
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_record_usage';
COMMENT ON FUNCTION kb_record_usage(bigint, text, numeric, text, timestamptz, jsonb) IS
'Records usage of a metered service, at a moment (NULL: now). True if it counts, false if the account has had the '
'key for the service before (U1). A quantity below zero takes usage back, from the month of the moment. '
'Errors: KB001, KB010; KB012 for an unknown service, or one without a price; 22003 for a quantity that is not '
'finite, or too large; 22008 for a moment more than an hour ahead, before the account''s first day, or after the end of its '
'contract; 22023 for a '
'service that is not metered, or a key that makes no sense';
