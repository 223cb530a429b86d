# The power fails, and of what was written since it was last synced, some has reached the disk and some has not: what was
# acknowledged is there (T2, J2).  The disk is full for a while: what cannot be done is refused, and works again later.
# KBILLING_POWER_CUTS is the number of rounds.
use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;

use IPC::Run;
use Mix qw(set_up clients sweepers keep_working wait_for_all call_again clock note_down troubles find_lost %count @unexpected);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $dir = abs_path(PostgreSQL::Test::Utils::tempdir);
my $built = eval { IPC::Run::run([ 'cc', '-shared', '-fPIC', '-o', "$dir/disk.so", "$FindBin::RealBin/disk.c", '-ldl' ], '>&', \my $said) };
plan skip_all => 'there is no C compiler' unless $built;
plan skip_all => 'it looks into /proc, as Linux has it' unless -d '/proc/self/fd';

my $rounds = $ENV{KBILLING_POWER_CUTS} // 5;
my $seed = $ENV{KBILLING_SEED} // int rand 1e6;
my $days = 9;
srand $seed;
diag("KBILLING_SEED=$seed, $rounds rounds");

my $node = PostgreSQL::Test::Cluster->new('disk');
$node->init(extra => ['--wal-segsize=1']);
$node->append_conf('postgresql.conf', q{
	fsync = on
	restart_after_crash = on
	max_wal_size = 8MB
	shared_buffers = 2MB
	bgwriter_delay = 10ms
	min_wal_size = 2MB
	log_statement = none
	log_min_messages = fatal});
$node->append_conf('postgresql.conf', "fsync = $ENV{KBILLING_FSYNC}") if $ENV{KBILLING_FSYNC};
my $data = $node->data_dir;
mkdir "$dir/synced" or die;

# The files of the server, by their number.
sub files
{
	my %file;
	my @folders = ($data);
	while (defined(my $folder = shift @folders))
	{
		for my $name (glob "$folder/*")
		{
			if (-d $name) { push @folders, $name }
			elsif (-f $name) { $file{ (stat _)[1] } = $name }
		}
	}
	return %file;
}

sub start
{
	local $ENV{LD_PRELOAD} = "$dir/disk.so";
	local $ENV{DISK_SYNCED} = "$dir/synced";
	local $ENV{DISK_FULL} = "$dir/full";
	return $node->start(fail_ok => 1);
}

# All of the files are on the disk.
sub sync_all
{
	unlink glob "$dir/synced/*";
	my %file = files();
	for my $number (keys %file) { copy_file($file{$number}, "$dir/synced/$number") }
	return;
}

sub write_file
{
	my ($name, $content) = @_;
	open my $file, '>', $name or die "$name: $!";
	binmode $file;
	print $file $content;
	close $file or die "$name: $!";
	return;
}

sub copy_file { my ($from, $to) = @_; return write_file($to, slurp_file($from)) }

# The processes of the server.
sub processes
{
	my ($postmaster) = slurp_file("$data/postmaster.pid") =~ /^(\d+)/;
	return ($postmaster, map { m{/proc/(\d+)/} } grep { (eval { slurp_file($_) } // '') =~ /\) \S $postmaster / } glob '/proc/[0-9]*/stat');
}

# Cuts the power: each sector that was written since its file was synced has been written, or has not.
my %lost;
sub cut_power
{
	my @processes = processes();
	kill 'STOP', @processes;
	kill 'KILL', reverse @processes;
	$node->kill9;
	sleep 0.02 while grep { kill 0, $_ } @processes;
	my %file = files();
	for my $number (keys %file)
	{
		my $now = slurp_file($file{$number});
		my $kept = "$dir/synced/$number";
		my $then = -e $kept ? slurp_file($kept) : '';
		next if $now eq $then;
		my $part = (0, 0.5, 1)[ rand 3 ];
		my $size = rand() < $part ? length $now : length $then;
		my $mixed = '';
		for (my $at = 0; $at < $size; $at += 512)
		{
			my $new = rand() < $part;
			$lost{sectors}++ if !$new && (substr($now, $at, 512) // '') ne (substr($then, $at, 512) // '');
			my $sector = $new ? ($at < length $now ? substr($now, $at, 512) : '') : $at < length $then ? substr($then, $at, 512) : '';
			$sector .= "\0" x (512 - length $sector) if length $sector < 512 && $at + 512 <= $size;
			$mixed .= $sector;
		}
		$lost{files}++;
		write_file($file{$number}, $mixed);
	}
	unlink "$data/postmaster.pid";
	return;
}

sync_all();
start() or die 'the server does not start';
my %accounts = (open => [ 1 .. 80 ], tight => [ 81 .. 100 ]);
set_up($node, %accounts);
my @clients = clients(3, %accounts);
my @sweepers = sweepers(1);
my $full = 0;
for my $round (0 .. $rounds - 1)
{
	my ($begun, $length) = (time, 1.5 + rand 2);
	my $full_from = $round % 2 ? rand $length : 1e9;
	while ((my $passed = time - $begun) < $length)
	{
		keep_working($node, clock($days * ($round + $passed / $length)), @clients, @sweepers);
		if ($passed > $full_from + 0.5) { unlink "$dir/full" }
		elsif ($passed > $full_from && !-e "$dir/full") { write_file("$dir/full", ''); $full++ }
		sleep 0.01;
	}
	unlink "$dir/full";
	cut_power();
	wait_for_all(@clients, @sweepers);
	start() or BAIL_OUT("round $round of seed $seed: the server does not start");
	note_down($node, @clients);
	my $troubles = troubles($node);
	find_lost($node, @clients);
	is($troubles . join('', splice @unexpected), '', "round $round: T2: all that was acknowledged was on the disk");
}
call_again($node, clock($days * $rounds), @clients);
note_down($node, @clients);
is(troubles($node) . join('', @unexpected), '', 'J3: what is repeated was there, or is now');
cmp_ok($lost{sectors}, '>', 0, 'and some was not');
diag(join ', ', "power cuts: $rounds", "disk full: $full", map { "$_ lost: $lost{$_}" } sort keys %lost);
diag(join ', ', map { "$_: $count{$_}" } sort grep { !/: / } keys %count);
$node->stop;
done_testing();
