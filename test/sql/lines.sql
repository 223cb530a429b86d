-- kb_lines: JSON, to the letter as jsonb writes it, in few bytes.
BEGIN;
SELECT no_plan();
SET search_path = kbilling, kbilling_internal, public;

-- A text form for each way in and out

CREATE TEMP TABLE sample (json text);
INSERT INTO sample VALUES
	('null'), ('true'), ('false'), ('7'), ('""'), ('"x"'), ('[]'), ('{}'), ('[[], {}, [null, [true, false]]]'), ('{"a": {"b": {}}}'),
	('{"to_date": "2026-10-31", "days": 31, "from_date": "2026-10-01", "what": "base fee", "amount": "19.00 USD", "service": "base",'
		' "quantity": 1, "price": "19.00", "days_in_month": 31}'),
	('[{"topup": 5, "amount": "5.00 USD", "forced": true}]'), ('{"2026-10-01": 1, "5 JPY": 2, "base": 3}'),
	('{"b": 1, "a": 2, "bb": 3, "a": 4}'), (E'" \\"\\\\\\/\\b\\f\\n\\r\\t\\u0001 "'), ('{"\"\\": "''"}');
INSERT INTO sample SELECT format('[%s, -%s]', n, n) FROM unnest('{0,1,127,128,16383,16384,9223372036854775807,9223372036854775808,0.0,
	1.50,30.0,0.000000000001,0.0000000000001,123456789012345678,1234567890123456789,12345678901234.5678,1e30,1.5e-20,1e400}'::text[]) AS n;
-- texts that look like a date
INSERT INTO sample SELECT to_json(t) FROM unnest('{2000-01-01,1999-12-31,2000-02-29,2026-02-29,2026-02-30,2026-13-01,2026-00-10,
	2026-01-00,2089-09-18,2089-09-19,2100-01-01,9999-12-31,2026-1-001,2026-01-1,02026-01-01,2026-01-011,2026/01/01,20260101--,
	----------,-026-01-01}'::text[]) AS t;
-- texts that look like an amount
INSERT INTO sample SELECT to_json(t) FROM unnest('{19.00 USD,-0.50 USD,0.00 USD,-0.00 USD,00.00 USD,.50 USD,5 JPY,05 JPY,-5 JPY,5.0 JPY,
	1.234 KWD,1.23 KWD,19.00 usd,19.00 XAU,19.00 XXX,+1.00 USD,19.00  USD,19.00USD," USD","- USD","1-9.00 USD",1..00 USD,
	90071992547409.91 USD,90071992547409.92 USD,-90071992547409.91 USD,99999999999999.99 USD}'::text[]) AS t;
-- texts of the list, and others that are nearly so
INSERT INTO sample SELECT to_json(t) FROM unnest('{to_date,days,from_date,what,topup,named,amount,events,forced,service,quantity,price,
	billed_events,days_in_month,billed_quantity,base,base fee,recurring service,usage,late usage,To,t,too,late  usage}'::text[]) AS t;
INSERT INTO sample SELECT to_json(repeat('x', n)) FROM unnest('{1,127,128,20000}'::integer[]) AS n;
INSERT INTO sample SELECT repeat('[', 500) || repeat(']', 500);

SELECT is(json::kb_lines::text, json::jsonb::text, 'C7: read and written as jsonb is: ' || left(json, 60)) FROM sample;
SELECT is(json::kb_lines::jsonb::text, json::jsonb::text, 'C7: to jsonb: ' || left(json, 60)) FROM sample;
SELECT ok(json::jsonb::kb_lines = json::kb_lines, 'C7: from jsonb: ' || left(json, 60)) FROM sample;

-- Random JSON of what lines are made of

SELECT setseed(0.31) \g /dev/null
CREATE TEMP TABLE random_lines AS
SELECT (SELECT jsonb_agg(jsonb_build_object(
		'to_date', date '1998-01-01' + (random() * 40000)::integer,
		'days', (random() * 300)::integer - 50,
		'what', left('recurring service', (random() * 17)::integer),
		'amount', kb_money(round((random() * 2000 - 1000)::numeric, 2), 'USD')::text,
		'quantity', round((random() * 10 ^ (random() * 25))::numeric, (random() * 15)::integer),
		'price', round((random() * 100)::numeric, 2) || ' each',
		'forced', random() < 0.5,
		'service', chr(32 + (random() * 90)::integer)))
	FROM generate_series(0, n % 4)) AS json
FROM generate_series(1, 3000) AS n;
SELECT is_empty('SELECT json FROM random_lines WHERE json::kb_lines::text IS DISTINCT FROM json::text
		OR json::kb_lines::jsonb::text IS DISTINCT FROM json::text OR json::kb_lines IS DISTINCT FROM json::text::kb_lines',
	'C7: lines are kept to the letter');
SELECT cmp_ok((SELECT sum(pg_column_size(json::kb_lines)) * 2 FROM random_lines), '<', (SELECT sum(pg_column_size(json)) FROM random_lines),
	'lines are less than half as long as their jsonb');

-- Lengths, counted by hand from the list in lines.c: header 1, array and object 2 and their ends 2; x 3, null 1; to 1, date 3;
-- days 1, 31 1; amount 1, money 5; forced 1, true 1; quantity 1, number 3

CREATE TEMP TABLE stored AS
SELECT '[{"to_date": "2026-10-31", "days": 31, "amount": "-19.00 USD", "quantity": 1.5, "x": null, "forced": true}]'::kb_lines AS lines;
SELECT is(pg_column_size(lines), 27, 'a value takes as many bytes as lines.c says') FROM stored;
SELECT is(encode(kb_lines_send('[]'), 'hex'), '01' || encode('[]', 'hex'), 'the binary form is a version and the text');

-- Equality

SELECT ok('[30]'::kb_lines <> '[30.0]' AND NOT '[30]'::kb_lines = '[30.0]', 'J5: 30.0 is written otherwise than 30');
SELECT ok('{"a": 1, "b": 2}'::kb_lines = '{"b": 2,"a":1}' AND NOT '{"a": 1, "b": 2}'::kb_lines <> '{"b": 2,"a":1}',
	'the order of keys says nothing');
SELECT is((SELECT count(*) FROM (SELECT json::kb_lines FROM sample UNION SELECT json::jsonb::kb_lines FROM sample) AS t),
	(SELECT count(DISTINCT json::jsonb::text) FROM sample), 'equal lines hash alike');

-- Rows: the same as jsonb has, whatever is in the lines

CREATE TEMP TABLE charged AS SELECT json::kb_lines AS lines FROM (VALUES
	('[{"to_date": "2026-10-31", "days": 31, "from_date": "2026-10-01", "what": "base fee", "amount": "19.00 USD", "service": "base",'
		' "quantity": 1, "price": "19.00", "days_in_month": 31}, {"to_date": "2026-10-31", "from_date": "1999-12-01", "what": "usage",'
		' "amount": "-5 JPY", "events": 70000000000, "service": "2026-10-01", "quantity": -1.50, "price": "5 JPY"},'
		' {"to_date": "1999-12-31", "days": 300, "what": "late usage", "amount": null, "events": -7, "billed_events": 128,'
		' "billed_quantity": 0.0000000000001, "x": {"days": [1, {"to_date": 2}]}, "2026-10-01": 1, "5 JPY": 2, "topup": true}, {}]'),
	('[]'), ('[{"quantity": "7", "days": "12", "service": 5, "price": true, "events": "9"}]')) AS t (json);
SELECT results_eq('SELECT l.* FROM charged, kb_line_rows(lines) AS l', $$SELECT l.* FROM charged,
	jsonb_to_recordset(lines) AS l (service text, what text, from_date date, to_date date, days integer, days_in_month integer,
		quantity numeric, events bigint, billed_quantity numeric, billed_events bigint, price text, amount kb_money)$$,
	'C7: lines as rows');
SELECT throws_ok(format('SELECT * FROM kb_line_rows(%L)', t), '22023', 'lines are not an array of objects', 'no rows: ' || t)
FROM unnest(ARRAY['{}', '7', '"x"', '[1]', '[{}, []]', '[null]']) AS t;
SELECT throws_ok($$SELECT * FROM kb_line_rows('[{"days": "x"}]')$$, '22P02', NULL, 'a value of another type is refused');

-- What is no JSON

SELECT throws_ok(format('SELECT %L::kb_lines', t), '22P02', NULL, 'C7: no JSON: ' || t)
FROM unnest(ARRAY['', '[', '{', 'nul', '[1', '''x''', '[1] 2']) AS t;

\setenv PGDATABASE :DBNAME
\setenv QUERY 'SELECT kbilling.kb_lines ''[{"days": 31.0}]'''
\set binary `psql -XAtqc "COPY ($QUERY) TO STDOUT (FORMAT binary)" | od -An -v -tx1 | tr -d ' \n'`
SELECT alike(:'binary'::text, '%01' || encode('[{"days": 31.0}]', 'hex') || '%', 'a binary COPY has the version and the text');

SELECT * FROM finish();
ROLLBACK;
