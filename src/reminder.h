/*
 * reminder.h
 *		When the owners of a closing account are reminded (rules D2, D7): values in,
 *		value out.
 */
#ifndef KBILLING_REMINDER_H
#define KBILLING_REMINDER_H

#include "postgres.h"
#include "optional_date.h"

/* A closure that is under way */
typedef struct Closure
{
	DateADT		scheduled_on;
	DateADT		delete_on;
	int			n;
	Datum	   *reminder_days;	/* int4, days before the deletion, in any order */
	int32		reminded;		/* the smallest of those given so far */
} Closure;

/* Nothing has been given yet */
#define NOT_REMINDED PG_INT32_MAX

/* What is to be done about it on a day */
typedef struct ClosureStep
{
	int32		reminder;		/* the reminder to give, in days before the deletion; 0: none */
	DateADT		delete_on;		/* moved if the last reminder comes too late for it */
	OptionalDate next_on;		/* the day to look again; none if the deletion is due */
} ClosureStep;

extern ClosureStep closure_next_step(const Closure *closure, DateADT today);

#endif
