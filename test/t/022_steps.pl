# A call that is stopped at any of its steps has done nothing, whatever stopped it: an error, a cancel, a time-out, a full table
# of locks; its session goes on, and the same call again does it all (J2, J3, N1).  A step is a row that is written, before
# and after, and the end of the transaction.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('steps');
$node->init;
$node->append_conf('postgresql.conf', q{
	log_min_messages = fatal
	log_min_error_statement = panic});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kbilling;
	SET search_path = public, kbilling;
	SET kbilling.clock = '2025-09-20 12:00+00';
	SELECT kb_create_tariff('start', 'USD'), kb_create_tariff('other', 'USD'), kb_create_tariff('prepaid', 'USD');
	SELECT kb_create_service('seat', 'recurring'), kb_create_service('calls', 'metered'),
		kb_create_service('speed', 'metered', 'Mbit', 'max'),
		kb_create_service('domain', 'one_off');
	SELECT kb_set_price(t, s, p::kb_price) FROM unnest('{start,other,prepaid}'::text[]) AS t,
		(VALUES ('base', '3.00'), ('seat', '1.00'), ('calls', '0.10 each'), ('speed', '0.01 each'), ('domain', '2.00 each')) AS p (s, p);
	SELECT kb_set_bonus(t, '20 USD', 10, valid_days => 20) FROM unnest('{start,other,prepaid}'::text[]) AS t;
	SELECT kb_set_credit_line('prepaid', '0 USD'), kb_create_discount_code('AUTUMN', percent => 5, max_uses => 3);
	SELECT kb_create_account('olga', t, id, email => 'olga@example.org', created_at => '2025-09-01 12:00+00')
		FROM (VALUES (1, 'start'), (2, 'prepaid'), (3, 'start'), (4, 'start')) AS a (id, t);
	SELECT kb_adjust(id, '-1.00 USD', 'debt', 'x') FROM unnest('{1,4}'::bigint[]) AS id;
	SELECT kb_begin_topup(1, 'olga', '50 USD', 'card');
	SELECT kb_grant_credit(id, '5 USD', 'gift', 'x', '2025-10-05') FROM generate_series(1, 2) AS id;
	SELECT kb_record_usage(3, 'calls', 5, 'before');
	CREATE TABLE sale (account_id bigint, n bigint PRIMARY KEY);
	CREATE TRIGGER meter AFTER INSERT ON sale REFERENCING NEW TABLE AS added FOR EACH STATEMENT
		EXECUTE FUNCTION kb_meter('calls', 'account_id', '', 'n');

});
$node->safe_psql('postgres', q{
	SET search_path = public, kbilling;
	-- counts, and stops at the step that it is told
	CREATE FUNCTION step() RETURNS trigger LANGUAGE plpgsql AS $$
	DECLARE
		done integer = current_setting('step.done')::integer + 1;
	BEGIN
		PERFORM set_config('step.done', done::text, true);
		IF done = current_setting('step.stop')::integer THEN
			CASE current_setting('step.how')
				WHEN 'error' THEN RAISE EXCEPTION 'stopped %', TG_TABLE_NAME;
				WHEN 'cancel' THEN PERFORM pg_cancel_backend(pg_backend_pid()), pg_sleep(10);
				WHEN 'timeout' THEN PERFORM pg_sleep(10);
			END CASE;
		END IF;
		RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
	END $$;
	DO $$
	DECLARE
		name text;
	BEGIN
		FOR name IN SELECT oid::regclass FROM pg_class WHERE relkind = 'r'
			AND relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) LOOP
			EXECUTE format('CREATE TRIGGER step_before BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION step()', name);
			EXECUTE format('CREATE TRIGGER step_after AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION step()', name);
			EXECUTE format('CREATE CONSTRAINT TRIGGER step_end AFTER INSERT OR UPDATE OR DELETE ON %s INITIALLY DEFERRED '
				'FOR EACH ROW EXECUTE FUNCTION step()', name);
		END LOOP;
	END $$;
	-- all that is in all tables
	CREATE FUNCTION books() RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		name text;
		rows text;
		books text = '';
	BEGIN
		FOR name IN SELECT oid::regclass FROM pg_class WHERE relkind = 'r'
			AND relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace, 'public'::regnamespace) ORDER BY 1 LOOP
			EXECUTE format('SELECT string_agg(t::text, '';'' ORDER BY t::text) FROM %s t', name) INTO rows;
			books = books || md5(coalesce(rows, ''));
		END LOOP;
		RETURN md5(books);
	END $$;
});

# A session that lasts.
sub session
{
	my %psql = (in => '', out => '', timer => IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$psql{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$psql{in}, '>&', \$psql{out}, $psql{timer});
	$psql{in} = "\\set VERBOSITY sqlstate\nSET client_min_messages = error;\n";
	return \%psql;
}

# What a session answers.
sub said
{
	my ($session, $sql) = @_;
	$session->{out} = '';
	$session->{timer}->start;
	$session->{in} .= "$sql;\n\\echo\n\\echo that is all\n";
	$session->{run}->pump until $session->{out} =~ s/\n?that is all\n\z//;
	return $session->{out} =~ s/^\n+|\n+$//gr;
}

my $own = q{SET search_path = public, kbilling; SET step.done = 0; SET step.stop = 0; SET step.how = 'error'};
my $session = session();
said($session, "$own; SET kbilling.clock = '2025-09-20 12:00+00'");
my %expected = (error => 'P0001', cancel => '57014', timeout => '57014');

# A call that is stopped.
sub stopped
{
	my ($call, $step, $how) = @_;
	my $timeout = $how eq 'timeout' ? 100 : 0;
	return said($session, "SET step.how = '$how'; SET step.stop = $step; SET statement_timeout = $timeout")
		. said($session, $call) . said($session, 'SET step.stop = 0; SET statement_timeout = 0');
}

# A call that is stopped at one step after the other, until there are no more.
sub at_each_step
{
	my ($call) = @_;
	my $before = said($session, 'SELECT books()');
	my @wrong;
	my $step = 1;
	for (;; $step++)
	{
		for my $how (qw(cancel timeout))
		{
			last if $how eq 'timeout' && $step % 3;
			my $error = stopped("BEGIN; $call; ROLLBACK", $step, $how);
			next unless $error =~ /ERROR/;
			push @wrong, "$how at step $step: $error" unless $error =~ /$expected{$how}/;
			push @wrong, "$how at step $step: half is done" unless said($session, 'SELECT books()') eq $before;
		}
		# in a transaction that goes on
		my $error = stopped("BEGIN; SAVEPOINT s; $call; ROLLBACK TO s", $step, 'error');
		push @wrong, "savepoint at step $step: half is done" unless said($session, 'SELECT books()') eq $before;
		my $again = said($session, $call);
		push @wrong, "savepoint at step $step: $again" if $again =~ /ERROR/;
		my $problems = said($session, 'SELECT * FROM kb_check()');
		push @wrong, "savepoint at step $step: $problems" if $problems;
		said($session, 'ROLLBACK');

		$error = stopped($call, $step, 'error');
		last unless $error =~ /ERROR/;
		push @wrong, "error at step $step: half is done" unless said($session, 'SELECT books()') eq $before;
		if ($error !~ /P0001/ || $step > 400) { push @wrong, "error at step $step: $error"; last }
	}
	push @wrong, 'nothing is done' if said($session, 'SELECT books()') eq $before;
	is(join("\n", @wrong), '', "$call: all or nothing at each step");
	return $step - 1;
}

my $steps = 0;
$steps += at_each_step($_) for (
	q{SELECT kb_apply_topup(1, '50 USD', 'card', 'pay-1', payment_id => (SELECT payment_id FROM payment))},
	q{SELECT kb_apply_topup(2, '50 USD', 'card', 'pay-2')},
	q{SELECT kb_begin_topup(3, 'olga', '5 USD', 'card')},
	q{SELECT kb_record_usage(1, 'calls', 3, 'u-1')},
	q{SELECT kb_record_usage(2, 'calls', 3, 'u-1')},
	q{SELECT kb_record_usage(1, 'speed', 3, 'u-1')},
	q{SELECT kb_record_usage(1, 'calls', 1, 'u-late', '2025-09-20 01:00+00'), kb_record_usage(1, 'speed', -3, 'u-3')},
	q{SELECT kb_record_usage_batch('[{"account_id": 1, "service": "calls", "quantity": 1, "key": "b-1"},
		{"account_id": 2, "service": "calls", "quantity": 1, "key": "b-2"},
		{"account_id": 3, "service": "speed", "quantity": 1, "key": "b-3"}]')},
	q{INSERT INTO sale VALUES (1, 1), (2, 2)},
	q{SELECT kb_hold_usage(2, 'calls', 3, 'h-1', '2025-09-21 00:00+00')},
	q{SELECT kb_record_usage(2, 'calls', 2, 'h-1')},
	q{SELECT kb_hold_usage(1, 'calls', 3, 'h-2', '2025-09-21 00:00+00')},
	q{SELECT kb_release_usage(1, 'calls', 'h-2')},
	q{SELECT kb_buy(1, 'domain', 2, 'buy-1')},
	q{SELECT kb_buy(2, 'domain', 2, 'buy-1')},
	q{SELECT kb_grant_credit(1, '7 USD', 'grant-1', 'x', '2025-12-01', 10)},
	q{SELECT kb_refund(1, '3 USD', 'back-1', 'x')},
	q{SELECT kb_chargeback(1, 'pay-1', 'lost-1', '10 USD')},
	q{SELECT kb_chargeback(2, 'pay-2', 'lost-2')},
	q{SELECT kb_reverse_chargeback(2, 'lost-2', 'won-2')},
	q{SELECT kb_reverse(1, (SELECT seq FROM entry WHERE account_id = 1 AND key = 'buy-1'), 'undo-1', 'x')},
	q{SELECT kb_adjust(3, '-2 USD', 'adjust-1', 'x')},
	q{SELECT kb_write_off(3, 'off-1', 'x')},
	q{SELECT kb_set_discount(1, 10)},
	q{SELECT kb_redeem_code(1, 'AUTUMN', 'olga')},
	q{SELECT kb_end_account(3, 'olga', '2026-01-31', 'moves')},
	q{SELECT kb_continue_account(3, 'olga')},
	q{SELECT kb_set_tariff(1, 'other', '2025-09-15')},
	q{SELECT kb_switch_on(1, 'seat', 2, '2025-09-12')},
	q{SELECT kb_set_price('other', 'calls', '0.20 each', '2025-09-10')},
	q{SELECT kb_defer(4, '2025-09-25', 'support', 'x')},
	q{SELECT kb_create_account('taras', 'start', 5, email => 'taras@example.org')},
	q{SELECT kb_add_member(1, 'anna', 'admin')},
	q{SELECT kb_set_account_credit_line(1, '5 USD')},
	q{SELECT kb_set_account_limit(1, 'calls', 100)},
	q{SELECT count(kb_ack_notice(account_id, notice_no)) FROM kb_take_notices(2, '1 minute')},
);
said($session, q{SET kbilling.clock = '2025-10-06 12:00+00'});
$steps += at_each_step($_) for (
	q{SELECT kb_month_charge(1)},
	q{SELECT kb_month_charge(2)},
	q{SELECT kb_apply_topup(2, '1 USD', 'card', 'pay-3')},
	q{SELECT kb_reverse(1, (SELECT seq FROM entry WHERE account_id = 1 AND kind = 'charge'), 'undo-2', 'x')},
);
cmp_ok($steps, '>', 150, "steps: $steps");
is(said($session, 'SELECT * FROM kb_check()'), '', 'the books are right');

# A sweep commits as it goes: stopped anywhere, it goes on where it was.
{
	my ($step, $error) = (0, '');
	while ($step < 300)
	{
		$error = stopped('CALL kb_sweep()', ++$step, 'cancel');
		last unless $error;
		unlike($error, qr/ERROR(?!.*57014)/, "W1: a sweep that is cancelled at step $step") if $error !~ /57014/;
	}
	is($error, '', "W1: a sweep is stopped at step after step, and gets through after all ($step)");
	is(said($session, 'SELECT * FROM kb_check()'), '', 'J2: and the books are right');
	is(said($session, q{SELECT account_id, kind, period, count(*) FROM entry WHERE kind = 'charge'
		GROUP BY 1, 2, 3 HAVING count(*) > 1}), '',
		'C4: and nothing is charged twice');
}

# A full table of locks: the call gets none, then one, then two, and so on.
{
	$session->{in} .= "\\q\n";
	$session->{run}->finish;
	$node->append_conf('postgresql.conf', "max_connections = 10\nmax_locks_per_transaction = 10");
	$node->restart;
	my $holder = session();
	$session = session();
	said($session, $own);
	my $refused = 0;
	for my $call (
		q{SELECT kb_apply_topup(1, '50 USD', 'card', 'full-1')},
		q{SELECT kb_record_usage(2, 'calls', 1, 'full-1')},
		q{SELECT kb_buy(1, 'domain', 1, 'full-2')},
		q{SELECT kb_set_tariff(3, 'other')},
		q{SELECT kb_month_charge(4)})
	{
		my $fresh = session();
		said($fresh, "$own; SET kbilling.clock = '2025-11-06 12:00+00'");
		my $before = said($session, 'SELECT books()');
		said($holder, q{DO $$
			BEGIN
				FOR n IN 1 .. 100000 LOOP PERFORM pg_advisory_lock(4711, n); END LOOP;
			EXCEPTION WHEN OUT_OF_MEMORY THEN NULL;
			END $$});
		my $held = said($holder, q{SELECT max(objid) FROM pg_locks WHERE classid = 4711});
		my @wrong;
		my $error = 'ERROR';
		while ($held > 0 && $error =~ /ERROR/)
		{
			$error = said($fresh, $call);
			last unless $error =~ /ERROR/;
			$refused++;
			push @wrong, $error unless $error =~ /53200/;
			said($holder, "SELECT pg_advisory_unlock(4711, $held)");
			$held--;
		}
		push @wrong, $error if $error =~ /ERROR/;
		said($holder, 'SELECT pg_advisory_unlock_all()');
		push @wrong, 'nothing is done' if said($session, 'SELECT books()') eq $before;
		my $problems = said($session, 'SELECT * FROM kb_check()');
		is(join("\n", @wrong, $problems || ()), '', "$call: it says that there are no locks, until there are");
		$fresh->{in} = "\\q\n";
		$fresh->{run}->finish;
	}
	cmp_ok($refused, '>', 0, "calls were refused: $refused");
	$_->{in} .= "\\q\n", $_->{run}->finish for $holder, $session;
}
is($node->safe_psql('postgres', q{SELECT * FROM kbilling.kb_check()}), '', 'the books are right');
$node->stop;
done_testing();
