/*
 * Deferrals: support gives a debtor time (S4).
 */

CREATE TABLE kbilling.deferral (
	account_id     bigint NOT NULL REFERENCES account,
	deferral_no    integer NOT NULL,
	granted_at     timestamptz NOT NULL,
	deferred_until date NOT NULL CHECK (isfinite(deferred_until)),
	granted_by     kb_text NOT NULL CHECK (granted_by <> ''),
	reason         kb_text NOT NULL CHECK (reason <> ''),
	PRIMARY KEY (account_id, deferral_no)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.deferral', '');
COMMENT ON TABLE deferral IS 'The deferrals that support has granted (S4); the last one of an account holds';
COMMENT ON COLUMN deferral.account_id IS 'The account';
COMMENT ON COLUMN deferral.deferral_no IS 'Runs 1, 2, 3, ... within the account';
COMMENT ON COLUMN deferral.granted_at IS 'When it was granted';
COMMENT ON COLUMN deferral.deferred_until IS 'Last day on which the stage is at most grace';
COMMENT ON COLUMN deferral.granted_by IS 'Who granted it';
COMMENT ON COLUMN deferral.reason IS 'Why';

CREATE TRIGGER deferral_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON deferral
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE deferral ENABLE ALWAYS TRIGGER deferral_immutable;

CREATE TRIGGER deferral_immutable_row BEFORE UPDATE OR DELETE ON deferral
	FOR EACH ROW EXECUTE FUNCTION kb_refuse_rewrite();
ALTER TABLE deferral ENABLE ALWAYS TRIGGER deferral_immutable_row;

CREATE FUNCTION kbilling_internal.kb_put_deferral(account_id bigint, until date, granted_by text, reason text, stage_before kb_stage)
	RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	INSERT INTO deferral (account_id, deferral_no, granted_at, deferred_until, granted_by, reason)
	SELECT $1, coalesce(max(d.deferral_no), 0) + 1, kb_now(), $2, $3, $4 FROM deferral d WHERE d.account_id = $1;
	UPDATE account a SET deferred_until = $2 WHERE a.account_id = $1;
	SELECT kb_notify_stages(ARRAY[$1], kb_now(), $5, 'deferral ' || max(d.deferral_no)) FROM deferral d WHERE d.account_id = $1;
END;
COMMENT ON FUNCTION kb_put_deferral(bigint, date, text, text, kb_stage) IS
'Writes what kb_defer has checked, and tells of a stage that is another than before by it; the account is locked';

CREATE FUNCTION kbilling.kb_defer(account_id bigint, until date, granted_by text, reason text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('until, granted_by, reason', until, granted_by, reason);
	SELECT CASE WHEN granted_by = '' OR reason = '' THEN kb_raise('22023', 'granted_by and reason must not be empty') END;
	SELECT kb_lock_account(account_id);
	SELECT CASE
		WHEN NOT isfinite(until)
			THEN kb_raise('22008', 'until must be finite')
		WHEN until < kb_today(account_id)
			THEN kb_raise('22008', 'a deferral cannot end in the past', format('Today is %s.', to_char(kb_today(account_id), 'YYYY-MM-DD')))
		END;
	SELECT kb_put_deferral(x.account_id, until, granted_by, reason, x.stage)
	FROM kb_stage_changes(ARRAY[kb_defer.account_id], kb_now()) x;
END;
COMMENT ON FUNCTION kb_defer(bigint, date, text, text) IS
'Keeps the stage at most at grace until the end of a local date (S4). A later call replaces an earlier one. '
'Errors: KB001, KB010; 22008 for a date that is in the past, or infinite';
