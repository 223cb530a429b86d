BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();

-- The test numbers that networks and payment providers publish, each in all spellings

CREATE FUNCTION pg_temp.as_printed(number text, separator text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
	SELECT CASE WHEN length(number) IN (14, 15) THEN regexp_replace(number, '^(.{4})(.{6})', format('\1%s\2%s', separator, separator))
		ELSE regexp_replace(number, '(.{4})(?=.)', '\1' || separator, 'g') END
$$;
CREATE FUNCTION pg_temp.spellings(number text) RETURNS SETOF text IMMUTABLE LANGUAGE sql AS $$
	SELECT pg_temp.as_printed(number, separator) FROM unnest(ARRAY['', ' ', '-', '  ', ' - ', '.', '_', E'\t',
		U&'\00A0', U&'\2007', U&'\2009', U&'\202F', U&'\3000', U&'\200B', U&'\2060', U&'\FEFF', U&'\00AD',
		U&'\2010', U&'\2011', U&'\2012', U&'\2013', U&'\2014', U&'\2015', U&'\2212', U&'\FF0D', U&' \2013 ']) separator
	UNION ALL
	SELECT regexp_replace(number, format('(.{%s})(?=.)', size), '\1 ', 'g') FROM generate_series(1, 8) size
	UNION ALL
	SELECT translate(number, '0123456789', digits) FROM unnest('{٠١٢٣٤٥٦٧٨٩,۰۱۲۳۴۵۶۷۸۹,०१२३४५६७८९,０１２３４５６７８９}'::text[]) digits
	UNION ALL
	SELECT overlay(pg_temp.as_printed(number, ' ') PLACING ' ' FROM at FOR 0) FROM generate_series(2, 18, 3) at
	UNION ALL
	SELECT format(text, pg_temp.as_printed(number, separator))
	FROM unnest('{"", " ", "-"}'::text[]) separator,
		 unnest(ARRAY['card %s', '%s is my card', 'my card %s, thanks', '(%s)', '"%s"', 'no.%s', '№%s', 'картка%s',
			'pan=%s;', 'card_%s', 'visa%s', '%sexp1228', '%s/12/28', '%s 12/28 123',
			'order 20261124-000123 %s', 'order 17 %s 3', E'thanks\n%s\n', E'%s\r\n', '{"pan":"%s"}', '<pan>%s</pan>',
			'https://example.com/?pan=%s&cvc=123', '💳%s💳', '%s.', '-%s',
			'+380501234567 %s', 'UA213223130000026007233566001 %s', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 %s',
				'2026-11-24 10:11:12 %s']) text
$$;
CREATE FUNCTION pg_temp.json_spellings(number text) RETURNS SETOF jsonb IMMUTABLE LANGUAGE sql AS $$
	SELECT jsonb_build_object('payment',
		jsonb_build_array(1, jsonb_build_object('cards', jsonb_build_array(null, false, spelling)))) FROM pg_temp.spellings(number) spelling
	UNION ALL
	SELECT jsonb_build_object(spelling, true) FROM pg_temp.spellings(number) spelling
	UNION ALL
	SELECT jsonb_build_array(to_jsonb(number::numeric), 1)
$$;

CREATE TEMP TABLE published (network text, number text);
INSERT INTO published VALUES
	('Visa', '4111111111111111'),
	('Visa', '4012888888881881'),
	('Visa', '4242424242424242'),
	('Visa', '4988438843884305'),
	('Visa of 13 digits', '4222222222222'),
	('Visa of 19 digits', '4000000000000000006'),
	('Visa of 19 digits', '4111141011111111116'),
	('Mastercard', '5555555555554444'),
	('Mastercard', '5105105105105100'),
	('Mastercard', '5200828282828210'),
	('Mastercard, series 2', '2223003122003222'),
	('Mastercard, series 2', '2222400060000007'),
	('Mastercard, the first of series 2', '2221000000000009'),
	('Mastercard, the last of series 2', '2720990000000007'),
	('American Express', '378282246310005'),
	('American Express', '371449635398431'),
	('American Express', '341134113411347'),
	('American Express', '370000000000002'),
	('Discover', '6011111111111117'),
	('Discover', '6011000990139424'),
	('Discover', '6445644564456445'),
	('JCB', '3530111333300000'),
	('JCB', '3566002020360505'),
	('JCB', '3569990010095841'),
	('JCB in North America', '3088000000000017'),
	('JCB in North America', '3337000000200004'),
	('JCB, the first', '3528000000000007'),
	('JCB, the last', '3589990000000005'),
	('Diners Club', '30569309025904'),
	('Diners Club', '38520000023237'),
	('Diners Club', '36227206271667'),
	('Diners Club', '36006666333344'),
	('Diners Club of 16 digits', '3056930009020004'),
	('UnionPay', '6250941006528599'),
	('UnionPay', '6200000000000005'),
	('UnionPay', '6243030000000001'),
	('UnionPay of 19 digits', '6205500000000000004'),
	('UnionPay, prefix 81', '8171999927660000'),
	('UnionPay, prefix 81, of 19 digits', '8171999900000000021'),
	('Maestro', '6759649826438453'),
	('Maestro', '6304000000000000'),
	('Maestro', '5000550000000029'),
	('Maestro', '6771798021000008'),
	('Maestro in Belgium', '6703444444444449'),
	('Maestro in Britain', '6759411100000008'),
	('Maestro of 19 digits', '6799990100000000019'),
	('Switch', '5641820000000005'),
	('Switch', '6331101999990016'),
	('Bankcard', '5610591081018250'),
	('Dankort', '5019717010103742'),
	('Dankort', '5019555544445555'),
	('Forbrugsforeningen', '6007220000000004'),
	('Mir', '2200000000000004'),
	('Mir', '2202474301322987'),
	('Mir of 19 digits', '2204990000000000008'),
	('RuPay', '6082015309577308'),
	('RuPay', '6074825972083818'),
	('Elo', '5066991111111118'),
	('Elo', '6505050000001091'),
	('Hipercard', '6062828888666688'),
	('Troy', '9792030394440796'),
	('Verve of 18 digits', '507850785078507812'),
	('Verve of 19 digits', '5060666666666666666'),
	('Prostir', '9804000000000009');

SELECT is((SELECT string_agg(quote_literal(spelling), ', ') FROM pg_temp.spellings(number) spelling
	WHERE kb_has_card_number(spelling) IS NOT TRUE), NULL,
	format('T4: %s is found in all spellings: %s', network, number))
FROM published;
SELECT is((SELECT string_agg(json::text, ', ') FROM pg_temp.json_spellings(number) json WHERE kb_has_card_number(json) IS NOT TRUE), NULL,
	format('T4: %s is found in JSON: %s', network, number))
FROM published;

-- Spellings

SELECT ok(kb_has_card_number(spelling), format('T4: %L is found', left(translate(spelling, E'\r\n', '  '), 60)))
FROM (VALUES
	('4111 1111 1111 1111'),
	('4111-1111-1111-1111'),
	('4111.1111.1111.1111'),
	('4111  1111  1111  1111'),
	('4111 - 1111 - 1111 - 1111'),
	('4111 1111-1111 1111'),
	('4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1'),
	('41111111 11111111'),
	('3782 822463 10005'),
	('3056-930902-5904'),
	(E'4111\u00A01111\u00A01111\u00A01111'),
	(E'4111\u202F1111\u202F1111\u202F1111'),
	(E'4111\u20131111\u20131111\u20131111'),
	('card:4111111111111111'),
	('card 4111111111111111.'),
	('(4111111111111111)'),
	('"4111111111111111",'),
	('4111111111111111/12/28'),
	('4111111111111111=2812'),
	('card_4111111111111111'),
	('UA17 3223 :000 4111 1111 1111 1111 1'),	-- no IBAN, whatever its check digits make of the colon
	('-4111111111111111'),
	('4111111111111111.00'),
	('4111 1111 1111 1111 12/28 123'),
	('UA18 3223 1300 4111 1111 1111 1111 1'),
	('41111111-1111-4131'),
	('+4111111111111111'),
	('X4111111111111111'),
	('a1b2 4111111111111111'),
	('AT07 4111 1111 1111 1111'),
	(E'4111 1111\n1111 1111'),
	(E'4111 1111 \r\n1111 1111'),
	('4111 1111 1 111 1111'),
	('4111 11 11 1111 1111'),
	('37828 22463 10005 12/28 1234'),
	('card 41 11 11 11 11 11 11 11 12 28'),
	('order 12 4111 1111 1111 1111'),
	('order 12 4111111111111111 3'),
	('order 12-4111-1111-1111-1111-3'),
	(E'first line\n4111111111111111\nlast line'),
	('картка 4111 1111 1111 1111, дякую'),
	('№4111111111111111'),
	('картка4111111111111111'),
	('💳4111111111111111💳'),
	(repeat('9 ', 5000) || '4111111111111111' || repeat(' 9', 5000))
) AS t (spelling);

-- What is no card number

CREATE TEMP TABLE harmless (what text, harmless text);
INSERT INTO harmless VALUES
	('the empty text', ''),
	('a word', 'payment'),
	('twelve digits', '411111111111'),
	('twenty digits', '40000000000000000002'),
	('a wrong check digit', '4111111111111112'),
	('a wrong check digit, grouped', '4111 1111 1111 1112'),
	('an order number', '4111222233334445'),
	('a prefix of nobody, 1', '1000000000000008'),
	('a prefix of nobody, 7', '7000000000000005'),
	('a prefix of nobody, 8', '8000000000000003'),
	('a prefix of nobody, 59', '5900000000000000'),
	('just under series 2', '2220990000000002'),
	('just over series 2', '2721000000000004'),
	('just over Borica', '2206000000000008'),
	('just under JCB', '3527000000000008'),
	('just over JCB', '3590000000000000'),
	('just over Diners Club', '30600000000001'),
	('Visa of 14 digits', '40000000000002'),
	('Visa of 15 digits', '400000000000006'),
	('Visa of 17 digits', '40000000000000006'),
	('Mastercard of 15 digits', '510000000000003'),
	('Mastercard of 17 digits', '51000000000000003'),
	('American Express of 16 digits', '3400000000000000'),
	('Diners Club of 15 digits', '360000000000004'),
	('Mir of 15 digits', '220400000000006'),
	('UnionPay of 15 digits', '620000000000000'),
	('RuPay of 19 digits', '5085000000000000006'),
	('Maestro of 17 digits in a range of 16, 18 and 19', '50000000000000005'),
	('Maestro''s, but nobody''s, 68', '6800000000000009'),
	('Maestro''s, but nobody''s, 57', '5700000000000002'),
	('a longer run of digits', '94111111111111111'),
	('a longer run of digits, behind', '41111111111111111111'),
	('a letter before', 'A4111111111111111'),
	('a letter behind', '4111111111111111A'),
	('a letter behind the last group', '4111 1111 1111 1111b'),
	('a hash', '4111111111111111deadbeef4111111111111111'),
	('a phone number as long as a card number', '+378282246310005'),
	('a hexadecimal number', '0x4111111111111111'),
	('a hash of it', 'sha256:4111111111111111a0'),
	('a phone number', '+380501234567'),
	('a phone number in groups', '+380 50 123-45-67'),
	('two phone numbers', '415-555-1284 415-555-1234'),
	('a UUID', '41111111-1111-4131-8111-11111111111a'),
	('a UUID in a text', 'event {a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11} seen'),
	('a date', '2026-11-01'),
	('a moment', '2026-11-01T00:00:00.000000+02:00'),
	('two moments', '2026-11-01 00:00:00 2026-12-01 00:00:00'),
	('two days', '23 01 2026 03 01 2026'),
	('a moment, day first', '24.11.2026 10:11:12'),
	('nanoseconds since 1970', '1793491200123456789'),
	('a moment in digits', '20261101000000'),
	('seconds since 1970', '1793491200.123456'),
	('milliseconds since 1970', '1793491200123'),
	('an IBAN', 'UA213223130000026007233566001'),
	('an IBAN in groups', 'by UA17 3223 1300 4111 1111 1111 1111 1 today'),
	('an IBAN in groups of another length', 'de89 4111 1111 1111 1111 11'),
	('an IBAN with no-break spaces', U&'UA17\00A03223\00A01300\00A04111\00A01111\00A01111\00A01111\00A01'),
	('an IBAN with letters', 'GB82 WEST 1234 5698 7654 32'),
	('phone numbers in a row', '415 555 1284 415 004 1235'),
	('phone numbers in a row, in pairs', '050 411 11 11 067 111 11 16'),
	('a phone number abroad', '00380501234567'),
	('a number of an order in a shop', '302-1234567-1234565'),
	('an order number with a date', 'ORD-20261124-000123'),
	('coordinates', '50.450123 30.5233'),
	('decimals', '0.4111111111111111'),
	('an amount', '41111111.11111111'),
	('a whole part and decimals', '30.4111111111111111'),
	('an address of the net', '192.168.100.200 10.20.30.40'),
	('a list', '4111, 1111, 1111, 1111'),
	('lines', E'4111\n1111\n1111\n1111'),
	('wide gaps', '4111    1111    1111    1111'),
	('a few digits in Cyrillic', 'оплата 4111 грн за 1111 повідомлень');
SELECT ok(NOT kb_has_card_number(harmless), format('T4: %s is let through', what)) FROM harmless;

-- Digits of all scripts, ten for each: what ICU knows as such, which knows them from Unicode

CREATE TEMP TABLE script AS
SELECT min(c) AS zero, string_agg(chr(c), '' ORDER BY c) AS digits
FROM (SELECT c, row_number() OVER (ORDER BY c) - 1 AS n FROM generate_series(128, 131071) c
	  WHERE c NOT BETWEEN 55296 AND 57343 AND chr(c) COLLATE "en-x-icu" ~ '^\d$') c
GROUP BY n / 10;
SELECT cmp_ok((SELECT count(*) FROM script), '>', 60::bigint, 'T4: there are more than sixty');
SELECT is((SELECT string_agg(translate(number, '0123456789', digits), ', ') FROM published
	WHERE kb_has_card_number(translate(pg_temp.as_printed(number, separator), '0123456789', digits)) IS NOT TRUE), NULL,
	format('T4: card numbers are found in the digits from U+%s, between %L', upper(to_hex(zero)), separator))
FROM script, unnest('{""," ",-}'::text[]) separator ORDER BY zero, separator;
-- each digit is the one that it is: no other than the right check digit will do
SELECT is((SELECT array_agg(d) FROM generate_series(0, 9) d
	WHERE kb_has_card_number(translate('401928374650919' || d, '0123456789', digits))), (SELECT array_agg(d) FROM generate_series(0, 9) d
	WHERE kb_has_card_number('401928374650919' || d)), format('T4: and only with their check digit: U+%s', upper(to_hex(zero))))
FROM script ORDER BY zero;
SELECT is((SELECT string_agg(what, ', ') FROM harmless WHERE kb_has_card_number(translate(harmless, '0123456789', digits))), NULL,
	format('T4: what is harmless is so in the digits from U+%s', upper(to_hex(zero)))) FROM script ORDER BY zero;
-- in digits of several scripts at once
SELECT is((SELECT count(*) FROM generate_series(1, 20) n, published p, LATERAL (
	SELECT string_agg((SELECT substr(s.digits, substr(p.number, i, 1)::int + 1, 1) FROM script s
		ORDER BY md5(concat_ws(' ', p.number, n, i, zero)) LIMIT 1), '' ORDER BY i) AS spelling
	FROM generate_series(1, length(p.number)) i) x
	WHERE kb_has_card_number(x.spelling) IS NOT TRUE), 0::bigint, 'T4: numbers in digits of several scripts are found');
-- what is a digit, but no decimal one
SELECT ok(kb_has_card_number(spelling), format('T4: %s is found', spelling)) FROM (VALUES
	('⁴¹¹¹ ¹¹¹¹ ¹¹¹¹ ¹¹¹¹'), ('⁴⁰⁰⁰⁰⁰⁰⁰⁰⁰⁰⁰⁰⁰⁰²'), ('₄₁₁₁₁₁₁₁₁₁₁₁₁₁₁₁'), ('④①①①①①①①①①①①①①①①'),
	('④⓪①②⑧⑧⑧⑧⑧⑧⑧⑧①⑧⑧①'), ('❹❶❶❶ ❶❶❶❶ ❶❶❶❶ ❶❶❶❶'),
	('４１１１／１１１１'  || ' ４１１１－１１１１－１１１１－１１１１'), ('4️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣1️⃣'), ('４１１１ー１１１１ー１１１１ー１１１１')
) AS t (spelling);

-- Between groups: each character of White_Space but the ends of lines, each of Pd and Pc, and what is not seen

SELECT is((SELECT string_agg(format('U+%s', upper(to_hex(c))), ', ') FROM generate_series(low, high) c
	WHERE NOT kb_has_card_number(pg_temp.as_printed('4111111111111111', chr(c)))), NULL,
	format('T4: a number is found with %s between its groups', what))
FROM (VALUES
	('tabulators', 9, 9), ('controls', 11, 13), ('a next line', 133, 133), ('a no-break space', 160, 160), ('an Ogham space', 5760, 5760),
	('a Mongolian vowel separator', 6158, 6158), ('spaces, joiners and directions', 8192, 8207), ('embeddings', 8234, 8239),
	('a mathematical space', 8287, 8287), ('invisible operators and isolates', 8288, 8303), ('an ideographic space', 12288, 12288),
	('a soft hyphen', 173, 173), ('a grapheme joiner', 847, 847), ('an Arabic letter mark', 1564, 1564),
	('Mongolian selectors', 6155, 6159),
	('Hangul fillers', 4447, 4448), ('a Hangul filler', 12644, 12644), ('variation selectors', 65024, 65039),
	('a byte order mark', 65279, 65279),
	('tags', 917504, 917631), ('more variation selectors', 917760, 917999), ('an Armenian hyphen', 1418, 1418), ('a maqaf', 1470, 1470),
	('a Canadian syllabics hyphen', 5120, 5120), ('a Mongolian hyphen', 6150, 6150), ('hyphens and dashes', 8208, 8213),
	('an oblique hyphen', 11799, 11799), ('a hyphen with a diaeresis', 11802, 11802), ('long dashes', 11834, 11835),
	('a double hyphen', 11840, 11840),
	('an oblique double hyphen', 11869, 11869), ('a wave dash', 12316, 12316), ('a wavy dash', 12336, 12336),
	('a Katakana double hyphen', 12448, 12448),
	('vertical dashes', 65073, 65076), ('a small em dash', 65112, 65112), ('a small hyphen', 65123, 65123),
	('a hyphen of full width', 65293, 65293),
	('a Yezidi hyphen', 69293, 69293), ('undertie and tie', 8255, 8256), ('a line of full width', 65343, 65343), ('a minus', 8722, 8722)
) AS t (what, low, high);
SELECT ok(kb_has_card_number('4111 1111' || chr(c) || '1111 1111')
	AND NOT kb_has_card_number(pg_temp.as_printed('4111111111111111', chr(c))),
	format('T4: U+%s ends a line: one may stand in a number', upper(to_hex(c)))) FROM unnest('{10,8232,8233}'::int[]) c;

-- JSON

SELECT ok(kb_has_card_number(value::jsonb), format('T4: found in %s', value))
FROM (VALUES
	('"4111 1111 1111 1111"'),
	('4111111111111111'),
	('-4111111111111111'),
	('4.111111111111111e15'),
	('{"note": "paid by 4111-1111-1111-1111"}'),
	('{"4111111111111111": true}'),
	('{"a": [1, {"b": [null, false, 4111111111111111]}]}'),
	('[[["4111111111111111"]]]')
) AS t (value);

SELECT ok(NOT kb_has_card_number(value::jsonb), format('T4: let through: %s', value))
FROM (VALUES
	('null'), ('true'), ('{}'), ('[]'), ('""'), ('0'),
	('[4111, 1111, 1111, 1111]'),
	('{"4111": "1111", "1111": "1111"}'),
	('0.4111111111111111'),
	('1e100'),
	('{"at": "2026-11-01T00:00:00Z", "id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "phone": "+380501234567"}')
) AS t (value);

-- Masked

-- Whether each character is as it was, or an asterisk for a digit
CREATE FUNCTION pg_temp.only_masked(was text, is_now text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$
	SELECT length(was) = length(is_now) AND bool_and(w = n OR n = '*' AND w ~ '[0-9٠-٩۰-۹०-९０-９]')
	FROM string_to_table(was, NULL) WITH ORDINALITY a (w, i) JOIN string_to_table(is_now, NULL) WITH ORDINALITY b (n, i) USING (i)
$$;
SELECT is((SELECT string_agg(quote_literal(masked), ', ') FROM pg_temp.spellings(number) spelling, kb_mask_card_numbers(spelling) masked
	WHERE kb_has_card_number(masked) OR NOT pg_temp.only_masked(spelling, masked)
		OR length(masked) - length(replace(masked, '*', '')) NOT BETWEEN length(number) AND length(number) + 1), NULL,
	format('T10: %s is masked in all spellings: %s', network, number))
FROM published;
SELECT is(kb_mask_card_numbers(value), masked, format('T10: %s is masked as %s', value, masked))
FROM (VALUES
	('declined', 'declined'), ('', ''), ('* 12 *', '* 12 *'),
	('card 4111 1111 1111 1111 declined, code 05, 2026-11-01', 'card **** **** **** **** declined, code 05, 2026-11-01'),
	('4111111111111111,5555555555554444;378282246310005', '****************,****************;***************'),
	('картку 4111-1111-1111-1111 (Іван, 12/28) відхилено', 'картку ****-****-****-**** (Іван, 12/28) відхилено'),
	('٤١١١١١١١١١١١١١١١ مرفوضة', '**************** مرفوضة'),
	('id a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 of 4111111111111111', 'id a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 of ****************'),
	('order 1234567890123 of UA213223130000026007233566001', 'order 1234567890123 of UA213223130000026007233566001'),
	('* 4111111111111111 *', '* **************** *')
) AS t (value, masked);
SELECT is(kb_mask_card_numbers(NULL), NULL, 'T10: nothing of nothing');
SELECT is(kb_mask_card_numbers(repeat('4111 1111 1111 1111, ', 20000)), repeat('**** **** **** ****, ', 20000), 'T10: a long text, too');

-- The domains

CREATE TEMP TABLE note (memo kb_text, metadata kb_json);
SELECT lives_ok($$INSERT INTO note VALUES ('thanks', '{"order": 17}'), (NULL, NULL)$$, 'T4: other text, JSON and NULL pass');

\ir ../include/error.sql
-- All that an error tells
CREATE FUNCTION pg_temp.told(statement text) RETURNS text LANGUAGE sql
	RETURN (SELECT concat_ws(' | ', r.state, r.message, r.detail, r.hint, r.context) FROM pg_temp.raised(statement) r);

SELECT is(pg_temp.told(statement),
	'KB008 | value holds what looks like a payment card number'
		' | It has 13 to 19 digits with an issuer''s prefix and a valid check digit.'
		' | Take it out: no payment data is stored (rule T4). Keep the payment provider''s reference instead. | ',
	format('T4: refused, and the number not repeated, not in the context either: %s', statement))
FROM (VALUES
	($$INSERT INTO note (memo) VALUES ('4111 1111 1111 1111')$$),
	($$INSERT INTO note (metadata) VALUES ('{"pan": 4111111111111111}')$$),
	($$UPDATE note SET memo = memo || ' 4111111111111111'$$),
	($$SELECT '4111111111111111'::kbilling.kb_text$$),
	($$SELECT kbilling_internal.kb_refuse_card_number('4111111111111111'::text)$$),
	($$SELECT kbilling_internal.kb_refuse_card_number('[4111111111111111]'::jsonb)$$),
	($$COPY note (memo) FROM PROGRAM 'echo 4111111111111111'$$),
	($$DO 'BEGIN INSERT INTO note (memo) VALUES (''4111111111111111''); END'$$)
) AS t (statement);

-- Every column of kbilling

CREATE TEMP TABLE written AS
SELECT c.oid::regclass AS relation, c.relname, a.attname, t.oid::regtype AS type,
	coalesce(nullif(t.typelem, 0), nullif(t.typbasetype, 0), t.oid)::regtype AS base
FROM pg_attribute a
	JOIN pg_class c ON c.oid = a.attrelid
	JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND c.relkind IN ('r', 'p')
	AND a.attnum > 0 AND NOT a.attisdropped;

-- Columns of a plain type hold what kbilling or PostgreSQL made sure of beforehand; a column that is added must be of a
-- domain, or be put here with a reason.
SELECT results_eq($$SELECT format('%s.%s', relname, attname) COLLATE "C" FROM written
	WHERE type NOT IN ('kb_text'::regtype, 'kb_json'::regtype)
	AND base IN ('text', 'varchar', 'bpchar', 'name', 'json', 'jsonb', 'kb_lines', 'xml', 'bytea') ORDER BY 1$$,
	$$SELECT name COLLATE "C" FROM (VALUES
	('account.currency', 'the tariff''s'),
	('account.last_hash', 'a hash'),
	('account.time_zone', 'a name of the IANA database: kb_create_account'),
	('catalogue_name.subject', 'one of four words: CHECK'),
	('change_log.after', 'what a row has, which was looked at there'),
	('change_log.before', 'what a row had, which was looked at there'),
	('change_log.changed_by', 'a role of the database'),
	('change_log.role', 'a role of the database'),
	('change_log.subject', 'kbilling''s own words'),
	('discount.services', 'codes of services, which are kb_text: kb_require_discount'),
	('discount_code.services', 'codes of services, which are kb_text: kb_require_discount'),
	('entry.hash', 'a hash'),
	('entry.lines', 'kbilling''s own lines: names of services, which are kb_text, and numbers'),
	('entry.method', 'one of payment_method, whose column is kb_text'),
	('entry.posted_by', 'a role''s name from the catalog'),
	('notice.facts', 'kbilling''s own: money, dates, names of stages'),
	('notice.occasion', 'a number, or kbilling''s own words and dates'),
	('payment.method', 'one of payment_method'),
	('payment.settled_method', 'the entry''s'),
	('shard_cut.catalogue', 'a digest'),
	('shard_cut.move', 'one of shard_move'),
	('sweep_failure.state', 'an SQLSTATE'),
	('sweep_run.at_time_zone', 'an account''s'),
	('tariff.currency', 'three letters: CHECK'),
	('usage_event.metered_table', 'a relation''s name from the catalog')
	) AS t (name, reason) ORDER BY 1$$,
	'T4: text and JSON are of the domains, but for columns of kbilling''s own words');

SELECT is((pg_temp.raised(format('INSERT INTO %s (%I) VALUES (%L)', relation, attname,
	CASE type WHEN 'kb_json'::regtype THEN json ELSE spelling END))).state, 'KB008',
	format('T4: %s.%s refuses %s', relname, attname, CASE type WHEN 'kb_json'::regtype THEN json ELSE spelling END))
FROM written, (VALUES ('4111111111111111', '{"4111111111111111": 1}'),
	('by 5555 5555 5555 4444', '[{"note": "by 5555 5555 5555 4444"}]')) AS t (spelling, json)
WHERE type IN ('kb_text'::regtype, 'kb_json'::regtype)
ORDER BY relname, attname;

-- Every text and JSON that a function takes, with other arguments that are plausible

SELECT kb_create_tariff('std', 'USD'), kb_set_price('std', 'base', '10'), kb_create_account('ann', 'std'),
	kb_create_service('calls', 'metered'),
	kb_set_price('std', 'calls', '1 each') \g /dev/null
CREATE FUNCTION pg_temp.plausible(type regtype) RETURNS text LANGUAGE sql AS $$
	SELECT format('%L::%s', CASE type::text WHEN 'text' THEN 'std' WHEN 'jsonb' THEN '{}' WHEN 'bigint' THEN '1'
		WHEN 'integer' THEN '1' WHEN 'numeric' THEN '1'
		WHEN 'boolean' THEN 'true' WHEN 'date' THEN '2026-11-01' WHEN 'timestamp with time zone' THEN '2026-11-01 00:00+00'
			WHEN 'kb_money' THEN '1 USD'
		WHEN 'kb_price' THEN '1.00 each' WHEN 'kb_role' THEN 'owner'
			WHEN 'kb_stage' THEN 'ok' WHEN 'kb_notice_kind' THEN 'charge_posted' END, type)
$$;
CREATE TEMP TABLE call AS
SELECT p.proname, a.i,
	   format('SELECT %s(%s)', p.oid::regproc,
			  (SELECT string_agg(CASE WHEN other.i <> a.i THEN pg_temp.plausible(other.type)
				ELSE format('%L::%s', value, a.type) END, ', ' ORDER BY other.i)
			   FROM unnest(p.proargtypes) WITH ORDINALITY AS other (type, i))) AS statement
FROM pg_proc p,
	 unnest(p.proargtypes) WITH ORDINALITY AS a (type, i),
	 unnest(CASE a.type::regtype WHEN 'text'::regtype THEN '{4111 1111 1111 1111,4111111111111111}'::text[] ELSE ARRAY[
		'[{"account_id": 1, "service": "4111 1111 1111 1111", "quantity": 1, "key": "k"}]',
		'[{"account_id": 1, "service": "calls", "quantity": 1, "key": "4111111111111111"}]',
		'[{"account_id": 1, "service": "calls", "quantity": "4111 1111 1111 1111", "key": "k"}]',
			'{"a": "4111111111111111"}', '{"4111111111111111": 1}'] END) value
WHERE p.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND p.prokind = 'f'
	AND p.prorettype <> 'trigger'::regtype AND p.provariadic = 0
	AND a.type IN ('text'::regtype, 'jsonb'::regtype)
	-- names of kbilling's own arguments; and two that are called with what has been checked
	AND p.proname <> 'kb_require_not_null';
SELECT isnt((SELECT count(DISTINCT proname) FROM call), 0::bigint, 'T4: there are functions that take text');
-- All that an error tells, if it repeats a card number; the statement around is plpgsql's to show, not the function's
CREATE FUNCTION pg_temp.repeated(statement text, if_no_error text = NULL) RETURNS text LANGUAGE sql RETURN (
	SELECT CASE WHEN r.state IS NULL THEN if_no_error WHEN kb_has_card_number(told) OR told ~ '1111[- ]?1111' THEN told END
	FROM pg_temp.raised(statement) r,
		concat_ws(' | ', r.message, r.detail, r.hint, regexp_replace(r.context, 'SQL statement ".*', '')) told);
SELECT is(pg_temp.repeated(statement), NULL, format('T4: %s, argument %s: no error repeats the number', proname, i)) FROM call;

-- Errors that repeat what they were given, at other places than the arguments above

CREATE TABLE public.taker (money kb_money, price kb_price, account_id bigint, key text);
SELECT kb_create_service('seat', 'recurring'), kb_set_price('std', 'seat', '1 each') \g /dev/null
SELECT is(pg_temp.repeated(statement, 'no error'), NULL, format('T4: the error does not repeat the number: %s', statement))
FROM (VALUES
	-- amounts
	($$SELECT '4111111111111111'::kb_money$$),
	($$SELECT '4111 1111 1111 1111 USD'::kb_money$$),
	($$SELECT '4111111111111111.123 USD'::kb_money$$),
	($$SELECT 'USD4111111111111111.123'::kb_money$$),
	($$SELECT '4111111111111111 USDX'::kb_money$$),
	($$SELECT '4111111111111111 XXX'::kb_money$$),
	($$SELECT '4111111111111111 USD'::kb_money$$),
	($$SELECT 'USD 4111111111111111 x'::kb_money$$),
	($$SELECT kb_money(4111111111111111.5, 'JPY')$$),
	($$SELECT kb_money(1, '4111111111111111')$$),
	($$SELECT kb_minor_units('4111-1111-1111-1111')$$),
	($$COPY taker (money) FROM PROGRAM 'echo 4111111111111111'$$),
	($$COPY taker (money) FROM PROGRAM 'echo 4111111111111111.123 USD'$$),
	($$COPY taker (money) FROM PROGRAM 'echo 4111111111111111 XYZ'$$),
	($$SELECT kb_apply_topup(1, '-4111111111111111 JPY', 'card', 'r')$$),
	($$SELECT kb_begin_topup(1, 'ann', '-4111111111111111 JPY', 'card')$$),
	($$SELECT kb_refund(1, '-4111111111111111 JPY', 'r')$$),
	($$SELECT kb_set_bonus('std', '-4111111111111111 JPY', 1)$$),
	-- prices
	($$SELECT '4111111111111111 4111111111111111'::kb_price$$),
	($$SELECT '4111 1111 1111 1111'::kb_price$$),
	($$SELECT '4111111111111111.5.5'::kb_price$$),
	($$SELECT '1 each 4111111111111111'::kb_price$$),
	($$SELECT '1 xxxxx4111111111111111xxxxx'::kb_price$$),
	($$SELECT '1 xxxx4111-1111-1111-1111-xxxxx'::kb_price$$),
	($$SELECT 'graduated 1 to 4111111111111111, 2 to 5, 1'::kb_price$$),
	($$SELECT '1 each min 4111111111111111 max 2'::kb_price$$),
	($$COPY taker (price) FROM PROGRAM 'echo 4111111111111111 each x'$$),
	-- settings
	($$SET kbilling.clock = '4111111111111111'$$),
	($$SET kbilling.notify = '4111 1111 1111 1111'$$),
	($$SELECT set_config('kbilling.clock', '2026-11-11 4111 1111 1111 1111', true)$$),
	-- patterns, where a number may be cut by the place of the fault
	($$SELECT kb_format_message('{4111 1111 1111 1111 }', 'en', '{}')$$),
	($$SELECT kb_format_message('{a 4111 1111 1111 1111 }', 'en', '{}')$$),
	($$SELECT kb_format_message('{n, plural, =4111 1111 1111 1111 {x} other {}}', 'en', '{"n": 1}')$$),
	($$SELECT kb_format_message('{n, plural, offset:4111 1111 1111 1111 x}', 'en', '{"n": 1}')$$),
	($$SELECT kb_format_message('{n, plural, one {4111 1111 1111 1111 {} other {}}', 'en', '{"n": 1}')$$),
	($$SELECT kb_format_message('{n, x4111111111111111}', 'en', '{"n": 1}')$$),
	($$SELECT kb_format_message('{n, number, ::x4111111111111111}', 'en', '{"n": 1}')$$),
	($$SELECT kb_format_message('{a}', 'en-4111111111111111', '{"a": 1}')$$),
	($$SELECT kb_format_message('{a}', 'en', '{"4111111111111111": {}}')$$),
	($$SELECT kb_format_message('{a}', 'en', '{"4111111111111111": 4111111111111111e60}')$$),
	-- quantities, counts and columns
	($$SELECT kb_switch_on(1, 'seat', -4111111111111111)$$),
	($$SELECT kb_record_usage(1, 'calls', 4111111111111111.1111111111111111111, 'k', '2026-11-11 00:00+00')$$),
	($$SELECT kb_record_usage(4111111111111111, 'calls', 1, 'k')$$),
	($$SELECT kb_register_purge('taker', '4111111111111111')$$),
	($$SELECT kb_raise('22023', 'x', 'x', '4111111111111111')$$),
	-- tables that are written to by hand
	($$INSERT INTO policy (policy, language) VALUES ('x', '4111111111111111')$$),
	($$INSERT INTO tariff (tariff, currency) VALUES ('x', '4111111111111111')$$)
) AS t (statement);
SELECT is(pg_temp.repeated(format('SELECT kb_record_usage_batch(%L)', events), 'no error'), NULL,
	format('T4: the error does not repeat the number in a batch: %s', events))
FROM (VALUES
	('4111111111111111'),
	('[4111111111111111]'),
	('[{"4111111111111111": 1}]'),
	('[{"account_id": "4111111111111111"}]'),
	('[{"account_id": 4111111111111111.5}]'),
	('[{"account_id": 4111111111111111, "service": "calls", "quantity": 1, "key": "k"}]'),
	('[{"account_id": 1, "service": 4111111111111111, "quantity": 1, "key": "k"}]'),
	('[{"account_id": 1, "service": "calls", "quantity": "x4111111111111111", "key": "k"}]'),
	('[{"account_id": 1, "service": "calls", "quantity": {"x": "4111111111111111"}, "key": "k"}]'),
	('[{"account_id": 1, "service": "calls", "quantity": 4111111111111111.1111111111111111111, "key": "k"}]'),
	('[{"account_id": 1, "service": "calls", "quantity": 1, "key": 4111111111111111}]'),
	('[{"account_id": 1, "service": "calls", "quantity": 1, "key": "k", "at": "4111111111111111"}]'),
	('[{"account_id": 1, "service": "calls", "quantity": 1, "key": "k", "at": "2026-11-11T11:41:4111111111111111Z"}]'),
	('[{"account_id": 1, "service": "calls", "quantity": 1, "key": "k", "at": "2026-11-11T11:41:41+4111111111111111"}]'),
	('[{"account_id": 1, "service": "calls", "quantity": 1, "key": "k", "properties": 4111111111111111}]')
) AS t (events);
SELECT is(pg_temp.repeated(format('CREATE TRIGGER taker %s; INSERT INTO taker (account_id, key) VALUES (1, %L)', trigger,
	'4111111111111111'), 'no error'), NULL,
	format('T4: the error does not repeat the number: %s', trigger))
FROM (VALUES
	($$BEFORE INSERT ON taker FOR EACH ROW EXECUTE FUNCTION kb_guard('4111111111111111')$$),
	($$BEFORE INSERT ON taker FOR EACH ROW EXECUTE FUNCTION kb_refuse_change('4111111111111111')$$),
	($$AFTER INSERT ON taker REFERENCING NEW TABLE AS added
		FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('4111111111111111', 'account_id')$$),
	($$AFTER INSERT ON taker REFERENCING NEW TABLE AS added
		FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('calls', '4111111111111111')$$),
	($$AFTER INSERT ON taker REFERENCING NEW TABLE AS added
		FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('calls', 'account_id', '', 'key')$$)
) AS t (trigger);

SELECT ok(kb_refuse_card_number('thanks'::text) AND kb_refuse_card_number('{"order": 17}'::jsonb), 'T4: other values are let through');
SELECT is(kb_refuse_card_number(NULL::text), NULL, 'T4: NULL holds nothing');

SELECT is(kb_has_card_number(('[' || repeat('1e131071,', 20000) || '4111111111111111]')::jsonb), true,
	'T4: numbers of a hundred thousand digits are passed over');

SELECT * FROM finish();
ROLLBACK;
