# A next version, as one will be: what is here with a column, a function that takes one argument more, a right, a view
# and a fact that has moved. A database that was updated to it is as one that was created with it, and as one that was
# restored, to the last object, and answers alike; a library of another version says what to run; rights stay.
use strict;
use warnings;

use File::Basename qw(dirname);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use lib $FindBin::RealBin;
use Busy qw(make_busy lasting_contents $go_on);
use Catalog qw(catalog);

sub from_pg_config
{
	my ($what) = @_;
	my ($answer) = run_command([ 'pg_config', "--$what" ]);
	return $answer;
}

my ($bindir, $sharedir, $pkglibdir) = map { from_pg_config($_) } qw(bindir sharedir pkglibdir);
my $extension = "$sharedir/extension";
my ($version) = slurp_file("$extension/kbilling.control") =~ /^default_version = '(.*)'/m;
my $next = $version =~ s/(\d+)$/$1 + 1/er;

# A server of our own that knows the next version: PostgreSQL finds its folders from where its programs are.
my ($prefix) = "$bindir\n$sharedir" =~ m{^(.*)/[^\n]*\n\g{1}/};
my $copied = tempdir() . '/server';
my %from = map { $_ => 1 } dirname($bindir), $sharedir, $pkglibdir;
for my $folder (grep { my $of = $_; !grep { $of =~ m{^\Q$_/} } keys %from } sort keys %from)
{
	my $copy = $copied . substr $folder, length $prefix;
	system('mkdir', '-p', dirname($copy)) == 0 && system('cp', '-a', $folder, $copy) == 0 or die "cannot copy $folder\n";
}
sub copy_of { return $copied . substr $_[0], length $prefix }

sub write_file
{
	my ($name, $text) = @_;
	my $file = copy_of("$extension/$name");
	unlink $file;
	append_to_file($file, $text);
	return;
}

# What changes, in the script of the next version and in the one that leads to it

my $table = q{
CREATE TABLE kbilling.member_note (
	account_id bigint NOT NULL,
	member     kb_text NOT NULL,
	note       kb_json NOT NULL,
	PRIMARY KEY (account_id, member),
	FOREIGN KEY (account_id, member) REFERENCES member ON DELETE CASCADE
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.member_note', '');
COMMENT ON TABLE member_note IS 'What the application notes on members';
COMMENT ON COLUMN member_note.account_id IS 'The account';
COMMENT ON COLUMN member_note.member IS 'The member';
COMMENT ON COLUMN member_note.note IS 'For the application''s own use';
};
my $ticket = q{COMMENT ON COLUMN deferral.ticket IS 'Where it was asked for';} . "\n";
my $view = q{CREATE OR REPLACE VIEW kbilling.payment_method_name WITH (security_invoker) AS
	SELECT m.method, coalesce(m.name, m.method) AS name FROM payment_method m;
COMMENT ON VIEW payment_method_name IS 'What customers call each payment method';
COMMENT ON COLUMN payment_method_name.method IS 'The method';
COMMENT ON COLUMN payment_method_name.name IS 'Its name, or its code';
};

my $old_script = slurp_file("$extension/kbilling--$version.sql");
my $script = $old_script;

sub change
{
	my ($what, $from, $to) = @_;
	is($script =~ s/$from/$to/, 1, "$what: a change of the script") or die;
	return;
}

# Some definition of the next script as it stands there
sub taken
{
	my ($pattern) = @_;
	my ($text) = $script =~ /($pattern)/s or die "there is no $pattern\n";
	return $text;
}

change('a column', qr/(reason +kb_text NOT NULL CHECK \(reason <> ''\)),\n(?=\tPRIMARY KEY \(account_id, deferral_no\))/,
	"\$1,\n\tticket         kb_text,\n" =~ s/\$1/reason         kb_text NOT NULL CHECK (reason <> '')/r);
change('its comment', qr/(?=\nCREATE TRIGGER deferral_immutable )/, $ticket);
change('an argument', qr/kb_defer\(account_id bigint, until date, granted_by text, reason text\)/,
	'kb_defer(account_id bigint, until date, granted_by text, reason text, ticket text = NULL)');
change('a function', qr/kb_put_deferral\(account_id bigint, until date, granted_by text, reason text, stage_before kb_stage\)/,
	'kb_put_deferral(account_id bigint, until date, granted_by text, reason text, stage_before kb_stage, ticket text)');
change('what it writes',
	qr/deferred_until, granted_by, reason\)\n\tSELECT \$1, coalesce\(max\(d.deferral_no\), 0\) \+ 1, kb_now\(\), \$2, \$3, \$4/,
	"deferred_until, granted_by, reason, ticket)\n\tSELECT \$1, coalesce(max(d.deferral_no), 0) + 1, kb_now(), \$2, \$3, \$4, \$6");
change('what calls it', qr/granted_by, reason, x\.stage\)/, 'granted_by, reason, x.stage, ticket)');
change('the comment on the one', qr/kb_defer\(bigint, date, text, text\) IS/, 'kb_defer(bigint, date, text, text, text) IS');
change('and the other',
	qr/kb_put_deferral\(bigint, date, text, text, kb_stage\) IS/, 'kb_put_deferral(bigint, date, text, text, kb_stage, text) IS');
change('a fact that moves', qr/(language   kb_text CHECK \(kb_is_language\(language\)\)),\n\tmetadata   kb_json,/,
	'language   kb_text CHECK (kb_is_language(language)),');
change('and no more is said of it', qr/COMMENT ON COLUMN member\.metadata IS [^;]*;\n/, $table);
change('a view', qr/(?=CREATE TYPE kbilling\.kb_payment_status)/, "$view\n");
change('a right', qr/kb_fail_topup,kb_refund,(?=kb_refund_total,kb_reverse_refund,kb_chargeback,kb_reverse_chargeback,\n)/,
	'kb_fail_topup,kb_refund,kb_metadata,');

my $put = taken(qr/CREATE FUNCTION kbilling_internal\.kb_put_deferral.*?is locked';/s);
my $defer = taken(qr/CREATE FUNCTION kbilling\.kb_defer\(.*?infinite';/s);
my $role_right = taken(qr/CREATE VIEW kbilling\.role_right .*?(?=COMMENT ON VIEW)/s) =~ s/^CREATE/CREATE OR REPLACE/r;

my $update = qq{\\echo Use "ALTER EXTENSION kbilling UPDATE TO '$next'" to load this file. \\quit
SET LOCAL search_path TO pg_catalog, kbilling, kbilling_internal, pg_temp;
ALTER TABLE deferral ADD ticket kb_text;
$ticket
$put
$defer
SELECT kb_carry_rights('kb_defer(bigint, date, text, text)', 'kb_defer(bigint, date, text, text, text)');
DROP FUNCTION kb_defer(bigint, date, text, text);
SELECT kb_carry_rights('kb_put_deferral(bigint, date, text, text, kb_stage)',
	'kb_put_deferral(bigint, date, text, text, kb_stage, text)');
DROP FUNCTION kb_put_deferral(bigint, date, text, text, kb_stage);
$table
INSERT INTO member_note SELECT m.account_id, m.member, m.metadata FROM member m WHERE m.metadata IS NOT NULL;
ALTER TABLE member DROP metadata;
$view
$role_right
};
write_file("kbilling--$next.sql", $script);
write_file("kbilling--$version--$next.sql", $update);

# Both versions of the library, which differ in what they say of themselves
my $library = copy_of("$pkglibdir/kbilling.so");
my %bytes = ($version => slurp_file($library));
is(($bytes{$next} = $bytes{$version}) =~ s/kbilling library \Q$version\E\0/kbilling library $next\0/, 1,
	'the library has its version once');

sub install
{
	my ($of) = @_;
	my $control = slurp_file("$extension/kbilling.control") =~ s/^default_version = .*/default_version = '$of'/mr;
	write_file('kbilling.control', $control);
	open my $out, '>:raw', "$library.new" or die "$library.new: $!\n";
	print $out $bytes{$of};
	close $out or die;
	rename "$library.new", $library or die "$library: $!\n";
	return;
}

# The old version, in use

my $node = PostgreSQL::Test::Cluster->new('release', install_path => dirname(copy_of($bindir)));
install($version);
$node->init;
$node->start;
make_busy($node);
$node->safe_psql('busy', q{
	SET search_path = kbilling;
	UPDATE member SET metadata = '{"desk": 4}' WHERE member = 'anna';
	CREATE ROLE clerk;
	CREATE ROLE agent;
	GRANT EXECUTE ON FUNCTION kb_defer TO clerk WITH GRANT OPTION;
	GRANT SELECT ON member TO clerk;
	REVOKE EXECUTE ON FUNCTION kb_refund FROM webhook;
	SELECT kb_grant('agent', 'support')});
my $notes = $node->safe_psql('busy', q{SELECT account_id, member, metadata FROM kbilling.member WHERE metadata IS NOT NULL ORDER BY 1, 2});
my $rights = q{
	SELECT g.grantee, g.routine_name, count(*), bool_or(g.is_grantable = 'YES') FROM information_schema.routine_privileges g
	WHERE g.grantee IN ('clerk', 'agent', 'webhook', 'teller') AND g.routine_schema LIKE 'kbilling%'
		-- what the next version adds to the rights of those who have them
		AND g.routine_name <> 'kb_metadata'
	GROUP BY 1, 2 ORDER BY 1, 2};
my $rights_before = $node->safe_psql('busy', $rights);
like($rights_before, qr/^agent\|kb_defer\|1\|f$/m, 'E6: a role has the right that kb_grant gives');
my $dump = $node->basedir . '/old.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('busy') ], 'a dump of the old version');

# The new files are there, and the database is not updated

my $session = $node->background_psql('busy', on_error_stop => 0);
$session->query('SELECT kbilling.kb_balance(1)');
install($next);
my $message = "kbilling is of version $version in this database, but its library is of version $next";
for my $call (q{SELECT kbilling.kb_balance(1)},
	q{SELECT kbilling.kb_apply_topup(1, '1 USD', 'card', 'mixed')}, q{CALL kbilling.kb_sweep()},
	q{SELECT * FROM kbilling.kb_access(1, 'owner')}, q{SELECT kbilling.kb_record_usage(7, 'orders', 1, 'mixed')})
{
	my (undef, undef, $error) = $node->psql('busy', $call);
	like($error, qr/ERROR:  \Q$message\E.*HINT:  Run ALTER EXTENSION kbilling UPDATE as a superuser/s, "new library, old objects: $call");
}
is($node->safe_psql('busy', q{
	SELECT kbilling.kb_amount(kbilling.sum(balance) FILTER (WHERE currency = 'USD')) <> 0 FROM kbilling.account}), 't',
	'what only computes goes on, and so does a dump');
$node->command_ok([ 'pg_dump', '-f', '/dev/null', $node->connstr('busy') ], 'pg_dump');

$node->safe_psql('busy', 'ALTER EXTENSION kbilling UPDATE');
is($node->safe_psql('busy', q{SELECT extversion FROM pg_extension WHERE extname = 'kbilling'}), $next, 'the update');
$session->query('SELECT kbilling.kb_balance(1)');
like($session->{stderr}, qr/version $next in this database, but its library is of version \Q$version\E.*connect anew/s,
	'a session that has begun before says so, too');
$session->quit;

# As one that was created with it, and as one that was restored

$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(fresh restored older);
$node->safe_psql('fresh', 'CREATE EXTENSION kbilling');
for my $from (split /\n/, $node->safe_psql('postgres', qq{
	SELECT version FROM pg_available_extension_versions WHERE name = 'kbilling' AND version <> '$next' ORDER BY 1}))
{
	$node->safe_psql('postgres', qq{CREATE DATABASE "from $from"});
	$node->safe_psql("from $from", "CREATE EXTENSION kbilling VERSION '$from'");
	$node->safe_psql("from $from", 'ALTER EXTENSION kbilling UPDATE');
	is_deeply(catalog($node, "from $from"), catalog($node, 'fresh'), "from $from on, all updates lead to what a new database has")
		or diag_difference(catalog($node, "from $from"), catalog($node, 'fresh'));
}
is_deeply(catalog($node, 'busy'), catalog($node, 'fresh'), 'updated, the catalog is as if it had been created so')
	or diag_difference(catalog($node, 'busy'), catalog($node, 'fresh'));
cmp_ok(scalar @{ catalog($node, 'fresh') }, '>', 2000, 'all of it');

sub diag_difference
{
	my ($have, $want) = @_;
	my %want = map { $_ => 1 } @$want;
	my %have = map { $_ => 1 } @$have;
	diag("only after the update: $_") for grep { !$want{$_} } @$have;
	diag("only when created: $_") for grep { !$have{$_} } @$want;
	return;
}

my $new_dump = $node->basedir . '/new.sql';
$node->command_ok([ 'pg_dump', '-f', $new_dump, $node->connstr('busy') ], 'a dump of the updated database');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $new_dump ], 'and its restore');
# A dump of the old version goes into a database that has that, which is updated afterwards.
$node->safe_psql('older', "CREATE EXTENSION kbilling VERSION '$version'");
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('older'), '-f', $dump ], 'the old dump is restored');
$node->safe_psql('older', 'ALTER EXTENSION kbilling UPDATE');

for my $database ('restored', 'older')
{
	is_deeply(catalog($node, $database, 1), catalog($node, 'busy', 1), "$database: the same catalog, with the rights of all roles")
		or diag_difference(catalog($node, $database, 1), catalog($node, 'busy', 1));
}
for my $database ('busy', 'restored', 'older')
{
	is($node->safe_psql($database, 'SELECT * FROM kbilling.kb_check()'), '', "$database: the books are right");
	is($node->safe_psql($database, 'SELECT account_id, member, note FROM kbilling.member_note ORDER BY 1, 2'), $notes,
		"$database: the fact has moved");
	is($node->safe_psql($database, $rights), $rights_before, "$database: who had rights has them, and nobody else");
}
$node->safe_psql('busy', q{SELECT kbilling.kb_grant('agent', 'payments')});
is($node->safe_psql('busy', q{SELECT has_function_privilege('agent', 'kbilling.kb_metadata(bigint)', 'EXECUTE')}), 't',
	'kb_grant gives what has been added');

my $went_on = $node->safe_psql('busy', $go_on);
my $contents = lasting_contents($node, 'busy');
for my $database ('restored', 'older')
{
	is($node->safe_psql($database, $go_on), $went_on, "$database: it answers alike");
	is_deeply(lasting_contents($node, $database), $contents, "$database: and writes the same");
}

$node->stop;
done_testing();

# A folder that is gone with the test
sub tempdir
{
	return PostgreSQL::Test::Utils::tempdir('release');
}
