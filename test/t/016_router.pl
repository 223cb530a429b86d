# Accounts on three shards behind a router: what one database does, they do together (docs: router/README.md).
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @shards = qw(a b c);
my %node;
for my $name ('router', @shards)
{
	$node{$name} = PostgreSQL::Test::Cluster->new($name);
	$node{$name}->init($name eq 'router' ? (allows_streaming => 'logical') : ());
	$node{$name}->start;
}
my $router = $node{router};

# Where a node is.
sub conninfo
{
	my ($name, $database) = @_;
	return sprintf 'host=%s port=%s dbname=%s', $node{$name}->host, $node{$name}->port, $database // 'postgres';
}

# What statements return on a node, or on the router, by the search_path that applications have there.
sub on
{
	my ($name, $query) = @_;
	return $node{$name}->safe_psql('postgres', $query);
}

sub ask
{
	my ($query) = @_;
	return $router->safe_psql('postgres', "SET search_path = kbilling_router, kbilling; $query");
}

# The error of a statement there: its SQLSTATE, message, detail and hint.
sub error_on
{
	my ($name, $query) = @_;
	my (undef, undef, $stderr) = $node{$name}->psql('postgres', "\\set VERBOSITY verbose\n$query", on_error_stop => 0);
	return $stderr =~ s/^psql:\S* //mgr;
}

sub refused
{
	my ($query) = @_;
	return error_on('router', "SET search_path = kbilling_router, kbilling;\n$query");
}

# It is that time on all nodes, for sessions that come.
sub be
{
	my ($time) = @_;
	on($_, "ALTER DATABASE postgres SET kbilling.clock = '$time'") for sort keys %node;
	return;
}

# The shard that has an account, and an account that a shard has.
sub shard_of
{
	my ($account_id) = @_;
	return ask("SELECT shard FROM kb_locate($account_id)");
}

sub account_on
{
	my ($name) = @_;
	return ask("SELECT min(account_id) FROM account WHERE shard = '$name'");
}

sub sweep
{
	on($_, 'CALL kbilling.kb_sweep()') for @shards;
	return;
}

# The router is set up; a map that is not whole, and shards that do not fit, are refused.

on('router', q{CREATE EXTENSION kbilling_router CASCADE; SELECT kbilling.kb_own_buckets('{}')});
like(refused('SELECT kb_metadata(1)'), qr/KB014/, 'B3: before the first refresh there are no proxies');
like(refused('SELECT kb_router_refresh()'), qr/55000: there are no shards.*HINT:  Write the shards/s, 'no shards');
like(refused('SELECT * FROM kb_router_status()'), qr/55000: this router has no proxies yet.*kb_router_refresh/s, 'no cluster');
like(refused(q{INSERT INTO shard VALUES ('a', 'host=x dbname=y password=secret')}),
	qr/22023: the connection string of a shard must not have "password".*CREATE USER MAPPING/s, 'a password is not for all to read');
like(refused(q{INSERT INTO shard VALUES ('a', 'host=x dbname=y user=joe')}), qr/22023: .* must not have "user"/, 'nor is a user');
like(refused(q{INSERT INTO shard VALUES ('a', 'host=x')}), qr/22023: .* must have "dbname"/, 'a database must be named');
like(refused(q{INSERT INTO shard VALUES ('a', 'hast=x dbname=y')}), qr/22023: not a connection string: invalid connection option "hast"/,
	'what libpq does not read');
ask(sprintf 'INSERT INTO shard (shard, conninfo) VALUES %s', join ', ', map { sprintf "('%s', '%s')", $_, conninfo($_) } @shards);
ask(q{INSERT INTO bucket_map SELECT n, ('{a,b,c}'::text[])[1 + n % 3] FROM generate_series(0, 1021) n});
like(refused('SELECT kb_router_refresh()'), qr/55000: 2 buckets have no shard\nDETAIL:  They are 1022-1023\./,
	'B2: a bucket that is on no shard');
like(refused(q{INSERT INTO bucket_map VALUES (1022, 'x')}), qr/23503.*\(shard\)=\(x\) is not present/s, 'an unknown shard');
ask(q{INSERT INTO bucket_map VALUES (1022, 'b'), (1023, 'c')});
like(refused(q{INSERT INTO bucket_map VALUES (7, 'b')}), qr/23505.*\(bucket\)=\(7\) already exists/s, 'B2: a bucket that is on two');
like(refused('SELECT kb_router_refresh()'), qr/55000: the shards do not fit the router\nDETAIL:  shard "a" has no extension kbilling\n/,
	'a database without kbilling is no shard');
ask('SELECT kb_router_refresh(check_nodes => false)');
on($_, ask(sprintf "SELECT kb_shard_script('%s', '%s')", $_, conninfo('router'))) for @shards;
ask('SELECT kb_catalogue_wait(), kb_router_refresh()');
is(ask('SELECT shard, answers, version, buckets, has_catalogue, problems FROM kb_router_status()'),
	"a|t|1.0.0|341|t|\nb|t|1.0.0|342|t|\nc|t|1.0.0|341|t|", 'the shards answer, and have what they need');
is(ask('SELECT * FROM kb_check()'), '', 'all is well');

for my $misfit (
	[ q{UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'kbilling'},
		q{UPDATE pg_extension SET extversion = '1.0.0' WHERE extname = 'kbilling'}, 'shard "b" has kbilling 0.9, the router has 1.0.0' ],
	[ 'CREATE FUNCTION kbilling.kb_extra(account_id bigint) RETURNS bigint LANGUAGE sql RETURN 1',
		'DROP FUNCTION kbilling.kb_extra', 'shard "b" has other functions or tables in kbilling than the router' ])
{
	my ($break, $mend, $problem) = @$misfit;
	on('b', $break);
	like(refused('SELECT kb_router_refresh()'), qr/55000: the shards do not fit the router\nDETAIL:  \Q$problem\E\nHINT/, $problem);
	is(ask('SELECT shard, problem FROM kb_check()'), "b|$problem", 'kb_check names it');
	on('b', $mend);
}

# What is called for one account is there, or it is said why not.

is(on('router', q{
	SELECT DISTINCT r.object FROM kbilling.role_right r
	LEFT JOIN pg_proc p ON p.oid = CASE r.kind WHEN 'ROUTINE' THEN to_regprocedure(r.object) END
	LEFT JOIN pg_class c ON c.oid = CASE r.kind WHEN 'TABLE' THEN to_regclass(r.object) END
	WHERE (r.kind = 'ROUTINE' OR c.relnamespace = 'kbilling'::regnamespace)
		AND (EXISTS (SELECT FROM pg_proc x JOIN pg_namespace n ON n.oid = x.pronamespace AND n.nspname LIKE 'kbilling\_router%'
					 WHERE x.proname = p.proname AND x.proargtypes = p.proargtypes)
			 OR EXISTS (SELECT FROM pg_class x WHERE x.relnamespace = 'kbilling_router'::regnamespace AND x.relname = c.relname))
			= EXISTS (SELECT FROM kbilling_router.not_proxied x WHERE x.name IN (p.proname, c.relname))}), '',
	'E6: each function and table that kb_grant gives is proxied, or is on the list of those that are not');
is(ask(q{SELECT name FROM not_proxied x WHERE NOT EXISTS (SELECT FROM pg_proc p WHERE p.proname = x.name
			AND p.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace))
		AND coalesce(to_regclass('kbilling.' || x.name), to_regclass('kbilling_internal.' || x.name)) IS NULL OR x.reason = ''}), '',
	'the list names what there is');
is(ask(q{
	SELECT p.oid::regprocedure FROM pg_proc p
	WHERE p.pronamespace = 'kbilling'::regnamespace AND p.proargtypes[0] = 'bigint'::regtype AND p.proargnames[1] = 'account_id'
		AND p.proname NOT IN (SELECT name FROM not_proxied) AND NOT EXISTS (
			SELECT FROM pg_proc x WHERE x.pronamespace = 'kbilling_router'::regnamespace AND x.proname = p.proname
			AND pg_get_function_arguments(x.oid) = pg_get_function_arguments(p.oid)
			AND pg_get_function_result(x.oid) = pg_get_function_result(p.oid)
			AND obj_description(x.oid, 'pg_proc') ~ 'committed there at once.*a rollback here undoes nothing')}), '',
	'proxies have the names, arguments, defaults and results of kbilling, and say that the shard commits by itself');
is(ask(q{
	SELECT o FROM (
		SELECT p.oid::regprocedure::text AS o, obj_description(p.oid, 'pg_proc') AS d FROM pg_proc p
		WHERE p.pronamespace IN ('kbilling_router'::regnamespace, 'kbilling_router_internal'::regnamespace)
		UNION ALL
		SELECT c.oid::regclass || '.' || a.attname, col_description(c.oid, a.attnum) FROM pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.relnamespace IN ('kbilling_router'::regnamespace, 'kbilling_router_internal'::regnamespace) AND c.relkind IN ('r', 'v')
			AND EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
		UNION ALL
		SELECT c.oid::regclass::text, obj_description(c.oid, 'pg_class') FROM pg_class c
		WHERE c.relnamespace IN ('kbilling_router'::regnamespace, 'kbilling_router_internal'::regnamespace) AND c.relkind IN ('r', 'v')) x
	WHERE d IS NULL}), '', 'all of the router says what it is');
is(ask(q{SELECT name FROM kbilling.metrics EXCEPT SELECT name FROM metrics}), '', 'each metric is there');

# A story, told in the same words to the router and to one database.

my @story = (
	[ '2025-07-01 00:00+00', q{
		SELECT kb_set_policy('early', '{"remind_day": 2}');
		SELECT kb_create_tariff('start', 'USD', policy => 'early'), kb_create_service('seat', 'recurring'),
			kb_create_service('orders', 'metered');
		SELECT kb_set_price('start', 'base', '31'), kb_set_price('start', 'seat', '2 each'), kb_set_price('start', 'orders', '0.10 each'),
			kb_set_bonus('start', '100 USD', 10)}, 'prices' ],
	[ '2025-07-01 01:00+00', q{
		SELECT kb_create_account('owner', 'start', email => format('owner%s@example.org', n)) FROM generate_series(1, 24) n;
		SELECT kb_create_account('guest', 'start', 27, 'Europe/Kyiv'), kb_create_account('late', 'start', 30);
		SELECT count(kb_create_account('owner', 'start')) FROM generate_series(1, 6);
		SELECT kb_add_member(n, 'ann', 'admin', 'ann@example.org') FROM generate_series(1, 24, 4) n;
		SELECT kb_switch_on(n, 'seat', 3) FROM generate_series(1, 24, 2) n}, 'accounts' ],
	[ '2025-07-03 12:00+00', q{
		SELECT entry_seq, credited, bonus, balance, replayed
		FROM generate_series(1, 24, 3) n CROSS JOIN LATERAL kb_apply_topup(n, '120 USD', 'card', 'pay-1', 'owner');
		SELECT balance, replayed FROM kb_apply_topup(1, '120 USD', 'card', 'pay-1');
		SELECT kb_refund(4, '20 USD', 'back-1', topup_reference => 'pay-1'), kb_chargeback(7, 'pay-1', 'lost-1');
		SELECT p.payment_id, p.bonus FROM kb_begin_topup(2, 'owner', '100 USD', 'card') p;
		SELECT balance FROM kb_apply_topup(2, '100 USD', 'google_pay', 'pay-2', payment_id => 1, paid => '4150 UAH');
		SELECT (kb_access(1, 'owner')).*}, 'payments' ],
	[ '2025-07-10 12:00+00', q{
		SELECT kb_record_usage(n, 'orders', n, 'order-1', properties => '{"from": "web"}') FROM generate_series(1, 24) n;
		SELECT kb_record_usage_batch(jsonb_agg(jsonb_build_object('account_id', n, 'service', 'orders', 'quantity', 2, 'key', 'batch-1')))
		FROM generate_series(1, 24) n;
		SELECT kb_record_usage_batch(jsonb_agg(
			jsonb_build_object('account_id', n, 'service', 'orders', 'quantity', 2, 'key', 'batch-' || k)))
		FROM generate_series(1, 12) n, generate_series(1, 2) k;
		SELECT line_no, service, quantity, amount FROM kb_current_usage(2);
		SELECT access, stage, amount_due FROM kb_login(2, 'owner');
		SELECT kb_portal(2, 'owner')->'balance';
		SELECT seq, entry FROM kb_history(2, 'owner')}, 'usage' ],
	[ '2025-08-01 06:00+00', undef, 'month end' ],
	[ '2025-08-02 06:00+00', q{
		SELECT kb_defer(3, '2025-08-20', 'support', 'holiday'), kb_write_off(6, 'gone', 'nobody answers'),
			kb_set_contact(5, 'ann', 'anna@example.org', 'uk'), kb_set_tariff(9, 'start');
		SELECT kb_end_account(12, 'owner', '2025-08-11', 'leaves'), kb_end_account(14, 'support', '2025-08-31'),
			kb_continue_account(14, 'owner');
		SELECT n, kb_access_stage(n), kb_balance(n) FROM generate_series(1, 24) n ORDER BY n;
		SELECT period, charge, balance, stage FROM kb_forecast(2, 3);
		SELECT kb_amount_for(2, 2)}, 'debt' ],
	[ '2025-08-12 06:00+00', q{
		SELECT n, kb_access_stage(n) FROM generate_series(1, 24) n ORDER BY n;
		SELECT balance, stage_before, stage_after FROM kb_apply_topup(8, '40 USD', 'bank_transfer', 'pay-3')}, 'stages' ],
	[ '2025-08-20 06:00+00', q{
		SELECT kb_schedule_closure(5, 'support', 'asked for');
		SELECT kb_schedule_closure(11, 'support'), kb_cancel_closure(11, 'owner')}, 'closure' ],
	[ '2025-08-27 06:00+00', undef, 'a reminder' ],
	[ '2025-08-29 06:00+00', undef, 'another' ],
	[ '2025-08-31 06:00+00', undef, 'deletion' ],
	[ '2025-09-02 06:00+00', q{SELECT kb_restore_account(5, 'support'); SELECT kb_adjust(10, '5 USD', 'gift-1', 'sorry')}, 'after it' ]);

# What both say in the end; "shard" is the router's alone.
my @summary = (
	'SELECT * FROM trial_balance ORDER BY currency, ledger_account',
	q{SELECT name, labels, value FROM metrics WHERE name NOT LIKE '%_seconds' AND name <> 'kbilling_shard_up' ORDER BY name, labels::text},
	q{SELECT account_id, state, balance, stage, debt_since, amount_due, next_stage, next_stage_on, delete_on, last_seq, ends_on, refundable
		FROM account_status ORDER BY 1},
	q{SELECT account_id, seq, kind, amount, balance_after, key, encode(hash, 'hex') FROM entry ORDER BY 1, 2},
	'SELECT account_id, notice_no, kind, occasion, due_at FROM notice ORDER BY 1, 2',
	'SELECT account_id, line_no, service, amount FROM charge_line ORDER BY 1, seq, 2',
	'SELECT account_id, service, before, after FROM change_log ORDER BY 1, 2, changed_at, after::text',
	'SELECT sum(accounts_seen) FROM (SELECT count(*) AS accounts_seen FROM account) x');

$router->safe_psql('postgres', 'CREATE DATABASE single');
$router->safe_psql('single', 'CREATE EXTENSION kbilling');
my $single = sub {
	my ($query) = @_;
	return $router->safe_psql('single', "SET search_path = kbilling; $query");
};
for my $chapter (@story)
{
	my ($time, $query, $name) = @$chapter;
	be($time);
	$router->safe_psql('postgres', "ALTER DATABASE single SET kbilling.clock = '$time'");
	if (defined $query)
	{
		my $told = ask($query);
		is($told, $single->($query), "$name: through the router as in one database");
		ask('SELECT kb_catalogue_wait()') if $name eq 'prices';
	}
	sweep();
	$single->('CALL kb_sweep()');
}
is(ask($_), $single->($_), "the same at the end: $_") for @summary;
is(ask('SELECT * FROM kb_check()'), '', 'J2, J5: the books of all shards are right');
is(ask('SELECT count(DISTINCT shard), count(*) FROM account'), '3|32', 'accounts are on all shards');
is(ask('SELECT count(*) FROM account a WHERE shard <> (SELECT l.shard FROM kb_locate(a.account_id) l)'), '0', 'each where kb_locate says');
is(ask('SELECT shard, answers, running, accounts_overdue FROM kb_sweep_status()'), "a|t|f|0\nb|t|f|0\nc|t|f|0", 'W3: sweeps of all shards');
is(on('router', 'SELECT count(*) FROM kbilling.account'), '0', 'none is on the router');

# Notices are taken on each shard, and acknowledged there or through the router.
for my $name (@shards)
{
	my ($account_id, $notice_no) = split /\|/, on($name, q{SELECT account_id, notice_no FROM kbilling.kb_take_notices(1, '1 minute')});
	is(ask("SELECT kb_ack_notice($account_id, $notice_no), kb_ack_notice($account_id, $notice_no)"), 't|f',
		"N2: a notice of shard $name is acknowledged once");
}

is(ask(q{SELECT count(*) FROM (SELECT kb_history(2, 'owner'), kb_balance(2)) x}), ask(q{SELECT count(*) FROM kb_history(2, 'owner')}),
	'no row is lost where another call to the shard follows');

# Errors are those of the shard: its SQLSTATE, its words.
for my $call ('kb_balance(999)', 'kb_balance(NULL)', q{kb_apply_topup(1, '121 USD', 'card', 'pay-1')}, q{kb_adjust(1, '5 UAH', 'x', 'x')},
	q{kb_add_member(1, '4111 1111 1111 1111', 'admin')}, q{kb_record_usage(1, 'nothing', 1, 'k')}, 'kb_month_charge(1)')
{
	my ($through) = refused("SELECT $call") =~ /ERROR:(.*)LOCATION/s;
	my ($there) = error_on($call =~ /\((\d+)/ ? shard_of($1) : 'a', "SET search_path = kbilling; SELECT $call") =~
		/ERROR:(.*?)(?:CONTEXT|LOCATION)/s;
	$through =~ s/: \S+\(\d+\): \[postgres\] REMOTE ERROR//;
	$through =~ s/Remote (detail|hint): //g;
	$through =~ s/CONTEXT:.*//s;
	is($through, $there, "$call is refused as on the shard");
}

# What a session says of its own dates, the shard does not read otherwise.
is(ask(q{SET DateStyle = 'SQL, DMY'; SELECT kb_create_account('dated', 'start', created_at => '2025-07-02 03:04+00') - 33}), '0',
	'an account that is dated back is made');
is(ask(q{SELECT created_at FROM account WHERE account_id = 33}), '2025-07-02 03:04:00+00', 'C1: on that day, not in February');
ask(q{SET DateStyle = 'SQL, DMY'; SET timezone = 'America/New_York'; SELECT kb_switch_on(33, 'seat', 2, '2025-09-11')});
is(ask(q{SELECT from_date FROM subscription WHERE account_id = 33}), '2025-09-11', 'C1: a service is switched on when it was said');
is(ask(q{SET DateStyle = 'SQL, DMY'; SELECT kb_balance(1, '2025-07-04 12:00+00')}), ask(q{SELECT kb_balance(1, '2025-07-04 12:00+00')}),
	'J2: a balance is of that moment');

# Numbers of accounts are as large as they may be.
my ($large, $largest) = ('1000000000000000001', '9223372036854775807');
is(ask("SELECT kb_create_account('far', 'start', $large), kb_create_account('far', 'start', $largest)"), "$large|$largest",
	'accounts with long numbers are made');
is(ask(qq{SELECT kb_record_usage_batch('[{"account_id": $large, "service": "orders", "quantity": 1, "key": "far"},
	{"account_id": $largest, "service": "orders", "quantity": 1, "key": "far"},
	{"account_id": 1.0, "service": "orders", "quantity": 1, "key": "far"}]')}), '3', 'U4: and their usage comes to them in a batch');
for my $nobody ('9223372036854775808', '-5', '1.5', '"1"', 'null', '1e400')
{
	like(refused(qq{SELECT kb_record_usage_batch('[{"account_id": $nobody, "service": "orders", "quantity": 1, "key": "no"}]')}),
		qr/REMOTE ERROR: [^\n]*(?:account|bigint)/, "U4: account $nobody is refused");
}

# The shard commits by itself.
ask(q{BEGIN; SELECT kb_adjust(1, '1 USD', 'kept', 'kept'); ROLLBACK});
is(ask(q{SELECT count(*) FROM entry WHERE account_id = 1 AND key = 'kept'}), '1', 'a rollback on the router undoes nothing on the shard');

# What one shard refuses of a batch, others have recorded; repeated whole, each event counts once.
my %first = map { $_ => account_on($_) } @shards;
my $batch = sub {
	my ($service) = @_;
	return sprintf 'kb_record_usage_batch(\'[%s]\')', join ', ', map {
		my $what = $_ eq 'c' ? $service : 'orders';
		qq({"account_id": $first{$_}, "service": "$what", "quantity": 1, "key": "split-1"}) } @shards;
};
like(refused('SELECT ' . $batch->('nothing')), qr/KB012: .*It is event 1 of the batch, with key "split-1"/s,
	'U4: an event is counted within its shard');
ask('SELECT ' . $batch->('orders'));
is(ask('SELECT ' . $batch->('orders')), '0', 'U1: what is sent again does not count again');
is(ask(q{SELECT count(*) FROM usage_event WHERE key = 'split-1'}), '3', 'U1: all of it is there, once');

# What is asked of many accounts is computed on the shards.
my $plan = ask(q{EXPLAIN (VERBOSE, COSTS OFF) SELECT shard, account_id FROM member WHERE email = 'owner7@example.org'});
is(() = $plan =~ /Remote SQL: SELECT account_id FROM kbilling.member WHERE \(\(email = 'owner7\@example.org'\)\) AND .*hashint8/g, 3,
	'who has an e-mail address is looked for on the shards') or diag($plan);
is(ask(q{SELECT account_id, shard = (SELECT l.shard FROM kb_locate(7) l) FROM member WHERE email = 'owner7@example.org'}), '7|t',
	'and found');
$plan = ask('EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM account_count');
is(() = $plan =~ /Remote SQL: SELECT '\w'::text, tariff, state, count\(\*\) FROM kbilling.account WHERE .*hashint8.* GROUP BY/g, 3,
	'each shard counts its accounts') or diag($plan);
is(ask('SELECT sum(accounts) FROM account_count'), '35', 'and all are counted');
$plan = ask('EXPLAIN (VERBOSE, COSTS OFF) SELECT account_id FROM account_status WHERE balance < 0');
is(() = $plan =~ /Remote SQL: .*balance OPERATOR\(kbilling\.<\) 0::numeric/g, 3, 'so is what compares money') or diag($plan);

# Who may call what: as in one database, and on the shard, too, as the role that calls.
on($_, 'CREATE ROLE teller LOGIN; CREATE ROLE watcher LOGIN; CREATE ROLE stranger LOGIN') for sort keys %node;
ask(q{SELECT kb_grant('teller', 'payments'), kb_grant('watcher', 'auditor')});
on($_, q{SELECT kbilling.kb_grant('teller', 'payments'), kbilling.kb_grant('watcher', 'auditor')}) for @shards;
on('router', q{CREATE USER MAPPING FOR teller SERVER kbilling_shards OPTIONS (user 'teller', password 'secret')});
my $as = sub {
	my ($role, $query) = @_;
	my (undef, $stdout, $stderr) = $router->psql('postgres',
		"\\set VERBOSITY verbose\nSET search_path = kbilling_router, kbilling;\n$query",
		extra_params => [ '-U', $role ], on_error_stop => 0);
	return $stdout . ($stderr =~ /ERROR:  ([^\n]*)/ ? $1 : '');
};
is($as->('teller', q{SELECT balance FROM kb_apply_topup(1, '7 USD', 'card', 'pay-7')}), ask('SELECT kb_balance(1)'),
	'E6: who may post top-ups may do so through the router');
is(ask(q{SELECT posted_by FROM entry WHERE account_id = 1 AND key = 'pay-7'}), 'teller', 'J2: the entry says who posted it');
like($as->('teller', q{SELECT kb_adjust(1, '7 USD', 'x', 'x')}), qr/^42501: permission denied for function kb_adjust/, 'E6: but no more');
like($as->('teller', 'SELECT * FROM entry'), qr/^42501: permission denied for view entry/, 'E6: and reads no journal');
like($as->('stranger', 'SELECT kb_balance(1)'), qr/^42501: permission denied for function kb_balance/, 'E6: others may call nothing');
like($as->('stranger', 'SELECT * FROM kb_locate(1)'), qr/^42501/, 'nor learn where accounts are');
is($as->('watcher', 'SELECT shard FROM kb_locate(1)'), shard_of(1), 'who may ask for accounts may');
is($as->('watcher', 'SELECT count(*) FROM trial_balance'), ask('SELECT count(*) FROM trial_balance'),
	'E6: an auditor reads what is of all shards');
is($as->('watcher', 'SELECT count(*) FROM kb_check()'), '0', 'E6: and checks it');
is($as->('watcher', 'SELECT count(*) FROM entry'), ask('SELECT count(*) FROM entry'), 'E6: the journal, too');
is($as->('watcher', 'SELECT count(*) FROM metrics'), ask('SELECT count(*) FROM metrics'), 'E6: and the numbers for monitoring');
is($as->('watcher', q{SELECT count(*) FROM pg_user_mappings WHERE umoptions::text ~ 'secret'}), '0', 'nobody else sees a password');
is($as->('watcher', q{SELECT count(*) FROM pg_foreign_server WHERE srvoptions::text ~ 'secret|password'}), '0', 'none is in a server');
like($as->('watcher', 'SELECT conninfo FROM shard'), qr/^42501/, 'nor where all shards are');
is(ask(q{SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace IN ('kbilling_router'::regnamespace,
		'kbilling_router_internal'::regnamespace) AND has_function_privilege('stranger', p.oid, 'EXECUTE') ORDER BY 1}),
	"kbilling_router_internal.kb_no_shard(integer)\nkbilling_router_internal.kb_partition(bigint)", 'E6: all else is closed');
like($as->('watcher', 'SELECT kb_router_refresh()'), qr/^42501/, 'a refresh is the owner\'s');
like($as->('watcher', q{SELECT kb_catalogue_wait()}), qr/^42501/, 'waiting for prices is for those who set them');

# The owner needs no more on the shards than an auditor's rights, there or by postgres_fdw.
on('router', q{CREATE USER MAPPING FOR postgres SERVER kbilling_shards OPTIONS (user 'watcher', password 'hidden')});
ask('SELECT kb_router_refresh()');
is(on('router', q{SELECT DISTINCT umoptions FROM pg_user_mappings WHERE usename = 'postgres'}), '{user=watcher,password=hidden}',
	'postgres_fdw gets the user and the password of PL/Proxy');
is($as->('watcher', 'SELECT count(*) FROM kb_check()') . $as->('watcher', 'SELECT count(*) FROM account'), '035', 'which do');
on('router', 'DROP USER MAPPING FOR postgres SERVER kbilling_shards');
ask('SELECT kb_router_refresh()');
is(on('router', q{SELECT DISTINCT umoptions FROM pg_user_mappings WHERE usename = 'postgres'}), '{user=postgres}', 'and are taken back');

ask(q{SELECT kb_revoke('teller', 'payments')});
like($as->('teller', q{SELECT kb_apply_topup(1, '7 USD', 'card', 'pay-7')}), qr/^42501/, 'E6: what is revoked is revoked here, too');

# A bucket moves: the map changes, and sessions that are connected follow it.
my $mover = ask(q{
	SELECT min(n) FROM generate_series(1000, 9000) n JOIN bucket_map m ON m.bucket = kb_shard(n)
	WHERE m.shard = 'a' AND m.bucket NOT IN (SELECT kb_shard(account_id) FROM account)});
my $own = sub {
	my ($name, $condition) = @_;
	return on($name, "SELECT kbilling.kb_own_buckets(array_agg(bucket)) FROM kbilling.shard_bucket WHERE $condition");
};
$own->('a', "is_owned AND bucket <> kbilling.kb_shard($mover)");
like(refused("SELECT kb_create_account('mover', 'start', $mover)"), qr/KB014: .*HINT:  Remote hint: /s,
	'B3: the shard refuses what it does not own any more');
my $bucket = ask("SELECT kb_shard($mover)");
is(ask(q{SELECT shard, problem FROM kb_check()}), qq{a|buckets $bucket are on shard "a", which does not own them},
	'B2: kb_check names the bucket');
$own->('b', "is_owned OR bucket = kbilling.kb_shard($mover)");
is(ask(q{SELECT shard, problem FROM kb_check() ORDER BY 1}),
	qq{a|buckets $bucket are on shard "a", which does not own them\nb|buckets $bucket are owned by shard "b", but are on shard "a"},
	'B2: and who owns it');
my $follow = sprintf q{
	SELECT shard FROM kb_locate(%1$s);
	\\! psql -XAtq -d "%2$s" -c "UPDATE kbilling_router.bucket_map SET shard = 'b' WHERE bucket = %3$s" >&2
	SELECT kb_create_account('mover', 'start', %1$s);
	SELECT shard FROM account WHERE account_id = %1$s}, $mover, conninfo('router'), $bucket;
is(ask($follow), "a\n$mover\nb", 'B3: repeated by the map that has changed, in the same session, it is done');
is(ask('SELECT * FROM kb_check()'), '', 'and all is well');
$own->('a', "is_owned OR bucket = $bucket");
like(ask(q{SELECT problem FROM kb_check() WHERE shard IS NULL}), qr/^buckets $bucket are owned by shards "a", "b"$/,
	'B2: a bucket that two own');
$own->('a', "is_owned AND bucket <> $bucket");

# A shard is killed: it takes its accounts along, and no others.
my ($here, $gone) = map { account_on($_) } 'a', 'b';
my $topups = ask('SELECT count(*) FROM entry');
$node{b}->stop('immediate');
is(ask("SELECT kb_balance($here) IS NOT NULL"), 't', 'accounts of other shards are served');
like(refused("SELECT kb_balance($gone)"), qr/XX000: .*\.s\.PGSQL\.\d+" failed/, 'its own are not');
like(refused('SELECT * FROM trial_balance'), qr/08006: not all shards answer\nDETAIL:  shard "b" does not answer: /,
	'J4: a sum is not less than whole');
like(ask('SELECT shard, problem FROM kb_check()'), qr/\Ab\|shard "b" does not answer: [^\n]*\z/, 'kb_check says which does not answer');
is(ask(q{SELECT labels->>'shard', value FROM metrics WHERE name = 'kbilling_shard_up'}), "a|1\nb|0\nc|1", 'so do the metrics');
is(ask(q{SELECT value FROM metrics WHERE name = 'kbilling_accounts' AND labels = '{"stage": "ok", "state": "closing"}'}) =~ /^\d+$/, 1,
	'whose other numbers are of those that do');
is(ask('SELECT shard, answers, has_catalogue FROM kb_router_status()'), "a|t|t\nb|f|\nc|t|t", 'and the status');
is(ask('SELECT shard, answers FROM kb_sweep_status()'), "a|t\nb|f\nc|t", 'W3: and that of the sweep');
like(refused('SELECT * FROM entry'), qr/08001: could not connect to server "kbilling_shard_b"/, 'a view of all says which it lacks');
is(ask(q{SELECT count(*) > 0 FROM entry WHERE shard = 'a'}), 't', 'of another shard it shows what there is');
like(refused('SELECT kb_router_refresh()'), qr/55000: the shards do not fit the router\nDETAIL:  shard "b" does not answer/,
	'a refresh would not know');
ask('SELECT kb_router_refresh(check_nodes => false)');
ask(q{SELECT kb_set_price('start', 'base', '32', '2025-10-01'), kb_create_tariff('later', 'USD')});
like(refused(q{SELECT kb_catalogue_wait('0.5 s')}),
	qr/55000: not all shards have the price list yet\nDETAIL:  shard "b" does not answer[^\n]*\nHINT/,
	'J9: it has not got the new price');
$node{b}->start;
ask('SELECT kb_catalogue_wait()');
is(on('b', q{SELECT price FROM kbilling.price_list WHERE service = 'base' ORDER BY from_date}), "31\n32", 'J9: when it is back, it has');
is(ask('SELECT count(*) FROM entry'), $topups, 'J2: and all that was posted');
is(ask('SELECT * FROM kb_check()'), '', 'all is well');

# A host that is silent holds up nothing for long.
kill 'STOP', $node{c}->{_pid};
like(ask(q{SELECT problems FROM kb_router_status() WHERE NOT answers}), qr/^shard "c" does not answer: it has said nothing for 5 s$/,
	'a shard that is silent is given up');
my (undef, undef, $late) = $router->psql('postgres', sprintf q{SET statement_timeout = '1 s'; SELECT kbilling_router.kb_balance(%s)},
	$first{c});
like($late, qr/canceling statement due to statement timeout/, 'a call of it ends when the caller says');
kill 'CONT', $node{c}->{_pid};

# In a session that was connected to it, one call fails at most.
my $restart = sprintf '\! pg_ctl -s -w -D "%s" -l "%s" -m immediate restart >/dev/null 2>&1', $node{b}->data_dir, $node{b}->logfile;
my (undef, $stdout) = $router->psql('postgres',
	"SET search_path = kbilling_router; SELECT kb_balance($gone);\n$restart\nSELECT kb_balance($gone);\nSELECT kb_balance($gone)",
	on_error_stop => 0);
my @said = split /\n/, $stdout;
ok(@said >= 2 && $said[0] eq $said[-1], 'a session goes on after a restart of the shard') or diag($stdout);

# What the router kept for a shard is lost: the price list is copied anew.
on('b', 'ALTER SUBSCRIPTION kbilling_catalogue_b DISABLE');
$router->poll_query_until('postgres', q{SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'kbilling_catalogue_b'});
on('router', q{SELECT pg_drop_replication_slot('kbilling_catalogue_b')});
ask(q{SELECT kb_set_price('start', 'seat', '3 each', '2025-10-01')});
like(refused(q{SELECT kb_catalogue_wait('0.5 s')}), qr/55000: .*DETAIL:  shard "b" has another price list than the router\n/s,
	'J9: a shard whose subscription has failed is named');
on('b', 'ALTER SUBSCRIPTION kbilling_catalogue_b SET (slot_name = NONE)');
on('b', 'DROP SUBSCRIPTION kbilling_catalogue_b');
like(error_on('b', ask(sprintf q{SELECT kb_shard_script('b', '%s')}, conninfo('router'))), qr/55000: this database has accounts/,
	'a price list by which accounts are billed is not replaced by a slip');
on('b', ask(sprintf q{SELECT kb_shard_script('b', '%s', 'replace')}, conninfo('router')));
ask('SELECT kb_catalogue_wait()');
is(ask('SELECT * FROM kb_check()'), '', 'and has it all again');
my $list = on('b', 'SELECT kbilling.kb_catalogue_digest()');
like(error_on('b', ask(sprintf q{SELECT kb_shard_script('b', '%s', 'replace')}, conninfo('router'))),
	qr/55000: this database has the router's price list already/, 'a script that is run again stops');
is(on('b', 'SELECT kbilling.kb_catalogue_digest()'), $list, 'J9: before it deletes the price list');
on('b', 'DROP SUBSCRIPTION kbilling_catalogue_b');
on('b', ask(sprintf q{SELECT kb_shard_script('b', '%s', price_list => 'keep')}, conninfo('router')));
ask(q{SELECT kb_set_price('start', 'seat', '4 each', '2025-11-01')});
ask('SELECT kb_catalogue_wait()');
is(on('b', q{SELECT price FROM kbilling.price_list WHERE service = 'seat' ORDER BY from_date DESC LIMIT 1}), '4 each',
	'J9: what is there need not be copied');

# A price that is dated back
ask("SELECT kb_record_usage($here, 'orders', 10, 'back-1'), kb_record_usage($gone, 'orders', 10, 'back-1')");
my $cost = "SELECT sum(kb_amount(amount)) FROM kb_current_usage(%s) WHERE service = 'orders' AND what = 'usage'";
my %cost = map { $_ => ask(sprintf $cost, $_) } $here, $gone;
ask(q{SELECT kb_set_price('start', 'orders', '0.20 each', '2025-09-01')});
ask(q{SELECT kb_reprice('start', 'orders', '2025-09-01'), kb_reprice('start', 'orders', '2025-09-01')});
cmp_ok(ask(sprintf $cost, $_), '==', $cost{$_} * 2, "C3: usage of account $_ has the price that is dated back") for $here, $gone;

# Shards are added, and taken away.
my $new = ask(q{SELECT min(n) FROM generate_series(1000, 9000) n WHERE kb_shard(n) NOT IN (SELECT kb_shard(account_id) FROM account)
	AND kb_shard(n) IN (SELECT bucket FROM bucket_map WHERE shard = 'a')});
on('c', 'CREATE DATABASE more');
ask(sprintf q{INSERT INTO shard VALUES ('e', '%s application_name=e')}, conninfo('a'));
like(refused('SELECT kb_router_refresh()'), qr/55000: .*DETAIL:  shards "a", "e" are one database\n/s, 'a database that is two shards');
ask(sprintf q{UPDATE shard SET conninfo = '%s' WHERE shard = 'e'}, conninfo('router'));
like(refused('SELECT kb_router_refresh()'), qr/55000: .*DETAIL:  shard "e" is the router's own database\n/s, 'the router is no shard');
ask(sprintf q{UPDATE shard SET shard = 'd', conninfo = '%s' WHERE shard = 'e'}, conninfo('c', 'more'));
$own->('a', "is_owned AND bucket <> kbilling.kb_shard($new)");
ask("UPDATE bucket_map SET shard = 'd' WHERE bucket = kb_shard($new)");
like(refused("SELECT kb_balance($new)"), qr/55000: no shard is known to have bucket \d+\n.*HINT:  [^\n]*kb_router_refresh/s,
	'a shard that PL/Proxy does not know yet is not called');
ask('SELECT kb_router_refresh(check_nodes => false)');
$node{c}->safe_psql('more', ask(sprintf q{SELECT kb_shard_script('d', '%s')}, conninfo('router')));
ask('SELECT kb_catalogue_wait(), kb_router_refresh()');
is(ask(qq{SELECT kb_create_account('new', 'start', $new)}) . ask(qq{SELECT shard FROM account WHERE account_id = $new}), "${new}d",
	'a shard is added, and has its first account');
is(ask('SELECT * FROM kb_check()'), '', 'all is well');

my $made = q{SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (
	SELECT p.xmin::text || p.oid AS x FROM pg_proc p WHERE p.pronamespace = 'kbilling_router'::regnamespace
	UNION ALL SELECT s.xmin::text || s.oid FROM pg_foreign_server s UNION ALL SELECT c.oid::text FROM pg_class c) x};
my $before = on('router', $made);
ask('SELECT kb_router_refresh()');
is(on('router', $made), $before, 'a refresh changes nothing where nothing has changed');

# The router is restored from a dump, as it was.
my $dump = $router->basedir . '/router.sql';
$router->command_ok([ 'pg_dump', '-f', $dump, $router->connstr('postgres') ], 'the router is dumped');
$router->safe_psql('postgres', 'CREATE DATABASE restored');
$router->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $router->connstr('restored') ], 'and restored');
my $ask_both = "SET search_path = kbilling_router, kbilling;
	SELECT kb_balance(1), shard FROM kb_locate($new); SELECT * FROM account_count ORDER BY 1, 2, 3;
	SELECT shard, answers, problems FROM kb_router_status(); SELECT * FROM trial_balance ORDER BY 1, 2";
is($router->safe_psql('restored', $ask_both), $router->safe_psql('postgres', $ask_both), 'it says what the other one says');

# A shard that is taken away leaves nothing behind.
$node{c}->safe_psql('more', q{DROP SUBSCRIPTION kbilling_catalogue_d; SELECT kbilling.kb_own_buckets('{}')});
ask("UPDATE bucket_map SET shard = 'a' WHERE bucket = kb_shard($new)");
$own->('a', "is_owned OR bucket = kbilling.kb_shard($new)");
ask(q{DELETE FROM shard WHERE shard = 'd'});
ask('SELECT kb_router_refresh()');
is(ask(q{SELECT srvname FROM pg_foreign_server WHERE srvname ~ '_d$' UNION ALL SELECT nspname FROM pg_namespace WHERE nspname ~ '_d$'}), '',
	'a shard is taken away');
is(ask('SELECT * FROM kb_check()'), '', 'all is well');

done_testing();
