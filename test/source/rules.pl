# Every rule that is cited stands in docs/rules.md, and a test cites every rule that stands there.
#
# A citation is a rule's name, the letter of its subject and a number, that stands alone as a word: (T5), as S2 says,
# 'C2, C3: …', rules.md#D4.  It begins the line, or comes after a blank, a bracket, a quote, or what else is in $before,
# and ends likewise; so it is no part of a longer word, a variable, a number, a moment or the like ($T5, T5_id, U+0085,
# C3.1, T10:00, EST5EDT,M3.2.0).  A range, S1 to S4, cites what lies between its ends, too; as a test's citation it does
# not count.  A subject without numbers is one rule, which a test cites by the letter alone at the head of a name:
# 'P: …', 'P, C7: …'.
use strict;
use utf8;
use warnings;

use File::Find;
use FindBin;
use Test::More;

my $page = 'docs/rules.md';
my @subjects = qw(M J T C U P S D N W E L G X B);

my $letter = '[' . join('', @subjects) . ']';
my $number = '[1-9][0-9]?';
my $standard = qr/C(?:99|11|17|23)\b/;    # of the language, not a rule
my $before = qr/(?:^|(?<=[\s,("'`\[{^#|–]))/;
my $after = qr/(?=$|[\s,;)\]}"'`’?!|–]|:(?![0-9])|\.(?!\w))/;
my $name = qr/$before(?!$standard)($letter$number)$after/;
my $range = qr/$before($letter)($number)(?: to |–)\g{-2}($number)$after/;
my $head = qr/(?<=['"])((?:$letter(?:$number)?, )*$letter(?:$number)?): /;

# The lines of a file.
sub lines_of
{
	my ($file) = @_;
	open my $in, '<:encoding(UTF-8)', $file or die "$file: $!";
	chomp(my @lines = <$in>);
	return @lines;
}

# The files in folders, less what was compiled, installed or made by a fuzzer, data, and drawings, whose lines look like rules.
sub texts_in
{
	my @files;
	find({ no_chdir => 1, preprocess => sub { grep { $_ !~ /^(?:node_modules|corpus)$/ } @_ },
		wanted => sub { push @files, $_ if -f && -T && !/\.(?:tsv|svg)$/ } }, grep { -e } @_);
	return sort @files;
}

# A test that there are no problems, a line each.
sub no_problem
{
	my ($what, @problems) = @_;
	ok(!@problems, $what) or diag(join "\n", @problems);
}

# What stands in the page: each rule with its text; where anchors, links within the page, and names in italics are.
sub read_page
{
	my %read = (subjects => [], rules => {}, anchors => {}, links => [], columns => [], problems => []);
	my ($n, $subject, $rule) = (0, '', undef);

	for my $line (lines_of($page))
	{
		my $place = "$page:" . ++$n;

		if ($line =~ /^## /)
		{
			($subject, $rule) = ($line =~ /\(([A-Z])\)$/ ? $1 : '', undef);
			push @{ $read{subjects} }, $subject if $subject ne '';
		}
		if ($line =~ /\*\*([A-Z][0-9]*)\.\*\* /)
		{
			$rule = $1;
			push @{ $read{problems} }, "$place: $rule is there a second time" if exists $read{rules}{$rule};
			push @{ $read{problems} }, "$place: $rule stands among the rules $subject" if substr($rule, 0, 1) ne $subject;
			push @{ $read{problems} }, "$place: $rule has no anchor before it"
				if $rule ne $subject && $line !~ /^- <a id="$rule"><\/a>\*\*/;
			$read{rules}{$rule} = '';
		}
		$read{rules}{$rule} .= "$line\n" if defined $rule;
		push @{ $read{anchors}{$_} }, $place for $line =~ /<a id="([^"]*)"/g;
		push @{ $read{links} }, [ $place, $_ ] for $line =~ /\]\(#([^)]*)\)/g;
		push @{ $read{columns} }, [ $place, $rule, $_ ] for $line =~ /(?<!\*)\*([a-z_]+)\*(?!\*)/g;
	}
	return %read;
}

# The rules that a line cites: by name, as parts of a range, and at the head of a test's name.
sub citations
{
	my ($line) = @_;
	my (@between, @heads);

	while ($line =~ s/$range/ /)
	{
		push @between, map { "$1$_" } $2 < $3 ? $2 .. $3 : ($2, $3);
	}
	@heads = map { split /, / } $line =~ /$head/g;
	return ([ $line =~ /$name/g ], \@between, \@heads);
}

# Columns of kbilling.policy with what they are by default, less its name and what is for the application's own use.
sub policy_columns
{
	my ($table) = grep { defined } map { join("\n", lines_of($_)) =~ /^CREATE TABLE (?:kbilling\.)?policy \((.*?)^\)/ms }
		texts_in('sql/install');
	my %default;

	for (split /\n/, $table // '')
	{
		$default{$1} = $2 // '' if /^\t([a-z]\w*)\s+\S+(?:.*?\bDEFAULT ('[^']*'|\S+))?/;
	}
	delete @default{qw(policy metadata)};
	return %default;
}

chdir "$FindBin::Bin/../.." or die "$FindBin::Bin: $!";

# The page
my %read = read_page();
my %rules = %{ $read{rules} };
my %anchors = %{ $read{anchors} };
my %own = map { $_ => 1 } @subjects, keys %rules;

is_deeply($read{subjects}, \@subjects, 'the subjects are those whose rules are looked for');
no_problem('each subject has an anchor and rules',
	(map { "no anchor \"$_\"" } grep { !$anchors{$_} } @subjects),
	(map { "no rule $_" } grep { my $subject = $_; !grep { /^$subject/ } keys %rules } @subjects));
no_problem('each rule stands once, among its subject\'s, and has an anchor', @{ $read{problems} });
no_problem('each anchor is of one rule or subject',
	map { my $id = $_; map { "$_: anchor \"$id\"" } @{ $anchors{$id} } }
		grep { @{ $anchors{$_} } > 1 || !$own{$_} } sort keys %anchors);

# The citations
my (@unknown, @lost, @missing, %tested);
my @sources = qw(.ci CHANGELOG.md CONTRIBUTING.md Makefile README.md SECURITY.md bench docs examples expected
	router/README.md router/sql/install router/src sql/install sql/upgrade src test);
for my $file (texts_in(@sources))
{
	my $n = 0;

	for my $line (lines_of($file))
	{
		my $place = "$file:" . ++$n;
		my ($names, $between, $heads) = citations($line);

		push @unknown, map { "$place: $_" } grep { !exists $rules{$_} } @$names, @$between;
		push @lost, map { "$place: #$_" } grep { !$anchors{$_} } $line =~ /\brules\.md#(\w+)/g;
		push @missing, map { "$place: $_" } grep { !-e } $line =~ m{\b(docs/\w+\.\w+)}g;
		$tested{$_} = 1 for $file =~ m{^test/(?:sql|t|isolation)/} ? (@$names, @$heads) : ();
	}
}
push @lost, map { "$_->[0]: #$_->[1]" } grep { !$anchors{ $_->[1] } } @{ $read{links} };

no_problem("each rule that is cited is in $page", @unknown);
no_problem('each rule is cited in test/sql, test/t or test/isolation', grep { !$tested{$_} } sort keys %rules);
no_problem("each link to a place in $page leads somewhere", @lost);
no_problem('each file of docs/ that is named is there', @missing);

# The numbers of the rules
my %default = policy_columns();
my @columns = @{ $read{columns} };

ok(scalar keys %default, 'kbilling.policy is found');
no_problem('each name in italics is a column of kbilling.policy',
	map { "$_->[0]: $_->[2]" } grep { !exists $default{ $_->[2] } } @columns);
no_problem('each column of kbilling.policy is named by a rule',
	grep { my $column = $_; !grep { defined $_->[1] && $_->[2] eq $column } @columns } sort keys %default);

my @wrong;
for (grep { defined $_->[1] } @columns)
{
	my ($place, $rule, $column) = @$_;
	push @wrong, map { "$place: $rule lacks the $_ of $column" } grep { $rules{$rule} !~ /\b$_\b/ }
		($default{$column} // '') =~ /[0-9]+/g;
}
no_problem('with the number that it has in the policy "standard"', @wrong);

done_testing();
