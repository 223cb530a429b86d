"""What a month costs (rules C): its lines, by day and by usage, with late usage, discounts and the minimum."""
from collections import defaultdict
from datetime import timedelta
from fractions import Fraction

import usage
from catalogue import month_last, month_of, next_month
from money import half_away, minor


class Line:
    def __init__(self, service, what, start, end, exact, **fields):
        self.service, self.what, self.start, self.end, self.exact = service, what, start, end, exact
        self.days = self.quantity = self.events = self.price = None
        self.amount = 0
        self.__dict__.update(fields)


def days_of(account, period, through=None):
    """The days of a period for which the account owes something."""
    first = max(period, account.first_day)
    last = account.last_day(period)
    if through is not None:
        last = min(last, through)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def parts_of(account, service, days, quantity_on):
    """Stretches of a service with one price and quantity: (price, quantity, first day, last day)."""
    parts = []
    for day in days:
        quantity, price = quantity_on(day), account.price_on(service, day)
        if quantity is None or price is None:
            continue
        if parts and parts[-1][0] is price and parts[-1][1] is quantity and parts[-1][3] == day - timedelta(days=1):
            parts[-1][3] = day
        else:
            parts.append([price, quantity, day, day])
    return parts


def by_day(account, service, what, period, days, quantity_on):
    """Lines of the base fee, or of a recurring service."""
    parts = parts_of(account, service, days, quantity_on)
    if not parts:
        return []
    n = month_last(period).day
    if not parts[-1][0].prorate:
        parts = parts[-1:]
    lines = []
    for price, quantity, first, last in parts:
        held = (last - first).days + 1
        share = Fraction(held, n) if parts[-1][0].prorate else Fraction(1)
        lines.append(Line(service, what, first, last, minor(price.price.by_day(quantity, share), account.currency),
                          days=held, quantity=quantity, price=price))
    return lines


def held_days(account, service, days):
    """On how many days each price of a metered service held, and the last price."""
    held, last = {}, None
    for day in days:
        price = account.price_on(service, day)
        if price is not None:
            first, _, n = held.get(price, (day, day, 0))
            held[price] = (first, day, n + 1)
            last = price
    return held, last


def shares(account, service, period, days):
    """A function that says which share of its minimum and maximum a price has in a month (P, C3)."""
    held, last = held_days(account, service, days)
    n = month_last(period).day
    in_full = last is not None and not last.prorate
    owing = None
    if in_full:
        with_least = [p for p in held if p.price.least is not None]
        owing = max(with_least, key=lambda p: held[p][1], default=None)

    def share(price):
        if price not in held:
            return Fraction(0), Fraction(1)
        if in_full:
            return Fraction(1 if price is owing else 0), Fraction(1)
        part = Fraction(held[price][2], n)
        return part, part
    return held, share


def metered(account, service, period, days, events):
    """Lines of usage of a metered service."""
    held, share = shares(account, service.name, period, days)
    sums = usage.net(usage.totals(service, events))
    lines = []
    for price in set(sums) | {p for p in held if p.price.least is not None}:
        quantity, count = sums.get(price, (Fraction(0), 0))
        if price not in sums and share(price)[0] == 0:
            continue
        first, last, n = held.get(price, (period, month_last(period), None))
        exact = minor(rate(price, quantity, count, share(price)), account.currency) if price in sums or n else 0
        if quantity == 0 and count == 0:
            exact = minor(price.price.least * share(price)[0], account.currency) if price.price.least is not None else 0
        lines.append(Line(service.name, 'usage', first, last, exact, days=n, quantity=quantity, events=count, price=price))
    return sorted(lines, key=lambda l: (l.start, l.price.number if l.price else 0))


def rate(price, quantity, events, share):
    quantity, events = max(quantity, 0), max(events, 0)
    if quantity == 0 and events == 0:
        return price.price.least * share[0] if price.price.least is not None else Fraction(0)
    return price.price.rate(quantity, events, *share)


def late(account, service, period):
    """Lines of late usage of a month that was charged (U3), and what of it was billed before, exactly."""
    days = days_of(account, period)
    _, share = shares(account, service.name, period, days)
    held, _ = held_days(account, service.name, days)
    now = usage.net(usage.totals(service, usage.of_month(account, service.name, period)))
    before = usage.net(account.billed.get((service.name, period), {}))
    lines = []
    billed = sum((minor(rate(p, q, e, share(p)), account.currency) for p, (q, e) in before.items()), Fraction(0))
    for price in set(now) | set(before):
        q, e = now.get(price, (Fraction(0), 0))
        bq, be = before.get(price, (Fraction(0), 0))
        if (q, e) == (bq, be):
            continue
        exact = minor(rate(price, q, e, share(price)) - rate(price, bq, be, share(price)), account.currency)
        first, last, n = held.get(price, (period, month_last(period), None))
        lines.append(Line(service.name, 'late usage', first, last, exact, days=n, quantity=q, events=e,
                          billed=(bq, be), price=price))
    return sorted(lines, key=lambda l: (l.start, l.price.number)), billed


def round_together(lines, before=Fraction(0)):
    """M4: each is the rounded exact sum of the lines up to it, less that of the lines before it."""
    exact = Fraction(before)
    for line in lines:
        line.amount = half_away(exact + line.exact) - half_away(exact)
        exact += line.exact
    return lines


def month(account, catalogue, period, through=None):
    """All lines of a month, up to a day."""
    days = days_of(account, period, through)
    lines = round_together(by_day(account, 'base', 'base fee', period, days, lambda day, one=Fraction(1): one))
    for name, rows in sorted(account.on.items()):
        lines += round_together(by_day(account, name, 'recurring service', period, days, rows.on))
    names = {e.service for e in account.events} | {name for day in days for name in account.tariff_on(day).prices}
    late_lines = []
    for name in sorted(names):
        service = catalogue.services[name]
        if service.kind != 'metered':
            continue
        lines += round_together(metered(account, service, period, days, usage.of_month(account, name, period)))
    lines += discount_lines(account, period, lines)
    lines += minimum_line(account, period, days, lines)
    for name in sorted(names):
        service = catalogue.services[name]
        if service.kind == 'metered':
            for earlier in sorted({e.period for e in account.events if e.service == name and e.period < period}):
                if earlier not in account.skipped and earlier in account.charges:
                    some, before = late(account, service, earlier)
                    late_lines += round_together(some, before)
    return lines + late_lines


def discount_lines(account, period, lines):
    """C9: taken one after the other, each of what those before it have left."""
    left = {}
    for line in lines:
        left[line.service] = left.get(line.service, 0) + line.amount
    result = []
    for discount in account.discounts:
        if not discount['from'] <= period < discount['to']:
            continue
        names = [name for name in left if (discount['services'] is None or name in discount['services']) and left[name] > 0]
        names.sort(key=lambda name: (name != 'base', name))
        total = sum(left[name] for name in names)
        if discount['percent'] is not None:
            parts = [left[name] * discount['percent'] / 100 for name in names]
        else:
            parts = [Fraction(min(discount['amount'], total) * left[name], total) for name in names]
        exact = Fraction(0)
        for name, part in zip(names, parts):
            amount = half_away(exact + part) - half_away(exact)
            exact += part
            if amount:
                result.append(Line(name, 'discount', period, month_last(period), None, quantity=None, amount=-amount))
                left[name] -= amount
    return result


def minimum_line(account, period, days, lines):
    """C10."""
    least, n = Fraction(0), month_last(period).day
    for day in days:
        amount = account.tariff_on(day).minimum.on(day)
        if amount:
            least += Fraction(amount, n)
    missing = half_away(least) - sum(line.amount for line in lines)
    if least > 0 and missing > 0:
        return [Line('base', 'minimum', days[0], days[-1], None, amount=missing)]
    return []
