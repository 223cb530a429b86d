/*
 * What to offer for a top-up: amounts that make sense, each with its bonus (T5).
 */

-- Of two tiers that begin at one amount, the later holds.  What is offered stays within what a kb_money can say (M1).
CREATE FUNCTION kbilling_internal.kb_offers(account_id bigint, covered integer[], costs kb_money[])
	RETURNS TABLE (amount kb_money, bonus kb_money, bonus_expires_on date, reason text, months integer)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 5
BEGIN ATOMIC
	SELECT o.amount, kb_bonus(o.amount - d.due, coalesce(r.percent, 0)), d.today + r.valid_days, o.reason, o.months
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today, kb_amount_due(a.balance) AS due OFFSET 0) d
	CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, d.today) t
	CROSS JOIN LATERAL (
		SELECT DISTINCT ON (kb_minor(w.amount)) w.amount, w.reason, w.months
		FROM (SELECT d.due AS amount, 'debt' AS reason, NULL::integer AS months, 0 AS rank WHERE d.due > 0
			  UNION ALL
			  SELECT m.amount, CASE m.months WHEN 1 THEN 'month' ELSE 'months' END, m.months, m.months
			  FROM unnest($2, $3) m (months, amount) WHERE m.amount > 0
			  UNION ALL
			  SELECT d.due + b.min_amount, 'tier', NULL, 100
			  FROM bonus_tier b
			  WHERE b.tariff = t.tariff AND b.from_date <= d.today AND b.to_date > d.today AND b.percent > 0 AND b.min_amount > 0
				AND (a.ends_on < d.today) IS NOT TRUE
				AND kb_minor(d.due) + kb_minor(b.min_amount) < kb_max_minor()
				AND NOT EXISTS (SELECT FROM bonus_tier l
								WHERE l.tariff = b.tariff AND l.min_amount = b.min_amount AND l.from_date > b.from_date
									AND l.from_date <= d.today AND l.to_date > d.today)) w
		ORDER BY kb_minor(w.amount), w.rank) o
	LEFT JOIN LATERAL (
		SELECT b.percent, CASE WHEN b.percent > 0 THEN b.valid_days END AS valid_days FROM bonus_tier b
		WHERE b.tariff = t.tariff AND b.from_date <= d.today AND b.to_date > d.today
			AND o.amount > d.due AND kb_minor(b.min_amount) <= kb_minor(o.amount) - kb_minor(d.due) AND (a.ends_on < d.today) IS NOT TRUE
		ORDER BY kb_minor(b.min_amount) DESC, b.from_date DESC LIMIT 1) r ON true
	WHERE a.account_id = $1 AND a.state IN ('active', 'closing')
		AND kb_minor(o.amount) + (kb_minor(o.amount) - kb_minor(d.due)) * coalesce(r.percent, 0) / 100 < kb_max_minor();
END;
COMMENT ON FUNCTION kb_offers(bigint, integer[], kb_money[]) IS
'The rows of kb_topup_offers, in no certain order, of an account that has to pay these amounts to be covered for so many months';

CREATE FUNCTION kbilling.kb_topup_offers(account_id bigint)
	RETURNS TABLE (amount kb_money, bonus kb_money, bonus_expires_on date, reason text, months integer)
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_topup_offers';
COMMENT ON FUNCTION kb_topup_offers(bigint) IS
'Amounts to offer for a top-up, the lowest first, each once, with the bonus that it would earn (T5), the day from which on '
'that would be spent no more (G3; NULL: never), and the reason: "debt", '
'what is due; "month", what covers the running month, and "months" three, six or twelve of them, as kb_amount_for says; "tier", '
'what reaches a bonus tier beyond the debt. Of several reasons for an amount, it is the first of these. There is none for a '
'deleted account; the months are left out for one whose forecast may be refused. '
'Errors: KB001';
