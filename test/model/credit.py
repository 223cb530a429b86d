"""Credit that expires (rule G3)."""
from datetime import timedelta

import bill
from catalogue import month_of


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
    last = pool[1] - timedelta(days=1)
    if pool in account.kept and account.charged_through < last and account.local(model.now) <= account.last_day(month_of(last)):
        return account.pools[pool]
    return -account.spend(owed_until(model, account, last)).get(pool, 0)


def expire(model, account, by_sweep=False):
    """What is left of expired credit leaves the balance.  What is kept when the sweep looks stays until the month is over."""
    kept = {pool: keep(model, account, pool) for pool in due(account, account.local(model.now))}
    going = {pool: n - account.pools[pool] for pool, n in kept.items() if n < account.pools[pool]}
    if by_sweep:
        account.kept |= set(kept)
    if going:
        account.post('expiry', sum(going.values()), account.local(model.now), going)


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
