/*
 * correction.c
 *		What puts a balance right: refund, chargeback, adjustment, write-off,
 *		reversal.  Each is one posting; a chargeback may take a bonus along.
 */
#include "postgres.h"

#include "allocation.h"
#include "args.h"
#include "card.h"
#include "clock.h"
#include "correction.h"
#include "credit.h"
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
	journal_lock(PG_GETARG_INT64(0), kb_current_time(), account);
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

int64
correction_post(LockedAccount *account, const Posting *postings, int n, int main)
{
	Stage		before = journal_stage(account);

	if (!journal_post(account, postings, n))
		elog(ERROR, "key \"%s\" is in use", postings[0].key);
	if (journal_stage(account) != before)
		notify_stage(account, before);
	return account->last_seq - n + 1 + main;
}

/* Post one, or find that it has been done */
static int64
post_or_replay(LockedAccount *account, const Posting *posting)
{
	Money		amount;

	return credit_begin_posting(account, posting->key, &amount) ? correction_post(account, posting, 1, 0) :
		journal_replayed(account, posting);
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

static SavedPlan topup_plan = {
	.sql = "SELECT t.seq FROM entry t WHERE t.account_id = $1 AND t.key = $2 AND t.kind = 'topup'",
	.arg_types = {"bigint", "text"}
};

/* The entry of a top-up */
static int64
find_topup(const LockedAccount *account, const char *reference)
{
	Datum		values[] = {Int64GetDatum(account->account_id), CStringGetTextDatum(reference)};

	card_check(reference);
	if (plan_execute(&topup_plan, values, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("account %lld has no top-up \"%s\"", (long long) account->account_id, reference),
				 errhint("Give the reference under which the top-up was applied; kbilling.topup_status lists them.")));
	return plan_int64(1);
}

static SavedPlan flag_plan = {
	.sql = "SELECT e.seq FROM entry e WHERE e.account_id = $1 AND e.key = $2 AND coalesce(e.lines::jsonb->0 ? $3, false) <> $4",
	.arg_types = {"bigint", "text", "text", "boolean"}
};

/* What was posted under the key must have been asked for in the same way (J3) */
static void
check_flag(const LockedAccount *account, const char *key, const char *flag, bool is_set)
{
	Datum		values[] = {Int64GetDatum(account->account_id), CStringGetTextDatum(key), CStringGetTextDatum(flag),
		BoolGetDatum(is_set)
	};

	if (plan_execute(&flag_plan, values, NULL, false) > 0)
		journal_refuse_key(account, key, plan_int64(1));
}

/* Refuse an amount that is not above zero */
static void
check_amount(const LockedAccount *account, Money amount, const char *what)
{
	journal_check_currency(account, amount);
	if (money_minor(amount) <= 0)
		refuse_amount(psprintf("%s must be above zero", what), psprintf("The amount is %s.", money_to_cstring(amount)),
					  "Give the amount that is paid back as a positive one.");
}

/* T8: what goes back takes the smallest unit at least, so that it is counted; zero if nothing is left of the top-up */
static Money
at_least_a_unit(const LockedAccount *account, int64 topup_seq, Money said, Money share)
{
	if (money_minor(said) <= 0 || money_minor(share) > 0)
		return share;
	return money_make(money_currency(account->balance), allocation_remaining(account, topup_seq).n > 0 ? 1 : 0);
}

/*
 * T8: what goes back of a top-up may be said in the currency in which it was paid; the posting then has that as well.
 * The amount in the account's currency: that of the entry, if there is one.  It is zero if nothing is left that a part
 * could take which the provider has paid back already (is_made), and which is less than half of the smallest unit.
 */
static Money
read_amount(const LockedAccount *account, Posting *posting, Money said, const Money *posted, bool is_made, const char *what)
{
	Money		amount = said;

	if (posting->ref_seq > 0 && money_currency(said) != money_currency(account->balance) &&
		allocation_share(account, posting->ref_seq, said, &amount))
	{
		posting->paid = money_neg(said);
		if (posted != NULL)
			return money_neg(*posted);
		amount = at_least_a_unit(account, posting->ref_seq, said, amount);
		if (is_made && money_minor(said) > 0 && money_minor(amount) == 0)
			return amount;
	}
	check_amount(account, amount, what);
	return amount;
}

/* T6: only paid money that is left can be refunded, never bonus; what the provider has refunded already is booked */
static void
check_paid_left(const LockedAccount *account, Money amount)
{
	Money		paid = money_sub(account->balance, account->bonus);

	if (money_minor(amount) > Max(money_minor(paid), 0))
		refuse_amount("the refund exceeds the paid money that is left",
					  psprintf("Account %lld has a balance of %s, of which %s is bonus; the refund is %s (T6).",
							   (long long) account->account_id, money_to_cstring(account->balance),
							   money_to_cstring(account->bonus), money_to_cstring(amount)),
					  "Refund less, as bonus is not paid out; or book with \"forced\" what the provider has refunded already.");
}

/* T6, T7: a top-up is given back for at most its amount, all together */
static void
check_topups_left(const LockedAccount *account, const TopupParts *parts, Money amount, const char *what)
{
	int64		left = allocation_sum(parts);

	if (money_minor(amount) > left)
		refuse_amount(psprintf("the %s exceeds what is left of the %s", what, parts->n == 1 ? "top-up" : "top-ups"),
					  psprintf("%s is left of %s account %lld; the %s is %s (T6, T7).",
							   money_to_cstring(money_make(money_currency(amount), Min(left, MONEY_MINOR_MAX))),
							   parts->n == 1 ? "the top-up of" : "the top-ups of",
							   (long long) account->account_id, what, money_to_cstring(amount)),
					  "kbilling.topup_status shows what is left of each. Use kb_adjust for money that no top-up has brought.");
}

/* Post the refund, with the parts of the top-ups that it pays back */
static int64
post_refund(LockedAccount *account, Posting *posting, Money amount, bool forced)
{
	TopupParts	parts = allocation_remaining(account, posting->ref_seq);
	int			n;
	Posting    *postings;

	if (!forced)
		check_paid_left(account, amount);
	check_topups_left(account, &parts, amount, "refund");
	allocation_limit(&parts, money_minor(amount));
	posting->lines = allocation_lines(account, &parts, forced ? "forced" : NULL);
	postings = allocation_take(account, &parts, posting, &n);
	return correction_post(account, postings, n, n - 1);
}

/* Arguments of kb_refund */
enum
{
	REFUND_ACCOUNT_ID, REFUND_AMOUNT, REFUND_REFERENCE, REFUND_MEMO, REFUND_TOPUP_REFERENCE, REFUND_FORCED
};

/* kb_refund(account_id, amount, reference, memo, topup_reference, forced) */
PG_FUNCTION_INFO_V1(kb_refund);
Datum
kb_refund(PG_FUNCTION_ARGS)
{
	LockedAccount account;
	Posting		posting;
	Money		amount;
	Money		posted;
	bool		forced;
	bool		is_known;
	int64		seq = 0;

	arg_required(fcinfo, REFUND_AMOUNT, "amount");
	arg_required(fcinfo, REFUND_FORCED, "forced");
	forced = PG_GETARG_BOOL(REFUND_FORCED);
	begin_correction(fcinfo, REFUND_REFERENCE, &account, &posting);
	posting.kind = "refund";
	posting.memo = arg_cstring(fcinfo, REFUND_MEMO);
	if (!PG_ARGISNULL(REFUND_TOPUP_REFERENCE))
		posting.ref_seq = find_topup(&account, arg_cstring(fcinfo, REFUND_TOPUP_REFERENCE));
	is_known = !credit_begin_posting(&account, posting.key, &posted);
	amount = read_amount(&account, &posting, PG_GETARG_MONEY(REFUND_AMOUNT), is_known ? &posted : NULL, forced, "a refund");
	posting.amount = money_neg(amount);
	if (is_known)
	{
		seq = journal_replayed(&account, &posting);
		check_flag(&account, posting.key, "forced", forced);
	}
	else if (money_minor(amount) > 0)
		seq = post_refund(&account, &posting, amount, forced);
	SPI_finish();
	if (seq == 0)
		PG_RETURN_NULL();
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
	posting.credit = credit_for_debit(posting.amount);
	seq = post_or_replay(&account, &posting);
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
	seq = post_or_replay(&account, &posting);
	SPI_finish();
	PG_RETURN_INT64(seq);
}

/* Refuse to take back what has been taken back (KB006) */
static void
refuse_again(const LockedAccount *account, int64 seq, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_KB_KEY_REUSED),
			 errmsg("entry %lld of account %lld has been taken back already", (long long) seq, (long long) account->account_id),
			 errdetail_internal("%s", detail),
			 errhint("Use kb_adjust if more is to be put right.")));
}

/* Post the chargeback of what is left of the top-up, or of the amount, if it is not NULL */
static int64
post_chargeback(LockedAccount *account, Posting *posting, const Money *amount)
{
	TopupParts	parts = allocation_remaining(account, posting->ref_seq);
	int			n;
	Posting    *postings;

	if (parts.n == 0)
		refuse_again(account, posting->ref_seq, "All of it has been refunded, charged back or reversed (T7).");
	if (amount != NULL)
	{
		check_topups_left(account, &parts, *amount, "chargeback");
		allocation_limit(&parts, money_minor(*amount));
	}
	posting->amount = money_make(money_currency(account->balance), -parts.parts[0].amount);
	posting->lines = allocation_lines(account, &parts, amount ? "named" : NULL);
	postings = allocation_take(account, &parts, posting, &n);
	return correction_post(account, postings, n, n - 1);
}

/* Arguments of kb_chargeback */
enum
{
	CHARGEBACK_ACCOUNT_ID, CHARGEBACK_TOPUP_REFERENCE, CHARGEBACK_REFERENCE, CHARGEBACK_AMOUNT
};

/* kb_chargeback(account_id, topup_reference, reference, amount) */
PG_FUNCTION_INFO_V1(kb_chargeback);
Datum
kb_chargeback(PG_FUNCTION_ARGS)
{
	bool		has_amount = !PG_ARGISNULL(CHARGEBACK_AMOUNT);
	LockedAccount account;
	Posting		posting;
	Money		posted;
	Money		amount = 0;
	bool		is_known;
	int64		seq = 0;

	arg_required(fcinfo, CHARGEBACK_TOPUP_REFERENCE, "topup_reference");
	begin_correction(fcinfo, CHARGEBACK_REFERENCE, &account, &posting);
	posting.kind = "chargeback";
	posting.ref_seq = find_topup(&account, arg_cstring(fcinfo, CHARGEBACK_TOPUP_REFERENCE));
	is_known = !credit_begin_posting(&account, posting.key, &posted);
	if (has_amount)
		amount = read_amount(&account, &posting, PG_GETARG_MONEY(CHARGEBACK_AMOUNT), is_known ? &posted : NULL, true,
							 "a chargeback");
	if (is_known)
	{
		/* a replay takes what it took then, whatever is left now */
		posting.amount = has_amount ? money_neg(amount) : posted;
		seq = journal_replayed(&account, &posting);
		check_flag(&account, posting.key, "named", has_amount);
	}
	else if (!has_amount || money_minor(amount) > 0)
		seq = post_chargeback(&account, &posting, has_amount ? &amount : NULL);
	SPI_finish();
	if (seq == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(seq);
}

/* What a reversal takes from the entry it reverses: all of it, the other way round */
static SavedPlan reversed_plan = {
	.sql = "SELECT e.kind::text, - e.amount,"
	"       (SELECT jsonb_agg(jsonb_set(l.line, '{amount}', to_jsonb(- (l.line->>'amount')::kb_money))"
	"                         ORDER BY l.ordinality)::kb_lines"
	"          FROM jsonb_array_elements(e.lines) WITH ORDINALITY l(line)),"
	"       e.kind = 'bonus' AND (SELECT r.kind FROM entry r WHERE r.account_id = $1 AND r.seq = e.ref_seq) = 'bonus',"
	"       CASE WHEN e.kind IN ('refund', 'chargeback') THEN - e.paid END"
	"  FROM entry e WHERE e.account_id = $1 AND e.seq = $2",
	.arg_types = {"bigint", "bigint"}
};

/* Its columns; an entry may have no lines, and nothing that was paid. */
enum
{
	REVERSED_KIND = 1, REVERSED_AMOUNT, REVERSED_LINES, REVERSED_GOES_ALONG, REVERSED_PAID
};

/* Refuse to reverse an entry (22023) */
static void
refuse_reversal(const LockedAccount *account, int64 entry_seq, const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("entry %lld of account %lld %s", (long long) entry_seq, (long long) account->account_id, why),
			 errhint("%s", hint)));
}

/* The posting that reverses an entry, and the kind of that */
static char *
make_reversal(const LockedAccount *account, int64 entry_seq, Posting *posting)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(entry_seq)};
	char	   *kind;

	if (plan_execute(&reversed_plan, values, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("account %lld has no entry %lld", (long long) account->account_id, (long long) entry_seq),
				 errhint("Take seq from kbilling.payment_history.")));
	kind = plan_cstring(REVERSED_KIND);
	if (strcmp(kind, "reversal") == 0)
		refuse_reversal(account, entry_seq, "is a reversal itself", "Put a wrong reversal right with kb_adjust.");
	if (strcmp(kind, "expiry") == 0)
		refuse_reversal(account, entry_seq, "has taken credit that expired", "Grant new credit with kb_grant_credit.");
	if (!plan_is_null(REVERSED_GOES_ALONG) && plan_bool(REVERSED_GOES_ALONG))
		refuse_reversal(account, entry_seq, "moves a bonus along with another entry",
						"Reverse the refund or chargeback that it went with: its bonus comes back with it.");
	posting->kind = "reversal";
	posting->ref_seq = entry_seq;
	posting->amount = plan_money(REVERSED_AMOUNT);
	posting->paid = plan_is_null(REVERSED_PAID) ? NO_MONEY : plan_money(REVERSED_PAID);
	posting->lines = plan_is_null(REVERSED_LINES) ? NULL : (Lines *) PG_DETOAST_DATUM_COPY(plan_required(REVERSED_LINES));
	return kind;
}

/* Whether an entry has been reversed, is a top-up or a bonus of which a part has been taken back, or credit that has expired */
static SavedPlan undone_plan = {
	.sql = "SELECT format('Entry %s reversed it.', r.seq) FROM entry r"
	" WHERE r.account_id = $1 AND r.kind = 'reversal' AND r.ref_seq = $2"
	" UNION ALL "
	"SELECT format('%s of %s has been refunded, charged back or reversed (T7).', t.taken_back, t.amount) FROM topup_status t"
	" WHERE t.account_id = $1 AND t.seq = $2 AND t.taken_back <> 0"
	" UNION ALL "
	"SELECT format('%s of %s has gone with what was given back of its top-up (T6).', t.bonus_earned - t.bonus, t.bonus_earned)"
	"  FROM topup_status t"
	" WHERE t.account_id = $1 AND t.bonus_seq = $2 AND t.bonus <> t.bonus_earned"
	" UNION ALL "
	"SELECT 'What was left of it has expired, or may have: some of what was good for as long did (G3).' WHERE kb_has_expired($1, $2)",
	.arg_types = {"bigint", "bigint"}
};

/* An entry is taken back at most once */
static void
check_not_undone(const LockedAccount *account, int64 seq)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(seq)};

	if (plan_execute(&undone_plan, values, NULL, false) > 0)
		refuse_again(account, seq, plan_cstring(1));
}

/* U3: the month of a charge that is reversed is out of billing, as all that was billed of it is given back */
static SavedPlan skip_plan = {
	.sql = "INSERT INTO skipped_month (account_id, period)"
	" SELECT e.account_id, e.period FROM entry e WHERE e.account_id = $1 AND e.seq = $2 AND e.kind = 'charge'"
	" ON CONFLICT DO NOTHING",
	.arg_types = {"bigint", "bigint"}
};

/* If the entry is a charge, its month's usage is billed and given back no more */
static void
skip_month(const LockedAccount *account, int64 entry_seq)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(entry_seq)};

	plan_execute(&skip_plan, values, NULL, false);
}

/*
 * Post the reversal: that of a top-up takes its unspent bonus along, that of a
 * refund or chargeback brings back the bonus that went with it.  What had spent
 * credit gives it back to the lots that it was of, but for credit that has been taken back since (G4).
 */
static int64
post_reversal(LockedAccount *account, Posting *posting, bool is_topup)
{
	TopupParts	parts;
	Posting    *postings;
	int			n;

	check_not_undone(account, posting->ref_seq);
	posting->credit = allocation_credit_back(account, posting->ref_seq);
	if (!is_topup)
	{
		skip_month(account, posting->ref_seq);
		postings = allocation_bring_back(account, posting->ref_seq, posting, &n);
		return correction_post(account, postings, n, 0);
	}
	parts = allocation_remaining(account, posting->ref_seq);
	postings = allocation_take(account, &parts, posting, &n);
	return correction_post(account, postings, n, n - 1);
}

/* kb_reverse(account_id, entry_seq, reference, memo) */
PG_FUNCTION_INFO_V1(kb_reverse);
Datum
kb_reverse(PG_FUNCTION_ARGS)
{
	LockedAccount account;
	Posting		posting;
	Money		known;
	bool		is_new;
	bool		is_topup;
	int64		seq;

	arg_required(fcinfo, 1, "entry_seq");
	arg_required(fcinfo, 3, "memo");
	begin_correction(fcinfo, 2, &account, &posting);
	posting.memo = arg_cstring(fcinfo, 3);
	is_new = credit_begin_posting(&account, posting.key, &known);
	is_topup = strcmp(make_reversal(&account, PG_GETARG_INT64(1), &posting), "topup") == 0;
	seq = is_new ? post_reversal(&account, &posting, is_topup) : journal_replayed(&account, &posting);
	SPI_finish();
	PG_RETURN_INT64(seq);
}
