# However a sweep ends half-way, the next one brings the books to where a sweep
# that nothing disturbed has brought them (C4, W1, W3).
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('sweep');
$node->init;
$node->append_conf('postgresql.conf', q{
	kbilling.clock = '2025-12-03 12:00+00'
	deadlock_timeout = '4s'});
$node->start;

# Two months are due for each account.  The sweep goes zone by zone, and commits
# after each month of a zone.
$node->safe_psql('postgres', 'CREATE DATABASE busy');
$node->safe_psql('busy', q{
	CREATE EXTENSION kbilling;
	SELECT kbilling.kb_create_tariff('start', 'USD');
	SELECT kbilling.kb_create_service('seat', 'recurring');
	SELECT kbilling.kb_set_price('start', 'base', '19.00');
	SELECT kbilling.kb_set_price('start', 'seat', '5.00');
	SELECT kbilling.kb_create_account('owner', 'start', id,
		('{America/New_York,Asia/Tokyo,Europe/Kyiv,UTC}'::text[])[1 + id % 4], created_at => '2025-10-05 12:00+00')
	FROM generate_series(1, 2400) AS id;
	SELECT kbilling.kb_apply_topup(id, '25 USD', 'card', 'pay-' || id) FROM generate_series(1, 2400, 3) AS id;
	SELECT kbilling.kb_switch_on(id, 'seat', 2, '2025-11-11') FROM generate_series(1, 2400, 5) AS id;
});
# Who has paid is in use (D1), so 1600 of them are to be closed.
# Accounts with nothing to charge: closures alone are due, to be scheduled, reminded of, carried out, and purged after.
ask('busy', q{
	SELECT kbilling.kb_create_tariff('free', 'USD');
	SELECT kbilling.kb_create_account('owner', 'free', id, created_at => '2025-09-05 12:00+00') FROM generate_series(3001, 3400) AS id;
	SELECT kbilling.kb_month_charge(id) FROM generate_series(3001, 3400) AS id, generate_series(1, 3)});
ask('busy', qq{
	SET kbilling.clock = '2025-$_->[0] 12:00+00';
	SELECT kbilling_internal.kb_sweep_closures(array_agg(id), kbilling.kb_now()) FROM generate_series($_->[1], $_->[1] + 99) AS id})
	for (map { [ $_, 3301 ] } '10-20', '10-27', '10-29', '10-30'), (map { [ $_, 3201 ] } '11-20', '11-27', '11-29'), [ '11-26', 3101 ];
is(ask('busy', 'SELECT state, delete_on, count(*) FROM kbilling.account WHERE account_id > 3000 GROUP BY 1, 2 ORDER BY 1, 2'),
	"active||100\nclosing|2025-11-30|100\nclosing|2025-12-06|100\ndeleted|2025-10-30|100", 'D: accounts at each step of a closure');
my $periods = 4800;
my $held = 1302;	# somewhere in Europe/Kyiv, the third of four zones

# A psql that runs beside us.
sub background
{
	my ($database, @arguments) = @_;
	my %psql = (in => '', out => '', err => '');
	$psql{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr($database), @arguments ],
		'<', \$psql{in}, '>', \$psql{out}, '2>', \$psql{err});
	return \%psql;
}

# Something that is not committed, and keeps the sweep waiting in the midst of its work.
sub hold_up
{
	my ($database, $what) = @_;
	my $holder = background($database);
	$what //= "SELECT kbilling.kb_apply_topup($held, '7 USD', 'card', 'never')";
	$holder->{in} = "SET application_name = 'holder'; SET deadlock_timeout = '100s'; BEGIN; $what;\n\\echo held\n";
	$holder->{run}->pump until $holder->{out} =~ /held/;
	return $holder;
}

# A sweep that has come as far as the account held up.
sub sweep_half
{
	my ($database) = @_;
	my $sweep = background($database, '-c', 'CALL kbilling.kb_sweep()');
	$node->poll_query_until($database, q{
		SELECT count(*) = 1 FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'CALL%' AND wait_event_type = 'Lock'})
		or die 'the sweep did not get to the account held up';
	return $sweep;
}

sub finish
{
	my ($psql) = @_;
	eval { $psql->{run}->finish };
	return;
}

sub ask
{
	my ($database, $query) = @_;
	return $node->safe_psql($database, $query);
}

sub sweep_locks
{
	my ($database) = @_;
	return ask($database, q{
		SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
		WHERE l.locktype = 'advisory' AND d.datname = current_database()});
}

# All that the accounts, their journal, closures and notices say; the clock stands still, so hashes and times are the same too.
sub books
{
	my ($database) = @_;
	return ask($database, q{
		SELECT count(*), md5(string_agg(e::text, ';' ORDER BY e.account_id, e.seq)) FROM kbilling.entry e;
		SELECT count(*), md5(string_agg(a::text, ';' ORDER BY a.account_id)) FROM kbilling.account a;
		SELECT count(*), md5(string_agg(s::text, ';' ORDER BY s.account_id, s.step_no)) FROM kbilling.closure_step s;
		SELECT count(*), md5(string_agg(n::text, ';' ORDER BY n.account_id, n.notice_no)) FROM kbilling.notice n});
}

my @databases = qw(undisturbed shared closures crash terminate cancel timeout lock_timeout crossing other
	read_committed repeatable_read serializable);
$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE busy") for @databases;

# Where something else is to end the wait, the sweep's own time-out must not come first.
my $wait_for_ever = 'ALTER FUNCTION kbilling_internal.kb_sweep_step SET lock_timeout = 0';
ask($_, $wait_for_ever) for grep { $_ ne 'lock_timeout' } @databases;
ask('undisturbed', 'CALL kbilling.kb_sweep()');
my $right = books('undisturbed');
is(ask('undisturbed', 'SELECT outcome, periods_due, periods_charged, entries_posted FROM kbilling.sweep_run'),
	"finished|$periods|$periods|$periods", 'W3: undisturbed, a run charges all that is due');
is(ask('undisturbed', 'SELECT phase, closure_steps, notices_written, accounts_failed FROM kbilling.sweep_run'),
	'closures|2000|0|0', 'W1: charges first, then closures');
is(ask('undisturbed', 'SELECT state, delete_on, count(*) FROM kbilling.account WHERE account_id > 3000 GROUP BY 1, 2 ORDER BY 1, 2'),
	"closing|2025-12-06|100\nclosing|2025-12-13|100\ndeleted|2025-12-03|100\npurged|2025-10-30|100", 'D: each is a step further');
is(ask('undisturbed', 'SELECT * FROM kbilling.kb_check()'), '', 'and the books are right');

# What must hold after a sweep that was stopped, and again after the next one.
sub stopped
{
	my ($database, $how) = @_;
	is(sweep_locks($database), 0, "$how: the lock is free");
	is(ask($database, 'SELECT running, interrupted FROM kbilling.kb_sweep_status()'), 'f|t', "$how: W3: and nobody is at it");
	is(ask($database, 'SELECT outcome, periods_charged, finished_at FROM kbilling.sweep_run'),
		'running|2400|', "$how: W1: what was committed stays, and is counted (W3)");
	is(ask($database, q{SELECT count(*) FROM kbilling.entry WHERE kind = 'charge'}),
		2400, "$how: that many charges are in the journal");
	is(ask($database, 'SELECT * FROM kbilling.kb_check()'), '', "$how: half-way the books are right, too");
	return;
}

sub resumed
{
	my ($database, $how) = @_;
	is(books($database), $right, "$how: C4: the next run leads to the same books, to the last hash");
	is(ask($database, 'SELECT outcome, periods_due, periods_charged FROM kbilling.sweep_run ORDER BY run_id'),
		"interrupted|$periods|2400\nfinished|2400|2400", "$how: W3: the run is known as interrupted");
	is(ask($database, 'SELECT * FROM kbilling.kb_check()'), '', "$how: and the books are right");
	return;
}

# In the midst of closures.
{
	my @psql = (hold_up('closures', 'SELECT FROM kbilling.account WHERE account_id = 3250 FOR UPDATE'), sweep_half('closures'));
	is(ask('closures', 'SELECT s.running, p.phase, p.periods_charged, p.closure_steps '
		. 'FROM kbilling.kb_sweep_status() s, kbilling.sweep_progress p'), "t|closures|$periods|1200",
		'closures: W3: how far it is can be seen from another session');
	$node->stop('immediate');
	finish($_) for @psql;
	$node->start;
	is(ask('closures', 'SELECT * FROM kbilling.kb_check()'), '', 'closures: half-way the books are right, too');
	ask('closures', 'CALL kbilling.kb_sweep()');
	is(books('closures'), $right, 'closures: W1: the next run leads to the same state');
	is(ask('closures', 'SELECT outcome, periods_charged, closure_steps FROM kbilling.sweep_run ORDER BY run_id'),
		"interrupted|$periods|1200\nfinished|0|800", 'closures: W3: and has counted');
}

# The machine goes down.
{
	my @psql = (hold_up('crash'), sweep_half('crash'));
	$node->stop('immediate');
	finish($_) for @psql;
	$node->start;
	stopped('crash', 'crash');
	is(ask('crash', q{SELECT count(*) FROM kbilling.entry WHERE key = 'never'}), 0, 'crash: T2: what was not committed is not there');
	ask('crash', 'CALL kbilling.kb_sweep()');
	resumed('crash', 'crash');
}

# The backend is told to go, and the statement to stop.
for my $how ('terminate', 'cancel')
{
	my $function = { terminate => 'pg_terminate_backend', cancel => 'pg_cancel_backend' }->{$how};
	my $holder = hold_up($how);
	my $sweep = sweep_half($how);
	ask($how, "SELECT $function(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CALL%'");
	finish($sweep);
	like($sweep->{err}, $how eq 'cancel' ? qr/canceling statement due to user request/ : qr/terminating connection/,
		"$how: the caller is told");
	finish($holder);
	stopped($how, $how);
	ask($how, 'CALL kbilling.kb_sweep()');
	resumed($how, $how);
}

# A session whose sweep ran out of time is as good as new.
{
	my $holder = hold_up('timeout');
	my (undef, $out, $err) = $node->psql('timeout', q{
		SET statement_timeout = '5s';
		CALL kbilling.kb_sweep();
		RESET statement_timeout;
		SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
		SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE application_name = 'holder';
		CALL kbilling.kb_sweep();
		SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
		SELECT balance FROM kbilling.kb_apply_topup(2, '50 USD', 'card', 'after');
		SELECT kbilling.kb_reverse(2, 3, 'undo', 'test');
		}, on_error_stop => 0);
	finish($holder);
	like($err, qr/canceling statement due to statement timeout/, 'timeout: the sweep ran out of time');
	# 50 less 19 * 27 / 31 = 16.55 for October from the 5th on, and 19 for November
	is($out, "0\n1\n0\n14.45 USD\n4", 'timeout: the lock is free in the same session, which sweeps and posts again');
	is(ask('timeout', 'SELECT outcome, periods_due, periods_charged FROM kbilling.sweep_run ORDER BY run_id'),
		"interrupted|$periods|2400\nfinished|2400|2400", 'timeout: W3: the second run did the rest');
	is(ask('timeout', 'SELECT * FROM kbilling.kb_check()'), '', 'timeout: and the books are right');
}

# A lock that is not to be had in time is one account's trouble.
{
	my $other = $held + 4;
	my @holders = (hold_up('lock_timeout'), hold_up('lock_timeout', qq{
		INSERT INTO kbilling.notice (account_id, notice_no, written_at, kind, occasion)
		SELECT account_id, last_notice_no + 1, now(), 'stage_changed', 'never' FROM kbilling.account WHERE account_id = $other}));
	my $pid = ask('lock_timeout', q{SELECT l.pid FROM pg_locks l JOIN kbilling.account a
		ON l.transactionid = a.xmax AND l.granted WHERE a.account_id = } . $held);
	ask('lock_timeout', 'CALL kbilling.kb_sweep()');
	is(ask('lock_timeout', 'SELECT account_id, state, message FROM kbilling.sweep_failure ORDER BY account_id'),
		"$held|55P03|account $held was locked by process $pid (holder) for more than 2s\n"
			. "$other|55P03|something of account $other was locked by another transaction: canceling statement due to lock timeout",
		'lock_timeout: W3: each account is reported, and what held it up');
	is(ask('lock_timeout', 'SELECT outcome, periods_charged, accounts_failed FROM kbilling.sweep_run'),
		'finished|' . ($periods - 4) . '|2', 'lock_timeout: W3: and held up nothing but its own months');
	finish($_) for @holders;
	ask('lock_timeout', 'CALL kbilling.kb_sweep()');
	is(books('lock_timeout'), $right, 'lock_timeout: C4: the next run leads to the same books');
}

# Who locks two accounts in one transaction may cross the sweep, which gives way, and tries again.
{
	my $app = hold_up('crossing', "SELECT kbilling.kb_add_member($held, 'anna', 'admin')");
	my $sweep = sweep_half('crossing');
	$app->{in} = "SELECT kbilling.kb_add_member($held - 4, 'anna', 'admin'); COMMIT;\n";
	finish($_) for $app, $sweep;
	is($app->{err}, '', 'crossing: the application gets through');
	is($sweep->{err}, '', 'crossing: and the sweep to its end');
	is(ask('crossing', 'SELECT outcome, periods_charged, accounts_failed FROM kbilling.sweep_run'), "finished|$periods|0",
		'crossing: W3: which charges all');
	is(books('crossing'), $right, 'crossing: C4: and leads to the same books');
}

# Two workers share the accounts.  One is killed half-way, and the other takes its share over.
{
	my $share = sub { return ask('shared', "SELECT s FROM generate_series(1, 2) s WHERE kbilling_internal.kb_is_in_share($_[0], 2, s)") };
	my $mine = $share->($held);
	my ($other) = grep { $share->($_) != $mine } map { $held + 4 * $_ } 1 .. 50;
	my @holders = (hold_up('shared'), hold_up('shared', "SELECT kbilling.kb_apply_topup($other, '7 USD', 'card', 'never')"));
	my @workers = map { background('shared', '-c', 'CALL kbilling.kb_sweep(workers => 2)') } 1 .. 2;
	$node->poll_query_until('shared', q{
		SELECT count(*) = 2 FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'CALL%' AND wait_event_type = 'Lock'})
		or die 'two workers did not get to the accounts held up';
	is(ask('shared', 'SELECT share, workers, outcome FROM kbilling.sweep_run ORDER BY share'), "1|2|running\n2|2|running",
		'shared: W1: each has a share of its own, and its own row');
	is(ask('shared', 'SELECT running, interrupted FROM kbilling.kb_sweep_status()'), 't|f', 'shared: W3: a sweep is running');
	for my $workers (1, 2, 3)
	{
		my (undef, undef, $err) = $node->psql('shared', "CALL kbilling.kb_sweep(workers => $workers)");
		like($err, qr/another sweep is running and does the work/, "shared: W1: nobody takes their accounts, with workers => $workers");
	}
	is(ask('shared', 'SELECT count(*) FROM kbilling.sweep_run'), 2, 'shared: nor is there another run');
	ask('shared', qq{SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory' AND objid = $mine AND granted});
	is(ask('shared', 'SELECT running, interrupted FROM kbilling.kb_sweep_status()'), 't|t', 'shared: W3: one was killed, one is running');
	finish($_) for @holders, @workers;
	is(ask('shared', 'SELECT share, workers, outcome FROM kbilling.sweep_run ORDER BY share, run_id'),
		join("\n", map { ("$_|2|interrupted") x ($_ == $mine), "$_|2|finished" } 1, 2),
		'shared: W1: the other has taken its share over');
	is(books('shared'), $right, 'shared: C4: and has led to the same books');
	is(ask('shared', 'SELECT sum(periods_charged) FROM kbilling.sweep_run'), $periods, 'shared: W3: in all, every period was charged once');
	is(ask('shared', 'SELECT running, interrupted, periods_charged = (SELECT sum(r.periods_charged) FROM kbilling.sweep_run r '
		. q{WHERE r.outcome = 'finished') FROM kbilling.kb_sweep_status()}), 'f|f|t', 'shared: W3: the last sweep is that of all shares');
	is(sweep_locks('shared'), 0, 'shared: no lock is left');

	ask('shared', 'CALL kbilling.kb_sweep(workers => 3)');
	is(ask('shared', q{SELECT share, workers, outcome FROM kbilling.sweep_run ORDER BY run_id DESC LIMIT 3}), join("\n",
		map { "$_|3|finished" } 3, 2, 1), 'shared: W1: a worker that is alone does all shares, of whatever number');
	is(ask('shared', 'SELECT * FROM kbilling.kb_check()'), '', 'shared: and the books are right');
}

# Payments come in while the sweep runs, in a session whose transactions would keep to one snapshot each.
for my $level ('read committed', 'repeatable read', 'serializable')
{
	my $database = $level =~ tr/ /_/r;
	my @payers = map { background($database, '-c', "CREATE TABLE stop_$_ ()", '-c', qq{
		DO \$\$
		BEGIN
			FOR n IN 1 .. 100000 LOOP
				PERFORM kbilling.kb_apply_topup(id, '1 USD', 'card', 'drop $_-' || n)
				FROM (SELECT 1 + (n * 7) % 1200 * 2 + $_ AS id) AS account;
				COMMIT;
				EXIT WHEN to_regclass('stop_$_') IS NULL;
			END LOOP;
		END \$\$}) } 0, 1;
	$node->poll_query_until($database, q{SELECT count(DISTINCT account_id % 2) = 2 FROM kbilling.entry WHERE key ~ '^drop'})
		or die 'nobody pays';
	my ($status, $out, $err) = $node->psql($database, qq{
		SET default_transaction_isolation = '$level';
		CALL kbilling.kb_sweep();
		SHOW transaction_isolation;
		DO \$\$ BEGIN CALL kbilling.kb_sweep(); RAISE WARNING '%', current_setting('transaction_isolation'); END \$\$});
	ask($database, 'DROP TABLE stop_0, stop_1');
	finish($_) for @payers;
	is($status . join('', map { $_->{err} } @payers), '0', "$level: all come to their ends");
	is(ask($database, 'SELECT outcome, periods_charged, accounts_failed FROM kbilling.sweep_run ORDER BY run_id'),
		"finished|$periods|0\nfinished|0|0", "$level: W1: all is charged, and no account passed over");
	is("$out $err" =~ s/psql:<stdin>:\d+: //r, "$level WARNING:  $level", "$level: the session's default holds again");
	is(ask($database, 'SELECT * FROM kbilling.kb_check()'), '', "$level: and the books are right");
}

# Other defaults.
{
	my (undef, undef, $err) = $node->psql('read_committed', "SET default_transaction_read_only = on; CALL kbilling.kb_sweep()");
	like($err, qr/kb_sweep cannot run in a read-only transaction.*HINT:/s, 'read only: the sweep says why it does not run');
	is($node->psql('read_committed', q{
		SET default_transaction_isolation = 'serializable'; SET default_transaction_deferrable = on; CALL kbilling.kb_sweep()}), 0,
		'deferrable: it runs');
}

# Each database has its own sweep.
{
	$node->safe_psql('postgres', 'CREATE DATABASE waiting TEMPLATE busy');
	ask('waiting', $wait_for_ever);
	my $holder = hold_up('waiting');
	my $sweep = sweep_half('waiting');
	ask('other', q{SET statement_timeout = '60s'; CALL kbilling.kb_sweep()});
	is(ask($_->[0], 'SELECT running, interrupted FROM kbilling.kb_sweep_status()'), $_->[1], "W3: whether a sweep is running in $_->[0]")
		for [ 'waiting', 't|f' ], [ 'other', 'f|f' ];
	is(books('other'), $right, 'W1: a sweep does not stand aside for one in another database');
	my (undef, undef, $err) = $node->psql('waiting', 'CALL kbilling.kb_sweep()');
	like($err, qr/another sweep is running/, 'W1: but for one in its own');
	finish($holder);
	finish($sweep);
	is($sweep->{err}, '', 'W1: and the one that waited goes on');
	is(books('waiting'), $right, 'C4: to the same books');
}

$node->stop;
done_testing();
