/*
 * What a service decides: policies, tariffs, services, prices and bonus tiers.
 *
 * Built-in rows are not dumped, as CREATE EXTENSION makes them again on
 * restore; so they cannot be changed either.  Whatever holds from a date on is
 * a span: from_date is its first day, to_date the day after its last.
 */

CREATE FUNCTION kbilling.kb_refuse_change() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_refuse_change';
COMMENT ON FUNCTION kbilling.kb_refuse_change() IS
'Trigger of built-in rows: raises 55000, with the trigger''s argument as hint';

CREATE FUNCTION kbilling.kb_is_language(language text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN language ~ '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$';
COMMENT ON FUNCTION kbilling.kb_is_language(text) IS 'Whether it looks like a tag of BCP 47, such as "uk" or "pt-BR"';

CREATE TABLE kbilling.policy (
	policy           kbilling.kb_text PRIMARY KEY CHECK (policy <> ''),
	remind_day       integer NOT NULL DEFAULT 4,
	restrict_day     integer NOT NULL DEFAULT 7,
	block_day        integer NOT NULL DEFAULT 10,
	min_age_days     integer NOT NULL DEFAULT 40 CHECK (min_age_days BETWEEN 0 AND 36500),
	inactive_days    integer NOT NULL DEFAULT 30 CHECK (inactive_days BETWEEN 0 AND 36500),
	notice_days      integer NOT NULL DEFAULT 10 CHECK (notice_days BETWEEN 1 AND 36500),
	reminder_days    integer[] NOT NULL DEFAULT '{3,1}' CHECK (coalesce(0 < ALL (reminder_days), false)),
	restore_days     integer NOT NULL DEFAULT 20 CHECK (restore_days BETWEEN 1 AND 36500),
	language         kbilling.kb_text NOT NULL DEFAULT 'en' CHECK (kbilling.kb_is_language(language)),
	debt_counts_from text NOT NULL DEFAULT 'due_date' CHECK (debt_counts_from IN ('due_date', 'posting_date')),
	metadata         kbilling.kb_json NOT NULL DEFAULT '{}',
	payment_hours    integer NOT NULL DEFAULT 24 CHECK (payment_hours >= 1),
	CHECK (1 <= remind_day AND remind_day <= restrict_day AND restrict_day <= block_day)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.policy', $$WHERE policy <> 'standard'$$);
COMMENT ON TABLE kbilling.policy IS 'The numbers of the rules; "standard" is built in, a service that wants others adds a row of its own';
COMMENT ON COLUMN kbilling.policy.policy IS 'Name, to which a tariff refers';
COMMENT ON COLUMN kbilling.policy.remind_day IS 'Day of a debt on which stage remind begins (S2)';
COMMENT ON COLUMN kbilling.policy.restrict_day IS 'Day of a debt on which stage restrict begins (S2)';
COMMENT ON COLUMN kbilling.policy.block_day IS 'Day of a debt on which stage blocked begins (S2)';
COMMENT ON COLUMN kbilling.policy.min_age_days IS 'An account may be closed when it is older than so many days (D1)';
COMMENT ON COLUMN kbilling.policy.inactive_days IS 'An account may be closed when nobody has logged in for so many days (D1)';
COMMENT ON COLUMN kbilling.policy.notice_days IS 'Days from the notice of a closure to the deletion (D2)';
COMMENT ON COLUMN kbilling.policy.reminder_days IS 'Days before the deletion on which the owner is reminded (D2)';
COMMENT ON COLUMN kbilling.policy.language IS 'The language of notices to members who have none of their own, such as "uk"';
COMMENT ON COLUMN kbilling.policy.restore_days IS 'Days after the deletion in which support can restore the account (D5)';
COMMENT ON COLUMN kbilling.policy.payment_hours IS 'Hours for which a payment that was begun is waited for';
COMMENT ON COLUMN kbilling.policy.debt_counts_from IS 'When a charge takes effect: due_date, the 1st of the month in which it is posted, or posting_date, the day of posting (C5)';
COMMENT ON COLUMN kbilling.policy.metadata IS 'For the application''s own use';

INSERT INTO kbilling.policy (policy) VALUES ('standard');

CREATE TRIGGER policy_standard BEFORE UPDATE OR DELETE ON kbilling.policy
	FOR EACH ROW WHEN (OLD.policy = 'standard')
	EXECUTE FUNCTION kbilling.kb_refuse_change('Insert a policy of your own into kbilling.policy and name it in kb_create_tariff.');

CREATE TRIGGER policy_truncate BEFORE TRUNCATE ON kbilling.policy
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_refuse_change('Delete the rows that are your own.');

CREATE TABLE kbilling.tariff (
	tariff     kbilling.kb_text PRIMARY KEY CHECK (tariff <> ''),
	currency   text NOT NULL CHECK (kbilling.kb_minor_units(currency) IS NOT NULL),
	name       kbilling.kb_text,
	policy     kbilling.kb_text NOT NULL DEFAULT 'standard' REFERENCES kbilling.policy,
	metadata   kbilling.kb_json NOT NULL DEFAULT '{}'
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.tariff', '');
COMMENT ON TABLE kbilling.tariff IS 'Price lists';
COMMENT ON COLUMN kbilling.tariff.tariff IS 'Code of the tariff';
COMMENT ON COLUMN kbilling.tariff.currency IS 'ISO 4217 code of all its prices, and of the accounts that use it';
COMMENT ON COLUMN kbilling.tariff.name IS 'What customers call it';
COMMENT ON COLUMN kbilling.tariff.policy IS 'The numbers of the rules for its accounts';
COMMENT ON COLUMN kbilling.tariff.metadata IS 'For the application''s own use';

CREATE TABLE kbilling.service (
	service     kbilling.kb_text PRIMARY KEY CHECK (service <> ''),
	kind        text NOT NULL CHECK (kind IN ('recurring', 'metered')),
	unit        kbilling.kb_text,
	aggregation text NOT NULL DEFAULT 'sum' CHECK (aggregation IN ('sum', 'count', 'max', 'unique', 'last')),
	metadata    kbilling.kb_json NOT NULL DEFAULT '{}'
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.service', $$WHERE service <> 'base'$$);
COMMENT ON TABLE kbilling.service IS 'What is priced; "base", the base fee, is built in';
COMMENT ON COLUMN kbilling.service.service IS 'Code of the service';
COMMENT ON COLUMN kbilling.service.kind IS 'recurring: billed while it is switched on; metered: billed by usage';
COMMENT ON COLUMN kbilling.service.unit IS 'What one unit is called';
COMMENT ON COLUMN kbilling.service.aggregation IS 'How the usage events of a period become its quantity (U2)';
COMMENT ON COLUMN kbilling.service.metadata IS 'For the application''s own use';

INSERT INTO kbilling.service (service, kind, unit) VALUES ('base', 'recurring', 'month');

CREATE TRIGGER service_base BEFORE UPDATE OR DELETE ON kbilling.service
	FOR EACH ROW WHEN (OLD.service = 'base')
	EXECUTE FUNCTION kbilling.kb_refuse_change('Give the base fee a price in each tariff with kb_set_price, or create a service of your own.');

CREATE TRIGGER service_truncate BEFORE TRUNCATE ON kbilling.service
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_refuse_change('Delete the rows that are your own.');

CREATE TABLE kbilling.price (
	tariff    kbilling.kb_text NOT NULL REFERENCES kbilling.tariff,
	service   kbilling.kb_text NOT NULL REFERENCES kbilling.service,
	from_date date NOT NULL DEFAULT '-infinity',
	to_date   date NOT NULL DEFAULT 'infinity',
	price     kbilling.kb_price NOT NULL,
	prorate   boolean NOT NULL DEFAULT true,
	PRIMARY KEY (tariff, service, from_date),
	CHECK (from_date < to_date)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.price', '');
COMMENT ON TABLE kbilling.price IS 'The price of a service in a tariff, by date; written by kb_set_price';
COMMENT ON COLUMN kbilling.price.tariff IS 'The tariff';
COMMENT ON COLUMN kbilling.price.service IS 'The service';
COMMENT ON COLUMN kbilling.price.from_date IS 'First day on which the price holds';
COMMENT ON COLUMN kbilling.price.to_date IS 'The day after the last on which it holds: the next price''s from_date';
COMMENT ON COLUMN kbilling.price.price IS 'For a whole period, in the tariff''s currency';
COMMENT ON COLUMN kbilling.price.prorate IS 'Whether a part of a month costs its part of the price (C3)';

CREATE TABLE kbilling.bonus_tier (
	tariff     kbilling.kb_text NOT NULL REFERENCES kbilling.tariff,
	min_amount kbilling.kb_money NOT NULL CHECK (min_amount OPERATOR(kbilling.>=) 0),
	from_date  date NOT NULL DEFAULT '-infinity',
	to_date    date NOT NULL DEFAULT 'infinity',
	percent    numeric NOT NULL CHECK (percent >= 0 AND percent <= 1000),
	PRIMARY KEY (tariff, min_amount, from_date),
	CHECK (from_date < to_date)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.bonus_tier', '');
COMMENT ON TABLE kbilling.bonus_tier IS 'Bonuses for paying ahead (T5)';
COMMENT ON COLUMN kbilling.bonus_tier.tariff IS 'The tariff';
COMMENT ON COLUMN kbilling.bonus_tier.min_amount IS 'The part of a top-up that is left after the debt must reach this';
COMMENT ON COLUMN kbilling.bonus_tier.from_date IS 'First day on which the tier holds';
COMMENT ON COLUMN kbilling.bonus_tier.to_date IS 'The day after the last on which it holds';
COMMENT ON COLUMN kbilling.bonus_tier.percent IS 'Of that part, 0 to 1000; at 0 a top-up that reaches the tier earns none';

CREATE FUNCTION kbilling.kb_require_tariff(tariff text) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT kbilling.kb_raise_if(tariff IS NULL, '22004', 'tariff must not be null'),
		   kbilling.kb_raise_if(NOT EXISTS (SELECT FROM kbilling.tariff t WHERE t.tariff = $1),
								'KB012', format('tariff "%s" does not exist', $1), 'kbilling.tariff has no such row.',
								'Create it with kb_create_tariff, or look it up in kbilling.tariff.');
END;
COMMENT ON FUNCTION kbilling.kb_require_tariff(text) IS 'Raises KB012 if there is no such tariff';

CREATE FUNCTION kbilling.kb_require_service(service text) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT kbilling.kb_raise_if(service IS NULL, '22004', 'service must not be null'),
		   kbilling.kb_raise_if(NOT EXISTS (SELECT FROM kbilling.service s WHERE s.service = $1),
								'KB012', format('service "%s" does not exist', $1), 'kbilling.service has no such row.',
								'Create it with kb_create_service, or look it up in kbilling.service.');
END;
COMMENT ON FUNCTION kbilling.kb_require_service(text) IS 'Raises KB012 if there is no such service';

CREATE FUNCTION kbilling.kb_create_tariff(tariff text, currency text, name text = NULL, policy text = 'standard')
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
BEGIN ATOMIC
	SELECT kbilling.kb_require_not_null('tariff, currency, policy', tariff, currency, policy),
		   kbilling.kb_raise_if(kbilling.kb_minor_units(currency) IS NULL, '22023',
								format('%s is not a currency of payment', upper(currency))),
		   kbilling.kb_raise_if(NOT EXISTS (SELECT FROM kbilling.policy p WHERE p.policy = kb_create_tariff.policy),
								'22023', format('policy "%s" does not exist', policy), NULL, 'Insert it into kbilling.policy first.');
	INSERT INTO kbilling.tariff (tariff, currency, name, policy)
	VALUES (kb_create_tariff.tariff, pg_catalog.upper(kb_create_tariff.currency),
			kb_create_tariff.name, kb_create_tariff.policy);
END;
COMMENT ON FUNCTION kbilling.kb_create_tariff(text, text, text, text) IS
'Creates a tariff in a currency of ISO 4217; 22023 for an unknown currency or policy, 23505 if it exists';

CREATE FUNCTION kbilling.kb_create_service(service text, kind text, unit text = NULL, aggregation text = 'sum')
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
BEGIN ATOMIC
	SELECT kbilling.kb_require_not_null('service, kind, aggregation', service, kind, aggregation),
		   kbilling.kb_raise_if(kind NOT IN ('recurring', 'metered'), '22023', format('there is no kind of service "%s"', kind), NULL,
								'A service is "recurring" or "metered".'),
		   kbilling.kb_raise_if(aggregation NOT IN ('sum', 'count', 'max', 'unique', 'last'), '22023',
								format('there is no aggregation "%s"', aggregation), NULL, 'It is sum, count, max, unique or last.');
	INSERT INTO kbilling.service (service, kind, unit, aggregation)
	VALUES (kb_create_service.service, kb_create_service.kind, kb_create_service.unit, kb_create_service.aggregation);
END;
COMMENT ON FUNCTION kbilling.kb_create_service(text, text, text, text) IS
'Creates a service, "recurring" or "metered"; 22023 for another kind or an unknown aggregation, 23505 if it exists';

CREATE FUNCTION kbilling.kb_set_price(tariff text, service text, price kbilling.kb_price,
									  from_date date = '-infinity', prorate boolean = true)
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
BEGIN ATOMIC
	SELECT kbilling.kb_require_not_null('price, from_date, prorate', price, from_date, prorate),
		   kbilling.kb_require_tariff(tariff), kbilling.kb_require_service(service),
		   kbilling.kb_raise_if(from_date = 'infinity', '22008', 'a price must begin some day');
	-- A price that is beyond a kb_money is refused here, not on the 1st.
	SELECT kbilling.kb_require_price_range(price, t.currency) FROM kbilling.tariff t WHERE t.tariff = kb_set_price.tariff;
	-- Two that set prices of one tariff take turns.
	SELECT FROM kbilling.tariff t WHERE t.tariff = kb_set_price.tariff FOR NO KEY UPDATE;
	UPDATE kbilling.price p SET to_date = kb_set_price.from_date
	WHERE p.tariff = kb_set_price.tariff AND p.service = kb_set_price.service
		AND p.from_date < kb_set_price.from_date AND p.to_date > kb_set_price.from_date;
	INSERT INTO kbilling.price (tariff, service, from_date, to_date, price, prorate)
	SELECT kb_set_price.tariff, kb_set_price.service, kb_set_price.from_date,
		   coalesce((SELECT min(p.from_date) FROM kbilling.price p
					 WHERE p.tariff = kb_set_price.tariff AND p.service = kb_set_price.service
						AND p.from_date > kb_set_price.from_date), 'infinity'),
		   kb_set_price.price, kb_set_price.prorate
	ON CONFLICT (tariff, service, from_date) DO UPDATE SET price = excluded.price, prorate = excluded.prorate;
END;
COMMENT ON FUNCTION kbilling.kb_set_price(text, text, kbilling.kb_price, date, boolean) IS
'Sets the price of a service in a tariff from a date on, until the next price; what is charged already stays. KB012 for an unknown tariff or service, 22003 for a price beyond kb_money';

CREATE FUNCTION kbilling.kb_set_bonus(tariff text, min_amount kbilling.kb_money, percent numeric,
									  from_date date = '-infinity', to_date date = 'infinity')
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
BEGIN ATOMIC
	SELECT kbilling.kb_require_not_null('min_amount, percent, from_date, to_date', min_amount, percent, from_date, to_date),
		   kbilling.kb_require_tariff(tariff),
		   kbilling.kb_raise_if(min_amount OPERATOR(kbilling.<) 0 OR percent NOT BETWEEN 0 AND 1000, '22023',
								format('a bonus of %s %% from %s makes no sense', percent, min_amount), NULL,
								'min_amount is zero or more, percent 0 to 1000.'),
		   kbilling.kb_raise_if(from_date >= to_date, '22008', 'to_date must be after from_date');
	SELECT kbilling.kb_raise_if(t.currency <> kbilling.kb_currency(min_amount), 'KB002',
								format('tariff "%s" is in %s, the bonus tier in %s',
									   t.tariff, t.currency, kbilling.kb_currency(min_amount)),
								'A tariff has one currency.', 'Give min_amount in it.')
	FROM kbilling.tariff t WHERE t.tariff = kb_set_bonus.tariff;
	INSERT INTO kbilling.bonus_tier (tariff, min_amount, from_date, to_date, percent)
	VALUES (kb_set_bonus.tariff, kb_set_bonus.min_amount, kb_set_bonus.from_date, kb_set_bonus.to_date, kb_set_bonus.percent)
	ON CONFLICT (tariff, min_amount, from_date) DO UPDATE SET to_date = excluded.to_date, percent = excluded.percent;
END;
COMMENT ON FUNCTION kbilling.kb_set_bonus(text, kbilling.kb_money, numeric, date, date) IS
'Sets the bonus tier that begins at min_amount (T5), from from_date to the day before to_date; KB012 for an unknown tariff, KB002 for another currency';
