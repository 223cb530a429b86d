/*
 * Stages of a debt and what a member may do in each: rules S1 to S4 over values.
 */

CREATE TYPE kbilling.kb_stage AS ENUM ('ok', 'grace', 'remind', 'restrict', 'blocked');
COMMENT ON TYPE kb_stage IS 'The stage of a debt: how far its consequences have got, in rising order (S2)';

CREATE TYPE kbilling.kb_access AS ENUM ('full', 'full_with_reminder', 'payment_only', 'denied');
COMMENT ON TYPE kb_access IS 'What a member may do, in falling order (S3)';

CREATE TYPE kbilling.kb_role AS ENUM ('employee', 'admin', 'owner');
COMMENT ON TYPE kb_role IS 'A member''s role; an owner may do all that an admin may';

CREATE FUNCTION kbilling.kb_access_stage(debt_since date, today date) RETURNS kb_stage
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1
	AS 'MODULE_PATHNAME', 'kb_access_stage';
COMMENT ON FUNCTION kb_access_stage(date, date) IS
'Stage of a debt by the policy "standard" (S2); "ok" without a debt (NULL). The first day of a debt is day 1';

CREATE FUNCTION kbilling_internal.kb_standard_day(stage kb_stage) RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_standard_day';
COMMENT ON FUNCTION kb_standard_day(kb_stage) IS
'The day of a debt on which the stage begins by the policy "standard" (S2); NULL for ok';

CREATE FUNCTION kbilling_internal.kb_stage(debt_since date, deferred_until date, today date,
										   remind_day integer, restrict_day integer, block_day integer)
	RETURNS kb_stage
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1
	AS 'MODULE_PATHNAME', 'kb_stage';
COMMENT ON FUNCTION kb_stage(date, date, date, integer, integer, integer) IS
'Stage of a debt by the days of a policy (S2); at most grace until the end of "deferred_until" (S4)';

CREATE FUNCTION kbilling_internal.kb_next_stage_on(debt_since date, deferred_until date, today date,
												   remind_day integer, restrict_day integer, block_day integer)
	RETURNS date
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1
	AS 'MODULE_PATHNAME', 'kb_next_stage_on';
COMMENT ON FUNCTION kb_next_stage_on(date, date, date, integer, integer, integer) IS
'The next day on which the stage is another than today''s, if nothing is paid; NULL if it stays';

-- Not STRICT, so that it is inlined; so the next one, too.
CREATE FUNCTION kbilling_internal.kb_stage_changes_on(stage kb_stage, today date, from_day date, to_day date, debt_since date,
													  deferred_until date, remind_day integer, restrict_day integer, block_day integer)
	RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
	WHEN $3 >= $2 AND kb_stage($5, $6, $3, $7, $8, $9) <> $1 THEN $3
	WHEN kb_next_stage_on($5, $6, greatest($2, $3), $7, $8, $9) < $4
		THEN kb_next_stage_on($5, $6, greatest($2, $3), $7, $8, $9)
END;
COMMENT ON FUNCTION kb_stage_changes_on(kb_stage, date, date, date, date, date, integer, integer, integer) IS
'The first day from today on, of those from "from_day" to the day before "to_day", on which the stage is not the one that '
'is given, for the debt and the policy of those days; NULL if there is none. It takes it that the stage is the one given up '
'to "from_day"';

CREATE FUNCTION kbilling_internal.kb_access_for(stage kb_stage, role kb_role, deleted boolean = false, ended boolean = false)
	RETURNS kb_access
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
	WHEN stage IS NULL OR role IS NULL THEN NULL
	WHEN deleted OR stage = 'blocked' THEN 'denied'::kb_access
	WHEN role = 'employee' THEN CASE WHEN ended THEN 'denied'::kb_access ELSE 'full' END
	WHEN ended OR stage = 'restrict' THEN 'payment_only'
	WHEN stage = 'remind' THEN 'full_with_reminder'
	ELSE 'full'
END;
COMMENT ON FUNCTION kb_access_for(kb_stage, kb_role, boolean, boolean) IS
'What a member with the role may do at the stage (S3), and once the contract has ended (X2)';
