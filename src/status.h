/*
 * status.h
 *		Where an account stands: now, and when an entry was posted (S6).
 */
#ifndef KBILLING_STATUS_H
#define KBILLING_STATUS_H

#include "postgres.h"
#include "access.h"
#include "journal.h"
#include "money.h"
#include "policycache.h"

/* The columns of an account's row that decide its stage. */
typedef struct DebtRow
{
	int64		account_id;
	OptionalDate debt_since;
	OptionalDate deferred_until;
	DateADT		tariff_from;
	Datum		tariff;			/* a text */
	Datum		time_zone;		/* a text */
} DebtRow;

/* What follows from them today; with no debt, the stage alone. */
typedef struct DebtNow
{
	Stage		stage;
	DateADT		today;
	StageDays	days;			/* of today's policy */
} DebtNow;

/* False if there is no such tariff.  The row is one that the active snapshot sees, as is what else is read. */
extern bool status_of_debt(const DebtRow *row, DebtNow *now);

/* The row by a function's first arguments, in this order; false if one is NULL that never is in a row. */
extern bool status_debt_args(FunctionCallInfo fcinfo, DebtRow *row);

/* The policy of today, for an account with or without a debt; false if there is no such tariff. */
extern bool status_policy(const DebtRow *row, TariffPolicy *policy);

/* Where an account stands. */
typedef struct AccountStatus
{
	DebtRow		row;
	DebtNow		now;
	Money		balance;
	bool		is_deleted;		/* or purged */
	bool		is_ended;		/* its contract (X2) */
	bool		is_closing;
	OptionalDate delete_on;
	DateADT		charged_through;
	OptionalDate ends_on;
} AccountStatus;

/* As the active snapshot sees it; false if there is no such account. */
extern bool status_read(int64 account_id, AccountStatus *account);

/* Whether it is there, alive, without a debt, so that its stage is "ok" (S2), and without an end of its contract. */
extern bool status_is_clear(int64 account_id);

/* As status_read, or KB001; KB014 for another shard's. */
extern void status_require(int64 account_id, AccountStatus *account);

/* Label of the stage with entry seq (0: none) as the last one, when entry at_seq was posted. */
extern char *status_stage_then(const LockedAccount *account, int64 seq, int64 at_seq);

#endif
