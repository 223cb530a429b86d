/*
 * What puts a balance right: refund, chargeback, adjustment, write-off, reversal.
 */

CREATE FUNCTION kbilling.kb_refund(account_id bigint, amount kb_money, reference text, memo text = NULL,
								   topup_reference text = NULL, forced boolean = false)
	RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_refund';
COMMENT ON FUNCTION kb_refund(bigint, kb_money, text, text, text, boolean) IS
'Pays money back, at most the balance less the unspent bonus, and returns the number of the entry. It is money of the '
'top-up that is named, else of the newest ones; their unspent bonus goes with it by proportion (T6). With "forced" it '
'books a refund that the provider has made already, even into debt. Of a top-up that is named, the amount may be in the '
'currency in which it was paid (T8): it takes the smallest unit of the account''s at least, or, with "forced", if nothing '
'is left of the top-up and it would round to zero, posts nothing, and the result is NULL. '
'Errors: KB001, KB002, KB006; KB005 for more than is left of the paid money or of the top-ups, and for an amount that '
'is not above zero; 22023 if there is no such top-up';

-- The lock first, so that what it reads then is what kb_refund finds.
CREATE FUNCTION kbilling.kb_refund_total(account_id bigint, topup_reference text, total kb_money, reference text, memo text = NULL)
	RETURNS bigint
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('account_id, topup_reference, total, reference', $1, $2, $3, $4);
	SELECT kb_require_owned($1);
	SELECT FROM account a WHERE a.account_id = $1 FOR NO KEY UPDATE;
	SELECT kb_require_account($1);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM entry t WHERE t.account_id = $1 AND t.key = $2 AND t.kind = 'topup')
			THEN kb_raise('22023', format('account %s has no top-up "%s"', $1, $2), NULL,
						  'Give the reference under which the top-up was applied; kbilling.topup_status lists them.')
		END;
	SELECT CASE WHEN m.missing > 0
		THEN kb_refund($1, coalesce(m.paid, m.missing), $4, $5, $2, true)
		ELSE (SELECT e.seq FROM entry e WHERE e.account_id = $1 AND e.key = $4 AND e.kind = 'refund') END
	-- of a sum in the currency in which was paid, its share counts; it is booked so if all that went back was said so
	FROM (SELECT CASE WHEN c.is_paid THEN kb_paid_share($1, e.seq, $3 - b.paid) + b.amount ELSE $3 END - t.taken_back AS missing,
				 CASE WHEN c.is_paid AND b.amount = t.taken_back THEN $3 - b.paid END AS paid
		  FROM topup_status t
		  JOIN entry e ON e.account_id = t.account_id AND e.seq = t.seq
		  CROSS JOIN LATERAL kb_paid_back(e.account_id, e.seq) b
		  CROSS JOIN LATERAL (SELECT kb_currency(e.paid) = kb_currency($3) AND kb_currency(e.amount) <> kb_currency($3) AS is_paid) c
		  WHERE t.account_id = $1 AND t.reference = $2) m;
END;
COMMENT ON FUNCTION kb_refund_total(bigint, text, kb_money, text, text) IS
'Books that the provider has paid back "total" of a top-up until now, all together, for providers that report no single '
'refunds: as a refund of what is missing of it (kb_refund with "forced"), whose number it returns. If nothing is missing, '
'as an earlier or later report was booked, nothing is posted, and the result is NULL. The total may be in the currency in '
'which the top-up was paid (T8). '
'Errors: those of kb_refund';

CREATE FUNCTION kbilling.kb_chargeback(account_id bigint, topup_reference text, reference text, amount kb_money = NULL)
	RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_chargeback';
COMMENT ON FUNCTION kb_chargeback(bigint, text, text, kb_money) IS
'Takes back what is left of a top-up, or the amount, even into debt, and the unspent bonus of that part (T7), and '
'returns the number of the chargeback''s entry. The amount may be in the currency in which the top-up was paid (T8): '
'it takes the smallest unit of the account''s at least, or, if nothing is left of the top-up and it would round to zero, '
'posts nothing, and the result is NULL. A '
'dispute that was won is the reversal of that entry. '
'Errors: KB001, KB002; KB005 for more than is left of the top-up, and for an amount that is not above zero; KB006 if '
'nothing is left of it, or the reference stands for something else; 22023 if there is no such top-up';

CREATE FUNCTION kbilling.kb_adjust(account_id bigint, amount kb_money, reference text, memo text) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_adjust';
COMMENT ON FUNCTION kb_adjust(bigint, kb_money, text, text) IS
'Moves the balance up or down by the amount, for the reason in "memo", and returns the number of the entry. '
'Errors: KB001, KB002, KB006; KB005 for zero';

CREATE FUNCTION kbilling.kb_write_off(account_id bigint, reference text, memo text) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_write_off';
COMMENT ON FUNCTION kb_write_off(bigint, text, text) IS
'Writes off the whole debt as bad debt, and returns the number of the entry. '
'Errors: KB001, KB006; KB005 if there is no debt';

CREATE FUNCTION kbilling.kb_reverse(account_id bigint, entry_seq bigint, reference text, memo text) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_reverse';
COMMENT ON FUNCTION kb_reverse(bigint, bigint, text, text) IS
'Reverses one whole entry (J1), and returns the number of the reversal. The reversal of a charge gives back the '
'bonus that the charge spent. Its month stays charged, and its usage is never billed or given back any more, whenever '
'it is recorded or taken back (U3): what is still owed of it is posted with kb_adjust. Credit that has expired meanwhile '
'comes back as expired (G4): grant it anew with kb_grant_credit. The reversal of a top-up takes its '
'unspent bonus along; that of a refund or a chargeback brings back the bonus that went with it (T6, T7). '
'Errors: KB001; KB006 if the entry, or a part of it, has been taken back already, or the reference stands for '
'something else; 22023 if there is no such entry, or it is a reversal, or has moved a bonus with another entry';

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
