/*
 * journal.c
 *		The one place that writes entries and moves balances.
 */
#include "postgres.h"

#include "account.h"
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "calendar.h"
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
#include "shard.h"
#include "table.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
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

/* The depth of triggers at which journal_forget runs. */
static int	forgetting_depth = -1;

uint64
journal_forget(const char *sql, Oid type, Datum value)
{
	int			outer_depth = forgetting_depth;

	forgetting_depth = trigger_depth();
	PG_TRY();
	{
		if (SPI_execute_with_args(sql, 1, &type, &value, NULL, false, 0) != SPI_OK_DELETE)
			elog(ERROR, "could not execute: %s", sql);
	}
	PG_FINALLY();
	{
		forgetting_depth = outer_depth;
	}
	PG_END_TRY();
	return SPI_processed;
}

/* The columns of kbilling.account that a posting reads or writes */
enum
{
	ACCOUNT_ID, ACCOUNT_CREATED_AT, ACCOUNT_LAST_SEQ, ACCOUNT_BALANCE, ACCOUNT_BONUS, ACCOUNT_DEBT_SINCE,
	ACCOUNT_DEFERRED_UNTIL, ACCOUNT_CHARGED_THROUGH, ACCOUNT_TARIFF_FROM, ACCOUNT_ENDS_ON, ACCOUNT_STAGE_CHECK_ON,
	ACCOUNT_CLOSURE_CHECK_ON, ACCOUNT_CREDIT_CHECK_ON, ACCOUNT_EXPIRED_THROUGH, ACCOUNT_LAST_NOTICE_NO, ACCOUNT_STATE,
	ACCOUNT_LAST_HASH, ACCOUNT_LOTS, ACCOUNT_TARIFF, ACCOUNT_TIME_ZONE
};

static Table account_table = {
	.name = "account",
	.columns = {"account_id", "created_at", "last_seq", "balance", "unspent_bonus", "debt_since",
		"deferred_until", "charged_through", "tariff_from", "ends_on", "stage_check_on",
	"closure_check_on", "credit_check_on", "expired_through", "last_notice_no", "state",
	"last_hash", "lots", "tariff", "time_zone"},
	.nkeys = 1
};

/* Copy the hash of the last entry out of the row */
static void
read_last_hash(LockedAccount *account)
{
	bytea	   *hash;

	account->has_hash = !table_is_null(&account->row, ACCOUNT_LAST_HASH);
	if (!account->has_hash)
		return;
	hash = DatumGetByteaPP(table_value(&account->row, ACCOUNT_LAST_HASH));
	if (VARSIZE_ANY_EXHDR(hash) != PG_SHA256_DIGEST_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the last hash of account %lld is damaged", (long long) account->account_id),
				 errhint("kb_verify says what is wrong.")));
	memcpy(account->last_hash, VARDATA_ANY(hash), PG_SHA256_DIGEST_LENGTH);
}

/* No joins: most postings need neither a tariff of the past nor a policy. */
void
journal_lock(int64 account_id, TimestampTz at, LockedAccount *account)
{
	Datum		key = Int64GetDatum(account_id);
	TableRow   *row = &account->row;
	pg_tz	   *zone;

	shard_require_owned(account_id);
	if (!table_lock(&account_table, &key, row))
		ereport(ERROR, NO_SUCH_ACCOUNT(account_id));

	zone = zone_or_utc(DatumGetTextPP(table_value(row, ACCOUNT_TIME_ZONE)));
	account->account_id = account_id;
	account->at = at;
	account->today = local_date(at, zone);
	account->balance = DatumGetMoney(table_value(row, ACCOUNT_BALANCE));
	account->bonus = DatumGetMoney(table_value(row, ACCOUNT_BONUS));
	account->lots = lots_from_array(table_is_null(row, ACCOUNT_LOTS) ? NULL : DatumGetArrayTypeP(table_value(row, ACCOUNT_LOTS)),
									money_currency(account->balance));
	account->last_seq = DatumGetInt64(table_value(row, ACCOUNT_LAST_SEQ));
	read_last_hash(account);
	account->debt_since = table_optional_date(row, ACCOUNT_DEBT_SINCE);
	account->deferred_until = table_optional_date(row, ACCOUNT_DEFERRED_UNTIL);
	account->stage_check_on = table_optional_date(row, ACCOUNT_STAGE_CHECK_ON);
	account->closure_check_on = table_optional_date(row, ACCOUNT_CLOSURE_CHECK_ON);
	account->credit_check_on = table_optional_date(row, ACCOUNT_CREDIT_CHECK_ON);
	account->expired_through = table_optional_date(row, ACCOUNT_EXPIRED_THROUGH);
	account->created_on = local_date(DatumGetTimestampTz(table_value(row, ACCOUNT_CREATED_AT)), zone);
	account->charged_through = DatumGetDateADT(table_value(row, ACCOUNT_CHARGED_THROUGH));
	account->ends_on = table_optional_date(row, ACCOUNT_ENDS_ON);
	account->is_ended = account->ends_on.exists && account->ends_on.date < account->today;
	account->is_closing = table_has_label(row, ACCOUNT_STATE, "closing");
	account->is_purged = table_has_label(row, ACCOUNT_STATE, "purged");
	account->is_deleted = account->is_purged || table_has_label(row, ACCOUNT_STATE, "deleted");
	account->last_notice_no = DatumGetInt64(table_value(row, ACCOUNT_LAST_NOTICE_NO));
	account->tariff = TextDatumGetCString(table_value(row, ACCOUNT_TARIFF));
	account->tariff_from = DatumGetDateADT(table_value(row, ACCOUNT_TARIFF_FROM));
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

void
journal_require_contract(const LockedAccount *account)
{
	if (account->is_ended)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the contract of account %lld has ended", (long long) account->account_id),
				 errdetail("Its last day was %s; what is left to do is to settle its balance (X2).",
						   date_to_cstring(account->ends_on.date)),
				 errhint("Create a new account with kb_create_account.")));
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
	.sql = "SELECT p.remind_day, p.restrict_day, p.block_day, coalesce(p.credit_notice_days, 0)"
	"  FROM tariff t JOIN policy p USING (policy) WHERE t.tariff = $1",
	.arg_types = {"text"}
};

/* The policy's days, which are needed only for an account in debt, or with credit that expires */
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
	account->credit_notice_days = plan_int32(4);
	account->knows_stage_days = true;
	return &account->stage_days;
}

/* How many days before credit expires its payers are told of it, by that policy */
static int32
credit_notice_days(LockedAccount *account)
{
	(void) stage_days(account);
	return account->credit_notice_days;
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

/* The entry that a posting makes of the account as it is, and the credit after it */
static void
make_entry(const LockedAccount *account, const Posting *posting, Entry *entry, Credit *credit)
{
	Credit		before = {money_minor(account->bonus), account->lots};

	entry->account_id = account->account_id;
	entry->seq = account->last_seq + 1;
	entry->kind = posting->kind;
	entry->amount = posting->amount;
	entry->balance_after = money_add(account->balance, posting->amount);
	*credit = credit_after(&before, &posting->credit, (Spender) {account->today, false}, entry->balance_after);
	entry->bonus_after = money_make(money_currency(account->balance), credit->total);
	entry->lots = lots_move(&before.lots, &credit->lots, &posting->credit.lots);
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

/* The columns of kbilling.entry that a posting writes */
enum
{
	ENTRY_ACCOUNT_ID, ENTRY_KEY, ENTRY_SEQ, ENTRY_POSTED_AT, ENTRY_AMOUNT, ENTRY_BALANCE_AFTER, ENTRY_BONUS_AFTER,
	ENTRY_PAID, ENTRY_REF_SEQ, ENTRY_EFFECTIVE_ON, ENTRY_DEBT_SINCE, ENTRY_KIND, ENTRY_METHOD, ENTRY_MEMBER,
	ENTRY_POSTED_BY, ENTRY_MEMO, ENTRY_HASH, ENTRY_LINES, ENTRY_LOTS
};

static Table entry_table = {
	.name = "entry",
	.columns = {"account_id", "key", "seq", "posted_at", "amount", "balance_after", "bonus_after",
		"paid", "ref_seq", "effective_on", "debt_since", "kind", "method", "member",
	"posted_by", "memo", "hash", "lines", "lots"},
	.nkeys = 2
};

/* The columns of kbilling.notice that one for an entry has */
enum
{
	NOTICE_ACCOUNT_ID, NOTICE_NO, NOTICE_WRITTEN_AT, NOTICE_DUE_AT, NOTICE_KIND, NOTICE_STAGE_BEFORE, NOTICE_STAGE,
	NOTICE_OCCASION
};

static Table notice_table = {
	.name = "notice",
	.columns = {"account_id", "notice_no", "written_at", "due_at", "kind", "stage_before", "stage",
	"occasion"}
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

/* Lots as an array of that column, or NULL */
static void
set_lots(TableRow *row, int column, const Lots *lots, uint16 currency)
{
	if (lots->n > 0)
		table_set(row, column, PointerGetDatum(lots_to_array(lots, currency, get_element_type(table_type(row, column)))));
	else
		table_set_null(row, column);
}

/* An entry that is to be written, with its hash. */
typedef struct NewEntry
{
	Entry		entry;
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
} NewEntry;

/* Write an entry */
static void
insert_entry(TableWrite *write, const NewEntry *new)
{
	const Entry *entry = &new->entry;
	TableRow	row;

	table_new_row(write, &entry_table, &row);
	table_set(&row, ENTRY_ACCOUNT_ID, Int64GetDatum(entry->account_id));
	table_set(&row, ENTRY_SEQ, Int64GetDatum(entry->seq));
	table_set_label(&row, ENTRY_KIND, entry->kind);
	table_set(&row, ENTRY_AMOUNT, MoneyGetDatum(entry->amount));
	table_set(&row, ENTRY_BALANCE_AFTER, MoneyGetDatum(entry->balance_after));
	table_set(&row, ENTRY_BONUS_AFTER, MoneyGetDatum(entry->bonus_after));
	table_set_date(&row, ENTRY_DEBT_SINCE, entry->debt_since);
	table_set(&row, ENTRY_EFFECTIVE_ON, DateADTGetDatum(entry->effective_on));
	table_set(&row, ENTRY_POSTED_AT, TimestampTzGetDatum(entry->posted_at));
	table_set_text(&row, ENTRY_KEY, entry->key);
	table_set_text(&row, ENTRY_METHOD, entry->method);
	if (entry->paid != NO_MONEY)
		table_set(&row, ENTRY_PAID, MoneyGetDatum(entry->paid));
	if (entry->ref_seq > 0)
		table_set(&row, ENTRY_REF_SEQ, Int64GetDatum(entry->ref_seq));
	table_set_text(&row, ENTRY_MEMBER, entry->member);
	table_set_text(&row, ENTRY_POSTED_BY, entry->posted_by);
	table_set_text(&row, ENTRY_MEMO, entry->memo);
	if (entry->lines != NULL)
		table_set(&row, ENTRY_LINES, PointerGetDatum(entry->lines));
	set_lots(&row, ENTRY_LOTS, &entry->lots, money_currency(entry->amount));
	table_set(&row, ENTRY_HASH, hash_value(new->hash));
	table_insert(write, &row);
}

/* Where a posting of one entry or more began. */
typedef struct PostingStart
{
	OptionalDate debt_since;
	Money		balance;
	Stage		stage;			/* set if there is a notice */
	int64		seq;			/* of the first entry */
} PostingStart;

/* Write the notice of the first entry (N1); the account is as the last one leaves it */
static void
insert_notice(TableWrite *write, const LockedAccount *account, const char *kind, const PostingStart *start, Stage stage)
{
	TableRow	row;

	table_new_row(write, &notice_table, &row);
	table_set(&row, NOTICE_ACCOUNT_ID, Int64GetDatum(account->account_id));
	table_set(&row, NOTICE_NO, Int64GetDatum(account->last_notice_no));
	table_set(&row, NOTICE_WRITTEN_AT, TimestampTzGetDatum(account->at));
	table_set(&row, NOTICE_DUE_AT, TimestampTzGetDatum(account->at));
	table_set_label(&row, NOTICE_KIND, kind);
	table_set_label(&row, NOTICE_STAGE_BEFORE, stage_label(start->stage));
	table_set_label(&row, NOTICE_STAGE, stage_label(stage));
	table_set_text(&row, NOTICE_OCCASION, psprintf(INT64_FORMAT, start->seq));
	table_insert(write, &row);
}

/* Write the account's row as the last entry has left it (J2) */
static void
update_account(TableWrite *write, LockedAccount *account)
{
	TableRow   *row = &account->row;

	table_set(row, ACCOUNT_BALANCE, MoneyGetDatum(account->balance));
	table_set(row, ACCOUNT_BONUS, MoneyGetDatum(account->bonus));
	table_set(row, ACCOUNT_LAST_SEQ, Int64GetDatum(account->last_seq));
	table_set(row, ACCOUNT_LAST_HASH, hash_value(account->last_hash));
	table_set_date(row, ACCOUNT_DEBT_SINCE, account->debt_since);
	table_set_date(row, ACCOUNT_STAGE_CHECK_ON, account->stage_check_on);
	table_set_date(row, ACCOUNT_CLOSURE_CHECK_ON, account->closure_check_on);
	table_set_date(row, ACCOUNT_CREDIT_CHECK_ON, account->credit_check_on);
	table_set_date(row, ACCOUNT_EXPIRED_THROUGH, account->expired_through);
	set_lots(row, ACCOUNT_LOTS, &account->lots, money_currency(account->balance));
	table_set(row, ACCOUNT_LAST_NOTICE_NO, Int64GetDatum(account->last_notice_no));
	table_update(write, row);
}

/* What the sweep has to look at next, after the last entry; it looks at no purged account (J8) */
static void
plan_checks(LockedAccount *account, const PostingStart *start)
{
	if (account->is_purged)
	{
		account->stage_check_on = account->closure_check_on = account->credit_check_on = no_date();
		return;
	}
	account->stage_check_on =
		posting_stage_check_on(account->stage_check_on, start->debt_since, account->debt_since,
							   account->deferred_until, account->tariff_from, account->today,
							   account->debt_since.exists ? stage_days(account) : NULL);
	/* that of a deleted account is the day on which it is purged (D6) */
	if (!account->is_deleted)
		account->closure_check_on =
			posting_closure_check_on(account->closure_check_on, start->balance, account->balance, account->today);
}

/* What comes back of credit that has expired is to be looked at again (G4), and what is new, when it is to be told of (G3) */
static void
plan_credit_checks(LockedAccount *account, const Lots *move)
{
	for (int i = 0; i < move->n; i++)
	{
		const Lot  *lot = &move->lots[i];

		if (lot->amount > 0 && account->expired_through.exists && lot->expires_on <= account->expired_through.date)
			account->expired_through.date = lot->expires_on - 1;
	}
	account->credit_check_on = posting_credit_check_on(account->credit_check_on, move, account->today, credit_notice_days(account));
}

/* Make the account's next entry, after which the account is as that leaves it */
static void
append_entry(LockedAccount *account, const Posting *posting, NewEntry *new)
{
	Entry	   *entry = &new->entry;
	Credit		credit;

	make_entry(account, posting, entry, &credit);
	posting_hash(account->has_hash ? account->last_hash : NULL, entry, new->hash);
	account->balance = entry->balance_after;
	account->bonus = entry->bonus_after;
	account->lots = credit.lots;
	if (entry->lots.n > 0)
		plan_credit_checks(account, &entry->lots);
	account->debt_since = entry->debt_since;
	account->last_seq = entry->seq;
	account->has_hash = true;
	memcpy(account->last_hash, new->hash, PG_SHA256_DIGEST_LENGTH);
}

/* Write the entries, the account's row, and the notice of that kind, if any */
static void
write_posting(LockedAccount *account, const NewEntry *entries, int n, const char *notice, const PostingStart *start)
{
	Stage		stage = notice ? journal_stage(account) : STAGE_OK;
	int			outer_depth = writing_depth;
	TableWrite	write;

	writing_depth = trigger_depth();
	PG_TRY();
	{
		table_begin_write(&write);
		for (int i = 0; i < n; i++)
			insert_entry(&write, &entries[i]);
		update_account(&write, account);
		if (notice != NULL)
			insert_notice(&write, account, notice, start, stage);
		table_end_write(&write);
	}
	PG_FINALLY();
	{
		writing_depth = outer_depth;
	}
	PG_END_TRY();
}

bool
journal_knows(const LockedAccount *account, const char *key, Money *amount)
{
	Datum		keys[] = {Int64GetDatum(account->account_id), CStringGetTextDatum(key)};
	TableRow	row;

	if (!table_find(&entry_table, keys, &row))
		return false;
	*amount = DatumGetMoney(table_value(&row, ENTRY_AMOUNT));
	return true;
}

/* While the account is locked, nobody else adds a key of its entries, so one that is not found is new (J3). */
bool
journal_post(LockedAccount *account, const Posting *postings, int n)
{
	PostingStart start = {account->debt_since, account->balance, STAGE_OK, account->last_seq + 1};
	NewEntry   *entries = palloc(sizeof(NewEntry) * n);
	Money		known;

	if (journal_knows(account, postings[0].key, &known))
		return false;
	if (postings[0].notice != NULL)
		start.stage = journal_stage(account);
	for (int i = 0; i < n; i++)
		append_entry(account, &postings[i], &entries[i]);
	plan_checks(account, &start);
	account->last_notice_no += postings[0].notice != NULL;
	write_posting(account, entries, n, postings[0].notice, &start);
	if (postings[0].notice != NULL)
		kb_wake_workers();
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
	.arg_types = {"bigint", "bigint"},
	.of_any_version = true			/* a restore of an older version goes before its update */
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

/* Whether journal_forget deletes rows, or a replication of what it deleted: each must be of an account of another node */
static bool
is_forgotten(const TriggerData *trigger)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	Datum		account_id;
	bool		isnull;

	/* the trigger itself is one level deeper than the statement */
	if (!TRIGGER_FIRED_BY_DELETE(trigger->tg_event) || (forgetting_depth != trigger_depth() - 1 && !IsLogicalWorker()))
		return false;
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		return true;
	account_id = heap_getattr(trigger->tg_trigtuple, SPI_fnumber(desc, "account_id"), desc, &isnull);
	return !isnull && !shard_is_owned(DatumGetInt64(account_id));
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
	if (is_forgotten(trigger))
		return PointerGetDatum(trigger->tg_trigtuple);
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

static SavedPlan has_entries_plan = {.sql = "SELECT FROM entry LIMIT 1", .of_any_version = true};

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
