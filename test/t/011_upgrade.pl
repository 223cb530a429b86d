# A server's data goes through pg_upgrade with nothing lost, and the books go on from there.
use strict;
use warnings;

use File::Basename qw(dirname);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use lib $FindBin::RealBin;
use Busy qw(make_busy contents lasting_contents $go_on);

# Without checksums, which initdb makes from version 18 on, so that each is as the other is.
sub init_for
{
	my ($node, $version) = @_;
	$node->init(extra => $version >= 18 ? ['--no-data-checksums'] : []);
}

my $old = PostgreSQL::Test::Cluster->new('old');
my ($version) = $old->config_data('--version') =~ /(\d+)/;
init_for($old, $version);
$old->start;
my $bin = $old->config_data('--bindir');
chomp $bin;

make_busy($old);
my $before = contents($old, 'busy');
$old->stop;

# This version, and what else there is, newer, where Debian puts it.
my %bin_of = ($version => $bin);
for my $path (glob dirname(dirname($bin)) . '/*/bin/pg_upgrade')
{
	$bin_of{$1} = dirname($path) if $path =~ m{/(\d+)/bin/} && $1 > $version;
}

my %upgraded;
for my $to (sort { $a <=> $b } keys %bin_of)
{
	my $name = "$version to $to";
	my $new = PostgreSQL::Test::Cluster->new("new_$to", $to == $version ? () : (install_path => dirname($bin_of{$to})));
	init_for($new, $to);
	$new->start;
	my $installed = $new->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'kbilling'});
	$new->stop;
	next unless $installed;

	ok(run_log([
			"$bin_of{$to}/pg_upgrade", '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bin, '-B', $bin_of{$to},
			'-s', $new->host, '-p', $old->port, '-P', $new->port ]), "$name: pg_upgrade")
		or die map { grep /error:/, split /^/, slurp_file($_) } glob $new->data_dir . '/pg_upgrade_output.d/*/log/pg_upgrade_dump_*.log';
	$new->start;
	is_deeply(contents($new, 'busy'), $before, "$name: every row of every table is the same");
	is($new->safe_psql('busy', 'SELECT * FROM kbilling.kb_check()'), '', "$name: the books are right");
	is($new->safe_psql('busy', 'SELECT v.* FROM kbilling.account a, kbilling.kb_verify(a.account_id) v'), '', "$name: J5: and every chain");
	my (undef, undef, $error) = $new->psql('busy', q{SELECT kbilling.kb_create_account('new', 'lviv', 4702)});
	like($error, qr/account 4702 is on another shard/, "$name: B2: what the node owns came along");
	$upgraded{$name} = { went_on => $new->safe_psql('busy', $go_on), contents => lasting_contents($new, 'busy') };
	$new->stop;
}
cmp_ok(scalar keys %upgraded, '>=', 1, 'kbilling is there in one version at least');

# The old server is as it was, and does the same.
$old->start;
my $went_on = $old->safe_psql('busy', $go_on);
like($went_on, qr/^3\|interrupted\|.*\n4\|finished\|/m, 'W3: the run that was under way is interrupted, the next one goes on');
my $after = lasting_contents($old, 'busy');
for my $name (sort keys %upgraded)
{
	is($upgraded{$name}{went_on}, $went_on, "$name: sweep, top-ups and new accounts go on as if nothing had happened");
	is_deeply($upgraded{$name}{contents}, $after, "$name: and in the end every row is the same again");
}

$old->stop;
done_testing();
