/*
 * The sweep as a job of pg_cron (W2).
 *
 * pg_cron runs a job as the role that scheduled it, so these have their caller's rights; they look for pg_cron when they are called.
 */

CREATE FUNCTION kbilling.kb_schedule(schedule text = '3 * * * *') RETURNS bigint
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_schedule';
COMMENT ON FUNCTION kb_schedule(text) IS
'Has pg_cron call kb_sweep as the caller, hourly or by another schedule of pg_cron''s; called again it changes the one job. Returns the job''s id (W2). 55000 with what to do if pg_cron is not loaded, or not set up in this database; 42501 if another role has scheduled it, but for superusers';

CREATE FUNCTION kbilling.kb_unschedule() RETURNS boolean
	LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'kb_unschedule';
COMMENT ON FUNCTION kb_unschedule() IS
'Takes away what kb_schedule made; true if it was there (W2). 55000 and 42501 as with kb_schedule';
