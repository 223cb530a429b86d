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
#include "rowread.h"
#include "shard.h"
#include "utils/snapmgr.h"

enum
{
	MEMBER_ACCOUNT_ID, MEMBER_MEMBER, MEMBER_ROLE
};

static ReadTable member_table = {.name = "member", .columns = {"account_id", "member", "role"}, .nkeys = 2};

static ReadTable account_table = {.name = "account", .columns = {"account_id"}, .nkeys = 1};

void
member_refuse(int64 account_id, const char *member)
{
	Datum		key = Int64GetDatum(account_id);
	ReadRow		row;

	if (!row_read(&account_table, &key, &row))
		ereport(ERROR, NO_SUCH_ACCOUNT(account_id));
	card_check(member);
	ereport(ERROR,
			(errcode(ERRCODE_KB_ROLE_NOT_ALLOWED),
			 errmsg("\"%s\" is not a member of account %lld", member, (long long) account_id),
			 errdetail("kbilling.member has no such row."),
			 errhint("Add the member with kb_add_member.")));
}

Role
member_role(int64 account_id, const char *member)
{
	Datum		key[] = {Int64GetDatum(account_id), CStringGetTextDatum(member)};
	ReadRow		row;

	if (!row_read(&member_table, key, &row))
		member_refuse(account_id, member);
	return role_of_value(row.values[MEMBER_ROLE]);
}

bool
member_exists(int64 account_id, const char *member)
{
	Datum		key[] = {Int64GetDatum(account_id), CStringGetTextDatum(member)};
	ReadRow		row;

	return row_read(&member_table, key, &row);
}

void
member_require(int64 account_id, const char *member)
{
	row_look_anew();
	(void) member_role(account_id, member);
	PopActiveSnapshot();
}

/* kb_require_member(account_id, member) */
PG_FUNCTION_INFO_V1(kb_require_member);
Datum
kb_require_member(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "member");
	shard_require_readable(PG_GETARG_INT64(0));
	(void) member_role(PG_GETARG_INT64(0), arg_cstring(fcinfo, 1));
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
