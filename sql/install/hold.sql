/*
 * Holds: units of a service that are reserved before they are used (L4).
 *
 * What is held counts as if it were used already.  The usage that is recorded under the hold's key takes its place.
 */

CREATE FUNCTION kbilling_internal.kb_put_hold(account_id bigint, service text, quantity numeric, key text, expires_at timestamptz)
	RETURNS boolean
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_require_service($2);
	SELECT CASE
		WHEN s.kind <> 'metered' OR s.aggregation NOT IN ('sum', 'count')
			THEN kb_raise('22023', format('units of service "%s" cannot be held', s.service),
						  'Only a metered service whose usage adds up, by sum or count, has units that can be held.',
						  'Record what is used with kb_record_usage.')
		WHEN NOT ($3 > 0 AND $3 < 'infinity')
			THEN kb_raise('22023', 'quantity must be above zero, and finite', format('It is %s.', $3), 'Give how many units may be used.')
		WHEN NOT ($5 > kb_now() AND isfinite($5))
			THEN kb_raise('22008', 'expires_at must be ahead', format('It is %s.', $5),
						  'Give the moment until which the units are kept at most, such as now() + interval ''10 minutes''.')
		END
	FROM service s WHERE s.service = $2;
	SELECT kb_refuse_unpriced(a.account_id, $2, x.tariff, d.today)
	FROM account a
	CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) d
	CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, d.today) x
	WHERE a.account_id = $1 AND NOT EXISTS (SELECT FROM kb_price_on(x.tariff, $2, d.today));
	SELECT kb_require_contract($1);
	-- who is settling one of them has it locked, and waits for nobody
	DELETE FROM usage_hold h
	WHERE h.ctid = ANY (ARRAY(SELECT x.ctid FROM usage_hold x WHERE x.account_id = $1 AND x.expires_at <= kb_now() FOR UPDATE SKIP LOCKED));
	SELECT CASE
		WHEN EXISTS (SELECT FROM usage_event e WHERE e.account_id = $1 AND e.service = $2 AND e.key = $4)
			THEN kb_raise('KB006', format('usage with the key "%s" is recorded already', $4),
						  format('It is of service "%s" of account %s.', $2, $1), 'Give each hold a key of its own.')
		WHEN (h.quantity, h.expires_at) IS DISTINCT FROM ($3, $5)
			THEN kb_raise('KB006', format('the key "%s" holds something else already', $4),
						  format('It holds %s of service "%s" of account %s, until %s.', h.quantity, $2, $1, h.expires_at),
						  'Release it first with kb_release_usage, or give each hold a key of its own.')
		END
	FROM (SELECT) x LEFT JOIN usage_hold h ON h.account_id = $1 AND h.service = $2 AND h.key = $4
	WHERE h.key IS NOT NULL OR EXISTS (SELECT FROM usage_event e WHERE e.account_id = $1 AND e.service = $2 AND e.key = $4);
	WITH held AS (
		INSERT INTO usage_hold (account_id, service, key, quantity, expires_at) VALUES ($1, $2, $4, $3, $5)
		ON CONFLICT ON CONSTRAINT usage_hold_pkey DO NOTHING
		RETURNING key
	)
	SELECT EXISTS (SELECT FROM held);
END;
COMMENT ON FUNCTION kb_put_hold(bigint, text, numeric, text, timestamptz) IS
'Checks and writes what kb_hold_usage holds; false if the key holds it already. The account is locked';

CREATE FUNCTION kbilling.kb_hold_usage(account_id bigint, service text, quantity numeric, key text, expires_at timestamptz)
	RETURNS boolean
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_hold_usage';
COMMENT ON FUNCTION kb_hold_usage(bigint, text, numeric, text, timestamptz) IS
'Holds units of a metered service before they are used: they count as used at once, at the price of the day (L4). Recording '
'usage with the same key settles the hold, be it less or more; kb_release_usage frees it, and so does its expiry, at the moment it '
'is reached. True if the units are held now; false if the key held the same already. '
'Errors: KB001, KB010; KB012 for an unknown service, or one without a price; KB013 beyond the credit line or a hard limit; KB006 '
'if the key holds something else, or its usage is recorded; 22023 for a service that is not metered or does not add up, and a '
'quantity that is not above zero; 22008 for a moment that has passed; 55000 once the contract has ended (X2)';

CREATE FUNCTION kbilling.kb_release_usage(account_id bigint, service text, key text) RETURNS boolean
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('service, key', service, key);
	SELECT kb_require_owned(account_id);
	-- what is freed must not change what is left between the two looks of who records
	SELECT FROM account a WHERE a.account_id = $1 FOR NO KEY UPDATE;
	SELECT kb_require_account(account_id);
	WITH released AS (
		DELETE FROM usage_hold h WHERE h.account_id = $1 AND h.service = $2 AND h.key = $3
		RETURNING h.expires_at
	)
	SELECT coalesce((SELECT r.expires_at > kb_now() FROM released r), false);
END;
COMMENT ON FUNCTION kb_release_usage(bigint, text, text) IS
'Frees what is held under a key (L4). False if nothing was: it has been settled, released, or has expired. '
'Errors: KB001';
