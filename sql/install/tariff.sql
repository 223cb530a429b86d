/*
 * Another tariff for an account, and with it, maybe, another policy.
 */

CREATE FUNCTION kbilling.kb_put_tariff(account_id bigint, tariff text, from_date date, stage_before kbilling.kb_stage) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kbilling.kb_require_open(account_id, from_date),
		   kbilling.kb_raise_if(t.currency <> a.currency, 'KB002',
								format('tariff "%s" is in %s, account %s in %s', t.tariff, t.currency, a.account_id, a.currency),
								'An account keeps its currency.', 'Choose a tariff in that currency.')
	FROM kbilling.account a, kbilling.tariff t
	WHERE a.account_id = kb_put_tariff.account_id AND t.tariff = kb_put_tariff.tariff;
	-- The tariff so far ends there; what was to come after it is dropped.
	INSERT INTO kbilling.tariff_history (account_id, from_date, to_date, tariff)
	SELECT a.account_id, a.tariff_from, kb_put_tariff.from_date, a.tariff FROM kbilling.account a
	WHERE a.account_id = kb_put_tariff.account_id AND a.tariff_from < kb_put_tariff.from_date;
	DELETE FROM kbilling.tariff_history h
	WHERE h.account_id = kb_put_tariff.account_id AND h.from_date >= kb_put_tariff.from_date;
	UPDATE kbilling.tariff_history h SET to_date = kb_put_tariff.from_date
	WHERE h.account_id = kb_put_tariff.account_id AND h.to_date > kb_put_tariff.from_date;
	UPDATE kbilling.account a
	SET tariff = kb_put_tariff.tariff, tariff_from = kb_put_tariff.from_date, terms_version = a.terms_version + 1
	WHERE a.account_id = kb_put_tariff.account_id;
	-- its policy may have other days
	SELECT kbilling.kb_tell_stages(ARRAY[a.account_id], kbilling.kb_now(), kb_put_tariff.stage_before, 'terms ' || a.terms_version)
	FROM kbilling.account a WHERE a.account_id = kb_put_tariff.account_id;
END;
COMMENT ON FUNCTION kbilling.kb_put_tariff(bigint, text, date, kbilling.kb_stage) IS 'Writes what kb_set_tariff has resolved, and tells of a stage that is another than before by it; the account is locked';

CREATE FUNCTION kbilling.kb_set_tariff(account_id bigint, tariff text, from_date date = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
BEGIN ATOMIC
	SELECT kbilling.kb_lock_account(account_id), kbilling.kb_require_tariff(tariff);
	SELECT kbilling.kb_put_tariff(s.account_id, kb_set_tariff.tariff, coalesce(kb_set_tariff.from_date, kbilling.kb_today(s.account_id)), s.stage)
	FROM kbilling.account_status s WHERE s.account_id = kb_set_tariff.account_id;
END;
COMMENT ON FUNCTION kbilling.kb_set_tariff(bigint, text, date) IS
'Puts the account on a tariff of its currency from a local date on (NULL: today) and drops later switches. What it has no price for is not billed. KB001, KB010, KB012, KB002; KB009 if the day is charged already';
