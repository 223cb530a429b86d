/*
 * Notices as text: ICU's MessageFormat, and tags of languages.
 */

CREATE FUNCTION kbilling_internal.kb_is_language(language text) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_is_language';
COMMENT ON FUNCTION kb_is_language(text) IS
'True if the text looks like a language tag of BCP 47, such as "uk" or "pt-BR"';

CREATE FUNCTION kbilling_internal.kb_utf8(bytes bytea) RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_utf8';
COMMENT ON FUNCTION kb_utf8(bytea) IS
'A text in UTF-8, in the encoding of the database; NULL if that cannot hold it. In calls of it, make writes literals '
'beyond ASCII as bytes';

-- STABLE, as the words for dates and numbers come with ICU's version.
CREATE FUNCTION kbilling.kb_format_message(pattern text, language text, facts jsonb) RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000
	AS 'MODULE_PATHNAME', 'kb_format_message';
COMMENT ON FUNCTION kb_format_message(text, text, jsonb) IS
'Fills facts, which are the keys of a JSON object, into a pattern of ICU''s MessageFormat, such as "{amount}", '
'"{days, plural, one {# day} other {# days}}" or "{stage, select, ok {fine} other {}}". A text that is a date '
'(2026-11-16) or a month (2026-11) is written out in the language; null becomes the empty text. '
'Errors: 22023 for a syntax error, with its place, and for a fact that is not there; 54000 beyond its bounds, as nothing interrupts ICU';
