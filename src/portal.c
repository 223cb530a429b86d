/*
 * portal.c
 *		What a billing page shows, in one call.
 */
#include "postgres.h"

#include "args.h"
#include "fmgr.h"
#include "lines.h"
#include "member.h"
#include "name.h"
#include "plan.h"
#include "rowread.h"
#include "shard.h"

/* kb_money_json(amount) */
PG_FUNCTION_INFO_V1(kb_money_json);
Datum
kb_money_json(PG_FUNCTION_ARGS)
{
	JsonbParseState *state = NULL;

	PG_RETURN_JSONB_P(JsonbValueToJsonb(lines_push_money(&state, PG_GETARG_MONEY(0))));
}

static ReadTable service_table = {.name = "service", .columns = {"service", "unit"}, .nkeys = 1};

/* What was read of services for a statement: an entry's lines have the same ones as the next. */
typedef struct NameCache
{
	MemoryContext context;
	char	   *language;
	int			n;
	int			capacity;
	LineNames  *names;
} NameCache;

/* What a service and its unit are called */
static void
read_names(const NameCache *cache, LineNames *names)
{
	Datum		key = CStringGetTextDatum(names->service);
	ReadRow		row;

	names->name = name_of("service", names->service, cache->language);
	names->unit = NULL;
	if (row_read(&service_table, &key, &row) && !row.nulls[1])
		names->unit = name_of("unit", TextDatumGetCString(row.values[1]), cache->language);
}

/* The names of a service, read or remembered */
static const LineNames *
find_names(void *arg, const char *service)
{
	NameCache  *cache = arg;
	MemoryContext old;

	for (int i = 0; i < cache->n; i++)
		if (strcmp(cache->names[i].service, service) == 0)
			return &cache->names[i];
	old = MemoryContextSwitchTo(cache->context);
	if (cache->n == cache->capacity)
	{
		cache->capacity *= 2;
		cache->names = repalloc(cache->names, cache->capacity * sizeof(LineNames));
	}
	cache->names[cache->n].service = pstrdup(service);
	read_names(cache, &cache->names[cache->n]);
	MemoryContextSwitchTo(old);
	return &cache->names[cache->n++];
}

/* The names that were read for this call of a statement, in the language; none of another */
static NameCache *
name_cache(FmgrInfo *flinfo, const char *language)
{
	NameCache  *cache = flinfo->fn_extra;
	MemoryContext old;

	if (cache != NULL && strcmp(cache->language, language) == 0)
		return cache;
	old = MemoryContextSwitchTo(flinfo->fn_mcxt);
	cache = palloc(sizeof(NameCache));
	*cache = (NameCache) {.context = flinfo->fn_mcxt, .language = pstrdup(language), .capacity = 8};
	cache->names = palloc(cache->capacity * sizeof(LineNames));
	MemoryContextSwitchTo(old);
	flinfo->fn_extra = cache;
	return cache;
}

/* kb_lines_json(lines, language) */
PG_FUNCTION_INFO_V1(kb_lines_json);
Datum
kb_lines_json(PG_FUNCTION_ARGS)
{
	NameCache  *cache = name_cache(fcinfo->flinfo, text_to_cstring(PG_GETARG_TEXT_PP(1)));

	PG_RETURN_JSONB_P(lines_to_page(PG_GETARG_LINES(0), find_names, cache));
}

/*
 * $1 the account, $2 the member.  What only a payer sees is read of payer_id, which is NULL for others, and so costs
 * them nothing.
 */
static SavedPlan portal_plan = {
	.sql = "SELECT jsonb_build_object("
	"         'account_id', s.account_id, 'state', s.state, 'member', m.member, 'role', m.role, 'language', c.language,"
	"         'time_zone', a.time_zone, 'today', s.today, 'stage', d.stage, 'access', d.access, 'delete_on', s.delete_on,"
	"         'purge_on', CASE s.state WHEN 'deleted' THEN a.closure_check_on END, 'can_pay', c.payer_id IS NOT NULL,"
	"         'can_cancel_closure', c.payer_id IS NOT NULL AND s.state = 'closing')"
	"    || CASE WHEN c.payer_id IS NOT NULL THEN jsonb_build_object("
	"         'tariff', jsonb_build_object('tariff', x.tariff, 'name', kb_name('tariff', x.tariff, c.language)),"
	"         'next_tariff', n.next_tariff, 'currency', a.currency,"
	"         'balance', kb_money_json(s.balance), 'bonus', kb_money_json(s.bonus), 'amount_due', kb_money_json(d.amount_due),"
	"         'debt_since', s.debt_since, 'next_stage', d.next_stage, 'next_stage_on', d.next_stage_on,"
	"         'reminder', CASE WHEN d.access = 'full_with_reminder' THEN jsonb_build_object("
	"             'amount_due', kb_money_json(d.amount_due), 'restricted_on', d.next_stage_on) END,"
	"         'usage', jsonb_build_object('total', kb_money_json(coalesce(u.total, s.balance - s.balance)),"
	"             'lines', coalesce(kb_lines_json(u.lines, c.language), '[]')),"
	"         'next_charge', CASE WHEN y.period IS NOT NULL THEN jsonb_build_object("
	"             'period', y.period, 'charged_on', y.charged_on, 'amount', kb_money_json(y.charge)) END,"
	"         'offers', coalesce(o.offers, '[]'), 'payments', coalesce(p.payments, '[]'),"
	"         'entries', coalesce(e.entries, '[]'), 'more_before_seq', e.more_before_seq, 'payer', w.payer)"
	"       ELSE '{}' END"
	"  FROM account_now s"
	"  JOIN account a ON a.account_id = s.account_id"
	"  JOIN member m ON m.account_id = s.account_id AND m.member = $2"
	" CROSS JOIN LATERAL kb_tariff_on(a.account_id, a.tariff, a.tariff_from, s.today) x"
	"  JOIN tariff t ON t.tariff = x.tariff"
	"  JOIN policy q ON q.policy = t.policy"
	" CROSS JOIN LATERAL kb_access(s.account_id, m.role) d"
	" CROSS JOIN LATERAL (SELECT CASE WHEN m.role IN ('owner', 'admin') AND s.state IN ('active', 'closing') THEN s.account_id END"
	"                           AS payer_id, coalesce(m.language, q.language) AS language OFFSET 0) c"
	"  LEFT JOIN LATERAL (SELECT r.total, r.lines FROM running_bill r WHERE r.account_id = c.payer_id OFFSET 0) u ON true"
	" CROSS JOIN LATERAL kb_year_ahead(c.payer_id, s.today) y"
	" CROSS JOIN LATERAL ("
	"       SELECT jsonb_agg(jsonb_build_object('amount', kb_money_json(l.amount), 'bonus', kb_money_json(l.bonus),"
	"                                           'reason', l.reason, 'months', l.months) ORDER BY kb_minor(l.amount)) AS offers"
	"         FROM kb_offers(c.payer_id, y.months, y.amounts) l) o"
	" CROSS JOIN LATERAL ("
	"       SELECT jsonb_agg(jsonb_build_object('payment_id', l.payment_id, 'status', l.status, 'amount', kb_money_json(l.amount),"
	"                                           'bonus', kb_money_json(l.bonus), 'method', kb_method_json(l.method, c.language),"
	"                                           'member', l.member, 'begun_at', l.begun_at, 'expires_at', l.expires_at,"
	"                                           'failure', l.failure) ORDER BY l.payment_id DESC) AS payments"
	"         FROM (SELECT * FROM payment_status h"
	"                WHERE h.account_id = c.payer_id AND h.status <> 'settled' AND h.begun_at > kb_now() - interval '30 days'"
	"                ORDER BY h.payment_id DESC LIMIT 10) l) p"
	" CROSS JOIN LATERAL ("
	"       SELECT jsonb_agg(l.entry ORDER BY l.seq DESC) AS entries, nullif(min(l.seq), 1) AS more_before_seq"
	"         FROM kb_entries(c.payer_id, c.language, 9223372036854775807, 20) l) e"
	" CROSS JOIN LATERAL ("
	"       SELECT CASE WHEN a.tariff_from > s.today THEN ("
	"                  SELECT jsonb_build_object('tariff', h.tariff, 'name', kb_name('tariff', h.tariff, c.language),"
	"                                            'from_date', h.from_date)"
	"                    FROM account_tariff h WHERE h.account_id = c.payer_id AND h.from_date > s.today"
	"                   ORDER BY h.from_date LIMIT 1) END AS next_tariff) n"
	" CROSS JOIN LATERAL ("
	"       SELECT (SELECT jsonb_build_object('member', h.member, 'email', h.email, 'details',"
	"                                         (SELECT b.details FROM billing_details b WHERE b.account_id = c.payer_id))"
	"                 FROM member h WHERE h.account_id = c.payer_id AND h.role = 'owner' ORDER BY h.member LIMIT 1) AS payer) w"
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
