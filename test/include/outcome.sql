-- What becomes of a statement, by a role if one is given: "through", or "SQLSTATE message"
CREATE FUNCTION pg_temp.outcome(statement text, role text = NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF role IS NOT NULL THEN
		EXECUTE format('SET LOCAL ROLE %I', role);
	END IF;
	EXECUTE statement;
	RESET ROLE;
	RETURN 'through';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
