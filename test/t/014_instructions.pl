# What is called most often costs no more than it did: instructions of one backend, as multiples of those of the floor
# (bench/row), which are counted in the same way in the same run. A path may take a tenth more than its budget, and
# whoever makes one quicker lowers it. make bench has times, too.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../bench/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Instructions;
use Row;

my $room = 1.1;
# By the major version of the server
my %budget = (15 => { topup => 0.96, access => 0.92, write => 1.5, event => 2.3 });
my %count = (topup => 100, access => 150, write => 150, event => 100);
my $accounts = 2000;	# fewer would be read by scans

my ($major) = `pg_config --version` =~ /(\d+)/;
plan skip_all => "no budget has been set for PostgreSQL $major" unless $budget{$major};
plan skip_all => 'valgrind is not installed, which counts instructions' unless Instructions::has_callgrind();

my $node = PostgreSQL::Test::Cluster->new('instructions');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE bench');
my $bench = "$FindBin::Bin/../bench";
$node->safe_psql('bench', slurp_file("$bench/setup.sql"));

my %row = map { $_ => Row->read_file("$bench/row/$_.sql") } keys %{ $budget{$major} };
for my $name (sort keys %row)
{
	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE bench");
	$node->safe_psql($name, "\\cd $bench\n\\set accounts $accounts\nSET search_path = kbilling, public;\n"
		. $row{$name}->text('setup', 'all'));
	$node->safe_psql($name, 'VACUUM ANALYZE');
}

local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
chomp(my $bin = `pg_config --bindir`);
my $instructions = Instructions->new(way => 'callgrind', bin => $bin, data => $node->data_dir);
for my $name (sort keys %row)
{
	my %of;
	for my $side (qw(floor ours))
	{
		local $ENV{PGOPTIONS} = join ' ', split /\n/, $row{$name}->text('options', $side);
		$of{$side} = $instructions->of($name, $row{$name}{section}{$side}, { accounts => $accounts }, $count{$name});
	}
	my $ratio = $of{ours} / $of{floor};
	cmp_ok($of{floor}, '>', 5000, "$name: the floor is counted");
	cmp_ok($ratio, '<', $budget{$major}{$name} * $room, "$name: instructions, as a multiple of the floor's")
		or diag(sprintf 'ours: %d, floor: %d; callgrind shows where they go', @of{qw(ours floor)});
	note(sprintf '%s: %d / %d = %.2f', $name, @of{qw(ours floor)}, $ratio);
}
$instructions->end;
$node->stop;

done_testing();
