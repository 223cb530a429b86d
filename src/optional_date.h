/*
 * optional_date.h
 *		A date that may be missing, as SQL's NULL.
 */
#ifndef KBILLING_OPTIONAL_DATE_H
#define KBILLING_OPTIONAL_DATE_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/date.h"

typedef struct OptionalDate
{
	bool		exists;
	DateADT		date;
} OptionalDate;

static inline OptionalDate
optional_date(DateADT date)
{
	return (OptionalDate) {true, date};
}

static inline OptionalDate
no_date(void)
{
	return (OptionalDate) {false, 0};
}

static inline bool
optional_date_equal(OptionalDate a, OptionalDate b)
{
	return a.exists == b.exists && (!a.exists || a.date == b.date);
}

/* An argument of an SQL function. */
static inline OptionalDate
arg_date(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? no_date() : optional_date(PG_GETARG_DATEADT(n));
}

/* Its result. */
#define PG_RETURN_OPTIONAL_DATE(d) \
	do { \
		OptionalDate result_ = (d); \
		if (!result_.exists) \
			PG_RETURN_NULL(); \
		PG_RETURN_DATEADT(result_.date); \
	} while (0)

#endif
