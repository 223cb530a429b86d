-- Free text and JSON that hold no payment card number (T4)

CREATE FUNCTION kbilling.kb_has_card_number(value text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kb_has_card_number_text' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION kb_has_card_number(text) IS
	'True if the text holds a payment card number (T4)';

CREATE FUNCTION kbilling.kb_has_card_number(value jsonb) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kb_has_card_number_jsonb' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION kb_has_card_number(jsonb) IS
	'True if a key, a string or a number of the JSON value holds a payment card number (T4)';

CREATE FUNCTION kbilling.kb_mask_card_numbers(value text) RETURNS text
	AS 'MODULE_PATHNAME', 'kb_mask_card_numbers' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION kb_mask_card_numbers(text) IS
	'The text with an asterisk for each digit of the payment card numbers in it, and all else as it is (T10)';

CREATE FUNCTION kbilling_internal.kb_refuse_card_number(value text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kb_refuse_card_number_text' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION kb_refuse_card_number(text) IS
	'True, or error KB008 if the value holds a payment card number; the error does not repeat it (T4)';

CREATE FUNCTION kbilling_internal.kb_refuse_card_number(value jsonb) RETURNS boolean
	AS 'MODULE_PATHNAME', 'kb_refuse_card_number_jsonb' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION kb_refuse_card_number(jsonb) IS
	'True, or error KB008 if the value holds a payment card number; the error does not repeat it (T4)';

CREATE DOMAIN kbilling.kb_text AS text
	CONSTRAINT no_card_number CHECK (kb_refuse_card_number(VALUE));
COMMENT ON DOMAIN kb_text IS
	'Free text without payment card numbers (T4). Errors: KB008 if it holds one';

CREATE DOMAIN kbilling.kb_json AS jsonb
	CONSTRAINT no_card_number CHECK (kb_refuse_card_number(VALUE));
COMMENT ON DOMAIN kb_json IS
	'Free JSON without payment card numbers in its keys, strings and numbers (T4). '
	'Errors: KB008 if it holds one';
