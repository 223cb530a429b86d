/*
 * portal.c
 *		What a billing page shows, in one call.
 */
#include "postgres.h"

#include "args.h"
#include "fmgr.h"
#include "member.h"
#include "plan.h"
#include "shard.h"

/* $1 the account, $2 the member.  One-time filters keep from reckoning what only a payer sees. */
static SavedPlan portal_plan = {
	.sql = "SELECT jsonb_build_object("
	"         'account_id', s.account_id, 'state', s.state, 'member', m.member, 'role', m.role,"
	"         'stage', d.stage, 'access', d.access, 'delete_on', d.delete_on, 'can_pay', c.can_pay)"
	"    || CASE WHEN c.can_pay THEN jsonb_build_object("
	"         'tariff', t.tariff, 'tariff_name', t.name, 'currency', t.currency,"
	"         'balance', s.balance, 'bonus', s.bonus, 'amount_due', d.amount_due, 'debt_since', s.debt_since,"
	"         'next_stage', d.next_stage, 'next_stage_on', d.next_stage_on,"
	"         'reminder', CASE WHEN d.access = 'full_with_reminder' THEN jsonb_build_object("
	"             'amount_due', d.amount_due, 'restricted_on', d.next_stage_on) END,"
	"         'usage', coalesce(u.lines, '[]'), 'usage_total', coalesce(u.total, s.balance - s.balance),"
	"         'offers', coalesce(o.offers, '[]'), 'payments', coalesce(p.payments, '[]'),"
	"         'entries', coalesce(e.entries, '[]'))"
	"       ELSE '{}' END"
	"  FROM account_now s"
	"  JOIN account a ON a.account_id = s.account_id"
	"  JOIN member m ON m.account_id = s.account_id AND m.member = $2"
	" CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, s.today) x"
	"  JOIN tariff t ON t.tariff = x.tariff"
	" CROSS JOIN LATERAL kb_access(s.account_id, m.role) d"
	" CROSS JOIN LATERAL (SELECT m.role IN ('owner', 'admin') AND s.state IN ('active', 'closing') AS can_pay OFFSET 0) c"
	" CROSS JOIN LATERAL (SELECT jsonb_agg(to_jsonb(l) ORDER BY l.line_no) AS lines, sum(l.amount) AS total"
	"                       FROM kb_current_usage($1) l WHERE c.can_pay) u"
	" CROSS JOIN LATERAL (SELECT jsonb_agg(to_jsonb(l) ORDER BY kb_minor(l.amount)) AS offers"
	"                       FROM kb_topup_offers($1) l WHERE c.can_pay) o"
	" CROSS JOIN LATERAL ("
	"       SELECT jsonb_agg(jsonb_build_object('payment_id', l.payment_id, 'amount', l.amount, 'method', l.method,"
	"                                           'member', l.member, 'expires_at', l.expires_at) ORDER BY l.payment_id) AS payments"
	"         FROM payment_status l WHERE c.can_pay AND l.account_id = $1 AND l.status = 'pending') p"
	" CROSS JOIN LATERAL ("
	"       SELECT jsonb_agg(jsonb_build_object('seq', l.seq, 'effective_on', l.effective_on, 'kind', l.kind, 'amount', l.amount,"
	"                                           'balance_after', l.balance_after, 'method', l.method, 'paid', l.paid,"
	"                                           'rate', l.rate, 'period', l.period, 'member', l.member, 'memo', l.memo,"
	"                                           'lines', l.lines) ORDER BY l.seq DESC) AS entries"
	"         FROM (SELECT * FROM payment_history h WHERE c.can_pay AND h.account_id = $1"
	"                ORDER BY h.seq DESC LIMIT 20) l) e"
	" WHERE s.account_id = $1",
	.arg_types = {"bigint", "text"},
	.is_generic = true
};

/* kb_portal(account_id, member) */
PG_FUNCTION_INFO_V1(kb_portal);
Datum
kb_portal(PG_FUNCTION_ARGS)
{
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	Datum		page;

	arg_required(fcinfo, 0, "account_id");
	arg_required(fcinfo, 1, "member");
	shard_require_readable(PG_GETARG_INT64(0));
	plan_connect();
	if (plan_execute(&portal_plan, values, NULL, true) == 0)
		member_refuse(PG_GETARG_INT64(0), arg_cstring(fcinfo, 1));
	page = SPI_datumTransfer(plan_required(1), false, -1);
	SPI_finish();
	return page;
}
