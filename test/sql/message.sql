-- What notices say (N4)
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();

\ir ../include/error.sql
-- An error as "SQLSTATE | message | detail", "no error" if there is none
CREATE FUNCTION pg_temp.told(statement text) RETURNS text LANGUAGE sql
	RETURN (SELECT coalesce(nullif(concat_ws(' | ', r.state, r.message, nullif(r.detail, '')), ''), 'no error')
		FROM pg_temp.raised(statement) r);
CREATE FUNCTION pg_temp.told_of(pattern text, facts jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.told(format('SELECT kbilling.kb_format_message(%L, %L, %L)', pattern, 'uk', facts))
$$;

-- Plural forms

SELECT is(kb_format_message(pattern, language, jsonb_build_object('n', n)), message, format('N4: plural in %s: %s', language, message))
FROM (VALUES
	(0, '0 днів', '0 days'), (1, '1 день', '1 day'), (2, '2 дні', '2 days'), (5, '5 днів', '5 days'),
	(11, '11 днів', '11 days'), (12, '12 днів', '12 days'),
	(14, '14 днів', '14 days'), (21, '21 день', '21 days'), (22, '22 дні', '22 days'), (25, '25 днів', '25 days'),
	(101, '101 день', '101 days'),
	(111, '111 днів', '111 days'), (112, '112 днів', '112 days'), (1000, E'1\u00A0000 днів', '1,000 days'),
		(1.5, '1,5 дня', '1.5 days'), (-1, '-1 день', '-1 day')
) AS t (n, uk, en),
	LATERAL (VALUES ('uk', '{n, plural, one {# день} few {# дні} many {# днів} other {# дня}}', uk),
		('en', '{n, plural, one {# day} other {# days}}', en)) AS p (language, pattern, message);

-- Facts

SELECT is(kb_format_message(pattern, language, facts), message, format('N4: %s, %s', language, what))
FROM (VALUES
	('a date', 'uk', '{d}', '{"d": "2026-11-16"}'::jsonb, '16 листопада 2026 р.'),
	('a date', 'en', '{d}', '{"d": "2026-11-16"}', 'November 16, 2026'),
	('a leap day', 'en', '{d}', '{"d": "2028-02-29"}', 'February 29, 2028'),
	('the first day that ICU counts', 'en', '{d}', '{"d": "1970-01-01"}', 'January 1, 1970'),
	('a date before it', 'uk', '{d}', '{"d": "1969-12-31"}', '31 грудня 1969 р.'),
	('a month', 'uk', '{m}', '{"m": "2026-11"}', 'листопад 2026 р.'),
	('a month', 'en', '{m}', '{"m": "2026-11"}', 'November 2026'),
	('a country''s', 'uk-UA', '{d}', '{"d": "2026-11-16"}', '16 листопада 2026 р.'),
	('a country''s', 'en-GB', '{d}', '{"d": "2026-11-16"}', '16 November 2026'),
	('in capitals', 'UK', '{d}', '{"d": "2026-11-16"}', '16 листопада 2026 р.'),
	('an unknown language', 'xx', '{a} {n, plural, one {one} other {other}}', '{"a": "b", "n": 1}', 'b other'),
	('no day of the calendar', 'uk', '{d} {e} {f}', '{"d": "2026-02-30", "e": "2026-13", "f": "2027-02-29"}',
		'2026-02-30 2026-13 2027-02-29'),
	('what only begins like a date', 'uk', '{d} {e} {f}', '{"d": "2026-11-16 10:00", "e": "2026-1", "f": "0000-01-01"}',
		'2026-11-16 10:00 2026-1 0000-01-01'),
	('texts', 'uk', '{a}, {b}', '{"a": "19.00 USD", "b": ""}', '19.00 USD, '),
	('a boolean', 'en', '{a} {b, select, true {yes} other {no}}{c, select, true {yes} other {no}}',
		'{"a": true, "b": true, "c": false}', 'true yesno'),
	('null', 'en', '[{a}] {a, select, other {nothing}}', '{"a": null}', '[] nothing'),
	('a number', 'en', '{n} {n, number, ::group-off}', '{"n": 1234567}', '1,234,567 1234567'),
	('a number', 'uk', '{n}', '{"n": 1234567.25}', E'1\u00A0234\u00A0567,25'),
	('the largest bigint', 'en', '{n, number, ::group-off}', '{"n": 9223372036854775807}', '9223372036854775807'),
	('the smallest bigint', 'en', '{n, number, ::group-off}', '{"n": -9223372036854775808}', '-9223372036854775808'),
	('an ordinal', 'en', '{n, selectordinal, one {#st} two {#nd} few {#rd} other {#th}}', '{"n": 22}', '22nd'),
	('a number first', 'en', '{n, plural, =0 {today} one {# day} other {# days}}', '{"n": 0}', 'today'),
	('a date in a plural in a select', 'uk',
		'{s, select, a {{n, plural, one {# день, {d}} few {# дні, {d}} other {}}} other {}}',
		'{"s": "a", "n": 3, "d": "2026-11-16"}', '3 дні, 16 листопада 2026 р.'),
	('a branch that is not there', 'en', '{s, select, a {A} other {other}}', '{"s": "b"}', 'other'),
	('a fact by a number', 'en', '{0} {1}', '{"0": "a", "1": "b"}', 'a b'),
	('a name in Cyrillic', 'uk', '{сума}', '{"сума": "19.00 UAH"}', '19.00 UAH'),
	('a fact twice, others not at all', 'en', '{a}{a}', '{"a": "x", "b": "y"}', 'xx'),
	('no facts', 'en', 'text', '{}', 'text'),
	('nothing', 'en', '', '{}', ''),
	('what looks like a pattern in a fact', 'en', '{a}', '{"a": "{b} ''{''"}', '{b} ''{'''),
	('an apostrophe', 'uk', 'зв''язок, зв’язок і зв''''язок з {a}', '{"a": "п''ятьма"}', 'зв''язок, зв’язок і зв''язок з п''ятьма'),
	('quotes', 'en', '''{''{a}''}'' ''{a}''', '{"a": "x"}', '{x} {a}'),
	('an emoji', 'en', '💳 {a}', '{"a": "🎉"}', '💳 🎉')
) AS t (what, language, pattern, facts, message);
SELECT is(kb_format_message(NULL, 'en', '{}'), NULL, 'N4: NULL gives NULL');

SET timezone = 'Pacific/Kiritimati';
SELECT is(kb_format_message('{d} {m}', 'en', '{"d": "2026-11-01", "m": "2026-11"}'), 'November 1, 2026 November 2026',
	'N4: a date is the same 14 hours ahead');
SET timezone = 'Etc/GMT+12';
SELECT is(kb_format_message('{d} {m}', 'en', '{"d": "2026-11-01", "m": "2026-11"}'), 'November 1, 2026 November 2026',
	'N4: and on Baker Island');
RESET timezone;

-- Slips

SELECT is(pg_temp.told_of(pattern, '{"a": "x", "n": 1, "d": "2026-11-16"}'), error, 'N4: refused: ' || pattern)
FROM (VALUES
	('дуже {n n} x', '22023 | syntax error in a message: it is wrong from here on | At character 7: "n n} x".'),
	('💳💳 {} x', '22023 | syntax error in a message: it is wrong from here on | At character 5: "} x".'),
	('a {b', '22023 | syntax error in a message: a brace that is opened here is not closed | At character 3: "{b".'),
	('''{'' {a} {n, plural, one {a', '22023 | syntax error in a message: a brace that is opened here is not closed '
		'| At character 9: "{n, plural, one {a".'),
	('{a} {n, plural, one {x}} and a long tail', '22023 | syntax error in a message: '
		'a plural or select here has no branch "other" | At character 5: "{n, plural, one {x}}".'),
	('{a, select, other {x}', '22023 | syntax error in a message: it is wrong from here on | At character 12: " other {x}".'),
	('{missing}', '22023 | the message has "missing", which is not among the facts'),
	('{a, select, x {} other {{n, plural, other {{rare}}}}}', '22023 | the message has "rare", which is not among the facts'),
	('{n, select, other {}}', '22023 | fact "n" does not fit its format | A select takes a text; '
		'plural, selectordinal and number take a number.'),
	('{a, plural, other {}}', '22023 | fact "a" does not fit its format | A select takes a text; '
		'plural, selectordinal and number take a number.'),
	('{d, number}', '22023 | fact "d" does not fit its format | A select takes a text; plural, selectordinal and number take a number.'),
	('{n, date}', '22023 | there is no format "date"'),
	('{n, foo}', '22023 | there is no format "foo"'),
	('{n, number, ::no-such-thing}', '22023 | the message cannot be formatted | ICU says U_NUMBER_SKELETON_SYNTAX_ERROR.'),
	('4111111111111111 {', '22023 | syntax error in a message: a brace that is opened here is not closed | At character 18: "{".'),
	('{4111 1111 1111 1111 }', '22023 | syntax error in a message: it is wrong from here on '
		'| At character 2: "(what looks like a payment card number)".'),
	('{x_4111111111111111}', '22023 | the message has "(what looks like a payment card number)", which is not among the facts'),
	('{n, number, ::scale/1e9}', '54000 | a number''s format has an exponent'),
	('{n, number, ::scale/-1.5E+9 .00}', '54000 | a number''s format has an exponent'),
	('{n, number, ::.00 precision-increment/1e-9}', '54000 | a number''s format has an exponent')
) AS t (pattern, error);

SELECT is(pg_temp.told_of('{a}', facts::jsonb), error, 'N4: refused: ' || left(facts, 40))
FROM (VALUES
	('[]', '22023 | facts must be a JSON object'),
	('"a"', '22023 | facts must be a JSON object'),
	('{"a": []}', '22023 | fact "a" is an array or an object'),
	('{"b": {"a": 1}}', '22023 | fact "b" is an array or an object'),
	('{"a": 1e64}', '22003 | fact "a" is out of range | It has more than 64 digits.')
) AS t (facts, error);

SELECT is(pg_temp.told(format('SELECT kb_format_message(%L, %L, %L)', 'a', language, '{}')),
	format('22023 | "%s" is not a language | A language is named by a tag of BCP 47, of at most 35 characters.', shown),
		'N4: no language: ' || left(language, 40))
FROM (VALUES ('', ''), ('x', 'x'), ('en_US', 'en_US'), ('en-', 'en-'), ('en--us', 'en--us'), ('-en', '-en'), ('1en', '1en'),
	('українська', 'українська'), ('abcdefghi', 'abcdefghi'), ('en-1', 'en-1'),
	(repeat('en-', 10000), left(repeat('en-', 10000), 35)),
	('4111111111111111', '(what looks like a payment card number)')) AS t (language, shown);

-- Tags: a language is what a message can be formatted in

CREATE TEMP TABLE tag (language text, is_one boolean);
INSERT INTO tag VALUES
	('en', true), ('uk', true), ('UK', true), ('uk-UA', true), ('uk-ua', true), ('sr-Latn-RS', true),
	('es-419', true), ('zh-yue-HK', true), ('xx', true), ('haw', true), ('abcdefgh', true),
	('de-1996', true), ('sl-rozaj-biske', true), ('de-DE-1901-1996', true), ('ar-u-nu-latn', true),
	('th-TH-u-ca-buddhist-nu-thai', true), ('en-x-abc', true), ('en-x-1', true), ('en-a-abc-b-def', true), ('zh-min-nan', true),
	('en-abcdefgh-12345678-abcdefg-abcde1', true),
	-- of 35 characters, and of 36 and more
	('sl-Latn-IT-rozaj-nedis-biske-1994-x', false), ('sl-Latn-IT-rozaj-biske-1994-x-abcde', true),
	('sl-Latn-IT-rozaj-biske-1994-x-abcdef', false),
	('sl-Latn-IT-rozaj-biske-1994-x-abcdefgh-a', false), ('sl-Latn-IT-rozaj-biske-1994-x-abcdefgh-ab', false),
	('en' || repeat('-x', 5000), false),
	('', false), ('e', false), ('x', false), ('-', false), ('-en', false), ('en-', false),
	('en--us', false), ('en-US-', false), (' en', false), ('en ', false), ('en us', false),
	('1en', false), ('e1', false), ('en1', false), ('419', false), ('en_US', false), ('en.UTF-8', false), ('uk@euro', false), ('C', false),
	('abcdefghi', false), ('en-abcdefghi', false), ('en-1', false), ('en-a', false), ('en-ab-cd', false),
	('en-u', false), ('en-x', false), ('en-US-GB', false), ('en-Latn-Cyrl', false), ('i-klingon', false), ('x-abc', false),
	('українська', false), ('en-є', false), ('еn', false),
	('💳', false), (E'en\n', false), (E'en\nuk', false), ('4111111111111111', false);
SELECT is(kb_is_language(language), is_one,
	format('N4: %L is %s language', left(language, 45), CASE WHEN is_one THEN 'a' ELSE 'no' END)) FROM tag;
SELECT is(pg_temp.told(format('SELECT kb_format_message(%L, %L, %L)', 'a', language, '{}')) = 'no error', is_one,
	format('N4: a message %s formatted in %L', CASE WHEN is_one THEN 'is' ELSE 'is not' END, left(language, 45))) FROM tag;
SELECT is(kb_is_language(NULL), NULL, 'N4: NULL is not known to be one');

-- Bounds

SELECT is(kb_format_message(repeat('{a, select, other {', 100) || 'x' || repeat('}}', 100), 'en', '{"a": "b"}'), 'x',
	'N4: a hundred selects in each other');
SELECT is(kb_format_message(repeat('{n}', 200), 'en', '{"n": 7}'), repeat('7', 200), 'N4: two hundred facts');
SELECT is(kb_format_message(repeat('ї', 16384), 'uk', '{}'), repeat('ї', 16384), 'N4: a text of 32 kB');
SELECT is(kb_format_message('{f1} {f2500}', 'en',
	(SELECT jsonb_object_agg('f' || i, 'is ' || i) FROM generate_series(1, 2500) AS i)), 'is 1 is 2500', 'N4: facts of 64 kB');
SELECT is(length(kb_format_message('{a}{a}', 'en', jsonb_build_object('a', repeat('x', 32768)))), 65536, 'N4: 64 kB are filled in');
SELECT is(kb_format_message('{n} {n, spellout}', 'en', '{"n": 1e62}') IS NOT NULL, true, 'N4: a number of 63 digits');

SELECT is(kb_format_message('{n, plural, other {' || repeat('#', 200) || '}} ' || repeat('#', 1000), 'en', '{"n": 7}'),
	repeat('7', 200) || ' ' || repeat('#', 1000),
	'N4: two hundred number signs; what is none outside a plural does not count');
SELECT is(kb_format_message(repeat('{n, spellout} ', 5), 'en', '{"n": 7}'), repeat('seven ', 5), 'N4: five numbers in words');
SELECT is(kb_format_message('{n, number, ::scale/1000 .00} {n, number, ::currency/EUR}', 'en', '{"n": 7}'),
	'7,000.00 €7.00', 'N4: formats of numbers without an exponent');

-- Beyond its bounds a call is refused before ICU sees it, as nothing interrupts ICU
SELECT is(pg_temp.told(format('SELECT kbilling.kb_format_message(%L, %L, %L)', pattern, 'pl', jsonb_build_object('n', n))),
	error, format('N4: %s of %s', pattern, n))
FROM (VALUES
	('{n, spellout}', 1.2345, 'no error'),
	('{n, spellout}', 0.00000000001, '54000 | a number in words has more than 4 decimals'),
	('{n, ordinal}', -1.23456, '54000 | a number in words has more than 4 decimals'),
	('{n, duration}', 1.23456, '54000 | a number in words has more than 4 decimals'),
	('{n, number, ::.00}', 1.23456, 'no error'),
	('{n, plural, offset:1000 other {# {n, spellout}}}', 1, 'no error'),
	('{n, plural, offset:-1000 other {# {n, spellout}}}', 1, 'no error'),
	('{n, plural, offset:1001 other {#}}', 1, '54000 | the offset of a plural is out of range | It is a whole number of at most 1000.'),
	('{n, plural, offset:-1001 other {#}}', 1, '54000 | the offset of a plural is out of range | It is a whole number of at most 1000.'),
	('{n, plural, offset:1e300 other {#}}', 1, '54000 | the offset of a plural is out of range | It is a whole number of at most 1000.'),
	('{n, selectordinal, offset:0.00000000001 other {{n, spellout}}}', 1,
		'54000 | the offset of a plural is out of range | It is a whole number of at most 1000.')
) AS t (pattern, n, error);

SELECT is(pg_temp.told(format('SELECT kbilling.kb_format_message(%s, %L, %s)', pattern, 'uk', facts)),
	'54000 | ' || error || ' | A pattern has at most 32768 bytes, its facts 65536 as JSON, and what is filled in 65536.',
		format('N4: refused: %s, %s', pattern, left(facts, 60)))
FROM (VALUES
	($$repeat('x', 32769)$$, $$'{}'$$, 'the message is too long'),
	($$repeat('ї', 16385)$$, $$'{}'$$, 'the message is too long'),
	($$repeat('{a, select, other {', 100000)$$, $$'{}'$$, 'the message is too long'),
	($$repeat('{a}', 201)$$, $$'{"a": 1}'$$, 'the message has more than 200 opening braces'),
	($$'{n, plural, other {' || repeat('#', 201) || '}}'$$, $$'{"n": 1}'$$, 'the message has more than 200 number signs'),
	($$repeat('{n, plural, one {##} few {##} other {##}}', 34)$$, $$'{"n": 1}'$$, 'the message has more than 200 number signs'),
	($$'{n, plural, other {' || repeat('#', 200000) || '}}'$$,
		$$'{"n": 1234567890123456789012345678901234567890123456789012345678901234}'$$, 'the message is too long'),
	($$repeat('{n, spellout} {n, ordinal} ', 3)$$, $$'{"n": 1}'$$, 'the message has more than 5 numbers in words'),
	($$'x'$$, $$(SELECT jsonb_object_agg('f' || i, i) FROM generate_series(1, 10000) AS i)$$, 'the message is too long'),
	($$'x'$$, $$jsonb_build_object('a', repeat('x', 100000000))$$, 'the message is too long'),
	($$repeat('{a}', 3)$$, $$jsonb_build_object('a', repeat('x', 22000))$$, 'the message is too long'),
	($$'{b, select, x {{a}{a}{a}} other {}}'$$, $$jsonb_build_object('a', repeat('x', 22000), 'b', 'y')$$, 'the message is too long')
) AS t (pattern, facts, error);

-- What ICU allocates is given back, on errors too: far less is left than was allocated
CREATE FUNCTION pg_temp.resident() RETURNS bigint LANGUAGE sql AS $$
	SELECT substring(pg_read_file('/proc/self/status') FROM 'VmRSS:\s+(\d+)')::bigint
$$;
CREATE FUNCTION pg_temp.format_often(pattern text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..2000 LOOP
		BEGIN
			PERFORM kbilling.kb_format_message(pattern, 'uk', '{"n": 1, "d": "2026-11-16"}');
		EXCEPTION WHEN invalid_parameter_value THEN
			NULL;
		END;
	END LOOP;
END $$;
CREATE TEMP TABLE leak AS SELECT repeat('y', 20000) || tail AS pattern
	FROM unnest('{"{n} {d}","{missing}","{n, select, other {}}","{n"}'::text[]) AS tail;
SELECT pg_temp.format_often(pattern) FROM leak \g /dev/null
SELECT pg_temp.resident() AS before \gset
SELECT pg_temp.format_often(pattern) FROM leak \g /dev/null
SELECT cmp_ok(pg_temp.resident(), '<', (:before + 10000)::bigint, 'N4: memory is given back');

-- Another encoding

\set encoded `dropdb --if-exists kbilling_message_1251 2>/dev/null; createdb -E WIN1251 -l C -T template0 kbilling_message_1251 && PGCLIENTENCODING=UTF8 psql -XAtqd kbilling_message_1251 -c 'CREATE EXTENSION kbilling' -c "SELECT kbilling.kb_format_message('{сума} до {d}, зв''язок', 'uk', '{\"сума\": \"сто\", \"d\": \"2026-11-16\"}')" -c "SELECT kbilling.kb_format_message('дуже {n n} x', 'uk', '{}')" -c "SELECT kbilling.kb_format_message('{d}', 'ja', '{\"d\": \"2026-11-16\"}')" 2>&1; dropdb kbilling_message_1251`
SELECT is(split_part(:'encoded', E'\n', 1), 'сто до 16 листопада 2026 р., зв''язок', 'N4: a database in Windows-1251');
SELECT ok(position('At character 7: "n n} x".' IN :'encoded') > 0, 'N4: characters are counted there as well');
SELECT ok(:'encoded' ~ 'has no equivalent in encoding "WIN1251"', 'N4: what it does not have is an error');

SELECT is(kb_utf8(bytes), text, format('N4: %s in UTF-8 is %L', bytes, text))
FROM (VALUES (''::bytea, ''), ('a''b\\', 'a''b\'), ('\320\207', 'Ї'), ('\x20f09f92b3', ' 💳'), (NULL, NULL)) AS t (bytes, text);
SELECT is(pg_temp.told(format('SELECT kb_utf8(%L)', bytes)), error, format('N4: %s is refused', left(bytes::text, 12)))
FROM (VALUES ('\320'::bytea, '22021 | invalid byte sequence for encoding "UTF8": 0xd0'),
	('a\000b', '22021 | invalid byte sequence for encoding "UTF8": 0x00'),
	(convert_to(repeat('ї', 524289), 'UTF8'),
	 '54000 | the message is too long | A pattern has at most 32768 bytes, its facts 65536 as JSON, '
		'and what is filled in 65536.')) AS t (bytes, error);

-- Where a language writes numbers by rules, such as Roman ones, ICU would call itself without an end for those that the rules
-- lack, and the server would crash
SELECT is(kb_format_message('{n} {n, number} {n, plural, other {#}} {s}', language, '{"n": 1e20, "s": 4}'), message,
	'N4: always with digits: ' || language)
FROM (VALUES
	('en-u-nu-roman', '100,000,000,000,000,000,000 100,000,000,000,000,000,000 100,000,000,000,000,000,000 4'),
	('en-u-nu-hebr', '100,000,000,000,000,000,000 100,000,000,000,000,000,000 100,000,000,000,000,000,000 4'),
	('zh-u-nu-finance', '100,000,000,000,000,000,000 100,000,000,000,000,000,000 100,000,000,000,000,000,000 4'),
	('en-u-nu-deva', '१००,०००,०००,०००,०००,०००,००० १००,०००,०००,०००,०००,०००,००० १००,०००,०००,०००,०००,०००,००० ४')
) AS t (language, message);
SELECT ok(pg_temp.error_of(format('SELECT kb_format_message(%L, ''en'', ''{"n": 1e60}'')', pattern)) ~ '^(22023|54000 |$)',
	'N4: the server outlives ' || pattern)
FROM unnest('{"{n, number, ::numbering-system/roman}","{n, spellout}","{n, ordinal}","{n, duration}","{n, spellout, %roman-upper}",
	"{n, plural, other {{n, number, ::numbering-system/hebr}}}"}'::text[]) AS pattern;

-- The built-in texts

SELECT set_eq('SELECT kind, language FROM standard_template',
	'SELECT k, l FROM unnest(enum_range(NULL::kb_notice_kind)) AS k, unnest(''{en,uk}''::text[]) AS l',
	'N4: every kind has a text in English and in Ukrainian');
SELECT is((SELECT count(*) FROM standard_template), 34::bigint, 'N4: and one of each');
SELECT results_eq('SELECT kind FROM notice_kind', 'SELECT unnest(enum_range(NULL::kb_notice_kind))',
	'N5: every kind has an example of its facts');
SELECT is_empty('SELECT kind FROM notice_kind WHERE NOT example ? ''account_id''', 'N5: the account is among the facts of each');

-- Each text with every value that a select or plural asks for, in all combinations that can occur
CREATE TEMP TABLE choice (n serial, fact text, among jsonb);
INSERT INTO choice (fact, among) VALUES
	('stage', '["ok", "grace", "remind", "restrict", "blocked"]'),
	('stage_before', '["ok", "grace", "remind", "restrict", "blocked"]'),
	('next_stage', '["none", "remind", "restrict", "blocked"]'),
	('has_bonus', '[true, false]'), ('has_paid', '[true, false]'), ('has_rate', '[true, false]'),
	('in_debt', '[true, false]'), ('is_credit', '[true, false]'), ('has_ended', '[false, true]'),
	('why', '["member", "topup", "conditions"]'),
	('day', '[1, 2, 3, 5, 11, 21]'), ('days', '[0, 1, 2, 5, 11, 21]'), ('restore_days', '[0, 1, 2, 5, 11, 21]');
CREATE TEMP TABLE variant AS
	WITH RECURSIVE built AS (
		SELECT kind, example AS facts, 0 AS n FROM notice_kind
		UNION ALL
		SELECT b.kind, CASE WHEN b.facts ? c.fact THEN b.facts || jsonb_build_object(c.fact, v.value) ELSE b.facts END, c.n
		FROM built AS b JOIN choice AS c ON c.n = b.n + 1
			JOIN LATERAL jsonb_array_elements(CASE WHEN b.facts ? c.fact THEN c.among ELSE '[null]' END) AS v ON true
	)
	SELECT b.kind,
		b.facts || CASE WHEN NOT coalesce(in_debt, stage <> 'ok', true) THEN '{"balance": "6.00 USD", "amount_due": "0.00 USD"}'::jsonb
					WHEN in_debt THEN '{"balance": "-4.50 USD", "amount_due": "4.50 USD"}' ELSE '{}' END
			|| CASE WHEN b.facts ->> 'has_bonus' = 'false' THEN '{"bonus": "0.00 USD"}'::jsonb ELSE '{}' END
			|| CASE WHEN b.facts ->> 'is_credit' = 'true' THEN '{"amount": "-19.00 USD", "credit": "19.00 USD"}'::jsonb ELSE '{}' END
			|| CASE WHEN b.facts ->> 'next_stage' = 'none' THEN '{"next_stage_on": null}'::jsonb ELSE '{}' END AS facts
	FROM built AS b, jsonb_to_record(b.facts) AS f (stage kb_stage, stage_before kb_stage, next_stage text, in_debt boolean,
		has_paid boolean, has_rate boolean, why text, days integer)
	WHERE b.n = (SELECT max(n) FROM choice)
		AND (in_debt OR stage = 'ok') IS NOT FALSE
		AND CASE b.kind
				WHEN 'topup_received' THEN stage <= stage_before AND (has_paid OR NOT has_rate)
				WHEN 'stage_changed' THEN stage <> 'remind' AND stage <> stage_before
					AND (next_stage = 'none' OR stage <> 'ok' AND next_stage::kb_stage > stage)
				WHEN 'payment_reminder' THEN next_stage <> 'remind' AND (next_stage = 'none') = (days = 0)
				WHEN 'closure_cancelled' THEN why <> 'topup' OR NOT in_debt
				ELSE true
			END;
CREATE TEMP TABLE said AS
	SELECT t.kind, t.language, v.facts, kb_format_message(t.subject, t.language, v.facts) AS subject,
		kb_format_message(t.body, t.language, v.facts) AS body
	FROM standard_template AS t JOIN variant AS v USING (kind);
SELECT cmp_ok((SELECT count(*) FROM said), '>', 500::bigint, 'N4: the texts are read in many variants');
SELECT is_empty($$SELECT subject, body FROM said WHERE subject || body ~ '[{}#]'$$, 'N4: nothing is left of a pattern');
SELECT is_empty($$SELECT subject, body FROM said WHERE subject || E'\n' || body ~ '  | \n|\n\n|^\s|\s$|\.\.| [.,:]|\(\)'$$,
	'N4: no blank, line or point is too many');
SELECT is_empty($$SELECT subject, body FROM said WHERE subject ~ '\n' OR body !~ '\n.*\n' OR body ~ '(\n.*){8}'$$,
	'N4: a subject is a line, a text three to eight');
SELECT is_empty($$SELECT subject, body FROM said WHERE language = 'uk'
	AND regexp_replace(subject || body, '«[^»]*»', '', 'g') ~ '[a-z]' OR language = 'en'
	AND subject || body ~ '[^ -~\n]'$$, 'N4: each in its own language');
SELECT is_empty($$SELECT subject, body FROM said WHERE subject !~ '\m7\M'$$, 'N4: the account is in the subject');
SELECT is_empty($$SELECT subject, body FROM said WHERE subject || E'\n' || body ~ '(^|[^0-9])0\.00'$$,
	'N4: nobody is asked to pay, or told of, nothing');

SELECT ok(position(kb_format_message('{v}', t.language,
	jsonb_build_object('v', k.example -> fact)) IN kb_format_message(t.body, t.language, k.example || also)) > 0,
	format('N4: %s in %s says %s', kind, t.language, fact))
FROM (VALUES
	('topup_received'::kb_notice_kind, 'amount', '{}'::jsonb), ('topup_received', 'bonus', '{}'),
	('topup_received', 'paid', '{}'), ('topup_received', 'balance', '{}'), ('topup_received', 'amount_due', '{"in_debt": true}'),
	('charge_posted', 'month', '{}'), ('charge_posted', 'amount', '{}'), ('charge_posted', 'balance', '{}'),
	('charge_posted', 'amount_due', '{}'), ('charge_posted', 'credit', '{"is_credit": true}'),
	('stage_changed', 'amount_due', '{}'), ('stage_changed', 'balance', '{}'), ('stage_changed', 'next_stage_on', '{}'),
	('payment_reminder', 'amount_due', '{}'), ('payment_reminder', 'balance', '{}'),
	('payment_reminder', 'next_stage_on', '{}'), ('payment_reminder', 'days', '{}'), ('payment_reminder', 'day', '{}'),
	('closure_scheduled', 'delete_on', '{}'), ('closure_scheduled', 'amount_due', '{}'),
	('closure_scheduled', 'restore_days', '{}'), ('closure_scheduled', 'days', '{}'),
	('closure_reminder', 'delete_on', '{}'), ('closure_reminder', 'amount_due', '{}'), ('closure_reminder', 'days', '{}'),
	('closure_cancelled', 'delete_on', '{}'), ('closure_cancelled', 'amount_due', '{}'),
	('account_deleted', 'deleted_on', '{}'), ('account_deleted', 'purge_on', '{}'),
	('account_deleted', 'restore_until', '{}'), ('account_deleted', 'amount_due', '{}'),
	('account_restored', 'restored_on', '{}'), ('account_restored', 'balance', '{}'), ('account_restored', 'amount_due', '{}'),
	('account_purged', 'purged_on', '{}'), ('contract_ending', 'ends_on', '{}'), ('contract_ending', 'balance', '{}'),
	('contract_ending', 'amount_due', '{"in_debt": true}'), ('contract_continued', 'ends_on', '{}'), ('contract_continued', 'balance', '{}')
) AS f (kind, fact, also) JOIN notice_kind AS k USING (kind) JOIN standard_template AS t USING (kind);

-- What is said if, and only if, it is so
CREATE TEMP TABLE sentence (kinds kb_notice_kind[], said_if text, en text, uk text);
INSERT INTO sentence VALUES
	('{stage_changed}', '$.stage == "ok"', 'The debt of the account is settled', 'Борг кабінету погашено'),
	('{stage_changed}', '$.stage == "grace"', 'and can be used in full for now\.', 'Поки що ним можна користуватися без обмежень\.'),
	('{stage_changed}', '$.stage == "restrict"', 'can only pay now', 'тепер можуть лише платити'),
	('{stage_changed}', '$.stage == "blocked"', 'nobody can get in now, but you can pay at any time',
		'увійти до нього тепер не можна, але сплатити можна будь-коли'),
	('{stage_changed}', '$.stage != "ok"', 'Please pay 4\.50 USD', 'Будь ласка, сплатіть 4\.50 USD'),
	('{stage_changed}', '$.stage == "restrict" || $.stage == "blocked"', 'can then be used in full at once', 'доступ одразу стане повним'),
	('{stage_changed}', '$.stage != "ok"', 'Nothing is deleted because of a debt alone\.', 'Лише через борг нічого не видаляється\.'),
	('{stage_changed}', '$.next_stage != "none"', 'From December 10, 2026 on, ', '\nЗ 10 грудня 2026 р\. '),
	('{stage_changed}', '$.next_stage == "remind"', 'will see a reminder', 'бачитимуть нагадування'),
	('{stage_changed}', '$.next_stage == "restrict"', 'will only be able to pay', 'зможуть лише платити'),
	('{stage_changed}', '$.next_stage == "blocked"', 'nobody will be able to get in', 'увійти до кабінету буде не можна'),
	('{payment_reminder}', '$.account_id == 7', 'Please pay 4\.50 USD\.', 'Будь ласка, сплатіть 4\.50 USD\.'),
	('{payment_reminder}', '$.account_id == 7', 'Nothing is deleted because of a debt alone\.', 'Лише через борг нічого не видаляється\.'),
	('{payment_reminder}', '$.next_stage == "restrict"',
		'from then on owners and administrators will only be able to pay; employees work on',
		'відтоді власники й адміністратори зможуть лише платити, працівники працюватимуть далі'),
	('{payment_reminder}', '$.next_stage == "blocked"', 'from then on nobody will be able to get in',
		'відтоді увійти до кабінету буде не можна'),
	('{payment_reminder}', '$.next_stage != "none"', 'In \d+ days?, on December 7, 2026, the account will be',
		'Через \d+ д(ень|ні|нів), 7 грудня 2026 р\., доступ буде'),
	('{payment_reminder}', '$.next_stage == "none"', '^[^\n]*\n[^\n]*\n[^\n]*\nNothing[^\n]*$', '^[^\n]*\n[^\n]*\n[^\n]*\nЛише[^\n]*$'),
	('{closure_scheduled,closure_reminder}', '$.stage != "blocked"', 'log in', 'увійдіть до нього'),
	('{closure_scheduled,closure_reminder}', '$.stage != "blocked"', 'Until then it works as before',
		'До того часу він працює, як і раніше'),
	('{closure_scheduled,closure_reminder}', '$.stage != "blocked" && $.in_debt == true',
		'as before, as far as its debt of 4\.50 USD allows\.', 'як і раніше, наскільки дозволяє борг 4\.50 USD\.'),
	('{closure_scheduled,closure_reminder}', '$.stage == "blocked"',
		'has a debt of 4\.50 USD: nobody can get in, but you can pay at any time',
		'борг 4\.50 USD: увійти до нього не можна, але сплатити можна будь-коли'),
	('{closure_scheduled,closure_reminder}', '$.in_debt == true', 'debt', 'борг'),
	('{closure_scheduled,closure_reminder}', '$.account_id == 7',
		'To keep the account, .*pay so that the balance is above zero',
		'Щоб зберегти кабінет, .*поповніть баланс так, щоб він став більшим за нуль'),
	('{closure_scheduled,closure_reminder}', '$.account_id == 7',
		', or have an owner or administrator cancel the deletion\.', ', або нехай власник чи адміністратор скасує видалення\.'),
	('{closure_cancelled}', '$.in_debt == false', 'It works as before, and there is nothing that you need to do',
		'Кабінет працює, як і раніше, від вас нічого не потрібно'),
	('{closure_cancelled}', '$.why == "member"', 'An owner or administrator has cancelled', 'Його скасував власник або адміністратор'),
	('{closure_cancelled}', '$.why == "topup"', 'A payment has brought the balance above zero',
		'Після платежу баланс став більшим за нуль'),
	('{closure_cancelled}', '$.why == "conditions"', 'It is in use again', 'Кабінетом знову користуються'),
	('{closure_cancelled}', '$.why == "conditions" && $.in_debt == false', 'or its balance is above zero',
		'або його баланс став більшим за нуль'),
	('{closure_cancelled}', '$.in_debt == true && ($.stage == "ok" || $.stage == "grace" || $.stage == "remind")',
		'can be used in full for now', 'Поки що кабінетом можна користуватися без обмежень'),
	('{account_restored}', '$.in_debt == false', 'There is nothing to pay now', 'Зараз платити нічого не потрібно'),
	('{account_restored}', '$.in_debt == true && ($.stage == "ok" || $.stage == "grace" || $.stage == "remind")',
		'to keep the access full', 'щоб доступ залишався повним'),
	('{charge_posted,closure_cancelled,account_restored}', '$.in_debt == true', 'Please pay 4\.50 USD', 'Будь ласка, сплатіть 4\.50 USD'),
	('{charge_posted,closure_cancelled,account_restored}', '$.stage == "restrict"',
		'Until it is paid, owners and administrators can only pay', 'До повної сплати власники й адміністратори можуть лише платити'),
	('{charge_posted,closure_cancelled,account_restored}', '$.stage == "blocked"',
		'Until it is paid, nobody can get in, but you can pay at any time',
		'До повної сплати увійти до кабінету не можна, але сплатити можна будь-коли'),
	('{contract_ending,contract_continued}', '$.in_debt == true', 'so 4\.50 USD is to be paid', 'отже слід сплатити 4\.50 USD'),
	('{closure_scheduled}', '$.has_ended == true && $.in_debt == false', 'The contract has ended and all is settled\.',
		'Договір завершено, розрахунки закрито, тому'),
	('{closure_scheduled,closure_reminder}', '$.has_ended == true', 'To put the deletion off, have an owner or administrator cancel it\.',
		'Щоб відкласти видалення, нехай власник чи адміністратор скасує його\.'),
	('{closure_scheduled,closure_reminder}', '$.has_ended == true && $.in_debt == true', '4\.50 USD is still to be paid',
		'алишилося сплатити 4\.50 USD'),
	('{closure_cancelled}', '$.has_ended == true && $.why == "conditions"', 'Something is still to be settled',
		'Розрахунки ще не завершено'),
	('{charge_posted,closure_cancelled,account_restored}', '$.has_ended == true && $.in_debt == true', 'Please pay 4\.50 USD\.',
		'Будь ласка, сплатіть 4\.50 USD\.'),
	('{stage_changed}', '$.has_ended == true && $.stage == "blocked"', 'nobody can get in now', 'увійти до нього тепер не можна'),
	('{stage_changed,payment_reminder}', '$.has_ended == true && $.next_stage == "blocked"', 'nobody will be able to get in',
		'увійти до кабінету буде не можна'),
	('{contract_ending}', '$.account_id == 7', 'an owner can take the end back', 'власник може відкликати завершення'),
	('{topup_received}', '$.in_debt == true', '4\.50 USD is still to be paid', 'Залишилося сплатити 4\.50 USD'),
	('{topup_received}', '$.has_paid == true', 'You paid 2,?062\.75 UAH', 'Ви сплатили 2.?062[,.]75 UAH'),
	('{topup_received}', '$.has_rate == true', ', at a rate of 41\.255\.', ' за курсом 41,255\.');
SELECT ok(count(*) FILTER (WHERE facts @@ said_if::jsonpath) > 0
	AND count(*) FILTER (WHERE (body ~ CASE language WHEN 'en' THEN en ELSE uk END) <> (facts @@ said_if::jsonpath)) = 0,
	format('N4: %s in %s says where %s: %s', kind, language, said_if, CASE language WHEN 'en' THEN en ELSE uk END))
FROM sentence, unnest(kinds) AS kind JOIN said USING (kind)
WHERE (facts ->> 'has_ended')::boolean = (said_if LIKE '%has_ended%') IS NOT FALSE
GROUP BY kind, language, said_if, en, uk ORDER BY kind, language, said_if, en;
SELECT is_empty($$SELECT body FROM said WHERE (facts -> 'has_ended')::boolean
	AND body ~ 'in full|employees|log in|as before|без обмежень|працівники|увійдіть|як і раніше|повним'$$,
	'X2: nobody is promised access whose contract has ended');
SELECT is_empty($$SELECT body FROM said WHERE kind IN ('stage_changed', 'payment_reminder') AND body ~ 'all of your data|усі ваші дані'$$,
	'N4: no reminder promises that all data stays: an unused account may be closed the day after');

SELECT is(count(DISTINCT body), 4::bigint, format('N4: stage_changed in %s tells the stages apart', language)) FROM said
	WHERE kind = 'stage_changed' AND facts ->> 'next_stage' = 'none' AND NOT (facts -> 'has_ended')::boolean GROUP BY language;
SELECT is(count(DISTINCT subject), 4::bigint, format('N4: and in its subject, in %s', language)) FROM said
	WHERE kind = 'stage_changed' AND NOT (facts -> 'has_ended')::boolean GROUP BY language;
SELECT is(count(DISTINCT body), 3::bigint, format('N4: closure_cancelled in %s says why', language)) FROM said
	WHERE kind = 'closure_cancelled' AND NOT (facts -> 'in_debt')::boolean AND NOT (facts -> 'has_ended')::boolean GROUP BY language;
SELECT ok(position(uk || ', 7 грудня 2026 р., доступ буде ' IN kb_format_message(t.body, 'uk',
	k.example || jsonb_build_object('days', n, 'next_stage', next_stage))) > 0,
	format('N4: payment_reminder in uk before %s: %s', next_stage, uk))
FROM (VALUES (1, 'Через 1 день'), (2, 'Через 2 дні'), (5, 'Через 5 днів'), (11, 'Через 11 днів'),
	(21, 'Через 21 день')) AS v (n, uk), unnest('{restrict,blocked}'::text[]) AS next_stage,
	notice_kind AS k JOIN standard_template AS t USING (kind)
WHERE k.kind = 'payment_reminder' AND t.language = 'uk';

-- A service's own texts

SELECT is_empty('SELECT FROM notice_template', 'N4: there are no own texts at first');
INSERT INTO policy (policy) VALUES ('own');
CREATE FUNCTION pg_temp.in_force(policy text, language text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', t.language, CASE WHEN t.subject LIKE 'own: %' THEN t.subject ELSE 'built-in' END), ', ')
	FROM kbilling_internal.kb_template(policy, 'topup_received', language) AS t
$$;
CREATE TEMP TABLE step (n serial, statement text, policy text, language text, in_force text);
INSERT INTO step (statement, policy, language, in_force) VALUES
	(NULL, 'own', 'uk', 'uk built-in'),
	(NULL, 'own', 'uk-UA', 'uk built-in'),
	(NULL, 'own', 'UK', 'uk built-in'),
	(NULL, 'own', 'de-AT', 'en built-in'),
	(NULL, 'own', '', 'en built-in'),
	(NULL, 'own', NULL, 'en built-in'),
	(NULL, NULL, 'uk', 'uk built-in'),
	(NULL, 'nosuch', 'uk', 'uk built-in'),
	($$kb_set_template('topup_received', 'en', 'own: standard en', '{amount}')$$, 'own', 'de', 'en own: standard en'),
	(NULL, 'own', 'uk', 'uk built-in'),
	(NULL, 'standard', 'en-GB', 'en own: standard en'),
	($$kb_set_template('topup_received', 'en', 'own: own en', '{amount}', 'own')$$, 'own', 'de', 'en own: own en'),
	(NULL, 'standard', 'de', 'en own: standard en'),
	($$kb_set_template('topup_received', 'uk', 'own: standard uk', '{amount}')$$, 'own', 'uk-UA', 'uk own: standard uk'),
	($$kb_set_template('topup_received', 'uk-UA', 'own: standard uk-ua', '{amount}')$$, 'own', 'uk-UA', 'uk-ua own: standard uk-ua'),
	(NULL, 'own', 'uk', 'uk own: standard uk'),
	($$kb_set_template('topup_received', 'uk', 'own: own uk', '{amount}', 'own')$$, 'own', 'uk-UA', 'uk own: own uk'),
	($$kb_set_template('topup_received', 'uk-ua', 'own: own uk-ua', '{amount}', 'own')$$, 'own', 'uk-UA', 'uk-ua own: own uk-ua'),
	(NULL, 'standard', 'uk-UA', 'uk-ua own: standard uk-ua'),
	($$kb_set_template('topup_received', 'UK-UA', 'own: again', '{amount}', 'own')$$, 'own', 'uk-UA', 'uk-ua own: again'),
	($$kb_drop_template('topup_received', 'UK-ua', 'own')$$, 'own', 'uk-UA', 'uk own: own uk'),
	($$kb_drop_template('topup_received', 'uk', 'own')$$, 'own', 'uk-UA', 'uk-ua own: standard uk-ua'),
	($$kb_drop_template('topup_received', 'uk')$$, 'own', 'uk', 'uk built-in');
CREATE FUNCTION pg_temp.take(statement text, policy text, language text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF statement IS NOT NULL THEN
		EXECUTE 'SELECT ' || statement;
	END IF;
	RETURN pg_temp.in_force(policy, language);
END $$;
SELECT is(pg_temp.take(statement, policy, language), in_force,
	format('N4: %s, policy %s, language %s', coalesce(statement, 'then'), policy, language)) FROM step ORDER BY n;
SELECT is((SELECT count(*) FROM kb_template('own', 'charge_posted', 'uk') WHERE language = 'uk'
	AND subject ~ 'нарахування'), 1::bigint, 'N4: other kinds keep their texts');

SELECT is(pg_temp.told('SELECT kbilling.' || statement), error, 'N4: refused: ' || statement)
FROM (VALUES
	($$kb_set_template(NULL, 'en', 's', 'b')$$, '22004 | kind must not be null'),
	($$kb_set_template('topup_received', NULL, 's', 'b')$$, '22004 | language must not be null'),
	($$kb_set_template('topup_received', 'en', NULL, 'b')$$, '22004 | subject must not be null'),
	($$kb_set_template('topup_received', 'en', 's', NULL)$$, '22004 | body must not be null'),
	($$kb_set_template('topup_received', 'en', 's', 'b', NULL)$$, '22004 | policy must not be null'),
	($$kb_set_template('topup_received', 'en', 's', 'b', 'nosuch')$$, '22023 | policy "nosuch" does not exist'),
	($$kb_set_template('topup_received', 'en_US', 's', 'b')$$,
		'22023 | "en_US" is not a language | A language is named by a tag of BCP 47, of at most 35 characters.'),
	($$kb_set_template('topup_received', 'en', '', 'b')$$, '22023 | a notice must have a subject and a text'),
	($$kb_set_template('topup_received', 'en', 's', '')$$, '22023 | a notice must have a subject and a text'),
	($$kb_set_template('topup_received', 'en', ' ', 'b')$$, '22023 | a notice must have a subject and a text'),
	($$kb_set_template('topup_received', 'en', E' \t\n', 'b')$$, '22023 | a notice must have a subject and a text'),
	($$kb_set_template('topup_received', 'en', 's', E' \r\n\t ')$$, '22023 | a notice must have a subject and a text'),
	($$kb_set_template('topup_received', 'en', E'two\nlines', 'b')$$, '22023 | the subject of a notice must be one line'),
	($$kb_set_template('topup_received', 'en', E'two\rlines', 'b')$$, '22023 | the subject of a notice must be one line'),
	($$kb_set_template('topup_received', 'en', 's {', 'b')$$,
		'22023 | syntax error in a message: a brace that is opened here is not closed | At character 3: "{".'),
	($$kb_set_template('topup_received', 'en', 's', 'b {}')$$,
		'22023 | syntax error in a message: it is wrong from here on | At character 4: "}".'),
	($$kb_set_template('topup_received', 'en', 's', '{delete_on}')$$, '22023 | the message has "delete_on", which is not among the facts'),
	($$kb_set_template('topup_received', 'en', 's', '{amount, plural, other {}}')$$,
		'22023 | fact "amount" does not fit its format | A select takes a text; plural, selectordinal and number take a number.'),
	($$kb_set_template('topup_received', 'en', 's', 'card 4111 1111 1111 1111')$$,
		'KB008 | value holds what looks like a payment card number '
		'| It has 13 to 19 digits with an issuer''s prefix and a valid check digit.'),
	($$kb_set_template('topup_received', 'en', 'card 4111111111111111', 'b')$$,
		'KB008 | value holds what looks like a payment card number '
		'| It has 13 to 19 digits with an issuer''s prefix and a valid check digit.'),
	($$kb_drop_template('topup_received', 'de')$$, '22023 | policy "standard" has no own text of topup_received in "de"'),
	($$kb_drop_template('topup_received', 'uk', 'own')$$, '22023 | policy "own" has no own text of topup_received in "uk"'),
	($$kb_drop_template('topup_received', NULL)$$, '22004 | language must not be null')
) AS t (statement, error);
SELECT is((SELECT count(*) FROM notice_template), 3::bigint, 'N4: what was refused has left nothing');
SELECT throws_ok('DELETE FROM policy WHERE policy = ''own''', '23503', NULL, 'N4: a policy with texts of its own stays');

SELECT * FROM finish();
