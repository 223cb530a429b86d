# However servers and sessions die, what was acknowledged is there once, what was tried once or not at all, and a repeat is a
# replay or the first of its kind (T2, T3, J2, J3).  KBILLING_CRASHES is the number of rounds, KBILLING_SEED makes one again,
# as far as the calls go.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Mix qw(set_up clients sweepers keep_working wait_for_all call_again clock note_down troubles find_lost %count @unexpected);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $rounds = $ENV{KBILLING_CRASHES} // 10;
my $seed = $ENV{KBILLING_SEED} // int rand 1e6;
my $days = 9;	# that pass in a round
my %did;
srand $seed;
diag("KBILLING_SEED=$seed, $rounds rounds");

my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init;
$node->append_conf('postgresql.conf', q{
	restart_after_crash = on
	max_wal_size = 32MB
	log_min_messages = fatal
	log_statement = none
	checkpoint_timeout = 30s});
$node->start;
my %accounts = (open => [ 1 .. 240 ], tight => [ 241 .. 300 ]);
set_up($node, %accounts);
my @clients = clients(4, %accounts);
my @sweepers = sweepers(2);

# Runs a statement though the server may be gone.
sub try_psql
{
	my ($query) = @_;
	my $out = '';
	IPC::Run::run([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $query ], '>', \$out, '2>', '/dev/null');
	return split /\n/, $out;
}

sub await_server
{
	for (1 .. 600) { return if try_psql('SELECT 1'); sleep 0.1 }
	BAIL_OUT('the server does not come back');
}

# What happens to a session, and to all of them.
my $busy = q{FROM pg_stat_activity WHERE application_name ~ '^[cs][0-9]' AND state = 'active' ORDER BY random() LIMIT 1};
my %mishap = (
	cancel => sub { try_psql("SELECT pg_cancel_backend(pid) $busy") },
	terminate => sub { try_psql("SELECT pg_terminate_backend(pid) $busy") },
	kill => sub { my ($pid) = try_psql("SELECT pid $busy"); return unless $pid; kill 'KILL', $pid },
	kill_server_process => sub {
		my ($pid) = try_psql(q{SELECT pid FROM pg_stat_activity WHERE backend_type <> 'client backend' ORDER BY random() LIMIT 1});
		kill 'KILL', $pid if $pid },
	checkpoint => sub { try_psql('CHECKPOINT') },
);
my %end = (
	stop => sub { $node->stop('immediate'); wait_for_all(@clients, @sweepers); $node->start },
	kill => sub { $mishap{kill}->(); sleep 0.1; await_server() },
	kill_postmaster => sub {
		my ($pid) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
		$node->kill9;
		wait_for_all(@clients, @sweepers);
		sleep 0.05 while kill 0, $pid;
		# its children may still be about to notice
		for (1 .. 100) { last if $node->start(fail_ok => 1); sleep 0.2 } },
);

for my $round (0 .. $rounds - 1)
{
	my ($begun, $length) = (time, 0.8 + rand 2);
	my @moments = sort { $a <=> $b } map { rand $length } 1 .. 1 + int rand 5;
	while ((my $passed = time - $begun) < $length)
	{
		keep_working($node, clock($days * ($round + $passed / $length)), @clients, @sweepers);
		if (@moments && $passed > $moments[0])
		{
			shift @moments;
			my $what = (qw(cancel cancel terminate terminate kill kill_server_process checkpoint))[ rand 7 ];
			$did{$what}++;
			$mishap{$what}->();
		}
		sleep 0.01;
	}
	my $how = (sort keys %end)[ rand keys %end ];
	$did{"end by $how"}++;
	$end{$how}->();
	wait_for_all(@clients, @sweepers);
	await_server();
	note_down($node, @clients);
	my $troubles = troubles($node);
	$did{'lost, but found'} += find_lost($node, @clients);
	BAIL_OUT("round $round of seed $seed: the server is kept in " . $node->data_dir)
		unless is($troubles . join('', splice @unexpected), '', "round $round, $how: all that was acknowledged is there, and as it was");
}

# In peace, all is repeated that had no answer.
call_again($node, clock($days * $rounds), @clients);
note_down($node, @clients);
keep_working($node, clock($days * ($rounds + 4)), @sweepers);
wait_for_all(@sweepers);
is(troubles($node) . join('', @unexpected), '', 'J3: what is repeated was there, or is now');
is($node->safe_psql('postgres', q{SELECT count(*) FROM note WHERE state = 'lost'}), 0, 'and all have had an answer');
is($node->safe_psql('postgres', q{SELECT DISTINCT state, message FROM kbilling.sweep_failure}), '', 'the sweep has passed nobody over');
is($node->safe_psql('postgres', q{SELECT running FROM kbilling.kb_sweep_status()}), 'f', 'and has come to its end');
is($node->safe_psql('postgres', q{CREATE EXTENSION amcheck;
	SELECT count(bt_index_check(i.indexrelid, true)) > 50
	FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
	WHERE m.amname = 'btree' AND c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace)}), 't',
	'each index knows all rows');
diag(join ', ', map { "$_: $did{$_}" } sort keys %did);
diag(join ', ', map { "$_: $count{$_}" } sort grep { !/:/ } keys %count);
diag(join ', ', map { "$_: $count{$_}" } sort grep { /^done:/ } keys %count);
diag('entries: ' . $node->safe_psql('postgres', q{SELECT string_agg(kind || ' ' || n, ', ')
	FROM (SELECT kind::text, count(*) n FROM kbilling.entry GROUP BY 1 ORDER BY 1) e})
	. '; events of usage: ' . $node->safe_psql('postgres', 'SELECT count(*) FROM kbilling.usage_event'));
$node->stop;
done_testing();
