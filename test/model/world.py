"""Random worlds: tariffs, accounts and what happens to them, by a seed."""
import random
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from money import DECIMALS

ZONES = ['UTC', 'Europe/Kyiv', 'America/New_York', 'Australia/Lord_Howe', 'Pacific/Kiritimati', 'Pacific/Pago_Pago',
         'Asia/Kathmandu', 'America/St_Johns']


class World:
    """The steps of a seed."""

    def __init__(self, seed, subjects):
        self.r = random.Random(seed)
        self.subjects = set(subjects)
        self.steps, self.counter = [], 0
        r = self.r
        self.currency = r.choice(list(DECIMALS))
        self.scale = {0: 1, 2: 1, 3: 1}[DECIMALS[self.currency]]
        self.now = datetime(r.choice([2024, 2025, 2026]), r.randint(1, 12), r.randint(1, 28), r.randint(0, 23), r.randint(0, 59),
                            r.randint(0, 59), tzinfo=timezone.utc)
        self.setup()
        self.live()

    def has(self, subject):
        return subject in self.subjects

    def step(self, op, **arguments):
        self.steps.append(dict(at=self.now, op=op, **arguments))

    def key(self, prefix):
        self.counter += 1
        return f'{prefix}{self.counter}'

    def money(self, low, high):
        """Minor units of an amount between two in major units."""
        factor = 10 ** DECIMALS[self.currency]
        amount = self.r.randint(int(low * factor), int(high * factor))
        return amount if self.r.random() < 0.5 else amount // factor * factor or factor

    def number(self, low, high):
        """A price of a unit, as a text."""
        return f'{self.r.uniform(low, high):.{self.r.choice([0, 1, 2, 3, 5])}f}'.rstrip('.') or '1'

    # prices

    def flat(self):
        return f'{self.r.uniform(1, 60):.{min(DECIMALS[self.currency], 2)}f}'

    def usage_price(self):
        r = self.r
        form = r.choice(['each', 'per', 'full', 'graduated', 'volume', 'percent', 'tiers', 'flat', 'percents'])
        if form == 'flat':
            return self.flat()
        if form == 'each':
            text = f'{self.number(0, 2)} each'
        elif form == 'per':
            text = f'{self.number(0.5, 9)} per {r.choice([3, 10, 100, 2.5])}'
        elif form == 'full':
            text = f'{self.number(0.5, 9)} per full {r.choice([3, 10, 50])}'
        elif form == 'percent':
            text = f'{self.number(0.1, 5)}% + {self.number(0, 1)}'
        elif form == 'percents':
            text = f'graduated {self.number(1, 5)}% to {r.choice([50, 200])}, {self.number(0.1, 2)}% fee {self.number(0, 1)}'
        else:
            ends = sorted(r.sample([5, 10, 20, 50, 100, 150], r.randint(1, 3)))
            how = r.choice(['graduated', 'volume'])

            def tier():
                text = self.number(0, 2)
                if form == 'tiers':
                    text += r.choice(['', ' per 7', ' per full 4', ' per 20'])
                    text += r.choice(['', f' + {self.number(0, 4)}'])
                return text
            text = f'{how} ' + ', '.join([f'{tier()} to {end}' for end in ends] + [tier()])
        if r.random() < 0.25:
            text += f' free {r.choice([3, 10, 25])}'
        least = r.random() < 0.3
        if least:
            text += f' min {r.randint(1, 9)}'
        if r.random() < 0.25:
            text += f' max {r.randint(10, 60)}'
        return text

    def service_price(self, kind):
        if kind == 'metered':
            return self.usage_price()
        if kind == 'one_off':
            return self.r.choice([self.flat(), f'{self.number(0.5, 9)} each'])
        if kind == 'base':
            return self.flat()
        return self.r.choice([self.flat(), f'{self.number(1, 9)} each', f'graduated {self.number(1, 9)} to 3, {self.number(1, 5)}',
                              f'{self.number(1, 9)} each free 1', f'{self.number(1, 9)} each min 4'])

    # what there is at the beginning

    def setup(self):
        r = self.r
        self.policies = ['standard'] if self.has('closure') else []
        if not self.policies or r.random() < 0.6:
            a, b, c = sorted(r.sample(range(2, 20), 3))
            settings = {'remind_day': a, 'restrict_day': b, 'block_day': c}
            if r.random() < 0.4:
                settings['debt_counts_from'] = 'posting_date'
            if not self.has('closure'):
                settings['close_unused'] = False
            self.step('create_policy', policy='p', settings=settings)
            self.policies.append('p')
        self.services = {'base': 'base'}
        for name, kind, aggregation in (('seat', 'recurring', 'sum'), ('line', 'recurring', 'sum'), ('order', 'metered', 'sum'),
                                        ('mail', 'metered', 'count'), ('peak', 'metered', 'max'), ('user', 'metered', 'unique'),
                                        ('disk', 'metered', 'last'), ('pack', 'one_off', 'sum')):
            if kind == 'metered' and not self.has(aggregation) or kind == 'one_off' and not self.has('buy'):
                continue
            self.services[name] = kind
            self.step('create_service', service=name, kind=kind, aggregation=aggregation)
        self.tariffs = ['basic', 'plus', 'pro'][:r.randint(1, 3)]
        for tariff in self.tariffs:
            self.step('create_tariff', tariff=tariff, currency=self.currency, policy=r.choice(self.policies))
            for service, kind in self.services.items():
                if r.random() < 0.85:
                    self.step('set_price', tariff=tariff, service=service, price=self.service_price(kind), prorate=r.random() < 0.85)
            for _ in range(r.choice([0, 0, 1, 2])):
                self.step('set_bonus', tariff=tariff, amount=self.money(5, 80), currency=self.currency, percent=r.choice([0, 5, 10, 12.5]),
                          valid_days=r.choice([None, None, 5, 20, 40]) if self.has('expiry') else None)
            if self.has('minimum') and r.random() < 0.3:
                self.step('set_minimum', tariff=tariff, amount=self.money(5, 60), currency=self.currency)
        self.accounts = []
        for _ in range(r.randint(1, 4)):
            self.open_account()

    def open_account(self):
        number = len(self.accounts) + 1
        account = {'number': number, 'zone': self.r.choice(ZONES), 'keys': [], 'topups': [], 'usage': [], 'calls': [],
                   'currency': self.currency}
        self.accounts.append(account)
        self.step('create_account', account=number, owner='ann', tariff=self.r.choice(self.tariffs), zone=account['zone'])
        self.step('add_member', account=number, member='eve', role='employee')
        self.step('add_member', account=number, member='adam', role='admin')

    # what happens

    def live(self):
        r = self.r
        days = r.randint(20, 110)
        daily = r.random() < 0.5
        pace = r.choice([0.3, 1, 2])
        acts = {'topup': 4, 'refund': 2, 'adjust': 1, 'record': 8, 'switch_on': 2, 'switch_off': 1, 'set_tariff': 1,
                'set_price': 0.7, 'chargeback': 1, 'write_off': 0.5, 'reverse': 1.5, 'defer': 0.5, 'month_charge': 1, 'again': 1,
                'grant': 2, 'buy': 1.5, 'set_minimum': 0.3, 'set_discount': 0.8, 'end': 1.5, 'go_on': 0.7, 'schedule': 2,
                'cancel': 1, 'restore': 2, 'login': 2, 'ahead': 3, 'set_credit_line': 1, 'set_account_line': 1.5,
                'set_limit': 1, 'set_account_limit': 1.5}
        self.acts = {act: n * r.choice([0, 0.5, 1, 1, 3]) for act, n in acts.items() if self.has(act)}
        if not any(self.acts.values()):
            self.acts['topup'] = 1
        day = 0
        while day < days:
            start = self.now
            moments = sorted(r.randint(60, 86399) for _ in range(min(8, int(r.expovariate(1 / pace)))))
            swept = r.randint(60, 86399) if daily or r.random() < 0.4 else None
            if daily:
                swept = 60 * 60 * (swept // 3600) + 3
            for moment in sorted(moments + ([swept] if swept else [])):
                self.now = start + timedelta(seconds=moment)
                if moment == swept:
                    self.step('sweep')
                else:
                    self.act()
            jump = r.choice([1, 1, 1, 1, 1, 1, 1, 2, 3, 8, 33]) if not daily else 1
            day += jump
            self.now = start + timedelta(days=jump)
        self.step('sweep')
        self.now += timedelta(days=33)
        self.step('sweep')

    def act(self):
        name = self.r.choices(list(self.acts), list(self.acts.values()))[0]
        account = self.r.choice(self.accounts)
        before = len(self.steps)
        getattr(self, 'act_' + name)(account)
        account['calls'] += [s for s in self.steps[before:] if s.get('account') == account['number']]

    def local(self, account):
        return self.now.astimezone(ZoneInfo(account['zone'])).date()

    def topup_of(self, account):
        return self.r.choice(account['topups']) if account['topups'] and self.r.random() < 0.95 else 'none'

    def act_topup(self, account):
        reference = self.key('t')
        account['topups'].append(reference)
        account['keys'].append(reference)
        amount = self.money(1, 90) if self.r.random() < 0.97 else self.r.choice([0, -100])
        member = self.r.choice([None, None, 'ann', 'adam', 'eve', 'nobody'] if self.r.random() < 0.1 else [None, 'ann'])
        self.step('topup', account=account['number'], amount=amount, currency=self.money_of(account),
                  method=self.r.choice(['card', 'manual', 'bank_transfer']), reference=reference, member=member)

    def money_of(self, account):
        """The currency, seldom the wrong one."""
        return self.currency if self.r.random() < 0.985 else ('USD' if self.currency != 'USD' else 'EUR')

    def act_refund(self, account):
        reference = self.key('r')
        account['keys'].append(reference)
        self.step('refund', account=account['number'], amount=self.money(0.1, 40), currency=self.money_of(account),
                  reference=reference, topup_reference=self.topup_of(account) if self.r.random() < 0.5 else None,
                  forced=self.r.random() < 0.3)

    def act_chargeback(self, account):
        reference = self.key('c')
        account['keys'].append(reference)
        named = self.r.random() < 0.4
        self.step('chargeback', account=account['number'], topup_reference=self.topup_of(account), reference=reference,
                  amount=self.money(0.1, 40) if named else None, currency=self.currency)

    def act_adjust(self, account):
        reference = self.key('a')
        account['keys'].append(reference)
        self.step('adjust', account=account['number'], amount=self.money(0.1, 30) * self.r.choice([1, -1]),
                  currency=self.money_of(account), reference=reference, memo=self.r.choice(['sorry', 'owed']))

    def act_write_off(self, account):
        reference = self.key('w')
        account['keys'].append(reference)
        self.step('write_off', account=account['number'], reference=reference, memo='lost')

    def act_grant(self, account):
        reference = self.key('g')
        account['keys'].append(reference)
        expires = None
        if self.has('expiry') and self.r.random() < 0.6:
            expires = self.local(account) + timedelta(days=self.r.choice([0, 1, 3, 10, 30, 45]))
        self.step('grant', account=account['number'], amount=self.money(0.5, 30), currency=self.money_of(account), reference=reference,
                  memo='hello', expires=expires, priority=self.r.choice([50, 50, 50, 10, 90, 1001 if self.r.random() < 0.1 else 0]))

    def act_reverse(self, account):
        how = self.r.choice(['key', 'key', 'charge', 'bonus'])
        what = self.r.choice(account['keys']) if account['keys'] else 'none'
        if how == 'charge':
            day = self.local(account).replace(day=1)
            what = (day - timedelta(days=self.r.choice([1, 1, 32]))).replace(day=1)
        elif how == 'bonus':
            what = self.topup_of(account)
        reference = self.key('v')
        account['keys'].append(reference)
        self.step('reverse', account=account['number'], target=(how, what), reference=reference, memo='wrong')

    def act_buy(self, account):
        reference = self.key('b')
        account['keys'].append(reference)
        service = 'pack' if self.r.random() < 0.95 else self.r.choice(['base', 'nothing'])
        self.step('buy', account=account['number'], service=service, quantity=self.r.choice([1, 2, 3, 0 if self.r.random() < 0.1 else 1]),
                  reference=reference)

    def act_defer(self, account):
        self.step('defer', account=account['number'], until=self.local(account) + timedelta(days=self.r.randint(-1, 15)))

    def act_month_charge(self, account):
        period = self.r.choice([None, 0, 1, 1, 32])
        if period is not None:
            period = (self.local(account).replace(day=1) - timedelta(days=period)).replace(day=1 if self.r.random() < 0.95 else 2)
        self.step('month_charge', account=account['number'], period=period)

    def some_day(self, account):
        """NULL, or a day that is near."""
        if self.r.random() < 0.5:
            return None
        return self.local(account) + timedelta(days=self.r.choice([-40, -12, -3, -1, 0, 1, 2, 5, 15, 40]))

    def act_set_tariff(self, account):
        self.step('set_tariff', account=account['number'], tariff=self.r.choice(self.tariffs), start=self.some_day(account))

    def recurring(self):
        return self.r.choice(['seat', 'line'])

    def act_switch_on(self, account):
        self.step('switch_on', account=account['number'], service=self.recurring(), quantity=self.r.choice([1, 1, 2, 3, 5, 1.5, 0]),
                  start=self.some_day(account))

    def act_switch_off(self, account):
        self.step('switch_off', account=account['number'], service=self.recurring(), start=self.some_day(account))

    def act_set_price(self, account):
        service = self.r.choice(list(self.services))
        start = None
        if self.r.random() < 0.7:
            start = self.now.date() + timedelta(days=self.r.choice([-10, -3, 0, 1, 4, 20]))
        # now and then one that was there
        old = [s for s in self.steps if s['op'] == 'set_price' and s['service'] == service]
        price = self.r.choice(old)['price'] if old and self.r.random() < 0.4 else self.service_price(self.services[service])
        self.step('set_price', tariff=self.r.choice(self.tariffs), service=service, price=price, prorate=self.r.random() < 0.85,
                  start=start)

    def act_set_minimum(self, account):
        if self.has('minimum'):
            start = None
            if self.r.random() < 0.5:
                start = self.now.date() + timedelta(days=self.r.choice([-3, 0, 4, 20]))
            self.step('set_minimum', tariff=self.r.choice(self.tariffs), amount=self.r.choice([0, self.money(5, 60)]),
                      currency=self.currency, start=start)

    def act_set_discount(self, account):
        r = self.r
        what = {'percent': r.choice([5, 10, 12.5, 33.3, 100])} if r.random() < 0.6 else {'amount': self.money(0.5, 20)}
        if r.random() < 0.15:
            what = {}
        services = None
        if r.random() < 0.6:
            names = [s for s, kind in self.services.items() if kind != 'one_off']
            services = r.sample(names, r.randint(1, min(3, len(names))))
        start = None
        if r.random() < 0.4:
            start = (self.local(account).replace(day=1) + timedelta(days=r.choice([0, 0, 31, 62]))).replace(day=1)
        self.step('set_discount', account=account['number'], currency=self.money_of(account), services=services,
                  months=r.choice([None, 1, 2, 3]) if what else None, start=start, **what)

    def act_end(self, account):
        day = self.local(account) + timedelta(days=self.r.choice([-1, 0, 0, 1, 3, 10, 30]))
        if self.r.random() < 0.3:
            day = (day.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        self.step('end', account=account['number'], by=self.r.choice(['ann', 'sam', 'ann', 'adam']),
                  on=day if self.r.random() < 0.9 else None)

    def act_go_on(self, account):
        self.step('go_on', account=account['number'], by=self.r.choice(['ann', 'sam', 'eve']))

    def act_schedule(self, account):
        self.step('schedule', account=account['number'], by='sam')

    def act_cancel(self, account):
        self.step('cancel', account=account['number'], member=self.r.choice(['ann', 'adam', 'eve']))

    def act_restore(self, account):
        self.step('restore', account=account['number'])

    def act_login(self, account):
        self.step('login', account=account['number'], member=self.r.choice(['ann', 'adam', 'eve', 'eve', 'nobody']))

    def act_ahead(self, account):
        self.step('ahead', account=account['number'], days=self.r.choice([1, 2, 5, 12, 31, 45]))

    def act_set_credit_line(self, account):
        self.step('set_credit_line', tariff=self.r.choice(self.tariffs), currency=self.currency,
                  amount=self.r.choice([None, 0, self.money(1, 40)]))

    def act_set_account_line(self, account):
        self.step('set_account_line', account=account['number'], currency=self.currency,
                  amount=self.r.choice([None, 0, self.money(1, 40)]))

    def metered(self):
        return [s for s, kind in self.services.items() if kind == 'metered']

    def act_set_limit(self, account):
        if self.metered():
            self.step('set_limit', tariff=self.r.choice(self.tariffs), service=self.r.choice(self.metered()),
                      quantity=self.r.choice([None, 3, 10, 30]))

    def act_set_account_limit(self, account):
        if self.metered():
            self.step('set_account_limit', account=account['number'], service=self.r.choice(self.metered()),
                      quantity=self.r.choice([None, 3, 10, 30]))

    def act_record(self, account):
        r = self.r
        metered = [s for s, kind in self.services.items() if kind == 'metered']
        if not metered:
            return
        for _ in range(r.choice([1, 1, 1, 2, 5])):
            service = r.choice(metered)
            key = self.key('u')
            quantity = r.choice([1, 2, 5, 10, 33, 0.5, 7.25, 0])
            value = None
            if service == 'user':
                value = r.choice('abcdefgh')
                quantity = 1
            if service in ('peak', 'disk'):
                quantity = r.choice([1, 2, 5, 10, 33]) + self.counter / 1000
            at = None
            if r.random() < 0.5 and (self.has('late') or True):
                back = r.choice([0, 0, 1, 1, 3, 8] + ([20, 35] if self.has('late') else []))
                at = self.now - timedelta(days=back, seconds=r.randint(0, 40000))
                if not self.has('late'):
                    first = self.local(account).replace(day=1)
                    if at.astimezone(ZoneInfo(account['zone'])).date() < first:
                        at = None
            if self.has('takeback') and account['usage'] and r.random() < 0.2:
                old = r.choice(account['usage'])
                service, quantity, value, at = old['service'], -old['quantity'], old.get('value'), old.get('at_time') or old['at']
                if quantity == 0:
                    continue
            self.step('record', account=account['number'], service=service, quantity=quantity, key=key, at_time=at, value=value)
            if quantity > 0:
                account['usage'].append(self.steps[-1])

    def act_again(self, account):
        """An earlier call once more, as it was or with other content."""
        calls = [s for s in account['calls'] if 'reference' in s or s['op'] == 'record']
        if not calls:
            return
        again = dict(self.r.choice(calls), at=self.now)
        if again['op'] == 'record' and again.get('at_time') is None:
            pass
        if again.get('amount') and self.r.random() < 0.3:
            again['amount'] += 1
        elif 'memo' in again and self.r.random() < 0.2:
            again['memo'] = 'another'
        self.steps.append(again)
