/*
 * Metering: the rows of an application's table as usage (E3).
 */

CREATE FUNCTION kbilling.kb_meter() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET jit = off
	AS 'MODULE_PATHNAME', 'kb_meter';
COMMENT ON FUNCTION kb_meter() IS
'Trigger: turns the rows of an application''s table into usage (E3). Arguments: service, account column, quantity column (or '''': 1 each; for "unique" the column whose values count), key column (or none: each row counts). AFTER INSERT, UPDATE or DELETE, FOR EACH STATEMENT, with transition tables; an UPDATE or DELETE corrects what was recorded';
