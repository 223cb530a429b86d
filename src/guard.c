/*
 * guard.c
 *		Enforcement in the application's own tables: the guard of writes (E1), and
 *		what row security policies ask (E2).
 *
 * Both decide once for each account of a statement, and remember it in the state
 * of the call, which the executor drops with the statement.
 */
#include "postgres.h"

#include "account.h"
#include "access/stratnum.h"
#include "access/xact.h"
#include "args.h"
#include "calendar.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "errors.h"
#include "fmgr.h"
#include "member.h"
#include "miscadmin.h"
#include "money.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "plan.h"
#include "purge.h"
#include "rowtrigger.h"
#include "session.h"
#include "shard.h"
#include "status.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define GUARD_HINT \
	"Attach it so: CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON ... FOR EACH ROW " \
	"EXECUTE FUNCTION kbilling.kb_guard('account column'); " \
	"or for each kind of statement AFTER, REFERENCING NEW TABLE AS added or OLD TABLE AS removed (UPDATE: both), FOR EACH STATEMENT."

/* The trigger's arguments; the second, 'member', says that one is required. */
enum
{
	ARG_ACCOUNT, ARG_MEMBER, MAX_ARGS
};

#define MEMBER_WORD		"member"

/* What is known of an account's access. */
typedef struct Decision
{
	bool		exists;
	bool		is_member;		/* of the account: the one that was asked for */
	bool		is_payer;		/* that member: an owner or admin */
	bool		may_write;
	char	   *stage;
	char	   *access;
	bool		deleted;
	Money		amount_due;
	OptionalDate debt_since;
	OptionalDate ended_on;		/* the last day of its contract, which is over */
} Decision;

/*
 * These run under the search path of whoever writes or reads, so they name schemas.
 *
 * An account that is alive and has no debt is at stage "ok", where every member has full access (S2, S3) unless its contract
 * has ended: most are, and need no more than their row.
 */
#define IS_CLEAR \
	"(a.debt_since IS NULL AND a.ends_on IS NULL AND a.state OPERATOR(pg_catalog.=) ANY ('{active,closing}'))"

/* The access of a role at the stage and in the state of a row of account_now */
#define ACCESS_AS(role) \
	"kbilling_internal.kb_access_for(s.stage, " role ", s.state OPERATOR(pg_catalog.=) ANY ('{deleted,purged}'), s.is_ended)"
#define MAY_WRITE \
	"x.access OPERATOR(pg_catalog.=) ANY ('{full,full_with_reminder}')"

/* A member's access follows from the role (S3); without a member it is an employee's. */
static SavedPlan decision_plan = {
	.sql = "SELECT x.access::pg_catalog.text, " MAY_WRITE ", s.stage::pg_catalog.text,"
	"       s.state OPERATOR(pg_catalog.=) ANY ('{deleted,purged}'), kbilling_internal.kb_amount_due(s.balance), s.debt_since,"
	"       m.role IS NOT NULL, COALESCE(m.role OPERATOR(pg_catalog.=) ANY ('{owner,admin}'), false),"
	"       CASE WHEN s.is_ended THEN s.ends_on END"
	"  FROM kbilling_internal.account_now s"
	"  LEFT JOIN kbilling.member m ON m.account_id OPERATOR(pg_catalog.=) s.account_id AND m.member OPERATOR(pg_catalog.=) $2"
	" CROSS JOIN LATERAL (SELECT " ACCESS_AS("COALESCE(m.role, 'employee')") " AS access) x"
	" WHERE s.account_id OPERATOR(pg_catalog.=) $1",
	.arg_types = {"bigint", "pg_catalog.text"},
	.is_generic = true
};

/* The first of many accounts for which nobody in particular may write; one that is not there is such, too */
static SavedPlan refused_plan = {
	.sql = "SELECT i.account_id"
	"  FROM pg_catalog.unnest($1) WITH ORDINALITY i (account_id, n)"
	"  LEFT JOIN kbilling.account a ON a.account_id OPERATOR(pg_catalog.=) i.account_id"
	" WHERE CASE WHEN " IS_CLEAR " THEN false"
	"       ELSE (SELECT " MAY_WRITE " FROM kbilling_internal.account_now s"
	"              CROSS JOIN LATERAL (SELECT " ACCESS_AS("'employee'") " AS access) x"
	"              WHERE s.account_id OPERATOR(pg_catalog.=) i.account_id) IS NOT TRUE END"
	" ORDER BY i.n LIMIT 1",
	.arg_types = {"bigint[]"},
	.is_generic = true
};

/*
 * Whether the account is clear, and has the member, unless that is NULL.  Without a statement: most writes are of one
 * row, and a statement would cost more than the rest of its guard.
 */
static bool
is_clear(int64 account_id, const char *member)
{
	return status_is_clear(account_id) && (member == NULL || member_exists(account_id, member));
}

/* Look an account up; member may be NULL */
static Decision
decide(int64 account_id, const char *member)
{
	char		nulls[] = "  ";
	Datum		values[] = {Int64GetDatum(account_id), plan_text_value(member, &nulls[1])};

	if (plan_execute(&decision_plan, values, nulls, true) == 0)
		return (Decision) {0};
	return (Decision) {
		.exists = true,
		.access = plan_cstring(1),
		.may_write = plan_bool(2),
		.stage = plan_cstring(3),
		.deleted = plan_bool(4),
		.amount_due = plan_money(5),
		.debt_since = plan_optional_date(6),
		.is_member = plan_bool(7),
		.is_payer = plan_bool(8),
		.ended_on = plan_optional_date(9)
	};
}

/*
 * Whether a role may call a function of kbilling that is not for everyone, or read
 * accounts.  What the right "tables" gives says nothing of an account.
 */
static SavedPlan has_right_plan = {
	.sql = "SELECT pg_catalog.has_table_privilege($1, 'kbilling.account', 'SELECT') OR EXISTS ("
	"  SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace"
	"   WHERE n.nspname OPERATOR(pg_catalog.=) ANY ('{kbilling,kbilling_internal}')"
	"     AND p.proname OPERATOR(pg_catalog.<>) ALL ('{kb_guard,kb_meter,kb_granted_as_tables}')"
	"     AND pg_catalog.has_function_privilege($1, p.oid, 'EXECUTE')"
	"     AND NOT pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE'))",
	.arg_types = {"pg_catalog.oid"}
};

/* The same in C */
static bool
has_right(Oid role)
{
	Datum		value = ObjectIdGetDatum(role);

	plan_execute(&has_right_plan, &value, NULL, true);
	return plan_bool(1);
}

/*
 * E5: sums and dates are for an acting member who may pay, and for roles with rights.
 * The error passes through the function that writes to the session, so both count.
 */
static bool
may_be_told(const Decision *decision, Oid writer)
{
	return decision->is_payer || (has_right(writer) && has_right(GetOuterUserId()));
}

/* Refuse a write, and say why; if it may be told, how much is due since when; and what helps */
static void
refuse_access(int64 account_id, const Actor *actor, const Decision *decision, Oid writer)
{
	char	   *who = actor ? psprintf("member \"%s\" may not write for", actor->member) : "nothing may be written for";

	if (decision->deleted)
		ereport(ERROR,
				(errcode(ERRCODE_KB_ACCESS_DENIED),
				 errmsg("%s account %lld", who, (long long) account_id),
				 errdetail("The account is deleted (D5)."),
				 errhint(RESTORE_HINT)));
	if (decision->ended_on.exists)
		ereport(ERROR,
				(errcode(ERRCODE_KB_ACCESS_DENIED),
				 errmsg("%s account %lld", who, (long long) account_id),
				 errdetail("Its contract ended on %s; access is \"%s\" (X2).", date_to_cstring(decision->ended_on.date), decision->access),
				 errhint("Create a new account with kb_create_account.")));
	if (!may_be_told(decision, writer))
		ereport(ERROR,
				(errcode(ERRCODE_KB_ACCESS_DENIED),
				 errmsg("%s account %lld", who, (long long) account_id),
				 errdetail("Its stage is \"%s\"; access is \"%s\" (S3).", decision->stage, decision->access),
				 errhint("An owner or admin can top up at any time (T1).")));
	ereport(ERROR,
			(errcode(ERRCODE_KB_ACCESS_DENIED),
			 errmsg("%s account %lld", who, (long long) account_id),
			 errdetail("Its stage is \"%s\": %s is due since %s; access is \"%s\" (S3).", decision->stage,
					   money_to_cstring(decision->amount_due),
					   decision->debt_since.exists ? date_to_cstring(decision->debt_since.date) : "now", decision->access),
			 errhint("An owner or admin can top up at any time (T1); paying %s restores full access.",
					 money_to_cstring(decision->amount_due))));
}

/* E1: the write of one account's row by a role, or KB003 */
static void
check_may_write(int64 account_id, bool needs_member, Oid writer)
{
	const Actor *actor = session_actor();
	Decision	decision;

	if (actor == NULL && needs_member)
		ereport(ERROR,
				(errcode(ERRCODE_KB_ACCESS_DENIED),
				 errmsg("nothing may be written for account %lld without a member", (long long) account_id),
				 errdetail("The guard requires an acting member, and the transaction has none (E4)."),
				 errhint("Call kb_act_as first, in the same transaction.")));
	if (actor != NULL && actor->account_id != account_id)
		ereport(ERROR,
				(errcode(ERRCODE_KB_ACCESS_DENIED),
				 errmsg("member \"%s\" of account %lld may not write for account %lld", actor->member,
						(long long) actor->account_id, (long long) account_id),
				 errdetail("The transaction acts for that member (E4)."),
				 errhint("Call kb_act_as for a member of the account to be written for.")));

	if (is_clear(account_id, actor ? actor->member : NULL))
		return;
	plan_connect();
	decision = decide(account_id, actor ? actor->member : NULL);
	if (!decision.exists)
		ereport(ERROR, NO_SUCH_ACCOUNT(account_id));
	if (actor != NULL && !decision.is_member)
		ereport(ERROR,
				(errcode(ERRCODE_KB_ACCESS_DENIED),
				 errmsg("\"%s\" is no longer a member of account %lld", actor->member, (long long) account_id),
				 errdetail("The member was removed after the transaction had begun to act for it."),
				 errhint("Act for another member.")));
	if (!decision.may_write)
		refuse_access(account_id, actor, &decision, writer);
	SPI_finish();
}

/* The same for many accounts by nobody in particular: the first that is refused raises */
static void
check_many_may_write(ArrayType *account_ids, Oid writer)
{
	Datum		value = PointerGetDatum(account_ids);
	int64		refused = 0;
	bool		found;

	plan_connect();
	found = plan_execute(&refused_plan, &value, NULL, true) > 0;
	if (found)
		refused = plan_int64(1);
	SPI_finish();
	if (!found)
		return;
	check_may_write(refused, false, writer);
	elog(ERROR, "an account is refused among many, but not by itself");
}

/* kb_check_access(account_ids, needs_member, writer): with the owner's rights */
PG_FUNCTION_INFO_V1(kb_check_access);
Datum
kb_check_access(PG_FUNCTION_ARGS)
{
	ArrayType  *array;
	Datum	   *account_ids;
	int			n;
	bool		needs_member;

	arg_required(fcinfo, 0, "account_ids");
	arg_required(fcinfo, 2, "writer");
	array = PG_GETARG_ARRAYTYPE_P(0);
	needs_member = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &account_ids, NULL, &n);
	for (int i = 0; i < n; i++)
		shard_require_owned(DatumGetInt64(account_ids[i]));
	if (n > 1 && session_actor() == NULL && !needs_member)
		check_many_may_write(array, PG_GETARG_OID(2));
	else
		for (int i = 0; i < n; i++)
			check_may_write(DatumGetInt64(account_ids[i]), needs_member, PG_GETARG_OID(2));
	PG_RETURN_VOID();
}

/*
 * A function of the extension that runs with its owner's rights.  It is called once
 * for an account, not for each row: switching rights costs more than the rest of a
 * guard.
 */
static Oid
own_function(const char *schema, const char *name, const Oid *types, int n)
{
	oidvector  *arguments = buildoidvector(types, n);
	Oid			function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
										   PointerGetDatum(arguments),
										   ObjectIdGetDatum(get_namespace_oid(schema, false)));

	if (!OidIsValid(function))
		elog(ERROR, "function %s is gone", name);
	return function;
}

/* The accounts for which a statement may write. */
typedef struct Guard
{
	MemoryContext context;		/* lives as long as the statement */
	FmgrInfo	check;			/* kb_check_access, once it has been called */
	const TriggerData *trigger;
	TriggerColumn account;
	bool		needs_member;
	uint64		actor;			/* number of the actor that they were checked for, 0: nobody */
	HTAB	   *allowed;		/* of int64; those that are to be checked yet, too */
	ArrayBuildState *new_ones;	/* these, in the order of the rows; NULL: none */
	int64		last;			/* account of the last row, if there was one: rows often come in runs */
	bool		has_last;
} Guard;

/* Check the accounts that are new to the statement, all at once */
static void
check_new_ones(Guard *guard)
{
	static const Oid own_arguments[] = {INT8ARRAYOID, BOOLOID, OIDOID};
	ArrayBuildState *new_ones = guard->new_ones;

	if (new_ones == NULL)
		return;
	guard->new_ones = NULL;
	if (!OidIsValid(guard->check.fn_oid))
		fmgr_info_cxt(own_function("kbilling_internal", "kb_check_access", own_arguments, lengthof(own_arguments)),
					  &guard->check, guard->context);
	(void) FunctionCall3(&guard->check, makeArrayResult(new_ones, CurrentMemoryContext), BoolGetDatum(guard->needs_member),
						 ObjectIdGetDatum(GetUserId()));
	pfree(new_ones);
}

/* Note the account of a row, if it is new to the statement */
static void
note_row(TupleTableSlot *slot, void *state)
{
	Guard	   *guard = state;
	int64		account_id;
	bool		is_known;

	if (slot_attisnull(slot, guard->account.attnum))
		check_new_ones(guard);	/* as the rows before it are wrong first */
	account_id = trigger_integer(trigger_value(guard->trigger, slot, &guard->account), guard->account.type);
	if (guard->has_last && guard->last == account_id)
		return;
	if (purge_is_emptying(account_id))
		return;
	(void) hash_search(guard->allowed, &account_id, HASH_ENTER, &is_known);
	if (!is_known)
	{
		if (guard->new_ones == NULL)
			guard->new_ones = initArrayResult(INT8OID, guard->context, false);
		accumArrayResult(guard->new_ones, Int64GetDatum(account_id), false, INT8OID, guard->context);
	}
	guard->last = account_id;
	guard->has_last = true;
}

/* Check the account of a row, unless the statement has done so */
static void
check_row(TupleTableSlot *slot, Guard *guard)
{
	note_row(slot, guard);
	check_new_ones(guard);
}

/* Whether the trigger has the second argument, which can only be that word */
static bool
has_member_word(const TriggerData *trigger)
{
	return trigger->tg_trigger->tgnargs > ARG_MEMBER;
}

/* The trigger must be one that sees the rows */
static void
check_guard_attachment(const TriggerData *trigger)
{
	TriggerEvent event = trigger->tg_event;

	if (TRIGGER_FIRED_BY_TRUNCATE(event))
		trigger_refuse(trigger, "TRUNCATE does not tell whose rows it removes.", GUARD_HINT);
	if (TRIGGER_FIRED_INSTEAD(event))
		trigger_refuse(trigger, "Rows of a view are guarded in the tables to which they are written.", GUARD_HINT);
	if (trigger->tg_trigger->tgnargs <= ARG_ACCOUNT || trigger->tg_trigger->tgnargs > MAX_ARGS ||
		(has_member_word(trigger) && strcmp(trigger->tg_trigger->tgargs[ARG_MEMBER], MEMBER_WORD) != 0))
		trigger_refuse(trigger, "It takes 1 or 2 arguments: the account column, and '" MEMBER_WORD "' to require an acting member.",
					   GUARD_HINT);
	if (TRIGGER_FIRED_FOR_ROW(event))
		return;
	if (!TRIGGER_FIRED_AFTER(event))
		trigger_refuse(trigger, "The rows of a statement are not known before it has run.", GUARD_HINT);
	if (!TRIGGER_FIRED_BY_DELETE(event) && trigger->tg_newtable == NULL)
		trigger_refuse(trigger, "The new rows are missing: REFERENCING NEW TABLE AS added.", GUARD_HINT);
	if (!TRIGGER_FIRED_BY_INSERT(event) && trigger->tg_oldtable == NULL)
		trigger_refuse(trigger, "The old rows are missing: REFERENCING OLD TABLE AS removed.", GUARD_HINT);
}

/* What the trigger's arguments say, checked; it lives as long as the statement */
static Guard *
make_guard(FunctionCallInfo fcinfo, const TriggerData *trigger)
{
	Guard	   *guard = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Guard));
	HASHCTL		accounts = {.keysize = sizeof(int64),.entrysize = sizeof(int64),.hcxt = fcinfo->flinfo->fn_mcxt};

	check_guard_attachment(trigger);
	guard->context = fcinfo->flinfo->fn_mcxt;
	guard->trigger = trigger;
	guard->account = trigger_column(trigger, ARG_ACCOUNT);
	if (guard->account.attnum == 0)
		trigger_refuse(trigger, "The account column is missing.", GUARD_HINT);
	trigger_check_integer(trigger, &guard->account);
	if (TRIGGER_FIRED_BEFORE(trigger->tg_event) &&
		TupleDescAttr(RelationGetDescr(trigger->tg_relation), guard->account.attnum - 1)->attgenerated != '\0')
		trigger_refuse(trigger, "The account column is generated, and has no value yet before the row is written.",
					   GUARD_HINT);
	guard->needs_member = has_member_word(trigger);
	guard->allowed = hash_create("guarded accounts", 64, &accounts, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return guard;
}

/* The statement's guard; a new one if the acting member has changed */
static Guard *
statement_guard(FunctionCallInfo fcinfo, const TriggerData *trigger)
{
	Guard	   *guard = fcinfo->flinfo->fn_extra;
	uint64		actor = session_actor() ? session_actor()->number : 0;

	if (guard == NULL || guard->actor != actor)
	{
		if (guard != NULL)
			hash_destroy(guard->allowed);
		guard = make_guard(fcinfo, trigger);
		guard->actor = actor;
		fcinfo->flinfo->fn_extra = guard;
	}
	guard->trigger = trigger;
	return guard;
}

/* Trigger: kb_guard(account column [, 'member']) */
PG_FUNCTION_INFO_V1(kb_guard);
Datum
kb_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Guard	   *guard;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("kb_guard is a trigger function"),
				 errhint(GUARD_HINT)));
	guard = statement_guard(fcinfo, trigger);
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
	{
		trigger_each_row(trigger, trigger->tg_oldtable, note_row, guard);
		trigger_each_row(trigger, trigger->tg_newtable, note_row, guard);
		check_new_ones(guard);
		return PointerGetDatum(NULL);
	}
	check_row(trigger->tg_trigslot, guard);
	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		return PointerGetDatum(trigger->tg_trigtuple);
	check_row(trigger->tg_newslot, guard);
	return PointerGetDatum(trigger->tg_newtuple);
}

/* kb_may_use(): with the owner's rights */
PG_FUNCTION_INFO_V1(kb_may_use);
Datum
kb_may_use(PG_FUNCTION_ARGS)
{
	const Actor *actor = session_actor();
	Decision	decision;

	if (actor == NULL)
		PG_RETURN_BOOL(false);
	if (is_clear(actor->account_id, actor->member))
		PG_RETURN_BOOL(true);
	plan_connect();
	decision = decide(actor->account_id, actor->member);
	SPI_finish();
	PG_RETURN_BOOL(decision.exists && decision.is_member && decision.may_write);
}

/* What a statement has found out about the acting member. */
typedef struct Sight
{
	uint64		actor;			/* number of the acting member */
	TimestampTz statement;		/* start of the statement: PL/pgSQL keeps this struct longer */
	CommandId	command;		/* the command in which it was found out */
	SubTransactionId subxact;	/* the subtransaction in which it was found out */
	bool		may_use;		/* what was found out */
} Sight;

/* E2: kb_can_use(account_id) */
PG_FUNCTION_INFO_V1(kb_can_use);
Datum
kb_can_use(PG_FUNCTION_ARGS)
{
	const Actor *actor = session_actor();
	Sight	   *sight = fcinfo->flinfo->fn_extra;

	if (actor == NULL || PG_ARGISNULL(0) || PG_GETARG_INT64(0) != actor->account_id)
		PG_RETURN_BOOL(false);
	if (sight == NULL)
	{
		sight = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Sight));
		fcinfo->flinfo->fn_extra = sight;
	}
	if (sight->actor != actor->number || sight->statement != GetCurrentStatementStartTimestamp() ||
		sight->command != GetCurrentCommandId(false) || sight->subxact != GetCurrentSubTransactionId())
	{
		sight->may_use = DatumGetBool(OidFunctionCall0(own_function("kbilling_internal", "kb_may_use", NULL, 0)));
		sight->actor = actor->number;
		sight->statement = GetCurrentStatementStartTimestamp();
		sight->command = GetCurrentCommandId(false);
		sight->subxact = GetCurrentSubTransactionId();
	}
	PG_RETURN_BOOL(sight->may_use);
}

/* kb_can_use(column) implies column = kb_acting_account(), which an index can find */
static List *
index_condition(const SupportRequestIndexCondition *request)
{
	Oid			equals = get_opfamily_member(request->opfamily, INT8OID, INT8OID, BTEqualStrategyNumber);
	FuncExpr   *acting;

	if (!is_funcclause(request->node) || request->indexarg != 0 || !OidIsValid(equals))
		return NIL;
	acting = makeFuncExpr(own_function("kbilling", "kb_acting_account", NULL, 0), INT8OID, NIL, InvalidOid, InvalidOid,
						  COERCE_EXPLICIT_CALL);
	return list_make1(make_opclause(equals, BOOLOID, false, linitial(((const FuncExpr *) request->node)->args),
									(Expr *) acting, InvalidOid, InvalidOid));
}

/* kb_can_use_support(request) */
PG_FUNCTION_INFO_V1(kb_can_use_support);
Datum
kb_can_use_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	List	   *conditions = NIL;

	if (IsA(request, SupportRequestIndexCondition))
	{
		conditions = index_condition((SupportRequestIndexCondition *) request);
		((SupportRequestIndexCondition *) request)->lossy = true;
	}
	PG_RETURN_POINTER(conditions);
}
