/*
 * topup.c
 *		Money paid in, and its bonus.
 */
#include "postgres.h"

#include "args.h"
#include "bonus.h"
#include "card.h"
#include "clock.h"
#include "closure.h"
#include "credit.h"
#include "errors.h"
#include "fmgr.h"
#include "journal.h"
#include "member.h"
#include "payment.h"
#include "plan.h"
#include "row.h"
#include "status.h"

/* Columns of kb_topup_result */
enum
{
	TOPUP_ENTRY_SEQ, TOPUP_BONUS_SEQ, TOPUP_CREDITED, TOPUP_BONUS, TOPUP_BALANCE,
	TOPUP_STAGE_BEFORE, TOPUP_STAGE_AFTER, TOPUP_REPLAYED
};

/* Arguments of kb_apply_topup */
enum
{
	ARG_ACCOUNT_ID, ARG_AMOUNT, ARG_METHOD, ARG_REFERENCE, ARG_MEMBER, ARG_PAYMENT_ID, ARG_PAID
};

/* The posting of a bonus for the top-up that is the account's next entry */
static void
make_bonus(const LockedAccount *account, Money bonus, DateADT expires_on, Posting *posting)
{
	memset(posting, 0, sizeof(Posting));
	posting->kind = "bonus";
	posting->amount = bonus;
	posting->credit = credit_to_lot(LOT_PRIORITY, expires_on, money_minor(bonus));
	posting->ref_seq = account->last_seq + 1;
	posting->key = psprintf("kb:bonus:%lld", (long long) posting->ref_seq);
}

static SavedPlan replayed_plan = {
	.sql = "SELECT b.seq, b.amount, coalesce(b.balance_after, t.balance_after)"
	"  FROM entry t"
	"  LEFT JOIN entry b ON b.account_id = t.account_id AND b.seq = t.seq + 1"
	"   AND b.kind = 'bonus' AND b.ref_seq = t.seq"
	" WHERE t.account_id = $1 AND t.seq = $2",
	.arg_types = {"bigint", "bigint"}
};

/* Its columns; the bonus's are NULL if there was none. */
enum
{
	REPLAYED_BONUS_SEQ = 1, REPLAYED_BONUS, REPLAYED_BALANCE
};

/* The first result again (J3, T3); the entry's seq */
static int64
replay_topup(const LockedAccount *account, const Posting *posting, Row *row)
{
	int64		seq = journal_replayed(account, posting);
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(seq)};
	int64		last = seq;
	Money		bonus = money_make(money_currency(posting->amount), 0);

	if (plan_execute(&replayed_plan, values, NULL, false) == 0)
		elog(ERROR, "entry %lld is gone", (long long) seq);
	row_set(row, TOPUP_ENTRY_SEQ, Int64GetDatum(seq));
	row_set(row, TOPUP_BALANCE, plan_required(REPLAYED_BALANCE));
	if (!plan_is_null(REPLAYED_BONUS_SEQ))
	{
		bonus = plan_money(REPLAYED_BONUS);
		last = plan_int64(REPLAYED_BONUS_SEQ);
		row_set(row, TOPUP_BONUS_SEQ, Int64GetDatum(last));
	}
	row_set(row, TOPUP_BONUS, MoneyGetDatum(bonus));
	row_set_enum(row, TOPUP_STAGE_BEFORE, status_stage_then(account, seq - 1, seq));
	row_set_enum(row, TOPUP_STAGE_AFTER, status_stage_then(account, last, seq));
	row_set(row, TOPUP_REPLAYED, BoolGetDatum(true));
	return seq;
}

/* A new top-up and its bonus; the top-up's seq, 0 if the reference is known */
static int64
post_topup(LockedAccount *account, const Posting *topup, Row *row)
{
	Posting		postings[2] = {*topup};
	Stage		stage_before = journal_stage(account);
	DateADT		expires_on;
	Money		bonus;
	bool		has_bonus;
	Money		known;
	int64		seq;

	/* who has no credit that expires looks for the key but once */
	if (account->lots.n > 0 && !credit_begin_posting(account, topup->key, &known))
		return 0;
	bonus = bonus_for(account, topup->amount, &expires_on);
	has_bonus = money_minor(bonus) > 0;
	if (account->is_deleted)
		postings[0].notice = "topup_after_deletion";
	if (has_bonus)
		make_bonus(account, bonus, expires_on, &postings[1]);
	if (!journal_post(account, postings, has_bonus ? 2 : 1))
		return 0;

	seq = account->last_seq - has_bonus;
	row_set(row, TOPUP_ENTRY_SEQ, Int64GetDatum(seq));
	if (has_bonus)
		row_set(row, TOPUP_BONUS_SEQ, Int64GetDatum(account->last_seq));
	row_set(row, TOPUP_BONUS, MoneyGetDatum(bonus));
	row_set(row, TOPUP_BALANCE, MoneyGetDatum(account->balance));
	row_set_enum(row, TOPUP_STAGE_BEFORE, stage_label(stage_before));
	row_set_enum(row, TOPUP_STAGE_AFTER, stage_label(journal_stage(account)));
	row_set(row, TOPUP_REPLAYED, BoolGetDatum(false));
	/* D4 */
	if (account->is_closing && money_minor(account->balance) > 0)
		closure_cancel_for_topup(account, topup->member);
	return seq;
}

/* T8: what the customer was charged, where that is another amount */
static void
read_paid(FunctionCallInfo fcinfo, Posting *posting)
{
	Money		paid = PG_ARGISNULL(ARG_PAID) ? posting->amount : PG_GETARG_MONEY(ARG_PAID);

	posting->paid = paid == posting->amount ? NO_MONEY : paid;
	if (money_minor(paid) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_KB_AMOUNT_OUT_OF_RANGE),
				 errmsg("what was paid must be above zero"),
				 errdetail("It is %s.", card_hidden(money_to_cstring(paid))),
				 errhint("Leave paid out if the customer was charged the amount itself.")));
}

/* What the caller wants posted */
static void
read_posting(FunctionCallInfo fcinfo, Posting *posting)
{
	arg_required(fcinfo, ARG_ACCOUNT_ID, "account_id");
	arg_required(fcinfo, ARG_AMOUNT, "amount");
	arg_required(fcinfo, ARG_METHOD, "method");
	arg_required(fcinfo, ARG_REFERENCE, "reference");
	memset(posting, 0, sizeof(Posting));
	posting->kind = "topup";
	posting->notice = "topup_received";
	posting->amount = PG_GETARG_MONEY(ARG_AMOUNT);
	posting->method = arg_cstring(fcinfo, ARG_METHOD);
	posting->key = journal_key(PG_GETARG_TEXT_PP(ARG_REFERENCE), "reference");
	posting->member = arg_cstring(fcinfo, ARG_MEMBER);
	if (posting->member != NULL)
		card_check(posting->member);
	payment_check_amount(posting->amount);
	read_paid(fcinfo, posting);
}

/* kb_apply_topup(account_id, amount, method, reference, member, payment_id, paid) */
PG_FUNCTION_INFO_V1(kb_apply_topup);
Datum
kb_apply_topup(PG_FUNCTION_ARGS)
{
	bool		has_payment = !PG_ARGISNULL(ARG_PAYMENT_ID);
	LockedAccount account;
	Posting		posting;
	Row			row;
	int64		seq;

	read_posting(fcinfo, &posting);
	row_begin(&row, fcinfo);
	plan_connect();
	payment_check_method(posting.method);

	journal_lock(PG_GETARG_INT64(ARG_ACCOUNT_ID), kb_current_time(), &account);
	journal_check_currency(&account, posting.amount);
	if (has_payment)
		payment_check(&account, PG_GETARG_INT64(ARG_PAYMENT_ID), &posting);
	row_set(&row, TOPUP_CREDITED, MoneyGetDatum(posting.amount));
	seq = post_topup(&account, &posting, &row);
	if (seq == 0)
		seq = replay_topup(&account, &posting, &row);
	else if (!PG_ARGISNULL(ARG_MEMBER) && !account.is_deleted)
		member_require_payer(account.account_id, posting.member,
							 "Leave member out for a payment that the provider reports by itself.");
	if (has_payment)
		payment_settle(&account, PG_GETARG_INT64(ARG_PAYMENT_ID), &posting, seq);

	SPI_finish();
	return row_end(&row);
}
