/*
 * What a usage event may be, over values: called for each event that is recorded.
 */

CREATE FUNCTION kbilling_internal.kb_usage_day(source text, n bigint, account_id bigint, service text, key text, quantity numeric,
											   at timestamptz, now timestamptz, created_at timestamptz, time_zone text, deleted boolean,
											   ends_on date, kind text, lacks_value boolean, refuse boolean)
	RETURNS date
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'kb_usage_day';
COMMENT ON FUNCTION kb_usage_day(text, bigint, bigint, text, text, numeric, timestamptz, timestamptz, timestamptz, text, boolean,
								 date, text, boolean, boolean) IS
'The day of an event in the account''s time zone. If the event may not be recorded, NULL, or with "refuse" an error: '
'KB001, KB010, KB012, 22003, 22008 or 22023 (U1, U4, X2)';

CREATE FUNCTION kbilling_internal.kb_usage_value(unit text, properties jsonb) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_usage_value';
COMMENT ON FUNCTION kb_usage_value(text, jsonb) IS
'The property of an event whose distinct values are counted (U2): the one that has the name of the service''s unit, '
'else the only one. NULL if there is no such property, or if it is not a text, a number or a boolean of at most 255 '
'bytes';

CREATE FUNCTION kbilling_internal.kb_refuse_unpriced(account_id bigint, service text, tariff text, day date) RETURNS integer
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_refuse_unpriced';
COMMENT ON FUNCTION kb_refuse_unpriced(bigint, text, text, date) IS
'Raises KB012, as the tariff has no price for the service on the day of the usage (U4). The result has the type of a '
'price''s number, so that it can stand in coalesce()';

CREATE FUNCTION kbilling_internal.kb_usage_is_priced(account_id bigint, service text, currency text, price kb_price, quantity numeric,
													 events bigint)
	RETURNS boolean
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_usage_is_priced';
COMMENT ON FUNCTION kb_usage_is_priced(bigint, text, text, kb_price, numeric, bigint) IS
'True, or an error: 22003 if the quantity costs more than a kb_money can hold (U4)';
