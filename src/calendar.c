/*
 * calendar.c
 *		Months, local dates and time zones: pure functions, no clock.
 */
#include "postgres.h"

#include "calendar.h"
#include "card.h"
#include "compat.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* Refuse infinity */
static void
check_finite_date(DateADT day)
{
	if (DATE_NOT_FINITE(day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("an infinite date is in no month"),
				 errhint("Give a finite date.")));
}

/* First day of a month */
static DateADT
first_day_of(int year, int month)
{
	return date2j(year, month, 1) - POSTGRES_EPOCH_JDATE;
}

DateADT
month_first_day(DateADT day)
{
	DateADT		first;
	int			y,
				m,
				d;

	check_finite_date(day);
	j2date(day + POSTGRES_EPOCH_JDATE, &y, &m, &d);
	first = first_day_of(y, m);
	if (!IS_VALID_DATE(first))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("date out of range")));
	return first;
}

DateADT
month_last_day(DateADT day)
{
	int			y,
				m,
				d;

	check_finite_date(day);
	j2date(day + POSTGRES_EPOCH_JDATE, &y, &m, &d);
	return (m == MONTHS_PER_YEAR ? first_day_of(y + 1, 1) : first_day_of(y, m + 1)) - 1;
}

DateADT
local_date(TimestampTz at, pg_tz *zone)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;

	if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, &tz, &tm, &fsec, NULL, zone) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range"),
				 errdetail("An infinite moment has no local date.")));
	return date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
}

TimestampTz
day_begins(DateADT day, pg_tz *zone)
{
	struct pg_tm tm = {0};
	TimestampTz begin;
	int			tz;

	check_finite_date(day);
	j2date(day + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	tz = DetermineTimeZoneOffset(&tm, zone);
	if (tm2timestamp(&tm, 0, &tz, &begin) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	/* where the clock is put back to midnight, midnight comes twice, and the day begins with the first */
	if (local_date(begin - USECS_PER_HOUR, zone) == day)
		begin -= USECS_PER_HOUR;
	return begin;
}

/* Whether a name is one of so many */
static bool
is_among(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/*
 * Whether the name is not that of a place: a POSIX rule such as "Foo5", which
 * PostgreSQL accepts for any letters (no IANA name of a place has a digit), or a
 * file that some systems keep beside the zones, and other machines read differently.
 */
static bool
is_no_place(const char *name)
{
	static const char *const with_digits[] = {"EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT", "GMT0", "GMT+0", "GMT-0"};
	static const char *const beside[] = {"Factory", "localtime", "posixrules"};

	if (is_among(name, with_digits, lengthof(with_digits)) || strncmp(name, "Etc/GMT", 7) == 0)
		return false;
	if (is_among(name, beside, lengthof(beside)) || strncmp(name, "posix/", 6) == 0 || strncmp(name, "right/", 6) == 0)
		return true;
	return strpbrk(name, "0123456789<>,") != NULL;
}

/*
 * Whether a zone is the place of that name, in whatever case
 */
static bool
is_place(pg_tz *zone, const char *name)
{
	const char *found = pg_get_timezone_name(zone);

	/* ":Europe/Kyiv" is found, too */
	return pg_tz_acceptable(zone) && pg_strcasecmp(found, name) == 0 && !is_no_place(found);
}

pg_tz *
zone_by_name(const text *name)
{
	char	   *str = text_to_cstring(name);
	pg_tz	   *zone = pg_tzset(str);

	card_check(str);
	if (zone == NULL || !is_place(zone, str))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" does not exist", str),
				 errhint("Use a name of the IANA time zone database, such as \"Europe/Kyiv\"; pg_timezone_names lists them.")));
	pfree(str);
	return zone;
}

pg_tz *
zone_or_utc(const text *name)
{
	char	   *str = text_to_cstring(name);
	pg_tz	   *zone = pg_tzset(str);

	pfree(str);
	return zone ? zone : pg_tzset("GMT");
}

char *
date_to_cstring(DateADT day)
{
	char	   *str = palloc(MAXDATELEN + 1);
	struct pg_tm tm;

	/* always ISO, whatever DateStyle says: keys and lines are made of it */
	check_finite_date(day);
	j2date(day + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	EncodeDateOnly(&tm, USE_ISO_DATES, str);
	return str;
}

PG_FUNCTION_INFO_V1(kb_month_first_day);
Datum
kb_month_first_day(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(month_first_day(PG_GETARG_DATEADT(0)));
}

PG_FUNCTION_INFO_V1(kb_month_last_day);
Datum
kb_month_last_day(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(month_last_day(PG_GETARG_DATEADT(0)));
}

PG_FUNCTION_INFO_V1(kb_local_date);
Datum
kb_local_date(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(0);

	PG_RETURN_DATEADT(local_date(at, zone_by_name(PG_GETARG_TEXT_PP(1))));
}

/* Zones with longer names are not remembered. */
#define MAX_ZONE_NAME	40

/* The last answer of a call in a statement: most accounts are of one zone, and all are asked for one moment. */
typedef struct LastDate
{
	TimestampTz at;
	DateADT		date;
	int			length;			/* of the zone's name */
	char		zone[MAX_ZONE_NAME];
} LastDate;

/* Where the call keeps it */
static LastDate *
last_date(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(LastDate));
	return fcinfo->flinfo->fn_extra;
}

/* kb_account_date(at, time_zone) */
PG_FUNCTION_INFO_V1(kb_account_date);
Datum
kb_account_date(PG_FUNCTION_ARGS)
{
	LastDate   *last = last_date(fcinfo);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(0);
	const text *zone = PG_GETARG_TEXT_PP(1);
	int			length = VARSIZE_ANY_EXHDR(zone);

	if (last->at == at && last->length == length && memcmp(last->zone, VARDATA_ANY(zone), length) == 0)
		PG_RETURN_DATEADT(last->date);
	last->date = local_date(at, zone_or_utc(zone));
	last->at = at;
	last->length = length <= MAX_ZONE_NAME ? length : -1;
	if (last->length > 0)
		memcpy(last->zone, VARDATA_ANY(zone), length);
	PG_RETURN_DATEADT(last->date);
}

/* kb_day_begins(day, time_zone) */
PG_FUNCTION_INFO_V1(kb_day_begins);
Datum
kb_day_begins(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(day_begins(PG_GETARG_DATEADT(0), zone_or_utc(PG_GETARG_TEXT_PP(1))));
}

/* The zone's name as the database spells it */
PG_FUNCTION_INFO_V1(kb_time_zone);
Datum
kb_time_zone(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(pg_get_timezone_name(zone_by_name(PG_GETARG_TEXT_PP(0)))));
}
