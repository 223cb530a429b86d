# Workers that sleep are woken by whatever is committed, and others cost nothing (N1).
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

my $limit = $PostgreSQL::Test::Utils::timeout_default;
my $node = PostgreSQL::Test::Cluster->new('wake');
$node->init(allows_streaming => 1);	# synchronous replication needs it
$node->append_conf('postgresql.conf', "max_prepared_transactions = 5\nautovacuum = off");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kbilling;
	SELECT kbilling.kb_create_tariff('start', 'USD');
	SELECT kbilling.kb_create_account('owner', 'start', id) FROM generate_series(1, 8) AS id});

# A psql that runs beside us.
sub background
{
	my (@arguments) = @_;
	my %psql = (in => '', out => '', err => '');
	$psql{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), @arguments ],
		'<', \$psql{in}, '>', \$psql{out}, '2>', \$psql{err}, IPC::Run::timer($limit));
	return \%psql;
}

# What it says to some statements.
my $said = 0;
sub ask
{
	my ($psql, $statements) = @_;
	$said++;
	$psql->{out} = '';
	$psql->{in} .= "$statements\n\\echo said $said\n";
	$psql->{run}->pump until $psql->{out} =~ s/^said $said\n//m || !$psql->{run}->pumpable;
	return $psql->{out};
}

my $sql = sub { $node->safe_psql('postgres', @_) };
my $key = 0;
sub pay
{
	my ($id) = @_;
	return "SELECT NOT replayed FROM kbilling.kb_apply_topup($id, '1 USD', 'card', 'pay-" . ++$key . q{')};
}
my $take = q{SELECT 'took', account_id, notice_no FROM kbilling.kb_take_notices(100, '1 hour')};
my $sleepers = q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted};
my $woken = qr/Asynchronous notification "kbilling" received/;

sub wait_until
{
	my ($what, $query) = @_;
	$node->poll_query_until('postgres', $query) or BAIL_OUT("waited in vain until $what");
	return;
}

# Who listens is told only while a worker sleeps.
{
	my ($listener, $worker) = map { background() } 1 .. 2;
	ask($listener, 'LISTEN kbilling;');
	$sql->(pay(1));
	unlike(ask($listener, 'SELECT 1;'), $woken, 'N1: where no worker sleeps, there is no NOTIFY');
	is(ask($worker, "$take;"), "took|1|1\n", 'a worker takes the notice');
	is(ask($worker, "$take;") . $sql->($sleepers), '0', 'and finds nothing, but does not listen: it is not to be woken');
	ask($worker, 'LISTEN kbilling;');
	is(ask($worker, "$take;") . $sql->($sleepers), '1', 'N1: one that listens, and finds nothing, sleeps');
	is(ask($worker, "$take;") . $sql->($sleepers), '1', 'and sleeps on, as long as it finds nothing');
	$sql->(pay(1));
	like(ask($worker, 'SELECT 1;'), $woken, 'N1: a top-up wakes it');
	like(ask($listener, 'SELECT 1;'), $woken, 'and whoever listens');
	$sql->(pay(2));
	like(ask($worker, 'SELECT 1;'), $woken, 'and does so until it looks');
	like(ask($worker, "$take;") . $sql->($sleepers), qr/^took\|1\|2\ntook\|2\|1\n(Asy.*\n)*0$/, 'when it has found something, it is awake');
	ask($listener, 'SELECT 1;');
	$sql->(pay(3));
	unlike(ask($listener, 'SELECT 1;'), $woken, 'N1: and need not be woken');
	is(ask($worker, "$take; $take;") . $sql->($sleepers), "took|3|1\n1", 'before it sleeps again');

	$sql->("BEGIN; SAVEPOINT a; @{[ pay(4) ]}; ROLLBACK TO a; COMMIT");
	ask($worker, "$take;");
	$sql->("BEGIN; @{[ pay(4) ]}; ROLLBACK; CREATE TABLE other ()");
	unlike(ask($worker, "$take;"), $woken, 'what is rolled back wakes nobody');
	$sql->("BEGIN; SAVEPOINT a; @{[ pay(4) ]}; RELEASE a; COMMIT");
	like(ask($worker, "$take;"), qr/took\|4\|1\n$woken/, 'N1: what is written in a subtransaction does');
	ask($worker, "$take;");
	$sql->("DO \$\$ BEGIN PERFORM kbilling.kb_apply_topup(4, '1 USD', 'card', 'in procedure'); COMMIT; PERFORM pg_sleep(0); END \$\$");
	like(ask($worker, "$take;"), qr/took\|4\|2\n$woken/, 'and what is committed within a statement');
	ask($worker, "$take;");
	is(ask($worker, 'BEGIN ISOLATION LEVEL REPEATABLE READ; ' . pay(5) . '; COMMIT;') =~ /$woken/, 1, 'a session that sleeps wakes itself');
	is(ask($worker, "$take; $take;") =~ s/^Asy.*\n//mgr, "took|5|1\n", 'and finds it');

	$sql->("SET kbilling.notify = off; @{[ pay(6) ]}");
	unlike(ask($worker, 'SELECT 1;'), $woken, 'kbilling.notify: off, nobody is woken');
	is(ask($worker, "$take; $take;"), "took|6|1\n", 'kbilling.notify: and finds it by itself');

	is($sql->("BEGIN; @{[ pay(7) ]}; PREPARE TRANSACTION 'seven'; SELECT count(*) FROM pg_prepared_xacts"), "t\n1",
		'a transaction with a notice can be prepared while a worker sleeps');
	is(ask($worker, "$take;") . $sql->($sleepers), '1', 'it holds up no worker');
	$sql->("COMMIT PREPARED 'seven'");
	is(ask($worker, "$take; $take;"), "took|7|1\n", 'N1: and its notice is there, though nobody is woken');

	my $pid = $sql->(q{SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'});
	$sql->("SELECT pg_terminate_backend($pid, 10000)");
	ask($listener, 'SELECT 1;');
	$sql->(pay(1));
	unlike(ask($listener, 'SELECT 1;'), $woken, 'N1: a worker that has died needs no waking');
	eval { $_->{run}->finish } for $listener, $worker;
	$sql->($take);
}

# Within the commit: a transaction that has seen no worker sleep, and that no other sees yet.  It waits for a standby that is not there.
for my $case ([ 'read committed', 0 ], [ 'repeatable read', 0 ], [ 'read committed', 1 ])
{
	my ($level, $with_other) = @$case;
	my $worker = background();
	ask($worker, "SET synchronous_commit = local; SET default_transaction_isolation = '$level'; LISTEN kbilling;");
	$node->safe_psql('postgres', q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
	$node->reload;
	wait_until('commits wait', q{SELECT current_setting('synchronous_standby_names') = 'nobody'});
	my $payer = background('-c', pay(1));
	wait_until('a commit waits', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'});
	is($sql->($take), '', "$level: what is just being committed cannot be taken yet");
	$worker->{in} .= "$take;\n\\echo looked\n";
	$worker->{run}->pump_nb;
	wait_until('the worker waits', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'});
	if ($with_other)
	{
		$sql->("SET synchronous_commit = local; @{[ pay(2) ]}");
		ok(1, 'who commits meanwhile does not wait for a worker that lies down');
	}
	$node->safe_psql('postgres', 'SET synchronous_commit = local; ALTER SYSTEM RESET synchronous_standby_names');
	$node->reload;
	eval { $payer->{run}->finish };
	$worker->{run}->pump until $worker->{out} =~ /^looked/m;
	my $found = $worker->{out};
	$found .= ask($worker, "$take;") if $level eq 'repeatable read' && $found =~ $woken;
	like($found, qr/^took\|1\|/m, "$level: N1: a worker that lies down meanwhile waits for it, and looks again");
	like($found, qr/^took\|2\|.*$woken/ms, 'N1: it finds the other notice too, and would have been woken for it') if $with_other;
	eval { $worker->{run}->finish };
}

# Each notice is written while the workers lie down or sleep, as the one before it has just been delivered; and they look at nothing
# unless they are woken.
SKIP:
{
	skip 'python3-psycopg2 is not installed', 2 unless IPC::Run::run([ '/usr/bin/python3', '-c', 'import psycopg2' ], '2>', '/dev/null');
	my $file = PostgreSQL::Test::Utils::tempdir . '/worker.py';
	append_to_file($file, <<'PYTHON');
import select, sys, psycopg2
conn = psycopg2.connect(sys.argv[1])
conn.set_session(isolation_level=sys.argv[2], autocommit=True)
cursor = conn.cursor()
cursor.execute('LISTEN kbilling')
cursor.execute("SELECT to_regclass('stop') IS NOT NULL")
naps = 0
while not cursor.fetchone()[0]:
    conn.notifies.clear()
    try:
        cursor.execute("SELECT count(kbilling.kb_ack_notice(account_id, notice_no)) FROM kbilling.kb_take_notices(3, '1 hour')")
        found = cursor.fetchone()[0]
    except psycopg2.errors.SerializationFailure:  # the other worker was quicker
        found = 1
    conn.poll()
    if not found and not conn.notifies:
        naps += 1
        select.select([conn], [], [])
        conn.poll()
    cursor.execute("SELECT to_regclass('stop') IS NOT NULL")
print(naps)
PYTHON
	my @workers = map { my %run = (out => ''); $run{run} = IPC::Run::start([ '/usr/bin/python3', $file, $node->connstr('postgres'), $_ ],
		'<', '/dev/null', '>', \$run{out}, '2>&1', IPC::Run::timer($limit)); \%run } 'READ COMMITTED', 'REPEATABLE READ';
	my (undef, undef, $error) = $node->psql('postgres', qq{
		DO \$\$
		DECLARE began timestamptz;
		BEGIN
			FOR n IN 1 .. 500 LOOP
				PERFORM kbilling.kb_apply_topup(8, '1 USD', 'card', 'race-' || n);
				COMMIT;
				began = clock_timestamp();
				WHILE (SELECT delivered_at IS NULL FROM kbilling.notice WHERE account_id = 8 AND notice_no = n) LOOP
					COMMIT;
					IF clock_timestamp() > began + interval '$limit s' THEN RAISE 'nobody is woken for notice %', n; END IF;
				END LOOP;
				PERFORM pg_sleep(0.001 * random());
			END LOOP;
		END \$\$});
	is($error, '', 'N1: whenever it is written, a sleeping worker is woken for a notice');
	$sql->("CREATE TABLE stop (); NOTIFY kbilling");
	eval { $_->{run}->finish } for @workers;
	like(join(' ', map { $_->{out} } @workers), qr/^\d{2,}\n \d{2,}\n$/, 'N1: and they have slept many times');
}

$node->stop;
done_testing();
