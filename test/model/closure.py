"""Closure of unused accounts, and of those whose contract is over (rules D, X3)."""
from datetime import timedelta

from catalogue import month_last, month_of
from money import Refused


def conditions(model, account):
    """D1: what stands against a closure."""
    today, policy = model.today(account), model.policy(account)
    against = []
    if (today - account.first_day).days <= policy.min_age_days:
        against.append('age')
    if (today - last_activity(model, account)).days < policy.inactive_days:
        against.append('use')
    if account.balance > 0:
        against.append('balance')
    return against


def last_activity(model, account):
    moments = [account.noted_at]
    if model.policy(account).activity == 'any':
        moments += [account.acted_at, account.paid_at, account.used_at]
    return max(account.local(moment) for moment in moments)


def settled(model, account):
    """X3: the contract is over, all is charged, and neither paid money nor a debt is left."""
    today = model.today(account)
    return account.over(today) and account.charged_through >= account.ends_on and account.balance == account.unspent and \
        model.due(account) is None and not model.late_is_open(account)


def may_close(model, account):
    return not conditions(model, account) or settled(model, account)


def schedule(model, account, by):
    account.state, account.scheduled_by = 'closing', by
    account.delete_on = model.today(account) + timedelta(days=model.policy(account).notice_days)
    account.reminded = False


def schedule_by_hand(model, account, by):
    if account.state in ('deleted', 'purged'):
        raise Refused('KB010')
    if account.state == 'active':
        if not may_close(model, account):
            raise Refused('KB011')
        schedule(model, account, by)
    return account.delete_on.isoformat()


def cancelled(model, account, reason):
    account.state, account.delete_on = 'active', None
    account.cancelled_on = model.today(account)


def cancel(model, account, member):
    if account.state in ('deleted', 'purged'):
        raise Refused('KB010')
    found = set()
    if account.members.get(member) not in ('owner', 'admin'):
        found.add('KB004')
    if account.state != 'closing':
        found.add('55000')
    if found:
        raise Refused(*found)
    cancelled(model, account, 'member')
    account.noted_at = model.now


def restore(model, account):
    if account.state == 'purged':
        raise Refused('KB010')
    if account.state != 'deleted':
        raise Refused('55000')
    today = model.today(account)
    if today >= account.purge_on:
        raise Refused('KB010')
    account.state, account.delete_on, account.purge_on = 'active', None, None
    account.noted_at = model.now
    # months that ended while it was deleted are never charged
    while account.last_day(account.next_period()) < today:
        period = account.next_period()
        account.skipped.add(period)
        account.charged_through = month_last(period)


def step(model, account):
    """What the sweep does for an account."""
    today, policy = model.today(account), model.policy(account)
    if account.state == 'active' and policy.close_unused and not model.foretold and may_close(model, account):
        if conditions(model, account) and account.cancelled_on and (today - account.cancelled_on).days < policy.inactive_days:
            return
        schedule(model, account, 'sweep')
    elif account.state == 'closing':
        closing(model, account, today, policy)
    elif account.state == 'deleted' and today >= account.purge_on:
        account.state = 'purged'
        account.members, account.events = {}, []


def closing(model, account, today, policy):
    if account.scheduled_by == 'sweep' and not policy.close_unused:
        cancelled(model, account, 'conditions')
        return
    last = min(policy.reminder_days, default=0)
    if last and not account.reminded and today >= account.delete_on - timedelta(days=last):
        # the last reminder comes its full number of days before the deletion
        account.reminded = True
        account.delete_on = max(account.delete_on, today + timedelta(days=last))
        return
    if today < account.delete_on:
        return
    if not may_close(model, account):
        cancelled(model, account, 'conditions')
    elif model.due(account) is None:
        account.state = 'deleted'
        account.delete_on = today
        account.purge_on = today + timedelta(days=policy.restore_days)
