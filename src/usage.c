/*
 * usage.c
 *		Usage events and their totals: one statement records any number of them.
 */
#include "postgres.h"

#include "calendar.h"
#include "clock.h"
#include "compat.h"
#include "ownlock.h"
#include "plan.h"
#include "shard.h"
#include "usage.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"

/* U5: more sessions than this that count for one account at once may wait for each other */
#define NUM_SLOTS		8

/* A transaction that has locked so many accounts locks all that come after them together */
#define MANY_ACCOUNTS	32

/* The events of a set, each with its account, its service, and the tariff and price of its day, or NULL for what there is not */
#define EVENTS(set, refuse) \
	"    FROM " set " e" \
	"    LEFT JOIN account a ON a.account_id = e.account_id" \
	"    LEFT JOIN service s ON s.service = e.service" \
	"   CROSS JOIN LATERAL (SELECT CASE s.aggregation WHEN 'unique'" \
	"             THEN coalesce(e.value, kb_usage_value(s.unit, e.properties)) END AS value) v" \
	"   CROSS JOIN LATERAL (SELECT kb_usage_day($1, e.n, e.account_id, e.service, e.key, e.quantity, e.at, $2," \
	"             a.created_at, a.time_zone, a.state IN ('deleted', 'purged'), a.ends_on, s.kind::text," \
	"             s.aggregation = 'unique' AND v.value IS NULL, " refuse ") AS day OFFSET 0) d" \
	"   CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, d.day) x" \
	"    LEFT JOIN price_list p ON p.tariff = x.tariff AND p.service = e.service AND p.from_date <= d.day AND p.to_date > d.day"

/* C3: the price of an event; a correction goes with what it corrects */
#define EVENT_PRICE_OF_DAY \
	"CASE WHEN e.revision % 2 = 1 THEN e.price_id" \
	"     WHEN e.quantity >= 0 AND e.events >= 0 THEN coalesce(p.price_id, e.price_id)" \
	"     ELSE kb_take_back_price(e.account_id, kb_month_first_day(d.day), e.service, p.price_id, e.quantity, v.value) END"

/*
 * Every event is written under the price of its day, unless its key is known,
 * and what was written moves the total of its month and price.  What may not be
 * recorded is passed over, as its key may be known; the check of a total raises.
 * $5 says which events: those that take back, or those that do not; NULL: all.
 */
static SavedPlan record_plan[] = PLAN_PAIR(
	.sql = "WITH event AS ("
	"  SELECT e.account_id, e.service, e.key, e.revision, e.at, e.quantity, e.events, e.metered_table, e.properties, v.value, e.n,"
	"         s.aggregation IN ('max', 'last') AS is_level, kb_month_first_day(d.day) AS period, " EVENT_PRICE_OF_DAY " AS price_id"
	EVENTS("event_set", "false")
	"), written AS ("
	"  INSERT INTO usage_event AS x (account_id, at, recorded_at, period, revision, price_id, is_level, events, service, key, quantity,"
	"                                value, metered_table, properties)"
	"  SELECT account_id, at, $4 + n * interval '1 microsecond', period, revision, price_id, is_level, events, service,"
	"         coalesce(key, 'kb:' || gen_random_uuid()), quantity, value, metered_table, properties"
	"    FROM event"
	"   WHERE period IS NOT NULL AND price_id IS NOT NULL"
	"     AND ($5 IS NULL OR $5 = (revision % 2 = 0 AND (quantity < 0 OR events < 0)))"
	"   ORDER BY account_id, service, key, n"
	"  ON CONFLICT (account_id, service, key, revision) DO NOTHING"
	"  RETURNING x.account_id, x.period, x.service, x.price_id, x.at, x.recorded_at, x.events, x.quantity, x.value"
	"), counted AS ("
	"  INSERT INTO usage_value AS v (account_id, period, service, price_id, value, events, change)"
	"  SELECT w.account_id, w.period, w.service, w.price_id, w.value, sum(w.events)::bigint, (sum(w.events) > 0)::integer"
	"    FROM written w WHERE w.value IS NOT NULL"
	"   GROUP BY w.account_id, w.period, w.service, w.price_id, w.value"
	"   ORDER BY w.account_id, w.period, w.service, w.price_id, w.value"
	"  ON CONFLICT (account_id, period, service, price_id, value) DO UPDATE"
	"     SET events = v.events + excluded.events,"
	"         change = (v.events + excluded.events > 0)::integer - (v.events > 0)::integer"
	"  RETURNING v.account_id, v.period, v.service, v.price_id, v.change"
	"), total AS ("
	"  INSERT INTO usage_total AS t (account_id, period, service, price_id, slot, aggregation, quantity, events, last_at,"
	"                                last_recorded_at, counted_at)"
	"  SELECT g.account_id, g.period, g.service, g.price_id, $3, g.aggregation,"
	"         CASE g.aggregation WHEN 'sum' THEN g.quantity WHEN 'count' THEN g.events WHEN 'max' THEN g.highest"
	"             WHEN 'unique' THEN c.change ELSE g.latest[3] END,"
	"         g.events, to_timestamp(g.latest[1]::double precision), to_timestamp(g.latest[2]::double precision), $2"
	"    FROM (SELECT w.account_id, w.period, w.service, w.price_id, s.aggregation, sum(w.quantity) AS quantity,"
	"                 sum(w.events)::bigint AS events,"
	"                 max(w.quantity) FILTER (WHERE s.aggregation = 'max' AND w.events > 0) AS highest,"
	"                 max(ARRAY[extract(epoch FROM w.at), extract(epoch FROM w.recorded_at), w.quantity])"
	"                     FILTER (WHERE s.aggregation = 'last' AND w.events > 0) AS latest"
	"            FROM written w JOIN service s ON s.service = w.service"
	"           GROUP BY w.account_id, w.period, w.service, w.price_id, s.aggregation) g"
	"    LEFT JOIN (SELECT account_id, period, service, price_id, sum(change) AS change"
	"                 FROM counted GROUP BY account_id, period, service, price_id) c"
	"           ON c.account_id = g.account_id AND c.period = g.period AND c.service = g.service AND c.price_id = g.price_id"
	"   ORDER BY g.account_id, g.period, g.service, g.price_id"
	"  ON CONFLICT (account_id, period, service, price_id, slot) DO UPDATE"
	"     SET (quantity, last_at, last_recorded_at) = ("
	"             SELECT CASE t.aggregation WHEN 'max' THEN greatest(t.quantity, excluded.quantity)"
	"                        WHEN 'last' THEN CASE WHEN o.is_older THEN t.quantity ELSE excluded.quantity END"
	"                        ELSE t.quantity + excluded.quantity END,"
	"                    CASE WHEN o.is_older THEN t.last_at ELSE excluded.last_at END,"
	"                    CASE WHEN o.is_older THEN t.last_recorded_at ELSE excluded.last_recorded_at END"
	"               FROM (SELECT excluded.quantity IS NULL OR coalesce((excluded.last_at, excluded.last_recorded_at)"
	"                         < (t.last_at, t.last_recorded_at), false) AS is_older) o),"
	"         events = t.events + excluded.events, settled = false, counted_at = greatest(t.counted_at, excluded.counted_at)"
	"  RETURNING t.account_id, t.service, t.price_id, t.quantity, t.events"
	")"
	"SELECT (SELECT count(*) FROM written),"
	"       bool_and(kb_usage_is_priced(t.account_id, t.service, a.currency, p.price, t.quantity, t.events))"
	"  FROM total t"
	"  JOIN account a ON a.account_id = t.account_id"
	"  JOIN price p ON p.price_id = t.price_id",
	.arg_types = {"text", "timestamptz", "smallint", "timestamptz", "boolean"}
);

/* U1, U4: the first event that was passed over and whose key is not known raises */
static SavedPlan refuse_plan[] = PLAN_PAIR(
	.sql = "SELECT CASE WHEN w.price_id IS NULL THEN kb_refuse_unpriced(w.account_id, w.service, w.tariff, w.day) END"
	"  FROM (SELECT e.account_id, e.service, x.tariff, d.day, " EVENT_PRICE_OF_DAY " AS price_id"
	EVENTS("(SELECT u.* FROM event_set u"
	"          WHERE NOT EXISTS (SELECT FROM usage_event k WHERE k.account_id = u.account_id AND k.service = u.service"
	"                               AND k.key = u.key AND k.revision >= u.revision)"
	"          ORDER BY u.n OFFSET 0)", "true")
	"         ORDER BY e.n OFFSET 0) w",
	.arg_types = {"text", "timestamptz"}
);

/*
 * Recording usage and changing the terms of its days exclude each other: these
 * are the locks (see ownlock.h).  Who records shares that of the account and, weakly, that of all accounts; where the
 * accounts are many, that of all alone, as locks take shared memory.  Who changes
 * the terms of an account keeps out those who record for it, and for many; who
 * changes a price keeps all of them out.
 */
#define ALL_ACCOUNTS	0

#define RECORD			AccessShareLock
#define RECORD_MANY		RowExclusiveLock
#define KEEP_MANY_OUT	ShareLock
#define KEEP_OUT		AccessExclusiveLock

/* Lock the usage of an account, or ALL_ACCOUNTS, until the transaction ends; 1 if that is new to it */
static int
lock_usage(int64 account_id, LOCKMODE mode)
{
	LOCKTAG		tag = own_lock(OWN_LOCK_USAGE, account_id);

	return LockAcquire(&tag, mode, false, false) != LOCKACQUIRE_ALREADY_HELD;
}

/* Keep the terms of the set's accounts as they are */
static void
lock_terms(const EventSet *set)
{
	static LocalTransactionId transaction = InvalidLocalTransactionId;
	static int	locked = 0;

	if (transaction != kb_transaction_number())
	{
		transaction = kb_transaction_number();
		locked = 0;
	}
	if (set->accounts > EVENTS_MAX_ACCOUNTS || locked >= MANY_ACCOUNTS)
	{
		lock_usage(ALL_ACCOUNTS, RECORD_MANY);
		return;
	}
	lock_usage(ALL_ACCOUNTS, RECORD);
	for (int i = 0; i < set->accounts; i++)
		locked += lock_usage(set->account_ids[i], RECORD);
}

/* The terms of a set's accounts, and the prices of its services */
static SavedPlan terms_plan = {
	.sql = "SELECT concat_ws(' ', (SELECT sum(a.terms_version) FROM account a"
	"                         WHERE a.account_id IN (SELECT e.account_id FROM event_set e)),"
	"                      (SELECT sum(hashtext(p::text)) FROM price p WHERE p.service IN (SELECT e.service FROM event_set e)))"
};

/* The usage that is not billed: of an account, or of all if that is NULL */
static SavedPlan usage_plan = {
	.sql = "SELECT coalesce(sum(hashtext(t::text)), 0)::text FROM usage_total t"
	" WHERE NOT t.settled AND (t.account_id = $1 OR $1 IS NULL)",
	.arg_types = {"bigint"}
};

/* kb_lock_usage(account_id): of all accounts if it is NULL; 40001 if a snapshot does not see what was recorded before */
PG_FUNCTION_INFO_V1(kb_lock_usage);
Datum
kb_lock_usage(PG_FUNCTION_ARGS)
{
	Datum		account_id = PG_GETARG_DATUM(0);

	if (PG_ARGISNULL(0))
		lock_usage(ALL_ACCOUNTS, KEEP_OUT);
	else
	{
		lock_usage(ALL_ACCOUNTS, KEEP_MANY_OUT);
		lock_usage(PG_GETARG_INT64(0), KEEP_OUT);
	}
	plan_connect();
	plan_require_current(&usage_plan, &account_id, PG_ARGISNULL(0) ? "n" : " ");
	SPI_finish();
	PG_RETURN_VOID();
}

int16
usage_slot(void)
{
	return kb_session_number() % NUM_SLOTS;
}

/* U6: no event is removed before its month has ended a month ago */
#define MIN_REMOVED_AGE		(27 * USECS_PER_DAY)

/*
 * The first event of a removed month.  What removes events locks the account, so with
 * the lock it is known what has been removed, and stays so.
 */
static SavedPlan removed_plan[] = PLAN_PAIR(
	.sql = "WITH kept AS MATERIALIZED ("
	"  SELECT a.account_id, a.time_zone, a.usage_kept_from FROM account a"
	"   WHERE a.account_id IN (SELECT e.account_id FROM event_set e WHERE e.at < $1 AND isfinite(e.at))"
	"     AND (a.usage_kept_from IS NOT NULL OR EXISTS (SELECT FROM policy p WHERE p.keep_usage_months IS NOT NULL))"
	"   ORDER BY a.account_id FOR SHARE"
	")"
	"SELECT k.account_id, k.usage_kept_from, kb_local_date(e.at, k.time_zone)"
	"  FROM kept k JOIN event_set e ON e.account_id = k.account_id"
	" WHERE e.at < $1 AND isfinite(e.at) AND kb_local_date(e.at, k.time_zone) < k.usage_kept_from"
	"   AND NOT EXISTS (SELECT FROM usage_event x WHERE x.account_id = e.account_id AND x.service = e.service AND x.key = e.key"
	"                     AND x.revision = e.revision)"
	" ORDER BY e.n LIMIT 1",
	.arg_types = {"timestamptz"}
);

/* Its columns */
enum
{
	REMOVED_ACCOUNT_ID = 1, REMOVED_KEPT_FROM, REMOVED_DAY
};

/* U6: refuse an event of a month whose events have been removed, unless its key is still known */
static void
require_kept(EventSet *set)
{
	Datum		before = TimestampTzGetDatum(set->now - MIN_REMOVED_AGE);

	if (set->oldest >= set->now - MIN_REMOVED_AGE)
		return;
	events_register(set, "event_set");
	if (plan_execute(&removed_plan[events_are_many(set)], &before, NULL, false) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("usage of account %lld on %s is not kept any more",
					(long long) plan_int64(REMOVED_ACCOUNT_ID), date_to_cstring(plan_date(REMOVED_DAY))),
			 errdetail("Its usage events are kept from %s on, so it cannot be known whether this one has been counted.",
					   date_to_cstring(plan_date(REMOVED_KEPT_FROM))),
			 errhint("Settle it with kb_adjust, or record it at a later time (U6).")));
}

void
usage_require_owned(EventSet *set)
{
	if (shard_owns_all)
		return;
	for (int i = 0; i < set->accounts && set->accounts <= EVENTS_MAX_ACCOUNTS; i++)
		shard_require_owned(set->account_ids[i]);
	if (set->accounts <= EVENTS_MAX_ACCOUNTS)
		return;
	shard_lock_many();
	events_each_account(set, shard_require_shown);
}

void
usage_prepare(EventSet *set)
{
	require_kept(set);
	lock_terms(set);
}

/* Record the events of the set, or one part of them; how many counted */
static int64
record_events(const EventSet *set, Datum *values, char *nulls)
{
	plan_execute(&record_plan[events_are_many(set)], values, nulls, false);
	return plan_int64(1);
}

/* U1: what takes back comes second, so that it finds what was recorded with it */
static int64
record_in_order(const EventSet *set, Datum *values, char *nulls)
{
	int64		counted;

	if (set->take_backs == 0 || set->take_backs == set->n)
		return record_events(set, values, nulls);
	nulls[4] = ' ';
	values[4] = BoolGetDatum(false);
	counted = record_events(set, values, nulls);
	values[4] = BoolGetDatum(true);
	return counted + record_events(set, values, nulls);
}

int64
usage_record(EventSet *set, TimestampTz recorded_at)
{
	char		nulls[] = "    n";
	Datum		values[] = {plan_text_value(set->source, &nulls[0]), TimestampTzGetDatum(set->now),
		Int16GetDatum(usage_slot()), TimestampTzGetDatum(recorded_at), (Datum) 0
	};
	int64		counted;

	events_register(set, "event_set");
	plan_require_current(&terms_plan, NULL, NULL);
	counted = record_in_order(set, values, nulls);
	if (counted < set->n)
		plan_execute(&refuse_plan[events_are_many(set)], values, nulls, false);
	return counted;
}
