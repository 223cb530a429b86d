/*
 * meter.c
 *		kb_meter: rows of an application's table as usage (E3).
 *
 * A statement-level trigger, so that one statement records all rows.  An UPDATE
 * or DELETE takes back what was recorded for the old rows.  With a key column, by
 * key and at the time of use, which a changed row keeps; without one, by quantity
 * and as of now.  A key's revisions are even while it counts, and odd while it is
 * taken back.  Rows without a key are recorded together, as one event for each
 * account of a statement.
 */
#include "postgres.h"

#include "args.h"
#include "calendar.h"
#include "card.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "clock.h"
#include "common/int.h"
#include "decimal.h"
#include "errors.h"
#include "executor/spi.h"
#include "journal.h"
#include "plan.h"
#include "recording.h"
#include "rowtrigger.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#define METER_HINT \
	"Attach it so: CREATE TRIGGER meter AFTER INSERT ON ... REFERENCING NEW TABLE AS added " \
	"FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('service', 'account column'); " \
	"for UPDATE with OLD TABLE and NEW TABLE, for DELETE with OLD TABLE."

/* The trigger's arguments */
enum
{
	ARG_SERVICE, ARG_ACCOUNT, ARG_QUANTITY, ARG_KEY, MAX_ARGS
};

#define MIN_ARGS	(ARG_ACCOUNT + 1)

/* What they mean. */
typedef struct Meter
{
	TriggerData *trigger;
	text	   *service;
	bool		counts_values;	/* aggregation unique: the quantity column has the values */
	bool		adds_up;		/* aggregation sum or count */
	TriggerColumn account;
	TriggerColumn quantity;
	TriggerColumn key;
	char	   *table;			/* whose keys they are */
} Meter;

/* When it may fire, and with what */
static void
check_meter_attachment(const TriggerData *trigger)
{
	TriggerEvent event = trigger->tg_event;

	if (!TRIGGER_FIRED_AFTER(event) || !TRIGGER_FIRED_FOR_STATEMENT(event))
		trigger_refuse(trigger, "kb_meter counts rows after a statement: attach it AFTER, FOR EACH STATEMENT.", METER_HINT);
	if (TRIGGER_FIRED_BY_TRUNCATE(event))
		trigger_refuse(trigger, "TRUNCATE does not tell which rows it removes, so they cannot be taken back.", METER_HINT);
	if (!TRIGGER_FIRED_BY_DELETE(event) && trigger->tg_newtable == NULL)
		trigger_refuse(trigger, "The new rows are missing: REFERENCING NEW TABLE AS added.", METER_HINT);
	if (!TRIGGER_FIRED_BY_INSERT(event) && trigger->tg_oldtable == NULL)
		trigger_refuse(trigger, "The old rows are missing: REFERENCING OLD TABLE AS removed.", METER_HINT);
	if (trigger->tg_trigger->tgnargs < MIN_ARGS || trigger->tg_trigger->tgnargs > MAX_ARGS)
		trigger_refuse(trigger, "It takes 2 to 4 arguments: service, account column, quantity column or '', key column.", METER_HINT);
}

static SavedPlan service_plan = {
	.sql = "SELECT s.kind = 'metered', s.aggregation = 'unique', s.aggregation IN ('sum', 'count')"
	"  FROM service s WHERE s.service = $1",
	.arg_types = {"text"}
};

/* How the service counts */
static void
read_service(Meter *meter)
{
	Datum		service = PointerGetDatum(meter->service);

	if (plan_execute(&service_plan, &service, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_KB_UNKNOWN_SERVICE_OR_TARIFF),
				 errmsg("service \"%s\" does not exist", card_hidden(text_to_cstring(meter->service))),
				 errdetail("Trigger \"%s\" on table \"%s\" names it.", meter->trigger->tg_trigger->tgname,
						   RelationGetRelationName(meter->trigger->tg_relation)),
				 errhint("Create it with kb_create_service, or look it up in kbilling.service.")));
	if (!plan_bool(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("service \"%s\" is not metered", text_to_cstring(meter->service)),
				 errdetail("Trigger \"%s\" on table \"%s\" names it.", meter->trigger->tg_trigger->tgname,
						   RelationGetRelationName(meter->trigger->tg_relation)),
				 errhint("A recurring service is switched on with kb_switch_on, a one-off one bought with kb_buy.")));
	meter->counts_values = plan_bool(2);
	meter->adds_up = plan_bool(3);
}

/* The table that a row is of, whichever partition the statement names */
static Oid
whole_table(const Relation relation)
{
	if (!relation->rd_rel->relispartition)
		return RelationGetRelid(relation);
	return llast_oid(get_partition_ancestors(RelationGetRelid(relation)));
}

/* Whether values of the type can be added up */
static bool
is_number(Oid type)
{
	return trigger_type_is_integer(type) || type == NUMERICOID || type == FLOAT4OID || type == FLOAT8OID;
}

/* Everything that the trigger's arguments say, checked */
static void
read_meter(Meter *meter, TriggerData *trigger)
{
	check_meter_attachment(trigger);
	meter->trigger = trigger;
	meter->service = cstring_to_text(trigger->tg_trigger->tgargs[ARG_SERVICE]);
	meter->account = trigger_column(trigger, ARG_ACCOUNT);
	meter->quantity = trigger_column(trigger, ARG_QUANTITY);
	meter->key = trigger_column(trigger, ARG_KEY);
	meter->table = trigger_table(whole_table(trigger->tg_relation));
	read_service(meter);
	if (meter->account.attnum == 0)
		trigger_refuse(trigger, "The account column is missing.", METER_HINT);
	trigger_check_integer(trigger, &meter->account);
	if (meter->counts_values && meter->quantity.attnum == 0)
		trigger_refuse(trigger, "The service counts distinct values: the third argument must name the column that has them.", METER_HINT);
	if (meter->quantity.attnum != 0 && !meter->counts_values && !is_number(meter->quantity.type))
		trigger_refuse_type(trigger, &meter->quantity, "number");
	if (!meter->adds_up && meter->key.attnum == 0 && !TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		trigger_refuse(trigger, "The service's events do not add up: the fourth argument must name the key by which a row is taken back.",
					   METER_HINT);
}

/* A number */
static Numeric
number_value(Datum value, Oid type)
{
	switch (type)
	{
		case NUMERICOID:
			return DatumGetNumeric(value);
		case FLOAT4OID:
			return DatumGetNumeric(DirectFunctionCall1(float4_numeric, value));
		case FLOAT8OID:
			return DatumGetNumeric(DirectFunctionCall1(float8_numeric, value));
		default:
			return int64_to_numeric(trigger_integer(value, type));
	}
}

/* A value as text */
static text *
row_text(const Meter *meter, TupleTableSlot *slot, const TriggerColumn *column)
{
	Datum		value = trigger_value(meter->trigger, slot, column);
	Oid			output;
	bool		is_varlena;

	getTypeOutputInfo(column->type, &output, &is_varlena);
	return cstring_to_text(OidOutputFunctionCall(output, value));
}

/* The value of a row that is counted once in a month */
static text *
row_value(const Meter *meter, TupleTableSlot *slot)
{
	text	   *value = row_text(meter, slot, &meter->quantity);

	if (VARSIZE_ANY_EXHDR(value) > MAX_VALUE_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of a metered row has more than %d bytes",
						SPI_fname(slot->tts_tupleDescriptor, meter->quantity.attnum), MAX_VALUE_LENGTH),
				 errdetail_trigger(meter->trigger)));
	return value;
}

/* How much a row is */
static Numeric
row_quantity(const Meter *meter, TupleTableSlot *slot)
{
	Numeric		quantity;

	if (meter->counts_values || meter->quantity.attnum == 0)
		return int64_to_numeric(1);
	quantity = number_value(trigger_value(meter->trigger, slot, &meter->quantity), meter->quantity.type);
	if (numeric_is_nan(quantity) || numeric_is_inf(quantity))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("column \"%s\" of a metered row must be finite", SPI_fname(slot->tts_tupleDescriptor, meter->quantity.attnum)),
				 errdetail_trigger(meter->trigger)));
	return quantity;
}

/* One row as an event, or as one that takes it back */
static UsageEvent
read_row(const Meter *meter, TupleTableSlot *slot, bool removed, const EventSet *set)
{
	UsageEvent	event = event_make(set);

	if (meter->key.attnum != 0)
		event.metered_table = cstring_to_text(meter->table);
	event.account_id = trigger_integer(trigger_value(meter->trigger, slot, &meter->account), meter->account.type);
	event.service = meter->service;
	if (meter->counts_values)
		event.value = row_value(meter, slot);
	event.quantity = row_quantity(meter, slot);
	event.events = events_of_quantity(event.quantity);
	if (removed)
	{
		event.quantity = DatumGetNumeric(DirectFunctionCall1(numeric_uminus, NumericGetDatum(event.quantity)));
		event.events = -event.events;
	}
	if (meter->key.attnum != 0)
		event.key = cstring_to_text(journal_key(row_text(meter, slot, &meter->key), "key"));
	return event;
}

/* Where rows are read to. */
typedef struct RowReader
{
	const Meter *meter;
	bool		removed;
	EventSet   *set;
} RowReader;

/* Add a row as an event */
static void
add_row(TupleTableSlot *slot, void *state)
{
	RowReader  *reader = state;
	UsageEvent	event = read_row(reader->meter, slot, reader->removed, reader->set);

	events_add(reader->set, &event);
}

/* All rows of a transition table; none if there is no table */
static void
read_rows(const Meter *meter, Tuplestorestate *rows, bool removed, EventSet *set)
{
	RowReader	reader = {meter, removed, set};

	events_begin(set, SOURCE_ROWS, kb_current_time());
	trigger_each_row(meter->trigger, rows, add_row, &reader);
}

/* A column of the result's row; (Datum) 0 for an SQL NULL */
static Datum
result_column(uint64 row, int column)
{
	bool		isnull;
	Datum		value = plan_row_column(row, column, &isnull);

	return isnull ? (Datum) 0 : value;
}

/* The rows of a result as events; its columns are those of a set, but for n and what is the same for all */
static void
read_result(const Meter *meter, const char *source, EventSet *set)
{
	text	   *table = meter->key.attnum == 0 ? NULL : cstring_to_text(meter->table);

	events_begin(set, source, kb_current_time());
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		UsageEvent	event = {
			.account_id = DatumGetInt64(result_column(row, EVENT_ACCOUNT_ID)),
			.service = (text *) DatumGetPointer(result_column(row, EVENT_SERVICE)),
			.key = (text *) DatumGetPointer(result_column(row, EVENT_KEY)),
			.revision = DatumGetInt32(result_column(row, EVENT_REVISION)),
			.at = DatumGetTimestampTz(result_column(row, EVENT_AT)),
			.quantity = DatumGetNumeric(result_column(row, EVENT_QUANTITY)),
			.events = DatumGetInt64(result_column(row, EVENT_EVENTS)),
			.value = (text *) DatumGetPointer(result_column(row, EVENT_VALUE)),
			.price_id = DatumGetInt32(result_column(row, EVENT_PRICE_ID)),
			.metered_table = table
		};

		events_add(set, &event);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Record the events that a statement has found */
static void
record_result(const Meter *meter, const char *source)
{
	EventSet	set;

	read_result(meter, source, &set);
	recording_add(&set);
	events_end(&set);
}

/* What an UPDATE left unchanged, for usage, is in both sets: take what is only in the first. */
static SavedPlan removed_plan[] = PLAN_PAIR(
	.sql = "SELECT account_id, service, key, revision, at, quantity, events, value, price_id FROM old_row"
	" EXCEPT ALL"
	" SELECT account_id, service, key, revision, at, - quantity, - events, value, price_id FROM new_row"
);

static SavedPlan added_plan[] = PLAN_PAIR(
	.sql = "SELECT account_id, service, key, revision, at, quantity, events, value, price_id FROM new_row"
	" EXCEPT ALL"
	" SELECT account_id, service, key, revision, at, - quantity, - events, value, price_id FROM old_row"
);

/* Keep the rows whose usage an UPDATE has changed */
static void
drop_unchanged(const Meter *meter, EventSet *old_rows, EventSet *new_rows)
{
	bool		many = events_are_many(old_rows);
	EventSet	removed;
	EventSet	added;

	events_register(old_rows, "old_row");
	events_register(new_rows, "new_row");
	plan_execute(&removed_plan[many], NULL, NULL, false);
	read_result(meter, SOURCE_ROWS, &removed);
	plan_execute(&added_plan[many], NULL, NULL, false);
	read_result(meter, SOURCE_ROWS, &added);
	events_end(old_rows);
	events_end(new_rows);
	*old_rows = removed;
	*new_rows = added;
}

/*
 * What is recorded under the rows' keys, with the opposite sign.  A row without an
 * event is older than the trigger.  What was recorded by a call, or for a row of
 * another table, is not this row's; a table that no longer exists counts as renamed.
 * What is of a removed month (U6) stays as it was billed.
 * Rows of a deleted account may be deleted.
 */
static SavedPlan take_back_plan[] = PLAN_PAIR(
	.sql = "SELECT r.account_id, r.service, r.key, e.revision + 1, e.at, - e.quantity, - e.events, e.value, e.price_id"
	"  FROM (SELECT DISTINCT account_id, service, key FROM old_row) r"
	" CROSS JOIN LATERAL kb_last_revision(r.account_id, r.service, r.key) e"
	"  JOIN account a ON a.account_id = r.account_id AND a.state IN ('active', 'closing')"
	" WHERE e.revision % 2 = 0"
	"   AND coalesce(kb_local_date(e.at, a.time_zone) >= a.usage_kept_from, true)"
	"   AND (e.metered_table = $1 OR (e.metered_table IS NOT NULL AND to_regclass(e.metered_table) IS NULL))",
	.arg_types = {"text"}
);

/* Rows with keys are gone */
static void
take_back(const Meter *meter, EventSet *removed)
{
	Datum		table = CStringGetTextDatum(meter->table);

	events_register(removed, "old_row");
	plan_execute(&take_back_plan[events_are_many(removed)], &table, NULL, false);
	record_result(meter, SOURCE_ROWS);
}

/* Keys that were taken back before and count again; $1: whether they keep their time */
static SavedPlan again_plan[] = PLAN_PAIR(
	.sql = "SELECT r.account_id, r.service, r.key, e.revision + 1, CASE WHEN $1 THEN e.at ELSE r.at END,"
	"       r.quantity, r.events, r.value, CASE WHEN $1 THEN e.price_id END"
	"  FROM new_row r CROSS JOIN LATERAL kb_last_revision(r.account_id, r.service, r.key) e"
	" WHERE e.revision % 2 = 1",
	.arg_types = {"boolean"}
);

/* A key that a row of another table has recorded, and has not taken back */
static SavedPlan shared_key_plan[] = PLAN_PAIR(
	.sql = "SELECT r.key, e.metered_table"
	"  FROM new_row r CROSS JOIN LATERAL kb_last_revision(r.account_id, r.service, r.key) e"
	" WHERE e.revision % 2 = 0 AND e.metered_table <> $1 AND to_regclass(e.metered_table) IS NOT NULL LIMIT 1",
	.arg_types = {"text"}
);

/* Rows of two tables must not become one event because their keys happen to be equal */
static void
check_shared_keys(const Meter *meter, EventSet *added)
{
	Datum		table = CStringGetTextDatum(meter->table);

	if (plan_execute(&shared_key_plan[events_are_many(added)], &table, NULL, false) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_KB_KEY_REUSED),
			 errmsg("key \"%s\" of service \"%s\" is in use", plan_cstring(1), text_to_cstring(meter->service)),
			 errdetail("It was recorded for a row of %s; this row is of %s.", plan_cstring(2), meter->table),
			 errhint("Tables that are metered for one service need keys that differ.")));
}

/* Rows with keys are new; one whose key was taken back counts again */
static void
record_added(const Meter *meter, EventSet *added, bool keep_time)
{
	Datum		value = BoolGetDatum(keep_time);

	if (recording_add(added) == added->n)
		return;
	events_register(added, "new_row");
	check_shared_keys(meter, added);
	plan_execute(&again_plan[events_are_many(added)], &value, NULL, false);
	record_result(meter, SOURCE_ROWS);
}

/* What the rows without keys of an account add up to */
typedef struct AccountSum
{
	int64		account_id;		/* must be first */
	int64		whole;			/* the quantity, as far as its parts were whole numbers */
	Numeric		exact;			/* the rest of it; NULL: none */
	int64		events;
} AccountSum;

/* All of a statement. */
typedef struct SumReader
{
	const Meter *meter;
	bool		removed;
	HTAB	   *sums;			/* of AccountSum */
	MemoryContext context;		/* of their numbers */
} SumReader;

/* Add to the exact part of a sum, or subtract if the row is gone */
static void
add_exact(const SumReader *reader, AccountSum *sum, Numeric quantity)
{
	Numeric		before = sum->exact;
	MemoryContext old = MemoryContextSwitchTo(reader->context);

	sum->exact = numeric_call(reader->removed ? numeric_sub : numeric_add, before ? before : int64_to_numeric(0), quantity);
	if (before != NULL)
		pfree(before);
	MemoryContextSwitchTo(old);
}

/* Add a whole number to a sum, or subtract it */
static void
add_whole(const SumReader *reader, AccountSum *sum, int64 quantity)
{
	int64		after;

	if (reader->removed ? pg_sub_s64_overflow(sum->whole, quantity, &after) : pg_add_s64_overflow(sum->whole, quantity, &after))
		add_exact(reader, sum, int64_to_numeric(quantity));
	else
		sum->whole = after;
}

/* Whether a row's quantity is a whole number, by its type, and that */
static bool
row_is_whole(const Meter *meter, TupleTableSlot *slot, int64 *quantity)
{
	*quantity = 1;
	if (meter->quantity.attnum == 0)
		return true;
	if (!trigger_type_is_integer(meter->quantity.type))
		return false;
	*quantity = trigger_integer(trigger_value(meter->trigger, slot, &meter->quantity), meter->quantity.type);
	return true;
}

/* Add a row to the sum of its account, or subtract one that is gone */
static void
sum_row(TupleTableSlot *slot, void *state)
{
	SumReader  *reader = state;
	const Meter *meter = reader->meter;
	int64		account_id = trigger_integer(trigger_value(meter->trigger, slot, &meter->account), meter->account.type);
	AccountSum *sum;
	bool		found;
	int64		whole;
	int64		events;

	sum = hash_search(reader->sums, &account_id, HASH_ENTER, &found);
	if (!found)
		*sum = (AccountSum) {.account_id = account_id};
	if (row_is_whole(meter, slot, &whole))
	{
		add_whole(reader, sum, whole);
		events = whole < 0 ? -1 : 1;
	}
	else
	{
		Numeric		quantity = row_quantity(meter, slot);

		add_exact(reader, sum, quantity);
		events = events_of_quantity(quantity);
	}
	sum->events += reader->removed ? -events : events;
}

/* The sum in one number */
static Numeric
sum_quantity(const AccountSum *sum)
{
	Numeric		whole = int64_to_numeric(sum->whole);

	return sum->exact == NULL ? whole : numeric_call(numeric_add, whole, sum->exact);
}

/* A sum as one event */
static void
add_sum(EventSet *set, const Meter *meter, const AccountSum *sum, Numeric quantity)
{
	UsageEvent	event = event_make(set);

	event.account_id = sum->account_id;
	event.service = meter->service;
	event.quantity = quantity;
	event.events = sum->events;
	events_add(set, &event);
}

/* Those of some accounts that are not deleted; rows of a deleted one may be deleted, and are not taken back */
static SavedPlan alive_plan = {
	.sql = "SELECT a.account_id FROM account a WHERE a.account_id = ANY ($1) AND a.state IN ('active', 'closing')",
	.arg_types = {"bigint[]"},
	.is_generic = true
};

/* Add the sums of the accounts that are alive */
static void
add_sums_of_living(EventSet *set, const Meter *meter, HTAB *sums, ArrayBuildState *account_ids)
{
	Datum		value = makeArrayResult(account_ids, CurrentMemoryContext);

	plan_execute(&alive_plan, &value, NULL, false);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		int64		account_id = DatumGetInt64(result_column(row, 1));
		const AccountSum *sum = hash_search(sums, &account_id, HASH_FIND, NULL);

		add_sum(set, meter, sum, sum_quantity(sum));
	}
}

/* What came and what went of each account, as one event; none if that is nothing */
static void
add_sums(EventSet *set, const Meter *meter, HTAB *sums)
{
	ArrayBuildState *going = initArrayResult(INT8OID, CurrentMemoryContext, false);
	HASH_SEQ_STATUS status;
	const AccountSum *sum;

	hash_seq_init(&status, sums);
	while ((sum = hash_seq_search(&status)) != NULL)
	{
		Numeric		quantity = sum_quantity(sum);
		int			sign = numeric_order(quantity, int64_to_numeric(0));

		if (sign > 0 || sum->events > 0)
			add_sum(set, meter, sum, quantity);
		else if (sign < 0 || sum->events < 0)
			accumArrayResult(going, Int64GetDatum(sum->account_id), false, INT8OID, CurrentMemoryContext);
	}
	if (going->nelems > 0)
		add_sums_of_living(set, meter, sums, going);
}

/* Rows without keys have come or gone */
static void
record_together(const Meter *meter)
{
	HASHCTL		by_account = {.keysize = sizeof(int64),.entrysize = sizeof(AccountSum),.hcxt = CurrentMemoryContext};
	SumReader	reader = {.meter = meter,.context = CurrentMemoryContext};
	EventSet	set;

	reader.sums = hash_create("metered accounts", 256, &by_account, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	reader.removed = true;
	trigger_each_row(meter->trigger, meter->trigger->tg_oldtable, sum_row, &reader);
	reader.removed = false;
	trigger_each_row(meter->trigger, meter->trigger->tg_newtable, sum_row, &reader);
	events_begin(&set, SOURCE_TOGETHER, kb_current_time());
	add_sums(&set, meter, reader.sums);
	events_record(&set);
	events_end(&set);
}

/* A row of an account of which events have been removed, and whose own may be one of them */
static SavedPlan removed_row_plan[] = PLAN_PAIR(
	.sql = "SELECT r.account_id, r.key, a.usage_kept_from"
	"  FROM old_row r JOIN account a ON a.account_id = r.account_id AND a.usage_kept_from IS NOT NULL"
	" WHERE NOT EXISTS (SELECT FROM usage_event e WHERE e.account_id = r.account_id AND e.service = r.service AND e.key = r.key"
	"                      AND kb_local_date(e.at, a.time_zone) >= a.usage_kept_from) LIMIT 1"
);

/*
 * U6: such a row must not change, as nobody could tell whether it has been counted; it may be
 * deleted
 */
static void
check_rows_kept(const Meter *meter, EventSet *old_rows)
{
	events_register(old_rows, "old_row");
	if (plan_execute(&removed_row_plan[events_are_many(old_rows)], NULL, NULL, false) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("row with key \"%s\" of table %s has no usage event any more", card_hidden(plan_cstring(2)), meter->table),
			 errdetail("Usage events of account %lld are kept from %s on.", (long long) plan_int64(1), date_to_cstring(plan_date(3))),
			 errhint("Leave what is metered in it as it is, or delete it: what was billed stays billed. Settle a difference "
					 "with kb_adjust (U6).")));
}

/* Rows with keys, or of a service that does not add up, have come, gone or changed */
static void
record_rows(const Meter *meter)
{
	EventSet	old_rows;
	EventSet	new_rows;
	Recording	recording;
	bool		is_update;

	read_rows(meter, meter->trigger->tg_oldtable, true, &old_rows);
	read_rows(meter, meter->trigger->tg_newtable, false, &new_rows);
	is_update = old_rows.n > 0 && new_rows.n > 0;
	if (is_update)
	{
		drop_unchanged(meter, &old_rows, &new_rows);
		if (meter->key.attnum != 0)
			check_rows_kept(meter, &old_rows);
	}
	/* L2: a change is judged by what it comes to */
	recording_begin(&recording, &old_rows, &new_rows);
	if (old_rows.n > 0)
		take_back(meter, &old_rows);
	if (new_rows.n > 0)
		record_added(meter, &new_rows, is_update);
	recording_end(&recording);
	events_end(&old_rows);
	events_end(&new_rows);
}

/* Trigger: kb_meter(service, account column [, quantity column [, key column]]) */
PG_FUNCTION_INFO_V1(kb_meter);
Datum
kb_meter(PG_FUNCTION_ARGS)
{
	Meter		meter;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("kb_meter is a trigger function"),
				 errhint(METER_HINT)));
	plan_connect();
	read_meter(&meter, (TriggerData *) fcinfo->context);
	if (meter.key.attnum == 0 && meter.adds_up)
		record_together(&meter);
	else
		record_rows(&meter);
	SPI_finish();
	return PointerGetDatum(NULL);
}
