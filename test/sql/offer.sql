-- What to offer for a top-up: the debt, the months to come, the tiers (T5)
BEGIN;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/clock.sql

-- 30.00 a month, and 10 % from 100, 20 % from 300 on

SET LOCAL kbilling.clock = '2026-11-01 10:00+00';
SELECT kb_create_tariff('std', 'USD'), kb_set_price('std', 'base', '30.00'),
	kb_set_bonus('std', '100 USD', 10), kb_set_bonus('std', '300 USD', 20),
	kb_create_tariff('flat', 'USD'), kb_set_price('flat', 'base', '30.00'), kb_create_service('seat', 'recurring'),
	kb_set_price('std', 'seat', '1 each')
\g /dev/null
CREATE FUNCTION pg_temp.offers(account bigint) RETURNS text LANGUAGE sql RETURN
	(SELECT string_agg(concat_ws(' ', reason, months, kb_amount(amount) || '+' || kb_amount(bonus)), ', ') FROM kb_topup_offers(account));
CREATE FUNCTION pg_temp.account(id bigint, tariff text, balance text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kbilling.kb_create_account('own', tariff, id);
	IF balance IS NOT NULL THEN
		PERFORM kbilling.kb_adjust(id, balance::kbilling.kb_money, 'start', 'start');
	END IF;
	RETURN id;
END $$;
SELECT is(pg_temp.offers(pg_temp.account(id, tariff, balance)), expected,
	format('T5: offers in %s on %s', tariff, coalesce(balance, 'nothing')))
FROM (VALUES
	-- 30, 90, 180, 360 for the months; 100 and 300 for the tiers
	(1, 'std', NULL, 'month 1 30.00+0.00, months 3 90.00+0.00, tier 100.00+10.00, months 6 180.00+18.00, '
		'tier 300.00+60.00, months 12 360.00+72.00'),
	-- the debt comes on top, and earns nothing
	(2, 'std', '-10 USD', 'debt 10.00+0.00, month 1 40.00+0.00, months 3 100.00+0.00, tier 110.00+10.00, months 6 190.00+18.00, '
		'tier 310.00+60.00, months 12 370.00+72.00'),
	-- what is there is enough for three months, and half of six
	(3, 'std', '90 USD', 'months 6 90.00+0.00, tier 100.00+10.00, months 12 270.00+27.00, tier 300.00+60.00'),
	-- no amount twice: 100 for a month and for a tier is a month's
	(4, 'std', '260 USD', 'months 12 100.00+10.00, tier 300.00+60.00'),
	(5, 'std', '-1000000 USD', 'debt 1000000.00+0.00, month 1 1000030.00+0.00, months 3 1000090.00+0.00, tier 1000100.00+10.00, '
		'months 6 1000180.00+18.00, tier 1000300.00+60.00, months 12 1000360.00+72.00'),
	(6, 'flat', '-30 USD', 'debt 30.00+0.00, month 1 60.00+0.00, months 3 120.00+0.00, months 6 210.00+0.00, months 12 390.00+0.00'),
	(7, 'flat', '1000 USD', NULL)
) AS t (id, tariff, balance, expected);
-- months that are due, but not charged yet, are covered too
SELECT pg_temp.clock('2026-12-10 10:00+00') \g /dev/null
SELECT is(pg_temp.offers(6), 'debt 30.00+0.00, month 1 90.00+0.00, months 3 150.00+0.00, months 6 240.00+0.00, months 12 420.00+0.00',
	'C4: after a month that is still to be charged');
SELECT is((SELECT concat_ws(' ', n ->> 'period', n ->> 'charged_on', n #>> '{amount,amount}')
		FROM kb_portal(6, 'own') AS p, jsonb(p -> 'next_charge') AS n),
	'2026-11-01 2026-12-01 30.00', 'C4: which is the next charge');
SELECT kb_month_charge(6) \g /dev/null
SELECT is(pg_temp.offers(6), 'debt 60.00+0.00, month 1 90.00+0.00, months 3 150.00+0.00, months 6 240.00+0.00, months 12 420.00+0.00',
	'the same once it is charged');
SELECT is((SELECT concat_ws(' ', n ->> 'period', n ->> 'charged_on', n #>> '{amount,amount}')
		FROM kb_portal(6, 'own') AS p, jsonb(p -> 'next_charge') AS n),
	'2026-12-01 2027-01-01 30.00', 'C1: and then the running month');
-- a tariff that is planned
SELECT kb_set_tariff(6, 'std', '2027-01-16'), kb_switch_on(6, 'seat', 7, '2027-02-01') \g /dev/null
SELECT is(kb_portal(6, 'own') -> 'next_tariff', '{"tariff": "std", "name": "std", "from_date": "2027-01-16"}',
	'C3: a tariff that is planned');
SELECT is(kb_portal(6, 'own') -> 'tariff', '{"tariff": "flat", "name": "flat"}', 'and that of today');

-- What is offered is what the functions say, for accounts of all sorts

SELECT kb_set_price('std', 'base', '33.33', '2027-03-01'), kb_set_bonus('std', '60 USD', 3.3, to_date => '2027-01-01'),
	kb_switch_on(3, 'seat', 2.5, '2027-01-07'), kb_set_tariff(2, 'flat', '2027-05-20')
\g /dev/null
SELECT is_empty($$SELECT account_id, o.amount FROM account AS a, kb_topup_offers(a.account_id) AS o
	WHERE reason IN ('month', 'months') AND o.amount IS DISTINCT FROM kb_amount_for(a.account_id, months)$$, 'the months by kb_amount_for');
SELECT is_empty($$SELECT account_id, n FROM account AS a, unnest('{1,3,6,12}'::integer[]) AS n
	WHERE kb_amount_for(a.account_id, n) > 0
		AND kb_amount_for(a.account_id, n) NOT IN (SELECT amount FROM kb_topup_offers(a.account_id))$$, 'and each of them is offered');
SELECT is_empty($$SELECT account_id, amount FROM account AS a, kb_topup_offers(a.account_id) GROUP BY 1, 2 HAVING count(*) > 1$$,
	'no amount twice');
SELECT is_empty($$SELECT a.account_id, o.amount, o.bonus, b.bonus FROM account AS a, kb_topup_offers(a.account_id) AS o,
	kb_begin_topup(a.account_id, 'own', o.amount) AS b WHERE b.bonus <> o.bonus$$, 'T5: whatever is offered, the payment of it would earn');

-- An account of many services: a forecast may be refused, and the page is there all the same

SELECT kb_create_service('s' || n, 'recurring'), kb_set_price('flat', 's' || n, '0.01') FROM generate_series(1, 20) AS n \g /dev/null
INSERT INTO subscription (account_id, service, quantity, from_date, to_date)
	SELECT 7, 's' || 1 + n % 20, 1, date '2026-12-01' + n, date '2026-12-02' + n FROM generate_series(1, 8400) AS n;
SELECT is(pg_temp.offers(7), NULL, 'the months are left out where a forecast would take seconds');
SELECT is(kb_portal(7, 'own') -> 'next_charge', 'null', 'and so is the next charge');

SELECT * FROM finish();
ROLLBACK;
