/*
 * What a billing page shows, in one call.
 */

CREATE FUNCTION kbilling.kb_portal(account_id bigint, member text) RETURNS jsonb
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_portal';
COMMENT ON FUNCTION kb_portal(bigint, text) IS
'All that a billing page shows to a member, as one JSON object. For everyone: account_id, state, member, role, '
'stage, access, delete_on, can_pay. For an owner or admin of an account that is not deleted also: tariff, '
'tariff_name, currency, balance, bonus, amount_due, debt_since, next_stage, next_stage_on, reminder (null, or '
'amount_due and restricted_on), usage (the lines of kb_current_usage), usage_total, offers (those of '
'kb_topup_offers), payments (the pending ones), entries (the last 20, newest first, with the lines of charges, and '
'what was paid in another currency, with its rate). '
'Errors: KB001; KB004 for an unknown member';

-- A page costs what it shows: the primary key gives its entries in their order, wherever the page begins.  As the planner
-- does not know how many are asked for, it may rather sort all that are left: SET enable_sort.
CREATE FUNCTION kbilling.kb_history(account_id bigint, member text, before_seq bigint = NULL, max_entries integer = 20)
	RETURNS SETOF payment_history
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp SET enable_sort = off
BEGIN ATOMIC
	SELECT kb_require_member($1, $2);
	SELECT kb_require_not_null('max_entries', max_entries);
	SELECT CASE
		WHEN a.state IN ('deleted', 'purged')
			THEN kb_raise('KB003', format('member "%s" may not read the history of account %s', $2, $1), 'The account is deleted (D5).',
						  'Support can restore it with kb_restore_account until the day before its purge.')
		WHEN m.role NOT IN ('owner', 'admin')
			THEN kb_raise('KB004', format('member "%s" may not read the history of account %s', $2, $1),
						  'Only an owner or admin of the account sees its money.', 'Ask for an owner or admin.')
		WHEN max_entries NOT BETWEEN 1 AND 1000
			THEN kb_raise('22023', 'max_entries must be between 1 and 1000', format('It is %s.', max_entries),
						  'Read on with before_seq, the lowest seq that was returned.')
		END
	FROM account a JOIN member m ON m.account_id = a.account_id AND m.member = $2
	WHERE a.account_id = $1;
	SELECT h.* FROM payment_history h
	WHERE h.account_id = $1 AND h.seq < coalesce(before_seq, 9223372036854775807)
	ORDER BY h.seq DESC
	LIMIT max_entries;
END;
COMMENT ON FUNCTION kb_history(bigint, text, bigint, integer) IS
'The journal as an owner or admin of the account may read it, newest first, in pages of "max_entries", at most 1000. '
'For the next page, "before_seq" is the lowest seq of this one; NULL: from the newest entry on. '
'Errors: KB001; KB003 if the account is deleted; KB004 for an employee, or an unknown member; 22023 for a number of '
'entries out of bounds';
