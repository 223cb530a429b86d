/*
 * session.c
 *		Who is there: logins, and the member that a transaction acts for.
 *
 * That member is kept in the backend's memory, not in a setting: SET cannot forge it, and
 * only roles that may call kb_act_as can change it.  It ends with the transaction,
 * so a connection that a pool hands on acts for nobody.  Parallel workers do not
 * have it; what reads it is PARALLEL RESTRICTED.
 */
#include "postgres.h"

#include "access/xact.h"
#include "activity.h"
#include "args.h"
#include "fmgr.h"
#include "member.h"
#include "rowread.h"
#include "session.h"
#include "shard.h"
#include "standing.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* In TopTransactionContext, the current one first. */
static Actor *actor = NULL;

const Actor *
session_actor(void)
{
	return actor;
}

/* The transaction is over, or prepared */
static void
end_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		actor = NULL;
}

/* The member that a subtransaction has named is dropped with it, or passed to its parent */
static void
end_subtransaction(SubXactEvent event, SubTransactionId subxact, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (actor != NULL && actor->subxact == subxact)
			actor = actor->previous;
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (Actor *a = actor; a != NULL && a->subxact == subxact; a = a->previous)
			a->subxact = parent;
	}
}

void
session_init(void)
{
	RegisterXactCallback(end_transaction, NULL);
	RegisterSubXactCallback(end_subtransaction, NULL);
}

/* kb_login(account_id, member) */
PG_FUNCTION_INFO_V1(kb_login);
Datum
kb_login(PG_FUNCTION_ARGS)
{
	AccountStatus account;
	char	   *member;
	Role		role;
	Datum		decision;

	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "member");
	member = arg_cstring(fcinfo, 1);
	shard_require_owned(PG_GETARG_INT64(0));
	row_look_anew();
	role = member_role(PG_GETARG_INT64(0), member);
	if (activity_note(PG_GETARG_INT64(0), role, ACTIVITY_LOGIN))
	{
		PopActiveSnapshot();
		row_look_anew();
		role = member_role(PG_GETARG_INT64(0), member);
	}
	status_require(PG_GETARG_INT64(0), &account);
	decision = standing_decide(fcinfo, &account, role);
	PopActiveSnapshot();
	return decision;
}

/* E4: kb_act_as(account_id, member) */
PG_FUNCTION_INFO_V1(kb_act_as);
Datum
kb_act_as(PG_FUNCTION_ARGS)
{
	static uint64 calls = 0;
	Actor	   *named;
	char	   *member;

	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "member");
	member = arg_cstring(fcinfo, 1);
	shard_require_owned(PG_GETARG_INT64(0));
	row_look_anew();
	(void) activity_note(PG_GETARG_INT64(0), member_role(PG_GETARG_INT64(0), member), ACTIVITY_ACT);
	PopActiveSnapshot();

	named = MemoryContextAlloc(TopTransactionContext, sizeof(Actor));
	named->account_id = PG_GETARG_INT64(0);
	named->member = MemoryContextStrdup(TopTransactionContext, member);
	named->number = ++calls;
	named->subxact = GetCurrentSubTransactionId();
	named->previous = actor;
	actor = named;
	PG_RETURN_VOID();
}

/* kb_acting_account() */
PG_FUNCTION_INFO_V1(kb_acting_account);
Datum
kb_acting_account(PG_FUNCTION_ARGS)
{
	if (actor == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT64(actor->account_id);
}

/* kb_acting_member() */
PG_FUNCTION_INFO_V1(kb_acting_member);
Datum
kb_acting_member(PG_FUNCTION_ARGS)
{
	if (actor == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(actor->member));
}
