-- A price, and how a line of a charge makes up its amount, in words (P, C7, C3, U3)
BEGIN;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/error.sql

-- What a price says

SELECT is(kb_describe_price(price::kb_price, 'USD', unit), expected, format('P: %s, %s', price, coalesce(unit, 'no unit'))) FROM (VALUES
	('19', 'month', '19.00 USD a month'),
	('0.05 each', 'message', '0.05 USD per message'),
	('0.0005 each', NULL, '0.0005 USD for each unit'),
	('5 per 100', 'message', '5.00 USD for each package of 100 (message), even if it is only begun'),
	('5.00 per full 1000', NULL, '5.00 USD for each full package of 1,000'),
	('2.5% + 0.30', NULL, '2.5% of the amount; 0.30 USD for each event'),
	('graduated 0.10 to 100, 0.08 to 1000, 0.05', 'call',
		'0.10 USD per call, for the first 100; 0.08 USD per call, for those beyond 100, up to 1,000; '
		'0.05 USD per call, for those beyond 1,000'),
	('volume 0.10 to 100, 0.08 to 1000, 0.05', 'call',
		'0.10 USD per call, if the total is at most 100; 0.08 USD per call, if the total is above 100 and at most 1,000; '
		'0.05 USD per call, if the total is above 1,000'),
	('graduated 0.10 + 2.00 to 100, 0.08', NULL,
		'0.10 USD for each unit, and 2.00 USD once, for the first 100; 0.08 USD for each unit, for those beyond 100'),
	('graduated 1% to 10000, 0.5% fee 0.30', NULL,
		'1% of the amount, for the first 10,000; 0.5% of the amount, for those beyond 10,000; 0.30 USD for each event'),
	('0.05 each free 50 min 5 max 100', 'order',
		'0.05 USD per order; the first 50 are free; at least 5.00 USD a month; at most 100.00 USD a month'),
	('0.05 each free 1', NULL, '0.05 USD for each unit; the first one is free')
) AS t (price, unit, expected);
SELECT is(kb_describe_price('5 each free 2', 'JPY'), '5 JPY for each unit; the first 2 are free', 'P: with the decimals of the currency');
SELECT is(kb_describe_price('0.05 each', 'KWD'), '0.050 KWD for each unit', 'P: of another currency');
SELECT is(kb_describe_price(price::kb_price, 'UAH', unit, 'uk'), expected, format('P: %s in Ukrainian', price)) FROM (VALUES
	('800', 'місяць', '800.00 UAH на місяць'),
	('0.05 each', 'повідомлення', '0.05 UAH за одиницю (повідомлення)'),
	('5 per 1000', NULL, '5.00 UAH за кожен пакет по 1000, навіть розпочатий'),
	('5 per full 100', NULL, '5.00 UAH за кожен повний пакет по 100'),
	('2.5% + 0.30', NULL, '2,5% від суми; 0.30 UAH за кожну подію'),
	('graduated 1 to 100, 0.8 to 1000, 0.5', NULL,
		'1.00 UAH за одиницю, за перші 100; 0.80 UAH за одиницю, за наступні, від 100 до 1000; 0.50 UAH за одиницю, за решту, понад 1000'),
	('volume 1 + 3 to 100, 0.8', NULL,
		'1.00 UAH за одиницю, і 3.00 UAH одноразово, якщо всього не більше 100; 0.80 UAH за одиницю, якщо всього понад 100'),
	('1 each free 1', NULL, '1.00 UAH за одиницю; перша 1 одиниця безкоштовна'),
	('1 each free 2', NULL, '1.00 UAH за одиницю; перші 2 одиниці безкоштовні'),
	('1 each free 5 min 3 max 9', NULL,
		'1.00 UAH за одиницю; перші 5 одиниць безкоштовні; щонайменше 3.00 UAH на місяць; щонайбільше 9.00 UAH на місяць')
) AS t (price, unit, expected);
SELECT is(kb_describe_price('19', 'USD', NULL, language), expected, format('P: languages: %s', language)) FROM (VALUES
	('uk-UA', '19.00 USD на місяць'), ('UK', '19.00 USD на місяць'), ('en-GB', '19.00 USD a month'), ('de', '19.00 USD a month'),
	('', '19.00 USD a month'), (NULL, '19.00 USD a month')) AS t (language, expected);

-- How a line makes up its amount, worked out by hand

CREATE FUNCTION pg_temp.line(line jsonb) RETURNS jsonb LANGUAGE sql RETURN '{"line_no": 1, "service": "s", "name": "S", "unit": null,
	"what": "usage", "from_date": "2026-11-01", "to_date": "2026-11-30", "days": null, "days_in_month": null, "quantity": 1, "events": 1,
	"billed_quantity": null, "billed_events": null}' || line || CASE WHEN line ? 'events' OR line ->> 'what' = 'base fee'
	OR line ->> 'what' = 'recurring service' THEN CASE WHEN line ? 'events' THEN '{}' ELSE '{"events": null}'::jsonb END ELSE '{}' END
	|| jsonb_build_object('amount', jsonb_build_object('amount', split_part(line ->> 'amount', ' ', 1),
		'currency', split_part(line ->> 'amount', ' ', 2)));
CREATE FUNCTION pg_temp.steps(line jsonb, language text = NULL) RETURNS text LANGUAGE sql RETURN (
	SELECT string_agg(concat(text, ' = ' || kb_amount(amount)), ' | ' ORDER BY step_no) FROM kb_explain_line(pg_temp.line(line), language)
	WHERE step_no > 1);
SELECT is(pg_temp.steps(line::jsonb), expected, format('C7: %s', line)) FROM (VALUES
	('{"what": "base fee", "price": "19.00", "days": 30, "days_in_month": 30, "amount": "19.00 USD"}',
		'Price of the month: 19.00 USD = 19.00'),
	('{"what": "base fee", "price": "19.00", "days": 15, "days_in_month": 30, "amount": "9.50 USD"}',
		'Price of the month: 19.00 USD = 19.00 | Charged for 15 of 30 days = -9.50'),
	-- 19.00 x 10 / 31 = 6.129
	('{"what": "base fee", "price": "19.00", "days": 10, "days_in_month": 31, "amount": "6.13 USD"}',
		'Price of the month: 19.00 USD = 19.00 | Charged for 10 of 31 days = -12.87'),
	-- the same, rounded together with another line
	('{"what": "base fee", "price": "19.00", "days": 10, "days_in_month": 31, "amount": "6.12 USD"}',
		'Price of the month: 19.00 USD = 19.00 | Charged for 10 of 31 days = -12.87 '
		'| Rounding, together with the other lines of the month = -0.01'),
	('{"what": "base fee", "price": "19.00", "days": 15, "days_in_month": 30, "amount": "19.00 USD"}',
		'Price of the month: 19.00 USD = 19.00 | Charged in full, though it was on for 15 of 30 days'),
	('{"what": "recurring service", "price": "5.00 each", "quantity": 3, "days": 10, "days_in_month": 30, "amount": "5.00 USD"}',
		'3 units at 5.00 USD = 15.00 | Charged for 10 of 30 days = -10.00'),
	('{"what": "recurring service", "price": "5.00 each free 1", "quantity": 1, "days": 30, "days_in_month": 30, "amount": "0.00 USD"}',
		'1 unit is free = 0.00'),
	('{"price": "graduated 0.10 to 100, 0.08 free 50", "quantity": 250, "amount": "17.00 USD"}',
		'50 units are free = 0.00 | The first 100: 50 units at 0.10 USD = 5.00 | Beyond 100: 150 units at 0.08 USD = 12.00'),
	('{"price": "graduated 1 to 1, 2 + 0.5 to 2000, 3", "quantity": 2001.5, "amount": "4004.00 USD"}',
		'The first 1: 1 unit at 1.00 USD = 1.00 | Beyond 1, up to 2,000: 1,999 units at 2.00 USD, and 0.50 USD once = 3998.50 '
		'| Beyond 2,000: 1.5 units at 3.00 USD = 4.50'),
	('{"price": "volume 0.10 to 100, 0.08", "quantity": 250, "amount": "20.00 USD"}',
		'The total is above 100: 250 units at 0.08 USD = 20.00'),
	('{"price": "5 per 100", "quantity": 250, "amount": "15.00 USD"}', '3 packages of 100 at 5.00 USD = 15.00'),
	('{"price": "5 per full 100", "quantity": 150, "amount": "5.00 USD"}', '1 full package of 100 at 5.00 USD = 5.00'),
	('{"price": "2.5% + 0.30", "quantity": 1200, "events": 3, "amount": "30.90 USD"}',
		'2.5% of 1,200 = 30.00 | 3 events at 0.30 USD = 0.90'),
	-- 0.023 x 8 = 0.184, and 2 more 0.046 make 0.23
	('{"price": "graduated 0.023 to 8, 0.023", "quantity": 10, "amount": "0.23 USD"}',
		'The first 8: 8 units at 0.023 USD = 0.18 | Beyond 8: 2 units at 0.023 USD = 0.05'),
	('{"price": "0.05 each min 5.00", "quantity": 20, "days": 15, "days_in_month": 30, "amount": "2.50 USD"}',
		'20 units at 0.05 USD = 1.00 | Raised to the minimum of 5.00 USD a month, for 15 of 30 days = 1.50'),
	('{"price": "0.05 each min 5.00", "quantity": 0, "events": 0, "days": 30, "days_in_month": 30, "amount": "5.00 USD"}',
		'Raised to the minimum of 5.00 USD a month = 5.00'),
	-- without proration the last price owes the minimum in full, and the others none
	('{"price": "0.05 each min 5.00", "quantity": 20, "days": 15, "days_in_month": 30, "amount": "5.00 USD"}',
		'20 units at 0.05 USD = 1.00 | Raised to the minimum of 5.00 USD a month = 4.00'),
	('{"price": "0.05 each min 5.00", "quantity": 20, "days": 15, "days_in_month": 30, "amount": "1.00 USD"}',
		'20 units at 0.05 USD = 1.00'),
	('{"price": "1 each max 10.00", "quantity": 25, "days": 30, "days_in_month": 30, "amount": "10.00 USD"}',
		'25 units at 1.00 USD = 25.00 | Lowered to the maximum of 10.00 USD a month = -15.00'),
	('{"price": "0.10 each", "quantity": -5, "events": 0, "amount": "0.00 USD"}', 'Nothing to charge = 0.00'),
	-- U3
	('{"what": "late usage", "price": "graduated 0.10 to 110, 0.05", "quantity": 20, "events": 1, "billed_quantity": 100, '
		'"billed_events": 2, "from_date": "2026-10-01", "amount": "1.50 USD"}',
		'All that was used in October 2026 is priced together | The first 110: 110 units at 0.10 USD = 11.00 '
		'| Beyond 110: 10 units at 0.05 USD = 0.50 | Billed before: 100 units = -10.00'),
	('{"what": "late usage", "price": "0.10 each", "quantity": -20, "events": -1, "billed_quantity": 100, "billed_events": 2, '
		'"from_date": "2026-10-01", "amount": "-2.00 USD"}',
		'All that was used in October 2026 is priced together | 80 units at 0.10 USD = 8.00 | Billed before: 100 units = -10.00'),
	-- a reversal has opposite amounts
	('{"what": "base fee", "price": "19.00", "days": 15, "days_in_month": 30, "amount": "-9.50 USD"}',
		'What was charged is taken back | Price of the month: 19.00 USD = -19.00 | Charged for 15 of 30 days = 9.50')
) AS t (line, expected);
SELECT is(pg_temp.steps(line::jsonb, 'uk'), expected, format('C7: in Ukrainian: %s', line)) FROM (VALUES
	('{"what": "base fee", "price": "19.00", "days": 1, "days_in_month": 30, "amount": "0.63 USD"}',
		'Ціна за місяць: 19.00 USD = 19.00 | Нараховано за 1 день із 30 = -18.37'),
	('{"what": "base fee", "price": "30.00", "days": 3, "days_in_month": 30, "amount": "3.00 USD"}',
		'Ціна за місяць: 30.00 USD = 30.00 | Нараховано за 3 дні із 30 = -27.00'),
	('{"what": "base fee", "price": "30.00", "days": 15, "days_in_month": 30, "amount": "30.00 USD"}',
		'Ціна за місяць: 30.00 USD = 30.00 | Нараховано повністю, хоча діяло 15 днів із 30'),
	('{"price": "1 each free 50", "quantity": 51, "amount": "1.00 USD"}', 'Безкоштовно: 50 одиниць = 0.00 | 1 одиниця по 1.00 USD = 1.00'),
	('{"price": "1 each", "quantity": 22, "amount": "22.00 USD"}', '22 одиниці по 1.00 USD = 22.00'),
	('{"price": "1 each", "quantity": 11, "amount": "11.00 USD"}', '11 одиниць по 1.00 USD = 11.00'),
	('{"price": "1 each", "quantity": 1.5, "amount": "1.50 USD"}', '1,5 одиниці по 1.00 USD = 1.50'),
	('{"price": "1 each", "quantity": 0.0000001, "amount": "0.00 USD"}', '0,0000001 одиниці по 1.00 USD = 0.00'),
	('{"price": "5 per 100", "quantity": 150, "amount": "10.00 USD"}', '2 пакети по 100, кожен за 5.00 USD = 10.00'),
	('{"price": "2% + 0.30", "quantity": 100, "events": 21, "amount": "8.30 USD"}', '2% від 100 = 2.00 | 21 подія по 0.30 USD = 6.30'),
	('{"what": "late usage", "price": "1 each", "quantity": 2, "billed_quantity": 1, "billed_events": 1, "from_date": "2026-10-01", '
		'"amount": "2.00 USD"}',
		'Усе використане за жовтень 2026 р. рахується разом | 3 одиниці по 1.00 USD = 3.00 | Нараховано раніше: 1 одиниця = -1.00')
) AS t (line, expected);
SELECT results_eq($$SELECT * FROM kb_explain_line(pg_temp.line('{"what": "recurring service", "unit": "seat", "price": "5.00 each",
		"quantity": 3, "days": 30, "days_in_month": 30, "amount": "15.00 USD"}'))$$,
	$$VALUES (1, '5.00 USD per seat', NULL::kb_money), (2, '3 units at 5.00 USD', '15.00 USD')$$, 'P: the first step says the price');

-- What is no line

SELECT is(pg_temp.error_with_detail(format('SELECT kb_explain_line(%L)', line)),
	coalesce('22023 not a line of a charge: its "' || lacks || '" is missing, or not what a line has', '22004 line must not be null'),
	format('C7: %s is refused', line)) FROM (VALUES
	(NULL, NULL),
	('[]', 'what'),
	('{}', 'what'),
	('{"topup": 5, "amount": {"amount": "5.00", "currency": "USD"}}', 'what'),
	('{"what": "usage", "price": 5}', 'price'),
	('{"what": "usage", "price": "5"}', 'amount'),
	('{"what": "usage", "price": "5", "amount": {"amount": "5.00"}}', 'currency'),
	('{"what": "usage", "price": "5", "amount": "5.00 USD"}', 'quantity'),
	('{"what": "usage", "price": "5", "amount": "5.00 USD", "quantity": "1"}', 'quantity'),
	('{"what": "base fee", "price": "5", "amount": "5.00 USD", "quantity": 1}',
		'days_in_month'),
	('{"what": "base fee", "price": "5", "amount": "5.00 USD", "quantity": 1, "days": 31, "days_in_month": 30}',
		'days'),
	('{"what": "usage", "price": "5", "amount": "5.00 USD", "quantity": 1, "events": 1}',
		'from_date')
) AS t (line, lacks);

-- Whatever kb_bill makes of random parts: the steps add up, and nothing is left to rounding but a unit of it

SELECT setseed(0.42) \g /dev/null
CREATE FUNCTION pg_temp.one(VARIADIC items text[]) RETURNS text LANGUAGE sql VOLATILE AS
	$$SELECT items[1 + floor(random() * cardinality(items))::integer]$$;
CREATE TABLE part AS
SELECT bill, m.first_day, m.last_day, m.days_in_month, c.currency, format('s%s', s) AS service, k.kind, n.stretch, h.cut
FROM generate_series(1, 1500) AS bill
CROSS JOIN LATERAL (SELECT d::date AS first_day, (d + interval '1 month' - interval '1 day')::date AS last_day,
	extract(day FROM d + interval '1 month' - interval '1 day')::integer AS days_in_month
	FROM (SELECT timestamp '2026-01-01' + bill % 12 * interval '1 month' AS d) AS x) AS m
CROSS JOIN LATERAL (SELECT pg_temp.one('USD', 'USD', 'JPY', 'KWD') AS currency, bill AS b OFFSET 0) AS c
CROSS JOIN generate_series(1, 2) AS s
CROSS JOIN LATERAL (SELECT pg_temp.one('days', 'usage', 'late') AS kind, bill + s AS b OFFSET 0) AS k
CROSS JOIN LATERAL (SELECT (1 + floor(random() * (m.days_in_month - 1)))::integer AS cut, bill + s AS b OFFSET 0) AS h
CROSS JOIN generate_series(1, 1 + (bill % 3 > 0)::integer) AS n (stretch);
CREATE TABLE billed AS
SELECT bill, kb_bill(service, from_date, to_date, days, quantity, events, billed_quantity, billed_events, stretch, price::kb_price,
	prorate, currency, first_day, last_day) AS result
FROM (
	SELECT p.bill, p.service, p.stretch, p.currency, p.first_day, p.last_day,
		d.first_day + CASE p.stretch WHEN 1 THEN 0 ELSE least(p.cut, d.days - 1) END AS from_date,
		d.first_day + CASE WHEN p.stretch = 1 AND p.bill % 3 > 0 THEN least(p.cut, d.days - 1) ELSE d.days END AS to_date,
		CASE WHEN p.kind <> 'days' THEN floor(random() * (d.days + 1))::integer END AS days,
		CASE WHEN random() < 0.1 THEN 0 ELSE round((random() ^ 3 * 2000)::numeric, pg_temp.one('0', '0', '2', '5')::integer) END
			* CASE WHEN p.kind <> 'days' AND random() < 0.2 THEN -1 ELSE 1 END AS quantity,
		CASE WHEN p.kind <> 'days' THEN floor(random() * 50)::bigint - 5 END AS events,
		CASE p.kind WHEN 'late' THEN round((random() * 1500)::numeric, 2) WHEN 'usage' THEN 0 END AS billed_quantity,
		CASE p.kind WHEN 'late' THEN floor(random() * 50)::bigint WHEN 'usage' THEN 0 END AS billed_events,
		CASE WHEN p.kind = 'days' THEN pg_temp.one('19.00', '7', '0.05 each', '3.333 each free 2', '5 per 3', '2 per full 7 max 50',
				'graduated 1 to 2, 0.5 + 3 to 100, 0.07', 'volume 2 + 1 to 5, 1.25', '1 each min 5',
				'0.0123 each min 1 max 4', '2.5% + 0.30')
			ELSE pg_temp.one('0.023 each', '0.05 each free 50', '5.00 per 100', '5 per full 100 free 30', '1 each min 55.5 max 200',
				'graduated 0.10 to 100, 0.08 to 1000, 0.05 free 20 min 7', 'volume 0.10 + 4 to 100, 0.08 + 1 to 1000, 0.05 max 90',
				'graduated 1.00 per 1000 to 5000, 0.50 per full 1000', '2.5% + 0.30 free 10', 'graduated 1% to 100, 0.5% fee 0.31 max 12',
				'3', '0.000123 each') END AS price,
		random() < 0.7 AS prorate
	FROM part AS p
	CROSS JOIN LATERAL (SELECT CASE p.kind WHEN 'late' THEN (p.first_day - interval '1 month')::date ELSE p.first_day END AS first_day,
		CASE p.kind WHEN 'late' THEN p.first_day - (p.first_day - interval '1 month')::date ELSE p.days_in_month END AS days) AS d) AS x
GROUP BY bill;
CREATE TABLE line AS
SELECT b.bill, l.line_no, l.line || jsonb_build_object('amount', CASE sign WHEN 1 THEN amount ELSE - amount END) AS line,
	CASE sign WHEN 1 THEN amount ELSE - amount END AS amount, sign,
	count(*) OVER (PARTITION BY b.bill, sign, l.line ->> 'service') = 1 AS is_alone
FROM billed AS b, jsonb_array_elements((b.result).lines::jsonb) WITH ORDINALITY AS l (line, line_no),
	CAST(l.line ->> 'amount' AS kb_money) AS amount, unnest('{1,-1}'::integer[]) AS sign;
SELECT cmp_ok((SELECT count(*) FROM line WHERE line ->> 'what' = what), '>', 500::bigint, 'there are many lines to explain: ' || what)
FROM unnest('{recurring service,usage,late usage}'::text[]) AS what;
CREATE TABLE explained AS
SELECT l.*, s.step_no, s.text, s.amount AS step FROM line AS l, kb_explain_line(l.line) AS s;
SELECT is_empty($$SELECT bill, line_no, line, array_agg(text || ' ' || step ORDER BY step_no) FROM explained
	GROUP BY bill, line_no, sign, line, amount
	HAVING sum(step) IS DISTINCT FROM amount$$, 'C7, M4: the steps of a line add up to its amount');
SELECT is_empty($$SELECT line, text, step FROM explained WHERE text LIKE 'Rounding%' AND abs(kb_minor(step)) > 1$$,
	'M4: what is left to rounding is at most one minor unit');
SELECT is_empty($$SELECT line, text, step FROM explained WHERE text LIKE 'Rounding%' AND is_alone AND line ->> 'what' <> 'late usage'$$,
	'M4: and nothing for a line that is not rounded with others');
SELECT is_empty($$SELECT line FROM explained WHERE sign = 1 AND text = 'What was charged is taken back'$$,
	'no charge is taken for a reversal');
SELECT is_empty($$SELECT line FROM line AS l WHERE sign = -1 AND amount <> 0 AND NOT EXISTS (SELECT FROM explained AS e
	WHERE (e.bill, e.line_no, e.sign) = (l.bill, l.line_no, -1) AND e.text = 'What was charged is taken back')
	AND EXISTS (SELECT FROM explained AS e WHERE (e.bill, e.line_no, e.sign) = (l.bill, l.line_no, -1) AND e.text LIKE 'Rounding%'
		AND abs(kb_minor(e.step)) > 1)$$, 'and a reversal is one');

-- The lines of a page, as they are there

SELECT kb_create_tariff('std', 'USD'), kb_set_price('std', 'base', '31.00'), kb_create_service('orders', 'metered', 'order'),
	kb_set_price('std', 'orders', 'graduated 0.50 to 2, 0.30'), kb_create_account('own', 'std', 1, created_at => '2026-10-12 10:00+00')
\g /dev/null
SET LOCAL kbilling.clock = '2026-10-20 10:00+00';
SELECT kb_record_usage(1, 'orders', 4, 'a') \g /dev/null
SET LOCAL kbilling.clock = '2026-11-01 10:00+00';
SELECT kb_month_charge(1) \g /dev/null
SELECT kb_reverse(1, 1, 'oops', 'a mistake') \g /dev/null
SELECT results_eq($$SELECT l ->> 'name', s.text, s.amount FROM kb_history(1, 'own', 2) AS h, jsonb_array_elements(h.entry -> 'lines') AS l,
		kb_explain_line(l) AS s ORDER BY l ->> 'line_no', s.step_no$$, $$VALUES
	('Base fee', '31.00 USD a month', NULL::kb_money), ('Base fee', 'Price of the month: 31.00 USD', '31.00 USD'),
	('Base fee', 'Charged for 20 of 31 days', '-11.00 USD'),
	('orders', '0.50 USD per order, for the first 2; 0.30 USD per order, for those beyond 2', NULL),
	('orders', 'The first 2: 2 units at 0.50 USD', '1.00 USD'), ('orders', 'Beyond 2: 2 units at 0.30 USD', '0.60 USD')$$,
	'C7: a line of an entry is explained as it is');
SELECT is((SELECT sum(s.amount) FROM kb_history(1, 'own') AS h, jsonb_array_elements(h.entry -> 'lines') AS l, kb_explain_line(l) AS s),
	'0.00 USD', 'J1: so is that of its reversal');
SELECT is((SELECT sum(s.amount) FROM charge_line AS l, kb_explain_line(to_jsonb(l)) AS s), '21.60 USD', 'C7: so is a row of charge_line');
SELECT is((SELECT sum(s.amount) FROM kb_current_usage(1) AS l, kb_explain_line(to_jsonb(l)) AS s),
	(SELECT sum(amount) FROM kb_current_usage(1)), 'C6: and a line of the running month');

SELECT * FROM finish();
ROLLBACK;
