# The books move to another server by logical replication, as docs/operations.md says, and go on there.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = PostgreSQL::Test::Cluster->new('old');
$old->init(allows_streaming => 'logical');
$old->start;
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->start;

$old->safe_psql('postgres', q{
	CREATE EXTENSION kbilling;
	SET search_path = kbilling;
	SET kbilling.clock = '2025-07-01 00:00+00';
	INSERT INTO policy (policy, remind_day) VALUES ('early', 2);
	SELECT kb_create_tariff('start', 'USD', policy => 'early'), kb_create_service('seat', 'recurring'),
		kb_create_service('orders', 'metered');
	SELECT kb_set_price('start', 'base', '31'), kb_set_price('start', 'seat', '2 each'), kb_set_price('start', 'orders', '0.10 each');
	SELECT kb_create_account('owner', 'start') FROM generate_series(1, 20);
	SELECT kb_apply_topup(account_id, '40 USD', 'card', 'pay-1'), kb_switch_on(account_id, 'seat', 3) FROM account WHERE account_id % 2 = 0;
	SELECT kb_record_usage(account_id, 'orders', 5, 'order-1') FROM account WHERE account_id % 3 = 0;
	SELECT kb_own_buckets(array_agg(kb_shard(n))) FROM generate_series(1, 30) n;
	SET kbilling.clock = '2025-08-01 06:00+00';
	CALL kb_sweep()});

# What the page says, step by step
$old->safe_psql('postgres', 'CREATE PUBLICATION kbilling FOR TABLES IN SCHEMA kbilling');
$new->safe_psql('postgres', q{
	CREATE EXTENSION kbilling;
	SET session_replication_role = replica;
	DELETE FROM kbilling.service;
	DELETE FROM kbilling.policy;
	DELETE FROM kbilling.payment_method});
$new->safe_psql('postgres', sprintf("CREATE SUBSCRIPTION kbilling CONNECTION '%s' PUBLICATION kbilling",
	$old->connstr . ' dbname=postgres'));
$new->wait_for_subscription_sync($old, 'kbilling');

# The old server works on meanwhile: what is posted, charged, purged and changed goes over too.
$old->safe_psql('postgres', q{
	SET search_path = kbilling;
	SET kbilling.clock = '2025-11-20 06:00+00';
	SELECT kb_apply_topup(1, '400 USD', 'card', 'pay-1'), kb_defer(3, '2025-11-30', 'support', 'holiday'),
		kb_switch_off(2, 'seat'), kb_add_member(4, 'ann', 'admin');
	SELECT kb_set_price('start', 'base', '32', '2025-12-01'), kb_set_price('start', 'base', '33', '2025-12-01'),
		kb_record_usage(6, 'orders', -5, 'cancelled', '2025-07-01 10:00+00');
	CALL kb_sweep();
	SET kbilling.clock = '2025-12-02 06:00+00';
	CALL kb_sweep();
	SET kbilling.clock = '2025-12-12 06:00+00';
	CALL kb_sweep();
	SET kbilling.clock = '2026-01-02 06:00+00';
	CALL kb_sweep();
	SET kbilling.clock = '2026-01-02 07:00+00';
	SELECT kb_ack_notice(account_id, notice_no) FROM kb_take_notices(10, '1 minute')});
$old->wait_for_catchup('kbilling');

my %contents = map {
	my $node = $_;
	my %tables = map { $_ => $node->safe_psql('postgres', "SELECT count(*), md5(string_agg(t::text, ';' ORDER BY t::text)) FROM $_ t") }
		split /\n/, $node->safe_psql('postgres', q{
			SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'kbilling'::regnamespace AND c.relkind = 'r'});
	$node->name => \%tables
} $old, $new;
is($old->safe_psql('postgres', "SELECT count(DISTINCT step) FROM kbilling.closure_step WHERE step <> 'cancelled' AND step <> 'restored'"),
	4, 'D6: a purge, and all that comes before it, are to be moved');
is_deeply($contents{new}, $contents{old}, 'every row of every table is on the new server');

$new->safe_psql('postgres', 'DROP SUBSCRIPTION kbilling');
$new->safe_psql('postgres', q{
	SELECT setval('kbilling.account_id_seq', max(account_id)) FROM kbilling.account;
	SELECT setval('kbilling.price_price_id_seq', max(price_id)) FROM kbilling.price;
	SELECT setval('kbilling.sweep_run_run_id_seq', max(run_id)) FROM kbilling.sweep_run});
is($new->safe_psql('postgres', 'SELECT * FROM kbilling.kb_check()'), '', 'J1 to J5: the books there are right');
my $go_on = q{
	SET search_path = kbilling;
	SET kbilling.clock = '2026-02-01 06:00+00';
	CALL kb_sweep();
	SELECT entry_seq, balance, replayed FROM kb_apply_topup(1, '400 USD', 'card', 'pay-1');
	SELECT entry_seq, balance, replayed FROM kb_apply_topup(1, '5 USD', 'card', 'pay-2');
	SELECT kb_create_account('owner', 'start');
	SELECT account_id, state, balance, stage, last_seq FROM account_status ORDER BY 1;
	SELECT * FROM kb_check()};
is($new->safe_psql('postgres', $go_on), $old->safe_psql('postgres', $go_on),
	'sweep, top-ups and new accounts go on there as they would have here');
my (undef, undef, $error) = $new->psql('postgres', q{UPDATE kbilling.entry SET memo = 'other'});
like($error, qr/UPDATE on kbilling.entry is refused/, 'J1: the guards hold there');
(undef, undef, $error) = $new->psql('postgres', q{UPDATE kbilling.policy SET remind_day = 1 WHERE policy = 'standard'});
like($error, qr/built-in row/, 'what is built in is there, and cannot be changed');

(undef, undef, $error) = $new->psql('postgres', q{INSERT INTO kbilling.entry
	SELECT (jsonb_populate_record(e, '{"seq": 999, "key": "x"}')).* FROM kbilling.entry e WHERE account_id = 1 AND seq = 1});
like($error, qr/INSERT on kbilling.entry is refused/, 'J2: an entry by hand is refused there');

# A publisher sends rows as they are: a balance that moves without an entry is named.
$new->safe_psql('postgres', sprintf("CREATE SUBSCRIPTION again CONNECTION '%s' PUBLICATION kbilling WITH (copy_data = false)",
	$old->connstr . ' dbname=postgres'));
$new->wait_for_subscription_sync($old, 'again');
$old->safe_psql('postgres', q{
	ALTER TABLE kbilling.account DISABLE TRIGGER USER;
	UPDATE kbilling.account SET balance = '1000.00 USD' WHERE account_id = 1;
	ALTER TABLE kbilling.account ENABLE ALWAYS TRIGGER account_ledger, ENABLE ALWAYS TRIGGER account_ledger_row});
$old->wait_for_catchup('again');
like($new->safe_psql('postgres', 'SELECT problem FROM kbilling.kb_check() WHERE account_id = 1'), qr/^J2: the balance is 1000\.00 USD/m,
	'J2: so is a balance that replication moves');

# A session there that has read a policy sees what comes of it.
my $told = sprintf q{
	SET search_path = kbilling;
	SET kbilling.clock = '2026-03-02 12:00+00';
	SELECT kb_access_stage(19);
	\\! psql -XAtq -d "%s" -c "UPDATE kbilling.policy SET remind_day = 3 WHERE policy = 'early'" >&2
	DO $$ BEGIN WHILE EXISTS (SELECT FROM kbilling.policy WHERE remind_day = 2) LOOP PERFORM pg_sleep(0.1); END LOOP; END $$;
	SELECT kb_access_stage(19)}, $old->connstr('postgres');
$new->safe_psql('postgres', q{
	SET kbilling.clock = '2026-03-01 12:00+00';
	SELECT kbilling.kb_adjust(19, '5000 USD', 'gift', 'gift'), kbilling.kb_adjust(19, '-9000 USD', 'fee', 'fee')});
is($new->safe_psql('postgres', $told), "remind\ngrace", 'S5: no session there keeps a policy that replication has changed');

# What the node owns is no different.
my $moved = sprintf q{
	SET search_path = kbilling;
	SELECT kb_balance(19);
	\\! psql -XAtq -d "%s" -c "UPDATE kbilling.shard_bucket SET is_owned = false WHERE bucket = kbilling.kb_shard(19)" >&2
	DO $$ BEGIN WHILE EXISTS (SELECT FROM kbilling.shard_bucket WHERE bucket = kb_shard(19) AND is_owned) LOOP
		PERFORM pg_sleep(0.1); END LOOP; END $$;
	SELECT kb_balance(19)}, $old->connstr('postgres');
(undef, my $balance, $error) = $new->psql('postgres', $moved);
like($balance, qr/^-?\d+\.\d+ USD$/, 'B3: a session there reads an account that is owned');
like($error, qr/account 19 is on another shard/, 'B3: and is told of a bucket that replication has disowned');
$old->safe_psql('postgres', 'UPDATE kbilling.shard_bucket SET is_owned = bucket <> kbilling.kb_shard(18)');
$old->safe_psql('postgres', 'CALL kbilling.kb_forget_buckets()');
$old->wait_for_catchup('again');
is($_->safe_psql('postgres', 'SELECT count(*) FROM kbilling.entry WHERE account_id = 18'), 0,
	'B8: what it forgets of another node is forgotten on the ' . $_->name . ' server, too') for $old, $new;
$old->safe_psql('postgres', 'UPDATE kbilling.shard_bucket SET is_owned = true');
$old->wait_for_catchup('again');

$new->safe_psql('postgres', 'DROP SUBSCRIPTION again');
$new->stop;

# A price list that is written in one database and read in others, as the page says
my @list = map { "kbilling.$_" } qw(policy service tariff price bonus_tier credit_line usage_limit alert tariff_minimum
	discount_code notice_template payment_method catalogue_name);
$old->safe_psql('postgres', sprintf(
	'CREATE PUBLICATION price_list FOR TABLE %s, kbilling.change_log WHERE (account_id IS NULL)', join(', ', @list)));
my %shards;
for my $name ('first', 'second')
{
	# the second one comes when prices have changed
	my $shard = $shards{$name} = PostgreSQL::Test::Cluster->new($name);
	$shard->init;
	$shard->start;
	$shard->safe_psql('postgres', q{
		CREATE EXTENSION kbilling;
		SET session_replication_role = replica;
		DELETE FROM kbilling.service;
		DELETE FROM kbilling.policy;
		DELETE FROM kbilling.payment_method});
	$shard->safe_psql('postgres', sprintf("CREATE SUBSCRIPTION price_list_$name CONNECTION '%s' PUBLICATION price_list",
		$old->connstr . ' dbname=postgres'));
	$shard->wait_for_subscription_sync($old, "price_list_$name");
	$shard->safe_psql('postgres', q{
		SET search_path = kbilling;
		SET kbilling.clock = '2026-03-01 00:00+00';
		SELECT kb_create_account('ann', 'start', 1), kb_switch_on(1, 'seat', 2);
		SET kbilling.clock = '2026-03-05 00:00+00';
		SELECT kb_record_usage(1, 'orders', 10, 'order-1')});
	$old->safe_psql('postgres', qq{
		SET search_path = kbilling;
		SET kbilling.clock = '2026-03-10 00:00+00';
		SELECT kb_set_price('start', 'base', '40'), kb_set_price('start', 'base', '41'),
			kb_set_price('start', 'seat', '3 each', '2026-03-02');
		SELECT kb_set_price('start', 'orders', CASE '$name' WHEN 'first' THEN '0.20 each' ELSE '0.30 each' END::kb_price, '2026-03-02');
		SELECT kb_set_policy('early', '{"remind_day": 3}'), kb_create_tariff('$name', 'USD', policy => 'early'),
			kb_create_service('$name', 'metered'), kb_set_price('$name', '$name', '1 each'), kb_set_bonus('$name', '10 USD', 5)});
}
$old->wait_for_catchup("price_list_$_") for sort keys %shards;
my $lists = join ' UNION ALL ', map { "SELECT '$_', t::text FROM $_ t" } @list;
my $listed = "SELECT * FROM ($lists UNION ALL SELECT 'log', t::text FROM kbilling.change_log t WHERE account_id IS NULL) t ORDER BY 1, 2";
for my $name (sort keys %shards)
{
	my $shard = $shards{$name};
	is($shard->safe_psql('postgres', $listed), $old->safe_psql('postgres', $listed),
		"J9, C3: the $name one has the price list, and what became of it");
	is($shard->safe_psql('postgres', q{
		SELECT subject, account_id FROM kbilling.change_log WHERE account_id IS NOT NULL;
		SELECT * FROM kbilling.kb_check()}), 'subscription|1', "J9: beside the changes of its own accounts");
	# as the page says of prices that are dated back; the orders were 0.10 or 0.20 each when they were recorded
	$shard->safe_psql('postgres', q{
		SET kbilling.clock = '2026-03-11 00:00+00';
		SELECT kbilling_internal.kb_reprice_tariff('start', 'orders', '2026-03-02')});
	# 33.00, and 40 was withdrawn before it held; 2 seats at 2 on the 1st, and at 3 on 30 of 31 days: 5.94; 10 orders at 0.30
	is($shard->safe_psql('postgres', q{
		SET kbilling.clock = '2026-04-01 06:00+00';
		SELECT period, total FROM kbilling.kb_month_charge(1);
		SET kbilling.clock = '2026-05-01 06:00+00';
		SELECT period, total FROM kbilling.kb_month_charge(1)}),
		"2026-03-01|41.94 USD\n2026-04-01|47.00 USD", "C3: the $name one charges by it");
	$shard->safe_psql('postgres', "DROP SUBSCRIPTION price_list_$name");
	$shard->stop;
}

$old->stop;
done_testing();
