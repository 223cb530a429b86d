/*
 * Discounts of accounts, codes that grant them, and minimums of tariffs (C9, C10).
 */

CREATE TABLE kbilling.tariff_minimum (
	tariff    kb_text NOT NULL REFERENCES tariff,
	from_date date NOT NULL,
	to_date   date NOT NULL DEFAULT 'infinity',
	amount    kb_money NOT NULL CHECK (amount >= 0),
	PRIMARY KEY (tariff, from_date),
	CHECK (from_date < to_date)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.tariff_minimum', '');
COMMENT ON TABLE tariff_minimum IS 'The least that a month costs on a tariff, all lines together, by date (C10); written by kb_set_minimum';
COMMENT ON COLUMN tariff_minimum.tariff IS 'The tariff';
COMMENT ON COLUMN tariff_minimum.from_date IS 'First day on which it holds';
COMMENT ON COLUMN tariff_minimum.to_date IS 'The day after the last on which it holds: the next row''s "from_date"';
COMMENT ON COLUMN tariff_minimum.amount IS 'The least for a whole month; zero: there is none';

CREATE TABLE kbilling.discount (
	account_id  bigint NOT NULL REFERENCES account,
	discount_no integer NOT NULL,
	percent     numeric,
	amount      kb_money,
	services    text[],
	from_period date NOT NULL,
	to_period   date NOT NULL DEFAULT 'infinity',
	code        kb_text,
	PRIMARY KEY (account_id, discount_no),
	CHECK ((percent IS NULL) <> (amount IS NULL)),
	CHECK (from_period <= to_period)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.discount', '');
COMMENT ON TABLE discount IS
'Discounts of accounts (C9); written by kb_set_discount and kb_redeem_code. One that has ended, or was replaced, stays';
COMMENT ON COLUMN discount.account_id IS 'The account';
COMMENT ON COLUMN discount.discount_no IS 'Its number within the account; discounts are taken in the order of their numbers';
COMMENT ON COLUMN discount.percent IS 'How much it takes off, in percent; NULL if it is an amount';
COMMENT ON COLUMN discount.amount IS 'How much it takes off a month; NULL if it is a percentage';
COMMENT ON COLUMN discount.services IS 'The services that it is for, in their order; NULL: all';
COMMENT ON COLUMN discount.from_period IS 'The first month that it is for, by its first day';
COMMENT ON COLUMN discount.to_period IS 'The month after the last that it is for; if it is "from_period", it is for none';
COMMENT ON COLUMN discount.code IS 'The code that granted it; NULL: kb_set_discount';

CREATE TABLE kbilling.discount_code (
	code        kb_text PRIMARY KEY CHECK (code <> ''),
	percent     numeric,
	amount      kb_money,
	services    text[],
	months      integer CHECK (months > 0),
	valid_until date NOT NULL DEFAULT 'infinity',
	max_uses    integer CHECK (max_uses > 0),
	CHECK ((percent IS NULL) <> (amount IS NULL))
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.discount_code', '');
COMMENT ON TABLE discount_code IS 'Codes that grant a discount (C9); written by kb_create_discount_code';
COMMENT ON COLUMN discount_code.code IS 'The code, as it is to be typed';
COMMENT ON COLUMN discount_code.percent IS 'How much the discount takes off, in percent; NULL if it is an amount';
COMMENT ON COLUMN discount_code.amount IS 'How much it takes off a month; NULL if it is a percentage';
COMMENT ON COLUMN discount_code.services IS 'The services that it is for, in their order; NULL: all';
COMMENT ON COLUMN discount_code.months IS 'For how many months it is, from the one in which the code is redeemed; NULL: for good';
COMMENT ON COLUMN discount_code.valid_until IS 'The last day on which the code can be redeemed, by the account''s local date';
COMMENT ON COLUMN discount_code.max_uses IS 'How many accounts can redeem it on one node; NULL: any number';

CREATE TABLE kbilling.discount_code_use (
	code kb_text PRIMARY KEY,
	uses integer NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.discount_code_use', '');
COMMENT ON TABLE discount_code_use IS
'How many accounts have redeemed a code on this node (C9). It is no part of the price list: each node counts its own';
COMMENT ON COLUMN discount_code_use.code IS 'The code';
COMMENT ON COLUMN discount_code_use.uses IS 'How many accounts';

-- Minimums

CREATE FUNCTION kbilling_internal.kb_put_minimum(tariff text, amount kb_money, from_date date) RETURNS date
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	INSERT INTO change_log (subject, tariff, before, after)
	SELECT 'minimum', $1,
		   (SELECT to_jsonb(m) - 'tariff' FROM tariff_minimum m WHERE m.tariff = $1 AND m.from_date <= $3 AND m.to_date > $3),
		   jsonb_build_object('amount', $2, 'from_date', $3, 'to_date', coalesce(
			   (SELECT min(m.from_date) FROM tariff_minimum m WHERE m.tariff = $1 AND m.from_date > $3), 'infinity'));
	UPDATE tariff_minimum m SET to_date = $3 WHERE m.tariff = $1 AND m.from_date < $3 AND m.to_date > $3;
	INSERT INTO tariff_minimum AS m (tariff, from_date, to_date, amount)
	SELECT $1, $3, coalesce((SELECT min(n.from_date) FROM tariff_minimum n WHERE n.tariff = $1 AND n.from_date > $3), 'infinity'), $2
	ON CONFLICT ON CONSTRAINT tariff_minimum_pkey DO UPDATE SET amount = excluded.amount;
	SELECT $3;
END;
COMMENT ON FUNCTION kb_put_minimum(text, kb_money, date) IS
'Writes what kb_set_minimum sets, from a date on to that of the next one, logs it (J9), and returns the date. The tariff is '
'locked';

CREATE FUNCTION kbilling.kb_set_minimum(tariff text, amount kb_money, from_date date = NULL) RETURNS date
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('amount', amount);
	SELECT kb_require_tariff(tariff);
	SELECT CASE
		WHEN t.currency <> kb_currency(amount)
			THEN kb_raise('KB002', format('tariff "%s" is in %s, but the minimum is in %s', t.tariff, t.currency, kb_currency(amount)),
						  'A tariff has one currency.', 'Give the minimum in it.')
		WHEN amount < 0
			THEN kb_raise('22023', 'a minimum must not be below zero', format('It is %s.', amount), 'Zero is no minimum.')
		WHEN from_date = 'infinity'
			THEN kb_raise('22008', 'from_date must not be infinity', NULL, 'Leave it out for the 1st of next month.')
		END
	FROM tariff t WHERE t.tariff = kb_set_minimum.tariff;
	-- Two that set terms of one tariff take turns.
	SELECT FROM tariff t WHERE t.tariff = kb_set_minimum.tariff FOR NO KEY UPDATE;
	SELECT coalesce((SELECT m.from_date FROM tariff_minimum m
					 WHERE m.tariff = $1 AND m.from_date <= d.day AND m.to_date > d.day AND kb_minor(m.amount) = kb_minor($2)),
					kb_put_minimum($1, $2, d.day))
	FROM (SELECT coalesce($3, CASE WHEN EXISTS (SELECT FROM tariff_minimum m WHERE m.tariff = $1)
								  THEN kb_month_last_day(kb_account_date(kb_now(), 'UTC')) + 1 ELSE '-infinity' END) AS day) d;
END;
COMMENT ON FUNCTION kb_set_minimum(text, kb_money, date) IS
'Sets the least that a month costs on a tariff, all lines together, from a date on, until that of the next one, and returns the date '
'from which it holds (C10). Zero: there is none. NULL is the beginning for a tariff''s first minimum, and for a change the 1st of next '
'month (UTC). A date that has passed counts for months that are not charged yet. '
'Errors: KB012 for an unknown tariff, KB002 for another currency, 22023 below zero, 22008 for infinity';

-- Discounts

CREATE FUNCTION kbilling_internal.kb_require_discount(percent numeric, amount kb_money, services text[], months integer) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN percent IS NOT NULL AND amount IS NOT NULL
			THEN kb_raise('22023', 'a discount is a percentage or an amount', 'Both are given.', 'Give one of them.')
		WHEN NOT (percent > 0 AND percent <= 100) OR scale(percent) > 4
			THEN kb_raise('22023', 'percent must be above 0, at most 100, with up to 4 decimals', format('It is %s.', percent),
						  'A discount never takes more than what is charged.')
		WHEN amount <= 0
			THEN kb_raise('22023', 'amount must be above zero', format('It is %s.', amount), 'It is what is taken off a month.')
		WHEN services = '{}' OR array_position(services, NULL) IS NOT NULL
			THEN kb_raise('22023', 'services must not be empty, and must not have null', NULL, 'Leave them out for all services.')
		WHEN months <= 0
			THEN kb_raise('22023', 'months must be above zero', format('It is %s.', months), 'Leave it out for a discount without end.')
		END;
	SELECT kb_require_service(s) FROM unnest(services) s;
	SELECT CASE
		WHEN s.kind = 'one_off'
			THEN kb_raise('22023', format('service "%s" cannot be discounted', s.service), 'It is charged when it is bought.',
						  'Set another price for it in a tariff.')
		END
	FROM service s WHERE s.service = ANY (services);
END;
COMMENT ON FUNCTION kb_require_discount(numeric, kb_money, text[], integer) IS
'Raises 22023 for a discount that is none, KB012 for an unknown service';

CREATE FUNCTION kbilling_internal.kb_require_discount_currency(account_id bigint, amount kb_money) RETURNS void
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN a.currency <> kb_currency($2)
			THEN kb_raise('KB002', format('account %s is in %s, but the discount is in %s', $1, a.currency, kb_currency($2)), NULL,
						  format('Give a discount in %s, or in percent.', a.currency))
		END
	FROM account a WHERE a.account_id = $1;
END;
COMMENT ON FUNCTION kb_require_discount_currency(bigint, kb_money) IS 'Raises KB002 if the discount is not in the account''s currency';

CREATE FUNCTION kbilling_internal.kb_put_discount(account_id bigint, percent numeric, amount kb_money, services text[], from_period date,
												  months integer, code text, member text)
	RETURNS integer
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH new AS (
		INSERT INTO discount AS d (account_id, discount_no, percent, amount, services, from_period, to_period, code)
		SELECT $1, coalesce(max(o.discount_no), 0) + 1, $2, $3, $4, $5, coalesce(($5 + $6 * interval '1 month')::date, 'infinity'), $7
		FROM discount o WHERE o.account_id = $1
		RETURNING d.*
	), logged AS (
		INSERT INTO change_log (subject, account_id, member, after)
		SELECT 'discount', $1, $8, to_jsonb(new) - 'account_id' FROM new
	)
	SELECT new.discount_no FROM new;
END;
COMMENT ON FUNCTION kb_put_discount(bigint, numeric, kb_money, text[], date, integer, text, text) IS
'Writes a discount, logs it (J9), and returns its number. The account is locked';

CREATE FUNCTION kbilling_internal.kb_discount_from(account_id bigint) RETURNS date
	LANGUAGE sql STABLE
RETURN (SELECT kb_month_first_day(greatest(kb_today(a.account_id), a.charged_through + 1)) FROM account a WHERE a.account_id = $1);
COMMENT ON FUNCTION kb_discount_from(bigint) IS
'The month from which a discount holds that is agreed now: the running one, or the one after it if that is charged, as the contract '
'has ended (C9)';

CREATE FUNCTION kbilling_internal.kb_replace_discount(account_id bigint, percent numeric, amount kb_money, services text[],
													  from_period date, months integer)
	RETURNS integer
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	WITH old AS MATERIALIZED (
		SELECT d.* FROM discount d
		WHERE d.account_id = $1 AND d.code IS NULL AND d.services IS NOT DISTINCT FROM $4 AND d.to_period > $5
			AND d.from_period < d.to_period
	), new AS (
		UPDATE discount d SET to_period = greatest(d.from_period, $5)
		FROM old WHERE d.account_id = $1 AND d.discount_no = old.discount_no
		RETURNING d.*
	)
	INSERT INTO change_log (subject, account_id, before, after)
	SELECT 'discount', $1, to_jsonb(old) - 'account_id', to_jsonb(new) - 'account_id' FROM old JOIN new USING (discount_no);
	-- A charge that was computed meanwhile is computed again.
	UPDATE account a SET terms_version = a.terms_version + 1 WHERE a.account_id = $1;
	SELECT kb_put_discount($1, $2, $3, $4, $5, $6, NULL, NULL) WHERE $2 IS NOT NULL OR $3 IS NOT NULL;
END;
COMMENT ON FUNCTION kb_replace_discount(bigint, numeric, kb_money, text[], date, integer) IS
'Ends the discount that kb_set_discount has set for these services, from a month on, and those to come, puts another one in its place, '
'logs both (J9), and returns the number of the new one. The account is locked';

CREATE FUNCTION kbilling.kb_set_discount(account_id bigint, percent numeric = NULL, amount kb_money = NULL, services text[] = NULL,
										 months integer = NULL, from_period date = NULL)
	RETURNS integer
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_discount($2, $3, $4, $5);
	SELECT kb_lock_account($1);
	SELECT kb_require_discount_currency($1, $3);
	SELECT CASE
		WHEN NOT isfinite($6) OR $6 <> kb_month_first_day($6)
			THEN kb_raise('22023', format('%s is not the first day of a month', $6), NULL, 'A period is named by its first day.')
		WHEN $6 < kb_month_first_day(a.charged_through + 1)
			THEN kb_raise('KB009', format('period %s of account %s has been charged', $6, $1), 'What is charged stays as it is (C4).',
						  'Let the discount begin with a later month, or give back money with kb_adjust.')
		END
	FROM account a WHERE a.account_id = $1;
	SELECT coalesce((SELECT max(d.discount_no) FROM discount d
					 WHERE d.account_id = $1 AND d.code IS NULL AND d.services IS NOT DISTINCT FROM w.services
						AND d.from_period <= w.from_period AND d.to_period > w.from_period
						AND d.to_period = coalesce((w.from_period + $5 * interval '1 month')::date, 'infinity')
						AND (d.percent = $2 OR kb_minor(d.amount) = kb_minor($3))),
					kb_replace_discount($1, trim_scale($2), $3, w.services, w.from_period, $5))
	FROM (SELECT coalesce($6, kb_discount_from($1)) AS from_period,
				 (SELECT array_agg(DISTINCT s ORDER BY s) FROM unnest($4) s) AS services) w;
END;
COMMENT ON FUNCTION kb_set_discount(bigint, numeric, kb_money, text[], integer, date) IS
'Sets an account''s own discount, in percent or as an amount a month, for the lines of these services (NULL: all), for so many months '
'(NULL: without end), from the month that is named by its first day (NULL: the running one, or the next if that is charged), and returns '
'its number (C9). It takes the place of the one for the same services, from that month on; without percent and amount that one ends, and '
'the result is NULL. '
'Errors: KB001, KB010; KB002 for another currency; KB009 for a month that is charged; KB012 for an unknown service; 22023 for other '
'numbers, a service of the kind "one_off", and a date that is not the first of a month';

-- Codes

CREATE FUNCTION kbilling.kb_create_discount_code(code text, percent numeric = NULL, amount kb_money = NULL, services text[] = NULL,
												 months integer = NULL, valid_until date = NULL, max_uses integer = NULL)
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('code', code);
	SELECT kb_require_discount($2, $3, $4, $5);
	SELECT CASE
		WHEN code = ''
			THEN kb_raise('22023', 'code must not be empty')
		WHEN percent IS NULL AND amount IS NULL
			THEN kb_raise('22023', 'a discount is a percentage or an amount', 'None is given.', 'Give one of them.')
		WHEN max_uses <= 0
			THEN kb_raise('22023', 'max_uses must be above zero', format('It is %s.', max_uses), 'Leave it out for any number.')
		END;
	WITH new AS (
		INSERT INTO discount_code AS c (code, percent, amount, services, months, valid_until, max_uses)
		SELECT $1, trim_scale($2), $3, (SELECT array_agg(DISTINCT s ORDER BY s) FROM unnest($4) s), $5, coalesce($6, 'infinity'), $7
		RETURNING c.*
	)
	INSERT INTO change_log (subject, after) SELECT 'discount_code', to_jsonb(new) FROM new;
END;
COMMENT ON FUNCTION kb_create_discount_code(text, numeric, kb_money, text[], integer, date, integer) IS
'Creates a code that grants a discount when it is redeemed: percent or amount, services and months are as in kb_set_discount (C9). '
'It can be redeemed up to the day "valid_until" (NULL: always), by "max_uses" accounts (NULL: any number), which each node counts for '
'itself. '
'Errors: 23505 if the code exists; KB012 for an unknown service; 22023 as kb_set_discount, and without percent and amount';

CREATE FUNCTION kbilling.kb_drop_discount_code(code text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('code', code);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM discount_code c WHERE c.code = $1)
			THEN kb_raise('22023', format('there is no discount code "%s"', $1), NULL, 'Look it up in kbilling.discount_code.')
		END;
	WITH old AS (
		DELETE FROM discount_code c WHERE c.code = $1 RETURNING c.*
	)
	INSERT INTO change_log (subject, before) SELECT 'discount_code', to_jsonb(old) FROM old;
END;
COMMENT ON FUNCTION kb_drop_discount_code(text) IS
'Drops a discount code, so that nobody redeems it any more. The discounts that it has granted stay. '
'Errors: 22023 for an unknown code';

-- Who counts a use waits for whoever counts another one, so that no more are counted than there may be.
CREATE FUNCTION kbilling_internal.kb_use_code(account_id bigint, code text, member text) RETURNS integer
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT CASE
		WHEN c.code IS NULL
			THEN kb_raise('22023', format('there is no discount code "%s"', $2), NULL, 'A code is to be typed as it was given.')
		WHEN c.valid_until < kb_today($1)
			THEN kb_raise('22008', format('discount code "%s" is not valid any more', $2), format('It was valid until %s.', c.valid_until),
						  'Ask for another code.')
		END
	FROM (SELECT) x LEFT JOIN discount_code c ON c.code = $2;
	SELECT kb_require_discount_currency($1, c.amount) FROM discount_code c WHERE c.code = $2;
	WITH used AS (
		INSERT INTO discount_code_use AS u (code, uses) SELECT c.code, 1 FROM discount_code c WHERE c.code = $2
		ON CONFLICT ON CONSTRAINT discount_code_use_pkey DO UPDATE SET uses = u.uses + 1
			WHERE u.uses < coalesce((SELECT c.max_uses FROM discount_code c WHERE c.code = u.code), 2147483647)
		RETURNING u.code
	)
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM used)
			THEN kb_raise('KB013', format('discount code "%s" is used up', $2),
						  format('%s accounts can redeem it.', (SELECT c.max_uses FROM discount_code c WHERE c.code = $2)),
						  'Ask for another code.')
		END;
	UPDATE account a SET terms_version = a.terms_version + 1 WHERE a.account_id = $1;
	SELECT kb_put_discount($1, c.percent, c.amount, c.services, kb_discount_from($1), c.months, c.code, $3)
	FROM discount_code c WHERE c.code = $2;
END;
COMMENT ON FUNCTION kb_use_code(bigint, text, text) IS
'Counts a use of a code, and grants its discount to an account, which is locked and has not redeemed it yet';

CREATE FUNCTION kbilling.kb_redeem_code(account_id bigint, code text, member text) RETURNS integer
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('code, member', code, member);
	SELECT kb_lock_account(account_id);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM member m WHERE m.account_id = $1 AND m.member = $3 AND m.role IN ('owner', 'admin'))
			THEN kb_raise('KB004', format('member "%s" may not redeem a code for account %s', $3, $1),
						  'Only an owner or admin of the account redeems codes.', 'Ask for an owner or admin.')
		END;
	SELECT coalesce((SELECT d.discount_no FROM discount d WHERE d.account_id = $1 AND d.code = $2), kb_use_code($1, $2, $3));
END;
COMMENT ON FUNCTION kb_redeem_code(bigint, text, text) IS
'Redeems a code for an account: its discount holds from the running month on, or from the next if that is charged, and its number is '
'returned (C9). "member" is who redeems it, an owner or admin. An account redeems a code once; again, the result is the same, and '
'nothing changes. '
'Errors: KB001, KB010; KB002 for a discount in another currency; KB004 if the member is no owner or admin; KB013 if the code is used up; '
'22008 if it is not valid any more; 22023 for an unknown code';

-- What a bill takes from here

CREATE FUNCTION kbilling_internal.kb_discount_terms(account_id bigint, period date)
	RETURNS TABLE (term text, service text, number numeric, discount_no integer)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT CASE WHEN d.percent IS NULL THEN 'amount' ELSE 'percent' END, unnest(coalesce(d.services, '{NULL}')),
		   coalesce(d.percent, kb_amount(d.amount)), d.discount_no
	FROM discount d
	WHERE d.account_id = $1 AND d.from_period <= $2 AND d.to_period > $2;
END;
COMMENT ON FUNCTION kb_discount_terms(bigint, date) IS
'The discounts of an account for a month, a row for each service; NULL for all of them (C9)';

CREATE FUNCTION kbilling_internal.kb_minimum_terms(account_id bigint, tariff text, tariff_from date, first_day date, last_day date)
	RETURNS TABLE (from_date date, to_date date, amount numeric)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT greatest(t.from_date, m.from_date, $4), least(t.to_date, m.to_date, e.to_date), kb_amount(m.amount)
	FROM (SELECT $2 AS tariff, $3 AS from_date, date 'infinity' AS to_date
		  UNION ALL
		  SELECT h.tariff, h.from_date, h.to_date FROM tariff_history h
		  WHERE h.account_id = $1 AND h.from_date <= $5 AND h.to_date > $4 AND $3 > $4) t
	-- nothing is due after the end of the contract (X2)
	CROSS JOIN (SELECT least($5, a.ends_on) + 1 AS to_date FROM account a WHERE a.account_id = $1) e
	JOIN tariff_minimum m ON m.tariff = t.tariff AND m.amount > 0
		AND greatest(t.from_date, m.from_date, $4) < least(t.to_date, m.to_date, e.to_date);
END;
COMMENT ON FUNCTION kb_minimum_terms(bigint, text, date, date, date) IS
'The minimums that an account has had on days of one month, up to the end of its contract; the second and third '
'argument are the columns of its row (C10)';

CREATE FUNCTION kbilling_internal.kb_bill_terms(account_id bigint, tariff text, tariff_from date, first_day date, last_day date)
	RETURNS TABLE (term text, service text, from_date date, to_date date, number numeric, discount_no integer)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT 'minimum', 'base', m.from_date, m.to_date, m.amount, 0 FROM kb_minimum_terms($1, $2, $3, $4, $5) m
	UNION ALL
	SELECT d.term, d.service, $4, $5 + 1, d.number, d.discount_no FROM kb_discount_terms($1, kb_month_first_day($5)) d;
END;
COMMENT ON FUNCTION kb_bill_terms(bigint, text, date, date, date) IS
'The discounts and minimums of an account for days of one month (C9, C10); a discount has a row for each of its services, with NULL '
'for all. The second and third argument are the columns of its row';

CREATE FUNCTION kbilling_internal.kb_late_terms(account_id bigint, tariff text, tariff_from date, periods date[])
	RETURNS TABLE (term text, service text, from_date date, to_date date, number numeric, discount_no integer)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 3
BEGIN ATOMIC
	SELECT t.term, t.service, t.from_date, t.to_date, t.number, t.discount_no
	FROM unnest($4) p (period)
	CROSS JOIN LATERAL kb_bill_terms($1, $2, $3, p.period, kb_month_last_day(p.period)) t
	UNION ALL
	SELECT 'billed', l.service, p.period, p.period + 1, sum(kb_amount(l.amount)), 0
	FROM unnest($4) p (period)
	JOIN entry e ON e.account_id = $1 AND e.kind = 'charge' AND e.period >= p.period
	CROSS JOIN LATERAL kb_line_rows(e.lines) l
	WHERE kb_month_first_day(l.from_date) = p.period AND l.what NOT IN ('discount', 'minimum')
	GROUP BY l.service, p.period;
END;
COMMENT ON FUNCTION kb_late_terms(bigint, text, date, date[]) IS
'The same for months that were charged before, and what their services were billed before: a row "billed" for each';

CREATE FUNCTION kbilling_internal.kb_with_terms(bill kb_bill_result, account_id bigint, currency text, tariff text, tariff_from date,
												first_day date, last_day date)
	RETURNS kb_bill_result
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_with_terms';
COMMENT ON FUNCTION kb_with_terms(kb_bill_result, bigint, text, text, date, date, date) IS
'A bill of an account for days of one month with the lines of its discounts and minimums (C9, C10); as it was if there are none';

CREATE FUNCTION kbilling_internal.kb_bill_entries(total kb_money, lines kb_lines) RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_bill_entries';
COMMENT ON FUNCTION kb_bill_entries(kb_money, kb_lines) IS
'How many entries a charge makes: one, but none if all its lines come to zero (C8)';
