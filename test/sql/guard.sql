-- Enforcement in the application's tables: kb_guard, kb_can_use, kb_act_as (rules E1, E2, E4, S3)
SET search_path = kbilling, public;
DROP ROLE IF EXISTS kbilling_guard_app;
DROP ROLE IF EXISTS kbilling_guard_plain;
DROP ROLE IF EXISTS kbilling_guard_forger;
CREATE ROLE kbilling_guard_app;
CREATE ROLE kbilling_guard_plain;
CREATE ROLE kbilling_guard_forger;
SELECT no_plan();
SELECT kb_grant('kbilling_guard_app', 'app'), kb_grant('kbilling_guard_app', 'tables')
\g /dev/null
GRANT CREATE ON SCHEMA public TO kbilling_guard_app;

-- One account for each stage, seen on the 20th; the debt begins on the day that is named
SET kbilling.clock = '2026-11-01 10:00+00';
SELECT kb_create_tariff('std', 'USD')
\g /dev/null
CREATE TABLE public.stage_account (account_id bigint PRIMARY KEY, stage text, debt_since date);
INSERT INTO public.stage_account VALUES (1, 'ok', NULL), (2, 'grace', '2026-11-18'), (3, 'remind', '2026-11-15'),
	(4, 'restrict', '2026-11-12'), (5, 'blocked', '2026-11-11'),
	(6, 'deferred', '2026-11-03'), (7, 'deleted', NULL), (8, 'closing', NULL);
\ir ../include/clock.sql
SELECT kb_create_account('own', 'std', account_id), kb_add_member(account_id, 'adm', 'admin'),
	kb_add_member(account_id, 'emp', 'employee') FROM public.stage_account ORDER BY account_id
\g /dev/null
SELECT pg_temp.clock((debt_since || ' 10:00+00')::timestamptz), kb_adjust(account_id, '-5.00 USD', 'debt', 'debt')
	FROM public.stage_account WHERE debt_since IS NOT NULL ORDER BY debt_since
\g /dev/null
SET kbilling.clock = '2026-11-20 10:00+00';
SELECT kb_defer(6, '2026-11-20', 'sue', 'asked')
\g /dev/null
UPDATE account SET state = 'deleted' WHERE account_id = 7;
UPDATE account SET state = 'closing', delete_on = '2026-11-30' WHERE account_id = 8;

-- "through", or the SQLSTATE, of a statement by a member (NULL: by nobody); it leaves nothing behind
CREATE FUNCTION public.try(statement text, account bigint = NULL, member text = NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF member IS NOT NULL THEN
		PERFORM kbilling.kb_act_as(account, member);
	END IF;
	EXECUTE statement;
	RAISE SQLSTATE 'UNDO0';
EXCEPTION
	WHEN SQLSTATE 'UNDO0' THEN RETURN 'through';
	WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
-- An error in full, by a member (NULL: by nobody): "SQLSTATE message | detail | hint"
CREATE FUNCTION public.error_as(statement text, account bigint = NULL, member text = NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	IF member IS NOT NULL THEN
		PERFORM kbilling.kb_act_as(account, member);
	END IF;
	EXECUTE statement;
	RETURN 'through';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE || ' ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
-- Attaches the guard in one of its forms
CREATE FUNCTION public.guard(tab text, form text, arguments text = '''account_id''') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF form <> 'statement' THEN
		EXECUTE format('CREATE TRIGGER guard %s INSERT OR UPDATE OR DELETE ON %s '
			'FOR EACH ROW EXECUTE FUNCTION kbilling.kb_guard(%s)', form, tab, arguments);
		RETURN;
	END IF;
	EXECUTE format('CREATE TRIGGER guard_i AFTER INSERT ON %s REFERENCING NEW TABLE AS n '
		'FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_guard(%s)', tab, arguments);
	EXECUTE format('CREATE TRIGGER guard_u AFTER UPDATE ON %s REFERENCING NEW TABLE AS n OLD TABLE AS o '
		'FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_guard(%s)', tab, arguments);
	EXECUTE format('CREATE TRIGGER guard_d AFTER DELETE ON %s REFERENCING OLD TABLE AS o '
		'FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_guard(%s)', tab, arguments);
END $$;

-- E1: every form, statement, stage and member. Rows are there before the guard is.

CREATE TABLE public.form (form text, tab text);
INSERT INTO public.form VALUES ('BEFORE', 'public.before_row'), ('AFTER', 'public.after_row'), ('statement', 'public.by_statement');
DO $$
DECLARE
	f record;
BEGIN
	FOR f IN SELECT * FROM public.form LOOP
		EXECUTE format('CREATE TABLE %s (id int PRIMARY KEY, account_id bigint, note text)', f.tab);
		EXECUTE format('INSERT INTO %s SELECT account_id, account_id, ''there'' FROM public.stage_account', f.tab);
		PERFORM public.guard(f.tab, f.form);
	END LOOP;
END $$;
SELECT is((SELECT string_agg(stage || ' ' || public.try(format(v.statement, f.tab, s.account_id), s.account_id, m.member),
	', ' ORDER BY account_id) FROM public.stage_account AS s), m.expected,
	format('E1, S3: %s guard, %s by %s', f.form, v.verb, coalesce(m.member, 'nobody')))
FROM public.form AS f, (VALUES
	('INSERT', 'INSERT INTO %s VALUES (99, %s, ''new'')'),
	('UPDATE', 'UPDATE %s SET note = ''changed'' WHERE account_id = %s'),
	('DELETE', 'DELETE FROM %s WHERE account_id = %s')
) AS v (verb, statement), (VALUES
	(NULL, 'ok through, grace through, remind through, restrict through, blocked KB003, deferred through, deleted KB003, closing through'),
	('own', 'ok through, grace through, remind through, restrict KB003, blocked KB003, deferred through, deleted KB003, closing through'),
	('adm', 'ok through, grace through, remind through, restrict KB003, blocked KB003, deferred through, deleted KB003, closing through'),
	('emp', 'ok through, grace through, remind through, restrict through, blocked KB003, deferred through, deleted KB003, closing through')
) AS m (member, expected);

-- E1: with 'member', nothing without one
CREATE TABLE public.strict_before (id int, account_id bigint, note text);
CREATE TABLE public.strict_after (LIKE public.strict_before);
CREATE TABLE public.strict_statement (LIKE public.strict_before);
INSERT INTO public.strict_before SELECT account_id, account_id FROM public.stage_account;
INSERT INTO public.strict_after SELECT account_id, account_id FROM public.stage_account;
INSERT INTO public.strict_statement SELECT account_id, account_id FROM public.stage_account;
SELECT public.guard('public.strict_before', 'BEFORE', '''account_id'', ''member'''),
	public.guard('public.strict_after', 'AFTER', '''account_id'', ''member'''),
	public.guard('public.strict_statement', 'statement', '''account_id'', ''member''')
\g /dev/null
SELECT is((SELECT string_agg(public.try(format(v.statement, tab, s.account_id), s.account_id, m.member),
	' ' ORDER BY account_id) FROM public.stage_account AS s WHERE account_id <= 5),
	m.expected, format('E1: with ''member'': %s of %s by %s', v.verb, tab, coalesce(m.member, 'nobody')))
FROM unnest('{strict_before,strict_after,strict_statement}'::text[]) AS tab, (VALUES
	('INSERT', 'INSERT INTO public.%s VALUES (99, %s, ''new'')'),
	('UPDATE', 'UPDATE public.%s SET note = ''changed'' WHERE account_id = %s'),
	('DELETE', 'DELETE FROM public.%s WHERE account_id = %s')
) AS v (verb, statement), (VALUES
	(NULL, 'KB003 KB003 KB003 KB003 KB003'),
	('own', 'through through through KB003 KB003'),
	('emp', 'through through through through KB003')
) AS m (member, expected);

-- E1, E4: one statement more, and what comes of it; %s is the table
SELECT is(public.try(format(statement, tab), acting, member), expected, format('E1: %s: %s', form, why))
FROM public.form, (VALUES
	('UPDATE %s SET account_id = 5 WHERE id = 1', NULL, NULL, 'KB003', 'a row moves to a blocked account'),
	('UPDATE %s SET account_id = 1 WHERE id = 5', NULL, NULL, 'KB003', 'a row moves away from a blocked account'),
	('UPDATE %s SET account_id = 3 WHERE id = 2', NULL, NULL, 'through', 'a row moves between accounts that may write'),
	('UPDATE %s SET account_id = 2 WHERE id = 1', 1, 'own', 'KB003', 'a member moves a row to an account that is not its own'),
	('UPDATE %s SET account_id = 1 WHERE id = 2', 1, 'own', 'KB003', 'a member takes a row of an account that is not its own'),
	('INSERT INTO %s VALUES (99, 2, NULL)', 1, 'own', 'KB003', 'a member writes for another account'),
	('DELETE FROM %s WHERE id = 2', 1, 'own', 'KB003', 'a member deletes of another account'),
	('INSERT INTO %s VALUES (99, 404, NULL)', 1, 'own', 'KB003', 'a member is told nothing of accounts that are not there'),
	('INSERT INTO %s VALUES (99, 404, NULL)', NULL, NULL, 'KB001', 'an account that is not there'),
	('INSERT INTO %s VALUES (99, NULL, NULL)', NULL, NULL, '22004', 'no account'),
	('INSERT INTO %s VALUES (99, NULL, NULL)', 1, 'own', '22004', 'no account, by a member'),
	('UPDATE %s SET account_id = NULL WHERE id = 1', NULL, NULL, '22004', 'a row loses its account'),
	('INSERT INTO %s VALUES (98, 1, NULL), (99, 5, NULL)', NULL, NULL, 'KB003', 'the second of two rows'),
	('INSERT INTO %s VALUES (97, 1, NULL), (98, 2, NULL), (99, 1, NULL)', 1, 'own', 'KB003', 'a row of another account between own ones'),
	('INSERT INTO %s SELECT 100 + n, 1 + n / 999, NULL FROM generate_series(0, 999) n', 1, 'emp', 'KB003', 'the last of a thousand'),
	('INSERT INTO %s SELECT 99, 5, NULL WHERE false', NULL, NULL, 'through', 'no row'),
	('UPDATE %s SET note = NULL WHERE id = 404', 5, 'emp', 'through', 'no row to update'),
	('DELETE FROM %s WHERE id = 404', 5, 'emp', 'through', 'no row to delete'),
	('INSERT INTO %s AS x VALUES (5, 1, NULL) ON CONFLICT (id) DO UPDATE SET note = excluded.note', NULL, NULL, 'KB003',
		'ON CONFLICT DO UPDATE of a blocked account''s row'),
	('INSERT INTO %s AS x VALUES (1, 2, NULL) ON CONFLICT (id) DO UPDATE SET account_id = 5', NULL, NULL, 'KB003',
		'ON CONFLICT DO UPDATE that moves a row to one'),
	('INSERT INTO %s AS x VALUES (2, 1, NULL) ON CONFLICT (id) DO UPDATE SET note = excluded.note', 1, 'own', 'KB003',
		'ON CONFLICT DO UPDATE of another account''s row'),
	('INSERT INTO %s AS x VALUES (1, 1, NULL) ON CONFLICT (id) DO UPDATE SET note = excluded.note', 1, 'own', 'through',
		'ON CONFLICT DO UPDATE of one''s own'),
	('INSERT INTO %s AS x VALUES (1, 1, NULL) ON CONFLICT (id) DO NOTHING', 1, 'own', 'through', 'ON CONFLICT DO NOTHING'),
	('MERGE INTO %s AS x USING (VALUES (1, 1), (99, 1)) AS v (id, a) ON x.id = v.id '
		'WHEN MATCHED THEN UPDATE SET note = NULL WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.a, NULL)', 1, 'own', 'through', 'MERGE'),
	('MERGE INTO %s AS x USING (VALUES (1, 1), (99, 5)) AS v (id, a) ON x.id = v.id '
		'WHEN MATCHED THEN UPDATE SET note = NULL WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.a, NULL)', NULL, NULL,
		'KB003', 'MERGE that inserts for a blocked account'),
	('MERGE INTO %s AS x USING (VALUES (5)) AS v (id) ON x.id = v.id WHEN MATCHED THEN DELETE', NULL, NULL, 'KB003',
		'MERGE that deletes of one'),
	('MERGE INTO %s AS x USING (VALUES (5)) AS v (id) ON x.id = v.id WHEN MATCHED THEN UPDATE SET note = NULL', NULL, NULL,
		'KB003', 'MERGE that updates one'),
	('MERGE INTO %s AS x USING (VALUES (5)) AS v (id) ON x.id = v.id WHEN MATCHED THEN DO NOTHING', NULL, NULL, 'through',
		'MERGE that does nothing'),
	('WITH d AS (DELETE FROM %s WHERE id = 5 RETURNING 1) SELECT count(*) FROM d', NULL, NULL, 'KB003', 'a deletion in WITH'),
	('COPY %s FROM PROGRAM ''printf "98\t1\tx\n99\t5\tx\n"''', NULL, NULL, 'KB003', 'COPY with a row of a blocked account'),
	('COPY %s FROM PROGRAM ''printf "98\t1\tx\n99\t2\tx\n"''', NULL, NULL, 'through', 'COPY without'),
	('COPY %s FROM PROGRAM ''printf "98\t1\tx\n99\t2\tx\n"''', 1, 'own', 'KB003', 'COPY with a row of another account'),
	('COPY %s FROM PROGRAM ''seq 1001 3000 | sed "s/$/\t1\tx/"''', 1, 'own', 'through', 'COPY of 2,000 rows by a member'),
	('DO $d$ BEGIN INSERT INTO %1$s VALUES (99, 1, NULL); PERFORM kbilling.kb_act_as(2, ''own''); '
		'INSERT INTO %1$s VALUES (98, 2, NULL); END $d$', 1, 'own', 'through', 'another member half-way'),
	('DO $d$ BEGIN PERFORM kbilling.kb_act_as(2, ''own''); INSERT INTO %s VALUES (99, 1, NULL); END $d$', 1, 'own', 'KB003',
		'the member named last is who acts'),
	('DO $d$ BEGIN PERFORM kbilling.kb_remove_member(1, ''emp''); INSERT INTO %s VALUES (99, 1, NULL); END $d$', 1, 'emp',
		'KB003', 'a member that has been removed since'),
	('DO $d$ BEGIN PERFORM kbilling.kb_set_role(4, ''emp'', ''admin''); INSERT INTO %s VALUES (99, 4, NULL); END $d$', 4,
		'emp', 'KB003', 'a member whose role has changed since'),
	('DO $d$ BEGIN PERFORM kbilling.kb_apply_topup(5, ''5 USD'', ''card'', ''x''); INSERT INTO %s VALUES (99, 5, NULL); '
		'END $d$', 5, 'own', 'through', 'the debt is paid in the same transaction'),
	('DO $d$ BEGIN PERFORM kbilling.kb_apply_topup(5, ''4.99 USD'', ''card'', ''x''); INSERT INTO %s VALUES (99, 5, NULL); '
		'END $d$', 5, 'own', 'KB003', 'a cent less'),
	('DO $d$ BEGIN PERFORM kbilling.kb_defer(5, ''2026-11-20'', ''sue'', ''x''); INSERT INTO %s VALUES (99, 5, NULL); '
		'END $d$', 5, 'own', 'through', 'the debt is deferred in the same transaction'),
	('DO $d$ BEGIN UPDATE kbilling.account SET state = ''deleted'' WHERE account_id = 1; '
		'INSERT INTO %s VALUES (99, 1, NULL); END $d$', 1, 'own', 'KB003', 'the account is deleted in the same transaction')
) AS t (statement, acting, member, expected, why);

-- E1: a function of the application, one that runs with its owner's rights, and a role without any right on kbilling
CREATE FUNCTION public.save(id int, account bigint) RETURNS void LANGUAGE sql AS 'INSERT INTO public.before_row VALUES ($1, $2, ''saved'')';
CREATE FUNCTION public.save_as_owner(id int, account bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
	AS 'BEGIN INSERT INTO public.by_statement VALUES ($1, $2, ''saved''); END';
GRANT ALL ON public.before_row, public.after_row, public.by_statement TO kbilling_guard_plain;
GRANT pg_execute_server_program TO kbilling_guard_plain;
SET ROLE kbilling_guard_plain;
SELECT is(public.try(statement), expected, 'E1: a role without a right on kbilling: ' || statement) FROM (VALUES
	('SELECT public.save(99, 1)', 'through'),
	('SELECT public.save(99, 5)', 'KB003'),
	('SELECT public.save_as_owner(99, 1)', 'through'),
	('SELECT public.save_as_owner(99, 5)', 'KB003'),
	('INSERT INTO public.before_row VALUES (99, 1)', 'through'),
	('INSERT INTO public.before_row VALUES (99, 5)', 'KB003'),
	('INSERT INTO public.after_row VALUES (99, 5)', 'KB003'),
	('INSERT INTO public.by_statement VALUES (99, 1)', 'through'),
	('DELETE FROM public.by_statement WHERE id = 5', 'KB003'),
	('COPY public.after_row FROM PROGRAM ''printf "99\t5\tx\n"''', 'KB003'),
	('SELECT kbilling.kb_act_as(1, ''own'')', '42501'),
	('SELECT kbilling.kb_guard()', '42501'),
	('CREATE TEMP TABLE mine (account_id bigint); CREATE TRIGGER g BEFORE INSERT ON mine '
		'FOR EACH ROW EXECUTE FUNCTION kbilling.kb_guard(''account_id'')', '42501')
) AS t (statement, expected);
RESET ROLE;

-- E1: KB003 and what it says

SELECT is(public.error_as(format('INSERT INTO public.%s VALUES (99, %s)', tab, account), acting, member), expected,
	format('E1: %s, account %s, member %s', tab, account, member))
FROM unnest('{before_row,after_row,by_statement}'::text[]) AS tab, (VALUES
	(5, NULL, NULL, 'KB003 nothing may be written for account 5 | Its stage is "blocked": 5.00 USD is due since 2026-11-11; '
		'access is "denied" (S3). | An owner or admin can top up at any time (T1); paying 5.00 USD restores full access.'),
	(5, 5, 'emp', 'KB003 member "emp" may not write for account 5 '
		'| Its stage is "blocked": 5.00 USD is due since 2026-11-11; access is "denied" (S3). '
		'| An owner or admin can top up at any time (T1); paying 5.00 USD restores full access.'),
	(4, 4, 'own', 'KB003 member "own" may not write for account 4 '
		'| Its stage is "restrict": 5.00 USD is due since 2026-11-12; access is "payment_only" (S3). '
		'| An owner or admin can top up at any time (T1); paying 5.00 USD restores full access.'),
	(7, 7, 'own', 'KB003 member "own" may not write for account 7 | The account is deleted (D5). '
		'| Support can restore it with kb_restore_account until the day before its purge.'),
	(7, NULL, NULL, 'KB003 nothing may be written for account 7 | The account is deleted (D5). '
		'| Support can restore it with kb_restore_account until the day before its purge.'),
	(2, 1, 'own', 'KB003 member "own" of account 1 may not write for account 2 '
		'| The transaction acts for that member (E4). | Call kb_act_as for a member of the account to be written for.'),
	(404, NULL, NULL, 'KB001 account 404 does not exist | kbilling.account has no such row. | Create it with kb_create_account.')
) AS t (account, acting, member, expected);
SELECT is(public.error_as('INSERT INTO public.strict_before VALUES (99, 1)'),
	'KB003 nothing may be written for account 1 without a member '
		'| The guard requires an acting member, and the transaction has none (E4). '
		'| Call kb_act_as first, in the same transaction.', 'E1: no member');
SELECT is(public.error_as('INSERT INTO public.before_row VALUES (99, NULL)'),
	'22004 column "account_id" must not be null | Trigger "guard" on table "before_row" passes the row to kb_guard.', 'E1: no account');
SELECT is(public.error_as('DO $$ BEGIN PERFORM kbilling.kb_remove_member(1, ''emp''); '
	'INSERT INTO public.before_row VALUES (99, 1, NULL); END $$', 1, 'emp'),
	'KB003 "emp" is no longer a member of account 1 | The member was removed after the transaction had begun to act for it. '
		'| Act for another member.', 'E1: a member that was removed');
SELECT is((SELECT string_agg(format('%s %s', id, account_id), ',' ORDER BY id) FROM public.before_row WHERE note = 'there'),
	'1 1,2 2,3 3,4 4,5 5,6 6,7 7,8 8', 'E1: the rows are what they were');

-- E5: who is told what is due; a role that is told less still learns that access is denied, and the stage

CREATE ROLE kbilling_guard_app_member IN ROLE kbilling_guard_app;
CREATE ROLE kbilling_guard_payments;
CREATE ROLE kbilling_guard_support;
CREATE ROLE kbilling_guard_operator;
CREATE ROLE kbilling_guard_auditor;
CREATE ROLE kbilling_guard_tables;
CREATE ROLE kbilling_guard_prices;
SELECT kb_grant(('kbilling_guard_' || k)::regrole, k) FROM unnest('{payments,support,operator,auditor,tables}'::text[]) AS k(k)
\g /dev/null
GRANT SELECT ON tariff, price TO kbilling_guard_prices;
GRANT ALL ON public.before_row, public.after_row, public.by_statement TO PUBLIC;
CREATE FUNCTION public.told(statement text, role text, acting bigint = NULL, member text = NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	IF member IS NOT NULL THEN
		PERFORM kbilling.kb_act_as(acting, member);
	END IF;
	EXECUTE format('SET LOCAL ROLE %I', role);
	EXECUTE statement;
	RETURN 'through';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE || ' ' || message, detail, hint);
END $$;
SELECT is(public.told(format('INSERT INTO public.%s VALUES (99, 5)', tab), 'kbilling_guard_' || role),
	'KB003 nothing may be written for account 5 | Its stage is "blocked"; access is "denied" (S3). '
	'| An owner or admin can top up at any time (T1).', format('E5: %s is told no sum and no date: %s', role, tab))
FROM unnest('{plain,prices,tables}'::text[]) AS role, unnest('{before_row,after_row,by_statement}'::text[]) AS tab;
SELECT is(public.told(format('INSERT INTO public.%s VALUES (99, 5)', tab), role),
	'KB003 nothing may be written for account 5 | Its stage is "blocked": 5.00 USD is due since 2026-11-11; access is "denied" (S3). '
	'| An owner or admin can top up at any time (T1); paying 5.00 USD restores full access.', format('E5: %s is told: %s', role, tab))
FROM unnest('{kbilling_guard_app,kbilling_guard_app_member,kbilling_guard_payments,kbilling_guard_support,kbilling_guard_operator,'
	'kbilling_guard_auditor}'::text[] || current_user::text) AS role,
	unnest('{before_row,after_row,by_statement}'::text[]) AS tab;
SELECT is(public.told('INSERT INTO public.before_row VALUES (99, 4)', 'kbilling_guard_plain', 4, member),
	format('KB003 member "%s" may not write for account 4 | Its stage is "restrict": 5.00 USD is due since 2026-11-12; '
	'access is "payment_only" (S3). | An owner or admin can top up at any time (T1); paying 5.00 USD restores full access.', member),
	format('E5: an acting %s is told, by whatever role', member)) FROM unnest('{own,adm}'::text[]) AS member;
SELECT is(public.told('INSERT INTO public.before_row VALUES (99, 5)', 'kbilling_guard_plain', 5, 'emp'),
	'KB003 member "emp" may not write for account 5 | Its stage is "blocked"; access is "denied" (S3). '
	'| An owner or admin can top up at any time (T1).', 'E5, S3: an acting employee is told no sum, as on the billing page');
SELECT is(public.told('INSERT INTO public.before_row VALUES (99, 5)', 'kbilling_guard_app', 5, 'emp'),
	'KB003 member "emp" may not write for account 5 | Its stage is "blocked": 5.00 USD is due since 2026-11-11; access is "denied" (S3). '
	'| An owner or admin can top up at any time (T1); paying 5.00 USD restores full access.',
	'E5: the application is, and decides what it shows');
SELECT unalike(public.told('INSERT INTO public.before_row VALUES (99, 4)', 'kbilling_guard_plain', 5, 'own'), '%USD%',
	'E5: an owner is told nothing of another account');
SELECT unalike(public.told(format('INSERT INTO public.before_row VALUES (99, %s)', account), 'kbilling_guard_plain'), '%' || hidden || '%',
	format('E5: nor is anything told of account %s, such as %s', account, hidden))
FROM unnest('{5,7,404}'::bigint[]) AS account, unnest('{USD,2026,5.00}'::text[]) AS hidden;
-- the error passes through a function, to the session: both must have a right
CREATE FUNCTION public.save_as_app(id int, account bigint) RETURNS void LANGUAGE sql SECURITY DEFINER
	AS 'INSERT INTO public.before_row VALUES ($1, $2)';
ALTER FUNCTION public.save_as_app OWNER TO kbilling_guard_app;
CREATE FUNCTION public.save_as_plain(id int, account bigint) RETURNS void LANGUAGE sql SECURITY DEFINER
	AS 'INSERT INTO public.before_row VALUES ($1, $2)';
GRANT CREATE ON SCHEMA public TO kbilling_guard_plain;
ALTER FUNCTION public.save_as_plain OWNER TO kbilling_guard_plain;
REVOKE CREATE ON SCHEMA public FROM kbilling_guard_plain;
SELECT is(public.told(format('SELECT public.save_as_%s(99, 5)', writer), 'kbilling_guard_' || caller) LIKE '%5.00 USD%', told,
	format('E5: %s, through a function of %s', caller, writer))
FROM (VALUES ('plain', 'app', false), ('app', 'plain', false), ('app', 'app', true), ('plain', 'plain', false)) AS t (caller, writer, told);
GRANT EXECUTE ON FUNCTION kb_access(bigint, kb_role) TO kbilling_guard_prices;
SELECT alike(public.told('INSERT INTO public.before_row VALUES (99, 5)', 'kbilling_guard_prices'), '%5.00 USD is due since 2026-11-11%',
	'E5: a right that was granted by hand counts too');
-- a policy and a meter
CREATE TABLE public.hidden (account_id bigint);
ALTER TABLE public.hidden ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.hidden USING (kb_can_use(account_id));
GRANT ALL ON public.hidden TO PUBLIC;
SELECT is(public.told('INSERT INTO public.hidden VALUES (5)', 'kbilling_guard_plain', 5, 'own'),
	'42501 new row violates row-level security policy for table "hidden" |  | ',
	'E5: a policy tells nothing of an account, even to an owner');
SELECT kb_create_service('parcel', 'metered')
\g /dev/null
CREATE TABLE public.metered (account_id bigint, quantity numeric);
CREATE TRIGGER meter AFTER INSERT ON public.metered REFERENCING NEW TABLE AS added FOR EACH STATEMENT
	EXECUTE FUNCTION kb_meter('parcel', 'account_id', 'quantity');
GRANT ALL ON public.metered TO PUBLIC;
SELECT ok(told ~ ('^' || state) AND told !~ 'USD|5\.00|due|2026-11-11',
	format('E5: a meter tells no sum and no debt: account %s, quantity %s: %s', account, quantity, told))
FROM (VALUES (5, '1', 'KB012'), (7, '1', 'KB010'), (404, '1', 'KB001'), (5, 'NaN', '22003')) AS t (account, quantity, state),
	public.told(format('INSERT INTO public.metered VALUES (%s, %L)', account, quantity), 'kbilling_guard_plain') AS told;
DROP FUNCTION public.save_as_app, public.save_as_plain;
DROP TABLE public.hidden, public.metered;
SELECT kb_revoke(('kbilling_guard_' || k)::regrole, k) FROM unnest('{payments,support,operator,auditor,tables}'::text[]) AS k(k)
\g /dev/null
SELECT unalike(public.told('INSERT INTO public.before_row VALUES (99, 5)', 'kbilling_guard_' || k), '%USD%',
	format('E5: not after kb_revoke of %s', k)) FROM unnest('{payments,support,operator,auditor,tables}'::text[]) AS k(k);
DROP OWNED BY kbilling_guard_prices;
DROP ROLE kbilling_guard_app_member, kbilling_guard_payments, kbilling_guard_support, kbilling_guard_operator, kbilling_guard_auditor,
	kbilling_guard_tables, kbilling_guard_prices;

-- E1: a guard that is attached wrongly lets nothing through

CREATE TABLE public.misled (id int, account_id bigint, name text, amount numeric, many bigint[]);
CREATE VIEW public.misled_view AS SELECT * FROM public.misled;
CREATE FUNCTION public.misattached(attachment text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'CREATE TRIGGER g ' || attachment;
	EXECUTE statement;
	RAISE SQLSTATE 'UNDO0';
EXCEPTION
	WHEN SQLSTATE 'UNDO0' THEN RETURN 'through';
	WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT is(public.misattached(replace(attachment, '$g', 'EXECUTE FUNCTION kbilling.kb_guard'), statement), expected,
	'E1: attached wrongly: ' || attachment) FROM (VALUES
	('BEFORE INSERT ON public.misled FOR EACH STATEMENT $g(''account_id'')', 'INSERT INTO public.misled VALUES (1, 1)',
		'39P01 trigger "g" on public.misled is attached wrongly'),
	('AFTER INSERT ON public.misled FOR EACH STATEMENT $g(''account_id'')', 'INSERT INTO public.misled VALUES (1, 1)',
		'39P01 trigger "g" on public.misled is attached wrongly'),
	('AFTER UPDATE ON public.misled REFERENCING NEW TABLE AS n FOR EACH STATEMENT $g(''account_id'')',
		'UPDATE public.misled SET id = 1', '39P01 trigger "g" on public.misled is attached wrongly'),
	('AFTER UPDATE ON public.misled REFERENCING OLD TABLE AS n FOR EACH STATEMENT $g(''account_id'')',
		'UPDATE public.misled SET id = 1', '39P01 trigger "g" on public.misled is attached wrongly'),
	('AFTER DELETE ON public.misled FOR EACH STATEMENT $g(''account_id'')', 'DELETE FROM public.misled',
		'39P01 trigger "g" on public.misled is attached wrongly'),
	('BEFORE TRUNCATE ON public.misled FOR EACH STATEMENT $g(''account_id'')', 'TRUNCATE public.misled',
		'39P01 trigger "g" on public.misled is attached wrongly'),
	('AFTER TRUNCATE ON public.misled FOR EACH STATEMENT $g(''account_id'')', 'TRUNCATE public.misled',
		'39P01 trigger "g" on public.misled is attached wrongly'),
	('INSTEAD OF INSERT ON public.misled_view FOR EACH ROW $g(''account_id'')',
		'INSERT INTO public.misled_view VALUES (1, 1)', '39P01 trigger "g" on public.misled_view is attached wrongly'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g()', 'INSERT INTO public.misled VALUES (1, 1)',
		'39P01 trigger "g" on public.misled is attached wrongly'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g('''')', 'INSERT INTO public.misled VALUES (1, 1)',
		'39P01 trigger "g" on public.misled is attached wrongly'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g(''account_id'', ''members'')',
		'INSERT INTO public.misled VALUES (1, 1)', '39P01 trigger "g" on public.misled is attached wrongly'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g(''account_id'', '''')', 'INSERT INTO public.misled VALUES (1, 1)',
		'39P01 trigger "g" on public.misled is attached wrongly'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g(''account_id'', ''member'', ''member'')',
		'INSERT INTO public.misled VALUES (1, 1)', '39P01 trigger "g" on public.misled is attached wrongly'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g(''account'')', 'INSERT INTO public.misled VALUES (1, 1)',
		'42703 column "account" does not exist'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g(''Account_id'')', 'INSERT INTO public.misled VALUES (1, 1)',
		'42703 column "Account_id" does not exist'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g(''ctid'')', 'INSERT INTO public.misled VALUES (1, 1)',
		'42703 column "ctid" does not exist'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g(''tableoid'')', 'INSERT INTO public.misled VALUES (1, 1)',
		'42703 column "tableoid" does not exist'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g(''name'')', 'INSERT INTO public.misled VALUES (1, 1)',
		'42804 column "name" of table "misled" is not a whole number'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g(''amount'')', 'INSERT INTO public.misled VALUES (1, 1)',
		'42804 column "amount" of table "misled" is not a whole number'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g(''many'')', 'INSERT INTO public.misled VALUES (1, 1)',
		'42804 column "many" of table "misled" is not a whole number'),
	('AFTER INSERT ON public.misled REFERENCING NEW TABLE AS n FOR EACH STATEMENT $g(''account'')',
		'INSERT INTO public.misled SELECT WHERE false', '42703 column "account" does not exist'),
	('AFTER INSERT ON public.misled REFERENCING NEW TABLE AS n FOR EACH STATEMENT $g(''account_id'')',
		'INSERT INTO public.misled VALUES (1, 1)', 'through'),
	('BEFORE INSERT ON public.misled FOR EACH ROW $g(''account_id'', ''member'')',
		'INSERT INTO public.misled VALUES (1, 1)', 'KB003 nothing may be written for account 1 without a member')
) AS t (attachment, statement, expected);
CREATE TRIGGER g BEFORE TRUNCATE ON public.misled FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_guard('account_id');
SELECT is(public.error_as('TRUNCATE public.misled'), '39P01 trigger "g" on public.misled is attached wrongly '
	'| TRUNCATE does not tell whose rows it removes. | '
	|| 'Attach it so: CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON ... '
		'FOR EACH ROW EXECUTE FUNCTION kbilling.kb_guard(''account column''); '
	|| 'or for each kind of statement AFTER, REFERENCING NEW TABLE AS added or OLD TABLE AS removed (UPDATE: both), '
		'FOR EACH STATEMENT.', 'E1: an attachment that is wrong is told the right one');
SELECT throws_ok('SELECT kb_guard()', NULL, NULL, 'E1: it is called as a trigger only');

-- E1: types of the account column, one that has moved, and generated ones
CREATE DOMAIN public.customer AS int CHECK (VALUE > 0);
CREATE TABLE public.typed (gone int, a smallint, b int, c public.customer, d bigint);
ALTER TABLE public.typed DROP COLUMN gone;
CREATE FUNCTION public.typed(kind text, account bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TRIGGER g BEFORE INSERT ON public.typed FOR EACH ROW EXECUTE FUNCTION kbilling.kb_guard(%L)', kind);
	EXECUTE format('INSERT INTO public.typed (%I) VALUES (%s)', kind, account);
	RAISE SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN RETURN 'through'; WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
SELECT is(public.typed(kind, 1) || ' ' || public.typed(kind, 5), 'through KB003', format('E1: column %s', kind))
	FROM unnest('{a,b,c,d}'::text[]) AS kind;
CREATE TABLE public.generated (id int, customer bigint, account_id bigint GENERATED ALWAYS AS (customer) STORED);
INSERT INTO public.generated VALUES (1, 1);
SELECT public.guard('public.generated', 'AFTER')
\g /dev/null
SELECT is(public.try('UPDATE public.generated SET customer = 5') || ' '
	|| public.try('UPDATE public.generated SET customer = 2'), 'KB003 through', 'E1: a generated account column, AFTER');
DROP TRIGGER guard ON public.generated;
CREATE TRIGGER guard BEFORE UPDATE ON public.generated FOR EACH ROW EXECUTE FUNCTION kbilling.kb_guard('account_id');
SELECT isnt(public.try('UPDATE public.generated SET customer = 5'), 'through',
	'E1: a generated account column, BEFORE: not known yet, so refused');

-- E1: an account is decided once in a statement: by one look-up, and another one if it has a debt, as 2, 3 and 4 have;
-- by statement, all of them together, so at most so many
CREATE FUNCTION public.lookups() RETURNS bigint LANGUAGE sql AS $$
	SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables WHERE relid = 'kbilling.account'::regclass
$$;
CREATE FUNCTION public.lookups_of(statement text, account bigint = NULL, member text = NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint;
	n bigint;
BEGIN
	IF member IS NOT NULL THEN
		PERFORM kbilling.kb_act_as(account, member);
	END IF;
	before = public.lookups();
	EXECUTE statement;
	n = public.lookups() - before;
	RAISE SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	RETURN n;
END $$;
SELECT public.lookups_of('INSERT INTO public.before_row VALUES (99, 1)')
\g /dev/null
SELECT cmp_ok(public.lookups_of(format(statement, tab), acting, member), CASE form WHEN 'statement' THEN '<=' ELSE '=' END, expected,
	format('E1: look-ups of %s: %s', form, statement)) FROM public.form, (VALUES
	('INSERT INTO %s SELECT 100 + n, 1, NULL FROM generate_series(1, 1000) AS n', NULL, NULL, 1::bigint),
	('INSERT INTO %s SELECT 100 + n, 1 + n %% 2, NULL FROM generate_series(1, 1000) AS n', NULL, NULL, 1 + 2),
	('INSERT INTO %s SELECT 100 + n, 1 + n %% 4, NULL FROM generate_series(1, 1000) AS n', NULL, NULL, 1 + 2 + 2 + 2),
	('INSERT INTO %s SELECT 100 + n, 1, NULL FROM generate_series(1, 1000) AS n', 1, 'own', 1),
	('INSERT INTO %s SELECT 100 + n, 1, NULL FROM generate_series(1, 1000) AS n WHERE false', 1, 'own', 0),
	('UPDATE %s SET account_id = CASE account_id WHEN 1 THEN 2 ELSE 1 END WHERE account_id < 3', NULL, NULL, 1 + 2),
	('DELETE FROM %s WHERE account_id < 4', NULL, NULL, 1 + 2 + 2),
	('COPY %s FROM PROGRAM ''seq 1001 5000 | sed "s/$/\t1\tx/"''', NULL, NULL, 1)
) AS t (statement, acting, member, expected);

-- E1: of the accounts of a statement, the first that is refused is named, whatever is wrong with rows after it
SELECT is(public.error_as(format('INSERT INTO public.by_statement VALUES %s', rows)), expected, 'E1: by statement: ' || rows)
FROM (VALUES
	('(90, 1), (91, 2), (92, 1), (93, 5), (94, 7), (95, 404)',
		'KB003 nothing may be written for account 5 | Its stage is "blocked": 5.00 USD is due since 2026-11-11; '
		'access is "denied" (S3). | An owner or admin can top up at any time (T1); paying 5.00 USD restores full access.'),
	('(90, 1), (91, 4), (92, 404), (93, 5)',
		'KB001 account 404 does not exist | kbilling.account has no such row. | Create it with kb_create_account.'),
	('(90, 8), (91, 7), (92, 404)', 'KB003 nothing may be written for account 7 | The account is deleted (D5). | '
		'Support can restore it with kb_restore_account until the day before its purge.'),
	('(90, 2), (91, 5), (92, NULL)', 'KB003 nothing may be written for account 5 | Its stage is "blocked": 5.00 USD is due '
		'since 2026-11-11; access is "denied" (S3). | An owner or admin can top up at any time (T1); paying 5.00 USD '
		'restores full access.'),
	('(90, 2), (91, NULL), (92, 5)', '22004 column "account_id" must not be null | Trigger "guard_i" on table "by_statement" '
		'passes the row to kb_guard.')
) AS v (rows, expected);
SELECT is(public.error_as('INSERT INTO public.by_statement VALUES (90, 4), (91, 2)', 4, 'emp'),
	'KB003 member "emp" of account 4 may not write for account 2 | The transaction acts for that member (E4). | '
	'Call kb_act_as for a member of the account to be written for.', 'E1: by statement, by a member');
SELECT is(public.error_as('INSERT INTO public.by_statement VALUES (90, 5), (91, 2)', 5, 'emp'),
	'KB003 member "emp" may not write for account 5 | Its stage is "blocked": 5.00 USD is due since 2026-11-11; '
	'access is "denied" (S3). | An owner or admin can top up at any time (T1); paying 5.00 USD restores full access.',
	'E1: by statement, by a member whose own account comes first');

-- E1: an application's trigger that names the member row by row; the last row counts what is kept in memory for the guard
CREATE TABLE public.authored (n int, account_id bigint, kept bigint);
CREATE FUNCTION public.act_as_author() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kbilling.kb_act_as(NEW.account_id, 'own');
	IF NEW.n = 1000 THEN
		NEW.kept = (SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'guarded accounts');
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER act BEFORE INSERT ON public.authored FOR EACH ROW EXECUTE FUNCTION public.act_as_author();
CREATE TRIGGER guard BEFORE INSERT ON public.authored FOR EACH ROW EXECUTE FUNCTION kbilling.kb_guard('account_id', 'member');
INSERT INTO public.authored SELECT n, 1 + n % 2 FROM generate_series(1, 1000) AS n;
SELECT is((SELECT count(*) FROM public.authored), 1000::bigint, 'E1: each row by a member of its own account');
SELECT cmp_ok((SELECT max(kept) FROM public.authored), '<=', 2::bigint, 'E1: memory stays flat');

-- E1: partitions

CREATE TABLE public.parted (id int, account_id bigint, junk text, day date) PARTITION BY RANGE (day);
CREATE TABLE public.parted_1 (day date, junk text, account_id bigint, id int);
ALTER TABLE public.parted ATTACH PARTITION public.parted_1 FOR VALUES FROM ('2026-11-01') TO ('2026-12-01');
CREATE TABLE public.parted_2 PARTITION OF public.parted FOR VALUES FROM ('2026-12-01') TO ('2027-01-01');
ALTER TABLE public.parted DROP COLUMN junk;
INSERT INTO public.parted SELECT a, a, '2026-11-10' FROM generate_series(1, 5) AS a;
CREATE FUNCTION public.parted(form text, statement text, acting bigint, member text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM public.guard('public.parted', form);
	RAISE SQLSTATE 'UNDO1' USING MESSAGE = public.try(statement, acting, member);
EXCEPTION WHEN SQLSTATE 'UNDO1' THEN
	RETURN SQLERRM;
END $$;
SELECT is(public.parted(form, statement, acting, member), expected,
	format('E1: a partitioned table, %s: %s', form, statement)) FROM public.form, (VALUES
	('INSERT INTO public.parted VALUES (9, 1, ''2026-11-11''), (9, 2, ''2026-12-11''), (9, 1, ''2026-12-11'')', NULL, NULL, 'through'),
	('INSERT INTO public.parted VALUES (9, 1, ''2026-11-11''), (9, 5, ''2026-12-11'')', NULL, NULL, 'KB003'),
	('INSERT INTO public.parted VALUES (9, 5, ''2026-11-11'')', NULL, NULL, 'KB003'),
	('UPDATE public.parted SET day = ''2026-12-11'' WHERE account_id = 5', NULL, NULL, 'KB003'),
	('UPDATE public.parted SET day = ''2026-12-11'' WHERE account_id = 4', NULL, NULL, 'through'),
	('UPDATE public.parted SET day = ''2026-12-11'' WHERE account_id = 4', 4, 'own', 'KB003'),
	('UPDATE public.parted SET day = ''2026-12-11'', account_id = 5 WHERE account_id = 4', NULL, NULL, 'KB003'),
	('UPDATE public.parted SET day = ''2026-12-11'', account_id = 4 WHERE account_id = 5', NULL, NULL, 'KB003'),
	('UPDATE public.parted SET account_id = 5 WHERE account_id = 1', NULL, NULL, 'KB003'),
	('DELETE FROM public.parted WHERE account_id = 5', NULL, NULL, 'KB003'),
	('DELETE FROM public.parted WHERE account_id = 2', 1, 'own', 'KB003'),
	('COPY public.parted FROM PROGRAM ''printf "9\t1\t2026-11-11\n9\t5\t2026-12-11\n"''', NULL, NULL, 'KB003')
) AS t (statement, acting, member, expected);
SELECT is(public.parted(form, 'INSERT INTO public.parted_1 VALUES (''2026-11-11'', 5, 9)', NULL, NULL),
	CASE form WHEN 'statement' THEN 'through' ELSE 'KB003' END,
	format('E1: written past the parent, %s', form)) FROM public.form;

-- E1: foreign keys that cascade

CREATE TABLE public.recipient (id bigint PRIMARY KEY);
INSERT INTO public.recipient SELECT generate_series(1, 8);
CREATE TABLE public.letter (id int PRIMARY KEY, account_id bigint REFERENCES public.recipient ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO public.letter SELECT a, a FROM generate_series(1, 8) AS a;
CREATE FUNCTION public.cascaded(form text, statement text, acting bigint, member text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM public.guard('public.letter', form);
	RAISE SQLSTATE 'UNDO1' USING MESSAGE = public.try(statement, acting, member);
EXCEPTION WHEN SQLSTATE 'UNDO1' THEN
	RETURN SQLERRM;
END $$;
SELECT is(public.cascaded(form, statement, acting, member), expected,
	format('E1: a foreign key that cascades, %s: %s', form, statement)) FROM public.form, (VALUES
	('DELETE FROM public.recipient WHERE id = 1', NULL, NULL, 'through'),
	('DELETE FROM public.recipient WHERE id = 5', NULL, NULL, 'KB003'),
	('DELETE FROM public.recipient WHERE id = 2', 1, 'own', 'KB003'),
	('DELETE FROM public.recipient WHERE id IN (1, 5)', NULL, NULL, 'KB003'),
	('UPDATE public.recipient SET id = 9 WHERE id = 1', NULL, NULL, 'KB001'),
	('UPDATE public.recipient SET id = 9 WHERE id = 5', NULL, NULL, 'KB003')
) AS t (statement, acting, member, expected);

-- E1: a constraint trigger that waits for the end of the transaction

CREATE TABLE public.deferred (account_id bigint);
CREATE CONSTRAINT TRIGGER guard AFTER INSERT ON public.deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION kbilling.kb_guard('account_id', 'member');
CREATE FUNCTION public.at_the_end(VARIADIC statements text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s text;
BEGIN
	FOREACH s IN ARRAY statements LOOP
		EXECUTE s;
	END LOOP;
	SET CONSTRAINTS ALL IMMEDIATE;
	RAISE SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN RETURN 'through'; WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
SELECT is(public.at_the_end(VARIADIC statements), expected, 'E1: deferred: ' || array_to_string(statements, '; ')) FROM (VALUES
	(ARRAY['INSERT INTO public.deferred VALUES (1)'], 'KB003'),
	(ARRAY['INSERT INTO public.deferred VALUES (1)', 'SELECT kbilling.kb_act_as(1, ''own'')'], 'through'),
	(ARRAY['SELECT kbilling.kb_act_as(5, ''own'')', 'INSERT INTO public.deferred VALUES (5)'], 'KB003'),
	(ARRAY['SELECT kbilling.kb_act_as(5, ''own'')', 'INSERT INTO public.deferred VALUES (5)',
		'SELECT kbilling.kb_apply_topup(5, ''5 USD'', ''card'', ''x'')'], 'through'),
	(ARRAY['SELECT kbilling.kb_act_as(1, ''own'')', 'INSERT INTO public.deferred VALUES (1)',
		'SELECT kbilling.kb_adjust(1, ''-1 USD'', ''x'', ''x'')'], 'through'),
	(ARRAY['SELECT kbilling.kb_act_as(1, ''own'')', 'INSERT INTO public.deferred VALUES (1), (2)'], 'KB003')
) AS t (statements, expected);
BEGIN;
SELECT kb_act_as(1, 'own')
\g /dev/null
INSERT INTO public.deferred VALUES (1);
COMMIT;
SELECT is((SELECT count(*) FROM public.deferred), 1::bigint,
	'E4: the member acts until the transaction has ended, the triggers that wait for it too');

-- E1: a later BEFORE trigger of the application has the last word; AFTER sees what is written
CREATE FUNCTION public.move() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.account_id = 5; RETURN NEW; END';
CREATE TRIGGER zz_move BEFORE INSERT ON public.after_row FOR EACH ROW EXECUTE FUNCTION public.move();
CREATE TRIGGER zz_move BEFORE INSERT ON public.by_statement FOR EACH ROW EXECUTE FUNCTION public.move();
SELECT is(public.try('INSERT INTO public.after_row VALUES (99, 1)') || ' '
	|| public.try('INSERT INTO public.by_statement VALUES (99, 1)'), 'KB003 KB003', 'E1: a guard AFTER sees the rows as they are written');
DROP TRIGGER zz_move ON public.after_row;
DROP TRIGGER zz_move ON public.by_statement;

-- E2: rows out of sight

SET ROLE kbilling_guard_app;
CREATE TABLE public.doc (account_id bigint, body text);
INSERT INTO public.doc SELECT a, 'text ' || a FROM generate_series(1, 8) AS a;
INSERT INTO public.doc VALUES (NULL, 'nobody''s'), (404, 'unknown');
ALTER TABLE public.doc ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON public.doc USING (kbilling.kb_can_use(account_id));
GRANT ALL ON public.doc TO kbilling_guard_plain;
SELECT is((SELECT count(*) FROM public.doc), 0::bigint, 'E2: without a member nothing is in sight, of the table''s owner neither (FORCE)');
RESET ROLE;
CREATE FUNCTION public.sight(account bigint, member text, as_role text = 'kbilling_guard_plain') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	seen text;
BEGIN
	IF member IS NOT NULL THEN
		PERFORM kbilling.kb_act_as(account, member);
	END IF;
	EXECUTE format('SET LOCAL ROLE %I', as_role);
	SELECT coalesce(string_agg(body, ', ' ORDER BY body), 'none') INTO seen FROM public.doc;
	RESET ROLE;
	RAISE SQLSTATE 'UNDO1' USING MESSAGE = seen;
EXCEPTION WHEN SQLSTATE 'UNDO1' THEN
	RETURN SQLERRM;
END $$;
SELECT is((SELECT string_agg(stage || ' ' || CASE public.sight(account_id, member, r) WHEN 'text ' || account_id THEN 'seen'
	WHEN 'none' THEN 'none' ELSE 'wrong' END, ', ' ORDER BY account_id)
		FROM public.stage_account), expected, format('E2, S3: what %s sees, as %s', coalesce(member, 'nobody'), r))
FROM unnest('{kbilling_guard_plain,kbilling_guard_app}'::text[]) AS r, (VALUES
	(NULL, 'ok none, grace none, remind none, restrict none, blocked none, deferred none, deleted none, closing none'),
	('own', 'ok seen, grace seen, remind seen, restrict none, blocked none, deferred seen, deleted none, closing seen'),
	('adm', 'ok seen, grace seen, remind seen, restrict none, blocked none, deferred seen, deleted none, closing seen'),
	('emp', 'ok seen, grace seen, remind seen, restrict seen, blocked none, deferred seen, deleted none, closing seen')
) AS t (member, expected);

-- E2: it never raises
SELECT is(kb_can_use(account), false, format('E2: false without a member: %s', account))
	FROM unnest(ARRAY[NULL, 1, 0, -1, 404, 9223372036854775807, -9223372036854775808]::bigint[]) AS account;
BEGIN;
SELECT kb_act_as(1, 'own')
\g /dev/null
SELECT is(kb_can_use(account), account IS NOT DISTINCT FROM 1, format('E2: for a member of account 1: %s', account))
	FROM unnest(ARRAY[NULL, 1, 2, 0, -1, 404, 9223372036854775807, -9223372036854775808]::bigint[]) AS account;
SET LOCAL ROLE kbilling_guard_plain;
SELECT ok(kb_can_use(1) AND NOT kb_can_use(2), 'E2: a role without any right on kbilling may ask');
SELECT is((SELECT string_agg(s, ',') FROM unnest(ARRAY['SELECT kbilling_internal.kb_may_use()']) AS q, public.try(q) AS s),
	'42501', 'E2: but not look itself');
SELECT is(public.try(statement), expected, 'E2: of the rows in sight: ' || statement) FROM (VALUES
	('INSERT INTO public.doc VALUES (1, ''mine'')', 'through'),
	('INSERT INTO public.doc VALUES (2, ''not mine'')', '42501'),
	('UPDATE public.doc SET account_id = 2', '42501'),
	('UPDATE public.doc SET body = body', 'through')
) AS t (statement, expected);
RESET ROLE;
ROLLBACK;
SELECT is(public.try('DO $$ BEGIN PERFORM kbilling.kb_remove_member(1, ''emp''); ASSERT NOT kbilling.kb_can_use(1); END $$',
	1, 'emp'), 'through', 'E2: a member that has been removed since');
SELECT is(public.try('DO $$ BEGIN PERFORM kbilling.kb_set_role(4, ''emp'', ''admin''); ASSERT NOT kbilling.kb_can_use(4); '
	'END $$', 4, 'emp'), 'through', 'E2: a member whose role has changed since');

-- E2: decided once a statement
CREATE TABLE public.many (account_id bigint);
INSERT INTO public.many SELECT 1 + n % 3 FROM generate_series(1, 3000) AS n;
SELECT is(public.lookups_of('SELECT count(*) FROM public.many WHERE kbilling.kb_can_use(account_id)', 1, 'own'), 1::bigint,
	'E2: one look-up for 3,000 rows');
SELECT is(public.lookups_of('SELECT count(*) FROM public.many WHERE kbilling.kb_can_use(account_id)'), 0::bigint,
	'E2: none without a member');
SELECT is(public.lookups_of('SELECT count(*) FROM generate_series(2, 1000) AS a WHERE kbilling.kb_can_use(a)', 1, 'own'),
	0::bigint, 'E2: none for other accounts');

-- E2: a prepared statement, before and after the debt is paid, and by nobody
PREPARE seen AS SELECT body FROM public.doc;
GRANT SELECT ON public.stage_account TO PUBLIC;
BEGIN;
SELECT kb_act_as(5, 'own')
\g /dev/null
SET LOCAL plan_cache_mode = force_generic_plan;
SET LOCAL ROLE kbilling_guard_app;
SELECT is_empty('EXECUTE seen', 'E2: prepared: blocked');
RESET ROLE;
SELECT kb_apply_topup(5, '5 USD', 'card', 'paid')
\g /dev/null
SET LOCAL ROLE kbilling_guard_app;
SELECT results_eq('EXECUTE seen', ARRAY['text 5'], 'E2: prepared: paid, in the same transaction');
SELECT kb_act_as(1, 'own')
\g /dev/null
SELECT results_eq('EXECUTE seen', ARRAY['text 1'], 'E2: prepared: another member');
ROLLBACK;
SET ROLE kbilling_guard_app;
SELECT is_empty('EXECUTE seen', 'E2: prepared: the transaction is over');
RESET ROLE;
DEALLOCATE seen;

-- E2: a function called in a loop while the balance changes
CREATE FUNCTION public.can(bigint) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN kbilling.kb_can_use($1); END';
CREATE FUNCTION public.can_see(bigint) RETURNS bigint LANGUAGE plpgsql
	AS 'BEGIN RETURN (SELECT count(*) FROM public.many WHERE account_id = $1 AND kbilling.kb_can_use(account_id)); END';
CREATE FUNCTION public.watched() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	saw text = '';
BEGIN
	PERFORM kbilling.kb_act_as(1, 'own');
	PERFORM pg_temp.clock('2026-11-01 10:00+00');
	PERFORM kbilling.kb_adjust(1, '-5 USD', 'loop', 'loop');
	PERFORM pg_temp.clock('2026-11-20 10:00+00');
	FOR i IN 1..6 LOOP
		saw = saw || public.can(1)::int || (public.can_see(1) > 0)::int || ' ';
		PERFORM kbilling.kb_adjust(1, CASE WHEN i % 2 = 1 THEN '5.00 USD' ELSE '-5.00 USD' END::kbilling.kb_money, 'loop ' || i, 'loop');
	END LOOP;
	RAISE SQLSTATE 'UNDO1' USING MESSAGE = saw;
EXCEPTION WHEN SQLSTATE 'UNDO1' THEN
	RETURN SQLERRM;
END $$;
SELECT is(public.watched(), '00 11 11 11 11 11 ', 'E2: blocked, paid, and new debts that are young');
CREATE FUNCTION public.watched_rollback() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	saw text = '';
BEGIN
	PERFORM kbilling.kb_act_as(5, 'own');
	FOR i IN 1..3 LOOP
		saw = saw || public.can(5)::int;
		BEGIN
			PERFORM kbilling.kb_apply_topup(5, '5.00 USD', 'card', 'loop ' || i);
			saw = saw || public.can(5)::int || ' ';
			RAISE SQLSTATE 'UNDO2';
		EXCEPTION WHEN SQLSTATE 'UNDO2' THEN
			NULL;
		END;
	END LOOP;
	RETURN saw;
END $$;
SELECT is(public.watched_rollback(), '01 01 01 ', 'E2: a top-up that is rolled back to a savepoint gives no access');

-- E2: parallel queries
SELECT current_setting('server_version_num')::int >= 160000 AS renamed
\gset
BEGIN;
SELECT kb_act_as(1, 'own')
\g /dev/null
\if :renamed
SET LOCAL debug_parallel_query = on;
\else
SET LOCAL force_parallel_mode = on;
\endif
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 4;
SELECT is((SELECT count(*) FROM public.many WHERE kb_can_use(account_id)), 1000::bigint, 'E2: a parallel query sees the same rows');
SELECT is((SELECT count(*) FROM public.many JOIN public.doc USING (account_id) WHERE kb_can_use(account_id)), 1000::bigint,
	'E2: a parallel join too');
SELECT is((SELECT count(*) FROM public.many WHERE kb_acting_account() = 1 AND kb_acting_member() = 'own'), 3000::bigint,
	'E4: and knows who acts');
ROLLBACK;

-- E4: how long it lasts

CREATE TABLE public.acted (n int GENERATED ALWAYS AS IDENTITY, why text, acting text);
CREATE FUNCTION public.acting() RETURNS text LANGUAGE sql
	AS $$ SELECT coalesce(kbilling.kb_acting_account() || ' ' || kbilling.kb_acting_member(), 'nobody') $$;
SELECT is(public.acting(), 'nobody', 'E4: at first nobody acts');
SELECT kb_act_as(1, 'own')
\g /dev/null
SELECT is(public.acting(), 'nobody', 'E4: outside of a transaction block it is over with its statement');
BEGIN;
SELECT kb_act_as(1, 'own')
\g /dev/null
SELECT is(public.acting(), '1 own', 'E4: for the transaction');
COMMIT;
SELECT is(public.acting(), 'nobody', 'E4: not after COMMIT');
BEGIN;
SELECT kb_act_as(1, 'own')
\g /dev/null
COMMIT AND CHAIN;
SELECT is(public.acting(), 'nobody', 'E4: nor in the transaction that follows it');
SELECT kb_act_as(1, 'own')
\g /dev/null
ROLLBACK AND CHAIN;
SELECT is(public.acting(), 'nobody', 'E4: nor after ROLLBACK');
SELECT kb_act_as(1, 'own')
\g /dev/null
SAVEPOINT a;
SELECT is(public.acting(), '1 own', 'E4: a savepoint changes nothing');
SELECT kb_act_as(2, 'adm')
\g /dev/null
SAVEPOINT b;
SELECT kb_act_as(3, 'emp')
\g /dev/null
SELECT kb_act_as(4, 'emp')
\g /dev/null
SELECT is(public.acting(), '4 emp', 'E4: the last one');
RELEASE b;
SELECT is(public.acting(), '4 emp', 'E4: RELEASE keeps it');
ROLLBACK TO a;
SELECT is(public.acting(), '1 own', 'E4: ROLLBACK TO brings the one before the savepoint back');
SELECT kb_act_as(2, 'own')
\g /dev/null
ROLLBACK TO a;
SELECT is(public.acting(), '1 own', 'E4: again');
SAVEPOINT a;
SELECT kb_act_as(2, 'adm')
\g /dev/null
SAVEPOINT b;
SELECT kb_act_as(3, 'emp')
\g /dev/null
ROLLBACK TO b;
SELECT is(public.acting(), '2 adm', 'E4: the inner one');
RELEASE b;
RELEASE a;
SELECT is(public.acting(), '2 adm', 'E4: released twice');
ROLLBACK TO a;
SELECT is(public.acting(), '1 own', 'E4: the outer savepoint of the same name');
SELECT throws_ok($$SELECT kb_act_as(1, 'stranger')$$, 'KB004', '"stranger" is not a member of account 1', 'E4: no member');
SELECT throws_ok($$SELECT kb_act_as(1, '')$$, 'KB004', '"" is not a member of account 1', 'E4: no name');
SELECT throws_ok($$SELECT kb_act_as(404, 'own')$$, 'KB001', 'account 404 does not exist', 'E4: no account');
SELECT throws_ok($$SELECT kb_act_as(NULL, 'own')$$, '22004', NULL, 'E4: NULL account');
SELECT throws_ok($$SELECT kb_act_as(1, NULL)$$, '22004', NULL, 'E4: NULL member');
SELECT throws_ok($$SELECT kb_act_as(1, '4111 1111 1111 1111')$$, 'KB008', NULL, 'T4: a card number is no member, and not repeated');
SELECT is(public.acting(), '1 own', 'E4: what is refused changes nothing');
COMMIT;
SELECT is(public.acting(), 'nobody', 'E4: after all of that');
-- blocks of PL/pgSQL
DO $$
BEGIN
	PERFORM kbilling.kb_act_as(1, 'own');
	BEGIN
		PERFORM kbilling.kb_act_as(2, 'own');
		INSERT INTO public.acted (why, acting) SELECT 'in the block', public.acting();
		BEGIN
			PERFORM kbilling.kb_act_as(3, 'own');
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
			INSERT INTO public.acted (why, acting) SELECT 'after an inner error', public.acting();
		END;
		BEGIN
			PERFORM kbilling.kb_act_as(4, 'own');
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
		INSERT INTO public.acted (why, acting) SELECT 'after an inner block', public.acting();
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN
		INSERT INTO public.acted (why, acting) SELECT 'after an outer error', public.acting();
	END;
	INSERT INTO public.acted (why, acting) SELECT 'after the block', public.acting();
END $$;
SELECT is((SELECT string_agg(format('%s: %s', why, acting), ', ' ORDER BY n) FROM public.acted),
	'after an outer error: 1 own, after the block: 1 own', 'E4: exception blocks: what is undone acts no more');
-- a procedure that commits
TRUNCATE public.acted;
CREATE PROCEDURE public.rounds() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..3 LOOP
		INSERT INTO public.acted (why, acting) SELECT 'begins', public.acting();
		PERFORM kbilling.kb_act_as(i, 'own');
		INSERT INTO public.acted (why, acting) SELECT 'acts', public.acting();
		IF i = 2 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END $$;
CALL public.rounds();
SELECT is((SELECT string_agg(acting, ', ' ORDER BY n) FROM public.acted), 'nobody, 1 own, nobody, 3 own',
	'E4: a procedure that commits acts for nobody afterwards');
-- two-phase commit, where the server has it
SELECT current_setting('max_prepared_transactions')::int > 0 AS two_phase
\gset
\if :two_phase
BEGIN;
SELECT kb_act_as(1, 'own')
\g /dev/null
INSERT INTO public.deferred VALUES (1);
PREPARE TRANSACTION 'kbilling_guard';
SELECT is(public.acting(), 'nobody', 'E4: not after PREPARE TRANSACTION');
COMMIT PREPARED 'kbilling_guard';
SELECT is(public.acting(), 'nobody', 'E4: nor after COMMIT PREPARED');
\endif

-- E4: nobody can forge it

GRANT INSERT ON public.acted TO PUBLIC;
CREATE FUNCTION public.forge(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		EXECUTE statement;
	EXCEPTION WHEN OTHERS THEN
		NULL;
	END;
	RETURN public.acting() || CASE WHEN kbilling.kb_can_use(1) THEN ', in sight' ELSE '' END;
END $$;
SELECT is(public.forge(statement), 'nobody', 'E4: not by ' || statement) FROM unnest(ARRAY[
	'SET kbilling.account_id = 1', 'SET kbilling.member = ''own''', 'SET kbilling.actor = ''1 own''',
	'SET LOCAL kbilling.acting_account = 1',
	'SELECT set_config(''kbilling.acting_account'', ''1'', false)', 'SELECT set_config(''kbilling.acting_member'', ''own'', true)',
	'SET SESSION AUTHORIZATION kbilling_guard_plain', 'RESET SESSION AUTHORIZATION', 'SET ROLE kbilling_guard_plain',
	'RESET ROLE', 'RESET ALL', 'DISCARD PLANS',
	'ALTER ROLE kbilling_guard_forger SET kbilling.member = ''own''',
		'ALTER DATABASE postgres SET kbilling.member = ''own''']) AS statement;
RESET ALL;
SET search_path = kbilling, public;
SET kbilling.clock = '2026-11-20 10:00+00';
SET SESSION AUTHORIZATION kbilling_guard_forger;
SELECT is(public.forge(statement), 'nobody', 'E4: not by a role without the right, with ' || statement) FROM unnest(ARRAY[
	'SELECT kbilling.kb_act_as(1, ''own'')', 'SET kbilling.member = ''own''',
	'SELECT set_config(''kbilling.acting_account'', ''1'', false)',
	'ALTER ROLE kbilling_guard_forger SET kbilling.member = ''own''',
	'CREATE FUNCTION pg_temp.kb_act_as(bigint, text) RETURNS void LANGUAGE sql AS ''SELECT kbilling.kb_act_as($1, $2)''; '
	'SELECT pg_temp.kb_act_as(1, ''own'')',
	'CREATE FUNCTION pg_temp.act(bigint, text) RETURNS void LANGUAGE c AS ''kbilling'', ''kb_act_as''; SELECT pg_temp.act(1, ''own'')',
	'SET ROLE kbilling_guard_app; SELECT kbilling.kb_act_as(1, ''own'')', 'SELECT kbilling_internal.kb_may_use()',
	'INSERT INTO kbilling.member VALUES (1, ''forger'', ''owner'')',
	'ALTER FUNCTION kbilling.kb_act_as(bigint, text) OWNER TO kbilling_guard_forger',
	'CREATE OR REPLACE FUNCTION kbilling.kb_can_use(bigint) RETURNS boolean LANGUAGE sql AS ''SELECT true''']) AS statement;
RESET SESSION AUTHORIZATION;
-- and who acts stays the same, whoever the session is
BEGIN;
SELECT kb_act_as(1, 'own')
\g /dev/null
SET LOCAL ROLE kbilling_guard_forger;
SELECT is(public.forge(statement), '1 own, in sight', 'E4: it stays with ' || statement)
	FROM unnest(ARRAY['SELECT kbilling.kb_act_as(2, ''own'')', 'SET search_path = public', 'SELECT 1 / 0',
	'SET ROLE kbilling_guard_plain', 'SET SESSION AUTHORIZATION kbilling_guard_plain', 'RESET SESSION AUTHORIZATION']) AS statement;
ROLLBACK;
SELECT is(public.acting(), 'nobody', 'E4: until the transaction ends');

DROP OWNED BY kbilling_guard_app, kbilling_guard_plain, kbilling_guard_forger;
DROP ROLE kbilling_guard_app, kbilling_guard_plain, kbilling_guard_forger;
-- E2: found by an index

CREATE TABLE public.indexed (account_id bigint, id int, PRIMARY KEY (account_id, id));
INSERT INTO public.indexed SELECT i % 1000, i FROM generate_series(1, 20000) AS i;
ANALYZE public.indexed;
\ir ../include/plan.sql
SELECT matches(pg_temp.plan_of('SELECT * FROM public.indexed WHERE kbilling.kb_can_use(account_id)'), 'account_id = kb_acting_account\(\)',
	'E2: the planner takes kb_can_use to an index on the account');
SELECT unalike(pg_temp.plan_of('SELECT * FROM public.indexed WHERE kbilling.kb_can_use(id)'), '%kb_acting_account%',
	'E2: and not to one that begins with something else');

SELECT * FROM finish();
