-- Sets the clock; a test in one transaction sets it back when it rolls back
CREATE FUNCTION pg_temp.clock(at timestamptz) RETURNS void LANGUAGE sql AS 'SELECT set_config(''kbilling.clock'', at::text, false)';
