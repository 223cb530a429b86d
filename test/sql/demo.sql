-- The play of examples/demo.sql, on the sample of its log: does kbilling bill
-- what a computation without it bills?

SET search_path = public, kbilling;
SET timezone = 'UTC';
\set log examples/cdnow-sample.tsv
\o /dev/null
\ir ../../examples/play.sql
\ir ../../examples/second_computation.sql
\o

SELECT plan(12);

SELECT is((SELECT array_agg(n ORDER BY what)
	FROM (SELECT what, sum(n) AS n FROM played WHERE what IN ('accounts', 'charges', 'orders', 'restored', 'top-ups')
	GROUP BY what) AS step),
	(SELECT ARRAY[count(DISTINCT account_id), count(*) FILTER (WHERE charged > 0), (SELECT count(*) FROM purchase),
		count(*) FILTER (WHERE closure LIKE 'restored%'), count(*) FILTER (WHERE paid > 0)]::numeric[]
	 FROM second_step), 'the whole sample was played: accounts, charges, orders, restored accounts, top-ups');

-- Customer 2, by hand: on January 12th 12.00 and 77.00, which earns 5 %; the
-- first month is 20 of 31 days, 12.26, and six orders, of which three cost 0.50.
SELECT results_eq(
	$$SELECT kind::text, amount::text, balance_after::text, bonus_after::text, effective_on
	  FROM entry WHERE account_id = 2 ORDER BY seq LIMIT 6$$,
	$$VALUES ('topup', '12.00 USD', '12.00 USD', '0.00 USD', '1997-01-12'::date),
			 ('topup', '77.00 USD', '89.00 USD', '0.00 USD', '1997-01-12'),
			 ('bonus', '3.85 USD', '92.85 USD', '3.85 USD', '1997-01-12'),
			 ('charge', '-13.76 USD', '79.09 USD', '0.00 USD', '1997-02-01'),
			 ('charge', '-19.00 USD', '60.09 USD', '0.00 USD', '1997-03-01'),
			 ('charge', '-19.00 USD', '41.09 USD', '0.00 USD', '1997-04-01')$$,
	'T5, T6, C3, E3: a journal worked out by hand');

SELECT is(count(DISTINCT account_id % 1000000), 300::bigint, 'both have 300 customers') FROM agreement;
SELECT is(sum(months), (SELECT count(*) FROM kbilling_month)::numeric, 'and each month with an entry') FROM agreement;
SELECT is(sum(steps), (SELECT count(*) FROM closure_step WHERE step <> 'reminded')::numeric,
	'D1 to D6: and each step of a closure') FROM agreement;
SELECT is_empty('SELECT * FROM agreement WHERE NOT agrees', 'the second computation agrees on every account, month and step');
SELECT is_empty('SELECT * FROM kb_check()', 'kb_check() finds nothing wrong');
SELECT results_eq($$SELECT account_id, service, what, from_date, to_date, quantity, events, amount FROM last_preview
	ORDER BY account_id, line_no$$,
	$$SELECT account_id, service, what, from_date, to_date, quantity, events, amount FROM charge_line WHERE period = '1998-06-01'
		ORDER BY account_id, line_no$$,
	'C6: the last day shows what is charged on the next, line by line');
SELECT is(sum(balance), '0.00 USD', 'J4: the trial balance is zero') FROM trial_balance;

-- A cent too much is found: where it is, and nowhere else; so is a day.
SELECT min(account_id) AS living, max(account_id) AS other FROM account WHERE state = 'active' \gset
SELECT kb_adjust(:living, '0.01 USD', 'slip', 'a cent too much') \g /dev/null
SELECT results_eq('SELECT account_id, months - agreeing_months FROM agreement WHERE NOT agrees',
	format('VALUES (%s::bigint, 1::bigint)', :living),
				  'an account that differs in its last month does not agree');

UPDATE second_step SET paid = paid + 0.01 WHERE account_id = :other
	AND step = (SELECT min(step) FROM second_step WHERE account_id = :other);
SELECT results_eq('SELECT account_id, months - agreeing_months FROM agreement WHERE NOT agrees ORDER BY account_id',
				  format('VALUES (%s::bigint, 1::bigint), (%s, 1)', :living, :other), 'nor does one that differs in its first');

SELECT min(account_id) AS closed FROM closure_step \gset
UPDATE second_step SET closure = NULL WHERE account_id = :closed AND closure = 'scheduled';
SELECT is((SELECT steps - agreeing_steps FROM agreement WHERE account_id = :closed),
	(SELECT count(*) FROM closure_step WHERE account_id = :closed AND step = 'scheduled'), 'nor one that was scheduled otherwise');

SELECT finish();
