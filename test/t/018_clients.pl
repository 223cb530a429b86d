# The programs of examples/clients: each calls kbilling from another driver, behind pgbouncer in transaction mode, where all of
# them share one connection for each role.
use strict;
use warnings;

use Cwd qw(getcwd);
use File::Copy qw(copy);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
plan skip_all => 'pgbouncer is not installed' unless $pgbouncer;

my $limit = $PostgreSQL::Test::Utils::timeout_default;
my $dir = PostgreSQL::Test::Utils::tempdir;
my $clients = getcwd() . '/examples/clients';
my @running;
END { local $?; $_->kill_kill for @running }

# True if a command ends well.
sub works
{
	my (@command) = @_;
	return eval { IPC::Run::run(\@command, '>', '/dev/null', '2>', '/dev/null') };
}

# Where node's pg is: with the portal's packages, or with Debian's.
my ($modules) = grep { -e "$_/pg/package.json" } getcwd() . '/examples/portal/node_modules', '/usr/share/nodejs';
my $jar = '/usr/share/java/postgresql.jar';
my $python = '/usr/bin/python3';

# What each needs, how it is run, and what it prints besides what all print.
my @programs = (
	{ file => 'node.mjs', needs => "node with npm's pg", found => $modules && works('node', '--version'), run => ['node'], own => [] },
	{ file => 'psycopg3.py', needs => 'python3-psycopg', found => works($python, '-c', 'import psycopg'), run => [$python], own => [
			'without adapters: 55.00 USD',
			q{without adapters: b'\x00\x00\x00\x00\x00\x00\x15|\x02USD'},
			('with adapters: 55.00 USD -55.00 ok 0.00 USD') x 2,
			'as a parameter: 3.50 USD' ] },
	{ file => 'psycopg2_app.py', needs => 'python3-psycopg2', found => works($python, '-c', 'import psycopg2'), run => [$python], own => [
			'without adapters: 55.00 USD (ok,full,"0.00 USD",,,)',
			'with adapters: 55.00 ok 0.00' ] },
	{ file => 'sqlalchemy_app.py', needs => 'python3-sqlalchemy', found => works($python, '-c', 'import sqlalchemy, psycopg2'),
		run => [$python], own => [
			'a column: 4.50 and USD',
			q{reflected: account_id BIGINT balance MoneyType created_at TIMESTAMP ['account_id', 'seq']},
			'views: True' ] },
	{ file => 'django_app.py', needs => 'python3-django', found => works($python, '-c', 'import django, psycopg2'), run => [$python],
		own => [
			'a column: 4.50 and USD',
			'inspected: class Ticket(models.Model):',
			'inspected: cost = models.TextField(blank=True, null=True) # This field type is a guess.',
			'inspected: class AccountAccess(models.Model):',
			'inspected: amount_due = models.TextField(blank=True, null=True) # This field type is a guess.' ] },
	{ file => 'Jdbc.java', needs => 'libpostgresql-jdbc-java and a JDK', found => -e $jar && works('javac', '-version'),
		run => [ 'java', '-XX:TieredStopAtLevel=1', '-cp', $jar ], own => [
			'a class: 55.00 and USD',
			'metadata: balance is of kb_money',
			'metadata: account_id is in entry_pkey',
			'metadata: seq is in entry_pkey',
			'metadata: returnValue void', 'metadata: account_id int8', 'metadata: member text' ] });

my $node = PostgreSQL::Test::Cluster->new('clients');
$node->init;
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->command_ok([ 'psql', '-X', '-q', '-d', $node->connstr('shop'), '-v', 'accounts=20', '-f', "$clients/setup.sql" ],
	'what the programs talk to is set up');

# A pool that has one connection for each role, and so each transaction of a role on that one.
my $port = PostgreSQL::Test::Cluster::get_free_port();
append_to_file("$dir/users", qq{"shop_app" ""\n"shop_webhook" ""\n});
append_to_file("$dir/pgbouncer.ini", join "\n",
	'[databases]', 'shop = host=' . $node->host . ' port=' . $node->port,
	'[pgbouncer]', 'pool_mode = transaction', 'default_pool_size = 1', 'listen_addr = 127.0.0.1', "listen_port = $port",
	'unix_socket_dir =', 'auth_type = trust', "auth_file = $dir/users", 'ignore_startup_parameters = extra_float_digits', '');
push @running, IPC::Run::start([ $pgbouncer, '-q', "$dir/pgbouncer.ini" ], '<', '/dev/null', '&>', "$dir/pgbouncer.log");
my $pooled = "host=127.0.0.1 port=$port dbname=shop user=shop_app";
for (1 .. 10 * $limit)
{
	last if works('psql', '-X', '-d', $pooled, '-c', 'SELECT 1');
	Time::HiRes::usleep(100_000);
}

# Runs a program for an account at a port, and compares what it prints.
sub prints
{
	my ($program, $path, $at, $account, $name) = @_;
	my ($out, $err);
	local @ENV{qw(PGHOST PGPORT PGDATABASE)} = ('127.0.0.1', $at, 'shop');
	delete local @ENV{qw(PGUSER PGHOSTADDR)};
	my $well = IPC::Run::run([ @{ $program->{run} }, $path, $account ], '<', '/dev/null', '>', \$out, '2>', \$err,
		IPC::Run::timeout($limit));
	$out =~ s/, db_comment=(?:'[^']*'|"[^"]*")//g;	# which newer versions of Django write
	is_deeply([ split /\n/, $out ], [
			'login: ok, full',
			'acting afterwards: nobody',
			'begun: payment 1, bonus 5.00',
			'paid: 50.00, balance 55.00 USD, again: false',
			'paid: again: true',
			# since the 2nd, so nine of thirty days of 30.00
			'money: 55.00 USD, 5500 minor units, 46.00 less 9.00',
			'used: base fee from 2026-11-02, 9.00',
			'page: ann, owner',
			'KB003: An owner or admin can top up at any time (T1); paying 12.50 USD restores full access.',
			'KB004: Ask an owner or admin of the account to pay.',
			'22P02: Write an amount like "19.00 USD".',
			'full access: 20 times',
			@{ $program->{own} } ], $name);
	is($err, '', "$name: without a warning");
	ok($well, "$name: and ends well");
	return;
}

my $account = 0;
for my $program (@programs)
{
	$account++;
	SKIP:
	{
		skip "$program->{file}: $program->{needs} is not installed", 3 unless $program->{found};
		my $path = "$clients/$program->{file}";
		if ($program->{file} =~ /\.mjs$/)
		{
			# modules are looked for beside a program
			symlink $modules, "$dir/node_modules";
			copy($path, "$dir/node.mjs");
			$path = "$dir/node.mjs";
		}
		prints($program, $path, $port, $account, "$program->{file} behind pgbouncer");
	}
}

# All of them were on the one connection of their role, and what a transaction acted for was gone with it.
is($node->safe_psql('shop', q{SELECT usename, count(*) FROM pg_stat_activity WHERE usename LIKE 'shop%' GROUP BY 1 ORDER BY 1}),
	"shop_app|1\nshop_webhook|1", 'all of them have shared the connections of the pool');
is($node->safe_psql('shop', 'SELECT * FROM kbilling.kb_check()'), '', 'the books are right');

# Without a pool, a driver that prepares statements may do so.
for my $program (grep { $_->{file} =~ /^(psycopg3|Jdbc)/ } @programs)
{
	$account++;
	SKIP:
	{
		skip "$program->{file}: $program->{needs} is not installed", 4 unless $program->{found};
		my $text = slurp_file("$clients/$program->{file}");
		ok($text =~ s/, prepare_threshold=None|prepareThreshold=0&//, "$program->{file} prepares no statements behind a pool");
		append_to_file("$dir/$program->{file}", $text);
		prints($program, "$dir/$program->{file}", $node->port, $account, "$program->{file} with prepared statements");
	}
}

$node->stop;
done_testing();
