-- Plain events (rules U): the quick ways, for a few and by the thousand, and the statement do the same
SET search_path = kbilling, public;
SELECT no_plan();
SET kbilling.clock = '2026-09-01 10:00+00';
SELECT kb_create_tariff('std', 'USD'), kb_create_tariff('big', 'USD'), kb_create_tariff('yen', 'JPY'),
	kb_create_service('orders', 'metered'), kb_create_service('calls', 'metered', aggregation => 'count'),
	kb_create_service('peak', 'metered', aggregation => 'max'), kb_create_service('late', 'metered'),
	kb_create_service('seat', 'recurring')
\g /dev/null
SELECT kb_set_price(t, 'orders', p::kb_price), kb_set_price(t, 'calls', '0.01 each'), kb_set_price(t, 'peak', '1.00 each'),
	kb_set_price(t, 'orders', '0.07 each', '2026-11-06')
FROM (VALUES ('std', '0.05 each'), ('big', '0.03 each free 10')) AS v (t, p)
\g /dev/null
SELECT kb_set_price('yen', 'orders', '1000000000 each'), kb_set_price('std', 'late', '0.10 each', '2026-11-10')
\g /dev/null
SELECT kb_create_account('own', CASE WHEN n = 10 THEN 'yen' WHEN n % 3 = 0 THEN 'big' ELSE 'std' END, n,
	CASE n % 4 WHEN 0 THEN 'Europe/Kyiv' WHEN 1 THEN 'Pacific/Auckland' WHEN 2 THEN 'America/Los_Angeles' ELSE 'UTC' END)
FROM generate_series(1, 10) AS n
\g /dev/null
SET kbilling.clock = '2026-11-04 10:00+00';
SELECT kb_create_account('own', 'std', 11), kb_set_tariff(4, 'big', '2026-11-04')
\g /dev/null
SET kbilling.clock = '2026-11-15 12:00+00';
SELECT kb_record_usage(1, 'orders', 1, 'known')
\g /dev/null

-- While the table has a trigger, the statement does it, as the quick way fires none.
CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;

-- Everything that has been recorded, but for what differs from run to run
CREATE FUNCTION public.recorded() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT jsonb_pretty(jsonb_build_array(
		(SELECT jsonb_agg(to_jsonb(e) - 'recorded_at' || jsonb_build_object('key', regexp_replace(e.key, '^kb:.*', 'kb:'))
			ORDER BY e.recorded_at, e.account_id, e.service, e.quantity, e.key) FROM kbilling.usage_event e),
		(SELECT jsonb_agg(to_jsonb(t) ORDER BY t.account_id, t.period, t.service, t.price_id, t.slot) FROM kbilling.usage_total t),
		(SELECT jsonb_agg(to_jsonb(v) - 'change' ORDER BY v.account_id, v.period, v.service, v.price_id, v.value)
			FROM kbilling.usage_value v)))
$$;
CREATE FUNCTION public.look_ups() RETURNS bigint LANGUAGE sql VOLATILE AS $$
	SELECT coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables WHERE relid = 'kbilling.usage_event'::regclass
$$;
-- Runs a statement, one way or the other, and tells its error or what is recorded then; the second is whether it was the quick way
CREATE FUNCTION public.run(statement text, by_statement boolean, keep boolean, OUT outcome text, OUT was_quick boolean)
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
	result text;
	before bigint;
BEGIN
	IF by_statement THEN
		CREATE TRIGGER nothing AFTER INSERT ON kbilling.usage_event FOR EACH STATEMENT EXECUTE FUNCTION public.nothing();
	END IF;
	before = public.look_ups();
	BEGIN
		IF statement LIKE 'SELECT%' THEN
			EXECUTE statement INTO result;
		ELSE
			EXECUTE statement;
		END IF;
		was_quick = public.look_ups() - before <= 3;
		outcome = concat_ws(E'\n', result, public.recorded());
		IF NOT keep THEN
			RAISE SQLSTATE 'UNDO0';
		END IF;
	EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
		outcome = concat_ws(' | ', SQLSTATE, SQLERRM, detail, hint);
		was_quick = false;
	END;
	IF by_statement THEN
		DROP TRIGGER nothing ON kbilling.usage_event;
	END IF;
END $$;

-- So many events; with a kind of trouble in each tenth one, or in one of them, or in none
CREATE FUNCTION public.batch(seed integer, n integer, trouble text, how_many text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	events jsonb = '[]';
	event jsonb;
BEGIN
	PERFORM setseed(seed / 1000.0);
	FOR i IN 1 .. n LOOP
		event = jsonb_build_object('account_id', 1 + floor(random() * 9), 'service', (ARRAY['orders', 'calls'])[1 + i % 2],
			'quantity', round((random() * 1000)::numeric, (random() * 3)::integer), 'key', format('%s.%s', seed, i),
			'at', to_char('2026-11-15 11:00'::timestamp - random() * interval '10 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
		IF random() < 0.1 THEN
			event = event || jsonb_build_object('properties', jsonb_build_object('n', i));
		END IF;
		IF how_many = 'some' AND i % 10 = 0 OR how_many = 'one' AND i = (n + 1) / 2 THEN
			event = event || CASE trouble
				WHEN 'known key' THEN '{"account_id": 1, "service": "orders", "key": "known"}'
				WHEN 'key twice' THEN coalesce((events -> -1) - 'at', '{}')
				WHEN 'taken back' THEN '{"quantity": -3}'
				WHEN 'other aggregation' THEN '{"service": "peak"}'
				WHEN 'old tariff' THEN '{"account_id": 4, "at": "2026-11-02T10:00:00Z"}'
				WHEN 'earlier month' THEN '{"account_id": 1, "at": "2026-10-05T10:00:00Z"}'
				WHEN 'no account' THEN '{"account_id": 404}'
				WHEN 'no service' THEN '{"service": "none"}'
				WHEN 'recurring' THEN '{"service": "seat"}'
				WHEN 'no price yet' THEN '{"service": "late", "account_id": 1, "at": "2026-11-09T00:00:00Z"}'
				WHEN 'ahead' THEN '{"at": "2026-11-15T13:00:01Z"}'
				WHEN 'not begun' THEN '{"account_id": 11, "at": "2026-11-03T10:00:00Z"}'
				WHEN 'too large' THEN '{"quantity": 1e18}'
				WHEN 'too exact' THEN '{"quantity": 1e-19}'
				WHEN 'too dear' THEN '{"account_id": 10, "service": "orders", "quantity": 90000000}'
				WHEN 'deleted' THEN '{"account_id": 9, "service": "orders"}' ELSE '{}' END;
		END IF;
		events = events || event;
	END LOOP;
	RETURN events;
END $$;

-- Both ways, one after the other; what is kept is there for those after it
CREATE TABLE public.seen (trouble text, how_many text, seed integer, is_same boolean, was_quick boolean, is_error boolean,
	by_statement text,
	quick text);
CREATE FUNCTION public.compare(statement text, trouble text, how_many text, seed integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a record;
	b record;
BEGIN
	SELECT * INTO a FROM public.run(statement, true, false);
	SELECT * INTO b FROM public.run(statement, false, true);
	INSERT INTO public.seen VALUES (trouble, how_many, seed, a.outcome IS NOT DISTINCT FROM b.outcome, b.was_quick,
		b.outcome ~ '^[0-9A-Z]{5} \|', a.outcome, b.outcome);
	ASSERT NOT a.was_quick OR trouble ~ '^(meter|few)';
END $$;
CREATE TABLE public.trouble (trouble text PRIMARY KEY, outcome text, n integer GENERATED ALWAYS AS IDENTITY);
INSERT INTO public.trouble (trouble, outcome) VALUES ('none', 'quick'), ('earlier month', 'quick'), ('known key', 'statement'),
	('key twice', 'statement'), ('taken back', 'statement'), ('other aggregation', 'statement'), ('old tariff', 'statement'),
	('no account', 'KB001'), ('no service', 'KB012'), ('recurring', '22023'), ('no price yet', 'KB012'), ('ahead', '22008'),
	('not begun', '22008'), ('too large', '22003'), ('too exact', '22003'), ('too dear', '22003');
SELECT public.compare(format('SELECT kbilling.kb_record_usage_batch(%L)', public.batch(seed, 101 + seed * 7, trouble, how_many)),
	trouble, how_many, seed)
FROM (SELECT *, (row_number() OVER (ORDER BY n, how_many, round))::integer AS seed
	FROM public.trouble, unnest('{one,some}'::text[]) AS how_many, generate_series(1, 2) AS round) AS t
ORDER BY seed
\g /dev/null
SELECT is(quick, by_statement, format('U: both ways do the same: %s, %s, %s', trouble, how_many, seed))
FROM public.seen WHERE NOT is_same;
SELECT is((SELECT count(*) FROM public.seen WHERE is_same), (SELECT 4 * count(*) FROM public.trouble), 'U: both ways do the same');
SELECT is(string_agg(DISTINCT CASE WHEN is_error THEN substr(quick, 1, 5) WHEN was_quick THEN 'quick' ELSE 'statement' END, ' '), outcome,
	format('U: events with this trouble: %s', trouble))
FROM public.seen JOIN public.trouble t USING (trouble) GROUP BY trouble, outcome, t.n ORDER BY t.n;

-- The same for few: a known key is passed over without a statement for all
CREATE FUNCTION public.few(trouble text, seed integer) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN seed % 3 > 0 THEN format('SELECT kbilling.kb_record_usage_batch(%L)', b)
		ELSE format('SELECT kbilling.kb_record_usage(%L, %L, %L, %L, %L, %L)', e ->> 'account_id', e ->> 'service', e ->> 'quantity',
			e ->> 'key', e ->> 'at', e -> 'properties') END
	FROM public.batch(500 + seed, (ARRAY[1, 2, 100])[1 + seed % 3], trouble, 'one') AS b,
		jsonb_extract_path(b, ((jsonb_array_length(b) + 1) / 2 - 1)::text) AS e
$$;
SELECT public.compare(public.few(trouble, seed), 'few: ' || trouble, NULL, seed)
FROM (SELECT *, (row_number() OVER (ORDER BY n, round))::integer - 1 AS seed FROM public.trouble, generate_series(1, 9) AS round) AS t
ORDER BY seed
\g /dev/null
SELECT is(quick, by_statement, format('U: both ways do the same: %s, %s', trouble, seed)) FROM public.seen
	WHERE NOT is_same AND trouble LIKE 'few: %';
SELECT is((SELECT count(*) FROM public.seen WHERE is_same AND trouble LIKE 'few: %'), (SELECT 9 * count(*) FROM public.trouble),
	'U: both ways do the same for few events');
SELECT is((SELECT count(DISTINCT trouble) FROM public.seen WHERE is_error AND trouble LIKE 'few: %'),
	(SELECT count(*) FROM public.trouble WHERE outcome !~ '^[a-z]'), 'U: and refuse the same');

-- E3: rows without keys are added up to one event for each account, whatever their type
CREATE TABLE public.sale (account_id integer, whole bigint, exact numeric);
CREATE TABLE public.change (account_id integer, whole bigint, exact numeric);
CREATE FUNCTION public.attach(quantity text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE OR REPLACE TRIGGER i AFTER INSERT ON public.sale REFERENCING NEW TABLE AS n '
		'FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter(''orders'', ''account_id'', %L)', quantity);
	EXECUTE format('CREATE OR REPLACE TRIGGER u AFTER UPDATE ON public.sale REFERENCING NEW TABLE AS n OLD TABLE AS o '
		'FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter(''orders'', ''account_id'', %L)', quantity);
	EXECUTE format('CREATE OR REPLACE TRIGGER d AFTER DELETE ON public.sale REFERENCING OLD TABLE AS o '
		'FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter(''orders'', ''account_id'', %L)', quantity);
END $$;
SELECT kb_create_account('own', CASE WHEN n % 3 = 0 THEN 'big' ELSE 'std' END, 1000 + n) FROM generate_series(1, 150) AS n
\g /dev/null
SELECT public.attach(quantity), public.compare(statement, 'meter ' || quantity, statement, 0)
FROM unnest('{whole,exact,""}'::text[]) WITH ORDINALITY AS q (quantity, nq), (VALUES
	(1, 'INSERT INTO public.sale SELECT 1001 + i % 150, i % 7 - 1, round(i / 3.0 - 2, i % 4) FROM generate_series(1, 1000) AS i'),
	(2, 'UPDATE public.sale SET account_id = 1001 + (account_id + 7) % 150, whole = whole - 3, exact = exact * 1.5
		WHERE account_id % 2 = 0'),
	(3, 'UPDATE public.sale SET whole = whole'),
	(4, 'DELETE FROM public.sale WHERE account_id > 1020'),
	(5, 'INSERT INTO public.sale SELECT 1001 + i, 0, 0 FROM generate_series(1, 120) AS i'),
	(6, 'DELETE FROM public.sale')) AS s (ns, statement)
ORDER BY nq, ns
\g /dev/null
SELECT is(quick, by_statement, format('E3: both ways do the same: %s: %s', trouble, how_many)) FROM public.seen
	WHERE NOT is_same AND trouble LIKE 'meter%';
SELECT is((SELECT count(*) FROM public.seen WHERE is_same AND NOT is_error AND trouble LIKE 'meter%'), 18::bigint,
	'E3: rows without keys are added up alike');
SELECT is((SELECT count(*) FROM public.seen WHERE was_quick AND trouble LIKE 'meter%' AND how_many LIKE 'INSERT%'), 6::bigint,
	'E3: and quickly, as they come');
-- Added up by hand
SELECT is((SELECT string_agg(format('%s: %s', account_id, sum), ', ' ORDER BY account_id) FROM (
		SELECT account_id, sum(quantity) FROM usage_event WHERE account_id > 1000 GROUP BY account_id) AS s WHERE sum <> 0), NULL,
	'E3: what came and went leaves nothing');
-- E3: larger than a bigint
SELECT public.attach('whole')
\g /dev/null
INSERT INTO public.sale SELECT 1001 + i % 150, CASE WHEN i <= 150 THEN 9223372036854775807 ELSE -9223372036854775807 + i END
	FROM generate_series(1, 300) AS i;
SELECT is((SELECT sum(quantity) FROM usage_event WHERE account_id > 1000), (SELECT sum(whole) FROM public.sale)::numeric,
	'E3: sums that are too large on the way');
SELECT throws_like('INSERT INTO public.sale SELECT 1001 + i % 150, 9223372036854775807 FROM generate_series(1, 300) AS i',
	'quantity has too many digits', 'E3: and in the end');
-- U5: whatever keeps the total out keeps the event out, too
CREATE TRIGGER nothing BEFORE INSERT OR UPDATE ON usage_total FOR EACH ROW EXECUTE FUNCTION public.nothing();
SELECT throws_ok(format('SELECT kb_record_usage_batch(%L)', public.batch(900, n, 'none', 'one')), '09000',
	'a trigger has kept back a row of kbilling.usage_total',
	format('U5: no event without its total: %s', n)) FROM unnest('{1,101}'::integer[]) AS n;
DROP TRIGGER nothing ON usage_total;
SELECT is_empty('SELECT * FROM kb_check()', 'the books are right');
SELECT * FROM finish();
