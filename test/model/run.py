"""Plays worlds by their seeds; test/model/run calls it."""
import argparse
import os
import random
import sys
import time

import psycopg2

from play import Difference, Game, script
from world import World

HERE = os.path.dirname(os.path.abspath(__file__))
JOURNAL = 'topup refund adjust chargeback reverse write_off month_charge again grant expiry buy'
USAGE = 'record sum count max unique last late takeback switch_on switch_off set_tariff'
TERMS = 'set_price minimum set_minimum set_discount'

# What happens in a world: which of these, its seed says.
MIXES = {
    'journal': f'{JOURNAL} {USAGE}',
    'terms': f'{USAGE} {TERMS} month_charge reverse',
    'credit': f'{JOURNAL} {USAGE} {TERMS}',
    'end': f'{JOURNAL} {USAGE} {TERMS} end go_on ahead',
    'limits': f'{JOURNAL} {USAGE} {TERMS} set_credit_line set_account_line set_limit set_account_limit',
    'ahead': f'topup refund adjust grant expiry record sum switch_on defer ahead {TERMS}',
    'closure': 'topup refund adjust grant expiry record sum max late takeback closure schedule cancel restore login month_charge again '
               'reverse',
}


def world_of(seed, mix=None):
    mix = mix or list(MIXES)[seed % len(MIXES)]
    return mix, World(seed, MIXES.get(mix, mix.replace(',', ' ')).split())


def kept_seeds():
    """The seeds that once failed: seed, mix, and what was found."""
    with open(os.path.join(HERE, 'seeds.txt'), encoding='utf-8') as file:
        rows = [line.split(maxsplit=2) for line in file if line.strip() and not line.startswith('#')]
    return [(int(row[0]), row[1]) for row in rows]


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


def report(seed, mix, steps, difference):
    ours, theirs = difference.ours, difference.theirs
    if isinstance(ours, dict):
        ours, theirs = ({k: v for k, v in ours.items() if v != difference.theirs[k]},
                        {k: v for k, v in theirs.items() if k in ours and v != ours[k]})
    print(f'not ok - seed {seed}, {mix}: {difference}\n# model:     {ours}\n# extension: {theirs}\n{script(steps)}', flush=True)


def main():
    parser = argparse.ArgumentParser(description='Plays random worlds on the extension and on the model of its rules.')
    parser.add_argument('--worlds', type=int, help='how many random worlds')
    parser.add_argument('--seed', type=int, help='their first seed')
    parser.add_argument('--seconds', type=float, help='for how long; a minute, if neither is given')
    parser.add_argument('--kept', action='store_true', help='the seeds that once failed first, as without --seed')
    parser.add_argument('--mix', help='one of ' + ', '.join(MIXES) + ', or subjects with commas between them')
    parser.add_argument('--fail', type=int, default=3, help='after how many differences to stop')
    parser.add_argument('--shrink', type=float, default=60, help='for how many seconds to shrink what differs')
    options = parser.parse_args()
    if options.worlds is None and options.seconds is None:
        options.seconds = 60
    first = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 31)
    kept = kept_seeds() if options.kept or options.seed is None else []
    print(f'# {len(kept)} seeds that once failed, then seeds from {first} on', flush=True)
    failed, played = play_all(Server(), options, kept, first)
    print(f'# tests {played}\n# fail {failed}')
    return failed > 0


def play_all(server, options, kept, first):
    began, failed, played, steps = time.time(), 0, 0, 0

    def seeds():
        yield from kept
        seed = first
        while (options.worlds is None or seed < first + options.worlds) and \
                (options.seconds is None or time.time() - began < options.seconds):
            yield seed, options.mix
            seed += 1
    try:
        for seed, mix in seeds():
            mix, world = world_of(seed, mix)
            difference = server.play(world.steps)
            played += 1
            steps += len(world.steps)
            if difference:
                failed += 1
                report(seed, mix, *shrink(server, world.steps, difference, options.shrink))
                if failed >= options.fail:
                    break
    finally:
        server.close()
    print(f'# {played} worlds of {steps} steps in {time.time() - began:.0f} s')
    return failed, played


if __name__ == '__main__':
    sys.exit(main())
