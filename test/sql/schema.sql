BEGIN;
CREATE EXTENSION IF NOT EXISTS kbilling;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(8);

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

-- PostgreSQL evaluates the items of a SELECT in whatever order it likes, so which error comes first would be chance.
CREATE TEMP VIEW check_in_statement AS
SELECT p.oid::regprocedure AS function, s.statement, (
		SELECT count(*) FROM pg_proc v
		WHERE v.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND v.prorettype = 'void'::regtype
			AND s.statement ~ ('\m' || v.proname || '\(')) AS checks
FROM pg_proc p
CROSS JOIN LATERAL regexp_split_to_table(pg_get_function_sqlbody(p.oid), ';\n') s (statement)
WHERE p.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND p.prosqlbody IS NOT NULL;
SELECT cmp_ok((SELECT count(*) FROM check_in_statement WHERE checks = 1), '>=', 80::bigint,
	'statements that check or do one thing are found');
SELECT is_empty($$
	SELECT function, statement FROM check_in_statement
	WHERE checks > 1 OR statement ~ 'kb_raise\(' AND statement !~ '^\s*(BEGIN ATOMIC)?\s*(WITH .*)?SELECT\s+CASE\M'
		OR regexp_count(statement, '\mkb_raise\(') <> regexp_count(statement, 'THEN (kbilling_internal\.)?kb_raise\(')
$$, 'a check is a statement of its own, or one of a CASE, whose conditions are tried in order');

-- pg_upgrade makes the functions first, then the views, and the operator classes of types after the functions.
CREATE FUNCTION pg_temp.made_without_operator_classes() RETURNS SETOF text LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	class record;
	item record;
BEGIN
	FOR class IN SELECT o.opcnamespace::regnamespace AS schema, o.opcname AS name, m.amname AS method
		FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
		WHERE o.opcnamespace = 'kbilling'::regnamespace AND o.opcdefault
	LOOP
		EXECUTE format('ALTER EXTENSION kbilling DROP OPERATOR CLASS %s.%I USING %I', class.schema, class.name, class.method);
		EXECUTE format('DROP OPERATOR CLASS %s.%I USING %I CASCADE', class.schema, class.name, class.method);
	END LOOP;
	FOR item IN SELECT p.oid::regprocedure::text AS name, pg_get_functiondef(p.oid) AS definition FROM pg_proc p
		WHERE p.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND p.prokind <> 'a'
		UNION ALL
		SELECT c.oid::regclass::text, format('CREATE OR REPLACE VIEW %s WITH (security_invoker) AS %s', c.oid::regclass,
			pg_get_viewdef(c.oid))
		FROM pg_class c WHERE c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND c.relkind = 'v'
	LOOP
		BEGIN
			EXECUTE item.definition;
			RETURN NEXT 'made';
		EXCEPTION WHEN OTHERS THEN
			RETURN NEXT item.name || ': ' || SQLERRM;
		END;
	END LOOP;
END $$;
CREATE TEMP TABLE remade AS SELECT * FROM pg_temp.made_without_operator_classes() AS outcome;
SELECT cmp_ok((SELECT count(*) FROM remade WHERE outcome = 'made'), '>=', 200::bigint, 'functions and views are made anew');
SELECT is_empty($$ SELECT outcome FROM remade WHERE outcome <> 'made' $$,
	'and none needs an operator class of kbilling''s types: pg_upgrade has these later');

SELECT finish();
ROLLBACK;
