# Buckets of accounts move to another server while they are used, whatever is killed on the way, and a server is split
# in two by its standby.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'python3-psycopg2 is not installed'
	unless IPC::Run::run([ '/usr/bin/python3', '-c', 'import psycopg2' ], '2>', '/dev/null');

my $limit = $PostgreSQL::Test::Utils::timeout_default;
my $accounts = 64;

# Servers with the same price list: one has the accounts, the other none.
sub server
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => 'logical');
	$node->append_conf('postgresql.conf', join "\n", "kbilling.clock = '2025-08-05 12:00+00'",
		"wal_retrieve_retry_interval = '100ms'", 'max_connections = 50', 'max_wal_senders = 20', 'max_replication_slots = 20',
		'max_worker_processes = 20', 'max_logical_replication_workers = 10',
		'max_prepared_transactions = 5');
	$node->start;
	$node->safe_psql('postgres', q{
		CREATE EXTENSION kbilling;
		SET search_path = kbilling;
		SET kbilling.clock = '2025-07-01 00:00+00';
		SELECT kb_create_tariff('start', 'USD'), kb_create_service('orders', 'metered');
		SELECT kb_set_price('start', 'base', '31'), kb_set_price('start', 'orders', '0.10 each');
		CREATE ROLE mover LOGIN REPLICATION;
		SELECT kb_grant('mover', 'auditor');
		GRANT EXECUTE ON FUNCTION kbilling_internal.kb_offered_move, kbilling_internal.kb_tell_move,
			kbilling_internal.kb_count_moved TO mover});
	return $node;
}
my ($one, $two) = map { server($_) } qw(one two);
my ($at_one, $at_two) = map { $_->connstr . ' dbname=postgres' } $one, $two;
my ($mover_at_one, $mover_at_two) = map { "$_ user=mover" } $at_one, $at_two;

sub said { my ($node, $sql) = @_; return $node->safe_psql('postgres', "SET search_path = kbilling; $sql") }

# What is refused changes nothing, and says what to do.
sub refused
{
	my ($node, $sql, $error, $what) = @_;
	my (undef, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET search_path = kbilling; $sql");
	like($stderr, $error, $what);
	like($stderr, qr/^DETAIL: /m, '... with the facts');
	like($stderr, qr/^HINT: .*\.$/m, '... and what to do');
	return;
}

sub wait_for
{
	my ($node, $what, $sql) = @_;
	$node->poll_query_until('postgres', "SET search_path = kbilling; $sql", "SET\nt") or BAIL_OUT("waited in vain until $what");
	return;
}
sub state_of { my ($node, $move) = @_; return said($node, "SELECT state FROM shard_move WHERE move = '$move'") }

# Steps: the target receives what the source has begun, and verifies it when all is copied.
sub begin { my ($from, $move, $buckets) = @_; return said($from, "SELECT kb_begin_move('$move', '$buckets')") }
sub receive { my ($to, $move, $at) = @_; return said($to, "SELECT kb_receive_move('$move', '$at')") }

# A price, with the same number on every node: a sequence passes over some when its server is killed
sub set_price
{
	my ($node, $price) = @_;
	said($node, "SELECT setval('price_price_id_seq', max(price_id)) FROM price");
	return said($node, "SELECT kb_set_price('start', 'orders', '$price', '2025-08-01')");
}

sub verify
{
	my ($to, $move) = @_;
	wait_for($to, "$move is copied", "SELECT tables_copied = tables FROM kb_move_status('$move')");
	return said($to, "SELECT kb_verify_move('$move')");
}

# A server dies, and comes back when what it leaves behind is gone.  Backends that are named die with it; others may end
# what they do.
sub die_and_return
{
	my ($node, @backends) = @_;
	my ($until, $pid) = (time + $limit, (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0]);
	kill 9, @backends;
	$node->kill9;
	sleep 0.05 while kill(0, $pid) && time < $until;
	until ($node->start(fail_ok => 1))
	{
		$node->stop('fast', fail_ok => 1);
		BAIL_OUT('a server does not start again') if time > $until;
		sleep 0.1;
	}
	return;
}

# A psql beside us; what it says to some statements, or nothing if they are not waited for.
sub background
{
	my ($node) = @_;
	my %psql = (in => '', out => '', err => '');
	$psql{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$psql{in}, '>', \$psql{out}, '2>', \$psql{err}, IPC::Run::timer($limit));
	return \%psql;
}
sub ask
{
	my ($psql, $statements) = @_;
	$psql->{out} = '';
	$psql->{in} .= "SET search_path = kbilling; $statements\n\\echo said\n";
	$psql->{run}->pump until $psql->{out} =~ s/^said\n//m || !$psql->{run}->pumpable;
	return $psql->{out};
}
sub start_asking { my ($psql, $statements) = @_; $psql->{in} .= "$statements\n"; $psql->{run}->pump_nb; return }

said($one, q{SELECT kb_own_buckets(ARRAY(SELECT generate_series(0, 1023)))});
said($one, qq{
	SET kbilling.clock = '2025-07-01 00:00+00';
	SELECT kb_create_account('olga', 'start', id) FROM generate_series(1, $accounts) id;
	SELECT kb_apply_topup(account_id, '40 USD', 'card', 'pay-' || n) FROM account, generate_series(1, 30) n;
	SELECT kb_record_usage(account_id, 'orders', 5, 'order-1'), kb_add_member(account_id, 'ann', 'admin') FROM account;
	SELECT kb_begin_topup(account_id, 'olga', '1 USD', 'card'), kb_set_tariff(account_id, 'start') FROM account WHERE account_id % 3 = 0;
	SELECT kb_defer(account_id, '2025-08-31', 'support', 'holiday') FROM account WHERE account_id % 5 = 0;
	SET kbilling.clock = '2025-08-01 06:00+00';
	CALL kb_sweep()});
# those of half of the accounts
my $half = said($one, "SELECT array_agg(DISTINCT kb_shard(id)) FROM generate_series(1, $accounts / 2) id");
my $moved = said($one, "SELECT count(*) FROM account WHERE kb_shard(account_id) = ANY ('$half')");

# What cannot begin, or be received.
refused($one, "SELECT kb_receive_move('m0', '$at_two')", qr/ERROR:  42704: the source has no move "m0"/,
	'a move that nobody offers');
refused($two, "SELECT kb_begin_move('m0', '{1}')", qr/ERROR:  55000: this node owns all buckets/,
	'a node without shards offers none');
begin($one, 'm1', $half);
refused($one, "SELECT kb_begin_move('m0', '{" . (split /[{,}]/, $half)[1] . "}')",
	qr/ERROR:  55000: some of the buckets are being moved/,
	'a bucket moves once at a time');
refused($two, "SELECT kb_receive_move('m1', '$at_one')", qr/ERROR:  55000: this node owns all buckets/,
	'a target owns what it is told');
said($two, "SELECT kb_own_buckets('$half')");
refused($two, "SELECT kb_receive_move('m1', '$at_one')", qr/ERROR:  55000: this node owns some of the buckets/,
	'it owns them already');
said($two, "SELECT kb_own_buckets('{}')");
said($one, "UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'kbilling'");
refused($two, "SELECT kb_receive_move('m1', '$at_one')", qr/ERROR:  55000: the source has another version of kbilling/,
	'another version');
said($one, "UPDATE pg_extension SET extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'kbilling')
	WHERE extname = 'kbilling'");
said($two, "ALTER TABLE member ADD COLUMN hobby text");
refused($two, "SELECT kb_receive_move('m1', '$at_one')", qr/ERROR:  55000: the source has other columns/,
	'other columns');
said($two, "ALTER TABLE member DROP COLUMN hobby");
said($two, "SELECT kb_create_service('parcels', 'metered')");
refused($two, "SELECT kb_receive_move('m1', '$at_one')", qr/ERROR:  55000: the source has another price list/,
	'another price list');
said($two, "SET session_replication_role = replica; DELETE FROM service WHERE service = 'parcels'");
refused($two, "SELECT kb_receive_move('m1', 'host=/nowhere')", qr/ERROR:  08006: could not connect/,
	'a server that is not there');
refused($two, "BEGIN; CREATE TEMP TABLE x (); SELECT kb_receive_move('m1', '$at_one')",
	qr/ERROR:  25001: kb_receive_move cannot run/,
	'a slot cannot be taken back');
is(said($one, 'SELECT count(*) FROM pg_replication_slots') . said($two, 'SELECT count(*) FROM pg_subscription'), '00',
	'nothing is left of these');

# Eight clients that pay, and record usage, whatever happens: at the other server if the account is on another shard, and
# again if they have got no answer.
my $box = PostgreSQL::Test::Utils::tempdir;
append_to_file("$box/clients.py", <<'PYTHON');
import os, random, sys, threading, time
import psycopg2

box, accounts, servers = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
run = os.path.basename(box) + str(os.getpid())
lines, mutex = [], threading.Lock()

def client(number):
    connections, at, n = [None] * len(servers), 0, 0
    while not os.path.exists(f'{box}/stop'):
        n += 1
        account, key, refused = random.randint(1, accounts), f'client-{run}-{number}-{n}', 0
        until = time.time() + 60
        while True:
            try:
                if connections[at] is None:
                    connections[at] = psycopg2.connect(servers[at])
                    connections[at].autocommit = True
                cursor = connections[at].cursor()
                if n % 4 == 0:
                    cursor.execute("SELECT kbilling.kb_record_usage(%s, 'orders', 1, %s)", (account, key))
                else:
                    cursor.execute("SELECT kbilling.kb_apply_topup(%s, '1 USD', 'card', %s)", (account, key))
                break
            except psycopg2.Error as error:
                if error.pgcode == 'KB014':
                    refused, at = refused + 1, (at + 1) % len(servers)
                elif error.pgcode is None or error.pgcode[:2] in ('57', '08', '40'):
                    connections[at] = None
                else:
                    raise
                if time.time() > until:
                    raise
                time.sleep(0.02)
        with mutex:
            lines.append(f"{'usage' if n % 4 == 0 else 'topup'}\t{account}\t{key}\t{refused}\n")

threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with open(f'{box}/done', 'w') as file:
    file.writelines(lines)
PYTHON
my $clients;
END { $clients->kill_kill if $clients }
sub start_clients
{
	unlink "$box/stop", "$box/done";
	$clients = IPC::Run::start([ '/usr/bin/python3', "$box/clients.py", $box, $accounts, $at_one, $at_two ], '<', '/dev/null',
		'2>', "$box/errors");
	sleep 0.5;
	return;
}

# Whatever a client has done is on one of the servers, once; how many calls were refused by KB014.
my %done;
sub stop_clients
{
	my ($what) = @_;
	append_to_file("$box/stop", '');
	$clients->finish;
	undef $clients;
	is(slurp_file("$box/errors"), '', "$what: no client has failed");
	my $refused = 0;
	for (split /\n/, slurp_file("$box/done"))
	{
		my ($kind, $account, $key, $times) = split /\t/;
		$done{"$kind|$account|$key"}++;
		$refused += $times;
	}
	return $refused;
}
sub compare_done
{
	my ($what) = @_;
	my %there;
	said($_, 'ANALYZE') for $one, $two;
	$there{$_}++ for map { split /\n/, said($_, q{
		SELECT 'topup', account_id, key FROM entry WHERE key LIKE 'client-%'
		UNION ALL SELECT 'usage', account_id, key FROM usage_event WHERE key LIKE 'client-%'}) } $one, $two;
	is(scalar(grep { !$there{$_} } keys %done), 0, "$what: nothing is lost");
	is(scalar(grep { !$done{$_} || $there{$_} > 1 } keys %there), 0, "$what: nothing is there twice");
	cmp_ok(scalar(keys %done), '>', 100, "$what: of a good many");
	is(said($_, 'SELECT * FROM kb_check()'), '', "$what: the books are right on " . $_->name) for $one, $two;
	is(said($one, 'SELECT count(*) FROM account') + said($two, 'SELECT count(*) FROM account'), $accounts,
		"$what: each account is there once");
	return;
}

# Half of the accounts move while they are used, as the page says.
start_clients();
receive($two, 'm1', $mover_at_one);
refused($two, "SELECT kb_verify_move('m1')", qr/ERROR:  55000: the rows of move "m1" are still being copied/,
	'not before they are there')
	if said($two, "SELECT tables_copied < tables - 5 FROM kb_move_status('m1')") eq 't';
refused($one, "SELECT kb_cut_move('m1')", qr/ERROR:  55000: move "m1" cannot be cut now/,
	'no cut before the target has all');
is(verify($two, 'm1'), $moved, 'J5: the target verifies each account');
refused($two, "CALL kb_own_move('m1')", qr/ERROR:  55000: move "m1" is not cut/,
	'the target owns nothing before the cut');
refused($one, "CALL kb_forget_move('m1')", qr/ERROR:  55000: move "m1" cannot be forgotten now/,
	'nothing is deleted before the cut');
is(said($one, "SELECT state, side, accounts, problem FROM kb_move_status('m1')"), "ready|source|$moved|",
	'its status says so on the source');
is(said($two, "SELECT state, side, accounts, problem FROM kb_move_status('m1')"), "ready|target|$moved|",
	'and on the target');
my $cut = time;
said($one, "SELECT kb_cut_move('m1')");
refused($one, "CALL kb_forget_move('m1')", qr/ERROR:  55000: move "m1" cannot be forgotten now/,
	'nothing is deleted before the target owns');
refused($one, "SELECT kb_apply_topup(1, '1 USD', 'card', 'x')", qr/ERROR:  KB014/, 'B3: the source has let go');
said($two, "CALL kb_own_move('m1')");
note(sprintf 'nobody owned the buckets for %.3f s', time - $cut);
said($one, "CALL kb_forget_move('m1', 7)");
sleep 0.5;
cmp_ok(stop_clients('m1'), '>', 0, 'B3: KB014 has come, and the call was repeated at the other server');
compare_done('m1');
is(said($two, 'SELECT count(*) FROM account'), $moved, 'the target has those that have moved');
is(said($one, "SELECT count(*) FROM account WHERE kb_shard(account_id) = ANY ('$half')"), 0,
	'the source has none of them');
is(said($one, 'SELECT count(*) FROM pg_replication_slots') . said($one, 'SELECT count(*) FROM pg_publication')
	. said($two, 'SELECT count(*) FROM pg_subscription'), '000', 'nothing is left of the move');

# They move back, and a server is killed at each step, while the clients go on.
start_clients();
begin($two, 'm2', $half);
die_and_return($two);
begin($two, 'm2', $half);
receive($one, 'm2', $mover_at_two);
die_and_return($one);
receive($one, 'm2', $mover_at_two);
die_and_return($two);
is(verify($one, 'm2'), $moved, 'killed while it copies: it goes on');
die_and_return($one);
is(verify($one, 'm2'), $moved, 'killed when it has verified: it may do so again');
# who writes to an account keeps the cut waiting; a cut that is cancelled, or killed, changes nothing
my ($writer, $cutter) = (background($two), background($two));
ask($writer, "BEGIN; SELECT kb_apply_topup(1, '1 USD', 'card', 'slow');");
refused($two, "SELECT kb_cut_move('m2', '100 ms')", qr/ERROR:  55P03: the accounts of move "m2" are in use/,
	'the cut waits for who writes');
start_asking($cutter, "SELECT kbilling.kb_cut_move('m2', '1 minute');");
my $waits = q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query ~ '^SELECT kbilling.kb_cut_move' AND wait_event_type = 'Lock'};
wait_for($two, 'the cut waits', $waits);
said($two, q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query ~ '^SELECT kbilling.kb_cut_move'});
wait_for($two, 'the cut is cancelled', "SELECT NOT ($waits)");
is(state_of($two, 'm2') . said($two, "SELECT kb_balance(1) IS NOT NULL"), 'readyt',
	'a cut that is cancelled changes nothing');
start_asking($cutter, "SELECT kbilling.kb_cut_move('m2', '1 minute');");
wait_for($two, 'the cut waits', $waits);
die_and_return($two);
$_->{run}->kill_kill for $writer, $cutter;
is(state_of($two, 'm2'), 'ready', 'nor does one whose server is killed');
wait_for($two, 'the target is back', "SELECT problem IS NULL FROM kb_move_status('m2')");
said($two, "SELECT kb_cut_move('m2')");
die_and_return($two);
refused($two, "CALL kb_cancel_move('m2')", qr/ERROR:  55000: the target of move "m2" has not cancelled it/,
	'a source that is cut owns nothing by itself');
# the target waits for what the source says: killed there, it owns nothing
my $holder = background($two);
ask($holder, "BEGIN; LOCK TABLE usage_event IN ACCESS EXCLUSIVE MODE;");
my $owner = background($one);
start_asking($owner, "CALL kbilling.kb_own_move('m2');");
wait_for($two, 'the target compares',
	q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query ~ 'kb_count_moved' AND wait_event_type = 'Lock'});
die_and_return($one);
$_->{run}->kill_kill for $owner, $holder;
is(state_of($one, 'm2'), 'ready', 'killed while it compares: it owns nothing');
# killed after its commit, before the source is told
$holder = background($two);
ask($holder, "BEGIN; SELECT * FROM shard_move FOR UPDATE;");
$owner = background($one);
start_asking($owner, "CALL kbilling.kb_own_move('m2');");
wait_for($two, 'the source is told',
	q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query ~ 'kb_tell_move' AND wait_event_type = 'Lock'});
die_and_return($_) for $one, $two;	# what it has said to a server that lives on is heard there
$_->{run}->kill_kill for $owner, $holder;
is(state_of($one, 'm2') . said($one, "SELECT problem FROM kb_move_status('m2')"), 'takenthe source has not been told',
	'killed when it owns: it says so');
refused($two, "CALL kb_forget_move('m2')", qr/ERROR:  55000: move "m2" cannot be forgotten now/,
	'the source does not know, and deletes nothing');
refused($one, "CALL kb_cancel_move('m2')", qr/ERROR:  55000: move "m2" cannot be cancelled now/,
	'what is owned is not taken back');
said($one, "CALL kb_own_move('m2')");
is(state_of($two, 'm2'), 'taken', 'it tells the source when it is called again');
$holder = background($two);
ask($holder, "BEGIN; SELECT * FROM notice WHERE account_id = (SELECT max(account_id) FROM account) FOR UPDATE;");
my $forgetter = background($two);
start_asking($forgetter, "CALL kbilling.kb_forget_move('m2', 1);");
wait_for($two, 'rows are deleted', "SELECT count(*) < $moved FROM account");
die_and_return($two, said($two, q{SELECT pid FROM pg_stat_activity WHERE query ~ '^CALL kbilling.kb_forget_move'}));
$_->{run}->kill_kill for $forgetter, $holder;
is(state_of($two, 'm2'), 'taken', 'B8: killed while it forgets');
said($two, "CALL kb_forget_move('m2')");
sleep 0.3;
cmp_ok(stop_clients('m2'), '>', 0, 'B3: KB014 has come again');
is(said($two, 'SELECT count(*) FROM account'), 0, 'B8: it has forgotten all when it is called again');
compare_done('m2');

# Taken back at each step.
begin($one, 'm3', $half);
said($one, "CALL kb_cancel_move('m3')");
is(state_of($one, 'm3'), 'cancelled', 'taken back before anybody receives it');
refused($one, "SELECT kb_begin_move('m3', '$half')", qr/ERROR:  42710: there is a move "m3" already/,
	'a name is used once');
begin($one, 'm4', $half);
receive($two, 'm4', $at_one);
wait_for($one, 'the target is connected',
	q{SELECT active FROM pg_replication_slots WHERE slot_name = 'kbilling_move_m4'});
refused($one, "CALL kb_cancel_move('m4')", qr/ERROR:  55006: the target still receives move "m4"/,
	'on the target first');
refused($two, "CALL kb_forget_move('m4')", qr/ERROR:  55000: move "m4" cannot be forgotten now/,
	'what comes is not deleted');
said($two, "CALL kb_cancel_move('m4')");
said($one, "CALL kb_cancel_move('m4')");
begin($one, 'm5', $half);
if (said($two, 'SELECT count(*) FROM account') > 0)
{
	refused($two, "SELECT kb_receive_move('m5', '$at_one')",
		qr/ERROR:  55000: this node has rows of the buckets already/, 'what was copied is in the way');
}
said($two, "CALL kb_forget_move('m4')");
receive($two, 'm5', $at_one);
verify($two, 'm5');
$holder = background($two);
ask($holder, 'BEGIN; LOCK TABLE shard_cut IN SHARE MODE;');
said($one, "SELECT kb_cut_move('m5')");
refused($two, "CALL kb_own_move('m5', '300 ms')", qr/ERROR:  55P03: the last row of move "m5" has not come/,
	'B7: it owns nothing before it has the last row');
ask($holder, 'ROLLBACK;');
$holder->{run}->kill_kill;
# a row that is not what it was, or not there, is noticed
wait_for($two, 'the last row is there', "SELECT count(*) = 1 FROM shard_cut");
my $guard_entries = 'ALTER TABLE entry ' . join ', ', map { "ENABLE ALWAYS TRIGGER entry_$_" } qw(immutable immutable_row insert);
said($two, qq{ALTER TABLE entry DISABLE TRIGGER USER; UPDATE entry SET memo = 'x' WHERE account_id = 1 AND seq = 3;
	UPDATE account SET metadata = metadata WHERE account_id = 1;
	$guard_entries});
refused($two, "CALL kb_own_move('m5')", qr/ERROR:  XX001: account 1 is damaged\nDETAIL:  J5/,
	'J5: a chain that is broken');
said($two, qq{ALTER TABLE entry DISABLE TRIGGER USER; UPDATE entry SET memo = NULL WHERE account_id = 1 AND seq = 3;
	$guard_entries;
	DELETE FROM usage_event WHERE account_id = 1 AND key = 'order-1'});
refused($two, "CALL kb_own_move('m5')",
	qr/ERROR:  55000: the copy of move "m5" differs from what the source has\nDETAIL:  Table kbilling.usage_event/,
	'a row that is missing');
refused($one, "CALL kb_cancel_move('m5')", qr/ERROR:  55000: the target of move "m5" has not cancelled it/,
	'the target may still own them');
said($two, "CALL kb_cancel_move('m5')");
refused($two, "CALL kb_own_move('m5')", qr/ERROR:  55000: move "m5" cannot be owned now/,
	'what is cancelled is not owned');
refused($one, "SELECT kb_apply_topup(1, '1 USD', 'card', 'x')", qr/ERROR:  KB014/, 'B3: nobody owns them meanwhile');
said($one, "CALL kb_cancel_move('m5')");
said($two, "CALL kb_forget_move('m5')");
compare_done('taken back');

# The source is down when the target cancels, or the target for good when the source does.
begin($one, 'm6', $half);
receive($two, 'm6', $at_one);
verify($two, 'm6');
said($one, "SELECT kb_cut_move('m6')");
$one->stop('immediate');
refused($two, "CALL kb_own_move('m6')", qr/ERROR:  08006: could not connect/,
	'without its source a target does not own');
refused($two, "CALL kb_cancel_move('m6')", qr/ERROR:  08006: could not connect/, 'the source is to be told');
$one->start;
said($one, "CALL kb_cancel_move('m6', forced => true)");
is(said($one, "SELECT kb_balance(1) IS NOT NULL"), 't', 'B3: the source owns them by force');
refused($two, "CALL kb_own_move('m6')", qr/ERROR:  55000: move "m6" cannot be owned now/,
	'a target that has cancelled never does');
said($two, "CALL kb_cancel_move('m6', true)");
said($two, "CALL kb_forget_move('m6')");

# A slot that is lost.
begin($one, 'm7', $half);
receive($two, 'm7', $at_one);
verify($two, 'm7');
said($two, 'ALTER SUBSCRIPTION kbilling_move_m7 DISABLE');
$one->poll_query_until('postgres', q{SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'kbilling_move_m7'});
said($one, q{SELECT pg_drop_replication_slot('kbilling_move_m7')});
refused($one, "SELECT kb_cut_move('m7')", qr/ERROR:  55000: the replication slot of move "m7" is gone/,
	'the slot is lost: there is no cut');
refused($two, "SELECT kb_verify_move('m7')", qr/ERROR:  55000: the replication slot of move "m7" is gone/,
	'... and the target says so');
is(said($one, "SELECT problem FROM kb_move_status('m7')"), 'its replication slot is gone', '... as the status does');
for ($two, $one) { said($_, "CALL kb_cancel_move('m7')") }
said($two, "CALL kb_forget_move('m7')");

# A target whose disk is full: what comes is refused as the disk would do it.
begin($one, 'm8', $half);
receive($two, 'm8', $at_one);
verify($two, 'm8');
said($two, q{CREATE FUNCTION public.no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	RAISE disk_full USING MESSAGE = 'could not extend file: No space left on device'; END $$;
	CREATE TRIGGER no_space BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION public.no_space();
	ALTER TABLE entry ENABLE ALWAYS TRIGGER no_space});
said($one, "SELECT kb_apply_topup(1, '1 USD', 'card', 'full-1')");
refused($one, "SELECT kb_cut_move('m8', '300 ms')", qr/ERROR:  55P03: the target of move "m8" is behind/,
	'its disk is full: the source waits, and goes on');
is(said($one, "SELECT (kb_apply_topup(1, '1 USD', 'card', 'full-2')).replayed"), 'f', 'top-ups go on at the source');
wait_for($two, 'failures are counted',
	"SELECT problem ~ 'its subscription has failed .* see the log' FROM kb_move_status('m8')");
like(said($one, "SELECT lag_bytes > 0 FROM kb_move_status('m8')"), qr/t/,
	'the status says how far the target is behind');
said($two, 'DROP TRIGGER no_space ON entry');
said($one, "SELECT kb_cut_move('m8')");
said($two, "CALL kb_own_move('m8')");
# what is forgotten may be of tables that another move publishes; tables of the application are its own business
begin($one, 'm9', '{' . join(',', grep { "$half," !~ /[{,]$_[,}]/ } 0 .. 1023) . '}');
said($one, q{CREATE TABLE public.shop (account_id bigint REFERENCES account); INSERT INTO public.shop SELECT account_id FROM account});
my (undef, undef, $error) = $one->psql('postgres', "\\set VERBOSITY verbose\nCALL kbilling.kb_forget_move('m8')");
like($error, qr/ERROR:  23503: .* violates foreign key constraint "shop_account_id_fkey"/, 'B8: nor do they lose what they refer to');
said($one, 'DROP TABLE public.shop');
said($one, "CALL kb_forget_move('m8')");
said($one, "CALL kb_cancel_move('m9')");
is(said($two, "SELECT count(*) FROM entry WHERE key LIKE 'full-%'"), 2, 'when there is room again, it has all');

# The rest in two moves at once.
my ($third, $fourth) = map { said($one,
	"SELECT array_agg(DISTINCT kb_shard(account_id)) FROM account WHERE kb_shard(account_id) % 2 = $_") } 0, 1;
my $repriced = q{SELECT bool_and(p.price::text = '0.20 each')
	FROM usage_total t JOIN price p ON p.price_id = t.price_id
	WHERE t.service = 'orders' AND t.period = '2025-08-01' AND kb_shard(t.account_id) = ANY};
said($one, "SELECT kb_record_usage(account_id, 'orders', 5, 'order-2') FROM account");
begin($one, 'm11', $third);
receive($two, 'm11', $at_one);
# it has told the source, and then does not note it
wait_for($two, 'm11 is copied', "SELECT tables_copied = tables FROM kb_move_status('m11')");
said($two, "BEGIN; SELECT kb_verify_move('m11'); ROLLBACK");
refused($two, "SELECT kb_own_buckets('$third')", qr/ERROR:  55000: some of the buckets are being moved/,
	'what comes cannot be declared its own');
said($one, "SELECT kb_cut_move('m11')");
refused($one, "SELECT kb_own_buckets(ARRAY(SELECT generate_series(0, 1023)))",
	qr/ERROR:  55000: some of the buckets are being moved/,
	'what has been let go of cannot be declared its own');
refused($two, "CALL kb_own_move('m11')", qr/ERROR:  55000: move "m11" cannot be owned now/, 'what is not verified is not owned');
cmp_ok(verify($two, 'm11'), '>', 0, 'B7: it verifies again, whatever the source has done meanwhile');
set_price($_, '0.20 each') for $one, $two;
# a target that makes a slot waits for who writes at the source, and keeps no other move waiting
begin($one, 'm12', $fourth);
$writer = background($one);
ask($writer, qq{BEGIN; SELECT kb_apply_topup(max(account_id), '1 USD', 'card', 'slow-2') FROM account
	WHERE kb_shard(account_id) = ANY ('$fourth');});
my $receiver = background($two);
start_asking($receiver, "SELECT kbilling.kb_receive_move('m12', '$at_one');");
wait_for($one, 'the slot waits', q{SELECT count(*) > 0 FROM pg_stat_activity
	WHERE query ~ 'pg_create_logical_replication_slot' AND wait_event_type = 'Lock'});
said($two, "SET lock_timeout = '10 s'; CALL kb_own_move('m11')");
is(state_of($two, 'm11') . said($two, "$repriced ('$third')"), 'takent',
	'C3: usage gets a price that was set while nobody owned the buckets');
ask($writer, 'COMMIT;');
ask($receiver, '');
$_->{run}->kill_kill for $writer, $receiver;
said($one, "CALL kb_forget_move('m11')");
# ... also if they are taken back
verify($two, 'm12');
said($one, "SELECT kb_cut_move('m12')");
set_price($_, '0.30 each') for $one, $two;
for ($two, $one) { said($_, "CALL kb_cancel_move('m12')") }
is(said($one, ($repriced =~ s/0\.20/0.30/gr) . " ('$fourth')"), 't', 'C3: ... also when the source owns them again');
is(said($two, ($repriced =~ s/0\.20/0.30/gr) . " ('$third')"), 't', '... and those of others at once');
said($two, "CALL kb_forget_move('m12')");
is(said($_, 'SELECT * FROM kb_check()'), '', 'the books are right on ' . $_->name) for $one, $two;
$_->stop for $one, $two;

# A server is split in two by its standby.
my $primary = server('primary');
# who has prepared a transaction before has not locked the bucket
said($primary, q{BEGIN; SELECT kb_create_account('olga', 'start', 1); PREPARE TRANSACTION 'early'});
my (undef, undef, $waited) = $primary->psql('postgres', "SET lock_timeout = '100 ms'; SELECT kbilling.kb_own_buckets('{}')");
like($waited, qr/canceling statement due to lock timeout/, 'B3: it waits for who has prepared a transaction before there were shards');
said($primary, q{ROLLBACK PREPARED 'early'});
said($primary, qq{
	SELECT kb_own_buckets(ARRAY(SELECT generate_series(0, 1023)));
	SET kbilling.clock = '2025-05-01 00:00+00';
	SELECT kb_create_account('olga', 'start', id) FROM generate_series(1, $accounts) id;
	SELECT kb_apply_topup(account_id, '100 USD', 'card', 'pay-1') FROM account});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
said($primary, "SELECT kb_own_buckets('{}')");
refused($primary, "SELECT kb_apply_topup(1, '1 USD', 'card', 'pay-2')", qr/ERROR:  KB014/,
	'B3: nobody owns them for a moment');
$primary->wait_for_catchup($standby);
$standby->promote;
said($primary, "SELECT kb_own_buckets(ARRAY(SELECT generate_series(0, 511)))");
said($standby, "SELECT kb_own_buckets(ARRAY(SELECT generate_series(512, 1023)))");
said($_, 'CALL kb_sweep()') for $primary, $standby;
my @charges = map { split /\n/, said($_, "SELECT account_id, period FROM entry WHERE kind = 'charge'") } $primary, $standby;
my %charges;
$charges{$_}++ for @charges;
is(scalar(keys %charges), 3 * $accounts, 'C4: each month of each account is charged');
is(scalar(@charges), 3 * $accounts, 'C4: by one of the two, once');
refused($primary, "CALL kb_forget_buckets('{511, 512}')", qr/ERROR:  55000: this node owns some of the buckets/,
	'what is its own is not deleted');
said($_, 'CALL kb_forget_buckets()') for $primary, $standby;
is(said($primary, 'SELECT count(*) FROM account') + said($standby, 'SELECT count(*) FROM account'), $accounts,
	'each account is there once');
is(said($_, 'SELECT * FROM kb_check()'), '', 'the books are right on ' . $_->name) for $primary, $standby;

$_->stop for $standby, $primary;
done_testing();
