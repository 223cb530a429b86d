/*
 * grant.c
 *		Credit that is granted (rules G).
 */
#include "postgres.h"

#include "args.h"
#include "calendar.h"
#include "card.h"
#include "clock.h"
#include "correction.h"
#include "credit.h"
#include "errors.h"
#include "fmgr.h"
#include "journal.h"
#include "plan.h"

#define MAX_PRIORITY	1000

/* Arguments of kb_grant_credit */
enum
{
	ARG_ACCOUNT_ID, ARG_AMOUNT, ARG_REFERENCE, ARG_MEMO, ARG_EXPIRES_ON, ARG_PRIORITY
};

/* Refuse an expiry that has come (22008) */
static void
check_expiry(const LockedAccount *account, DateADT expires_on)
{
	if (expires_on <= account->today)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("credit cannot have expired already"),
				 errdetail("It would be spent no more from %s on; today is %s in the account's time zone (G3).",
						   date_to_cstring(expires_on), date_to_cstring(account->today)),
				 errhint("Give the day after the last one on which it is good.")));
}

/* What is to be granted */
static void
read_grant(FunctionCallInfo fcinfo, Posting *posting)
{
	arg_required(fcinfo, ARG_ACCOUNT_ID, "account_id");
	arg_required(fcinfo, ARG_AMOUNT, "amount");
	arg_required(fcinfo, ARG_REFERENCE, "reference");
	arg_required(fcinfo, ARG_MEMO, "memo");
	arg_required(fcinfo, ARG_PRIORITY, "priority");
	posting->kind = "credit";
	posting->amount = PG_GETARG_MONEY(ARG_AMOUNT);
	posting->key = journal_key(PG_GETARG_TEXT_PP(ARG_REFERENCE), "reference");
	posting->memo = arg_cstring(fcinfo, ARG_MEMO);
	if (money_minor(posting->amount) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_KB_AMOUNT_OUT_OF_RANGE),
				 errmsg("a credit must be above zero"),
				 errdetail("The amount is %s.", card_hidden(money_to_cstring(posting->amount))),
				 errhint("Use kb_adjust to take money from a balance.")));
	if (PG_GETARG_INT32(ARG_PRIORITY) < 0 || PG_GETARG_INT32(ARG_PRIORITY) > MAX_PRIORITY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("priority must be from 0 to %d", MAX_PRIORITY),
				 errdetail("It is %d.", PG_GETARG_INT32(ARG_PRIORITY)),
				 errhint("Lower numbers are spent first; %d is that of a bonus.", LOT_PRIORITY)));
	if (!PG_ARGISNULL(ARG_EXPIRES_ON) && DATE_NOT_FINITE(PG_GETARG_DATEADT(ARG_EXPIRES_ON)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("expires_on must be finite"),
				 errhint("Leave it out for credit that never expires.")));
	posting->credit = credit_to_lot(PG_GETARG_INT32(ARG_PRIORITY),
									PG_ARGISNULL(ARG_EXPIRES_ON) ? DATEVAL_NOEND : PG_GETARG_DATEADT(ARG_EXPIRES_ON),
									money_minor(posting->amount));
}

/* What a lot is may differ where all else is the same (J3) */
static SavedPlan known_plan = {
	.sql = "SELECT l.seq FROM credit_lot l"
	" WHERE l.account_id = $1 AND l.seq = $2 AND (l.priority, coalesce(l.expires_on, 'infinity')) IS DISTINCT FROM ($3, $4)",
	.arg_types = {"bigint", "bigint", "integer", "date"}
};

/* The entry under the key, which must be of the same credit */
static int64
find_known(const LockedAccount *account, const Posting *posting)
{
	int64		seq = journal_replayed(account, posting);
	const Lot  *lot = &posting->credit.lots.lots[0];
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(seq), Int32GetDatum(lot->priority),
		DateADTGetDatum(lot->expires_on)
	};

	if (plan_execute(&known_plan, values, NULL, false) > 0)
		journal_refuse_key(account, posting->key, seq);
	return seq;
}

/* kb_grant_credit(account_id, amount, reference, memo, expires_on, priority) */
PG_FUNCTION_INFO_V1(kb_grant_credit);
Datum
kb_grant_credit(PG_FUNCTION_ARGS)
{
	LockedAccount account;
	Posting		posting = {0};
	Money		known;
	int64		seq;

	read_grant(fcinfo, &posting);
	plan_connect();
	journal_lock(PG_GETARG_INT64(ARG_ACCOUNT_ID), kb_current_time(), &account);
	journal_check_currency(&account, posting.amount);
	if (credit_begin_posting(&account, posting.key, &known))
	{
		journal_require_open(&account);
		journal_require_contract(&account);
		if (!PG_ARGISNULL(ARG_EXPIRES_ON))
			check_expiry(&account, PG_GETARG_DATEADT(ARG_EXPIRES_ON));
		seq = correction_post(&account, &posting, 1, 0);
	}
	else
		seq = find_known(&account, &posting);
	SPI_finish();
	PG_RETURN_INT64(seq);
}
