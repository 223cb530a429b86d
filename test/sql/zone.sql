-- Each account is charged after its own midnight, once, from Kiritimati to Baker Island, also where the clocks change
-- in that night (W2, C1, C4)
SET search_path = kbilling, public;
SELECT no_plan();
\ir ../include/state.sql

SELECT kb_create_tariff('std', 'USD'), kb_set_price('std', 'base', '30.00')
\g /dev/null

-- Month ends with changes: by one account for each zone of the server's, sweeps each hour from before the first
-- midnight until after the last
CREATE TEMP TABLE month_end (n int, first_day date, why text);
INSERT INTO month_end VALUES
	(1, '2023-10-01', 'no midnight in Asuncion: 00:00 is 01:00'),
	(2, '2024-04-01', 'in Europe the clocks have gone forward the night before'),
	(3, '2026-11-01', 'two midnights in Havana; in New York the clocks go back two hours later'),
	(4, '2027-11-01', 'in Europe the clocks have gone back the night before');
-- One for each way in which the server's zones go through these nights, and some by name
CREATE TEMP TABLE zone_of_server AS
SELECT DISTINCT ON (n, at_noon - first_noon, after - first_noon, CASE WHEN name ~ '/(Asuncion|Havana|New_York|Kyiv|Azores)' THEN name END)
	n, first_day, name AS zone
FROM month_end, pg_timezone_names, timezone('UTC', first_day + time '12:00') AS first_noon,
	timezone(name, first_day - 1 + time '12:00') AS at_noon, timezone(name, first_day + time '12:00') AS after
WHERE name ~ '^(Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific)/|^Etc/GMT[+]12$'
ORDER BY n, at_noon - first_noon, after - first_noon, CASE WHEN name ~ '/(Asuncion|Havana|New_York|Kyiv|Azores)' THEN name END, name;
CREATE TEMP TABLE place AS SELECT 1000 * n + row_number() OVER (PARTITION BY n ORDER BY zone) AS account_id, * FROM zone_of_server;
SELECT cmp_ok(count(*), '>', 30::bigint, 'W2: some dozen zones') FROM place WHERE n = 1;
SELECT is(max(first_day::timestamp AT TIME ZONE zone) - min(first_day::timestamp AT TIME ZONE zone), '26:00',
	'W2: the first and the last among them') FROM place WHERE n = 1;

CREATE TEMP TABLE seen (account_id bigint, at timestamptz, charges bigint, due bigint);
CREATE PROCEDURE pg_temp.play(episode int) LANGUAGE plpgsql AS $$
DECLARE
	first date = (SELECT first_day FROM month_end WHERE n = episode);
	at timestamptz = timezone('UTC', first - interval '15 hours');
BEGIN
	PERFORM set_config('kbilling.clock', (at - interval '10 days')::text, false);
	PERFORM kb_create_account('olena', 'std', account_id, zone,
		created_at => timezone('UTC', date_trunc('month', first - 1) + interval '12 hours')) FROM place WHERE n = episode;
	-- Somebody is always there, so that none is closed.
	INSERT INTO activity SELECT account_id, '2099-01-01' FROM place WHERE n = episode;
	WHILE at <= timezone('UTC', first + interval '14 hours') LOOP
		PERFORM set_config('kbilling.clock', at::text, false);
		COMMIT;
		CALL kb_sweep();
		INSERT INTO seen
		SELECT p.account_id, at, (SELECT count(*) FROM entry AS e WHERE e.account_id = p.account_id),
			((at AT TIME ZONE p.zone)::date >= first)::int
		FROM place AS p WHERE p.n = episode;
		at = at + interval '1 hour';
	END LOOP;
	PERFORM pg_temp.put_state(account_id, 'purged') FROM place WHERE n = episode;
END $$;
CALL pg_temp.play(1);
CALL pg_temp.play(2);
CALL pg_temp.play(3);
CALL pg_temp.play(4);

SELECT is((SELECT count(*) FROM seen JOIN place USING (account_id) WHERE n = month_end.n AND charges <> due), 0::bigint,
	'W2: ' || why) FROM month_end;
SELECT is((SELECT count(DISTINCT account_id) FROM seen JOIN place USING (account_id) WHERE n = month_end.n AND charges = 1),
	(SELECT count(*) FROM place WHERE n = month_end.n),
	'C4: each is charged, once: ' || to_char(first_day, 'YYYY-MM-DD')) FROM month_end;
SELECT is((SELECT min(at) FROM seen JOIN place USING (account_id) WHERE (n, zone, charges) = (month_end.n, t.zone, 1)),
	t.at, format('C1: %s, %s', t.zone, first_day))
FROM (VALUES
	(1, 'America/Asuncion', timestamptz '2023-10-01 04:00+00'), (1, 'Etc/GMT+12', '2023-10-01 12:00+00'),
	(2, 'Europe/Kyiv', '2024-03-31 21:00+00'), (3, 'America/Havana', '2026-11-01 04:00+00'),
	(3, 'America/New_York', '2026-11-01 04:00+00'), (4, 'Europe/Kyiv', '2027-10-31 22:00+00'),
		(4, 'Atlantic/Azores', '2027-11-01 01:00+00')) AS t (n, zone, at) JOIN month_end USING (n)
-- where the server knows it by that name
WHERE EXISTS (SELECT FROM place WHERE place.zone = t.zone);
SELECT is((SELECT array_agg(DISTINCT effective_on) FROM entry JOIN place USING (account_id) WHERE n = month_end.n),
	ARRAY[first_day], 'C5: and it takes effect on the 1st: ' || to_char(first_day, 'YYYY-MM-DD')) FROM month_end;
SELECT is_empty('SELECT * FROM sweep_failure', 'W3: none failed');
SELECT is_empty('SELECT * FROM kb_check()', 'J2: the books are right');

-- A closure's days are the account's own, too

SET kbilling.clock = '2011-11-18 09:59+00';
SELECT kb_create_account('olena', 'std', id, zone) FROM (VALUES (1, 'Pacific/Apia'), (2, 'Pacific/Kiritimati'),
	(3, 'Etc/GMT+12')) AS t (id, zone)
\g /dev/null
CREATE PROCEDURE pg_temp.hours(from_at timestamptz, to_at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz = from_at;
BEGIN
	WHILE at <= to_at LOOP
		PERFORM set_config('kbilling.clock', at::text, false);
		COMMIT;
		CALL kb_sweep();
		at = at + interval '1 hour';
	END LOOP;
END $$;
CALL pg_temp.hours('2011-12-27 00:00+00', '2012-01-10 23:00+00');
SELECT is((SELECT string_agg(format('%s %s %s', step, taken_on, to_char(taken_at AT TIME ZONE 'UTC', 'DD HH24:MI')),
	', ' ORDER BY step_no) FROM closure_step WHERE account_id = id), story, 'D1: ' || zone)
FROM (VALUES
	-- the 17th of November there, of 23 hours before; 41 days later is the 28th, and the 30th is left out
	(1, 'Apia', 'scheduled 2011-12-28 28 10:00, reminded 2012-01-04 03 10:00, reminded 2012-01-06 05 10:00, deleted 2012-01-07 06 10:00'),
	(2, 'Kiritimati', 'scheduled 2011-12-29 28 10:00, reminded 2012-01-05 04 10:00, reminded 2012-01-07 06 10:00, '
		'deleted 2012-01-08 07 10:00'),
	(3, 'Baker Island', 'scheduled 2011-12-28 28 12:00, reminded 2012-01-04 04 12:00, reminded 2012-01-06 06 12:00, '
		'deleted 2012-01-07 07 12:00')) AS t (id, zone, story);

SELECT * FROM finish();
