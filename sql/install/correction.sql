/*
 * What puts a balance right: refund, chargeback, adjustment, write-off, reversal.
 */

CREATE FUNCTION kbilling.kb_refund(account_id bigint, amount kb_money, reference text, memo text = NULL) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_refund';
COMMENT ON FUNCTION kb_refund(bigint, kb_money, text, text) IS
'Pays money back, at most the balance less the unspent bonus (T6), and returns the number of the entry. '
'Errors: KB001, KB002, KB006, KB010; KB005 for more than that, and for an amount that is not above zero';

CREATE FUNCTION kbilling.kb_chargeback(account_id bigint, topup_reference text, reference text) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_chargeback';
COMMENT ON FUNCTION kb_chargeback(bigint, text, text) IS
'Takes a whole top-up back, even into debt, and as much of its bonus as is unspent (T6), and returns the number of '
'the chargeback''s entry. '
'Errors: KB001, KB010; KB006 if the top-up has been taken back already, or the reference stands for something else; '
'22023 if there is no such top-up';

CREATE FUNCTION kbilling.kb_adjust(account_id bigint, amount kb_money, reference text, memo text) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_adjust';
COMMENT ON FUNCTION kb_adjust(bigint, kb_money, text, text) IS
'Moves the balance up or down by the amount, for the reason in "memo", and returns the number of the entry. '
'Errors: KB001, KB002, KB006, KB010; KB005 for zero';

CREATE FUNCTION kbilling.kb_write_off(account_id bigint, reference text, memo text) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_write_off';
COMMENT ON FUNCTION kb_write_off(bigint, text, text) IS
'Writes off the whole debt as bad debt, and returns the number of the entry. '
'Errors: KB001, KB006, KB010; KB005 if there is no debt';

CREATE FUNCTION kbilling.kb_reverse(account_id bigint, entry_seq bigint, reference text, memo text) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_reverse';
COMMENT ON FUNCTION kb_reverse(bigint, bigint, text, text) IS
'Reverses one whole entry (J1), and returns the number of the reversal. The reversal of a charge gives back the '
'bonus that the charge spent; its period stays charged. The bonus of a top-up is an entry of its own, and is not '
'reversed with it. '
'Errors: KB001, KB010; KB006 if the entry has been taken back already, or the reference stands for something else; '
'22023 if there is no such entry, or it is a reversal';

-- What the provider may take back of its own doing, by the reference that it knows: kb_reverse can do more.
CREATE FUNCTION kbilling_internal.kb_reverse_kind(account_id bigint, kind kb_entry_kind, reversed text, reference text, memo text)
	RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_require_not_null('account_id, ' || $2 || '_reference, reference', $1, $3, $4);
	SELECT kb_require_account($1);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM entry e WHERE e.account_id = $1 AND e.key = $3 AND e.kind = $2)
			THEN kb_raise('22023', format('account %s has no %s "%s"', $1, $2, $3), NULL,
						  format('Give the reference under which the %s was posted; kbilling.payment_history lists them.', $2))
		END;
	SELECT kb_reverse($1, e.seq, $4, $5) FROM entry e WHERE e.account_id = $1 AND e.key = $3 AND e.kind = $2;
END;
COMMENT ON FUNCTION kb_reverse_kind(bigint, kb_entry_kind, text, text, text) IS
'Reverses the entry that has this reference, if it is of this kind; else 22023. Part of kb_reverse_refund and '
'kb_reverse_chargeback';

CREATE FUNCTION kbilling.kb_reverse_refund(account_id bigint, refund_reference text, reference text, memo text = 'refund failed')
	RETURNS bigint
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
RETURN kb_reverse_kind(account_id, 'refund', refund_reference, reference, memo);
COMMENT ON FUNCTION kb_reverse_refund(bigint, text, text, text) IS
'Books that a refund has failed at the provider, as the reversal of the refund that has this reference, and returns '
'the number of the entry. Another entry cannot be reversed by it (E6). '
'Errors: those of kb_reverse; 22023 if the account has no such refund';

CREATE FUNCTION kbilling.kb_reverse_chargeback(account_id bigint, chargeback_reference text, reference text,
											   memo text = 'dispute won')
	RETURNS bigint
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
RETURN kb_reverse_kind(account_id, 'chargeback', chargeback_reference, reference, memo);
COMMENT ON FUNCTION kb_reverse_chargeback(bigint, text, text, text) IS
'Books that a dispute was won, as the reversal of the chargeback that has this reference, and returns the number of '
'the entry. Another entry cannot be reversed by it (E6). '
'Errors: those of kb_reverse; 22023 if the account has no such chargeback';
