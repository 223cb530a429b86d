BEGIN;
CREATE EXTENSION IF NOT EXISTS kbilling;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(4);

SELECT isnt(obj_description('kbilling'::regnamespace, 'pg_namespace'), NULL, 'the schema says what it is');
SELECT throws_ok('DROP SCHEMA kbilling CASCADE', '2BP01', NULL, 'the schema goes with the extension only');

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
		SELECT c.oid::regclass::text, format('CREATE OR REPLACE VIEW %s WITH (security_invoker) AS %s', c.oid::regclass, pg_get_viewdef(c.oid))
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
SELECT is_empty($$ SELECT outcome FROM remade WHERE outcome <> 'made' $$, 'and none needs an operator class of kbilling''s types: pg_upgrade has these later');

SELECT finish();
ROLLBACK;
