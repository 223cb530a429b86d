/*
 * What a usage event may be, over values: called for each event that is recorded.
 */

CREATE FUNCTION kbilling_internal.kb_usage_period(source text, n bigint, account_id bigint, service text, key text, quantity numeric,
												  at timestamptz, now timestamptz, created_at timestamptz, time_zone text, deleted boolean,
												  kind text, lacks_value boolean)
	RETURNS date
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_usage_period';
COMMENT ON FUNCTION kb_usage_period(text, bigint, bigint, text, text, numeric, timestamptz, timestamptz, timestamptz, text, boolean,
									text, boolean) IS
'The month that an event belongs to, in the account''s time zone. '
'Errors: KB001, KB010, KB012, 22003, 22008 or 22023 if the event may not be recorded (U1, U4)';

CREATE FUNCTION kbilling_internal.kb_usage_value(unit text, properties jsonb) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_usage_value';
COMMENT ON FUNCTION kb_usage_value(text, jsonb) IS
'The property of an event whose distinct values are counted (U2): the one that has the name of the service''s unit, '
'else the only one. NULL if there is no such property, or if it is not a text, a number or a boolean of at most 255 '
'bytes';

CREATE FUNCTION kbilling_internal.kb_usage_is_priced(account_id bigint, service text, tariff text, day date, currency text,
													 price kb_price, quantity numeric, events bigint)
	RETURNS boolean
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_usage_is_priced';
COMMENT ON FUNCTION kb_usage_is_priced(bigint, text, text, date, text, kb_price, numeric, bigint) IS
'True, or an error: KB012 if there is no price, 22003 if the quantity costs more than a kb_money can hold (U4)';
