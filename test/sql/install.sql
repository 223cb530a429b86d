-- What a fresh installation looks like.
CREATE EXTENSION kbilling;

-- It owns its schemas, stays where it is, and only a superuser installs it.
SELECT n.nspname AS schema, e.extrelocatable AS relocatable, v.superuser, v.trusted
FROM pg_extension AS e
JOIN pg_namespace AS n ON n.oid = e.extnamespace
JOIN pg_available_extension_versions AS v ON v.name = e.extname AND v.version = e.extversion
WHERE e.extname = 'kbilling';

SELECT pg_describe_object(classid, objid, objsubid) AS owns
FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND classid = 'pg_namespace'::regclass
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'kbilling')
ORDER BY 1;

-- Nothing of it lies outside.
SELECT DISTINCT o.schema
FROM pg_depend AS d
CROSS JOIN pg_identify_object(d.classid, d.objid, d.objsubid) AS o
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND o.schema NOT IN ('kbilling', 'kbilling_internal')
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'kbilling');

-- Whoever is not granted anything can look, and change nothing.
SELECT p.oid::regprocedure AS changes_and_is_public
FROM pg_proc AS p
WHERE p.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND p.provolatile = 'v'
	AND has_function_privilege('public', p.oid, 'EXECUTE');

SELECT c.oid::regclass AS writable_by_public
FROM pg_class AS c
WHERE c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND c.relkind IN ('r', 'v', 'p')
	AND has_table_privilege('public', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE');

DROP EXTENSION kbilling;
SELECT count(*) AS left_behind FROM pg_namespace WHERE nspname LIKE 'kbilling%';
