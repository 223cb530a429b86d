/*
 * account.h
 *		Accounts: rows of kbilling.account.
 */
#ifndef KBILLING_ACCOUNT_H
#define KBILLING_ACCOUNT_H

#include "postgres.h"
#include "errors.h"

/* Arguments of ereport for an account that is not there. */
#define NO_SUCH_ACCOUNT(account_id) \
	(errcode(ERRCODE_KB_UNKNOWN_ACCOUNT), \
	 errmsg("account %lld does not exist", (long long) (account_id)), \
	 errdetail("kbilling.account has no such row."), \
	 errhint("Create it with kb_create_account."))

/* KB001 if there is no such account; the caller has connected to SPI. */
extern void account_require(int64 account_id, bool read_only);

#endif
