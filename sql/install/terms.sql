/*
 * What is agreed: prices, the tariff of an account, and services that are switched on.
 */

CREATE FUNCTION kbilling_internal.kb_price_beside(tariff text, service text, on_date date, price kb_price, prorate boolean)
	RETURNS TABLE (price_id integer, next_id integer)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT (SELECT p.price_id FROM price_list p
			WHERE p.tariff = $1 AND p.service = $2 AND p.to_date = $3 AND p.price = $4 AND p.prorate = $5),
		   (SELECT p.price_id FROM price_list p
			WHERE p.tariff = $1 AND p.service = $2 AND p.from_date = kb_next_price_on($1, $2, $3) AND p.price = $4 AND p.prorate = $5);
END;
COMMENT ON FUNCTION kb_price_beside(text, text, date, kb_price, boolean) IS
'The numbers of the price that ends on a date, and of the next one after it, each NULL if its terms are not these';

-- Prices change here alone, so that what depends on them follows from here.
CREATE FUNCTION kbilling_internal.kb_put_price(tariff text, service text, price kb_price, from_date date, prorate boolean)
	RETURNS date
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	INSERT INTO change_log (subject, tariff, service, before, after)
	SELECT 'price', $1, $2, (SELECT to_jsonb(o) - '{price_id,tariff,service}'::text[] FROM kb_price_on($1, $2, $4) o),
		   jsonb_build_object('price', $3, 'prorate', $5, 'from_date', $4, 'to_date', kb_next_price_on($1, $2, $4));
	-- The price that held on that day ends there, or is withdrawn if it began there.
	UPDATE price p
	SET to_date = CASE WHEN p.from_date < $4 THEN $4 ELSE p.to_date END, withdrawn_at = CASE WHEN p.from_date = $4 THEN kb_now() END
	WHERE p.price_id = (SELECT o.price_id FROM kb_price_on($1, $2, $4) o);
	-- A price that has the same terms and ends there, or is the next, holds longer, so that what is used under it is one.  As it was
	-- listed, the next one stays on record, too.
	INSERT INTO price (tariff, service, from_date, to_date, price, prorate, listed_at, withdrawn_at)
	SELECT n.tariff, n.service, n.from_date, n.to_date, n.price, n.prorate, n.listed_at, kb_now()
	FROM price n JOIN kb_price_beside($1, $2, $4, $3, $5) b ON b.next_id = n.price_id AND b.price_id IS NULL;
	UPDATE price n
	SET from_date = CASE WHEN b.price_id IS NULL THEN $4 ELSE n.from_date END,
		listed_at = CASE WHEN b.price_id IS NULL THEN kb_now() ELSE n.listed_at END,
		withdrawn_at = CASE WHEN b.price_id IS NOT NULL THEN kb_now() END
	FROM kb_price_beside($1, $2, $4, $3, $5) b WHERE n.price_id = b.next_id;
	UPDATE price p SET to_date = kb_next_price_on($1, $2, $4)
	FROM kb_price_beside($1, $2, $4, $3, $5) b WHERE p.price_id = b.price_id;
	INSERT INTO price (tariff, service, from_date, to_date, price, prorate)
	SELECT $1, $2, $4, kb_next_price_on($1, $2, $4), $3, $5 WHERE NOT EXISTS (SELECT FROM kb_price_on($1, $2, $4));
	-- days that are past, and a day's margin, as the transaction may end on another day than it began
	SELECT kb_reprice_tariff($1, $2, $4) FROM service s
	WHERE s.service = $2 AND s.kind = 'metered' AND $4 <= kb_account_date(kb_now(), 'UTC') + 2;
	SELECT p.from_date FROM kb_price_on($1, $2, $4) p;
END;
COMMENT ON FUNCTION kb_put_price(text, text, kb_price, date, boolean) IS
'Puts a price on the list, from a date on to that of the next price, logs it (J9), and returns the date from which it '
'holds. What has been used on its days and is not charged yet gets the price (C3). The tariff is locked';

CREATE FUNCTION kbilling.kb_set_price(tariff text, service text, price kb_price,
									  from_date date = NULL, prorate boolean = true)
	RETURNS date
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('price, prorate', price, prorate);
	SELECT kb_require_tariff(tariff);
	SELECT kb_require_service(service);
	SELECT CASE
		WHEN from_date = 'infinity'
			THEN kb_raise('22008', 'from_date must not be infinity', NULL, 'Leave it out for the 1st of next month.')
		END;
	-- A price that is beyond a kb_money is refused here, not on the 1st.
	SELECT kb_require_price_range(price, t.currency) FROM tariff t WHERE t.tariff = kb_set_price.tariff;
	-- Two that set prices of one tariff take turns.
	SELECT FROM tariff t WHERE t.tariff = kb_set_price.tariff FOR NO KEY UPDATE;
	-- What holds on the day already is not written again.
	SELECT coalesce((SELECT p.from_date FROM kb_price_on($1, $2, d.day) p WHERE p.price = $3 AND p.prorate = $5),
					kb_put_price($1, $2, $3, d.day, $5))
	FROM (SELECT coalesce($4, kb_price_change_on($1, $2, kb_now())) AS day) d;
END;
COMMENT ON FUNCTION kb_set_price(text, text, kb_price, date, boolean) IS
'Sets the price of a service in a tariff from a date on, until the date of the next price, and returns the date from '
'which it holds. NULL is the beginning for the first price of a service in a tariff, and for a change the 1st of next '
'month (UTC). If the price holds on that day already, nothing is changed, and the date is that from which it holds. '
'A date that has passed changes what the running month costs, usage too (C3); what has been charged stays as it is. '
'Errors: KB012 for an unknown tariff or service; 22003 for a price that kb_money cannot hold; 22008 for infinity';

CREATE FUNCTION kbilling_internal.kb_put_tariff(account_id bigint, tariff text, from_date date, stage_before kb_stage) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_require_open(account_id, from_date);
	SELECT CASE
		WHEN t.currency <> a.currency
			THEN kb_raise('KB002', format('tariff "%s" is in %s, but account %s is in %s', t.tariff, t.currency, a.account_id, a.currency),
						  'An account keeps its currency.', 'Choose a tariff in that currency.')
		END
	FROM account a, tariff t
	WHERE a.account_id = kb_put_tariff.account_id AND t.tariff = kb_put_tariff.tariff;
	-- What holds on the day, and what was to come after it (J9)
	WITH old AS (
		SELECT jsonb_agg(jsonb_build_object('tariff', x.tariff, 'from_date', x.from_date) ORDER BY x.from_date) AS tariffs
		FROM account_tariff x
		WHERE x.account_id = kb_put_tariff.account_id AND x.to_date > kb_put_tariff.from_date
	)
	INSERT INTO change_log (subject, account_id, tariff, before, after)
	SELECT 'account_tariff', kb_put_tariff.account_id, kb_put_tariff.tariff,
		   old.tariffs -> 0
		   || CASE WHEN jsonb_array_length(old.tariffs) > 1 THEN jsonb_build_object('dropped', old.tariffs - 0) ELSE '{}' END,
		   jsonb_build_object('tariff', kb_put_tariff.tariff, 'from_date', kb_put_tariff.from_date)
	FROM old
	WHERE old.tariffs -> 0 ->> 'tariff' <> kb_put_tariff.tariff OR jsonb_array_length(old.tariffs) > 1;
	-- The tariff so far ends there; what was to come after it is dropped.
	INSERT INTO tariff_history (account_id, from_date, to_date, tariff)
	SELECT a.account_id, a.tariff_from, kb_put_tariff.from_date, a.tariff FROM account a
	WHERE a.account_id = kb_put_tariff.account_id AND a.tariff_from < kb_put_tariff.from_date;
	DELETE FROM tariff_history h
	WHERE h.account_id = kb_put_tariff.account_id AND h.from_date >= kb_put_tariff.from_date;
	UPDATE tariff_history h SET to_date = kb_put_tariff.from_date
	WHERE h.account_id = kb_put_tariff.account_id AND h.to_date > kb_put_tariff.from_date;
	-- the sweep looks whether its policy allows a closure (D1)
	UPDATE account a
	SET tariff = kb_put_tariff.tariff, tariff_from = kb_put_tariff.from_date, terms_version = a.terms_version + 1,
		closure_check_on = CASE WHEN a.closure_check_on IS NOT NULL THEN least(a.closure_check_on, kb_put_tariff.from_date) END,
		credit_check_on = CASE WHEN a.credit_check_on IS NOT NULL THEN least(a.credit_check_on, kb_put_tariff.from_date) END
	WHERE a.account_id = kb_put_tariff.account_id;
	-- a day's margin, as the transaction may end on another day than it began
	SELECT kb_reprice_account(a.account_id, kb_put_tariff.from_date) FROM account a
	WHERE a.account_id = kb_put_tariff.account_id AND kb_put_tariff.from_date <= kb_account_date(kb_now(), a.time_zone) + 1;
	-- its policy may have other days
	SELECT kb_notify_stages(ARRAY[a.account_id], kb_now(), kb_put_tariff.stage_before, 'terms ' || a.terms_version)
	FROM account a WHERE a.account_id = kb_put_tariff.account_id;
END;
COMMENT ON FUNCTION kb_put_tariff(bigint, text, date, kb_stage) IS
'Writes what kb_set_tariff has resolved, and a notice if that makes the stage another than before. The account is '
'locked';

CREATE FUNCTION kbilling.kb_set_tariff(account_id bigint, tariff text, from_date date = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_lock_account(account_id);
	SELECT kb_require_tariff(tariff);
	SELECT kb_put_tariff(account_id, tariff, coalesce(from_date, kb_today(account_id)), kb_access_stage(account_id));
END;
COMMENT ON FUNCTION kb_set_tariff(bigint, text, date) IS
'Puts the account on another tariff of its currency, from a local date on (NULL: today). Changes of tariff that were '
'to come after that date are dropped. Services for which the tariff has no price are not billed. '
'Errors: KB001, KB010, KB012, KB002; KB009 if the day has been charged';

CREATE TABLE kbilling.subscription (
	account_id bigint NOT NULL REFERENCES account,
	service    kb_text NOT NULL REFERENCES service,
	from_date  date NOT NULL,
	to_date    date NOT NULL DEFAULT 'infinity',
	quantity   numeric NOT NULL CHECK (quantity > 0 AND quantity < 'infinity'),
	PRIMARY KEY (account_id, service, from_date),
	CHECK (from_date < to_date)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.subscription', '');
COMMENT ON TABLE subscription IS
'The days on which recurring services were on; written by kb_switch_on and kb_switch_off';
COMMENT ON COLUMN subscription.account_id IS 'The account';
COMMENT ON COLUMN subscription.service IS 'The recurring service';
COMMENT ON COLUMN subscription.from_date IS 'First day on which it is on';
COMMENT ON COLUMN subscription.to_date IS 'First day on which it is off again';
COMMENT ON COLUMN subscription.quantity IS 'How many units are on';

CREATE FUNCTION kbilling_internal.kb_put_subscription(account_id bigint, service text, quantity numeric, from_date date) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_require_open(account_id, from_date);
	SELECT CASE
		WHEN s.kind <> 'recurring' OR s.service = 'base'
			THEN kb_raise('22023', format('service "%s" cannot be switched on or off', s.service),
						  CASE WHEN s.service = 'base' THEN 'The base fee is always due.'
							   WHEN s.kind = 'one_off' THEN 'It is billed when it is bought, by kb_buy.'
							   ELSE 'A metered service is billed by its usage.' END)
		END
	FROM service s WHERE s.service = kb_put_subscription.service;
	-- What is on that day, and what was to come after it (J9)
	WITH old AS (
		SELECT jsonb_agg(p.part ORDER BY u.from_date) FILTER (WHERE u.from_date <= kb_put_subscription.from_date) -> 0 AS part,
			   jsonb_agg(p.part ORDER BY u.from_date) FILTER (WHERE u.from_date > kb_put_subscription.from_date) AS dropped
		FROM subscription u
		CROSS JOIN LATERAL (SELECT jsonb_build_object('quantity', u.quantity, 'from_date', u.from_date, 'to_date', u.to_date) AS part) p
		WHERE u.account_id = kb_put_subscription.account_id AND u.service = kb_put_subscription.service
			AND u.to_date > kb_put_subscription.from_date
	)
	INSERT INTO change_log (subject, account_id, service, before, after)
	SELECT 'subscription', kb_put_subscription.account_id, kb_put_subscription.service,
		   CASE WHEN old.dropped IS NULL THEN old.part ELSE coalesce(old.part, '{}') || jsonb_build_object('dropped', old.dropped) END,
		   jsonb_build_object('quantity', kb_put_subscription.quantity, 'from_date', kb_put_subscription.from_date)
	FROM old
	WHERE coalesce((old.part ->> 'quantity')::numeric, 0) IS DISTINCT FROM kb_put_subscription.quantity
		OR old.dropped IS NOT NULL OR old.part ->> 'to_date' <> 'infinity';
	DELETE FROM subscription u
	WHERE u.account_id = kb_put_subscription.account_id AND u.service = kb_put_subscription.service
		AND u.from_date >= kb_put_subscription.from_date;
	UPDATE subscription u SET to_date = kb_put_subscription.from_date
	WHERE u.account_id = kb_put_subscription.account_id AND u.service = kb_put_subscription.service
		AND u.to_date > kb_put_subscription.from_date;
	INSERT INTO subscription (account_id, service, from_date, quantity)
	SELECT kb_put_subscription.account_id, kb_put_subscription.service, kb_put_subscription.from_date, kb_put_subscription.quantity
	WHERE kb_put_subscription.quantity IS DISTINCT FROM 0;
	UPDATE account a SET terms_version = a.terms_version + 1
	WHERE a.account_id = kb_put_subscription.account_id;
END;
COMMENT ON FUNCTION kb_put_subscription(bigint, text, numeric, date) IS
'Writes what kb_switch_on and kb_switch_off (quantity 0) have resolved. The account is locked';

CREATE FUNCTION kbilling.kb_switch_on(account_id bigint, service text, quantity numeric = 1, from_date date = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('quantity', quantity);
	SELECT kb_lock_account(account_id);
	SELECT kb_require_service(service);
	SELECT CASE
		WHEN NOT (quantity > 0 AND quantity < 'infinity')
			THEN kb_raise('22003', 'quantity must be finite and above zero', format('It is %s.', quantity),
						  'Use kb_switch_off to switch a service off.')
		END;
	SELECT kb_put_subscription(account_id, service, quantity, coalesce(from_date, kb_today(account_id)));
	SELECT kb_require_price(t.tariff, service, d.day, quantity)
	FROM account a
	CROSS JOIN LATERAL (SELECT coalesce(kb_switch_on.from_date, kb_account_date(kb_now(), a.time_zone)) AS day) d
	CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, d.day) t
	WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_switch_on(bigint, text, numeric, date) IS
'Switches a recurring service on, or changes its quantity, from a local date on (NULL: today). What was to come for '
'the service after that date is dropped. '
'Errors: KB001, KB010; KB012 for an unknown service, or one without a price in the account''s tariff; KB009 if the '
'day has been charged; 22003 for a quantity that is not finite and above zero';

CREATE FUNCTION kbilling.kb_switch_off(account_id bigint, service text, from_date date = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_lock_account(account_id);
	SELECT kb_require_service(service);
	SELECT kb_put_subscription(account_id, service, 0, coalesce(from_date, kb_today(account_id)));
END;
COMMENT ON FUNCTION kb_switch_off(bigint, text, date) IS
'Switches a recurring service off from a local date on (NULL: today): the first day that is not charged. '
'Errors: KB001, KB010, KB012; KB009 if the day has been charged';
