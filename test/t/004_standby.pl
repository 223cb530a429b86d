# A hot standby answers where an account stands as the primary does, writes
# nothing, and takes over when it is promoted (S5, W1).
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->start;
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# Each owes 31.00 for July since 1 August: account 1 has 31.00 to pay it, 2 nothing, 3 a deferral.
$primary->safe_psql('postgres', q{
	CREATE EXTENSION kbilling;
	SET search_path = kbilling;
	SET kbilling.clock = '2025-07-01 00:00+00';
	SELECT kb_create_tariff('start', 'USD');
	SELECT kb_set_price('start', 'base', '31');
	SELECT kb_create_account('owner', 'start', id) FROM generate_series(1, 3) AS id;
	SELECT kb_apply_topup(1, '31 USD', 'card', 'pay-1');
	SET kbilling.clock = '2025-08-01 06:00+00';
	CALL kb_sweep();
	SELECT kb_defer(3, '2025-08-08', 'support', 'holiday')});
$primary->wait_for_catchup($standby);

# What both say at a moment.
my $standing = q{
	SET search_path = kbilling;
	SELECT account_id, balance, stage, debt_since, amount_due, next_stage, next_stage_on FROM account_status ORDER BY 1;
	SELECT kb_access_stage(2), kb_access_stage(3), kb_access(2, 'admin'), kb_access(2, 'employee'), kb_balance(1);
	SELECT kb_balance(1, '2025-07-31 12:00+00'), kb_access_stage(2, '2025-08-05 12:00+00'), kb_access_stage(3, '2025-08-09 00:00+00');
	SELECT kb_balance(1, '2025-10-02 00:00+00'), kb_access(1, 'owner', '2025-09-04 00:00+00');
	SELECT service, from_date, to_date, amount FROM kb_current_usage(1);
	SELECT * FROM trial_balance ORDER BY 1, 2;
	SELECT name, labels, value FROM metrics;
	SELECT * FROM kb_verify(1);
	SELECT * FROM kb_check()};
for my $at ('2025-08-03 23:59:59+00', '2025-08-04 00:00+00', '2025-08-07 12:00+00', '2025-08-10 00:00+00')
{
	my ($there, $here) = map { $_->safe_psql('postgres', "SET kbilling.clock = '$at'; $standing") } $standby, $primary;
	is($there, $here, "S5: at $at the standby says what the primary says");
}
is($standby->safe_psql('postgres', q{
	SET kbilling.clock = '2025-08-03 23:59:59+00'; SELECT kbilling.kb_access_stage(2), kbilling.kb_access_stage(3);
	SET kbilling.clock = '2025-08-04 00:00+00'; SELECT kbilling.kb_access_stage(2), kbilling.kb_access_stage(3);
	SET kbilling.clock = '2025-08-07 00:00+00'; SELECT kbilling.kb_access_stage(2), kbilling.kb_access_stage(3);
	SET kbilling.clock = '2025-08-10 00:00+00'; SELECT kbilling.kb_access_stage(2), kbilling.kb_access_stage(3)}),
	"grace|grace\nremind|grace\nrestrict|grace\nblocked|blocked", 'S2, S4: the stages turn at midnight there, with no job to run');
is($standby->safe_psql('postgres', q{
	SET search_path = kbilling; SET kbilling.clock = '2025-08-05 12:00+00';
	SELECT kb_balance(1, '2025-07-31 12:00+00'), kb_balance(1, '2025-08-02 00:00+00'), kb_balance(1, '2025-09-02 00:00+00')}),
	'31.00 USD|0.00 USD|-31.00 USD', 'S6: the past and what is ahead can be asked for there');

# D7: who logs in there, or acts, is let in, and leaves no trace.
is($standby->safe_psql('postgres', q{
	SET kbilling.clock = '2025-08-03 12:00+00'; SET search_path = kbilling;
	BEGIN; SELECT kb_act_as(1, 'owner'); SELECT kb_acting_member(); COMMIT;
	SELECT access FROM kb_login(1, 'owner'); SELECT count(*) FROM activity}), "\nowner\nfull\n0", 'D7: one may act and log in there');

# A session there that has read a policy sees what is written of it on the primary.
my $told = sprintf q{
	SET kbilling.clock = '2025-08-02 12:00+00'; SET search_path = kbilling;
	SELECT kb_access_stage(2);
	\\! psql -XAtq -d "%s" -c "UPDATE kbilling.tariff SET policy = 'hasty'" >&2
	DO $$ BEGIN WHILE EXISTS (SELECT FROM kbilling.tariff WHERE policy = 'standard') LOOP PERFORM pg_sleep(0.1); END LOOP; END $$;
	SELECT kb_access_stage(2);
	\\! psql -XAtq -d "%s" -c "UPDATE kbilling.policy SET remind_day = 3 WHERE policy = 'hasty'" >&2
	DO $$ BEGIN WHILE EXISTS (SELECT FROM kbilling.policy WHERE remind_day = 2) LOOP PERFORM pg_sleep(0.1); END LOOP; END $$;
	SELECT kb_access_stage(2)}, ($primary->connstr('postgres')) x 2;
$primary->safe_psql('postgres', q{SELECT kbilling.kb_set_policy('hasty', '{"remind_day": 2}')});
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $told), "grace\nremind\ngrace", 'S5: and keeps no policy that has been changed');
$primary->safe_psql('postgres', q{UPDATE kbilling.tariff SET policy = 'standard'});
$primary->wait_for_catchup($standby);

# B3: nor what the node has owned, at first without shards: account 1 is in bucket 838.
my $own = 'SELECT kbilling.kb_own_buckets(ARRAY(SELECT b FROM generate_series(0, 1023) b WHERE b <> %d))';
my $moved = sprintf q{
	SET search_path = kbilling;
	SELECT kb_balance(1);
	\\! psql -XAtq -d "%s" -c "%s" >&2
	DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM kbilling.shard_bucket WHERE bucket = 838 AND NOT is_owned) LOOP
		PERFORM pg_sleep(0.1); END LOOP; END $$;
	SELECT kb_balance(1);
	SELECT kb_balance(2);
	\\! psql -XAtq -d "%s" -c "%s" >&2
	DO $$ BEGIN WHILE EXISTS (SELECT FROM kbilling.shard_bucket WHERE bucket = 838 AND NOT is_owned) LOOP
		PERFORM pg_sleep(0.1); END LOOP; END $$;
	SELECT kb_balance(1)}, map { $primary->connstr('postgres'), sprintf($own, $_) } 838, -1;
my (undef, $balances, $refusal) = $standby->psql('postgres', $moved, on_error_stop => 0);
is($balances, "0.00 USD\n-31.00 USD\n0.00 USD", 'B3: a session there reads what is owned, and again when it is owned again');
like($refusal, qr/ERROR:  account 1 is on another shard$/m, 'B3: and is told what is not owned any more');
$primary->safe_psql('postgres', 'DELETE FROM kbilling.shard_bucket');
$primary->wait_for_catchup($standby);

# What writes does not.
my ($status, undef, $error) = $standby->psql('postgres', 'CALL kbilling.kb_sweep()');
is($status, 0, 'W1: a sweep leaves quietly');
like($error, qr/NOTICE:  the sweep does not run on a standby/, 'W1: and says why');
for my $call (
	q{kbilling.kb_apply_topup(1, '5 USD', 'card', 'pay-2')}, q{kbilling.kb_month_charge(1)}, q{kbilling.kb_switch_on(1, 'seat')},
	q{kbilling.kb_create_account('owner', 'start')}, q{kbilling_internal.kb_sweep_begin()})
{
	(undef, undef, $error) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT $call", on_error_die => 0);
	like($error, qr/ERROR:  25006/, "$call cannot write there");
}

# A run that nobody is at: on the primary its lock is missing, and on a standby, which sees no locks, the row is all there is.
$primary->safe_psql('postgres', 'SELECT kbilling_internal.kb_sweep_begin()');
$primary->wait_for_catchup($standby);
is($_->[0]->safe_psql('postgres', 'SELECT running, interrupted FROM kbilling.kb_sweep_status()'), $_->[1],
	'W3: what ' . $_->[0]->name . ' says of a run')
	for [ $primary, 'f|t' ], [ $standby, 't|f' ];

# Failover.
$primary->stop('immediate');
$standby->promote;
is($standby->safe_psql('postgres', q{
	SET search_path = kbilling; SET kbilling.clock = '2025-09-01 00:00+00';
	CALL kb_sweep();
	SELECT outcome, periods_due, periods_charged FROM sweep_run ORDER BY run_id DESC LIMIT 1;
	SELECT entry_seq, balance, replayed FROM kb_apply_topup(1, '31 USD', 'card', 'pay-1');
	SELECT entry_seq, balance, replayed FROM kb_apply_topup(2, '62 USD', 'card', 'pay-2');
	SELECT * FROM kb_check()}),
	"finished|3|3\n1|31.00 USD|t\n3|0.00 USD|f", 'promoted, it sweeps and posts on');

$standby->stop;
done_testing();
