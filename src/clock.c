/*
 * clock.c
 *		The one source of time: the server's, or what kbilling.clock says.
 */
#include "postgres.h"

#include "access/xact.h"
#include "card.h"
#include "clock.h"
#include "compat.h"
#include "fmgr.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

static char *clock_setting = NULL;
static TimestampTz clock_time = 0;

/*
 * Replace what was written by the moment that it stands for: a parallel worker
 * reads the setting again, before it knows time zones, and by then "now" would be
 * another moment.
 */
static bool
store_moment(char **newval, TimestampTz at)
{
	char	   *str;
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		return false;
	str = kb_guc_malloc(MAXDATELEN + 1);
	if (str == NULL)
		return false;
	tm.tm_isdst = 0;			/* else no zone is written */
	EncodeDateTime(&tm, fsec, true, 0, NULL, USE_ISO_DATES, str);
	kb_guc_free(*newval);
	*newval = str;
	return true;
}

/* Parse kbilling.clock */
static bool
check_clock(char **newval, void **extra, GucSource source)
{
	TimestampTz *parsed;
	TimestampTz at = 0;

	if (*newval != NULL && **newval != '\0')
	{
		if (!kb_parse_timestamptz(*newval, &at) || TIMESTAMP_NOT_FINITE(at))
		{
			if (card_number_in(*newval, strlen(*newval)))
				GUC_check_errmsg("invalid value for parameter \"%s\"", "kbilling.clock");
			GUC_check_errdetail("It takes a finite timestamp with time zone, or nothing.");
			return false;
		}
		if (!store_moment(newval, at))
			return false;
	}
	parsed = kb_guc_malloc(sizeof(TimestampTz));
	if (parsed == NULL)
		return false;
	*parsed = at;
	*extra = parsed;
	return true;
}

/* Keep what was parsed */
static void
assign_clock(const char *newval, void *extra)
{
	clock_time = *((TimestampTz *) extra);
}

void
clock_init(void)
{
	DefineCustomStringVariable("kbilling.clock",
							   "Replaces the current time in all billing rules; for tests.",
							   "Empty means the real time.",
							   &clock_setting,
							   "",
							   PGC_SUSET,
							   0,
							   check_clock, assign_clock, NULL);
}

TimestampTz
kb_current_time(void)
{
	if (clock_setting != NULL && clock_setting[0] != '\0')
		return clock_time;
	return GetCurrentTransactionStartTimestamp();
}

TimestampTz
kb_time_by_clock(void)
{
	return clock_setting != NULL && clock_setting[0] != '\0' ? clock_time : GetCurrentTimestamp();
}

/* kb_now() */
PG_FUNCTION_INFO_V1(kb_now);
Datum
kb_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(kb_current_time());
}
