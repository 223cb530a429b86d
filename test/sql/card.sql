BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SET LOCAL search_path = kbilling, public;
SELECT no_plan();

-- The networks' published test numbers, bare

SELECT ok(kb_has_card_number(number), format('T4: %s is found', network))
FROM (VALUES
	('Visa', '4111111111111111'),
	('Visa', '4012888888881881'),
	('Visa', '4242424242424242'),
	('Visa of 13 digits', '4222222222222'),
	('Visa of 19 digits', '4000000000000000006'),
	('Mastercard', '5555555555554444'),
	('Mastercard', '5105105105105100'),
	('Mastercard, series 2', '2223003122003222'),
	('Mastercard, the first of series 2', '2221000000000009'),
	('Mastercard, the last of series 2', '2720990000000007'),
	('American Express', '378282246310005'),
	('American Express', '341134113411347'),
	('Discover', '6011111111111117'),
	('Discover', '6445644564456445'),
	('JCB', '3530111333300000'),
	('JCB', '3566002020360505'),
	('JCB, the first', '3528000000000007'),
	('JCB, the last', '3589990000000005'),
	('Diners Club', '30569309025904'),
	('Diners Club', '38520000023237'),
	('Diners Club', '36227206271667'),
	('UnionPay', '6250941006528599'),
	('UnionPay of 19 digits', '6205500000000000004'),
	('Maestro', '6759649826438453'),
	('Maestro of 13 digits', '5000000000005'),
	('Mir', '2200000000000004'),
	('Mir of 19 digits', '2204990000000000008'),
	('Prostir', '9804000000000009')
) AS t (network, number);

-- Spellings

SELECT ok(kb_has_card_number(spelling), format('T4: %L is found', left(translate(spelling, E'\n', ' '), 60)))
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
	('-4111111111111111'),
	('4111111111111111.00'),
	('4111 1111 1111 1111 12/28 123'),
	('UA18 3223 1300 4111 1111 1111 1111 1'),
	('41111111-1111-4131'),
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

SELECT ok(NOT kb_has_card_number(harmless), format('T4: %s is let through', what))
FROM (VALUES
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
	('just over Mir', '2205000000000009'),
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
	('a longer run of digits', '94111111111111111'),
	('a longer run of digits, behind', '41111111111111111111'),
	('a letter before', 'A4111111111111111'),
	('a letter behind', '4111111111111111A'),
	('a letter behind the last group', '4111 1111 1111 1111b'),
	('a hash', '4111111111111111deadbeef4111111111111111'),
	('a plus before', '+4111111111111111'),
	('a phone number', '+380501234567'),
	('a phone number in groups', '+380 50 123-45-67'),
	('two phone numbers', '415-555-1284 415-555-1234'),
	('a UUID', '41111111-1111-4131-8111-11111111111a'),
	('a UUID in a text', 'event {a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11} seen'),
	('a date', '2026-11-01'),
	('a moment', '2026-11-01T00:00:00.000000+02:00'),
	('two moments', '2026-11-01 00:00:00 2026-12-01 00:00:00'),
	('a moment in digits', '20261101000000'),
	('seconds since 1970', '1793491200.123456'),
	('milliseconds since 1970', '1793491200123'),
	('an IBAN', 'UA213223130000026007233566001'),
	('an IBAN in groups', 'by UA17 3223 1300 4111 1111 1111 1111 1 today'),
	('an IBAN in groups of another length', 'de89 4111 1111 1111 1111 11'),
	('coordinates', '50.450123 30.5233'),
	('decimals', '0.4111111111111111'),
	('an amount', '41111111.11111111'),
	('a whole part and decimals', '30.4111111111111111'),
	('an address of the net', '192.168.100.200 10.20.30.40'),
	('a list', '4111, 1111, 1111, 1111'),
	('lines', E'4111\n1111\n1111\n1111'),
	('wide gaps', '4111    1111    1111    1111'),
	('a few digits in Cyrillic', 'оплата 4111 грн за 1111 повідомлень')
) AS t (what, harmless);

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

-- The domains

CREATE TEMP TABLE note (memo kb_text, metadata kb_json);
SELECT lives_ok($$INSERT INTO note VALUES ('thanks', '{"order": 17}'), (NULL, NULL)$$, 'T4: other text, JSON and NULL pass');

-- All that an error tells
CREATE FUNCTION pg_temp.told(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
	context text;
BEGIN
	EXECUTE statement;
	RETURN '';
EXCEPTION WHEN SQLSTATE 'KB008' THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, detail, hint, context);
END $$;

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
	($$SELECT kbilling.kb_refuse_card_number('4111111111111111'::text)$$),
	($$SELECT kbilling.kb_refuse_card_number('[4111111111111111]'::jsonb)$$),
	($$COPY note (memo) FROM PROGRAM 'echo 4111111111111111'$$),
	($$DO 'BEGIN INSERT INTO note (memo) VALUES (''4111111111111111''); END'$$)
) AS t (statement);

SELECT ok(kb_refuse_card_number('thanks'::text) AND kb_refuse_card_number('{"order": 17}'::jsonb), 'T4: other values are let through');
SELECT is(kb_refuse_card_number(NULL::text), NULL, 'T4: NULL holds nothing');

SELECT is(kb_has_card_number(('[' || repeat('1e131071,', 20000) || '4111111111111111]')::jsonb), true, 'T4: numbers of a hundred thousand digits are passed over');

SELECT * FROM finish();
ROLLBACK;
