/*
 * account.h
 *		Accounts: rows of kbilling.account.
 */
#ifndef KBILLING_ACCOUNT_H
#define KBILLING_ACCOUNT_H

#include "postgres.h"
#include "errors.h"
#include "plan.h"

/* Arguments of ereport for an account that is not there. */
#define NO_SUCH_ACCOUNT(account_id) \
	(errcode(ERRCODE_KB_UNKNOWN_ACCOUNT), \
	 errmsg("account %lld does not exist", (long long) (account_id)), \
	 errdetail("kbilling.account has no such row."), \
	 errhint("Create it with kb_create_account."))

/*
 * The result of a set-returning function whose first argument is an account: the rows
 * that the plan finds for it; KB001 if there is no such account, KB014 if it is another shard's.
 */
extern Datum account_rows(FunctionCallInfo fcinfo, SavedPlan *plan);

#endif
