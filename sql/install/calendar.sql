/*
 * Months, local dates and time zones.
 */

CREATE FUNCTION kbilling_internal.kb_month_first_day(day date) RETURNS date
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_month_first_day';
COMMENT ON FUNCTION kb_month_first_day(date) IS
'First day of the day''s month, which names the period; 22008 for an infinite date';

CREATE FUNCTION kbilling_internal.kb_month_last_day(day date) RETURNS date
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_month_last_day';
COMMENT ON FUNCTION kb_month_last_day(date) IS
'Last day of the day''s month; 22008 for an infinite date';

CREATE FUNCTION kbilling_internal.kb_local_date(at timestamptz, time_zone text) RETURNS date
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_local_date';
COMMENT ON FUNCTION kb_local_date(timestamptz, text) IS
'The date that a clock in the time zone shows at the moment; 22008 for an infinite moment, 22023 for an unknown zone';

CREATE FUNCTION kbilling_internal.kb_account_date(at timestamptz, time_zone text) RETURNS date
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_account_date';
COMMENT ON FUNCTION kb_account_date(timestamptz, text) IS
'As kb_local_date, for the zone of an account: one that the server''s time zone data has dropped since counts as UTC, and kb_check names it';

CREATE FUNCTION kbilling_internal.kb_day_begins(day date, time_zone text) RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_day_begins';
COMMENT ON FUNCTION kb_day_begins(date, text) IS
'The moment when the day begins in the zone of an account, as kb_account_date takes it; 22008 for an infinite date';

CREATE FUNCTION kbilling_internal.kb_time_zone(name text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_time_zone';
COMMENT ON FUNCTION kb_time_zone(text) IS
'The IANA time zone''s name in its usual spelling; 22023 if it does not exist. POSIX rules such as "Foo5" are refused: PostgreSQL would take a slip for one';
