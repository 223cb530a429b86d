-- docs/operations.md: its statements run, and what it names is there.

-- What the page takes for granted: roles, a table of the application's, and accounts 7, in use, 8, which may be closed, and 9, deleted.
SET client_min_messages = error;
SET search_path = public, kbilling;
BEGIN;
SELECT no_plan();
CREATE ROLE shop_app;
CREATE ROLE shop_webhook;
CREATE ROLE shop_owner;
CREATE ROLE shop_support;
CREATE ROLE shop_operator;
CREATE ROLE shop_auditor;
CREATE TABLE orders (order_id bigint PRIMARY KEY, account_id bigint NOT NULL, quantity numeric NOT NULL);
SET kbilling.clock = '2026-11-01 09:00+00';
\o /dev/null
SELECT kb_create_tariff('standard', 'USD'), kb_create_service('orders', 'metered', 'order');
SELECT kb_set_price('standard', 'base', '19.00'), kb_set_price('standard', 'orders', '0.50 each free 3');
SELECT kb_create_account('ann', 'standard', account_id, email => 'ann@example.com') FROM generate_series(7, 9) account_id;
SELECT kb_apply_topup(7, '500 USD', 'card', 'payment-1');
COMMIT;
SET kbilling.clock = '2026-12-02 09:00+00';
SELECT kb_login(8, 'ann');
SET kbilling.clock = '2026-12-12 09:00+00';
CALL kb_sweep();
SET kbilling.clock = '2026-12-21 09:00+00';
CALL kb_sweep();
SET kbilling.clock = '2026-12-22 09:00+00';
CALL kb_sweep();
SET kbilling.clock = '2027-01-05 09:00+00';
\o
SELECT results_eq('SELECT account_id, state FROM account',
	$$VALUES (7::bigint, 'active'::kb_account_state), (8, 'active'), (9, 'deleted')$$,
	'the accounts are as the page has them');
RESET search_path;

-- Its blocks of SQL

\setenv DATABASE :DBNAME
\set blocks `file=$(mktemp) && awk -f test/include/blocks.awk docs/operations.md >"$file" && echo "$file"`
\i :blocks
\setenv BLOCKS :blocks
\set blocks `grep -c '^SELECT pass' "$BLOCKS"; rm "$BLOCKS"`
SELECT cmp_ok(:blocks, '>', 25, 'the page has blocks of SQL');

-- What cannot be run is read for names, as the prose is.
\set page `cat docs/operations.md`
SELECT set_config('test.page', :'page', false) \g /dev/null

SELECT is_empty($$
	SELECT DISTINCT w[1] FROM regexp_matches(current_setting('test.page'), '\m(kb_[a-z_]+)\M', 'g') w
	WHERE NOT EXISTS (SELECT FROM pg_proc p WHERE p.proname = w[1]) AND NOT EXISTS (SELECT FROM pg_type t WHERE t.typname = w[1])
$$, 'functions and types that the page names');

SELECT is_empty($$
	SELECT DISTINCT w[1] FROM regexp_matches(current_setting('test.page'), '\mkbilling\.([a-z_]+)\M', 'g') w
	WHERE w[1] <> 'so' AND to_regclass('kbilling.' || w[1]) IS NULL AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.proname = w[1])
		AND NOT EXISTS (SELECT FROM pg_settings s WHERE s.name = 'kbilling.' || w[1])
$$, 'tables, views and settings that it names');

SELECT is_empty($$
	SELECT s.name FROM pg_settings s WHERE s.name LIKE 'kbilling.%'
		AND position('| `' || s.name || '` |' IN current_setting('test.page')) = 0
$$, 'every setting is there');

SELECT bag_eq($$SELECT DISTINCT w[1] FROM regexp_matches(current_setting('test.page'), '`(kbilling_[a-z_]+)`', 'g') w
	WHERE w[1] NOT IN ('kbilling_internal', 'kbilling_refuse_drop', 'kbilling_router', 'kbilling_check', 'kbilling_check_findings')$$,
	'SELECT DISTINCT name FROM kbilling.metrics', 'every metric is there, and no other');

SELECT bag_eq($$SELECT w[1] FROM regexp_matches(current_setting('test.page'), '\n\| `(waiting|leased|paused|parked)` \|', 'g') w$$,
	$$VALUES ('waiting'), ('leased'), ('paused'), ('parked')$$, 'every status of a notice is there');

-- A finding is a format that begins with its rule.
SELECT is_empty($$
	SELECT DISTINCT f[1]
	FROM unnest(ARRAY[pg_get_viewdef('kbilling_internal.entry_check'), pg_get_viewdef('kbilling_internal.account_check'),
		pg_get_viewdef('kbilling_internal.usage_check'), pg_get_viewdef('kbilling_internal.billed_check'),
					  pg_get_functiondef('kbilling.kb_check()'::regprocedure)]) source,
		regexp_matches(source, '''([A-Z][0-9]+): ', 'g') f
	WHERE substr(current_setting('test.page'), position('### Findings' IN current_setting('test.page'))) !~ ('\n\|[^|]*`'
		|| f[1] || '\M[^|]*\|')
$$, 'every finding of kb_check is explained');

-- What the calls for a provider's reports raise, by their comments and by the sources; KB007 is the triggers'.
\set sources `cd src; cat errors.h account.h allocation.c card.c correction.c journal.c member.c money.c payment.c topup.c`
SELECT set_config('test.sources', :'sources', false) \g /dev/null
CREATE TEMP TABLE raised AS
	SELECT m[1] AS state
	FROM pg_proc p, regexp_matches(substring(obj_description(p.oid, 'pg_proc') FROM 'Errors:.*'),
		'\m(KB[0-9]{3}|[0-9]{2}[0-9A-Z]{3})\M', 'g') m
	WHERE p.pronamespace = 'kbilling'::regnamespace
		AND p.proname IN ('kb_begin_topup', 'kb_apply_topup', 'kb_fail_topup', 'kb_refund', 'kb_reverse_refund', 'kb_chargeback',
			'kb_reverse_chargeback')
	UNION
	SELECT d[2] || d[3] || d[4] || d[5] || d[6]
	FROM regexp_matches(current_setting('test.sources'),
			'#define (ERRCODE_KB_\w+)\s+MAKE_SQLSTATE\(''(.)'',''(.)'',''(.)'',''(.)'',''(.)''\)', 'g') d
	WHERE current_setting('test.sources') ~ ('errcode\(' || d[1] || '\)');
SELECT cmp_ok((SELECT count(*) FROM raised), '>=', 9::bigint, 'what is raised is found');
SELECT is_empty($$
	SELECT state FROM raised
	WHERE state <> 'KB007' AND substring(current_setting('test.page') FROM '\n## Take the provider''s reports\n(.*?)\n## ')
		!~ format('\n\|[^|]*`%s`[^|]*\|[^|]*\| (retry|retry at once|alert) \|', state)
$$, 'T3: every SQLSTATE that a report may raise is in the table, with what to do');

-- Links of this page, and of others into it.
\set others `cat README.md docs/*.md`
SELECT set_config('test.others', :'others', false) \g /dev/null
SELECT is_empty($$
	SELECT DISTINCT l[1]
	FROM (VALUES ('test.page', '\]\(#([a-z0-9_-]+)\)'), ('test.others', 'operations\.md#([a-z0-9_-]+)\)')) v (source, pattern),
		regexp_matches(current_setting(source), pattern, 'g') l
	WHERE position(format('<a id="%s"></a>', l[1]) IN current_setting('test.page')) = 0
		AND l[1] NOT IN (SELECT regexp_replace(lower(h[1]), ' ', '-', 'g') FROM regexp_matches(current_setting('test.page'),
			'\n##+ ([^\n]+)', 'g') h)
$$, 'no link into the page leads nowhere');

DROP ROLE shop_app, shop_webhook, shop_owner, shop_support, shop_operator, shop_auditor;
SELECT * FROM finish();
