/*
 * What is to come: month by month, and what to pay for it now.
 */

CREATE FUNCTION kbilling.kb_forecast(account_id bigint, months integer)
	RETURNS TABLE (period date, charge kbilling.kb_money, charged_on date, balance kbilling.kb_money, stage kbilling.kb_stage)
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
BEGIN ATOMIC
	SELECT kbilling.kb_require_account($1),
		   kbilling.kb_require_not_null('months', $2),
		   kbilling.kb_raise_if($2 NOT BETWEEN 1 AND 1200, '22023', 'months must be from 1 to 1200', format('It is %s.', $2),
								'Give how many months to look ahead, the running one included.');
	SELECT m.period, m.total, m.effective_on, m.balance,
		   kbilling.kb_stage(m.debt_since, a.deferred_until, s.day, p.remind_day, p.restrict_day, p.block_day)
	FROM kbilling.account a
	CROSS JOIN LATERAL (SELECT kbilling.kb_account_date(kbilling.kb_now(), a.time_zone) AS today) d
	CROSS JOIN LATERAL kbilling.kb_charges_ahead($1, (kbilling.kb_month_first_day(d.today) + $2 * interval '1 month')::date - 1, true) m
	-- what is due already is charged today, whatever day it counts from
	CROSS JOIN LATERAL (SELECT greatest(m.effective_on, d.today) AS day) s
	CROSS JOIN LATERAL kbilling.kb_policy_on(a.account_id, a.tariff, a.tariff_from, s.day) p
	WHERE a.account_id = $1
	ORDER BY m.period;
END;
COMMENT ON FUNCTION kbilling.kb_forecast(bigint, integer) IS
'The months that are due, the running one and those after it, so many in all from the running one on: what each will be charged, on which day that takes effect, and the balance and stage then, if nothing is paid and usage goes on as in the running month and the one before. KB001; 22023 for less than 1 month or more than 1200';

CREATE FUNCTION kbilling.kb_amount_for(account_id bigint, months integer) RETURNS kbilling.kb_money
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, pg_temp
BEGIN ATOMIC
	SELECT coalesce((SELECT kbilling.kb_amount_due(f.balance)
					 FROM kbilling.kb_forecast($1, $2) f ORDER BY f.period DESC LIMIT 1),
					-- a deleted account owes nothing more
					(SELECT a.balance OPERATOR(kbilling.-) a.balance FROM kbilling.account a WHERE a.account_id = $1));
END;
COMMENT ON FUNCTION kbilling.kb_amount_for(bigint, integer) IS
'What to pay now so that the balance lasts for the running month and those after it, so many in all, by kb_forecast; a bonus comes on top. Zero if it does already. KB001, 22023';
