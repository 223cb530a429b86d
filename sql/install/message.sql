/*
 * Notices as text: ICU's MessageFormat, and tags of languages.
 */

CREATE FUNCTION kbilling_internal.kb_is_language(language text) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_is_language';
COMMENT ON FUNCTION kb_is_language(text) IS 'Whether it is a tag of BCP 47, such as "uk" or "pt-BR", of at most 35 characters';

CREATE FUNCTION kbilling_internal.kb_utf8(bytes bytea) RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_utf8';
COMMENT ON FUNCTION kb_utf8(bytea) IS
'A text beyond ASCII, in UTF-8, as one of the database; NULL where its encoding cannot hold it. make writes the literals in calls of it as bytes';

-- STABLE, as the words for dates and numbers come with ICU's version.
CREATE FUNCTION kbilling.kb_format_message(pattern text, language text, facts jsonb) RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000
	AS 'MODULE_PATHNAME', 'kb_format_message';
COMMENT ON FUNCTION kb_format_message(text, text, jsonb) IS
'Fills facts, the keys of a JSON object, in a pattern of ICU''s MessageFormat: {amount}, {days, plural, one {# day} other {# days}}, {stage, select, ok {fine} other {}}. A text that is a date (2026-11-16) or a month (2026-11) is written out in the language; null is the empty text. 22023 for a syntax error, with its place, and for a fact that is not there; 54000 for a pattern of more than 32 kB, 200 opening braces, 200 # or 5 numbers in words, and for facts of more than 64 kB';
