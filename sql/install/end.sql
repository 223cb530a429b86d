/*
 * The end of a contract (rules X): a last day, after which nothing is charged.
 *
 * The account's row has the day.  What follows from it is computed: what is charged
 * (kb_charge_due_on, kb_bill_for), what members may do (kb_access_for), when the account may be closed
 * (kb_closure_terms).
 */

-- Support are the roles that may restore an account; an application ends a contract for an owner alone.
CREATE FUNCTION kbilling_internal.kb_require_owner(account_id bigint, by text) RETURNS void
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT CASE
		WHEN $2 = '' THEN kb_raise('22023', 'by must not be empty')
		WHEN m.role = 'owner' THEN NULL
		WHEN m.role IS NOT NULL
			 OR NOT has_function_privilege(kb_calling_role(), 'kbilling.kb_adjust(bigint, kbilling.kb_money, text, text)', 'EXECUTE')
			THEN kb_raise('KB004', format('"%s" may not decide about the contract of account %s', $2, $1),
						  'Only an owner of the account can, or support (X1).', 'Ask an owner.')
		END
	FROM (SELECT) one LEFT JOIN member m ON m.account_id = $1 AND m.member = $2;
END;
COMMENT ON FUNCTION kb_require_owner(bigint, text) IS
'Raises KB004 for a member who is no owner of the account, and for anybody else unless the caller''s role is support; 22023 for '
'an empty name';

CREATE FUNCTION kbilling_internal.kb_require_contract(account_id bigint) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN a.ends_on < kb_account_date(kb_now(), a.time_zone)
			THEN kb_raise('55000', format('the contract of account %s has ended', a.account_id),
						  format('Its last day was %s; what is left to do is to settle its balance (X2).',
								 to_char(a.ends_on, 'YYYY-MM-DD')),
						  'Create a new account with kb_create_account.')
		END
	FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_require_contract(bigint) IS 'Raises 55000 for an account whose contract has ended (X2)';

-- Charges that were computed before are not posted: terms_version.  The sweep looks at closing once the last period is charged.
CREATE FUNCTION kbilling_internal.kb_put_end(account_id bigint, ends_on date, by kb_text, reason kb_text) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	INSERT INTO change_log (subject, account_id, before, after)
	SELECT 'end', $1, CASE WHEN a.ends_on IS NOT NULL THEN jsonb_build_object('ends_on', a.ends_on) END,
		   CASE WHEN $2 IS NULL THEN jsonb_build_object('by', $3) ELSE jsonb_build_object('ends_on', $2, 'by', $3, 'reason', $4) END
	FROM account a
	WHERE a.account_id = $1 AND a.ends_on IS DISTINCT FROM $2;
	WITH old AS MATERIALIZED (
		SELECT a.ends_on FROM account a WHERE a.account_id = $1
	), moved AS (
		UPDATE account a
		SET ends_on = $2, terms_version = a.terms_version + 1, last_notice_no = a.last_notice_no + 1,
			closure_check_on = least(a.closure_check_on, $2 + 1),
			credit_check_on = CASE WHEN a.credit_check_on IS NOT NULL THEN least(a.credit_check_on, $2 + 1) END
		FROM old
		WHERE a.account_id = $1 AND a.ends_on IS DISTINCT FROM $2
		RETURNING a.account_id, a.last_notice_no, a.terms_version, a.balance, old.ends_on AS ended_on
	), written AS (
		INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, facts)
		SELECT m.account_id, m.last_notice_no, kb_now(), kb_now(),
			   CASE WHEN $2 IS NULL THEN 'contract_continued' ELSE 'contract_ending' END::kb_notice_kind, 'terms ' || m.terms_version,
			   jsonb_build_object('balance', m.balance, 'in_debt', m.balance < 0, 'amount_due', kb_amount_due(m.balance),
								  'ends_on', coalesce($2, m.ended_on))
		FROM moved m
		RETURNING notice_no
	)
	SELECT kb_wake(count(*)) FROM written;
END;
COMMENT ON FUNCTION kb_put_end(bigint, date, kb_text, kb_text) IS
'Writes what kb_end_account and, with NULL for the day, kb_continue_account have resolved, logs it (J9), and writes a notice. The '
'account is locked';

CREATE FUNCTION kbilling.kb_end_account(account_id bigint, by text, on_date date = NULL, reason text = NULL) RETURNS date
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('by', by);
	SELECT kb_lock_account($1);
	SELECT kb_require_owner($1, $2);
	SELECT kb_require_contract($1);
	SELECT CASE
		WHEN NOT isfinite(d.day)
			THEN kb_raise('22008', 'on_date must be finite', NULL, 'Give the last day of the contract; leave it out for today.')
		WHEN d.day < d.today
			THEN kb_raise('22008', format('the contract of account %s cannot end before today', $1),
						  format('Today is %s in the account''s time zone.', to_char(d.today, 'YYYY-MM-DD')),
						  'Give today or a later day; correct what was charged with kb_adjust.')
		WHEN d.day <= d.charged_through
			THEN kb_raise('KB009', format('account %s is charged through %s', $1, to_char(d.charged_through, 'YYYY-MM-DD')),
						  'A contract ends after the last day that is charged (X1).', 'Give a later day.')
		END
	FROM (SELECT t.today, coalesce($3, t.today) AS day, a.charged_through
		  FROM account a CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) t
		  WHERE a.account_id = $1) d;
	SELECT kb_put_end($1, coalesce($3, kb_today($1)), $2, $4);
	SELECT a.ends_on FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_end_account(bigint, text, date, text) IS
'Ends the contract of an account with a local day, today at the earliest (NULL: today), and returns that day (X1). "by" is an owner, '
'or whoever of support does it. The day after, the last period is charged up to that day, and then nothing any more (X2). Until then '
'another day may be given, and kb_continue_account takes the end back. '
'Errors: KB001, KB010; KB004 if "by" may not; KB009 if the day is charged already; 22008 for a day before today, or infinity; 55000 '
'if the contract has ended; 22023 if "by" is empty';

CREATE FUNCTION kbilling.kb_continue_account(account_id bigint, by text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('by', by);
	SELECT kb_lock_account($1);
	SELECT kb_require_owner($1, $2);
	SELECT kb_require_contract($1);
	SELECT CASE
		WHEN a.ends_on IS NULL
			THEN kb_raise('55000', format('the contract of account %s has no end', $1), NULL, 'There is nothing to take back.')
		END
	FROM account a WHERE a.account_id = $1;
	SELECT kb_put_end($1, NULL, $2, NULL);
END;
COMMENT ON FUNCTION kb_continue_account(bigint, text) IS
'Takes back the end of a contract, until its last day is over (X1): all is as if it had not been ended. "by" is an owner, or whoever '
'of support does it. '
'Errors: KB001, KB010; KB004 if "by" may not; 55000 if there is no end, or it is over; 22023 if "by" is empty';
