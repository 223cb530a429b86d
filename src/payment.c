/*
 * payment.c
 *		Payments that were begun: rows of kbilling.payment.
 */
#include "postgres.h"

#include "errors.h"
#include "payment.h"
#include "plan.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static SavedPlan begin_plan = {
	.sql = "INSERT INTO payment (account_id, payment_id, amount, bonus, begun_at, expires_at, method, member)"
	" SELECT $1, coalesce((SELECT max(p.payment_id) FROM payment p WHERE p.account_id = $1), 0) + 1, $2, $3, $4,"
	"        $4 + o.payment_hours * interval '1 hour', $5::kb_payment_method, $6"
	"   FROM tariff t JOIN policy o ON o.policy = t.policy WHERE t.tariff = $7"
	/* what a repeatable read does not see is then a conflict to try again (40001), not a duplicate */
	" ON CONFLICT (account_id, payment_id) DO NOTHING"
	" RETURNING payment_id, expires_at",
	.arg_types = {"bigint", "kb_money", "kb_money", "timestamptz", "text", "text", "text"}
};

int64
payment_begin(const LockedAccount *account, const Posting *posting, Money bonus, TimestampTz *expires_at)
{
	Datum		values[] = {Int64GetDatum(account->account_id), MoneyGetDatum(posting->amount), MoneyGetDatum(bonus),
		TimestampTzGetDatum(account->at), CStringGetTextDatum(posting->method), CStringGetTextDatum(posting->member),
		CStringGetTextDatum(account->tariff)
	};
	bool		isnull;

	if (plan_execute(&begin_plan, values, NULL, false) != 1)
		elog(ERROR, "tariff \"%s\" is gone", account->tariff);
	*expires_at = DatumGetTimestampTz(plan_column(2, &isnull));
	return DatumGetInt64(plan_column(1, &isnull));
}

static SavedPlan find_plan = {
	.sql = "SELECT p.amount, p.method::text, p.member, p.settled_seq, e.key"
	"  FROM payment p LEFT JOIN entry e ON e.account_id = p.account_id AND e.seq = p.settled_seq"
	" WHERE p.account_id = $1 AND p.payment_id = $2",
	.arg_types = {"bigint", "bigint"}
};

/* A column of a payment as a C string; NULL for SQL NULL */
static char *
text_column(int column)
{
	bool		isnull;
	Datum		value = plan_column(column, &isnull);

	return isnull ? NULL : text_to_cstring(DatumGetTextPP(value));
}

void
payment_check(const LockedAccount *account, int64 payment_id, Posting *posting)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(payment_id)};
	bool		isnull;
	Money		amount;
	char	   *method;
	char	   *settled_by;

	if (plan_execute(&find_plan, values, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("account %lld has no payment %lld", (long long) account->account_id, (long long) payment_id),
				 errdetail("Payments are numbered within their account."),
				 errhint("Pass the payment_id that kb_begin_topup gave for this account.")));
	amount = DatumGetMoney(plan_column(1, &isnull));
	method = text_column(2);
	settled_by = text_column(5);
	if (amount != posting->amount || strcmp(method, posting->method) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("payment %lld of account %lld is another one", (long long) payment_id, (long long) account->account_id),
				 errdetail("It was begun as %s by %s; %s by %s was confirmed.", money_to_cstring(amount), method,
						   money_to_cstring(posting->amount), posting->method),
				 errhint("Leave payment_id out to credit what was paid as it is.")));
	if (settled_by != NULL && strcmp(settled_by, posting->key) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_KB_KEY_REUSED),
				 errmsg("payment %lld of account %lld is settled", (long long) payment_id, (long long) account->account_id),
				 errdetail("Entry %lld has credited it under another reference.", (long long) DatumGetInt64(plan_column(4, &isnull))),
				 errhint("A payment is credited once; a second one is begun anew.")));
	if (posting->member == NULL)
		posting->member = text_column(3);
}

static SavedPlan settle_plan = {
	.sql = "UPDATE payment p SET settled_seq = $3, settled_at = coalesce(p.settled_at, $4)"
	" WHERE p.account_id = $1 AND p.payment_id = $2"
	"   AND NOT EXISTS (SELECT FROM payment o WHERE o.account_id = $1 AND o.settled_seq = $3 AND o.payment_id <> $2)",
	.arg_types = {"bigint", "bigint", "bigint", "timestamptz"}
};

void
payment_settle(const LockedAccount *account, int64 payment_id, int64 seq)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(payment_id), Int64GetDatum(seq),
	TimestampTzGetDatum(account->at)};

	if (plan_execute(&settle_plan, values, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_KB_KEY_REUSED),
				 errmsg("the reference of entry %lld of account %lld has settled another payment", (long long) seq,
						(long long) account->account_id),
				 errdetail("It cannot be payment %lld as well.", (long long) payment_id),
				 errhint("A reference stands for one payment.")));
}
