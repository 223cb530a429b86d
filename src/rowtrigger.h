/*
 * rowtrigger.h
 *		What triggers for tables of the application have in common: arguments that
 *		name columns, and the rows of a statement.
 */
#ifndef KBILLING_ROWTRIGGER_H
#define KBILLING_ROWTRIGGER_H

#include "postgres.h"

#include "commands/trigger.h"
#include "compat.h"
#include "executor/tuptable.h"

/* A column of the trigger's table; attnum 0: there is none. */
typedef struct TriggerColumn
{
	int			attnum;
	Oid			type;			/* below a domain */
} TriggerColumn;

/* The table's name with its schema; palloc'd. */
extern char *trigger_table(Oid table);

/* Refuse the way in which the trigger is attached (39P01). */
pg_noreturn extern void trigger_refuse(const TriggerData *trigger, const char *why, const char *hint);

/* The column that the n-th argument names, attnum 0 if that is missing or ''; 42703 if there is none such. */
extern TriggerColumn trigger_column(const TriggerData *trigger, int n);

/* It must be an integer (42804), and is then read as one. */
extern void trigger_check_integer(const TriggerData *trigger, const TriggerColumn *column);
pg_noreturn extern void trigger_refuse_type(const TriggerData *trigger, const TriggerColumn *column, const char *what);
extern bool trigger_type_is_integer(Oid type);
extern int64 trigger_integer(Datum value, Oid type);

/* The row's value, which must not be NULL (22004). */
extern Datum trigger_value(const TriggerData *trigger, TupleTableSlot *slot, const TriggerColumn *column);

/* For errors about a row: who looks at it, and why. */
extern int	errdetail_trigger(const TriggerData *trigger);

/* Calls visit for each row of a transition table, in a memory context of its own; none if rows is NULL. */
extern void trigger_each_row(const TriggerData *trigger, Tuplestorestate *rows,
							 void (*visit) (TupleTableSlot *slot, void *state), void *state);

#endif
