/*
 * standing.c
 *		Where an account stands at a moment: now, the answer that an app asks for at
 *		each request, in the past and ahead (S6).
 */
#include "postgres.h"

#include "account.h"
#include "args.h"
#include "clock.h"
#include "fmgr.h"
#include "plan.h"
#include "posting.h"
#include "row.h"
#include "shard.h"
#include "standing.h"
#include "utils/fmgrprotos.h"

/* Columns of the three plans of a standing; the first ones are those of kb_access_decision */
enum
{
	STANDING_STAGE, STANDING_ACCESS, STANDING_AMOUNT_DUE, STANDING_NEXT_STAGE, STANDING_NEXT_STAGE_ON, STANDING_DELETE_ON,
	DECISION_COLUMNS, STANDING_BALANCE = DECISION_COLUMNS, NOW_MAY_DIFFER
};

/* The columns that all three have */
#define SELECT_STANDING(is_deleted) \
	"SELECT s.stage, kb_access_for(s.stage, $2, " is_deleted ", s.is_ended), kb_amount_due(s.balance)," \
	"       s.next_stage, s.next_stage_on, s.delete_on, s.balance"

/* $1 the account, $2 the role, or NULL */
static SavedPlan now_plan = {
	.sql = SELECT_STANDING("s.state IN ('deleted', 'purged')") ", s.may_differ"
	"  FROM account_standing s WHERE s.account_id = $1",
	.arg_types = {"bigint", "kb_role"}
};

/* $3 the moment */
static SavedPlan then_plan = {
	.sql = SELECT_STANDING("s.is_deleted")
	"  FROM kb_standing_then($1, $3) s",
	.arg_types = {"bigint", "kb_role", "timestamptz"},
	.is_generic = true
};

static SavedPlan ahead_plan = {
	.sql = SELECT_STANDING("s.is_deleted")
	"  FROM account a CROSS JOIN LATERAL kb_standing_ahead(a.account_id, kb_account_date($3, a.time_zone)) s"
	" WHERE a.account_id = $1",
	.arg_types = {"bigint", "kb_role", "timestamptz"},
	.is_generic = true
};

/*
 * What comes next, where the row and the policy of today do not tell.  Usage that is late makes it worth to look at the
 * charges.  Names and operators are written out, as what runs this pins no path; so in the next one.
 */
static SavedPlan next_plan = {
	.sql = "WITH now AS MATERIALIZED ("
	"  SELECT s.account_id, s.debt_since, s.deferred_until, s.today, s.stage, EXISTS ("
	"             SELECT FROM kbilling.usage_total t"
	"              WHERE t.account_id OPERATOR(pg_catalog.=) a.account_id AND NOT t.settled"
	"                AND t.period OPERATOR(pg_catalog.<=) a.charged_through) AS has_late_usage"
	"    FROM kbilling_internal.account_now s JOIN kbilling.account a ON a.account_id OPERATOR(pg_catalog.=) s.account_id"
	"   WHERE s.account_id OPERATOR(pg_catalog.=) $1"
	")"
	"SELECT f.next_stage, f.next_stage_on"
	"  FROM now n CROSS JOIN LATERAL kbilling_internal.kb_standing_ahead(n.account_id, n.today, n.stage) f"
	" WHERE n.has_late_usage"
	" UNION ALL "
	"SELECT p.next_stage, p.next_on"
	"  FROM now n"
	" CROSS JOIN LATERAL kbilling_internal.kb_planned_stage(n.account_id, n.debt_since, n.deferred_until, n.today, n.stage) p"
	" WHERE NOT n.has_late_usage",
	.arg_types = {"bigint"},
	.is_generic = true
};

/* Refuses to bill more months and services than can be told soon */
static SavedPlan limit_plan = {
	.sql = "SELECT kb_require_forecast($1, $2)",
	.arg_types = {"bigint", "integer"},
	.is_generic = true
};

/* Whether a charge that is to come may be a credit */
static SavedPlan credit_plan = {
	.sql = "SELECT FROM kbilling_internal.account_with_credit c WHERE c.account_id OPERATOR(pg_catalog.=) $1",
	.arg_types = {"bigint"},
	.is_generic = true
};

/* A standing; every column is passed by value, so it outlives the connection to SPI */
typedef struct Standing
{
	Datum		values[NOW_MAY_DIFFER + 1];
	bool		nulls[NOW_MAY_DIFFER + 1];
} Standing;

/* Read the stage that comes next; the caller is connected to SPI */
static void
read_next_stage(int64 account_id, Datum values[2], bool nulls[2])
{
	Datum		value = Int64GetDatum(account_id);

	nulls[0] = nulls[1] = true;
	if (plan_execute(&next_plan, &value, NULL, true) == 0)
		return;
	for (int i = 0; i < 2; i++)
		values[i] = plan_column(i + 1, &nulls[i]);
}

/* Refuse a moment that is too far ahead for the account; the caller is connected to SPI */
static void
check_work(int64 account_id, TimestampTz at)
{
	int32		months = (at - kb_current_time()) / (28 * USECS_PER_DAY) + 1;
	Datum		values[] = {Int64GetDatum(account_id), Int32GetDatum(months)};

	plan_execute(&limit_plan, values, NULL, true);
}

/* Read a standing by one of the three plans; role NULL if nobody asks what to do */
static void
read_standing(SavedPlan *plan, int64 account_id, const Datum *role, TimestampTz at, Standing *standing)
{
	Datum		values[] = {Int64GetDatum(account_id), role ? *role : (Datum) 0, TimestampTzGetDatum(at)};
	int			ncolumns = plan == &now_plan ? NOW_MAY_DIFFER + 1 : NOW_MAY_DIFFER;

	plan_connect();
	if (plan == &ahead_plan)
		check_work(account_id, at);
	if (plan_execute(plan, values, role ? "   " : " n ", true) == 0)
		ereport(ERROR, NO_SUCH_ACCOUNT(account_id));
	for (int i = 0; i < ncolumns; i++)
		standing->values[i] = plan_column(i + 1, &standing->nulls[i]);
	if (plan == &now_plan && role != NULL && DatumGetBool(standing->values[NOW_MAY_DIFFER]))
		read_next_stage(account_id, &standing->values[STANDING_NEXT_STAGE], &standing->nulls[STANDING_NEXT_STAGE]);
	SPI_finish();
}

/* Refuse a moment that cannot be told */
static void
check_moment(TimestampTz at, TimestampTz now)
{
	Interval	most = {.month = 100 * MONTHS_PER_YEAR};
	Datum		last = DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), IntervalPGetDatum(&most));

	if (TIMESTAMP_NOT_FINITE(at) || at > DatumGetTimestampTz(last))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("at must be finite, and at most 100 years ahead")));
}

/* The standing at the moment that the n-th argument gives */
static void
read_standing_at(FunctionCallInfo fcinfo, int n, const Datum *role, Standing *standing)
{
	TimestampTz now = kb_current_time();
	TimestampTz at;

	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, n, "at");
	shard_require_readable(PG_GETARG_INT64(0));
	at = PG_GETARG_TIMESTAMPTZ(n);
	check_moment(at, now);
	read_standing(at < now ? &then_plan : at == now ? &now_plan : &ahead_plan, PG_GETARG_INT64(0), role, at, standing);
}

/* A standing as a kb_access_decision */
static Datum
standing_decision(FunctionCallInfo fcinfo, const Standing *standing)
{
	Row			row;

	row_begin(&row, fcinfo);
	memcpy(row.values, standing->values, DECISION_COLUMNS * sizeof(Datum));
	memcpy(row.nulls, standing->nulls, DECISION_COLUMNS * sizeof(bool));
	return row_end(&row);
}

/* Whether a charge that is to come may be a credit, which ends the debt */
static bool
may_have_credit(int64 account_id)
{
	Datum		value = Int64GetDatum(account_id);
	bool		found;

	plan_connect();
	found = plan_execute(&credit_plan, &value, NULL, true) > 0;
	SPI_finish();
	return found;
}

/* The same as may_differ of account_standing, given the day on which the next stage begins */
static bool
may_differ(const DebtRow *row, const DebtNow *now, DateADT charge_due_on, OptionalDate next)
{
	bool		is_charged_first = !next.exists || next.date >= charge_due_on;

	return row->tariff_from > now->today || (is_charged_first && may_have_credit(row->account_id));
}

/* What comes next for a debt */
static void
find_next_stage(const DebtRow *row, const DebtNow *now, DateADT charge_due_on, Datum values[2], bool nulls[2])
{
	OptionalDate next = stage_next_change(row->debt_since, row->deferred_until, now->today, &now->days);

	if (may_differ(row, now, charge_due_on, next))
	{
		plan_connect();
		read_next_stage(row->account_id, values, nulls);
		SPI_finish();
	}
	else if (next.exists)
	{
		values[0] = stage_value(stage_with_deferral(row->debt_since, row->deferred_until, next.date, &now->days));
		values[1] = DateADTGetDatum(next.date);
		nulls[0] = nulls[1] = false;
	}
}

/* What is due of a balance */
static Datum
amount_due(Money balance)
{
	Money		zero = money_make(money_currency(balance), 0);

	return MoneyGetDatum(money_minor(balance) < 0 ? money_neg(balance) : zero);
}

Datum
standing_decide(FunctionCallInfo fcinfo, const AccountStatus *account, Role role)
{
	Row			row;

	row_begin(&row, fcinfo);
	row_set(&row, STANDING_STAGE, stage_value(account->now.stage));
	row_set(&row, STANDING_ACCESS, access_value(access_for(account->now.stage, role, account->is_deleted,
																	   account->is_ended)));
	row_set(&row, STANDING_AMOUNT_DUE, amount_due(account->balance));
	if (account->row.debt_since.exists)
		find_next_stage(&account->row, &account->now, posting_charge_due_on(account->charged_through, account->ends_on),
						&row.values[STANDING_NEXT_STAGE], &row.nulls[STANDING_NEXT_STAGE]);
	if (account->delete_on.exists)
		row_set(&row, STANDING_DELETE_ON, DateADTGetDatum(account->delete_on.date));
	return row_end(&row);
}

/* kb_access(account_id, role) */
PG_FUNCTION_INFO_V1(kb_access);
Datum
kb_access(PG_FUNCTION_ARGS)
{
	AccountStatus account;

	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "role");
	status_require(PG_GETARG_INT64(0), &account);
	return standing_decide(fcinfo, &account, role_of_value(PG_GETARG_DATUM(1)));
}

/* kb_next_now(account_id, debt_since, deferred_until, tariff_from, tariff, time_zone, charged_through, ends_on) */
PG_FUNCTION_INFO_V1(kb_next_now);
Datum
kb_next_now(PG_FUNCTION_ARGS)
{
	Row			next;
	DebtRow		row;
	DebtNow		now;

	if (!status_debt_args(fcinfo, &row) || PG_ARGISNULL(6) || !row.debt_since.exists || !status_of_debt(&row, &now))
		PG_RETURN_NULL();
	row_begin(&next, fcinfo);
	find_next_stage(&row, &now, posting_charge_due_on(PG_GETARG_DATEADT(6), arg_date(fcinfo, 7)), next.values, next.nulls);
	return row_end(&next);
}

/* kb_access(account_id, role, at) */
PG_FUNCTION_INFO_V1(kb_access_at);
Datum
kb_access_at(PG_FUNCTION_ARGS)
{
	Standing	standing;
	Datum		role;

	arg_required(fcinfo, 1, "role");
	role = PG_GETARG_DATUM(1);
	read_standing_at(fcinfo, 2, &role, &standing);
	return standing_decision(fcinfo, &standing);
}

/* kb_access_stage(account_id, at) */
PG_FUNCTION_INFO_V1(kb_access_stage_at);
Datum
kb_access_stage_at(PG_FUNCTION_ARGS)
{
	Standing	standing;

	read_standing_at(fcinfo, 1, NULL, &standing);
	return standing.values[STANDING_STAGE];
}

/* kb_balance(account_id, at) */
PG_FUNCTION_INFO_V1(kb_balance_at);
Datum
kb_balance_at(PG_FUNCTION_ARGS)
{
	Standing	standing;

	read_standing_at(fcinfo, 1, NULL, &standing);
	return standing.values[STANDING_BALANCE];
}

/* kb_next_stage(account_id) */
PG_FUNCTION_INFO_V1(kb_next_stage);
Datum
kb_next_stage(PG_FUNCTION_ARGS)
{
	Row			row;

	arg_required(fcinfo, 0, "account_id");
	row_begin(&row, fcinfo);
	plan_connect();
	read_next_stage(PG_GETARG_INT64(0), row.values, row.nulls);
	SPI_finish();
	return row_end(&row);
}
