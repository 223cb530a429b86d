/*
 * posting.c
 *		The rules of a posting, as pure functions.
 */
#include "postgres.h"

#include "args.h"
#include "calendar.h"
#include "common/cryptohash.h"
#include "compat.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "posting.h"
#include "utf8.h"
#include "utils/timestamp.h"

/* T6 */
Money
posting_bonus_after(Money bonus, Money delta, Money balance_after)
{
	int64		left = money_minor(money_add(bonus, delta));
	int64		most = Max(money_minor(balance_after), 0);

	money_check_same_currency(bonus, balance_after);
	return money_make(money_currency(bonus), Min(Max(left, 0), most));
}

int64
posting_bonus_share(int64 unspent, int64 part, int64 remaining)
{
	int128		twice = 2 * (int128) unspent * part;

	Assert(unspent >= 0 && part >= 0 && part <= remaining && remaining > 0);
	return (int64) ((twice + remaining) / (2 * (int128) remaining));
}

DateADT
posting_charge_due_on(DateADT charged_through, OptionalDate ends_on)
{
	DateADT		last_day;

	if (DATE_NOT_FINITE(charged_through))
		return charged_through;
	/* what comes late after the end is billed on the 1sts (U3), but not on the day on which the last period is */
	if (ends_on.exists && ends_on.date <= charged_through)
		return Max(charged_through + 1, ends_on.date + 2);
	last_day = month_last_day(charged_through + 1);
	return (ends_on.exists ? Min(last_day, ends_on.date) : last_day) + 1;
}

OptionalDate
posting_debt_since(OptionalDate before, Money balance_after, DateADT effective_on)
{
	if (money_minor(balance_after) >= 0)
		return no_date();
	return before.exists ? before : optional_date(effective_on);
}

OptionalDate
posting_stage_check_on(OptionalDate check_on, OptionalDate debt_before, OptionalDate debt_since,
					   OptionalDate deferred_until, DateADT tariff_from, DateADT today,
					   const StageDays *days)
{
	OptionalDate next;

	if (!debt_since.exists)
		return no_date();
	/* a change of stage that is due, but has not been told yet, stays due as long as the debt lasts */
	if (check_on.exists && check_on.date <= today && optional_date_equal(debt_before, debt_since))
		return check_on;
	next = stage_next_change(debt_since, deferred_until, today, days);
	/* while a change of tariff is planned, whose policy may differ, the account is looked at each day */
	if (tariff_from > today && (!next.exists || next.date > today + 1))
		return optional_date(today + 1);
	return next;
}

OptionalDate
posting_closure_check_on(OptionalDate check_on, Money balance_before, Money balance_after, DateADT effective_on)
{
	if (money_minor(balance_after) > 0)
		return check_on;
	/* as long as there was money, only the end of the contract was to be looked at */
	if (!check_on.exists || (money_minor(balance_before) > 0 && check_on.date > effective_on))
		return optional_date(effective_on);
	return check_on;
}

OptionalDate
posting_credit_check_on(OptionalDate check_on, const Lots *move, DateADT today, int32 notice_days)
{
	for (int i = 0; i < move->n; i++)
	{
		const Lot  *lot = &move->lots[i];
		DateADT		look_on;

		if (lot->amount <= 0 || DATE_IS_NOEND(lot->expires_on))
			continue;
		look_on = Max(lot->expires_on - notice_days, today);
		if (!check_on.exists || look_on < check_on.date)
			check_on = optional_date(look_on);
	}
	return check_on;
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
	if (str == NULL)
	{
		append_null(buf);
		return;
	}
	str = server_to_utf8(str);
	pq_sendint32(buf, strlen(str));
	appendBinaryStringInfo(buf, str, strlen(str));
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
	append_text(&buf, e->paid != NO_MONEY ? money_to_cstring(e->paid) : NULL);
	if (e->ref_seq > 0)
		append_int(&buf, e->ref_seq);
	else
		append_null(&buf);
	append_text(&buf, e->member);
	append_text(&buf, e->posted_by);
	append_text(&buf, e->memo);
	append_text(&buf, e->lines ? lines_to_cstring(e->lines) : NULL);
	append_text(&buf, lots_to_cstring(&e->lots, money_currency(e->amount)));
	sha256(&buf, hash);
	pfree(buf.data);
}

/* kb_charge_due_on(charged_through, ends_on) */
PG_FUNCTION_INFO_V1(kb_charge_due_on);
Datum
kb_charge_due_on(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(posting_charge_due_on(PG_GETARG_DATEADT(0), arg_date(fcinfo, 1)));
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

/* kb_stage_check_on(check_on, debt_before, debt_since, deferred_until, tariff_from, today, and the policy's days) */
PG_FUNCTION_INFO_V1(kb_stage_check_on);
Datum
kb_stage_check_on(PG_FUNCTION_ARGS)
{
	StageDays	days;

	if (PG_ARGISNULL(4) || PG_ARGISNULL(5) || !stage_days_args(fcinfo, 6, &days))
		PG_RETURN_NULL();
	PG_RETURN_OPTIONAL_DATE(posting_stage_check_on(arg_date(fcinfo, 0), arg_date(fcinfo, 1), arg_date(fcinfo, 2),
												   arg_date(fcinfo, 3), PG_GETARG_DATEADT(4), PG_GETARG_DATEADT(5),
												   &days));
}

/* kb_closure_check_on(check_on, balance_before, balance_after, effective_on) */
PG_FUNCTION_INFO_V1(kb_closure_check_on);
Datum
kb_closure_check_on(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		PG_RETURN_NULL();
	PG_RETURN_OPTIONAL_DATE(posting_closure_check_on(arg_date(fcinfo, 0), PG_GETARG_MONEY(1), PG_GETARG_MONEY(2),
													 PG_GETARG_DATEADT(3)));
}

/* Arguments of kb_entry_hash */
enum
{
	HASH_PREVIOUS, HASH_ACCOUNT_ID, HASH_SEQ, HASH_KIND, HASH_AMOUNT, HASH_BALANCE_AFTER, HASH_BONUS_AFTER,
	HASH_DEBT_SINCE, HASH_EFFECTIVE_ON, HASH_POSTED_AT, HASH_KEY, HASH_PERIOD, HASH_METHOD, HASH_PAID, HASH_REF_SEQ,
	HASH_MEMBER, HASH_POSTED_BY, HASH_MEMO, HASH_LINES, HASH_LOTS
};

/* The columns of kbilling.entry, in the order of Entry; false if one is missing that every entry has */
static bool
entry_args(FunctionCallInfo fcinfo, Entry *entry)
{
	for (int i = HASH_ACCOUNT_ID; i <= HASH_KEY; i++)
		if (PG_ARGISNULL(i) && i != HASH_DEBT_SINCE)
			return false;
	if (PG_ARGISNULL(HASH_POSTED_BY))
		return false;
	entry->account_id = PG_GETARG_INT64(HASH_ACCOUNT_ID);
	entry->seq = PG_GETARG_INT64(HASH_SEQ);
	entry->kind = arg_cstring(fcinfo, HASH_KIND);
	entry->amount = PG_GETARG_MONEY(HASH_AMOUNT);
	entry->balance_after = PG_GETARG_MONEY(HASH_BALANCE_AFTER);
	entry->bonus_after = PG_GETARG_MONEY(HASH_BONUS_AFTER);
	entry->debt_since = arg_date(fcinfo, HASH_DEBT_SINCE);
	entry->effective_on = PG_GETARG_DATEADT(HASH_EFFECTIVE_ON);
	entry->posted_at = PG_GETARG_TIMESTAMPTZ(HASH_POSTED_AT);
	entry->key = arg_cstring(fcinfo, HASH_KEY);
	entry->period = arg_date(fcinfo, HASH_PERIOD);
	entry->method = arg_cstring(fcinfo, HASH_METHOD);
	entry->paid = PG_ARGISNULL(HASH_PAID) ? NO_MONEY : PG_GETARG_MONEY(HASH_PAID);
	entry->ref_seq = PG_ARGISNULL(HASH_REF_SEQ) ? 0 : PG_GETARG_INT64(HASH_REF_SEQ);
	entry->member = arg_cstring(fcinfo, HASH_MEMBER);
	entry->posted_by = arg_cstring(fcinfo, HASH_POSTED_BY);
	entry->memo = arg_cstring(fcinfo, HASH_MEMO);
	entry->lines = PG_ARGISNULL(HASH_LINES) ? NULL : PG_GETARG_LINES(HASH_LINES);
	entry->lots = lots_from_array(PG_ARGISNULL(HASH_LOTS) ? NULL : PG_GETARG_ARRAYTYPE_P(HASH_LOTS), money_currency(entry->amount));
	return true;
}

/* kb_entry_hash(previous, and the columns) */
PG_FUNCTION_INFO_V1(kb_entry_hash);
Datum
kb_entry_hash(PG_FUNCTION_ARGS)
{
	bytea	   *previous = PG_ARGISNULL(HASH_PREVIOUS) ? NULL : PG_GETARG_BYTEA_PP(HASH_PREVIOUS);
	bytea	   *result = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	Entry		entry;

	if (!entry_args(fcinfo, &entry))
		PG_RETURN_NULL();
	if (previous != NULL && VARSIZE_ANY_EXHDR(previous) != PG_SHA256_DIGEST_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the hash before an entry has %d bytes", PG_SHA256_DIGEST_LENGTH)));
	posting_hash(previous ? (uint8 *) VARDATA_ANY(previous) : NULL, &entry, (uint8 *) VARDATA(result));
	SET_VARSIZE(result, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	PG_RETURN_BYTEA_P(result);
}
