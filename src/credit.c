/*
 * credit.c
 *		What of the credit expires: one statement for many accounts, and before each posting for one.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "change.h"
#include "credit.h"
#include "plan.h"

/*
 * One entry for all that has expired of an account, as the charge's statement writes one (see charge.c).  The rows are
 * locked, so they are as they were read; one that is not, and was changed meanwhile, is left for the next look.
 */
static SavedPlan expire_plan = {
	.sql = "WITH due AS MATERIALIZED ("
	"  SELECT a.account_id, a.last_seq, d.today, x.gone, (x.gone IS NOT NULL)::integer AS entries, q.credit_notice_days,"
	"         kb_charge_due_on(a.charged_through, a.ends_on) AS charged_on,"
	"         a.balance + coalesce(g.amount, a.balance - a.balance) AS balance,"
	"         a.unspent_bonus + coalesce(g.amount, a.balance - a.balance) AS unspent_bonus,"
	"         CASE WHEN x.gone IS NULL THEN a.lots ELSE kb_lots_less(a.lots, a.unspent_bonus, x.gone) END AS lots"
	"    FROM account a"
	"   CROSS JOIN LATERAL (SELECT kb_account_date($2, a.time_zone) AS today OFFSET 0) d"
	"   CROSS JOIN LATERAL kb_policy_on(a.account_id, a.tariff, a.tariff_from, d.today) p"
	"    JOIN policy q ON q.policy = p.policy"
	"   CROSS JOIN LATERAL kb_owed_before(a.account_id, a.lots, a.expired_through, a.charged_through, d.today, $2) b"
	"   CROSS JOIN LATERAL (SELECT kb_expired_lots(a.lots, a.unspent_bonus, a.expired_through, a.charged_through, d.today,"
	"                                              b.days, b.owed) AS gone OFFSET 0) x"
	"   CROSS JOIN LATERAL (SELECT sum(o.amount) AS amount FROM unnest(x.gone) o) g"
	"   WHERE a.account_id = ANY ($1) AND a.credit_check_on <= d.today"
	"), posted AS ("
	"  UPDATE account a"
	"     SET last_seq = a.last_seq + c.entries, expired_through = c.today,"
	"         (balance, unspent_bonus, lots, last_hash, closure_check_on, credit_check_on) = ("
	"             SELECT c.balance, c.unspent_bonus, c.lots,"
	"                    CASE c.entries WHEN 0 THEN a.last_hash ELSE kb_entry_hash("
	"                        a.last_hash, a.account_id, a.last_seq + 1, 'expiry', c.balance - a.balance, c.balance,"
	"                        c.unspent_bonus, NULL, c.today, $2, 'kb:expiry:' || (a.last_seq + 1), NULL, NULL, NULL, NULL, NULL,"
	"                        $3, NULL, NULL, c.gone) END,"
	"                    CASE c.entries WHEN 0 THEN a.closure_check_on"
	"                        ELSE kb_closure_check_on(a.closure_check_on, a.balance, c.balance, c.today) END,"
	"                    CASE WHEN $4 THEN kb_credit_check_on(c.lots, c.today, c.credit_notice_days, c.charged_on)"
	"                        ELSE a.credit_check_on END)"
	"    FROM due c"
	"   WHERE a.account_id = c.account_id AND a.last_seq = c.last_seq"
	"  RETURNING a.account_id, a.last_seq, a.balance, a.unspent_bonus, a.last_hash, c.today, c.gone, c.entries"
	"), written AS ("
	"  INSERT INTO entry (account_id, seq, kind, amount, balance_after, bonus_after, effective_on, posted_at, key, posted_by, lots, hash)"
	"  SELECT p.account_id, p.last_seq, 'expiry', (SELECT sum(o.amount) FROM unnest(p.gone) o), p.balance, p.unspent_bonus, p.today,"
	"         $2, 'kb:expiry:' || p.last_seq, $3, p.gone, p.last_hash"
	"    FROM posted p WHERE p.entries = 1"
	"  RETURNING seq"
	")"
	"SELECT count(*) FROM written",
	.arg_types = {"bigint[]", "timestamptz", "text", "boolean"},
	.is_generic = true
};

static SavedPlan due_plan = {
	.sql = "SELECT FROM account a WHERE a.account_id = ANY ($1) AND a.credit_check_on <= kb_account_date($2, a.time_zone) LIMIT 1",
	.arg_types = {"bigint[]", "timestamptz"},
	.is_generic = true
};

bool
credit_is_due(ArrayType *account_ids, TimestampTz at)
{
	Datum		values[] = {PointerGetDatum(account_ids), TimestampTzGetDatum(at)};

	return plan_execute(&due_plan, values, NULL, false) > 0;
}

uint64
credit_expire(ArrayType *account_ids, TimestampTz at, bool is_told)
{
	Datum		values[] = {PointerGetDatum(account_ids), TimestampTzGetDatum(at), CStringGetTextDatum(calling_role()),
		BoolGetDatum(is_told)
	};

	(void) journal_write(&expire_plan, values, NULL);
	return plan_int64(1);
}

bool
credit_begin_posting(LockedAccount *account, const char *key, Money *amount)
{
	Datum		id = Int64GetDatum(account->account_id);
	CreditBooked booked = {
		account->expired_through.exists ? account->expired_through.date : DATEVAL_NOBEGIN, account->charged_through
	};

	if (journal_knows(account, key, amount))
		return false;
	if (!lots_may_expire(&account->lots, booked, account->today))
		return true;
	(void) credit_expire(construct_array(&id, 1, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE), account->at, false);
	CommandCounterIncrement();	/* the row has been written, if nothing was booked, too */
	journal_lock(account->account_id, account->at, account);
	return true;
}
