/*
 * reminder.c
 *		When the owners of a closing account are reminded (rules D2, D7): values in,
 *		value out.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "optional_date.h"
#include "row.h"
#include "utils/array.h"
#include "utils/date.h"

/* A closure that is under way */
typedef struct Closure
{
	DateADT		scheduled_on;
	DateADT		delete_on;
	int			n;
	Datum	   *reminder_days;	/* int4, days before the deletion, in any order */
	int32		reminded;		/* the smallest of those given so far */
} Closure;

/* The day of the i-th reminder; false if the first notice is of that day or later, and stands for it */
static bool
reminder_day(const Closure *closure, int i, int64 *day)
{
	*day = (int64) closure->delete_on - DatumGetInt32(closure->reminder_days[i]);
	return *day > closure->scheduled_on && *day < closure->delete_on;
}

/* The last reminder, in days before the deletion; 0 if there is none at all */
static int32
last_reminder(const Closure *closure)
{
	int64		last = closure->scheduled_on;
	int64		day;

	for (int i = 0; i < closure->n; i++)
		if (reminder_day(closure, i, &day))
			last = Max(last, day);
	return last > closure->scheduled_on ? (int32) (closure->delete_on - last) : 0;
}

/* Whether today is the day of a reminder */
static bool
is_reminder_day(const Closure *closure, DateADT today)
{
	int64		day;

	for (int i = 0; i < closure->n; i++)
		if (reminder_day(closure, i, &day) && day == today)
			return true;
	return false;
}

/* The first day of a reminder after today; the deletion if there is none */
static DateADT
next_reminder_day(const Closure *closure, DateADT today)
{
	int64		next = closure->delete_on;
	int64		day;

	for (int i = 0; i < closure->n; i++)
		if (reminder_day(closure, i, &day) && day > today)
			next = Min(next, day);
	return (DateADT) next;
}

/* Set the results: the reminder to give (0: none), and the days */
static Datum
decision(FunctionCallInfo fcinfo, int32 reminder, DateADT delete_on, OptionalDate next_on)
{
	Row			row;

	row_begin(&row, fcinfo);
	if (reminder > 0)
		row_set(&row, 0, Int32GetDatum(reminder));
	row_set(&row, 1, DateADTGetDatum(delete_on));
	if (next_on.exists)
		row_set(&row, 2, DateADTGetDatum(next_on.date));
	return row_end(&row);
}

/*
 * kb_next_reminder(scheduled_on, delete_on, today, reminder_days, reminded).  A
 * reminder whose day has passed is given together with the next one.  The last one
 * is always given its full days before the deletion: if it comes too late for that,
 * the deletion is put off.
 */
PG_FUNCTION_INFO_V1(kb_next_reminder);
Datum
kb_next_reminder(PG_FUNCTION_ARGS)
{
	Closure		closure;
	DateADT		today;
	int32		last;
	OptionalDate next = no_date();

	for (int i = 0; i < 4; i++)
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	closure.scheduled_on = PG_GETARG_DATEADT(0);
	closure.delete_on = PG_GETARG_DATEADT(1);
	today = PG_GETARG_DATEADT(2);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &closure.reminder_days, NULL, &closure.n);
	closure.reminded = PG_ARGISNULL(4) ? PG_INT32_MAX : PG_GETARG_INT32(4);

	last = last_reminder(&closure);
	if (closure.reminded <= last || last == 0)
	{
		next.exists = today < closure.delete_on;
		next.date = closure.delete_on;
		return decision(fcinfo, 0, closure.delete_on, next);
	}
	next.exists = true;
	if (today >= closure.delete_on - last)
	{
		next.date = Max(closure.delete_on, today + last);
		return decision(fcinfo, last, next.date, next);
	}
	next.date = next_reminder_day(&closure, today);
	if (is_reminder_day(&closure, today) && closure.delete_on - today < closure.reminded)
		return decision(fcinfo, closure.delete_on - today, closure.delete_on, next);
	return decision(fcinfo, 0, closure.delete_on, next);
}
