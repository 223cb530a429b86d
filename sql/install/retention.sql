/*
 * Retention: usage events and notices are kept as long as the policy says (U6).
 *
 * Totals, charges and the journal stay.  What has been removed of an account is noted
 * in its row before anything is deleted, so that an event of such a month is refused
 * from then on, and kb_check() knows.
 */

-- A month's events of an account are found without reading its others.
CREATE INDEX usage_event_month ON usage_event (account_id, period);
COMMENT ON INDEX usage_event_month IS 'Finds the events of months that are not kept any more (U6)';

CREATE TABLE kbilling.retention (
	policy            kb_text NOT NULL,
	time_zone         kb_text NOT NULL,
	workers           integer NOT NULL DEFAULT 1,
	share             integer NOT NULL DEFAULT 1,
	usage_kept_from   date,
	notices_kept_from date,
	PRIMARY KEY (policy, time_zone, workers, share)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.retention', '');
COMMENT ON TABLE retention IS
'What the sweep has removed by each policy in each time zone, so that it looks at the accounts again only when there may '
'be more: once a month, or when the policy keeps less (U6)';
COMMENT ON COLUMN retention.policy IS 'The policy';
COMMENT ON COLUMN retention.time_zone IS 'IANA name';
COMMENT ON COLUMN retention.workers IS 'Into how many shares the accounts are divided, as in kbilling.sweep_run';
COMMENT ON COLUMN retention.share IS 'The share whose accounts have been looked at';
COMMENT ON COLUMN retention.usage_kept_from IS 'All events of charged months before it have been removed';
COMMENT ON COLUMN retention.notices_kept_from IS 'All notices that were delivered before it have been removed';

CREATE FUNCTION kbilling_internal.kb_retention(today date)
	RETURNS TABLE (policy text, usage_kept_from date, notices_kept_from date)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT p.policy, (kb_month_first_day($1) - make_interval(months => p.keep_usage_months))::date,
		   (kb_month_first_day($1) - make_interval(months => p.keep_notices_months))::date
	FROM policy p
	WHERE p.keep_usage_months IS NOT NULL OR p.keep_notices_months IS NOT NULL;
END;
COMMENT ON FUNCTION kb_retention(date) IS
'The policies by which something is removed, and the first days of what each keeps on a day (U6)';

CREATE FUNCTION kbilling_internal.kb_retention_is_set() RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (SELECT FROM policy p WHERE p.keep_usage_months IS NOT NULL OR p.keep_notices_months IS NOT NULL);
COMMENT ON FUNCTION kb_retention_is_set() IS 'Whether there is a policy by which something is removed (U6)';

CREATE FUNCTION kbilling_internal.kb_retention_is_due(time_zone text, today date, workers integer, share integer) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (
	SELECT FROM kb_retention($2) k
	LEFT JOIN retention r ON r.policy = k.policy AND r.time_zone = $1 AND r.workers = $3 AND r.share = $4
	WHERE coalesce(r.usage_kept_from < k.usage_kept_from, k.usage_kept_from IS NOT NULL)
	   OR coalesce(r.notices_kept_from < k.notices_kept_from, k.notices_kept_from IS NOT NULL)
);
COMMENT ON FUNCTION kb_retention_is_due(text, date, integer, integer) IS
'Whether a policy keeps less than it did when the sweep last looked at the accounts of the time zone that are in the share';

-- Months that are charged, and of which no late usage waits for its bill.
CREATE FUNCTION kbilling_internal.kb_removable(account_ids bigint[], at timestamptz)
	RETURNS TABLE (account_id bigint, usage_kept_from date, notices_kept_from timestamptz)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT a.account_id, u.kept_from, n.kept_from
	FROM unnest($1) i (account_id)
	JOIN account a ON a.account_id = i.account_id
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date($2, a.time_zone)) p
	JOIN kb_retention(kb_account_date($2, a.time_zone)) k ON k.policy = p.policy
	CROSS JOIN LATERAL (
		SELECT CASE WHEN k.usage_kept_from IS NOT NULL
			THEN least(k.usage_kept_from, kb_month_first_day(a.charged_through + 1),
					   (SELECT min(t.period) FROM usage_total t WHERE t.account_id = a.account_id AND NOT t.settled))
			END AS kept_from) u
	CROSS JOIN LATERAL (SELECT kb_day_begins(k.notices_kept_from, a.time_zone) AS kept_from) n
	WHERE EXISTS (SELECT FROM usage_event e WHERE e.account_id = a.account_id AND e.period < u.kept_from)
	   OR EXISTS (SELECT FROM usage_value v WHERE v.account_id = a.account_id AND v.period < u.kept_from)
	   OR EXISTS (SELECT FROM notice x WHERE x.account_id = a.account_id AND x.delivered_at < n.kept_from);
END;
COMMENT ON FUNCTION kb_removable(bigint[], timestamptz) IS
'Those of the accounts of which something is to be removed, and from when on the rest is kept (U6)';

-- Each statement sees what was committed before it: once an account is noted, no event of a removed month can come.
CREATE FUNCTION kbilling_internal.kb_remove_old(account_ids bigint[], at timestamptz, max_rows bigint) RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH old AS MATERIALIZED (
		SELECT r.account_id, r.usage_kept_from, r.notices_kept_from FROM kb_removable($1, $2) r
	), row_lock AS MATERIALIZED (
		SELECT a.account_id FROM account a WHERE a.account_id IN (SELECT o.account_id FROM old o) ORDER BY a.account_id FOR NO KEY UPDATE
	)
	UPDATE account a
	SET usage_kept_from = greatest(a.usage_kept_from, o.usage_kept_from),
		notices_kept_from = greatest(a.notices_kept_from, o.notices_kept_from)
	FROM old o JOIN row_lock l ON l.account_id = o.account_id
	WHERE a.account_id = o.account_id
		AND (greatest(a.usage_kept_from, o.usage_kept_from), greatest(a.notices_kept_from, o.notices_kept_from))
			IS DISTINCT FROM (a.usage_kept_from, a.notices_kept_from);
	WITH event AS (
		DELETE FROM usage_event d
		WHERE d.ctid = ANY (ARRAY(SELECT e.ctid FROM unnest($1) i (account_id)
								  JOIN account a ON a.account_id = i.account_id
								  JOIN usage_event e ON e.account_id = a.account_id AND e.period < a.usage_kept_from
								  LIMIT $3))
		RETURNING 1
	), value AS (
		DELETE FROM usage_value d
		WHERE d.ctid = ANY (ARRAY(SELECT v.ctid FROM unnest($1) i (account_id)
								  JOIN account a ON a.account_id = i.account_id
								  JOIN usage_value v ON v.account_id = a.account_id AND v.period < a.usage_kept_from
								  LIMIT $3))
		RETURNING 1
	), notice AS (
		DELETE FROM notice d
		WHERE d.ctid = ANY (ARRAY(SELECT n.ctid FROM unnest($1) i (account_id)
								  JOIN account a ON a.account_id = i.account_id
								  JOIN notice n ON n.account_id = a.account_id AND n.delivered_at < a.notices_kept_from
								  LIMIT $3))
		RETURNING d.account_id
	), counted AS (
		UPDATE account a SET notices_removed = coalesce(a.notices_removed, 0) + n.notices
		FROM (SELECT account_id, count(*)::integer AS notices FROM notice GROUP BY account_id) n
		WHERE a.account_id = n.account_id
	)
	SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM value) + (SELECT count(*) FROM notice);
END;
COMMENT ON FUNCTION kb_remove_old(bigint[], timestamptz, bigint) IS
'Removes usage events and notices that the accounts'' policies keep no longer, at most so many of each kind, and returns '
'how many rows it removed (U6). Part of kb_sweep_step';
