"""Tariffs, services and prices by date (rules C3, T5, C10)."""
from datetime import date, timedelta
from fractions import Fraction

from money import Refused, minor
from price import Price

BEGINNING, END = date.min, date.max


def month_of(day):
    return day.replace(day=1)


def next_month(day):
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def month_last(day):
    return next_month(day) - timedelta(days=1)


class ListedPrice:
    """A price on the list; it keeps its number (here: its identity) when its days change."""
    count = 0

    def __init__(self, text, prorate):
        ListedPrice.count += 1
        self.number = ListedPrice.count
        self.price = Price(text)
        self.prorate = prorate

    def same(self, other):
        return self.price.terms() == other.price.terms() and self.prorate == other.prorate


class ByDate:
    """What holds from a date until the next one."""

    def __init__(self):
        self.rows = []          # (from, value), rising

    def on(self, day):
        found = None
        for start, value in self.rows:
            if start <= day:
                found = value
        return found

    def start_of(self, day):
        return max((start for start, _ in self.rows if start <= day), default=None)

    def put(self, start, value):
        self.rows = sorted([row for row in self.rows if row[0] != start] + [(start, value)], key=lambda row: row[0])

    def cut_after(self, start):
        self.rows = [row for row in self.rows if row[0] <= start]


class Tariff:
    def __init__(self, name, currency, policy):
        self.name, self.currency, self.policy = name, currency, policy
        self.prices = {}        # service: ByDate of ListedPrice
        self.minimum = ByDate()
        self.tiers = []         # (least, from, to, percent, valid days)
        self.line = None
        self.limits = {}        # service: (quantity, hard)

    def price_on(self, service, day):
        rows = self.prices.get(service)
        return rows.on(day) if rows else None

    def set_price(self, service, text, start, today):
        """C3; the date from which it holds.  today is that of UTC."""
        text, prorate = text
        rows = self.prices.get(service)
        new = ListedPrice(text, prorate)
        if start is None:
            start = BEGINNING if rows is None else next_month(today)
        if rows is None:
            rows = self.prices[service] = ByDate()
        held = rows.on(start)
        if held and held.same(new):
            return rows.start_of(start)
        rows.put(start, new)
        # the same price next to itself is one price
        merged = []
        for begin, value in rows.rows:
            if merged and merged[-1][1].same(value):
                # the older one stays
                old = min(merged[-1][1], value, key=lambda p: p.number)
                merged[-1] = (merged[-1][0], old)
            else:
                merged.append((begin, value))
        rows.rows = merged
        return rows.start_of(start)

    def set_minimum(self, amount, start, today):
        if start is None:
            start = BEGINNING if not self.minimum.rows else next_month(today)
        held = self.minimum.on(start)
        if held == amount:
            return self.minimum.start_of(start)
        self.minimum.put(start, amount)
        return self.minimum.start_of(start)

    def bonus(self, rest, day):
        """The percentage of the highest tier that is reached (T5), and for how many days its bonus is good."""
        reached = [tier for tier in self.tiers if tier[1] <= day < tier[2] and tier[0] <= rest]
        if not reached:
            return Fraction(0), None
        tier = max(reached, key=lambda t: t[0])
        return tier[3], tier[4]


class Service:
    def __init__(self, name, kind, aggregation='sum'):
        self.name, self.kind, self.aggregation = name, kind, aggregation


class Catalogue:
    def __init__(self):
        self.tariffs, self.services = {}, {'base': Service('base', 'base')}
        self.policies = {'standard': Policy()}

    def tariff(self, name):
        if name not in self.tariffs:
            raise Refused('KB012')
        return self.tariffs[name]


class Policy:
    def __init__(self, **given):
        self.remind_day, self.restrict_day, self.block_day = 4, 7, 10
        self.min_age_days, self.inactive_days, self.notice_days = 40, 30, 10
        self.reminder_days, self.restore_days = (3, 1), 20
        self.debt_counts_from, self.activity, self.close_unused = 'due_date', 'any', True
        self.payment_hours = 24
        self.__dict__.update(given)
