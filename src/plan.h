/*
 * plan.h
 *		SPI statements that are prepared once a session.
 */
#ifndef KBILLING_PLAN_H
#define KBILLING_PLAN_H

#include "postgres.h"
#include "executor/spi.h"

#define PLAN_MAX_ARGS 22

/* A statement and the types of its parameters; the rest is set at first use. */
typedef struct SavedPlan
{
	const char *sql;
	const char *arg_types[PLAN_MAX_ARGS];	/* SQL names, up to the first NULL */
	int			nargs;
	SPIPlanPtr	plan;
	struct SavedPlan *next;			/* of those prepared */
} SavedPlan;

/* The same statement twice: a plan is made for the size of what it reads first. */
#define PLAN_PAIR(...)	{{__VA_ARGS__}, {__VA_ARGS__}}

static inline void
plan_connect(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
}

/*
 * Runs the statement, whose result is then in SPI_tuptable; the caller has
 * connected to SPI.  nulls is a string as SPI's, or NULL for none.  Returns the
 * number of rows.
 */
extern uint64 plan_execute(SavedPlan *plan, Datum *values, const char *nulls, bool read_only);

/* A column of the first row of the result. */
extern Datum plan_column(int column, bool *isnull);

#endif
