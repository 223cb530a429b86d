"""Credit that expires (rule G3)."""
from datetime import timedelta

import bill
from catalogue import END, month_of


def due(account, today):
    return [pool for pool, amount in sorted(account.pools.items()) if amount > 0 and pool[1] <= today]


def usable(model, account):
    """Credit that has expired pays for nothing but the months before its expiry."""
    today = account.local(model.now)
    return lambda pool: pool[1] > today


def owed_until(model, account, day):
    """What the account owes for months that are not charged yet, up to a day."""
    total, period = 0, account.next_period()
    while period <= day and not (account.ends_on and period > account.ends_on):
        total += sum(line.amount for line in bill.month(account, model.catalogue, period, day))
        period = bill.next_month(period)
    return max(total, 0)


def keep(model, account, pool):
    """How much of an expired pool is kept for charges that are to come."""
    return -account.spend(owed_until(model, account, pool[1] - timedelta(days=1))).get(pool, 0)


def expire(model, account, by_sweep=False):
    """What is left of expired credit leaves the balance.

    The rules do not say when what is kept is found out anew.  It is at each posting until a sweep has looked, and then
    on the next day on which the sweep looks at the account's credit.
    """
    today = account.local(model.now)
    if account.credit_look_on is None or account.credit_look_on > today:
        return
    going = {pool: keep(model, account, pool) - account.pools[pool] for pool in due(account, today)}
    going = {pool: n for pool, n in going.items() if n < 0}
    if going:
        account.post('expiry', sum(going.values()), today, going)
    if by_sweep:
        account.credit_look_on = next_look(account, today)


def next_look(account, today):
    """To tell of what will expire, when it expires, and when the month is over for which it is kept."""
    days = []
    for pool, amount in account.pools.items():
        if amount > 0 and pool[1] != END:
            told = pool[1] - timedelta(days=7)
            if pool[1] <= today:
                days.append(max(account.last_day(month_of(pool[1] - timedelta(days=1))), today) + timedelta(days=1))
            else:
                days.append(told if told > today else pool[1])
    return min(days, default=None)


def after_expiry(model, account):
    """The balance when the charges that are to come have taken what they take of expired credit, and the rest has gone."""
    today, balance = account.local(model.now), account.balance
    for pool in due(account, today):
        owed = owed_until(model, account, pool[1] - timedelta(days=1))
        balance -= account.pools[pool] + account.spend(owed).get(pool, 0)
    return balance


def free_balance(model, account):
    """The balance without credit that has expired: what is kept pays for nothing else."""
    today = account.local(model.now)
    return account.balance - sum(account.pools[pool] for pool in due(account, today))
