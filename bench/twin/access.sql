-- What a member may do (S3), as a careful application writes it in plpgsql.
\ir stage.sql
CREATE TYPE twin.access_decision AS (stage text, access text, amount_due bigint, next_stage text, next_stage_on date, delete_on date);

CREATE FUNCTION twin.access(the_account bigint, role text) RETURNS twin.access_decision
	LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a twin.account;
	p twin.policy;
	r twin.access_decision;
	today date;
BEGIN
	SELECT * INTO a FROM twin.account x WHERE x.account_id = the_account;
	IF NOT FOUND THEN
		RAISE 'there is no account %', the_account USING ERRCODE = 'KB001';
	END IF;
	today := (now() AT TIME ZONE a.time_zone)::date;
	r.amount_due := greatest(- a.balance, 0);
	r.delete_on := a.delete_on;
	r.stage := 'ok';
	IF a.debt_since IS NOT NULL THEN
		SELECT y.* INTO STRICT p FROM twin.tariff t JOIN twin.policy y USING (policy) WHERE t.tariff = a.tariff;
		r.stage := twin.stage(a.debt_since, a.deferred_until, today, p.remind_day, p.restrict_day, p.block_day);
		SELECT n.stage, n.day INTO r.next_stage, r.next_stage_on
		FROM (SELECT d.day, twin.stage(a.debt_since, a.deferred_until, d.day, p.remind_day, p.restrict_day, p.block_day) AS stage
			  FROM unnest(ARRAY[a.debt_since + p.remind_day - 1, a.debt_since + p.restrict_day - 1, a.debt_since + p.block_day - 1,
								a.deferred_until + 1]) AS d (day)) n
		WHERE n.day > today AND n.stage <> r.stage
		ORDER BY n.day LIMIT 1;
	END IF;
	r.access := CASE
		WHEN r.stage = 'blocked' OR a.state IN ('deleted', 'purged') THEN 'denied'
		WHEN role = 'employee' OR r.stage IN ('ok', 'grace') THEN 'full'
		WHEN r.stage = 'remind' THEN 'full_with_reminder'
		ELSE 'payment_only' END;
	RETURN r;
END $$;
