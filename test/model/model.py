"""An independent model of docs/rules.md: what kbilling is to do, written down once more, slowly and plainly.

It shares nothing with the extension, and was written from the rules alone.  What it covers is in test/model/README.md.
"""
import copy
from datetime import datetime, timedelta, timezone
from fractions import Fraction

import bill
import closure
import credit
import journal
import limits
import usage
from account import STAGES, Account, stage_of
from catalogue import BEGINNING, END, Catalogue, ListedPrice, Policy, Service, Tariff, month_last, month_of, next_month
from money import Refused, refuse_any, text


class Model:
    def __init__(self):
        self.catalogue, self.accounts, self.now = Catalogue(), {}, None
        self.closure, self.foretold = closure, False

    def play(self, step):
        """The result of a step, or Refused."""
        self.now = step['at']
        arguments = {k: v for k, v in step.items() if k not in ('at', 'op')}
        return getattr(self, step['op'])(**arguments)

    def account(self, number, deleted=False):
        if number not in self.accounts:
            raise Refused('KB001')
        account = self.accounts[number]
        if deleted and account.state in ('deleted', 'purged'):
            raise Refused('KB010')
        return account

    def today(self, account):
        return account.local(self.now)

    def policy(self, account, day=None):
        return self.catalogue.policies[account.tariff_on(day or self.today(account)).policy]

    def stage(self, account):
        return account.stage(self.today(account), self.policy(account))

    # the catalogue

    def create_policy(self, policy, settings):
        self.catalogue.policies[policy] = Policy(**settings)

    def create_tariff(self, tariff, currency, policy):
        self.catalogue.tariffs[tariff] = Tariff(tariff, currency, policy)

    def create_service(self, service, kind, aggregation):
        self.catalogue.services[service] = Service(service, kind, aggregation)

    def set_price(self, tariff, service, price, prorate, start=None):
        listed = self.catalogue.tariff(tariff)
        result = listed.set_price(service, (price, prorate), start, self.now.date())
        for account in self.accounts.values():
            self.reprice(account, result, service)
        return '-infinity' if result == BEGINNING else result.isoformat()

    def set_bonus(self, tariff, amount, currency, percent, valid_days=None):
        listed = self.catalogue.tariff(tariff)
        listed.tiers = [t for t in listed.tiers if t[0] != amount]
        listed.tiers.append((amount, BEGINNING, END, Fraction(percent), valid_days))

    def set_minimum(self, tariff, amount, currency, start=None):
        result = self.catalogue.tariff(tariff).set_minimum(amount, start, self.now.date())
        return '-infinity' if result == BEGINNING else result.isoformat()

    def set_credit_line(self, tariff, amount, currency):
        self.catalogue.tariff(tariff).line = amount

    def set_limit(self, tariff, service, quantity):
        limit = self.catalogue.tariff(tariff).limits
        limit.pop(service, None)
        if quantity is not None:
            limit[service] = Fraction(str(quantity))

    def set_account_line(self, account, amount, currency):
        self.account(account, deleted=True).line = amount

    def set_account_limit(self, account, service, quantity):
        a = self.account(account, deleted=True)
        a.limits.pop(service, None)
        if quantity is not None:
            a.limits[service] = Fraction(str(quantity))

    # accounts

    def create_account(self, account, owner, tariff, zone):
        listed = self.catalogue.tariff(tariff)
        self.accounts[account] = Account(account, owner, listed, listed.currency, zone, self.now)
        return account

    def add_member(self, account, member, role):
        self.account(account, deleted=True).members[member] = role

    def set_tariff(self, account, tariff, start=None):
        a = self.account(account, deleted=True)
        listed = self.catalogue.tariff(tariff)
        start = start or self.today(a)
        refuse_any(KB002=listed.currency != a.currency, KB009=self.settled(a, start))
        a.tariffs.cut_after(start)
        a.tariffs.put(start, listed)
        a.look_at_credit(start)
        self.reprice(a, start)

    def switch_on(self, account, service, quantity=1, start=None):
        a = self.account(account, deleted=True)
        start = start or self.today(a)
        refuse_any(KB012=self.not_recurring(service) or not a.tariff_on(start).prices.get(service), KB009=self.settled(a, start),
                   **{'22003': quantity <= 0})
        a.on[service].cut_after(start)
        # a part of its own, though the quantity be the same
        a.on[service].put(start, Fraction(str(quantity)))

    def switch_off(self, account, service, start=None):
        a = self.account(account, deleted=True)
        start = start or self.today(a)
        refuse_any(KB012=self.not_recurring(service), KB009=self.settled(a, start))
        a.on[service].cut_after(start)
        if a.on[service].on(start) is not None:
            a.on[service].put(start, None)

    def not_recurring(self, service):
        return service not in self.catalogue.services or self.catalogue.services[service].kind != 'recurring'

    def settled(self, account, day):
        """A day that is charged, or after the contract (C4, X1)."""
        return day <= account.charged_through or bool(account.ends_on and day > account.ends_on)

    def reprice(self, account, start, service=None):
        """C3: the usage of months that are not charged, from a day on."""
        months = {(e.service, e.period) for e in account.events if e.period >= account.next_period() and
                  e.period >= month_of(start) and service in (None, e.service)}
        for name, period in sorted(months):
            usage.reprice(account, self.catalogue.services[name], period, start)

    # what is booked

    def topup(self, account, **arguments):
        return journal.topup(self, self.account(account), **arguments)

    def refund(self, account, **arguments):
        return journal.refund(self, self.account(account), **arguments)

    def chargeback(self, account, **arguments):
        return journal.chargeback(self, self.account(account), **arguments)

    def adjust(self, account, **arguments):
        return journal.adjust(self, self.account(account), **arguments)

    def write_off(self, account, **arguments):
        return journal.write_off(self, self.account(account), **arguments)

    def grant(self, account, **arguments):
        return journal.grant(self, self.account(account), **arguments)

    def reverse(self, account, **arguments):
        return journal.reverse(self, self.account(account), **arguments)

    def buy(self, account, **arguments):
        return journal.buy(self, self.account(account), **arguments)

    def defer(self, account, until):
        a = self.account(account, deleted=True)
        if until < self.today(a):
            raise Refused('22008')
        a.deferred_until = until

    def end(self, account, by, on=None):
        """X1; by is an owner, or someone of support."""
        a = self.account(account, deleted=True)
        today = self.today(a)
        on = on or today
        refuse_any(KB004=a.members.get(by, 'owner') != 'owner', KB009=on <= a.charged_through,
                   **{'22008': on < today, '55000': a.over(today)})
        a.ends_on = on
        a.look_at_credit(on + timedelta(days=1))
        return on.isoformat()

    def go_on(self, account, by):
        a = self.account(account, deleted=True)
        refuse_any(KB004=a.members.get(by, 'owner') != 'owner', **{'55000': a.ends_on is None or a.over(self.today(a))})
        a.ends_on = None

    # closures

    def schedule(self, account, by):
        return closure.schedule_by_hand(self, self.account(account), by)

    def cancel(self, account, member):
        closure.cancel(self, self.account(account), member)

    def restore(self, account):
        closure.restore(self, self.account(account))

    def login(self, account, member):
        a = self.account(account)
        if member not in a.members:
            raise Refused('KB004')
        access = a.access(self.stage(a), a.members[member], self.today(a))
        if access != 'denied' and self.now - a.noted_at >= timedelta(hours=1):
            a.noted_at = self.now
        return access

    def ahead(self, account, days):
        """S6: what is foretold comes true if a sweep runs each day and nothing else happens."""
        a = self.account(account)
        if credit.due(a, self.today(a)):
            # Not compared: the sweep keeps what it has kept until the month is over, though less be owed; what is foretold does not.
            return 'not compared'
        then = copy.copy(self)
        # that the sweep will begin to close an account is not foreseen
        then.foretold = True
        memo = {id(t): t for t in self.catalogue.tariffs.values()}
        memo.update({id(e.price): e.price for e in a.events})
        memo[id(a.zone)] = a.zone
        a = copy.deepcopy(a, memo)
        until = self.now + timedelta(days=days)
        then.sweep_account(a)
        # it may be a day more where the account is, as its clocks change
        for n in range(1, days + 2):
            # just after midnight
            then.now = midnight(a, a.local(self.now) + timedelta(days=n))
            if then.now <= until:
                then.sweep_account(a)
        then.now = until
        return f'{text(a.balance, a.currency)} {then.stage(a)} {a.access(then.stage(a), "owner", then.today(a))}'

    # usage

    def record(self, account, service, quantity, key, at_time=None, value=None):
        a = self.account(account, deleted=True)
        if service not in self.catalogue.services:
            raise Refused('KB012')
        found = self.catalogue.services[service]
        if found.kind != 'metered':
            raise Refused('22023')
        if (service, key) in a.usage_keys:
            return False
        at = at_time or self.now
        day = a.local(at)
        if at > self.now + timedelta(hours=1) or day < a.first_day or (a.ends_on and day > a.ends_on):
            raise Refused('22008')
        event = usage.Event(service=service, key=key, at=at, day=day, period=month_of(day), quantity=Fraction(str(quantity)),
                            value=value, sign=-1 if quantity < 0 else 1, number=len(a.events))
        event.price = usage.place(a, found, event)
        if event.price is None:
            raise Refused('KB012')
        line = self.line(a)
        saved = {name: copy.copy(value) for name, value in a.__dict__.items()}
        if line is not None:
            # what is recorded now does not count as used before that
            credit.expire(self, a)
        before = self.available(a) if line is not None else None
        units = limits.units(a, found, event.period)
        a.events.append(event)
        if limits.beyond(self, a, found, event, units) or (line is not None and self.available(a) < min(before, 0)):
            a.__dict__.update(saved)
            raise Refused('KB013')
        a.usage_keys.add((service, key))
        a.used_at = self.now
        return True

    # the month charge

    def due(self, account):
        """The oldest period that has ended and is not charged; after the contract, bills of late usage (X2)."""
        period, today = account.next_period(), self.today(account)
        if account.ends_on and period > account.ends_on:
            return period if bill_of_late_usage(account, period) <= today else None
        return period if account.last_day(period) < today else None

    def late_is_open(self, account):
        """Whether usage of charged months is not billed yet."""
        for service in {e.service for e in account.events}:
            for month in {e.period for e in account.events if e.service == service and e.period <= account.charged_through}:
                now = usage.totals(self.catalogue.services[service], usage.of_month(account, service, month))
                if month not in account.skipped and now != account.billed.get((service, month), {}):
                    return True
        return False

    def month_charge(self, account, period=None):
        a = self.account(account)
        if period is not None:
            if period.day != 1:
                raise Refused('22023')
            if period in a.charges:
                result = dict(a.charges[period], replayed=True)
                if result['entry_seq'] is None:
                    # there is no entry to read an older one from (decisions)
                    result.update(balance=text(a.balance, a.currency), stage=self.stage(a))
                return result
        self.account(account, deleted=True)
        due = self.due(a)
        if due is None or (period is not None and period != due):
            raise Refused('KB009')
        return self.charge(a, due)

    def charge(self, a, period):
        lines = bill.month(a, self.catalogue, period)
        total = sum(line.amount for line in lines)
        today = self.today(a)
        day = month_of(today) if self.policy(a).debt_counts_from == 'due_date' else today
        if a.over(today) and period >= month_of(a.ends_on):
            day = max(day, a.ends_on + timedelta(days=1) if period <= a.ends_on else bill_of_late_usage(a, period))
        entry = None
        credit.expire(self, a)
        if any(line.amount != 0 for line in lines):
            lots = {pool: -n for pool, n in credit.pay(a.pools, total, today).items()}
            entry = a.post('charge', -total, day, lots, period=period, lines=lines)
        for service in {e.service for e in a.events}:
            for month in {e.period for e in a.events if e.service == service and e.period <= period}:
                a.billed[(service, month)] = usage.totals(self.catalogue.services[service], usage.of_month(a, service, month))
        a.billed_lines += lines
        a.charged_through = month_last(period)
        a.charges[period] = {'period': period.isoformat(), 'entry_seq': entry and entry.seq,
                             'total': text(total, a.currency), 'balance': text(a.balance, a.currency),
                             'stage': self.stage(a), 'replayed': False}
        return a.charges[period]

    def set_discount(self, account, percent=None, amount=None, currency=None, services=None, months=None, start=None):
        """C9."""
        a = self.account(account, deleted=True)
        running = month_of(self.today(a))
        if start is None:
            # a running month that was charged, as the contract is over, is passed over
            start = max(running, a.next_period())
        named = [self.catalogue.services.get(s) for s in services or ()]
        refuse_any(KB002=amount is not None and currency != a.currency, KB009=month_last(start) <= a.charged_through,
                   KB012=None in named, **{'22023': start.day != 1 or (amount is not None and amount <= 0) or
                                           any(s is not None and s.kind == 'one_off' for s in named)})
        services = None if services is None else tuple(sorted(services))
        end = start
        for _ in range(months or 0):
            end = next_month(end)
        end = end if months else END
        new = {'percent': None if percent is None else Fraction(str(percent)), 'amount': amount, 'services': services, 'from': start,
               'to': end, 'code': None}
        for old in a.discounts:
            # what is set twice counts once (decisions)
            if all(old[name] == new[name] for name in new):
                return old['number']
        for old in a.discounts:
            if old['services'] == services and old['code'] is None and old['to'] > start:
                old['to'] = max(start, old['from'])
                if old['from'] >= start:
                    old['to'] = old['from']
        if percent is None and amount is None:
            return None
        a.discounts.append({'number': len(a.discounts) + 1, **new})
        return len(a.discounts)

    # limits

    def line(self, account):
        return account.line if account.line is not None else account.tariff_on(self.today(account)).line

    def running(self, account):
        """The lines of the running month, up to today (C6)."""
        today = self.today(account)
        if account.over(today) and account.charged_through < account.ends_on:
            # the last period is shown until it is charged
            return bill.month(account, self.catalogue, month_of(account.ends_on), account.ends_on)
        if month_last(today) <= account.charged_through:
            # what came late after the last charge is on the next bill
            return bill.month(account, self.catalogue, account.next_period(), today) if account.over(today) else []
        return bill.month(account, self.catalogue, month_of(today), today)

    def available(self, account):
        """L1."""
        today, period = self.today(account), account.next_period()
        due = 0
        while period <= today:
            due += sum(line.amount for line in bill.month(account, self.catalogue, period, today))
            period = next_month(period)
            if account.ends_on and account.ends_on < period and account.over(today):
                break
        if account.next_period() > today and account.over(today):
            due += sum(line.amount for line in self.running(account))
        return credit.available(self, account, due) + (self.line(account) or 0)

    # the sweep

    def sweep(self):
        for account in self.accounts.values():
            self.sweep_account(account)

    def sweep_account(self, a):
        while a.state in ('active', 'closing'):
            period = self.due(a)
            if period is None:
                break
            self.charge(a, period)
        if a.state in ('active', 'closing'):
            credit.expire(self, a, by_sweep=True)
        closure.step(self, a)


def bill_of_late_usage(account, period):
    """The day of a bill after the contract: the 1st, but never that of the last charge (X2)."""
    return period + timedelta(days=1) if period == account.ends_on + timedelta(days=1) else period


def midnight(account, day):
    """A moment just after the local midnight with which a day begins, or the first moment of the day."""
    moment = datetime(day.year, day.month, day.day, 0, 0, 1, tzinfo=account.zone)
    moment = moment.astimezone(timezone.utc)
    while account.local(moment) < day:
        moment += timedelta(minutes=10)
    return moment
