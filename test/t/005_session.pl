# A session outlives the extension: it is dropped and created again, or its
# creation is undone, and the session's prepared statements with it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('session');
$node->init;
$node->append_conf('postgresql.conf', "kbilling.clock = '2025-08-02 06:00+00'");
$node->start;

# Everything that keeps a prepared statement.
my $use = q{
	SELECT kbilling.kb_create_tariff('start', 'USD');
	SELECT kbilling.kb_set_price('start', 'base', '31');
	SELECT kbilling.kb_set_bonus('start', '50 USD', 10);
	SELECT kbilling.kb_create_account('owner', 'start', id, created_at => '2025-06-01 00:00+00') FROM generate_series(1, 2) AS id;
	SELECT kbilling.kb_apply_topup(1, '100 USD', 'card', 'pay-1', 'owner');
	SELECT kbilling.kb_apply_topup(1, '100 USD', 'card', 'pay-1');
	SELECT kbilling.kb_month_charge(1);
	SELECT kbilling.kb_month_charge(1, '2025-06-01');
	SELECT kbilling.kb_refund(1, '3 USD', 'back-1'), kbilling.kb_adjust(1, '-1 USD', 'cent-1', 'test'),
		kbilling.kb_reverse(1, 5, 'undo-1', 'test');
	SELECT kbilling.kb_chargeback(1, 'pay-1', 'lost-1');
	SELECT kbilling.kb_access(1, 'admin'), kbilling.kb_access_stage(1), kbilling.kb_balance(1);
	SELECT kbilling_internal.kb_sweep_begin();
	SELECT kbilling_internal.kb_sweep_step(1) FROM generate_series(1, 4);
	SELECT kbilling.kb_write_off(2, 'gone', 'test');
	SELECT account_id, seq, kind, amount, balance_after FROM kbilling.entry ORDER BY 1, 2;
	SELECT * FROM kbilling.kb_check();
};
my $drop = 'SET kbilling.allow_drop = on; DROP EXTENSION kbilling; RESET kbilling.allow_drop;';
my $create = 'CREATE EXTENSION kbilling;';

sub session
{
	my ($script) = @_;
	return $node->safe_psql('postgres', $script);
}

my $once = session($create . $use . $drop);
like($once, qr/^1\|6\|reversal\|1\.00 USD\|/m, 'everything has been used');
is(session($create . $use . $drop . $create . $use . $drop), "$once\n$once", 'created again, it works in the same session');
is(session("BEGIN; $create $use ROLLBACK; $create $use $drop"), "$once\n$once", 'and after its creation was undone');
is(session("$create $use BEGIN; $drop $create $use ROLLBACK;
	SELECT kbilling.kb_balance(1), (kbilling.kb_apply_topup(1, '9 USD', 'card', 'pay-9')).entry_seq; $drop"),
	"$once\n$once\n-52.00 USD|9", 'and after its drop was undone');

# J7: a session that knows nothing of it must not lose the journal either.
session($create . $use);
my (undef, undef, $error) = $node->psql('postgres', 'DROP EXTENSION kbilling');
like($error, qr/dropping kbilling is refused: its journal has entries/, 'J7: the drop is refused in a session of its own');
(undef, undef, $error) = $node->psql('postgres', 'SET client_min_messages = error; DROP SCHEMA kbilling CASCADE');
like($error, qr/is refused/, 'J7: that of the schema, too');
is(session('SET kbilling.allow_drop = on; DROP EXTENSION kbilling; SELECT count(*) FROM pg_extension WHERE extname = \'kbilling\''),
	0, 'J7: unless it is said that this is meant');

$node->stop;
done_testing();
