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

CREATE FUNCTION kbilling.kb_defer(account_id bigint, until date, granted_by text, reason text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('until, granted_by, reason', until, granted_by, reason);
	SELECT CASE WHEN granted_by = '' OR reason = '' THEN kb_raise('22023', 'a deferral says who granted it, and why') END;
	SELECT kb_lock_account(account_id);
	SELECT CASE
		WHEN NOT isfinite(until)
			THEN kb_raise('22008', 'until must be finite')
		WHEN until < kb_today(account_id)
			THEN kb_raise('22008', 'a deferral cannot end in the past', format('Today is %s.', to_char(kb_today(account_id), 'YYYY-MM-DD')))
		END;
	INSERT INTO deferral (account_id, deferral_no, granted_at, deferred_until, granted_by, reason)
	SELECT kb_defer.account_id, coalesce(max(d.deferral_no), 0) + 1, kb_now(), kb_defer.until, kb_defer.granted_by, kb_defer.reason
	FROM deferral d WHERE d.account_id = kb_defer.account_id;
	UPDATE account a SET deferred_until = kb_defer.until WHERE a.account_id = kb_defer.account_id;
	SELECT kb_notify_stages(ARRAY[a.account_id], kb_now(),
								   kb_stage(a.debt_since, before.deferred_until, d.today, p.remind_day, p.restrict_day, p.block_day),
								   'deferral ' || this.deferral_no)
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) d
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p
	CROSS JOIN LATERAL (SELECT max(f.deferral_no) AS deferral_no FROM deferral f WHERE f.account_id = a.account_id) this
	LEFT JOIN deferral before ON before.account_id = a.account_id AND before.deferral_no = this.deferral_no - 1
	WHERE a.account_id = kb_defer.account_id;
END;
COMMENT ON FUNCTION kb_defer(bigint, date, text, text) IS
'Keeps the stage at most at grace until the end of a local date (S4). A later call replaces an earlier one. '
'Errors: KB001, KB010; 22008 for a date that is in the past, or infinite';
