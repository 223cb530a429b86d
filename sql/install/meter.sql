/*
 * Metering: the rows of an application's table as usage (E3).
 */

CREATE FUNCTION kbilling.kb_meter() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET jit = off
	AS 'MODULE_PATHNAME', 'kb_meter';
COMMENT ON FUNCTION kb_meter() IS
'Trigger function that records the rows of an application''s table as usage (E3). It is attached AFTER INSERT, '
'UPDATE or DELETE, FOR EACH STATEMENT, with transition tables; an UPDATE or DELETE corrects what was recorded. Its '
'arguments are the service, the account column, the quantity column and the key column. If the quantity column is '
'missing, or an empty text, each row counts 1; for the aggregation "unique" it is the column whose values are '
'counted. If the key column is missing, each row counts';
