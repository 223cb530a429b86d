# Lines are short enough to be read side by side.
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));
use File::Find;
use Test::More;

my $columns = 140;
my $tab = 4;

# Where lines are looked at.
my @places = qw(sql/install src router/sql/install router/src router/README.md test examples bench docs debian
	README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md);

# What may be longer, and why: lines from the one to the other of a file.
my %longer = (
	# tables, a row for each function
	'docs/reference.md' => [ qr/^# /, qr/^## Hash of an entry$/ ],
	# one command of psql, which ends with its line
	'test/sql/message.sql' => [ (qr/^\\set encoded `/) x 2 ],
	# what customers read: a sentence stands on one line, as it is written out
	'sql/install/explain.sql' =>
		[ qr/^CREATE FUNCTION kbilling_internal\.kb_standard_phrases/, qr/^\t\) AS v \(phrase, language, pattern\)\) t$/ ],
	'sql/install/template.sql' => [ qr/^CREATE VIEW kbilling\.standard_template /, qr/^\t\) AS t \(kind, language, subject, body\)$/ ]);

sub width
{
	my ($line) = @_;
	1 while $line =~ s/^([^\t]*)\t/$1 . ' ' x ($tab - length($1) % $tab)/e;
	return length $line;
}

my @paths;
# What a benchmark or a fuzzer writes is not for reading, nor what npm installs.
find({ no_chdir => 1, preprocess => sub { grep { $_ !~ /^(?:node_modules|corpus)$/ } @_ },
	wanted => sub { push @paths, $_ if -T && !/\.out$/ && !m{^bench/(results|quick)/} } }, @places);
my ($lines, @long) = (0);
for my $path (sort @paths)
{
	my ($from, $to) = @{ $longer{$path} // [] };
	my $may_be_longer = 0;
	open my $file, '<', $path or die "$path: $!";
	while (my $line = <$file>)
	{
		chomp $line;
		$lines++;
		$may_be_longer = 1 if $from && $line =~ $from;
		push @long, "$path:$.: " . width($line) if width($line) > $columns && !$may_be_longer;
		$may_be_longer = 0 if $to && $line =~ $to;
	}
	ok(!$may_be_longer, "$path: what may be longer ends") if $from;
}
cmp_ok($lines, '>', 3000, 'lines are looked at');
is_deeply(\@long, [], "none is longer than $columns columns") or diag(join "\n", @long);

done_testing();
