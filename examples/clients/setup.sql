-- What the programs in this folder talk to: a price list, a guarded table, accounts, and the roles as which they connect.
--
--   createdb shop
--   psql -X -d shop -v accounts=7 -f examples/clients/setup.sql
--
-- as a superuser, in an empty database.

\set ON_ERROR_STOP on
BEGIN;

CREATE EXTENSION kbilling;

-- The application, and the webhook of its payment provider.  Operators of kbilling, as in balance < 0, are found by the role's
-- own search_path: that also works behind a pool that passes on no settings of its clients.
CREATE ROLE shop_app LOGIN;
CREATE ROLE shop_webhook LOGIN;
ALTER ROLE shop_app SET search_path = public, kbilling;
ALTER ROLE shop_webhook SET search_path = public, kbilling;
SELECT kbilling.kb_grant('shop_app', 'app'), kbilling.kb_grant('shop_webhook', 'payments');

SET LOCAL search_path = public, kbilling;

-- The day is made up, so that the programs print the same whenever they are run.
SET LOCAL kbilling.clock = '2026-11-02 09:00+00';
SELECT format('ALTER DATABASE %I SET kbilling.clock = %L', current_database(), '2026-11-10 09:00+00') \gexec

SELECT kb_create_tariff('standard', 'USD', 'Standard'),
	kb_set_price('standard', 'base', '30.00'),
	kb_set_bonus('standard', '50.00 USD', 10);

-- The acting member writes tickets, and sees those of the own account.
CREATE TABLE ticket (
	account_id bigint NOT NULL,
	ticket_id  bigint GENERATED ALWAYS AS IDENTITY,
	subject    text NOT NULL,
	cost       kb_money,
	PRIMARY KEY (account_id, ticket_id)
);
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON ticket
	FOR EACH ROW EXECUTE FUNCTION kb_guard('account_id', 'member');
ALTER TABLE ticket ENABLE ROW LEVEL SECURITY;
CREATE POLICY account ON ticket TO shop_app USING (kb_can_use(account_id));
GRANT SELECT, INSERT ON ticket TO shop_app;

-- Accounts 1, 2, 3, …, one for each program; and 1000, which has been in debt for so long that its owner can only pay.
SELECT kb_create_account('ann', 'standard', account_id), kb_add_member(account_id, 'bob', 'employee')
FROM generate_series(1, :accounts) account_id;
SELECT kb_create_account('eve', 'standard', 1000), kb_adjust(1000, '-12.50 USD', 'start', 'brought over');

COMMIT;
