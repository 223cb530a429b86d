# The pages lead somewhere: each link among them meets a file, and the place in it that it names.
use strict;
use utf8;
use warnings;

use File::Basename qw(dirname);
use FindBin;
use Test::More;

sub slurp
{
	my ($path) = @_;
	open my $in, '<:encoding(UTF-8)', $path or die "$path: $!";
	local $/;
	return <$in>;
}

# The places in a page: anchors, and headings by the names that they are given on the web, a second one of a name with a number.
sub places_in
{
	my ($page) = @_;
	my (%places, %seen);
	my $text = slurp($page);

	$text =~ s/^```.*?^```$//gms;
	$places{$1} = 1 while $text =~ /<a id="([^"]*)">/g;
	while ($text =~ /^#+ (.*)$/gm)
	{
		my $place = lc $1;
		$place =~ s/[^\w\- ]//g;
		$place =~ tr/ /-/;
		my $n = $seen{$place}++;
		$places{ $n ? "$place-$n" : $place } = 1;
	}
	return \%places;
}

chdir "$FindBin::Bin/../.." or die "$FindBin::Bin: $!";

my @pages = glob '*.md docs/*.md router/*.md';
my (%places, @links, @lost);
for my $page (@pages)
{
	my $text = slurp($page);
	$text =~ s/^```.*?^```$//gms;
	push @links, map { [ $page, $_ ] } grep { !/^[a-z]+:/ } $text =~ /\]\(([^)\s]*)\)/g;
}
cmp_ok(scalar @links, '>', 100, 'there are links to look at');
for (@links)
{
	my ($page, $link) = @$_;
	my ($path, $place) = split /#/, $link, 2;
	my $target = $path eq '' ? $page : dirname($page) . "/$path";
	$target =~ s{^\./}{};
	1 while $target =~ s{[^/]+/\.\./}{};

	if (!-e $target)
	{
		push @lost, "$page: $link: there is no $target";
	}
	elsif (defined $place && !($places{$target} //= places_in($target))->{$place})
	{
		push @lost, "$page: $link: there is no such place in $target";
	}
}
ok(!@lost, 'each link in a page leads somewhere') or diag(join "\n", @lost);

chomp(my $said = `bench/page --check 2>&1`);
is($?, 0, 'the page of speed says what was measured') or diag($said);

done_testing();
