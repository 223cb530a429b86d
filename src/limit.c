/*
 * limit.c
 *		What accounts may still use, looked at before and after usage is recorded (L1 to L3).
 *
 * Only accounts that have a limit are locked.  So what they have used stays as it is between the two looks, but for what is
 * recorded, whoever else records for them; and it is by the difference that usage is judged: what adds nothing to what an
 * account owes is never refused for its credit line, and a month's limit is about the months that are not charged yet.
 */
#include "postgres.h"

#include "account.h"
#include "access/xact.h"
#include "args.h"
#include "calendar.h"
#include "catalog/pg_type.h"
#include "credit.h"
#include "currency.h"
#include "decimal.h"
#include "fmgr.h"
#include "limit.h"
#include "miscadmin.h"
#include "money.h"
#include "plan.h"
#include "rowread.h"
#include "shard.h"
#include "table.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/snapmgr.h"

/* What an account has used of one limit: a row of kb_spent. */
typedef struct Spent
{
	int64		account_id;
	char	   *service;		/* NULL: the credit line, in minor units */
	DateADT		period;
	bool		hard;
	Numeric		most;
	Numeric		used;
} Spent;

/* Where limits are; without rows in any of them, there is nothing to look up. */
static Table limit_tables[] = {
	{.name = "credit_line", .columns = {"tariff"}, .nkeys = 1},
	{.name = "account_credit_line", .columns = {"account_id"}, .nkeys = 1},
	{.name = "usage_limit", .columns = {"tariff", "service"}, .nkeys = 2},
	{.name = "account_usage_limit", .columns = {"account_id", "service"}, .nkeys = 2}
};

bool
limits_exist(void)
{
	for (size_t i = 0; i < lengthof(limit_tables); i++)
		if (!table_is_empty(&limit_tables[i]))
			return true;
	return false;
}

/* Those of some accounts that have a limit, or may have one by a tariff that they have had */
#define LOCK_LIMITED(which) \
	"SELECT a.account_id FROM account a" \
	" WHERE a.account_id " which \
	"   AND (EXISTS (SELECT FROM account_credit_line l WHERE l.account_id = a.account_id)" \
	"     OR EXISTS (SELECT FROM account_usage_limit l WHERE l.account_id = a.account_id)" \
	"     OR EXISTS (SELECT FROM account_tariff x WHERE x.account_id = a.account_id" \
	"                   AND (EXISTS (SELECT FROM credit_line l WHERE l.tariff = x.tariff)" \
	"                     OR EXISTS (SELECT FROM usage_limit l WHERE l.tariff = x.tariff))))" \
	" ORDER BY a.account_id FOR NO KEY UPDATE"

static SavedPlan lock_plan = {
	.sql = LOCK_LIMITED("= ANY ($1)"),
	.arg_types = {"bigint[]"},
	.is_generic = true
};

static SavedPlan lock_many_plan = {.sql = LOCK_LIMITED("IN (SELECT e.account_id FROM event_set e)")};

/* The numbers as an array */
static Datum
number_array(Datum *numbers, int n)
{
	return PointerGetDatum(construct_array(numbers, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* The same question of one account: to start a statement costs more than to record an event */
static ReadTable own_line = {.name = "account_credit_line", .columns = {"account_id"}, .nkeys = 1};
static ReadTable own_limit = {.name = "account_usage_limit", .columns = {"account_id"}, .nkeys = 1};
static ReadTable tariff_of = {.name = "account", .columns = {"account_id", "tariff"}, .nkeys = 1};
static ReadTable former_tariff_of = {.name = "tariff_history", .columns = {"account_id", "tariff"}, .nkeys = 1};
static ReadTable line_of = {.name = "credit_line", .columns = {"tariff"}, .nkeys = 1};
static ReadTable limit_of = {.name = "usage_limit", .columns = {"tariff"}, .nkeys = 1};

/* Whether the tariff in a row of an account or of its history has a limit */
static bool
is_limited(const ReadRow *row, const void *arg)
{
	ReadRow		found;

	return row_read(&line_of, &row->values[1], &found) || row_read(&limit_of, &row->values[1], &found);
}

/* Whether lock_plan would lock an account */
static bool
may_have_limit(Datum account_id)
{
	ReadRow		row;

	return row_read(&own_line, &account_id, &row) || row_read(&own_limit, &account_id, &row) ||
		row_read_first(&tariff_of, &account_id, &row, is_limited, NULL) ||
		row_read_first(&former_tariff_of, &account_id, &row, is_limited, NULL);
}

/* Leave those that may have a limit; how many */
static int
keep_limited(Datum *account_ids, int n)
{
	int			kept = 0;

	row_look_anew();
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (may_have_limit(account_ids[i]))
			account_ids[kept++] = account_ids[i];
	}
	PopActiveSnapshot();
	return kept;
}

uint64
limits_lock_accounts(Datum *account_ids, int n)
{
	int			kept = keep_limited(account_ids, n);
	Datum		array;

	if (kept == 0)
		return 0;
	array = number_array(account_ids, kept);
	return plan_execute(&lock_plan, &array, NULL, false);
}

/* Add the numbers of the last result to an array */
static ArrayBuildState *
add_locked(ArrayBuildState *locked, uint64 n)
{
	bool		isnull;

	for (uint64 i = 0; i < n; i++)
		locked = accumArrayResult(locked, plan_row_column(i, 1, &isnull), false, INT8OID, CurrentMemoryContext);
	return locked;
}

/* Lock those of a set with many accounts */
static ArrayBuildState *
lock_many(ArrayBuildState *locked, EventSet *set)
{
	if (set == NULL || set->n == 0)
		return locked;
	events_register(set, "event_set");
	return add_locked(locked, plan_execute(&lock_many_plan, NULL, NULL, false));
}

/* Lock the accounts of the sets that have a limit */
static ArrayBuildState *
lock_limited(EventSet *set, EventSet *other)
{
	Datum		ids[2 * EVENTS_MAX_ACCOUNTS];
	int			n = 0;

	if (set->accounts > EVENTS_MAX_ACCOUNTS || (other != NULL && other->accounts > EVENTS_MAX_ACCOUNTS))
		return lock_many(lock_many(NULL, set), other);
	for (int i = 0; i < set->accounts; i++)
		ids[n++] = Int64GetDatum(set->account_ids[i]);
	for (int i = 0; other != NULL && i < other->accounts; i++)
		ids[n++] = Int64GetDatum(other->account_ids[i]);
	return add_locked(NULL, limits_lock_accounts(ids, n));
}

static SavedPlan spent_plan = {
	.sql = "SELECT s.account_id, s.service, s.period, s.hard, s.most, s.used FROM kb_spent($1, $2) s"
	" ORDER BY s.account_id, s.service NULLS FIRST, s.period",
	.arg_types = {"bigint[]", "timestamptz"},
	.is_generic = true
};

/* Its columns */
enum
{
	SPENT_ACCOUNT_ID = 1, SPENT_SERVICE, SPENT_PERIOD, SPENT_HARD, SPENT_MOST, SPENT_USED
};

/* One row */
static Spent
read_spent(uint64 row)
{
	Spent		spent = {0};
	bool		isnull;
	Datum		service = plan_row_column(row, SPENT_SERVICE, &isnull);

	if (!isnull)
	{
		spent.service = TextDatumGetCString(service);
		spent.period = DatumGetDateADT(plan_row_column(row, SPENT_PERIOD, &isnull));
	}
	spent.account_id = DatumGetInt64(plan_row_column(row, SPENT_ACCOUNT_ID, &isnull));
	spent.hard = DatumGetBool(plan_row_column(row, SPENT_HARD, &isnull));
	spent.most = DatumGetNumeric(plan_row_column(row, SPENT_MOST, &isnull));
	spent.used = DatumGetNumeric(plan_row_column(row, SPENT_USED, &isnull));
	return spent;
}

/* What the accounts have used by now; how many rows */
static int
read_all_spent(const Limits *limits, Spent **spent)
{
	Datum		values[] = {limits->account_ids, TimestampTzGetDatum(limits->now)};
	int			n = (int) plan_execute(&spent_plan, values, NULL, false);

	*spent = palloc(n * sizeof(Spent) + 1);
	for (int i = 0; i < n; i++)
		(*spent)[i] = read_spent(i);
	return n;
}

/* The usage of accounts that is not billed, and what they hold */
static SavedPlan usage_plan = {
	.sql = "SELECT concat_ws(' ', (SELECT sum(hashtext(t::text)) FROM usage_total t WHERE NOT t.settled AND t.account_id = ANY ($1)),"
	"                      (SELECT sum(hashtext(h::text)) FROM usage_hold h WHERE h.account_id = ANY ($1)))",
	.arg_types = {"bigint[]"},
	.is_generic = true
};

/* Look at what the accounts have used; 40001 if the snapshot does not see it */
static void
look_before(Limits *limits)
{
	if (IsolationUsesXactSnapshot())
		plan_require_current(&usage_plan, &limits->account_ids, NULL);
	/* what is recorded now must not count as used before it expired (G3) */
	if (credit_is_due(DatumGetArrayTypeP(limits->account_ids), limits->now))
		(void) credit_expire(DatumGetArrayTypeP(limits->account_ids), limits->now, false);
	limits->nspent = read_all_spent(limits, &limits->spent);
}

void
limits_lock(Limits *limits, EventSet *set, EventSet *other)
{
	ArrayBuildState *locked = NULL;

	if (limits_exist())
		locked = lock_limited(set, other);
	limits->exist = locked != NULL;
	if (!limits->exist)
		return;
	limits->now = set->now;
	limits->is_told = set->source == NULL || strcmp(set->source, SOURCE_BATCH) == 0;
	limits->account_ids = makeArrayResult(locked, CurrentMemoryContext);
}

void
limits_look(Limits *limits)
{
	if (limits->exist)
		look_before(limits);
}

void
limits_look_at(Limits *limits, int64 account_id, TimestampTz now)
{
	Datum		id = Int64GetDatum(account_id);

	limits->exist = true;
	limits->now = now;
	limits->is_told = true;
	limits->account_ids = number_array(&id, 1);
	look_before(limits);
}

/* Whether both are of the same limit */
static bool
is_same_limit(const Spent *a, const Spent *b)
{
	if (a->account_id != b->account_id || a->period != b->period || (a->service == NULL) != (b->service == NULL))
		return false;
	return a->service == NULL || strcmp(a->service, b->service) == 0;
}

/* How much of a limit had been used before; a credit line that was not there then is not judged by */
static Numeric
used_before(const Limits *limits, const Spent *after)
{
	for (int i = 0; i < limits->nspent; i++)
		if (is_same_limit(&limits->spent[i], after))
			return limits->spent[i].used;
	return after->service == NULL ? after->used : int64_to_numeric(0);
}

static SavedPlan currency_plan = {
	.sql = "SELECT a.currency FROM account a WHERE a.account_id = $1",
	.arg_types = {"bigint"},
	.is_generic = true
};

/* An amount of the account's currency, of which the number is the minor units */
static char *
minor_to_cstring(int64 account_id, Numeric minor)
{
	Datum		id = Int64GetDatum(account_id);
	uint16		currency;

	plan_execute(&currency_plan, &id, NULL, false);
	currency = currency_from_text(DatumGetTextPP(plan_required(1)));
	return money_to_cstring(money_make(currency, DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(minor)))));
}

/* L2: refuse what the credit line does not cover */
static void
refuse_spending(const Limits *limits, const Spent *after, Numeric before)
{
	Numeric		left = numeric_call(numeric_sub, after->most, before);
	Numeric		cost = numeric_call(numeric_sub, after->used, before);
	Numeric		missing = numeric_call(numeric_sub, after->used, after->most);

	ereport(ERROR,
			(errcode(ERRCODE_KB_LIMIT_REACHED),
			 errmsg("account %lld has too little left for this usage", (long long) after->account_id),
			 limits->is_told ? errdetail("Left to spend: %s; this usage costs %s.", minor_to_cstring(after->account_id, left),
										 minor_to_cstring(after->account_id, cost)) : 0,
			 limits->is_told ? errhint("Top up at least %s, or set another credit line with kb_set_account_credit_line (L2).",
									   minor_to_cstring(after->account_id, missing)) :
			 errhint("Top up, or set another credit line with kb_set_account_credit_line (L2).")));
}

static char *
numeric_to_cstring(Numeric n)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(n)));
}

/* L3: refuse what goes beyond a hard limit */
static void
refuse_units(const Limits *limits, const Spent *after, Numeric before)
{
	ereport(ERROR,
			(errcode(ERRCODE_KB_LIMIT_REACHED),
			 errmsg("account %lld has reached its limit of service \"%s\"", (long long) after->account_id, after->service),
			 limits->is_told ? errdetail("The limit for the month of %s is %s; %s were used, and %s more were to be.",
										 date_to_cstring(after->period), numeric_to_cstring(after->most),
										 numeric_to_cstring(before),
										 numeric_to_cstring(numeric_call(numeric_sub, after->used, before))) : 0,
			 errhint("Wait for the next month, or set another limit with kb_set_account_limit (L3).")));
}

/* L3: a notice, once a month */
static SavedPlan notice_plan = {
	.sql = "WITH told AS ("
	"  UPDATE account a SET last_notice_no = a.last_notice_no + 1"
	"   WHERE a.account_id = $1"
	"     AND NOT EXISTS (SELECT FROM notice n WHERE n.account_id = $1 AND n.kind = 'limit_reached' AND n.occasion = $6)"
	"  RETURNING a.last_notice_no"
	"), written AS ("
	"  INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, facts)"
	"  SELECT $1, t.last_notice_no, $5, $5, 'limit_reached', $6,"
	"         jsonb_build_object('service', $2, 'month', to_char($3, 'YYYY-MM'), 'limit', $4)"
	"    FROM told t"
	"  RETURNING notice_no"
	")"
	"SELECT kb_wake(count(*)) FROM written",
	.arg_types = {"bigint", "text", "date", "numeric", "timestamptz", "text"},
	.is_generic = true
};

/* Tell the account's payers that a limit is passed */
static void
tell_units(const Limits *limits, const Spent *after)
{
	Datum		values[] = {
		Int64GetDatum(after->account_id), CStringGetTextDatum(after->service), DateADTGetDatum(after->period),
		NumericGetDatum(after->most), TimestampTzGetDatum(limits->now),
		CStringGetTextDatum(psprintf("%s %s", date_to_cstring(after->period), after->service))
	};

	plan_execute(&notice_plan, values, NULL, false);
}

/* Look at one limit after the events were recorded */
static void
check_one(const Limits *limits, const Spent *after)
{
	Numeric		before;

	if (numeric_order(after->used, after->most) <= 0)
		return;
	before = used_before(limits, after);
	if (numeric_order(after->used, before) <= 0)
		return;
	if (!after->hard)
		tell_units(limits, after);
	else if (after->service == NULL)
		refuse_spending(limits, after, before);
	else
		refuse_units(limits, after, before);
}

void
limits_check(const Limits *limits)
{
	Spent	   *spent;
	int			n;

	if (!limits->exist)
		return;
	n = read_all_spent(limits, &spent);
	for (int i = 0; i < n; i++)
		check_one(limits, &spent[i]);
}

/* What is left to spend; whether there is a credit line; and what a purchase may take where there is none */
static SavedPlan available_plan = {
	.sql = "SELECT a.balance - k.expired - greatest(coalesce(u.total, z.zero), k.kept) + coalesce(l.amount, z.zero),"
	"       l.amount IS NOT NULL, a.balance - k.expired - k.kept"
	"  FROM account a"
	" CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today, a.balance - a.balance AS zero OFFSET 0) z"
	" CROSS JOIN LATERAL kb_credit_line_of(a.account_id, a.tariff, a.tariff_from, z.today) l"
	" CROSS JOIN LATERAL kb_owed_before(a.account_id, a.lots, a.expired_through, a.charged_through, z.today, kb_now()) b"
	" CROSS JOIN LATERAL (SELECT coalesce(- sum(o.amount), z.zero) AS amount"
	"                       FROM unnest(kb_expired_lots(a.lots, a.unspent_bonus, a.expired_through, a.charged_through, z.today,"
	"                                                   b.days, b.owed)) o) g"
	" CROSS JOIN LATERAL (SELECT g.amount AS expired, kb_kept(a.lots, z.today, z.zero) - g.amount AS kept OFFSET 0) k"
	"  LEFT JOIN LATERAL kb_uncharged(a.account_id, kb_now()) u ON true"
	" WHERE a.account_id = $1",
	.arg_types = {"bigint"},
	.is_generic = true
};

void
limits_require_covered(int64 account_id, Money amount)
{
	Datum		id = Int64GetDatum(account_id);
	Datum		ids = number_array(&id, 1);
	Money		left;
	Money		missing;

	if (IsolationUsesXactSnapshot())
		plan_require_current(&usage_plan, &ids, NULL);
	plan_execute(&available_plan, &id, NULL, false);
	left = plan_money(plan_bool(2) ? 1 : 3);
	missing = money_sub(amount, left);
	if (money_minor(missing) <= 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_KB_LIMIT_REACHED),
			 errmsg("account %lld has too little left for this purchase", (long long) account_id),
			 errdetail("Left to spend: %s; it costs %s.", money_to_cstring(left), money_to_cstring(amount)),
			 errhint("Top up at least %s (L5).", money_to_cstring(missing))));
}

/* kb_available(account_id) */
PG_FUNCTION_INFO_V1(kb_available);
Datum
kb_available(PG_FUNCTION_ARGS)
{
	Datum		account_id = PG_GETARG_DATUM(0);
	Money		available;

	arg_required(fcinfo, 0, "account_id");
	shard_require_readable(PG_GETARG_INT64(0));
	plan_connect();
	if (plan_execute(&available_plan, &account_id, NULL, true) == 0)
		ereport(ERROR, NO_SUCH_ACCOUNT(PG_GETARG_INT64(0)));
	available = plan_money(1);
	SPI_finish();
	PG_RETURN_MONEY(available);
}
