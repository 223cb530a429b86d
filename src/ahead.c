/*
 * ahead.c
 *		What becomes of an account if nothing is paid and nothing else happens (S6):
 *		the days of a sweep that runs each day, played over values.
 */
#include "postgres.h"

#include "calendar.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "money.h"
#include "optional_date.h"
#include "posting.h"
#include "reminder.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* A policy, from a day on; a row of kb_policy_ahead */
typedef struct PolicySpan
{
	DateADT		from;
	Datum		stage_days[3];
	DateADT		may_close_on;	/* age and idleness allow a closure from then on (D1) */
	bool		close_unused;	/* whether the sweep may close it */
	int32		restore_days;
	int			nreminders;
	Datum	   *reminder_days;
} PolicySpan;

/* A month that will be charged; a row of kb_charge_ahead */
typedef struct ChargeAhead
{
	DateADT		period;
	DateADT		posted_on;
	DateADT		effective_on;
	Money		total;
} ChargeAhead;

/* As in the account's row */
typedef enum State
{
	STATE_ACTIVE, STATE_CLOSING, STATE_DELETED, STATE_PURGED, NUM_STATES
} State;

static const char *const state_labels[NUM_STATES] = {"active", "closing", "deleted", "purged"};

/* An account on its way through the days */
typedef struct Walk
{
	Money		balance;
	Credit		credit;			/* the unspent part of it that was not paid in */
	OptionalDate debt_since;
	OptionalDate ends_on;
	State		state;
	OptionalDate delete_on;
	OptionalDate check_on;		/* closure_check_on */
	OptionalDate scheduled_on;
	bool		scheduled_by_sweep;
	int32		reminded;
	PolicySpan *spans;
	int			nspans;
	int			span;			/* that holds on the day */
	ChargeAhead *charges;
	int			ncharges;
	int			ncharged;
	CreditBooked booked;
	OwedBefore *owed;			/* before the days on which credit expires: rows of kb_expiry_ahead */
	int			nowed;
	ReturnSetInfo *rows;
} Walk;

/* Arguments of kb_walk_ahead */
enum
{
	ARG_TODAY, ARG_THROUGH, ARG_BALANCE, ARG_DEBT_SINCE, ARG_STATE, ARG_DELETE_ON, ARG_CHECK_ON, ARG_SCHEDULED_ON,
	ARG_SCHEDULED_BY_SWEEP, ARG_REMINDED, ARG_BONUS, ARG_LOTS, ARG_EXPIRED_THROUGH, ARG_CHARGED_THROUGH, ARG_ENDS_ON,
	ARG_POLICIES, ARG_CHARGES, ARG_EXPIRIES
};

/* Its columns */
enum
{
	COLUMN_FROM_DAY, COLUMN_TO_DAY, COLUMN_BALANCE, COLUMN_DEBT_SINCE, COLUMN_STATE, COLUMN_DELETE_ON, COLUMN_REMIND_DAY,
	COLUMN_RESTRICT_DAY, COLUMN_BLOCK_DAY, COLUMN_PERIOD, COLUMN_CHARGE, COLUMN_EFFECTIVE_ON, NUM_COLUMNS
};

/* Whoever may read a standing may call this with values of their own */
static void
refuse_values(int sqlstate, const char *detail)
{
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("what is to come cannot be foretold from such values"),
			 errdetail_internal("%s", detail),
			 errhint("Ask kb_access, kb_access_stage or kb_forecast, which read them.")));
}

/* A date that may be missing, as a column */
static void
set_date(Datum *values, bool *nulls, int column, OptionalDate d)
{
	nulls[column] = !d.exists;
	values[column] = DateADTGetDatum(d.date);
}

/* How the account stands from a day to the one before another; charge is what was posted then, or NULL */
static void
put_row(const Walk *walk, DateADT from, DateADT to, const ChargeAhead *charge)
{
	Datum		values[NUM_COLUMNS] = {0};
	bool		nulls[NUM_COLUMNS] = {false};

	values[COLUMN_FROM_DAY] = DateADTGetDatum(from);
	values[COLUMN_TO_DAY] = DateADTGetDatum(to);
	values[COLUMN_BALANCE] = MoneyGetDatum(walk->balance);
	set_date(values, nulls, COLUMN_DEBT_SINCE, walk->debt_since);
	values[COLUMN_STATE] = CStringGetTextDatum(state_labels[walk->state]);
	set_date(values, nulls, COLUMN_DELETE_ON, walk->delete_on);
	for (int i = 0; i < 3; i++)
		values[COLUMN_REMIND_DAY + i] = walk->spans[walk->span].stage_days[i];
	nulls[COLUMN_PERIOD] = nulls[COLUMN_CHARGE] = nulls[COLUMN_EFFECTIVE_ON] = charge == NULL;
	if (charge != NULL)
	{
		values[COLUMN_PERIOD] = DateADTGetDatum(charge->period);
		values[COLUMN_CHARGE] = MoneyGetDatum(charge->total);
		values[COLUMN_EFFECTIVE_ON] = DateADTGetDatum(charge->effective_on);
	}
	tuplestore_putvalues(walk->rows->setResult, walk->rows->setDesc, values, nulls);
}

/* The next month that will be charged; NULL if none is left, or the account is deleted (D5) */
static const ChargeAhead *
next_charge(const Walk *walk)
{
	if (walk->ncharged == walk->ncharges || walk->state >= STATE_DELETED)
		return NULL;
	return &walk->charges[walk->ncharged];
}

/* The first day of the next policy; none if this one is the last */
static OptionalDate
next_policy_on(const Walk *walk)
{
	if (walk->span + 1 == walk->nspans)
		return no_date();
	return optional_date(walk->spans[walk->span + 1].from);
}

/* G3: what has expired by the day leaves the balance, but for what is kept for the charge */
static void
expire_credit(Walk *walk, DateADT day)
{
	CreditMove	gone;
	int64		sum = 0;

	if (walk->state >= STATE_DELETED || walk->credit.lots.n == 0)
		return;
	gone = credit_expired(&walk->credit, walk->booked, day, walk->owed, walk->nowed);
	for (int i = 0; i < gone.lots.n; i++)
		sum += gone.lots.lots[i].amount;
	walk->balance = money_add(walk->balance, money_make(money_currency(walk->balance), sum));
	walk->credit = credit_after(&walk->credit, &gone, (Spender) {day, false}, walk->balance);
	walk->booked.expired_through = day;
}

/* The charges of the day, oldest first; all but the last have a row of no length.  Returns the last, or NULL */
static const ChargeAhead *
post_charges(Walk *walk, DateADT day)
{
	const ChargeAhead *last = NULL;
	const ChargeAhead *charge;
	CreditMove	spent;

	while ((charge = next_charge(walk)) != NULL && charge->posted_on <= day)
	{
		if (last != NULL)
			put_row(walk, day, day, last);
		expire_credit(walk, day);
		walk->balance = money_sub(walk->balance, charge->total);
		spent = credit_for_debit(money_neg(charge->total));
		walk->credit = credit_after(&walk->credit, &spent, (Spender) {day, true}, walk->balance);
		walk->booked.charged_through = month_last_day(charge->period);
		walk->debt_since = posting_debt_since(walk->debt_since, walk->balance, charge->effective_on);
		walk->ncharged++;
		last = charge;
	}
	return last;
}

/*
 * What the day's last charge has left of credit that was kept for it goes, too: then that has a row of no length.  The charge that
 * the day's row is to show; NULL if none
 */
static const ChargeAhead *
expire_what_is_left(Walk *walk, DateADT day, const ChargeAhead *charge)
{
	Walk		before = *walk;

	expire_credit(walk, day);
	if (charge == NULL || walk->balance == before.balance)
		return charge;
	put_row(&before, day, day, charge);
	return NULL;
}

/* Whether the account is unused (D1), or its contract over, and all is settled: its last charge, and what is late (X3) */
static bool
may_close(const Walk *walk, DateADT day)
{
	if (walk->ends_on.exists && walk->ends_on.date < day && money_minor(walk->balance) == walk->credit.total &&
		next_charge(walk) == NULL)
		return true;
	return money_minor(walk->balance) <= 0 && walk->spans[walk->span].may_close_on <= day;
}

/* D4: on its date it is deleted, or else its closure is cancelled, as it is if the sweep is not to close it any more (D1) */
static void
end_closure(Walk *walk, DateADT day, bool is_stopped)
{
	if (may_close(walk, day) && !is_stopped)
	{
		walk->state = STATE_DELETED;
		walk->delete_on = optional_date(day);
		walk->check_on = optional_date(day + walk->spans[walk->span].restore_days);
		return;
	}
	walk->state = STATE_ACTIVE;
	walk->delete_on = no_date();
}

/* The day's look at a closing account.  The sweep comes each day, but nothing is to be done before next_on */
static void
go_on_closing(Walk *walk, DateADT day)
{
	const PolicySpan *policy = &walk->spans[walk->span];
	OptionalDate next_policy = next_policy_on(walk);
	Closure		closure = {walk->scheduled_on.date, walk->delete_on.date, policy->nreminders, policy->reminder_days, walk->reminded};
	bool		is_stopped = walk->scheduled_by_sweep && !policy->close_unused;
	ClosureStep step;

	walk->check_on = no_date();
	if (!walk->scheduled_on.exists || !walk->delete_on.exists)
		return;
	step = closure_next_step(&closure, day);
	if (is_stopped || !step.next_on.exists)
	{
		end_closure(walk, day, is_stopped);
		return;
	}
	if (step.reminder > 0)
		walk->reminded = step.reminder;
	walk->delete_on = optional_date(step.delete_on);
	walk->check_on = next_policy.exists && next_policy.date < step.next_on.date ? next_policy : step.next_on;
}

/* What the sweep does on a day about a closure that is under way; a new one is not foreseen (S6) */
static void
look_at_closure(Walk *walk, DateADT day)
{
	if (!walk->check_on.exists || walk->check_on.date > day)
		return;
	if (walk->state == STATE_CLOSING)
		go_on_closing(walk, day);
	else if (walk->state == STATE_DELETED)
	{
		walk->state = STATE_PURGED;
		walk->check_on = no_date();
	}
}

/* The next day on which credit expires */
static DateADT
next_expiry(const Walk *walk, DateADT day)
{
	DateADT		next = DATEVAL_NOEND;

	for (int i = 0; i < walk->credit.lots.n && walk->state < STATE_DELETED; i++)
		if (walk->credit.lots.lots[i].expires_on > day)
			next = Min(next, walk->credit.lots.lots[i].expires_on);
	return next;
}

/* The next day on which something happens */
static DateADT
next_day(const Walk *walk, DateADT day)
{
	const ChargeAhead *charge = next_charge(walk);
	OptionalDate next_policy = next_policy_on(walk);
	DateADT		next = next_expiry(walk, day);

	if (charge != NULL)
		next = Min(next, charge->posted_on);
	if (walk->check_on.exists)
		next = Min(next, walk->check_on.date);
	if (next_policy.exists)
		next = Min(next, next_policy.date);
	if (next <= day)
		refuse_values(ERRCODE_INVALID_PARAMETER_VALUE, "The days do not come one after the other.");
	return next;
}

/* Play the days through one, and on to the last change of policy; from there on all is taken to stay */
static void
walk_days(Walk *walk, DateADT today, DateADT through)
{
	DateADT		last = Max(through, walk->spans[walk->nspans - 1].from);
	DateADT		day = today;

	while (day <= last)
	{
		const ChargeAhead *charge;
		DateADT		next;

		CHECK_FOR_INTERRUPTS();
		while (walk->span + 1 < walk->nspans && walk->spans[walk->span + 1].from <= day)
			walk->span++;
		charge = post_charges(walk, day);
		charge = expire_what_is_left(walk, day, charge);
		look_at_closure(walk, day);
		next = next_day(walk, day);
		if (next > last)
			DATE_NOEND(next);
		put_row(walk, day, next, charge);
		day = next;
	}
}

/* The elements of an array of rows, none of them NULL */
static int
deconstruct_rows(ArrayType *array, Datum **rows)
{
	int			n;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign, rows, NULL, &n);
	return n;
}

/* A field of a row, counted from 1, that must not be NULL */
static Datum
required_field(HeapTupleHeader row, int field)
{
	bool		isnull;
	Datum		value = GetAttributeByNum(row, field, &isnull);

	if (isnull)
		refuse_values(ERRCODE_NULL_VALUE_NOT_ALLOWED, psprintf("Field %d of a policy or a charge is null.", field));
	return value;
}

/* Read the policies, by day; there must be one */
static void
read_policies(Walk *walk, ArrayType *array)
{
	Datum	   *rows;

	walk->nspans = deconstruct_rows(array, &rows);
	if (walk->nspans == 0)
		refuse_values(ERRCODE_INVALID_PARAMETER_VALUE, "There is no policy.");
	walk->spans = palloc(walk->nspans * sizeof(PolicySpan));
	for (int i = 0; i < walk->nspans; i++)
	{
		HeapTupleHeader row = DatumGetHeapTupleHeader(rows[i]);
		PolicySpan *span = &walk->spans[i];

		span->from = DatumGetDateADT(required_field(row, 1));
		for (int k = 0; k < 3; k++)
			span->stage_days[k] = required_field(row, 2 + k);
		span->may_close_on = DatumGetDateADT(required_field(row, 5));
		span->close_unused = DatumGetBool(required_field(row, 6));
		span->restore_days = DatumGetInt32(required_field(row, 7));
		deconstruct_array(DatumGetArrayTypeP(required_field(row, 8)), INT4OID, sizeof(int32), true, TYPALIGN_INT,
						  &span->reminder_days, NULL, &span->nreminders);
	}
}

/* Read the charges, by day */
static void
read_charges(Walk *walk, ArrayType *array)
{
	Datum	   *rows;

	walk->ncharges = deconstruct_rows(array, &rows);
	walk->charges = palloc(walk->ncharges * sizeof(ChargeAhead));
	for (int i = 0; i < walk->ncharges; i++)
	{
		HeapTupleHeader row = DatumGetHeapTupleHeader(rows[i]);

		walk->charges[i].period = DatumGetDateADT(required_field(row, 1));
		walk->charges[i].posted_on = DatumGetDateADT(required_field(row, 2));
		walk->charges[i].effective_on = DatumGetDateADT(required_field(row, 3));
		walk->charges[i].total = DatumGetMoney(required_field(row, 4));
	}
}

/* Read what is owed before the days on which credit expires; NULL is nothing */
static void
read_expiries(Walk *walk, ArrayType *array)
{
	Datum	   *rows;

	walk->nowed = deconstruct_rows(array, &rows);
	walk->owed = palloc(walk->nowed * sizeof(OwedBefore) + 1);
	for (int i = 0; i < walk->nowed; i++)
	{
		HeapTupleHeader row = DatumGetHeapTupleHeader(rows[i]);
		bool		isnull;
		Money		owed = DatumGetMoney(GetAttributeByNum(row, 2, &isnull));

		walk->owed[i] = (OwedBefore) {DatumGetDateADT(required_field(row, 1)), isnull ? 0 : money_minor(owed)};
	}
}

/* The state by its label */
static State
read_state(const char *label)
{
	for (int i = 0; i < NUM_STATES; i++)
		if (strcmp(label, state_labels[i]) == 0)
			return (State) i;
	refuse_values(ERRCODE_INVALID_PARAMETER_VALUE, "The state is none of an account's.");
	return NUM_STATES;
}

/*
 * kb_walk_ahead(today, through, balance, debt_since, state, delete_on,
 * closure_check_on, scheduled_on, scheduled_by_sweep, reminded, unspent_bonus, lots, expired_through,
 * charged_through, ends_on, policies, charges, expiries)
 */
PG_FUNCTION_INFO_V1(kb_walk_ahead);
Datum
kb_walk_ahead(PG_FUNCTION_ARGS)
{
	Walk		walk = {.rows = (ReturnSetInfo *) fcinfo->resultinfo};

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(ARG_TODAY) || PG_ARGISNULL(ARG_THROUGH) || PG_ARGISNULL(ARG_BALANCE) || PG_ARGISNULL(ARG_STATE) ||
		PG_ARGISNULL(ARG_BONUS) || PG_ARGISNULL(ARG_POLICIES))
		return (Datum) 0;
	walk.balance = PG_GETARG_MONEY(ARG_BALANCE);
	walk.booked.expired_through = PG_ARGISNULL(ARG_EXPIRED_THROUGH) ? DATEVAL_NOBEGIN : PG_GETARG_DATEADT(ARG_EXPIRED_THROUGH);
	walk.booked.charged_through = PG_ARGISNULL(ARG_CHARGED_THROUGH) ? DATEVAL_NOBEGIN : PG_GETARG_DATEADT(ARG_CHARGED_THROUGH);
	walk.credit.total = money_minor(PG_GETARG_MONEY(ARG_BONUS));
	if (!PG_ARGISNULL(ARG_LOTS))
		walk.credit.lots = lots_from_array(PG_GETARG_ARRAYTYPE_P(ARG_LOTS), money_currency(walk.balance));
	walk.debt_since = arg_date(fcinfo, ARG_DEBT_SINCE);
	walk.ends_on = arg_date(fcinfo, ARG_ENDS_ON);
	walk.state = read_state(text_to_cstring(PG_GETARG_TEXT_PP(ARG_STATE)));
	walk.delete_on = arg_date(fcinfo, ARG_DELETE_ON);
	walk.check_on = walk.state == STATE_ACTIVE ? no_date() : arg_date(fcinfo, ARG_CHECK_ON);
	walk.scheduled_on = arg_date(fcinfo, ARG_SCHEDULED_ON);
	walk.scheduled_by_sweep = !PG_ARGISNULL(ARG_SCHEDULED_BY_SWEEP) && PG_GETARG_BOOL(ARG_SCHEDULED_BY_SWEEP);
	walk.reminded = PG_ARGISNULL(ARG_REMINDED) ? NOT_REMINDED : PG_GETARG_INT32(ARG_REMINDED);
	read_policies(&walk, PG_GETARG_ARRAYTYPE_P(ARG_POLICIES));
	if (!PG_ARGISNULL(ARG_CHARGES))
		read_charges(&walk, PG_GETARG_ARRAYTYPE_P(ARG_CHARGES));
	if (!PG_ARGISNULL(ARG_EXPIRIES))
		read_expiries(&walk, PG_GETARG_ARRAYTYPE_P(ARG_EXPIRIES));
	walk_days(&walk, PG_GETARG_DATEADT(ARG_TODAY), PG_GETARG_DATEADT(ARG_THROUGH));
	return (Datum) 0;
}
