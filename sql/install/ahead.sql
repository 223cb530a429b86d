/*
 * What becomes of an account if nothing is paid and nothing else happens (S6),
 * over values: the days of a sweep that runs each day.
 */

CREATE TYPE kbilling_internal.kb_policy_ahead AS (
	from_day      date,
	remind_day    integer,
	restrict_day  integer,
	block_day     integer,
	may_close_on  date,
	close_unused  boolean,
	restore_days  integer,
	reminder_days integer[]
);
COMMENT ON TYPE kb_policy_ahead IS 'The policy that holds for an account from a day on';
COMMENT ON COLUMN kb_policy_ahead.from_day IS 'First day of the tariff whose policy it is';
COMMENT ON COLUMN kb_policy_ahead.remind_day IS 'As in kbilling.policy';
COMMENT ON COLUMN kb_policy_ahead.restrict_day IS 'As in kbilling.policy';
COMMENT ON COLUMN kb_policy_ahead.block_day IS 'As in kbilling.policy';
COMMENT ON COLUMN kb_policy_ahead.may_close_on IS 'The day from which age and idleness allow a closure by this policy (D1)';
COMMENT ON COLUMN kb_policy_ahead.close_unused IS 'Whether the sweep may close it';
COMMENT ON COLUMN kb_policy_ahead.restore_days IS 'As in kbilling.policy';
COMMENT ON COLUMN kb_policy_ahead.reminder_days IS 'As in kbilling.policy';

CREATE TYPE kbilling_internal.kb_charge_ahead AS (
	period       date,
	posted_on    date,
	effective_on date,
	total        kb_money
);
COMMENT ON TYPE kb_charge_ahead IS 'A month that will be charged';
COMMENT ON COLUMN kb_charge_ahead.period IS 'The month, by its first day';
COMMENT ON COLUMN kb_charge_ahead.posted_on IS 'The day on which a sweep that runs each day charges it (C1)';
COMMENT ON COLUMN kb_charge_ahead.effective_on IS 'The day on which that takes effect (C5)';
COMMENT ON COLUMN kb_charge_ahead.total IS 'What it will come to; below zero it is a credit';

CREATE TYPE kbilling_internal.kb_expiry_ahead AS (
	expires_on date,
	owed       kb_money
);
COMMENT ON TYPE kb_expiry_ahead IS 'A day on which credit expires (G3)';
COMMENT ON COLUMN kb_expiry_ahead.expires_on IS 'The day';
COMMENT ON COLUMN kb_expiry_ahead.owed IS
'What was used before it, and is not charged by then unless a month that is charged sooner has it: the credit is kept for that';

CREATE FUNCTION kbilling_internal.kb_walk_ahead(
		today date, through date, balance kb_money, debt_since date, state text, delete_on date, closure_check_on date,
		scheduled_on date, scheduled_by_sweep boolean, reminded integer, unspent_bonus kb_money, lots kb_lot[],
		expired_through date, charged_through date, ends_on date,
		policies kb_policy_ahead[], charges kb_charge_ahead[], expiries kb_expiry_ahead[])
	RETURNS TABLE (from_day date, to_day date, balance kb_money, debt_since date, state text, delete_on date,
				   remind_day integer, restrict_day integer, block_day integer,
				   period date, charge kb_money, effective_on date)
	LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 10
	AS 'MODULE_PATHNAME', 'kb_walk_ahead';
COMMENT ON FUNCTION kb_walk_ahead(date, date, kb_money, date, text, date, date, date, boolean, integer, kb_money, kb_lot[], date,
								  date, date, kb_policy_ahead[], kb_charge_ahead[], kb_expiry_ahead[]) IS
'How an account that now stands as the arguments say will stand, up to the day "through", after the sweep of each day: '
'a row for each stretch of days without a change, from "from_day" to the day before "to_day". Charges are posted while '
'the account is not deleted (D5), and credit expires (G3); a closure that is under way is carried out or cancelled (D4), a '
'deleted account purged (D6). A row that begins with a charge shows it; of several on one day, all but the last have '
'rows of no length. Errors: 22004, 22023 for values that no account has';
