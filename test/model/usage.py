"""Usage (rules U): events, where what is taken back goes, and what they come to under each price."""
from collections import defaultdict
from datetime import timedelta
from fractions import Fraction

from catalogue import month_last, month_of
from money import Refused


class Event:
    def __init__(self, **fields):
        self.__dict__.update(fields)


def of_month(account, service, period):
    return [e for e in account.events if e.service == service and e.period == period]


def totals(service, events):
    """Quantity and number of events under each price (U2)."""
    by_price = defaultdict(list)
    for event in events:
        by_price[event.price].append(event)
    return {price: (aggregate(service.aggregation, some), sum(e.sign for e in some)) for price, some in by_price.items()}


def aggregate(how, events):
    if how == 'sum':
        return sum((e.quantity for e in events), Fraction(0))
    if how == 'count':
        return Fraction(sum(e.sign for e in events))
    if how == 'unique':
        values = defaultdict(int)
        for event in events:
            values[event.value] += event.sign
        return Fraction(sum(1 for n in values.values() if n > 0))
    left = standing(events)
    if not left:
        return Fraction(0)
    if how == 'max':
        return max(e.quantity for e in left)
    return max(left, key=lambda e: (e.at, e.number)).quantity


def standing(events):
    """Of max and last: the events that were not taken back."""
    left = [e for e in events if e.sign > 0]
    for event in events:
        if event.sign < 0:
            same = [e for e in left if e.quantity == -event.quantity]
            if same:
                left.remove(same[-1])
    return left


def is_same(service, counted, taken_back):
    """Whether the one is the value or level that the other takes back."""
    if service.aggregation == 'unique':
        return counted.value == taken_back.value
    return service.aggregation in ('max', 'last') and counted.quantity == -taken_back.quantity


def net(by_price, order):
    """What is below zero is taken from the price with the most left (U3); what they do not have is under the first that is below."""
    result = {price: list(v) for price, v in by_price.items()}
    for i in (0, 1):
        below = sorted((p for p, v in result.items() if v[i] < 0), key=order)
        deficit = sum(-result[p][i] for p in below)
        for price in below:
            result[price][i] = 0 * deficit
        while deficit > 0:
            most = max(result, key=lambda p: result[p][i])
            moved = min(deficit, result[most][i])
            if moved == 0:
                result[below[0]][i] = -deficit
                break
            result[most][i] -= moved
            deficit -= moved
    return {price: tuple(v) for price, v in result.items()}


def place(account, service, event):
    """Under which price an event is (C3, U1)."""
    on_day = account.price_on(service.name, event.day)
    if event.sign > 0:
        return on_day
    events = of_month(account, service.name, event.period)
    if on_day is None and not events:
        earlier = [e.period for e in account.events if e.service == service.name and e.period < event.period]
        events = of_month(account, service.name, max(earlier, default=None))
    return counted(service, event, events, on_day) or most_left(service, events, on_day)


def counted(service, event, events, on_day):
    """The price under which the value or level that is taken back is counted: that of its day, if it is one of several."""
    for price, some in sorted(grouped(events).items(), key=lambda item: (item[0] is not on_day,
                                                                         -aggregate(service.aggregation, item[1]))):
        if service.aggregation == 'unique':
            is_there = sum(e.sign for e in some if is_same(service, e, event)) > 0
        else:
            is_there = any(is_same(service, e, event) for e in standing(some))
        if is_there:
            return price
    return None


def most_left(service, events, on_day):
    """The price of the day, if there is usage under it or under none, else the one with the most."""
    left = {price: aggregate(service.aggregation, some) for price, some in grouped(events).items()}
    if on_day is not None:
        left = {price: n for price, n in left.items() if n > 0}
    if on_day in left or not left:
        return on_day
    return max(left, key=lambda price: (left[price], -price.number))


def reprice(account, service, period, start):
    """C3: events of days from the start on are at the price of their day, if there is one; what was taken back goes where usage is."""
    events = of_month(account, service.name, period)
    on_day = {e.number: (account.price_on(service.name, e.day) if e.day >= start else None) or e.price for e in events}
    used = defaultdict(list)
    for event in events:
        if event.sign > 0:
            used[on_day[event.number]].append(event)
    left = {price: remaining(service, some, [e for e in events if e.sign < 0 and on_day[e.number] is price])
            for price, some in used.items()}
    left = {price: (n, rest) for price, (n, rest) in left.items() if n > 0}

    def new(event):
        ours = on_day[event.number]
        if event.sign > 0:
            return ours
        # the rules are silent on which of several it is: the day's, else the one that it was, else the first, or the one with the most
        same = [price for price, some in used.items() if any(is_same(service, e, event) for e in some)]
        for among, order in ((same, lambda p: -p.number), (left, lambda p: (left[p][1], -p.number))):
            if among:
                return ours if ours in among else event.price if event.price in among else max(among, key=order)
        return ours
    for event, price in [(event, new(event)) for event in events]:
        event.price = price


def remaining(service, some, taken_back):
    """Of usage under a price: how much it was, and how much is left of it."""
    if service.aggregation == 'sum':
        n = sum(e.quantity for e in some)
        return n, n + sum(e.quantity for e in taken_back)
    if service.aggregation in ('max', 'last'):
        return (max(e.quantity for e in some),) * 2
    return len(some), len(some) - (len(taken_back) if service.aggregation == 'count' else 0)


def grouped(events):
    result = defaultdict(list)
    for event in events:
        result[event.price].append(event)
    return result
