/*
 * closure.c
 *		The steps of closures: scheduled, reminded of, cancelled, carried out, and
 *		undone (rules D).
 *
 * What is due is said by kb_closure_steps, and written by one statement, for whatever
 * accounts and whoever asks.  An account's row is locked before.
 */
#include "postgres.h"

#include "account.h"
#include "args.h"
#include "calendar.h"
#include "catalog/pg_type.h"
#include "clock.h"
#include "closure.h"
#include "errors.h"
#include "fmgr.h"
#include "member.h"
#include "outbox.h"
#include "plan.h"

/* A step that somebody takes, or, without a kind, those that the sweep finds due */
typedef struct Step
{
	const char *kind;			/* label of kb_closure_step */
	const char *by;
	const char *reason;
	bool		used;			/* it shows that the account is used */
} Step;

/* $1 the accounts, $2 the moment, then what Step has */
static SavedPlan steps_plan = {
	.sql = "WITH step AS MATERIALIZED ("
	"  SELECT s.account_id, s.today, s.step, s.reminder, s.state, s.delete_on, s.step_delete_on, s.check_on"
	"    FROM kb_closure_steps($1, $2, $3::kb_closure_step, $6) s"
	"), moved AS ("
	"  UPDATE account a"
	"     SET state = s.state, delete_on = s.delete_on, closure_check_on = s.check_on,"
	"         last_notice_no = a.last_notice_no + (s.step IS NOT NULL)::integer"
	"    FROM step s WHERE a.account_id = s.account_id"
	"  RETURNING a.account_id, a.last_notice_no, a.balance, s.today, s.step, s.reminder, s.step_delete_on, s.check_on"
	")"
	"INSERT INTO closure_step (account_id, step_no, step, taken_at, taken_on, taken_by, reason, balance, delete_on, purge_on, reminder)"
	" SELECT m.account_id, m.last_notice_no, m.step, $2, m.today, $4,"
	"        coalesce($5, CASE WHEN $3 IS NULL AND m.step = 'cancelled' THEN 'conditions' END), m.balance, m.step_delete_on,"
	"        CASE m.step WHEN 'deleted' THEN m.check_on END, m.reminder"
	"   FROM moved m WHERE m.step IS NOT NULL",
	.arg_types = {"bigint[]", "timestamptz", "text", "text", "text", "boolean"},
	.is_generic = true
};

/* Take the steps; how many there were */
static uint64
take_steps(ArrayType *account_ids, TimestampTz at, const Step *step)
{
	char		nulls[] = "      ";
	Datum		values[] = {PointerGetDatum(account_ids), TimestampTzGetDatum(at), plan_text_value(step->kind, &nulls[2]),
		plan_text_value(step->by, &nulls[3]), plan_text_value(step->reason, &nulls[4]), BoolGetDatum(step->used)
	};

	return plan_execute(&steps_plan, values, nulls, false);
}

uint64
closure_take_steps(ArrayType *account_ids, TimestampTz at)
{
	return take_steps(account_ids, at, &(Step) {.by = "sweep"});
}

/* A step's notice has its number, so that this writes the notices of steps that have none. */
static SavedPlan notify_plan = {
	.sql = "INSERT INTO notice (account_id, notice_no, written_at, due_at, kind, occasion, facts)"
	" SELECT s.account_id, s.step_no, s.taken_at, s.taken_at,"
	"        CASE s.step"
	"          WHEN 'scheduled' THEN 'closure_scheduled'"
	"          WHEN 'reminded' THEN 'closure_reminder'"
	"          WHEN 'cancelled' THEN 'closure_cancelled'"
	"          WHEN 'deleted' THEN 'account_deleted'"
	"          WHEN 'restored' THEN 'account_restored'"
	"          WHEN 'purged' THEN 'account_purged'"
	"        END::kb_notice_kind, s.step_no::text,"
	"        CASE s.step"
	"          WHEN 'scheduled' THEN f.debt || f.stage || f.ended || jsonb_build_object("
	"            'delete_on', s.delete_on, 'days', s.delete_on - s.taken_on, 'restore_days', p.restore_days)"
	"          WHEN 'reminded' THEN f.debt || f.stage || f.ended || jsonb_build_object("
	"            'delete_on', s.delete_on, 'days', s.delete_on - s.taken_on)"
	"          WHEN 'cancelled' THEN f.debt || f.stage || f.ended || jsonb_build_object('why', s.reason, 'delete_on', s.delete_on)"
	"          WHEN 'deleted' THEN f.debt || jsonb_build_object("
	"            'deleted_on', s.taken_on, 'purge_on', s.purge_on, 'restore_until', s.purge_on - 1, 'days', s.purge_on - s.taken_on)"
	"          WHEN 'restored' THEN f.debt || f.stage || f.ended || jsonb_build_object('restored_on', s.taken_on, 'balance', s.balance)"
	"          WHEN 'purged' THEN jsonb_build_object('purged_on', s.taken_on)"
	"        END"
	"   FROM closure_step s"
	"   JOIN account a ON a.account_id = s.account_id"
	"  CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, s.taken_on) p"
	"  CROSS JOIN LATERAL ("
	"    SELECT jsonb_build_object('in_debt', s.balance < 0, 'amount_due', kb_amount_due(s.balance)) AS debt,"
	"           jsonb_build_object('stage', kb_stage(a.debt_since, a.deferred_until, s.taken_on,"
	"                                                p.remind_day, p.restrict_day, p.block_day)) AS stage,"
	"           jsonb_build_object('has_ended', coalesce(a.ends_on < s.taken_on, false)) AS ended) f"
	"  WHERE s.account_id = ANY ($1) AND s.taken_at = $2"
	"    AND NOT EXISTS (SELECT FROM notice n WHERE n.account_id = s.account_id AND n.notice_no = s.step_no)",
	.arg_types = {"bigint[]", "timestamptz"},
	.is_generic = true
};

uint64
closure_notify(ArrayType *account_ids, TimestampTz at)
{
	Datum		values[] = {PointerGetDatum(account_ids), TimestampTzGetDatum(at)};
	uint64		notices = plan_execute(&notify_plan, values, NULL, false);

	if (notices > 0)
		kb_wake_workers();
	return notices;
}

/* kb_notify_closures(account_ids, at) */
PG_FUNCTION_INFO_V1(kb_notify_closures);
Datum
kb_notify_closures(PG_FUNCTION_ARGS)
{
	uint64		notices;

	arg_required(fcinfo, 0, "account_ids");
	arg_required(fcinfo, 1, "at");
	plan_connect();
	notices = closure_notify(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_TIMESTAMPTZ(1));
	SPI_finish();
	PG_RETURN_INT64(notices);
}

/* Take a step of one account, and tell of it */
static void
take_step(const LockedAccount *account, const Step *step)
{
	Datum		id = Int64GetDatum(account->account_id);
	ArrayType  *account_ids = construct_array(&id, 1, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE);

	(void) take_steps(account_ids, account->at, step);
	(void) closure_notify(account_ids, account->at);
}

void
closure_cancel_for_topup(const LockedAccount *account, const char *member)
{
	take_step(account, &(Step) {.kind = "cancelled", .by = member ? member : "top-up", .reason = "topup"});
}

/* Lock an account that is not deleted */
static void
lock_open(int64 account_id, LockedAccount *account)
{
	journal_lock(account_id, kb_current_time(), account);
	if (account->is_deleted)
		ereport(ERROR,
				(errcode(ERRCODE_KB_ACCOUNT_DELETED),
				 errmsg("account %lld is deleted", (long long) account_id),
				 errdetail("Nothing about a deleted account is changed."),
				 errhint(RESTORE_HINT)));
}

/* Whether D1 allows a closure, and what it asks */
static SavedPlan terms_plan = {
	.sql = "SELECT t.today, t.created_on, t.active_on, t.may_close_on, t.min_age_days, t.inactive_days, t.has_money"
	"  FROM kb_closure_terms(ARRAY[$1], $2) t",
	.arg_types = {"bigint", "timestamptz"},
	.is_generic = true
};

/* Its columns */
enum
{
	TERMS_TODAY = 1, TERMS_CREATED_ON, TERMS_ACTIVE_ON, TERMS_MAY_CLOSE_ON, TERMS_MIN_AGE_DAYS, TERMS_INACTIVE_DAYS,
	TERMS_HAS_MONEY
};

/* Add a sentence to others */
static void
add_sentence(StringInfo text, char *sentence)
{
	appendStringInfo(text, "%s%s", text->len > 0 ? " " : "", sentence);
}

/* The conditions that are not met, a sentence each */
static char *
unmet_conditions(const LockedAccount *account, bool has_money)
{
	DateADT		today = plan_date(TERMS_TODAY);
	int			age = today - plan_date(TERMS_CREATED_ON);
	int			idle = today - plan_date(TERMS_ACTIVE_ON);
	StringInfoData text;

	initStringInfo(&text);
	if (age <= plan_int32(TERMS_MIN_AGE_DAYS))
		add_sentence(&text, psprintf("It was created %d days ago, and must be older than %d days.", age, plan_int32(TERMS_MIN_AGE_DAYS)));
	if (idle < plan_int32(TERMS_INACTIVE_DAYS))
		add_sentence(&text, psprintf("It was last used %d days ago, and must be idle for %d days.", idle, plan_int32(TERMS_INACTIVE_DAYS)));
	if (has_money)
		add_sentence(&text, psprintf("Its balance is %s, and must be zero or less.", money_to_cstring(account->balance)));
	return text.data;
}

/* D1: the conditions for a closure by hand */
static void
require_unused(const LockedAccount *account)
{
	Datum		values[] = {Int64GetDatum(account->account_id), TimestampTzGetDatum(account->at)};
	bool		has_money;
	DateADT		may_close_on;

	plan_execute(&terms_plan, values, NULL, false);
	has_money = plan_bool(TERMS_HAS_MONEY);
	may_close_on = plan_date(TERMS_MAY_CLOSE_ON);
	if (!has_money && may_close_on <= account->today)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_KB_CLOSURE_CONDITIONS_NOT_MET),
			 errmsg("account %lld may not be closed", (long long) account->account_id),
			 errdetail_internal("%s", unmet_conditions(account, has_money)),
			 may_close_on > account->today ?
			 errhint("It may be closed from %s on, if nobody uses it until then and its balance is zero or less (D1).",
					 date_to_cstring(may_close_on)) :
			 errhint("Pay the balance back with kb_refund first, or take it off with kb_adjust (D1).")));
}

/* Refuse an empty name */
static void
check_by(const char *by)
{
	if (*by == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("by must not be empty")));
}

static SavedPlan delete_on_plan = {
	.sql = "SELECT a.delete_on FROM account a WHERE a.account_id = $1",
	.arg_types = {"bigint"},
	.is_generic = true
};

/* kb_schedule_closure(account_id, by, reason) */
PG_FUNCTION_INFO_V1(kb_schedule_closure);
Datum
kb_schedule_closure(PG_FUNCTION_ARGS)
{
	Step		step = {.kind = "scheduled", .by = arg_cstring(fcinfo, 1), .reason = arg_cstring(fcinfo, 2)};
	LockedAccount account;
	DateADT		delete_on;

	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "by");
	check_by(step.by);
	if (strcmp(step.by, "sweep") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("by must not be \"sweep\""),
				 errdetail("That name is for closures that the sweep schedules by itself."),
				 errhint("Say who wants the account closed.")));
	plan_connect();
	lock_open(PG_GETARG_INT64(0), &account);
	if (!account.is_closing)
	{
		require_unused(&account);
		take_step(&account, &step);
	}
	plan_execute(&delete_on_plan, &PG_GETARG_DATUM(0), NULL, false);
	delete_on = plan_date(1);
	SPI_finish();
	PG_RETURN_DATEADT(delete_on);
}

static SavedPlan role_plan = {
	.sql = "SELECT m.role = 'employee' FROM member m WHERE m.account_id = $1 AND m.member = $2",
	.arg_types = {"bigint", "text"},
	.is_generic = true
};

/* D4: only an owner or admin cancels */
static void
require_canceller(const LockedAccount *account, const char *member)
{
	Datum		values[] = {Int64GetDatum(account->account_id), CStringGetTextDatum(member)};

	if (plan_execute(&role_plan, values, NULL, false) == 0)
		member_require(account->account_id, member);
	else if (plan_bool(1))
		ereport(ERROR,
				(errcode(ERRCODE_KB_ROLE_NOT_ALLOWED),
				 errmsg("member \"%s\" may not cancel the closure of account %lld", member, (long long) account->account_id),
				 errdetail("Only an owner or admin can cancel it (D4)."),
				 errhint("Ask an owner or admin, or log in: an account that is used is not deleted.")));
}

/* kb_cancel_closure(account_id, member) */
PG_FUNCTION_INFO_V1(kb_cancel_closure);
Datum
kb_cancel_closure(PG_FUNCTION_ARGS)
{
	Step		step = {.kind = "cancelled", .by = arg_cstring(fcinfo, 1), .reason = "member", .used = true};
	LockedAccount account;

	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "member");
	plan_connect();
	lock_open(PG_GETARG_INT64(0), &account);
	require_canceller(&account, step.by);
	if (!account.is_closing)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("account %lld is not closing", (long long) account.account_id),
				 errdetail("It is active."),
				 errhint("There is nothing to cancel.")));
	take_step(&account, &step);
	SPI_finish();
	PG_RETURN_VOID();
}

/* D5: the account must be deleted, and the days to restore it must not be over */
static void
require_restorable(const LockedAccount *account)
{
	if (!account->is_deleted)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("account %lld is not deleted", (long long) account->account_id),
				 errdetail("It is %s.", account->is_closing ? "closing" : "active"),
				 errhint("There is nothing to restore.")));
	if (account->is_purged || account->closure_check_on.date <= account->today)
		ereport(ERROR,
				(errcode(ERRCODE_KB_ACCOUNT_DELETED),
				 errmsg("account %lld cannot be restored", (long long) account->account_id),
				 account->is_purged ? errdetail("Its data is gone (D6).") :
				 errdetail("It could be restored until %s (D5).", date_to_cstring(account->closure_check_on.date - 1)),
				 errhint("Create a new account.")));
}

/* The months up to a day that are not charged never will be (D5) */
static SavedPlan skip_plan = {
	.sql = "WITH skipped AS ("
	"  INSERT INTO skipped_month (account_id, period)"
	"  SELECT a.account_id, m::date"
	"    FROM account a,"
	"         generate_series(kb_month_first_day(a.charged_through + 1)::timestamp, $2::timestamp, interval '1 month') m"
	"   WHERE a.account_id = $1"
	")"
	"UPDATE account a SET charged_through = $2 WHERE a.account_id = $1 AND a.charged_through < $2",
	.arg_types = {"bigint", "date"},
	.is_generic = true
};

/* kb_restore_account(account_id, by) */
PG_FUNCTION_INFO_V1(kb_restore_account);
Datum
kb_restore_account(PG_FUNCTION_ARGS)
{
	Step		step = {.kind = "restored", .by = arg_cstring(fcinfo, 1), .used = true};
	LockedAccount account;
	Datum		skip[2];

	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "by");
	check_by(step.by);
	plan_connect();
	journal_lock(PG_GETARG_INT64(0), kb_current_time(), &account);
	require_restorable(&account);
	skip[0] = PG_GETARG_DATUM(0);
	skip[1] = DateADTGetDatum(month_first_day(account.today) - 1);
	journal_write(&skip_plan, skip, NULL);
	take_step(&account, &step);
	SPI_finish();
	PG_RETURN_VOID();
}
