# N4: a date is that date, in whatever time zone the server's machine is.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('message');
$node->init;
for my $zone ('Pacific/Kiritimati', 'Etc/GMT+12')
{
	local $ENV{TZ} = $zone;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION IF NOT EXISTS kbilling');
	is($node->safe_psql('postgres', q{SELECT kbilling.kb_format_message('{d}, {m}', 'en', '{"d": "2026-11-01", "m": "2026-11"}')}),
		'November 1, 2026, November 2026', "a date and a month in $zone");
	$node->stop;
}

done_testing();
