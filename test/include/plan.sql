-- The plan of a query, as text
CREATE FUNCTION pg_temp.plan_of(query text, options text = 'COSTS off') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	lines text = '';
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, query) LOOP
		lines = lines || line || E'\n';
	END LOOP;
	RETURN lines;
END $$;
