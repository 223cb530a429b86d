-- A help desk for many companies, on kbilling, to copy from.  Each company is an
-- account of kbilling, and its people are the account's members.
--
--   psql -X -f examples/helpdesk.sql
--
-- as a superuser, in an empty database.  The first part is set up once; the second
-- has the statements that the app sends, as its driver prepares them.
-- test/sql/helpdesk.sql plays a debt through with just these statements.

\set ON_ERROR_STOP on
BEGIN;

-- ---------------------------------------------------------------------------
-- Set up once
-- ---------------------------------------------------------------------------

CREATE EXTENSION IF NOT EXISTS kbilling;

-- Roles belong to the whole cluster; another database may have created these.
SELECT pg_catalog.format('CREATE ROLE %I NOLOGIN', role) FROM pg_catalog.unnest('{helpdesk_app,helpdesk_webhook}'::text[]) AS role
WHERE pg_catalog.to_regrole(role) IS NULL
\gexec

-- What an app needs of kbilling: its functions, and the price list to read; no table of accounts, members or money.
-- It brings no money in: that is for the role as which the payment provider's webhook connects.
-- Make the logins of the connection pools members of the roles: GRANT helpdesk_app TO …; GRANT helpdesk_webhook TO …;
SELECT kbilling.kb_grant('helpdesk_app', 'app'), kbilling.kb_grant('helpdesk_webhook', 'payments');

-- 19.00 a month; 5.00 for each seat, by the day; 0.05 for each recipient of a message beyond 100; a bonus of 5 % on payments
-- of 100.00 and more.
SELECT kbilling.kb_create_tariff('helpdesk', 'USD', 'Help desk'),
	kbilling.kb_create_service('seat', 'recurring', 'seat'),
	kbilling.kb_create_service('messages', 'metered', 'message');
SELECT kbilling.kb_set_price('helpdesk', 'base', '19.00'),
	kbilling.kb_set_price('helpdesk', 'seat', '5.00 each'),
	kbilling.kb_set_price('helpdesk', 'messages', '0.05 each free 100'),
	kbilling.kb_set_bonus('helpdesk', '100.00 USD', 5);

-- A new schema is closed to PUBLIC, and so are its tables.
CREATE SCHEMA helpdesk;

-- account_id is the first column of each key, so that a row can refer only to rows of its own account.  It has no foreign key:
-- the guard refuses accounts that do not exist, accounts are never removed, and each check would lock the account's row.
CREATE TABLE helpdesk.ticket (
	account_id bigint NOT NULL,
	ticket_id  bigint GENERATED ALWAYS AS IDENTITY,
	subject    text NOT NULL,
	closed     boolean NOT NULL DEFAULT false,
	PRIMARY KEY (account_id, ticket_id)
);
CREATE TABLE helpdesk.message (
	account_id bigint NOT NULL,
	message_id bigint GENERATED ALWAYS AS IDENTITY,
	ticket_id  bigint NOT NULL,
	recipients integer NOT NULL DEFAULT 1 CHECK (recipients > 0),
	body       text NOT NULL,
	PRIMARY KEY (account_id, message_id),
	FOREIGN KEY (account_id, ticket_id) REFERENCES helpdesk.ticket
);
CREATE INDEX ON helpdesk.message (account_id, ticket_id);  -- for the foreign key, and for a ticket's page

-- The app may do this and no more: rows keep their number, account and ticket, and tickets are not deleted.
GRANT USAGE ON SCHEMA helpdesk TO helpdesk_app;
GRANT SELECT, INSERT (account_id, subject), UPDATE (subject, closed) ON helpdesk.ticket TO helpdesk_app;
GRANT SELECT, INSERT (account_id, ticket_id, recipients, body), UPDATE (recipients, body), DELETE ON helpdesk.message TO helpdesk_app;

-- What a request sees: the rows of the acting member's account, while that member's access is full; so statements may leave
-- account_id out of their conditions.  kb_can_use compares the accounts too; the first comparison is here for the index.
-- New rows only have to be of that account.  Whether they may be written is left to the guard, which says why not.
-- FORCE matters if the tables' owner is not a superuser.
ALTER TABLE helpdesk.ticket ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE helpdesk.message ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY account ON helpdesk.ticket TO helpdesk_app
	USING (account_id = kbilling.kb_acting_account() AND kbilling.kb_can_use(account_id))
	WITH CHECK (account_id = kbilling.kb_acting_account());
CREATE POLICY account ON helpdesk.message TO helpdesk_app
	USING (account_id = kbilling.kb_acting_account() AND kbilling.kb_can_use(account_id))
	WITH CHECK (account_id = kbilling.kb_acting_account());

-- What a request writes.  'member' requires an acting member, so that a request that forgets kb_act_as fails.
-- Row by row for tickets, whose INSERT has RETURNING: for a row that is out of sight, that fails without a reason, and only a
-- BEFORE trigger comes first and gives one.
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON helpdesk.ticket
	FOR EACH ROW EXECUTE FUNCTION kbilling.kb_guard('account_id', 'member');
-- Once for each statement for messages, which are written in bulk.  A trigger with transition tables takes one kind of statement.
CREATE TRIGGER guard_insert AFTER INSERT ON helpdesk.message REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_guard('account_id', 'member');
CREATE TRIGGER guard_update AFTER UPDATE ON helpdesk.message REFERENCING OLD TABLE AS removed NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_guard('account_id', 'member');
CREATE TRIGGER guard_delete AFTER DELETE ON helpdesk.message REFERENCING OLD TABLE AS removed
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_guard('account_id', 'member');

-- Usage.  Each message counts its recipients, with its number as the key, so that a change or deletion corrects the month in
-- which it was sent.  Triggers fire in the order of their names: the guard first.
CREATE TRIGGER meter_insert AFTER INSERT ON helpdesk.message REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('messages', 'account_id', 'recipients', 'message_id');
CREATE TRIGGER meter_update AFTER UPDATE ON helpdesk.message REFERENCING OLD TABLE AS removed NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('messages', 'account_id', 'recipients', 'message_id');
CREATE TRIGGER meter_delete AFTER DELETE ON helpdesk.message REFERENCING OLD TABLE AS removed
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('messages', 'account_id', 'recipients', 'message_id');

COMMIT;

-- To run the sweep each hour: SELECT kbilling.kb_schedule(); by a role with kb_grant(…, 'operator').

-- ---------------------------------------------------------------------------
-- What the app sends, as helpdesk_app
-- ---------------------------------------------------------------------------

-- Sign-up: the new account's number, and its owner.
PREPARE sign_up (text, text, text) AS
	SELECT kbilling.kb_create_account($1, 'helpdesk', time_zone => $2, email => $3) AS account_id;

-- The team's page.  Who may open it is for the app to decide.
PREPARE invite (bigint, text, kbilling.kb_role) AS SELECT kbilling.kb_add_member($1, $2, $3);
PREPARE set_seats (bigint, numeric) AS SELECT kbilling.kb_switch_on($1, 'seat', $2);

-- Login, once the app knows who it is.  full: let in.  full_with_reminder: let in, and show amount_due and next_stage_on.
-- payment_only: only show the payment page.  denied: say why; can_pay of kb_portal says whether the payment page is open.
PREPARE login (bigint, text) AS
	SELECT stage, access, amount_due, next_stage, next_stage_on, delete_on FROM kbilling.kb_login($1, $2);

-- A request is one transaction, which first says for whom it acts: the account and member of the app's own session, never those
-- that the request names.  That ends with the transaction, so a pooled connection acts for nobody afterwards.
--
--   BEGIN;
--   EXECUTE act_as (7, 'olena');
--   EXECUTE open_ticket (7, 'Printer on fire');
--   COMMIT;
--
-- KB003 is an answer, not a failure: show its detail and hint, and the way to the payment page.  An UPDATE or DELETE of rows that
-- the member may not see changes nothing: if one was expected to change, ask kb_login again.
PREPARE act_as (bigint, text) AS SELECT kbilling.kb_act_as($1, $2);
PREPARE tickets AS
	SELECT ticket_id, subject, closed FROM helpdesk.ticket ORDER BY ticket_id;
PREPARE open_ticket (bigint, text) AS
	INSERT INTO helpdesk.ticket (account_id, subject) VALUES ($1, $2) RETURNING ticket_id;
PREPARE close_ticket (bigint) AS
	UPDATE helpdesk.ticket SET closed = true WHERE ticket_id = $1;
PREPARE messages (bigint) AS
	SELECT message_id, recipients, body FROM helpdesk.message WHERE ticket_id = $1 ORDER BY message_id;
PREPARE send_messages (bigint, bigint, text[]) AS
	INSERT INTO helpdesk.message (account_id, ticket_id, body) SELECT $1, $2, body FROM pg_catalog.unnest($3) AS body;

-- The payment page, at every stage: what is due, what was used, and what to pay for which bonus.  Then begin the payment, and
-- pass account and payment_id on to the provider, who takes the card's number: it is not stored here.
PREPARE payment_page (bigint, text) AS SELECT kbilling.kb_portal($1, $2);
PREPARE offers (bigint) AS SELECT amount, bonus, reason, months FROM kbilling.kb_topup_offers($1);
PREPARE pay (bigint, text, kbilling.kb_money, text) AS
	SELECT payment_id, bonus, expires_at FROM kbilling.kb_begin_topup($1, $2, $3, $4);

-- The next page of the account's history: the last seq of the page before it, or NULL for the newest.
PREPARE history (bigint, text, bigint) AS SELECT seq, entry FROM kbilling.kb_history($1, $2, $3);

-- How a line of the running month or of a charge makes up its amount, in words, for who wants to know.
PREPARE explain (jsonb, text) AS SELECT text, amount FROM kbilling.kb_explain_line($1, $2) ORDER BY step_no;

-- ---------------------------------------------------------------------------
-- What the provider's webhook sends, as helpdesk_webhook
-- ---------------------------------------------------------------------------

-- A payment, once the webhook's signature is checked: account and payment_id as they were passed on, amount and reference as
-- the provider says.  It may come any number of times and credits once.  It needs no member; access is back when it commits.
PREPARE paid (bigint, bigint, kbilling.kb_money, text, text) AS
	SELECT credited, bonus, balance, stage_before, stage_after, replayed
	FROM kbilling.kb_apply_topup($1, $3, $4, $5, payment_id => $2);
PREPARE not_paid (bigint, bigint, text) AS SELECT kbilling.kb_fail_topup($1, $2, $3);

-- A refund, and one that then fails; a dispute, and one that is won.  Each has a reference of its own from the provider.
PREPARE paid_back (bigint, kbilling.kb_money, text) AS SELECT kbilling.kb_refund($1, $2, $3);
PREPARE not_paid_back (bigint, text, text) AS SELECT kbilling.kb_reverse_refund($1, $2, $3);
PREPARE disputed (bigint, text, text) AS SELECT kbilling.kb_chargeback($1, $2, $3);
PREPARE dispute_won (bigint, text, text) AS SELECT kbilling.kb_reverse_chargeback($1, $2, $3);
