# Every SQLSTATE that the extension raises is in docs/reference.md, and a test expects it.
use strict;
use warnings;
use FindBin;
use Test::More;

# In no reference: what cannot happen, or what the server says of itself.
my %own_words = (
	'53200' => 'ICU has no memory',
	'25006' => 'a standby',
	'40001' => 'the server\'s word for a row that another transaction has changed',
	'09000' => 'a trigger of the application\'s keeps a row back',
	'XX000' => 'a change that nobody has logged: a defect');

# No test can bring them about.
my %no_test = ('53200' => 'ICU has no memory');

sub text_of
{
	my ($file) = @_;
	open my $in, '<:encoding(UTF-8)', $file or die "$file: $!";
	local $/;
	return scalar <$in>;
}

chdir "$FindBin::Bin/../.." or die "$FindBin::Bin: $!";
my $headers = qx("\${PG_CONFIG:-pg_config}" --includedir-server);
chomp $headers;
my %state_of;
for my $file ("$headers/utils/errcodes.h", 'src/errors.h')
{
	my $text = text_of($file);
	$state_of{$1} = join '', map { /'(.)'/g } $2 while $text =~ /#define (ERRCODE_\w+)\s+MAKE_SQLSTATE\(([^)]*)\)/g;
}
cmp_ok(scalar keys %state_of, '>', 200, 'the names of SQLSTATEs are read');

# Where each is raised
my %raised;
for my $file (glob 'src/*.c src/*.h router/src/*.c')
{
	next if $file eq 'src/errors.h';
	my $text = text_of($file);
	$raised{ $state_of{$1} // "unknown $1" } = $file while $text =~ /(?<!== )\b(ERRCODE_(?!TO_CATEGORY)\w+)/g;
}
for my $file (glob 'sql/install/*.sql router/sql/install/*.sql')
{
	my $text = text_of($file);
	$raised{$1} = $file while $text =~ /kb_raise\(\s*'(\w{5})'/g;
}
cmp_ok(scalar keys %raised, '>', 30, 'and where they are raised');

my $errors = text_of('docs/reference.md') =~ /^## Errors\n(.*?)^## /ms ? $1 : '';
my %documented = map { $_ => 1 } grep { /^[0-9A-Z]{5}$/ && /[0-9]/ } map { split /, / } $errors =~ /^\| ([^|]*) \|/mg;
my $tests = join '', map { text_of($_) } glob 'test/sql/*.sql test/t/*.pl test/isolation/specs/*.spec expected/*.out';

my @unlisted = grep { !$documented{$_} && !$own_words{$_} } sort keys %raised;
ok(!@unlisted, 'each SQLSTATE that is raised is in docs/reference.md') or diag(map { "$_ in $raised{$_}\n" } @unlisted);
my @untested = grep { $tests !~ /\b$_\b/ && !$no_test{$_} } sort keys %raised;
ok(!@untested, 'and a test expects it') or diag(map { "$_ in $raised{$_}\n" } @untested);
my @idle = grep { !$raised{$_} && !/^22|^23/ } sort keys %documented;
ok(!@idle, 'and each that is listed is raised') or diag(join ' ', @idle);
my @needless = grep { !$raised{$_} } sort keys %own_words, keys %no_test;
ok(!@needless, 'what is left out here is raised') or diag(join ' ', @needless);

done_testing();
