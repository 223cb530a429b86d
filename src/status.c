/*
 * status.c
 *		Where an account stands now, and where it stood when an entry was posted.
 *
 * The view account_now says the same for many accounts.
 */
#include "postgres.h"

#include "account.h"
#include "args.h"
#include "calendar.h"
#include "clock.h"
#include "enumvalue.h"
#include "fmgr.h"
#include "plan.h"
#include "rowread.h"
#include "shard.h"
#include "status.h"

enum
{
	ACCOUNT_ID, ACCOUNT_BALANCE, ACCOUNT_DEBT_SINCE, ACCOUNT_DEFERRED_UNTIL, ACCOUNT_CHARGED_THROUGH, ACCOUNT_TARIFF_FROM,
	ACCOUNT_DELETE_ON, ACCOUNT_ENDS_ON, ACCOUNT_STATE, ACCOUNT_TARIFF, ACCOUNT_TIME_ZONE
};

static ReadTable account_table = {
	.name = "account",
	.columns = {"account_id", "balance", "debt_since", "deferred_until", "charged_through", "tariff_from", "delete_on", "ends_on",
		"state", "tariff", "time_zone"},
	.nkeys = 1
};

enum
{
	CLEAR_ACCOUNT_ID, CLEAR_DEBT_SINCE, CLEAR_ENDS_ON, CLEAR_STATE
};

static ReadTable clear_table = {
	.name = "account", .columns = {"account_id", "debt_since", "ends_on", "state"}, .nkeys = 1
};

static ReadTable balance_table = {.name = "account", .columns = {"account_id", "balance"}, .nkeys = 1};

enum
{
	HISTORY_ACCOUNT_ID, HISTORY_FROM_DATE, HISTORY_TO_DATE, HISTORY_TARIFF
};

static ReadTable history_table = {
	.name = "tariff_history", .columns = {"account_id", "from_date", "to_date", "tariff"}, .nkeys = 1
};

enum
{
	STATE_ACTIVE, STATE_CLOSING, STATE_DELETED, STATE_PURGED
};

static EnumType state_type = {
	.name = "account_state", .labels = {"active", "closing", "deleted", "purged"}
};

/* Whether the state is one of an account that is out of reach (D5) */
static bool
is_deleted(Datum state)
{
	return enum_label_no(&state_type, state) >= STATE_DELETED;
}

/* Whether a tariff of the past held on the day */
static bool
held_on(const ReadRow *row, const void *day)
{
	return DatumGetDateADT(row->values[HISTORY_FROM_DATE]) <= *(const DateADT *) day &&
		DatumGetDateADT(row->values[HISTORY_TO_DATE]) > *(const DateADT *) day;
}

/* The tariff of a day: if that in the account's row is still to come, it is in the history */
static Datum
tariff_on(const DebtRow *row, DateADT day)
{
	Datum		key = Int64GetDatum(row->account_id);
	ReadRow		past;

	if (row->tariff_from > day && row_read_first(&history_table, &key, &past, held_on, &day))
		return past.values[HISTORY_TARIFF];
	return row->tariff;
}

/* The account's local date */
static DateADT
today_of(const DebtRow *row)
{
	return local_date(kb_current_time(), zone_or_utc(DatumGetTextPP(row->time_zone)));
}

/* X2: whether the last day of the contract is over */
static bool
is_ended(const DebtRow *row, OptionalDate ends_on)
{
	return ends_on.exists && ends_on.date < today_of(row);
}

bool
status_policy(const DebtRow *row, TariffPolicy *policy)
{
	return policy_of_tariff(tariff_on(row, today_of(row)), policy);
}

bool
status_of_debt(const DebtRow *row, DebtNow *now)
{
	TariffPolicy policy;

	now->stage = STAGE_OK;
	if (!row->debt_since.exists)
		return true;
	now->today = today_of(row);
	if (!policy_of_tariff(tariff_on(row, now->today), &policy))
		return false;
	now->days = policy.days;
	now->stage = stage_with_deferral(row->debt_since, row->deferred_until, now->today, &now->days);
	return true;
}

bool
status_read(int64 account_id, AccountStatus *account)
{
	Datum		key = Int64GetDatum(account_id);
	ReadRow		row;

	if (!row_read(&account_table, &key, &row))
		return false;
	account->row = (DebtRow) {
		.account_id = account_id,
		.debt_since = row_optional_date(&row, ACCOUNT_DEBT_SINCE),
		.deferred_until = row_optional_date(&row, ACCOUNT_DEFERRED_UNTIL),
		.tariff_from = DatumGetDateADT(row.values[ACCOUNT_TARIFF_FROM]),
		.tariff = row.values[ACCOUNT_TARIFF],
		.time_zone = row.values[ACCOUNT_TIME_ZONE]
	};
	account->balance = DatumGetMoney(row.values[ACCOUNT_BALANCE]);
	account->is_deleted = is_deleted(row.values[ACCOUNT_STATE]);
	account->is_closing = enum_label_no(&state_type, row.values[ACCOUNT_STATE]) == STATE_CLOSING;
	account->delete_on = row_optional_date(&row, ACCOUNT_DELETE_ON);
	account->charged_through = DatumGetDateADT(row.values[ACCOUNT_CHARGED_THROUGH]);
	account->ends_on = row_optional_date(&row, ACCOUNT_ENDS_ON);
	account->is_ended = is_ended(&account->row, account->ends_on);
	return status_of_debt(&account->row, &account->now);
}

bool
status_is_clear(int64 account_id)
{
	Datum		key = Int64GetDatum(account_id);
	ReadRow		row;

	return row_read(&clear_table, &key, &row) && row.nulls[CLEAR_DEBT_SINCE] && row.nulls[CLEAR_ENDS_ON] &&
		!is_deleted(row.values[CLEAR_STATE]);
}

void
status_require(int64 account_id, AccountStatus *account)
{
	shard_require_readable(account_id);
	if (!status_read(account_id, account))
		ereport(ERROR, NO_SUCH_ACCOUNT(account_id));
}

/* kb_balance(account_id) */
PG_FUNCTION_INFO_V1(kb_balance);
Datum
kb_balance(PG_FUNCTION_ARGS)
{
	Datum		key;
	ReadRow		row;

	arg_required(fcinfo, 0, "account_id");
	shard_require_readable(PG_GETARG_INT64(0));
	key = PG_GETARG_DATUM(0);
	if (!row_read(&balance_table, &key, &row))
		ereport(ERROR, NO_SUCH_ACCOUNT(PG_GETARG_INT64(0)));
	return row.values[ACCOUNT_BALANCE];
}

/* kb_access_stage(account_id) */
PG_FUNCTION_INFO_V1(kb_access_stage_now);
Datum
kb_access_stage_now(PG_FUNCTION_ARGS)
{
	AccountStatus account;

	arg_required(fcinfo, 0, "account_id");
	status_require(PG_GETARG_INT64(0), &account);
	return stage_value(account.now.stage);
}

/* Arguments that are columns of an account's row, and the role */
enum
{
	ARG_ACCOUNT_ID, ARG_DEBT_SINCE, ARG_DEFERRED_UNTIL, ARG_TARIFF_FROM, ARG_TARIFF, ARG_TIME_ZONE, ARG_STATE, ARG_ROLE,
	ARG_ENDS_ON
};

bool
status_debt_args(FunctionCallInfo fcinfo, DebtRow *row)
{
	if (PG_ARGISNULL(ARG_ACCOUNT_ID) || PG_ARGISNULL(ARG_TARIFF_FROM) || PG_ARGISNULL(ARG_TARIFF) ||
		PG_ARGISNULL(ARG_TIME_ZONE))
		return false;
	*row = (DebtRow) {
		.account_id = PG_GETARG_INT64(ARG_ACCOUNT_ID),
		.debt_since = arg_date(fcinfo, ARG_DEBT_SINCE),
		.deferred_until = arg_date(fcinfo, ARG_DEFERRED_UNTIL),
		.tariff_from = PG_GETARG_DATEADT(ARG_TARIFF_FROM),
		.tariff = PG_GETARG_DATUM(ARG_TARIFF),
		.time_zone = PG_GETARG_DATUM(ARG_TIME_ZONE)
	};
	return true;
}

/* kb_stage_now(account_id, debt_since, deferred_until, tariff_from, tariff, time_zone) */
PG_FUNCTION_INFO_V1(kb_stage_now);
Datum
kb_stage_now(PG_FUNCTION_ARGS)
{
	DebtRow		row;
	DebtNow		now;

	if (!status_debt_args(fcinfo, &row) || !status_of_debt(&row, &now))
		PG_RETURN_NULL();
	return stage_value(now.stage);
}

/* kb_access_now(account_id, debt_since, deferred_until, tariff_from, tariff, time_zone, state, role, ends_on) */
PG_FUNCTION_INFO_V1(kb_access_now);
Datum
kb_access_now(PG_FUNCTION_ARGS)
{
	DebtRow		row;
	DebtNow		now;

	if (PG_ARGISNULL(ARG_STATE) || PG_ARGISNULL(ARG_ROLE) || !status_debt_args(fcinfo, &row) || !status_of_debt(&row, &now))
		PG_RETURN_NULL();
	return access_value(access_for(now.stage, role_of_value(PG_GETARG_DATUM(ARG_ROLE)),
								   is_deleted(PG_GETARG_DATUM(ARG_STATE)), is_ended(&row, arg_date(fcinfo, ARG_ENDS_ON))));
}

static SavedPlan stage_then_plan = {
	.sql = "SELECT kb_stage_at($1, $2, e.posted_at)::text FROM entry e"
	" WHERE e.account_id = $1 AND e.seq = $3",
	.arg_types = {"bigint", "bigint", "bigint"}
};

char *
status_stage_then(const LockedAccount *account, int64 seq, int64 at_seq)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(seq), Int64GetDatum(at_seq)};

	if (plan_execute(&stage_then_plan, values, NULL, false) == 0)
		elog(ERROR, "entry %lld is gone", (long long) at_seq);
	return plan_cstring(1);
}
