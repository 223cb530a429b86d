/*
 * batch.c
 *		kb_record_usage_batch: usage events in their JSON form.
 */
#include "postgres.h"

#include "args.h"
#include "ascii.h"
#include "card.h"
#include "clock.h"
#include "errors.h"
#include "fmgr.h"
#include "funcapi.h"
#include "journal.h"
#include "miscadmin.h"
#include "plan.h"
#include "recording.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* How far the reading is; messages count events from 1. */
typedef struct BatchReader
{
	int			n;				/* the event that is read */
	bool		has_account_id; /* and whether it has one */
} BatchReader;

/* Name the event in errors of the functions that read its texts */
static void
event_context(void *arg)
{
	errcontext("event %d of the batch", ((BatchReader *) arg)->n);
}

/* Refuse a field */
static void
refuse_field(const BatchReader *reader, const char *field, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" of event %d of the batch must be %s", field, reader->n, what),
			 errhint("An event is an object with the arguments of kb_record_usage as fields.")));
}

/* A text field; as it holds no card number, errors may repeat it from here on (T4) */
static char *
read_cstring(const BatchReader *reader, const char *field, const JsonbValue *v)
{
	if (v->type != jbvString)
		refuse_field(reader, field, "a text");
	if (card_number_in(v->val.string.val, v->val.string.len))
		card_refuse(psprintf("event %d of the batch", reader->n));
	return pnstrdup(v->val.string.val, v->val.string.len);
}

/* A number, or a text that is one, as many JSON libraries have no decimals */
static Numeric
read_number(const BatchReader *reader, const char *field, const JsonbValue *v)
{
	if (v->type == jbvNumeric)
		return v->val.numeric;
	if (v->type != jbvString)
		refuse_field(reader, field, "a number");
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(read_cstring(reader, field, v)),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* A whole number */
static int64
read_int64(const BatchReader *reader, const char *field, const JsonbValue *v)
{
	Datum		number;
	int64		result;

	if (v->type != jbvNumeric)
		refuse_field(reader, field, "a whole number");
	number = NumericGetDatum(v->val.numeric);
	result = DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, number, NumericGetDatum(int64_to_numeric(result)))))
		refuse_field(reader, field, "a whole number");
	return result;
}

/*
 * Whether a text is a moment of ISO 8601 with its offset from UTC, which every
 * session reads alike, whatever its time zone and date style:
 * "2026-11-01T09:30:00+02:00".
 */
static bool
is_iso_moment(const char *str)
{
	static const char shape[] = "dddd-dd-ddTdd:dd";

	for (int i = 0; shape[i] != '\0'; i++)
	{
		char		c = str[i];

		if (shape[i] == 'd' ? !is_digit(c) : shape[i] == 'T' ? c != 'T' && c != 't' && c != ' ' : c != shape[i])
			return false;
	}
	str += strlen(shape);
	str += strspn(str, "0123456789:.");
	if ((*str == 'Z' || *str == 'z') && str[1] == '\0')
		return true;
	return (*str == '+' || *str == '-') && str[1] != '\0' && strspn(str + 1, "0123456789:") == strlen(str + 1);
}

/* A moment */
static TimestampTz
read_moment(const BatchReader *reader, const char *field, const JsonbValue *v)
{
	char	   *str = read_cstring(reader, field, v);

	if (!is_iso_moment(str))
		refuse_field(reader, field, "a time with its offset from UTC, such as \"2026-11-01T09:30:00Z\"");
	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(str),
												   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* Whether the field has this name */
static bool
is_field(const JsonbValue *key, const char *name)
{
	return (size_t) key->val.string.len == strlen(name) &&
		memcmp(key->val.string.val, name, strlen(name)) == 0;
}

/* One field of an event */
static void
read_field(BatchReader *reader, UsageEvent *event, const JsonbValue *key, JsonbValue *v)
{
	if (is_field(key, "account_id"))
	{
		event->account_id = read_int64(reader, "account_id", v);
		reader->has_account_id = true;
	}
	else if (is_field(key, "service"))
		event->service = cstring_to_text(read_cstring(reader, "service", v));
	else if (is_field(key, "quantity"))
		event->quantity = read_number(reader, "quantity", v);
	else if (is_field(key, "key"))
		event->key = cstring_to_text(journal_key(cstring_to_text(read_cstring(reader, "key", v)), "key"));
	else if (is_field(key, "at"))
		event->at = read_moment(reader, "at", v);
	else if (is_field(key, "properties"))
	{
		Jsonb	   *properties = JsonbValueToJsonb(v);

		if (card_number_in_jsonb(properties))
			card_refuse(psprintf("event %d of the batch", reader->n));
		event->properties = (struct varlena *) properties;
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event %d of the batch has an unknown field", reader->n),
				 errhint("The fields are account_id, service, quantity, key, at and properties.")));
}

/* One event, an object; a field that is null counts as missing */
static UsageEvent
read_event(BatchReader *reader, JsonbIterator **it, const EventSet *set)
{
	UsageEvent	event = event_make(set);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	v;

	reader->n++;
	reader->has_account_id = false;
	while ((token = JsonbIteratorNext(it, &key, true)) == WJB_KEY)
	{
		(void) JsonbIteratorNext(it, &v, true);
		if (v.type != jbvNull)
			read_field(reader, &event, &key, &v);
	}
	Assert(token == WJB_END_OBJECT);
	if (!reader->has_account_id || event.service == NULL || event.quantity == NULL || event.key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("event %d of the batch has no %s", reader->n,
						!reader->has_account_id ? "account_id" : event.service == NULL ? "service" :
						event.quantity == NULL ? "quantity" : "key"),
				 errhint("account_id, service, quantity and key are required; at and properties may be missing or null.")));
	event.events = events_of_quantity(event.quantity);
	return event;
}

/* Read the events of a JSON array; errors say which one is wrong */
static void
read_batch(Jsonb *events, EventSet *set)
{
	JsonbContainer *root = &events->root;
	BatchReader reader = {0};
	ErrorContextCallback callback = {error_context_stack, event_context, &reader};
	MemoryContext per_event = AllocSetContextCreate(CurrentMemoryContext, "usage event", ALLOCSET_SMALL_SIZES);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;

	if (!JsonContainerIsArray(root) || JsonContainerIsScalar(root))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a batch of usage must be a JSON array"),
				 errhint("Pass an array of objects with the arguments of kb_record_usage as fields.")));
	it = JsonbIteratorInit(root);
	(void) JsonbIteratorNext(&it, &v, false);
	error_context_stack = &callback;
	while ((token = JsonbIteratorNext(&it, &v, false)) == WJB_BEGIN_OBJECT)
	{
		MemoryContext old;
		UsageEvent	event;

		CHECK_FOR_INTERRUPTS();
		old = MemoryContextSwitchTo(per_event);
		event = read_event(&reader, &it, set);
		MemoryContextSwitchTo(old);
		events_add(set, &event);
		MemoryContextReset(per_event);
	}
	error_context_stack = callback.previous;
	if (token != WJB_END_ARRAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event %d of the batch is not an object", reader.n + 1),
				 errhint("An event is an object with the arguments of kb_record_usage as fields.")));
}

/* Columns of kb_record_usage_each */
enum
{
	EACH_EVENT_NO, EACH_COUNTED, EACH_STATE, EACH_MESSAGE, EACH_DETAIL, EACH_COLUMNS
};

/* One event of a batch, recorded by itself. */
typedef struct Single
{
	const UsageEvent *event;
	TimestampTz now;
	int64		counted;
} Single;

static void
record_single(void *arg)
{
	Single	   *single = arg;
	EventSet	set;

	plan_connect();
	events_begin(&set, NULL, single->now);
	events_add(&set, single->event);
	single->counted = events_record(&set);
	events_end(&set);
	SPI_finish();
}

/* Whether an error is about the event, and not about the server or the transaction */
static bool
is_refusal(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category == ERRCODE_TO_CATEGORY(ERRCODE_KB_LIMIT_REACHED) || category == ERRCODE_DATA_EXCEPTION;
}

/* Add the row of an event; error is NULL if it was not refused */
static void
add_outcome(FunctionCallInfo fcinfo, int64 event_no, const Single *single, const ErrorData *error)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[EACH_COLUMNS] = {0};
	bool		nulls[EACH_COLUMNS] = {false, error != NULL, error == NULL, error == NULL, error == NULL || error->detail == NULL};

	values[EACH_EVENT_NO] = Int32GetDatum((int32) event_no);
	values[EACH_COUNTED] = BoolGetDatum(single->counted > 0);
	if (error != NULL)
	{
		values[EACH_STATE] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
		values[EACH_MESSAGE] = CStringGetTextDatum(error->message);
	}
	if (!nulls[EACH_DETAIL])
		values[EACH_DETAIL] = CStringGetTextDatum(error->detail);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Record an event by itself, in a subtransaction, and tell what became of it; what it takes of the memory is given back */
static void
record_each(FunctionCallInfo fcinfo, const EventSet *set, int64 i, MemoryContext per_event)
{
	Single		single = {.event = &set->events[i], .now = set->now};
	MemoryContext old = MemoryContextSwitchTo(per_event);
	ErrorData  *error;

	CHECK_FOR_INTERRUPTS();
	error = plan_try(record_single, &single);
	if (error != NULL && !is_refusal(error))
		ReThrowError(error);
	add_outcome(fcinfo, i + 1, &single, error);
	MemoryContextSwitchTo(old);
	MemoryContextReset(per_event);
}

/* Lock those of all accounts that have a limit, by their numbers, before the first event locks its own */
static void
lock_all_limited(const EventSet *set)
{
	Datum	   *account_ids = palloc_extended(set->n * sizeof(Datum), MCXT_ALLOC_HUGE);

	for (int64 i = 0; i < set->n; i++)
		account_ids[i] = Int64GetDatum(set->events[i].account_id);
	limits_lock_accounts(account_ids, (int) set->n);
}

/* kb_record_usage_each(events) */
PG_FUNCTION_INFO_V1(kb_record_usage_each);
Datum
kb_record_usage_each(PG_FUNCTION_ARGS)
{
	MemoryContext per_event = AllocSetContextCreate(CurrentMemoryContext, "recorded event", ALLOCSET_DEFAULT_SIZES);
	EventSet	set;

	arg_required(fcinfo, 0, "events");
	InitMaterializedSRF(fcinfo, 0);
	plan_connect();
	events_begin(&set, SOURCE_BATCH, kb_current_time());
	read_batch(PG_GETARG_JSONB_P(0), &set);
	if (set.n > 0 && set.events == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a batch of %lld events is too large to be recorded one by one", (long long) set.n),
				 errhint("Split it.")));
	if (set.n > 0 && limits_exist())
		lock_all_limited(&set);
	for (int64 i = 0; i < set.n; i++)
		record_each(fcinfo, &set, i, per_event);
	events_end(&set);
	SPI_finish();
	return (Datum) 0;
}

/* kb_record_usage_batch(events) */
PG_FUNCTION_INFO_V1(kb_record_usage_batch);
Datum
kb_record_usage_batch(PG_FUNCTION_ARGS)
{
	EventSet	set;
	int64		counted;

	arg_required(fcinfo, 0, "events");
	plan_connect();
	events_begin(&set, SOURCE_BATCH, kb_current_time());
	read_batch(PG_GETARG_JSONB_P(0), &set);
	counted = events_record(&set);
	events_end(&set);
	SPI_finish();
	PG_RETURN_INT64(counted);
}
