/*
 * A price, and how a line of a charge makes up its amount, in words that a customer reads (P, C7).
 *
 * The steps and their facts are computed in C; a phrase is a pattern in the syntax of ICU's MessageFormat.
 */

-- A function, and not a view, so that everyone can explain a line: no view is open to PUBLIC.  Numbers are not grouped in
-- Ukrainian, whose space for that few encodings have.
CREATE FUNCTION kbilling_internal.kb_standard_phrases() RETURNS TABLE (phrase text, language text, pattern text)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 50
BEGIN ATOMIC
	SELECT t.phrase, t.language, t.pattern
	FROM (SELECT v.*, bool_and(v.pattern IS NOT NULL) OVER (PARTITION BY v.language) AS is_whole FROM (VALUES
		('price_flat', 'en',
		 '{price} a month'),
		('price_flat', 'uk',
		 kb_utf8('{price} на місяць')),

		('price_flat_once', 'en',
		 '{price} once'),
		('price_flat_once', 'uk',
		 kb_utf8('{price} одноразово')),

		('price_tier', 'en',
		 '{measure, select, units {{price} {has_unit, select, true {per {unit}} other {for each unit}}} packages {{price} for each package of {per, number, ::.############}{has_unit, select, true { ({unit})} other {}}, even if it is only begun} full_packages {{price} for each full package of {per, number, ::.############}{has_unit, select, true { ({unit})} other {}}} other {{percent, number, ::.############}% of the amount}}{has_fee, select, true {, and {fee} once} other {}}{position, select, first {{kind, select, volume {, if the total is at most {to, number, ::.############}} other {, for the first {to, number, ::.############}}}} middle {{kind, select, volume {, if the total is above {from, number, ::.############} and at most {to, number, ::.############}} other {, for those beyond {from, number, ::.############}, up to {to, number, ::.############}}}} last {{kind, select, volume {, if the total is above {from, number, ::.############}} other {, for those beyond {from, number, ::.############}}}} other {}}'),
		('price_tier', 'uk',
		 kb_utf8('{measure, select, units {{price} за одиницю{has_unit, select, true { ({unit})} other {}}} packages {{price} за кожен пакет по {per, number, ::.############ group-off}{has_unit, select, true { ({unit})} other {}}, навіть розпочатий} full_packages {{price} за кожен повний пакет по {per, number, ::.############ group-off}{has_unit, select, true { ({unit})} other {}}} other {{percent, number, ::.############ group-off}% від суми}}{has_fee, select, true {, і {fee} одноразово} other {}}{position, select, first {{kind, select, volume {, якщо всього не більше {to, number, ::.############ group-off}} other {, за перші {to, number, ::.############ group-off}}}} middle {{kind, select, volume {, якщо всього понад {from, number, ::.############ group-off} і не більше {to, number, ::.############ group-off}} other {, за наступні, від {from, number, ::.############ group-off} до {to, number, ::.############ group-off}}}} last {{kind, select, volume {, якщо всього понад {from, number, ::.############ group-off}} other {, за решту, понад {from, number, ::.############ group-off}}}} other {}}')),

		('price_event', 'en',
		 '{price} for each event'),
		('price_event', 'uk',
		 kb_utf8('{price} за кожну подію')),

		('price_free', 'en',
		 '{units, plural, one {the first one is} other {the first {units, number, ::.##################} are}} free'),
		('price_free', 'uk',
		 kb_utf8('{units, plural, one {перша {units, number, ::.################## group-off} одиниця безкоштовна} few {перші {units, number, ::.################## group-off} одиниці безкоштовні} many {перші {units, number, ::.################## group-off} одиниць безкоштовні} other {перші {units, number, ::.################## group-off} одиниці безкоштовні}}')),

		('price_min', 'en',
		 'at least {price} a month'),
		('price_min', 'uk',
		 kb_utf8('щонайменше {price} на місяць')),

		('price_max', 'en',
		 'at most {price} a month'),
		('price_max', 'uk',
		 kb_utf8('щонайбільше {price} на місяць')),

		('flat', 'en',
		 'Price of the month: {price}'),
		('flat', 'uk',
		 kb_utf8('Ціна за місяць: {price}')),

		('flat_once', 'en',
		 'Price: {price}'),
		('flat_once', 'uk',
		 kb_utf8('Ціна: {price}')),

		('free', 'en',
		 '{units, plural, one {{units, number, ::.##################} unit is} other {{units, number, ::.##################} units are}} free'),
		('free', 'uk',
		 kb_utf8('Безкоштовно: {units, plural, one {{units, number, ::.################## group-off} одиниця} few {{units, number, ::.################## group-off} одиниці} many {{units, number, ::.################## group-off} одиниць} other {{units, number, ::.################## group-off} одиниці}}')),

		('tier', 'en',
		 '{position, select, first {{kind, select, volume {The total is at most {to, number, ::.############}: } other {The first {to, number, ::.############}: }}} middle {{kind, select, volume {The total is above {from, number, ::.############} and at most {to, number, ::.############}: } other {Beyond {from, number, ::.############}, up to {to, number, ::.############}: }}} last {{kind, select, volume {The total is above {from, number, ::.############}: } other {Beyond {from, number, ::.############}: }}} other {}}{measure, select, units {{units, plural, one {{units, number, ::.##################} unit} other {{units, number, ::.##################} units}} at {price}} packages {{units, plural, one {{units, number, ::.##################} package} other {{units, number, ::.##################} packages}} of {per, number, ::.############} at {price}} full_packages {{units, plural, one {{units, number, ::.##################} full package} other {{units, number, ::.##################} full packages}} of {per, number, ::.############} at {price}} other {{percent, number, ::.############}% of {units, number, ::.##################}}}{has_fee, select, true {, and {fee} once} other {}}'),
		('tier', 'uk',
		 kb_utf8('{position, select, first {{kind, select, volume {Усього не більше {to, number, ::.############ group-off}: } other {Перші {to, number, ::.############ group-off}: }}} middle {{kind, select, volume {Усього понад {from, number, ::.############ group-off} і не більше {to, number, ::.############ group-off}: } other {Від {from, number, ::.############ group-off} до {to, number, ::.############ group-off}: }}} last {{kind, select, volume {Усього понад {from, number, ::.############ group-off}: } other {Понад {from, number, ::.############ group-off}: }}} other {}}{measure, select, units {{units, plural, one {{units, number, ::.################## group-off} одиниця} few {{units, number, ::.################## group-off} одиниці} many {{units, number, ::.################## group-off} одиниць} other {{units, number, ::.################## group-off} одиниці}} по {price}} packages {{units, plural, one {{units, number, ::.################## group-off} пакет} few {{units, number, ::.################## group-off} пакети} many {{units, number, ::.################## group-off} пакетів} other {{units, number, ::.################## group-off} пакета}} по {per, number, ::.############ group-off}, кожен за {price}} full_packages {{units, plural, one {{units, number, ::.################## group-off} повний пакет} few {{units, number, ::.################## group-off} повні пакети} many {{units, number, ::.################## group-off} повних пакетів} other {{units, number, ::.################## group-off} повного пакета}} по {per, number, ::.############ group-off}, кожен за {price}} other {{percent, number, ::.############ group-off}% від {units, number, ::.################## group-off}}}{has_fee, select, true {, і {fee} одноразово} other {}}')),

		('events', 'en',
		 '{units, plural, one {{units, number, ::.##################} event} other {{units, number, ::.##################} events}} at {price}'),
		('events', 'uk',
		 kb_utf8('{units, plural, one {{units, number, ::.################## group-off} подія} few {{units, number, ::.################## group-off} події} many {{units, number, ::.################## group-off} подій} other {{units, number, ::.################## group-off} події}} по {price}')),

		('minimum', 'en',
		 'Raised to the minimum of {price} a month{by_days, select, true {, for {days, number} of {days_in_month, number} days} other {}}'),
		('minimum', 'uk',
		 kb_utf8('Доповнено до мінімуму {price} на місяць{by_days, select, true {, за {days, plural, one {# день} few {# дні} many {# днів} other {# дня}} із {days_in_month, number}} other {}}')),

		('maximum', 'en',
		 'Lowered to the maximum of {price} a month{by_days, select, true {, for {days, number} of {days_in_month, number} days} other {}}'),
		('maximum', 'uk',
		 kb_utf8('Зменшено до максимуму {price} на місяць{by_days, select, true {, за {days, plural, one {# день} few {# дні} many {# днів} other {# дня}} із {days_in_month, number}} other {}}')),

		('days', 'en',
		 'Charged for {days, number} of {days_in_month, number} days'),
		('days', 'uk',
		 kb_utf8('Нараховано за {days, plural, one {# день} few {# дні} many {# днів} other {# дня}} із {days_in_month, number}')),

		('in_full', 'en',
		 'Charged in full, though it was on for {days, number} of {days_in_month, number} days'),
		('in_full', 'uk',
		 kb_utf8('Нараховано повністю, хоча діяло {days, plural, one {# день} few {# дні} many {# днів} other {# дня}} із {days_in_month, number}')),

		('late', 'en',
		 'All that was used in {month} is priced together'),
		('late', 'uk',
		 kb_utf8('Усе використане за {month} рахується разом')),

		('billed', 'en',
		 'Billed before: {units, plural, one {{units, number, ::.##################} unit} other {{units, number, ::.##################} units}}'),
		('billed', 'uk',
		 kb_utf8('Нараховано раніше: {units, plural, one {{units, number, ::.################## group-off} одиниця} few {{units, number, ::.################## group-off} одиниці} many {{units, number, ::.################## group-off} одиниць} other {{units, number, ::.################## group-off} одиниці}}')),

		('taken_back', 'en',
		 'What was charged is taken back'),
		('taken_back', 'uk',
		 kb_utf8('Нараховане скасовано')),

		('discount_percent', 'en',
		 '{percent, number, ::.####}% off {sum}'),
		('discount_percent', 'uk',
		 kb_utf8('Знижка {percent, number, ::.#### group-off}% від {sum}')),

		('discount_amount', 'en',
		 'This service''s part of {price} off a month, by what each service comes to'),
		('discount_amount', 'uk',
		 kb_utf8('Частка цієї послуги у знижці {price} на місяць, за вартістю кожної послуги')),

		('minimum_month', 'en',
		 'Minimum of {price} a month{by_days, select, true {, for {days, number} of {days_in_month, number} days} other {}}'),
		('minimum_month', 'uk',
		 kb_utf8('Мінімум {price} на місяць{by_days, select, true {, за {days, plural, one {# день} few {# дні} many {# днів} other {# дня}} із {days_in_month, number}} other {}}')),

		('minimum_days', 'en',
		 'Minimum of {price} for these days, as it has changed in the month'),
		('minimum_days', 'uk',
		 kb_utf8('Мінімум {price} за ці дні, бо протягом місяця він змінився')),

		('minimum_sum', 'en',
		 'Less what the other lines of the month come to'),
		('minimum_sum', 'uk',
		 kb_utf8('Мінус сума інших рядків за місяць')),

		('minimum_late', 'en',
		 'The minimum of {month} was counted before; what came late changes what is missing to it'),
		('minimum_late', 'uk',
		 kb_utf8('Мінімум за {month} враховано раніше; пізніше використане змінює те, чого до нього бракує')),

		('rounding', 'en',
		 'Rounding, together with the other lines of the month'),
		('rounding', 'uk',
		 kb_utf8('Округлення, разом з іншими рядками за місяць')),

		('nothing', 'en',
		 'Nothing to charge'),
		('nothing', 'uk',
		 kb_utf8('Немає що нараховувати'))
	) AS v (phrase, language, pattern)) t
	-- a language that the database's encoding cannot hold is left out, as phrases stand beside each other
	WHERE t.is_whole;
END;
COMMENT ON FUNCTION kb_standard_phrases() IS
'The phrases of kb_describe_price and kb_explain_line, in English and, where the database''s encoding can hold it, in '
'Ukrainian';

CREATE FUNCTION kbilling_internal.kb_price_steps(price kb_price, currency text, unit text)
	RETURNS TABLE (step_no integer, phrase text, facts jsonb, amount kb_money)
	LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 3
	AS 'MODULE_PATHNAME', 'kb_price_steps';
COMMENT ON FUNCTION kb_price_steps(kb_price, text, text) IS
'What a price says, as phrases of kb_standard_phrases with their facts; they have no amounts';

CREATE FUNCTION kbilling_internal.kb_line_steps(line jsonb)
	RETURNS TABLE (step_no integer, phrase text, facts jsonb, amount kb_money)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 3
	AS 'MODULE_PATHNAME', 'kb_line_steps';
COMMENT ON FUNCTION kb_line_steps(jsonb) IS
'How a line makes up its amount, as phrases of kb_standard_phrases with their facts. Errors: 22023 for what is no line';

CREATE FUNCTION kbilling.kb_describe_price(price kb_price, currency text, unit text = NULL, language text = NULL) RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_describe_price';
COMMENT ON FUNCTION kb_describe_price(kb_price, text, text, text) IS
'What a price says, in words that a customer reads (P): in English ("en"), which is also for languages that there are no '
'phrases in, or Ukrainian ("uk"). "unit" is what one unit is called. '
'Errors: 22023 for an unknown currency; 22004 without a price or a currency';

CREATE FUNCTION kbilling.kb_explain_line(line jsonb, language text = NULL)
	RETURNS TABLE (step_no integer, text text, amount kb_money)
	LANGUAGE c STABLE PARALLEL SAFE ROWS 4 SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_explain_line';
COMMENT ON FUNCTION kb_explain_line(jsonb, text) IS
'How a line of a charge, or of the running month, makes up its amount, step by step, in words that a customer reads (C7): '
'the price; units, packages and fees by its tiers; its minimum or maximum; the days; for late usage, what was billed '
'before; of what a discount is; what a tariff''s minimum lacks; rounding. The amounts of the steps add up to that of '
'the line; a step that only says something has none. "line" is '
'one of kb_portal or kb_history, or a row of kbilling.charge_line or kb_current_usage by to_jsonb. Languages are those of '
'kb_describe_price. '
'Errors: 22023 for what is no line of a charge';
