-- The stage of a debt (S2, S4), in plpgsql.
CREATE FUNCTION twin.stage(debt_since date, deferred_until date, today date,
						   remind_day integer, restrict_day integer, block_day integer)
	RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
	day integer := today - debt_since + 1;
BEGIN
	IF debt_since IS NULL OR day < 1 THEN
		RETURN 'ok';
	ELSIF day < remind_day OR today <= deferred_until THEN
		RETURN 'grace';
	ELSIF day < restrict_day THEN
		RETURN 'remind';
	ELSIF day < block_day THEN
		RETURN 'restrict';
	END IF;
	RETURN 'blocked';
END $$;

-- The stage of a debt by the standard policy's days (S2), in plpgsql.
CREATE FUNCTION twin.stage(debt_since date, today date) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
	day integer := today - debt_since + 1;
BEGIN
	IF debt_since IS NULL OR day < 1 THEN
		RETURN 'ok';
	END IF;
	RETURN CASE WHEN day < 4 THEN 'grace' WHEN day < 7 THEN 'remind' WHEN day < 10 THEN 'restrict' ELSE 'blocked' END;
END $$;
