#!/usr/bin/python3
"""kbilling from Python, by psycopg2.  What it connects to is in setup.sql.

    PGHOST=… PGPORT=… PGDATABASE=shop examples/clients/psycopg2_app.py 3

3 is the account.  All of it works behind pgbouncer in transaction mode, too: psycopg2 puts parameters into the text of a
statement, and prepares none.
"""
import sys
from collections import namedtuple
from contextlib import contextmanager
from decimal import Decimal

import psycopg2
from psycopg2.extensions import new_type, register_type
from psycopg2.extras import NamedTupleCursor, register_composite

Money = namedtuple('Money', 'amount currency')


def connect(user):
    return psycopg2.connect(user=user, cursor_factory=NamedTupleCursor)


def query(connection, sql, *values):
    """Rows of one statement, in a transaction of its own unless one is open."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def one(connection, sql, *values):
    with connection:
        return query(connection, sql, *values)[0]


@contextmanager
def acting_for(account, member):
    """One transaction, for a member.  The next one on the same connection acts for nobody."""
    with app:
        query(app, 'SELECT kb_act_as(%s, %s)', account, member)
        yield


@contextmanager
def refused():
    """Prints what an error says: its SQLSTATE, and the hint, which a member can be shown for KB003."""
    try:
        yield
    except psycopg2.Error as error:
        print(f'{error.pgcode}: {error.diag.message_hint}')


account = int(sys.argv[1])
# Two roles: the application cannot credit anybody.
app, webhook = connect('shop_app'), connect('shop_webhook')

# A function that returns a row stands in FROM, so that its columns are columns.  In the select list it comes as text.
login = one(app, 'SELECT stage, access FROM kb_login(%s, %s)', account, 'ann')
print(f'login: {login.stage}, {login.access}')

with acting_for(account, 'ann'):
    query(app, 'INSERT INTO ticket (account_id, subject) VALUES (%s, %s)', account, 'Printer on fire')
print('acting afterwards:', one(app, 'SELECT kb_acting_member()')[0] or 'nobody')

# An amount is passed as a number and a currency, or as a text with both: %s::kb_money, '50.00 USD'.
begun = one(app, 'SELECT payment_id, kb_amount(bonus) AS bonus FROM kb_begin_topup(%s, %s, kb_money(%s, %s))',
            account, 'ann', Decimal('50.00'), 'USD')
print(f'begun: payment {begun.payment_id}, bonus {begun.bonus}')


def confirm():
    return one(webhook, 'SELECT kb_amount(credited) AS credited, balance, replayed'
                        " FROM kb_apply_topup(%s, kb_money(%s, %s), 'card', %s, payment_id => %s)",
               account, Decimal('50.00'), 'USD', f'payment-{account}', begun.payment_id)


paid = confirm()
print(f'paid: {paid.credited}, balance {paid.balance}, again: {str(paid.replayed).lower()}')
print(f'paid: again: {str(confirm().replayed).lower()}')

# Money as numbers: a Decimal, and the count of minor units.
money = one(app, 'SELECT kb_amount(b) AS amount, kb_currency(b) AS currency, kb_minor(b) AS minor FROM kb_balance(%s) b', account)
print(f'money: {money.amount} {money.currency}, {money.minor} minor units, {money.amount - 9} less 9.00')

with app:
    for line in query(app, 'SELECT what, from_date, kb_amount(amount) AS amount FROM kb_current_usage(%s)', account):
        print(f'used: {line.what} from {line.from_date}, {line.amount}')

page = one(app, 'SELECT kb_portal(%s, %s)', account, 'ann')[0]
print(f"page: {page['member']}, {page['role']}")

with refused(), acting_for(1000, 'eve'):
    query(app, "INSERT INTO ticket (account_id, subject) VALUES (1000, 'No coffee')")
with refused():
    one(app, "SELECT kb_begin_topup(%s, 'bob', kb_money(50, 'USD'))", account)
with refused():
    one(app, "SELECT kb_begin_topup(%s, 'ann', %s::kb_money)", account, '5')

answers = [one(app, 'SELECT access FROM kb_login(%s, %s)', account, 'ann').access for _ in range(20)]
print(f"full access: {answers.count('full')} times")

# Adapters, where they are wanted: kb_money becomes a Money, a row of kbilling a named tuple.
print('without adapters:', *one(app, 'SELECT kb_balance(%s), kb_access(%s, %s)', account, account, 'owner'))


def read_money(text, cursor):
    return text and Money(Decimal(text.split()[0]), text.split()[1])


with app:
    oid = query(app, "SELECT 'kbilling.kb_money'::regtype::oid")[0][0]
    register_type(new_type((oid,), 'MONEY', read_money), app)
    register_composite('kbilling.kb_access_decision', app)
balance, login = one(app, 'SELECT kb_balance(%s), kb_access(%s, %s)', account, account, 'owner')
print('with adapters:', balance.amount, login.stage, login.amount_due.amount)
