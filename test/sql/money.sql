-- kb_money (rules M1 to M4)
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SET LOCAL search_path = public, kbilling, kbilling_internal;
SET LOCAL client_min_messages = warning;

SELECT plan(215);

-- Every statement of a list that must fail, with the state that it must give.
CREATE FUNCTION pg_temp.fails(statements text[], state text, description text)
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT throws_ok(s, state, NULL, description || ': ' || s) FROM unnest(statements) AS s
$$;

-- The text form

SELECT is(written::kb_money::text, read, format('M2: reads %L', translate(written, E'\t\n', '  ')))
FROM (VALUES
	('19.00 USD', '19.00 USD'),
	('USD 19', '19.00 USD'),
	('19usd', '19.00 USD'),
	('uSd19', '19.00 USD'),
	(E' \t19.0 USD\n', '19.00 USD'),
	('-0.5 USD', '-0.50 USD'),
	('USD -5', '-5.00 USD'),
	('+5 USD', '5.00 USD'),
	('.5 USD', '0.50 USD'),
	('5. USD', '5.00 USD'),
	('-0.00 USD', '0.00 USD'),
	('000000000000000000000019 USD', '19.00 USD'),
	('19 JPY', '19 JPY'),
	('-19. JPY', '-19 JPY'),
	('1.5 KWD', '1.500 KWD'),
	('0.0001 CLF', '0.0001 CLF'),
	('1234567.89 UAH', '1234567.89 UAH'),
	('3 ANG', '3.00 XCG'),
	('90071992547409.91 USD', '90071992547409.91 USD'),
	('-90071992547409.91 USD', '-90071992547409.91 USD'),
	('9007199254740991 JPY', '9007199254740991 JPY'),
	('-9007199254740.991 KWD', '-9007199254740.991 KWD')
) AS v (written, read);

SELECT pg_temp.fails(ARRAY[
	$$SELECT ''::kb_money$$,
	$$SELECT ' '::kb_money$$,
	$$SELECT '19.00'::kb_money$$,
	$$SELECT 'USD'::kb_money$$,
	$$SELECT '. USD'::kb_money$$,
	$$SELECT '- 5 USD'::kb_money$$,
	$$SELECT '--5 USD'::kb_money$$,
	$$SELECT '1.2.3 USD'::kb_money$$,
	$$SELECT '1,000.00 USD'::kb_money$$,
	$$SELECT '1e3 USD'::kb_money$$,
	$$SELECT '$5'::kb_money$$,
	$$SELECT '5 USD 5'::kb_money$$,
	$$SELECT 'USD 5 USD'::kb_money$$,
	$$SELECT 'NaN USD'::kb_money$$,
	$$SELECT '19.000 USD'::kb_money$$,
	$$SELECT '19.005 USD'::kb_money$$,
	$$SELECT '19.0 JPY'::kb_money$$,
	$$SELECT '0.0000 KWD'::kb_money$$
], '22P02', 'M2');
SELECT pg_temp.fails(ARRAY[
	$$SELECT '5 ABC'::kb_money$$,
	$$SELECT '5 US'::kb_money$$,
	$$SELECT '5 USDT'::kb_money$$,
	$$SELECT '5 XAU'::kb_money$$,
	$$SELECT kb_money(5, 'XTS')$$,
	$$SELECT kb_money(5, 'ABC')$$,
	$$SELECT kb_money(5, '')$$,
	$$SELECT kb_minor_units('ABC')$$
], '22023', 'M2');
SELECT pg_temp.fails(ARRAY[
	$$SELECT '90071992547409.92 USD'::kb_money$$,
	$$SELECT '-90071992547409.92 USD'::kb_money$$,
	$$SELECT '9007199254740992 JPY'::kb_money$$,
	$$SELECT '18446744073709551617 JPY'::kb_money$$,
	$$SELECT '1844674407370955162 CLF'::kb_money$$,
	$$SELECT '99999999999999999999999999999999999999 USD'::kb_money$$
], '22003', 'M1');

-- The parts

SELECT is(kb_money(19, 'USD'), '19.00 USD'::kb_money, 'M1: made of a number and a code');
SELECT is(kb_money(-0.5000, 'kwd'), '-0.500 KWD'::kb_money, 'M2: zeros beyond the decimals are no harm in a number');
SELECT is(kb_amount('19 USD')::text, '19.00', 'M1: kb_amount has the decimals of the currency');
SELECT is('-19 JPY'::kb_money::numeric::text, '-19', 'M1: cast to numeric');
SELECT is(kb_currency('19 usd'), 'USD', 'M1: kb_currency');
SELECT is(kb_minor('-19.05 USD'), -1905::bigint, 'M1: kb_minor');
SELECT is(ARRAY[kb_minor_units('usd'), kb_minor_units('JPY'), kb_minor_units('KWD'), kb_minor_units('UYW'), kb_minor_units('XAU')],
	ARRAY[2, 0, 3, 4, NULL], 'M1: kb_minor_units');
SELECT pg_temp.fails(ARRAY[
	$$SELECT kb_money(1.005, 'USD')$$,
	$$SELECT kb_money(0.1, 'JPY')$$
], '22023', 'M2: never rounded');
SELECT pg_temp.fails(ARRAY[
	$$SELECT kb_money('NaN', 'USD')$$,
	$$SELECT kb_money('-Infinity', 'USD')$$,
	$$SELECT kb_money(90071992547409.92, 'USD')$$,
	$$SELECT kb_money(-1e300, 'USD')$$
], '22003', 'M1');
SELECT is(pg_column_size('19.00 USD'::kb_money), 8, 'M1: eight bytes');
SELECT ok(typbyval, 'M1: passed by value') FROM pg_type WHERE oid = 'kb_money'::regtype;
SELECT throws_ok($$SELECT '5 USD'::kb_money::float8$$, '42846', NULL, 'M1: no cast to floating point');

-- JSON

SELECT is(to_jsonb('19.00 USD'::kb_money), '"19.00 USD"'::jsonb, 'M2: a string in JSON');
SELECT is((jsonb_build_object('due', '-1.5 KWD'::kb_money) ->> 'due')::kb_money, '-1.5 KWD'::kb_money, 'M2: back from JSON');

-- The currencies

CREATE FUNCTION pg_temp.known(code text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kb_minor_units(code);
	RETURN true;
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN false;
END $$;

CREATE TEMP TABLE currency AS
SELECT code, kb_minor_units(code) AS decimals
FROM (SELECT chr(a) || chr(b) || chr(c) AS code
	FROM generate_series(65, 90) a, generate_series(65, 90) b, generate_series(65, 90) c) AS codes
WHERE pg_temp.known(code);

SELECT is(count(*), 184::bigint, 'M1: 178 codes of list one, 6 withdrawn since 2020') FROM currency;
SELECT is(array_agg(code ORDER BY code),
	'{BIF,CLP,DJF,GNF,ISK,JPY,KMF,KRW,PYG,RWF,UGX,UYI,VND,VUV,XAF,XOF,XPF}', 'M1: no decimals')
FROM currency WHERE decimals = 0;
SELECT is(array_agg(code ORDER BY code), '{BHD,IQD,JOD,KWD,LYD,OMR,TND}', 'M1: three decimals')
FROM currency WHERE decimals = 3;
SELECT is(array_agg(code ORDER BY code), '{CLF,UYW}', 'M1: four decimals')
FROM currency WHERE decimals = 4;
SELECT is(array_agg(code ORDER BY code),
	'{XAG,XAU,XBA,XBB,XBC,XBD,XDR,XPD,XPT,XSU,XTS,XUA,XXX}', 'M1: codes that count no money')
FROM currency WHERE decimals IS NULL;
SELECT is(count(*), 145::bigint, 'M1: two decimals') FROM currency WHERE decimals = 2;
DELETE FROM currency WHERE decimals IS NULL;
SELECT is_empty($$
	SELECT code FROM currency WHERE kb_money(-12345, code) <> kb_money(-12345, code)::text::kb_money
	OR kb_money(-12345, code)::text <> round(-12345, decimals) || ' ' || replace(code, 'ANG', 'XCG')
$$, 'M2: every currency reads what it writes');
SELECT is_empty($$
	SELECT kb_money(1, code) FROM currency
	WHERE code <> 'ANG'	-- XCG took its number
	GROUP BY 1 HAVING count(*) > 1
$$, 'M1: every currency has a number of its own');

-- The binary form

CREATE TEMP TABLE received (m kb_money);

-- Hands a value to kb_money_recv, in a file of COPY that printf makes.
CREATE FUNCTION pg_temp.receive(wire bytea) RETURNS kb_money LANGUAGE plpgsql AS $$
DECLARE
	file bytea := '\x5047434f50590aff0d0a00' || int4send(0) || int4send(0)
		|| int2send(1::int2) || int4send(length(wire)) || wire || int2send((-1)::int2);
	octal text := string_agg(format('\%s%s%s', b >> 6, b >> 3 & 7, b & 7), '' ORDER BY i)
		FROM (SELECT i, get_byte(file, i) FROM generate_series(0, length(file) - 1) i) AS bytes (i, b);
	result kb_money;
BEGIN
	EXECUTE format('COPY received FROM PROGRAM %L (FORMAT binary)', format('printf ''%s''', octal));
	DELETE FROM received RETURNING m INTO result;
	RETURN result;
END $$;

SELECT is(kb_money_send('19.00 USD'), '\x000000000000076c02'::bytea || 'USD', 'M2: binary form is minor units, decimals and letters');
SELECT is(kb_money_send('-0.001 KWD'), '\xffffffffffffffff03'::bytea || 'KWD', 'M2: negative in binary form');
SELECT is(pg_temp.receive(kb_money_send(m)), m, 'M2: binary form comes back, ' || m)
FROM unnest('{19.00 USD,-0.001 KWD,9007199254740991 JPY,-90071992547409.91 UAH,0 ALL}'::kb_money[]) AS m;
SELECT throws_ok(format('SELECT pg_temp.receive(%L)', wire), '22P03', NULL, 'M2: in binary form, ' || what)
FROM (VALUES
	('\x000000000000000102'::bytea || 'ABC', 'letters of no currency'),
	('\x000000000000000102'::bytea || '\xff0055', 'what is no letter'),
	('\x0000000000000001ff'::bytea || 'XAU', 'gold'),
	('\x000000000000000100'::bytea || 'XAU', 'gold with decimals'),
	('\x000000000000000103'::bytea || 'USD', 'more decimals than the currency has'),
	('\x000000000000000100'::bytea || 'USD', 'fewer'),
	('\x0000000000000001ff'::bytea || 'USD', 'fewer than none')) AS v (wire, what);
SELECT is(kb_minor('9007199254740991 JPY'), kb_max_minor(), 'M1: the highest count of minor units');
SELECT throws_ok(format('SELECT pg_temp.receive(%L)', '\x002000000000000002'::bytea || 'USD'), '22003', NULL,
	'M1: 2^53 in binary form');
SELECT throws_ok(format('SELECT pg_temp.receive(%L)', '\x800000000000000002'::bytea || 'USD'), '22003', NULL,
	'M1: -2^63 in binary form');
SELECT throws_ok(format('SELECT pg_temp.receive(%L)', '\x000000000000000102'::bytea || 'US'), '08P01', NULL,
	'M1: cut short in binary form');

-- Arithmetic

SELECT is(result, expected::kb_money, 'M3: ' || what)
FROM (VALUES
	('sum', '19.00 USD'::kb_money + '0.05 USD', '19.05 USD'),
	('sum to zero', '19.00 USD'::kb_money + '-19.00 USD', '0 USD'),
	('difference', '1 USD'::kb_money - '1.01 USD', '-0.01 USD'),
	('opposite', - '5 USD'::kb_money, '-5 USD'),
	('opposite of the least', - '-90071992547409.91 USD'::kb_money, '90071992547409.91 USD'),
	('abs of a debt', abs('-5 USD'::kb_money), '5 USD'),
	('abs of a credit', abs('5 USD'::kb_money), '5 USD'),
	('sum at the limit', '90071992547409.90 USD'::kb_money + '0.01 USD', '90071992547409.91 USD'),
	('times integer', '19 USD'::kb_money * 2, '38 USD'),
	('times bigint', 3::bigint * '19 USD'::kb_money, '57 USD'),
	('times literal', '19 USD'::kb_money * '0.5', '9.5 USD'),
	('times the limit', '0.01 USD'::kb_money * 9007199254740991, '90071992547409.91 USD'),
	('times what fits after rounding', '0.01 USD'::kb_money * 9007199254740991.49, '90071992547409.91 USD'),
	('by number', '10 USD'::kb_money / 4, '2.5 USD'),
	('by a small number', '0.01 USD'::kb_money / 0.00000001, '1000000 USD')
) AS v (what, result, expected);

SELECT is(result, expected::kb_money, 'M4: half away from zero, ' || what)
FROM (VALUES
	('0.01 * 0.5', '0.01 USD'::kb_money * 0.5, '0.01 USD'),
	('-0.01 * 0.5', '-0.01 USD'::kb_money * 0.5, '-0.01 USD'),
	('0.5 * 0.03', 0.5 * '0.03 USD'::kb_money, '0.02 USD'),
	('0.01 * a little below 0.5', '0.01 USD'::kb_money * 0.49999999999999999999999999999999999999, '0 USD'),
	('1 JPY * 2.5', '1 JPY'::kb_money * 2.5, '3 JPY'),
	('0.01 / 2', '0.01 USD'::kb_money / 2, '0.01 USD'),
	('-0.01 / 2', '-0.01 USD'::kb_money / 2, '-0.01 USD'),
	('0.01 / -2', '0.01 USD'::kb_money / -2, '-0.01 USD'),
	('-0.01 / -2', '-0.01 USD'::kb_money / -2, '0.01 USD'),
	('0.05 / 2', '0.05 USD'::kb_money / 2, '0.03 USD'),
	('0.05 / -2', '0.05 USD'::kb_money / -2, '-0.03 USD'),
	('10 / 3', '10 USD'::kb_money / 3, '3.33 USD'),
	('20 / 3', '20 USD'::kb_money / 3, '6.67 USD'),
	('-20 / 3', '-20 USD'::kb_money / 3, '-6.67 USD'),
	('0.01 / a little above 2', '0.01 USD'::kb_money / 2.00000000000000000000000000000000000001, '0 USD'),
	('0.01 / a little below 2', '0.01 USD'::kb_money / 1.99999999999999999999999999999999999999, '0.01 USD')
) AS v (what, result, expected);

SELECT is('5 USD'::kb_money / '2 USD'::kb_money, 2.5, 'M3: ratio is a number');
SELECT is('-5 USD'::kb_money / '2 USD', -2.5, 'M3: ratio with a literal');

SELECT pg_temp.fails(ARRAY[
	$$SELECT '90071992547409.91 USD'::kb_money + '0.01 USD'$$,
	$$SELECT '-90071992547409.91 USD'::kb_money + '-0.01 USD'$$,
	$$SELECT '-90071992547409.91 USD'::kb_money - '90071992547409.91 USD'$$,
	$$SELECT '90071992547409.91 USD'::kb_money * 2$$,
	$$SELECT '0.01 USD'::kb_money * 9007199254740991.5$$,
	$$SELECT '1 USD'::kb_money * 1e300$$,
	$$SELECT '90071992547409.91 USD'::kb_money / 0.5$$,
	$$SELECT '1 USD'::kb_money / 1e-300$$,
	$$SELECT '1 USD'::kb_money * 'NaN'::numeric$$,
	$$SELECT 'Infinity'::numeric * '1 USD'::kb_money$$,
	$$SELECT '1 USD'::kb_money / 'NaN'::numeric$$,
	$$SELECT '1 USD'::kb_money / '-Infinity'::numeric$$
], '22003', 'M1');
SELECT pg_temp.fails(ARRAY[
	$$SELECT '1 USD'::kb_money / 0$$,
	$$SELECT '0 USD'::kb_money / 0.000$$,
	$$SELECT '1 USD'::kb_money / '0 USD'::kb_money$$
], '22012', 'M3');
SELECT pg_temp.fails(ARRAY[
	$$SELECT '1 USD'::kb_money + '1 EUR'$$,
	$$SELECT '1 USD'::kb_money - '1 EUR'$$,
	$$SELECT '1 USD'::kb_money / '1 EUR'::kb_money$$,
	$$SELECT '1 USD'::kb_money / '0 EUR'::kb_money$$,
	$$SELECT '0 USD'::kb_money + '0 JPY'$$
], 'KB002', 'M3');

\ir ../include/error.sql
SELECT is((pg_temp.raised($$SELECT '1 USD'::kb_money + '1 EUR'$$)).detail,
	'One amount is in USD, the other in EUR.', 'M3: the error names both currencies');
SELECT is((pg_temp.raised($$SELECT '1.005 USD'::text::kb_money$$)).detail,
	'USD has 2 of them, the amount has 3.', 'M2: the error counts the decimals');

-- Order

SELECT is(
	ARRAY[a < b, a <= b, a = b, a <> b, a >= b, a > b, kb_money_cmp(a, b) < 0],
	ARRAY[sign < 0, sign <= 0, sign = 0, sign <> 0, sign >= 0, sign > 0, sign < 0],
	format('M3: %s against %s', a, b))
FROM (VALUES
	('1 USD'::kb_money, '2 USD'::kb_money, -1),
	('2 USD', '2.00 USD', 0),
	('-1 USD', '-2 USD', 1),
	('-1 USD', '0 USD', -1),
	('-90071992547409.91 USD', '90071992547409.91 USD', -1),
	('1000 JPY', '1 USD', -1),	-- 392 before 840
	('-1 EUR', '1000 USD', 1)	-- 978 after 840
) AS v (a, b, sign);

SELECT is(
	ARRAY[m < n, m <= n, m = n, m <> n, m >= n, m > n, n > m, n >= m, n = m, n <> m, n <= m, n < m],
	ARRAY[sign < 0, sign <= 0, sign = 0, sign <> 0, sign >= 0, sign > 0,
		sign < 0, sign <= 0, sign = 0, sign <> 0, sign >= 0, sign > 0],
	format('M3: %s against the number %s', m, n))
FROM (VALUES
	('-0.01 USD'::kb_money, 0::numeric, -1),
	('0 USD', 0, 0),
	('0 JPY', 0.00, 0),
	('0.001 KWD', 0, 1),
	('0 USD', ('0.' || repeat('0', 100))::numeric, 0),
	('19 USD', 19, 0),
	('19 USD', 19.000000001, -1),
	('-19 EUR', -20, 1),
	('19 USD', 1e30, -1),
	('19 USD', 'NaN', -1),
	('0 USD', 'NaN', -1),
	('19 USD', 'Infinity', -1),
	('-19 USD', '-Infinity', 1)
) AS v (m, n, sign);

SELECT is(
	ARRAY[m < 0, m = '5 USD', m > 4, 5 = m, m <> 5, m BETWEEN 4 AND 5.5, m IN ('4 USD', '5 USD')],
	'{f,t,t,t,f,t,t}', 'M3: literals need no cast')
FROM (VALUES ('5 USD'::kb_money)) AS v (m);

SELECT is(count(*), 18::bigint, 'M3: the planner is told all of each comparison')
FROM pg_operator
WHERE 'kb_money'::regtype IN (oprleft, oprright) AND oprresult = 'boolean'::regtype
	AND oprcom <> 0 AND oprnegate <> 0 AND oprrest <> 0 AND oprjoin <> 0
	AND oprcanhash = (oprname = '=' AND oprleft = oprright) AND oprcanmerge = oprcanhash;
SELECT is_empty($$
	SELECT p.proname FROM pg_proc p JOIN pg_operator o ON o.oprcode = p.oid
	WHERE 'kb_money'::regtype IN (oprleft, oprright)
		AND p.proleakproof <> (oprleft = oprright AND oprresult = 'boolean'::regtype)
$$, 'M3: comparisons within the type are leakproof, nothing else is');

-- Indexes, joins, groups

CREATE TABLE priced (id bigint, m kb_money);
INSERT INTO priced SELECT i, kb_money((i * 7919 % 10007 - 5000) / 100.0, 'USD') FROM generate_series(1, 10007) i;
INSERT INTO priced VALUES (0, NULL);
ANALYZE priced;

\ir ../include/plan.sql
CREATE FUNCTION pg_temp.planned(query text, node text, description text) RETURNS text LANGUAGE sql AS $$
	SELECT matches(pg_temp.plan_of(query), node, description)
$$;

SELECT is(array_agg(kb_minor(m)), (SELECT array_agg(i) FROM generate_series(-5000::bigint, 5006) i) || NULL::bigint,
	'M3: sorted by amount')
FROM (SELECT m FROM priced ORDER BY m) AS sorted;

CREATE INDEX priced_m ON priced (m);
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT pg_temp.planned($$SELECT m FROM priced WHERE m < '-49.97 USD' ORDER BY m$$,
	'Index Only Scan using priced_m', 'M3: btree is used');
SELECT results_eq($$SELECT m FROM priced WHERE m < '-49.97 USD' ORDER BY m$$,
	$$VALUES ('-50.00 USD'::kb_money), ('-49.99 USD'), ('-49.98 USD')$$, 'M3: range from a btree');
DROP INDEX priced_m;
CREATE INDEX priced_m ON priced USING hash (m);
SELECT pg_temp.planned($$SELECT id FROM priced WHERE m = '-50.00 USD'$$,
	'Index Scan using priced_m', 'M3: hash index is used');
SELECT results_eq($$SELECT id FROM priced WHERE m = '-50.00 USD'$$,
	$$VALUES (10007::bigint)$$, 'M3: found in a hash index');
SET LOCAL enable_seqscan = on;
SET LOCAL enable_bitmapscan = on;

SET LOCAL enable_mergejoin = off;
SET LOCAL enable_nestloop = off;
SELECT pg_temp.planned($$SELECT count(*) FROM priced a JOIN priced b USING (m)$$, 'Hash Join', 'M3: hash join is planned');
SELECT is(count(*), 10007::bigint, 'M3: hash join') FROM priced a JOIN priced b USING (m);
SET LOCAL enable_mergejoin = on;
SET LOCAL enable_hashjoin = off;
SELECT pg_temp.planned($$SELECT count(*) FROM priced a JOIN priced b USING (m)$$, 'Merge Join', 'M3: merge join is planned');
SELECT is(count(*), 10007::bigint, 'M3: merge join') FROM priced a JOIN priced b USING (m);
SET LOCAL enable_hashjoin = on;
SET LOCAL enable_nestloop = on;

SET LOCAL enable_sort = off;
SELECT pg_temp.planned($$SELECT m, count(*) FROM priced GROUP BY m$$, 'HashAggregate', 'M3: hash aggregate is planned');
SELECT is(count(*), 10008::bigint, 'M3: hash aggregate') FROM (SELECT m FROM priced GROUP BY m) AS groups;
SET LOCAL enable_sort = on;

CREATE TABLE parted (m kb_money) PARTITION BY HASH (m);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted SELECT m FROM priced;
SELECT is(count(*), 2::bigint, 'M3: the extended hash spreads rows over partitions')
FROM (SELECT tableoid FROM parted GROUP BY tableoid HAVING count(*) BETWEEN 4000 AND 6008) AS parts;

-- Aggregates

SELECT is((SELECT ARRAY[sum(m), avg(m), min(m), max(m)] FROM unnest(amounts::kb_money[]) AS m),
	expected::kb_money[], 'M3: sum, avg, min and max of ' || amounts)
FROM (VALUES
	('{5 USD,-1 USD,1.01 USD}', '{5.01 USD,1.67 USD,-1 USD,5 USD}'),
	('{NULL,1 JPY,0 JPY}', '{1 JPY,1 JPY,0 JPY,1 JPY}'),	-- mean 0.5
	('{0 JPY,-1 JPY,NULL}', '{-1 JPY,-1 JPY,-1 JPY,0 JPY}'),	-- mean -0.5
	('{NULL,NULL}', '{NULL,NULL,NULL,NULL}'),
	('{}', '{NULL,NULL,NULL,NULL}'),
	('{9007199254740991 JPY,9007199254740991 JPY,-9007199254740991 JPY}',
	 '{9007199254740991 JPY,3002399751580330 JPY,-9007199254740991 JPY,9007199254740991 JPY}')
) AS v (amounts, expected);
SELECT throws_ok(format($$SELECT %s(m) FROM (VALUES ('1 USD'::kb_money), (NULL), ('1 EUR')) AS v (m)$$, f),
	'KB002', NULL, 'M3: two currencies in ' || f)
FROM unnest('{sum,avg,min,max}'::text[]) AS f;
SELECT throws_ok($$SELECT sum(m) FROM (VALUES ('90071992547409.91 USD'::kb_money), ('0.01 USD')) AS v (m)$$,
	'22003', NULL, 'M1: sum out of range');
SELECT throws_ok($$SELECT sum('-9007199254740991 JPY'::kb_money) FROM generate_series(1, 2050)$$,
	'22003', NULL, 'M1: sum out of range of 64 bits');
SELECT is(avg('-9007199254740991 JPY'::kb_money), '-9007199254740991 JPY'::kb_money,
	'M3: avg of a sum out of range of 64 bits')
FROM generate_series(1, 2050);
SELECT is(sum(DISTINCT m), '3 USD'::kb_money, 'M3: sum of the distinct')
FROM (VALUES ('1 USD'::kb_money), ('2 USD'), ('1.00 USD')) AS v (m);

SELECT results_eq($$
	SELECT sum(m) OVER w, avg(m) OVER w
	FROM (VALUES (1, '1 USD'::kb_money), (2, NULL), (3, NULL), (4, '2 USD'), (5, '5 USD')) AS v (i, m)
	WINDOW w AS (ORDER BY i ROWS 1 PRECEDING)
$$, $$
	VALUES ('1 USD'::kb_money, '1 USD'::kb_money), ('1 USD', '1 USD'), (NULL, NULL), ('2 USD', '2 USD'), ('7 USD', '3.5 USD')
$$, 'M3: sum and avg over a window that moves');
SELECT results_eq($$
	SELECT sum(m) OVER (ORDER BY i ROWS BETWEEN CURRENT ROW AND CURRENT ROW)
	FROM (VALUES (1, '1 USD'::kb_money), (2, '2 EUR')) AS v (i, m)
$$, $$VALUES ('1 USD'::kb_money), ('2 EUR')$$, 'M3: a window may move on to another currency');
SELECT throws_ok($$
	SELECT sum(m) OVER (ORDER BY i ROWS 1 PRECEDING)
	FROM (VALUES (1, '1 USD'::kb_money), (2, '2 EUR')) AS v (i, m)
$$, 'KB002', NULL, 'M3: but not hold two');

-- Parallel

SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
SET LOCAL parallel_leader_participation = off;
SELECT pg_temp.planned($$SELECT sum(m), avg(m), min(m), max(m) FROM priced$$,
	'Partial Aggregate', 'M3: aggregates are planned in parallel');
-- Neither a cursor nor pgTAP's functions run in parallel, so results are put by.
CREATE TEMP TABLE total AS SELECT sum(m), avg(m), min(m), max(m) FROM priced;
CREATE TEMP TABLE debt AS SELECT sum(m), avg(m) FROM priced WHERE m < 0;
CREATE TEMP TABLE nothing AS SELECT sum(m), avg(m), min(m), max(m) FROM priced WHERE id < 0;
-- -5000 to 5006 cents: 10007 amounts with the mean 3
SELECT results_eq('TABLE total',
	$$VALUES ('300.21 USD'::kb_money, '0.03 USD'::kb_money, '-50.00 USD'::kb_money, '50.06 USD'::kb_money)$$,
	'M3: aggregates in parallel');
-- -5000 to -1 cents: the mean is -2500.5
SELECT results_eq('TABLE debt', $$VALUES ('-125025.00 USD'::kb_money, '-25.01 USD'::kb_money)$$,
	'M4: negative sum in parallel');

-- A part that has had only NULL adds nothing, and is of no currency
CREATE TABLE part (n int, amount kb_money) PARTITION BY LIST (n);
CREATE TABLE part_of_values PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_of_nulls PARTITION OF part FOR VALUES IN (2);
CREATE TABLE part_of_more PARTITION OF part FOR VALUES IN (3);
INSERT INTO part VALUES (1, '2.00 UAH'), (2, NULL), (3, '1.00 UAH'), (2, NULL);
SET LOCAL enable_partitionwise_aggregate = on;
SET LOCAL max_parallel_workers_per_gather = 0;
SELECT matches(pg_temp.plan_of('SELECT sum(amount) FROM part'), 'Partial Aggregate.*Partial Aggregate.*Partial Aggregate',
	'M3: aggregates are planned by part');
SELECT results_eq('SELECT sum(amount), avg(amount) FROM part', $$VALUES ('3.00 UAH'::kb_money, '1.50 UAH'::kb_money)$$,
	'M3: a part without amounts is no other currency');
SELECT results_eq('TABLE nothing', $$VALUES (NULL::kb_money, NULL::kb_money, NULL::kb_money, NULL::kb_money)$$,
	'M3: aggregates of nothing in parallel');
UPDATE priced SET m = '1 EUR' WHERE id = 10007;
SELECT throws_ok(format('SELECT %s(m) FROM priced', f), 'KB002', NULL, 'M3: two currencies in parallel ' || f)
FROM unnest('{sum,avg,min,max}'::text[]) AS f;

SELECT finish();
ROLLBACK;
