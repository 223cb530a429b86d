"""Money and errors (rules M): amounts are counts of minor units."""
from fractions import Fraction

DECIMALS = {'USD': 2, 'UAH': 2, 'EUR': 2, 'JPY': 0, 'KWD': 3}


class Refused(Exception):
    """A call that the rules refuse, with the SQLSTATEs that would be right."""

    def __init__(self, *states):
        super().__init__('/'.join(states))
        self.states = set(states)


def refuse_any(**states):
    """Refuses for each reason that holds: where several do, the rules do not say which is told."""
    found = {state for state, holds in states.items() if holds}
    if found:
        raise Refused(*found)


def half_away(x):
    """Rounded to a whole number, half away from zero (M4)."""
    x = Fraction(x)
    n = abs(x)
    whole = (2 * n.numerator + n.denominator) // (2 * n.denominator)
    return whole if x >= 0 else -whole


def text(minor, currency):
    """An amount as kb_money writes it (M2)."""
    decimals = DECIMALS[currency]
    digits = str(abs(minor)).rjust(decimals + 1, '0')
    if decimals:
        digits = digits[:-decimals] + '.' + digits[-decimals:]
    return ('-' if minor < 0 else '') + digits + ' ' + currency


def minor(amount, currency):
    """The exact count of minor units of an amount in major units."""
    return Fraction(amount) * 10 ** DECIMALS[currency]
