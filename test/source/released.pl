# What a released version installs never changes, and leads to this version.
use strict;
use warnings;

use FindBin;
use Test::More;

chdir "$FindBin::Bin/../..";

sub text_of
{
	my ($file) = @_;
	open my $in, '<:raw', $file or return undef;
	local $/;
	return scalar readline $in;
}

my ($version) = text_of('kbilling.control') =~ /^default_version = '(.*)'/m;
my %released = map { m{--([^/]+)\.sql$} ? ($1 => $_) : () } glob 'sql/released/kbilling--*.sql';
my %dated = map { $_ => 1 } text_of('CHANGELOG.md') =~ /^## ([0-9.]+),? +\(?[0-9]{4}-[0-9]{2}-[0-9]{2}/mg;

is_deeply([ sort keys %released ], [ sort keys %dated ], 'each version that CHANGELOG.md dates is kept in sql/released, and no other');
SKIP:
{
	skip 'this version is not released yet', 1 unless $dated{$version};
	is(text_of("sql/kbilling--$version.sql"), text_of($released{$version}), 'what this version installs is what was released')
		or diag('Give the change to the next version: see CONTRIBUTING.md.');
}

# The updates that there are, and where they lead to
my %leads_to;
for my $update (glob 'sql/upgrade/kbilling--*--*.sql')
{
	my ($from, $to) = $update =~ m{kbilling--(.+)--(.+)\.sql$};
	push @{ $leads_to{$from} }, $to;
}
sub arrives
{
	my ($from, %seen) = @_;
	return $from eq $version || grep { !$seen{$_} && arrives($_, %seen, $from => 1) } @{ $leads_to{$from} // [] };
}
my @lost = grep { !arrives($_) } sort keys %released;
is("@lost", '', 'each version that was released leads to this one');

done_testing();
