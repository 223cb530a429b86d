/*
 * account.c
 *		Accounts: rows of kbilling.account.
 */
#include "postgres.h"

#include "account.h"
#include "args.h"
#include "fmgr.h"
#include "plan.h"

/* kb_require_account pins no search path, so this names schemas. */
static SavedPlan account_plan = {
	.sql = "SELECT FROM kbilling.account a WHERE a.account_id OPERATOR(pg_catalog.=) $1",
	.arg_types = {"bigint"}
};

void
account_require(int64 account_id, bool read_only)
{
	Datum		value = Int64GetDatum(account_id);

	if (plan_execute(&account_plan, &value, NULL, read_only) == 0)
		ereport(ERROR, NO_SUCH_ACCOUNT(account_id));
}

/* kb_require_account(account_id) */
PG_FUNCTION_INFO_V1(kb_require_account);
Datum
kb_require_account(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "account_id");
	plan_connect();
	account_require(PG_GETARG_INT64(0), true);
	SPI_finish();
	PG_RETURN_VOID();
}

/* kb_no_account(account_id, like_type): for coalesce() over a look-up */
PG_FUNCTION_INFO_V1(kb_no_account);
Datum
kb_no_account(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "account_id");
	ereport(ERROR, NO_SUCH_ACCOUNT(PG_GETARG_INT64(0)));
}
