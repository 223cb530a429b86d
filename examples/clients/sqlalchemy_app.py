#!/usr/bin/python3
"""kbilling from SQLAlchemy (1.4 or 2.0), by psycopg2.  What it connects to is in setup.sql.

    PGHOST=… PGPORT=… PGDATABASE=shop examples/clients/sqlalchemy_app.py 4

4 is the account.  All of it works behind pgbouncer in transaction mode, too; let pgbouncer do the pooling (NullPool).
"""
import sys
import warnings
from contextlib import contextmanager
from decimal import Decimal

from sqlalchemy import MetaData, Table, create_engine, event, exc, inspect, insert, select, text
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool
from sqlalchemy.types import UserDefinedType


class Money:
    def __init__(self, amount, currency):
        self.amount, self.currency = Decimal(amount), currency

    def __str__(self):
        return f'{self.amount} {self.currency}'


class MoneyType(UserDefinedType):
    """A column of the type kb_money."""

    cache_ok = True

    def get_col_spec(self, **_):
        return 'kbilling.kb_money'

    def bind_processor(self, dialect):
        return lambda value: None if value is None else str(value)

    def result_processor(self, dialect, coltype):
        return lambda value: None if value is None else Money(*value.split())


class TextType(UserDefinedType):
    """A column of the type kb_price or the like, as its text."""

    cache_ok = True

    def get_col_spec(self, **_):
        return 'text'


# What reflection makes of kbilling's types, whether its schema is on the search_path or not, and of PostgreSQL's that it lacks.
ischema_names['xid8'] = ischema_names['regrole'] = TextType
for schema in '', 'kbilling.':
    ischema_names[f'{schema}kb_money'] = MoneyType
    for name in ('kb_price', 'kb_lines', 'kb_lot'):
        ischema_names[schema + name] = TextType


@event.listens_for(Session, 'after_begin')
def act_for_member(session, transaction, connection):
    """Each transaction of a session acts for the session's member, and for nobody else."""
    if 'member' in session.info:
        connection.execute(text('SELECT kb_act_as(:account, :member)'), session.info)


def one(engine, sql, **values):
    with engine.begin() as connection:
        return connection.execute(text(sql), values).one()


@contextmanager
def refused():
    """Prints what an error says: its SQLSTATE, and the hint, which a member can be shown for KB003."""
    try:
        yield
    except exc.DBAPIError as error:
        print(f'{error.orig.pgcode}: {error.orig.diag.message_hint}')


account = int(sys.argv[1])
# Two roles: the application cannot credit anybody.
app, webhook = (create_engine('postgresql+psycopg2://', connect_args={'user': user}, poolclass=NullPool)
                for user in ('shop_app', 'shop_webhook'))
ticket = Table('ticket', MetaData(), autoload_with=app)

# A function that returns a row stands in FROM, so that its columns are columns.
login = one(app, 'SELECT stage, access FROM kb_login(:account, :member)', account=account, member='ann')
print(f'login: {login.stage}, {login.access}')

with Session(app, info={'account': account, 'member': 'ann'}) as session:
    session.execute(insert(ticket).values(account_id=account, subject='Printer on fire', cost=Money('4.50', 'USD')))
    session.commit()
print('acting afterwards:', one(app, 'SELECT kb_acting_member()')[0] or 'nobody')

# An amount is passed as a number and a currency, or as a text with both: CAST(:amount AS kb_money), '50.00 USD'.
begun = one(app, 'SELECT payment_id, kb_amount(bonus) AS bonus FROM kb_begin_topup(:account, :member, kb_money(:amount, :currency))',
            account=account, member='ann', amount=Decimal('50.00'), currency='USD')
print(f'begun: payment {begun.payment_id}, bonus {begun.bonus}')


def confirm():
    return one(webhook, 'SELECT kb_amount(credited) AS credited, balance, replayed'
                        " FROM kb_apply_topup(:account, kb_money(:amount, :currency), 'card', :reference, payment_id => :payment)",
               account=account, amount=Decimal('50.00'), currency='USD', reference=f'payment-{account}', payment=begun.payment_id)


paid = confirm()
print(f'paid: {paid.credited}, balance {paid.balance}, again: {str(paid.replayed).lower()}')
print(f'paid: again: {str(confirm().replayed).lower()}')

# Money as numbers: a Decimal, and the count of minor units.
money = one(app, 'SELECT kb_amount(b) AS amount, kb_currency(b) AS currency, kb_minor(b) AS minor FROM kb_balance(:account) b',
            account=account)
print(f'money: {money.amount} {money.currency}, {money.minor} minor units, {money.amount - 9} less 9.00')

with app.begin() as connection:
    for line in connection.execute(text('SELECT what, from_date, kb_amount(amount) AS amount FROM kb_current_usage(:account)'),
                                   {'account': account}):
        print(f'used: {line.what} from {line.from_date}, {line.amount}')

page = one(app, 'SELECT kb_portal(:account, :member)', account=account, member='ann')[0]
print(f"page: {page['member']}, {page['role']}")

with refused(), Session(app, info={'account': 1000, 'member': 'eve'}) as session:
    session.execute(insert(ticket).values(account_id=1000, subject='No coffee'))
with refused():
    one(app, "SELECT kb_begin_topup(:account, 'bob', kb_money(50, 'USD'))", account=account)
with refused():
    one(app, "SELECT kb_begin_topup(:account, 'ann', CAST(:amount AS kb_money))", account=account, amount='5')

answers = [one(app, 'SELECT access FROM kb_login(:account, :member)', account=account, member='ann').access for _ in range(20)]
print(f"full access: {answers.count('full')} times")

# Columns of kb_money, in your own tables and in kbilling's: what is reflected reads and writes them.
with Session(app, info={'account': account, 'member': 'ann'}) as session:
    cost = session.execute(select(ticket.c.cost)).scalar_one()
    print(f'a column: {cost.amount} and {cost.currency}')

with warnings.catch_warnings():
    warnings.simplefilter('error')  # a type that is not known is a warning
    warnings.filterwarnings('ignore', 'Skipped unsupported reflection of expression-based index')
    reflected = MetaData()
    reflected.reflect(app, schema='kbilling', views=True)
row = reflected.tables['kbilling.account']
print('reflected:', *(f'{name} {row.c[name].type!r}'.split('(')[0] for name in ('account_id', 'balance', 'created_at')),
      [column.name for column in reflected.tables['kbilling.entry'].primary_key])
print('views:', 'account_status' in inspect(app).get_view_names('kbilling'))
