/*
 * correction.c
 *		What puts a balance right: refund, chargeback, adjustment, write-off,
 *		reversal.  Each is one posting; a chargeback may take a bonus along.
 */
#include "postgres.h"

#include "args.h"
#include "card.h"
#include "clock.h"
#include "errors.h"
#include "fmgr.h"
#include "journal.h"
#include "plan.h"

/* Lock the account that a correction is for */
static void
begin_correction(FunctionCallInfo fcinfo, int reference_arg, LockedAccount *account, Posting *posting)
{
	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, reference_arg, "reference");
	memset(posting, 0, sizeof(Posting));
	posting->key = journal_key(PG_GETARG_TEXT_PP(reference_arg), "reference");
	plan_connect();
	journal_lock_for(PG_GETARG_INT64(0), posting->key, kb_current_time(), account);
}

static SavedPlan stage_plan = {
	.sql = "SELECT kb_notify_stages(ARRAY[$1], $2, $3::kb_stage, 'entry ' || $4)",
	.arg_types = {"bigint", "timestamptz", "text", "bigint"}
};

/* The last entry has changed the stage, and has no notice of its own that says so (N5) */
static void
notify_stage(const LockedAccount *account, Stage before)
{
	Datum		values[] = {Int64GetDatum(account->account_id), TimestampTzGetDatum(account->at),
		CStringGetTextDatum(stage_label(before)), Int64GetDatum(account->last_seq)
	};

	plan_execute(&stage_plan, values, NULL, false);
}

/* Post them, or find that it has been done; seq of the last one */
static int64
post_or_replay(LockedAccount *account, const Posting *postings, int n)
{
	Stage		before = journal_stage(account);

	if (!journal_post(account, postings, n))
		return journal_replayed(account, &postings[n - 1]);
	if (journal_stage(account) != before)
		notify_stage(account, before);
	return account->last_seq;
}

/* Refuse an amount (KB005) */
static void
refuse_amount(const char *message, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_KB_AMOUNT_OUT_OF_RANGE),
			 errmsg_internal("%s", message),
			 errdetail_internal("%s", card_hidden(detail)),
			 errhint("%s", hint)));
}

/* T6: only paid money that is left can be refunded, never bonus */
static void
check_refundable(const LockedAccount *account, Money amount)
{
	Money		paid = money_sub(account->balance, account->bonus);

	if (money_minor(amount) > Max(money_minor(paid), 0))
		refuse_amount("the refund exceeds the paid money that is left",
					  psprintf("Account %lld has a balance of %s, of which %s is bonus; the refund is %s (T6).",
							   (long long) account->account_id, money_to_cstring(account->balance),
							   money_to_cstring(account->bonus), money_to_cstring(amount)),
					  "Refund less; bonus is not paid out.");
}

/* kb_refund(account_id, amount, reference, memo) */
PG_FUNCTION_INFO_V1(kb_refund);
Datum
kb_refund(PG_FUNCTION_ARGS)
{
	LockedAccount account;
	Posting		posting;
	Money		amount;
	int64		seq;

	arg_required(fcinfo, 1, "amount");
	amount = PG_GETARG_MONEY(1);
	if (money_minor(amount) <= 0)
		refuse_amount("a refund must be above zero", psprintf("The amount is %s.", money_to_cstring(amount)),
					  "Give the amount that is paid back as a positive one.");
	begin_correction(fcinfo, 2, &account, &posting);
	journal_check_currency(&account, amount);
	posting.kind = "refund";
	posting.memo = arg_cstring(fcinfo, 3);
	if (!journal_knows(&account, posting.key, &posting.amount))
		check_refundable(&account, amount);
	posting.amount = money_neg(amount);
	seq = post_or_replay(&account, &posting, 1);
	SPI_finish();
	PG_RETURN_INT64(seq);
}

/* kb_adjust(account_id, amount, reference, memo) */
PG_FUNCTION_INFO_V1(kb_adjust);
Datum
kb_adjust(PG_FUNCTION_ARGS)
{
	LockedAccount account;
	Posting		posting;
	int64		seq;

	arg_required(fcinfo, 1, "amount");
	arg_required(fcinfo, 3, "memo");
	begin_correction(fcinfo, 2, &account, &posting);
	posting.kind = "adjustment";
	posting.amount = PG_GETARG_MONEY(1);
	posting.memo = arg_cstring(fcinfo, 3);
	journal_check_currency(&account, posting.amount);
	if (money_minor(posting.amount) == 0)
		refuse_amount("an adjustment must not be zero", "It would change nothing.",
					  "Give an amount above or below zero.");
	/* a debit spends bonus first, as a charge does */
	posting.bonus_delta = Min(money_minor(posting.amount), 0);
	seq = post_or_replay(&account, &posting, 1);
	SPI_finish();
	PG_RETURN_INT64(seq);
}

/* kb_write_off(account_id, reference, memo) */
PG_FUNCTION_INFO_V1(kb_write_off);
Datum
kb_write_off(PG_FUNCTION_ARGS)
{
	LockedAccount account;
	Posting		posting;
	int64		seq;

	arg_required(fcinfo, 2, "memo");
	begin_correction(fcinfo, 1, &account, &posting);
	posting.kind = "writeoff";
	posting.memo = arg_cstring(fcinfo, 2);
	/* a replay writes off what it did then, whatever the debt is now */
	if (!journal_knows(&account, posting.key, &posting.amount))
	{
		if (money_minor(account.balance) >= 0)
			refuse_amount("there is no debt to write off",
						  psprintf("Account %lld has a balance of %s.", (long long) account.account_id,
								   money_to_cstring(account.balance)),
						  "Only a balance below zero can be written off.");
		posting.amount = money_neg(account.balance);
	}
	seq = post_or_replay(&account, &posting, 1);
	SPI_finish();
	PG_RETURN_INT64(seq);
}

/* Whether the entry has been taken back by another one */
static SavedPlan undone_plan = {
	.sql = "SELECT u.seq FROM entry u WHERE u.account_id = $1 AND u.ref_seq = $2"
	"   AND u.kind IN ('chargeback', 'reversal') AND u.key <> $3",
	.arg_types = {"bigint", "bigint", "text"}
};

/* An entry is taken back at most once, by chargeback or by reversal */
static void
check_not_undone(const LockedAccount *account, int64 seq, const char *key)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(seq), CStringGetTextDatum(key)};

	if (plan_execute(&undone_plan, values, NULL, false) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_KB_KEY_REUSED),
				 errmsg("entry %lld of account %lld has been taken back already",
						(long long) seq, (long long) account->account_id),
				 errdetail("Entry %lld took it back.", (long long) plan_int64(1)),
				 errhint("Use kb_adjust if more is to be put right.")));
}

static SavedPlan topup_plan = {
	.sql = "SELECT t.seq, t.amount FROM entry t WHERE t.account_id = $1 AND t.key = $2 AND t.kind = 'topup'",
	.arg_types = {"bigint", "text"}
};

/*
 * The top-up's bonus, and what later top-ups have earned: the oldest bonus is
 * spent first, so theirs is the last to go.  A reversed bonus no longer counts,
 * and what a chargeback took back counts against the bonus that it was taken from.
 */
static SavedPlan topup_bonus_plan = {
	.sql = "WITH b AS (SELECT x.seq, x.ref_seq, x.amount FROM entry x"
	"            WHERE x.account_id = $1 AND x.kind = 'bonus'"
	"              AND NOT EXISTS (SELECT FROM entry r WHERE r.account_id = $1"
	"                               AND r.ref_seq = x.seq AND r.kind = 'reversal'))"
	"SELECT b.seq, b.amount,"
	"       (SELECT sum(l.amount) FROM b l"
	"         WHERE CASE WHEN l.amount < 0 THEN l.ref_seq ELSE l.seq END > b.seq)"
	"  FROM b WHERE b.ref_seq = $2",
	.arg_types = {"bigint", "bigint"}
};

/* Its columns; what later ones have earned is NULL if there are none. */
enum
{
	BONUS_SEQ = 1, BONUS_AMOUNT, BONUS_LATER
};

/* T6: as much of the top-up's bonus as is unspent; false if there is none */
static bool
make_bonus_return(const LockedAccount *account, int64 topup_seq, Posting *posting)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(topup_seq)};
	int64		later;
	int64		unspent;

	if (plan_execute(&topup_bonus_plan, values, NULL, false) == 0)
		return false;
	memset(posting, 0, sizeof(Posting));
	later = plan_is_null(BONUS_LATER) ? 0 : money_minor(plan_money(BONUS_LATER));
	unspent = Min(money_minor(plan_money(BONUS_AMOUNT)), money_minor(account->bonus) - Max(later, 0));
	posting->ref_seq = plan_int64(BONUS_SEQ);
	posting->kind = "bonus";
	posting->amount = money_make(money_currency(account->balance), -Max(unspent, 0));
	posting->bonus_delta = money_minor(posting->amount);
	posting->key = psprintf("kb:unbonus:%lld", (long long) posting->ref_seq);
	return unspent > 0;
}

/* Find the top-up that is charged back */
static void
find_topup(const LockedAccount *account, const char *reference, Posting *posting)
{
	Datum		values[] = {Int64GetDatum(account->account_id), CStringGetTextDatum(reference)};

	card_check(reference);
	if (plan_execute(&topup_plan, values, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("account %lld has no top-up \"%s\"", (long long) account->account_id, reference),
				 errhint("Give the reference under which the top-up was applied; kbilling.payment_history lists them.")));
	posting->ref_seq = plan_int64(1);
	posting->amount = money_neg(plan_money(2));
}

/*
 * kb_chargeback(account_id, topup_reference, reference).  The bonus goes first:
 * after the chargeback it might count as spent by the debt that this makes.
 */
PG_FUNCTION_INFO_V1(kb_chargeback);
Datum
kb_chargeback(PG_FUNCTION_ARGS)
{
	LockedAccount account;
	Posting		postings[2];
	Posting    *chargeback = &postings[1];
	Money		known;
	bool		with_bonus;
	int64		seq;

	arg_required(fcinfo, 1, "topup_reference");
	begin_correction(fcinfo, 2, &account, chargeback);
	chargeback->kind = "chargeback";
	find_topup(&account, arg_cstring(fcinfo, 1), chargeback);
	check_not_undone(&account, chargeback->ref_seq, chargeback->key);
	with_bonus = !journal_knows(&account, chargeback->key, &known) &&
		make_bonus_return(&account, chargeback->ref_seq, &postings[0]);
	seq = post_or_replay(&account, with_bonus ? postings : chargeback, with_bonus ? 2 : 1);
	SPI_finish();
	PG_RETURN_INT64(seq);
}

/* What a reversal takes from the entry it reverses: all of it, the other way round */
static SavedPlan reversed_plan = {
	.sql = "SELECT - e.amount, e.kind = 'reversal',"
	"       coalesce((SELECT p.bonus_after FROM entry p WHERE p.account_id = $1 AND p.seq = $2 - 1),"
	"                kb_money(0, kb_currency(e.amount))) - e.bonus_after,"
	"       (SELECT jsonb_agg(jsonb_set(l.line, '{amount}', to_jsonb(- (l.line->>'amount')::kb_money))"
	"                         ORDER BY l.ordinality)"
	"          FROM jsonb_array_elements(e.lines) WITH ORDINALITY l(line))"
	"  FROM entry e WHERE e.account_id = $1 AND e.seq = $2",
	.arg_types = {"bigint", "bigint"}
};

/* Its columns; an entry may have no lines. */
enum
{
	REVERSED_AMOUNT = 1, REVERSED_IS_REVERSAL, REVERSED_BONUS, REVERSED_LINES
};

/* The posting that reverses an entry */
static void
make_reversal(const LockedAccount *account, int64 entry_seq, Posting *posting)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(entry_seq)};

	if (plan_execute(&reversed_plan, values, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("account %lld has no entry %lld", (long long) account->account_id, (long long) entry_seq),
				 errhint("Take seq from kbilling.payment_history.")));
	if (plan_bool(REVERSED_IS_REVERSAL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("entry %lld of account %lld is a reversal itself",
						(long long) entry_seq, (long long) account->account_id),
				 errhint("Put a wrong reversal right with kb_adjust.")));
	posting->kind = "reversal";
	posting->ref_seq = entry_seq;
	posting->amount = plan_money(REVERSED_AMOUNT);
	posting->bonus_delta = money_minor(plan_money(REVERSED_BONUS));
	posting->lines = plan_is_null(REVERSED_LINES) ? NULL : DatumGetJsonbPCopy(plan_required(REVERSED_LINES));
}

/* kb_reverse(account_id, entry_seq, reference, memo) */
PG_FUNCTION_INFO_V1(kb_reverse);
Datum
kb_reverse(PG_FUNCTION_ARGS)
{
	LockedAccount account;
	Posting		posting;
	int64		seq;

	arg_required(fcinfo, 1, "entry_seq");
	arg_required(fcinfo, 3, "memo");
	begin_correction(fcinfo, 2, &account, &posting);
	posting.memo = arg_cstring(fcinfo, 3);
	make_reversal(&account, PG_GETARG_INT64(1), &posting);
	check_not_undone(&account, posting.ref_seq, posting.key);
	seq = post_or_replay(&account, &posting, 1);
	SPI_finish();
	PG_RETURN_INT64(seq);
}
