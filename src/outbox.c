/*
 * outbox.c
 *		Waking the workers that deliver notices.
 */
#include "postgres.h"

#include "args.h"
#include "commands/async.h"
#include "fmgr.h"
#include "outbox.h"
#include "utils/guc.h"

static bool notify = true;

void
outbox_init(void)
{
	DefineCustomBoolVariable("kbilling.notify",
							 "Sends NOTIFY kbilling with each notice, which wakes the workers.",
							 "Without it they find a notice when they look by themselves.",
							 &notify,
							 true,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);
}

void
kb_wake_workers(void)
{
	if (notify)
		Async_Notify("kbilling", "");
}

/* kb_wake(notices): wakes the workers if there are notices, and returns their number */
PG_FUNCTION_INFO_V1(kb_wake);
Datum
kb_wake(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "notices");
	if (PG_GETARG_INT64(0) > 0)
		kb_wake_workers();
	PG_RETURN_INT64(PG_GETARG_INT64(0));
}
