/*
 * Policies: the numbers of the rules.
 *
 * Built-in rows are not dumped, as CREATE EXTENSION makes them again on
 * restore; so they cannot be changed either.
 */

CREATE FUNCTION kbilling_internal.kb_refuse_change() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_refuse_change';
COMMENT ON FUNCTION kb_refuse_change() IS
'Trigger function for built-in rows: raises 55000, with the trigger''s argument as the hint';

CREATE TYPE kbilling.kb_activity AS ENUM ('any', 'logins');
COMMENT ON TYPE kb_activity IS 'What shows that an account is used (D1)';

CREATE TABLE kbilling.policy (
	policy           kb_text PRIMARY KEY CHECK (policy <> ''),
	remind_day       integer NOT NULL DEFAULT kb_standard_day('remind'),
	restrict_day     integer NOT NULL DEFAULT kb_standard_day('restrict'),
	block_day        integer NOT NULL DEFAULT kb_standard_day('blocked'),
	min_age_days     integer NOT NULL DEFAULT 40 CHECK (min_age_days BETWEEN 0 AND 36500),
	inactive_days    integer NOT NULL DEFAULT 30 CHECK (inactive_days BETWEEN 0 AND 36500),
	notice_days      integer NOT NULL DEFAULT 10 CHECK (notice_days BETWEEN 1 AND 36500),
	reminder_days    integer[] NOT NULL DEFAULT '{3,1}' CHECK (coalesce(0 < ALL (reminder_days), false)),
	restore_days     integer NOT NULL DEFAULT 20 CHECK (restore_days BETWEEN 1 AND 36500),
	language         kb_text NOT NULL DEFAULT 'en' CHECK (kb_is_language(language)),
	debt_counts_from kb_debt_date NOT NULL DEFAULT 'due_date',
	metadata         kb_json NOT NULL DEFAULT '{}',
	payment_hours    integer NOT NULL DEFAULT 24 CHECK (payment_hours >= 1),
	activity         kb_activity NOT NULL DEFAULT 'any',
	close_unused     boolean NOT NULL DEFAULT true,
	keep_usage_months   integer CHECK (keep_usage_months BETWEEN 1 AND 1200),
	keep_notices_months integer CHECK (keep_notices_months BETWEEN 1 AND 1200),
	charge_notice_days integer CHECK (charge_notice_days BETWEEN 1 AND 28),
	credit_notice_days integer DEFAULT 7 CHECK (credit_notice_days BETWEEN 1 AND 366),
	CHECK (1 <= remind_day AND remind_day <= restrict_day AND restrict_day <= block_day)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.policy', $$WHERE policy <> 'standard'$$);
COMMENT ON TABLE policy IS
'The numbers of the rules. "standard" is built in; a service that wants other numbers adds a row of its own';
COMMENT ON COLUMN policy.policy IS 'Name, by which a tariff refers to it';
COMMENT ON COLUMN policy.remind_day IS 'Day of a debt on which stage remind begins (S2)';
COMMENT ON COLUMN policy.restrict_day IS 'Day of a debt on which stage restrict begins (S2)';
COMMENT ON COLUMN policy.block_day IS 'Day of a debt on which stage blocked begins (S2)';
COMMENT ON COLUMN policy.min_age_days IS 'An account may be closed when it was created more than so many days ago (D1)';
COMMENT ON COLUMN policy.inactive_days IS 'An account may be closed when it has not been used for so many days (D1)';
COMMENT ON COLUMN policy.notice_days IS 'Days from the notice of a closure to the deletion (D2)';
COMMENT ON COLUMN policy.reminder_days IS 'How many days before the deletion the owners are reminded (D2)';
COMMENT ON COLUMN policy.language IS 'Language of notices to members who have none of their own, such as "uk"';
COMMENT ON COLUMN policy.restore_days IS 'Days after the deletion in which support can restore the account (D5)';
COMMENT ON COLUMN policy.payment_hours IS 'Hours after which a payment that was begun expires';
COMMENT ON COLUMN policy.keep_usage_months IS
'Usage events of charged months are removed when their month has ended so many months ago; NULL: never (U6)';
COMMENT ON COLUMN policy.keep_notices_months IS
'Notices are removed when they were delivered so many months ago; NULL: never (U6)';
COMMENT ON COLUMN policy.charge_notice_days IS
'So many days before the end of the month, payers are told of a charge that the balance will not cover; NULL: never (L6)';
COMMENT ON COLUMN policy.credit_notice_days IS
'So many days before credit expires, payers are told of it; NULL: never (G3)';
COMMENT ON COLUMN policy.debt_counts_from IS
'When a charge takes effect (C5): "due_date", on the 1st of the month in which it is posted; "posting_date", on the '
'day of posting';
COMMENT ON COLUMN policy.activity IS
'What shows that an account is used (D1): "any", a login, a member who acts, a payment or recorded usage; "logins", a '
'login alone';
COMMENT ON COLUMN policy.close_unused IS
'Whether the sweep closes accounts that are not used (D1). If not, kb_schedule_closure still does';
COMMENT ON COLUMN policy.metadata IS 'For the application''s own use';

INSERT INTO policy (policy) VALUES ('standard');

CREATE TRIGGER policy_standard BEFORE UPDATE OR DELETE ON policy
	FOR EACH ROW WHEN (OLD.policy = 'standard')
	EXECUTE FUNCTION kb_refuse_change('Create a policy of your own with kb_set_policy, and name it in kb_create_tariff.');

CREATE TRIGGER policy_truncate BEFORE TRUNCATE ON policy
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_change('Delete the rows that are your own.');

CREATE FUNCTION kbilling_internal.kb_put_policy(policy text, settings jsonb) RETURNS void
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'kb_put_policy';
COMMENT ON FUNCTION kb_put_policy(text, jsonb) IS
'Writes what kb_set_policy has checked, and logs it if it changes anything (J9)';

CREATE FUNCTION kbilling_internal.kb_require_settings(settings jsonb) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN jsonb_typeof(settings) <> 'object'
			THEN kb_raise('22023', 'settings must be an object', format('It is: %s.', jsonb_typeof(settings)),
						  'Give names and values, such as {"remind_day": 5}.')
		END;
	SELECT CASE
		WHEN k.unknown IS NOT NULL
			THEN kb_raise('22023', format('a policy has no %s', k.unknown), NULL, format('Its settings are: %s.', k.known))
		END
	FROM (SELECT string_agg(format('"%s"', s.key), ', ' ORDER BY s.key) FILTER (WHERE c.attname IS NULL) AS unknown,
				 string_agg(c.attname, ', ' ORDER BY c.attnum) AS known
		  FROM jsonb_object_keys(settings) s (key)
		  FULL JOIN (SELECT a.attname::text, a.attnum FROM pg_attribute a
					 WHERE a.attrelid = 'kbilling.policy'::regclass AND a.attnum > 0 AND NOT a.attisdropped
						AND a.attname <> 'policy') c
			ON c.attname = s.key) k;
END;
COMMENT ON FUNCTION kb_require_settings(jsonb) IS
'Raises 22023 unless it is an object whose keys are columns of kbilling.policy, other than its name';

CREATE FUNCTION kbilling.kb_access_stage(debt_since date, today date, policy policy) RETURNS kb_stage
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN kb_stage(debt_since, NULL, today, (policy).remind_day, (policy).restrict_day, (policy).block_day);
COMMENT ON FUNCTION kb_access_stage(date, date, policy) IS
'Stage of a debt by a row of kbilling.policy (S2); "ok" without a debt (NULL)';
