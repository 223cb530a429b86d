"""An account: its terms, its journal and its credit (rules J, G, S)."""
from collections import defaultdict
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from catalogue import BEGINNING, END, ByDate, month_last, month_of, next_month
from money import Refused

STAGES = ['ok', 'grace', 'remind', 'restrict', 'blocked']


class Entry:
    """A row of the journal."""

    def __init__(self, **fields):
        self.key = self.period = self.ref = self.content = None
        self.lots, self.parts, self.lines, self.result, self.went = {}, [], [], None, []
        self.__dict__.update(fields)


class Lot:
    """A bonus, or a granted credit (G1)."""

    def __init__(self, entry, priority, expires, topup):
        self.seq, self.amount, self.kept, self.topup = entry.seq, entry.amount, entry.amount, topup
        self.pool = (priority, expires or END)
        self.reversed = False


class Account:
    def __init__(self, number, owner, tariff, currency, zone, created_at):
        self.number, self.currency, self.zone, self.created_at = number, currency, ZoneInfo(zone), created_at
        self.members = {owner: 'owner'}
        self.first_day = self.local(created_at)
        self.tariffs = ByDate()
        self.tariffs.put(BEGINNING, tariff)
        self.on = defaultdict(ByDate)       # service: quantity from a day on, None: off
        self.entries, self.keys, self.pools, self.lots = [], {}, defaultdict(int), []
        self.balance, self.debt_since = 0, None
        self.deferred_until = None
        self.charged_through = self.first_day - timedelta(days=1)
        self.charges = {}                   # period: its result
        self.skipped = set()                # months out of billing
        self.events, self.usage_keys, self.holds = [], set(), {}
        self.billed = {}                    # (service, period): {price: (quantity, events)}
        self.billed_exact = {}              # what has been billed of it, exactly
        self.discounts, self.codes, self.billed_lines = [], {}, []
        self.payments = []
        self.ends_on = None
        self.state, self.delete_on, self.purge_on = 'active', None, None
        self.line, self.credit_look_on, self.expired_through = None, None, None
        self.limits = {}
        self.noted_at = created_at          # activity of members
        self.acted_at = created_at          # acts of members
        self.cancelled_on = None
        self.used_at = created_at           # usage that was recorded
        self.paid_at = created_at           # payments begun or confirmed
        self.bonus_months = {}

    def local(self, moment):
        return moment.astimezone(self.zone).date()

    # journal

    @property
    def unspent(self):
        return sum(self.pools.values())

    def lot_unspent(self, lot):
        """Of lots that are alike, the oldest is spent first: what is left is the newest ones'."""
        rest = self.pools[lot.pool]
        for other in sorted((l for l in self.lots if l.pool == lot.pool), key=lambda l: -l.seq):
            part = min(other.kept, rest)
            if other is lot:
                return part
            rest -= part
        return 0

    def spend(self, amount, usable=lambda pool: True):
        """What of which credit pays for an amount, in the order of G2."""
        spent = {}
        for pool in sorted(self.pools):
            part = min(amount, self.pools[pool]) if usable(pool) else 0
            if part > 0:
                spent[pool] = -part
                amount -= part
        return spent

    def spend_last(self, amount, day):
        """The same where the balance does not hold it: what is kept for a charge comes last."""
        spent = self.spend(amount, lambda pool: pool[1] > day)
        return {**spent, **self.spend(amount + sum(spent.values()), lambda pool: pool[1] <= day)}

    def post(self, kind, amount, day, lots=None, **fields):
        """An entry, which moves the balance and the credit (J2)."""
        before = self.balance
        self.balance += amount
        lots = dict(lots or {})
        for pool, change in lots.items():
            self.pools[pool] += change
            if change > 0:
                self.comes(pool, day)
        # what is not paid in is never more than what is there
        beyond = self.unspent - max(self.balance, 0)
        if beyond > 0:
            for pool, change in self.spend_last(beyond, day).items():
                self.pools[pool] += change
                lots[pool] = lots.get(pool, 0) + change
        if self.balance >= 0:
            self.debt_since = None
        elif before >= 0:
            self.debt_since = day
        entry = Entry(seq=len(self.entries) + 1, kind=kind, amount=amount, balance_after=self.balance,
                      bonus_after=self.unspent, effective_on=day, debt_since=self.debt_since, lots=lots, **fields)
        self.entries.append(entry)
        if entry.key is not None:
            self.keys[entry.key] = entry
        return entry

    def comes(self, pool, day):
        """Credit that expires is looked at when it is to be told of; what comes back expired, anew."""
        if pool[1] != END:
            look = max(day, pool[1] - timedelta(days=7))
            self.credit_look_on = min(self.credit_look_on or look, look)
            if self.expired_through and pool[1] <= self.expired_through:
                self.expired_through = pool[1] - timedelta(days=1)

    def look_at_credit(self, day):
        """If some expires, it is looked at on that day at the latest."""
        if self.credit_look_on is not None:
            self.credit_look_on = min(self.credit_look_on, day)

    def known(self, key, content):
        """The entry of a key, if it has the same content (J3)."""
        entry = self.keys.get(key)
        if entry is None:
            return None
        if entry.content != content:
            raise Refused('KB006')
        return entry

    # terms

    def tariff_on(self, day):
        return self.tariffs.on(day)

    def price_on(self, service, day):
        return self.tariff_on(day).price_on(service, day)

    def next_period(self):
        return month_of(self.charged_through + timedelta(days=1))

    def last_day(self, period):
        """The last day of a period that is charged: of the contract, if that ends before."""
        last = month_last(period)
        return min(last, self.ends_on) if self.ends_on else last

    def over(self, today):
        return self.ends_on is not None and today > self.ends_on

    # stages

    def stage(self, today, policy):
        return stage_of(self.debt_since, today, policy, self.deferred_until)

    def access(self, stage, role, today):
        """S3."""
        if self.state in ('deleted', 'purged'):
            return 'denied'
        if self.over(today):
            return 'payment_only' if role != 'employee' and stage != 'blocked' else 'denied'
        if role == 'employee':
            return 'denied' if stage == 'blocked' else 'full'
        return {'remind': 'full_with_reminder', 'restrict': 'payment_only', 'blocked': 'denied'}.get(stage, 'full')


def stage_of(debt_since, today, policy, deferred_until):
    """S2, S4."""
    if debt_since is None:
        return 'ok'
    n = (today - debt_since).days + 1
    if n < 1:
        return 'ok'
    if deferred_until is not None and today <= deferred_until:
        return 'grace'
    for name, first in (('blocked', policy.block_day), ('restrict', policy.restrict_day), ('remind', policy.remind_day)):
        if n >= first:
            return name
    return 'grace'
