/*
 * member.c
 *		Members of an account: rows of kbilling.member.
 */
#include "postgres.h"

#include "account.h"
#include "args.h"
#include "card.h"
#include "errors.h"
#include "fmgr.h"
#include "member.h"
#include "plan.h"

/* These run under the search path of whoever calls kb_require_member, so they name schemas. */
static SavedPlan member_plan = {
	.sql = "SELECT FROM kbilling.member m"
	" WHERE m.account_id OPERATOR(pg_catalog.=) $1 AND m.member OPERATOR(pg_catalog.=) $2",
	.arg_types = {"bigint", "text"}
};

void
member_refuse(int64 account_id, const char *member)
{
	account_require(account_id, true);
	card_check(member);
	ereport(ERROR,
			(errcode(ERRCODE_KB_ROLE_NOT_ALLOWED),
			 errmsg("\"%s\" is not a member of account %lld", member, (long long) account_id),
			 errdetail("kbilling.member has no such row."),
			 errhint("Add the member with kb_add_member.")));
}

/* There must be such a member */
static void
require_member(int64 account_id, const char *member, bool read_only)
{
	Datum		values[] = {Int64GetDatum(account_id), CStringGetTextDatum(member)};

	if (plan_execute(&member_plan, values, NULL, read_only) == 0)
		member_refuse(account_id, member);
}

void
member_require(int64 account_id, const char *member)
{
	require_member(account_id, member, false);
}

/* kb_require_member(account_id, member) */
PG_FUNCTION_INFO_V1(kb_require_member);
Datum
kb_require_member(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "member");
	plan_connect();
	require_member(PG_GETARG_INT64(0), arg_cstring(fcinfo, 1), true);
	SPI_finish();
	PG_RETURN_VOID();
}

static SavedPlan payer_plan = {
	.sql = "SELECT m.role IN ('owner', 'admin') FROM member m WHERE m.account_id = $1 AND m.member = $2",
	.arg_types = {"bigint", "text"}
};

void
member_require_payer(int64 account_id, const char *member, const char *hint)
{
	Datum		values[] = {Int64GetDatum(account_id), CStringGetTextDatum(member)};

	if (plan_execute(&payer_plan, values, NULL, false) > 0 && plan_bool(1))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_KB_ROLE_NOT_ALLOWED),
			 errmsg("member \"%s\" may not top up account %lld", member, (long long) account_id),
			 errdetail("Only an owner or admin of the account can top it up (T1)."),
			 errhint("%s", hint)));
}
