# A database goes through pg_dump with nothing lost, nothing doubled, and goes on from there.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use FindBin;
use lib $FindBin::RealBin;
use Busy qw(make_busy contents lasting_contents $go_on);

my $node = PostgreSQL::Test::Cluster->new('dump');
$node->init;
$node->start;

sub ask
{
	my ($database, $query) = @_;
	return $node->safe_psql($database, $query);
}

make_busy($node);
is(ask('busy', q{
	SELECT count(DISTINCT kind), count(DISTINCT kbilling.kb_currency(amount)) FROM kbilling.entry;
	SELECT string_agg(DISTINCT outcome::text, ',' ORDER BY outcome::text), sum(accounts_failed) FROM kbilling.sweep_run;
	SELECT count(*) > 0 FROM kbilling.tariff_history;
	SELECT (SELECT count(*) FROM kbilling.retention), (SELECT sum(notices_removed) > 0 FROM kbilling.account);
	SELECT (SELECT count(*) FROM kbilling.closure_step) > 20, (SELECT count(DISTINCT kind) FROM kbilling.notice) > 3,
		(SELECT count(*) FROM kbilling.purge_order WHERE relation IS NOT NULL);
	SET kbilling.clock = '2025-09-05 12:00+00';
	SELECT string_agg(DISTINCT stage::text, ',' ORDER BY stage::text) FROM kbilling.account_status}),
	"11|2\nfinished,running|1\nt\n3|t\nt|t|1\nblocked,grace,ok,remind,restrict", 'the database has been busy')
	or diag(ask('busy', 'SELECT * FROM kbilling.sweep_failure'));

# A dump as text, less the key that newer versions of pg_dump draw for each.
sub dump_text
{
	my ($database) = @_;
	my ($stdout, $stderr) = run_command([ 'pg_dump', $node->connstr($database) ]);
	is($stderr, '', "pg_dump of $database has nothing to say");
	return join "\n", grep { !/^\\(un)?restrict / } split /\n/, $stdout;
}

my $before = contents($node, 'busy');
cmp_ok(scalar keys %$before, '>=', 14, 'all tables and sequences are looked at');
is(ask('busy', q{SELECT string_agg(c.oid::regclass::text, ',') FROM pg_class c
	WHERE c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'S')
		AND NOT c.oid = ANY
		((SELECT extconfig FROM pg_extension WHERE extname = 'kbilling')::oid[])}), '', 'and pg_dump is told of all of them');
is(ask('busy', 'SELECT * FROM kbilling.kb_check()'), '', 'the books are right');
is(join(' ', grep { $before->{$_} =~ /^0\|/ } sort keys %$before), '', 'and there are rows of every kind');

my $file = $node->basedir . '/busy';
my $text = dump_text('busy');
$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(plain custom inserts);
append_to_file("$file.sql", $text);
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('plain'), '-f', "$file.sql" ],
	'a plain dump is restored by psql');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$file.dump", $node->connstr('busy') ], 'pg_dump -Fc');
# pg_dump keeps the tables of an extension in the order that their foreign keys
# need, but does not write down why: --jobs must leave the data section alone.
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('custom'), @$_, "$file.dump" ],
	"a custom dump is restored by pg_restore @$_")
	for [ '--section=pre-data', '--section=data' ], [ '--section=post-data', '--jobs=2' ];

$node->command_ok([ 'pg_dump', '--inserts', '-f', "$file.inserts.sql", $node->connstr('busy') ], 'pg_dump --inserts');
$node->command_ok([ 'psql', '-Xq', '--single-transaction', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('inserts'),
	'-f', "$file.inserts.sql" ],
	'a dump of INSERTs is restored in one transaction');
is_deeply(contents($node, 'inserts'), $before, 'inserts: every row of every table is the same');
is(ask('inserts', 'SELECT * FROM kbilling.kb_check()'), '', 'inserts: the books are right');

my %went_on;

for my $database ('plain', 'custom')
{
	is_deeply(contents($node, $database), $before, "$database: every row of every table is the same");
	# a row may be restored into room on an earlier page, so their order is not compared
	ok(join("\n", sort split /\n/, dump_text($database)) eq join("\n", sort split /\n/, $text),
		"$database: a second dump is the same as the first");
	is(ask($database, 'SELECT * FROM kbilling.kb_check()'), '', "$database: the books are right");
	is(ask($database, q{
		SELECT count(*) FROM kbilling.policy WHERE policy = 'standard';
		SELECT count(*) FROM kbilling.service WHERE service = 'base';
		SELECT count(*) FROM kbilling.payment_method WHERE method = 'card'}), "1\n1\n1", "$database: what is built in is there once");
	is(ask($database, q{
		SELECT m.name, e.method, e.amount, e.paid FROM kbilling.entry e JOIN kbilling.payment_method m USING (method)
			WHERE m.method = 'cash'}), 'Готівка|cash|30.00 USD|1237.50 UAH',
		"$database: T2: a method of one's own, and what was paid by it");
	is(ask($database, q{
		SELECT string_agg(DISTINCT tgenabled::text, '') FROM pg_trigger WHERE NOT tgisinternal
			AND tgfoid = 'kbilling_internal.kb_refuse_rewrite'::regproc;
		SELECT evtenabled FROM pg_event_trigger}), "A\nA", "$database: J1, J7: the guards stand");
	my (undef, undef, $error) = $node->psql($database, q{SELECT kbilling.kb_create_account('new', 'lviv', 4702)});
	like($error, qr/account 4702 is on another shard/, "$database: B2: what the node owns came along");
	(undef, undef, $error) = $node->psql($database, 'SET session_replication_role = replica; UPDATE kbilling.entry SET memo = memo');
	like($error, qr/UPDATE on kbilling.entry is refused/, "$database: J1: and hold");
	(undef, undef, $error) = $node->psql($database, q{INSERT INTO kbilling.entry
		SELECT (jsonb_populate_record(e, '{"seq": 999, "key": "x"}')).* FROM kbilling.entry e WHERE account_id = 1 AND seq = 1});
	like($error, qr/INSERT on kbilling.entry is refused/, "$database: J2: an entry by hand is refused");
	(undef, undef, $error) = $node->psql($database, 'SET session_replication_role = replica; DELETE FROM kbilling.change_log');
	like($error, qr/DELETE on kbilling.change_log is refused/, "$database: J9: those of the log of changes too");
	is(ask($database, q{
		SELECT string_agg(p.proname || ':' || has_function_privilege('teller', p.oid, 'EXECUTE') || ':'
			|| has_function_privilege('public', p.oid, 'EXECUTE'), ' ' ORDER BY p.proname)
		FROM pg_proc p WHERE p.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace)
			AND p.proname IN ('kb_apply_topup', 'kb_refund', 'kb_stage')}),
		'kb_apply_topup:true:false kb_refund:false:false kb_stage:true:true', "$database: grants are as they were");
	is(ask($database, q{
		SET search_path = pg_catalog;
		DO $$ BEGIN PERFORM kbilling.kb_revoke('webhook', 'support'); END $$;
		SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc p
		WHERE p.pronamespace = 'kbilling'::regnamespace
			AND has_function_privilege('webhook', p.oid, 'EXECUTE') AND NOT has_function_privilege('public', p.oid, 'EXECUTE')}),
		'kb_apply_topup kb_chargeback kb_fail_topup kb_refund kb_refund_total kb_reverse_chargeback kb_reverse_refund '
			. 'kb_unsettled_payments',
		"$database: E6: as what a role was granted is known");
	is(ask($database, q{
		SET search_path = kbilling;
		SELECT count(*) FROM public.shop s JOIN kbilling.account a ON a.account_id = s.account_id AND a.balance = s.fee
			AND s.price = '0.1 each min 1'::kbilling.kb_price}),
		121, "$database: what refers to accounts, money and prices came along");
	$went_on{$database} = ask($database, $go_on);
}

my $went_on = ask('busy', $go_on);
is($went_on{plain}, $went_on, 'plain: sweep, top-ups and new accounts go on as if nothing had happened');
is($went_on{custom}, $went_on, 'custom: the same');
like($went_on, qr/^3\|interrupted\|.*\n4\|finished\|/m, 'W3: the run that was under way is interrupted, the next one goes on');
like($went_on, qr/^121$/m, 'a new account gets the next number');

my ($after, @restored) = map { lasting_contents($node, $_) } qw(busy plain custom);
is_deeply($restored[0], $after, 'plain: and in the end every row is the same again');
is_deeply($restored[1], $after, 'custom: the same');

$node->stop;
done_testing();
