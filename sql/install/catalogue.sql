/*
 * The price list: tariffs, services, and the price of a service in a tariff, by date.
 *
 * Whatever holds from a date on is a span: from_date is its first day, to_date the
 * day after its last.
 */

CREATE TABLE kbilling.tariff (
	tariff     kb_text PRIMARY KEY CHECK (tariff <> ''),
	currency   text NOT NULL CHECK (kb_minor_units(currency) IS NOT NULL),
	name       kb_text,
	policy     kb_text NOT NULL DEFAULT 'standard' REFERENCES policy,
	metadata   kb_json NOT NULL DEFAULT '{}'
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.tariff', '');
COMMENT ON TABLE tariff IS 'The price lists';
COMMENT ON COLUMN tariff.tariff IS 'Code of the tariff';
COMMENT ON COLUMN tariff.currency IS 'ISO 4217 code of all its prices, and of the accounts that use it';
COMMENT ON COLUMN tariff.name IS 'What customers call it';
COMMENT ON COLUMN tariff.policy IS 'The row of kbilling.policy that holds for its accounts';
COMMENT ON COLUMN tariff.metadata IS 'For the application''s own use';

CREATE TYPE kbilling.kb_service_kind AS ENUM ('recurring', 'metered');
COMMENT ON TYPE kb_service_kind IS 'How a service is billed: recurring, while it is switched on; metered, by its usage';

CREATE TYPE kbilling.kb_aggregation AS ENUM ('sum', 'count', 'max', 'unique', 'last');
COMMENT ON TYPE kb_aggregation IS 'How the usage events of a period become its quantity (U2)';

CREATE TABLE kbilling.service (
	service     kb_text PRIMARY KEY CHECK (service <> ''),
	kind        kb_service_kind NOT NULL,
	unit        kb_text,
	aggregation kb_aggregation NOT NULL DEFAULT 'sum',
	name        kb_text,
	metadata    kb_json NOT NULL DEFAULT '{}'
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.service', $$WHERE service <> 'base'$$);
COMMENT ON TABLE service IS 'Services: whatever has a price. The base fee is a built-in one, "base"';
COMMENT ON COLUMN service.service IS 'Code of the service';
COMMENT ON COLUMN service.kind IS '"recurring": billed while it is switched on; "metered": billed by usage';
COMMENT ON COLUMN service.unit IS 'What one unit is called';
COMMENT ON COLUMN service.aggregation IS
'How the usage events of a period become its quantity (U2): "sum", "count", "max", "unique" or "last"';
COMMENT ON COLUMN service.name IS 'What customers call it';
COMMENT ON COLUMN service.metadata IS 'For the application''s own use';

INSERT INTO service (service, kind, unit) VALUES ('base', 'recurring', 'month');

CREATE TRIGGER service_base BEFORE UPDATE OR DELETE ON service
	FOR EACH ROW WHEN (OLD.service = 'base')
	EXECUTE FUNCTION kb_refuse_change('Give the base fee a price in each tariff with kb_set_price, or create a service of your own.');

CREATE TRIGGER service_truncate BEFORE TRUNCATE ON service
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_change('Delete the rows that are your own.');

CREATE TABLE kbilling.price (
	tariff    kb_text NOT NULL REFERENCES tariff,
	service   kb_text NOT NULL REFERENCES service,
	from_date date NOT NULL DEFAULT '-infinity',
	to_date   date NOT NULL DEFAULT 'infinity',
	price     kb_price NOT NULL,
	prorate   boolean NOT NULL DEFAULT true,
	PRIMARY KEY (tariff, service, from_date),
	CHECK (from_date < to_date)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.price', '');
COMMENT ON TABLE price IS 'The price of a service in a tariff, by date; written by kb_set_price';
COMMENT ON COLUMN price.tariff IS 'The tariff';
COMMENT ON COLUMN price.service IS 'The service';
COMMENT ON COLUMN price.from_date IS 'First day on which the price holds';
COMMENT ON COLUMN price.to_date IS 'The day after the last on which it holds: the next price''s "from_date"';
COMMENT ON COLUMN price.price IS 'The price of a whole period, in the tariff''s currency';
COMMENT ON COLUMN price.prorate IS 'Whether a part of a month costs only that part of the price (C3)';

CREATE FUNCTION kbilling_internal.kb_require_tariff(tariff text) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN tariff IS NULL
			THEN kb_raise('22004', 'tariff must not be null')
		WHEN NOT EXISTS (SELECT FROM tariff t WHERE t.tariff = $1)
			THEN kb_raise('KB012', format('tariff "%s" does not exist', $1), 'kbilling.tariff has no such row.',
						  'Create it with kb_create_tariff, or look it up in kbilling.tariff.')
		END;
END;
COMMENT ON FUNCTION kb_require_tariff(text) IS 'Raises KB012 if there is no such tariff';

CREATE FUNCTION kbilling_internal.kb_require_service(service text) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN service IS NULL
			THEN kb_raise('22004', 'service must not be null')
		WHEN NOT EXISTS (SELECT FROM service s WHERE s.service = $1)
			THEN kb_raise('KB012', format('service "%s" does not exist', $1), 'kbilling.service has no such row.',
						  'Create it with kb_create_service, or look it up in kbilling.service.')
		END;
END;
COMMENT ON FUNCTION kb_require_service(text) IS 'Raises KB012 if there is no such service';

CREATE FUNCTION kbilling.kb_create_tariff(tariff text, currency text, name text = NULL, policy text = 'standard')
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('tariff, currency, policy', tariff, currency, policy);
	SELECT CASE
		WHEN kb_minor_units(currency) IS NULL
			THEN kb_raise('22023', format('%s is not a currency of payment', upper(currency)),
						  'ISO 4217 gives it no minor unit to count in.', 'Use the code of a currency, such as USD.')
		WHEN NOT EXISTS (SELECT FROM policy p WHERE p.policy = kb_create_tariff.policy)
			THEN kb_raise('22023', format('policy "%s" does not exist', policy), NULL, 'Insert it into kbilling.policy first.')
		END;
	INSERT INTO tariff (tariff, currency, name, policy)
	VALUES (kb_create_tariff.tariff, pg_catalog.upper(kb_create_tariff.currency),
			kb_create_tariff.name, kb_create_tariff.policy);
END;
COMMENT ON FUNCTION kb_create_tariff(text, text, text, text) IS
'Creates a tariff in a currency of ISO 4217. '
'Errors: 22023 for an unknown currency or policy, 23505 if the tariff exists';

CREATE FUNCTION kbilling.kb_create_service(service text, kind text, unit text = NULL, aggregation text = 'sum', name text = NULL)
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('service, kind, aggregation', service, kind, aggregation);
	SELECT CASE
		WHEN kind <> ALL (enum_range(NULL::kb_service_kind)::text[])
			THEN kb_raise('22023', format('there is no kind of service "%s"', kind), NULL,
						  format('The kinds are: %s.', array_to_string(enum_range(NULL::kb_service_kind), ', ')))
		WHEN aggregation <> ALL (enum_range(NULL::kb_aggregation)::text[])
			THEN kb_raise('22023', format('there is no aggregation "%s"', aggregation), NULL,
						  format('The aggregations are: %s. What customers call the service is another argument, name.',
								 array_to_string(enum_range(NULL::kb_aggregation), ', ')))
		END;
	INSERT INTO service (service, kind, unit, aggregation, name)
	VALUES (kb_create_service.service, kb_create_service.kind::kb_service_kind, kb_create_service.unit,
			kb_create_service.aggregation::kb_aggregation, kb_create_service.name);
END;
COMMENT ON FUNCTION kb_create_service(text, text, text, text, text) IS
'Creates a service of the kind "recurring" or "metered". A metered one aggregates its usage by "sum", "count", '
'"max", "unique" or "last" (U2). '
'Errors: 22023 for another kind or an unknown aggregation, 23505 if the service exists';

CREATE FUNCTION kbilling.kb_set_price(tariff text, service text, price kb_price,
									  from_date date = '-infinity', prorate boolean = true)
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('price, from_date, prorate', price, from_date, prorate);
	SELECT kb_require_tariff(tariff);
	SELECT kb_require_service(service);
	SELECT CASE
		WHEN from_date = 'infinity'
			THEN kb_raise('22008', 'from_date must not be infinity', NULL, 'Leave it out for a price that has always held.')
		END;
	-- A price that is beyond a kb_money is refused here, not on the 1st.
	SELECT kb_require_price_range(price, t.currency) FROM tariff t WHERE t.tariff = kb_set_price.tariff;
	-- Two that set prices of one tariff take turns.
	SELECT FROM tariff t WHERE t.tariff = kb_set_price.tariff FOR NO KEY UPDATE;
	UPDATE price p SET to_date = kb_set_price.from_date
	WHERE p.tariff = kb_set_price.tariff AND p.service = kb_set_price.service
		AND p.from_date < kb_set_price.from_date AND p.to_date > kb_set_price.from_date;
	INSERT INTO price (tariff, service, from_date, to_date, price, prorate)
	SELECT kb_set_price.tariff, kb_set_price.service, kb_set_price.from_date,
		   coalesce((SELECT min(p.from_date) FROM price p
					 WHERE p.tariff = kb_set_price.tariff AND p.service = kb_set_price.service
						AND p.from_date > kb_set_price.from_date), 'infinity'),
		   kb_set_price.price, kb_set_price.prorate
	ON CONFLICT (tariff, service, from_date) DO UPDATE SET price = excluded.price, prorate = excluded.prorate;
END;
COMMENT ON FUNCTION kb_set_price(text, text, kb_price, date, boolean) IS
'Sets the price of a service in a tariff from a date on, until the date of the next price. What has been charged '
'stays as it is. '
'Errors: KB012 for an unknown tariff or service; 22003 for a price that kb_money cannot hold';

CREATE FUNCTION kbilling_internal.kb_require_price(tariff text, service text, on_date date, quantity numeric) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	-- kb_rate raises by itself
	SELECT CASE
		WHEN count(kb_rate(p.price, $4, t.currency)) = 0
			THEN kb_raise('KB012', format('tariff "%s" has no price for service "%s"', $1, $2),
						  format('It has none on %s or later.', to_char($3, 'YYYY-MM-DD')), 'Set one with kb_set_price.')
		END
	FROM tariff t
	LEFT JOIN price p ON p.tariff = t.tariff AND p.service = $2 AND p.to_date > $3
	WHERE t.tariff = $1;
END;
COMMENT ON FUNCTION kb_require_price(text, text, date, numeric) IS
'Raises KB012 if the tariff has no price for the service on that day or later, 22003 if the quantity costs more than '
'a kb_money can hold';
