/*
 * allocation.c
 *		Which top-ups money that goes back belongs to, and which bonus goes with it.
 */
#include "postgres.h"

#include "allocation.h"
#include "common/int.h"
#include "plan.h"

static SavedPlan remaining_plan = {
	.sql = "SELECT t.seq, t.remaining, coalesce(t.bonus_seq, 0), t.unspent_bonus, coalesce(t.bonus_expires_on, 'infinity')"
	"  FROM topup_status t"
	" WHERE t.account_id = $1 AND (t.seq = $2 OR $2 = 0) AND t.remaining > 0"
	" ORDER BY t.seq DESC",
	.arg_types = {"bigint", "bigint"}
};

/* Its columns */
enum
{
	REMAINING_SEQ = 1, REMAINING_AMOUNT, REMAINING_BONUS_SEQ, REMAINING_BONUS, REMAINING_BONUS_EXPIRES_ON
};

/* A column of a row that is not NULL */
static Datum
value_of(uint64 row, int column)
{
	bool		isnull;

	return plan_row_column(row, column, &isnull);
}

TopupParts
allocation_remaining(const LockedAccount *account, int64 topup_seq)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(topup_seq)};
	TopupParts	parts = {.n = plan_execute(&remaining_plan, values, NULL, false)};

	parts.parts = palloc(sizeof(TopupPart) * Max(parts.n, 1));
	for (int i = 0; i < parts.n; i++)
	{
		parts.parts[i].topup_seq = DatumGetInt64(value_of(i, REMAINING_SEQ));
		parts.parts[i].amount = money_minor(DatumGetMoney(value_of(i, REMAINING_AMOUNT)));
		parts.parts[i].bonus_seq = DatumGetInt64(value_of(i, REMAINING_BONUS_SEQ));
		parts.parts[i].bonus = money_minor(DatumGetMoney(value_of(i, REMAINING_BONUS)));
		parts.parts[i].bonus_expires_on = DatumGetDateADT(value_of(i, REMAINING_BONUS_EXPIRES_ON));
	}
	return parts;
}

static SavedPlan share_plan = {
	.sql = "SELECT kb_paid_share($1, $2, $3)",
	.arg_types = {"bigint", "bigint", "kb_money"}
};

bool
allocation_share(const LockedAccount *account, int64 topup_seq, Money paid, Money *share)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(topup_seq), MoneyGetDatum(paid)};

	plan_execute(&share_plan, values, NULL, false);
	if (plan_is_null(1))
		return false;
	*share = plan_money(1);
	return true;
}

int64
allocation_sum(const TopupParts *parts)
{
	int64		sum = 0;

	for (int i = 0; i < parts->n; i++)
		if (pg_add_s64_overflow(sum, parts->parts[i].amount, &sum))
			return PG_INT64_MAX;
	return sum;
}

void
allocation_limit(TopupParts *parts, int64 amount)
{
	int			n = 0;

	for (; n < parts->n && amount > 0; n++)
	{
		TopupPart  *part = &parts->parts[n];
		int64		taken = Min(part->amount, amount);

		part->bonus = posting_bonus_share(part->bonus, taken, part->amount);
		part->amount = taken;
		amount -= taken;
	}
	parts->n = n;
}

/* Minor units of the account's currency */
static Money
amount_of(const LockedAccount *account, int64 minor)
{
	return money_make(money_currency(account->balance), minor);
}

Lines *
allocation_lines(const LockedAccount *account, const TopupParts *parts, const char *flag)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < parts->n; i++)
		appendStringInfo(&buf, "%s{\"topup\": %lld, \"amount\": \"%s\"%s}", i > 0 ? ", " : "[",
						 (long long) parts->parts[i].topup_seq, money_to_cstring(amount_of(account, parts->parts[i].amount)),
						 flag ? psprintf(", \"%s\": true", flag) : "");
	appendStringInfoChar(&buf, ']');
	return lines_from_cstring(buf.data);
}

/* The posting that moves a bonus with the entry main_seq; its key says which */
static void
move_bonus(const LockedAccount *account, const char *what, int64 main_seq, int64 bonus_seq, DateADT expires_on, int64 amount,
		   Posting *posting)
{
	memset(posting, 0, sizeof(Posting));
	posting->kind = "bonus";
	posting->amount = amount_of(account, amount);
	posting->credit = credit_to_lot(LOT_PRIORITY, expires_on, amount);
	posting->ref_seq = bonus_seq;
	posting->key = psprintf("kb:%s:%lld:%lld", what, (long long) main_seq, (long long) bonus_seq);
}

/* The bonus goes first: after the main entry it might count as spent by the debt that this makes. */
Posting *
allocation_take(const LockedAccount *account, const TopupParts *parts, const Posting *main, int *n)
{
	Posting    *postings = palloc(sizeof(Posting) * (parts->n + 1));
	int64		main_seq = account->last_seq + 1;

	*n = 0;
	for (int i = 0; i < parts->n; i++)
		main_seq += parts->parts[i].bonus > 0;
	for (int i = 0; i < parts->n; i++)
		if (parts->parts[i].bonus > 0)
			move_bonus(account, "unbonus", main_seq, parts->parts[i].bonus_seq, parts->parts[i].bonus_expires_on,
					   -parts->parts[i].bonus, &postings[(*n)++]);
	postings[(*n)++] = *main;
	return postings;
}

static SavedPlan taken_plan = {
	.sql = "SELECT b.ref_seq, - b.amount, coalesce((b.lots[1]).expires_on, 'infinity') FROM entry b"
	" WHERE b.account_id = $1 AND b.seq < $2 AND b.kind = 'bonus' AND b.key LIKE 'kb:unbonus:' || $2 || ':%'"
	" ORDER BY b.seq",
	.arg_types = {"bigint", "bigint"}
};

Posting *
allocation_bring_back(const LockedAccount *account, int64 seq, const Posting *main, int *n)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(seq)};
	int			taken = plan_execute(&taken_plan, values, NULL, false);
	Posting    *postings = palloc(sizeof(Posting) * (taken + 1));

	postings[0] = *main;
	for (int i = 0; i < taken; i++)
		move_bonus(account, "rebonus", account->last_seq + 1, DatumGetInt64(value_of(i, 1)), DatumGetDateADT(value_of(i, 3)),
				   money_minor(DatumGetMoney(value_of(i, 2))), &postings[i + 1]);
	*n = taken + 1;
	return postings;
}

static SavedPlan back_plan = {
	.sql = "SELECT b.priority, b.expires_on, b.back, b.spent, b.on_debt FROM kb_lots_back($1, $2) b",
	.arg_types = {"bigint", "bigint"}
};

/* Its columns */
enum
{
	BACK_PRIORITY = 1, BACK_EXPIRES_ON, BACK_AMOUNT, BACK_SPENT, BACK_ON_DEBT
};

/* A sum of a row, in minor units */
static int64
minor_of(uint64 row, int column)
{
	return money_minor(DatumGetMoney(value_of(row, column)));
}

/*
 * First each lot gets what was spent of it, as far as that has not been taken back since; what is left over, other lots get of
 * which some was spent, so that credit does not become money that can be paid out.
 */
CreditMove
allocation_credit_back(const LockedAccount *account, int64 seq)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(seq)};
	int			n = (int) plan_execute(&back_plan, values, NULL, false);
	CreditMove	move = {{n, palloc(sizeof(Lot) * (n + 1))}, 0};
	int64		over = n > 0 ? minor_of(0, BACK_ON_DEBT) : 0;

	for (int i = 0; i < n; i++)
	{
		int64		back = minor_of(i, BACK_AMOUNT);
		int64		given = Min(back, minor_of(i, BACK_SPENT));

		move.lots.lots[i] = (Lot) {DatumGetInt32(value_of(i, BACK_PRIORITY)), DatumGetDateADT(value_of(i, BACK_EXPIRES_ON)), given};
		over += back - given;
	}
	for (int i = 0; i < n && over > 0; i++)
	{
		Lot		   *lot = &move.lots.lots[i];
		int64		more = Min(over, minor_of(i, BACK_SPENT) - Max(lot->amount, 0));

		if (lot->expires_on <= account->today || more <= 0)
			continue;
		lot->amount += more;
		over -= more;
	}
	return move;
}
