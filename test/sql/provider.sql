-- A provider's ids as references (T10)
BEGIN;
SET LOCAL search_path = kbilling, public;
SELECT no_plan();
\ir ../include/error.sql

CREATE TEMP TABLE written (provider text, id text, reference text);
INSERT INTO written VALUES
	('stripe', 'pi_ThreeNabc', 'stripe:pi_ThreeNabc'),
	('stripe', 'pi_3N7', 'stripe:pi_3N7~'),
	('liqpay', '1', 'liqpay:1~'),
	('liqpay', '123456', 'liqpay:123456~'),
	('liqpay', '1234567', 'liqpay:123456~7~'),
	('liqpay', '4111111111111111', 'liqpay:411111~111111~1111~'),
	('liqpay', '0000000000000', 'liqpay:000000~000000~0~'),
	('paypal', '5O190127TN364715T', 'paypal:5O190127TN364715T'),
	('paypal', '123456a', 'paypal:123456a'),
	('fondy', '12_34', 'fondy:12~_34~'),
	('p24', '4111111111111111', 'p24:411111~111111~1111~'),
	('yookassa', '22e12f66-000f-5000-8000-18db351245c7', 'yookassa:22e12f66-000f-5000-8000-18db351245c7'),
	('yookassa', '41111111-1111-1111-1111-111111111111', 'yookassa:41111111-1111-1111-1111-111111111111');
SELECT is(kb_reference(provider, id), reference, format('T10: %s of %s is %s', id, provider, reference)) FROM written;
SELECT is(kb_reference_id(reference), id, format('T10: the id of %s', reference)) FROM written;

SELECT is(kb_reference_id(reference), NULL, format('T10: %s is no reference that kb_reference has written', reference))
FROM unnest('{pay-1,liqpay,liqpay:,:1~,liqpay:1,liqpay:1234567~,liqpay:12~34~,liqpay:1~~,liqpay:~1~,liqpay:a~,kb:1~,
	"li pay:1~",7pay:1~,"liqpay:1~ ","liqpay:4111 1111 1111 1111",yookassa:22e12f66~-000f-5000-8000-18db351245c7,""}'::text[]) reference;
SELECT ok(kb_reference(NULL, '1') IS NULL AND kb_reference('liqpay', NULL) IS NULL AND kb_reference_id(NULL) IS NULL,
	'T10: nothing of nothing');

SELECT is(pg_temp.error_of(format('SELECT kb_reference(%L, %L)', provider, id)), error,
	format('T10: refused: %s of %s', id, provider))
FROM (VALUES
	('liqpay', '4111 1111', '22023 "4111 1111" is no id of a payment | An id has letters, digits and underscores, or is a UUID. '
		'| Pass the id alone, as the provider gives it.'),
	('liq pay', '1', '22023 "liq pay" is no name of a provider '
		'| It has letters, digits and underscores, and begins with a letter; "kb" is kbilling''s own. '
		'| Choose a name such as "liqpay", and keep to it.')
) AS t (provider, id, error);
SELECT is(left(pg_temp.error_of(format('SELECT kb_reference(%L, %L)', provider, id)), 5), '22023',
	format('T10: refused: %L of %L', translate(id, E'\n', '^'), provider))
FROM (VALUES
	('liqpay', ''), ('liqpay', ' '), ('liqpay', ' 1'), ('liqpay', '1 '), ('liqpay', '4111-1111-1111-1111'), ('liqpay', '12-34'),
	('liqpay', '12.34'), ('liqpay', '1~'), ('liqpay', '1:2'), ('liqpay', E'1\n'), ('liqpay', '№1'), ('liqpay', '٤١١١'),
	('liqpay', '4111_1111_1111_1111'), ('liqpay', '22e12f66-000f-5000-8000-18db351245c'),
	('liqpay', '22e12f66-000f-5000-8000-18db351245cg'),
	('', '1'), ('kb', '1'), ('2checkout', '1'), ('_p', '1'), ('liq:pay', '1'), ('liq-pay', '1'), ('платон', '1'), ('p4111111111111111', '1')
) AS t (provider, id);

-- Numbers that look like cards, of every length and network

CREATE FUNCTION pg_temp.luhn(digits text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
	SELECT digits || (10 - sum(CASE WHEN n % 2 = 1 THEN d * 2 - CASE WHEN d > 4 THEN 9 ELSE 0 END ELSE d END) % 10) % 10
	FROM (SELECT substr(digits, length(digits) - i + 1, 1)::int AS d, i AS n FROM generate_series(1, length(digits)) i) x
$$;
SELECT setseed(0.26)
\g /dev/null
CREATE TEMP TABLE number AS
	SELECT length, pg_temp.luhn(prefix || (SELECT string_agg(floor(random() * 10)::int::text, '')
										   FROM generate_series(1, length - 1 - length(prefix)) WHERE n >= 0)) AS id
	FROM generate_series(13, 19) length, generate_series(1, 20) n,
		unnest('{4,51,2221,34,37,3528,30,36,38,6011,62,6304,6759,50,2200,9804,6505}'::text[]) prefix;
CREATE TEMP TABLE reference AS
	SELECT id, length, kb_reference('p24', id) AS reference, kb_has_card_number(id) AS looks_like_card FROM number;
SELECT cmp_ok(count(*) FILTER (WHERE looks_like_card), '>', 50::bigint, format('T10: ids of %s digits that look like cards', length))
FROM reference GROUP BY length ORDER BY length;
SELECT is_empty('SELECT * FROM reference WHERE kb_has_card_number(reference) OR kb_has_card_number(to_jsonb(reference))',
	'T10: no reference looks like one');
SELECT is((SELECT count(DISTINCT reference::kb_text) FROM reference), (SELECT count(DISTINCT id) FROM number),
	'T10: so all can be kept, and each is another one');
SELECT is_empty('SELECT * FROM reference WHERE kb_reference_id(reference) <> id', 'T10: and gives its id back');
SELECT is_empty(format($$SELECT said FROM reference, format(%L, reference) said WHERE kb_has_card_number(said)$$, neighbour),
	format('T10: nor does it among others: %s', translate(neighbour, E'\n', '^')))
FROM unnest(ARRAY['%s', 'paid: %s.', '4111 1111 1111 %s', '%s 1111 1111 1111', '4%s1', '%s%1$s', '%s %1$s', '%s-%1$s',
	'a%sb', 'f%sf', '%s 19.00 USD', '"%s"', '%s, 12/28', '№ %s', E'%s\n1234', '2026-11-01 %s 10:00']) neighbour;
-- a part of the number is the id, the rest stands beside it
SELECT is_empty($$
	SELECT said FROM (SELECT DISTINCT ON (length, left(id, 2)) id, length FROM reference WHERE looks_like_card) r,
		generate_series(1, length - 1) i,
		unnest(ARRAY['', ' ', '-', '  ', '.', '_', E'\t', ' - ']) separator,
		unnest(ARRAY[kb_reference('p', left(id, i)) || separator || substr(id, i + 1),
			left(id, i) || separator || kb_reference('p', substr(id, i + 1))]) said
	WHERE kb_has_card_number(said) AND NOT kb_has_card_number(substr(id, i + 1)) AND NOT kb_has_card_number(left(id, i))$$,
	'T10: no digits beside it make it one');

-- Other ids

CREATE TEMP TABLE other AS
	SELECT DISTINCT (SELECT string_agg(substr('0123456789012345678901234567890123456789abcXYZ_', 1 + floor(random() * 47)::int, 1), '')
					 FROM generate_series(1, 1 + floor(random() * 40)::int) WHERE n >= 0) AS id
	FROM generate_series(1, 5000) n;
SELECT is_empty($$SELECT id FROM other WHERE NOT kb_has_card_number(id)
	AND (kb_reference_id(kb_reference('p', id)) IS DISTINCT FROM id OR kb_has_card_number(kb_reference('p', id) || ' 1111'))$$,
	'T10: ids of letters, digits and underscores come back, and look like no card');
SELECT is((SELECT count(DISTINCT kb_reference('p', id)) FROM other WHERE NOT kb_has_card_number(id)),
	(SELECT count(*) FROM other WHERE NOT kb_has_card_number(id)), 'T10: each has a reference of its own');
SELECT isnt(kb_reference('a', 'b_c'), kb_reference('a_b', 'c'), 'T10: the provider is part of it');

-- As a reference

SELECT kb_create_tariff('std', 'USD'), kb_create_account('ann', 'std', 1)
\g /dev/null
SELECT throws_ok($$SELECT kb_apply_topup(1, '5 USD', 'card', '4111111111111111')$$, 'KB008', NULL,
	'T4: an id that looks like a card number is refused');
SELECT lives_ok($$SELECT kb_apply_topup(1, '5 USD', 'card', kb_reference('liqpay', '4111111111111111'))$$, 'T10: its reference is not');
SELECT is((SELECT t.replayed FROM kb_apply_topup(1, '5 USD', 'card', kb_reference('liqpay', '4111111111111111')) t), true,
	'T10: and is known when it comes again');
SELECT is((SELECT kb_reference_id(reference) FROM payment_history WHERE account_id = 1), '4111111111111111',
	'T10: the provider''s id can be read from it');

SELECT * FROM finish();
ROLLBACK;
