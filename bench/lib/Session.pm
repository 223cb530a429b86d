# A session of psql that stays open, and what its statements cost.
package Session;
use strict;
use warnings;
use IO::Select;
use IPC::Open2;

my $end = 'that was all';

sub new
{
	my ($class, $database) = @_;
	my $self = bless {}, $class;
	my @psql = (qw(psql -XAtq -v ON_ERROR_STOP=1 -F), ' ', '-d', $database);
	$self->{pid} = open2($self->{out}, $self->{in}, @psql);
	$self->{in}->autoflush(1);
	binmode $self->{$_}, ':encoding(UTF-8)' for qw(in out);
	$self->{backend} = $self->ask('SELECT pg_backend_pid();');
	return $self;
}

# What psql prints for it; $meanwhile is called ten times a second
sub ask
{
	my ($self, $sql, $meanwhile) = @_;
	my ($all, $line) = ('');
	print { $self->{in} } "$sql\n\\echo $end\n";
	if ($meanwhile)
	{
		my $ready = IO::Select->new($self->{out});
		$meanwhile->() until $ready->can_read(0.1);
	}
	while (defined($line = readline $self->{out}))
	{
		if ($line eq "$end\n")
		{
			chomp $all;
			return $all;
		}
		$all .= $line;
	}
	die "psql ended: $sql\n";
}

# Seconds by the clock and on a processor, with that of sessions of a name, and the most memory of its own that the process
# had, in MB.  It sleeps so that the kernel brings the processor's time up to date.
sub cost_of
{
	my ($self, $sql, $watch, $helpers) = @_;
	my $most = 0;
	my $processor = "split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)";
	$processor = "(SELECT sum(split_part(pg_read_file(format('/proc/%s/schedstat', pid)), ' ', 1)::numeric) FROM pg_stat_activity
		WHERE pid = pg_backend_pid() OR application_name = '$helpers')" if $helpers;
	my $clocks = "SELECT pg_sleep(0.001) \\g /dev/null\nSELECT extract(epoch FROM clock_timestamp()), $processor;";
	my $look = sub { my $now = memory($self->{backend}); $most = $now if $now > $most };
	my @then = split ' ', $self->ask($clocks);
	$sql = "\\o /dev/null\n$sql\n\\o\nSELECT extract(epoch FROM clock_timestamp()) AS ended \\gset";
	$self->ask($sql, $watch ? $look : undef);
	my @now = split ' ', $self->ask($clocks);
	my $ended = $self->ask('\echo :ended');
	return { wall => $ended - $then[0], cpu => ($now[1] - $then[1]) / 1e9, $watch ? (memory => $most) : () };
}

# Memory that a process shares with none, in MB
sub memory
{
	my ($pid) = @_;
	open my $status, '<', "/proc/$pid/status" or return 0;
	return (map { /^RssAnon:\s+(\d+)/ ? $1 / 1024 : () } <$status>)[0] // 0;
}

sub DESTROY
{
	my ($self) = @_;
	return unless $self->{in};
	close $self->{in};
	local $?;
	waitpid $self->{pid}, 0;
	return;
}

1;
