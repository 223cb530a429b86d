# Instructions in user space of one transaction, of a backend that is warm: the difference of a long and a short run of
# pgbench.  By perf where the machine counts them, else by callgrind, with the server restarted under it.
package Instructions;
use strict;
use warnings;
use File::Temp qw(tempdir);

my $warm = 30;	# transactions before those that are counted
my @quiet = qw(autovacuum=off jit=off max_parallel_workers_per_gather=0 fsync=off full_page_writes=off
	checkpoint_timeout=1h max_wal_size=8GB bgwriter_lru_maxpages=0 wal_writer_delay=10s
	log_statement=none log_min_messages=warning);

# How they can be counted here: "perf", "callgrind" or undef
sub way
{
	return 'perf' if `perf stat -x, -e instructions:u true 2>&1` =~ /^\d+,/m;
	return has_callgrind() ? 'callgrind' : undef;
}

sub has_callgrind
{
	return (`valgrind --version 2>/dev/null` // '') =~ /^valgrind-/;
}

# bin: folder of the programs; data: the server's folder; way: how, if not by what there is
sub new
{
	my ($class, %self) = @_;
	my $self = bless { way => way(), %self }, $class;
	my ($owner) = getpwuid((stat $self->{data})[4]);
	$self->{as} = $> == 0 ? [ 'runuser', '-u', $owner, '--' ] : [];
	$self->{dir} = tempdir('/tmp/kbilling.XXXXXX', CLEANUP => 1);
	chown((getpwnam $owner)[ 2, 3 ], $self->{dir}) if $> == 0;
	$self->restart($self->{way} eq 'callgrind' ? $self->wrapper : "$self->{bin}/postgres");
	return $self;
}

# A program that runs the server under callgrind. Each process leaves a file; a backend's costs begin where the
# postmaster's end.
sub wrapper
{
	my ($self) = @_;
	my $path = "$self->{dir}/postgres";
	open my $out, '>', $path or die "$path: $!\n";
	print $out "#!/bin/sh\nexec valgrind -q --tool=callgrind --zero-before=PostgresMain ",
		"--callgrind-out-file='$self->{dir}/%p.out' '$self->{bin}/postgres' \"\$\@\"\n";
	close $out;
	chmod 0755, $path;
	return $path;
}

sub pg_ctl
{
	my ($self, @arguments) = @_;
	my @command = ("$self->{bin}/pg_ctl", qw(-s -w -t 300), '-D', $self->{data}, '-l', "$self->{dir}/log");
	system(@{ $self->{as} }, @command, @arguments) == 0
		or die "pg_ctl @arguments failed\n";
	return;
}

sub restart
{
	my ($self, $program) = @_;
	$self->pg_ctl('-m', 'fast', 'stop');
	$self->pg_ctl('-p', $program, '-o', join(' ', map { "-c $_" } @quiet), 'start');
	open my $pid, '<', "$self->{data}/postmaster.pid" or die "$self->{data}/postmaster.pid: $!\n";
	chomp($self->{postmaster} = readline $pid);
	$self->{children} = { map { $_ => 1 } $self->children };
	return;
}

# Back to how it was
sub end
{
	my ($self) = @_;
	$self->pg_ctl('-m', 'fast', 'stop');
	$self->pg_ctl('start');
	return;
}

# The postmaster's processes
sub children
{
	my ($self) = @_;
	my @children;
	for my $path (glob '/proc/[0-9]*/stat')
	{
		open my $stat, '<', $path or next;
		my ($pid, $parent) = (readline($stat) // '') =~ /^(\d+) \(.*\) \S (\d+)/ or next;
		push @children, $pid if $parent == $self->{postmaster};
	}
	return @children;
}

# A run of a script of pgbench, but for how many transactions
sub pgbench
{
	my ($self, $script, $variables) = @_;
	my $file = "$self->{dir}/script.sql";
	open my $out, '>:encoding(UTF-8)', $file or die "$file: $!\n";
	print $out $script;
	close $out;
	return ("$self->{bin}/pgbench", qw(-n -M prepared -c 1), '-f', $file,
		map { ('-D', "$_=$variables->{$_}") } sort keys %$variables);
}

# Of one transaction of a script of pgbench; $variables, and how many transactions are counted
sub of
{
	my ($self, $database, $script, $variables, $count) = @_;
	my @pgbench = $self->pgbench($script, $variables);
	my $run = $self->{way};
	my $sum = sub { $self->$run(@pgbench, '-t', $_[0], '--random-seed=' . ++$self->{runs}, $database) };
	# The first backend of a database writes a file, from which others start; no run has the keys of another.
	$sum->(1) unless $self->{started}{$database}++;
	my ($short, $long) = map { $sum->($_) } $warm, $warm + $count;
	return ($long - $short) / $count;
}

sub callgrind
{
	my ($self, @command) = @_;
	my %before = map { $_ => 1 } glob "$self->{dir}/*.out";
	quietly(@command);
	select undef, undef, undef, 0.05 while grep { !$self->{children}{$_} } $self->children;
	my $sum = 0;
	for my $file (grep { !$before{$_} } glob "$self->{dir}/*.out")
	{
		open my $in, '<', $file or die "$file: $!\n";
		$sum += $_ for map { /^totals: (\d+)/ } <$in>;
	}
	return $sum;
}

# Where the instructions of so many transactions go: lines of callgrind_annotate, each with what it calls, the most first
sub profile
{
	my ($self, $database, $script, $variables, $count) = @_;
	my %before = map { $_ => 1 } glob "$self->{dir}/*.out";
	$self->callgrind($self->pgbench($script, $variables), '-t', $count, $database);
	my ($file) = sort { -s $b <=> -s $a } grep { !$before{$_} } glob "$self->{dir}/*.out";
	return grep { /^\s*[\d,]+ \(\s*[\d.]+%\)/ } split /\n/,
		quietly(qw(callgrind_annotate --inclusive=yes --threshold=100), $file);
}

sub perf
{
	my ($self, @command) = @_;
	my $file = "$self->{dir}/perf";
	quietly('perf', 'stat', '-x,', '-e', 'instructions:u', '-p', $self->{postmaster}, '-o', $file, '--', @command);
	open my $in, '<', $file or die "$file: $!\n";
	return (map { /^(\d+),/ ? $1 : () } <$in>)[0] // die "perf counted nothing\n";
}

# Run a command; what it prints is shown if it fails
sub quietly
{
	my (@command) = @_;
	open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command or die "$command[0]: $!\n";
	my $text = do { local $/; readline $out } // '';
	close $out or die "@command:\n$text";
	return $text;
}

1;
