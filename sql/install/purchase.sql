/*
 * Purchases: services that are billed when they are bought (L5).
 */

CREATE FUNCTION kbilling_internal.kb_purchase_of(account_id bigint, service text, quantity numeric, today date)
	RETURNS TABLE (amount kb_money, lines kb_lines)
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT kb_require_service($2);
	SELECT CASE
		WHEN s.kind <> 'one_off'
			THEN kb_raise('22023', format('service "%s" cannot be bought', s.service),
						  CASE s.kind WHEN 'metered' THEN 'It is billed by its usage.' ELSE 'It is billed while it is switched on.' END,
						  'Buy a service of the kind "one_off".')
		WHEN NOT ($3 > 0 AND $3 < 'infinity')
			THEN kb_raise('22023', 'quantity must be above zero, and finite', format('It is %s.', $3),
						  'Give how many are bought. A purchase is given back by kb_reverse.')
		WHEN NOT EXISTS (SELECT FROM account a CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, $4) x
						 CROSS JOIN LATERAL kb_price_on(x.tariff, $2, $4) p WHERE a.account_id = $1)
			THEN kb_raise('KB012', format('service "%s" has no price for account %s', $2, $1),
						  format('Its tariff has none on %s.', $4), 'Set one with kb_set_price.')
		END
	FROM service s WHERE s.service = $2;
	SELECT r.amount,
		   jsonb_build_array(jsonb_build_object('service', $2, 'what', 'purchase', 'from_date', $4, 'to_date', $4, 'days', 1,
												'days_in_month', 1, 'quantity', $3, 'price', p.price::text, 'amount', r.amount))::kb_lines
	FROM account a
	CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, $4) x
	CROSS JOIN LATERAL kb_price_on(x.tariff, $2, $4) p
	CROSS JOIN LATERAL (SELECT kb_rate(p.price, $3, a.currency) AS amount OFFSET 0) r
	WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_purchase_of(bigint, text, numeric, date) IS
'What so many of a service cost the account on a day, and the line of it';

CREATE FUNCTION kbilling.kb_buy(account_id bigint, service text, quantity numeric, reference text, member text = NULL) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_buy';
COMMENT ON FUNCTION kb_buy(bigint, text, numeric, text, text) IS
'Buys so many of a service of the kind "one_off", at the price of the day, charges them at once, and returns the entry''s seq (L5). '
'The same reference again returns the first entry and changes nothing. "member" is who buys, an owner or admin. kb_reverse gives a '
'purchase back. '
'Errors: KB001, KB010; KB004 if the member is no owner or admin; KB006 if the reference stands for something else; KB012 for an '
'unknown service, or one without a price; KB013 if too little is left: with a credit line, of what is available, else of the '
'balance; KB005 if it costs nothing; 22023 for a service of another kind, and a quantity that is not above zero; 55000 once the '
'contract has ended (X2)';
