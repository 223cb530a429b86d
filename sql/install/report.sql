/*
 * What the journal says, for customers, bookkeepers and whoever checks it.
 */

CREATE VIEW kbilling.charge_line WITH (security_invoker) AS
	SELECT e.account_id, e.seq, e.period, l.line_no::integer, l.service, l.what, l.from_date, l.to_date,
		   l.days, l.days_in_month, l.quantity, l.events, l.billed_quantity, l.billed_events, l.price, l.amount
	FROM entry e
	CROSS JOIN LATERAL kb_line_rows(e.lines) WITH ORDINALITY
		AS l (service, what, from_date, to_date, days, days_in_month, quantity, events, billed_quantity, billed_events,
			  price, amount, line_no)
	WHERE e.kind IN ('charge', 'purchase') AND kb_is_owned(e.account_id);
COMMENT ON VIEW charge_line IS 'One row for each line of each charge and purchase, as it was posted (C7, L5)';
COMMENT ON COLUMN charge_line.account_id IS 'The account';
COMMENT ON COLUMN charge_line.seq IS 'The entry of the charge or purchase';
COMMENT ON COLUMN charge_line.period IS 'The month of a charge, by its first day; NULL for a purchase';
COMMENT ON COLUMN charge_line.line_no IS 'Runs 1, 2, 3, ... within the charge';
COMMENT ON COLUMN charge_line.service IS 'What was priced; "base" for the base fee';
COMMENT ON COLUMN charge_line.what IS
'The kind of line: base fee, recurring service, usage, late usage of an earlier month (U3), discount (C9), minimum (C10) or '
'purchase (L5)';
COMMENT ON COLUMN charge_line.from_date IS 'First day charged';
COMMENT ON COLUMN charge_line.to_date IS 'Last day charged';
COMMENT ON COLUMN charge_line.days IS
'Days charged; for usage, the days for which minimum and maximum of the price count; NULL if it has none';
COMMENT ON COLUMN charge_line.days_in_month IS 'Days that the whole price is for; NULL for usage';
COMMENT ON COLUMN charge_line.quantity IS
'Units; for a discount, the amount that it is of, and for a minimum, what the other lines come to';
COMMENT ON COLUMN charge_line.events IS
'How many events the usage is made of, less corrections; NULL for what is charged by day';
COMMENT ON COLUMN charge_line.billed_quantity IS
'For late usage: how many units of its month were billed before. The amount is what all units cost, less what those '
'cost';
COMMENT ON COLUMN charge_line.billed_events IS 'For late usage: how many events of its month were billed before';
COMMENT ON COLUMN charge_line.price IS 'The price at that time, as a kb_price is written';
COMMENT ON COLUMN charge_line.amount IS 'The amount; those of a service in a month are rounded together (M4)';

CREATE VIEW kbilling.payment_history WITH (security_invoker) AS
	SELECT e.account_id, e.seq, e.posted_at, e.effective_on, e.kind, e.amount, e.balance_after, e.bonus_after,
		   e.method, e.paid, kb_exchange_rate(e.paid, e.amount) AS rate, e.period,
		   kb_shown_reference(e.key) AS reference, e.ref_seq, e.member, e.memo, e.lines::jsonb AS lines
	FROM entry e
	WHERE kb_is_owned(e.account_id)
	ORDER BY e.account_id, e.seq DESC;
COMMENT ON VIEW payment_history IS 'The journal as a customer reads it, newest first, with each charge''s lines';
COMMENT ON COLUMN payment_history.account_id IS 'The account';
COMMENT ON COLUMN payment_history.seq IS 'Number of the entry';
COMMENT ON COLUMN payment_history.posted_at IS 'When it was posted';
COMMENT ON COLUMN payment_history.effective_on IS 'Local date on which it takes effect';
COMMENT ON COLUMN payment_history.kind IS 'What it is';
COMMENT ON COLUMN payment_history.amount IS 'By how much it moved the balance';
COMMENT ON COLUMN payment_history.balance_after IS 'The balance after it';
COMMENT ON COLUMN payment_history.bonus_after IS 'Unspent bonus after it';
COMMENT ON COLUMN payment_history.method IS 'How a top-up was paid';
COMMENT ON COLUMN payment_history.paid IS
'What the customer was charged, or below zero got back, where that is another amount, perhaps in another currency (T8)';
COMMENT ON COLUMN payment_history.rate IS 'The rate of that, if it is in another currency: paid for one of the amount''s currency';
COMMENT ON COLUMN payment_history.period IS 'The month of a charge';
COMMENT ON COLUMN payment_history.reference IS 'The caller''s reference; NULL for charges and bonuses';
COMMENT ON COLUMN payment_history.ref_seq IS 'The entry that it belongs to or takes back';
COMMENT ON COLUMN payment_history.member IS 'The member who topped up, if one is known';
COMMENT ON COLUMN payment_history.memo IS 'The reason';
COMMENT ON COLUMN payment_history.lines IS
'How a charge is made up (C7), or of which top-ups a refund or chargeback is (T6, T7)';

-- J4.  A credit to the customer is a debit of its contra account, and the other way round.
CREATE VIEW kbilling.general_ledger WITH (security_invoker) AS
	WITH leg AS (
		SELECT e.account_id, e.seq, e.posted_at, e.posted_by, e.effective_on, e.kind, 'customers' AS ledger_account, e.amount AS credit
		FROM entry e
		UNION ALL
		SELECT e.account_id, e.seq, e.posted_at, e.posted_by, e.effective_on, e.kind,
			   CASE coalesce(r.kind, e.kind)
				   WHEN 'topup' THEN 'cash'
				   WHEN 'chargeback' THEN 'cash'
				   WHEN 'bonus' THEN 'promotions'
				   WHEN 'credit' THEN 'promotions'
				   WHEN 'expiry' THEN 'promotions: expired'
				   WHEN 'refund' THEN 'refunds'
				   WHEN 'adjustment' THEN 'adjustments'
				   WHEN 'writeoff' THEN 'bad debt'
			   END, - e.amount
		FROM entry e
		LEFT JOIN entry r ON e.kind = 'reversal' AND r.account_id = e.account_id AND r.seq = e.ref_seq
		WHERE coalesce(r.kind, e.kind) NOT IN ('charge', 'purchase')
		UNION ALL
		SELECT e.account_id, e.seq, e.posted_at, e.posted_by, e.effective_on, e.kind, 'revenue: ' || l.service, l.amount
		FROM entry e
		LEFT JOIN entry r ON e.kind = 'reversal' AND r.account_id = e.account_id AND r.seq = e.ref_seq
		CROSS JOIN LATERAL kb_line_rows(e.lines) l
		WHERE coalesce(r.kind, e.kind) IN ('charge', 'purchase')
	)
	SELECT account_id, seq, posted_at, effective_on, kind, ledger_account, kb_currency(credit) AS currency,
		   CASE WHEN credit < 0 THEN - credit END AS debit,
		   CASE WHEN credit >= 0 THEN credit END AS credit, posted_by
	FROM leg
	WHERE kb_is_owned(account_id);
COMMENT ON VIEW general_ledger IS
'The journal as double entry (J4): for each entry, its leg at the customers and its contra legs';
COMMENT ON COLUMN general_ledger.account_id IS 'The account';
COMMENT ON COLUMN general_ledger.seq IS 'The entry';
COMMENT ON COLUMN general_ledger.posted_at IS 'When it was posted';
COMMENT ON COLUMN general_ledger.effective_on IS 'Local date on which it takes effect';
COMMENT ON COLUMN general_ledger.kind IS 'What the entry is';
COMMENT ON COLUMN general_ledger.ledger_account IS
'"customers", "cash", "promotions", "promotions: expired", "refunds", "adjustments", "bad debt", or revenue by service';
COMMENT ON COLUMN general_ledger.currency IS 'ISO 4217 code';
COMMENT ON COLUMN general_ledger.debit IS 'The amount, if it is a debit';
COMMENT ON COLUMN general_ledger.credit IS 'The amount, if it is a credit';
COMMENT ON COLUMN general_ledger.posted_by IS 'The database role that posted it';

CREATE VIEW kbilling.trial_balance WITH (security_invoker) AS
	SELECT currency, ledger_account,
		   coalesce(sum(debit), kb_money(0, currency)) AS debit,
		   coalesce(sum(credit), kb_money(0, currency)) AS credit,
		   coalesce(sum(debit), kb_money(0, currency))
		   - coalesce(sum(credit), kb_money(0, currency)) AS balance
	FROM general_ledger
	GROUP BY currency, ledger_account;
COMMENT ON VIEW trial_balance IS 'Sums of the general ledger; the balances of each currency add up to zero (J4)';
COMMENT ON COLUMN trial_balance.currency IS 'ISO 4217 code';
COMMENT ON COLUMN trial_balance.ledger_account IS 'As in kbilling.general_ledger';
COMMENT ON COLUMN trial_balance.debit IS 'Sum of the debits';
COMMENT ON COLUMN trial_balance.credit IS 'Sum of the credits';
COMMENT ON COLUMN trial_balance.balance IS 'Debits less credits';

-- The sum of a charge's lines, or NULL if they are not as kb_bill writes them: a check must not fail on it.
CREATE FUNCTION kbilling_internal.kb_lines_total(lines jsonb, currency text) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE WHEN bool_and(l.is_amount) THEN sum(CASE WHEN l.is_amount THEN kb_minor(l.amount::kb_money) END) END
	FROM (SELECT x.line->>'amount' AS amount,
				 kb_is_amount(x.line->>'amount', $2) AS is_amount
		  FROM jsonb_array_elements(CASE jsonb_typeof($1) WHEN 'array' THEN $1 ELSE '[]' END) x (line)) l;
END;
COMMENT ON FUNCTION kb_lines_total(jsonb, text) IS
'Sum of the amounts of an entry''s lines, in minor units; NULL if there is no line, or one of them is not an amount '
'in the currency';

-- Every entry beside the one before it, with what it should be.
CREATE VIEW kbilling_internal.entry_check WITH (security_invoker) AS
	SELECT e.account_id, e.seq,
		   CASE
			   WHEN e.seq <> e.previous_seq + 1
				   THEN format('J2: entry %s follows entry %s', e.seq, e.previous_seq)
			   WHEN kb_currency(e.balance_after) <> kb_currency(e.amount)
					OR kb_currency(e.bonus_after) <> kb_currency(e.amount)
					OR kb_currency(e.previous_balance) <> kb_currency(e.amount)
				   THEN 'M3: two currencies meet in the entry'
			   WHEN kb_minor(e.balance_after) <> kb_minor(e.previous_balance) + kb_minor(e.amount)
				   THEN format('J2: balance after is %s, %s before and the entry is %s', e.balance_after, e.previous_balance, e.amount)
			   WHEN e.bonus_after < 0 OR e.bonus_after > greatest(e.balance_after, e.zero)
				   THEN format('T6: unspent bonus is %s on a balance of %s', e.bonus_after, e.balance_after)
			   WHEN e.debt_since IS DISTINCT FROM kb_debt_since(e.previous_debt_since, e.balance_after, e.effective_on)
				   THEN format('S1: debt counts since %s', coalesce(e.debt_since::text, 'never'))
			   -- the hash takes a number below one for none
			   WHEN e.ref_seq < 1 OR e.ref_seq >= e.seq
				   THEN format('J5: it refers to entry %s, which is not before it', e.ref_seq)
			   WHEN octet_length(e.previous_hash) <> 32
				   THEN 'J5: the hash before it is damaged'
			   WHEN e.hash <> kb_entry_hash(e.previous_hash, e.account_id, e.seq, e.kind::text, e.amount, e.balance_after,
					   e.bonus_after, e.debt_since, e.effective_on, e.posted_at, e.key, e.period, e.method,
					   e.paid, e.ref_seq, e.member, e.posted_by, e.memo, e.lines, e.lots)
				   THEN 'J5: the hash does not fit the entry and the hash before it'
		   END AS problem
	FROM (SELECT x.*, x.amount - x.amount AS zero,
				 coalesce(lag(x.seq) OVER w, 0) AS previous_seq,
				 coalesce(lag(x.balance_after) OVER w, x.amount - x.amount) AS previous_balance,
				 lag(x.debt_since) OVER w AS previous_debt_since,
				 lag(x.hash) OVER w AS previous_hash
		  FROM entry x
		  WINDOW w AS (PARTITION BY x.account_id ORDER BY x.seq)) e;
COMMENT ON VIEW entry_check IS 'Every entry, and what is wrong with it (J2, J5); NULL if all is well';
COMMENT ON COLUMN entry_check.account_id IS 'The account';
COMMENT ON COLUMN entry_check.seq IS 'The entry';
COMMENT ON COLUMN entry_check.problem IS 'The rule that is broken, and how';

-- Every account's row beside its journal.
CREATE VIEW kbilling_internal.account_check WITH (security_invoker) AS
	SELECT a.account_id, a.last_seq AS seq,
		   CASE
			   WHEN kb_currency(a.balance) <> a.currency
				   THEN format('M3: the account is in %s, its balance is %s', a.currency, a.balance)
			   WHEN coalesce(e.entries, 0) <> a.last_seq
				   THEN format('J2: the account counts %s entries, the journal has %s', a.last_seq, coalesce(e.entries, 0))
			   WHEN kb_minor(a.balance) <> coalesce(e.total, 0)
				   THEN format('J2: the balance is %s, the sum of the entries %s minor units', a.balance, coalesce(e.total, 0))
			   WHEN a.unspent_bonus <> coalesce(l.bonus_after, a.balance - a.balance)
				   THEN format('T6: unspent bonus is %s, after the last entry %s', a.unspent_bonus,
							   coalesce(l.bonus_after::text, 'nothing'))
			   WHEN a.lots IS DISTINCT FROM g.lots
				   THEN format('G2: its credit by priority and expiry is %s, after its entries %s', coalesce(a.lots::text, 'nothing'),
							   coalesce(g.lots::text, 'nothing'))
			   WHEN g.least <= 0 OR g.total > kb_minor(a.unspent_bonus)
				   THEN format('G1: its credit by priority and expiry is %s, of %s', a.lots, a.unspent_bonus)
			   WHEN a.state IN ('active', 'closing') AND coalesce(a.credit_check_on, 'infinity') > g.expires_on
					AND coalesce(a.credit_check_on, 'infinity') >
						greatest(d.today + 1, kb_charge_due_on(a.charged_through, a.ends_on))
				   THEN format('G3: no sweep looks at its credit before %s', coalesce(a.credit_check_on, 'infinity'))
			   WHEN a.debt_since IS DISTINCT FROM l.debt_since
				   THEN format('S1: debt counts since %s, after the last entry since %s', coalesce(a.debt_since::text, 'never'),
							   coalesce(l.debt_since::text, 'never'))
			   WHEN a.last_hash IS DISTINCT FROM l.hash
				   THEN 'J5: the account''s hash is not that of the last entry'
			   WHEN a.currency <> (SELECT t.currency FROM tariff t WHERE t.tariff = a.tariff)
				   THEN format('M3: the account is in %s, its tariff "%s" is not', a.currency, a.tariff)
			   WHEN NOT isfinite(a.charged_through)
				   THEN format('C4: charged through %s', a.charged_through)
			   WHEN a.charged_through NOT IN (kb_month_last_day(a.charged_through),
											  kb_account_date(a.created_at, a.time_zone) - 1)
				   THEN format('C4: charged through %s, which is not the end of a month', a.charged_through)
			   WHEN NOT isfinite(a.ends_on) OR a.ends_on < kb_account_date(a.created_at, a.time_zone)
				   THEN format('X1: its contract ends on %s', a.ends_on)
			   WHEN kb_charge_due_on(kb_month_first_day(a.charged_through) - 1, a.ends_on) > d.today
					AND a.charged_through >= kb_account_date(a.created_at, a.time_zone)
				   THEN format('C4: charged through %s, a month that had not ended on %s', a.charged_through, d.today)
			   WHEN a.usage_kept_from > kb_month_first_day(a.charged_through + 1) OR NOT isfinite(a.usage_kept_from)
				   THEN format('U6: its usage is kept from %s on, and it is charged through %s', a.usage_kept_from,
							   a.charged_through)
			   WHEN e.last_period > kb_month_first_day(a.charged_through)
				   THEN format('C4: charged through %s, but there is a charge for %s', a.charged_through, e.last_period)
			   WHEN a.deferred_until IS DISTINCT FROM (SELECT f.deferred_until FROM deferral f
													   WHERE f.account_id = a.account_id ORDER BY f.deferral_no DESC LIMIT 1)
				   THEN format('S4: deferred until %s, which is not the last deferral', coalesce(a.deferred_until::text, 'never'))
			   WHEN a.state IS DISTINCT FROM
					CASE c.step WHEN 'scheduled' THEN 'closing' WHEN 'reminded' THEN 'closing' WHEN 'deleted' THEN 'deleted'
						WHEN 'purged' THEN 'purged' ELSE 'active' END::kb_account_state
				   THEN format('D2: the account is %s, its last step is %s', a.state, coalesce(c.step::text, 'none'))
			   WHEN a.delete_on IS DISTINCT FROM CASE WHEN c.step IN ('scheduled', 'reminded', 'deleted', 'purged') THEN c.delete_on END
				   THEN format('D2: it is to be deleted on %s, by its last step on %s', coalesce(a.delete_on::text, 'no day'),
							   coalesce(c.delete_on::text, 'no day'))
			   WHEN a.closure_check_on IS NULL AND a.state <> 'purged' AND (a.balance <= 0 OR a.state <> 'active')
				   THEN format('D1: no sweep looks at it, though its state is %s and its balance %s', a.state, a.balance)
			   WHEN a.closure_check_on IS DISTINCT FROM c.purge_on AND a.state = 'deleted'
					OR a.closure_check_on > a.delete_on AND a.state = 'closing'
				   THEN format('D6: the account is %s, and no sweep looks at it before %s', a.state, a.closure_check_on)
			   WHEN a.state = 'purged' AND (m.members > 0 OR EXISTS (SELECT FROM usage_event u WHERE u.account_id = a.account_id))
				   THEN 'D6: the account is purged, but has members or usage'
			   WHEN a.state <> 'purged' AND coalesce(m.owners, 0) = 0
				   THEN 'D2: the account has no owner'
			   WHEN a.last_notice_no < n.last_notice_no
				   THEN format('N3: the account counts %s notices, but there is a notice %s', a.last_notice_no, n.last_notice_no)
			   WHEN a.last_notice_no > coalesce(n.notices, 0) + coalesce(a.notices_removed, 0)	-- U6
				   THEN format('N1: the account counts %s notices, there are %s', a.last_notice_no - coalesce(a.notices_removed, 0),
							   coalesce(n.notices, 0))
			   WHEN a.state = 'purged' AND (a.closure_check_on IS NOT NULL OR a.stage_check_on IS NOT NULL
												OR a.credit_check_on IS NOT NULL)
				   THEN 'D6: the account is purged, but a sweep would look at it'
			   -- policies may have changed since the day was set, but not by a year
			   WHEN a.state = 'active' AND a.closure_check_on > d.today + 366
					AND a.closure_check_on IS DISTINCT FROM a.ends_on + 1
					AND a.closure_check_on > (SELECT t.may_close_on FROM kb_closure_terms(ARRAY[a.account_id], kb_now()) t) + 366
				   THEN format('D1: no sweep looks before %s whether it may be closed', a.closure_check_on)
			   WHEN a.state IN ('active', 'closing') AND a.debt_since IS NOT NULL
					AND coalesce(a.stage_check_on, 'infinity') > greatest(d.today, a.deferred_until) + 366
					AND coalesce(a.stage_check_on, 'infinity') >
						(SELECT kb_next_stage_on(a.debt_since, a.deferred_until, d.today, p.remind_day, p.restrict_day, p.block_day)
						 FROM kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p)
				   THEN format('N5: no sweep looks at its stage before %s', coalesce(a.stage_check_on, 'infinity'))
		   END AS problem
	FROM account a
	LEFT JOIN (SELECT x.account_id, count(*) AS entries, sum(kb_minor(x.amount)) AS total, max(x.period) AS last_period
			   FROM entry x GROUP BY x.account_id) e ON e.account_id = a.account_id
	LEFT JOIN entry l ON l.account_id = a.account_id AND l.seq = a.last_seq
	LEFT JOIN (SELECT o.account_id, array_agg(ROW(o.priority, o.expires_on, o.amount)::kb_lot ORDER BY o.priority, o.expires_on) AS lots,
					  sum(kb_minor(o.amount)) AS total, min(kb_minor(o.amount)) AS least, min(o.expires_on) AS expires_on
			   FROM (SELECT x.account_id, m.priority, m.expires_on, sum(m.amount) AS amount
					 FROM entry x CROSS JOIN LATERAL unnest(x.lots) m
					 WHERE x.lots IS NOT NULL GROUP BY x.account_id, m.priority, m.expires_on, kb_currency(m.amount)) o
			   WHERE o.amount <> 0 GROUP BY o.account_id) g ON g.account_id = a.account_id
	LEFT JOIN (SELECT x.account_id, count(*) AS members, count(*) FILTER (WHERE x.role = 'owner') AS owners
			   FROM member x GROUP BY x.account_id) m ON m.account_id = a.account_id
	LEFT JOIN (SELECT DISTINCT ON (x.account_id) x.account_id, x.step, x.delete_on, x.purge_on FROM closure_step x
			   ORDER BY x.account_id, x.step_no DESC) c ON c.account_id = a.account_id
	LEFT JOIN (SELECT x.account_id, max(x.notice_no) AS last_notice_no, count(*) AS notices
			   FROM notice x GROUP BY x.account_id) n ON n.account_id = a.account_id
	-- by the clock that was set back, what was posted later counts
	CROSS JOIN LATERAL (SELECT kb_account_date(greatest(kb_now(), l.posted_at), a.time_zone) AS today) d;
COMMENT ON VIEW account_check IS
'Every account, and what is wrong between its row and its journal; NULL if all is well';
COMMENT ON COLUMN account_check.account_id IS 'The account';
COMMENT ON COLUMN account_check.seq IS 'Its last entry';
COMMENT ON COLUMN account_check.problem IS 'The rule that is broken, and how';

-- Every total of usage beside its events; "unique" beside its values, whose events are another row's.
CREATE VIEW kbilling_internal.usage_check WITH (security_invoker) AS
	WITH event AS (
		SELECT e.account_id, e.period, e.service, e.price_id, sum(e.events) AS events, sum(e.quantity) AS quantity
		FROM usage_event e GROUP BY e.account_id, e.period, e.service, e.price_id
	), total AS (
		SELECT t.account_id, t.period, t.service, t.price_id, min(t.aggregation) AS aggregation, max(t.aggregation) AS other_aggregation,
			   sum(t.events) AS events, sum(t.quantity) AS quantity
		FROM usage_total t GROUP BY t.account_id, t.period, t.service, t.price_id
	), recorded AS (
		SELECT account_id, period, service, price_id, t.aggregation, t.aggregation <> t.other_aggregation AS is_mixed,
			   coalesce(e.events, 0) AS recorded_events, t.events AS total_events,
			   CASE t.aggregation
				   WHEN 'sum' THEN coalesce(e.quantity, 0)
				   WHEN 'count' THEN coalesce(e.events, 0)
				   WHEN 'unique' THEN (SELECT count(*) FROM usage_value v
									   WHERE v.account_id = e.account_id AND v.period = e.period AND v.service = e.service
										AND v.price_id = e.price_id AND v.events > 0)
				   ELSE coalesce((SELECT l.quantity FROM kb_level_of_events(account_id, period, service, price_id, t.aggregation) l), 0)
			   END AS recorded_quantity,
			   CASE WHEN t.aggregation IN ('max', 'last') THEN kb_usage_level(account_id, period, service, price_id, t.aggregation)
				   ELSE t.quantity END AS total_quantity
		FROM event e FULL JOIN total t USING (account_id, period, service, price_id)
		WHERE NOT EXISTS (SELECT FROM account a WHERE a.account_id = coalesce(e.account_id, t.account_id)
							AND a.usage_kept_from > coalesce(e.period, t.period))	-- U6
	)
	SELECT account_id, period, service, price_id,
		   CASE
			   WHEN is_mixed
				   THEN format('U2: usage of "%s" in %s is aggregated in two ways', service, period)
			   WHEN recorded_events IS DISTINCT FROM total_events
				   THEN format('U5: usage of "%s" in %s has %s events, its total counts %s', service, period,
							   coalesce(nullif(recorded_events, 0)::text, 'no'), coalesce(total_events::text, 'none'))
			   WHEN recorded_quantity IS DISTINCT FROM total_quantity
				   THEN format('U5: usage of "%s" in %s is %s, its total says %s', service, period, recorded_quantity, total_quantity)
			   WHEN NOT EXISTS (SELECT FROM price p WHERE p.price_id = recorded.price_id AND p.service = recorded.service)
				   THEN format('C3: usage of "%s" in %s has the price %s, which is none of the service', service, period, price_id)
		   END AS problem
	FROM recorded;
COMMENT ON VIEW usage_check IS
'Every month and price of a metered service of an account, and what is wrong between its events and its total (C3, '
'U2, U5); NULL if all is well';
COMMENT ON COLUMN usage_check.account_id IS 'The account';
COMMENT ON COLUMN usage_check.period IS 'The month, by its first day';
COMMENT ON COLUMN usage_check.service IS 'The metered service';
COMMENT ON COLUMN usage_check.price_id IS 'The price of kbilling.price';
COMMENT ON COLUMN usage_check.problem IS 'The rule that is broken, and how';

-- What has been billed of a month's usage beside the lines that billed it.  A charge of zero has no lines (C8), so what
-- was used before it is not compared; nor is a month that is skipped, which is marked as billed without a line.  Where
-- usage is below zero in all, the lines may say zero.
CREATE VIEW kbilling_internal.billed_check WITH (security_invoker) AS
	WITH line AS (
		-- as text, as a damaged line must not fail
		SELECT e.account_id, left(x.line->>'from_date', 7) AS month, x.line->>'service' AS service,
			   sum(CASE jsonb_typeof(x.line->'quantity') WHEN 'number' THEN (x.line->>'quantity')::numeric END) AS quantity
		FROM entry e
		CROSS JOIN LATERAL jsonb_array_elements(
			CASE jsonb_typeof(e.lines::jsonb) WHEN 'array' THEN e.lines::jsonb ELSE '[]' END) x (line)
		WHERE e.kind = 'charge' AND x.line ? 'events'
		GROUP BY e.account_id, left(x.line->>'from_date', 7), x.line->>'service'
	), total AS (
		SELECT p.account_id, to_char(p.period, 'YYYY-MM') AS month, p.service::text AS service, p.period,
			   sum(p.billed) AS quantity
		FROM (SELECT t.account_id, t.period, t.service, t.price_id,
					 CASE WHEN min(t.aggregation) IN ('max', 'last') THEN max(t.billed_quantity)
						 ELSE sum(t.billed_quantity) END AS billed
			  FROM usage_total t GROUP BY t.account_id, t.period, t.service, t.price_id) p
		GROUP BY p.account_id, p.period, p.service
	), closed AS (
		SELECT c.account_id, c.period, count(*) OVER (PARTITION BY c.account_id ORDER BY c.period DESC) AS months
		FROM (SELECT e.account_id, e.period FROM entry e WHERE e.kind = 'charge'
			  UNION
			  SELECT k.account_id, k.period FROM skipped_month k) c
	)
	SELECT u.account_id, u.period, u.service,
		   format('U3: %s of the usage of "%s" in %s is marked as billed, its charges say %s', u.quantity, u.service, u.period,
				  coalesce(l.quantity, 0)) AS problem
	FROM total u
	JOIN account a ON a.account_id = u.account_id
	LEFT JOIN closed c ON c.account_id = u.account_id AND c.period = u.period
	LEFT JOIN line l ON l.account_id = u.account_id AND l.month = u.month AND l.service = u.service
	WHERE greatest(coalesce(l.quantity, 0), 0) <> greatest(u.quantity, 0)
		AND (u.period > a.charged_through
			 OR c.months = (extract(year FROM a.charged_through) - extract(year FROM u.period)) * 12
						   + extract(month FROM a.charged_through) - extract(month FROM u.period) + 1)
		AND NOT EXISTS (SELECT FROM skipped_month k WHERE k.account_id = u.account_id AND k.period = u.period);
COMMENT ON VIEW billed_check IS
'Every month of a metered service of which another quantity is marked as billed than its charges have billed (U3). '
'What cannot be compared is left out: what was used before a charge of zero, and months that are skipped';
COMMENT ON COLUMN billed_check.account_id IS 'The account';
COMMENT ON COLUMN billed_check.period IS 'The month, by its first day';
COMMENT ON COLUMN billed_check.service IS 'The metered service';
COMMENT ON COLUMN billed_check.problem IS 'The rule that is broken, and how';

-- Every notice beside what it is about.
CREATE VIEW kbilling_internal.notice_check WITH (security_invoker) AS
	SELECT n.account_id, n.notice_no,
		   CASE
			   WHEN n.kind IN ('topup_received', 'charge_posted', 'topup_after_deletion') AND e.seq IS NULL
				   THEN format('N1: notice %s is of entry %s, which is not there', n.notice_no, n.occasion)
			   WHEN NOT isfinite(n.due_at)
					OR n.due_at IS NULL AND n.delivered_at IS NULL AND n.parked_at IS NULL AND a.state <> 'purged'
				   THEN format('N2: notice %s is never due', n.notice_no)
		   END AS problem
	FROM notice n
	JOIN account a ON a.account_id = n.account_id
	LEFT JOIN entry e ON e.account_id = n.account_id
		AND e.seq = CASE WHEN n.occasion ~ '^[0-9]{1,18}$' THEN n.occasion::bigint END;
COMMENT ON VIEW notice_check IS 'Every notice, and what is wrong with it (N1, N2); NULL if all is well';
COMMENT ON COLUMN notice_check.account_id IS 'The account';
COMMENT ON COLUMN notice_check.notice_no IS 'The notice';
COMMENT ON COLUMN notice_check.problem IS 'The rule that is broken, and how';

-- What guards the tables, as pg_get_triggerdef writes it under the search_path of kb_check.
CREATE VIEW kbilling_internal.guard_trigger WITH (security_invoker) AS
	SELECT g.table_name, g.trigger_name, g.enabled::"char" AS enabled,
		   format('CREATE TRIGGER %s %s %s ON kbilling.%s FOR EACH %s EXECUTE FUNCTION %s', g.trigger_name,
				  CASE g.does WHEN 'kb_tell_policy_change()' THEN 'AFTER' ELSE 'BEFORE' END, g.event, g.table_name,
				  g.level, g.does) AS definition
	FROM (VALUES
		('account', 'account_ledger', 'A', 'DELETE OR UPDATE OF account_id, created_at, balance, unspent_bonus, lots, last_seq, last_hash, '
			'debt_since, charged_through OR TRUNCATE', 'STATEMENT', 'kb_refuse_rewrite()'),
		('account', 'account_ledger_row', 'A', 'DELETE', 'ROW', 'kb_refuse_rewrite()'),
		('change_log', 'change_log_immutable', 'A', 'DELETE OR UPDATE OR TRUNCATE', 'STATEMENT', 'kb_refuse_rewrite()'),
		('change_log', 'change_log_immutable_row', 'A', 'DELETE OR UPDATE', 'ROW', 'kb_refuse_rewrite()'),
		('closure_step', 'closure_step_immutable', 'A', 'DELETE OR UPDATE OR TRUNCATE', 'STATEMENT', 'kb_refuse_rewrite()'),
		('closure_step', 'closure_step_immutable_row', 'A', 'DELETE OR UPDATE', 'ROW', 'kb_refuse_rewrite()'),
		('deferral', 'deferral_immutable', 'A', 'DELETE OR UPDATE OR TRUNCATE', 'STATEMENT', 'kb_refuse_rewrite()'),
		('deferral', 'deferral_immutable_row', 'A', 'DELETE OR UPDATE', 'ROW', 'kb_refuse_rewrite()'),
		('entry', 'entry_immutable', 'A', 'DELETE OR UPDATE OR TRUNCATE', 'STATEMENT', 'kb_refuse_rewrite()'),
		('entry', 'entry_immutable_row', 'A', 'DELETE OR UPDATE', 'ROW', 'kb_refuse_rewrite()'),
		('entry', 'entry_insert', 'A', 'INSERT', 'ROW', 'kb_refuse_rewrite()'),
		('payment_method', 'payment_method_standard', 'O', 'DELETE OR UPDATE',
			'ROW WHEN (((old.method)::text = ANY (kb_standard_methods())))',
			'kb_refuse_change(''Create a method of your own with kb_create_payment_method.'')'),
		('payment_method', 'payment_method_truncate', 'O', 'TRUNCATE', 'STATEMENT',
			'kb_refuse_change(''Delete the rows that are your own.'')'),
		('policy', 'policy_changed', 'A', 'DELETE OR UPDATE', 'ROW', 'kb_tell_policy_change()'),
		('policy', 'policy_standard', 'O', 'DELETE OR UPDATE', 'ROW WHEN (((old.policy)::text = ''standard''::text))',
			'kb_refuse_change(''Create a policy of your own with kb_set_policy, and name it in kb_create_tariff.'')'),
		('policy', 'policy_truncate', 'O', 'TRUNCATE', 'STATEMENT', 'kb_refuse_change(''Delete the rows that are your own.'')'),
		('service', 'service_base', 'O', 'DELETE OR UPDATE', 'ROW WHEN (((old.service)::text = ''base''::text))',
			'kb_refuse_change(''Give the base fee a price in each tariff with kb_set_price, or create a service of your own.'')'),
		('service', 'service_truncate', 'O', 'TRUNCATE', 'STATEMENT', 'kb_refuse_change(''Delete the rows that are your own.'')'),
		('shard_bucket', 'bucket_changed', 'A', 'INSERT OR DELETE OR UPDATE', 'ROW', 'kb_tell_shard_change()'),
		('shard_bucket', 'buckets_emptied', 'A', 'TRUNCATE', 'STATEMENT', 'kb_tell_shard_change()'),
		('tariff', 'tariff_changed', 'A', 'DELETE OR UPDATE', 'ROW', 'kb_tell_policy_change()')
	) AS g (table_name, trigger_name, enabled, event, level, does);
COMMENT ON VIEW guard_trigger IS
'The triggers that keep kbilling''s tables whole, and sessions told of policies and buckets, as they are made (J1, J2, S5, B2)';
COMMENT ON COLUMN guard_trigger.table_name IS 'The table, in the schema kbilling';
COMMENT ON COLUMN guard_trigger.trigger_name IS 'The trigger';
COMMENT ON COLUMN guard_trigger.enabled IS 'As in pg_trigger: "A", always; "O", but for replication';
COMMENT ON COLUMN guard_trigger.definition IS 'The statement that makes it, if kbilling_internal is on the search_path';

CREATE FUNCTION kbilling_internal.kb_account_problem(account_id bigint) RETURNS TABLE (account_id bigint, seq bigint, problem text)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT p.account_id, p.seq, p.problem
	FROM (SELECT 1 AS step, c.account_id, c.seq, c.problem FROM entry_check c
		  WHERE c.account_id = $1 AND c.problem IS NOT NULL
		  UNION ALL
		  SELECT 2, c.account_id, c.seq, c.problem FROM account_check c
		  WHERE c.account_id = $1 AND c.problem IS NOT NULL) p
	ORDER BY p.step, p.seq LIMIT 1;
END;
COMMENT ON FUNCTION kb_account_problem(bigint) IS
'What kb_verify says of an account, whose own it may be';

-- Without JIT: compiling so many expressions would take seconds.
CREATE FUNCTION kbilling.kb_verify(account_id bigint) RETURNS TABLE (account_id bigint, seq bigint, problem text)
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET jit = off
	SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_account($1);
	SELECT p.account_id, p.seq, p.problem FROM kb_account_problem($1) p;
END;
COMMENT ON FUNCTION kb_verify(bigint) IS
'Computes the account''s chain of hashes anew, and names the first entry that does not fit (J5); no row if all is '
'well. '
'Errors: KB001';

-- Without JIT, as above.
CREATE FUNCTION kbilling.kb_check() RETURNS TABLE (account_id bigint, seq bigint, problem text)
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET jit = off
	SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT p.account_id, p.seq, p.problem FROM (
		SELECT c.account_id, c.seq, c.problem FROM entry_check c WHERE c.problem IS NOT NULL
		UNION ALL
		SELECT c.account_id, c.seq, c.problem FROM account_check c WHERE c.problem IS NOT NULL
		UNION ALL
		SELECT e.account_id, min(e.seq), format('J2: %s entries without an account', count(*)) FROM entry e
		WHERE NOT EXISTS (SELECT FROM account a WHERE a.account_id = e.account_id)
		GROUP BY e.account_id
		UNION ALL
		SELECT n.account_id, NULL, format('N1: %s notices without an account', count(*)) FROM notice n
		WHERE NOT EXISTS (SELECT FROM account a WHERE a.account_id = n.account_id)
		GROUP BY n.account_id
		UNION ALL
		SELECT n.account_id, NULL, n.problem FROM notice_check n WHERE n.problem IS NOT NULL
		UNION ALL
		SELECT p.account_id, p.settled_seq, format('T2: payment %s was settled by an entry that is not there', p.payment_id) FROM payment p
		WHERE p.settled_seq IS NOT NULL
			AND NOT EXISTS (SELECT FROM entry e WHERE e.account_id = p.account_id AND e.seq = p.settled_seq AND e.kind = 'topup')
		UNION ALL
		SELECT s.account_id, NULL, format('N1: step %s, %s, has no notice', s.step_no, s.step) FROM closure_step s
		WHERE NOT EXISTS (SELECT FROM notice n WHERE n.account_id = s.account_id AND n.notice_no = s.step_no)
			AND NOT EXISTS (SELECT FROM account a WHERE a.account_id = s.account_id AND a.notices_kept_from > s.taken_at)	-- U6
		UNION ALL
		SELECT NULL, NULL, format('D6: table %I.%I is registered for the purge, but is gone', o.schema_name, o.table_name)
		FROM purge_order o
		WHERE o.relation IS NULL
		UNION ALL
		SELECT e.account_id, e.seq, format('T2: there is no payment method "%s"', e.method) FROM entry e
		WHERE e.method IS NOT NULL AND NOT EXISTS (SELECT FROM payment_method m WHERE m.method = e.method)
		UNION ALL
		SELECT p.account_id, NULL, format('T2: payment %s has the method "%s", which there is not', p.payment_id, p.method) FROM payment p
		WHERE p.method IS NOT NULL AND NOT EXISTS (SELECT FROM payment_method m WHERE m.method = p.method)
		UNION ALL
		SELECT p.account_id, p.settled_seq, format('T9: payment %s was settled by an entry of another amount or method', p.payment_id)
		FROM payment p JOIN entry e ON e.account_id = p.account_id AND e.seq = p.settled_seq
		WHERE e.amount <> p.settled_amount OR e.method <> p.settled_method
		UNION ALL
		SELECT u.account_id, NULL, u.problem FROM usage_check u WHERE u.problem IS NOT NULL
		UNION ALL
		SELECT u.account_id, NULL, format('U1: usage of "%s" without an account', u.service) FROM usage_check u
		WHERE NOT EXISTS (SELECT FROM account a WHERE a.account_id = u.account_id)
		UNION ALL
		SELECT u.account_id, NULL, u.problem FROM billed_check u
		UNION ALL
		SELECT c.account_id, c.seq, format('U3: the charge of %s is reversed, but not its usage', c.period)
		FROM entry r JOIN entry c ON c.account_id = r.account_id AND c.seq = r.ref_seq
		WHERE r.kind = 'reversal' AND c.kind = 'charge'
			AND NOT EXISTS (SELECT FROM skipped_month k WHERE k.account_id = c.account_id AND k.period = c.period)
		UNION ALL
		SELECT c.account_id, c.seq, format('U3: the usage of %s is skipped, but its charge is not reversed', c.period)
		FROM skipped_month k JOIN entry c ON c.account_id = k.account_id AND c.period = k.period AND c.kind = 'charge'
		WHERE NOT EXISTS (SELECT FROM entry r WHERE r.account_id = c.account_id AND r.ref_seq = c.seq AND r.kind = 'reversal')
		UNION ALL
		SELECT t.account_id, t.seq, format('T7: %s of the top-up of %s has been taken back', t.taken_back, t.amount) FROM topup_status t
		WHERE t.taken_back < 0 OR t.remaining < 0
		UNION ALL
		SELECT t.account_id, t.bonus_seq, format('T6: %s of the bonus of %s is left', t.bonus, t.bonus_earned) FROM topup_status t
		WHERE t.bonus < 0 OR t.bonus > t.bonus_earned
		UNION ALL
		-- so the general ledger is zero too (J4): every other contra leg is the entry's own amount
		SELECT e.account_id, e.seq, format('C7: the lines do not add up to %s', e.amount) FROM entry e
		WHERE e.lines IS NOT NULL
			AND kb_lines_total(e.lines, kb_currency(e.amount)) IS DISTINCT FROM - kb_minor(e.amount)
		UNION ALL
		SELECT s.account_id, NULL, format('C2: service "%s" is on twice on %s', s.service, s.from_date)
		FROM (SELECT u.*, lag(u.to_date) OVER (PARTITION BY u.account_id, u.service ORDER BY u.from_date) AS previous_end
			  FROM subscription u) s
		WHERE s.from_date < s.previous_end
		UNION ALL
		SELECT h.account_id, NULL, format('C3: two tariffs on %s', h.from_date)
		FROM (SELECT t.*, lag(t.to_date) OVER (PARTITION BY t.account_id ORDER BY t.from_date) AS previous_end
			  FROM account_tariff t) h
		WHERE h.from_date < h.previous_end
		UNION ALL
		SELECT NULL, NULL, format('C3: tariff "%s" has two prices for "%s" on %s', p.tariff, p.service, p.from_date)
		FROM (SELECT x.*, lag(x.to_date) OVER (PARTITION BY x.tariff, x.service ORDER BY x.from_date) AS previous_end
			  FROM price_list x) p
		WHERE p.from_date < p.previous_end
		UNION ALL
		SELECT NULL, NULL, format('W2: this server does not know the time zone "%s" of some accounts, and takes UTC for it', z.time_zone)
		FROM account_zone z
		WHERE NOT EXISTS (SELECT FROM pg_timezone_names n WHERE n.name = z.time_zone)
		UNION ALL
		SELECT NULL, NULL, format('J1: trigger %s on %s is %s', g.trigger_name, g.table_name,
				CASE WHEN t.oid IS NULL THEN 'gone' WHEN pg_get_triggerdef(t.oid) <> g.definition THEN 'not what it was'
					WHEN g.enabled = 'A' THEN 'not enabled always' ELSE 'not enabled' END)
		FROM guard_trigger g
		LEFT JOIN pg_trigger t ON t.tgrelid = to_regclass('kbilling.' || g.table_name) AND t.tgname = g.trigger_name
		WHERE t.oid IS NULL OR pg_get_triggerdef(t.oid) <> g.definition OR t.tgenabled NOT IN (g.enabled, 'A')
		UNION ALL
		SELECT NULL, NULL, format('J7: event trigger kbilling_refuse_drop is %s',
				CASE WHEN v.oid IS NULL THEN 'gone' WHEN v.evtenabled <> 'A' THEN 'not enabled always' ELSE 'not what it was' END)
		FROM (VALUES (ARRAY['DROP EXTENSION', 'DROP SCHEMA', 'DROP OWNED'])) g (tags)
		LEFT JOIN pg_event_trigger v ON v.evtname = 'kbilling_refuse_drop'
		WHERE v.oid IS NULL OR v.evtenabled <> 'A' OR v.evtevent <> 'ddl_command_start' OR NOT coalesce(v.evttags @> g.tags, true)
			OR v.evtfoid <> 'kbilling_internal.kb_refuse_drop()'::regprocedure
		UNION ALL
		SELECT NULL, NULL, format('J1: %s has a parent, %s, on which its triggers do not fire', i.inhrelid::regclass, i.inhparent::regclass)
		FROM pg_inherits i
		WHERE i.inhrelid IN ('kbilling.entry'::regclass, 'kbilling.account'::regclass)
	) p
	WHERE kb_is_owned(p.account_id) IS NOT FALSE
	UNION ALL
	SELECT NULL, NULL, format('B3: bucket %s is not owned, and has %s accounts here', b.bucket, b.accounts)
	FROM (SELECT kb_shard(a.account_id) AS bucket, count(*) AS accounts FROM account a
		  WHERE NOT kb_is_owned(a.account_id) GROUP BY kb_shard(a.account_id)) b
	UNION ALL
	SELECT NULL, NULL, format('B2: %s of 1024 buckets have a row, so the others are not owned', count(*)) FROM shard_bucket
	HAVING count(*) NOT IN (0, 1024);
END;
COMMENT ON FUNCTION kb_check() IS
'Everything that is wrong in the books, a row for each problem; no row if all is well. It reads the whole journal. Accounts '
'of buckets that this node does not own are passed over, but for one row for each such bucket (B3)';

-- When a price was listed is left out, as a node may have got it later than another.
CREATE FUNCTION kbilling.kb_catalogue_digest() RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET timezone = 'UTC' SET datestyle = 'ISO'
	SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT encode(sha256(convert_to(string_agg(l.line, E'\n' ORDER BY l.line COLLATE "C"), 'UTF8')), 'hex')
	FROM (SELECT concat_ws(' ', 'policy', to_jsonb(p)) FROM policy p
		  UNION ALL
		  SELECT concat_ws(' ', 'tariff', to_jsonb(t)) FROM tariff t
		  UNION ALL
		  SELECT concat_ws(' ', 'service', to_jsonb(s)) FROM service s
		  UNION ALL
		  SELECT concat_ws(' ', 'price', to_jsonb(p) - '{listed_at,withdrawn_at}'::text[], p.withdrawn_at IS NOT NULL) FROM price p
		  UNION ALL
		  SELECT concat_ws(' ', 'bonus_tier', to_jsonb(b)) FROM bonus_tier b
		  UNION ALL
		  SELECT concat_ws(' ', 'credit_line', to_jsonb(c)) FROM credit_line c
		  UNION ALL
		  SELECT concat_ws(' ', 'usage_limit', to_jsonb(u)) FROM usage_limit u
		  UNION ALL
		  SELECT concat_ws(' ', 'alert', to_jsonb(a)) FROM alert a
		  UNION ALL
		  SELECT concat_ws(' ', 'tariff_minimum', to_jsonb(m)) FROM tariff_minimum m
		  UNION ALL
		  SELECT concat_ws(' ', 'discount_code', to_jsonb(d)) FROM discount_code d
		  UNION ALL
		  SELECT concat_ws(' ', 'payment_method', to_jsonb(m)) FROM payment_method m
		  UNION ALL
		  SELECT concat_ws(' ', 'standard_name', to_jsonb(n)) FROM standard_name n
		  UNION ALL
		  SELECT concat_ws(' ', 'catalogue_name', to_jsonb(n)) FROM catalogue_name n
		  UNION ALL
		  SELECT concat_ws(' ', 'standard_template', to_jsonb(x)) FROM standard_template x
		  UNION ALL
		  SELECT concat_ws(' ', 'notice_template', to_jsonb(x)) FROM notice_template x) l (line);
END;
COMMENT ON FUNCTION kb_catalogue_digest() IS
'A digest of the price list: policies, tariffs, services, prices with their numbers, bonus tiers, credit lines, limits, minimums, '
'discount codes, payment methods, names and texts of notices, built-in ones too. Nodes whose digests are equal bill alike '
'(B6). When prices were listed is left out';

-- Nodes of one version have the same; who has changed something by hand has not.
CREATE FUNCTION kbilling_internal.kb_schema_digest() RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN (SELECT md5(string_agg(format('%s.%s(%s) %s', o.schema_name, o.name, o.arguments, o.result), E'\n'
							  ORDER BY o.schema_name, o.name, o.arguments, o.result))
		FROM (SELECT n.nspname::text COLLATE "C" AS schema_name, p.proname::text COLLATE "C" AS name,
					 (SELECT string_agg(concat_ws(' ', p.proargnames[a.n], x.nspname, t.typname), ',' ORDER BY a.n)
					  FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY a (type, n)
					  JOIN pg_type t ON t.oid = a.type JOIN pg_namespace x ON x.oid = t.typnamespace) COLLATE "C" AS arguments,
					 (r.typname || p.pronargdefaults) COLLATE "C" AS result
			  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type r ON r.oid = p.prorettype
			  WHERE n.nspname IN ('kbilling', 'kbilling_internal')
			  UNION ALL
			  SELECT n.nspname, c.relname, a.attname, t.typname
			  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
			  JOIN pg_type t ON t.oid = a.atttypid
			  WHERE n.nspname IN ('kbilling', 'kbilling_internal') AND c.relkind IN ('r', 'v')) o);
COMMENT ON FUNCTION kb_schema_digest() IS
'A digest of the functions, tables and views of kbilling by their names and types, to compare between nodes (B)';

CREATE FUNCTION kbilling_internal.kb_node(OUT node text, OUT schema_digest text, OUT catalogue_digest text, OUT buckets integer[],
										  OUT has_accounts boolean)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	-- a standby that is promoted keeps the system identifier, and starts at a time of its own
	SELECT format('%s/%s/%s', (SELECT c.system_identifier FROM pg_control_system() c),
				  (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()), extract(epoch FROM pg_postmaster_start_time())),
		   kb_schema_digest(), kb_catalogue_digest(),
		   (SELECT coalesce(array_agg(b.bucket ORDER BY b.bucket) FILTER (WHERE b.is_owned), '{}') FROM shard_bucket b HAVING count(*) > 0),
		   EXISTS (SELECT FROM account);
END;
COMMENT ON FUNCTION kb_node() IS
'What tells this node from others, and whether it fits them: its database, digests of its schema and of its price list, the '
'buckets that it owns (NULL: it has no shards), and whether it has accounts (B)';
