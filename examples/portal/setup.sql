-- What the billing page needs in a database: two roles, and, to look at, a small price list.
--
--   psql -X -f examples/portal/setup.sql
--
-- as a superuser, in an empty database.  In one that has a price list, the roles and their rights alone:
--
--   psql -X -v price_list=no -f examples/portal/setup.sql

\set ON_ERROR_STOP on
\encoding UTF8
\if :{?price_list}
\else
\set price_list yes
\endif
BEGIN;

CREATE EXTENSION IF NOT EXISTS kbilling;

-- Roles belong to the whole cluster; another database may have created these.  How they log in is for pg_hba.conf to
-- say; passwords can be in ~/.pgpass.
SELECT pg_catalog.format('CREATE ROLE %I LOGIN', role)
FROM pg_catalog.unnest('{portal_app,portal_webhook}'::text[]) AS role
WHERE pg_catalog.to_regrole(role) IS NULL
\gexec

-- The one serves the pages; money it moves by kb_buy alone, which takes from an account what it has to spend, and which
-- no page calls.  The other books what the payment provider reports, and can do no more.
SELECT kbilling.kb_grant('portal_app', 'app'), kbilling.kb_grant('portal_webhook', 'payments') \gset

-- A page's statements are short: to compile them would take longer than to run them.  A request that hangs gives its
-- connection back.
ALTER ROLE portal_app SET jit = off;
ALTER ROLE portal_webhook SET jit = off;
ALTER ROLE portal_app SET statement_timeout = '10s';
ALTER ROLE portal_app SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE portal_webhook SET statement_timeout = '10s';

\if :price_list

-- 19.00 a month; 5.00 for each seat, by the day; messages beyond 100, the more the cheaper; a bonus for who pays ahead,
-- which in the dearer tariff is good for a year.
SELECT kbilling.kb_create_service('seat', 'recurring', 'seat', name => 'Seats'),
	kbilling.kb_create_service('messages', 'metered', 'message', name => 'Messages') \gset
SELECT kbilling.kb_create_tariff('team', 'USD', 'Team'),
	kbilling.kb_set_price('team', 'base', '19.00'),
	kbilling.kb_set_price('team', 'seat', '5.00 each'),
	kbilling.kb_set_price('team', 'messages', 'graduated 0.05 to 1000, 0.03 free 100'),
	kbilling.kb_set_bonus('team', '100.00 USD', 5),
	kbilling.kb_set_bonus('team', '300.00 USD', 10) \gset
SELECT kbilling.kb_create_tariff('business', 'USD', 'Business'),
	kbilling.kb_set_price('business', 'base', '49.00'),
	kbilling.kb_set_price('business', 'seat', '4.00 each'),
	kbilling.kb_set_price('business', 'messages', '0.03 each free 1000'),
	kbilling.kb_set_bonus('business', '300.00 USD', 10, valid_days => 365) \gset
-- The same in hryvnias, and one that costs nothing but messages.
SELECT kbilling.kb_create_tariff('team_ua', 'UAH', 'Team'),
	kbilling.kb_set_price('team_ua', 'base', '790.00'),
	kbilling.kb_set_price('team_ua', 'seat', '210.00 each'),
	kbilling.kb_set_price('team_ua', 'messages', '2.00 each free 100'),
	kbilling.kb_set_bonus('team_ua', '4000.00 UAH', 5) \gset
SELECT kbilling.kb_create_tariff('free', 'USD', 'Free'),
	kbilling.kb_set_price('free', 'messages', '0.10 each free 10') \gset

-- What customers call them, by language.
SELECT count(kbilling.kb_set_name(subject, code, 'uk', name)) AS names
FROM (VALUES
	('service', 'seat', 'Робочі місця'),
	('service', 'messages', 'Повідомлення'),
	('unit', 'seat', 'місце'),
	('unit', 'message', 'повідомлення'),
	('tariff', 'team', 'Команда'),
	('tariff', 'business', 'Бізнес'),
	('tariff', 'team_ua', 'Команда'),
	('tariff', 'free', 'Безкоштовний')) AS name_of (subject, code, name) \gset

\endif

COMMIT;
