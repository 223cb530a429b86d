# docs/scaling.md: its commands lead from one server to shards, and back from a shard that was lost.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my %node;

# A server with an empty database "billing"
sub server
{
	my ($name) = @_;
	$node{$name} = PostgreSQL::Test::Cluster->new($name);
	$node{$name}->init(allows_streaming => 'logical');
	$node{$name}->append_conf('postgresql.conf', "kbilling.clock = '2025-08-05 12:00+00'\nwal_retrieve_retry_interval = '100ms'");
	$node{$name}->start;
	$node{$name}->safe_psql('postgres', 'CREATE DATABASE billing');
	return;
}

sub said
{
	my ($name, $sql) = @_;
	return $node{$name}->safe_psql('billing', "SET search_path = kbilling; $sql");
}

sub ask
{
	my ($sql) = @_;
	return $node{router}->safe_psql('billing', "SET search_path = kbilling_router, kbilling; $sql");
}

# What the page calls db1 is the server of that name.
sub with_hosts
{
	my ($text) = @_;
	my $names = join '|', keys %node;
	return $text =~ s/\bhost=($names)\b/sprintf 'host=%s port=%s', $node{$1}->host, $node{$1}->port/ger
		=~ s/-h ($names)\b/sprintf '-h %s -p %s', $node{$1}->host, $node{$1}->port/ger;
}

# The page's blocks by chapter: each its kind and place, the line it begins in, and its text
my %chapter;
{
	my ($chapter, $block);
	my $line = 0;
	for (split /^/, slurp_file('docs/scaling.md'))
	{
		$line++;
		if ($block && /^```$/) { push @{ $chapter{$chapter} }, $block; undef $block }
		elsif ($block) { $block->{text} .= $_ }
		elsif (/^<a id="([\w-]+)">/) { $chapter = $1 }
		elsif (/^```(\w+) ?(.*)$/) { $block = { kind => $1, where => [ split ' ', $2 ], line => $line + 1, text => '' } }
	}
}

# Runs what a shell is given; true if it went well.  What it defines stays.
my $defined = '';
sub run_shell
{
	my ($text, $name) = @_;
	local @ENV{qw(PGHOST PGPORT)} = ($node{$name}->host, $node{$name}->port) if $name;
	my $ended_well = IPC::Run::run([ 'bash', '-euo', 'pipefail', '-c', $defined . with_hosts($text) ], '>', \my $out, '2>', \my $err);
	$defined .= $1 while $text =~ /^(\w+\(\) \{.*?^\}\n)/gms;
	return 1 if $ended_well && $err !~ /ERROR/;
	diag($err);
	return 0;
}

# Runs statements on a node; $again: until they go well
sub run_sql
{
	my ($text, $name, $again) = @_;
	my @psql = ('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node{$name}->connstr('billing'));
	my ($tries, $err) = ($again ? 600 : 1);
	while ($tries--)
	{
		return 1 if IPC::Run::run(\@psql, '<', \with_hosts($text), '>', \my $out, '2>', \$err);
		sleep 0.2 if $again;
	}
	diag($err);
	return 0;
}

sub run_chapter
{
	my ($chapter) = @_;
	for my $block (grep { ($_->{where}[0] // '') ne 'elsewhere' } @{ delete $chapter{$chapter} })
	{
		my ($text, @where) = ($block->{text}, @{ $block->{where} });
		my $again = @where && $where[-1] eq 'again' ? pop @where : '';
		my $went_well = $block->{kind} eq 'sh' ? run_shell($text, @where) : !grep { !run_sql($text, $_, $again) } @where;
		ok($went_well, "docs/scaling.md, line $block->{line}") or BAIL_OUT('the rest goes on from there');
	}
	return;
}

# A server that is in use, with its own price list
server($_) for qw(db1 db2 router);
said('db1', q{
	CREATE EXTENSION kbilling;
	SET kbilling.clock = '2025-07-01 00:00+00';
	SELECT kb_set_policy('early', '{"remind_day": 2}');
	SELECT kb_create_tariff('start', 'USD', policy => 'early'), kb_create_service('orders', 'metered');
	SELECT kb_set_price('start', 'base', '31'), kb_set_price('start', 'orders', '0.10 each');
	SELECT count(kb_create_account('olga', 'start')) FROM generate_series(1, 100);
	SELECT kb_apply_topup(account_id, '40 USD', 'card', 'pay-1'), kb_record_usage(account_id, 'orders', 5, 'order-1') FROM account;
	SET kbilling.clock = '2025-08-01 06:00+00';
	CALL kb_sweep()});
my $accounts = 'SELECT account_id, state, balance, stage, last_seq FROM account_status ORDER BY account_id';
my $journal = 'SELECT account_id, seq, hash FROM entry ORDER BY account_id, seq';
my ($are, $posted) = map { said('db1', $_) } $accounts, $journal;

run_chapter('databases');
is($node{db1}->safe_psql('brand_b', 'SELECT count(*) FROM kbilling.account'), 0, 'a second database has accounts of its own');

run_chapter($_) for qw(router first);
is(ask('SELECT * FROM kb_check()'), '', 'the server that was there is a shard');
is(ask($accounts), $are, 'which has all accounts');
is(ask('SELECT count(*) > 0 FROM kbilling.change_log'), 't', 'J9: the log of the price list goes along');
is(ask(q{SELECT kb_create_account('ann', 'start')}), 1000001, 'B4: accounts are numbered by the router');
is(said('db1', q{SELECT (kb_apply_topup(1000001, '5 USD', 'card', 'pay-1')).balance}), '5.00 USD', 'and are where they were');
ask(q{SELECT kb_set_price('start', 'base', '32', '2025-10-01')});
ask('SELECT kb_catalogue_wait()');
is(said('db1', q{SELECT price FROM price_list WHERE service = 'base' ORDER BY from_date}), "31\n32", 'a price of the router comes');
($are, $posted) = map { said('db1', $_) } $accounts, $journal;

run_chapter('second');
is(ask('SELECT shard, answers, buckets, has_catalogue, problems FROM kb_router_status()'), "one|t|1024|t|\ntwo|t|0|t|",
	'a second shard has the price list, and no bucket');
said('db2', 'CREATE ROLE mover LOGIN REPLICATION; GRANT SELECT ON ALL TABLES IN SCHEMA kbilling TO mover');

run_chapter('move');
cmp_ok(said('db2', 'SELECT count(*) FROM account'), '>', 0, 'accounts have moved');
is(said($_, 'SELECT count(*) FROM account WHERE NOT kbilling_internal.kb_is_owned(account_id)'), 0, "$_ has none of others")
	for qw(db1 db2);
is(ask($accounts), $are, 'all are there, as they were');
is(ask($journal), $posted, 'J5: with their journals');
is(ask('SELECT * FROM kb_check()'), '', 'all is well');

$node{db1}->backup('base');
$node{db3} = PostgreSQL::Test::Cluster->new('db3');
$node{db3}->init_from_backup($node{db1}, 'base', has_streaming => 1);
$node{db3}->start;
run_chapter('split');
is(ask($accounts), $are, 'split in two: all are there, as they were');
is(ask('SELECT count(DISTINCT shard) FROM account'), 3, 'on three shards');
is(ask('SELECT * FROM kb_check()'), '', 'all is well');
run_chapter('operators');

# A shard is restored as it was before a price was set, money came in, and accounts moved away.
$node{db2}->backup('base');
ask(q{SELECT kb_set_price('start', 'orders', '0.20 each', '2025-10-01')});
ask('SELECT kb_catalogue_wait()');
my $written = ask('SELECT pg_current_wal_flush_lsn()');
$node{router}->poll_query_until('billing',
	"SELECT confirmed_flush_lsn >= '$written' FROM pg_replication_slots WHERE slot_name = 'kbilling_catalogue_two'")
	or BAIL_OUT('the shard does not say that it has the price');
my ($stays, $leaves) = split / /, ask(q{SELECT min(account_id) || ' ' || max(account_id) FROM account WHERE shard = 'two'});
my $topup = "SELECT balance, replayed FROM kb_apply_topup($stays, '7 USD', 'card', 'pay-7')";
my $paid = ask($topup);
my $bucket = ask("SELECT kb_shard($leaves)");
run_sql(@$_) or BAIL_OUT('accounts do not move back') for
	[ "SELECT kbilling.kb_begin_move('back', '{$bucket}')", 'db2' ],
	[ q{SELECT kbilling.kb_receive_move('back', 'host=db2 dbname=billing')}, 'db1' ],
	[ q{SELECT kbilling.kb_verify_move('back')}, 'db1', 'again' ],
	[ q{SELECT kbilling.kb_cut_move('back')}, 'db2' ],
	[ q{CALL kbilling.kb_own_move('back')}, 'db1' ],
	[ "UPDATE kbilling_router.bucket_map SET shard = 'one' WHERE bucket = $bucket", 'router' ];
$are = ask($accounts);
my ($lost, $port) = ($node{db2}, $node{db2}->port);
$lost->stop('immediate');
$node{db2} = PostgreSQL::Test::Cluster->new('db2_restored', port => $port);
$node{db2}->init_from_backup($lost, 'base');
$node{db2}->start;
my $problems = ask('SELECT problem FROM kb_check()');
like($problems, qr/shard "two" has another price list/, 'a shard that was restored lacks prices');
like($problems, qr/buckets $bucket are owned by shards "one", "two"/, 'B2: and owns what it has given away since');
run_chapter('backups');
is(ask('SELECT shard, account_id, problem FROM kb_check()') =~ s/^two\|\|.*bucket $bucket .*//r, '',
	'what is left of these accounts is named');
said('db2', "CALL kb_forget_buckets('{$bucket}')");
is(ask($topup), $paid, 'J3: the webhook comes again, and is credited');
is(ask($accounts), $are, 'all are there, as they were');
is(ask('SELECT * FROM kb_check()'), '', 'all is well');

is(join(' ', sort keys %chapter), '', 'all of the page was run');
$_->stop for values %node;
done_testing();
