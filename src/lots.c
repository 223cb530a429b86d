/*
 * lots.c
 *		Credit by priority and expiry, over values.
 */
#include "postgres.h"

#include "args.h"
#include "calendar.h"
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

/* Take so much from lots that are good on a day, in their order; what they do not have is left */
static void
spend(Lots *lots, int64 amount, DateADT good_on)
{
	for (int i = 0; i < lots->n && amount > 0; i++)
	{
		Lot		   *lot = &lots->lots[i];
		int64		taken = Min(amount, lot->amount);

		if (lot->expires_on <= good_on || taken <= 0)
			continue;
		lot->amount -= taken;
		amount -= taken;
	}
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
credit_after(const Credit *before, const CreditMove *move, DateADT good_on, Money balance_after)
{
	int64		most = Max(money_minor(balance_after), 0);
	Lots		all = copy_all(before, move->lots.n);
	int64		total;

	for (int i = 0; i < move->lots.n; i++)
		add_to_lot(&all, &move->lots.lots[i]);
	spend(&all, take_shortfalls(&all) + move->spends, good_on);
	total = sum_of(&all);
	if (total > most)
	{
		spend(&all, total - most, DATEVAL_NOBEGIN);
		total = most;
	}
	drop_empty(&all);
	return (Credit) {total, all};
}

int64
credit_rest(const Credit *credit, const Lot *lot, int64 spent)
{
	Lots		all = copy_all(credit, 0);
	const Lot  *found;

	spend(&all, spent, DATEVAL_NOBEGIN);
	found = find_lot(&all, lot);
	return found != NULL ? found->amount : 0;
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

/* kb_lots_after(lots, total, total_after): so much is spent */
PG_FUNCTION_INFO_V1(kb_lots_after);
Datum
kb_lots_after(PG_FUNCTION_ARGS)
{
	Money		total = PG_GETARG_MONEY(1);
	Money		total_after = PG_GETARG_MONEY(2);
	uint16		currency = money_currency(total);
	Credit		before = {money_minor(total), lots_arg(fcinfo, 0, currency)};
	CreditMove	move = {{0}, money_minor(total) - money_minor(total_after)};
	Credit		after = credit_after(&before, &move, DATEVAL_NOBEGIN, total);

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

/* kb_lots_less(lots, total, gone): what is left when so much of them has gone, which has amounts below zero */
PG_FUNCTION_INFO_V1(kb_lots_less);
Datum
kb_lots_less(PG_FUNCTION_ARGS)
{
	Money		total = PG_GETARG_MONEY(1);
	uint16		currency = money_currency(total);
	Credit		before = {money_minor(total), lots_arg(fcinfo, 0, currency)};
	CreditMove	move = {lots_arg(fcinfo, 2, currency), 0};
	Credit		after = credit_after(&before, &move, DATEVAL_NOBEGIN, total);

	PG_RETURN_DATUM(return_lots(fcinfo, &after.lots, currency));
}

/* kb_lot_rest(lots, total, priority, expires_on, spent) */
PG_FUNCTION_INFO_V1(kb_lot_rest);
Datum
kb_lot_rest(PG_FUNCTION_ARGS)
{
	Money		total = PG_GETARG_MONEY(1);
	uint16		currency = money_currency(total);
	Credit		credit = {money_minor(total), lots_arg(fcinfo, 0, currency)};
	Lot			lot = {PG_GETARG_INT32(2), PG_GETARG_DATEADT(3), 0};

	PG_RETURN_MONEY(money_make(currency, credit_rest(&credit, &lot, money_minor(PG_GETARG_MONEY(4)))));
}
