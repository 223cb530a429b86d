/*
 * portal.c
 *		What a billing page shows, in one call, and the history page by page.
 */
#include "postgres.h"

#include "args.h"
#include "errors.h"
#include "fmgr.h"
#include "funcapi.h"
#include "hold.h"
#include "limit.h"
#include "member.h"
#include "offer.h"
#include "page.h"
#include "plan.h"
#include "shard.h"

/* $1 the account, $2 the member.  The columns are the keys of the page, in the order in which these enums have them. */
static SavedPlan member_plan = {
	.sql = "SELECT s.account_id, s.state, m.member::text, m.role, coalesce(m.language, q.language)::text AS language,"
	"       a.time_zone, s.today, d.stage, d.access, s.delete_on,"
	"       CASE s.state WHEN 'deleted' THEN a.closure_check_on END AS purge_on, c.can_pay,"
	"       c.can_pay AND s.state = 'closing' AS can_cancel_closure, s.ends_on,"
	"       m.role = 'owner' AND c.can_pay AND NOT s.is_ended AS can_end,"
	"       m.role = 'owner' AND c.can_pay AND coalesce(s.ends_on >= s.today, false) AS can_continue,"
	"       a.currency, s.balance, s.bonus, d.amount_due, s.debt_since, d.next_stage, d.next_stage_on,"
	"       CASE WHEN s.is_ended AND a.charged_through >= s.ends_on THEN greatest(s.balance - s.bonus, s.balance - s.balance) END"
	"         AS refundable,"
	"       d.access = 'full_with_reminder', d.next_stage IS NOT DISTINCT FROM 'restrict', a.lots IS NOT NULL, x.tariff,"
	"       CASE WHEN a.tariff_from > s.today AND (a.tariff_from > s.ends_on) IS NOT TRUE THEN a.tariff_from END"
	"  FROM account_now s"
	"  JOIN account a ON a.account_id = s.account_id"
	"  JOIN member m ON m.account_id = s.account_id AND m.member = $2"
	" CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, s.today) x"
	"  JOIN tariff t ON t.tariff = x.tariff"
	"  JOIN policy q ON q.policy = t.policy"
	" CROSS JOIN LATERAL kb_access(s.account_id, m.role) d"
	" CROSS JOIN LATERAL (SELECT m.role IN ('owner', 'admin') AND s.state IN ('active', 'closing') AS can_pay OFFSET 0) c"
	" WHERE s.account_id = $1",
	.arg_types = {"bigint", "text"},
	.is_generic = true
};

enum
{
	MEMBER_ACCOUNT_ID = 1, MEMBER_STATE, MEMBER_MEMBER, MEMBER_ROLE, MEMBER_LANGUAGE, MEMBER_TIME_ZONE, MEMBER_TODAY,
	MEMBER_STAGE, MEMBER_ACCESS, MEMBER_DELETE_ON, MEMBER_PURGE_ON, MEMBER_CAN_PAY, MEMBER_CAN_CANCEL, MEMBER_ENDS_ON,
	MEMBER_CAN_END, MEMBER_CAN_CONTINUE,
	PAYER_CURRENCY, PAYER_BALANCE, PAYER_BONUS, PAYER_AMOUNT_DUE, PAYER_DEBT_SINCE, PAYER_NEXT_STAGE, PAYER_NEXT_STAGE_ON,
	PAYER_REFUNDABLE, PAYER_IS_REMINDED, PAYER_IS_RESTRICTED_NEXT, PAYER_HAS_LOTS, PAYER_TARIFF, PAYER_PLANNED_FROM
};

static SavedPlan planned_plan = {
	.sql = "SELECT h.tariff::text FROM account_tariff h WHERE h.account_id = $1 AND h.from_date = $2",
	.arg_types = {"bigint", "date"},
	.is_generic = true
};

/* What is settled is an entry */
static SavedPlan payments_plan = {
	.sql = "SELECT p.payment_id, p.status, p.amount, p.bonus, p.method, p.member::text, p.begun_at, p.expires_at, p.failure::text"
	"  FROM payment_status p"
	" WHERE p.account_id = $1 AND p.status <> 'settled' AND p.begun_at > kb_now() - interval '30 days'"
	" ORDER BY p.payment_id DESC LIMIT 10",
	.arg_types = {"bigint"},
	.is_generic = true
};

#define ENTRIES(condition, most) \
	"SELECT e.seq, e.posted_at, e.effective_on, e.kind, e.amount, e.balance_after, e.bonus_after, e.method, e.paid," \
	"       kb_exchange_rate(e.paid, e.amount) AS rate, e.period, kb_shown_reference(e.key) AS reference, e.ref_seq," \
	"       e.member::text, e.memo::text, e.lines" \
	"  FROM entry e WHERE e.account_id = $1" condition " ORDER BY e.seq DESC LIMIT " most

/* The newest; those before one have a statement of their own, as the planner does not know how many are asked for */
static SavedPlan entries_plan = {
	.sql = ENTRIES("", "20"),
	.arg_types = {"bigint"},
	.is_generic = true
};

static SavedPlan history_plan = {
	.sql = ENTRIES(" AND e.seq < $2", "$3"),
	.arg_types = {"bigint", "bigint", "integer"},
	.is_generic = true
};

/* Whose data goes on a receipt */
static SavedPlan payer_plan = {
	.sql = "SELECT m.member::text, m.email::text, (SELECT b.details::jsonb FROM billing_details b WHERE b.account_id = $1) AS details"
	"  FROM member m WHERE m.account_id = $1 AND m.role = 'owner' ORDER BY m.member LIMIT 1",
	.arg_types = {"bigint"},
	.is_generic = true
};

/* Push a tariff, and from when on it is planned to hold */
static void
push_tariff(PageJson *page, const char *key, const char *tariff, OptionalDate from)
{
	page_key(page, key);
	page_open(page, WJB_BEGIN_OBJECT);
	page_text(page, "tariff", tariff);
	page_text(page, "name", page_name(page, "tariff", tariff));
	if (from.exists)
		page_date(page, "from_date", from.date);
	page_close(page, WJB_END_OBJECT);
}

/* Push the tariff that is planned, if there is one */
static void
push_next_tariff(PageJson *page, int64 account_id, OptionalDate from)
{
	Datum		values[] = {Int64GetDatum(account_id), DateADTGetDatum(from.date)};

	if (from.exists && plan_execute(&planned_plan, values, NULL, true) > 0)
		push_tariff(page, "next_tariff", plan_cstring(1), from);
	else
		page_null(page, "next_tariff");
}

/* Push the reminder of a debt (S3), of the member's row.  Where blocked comes next, no day is one of restrict. */
static void
push_reminder(PageJson *page)
{
	if (!plan_bool(PAYER_IS_REMINDED))
	{
		page_null(page, "reminder");
		return;
	}
	page_key(page, "reminder");
	page_open(page, WJB_BEGIN_OBJECT);
	page_money(page, "amount_due", plan_money(PAYER_AMOUNT_DUE));
	if (plan_bool(PAYER_IS_RESTRICTED_NEXT))
		page_date(page, "restricted_on", plan_date(PAYER_NEXT_STAGE_ON));
	else
		page_null(page, "restricted_on");
	page_close(page, WJB_END_OBJECT);
}

/* Push the running month so far */
static void
push_usage(PageJson *page, const YearAhead *ahead, uint16 currency)
{
	page_key(page, "usage");
	page_open(page, WJB_BEGIN_OBJECT);
	page_money(page, "total", ahead->used != NULL ? ahead->used_total : money_make(currency, 0));
	page_key(page, "lines");
	if (ahead->used != NULL)
		page_lines(page, ahead->used);
	else
	{
		page_open(page, WJB_BEGIN_ARRAY);
		page_close(page, WJB_END_ARRAY);
	}
	page_close(page, WJB_END_OBJECT);
}

/* Push the charge that comes next */
static void
push_next_charge(PageJson *page, const YearAhead *ahead)
{
	if (!ahead->has_next)
	{
		page_null(page, "next_charge");
		return;
	}
	page_key(page, "next_charge");
	page_open(page, WJB_BEGIN_OBJECT);
	page_date(page, "period", ahead->period);
	page_date(page, "charged_on", ahead->charged_on);
	page_money(page, "amount", ahead->charge);
	page_close(page, WJB_END_OBJECT);
}

/* Push the rows of the last statement */
static void
push_rows(PageJson *page, const char *key)
{
	page_key(page, key);
	page_rows(page);
}

/* Push the newest entries, and where those before them begin */
static void
push_entries(PageJson *page, int64 account_id)
{
	Datum		id = Int64GetDatum(account_id);
	uint64		rows = plan_execute(&entries_plan, &id, NULL, true);
	int64		oldest = 1;
	bool		isnull;

	if (rows > 0)
		oldest = DatumGetInt64(plan_row_column(rows - 1, 1, &isnull));
	push_rows(page, "entries");
	if (oldest > 1)
		page_integer(page, "more_before_seq", oldest);
	else
		page_null(page, "more_before_seq");
}

/* Push whose data goes on a receipt */
static void
push_receiver(PageJson *page, int64 account_id)
{
	Datum		id = Int64GetDatum(account_id);

	if (plan_execute(&payer_plan, &id, NULL, true) == 0)
	{
		page_null(page, "payer");
		return;
	}
	page_key(page, "payer");
	page_open(page, WJB_BEGIN_OBJECT);
	page_columns(page, 0, 1, SPI_tuptable->tupdesc->natts);
	page_close(page, WJB_END_OBJECT);
}

/* Whether there is a credit line, limit or hold; the credit line, and what is available with it */
static SavedPlan spending_plan = {
	.sql = "SELECT l.amount IS NOT NULL OR EXISTS (SELECT FROM kb_limits_of(a.account_id, a.tariff, a.tariff_from, d.today))"
	"         OR EXISTS (SELECT FROM usage_hold h WHERE h.account_id = $1 AND h.expires_at > kb_now()),"
	"       l.amount AS credit_line, CASE WHEN l.amount IS NOT NULL THEN kb_available($1) END AS available"
	"  FROM account a"
	" CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) d"
	" CROSS JOIN LATERAL kb_credit_line_of(a.account_id, a.tariff, a.tariff_from, d.today) l"
	" WHERE a.account_id = $1",
	.arg_types = {"bigint"},
	.is_generic = true
};

/* Limits of services, and what is used of each in the running month; $2 the language */
static SavedPlan limits_plan = {
	.sql = "SELECT x.service::text, kb_name('service', x.service, $2) AS name, kb_name('unit', s.unit, $2) AS unit,"
	"       x.quantity, coalesce(u.used, 0) AS used, x.hard"
	"  FROM account a"
	" CROSS JOIN LATERAL (SELECT kb_account_date(kb_now(), a.time_zone) AS today) d"
	" CROSS JOIN LATERAL kb_limits_of(a.account_id, a.tariff, a.tariff_from, d.today) x"
	"  JOIN service s ON s.service = x.service"
	"  LEFT JOIN kb_spent(ARRAY[$1], kb_now()) u ON u.service = x.service AND u.period = kb_month_first_day(d.today)"
	" WHERE a.account_id = $1 ORDER BY x.service",
	.arg_types = {"bigint", "text"},
	.is_generic = true
};

static SavedPlan holds_plan = {
	.sql = "SELECT h.service::text, kb_name('service', h.service, $2) AS name, kb_name('unit', s.unit, $2) AS unit, h.quantity,"
	"       h.expires_at"
	"  FROM usage_hold h JOIN service s ON s.service = h.service"
	" WHERE h.account_id = $1 AND h.expires_at > kb_now() ORDER BY h.expires_at, h.service, h.key",
	.arg_types = {"bigint", "text"},
	.is_generic = true
};

/* Push what is left to spend (L1 to L4) */
static void
push_spending(PageJson *page, int64 account_id)
{
	Datum		values[] = {Int64GetDatum(account_id), CStringGetTextDatum(page->language)};

	if ((!limits_exist() && !holds_exist()) || plan_execute(&spending_plan, values, NULL, true) == 0 || !plan_bool(1))
	{
		page_null(page, "spending");
		return;
	}
	page_key(page, "spending");
	page_open(page, WJB_BEGIN_OBJECT);
	page_columns(page, 0, 2, 3);
	plan_execute(&limits_plan, values, NULL, true);
	push_rows(page, "limits");
	plan_execute(&holds_plan, values, NULL, true);
	push_rows(page, "holds");
	page_close(page, WJB_END_OBJECT);
}

/* What of the balance expires, and when: the earliest first */
static SavedPlan credit_plan = {
	.sql = "SELECT sum(o.amount) AS amount, o.expires_on"
	"  FROM account a CROSS JOIN LATERAL unnest(a.lots) o"
	" WHERE a.account_id = $1 AND o.expires_on < 'infinity' AND o.expires_on > kb_account_date(kb_now(), a.time_zone)"
	" GROUP BY o.expires_on ORDER BY o.expires_on",
	.arg_types = {"bigint"},
	.is_generic = true
};

/* Push the credit that will expire (G3) */
static void
push_credit(PageJson *page, int64 account_id, bool has_lots)
{
	Datum		id = Int64GetDatum(account_id);

	page_key(page, "expiring_credit");
	if (has_lots && plan_execute(&credit_plan, &id, NULL, true) > 0)
		page_rows(page);
	else
	{
		page_open(page, WJB_BEGIN_ARRAY);
		page_close(page, WJB_END_ARRAY);
	}
}

/* Push what only a payer sees; the member's row is that of the last statement */
static void
push_account(PageJson *page, int64 account_id)
{
	Datum		id = Int64GetDatum(account_id);
	Money		balance = plan_money(PAYER_BALANCE);
	DateADT		today = plan_date(MEMBER_TODAY);
	bool		has_lots = plan_bool(PAYER_HAS_LOTS);
	char	   *tariff = plan_cstring(PAYER_TARIFF);
	OptionalDate planned_from = plan_optional_date(PAYER_PLANNED_FROM);
	YearAhead	ahead;

	page_columns(page, 0, PAYER_CURRENCY, PAYER_REFUNDABLE);
	push_reminder(page);
	push_tariff(page, "tariff", tariff, no_date());
	push_next_tariff(page, account_id, planned_from);
	push_credit(page, account_id, has_lots);
	offer_look_ahead(account_id, balance, has_lots, today, &ahead);
	push_usage(page, &ahead, money_currency(balance));
	push_next_charge(page, &ahead);
	offer_find(account_id, &ahead);
	push_rows(page, "offers");
	plan_execute(&payments_plan, &id, NULL, true);
	push_rows(page, "payments");
	push_entries(page, account_id);
	push_receiver(page, account_id);
	push_spending(page, account_id);
}

/* kb_portal(account_id, member) */
PG_FUNCTION_INFO_V1(kb_portal);
Datum
kb_portal(PG_FUNCTION_ARGS)
{
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	int64		account_id = PG_GETARG_INT64(0);
	PageJson	page;
	Datum		result;

	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "member");
	shard_require_readable(account_id);
	plan_connect();
	if (plan_execute(&member_plan, values, NULL, true) == 0)
		member_refuse(account_id, arg_cstring(fcinfo, 1));
	page_begin(&page, plan_cstring(MEMBER_LANGUAGE));
	page_open(&page, WJB_BEGIN_OBJECT);
	page_columns(&page, 0, MEMBER_ACCOUNT_ID, MEMBER_CAN_CONTINUE);
	if (plan_bool(MEMBER_CAN_PAY))
		push_account(&page, account_id);
	page_close(&page, WJB_END_OBJECT);
	result = SPI_datumTransfer(JsonbPGetDatum(page_end(&page)), false, -1);
	SPI_finish();
	return result;
}

static SavedPlan reader_plan = {
	.sql = "SELECT a.state IN ('deleted', 'purged'), m.role IN ('owner', 'admin'), coalesce(m.language, p.language)::text"
	"  FROM account a"
	"  JOIN member m ON m.account_id = a.account_id AND m.member = $2"
	" CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, kb_account_date(kb_now(), a.time_zone)) p"
	" WHERE a.account_id = $1",
	.arg_types = {"bigint", "text"},
	.is_generic = true
};

/* Its columns */
enum
{
	READER_IS_DELETED = 1, READER_IS_PAYER, READER_LANGUAGE
};

/* Arguments of kb_history */
enum
{
	ARG_ACCOUNT_ID, ARG_MEMBER, ARG_BEFORE_SEQ, ARG_MAX_ENTRIES
};

/* Look up the member, who must be one for whom the page shows entries; the result is the language */
static char *
require_reader(FunctionCallInfo fcinfo)
{
	Datum		values[] = {PG_GETARG_DATUM(ARG_ACCOUNT_ID), PG_GETARG_DATUM(ARG_MEMBER)};
	long long	account_id = PG_GETARG_INT64(ARG_ACCOUNT_ID);
	const char *member = arg_cstring(fcinfo, ARG_MEMBER);

	if (plan_execute(&reader_plan, values, NULL, true) == 0)
		member_refuse(account_id, member);
	if (plan_bool(READER_IS_DELETED))
		ereport(ERROR,
				(errcode(ERRCODE_KB_ACCESS_DENIED),
				 errmsg("member \"%s\" may not read the history of account %lld", member, account_id),
				 errdetail("The account is deleted (D5)."),
				 errhint("Support can restore it with kb_restore_account until the day before its purge.")));
	if (!plan_bool(READER_IS_PAYER))
		ereport(ERROR,
				(errcode(ERRCODE_KB_ROLE_NOT_ALLOWED),
				 errmsg("member \"%s\" may not read the history of account %lld", member, account_id),
				 errdetail("Only an owner or admin of the account sees its money."),
				 errhint("Ask for an owner or admin.")));
	return plan_cstring(READER_LANGUAGE);
}

/* Return the entries that were found */
static void
return_entries(FunctionCallInfo fcinfo, const char *language)
{
	ReturnSetInfo *rows = (ReturnSetInfo *) fcinfo->resultinfo;
	uint64		nrows = SPI_processed;
	PageJson	page;

	page_begin(&page, language);
	for (uint64 i = 0; i < nrows; i++)
	{
		bool		nulls[2] = {false};
		Datum		values[2];

		values[0] = plan_row_column(i, 1, &nulls[0]);
		page_open(&page, WJB_BEGIN_OBJECT);
		page_columns(&page, i, 1, SPI_tuptable->tupdesc->natts);
		page_close(&page, WJB_END_OBJECT);
		values[1] = JsonbPGetDatum(page_end(&page));
		tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
	}
}

/* kb_history(account_id, member, before_seq, max_entries) */
PG_FUNCTION_INFO_V1(kb_history);
Datum
kb_history(PG_FUNCTION_ARGS)
{
	Datum		values[] = {PG_GETARG_DATUM(ARG_ACCOUNT_ID), Int64GetDatum(PG_INT64_MAX), PG_GETARG_DATUM(ARG_MAX_ENTRIES)};
	char	   *language;

	arg_required(fcinfo, ARG_ACCOUNT_ID, "account_id");
	arg_required(fcinfo, ARG_MEMBER, "member");
	shard_require_readable(PG_GETARG_INT64(ARG_ACCOUNT_ID));
	InitMaterializedSRF(fcinfo, 0);
	plan_connect();
	language = require_reader(fcinfo);
	arg_required(fcinfo, ARG_MAX_ENTRIES, "max_entries");
	if (PG_GETARG_INT32(ARG_MAX_ENTRIES) < 1 || PG_GETARG_INT32(ARG_MAX_ENTRIES) > 1000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_entries must be between 1 and 1000"),
				 errdetail("It is %d.", PG_GETARG_INT32(ARG_MAX_ENTRIES)),
				 errhint("Read on with before_seq, the lowest seq that was returned.")));
	if (!PG_ARGISNULL(ARG_BEFORE_SEQ))
		values[1] = PG_GETARG_DATUM(ARG_BEFORE_SEQ);
	plan_execute(&history_plan, values, NULL, true);
	return_entries(fcinfo, language);
	SPI_finish();
	return (Datum) 0;
}
