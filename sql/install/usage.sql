/*
 * Usage: the events of metered services, and their totals by month.
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


CREATE INDEX usage_level ON usage_event (account_id, service, period) WHERE is_level;
COMMENT ON INDEX usage_level IS 'Finds the events of a month whose highest or last quantity has been corrected';

CREATE INDEX usage_level_correction ON usage_event (account_id, service, period) WHERE is_level AND events < 0;
COMMENT ON INDEX usage_level_correction IS 'Tells whether a month has such a correction';


CREATE TABLE kbilling.usage_total (
	account_id      bigint NOT NULL,
	period          date NOT NULL,
	slot            smallint NOT NULL,
	settled         boolean NOT NULL DEFAULT false,
	events          bigint NOT NULL,
	billed_events   bigint NOT NULL DEFAULT 0,
	last_at         timestamptz,
	last_recorded_at timestamptz,
	counted_at      timestamptz NOT NULL,
	service         kb_text NOT NULL,
	aggregation     kb_aggregation NOT NULL,
	quantity        numeric,
	billed_quantity numeric NOT NULL DEFAULT 0,
	PRIMARY KEY (account_id, period, service, slot)
) WITH (fillfactor = 70);
SELECT pg_catalog.pg_extension_config_dump('kbilling.usage_total', '');
COMMENT ON TABLE usage_total IS 'Totals of kbilling.usage_event by month, in slots (U5)';
COMMENT ON COLUMN usage_total.account_id IS 'The account';
COMMENT ON COLUMN usage_total.period IS 'The month of the events'' time, by its first day';
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
'The part of the quantity that has been billed; for "max" and "last", that of the whole month';

-- settled changes only with a charge, and with the first event after it, so that counting stays a heap-only update.

CREATE INDEX usage_unbilled ON usage_total (account_id, period) WHERE NOT settled;
COMMENT ON INDEX usage_unbilled IS 'Finds what is still to be billed, of whatever month';


CREATE TABLE kbilling.usage_value (
	account_id bigint NOT NULL,
	period     date NOT NULL,
	events     bigint NOT NULL,
	change     smallint NOT NULL,
	service    kb_text NOT NULL,
	value      kb_text NOT NULL,
	PRIMARY KEY (account_id, period, service, value)
) WITH (fillfactor = 80);
SELECT pg_catalog.pg_extension_config_dump('kbilling.usage_value', '');
COMMENT ON TABLE usage_value IS 'The distinct values of a month, for the aggregation "unique" (U2)';
COMMENT ON COLUMN usage_value.account_id IS 'The account';
COMMENT ON COLUMN usage_value.period IS 'The month, by its first day';
COMMENT ON COLUMN usage_value.events IS
'How many events have the value, less corrections; it counts while that is above zero';
COMMENT ON COLUMN usage_value.change IS
'By how much the statement that wrote the row last changed the number of values';
COMMENT ON COLUMN usage_value.service IS 'The metered service';
COMMENT ON COLUMN usage_value.value IS 'The value';


CREATE TABLE kbilling.skipped_month (
	account_id bigint NOT NULL REFERENCES account,
	period     date NOT NULL,
	PRIMARY KEY (account_id, period)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.skipped_month', '');
COMMENT ON TABLE skipped_month IS
'Months that ended while an account was deleted. They are never charged, nor is their usage, whenever it is recorded '
'or taken back (D5)';
COMMENT ON COLUMN skipped_month.account_id IS 'The account';
COMMENT ON COLUMN skipped_month.period IS 'The month, by its first day';

-- Inlined; a key's revisions take turns: even ones count, odd ones take back.

CREATE FUNCTION kbilling_internal.kb_last_revision(account_id bigint, service text, key text)
	RETURNS TABLE (revision integer, at timestamptz, quantity numeric, events bigint, value text, metered_table text)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT e.revision, e.at, e.quantity, e.events, e.value, e.metered_table FROM usage_event e
	WHERE e.account_id = $1 AND e.service = $2 AND e.key = $3
	ORDER BY e.revision DESC LIMIT 1;
END;
COMMENT ON FUNCTION kb_last_revision(bigint, text, text) IS
'The last event that was recorded under a key; no row if there is none';

-- What recording calls for each event, and for each total.

-- The aggregations "max" and "last", whose slots do not add up.

-- A correction takes back the event of the same quantity and time; if there is none, the latest of the same quantity.
CREATE FUNCTION kbilling_internal.kb_level_of_events(account_id bigint, period date, service text, aggregation kb_aggregation)
	RETURNS TABLE (quantity numeric, at timestamptz, recorded_at timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	WITH correction AS MATERIALIZED (
		SELECT abs(c.quantity) AS quantity, c.at, - sum(c.events) AS events,
			   - sum(sum(c.events)) OVER (PARTITION BY abs(c.quantity)) AS all_events
		FROM usage_event c
		WHERE c.account_id = $1 AND c.service = $3 AND c.period = $2 AND c.is_level AND c.events < 0
		GROUP BY abs(c.quantity), c.at
	), event AS NOT MATERIALIZED (
		SELECT e.quantity, e.at, e.recorded_at FROM usage_event e
		WHERE e.account_id = $1 AND e.service = $3 AND e.period = $2 AND e.is_level AND e.events > 0
	), candidate AS (
		SELECT e.quantity, e.at, e.recorded_at,
			   row_number() OVER (PARTITION BY e.quantity, e.at ORDER BY e.recorded_at DESC)
			   <= coalesce((SELECT c.events FROM correction c WHERE c.quantity = e.quantity AND c.at = e.at), 0) AS is_meant
		FROM event e WHERE e.quantity IN (SELECT c.quantity FROM correction c)
	)
	SELECT l.quantity, l.at, l.recorded_at
	FROM ((SELECT e.quantity, e.at, e.recorded_at FROM event e
		   WHERE e.quantity NOT IN (SELECT c.quantity FROM correction c)
		   ORDER BY CASE $4 WHEN 'max' THEN e.quantity END DESC, e.at DESC, e.recorded_at DESC
		   LIMIT 1)
		  UNION ALL
		  SELECT k.quantity, k.at, k.recorded_at
		  FROM (SELECT x.*, row_number() OVER (PARTITION BY x.quantity ORDER BY x.is_meant DESC, x.at DESC, x.recorded_at DESC) AS n
				FROM candidate x) k
		  WHERE k.n > (SELECT max(c.all_events) FROM correction c WHERE c.quantity = k.quantity)) l
	ORDER BY CASE $4 WHEN 'max' THEN l.quantity END DESC, l.at DESC, l.recorded_at DESC
	LIMIT 1;
END;
COMMENT ON FUNCTION kb_level_of_events(bigint, date, text, kb_aggregation) IS
'A month''s quantity of a service that aggregates by "max" or "last", from its events without those that were taken '
'back; no row if none is left';

-- The slots ignore corrections: if there are any, the events are looked at again.  So no session has to wait for
-- another one, and none overlooks a correction.
CREATE FUNCTION kbilling_internal.kb_usage_level(account_id bigint, period date, service text, aggregation kb_aggregation)
	RETURNS numeric
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT coalesce(CASE
		WHEN EXISTS (SELECT FROM usage_event c
					 WHERE c.account_id = $1 AND c.service = $3 AND c.period = $2 AND c.is_level AND c.events < 0)
			THEN (SELECT l.quantity FROM kb_level_of_events($1, $2, $3, $4) l)
		WHEN $4 = 'max'
			THEN (SELECT max(t.quantity) FROM usage_total t WHERE t.account_id = $1 AND t.period = $2 AND t.service = $3)
		ELSE (SELECT t.quantity FROM usage_total t
			  WHERE t.account_id = $1 AND t.period = $2 AND t.service = $3 AND t.quantity IS NOT NULL
			  ORDER BY t.last_at DESC, t.last_recorded_at DESC LIMIT 1)
		END, 0);
END;
COMMENT ON FUNCTION kb_usage_level(bigint, date, text, kb_aggregation) IS
'A month''s quantity of a service that aggregates by "max" or "last"; zero if there is none';

-- Late usage is on the next bill, as a line of its own month (U3).  from_period and to_period are the first and the
-- last month to look at.  Usage that was taken back completely does not count, nor does late usage that adds nothing to
-- a highest, last or distinct quantity.
CREATE FUNCTION kbilling_internal.kb_unbilled_usage(account_id bigint, from_period date, to_period date)
	RETURNS TABLE (period date, service text, quantity numeric, events bigint, billed_quantity numeric, billed_events bigint)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT u.period, u.service, u.quantity - u.billed_quantity, (u.events - u.billed_events)::bigint,
		   u.billed_quantity, u.billed_events::bigint
	FROM (SELECT t.period, t.service, t.aggregation, sum(t.events) AS events, sum(t.billed_events) AS billed_events,
				 CASE WHEN t.aggregation IN ('max', 'last') THEN kb_usage_level($1, t.period, t.service, t.aggregation)
					 ELSE sum(t.quantity) END AS quantity,
				 CASE WHEN t.aggregation IN ('max', 'last') THEN max(t.billed_quantity) ELSE sum(t.billed_quantity) END AS billed_quantity
		  FROM (SELECT m.period, m.service, m.aggregation, m.quantity, m.events, m.billed_quantity, m.billed_events
				FROM usage_total m WHERE m.account_id = $1 AND m.period = $3
				UNION ALL
				SELECT l.period, l.service, l.aggregation, l.quantity, l.events, l.billed_quantity, l.billed_events
				FROM (SELECT DISTINCT o.period, o.service FROM usage_total o
					  WHERE o.account_id = $1 AND o.period >= $2 AND o.period < $3 AND NOT o.settled
						AND NOT EXISTS (SELECT FROM skipped_month k WHERE k.account_id = $1 AND k.period = o.period)) n
				JOIN usage_total l ON l.account_id = $1 AND l.period = n.period AND l.service = n.service) t
		  GROUP BY t.period, t.service, t.aggregation) u
	WHERE u.quantity <> u.billed_quantity OR u.events <> u.billed_events AND (u.period = $3 OR u.aggregation = 'sum');
END;
COMMENT ON FUNCTION kb_unbilled_usage(bigint, date, date) IS
'What an account has used in the months and has not been billed for, by month and service, with what it has been '
'billed for';

-- The pace is that of the running month and the one before, together.  A highest, last or distinct quantity stays as
-- it is; if there is none yet, as it was in the month before.
CREATE FUNCTION kbilling_internal.kb_paced_usage(account_id bigint, from_period date, to_period date, today date)
	RETURNS TABLE (period date, service text, quantity numeric, events bigint, billed_quantity numeric, billed_events bigint)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH month AS (
		SELECT kb_month_first_day($4) AS running, kb_month_first_day(kb_month_first_day($4) - 1) AS before
	), used AS (
		SELECT t.service, t.aggregation, t.period = m.running AS is_running, sum(t.events) AS events,
			   CASE WHEN t.aggregation IN ('max', 'last') THEN kb_usage_level($1, t.period, t.service, t.aggregation)
				   ELSE greatest(sum(t.quantity), 0) END AS quantity
		FROM month m JOIN usage_total t ON t.account_id = $1 AND t.period IN (m.running, m.before)
		GROUP BY t.service, t.aggregation, t.period, m.running
	), basis AS (
		SELECT u.service, u.aggregation IN ('sum', 'count') AS adds_up, sum(u.quantity) AS quantity, sum(u.events) AS events,
			   coalesce(max(u.quantity) FILTER (WHERE u.is_running), 0) AS so_far,
			   (array_agg(u.quantity ORDER BY u.is_running DESC))[1] AS level,
			   coalesce(max(u.events) FILTER (WHERE u.is_running), 0) AS events_so_far,
			   (array_agg(u.events ORDER BY u.is_running DESC))[1] AS level_events
		FROM used u GROUP BY u.service, u.aggregation
	), ahead AS (
		SELECT $4 - greatest(m.before, kb_account_date(a.created_at, a.time_zone)) + 1 AS days_past,
			   kb_month_last_day($3) - greatest($4, $3 - 1) AS days_ahead, $3 = m.running AS is_running
		FROM month m JOIN account a ON a.account_id = $1
		WHERE $3 >= m.running
	)
	SELECT u.period, u.service, sum(u.quantity), sum(u.events)::bigint, sum(u.billed_quantity), sum(u.billed_events)::bigint
	FROM (SELECT x.period, x.service, x.quantity, x.events, x.billed_quantity, x.billed_events FROM kb_unbilled_usage($1, $2, $3) x
		  UNION ALL
		  SELECT $3, b.service,
				 CASE WHEN b.adds_up THEN round(b.quantity * d.days_ahead / d.days_past, scale(b.quantity))
					 WHEN d.is_running THEN b.level - b.so_far ELSE b.level END,
				 CASE WHEN b.adds_up THEN round(b.events * d.days_ahead / d.days_past)
					 WHEN d.is_running THEN b.level_events - b.events_so_far ELSE b.level_events END, 0, 0
		  FROM basis b, ahead d WHERE d.days_ahead > 0) u
	GROUP BY u.period, u.service;
END;
COMMENT ON FUNCTION kb_paced_usage(bigint, date, date, date) IS
'The same as kb_unbilled_usage, with what "to_period" adds to it if usage goes on as it does today';

CREATE FUNCTION kbilling.kb_record_usage(account_id bigint, service text, quantity numeric, key text,
										 at timestamptz = NULL, properties jsonb = NULL)
	RETURNS boolean
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_record_usage';
COMMENT ON FUNCTION kb_record_usage(bigint, text, numeric, text, timestamptz, jsonb) IS
'Records usage of a metered service, at a moment (NULL: now). True if it counts, false if the account has had the '
'key for the service before (U1). A quantity below zero takes usage back, from the month of the moment. '
'Errors: KB001, KB010; KB012 for an unknown service, or one without a price; 22003 for a quantity that is not '
'finite, or too large; 22008 for a moment more than an hour ahead, or before the account''s first day; 22023 for a '
'service that is not metered, or a key that makes no sense';
