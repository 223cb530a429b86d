-- Usage as a careful application writes it in plpgsql: each event is checked (U1, U4), a known key counts once, and the month's total
-- moves with it (U5). It has one total for a month, where kbilling has slots; one price, and no other aggregation than the sum.
CREATE TABLE twin.service (service text PRIMARY KEY, kind text NOT NULL);
INSERT INTO twin.service VALUES ('orders', 'metered');

CREATE FUNCTION twin.record_usage(the_account bigint, the_service text, the_quantity numeric, the_key text, the_time timestamptz = NULL)
	RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a twin.account;
BEGIN
	the_time := coalesce(the_time, now());
	SELECT * INTO a FROM twin.account x WHERE x.account_id = the_account;
	IF NOT FOUND THEN
		RAISE 'there is no account %', the_account USING ERRCODE = 'KB001';
	ELSIF a.state IN ('deleted', 'purged') THEN
		RAISE 'account % is deleted', the_account USING ERRCODE = 'KB010';
	ELSIF NOT EXISTS (SELECT FROM twin.service s WHERE s.service = the_service AND s.kind = 'metered') THEN
		RAISE 'there is no metered service %', the_service USING ERRCODE = 'KB012';
	ELSIF the_quantity IS NULL OR the_quantity IN ('NaN', 'Infinity', '-Infinity') THEN
		RAISE 'the quantity must be finite' USING ERRCODE = '22003';
	ELSIF the_time > now() + interval '1 hour' OR the_time < a.created_at - interval '1 day' THEN
		RAISE 'the time is out of range' USING ERRCODE = '22008';
	ELSIF the_key IS NULL OR length(the_key) NOT BETWEEN 1 AND 255 OR the_key ~ '(^|\D)\d{13,19}(\D|$)' THEN
		RAISE 'the key makes no sense' USING ERRCODE = '22023';
	END IF;
	INSERT INTO twin.usage_event (account_id, service, key, at, quantity)
	VALUES (the_account, the_service, the_key, the_time, the_quantity)
	ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	INSERT INTO twin.usage_total AS t (account_id, period, service, events, quantity, counted_at)
	VALUES (the_account, date_trunc('month', the_time AT TIME ZONE a.time_zone)::date, the_service, 1, the_quantity, now())
	ON CONFLICT (account_id, period, service) DO UPDATE
		SET events = t.events + 1, quantity = t.quantity + excluded.quantity, counted_at = excluded.counted_at;
	RETURN true;
END $$;

-- Of many at once: what is wrong with the first that is refused, and then two statements
CREATE FUNCTION twin.record_usage_batch(events jsonb) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wrong bigint;
	counted bigint;
BEGIN
	SELECT e.account_id INTO wrong
	FROM jsonb_to_recordset(events) AS e (account_id bigint, service text, key text, at timestamptz, quantity numeric)
	LEFT JOIN twin.account a ON a.account_id = e.account_id AND a.state NOT IN ('deleted', 'purged')
	LEFT JOIN twin.service s ON s.service = e.service AND s.kind = 'metered'
	WHERE a.account_id IS NULL OR s.service IS NULL OR coalesce(e.quantity, 'NaN') IN ('NaN', 'Infinity', '-Infinity')
		OR e.at > now() + interval '1 hour' OR e.at < a.created_at - interval '1 day'
		OR e.key IS NULL OR length(e.key) NOT BETWEEN 1 AND 255 OR e.key ~ '(^|\D)\d{13,19}(\D|$)'
	LIMIT 1;
	IF FOUND THEN
		RAISE 'an event of account % is refused', wrong USING ERRCODE = '22023';
	END IF;
	WITH new AS (
		INSERT INTO twin.usage_event (account_id, service, key, at, quantity)
		SELECT e.account_id, e.service, e.key, coalesce(e.at, now()), e.quantity
		FROM jsonb_to_recordset(events) AS e (account_id bigint, service text, key text, at timestamptz, quantity numeric)
		ON CONFLICT DO NOTHING
		RETURNING account_id, service, at, quantity
	), total AS (
		INSERT INTO twin.usage_total AS t (account_id, period, service, events, quantity, counted_at)
		SELECT n.account_id, date_trunc('month', n.at AT TIME ZONE a.time_zone)::date, n.service, count(*), sum(n.quantity), now()
		FROM new n JOIN twin.account a USING (account_id)
		GROUP BY 1, 2, 3
		ORDER BY 1, 2, 3
		ON CONFLICT (account_id, period, service) DO UPDATE
			SET events = t.events + excluded.events, quantity = t.quantity + excluded.quantity, counted_at = excluded.counted_at
	)
	SELECT count(*) INTO counted FROM new;
	RETURN counted;
END $$;

-- The rows of a statement as events (E3)
CREATE FUNCTION twin.meter() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM added n LEFT JOIN twin.account a ON a.account_id = n.account_id AND a.state NOT IN ('deleted', 'purged')
			   WHERE a.account_id IS NULL) THEN
		RAISE 'a row has no account' USING ERRCODE = 'KB001';
	END IF;
	WITH new AS (
		INSERT INTO twin.usage_event (account_id, service, key, at, quantity)
		SELECT account_id, 'orders', sale_id::text, now(), quantity FROM added
		ON CONFLICT DO NOTHING
		RETURNING account_id, service, at, quantity
	)
	INSERT INTO twin.usage_total AS t (account_id, period, service, events, quantity, counted_at)
	SELECT n.account_id, date_trunc('month', n.at AT TIME ZONE a.time_zone)::date, n.service, count(*), sum(n.quantity), now()
	FROM new n JOIN twin.account a USING (account_id)
	GROUP BY 1, 2, 3
	ORDER BY 1, 2, 3
	ON CONFLICT (account_id, period, service) DO UPDATE
		SET events = t.events + excluded.events, quantity = t.quantity + excluded.quantity, counted_at = excluded.counted_at;
	RETURN NULL;
END $$;
