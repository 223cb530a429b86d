"""Plays worlds by their seeds; test/model/run calls it."""
import argparse
import os
import random
import sys
import time

import psycopg2

from play import Difference, Game, script
from world import World

SUBJECTS = ['topup', 'refund', 'adjust', 'switch_on', 'switch_off', 'chargeback', 'write_off', 'defer', 'month_charge', 'again']


class Server:
    """Databases with the extension, one for each world."""

    def __init__(self):
        self.connection = psycopg2.connect(dbname=os.environ.get('PGDATABASE', 'postgres'))
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.template = f'kbilling_model_{os.getpid()}'
        self.cursor.execute(f'CREATE DATABASE {self.template}')
        template = psycopg2.connect(dbname=self.template)
        template.autocommit = True
        template.cursor().execute('CREATE EXTENSION kbilling')
        template.close()

    def play(self, steps, compared_from=0):
        """None, or the difference that was found."""
        name = self.template + '_world'
        self.cursor.execute(f'CREATE DATABASE {name} TEMPLATE {self.template}')
        try:
            game = Game(name)
            try:
                game.play(steps, compared_from)
            except Difference as difference:
                return difference
            finally:
                game.close()
        finally:
            self.cursor.execute(f'DROP DATABASE {name} WITH (FORCE)')

    def close(self):
        self.cursor.execute(f'DROP DATABASE {self.template} WITH (FORCE)')


def shrink(server, steps, difference, seconds=60):
    """Drops steps as long as the same thing differs."""
    until = time.time() + seconds
    kind = what(difference)
    steps = steps[:difference.number + 1]
    size = max(1, len(steps) // 2)
    accounts = {s['account'] for s in steps if 'account' in s}
    for account in accounts:
        fewer = [s for s in steps if s.get('account') != account]
        found = attempt(server, fewer)
        if found and what(found) == kind:
            steps = fewer
    for op in ('sweep', 'record', 'set_price', 'switch_on', 'switch_off', 'set_bonus', 'add_member', 'set_tariff', 'defer', 'again'):
        fewer = [s for s in steps[:-1] if s['op'] != op] + steps[-1:]
        found = attempt(server, fewer)
        if found and what(found) == kind:
            steps, difference = fewer, found
    while size and time.time() < until:
        at = 0
        while at < len(steps) - 1 and time.time() < until:
            # the last step is what differs
            fewer = steps[:at] + steps[min(at + size, len(steps) - 1):]
            found = attempt(server, fewer)
            if found and what(found) == kind:
                steps, difference = fewer, found
            else:
                at += size
        size //= 2
    return steps, difference


def attempt(server, steps):
    made = set()
    for step in steps:
        own = step['op'][7:] if step['op'].startswith('create_') else None
        if own:
            made.add(step[own])
        if any(step.get(name) is not None and step[name] not in made for name in ('account', 'tariff') if name != own):
            return None
    try:
        return server.play(steps, max(0, len(steps) - 1))
    except (KeyError, AttributeError, TypeError):
        return None


def what(difference):
    """What of it must stay."""
    kind = difference.what.split(': ')[-1]
    if kind == 'result':
        return kind, str(difference.ours[0]), difference.theirs[0], difference.theirs[1] if difference.theirs[0] == 'error' else ''
    return kind


def report(seed, steps, difference):
    print(f'# seed {seed}: {difference}')
    ours, theirs = difference.ours, difference.theirs
    if isinstance(ours, dict):
        ours, theirs = ({k: v for k, v in ours.items() if v != difference.theirs[k]},
                        {k: v for k, v in theirs.items() if k in ours and v != ours[k]})
    print(f'# model:     {ours}\n# extension: {theirs}')
    print(script(steps))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--worlds', type=int, default=100)
    parser.add_argument('--seed', type=int)
    parser.add_argument('--seconds', type=float)
    parser.add_argument('--subjects', default=','.join(SUBJECTS))
    parser.add_argument('--fail', type=int, default=1, help='after how many differences to stop')
    parser.add_argument('--shrink', type=float, default=60)
    options = parser.parse_args()
    server = Server()
    first = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 31)
    print(f'# seeds from {first} on')
    began, failed, played, steps = time.time(), 0, 0, 0
    try:
        for seed in range(first, first + options.worlds):
            if options.seconds and time.time() - began > options.seconds:
                break
            world = World(seed, options.subjects.split(','))
            difference = server.play(world.steps)
            played += 1
            steps += len(world.steps)
            if difference:
                failed += 1
                shrunk, difference = shrink(server, world.steps, difference, options.shrink)
                report(seed, shrunk, difference)
                if failed >= options.fail:
                    break
    finally:
        server.close()
    print(f'# {played} worlds of {steps} steps in {time.time() - began:.1f} s, {failed} differ')
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
