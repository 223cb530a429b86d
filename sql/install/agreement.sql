/*
 * A policy that is changed, and what follows for the accounts that have it.
 */

CREATE FUNCTION kbilling_internal.kb_has_settings(policy text, settings jsonb) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (SELECT FROM policy p WHERE p.policy = $1 AND to_jsonb(jsonb_populate_record(p, $2)) = to_jsonb(p));
COMMENT ON FUNCTION kb_has_settings(text, jsonb) IS 'Whether there is such a policy, and it has these settings already';

CREATE FUNCTION kbilling_internal.kb_change_policy(policy text, settings jsonb, account_ids bigint[], stages_before kb_stage[])
	RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_put_policy($1, $2);
	SELECT kb_notify_stages(array_agg(d.account_id ORDER BY d.account_id), kb_now(), d.stage,
							format('policy %s at %s', $1, extract(epoch FROM kb_now())))
	FROM unnest($3, $4) d (account_id, stage)
	WHERE d.stage <> 'ok'
	GROUP BY d.stage;
	-- The sweep looks at closing on the day that the rules give now, be it earlier or later than before.
	UPDATE account a
	SET closure_check_on = least(greatest(t.may_close_on, t.today), t.next_tariff_on)
	FROM kb_closure_terms($3, kb_now()) t
	WHERE a.account_id = t.account_id AND a.state = 'active' AND a.balance <= 0
		AND a.closure_check_on IS DISTINCT FROM least(greatest(t.may_close_on, t.today), t.next_tariff_on);
	-- It looks anew when credit that will expire is to be told of.
	UPDATE account a
	SET credit_check_on = least(a.credit_check_on, kb_account_date(kb_now(), a.time_zone))
	FROM (SELECT x.account_id FROM account x
		  CROSS JOIN LATERAL kb_policy_on(x.account_id, x.tariff, x.tariff_from, kb_account_date(kb_now(), x.time_zone)) p
		  WHERE x.credit_check_on IS NOT NULL AND x.state IN ('active', 'closing') AND p.policy = $1 AND $2 ? 'credit_notice_days'
		  ORDER BY x.account_id FOR NO KEY UPDATE OF x) c
	WHERE a.account_id = c.account_id;
END;
COMMENT ON FUNCTION kb_change_policy(text, jsonb, bigint[], kb_stage[]) IS
'Writes what kb_set_policy has checked, and then, for the accounts, the notices of stages that are now others than '
'those given, and the days on which the sweep looks at them. The accounts are locked';

CREATE FUNCTION kbilling.kb_set_policy(policy text, settings jsonb) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('policy, settings', policy, settings);
	SELECT kb_require_settings(settings);
	SELECT kb_keep_buckets();
	SELECT FROM policy p WHERE p.policy = kb_set_policy.policy FOR NO KEY UPDATE;
	SELECT FROM account a
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date(kb_now(), a.time_zone)) p
	WHERE p.policy = $1 AND a.state IN ('active', 'closing') AND a.balance <= 0 AND kb_is_owned(a.account_id)
		AND NOT kb_has_settings($1, $2)
	ORDER BY a.account_id
	FOR NO KEY UPDATE OF a;
	-- The built-in row says itself that it cannot be changed.
	SELECT kb_change_policy($1, $2, array_agg(s.account_id ORDER BY s.account_id), array_agg(s.stage ORDER BY s.account_id))
	FROM account a
	CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date(kb_now(), a.time_zone)) p
	JOIN account_now s ON s.account_id = a.account_id
	WHERE p.policy = $1 AND a.state IN ('active', 'closing') AND a.balance <= 0
	HAVING $1 = 'standard' OR NOT kb_has_settings($1, $2);
END;
COMMENT ON FUNCTION kb_set_policy(text, jsonb) IS
'Creates a policy, or changes one: "settings" has the columns of kbilling.policy that are to be set, such as '
'{"remind_day": 5}. The others stay, or are those of "standard" if the policy is new. For its accounts, the change '
'holds at once: notices are written of stages that have changed. '
'Errors: 22023 for settings that are no object, or that kbilling.policy has no column for; 22P02 and 23514 for values that '
'it refuses; 55000 for the policy "standard", which is built in';
