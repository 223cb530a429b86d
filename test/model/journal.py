"""What moves a balance (rules T, J, G, L5): payments, corrections, credit, purchases."""
from datetime import timedelta
from fractions import Fraction

import credit
from account import Lot
from catalogue import BEGINNING, END
from money import Refused, half_away, minor, refuse_any, text


def topup(model, account, amount, currency, method, reference, member=None):
    """T2, T5; what kb_apply_topup returns."""
    entry = account.known(reference, ('topup', amount, currency, method))
    if entry:
        return dict(entry.result, replayed=True)
    refuse(model, account, amount, currency, above=True, member=member if account.state in ('active', 'closing') else None)
    if method not in ('card', 'google_pay', 'apple_pay', 'bank_transfer', 'manual'):
        raise Refused('22023')
    today = account.local(model.now)
    before = model.stage(account)
    credit.expire(model, account)
    entry = account.post('topup', amount, today, key=reference, content=('topup', amount, currency, method))
    rest = max(0, min(amount, account.balance))
    bonus, bonus_entry, valid = 0, None, None
    if rest > 0 and account.state in ('active', 'closing') and not account.over(today):
        percent, valid = account.tariff_on(today).bonus(rest, today)
        bonus = half_away(rest * percent / 100)
    if bonus > 0:
        bonus_entry = give(account, 'bonus', bonus, today, 50, today + timedelta(days=valid) if valid else None, ref=entry.seq)
    account.paid_at = model.now
    if account.state == 'closing' and account.balance > 0:
        model.closure.cancelled(model, account, 'topup')
    entry.result = {'entry_seq': entry.seq, 'bonus_seq': bonus_entry and bonus_entry.seq,
                    'credited': text(amount, account.currency), 'bonus': text(bonus, account.currency),
                    'balance': text(account.balance, account.currency), 'stage_before': before,
                    'stage_after': model.stage(account), 'replayed': False}
    return entry.result


def refuse(model, account, amount, currency, above=False, member=None, deleted=None):
    """The errors that several calls have in common."""
    states = set()
    if currency != account.currency:
        states.add('KB002')
    if above and amount <= 0:
        states.add('KB005')
    if member is not None and account.members.get(member) not in ('owner', 'admin'):
        states.add('KB004')
    if deleted and account.state in ('deleted', 'purged'):
        states.add('KB010')
    if states:
        raise Refused(*states)


def give(account, kind, amount, day, priority, expires, **fields):
    """An entry that adds a lot; what pays a debt is spent at once (G1)."""
    kept = max(0, min(amount, account.balance + amount))
    entry = account.post(kind, amount, day, {(priority, expires or END): kept}, **fields)
    account.lots.append(Lot(entry, priority, expires, fields.get('ref')))
    return entry


def remaining(account, entry):
    """What is left of a top-up (T6)."""
    return entry.amount - sum(part for other in account.entries for seq, part in other.parts if seq == entry.seq)


def find_topup(account, reference):
    entry = account.keys.get(reference)
    if entry is None or entry.kind != 'topup':
        raise Refused('22023')
    return entry


def bonus_lot(account, topup_seq):
    return next((lot for lot in account.lots if lot.topup == topup_seq), None)


def take_bonus(model, account, topup_entry, part):
    """The unspent bonus that a part of a top-up has earned goes with it (T6)."""
    lot = bonus_lot(account, topup_entry.seq)
    if lot is None:
        return None
    going = half_away(Fraction(account.lot_unspent(lot) * part, remaining(account, topup_entry)))
    if going <= 0:
        return None
    lot.kept -= going
    account.post('bonus', -going, account.local(model.now), {lot.pool: -going}, ref=lot.seq)
    return lot, going


def refund(model, account, amount, currency, reference, memo=None, topup_reference=None, forced=False):
    """T6."""
    named = account.keys.get(topup_reference) if topup_reference else None
    content = ('refund', amount, currency, memo, topup_reference, forced)
    entry = account.known(reference, content)
    if entry:
        return entry.seq
    missing = bool(topup_reference) and (named is None or named.kind != 'topup')
    left = remaining(account, named) if named and not missing else None
    refuse_any(KB002=currency != account.currency, KB005=amount <= 0 or (left is not None and left < amount) or
               (not forced and account.balance - account.unspent < amount), **{'22023': missing})
    tops = [named] if named else [e for e in reversed(account.entries) if e.kind == 'topup' and remaining(account, e) > 0]
    refuse_any(KB005=sum(remaining(account, e) for e in tops) < amount)
    credit.expire(model, account)
    return back(model, account, 'refund', amount, tops, key=reference, content=content, ref=named and named.seq)


def back(model, account, kind, amount, tops, **fields):
    """Money of top-ups goes back, and its bonus before it."""
    parts, went, rest = [], [], amount
    for topup_entry in tops:
        part = min(rest, remaining(account, topup_entry))
        if part <= 0:
            continue
        gone = take_bonus(model, account, topup_entry, part)
        if gone:
            went.append(gone)
        parts.append((topup_entry.seq, part))
        rest -= part
    entry = account.post(kind, -amount, account.local(model.now), **fields)
    entry.parts, entry.went = parts, went
    return entry.seq


def chargeback(model, account, topup_reference, reference, amount=None, currency=None):
    """T7."""
    content = ('chargeback', topup_reference, amount, currency)
    entry = account.known(reference, content)
    if entry:
        return entry.seq
    named = account.keys.get(topup_reference)
    missing = named is None or named.kind != 'topup'
    left = 0 if missing else remaining(account, named)
    refuse_any(KB002=amount is not None and currency != account.currency, KB005=amount is not None and not 0 < amount <= left,
               KB006=left <= 0 and not missing, **{'22023': missing})
    credit.expire(model, account)
    return back(model, account, 'chargeback', amount if amount is not None else left, [named], key=reference,
                content=content, ref=named.seq)


def adjust(model, account, amount, currency, reference, memo):
    content = ('adjustment', amount, currency, memo)
    entry = account.known(reference, content)
    if entry:
        return entry.seq
    refuse(model, account, amount, currency)
    if amount == 0:
        raise Refused('KB005')
    credit.expire(model, account)
    lots = account.spend(-amount, credit.usable(model, account)) if amount < 0 else {}
    return account.post('adjustment', amount, account.local(model.now), lots, key=reference, content=content).seq


def write_off(model, account, reference, memo):
    content = ('writeoff', memo)
    entry = account.known(reference, content)
    if entry:
        return entry.seq
    if account.balance >= 0:
        raise Refused('KB005')
    credit.expire(model, account)
    return account.post('writeoff', -account.balance, account.local(model.now), key=reference, content=content).seq


def grant(model, account, amount, currency, reference, memo, expires=None, priority=50):
    """G1."""
    content = ('credit', amount, currency, memo, expires, priority)
    entry = account.known(reference, content)
    if entry:
        return entry.seq
    today = account.local(model.now)
    refuse_any(KB002=currency != account.currency, KB005=amount <= 0, KB010=account.state in ('deleted', 'purged'),
               **{'22008': expires is not None and expires <= today, '22023': not 0 <= priority <= 1000, '55000': account.over(today)})
    credit.expire(model, account)
    return give(account, 'credit', amount, today, priority, expires, key=reference, content=content).seq


def find(account, target):
    """The seq of an entry that is named by its key, as the charge of a month, or as the bonus of a top-up; else 0."""
    how, what = target
    if how == 'key':
        return account.keys[what].seq if what in account.keys else 0
    if how == 'charge':
        return next((e.seq for e in account.entries if e.kind == 'charge' and e.period == what), 0)
    earned = account.keys.get(what)
    return next((lot.seq for lot in account.lots if earned and lot.topup == earned.seq), 0)


def reverse(model, account, target, reference, memo):
    """J1, G4, T7."""
    seq = find(account, target)
    content = ('reversal', seq, memo)
    entry = account.known(reference, content)
    if entry:
        return entry.seq
    target = next((e for e in account.entries if e.seq == seq), None)
    if target is None or target.kind in ('reversal', 'expiry') or (target.kind == 'bonus' and target.amount < 0):
        raise Refused('22023')
    if target.kind == 'bonus' and not any(lot.seq == seq for lot in account.lots):
        raise Refused('22023')
    if any(e.kind == 'reversal' and e.ref == seq for e in account.entries):
        raise Refused('KB006')
    today = account.local(model.now)
    if target.kind == 'topup' and remaining(account, target) != target.amount:
        raise Refused('KB006')
    lot = next((l for l in account.lots if l.seq == seq), None)
    if lot and lot.kept != lot.amount:
        raise Refused('KB006')
    if lot and credit.has_expired(model, account, lot):
        raise Refused('KB006')
    credit.expire(model, account)
    went = []
    if target.kind == 'topup':
        gone = take_bonus(model, account, target, target.amount)
        went = [gone] if gone else []
    lots = {}
    if lot:
        # The rules are silent on what was spent of it: it comes from credit that is alike, and then from other credit.
        credited = target.lots.get(lot.pool, 0)
        own = min(credited, account.pools[lot.pool])
        lots = {pool: change for pool, change in account.spend(credited - own, lambda pool: pool != lot.pool and
                                                                   credit.usable(model, account)(pool)).items()}
        lots[lot.pool] = -own
        lot.kept = 0
        entry = account.post('reversal', -target.amount, today, lots, key=reference, content=content, ref=seq)
    else:
        if target.amount < 0:
            lots = credit.given_back(model, account, target)
        entry = account.post('reversal', -target.amount, today, lots, key=reference, content=content, ref=seq)
    if target.kind == 'topup':
        entry.parts, entry.went = [(target.seq, target.amount)], went
    if target.kind in ('refund', 'chargeback'):
        entry.parts = [(s, -p) for s, p in target.parts]
        for lot, amount in target.went:
            lot.kept += amount
            kept = max(0, min(amount, account.balance + amount))
            account.post('bonus', amount, today, {lot.pool: kept}, ref=lot.seq)
    if target.kind == 'charge':
        account.skipped.add(target.period)
    return entry.seq


def buy(model, account, service, quantity, reference, member=None):
    """L5."""
    content = ('purchase', service, Fraction(str(quantity)))
    entry = account.known(reference, content)
    if entry:
        return entry.seq
    today = account.local(model.now)
    found = model.catalogue.services.get(service)
    price = account.price_on(service, today)
    refuse_any(KB010=account.state in ('deleted', 'purged'), KB012=found is None or price is None,
               KB004=member is not None and account.members.get(member) not in ('owner', 'admin'),
               **{'22023': quantity <= 0 or (found is not None and found.kind != 'one_off'), '55000': account.over(today)})
    amount = half_away(minor(price.price.rate(quantity), account.currency))
    if amount == 0:
        raise Refused('KB005')
    line = model.line(account)
    if amount > (model.available(account) if line is not None else credit.free_balance(model, account)):
        raise Refused('KB013')
    credit.expire(model, account)
    entry = account.post('purchase', -amount, today, account.spend(amount, credit.usable(model, account)), key=reference,
                         content=content)
    return entry.seq
