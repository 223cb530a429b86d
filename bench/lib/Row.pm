# A row of the benchmark: a file of bench/row. It has a head of "-- name: value", and sections that begin with
# "-- == name".
#
#   what, and a name for each side: "ours", "floor", "twin" and others
#   mode: calls (pgbench, the default), statement (timed in a session), or sizes (ours returns names and bytes)
#   case: what is set, as name=value, in order; "rounds" says how many there are at most
#   grow: the same, one of them a list: points of a chart
#   seconds: how long pgbench runs at most, for what is quick
#   per: what a statement's cost is divided by
#   instructions: so many transactions are counted
#   databases: others beside the row's own, by what follows its name and a "_"
#   in SIDE: in which of these it runs, if pgbench runs it
#   helpers: the application_name of sessions whose time on a processor counts with that of the session that is timed
#   tables SIDE: for the disk that is used, and the first for the share of heap-only updates
#   goal: MEASURE SIDE / SIDE OPERATOR LIMIT [at name=value,value …]
#
# Sections: setup; options [SIDE], for the connection; before [SIDE] and after, which are not timed;
# beside SIDE, for a session that is open while pgbench runs; one for each side.
package Row;
use strict;
use warnings;

my %unit = (us => 1, ms => 1000, s => 1_000_000, B => 1);

# name=value … as a hash, and lists as lists
sub settings
{
	my ($text) = @_;
	my %set = map { split /=/ } split ' ', $text;
	$_ = [ split /,/ ] for grep { /,/ } values %set;
	return \%set;
}

# "wall ours / floor <= 2.0 at clients=1,8"
sub goal
{
	my ($text) = @_;
	my ($measure, $a, $b, $operator, $limit, $unit, $at) =
		$text =~ m{^(\w+) (\w+)(?: / (\w+))? ([<>]=?) ([\d.]+)(?: (\w+))??(?: at (.*))?$} or die "no goal: $text\n";
	my $where = settings($at // '');
	$_ = ref $_ ? $_ : [$_] for values %$where;
	return { text => $text, measure => $measure, a => $a, b => $b, operator => $operator,
		limit => $limit * $unit{ $unit // 'us' }, at => $where };
}

sub read_file
{
	my ($class, $path) = @_;
	my ($name) = $path =~ m{(\w+)\.sql$};
	my $row = bless {
		name => $name, mode => 'calls', sides => [], label => {}, cases => [], grow => [], goals => [], tables => {},
		databases => [], in => {}, section => {}
	}, $class;
	my $section;
	open my $in, '<:encoding(UTF-8)', $path or die "$path: $!\n";
	while (my $line = <$in>)
	{
		if ($line =~ /^-- == (.*)/)
		{
			$section = $1;
			push @{ $row->{sides} }, $section if $section !~ /^(setup|options|before|after|beside)\b/;
		}
		elsif (defined $section)
		{
			$row->{section}{$section} .= $line;
		}
		elsif ($line =~ /^-- (\w+)(?: (\w+))?: (.*)/)
		{
			$row->set($1, $2, $3);
		}
	}
	return $row;
}

# A line of the head
sub set
{
	my ($row, $name, $side, $value) = @_;
	if ($name eq 'case') { push @{ $row->{cases} }, settings($value) }
	elsif ($name eq 'grow') { push @{ $row->{grow} }, settings($value) }
	elsif ($name eq 'goal') { push @{ $row->{goals} }, goal($value) }
	elsif ($name eq 'tables') { $row->{tables}{$side} = [ split ' ', $value ] }
	elsif ($name eq 'databases') { $row->{databases} = [ split ' ', $value ] }
	elsif ($name eq 'in') { $row->{in}{$side} = "_$value" }
	elsif ($name =~ /^(what|mode|per|seconds|instructions|memory|helpers)$/) { $row->{$name} = $value }
	else { $row->{label}{$name} = $value }
	return;
}

# The text of sections: for all sides, and for one
sub text
{
	my ($row, $name, $side) = @_;
	return join '', map { $row->{section}{$_} // '' } $name, "$name $side";
}

1;
