/*
 * Usage by the batch, as JSON.
 */

-- Without JIT: compiling takes longer than most batches do.
CREATE FUNCTION kbilling.kb_record_usage_batch(events jsonb) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET jit = off
	AS 'MODULE_PATHNAME', 'kb_record_usage_batch';
COMMENT ON FUNCTION kb_record_usage_batch(jsonb) IS
'Records an array of usage events, all of them or none, and returns how many count. Each event is an object whose '
'fields are the arguments of kb_record_usage; "at" is a text with an offset from UTC. '
'Errors: as kb_record_usage; they say which event it is';
