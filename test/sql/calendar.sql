-- Months, local dates, time zones and the clock

-- A role that is not a superuser cannot set the clock, not even in a new session, before the library is there to refuse it.
DROP ROLE IF EXISTS kbilling_calendar_user;
CREATE ROLE kbilling_calendar_user;
\set VERBOSITY sqlstate
\c
SET SESSION AUTHORIZATION kbilling_calendar_user;
SET client_min_messages = error;
SET kbilling.clock = '2001-01-01 00:00+00';
SELECT kbilling.kb_now() = now() AS clock_is_real
\gset
\c
\set VERBOSITY default

BEGIN;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();

-- Months

SELECT is(array[kb_month_first_day(day::date), kb_month_last_day(day::date)], array[first_day, last_day]::date[],
	format('C1: the month of %s goes from %s to %s', day, first_day, last_day))
FROM (VALUES
	('2026-11-01', '2026-11-01', '2026-11-30'),
	('2026-11-30', '2026-11-01', '2026-11-30'),
	('2026-12-31', '2026-12-01', '2026-12-31'),
	('2027-01-01', '2027-01-01', '2027-01-31'),
	('2026-02-28', '2026-02-01', '2026-02-28'),
	('2024-02-29', '2024-02-01', '2024-02-29'),
	('2000-02-01', '2000-02-01', '2000-02-29'),
	('1900-02-01', '1900-02-01', '1900-02-28'),
	('2100-02-28', '2100-02-01', '2100-02-28'),
	('1999-12-31', '1999-12-01', '1999-12-31'),
	('0001-01-01 BC', '0001-01-01 BC', '0001-01-31 BC'),
	('4714-12-01 BC', '4714-12-01 BC', '4714-12-31 BC'),
	('5874897-12-31', '5874897-12-01', '5874897-12-31')
) AS t (day, first_day, last_day);

SELECT is_empty($$
	SELECT d FROM generate_series('1899-12-01'::timestamp, '2101-03-01', '1 day') AS s (d)
	WHERE kb_month_first_day(d::date) <> date_trunc('month', d)::date
		OR kb_month_last_day(d::date) <> (date_trunc('month', d) + interval '1 month - 1 day')::date $$,
	'C1: two centuries of days are in their months');

SELECT throws_ok(format('SELECT %s(%L)', f, day), '22008', NULL, format('C1: %s of %s', f, day))
FROM unnest('{kb_month_first_day,kb_month_last_day}'::text[]) AS f, unnest('{infinity,-infinity}'::text[]) AS day;
SELECT throws_ok($$SELECT kb_month_first_day('4714-11-24 BC')$$, '22008', NULL, 'C1: a month that began before the first date');
SELECT is(kb_month_first_day(NULL), NULL, 'C1: no day, no month');

-- Local dates

SELECT is(kb_local_date(at::timestamptz, zone), day::date, format('C1: %s in %s is %s', at, zone, day))
FROM (VALUES
	('2026-10-31 23:59:59.999999+00', 'UTC', '2026-10-31'),
	('2026-11-01 00:00:00+00', 'UTC', '2026-11-01'),
	-- a day of 25 hours
	('2026-10-24 20:59:59.999999+00', 'Europe/Kyiv', '2026-10-24'),
	('2026-10-24 21:00:00+00', 'Europe/Kyiv', '2026-10-25'),
	('2026-10-25 21:59:59.999999+00', 'Europe/Kyiv', '2026-10-25'),
	('2026-10-25 22:00:00+00', 'Europe/Kyiv', '2026-10-26'),
	-- a day of 23 hours
	('2026-03-28 21:59:59.999999+00', 'Europe/Kyiv', '2026-03-28'),
	('2026-03-28 22:00:00+00', 'Europe/Kyiv', '2026-03-29'),
	('2026-03-29 20:59:59.999999+00', 'Europe/Kyiv', '2026-03-29'),
	('2026-03-29 21:00:00+00', 'Europe/Kyiv', '2026-03-30'),
	-- a midnight that does not exist: the day begins at 01:00
	('2018-11-04 02:59:59.999999+00', 'America/Sao_Paulo', '2018-11-03'),
	('2018-11-04 03:00:00+00', 'America/Sao_Paulo', '2018-11-04'),
	-- a day that does not exist
	('2011-12-30 09:59:59.999999+00', 'Pacific/Apia', '2011-12-29'),
	('2011-12-30 10:00:00+00', 'Pacific/Apia', '2011-12-31'),
	-- the first place on earth where a month ends, and the last
	('2026-10-31 09:59:59.999999+00', 'Pacific/Kiritimati', '2026-10-31'),
	('2026-10-31 10:00:00+00', 'Pacific/Kiritimati', '2026-11-01'),
	('2026-11-01 11:59:59.999999+00', 'Etc/GMT+12', '2026-10-31'),
	('2026-11-01 12:00:00+00', 'Etc/GMT+12', '2026-11-01'),
	('2026-10-31 18:15:00+00', 'Asia/Kathmandu', '2026-11-01')
) AS t (at, zone, day);

SET LOCAL timezone = 'Pacific/Kiritimati';
SELECT is(kb_local_date('2026-10-31 12:00+00', 'UTC'), '2026-10-31', 'C1: the session''s time zone plays no part');
RESET timezone;

SELECT throws_ok(format('SELECT kb_local_date(%L, %L)', at, 'UTC'), '22008', NULL, format('C1: %s has no local date', at))
FROM unnest('{infinity,-infinity}'::text[]) AS at;

-- Time zones

SELECT is(kb_time_zone(name), usual, format('C1: %s is a time zone', name))
FROM (VALUES ('Europe/Kyiv', 'Europe/Kyiv'), ('europe/KYIV', 'Europe/Kyiv'), ('utc', 'UTC'),
	('Etc/GMT+12', 'Etc/GMT+12'), ('etc/gmt-14', 'Etc/GMT-14'), ('est5edt', 'EST5EDT'),
	('America/Argentina/Buenos_Aires', 'America/Argentina/Buenos_Aires')) AS t (name, usual);

SELECT throws_ok(format(call, name), '22023', NULL, format('C1: there is no time zone: ' || call, name))
FROM unnest(ARRAY['SELECT kb_time_zone(%L)', 'SELECT kb_local_date(now(), %L)']) AS call,
	unnest(ARRAY['', 'Mars/Olympus', 'Foo5', 'Kyiv-2', '<+02>-2', '+2', '2', 'Etc/GMT+13', 'Etc/GMT99', 'EST5EDT4',
	'EST5EDT,M3.2.0,M11.1.0', '../../etc/passwd',
	-- what a system keeps beside the zones, whatever it has of it
	'localtime', 'LocalTime', 'posixrules', 'PosixRules', 'POSIXRULES', 'Factory', 'FACTORY',
	'posix/Europe/Kyiv', 'POSIX/europe/kyiv', 'posix/UTC', 'posix/GMT0', 'posix/posixrules', 'posix/Etc/GMT+12', 'posix',
	'right/Europe/Kyiv', 'Right/UTC', 'right/Etc/GMT+12', 'leapseconds', 'leap-seconds.list', 'tzdata.zi', 'zone.tab',
	'iso3166.tab', 'SystemV/EST5', 'default', 'Etc/Unknown',
	-- paths
	'.', '..', '/', './UTC', '../UTC', 'Europe', 'Europe/', 'Europe//Kyiv', '/Europe/Kyiv', 'Europe/Kyiv/',
	'Europe/../UTC', 'Europe/./Kyiv',
	'/usr/share/zoneinfo/Europe/Kyiv', 'posix/../Europe/Kyiv', ':Europe/Kyiv', ' UTC', 'UTC ', repeat('A', 300), 'Київ']) AS name;
SELECT is_empty($$SELECT name, kb_time_zone(name) FROM pg_timezone_names
		WHERE name !~ '^(posix/|posixrules$|localtime$|Factory$)' AND (kb_time_zone(name) <> name OR kb_time_zone(upper(name)) <> name)$$,
	'C1: every other zone of the server''s is one, in whatever case');

-- The clock

SELECT ok(:'clock_is_real', 'a clock that a plain role set before the library was loaded does not count');
SET LOCAL kbilling.clock = '2026-11-02 10:00+00';
SELECT is(kb_now(), '2026-11-02 10:00+00', 'the clock shows what it is set to');
SET LOCAL timezone = 'Asia/Tokyo';
SELECT is(kb_now(), '2026-11-02 10:00+00', 'the clock does not move with the time zone');
RESET timezone;
SET LOCAL kbilling.clock = '2000-02-29 23:59:59.999999 Pacific/Kiritimati';
SELECT is(kb_now(), '2000-02-29 09:59:59.999999+00', 'the clock is exact to the microsecond');

SELECT throws_ok(format('SET kbilling.clock = %L', value), '22023', NULL, format('the clock cannot be %L', value))
FROM unnest(ARRAY['nonsense', 'infinity', '-infinity', 'epoch', ' ', '2026-13-01', '2026-02-29 00:00+00', '10:00', '1 day',
	'294277-01-01 00:00+00', repeat('9', 1000)]) AS value;
SELECT is(kb_now(), '2000-02-29 09:59:59.999999+00', 'what was refused has not moved the clock');

SET LOCAL kbilling.clock = '';
SELECT is(kb_now(), now(), 'empty means the real time');
SELECT throws_ok('SET kbilling.clok = 1', '42602', NULL, 'there are no other settings');

SET LOCAL ROLE kbilling_calendar_user;
SELECT throws_ok($$SET kbilling.clock = '2026-11-02 10:00+00'$$, '42501', NULL, 'only a superuser sets the clock');
SELECT throws_ok('SET kbilling.allow_drop = on', '42501', NULL, 'J7: only a superuser allows the drop');
RESET ROLE;

-- A parallel worker reads the setting again, before it knows time zones: it must find a moment in figures.
SET LOCAL kbilling.clock = 'now';
SELECT matches(current_setting('kbilling.clock'), '^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00$',
	'the clock keeps a moment, not a word for one');
SET LOCAL kbilling.clock = '2026-11-02T10:00:00Z';
CREATE TABLE many AS SELECT g FROM generate_series(1, 100000) AS g;
ANALYZE many;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
CREATE TABLE seen AS SELECT kb_now() AS at, count(*) AS n FROM many WHERE kb_now() > '2000-01-01' GROUP BY kb_now();
SELECT results_eq('SELECT at, n FROM seen', $$VALUES ('2026-11-02 10:00+00'::timestamptz, 100000::bigint)$$,
	'parallel workers see the same moment');

SELECT is(kb_account_date('2026-11-02 23:00+00', 'Europe/Kyiv'), '2026-11-03', 'W2: an account''s date is that of its zone');
SELECT is(kb_account_date('2026-11-02 23:00+00', 'US/Gone'), '2026-11-02', 'W2: or of UTC, if the system has dropped the zone');
SELECT is(array_agg(kb_account_date(at, zone)), array_agg(day), 'W2: and not that of the row before') FROM (VALUES
	(timestamptz '2000-01-01 00:00+00', 'Africa/Lome', date '2000-01-01'), ('2026-11-02 23:00+00', 'Africa/Lome', '2026-11-02'),
	('2026-11-02 23:00+00', 'Europe/Kyiv', '2026-11-03'), ('2026-11-02 23:00+00', 'Europe/Kyiv', '2026-11-03'),
	('2026-11-01 23:00+00', 'Europe/Kyiv', '2026-11-02'), ('2026-11-01 23:00+00', 'Europe/' || repeat('x', 40), '2026-11-01'),
	('2026-11-01 23:00+00', 'Pacific/Auckland', '2026-11-02'), ('2026-11-01 23:00+00', 'Pacific/', '2026-11-01')) AS t (at, zone, day);
SELECT is(kb_day_begins(day, zone), at, format('W2: %s begins in %s at %s', day, zone, at)) FROM (VALUES
	(date '2026-11-02', 'UTC', timestamptz '2026-11-02 00:00+00'),
	('2026-11-01', 'Pacific/Kiritimati', '2026-10-31 10:00+00'), ('2026-11-01', 'Europe/Kyiv', '2026-10-31 22:00+00'),
	('2026-11-01', 'America/Havana', '2026-11-01 04:00+00'),	-- where it is midnight twice
	('2022-09-11', 'America/Santiago', '2022-09-11 04:00+00'),	-- where it is not midnight at all
	('2026-11-01', 'US/Gone', '2026-11-01 00:00+00')) AS t (day, zone, at);
SELECT is_empty($$SELECT name, day, kb_day_begins(day, name) FROM pg_timezone_names,
	LATERAL (SELECT m::date AS day FROM generate_series(timestamp '2010-01-01', '2037-01-01', '1 month') AS m) AS d
		WHERE name NOT LIKE 'posix%' AND (kb_account_date(kb_day_begins(day, name), name),
			kb_account_date(kb_day_begins(day, name) - interval '1 microsecond', name)) <> (day, day - 1)$$,
	'W2: the first of a month begins, in every zone, when the date becomes that');
SELECT throws_ok($$SELECT kb_day_begins('infinity', 'UTC')$$, '22008', NULL, 'an infinite date does not begin');

SELECT * FROM finish();
ROLLBACK;
DROP ROLE kbilling_calendar_user;
