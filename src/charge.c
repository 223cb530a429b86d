/*
 * charge.c
 *		The month charge: one statement for many accounts, and one of them alone.
 */
#include "postgres.h"

#include "account.h"
#include "args.h"
#include "calendar.h"
#include "catalog/pg_type.h"
#include "change.h"
#include "charge.h"
#include "clock.h"
#include "credit.h"
#include "errors.h"
#include "fmgr.h"
#include "journal.h"
#include "outbox.h"
#include "plan.h"
#include "row.h"
#include "status.h"

/*
 * What journal_post does for one account, for a set of accounts: the functions of
 * posting.h name the rules they follow.  A period is charged once, whoever comes first
 * (C4): the update looks at charged_through again.  All is computed from the columns of the row that is
 * updated: if another transaction has changed them meanwhile, it is computed again
 * from the new ones, whereas what kb_charges has read stays as it was; but lots must be those that it has read, as an update
 * does not return what it has replaced.  OFFSET 0 keeps
 * each value from being computed wherever it is used.
 */
static SavedPlan post_plan = {
	.sql = "WITH charge AS MATERIALIZED ("
	"  SELECT * FROM kb_charges($1, $2)"
	"), posted AS ("
	"  UPDATE account a"
	"     SET charged_through = c.last_day, last_seq = a.last_seq + c.entries, last_notice_no = a.last_notice_no + c.entries,"
	"         (balance, unspent_bonus, lots, debt_since, last_hash, stage_check_on, closure_check_on) = ("
	"             SELECT e.balance, s.bonus, kb_lots_after(a.lots, a.unspent_bonus, s.bonus, c.today), s.debt_since,"
	"                    CASE c.entries WHEN 0 THEN a.last_hash ELSE kb_entry_hash("
	"                        a.last_hash, a.account_id, a.last_seq + 1, 'charge', e.amount, e.balance, s.bonus, s.debt_since,"
	"                        c.effective_on, $2, c.key, c.period, NULL, NULL, NULL, NULL, $3, NULL, c.lines,"
	"                        CASE WHEN a.lots IS NOT NULL"
	"                            THEN kb_lots_move(a.lots, kb_lots_after(a.lots, a.unspent_bonus, s.bonus, c.today), e.amount) END) END,"
	"                    kb_stage_check_on(a.stage_check_on, a.debt_since, s.debt_since, a.deferred_until,"
	"                        a.tariff_from, c.today, c.remind_day, c.restrict_day, c.block_day),"
	"                    kb_closure_check_on(a.closure_check_on, a.balance, e.balance, c.effective_on)"
	"               FROM (SELECT - c.total AS amount, c.total - c.total AS zero,"
	"                            a.balance - c.total AS balance OFFSET 0) e"
	"              CROSS JOIN LATERAL (SELECT kb_bonus_after(a.unspent_bonus, least(e.amount, e.zero), e.balance) AS bonus,"
	"                                         kb_debt_since(a.debt_since, e.balance, c.effective_on) AS debt_since OFFSET 0) s)"
	"    FROM charge c"
	"   WHERE a.account_id = c.account_id AND a.charged_through = c.charged_through"
	"     AND a.terms_version = c.terms_version AND a.state IN ('active', 'closing') AND a.lots IS NOT DISTINCT FROM c.lots"
	"  RETURNING a.account_id, a.last_seq, a.balance, a.unspent_bonus, a.debt_since, a.last_hash, a.last_notice_no,"
	"            c.effective_on, c.key, c.period, c.total, c.lines, c.entries,"
	"            CASE WHEN c.lots IS NOT NULL THEN kb_lots_move(c.lots, a.lots, a.balance) END AS moved,"
	"            kb_stage(a.debt_since, a.deferred_until, c.today, c.remind_day, c.restrict_day, c.block_day) AS stage"
	"), written AS ("
	"  INSERT INTO entry (account_id, seq, kind, amount, balance_after, bonus_after, debt_since,"
	"                     effective_on, posted_at, key, period, posted_by, lines, lots, hash)"
	"  SELECT account_id, last_seq, 'charge', - total, balance, unspent_bonus, debt_since,"
	"         effective_on, $2, key, period, $3, lines, moved, last_hash"
	/* C8 */
	"    FROM posted WHERE entries = 1"
	"), notified AS ("
	"  INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, stage)"
	"  SELECT account_id, last_notice_no, $2, $2, 'charge_posted', last_seq::text, stage FROM posted WHERE entries = 1"
	"), settled AS ("
	/* U3: what the bill has read is billed; what was added to a total meanwhile is left for the next bill */
	"  UPDATE usage_total t"
	"     SET billed_quantity = CASE WHEN s.aggregation IN ('max', 'last')"
	"             THEN kb_usage_level(s.account_id, s.period, s.service, s.price_id, s.aggregation) ELSE s.quantity END,"
	"         billed_events = s.events,"
	"         settled = t.events = s.events AND t.quantity IS NOT DISTINCT FROM s.quantity"
	/* in the order in which recording takes them */
	"    FROM (SELECT DISTINCT o.account_id, o.period, o.service, o.price_id"
	"            FROM posted p JOIN usage_total o ON o.account_id = p.account_id AND o.period <= p.period AND NOT o.settled"
	"           ORDER BY o.account_id, o.period, o.service, o.price_id) n"
	"    JOIN usage_total s ON s.account_id = n.account_id AND s.period = n.period AND s.service = n.service"
	"     AND s.price_id = n.price_id AND (NOT s.settled OR s.aggregation IN ('max', 'last'))"
	"   WHERE t.account_id = s.account_id AND t.period = s.period AND t.service = s.service AND t.price_id = s.price_id"
	"     AND t.slot = s.slot"
	")"
	"SELECT CASE entries WHEN 1 THEN last_seq END, total, balance, debt_since FROM posted",
	.arg_types = {"bigint[]", "timestamptz", "text"},
	.is_generic = true
};

/* Its columns; the first is NULL if nothing was due. */
enum
{
	POSTED_SEQ = 1, POSTED_TOTAL, POSTED_BALANCE, POSTED_DEBT_SINCE
};

/* Charge those that are due, but for accounts of which credit has expired that is not booked */
static uint64
post_due(ArrayType *account_ids, TimestampTz at, uint64 *entries)
{
	Datum		values[] = {PointerGetDatum(account_ids), TimestampTzGetDatum(at), CStringGetTextDatum(calling_role())};
	uint64		charged = journal_write(&post_plan, values, NULL);

	for (uint64 i = 0; i < charged; i++)
	{
		bool		nothing_due;

		(void) plan_row_column(i, POSTED_SEQ, &nothing_due);
		*entries += !nothing_due;
	}
	return charged;
}

uint64
charge_post(ArrayType *account_ids, TimestampTz at, uint64 *entries)
{
	uint64		charged;

	*entries = 0;
	charged = post_due(account_ids, at, entries);
	if (charged < (uint64) ArrayGetNItems(ARR_NDIM(account_ids), ARR_DIMS(account_ids)) && credit_is_due(account_ids, at))
	{
		(void) credit_expire(account_ids, at, false);
		charged += post_due(account_ids, at, entries);
	}
	if (charged > 0)
		kb_wake_workers();
	return charged;
}

/* Columns of kb_charge_result */
enum
{
	CHARGE_PERIOD, CHARGE_ENTRY_SEQ, CHARGE_TOTAL, CHARGE_BALANCE, CHARGE_STAGE, CHARGE_REPLAYED
};

/* Refuse a charge (KB009) */
static void
refuse_charge(const LockedAccount *account, DateADT period, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_KB_PERIOD_NOT_CHARGEABLE),
			 errmsg("period %s of account %lld cannot be charged",
					date_to_cstring(period), (long long) account->account_id),
			 errdetail_internal("%s", why),
			 errhint("A period is charged once, after its end, the oldest first (C4).")));
}

/* C4: only the oldest period, and only when it has ended */
static void
check_chargeable(const LockedAccount *account, DateADT period)
{
	DateADT		oldest = month_first_day(account->charged_through + 1);
	DateADT		due_on = posting_charge_due_on(period - 1, account->ends_on);

	if (period < month_first_day(account->created_on))
		refuse_charge(account, period, psprintf("The account's first day is %s.", date_to_cstring(account->created_on)));
	if (account->ends_on.exists && due_on > account->today && period > account->ends_on.date)
		refuse_charge(account, period, psprintf("The contract ended on %s; what comes late is charged from %s on.",
												date_to_cstring(account->ends_on.date), date_to_cstring(due_on)));
	if (due_on > account->today)
		refuse_charge(account, period, psprintf("It ends on %s; today is %s in the account's time zone.",
												date_to_cstring(due_on - 1), date_to_cstring(account->today)));
	if (period > oldest)
		refuse_charge(account, period, psprintf("Period %s has not been charged yet.", date_to_cstring(oldest)));
}

/* The period that is asked for */
static DateADT
requested_period(FunctionCallInfo fcinfo, const LockedAccount *account)
{
	DateADT		period;

	if (PG_ARGISNULL(1))
		return month_first_day(account->charged_through + 1);
	period = PG_GETARG_DATEADT(1);
	if (month_first_day(period) != period)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not the first day of a month", date_to_cstring(period)),
				 errhint("A period is named by its first day.")));
	return period;
}

static SavedPlan charged_plan = {
	.sql = "SELECT e.seq, - e.amount, e.balance_after"
	"  FROM entry e WHERE e.account_id = $1 AND e.key = 'kb:charge:' || $2",
	.arg_types = {"bigint", "text"}
};

/* Its columns */
enum
{
	CHARGED_SEQ = 1, CHARGED_TOTAL, CHARGED_BALANCE
};

/* A period that has been charged; one that came to zero has no entry (C8) */
static void
replay_charge(LockedAccount *account, DateADT period, Row *row)
{
	Datum		values[] = {Int64GetDatum(account->account_id), CStringGetTextDatum(date_to_cstring(period))};
	int64		seq;

	row_set(row, CHARGE_REPLAYED, BoolGetDatum(true));
	if (plan_execute(&charged_plan, values, NULL, false) == 0)
	{
		row_set(row, CHARGE_TOTAL, MoneyGetDatum(money_make(money_currency(account->balance), 0)));
		row_set(row, CHARGE_BALANCE, MoneyGetDatum(account->balance));
		row_set_enum(row, CHARGE_STAGE, stage_label(journal_stage(account)));
		return;
	}
	seq = plan_int64(CHARGED_SEQ);
	row_set(row, CHARGE_ENTRY_SEQ, Int64GetDatum(seq));
	row_set(row, CHARGE_TOTAL, plan_required(CHARGED_TOTAL));
	row_set(row, CHARGE_BALANCE, plan_required(CHARGED_BALANCE));
	row_set_enum(row, CHARGE_STAGE, status_stage_then(account, seq, seq));
}

/* Post the charge of the oldest period */
static void
post_charge(LockedAccount *account, Row *row)
{
	Datum		id = Int64GetDatum(account->account_id);
	uint64		entries;

	if (charge_post(construct_array(&id, 1, INT8OID, 8, true, TYPALIGN_DOUBLE), account->at, &entries) != 1)
		elog(ERROR, "account %lld was not charged", (long long) account->account_id);
	if (entries > 0)
		row_set(row, CHARGE_ENTRY_SEQ, plan_required(POSTED_SEQ));
	row_set(row, CHARGE_TOTAL, plan_required(POSTED_TOTAL));
	row_set(row, CHARGE_BALANCE, plan_required(POSTED_BALANCE));
	account->debt_since = plan_optional_date(POSTED_DEBT_SINCE);
	row_set_enum(row, CHARGE_STAGE, stage_label(journal_stage(account)));
	row_set(row, CHARGE_REPLAYED, BoolGetDatum(false));
}

/* kb_month_charge(account_id, period) */
PG_FUNCTION_INFO_V1(kb_month_charge);
Datum
kb_month_charge(PG_FUNCTION_ARGS)
{
	LockedAccount account;
	DateADT		period;
	Row			row;

	arg_required(fcinfo, 0, "account_id");
	row_begin(&row, fcinfo);
	plan_connect();

	journal_lock(PG_GETARG_INT64(0), kb_current_time(), &account);
	period = requested_period(fcinfo, &account);
	row_set(&row, CHARGE_PERIOD, DateADTGetDatum(period));
	if (month_last_day(period) <= account.charged_through && period >= month_first_day(account.created_on))
		replay_charge(&account, period, &row);
	else
	{
		journal_require_open(&account);
		check_chargeable(&account, period);
		post_charge(&account, &row);
	}

	SPI_finish();
	return row_end(&row);
}

static SavedPlan current_usage_plan = {
	.sql = "SELECT u.line_no, u.service, u.what, u.from_date, u.to_date, u.days, u.days_in_month, u.quantity, u.events,"
	"       u.billed_quantity, u.billed_events, u.price, u.amount"
	"  FROM current_usage u WHERE u.account_id = $1",
	.arg_types = {"bigint"},
	.is_generic = true
};

/* kb_current_usage(account_id) */
PG_FUNCTION_INFO_V1(kb_current_usage);
Datum
kb_current_usage(PG_FUNCTION_ARGS)
{
	return account_rows(fcinfo, &current_usage_plan);
}
