#!/usr/bin/python3
"""kbilling from Python, by psycopg 3.  What it connects to is in setup.sql.

    PGHOST=… PGPORT=… PGDATABASE=shop examples/clients/psycopg3.py 2

2 is the account.  All of it works behind pgbouncer in transaction mode, too; there, set prepare_threshold to None, as
here, unless pgbouncer is one that keeps prepared statements (1.21 or later, with max_prepared_statements) and psycopg's
libpq is new enough for it: psycopg's page on prepared statements says which is.
"""
import struct
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.rows import namedtuple_row
from psycopg.types import TypeInfo
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum


@dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: str

    def __str__(self):
        return f'{self.amount} {self.currency}'


class MoneyLoader(Loader):
    """Reads 19.00 USD."""

    def load(self, data):
        amount, currency = bytes(data).decode().split()
        return Money(Decimal(amount), currency)


class MoneyBinaryLoader(Loader):
    """Reads 8 bytes of minor units, one of decimals, three letters."""

    format = Format.BINARY

    def load(self, data):
        minor, decimals, letters = struct.unpack('!qb3s', data)
        return Money(Decimal(minor).scaleb(-decimals), letters.decode())


class MoneyDumper(Dumper):
    """Writes 19.00 USD."""

    def dump(self, obj):
        return str(obj).encode()


def register(connection):
    """Makes kb_money a Money, and rows and enums of kbilling something better than text, on this connection."""
    money = TypeInfo.fetch(connection, 'kbilling.kb_money')
    money.register(connection)
    connection.adapters.register_loader(money.oid, MoneyLoader)
    connection.adapters.register_loader(money.oid, MoneyBinaryLoader)
    dumper = type('MoneyDumper', (MoneyDumper,), {'oid': money.oid})
    connection.adapters.register_dumper(Money, dumper)
    for name in 'kb_stage', 'kb_access':
        register_enum(EnumInfo.fetch(connection, f'kbilling.{name}'), connection)
    register_composite(CompositeInfo.fetch(connection, 'kbilling.kb_access_decision'), connection)


def connect(user):
    return psycopg.connect(user=user, autocommit=True, prepare_threshold=None, row_factory=namedtuple_row)


@contextmanager
def acting_for(account, member):
    """One transaction, for a member.  The next one on the same connection acts for nobody."""
    with app.transaction():
        app.execute('SELECT kb_act_as(%s, %s)', [account, member])
        yield


@contextmanager
def refused():
    """Prints what an error says: its SQLSTATE, and the hint, which a member can be shown for KB003."""
    try:
        yield
    except psycopg.Error as error:
        print(f'{error.sqlstate}: {error.diag.message_hint}')


account = int(sys.argv[1])
# Two roles: the application cannot credit anybody.
app, webhook = connect('shop_app'), connect('shop_webhook')

# A function that returns a row stands in FROM, so that its columns are columns.
login = app.execute('SELECT stage, access FROM kb_login(%s, %s)', [account, 'ann']).fetchone()
print(f'login: {login.stage}, {login.access}')

with acting_for(account, 'ann'):
    app.execute('INSERT INTO ticket (account_id, subject) VALUES (%s, %s)', [account, 'Printer on fire'])
print('acting afterwards:', app.execute('SELECT kb_acting_member()').fetchone()[0] or 'nobody')

# An amount is passed as a number and a currency, or as a text with both: %s::kb_money, '50.00 USD'.
begun = app.execute('SELECT payment_id, kb_amount(bonus) AS bonus FROM kb_begin_topup(%s, %s, kb_money(%s, %s))',
                    [account, 'ann', Decimal('50.00'), 'USD']).fetchone()
print(f'begun: payment {begun.payment_id}, bonus {begun.bonus}')


def confirm():
    return webhook.execute('SELECT kb_amount(credited) AS credited, balance, replayed'
                           " FROM kb_apply_topup(%s, kb_money(%s, %s), 'card', %s, payment_id => %s)",
                           [account, Decimal('50.00'), 'USD', f'payment-{account}', begun.payment_id]).fetchone()


paid = confirm()
print(f'paid: {paid.credited}, balance {paid.balance}, again: {str(paid.replayed).lower()}')
print(f'paid: again: {str(confirm().replayed).lower()}')

# Money as numbers, without an adapter: a Decimal, and the count of minor units.
money = app.execute('SELECT kb_amount(b) AS amount, kb_currency(b) AS currency, kb_minor(b) AS minor FROM kb_balance(%s) b',
                    [account]).fetchone()
print(f'money: {money.amount} {money.currency}, {money.minor} minor units, {money.amount - 9} less 9.00')

for line in app.execute('SELECT what, from_date, kb_amount(amount) AS amount FROM kb_current_usage(%s)', [account]):
    print(f'used: {line.what} from {line.from_date}, {line.amount}')

page = app.execute('SELECT kb_portal(%s, %s)', [account, 'ann']).fetchone()[0]
print(f"page: {page['member']}, {page['role']}")

with refused(), acting_for(1000, 'eve'):
    app.execute("INSERT INTO ticket (account_id, subject) VALUES (1000, 'No coffee')")
with refused():
    app.execute("SELECT kb_begin_topup(%s, 'bob', kb_money(50, 'USD'))", [account])
with refused():
    app.execute("SELECT kb_begin_topup(%s, 'ann', %s::kb_money)", [account, '5'])

answers = [app.execute('SELECT access FROM kb_login(%s, %s)', [account, 'ann']).fetchone().access for _ in range(20)]
print(f"full access: {answers.count('full')} times")

# With adapters, in text and in binary: what needs them otherwise comes as text, or as bytes.
for binary in False, True:
    print('without adapters:', app.execute('SELECT kb_balance(%s)', [account], binary=binary).fetchone()[0])
register(app)
for binary in False, True:
    balance, negative, login = app.execute('SELECT kb_balance(%s), ARRAY[-kb_balance(%s)], kb_access(%s, %s)',
                                           [account, account, account, 'owner'], binary=binary).fetchone()
    print('with adapters:', balance, negative[0].amount, login.stage.name, login.amount_due)
print('as a parameter:', app.execute('SELECT %s + %s', [Money(Decimal('1.50'), 'USD'), Money(Decimal(2), 'USD')]).fetchone()[0])
