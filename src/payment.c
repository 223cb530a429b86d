/*
 * payment.c
 *		Payments that were begun: rows of kbilling.payment.
 */
#include "postgres.h"

#include "args.h"
#include "bonus.h"
#include "card.h"
#include "catalog/pg_type.h"
#include "clock.h"
#include "errors.h"
#include "fmgr.h"
#include "member.h"
#include "payment.h"
#include "plan.h"
#include "row.h"
#include "utils/array.h"

/* T2: the methods that are built in; they are stored in entries, so they are never renamed. */
static const char *const standard_methods[] = {"card", "google_pay", "apple_pay", "bank_transfer", "manual"};

/* kb_standard_methods() */
PG_FUNCTION_INFO_V1(kb_standard_methods);
Datum
kb_standard_methods(PG_FUNCTION_ARGS)
{
	Datum		methods[lengthof(standard_methods)];

	for (int i = 0; i < (int) lengthof(standard_methods); i++)
		methods[i] = CStringGetTextDatum(standard_methods[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(methods, lengthof(standard_methods), TEXTOID, -1, false, TYPALIGN_INT));
}

static SavedPlan method_plan = {
	.sql = "SELECT FROM payment_method m WHERE m.method = $1",
	.arg_types = {"text"}
};

static SavedPlan methods_plan = {
	.sql = "SELECT string_agg(m.method, ', ' ORDER BY m.method COLLATE \"C\") FROM payment_method m"
};

/* Nearly all payments are of a built-in method, and pay for no look-up. */
void
payment_check_method(const char *method)
{
	Datum		value;

	for (int i = 0; i < (int) lengthof(standard_methods); i++)
		if (strcmp(method, standard_methods[i]) == 0)
			return;
	value = CStringGetTextDatum(method);
	if (plan_execute(&method_plan, &value, NULL, false) > 0)
		return;
	plan_execute(&methods_plan, NULL, NULL, false);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no payment method \"%s\"", card_hidden(method)),
			 errdetail("The methods are: %s.", plan_cstring(1)),
			 errhint("Use one of them, or add the method with kb_create_payment_method.")));
}

void
payment_check_amount(Money amount)
{
	if (money_minor(amount) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_KB_AMOUNT_OUT_OF_RANGE),
				 errmsg("a top-up must be above zero"),
				 errdetail("The amount is %s.", card_hidden(money_to_cstring(amount))),
				 errhint("Use kb_refund to pay money back.")));
}

/* Arguments of kb_begin_topup */
enum
{
	ARG_ACCOUNT_ID, ARG_MEMBER, ARG_AMOUNT, ARG_METHOD
};

/* Columns of kb_payment_offer */
enum
{
	OFFER_PAYMENT_ID, OFFER_BONUS, OFFER_EXPIRES_AT
};

static SavedPlan begin_plan = {
	.sql = "INSERT INTO payment (account_id, payment_id, amount, bonus, begun_at, expires_at, method, member)"
	" SELECT $1, coalesce((SELECT max(p.payment_id) FROM payment p WHERE p.account_id = $1), 0) + 1, $2, $3, $4,"
	"        $4 + o.payment_hours * interval '1 hour', $5, $6"
	"   FROM tariff t JOIN policy o ON o.policy = t.policy WHERE t.tariff = $7"
	/* a row that a repeatable read does not see is then a conflict to try again (40001), not a duplicate */
	" ON CONFLICT (account_id, payment_id) DO NOTHING"
	" RETURNING payment_id, expires_at",
	.arg_types = {"bigint", "kb_money", "kb_money", "timestamptz", "text", "text", "text"}
};

/* Write a new payment, and the offer for it */
static void
begin_payment(LockedAccount *account, const Posting *posting, Row *row)
{
	DateADT		expires_on;
	Money		bonus = bonus_for(account, posting->amount, &expires_on);
	const char *tariff = journal_tariff(account);
	char		nulls[] = "       ";
	Datum		values[] = {Int64GetDatum(account->account_id), MoneyGetDatum(posting->amount), MoneyGetDatum(bonus),
		TimestampTzGetDatum(account->at), plan_text_value(posting->method, &nulls[4]), CStringGetTextDatum(posting->member),
		CStringGetTextDatum(tariff)
	};

	if (plan_execute(&begin_plan, values, nulls, false) != 1)
		elog(ERROR, "tariff \"%s\" is gone", tariff);
	row_set(row, OFFER_PAYMENT_ID, Int64GetDatum(plan_int64(1)));
	row_set(row, OFFER_BONUS, MoneyGetDatum(bonus));
	row_set(row, OFFER_EXPIRES_AT, TimestampTzGetDatum(plan_timestamptz(2)));
}

/* kb_begin_topup(account_id, member, amount, method) */
PG_FUNCTION_INFO_V1(kb_begin_topup);
Datum
kb_begin_topup(PG_FUNCTION_ARGS)
{
	LockedAccount account;
	Posting		posting = {0};
	Row			row;

	arg_required(fcinfo, ARG_ACCOUNT_ID, "account_id");
	arg_required(fcinfo, ARG_MEMBER, "member");
	arg_required(fcinfo, ARG_AMOUNT, "amount");
	posting.member = arg_cstring(fcinfo, ARG_MEMBER);
	posting.amount = PG_GETARG_MONEY(ARG_AMOUNT);
	posting.method = arg_cstring(fcinfo, ARG_METHOD);
	card_check(posting.member);
	payment_check_amount(posting.amount);
	row_begin(&row, fcinfo);
	plan_connect();
	if (posting.method != NULL)
		payment_check_method(posting.method);

	journal_lock(PG_GETARG_INT64(ARG_ACCOUNT_ID), kb_current_time(), &account);
	journal_require_open(&account);
	journal_check_currency(&account, posting.amount);
	member_require_payer(account.account_id, posting.member, "Ask an owner or admin of the account to pay.");
	begin_payment(&account, &posting, &row);

	SPI_finish();
	return row_end(&row);
}

static SavedPlan find_plan = {
	.sql = "SELECT p.member, p.settled_seq, e.key, e.method, e.amount, e.paid"
	"  FROM payment p LEFT JOIN entry e ON e.account_id = p.account_id AND e.seq = p.settled_seq"
	" WHERE p.account_id = $1 AND p.payment_id = $2",
	.arg_types = {"bigint", "bigint"}
};

/* Its columns; all but the first are NULL until it is settled, and the last may be. */
enum
{
	PAYMENT_MEMBER = 1, PAYMENT_SETTLED_SEQ, PAYMENT_SETTLED_BY, PAYMENT_METHOD, PAYMENT_AMOUNT, PAYMENT_PAID
};

/* T9: a repeat may say otherwise how it was paid; the first word stays */
static void
keep_first_word(Posting *posting)
{
	if (posting->amount != plan_money(PAYMENT_AMOUNT))
		return;
	posting->method = plan_cstring(PAYMENT_METHOD);
	posting->paid = plan_is_null(PAYMENT_PAID) ? NO_MONEY : plan_money(PAYMENT_PAID);
}

/* T9: what is confirmed counts, not what was begun; but not of another account, and not under a second reference */
void
payment_check(const LockedAccount *account, int64 payment_id, Posting *posting)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(payment_id)};
	char	   *settled_by;

	if (plan_execute(&find_plan, values, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_KB_KEY_REUSED),
				 errmsg("account %lld has no payment %lld", (long long) account->account_id, (long long) payment_id),
				 errdetail("Payments are numbered within their account, so it may be another account's."),
				 errhint("Pass the account for which kb_begin_topup gave that payment_id, "
						 "or leave payment_id out to credit this account.")));
	settled_by = plan_optional_cstring(PAYMENT_SETTLED_BY);
	if (settled_by != NULL && strcmp(settled_by, posting->key) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_KB_KEY_REUSED),
				 errmsg("payment %lld of account %lld is settled", (long long) payment_id, (long long) account->account_id),
				 errdetail("Entry %lld has credited it under another reference.", (long long) plan_int64(PAYMENT_SETTLED_SEQ)),
				 errhint("Leave payment_id out to credit a second payment.")));
	if (settled_by != NULL)
		keep_first_word(posting);
	if (posting->member == NULL)
		posting->member = plan_cstring(PAYMENT_MEMBER);
}

static SavedPlan settle_plan = {
	.sql = "UPDATE payment p SET settled_seq = $3, settled_at = coalesce(p.settled_at, $4),"
	"       settled_amount = $5, settled_method = $6"
	" WHERE p.account_id = $1 AND p.payment_id = $2"
	"   AND NOT EXISTS (SELECT FROM payment o WHERE o.account_id = $1 AND o.settled_seq = $3 AND o.payment_id <> $2)",
	.arg_types = {"bigint", "bigint", "bigint", "timestamptz", "kb_money", "text"}
};

void
payment_settle(const LockedAccount *account, int64 payment_id, const Posting *posting, int64 seq)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(payment_id), Int64GetDatum(seq),
		TimestampTzGetDatum(account->at), MoneyGetDatum(posting->amount), CStringGetTextDatum(posting->method)
	};

	if (plan_execute(&settle_plan, values, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_KB_KEY_REUSED),
				 errmsg("the reference of entry %lld of account %lld has settled another payment", (long long) seq,
						(long long) account->account_id),
				 errdetail("It cannot settle payment %lld as well.", (long long) payment_id),
				 errhint("A reference stands for one payment.")));
}
