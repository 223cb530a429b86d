/*
 * offer.c
 *		What to offer for a top-up.
 */
#include "postgres.h"

#include "account.h"
#include "fmgr.h"

static SavedPlan offers_plan = {
	.sql = "SELECT o.amount, o.bonus, o.reason, o.months"
	"  FROM account a"
	" CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today OFFSET 0) d"
	" CROSS JOIN LATERAL kb_year_ahead($1, d.today) y"
	" CROSS JOIN LATERAL kb_offers($1, y.months, y.amounts) o"
	" WHERE a.account_id = $1"
	" ORDER BY kb_minor(o.amount)",
	.arg_types = {"bigint"},
	.is_generic = true
};

/* kb_topup_offers(account_id) */
PG_FUNCTION_INFO_V1(kb_topup_offers);
Datum
kb_topup_offers(PG_FUNCTION_ARGS)
{
	return account_rows(fcinfo, &offers_plan);
}
