-- Names of services, tariffs, payment methods and units, by language (J9)
BEGIN;
SET LOCAL search_path = kbilling, kbilling_internal, public;
SELECT no_plan();
\ir ../include/error.sql

SET LOCAL kbilling.clock = '2026-10-01 10:00+00';
SELECT kb_create_tariff('std', 'USD', 'Standard'), kb_create_tariff('bare', 'USD'),
	kb_create_service('seat', 'recurring', 'seat', name => 'Seats'),
	kb_create_service('orders', 'metered', 'order'), kb_create_payment_method('cash', 'Cash')
\g /dev/null

-- language -> its first part -> the name in the row -> the code

SELECT kb_set_name('service', 'seat', 'uk', 'Місця'), kb_set_name('service', 'seat', 'uk-UA', 'Робочі місця'),
	kb_set_name('tariff', 'std', 'UK', 'Стандарт'), kb_set_name('unit', 'seat', 'uk', 'місце'),
	kb_set_name('payment_method', 'cash', 'uk', 'Готівка'), kb_set_name('payment_method', 'card', 'uk', 'Банківська картка'),
	kb_set_name('service', 'base', 'de', 'Grundgebühr')
\g /dev/null
SELECT is(kb_name(subject, code, language), expected, format('%s "%s" in "%s"', subject, code, language)) FROM (VALUES
	('service', 'seat', 'uk', 'Місця'), ('service', 'seat', 'uk-UA', 'Робочі місця'), ('service', 'seat', 'UK-ua', 'Робочі місця'),
	('service', 'seat', 'uk-PL', 'Місця'), ('service', 'seat', 'en', 'Seats'), ('service', 'seat', 'ukr', 'Seats'),
	('service', 'orders', 'uk', 'orders'), ('service', 'gone', 'uk', 'gone'),
	('tariff', 'std', 'uk', 'Стандарт'), ('tariff', 'std', 'en', 'Standard'), ('tariff', 'bare', 'en', 'bare'),
	('unit', 'seat', 'uk', 'місце'), ('unit', 'seat', 'en', 'seat'), ('unit', 'order', 'uk', 'order'),
	('payment_method', 'cash', 'uk', 'Готівка'), ('payment_method', 'cash', 'en', 'Cash'),
	-- built in
	('service', 'base', 'en', 'Base fee'), ('service', 'base', 'uk', 'Абонентська плата'),
	('service', 'base', 'uk-UA', 'Абонентська плата'),
	('service', 'base', 'de-AT', 'Grundgebühr'), ('service', 'base', 'fr', 'Base fee'), ('unit', 'month', 'uk', 'місяць'),
	('payment_method', 'card', 'uk', 'Банківська картка'), ('payment_method', 'card', 'en', 'Card'),
	('payment_method', 'bank_transfer', 'uk', 'Банківський переказ'), ('payment_method', 'bank_transfer', 'fr', 'Bank Transfer')
) AS t (subject, code, language, expected);
SELECT is_empty($$SELECT method, language FROM payment_method, unnest('{en,uk}'::text[]) AS language
	WHERE method = ANY (kb_standard_methods()) AND NOT EXISTS (SELECT FROM standard_name AS n
		WHERE (n.subject, n.code, n.language) = ('payment_method', method, language))$$, 'each built-in method has its names');

-- Removed, changed, logged

SELECT kb_set_name('service', 'seat', 'uk-UA', NULL), kb_set_name('tariff', 'std', 'uk', 'Базовий'),
	kb_set_name('tariff', 'std', 'uk', 'Базовий'), kb_set_name('tariff', 'std', 'fr', NULL)
\g /dev/null
SELECT is(kb_name('service', 'seat', 'uk-UA') || kb_name('tariff', 'std', 'uk'), 'МісцяБазовий',
	'null removes a name, another replaces it');
SELECT results_eq($$SELECT tariff::text, service::text, before ->> 'name', after ->> 'name' FROM change_log WHERE subject = 'name'
	ORDER BY change_id OFFSET 7$$, $$VALUES (NULL, 'seat', 'Робочі місця', NULL), ('std', NULL, 'Стандарт', 'Базовий')$$,
	'J9: changes are logged, and what changes nothing is not');
SELECT results_eq($$SELECT after FROM change_log WHERE subject = 'name' AND after ->> 'code' = 'cash'$$,
	$$VALUES ('{"subject": "payment_method", "code": "cash", "language": "uk", "name": "Готівка"}'::jsonb)$$,
	'J9: with all that is in the row');

SELECT is(pg_temp.error_of('SELECT ' || call), expected, call) FROM (VALUES
	('kb_set_name(''price'', ''x'', ''en'', ''X'')',
		'22023 "price" has no names | Name a "service", a "tariff", a "payment_method" or a "unit".'),
	('kb_set_name(''service'', ''x'', ''en'', ''X'')', 'KB012 there is no service "x" | Create it first; kbilling.service has the others.'),
	('kb_set_name(''payment_method'', ''x'', ''en'', ''X'')',
		'KB012 there is no payment method "x" | Create it first; kbilling.payment_method has the others.'),
	('kb_set_name(''unit'', ''x'', ''en'', ''X'')',
		'KB012 there is no unit "x" | Units are what services have in the column "unit" of kbilling.service.'),
	('kb_set_name(''service'', ''seat'', ''e'', ''X'')', '22023 "e" is not a language '
		'| A language is named by a tag of BCP 47, of at most 35 characters. | Write "en", "uk" or "uk-UA".'),
	('kb_set_name(''service'', ''seat'', ''en'', '' '')', '22023 a name must not be blank | To remove a name, pass NULL.'),
	('kb_set_name(''service'', ''seat'', NULL, ''X'')', '22004 language must not be null'),
	('kb_set_name(''service'', ''gone'', ''en'', NULL)', '')
) AS t (call, expected);

-- On the page, in the member's language, else in the policy's

INSERT INTO policy (policy, language) VALUES ('ours', 'uk-UA');
SELECT kb_create_tariff('ua', 'UAH', 'Start', 'ours'), kb_set_price('ua', 'base', '310'), kb_set_price('ua', 'seat', '31 each'),
	kb_create_account('own', 'ua', 1), kb_add_member(1, 'eve', 'admin'), kb_set_contact(1, 'eve', NULL, 'en-GB'), kb_switch_on(1, 'seat', 2)
\g /dev/null
SELECT kb_apply_topup(1, '10 UAH', 'card', 'p1') \g /dev/null
SELECT is((SELECT concat_ws(' ', p ->> 'language', p #>> '{tariff,name}', p #>> '{usage,lines,0,name}', p #>> '{usage,lines,1,name}',
	p #>> '{usage,lines,1,unit}', p #>> '{entries,0,method,name}') FROM kb_portal(1, member) AS p), expected, 'names for ' || member)
FROM (VALUES ('own', 'uk-UA Start Абонентська плата Місця місце Банківська картка'), ('eve', 'en-GB Start Base fee Seats seat Card'))
	AS t (member, expected);
SELECT is((SELECT text FROM kb_explain_line((kb_portal(1, 'own') #> '{usage,lines,1}'), kb_portal(1, 'own') ->> 'language') LIMIT 1),
	'31.00 UAH за одиницю (місце)', 'P: a line is explained with the unit as the page shows it');

SELECT * FROM finish();
ROLLBACK;
