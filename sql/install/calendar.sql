/*
 * Months, local dates and time zones.
 */

CREATE FUNCTION kbilling_internal.kb_month_first_day(day date) RETURNS date
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_month_first_day';
COMMENT ON FUNCTION kb_month_first_day(date) IS
'First day of the day''s month, which names the period. Errors: 22008 for an infinite date';

CREATE FUNCTION kbilling_internal.kb_month_last_day(day date) RETURNS date
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_month_last_day';
COMMENT ON FUNCTION kb_month_last_day(date) IS
'Last day of the day''s month. Errors: 22008 for an infinite date';

CREATE FUNCTION kbilling_internal.kb_local_date(at timestamptz, time_zone text) RETURNS date
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_local_date';
COMMENT ON FUNCTION kb_local_date(timestamptz, text) IS
'The date that a clock in the time zone shows at the moment. '
'Errors: 22008 for an infinite moment, 22023 for an unknown zone';

CREATE FUNCTION kbilling_internal.kb_account_date(at timestamptz, time_zone text) RETURNS date
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_account_date';
COMMENT ON FUNCTION kb_account_date(timestamptz, text) IS
'Like kb_local_date, for the time zone of an account. A zone that the server no longer knows counts as UTC; kb_check '
'reports it';

CREATE FUNCTION kbilling_internal.kb_day_begins(day date, time_zone text) RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_day_begins';
COMMENT ON FUNCTION kb_day_begins(date, text) IS
'The moment at which the day begins in the time zone of an account, by kb_account_date. '
'Errors: 22008 for an infinite date';

CREATE FUNCTION kbilling_internal.kb_time_zone(name text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_time_zone';
COMMENT ON FUNCTION kb_time_zone(text) IS
'The name of an IANA time zone in its usual spelling. '
'Errors: 22023 if it does not exist. That goes for POSIX rules such as "Foo5" too: PostgreSQL would accept a '
'misspelt name as one';
