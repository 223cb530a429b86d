"""Credit that expires (rule G3)."""
from datetime import timedelta

import bill


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


def keep(model, account):
    """How much of each expired pool is kept for charges that are to come."""
    today = account.local(model.now)
    kept = {}
    for pool in due(account, today):
        owed = owed_until(model, account, pool[1] - timedelta(days=1))
        kept[pool] = -account.spend(owed).get(pool, 0)
    return kept


def expire(model, account, dry=False):
    """What is left of expired credit leaves the balance."""
    if dry:
        return
    today = account.local(model.now)
    for pool, kept in sorted(keep(model, account).items(), key=lambda item: (item[0][1], item[0][0])):
        going = account.pools[pool] - kept
        if going > 0:
            account.post('expiry', -going, today, {pool: -going})


def free_balance(model, account):
    """The balance without credit that has expired."""
    today = account.local(model.now)
    return account.balance - sum(account.pools[pool] for pool in due(account, today))
