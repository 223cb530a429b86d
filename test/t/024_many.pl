# One transaction does the same to one account thousands of times, as a migration does: what a call costs does not grow with
# the calls before it (J2).  It is the server's processor time that is measured, as other work on the machine does not add to it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('many');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nkbilling.clock = '2025-09-20 12:00+00'\nlog_statement = none");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kbilling;
	SET search_path = public, kbilling;
	SELECT kb_create_tariff('start', 'USD'), kb_create_service('calls', 'metered'), kb_set_price('start', 'calls', '0.10 each'),
		kb_set_bonus('start', '1 USD', 10), kb_create_account('olga', 'start', id) FROM generate_series(1, 1) AS id;
	SELECT kb_create_account('olga', 'start', id) FROM generate_series(2, 50) AS id;
	VACUUM ANALYZE});

# Seconds of the processor for so many calls in a transaction, %n being the number of the call
my $account = 1;
sub seconds
{
	my ($call, $calls) = @_;
	$account++;
	my $sql = $call =~ s/%id/$account/r =~ s/%n/n/gr;
	my (undef, undef, $err) = $node->psql('postgres', "SET client_min_messages = log; SET search_path = public, kbilling;
		SET log_statement_stats = on; SELECT count($sql) FROM generate_series(1, $calls) AS n");
	my ($user, $system) = $err =~ /([\d.]+) s user, ([\d.]+) s system, [\d.]+ s elapsed/ or die $err;
	return $user + $system;
}

for my $case (
	[ 'a top-up', q{(kb_apply_topup(%id, '2 USD', 'card', 'p-' || %n)).balance}, 5000, 8 ],
	[ 'usage', q{kb_record_usage(%id, 'calls', 1, 'u-' || %n)}, 5000, 8 ],
	# each reads and writes all lots of the account, which are as many as calls came before
	[ 'credit with an expiry of its own', q{kb_grant_credit(%id, '1 USD', 'g-' || %n, 'x', current_date + %n)}, 500, 20 ])
{
	my ($what, $call, $calls, $most) = @$case;
	seconds($call, 100);
	my @seconds = map { seconds($call, $_) } $calls, 4 * $calls;
	cmp_ok($seconds[1] / $seconds[0], '<', $most,
		sprintf '%s: %d calls take %.2f s, and four times as many %.2f s', $what, $calls, @seconds);
}
is($node->safe_psql('postgres', 'SELECT * FROM kbilling.kb_check()'), '', 'the books are right');

# The place of what was written last is known, but not if that was undone, or written once more by somebody else.
is($node->safe_psql('postgres', q{
	SET search_path = public, kbilling;
	BEGIN;
	SELECT balance FROM kb_apply_topup(50, '0.10 USD', 'card', 'a');
	SAVEPOINT s;
	SELECT balance FROM kb_apply_topup(50, '0.20 USD', 'card', 'b');
	ROLLBACK TO s;
	SELECT balance FROM kb_apply_topup(50, '0.30 USD', 'card', 'c');
	SELECT kb_set_metadata(50, '{"a": 1}');
	SELECT balance FROM kb_apply_topup(49, '0.50 USD', 'card', 'a');
	SELECT balance FROM kb_apply_topup(50, '0.40 USD', 'card', 'd');
	COMMIT;
	SELECT balance FROM kb_apply_topup(50, '0.50 USD', 'card', 'e');
	SELECT metadata FROM account WHERE account_id = 50}) =~ s/^\n//mgr,
	qq{0.10 USD\n0.30 USD\n0.40 USD\n0.50 USD\n0.80 USD\n1.30 USD\n{"a": 1}}, 'J2: each posting goes on from the one before');
is($node->safe_psql('postgres', 'SELECT * FROM kbilling.kb_check()'), '', 'the books are right');
$node->stop;
done_testing();
