/*
 * Usage by the batch, as JSON.
 */

-- Without JIT: compiling takes longer than most batches do.
CREATE FUNCTION kbilling.kb_record_usage_batch(events jsonb) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET jit = off
	AS 'MODULE_PATHNAME', 'kb_record_usage_batch';
COMMENT ON FUNCTION kb_record_usage_batch(jsonb) IS
'Records an array of objects with the arguments of kb_record_usage as fields, all of them or none; how many count. Errors as there, and say which event it is; "at" is a text with an offset from UTC';
