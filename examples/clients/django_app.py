#!/usr/bin/python3
"""kbilling from Django, by psycopg2.  What it connects to is in setup.sql.

    PGHOST=… PGPORT=… PGDATABASE=shop examples/clients/django_app.py 5

5 is the account.  All of it works behind pgbouncer in transaction mode, too, with DISABLE_SERVER_SIDE_CURSORS.
"""
import io
import json
import os
import sys
from collections import namedtuple
from contextlib import contextmanager
from decimal import Decimal

import django
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connections, models, transaction


def database(user):
    return {
        'ENGINE': 'django.db.backends.postgresql', 'HOST': os.environ['PGHOST'], 'PORT': os.environ['PGPORT'],
        'NAME': os.environ['PGDATABASE'], 'USER': user, 'DISABLE_SERVER_SIDE_CURSORS': True,
    }


# Two roles: the application cannot credit anybody.
settings.configure(DATABASES={'default': database('shop_app'), 'webhook': database('shop_webhook')},
                   USE_TZ=True, DEFAULT_AUTO_FIELD='django.db.models.BigAutoField')
django.setup()

Money = namedtuple('Money', 'amount currency')


class MoneyField(models.Field):
    """A column of the type kb_money."""

    def db_type(self, connection):
        return 'kbilling.kb_money'

    def from_db_value(self, value, expression, connection):
        return value and Money(Decimal(value.split()[0]), value.split()[1])

    def get_prep_value(self, value):
        return value and f'{value.amount} {value.currency}'


class Ticket(models.Model):
    """The table of setup.sql.  A model has one column as its key: the one that is unique by itself."""

    ticket_id = models.BigAutoField(primary_key=True)
    account_id = models.BigIntegerField()
    subject = models.TextField()
    cost = MoneyField(null=True)

    class Meta:
        app_label = 'shop'
        db_table = 'ticket'
        managed = False


def rows(sql, *values, using='default'):
    with connections[using].cursor() as cursor:
        cursor.execute(sql, values)
        row = namedtuple('Row', [column.name for column in cursor.description])
        return [row(*values) for values in cursor.fetchall()]


def one(sql, *values, using='default'):
    return rows(sql, *values, using=using)[0]


@contextmanager
def acting_for(account, member):
    """One transaction, for a member.  The next one on the same connection acts for nobody."""
    with transaction.atomic():
        rows('SELECT kb_act_as(%s, %s)', account, member)
        yield


@contextmanager
def refused():
    """Prints what an error says: its SQLSTATE, and the hint, which a member can be shown for KB003."""
    try:
        yield
    except DatabaseError as error:
        print(f'{error.__cause__.diag.sqlstate}: {error.__cause__.diag.message_hint}')


account = int(sys.argv[1])

# A function that returns a row stands in FROM, so that its columns are columns.
login = one('SELECT stage, access FROM kb_login(%s, %s)', account, 'ann')
print(f'login: {login.stage}, {login.access}')

with acting_for(account, 'ann'):
    Ticket.objects.create(account_id=account, subject='Printer on fire', cost=Money(Decimal('4.50'), 'USD'))
print('acting afterwards:', one('SELECT kb_acting_member() AS member').member or 'nobody')

# An amount is passed as a number and a currency, or as a text with both: %s::kb_money, '50.00 USD'.
begun = one('SELECT payment_id, kb_amount(bonus) AS bonus FROM kb_begin_topup(%s, %s, kb_money(%s, %s))',
            account, 'ann', Decimal('50.00'), 'USD')
print(f'begun: payment {begun.payment_id}, bonus {begun.bonus}')


def confirm():
    return one('SELECT kb_amount(credited) AS credited, balance, replayed'
               " FROM kb_apply_topup(%s, kb_money(%s, %s), 'card', %s, payment_id => %s)",
               account, Decimal('50.00'), 'USD', f'payment-{account}', begun.payment_id, using='webhook')


paid = confirm()
print(f'paid: {paid.credited}, balance {paid.balance}, again: {str(paid.replayed).lower()}')
print(f'paid: again: {str(confirm().replayed).lower()}')

# Money as numbers: a Decimal, and the count of minor units.
money = one('SELECT kb_amount(b) AS amount, kb_currency(b) AS currency, kb_minor(b) AS minor FROM kb_balance(%s) b', account)
print(f'money: {money.amount} {money.currency}, {money.minor} minor units, {money.amount - 9} less 9.00')

for line in rows('SELECT what, from_date, kb_amount(amount) AS amount FROM kb_current_usage(%s)', account):
    print(f'used: {line.what} from {line.from_date}, {line.amount}')

# Django leaves JSON that no field of a model has asked for as text.
page = json.loads(one('SELECT kb_portal(%s, %s) AS page', account, 'ann').page)
print(f"page: {page['member']}, {page['role']}")

with refused(), acting_for(1000, 'eve'):
    Ticket.objects.create(account_id=1000, subject='No coffee')
with refused():
    one("SELECT kb_begin_topup(%s, 'bob', kb_money(50, 'USD'))", account)
with refused():
    one("SELECT kb_begin_topup(%s, 'ann', %s::kb_money)", account, '5')

answers = [one('SELECT access FROM kb_login(%s, %s)', account, 'ann').access for _ in range(20)]
print(f"full access: {answers.count('full')} times")

# Columns of kb_money in your own models
with acting_for(account, 'ann'):
    cost = Ticket.objects.get().cost
    print(f'a column: {cost.amount} and {cost.currency}')

# inspectdb makes a TextField of kb_money and says that it guesses: put the MoneyField there.  It looks at what the role may read.
models_py = io.StringIO()
call_command('inspectdb', 'ticket', 'account_access', stdout=models_py)
for line in models_py.getvalue().splitlines():
    if line.startswith('class') or ' cost ' in line or ' amount_due ' in line:
        print('inspected:', ' '.join(line.split()))
