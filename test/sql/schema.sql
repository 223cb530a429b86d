BEGIN;
CREATE EXTENSION IF NOT EXISTS kbilling;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(4);

SELECT isnt(obj_description('kbilling'::regnamespace, 'pg_namespace'), NULL, 'the schema says what it is');
SELECT throws_ok('DROP SCHEMA kbilling CASCADE', '2BP01', NULL, 'the schema goes with the extension only');

-- Whether name => value is syntax, without quotes around the name
CREATE FUNCTION pg_temp.can_be_named(name text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT pg_temp.no_such_function(%s => 1)', name);
	RETURN false;
EXCEPTION
	WHEN undefined_function THEN RETURN name ~ '^[a-z_][a-z0-9_]*$';
	WHEN syntax_error THEN RETURN false;
END $$;
CREATE TEMP TABLE argument AS
	SELECT p.oid::regprocedure AS function, a.name
	FROM pg_proc p
	JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'kbilling'
	CROSS JOIN LATERAL ROWS FROM (unnest(p.proargnames), unnest(p.proargmodes)) AS a (name, mode)
	WHERE coalesce(a.mode, 'i') IN ('i', 'b', 'v') AND a.name <> '';
SELECT cmp_ok((SELECT count(*) FROM argument), '>', 200::bigint, 'there are arguments to look at');
SELECT is_empty('SELECT function, name FROM argument WHERE NOT pg_temp.can_be_named(name)', 'every argument can be named in a call');

SELECT finish();
ROLLBACK;
