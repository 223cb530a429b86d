# examples/mailer delivers notices by e-mail to a real mail server, each once
# unless something dies on the way (N2).
use strict;
use warnings;

use Encode;
use IPC::Run;
use JSON::PP;
use MIME::QuotedPrint;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

plan skip_all => 'python3-psycopg2 or python3-aiosmtpd is not installed'
	unless IPC::Run::run([ '/usr/bin/python3', '-c', 'import psycopg2, aiosmtpd' ], '2>', '/dev/null');

my $mailer = 'examples/mailer/mailer.py';
my $limit = $PostgreSQL::Test::Utils::timeout_default;
my $box = PostgreSQL::Test::Utils::tempdir;
my @running;
END { $_->kill_kill for @running }

# A mail server that keeps each mail in a file, as JSON.  What it does with it is in the first word of the address: refuse it while a file
# says so, put it off the first time, or hold its answer back until a file says that it may go.
append_to_file("$box/server.py", <<'PYTHON');
import asyncio, itertools, json, os, sys
from aiosmtpd.smtp import SMTP

box, numbers, seen = sys.argv[1], itertools.count(), set()

def put(name, text):
    with open(f'{box}/tmp', 'w') as file:
        file.write(text)
    os.rename(f'{box}/tmp', f'{box}/{name}')

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith('refuse') and os.path.exists(f'{box}/refuse'):
            return '550 5.1.1 nobody of that name'
        if address.startswith('later') and address not in seen:
            seen.add(address)
            return '451 4.3.2 come again'
        envelope.rcpt_tos.append(address)
        return '250 OK'

    async def handle_DATA(self, server, session, envelope):
        put(f'{next(numbers)}.mail', json.dumps({
            'from': envelope.mail_from, 'to': envelope.rcpt_tos, 'data': envelope.content.decode('latin-1')}))
        while envelope.rcpt_tos[0].startswith('hold') and not os.path.exists(f'{box}/release'):
            await asyncio.sleep(0.05)
        return '250 OK'

async def main():
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Handler()), '127.0.0.1', 0)
    put('port', str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()

asyncio.run(main())
PYTHON

sub begin
{
	my ($name, @command) = @_;
	my $run = IPC::Run::start(\@command, '<', '/dev/null', '&>', "$box/$name.log");
	push @running, $run;
	return $run;
}

# The status in which it ends by itself.
sub ended
{
	my ($run) = @_;
	wait_for('a program to end', sub { $run->reap_nb; !$run->pumpable });
	$run->finish;
	return ($run->full_results)[0];
}

sub wait_for
{
	my ($what, $is_so) = @_;
	for (1 .. 10 * $limit)
	{
		return if $is_so->();
		Time::HiRes::usleep(100_000);
	}
	BAIL_OUT("waited in vain for $what");
}

sub touch
{
	my ($name) = @_;
	append_to_file("$box/$name", '');
	return;
}

my $server = begin('server', '/usr/bin/python3', "$box/server.py", $box);
wait_for('the mail server', sub { -e "$box/port" });
my $port = slurp_file("$box/port");

# The mails to addresses of a domain, in words.
sub mails
{
	my ($domain) = @_;
	my @mails;
	for my $file (sort { ($a =~ /(\d+)\.mail/)[0] <=> ($b =~ /(\d+)\.mail/)[0] } glob "$box/*.mail")
	{
		my $mail = decode_json(slurp_file($file));
		next unless "@{$mail->{to}}" =~ /[@.]\Q$domain\E$/;
		my ($head, $body) = split /\r\n\r\n/, $mail->{data}, 2;
		my %head = $head =~ s/\r\n(?=[ \t])//gr =~ /^([^:]+): (.*?)\r?$/mg;
		push @mails, { to => "@{$mail->{to}}", from => $mail->{from}, raw => $mail->{data}, head => \%head,
			subject => decode('MIME-Header', $head{Subject}), body => decode('UTF-8', decode_qp($body)) =~ s/\r\n/\n/gr };
	}
	return @mails;
}

sub addresses
{
	my ($domain) = @_;
	return join ' ', sort map { $_->{to} } mails($domain);
}

my $node = PostgreSQL::Test::Cluster->new('mailer');
$node->init;
$node->start;

sub ask
{
	my ($database, $query) = @_;
	return $node->safe_psql($database, $query);
}

sub set_clock
{
	my ($database, $clock) = @_;
	return ask('postgres', "ALTER DATABASE $database SET kbilling.clock = '$clock'");
}

# A mailer of a database.
sub mailer
{
	my ($database, @options) = @_;
	return begin("mailer-$database-" . @running, $mailer, '--dsn', $node->connstr($database) . ' user=mailer', '--smtp', "127.0.0.1:$port",
		'--from', 'Billing <billing@sender.example>', '--application', "application\@$database.example", @options);
}

sub deliver
{
	my ($database, @options) = @_;
	return ended(mailer($database, '--once', @options));
}

# One that has found nothing to do, and waits.
sub idle_mailer
{
	my ($database) = @_;
	my $run = mailer($database, '--poll', 3600, '--lease', 3600);
	$node->poll_query_until($database, q{
		SELECT count(*) = 1 FROM pg_stat_activity
		WHERE datname = current_database() AND usename = 'mailer' AND state = 'idle' AND query LIKE '%kb_take_notices%'})
		or die 'the mailer does not wait';
	return $run;
}

sub queue
{
	my ($database) = @_;
	return ask($database, 'SELECT account_id, status, tries FROM kbilling.notice_queue ORDER BY account_id, notice_no');
}

$node->safe_psql('postgres', $_) for 'CREATE ROLE mailer LOGIN', q{CREATE DATABASE base ENCODING 'UTF8' TEMPLATE template0};
ask('base', q{
	CREATE EXTENSION kbilling;
	GRANT EXECUTE ON FUNCTION kbilling.kb_take_notices, kbilling.kb_render_notice, kbilling.kb_ack_notice,
		kbilling.kb_fail_notice TO mailer;
	SELECT kbilling.kb_create_tariff('start', 'USD'), kbilling.kb_set_price('start', 'base', '19.00')});
my @databases = qw(texts refused parallel killed waiting);
$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE base") for @databases;

# Who it is: nobody who could read a table.
my (undef, undef, $error) = $node->psql('texts', 'SELECT FROM kbilling.notice', extra_params => [ '-U', 'mailer' ]);
like($error, qr/permission denied/, 'the mailer has few rights');

# Accounts with owners of these addresses, each with a top-up.
sub pay_in
{
	my ($database, @addresses) = @_;
	my $values = join ', ', map { "($_, '$addresses[$_ - 1]')" } 1 .. @addresses;
	return ask($database, qq{
		BEGIN;
		SELECT kbilling.kb_create_account('owner', 'start', id, email => nullif(email, '')) FROM (VALUES $values) AS a (id, email);
		SELECT kbilling.kb_apply_topup(id, '25 USD', 'card', 'pay-' || id) FROM (VALUES $values) AS a (id, email);
		COMMIT});
}

# Day by day, what the database says is what arrives, of a debt, of a deletion, and where nobody has an address.
{
	set_clock('texts', '2026-11-16 09:00+00');
	ask('texts', q{
		SELECT kbilling.kb_create_account('ann', 'start', 1, email => 'ann@texts.example');
		SELECT kbilling.kb_create_account('olena', 'start', 2, email => 'olena@texts.example');
		SELECT kbilling.kb_add_member(2, 'bohdan', 'admin', 'bohdan@texts.example'),
			kbilling.kb_add_member(2, 'eve', 'employee', 'eve@texts.example');
		SELECT kbilling.kb_create_account('nobody', 'start', 3);
		UPDATE kbilling.member SET language = 'uk' WHERE member = 'olena';
		SELECT kbilling.kb_apply_topup(id, '25 USD', 'card', 'pay-' || id) FROM unnest('{1,3}'::bigint[]) AS id;
		-- beyond ASCII, whatever the texts are
		UPDATE kbilling.notice n SET facts = (SELECT f.facts FROM kbilling_internal.kb_notice_facts(n) f)
			|| '{"amount": "25.00 USD від Їжачка €"}' WHERE account_id = 1});
	my (@expected, @got);
	for my $day (map { "($_ * interval '1 day' + timestamptz '2026-11-16 09:00+00')" } 0, 17, 19, 22, 25, 41, 48, 50, 51, 71)
	{
		set_clock('texts', ask('texts', "SELECT $day"));
		ask('texts', 'CALL kbilling.kb_sweep()');
		push @expected, map { decode_json($_) } split /\n/, ask('texts', q{
			SELECT jsonb_build_object('notice', concat(n.account_id, '/', n.notice_no, ' ', n.kind), 'to',
				coalesce(r.email, 'application@texts.example'),
				'subject', t.subject, 'body', t.body)
			FROM kbilling.notice n
			CROSS JOIN LATERAL kbilling_internal.kb_recipients(n.account_id, n.kind) x
			LEFT JOIN LATERAL jsonb_to_recordset(x.recipients) r (email text, language text) ON true
			CROSS JOIN LATERAL kbilling.kb_render_notice(n.account_id, n.notice_no, r.language) t
			WHERE n.due_at <= kbilling.kb_now()});
		is(deliver('texts'), 0, "$day: the mailer ends well");
		is(queue('texts'), '', 'and nothing is left');
	}
	my @mails = mails('texts.example');
	my $in_order = sub { [ sort { "$a->{notice} $a->{to}" cmp "$b->{notice} $b->{to}" } @_ ] };
	is_deeply($in_order->(map { {
			notice => $_->{head}{'X-Kbilling-Notice'}, to => $_->{to}, subject => $_->{subject},
			body => $_->{body} =~ s/\n*\z//r } } @mails),
		$in_order->(map { { %$_, body => $_->{body} =~ s/\n*\z//r } } @expected),
		'N2: each notice came once, to each who should have it, in the words of its language (N4)');

	my %kinds = map { (split / /, $_->{head}{'X-Kbilling-Notice'})[1] => 1 } @mails;
	ok($kinds{$_}, "there was a $_")
		for qw(topup_received charge_posted stage_changed payment_reminder closure_scheduled closure_reminder
			account_deleted account_purged);
	is_deeply([ map { $_->{to} } grep { $_->{head}{'X-Kbilling-Notice'} =~ /account_purged/ } @mails ],
		[ ('application@texts.example') x ask('texts', q{SELECT count(*) FROM kbilling.account WHERE state = 'purged'}) ],
		'D6: the application learns of a purge');
	my ($to_ann) = grep { $_->{to} eq 'ann@texts.example' } @mails;
	like("$to_ann->{subject} $to_ann->{body}", qr/25\.00 USD \x{432}\x{456}\x{434} \x{407}.* \x{20ac}/, 'a mail says how much, in UTF-8');
	unlike($to_ann->{raw}, qr/[^\x00-\x7f]/, 'by seven bits');
	is($to_ann->{from}, 'billing@sender.example', 'its envelope has the sender');
	is_deeply([ @{$to_ann->{head}}{qw(From To Auto-Submitted)} ],
		[ 'Billing <billing@sender.example>', 'ann@texts.example', 'auto-generated' ], 'and its head');
	like($to_ann->{head}{$_->[0]}, $_->[1], "$_->[0]")
		for [ 'Message-ID', qr/^<1\.\d+\.[0-9a-f]+\@sender\.example>$/ ], [ 'Date', qr/^\w{3}, \d+ \w{3} \d{4} [\d:]{8} [+-]\d{4}$/ ],
			[ 'Content-Type', qr/^text\/plain; charset="utf-8"$/ ];
	my %ids = map { $_->{head}{'Message-ID'} => 1 } @mails;
	is(keys %ids, @mails, 'no two mails have the same Message-ID');
	is(scalar(grep { $_->{to} eq 'eve@texts.example' } @mails), 0, 'an employee gets none');
}

# An address that is refused, or is none, holds up nobody else.
{
	touch('refuse');
	set_clock('refused', '2026-11-16 09:00+00');
	pay_in('refused', 'refuse@refused.example', 'eve@refused.example', 'two@refused.example', '', 'fine@refused.example',
		'fine@київ.refused.example');
	# what no function would take
	ask('refused', q{
		ALTER TABLE kbilling.member DROP CONSTRAINT member_email_check;
		UPDATE kbilling.member SET email = E'eve@refused.example\nBcc: all@refused.example' WHERE account_id = 2;
		UPDATE kbilling.member SET email = 'two@refused.example, three@refused.example' WHERE account_id = 3});
	is(deliver('refused'), 0, 'the mailer ends well');
	is(addresses('refused.example'), 'application@refused.example fine@refused.example fine@xn--b1alf1j.refused.example',
		'the others get theirs');
	is(queue('refused'), "1|paused|1\n2|paused|1\n3|paused|1", 'the rest has failed');
	like(ask('refused', 'SELECT last_error FROM kbilling.notice_queue WHERE account_id = 1'),
		qr/^owner: 550 5\.1\.1 nobody of that name$/, 'and why is said');
	is(ask('refused', 'SELECT DISTINCT due_at - written_at FROM kbilling.notice_queue'), '00:01:00', 'it is tried again in a minute');
	deliver('refused');
	is(queue('refused'), "1|paused|1\n2|paused|1\n3|paused|1", 'and not before');

	for my $try (2 .. 10)
	{
		set_clock('refused', ask('refused', 'SELECT max(due_at) FROM kbilling.notice_queue'));
		deliver('refused');
	}
	is(queue('refused'), "1|parked|10\n2|parked|10\n3|parked|10", 'N2: after ten tries they are parked');
	set_clock('refused', '2026-12-16 09:00+00');
	unlink "$box/refuse";
	deliver('refused');
	is(addresses('refused.example'), 'application@refused.example fine@refused.example fine@xn--b1alf1j.refused.example',
		'and not tried again');
	ask('refused', 'SELECT kbilling.kb_retry_notice(account_id, notice_no) FROM kbilling.notice_queue');
	deliver('refused');
	is(addresses('refused.example'), 'application@refused.example fine@refused.example fine@xn--b1alf1j.refused.example '
		. 'refuse@refused.example', 'until it is said that it should be');
	is(queue('refused'), "2|paused|1\n3|paused|1", 'which helps where the cause is gone');
}

# Two at once: one is held up with some of the notices, the other does the rest.
{
	pay_in('parallel', 'hold@parallel.example', map { "user$_\@parallel.example" } 2 .. 300);
	my @options = ('--batch', 7, '--lease', 3600);
	my $first = mailer('parallel', '--once', @options);
	wait_for('the first mail', sub { mails('parallel.example') });
	is(deliver('parallel', @options), 0, 'N2: a second mailer does not wait for the first');
	is(scalar(mails('parallel.example')), 294, 'and leaves to it what it has taken');
	touch('release');
	is(ended($first), 0, 'the first goes on');
	unlink "$box/release";
	my %to = map { $_->{to} => 1 } mails('parallel.example');
	is(join(' ', scalar(keys %to), scalar(mails('parallel.example'))), '300 300', 'each mail came once');
	is(ask('parallel', 'SELECT count(*), count(delivered_at), max(tries) FROM kbilling.notice'), '300|300|1', 'as the books say');
}

# One dies when a mail is sent and not acknowledged.
{
	set_clock('killed', '2026-11-16 09:00+00');
	pay_in('killed', 'hold@killed.example', map { "user$_\@killed.example" } 2 .. 5);
	my $run = mailer('killed', '--lease', 300);
	wait_for('the mail', sub { mails('killed.example') });
	$run->signal('KILL');
	isnt(ended($run), 0, 'the mailer is killed');
	touch('release');
	is(deliver('killed'), 0, 'another comes');
	is(queue('killed'), join("\n", map { "$_|leased|1" } 1 .. 5), 'N2: and has to wait for the lease to run out');
	set_clock('killed', '2026-11-16 09:05+00');
	is(deliver('killed'), 0, 'when it has');
	is(queue('killed'), '', 'the other delivers');
	my @twice = map { $_->{head}{'Message-ID'} } grep { $_->{to} =~ /^hold/ } mails('killed.example');
	is(addresses('killed.example'), 'hold@killed.example hold@killed.example '
		. join(' ', map { "user$_\@killed.example" } 2 .. 5), 'N2: at least once');
	is($twice[0], $twice[1], 'and what came twice says so');
	unlink "$box/release";
}

# One that waits is woken, remembers, comes back, and ends.
{
	pay_in('waiting', 'ann@waiting.example', 'bob@waiting.example', 'hold@waiting.example', 'dan@waiting.example');
	ask('waiting', q{
		SELECT kbilling.kb_ack_notice(account_id, notice_no) FROM kbilling.notice;
		SELECT kbilling.kb_add_member(2, 'later', 'owner', 'later@waiting.example')});
	my $pay = sub { ask('waiting', "SELECT kbilling.kb_apply_topup($_[0], '25 USD', 'card', '$_[1]')") };
	my $run = idle_mailer('waiting');
	$pay->(1, 'woken');
	wait_for('a mail', sub { addresses('waiting.example') eq 'ann@waiting.example' });
	ok(1, 'N1: a notice wakes a mailer that waits');

	$pay->(2, 'both');
	ok($node->poll_query_until('waiting', q{SELECT count(*) = 1 FROM kbilling.notice_queue WHERE status = 'paused'
		AND last_error LIKE 'later: 451%'}),
		'of two owners, one is put off');
	ask('waiting', 'UPDATE kbilling.notice SET due_at = kbilling.kb_now() WHERE due_at IS NOT NULL; NOTIFY kbilling');
	ok($node->poll_query_until('waiting', 'SELECT count(*) = 0 FROM kbilling.notice_queue'), 'and then gets it');
	is(addresses('waiting.example'), 'ann@waiting.example bob@waiting.example later@waiting.example', 'the other does not get it twice');

	$node->restart;
	$pay->(1, 'restarted');
	wait_for('a mail', sub { addresses('waiting.example')
		eq 'ann@waiting.example ann@waiting.example bob@waiting.example later@waiting.example' });
	ok(1, 'a mailer outlives a restart of the database');
	$run->signal('TERM');
	is(ended($run), 0, 'and ends by SIGTERM');

	$run = idle_mailer('waiting');
	$run->signal('INT');
	is(ended($run), 0, 'and by SIGINT');

	$run = idle_mailer('waiting');
	ask('waiting', q{SELECT kbilling.kb_apply_topup(id, '25 USD', 'card', 'in hand') FROM generate_series(3, 4) AS id});
	wait_for('a mail', sub { addresses('waiting.example') =~ /hold/ });
	$run->signal('TERM');
	touch('release');
	is(ended($run), 0, 'SIGTERM lets it finish the mail in hand');
	is(queue('waiting'), '4|leased|1', 'acknowledge it, and begin no other');
}

# No mail server.
{
	set_clock('killed', '2026-11-17 09:00+00');
	ask('killed', q{SELECT kbilling.kb_apply_topup(2, '25 USD', 'card', 'no server')});
	$server->signal('TERM');
	ended($server);
	is(deliver('killed'), 0, 'without a mail server it ends well');
	like(ask('killed', 'SELECT status, last_error FROM kbilling.notice_queue'),
		qr/^paused\|owner: ConnectionRefusedError: /, 'and the notice waits');
}

$node->stop;
isnt(deliver('killed'), 0, 'without a database it does not');
done_testing();
