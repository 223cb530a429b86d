/*
 * lots.c
 *		Credit by priority and expiry, over values.
 */
#include "postgres.h"

#include "args.h"
#include "calendar.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "lots.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* G2: the lower priority number first, then the earlier expiry */
static int
compare_lots(const Lot *x, const Lot *y)
{
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return x->expires_on < y->expires_on ? -1 : x->expires_on > y->expires_on;
}

CreditMove
credit_to_lot(int32 priority, DateADT expires_on, int64 amount)
{
	CreditMove	move = {{1, palloc(sizeof(Lot))}, 0};

	move.lots.lots[0] = (Lot) {priority, expires_on, amount};
	return move;
}

CreditMove
credit_for_debit(Money amount)
{
	return (CreditMove) {{0, NULL}, Max(-money_minor(amount), 0)};
}

/* Where a lot is in their order, or would be */
static int
place_of(const Lots *lots, const Lot *lot)
{
	int			low = 0;
	int			high = lots->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (compare_lots(&lots->lots[middle], lot) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The lot that is alike, or, if it is not there, NULL */
static Lot *
find_lot(const Lots *lots, const Lot *lot)
{
	int			place = place_of(lots, lot);

	return place < lots->n && compare_lots(&lots->lots[place], lot) == 0 ? &lots->lots[place] : NULL;
}

/* Add to a lot, which may be new; there is room for it */
static void
add_to_lot(Lots *lots, const Lot *lot)
{
	int			place = place_of(lots, lot);
	Lot		   *found = lots->lots + place;

	if (place < lots->n && compare_lots(found, lot) == 0)
	{
		found->amount += lot->amount;
		return;
	}
	memmove(found + 1, found, sizeof(Lot) * (lots->n - place));
	*found = *lot;
	lots->n++;
}

/* The sum of all */
static int64
sum_of(const Lots *lots)
{
	int64		sum = 0;

	for (int i = 0; i < lots->n; i++)
		sum += lots->lots[i].amount;
	return sum;
}

/* A copy, with room for more, and the plain part among them */
static Lots
copy_all(const Credit *credit, int more)
{
	Lots		all = {credit->lots.n, palloc(sizeof(Lot) * (credit->lots.n + more + 1))};
	Lot			plain = {LOT_PRIORITY, DATEVAL_NOEND, credit->total - sum_of(&credit->lots)};

	if (all.n > 0)
		memcpy(all.lots, credit->lots.lots, sizeof(Lot) * all.n);
	if (plain.amount != 0)
		add_to_lot(&all, &plain);
	return all;
}

/* Take so much from lots that have expired by a day, or from those that have not, in their order; what is still to be taken */
static int64
spend_from(Lots *lots, int64 amount, DateADT today, bool expired)
{
	for (int i = 0; i < lots->n && amount > 0; i++)
	{
		Lot		   *lot = &lots->lots[i];
		int64		taken = Min(amount, lot->amount);

		if ((lot->expires_on <= today) != expired || taken <= 0)
			continue;
		lot->amount -= taken;
		amount -= taken;
	}
	return amount;
}

/* G2, G3 */
static void
spend(Lots *lots, int64 amount, Spender spender)
{
	if (spender.is_charge)
		amount = spend_from(lots, amount, spender.today, true);
	(void) spend_from(lots, amount, spender.today, false);
}

/* What lots have too little is spent */
static int64
take_shortfalls(Lots *lots)
{
	int64		missing = 0;

	for (int i = 0; i < lots->n; i++)
		if (lots->lots[i].amount < 0)
		{
			missing -= lots->lots[i].amount;
			lots->lots[i].amount = 0;
		}
	return missing;
}

/* Leave out those that are nothing, and the plain one */
static void
drop_empty(Lots *lots)
{
	int			n = 0;

	for (int i = 0; i < lots->n; i++)
		if (lots->lots[i].amount != 0 && !lot_is_plain(&lots->lots[i]))
			lots->lots[n++] = lots->lots[i];
	lots->n = n;
}

Credit
credit_after(const Credit *before, const CreditMove *move, Spender spender, Money balance_after)
{
	int64		most = Max(money_minor(balance_after), 0);
	Lots		all = copy_all(before, move->lots.n);
	int64		total;

	for (int i = 0; i < move->lots.n; i++)
		add_to_lot(&all, &move->lots.lots[i]);
	spend(&all, take_shortfalls(&all) + move->spends, spender);
	total = sum_of(&all);
	if (total > most)
	{
		int64		over = spend_from(&all, total - most, spender.today, false);

		(void) spend_from(&all, over, spender.today, true);
		total = most;
	}
	drop_empty(&all);
	return (Credit) {total, all};
}

/* What an account owes for the days before one */
static int64
owed_before(const OwedBefore *owed, int nowed, DateADT day)
{
	for (int i = 0; i < nowed; i++)
		if (owed[i].day == day)
			return owed[i].owed;
	return 0;
}

/* What a charge of so much would leave of a lot, of all that is there: what has expired before it comes first */
static int64
rest_of(const Lots *all, const Lot *lot, int64 owed)
{
	Lots		left = {all->n, palloc(sizeof(Lot) * (all->n + 1))};
	int64		rest;

	memcpy(left.lots, all->lots, sizeof(Lot) * all->n);
	spend(&left, owed, (Spender) {lot->expires_on - 1, true});
	rest = find_lot(&left, lot)->amount;
	pfree(left.lots);
	return rest;
}

/* The lot with the earliest expiry after a day and a lot on it, up to another day; NULL if none is left */
static Lot *
next_to_expire(const Lots *lots, const Lot *last, DateADT today)
{
	Lot		   *next = NULL;

	for (int i = 0; i < lots->n; i++)
	{
		Lot		   *lot = &lots->lots[i];

		if (lot->expires_on > today ||
			(last != NULL && (lot->expires_on < last->expires_on || (lot->expires_on == last->expires_on && lot <= last))))
			continue;
		if (next == NULL || lot->expires_on < next->expires_on)
			next = lot;
	}
	return next;
}

/* Whether an expiry that has come is to be booked */
static bool
may_expire(const Lot *lot, CreditBooked booked)
{
	return lot->expires_on - 1 <= booked.charged_through || lot->expires_on > booked.expired_through;
}

bool
lots_may_expire(const Lots *lots, CreditBooked booked, DateADT today)
{
	for (int i = 0; i < lots->n; i++)
		if (lots->lots[i].expires_on <= today && may_expire(&lots->lots[i], booked))
			return true;
	return false;
}

CreditMove
credit_expired(const Credit *credit, CreditBooked booked, DateADT today, const OwedBefore *owed, int nowed)
{
	Lots		all = copy_all(credit, 0);
	CreditMove	gone = {{0, palloc(sizeof(Lot) * (all.n + 1))}, 0};

	/* the earliest first, each by what those before it have left */
	for (Lot *lot = next_to_expire(&all, NULL, today); lot != NULL; lot = next_to_expire(&all, lot, today))
	{
		int64		rest = lot->amount;

		if (!may_expire(lot, booked))
			continue;
		if (lot->expires_on - 1 > booked.charged_through)
			rest = rest_of(&all, lot, owed_before(owed, nowed, lot->expires_on));
		if (rest <= 0)
			continue;
		lot->amount -= rest;
		add_to_lot(&gone.lots, &(Lot) {lot->priority, lot->expires_on, -rest});
	}
	return gone;
}

Lots
lots_move(const Lots *before, const Lots *after, const Lots *named)
{
	Lots		move = {0, palloc(sizeof(Lot) * (before->n + after->n + named->n + 1))};
	int			n = 0;

	for (int i = 0; i < named->n; i++)
		add_to_lot(&move, &(Lot) {named->lots[i].priority, named->lots[i].expires_on, 0});
	for (int i = 0; i < after->n; i++)
		add_to_lot(&move, &after->lots[i]);
	for (int i = 0; i < before->n; i++)
		add_to_lot(&move, &(Lot) {before->lots[i].priority, before->lots[i].expires_on, -before->lots[i].amount});
	for (int i = 0; i < move.n; i++)
		if (!lot_is_plain(&move.lots[i]) && (move.lots[i].amount != 0 || find_lot(named, &move.lots[i]) != NULL))
			move.lots[n++] = move.lots[i];
	move.n = n;
	return move;
}

/* A field of a kb_lot, counted from 1, that must not be NULL */
static Datum
required_field(HeapTupleHeader row, int field)
{
	bool		isnull;
	Datum		value = GetAttributeByNum(row, field, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a part of a credit lot is null")));
	return value;
}

Lots
lots_from_array(ArrayType *array, uint16 currency)
{
	Lots		lots = {0, NULL};
	Datum	   *rows;
	bool	   *nulls;
	int			n;

	if (array == NULL)
		return lots;
	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_DOUBLE, &rows, &nulls, &n);
	lots.lots = palloc(sizeof(Lot) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		HeapTupleHeader row;
		Money		amount;
		Lot			lot;

		if (nulls[i])
			continue;
		row = DatumGetHeapTupleHeader(rows[i]);
		amount = DatumGetMoney(required_field(row, 3));
		money_check_same_currency(amount, money_make(currency, 0));
		lot = (Lot) {DatumGetInt32(required_field(row, 1)), DatumGetDateADT(required_field(row, 2)), money_minor(amount)};
		add_to_lot(&lots, &lot);
	}
	return lots;
}

ArrayType *
lots_to_array(const Lots *lots, uint16 currency, Oid lot_type)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(lot_type, -1);
	Datum	   *rows = palloc(sizeof(Datum) * (lots->n + 1));

	for (int i = 0; i < lots->n; i++)
	{
		const Lot  *lot = &lots->lots[i];
		Datum		values[] = {Int32GetDatum(lot->priority), DateADTGetDatum(lot->expires_on),
			MoneyGetDatum(money_make(currency, lot->amount))
		};
		bool		nulls[lengthof(values)] = {false};

		rows[i] = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
	}
	ReleaseTupleDesc(desc);
	return construct_array(rows, lots->n, lot_type, -1, false, TYPALIGN_DOUBLE);
}

char *
lots_to_cstring(const Lots *lots, uint16 currency)
{
	StringInfoData buf;

	if (lots->n == 0)
		return NULL;
	initStringInfo(&buf);
	for (int i = 0; i < lots->n; i++)
	{
		const Lot  *lot = &lots->lots[i];

		appendStringInfo(&buf, "%s%d %s %s", i > 0 ? ", " : "", lot->priority,
						 DATE_IS_NOEND(lot->expires_on) ? "infinity" : date_to_cstring(lot->expires_on),
						 money_to_cstring(money_make(currency, lot->amount)));
	}
	return buf.data;
}

/* The argument as lots; none for NULL */
static Lots
lots_arg(FunctionCallInfo fcinfo, int n, uint16 currency)
{
	return lots_from_array(PG_ARGISNULL(n) ? NULL : PG_GETARG_ARRAYTYPE_P(n), currency);
}

/* Lots as the result; NULL for none */
static Datum
return_lots(FunctionCallInfo fcinfo, const Lots *lots, uint16 currency)
{
	if (lots->n == 0)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(lots_to_array(lots, currency, get_element_type(get_fn_expr_rettype(fcinfo->flinfo))));
}

/* kb_lots_after(lots, total, total_after, today): a charge has spent so much */
PG_FUNCTION_INFO_V1(kb_lots_after);
Datum
kb_lots_after(PG_FUNCTION_ARGS)
{
	Money		total = PG_GETARG_MONEY(1);
	Money		total_after = PG_GETARG_MONEY(2);
	uint16		currency = money_currency(total);
	Credit		before = {money_minor(total), lots_arg(fcinfo, 0, currency)};
	CreditMove	move = {{0}, money_minor(total) - money_minor(total_after)};
	Credit		after = credit_after(&before, &move, (Spender) {PG_GETARG_DATEADT(3), true}, total);

	PG_RETURN_DATUM(return_lots(fcinfo, &after.lots, currency));
}

/* kb_lots_move(before, after, total) */
PG_FUNCTION_INFO_V1(kb_lots_move);
Datum
kb_lots_move(PG_FUNCTION_ARGS)
{
	Lots		before;
	Lots		after;
	Lots		move;
	uint16		currency;

	if (PG_ARGISNULL(2) || (PG_ARGISNULL(0) && PG_ARGISNULL(1)))
		PG_RETURN_NULL();
	currency = money_currency(PG_GETARG_MONEY(2));
	before = lots_arg(fcinfo, 0, currency);
	after = lots_arg(fcinfo, 1, currency);
	move = lots_move(&before, &after, &(Lots) {0});
	PG_RETURN_DATUM(return_lots(fcinfo, &move, currency));
}

/* kb_lots_less(lots, total, expired): without what has expired, which has amounts below zero */
PG_FUNCTION_INFO_V1(kb_lots_less);
Datum
kb_lots_less(PG_FUNCTION_ARGS)
{
	Money		total = PG_GETARG_MONEY(1);
	uint16		currency = money_currency(total);
	Credit		before = {money_minor(total), lots_arg(fcinfo, 0, currency)};
	CreditMove	move = {lots_arg(fcinfo, 2, currency), 0};
	Credit		after = credit_after(&before, &move, (Spender) {DATEVAL_NOBEGIN, false}, total);

	PG_RETURN_DATUM(return_lots(fcinfo, &after.lots, currency));
}

/* Arguments of kb_expired_lots, the first of which are those of kb_lots_may_expire */
enum
{
	ARG_LOTS, ARG_TOTAL, ARG_EXPIRED_THROUGH, ARG_CHARGED_THROUGH, ARG_TODAY, ARG_DAYS, ARG_OWED
};

/* What has been booked: the arguments expired_through, which may be NULL, and charged_through */
static CreditBooked
booked_args(FunctionCallInfo fcinfo)
{
	return (CreditBooked) {
		PG_ARGISNULL(ARG_EXPIRED_THROUGH) ? DATEVAL_NOBEGIN : PG_GETARG_DATEADT(ARG_EXPIRED_THROUGH),
		PG_GETARG_DATEADT(ARG_CHARGED_THROUGH)
	};
}

/* Whether an argument of both is missing that must be there */
static bool
lacks_lots(FunctionCallInfo fcinfo)
{
	return PG_ARGISNULL(ARG_LOTS) || PG_ARGISNULL(ARG_TOTAL) || PG_ARGISNULL(ARG_CHARGED_THROUGH) || PG_ARGISNULL(ARG_TODAY);
}

/* kb_lots_may_expire(lots, total, expired_through, charged_through, today) */
PG_FUNCTION_INFO_V1(kb_lots_may_expire);
Datum
kb_lots_may_expire(PG_FUNCTION_ARGS)
{
	Lots		lots;

	if (lacks_lots(fcinfo))
		PG_RETURN_BOOL(false);
	lots = lots_arg(fcinfo, ARG_LOTS, money_currency(PG_GETARG_MONEY(ARG_TOTAL)));
	PG_RETURN_BOOL(lots_may_expire(&lots, booked_args(fcinfo), PG_GETARG_DATEADT(ARG_TODAY)));
}

/* What is owed before each of the days, NULL for nothing; how many there are */
static int
owed_args(FunctionCallInfo fcinfo, OwedBefore **owed)
{
	Datum	   *days;
	Datum	   *sums;
	bool	   *nulls;
	int			n;
	int			nsums;

	*owed = NULL;
	if (PG_ARGISNULL(ARG_DAYS) || PG_ARGISNULL(ARG_OWED))
		return 0;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(ARG_DAYS), DATEOID, sizeof(DateADT), true, TYPALIGN_INT, &days, NULL, &n);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(ARG_OWED), ARR_ELEMTYPE(PG_GETARG_ARRAYTYPE_P(ARG_OWED)), sizeof(Money), true,
					  TYPALIGN_DOUBLE, &sums, &nulls, &nsums);
	n = Min(n, nsums);
	*owed = palloc(sizeof(OwedBefore) * (n + 1));
	for (int i = 0; i < n; i++)
		(*owed)[i] = (OwedBefore) {DatumGetDateADT(days[i]), nulls[i] ? 0 : money_minor(DatumGetMoney(sums[i]))};
	return n;
}

/* kb_expired_lots(lots, total, expired_through, charged_through, today, days, owed) */
PG_FUNCTION_INFO_V1(kb_expired_lots);
Datum
kb_expired_lots(PG_FUNCTION_ARGS)
{
	Money		total;
	Credit		credit;
	OwedBefore *owed;
	int			nowed;
	CreditMove	gone;

	if (lacks_lots(fcinfo))
		PG_RETURN_NULL();
	total = PG_GETARG_MONEY(ARG_TOTAL);
	credit = (Credit) {money_minor(total), lots_arg(fcinfo, ARG_LOTS, money_currency(total))};
	nowed = owed_args(fcinfo, &owed);
	gone = credit_expired(&credit, booked_args(fcinfo), PG_GETARG_DATEADT(ARG_TODAY), owed, nowed);
	PG_RETURN_DATUM(return_lots(fcinfo, &gone.lots, money_currency(total)));
}
