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


def pay(pools, amount, today):
    """What of which credit a charge takes: what had expired and was kept for it first, then in the order of G2."""
    taken = {}
    for pool in sorted(pools, key=lambda pool: (pool[1] > today, pool)):
        part = min(amount, pools[pool])
        if part > 0:
            taken[pool] = part
            amount -= part
    return taken


def expired(model, account):
    """What has to leave the balance today: the earliest first, each by what those before it have left."""
    today, left, going = account.local(model.now), dict(account.pools), {}
    for pool in sorted(due(account, today), key=lambda pool: (pool[1], pool[0])):
        before = pool[1] - timedelta(days=1)
        if before <= account.charged_through:
            rest = left[pool]
        elif account.expired_through and pool[1] <= account.expired_through:
            rest = 0
        else:
            rest = left[pool] - pay(left, owed_until(model, account, before), before).get(pool, 0)
        if rest > 0:
            going[pool] = -rest
            left[pool] -= rest
    return going


def is_due(account, today):
    return account.credit_look_on is not None and account.credit_look_on <= today


def expire(model, account, by_sweep=False):
    """What is left of expired credit leaves the balance; what is kept stays kept."""
    today = account.local(model.now)
    if not is_due(account, today):
        return
    going = expired(model, account)
    if going:
        account.post('expiry', sum(going.values()), today, going)
    account.expired_through = today
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


def free_balance(model, account):
    """The balance without credit that has expired: what is kept pays for nothing else."""
    today = account.local(model.now)
    return account.balance - sum(account.pools[pool] for pool in due(account, today))


def available(model, account, owed):
    """L1, without the credit line: what is kept for the charge pays for that alone."""
    gone = -sum(expired(model, account).values())
    kept = account.balance - free_balance(model, account) - gone
    return account.balance - gone - max(owed, kept)


def has_expired(model, account, lot):
    """Whether some of what is like a lot has expired since, or does so now."""
    if is_due(account, account.local(model.now)) and lot.pool in expired(model, account):
        return True
    return any(entry.kind == 'expiry' and entry.seq > lot.seq and lot.pool in entry.lots for entry in account.entries)


def given_back(model, account, target):
    """G4: what had spent credit, or had made a debt that credit has paid, gives it back."""
    today, lots = account.local(model.now), {}
    spent = {pool: sum(lot.kept for lot in account.lots if lot.pool == pool) - account.pools[pool] for pool in
             {lot.pool for lot in account.lots}}
    over = on_debt(account, target)
    for pool, change in target.lots.items():
        lots[pool] = min(-change, spent.get(pool, 0))
        over += -change - lots[pool]
    for pool in sorted(spent):
        more = min(over, spent[pool] - max(lots.get(pool, 0), 0)) if pool[1] > today else 0
        if more > 0:
            lots[pool] = lots.get(pool, 0) + more
            over -= more
    return lots


def on_debt(account, target):
    """How much of the debt that an entry made was paid by credit that was granted later; older debts are paid first."""
    before = max(target.amount - target.balance_after, 0)
    made = max(-target.balance_after, 0) - before
    at_once = sum(lot.amount - (account.entries[lot.seq - 1].bonus_after - account.entries[lot.seq - 2].bonus_after)
                  for lot in account.lots if lot.seq > target.seq)
    return max(0, min(made, max(0, at_once - before)))
