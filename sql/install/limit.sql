/*
 * What is left to spend: credit lines, and limits of services (rules L).
 *
 * Each may be agreed for a tariff, and for one account, which then has its own.
 */

CREATE TABLE kbilling.credit_line (
	tariff kb_text PRIMARY KEY REFERENCES tariff,
	amount kb_money NOT NULL CHECK (amount >= 0)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.credit_line', '');
COMMENT ON TABLE credit_line IS
'How far below zero the accounts of a tariff may go by what they use (L1). Accounts of a tariff without a row have no credit '
'line: their usage is not limited by it';
COMMENT ON COLUMN credit_line.tariff IS 'The tariff';
COMMENT ON COLUMN credit_line.amount IS 'The credit line, zero or more: 0.00 lets an account spend what it has paid';

CREATE TABLE kbilling.account_credit_line (
	account_id bigint PRIMARY KEY REFERENCES account,
	amount     kb_money NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.account_credit_line', '');
COMMENT ON TABLE account_credit_line IS 'Credit lines of single accounts, which take the place of their tariff''s (L1)';
COMMENT ON COLUMN account_credit_line.account_id IS 'The account';
COMMENT ON COLUMN account_credit_line.amount IS 'The credit line, zero or more';

CREATE TABLE kbilling.usage_limit (
	tariff   kb_text NOT NULL REFERENCES tariff,
	service  kb_text NOT NULL REFERENCES service,
	quantity numeric NOT NULL CHECK (quantity >= 0 AND quantity < 'infinity'),
	hard     boolean NOT NULL,
	PRIMARY KEY (tariff, service)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.usage_limit', '');
COMMENT ON TABLE usage_limit IS 'How much of a metered service the accounts of a tariff may use in a month (L3)';
COMMENT ON COLUMN usage_limit.tariff IS 'The tariff';
COMMENT ON COLUMN usage_limit.service IS 'The metered service';
COMMENT ON COLUMN usage_limit.quantity IS 'Units in a month, as the service counts them (U2)';
COMMENT ON COLUMN usage_limit.hard IS 'True: what goes beyond is refused (KB013). False: it is taken, and a notice tells of it';

CREATE TABLE kbilling.account_usage_limit (
	account_id bigint NOT NULL REFERENCES account,
	service    kb_text NOT NULL REFERENCES service,
	quantity   numeric NOT NULL,
	hard       boolean NOT NULL,
	PRIMARY KEY (account_id, service)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.account_usage_limit', '');
COMMENT ON TABLE account_usage_limit IS 'Limits of single accounts, which take the place of their tariff''s (L3)';
COMMENT ON COLUMN account_usage_limit.account_id IS 'The account';
COMMENT ON COLUMN account_usage_limit.service IS 'The metered service';
COMMENT ON COLUMN account_usage_limit.quantity IS 'Units in a month, as the service counts them (U2)';
COMMENT ON COLUMN account_usage_limit.hard IS 'True: what goes beyond is refused (KB013). False: it is taken, and a notice tells of it';

CREATE FUNCTION kbilling_internal.kb_require_credit_line(amount kb_money, currency text, of_what text) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN kb_currency(amount) <> currency
			THEN kb_raise('KB002', format('%s is in %s, but the credit line is in %s', of_what, currency, kb_currency(amount)),
						  NULL, format('Give the credit line in %s.', currency))
		WHEN amount < 0
			THEN kb_raise('22023', 'a credit line must not be below zero', format('It is %s.', amount),
						  'It says how far below zero the balance may go: 0 for prepaid, NULL for no credit line.')
		END;
END;
COMMENT ON FUNCTION kb_require_credit_line(kb_money, text, text) IS
'Raises KB002 for a credit line in another currency, 22023 for one below zero; NULL is fine';

CREATE FUNCTION kbilling.kb_set_credit_line(tariff text, amount kb_money) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_tariff(tariff);
	SELECT kb_require_credit_line(amount, t.currency, format('tariff "%s"', t.tariff)) FROM tariff t
	WHERE t.tariff = kb_set_credit_line.tariff;
	-- Two that set terms of one tariff take turns.
	SELECT FROM tariff t WHERE t.tariff = kb_set_credit_line.tariff FOR NO KEY UPDATE;
	INSERT INTO change_log (subject, tariff, before, after)
	SELECT 'credit_line', $1, (SELECT jsonb_build_object('amount', l.amount) FROM credit_line l WHERE l.tariff = $1),
		   CASE WHEN $2 IS NOT NULL THEN jsonb_build_object('amount', $2) END
	WHERE (SELECT kb_minor(l.amount) FROM credit_line l WHERE l.tariff = $1) IS DISTINCT FROM kb_minor($2);
	DELETE FROM credit_line l WHERE l.tariff = $1 AND $2 IS NULL;
	INSERT INTO credit_line AS l (tariff, amount) SELECT $1, $2 WHERE $2 IS NOT NULL
	ON CONFLICT ON CONSTRAINT credit_line_pkey DO UPDATE SET amount = excluded.amount;
END;
COMMENT ON FUNCTION kb_set_credit_line(text, kb_money) IS
'Sets the credit line of a tariff: how far below zero its accounts may go by what they use (L1, L2); NULL: none, so that usage '
'is never refused for it. It holds at once. '
'Errors: KB012 for an unknown tariff, KB002 for another currency, 22023 below zero';

CREATE FUNCTION kbilling.kb_set_account_credit_line(account_id bigint, amount kb_money) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_lock_account($1);
	-- whoever records has begun before, or sees it
	SELECT kb_lock_usage($1);
	SELECT kb_require_credit_line($2, a.currency, format('account %s', a.account_id)) FROM account a WHERE a.account_id = $1;
	INSERT INTO change_log (subject, account_id, before, after)
	SELECT 'credit_line', $1, (SELECT jsonb_build_object('amount', l.amount) FROM account_credit_line l WHERE l.account_id = $1),
		   CASE WHEN $2 IS NOT NULL THEN jsonb_build_object('amount', $2) END
	WHERE (SELECT kb_minor(l.amount) FROM account_credit_line l WHERE l.account_id = $1) IS DISTINCT FROM kb_minor($2);
	DELETE FROM account_credit_line l WHERE l.account_id = $1 AND $2 IS NULL;
	INSERT INTO account_credit_line AS l (account_id, amount) SELECT $1, $2 WHERE $2 IS NOT NULL
	ON CONFLICT ON CONSTRAINT account_credit_line_pkey DO UPDATE SET amount = excluded.amount;
END;
COMMENT ON FUNCTION kb_set_account_credit_line(bigint, kb_money) IS
'Sets an account''s own credit line, in the place of its tariff''s; NULL: that of the tariff again (L1). It holds at once. '
'Errors: KB001, KB010, KB002 for another currency, 22023 below zero';

CREATE FUNCTION kbilling_internal.kb_require_limit(service text, quantity numeric, hard boolean) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT kb_require_service(service);
	SELECT kb_require_not_null('hard', hard) WHERE quantity IS NOT NULL;
	SELECT CASE
		WHEN s.kind <> 'metered'
			THEN kb_raise('22023', format('service "%s" is not metered', s.service), 'A limit is for usage in a month.',
						  'Limit what is switched on by kb_switch_on in your application.')
		WHEN NOT (kb_require_limit.quantity >= 0 AND kb_require_limit.quantity < 'infinity')
			THEN kb_raise('22023', 'a limit must be zero or more, and finite', format('It is %s.', kb_require_limit.quantity),
						  'Give units in a month, or NULL for no limit.')
		END
	FROM service s WHERE s.service = kb_require_limit.service;
END;
COMMENT ON FUNCTION kb_require_limit(text, numeric, boolean) IS
'Raises KB012 for an unknown service, 22023 for one that is not metered and for a limit below zero or not finite';

CREATE FUNCTION kbilling.kb_set_limit(tariff text, service text, quantity numeric, hard boolean = true) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_tariff(tariff);
	SELECT kb_require_limit(service, quantity, hard);
	SELECT FROM tariff t WHERE t.tariff = kb_set_limit.tariff FOR NO KEY UPDATE;
	WITH old AS (
		SELECT jsonb_build_object('quantity', l.quantity, 'hard', l.hard) AS terms FROM usage_limit l
		WHERE l.tariff = $1 AND l.service = $2
	), new AS (
		SELECT CASE WHEN $3 IS NOT NULL THEN jsonb_build_object('quantity', $3, 'hard', $4) END AS terms
	)
	INSERT INTO change_log (subject, tariff, service, before, after)
	SELECT 'limit', $1, $2, old.terms, new.terms FROM new LEFT JOIN old ON true WHERE old.terms IS DISTINCT FROM new.terms;
	DELETE FROM usage_limit l WHERE l.tariff = $1 AND l.service = $2 AND $3 IS NULL;
	INSERT INTO usage_limit (tariff, service, quantity, hard) SELECT $1, $2, $3, $4 WHERE $3 IS NOT NULL
	ON CONFLICT ON CONSTRAINT usage_limit_pkey DO UPDATE SET quantity = excluded.quantity, hard = excluded.hard;
END;
COMMENT ON FUNCTION kb_set_limit(text, text, numeric, boolean) IS
'Sets how much of a metered service the accounts of a tariff may use in a month (L3); NULL: as much as they like. Beyond a '
'"hard" limit usage is refused (KB013), beyond another one a notice is written. It holds at once. '
'Errors: KB012 for an unknown tariff or service; 22023 for a service that is not metered, a limit below zero or not finite';

CREATE FUNCTION kbilling.kb_set_account_limit(account_id bigint, service text, quantity numeric, hard boolean = true) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_limit(service, quantity, hard);
	SELECT kb_lock_account(account_id);
	SELECT kb_lock_usage(account_id);
	WITH old AS (
		SELECT jsonb_build_object('quantity', l.quantity, 'hard', l.hard) AS terms FROM account_usage_limit l
		WHERE l.account_id = $1 AND l.service = $2
	), new AS (
		SELECT CASE WHEN $3 IS NOT NULL THEN jsonb_build_object('quantity', $3, 'hard', $4) END AS terms
	)
	INSERT INTO change_log (subject, account_id, service, before, after)
	SELECT 'limit', $1, $2, old.terms, new.terms FROM new LEFT JOIN old ON true WHERE old.terms IS DISTINCT FROM new.terms;
	DELETE FROM account_usage_limit l WHERE l.account_id = $1 AND l.service = $2 AND $3 IS NULL;
	INSERT INTO account_usage_limit (account_id, service, quantity, hard) SELECT $1, $2, $3, $4 WHERE $3 IS NOT NULL
	ON CONFLICT ON CONSTRAINT account_usage_limit_pkey DO UPDATE SET quantity = excluded.quantity, hard = excluded.hard;
END;
COMMENT ON FUNCTION kb_set_account_limit(bigint, text, numeric, boolean) IS
'Sets an account''s own limit of a metered service, in the place of its tariff''s; NULL: that of the tariff again (L3). It holds '
'at once. '
'Errors: KB001, KB010; KB012 for an unknown service; 22023 for a service that is not metered, a limit below zero or not finite';

-- The months that are not charged yet, up to today, are billed one by one, as a charge would bill them.
CREATE FUNCTION kbilling_internal.kb_uncharged(account_id bigint, at timestamptz) RETURNS TABLE (total kb_money)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT (
		SELECT coalesce(sum(b.total), a.balance - a.balance)
		-- an array, as the planner takes a series for a thousand months, and would compile the statement
		FROM unnest(ARRAY(SELECT g FROM generate_series(d.oldest::timestamp, u.until::timestamp, interval '1 month') g)) m (month)
		CROSS JOIN LATERAL kb_bill_for(a.account_id, a.currency, a.tariff, a.tariff_from,
			greatest(m.month::date, a.charged_through + 1),
			greatest(least(kb_month_last_day(m.month::date), u.billed_until), m.month::date, a.charged_through + 1),
			CASE WHEN m.month::date = d.oldest THEN '-infinity' ELSE m.month::date END, NULL, a.ends_on,
			CASE WHEN m.month::date = kb_month_first_day(d.today) AND (a.ends_on < d.today) IS NOT TRUE THEN $2 END) b
		WHERE a.charged_through < u.until)
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date($2, a.time_zone) AS today,
							   kb_month_first_day(a.charged_through + 1) AS oldest OFFSET 0) d
	CROSS JOIN LATERAL (
		-- usage may be of the next month already, an hour ahead (U4)
		SELECT b.billed_until, greatest(b.billed_until, CASE WHEN (a.ends_on < d.today) IS NOT TRUE THEN
					(SELECT max(o.period) FROM usage_total o WHERE o.account_id = a.account_id AND NOT o.settled) END) AS until
		FROM (SELECT kb_billed_until(d.today, a.charged_through, a.ends_on) AS billed_until) b OFFSET 0) u
	WHERE a.account_id = $1 AND a.state IN ('active', 'closing');
END;
COMMENT ON FUNCTION kb_uncharged(bigint, timestamptz) IS
'What an account owes for its months up to today that are not charged yet: the running month so far (C6), with what is held, and '
'whatever is due';

CREATE FUNCTION kbilling_internal.kb_credit_line_of(account_id bigint, tariff text, tariff_from date, today date)
	RETURNS TABLE (amount kb_money)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT coalesce((SELECT o.amount FROM account_credit_line o WHERE o.account_id = $1),
					(SELECT l.amount FROM kb_tariff_on($1, $2, $3, $4) x JOIN credit_line l ON l.tariff = x.tariff));
END;
COMMENT ON FUNCTION kb_credit_line_of(bigint, text, date, date) IS
'The credit line that holds for an account on a day: its own, else that of its tariff; NULL if there is none (L1)';

CREATE FUNCTION kbilling_internal.kb_limits_of(account_id bigint, tariff text, tariff_from date, today date)
	RETURNS TABLE (service text, quantity numeric, hard boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.service, o.quantity, o.hard FROM account_usage_limit o WHERE o.account_id = $1
	UNION ALL
	SELECT l.service, l.quantity, l.hard FROM kb_tariff_on($1, $2, $3, $4) x JOIN usage_limit l ON l.tariff = x.tariff
	WHERE NOT EXISTS (SELECT FROM account_usage_limit o WHERE o.account_id = $1 AND o.service = l.service);
END;
COMMENT ON FUNCTION kb_limits_of(bigint, text, date, date) IS
'The limits of services that hold for an account on a day: its own, and those of its tariff for the other services (L3)';

CREATE FUNCTION kbilling_internal.kb_spent(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, service text, period date, hard boolean, most numeric, used numeric)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH account_today AS MATERIALIZED (
		SELECT a.*, kb_account_date($2, a.time_zone) AS today FROM account a WHERE a.account_id = ANY ($1)
	)
	SELECT a.account_id, NULL, NULL::date, true, kb_minor(l.amount)::numeric,
		   -- what is kept for the charge pays for nothing else (G3)
		   greatest(kb_minor(u.total), kb_minor(kb_kept(a.lots, a.today, a.balance - a.balance)))::numeric - kb_minor(a.balance)
	FROM account_today a
	CROSS JOIN LATERAL kb_credit_line_of(a.account_id, a.tariff, a.tariff_from, a.today) l
	CROSS JOIN LATERAL kb_uncharged(a.account_id, $2) u
	WHERE l.amount IS NOT NULL
	UNION ALL
	SELECT a.account_id, l.service, u.period, l.hard, l.quantity, u.quantity
	FROM account_today a
	CROSS JOIN LATERAL kb_limits_of(a.account_id, a.tariff, a.tariff_from, a.today) l
	JOIN service s ON s.service = l.service
	CROSS JOIN LATERAL (
		SELECT t.period, CASE WHEN s.aggregation IN ('max', 'last') THEN max(t.quantity)
				WHEN s.aggregation = 'unique' THEN (SELECT count(DISTINCT v.value) FROM usage_value v
					WHERE v.account_id = a.account_id AND v.period = t.period AND v.service = l.service AND v.events > 0)
				ELSE sum(t.quantity) END AS quantity
		FROM (SELECT o.period, o.price_id, CASE WHEN s.aggregation IN ('max', 'last')
						 THEN kb_usage_level(a.account_id, o.period, l.service, o.price_id, s.aggregation)
						 ELSE sum(o.quantity) END AS quantity
			  FROM usage_total o
			  WHERE o.account_id = a.account_id AND o.service = l.service
				AND o.period >= kb_month_first_day(a.charged_through + 1)
			  GROUP BY o.period, o.price_id
			  UNION ALL
			  SELECT kb_month_first_day(a.today), h.price_id, h.quantity
			  FROM kb_held(a.account_id, a.tariff, a.tariff_from, a.today, $2) h WHERE h.service = l.service) t
		GROUP BY t.period) u;
END;
COMMENT ON FUNCTION kb_spent(bigint[], timestamptz) IS
'What accounts have used of what they may: a row for each credit line, in minor units, where "used" is what has been charged and '
'used beyond what was paid (L2); and a row for each limit of a service and month that is not charged, in units (L3)';

CREATE FUNCTION kbilling.kb_available(account_id bigint) RETURNS kb_money
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_available';
COMMENT ON FUNCTION kb_available(bigint) IS
'What is left to spend: the balance, less the running month so far, what is held and what is due, and the credit line, if there '
'is one (L1). '
'Below zero, nothing is left. '
'Errors: KB001';
