/*
 * The schema, the clock, and the SQL way to raise an error.
 */

CREATE SCHEMA kbilling;
COMMENT ON SCHEMA kbilling IS
'Billing rules of a subscription service: accounts, journal, month charges, stages of access';
GRANT USAGE ON SCHEMA kbilling TO PUBLIC;

CREATE SCHEMA kbilling_internal;
COMMENT ON SCHEMA kbilling_internal IS
'What the functions, views and triggers of kbilling are made of; not to be called by others';

-- Names in function bodies and views are looked up in these schemas when they are created; what is created is named
-- with its schema.
SET LOCAL search_path TO pg_catalog, kbilling, kbilling_internal, pg_temp;

CREATE FUNCTION kbilling.kb_now() RETURNS timestamptz
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_now';
COMMENT ON FUNCTION kbilling.kb_now() IS
'The time by which all rules go: the start of the transaction, or the setting kbilling.clock if a superuser has set '
'that for a test';

-- It stands in a CASE, which tries its conditions in the order in which they are written; the items of a SELECT are evaluated in
-- no certain order, so a check that is a function is a statement of its own.
-- STABLE though it raises: a VOLATILE one would keep the functions that use it from being inlined.
CREATE FUNCTION kbilling_internal.kb_raise(state text, message text, detail text = NULL, hint text = NULL) RETURNS void
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_raise';
COMMENT ON FUNCTION kbilling_internal.kb_raise(text, text, text, text) IS
'Raises an error with the given SQLSTATE, message, detail and hint; KB008 instead if it would repeat a card number (T4)';

CREATE FUNCTION kbilling_internal.kb_require_not_null(names text, VARIADIC "any") RETURNS void
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_require_not_null';
COMMENT ON FUNCTION kbilling_internal.kb_require_not_null(text, "any") IS
'Raises 22004 with the name of the first value that is null; the names are separated by commas, one for each value';
