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


# The state of accounts; what moved it since an entry; what the month costs so far.
STATEMENTS = {
    'state(bigint[])': '''
SELECT json_build_object('account', a.account_id, 'state', a.state, 'balance', a.balance::text, 'bonus', a.unspent_bonus::text,
	'debt_since', a.debt_since, 'deferred_until', a.deferred_until, 'last_seq', a.last_seq, 'charged_through', a.charged_through,
	'ends_on', a.ends_on, 'delete_on', a.delete_on,
	'lots', coalesce((SELECT json_agg(json_build_array(l.priority, l.expires_on::text, l.amount::text)
		ORDER BY l.priority, l.expires_on) FROM unnest(a.lots) AS l), '[]'),
	'stage', s.stage, 'owner', s.owner_access, 'employee', s.employee_access)::text
FROM account AS a JOIN account_access AS s USING (account_id) WHERE a.account_id = ANY($1) ORDER BY 1''',
    'entries(bigint, bigint)': '''
SELECT json_agg(json_build_array(e.seq, e.kind, e.amount::text, e.balance_after::text, e.bonus_after::text, e.effective_on,
	e.debt_since, e.period, e.ref_seq) ORDER BY e.seq)::text FROM entry AS e WHERE e.account_id = $1 AND e.seq > $2''',
    'lines(bigint, bigint)': '''
SELECT coalesce(json_agg(json_build_array(l.period, l.service, l.what, l.from_date, l.to_date, l.quantity::text, l.events,
	l.amount::text))::text, '[]') FROM charge_line AS l WHERE l.account_id = $1 AND l.seq > $2 AND l.period IS NOT NULL''',
    'running(bigint)': '''
SELECT kb_available($1)::text, (SELECT coalesce(json_agg(json_build_array(NULL, l.service, l.what, l.from_date, l.to_date,
	l.quantity::text, l.events, l.amount::text))::text, '[]') FROM kb_current_usage($1) AS l)''',
}

# After these, what the month costs so far is compared too; and after some sweeps.
COSTS = {'record', 'switch_on', 'switch_off', 'set_tariff', 'set_price', 'set_minimum', 'month_charge', 'reverse', 'buy', 'grant',
         'hold', 'release', 'set_discount', 'end', 'go_on', 'set_account_line'}


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
        self.cursor.execute('SET plan_cache_mode = force_generic_plan')
        for name, query in STATEMENTS.items():
            self.cursor.execute(f'PREPARE {name} AS {query}')
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
        if theirs[0] == 'error':
            alike = ours[0] == 'error' and theirs[1] in ours[1]
        else:
            alike = ours[0] == 'ok' and (theirs[1] == ours[1] or ours[1] == NOT_COMPARED or step['op'] in NO_RESULT)
        if not alike:
            raise Difference(number, 'result', ours, theirs)
        if step['op'] == 'sweep' or 'tariff' in step and 'account' not in step:
            accounts = list(self.model.accounts)
        else:
            accounts = [step['account']] if step.get('account') in self.model.accounts else []
        if accounts:
            costs = step['op'] in COSTS or (step['op'] == 'sweep' and number % 5 == 0)
            self.cursor.execute('EXECUTE state(%s)', (accounts,))
            for row in self.cursor.fetchall():
                self.same(number, json.loads(row[0]), costs)

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

    def same(self, number, theirs, costs):
        number_of = theirs.pop('account')
        account, seen = self.model.accounts[number_of], self.seen.get(number_of, 0)
        ours = state(self.model, account)
        if theirs['last_seq'] > seen or len(account.entries) > seen:
            ours.update(moved(account, seen))
            theirs['entries'] = json.loads(self.value('EXECUTE entries(%s, %s)', number_of, seen)[0] or 'null')
            theirs['lines'] = lines(json.loads(self.value('EXECUTE lines(%s, %s)', number_of, seen)[0]))
        if costs and account.state in ('active', 'closing'):
            ours.update(running(self.model, account))
            row = self.value('EXECUTE running(%s)', number_of)
            theirs['available'], theirs['current'] = row[0], lines(json.loads(row[1]))
        for what in ours:
            if ours[what] != theirs[what]:
                raise Difference(number, f'account {number_of}: {what}', ours, theirs)
        self.seen[number_of] = theirs['last_seq']

    def value(self, query, *arguments):
        self.cursor.execute(query, arguments)
        return self.cursor.fetchone()

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


NOT_COMPARED = 'not compared'

# What says nothing that is compared.
NO_RESULT = {'create_policy', 'create_tariff', 'create_service', 'set_bonus', 'set_credit_line', 'add_member', 'set_tariff',
             'switch_on', 'switch_off', 'defer', 'sweep', 'set_account_line', 'set_limit', 'set_account_limit', 'go_on', 'cancel',
             'restore'}


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


def day(d):
    return d and ('infinity' if d == END else d.isoformat())


def row(account, period, line):
    return [period and period.isoformat(), line.service, line.what, day(line.start), day(line.end), line.quantity, line.events,
            text(line.amount, account.currency)]


def state(model, account):
    """What the model says of an account, as the query gives it."""
    currency, today, stage = account.currency, model.today(account), model.stage(account)
    return {
        'state': account.state, 'balance': text(account.balance, currency), 'bonus': text(account.unspent, currency),
        'debt_since': day(account.debt_since), 'deferred_until': day(account.deferred_until), 'ends_on': day(account.ends_on),
        'delete_on': day(account.delete_on), 'charged_through': day(account.charged_through), 'stage': stage,
        'lots': [[p[0], day(p[1]), text(v, currency)] for p, v in sorted(account.pools.items()) if v and p != (50, END)],
        'last_seq': len(account.entries), 'owner': account.access(stage, 'owner', today),
        'employee': account.access(stage, 'employee', today),
    }


def moved(account, seen):
    currency, new = account.currency, account.entries[seen:]
    return {
        'entries': [[e.seq, e.kind, text(e.amount, currency), text(e.balance_after, currency), text(e.bonus_after, currency),
                     day(e.effective_on), day(e.debt_since), day(e.period), e.ref] for e in new] or None,
        'lines': lines([row(account, e.period, line) for e in new if e.kind == 'charge' for line in e.lines]),
    }


def running(model, account):
    return {'current': lines([row(account, None, line) for line in model.running(account)]),
            'available': text(model.available(account), account.currency)}


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
