/*
 * The bill of a period, as an aggregate over its billable parts (C2, C3).
 */

CREATE TYPE kbilling_internal.kb_bill_result AS (total kb_money, lines kb_lines);
COMMENT ON TYPE kb_bill_result IS 'What an account owes for a period, and the lines that add up to it';
COMMENT ON COLUMN kb_bill_result.total IS 'Sum of the lines';
COMMENT ON COLUMN kb_bill_result.lines IS 'As in kbilling.entry';

CREATE FUNCTION kbilling_internal.kb_bill_add(state internal, service text, from_date date, to_date date, days integer,
											  quantity numeric, events bigint, billed_quantity numeric, billed_events bigint,
											  price_id integer, price kb_price, prorate boolean,
											  currency text, first_day date, last_day date)
	RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_bill_add';
COMMENT ON FUNCTION kb_bill_add(internal, text, date, date, integer, numeric, bigint, numeric, bigint, integer, kb_price, boolean, text,
								date, date) IS
'Transition function of kb_bill';

CREATE FUNCTION kbilling_internal.kb_bill_final(state internal) RETURNS kb_bill_result
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_bill_final';
COMMENT ON FUNCTION kb_bill_final(internal) IS 'Final function of kb_bill';

CREATE AGGREGATE kbilling_internal.kb_bill(service text, from_date date, to_date date, days integer, quantity numeric, events bigint,
										   billed_quantity numeric, billed_events bigint, price_id integer, price kb_price, prorate boolean,
										   currency text, first_day date, last_day date) (
	SFUNC = kb_bill_add,
	STYPE = internal,
	SSPACE = 1024,
	FINALFUNC = kb_bill_final,
	FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE kb_bill(text, date, date, integer, numeric, bigint, numeric, bigint, integer, kb_price, boolean, text, date, date) IS
'The bill of a period from its billable parts (C2, C3, M4): the lines in their order, '
'those of a service rounded together, and their sum; NULL if there is no part. A part is charged by day if "events" '
'is NULL. Else it is the usage of a month under one price, which held on so many "days" of it; "billed_quantity" and '
'"billed_events" were billed before';
