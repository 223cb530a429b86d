/*
 * reminder.c
 *		When the owners of a closing account are reminded (rules D2, D7): values in,
 *		value out.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "reminder.h"
#include "row.h"
#include "utils/array.h"
#include "utils/date.h"

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

/*
 * A reminder whose day has passed is given together with the next one.  The last one
 * is always given its full days before the deletion: if it comes too late for that,
 * the deletion is put off.
 */
ClosureStep
closure_next_step(const Closure *closure, DateADT today)
{
	int32		last = last_reminder(closure);
	ClosureStep step = {0, closure->delete_on, optional_date(closure->delete_on)};

	if (closure->reminded <= last || last == 0)
		step.next_on.exists = today < closure->delete_on;
	else if (today >= closure->delete_on - last)
	{
		step.reminder = last;
		step.delete_on = Max(closure->delete_on, today + last);
		step.next_on.date = step.delete_on;
	}
	else
	{
		if (is_reminder_day(closure, today) && closure->delete_on - today < closure->reminded)
			step.reminder = closure->delete_on - today;
		step.next_on.date = next_reminder_day(closure, today);
	}
	return step;
}

/* kb_next_reminder(scheduled_on, delete_on, today, reminder_days, reminded) */
PG_FUNCTION_INFO_V1(kb_next_reminder);
Datum
kb_next_reminder(PG_FUNCTION_ARGS)
{
	Closure		closure;
	ClosureStep step;
	Row			row;

	for (int i = 0; i < 4; i++)
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	closure.scheduled_on = PG_GETARG_DATEADT(0);
	closure.delete_on = PG_GETARG_DATEADT(1);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &closure.reminder_days, NULL, &closure.n);
	closure.reminded = PG_ARGISNULL(4) ? NOT_REMINDED : PG_GETARG_INT32(4);

	step = closure_next_step(&closure, PG_GETARG_DATEADT(2));
	row_begin(&row, fcinfo);
	if (step.reminder > 0)
		row_set(&row, 0, Int32GetDatum(step.reminder));
	row_set(&row, 1, DateADTGetDatum(step.delete_on));
	if (step.next_on.exists)
		row_set(&row, 2, DateADTGetDatum(step.next_on.date));
	return row_end(&row);
}
