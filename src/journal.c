/*
 * journal.c
 *		The one place that writes entries and moves balances.
 */
#include "postgres.h"

#include "account.h"
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "card.h"
#include "change.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "currency.h"
#include "errors.h"
#include "journal.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "outbox.h"
#include "plan.h"
#include "replication/logicalworker.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#define MAX_KEY_LENGTH	255

/* kbilling.allow_drop: lets DROP EXTENSION take a journal with it (J7). */
static bool allow_drop = false;

/* Set while a statement of the journal runs; any other statement that touches its columns is refused. */
static bool journal_is_writing = false;

void
journal_init(void)
{
	DefineCustomBoolVariable("kbilling.allow_drop",
							 "Allows the extension to be dropped while the journal has entries.",
							 NULL,
							 &allow_drop,
							 false,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);
}

/* The depth of triggers at which it runs; entries that are inserted at another one are not the journal's. */
static int	writing_depth = -1;

/* How many triggers call one another right now */
static int
trigger_depth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

uint64
journal_write(SavedPlan *plan, Datum *values, const char *nulls)
{
	int			outer_depth = writing_depth;
	uint64		rows = 0;

	journal_is_writing = true;
	writing_depth = trigger_depth();
	PG_TRY();
	{
		rows = plan_execute(plan, values, nulls, false);
	}
	PG_FINALLY();
	{
		journal_is_writing = false;
		writing_depth = outer_depth;
	}
	PG_END_TRY();
	return rows;
}

/* No joins: most postings need neither a tariff of the past nor a policy. */
static SavedPlan lock_plan = {
	.sql = "SELECT a.balance, a.unspent_bonus, a.last_seq, a.last_hash, a.debt_since, a.deferred_until,"
	"       a.stage_check_on, a.closure_check_on, kb_account_date(a.created_at, a.time_zone),"
	"       a.charged_through, kb_account_date($2, a.time_zone), a.tariff, a.tariff_from,"
	"       a.state IN ('deleted', 'purged'), a.state = 'purged', a.state = 'closing', a.last_notice_no"
	"  FROM account a WHERE a.account_id = $1 FOR NO KEY UPDATE",
	.arg_types = {"bigint", "timestamptz"}
};

/* Its columns */
enum
{
	LOCK_BALANCE = 1, LOCK_BONUS, LOCK_LAST_SEQ, LOCK_LAST_HASH, LOCK_DEBT_SINCE, LOCK_DEFERRED_UNTIL,
	LOCK_STAGE_CHECK_ON, LOCK_CLOSURE_CHECK_ON, LOCK_CREATED_ON, LOCK_CHARGED_THROUGH, LOCK_TODAY, LOCK_TARIFF,
	LOCK_TARIFF_FROM, LOCK_IS_DELETED, LOCK_IS_PURGED, LOCK_IS_CLOSING, LOCK_LAST_NOTICE_NO
};

/* Copy the hash of the last entry out of the row */
static void
read_last_hash(LockedAccount *account)
{
	bytea	   *hash;

	account->has_hash = !plan_is_null(LOCK_LAST_HASH);
	if (!account->has_hash)
		return;
	hash = DatumGetByteaPP(plan_required(LOCK_LAST_HASH));
	if (VARSIZE_ANY_EXHDR(hash) != PG_SHA256_DIGEST_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the last hash of account %lld is damaged", (long long) account->account_id),
				 errhint("kb_verify says what is wrong.")));
	memcpy(account->last_hash, VARDATA_ANY(hash), PG_SHA256_DIGEST_LENGTH);
}

void
journal_lock(int64 account_id, TimestampTz at, LockedAccount *account)
{
	Datum		values[] = {Int64GetDatum(account_id), TimestampTzGetDatum(at)};

	if (plan_execute(&lock_plan, values, NULL, false) == 0)
		ereport(ERROR, NO_SUCH_ACCOUNT(account_id));

	account->account_id = account_id;
	account->at = at;
	account->today = plan_date(LOCK_TODAY);
	account->balance = plan_money(LOCK_BALANCE);
	account->bonus = plan_money(LOCK_BONUS);
	account->last_seq = plan_int64(LOCK_LAST_SEQ);
	read_last_hash(account);
	account->debt_since = plan_optional_date(LOCK_DEBT_SINCE);
	account->deferred_until = plan_optional_date(LOCK_DEFERRED_UNTIL);
	account->stage_check_on = plan_optional_date(LOCK_STAGE_CHECK_ON);
	account->closure_check_on = plan_optional_date(LOCK_CLOSURE_CHECK_ON);
	account->created_on = plan_date(LOCK_CREATED_ON);
	account->charged_through = plan_date(LOCK_CHARGED_THROUGH);
	account->is_closing = plan_bool(LOCK_IS_CLOSING);
	account->is_deleted = plan_bool(LOCK_IS_DELETED);
	account->is_purged = plan_bool(LOCK_IS_PURGED);
	account->last_notice_no = plan_int64(LOCK_LAST_NOTICE_NO);
	account->tariff = plan_cstring(LOCK_TARIFF);
	account->tariff_from = plan_date(LOCK_TARIFF_FROM);
	account->tariff_holds = account->tariff_from <= account->today;
	account->knows_stage_days = false;
}

void
journal_require_open(const LockedAccount *account)
{
	if (account->is_deleted)
		ereport(ERROR,
				(errcode(ERRCODE_KB_ACCOUNT_DELETED),
				 errmsg("account %lld is deleted", (long long) account->account_id),
				 errdetail("It is charged no more, and its members cannot act (D5)."),
				 errhint(RESTORE_HINT)));
}

static SavedPlan tariff_plan = {
	.sql = "SELECT x.tariff FROM kb_tariff_on($1, $2, $3, $4) x",
	.arg_types = {"bigint", "text", "date", "date"}
};

const char *
journal_tariff(LockedAccount *account)
{
	if (!account->tariff_holds)
	{
		Datum		values[] = {Int64GetDatum(account->account_id), CStringGetTextDatum(account->tariff),
			DateADTGetDatum(account->tariff_from), DateADTGetDatum(account->today)
		};

		plan_execute(&tariff_plan, values, NULL, false);
		account->tariff = plan_cstring(1);
		account->tariff_holds = true;
	}
	return account->tariff;
}

static SavedPlan stage_days_plan = {
	.sql = "SELECT p.remind_day, p.restrict_day, p.block_day"
	"  FROM tariff t JOIN policy p USING (policy) WHERE t.tariff = $1",
	.arg_types = {"text"}
};

/* The policy's days, which are needed only for an account in debt */
static const StageDays *
stage_days(LockedAccount *account)
{
	Datum		tariff;

	if (account->knows_stage_days)
		return &account->stage_days;
	tariff = CStringGetTextDatum(journal_tariff(account));
	if (plan_execute(&stage_days_plan, &tariff, NULL, false) == 0)
		elog(ERROR, "tariff \"%s\" is gone", account->tariff);
	account->stage_days.remind_day = plan_int32(1);
	account->stage_days.restrict_day = plan_int32(2);
	account->stage_days.block_day = plan_int32(3);
	account->knows_stage_days = true;
	return &account->stage_days;
}

/* The stage at the moment of the posting; debt_since is that of its debt, if any */
static Stage
stage_of(LockedAccount *account, OptionalDate debt_since)
{
	if (!debt_since.exists)
		return STAGE_OK;
	return stage_with_deferral(debt_since, account->deferred_until, account->today, stage_days(account));
}

Stage
journal_stage(LockedAccount *account)
{
	return stage_of(account, account->debt_since);
}

void
journal_check_currency(const LockedAccount *account, Money amount)
{
	if (money_currency(amount) != money_currency(account->balance))
		ereport(ERROR,
				(errcode(ERRCODE_KB_CURRENCY_MISMATCH),
				 errmsg("account %lld is in %s, but the amount is in %s", (long long) account->account_id,
						currency_code(money_currency(account->balance)),
						currency_code(money_currency(amount))),
				 errdetail("An account has one currency, that of its tariff."),
				 errhint("Give the amount in the account's currency.")));
}

char *
journal_key(const text *key, const char *name)
{
	char	   *str = text_to_cstring(key);

	card_check(str);
	if (str[0] == '\0' || strlen(str) > MAX_KEY_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have 1 to %d bytes", name, MAX_KEY_LENGTH),
				 errdetail("It has %zu.", strlen(str))));
	if (strncmp(str, OWN_KEY_PREFIX, strlen(OWN_KEY_PREFIX)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not begin with \"%s\"", name, OWN_KEY_PREFIX),
				 errdetail("Such keys are kbilling's own."),
				 errhint("Choose a %s that begins otherwise.", name)));
	return str;
}

/* The entry that a posting makes of the account as it is */
static void
make_entry(const LockedAccount *account, const Posting *posting, Entry *entry)
{
	uint16		currency = money_currency(account->balance);

	entry->account_id = account->account_id;
	entry->seq = account->last_seq + 1;
	entry->kind = posting->kind;
	entry->amount = posting->amount;
	entry->balance_after = money_add(account->balance, posting->amount);
	entry->bonus_after = posting_bonus_after(account->bonus, money_make(currency, posting->bonus_delta),
											 entry->balance_after);
	entry->debt_since = posting_debt_since(account->debt_since, entry->balance_after, account->today);
	entry->effective_on = account->today;
	entry->posted_at = account->at;
	entry->key = posting->key;
	entry->period = no_date();
	entry->method = posting->method;
	entry->paid = posting->paid;
	entry->ref_seq = posting->ref_seq;
	entry->member = posting->member;
	entry->posted_by = calling_role();
	entry->memo = posting->memo;
	entry->lines = posting->lines;
}

#define INSERT_ENTRY \
	"INSERT INTO entry (account_id, seq, kind, amount, balance_after, bonus_after, debt_since," \
	"                            effective_on, posted_at, key, method, paid, ref_seq, member, posted_by, memo, lines," \
	"                            hash)" \
	" VALUES ($1, $2, $3::kb_entry_kind, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)" \
	" ON CONFLICT (account_id, key) DO NOTHING"
#define ENTRY_TYPES \
	"bigint", "bigint", "text", "kb_money", "kb_money", "kb_money", "date", \
		"date", "timestamptz", "text", "text", "kb_money", "bigint", "text", "text", "text", "jsonb", "bytea"

/* An entry alone */
static SavedPlan append_plan = {
	.sql = INSERT_ENTRY,
	.arg_types = {ENTRY_TYPES}
};

/*
 * The last entry of a posting, and with it the account's row (J2) and, where it
 * has one, the notice (N1).
 */
static SavedPlan append_and_store_plan = {
	.sql = "WITH e AS (" INSERT_ENTRY " RETURNING seq),"
	" n AS (INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, stage_before, stage)"
	"       SELECT $1, $21, $9, $9, $22::kb_notice_kind, $23, $24::kb_stage, $25::kb_stage"
	"         FROM e WHERE $22 IS NOT NULL)"
	" UPDATE account a"
	"    SET balance = $5, unspent_bonus = $6, last_seq = $2, last_hash = $18, debt_since = $7,"
	"        stage_check_on = $19, closure_check_on = $20, last_notice_no = $21"
	"   FROM e WHERE a.account_id = $1",
	.arg_types = {ENTRY_TYPES, "date", "date", "bigint", "text", "text", "text", "text"}
};

/* Their parameters, from $1 on */
enum
{
	PARAM_ACCOUNT_ID, PARAM_SEQ, PARAM_KIND, PARAM_AMOUNT, PARAM_BALANCE_AFTER, PARAM_BONUS_AFTER, PARAM_DEBT_SINCE,
	PARAM_EFFECTIVE_ON, PARAM_POSTED_AT, PARAM_KEY, PARAM_METHOD, PARAM_PAID, PARAM_REF_SEQ, PARAM_MEMBER,
	PARAM_POSTED_BY, PARAM_MEMO, PARAM_LINES, PARAM_HASH,
	PARAM_STAGE_CHECK_ON, PARAM_CLOSURE_CHECK_ON, PARAM_NOTICE_NO, PARAM_NOTICE_KIND, PARAM_OCCASION,
	PARAM_STAGE_BEFORE, PARAM_STAGE, NUM_PARAMS
};

/* A hash as a bytea */
static Datum
hash_value(const uint8 *hash)
{
	bytea	   *value = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	SET_VARSIZE(value, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(value), hash, PG_SHA256_DIGEST_LENGTH);
	return PointerGetDatum(value);
}

/* Set the parameters that both plans share: the entry's columns */
static void
entry_values(const Entry *entry, const uint8 *hash, Datum *values, char *nulls)
{
	values[PARAM_ACCOUNT_ID] = Int64GetDatum(entry->account_id);
	values[PARAM_SEQ] = Int64GetDatum(entry->seq);
	values[PARAM_KIND] = CStringGetTextDatum(entry->kind);
	values[PARAM_AMOUNT] = MoneyGetDatum(entry->amount);
	values[PARAM_BALANCE_AFTER] = MoneyGetDatum(entry->balance_after);
	values[PARAM_BONUS_AFTER] = MoneyGetDatum(entry->bonus_after);
	values[PARAM_DEBT_SINCE] = plan_date_value(entry->debt_since, &nulls[PARAM_DEBT_SINCE]);
	values[PARAM_EFFECTIVE_ON] = DateADTGetDatum(entry->effective_on);
	values[PARAM_POSTED_AT] = TimestampTzGetDatum(entry->posted_at);
	values[PARAM_KEY] = CStringGetTextDatum(entry->key);
	values[PARAM_METHOD] = plan_text_value(entry->method, &nulls[PARAM_METHOD]);
	values[PARAM_PAID] = MoneyGetDatum(entry->paid);
	nulls[PARAM_PAID] = entry->paid != NO_MONEY ? ' ' : 'n';
	values[PARAM_REF_SEQ] = Int64GetDatum(entry->ref_seq);
	nulls[PARAM_REF_SEQ] = entry->ref_seq > 0 ? ' ' : 'n';
	values[PARAM_MEMBER] = plan_text_value(entry->member, &nulls[PARAM_MEMBER]);
	values[PARAM_POSTED_BY] = CStringGetTextDatum(entry->posted_by);
	values[PARAM_MEMO] = plan_text_value(entry->memo, &nulls[PARAM_MEMO]);
	values[PARAM_LINES] = PointerGetDatum(entry->lines);
	nulls[PARAM_LINES] = entry->lines ? ' ' : 'n';
	values[PARAM_HASH] = hash_value(hash);
}

/* Where a posting of one entry or more began, and the notice of the first. */
typedef struct PostingStart
{
	OptionalDate debt_since;
	Stage		stage;			/* set if there is a notice */
	int64		seq;			/* of the first entry */
	const char *notice;			/* its kind; NULL: none */
} PostingStart;

/* The parameters of the notice */
static void
notice_values(LockedAccount *account, const Entry *entry, const PostingStart *start, Datum *values, char *nulls)
{
	if (start->notice == NULL)
	{
		memset(&nulls[PARAM_NOTICE_KIND], 'n', NUM_PARAMS - PARAM_NOTICE_KIND);
		return;
	}
	values[PARAM_NOTICE_KIND] = CStringGetTextDatum(start->notice);
	values[PARAM_OCCASION] = CStringGetTextDatum(psprintf("%lld", (long long) start->seq));
	values[PARAM_STAGE_BEFORE] = CStringGetTextDatum(stage_label(start->stage));
	values[PARAM_STAGE] = CStringGetTextDatum(stage_label(stage_of(account, entry->debt_since)));
}

/* Write the last entry, and with it the account's row and the notice; false if the entry's key is known */
static bool
write_last_entry(LockedAccount *account, const Entry *entry, const PostingStart *start, Datum *values, char *nulls)
{
	/* no sweep looks at a purged account (J8) */
	OptionalDate stage_check_on = account->is_purged ? no_date() :
		posting_stage_check_on(account->stage_check_on, start->debt_since, entry->debt_since,
							   account->deferred_until, account->tariff_from, account->today,
							   entry->debt_since.exists ? stage_days(account) : NULL);
	OptionalDate closure_check_on = account->is_purged ? no_date() :
		posting_closure_check_on(account->closure_check_on, entry->balance_after, entry->effective_on);
	int64		notice_no = account->last_notice_no + (start->notice != NULL);

	values[PARAM_STAGE_CHECK_ON] = plan_date_value(stage_check_on, &nulls[PARAM_STAGE_CHECK_ON]);
	values[PARAM_CLOSURE_CHECK_ON] = plan_date_value(closure_check_on, &nulls[PARAM_CLOSURE_CHECK_ON]);
	values[PARAM_NOTICE_NO] = Int64GetDatum(notice_no);
	notice_values(account, entry, start, values, nulls);
	if (journal_write(&append_and_store_plan, values, nulls) == 0)
		return false;

	account->stage_check_on = stage_check_on;
	account->closure_check_on = closure_check_on;
	account->last_notice_no = notice_no;
	if (start->notice != NULL)
		kb_wake_workers();
	return true;
}

/* Append an entry; the last one of a posting moves the account's row too, and writes the notice */
static bool
append_entry(LockedAccount *account, const Posting *posting, bool last, const PostingStart *start)
{
	Datum		values[NUM_PARAMS] = {0};
	char		nulls[NUM_PARAMS];
	Entry		entry;
	uint8		hash[PG_SHA256_DIGEST_LENGTH];

	make_entry(account, posting, &entry);
	posting_hash(account->has_hash ? account->last_hash : NULL, &entry, hash);
	memset(nulls, ' ', sizeof(nulls));
	entry_values(&entry, hash, values, nulls);
	if (last ? !write_last_entry(account, &entry, start, values, nulls) :
		journal_write(&append_plan, values, nulls) == 0)
		return false;

	account->balance = entry.balance_after;
	account->bonus = entry.bonus_after;
	account->debt_since = entry.debt_since;
	account->last_seq = entry.seq;
	account->has_hash = true;
	memcpy(account->last_hash, hash, PG_SHA256_DIGEST_LENGTH);
	return true;
}

static SavedPlan known_plan = {
	.sql = "SELECT e.amount FROM entry e WHERE e.account_id = $1 AND e.key = $2",
	.arg_types = {"bigint", "text"}
};

bool
journal_knows(const LockedAccount *account, const char *key, Money *amount)
{
	Datum		values[] = {Int64GetDatum(account->account_id), CStringGetTextDatum(key)};

	if (plan_execute(&known_plan, values, NULL, false) == 0)
		return false;
	*amount = plan_money(1);
	return true;
}

/*
 * Whether a posting that would exceed the balance's range was made before: then it
 * is a replay, although its entry cannot be made a second time.
 */
static bool
is_known_beyond_range(const LockedAccount *account, const Posting *posting)
{
	int64		sum = money_minor(account->balance) + money_minor(posting->amount);
	Money		amount;

	return (sum < -MONEY_MINOR_MAX || sum > MONEY_MINOR_MAX) &&
		journal_knows(account, posting->key, &amount);
}

bool
journal_post(LockedAccount *account, const Posting *postings, int n)
{
	PostingStart start = {account->debt_since, STAGE_OK, account->last_seq + 1, postings[0].notice};

	if (start.notice != NULL)
		start.stage = journal_stage(account);
	for (int i = 0; i < n; i++)
		if (is_known_beyond_range(account, &postings[i]) ||
			!append_entry(account, &postings[i], i == n - 1, &start))
		{
			if (i > 0)
				elog(ERROR, "key \"%s\" is in use", postings[i].key);
			return false;
		}
	return true;
}

void
journal_refuse_key(const LockedAccount *account, const char *key, int64 seq)
{
	ereport(ERROR,
			(errcode(ERRCODE_KB_KEY_REUSED),
			 errmsg("reference \"%s\" of account %lld is in use", key, (long long) account->account_id),
			 errdetail("Entry %lld was posted under it, with other content.", (long long) seq),
			 errhint("A reference stands for one posting; repeat it only to repeat the same call.")));
}

/* The member does not count as content: the provider's webhook does not know who paid. */
static SavedPlan replay_plan = {
	.sql = "SELECT e.seq, e.kind = $3::kb_entry_kind AND e.amount = $4"
	"       AND e.method IS NOT DISTINCT FROM $5 AND e.paid IS NOT DISTINCT FROM $8"
	"       AND e.ref_seq IS NOT DISTINCT FROM $6 AND e.memo IS NOT DISTINCT FROM $7"
	"  FROM entry e WHERE e.account_id = $1 AND e.key = $2",
	.arg_types = {"bigint", "text", "text", "kb_money", "text", "bigint", "text", "kb_money"}
};

/* Its columns */
enum
{
	REPLAY_SEQ = 1, REPLAY_IS_SAME
};

int64
journal_replayed(const LockedAccount *account, const Posting *posting)
{
	char		nulls[] = "        ";
	Datum		values[] = {Int64GetDatum(account->account_id), CStringGetTextDatum(posting->key),
		CStringGetTextDatum(posting->kind), MoneyGetDatum(posting->amount), plan_text_value(posting->method, &nulls[4]),
		Int64GetDatum(posting->ref_seq), plan_text_value(posting->memo, &nulls[6]), MoneyGetDatum(posting->paid)
	};

	nulls[5] = posting->ref_seq > 0 ? ' ' : 'n';
	nulls[7] = posting->paid != NO_MONEY ? ' ' : 'n';
	if (plan_execute(&replay_plan, values, nulls, false) == 0)
		elog(ERROR, "an entry of account %lld is gone", (long long) account->account_id);
	if (!plan_bool(REPLAY_IS_SAME))
		journal_refuse_key(account, posting->key, plan_int64(REPLAY_SEQ));
	return plan_int64(REPLAY_SEQ);
}

/* What to do instead of a rewrite of the table; NULL if there is nothing */
static const char *
rewrite_hint(const char *table, bool is_update)
{
	if (strcmp(table, "deferral") == 0)
		return "Call kb_defer again.";
	if (strcmp(table, "change_log") == 0)
		return "Make another change, which is logged as well.";
	if (strcmp(table, "closure_step") == 0)
		return NULL;
	return strcmp(table, "entry") == 0 || is_update ? "Put a mistake right with kb_reverse or kb_adjust." :
		"Close an account with kb_schedule_closure.";
}

/* Qualified, as it runs with the caller's search_path; its own would be paid for on each posting. */
static SavedPlan vouch_plan = {
	.sql = "SELECT FROM kbilling.account a"
	" WHERE a.account_id OPERATOR(pg_catalog.=) $1 AND a.last_seq OPERATOR(pg_catalog.>=) $2 AND $2 OPERATOR(pg_catalog.>) 0"
	"   AND NOT EXISTS (SELECT FROM kbilling.entry e"
	"                    WHERE e.account_id OPERATOR(pg_catalog.=) $1 AND e.seq OPERATOR(pg_catalog.=) $2)"
	" UNION ALL "
	"SELECT FROM (SELECT WHERE NOT EXISTS (SELECT FROM kbilling.account)) nothing",
	.arg_types = {"bigint", "bigint"}
};

/*
 * Whether an entry is one that a restore brings back: its account's row counts it,
 * and it is not there; or the rows of accounts are still to come.
 */
static bool
is_restored(const TriggerData *trigger)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	bool		isnull;
	Datum		values[] = {heap_getattr(trigger->tg_trigtuple, SPI_fnumber(desc, "account_id"), desc, &isnull),
		heap_getattr(trigger->tg_trigtuple, SPI_fnumber(desc, "seq"), desc, &isnull)
	};
	bool		result;

	plan_connect();
	result = plan_execute(&vouch_plan, values, NULL, true) > 0;
	SPI_finish();
	return result;
}

/* Before an entry is inserted: by the journal, by a replication, or by a restore */
static void
check_insert(const TriggerData *trigger)
{
	/* the trigger itself is one level deeper than the statement */
	if (writing_depth == trigger_depth() - 1 || IsLogicalWorker() || is_restored(trigger))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_KB_JOURNAL_IS_IMMUTABLE),
			 errmsg("INSERT on kbilling.entry is refused"),
			 errdetail("Only the journal's own functions write an entry, with its account's row (J2)."),
			 errhint("Post with kb_adjust or its like. To restore entries, restore the rows of kbilling.account before them.")));
}

/* Trigger of the journal's tables (J1, J2) */
PG_FUNCTION_INFO_V1(kb_refuse_rewrite);
Datum
kb_refuse_rewrite(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const char *table;
	const char *hint;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "kb_refuse_rewrite is a trigger function");
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		check_insert(trigger);
		return PointerGetDatum(trigger->tg_trigtuple);
	}
	table = RelationGetRelationName(trigger->tg_relation);
	if (journal_is_writing && TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) && strcmp(table, "account") == 0)
	{
		/* for this statement only, not for one that a trigger runs after it */
		journal_is_writing = false;
		return PointerGetDatum(NULL);
	}

	hint = rewrite_hint(table, TRIGGER_FIRED_BY_UPDATE(trigger->tg_event));
	ereport(ERROR,
			(errcode(ERRCODE_KB_JOURNAL_IS_IMMUTABLE),
			 errmsg("%s on kbilling.%s is refused",
					TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? "UPDATE" :
					TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? "DELETE" : "TRUNCATE", table),
			 errdetail("%s", strcmp(table, "change_log") == 0 ? "What was agreed once stays on record (J9)." :
					   "What is posted stays as it is, and a balance moves only with an entry (J1, J2)."),
			 hint ? errhint("%s", hint) : 0));
}

static SavedPlan has_entries_plan = {.sql = "SELECT FROM entry LIMIT 1"};

/* Whether anything has been posted */
static bool
journal_has_entries(void)
{
	bool		result;

	plan_connect();
	result = plan_execute(&has_entries_plan, NULL, NULL, false) > 0;
	SPI_finish();
	return result;
}

/* Whether one of the roles owns the extension's schema */
static bool
names_owner(List *roles)
{
	Oid			schema = get_namespace_oid("kbilling", true);
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	Oid			owner;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		return false;
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	foreach(lc, roles)
		if (get_rolespec_oid(lfirst(lc), true) == owner)
			return true;
	return false;
}

/* Whether a DROP names the extension, its schema, or all that its owner has */
static bool
would_drop_journal(const Node *statement)
{
	ListCell   *lc;
	const DropStmt *drop;

	if (IsA(statement, DropOwnedStmt))
		return names_owner(((const DropOwnedStmt *) statement)->roles);
	if (!IsA(statement, DropStmt))
		return false;
	drop = (const DropStmt *) statement;
	if (drop->removeType != OBJECT_EXTENSION && drop->removeType != OBJECT_SCHEMA)
		return false;
	foreach(lc, drop->objects)
		if (strcmp(strVal(lfirst(lc)), "kbilling") == 0)
			return true;
	return false;
}

/* Event trigger (J7) */
PG_FUNCTION_INFO_V1(kb_refuse_drop);
Datum
kb_refuse_drop(PG_FUNCTION_ARGS)
{
	EventTriggerData *trigger = (EventTriggerData *) fcinfo->context;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		elog(ERROR, "kb_refuse_drop is an event trigger function");
	if (would_drop_journal(trigger->parsetree) && !allow_drop && journal_has_entries())
		ereport(ERROR,
				(errcode(ERRCODE_KB_JOURNAL_IS_IMMUTABLE),
				 errmsg("dropping kbilling is refused: its journal has entries"),
				 errdetail("The drop would take every account and entry with it (J7)."),
				 errhint("If that is what you want, SET kbilling.allow_drop = on first.")));
	PG_RETURN_NULL();
}
