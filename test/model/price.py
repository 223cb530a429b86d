"""Prices (rules P): what a text of a price list comes to, exactly."""
import re
from fractions import Fraction


class Price:
    """A price, read from its text."""

    def __init__(self, text):
        self.text = text
        words = text.replace(',', ' , ').split()
        self.free, self.least, self.most, self.fee = Fraction(0), None, None, Fraction(0)
        for name, word in (('free', 'free'), ('least', 'min'), ('most', 'max'), ('fee', 'fee')):
            if word in words:
                at = words.index(word)
                setattr(self, name, Fraction(words[at + 1]))
                del words[at:at + 2]
        self.form = 'flat'
        if words[0] in ('graduated', 'volume'):
            self.form = words.pop(0)
            parts = ' '.join(words).split(' , ')
        else:
            parts = [' '.join(words)]
            if len(words) > 1 or '%' in text:
                self.form = 'each'
        self.percent = '%' in text
        self.tiers = [self.tier(part) for part in parts]
        if self.percent and self.form == 'each':
            # after one percentage, "+" is the fee for each event
            limit, unit, flat, size, full = self.tiers[0]
            self.fee += flat
            self.tiers = [(limit, unit, Fraction(0), size, full)]

    @staticmethod
    def tier(text):
        """Upper end, price of a unit, flat fee, size of a package, and whether only full ones count."""
        match = re.fullmatch(r'([\d.]+)(%?)(?: each)?(?: per (full )?([\d.]+))?(?: \+ ([\d.]+))?(?: to ([\d.]+))?', text)
        if not match:
            raise ValueError(text)
        unit, percent, full, size, flat, limit = match.groups()
        return (Fraction(limit) if limit else None, Fraction(unit) / (100 if percent else 1), Fraction(flat or 0),
                Fraction(size) if size else None, bool(full))

    def terms(self):
        """What makes two prices the same: their terms."""
        return (self.form, self.percent, tuple(self.tiers), self.free, self.least, self.most, self.fee)

    @staticmethod
    def of_tier(units, unit, flat, size, full):
        if size:
            units = units // size if full else -(-units // size)
        return units * unit + flat if units > 0 else Fraction(0)

    def plain(self, quantity, events=1):
        """The amount in major units, without minimum and maximum."""
        quantity = max(Fraction(quantity), Fraction(0))
        if self.form == 'flat':
            return self.tiers[0][1]
        amount = self.fee * events
        low = Fraction(0)
        for limit, unit, flat, size, full in self.tiers:
            if self.form == 'volume':
                if limit is None or quantity <= limit:
                    return amount + self.of_tier(max(quantity - self.free, Fraction(0)), unit, flat, size, full)
                continue
            high = quantity if limit is None else min(limit, quantity)
            amount += self.of_tier(max(high - max(low, self.free), Fraction(0)), unit, flat, size, full)
            low = limit
            if limit is None or quantity <= limit:
                break
        return amount

    def rate(self, quantity, events=1, least=Fraction(1), most=Fraction(1)):
        """The amount, with these shares of the minimum and of the maximum."""
        amount = self.plain(quantity, events)
        if self.least is not None:
            amount = max(amount, self.least * least)
        if self.most is not None:
            amount = min(amount, self.most * most)
        return amount

    def by_day(self, quantity, share):
        """What a quantity, as one event, costs for a share of the period (C3)."""
        return self.rate(quantity) * share
