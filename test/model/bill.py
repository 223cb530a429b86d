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
        quantity, price, began = quantity_on(day), account.price_on(service, day), account.tariffs.start_of(day)
        if quantity is None or price is None:
            continue
        if parts and parts[-1][0] is price and parts[-1][1] is quantity and parts[-1][4] == began and \
                parts[-1][3] == day - timedelta(days=1):
            parts[-1][3] = day
        else:
            parts.append([price, quantity, day, day, began])
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
    for price, quantity, first, last, _ in parts:
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


def in_order(held, period):
    """The order of a month's lines: by their first day."""
    return lambda price: (held.get(price, (period,))[0], price.number)


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
    sums = usage.net(usage.totals(service, events), in_order(held, period))
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
    now = usage.net(usage.totals(service, usage.of_month(account, service.name, period)), in_order(held, period))
    before = usage.net(account.billed.get((service.name, period), {}), in_order(held, period))
    lines = []
    for price in held:
        before.setdefault(price, (Fraction(0), 0))
    billed = sum((minor(rate(p, q, e, share(p)), account.currency) for p, (q, e) in before.items()), Fraction(0))
    for price in set(now) | set(before):
        q, e = now.get(price, (Fraction(0), 0))
        bq, be = before.get(price, (Fraction(0), 0))
        if (q, e) == (bq, be) or (q == bq and service.aggregation in ('max', 'last', 'unique')):
            continue
        exact = minor(rate(price, q, e, share(price)) - rate(price, bq, be, share(price)), account.currency)
        first, last, n = held.get(price, (period, month_last(period), None))
        lines.append(Line(service.name, 'late usage', first, last, exact, days=n, quantity=q - bq, events=e - be,
                          billed=(bq, be), price=price))
    return sorted(lines, key=lambda l: (l.start, l.price.number)), billed


def round_together(lines, before=Fraction(0)):
    """M4: each is the rounded exact sum of the lines up to it, less that of the lines before it."""
    exact = Fraction(before)
    for line in lines:
        line.amount = half_away(exact + line.exact) - half_away(exact)
        exact += line.exact
    return lines


PRICED = ('base fee', 'recurring service', 'usage', 'late usage')


def month(account, catalogue, period, through=None):
    """All lines of a month, up to a day."""
    days = days_of(account, period, through)
    lines = round_together(by_day(account, 'base', 'base fee', period, days, lambda day, one=Fraction(1): one))
    for name, rows in sorted(account.on.items()):
        lines += round_together(by_day(account, name, 'recurring service', period, days, rows.on))
    names = {e.service for e in account.events} | {name for day in days for name in account.tariff_on(day).prices}
    metered_names = [name for name in sorted(names) if catalogue.services[name].kind == 'metered']
    for name in metered_names:
        service = catalogue.services[name]
        lines += round_together(metered(account, service, period, days, usage.of_month(account, name, period)))
    sums = by_service(lines)
    lines += [discount_line(name, number, amount, period) for (number, name), amount in discounted(account, period, sums).items()]
    lines += minimum_line(days, missing(account, period, days, sum(line.amount for line in lines)))
    for line in lines:
        line.month = period
    # what came late is on the next bill
    if period == account.next_period():
        for earlier in sorted({e.period for e in account.events if e.period < period}):
            if earlier not in account.skipped and earlier in account.charges:
                lines += late_month(account, catalogue, metered_names, earlier)
    return lines


def late_month(account, catalogue, names, period):
    """What came late for a month: its usage, and how that changes the discounts and the minimum of its month (C9, C10)."""
    lines = []
    for name in names:
        some, before = late(account, catalogue.services[name], period)
        lines += round_together(some, before)
    if not lines:
        return []
    days = days_of(account, period)
    without = by_service(line for line in account.billed_lines if line.month == period and line.what in PRICED)
    sums = {name: without.get(name, 0) + n for name, n in by_service(lines).items()}
    sums = {**without, **sums}
    old, new = discounted(account, period, without), discounted(account, period, sums)
    for number, name in sorted(set(old) | set(new)):
        change = new.get((number, name), 0) - old.get((number, name), 0)
        if change:
            lines.append(discount_line(name, number, change, period))
    change = missing(account, period, days, sum(sums.values()) - sum(new.values())) - \
        missing(account, period, days, sum(without.values()) - sum(old.values()))
    lines += minimum_line(days, change)
    for line in lines:
        line.month = period
    return lines


def by_service(lines):
    sums = {}
    for line in lines:
        sums[line.service] = sums.get(line.service, 0) + line.amount
    return sums


def discounted(account, period, sums):
    """C9: by discount and service. They are taken one after the other, each of what those before it have left."""
    left, result = dict(sums), {}
    for discount in account.discounts:
        if not discount['from'] <= period < discount['to']:
            continue
        names = [name for name in left if (discount['services'] is None or name in discount['services']) and left[name] > 0]
        names.sort()
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
                result[(discount['number'], name)] = amount
                left[name] -= amount
    return result


def discount_line(name, number, amount, period):
    return Line(name, 'discount', period, month_last(period), None, amount=-amount)


def missing(account, period, days, total):
    """What is missing to the minimum (C10)."""
    least, n = Fraction(0), month_last(period).day
    for day in days:
        amount = account.tariff_on(day).minimum.on(day)
        if amount:
            least += Fraction(amount, n)
    return max(half_away(least) - total, 0) if least > 0 else 0


def minimum_line(days, amount):
    return [Line('base', 'minimum', days[0], days[-1], None, amount=amount)] if amount else []
