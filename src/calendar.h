/*
 * calendar.h
 *		Months and local dates.  A period is a calendar month, named by its
 *		first day (docs/rules.md).  Dates are finite everywhere here.
 */
#ifndef KBILLING_CALENDAR_H
#define KBILLING_CALENDAR_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "pgtime.h"
#include "utils/date.h"

extern DateADT month_first_day(DateADT day);
extern DateADT month_last_day(DateADT day);

/* The date that a clock in the zone shows at the moment. */
extern DateADT local_date(TimestampTz at, pg_tz *zone);

/* The moment when the day begins in the zone. */
extern TimestampTz day_begins(DateADT day, pg_tz *zone);

/* The zone by its IANA name; error 22023 if there is none such. */
extern pg_tz *zone_by_name(const text *name);

/*
 * The zone of an account.  One that the server's time zone data no longer has
 * counts as UTC, so that it holds up neither its account nor others.
 */
extern pg_tz *zone_or_utc(const text *name);

/* "2026-11-01"; palloc'd. */
extern char *date_to_cstring(DateADT day);

#endif
