"""Plays a world on a database and on the model, and compares both after each step."""
import json
import os
from fractions import Fraction

import psycopg2

import bill
from account import Account
from calls import quote, sql
from catalogue import BEGINNING, END
from model import Model
from money import DECIMALS, Refused, text


class Difference(Exception):
    def __init__(self, number, what, ours, theirs):
        super().__init__(f'step {number}: {what}')
        self.number, self.what, self.ours, self.theirs = number, what, ours, theirs


STATE = '''
SELECT json_build_object('state', a.state, 'balance', a.balance::text, 'bonus', a.unspent_bonus::text, 'debt_since', a.debt_since,
	'deferred_until', a.deferred_until, 'last_seq', a.last_seq, 'charged_through', a.charged_through, 'ends_on', a.ends_on,
	'delete_on', a.delete_on, 'lots', (SELECT json_agg(json_build_array(l.priority, l.expires_on::text, l.amount::text)
		ORDER BY l.priority, l.expires_on) FROM unnest(a.lots) AS l),
	'stage', s.stage, 'owner', s.owner_access, 'employee', s.employee_access, 'available', kb_available(a.account_id)::text)::text,
	(SELECT json_agg(json_build_array(e.seq, e.kind, e.amount::text, e.balance_after::text, e.bonus_after::text, e.effective_on,
		e.debt_since, e.period, e.ref_seq) ORDER BY e.seq)::text FROM entry AS e WHERE e.account_id = a.account_id AND e.seq > {seq}),
	(SELECT json_agg(json_build_array({line}))::text FROM charge_line AS l
		WHERE l.account_id = a.account_id AND l.seq > {seq} AND l.period IS NOT NULL),
	(SELECT json_agg(json_build_array(NULL{line}))::text FROM kb_current_usage(a.account_id) AS l)
FROM account AS a JOIN account_access AS s USING (account_id) WHERE a.account_id = {account}'''
LINE = "l.period, l.service, l.what, l.from_date, l.to_date, l.quantity::text, l.events, l.amount::text"


def connect(database):
    connection = psycopg2.connect(dbname=database)
    connection.autocommit = True
    connection.cursor().execute("SET search_path = kbilling, public; SET TimeZone = 'UTC'; SET client_min_messages = error")
    return connection


class Game:
    """A world being played on a database of its own."""

    def __init__(self, database, compare=True):
        self.connection = connect(database)
        self.cursor = self.connection.cursor()
        self.cursor.execute("SET plan_cache_mode = force_generic_plan")
        self.cursor.execute('PREPARE state(bigint, bigint) AS ' + STATE.format(account='$1', seq='$2', line=LINE)
                            .replace('NULLl.period', 'NULL'))
        self.model, self.compare, self.seen = Model(), compare, {}

    def play(self, steps, compared_from=0):
        """Plays steps, and compares from one of them on."""
        self.compared_from = compared_from
        for number, step in enumerate(steps):
            self.step(number, step)
        self.books(len(steps))

    def step(self, number, step):
        theirs = self.theirs(step)
        try:
            ours = ('ok', plain(self.model.play(step)))
        except Refused as refused:
            ours = ('error', refused.states)
        if number < self.compared_from:
            return
        if theirs[0] != ours[0] or (theirs[0] == 'ok' and theirs[1] != ours[1] and step['op'] not in NO_RESULT) or \
                (theirs[0] == 'error' and theirs[1] not in ours[1]):
            raise Difference(number, 'result', ours, theirs)
        if step['op'] == 'sweep' or 'tariff' in step and 'account' not in step:
            accounts = list(self.model.accounts)
        else:
            accounts = [step['account']] if step.get('account') in self.model.accounts else []
        for account in accounts:
            self.same(number, account)

    def theirs(self, step):
        self.cursor.execute(f"SET kbilling.clock = '{step['at'].isoformat()}'")
        try:
            self.cursor.execute(sql(step))
            if self.cursor.description is None:
                return 'ok', None
            row = self.cursor.fetchone()
            names = [c.name for c in self.cursor.description]
            if len(names) > 1:
                return 'ok', {n: plain(v) for n, v in zip(names, row)}
            return 'ok', plain(row[0])
        except psycopg2.Error as error:
            return 'error', error.pgcode, str(error)

    def same(self, number, account):
        ours = state(self.model, self.model.accounts[account], self.seen.get(account, 0))
        self.cursor.execute('EXECUTE state(%s, %s)', (account, self.seen.get(account, 0)))
        row = self.cursor.fetchone()
        theirs = json.loads(row[0])
        theirs['lots'] = theirs['lots'] or []
        theirs['entries'] = json.loads(row[1] or '[]')
        theirs['lines'] = lines(json.loads(row[2] or '[]'))
        theirs['current'] = lines(json.loads(row[3] or '[]'))
        for what in ours:
            if ours[what] != theirs[what]:
                raise Difference(number, f'account {account}: {what}', ours, theirs)
        self.seen[account] = theirs['last_seq']

    def books(self, number):
        self.cursor.execute('SELECT account_id, seq, problem FROM kb_check()')
        found = self.cursor.fetchall()
        self.cursor.execute('SELECT currency, sum(balance)::text FROM trial_balance GROUP BY 1 HAVING sum(balance) <> 0')
        found += self.cursor.fetchall()
        self.cursor.execute('SELECT account_id, state, message FROM sweep_failure')
        found += self.cursor.fetchall()
        if found:
            raise Difference(number, 'books', [], found)

    def close(self):
        self.connection.close()


# What says nothing that is compared.
NO_RESULT = {'create_policy', 'create_tariff', 'create_service', 'set_bonus', 'set_credit_line', 'add_member', 'set_tariff',
             'switch_on', 'switch_off', 'defer', 'sweep'}


def plain(value):
    if hasattr(value, 'isoformat'):
        return value.isoformat()
    return value


def number(value):
    return None if value is None else str(Fraction(value))


def lines(rows):
    """Lines in an order of their own; those of zero are left out."""
    result = []
    for period, service, what, start, end, quantity, events, amount in rows:
        if Fraction(amount.split()[0]) == 0:
            continue
        if what in ('discount', 'minimum'):
            quantity = start = end = events = None
        if what in ('base fee', 'recurring service'):
            events = None
        result.append([period or '', service, what, start or '', end or '', number(quantity) or '', events or 0, amount])
    return sorted(result)


def state(model, account, seen):
    """What the model says of an account, as the query gives it."""
    currency, today = account.currency, model.today(account)
    day = lambda d: d and ('infinity' if d == END else d.isoformat())
    stage = model.stage(account)

    def row(period, line):
        return [period and period.isoformat(), line.service, line.what, day(line.start), day(line.end), line.quantity, line.events,
                text(line.amount, currency)]
    new = account.entries[seen:]
    return {
        'state': account.state, 'balance': text(account.balance, currency), 'bonus': text(account.unspent, currency),
        'debt_since': day(account.debt_since), 'deferred_until': day(account.deferred_until), 'ends_on': day(account.ends_on),
        'delete_on': day(account.delete_on),
        'charged_through': day(account.charged_through), 'stage': stage,
        'entries': [[e.seq, e.kind, text(e.amount, currency), text(e.balance_after, currency), text(e.bonus_after, currency),
                     day(e.effective_on), day(e.debt_since), day(e.period), e.ref] for e in new],
        'lines': lines([row(e.period, line) for e in new if e.kind == 'charge' for line in e.lines]),
        'lots': [[p[0], day(p[1]), text(v, currency)] for p, v in sorted(account.pools.items()) if v and p != (50, END)],
        'last_seq': len(account.entries),
        'owner': account.access(stage, 'owner', today), 'employee': account.access(stage, 'employee', today),
        'current': lines([row(None, line) for line in bill.month(account, model.catalogue, today.replace(day=1), today)]),
        'available': text(model.available(account), currency),
    }


def script(steps):
    """A psql script that plays steps."""
    out = ['CREATE EXTENSION kbilling;', 'SET search_path = kbilling, public;', "SET TimeZone = 'UTC';"]
    at = None
    for step in steps:
        if step['at'] != at:
            at = step['at']
            out.append(f"SET kbilling.clock = '{at.isoformat()}';")
        out.append(sql(step) + ';')
    return '\n'.join(out)
