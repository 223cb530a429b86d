-- A guard in plpgsql: once for a statement, all its accounts in one query.
\ir stage.sql
CREATE FUNCTION twin.guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	refused bigint;
BEGIN
	SELECT n.account_id INTO refused
	FROM (SELECT DISTINCT account_id FROM added) n
	LEFT JOIN twin.account a ON a.account_id = n.account_id
	LEFT JOIN twin.tariff t ON t.tariff = a.tariff
	LEFT JOIN twin.policy p ON p.policy = t.policy
	WHERE a.account_id IS NULL OR a.state IN ('deleted', 'purged')
		OR (a.debt_since IS NOT NULL AND twin.stage(a.debt_since, a.deferred_until, (now() AT TIME ZONE a.time_zone)::date,
			p.remind_day, p.restrict_day, p.block_day) = 'blocked')
	LIMIT 1;
	IF FOUND THEN
		RAISE 'nothing may be written for account %', refused USING ERRCODE = 'KB003';
	END IF;
	RETURN NULL;
END $$;
