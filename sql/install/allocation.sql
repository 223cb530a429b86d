/*
 * Which top-ups a refund, a chargeback or a reversal belongs to, and what is left of each (T6, T7).
 *
 * The lines of a refund and of a chargeback say which top-ups they take back, and how much of each; those of their
 * reversals say the same with opposite amounts.  What goes of a bonus, and what comes back, is an entry that refers to
 * the bonus.
 */

-- Whatever is no part of a top-up is passed over: a check must not fail on it.
CREATE FUNCTION kbilling_internal.kb_topup_parts(lines jsonb, currency text) RETURNS TABLE (topup_seq bigint, amount kb_money)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT CASE WHEN p.is_part THEN (p.line->>'topup')::bigint END, CASE WHEN p.is_part THEN (p.line->>'amount')::kb_money END
	FROM (SELECT x.line, x.line->>'topup' ~ '^[0-9]{1,18}$' AND kb_is_amount(x.line->>'amount', $2) AS is_part
		  FROM jsonb_array_elements(CASE jsonb_typeof($1) WHEN 'array' THEN $1 ELSE '[]' END) x (line)) p
	WHERE p.is_part;
END;
COMMENT ON FUNCTION kb_topup_parts(jsonb, text) IS
'The parts of an entry''s lines that belong to top-ups, each with the top-up''s entry and how much of it was taken '
'back, which is below zero in a reversal';

-- T8: each refund or chargeback that was said in the currency of "paid" has it below zero, a reversal of it above
CREATE FUNCTION kbilling_internal.kb_paid_back(account_id bigint, topup_seq bigint) RETURNS TABLE (paid kb_money, amount kb_money)
	LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
	SELECT coalesce(b.paid, t.paid - t.paid), coalesce(b.amount, t.amount - t.amount)
	FROM entry t
	CROSS JOIN LATERAL (SELECT - sum(e.paid) AS paid, - sum(e.amount) AS amount
						FROM entry e
						LEFT JOIN entry r ON e.kind = 'reversal' AND r.account_id = e.account_id AND r.seq = e.ref_seq
						WHERE e.account_id = t.account_id AND e.kind IN ('refund', 'chargeback', 'reversal')
							AND e.paid IS NOT NULL AND coalesce(r.ref_seq, e.ref_seq) = t.seq) b
	WHERE t.account_id = $1 AND t.seq = $2;
END;
COMMENT ON FUNCTION kb_paid_back(bigint, bigint) IS
'Of what the customer of a top-up was charged (T8), how much went back by refunds and chargebacks that were said in that '
'currency, and by how much these moved the balance';

-- Of all that went back until then, and now, the exact share, rounded once: the last part takes all the rest.
CREATE FUNCTION kbilling_internal.kb_paid_share(account_id bigint, topup_seq bigint, paid kb_money) RETURNS kb_money
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT kb_money(round(kb_amount(t.amount) * kb_amount(b.paid + $3) / kb_amount(t.paid), kb_minor_units(c.currency)), c.currency)
		- b.amount
	FROM entry t
	CROSS JOIN LATERAL (SELECT kb_currency(t.amount) AS currency) c
	CROSS JOIN LATERAL kb_paid_back(t.account_id, t.seq) b
	WHERE t.account_id = $1 AND t.seq = $2 AND kb_currency(t.paid) = kb_currency($3);
END;
COMMENT ON FUNCTION kb_paid_share(bigint, bigint, kb_money) IS
'The part of a top-up that goes back with a part of what the customer was charged (T8); NULL if that was in another '
'currency';

-- Sums are within one currency, even where an entry has another one by mistake: kb_check reads this.
CREATE VIEW kbilling.topup_status WITH (security_invoker) AS
	SELECT t.account_id, t.seq, t.key AS reference, t.amount, coalesce(k.amount, c.zero) AS taken_back,
		   t.amount - coalesce(k.amount, c.zero) AS remaining, b.seq AS bonus_seq, coalesce(b.amount, c.zero) AS bonus_earned,
		   coalesce(b.kept, c.zero) AS bonus, coalesce(b.unspent, c.zero) AS unspent_bonus, b.expires_on AS bonus_expires_on
	FROM entry t
	CROSS JOIN LATERAL (SELECT kb_currency(t.amount) AS currency, t.amount - t.amount AS zero) c
	LEFT JOIN credit_lot b ON b.account_id = t.account_id AND b.topup_seq = t.seq AND kb_currency(b.amount) = c.currency
	LEFT JOIN (SELECT p.account_id, p.topup_seq, p.currency, sum(p.amount) AS amount
			   FROM (SELECT e.account_id, l.topup_seq, kb_currency(e.amount) AS currency, l.amount
					 FROM entry e CROSS JOIN LATERAL kb_topup_parts(e.lines, kb_currency(e.amount)) l
					 WHERE e.kind IN ('refund', 'chargeback', 'reversal') AND e.lines IS NOT NULL
					 UNION ALL
					 SELECT r.account_id, r.ref_seq, kb_currency(r.amount), - r.amount FROM entry r
					 WHERE r.kind = 'reversal' AND r.lines IS NULL) p
			   GROUP BY p.account_id, p.topup_seq, p.currency) k
		ON k.account_id = t.account_id AND k.topup_seq = t.seq AND k.currency = c.currency
	WHERE t.kind = 'topup' AND kb_is_owned(t.account_id);
COMMENT ON VIEW topup_status IS
'Every top-up, with what was refunded, charged back or reversed of it, and what of its bonus is unspent (T6, T7)';
COMMENT ON COLUMN topup_status.account_id IS 'The account';
COMMENT ON COLUMN topup_status.seq IS 'The top-up''s entry';
COMMENT ON COLUMN topup_status.reference IS 'The provider''s reference';
COMMENT ON COLUMN topup_status.amount IS 'What was paid in';
COMMENT ON COLUMN topup_status.taken_back IS 'What was refunded, charged back or reversed of it, and has not come back since';
COMMENT ON COLUMN topup_status.remaining IS 'What can still be refunded or charged back of it';
COMMENT ON COLUMN topup_status.bonus_seq IS 'The bonus''s entry; NULL if it earned none';
COMMENT ON COLUMN topup_status.bonus_earned IS 'The bonus that it earned';
COMMENT ON COLUMN topup_status.bonus IS 'That bonus, less what has gone with money that was given back';
COMMENT ON COLUMN topup_status.unspent_bonus IS 'The part of it that is unspent (G2)';
COMMENT ON COLUMN topup_status.bonus_expires_on IS
'The local date from which on the bonus is spent no more (G3); NULL if it never expires, or there is none';

-- A debt that the entry made may have been paid by credit that was granted after it, older debts first.
CREATE FUNCTION kbilling_internal.kb_lots_back(account_id bigint, seq bigint)
	RETURNS TABLE (priority integer, expires_on date, back kb_money, spent kb_money, on_debt kb_money)
	LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH reversed AS (
		SELECT e.*, e.amount - e.amount AS zero,
			   coalesce((SELECT p.bonus_after FROM entry p WHERE p.account_id = e.account_id AND p.seq = e.seq - 1), e.amount - e.amount)
				   AS bonus_before
		FROM entry e WHERE e.account_id = $1 AND e.seq = $2
	), moved AS (
		SELECT o.priority, o.expires_on, o.amount FROM reversed r CROSS JOIN LATERAL unnest(r.lots) o
		UNION ALL
		SELECT 50, 'infinity', r.bonus_after - r.bonus_before - coalesce((SELECT sum(o.amount) FROM unnest(r.lots) o), r.zero)
		FROM reversed r
	), lot AS (
		SELECT l.priority, coalesce(l.expires_on, 'infinity') AS expires_on, sum(l.kept - l.unspent) AS spent
		FROM credit_lot l WHERE l.account_id = $1 GROUP BY 1, 2
	), debt AS (
		SELECT least(greatest(- r.balance_after, r.zero) - d.before,
					 greatest((SELECT coalesce(sum(l.amount - (g.bonus_after - p.bonus_after)), r.zero)
							   FROM credit_lot l
							   JOIN entry g ON g.account_id = l.account_id AND g.seq = l.seq
							   JOIN entry p ON p.account_id = l.account_id AND p.seq = l.seq - 1
							   WHERE l.account_id = $1 AND l.seq > $2) - d.before, r.zero)) AS paid
		FROM reversed r CROSS JOIN LATERAL (SELECT greatest(r.amount - r.balance_after, r.zero) AS before OFFSET 0) d
		WHERE r.amount < 0
	)
	SELECT coalesce(l.priority, m.priority), coalesce(l.expires_on, m.expires_on), coalesce(- m.amount, r.zero), coalesce(l.spent, r.zero),
		   greatest(coalesce((SELECT d.paid FROM debt d), r.zero), r.zero)
	FROM reversed r
	CROSS JOIN (lot l FULL JOIN moved m ON m.priority = l.priority AND m.expires_on = l.expires_on)
	ORDER BY 1, 2;
END;
COMMENT ON FUNCTION kb_lots_back(bigint, bigint) IS
'What a reversal of an entry has to do with credit, by priority and expiry: what the entry took, or below zero gave; how much has been '
'spent of such lots by now; and, in each row, how much credit has paid of the debt that the entry made (G4)';

CREATE FUNCTION kbilling_internal.kb_has_expired(account_id bigint, seq bigint) RETURNS boolean
	LANGUAGE sql STABLE
RETURN EXISTS (
	SELECT FROM credit_lot l
	JOIN entry x ON x.account_id = l.account_id AND x.kind = 'expiry' AND x.seq > l.seq
	CROSS JOIN LATERAL unnest(x.lots) o
	WHERE l.account_id = $1 AND l.seq = $2 AND o.priority = l.priority AND o.expires_on = l.expires_on
);
COMMENT ON FUNCTION kb_has_expired(bigint, bigint) IS 'Whether the entry gave credit of which an expiry has taken some, or of lots like it';
