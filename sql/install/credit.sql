/*
 * The lots of credit, and what of it expires (rules G).
 *
 * The account's row has what is unspent, by priority and expiry, so that a posting needs no other row.  What is left of each
 * lot follows from it and the journal, as of those that are alike the oldest is spent first.
 */

CREATE VIEW kbilling.credit_lot WITH (security_invoker) AS
	SELECT s.account_id, s.seq, s.kind, kb_shown_reference(s.key) AS reference, s.topup_seq, s.amount, s.kept,
		   greatest(least(s.kept, s.alike - s.later), s.zero) AS unspent, s.priority, nullif(s.expires_on, 'infinity') AS expires_on,
		   s.posted_at
	FROM (SELECT x.*, sum(x.kept) OVER (PARTITION BY x.account_id, x.currency, x.priority, x.expires_on ORDER BY x.seq DESC) - x.kept
					AS later
		  FROM (SELECT e.account_id, e.seq, e.kind, e.key, t.seq AS topup_seq, e.amount, c.currency, c.zero, l.priority, l.expires_on,
					   e.posted_at, e.amount + coalesce(m.amount, c.zero) AS kept,
					   -- what is unspent of all that are alike
					   CASE WHEN l.priority = 50 AND l.expires_on = 'infinity'
						   THEN a.unspent_bonus - coalesce((SELECT sum(o.amount) FROM unnest(a.lots) o), c.zero)
						   ELSE coalesce((SELECT o.amount FROM unnest(a.lots) o
										  WHERE o.priority = l.priority AND o.expires_on = l.expires_on), c.zero) END AS alike
				FROM entry e
				CROSS JOIN LATERAL (SELECT kb_currency(e.amount) AS currency, e.amount - e.amount AS zero) c
				JOIN account a ON a.account_id = e.account_id AND kb_currency(a.unspent_bonus) = c.currency
				CROSS JOIN LATERAL (SELECT coalesce((e.lots[1]).priority, 50) AS priority,
										   coalesce((e.lots[1]).expires_on, 'infinity') AS expires_on) l
				LEFT JOIN entry t ON t.account_id = e.account_id AND t.seq = e.ref_seq AND t.kind = 'topup'
				-- what has gone of it with its payment, and come back, and a reversal of it
				LEFT JOIN (SELECT b.account_id, b.ref_seq, kb_currency(b.amount) AS currency, sum(b.amount) AS amount
						   FROM entry b WHERE b.kind IN ('bonus', 'reversal')
						   GROUP BY b.account_id, b.ref_seq, kb_currency(b.amount)) m
					ON m.account_id = e.account_id AND m.ref_seq = e.seq AND m.currency = c.currency
				WHERE (e.kind = 'credit' OR e.kind = 'bonus' AND t.seq IS NOT NULL) AND kb_is_owned(e.account_id)) x) s;
COMMENT ON VIEW credit_lot IS 'Every lot of credit: each bonus and each granted credit, and what of it is unspent (G1)';
COMMENT ON COLUMN credit_lot.account_id IS 'The account';
COMMENT ON COLUMN credit_lot.seq IS 'The entry that gave it';
COMMENT ON COLUMN credit_lot.kind IS '"bonus" or "credit"';
COMMENT ON COLUMN credit_lot.reference IS 'The reference under which a credit was granted; NULL for a bonus';
COMMENT ON COLUMN credit_lot.topup_seq IS 'The top-up that has earned a bonus; NULL for a credit';
COMMENT ON COLUMN credit_lot.amount IS 'How much was given';
COMMENT ON COLUMN credit_lot.kept IS 'That, less what was reversed, or has gone with money that was given back (T6, T7)';
COMMENT ON COLUMN credit_lot.unspent IS 'What of it is unspent: of lots with the same priority and expiry the oldest is spent first (G2)';
COMMENT ON COLUMN credit_lot.priority IS 'Lower numbers are spent first';
COMMENT ON COLUMN credit_lot.expires_on IS 'The local date from which on it is spent no more (G3); NULL: it never expires';
COMMENT ON COLUMN credit_lot.posted_at IS 'When it was given';

-- The month of the day is billed up to the day, those before it whole, as the charge will bill them; a hold is of the running month.
CREATE FUNCTION kbilling_internal.kb_owed_through(account_id bigint, day date, at timestamptz) RETURNS TABLE (owed kb_money)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT (
		SELECT sum(b.total)
		FROM unnest(ARRAY(SELECT g::date FROM generate_series(d.oldest::timestamp, $2::timestamp, interval '1 month') g)) m (month)
		CROSS JOIN LATERAL kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from, greatest(m.month, a.charged_through + 1),
			least(kb_month_last_day(m.month), $2), CASE WHEN m.month = d.oldest THEN '-infinity' ELSE m.month END, NULL, a.ends_on,
			CASE WHEN m.month = d.running THEN $3 END) b
		WHERE a.charged_through < $2)
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_month_first_day(a.charged_through + 1) AS oldest,
							   kb_month_first_day(kb_account_date($3, a.time_zone)) AS running OFFSET 0) d
	WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_owed_through(bigint, date, timestamptz) IS
'What an account owes for its months up to a day that are not charged yet, with what it holds at the moment; NULL if all are charged';

CREATE FUNCTION kbilling_internal.kb_owed_before(account_id bigint, lots kb_lot[], expired_through date, charged_through date,
												 today date, at timestamptz)
	RETURNS TABLE (days date[], owed kb_money[])
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT array_agg(x.expires_on), array_agg(o.owed)
	FROM (SELECT DISTINCT o.expires_on FROM unnest($2) o
		  WHERE o.expires_on <= $5 AND o.expires_on > coalesce($3, '-infinity') AND o.expires_on - 1 > $4) x
	CROSS JOIN LATERAL kb_owed_through($1, x.expires_on - 1, $6) o;
END;
COMMENT ON FUNCTION kb_owed_before(bigint, kb_lot[], date, date, date, timestamptz) IS
'The days on which credit of an account has expired that was not looked at yet, and what the account owes for the days before each: '
'what kb_expired_lots has to know. The arguments are columns of its row, its local date, and the moment';

CREATE FUNCTION kbilling_internal.kb_kept(lots kb_lot[], today date, zero kb_money) RETURNS kb_money
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce((SELECT sum(o.amount) FROM unnest($1) o WHERE o.expires_on <= $2), $3);
COMMENT ON FUNCTION kb_kept(kb_lot[], date, kb_money) IS
'How much credit that has expired is on the balance: kept for the charge, once its expiry is booked (G3)';

-- Credit that is kept is to be looked at when the next charge has been posted.
CREATE FUNCTION kbilling_internal.kb_credit_check_on(lots kb_lot[], today date, notice_days integer, charged_on date) RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
	SELECT min(CASE
		WHEN o.expires_on <= $2 THEN greatest($4, $2 + 1)
		WHEN o.expires_on - coalesce($3, 0) > $2 THEN o.expires_on - coalesce($3, 0)
		ELSE o.expires_on END)
	FROM unnest($1) o WHERE o.expires_on < 'infinity'
);
COMMENT ON FUNCTION kb_credit_check_on(kb_lot[], date, integer, date) IS
'The day on which the sweep has to look at credit again after a look today: when it is to tell that some will expire, when some '
'expires, or when the next charge has been posted; NULL if none expires';

-- Of what will have to leave the balance if nothing more is used; again, if it has become more.
CREATE FUNCTION kbilling_internal.kb_notify_credit(account_ids bigint[], at timestamptz) RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH news AS MATERIALIZED (
		SELECT a.account_id, x.expires_on, x.amount, a.balance, row_number() OVER (PARTITION BY a.account_id ORDER BY x.expires_on) AS n
		FROM (SELECT o.*, kb_account_date($2, o.time_zone) AS today FROM account o
			  WHERE o.account_id = ANY ($1) AND o.lots IS NOT NULL AND o.state IN ('active', 'closing') OFFSET 0) a
		CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, a.today) p
		JOIN policy q ON q.policy = p.policy
		CROSS JOIN LATERAL kb_owed_through(a.account_id, a.today, $2) u
		CROSS JOIN LATERAL (SELECT array_agg(DISTINCT o.expires_on) AS days FROM unnest(a.lots) o
							WHERE o.expires_on > a.today AND o.expires_on - q.credit_notice_days <= a.today) d
		CROSS JOIN LATERAL (
			SELECT l.expires_on, - sum(l.amount) AS amount
			FROM unnest(kb_expired_lots(a.lots, a.unspent_bonus, a.today, a.charged_through, (SELECT max(e) FROM unnest(d.days) e), d.days,
										array_fill(u.owed, ARRAY[coalesce(cardinality(d.days), 0)]))) l
			WHERE l.expires_on > a.today GROUP BY l.expires_on) x
		WHERE NOT EXISTS (SELECT FROM notice n WHERE n.account_id = a.account_id AND n.kind = 'credit_expiring'
							AND n.facts->>'expires_on' = to_char(x.expires_on, 'YYYY-MM-DD')
							AND (n.facts->>'amount')::kb_money >= x.amount)
	), numbered AS (
		UPDATE account a SET last_notice_no = a.last_notice_no + c.notices
		FROM (SELECT x.account_id, count(*) AS notices FROM news x GROUP BY x.account_id) c
		WHERE a.account_id = c.account_id
		RETURNING a.account_id, a.last_notice_no - c.notices AS before
	), written AS (
		INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, facts)
		SELECT x.account_id, b.before + x.n, $2, $2, 'credit_expiring', to_char(x.expires_on, 'YYYY-MM-DD') || ' ' || x.amount,
			   jsonb_build_object('amount', x.amount, 'expires_on', x.expires_on, 'last_day', x.expires_on - 1, 'balance', x.balance)
		FROM news x JOIN numbered b ON b.account_id = x.account_id
		RETURNING notice_no
	)
	SELECT kb_wake(count(*)) FROM written;
END;
COMMENT ON FUNCTION kb_notify_credit(bigint[], timestamptz) IS
'Writes the notices of credit that will expire in the days that the policy names, if nothing more is used, which accounts have not '
'got yet, and returns how many (G3). They are locked';
