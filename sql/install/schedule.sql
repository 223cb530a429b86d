/*
 * The sweep as a job of pg_cron (W2).
 *
 * pg_cron runs a job as the role that scheduled it, so these have their caller's rights; they look for pg_cron when they are called.
 */

CREATE FUNCTION kbilling.kb_schedule(schedule text = '3 * * * *', workers integer = 1) RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_schedule';
COMMENT ON FUNCTION kb_schedule(text, integer) IS
'Has pg_cron call kb_sweep as the caller, each hour or by another schedule, and returns the number of the job (W2). '
'With "workers" (1 to 64), so many jobs share the accounts; the number is that of the first. '
'Called again, it changes these jobs. '
'Errors: 55000 if pg_cron is not loaded, or not set up in this database; the hint says what to do. 42501 if another '
'role has scheduled it, unless the caller is a superuser; 22023 if "workers" is out of range';

CREATE FUNCTION kbilling.kb_unschedule() RETURNS boolean
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_unschedule';
COMMENT ON FUNCTION kb_unschedule() IS
'Removes the jobs that kb_schedule has made; false if there was none (W2). '
'Errors: 55000 and 42501, as kb_schedule';
