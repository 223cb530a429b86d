BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SET LOCAL search_path = kbilling, public;
SELECT no_plan();

-- The error of reading a price: "SQLSTATE message | detail", '' if there is none
CREATE FUNCTION pg_temp.price_error(price text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM price::kbilling.kb_price;
	RETURN '';
EXCEPTION WHEN data_exception THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ' ' || SQLERRM || ' | ' || detail;
END $$;

-- Text form

SELECT is(price::kb_price::text, written, format('P: %L is written %s', price, written))
FROM (VALUES
	('19.00', '19.00'),
	('19', '19'),
	('0', '0'),
	('007.50', '7.50'),
	('0.000000000001', '0.000000000001'),
	('9223372036854775807', '9223372036854775807'),
	('9223372.036854775807', '9223372.036854775807'),
	('0.05 each', '0.05 each'),
	('5.00 per 100', '5.00 per 100'),
	('5.00 per 0.5', '5.00 per 0.5'),
	('0.05 each free 50', '0.05 each free 50'),
	('0.05 each min 5.00 max 5.00', '0.05 each min 5.00 max 5.00'),
	('5.00 per 100 free 50 min 5.00 max 100.00', '5.00 per 100 free 50 min 5.00 max 100.00'),
	('5.00 per 100 max 100.00 min 5.00 free 50', '5.00 per 100 free 50 min 5.00 max 100.00'),
	(E'  0.05\tEACH  Free 50 ', '0.05 each free 50')
) AS t (price, written);

SELECT is(pg_temp.price_error(price),
	'22P02 invalid input syntax for type kb_price: "' || price || '" | At position ' || detail,
	format('P: %L is refused', price))
FROM (VALUES
	('', '1: expected a number, found the end.'),
	('  ', '3: expected a number, found the end.'),
	('free', '1: expected a number, found "free".'),
	('-5', '1: expected a number, found "-5".'),
	('+5', '1: expected a number, found "+5".'),
	('.5', '1: expected a number, found ".5".'),
	('NaN', '1: expected a number, found "NaN".'),
	('19.', '4: expected a digit, found the end.'),
	('19.00.1', '6: expected a space or the end, found ".1".'),
	('1e5', '2: expected a space or the end, found "e5".'),
	('1,000.00', '2: expected a space or the end, found ",000.00".'),
	('0.1234567890123', '1: expected a number with at most 12 decimals, found "0.1234567890123".'),
	('19.00 USD', '7: expected "each", "per" or the end, found "USD".'),
	('0.05 ech', '6: expected "each", "per" or the end, found "ech".'),
	('0.05 eache', '6: expected "each", "per" or the end, found "eache".'),
	('0.05 кожне', '6: expected "each", "per" or the end, found "кожне".'),
	('0.05 each кожне', '11: expected "free", "min", "max" or the end, found "кожне".'),
	('19.00 free 50', '7: expected "each", "per" or the end, found "free".'),
	('19.00 min 5.00', '7: expected "each", "per" or the end, found "min".'),
	('5.00 per', '9: expected a number, found the end.'),
	('5.00 per 0', '10: expected a number above zero, found "0".'),
	('5.00 per 0.00', '10: expected a number above zero, found "0.00".'),
	('5.00 per -1', '10: expected a number, found "-1".'),
	('5.00 per 100 each', '14: expected "free", "min", "max" or the end, found "each".'),
	('0.05 each free', '15: expected a number, found the end.'),
	('0.05 each free 5 free 6', '18: expected "min", "max" or the end, found "free".'),
	('0.05 each free 5 min 1 max 2 min 1', '30: expected the end, found "min".'),
	('0.05 each min 5.01 max 5.00', '24: expected a min that is not above the max, found "5.00".'),
	('0.05 each max 5 min 5.000000000001', '21: expected a min that is not above the max, found "5.000000000001".'),
	('0.05 abcdefghijklmnopqrstuvwxyz', '6: expected "each", "per" or the end, found "abcdefghijklmnopqrst".')
) AS t (price, detail);

SELECT is(pg_temp.price_error(price),
	'22003 value "' || price || '" is out of range for type kb_price | At position ' || pos
		|| ': without its point, the number is above 9223372036854775807.',
	format('P: %L is too large', price))
FROM (VALUES
	('9223372036854775808', 1),
	('922337203685477580.80', 1),
	('0.05 each max 99999999999999999999', 15)
) AS t (price, pos);

-- Binary form

SELECT is(kb_price_send('5.00 per 100 free 1'), '\x01' || convert_to('5.00 per 100 free 1', 'UTF8'),
	'P: the binary form is a version byte and the text');

-- What kb_price_recv makes of bytes: they go through COPY, in a file of one row
CREATE TEMP TABLE received (price kb_price);
CREATE FUNCTION pg_temp.receive(wire bytea) RETURNS kb_price LANGUAGE plpgsql AS $$
DECLARE
	file bytea := '\x5047434f50590aff0d0a00' || int4send(0) || int4send(0)
		|| int2send(1::int2) || int4send(length(wire)) || wire || int2send(-1::int2);
	result kb_price;
BEGIN
	EXECUTE format('COPY received FROM PROGRAM %L (FORMAT binary)',
		'echo ' || translate(encode(file, 'base64'), E'\n', '') || ' | base64 -d');
	DELETE FROM received RETURNING price INTO result;
	RETURN result;
END $$;

SELECT is(pg_temp.receive(kb_price_send(price::kb_price))::text, price, format('P: %s comes back from the binary form', price))
FROM (VALUES
	('19.00'), ('0.000000000001 each'), ('9223372036854775807'),
	('5.00 per 100 free 50 min 5.00 max 100.00')
) AS t (price);
SELECT throws_ok(format('SELECT pg_temp.receive(%L)', wire), state, message, format('P: bytes %s are refused', wire))
FROM (VALUES
	('\x01'::bytea, '22P02', 'invalid input syntax for type kb_price: ""'),
	('\x012d35', '22P02', 'invalid input syntax for type kb_price: "-5"'),
	('\x01' || '5 per 0'::bytea, '22P02', 'invalid input syntax for type kb_price: "5 per 0"'),
	('\x01' || '99999999999999999999'::bytea, '22003', 'value "99999999999999999999" is out of range for type kb_price'),
	('\x023139', '22P03', 'unsupported version 2 of the binary form of type kb_price'),
	('\x01313900', '22021', NULL)
) AS t (wire, state, message);

-- Equality

SELECT ok('19.0'::kb_price = '19.00'::kb_price, 'P: 19.0 equals 19.00');
SELECT ok('19'::kb_price <> '19.000000000001'::kb_price, 'P: the twelfth decimal tells prices apart');
SELECT ok(NOT ('19.0'::kb_price <> '19.00'::kb_price), 'P: 19.0 is not unequal to 19.00');
SELECT ok('0.05 each free 50 min 5'::kb_price = '0.050 each min 5.00 free 50.0'::kb_price, 'P: options are compared by value');
SELECT ok(a::kb_price IS DISTINCT FROM b::kb_price, format('P: %s is not %s', a, b))
FROM (VALUES
	('19.00', '19.00 each'),
	('19.00 each', '19.00 per 1'),
	('5 per 100', '5 per 101'),
	('5 each min 1', '5 each max 1'),
	('5 each min 0', '5 each')
) AS t (a, b);
SELECT is(kb_price_hash('19.0 each free 5'), kb_price_hash('19.00 each free 5.0'), 'P: equal prices hash alike');
SELECT is(kb_price_hash_extended('19.0', 7), kb_price_hash_extended('19.00', 7), 'P: equal prices hash alike, in 64 bits');
SELECT isnt(kb_price_hash('19.0'), kb_price_hash('19.01'), 'P: other prices hash otherwise');
SELECT is((SELECT count(*) FROM (SELECT DISTINCT p FROM unnest('{19.0,19.00,19.01,"19 each"}'::kb_price[]) AS p) AS d),
	3::bigint, 'P: DISTINCT works, by value');

-- Rating a full period

SELECT is(kb_rate(price::kb_price, quantity, currency)::text, amount,
	format('%s: %s x %s %s', rule, quantity, price, currency))
FROM (VALUES
	-- flat: whatever the quantity
	('P', '19.00', 1, 'USD', '19.00 USD'),
	('P', '19.00', 0, 'USD', '19.00 USD'),
	('P', '19.00', 7, 'USD', '19.00 USD'),
	('P', '0', 1, 'USD', '0.00 USD'),
	-- each
	('P', '0.05 each', 0, 'USD', '0.00 USD'),
	('P', '0.05 each', 1, 'USD', '0.05 USD'),
	('P', '0.05 each', 130, 'USD', '6.50 USD'),
	('P', '0.05 each', -3, 'USD', '0.00 USD'),
	('P', '0.05 each', 2.5, 'USD', '0.13 USD'),
	('P', '0.05 each', 1000000000000, 'USD', '50000000000.00 USD'),
	('P', '0.000000000001 each', 1000000000000, 'USD', '1.00 USD'),
	-- free: its edge
	('P', '0.05 each free 50', 0, 'USD', '0.00 USD'),
	('P', '0.05 each free 50', 49, 'USD', '0.00 USD'),
	('P', '0.05 each free 50', 50, 'USD', '0.00 USD'),
	('P', '0.05 each free 50', 51, 'USD', '0.05 USD'),
	('P', '1.00 each free 0.5', 1, 'USD', '0.50 USD'),
	-- packages: each one that is started
	('P', '5.00 per 100', 0, 'USD', '0.00 USD'),
	('P', '5.00 per 100', 1, 'USD', '5.00 USD'),
	('P', '5.00 per 100', 100, 'USD', '5.00 USD'),
	('P', '5.00 per 100', 100.000000000000000000000000000001, 'USD', '10.00 USD'),
	('P', '5.00 per 100', 101, 'USD', '10.00 USD'),
	('P', '5.00 per 100', -1, 'USD', '0.00 USD'),
	('P', '5.00 per 100', 1000000000000, 'USD', '50000000000.00 USD'),
	('P', '5.00 per 3', 1000000000000, 'USD', '1666666666670.00 USD'),
	('P', '5.00 per 0.5', 1.2, 'USD', '15.00 USD'),
	('P', '5.00 per 100 free 50', 50, 'USD', '0.00 USD'),
	('P', '5.00 per 100 free 50', 150, 'USD', '5.00 USD'),
	('P', '5.00 per 100 free 50', 151, 'USD', '10.00 USD'),
	-- floor and ceiling
	('P', '0.05 each min 5.00', 0, 'USD', '5.00 USD'),
	('P', '0.05 each min 5.00', 100, 'USD', '5.00 USD'),
	('P', '0.05 each min 5.00', 101, 'USD', '5.05 USD'),
	('P', '0.05 each max 100.00', 2000, 'USD', '100.00 USD'),
	('P', '0.05 each max 100.00', 2001, 'USD', '100.00 USD'),
	('P', '0.05 each max 100.00', 1999, 'USD', '99.95 USD'),
	('P', '0.05 each free 50 min 5.00 max 6.00', 160, 'USD', '5.50 USD'),
	('P', '0.05 each free 50 min 5.00 max 6.00', 180, 'USD', '6.00 USD'),
	('P', '5.00 per 100 min 7.00 max 12.00', 1, 'USD', '7.00 USD'),
	('P', '5.00 per 100 min 7.00 max 12.00', 201, 'USD', '12.00 USD'),
	-- half away from zero, once
	('M4', '0.005', 1, 'USD', '0.01 USD'),
	('M4', '0.004999999999', 1, 'USD', '0.00 USD'),
	('M4', '0.001 each', 5, 'USD', '0.01 USD'),
	('M4', '0.001 each', 4, 'USD', '0.00 USD'),
	('M4', '0.001 each', 4.9999, 'USD', '0.00 USD'),
	('M4', '19.50', 1, 'JPY', '20 JPY'),
	('M4', '19.49', 1, 'JPY', '19 JPY'),
	('M4', '0.5 each', 3, 'JPY', '2 JPY'),
	('M4', '0.0005', 1, 'KWD', '0.001 KWD'),
	('M4', '1.2345 each', 3, 'KWD', '3.704 KWD'),
	('M4', '0.05 each min 0.005', 0, 'USD', '0.01 USD'),
	('M1', '90071992547409.91', 1, 'USD', '90071992547409.91 USD'),
	('M1', '90071992547409.91 each', 1, 'USD', '90071992547409.91 USD')
) AS t (rule, price, quantity, currency, amount);

SELECT is(kb_rate('0.05 each', 3, 'usd', 9)::text, '0.15 USD', 'P: the count of events has no part in a unit price');
SELECT is(kb_rate(NULL, 1, 'USD'), NULL, 'P: no price, no amount');

SELECT throws_ok(format('SELECT kb_rate(%L, %L, %L)', price, quantity, currency), state, NULL,
	format('%s: %s x %s %s is error %s', rule, quantity, price, currency, state))
FROM (VALUES
	('P', '19.00', 'NaN', 'USD', '22003'),
	('P', '19.00', 'Infinity', 'USD', '22003'),
	('P', '0.05 each', 'NaN', 'USD', '22003'),
	('P', '0.05 each', '-Infinity', 'USD', '22003'),
	('P', '5.00 per 100', 'Infinity', 'USD', '22003'),
	('M1', '90071992547409.915', '1', 'USD', '22003'),
	('M1', '9223372036854775807', '1', 'USD', '22003'),
	('M1', '9223372036854775807', '1', 'KWD', '22003'),
	('M1', '90071992547409.91 each', '1.001', 'USD', '22003'),
	('M1', '1 each', '1e30', 'USD', '22003'),
	('M2', '19.00', '1', 'ZZZ', '22023')
) AS t (rule, price, quantity, currency, state);
SELECT throws_ok($$SELECT kb_rate('19.00', 1, 'USD', -1)$$, '22003', NULL, 'P: there is no negative count of events');

-- Rating by day

SELECT is(kb_rate_days(price::kb_price, quantity, currency, days, of)::text, amount,
	format('C3: %s x %s %s, %s of %s days', quantity, price, currency, days, of))
FROM (VALUES
	('19.00', 1, 'USD', 30, 30, '19.00 USD'),
	('19.00', 1, 'USD', 0, 30, '0.00 USD'),
	('19.00', 1, 'USD', 1, 30, '0.63 USD'),		-- 0.6333
	('19.00', 1, 'USD', 10, 31, '6.13 USD'),	-- 6.1290
	('19.00', 1, 'USD', 15, 28, '10.18 USD'),	-- 10.1786
	('0.15', 1, 'USD', 1, 30, '0.01 USD'),		-- 0.005, a half
	('0.149999999999', 1, 'USD', 1, 30, '0.00 USD'),
	('15', 1, 'JPY', 1, 30, '1 JPY'),			-- 0.5, a half
	('19.000', 1, 'KWD', 1, 31, '0.613 KWD'),	-- 0.61290
	('4.00 each', 3, 'USD', 7, 30, '2.80 USD'),
	('4.00 each', 3, 'USD', 30, 30, '12.00 USD'),
	('0.05 each', 1, 'USD', 3, 30, '0.01 USD'),	-- 0.005, a half
	('0.05 each', -1, 'USD', 3, 30, '0.00 USD'),
	('1.00 each', 0.1499999999999999999999999999999999999999, 'USD', 1, 30, '0.00 USD'),
	('1.00 each', 0.15, 'USD', 1, 30, '0.01 USD'),
	('5.00 per 100', 101, 'USD', 15, 30, '5.00 USD'),
	('0.05 each min 5.00', 0, 'USD', 15, 30, '2.50 USD'),
	('0.05 each max 1.00', 100, 'USD', 15, 30, '0.50 USD')
) AS t (price, quantity, currency, days, of, amount);

SELECT is(
	(SELECT sum(kb_rate_days('31.00', 1, 'USD', d, 31)) FROM unnest('{10,20,1}'::int[]) AS d)::text,
	'31.00 USD', 'C3: the parts of a month add up to it');

SELECT throws_ok(format('SELECT kb_rate_days(%L, 1, %L, %s, %s)', '1.00', 'USD', days, of), '22023', NULL,
	format('C3: %s of %s days is no part of a period', days, of))
FROM (VALUES (-1, 30), (31, 30), (0, 0), (-1, -1)) AS t (days, of);
SELECT throws_ok($$SELECT kb_rate_days('1.00', 'NaN', 'USD', 1, 30)$$, '22003', NULL, 'C3: the quantity is a finite number');

SELECT * FROM finish();
ROLLBACK;
