# The extension comes, goes, and comes back; a schema of its name that was
# there before stops it, and stays as it was.
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

$node->safe_psql('postgres', q{
	CREATE ROLE mallory;
	CREATE SCHEMA kbilling AUTHORIZATION mallory;
	CREATE TABLE kbilling.planted AS SELECT 1 AS mine});
my ($status, undef, $stderr) = $node->psql('postgres', 'CREATE EXTENSION kbilling');
isnt($status, 0, 'a planted schema stops the installation');
like($stderr, qr/schema "kbilling" already exists/, 'and the error says so');
is(count_in('pg_extension', 'extname'), 0, 'nothing is installed');
is($node->safe_psql('postgres', 'SELECT mine FROM kbilling.planted'),
	1, 'the planted schema is as it was');
is($node->safe_psql('postgres', q{
	SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'kbilling'}),
	'mallory', 'and whose it was');

$node->stop;
done_testing();
