/*
 * Bonus tiers: what paying ahead earns (T5).
 */

CREATE TABLE kbilling.bonus_tier (
	tariff     kb_text NOT NULL REFERENCES tariff,
	min_amount kb_money NOT NULL CHECK (min_amount >= 0),
	from_date  date NOT NULL DEFAULT '-infinity',
	to_date    date NOT NULL DEFAULT 'infinity',
	percent    numeric NOT NULL CHECK (percent >= 0 AND percent <= 1000),
	valid_days integer CHECK (valid_days BETWEEN 1 AND 36500),
	PRIMARY KEY (tariff, min_amount, from_date),
	CHECK (from_date < to_date)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.bonus_tier', '');
COMMENT ON TABLE bonus_tier IS 'Tiers of the bonus for paying ahead (T5)';
COMMENT ON COLUMN bonus_tier.tariff IS 'The tariff';
COMMENT ON COLUMN bonus_tier.min_amount IS
'The tier is reached if the part of a top-up that is left after the debt is at least this';
COMMENT ON COLUMN bonus_tier.from_date IS 'First day on which the tier holds';
COMMENT ON COLUMN bonus_tier.to_date IS 'The day after the last on which it holds';
COMMENT ON COLUMN bonus_tier.percent IS
'The bonus, in percent of that part, from 0 to 1000. At 0, a top-up that reaches the tier earns none';

COMMENT ON COLUMN bonus_tier.valid_days IS
'For how many days its bonus is good, the day on which it is earned among them (G1); NULL: it never expires';

CREATE FUNCTION kbilling.kb_set_bonus(tariff text, min_amount kb_money, percent numeric,
									  from_date date = '-infinity', to_date date = 'infinity', valid_days integer = NULL)
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('min_amount, percent, from_date, to_date', min_amount, percent, from_date, to_date);
	SELECT kb_require_tariff(tariff);
	SELECT CASE
		WHEN min_amount < 0 OR percent NOT BETWEEN 0 AND 1000
			THEN kb_raise('22023', format('a bonus of %s %% from %s is out of range', percent, min_amount), NULL,
						  'min_amount is zero or more, percent 0 to 1000.')
		WHEN valid_days NOT BETWEEN 1 AND 36500
			THEN kb_raise('22023', format('a bonus cannot be good for %s days', valid_days), NULL,
						  'valid_days is from 1 to 36500, or NULL for a bonus that never expires.')
		WHEN from_date >= to_date
			THEN kb_raise('22008', 'to_date must be after from_date')
		WHEN t.currency <> kb_currency(min_amount)
			THEN kb_raise('KB002', format('tariff "%s" is in %s, but the bonus tier is in %s',
										  t.tariff, t.currency, kb_currency(min_amount)),
						  'A tariff has one currency.', 'Give min_amount in it.')
		END
	FROM tariff t WHERE t.tariff = kb_set_bonus.tariff;
	-- Two that set tiers of one tariff take turns.
	SELECT FROM tariff t WHERE t.tariff = kb_set_bonus.tariff FOR NO KEY UPDATE;
	WITH old AS MATERIALIZED (
		SELECT to_jsonb(b) - 'tariff' AS tier FROM bonus_tier b
		WHERE (b.tariff, b.min_amount, b.from_date) = (kb_set_bonus.tariff, kb_set_bonus.min_amount, kb_set_bonus.from_date)
	), new AS (
		INSERT INTO bonus_tier AS b (tariff, min_amount, from_date, to_date, percent, valid_days)
		VALUES (kb_set_bonus.tariff, kb_set_bonus.min_amount, kb_set_bonus.from_date, kb_set_bonus.to_date, kb_set_bonus.percent,
				kb_set_bonus.valid_days)
		ON CONFLICT (tariff, min_amount, from_date) DO UPDATE
			SET to_date = excluded.to_date, percent = excluded.percent, valid_days = excluded.valid_days
		RETURNING to_jsonb(b) - 'tariff' AS tier
	)
	INSERT INTO change_log (subject, tariff, before, after)
	SELECT 'bonus_tier', kb_set_bonus.tariff, old.tier, new.tier FROM new LEFT JOIN old ON true
	WHERE new.tier IS DISTINCT FROM old.tier;
END;
COMMENT ON FUNCTION kb_set_bonus(text, kb_money, numeric, date, date, integer) IS
'Sets the bonus tier that begins at "min_amount" (T5). It holds from "from_date" to the day before "to_date"; its '
'bonus is good for "valid_days", the day on which it is earned among them (G1); without them, for ever, though the tier had some '
'before. '
'Errors: KB012 for an unknown tariff, KB002 for another currency, 22023 for numbers out of range, 22008 if it ends before it begins';

CREATE FUNCTION kbilling_internal.kb_bonus(amount kb_money, percent numeric) RETURNS kb_money
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN amount * (percent / 100);
COMMENT ON FUNCTION kb_bonus(kb_money, numeric) IS
'So many percent of the amount, rounded half away from zero (T5, M4)';
