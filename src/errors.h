/*
 * errors.h
 *		The SQLSTATE class of kbilling: one code for each condition an
 *		application may want to tell apart (docs/reference.md lists them).
 */
#ifndef KBILLING_ERRORS_H
#define KBILLING_ERRORS_H

#include "utils/elog.h"

#define ERRCODE_KB_UNKNOWN_ACCOUNT				MAKE_SQLSTATE('K','B','0','0','1')
#define ERRCODE_KB_CURRENCY_MISMATCH			MAKE_SQLSTATE('K','B','0','0','2')
#define ERRCODE_KB_ACCESS_DENIED				MAKE_SQLSTATE('K','B','0','0','3')
#define ERRCODE_KB_ROLE_NOT_ALLOWED				MAKE_SQLSTATE('K','B','0','0','4')
#define ERRCODE_KB_AMOUNT_OUT_OF_RANGE			MAKE_SQLSTATE('K','B','0','0','5')
#define ERRCODE_KB_KEY_REUSED					MAKE_SQLSTATE('K','B','0','0','6')
#define ERRCODE_KB_JOURNAL_IS_IMMUTABLE			MAKE_SQLSTATE('K','B','0','0','7')
#define ERRCODE_KB_CARD_DATA_REFUSED			MAKE_SQLSTATE('K','B','0','0','8')
#define ERRCODE_KB_PERIOD_NOT_CHARGEABLE		MAKE_SQLSTATE('K','B','0','0','9')
#define ERRCODE_KB_ACCOUNT_DELETED				MAKE_SQLSTATE('K','B','0','1','0')
#define ERRCODE_KB_CLOSURE_CONDITIONS_NOT_MET	MAKE_SQLSTATE('K','B','0','1','1')
#define ERRCODE_KB_UNKNOWN_SERVICE_OR_TARIFF	MAKE_SQLSTATE('K','B','0','1','2')
#define ERRCODE_KB_LIMIT_REACHED				MAKE_SQLSTATE('K','B','0','1','3')
#define ERRCODE_KB_ACCOUNT_ON_ANOTHER_SHARD		MAKE_SQLSTATE('K','B','0','1','4')

/* What helps if an account is deleted; kb_lock_account says the same. */
#define RESTORE_HINT	"Support can restore it with kb_restore_account until the day before its purge."

#endif
