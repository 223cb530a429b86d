/*
 * kb_lines: the lines of an entry, in few bytes (C7).
 */

CREATE TYPE kbilling.kb_lines;

CREATE FUNCTION kbilling_internal.kb_lines_in(cstring) RETURNS kb_lines
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_in';
COMMENT ON FUNCTION kb_lines_in(cstring) IS 'Reads JSON. Errors: 22P02 and others, as jsonb';

CREATE FUNCTION kbilling_internal.kb_lines_out(kb_lines) RETURNS cstring
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_out';
COMMENT ON FUNCTION kb_lines_out(kb_lines) IS 'Writes JSON, to the letter as jsonb does';

CREATE FUNCTION kbilling_internal.kb_lines_recv(internal) RETURNS kb_lines
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_recv';
COMMENT ON FUNCTION kb_lines_recv(internal) IS
'Reads the binary form: a version byte, which is 1, then the text. Errors: 22P03 for another version; as kb_lines_in';

CREATE FUNCTION kbilling_internal.kb_lines_send(kb_lines) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_send';
COMMENT ON FUNCTION kb_lines_send(kb_lines) IS 'Writes the binary form: a version byte, which is 1, then the text';

CREATE TYPE kbilling.kb_lines (
	INPUT = kb_lines_in,
	OUTPUT = kb_lines_out,
	RECEIVE = kb_lines_recv,
	SEND = kb_lines_send,
	STORAGE = extended
);
COMMENT ON TYPE kb_lines IS
'The lines of an entry. It is read and written as jsonb is, becomes jsonb by itself wherever that is asked for, and takes a '
'fifth of its bytes';

CREATE FUNCTION kbilling_internal.kb_lines_to_jsonb(lines kb_lines) RETURNS jsonb
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_to_jsonb';
COMMENT ON FUNCTION kb_lines_to_jsonb(kb_lines) IS 'Lines as jsonb';

CREATE FUNCTION kbilling_internal.kb_lines_from_jsonb(lines jsonb) RETURNS kb_lines
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lines_from_jsonb';
COMMENT ON FUNCTION kb_lines_from_jsonb(jsonb) IS 'jsonb as lines';

CREATE CAST (kb_lines AS jsonb) WITH FUNCTION kb_lines_to_jsonb(kb_lines) AS IMPLICIT;
COMMENT ON CAST (kb_lines AS jsonb) IS 'Lines as jsonb';

CREATE CAST (jsonb AS kb_lines) WITH FUNCTION kb_lines_from_jsonb(jsonb) AS ASSIGNMENT;
COMMENT ON CAST (jsonb AS kb_lines) IS 'jsonb as lines';

CREATE FUNCTION kbilling_internal.kb_lines_eq(kb_lines, kb_lines) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF
	AS 'MODULE_PATHNAME', 'kb_lines_eq';
COMMENT ON FUNCTION kb_lines_eq(kb_lines, kb_lines) IS 'True if two lines are written alike; 30.0 is another number than 30';

CREATE FUNCTION kbilling_internal.kb_lines_ne(kb_lines, kb_lines) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF
	AS 'MODULE_PATHNAME', 'kb_lines_ne';
COMMENT ON FUNCTION kb_lines_ne(kb_lines, kb_lines) IS 'True if two lines are not written alike';

CREATE FUNCTION kbilling_internal.kb_lines_hash(kb_lines) RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF
	AS 'MODULE_PATHNAME', 'kb_lines_hash';
COMMENT ON FUNCTION kb_lines_hash(kb_lines) IS 'Hash of lines; equal lines hash alike';

CREATE OPERATOR kbilling.= (
	LEFTARG = kb_lines,
	RIGHTARG = kb_lines,
	FUNCTION = kb_lines_eq,
	COMMUTATOR = OPERATOR(kbilling.=),
	NEGATOR = OPERATOR(kbilling.<>),
	RESTRICT = eqsel,
	JOIN = eqjoinsel,
	HASHES
);
COMMENT ON OPERATOR kbilling.= (kbilling.kb_lines, kbilling.kb_lines) IS
'True if two lines are written alike; 30.0 is another number than 30';

CREATE OPERATOR kbilling.<> (
	LEFTARG = kb_lines,
	RIGHTARG = kb_lines,
	FUNCTION = kb_lines_ne,
	COMMUTATOR = OPERATOR(kbilling.<>),
	NEGATOR = OPERATOR(kbilling.=),
	RESTRICT = neqsel,
	JOIN = neqjoinsel
);
COMMENT ON OPERATOR kbilling.<> (kbilling.kb_lines, kbilling.kb_lines) IS 'True if two lines are not written alike';

CREATE OPERATOR CLASS kbilling.kb_lines_hash_ops DEFAULT FOR TYPE kb_lines USING hash AS
	OPERATOR 1 kbilling.=,
	FUNCTION 1 kb_lines_hash(kb_lines);
COMMENT ON OPERATOR CLASS kbilling.kb_lines_hash_ops USING hash IS 'Equality of lines, for DISTINCT and hash joins';

CREATE FUNCTION kbilling_internal.kb_line_rows(lines kb_lines)
	RETURNS TABLE (service text, what text, from_date date, to_date date, days integer, days_in_month integer, quantity numeric,
				   events bigint, billed_quantity numeric, billed_events bigint, price text, amount kb_money)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 3
	AS 'MODULE_PATHNAME', 'kb_line_rows';
COMMENT ON FUNCTION kb_line_rows(kb_lines) IS
'The lines of a charge, each a row of its keys; NULL for a key that a line does not have. '
'Errors: 22023 if they are not an array of objects; those of the types for other values than kb_bill writes';
