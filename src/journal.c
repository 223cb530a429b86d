/*
 * journal.c
 *		The one place that writes entries and moves balances.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "args.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "card.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "currency.h"
#include "errors.h"
#include "journal.h"
#include "nodes/parsenodes.h"
#include "outbox.h"
#include "plan.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define MAX_KEY_LENGTH	255
#define OWN_KEY_PREFIX	"kb:"

/* kbilling.allow_drop: lets DROP EXTENSION take a journal with it (J7). */
static bool allow_drop = false;

/* Set while the journal's own statements run; what else touches its columns is refused. */
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

/* Run a statement of the journal */
static uint64
write_journal(SavedPlan *plan, Datum *values, const char *nulls)
{
	uint64		rows = 0;

	journal_is_writing = true;
	PG_TRY();
	{
		rows = plan_execute(plan, values, nulls, false);
	}
	PG_FINALLY();
	{
		journal_is_writing = false;
	}
	PG_END_TRY();
	return rows;
}

/* No joins: most postings need neither a tariff of the past nor a policy. */
static SavedPlan lock_plan = {
	.sql = "SELECT a.balance, a.unspent_bonus, a.last_seq, a.last_hash, a.debt_since, a.deferred_until,"
	"       a.charged_through, kb_account_date($2, a.time_zone),"
	"       a.tariff, a.tariff_from <= kb_account_date($2, a.time_zone),"
	"       a.state IN ('deleted', 'purged'), kb_account_date(a.created_at, a.time_zone),"
	"       a.state = 'closing', a.last_notice_no"
	"  FROM account a WHERE a.account_id = $1 FOR NO KEY UPDATE",
	.arg_types = {"bigint", "timestamptz"}
};

/* Nothing is posted to a deleted account (KB010) */
static void
refuse_deleted(int64 account_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_KB_ACCOUNT_DELETED),
			 errmsg("account %lld is deleted", (long long) account_id),
			 errdetail("Nothing is posted to a deleted account."),
			 errhint("Support can restore a deleted account for some days.")));
}

/* Lock the row, and copy it out; true if the account is not deleted */
static bool
lock_account(int64 account_id, TimestampTz at, LockedAccount *account)
{
	Datum		values[] = {Int64GetDatum(account_id), TimestampTzGetDatum(at)};
	Datum		value;
	bool		isnull;
	bool		is_living;

	if (plan_execute(&lock_plan, values, NULL, false) == 0)
		ereport(ERROR, NO_SUCH_ACCOUNT(account_id));
	is_living = !plan_bool(11);

	account->account_id = account_id;
	account->at = at;
	account->balance = plan_money(1);
	account->bonus = plan_money(2);
	account->last_seq = plan_int64(3);
	value = plan_column(4, &isnull);
	account->has_hash = !isnull;
	if (account->has_hash && VARSIZE_ANY_EXHDR(DatumGetByteaPP(value)) != PG_SHA256_DIGEST_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the last hash of account %lld is damaged", (long long) account_id),
				 errhint("kb_verify says where its journal stands.")));
	if (account->has_hash)
		memcpy(account->last_hash, VARDATA_ANY(DatumGetByteaPP(value)), PG_SHA256_DIGEST_LENGTH);
	account->debt_since = plan_optional_date(5);
	account->deferred_until = plan_optional_date(6);
	account->charged_through = plan_date(7);
	account->today = plan_date(8);
	account->tariff = plan_cstring(9);
	account->tariff_holds = plan_bool(10);
	account->created_on = plan_date(12);
	account->is_closing = plan_bool(13);
	account->last_notice_no = plan_int64(14);
	account->knows_stage_days = false;
	return is_living;
}

void
journal_lock(int64 account_id, TimestampTz at, LockedAccount *account)
{
	if (!lock_account(account_id, at, account))
		refuse_deleted(account_id);
}

void
journal_lock_for(int64 account_id, const char *key, TimestampTz at, LockedAccount *account)
{
	Money		amount;

	if (!lock_account(account_id, at, account) && !journal_knows(account, key, &amount))
		refuse_deleted(account_id);
}

static SavedPlan past_tariff_plan = {
	.sql = "SELECT h.tariff FROM tariff_history h"
	" WHERE h.account_id = $1 AND h.from_date <= $2 AND h.to_date > $2",
	.arg_types = {"bigint", "date"}
};

const char *
journal_tariff(LockedAccount *account)
{
	Datum		values[] = {Int64GetDatum(account->account_id), DateADTGetDatum(account->today)};

	if (!account->tariff_holds && plan_execute(&past_tariff_plan, values, NULL, false) > 0)
		account->tariff = plan_cstring(1);
	account->tariff_holds = true;
	return account->tariff;
}

static SavedPlan stage_days_plan = {
	.sql = "SELECT p.remind_day, p.restrict_day, p.block_day"
	"  FROM tariff t JOIN policy p USING (policy) WHERE t.tariff = $1",
	.arg_types = {"text"}
};

/* The days of the policy, which only an account in debt needs */
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

/* The stage at the moment of the posting, of a debt that the account may have */
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

/* When the stage of a debt changes by itself, from the account's local date on */
static OptionalDate
next_stage_check(LockedAccount *account, OptionalDate debt_since)
{
	if (!debt_since.exists)
		return no_date();
	return stage_next_change(debt_since, account->deferred_until, account->today, stage_days(account));
}

static SavedPlan stage_then_plan = {
	.sql = "SELECT kb_stage_at($1, $2, e.posted_at)::text FROM entry e"
	" WHERE e.account_id = $1 AND e.seq = $3",
	.arg_types = {"bigint", "bigint", "bigint"}
};

char *
journal_stage_then(const LockedAccount *account, int64 seq, int64 at_seq)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(seq), Int64GetDatum(at_seq)};

	if (plan_execute(&stage_then_plan, values, NULL, false) == 0)
		elog(ERROR, "entry %lld is gone", (long long) at_seq);
	return plan_cstring(1);
}

void
journal_check_currency(const LockedAccount *account, Money amount)
{
	if (money_currency(amount) != money_currency(account->balance))
		ereport(ERROR,
				(errcode(ERRCODE_KB_CURRENCY_MISMATCH),
				 errmsg("account %lld is in %s, the amount in %s", (long long) account->account_id,
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
				 errmsg("a %s has 1 to %d bytes", name, MAX_KEY_LENGTH)));
	if (strncmp(str, OWN_KEY_PREFIX, strlen(OWN_KEY_PREFIX)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a %s must not begin with \"%s\"", name, OWN_KEY_PREFIX),
				 errdetail("Such keys are kbilling's own.")));
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
	entry->ref_seq = posting->ref_seq;
	entry->member = posting->member;
	entry->memo = posting->memo;
	entry->lines = posting->lines;
}

#define INSERT_ENTRY \
	"INSERT INTO entry (account_id, seq, kind, amount, balance_after, bonus_after, debt_since," \
	"                            effective_on, posted_at, key, method, ref_seq, member, memo, lines, hash)" \
	" VALUES ($1, $2, $3::kb_entry_kind, $4, $5, $6, $7, $8, $9, $10," \
	"         $11::kb_payment_method, $12, $13, $14, $15, $16)" \
	" ON CONFLICT (account_id, key) DO NOTHING"
#define ENTRY_TYPES \
	"bigint", "bigint", "text", "kb_money", "kb_money", "kb_money", "date", \
		"date", "timestamptz", "text", "text", "bigint", "text", "text", "jsonb", "bytea"
#define NUM_ENTRY_TYPES 16

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
	"       SELECT $1, $17, $9, $9, $19::kb_notice_kind, $20, $21::kb_stage, $22::kb_stage"
	"         FROM e WHERE $19 IS NOT NULL)"
	" UPDATE account a"
	"    SET balance = $5, unspent_bonus = $6, last_seq = $2, last_hash = $16, debt_since = $7,"
	/* a change of the stage that is due, but not told of yet, stays so while the debt does */
	"        stage_check_on = CASE WHEN a.debt_since = $7 AND a.stage_check_on <= $8 THEN a.stage_check_on"
	/* and while another tariff is to come, whose policy may be another, it is looked at each day */
	"            ELSE least($18, CASE WHEN $7 IS NOT NULL AND a.tariff_from > $8 THEN $8 + 1 END) END,"
	"        last_notice_no = $17,"
	"        closure_check_on = coalesce(a.closure_check_on, CASE WHEN $5 <= 0 THEN $8 END)"
	"   FROM e WHERE a.account_id = $1",
	.arg_types = {ENTRY_TYPES, "bigint", "date", "text", "text", "text", "text"}
};

/* The parameters of either plan that are the entry's columns */
static void
entry_values(const Entry *entry, const uint8 *hash, Datum *values, char *nulls)
{
	bytea	   *hash_value = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	SET_VARSIZE(hash_value, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(hash_value), hash, PG_SHA256_DIGEST_LENGTH);

	memset(nulls, ' ', NUM_ENTRY_TYPES);
	values[0] = Int64GetDatum(entry->account_id);
	values[1] = Int64GetDatum(entry->seq);
	values[2] = plan_text_value(entry->kind, &nulls[2]);
	values[3] = MoneyGetDatum(entry->amount);
	values[4] = MoneyGetDatum(entry->balance_after);
	values[5] = MoneyGetDatum(entry->bonus_after);
	values[6] = plan_date_value(entry->debt_since, &nulls[6]);
	values[7] = DateADTGetDatum(entry->effective_on);
	values[8] = TimestampTzGetDatum(entry->posted_at);
	values[9] = plan_text_value(entry->key, &nulls[9]);
	values[10] = plan_text_value(entry->method, &nulls[10]);
	values[11] = Int64GetDatum(entry->ref_seq);
	nulls[11] = entry->ref_seq > 0 ? ' ' : 'n';
	values[12] = plan_text_value(entry->member, &nulls[12]);
	values[13] = plan_text_value(entry->memo, &nulls[13]);
	values[14] = PointerGetDatum(entry->lines);
	nulls[14] = entry->lines ? ' ' : 'n';
	values[15] = PointerGetDatum(hash_value);
}

/* The notice that is written with a posting; kind is NULL if there is none. */
typedef struct EntryNotice
{
	const char *kind;
	int64		seq;			/* of the entry that it is about */
	Stage		stage_before;
} EntryNotice;

/* Write the last entry, and with it the account's row and the notice; false if the entry's key is known */
static bool
write_last_entry(LockedAccount *account, const Entry *entry, const EntryNotice *notice, Datum *values, char *nulls)
{
	bool		has_notice = notice->kind != NULL;
	int64		notice_no = account->last_notice_no + has_notice;

	values[16] = Int64GetDatum(notice_no);
	nulls[16] = ' ';
	values[17] = plan_date_value(next_stage_check(account, entry->debt_since), &nulls[17]);
	values[18] = plan_text_value(notice->kind, &nulls[18]);
	values[19] = plan_text_value(has_notice ? psprintf("%lld", (long long) notice->seq) : NULL, &nulls[19]);
	values[20] = plan_text_value(has_notice ? stage_label(notice->stage_before) : NULL, &nulls[20]);
	values[21] = plan_text_value(has_notice ? stage_label(stage_of(account, entry->debt_since)) : NULL, &nulls[21]);
	if (write_journal(&append_and_store_plan, values, nulls) == 0)
		return false;
	account->last_notice_no = notice_no;
	if (has_notice)
		kb_wake_workers();
	return true;
}

/* Append an entry; the last one of a posting moves the account's row too, and writes the notice */
static bool
append_entry(LockedAccount *account, const Posting *posting, bool last, const EntryNotice *notice)
{
	Datum		values[PLAN_MAX_ARGS];
	char		nulls[PLAN_MAX_ARGS];
	Entry		entry;
	uint8		hash[PG_SHA256_DIGEST_LENGTH];

	make_entry(account, posting, &entry);
	posting_hash(account->has_hash ? account->last_hash : NULL, &entry, hash);
	entry_values(&entry, hash, values, nulls);
	if (last ? !write_last_entry(account, &entry, notice, values, nulls) :
		write_journal(&append_plan, values, nulls) == 0)
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
 * Whether a posting that the balance has no room for was made before: its key
 * would find it, if only the entry could be made.
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
	EntryNotice notice = {postings[0].notice, account->last_seq + 1, STAGE_OK};

	if (notice.kind != NULL)
		notice.stage_before = journal_stage(account);
	for (int i = 0; i < n; i++)
		if (is_known_beyond_range(account, &postings[i]) ||
			!append_entry(account, &postings[i], i == n - 1, &notice))
		{
			if (i > 0)
				elog(ERROR, "key \"%s\" is in use", postings[i].key);
			return false;
		}
	return true;
}

/* The member is no content: the provider's webhook does not know who paid. */
static SavedPlan replay_plan = {
	.sql = "SELECT e.seq, e.kind = $3::kb_entry_kind AND e.amount = $4"
	"       AND e.method IS NOT DISTINCT FROM $5::kb_payment_method"
	"       AND e.ref_seq IS NOT DISTINCT FROM $6 AND e.memo IS NOT DISTINCT FROM $7"
	"  FROM entry e WHERE e.account_id = $1 AND e.key = $2",
	.arg_types = {"bigint", "text", "text", "kb_money", "text", "bigint", "text"}
};

int64
journal_replayed(const LockedAccount *account, const Posting *posting)
{
	Datum		values[7];
	char		nulls[7];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(account->account_id);
	values[1] = plan_text_value(posting->key, &nulls[1]);
	values[2] = plan_text_value(posting->kind, &nulls[2]);
	values[3] = MoneyGetDatum(posting->amount);
	values[4] = plan_text_value(posting->method, &nulls[4]);
	values[5] = Int64GetDatum(posting->ref_seq);
	nulls[5] = posting->ref_seq > 0 ? ' ' : 'n';
	values[6] = plan_text_value(posting->memo, &nulls[6]);
	if (plan_execute(&replay_plan, values, nulls, false) == 0)
		elog(ERROR, "an entry of account %lld is gone", (long long) account->account_id);
	if (!plan_bool(2))
		ereport(ERROR,
				(errcode(ERRCODE_KB_KEY_REUSED),
				 errmsg("reference \"%s\" of account %lld is in use", posting->key, (long long) account->account_id),
				 errdetail("Entry %lld was posted under it, with other content.",
						   (long long) plan_int64(1)),
				 errhint("A reference stands for one posting; repeat it only to repeat the same call.")));
	return plan_int64(1);
}

/* The rules of make_entry again, as a set: the same functions, the columns in place of the struct. */
static SavedPlan post_charges_plan = {
	.sql = "WITH posted AS ("
	"  UPDATE account a"
	"     SET balance = a.balance - c.total,"
	"         unspent_bonus = kb_bonus_after(a.unspent_bonus, least(- c.total, c.total - c.total),"
	"                                                 a.balance - c.total),"
	"         debt_since = kb_debt_since(a.debt_since, a.balance - c.total, c.effective_on),"
	"         last_seq = a.last_seq + c.entries,"
	"         last_hash = CASE c.entries WHEN 0 THEN a.last_hash ELSE kb_entry_hash("
	"             a.last_hash, a.account_id, a.last_seq + 1, 'charge', - c.total,"
	"             a.balance - c.total,"
	"             kb_bonus_after(a.unspent_bonus, least(- c.total, c.total - c.total),"
	"                                     a.balance - c.total),"
	"             kb_debt_since(a.debt_since, a.balance - c.total, c.effective_on),"
	"             c.effective_on, $2, c.key, c.period, NULL, NULL, NULL, NULL, c.lines) END,"
	"         charged_through = c.last_day,"
	"         stage_check_on = CASE WHEN a.stage_check_on <= c.today"
	"             AND a.debt_since = kb_debt_since(a.debt_since, a.balance - c.total, c.effective_on)"
	"           THEN a.stage_check_on"
	"           ELSE least(kb_next_stage_on("
	"               kb_debt_since(a.debt_since, a.balance - c.total, c.effective_on),"
	"               a.deferred_until, c.today, c.remind_day, c.restrict_day, c.block_day),"
	"             CASE WHEN a.balance < c.total AND a.tariff_from > c.today THEN c.today + 1 END) END,"
	"         closure_check_on = coalesce(a.closure_check_on,"
	"             CASE WHEN a.balance - c.total <= 0 THEN c.effective_on END),"
	"         last_notice_no = a.last_notice_no + c.entries"
	"    FROM kb_charges($1, $2) c"
	"   WHERE a.account_id = c.account_id AND a.charged_through = c.charged_through"
	"     AND a.terms_version = c.terms_version AND a.state IN ('active', 'closing')"
	"  RETURNING a.account_id, a.last_seq, a.balance, a.unspent_bonus, a.debt_since, a.last_hash, a.last_notice_no,"
	"            c.effective_on, c.key, c.period, c.total, c.lines, c.entries,"
	"            kb_stage(a.debt_since, a.deferred_until, c.today, c.remind_day, c.restrict_day, c.block_day) AS stage"
	"), written AS ("
	"  INSERT INTO entry (account_id, seq, kind, amount, balance_after, bonus_after, debt_since,"
	"                              effective_on, posted_at, key, period, lines, hash)"
	"  SELECT account_id, last_seq, 'charge', - total, balance, unspent_bonus, debt_since,"
	"         effective_on, $2, key, period, lines, last_hash"
	"    FROM posted WHERE entries = 1"
	"), told AS ("
	"  INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, stage)"
	"  SELECT account_id, last_notice_no, $2, $2, 'charge_posted', last_seq::text, stage FROM posted WHERE entries = 1"
	"), settled AS ("
	/* what the bill has read is billed; what a total has got meanwhile is left for the next one */
	"  UPDATE usage_total t"
	"     SET billed_quantity = CASE WHEN s.aggregation IN ('max', 'last')"
	"             THEN kb_usage_level(s.account_id, s.period, s.service, s.aggregation) ELSE s.quantity END,"
	"         billed_events = s.events,"
	"         settled = t.events = s.events AND t.quantity IS NOT DISTINCT FROM s.quantity"
	"    FROM posted p"
	"   CROSS JOIN LATERAL (SELECT DISTINCT o.period, o.service FROM usage_total o"
	"                        WHERE o.account_id = p.account_id AND o.period <= p.period AND NOT o.settled) n"
	"    JOIN usage_total s ON s.account_id = p.account_id AND s.period = n.period AND s.service = n.service"
	"     AND (NOT s.settled OR s.aggregation IN ('max', 'last'))"
	"   WHERE t.account_id = s.account_id AND t.period = s.period AND t.service = s.service AND t.slot = s.slot"
	")"
	"SELECT account_id, period, CASE entries WHEN 1 THEN last_seq END, total, balance, debt_since FROM posted",
	.arg_types = {"bigint[]", "timestamptz"}
};

uint64
journal_post_charges(ArrayType *account_ids, TimestampTz at)
{
	Datum		values[] = {PointerGetDatum(account_ids), TimestampTzGetDatum(at)};
	uint64		charged = write_journal(&post_charges_plan, values, NULL);

	if (charged > 0)
		kb_wake_workers();
	return charged;
}

/* The months up to a day that are not charged never will be (D5) */
static SavedPlan skip_plan = {
	.sql = "WITH skipped AS ("
	"  INSERT INTO skipped_month (account_id, period)"
	"  SELECT a.account_id, m::date"
	"    FROM account a, generate_series(kb_month_first_day(a.charged_through + 1)::timestamp, $2::timestamp, interval '1 month') m"
	"   WHERE a.account_id = $1"
	")"
	"UPDATE account a SET charged_through = $2 WHERE a.account_id = $1 AND a.charged_through < $2",
	.arg_types = {"bigint", "date"}
};

/* kb_skip_months(account_id, through) */
PG_FUNCTION_INFO_V1(kb_skip_months);
Datum
kb_skip_months(PG_FUNCTION_ARGS)
{
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};

	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "through");
	plan_connect();
	write_journal(&skip_plan, values, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

/* Trigger of the journal's tables (J1, J2) */
PG_FUNCTION_INFO_V1(kb_refuse_rewrite);
Datum
kb_refuse_rewrite(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "kb_refuse_rewrite is a trigger function");
	if (journal_is_writing && TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) &&
		strcmp(RelationGetRelationName(trigger->tg_relation), "account") == 0)
	{
		/* for this statement, not for those of a trigger that may come after it */
		journal_is_writing = false;
		return PointerGetDatum(NULL);
	}

	ereport(ERROR,
			(errcode(ERRCODE_KB_JOURNAL_IS_IMMUTABLE),
			 errmsg("%s on kbilling.%s is refused",
					TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? "UPDATE" :
					TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? "DELETE" : "TRUNCATE",
					RelationGetRelationName(trigger->tg_relation)),
			 errdetail("What is posted stays as it is, and a balance moves only with an entry (J1, J2)."),
			 errhint("Put a mistake right with kb_reverse or kb_adjust.")));
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

/* Whether a DROP names the extension or its schema, or whatever its owner has */
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

/* Trigger of built-in rows */
PG_FUNCTION_INFO_V1(kb_refuse_change);
Datum
kb_refuse_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || trigger->tg_trigger->tgnargs != 1)
		elog(ERROR, "kb_refuse_change is a trigger function with one argument");
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a built-in row of kbilling.%s cannot be changed",
					RelationGetRelationName(trigger->tg_relation)),
			 errhint("%s", trigger->tg_trigger->tgargs[0])));
}

/* kb_no_account(account_id, like_type): for coalesce() over a look-up */
PG_FUNCTION_INFO_V1(kb_no_account);
Datum
kb_no_account(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "account_id");
	ereport(ERROR, NO_SUCH_ACCOUNT(PG_GETARG_INT64(0)));
}
