/*
 * The tariff, and with it the policy, that an account has on a day.
 */

CREATE TABLE kbilling.tariff_history (
	account_id bigint NOT NULL REFERENCES account,
	from_date  date NOT NULL,
	to_date    date NOT NULL,
	tariff     kb_text NOT NULL REFERENCES tariff,
	PRIMARY KEY (account_id, from_date),
	CHECK (from_date < to_date)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.tariff_history', '');
COMMENT ON TABLE tariff_history IS 'Tariffs that an account had before the one in its row; written by kb_set_tariff';
COMMENT ON COLUMN tariff_history.account_id IS 'The account';
COMMENT ON COLUMN tariff_history.from_date IS 'First day of the tariff';
COMMENT ON COLUMN tariff_history.to_date IS 'The day after its last day';
COMMENT ON COLUMN tariff_history.tariff IS 'The tariff';

CREATE VIEW kbilling_internal.account_tariff WITH (security_invoker) AS
	SELECT account_id, tariff_from AS from_date, 'infinity'::date AS to_date, tariff
	FROM account
	UNION ALL
	SELECT account_id, from_date, to_date, tariff
	FROM tariff_history;
COMMENT ON VIEW account_tariff IS 'Every account''s tariffs by date';
COMMENT ON COLUMN account_tariff.account_id IS 'The account';
COMMENT ON COLUMN account_tariff.from_date IS 'First day of the tariff';
COMMENT ON COLUMN account_tariff.to_date IS 'The day after its last day';
COMMENT ON COLUMN account_tariff.tariff IS 'The tariff';

-- These take what they need of the account's row, so as not to read that again.
CREATE FUNCTION kbilling_internal.kb_tariff_on(account_id bigint, tariff text, tariff_from date, day date) RETURNS TABLE (tariff text)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT CASE WHEN $3 <= $4 THEN $2
		ELSE coalesce((SELECT h.tariff FROM tariff_history h
					   WHERE h.account_id = $1 AND h.from_date <= $4 AND h.to_date > $4), $2) END;
END;
COMMENT ON FUNCTION kb_tariff_on(bigint, text, date, date) IS
'The tariff that an account has on a day; the second and third argument are the columns of its row. Before the '
'account''s first day it is that row''s tariff';

CREATE FUNCTION kbilling_internal.kb_policy_on(account_id bigint, tariff text, tariff_from date, day date)
	RETURNS TABLE (remind_day integer, restrict_day integer, block_day integer, debt_counts_from kb_debt_date,
				   min_age_days integer, inactive_days integer, notice_days integer, reminder_days integer[], restore_days integer,
				   policy text, language text, activity kb_activity, close_unused boolean)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT p.remind_day, p.restrict_day, p.block_day, p.debt_counts_from,
		   p.min_age_days, p.inactive_days, p.notice_days, p.reminder_days, p.restore_days, p.policy, p.language,
		   p.activity, p.close_unused
	FROM kb_tariff_on($1, $2, $3, $4) x
	JOIN tariff t ON t.tariff = x.tariff
	JOIN policy p ON p.policy = t.policy;
END;
COMMENT ON FUNCTION kb_policy_on(bigint, text, date, date) IS
'The policy that holds for an account on a day: that of the tariff which kb_tariff_on finds';

CREATE FUNCTION kbilling_internal.kb_planned_stage(account_id bigint, debt_since date, deferred_until date, today date, stage kb_stage)
	RETURNS TABLE (next_on date, next_stage kb_stage)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT c.next_on, kb_stage($2, $3, c.next_on, p.remind_day, p.restrict_day, p.block_day)
	FROM account_tariff x
	JOIN tariff t ON t.tariff = x.tariff
	JOIN policy p ON p.policy = t.policy
	CROSS JOIN LATERAL (SELECT kb_stage_changes_on($5, $4, x.from_date, x.to_date, $2, $3,
												   p.remind_day, p.restrict_day, p.block_day) AS next_on) c
	WHERE x.account_id = $1 AND x.to_date > $4 AND c.next_on > $4
	ORDER BY c.next_on LIMIT 1;
END;
COMMENT ON FUNCTION kb_planned_stage(bigint, date, date, date, kb_stage) IS
'The stage of a debt that comes after the one of today, and its day, by the policy of the tariff that the account has on '
'each day; no row if it stays';
