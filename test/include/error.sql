-- What a statement raises, in its parts; all are NULL if it raises nothing
CREATE FUNCTION pg_temp.raised(statement text, OUT state text, OUT message text, OUT detail text, OUT hint text,
	OUT context text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
		context = PG_EXCEPTION_CONTEXT;
END $$;

-- An error as "SQLSTATE message | detail | hint", '' if there is none
CREATE FUNCTION pg_temp.error_of(statement text) RETURNS text LANGUAGE sql
	RETURN (SELECT concat_ws(' | ', r.state || ' ' || r.message, nullif(r.detail, ''), nullif(r.hint, ''))
		FROM pg_temp.raised(statement) r);

-- The same without the hint: "SQLSTATE message | detail"
CREATE FUNCTION pg_temp.error_with_detail(statement text) RETURNS text LANGUAGE sql
	RETURN (SELECT concat_ws(' | ', r.state || ' ' || r.message, nullif(r.detail, '')) FROM pg_temp.raised(statement) r);

-- Why a statement is refused, as "SQLSTATE detail"; "done" if it is not
CREATE FUNCTION pg_temp.refusal(statement text) RETURNS text LANGUAGE sql
	RETURN (SELECT coalesce(nullif(concat_ws(' ', r.state, nullif(r.detail, '')), ''), 'done') FROM pg_temp.raised(statement) r);
