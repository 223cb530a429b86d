/*
 * hold.c
 *		Holds: units of a service that are reserved before they are used (L4).
 */
#include "postgres.h"

#include "args.h"
#include "clock.h"
#include "fmgr.h"
#include "hold.h"
#include "journal.h"
#include "limit.h"
#include "plan.h"
#include "table.h"

static Table hold_table = {.name = "usage_hold", .columns = {"account_id", "service", "key"}, .nkeys = 3};

static SavedPlan settle_plan[] = PLAN_PAIR(
	.sql = "DELETE FROM usage_hold h USING event_set e"
	" WHERE h.account_id = e.account_id AND h.service = e.service AND h.key = e.key"
);

bool
holds_exist(void)
{
	return !table_is_empty(&hold_table);
}

void
holds_settle(EventSet *set)
{
	if (!holds_exist())
		return;
	events_register(set, "event_set");
	plan_execute(&settle_plan[events_are_many(set)], NULL, NULL, false);
}

/* Arguments of kb_hold_usage */
enum
{
	ARG_ACCOUNT_ID, ARG_SERVICE, ARG_QUANTITY, ARG_KEY, ARG_EXPIRES_AT
};

static const char *const arg_names[] = {"account_id", "service", "quantity", "key", "expires_at"};

static SavedPlan lock_plan = {
	.sql = "SELECT kb_lock_account($1)",
	.arg_types = {"bigint"},
	.is_generic = true
};

static SavedPlan put_plan = {
	.sql = "SELECT kb_put_hold($1, $2, $3, $4, $5)",
	.arg_types = {"bigint", "text", "numeric", "text", "timestamptz"},
	.is_generic = true
};

/* kb_hold_usage(account_id, service, quantity, key, expires_at) */
PG_FUNCTION_INFO_V1(kb_hold_usage);
Datum
kb_hold_usage(PG_FUNCTION_ARGS)
{
	Datum		values[lengthof(arg_names)];
	Limits		limits;
	bool		is_new;

	for (size_t i = 0; i < lengthof(arg_names); i++)
	{
		arg_required(fcinfo, i, arg_names[i]);
		values[i] = PG_GETARG_DATUM(i);
	}
	values[ARG_KEY] = CStringGetTextDatum(journal_key(PG_GETARG_TEXT_PP(ARG_KEY), "key"));
	plan_connect();
	plan_execute(&lock_plan, values, NULL, false);
	limits_look_at(&limits, PG_GETARG_INT64(ARG_ACCOUNT_ID), kb_current_time());
	plan_execute(&put_plan, values, NULL, false);
	is_new = plan_bool(1);
	limits_check(&limits);
	SPI_finish();
	PG_RETURN_BOOL(is_new);
}
