/*
 * The journal: entries, and what keeps them whole.
 */

CREATE TYPE kbilling.kb_entry_kind AS ENUM
	('topup', 'bonus', 'charge', 'refund', 'chargeback', 'adjustment', 'writeoff', 'reversal', 'purchase', 'credit', 'expiry');
COMMENT ON TYPE kb_entry_kind IS 'What an entry is: why it moved the balance (J6)';

-- No foreign key to account: an account is never deleted (see account_ledger
-- below), and a check for each entry would be paid for on every posting; none
-- to payment_method for the same reason. kb_check looks.
CREATE TABLE kbilling.entry (
	account_id    bigint NOT NULL,
	seq           bigint NOT NULL,
	posted_at     timestamptz NOT NULL,
	amount        kb_money NOT NULL,
	balance_after kb_money NOT NULL,
	bonus_after   kb_money NOT NULL,
	paid          kb_money,
	ref_seq       bigint,
	effective_on  date NOT NULL,
	debt_since    date,
	period        date,
	kind          kb_entry_kind NOT NULL,
	method        text,
	key           kb_text NOT NULL,
	member        kb_text,
	posted_by     text NOT NULL,
	memo          kb_text,
	hash          bytea NOT NULL,
	lines         kb_lines,
	lots          kb_lot[],
	PRIMARY KEY (account_id, seq),
	UNIQUE (account_id, key)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.entry', '');
COMMENT ON TABLE entry IS 'The journal: append-only (J1), and written by the journal''s own functions alone (J2)';
COMMENT ON COLUMN entry.account_id IS 'The account';
COMMENT ON COLUMN entry.seq IS 'Runs 1, 2, 3, ... within the account (J2)';
COMMENT ON COLUMN entry.posted_at IS 'When it was written';
COMMENT ON COLUMN entry.amount IS 'By how much it moved the balance';
COMMENT ON COLUMN entry.balance_after IS 'The balance after it';
COMMENT ON COLUMN entry.bonus_after IS 'Unspent bonus and credit after it';
COMMENT ON COLUMN entry.paid IS
'What the customer of a top-up was charged, perhaps in another currency (T8); of a refund or chargeback, what went back of '
'that, below zero; NULL if that is the amount';
COMMENT ON COLUMN entry.ref_seq IS
'The entry that it belongs to or takes back: a bonus belongs to a top-up; what goes of a bonus, or comes back, to the '
'bonus; a chargeback or a reversal takes an entry back, a refund the top-up that was named';
COMMENT ON COLUMN entry.effective_on IS 'Local date on which it takes effect (C5)';
COMMENT ON COLUMN entry.debt_since IS 'First day of the debt after it (S1); NULL if there is none';
COMMENT ON COLUMN entry.period IS 'The month of a charge, by its first day';
COMMENT ON COLUMN entry.kind IS 'What it is (J6)';
COMMENT ON COLUMN entry.method IS 'How a top-up was paid: a row of kbilling.payment_method (T2)';
COMMENT ON COLUMN entry.key IS
'The reference under which it is posted once (J3). Keys that begin with "kb:" are kbilling''s own';
COMMENT ON COLUMN entry.member IS 'The member who topped up, if one is known';
COMMENT ON COLUMN entry.posted_by IS
'The database role that posted it: the one that the session had logged in as, or chosen by SET ROLE';
COMMENT ON COLUMN entry.memo IS 'The reason, in words';
COMMENT ON COLUMN entry.hash IS 'SHA-256 over the entry and the hash before it (J5)';
COMMENT ON COLUMN entry.lines IS
'How a charge is made up (C7), see kbilling.charge_line; or, of a refund or chargeback, how much of which top-up it '
'takes back ("topup", "amount"). A refund may be "forced"; the amount of a chargeback may have been "named". A '
'reversal has the same lines with opposite amounts';

COMMENT ON COLUMN entry.lots IS
'How it moved credit that expires, or has a priority of its own: what it gave, spent or took (G2); NULL if it moved none';

CREATE FUNCTION kbilling_internal.kb_shown_reference(key text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN key NOT LIKE 'kb:%' THEN key END;
COMMENT ON FUNCTION kb_shown_reference(text) IS 'The key of an entry, if it is a caller''s reference; NULL for kbilling''s own (J3)';

-- J1, J2: statement-level, so that they cost nothing for each row; and row-level too, where no posting pays for that,
-- because a statement on a parent table fires only these.  ALWAYS, so that session_replication_role does not lift them.
CREATE FUNCTION kbilling_internal.kb_refuse_rewrite() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_refuse_rewrite';
COMMENT ON FUNCTION kb_refuse_rewrite() IS 'Trigger function: raises KB007 unless the journal itself is writing';

CREATE TRIGGER entry_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_immutable;

CREATE TRIGGER entry_immutable_row BEFORE UPDATE OR DELETE ON entry
	FOR EACH ROW EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_immutable_row;

-- An entry is inserted by the journal, or brought back by a restore.
CREATE TRIGGER entry_insert BEFORE INSERT ON entry
	FOR EACH ROW EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_insert;

CREATE TRIGGER account_ledger
	BEFORE UPDATE OF account_id, created_at, balance, unspent_bonus, lots, last_seq, last_hash, debt_since, charged_through
	OR DELETE OR TRUNCATE ON account
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE account ENABLE ALWAYS TRIGGER account_ledger;

CREATE TRIGGER account_ledger_row BEFORE DELETE ON account
	FOR EACH ROW EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE account ENABLE ALWAYS TRIGGER account_ledger_row;

-- J9
CREATE TRIGGER change_log_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON change_log
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE change_log ENABLE ALWAYS TRIGGER change_log_immutable;

CREATE TRIGGER change_log_immutable_row BEFORE UPDATE OR DELETE ON change_log
	FOR EACH ROW EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE change_log ENABLE ALWAYS TRIGGER change_log_immutable_row;

-- J7
CREATE FUNCTION kbilling_internal.kb_refuse_drop() RETURNS event_trigger
	LANGUAGE c SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_refuse_drop';
COMMENT ON FUNCTION kb_refuse_drop() IS
'Event trigger function: refuses to drop the extension, its schema or its owner''s objects while the journal has '
'entries, unless kbilling.allow_drop is on (J7)';

CREATE EVENT TRIGGER kbilling_refuse_drop ON ddl_command_start
	WHEN TAG IN ('DROP EXTENSION', 'DROP SCHEMA', 'DROP OWNED')
	EXECUTE FUNCTION kb_refuse_drop();
ALTER EVENT TRIGGER kbilling_refuse_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER kbilling_refuse_drop IS 'Keeps the journal from being dropped by mistake (J7)';
