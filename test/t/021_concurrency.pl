# All that an application does, by eight sessions on accounts that they share, each call a transaction of its own, at each
# isolation level, for KBILLING_SECONDS each: none is the victim of a deadlock, and the books say what the sessions know.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Mix qw(set_up clients sweepers keep_working wait_for_all call_again clock note_down troubles %setting %count @unexpected);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $seconds = $ENV{KBILLING_SECONDS} // 7;
my $seed = $ENV{KBILLING_SEED} // int rand 1e6;
srand $seed;
diag("KBILLING_SEED=$seed, $seconds seconds for each isolation level");

my $node = PostgreSQL::Test::Cluster->new('concurrency');
$node->init;
$node->append_conf('postgresql.conf', q{
	deadlock_timeout = '20ms'
	max_pred_locks_per_transaction = 256
	log_statement = none});
$node->start;
my %accounts = (open => [ 1 .. 5 ], tight => [ 6 .. 8 ]);
set_up($node, %accounts);
my $logged = -s $node->logfile;
my $day = 0;
my @sweepers = sweepers(1);

for my $level ('read committed', 'repeatable read', 'serializable')
{
	my @clients = clients(8, %accounts);
	my $begun = time;
	%count = ();
	%setting = (default_transaction_isolation => $level);
	while (time - $begun < $seconds)
	{
		keep_working($node, clock($day + (time - $begun) * 10), @clients, @sweepers);
		sleep 0.01;
	}
	$day += $seconds * 10;
	call_again($node, clock($day), @clients);
	wait_for_all(@sweepers);
	note_down($node, @clients);
	is(join('', splice @unexpected), '', "$level: each call does what it is to do, or says why not");
	is($count{'40P01'} // 0, 0, "$level: none is the victim of a deadlock");
	cmp_ok($count{done}, '>', 100, "$level: calls were made");
	is(troubles($node), '', "$level: the books say what the sessions know");
	is($node->safe_psql('postgres', "SET kbilling.clock = '" . clock($day) . "'; SELECT account_id, kbilling.kb_available(account_id)
		FROM kbilling.account WHERE tariff = 'tight' AND kbilling.kb_amount(kbilling.kb_available(account_id)) < 0"), '',
		"$level: L2: nobody has spent more than there was");
	diag("$level: " . join ', ', map { "$_: $count{$_}" } sort grep { !/: / } keys %count);
	diag("$level: " . join ', ', map { "$_: $count{$_}" } sort grep { /^40/ && /: / } keys %count);
}

unlike(slurp_file($node->logfile, $logged), qr/deadlock detected/, 'nor was the sweep');
is($node->safe_psql('postgres', q{SELECT DISTINCT state, message FROM kbilling.sweep_failure}), '', 'which has passed nobody over');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kbilling.discount WHERE code = 'FEW'}), 3,
	'C9: a code is granted as often as it may be');
$node->stop;
done_testing();
