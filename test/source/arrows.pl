# Arrows go down: what a file includes, and what the SQL in its strings names, is
# on a floor below it, or to its left on its own floor.  The floors stand in
# docs/architecture.md, and here they are read from there.
use strict;
use warnings;
use Test::More;

sub slurp
{
	my ($path) = @_;
	open my $file, '<', $path or die "$path: $!";
	local $/;
	return <$file>;
}

# The floors are drawn from the roof down; a place counts from the lowest floor's left end.
my ($drawn) = slurp('docs/architecture.md') =~ /^```floors\n(.*?)^```/ms or die 'docs/architecture.md draws no floors';
my (%place, @twice);
for my $floor (reverse split /\n(?=\w)/, $drawn)
{
	my (undef, @subjects) = split ' ', $floor;
	for my $subject (@subjects)
	{
		push @twice, $subject if exists $place{$subject};
		$place{$subject} = scalar keys %place;
	}
}
is_deeply(\@twice, [], 'each subject is on one floor');

my @sources = sort glob 'src/*.c src/*.h src/*.cpp';
my @parts = sort glob 'sql/install/*.sql';
my %subjects = map { my ($subject) = m{(\w+)\.\w+$}; $subject => 1 } @sources, @parts;
is_deeply([ sort grep { !exists $place{$_} } keys %subjects ], [], 'every file and part has a floor');
is_deeply([ sort grep { !exists $subjects{$_} } keys %place ], [], 'and the floors have nothing else');

# The parts are joined in the order of the floors, so a name that is bound when the script runs cannot point up.
my ($list) = slurp('Makefile') =~ /^PARTS = (.*?[^\\])\n/ms;
my @joined = grep { $_ ne '\\' } split ' ', $list;
is_deeply([ sort @joined ], [ sort map { m{(\w+)\.sql$} } @parts ], 'the Makefile joins every part');
is_deeply(\@joined, [ sort { $place{$a} <=> $place{$b} } @joined ], 'in the order of the floors');

# Which part makes an object: "function kb_rate", "relation price", "type kb_price"; of overloads, the lowest.
my %made_in;
for my $path (@parts)
{
	my ($part) = $path =~ m{(\w+)\.sql$};
	my $text = slurp($path);
	while ($text =~ /^CREATE (FUNCTION|PROCEDURE|AGGREGATE|TABLE|VIEW|TYPE|DOMAIN) kbilling(?:_internal)?\.(\w+)/mg)
	{
		my ($what, $name) = (lc $1, $2);
		$what = $what =~ /table|view/ ? 'relation' : $what =~ /type|domain/ ? 'type' : 'function';
		$name = "$what $name";
		$made_in{$name} = $part if !exists $made_in{$name} || $place{$part} < $place{ $made_in{$name} };
	}
}

for my $kind (qw(function relation type))
{
	cmp_ok(scalar(grep { /^$kind / } keys %made_in), '>', 15, "what the parts make is found: each $kind");
}

# The string constants of a C file, those that the compiler joins as one.
sub strings_of
{
	my ($text) = @_;
	$text =~ s{"(?:[^"\\]|\\.)*"(*SKIP)(*FAIL)|/\*.*?\*/}{ }gs;	# comments, outside of strings
	my @strings;
	while ($text =~ /((?:"(?:[^"\\]|\\.)*"(?:\s|\\\n|\b[A-Z][A-Z_0-9]*\b)*)+)/g)
	{
		my $joined = $1;
		push @strings, join '', $joined =~ /"((?:[^"\\]|\\.)*)"/g;
	}
	return @strings;
}

# What a string names of the extension.  Words of messages and of comments in SQL do not count: a function is called, with a bracket,
# in a statement; a relation stands behind a keyword in capitals, wherever it is; a string may also be a function's name alone.
sub named_in
{
	my ($string) = @_;
	return "function $1" if $string =~ /^(?:kbilling(?:_internal)?\.)?(kb_\w+)$/;
	my @named = map { "type $_" } $string =~ /::(?:kbilling\.)?(\w+)/g;
	push @named, map { "relation $_" }
		$string =~ /\b(?:INTO|UPDATE|DELETE FROM|TRUNCATE) (?:ONLY )?(?:kbilling\.)?(\w+)/g;
	# what is read may be of the statement's own WITH
	my %of_with = map { $_ => 1 } $string =~ /\b(\w+)(?:\([^()]*\))? AS (?:NOT |)(?:MATERIALIZED )?\(/g;
	push @named, map { "relation $_" } grep { !$of_with{$_} }
		$string =~ /\b(?:FROM|JOIN) (?:ONLY )?(?:kbilling(?:_internal)?\.)?(\w+)/g;
	push @named, map { "function $_" } $string =~ /\b(\w+) ?\(/g if $string =~ /^\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE|MERGE|CALL)\b/i;
	return @named;
}

my (@up, $arrows);
for my $path (@sources)
{
	my ($from) = $path =~ m{(\w+)\.\w+$};
	my $text = slurp($path);
	my %to;
	$to{"\"$1.h\""} = $1 while $text =~ /^#include "(?:\.\.?\/|src\/)*(\w+)\.h"/mg;
	for my $name (map { named_in($_) } strings_of($text))
	{
		$to{$name} = $made_in{$name} if exists $made_in{$name};
	}
	for my $name (sort keys %to)
	{
		my $to = $to{$name};
		next if $to eq $from || !exists $place{$to};
		$arrows++;
		push @up, "$path ($from) -> $name ($to)" if $place{$to} > $place{$from};
	}
}
cmp_ok($arrows, '>', 200, 'includes and SQL are read');
is_deeply(\@up, [], 'no arrow goes up') or diag(join "\n", @up);

done_testing();
