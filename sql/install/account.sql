/*
 * Accounts and their members.
 *
 * The account row is the only hot row; what changes once in a while stands in
 * tables beside it.
 */

CREATE TYPE kbilling.kb_account_state AS ENUM ('active', 'closing', 'deleted', 'purged');
COMMENT ON TYPE kb_account_state IS 'How far an account has got on its way to deletion';

-- Room on each page lets a top-up stay a heap-only update.  No CHECK on the hot
-- tables: each statement would parse it anew; account_ledger keeps other hands
-- off, and kb_check looks.
CREATE TABLE kbilling.account (
	account_id      bigint PRIMARY KEY,
	created_at      timestamptz NOT NULL,
	last_seq        bigint NOT NULL DEFAULT 0,
	balance         kb_money NOT NULL,
	unspent_bonus   kb_money NOT NULL,
	debt_since      date,
	deferred_until  date,
	charged_through date NOT NULL,
	tariff_from     date NOT NULL,
	delete_on       date,
	ends_on         date,
	stage_check_on  date,
	closure_check_on date,
	credit_check_on date,
	expired_through date,
	usage_kept_from date,
	notices_kept_from timestamptz,
	notices_removed integer,
	last_notice_no  bigint NOT NULL DEFAULT 0,
	terms_version   integer NOT NULL DEFAULT 1,
	state           kb_account_state NOT NULL DEFAULT 'active',
	last_hash       bytea,
	lots            kb_lot[],
	currency        text NOT NULL,
	tariff          kb_text NOT NULL REFERENCES tariff,
	time_zone       text NOT NULL,
	metadata        kb_json
) WITH (fillfactor = 80);
SELECT pg_catalog.pg_extension_config_dump('kbilling.account', '');
COMMENT ON TABLE account IS
'The paying customers. The balance and what follows from it are written by the journal alone (J2)';
COMMENT ON COLUMN account.account_id IS 'A number of the application''s own, or one from kbilling.account_id_seq';
COMMENT ON COLUMN account.created_at IS 'When it was created; the local date of that is the first day that is charged';
COMMENT ON COLUMN account.last_seq IS 'Number of the last entry; 0 if there is none';
COMMENT ON COLUMN account.balance IS 'Sum of the entries; below zero it is a debt';
COMMENT ON COLUMN account.unspent_bonus IS
'The part of the balance that was not paid in, bonus and granted credit: spent first, never refunded (T6, G1)';
COMMENT ON COLUMN account.debt_since IS 'Local date on which the debt took effect (S1); NULL without a debt';
COMMENT ON COLUMN account.deferred_until IS 'Last day on which support lets the stage be at most grace (S4)';
COMMENT ON COLUMN account.charged_through IS
'Last day of the last period that was charged, which is a month''s last even if the contract ended before it; the next period '
'begins on the day after';
COMMENT ON COLUMN account.tariff_from IS
'First day of the tariff in this row; earlier tariffs are in kbilling.tariff_history';
COMMENT ON COLUMN account.delete_on IS 'Day of the deletion, if the account is closing or deleted';
COMMENT ON COLUMN account.ends_on IS 'Last day of the contract (X1); NULL: it has no end';
COMMENT ON COLUMN account.stage_check_on IS
'Local date on which the sweep is to look whether the stage has changed, and to write a notice of it; NULL if the '
'stage cannot change by itself';
COMMENT ON COLUMN account.closure_check_on IS
'Local date on which the sweep is to look at the account again: whether it may be closed (D1), or a step of its '
'closure or its purge is due. NULL while the balance is above zero, and once the account is purged';
COMMENT ON COLUMN account.credit_check_on IS
'Local date on which the sweep is to look at the credit: whether it is to tell of some that will expire, or some has expired '
'(G3). NULL if there is none that expires';
COMMENT ON COLUMN account.expired_through IS
'Credit that has expired by this day is booked: what is left of it is kept for the months up to then that are not charged (G3)';
COMMENT ON COLUMN account.usage_kept_from IS
'First day whose usage events are kept: older ones have been removed, and none is accepted any more (U6). NULL: all are kept';
COMMENT ON COLUMN account.notices_kept_from IS
'Notices that were delivered before this moment have been removed (U6). NULL: all are kept';
COMMENT ON COLUMN account.notices_removed IS 'How many notices have been removed; NULL: none';
COMMENT ON COLUMN account.last_notice_no IS
'Number of the last notice, or of the last step of a closure; 0 before the first';
COMMENT ON COLUMN account.terms_version IS
'Counts changes of tariff, services and discounts, so that a charge that was computed from earlier terms is not posted';
COMMENT ON COLUMN account.state IS 'How far it has got on its way to deletion';
COMMENT ON COLUMN account.last_hash IS 'Hash of the last entry (J5)';
COMMENT ON COLUMN account.lots IS
'What of the unspent credit expires, or has a priority of its own, by these (G2); NULL if there is none';
COMMENT ON COLUMN account.currency IS 'ISO 4217 code of the balance and of the tariff';
COMMENT ON COLUMN account.tariff IS 'The tariff from "tariff_from" on';
COMMENT ON COLUMN account.time_zone IS 'IANA name; it decides when the account''s days and months begin';
COMMENT ON COLUMN account.metadata IS 'The application''s own notes: kb_set_metadata';

-- What is due, zone by zone, oldest first, in the order in which the sweep goes.
CREATE INDEX account_due ON account (time_zone, kb_charge_due_on(charged_through, ends_on), account_id)
	WHERE state IN ('active', 'closing');
COMMENT ON INDEX account_due IS 'Finds the accounts that have a month to charge without reading the others (W1)';

-- What the sweep has to look at besides, by the day.
CREATE INDEX account_stage_check ON account (time_zone, stage_check_on, account_id)
	WHERE stage_check_on IS NOT NULL AND state IN ('active', 'closing');
COMMENT ON INDEX account_stage_check IS 'Finds the accounts whose stage may have changed by itself (N5)';

CREATE INDEX account_closure_check ON account (time_zone, closure_check_on, account_id)
	WHERE closure_check_on IS NOT NULL;
COMMENT ON INDEX account_closure_check IS
'Finds the accounts that may be closed, and those that have a step of their closure due (D1 to D6)';

CREATE INDEX account_credit_check ON account (time_zone, credit_check_on, account_id)
	WHERE credit_check_on IS NOT NULL AND state IN ('active', 'closing');
COMMENT ON INDEX account_credit_check IS 'Finds the accounts whose credit expires, or soon will (G3)';

CREATE SEQUENCE kbilling.account_id_seq;
SELECT pg_catalog.pg_extension_config_dump('kbilling.account_id_seq', '');
COMMENT ON SEQUENCE account_id_seq IS 'Numbers of accounts, for applications that bring none';

-- Generous: whether there is such an address, only a mail server knows.
CREATE FUNCTION kbilling_internal.kb_is_email(address text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN octet_length(address) <= 254 AND address COLLATE "C" ~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+$';
COMMENT ON FUNCTION kb_is_email(text) IS
'Whether it may be an e-mail address: one @ with something on both sides, no blanks or control characters, at most 254 bytes';

CREATE FUNCTION kbilling_internal.kb_require_email(address text) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN NOT kb_is_email(address)
			THEN kb_raise('22023', format('"%s" is not an e-mail address', address),
						  'It has one @ with something on both sides, no blanks or control characters, and at most 254 bytes.',
						  'Give one address, such as anna@example.org, or NULL for a member who gets no notices.')
		END;
END;
COMMENT ON FUNCTION kb_require_email(text) IS 'Raises 22023 for what is no e-mail address; NULL is fine';

CREATE TABLE kbilling.member (
	account_id bigint NOT NULL REFERENCES account,
	member     kb_text NOT NULL CHECK (member <> ''),
	role       kb_role NOT NULL,
	email      kb_text CHECK (kb_is_email(email)),
	language   kb_text CHECK (kb_is_language(language)),
	metadata   kb_json,
	PRIMARY KEY (account_id, member)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.member', '');
COMMENT ON TABLE member IS 'The people who use an account, each with a role';
COMMENT ON COLUMN member.account_id IS 'The account';
COMMENT ON COLUMN member.member IS 'The application''s name for the person';
COMMENT ON COLUMN member.role IS '"owner", "admin" or "employee"';
COMMENT ON COLUMN member.email IS 'Where the member''s notices go; NULL: nowhere';
COMMENT ON COLUMN member.language IS
'Language of the member''s notices, such as "uk" or "pt-BR"; NULL: that of the policy';
COMMENT ON COLUMN member.metadata IS 'For the application''s own use';

CREATE FUNCTION kbilling_internal.kb_require_account(account_id bigint) RETURNS void
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_require_account';
COMMENT ON FUNCTION kb_require_account(bigint) IS
'Raises KB001 if there is no such account, KB014 if it is on another shard';

CREATE FUNCTION kbilling_internal.kb_lock_account(account_id bigint) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_require_owned($1);
	SELECT FROM account a WHERE a.account_id = $1 FOR NO KEY UPDATE;
	SELECT kb_require_account($1);
	SELECT CASE
		WHEN a.state IN ('deleted', 'purged')
			THEN kb_raise('KB010', format('account %s is deleted', $1), 'Nothing about a deleted account is changed.',
						  'Support can restore it with kb_restore_account until the day before its purge.')
		END
	FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_lock_account(bigint) IS
'Locks the account''s row until the end of the transaction. '
'Errors: KB001 if there is none, KB010 if the account is deleted, KB014 if it is on another shard';

CREATE FUNCTION kbilling.kb_create_account(owner text, tariff text, account_id bigint = NULL, time_zone text = NULL,
										   email text = NULL, created_at timestamptz = NULL)
	RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_create_account';
COMMENT ON FUNCTION kb_create_account(text, text, bigint, text, text, timestamptz) IS
'Creates an account with its owner, in the tariff''s currency, and returns its number. The time zone is UTC unless '
'another is given. '
'Errors: KB012 for an unknown tariff; 23505 if the account exists; 22023 for an unknown time zone or an email that is '
'no address; 22008 for a moment that is in the future or before 1970';

-- The account's row is written by every top-up, so what an application notes there has to stay small.
CREATE FUNCTION kbilling.kb_set_metadata(account_id bigint, metadata jsonb) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN jsonb_typeof(metadata) <> 'object'
			THEN kb_raise('22023', 'metadata must be a JSON object', format('It is of the type "%s".', jsonb_typeof(metadata)),
						  'Give an object, such as {"crm_id": "A-17"}, or NULL for none.')
		WHEN octet_length(metadata::text) > 8192
			THEN kb_raise('22023', 'metadata must have at most 8192 bytes',
						  format('It has %s, written as text.', octet_length(metadata::text)),
						  'Keep more in a table of your own, under the account''s number.')
		END;
	SELECT kb_lock_account(account_id);
	UPDATE account a SET metadata = kb_set_metadata.metadata
	WHERE a.account_id = kb_set_metadata.account_id AND a.metadata IS DISTINCT FROM kb_set_metadata.metadata;
END;
COMMENT ON FUNCTION kb_set_metadata(bigint, jsonb) IS
'Replaces the application''s own notes on an account: a JSON object of at most 8192 bytes, or NULL for none. kbilling '
'keeps them with the account until its purge, and makes nothing of them. '
'Errors: KB001, KB010; KB008 for a card number in it; 22023 for what is no object, or too long';

CREATE FUNCTION kbilling.kb_metadata(account_id bigint) RETURNS jsonb
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_account(account_id);
	SELECT a.metadata FROM account a WHERE a.account_id = kb_metadata.account_id;
END;
COMMENT ON FUNCTION kb_metadata(bigint) IS
'The application''s own notes on an account, as kb_set_metadata has set them; NULL if there are none. Errors: KB001';

-- A table of its own, as the account's row is written by every top-up.
CREATE TABLE kbilling.billing_details (
	account_id bigint PRIMARY KEY REFERENCES account,
	details    kb_json NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.billing_details', '');
COMMENT ON TABLE billing_details IS
'To whom receipts and invoices are made out, where that is not just the first owner; written by kb_set_billing_details, and '
'gone with the purge (D6)';
COMMENT ON COLUMN billing_details.account_id IS 'The account';
COMMENT ON COLUMN billing_details.details IS 'Name, address, tax number and the like, under keys of the application''s choice';

CREATE FUNCTION kbilling.kb_set_billing_details(account_id bigint, details jsonb) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN jsonb_typeof(details) <> 'object'
			THEN kb_raise('22023', 'billing details must be a JSON object', format('They are of the type "%s".', jsonb_typeof(details)),
						  'Give an object, such as {"name": "Acme Ltd", "tax_number": "UA-123"}, or NULL for none.')
		WHEN octet_length(details::text) > 8192
			THEN kb_raise('22023', 'billing details must have at most 8192 bytes',
						  format('They have %s, written as text.', octet_length(details::text)),
						  'Keep more in a table of your own, under the account''s number.')
		END;
	SELECT kb_lock_account(account_id);
	WITH old AS MATERIALIZED (
		SELECT b.details FROM billing_details b WHERE b.account_id = kb_set_billing_details.account_id
	), gone AS (
		DELETE FROM billing_details b
		WHERE b.account_id = kb_set_billing_details.account_id AND kb_set_billing_details.details IS NULL
	), new AS (
		INSERT INTO billing_details AS b (account_id, details)
		SELECT kb_set_billing_details.account_id, kb_set_billing_details.details WHERE kb_set_billing_details.details IS NOT NULL
		ON CONFLICT ON CONSTRAINT billing_details_pkey DO UPDATE SET details = excluded.details
		RETURNING b.details
	)
	-- the log outlives a purge, so it does not say what they are
	INSERT INTO change_log (subject, account_id, before, after)
	SELECT 'billing_details', kb_set_billing_details.account_id,
		   CASE WHEN old.details IS NOT NULL THEN jsonb '{"are_set": true}' END,
		   CASE WHEN new.details IS NOT NULL THEN jsonb '{"are_set": true}' END
	FROM (SELECT) one LEFT JOIN old ON true LEFT JOIN new ON true
	WHERE new.details IS DISTINCT FROM old.details;
END;
COMMENT ON FUNCTION kb_set_billing_details(bigint, jsonb) IS
'Replaces what receipts and invoices of an account are made out to: a JSON object of at most 8192 bytes, with a name, an '
'address, a tax number and the like, or NULL for none. kb_portal shows it to owners and admins; it is gone with the purge '
'(D6). The log says that it was changed, and not what it is (J9). '
'Errors: KB001, KB010; KB008 for a card number in it; 22023 for what is no object, or too long';

CREATE FUNCTION kbilling_internal.kb_require_open(account_id bigint, from_date date) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN NOT isfinite(from_date)
			THEN kb_raise('22008', 'from_date must be finite')
		WHEN from_date < kb_account_date(a.created_at, a.time_zone)
			THEN kb_raise('KB009', format('account %s begins on %s', a.account_id,
										  to_char(kb_account_date(a.created_at, a.time_zone), 'YYYY-MM-DD')),
						  'Nothing can begin before its first day.', 'Give that day or a later one.')
		WHEN a.charged_through >= from_date
			THEN kb_raise('KB009', format('account %s is charged through %s', a.account_id, to_char(a.charged_through, 'YYYY-MM-DD')),
						  format('A change from %s on would alter what is charged already.', to_char(from_date, 'YYYY-MM-DD')),
						  'Give a later day, and correct what was charged with kb_adjust.')
		WHEN a.ends_on < from_date
			THEN kb_raise('KB009', format('the contract of account %s ends on %s', a.account_id, to_char(a.ends_on, 'YYYY-MM-DD')),
						  'Nothing can begin after its last day (X2).',
						  'Give that day or an earlier one; until it is over, the end can be taken back with kb_continue_account.')
		END
	FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_require_open(bigint, date) IS
'Raises KB009 if the day is in a period that has been charged, before the first day (C4), or after the last one (X2); 22008 if it '
'is infinite';

CREATE FUNCTION kbilling_internal.kb_today(account_id bigint) RETURNS date
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT kb_account_date(kb_now(), a.time_zone) FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_today(bigint) IS 'Today''s date in the account''s time zone; NULL for an unknown account';
