/*
 * What services, tariffs, payment methods and units are called, by language.
 */

CREATE TABLE kbilling.catalogue_name (
	subject  text NOT NULL CHECK (subject IN ('service', 'tariff', 'payment_method', 'unit')),
	code     kb_text NOT NULL,
	language kb_text NOT NULL CHECK (language = pg_catalog.lower(language)),
	name     kb_text NOT NULL CHECK (name <> ''),
	PRIMARY KEY (subject, code, language)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.catalogue_name', '');
COMMENT ON TABLE catalogue_name IS
'Names by language, as customers see them on pages; they come before the built-in ones, and before the names in the rows of '
'service, tariff and payment_method. Written by kb_set_name';
COMMENT ON COLUMN catalogue_name.subject IS 'What has the name: "service", "tariff", "payment_method" or "unit"';
COMMENT ON COLUMN catalogue_name.code IS 'Its code; of a unit, what services have in the column "unit"';
COMMENT ON COLUMN catalogue_name.language IS 'Language tag of BCP 47, in lower case';
COMMENT ON COLUMN catalogue_name.name IS 'The name';

CREATE VIEW kbilling.standard_name WITH (security_invoker) AS
	SELECT n.subject, n.code, n.language, n.name
	FROM (SELECT v.*, bool_and(v.name IS NOT NULL) OVER (PARTITION BY v.language) AS is_whole FROM (VALUES
		('service', 'base', 'en', 'Base fee'),
		('service', 'base', 'uk', kb_utf8('Абонентська плата')),
		('payment_method', 'card', 'en', 'Card'),
		('payment_method', 'card', 'uk', kb_utf8('Картка')),
		('payment_method', 'google_pay', 'en', 'Google Pay'),
		('payment_method', 'google_pay', 'uk', 'Google Pay'),
		('payment_method', 'apple_pay', 'en', 'Apple Pay'),
		('payment_method', 'apple_pay', 'uk', 'Apple Pay'),
		('payment_method', 'bank_transfer', 'en', 'Bank transfer'),
		('payment_method', 'bank_transfer', 'uk', kb_utf8('Банківський переказ')),
		('payment_method', 'manual', 'en', 'Entered by hand'),
		('payment_method', 'manual', 'uk', kb_utf8('Внесено вручну')),
		('unit', 'month', 'en', 'month'),
		('unit', 'month', 'uk', kb_utf8('місяць'))
	) AS v (subject, code, language, name)) n
	-- a language that the database's encoding cannot hold is left out
	WHERE n.is_whole;
COMMENT ON VIEW standard_name IS
'The built-in names of what is built in, in English and, where the database''s encoding can hold it, in Ukrainian';
COMMENT ON COLUMN standard_name.subject IS 'What has the name, as in kbilling.catalogue_name';
COMMENT ON COLUMN standard_name.code IS 'Its code';
COMMENT ON COLUMN standard_name.language IS '"en" or "uk"';
COMMENT ON COLUMN standard_name.name IS 'The name';

-- C, as a page asks for the name of each of its lines.
CREATE FUNCTION kbilling_internal.kb_name(subject text, code text, language text) RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_name';
COMMENT ON FUNCTION kb_name(text, text, text) IS
'What a service, tariff, payment method or unit is called in a language: its own name there, or in the first part of the '
'language ("uk" for "uk-UA"); else the built-in one, the name in its row, its code';

CREATE FUNCTION kbilling_internal.kb_has_code(subject text, code text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE $1
	WHEN 'service' THEN EXISTS (SELECT FROM service s WHERE s.service = $2)
	WHEN 'tariff' THEN EXISTS (SELECT FROM tariff t WHERE t.tariff = $2)
	WHEN 'payment_method' THEN EXISTS (SELECT FROM payment_method m WHERE m.method = $2)
	WHEN 'unit' THEN EXISTS (SELECT FROM service s WHERE s.unit = $2)
	END;
COMMENT ON FUNCTION kb_has_code(text, text) IS
'Whether there is such a service, tariff, payment method or unit; NULL if the subject is another';

CREATE FUNCTION kbilling.kb_set_name(subject text, code text, language text, name text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('subject, code, language', subject, code, language);
	SELECT CASE
		WHEN kb_has_code(subject, code) IS NULL
			THEN kb_raise('22023', format('"%s" has no names', subject), NULL,
						  'Name a "service", a "tariff", a "payment_method" or a "unit".')
		WHEN NOT kb_is_language(language)
			THEN kb_raise('22023', format('"%s" is not a language', language),
						  'A language is named by a tag of BCP 47, of at most 35 characters.', 'Write "en", "uk" or "uk-UA".')
		WHEN name !~ '\S'
			THEN kb_raise('22023', 'a name must not be blank', NULL, 'To remove a name, pass NULL.')
		-- what is gone from the price list can still be removed here
		WHEN name IS NOT NULL AND NOT kb_has_code(subject, code)
			THEN kb_raise('KB012', format('there is no %s "%s"', replace(subject, '_', ' '), code), NULL,
						  CASE subject WHEN 'unit' THEN 'Units are what services have in the column "unit" of kbilling.service.'
							  ELSE format('Create it first; kbilling.%s has the others.', subject) END)
		END;
	-- Two that set names of one code take turns.
	SELECT FROM service s
	WHERE CASE kb_set_name.subject WHEN 'service' THEN s.service = kb_set_name.code WHEN 'unit' THEN s.unit = kb_set_name.code END
	ORDER BY s.service FOR NO KEY UPDATE;
	SELECT FROM tariff t WHERE kb_set_name.subject = 'tariff' AND t.tariff = kb_set_name.code FOR NO KEY UPDATE;
	SELECT FROM payment_method m WHERE kb_set_name.subject = 'payment_method' AND m.method = kb_set_name.code FOR NO KEY UPDATE;
	WITH old AS MATERIALIZED (
		SELECT to_jsonb(n) AS named FROM catalogue_name n
		WHERE (n.subject, n.code, n.language) = (kb_set_name.subject, kb_set_name.code, lower(kb_set_name.language))
	), gone AS (
		DELETE FROM catalogue_name n
		WHERE (n.subject, n.code, n.language) = (kb_set_name.subject, kb_set_name.code, lower(kb_set_name.language))
			AND kb_set_name.name IS NULL
	), new AS (
		INSERT INTO catalogue_name AS n (subject, code, language, name)
		SELECT kb_set_name.subject, kb_set_name.code, lower(kb_set_name.language), kb_set_name.name
		WHERE kb_set_name.name IS NOT NULL
		ON CONFLICT ON CONSTRAINT catalogue_name_pkey DO UPDATE SET name = excluded.name
		RETURNING to_jsonb(n) AS named
	)
	INSERT INTO change_log (subject, tariff, service, before, after)
	SELECT 'name', CASE kb_set_name.subject WHEN 'tariff' THEN kb_set_name.code END,
		   CASE kb_set_name.subject WHEN 'service' THEN kb_set_name.code END, old.named, new.named
	FROM (SELECT) one LEFT JOIN old ON true LEFT JOIN new ON true
	WHERE new.named IS DISTINCT FROM old.named;
END;
COMMENT ON FUNCTION kb_set_name(text, text, text, text) IS
'Names a "service", a "tariff", a "payment_method" or a "unit" in a language, as pages and kb_explain_line show it; NULL '
'removes the name. A name in "uk" is also for "uk-UA". '
'Errors: 22023 for another subject, what is no language tag, and a blank name; KB012 for a code that there is not';
