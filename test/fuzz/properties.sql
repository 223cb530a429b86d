-- What holds of any input: each function takes one, and an ASSERT that fails is a find, as is an error that the property does
-- not list.  Parts of an input are lines.
CREATE SCHEMA fuzz;
SET search_path = kbilling, kbilling_internal, pg_catalog, pg_temp;
CREATE FUNCTION fuzz.kb_fuzz(property regprocedure, expected text[], log text, arguments text[]) RETURNS void
	LANGUAGE c AS 'fuzz', 'kb_fuzz';
CREATE FUNCTION fuzz.receive(type regtype, input bytea) RETURNS text LANGUAGE c STRICT AS 'fuzz', 'kb_receive';
CREATE FUNCTION fuzz.send(type regtype, input text) RETURNS bytea LANGUAGE c STRICT AS 'fuzz', 'kb_send';
CREATE TABLE fuzz.property (name text PRIMARY KEY, expected text[] NOT NULL);

-- The n-th line; bytes that are no text raise 22021
CREATE FUNCTION fuzz.part(input bytea, n int) RETURNS text IMMUTABLE LANGUAGE sql
	RETURN split_part(convert_from(input, 'UTF8'), E'\n', n);

-- What is written is read as the same, as text and in the binary form (M2, P, C7)
CREATE FUNCTION fuzz.check_type(type regtype, written text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	bytes bytea = fuzz.send(type, written);
BEGIN
	ASSERT fuzz.receive(type, bytes) = written, 'what is sent is received as it was';
	ASSERT fuzz.send(type, fuzz.receive(type, bytes)) = bytes, 'and sent as it was received';
END $$;

INSERT INTO fuzz.property VALUES ('money', '{22021,22P02,22003,22023,KB002,KB008,22012}');
CREATE FUNCTION fuzz.money(input bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a kb_money = fuzz.part(input, 1);
	b kb_money;
BEGIN
	ASSERT a::text::kb_money = a, 'M2: what is written is read as the same';
	ASSERT kb_money(kb_amount(a), kb_currency(a)) = a, 'M1: an amount and a currency make it';
	ASSERT -(-a) = a AND a - a = a * 0 AND a * 1 = a AND (a < 0) = (-a > 0), 'M3: signs';
	PERFORM fuzz.check_type('kb_money', a::text);
	b = fuzz.part(input, 2);
	ASSERT (a < b) = (b > a) AND (a <= b) = NOT (a > b) AND (a = b) = (NOT a <> b), 'M3: an order';
	ASSERT (a + b) - b = a AND a + b = b + a AND (SELECT sum(x) FROM (VALUES (a), (b)) AS v (x)) = a + b, 'M3: sums';
	ASSERT kb_amount(a * (fuzz.part(input, 3)::numeric)) = round(kb_amount(a) * fuzz.part(input, 3)::numeric,
		length(split_part(split_part(a::text, ' ', 1), '.', 2))), 'M4: rounded half away from zero';
	ASSERT b = 0 OR round(a / b, 10) = round(kb_amount(a) / kb_amount(b), 10), 'M3: a ratio';
END $$;

INSERT INTO fuzz.property VALUES ('money_bytes', '{22P03,22003,08P01,22023}');
CREATE FUNCTION fuzz.money_bytes(input bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fuzz.check_type('kb_money', fuzz.receive('kb_money', input));
END $$;

INSERT INTO fuzz.property VALUES ('price', '{22021,22P02,22003,22023,KB008}');
CREATE FUNCTION fuzz.price(input bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	price kb_price = fuzz.part(input, 1);
	quantity numeric = coalesce(nullif(fuzz.part(input, 2), ''), '1');
	events bigint = coalesce(nullif(fuzz.part(input, 3), ''), '1');
	currency text = coalesce(nullif(fuzz.part(input, 4), ''), 'USD');
	amount kb_money;
BEGIN
	ASSERT price::text::kb_price = price AND price::text::kb_price::text = price::text, 'P: what is written is read as the same';
	PERFORM fuzz.check_type('kb_price', price::text);
	ASSERT kb_describe_price(price, 'USD', NULL, 'en') <> '', 'P: it can be said in words';
	amount = kb_rate(price, quantity, currency, events);
	ASSERT amount >= 0, 'P: no price is below zero';
	ASSERT kb_amount(amount) = (SELECT coalesce(sum(e.amount), 0) FROM kb_explain_price(price, quantity, currency, events) AS e),
		'P: the steps add up';
	ASSERT kb_rate(price, -quantity, currency, events) >= 0 AND kb_rate(price, 0, currency, events) >= 0, 'P: nor for less than nothing';
	ASSERT kb_rate_days(price, quantity, currency, 30, 30) = kb_rate(price, quantity, currency), 'C3: a whole month is a month';
	ASSERT kb_rate_days(price, quantity, currency, 10, 30) BETWEEN kb_money(0, currency) AND kb_rate(price, quantity, currency),
		'C3: a part costs no more';
END $$;

INSERT INTO fuzz.property VALUES ('price_bytes', '{22P03,22P02,22003,22021,08P01,KB008}');
CREATE FUNCTION fuzz.price_bytes(input bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fuzz.check_type('kb_price', fuzz.receive('kb_price', input));
END $$;

INSERT INTO fuzz.property VALUES ('lines', '{22021,22P02,22P05,22003,22023,54000,22007,22008,22009,KB008}');
CREATE FUNCTION fuzz.lines(input bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	json text = convert_from(input, 'UTF8');
	lines kb_lines = json;
BEGIN
	ASSERT lines::text::kb_lines = lines AND lines::text = json::jsonb::text AND lines::jsonb::kb_lines = lines,
		'C7: lines are what jsonb would be';
	PERFORM fuzz.check_type('kb_lines', lines::text);
	PERFORM kb_line_rows(lines);
END $$;

INSERT INTO fuzz.property VALUES ('lines_bytes', '{22P03,22021,22P02,22P05,22003,22023,54000,08P01,KB008}');
CREATE FUNCTION fuzz.lines_bytes(input bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fuzz.check_type('kb_lines', fuzz.receive('kb_lines', input));
END $$;

INSERT INTO fuzz.property VALUES ('explain', '{22021,22P02,22P05,22003,22023,54000,22007,22008,22009,KB008,KB002}');
CREATE FUNCTION fuzz.explain(input bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	line jsonb = convert_from(input, 'UTF8');
	total kb_money;
BEGIN
	SELECT sum(e.amount) INTO total FROM kb_explain_line(line, 'en') AS e;
	ASSERT abs(total) = abs((line->>'amount')::kb_money), 'C7: the steps add up';
END $$;

INSERT INTO fuzz.property VALUES ('card', '{22021}');
CREATE FUNCTION fuzz.card(input bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	value text = convert_from(input, 'UTF8');
	masked text = kb_mask_card_numbers(value);
	number text;
BEGIN
	ASSERT length(masked) = length(value) AND kb_mask_card_numbers(masked) = masked, 'T10: masked once, and nothing else is changed';
	ASSERT (masked <> value) = fuzz.is_refused(value), 'T4: what is masked is refused, and what is refused is masked';
	FOREACH number IN ARRAY '{4242424242424242,3782 822463 10005,5555-5555-5555-4444}'::text[] LOOP
		ASSERT fuzz.is_refused(fuzz.part(input, 1) || '[' || number || ']' || substr(value, strpos(value, E'\n') + 1)),
			'T4: a card number is refused, whatever stands around it';
	END LOOP;
END $$;
CREATE FUNCTION fuzz.is_refused(value text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM value::kb_text;
	RETURN false;
EXCEPTION WHEN SQLSTATE 'KB008' THEN
	ASSERT strpos(SQLERRM, '4242') = 0, 'T4: the number is not repeated';
	RETURN true;
END $$;

INSERT INTO fuzz.property VALUES ('json_bytes', '{22021,22P02,22P03,22P05,22003,54000,54001,08P01,KB008,XX000}');
CREATE FUNCTION fuzz.json_bytes(input bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	ASSERT NOT fuzz.is_refused(fuzz.receive('kb_json', input)::jsonb #>> '{}') OR jsonb_typeof(fuzz.receive('kb_json', input)::jsonb)
		NOT IN ('string', 'number'), 'T4: what a domain receives is looked at';
END $$;

INSERT INTO fuzz.property VALUES ('message', '{22021,22P02,22P05,22003,22023,54000,KB008}');
CREATE FUNCTION fuzz.message(input bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	language text = fuzz.part(input, 1);
	facts jsonb = coalesce(nullif(fuzz.part(input, 2), ''), '{}');
	pattern text = regexp_replace(convert_from(input, 'UTF8'), '^[^\n]*\n[^\n]*\n?', '');
	message text = kb_format_message(pattern, language, facts);
BEGIN
	ASSERT convert_from(convert_to(message, 'UTF8'), 'UTF8') = message, 'N4: a message is a text';
	ASSERT kb_format_message(pattern, language, facts) = message, 'N4: always the same one';
END $$;

INSERT INTO fuzz.property VALUES ('reference', '{22021,22023,KB008}');
CREATE FUNCTION fuzz.reference(input bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	reference text = kb_reference(fuzz.part(input, 1), fuzz.part(input, 2));
BEGIN
	ASSERT kb_reference_id(reference) = fuzz.part(input, 2), 'T10: the id is read back';
	ASSERT NOT fuzz.is_refused(reference) AND NOT fuzz.is_refused('4242 4242 ' || reference || ' 4242 4242'),
		'T10: it is no card number';
	ASSERT coalesce(kb_reference(split_part(fuzz.part(input, 3), ':', 1), kb_reference_id(fuzz.part(input, 3)))
		= fuzz.part(input, 3), true), 'T10: what is read was written so';
END $$;

INSERT INTO fuzz.property VALUES ('calendar', '{22021,22007,22008,22023,KB008,22009}');
CREATE FUNCTION fuzz.calendar(input bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	zone text = kb_time_zone(fuzz.part(input, 1));
	day date = fuzz.part(input, 2);
	begins timestamptz = kb_day_begins(day, zone);
BEGIN
	ASSERT kb_local_date(begins, zone) >= day AND kb_local_date(begins - interval '1 microsecond', zone) < day,
		'C1: a day begins when its date does';
	ASSERT day BETWEEN kb_month_first_day(day) AND kb_month_last_day(day)
		AND kb_month_first_day(kb_month_last_day(day) + 1) = kb_month_last_day(day) + 1, 'C1: months follow each other';
END $$;

INSERT INTO fuzz.property VALUES ('lots', '{22021,2202E,22P02,22003,22007,22008,22023,KB002,KB008}');
CREATE FUNCTION fuzz.lots(input bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	-- as they are kept: of one currency, in the order of priority and day, none at zero, and no more than the total (G2)
	lots kb_lot[] = (SELECT array_agg(ROW(p, '2026-01-01'::date + d, kb_money(a, 'USD'))::kb_lot ORDER BY p, d)
		FROM (SELECT 1 + get_byte(input, 3 * i) % 100 AS p, get_byte(input, 3 * i + 1) AS d, 1 + sum(get_byte(input, 3 * i + 2)) AS a
			FROM generate_series(0, length(input) / 3 - 2) AS i GROUP BY p, d) AS l);
	held kb_money = (SELECT sum(l.amount) FROM unnest(lots) AS l);
	total kb_money = held + kb_money(get_byte(input, length(input) - 1), 'USD');
	after kb_money = total * (get_byte(input, length(input) - 2) / 255.0);
	rest kb_lot[];
BEGIN
	IF lots IS NULL THEN
		RETURN;
	END IF;
	rest = kb_lots_after(lots, total, after);
	ASSERT coalesce((SELECT sum(l.amount) FROM unnest(rest) AS l), kb_money(0, 'USD')) <= after, 'G2: no more is left than the total';
	ASSERT NOT EXISTS (SELECT FROM unnest(rest) AS r WHERE NOT EXISTS (SELECT FROM unnest(lots) AS l
		WHERE (l.priority, l.expires_on) = (r.priority, r.expires_on) AND l.amount >= r.amount)), 'G2: no lot grows';
	ASSERT NOT EXISTS (SELECT FROM unnest(rest) AS r WHERE r.amount <= 0), 'G2: none is left at zero';
	ASSERT kb_lots_after(lots, total, total) = lots, 'G2: what is not touched stays';
END $$;
