# What becomes a package: one version everywhere, META.json as PGXN has it, a zip that builds, Debian's files, Docker's.
use strict;
use utf8;
use warnings;

use File::Basename qw(dirname);
use File::Find;
use File::Temp qw(tempdir);
use FindBin;
use JSON::PP;
use Test::More;

chdir "$FindBin::Bin/../.." or die "$FindBin::Bin: $!";

sub slurp
{
	my ($path) = @_;
	open my $in, '<:encoding(UTF-8)', $path or die "$path: $!";
	local $/;
	return <$in>;
}

sub lines_of
{
	return grep { /\S/ } split /\n/, slurp($_[0]);
}

sub no_problem
{
	my ($what, @problems) = @_;
	return ok(!@problems, $what) || diag(join "\n", @problems);
}

# One version

my ($version) = slurp('kbilling.control') =~ /^default_version = '(.*)'/m;
my ($router) = slurp('router/kbilling_router.control') =~ /^default_version = '(.*)'/m;
my ($debian) = slurp('debian/changelog') =~ /^kbilling \((.*?)-[^-]*\) /;
my $meta = decode_json(do { open my $in, '<:raw', 'META.json' or die $!; local $/; <$in> });
my @versions = ($router, $debian, $meta->{version}, map { $meta->{provides}{$_}{version} } qw(kbilling kbilling_router));
is_deeply(\@versions, [ ($version) x @versions ], 'control files, META.json and debian/changelog have one version');

my ($dated) = slurp('CHANGELOG.md') =~ /^## (.*\b\Q$version\E\b.*)/m;
my ($distribution) = slurp('debian/changelog') =~ /^kbilling \(.*?\) ([^;]*);/;
is($distribution, $dated =~ /^Unreleased/ ? 'UNRELEASED' : 'unstable', 'debian/changelog is released when CHANGELOG.md is dated');

# META.json: PGXN Meta Spec 1.0.0

my $term = qr{\A[^\s/\\[:cntrl:]]{2,}\z};
my $semantic = qr/\A(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-[0-9A-Za-z-]+)?\z/;
my $bound = qr/(?:[<>]=?|[=!]=)\s*\S+/;
my $url = qr{\A\w+://[^/]+};
my %is = (
	string => sub { !ref $_[0] && $_[0] ne '' },
	strings => sub { my @all = ref $_[0] ? @{ $_[0] } : $_[0]; @all && !grep { ref || $_ eq '' } @all },
	file => sub { !ref $_[0] && -f $_[0] },
	term => sub { $_[0] =~ $term },
	version => sub { $_[0] =~ $semantic },
	range => sub { $_[0] =~ /\A0\z|$semantic|\A$bound(?:,\s*$bound)*\z/ },
	url => sub { $_[0] =~ $url },
	spec => sub { $_[0] eq '1.0.0' },
	status => sub { $_[0] =~ /\A(?:stable|testing|unstable)\z/ },
	tags => sub { my @all = ref $_[0] ? @{ $_[0] } : $_[0]; !grep { !m{\A[^/\\[:cntrl:]]{1,255}\z} } @all },
	license => sub {
		my $known = join '|', qw(agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1 gpl_2
			gpl_3 lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib open_source
			restricted unrestricted unknown);
		my @all = ref $_[0] eq 'HASH' ? values %{ $_[0] } : ref $_[0] ? @{ $_[0] } : $_[0];
		my $each = ref $_[0] eq 'HASH' ? $url : qr/\A(?:$known)\z/;
		@all && !grep { $_ !~ $each } @all;
	});

# What a map may have: a key with "!" must be there; "*" is any other key, which is a term.
my %each_prereq = map { $_ => { '*' => 'range' } } qw(requires recommends suggests conflicts);
my %meta_map = (
	'abstract!' => 'string', 'license!' => 'license', 'maintainer!' => 'strings', 'name!' => 'term', 'version!' => 'version',
	'meta-spec!' => { 'version!' => 'spec', url => 'url' },
	'provides!' => { '*' => { 'file!' => 'file', 'version!' => 'version', abstract => 'string', docfile => 'file' } },
	description => 'string', generated_by => 'string', release_status => 'status', tags => 'tags',
	no_index => { file => 'strings', directory => 'strings' },
	prereqs => { map { $_ => \%each_prereq } qw(configure build test runtime develop) },
	resources => { homepage => 'url', license => 'strings', bugtracker => { web => 'url', mailto => 'string' },
		repository => { url => 'url', web => 'url', type => 'string' } });

# What is wrong with a value, by what it is to be.
sub meta_problems
{
	my ($place, $value, $kind) = @_;
	return $is{$kind}->($value) ? () : "$place: no $kind" if !ref $kind;
	return "$place: no map" if ref $value ne 'HASH';
	my %kind = map { s/!$//r => $kind->{$_} } keys %$kind;
	my @problems = map { "$place: no $_" } grep { !defined $value->{$_} } map { /^(.*)!$/ } keys %$kind;
	for my $key (sort keys %$value)
	{
		next if $key =~ /^x_/i;
		my $of = $kind{$key} // $kind{'*'};
		push @problems, "$place: $key is no term" if !exists $kind{$key} && $key !~ $term;
		push @problems, $of ? meta_problems("$place.$key", $value->{$key}, $of) : "$place: unknown key $key";
	}
	return @problems;
}

no_problem('META.json is what PGXN takes', meta_problems('META', $meta, \%meta_map));
my %broken = (%$meta, version => '1.0', licence => 'postgresql', license => 'free', provides => {}, tags => ['a/b']);
delete $broken{abstract};
is_deeply([ meta_problems('META', \%broken, \%meta_map) ],
	[ 'META: no abstract', 'META: unknown key licence', map { "META.$_: no $_" } qw(license tags version) ],
	'and one that is not is noticed');

# The zip

SKIP:
{
	chomp(my $top = `git rev-parse --show-toplevel 2>/dev/null` || '');
	skip 'there is no repository to make a zip of', 2 if $top eq '' || !-e "$top/test/dist";
	my $dir = tempdir(CLEANUP => 1);
	local $ENV{COPT} = '-O0';
	my $output = `test/dist '$dir/kbilling-$version' 2>&1`;
	is($?, 0, 'the zip for PGXN builds and installs in an empty folder') or diag($output);
	my @names = map { /^(kbilling-\S*)/ } `python3 -m zipfile -l '$dir/kbilling-$version.zip'`;
	my @top = grep { m{^kbilling-\Q$version\E/(META\.json|README\.md|LICENSE|CHANGELOG\.md)$} } @names;
	is(scalar @top, 4, 'and has META.json, README, license and changelog at the top of one folder')
		or diag(join "\n", @names[0 .. 9]);
}

# Debian: the packages in control and in control.in, and what the package of documents brings

my @packages = slurp('debian/control') =~ /^Package: (.*)/mg;
my %expected = map { $_ => 1 } slurp('debian/control.in') =~ /^Package: (.*)/mg;
delete $expected{$_} for map { s/-\d+-/-PGVERSION-/r } @packages;
is_deeply([ sort keys %expected ], [], 'debian/control has each package of debian/control.in');
is(join("\n", lines_of('debian/pgversions')), '15+', 'for PostgreSQL 15 and later');

my %to;    # file of the sources => where it is below the package's documents
my @nothing;

# A file or folder, put into a folder there.
sub brings
{
	my ($path, $folder) = @_;
	my $above = dirname($path) eq '.' ? '' : dirname($path) . '/';
	find({ no_chdir => 1, wanted => sub {
		my $file = s{^\./}{}r;
		$to{$file} = $folder . substr($file, length $above) if -f && !m{/node_modules/};
	} }, $path);
	return;
}

for my $list (glob 'debian/postgresql-kbilling-doc.{docs,examples,install}')
{
	for (lines_of($list))
	{
		my ($pattern, $folder) = split;
		my @found = glob $pattern;
		push @nothing, "$list: $pattern" if !@found;
		$folder //= $list =~ /examples$/ ? 'examples' : '';
		$folder =~ s{^usr/share/doc/postgresql-kbilling-doc/}{};
		brings($_, $folder eq '' ? '' : "$folder/") for @found;
	}
}
brings('CHANGELOG.md', '') if slurp('debian/rules') =~ /install -m 644 CHANGELOG\.md \$\(documents\)/;
no_problem('what Debian\'s lists name is there', @nothing);
cmp_ok(scalar keys %to, '>', 40, 'the package of documents brings files');

my @lost;
for my $page (grep { /\.md$/ } sort keys %to)
{
	my $text = slurp($page) =~ s/^```.*?^```$//gmsr;
	for my $link (map { s/#.*//r } grep { !/^(?:[a-z]+:|#)/ } $text =~ /\]\(([^)\s]*)\)/g)
	{
		my $target = dirname($page) . "/$link";
		$target =~ s{^\./}{};
		1 while $target =~ s{[^/]+/\.\./}{};
		push @lost, "$page: $link" if !grep { $_ eq $target || index($_, "$target/") == 0 } keys %to;
		push @lost, "$page is not where it links from" if $to{$page} ne $page;
	}
}
no_problem('its pages link to what it brings', @lost);

SKIP:
{
	skip 'Debian\'s tools are not here', 1 if system('command -v pg_buildext dpkg-parsechangelog >/dev/null') != 0;
	my $dir = tempdir(CLEANUP => 1);
	system("cp -R debian '$dir'") == 0 or die 'cannot copy';
	my ($released) = map { s/-kbilling$//r } grep { s/^postgresql-(\d+-kbilling)$/$1/ } @packages;
	my $output = `cd '$dir' && PG_SUPPORTED_VERSIONS=$released PG_UPDATECONTROL= pg_buildext checkcontrol 2>&1`;
	is($output, '', 'debian/control is what control.in says');
}

# The Dockerfile builds of what the Makefile needs

my $dockerfile = slurp('Dockerfile');
my ($installed) = $dockerfile =~ /apt-get install -y --no-install-recommends (.*)/;
is($installed, 'g++ libicu-dev make "postgresql-server-dev-$PG_MAJOR"', 'the Dockerfile installs what docs/operations.md says');

done_testing();
