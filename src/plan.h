/*
 * plan.h
 *		SPI statements that are prepared once a session.
 */
#ifndef KBILLING_PLAN_H
#define KBILLING_PLAN_H

#include "postgres.h"
#include "executor/spi.h"
#include "optional_date.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#define PLAN_MAX_ARGS 25

/* A statement and the types of its parameters; the rest is set at first use. */
typedef struct SavedPlan
{
	const char *sql;
	const char *arg_types[PLAN_MAX_ARGS];	/* SQL names, up to the first NULL */
	bool		is_generic;		/* planned once, whatever the parameters are */
	bool		of_any_version; /* runs on the tables of other versions of kbilling, too: see version.h */
	int			nargs;
	SPIPlanPtr	plan;
	struct SavedPlan *next;			/* of those prepared */
} SavedPlan;

/* The same statement twice, for few rows and for many: a plan fits the size of what it reads first. */
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

/*
 * For a transaction that keeps to one snapshot: 40001 unless a statement that returns one text says the same by that
 * snapshot and by what is committed now.  To be called when a lock keeps what it reads as it is; otherwise as plan_execute.
 */
extern void plan_require_current(SavedPlan *plan, Datum *values, const char *nulls);

/*
 * Lets the statements of this connection read rows as a table, under a name that may have been another's before; their
 * plans expect so many of them.
 */
extern void plan_register(char *name, TupleDesc desc, Tuplestorestate *rows, double expected);

/*
 * Runs work(arg) in a subtransaction.  If it raises an error, what it did is undone, and the
 * error is returned; else NULL.
 */
extern ErrorData *plan_try(void (*work) (void *arg), void *arg);

/* 25001 unless a procedure of that name was called so that it may commit; detail says when it does. */
extern void plan_require_nonatomic(FunctionCallInfo fcinfo, const char *name, const char *detail);

/* As plan_connect, for a procedure that commits. */
extern void plan_connect_nonatomic(void);

/*
 * For a procedure that has connected to SPI so that it may commit: begins another transaction, in which each statement
 * sees what was committed before it, whatever default_transaction_isolation says.
 */
extern void plan_next_transaction(void);

/* Adds the rows of the result to those of a set-returning function, which has called InitMaterializedSRF. */
extern void plan_return_rows(FunctionCallInfo fcinfo);

/* A column, counted from 1, of a row of the result, counted from 0. */
extern Datum plan_row_column(uint64 row, int column, bool *isnull);

/* The same of the first row. */
extern Datum plan_column(int column, bool *isnull);

/* The same for a column that is never NULL; else an internal error. */
extern Datum plan_required(int column);

/* The same by type; strings are copies. */
static inline bool
plan_bool(int column)
{
	return DatumGetBool(plan_required(column));
}

static inline int32
plan_int32(int column)
{
	return DatumGetInt32(plan_required(column));
}

static inline int64
plan_int64(int column)
{
	return DatumGetInt64(plan_required(column));
}

static inline DateADT
plan_date(int column)
{
	return DatumGetDateADT(plan_required(column));
}

static inline TimestampTz
plan_timestamptz(int column)
{
	return DatumGetTimestampTz(plan_required(column));
}

static inline char *
plan_cstring(int column)
{
	return TextDatumGetCString(plan_required(column));
}

/* A macro, because this header must not include money.h. */
#define plan_money(column) DatumGetMoney(plan_required(column))

/* The same for a column that may be NULL. */
extern bool plan_is_null(int column);
extern OptionalDate plan_optional_date(int column);
extern char *plan_optional_cstring(int column);

/* A parameter that may be missing; null is its character in plan_execute's nulls. */
extern Datum plan_text_value(const char *str, char *null);
extern Datum plan_date_value(OptionalDate d, char *null);

#endif
