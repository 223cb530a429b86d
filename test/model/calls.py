"""Steps as SQL: what an application would send."""
from money import text


def quote(value):
    if value is None:
        return 'NULL'
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, (int, float)):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def call(function, *arguments, **named):
    given = [quote(a) if not isinstance(a, Raw) else a for a in arguments]
    given += [f'{name} => {quote(a)}' for name, a in named.items() if a is not None]
    return f"{function}({', '.join(given)})"


class Raw(str):
    """SQL that is not quoted."""


def sql(step):
    """The statement of a step."""
    s = dict(step)
    op, at = s.pop('op'), s.pop('at')
    if op == 'sweep':
        return 'CALL kb_sweep()'
    return 'SELECT ' + STATEMENTS[op](s)


def target(account, how, what):
    named = f'(SELECT seq FROM entry WHERE account_id = {account} AND key = {quote(what)})'
    where = {'key': f'key = {quote(what)}', 'charge': f"kind = 'charge' AND period = {quote(what)}",
             'bonus': f"kind = 'bonus' AND amount > 0 AND ref_seq = {named}"}
    return Raw(f'coalesce((SELECT min(seq) FROM entry WHERE account_id = {account} AND {where[how]}), 0)')


STATEMENTS = {
    'create_policy': lambda s: call('kb_set_policy', s['policy'], json(s['settings'])),
    'create_tariff': lambda s: call('kb_create_tariff', s['tariff'], s['currency'], policy=s['policy']),
    'create_service': lambda s: call('kb_create_service', s['service'], s['kind'], None, s['aggregation']),
    'set_price': lambda s: call('kb_set_price', s['tariff'], s['service'], s['price'], s.get('start'), s['prorate']) + '::text',
    'set_bonus': lambda s: call('kb_set_bonus', s['tariff'], text(s['amount'], s['currency']), s['percent'],
                                valid_days=s.get('valid_days')),
    'set_minimum': lambda s: call('kb_set_minimum', s['tariff'], text(s['amount'], s['currency']), s.get('start')) + '::text',
    'set_credit_line': lambda s: call('kb_set_credit_line', s['tariff'],
                                      None if s['amount'] is None else text(s['amount'], s['currency'])),
    'set_discount': lambda s: call('kb_set_discount', s['account'], s.get('percent'),
                                   None if s.get('amount') is None else text(s['amount'], s['currency']),
                                   None if s.get('services') is None else '{' + ','.join(s['services']) + '}', s.get('months'),
                                   s.get('start')),
    'set_account_line': lambda s: call('kb_set_account_credit_line', s['account'],
                                       None if s['amount'] is None else text(s['amount'], s['currency'])),
    'set_limit': lambda s: call('kb_set_limit', s['tariff'], s['service'], s['quantity']),
    'set_account_limit': lambda s: call('kb_set_account_limit', s['account'], s['service'], s['quantity']),
    'end': lambda s: call('kb_end_account', s['account'], s['by'], s.get('on')),
    'go_on': lambda s: call('kb_continue_account', s['account'], s['by']),
    'schedule': lambda s: call('kb_schedule_closure', s['account'], s['by']),
    'cancel': lambda s: call('kb_cancel_closure', s['account'], s['member']),
    'restore': lambda s: call('kb_restore_account', s['account'], 'sam'),
    'login': lambda s: 'access::text FROM ' + call('kb_login', s['account'], s['member']),
    'ahead': lambda s: "kb_balance({0}, kb_now() + '{1} days') || ' ' || kb_access_stage({0}, kb_now() + '{1} days') || ' ' ||"
                       " (kb_access({0}, 'owner', kb_now() + '{1} days')).access".format(s['account'], s['days']),
    'create_account': lambda s: call('kb_create_account', s['owner'], s['tariff'], s['account'], s['zone']),
    'add_member': lambda s: call('kb_add_member', s['account'], s['member'], s['role']),
    'set_tariff': lambda s: call('kb_set_tariff', s['account'], s['tariff'], s.get('start')),
    'switch_on': lambda s: call('kb_switch_on', s['account'], s['service'], s['quantity'], s.get('start')),
    'switch_off': lambda s: call('kb_switch_off', s['account'], s['service'], s.get('start')),
    'topup': lambda s: '* FROM ' + call('kb_apply_topup', s['account'], text(s['amount'], s['currency']), s['method'],
                                        s['reference'], s.get('member')),
    'refund': lambda s: call('kb_refund', s['account'], text(s['amount'], s['currency']), s['reference'], s.get('memo'),
                             s.get('topup_reference'), s.get('forced', False)),
    'chargeback': lambda s: call('kb_chargeback', s['account'], s['topup_reference'], s['reference'],
                                 text(s['amount'], s['currency']) if s.get('amount') is not None else None),
    'adjust': lambda s: call('kb_adjust', s['account'], text(s['amount'], s['currency']), s['reference'], s['memo']),
    'write_off': lambda s: call('kb_write_off', s['account'], s['reference'], s['memo']),
    'grant': lambda s: call('kb_grant_credit', s['account'], text(s['amount'], s['currency']), s['reference'], s['memo'],
                            s.get('expires'), s.get('priority', 50)),
    'reverse': lambda s: call('kb_reverse', s['account'], target(s['account'], *s['target']), s['reference'], s['memo']),
    'buy': lambda s: call('kb_buy', s['account'], s['service'], s['quantity'], s['reference'], s.get('member')),
    'defer': lambda s: call('kb_defer', s['account'], s['until'], 'sam', 'asked'),
    'record': lambda s: call('kb_record_usage', s['account'], s['service'], s['quantity'], s['key'], s.get('at_time'),
                             properties=None if s.get('value') is None else '{"value": "%s"}' % s['value']),
    'month_charge': lambda s: '* FROM ' + call('kb_month_charge', s['account'], s.get('period')),
}


def json(settings):
    from json import dumps
    return dumps(settings)
