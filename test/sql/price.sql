BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();

\ir ../include/error.sql
-- The error of reading a price: "SQLSTATE message | detail", '' if there is none
CREATE FUNCTION pg_temp.price_error(price text) RETURNS text LANGUAGE sql
	RETURN pg_temp.error_with_detail(format('SELECT %L::kbilling.kb_price', price));

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
	(E'  0.05\tEACH  Free 50 ', '0.05 each free 50'),
	('graduated 0.10 to 100, 0.08 to 1000, 0.05', 'graduated 0.10 to 100, 0.08 to 1000, 0.05'),
	('volume 0.10 to 100, 0.08 to 1000, 0.05', 'volume 0.10 to 100, 0.08 to 1000, 0.05'),
	('graduated 0.10 + 2.00 to 100, 0.08 to 1000, 0.05 free 50 min 5.00 max 100.00',
		'graduated 0.10 + 2.00 to 100, 0.08 to 1000, 0.05 free 50 min 5.00 max 100.00'),
	(' GRADUATED 0.10+2.00 TO 100,0.08 To 1000 ,0.05+1 MAX 100.00 min 5.00 free 50',
		'graduated 0.10 + 2.00 to 100, 0.08 to 1000, 0.05 + 1 free 50 min 5.00 max 100.00'),
	('graduated 0.05 + 2.00', 'graduated 0.05 + 2.00'),
	('graduated 0.05', 'graduated 0.05'),
	('Volume 0.05 free 007', 'volume 0.05 free 7'),
	('graduated 0 + 0 to 0.000000000001, 9223372036854775807', 'graduated 0 + 0 to 0.000000000001, 9223372036854775807'),
	('graduated 1 to 99.999999999999, 1 to 100, 2', 'graduated 1 to 99.999999999999, 1 to 100, 2'),
	('2.5%', '2.5%'),
	('2.5% + 0.30', '2.5% + 0.30'),
	('2.5%+0.30', '2.5% + 0.30'),
	(E'2.50\t%\n+  0.30', '2.50% + 0.30'),
	('2.5%free 50', '2.5% free 50'),
	('2.5% + 0.30 max 9 min 1 free 50', '2.5% + 0.30 free 50 min 1 max 9'),
	('5.00 per full 100', '5.00 per full 100'),
	(E'5.00 PER\tFull 0.5 max 9 free 1', '5.00 per full 0.5 free 1 max 9'),
	('graduated 1.00 per 1000 to 5000, 0.50 per 1000', 'graduated 1.00 per 1000 to 5000, 0.50 per 1000'),
	('volume 1.00 per full 1000+2 to 5000,0.50 per 10 to 6000.5, 0.10 + 3 max 9',
		'volume 1.00 per full 1000 + 2 to 5000, 0.50 per 10 to 6000.5, 0.10 + 3 max 9'),
	('graduated 1% to 10000, 0.5%', 'graduated 1% to 10000, 0.5%'),
	('VOLUME 1 %+2.00 to 10000 ,0.50% free 7', 'volume 1% + 2.00 to 10000, 0.50% free 7'),
	('graduated 1% max 9 fee 0.30 free 7', 'graduated 1% fee 0.30 free 7 max 9'),
	('volume 1% to 10, 0.5% + 2 fee 0.30', 'volume 1% to 10, 0.5% + 2 fee 0.30')
) AS t (price, written);

SELECT is(pg_temp.price_error(price),
	'22P02 invalid input syntax for type kb_price: "' || price || '" | At position ' || detail,
	format('P: %L is refused', price))
FROM (VALUES
	('', '1: expected "graduated", "volume" or a number, found the end.'),
	('  ', '3: expected "graduated", "volume" or a number, found the end.'),
	('free', '1: expected "graduated", "volume" or a number, found "free".'),
	('-5', '1: expected "graduated", "volume" or a number, found "-5".'),
	('+5', '1: expected "graduated", "volume" or a number, found "+5".'),
	('.5', '1: expected "graduated", "volume" or a number, found ".5".'),
	('NaN', '1: expected "graduated", "volume" or a number, found "NaN".'),
	('19.', '4: expected a digit, found the end.'),
	('19. 00', '4: expected a digit, found a space.'),
	('19.00.1', '6: expected a space or the end, found ".1".'),
	('1e5', '2: expected a space or the end, found "e5".'),
	('1,000.00', '2: expected "each", "per", "%" or the end, found ",000.00".'),
	('0.1234567890123', '1: expected a number with at most 12 decimals, found "0.1234567890123".'),
	('19.00 USD', '7: expected "each", "per", "%" or the end, found "USD".'),
	('0.05 ech', '6: expected "each", "per", "%" or the end, found "ech".'),
	('0.05 eache', '6: expected "each", "per", "%" or the end, found "eache".'),
	('0.05 кожне', '6: expected "each", "per", "%" or the end, found "кожне".'),
	('0.05 each кожне', '11: expected "free", "min", "max" or the end, found "кожне".'),
	('19.00 free 50', '7: expected "each", "per", "%" or the end, found "free".'),
	('19.00 min 5.00', '7: expected "each", "per", "%" or the end, found "min".'),
	('5.00 per', '9: expected "full" or a number, found the end.'),
	('5.00 per 0', '10: expected a number above zero, found "0".'),
	('5.00 per 0.00', '10: expected a number above zero, found "0.00".'),
	('5.00 per -1', '10: expected "full" or a number, found "-1".'),
	('5.00 per full', '14: expected a number, found the end.'),
	('5.00 per full 0', '15: expected a number above zero, found "0".'),
	('5.00 per full full 1', '15: expected a number, found "full".'),
	('5.00 per fully 1', '10: expected "full" or a number, found "fully".'),
	('5.00 per full100', '10: expected "full" or a number, found "full100".'),
	('5.00 per 100 full', '14: expected "free", "min", "max" or the end, found "full".'),
	('5.00 per 100 fee 0.30', '14: expected "free", "min", "max" or the end, found "fee".'),
	('5.00 full 100', '6: expected "each", "per", "%" or the end, found "full".'),
	('5.00 per 100 each', '14: expected "free", "min", "max" or the end, found "each".'),
	('0.05 each free', '15: expected a number, found the end.'),
	('0.05 each free 5 free 6', '18: expected "min", "max" or the end, found "free".'),
	('0.05 each free 5 min 1 max 2 min 1', '30: expected the end, found "min".'),
	('0.05 each min 5.01 max 5.00', '24: expected a min that is not above the max, found "5.00".'),
	('0.05 each max 5 min 5.000000000001', '21: expected a min that is not above the max, found "5.000000000001".'),
	('0.05 eachй', '6: expected "each", "per", "%" or the end, found "eachй".'),
	('0.10 + 2.00', '6: expected "each", "per", "%" or the end, found "+".'),
	('0.10 to 100, 0.08', '6: expected "each", "per", "%" or the end, found "to".'),
	('0.05 each + 2.00', '11: expected "free", "min", "max" or the end, found "+".'),
	-- tiers
	('graduated', '10: expected a number, found the end.'),
	('graduate 0.10', '1: expected "graduated", "volume" or a number, found "graduate".'),
	('graduated0.10', '1: expected "graduated", "volume" or a number, found "graduated0.10".'),
	('volume', '7: expected a number, found the end.'),
	('graduated volume 0.10', '11: expected a number, found "volume".'),
	('graduated free 50', '11: expected a number, found "free".'),
	('graduated free 50 0.10', '11: expected a number, found "free".'),
	('graduated -0.10', '11: expected a number, found "-0.10".'),
	('graduated , 0.10', '11: expected a number, found ",".'),
	('graduated 0.10 each', '16: expected "per", "%", "+", "to", "free", "min", "max" or the end, found "each".'),
	('graduated 0.10, 0.08', '15: expected "per", "%", "+", "to", "free", "min", "max" or the end, found ",".'),
	('graduated 0.10 100, 0.08', '16: expected "per", "%", "+", "to", "free", "min", "max" or the end, found "100,".'),
	('graduated 0.10 +', '17: expected a number, found the end.'),
	('graduated 0.10 + -2', '18: expected a number, found "-2".'),
	('graduated 0.10 + 1 + 2', '20: expected "to", "free", "min", "max" or the end, found "+".'),
	('graduated 0.10 to', '18: expected a number, found the end.'),
	('graduated 0.10 to100, 0.08', '16: expected "per", "%", "+", "to", "free", "min", "max" or the end, found "to100,".'),
	('graduated 0.10 to , 0.08', '19: expected a number, found ",".'),
	('graduated 0.10 to 0, 0.08', '19: expected a number above zero, found "0,".'),
	('graduated 0.10 to 0.000, 0.08', '19: expected a number above zero, found "0.000,".'),
	('graduated 0.10 to -1, 0.08', '19: expected a number, found "-1,".'),
	('graduated 0.10 to 1e3, 0.08', '20: expected a space or the end, found "e3,".'),
	('graduated 0.10 to 100', '22: expected ",", found the end.'),
	('graduated 0.10 to 100 free 50', '23: expected ",", found "free".'),
	('graduated 0.10 to 100 + 2, 0.08', '23: expected ",", found "+".'),
	('graduated 0.10 to 100,', '23: expected a number, found the end.'),
	('graduated 0.10 to 100, ', '24: expected a number, found the end.'),
	('graduated 0.10 to 100,, 0.08', '23: expected a number, found ",".'),
	('graduated 0.10 to 100, free 50', '24: expected a number, found "free".'),
	('graduated 0.10 to 100, 0.08 to 100, 0.05', '32: expected a number above 100, found "100,".'),
	('graduated 0.10 to 100, 0.08 to 100.000, 0.05', '32: expected a number above 100, found "100.000,".'),
	('volume 0.10 to 100.5, 0.08 to 100.499999999999, 0.05', '31: expected a number above 100.5, found "100.499999999999,".'),
	('volume 0.10 to 100, 0.08 to 1000', '33: expected ",", found the end.'),
	('volume 0.10 to 100, 0.08 free 50, 0.05', '33: expected "min", "max" or the end, found ",".'),
	('volume 0.10 to 100, 0.08 free 5 free 6', '33: expected "min", "max" or the end, found "free".'),
	('volume 0.10 to 100, 0.08 min 6 max 5', '36: expected a min that is not above the max, found "5".'),
	('volume 0.10 to 100, 2.5%', '24: expected "per", "+", "to", "free", "min", "max" or the end, found "%".'),
	('volume 0.10 to 100, 0.08 шт, 0.05', '26: expected "per", "+", "to", "free", "min", "max" or the end, found "шт,".'),
	-- packages and percentages in tiers
	('graduated 1 per', '16: expected "full" or a number, found the end.'),
	('graduated 1 per 0 to 5, 1', '17: expected a number above zero, found "0".'),
	('graduated 1 + 2 per 10 to 50, 1', '17: expected "to", "free", "min", "max" or the end, found "per".'),
	('graduated 1 to 50 per 10, 1', '19: expected ",", found "per".'),
	('graduated 1 per 10 to 50, 1 per 10 per 10', '36: expected "+", "to", "free", "min", "max" or the end, found "per".'),
	('graduated 1 per 10 to 50, 1%', '28: expected "per", "+", "to", "free", "min", "max" or the end, found "%".'),
	('graduated 1% to 50, 1', '22: expected "%", found the end.'),
	('graduated 1% to 50, 1 per 10', '23: expected "%", found "per".'),
	('volume 1% per 10', '11: expected "+", "to", "fee", "free", "min", "max" or the end, found "per".'),
	('volume 1% to 50, 1% + 2%', '24: expected "to", "fee", "free", "min", "max" or the end, found "%".'),
	('volume 1% fee', '14: expected a number, found the end.'),
	('volume 1% fee 1 fee 2', '17: expected "free", "min", "max" or the end, found "fee".'),
	('volume 1 fee 1', '10: expected "per", "%", "+", "to", "free", "min", "max" or the end, found "fee".'),
	('2.5% fee 1', '6: expected "+", "free", "min", "max" or the end, found "fee".'),
	-- percentages
	('%', '1: expected "graduated", "volume" or a number, found "%".'),
	('2.5%%', '5: expected "+", "free", "min", "max" or the end, found "%".'),
	('2.5 %x', '6: expected "+", "free", "min", "max" or the end, found "x".'),
	('-2.5%', '1: expected "graduated", "volume" or a number, found "-2.5%".'),
	('2.5% +', '7: expected a number, found the end.'),
	('2.5% + -1', '8: expected a number, found "-1".'),
	('2.5% 0.30', '6: expected "+", "free", "min", "max" or the end, found "0.30".'),
	('2.5% each', '6: expected "+", "free", "min", "max" or the end, found "each".'),
	('2.5% + 0.30 + 0.10', '13: expected "free", "min", "max" or the end, found "+".'),
	('2.5% + 0.30%', '12: expected "free", "min", "max" or the end, found "%".'),
	('2.5% free 1 + 0.30', '13: expected "min", "max" or the end, found "+".'),
	('2.5% + 0.30 грн min 5', '13: expected "free", "min", "max" or the end, found "грн".'),
	('відсоток 2.5%', '1: expected "graduated", "volume" or a number, found "відсоток".'),
	('0.05 abcdefghijklmnopqrstuvwxyz', '6: expected "each", "per", "%" or the end, found "abcdefghijklmnopqrst".')
) AS t (price, detail);

SELECT is(pg_temp.price_error(price),
	'22003 value "' || price || '" is out of range for type kb_price | At position ' || pos
		|| ': without its decimal point, the number is above 9223372036854775807.',
	format('P: %L is too large', price))
FROM (VALUES
	('9223372036854775808', 1),
	('922337203685477580.80', 1),
	('0.05 each max 99999999999999999999', 15),
	('graduated 0.10 to 9223372036854775808, 1', 19),
	('2.5% + 9223372036854775808', 8),
	('1 per full 9223372036854775808', 12),
	('graduated 1% to 2, 1% fee 9223372036854775808', 27)
) AS t (price, pos);

-- Spaces that look alike are none of the parser's
SELECT is(pg_temp.price_error(U&'2.5%\00a0+ 0.30'),
	U&'22P02 invalid input syntax for type kb_price: "2.5%\00a0+ 0.30" '
		'| At position 5: expected "+", "free", "min", "max" or the end, found "\00a0+".',
	'P: positions are counted in characters');

-- A price has at most 32 tiers
CREATE FUNCTION pg_temp.tiers(n integer) RETURNS text LANGUAGE sql AS $$
	SELECT 'graduated ' || string_agg(CASE WHEN i < n THEN '1 to ' || i ELSE '1' END, ', ' ORDER BY i) FROM generate_series(1, n) AS i
$$;
SELECT is(pg_temp.tiers(32)::kb_price::text, pg_temp.tiers(32), 'P: 32 tiers are as many as may be');
SELECT is(kb_rate(pg_temp.tiers(32)::kb_price, 40, 'USD')::text, '40.00 USD', 'P: 32 tiers are rated');
-- 10 characters, 9 tiers of 8, 23 of 9
SELECT is(pg_temp.price_error(pg_temp.tiers(33)),
	'22P02 invalid input syntax for type kb_price: "' || pg_temp.tiers(33) || '" | At position 290: expected at most 32 tiers, found "1".',
	'P: the 33rd tier is refused');

-- A price takes little room
SELECT is(pg_column_size(price::kb_price), size, format('P: %s is stored in %s bytes', price, size))
FROM (VALUES
	('0', 4 + 2),				-- header; kind, number
	('19.00', 4 + 4),			-- header; kind, number, 1900 in two bytes
	('0.05 each', 4 + 3),
	('2.5% + 0.30', 4 + 5),
	('5.00 per full 100', 4 + 6),	-- kind; number, package
	('graduated 0.10 to 100, 0.08', 4 + 10),	-- kind, count; number, what is measured, edge; number, what is measured
	('graduated 1% to 100, 2%', 4 + 10),
	('graduated 1 per 10 to 100, 2 + 3', 4 + 14)	-- a package and a fee more
) AS t (price, size);

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
	('5.00 per 100 free 50 min 5.00 max 100.00'),
	('graduated 0.10 + 2.00 to 100, 0.08 to 1000, 0.05 free 50 min 5.00 max 100.00'),
	('volume 0.10 to 100, 0.08 + 1 to 1000, 0.05'),
	('2.5% + 0.30 free 10'),
	('2.50%'),
	('5.00 per full 0.5 free 1'),
	('graduated 1.00 per 1000 + 2 to 5000, 0.50 per full 1000 to 6000, 0.4 min 1'),
	('volume 1% + 2 to 10, 0.5% fee 0.30 free 1 min 2 max 3')
) AS t (price);
SELECT throws_ok(format('SELECT pg_temp.receive(%L)', wire), state, message, format('P: bytes %s are refused', wire))
FROM (VALUES
	('\x01'::bytea, '22P02', 'invalid input syntax for type kb_price: ""'),
	('\x012d35', '22P02', 'invalid input syntax for type kb_price: "-5"'),
	('\x01' || '5 per 0'::bytea, '22P02', 'invalid input syntax for type kb_price: "5 per 0"'),
	('\x01' || 'volume 1% to 1, 1'::bytea, '22P02', 'invalid input syntax for type kb_price: "volume 1% to 1, 1"'),
	('\x01' || '5 per full 0'::bytea, '22P02', 'invalid input syntax for type kb_price: "5 per full 0"'),
	('\x01' || 'volume 1 to 0, 1'::bytea, '22P02', 'invalid input syntax for type kb_price: "volume 1 to 0, 1"'),
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
	('5 each min 0', '5 each'),
	('graduated 5', '5 each'),
	('graduated 5', 'volume 5'),
	('graduated 5', 'graduated 5 + 0'),
	('graduated 5 to 10, 4', 'volume 5 to 10, 4'),
	('graduated 5 to 10, 4', 'graduated 5 to 11, 4'),
	('graduated 5 to 10, 4', 'graduated 5 to 10, 4.1'),
	('graduated 5 + 1 to 10, 4', 'graduated 5 to 10, 4 + 1'),
	('graduated 5 to 10, 4', 'graduated 5 to 10, 4 to 20, 4'),
	('2.5%', '2.5'),
	('2.5%', '2.5% + 0'),
	('2.5% + 0.30', '2.5% + 0.31'),
	('2.5% + 1', '2.5% free 1'),
	('5 per 100', '5 per full 100'),
	('5 per full 100', '5 per full 101'),
	('5 per 100', 'graduated 5 per 100'),
	('graduated 5 per 1', 'graduated 5'),
	('graduated 5 per 1 to 10, 4', 'graduated 5 to 10, 4 per 1'),
	('graduated 5 per 10 to 20, 4', 'graduated 5 per full 10 to 20, 4'),
	('graduated 5 per 10 to 20, 4', 'graduated 5 + 10 to 20, 4'),
	('graduated 5% to 10, 4%', 'graduated 5 to 10, 4'),
	('graduated 5%', '5%'),
	('graduated 5% + 1', 'graduated 5% fee 1')
) AS t (a, b);
SELECT ok(a::kb_price = b::kb_price AND kb_price_hash(a::kb_price) = kb_price_hash(b::kb_price)
		AND kb_price_hash_extended(a::kb_price, 7) = kb_price_hash_extended(b::kb_price, 7),
	format('P: %s equals %s, and hashes alike', a, b))
FROM (VALUES
	('100 each', '100.000 each'),
	('0', '0.000000000000'),
	('922337203685477580', '922337203685477580.0'),
	('graduated 0.1 + 2 to 100, 0.08', 'graduated 0.10+2.00 to 100.0, 0.080'),
	('volume 0.1 to 100, 0.08 free 5 max 9', 'volume 0.10 to 100.0, 0.080 max 9.0 free 5'),
	('2.5% + 0.3', '2.50%+0.300'),
	('5 per 0.5', '5.0 per 0.50'),
	('5 per full 0.5', '5.0 PER FULL 0.50'),
	('graduated 1 per 10 + 2 to 20, 0.5 per full 10', 'graduated 1.0 per 10.0+2.0 to 20.0, 0.50 per full 10.0'),
	('volume 1% to 20, 0.5% fee 1', 'volume 1.0% to 20.0, 0.50% fee 1.00')
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
	-- full packages only
	('P', '5.00 per full 100', 0, 'USD', '0.00 USD'),
	('P', '5.00 per full 100', 99.999, 'USD', '0.00 USD'),
	('P', '5.00 per full 100', 100, 'USD', '5.00 USD'),
	('P', '5.00 per full 100', 199, 'USD', '5.00 USD'),
	('P', '5.00 per full 100', 200, 'USD', '10.00 USD'),
	('P', '5.00 per full 100', -1, 'USD', '0.00 USD'),
	('P', '5.00 per full 0.5', 1.2, 'USD', '10.00 USD'),
	('P', '5.00 per full 3', 1000000000000, 'USD', '1666666666665.00 USD'),
	('P', '5.00 per full 100 free 50', 149, 'USD', '0.00 USD'),
	('P', '5.00 per full 100 free 50', 150, 'USD', '5.00 USD'),
	('P', '5.00 per full 100 min 2.00 max 9.00', 99, 'USD', '2.00 USD'),
	('P', '5.00 per full 100 min 2.00 max 9.00', 250, 'USD', '9.00 USD'),
	-- packages in tiers: those of a tier are counted by themselves
	('P', 'graduated 1.00 per 1000 to 5000, 0.50 per 1000', 0, 'USD', '0.00 USD'),
	('P', 'graduated 1.00 per 1000 to 5000, 0.50 per 1000', 1, 'USD', '1.00 USD'),
	('P', 'graduated 1.00 per 1000 to 5000, 0.50 per 1000', 5000, 'USD', '5.00 USD'),
	('P', 'graduated 1.00 per 1000 to 5000, 0.50 per 1000', 5000.001, 'USD', '5.50 USD'),
	('P', 'graduated 1.00 per 1000 to 5000, 0.50 per 1000', 7400, 'USD', '6.50 USD'),	-- 5 x 1.00 + 3 x 0.50
	('P', 'volume 1.00 per 1000 to 5000, 0.50 per 1000', 5000, 'USD', '5.00 USD'),
	('P', 'volume 1.00 per 1000 to 5000, 0.50 per 1000', 7400, 'USD', '4.00 USD'),	-- 8 x 0.50
	('P', 'graduated 1.00 per full 1000 to 5000, 0.50 per full 1000', 999, 'USD', '0.00 USD'),
	('P', 'graduated 1.00 per full 1000 to 5000, 0.50 per full 1000', 7400, 'USD', '6.00 USD'),	-- 5 x 1.00 + 2 x 0.50
	('P', 'volume 1.00 per full 1000 to 5000, 0.50 per full 1000', 7400, 'USD', '3.50 USD'),	-- 7 x 0.50
	-- an edge that is no multiple of the package
	('P', 'graduated 1.00 per 1000 to 1500, 0.50 per 1000', 1500, 'USD', '2.00 USD'),
	('P', 'graduated 1.00 per 1000 to 1500, 0.50 per 1000', 1501, 'USD', '2.50 USD'),
	('P', 'graduated 1.00 per 1000 to 1500, 0.50 per 1000', 2501, 'USD', '3.00 USD'),	-- 2 x 1.00 + 2 x 0.50
	('P', 'graduated 1.00 per full 1000 to 1500, 0.50 per full 1000', 2499, 'USD', '1.00 USD'),
	('P', 'graduated 1.00 per full 1000 to 1500, 0.50 per full 1000', 2500, 'USD', '1.50 USD'),
	-- packages after free units, of several sizes, beside units, with flat fees and bounds
	('P', 'graduated 1.00 per 1000 to 5000, 0.50 per 1000 free 500', 1500, 'USD', '1.00 USD'),
	('P', 'graduated 1.00 per 1000 to 5000, 0.50 per 1000 free 500', 5000, 'USD', '5.00 USD'),	-- 4,500 units in tier 1
	('P', 'graduated 1.00 per 1000 to 5000, 0.50 per 1000 free 5000', 5001, 'USD', '0.50 USD'),
	('P', 'graduated 0.10 to 100, 5.00 per 100 to 400, 10.00 per full 500', 899, 'USD', '25.00 USD'),	-- 10 + 3 x 5
	('P', 'graduated 0.10 to 100, 5.00 per 100 to 400, 10.00 per full 500', 900, 'USD', '35.00 USD'),
	('P', 'graduated 1.00 per 10 + 2.00 to 20, 3.00 per full 10 + 4.00', 29, 'USD', '4.00 USD'),	-- no full package, no fee
	('P', 'graduated 1.00 per 10 + 2.00 to 20, 3.00 per full 10 + 4.00', 30, 'USD', '11.00 USD'),
	('P', 'graduated 1.00 per 1000 to 5000, 0.50 per 1000 min 2.00 max 6.00', 1, 'USD', '2.00 USD'),
	('P', 'graduated 1.00 per 1000 to 5000, 0.50 per 1000 min 2.00 max 6.00', 7400, 'USD', '6.00 USD'),
	-- percentages in tiers
	('P', 'graduated 1% to 10000, 0.5%', 10000, 'USD', '100.00 USD'),
	('P', 'graduated 1% to 10000, 0.5%', 12000, 'USD', '110.00 USD'),	-- 100 + 10
	('P', 'volume 1% to 10000, 0.5%', 10000, 'USD', '100.00 USD'),
	('P', 'volume 1% to 10000, 0.5%', 12000, 'USD', '60.00 USD'),
	('P', 'volume 1% + 3.00 to 10000, 0.5% + 7.00', 12000, 'USD', '67.00 USD'),
	('P', 'graduated 1% + 3.00 to 10000, 0.5% + 7.00 free 4000', 12000, 'USD', '80.00 USD'),	-- 60 + 3 + 10 + 7
	('P', 'graduated 1% to 10000, 0.5% fee 0.30', 12000, 'USD', '110.30 USD'),
	('P', 'graduated 1% to 10000, 0.5% min 200', 12000, 'USD', '200.00 USD'),
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
	('P', '5.00 per 100 free 100.5', 200.5, 'USD', '5.00 USD'),
	('P', '5.00 per 100 free 100.5', 200.6, 'USD', '10.00 USD'),
	-- graduated: each unit in its own tier
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', -5, 'USD', '0.00 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', 0, 'USD', '0.00 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', 0.04, 'USD', '0.00 USD'),	-- 0.004
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', 0.05, 'USD', '0.01 USD'),	-- 0.005
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', 1, 'USD', '0.10 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', 99, 'USD', '9.90 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', 100, 'USD', '10.00 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', 100.5, 'USD', '10.04 USD'),	-- 10 + 0.5 x 0.08
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', 101, 'USD', '10.08 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', 1000, 'USD', '82.00 USD'),	-- 10 + 900 x 0.08
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', 1000.5, 'USD', '82.03 USD'),	-- 82.025
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', 1001, 'USD', '82.05 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05', 1000000000000, 'USD', '50000000032.00 USD'),	-- 50000000000 - 50 + 82
	('P', 'graduated 0.05', 130, 'USD', '6.50 USD'),
	-- edges count free units
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05 free 50', 50, 'USD', '0.00 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05 free 50', 51, 'USD', '0.10 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05 free 50', 100, 'USD', '5.00 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05 free 50', 101, 'USD', '5.08 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05 free 50', 1000, 'USD', '77.00 USD'),	-- 5 + 72
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05 free 50', 1001, 'USD', '77.05 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05 free 100', 100, 'USD', '0.00 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05 free 100', 101, 'USD', '0.08 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05 free 150', 1000, 'USD', '68.00 USD'),	-- 850 x 0.08
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05 free 1000.5', 1000.5, 'USD', '0.00 USD'),
	('P', 'graduated 0.10 to 100, 0.08 to 1000, 0.05 free 1000.5', 1001, 'USD', '0.03 USD'),	-- 0.5 x 0.05 = 0.025
	-- flat fees: of each tier that has a unit to pay for
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 0, 'USD', '0.00 USD'),
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', -1, 'USD', '0.00 USD'),
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 0.01, 'USD', '2.00 USD'),	-- 2.001
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 1, 'USD', '2.10 USD'),
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 100, 'USD', '12.00 USD'),
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 100.5, 'USD', '15.04 USD'),	-- 12 + 0.04 + 3
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 101, 'USD', '15.08 USD'),
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 1000, 'USD', '87.00 USD'),	-- 12 + 72 + 3
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 1001, 'USD', '87.05 USD'),
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 free 50', 50, 'USD', '0.00 USD'),
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 free 50', 50.5, 'USD', '2.05 USD'),
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 free 50', 100, 'USD', '7.00 USD'),	-- 50 x 0.10 + 2
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 free 50', 101, 'USD', '10.08 USD'),	-- 7 + 0.08 + 3
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 free 100', 100, 'USD', '0.00 USD'),
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 + 3.00 free 100', 101, 'USD', '3.08 USD'),	-- the first tier is all free
	('P', 'graduated 0 + 2.00 to 100, 0.08', 100, 'USD', '2.00 USD'),
	('P', 'graduated 0.05 + 2.00', 0, 'USD', '0.00 USD'),
	('P', 'graduated 0.05 + 2.00', 130, 'USD', '8.50 USD'),
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 min 5.00 max 13.00', 0, 'USD', '5.00 USD'),
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 min 5.00 max 13.00', 30, 'USD', '5.00 USD'),	-- 3 + 2
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 min 5.00 max 13.00', 31, 'USD', '5.10 USD'),
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 min 5.00 max 13.00', 112, 'USD', '12.96 USD'),	-- 12 + 12 x 0.08
	('P', 'graduated 0.10 + 2.00 to 100, 0.08 min 5.00 max 13.00', 113, 'USD', '13.00 USD'),	-- 13.04
	-- volume: all units in the tier that the total reaches
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05', -1, 'USD', '0.00 USD'),
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05', 0, 'USD', '0.00 USD'),
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05', 1, 'USD', '0.10 USD'),
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05', 0.5, 'USD', '0.05 USD'),
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05', 100, 'USD', '10.00 USD'),
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05', 100.5, 'USD', '8.04 USD'),
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05', 101, 'USD', '8.08 USD'),
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05', 1000, 'USD', '80.00 USD'),
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05', 1000.5, 'USD', '50.03 USD'),	-- 50.025
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05', 1001, 'USD', '50.05 USD'),
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05', 1000000000000, 'USD', '50000000000.00 USD'),
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05 free 50', 50, 'USD', '0.00 USD'),
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05 free 50', 100, 'USD', '5.00 USD'),
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05 free 50', 101, 'USD', '4.08 USD'),	-- 51 x 0.08
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05 free 50', 1000, 'USD', '76.00 USD'),	-- 950 x 0.08
	('P', 'volume 0.10 to 100, 0.08 to 1000, 0.05 free 50', 1001, 'USD', '47.55 USD'),	-- 951 x 0.05
	('P', 'volume 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 0, 'USD', '0.00 USD'),
	('P', 'volume 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 1, 'USD', '2.10 USD'),
	('P', 'volume 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 100, 'USD', '12.00 USD'),
	('P', 'volume 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 101, 'USD', '11.08 USD'),	-- 8.08 + 3
	('P', 'volume 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 1000, 'USD', '83.00 USD'),
	('P', 'volume 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 1001, 'USD', '50.05 USD'),
	('P', 'volume 0.10 + 2.00 to 100, 0.08 + 3.00 free 101', 101, 'USD', '0.00 USD'),
	('P', 'volume 0.10 + 2.00 to 100, 0.08 + 3.00 free 100', 101, 'USD', '3.08 USD'),
	('P', 'volume 0.05 + 2.00', 130, 'USD', '8.50 USD'),
	('P', 'volume 0.10 to 100, 0.08 min 9.00 max 70.00', 0, 'USD', '9.00 USD'),
	('P', 'volume 0.10 to 100, 0.08 min 9.00 max 70.00', 100, 'USD', '10.00 USD'),
	('P', 'volume 0.10 to 100, 0.08 min 9.00 max 70.00', 101, 'USD', '9.00 USD'),	-- 8.08
	('P', 'volume 0.10 to 100, 0.08 min 9.00 max 70.00', 875, 'USD', '70.00 USD'),
	('P', 'volume 0.10 to 100, 0.08 min 9.00 max 70.00', 876, 'USD', '70.00 USD'),	-- 70.08
	-- percentage of money, one event
	('P', '2.5%', 0, 'USD', '0.00 USD'),
	('P', '2.5%', 1, 'USD', '0.03 USD'),				-- 0.025
	('P', '2.5%', 0.99, 'USD', '0.02 USD'),				-- 0.02475
	('P', '2.5%', 100, 'USD', '2.50 USD'),
	('P', '2.5%', -100, 'USD', '0.00 USD'),
	('P', '100%', 19.99, 'USD', '19.99 USD'),
	('P', '0.000000000001%', 100000000000000, 'USD', '1.00 USD'),	-- 10^14 x 10^-14
	('P', '2.5% + 0.30', 0, 'USD', '0.30 USD'),
	('P', '2.5% + 0.30', -100, 'USD', '0.30 USD'),
	('P', '2.5% + 0.30', 0.20, 'USD', '0.31 USD'),		-- 0.305
	('P', '2.5% + 0.30', 99.99, 'USD', '2.80 USD'),		-- 2.79975
	('P', '2.5% + 0.30', 100, 'USD', '2.80 USD'),
	('P', '2.5% + 0.30', 1000000000000, 'USD', '25000000000.30 USD'),
	('P', '2.5% free 50', 50, 'USD', '0.00 USD'),
	('P', '2.5% free 50', 100, 'USD', '1.25 USD'),
	('P', '2.5% + 0.30 free 50', 40, 'USD', '0.30 USD'),
	('P', '2.5% + 0.30 min 1.00 max 10.00', 0, 'USD', '1.00 USD'),
	('P', '2.5% + 0.30 min 1.00 max 10.00', 28, 'USD', '1.00 USD'),		-- 0.70 + 0.30
	('P', '2.5% + 0.30 min 1.00 max 10.00', 100, 'USD', '2.80 USD'),
	('P', '2.5% + 0.30 min 1.00 max 10.00', 388, 'USD', '10.00 USD'),	-- 9.70 + 0.30
	('P', '2.5% + 0.30 min 1.00 max 10.00', 1000, 'USD', '10.00 USD'),
	-- half away from zero, once
	('M4', 'graduated 10 to 100, 0.5', 101, 'JPY', '1001 JPY'),			-- 1000.5
	('M4', 'graduated 10 to 100, 0.5', 100.9, 'JPY', '1000 JPY'),		-- 1000.45
	('M4', 'graduated 0.4 to 1, 0.4 to 2, 0.4', 3, 'JPY', '1 JPY'),		-- 1.2: not 0 + 0 + 0
	('M4', 'volume 10 to 100, 0.5', 101, 'JPY', '51 JPY'),				-- 50.5
	('M4', 'volume 0.1055 to 10, 0.1', 3, 'KWD', '0.317 KWD'),			-- 0.3165
	('M4', 'volume 0.1055 to 10, 0.1', 10, 'KWD', '1.055 KWD'),
	('M4', 'graduated 0.1055 to 10, 0.1005', 11, 'KWD', '1.156 KWD'),	-- 1.055 + 0.1005 = 1.1555
	('M4', '2.5% + 30', 1000, 'JPY', '55 JPY'),
	('M4', '2.5% + 30', 1020, 'JPY', '56 JPY'),							-- 25.5 + 30
	('M4', '2.5%', 1.234, 'KWD', '0.031 KWD'),							-- 0.03085
	('M4', '5.00 per 100', 1, 'JPY', '5 JPY'),
	('M4', '0.125 per 100 free 1', 102, 'USD', '0.25 USD'),
	('M4', '0.125 per 100 free 2', 102, 'USD', '0.13 USD'),
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
SELECT is(kb_rate(price::kb_price, quantity, 'USD', events)::text, amount, format('P: %s in %s events x %s', quantity, events, price))
FROM (VALUES
	('2.5% + 0.30', 100, 0, '2.50 USD'),
	('2.5% + 0.30', 100, 1, '2.80 USD'),
	('2.5% + 0.30', 100, 3, '3.40 USD'),
	('2.5% + 0.30', 0, 3, '0.90 USD'),
	('2.5% + 0.30 free 50', 40, 2, '0.60 USD'),
	('2.5% + 0.30 min 1.00 max 3.00', 0, 3, '1.00 USD'),	-- 0.90
	('2.5% + 0.30 min 1.00 max 3.00', 100, 2, '3.00 USD'),	-- 3.10
	('2.5% + 0.0001', 0, 1000000000000, '100000000.00 USD'),
	('2.5%', 100, 3, '2.50 USD'),
	('graduated 0.05 + 2.00', 10, 3, '2.50 USD'),
	('graduated 1% to 10000, 0.5% fee 0.30', 12000, 3, '110.90 USD'),
	('volume 1% + 2.00 to 10000, 0.5% fee 0.30 free 50', 40, 3, '0.90 USD'),	-- only the fees
	('volume 1% + 2.00 to 10000, 0.5% fee 0.30 min 1.00', 0, 0, '1.00 USD')
) AS t (price, quantity, events, amount);
SELECT is(kb_rate(NULL, 1, 'USD'), NULL, 'P: no price, no amount');

SELECT throws_ok(format('SELECT kb_rate(%L, %L, %L)', price, quantity, currency), state, NULL,
	format('%s: %s x %s %s is error %s', rule, quantity, price, currency, state))
FROM (VALUES
	('P', '19.00', 'NaN', 'USD', '22003'),
	('P', '19.00', 'Infinity', 'USD', '22003'),
	('P', '0.05 each', 'NaN', 'USD', '22003'),
	('P', '0.05 each', '-Infinity', 'USD', '22003'),
	('P', '5.00 per 100', 'Infinity', 'USD', '22003'),
	('P', 'graduated 1 to 2, 3', 'NaN', 'USD', '22003'),
	('P', 'volume 1 to 2, 3', 'Infinity', 'USD', '22003'),
	('P', '2.5% + 0.30', '-Infinity', 'USD', '22003'),
	('M1', 'graduated 1 to 2, 90071992547409.91', '3', 'USD', '22003'),
	('M1', 'graduated 1 + 90071992547409 to 2, 1', '2', 'USD', '22003'),
	('M1', 'volume 1 to 2, 90071992547409.91', '1e100000', 'USD', '22003'),
	('M1', '9223372036854775807 each', '1e131071', 'USD', '22003'),
	('M1', '100%', '90071992547409.915', 'USD', '22003'),
	('M1', '90071992547409.915', '1', 'USD', '22003'),
	('M1', '9223372036854775807', '1', 'USD', '22003'),
	('M1', '9223372036854775807', '1', 'KWD', '22003'),
	('M1', '90071992547409.91 each', '1.001', 'USD', '22003'),
	('M1', '1 each', '1e30', 'USD', '22003'),
	('M2', '19.00', '1', 'ZZZ', '22023')
) AS t (rule, price, quantity, currency, state);
SELECT throws_ok(format('SELECT kb_rate(%L, 1, %L, %s)', price, 'USD', events), '22003', NULL,
	format('P: %s x %s events is error 22003', price, events))
FROM (VALUES ('19.00', -1), ('2.5% + 0.30', -1), ('2.5% + 90071992547409.91', 2)) AS t (price, events);

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
	('0.05 each max 1.00', 100, 'USD', 15, 30, '0.50 USD'),
	('graduated 0.10 to 100, 0.08', 100, 'USD', 15, 30, '5.00 USD'),
	('graduated 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05', 1001, 'USD', 10, 31, '28.08 USD'),	-- 87.05 x 10 / 31 = 28.0806
	('graduated 0.10 to 100, 0.08 max 12.00', 1000, 'USD', 15, 30, '6.00 USD'),
	('volume 0.10 to 100, 0.08 min 9.00', 0, 'USD', 10, 30, '3.00 USD'),
	('volume 0.10 to 100, 0.08', 101, 'USD', 1, 30, '0.27 USD'),	-- 8.08 / 30 = 0.2693
	('2.5% + 0.30', 100, 'USD', 1, 28, '0.10 USD'),
	('2.5% + 0.30', 100, 'USD', 0, 28, '0.00 USD')
) AS t (price, quantity, currency, days, of, amount);

SELECT is(
	(SELECT sum(kb_rate_days('31.00', 1, 'USD', d, 31)) FROM unnest('{10,20,1}'::int[]) AS d)::text,
	'31.00 USD', 'C3: the parts of a month add up to it');

SELECT throws_ok(format('SELECT kb_rate_days(%L, 1, %L, %s, %s)', '1.00', 'USD', days, of), '22023', NULL,
	format('C3: %s of %s days is no part of a period', days, of))
FROM (VALUES (-1, 30), (31, 30), (0, 0), (-1, -1)) AS t (days, of);
SELECT throws_ok($$SELECT kb_rate_days('1.00', 'NaN', 'USD', 1, 30)$$, '22003', NULL, 'C3: the quantity is a finite number');

-- Explaining: what, from, to, units, unit price, flat fee, amount

SELECT is((SELECT coalesce(string_agg(e::text, ' '), '') FROM kb_explain_price(price::kb_price, quantity, currency, events) AS e), rows,
	format('P: %s in %s events x %s %s, explained', quantity, events, price, currency))
FROM (VALUES
	('19.00', 7, 'USD', 1, '("flat price",,,,,19.00,19.00)'),
	('19.005', -1, 'USD', 0, '("flat price",,,,,19.005,19.005) (rounding,,,,,,0.005)'),
	('0.05 each', -3, 'USD', 1, ''),
	('0.05 each', 0, 'USD', 1, ''),
	('0.05 each', 130, 'USD', 1, '(units,0,,130,0.05,,6.50)'),
	('0.05 each free 50', 0, 'USD', 1, ''),
	('0.05 each free 50', -1, 'USD', 1, ''),
	('0.05 each free 0', 2, 'USD', 1, '(units,0,,2,0.05,,0.10)'),
	('0.05 each free 50', 30, 'USD', 1, '("free units",0,50,30,0,,0)'),
	('0.05 each free 50', 130, 'USD', 1, '("free units",0,50,50,0,,0) (units,50,,80,0.05,,4.00)'),
	('5.00 per 100 free 50', 151, 'USD', 1, '("free units",0,50,50,0,,0) ("packages of 100",50,,2,5.00,,10.00)'),
	('graduated 0.10 + 2.00 to 100, 0.08 to 1000, 0.05 free 50', 100, 'USD', 1,
		'("free units",0,50,50,0,,0) ("tier 1",50,100,50,0.10,2.00,7.00)'),
	('graduated 0.10 + 2.00 to 100, 0.08 to 1000, 0.05 free 50', 1000.5, 'USD', 1,
		'("free units",0,50,50,0,,0) ("tier 1",50,100,50,0.10,2.00,7.00) ("tier 2",100,1000,900,0.08,,72.00) '
		|| '("tier 3",1000,,0.5,0.05,,0.025) (rounding,,,,,,0.005)'),
	('graduated 0.10 + 2.00 to 100, 0.08 to 1000, 0.05 free 150', 1000, 'USD', 1,
		'("free units",0,150,150,0,,0) ("tier 2",150,1000,850,0.08,,68.00)'),
	('graduated 0.05 + 2.00', 10, 'USD', 1, '("tier 1",0,,10,0.05,2.00,2.50)'),
	('graduated 0.05 + 2.00', 0, 'USD', 1, ''),
	('volume 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05 free 50', 50, 'USD', 1, '("free units",0,50,50,0,,0)'),
	('volume 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05 free 50', 100, 'USD', 1,
		'("free units",0,50,50,0,,0) ("tier 1",0,100,50,0.10,2.00,7.00)'),
	('volume 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05 free 50', 101, 'USD', 1,
		'("free units",0,50,50,0,,0) ("tier 2",100,1000,51,0.08,3.00,7.08)'),
	('volume 0.10 + 2.00 to 100, 0.08 + 3.00 to 1000, 0.05 free 50', 1001, 'USD', 1,
		'("free units",0,50,50,0,,0) ("tier 3",1000,,951,0.05,,47.55)'),
	('2.5%', 100, 'USD', 3, '(percentage,0,,100,0.025,,2.500)'),
	('5.00 per full 100', 99, 'USD', 1, '("full packages of 100",0,,0,5.00,,0.00)'),
	('5.00 per full 100', 250, 'USD', 1, '("full packages of 100",0,,2,5.00,,10.00)'),
	('graduated 1.00 per 1000 to 5000, 0.50 per 1000', 7400, 'USD', 1,
		'("tier 1, packages of 1000",0,5000,5,1.00,,5.00) ("tier 2, packages of 1000",5000,,3,0.50,,1.50)'),
	('volume 1.00 to 5000, 0.50 per full 1000 + 2', 7400, 'USD', 1, '("tier 2, full packages of 1000",5000,,7,0.50,2,5.50)'),
	('volume 1.00 to 50, 0.50 per full 1000 + 2', 740, 'USD', 1, '("tier 2, full packages of 1000",50,,0,0.50,,0.00)'),
	('graduated 1% + 3 to 10000, 0.5% fee 0.30', 12000, 'USD', 2,
		'("tier 1, percentage",0,10000,10000,0.01,3,103.00) ("tier 2, percentage",10000,,2000,0.005,,10.000) '
		|| '("fee per event",,,2,0.30,,0.60)'),
	('2.5% + 0.30 min 1.00 max 3.00', 100, 'USD', 2,
		'(percentage,0,,100,0.025,,2.500) ("fee per event",,,2,0.30,,0.60) (maximum,,,,,,-0.100)'),
	('2.5% + 0.30 min 1.00 max 3.00', 0, 'USD', 3, '("fee per event",,,3,0.30,,0.90) (minimum,,,,,,0.10)'),
	('2.5% + 0.30 min 1.00 max 3.00', 0, 'USD', 0, '(minimum,,,,,,1.00)'),
	('2.5% + 0.30 min 1.00 max 3.00', 28, 'USD', 1, '(percentage,0,,28,0.025,,0.700) ("fee per event",,,1,0.30,,0.30)'),
	('0.05 each max 100.005', 3000, 'USD', 1, '(units,0,,3000,0.05,,150.00) (maximum,,,,,,-49.995) (rounding,,,,,,0.005)'),
	('0.5 each', 3, 'JPY', 1, '(units,0,,3,0.5,,1.5) (rounding,,,,,,0.5)'),
	('0.4 each', 1, 'JPY', 1, '(units,0,,1,0.4,,0.4) (rounding,,,,,,-0.4)')
) AS t (price, quantity, currency, events, rows);
SELECT is_empty($$SELECT kb_explain_price('1 each', NULL, 'USD')$$, 'P: no quantity, nothing to explain');
SELECT is((SELECT sum(amount) FROM kb_explain_price('2.5% + 0.30', 100, 'USD')), 2.80, 'P: one event is explained where none are given');
SELECT throws_ok(format('SELECT * FROM kb_explain_price(%L, %L, %L, %s)', price, quantity, currency, events), state, NULL,
	format('P: %s in %s events x %s %s cannot be explained', quantity, events, price, currency))
FROM (VALUES
	('19.00', 'NaN', 'USD', 1, '22003'),
	('1 each', 'Infinity', 'USD', 1, '22003'),
	('1 each', '1', 'USD', -1, '22003'),
	('1 each', '1e30', 'USD', 1, '22003'),
	('1 each', '1', 'ZZZ', 1, '22023')
) AS t (price, quantity, currency, events, state);

-- A whole number of units at one price is computed without numerics, unless the price has a bound

SELECT is(kb_rate_days(price::kb_price, quantity, 'USD', days, 31),
	kb_rate_days((price || ' max 90000000000000')::kb_price, quantity, 'USD', days, 31),
	format('M4: %s of %s units for %s days of 31, with numerics and without', price, quantity, days))
FROM unnest('{0.005 each,0.333333333333 each,4.00 each,9000.125 each}'::text[]) AS price,
	unnest('{-1,0,1,2.0,2.5,3,999999999.999,2147483647,2147483648}'::numeric[]) AS quantity, unnest('{1,30,31}'::integer[]) AS days;

-- Random prices, against a computation in plain SQL

SELECT setseed(0.42) \g /dev/null
CREATE FUNCTION pg_temp.some(top numeric, digits integer DEFAULT 2) RETURNS numeric LANGUAGE sql VOLATILE AS
	'SELECT round((random() * top)::numeric, digits)';

CREATE TEMP TABLE sample AS
SELECT n, ('{graduated,volume,each,per,percent}'::text[])[1 + n % 5] AS kind, 1 + (random() * 4)::integer AS tiers,
	random() < 0.25 AS percents,	-- of tiers
	CASE WHEN random() < 0.5 THEN pg_temp.some(200, (random() * 2)::integer) END AS free,
	CASE WHEN random() < 0.3 THEN pg_temp.some(20, 3) END AS floor,
	CASE WHEN random() < 0.3 THEN 20 + pg_temp.some(200, 3) END AS ceiling,
	CASE WHEN random() < 0.5 THEN pg_temp.some(1) END AS event_fee,
	('{USD,JPY,KWD}'::text[])[1 + n % 3] AS currency,
	(random() * 5)::integer AS events
FROM generate_series(1, 5000) AS n;

CREATE TEMP TABLE sample_tier AS
SELECT *, coalesce(lag(upper) OVER (PARTITION BY n ORDER BY i), 0) AS lower
FROM (
	SELECT n, i, unit, fee, measure, package, CASE WHEN i < tiers THEN sum(step) OVER (PARTITION BY n ORDER BY i) END AS upper
	FROM (
		SELECT n, i, tiers, pg_temp.some(1, (random() * 6)::integer) AS unit,
			CASE kind WHEN 'each' THEN 'each' WHEN 'percent' THEN '%'
				WHEN 'per' THEN ('{per,per full}'::text[])[1 + (random() * 1)::integer]
				ELSE CASE WHEN percents THEN '%' ELSE ('{"",per,per full}'::text[])[1 + (random() * 2)::integer] END
			END AS measure,
			1 + pg_temp.some(99, (random() * 2)::integer) AS package,
			CASE WHEN kind IN ('graduated', 'volume') AND random() < 0.4 THEN pg_temp.some(9) END AS fee,
			-- at times, the first edge is where the free units end
			CASE WHEN i = 1 AND free > 0 AND random() < 0.2 THEN free ELSE 1 + pg_temp.some(99, (random() * 3)::integer) END AS step
		FROM (SELECT n, kind, percents, free, CASE WHEN kind IN ('graduated', 'volume') THEN tiers ELSE 1 END AS tiers FROM sample) AS s,
			generate_series(1, tiers) AS i
	) AS a
) AS b;

-- Quantities: an edge, just above one, where free ends, or anything
CREATE TEMP TABLE sample_quantity AS
SELECT n, CASE n % 7
		WHEN 0 THEN coalesce(edge, 0)
		WHEN 1 THEN coalesce(edge, 0) + 1
		WHEN 2 THEN coalesce(edge, 0) + 0.001
		WHEN 3 THEN coalesce(free, 0) - 0.5 + (n / 7) % 3 * 0.5
		ELSE pg_temp.some((10 ^ (random() * 4)::integer)::numeric, (random() * 3)::integer)
	END AS quantity
FROM sample JOIN (SELECT n, (array_agg(upper ORDER BY i))[1 + n % 3] AS edge FROM sample_tier GROUP BY n) AS e USING (n);

CREATE TEMP TABLE sample_text AS
SELECT n, CASE kind
		WHEN 'graduated' THEN 'graduated ' || terms || CASE WHEN percents THEN coalesce(' fee ' || event_fee, '') ELSE '' END
		WHEN 'volume' THEN 'volume ' || terms || CASE WHEN percents THEN coalesce(' fee ' || event_fee, '') ELSE '' END
		WHEN 'percent' THEN terms || coalesce(' + ' || event_fee, '')
		ELSE terms
	END || coalesce(' free ' || free, '') || coalesce(' min ' || floor, '') || coalesce(' max ' || ceiling, '') AS price
FROM sample JOIN (
	SELECT n, string_agg(unit || CASE measure WHEN '%' THEN '%' WHEN 'each' THEN ' each' WHEN '' THEN ''
			ELSE format(' %s %s', measure, package) END || coalesce(' + ' || fee, '') || coalesce(' to ' || upper, ''),
			', ' ORDER BY i) AS terms
	FROM sample_tier GROUP BY n
) AS t USING (n);

CREATE TEMP TABLE expected AS
WITH tier AS (
	SELECT n, measure, package, unit, fee,
		CASE kind
			WHEN 'volume' THEN CASE WHEN quantity > lower AND quantity <= coalesce(upper, quantity)
				THEN quantity - coalesce(free, 0) ELSE 0 END
			ELSE least(quantity, upper) - greatest(lower, free)
		END AS units
	FROM sample JOIN sample_quantity USING (n) JOIN sample_tier USING (n)
), priced AS (
	SELECT n, sum(CASE
			WHEN units <= 0 THEN 0
			WHEN measure = 'per full' THEN unit * div(units, package)
				+ CASE WHEN units >= package THEN coalesce(fee, 0) ELSE 0 END
			WHEN measure = 'per' THEN unit * (div(units, package) + (mod(units, package) > 0)::integer) + coalesce(fee, 0)
			WHEN measure = '%' THEN unit * units * 0.01 + coalesce(fee, 0)
			ELSE unit * units + coalesce(fee, 0)
		END) AS amount
	FROM tier GROUP BY n
)
SELECT n, round(least(greatest(amount + CASE
		WHEN kind = 'percent' OR percents AND kind IN ('graduated', 'volume') THEN events * coalesce(event_fee, 0) ELSE 0
	END, floor), ceiling),
	CASE currency WHEN 'USD' THEN 2 WHEN 'KWD' THEN 3 ELSE 0 END) AS amount
FROM sample JOIN priced USING (n);

CREATE TEMP TABLE rated AS
SELECT n, price, quantity, currency, events, kb_amount(kb_rate(price::kb_price, quantity, currency, events)) AS amount
FROM sample JOIN sample_text USING (n) JOIN sample_quantity USING (n);

SELECT is((SELECT count(*) FROM rated), 5000::bigint, 'P: there are random prices');
SELECT is_empty('SELECT price FROM rated WHERE price::kb_price::text <> price', 'P: what was read is written again');
SELECT is_empty('SELECT r.*, e.amount AS expected FROM rated r JOIN expected e USING (n) WHERE r.amount IS DISTINCT FROM e.amount',
	'P: plain SQL finds the same amounts');
SELECT is_empty($$
	SELECT * FROM rated r, LATERAL (
		SELECT coalesce(sum(e.amount), 0) AS explained,
			bool_or(e.amount <> coalesce(units * unit_price, 0) + coalesce(flat_fee, 0)) AS wrong
		FROM kb_explain_price(price::kb_price, quantity, currency, events) AS e
			WHERE what NOT IN ('minimum', 'maximum', 'rounding')) AS parts,
		LATERAL (SELECT coalesce(sum(e.amount), 0) AS total FROM kb_explain_price(price::kb_price, quantity, currency,
			events) AS e) AS total
	WHERE total <> r.amount OR wrong
$$, 'P: parts add up to the amount, and each is what it says');
SELECT ok(count(*) FILTER (WHERE e.amount > 0) > 3000 AND count(*) FILTER (WHERE what = 'minimum') > 100
		AND count(*) FILTER (WHERE what = 'maximum') > 20 AND count(*) FILTER (WHERE what = 'free units') > 1000
		AND count(*) FILTER (WHERE what = 'rounding') > 1000 AND count(*) FILTER (WHERE what LIKE 'tier 5%') > 20
		AND count(*) FILTER (WHERE what LIKE 'tier 2, packages of %') > 50
		AND count(*) FILTER (WHERE what LIKE 'tier 2, full packages of %') > 50
		AND count(*) FILTER (WHERE what = 'tier 2, percentage') > 100,
	'P: the random prices reach all parts')
FROM rated, kb_explain_price(price::kb_price, quantity, currency, events) AS e;

-- Slips of the pen: either refused, or read and written alike

CREATE FUNCTION pg_temp.slips(times integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	alphabet text[] := '{0,1,9,.,",","+","%"," ",-,each,per,full,fee,to,free,min,max,graduated,volume,й,"	"}';
	slip text;
	read bigint := 0;
BEGIN
	FOR slip IN
		SELECT overlay(price PLACING alphabet[1 + floor(random() * cardinality(alphabet))::integer]
			FROM 1 + floor(random() * length(price))::integer FOR floor(random() * 3)::integer)
		FROM sample_text, generate_series(1, times) AS i ORDER BY n
	LOOP
		BEGIN
			IF slip::kb_price::text::kb_price::text <> slip::kb_price::text OR slip::kb_price::text::kb_price <> slip::kb_price THEN
				RAISE EXCEPTION 'read differently: %', slip;
			END IF;
			read := read + 1;
		EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range THEN
			NULL;
		END;
	END LOOP;
	RETURN read;
END $$;
SELECT cmp_ok(pg_temp.slips(1), '>', 500::bigint, 'P: what is read after a slip of the pen is written alike');

SELECT * FROM finish();
ROLLBACK;
