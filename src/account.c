/*
 * account.c
 *		Accounts: rows of kbilling.account.
 */
#include "postgres.h"

#include "account.h"
#include "args.h"
#include "fmgr.h"

/* kb_no_account(account_id, like_type): for coalesce() over a look-up */
PG_FUNCTION_INFO_V1(kb_no_account);
Datum
kb_no_account(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "account_id");
	ereport(ERROR, NO_SUCH_ACCOUNT(PG_GETARG_INT64(0)));
}
