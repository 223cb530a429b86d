/*
 * The one rating path: what an account owes for days of a month, which charge, preview and forecast read (C6).
 */

CREATE TYPE kbilling_internal.kb_days_held AS (from_date date, to_date date, days integer);
COMMENT ON TYPE kb_days_held IS 'The days of a month on which a price held for an account';
COMMENT ON COLUMN kb_days_held.from_date IS 'The first of them; NULL if there is none';
COMMENT ON COLUMN kb_days_held.to_date IS 'The day after the last of them';
COMMENT ON COLUMN kb_days_held.days IS 'How many they are';

CREATE FUNCTION kbilling_internal.kb_days_held(account_id bigint, tariff text, tariff_from date, price_tariff text,
											   from_date date, to_date date, is_listed boolean)
	RETURNS kb_days_held
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
	SELECT ROW(min(greatest(t.from_date, $5)), max(least(t.to_date, $6)),
			   sum(least(t.to_date, $6) - greatest(t.from_date, $5))::integer)::kb_days_held
	FROM (SELECT $2 AS tariff, $3 AS from_date, date 'infinity' AS to_date
		  UNION ALL
		  SELECT h.tariff, h.from_date, h.to_date FROM tariff_history h
		  WHERE h.account_id = $1 AND h.from_date < $6 AND h.to_date > $5) t
	WHERE t.tariff = $4 AND $7 AND greatest(t.from_date, $5) < least(t.to_date, $6)
);
COMMENT ON FUNCTION kb_days_held(bigint, text, date, text, date, date, boolean) IS
'On which days from "from_date" on, and before "to_date", an account had the tariff of a price; the second and third '
'argument are the columns of its row';

CREATE FUNCTION kbilling_internal.kb_last_prorate(account_id bigint, tariff text, tariff_from date, service text,
												  from_date date, to_date date)
	RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
	SELECT p.prorate
	FROM (SELECT $2 AS tariff, $3 AS from_date, date 'infinity' AS to_date
		  UNION ALL
		  SELECT h.tariff, h.from_date, h.to_date FROM tariff_history h
		  WHERE h.account_id = $1 AND h.from_date < $6 AND h.to_date > $5) t
	JOIN price_list p ON p.tariff = t.tariff AND p.service = $4 AND p.to_date > $5
	WHERE greatest(t.from_date, p.from_date, $5) < least(t.to_date, p.to_date, $6)
	ORDER BY least(t.to_date, p.to_date, $6) DESC LIMIT 1
);
COMMENT ON FUNCTION kb_last_prorate(bigint, text, date, text, date, date) IS
'Whether the last price that an account had for a service on days of a month is prorated, which holds for the whole month '
'(C3); NULL if it had none';

-- From usage_from on, only months with late usage count, so that a minimum that was billed is rounded with it (M4).
CREATE FUNCTION kbilling_internal.kb_minimums(account_id bigint, tariff text, tariff_from date, first_day date, last_day date,
											  usage_from date, ends_on date)
	RETURNS TABLE (period date, service text, price_id integer)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT m.period, p.service, p.price_id
	FROM (SELECT kb_month_first_day($5) AS period, $4 AS from_date, least($5, $7) + 1 AS to_date, NULL::text AS service
		  UNION ALL
		  SELECT o.period, o.period, least(kb_month_last_day(o.period), $7) + 1, o.service FROM usage_total o
		  WHERE o.account_id = $1 AND o.period >= $6 AND o.period < kb_month_first_day($5) AND NOT o.settled) m
	CROSS JOIN LATERAL (
		SELECT $2 AS tariff, $3 AS from_date, date 'infinity' AS to_date
		UNION ALL
		SELECT h.tariff, h.from_date, h.to_date FROM tariff_history h
		WHERE h.account_id = $1 AND h.from_date < m.to_date AND h.to_date > m.from_date AND $3 > m.from_date) t
	JOIN price_list p ON p.tariff = t.tariff AND kb_has_minimum(p.price)
		AND greatest(t.from_date, p.from_date, m.from_date) < least(t.to_date, p.to_date, m.to_date)
		AND (m.service IS NULL OR p.service = m.service)
	JOIN service s ON s.service = p.service AND s.kind = 'metered';
END;
COMMENT ON FUNCTION kb_minimums(bigint, text, date, date, date, date, date) IS
'The prices of metered services with a minimum that an account has had on days of a month, used or not (C2); a price '
'may come more than once';

CREATE FUNCTION kbilling_internal.kb_held(account_id bigint, tariff text, tariff_from date, on_date date, at timestamptz)
	RETURNS TABLE (service text, price_id integer, quantity numeric, holds bigint)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT h.service, p.price_id, sum(h.quantity), count(*)
	FROM usage_hold h
	CROSS JOIN LATERAL kb_tariff_on($1, $2, $3, $4) x
	JOIN price_list p ON p.tariff = x.tariff AND p.service = h.service AND p.from_date <= $4 AND p.to_date > $4
	WHERE h.account_id = $1 AND h.expires_at > $5
	GROUP BY h.service, p.price_id;
END;
COMMENT ON FUNCTION kb_held(bigint, text, date, date, timestamptz) IS
'What an account holds at a moment, at the prices of a day; the second and third argument are the columns of its row (L4)';

-- A row for each part in which nothing changes: what the account had, on which tariff, at which price.  Usage has a row
-- for each month and price of it, from usage_from on, with the days on which the price held in the month; if it held on
-- none, as other terms took its place, usage that has stayed with it is of the whole month.  After ends_on the account has
-- nothing.  If paced_on is a day, usage goes on at its pace; if held_at is a moment, what is held then counts as used on the
-- last day.
-- The arguments are what is needed of the account's row, so that it is not read again (account_tariff reads it, which
-- takes 7 % longer); as a whole row it would be built anew for each field.
CREATE FUNCTION kbilling_internal.kb_bill_for(account_id bigint, currency text, tariff text, tariff_from date,
											  first_day date, last_day date, usage_from date, paced_on date, ends_on date,
											  held_at timestamptz = NULL)
	RETURNS TABLE (total kb_money, lines kb_lines)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT coalesce((b.bill).total, kb_money(0, $2)), coalesce((b.bill).lines, '[]')
	FROM (SELECT kb_with_terms(kb_bill(x.service, x.from_date, x.to_date, x.days, x.quantity, x.events, x.billed_quantity, x.billed_events,
						 x.price_id, x.price, x.prorate, $2, $5, $6), $1, $2, $3, $4, $5, $6) AS bill
		  FROM (SELECT h.service, greatest(h.from_date, p.from_date) AS from_date, least(h.to_date, p.to_date) AS to_date,
					   NULL::integer AS days, h.quantity, NULL::bigint AS events, NULL::numeric AS billed_quantity,
					   NULL::bigint AS billed_events, p.price_id, p.price, p.prorate
				FROM (SELECT s.service, t.tariff, greatest(s.from_date, t.from_date) AS from_date,
							 least(s.to_date, t.to_date) AS to_date, s.quantity
					  FROM (SELECT 'base' AS service, $5 AS from_date, $6 + 1 AS to_date, 1::numeric AS quantity
							UNION ALL
							SELECT u.service, greatest(u.from_date, $5), least(u.to_date, $6 + 1), u.quantity
							FROM subscription u
							WHERE u.account_id = $1 AND u.from_date <= $6 AND u.to_date > $5) s
					  JOIN (SELECT $3 AS tariff, $4 AS from_date, coalesce($9 + 1, 'infinity') AS to_date
							UNION ALL
							SELECT h.tariff, h.from_date, least(h.to_date, $9 + 1) FROM tariff_history h
							WHERE h.account_id = $1 AND h.from_date <= $6 AND h.to_date > $5 AND $4 > $5) t
						ON t.from_date < s.to_date AND t.to_date > s.from_date) h
				CROSS JOIN LATERAL (
					SELECT l.price_id, l.price, l.prorate, l.from_date, l.to_date FROM price_list l
					WHERE l.tariff = h.tariff AND l.service = h.service AND l.to_date > h.from_date AND l.from_date < h.to_date
					OFFSET 0) p
				UNION ALL
				SELECT u.service, coalesce((d.held).from_date, m.from_date), coalesce((d.held).to_date, m.to_date),
					   coalesce((d.held).days, 0), u.quantity, u.events, u.billed_quantity, u.billed_events, u.price_id, p.price,
					   CASE WHEN (d.held).days = m.to_date - m.from_date THEN p.prorate
						   ELSE coalesce(kb_last_prorate($1, $3, $4, u.service, m.from_date, m.to_date), p.prorate) END
				FROM (SELECT n.* FROM kb_unbilled_usage($1, $7, kb_month_first_day($6)) n WHERE $8 IS NULL
					  UNION ALL
					  SELECT n.* FROM kb_paced_usage($1, $7, kb_month_first_day($6), $8) n WHERE $8 IS NOT NULL
					  UNION ALL
					  SELECT kb_month_first_day($6), n.service, n.price_id, n.quantity, n.holds, 0, 0
					  FROM kb_held($1, $3, $4, $6, $10) n WHERE $10 IS NOT NULL
					  UNION ALL
					  SELECT n.period, n.service, n.price_id, 0, 0, 0, 0 FROM kb_minimums($1, $3, $4, $5, $6, $7, $9) n) u
				JOIN price p ON p.price_id = u.price_id
				CROSS JOIN LATERAL (
					SELECT CASE u.period WHEN kb_month_first_day($6) THEN $5 ELSE u.period END AS from_date,
						   CASE u.period WHEN kb_month_first_day($6) THEN $6
							   ELSE least(kb_month_last_day(u.period), greatest(coalesce($9, 'infinity'), u.period)) END + 1
							   AS to_date OFFSET 0) m
				-- as a rule it held all the time
				CROSS JOIN LATERAL (
					SELECT CASE WHEN p.tariff = $3 AND $4 <= m.from_date AND p.from_date <= m.from_date AND p.to_date >= m.to_date
								AND p.withdrawn_at IS NULL
							THEN ROW(m.from_date, m.to_date, m.to_date - m.from_date)::kb_days_held
							ELSE kb_days_held($1, $3, $4, p.tariff, greatest(p.from_date, m.from_date), least(p.to_date, m.to_date),
											  p.withdrawn_at IS NULL OR u.period < kb_month_first_day($6)) END AS held OFFSET 0) d
				-- no more than these two looks if there is nothing; the second is one for all accounts
				WHERE $8 IS NOT NULL OR $10 IS NOT NULL
					OR EXISTS (SELECT FROM usage_total o
							   WHERE o.account_id = $1 AND o.period >= $7 AND o.period <= kb_month_first_day($6) AND NOT o.settled)
					OR EXISTS (SELECT FROM price_list l WHERE kb_has_minimum(l.price))) x) b;
END;
COMMENT ON FUNCTION kb_bill_for(bigint, text, text, date, date, date, date, date, date, timestamptz) IS
'What an account owes for days of one month, and the lines of it: the one rating path of charge, preview and '
'forecast (C2, C3, C9, C10)';
