/*
 * purchase.c
 *		Purchases: services that are billed when they are bought (L5).
 */
#include "postgres.h"

#include "args.h"
#include "card.h"
#include "clock.h"
#include "correction.h"
#include "credit.h"
#include "errors.h"
#include "fmgr.h"
#include "journal.h"
#include "limit.h"
#include "member.h"
#include "plan.h"

/* Arguments of kb_buy */
enum
{
	ARG_ACCOUNT_ID, ARG_SERVICE, ARG_QUANTITY, ARG_REFERENCE, ARG_MEMBER
};

static SavedPlan purchase_plan = {
	.sql = "SELECT p.amount, p.lines FROM kb_purchase_of($1, $2, $3, $4) p",
	.arg_types = {"bigint", "text", "numeric", "date"},
	.is_generic = true
};

/* What is bought, and what it costs; it must cost something */
static void
read_purchase(FunctionCallInfo fcinfo, const LockedAccount *account, Posting *posting)
{
	Datum		values[] = {PG_GETARG_DATUM(ARG_ACCOUNT_ID), PG_GETARG_DATUM(ARG_SERVICE), PG_GETARG_DATUM(ARG_QUANTITY),
		DateADTGetDatum(account->today)
	};
	Money		cost;

	plan_execute(&purchase_plan, values, NULL, false);
	cost = plan_money(1);
	if (money_minor(cost) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_KB_AMOUNT_OUT_OF_RANGE),
				 errmsg("a purchase must cost something"),
				 errdetail("It comes to %s.", money_to_cstring(cost)),
				 errhint("What is free needs no purchase.")));
	posting->amount = money_neg(cost);
	posting->credit = credit_for_debit(posting->amount);
	posting->lines = (Lines *) PG_DETOAST_DATUM_COPY(plan_required(2));
}

/* Whether what stands under the key is the same purchase */
static SavedPlan known_plan = {
	.sql = "SELECT e.seq, e.kind = 'purchase' AND e.member IS NOT DISTINCT FROM $5 AND EXISTS ("
	"         SELECT FROM kb_line_rows(e.lines) l WHERE l.service = $3 AND l.quantity = $4)"
	"  FROM entry e WHERE e.account_id = $1 AND e.key = $2",
	.arg_types = {"bigint", "text", "text", "numeric", "text"},
	.is_generic = true
};

/* The entry under the key, which must be of the same purchase (J3), whatever the price is by now */
static int64
find_known(FunctionCallInfo fcinfo, const LockedAccount *account, const Posting *posting)
{
	char		nulls[] = "     ";
	Datum		values[] = {PG_GETARG_DATUM(ARG_ACCOUNT_ID), CStringGetTextDatum(posting->key), PG_GETARG_DATUM(ARG_SERVICE),
		PG_GETARG_DATUM(ARG_QUANTITY), plan_text_value(posting->member, &nulls[4])
	};

	plan_execute(&known_plan, values, nulls, false);
	if (!plan_bool(2))
		journal_refuse_key(account, posting->key, plan_int64(1));
	return plan_int64(1);
}

/* Post a purchase that the account can pay */
static int64
post_purchase(FunctionCallInfo fcinfo, LockedAccount *account, Posting *posting)
{
	journal_require_open(account);
	journal_require_contract(account);
	if (posting->member != NULL)
		member_require_payer(account->account_id, posting->member, "Let an owner or admin buy.");
	read_purchase(fcinfo, account, posting);
	limits_require_covered(account->account_id, money_neg(posting->amount));
	return correction_post(account, posting, 1, 0);
}

/* kb_buy(account_id, service, quantity, reference, member) */
PG_FUNCTION_INFO_V1(kb_buy);
Datum
kb_buy(PG_FUNCTION_ARGS)
{
	LockedAccount account;
	Posting		posting = {.kind = "purchase"};
	Money		known;
	int64		seq;

	arg_required(fcinfo, ARG_ACCOUNT_ID, "account_id");
	arg_required(fcinfo, ARG_SERVICE, "service");
	arg_required(fcinfo, ARG_QUANTITY, "quantity");
	arg_required(fcinfo, ARG_REFERENCE, "reference");
	posting.key = journal_key(PG_GETARG_TEXT_PP(ARG_REFERENCE), "reference");
	posting.member = arg_cstring(fcinfo, ARG_MEMBER);
	if (posting.member != NULL)
		card_check(posting.member);
	plan_connect();
	journal_lock(PG_GETARG_INT64(ARG_ACCOUNT_ID), kb_current_time(), &account);
	seq = credit_begin_posting(&account, posting.key, &known) ? post_purchase(fcinfo, &account, &posting) :
		find_known(fcinfo, &account, &posting);
	SPI_finish();
	PG_RETURN_INT64(seq);
}
