/*
 * recording.c
 *		kb_record_usage, and what batches and meters do with their events.
 */
#include "postgres.h"

#include "args.h"
#include "clock.h"
#include "eventload.h"
#include "fmgr.h"
#include "hold.h"
#include "journal.h"
#include "plan.h"
#include "recording.h"
#include "usage.h"
#include "utils/timestamp.h"

void
recording_begin(Recording *recording, EventSet *set, EventSet *other)
{
	usage_require_owned(set);
	if (other != NULL)
		usage_require_owned(other);
	limits_lock(&recording->limits, set, other);
	usage_prepare(set);
	if (other != NULL)
		usage_prepare(other);
	limits_look(&recording->limits);
}

/* Record the events of a set, which are prepared, and not none */
static int64
record(EventSet *set)
{
	TimestampTz recorded_at = GetCurrentTimestamp();	/* of events of one moment the later one counts, so after any wait */
	int64		counted;

	if (!events_load(set, recorded_at, &counted))
		counted = usage_record(set, recorded_at);
	holds_settle(set);
	return counted;
}

int64
recording_add(EventSet *set)
{
	if (set->n == 0)
		return 0;
	usage_prepare(set);
	return record(set);
}

void
recording_end(const Recording *recording)
{
	limits_check(&recording->limits);
}

int64
events_record(EventSet *set)
{
	Recording	recording;
	int64		counted;

	if (set->n == 0)
		return 0;
	recording_begin(&recording, set, NULL);
	counted = record(set);
	recording_end(&recording);
	return counted;
}

/* Arguments of kb_record_usage */
enum
{
	ARG_ACCOUNT_ID, ARG_SERVICE, ARG_QUANTITY, ARG_KEY, ARG_AT, ARG_PROPERTIES
};

/* The event that the arguments describe */
static UsageEvent
event_of_arguments(FunctionCallInfo fcinfo, const EventSet *set)
{
	UsageEvent	event = event_make(set);

	event.account_id = PG_GETARG_INT64(ARG_ACCOUNT_ID);
	event.service = PG_GETARG_TEXT_PP(ARG_SERVICE);
	event.quantity = PG_GETARG_NUMERIC(ARG_QUANTITY);
	event.events = events_of_quantity(event.quantity);
	event.key = cstring_to_text(journal_key(PG_GETARG_TEXT_PP(ARG_KEY), "key"));
	if (!PG_ARGISNULL(ARG_AT))
		event.at = PG_GETARG_TIMESTAMPTZ(ARG_AT);
	if (!PG_ARGISNULL(ARG_PROPERTIES))
		event.properties = PG_DETOAST_DATUM(PG_GETARG_DATUM(ARG_PROPERTIES));
	return event;
}

/* kb_record_usage(account_id, service, quantity, key, at, properties) */
PG_FUNCTION_INFO_V1(kb_record_usage);
Datum
kb_record_usage(PG_FUNCTION_ARGS)
{
	EventSet	set;
	UsageEvent	event;
	int64		counted;

	arg_required(fcinfo, ARG_ACCOUNT_ID, "account_id");
	arg_required(fcinfo, ARG_SERVICE, "service");
	arg_required(fcinfo, ARG_QUANTITY, "quantity");
	arg_required(fcinfo, ARG_KEY, "key");
	plan_connect();
	events_begin(&set, NULL, kb_current_time());
	event = event_of_arguments(fcinfo, &set);
	events_add(&set, &event);
	counted = events_record(&set);
	events_end(&set);
	SPI_finish();
	PG_RETURN_BOOL(counted > 0);
}
