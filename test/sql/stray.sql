-- Accounts that are here, but in a bucket that this node does not own (B3, B5): account 1 is like account 2, which is owned
SET search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/error.sql
\ir ../include/outcome.sql
\ir ../include/state.sql

SET kbilling.clock = '2026-08-01 10:00+00';
SELECT kb_set_policy('patient', '{"keep_usage_months": 1}')
\g /dev/null
SELECT kb_create_tariff(tariff, 'USD', policy => 'patient') FROM unnest('{a,b}'::text[]) AS tariff
\g /dev/null
SELECT kb_create_service('seat', 'recurring'), kb_create_service('orders', 'metered'), kb_create_service('calls', 'metered'),
	kb_create_service('pack', 'one_off'), kb_create_discount_code('FEST', 10)
\g /dev/null
SELECT kb_set_price(tariff, 'base', '30.00'), kb_set_price(tariff, 'seat', '10.00 each'), kb_set_price(tariff, 'orders', '0.05 each'),
	kb_set_price(tariff, 'calls', '0.01 each'), kb_set_price(tariff, 'pack', '5.00')
FROM unnest('{a,b}'::text[]) AS tariff
\g /dev/null
CREATE TABLE own_account AS SELECT unnest('{1,2}'::bigint[]) AS account_id;
SELECT kb_create_account('ann', 'a', account_id, email => 'ann@example.org') FROM own_account
\g /dev/null
SELECT kb_add_member(account_id, 'bea', 'employee'), kb_begin_topup(account_id, 'ann', '50 USD', 'card'),
	kb_apply_topup(account_id, '50 USD', 'card', 'r1'), kb_record_usage(account_id, 'orders', 10, 'k1'),
	kb_switch_on(account_id, 'seat')
FROM own_account
\g /dev/null

-- The application's tables
CREATE TABLE public.note (id bigint GENERATED ALWAYS AS IDENTITY, account_id bigint, note text);
CREATE TABLE public.page (LIKE public.note);
CREATE TABLE public.call (LIKE public.note);
CREATE TABLE public.sale (LIKE public.note);
INSERT INTO public.note (account_id) SELECT account_id FROM own_account;
INSERT INTO public.page (id, account_id) SELECT account_id, account_id FROM own_account;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON public.note FOR EACH ROW EXECUTE FUNCTION kb_guard('account_id');
CREATE TRIGGER guard_i AFTER INSERT ON public.page REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION kb_guard('account_id');
CREATE TRIGGER guard_d AFTER DELETE ON public.page REFERENCING OLD TABLE AS o FOR EACH STATEMENT EXECUTE FUNCTION kb_guard('account_id');
CREATE TRIGGER meter_i AFTER INSERT ON public.call REFERENCING NEW TABLE AS n
	FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('calls', 'account_id');
CREATE TRIGGER meter_d AFTER DELETE ON public.call REFERENCING OLD TABLE AS o
	FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('calls', 'account_id');
CREATE TRIGGER meter_i AFTER INSERT ON public.sale REFERENCING NEW TABLE AS n
	FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('calls', 'account_id', '', 'id');
CREATE TRIGGER meter_u AFTER UPDATE ON public.sale REFERENCING NEW TABLE AS n OLD TABLE AS o
	FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('calls', 'account_id', '', 'id');
CREATE TRIGGER meter_d AFTER DELETE ON public.sale REFERENCING OLD TABLE AS o
	FOR EACH STATEMENT EXECUTE FUNCTION kb_meter('calls', 'account_id', '', 'id');
INSERT INTO public.call (id, account_id) SELECT account_id, account_id FROM own_account;
INSERT INTO public.sale (id, account_id) SELECT account_id, account_id FROM own_account;

SET kbilling.clock = '2026-11-02 10:00+00';
CREATE TABLE seen_before AS
	SELECT 'digest' AS what, kb_catalogue_digest() AS value UNION ALL
	SELECT 'overdue', accounts_overdue::text FROM kb_sweep_status() UNION ALL
	SELECT 'accounts', sum(value)::text FROM metrics WHERE name = 'kbilling_accounts' UNION ALL
	SELECT 'notices', sum(value)::text FROM metrics WHERE name = 'kbilling_notices' UNION ALL
	SELECT 'cash', debit::text FROM trial_balance WHERE ledger_account = 'cash' UNION ALL
	SELECT 'problems', count(*)::text FROM kb_check();
SELECT set_eq('SELECT what, value FROM seen_before WHERE what <> ''digest''', $$VALUES
	('overdue', '2'), ('accounts', '2'), ('notices', '2'), ('cash', '100.00 USD'), ('problems', '0')$$,
	'without shards both accounts are counted');

SELECT kb_own_buckets(ARRAY(SELECT b FROM generate_series(0, 1023) b WHERE b <> 838))
\g /dev/null

-- Every function whose first argument is the account, with a call of it that succeeds; what comes before it, if anything

CREATE TABLE call_of (function regprocedure, arguments text, before text);
INSERT INTO call_of VALUES
	('kb_access(bigint, kb_role)', '''owner'''),
	('kb_access(bigint, kb_role, timestamptz)', '''owner'', ''2026-09-15'''),
	('kb_access_stage(bigint)', NULL),
	('kb_access_stage(bigint, timestamptz)', '''2026-12-15'''),
	('kb_ack_notice(bigint, bigint)', '1'),
	('kb_act_as(bigint, text)', '''ann'''),
	('kb_add_member(bigint, text, kb_role, text)', '''eve'', ''admin'''),
	('kb_adjust(bigint, kb_money, text, text)', '''-1 USD'', ''x'', ''memo'''),
	('kb_amount_for(bigint, integer)', '1'),
	('kb_apply_topup(bigint, kb_money, text, text, text, bigint, kb_money)', '''5 USD'', ''card'', ''x'''),
	('kb_available(bigint)', NULL),
	('kb_balance(bigint)', NULL),
	('kb_balance(bigint, timestamptz)', '''2026-09-15'''),
	('kb_begin_topup(bigint, text, kb_money, text)', '''ann'', ''5 USD'', ''card'''),
	('kb_buy(bigint, text, numeric, text, text)', '''pack'', 1, ''x'''),
	('kb_chargeback(bigint, text, text, kb_money)', '''r1'', ''x'''),
	('kb_current_usage(bigint)', NULL),
	('kb_grant_credit(bigint, kb_money, text, text, date, integer)', '''1 USD'', ''gift'', ''why'''),
	('kb_defer(bigint, date, text, text)', '''2026-11-20'', ''me'', ''why'''),
	('kb_end_account(bigint, text, date, text)', '''ann'''),
	('kb_fail_notice(bigint, bigint, text, integer)', '1, ''why'''),
	('kb_fail_topup(bigint, bigint, text)', '1, ''why'''),
	('kb_forecast(bigint, integer)', '1'),
	('kb_hold_usage(bigint, text, numeric, text, timestamptz)', '''orders'', 1, ''x'', ''2027-01-01'''),
	('kb_history(bigint, text, bigint, integer)', '''ann'''),
	('kb_login(bigint, text)', '''ann'''),
	('kb_metadata(bigint)', NULL),
	('kb_month_charge(bigint, date)', NULL),
	('kb_portal(bigint, text)', '''ann'''),
	('kb_record_usage(bigint, text, numeric, text, timestamptz, jsonb)', '''orders'', 1, ''x'''),
	('kb_redeem_code(bigint, text, text)', '''FEST'', ''ann'''),
	('kb_refund(bigint, kb_money, text, text, text, boolean)', '''5 USD'', ''x'', ''memo'''),
	('kb_refund_total(bigint, text, kb_money, text, text)', '''r1'', ''5 USD'', ''x'''),
	('kb_remove_member(bigint, text)', '''bea'''),
	('kb_release_usage(bigint, text, text)', '''orders'', ''x'''),
	('kb_render_notice(bigint, bigint, text)', '1'),
	('kb_retry_notice(bigint, bigint)', '1'),
	('kb_reverse(bigint, bigint, text, text)', '1, ''x'', ''memo'''),
	('kb_set_account_alert(bigint, kb_alert_kind, numeric, text)', '''balance'', 5'),
	('kb_drop_account_alert(bigint, kb_alert_kind, numeric, text)', '''balance'', 5'),
	('kb_set_account_credit_line(bigint, kb_money)', '''5 USD'''),
	('kb_set_account_limit(bigint, text, numeric, boolean)', '''orders'', 100'),
	('kb_set_billing_details(bigint, jsonb)', '''{}'''),
	('kb_set_contact(bigint, text, text, text)', '''bea'', ''bea@example.org'', ''uk'''),
	('kb_set_discount(bigint, numeric, kb_money, text[], integer, date)', '10'),
	('kb_set_metadata(bigint, jsonb)', '''{}'''),
	('kb_set_role(bigint, text, kb_role)', '''bea'', ''admin'''),
	('kb_set_tariff(bigint, text, date)', '''b'''),
	('kb_switch_off(bigint, text, date)', '''seat'''),
	('kb_switch_on(bigint, text, numeric, date)', '''seat'', 2'),
	('kb_topup_offers(bigint)', NULL),
	('kb_verify(bigint)', NULL);
INSERT INTO call_of VALUES
	('kb_continue_account(bigint, text)', '''ann''', 'kb_end_account(%s, ''ann'')'),
	('kb_cancel_closure(bigint, text)', '''ann''', 'kb_refund(%1$s, ''50 USD'', ''y'', ''memo''), kb_schedule_closure(%1$s, ''me'')'),
	('kb_restore_account(bigint, text)', '''me''', 'pg_temp.put_state(%s, ''deleted'')'),
	('kb_reverse_chargeback(bigint, text, text, text)', '''y'', ''x'', ''memo''', 'kb_chargeback(%s, ''r1'', ''y'')'),
	('kb_reverse_refund(bigint, text, text, text)', '''y'', ''x'', ''memo''', 'kb_refund(%s, ''5 USD'', ''y'', ''memo'')'),
	('kb_schedule_closure(bigint, text, text)', '''me''', 'kb_refund(%s, ''50 USD'', ''y'', ''memo'')'),
	('kb_write_off(bigint, text, text)', '''x'', ''memo''', 'kb_adjust(%s, ''-100 USD'', ''y'', ''memo'')');
-- Those that do not refuse, and why
CREATE TABLE exempt (function regprocedure, reason text);
INSERT INTO exempt VALUES
	('kb_shard(bigint)', 'says in which bucket an account is, wherever it is'),
	('kb_can_use(bigint)', 'raises nothing in policies (E4): for whom kb_act_as has named no member, it is false');

SELECT set_eq('SELECT function FROM call_of UNION ALL SELECT function FROM exempt', $$
	SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'kbilling'::regnamespace AND p.proargtypes[0] = 'bigint'::regtype
		AND p.proargnames[1] = 'account_id'
$$, 'B3: each function whose first argument is the account is called below, or on the list of those that need no check');
CREATE FUNCTION pg_temp.statement(call call_of, account_id bigint) RETURNS text LANGUAGE sql
	RETURN format('SELECT * FROM %s(%s)', (call.function::oid)::regproc, concat_ws(', ', account_id, call.arguments));
SELECT is(left(pg_temp.error_of(pg_temp.statement(c, account_id)), 5), 'KB014', format('B3: KB014: %s', pg_temp.statement(c, account_id)))
FROM call_of c, unnest('{1,4294967296}'::bigint[]) account_id ORDER BY account_id, function::text;

-- What becomes of a call, and whether its transaction has the lock of the bucket then (7 is OWN_LOCK_BUCKET), or of all
CREATE FUNCTION pg_temp.call(before text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	is_locked boolean;
BEGIN
	IF before IS NOT NULL THEN
		EXECUTE 'SELECT ' || before;
	END IF;
	EXECUTE call;
	SELECT count(*) > 0 INTO is_locked FROM pg_locks l
	WHERE l.pid = pg_backend_pid() AND l.locktype = 'advisory' AND l.objsubid = 7
		AND (l.objid = kb_shard(2) AND l.mode = 'AccessShareLock' OR l.objid = 1024 AND l.mode = 'RowExclusiveLock');
	RAISE EXCEPTION USING MESSAGE = CASE WHEN is_locked THEN 'keeps the bucket' ELSE 'done' END, ERRCODE = 'ZZ000';
EXCEPTION
	WHEN SQLSTATE 'ZZ000' THEN RETURN SQLERRM;
	WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT is(pg_temp.call(format(c.before, 2), pg_temp.statement(c, 2)),
	CASE p.provolatile WHEN 'v' THEN 'keeps the bucket' ELSE 'done' END,
	format('B3: %s succeeds for an account that is owned%s', pg_temp.statement(c, 2),
		CASE p.provolatile WHEN 'v' THEN ', and keeps its bucket' ELSE '' END))
FROM call_of c JOIN pg_proc p ON p.oid = c.function ORDER BY function::text;
BEGIN;
SELECT kb_act_as(2, 'ann')
\g /dev/null
SELECT is(ARRAY(SELECT kb_can_use(x) FROM unnest('{1,2}'::bigint[]) x), '{f,t}', 'B3, E2: row security has no row of a stray');
COMMIT;

-- Guards and meters

CREATE TABLE write_of AS
	SELECT unnest(ARRAY['INSERT INTO public.note (account_id) VALUES (%s)', 'UPDATE public.note SET note = ''x'' WHERE account_id = %s',
		'DELETE FROM public.note WHERE account_id = %s', 'INSERT INTO public.page (id, account_id) VALUES (7, %s)',
		'DELETE FROM public.page WHERE account_id = %s', 'INSERT INTO public.call (id, account_id) VALUES (7, %s)',
		'DELETE FROM public.call WHERE account_id = %s', 'INSERT INTO public.sale (id, account_id) VALUES (7, %s)',
		'DELETE FROM public.sale WHERE account_id = %s']) AS statement;
SELECT is(left(pg_temp.outcome(format(statement, 1)), 5), 'KB014', 'B3: KB014: ' || format(statement, 1)) FROM write_of;
SELECT is(pg_temp.call(NULL, format(statement, 2)), 'keeps the bucket', 'B3: ' || format(statement, 2)) FROM write_of;
SELECT is(left(pg_temp.outcome(format('UPDATE public.sale SET account_id = %s WHERE account_id = %s', 3 - account_id, account_id)), 5),
	'KB014',
	format('B3: KB014: a metered row that changes from account %s to %s', account_id, 3 - account_id)) FROM own_account;
SELECT is(left(pg_temp.outcome('INSERT INTO public.page (id, account_id) SELECT x, x FROM generate_series(1, 40) x'), 5), 'KB014',
	'B3: KB014: rows of many accounts');

-- The views

CREATE FUNCTION pg_temp.accounts_in(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(DISTINCT v.account_id::text, '','' ORDER BY v.account_id::text) FROM %s v '
		'WHERE v.account_id IN (1, 2)', name) INTO result;
	RETURN result;
END $$;
SELECT kb_own_buckets(ARRAY(SELECT generate_series(0, 1023))), kb_month_charge(1), kb_grant_credit(1, '1 USD', 'g1', 'a gift'),
	kb_grant_credit(2, '1 USD', 'g1', 'a gift')
\g /dev/null
SELECT kb_own_buckets(ARRAY(SELECT b FROM generate_series(0, 1023) b WHERE b <> 838)), kb_month_charge(2)
\g /dev/null
SELECT kb_month_charge(2)
\g /dev/null
SELECT is(pg_temp.accounts_in(c.oid::regclass::text), '2', format('B5: %s has the rows of accounts that are owned', c.relname))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'account_id'
WHERE c.relnamespace = 'kbilling'::regnamespace AND c.relkind = 'v' ORDER BY c.relname;
SELECT is((SELECT debit FROM trial_balance WHERE ledger_account = 'cash'), '50 USD', 'B5, J4: so the trial balance is of them');
SELECT is((SELECT sum(value) FROM metrics WHERE name = 'kbilling_accounts'), 1::numeric, 'B5: metrics count them');
SELECT is((SELECT sum(value) FROM metrics WHERE name = 'kbilling_mrr'), 40::numeric, 'B5: and their revenue');
SELECT is((SELECT sum(value) FROM metrics WHERE name = 'kbilling_notices'), 3::numeric, 'B5: and their notices');
SELECT results_eq('SELECT accounts_overdue, overdue_since FROM kb_sweep_status()',
	$$VALUES (1::bigint, timestamptz '2026-11-01 00:00+00')$$, 'B5, W3: and what is overdue: October, though a stray is behind');

-- What is done for all

SELECT results_eq($$SELECT DISTINCT account_id FROM kb_take_notices(10, '1 minute')$$, 'VALUES (2::bigint)',
	'B5, N2: their notices are taken');
SELECT is((SELECT value FROM metrics WHERE name = 'kbilling_notice_lag_seconds'), 0::numeric, 'B5: none of them waits any more');
SELECT is((SELECT max(tries) FROM notice WHERE account_id = 1), 0, 'B5, N2: no others');
SELECT results_eq($$SELECT DISTINCT account_id FROM kb_unsettled_payments('0', '1 year')$$, 'VALUES (2::bigint)',
	'B5, T9: the provider is asked for their payments');
SELECT is((SELECT count(DISTINCT account_id) FROM payment WHERE settled_at IS NULL), 2::bigint, 'B5, T9: and for no others');
UPDATE notice SET tries = 10 WHERE account_id = 1;
SELECT is((SELECT count(*) FROM kb_take_notices(10, '1 minute')), 0::bigint, 'B5, N2: nor are they parked');
SELECT is((SELECT count(parked_at) FROM notice WHERE account_id = 1), 0::bigint, 'B5, N2: as it would be');

-- it is in debt, and unused
UPDATE notice SET tries = 0 WHERE account_id = 1;
SELECT kb_own_buckets(ARRAY(SELECT generate_series(0, 1023))), kb_adjust(account_id, '-80 USD', 'a1', 'memo') FROM own_account
\g /dev/null
SELECT kb_own_buckets(ARRAY(SELECT b FROM generate_series(0, 1023) b WHERE b <> 838))
\g /dev/null
CREATE VIEW stray AS
	SELECT a.*, (SELECT count(*) FROM notice n WHERE n.account_id = 1) AS notices,
		(SELECT count(*) FROM closure_step s WHERE s.account_id = 1) AS steps, (SELECT min(price_id) FROM usage_total t
			WHERE t.account_id = 1 AND t.service = 'orders') AS price_id,
		(SELECT count(*) FROM usage_event e WHERE e.account_id = 1) AS events, a.xmax::text AS locked_by
	FROM account a WHERE a.account_id = 1;
CREATE TABLE stray_before AS SELECT * FROM stray;
INSERT INTO activity VALUES (2, '2099-01-01') ON CONFLICT (account_id) DO UPDATE SET active_at = excluded.active_at;
SET kbilling.clock = '2026-11-20 10:00+00';
CALL kb_sweep();
SELECT is((SELECT format('%s due, %s charged, %s steps, %s notices, %s failed', periods_due, periods_charged, closure_steps,
	notices_written, accounts_failed) FROM sweep_run), '1 due, 1 charged, 0 steps, 1 notices, 0 failed',
	'B5, W1: the sweep does what is due of accounts that are owned');
SELECT is((SELECT charged_through FROM account WHERE account_id = 2), '2026-10-31', 'B5, C4: they are charged');
SELECT is((SELECT count(*) FROM usage_event WHERE account_id = 2), 0::bigint, 'B5, U6: what is kept no longer is removed');
SELECT results_eq('SELECT * FROM stray', 'SELECT * FROM stray_before', 'B5: a stray is as it was: not charged, told, closed or removed');
SELECT kb_own_buckets(ARRAY(SELECT generate_series(0, 1023)))
\g /dev/null
SELECT kb_sweep_begin()
\gset
CREATE FUNCTION pg_temp.sweep(run bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WHILE kbilling_internal.kb_sweep_step(run) LOOP
	END LOOP;
	PERFORM kbilling_internal.kb_sweep_end(run);
END $$;
SELECT is(pg_temp.call(NULL, format('SELECT kb_sweep_step(%s)', :kb_sweep_begin)), 'keeps the bucket',
	'B3: buckets stay where they are while a step of the sweep is taken');
SELECT pg_temp.sweep(:kb_sweep_begin)
\g /dev/null
SELECT is((SELECT charged_through FROM account WHERE account_id = 1), '2026-10-31', 'B5: once it is owned again, it is charged');
SELECT is((SELECT count(*) FROM closure_step WHERE account_id = 1), 1::bigint, 'B5, D2: its closure is scheduled');

-- New terms for all
SELECT kb_record_usage(account_id, 'orders', 10, 'k2', '2026-11-19 10:00+00') FROM own_account
\g /dev/null
SELECT kb_own_buckets(ARRAY(SELECT b FROM generate_series(0, 1023) b WHERE b <> 838))
\g /dev/null
DROP TABLE stray_before;
CREATE TABLE stray_before AS SELECT * FROM stray;
CREATE VIEW november AS SELECT u.account_id, p.price FROM usage_total u JOIN price p USING (price_id) WHERE u.period = '2026-11-01'
	AND u.service = 'orders' ORDER BY u.account_id;
SELECT kb_set_price('a', 'orders', '0.07 each', '2026-11-01')
\g /dev/null
SELECT results_eq('SELECT * FROM november', $$VALUES (1::bigint, '0.05 each'::kb_price), (2, '0.07 each')$$,
	'B5, C3: a price for past days reprices the usage of accounts that are owned');
SELECT is((SELECT sum(value) FROM metrics WHERE name = 'kbilling_debtors'), 1::numeric, 'B5: both are in debt, and one is counted');
SELECT kb_set_policy('patient', '{"remind_day": 2, "min_age_days": 50}')
\g /dev/null
SELECT results_eq('SELECT * FROM stray', 'SELECT * FROM stray_before', 'B5: a stray stays as it was, whatever policies say');

SELECT is(pg_temp.call(NULL, call), 'keeps the bucket', 'B3: buckets stay where they are: ' || call)
FROM unnest(ARRAY['SELECT kb_set_price(''a'', ''orders'', ''0.08 each'', ''2026-11-01'')',
	'SELECT kb_set_policy(''patient'', ''{"remind_day": 5}'')']) AS call;

-- kb_check

SELECT results_eq('SELECT * FROM kb_check()', $$VALUES (NULL::bigint, NULL::bigint,
	'B3: bucket 838 is not owned, and has 1 accounts here')$$, 'B5: kb_check names strays');
UPDATE account SET last_notice_no = 99 WHERE account_id = 1;
INSERT INTO account SELECT (jsonb_populate_record(a, '{"account_id": 4294967296}')).* FROM account a WHERE a.account_id = 2;
SELECT is(ARRAY(SELECT problem FROM kb_check()), '{"B3: bucket 838 is not owned, and has 2 accounts here"}',
	'B5: by their bucket, whatever is wrong with them');
DELETE FROM shard_bucket WHERE bucket < 3;
SELECT is(ARRAY(SELECT problem FROM kb_check() ORDER BY problem), '{"B2: 1021 of 1024 buckets have a row, so the others are not owned",'
	'"B3: bucket 838 is not owned, and has 2 accounts here"}', 'B2: and buckets without a row');
SELECT kb_own_buckets('{}')
\g /dev/null
SELECT is(ARRAY(SELECT problem FROM kb_check() ORDER BY problem), '{"B3: bucket 246 is not owned, and has 1 accounts here",'
	'"B3: bucket 838 is not owned, and has 2 accounts here"}', 'B5: a node that owns nothing has strays alone');
DELETE FROM shard_bucket;
SELECT isnt((SELECT count(*) FROM kb_check()), 0::bigint, 'B5: without shards none is a stray, and what is wrong is named');

-- The price list's digest

CREATE FUNCTION pg_temp.digest_changes(statement text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	before text = kb_catalogue_digest();
	changes boolean;
BEGIN
	EXECUTE statement;
	changes = kb_catalogue_digest() <> before;
	RAISE EXCEPTION USING ERRCODE = 'ZZ000';
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
	RETURN changes;
END $$;
SELECT is(pg_temp.digest_changes(statement), changes,
	format('B6: the digest is %s after %s', CASE WHEN changes THEN 'another' ELSE 'the same' END, statement))
FROM (VALUES
	('SELECT kb_set_policy(''patient'', ''{"remind_day": 5}'')', true), ('SELECT kb_create_tariff(''c'', ''USD'')', true),
	('SELECT kb_create_service(''extra'', ''recurring'')', true), ('SELECT kb_set_price(''b'', ''seat'', ''11.00 each'')', true),
	('SELECT kb_set_bonus(''a'', ''100 USD'', 10)', true), ('SELECT kb_create_payment_method(''cash'')', true),
	('SELECT kb_set_name(''tariff'', ''a'', ''uk'', ''A'')', true),
	('SELECT kb_set_template(''charge_posted'', ''en'', ''Charge'', ''A charge.'', ''patient'')', true),
	('UPDATE price SET withdrawn_at = now() WHERE price_id = 1', true), ('UPDATE price SET price_id = 999 WHERE price_id = 3', true),
	('UPDATE price SET listed_at = now()', false), ('SET LOCAL timezone = ''Asia/Tokyo''', false),
	('SET LOCAL datestyle = ''German''', false), ('SELECT kb_apply_topup(1, ''5 USD'', ''card'', ''r9'')', false)) v (statement, changes);
SELECT matches(kb_catalogue_digest(), '^[0-9a-f]{64}$', 'B6: it is a SHA-256');

SELECT finish();
