# The extension comes, goes, and comes back; a schema of its name that was
# there before stops it, and stays as it was; a function that is added to its
# script is closed.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('install');
$node->init;
$node->start;

# Number of schemas, extensions named kbilling.
sub count_in
{
	my ($catalog, $column) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM $catalog WHERE $column = 'kbilling'");
}

for my $time ('first', 'second')
{
	$node->safe_psql('postgres', 'CREATE EXTENSION kbilling');
	is(count_in('pg_namespace', 'nspname'), 1, "$time time: created");

	$node->safe_psql('postgres', 'DROP EXTENSION kbilling');
	is(count_in('pg_namespace', 'nspname'), 0, "$time time: nothing left");
}

$node->safe_psql('postgres', 'CREATE ROLE mallory');
for my $schema ('kbilling', 'kbilling_internal')
{
	$node->safe_psql('postgres', qq{
		CREATE SCHEMA $schema AUTHORIZATION mallory;
		CREATE TABLE $schema.planted AS SELECT 1 AS mine});
	my ($status, undef, $stderr) = $node->psql('postgres', 'CREATE EXTENSION kbilling');
	isnt($status, 0, "a planted schema $schema stops the installation");
	like($stderr, qr/schema "$schema" already exists/, 'and the error says so');
	is(count_in('pg_extension', 'extname'), 0, 'nothing is installed');
	is($node->safe_psql('postgres', "SELECT mine FROM $schema.planted"),
		1, 'the planted schema is as it was');
	is($node->safe_psql('postgres', qq{
		SELECT nspowner::regrole FROM pg_namespace WHERE nspname = '$schema'}),
		'mallory', 'and whose it was');
	$node->safe_psql('postgres', "DROP SCHEMA $schema CASCADE");
}

# The script, run by hand with one function more in each schema.
my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
my ($script_file) = sort glob "$sharedir/extension/kbilling--*.sql";
my $script = slurp_file($script_file);
$script =~ s/^\\echo.*//mg;
$script =~ s/^SELECT pg_catalog\.pg_extension_config_dump\([^;]*;//mg;
$script =~ s/MODULE_PATHNAME/\$libdir\/kbilling/g;
my $added = join '', map { "CREATE FUNCTION $_.kb_added() RETURNS integer LANGUAGE sql RETURN 1;\n" } 'kbilling', 'kbilling_internal';
is($script =~ s/(?=^REVOKE EXECUTE ON ALL ROUTINES )/$added/mg, 1, 'one statement closes every routine');
$node->safe_psql('postgres', 'CREATE DATABASE longer');
$node->safe_psql('longer', "BEGIN;\n$script;\nCOMMIT");
is($node->safe_psql('longer', q{
	SELECT string_agg(p.oid::regprocedure::text, ' ' ORDER BY 1), bool_or(has_function_privilege('mallory', p.oid, 'EXECUTE'))
	FROM pg_proc p WHERE p.proname = 'kb_added'}),
	'kbilling.kb_added() kbilling_internal.kb_added()|f', 'a function that is not listed is closed to everyone');
is($node->safe_psql('longer', q{SELECT has_function_privilege('mallory', 'kbilling.kb_now()', 'EXECUTE')}),
	't', 'one that is listed is open');

$node->stop;
done_testing();
