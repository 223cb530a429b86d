/*
 * account.c
 *		Accounts: rows of kbilling.account.
 */
#include "postgres.h"

#include "account.h"
#include "args.h"
#include "card.h"
#include "clock.h"
#include "compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "plan.h"
#include "shard.h"
#include "utils/fmgrprotos.h"

/* kb_require_account pins no search path, so this names schemas. */
static SavedPlan account_plan = {
	.sql = "SELECT FROM kbilling.account a WHERE a.account_id OPERATOR(pg_catalog.=) $1",
	.arg_types = {"bigint"}
};

/* There must be such an account */
static void
require_account(int64 account_id)
{
	Datum		value = Int64GetDatum(account_id);

	if (plan_execute(&account_plan, &value, NULL, true) == 0)
		ereport(ERROR, NO_SUCH_ACCOUNT(account_id));
}

Datum
account_rows(FunctionCallInfo fcinfo, SavedPlan *plan)
{
	Datum		account_id = PG_GETARG_DATUM(0);

	arg_required(fcinfo, 0, "account_id");
	shard_require_readable(DatumGetInt64(account_id));
	InitMaterializedSRF(fcinfo, 0);
	plan_connect();
	if (plan_execute(plan, &account_id, NULL, true) > 0)
		plan_return_rows(fcinfo);
	else
		require_account(DatumGetInt64(account_id));
	SPI_finish();
	return (Datum) 0;
}

/* kb_require_account(account_id) */
PG_FUNCTION_INFO_V1(kb_require_account);
Datum
kb_require_account(PG_FUNCTION_ARGS)
{
	arg_required(fcinfo, 0, "account_id");
	shard_require_readable(PG_GETARG_INT64(0));
	plan_connect();
	require_account(PG_GETARG_INT64(0));
	SPI_finish();
	PG_RETURN_VOID();
}

/* Arguments of kb_create_account */
enum
{
	ARG_OWNER, ARG_TARIFF, ARG_ACCOUNT_ID, ARG_TIME_ZONE, ARG_EMAIL, ARG_CREATED_AT
};

/* $1 the tariff, $2 the e-mail address, $3 the account's number */
static SavedPlan facts_plan = {
	.sql = "SELECT EXISTS (SELECT FROM tariff t WHERE t.tariff = $1), kb_is_email($2) IS NOT FALSE,"
	"       EXISTS (SELECT FROM account a WHERE a.account_id = $3)",
	.arg_types = {"text", "text", "bigint"},
	.is_generic = true
};

/* Its columns */
enum
{
	FACT_TARIFF_EXISTS = 1, FACT_EMAIL_IS_VALID, FACT_ACCOUNT_EXISTS
};

/* Refuse a tariff that is not there */
pg_noreturn static void
refuse_tariff(const char *tariff)
{
	card_check(tariff);
	ereport(ERROR,
			(errcode(ERRCODE_KB_UNKNOWN_SERVICE_OR_TARIFF),
			 errmsg("tariff \"%s\" does not exist", tariff),
			 errdetail("kbilling.tariff has no such row."),
			 errhint("Create it with kb_create_tariff, or look it up in kbilling.tariff.")));
}

/* Refuse a tariff that is not there, and what is no e-mail address */
static void
check_names(FunctionCallInfo fcinfo)
{
	if (!plan_bool(FACT_TARIFF_EXISTS))
		refuse_tariff(arg_cstring(fcinfo, ARG_TARIFF));
	if (!plan_bool(FACT_EMAIL_IS_VALID))
	{
		char	   *email = arg_cstring(fcinfo, ARG_EMAIL);

		card_check(email);
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not an e-mail address", email),
				 errdetail("It has one @ with something on both sides, no blanks or control characters, and at most 254 bytes."),
				 errhint("Give one address, such as anna@example.org, or NULL for a member who gets no notices.")));
	}
}

/* Refuse a moment at which no account can have begun */
static void
check_created_at(TimestampTz at)
{
	const TimestampTz epoch = (UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	char	   *str = DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(at)));

	if (TIMESTAMP_NOT_FINITE(at) || at < epoch)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("created_at must be in 1970 or later"),
				 errdetail("It is %s.", str)));
	if (at > kb_current_time())
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("an account cannot be created in the future"),
				 errdetail("created_at is %s.", str)));
}

/* Refuse a number that an account cannot get */
static void
check_number(int64 account_id)
{
	if (account_id <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("account_id must be above zero")));
	shard_require_owned(account_id);
	if (plan_bool(FACT_ACCOUNT_EXISTS))
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("account %lld exists already", (long long) account_id),
				 errhint("Leave account_id out to get a free number.")));
}

/* B4: a node that owns no account has no number for one */
pg_noreturn static void
refuse_number(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_KB_ACCOUNT_ON_ANOTHER_SHARD),
			 errmsg("accounts are on other shards"),
			 errdetail("This node owns no bucket, so it has no number for a new account."),
			 errhint("Create the account through the router, or on a node that owns buckets.")));
}

/*
 * $1 the owner, $2 the tariff, $3 the number or NULL, $4 the time zone or NULL, $5 the e-mail address or NULL, $6 when.
 * A number that the application has brought itself is passed over, and so is one of another shard; it is looked up as a
 * value, because EXISTS becomes a join that reads all accounts.
 */
static SavedPlan create_plan = {
	.sql = "WITH RECURSIVE pick(id) AS ("
	"  SELECT coalesce($3, nextval('kbilling.account_id_seq'::regclass))"
	"   UNION ALL"
	"  SELECT nextval('kbilling.account_id_seq'::regclass) FROM pick"
	"   WHERE $3 IS NULL AND ((SELECT a.account_id FROM account a WHERE a.account_id = pick.id) IS NOT NULL"
	"                         OR NOT kb_is_owned(pick.id))"
	"), new AS ("
	"  SELECT pick.id, t.tariff, kb_money(0, t.currency) AS zero, kb_time_zone(coalesce($4, 'UTC')) AS zone, p.min_age_days"
	"    FROM pick, tariff t JOIN policy p ON p.policy = t.policy"
	"   WHERE t.tariff = $2"
	"     AND (pick.id = $3 OR (SELECT a.account_id FROM account a WHERE a.account_id = pick.id) IS NULL AND kb_is_owned(pick.id))"
	"), made AS ("
	"  INSERT INTO account (account_id, created_at, currency, balance, unspent_bonus, tariff, tariff_from, charged_through,"
	"                       closure_check_on, time_zone)"
	"  SELECT n.id, $6, kb_currency(n.zero), n.zero, n.zero, n.tariff, d.first_day, d.first_day - 1,"
	"         d.first_day + n.min_age_days + 1, n.zone"
	"    FROM new n CROSS JOIN LATERAL (SELECT kb_account_date($6, n.zone) AS first_day OFFSET 0) d"
	"  RETURNING account.account_id"
	")"
	"INSERT INTO member (account_id, member, role, email)"
	" SELECT made.account_id, $1, 'owner', $5 FROM made RETURNING member.account_id",
	.arg_types = {"text", "text", "bigint", "text", "text", "timestamptz"},
	.is_generic = true
};

/* Write the account and its owner; the account's number */
static int64
create_account(FunctionCallInfo fcinfo)
{
	char		nulls[] = "      ";
	Datum		values[] = {PG_GETARG_DATUM(ARG_OWNER), PG_GETARG_DATUM(ARG_TARIFF), PG_GETARG_DATUM(ARG_ACCOUNT_ID),
		PG_GETARG_DATUM(ARG_TIME_ZONE), PG_GETARG_DATUM(ARG_EMAIL),
		PG_ARGISNULL(ARG_CREATED_AT) ? TimestampTzGetDatum(kb_current_time()) : PG_GETARG_DATUM(ARG_CREATED_AT)
	};

	for (int i = ARG_ACCOUNT_ID; i <= ARG_EMAIL; i++)
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	if (plan_execute(&create_plan, values, nulls, false) != 1)
		refuse_tariff(arg_cstring(fcinfo, ARG_TARIFF)); /* gone since it was looked up */
	return plan_int64(1);
}

/* kb_create_account(owner, tariff, account_id, time_zone, email, created_at) */
PG_FUNCTION_INFO_V1(kb_create_account);
Datum
kb_create_account(PG_FUNCTION_ARGS)
{
	char		nulls[] = "   ";
	Datum		values[] = {PG_GETARG_DATUM(ARG_TARIFF), PG_GETARG_DATUM(ARG_EMAIL), PG_GETARG_DATUM(ARG_ACCOUNT_ID)};
	int64		account_id;

	arg_required(fcinfo, ARG_TARIFF, "tariff");
	nulls[1] = PG_ARGISNULL(ARG_EMAIL) ? 'n' : ' ';
	nulls[2] = PG_ARGISNULL(ARG_ACCOUNT_ID) ? 'n' : ' ';
	plan_connect();
	plan_execute(&facts_plan, values, nulls, false);
	check_names(fcinfo);
	if (PG_ARGISNULL(ARG_OWNER) || VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(ARG_OWNER)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("owner must not be null or empty")));
	if (!PG_ARGISNULL(ARG_CREATED_AT))
		check_created_at(PG_GETARG_TIMESTAMPTZ(ARG_CREATED_AT));
	if (!PG_ARGISNULL(ARG_ACCOUNT_ID))
		check_number(PG_GETARG_INT64(ARG_ACCOUNT_ID));
	else if (!shard_owns_any())
		refuse_number();
	account_id = create_account(fcinfo);
	shard_require_owned(account_id);
	SPI_finish();
	PG_RETURN_INT64(account_id);
}
