/*
 * A payment provider's ids as references.
 */

CREATE FUNCTION kbilling.kb_reference(provider text, id text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_reference';
COMMENT ON FUNCTION kb_reference(text, text) IS
'Writes a provider''s id of a payment as a reference that never looks like a card number, though the id may, as one '
'that consists of digits (T10): kb_reference(''liqpay'', ''24567891234567'') is "liqpay:245678~912345~67~". '
'Other ids give other references, and kb_reference_id gives the id back. It is for ids alone: it cannot know if '
'what it is given is a card number. '
'Errors: 22023 for an id with other characters than letters, digits and underscores, unless it is a UUID, and for a '
'provider''s name that does not begin with a letter, or is "kb"';

CREATE FUNCTION kbilling.kb_reference_id(reference text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_reference_id';
COMMENT ON FUNCTION kb_reference_id(text) IS
'The provider''s id in a reference that kb_reference has written (T10); NULL for any other text';
