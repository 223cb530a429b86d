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

CREATE FUNCTION kbilling.kb_record_usage_each(events jsonb)
	RETURNS TABLE (event_no integer, counted boolean, state text, message text, detail text)
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET jit = off
	AS 'MODULE_PATHNAME', 'kb_record_usage_each';
COMMENT ON FUNCTION kb_record_usage_each(jsonb) IS
'Records what it can of an array of usage events, as kb_record_usage_batch takes it, in its order. A row for each event says '
'whether it counts (false: its key was known), or why it was refused: "counted" is then NULL, and "state" is the SQLSTATE, such as '
'KB013 beyond a limit. It costs a subtransaction for each event. '
'Errors: 22023 for what is no array of events, 54000 for too many of them';
