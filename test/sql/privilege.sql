-- Who may do what (rules E): a walk through the catalog, and an attack

DROP ROLE IF EXISTS kbilling_privilege_nobody;
DROP ROLE IF EXISTS kbilling_privilege_mallory;
DROP ROLE IF EXISTS kbilling_privilege_app;
DROP ROLE IF EXISTS kbilling_privilege_payments;
DROP ROLE IF EXISTS kbilling_privilege_tables;
DROP ROLE IF EXISTS kbilling_privilege_support;
DROP ROLE IF EXISTS kbilling_privilege_operator;
DROP ROLE IF EXISTS kbilling_privilege_auditor;
DROP ROLE IF EXISTS kbilling_privilege_two;
DROP ROLE IF EXISTS kbilling_privilege_renamed;
CREATE ROLE kbilling_privilege_nobody;
CREATE ROLE kbilling_privilege_mallory;
SET search_path = kbilling, public;
SELECT no_plan();

CREATE TEMP TABLE own AS	-- the functions of the extension
	SELECT p.oid, p.oid::regprocedure::text AS signature, p.proname, p.prokind, p.provolatile, p.prosecdef, p.proconfig,
		p.prolang, p.prosqlbody, p.proargtypes,
		p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) AS is_trigger
	FROM pg_proc AS p WHERE p.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace);
CREATE TEMP TABLE own_relation AS
	SELECT c.oid, c.oid::regclass::text AS name, c.relkind, c.reloptions FROM pg_class AS c
	WHERE c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace)
		AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c');
GRANT SELECT ON own, own_relation TO PUBLIC;
SELECT cmp_ok((SELECT count(*) FROM own), '>', 60::bigint, 'the walk finds the functions');
SELECT cmp_ok((SELECT count(*) FROM own_relation WHERE relkind IN ('r', 'v')), '>', 15::bigint, 'the walk finds the tables and views');

-- PUBLIC

SELECT is_empty($$SELECT signature FROM own WHERE (provolatile = 'v' OR prokind = 'p')
	AND has_function_privilege('kbilling_privilege_nobody', oid, 'EXECUTE')$$,
	'nothing that changes data is executable by everyone');
SELECT is_empty($$SELECT signature FROM own WHERE prosecdef AND has_function_privilege('kbilling_privilege_nobody', oid, 'EXECUTE')$$,
	'nothing that runs with the owner''s rights is executable by everyone');
SELECT is_empty($$SELECT r.name, p FROM own_relation AS r, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p
		WHERE relkind NOT IN ('S', 'c') AND has_table_privilege('kbilling_privilege_nobody', oid, p)$$,
			'no table or view is open to everyone');
SELECT is_empty($$SELECT r.name, a.attname FROM own_relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid
	WHERE a.attacl IS NOT NULL$$, 'nor any column');
SELECT is_empty($$SELECT r.name, p FROM own_relation AS r, unnest('{USAGE,SELECT,UPDATE}'::text[]) AS p
		WHERE relkind = 'S' AND has_sequence_privilege('kbilling_privilege_nobody', oid, p)$$, 'nor any sequence');
SELECT ok(NOT has_schema_privilege('kbilling_privilege_nobody', 'kbilling', 'CREATE'), 'nobody can plant an object in the schema');
SELECT ok(has_schema_privilege('kbilling_privilege_nobody', 'kbilling', 'USAGE'), 'everyone can use its types');

-- How functions and views find names

-- What is asked at each request pins no path, as its C runs no name that is not written out; below, it is called under traps.
CREATE TEMP TABLE unpinned AS SELECT oid::regprocedure FROM (VALUES ('kb_access(bigint, kb_role)'), ('kb_access_stage(bigint)'),
	('kb_balance(bigint)'), ('kb_login(bigint, text)'), ('kb_act_as(bigint, text)'),
	('kbilling_internal.kb_next_now(bigint, date, date, date, text, text, date, date)'),
	('kbilling_internal.kb_may_use()'), ('kbilling_internal.kb_check_access(bigint[], boolean, oid)')) AS t (oid);
SELECT is_empty($$SELECT oid::regprocedure FROM unpinned NATURAL JOIN own WHERE NOT prosecdef OR proconfig IS NOT NULL
	OR prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c')$$, 'what pins no path is C');
SELECT is_empty($$
	SELECT signature, proconfig FROM own WHERE prosecdef AND oid NOT IN (SELECT oid FROM unpinned) AND NOT EXISTS (
		SELECT FROM unnest(proconfig) AS c (setting), string_to_array(substr(setting, 13), ', ') AS path
		WHERE setting LIKE 'search_path=%' AND path[cardinality(path)] = 'pg_temp'
			AND NOT EXISTS (SELECT FROM unnest(trim_array(path, 1)) AS s
				WHERE s = 'pg_temp' OR s LIKE '%$user%' OR has_schema_privilege('kbilling_privilege_nobody', s, 'CREATE')))$$,
	'what runs with the owner''s rights looks into schemas that no user can write, and into pg_temp last');
SELECT is_empty($$SELECT signature FROM own WHERE prosecdef AND prokind = 'p'$$, 'a procedure that commits keeps its caller''s rights');
SELECT is_empty($$SELECT signature FROM own WHERE prolang = (SELECT oid FROM pg_language WHERE lanname = 'sql') AND prosqlbody IS NULL$$,
	'functions in SQL have bound their names when they were made');
SELECT is_empty($$SELECT signature FROM own
	WHERE prolang NOT IN (SELECT oid FROM pg_language WHERE lanname IN ('c', 'sql', 'internal')) AND prokind <> 'a'$$,
	'nothing is in another language');
SELECT is_empty($$SELECT name FROM own_relation WHERE relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)
	AND name <> 'account_access'$$, 'views read with the rights of who asks, but for the one that shows what kb_access does');

-- Comments

CREATE TEMP VIEW commented AS
	SELECT d.classid, d.objid, 0 AS objsubid FROM pg_depend AS d
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension
		WHERE extname = 'kbilling')
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
		WHERE NOT EXISTS (SELECT FROM pg_description AS d WHERE (d.classoid, d.objoid, d.objsubid) = (c.classid, c.objid,
			c.objsubid) AND d.description <> '')$$,
	'everything says what it is');

-- A role without rights

SET ROLE kbilling_privilege_nobody;
SELECT throws_ok(format('%s %s(%s)', CASE prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT' END, oid::regproc,
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
FROM unnest(ARRAY['kb_balance(1)', 'kb_balance(1, now())', 'kb_access_stage(1::bigint)', 'kb_access(1, ''owner'')',
	'kb_access(1, ''owner'', now())',
	'kb_current_usage(1)', 'kb_forecast(1, 1)', 'kb_amount_for(1, 1)', 'kb_check()', 'kb_verify(1)']) AS call;
SELECT lives_ok($$SELECT kb_access_stage(date '2026-11-01', '2026-11-05'), '1.00 USD'::kb_money + '2.00 USD',
	kb_rate('0.05 each', 3, 'USD'), kb_now(), kb_format_message('{a}', 'en', '{"a": 1}')$$,
	'what only computes is for everyone');
RESET ROLE;

-- What kb_grant gives, and docs/reference.md says

\set rights `sed -n '/^### What kb_grant gives/,/^## /p' docs/reference.md`
CREATE ROLE kbilling_privilege_app;
CREATE ROLE kbilling_privilege_payments;
CREATE ROLE kbilling_privilege_tables;
CREATE ROLE kbilling_privilege_support;
CREATE ROLE kbilling_privilege_operator;
CREATE ROLE kbilling_privilege_auditor;
CREATE ROLE kbilling_privilege_two;
CREATE TEMP TABLE granted (role name, granted_as text);
INSERT INTO granted SELECT 'kbilling_privilege_' || a, a FROM unnest('{app,payments,support,operator,auditor,tables}'::text[]) AS a;
CREATE TEMP TABLE documented AS
	SELECT trim(cell[2], ' `') AS object, a.granted_as, upper(p.privilege) AS privilege
	FROM string_to_table(:'rights', E'\n') AS line, string_to_array(line, '|') AS cell,
		(VALUES ('app', 3), ('payments', 4), ('support', 5), ('operator', 6), ('auditor', 7), ('tables', 8)) AS a (granted_as, n),
			string_to_table(trim(cell[a.n]), ', ') AS p (privilege)
	WHERE line LIKE '| `%' AND p.privilege <> '';
GRANT SELECT ON granted, documented TO PUBLIC;
SELECT is((SELECT count(*) FROM string_to_table(:'rights', E'\n') AS line WHERE line LIKE '| `%'),
	(SELECT count(DISTINCT object) FROM documented), 'the walk reads every row of the documentation');
SELECT cmp_ok((SELECT count(*) FROM documented), '>', 100::bigint, 'and every cell');
SELECT is_empty($$SELECT object, privilege FROM documented AS d WHERE CASE privilege
	WHEN 'EXECUTE' THEN NOT EXISTS (SELECT FROM own WHERE replace(signature, 'kbilling.', '') = d.object)
		ELSE NOT EXISTS (SELECT FROM own_relation WHERE name = d.object) END$$, 'what is documented is there');
CREATE TEMP VIEW right_now AS	-- what each role may do that not everyone may
	SELECT r.rolname AS role, o.signature AS object, 'EXECUTE' AS privilege FROM pg_roles AS r, own AS o
	WHERE has_function_privilege(r.oid, o.oid, 'EXECUTE') AND NOT has_function_privilege('kbilling_privilege_nobody', o.oid, 'EXECUTE')
	UNION ALL
	SELECT r.rolname, o.name, p FROM pg_roles AS r, own_relation AS o,
		unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p
	WHERE o.relkind NOT IN ('S', 'c') AND has_table_privilege(r.oid, o.oid, p)
	UNION ALL
	SELECT r.rolname, o.name, p FROM pg_roles AS r, own_relation AS o, unnest('{USAGE,SELECT,UPDATE}'::text[]) AS p
	WHERE o.relkind = 'S' AND has_sequence_privilege(r.oid, o.oid, p);
CREATE FUNCTION pg_temp.rights_of(name) RETURNS SETOF text LANGUAGE sql
	AS 'SELECT privilege || '' '' || object FROM right_now WHERE role = $1';
CREATE FUNCTION pg_temp.rights_as(VARIADIC text[]) RETURNS SETOF text LANGUAGE sql
	AS 'SELECT DISTINCT privilege || '' '' || object FROM documented WHERE granted_as = ANY ($1)';
CREATE FUNCTION pg_temp.expect(role text, what text, VARIADIC granted_as text[]) RETURNS text LANGUAGE sql AS $$
	SELECT public.set_eq(format('SELECT pg_temp.rights_of(%L)', role),
		format('SELECT pg_temp.rights_as(VARIADIC %L)', granted_as), what) $$;
CREATE FUNCTION pg_temp.grants(f text, role text, VARIADIC granted_as text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a text;
BEGIN
	FOREACH a IN ARRAY granted_as LOOP
		EXECUTE format('SELECT kbilling.%s(%L, %L)', f, quote_ident(role), a);
	END LOOP;
END $$;
SELECT is_empty('SELECT role, pg_temp.rights_of(role) FROM granted', 'a new role has nothing');
SELECT pg_temp.grants('kb_grant', role, granted_as) FROM granted
\g /dev/null
SELECT pg_temp.expect(role, format('%s has what the documentation says, and nothing else', granted_as), granted_as) FROM granted;
SELECT is_empty('SELECT pg_temp.rights_of(''kbilling_privilege_nobody'')', 'who is granted nothing has nothing');
SELECT is_empty($$SELECT object FROM documented WHERE granted_as = 'app' AND object ~ 'template|notice_kind'$$,
	'N4: an app has nothing to do with the texts of notices');
SELECT is_empty($$SELECT role FROM granted WHERE has_schema_privilege(role, 'kbilling', 'CREATE')$$,
	'nobody can plant an object in the schema');
SELECT set_eq('SELECT granted_as, privilege, CASE kind WHEN ''ROUTINE'' THEN object::regprocedure::text ELSE '
	'object::regclass::text END FROM role_right',
	'SELECT granted_as, privilege, object FROM documented', 'role_right is what is documented');

-- What is given works, down to what it calls

\ir ../include/outcome.sql
SET kbilling.clock = '2026-11-01 12:00+00';
CREATE TEMP TABLE call (n int GENERATED ALWAYS AS IDENTITY, granted_as text, call text);
INSERT INTO call (granted_as, call) VALUES
	('operator', 'kb_create_tariff(''work'', ''USD'')'), ('operator', 'kb_create_service(''desk'', ''recurring'')'),
	('operator', 'kb_create_service(''calls'', ''metered'')'), ('operator', 'kb_create_service(''pack'', ''one_off'')'),
	('operator', 'kb_set_price(''work'', ''pack'', ''1.00'')'),
	('operator', 'kb_set_minimum(''work'', ''1.00 USD'')'), ('operator', 'kb_create_discount_code(''FEST'', 10)'),
	('operator', 'kb_create_discount_code(''GONE'', 10)'), ('operator', 'kb_drop_discount_code(''GONE'')'),
	('operator', 'kb_set_price(''work'', ''base'', ''30.00'')'),
	('operator', 'kb_set_price(''work'', ''desk'', ''4.00 each'')'), ('operator', 'kb_set_price(''work'', ''calls'', ''1.00 each'')'),
	('operator', 'kb_set_bonus(''work'', ''50 USD'', 10)'), ('operator', 'kb_check()'),
	('operator', 'kb_set_template(''charge_posted'', ''de'', ''{month}'', ''{amount}'')'),
	('operator', 'kbilling_internal.kb_template(''standard'', ''charge_posted'', ''de'')'),
	('operator', 'kb_drop_template(''charge_posted'', ''de'')'),
	('operator', 'kb_set_name(''service'', ''desk'', ''de'', ''Platz'')'),
	('app', 'kb_create_account(''own'', ''work'', 901)'), ('app', 'kb_add_member(901, ''emp'', ''admin'')'),
	('app', 'kb_set_role(901, ''emp'', ''employee'')'), ('app', 'kb_login(901, ''emp'')'), ('app', 'kb_act_as(901, ''own'')'),
	('app', 'kb_switch_on(901, ''desk'', 2)'), ('app', 'kb_switch_off(901, ''desk'', ''2026-11-11'')'),
	('app', 'kb_record_usage(901, ''calls'', 3, ''a'')'),
	('app', 'kb_record_usage_batch(''[{"account_id": 901, "service": "calls", "quantity": 1, "key": "b"}]'')'),
	('app', 'kb_record_usage_each(''[{"account_id": 901, "service": "calls", "quantity": 1, "key": "c"}]'')'),
	('app', 'kb_hold_usage(901, ''calls'', 1, ''h'', ''2100-01-01'')'), ('app', 'kb_release_usage(901, ''calls'', ''h'')'),
	('app', 'kb_available(901)'), ('app', 'kb_set_account_alert(901, ''balance'', 5)'),
	('app', 'kb_drop_account_alert(901, ''balance'', 5)'),
	('app', 'kb_available(901)'), ('app', 'kb_redeem_code(901, ''FEST'', ''own'')'), ('support', 'kb_set_discount(901, 5)'),
	('app', 'kb_begin_topup(901, ''own'', ''100 USD'', ''card'')'), ('app', 'kb_begin_topup(901, ''own'', ''10 USD'', ''card'')'),
	('payments', 'kb_apply_topup(901, ''100 USD'', ''card'', ''p'', payment_id => 1)'),
	('app', 'kb_buy(901, ''pack'', 1, ''bought'')'),
	('payments', 'kb_fail_topup(901, 2, ''declined'')'), ('app', 'kb_topup_offers(901)'), ('app', 'kb_balance(901)'),
	('app', 'kb_balance(901, now())'),
	('app', 'kb_access_stage(901::bigint)'), ('app', 'kb_access_stage(901::bigint, now())'),
	('app', 'kb_access(901, ''owner'')'),
	('app', 'account_access'), ('support', 'account_access'), ('auditor', 'account_access'),
	('app', 'kb_access(901, ''owner'', now())'), ('app', 'kb_current_usage(901)'),
	('app', 'kb_forecast(901, 3)'),
	('app', 'kb_amount_for(901, 3)'), ('app', 'kb_portal(901, ''own'')'),
	('app', 'kb_history(901, ''own'')'), ('app', 'kb_history(901, ''own'', 2, 1)'),
	('app', 'kb_set_metadata(901, ''{"crm": "A-17"}'')'), ('app', 'kb_metadata(901)'), ('app', 'kb_set_tariff(901, ''work'')'),
	('app', 'kb_set_billing_details(901, ''{"name": "Acme"}'')'), ('support', 'kb_set_billing_details(901, NULL)'),
	('app', 'kb_set_contact(901, ''own'', ''own@example.org'')'), ('app', 'kb_take_notices(10, ''1 minute'')'),
	('app', 'kb_render_notice(901, 1)'), ('app', 'kb_fail_notice(901, 1, ''no'')'), ('app', 'kb_ack_notice(901, 1)'),
	('app', 'kb_create_account(''own'', ''work'', 902, created_at => ''2026-09-01 00:00+00'')'),
	('support', 'kb_schedule_closure(902, ''sue'')'), ('app', 'kb_cancel_closure(902, ''own'')'), ('operator', 'kb_retry_notice(901, 1)'),
	('app', 'kb_end_account(902, ''own'')'), ('app', 'kb_continue_account(902, ''own'')'),
	('support', 'kb_end_account(902, ''sue'', ''2100-01-01'', ''asked'')'), ('support', 'kb_continue_account(902, ''sue'')'),
	('app', 'kb_remove_member(901, ''emp'')'),
	('support', 'kb_add_member(901, ''two'', ''admin'')'), ('support', 'kb_set_role(901, ''two'', ''owner'')'),
	('support', 'kb_remove_member(901, ''two'')'), ('support', 'kb_switch_on(901, ''desk'', 1, ''2026-11-20'')'),
	('support', 'kb_defer(901, ''2026-11-20'', ''sue'', ''asked'')'),
	('support', 'kb_apply_topup(901, ''10 USD'', ''manual'', ''q'')'), ('support', 'kb_refund(901, ''1 USD'', ''back'')'),
	('support', 'kb_adjust(901, ''1 USD'', ''gift'', ''gift'')'),
	('support', 'kb_reverse(901, 5, ''undo'', ''undo'')'), ('support', 'kb_chargeback(901, ''p'', ''dispute'')'),
	('support', 'kb_adjust(901, ''-50 USD'', ''fee'', ''fee'')'), ('support', 'kb_write_off(901, ''gone'', ''gone'')'),
	('payments', 'kb_apply_topup(901, ''40 USD'', ''card'', ''r'')'), ('payments', 'kb_refund(901, ''2 USD'', ''back 2'')'),
	('payments', 'kb_reverse_refund(901, ''back 2'', ''not back'')'), ('payments', 'kb_chargeback(901, ''r'', ''dispute 2'')'),
	('payments', 'kb_reverse_chargeback(901, ''dispute 2'', ''won'')'), ('payments', 'kb_refund_total(901, ''r'', ''3 USD'', ''back 3'')'),
	('payments', 'kb_unsettled_payments()'), ('support', 'kb_refund_total(901, ''r'', ''4 USD'', ''back 4'')'),
	('support', 'kb_unsettled_payments()'),
	('support', 'kb_reverse_refund(901, ''back 2'', ''not back'')'), ('support', 'kb_reverse_chargeback(901, ''dispute 2'', ''won'')'),
	('support', 'kb_verify(901)'), ('support', 'kb_portal(901, ''own'')'), ('support', 'kb_history(901, ''own'')'),
	('support', 'kb_set_metadata(901, ''{"asked": "by phone"}'')'), ('support', 'kb_metadata(901)'), ('auditor', 'kb_metadata(901)'),
	('support', 'kb_forecast(901, 3)'), ('support', 'kb_current_usage(901)'), ('support', 'kb_topup_offers(901)'),
	('auditor', 'kb_balance(901)'), ('auditor', 'kb_balance(901, now())'), ('auditor', 'kb_access(901, ''owner'')'),
	('auditor', 'kb_access_stage(901::bigint)'), ('auditor', 'kb_current_usage(901)'), ('auditor', 'kb_forecast(901, 3)'),
	('auditor', 'kb_amount_for(901, 3)'),
	('auditor', 'kb_topup_offers(901)'), ('auditor', 'kb_verify(901)'), ('auditor', 'kb_check()');
-- What everyone may call, and what is not STRICT, takes NULL, whatever there is: a crash would end all sessions.
SELECT kb_create_tariff('nulls', 'USD'), kb_set_minimum('nulls', '1.00 USD') \g /dev/null
CREATE TEMP VIEW called_with_nulls AS
	SELECT signature, format('SELECT %s(%s)', oid::regproc, (SELECT string_agg('NULL::' || format_type(t, NULL), ', ' ORDER BY n)
		FROM unnest(proargtypes) WITH ORDINALITY AS a (t, n))) AS call
	FROM own JOIN (SELECT p.oid, p.proisstrict FROM pg_proc AS p) AS p USING (oid)
	WHERE prokind = 'f' AND NOT is_trigger AND NOT proisstrict AND proargtypes <> '' AND NOT 'internal'::regtype = ANY (proargtypes)
		AND has_function_privilege('kbilling_privilege_nobody', oid, 'EXECUTE');
SELECT cmp_ok((SELECT count(*) FROM called_with_nulls), '>', 50::bigint, 'there are such functions');
SELECT is_empty($$SELECT signature, o FROM called_with_nulls, LATERAL pg_temp.outcome(call, 'kbilling_privilege_nobody') AS o
	WHERE o ~ '^XX'$$, 'and none fails by them from within');
CREATE TEMP TABLE moved (granted_as text, call text, entries bigint);
CREATE FUNCTION pg_temp.called(call text, granted_as text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	entries bigint = (SELECT count(*) FROM kbilling.entry);
	outcome text = pg_temp.outcome('SELECT * FROM ' || call, 'kbilling_privilege_' || granted_as);
BEGIN
	INSERT INTO moved SELECT $2, $1, count(*) - entries FROM kbilling.entry;
	RETURN outcome;
END $$;
SELECT is(pg_temp.called(call, granted_as), 'through', format('%s calls %s', granted_as, call))
FROM (SELECT * FROM call ORDER BY n) AS c;
SELECT is((SELECT array_agg(DISTINCT granted_as ORDER BY granted_as) FROM moved WHERE entries > 0 AND call NOT LIKE 'kb_buy(%'),
	'{payments,support}', 'E6: payments and support move money, an app spends by purchases alone');
SELECT is_empty($$SELECT p.proname FROM own AS p JOIN documented AS d ON d.object = p.signature
	WHERE d.granted_as IN ('app', 'payments') AND NOT p.is_trigger AND p.proname NOT LIKE 'kb_granted_as_%'
		AND NOT EXISTS (SELECT FROM call AS c WHERE c.granted_as = d.granted_as AND (c.call LIKE p.proname || '(%'
			OR c.call = 'account_access' AND p.proname IN ('kb_stage_now', 'kb_access_now', 'kb_next_now')))$$,
	'all that an app and a webhook are granted was called');
SELECT is(pg_temp.outcome('SELECT count(to_jsonb(x)) FROM ' || object || ' AS x', role), 'through',
	format('%s reads %s', granted_as, object)) FROM documented JOIN granted USING (granted_as) WHERE privilege = 'SELECT'
	ORDER BY granted_as, object;
SET ROLE kbilling_privilege_operator;
SELECT lives_ok($$SELECT kb_set_policy('mine', '{"remind_day": 2}')$$, 'an operator writes policies');
SELECT throws_ok($$INSERT INTO policy (policy) VALUES ('unlogged')$$, '42501', NULL, 'J9: and none that the log would not show');
CALL kb_sweep();
RESET ROLE;
CREATE SCHEMA ours AUTHORIZATION kbilling_privilege_tables;
SET ROLE kbilling_privilege_tables;
CREATE TABLE ours.ours (account_id bigint REFERENCES kbilling.account);
CREATE TRIGGER guard BEFORE INSERT ON ours.ours FOR EACH ROW EXECUTE FUNCTION kb_guard('account_id');
CREATE TRIGGER meter AFTER INSERT ON ours.ours REFERENCING NEW TABLE AS added FOR EACH STATEMENT
	EXECUTE FUNCTION kb_meter('calls', 'account_id');
SELECT lives_ok('INSERT INTO ours.ours VALUES (901)', 'who owns the application''s tables guards and meters them, and refers to accounts');
GRANT USAGE ON SCHEMA ours TO kbilling_privilege_app;
GRANT INSERT ON ours.ours TO kbilling_privilege_app;
SET ROLE kbilling_privilege_app;
SELECT lives_ok('INSERT INTO ours.ours VALUES (901)', 'an app writes to them');
RESET ROLE;

-- E6: an app cannot credit itself: neither by what moves money, nor by what leads to it

CREATE TEMP TABLE before_attack AS SELECT count(*) AS entries, sum(balance) AS balance FROM account, entry;
SELECT is(left(pg_temp.outcome(statement, 'kbilling_privilege_app'), 5), '42501', format('E6: an app is refused: %s', statement))
FROM unnest(ARRAY[
	'SELECT kb_apply_topup(901, ''100 USD'', ''manual'', ''gift'')', 'SELECT kb_apply_topup(901, ''1 USD'', ''card'', ''p'', ''own'', 1)',
	'SELECT kb_fail_topup(901, 1, ''no'')', 'SELECT kb_refund(901, ''1 USD'', ''x'')', 'SELECT kb_reverse_refund(901, ''back'', ''x'')',
	'SELECT kb_chargeback(901, ''p'', ''x'')', 'SELECT kb_reverse_chargeback(901, ''dispute'', ''x'')',
	'SELECT kb_refund_total(901, ''p'', ''1 USD'', ''x'')', 'SELECT kb_unsettled_payments()',
	'SELECT kbilling_internal.kb_reverse_kind(901, ''charge'', ''x'', ''y'', ''z'')',
	'SELECT kb_adjust(901, ''100 USD'', ''x'', ''x'')', 'SELECT kb_write_off(901, ''x'', ''x'')', 'SELECT kb_reverse(901, 1, ''x'', ''x'')',
	'SELECT kb_month_charge(901)', 'CALL kb_sweep()', 'SELECT kb_schedule()', 'SELECT kb_defer(901, ''2026-12-01'', ''x'', ''x'')',
	'SELECT kb_schedule_closure(901, ''x'')', 'SELECT kb_restore_account(901, ''x'')',
	'SELECT kb_set_name(''tariff'', ''work'', ''en'', ''gift'')',
	'SELECT kb_create_tariff(''gift'', ''USD'')', 'SELECT kb_create_service(''gift'', ''recurring'')',
	'SELECT kb_set_price(''work'', ''base'', ''0.00'', ''2026-11-01'')',
	'SELECT kb_set_bonus(''work'', ''1 USD'', 100)', 'SELECT kb_register_purge(''pg_class'', ''oid'')',
	'SELECT kb_grant(''kbilling_privilege_app'', ''payments'')', 'GRANT EXECUTE ON FUNCTION kb_write_off TO kbilling_privilege_app',
	'SET kbilling.clock = ''2030-01-01''', 'ALTER TABLE entry DISABLE TRIGGER USER',
	'CREATE TRIGGER meter AFTER INSERT ON ours.ours REFERENCING NEW TABLE AS added FOR EACH STATEMENT '
	'EXECUTE FUNCTION kb_meter(''calls'', ''account_id'')',
	'CREATE FUNCTION pg_temp.credit(bigint, kb_money, text, text) RETURNS bigint LANGUAGE c AS ''kbilling'', ''kb_adjust''',
	'CREATE FUNCTION pg_temp.credit() RETURNS kb_topup_result LANGUAGE sql '
	'AS $f$SELECT kb_apply_topup(901, ''1 USD'', ''card'', ''x'')$f$; '
	'SELECT pg_temp.credit()']) AS statement;
SELECT is(left(pg_temp.outcome(format(statement, name), 'kbilling_privilege_app'), 5), '42501',
	format('E6: an app is refused: ' || statement, name))
FROM own_relation, unnest(ARRAY['INSERT INTO %s DEFAULT VALUES', 'DELETE FROM %s', 'TRUNCATE %s', 'LOCK TABLE %s']) AS statement
WHERE relkind = 'r' AND NOT (statement ~ 'LOCK'
	AND name = ANY ('{tariff,service,price,bonus_tier,credit_line,usage_limit,tariff_minimum,payment_method,catalogue_name}'))
ORDER BY name, statement;
SELECT is(left(pg_temp.outcome(format('SELECT FROM %s', name), 'kbilling_privilege_app'), 5), '42501',
	format('E6: an app does not read %s: it reads an account''s page and history', name))
FROM own_relation WHERE relkind IN ('r', 'v')
	AND name <> ALL ('{account_access,tariff,service,price,price_list,bonus_tier,credit_line,usage_limit,tariff_minimum,payment_method,'
		'catalogue_name,standard_name}')
ORDER BY name;
SELECT results_eq('SELECT count(*), sum(balance) FROM account, entry', 'SELECT * FROM before_attack', 'E6: no balance has moved');

-- Taken back, but for what the role has as something else

SELECT pg_temp.grants('kb_grant', 'kbilling_privilege_two', 'app', 'support', 'auditor')
\g /dev/null
SELECT pg_temp.expect('kbilling_privilege_two', 'granted as three', 'app', 'support', 'auditor');
SELECT pg_temp.grants('kb_revoke', 'kbilling_privilege_two', 'support')
\g /dev/null
SELECT pg_temp.expect('kbilling_privilege_two', 'support taken back: what app and auditor share with it stays', 'app', 'auditor');
SELECT pg_temp.grants('kb_revoke', 'kbilling_privilege_two', 'operator')
\g /dev/null
SELECT pg_temp.expect('kbilling_privilege_two', 'taken back what it is not', 'app', 'auditor');
SELECT pg_temp.grants('kb_grant', 'kbilling_privilege_two', 'app'), pg_temp.grants('kb_revoke', 'kbilling_privilege_two', 'app')
\g /dev/null
SELECT pg_temp.expect('kbilling_privilege_two', 'granted twice and taken back once: gone', 'auditor');
SELECT pg_temp.grants('kb_revoke', 'kbilling_privilege_two', 'auditor')
\g /dev/null
SELECT is_empty('SELECT pg_temp.rights_of(''kbilling_privilege_two'')', 'all taken back: nothing is left');

-- Rights that are part of others: payments are part of what support may do

SELECT pg_temp.grants('kb_grant', 'kbilling_privilege_two', 'support'), pg_temp.grants('kb_revoke', 'kbilling_privilege_two', 'support')
\g /dev/null
SELECT is_empty('SELECT pg_temp.rights_of(''kbilling_privilege_two'')',
	'E6: support taken back: no payments are left, as they were never granted');
SELECT pg_temp.grants('kb_grant', 'kbilling_privilege_two', 'payments', 'support'),
	pg_temp.grants('kb_revoke', 'kbilling_privilege_two', 'support')
\g /dev/null
SELECT pg_temp.expect('kbilling_privilege_two', 'E6: granted as both, support taken back: payments stay', 'payments');

-- What was revoked by hand of other rights is not given again, and does not make kb_revoke take more
SELECT pg_temp.grants('kb_grant', 'kbilling_privilege_two', 'support')
\g /dev/null
REVOKE EXECUTE ON FUNCTION kb_adjust(bigint, kb_money, text, text), kb_login(bigint, text) FROM kbilling_privilege_two;
SELECT pg_temp.grants('kb_grant', 'kbilling_privilege_two', 'payments', 'app', 'tables', 'operator', 'auditor')
\g /dev/null
SELECT ok(NOT has_function_privilege('kbilling_privilege_two', 'kb_adjust(bigint, kb_money, text, text)', 'EXECUTE'),
	'E6: kb_grant gives no right of other rights that was revoked by hand');
SELECT pg_temp.grants('kb_revoke', 'kbilling_privilege_two', 'payments', 'app', 'tables', 'operator', 'auditor')
\g /dev/null
SELECT set_eq('SELECT pg_temp.rights_of(''kbilling_privilege_two'')',
	'SELECT * FROM pg_temp.rights_as(''support'') r WHERE r NOT LIKE ''%kb_adjust(%''',
	'E6: nor does kb_revoke take what support still has');
SELECT pg_temp.grants('kb_grant', 'kbilling_privilege_two', 'payments')
\g /dev/null
REVOKE EXECUTE ON FUNCTION kb_fail_topup(bigint, bigint, text) FROM kbilling_privilege_two;
SELECT pg_temp.grants('kb_revoke', 'kbilling_privilege_two', 'support')
\g /dev/null
SELECT set_eq('SELECT pg_temp.rights_of(''kbilling_privilege_two'')',
	'SELECT * FROM pg_temp.rights_as(''payments'') r WHERE r NOT LIKE ''%kb_fail_topup(%''',
	'E6: payments stay, but for what was revoked of them');
SELECT pg_temp.grants('kb_revoke', 'kbilling_privilege_two', 'payments')
\g /dev/null

-- Granted again after an upgrade, for what has come: as if these two had
SELECT pg_temp.grants('kb_grant', 'kbilling_privilege_two', 'app', 'support')
\g /dev/null
REVOKE EXECUTE ON FUNCTION kb_balance(bigint), kb_login(bigint, text) FROM kbilling_privilege_two;
SELECT pg_temp.grants('kb_grant', 'kbilling_privilege_two', 'app', 'support')
\g /dev/null
SELECT ok(has_function_privilege('kbilling_privilege_two', 'kb_login(bigint, text)', 'EXECUTE'),
	'granted again: a right of one kind that has come');
SELECT ok(has_function_privilege('kbilling_privilege_two', 'kb_balance(bigint)', 'EXECUTE'),
	'granted again: a right of both kinds that has come');
SELECT pg_temp.grants('kb_revoke', 'kbilling_privilege_two', 'app', 'support'), pg_temp.grants('kb_grant', 'kbilling_privilege_two', 'app')
\g /dev/null
DROP OWNED BY kbilling_privilege_two;
DROP ROLE kbilling_privilege_two;
CREATE ROLE kbilling_privilege_two;
SELECT pg_temp.grants('kb_grant', 'kbilling_privilege_two', 'support')
\g /dev/null
SELECT pg_temp.expect('kbilling_privilege_two', 'a role that is made anew', 'support');
SELECT pg_temp.grants('kb_revoke', 'kbilling_privilege_two', 'app', 'support'),
	pg_temp.grants('kb_grant', 'kbilling_privilege_two', 'app', 'support')
\g /dev/null
ALTER ROLE kbilling_privilege_two RENAME TO kbilling_privilege_renamed;
SELECT pg_temp.grants('kb_revoke', 'kbilling_privilege_renamed', 'support')
\g /dev/null
SELECT pg_temp.expect('kbilling_privilege_renamed', 'a role that is renamed', 'app');
DROP OWNED BY kbilling_privilege_renamed;
DROP ROLE kbilling_privilege_renamed;

-- To whom, as what, and by whom

SELECT is(left(pg_temp.outcome('SELECT kbilling.' || f || call), 5), expected, f || call)
	FROM unnest('{kb_grant,kb_revoke}'::text[]) AS f, (VALUES
	('(''kbilling_privilege_nobody'', ''boss'')', '22023'), ('(''kbilling_privilege_nobody'', ''App'')', '22023'),
	('(''kbilling_privilege_nobody'', '''')', '22023'), ('(''kbilling_privilege_nobody'', NULL)', '22004'),
	('(NULL, ''app'')', '22004'), ('(NULL, NULL)', '22004'), ('(''kbilling_no_such_role'', ''app'')', '42704'),
		('(0::oid::regrole, ''app'')', '42704'), ('(4294967295::oid::regrole, ''app'')', '42704'), ('(''public'', ''app'')', '42704')
) AS t (call, expected);
CREATE TEMP TABLE hostile (name name);
INSERT INTO hostile VALUES ('kbilling privilege; DROP TABLE kbilling.entry; --'), ('kbilling"privilege'),
	('kbilling''privilege'), ('Kbilling_Privilege'), ('kbilling\privilege'), ('kbilling$$privilege'), ('kbilling, public'),
	('current_user'), ('PUBLIC'), (rpad('kbilling', 63, 'x'));
SELECT format('DROP ROLE IF EXISTS %s; CREATE ROLE %1$s', '"' || replace(name, '"', '""') || '"') FROM hostile
\gexec
CREATE FUNCTION pg_temp.hostile(f text, name) RETURNS void LANGUAGE plpgsql AS
	$$BEGIN EXECUTE format('SELECT kbilling.%s(%s::regrole, ''app'')', f, (SELECT oid FROM pg_roles WHERE rolname = $2)); END$$;
SELECT pg_temp.hostile('kb_grant', name) FROM hostile
\g /dev/null
SELECT pg_temp.expect(name, format('a role of the name %s', name), 'app') FROM hostile;
SELECT is_empty('SELECT pg_temp.rights_of(''kbilling_privilege_nobody'')', 'and no other role');
SELECT pg_temp.hostile('kb_revoke', name) FROM hostile
\g /dev/null
SELECT is_empty(format('SELECT pg_temp.rights_of(%L)', name), format('taken back from %s', name)) FROM hostile;
SELECT format('DROP ROLE %s', '"' || replace(name, '"', '""') || '"') FROM hostile
\gexec
SELECT is(left(pg_temp.outcome(format('SELECT kbilling.%s(''kbilling_privilege_nobody'', ''app'')', f), role), 5), '42501',
	format('%s is for the owner alone, not for %s', f, granted_as))
FROM unnest('{kb_grant,kb_revoke}'::text[]) AS f, granted;
GRANT EXECUTE ON FUNCTION kb_grant(regrole, text), kb_revoke(regrole, text) TO kbilling_privilege_operator;
SELECT is(left(pg_temp.outcome(format('SELECT kbilling.%s(''kbilling_privilege_nobody'', ''app'')', f),
	'kbilling_privilege_operator'), 5), '42501', f || ' gives no more than its caller has')
FROM unnest('{kb_grant,kb_revoke}'::text[]) AS f;
SELECT is_empty('SELECT pg_temp.rights_of(''kbilling_privilege_nobody'')', 'so nothing was given');
SELECT pg_temp.grants('kb_revoke', role, granted_as) FROM granted
\g /dev/null
SELECT is((SELECT string_agg(DISTINCT r, ', ') FROM granted, pg_temp.rights_of(role) AS r),
	'EXECUTE kb_grant(regrole,text), EXECUTE kb_revoke(regrole,text)', 'all is taken back but for what was given by hand');
DROP OWNED BY kbilling_privilege_app, kbilling_privilege_payments, kbilling_privilege_support, kbilling_privilege_operator,
	kbilling_privilege_auditor, kbilling_privilege_tables;
DROP ROLE kbilling_privilege_app, kbilling_privilege_payments, kbilling_privilege_support, kbilling_privilege_operator,
	kbilling_privilege_auditor, kbilling_privilege_tables;

-- An attack: Mallory may call the functions, and puts her own objects before all others

SET kbilling.clock = '2026-11-01 12:00+00';
SELECT kb_create_tariff('std', 'USD'), kb_create_tariff('big', 'USD'), kb_create_service('seat', 'recurring'),
	kb_create_service('orders', 'metered'), kb_create_service('peak', 'metered', aggregation => 'max'),
		kb_create_service('users', 'metered', aggregation => 'unique')
\g /dev/null
SELECT kb_set_price('std', 'base', '30.00'), kb_set_price('std', 'seat', '4.00 each'), kb_set_price('big', 'base', '60.00'),
	kb_set_price('std', 'orders', '0.10 each'), kb_set_price('std', 'peak', '0.01 each'),
		kb_set_price('std', 'users', '1.00 each'), kb_set_bonus('std', '50.00 USD', 10)
\g /dev/null
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA kbilling, kbilling_internal TO kbilling_privilege_mallory;
GRANT SELECT ON ALL TABLES IN SCHEMA kbilling, kbilling_internal TO kbilling_privilege_mallory;
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
	FOREACH t IN ARRAY ('{bigint,integer,date,text,boolean,timestamptz,numeric,kbilling.kb_money,kbilling.kb_stage,'
		'kbilling.kb_account_state,kbilling.kb_entry_kind,kbilling.kb_role,kbilling.kb_access,'
		'name,oid,jsonb}')::text[] LOOP
		FOREACH op IN ARRAY '{=,<>,<,>,<=,>=}'::text[] LOOP
			EXECUTE format('CREATE FUNCTION evil.op_%s(%s, %2$s) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO '
				'evil.ran VALUES (%L); RETURN true; END $f$',
				ascii(op) * 256 + ascii(substr(op, 2)), t, t || ' ' || op);
			EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %2$s, FUNCTION = evil.op_%s)', op, t,
				ascii(op) * 256 + ascii(substr(op, 2)));
		END LOOP;
	END LOOP;
	CREATE FUNCTION evil.concatenate(text, text) RETURNS text LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('||'); RETURN ''; END $f$;
	CREATE OPERATOR evil.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.concatenate);
	CREATE FUNCTION evil.minus(date, integer) RETURNS date LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('-'); RETURN $1; END $f$;
	CREATE OPERATOR evil.- (LEFTARG = date, RIGHTARG = integer, FUNCTION = evil.minus);
	CREATE FUNCTION evil.later(timestamptz, interval) RETURNS timestamptz LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('+ interval'); RETURN $1; END $f$;
	CREATE OPERATOR evil.+ (LEFTARG = timestamptz, RIGHTARG = interval, FUNCTION = evil.later);
	CREATE OPERATOR evil.- (LEFTARG = timestamptz, RIGHTARG = interval, FUNCTION = evil.later);
	CREATE FUNCTION evil.times(integer, interval) RETURNS interval LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('* interval'); RETURN $2; END $f$;
	CREATE OPERATOR evil.* (LEFTARG = integer, RIGHTARG = interval, FUNCTION = evil.times);
	CREATE FUNCTION evil.join_json(jsonb, jsonb) RETURNS jsonb LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('|| jsonb'); RETURN '{}'; END $f$;
	CREATE OPERATOR evil.|| (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = evil.join_json);
	CREATE FUNCTION evil.cut_json(jsonb, text) RETURNS jsonb LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('- jsonb'); RETURN '{}'; END $f$;
	CREATE OPERATOR evil.- (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = evil.cut_json);
	CREATE FUNCTION evil.to_jsonb(anyelement) RETURNS jsonb LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('to_jsonb'); RETURN '{}'; END $f$;
	-- its own functions, under their own names
	FOR f IN SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
		FROM pg_proc AS p WHERE p.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace)
			AND p.prokind = 'f' AND NOT p.proretset AND p.prorettype NOT IN ('void'::regtype, 'trigger'::regtype)
			AND NOT EXISTS (SELECT FROM unnest(p.proargtypes || p.prorettype) AS x (type)
				JOIN pg_type ON pg_type.oid = x.type WHERE typtype = 'p') LOOP
		EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO evil.ran '
			'VALUES (%L); RETURN NULL; END $f$',
			f.proname, f.arguments, f.result, f.proname);
	END LOOP;
	-- and functions that belong to PostgreSQL
	CREATE FUNCTION evil.coalesce_max(bigint) RETURNS bigint LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('max'); RETURN 1; END $f$;
	CREATE FUNCTION evil.upper(text) RETURNS text LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('upper'); RETURN 'EUR'; END $f$;
	CREATE FUNCTION evil.to_char(date, text) RETURNS text LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('to_char'); RETURN ''; END $f$;
	CREATE FUNCTION evil.isfinite(date) RETURNS boolean LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('isfinite'); RETURN true; END $f$;
	CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('clock_timestamp'); RETURN NULL; END $f$;
	-- and tables
	FOR f IN SELECT format('%I.%I', relnamespace::regnamespace, relname) AS relation, relname FROM pg_class
			 WHERE relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND relkind IN ('r', 'v') LOOP
		EXECUTE format('CREATE TEMP TABLE %I AS SELECT * FROM %s', f.relname, f.relation);
		EXECUTE format('CREATE TABLE evil.%I AS SELECT * FROM %s', f.relname, f.relation);
	END LOOP;
	CREATE FUNCTION evil.kb_guard() RETURNS trigger LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('kb_guard'); RETURN NEW; END $f$;
	CREATE FUNCTION evil.kb_act_as(bigint, text) RETURNS void LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('kb_act_as'); END $f$;
	CREATE FUNCTION evil.kb_lock_account(bigint) RETURNS void LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('kb_lock_account'); END $f$;
	CREATE FUNCTION evil.kb_require_member(bigint, text) RETURNS void LANGUAGE plpgsql
		AS $f$ BEGIN INSERT INTO evil.ran VALUES ('kb_require_member'); END $f$;
	CREATE DOMAIN evil.text AS pg_catalog.text;
	CREATE DOMAIN evil.date AS pg_catalog.date;
	CREATE DOMAIN evil.jsonb AS pg_catalog.jsonb;
	CREATE DOMAIN evil.bytea AS pg_catalog.bytea;
	CREATE DOMAIN evil.bigint AS pg_catalog.int8;
	CREATE DOMAIN evil.boolean AS pg_catalog.bool;
	CREATE TYPE evil.kb_money AS ENUM ('none');
	CREATE TYPE evil.kb_role AS ENUM ('owner');
	CREATE TYPE evil.kb_access_decision AS (stage text);
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
SELECT kbilling.kb_create_tariff('own', 'usd'), kbilling.kb_create_service('own', 'recurring'),
	kbilling.kb_set_price('own', 'base', '1.00'),
	kbilling.kb_set_bonus('own', '50.00 USD', 10), kbilling.kb_add_member(1, 'eve', 'admin'),
	kbilling.kb_switch_on(1, 'seat', 2), kbilling.kb_switch_off(1, 'seat', '2026-11-11'),
	kbilling.kb_set_tariff(1, 'big', '2026-11-16'), kbilling.kb_set_tariff(1, 'std', '2026-11-21'),
		kbilling.kb_defer(1, '2026-12-24', 'eve', 'why not')
\g /dev/null
CREATE TABLE evil.sale (account_id bigint, quantity integer, sale_no integer);
CREATE TRIGGER added AFTER INSERT ON evil.sale REFERENCING NEW TABLE AS event_set FOR EACH STATEMENT
	EXECUTE FUNCTION kbilling.kb_meter('orders', 'account_id', 'quantity', 'sale_no');
CREATE TRIGGER changed AFTER UPDATE ON evil.sale REFERENCING OLD TABLE AS old_row NEW TABLE AS new_row
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('orders', 'account_id', 'quantity', 'sale_no');
INSERT INTO evil.sale VALUES (1, 5, 1), (1, 6, 2);
UPDATE evil.sale SET quantity = quantity + 1;
SELECT kbilling.kb_record_usage(1, 'orders', 7, 'a'), kbilling.kb_record_usage(1, 'peak', 10, 'a'),
	kbilling.kb_record_usage(1, 'peak', -10, 'b'),
	kbilling.kb_record_usage_batch('[{"account_id": 1, "service": "users", "quantity": 1, "key": "a", "properties": {"who": "eve"}}]'),
	kbilling.kb_forecast(1, 3), kbilling.kb_amount_for(1, 3)
\g /dev/null
SELECT kbilling.kb_apply_topup(1, '100.00 USD', 'card', 'pay_1', 'eve') AS topup,
	kbilling.kb_apply_topup(1, '100.00 USD', 'card', 'pay_1', 'eve') AS again
\gset
SELECT kbilling.kb_apply_topup(1, '20.00 USD', 'card', 'pay_2')
\g /dev/null
SELECT kbilling.kb_chargeback(1, 'pay_2', 'dispute'), kbilling.kb_refund(1, '1.00 USD', 'refund'),
	kbilling.kb_adjust(1, '-1.00 USD', 'fee', 'fee')
\g /dev/null
SELECT kbilling.kb_reverse(1, 6, 'undo', 'undo')
\g /dev/null
-- Members, payments and guards, on an account of its own: nothing is charged there
RESET ROLE;
SET search_path = kbilling, kbilling_internal, public;
SELECT kb_create_tariff('free', 'USD'), kb_set_bonus('free', '50.00 USD', 10)
\g /dev/null
SET ROLE kbilling_privilege_mallory;
SET search_path = pg_temp, evil, kbilling, pg_catalog;
SELECT kbilling.kb_create_account('mallory', 'free', 2), kbilling.kb_create_account('victim', 'free', 3)
\g /dev/null
SELECT kbilling.kb_add_member(2, 'eve', 'admin'), kbilling.kb_add_member(2, 'emp', 'employee'),
	kbilling.kb_set_role(2, 'emp', 'admin'), kbilling.kb_remove_member(2, 'emp')
\g /dev/null
SELECT kbilling.kb_login(2, 'eve') AS login, kbilling.kb_access(2, 'admin') AS access, kbilling.kb_balance(2) AS balance
\gset
SELECT kbilling.kb_begin_topup(2, 'eve', '100.00 USD', 'card') AS begun,
	kbilling.kb_begin_topup(2, 'mallory', '10.00 USD', 'card') AS second
\gset
SELECT kbilling.kb_fail_topup(2, 2, 'declined')
\g /dev/null
SELECT kbilling.kb_apply_topup(2, '100.00 USD', 'card', 'pay_1', payment_id => 1) AS settled
\gset
SELECT pg_catalog.string_agg(o::pg_catalog.text, ' ') AS offers FROM kbilling.kb_topup_offers(2) AS o
\gset
SELECT kbilling.kb_portal(2, 'eve') AS cabinet
\gset
-- A debt, a tariff that is planned, and a closure: all that a login and the view look at
SELECT kbilling.kb_adjust(3, '-1.00 USD', 'fee', 'fee'), kbilling.kb_set_tariff(3, 'std', '2026-12-05')
\g /dev/null
SELECT kbilling.kb_login(3, 'victim') AS login_of_3, kbilling.kb_access(3, 'owner') AS access_of_3
\gset
SELECT (v.stage, v.owner_access, v.amount_due, v.next_stage, v.next_stage_on, v.delete_on)::kbilling.kb_access_decision AS view_of_3
FROM kbilling.account_access AS v WHERE v.account_id OPERATOR(pg_catalog.=) 3
\gset
CREATE TABLE evil.by_row (account_id pg_catalog.int8, what pg_catalog.text);
CREATE TABLE evil.by_statement (account_id pg_catalog.int8, what pg_catalog.text);
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON evil.by_row FOR EACH ROW
	EXECUTE FUNCTION kbilling.kb_guard('account_id', 'member');
CREATE TRIGGER guard AFTER INSERT ON evil.by_statement REFERENCING NEW TABLE AS account_status FOR EACH STATEMENT
	EXECUTE FUNCTION kbilling.kb_guard('account_id', 'member');
CREATE TRIGGER guard_u AFTER UPDATE ON evil.by_statement REFERENCING NEW TABLE AS member OLD TABLE AS account
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_guard('account_id', 'member');
CREATE TABLE evil.seen (account_id pg_catalog.int8);
INSERT INTO evil.seen VALUES (1), (2), (3), (NULL);
ALTER TABLE evil.seen ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON evil.seen USING (kbilling.kb_can_use(account_id));
BEGIN;
SELECT kbilling.kb_act_as(2, 'eve')
\g /dev/null
INSERT INTO evil.by_row VALUES (2, 'row');
INSERT INTO evil.by_statement VALUES (2, 'statement');
UPDATE evil.by_row SET what = 'changed';
UPDATE evil.by_statement SET what = 'changed';
SELECT kbilling.kb_acting_account() AS acting, kbilling.kb_acting_member() AS acting_member,
	(SELECT pg_catalog.array_agg(account_id) FROM evil.seen) AS seen
\gset
COMMIT;
SELECT pg_catalog.count(*) AS unseen FROM evil.seen
\gset
CREATE FUNCTION evil.refused(statement pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql
	AS $$ BEGIN EXECUTE statement; RETURN 'through'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT evil.refused('INSERT INTO evil.by_row VALUES (3)') AS guarded_row,
	evil.refused('INSERT INTO evil.by_statement VALUES (3)') AS guarded_statement,
	evil.refused('CREATE CAST (pg_catalog.text AS kbilling.kb_role) WITH INOUT AS IMPLICIT') AS casts
\gset
RESET ROLE;
SET kbilling.clock = '2026-12-01 12:00+00';
SET ROLE kbilling_privilege_mallory;
SELECT kbilling.kb_current_usage(1), kbilling.kb_access(1, 'owner'), kbilling.kb_access(1, 'owner', '2027-02-01 12:00+00'),
	kbilling.kb_balance(1), kbilling.kb_balance(1, '2027-02-01 12:00+00'),
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
SET search_path = kbilling, kbilling_internal, public;

SELECT is(:'traps'::text, '4', 'E: the traps work where a statement is not on its guard');
SELECT is((SELECT array_agg(DISTINCT what) FROM evil.ran), NULL, 'E: nothing of a caller''s own objects is run by the extension');
SELECT is(:'login'::text, '(ok,full,"0.00 USD",,,)', 'E, D7: her login');
SELECT is(:'login'::text, :'access', 'E, S3: is what she may do');
SELECT is(:'login_of_3'::text || :'access_of_3' || :'view_of_3', repeat('(grace,full,"1.00 USD",remind,2026-11-04,)', 3),
	'E, S6: and a debt with a tariff that is planned, in the view as well');
SELECT is(:'begun'::text || :'second', '(1,"10.00 USD","2026-11-02 12:00:00+00")(2,"0.00 USD","2026-11-02 12:00:00+00")',
	'E, T1: her payments');
SELECT is(:'settled'::text, '(1,2,"100.00 USD","10.00 USD","110.00 USD",ok,ok,f)', 'E, T3: settled as what it is');
SELECT is(:'offers'::text, '("50.00 USD","5.00 USD",,tier,)', 'E, T5: what she is offered');
SELECT is((SELECT concat_ws(' ', c ->> 'member', c ->> 'role', c #>> '{balance,amount}', c ->> 'access',
	jsonb_array_length(c -> 'entries'), jsonb_array_length(c -> 'payments')) FROM (VALUES (:'cabinet'::jsonb)) AS x (c)),
	'eve admin 110.00 full 2 1', 'E: her billing page');
SELECT is(:'acting' || ' ' || :'acting_member' || ' ' || :'seen' || ' ' || :'unseen', '2 eve {2} 0',
	'E4, E2: she acts for herself, and sees her own');
SELECT is(:'guarded_row' || ' ' || :'guarded_statement' || ' ' || :'casts', 'KB003 KB003 42501', 'E1: and writes for nobody else');
SELECT is((SELECT string_agg(format('%s %s', member, role), ', ' ORDER BY member) FROM kbilling.member
	WHERE account_id = 2), 'eve admin, mallory owner', 'E: the members of her account');
SELECT is(:'topup'::text, '(1,2,"100.00 USD","10.00 USD","110.00 USD",ok,ok,f)', 'E, T5: her top-up is what it would be without them');
SELECT is(:'again'::text, '(1,2,"100.00 USD","10.00 USD","110.00 USD",ok,ok,t)', 'E, T3: and once');
-- 15 days at 30, 5 at 60, 10 at 30 a month; 10 days of 2 seats; 20 orders, 1 user
SELECT is(:'charge'::text, '(2026-11-01,10,"40.67 USD","68.33 USD",ok,f)', 'E, C3: her charge too');
SELECT is(:'charge_again'::text, '(2026-11-01,10,"40.67 USD","68.33 USD",ok,t)', 'E, C4: and once');
SELECT is((SELECT array_agg(period ORDER BY seq) FROM kbilling.entry WHERE kind = 'charge' AND account_id = 1),
	'{2026-11-01,2026-12-01}', 'E, W1: and the sweep');
SELECT is_empty('SELECT * FROM kb_check()', 'E, J2: and the books are right');

DROP OWNED BY kbilling_privilege_mallory, kbilling_privilege_nobody;
DROP ROLE kbilling_privilege_mallory, kbilling_privilege_nobody;
SELECT * FROM finish();
