/*
 * posting.c
 *		The rules of a posting, as pure functions.
 */
#include "postgres.h"

#include "args.h"
#include "common/cryptohash.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "posting.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

Money
posting_bonus_after(Money bonus, Money delta, Money balance_after)
{
	int64		left = money_minor(money_add(bonus, delta));
	int64		most = Max(money_minor(balance_after), 0);

	money_check_same_currency(bonus, balance_after);
	return money_make(money_currency(bonus), Min(Max(left, 0), most));
}

OptionalDate
posting_debt_since(OptionalDate before, Money balance_after, DateADT effective_on)
{
	if (money_minor(balance_after) >= 0)
		return no_date();
	return before.exists ? before : optional_date(effective_on);
}

/* A missing field */
static void
append_null(StringInfo buf)
{
	pq_sendint32(buf, 0xFFFFFFFF);
}

/* A number */
static void
append_int(StringInfo buf, int64 value)
{
	pq_sendint32(buf, sizeof(value));
	pq_sendint64(buf, value);
}

/* A date that may be missing */
static void
append_date(StringInfo buf, OptionalDate d)
{
	if (d.exists)
		append_int(buf, d.date);
	else
		append_null(buf);
}

/* A text, in UTF-8 whatever the database's encoding, so that a dump can move between them */
static void
append_text(StringInfo buf, const char *str)
{
	char	   *utf8;
	int			len;

	if (str == NULL)
	{
		append_null(buf);
		return;
	}
	len = strlen(str);
	utf8 = pg_server_to_any(str, len, PG_UTF8);
	if (utf8 != str)
		len = strlen(utf8);
	pq_sendint32(buf, len);
	appendBinaryStringInfo(buf, utf8, len);
}

/* SHA-256 of a buffer */
static void
sha256(const StringInfo buf, uint8 hash[PG_SHA256_DIGEST_LENGTH])
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);

	if (ctx == NULL ||
		pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, (uint8 *) buf->data, buf->len) < 0 ||
		pg_cryptohash_final(ctx, hash, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not compute SHA-256: %s", pg_cryptohash_error(ctx));
	pg_cryptohash_free(ctx);
}

void
posting_hash(const uint8 *previous, const Entry *e, uint8 hash[PG_SHA256_DIGEST_LENGTH])
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (previous != NULL)
		appendBinaryStringInfo(&buf, (const char *) previous, PG_SHA256_DIGEST_LENGTH);
	append_int(&buf, e->account_id);
	append_int(&buf, e->seq);
	append_text(&buf, e->kind);
	append_text(&buf, money_to_cstring(e->amount));
	append_text(&buf, money_to_cstring(e->balance_after));
	append_text(&buf, money_to_cstring(e->bonus_after));
	append_date(&buf, e->debt_since);
	append_int(&buf, e->effective_on);
	append_int(&buf, e->posted_at);
	append_text(&buf, e->key);
	append_date(&buf, e->period);
	append_text(&buf, e->method);
	if (e->ref_seq > 0)
		append_int(&buf, e->ref_seq);
	else
		append_null(&buf);
	append_text(&buf, e->member);
	append_text(&buf, e->memo);
	append_text(&buf, e->lines ? JsonbToCString(NULL, &e->lines->root, VARSIZE(e->lines)) : NULL);
	sha256(&buf, hash);
	pfree(buf.data);
}

PG_FUNCTION_INFO_V1(kb_bonus_after);
Datum
kb_bonus_after(PG_FUNCTION_ARGS)
{
	PG_RETURN_MONEY(posting_bonus_after(PG_GETARG_MONEY(0), PG_GETARG_MONEY(1), PG_GETARG_MONEY(2)));
}

/* kb_debt_since(before, balance_after, effective_on) */
PG_FUNCTION_INFO_V1(kb_debt_since);
Datum
kb_debt_since(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	PG_RETURN_OPTIONAL_DATE(posting_debt_since(arg_date(fcinfo, 0), PG_GETARG_MONEY(1), PG_GETARG_DATEADT(2)));
}

/* kb_entry_hash(previous, and the columns of kbilling.entry in the order of Entry) */
PG_FUNCTION_INFO_V1(kb_entry_hash);
Datum
kb_entry_hash(PG_FUNCTION_ARGS)
{
	bytea	   *previous = PG_ARGISNULL(0) ? NULL : PG_GETARG_BYTEA_PP(0);
	bytea	   *result = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	Entry		e = {0};

	for (int i = 1; i <= 10; i++)
		if (PG_ARGISNULL(i) && i != 7)
			PG_RETURN_NULL();
	if (previous != NULL && VARSIZE_ANY_EXHDR(previous) != PG_SHA256_DIGEST_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the hash before an entry has %d bytes", PG_SHA256_DIGEST_LENGTH)));

	e.account_id = PG_GETARG_INT64(1);
	e.seq = PG_GETARG_INT64(2);
	e.kind = arg_cstring(fcinfo, 3);
	e.amount = PG_GETARG_MONEY(4);
	e.balance_after = PG_GETARG_MONEY(5);
	e.bonus_after = PG_GETARG_MONEY(6);
	e.debt_since = arg_date(fcinfo, 7);
	e.effective_on = PG_GETARG_DATEADT(8);
	e.posted_at = PG_GETARG_TIMESTAMPTZ(9);
	e.key = arg_cstring(fcinfo, 10);
	e.period = arg_date(fcinfo, 11);
	e.method = arg_cstring(fcinfo, 12);
	e.ref_seq = PG_ARGISNULL(13) ? 0 : PG_GETARG_INT64(13);
	e.member = arg_cstring(fcinfo, 14);
	e.memo = arg_cstring(fcinfo, 15);
	e.lines = PG_ARGISNULL(16) ? NULL : PG_GETARG_JSONB_P(16);

	posting_hash(previous ? (uint8 *) VARDATA_ANY(previous) : NULL, &e, (uint8 *) VARDATA(result));
	SET_VARSIZE(result, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	PG_RETURN_BYTEA_P(result);
}
