-- False alarms of the card number detector (T4), and the card numbers that it catches, among a million of each kind;
-- -v n=N sets another number.  The same seed gives the same texts.  To run it alone:
-- test/server psql -Xqf bench/card.sql
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kbilling;
SET search_path = public, kbilling;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
\if :{?n}
\else
\set n 1000000
\endif
\pset footer off

-- n random digits, up to 20
CREATE FUNCTION pg_temp.digits(n integer) RETURNS text VOLATILE LANGUAGE sql AS $$
	SELECT left(lpad(floor(random() * 1e10)::bigint::text, 10, '0') || lpad(floor(random() * 1e10)::bigint::text, 10, '0'), n)
$$;

-- n random hexadecimal digits, up to 32
CREATE FUNCTION pg_temp.hex(n integer) RETURNS text VOLATILE LANGUAGE sql AS $$
	SELECT left(md5(random()::text), n)
$$;

-- A random moment of five years
CREATE FUNCTION pg_temp.moment() RETURNS timestamptz VOLATILE LANGUAGE sql AS $$
	SELECT timestamptz '2022-01-01 00:00+00' + random() * interval '5 years'
$$;

-- The seconds since 1970, with d decimals as further digits
CREATE FUNCTION pg_temp.epoch(d integer) RETURNS text VOLATILE LANGUAGE sql AS $$
	SELECT floor(1640995200 + random() * 157766400)::bigint::text || pg_temp.digits(d)
$$;

-- The digit that makes a number valid (Luhn)
CREATE FUNCTION pg_temp.check_digit(number text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
DECLARE
	sum integer := 0;
	digit integer;
BEGIN
	FOR i IN 1..length(number) LOOP
		digit := substr(number, length(number) + 1 - i, 1)::integer;
		sum := sum + CASE WHEN i % 2 = 0 THEN digit WHEN digit > 4 THEN 2 * digit - 9 ELSE 2 * digit END;
	END LOOP;
	RETURN (10 - sum % 10) % 10;
END $$;

-- In groups of four
CREATE FUNCTION pg_temp.fours(number text, separator text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
	SELECT regexp_replace(number, '(.{4})(?=.)', '\1' || separator, 'g')
$$;

\echo == false alarms
SELECT setseed(0.4) \g /dev/null
CREATE TEMP TABLE alarm AS
WITH sample AS (
	SELECT i, i % 17 AS sort,
		   CASE i % 17
		   WHEN 0 THEN i::text
		   WHEN 1 THEN (1000000000 + i)::text
		   WHEN 2 THEN format('ORD-%s-%s', to_char(pg_temp.moment(), 'YYYY'), lpad(i::text, 6, '0'))
		   WHEN 3 THEN format('%s-%s', to_char(pg_temp.moment(), 'YYYYMMDD'), lpad(i::text, 6, '0'))
		   WHEN 4 THEN to_char(pg_temp.moment(), 'YYYYMMDD') || lpad(i::text, 8, '0')
		   WHEN 5 THEN format('INV%s', pg_temp.digits(9))
		   WHEN 6 THEN format('%s-%s-%s',
			(ARRAY['026', '111', '114', '203', '302', '303', '402', '408', '503',
			'701'])[1 + floor(random() * 10)::integer], pg_temp.digits(7), pg_temp.digits(7))
		   WHEN 7 THEN format('order %s of %s, 3 of %s', i, to_char(pg_temp.moment(), 'YYYY-MM-DD'), pg_temp.digits(8))
		   WHEN 8 THEN pg_temp.digits(10) || ', ' || pg_temp.digits(10)
		   WHEN 9 THEN pg_temp.digits(12)
		   ELSE pg_temp.digits(3 + i % 17)
		   END AS value
	FROM generate_series(1, :n) i
)
SELECT 'order number' AS kind, sort,
	   (ARRAY['counted', 'counted from a billion', 'ORD-2026-000123', '20261124-000123', '2026112400000123',
		'INV and 9 digits', '302-1234567-1234567',
			  'in a text', 'two of 10 digits', '12 random digits', '13 random digits', '14 random digits', '15 random digits',
			  '16 random digits', '17 random digits', '18 random digits', '19 random digits'])[sort + 1] AS sub_kind,
	   count(*) AS texts, count(*) FILTER (WHERE kb_has_card_number(value)) AS refused, min(value) AS example
FROM sample GROUP BY sort;

-- Country codes, and how many digits follow
SELECT setseed(0.4) \g /dev/null
INSERT INTO alarm
WITH sample AS (
	SELECT i % 12 AS sort,
		   CASE i % 12
		   WHEN 0 THEN '+' || code || rest
		   WHEN 1 THEN code || rest
		   WHEN 2 THEN format('+%s %s %s-%s-%s', code, left(rest, -7), left(right(rest, 7), 3), left(right(rest, 4), 2), right(rest, 2))
		   WHEN 3 THEN format('+%s (%s) %s %s', code, left(rest, -7), left(right(rest, 7), 3), right(rest, 4))
		   WHEN 4 THEN format('(%s) %s-%s', left(rest, -7), left(right(rest, 7), 3), right(rest, 4))
		   WHEN 5 THEN format('0%s %s %s %s', left(rest, -7), left(right(rest, 7), 3), left(right(rest, 4), 2), right(rest, 2))
		   WHEN 6 THEN format('%s.%s.%s.%s', code, left(rest, -7), left(right(rest, 7), 3), right(rest, 4))
		   WHEN 7 THEN '00' || code || rest
		   WHEN 8 THEN format('00%s %s %s %s', code, left(rest, -7), left(right(rest, 7), 3), right(rest, 4))
		   WHEN 9 THEN format('%s %s %s %s', code, left(rest, -7), left(right(rest, 7), 3), right(rest, 4))
		   WHEN 10 THEN format('0%s %s %s 0%s %s', left(rest, -7), left(right(rest, 7), 3), right(rest, 4),
			pg_temp.digits(2), pg_temp.digits(7))
		   ELSE format('%s-%s-%s %s-%s-%s', left(rest, -7), left(right(rest, 7), 3), right(rest, 4), pg_temp.digits(3),
			pg_temp.digits(3), pg_temp.digits(4))
		   END AS value
	FROM (SELECT i, code, 1 + floor(random() * 9)::integer || pg_temp.digits(digits - 1) AS rest
		  FROM generate_series(1, :n) i,
			   LATERAL (SELECT (ARRAY['1', '7', '20', '27', '30', '31', '33', '34', '351', '353', '358', '36', '370', '380',
				'39', '40', '41', '420', '43', '44', '45', '46', '47', '48', '49', '52', '54', '55', '61', '62', '65', '66',
				'81', '82', '84', '86', '90', '91', '92', '234', '254', '966', '971', '972', '994', '995', '998'])[1 + i % 47] AS code,
							   (ARRAY[10, 10, 10, 9, 10, 9, 9, 9, 9, 9, 9, 9, 8, 9, 10, 9, 9, 9, 10, 10, 8, 9, 8, 9, 11, 10,
								11, 11, 9, 11, 8, 9, 10, 10, 9, 11, 10, 10, 10, 10, 9, 9, 9, 9, 9, 9,
								9])[1 + i % 47] AS digits) AS country) AS t
)
SELECT 'phone number', sort,
	   (ARRAY['+380501234567', '380501234567', '+380 50 123-45-67', '+380 (50) 123 4567', '(50) 123-4567', '050 123 45 67',
		'380.50.123.4567',
			  '00380501234567', '00380 50 123 4567', '380 50 123 4567', 'two, with spaces', 'two, with dashes and a space'])[sort + 1],
	   count(*), count(*) FILTER (WHERE kb_has_card_number(value)), min(value)
FROM sample GROUP BY sort;

SELECT setseed(0.4) \g /dev/null
INSERT INTO alarm
WITH sample AS (
	SELECT i % 6 AS sort,
		   CASE i % 6
		   WHEN 0 THEN (v4::uuid)::text
		   WHEN 1 THEN v4
		   WHEN 2 THEN (v7::uuid)::text
		   WHEN 3 THEN v7
		   WHEN 4 THEN 'event {' || upper((v4::uuid)::text) || '} seen'
		   ELSE 'urn:uuid:' || (translate(v4, 'abcdef', '012345')::uuid)::text
		   END AS value
	FROM (SELECT i, overlay(overlay(pg_temp.hex(32) PLACING '4' FROM 13) PLACING substr('89ab', 1 + i % 4, 1) FROM 17) AS v4,
				 lpad(to_hex(1640995200000 + floor(random() * 157766400000)::bigint), 12, '0') || '7' || pg_temp.hex(3) ||
				 substr('89ab', 1 + i % 4, 1) || pg_temp.hex(15) AS v7
		  FROM generate_series(1, :n) i) AS t
)
SELECT 'UUID', sort,
	   (ARRAY['version 4', 'version 4, 32 digits', 'version 7', 'version 7, 32 digits', 'in braces in a text',
		'of decimal digits only'])[sort + 1],
	   count(*), count(*) FILTER (WHERE kb_has_card_number(value)), min(value)
FROM sample GROUP BY sort;

SELECT setseed(0.4) \g /dev/null
INSERT INTO alarm
WITH sample AS (
	SELECT i % 16 AS sort,
		   CASE i % 16
		   WHEN 0 THEN to_char(pg_temp.moment(), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
		   WHEN 1 THEN to_char(pg_temp.moment(), 'YYYY-MM-DD HH24:MI:SS.US+02')
		   WHEN 2 THEN to_char(pg_temp.moment(), 'YYYYMMDD"T"HH24MISS"Z"')
		   WHEN 3 THEN to_char(pg_temp.moment(), 'YYYYMMDDHH24MISS')
		   WHEN 4 THEN to_char(pg_temp.moment(), 'YYYYMMDDHH24MISSMS')
		   WHEN 5 THEN to_char(pg_temp.moment(), 'YYYYMMDDHH24MISS.US')
		   WHEN 6 THEN to_char(pg_temp.moment(), 'YYYY-MM-DD-HH24-MI-SS-US')
		   WHEN 7 THEN to_char(pg_temp.moment(), 'DD.MM.YYYY HH24:MI:SS')
		   WHEN 8 THEN to_char(pg_temp.moment(), 'DDMMYYYYHH24MISS')
		   WHEN 9 THEN pg_temp.epoch(0)
		   WHEN 10 THEN pg_temp.epoch(3)
		   WHEN 11 THEN pg_temp.epoch(6)
		   WHEN 12 THEN pg_temp.epoch(9)
		   WHEN 13 THEN pg_temp.epoch(0) || '.' || pg_temp.digits(9)
		   WHEN 14 THEN to_char(pg_temp.moment(), 'YYYY-MM-DD HH24:MI:SS') || ' ' || to_char(pg_temp.moment(), 'YYYY-MM-DD HH24:MI:SS')
		   ELSE to_char(pg_temp.moment(), 'DD MM YYYY') || ' ' || to_char(pg_temp.moment(), 'DD MM YYYY')
		   END AS value
	FROM generate_series(1, :n) i
)
SELECT 'timestamp', sort,
	   (ARRAY['2026-11-24T10:11:12Z', '2026-11-24 10:11:12.123456+02', '20261124T101112Z', '20261124101112', '20261124101112123',
			  '20261124101112.123456', '2026-11-24-10-11-12-123456', '24.11.2026 10:11:12', '24112026101112',
			  'seconds since 1970', 'milliseconds',
			  'microseconds', 'nanoseconds', 'seconds with a fraction', 'two moments', 'two days, with spaces'])[sort + 1],
	   count(*), count(*) FILTER (WHERE kb_has_card_number(value)), min(value)
FROM sample GROUP BY sort;

-- Countries, the letters of a bank's code, and how many digits follow
CREATE TEMP TABLE iban_country AS
SELECT row_number() OVER () - 1 AS nr, country, bank, digits,
	   (SELECT string_agg((ascii(c) - 55)::text, '' ORDER BY o) FROM regexp_split_to_table(bank || 'X', '')
		WITH ORDINALITY AS t (c, o)) AS bank_number,
	   (SELECT string_agg((ascii(c) - 55)::text, '' ORDER BY o) FROM regexp_split_to_table(country, '')
		WITH ORDINALITY AS t (c, o)) AS country_number
FROM (VALUES ('AT', '', 16), ('AZ', 'NABZ', 20), ('BE', '', 12), ('BG', 'BNBG', 14), ('CH', '', 17), ('CZ', '', 20),
	('DE', '', 18), ('DK', '', 14),
	('ES', '', 20), ('FI', '', 14), ('FR', '', 23), ('GB', 'NWBK', 14), ('GE', 'NB', 16), ('GR', '', 23), ('HU', '', 24),
	('IE', 'AIBK', 14),
	('LT', '', 16), ('NL', 'ABNA', 10), ('NO', '', 11), ('PL', '', 24), ('PT', '', 21), ('RO', 'AAAA', 16), ('SE', '', 20), ('TR', '', 22),
	('UA', '', 25)) AS t (country, bank, digits);
SELECT setseed(0.4) \g /dev/null
INSERT INTO alarm
WITH sample AS (
	SELECT i % 5 AS sort,
		   CASE i % 5
		   WHEN 0 THEN iban
		   WHEN 1 THEN pg_temp.fours(iban, ' ')
		   WHEN 2 THEN format('IBAN: %s, thanks', pg_temp.fours(iban, ' '))
		   WHEN 3 THEN lower(iban)
		   ELSE pg_temp.fours(iban, U&'\00A0')
		   END AS value
	FROM (SELECT i, country || lpad((98 - (left(bank_number, -2) || account || country_number || '00')::numeric % 97)::text,
		2, '0') || bank || account AS iban
		  FROM (SELECT i, (i / 5) % 25 AS nr, pg_temp.digits(20) || pg_temp.digits(10) AS long_account FROM generate_series(1, :n) i) AS t
		  JOIN iban_country USING (nr), LATERAL (SELECT left(long_account, digits) AS account) AS a) AS t
)
SELECT 'IBAN of 25 countries', sort,
	(ARRAY['as one word', 'in groups of four', 'in groups, in a text', 'in lower case', 'in groups, no-break spaces'])[sort + 1],
	   count(*), count(*) FILTER (WHERE kb_has_card_number(value)), min(value)
FROM sample GROUP BY sort;

SELECT CASE WHEN grouping(sub_kind) = 1 THEN kind END AS kind, coalesce(sub_kind, 'all') AS sub_kind, sum(texts) AS texts,
	sum(refused) AS refused,
	   to_char(100 * sum(refused) / sum(texts), '990.000" %"') AS rate, CASE WHEN grouping(sub_kind) = 0 THEN min(example) END AS example
FROM alarm GROUP BY GROUPING SETS ((kind), (kind, sort, sub_kind))
ORDER BY alarm.kind, grouping(sub_kind) DESC, min(sort);

\echo == card numbers
-- Networks: first digits, from and to, and a length
CREATE TEMP TABLE network AS
SELECT row_number() OVER () - 1 AS nr, *
FROM (VALUES
	('Visa', 4, 4, 13), ('Visa', 4, 4, 16), ('Visa', 4, 4, 19), ('Mastercard', 51, 55, 16), ('Mastercard', 2221, 2720, 16),
	('American Express', 34, 34, 15), ('American Express', 37, 37, 15), ('Discover', 6011, 6011, 16),
	('Discover', 644, 649, 16), ('Discover', 65, 65, 19),
	('Diners Club', 300, 305, 14), ('Diners Club', 36, 36, 14), ('Diners Club', 38, 39, 16), ('JCB', 3528, 3589, 16),
	('JCB', 3088, 3094, 16),
	('UnionPay', 62, 62, 16), ('UnionPay', 62, 62, 17), ('UnionPay', 62, 62, 19), ('UnionPay', 8100, 8171, 16),
	('Maestro', 5018, 5018, 13), ('Maestro', 5020, 5020, 14), ('Maestro', 5038, 5038, 15), ('Maestro', 5893, 5893, 16),
	('Maestro', 6304, 6304, 17),
	('Maestro', 6703, 6703, 17), ('Maestro', 6759, 6763, 18), ('Maestro', 6799, 6799, 19), ('Maestro', 6390, 6390, 16),
	('Mir', 2200, 2204, 16), ('Mir', 2200, 2204, 19), ('RuPay', 508500, 508999, 16), ('RuPay', 607000, 607984, 16),
	('Elo', 506699, 506778, 16),
	('Elo', 509000, 509999, 16), ('Verve', 506099, 506198, 19), ('Verve', 507865, 507964, 16), ('Troy', 9792, 9792, 16),
	('Prostir', 9804, 9804, 16),
	('Hipercard', 606282, 606282, 16), ('Dankort', 5019, 5019, 16)) AS t (network, low, high, digits);
SELECT setseed(0.4) \g /dev/null
CREATE TEMP TABLE card AS
SELECT i, nr, network, number || pg_temp.check_digit(number) AS number
FROM (SELECT i, nr, network, digits,
			 left((low + floor(random() * (high - low + 1))::integer)::text || pg_temp.digits(18), digits - 1) AS number
	  FROM (SELECT i, i % 40 AS nr FROM generate_series(1, :n) i) AS t JOIN network USING (nr)) AS t;

-- Spellings
CREATE FUNCTION pg_temp.spelling(i bigint, number text) RETURNS text VOLATILE LANGUAGE sql AS $$
	SELECT CASE i
		WHEN 0 THEN number
		WHEN 1 THEN pg_temp.fours(number, ' ')
		WHEN 2 THEN pg_temp.fours(number, '-')
		WHEN 3 THEN pg_temp.fours(number, U&'\00A0')
		WHEN 4 THEN pg_temp.fours(number, U&'\2011')
		WHEN 5 THEN pg_temp.fours(number, ' - ')
		WHEN 6 THEN overlay(overlay(number PLACING ' ' FROM 11 FOR 0) PLACING ' ' FROM 5 FOR 0)
		WHEN 7 THEN regexp_replace(number, '(.{2})(?=.)', '\1 ', 'g')
		WHEN 8 THEN 'paid by ' || number || ', exp. 12/28'
		WHEN 9 THEN number || ' is my card'
		WHEN 10 THEN 'my card is ' || pg_temp.fours(number, ' ')
		WHEN 11 THEN 'order ' || pg_temp.digits(6) || ' ' || pg_temp.fours(number, ' ') || ' 12/28'
		WHEN 12 THEN jsonb_build_object('payment', jsonb_build_object('cards', jsonb_build_array(1, number)))::text
		WHEN 13 THEN jsonb_build_object(number, true)::text
		WHEN 14 THEN jsonb_build_object('pan', number::numeric)::text
		WHEN 15 THEN E'card\n' || pg_temp.fours(number, ' ') || E'\nthanks'
		WHEN 16 THEN overlay(number PLACING ' ' FROM 2 + floor(random() * (length(number) - 2))::integer FOR 0)
	END
$$;
SELECT coalesce(spelling, 'all') AS spelling, count(*) AS numbers, sum(caught::integer) AS caught,
	to_char(100.0 * sum(caught::integer) / count(*), '990.000" %"') AS rate
FROM (SELECT (ARRAY['plain', 'spaces', 'dashes', 'no-break spaces', 'no-break hyphens', 'dashes with spaces', '4-6-n',
	'pairs', 'in a text', 'at its start', 'at its end',
					'behind an order number', 'in nested JSON', 'a JSON key', 'a JSON number', 'on a line of its own',
					'a space anywhere'])[i / 40 % 17 + 1] AS spelling,
			 CASE WHEN i / 40 % 17 IN (12, 13, 14) THEN kb_has_card_number(pg_temp.spelling(i / 40 % 17, number)::jsonb)
			 ELSE kb_has_card_number(pg_temp.spelling(i / 40 % 17, number)) END AS caught
	  FROM card) AS t
GROUP BY ROLLUP (spelling) ORDER BY t.spelling NULLS FIRST;
SELECT network, count(*) AS numbers, sum(kb_has_card_number(number)::integer) AS caught
FROM card GROUP BY network ORDER BY network;

\echo == time that a text takes beyond octet_length(), in ns
CREATE TEMP TABLE timed (text_kind text, ours numeric, floor numeric);
DO $$
DECLARE
	kind record;
	begun timestamptz;
	took numeric[];
BEGIN
	FOR kind IN VALUES ('short key', 'order-20261124-0001'), ('UUID', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
		('memo of 100 letters', rpad('thanks for the fish, and for all the rest. ', 100, 'see you ')),
		('Ukrainian memo', rpad('дякую за все, до зустрічі. ', 100, 'до зустрічі '))
	LOOP
		FOR round IN 1..5 LOOP
			begun := clock_timestamp();
			PERFORM count(kbilling_internal.kb_refuse_card_number(left(kind.column2, -1) || (i % 10))) FROM generate_series(1, 1000000) i;
			took[1] := least(took[1], extract(epoch FROM clock_timestamp() - begun) * 1000);
			begun := clock_timestamp();
			PERFORM count(octet_length(left(kind.column2, -1) || (i % 10))) FROM generate_series(1, 1000000) i;
			took[2] := least(took[2], extract(epoch FROM clock_timestamp() - begun) * 1000);
		END LOOP;
		INSERT INTO timed VALUES (kind.column1, took[1], took[2]);
		took := NULL;
	END LOOP;
END $$;
SELECT text_kind, round(ours - floor) AS ns FROM timed;
