/*
 * Alerts: what payers are told before it is too late (L6).
 *
 * The sweep finds what has passed a threshold.  It looks again at an account only if something was posted or used since, or
 * another day has begun.
 */

CREATE TYPE kbilling.kb_alert_kind AS ENUM ('balance', 'days', 'units', 'month');
COMMENT ON TYPE kb_alert_kind IS
'What an alert is about: the balance has fallen to an amount, or lasts so many days; so many units of a service, or so much '
'money, have been used in the running month';

CREATE TABLE kbilling.alert (
	tariff    kb_text NOT NULL REFERENCES tariff,
	kind      kb_alert_kind NOT NULL,
	service   kb_text NOT NULL DEFAULT '',
	threshold numeric NOT NULL CHECK (threshold > '-infinity' AND threshold < 'infinity'),
	PRIMARY KEY (tariff, kind, service, threshold),
	CHECK ((kind = 'units') = (service <> ''))
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.alert', '');
COMMENT ON TABLE alert IS 'Alerts for the accounts of a tariff (L6)';
COMMENT ON COLUMN alert.tariff IS 'The tariff';
COMMENT ON COLUMN alert.kind IS '"balance", "days", "units" or "month"';
COMMENT ON COLUMN alert.service IS 'The metered service whose units it is about; empty for other kinds';
COMMENT ON COLUMN alert.threshold IS
'For "balance" and "days" it is passed at this value or below, for "units" and "month" at this one or above. In the currency''s '
'major units, days, or units of the service';

CREATE TABLE kbilling.account_alert (
	account_id bigint NOT NULL REFERENCES account,
	kind       kb_alert_kind NOT NULL,
	service    kb_text NOT NULL DEFAULT '',
	threshold  numeric NOT NULL,
	PRIMARY KEY (account_id, kind, service, threshold)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.account_alert', '');
COMMENT ON TABLE account_alert IS
'Alerts of single accounts; those of a kind and service take the place of their tariff''s (L6)';
COMMENT ON COLUMN account_alert.account_id IS 'The account';
COMMENT ON COLUMN account_alert.kind IS 'As in kbilling.alert';
COMMENT ON COLUMN account_alert.service IS 'As in kbilling.alert';
COMMENT ON COLUMN account_alert.threshold IS 'As in kbilling.alert';

CREATE TABLE kbilling.alert_told (
	account_id bigint NOT NULL REFERENCES account,
	topup_seq  bigint NOT NULL,
	period     date NOT NULL,
	kind       kb_alert_kind NOT NULL,
	service    kb_text NOT NULL,
	threshold  numeric NOT NULL,
	PRIMARY KEY (account_id, kind, service)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.alert_told', '');
COMMENT ON TABLE alert_told IS 'The furthest threshold that was told last, of each kind and service';
COMMENT ON COLUMN alert_told.account_id IS 'The account';
COMMENT ON COLUMN alert_told.topup_seq IS 'The newest top-up then; 0: none. Another one arms the alerts again';
COMMENT ON COLUMN alert_told.period IS 'The month, by its first day; another one arms them again';
COMMENT ON COLUMN alert_told.kind IS 'As in kbilling.alert';
COMMENT ON COLUMN alert_told.service IS 'As in kbilling.alert';
COMMENT ON COLUMN alert_told.threshold IS 'As in kbilling.alert';

CREATE TABLE kbilling.alert_look (
	account_id bigint PRIMARY KEY REFERENCES account,
	looked_at  timestamptz NOT NULL,
	last_seq   bigint NOT NULL,
	events     bigint NOT NULL,
	quantity   numeric NOT NULL,
	looked_on  date NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.alert_look', '');
COMMENT ON TABLE alert_look IS 'When the sweep has looked for alerts of an account; it looks again when something has changed';
COMMENT ON COLUMN alert_look.account_id IS 'The account';
COMMENT ON COLUMN alert_look.looked_at IS 'When it looked';
COMMENT ON COLUMN alert_look.last_seq IS 'The last entry then';
COMMENT ON COLUMN alert_look.events IS
'How many events were not billed then: not a time, as what was recorded before may be committed later';
COMMENT ON COLUMN alert_look.quantity IS 'The sum of their quantities, of whatever services';
COMMENT ON COLUMN alert_look.looked_on IS 'The local date then';

CREATE FUNCTION kbilling_internal.kb_require_alert(kind kb_alert_kind, threshold numeric, service text, currency text) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT kb_require_not_null('kind, threshold', kind, threshold);
	SELECT kb_require_service(service) WHERE service IS NOT NULL;
	SELECT CASE
		WHEN (kind = 'units') <> (service IS NOT NULL)
			THEN kb_raise('22023', CASE WHEN service IS NULL THEN 'an alert on units needs a service'
									   ELSE format('an alert on %s is about no service', kind) END, NULL,
						  'Name the service for "units", and for no other kind.')
		WHEN NOT (threshold > '-infinity' AND threshold < 'infinity') OR kind <> 'balance' AND threshold < 0
			THEN kb_raise('22023', format('a threshold of %s makes no sense', threshold), NULL,
						  'Give a finite number, which only for a balance may be below zero.')
		END;
	SELECT CASE WHEN s.kind <> 'metered'
			THEN kb_raise('22023', format('service "%s" is not metered', s.service), 'Its units are not counted.',
						  'Name a metered service.') END
	FROM service s WHERE s.service = $3;
	-- an amount that the currency has
	SELECT kb_money($2, $4) WHERE $1 IN ('balance', 'month');
END;
COMMENT ON FUNCTION kb_require_alert(kb_alert_kind, numeric, text, text) IS
'Raises 22023 for an alert that makes no sense, KB012 for an unknown service';

CREATE FUNCTION kbilling.kb_set_alert(tariff text, kind kb_alert_kind, threshold numeric, service text = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_tariff(tariff);
	SELECT kb_require_alert($2, $3, $4, t.currency) FROM tariff t WHERE t.tariff = $1;
	WITH new AS (
		INSERT INTO alert (tariff, kind, threshold, service) VALUES ($1, $2, $3, coalesce($4, ''))
		ON CONFLICT ON CONSTRAINT alert_pkey DO NOTHING
		RETURNING to_jsonb(alert) - '{tariff,service}'::text[] AS terms
	)
	INSERT INTO change_log (subject, tariff, service, after) SELECT 'alert', $1, $4, new.terms FROM new;
END;
COMMENT ON FUNCTION kb_set_alert(text, kb_alert_kind, numeric, text) IS
'Has the owners and admins of a tariff''s accounts told when a threshold is passed (L6): "balance" has fallen to an amount; the '
'balance lasts so many "days", by the forecast; so many "units" of a metered service, or so much money of the "month" so far. Each is '
'told once a month, and again after a top-up; of several that are passed at once, the furthest. '
'Errors: KB012 for an unknown tariff or service; 22023 for a threshold or service that makes no sense';

CREATE FUNCTION kbilling.kb_drop_alert(tariff text, kind kb_alert_kind, threshold numeric, service text = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_tariff(tariff);
	WITH old AS (
		DELETE FROM alert l WHERE l.tariff = $1 AND l.kind = $2 AND l.threshold = $3 AND l.service = coalesce($4, '')
		RETURNING to_jsonb(l) - '{tariff,service}'::text[] AS terms
	)
	INSERT INTO change_log (subject, tariff, service, before) SELECT 'alert', $1, $4, old.terms FROM old;
END;
COMMENT ON FUNCTION kb_drop_alert(text, kb_alert_kind, numeric, text) IS
'Takes back an alert of a tariff, if there is one. Errors: KB012 for an unknown tariff';

CREATE FUNCTION kbilling.kb_set_account_alert(account_id bigint, kind kb_alert_kind, threshold numeric, service text = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_lock_account(account_id);
	SELECT kb_require_alert($2, $3, $4, a.currency) FROM account a WHERE a.account_id = $1;
	WITH new AS (
		INSERT INTO account_alert (account_id, kind, threshold, service) VALUES ($1, $2, $3, coalesce($4, ''))
		ON CONFLICT ON CONSTRAINT account_alert_pkey DO NOTHING
		RETURNING to_jsonb(account_alert) - '{account_id,service}'::text[] AS terms
	)
	INSERT INTO change_log (subject, account_id, service, after) SELECT 'alert', $1, $4, new.terms FROM new;
	DELETE FROM alert_look l WHERE l.account_id = $1;
END;
COMMENT ON FUNCTION kb_set_account_alert(bigint, kb_alert_kind, numeric, text) IS
'The same for one account (L6). Its alerts of a kind and service take the place of its tariff''s. '
'Errors: KB001, KB010; KB012 for an unknown service; 22023 for a threshold or service that makes no sense';

CREATE FUNCTION kbilling.kb_drop_account_alert(account_id bigint, kind kb_alert_kind, threshold numeric, service text = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_lock_account(account_id);
	WITH old AS (
		DELETE FROM account_alert l WHERE l.account_id = $1 AND l.kind = $2 AND l.threshold = $3 AND l.service = coalesce($4, '')
		RETURNING to_jsonb(l) - '{account_id,service}'::text[] AS terms
	)
	INSERT INTO change_log (subject, account_id, service, before) SELECT 'alert', $1, $4, old.terms FROM old;
END;
COMMENT ON FUNCTION kb_drop_account_alert(bigint, kb_alert_kind, numeric, text) IS
'Takes back an alert of an account, if there is one. Errors: KB001, KB010';

CREATE FUNCTION kbilling_internal.kb_alerts_of(account_id bigint, tariff text, tariff_from date, today date)
	RETURNS TABLE (kind kb_alert_kind, service text, threshold numeric)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT o.kind, o.service, o.threshold FROM account_alert o WHERE o.account_id = $1
	UNION ALL
	SELECT l.kind, l.service, l.threshold FROM kb_tariff_on($1, $2, $3, $4) x JOIN alert l ON l.tariff = x.tariff
	WHERE NOT EXISTS (SELECT FROM account_alert o WHERE o.account_id = $1 AND o.kind = l.kind AND o.service = l.service);
END;
COMMENT ON FUNCTION kb_alerts_of(bigint, text, date, date) IS
'The alerts that hold for an account on a day: its own, and those of its tariff for other kinds and services (L6)';

CREATE FUNCTION kbilling_internal.kb_alerts_are_set() RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (SELECT FROM alert) OR EXISTS (SELECT FROM account_alert)
	OR EXISTS (SELECT FROM policy p WHERE p.charge_notice_days IS NOT NULL);
COMMENT ON FUNCTION kb_alerts_are_set() IS 'Whether there is any alert, or a policy that tells of charges to come';

CREATE FUNCTION kbilling_internal.kb_unsettled(account_id bigint) RETURNS TABLE (events bigint, quantity numeric)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT coalesce(sum(t.events), 0)::bigint, coalesce(sum(t.quantity), 0) FROM usage_total t
	WHERE t.account_id = $1 AND NOT t.settled;
END;
COMMENT ON FUNCTION kb_unsettled(bigint) IS
'What an account has used and was not billed for yet, counted up: it tells whether there is more by now';

CREATE FUNCTION kbilling_internal.kb_alerts_are_due(account_id bigint, tariff text, tariff_from date, last_seq bigint, today date)
	RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN NOT EXISTS (SELECT FROM alert_look l CROSS JOIN kb_unsettled($1) u
				   WHERE l.account_id = $1 AND l.looked_on = $5 AND l.last_seq = $4 AND l.events = u.events AND l.quantity = u.quantity)
	AND (EXISTS (SELECT FROM kb_alerts_of($1, $2, $3, $5))
		 OR EXISTS (SELECT FROM kb_policy_on($1, $2, $3, $5) p JOIN policy q ON q.policy = p.policy
					WHERE $5 > kb_month_last_day($5) - q.charge_notice_days));
COMMENT ON FUNCTION kb_alerts_are_due(bigint, text, date, bigint, date) IS
'Whether the sweep has to look for alerts of an account, of which the arguments are columns, on its local date';

-- What an alert is about, as a number; NULL if the balance lasts for a year.
CREATE FUNCTION kbilling_internal.kb_alert_value(account_id bigint, kind kb_alert_kind, service text, today date, balance kb_money)
	RETURNS numeric
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE $2
	WHEN 'balance' THEN kb_amount($5)
	WHEN 'month' THEN coalesce((SELECT kb_amount(b.total) FROM running_bill b WHERE b.account_id = $1), 0)
	WHEN 'days' THEN (SELECT min(greatest(t.from_day, $4)) - $4 FROM kb_timeline($1, $4 + 366, true) t WHERE kb_minor(t.balance) < 0)
	ELSE (SELECT CASE WHEN s.aggregation IN ('max', 'last') THEN max(x.quantity) ELSE sum(x.quantity) END
		  FROM service s
		  CROSS JOIN LATERAL (
			SELECT CASE WHEN s.aggregation IN ('max', 'last') THEN kb_usage_level($1, o.period, o.service, o.price_id, s.aggregation)
						ELSE sum(o.quantity) END AS quantity
			FROM usage_total o
			WHERE o.account_id = $1 AND o.service = $3 AND o.period = kb_month_first_day($4)
			GROUP BY o.period, o.service, o.price_id) x
		  WHERE s.service = $3
		  GROUP BY s.aggregation) END;
COMMENT ON FUNCTION kb_alert_value(bigint, kb_alert_kind, text, date, kb_money) IS
'The value that is compared with the thresholds of a kind and service, on the account''s local date';

CREATE FUNCTION kbilling_internal.kb_passed_alerts(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, kind kb_alert_kind, service text, threshold numeric, period date, topup_seq bigint,
				   currency text, value numeric)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH watched AS MATERIALIZED (	-- until their contract is over (X2)
		SELECT a.account_id, a.balance, a.currency, a.today, w.kind, w.service, w.thresholds,
			   coalesce((SELECT e.seq FROM entry e WHERE e.account_id = a.account_id AND e.kind = 'topup'
						 ORDER BY e.seq DESC LIMIT 1), 0) AS topup_seq
		FROM (SELECT x.*, kb_account_date($2, x.time_zone) AS today FROM account x
			  WHERE x.account_id = ANY ($1) AND x.state IN ('active', 'closing')
				AND (x.ends_on < kb_account_date($2, x.time_zone)) IS NOT TRUE OFFSET 0) a
		CROSS JOIN LATERAL (
			SELECT l.kind, l.service, array_agg(l.threshold) AS thresholds
			FROM kb_alerts_of(a.account_id, a.tariff, a.tariff_from, a.today) l GROUP BY l.kind, l.service) w
	), measured AS MATERIALIZED (
		SELECT w.*, kb_alert_value(w.account_id, w.kind, w.service, w.today, w.balance) AS value FROM watched w
	)
	SELECT m.account_id, m.kind, m.service, f.threshold, kb_month_first_day(m.today), m.topup_seq, m.currency, m.value
	FROM measured m
	CROSS JOIN LATERAL (SELECT CASE WHEN m.kind IN ('balance', 'days') THEN -1 ELSE 1 END AS sign) d
	-- the furthest that is passed
	CROSS JOIN LATERAL (SELECT d.sign * max(d.sign * t) AS threshold FROM unnest(m.thresholds) t WHERE d.sign * t <= d.sign * m.value) f
	LEFT JOIN alert_told o ON o.account_id = m.account_id AND o.kind = m.kind AND o.service = m.service
		AND o.period = kb_month_first_day(m.today) AND o.topup_seq = m.topup_seq
	WHERE f.threshold IS NOT NULL AND (o.threshold IS NULL OR d.sign * f.threshold > d.sign * o.threshold);
END;
COMMENT ON FUNCTION kb_passed_alerts(bigint[], timestamptz) IS
'The alerts that accounts have passed and that were not told yet: of each kind and service the furthest (L6)';

CREATE FUNCTION kbilling_internal.kb_uncovered_charges(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, period date, charged_on date, total kb_money, balance kb_money)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.account_id, c.period, c.effective_on, c.total, b.balance
	FROM (SELECT x.*, kb_account_date($2, x.time_zone) AS today FROM account x
		  WHERE x.account_id = ANY ($1) AND x.state IN ('active', 'closing') OFFSET 0) a
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, a.today) p
	JOIN policy q ON q.policy = p.policy AND a.today > kb_month_last_day(a.today) - q.charge_notice_days
	CROSS JOIN LATERAL kb_charges_ahead(a.account_id, kb_month_last_day(a.today) + 1, true) c
	-- less the credit that will have expired by then (G3)
	CROSS JOIN LATERAL (SELECT CASE WHEN a.lots IS NULL THEN a.balance
									ELSE (SELECT t.balance + t.charge FROM kb_timeline(a.account_id, kb_month_last_day(a.today) + 1, true) t
										  WHERE t.period = c.period) END AS balance OFFSET 0) b
	WHERE c.period = kb_month_first_day(a.today) AND kb_minor(c.total) > greatest(kb_minor(b.balance), 0)
		AND NOT EXISTS (SELECT FROM notice n WHERE n.account_id = a.account_id AND n.kind = 'charge_upcoming'
						AND n.occasion = to_char(c.period, 'YYYY-MM'));
END;
COMMENT ON FUNCTION kb_uncovered_charges(bigint[], timestamptz) IS
'The charges of the running month that the balance will not cover, in the days before the month''s end that the policy names, of '
'accounts that were not told yet (L6)';

CREATE FUNCTION kbilling_internal.kb_notify_alerts(account_ids bigint[], at timestamptz) RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH passed AS MATERIALIZED (
		SELECT x.* FROM kb_passed_alerts($1, $2) x
	), news AS MATERIALIZED (
		SELECT x.account_id, x.kind, x.occasion, x.facts, row_number() OVER (PARTITION BY x.account_id ORDER BY x.kind, x.occasion) AS n
		FROM (SELECT p.account_id, 'alert'::kb_notice_kind AS kind,
					 concat_ws(' ', p.kind, nullif(p.service, ''), p.threshold, 'in', to_char(p.period, 'YYYY-MM'), 'after',
							   p.topup_seq) AS occasion,
					 jsonb_build_object('alert', p.kind, 'service', p.service, 'month', to_char(p.period, 'YYYY-MM'),
						'amount', CASE WHEN p.kind IN ('balance', 'month') THEN kb_money(p.value, p.currency)::text ELSE '' END,
						'threshold_amount', CASE WHEN p.kind IN ('balance', 'month') THEN kb_money(p.threshold, p.currency)::text
							ELSE '' END,
						'number', CASE WHEN p.kind IN ('days', 'units') THEN p.value ELSE 0 END,
						'threshold', CASE WHEN p.kind IN ('days', 'units') THEN p.threshold ELSE 0 END) AS facts
			  FROM passed p
			  UNION ALL
			  SELECT u.account_id, 'charge_upcoming', to_char(u.period, 'YYYY-MM'),
					 jsonb_build_object('month', to_char(u.period, 'YYYY-MM'), 'charged_on', u.charged_on, 'amount', u.total,
										'balance', u.balance, 'missing', u.total - u.balance)
			  FROM kb_uncovered_charges($1, $2) u) x
	), told AS (
		INSERT INTO alert_told AS o (account_id, kind, service, threshold, period, topup_seq)
		SELECT p.account_id, p.kind, p.service, p.threshold, p.period, p.topup_seq FROM passed p
		ON CONFLICT ON CONSTRAINT alert_told_pkey DO UPDATE
			SET threshold = excluded.threshold, period = excluded.period, topup_seq = excluded.topup_seq
	), looked AS (
		INSERT INTO alert_look AS l (account_id, looked_at, looked_on, last_seq, events, quantity)
		SELECT a.account_id, $2, kb_account_date($2, a.time_zone), a.last_seq, u.events, u.quantity
		FROM account a CROSS JOIN LATERAL kb_unsettled(a.account_id) u WHERE a.account_id = ANY ($1)
		ON CONFLICT ON CONSTRAINT alert_look_pkey DO UPDATE
			SET looked_at = excluded.looked_at, looked_on = excluded.looked_on, last_seq = excluded.last_seq,
				events = excluded.events, quantity = excluded.quantity
	), numbered AS (
		UPDATE account a SET last_notice_no = a.last_notice_no + c.notices
		FROM (SELECT x.account_id, count(*) AS notices FROM news x GROUP BY x.account_id) c
		WHERE a.account_id = c.account_id
		RETURNING a.account_id, a.last_notice_no - c.notices AS before
	), written AS (
		INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, facts)
		SELECT x.account_id, b.before + x.n, $2, $2, x.kind, x.occasion, x.facts FROM news x JOIN numbered b ON b.account_id = x.account_id
		RETURNING notice_no
	)
	SELECT kb_wake(count(*)) FROM written;
END;
COMMENT ON FUNCTION kb_notify_alerts(bigint[], timestamptz) IS
'Writes the notices of alerts and of charges to come that accounts have not got yet, and returns how many (L6). They are locked';
