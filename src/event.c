/*
 * event.c
 *		What a usage event may be: values in, value out.
 */
#include "postgres.h"

#include "args.h"
#include "calendar.h"
#include "card.h"
#include "currency.h"
#include "decimal.h"
#include "errors.h"
#include "event.h"
#include "eventset.h"
#include "fmgr.h"
#include "price.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* U4: no clock is off by more */
#define MAX_AHEAD		USECS_PER_HOUR

/* So that a line can be read */
#define MAX_QUANTITY	INT64CONST(1000000000000000000)
#define MAX_SCALE		18

/* Arguments of kb_usage_day */
enum
{
	ARG_SOURCE, ARG_N, ARG_ACCOUNT_ID, ARG_SERVICE, ARG_KEY, ARG_QUANTITY, ARG_AT, ARG_NOW,
	ARG_CREATED_AT, ARG_TIME_ZONE, ARG_DELETED, ARG_ENDS_ON, ARG_KIND, ARG_LACKS_VALUE, ARG_REFUSE
};

/* Which event is wrong, as a sentence, or NULL; callers of the SQL function may pass any source */
static char *
event_sentence(FunctionCallInfo fcinfo)
{
	char	   *source = PG_ARGISNULL(ARG_SOURCE) ? "" : arg_cstring(fcinfo, ARG_SOURCE);
	char	   *key = arg_cstring(fcinfo, ARG_KEY);
	char	   *with_key = key ? psprintf(", with key \"%s\"", card_hidden(key)) : "";
	long long	n = PG_GETARG_INT64(ARG_N);

	if (strcmp(source, SOURCE_BATCH) == 0)
		return psprintf("It is event %lld of the batch%s.", n, with_key);
	if (strcmp(source, SOURCE_ROWS) == 0)
		return psprintf("It is a row of a metered table%s.", with_key);
	if (strcmp(source, SOURCE_TOGETHER) == 0)
		return pstrdup("Rows of a metered table without keys are counted together.");
	return key ? psprintf("The event has the key \"%s\".", card_hidden(key)) : NULL;
}

/* The same as an error's detail */
static int
errdetail_event(FunctionCallInfo fcinfo)
{
	char	   *sentence = event_sentence(fcinfo);

	return sentence ? errdetail_internal("%s", sentence) : 0;
}

/* The account must be there, and alive */
static void
check_event_account(FunctionCallInfo fcinfo)
{
	long long	account_id = PG_GETARG_INT64(ARG_ACCOUNT_ID);

	if (PG_ARGISNULL(ARG_CREATED_AT) || PG_ARGISNULL(ARG_TIME_ZONE) || PG_ARGISNULL(ARG_DELETED))
		ereport(ERROR,
				(errcode(ERRCODE_KB_UNKNOWN_ACCOUNT),
				 errmsg("account %s does not exist", card_hidden(psprintf("%lld", account_id))),
				 errdetail_event(fcinfo),
				 errhint("Create it with kb_create_account.")));
	if (PG_GETARG_BOOL(ARG_DELETED))
		ereport(ERROR,
				(errcode(ERRCODE_KB_ACCOUNT_DELETED),
				 errmsg("account %lld is deleted", account_id),
				 errdetail_event(fcinfo),
				 errhint(RESTORE_HINT)));
}

/* The service must be a metered one */
static void
check_service(FunctionCallInfo fcinfo)
{
	char	   *service;

	if (!PG_ARGISNULL(ARG_KIND) && strcmp(arg_cstring(fcinfo, ARG_KIND), "metered") == 0)
		return;
	service = arg_cstring(fcinfo, ARG_SERVICE);
	card_check(service);
	if (PG_ARGISNULL(ARG_KIND))
		ereport(ERROR,
				(errcode(ERRCODE_KB_UNKNOWN_SERVICE_OR_TARIFF),
				 errmsg("service \"%s\" does not exist", service),
				 errdetail_event(fcinfo),
				 errhint("Create it with kb_create_service, or look it up in kbilling.service.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("service \"%s\" is not metered", service),
			 errdetail_event(fcinfo),
			 errhint("A recurring service is switched on with kb_switch_on, a one-off one bought with kb_buy.")));
}

/*
 * The checks of what an event says raise if it is to be refused; else they return
 * whether it may be recorded, as a repeat of a known key may say anything (U1).
 */
static bool
may_refuse(FunctionCallInfo fcinfo)
{
	return !PG_ARGISNULL(ARG_REFUSE) && PG_GETARG_BOOL(ARG_REFUSE);
}

/* Whether it is a number */
static bool
is_finite(Numeric quantity)
{
	return !numeric_is_nan(quantity) && !numeric_is_inf(quantity);
}

bool
event_quantity_fits(Numeric quantity)
{
	return is_finite(quantity) &&
		DatumGetInt32(DirectFunctionCall1(numeric_min_scale, NumericGetDatum(quantity))) <= MAX_SCALE &&
		numeric_order(DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(quantity))),
					  int64_to_numeric(MAX_QUANTITY)) < 0;
}

/* The quantity must be a number that can be summed up */
static bool
check_event_quantity(FunctionCallInfo fcinfo)
{
	Numeric		quantity = PG_GETARG_NUMERIC(ARG_QUANTITY);

	if (event_quantity_fits(quantity))
		return true;
	if (!may_refuse(fcinfo))
		return false;
	if (!is_finite(quantity))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("quantity must be finite, but is %s",
						DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(quantity)))),
				 errdetail_event(fcinfo),
				 errhint("Give how many units were used; below zero, how many are taken back.")));
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("quantity has too many digits"),
			 errdetail_event(fcinfo),
			 errhint("A quantity is below 10^18, and has at most %d decimals.", MAX_SCALE)));
}

bool
event_is_past(TimestampTz at, TimestampTz now)
{
	return !TIMESTAMP_NOT_FINITE(at) && at <= now + MAX_AHEAD;
}

/* U4 */
static bool
check_ahead(FunctionCallInfo fcinfo)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(ARG_AT);

	if (event_is_past(at, PG_GETARG_TIMESTAMPTZ(ARG_NOW)))
		return true;
	if (!may_refuse(fcinfo))
		return false;
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the time of usage must be finite"),
				 errdetail_event(fcinfo)));
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("usage cannot be more than an hour ahead, but is of %s", timestamptz_to_str(at)),
			 errdetail_event(fcinfo),
			 errhint("Record it once it has been used (U4).")));
}

/* Usage is not before the account's first day */
static bool
check_begun(FunctionCallInfo fcinfo, DateADT day, pg_tz *zone)
{
	TimestampTz created_at = PG_GETARG_TIMESTAMPTZ(ARG_CREATED_AT);
	DateADT		first_day;
	char	   *event;

	if (PG_GETARG_TIMESTAMPTZ(ARG_AT) >= created_at)
		return true;
	first_day = local_date(created_at, zone);
	if (day >= first_day)
		return true;
	if (!may_refuse(fcinfo))
		return false;
	event = event_sentence(fcinfo);
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("account %lld had not begun on %s", (long long) PG_GETARG_INT64(ARG_ACCOUNT_ID),
					date_to_cstring(day)),
			 errdetail("The account's first day is %s.%s%s", date_to_cstring(first_day), event ? " " : "", event ? event : ""),
			 errhint("Usage counts from the account's first day on.")));
}

/* X2: usage is not after the last day of the contract */
static bool
check_not_ended(FunctionCallInfo fcinfo, DateADT day)
{
	char	   *event;

	if (PG_ARGISNULL(ARG_ENDS_ON) || day <= PG_GETARG_DATEADT(ARG_ENDS_ON))
		return true;
	if (!may_refuse(fcinfo))
		return false;
	event = event_sentence(fcinfo);
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("the contract of account %lld ends before %s", (long long) PG_GETARG_INT64(ARG_ACCOUNT_ID), date_to_cstring(day)),
			 errdetail("Its last day is %s.%s%s", date_to_cstring(PG_GETARG_DATEADT(ARG_ENDS_ON)), event ? " " : "", event ? event : ""),
			 errhint("Give the time at which it was used; usage counts until the last day (X2).")));
}

/* U2: what counts once must be told apart */
static bool
check_value(FunctionCallInfo fcinfo)
{
	char	   *service;

	if (PG_ARGISNULL(ARG_LACKS_VALUE) || !PG_GETARG_BOOL(ARG_LACKS_VALUE))
		return true;
	if (!may_refuse(fcinfo))
		return false;
	service = arg_cstring(fcinfo, ARG_SERVICE);
	card_check(service);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("usage of service \"%s\" lacks the property that is counted", service),
			 errdetail_event(fcinfo),
			 errhint("Pass one property, or one named as the service's unit: a text, number or boolean of at most %d bytes.",
					 MAX_VALUE_LENGTH)));
}

/*
 * kb_usage_day(source, n, account_id, service, key, quantity, at, now, created_at,
 * time_zone, deleted, ends_on, kind, lacks_value, refuse): what is of the account or
 * service is NULL where there is none such.
 */
PG_FUNCTION_INFO_V1(kb_usage_day);
Datum
kb_usage_day(PG_FUNCTION_ARGS)
{
	static const int required[] = {ARG_N, ARG_ACCOUNT_ID, ARG_SERVICE, ARG_QUANTITY, ARG_AT, ARG_NOW};
	pg_tz	   *zone;
	DateADT		day;

	for (int i = 0; i < (int) lengthof(required); i++)
		if (PG_ARGISNULL(required[i]))
			PG_RETURN_NULL();
	check_event_account(fcinfo);
	check_service(fcinfo);
	if (!check_value(fcinfo) || !check_event_quantity(fcinfo) || !check_ahead(fcinfo))
		PG_RETURN_NULL();
	zone = zone_or_utc(PG_GETARG_TEXT_PP(ARG_TIME_ZONE));
	day = local_date(PG_GETARG_TIMESTAMPTZ(ARG_AT), zone);
	if (!check_begun(fcinfo, day, zone) || !check_not_ended(fcinfo, day))
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(day);
}

/* The only value of an object; NULL if it has none or more */
static JsonbValue *
only_value(JsonbContainer *object)
{
	JsonbIterator *it;
	JsonbValue	v;
	JsonbValue *value;

	if (JsonContainerSize(object) != 1)
		return NULL;
	value = palloc(sizeof(JsonbValue));
	it = JsonbIteratorInit(object);
	(void) JsonbIteratorNext(&it, &v, true);
	(void) JsonbIteratorNext(&it, &v, true);
	(void) JsonbIteratorNext(&it, value, true);
	return value;
}

/* A JSON scalar as text; NULL if it is none */
static text *
scalar_text(const JsonbValue *v)
{
	if (v == NULL)
		return NULL;
	switch (v->type)
	{
		case jbvString:
			return cstring_to_text_with_len(v->val.string.val, v->val.string.len);
		case jbvNumeric:
			return cstring_to_text(DatumGetCString(DirectFunctionCall1(numeric_out,
																	   NumericGetDatum(v->val.numeric))));
		case jbvBool:
			return cstring_to_text(v->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

/* kb_usage_value(unit, properties) */
PG_FUNCTION_INFO_V1(kb_usage_value);
Datum
kb_usage_value(PG_FUNCTION_ARGS)
{
	JsonbContainer *object = PG_ARGISNULL(1) ? NULL : &PG_GETARG_JSONB_P(1)->root;
	JsonbValue *found = NULL;
	text	   *value;

	if (object == NULL || !JsonContainerIsObject(object))
		PG_RETURN_NULL();
	if (!PG_ARGISNULL(0))
		found = getKeyJsonValueFromContainer(object, VARDATA_ANY(PG_GETARG_TEXT_PP(0)),
											 VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0)), NULL);
	if (found == NULL)
		found = only_value(object);
	value = scalar_text(found);
	if (value == NULL || VARSIZE_ANY_EXHDR(value) > MAX_VALUE_LENGTH)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(value);
}

/* Arguments of kb_refuse_unpriced */
enum
{
	UNPRICED_ACCOUNT_ID, UNPRICED_SERVICE, UNPRICED_TARIFF, UNPRICED_DAY, UNPRICED_ARGS
};

/* kb_refuse_unpriced(account_id, service, tariff, day) */
PG_FUNCTION_INFO_V1(kb_refuse_unpriced);
Datum
kb_refuse_unpriced(PG_FUNCTION_ARGS)
{
	for (int i = 0; i < UNPRICED_ARGS; i++)
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	ereport(ERROR,
			(errcode(ERRCODE_KB_UNKNOWN_SERVICE_OR_TARIFF),
			 errmsg("tariff \"%s\" has no price for service \"%s\"", card_hidden(arg_cstring(fcinfo, UNPRICED_TARIFF)),
					card_hidden(arg_cstring(fcinfo, UNPRICED_SERVICE))),
			 errdetail("It has none on %s, the day of this usage of account %lld.",
					   date_to_cstring(PG_GETARG_DATEADT(UNPRICED_DAY)), (long long) PG_GETARG_INT64(UNPRICED_ACCOUNT_ID)),
			 errhint("Set one with kb_set_price.")));
	PG_RETURN_NULL();
}

/* Whose usage it is, for an error in pricing it. */
typedef struct PricedUsage
{
	int64		account_id;
	const text *service;
} PricedUsage;

static void
priced_context(void *arg)
{
	const PricedUsage *usage = arg;

	errcontext("usage of service \"%s\" by account %lld", card_hidden(text_to_cstring(usage->service)),
			   (long long) usage->account_id);
}

void
event_require_priced(int64 account_id, const text *service, uint16 currency, const Price *price, Numeric quantity, int64 events)
{
	PricedUsage usage = {account_id, service};
	ErrorContextCallback callback = {error_context_stack, priced_context, &usage};

	error_context_stack = &callback;
	(void) price_rate(price, quantity, Max(events, 0), currency);
	error_context_stack = callback.previous;
}

/* Arguments of kb_usage_is_priced */
enum
{
	PRICED_ACCOUNT_ID, PRICED_SERVICE, PRICED_CURRENCY, PRICED_PRICE, PRICED_QUANTITY, PRICED_EVENTS, PRICED_ARGS
};

/* kb_usage_is_priced(account_id, service, currency, price, quantity, events) */
PG_FUNCTION_INFO_V1(kb_usage_is_priced);
Datum
kb_usage_is_priced(PG_FUNCTION_ARGS)
{
	for (int i = 0; i < PRICED_ARGS; i++)
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	event_require_priced(PG_GETARG_INT64(PRICED_ACCOUNT_ID), PG_GETARG_TEXT_PP(PRICED_SERVICE),
						 currency_from_text(PG_GETARG_TEXT_PP(PRICED_CURRENCY)), PG_GETARG_PRICE(PRICED_PRICE),
						 PG_GETARG_NUMERIC(PRICED_QUANTITY), PG_GETARG_INT64(PRICED_EVENTS));
	PG_RETURN_BOOL(true);
}
