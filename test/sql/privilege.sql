-- Who may do what (E, sections 3 and 5 of the design): a walk through the catalog, and an attack

DROP ROLE IF EXISTS kbilling_privilege_nobody;
DROP ROLE IF EXISTS kbilling_privilege_mallory;
CREATE ROLE kbilling_privilege_nobody;
CREATE ROLE kbilling_privilege_mallory;
SET search_path = kbilling, public;
SELECT no_plan();

CREATE TEMP TABLE own AS	-- the functions of the extension
	SELECT p.oid, p.oid::regprocedure::text AS signature, p.proname, p.prokind, p.provolatile, p.prosecdef, p.proconfig, p.prolang, p.prosqlbody, p.proargtypes,
		p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) AS is_trigger
	FROM pg_proc AS p WHERE p.pronamespace = 'kbilling'::regnamespace;
CREATE TEMP TABLE own_relation AS
	SELECT c.oid, c.oid::regclass::text AS name, c.relkind, c.reloptions FROM pg_class AS c
	WHERE c.relnamespace = 'kbilling'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c');
GRANT SELECT ON own, own_relation TO PUBLIC;
SELECT cmp_ok((SELECT count(*) FROM own), '>', 60::bigint, 'the walk finds the functions');
SELECT cmp_ok((SELECT count(*) FROM own_relation WHERE relkind IN ('r', 'v')), '>', 15::bigint, 'the walk finds the tables and views');

-- PUBLIC

SELECT is_empty($$SELECT signature FROM own WHERE (provolatile = 'v' OR prokind = 'p') AND has_function_privilege('kbilling_privilege_nobody', oid, 'EXECUTE')$$,
	'nothing that changes data is executable by everyone');
SELECT is_empty($$SELECT signature FROM own WHERE prosecdef AND has_function_privilege('kbilling_privilege_nobody', oid, 'EXECUTE')$$,
	'nothing that runs with the owner''s rights is executable by everyone');
SELECT is_empty($$SELECT r.name, p FROM own_relation AS r, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p
		WHERE relkind NOT IN ('S', 'c') AND has_table_privilege('kbilling_privilege_nobody', oid, p)$$, 'no table or view is open to everyone');
SELECT is_empty($$SELECT r.name, a.attname FROM own_relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid WHERE a.attacl IS NOT NULL$$, 'nor any column');
SELECT is_empty($$SELECT r.name, p FROM own_relation AS r, unnest('{USAGE,SELECT,UPDATE}'::text[]) AS p
		WHERE relkind = 'S' AND has_sequence_privilege('kbilling_privilege_nobody', oid, p)$$, 'nor any sequence');
SELECT ok(NOT has_schema_privilege('kbilling_privilege_nobody', 'kbilling', 'CREATE'), 'nobody can plant an object in the schema');
SELECT ok(has_schema_privilege('kbilling_privilege_nobody', 'kbilling', 'USAGE'), 'everyone can use its types');

-- How functions and views find names

SELECT is_empty($$
	SELECT signature, proconfig FROM own WHERE prosecdef AND NOT EXISTS (
		SELECT FROM unnest(proconfig) AS c (setting), string_to_array(substr(setting, 13), ', ') AS path
		WHERE setting LIKE 'search_path=%' AND path[cardinality(path)] = 'pg_temp'
			AND NOT EXISTS (SELECT FROM unnest(trim_array(path, 1)) AS s
				WHERE s = 'pg_temp' OR s LIKE '%$user%' OR has_schema_privilege('kbilling_privilege_nobody', s, 'CREATE')))$$,
	'what runs with the owner''s rights looks into schemas that no user can write, and into pg_temp last');
SELECT is_empty($$SELECT signature FROM own WHERE prosecdef AND prokind = 'p'$$, 'a procedure that commits keeps its caller''s rights');
SELECT is_empty($$SELECT signature FROM own WHERE prolang = (SELECT oid FROM pg_language WHERE lanname = 'sql') AND prosqlbody IS NULL$$,
	'functions in SQL have bound their names when they were made');
SELECT is_empty($$SELECT signature FROM own WHERE prolang NOT IN (SELECT oid FROM pg_language WHERE lanname IN ('c', 'sql', 'internal')) AND prokind <> 'a'$$,
	'nothing is in another language');
SELECT is_empty($$SELECT name FROM own_relation WHERE relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)$$,
	'views read with the rights of who asks');

-- Comments

CREATE TEMP VIEW commented AS
	SELECT d.classid, d.objid, 0 AS objsubid FROM pg_depend AS d
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'kbilling')
		AND d.classid <> 'pg_opfamily'::regclass
		-- from 17 on, the types that come with a type or a table belong to the extension too
		AND NOT (d.classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
			WHERE t.oid = d.objid AND (t.typcategory = 'A' OR c.relkind IN ('r', 'v'))))
	UNION ALL
	SELECT 'pg_class'::regclass, a.attrelid, a.attnum FROM own_relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid
	WHERE r.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
	UNION ALL
	SELECT 'pg_class'::regclass, a.attrelid, a.attnum FROM own_relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid
	WHERE r.relkind = 'c' AND a.attnum > 0 AND r.name <> 'kb_bill_result'	-- internal: kb_bill's
	UNION ALL
	SELECT 'pg_class'::regclass, i.indexrelid, 0 FROM own_relation AS r JOIN pg_index AS i ON i.indrelid = r.oid
	WHERE NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid);
SELECT cmp_ok((SELECT count(*) FROM commented), '>', 200::bigint, 'the walk finds what should be described');
SELECT is_empty($$SELECT pg_describe_object(classid, objid, objsubid) FROM commented AS c
		WHERE NOT EXISTS (SELECT FROM pg_description AS d WHERE (d.classoid, d.objoid, d.objsubid) = (c.classid, c.objid, c.objsubid) AND d.description <> '')$$,
	'everything says what it is');

-- A role without rights

SET ROLE kbilling_privilege_nobody;
SELECT throws_ok(format('%s kbilling.%I(%s)', CASE prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT' END, proname,
		(SELECT string_agg('NULL::' || format_type(t, NULL), ', ' ORDER BY n) FROM unnest(proargtypes) WITH ORDINALITY AS a (t, n))),
	'42501', NULL, 'refused to a role without rights: ' || signature)
FROM own WHERE provolatile = 'v' AND NOT is_trigger ORDER BY signature;
SELECT throws_ok(format(statement, name), '42501', NULL, 'refused to a role without rights: ' || format(statement, name))
FROM own_relation, unnest(ARRAY['SELECT FROM %s', 'INSERT INTO %s DEFAULT VALUES', 'DELETE FROM %s', 'TRUNCATE %s']) AS statement
WHERE relkind = 'r' ORDER BY name, statement;
SELECT throws_ok(format('SELECT FROM %s', name), '42501', NULL, 'refused to a role without rights: the view ' || name)
FROM own_relation WHERE relkind = 'v' ORDER BY name;
SELECT throws_ok(format('SELECT nextval(%L)', name), '42501', NULL, 'refused to a role without rights: the sequence ' || name)
FROM own_relation WHERE relkind = 'S' ORDER BY name;
SELECT throws_ok('SELECT ' || call, '42501', NULL, 'refused to a role without rights: ' || call)
FROM unnest(ARRAY['kb_balance(1)', 'kb_balance(1, now())', 'kb_access_stage(1::bigint)', 'kb_access(1, ''owner'')', 'kb_access(1, ''owner'', now())',
	'kb_current_usage(1)', 'kb_forecast(1, 1)', 'kb_amount_for(1, 1)', 'kb_check()', 'kb_verify(1)']) AS call;
SELECT lives_ok($$SELECT kb_access_stage(date '2026-11-01', '2026-11-05'), '1.00 USD'::kb_money + '2.00 USD', kb_rate('0.05 each', 3, 'USD'), kb_now()$$,
	'what only computes is for everyone');
RESET ROLE;

-- An attack: Mallory may call the functions, and puts her own objects before all others

SET kbilling.clock = '2026-11-01 12:00+00';
SELECT kb_create_tariff('std', 'USD'), kb_create_tariff('big', 'USD'), kb_create_service('seat', 'recurring'),
	kb_create_service('orders', 'metered'), kb_create_service('peak', 'metered', aggregation => 'max'), kb_create_service('users', 'metered', aggregation => 'unique')
\g /dev/null
SELECT kb_set_price('std', 'base', '30.00'), kb_set_price('std', 'seat', '4.00 each'), kb_set_price('big', 'base', '60.00'),
	kb_set_price('std', 'orders', '0.10 each'), kb_set_price('std', 'peak', '0.01 each'), kb_set_price('std', 'users', '1.00 each'), kb_set_bonus('std', '50.00 USD', 10)
\g /dev/null
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA kbilling TO kbilling_privilege_mallory;
GRANT SELECT ON ALL TABLES IN SCHEMA kbilling TO kbilling_privilege_mallory;
CREATE SCHEMA evil AUTHORIZATION kbilling_privilege_mallory;
SET ROLE kbilling_privilege_mallory;

CREATE TABLE evil.ran (what text);
GRANT ALL ON evil.ran TO PUBLIC;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
DO $$
DECLARE
	t text;
	op text;
	f record;
BEGIN
	-- every comparison and sum that the statements of the extension might mean
	FOREACH t IN ARRAY '{bigint,integer,date,text,boolean,timestamptz,numeric,kbilling.kb_money,kbilling.kb_stage,kbilling.kb_account_state,kbilling.kb_entry_kind}'::text[] LOOP
		FOREACH op IN ARRAY '{=,<>,<,>,<=,>=}'::text[] LOOP
			EXECUTE format('CREATE FUNCTION evil.op_%s(%s, %2$s) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO evil.ran VALUES (%L); RETURN true; END $f$',
				ascii(op) * 256 + ascii(substr(op, 2)), t, t || ' ' || op);
			EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %2$s, FUNCTION = evil.op_%s)', op, t, ascii(op) * 256 + ascii(substr(op, 2)));
		END LOOP;
	END LOOP;
	CREATE FUNCTION evil.concatenate(text, text) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO evil.ran VALUES ('||'); RETURN ''; END $f$;
	CREATE OPERATOR evil.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.concatenate);
	CREATE FUNCTION evil.minus(date, integer) RETURNS date LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO evil.ran VALUES ('-'); RETURN $1; END $f$;
	CREATE OPERATOR evil.- (LEFTARG = date, RIGHTARG = integer, FUNCTION = evil.minus);
	-- its own functions, under their own names
	FOR f IN SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
		FROM pg_proc AS p WHERE p.pronamespace = 'kbilling'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.prorettype <> 'void'::regtype
			AND NOT EXISTS (SELECT FROM unnest(p.proargtypes || p.prorettype) AS x (type) JOIN pg_type ON pg_type.oid = x.type WHERE typtype = 'p') LOOP
		EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO evil.ran VALUES (%L); RETURN NULL; END $f$',
			f.proname, f.arguments, f.result, f.proname);
	END LOOP;
	-- and functions that belong to PostgreSQL
	CREATE FUNCTION evil.coalesce_max(bigint) RETURNS bigint LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO evil.ran VALUES ('max'); RETURN 1; END $f$;
	CREATE FUNCTION evil.upper(text) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO evil.ran VALUES ('upper'); RETURN 'EUR'; END $f$;
	CREATE FUNCTION evil.to_char(date, text) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO evil.ran VALUES ('to_char'); RETURN ''; END $f$;
	CREATE FUNCTION evil.isfinite(date) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO evil.ran VALUES ('isfinite'); RETURN true; END $f$;
	CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO evil.ran VALUES ('clock_timestamp'); RETURN NULL; END $f$;
	-- and tables
	FOR f IN SELECT relname FROM pg_class WHERE relnamespace = 'kbilling'::regnamespace AND relkind IN ('r', 'v') LOOP
		EXECUTE format('CREATE TEMP TABLE %I AS SELECT * FROM kbilling.%1$I', f.relname);
		EXECUTE format('CREATE TABLE evil.%I AS SELECT * FROM kbilling.%1$I', f.relname);
	END LOOP;
	CREATE DOMAIN evil.text AS pg_catalog.text;
	CREATE DOMAIN evil.date AS pg_catalog.date;
	CREATE DOMAIN evil.jsonb AS pg_catalog.jsonb;
	CREATE DOMAIN evil.bytea AS pg_catalog.bytea;
END $$;

SET search_path = pg_temp, evil, kbilling, pg_catalog;
SELECT 1::bigint = 2::bigint, 'a' || 'b', kb_now(), upper('x')
\g /dev/null
SELECT pg_catalog.count(*) AS traps FROM evil.ran
\gset
RESET ROLE;
TRUNCATE evil.ran;
SET ROLE kbilling_privilege_mallory;

SELECT kbilling.kb_create_account('mallory', 'std', 1, 'Europe/Kyiv')
\g /dev/null
SELECT kbilling.kb_create_tariff('own', 'usd'), kbilling.kb_create_service('own', 'recurring'), kbilling.kb_set_price('own', 'base', '1.00'),
	kbilling.kb_set_bonus('own', '50.00 USD', 10), kbilling.kb_add_member(1, 'eve', 'admin'), kbilling.kb_switch_on(1, 'seat', 2), kbilling.kb_switch_off(1, 'seat', '2026-11-11'),
	kbilling.kb_set_tariff(1, 'big', '2026-11-16'), kbilling.kb_set_tariff(1, 'std', '2026-11-21'), kbilling.kb_defer(1, '2026-12-24', 'eve', 'why not')
\g /dev/null
CREATE TABLE evil.sale (account_id bigint, quantity integer, sale_no integer);
CREATE TRIGGER added AFTER INSERT ON evil.sale REFERENCING NEW TABLE AS event_set FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('orders', 'account_id', 'quantity', 'sale_no');
CREATE TRIGGER changed AFTER UPDATE ON evil.sale REFERENCING OLD TABLE AS old_row NEW TABLE AS new_row
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('orders', 'account_id', 'quantity', 'sale_no');
INSERT INTO evil.sale VALUES (1, 5, 1), (1, 6, 2);
UPDATE evil.sale SET quantity = quantity + 1;
SELECT kbilling.kb_record_usage(1, 'orders', 7, 'a'), kbilling.kb_record_usage(1, 'peak', 10, 'a'), kbilling.kb_record_usage(1, 'peak', -10, 'b'),
	kbilling.kb_record_usage_batch('[{"account_id": 1, "service": "users", "quantity": 1, "key": "a", "properties": {"who": "eve"}}]'),
	kbilling.kb_forecast(1, 3), kbilling.kb_amount_for(1, 3)
\g /dev/null
SELECT kbilling.kb_apply_topup(1, '100.00 USD', 'card', 'pay_1', 'eve') AS topup, kbilling.kb_apply_topup(1, '100.00 USD', 'card', 'pay_1', 'eve') AS again
\gset
SELECT kbilling.kb_apply_topup(1, '20.00 USD', 'card', 'pay_2')
\g /dev/null
SELECT kbilling.kb_chargeback(1, 'pay_2', 'dispute'), kbilling.kb_refund(1, '1.00 USD', 'refund'), kbilling.kb_adjust(1, '-1.00 USD', 'fee', 'fee')
\g /dev/null
SELECT kbilling.kb_reverse(1, 6, 'undo', 'undo')
\g /dev/null
RESET ROLE;
SET kbilling.clock = '2026-12-01 12:00+00';
SET ROLE kbilling_privilege_mallory;
SELECT kbilling.kb_current_usage(1), kbilling.kb_access(1, 'owner'), kbilling.kb_access(1, 'owner', '2027-02-01 12:00+00'), kbilling.kb_balance(1), kbilling.kb_balance(1, '2027-02-01 12:00+00'),
	kbilling.kb_access_stage(1::bigint), kbilling.kb_verify(1)
\g /dev/null
SELECT kbilling.kb_month_charge(1) AS charge, kbilling.kb_month_charge(1, '2026-11-01') AS charge_again
\gset
RESET ROLE;
SET kbilling.clock = '2027-01-01 12:00+00';
SET ROLE kbilling_privilege_mallory;
CALL kbilling.kb_sweep();
SELECT * FROM kbilling.account_status, kbilling.payment_history, kbilling.trial_balance, kbilling.sweep_progress, kbilling.kb_check()
\g /dev/null
RESET ROLE;
SET search_path = kbilling, public;

SELECT is(:'traps'::text, '4', 'E: the traps work where a statement is not on its guard');
SELECT is((SELECT array_agg(DISTINCT what) FROM evil.ran), NULL, 'E: nothing of a caller''s own objects is run by the extension');
SELECT is(:'topup'::text, '(1,2,"100.00 USD","10.00 USD","110.00 USD",ok,ok,f)', 'E, T5: her top-up is what it would be without them');
SELECT is(:'again'::text, '(1,2,"100.00 USD","10.00 USD","110.00 USD",ok,ok,t)', 'E, T3: and once');
-- 15 days at 30, 5 at 60, 10 at 30 a month; 10 days of 2 seats; 20 orders, 1 user
SELECT is(:'charge'::text, '(2026-11-01,8,"40.67 USD","68.33 USD",ok,f)', 'E, C3: her charge too');
SELECT is(:'charge_again'::text, '(2026-11-01,8,"40.67 USD","68.33 USD",ok,t)', 'E, C4: and once');
SELECT is((SELECT array_agg(period ORDER BY seq) FROM kbilling.entry WHERE kind = 'charge'), '{2026-11-01,2026-12-01}', 'E, W1: and the sweep');
SELECT is_empty('SELECT * FROM kb_check()', 'E, J2: and the books are right');

DROP OWNED BY kbilling_privilege_mallory, kbilling_privilege_nobody;
DROP ROLE kbilling_privilege_mallory, kbilling_privilege_nobody;
SELECT * FROM finish();
