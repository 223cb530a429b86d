/*
 * bonus.c
 *		The bonus of a top-up: the tier that it reaches.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bonus.h"
#include "plan.h"
#include "table.h"

static Table tier_table = {.name = "bonus_tier"};

static SavedPlan tier_plan = {
	.sql = "SELECT kb_bonus($2, b.percent), coalesce($3 + b.valid_days, 'infinity') FROM bonus_tier b"
	" WHERE b.tariff = $1 AND b.min_amount <= $2 AND b.from_date <= $3 AND b.to_date > $3"
	" ORDER BY b.min_amount USING >, b.from_date DESC LIMIT 1",
	.arg_types = {"text", "kb_money", "date"}
};

/*
 * Many services have no tiers, and pay for no look-up.  With SERIALIZABLE, what is not
 * there has been read, too.
 */
static bool
there_are_tiers(void)
{
	return IsolationIsSerializable() || !table_is_empty(&tier_table);
}

/*
 * T5: the part of the amount that is left after the debt earns it.  An account that is deleted, or whose contract has ended,
 * has nothing ahead, and earns none.
 */
Money
bonus_for(LockedAccount *account, Money amount, DateADT *expires_on)
{
	Money		nothing = money_make(money_currency(amount), 0);
	Money		left = money_minor(account->balance) < 0 ? money_add(amount, account->balance) : amount;
	Datum		values[3];

	*expires_on = DATEVAL_NOEND;
	if (money_minor(left) <= 0 || account->is_deleted || account->is_ended || !there_are_tiers())
		return nothing;
	values[0] = CStringGetTextDatum(journal_tariff(account));
	values[1] = MoneyGetDatum(left);
	values[2] = DateADTGetDatum(account->today);
	if (plan_execute(&tier_plan, values, NULL, false) == 0)
		return nothing;
	*expires_on = plan_date(2);
	return plan_money(1);
}
