/*
 * kbilling.c
 *		The module: its settings, its clock, the SQL way to raise an error, and
 *		the call to the notices' workers.
 */
#include "postgres.h"

#include "access/xact.h"
#include "args.h"
#include "card.h"
#include "commands/async.h"
#include "compat.h"
#include "fmgr.h"
#include "kbilling.h"
#include "session.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PG_MODULE_MAGIC;

bool		kb_allow_drop = false;

extern PGDLLEXPORT void _PG_init(void);

static bool notify = true;
static char *clock_setting = NULL;
static TimestampTz clock_time = 0;

/*
 * Put a moment in the place of what was written: a parallel worker reads the
 * setting again, before it knows time zones, and "now" would be another moment.
 */
static bool
store_moment(char **newval, TimestampTz at)
{
	char	   *str = kb_guc_malloc(MAXDATELEN + 1);
	struct pg_tm tm;
	fsec_t		fsec;

	if (str == NULL || timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
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

TimestampTz
kb_current_time(void)
{
	if (clock_setting != NULL && clock_setting[0] != '\0')
		return clock_time;
	return GetCurrentTransactionStartTimestamp();
}

void
_PG_init(void)
{
	DefineCustomBoolVariable("kbilling.allow_drop",
							 "Allows the extension to be dropped while the journal has entries.",
							 NULL,
							 &kb_allow_drop,
							 false,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable("kbilling.clock",
							   "Replaces the current time in all billing rules; for tests.",
							   "Empty means the real time.",
							   &clock_setting,
							   "",
							   PGC_SUSET,
							   0,
							   check_clock, assign_clock, NULL);

	DefineCustomBoolVariable("kbilling.notify",
							 "Sends NOTIFY kbilling with each notice, which wakes the workers.",
							 "Without it they find a notice when they look by themselves.",
							 &notify,
							 true,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);

	MarkGUCPrefixReserved("kbilling");
	session_init();
}

void
kb_wake_workers(void)
{
	if (notify)
		Async_Notify("kbilling", "");
}

/* kb_wake(n): wakes the workers if there are any notices, and passes their number on */
PG_FUNCTION_INFO_V1(kb_wake);
Datum
kb_wake(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "notices");
	if (PG_GETARG_INT64(0) > 0)
		kb_wake_workers();
	PG_RETURN_INT64(PG_GETARG_INT64(0));
}

PG_FUNCTION_INFO_V1(kb_now);
Datum
kb_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(kb_current_time());
}

/*
 * kb_raise(state, message, detail, hint): what RAISE is to PL/pgSQL, for the
 * statements of an SQL function.
 */
PG_FUNCTION_INFO_V1(kb_raise);
Datum
kb_raise(PG_FUNCTION_ARGS)
{
	char	   *state = arg_cstring(fcinfo, 0);
	char	   *message = arg_cstring(fcinfo, 1);
	char	   *detail = arg_cstring(fcinfo, 2);
	char	   *hint = arg_cstring(fcinfo, 3);

	if (state == NULL || strlen(state) != 5 || message == NULL ||
		strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 || strncmp(state, "00", 2) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an error has an SQLSTATE and a message")));
	card_check(message);
	if (detail != NULL)
		card_check(detail);

	ereport(ERROR,
			(errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])),
			 errmsg_internal("%s", message),
			 detail ? errdetail_internal("%s", detail) : 0,
			 hint ? errhint("%s", hint) : 0));
}

/* kb_require_not_null('names, in order', VARIADIC values) */
PG_FUNCTION_INFO_V1(kb_require_not_null);
Datum
kb_require_not_null(PG_FUNCTION_ARGS)
{
	char	   *names = arg_cstring(fcinfo, 0);

	for (int i = 1; i < PG_NARGS(); i++)
	{
		char	   *name = strsep(&names, ", ");

		while (name != NULL && *name == '\0')
			name = strsep(&names, ", ");
		arg_required(fcinfo, i, name ? name : "a value");
	}
	PG_RETURN_VOID();
}
