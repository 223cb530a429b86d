# Everything that is done to an account, at once and at random, in transactions of several calls each: nobody waits for
# ever (40P01), and the books are right.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('locks');
$node->init;
$node->append_conf('postgresql.conf', "deadlock_timeout = '50ms'");
$node->start;

my $last_day = 90;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kbilling;
	SET search_path = public, kbilling, kbilling_internal;
	SET kbilling.clock = '2025-09-20 00:00+00';
	INSERT INTO policy (policy, min_age_days, inactive_days, notice_days, reminder_days, restore_days)
		VALUES ('brisk', 0, 1, 2, '{1}', 2);
	SELECT kb_create_tariff('start', 'USD', policy => 'brisk'), kb_create_tariff('other', 'USD', policy => 'brisk');
	SELECT kb_create_service('seat', 'recurring'), kb_create_service('calls', 'metered'), kb_create_service('mails', 'metered');
	SELECT kb_set_price(t, s, CASE s WHEN 'base' THEN '3.00' WHEN 'seat' THEN '1.00' ELSE '0.01 each' END::kb_price)
		FROM unnest('{start,other}'::text[]) AS t, unnest('{base,seat,calls,mails}'::text[]) AS s;
	SELECT kb_create_account('olga', 'start', id) FROM generate_series(1, 4) AS id;
	CREATE TABLE done (what text, state text, message text);
	-- one call for an account: what the key says is new each time
	CREATE PROCEDURE does(what text, id bigint, key text) LANGUAGE plpgsql AS $$
	BEGIN
		CASE what
			WHEN 'login' THEN PERFORM kb_login(id, 'olga');
			WHEN 'act' THEN PERFORM kb_act_as(id, 'olga');
			WHEN 'begin' THEN PERFORM kb_begin_topup(id, 'olga', '2.00 USD', 'card');
			WHEN 'pay' THEN PERFORM kb_apply_topup(id, '0.10 USD', 'card', key);
			WHEN 'adjust' THEN PERFORM kb_adjust(id, '-0.50 USD', key, 'x');
			WHEN 'defer' THEN PERFORM kb_defer(id, (kb_now() + interval '2 days')::date, 'support', 'x');
			WHEN 'tariff' THEN PERFORM kb_set_tariff(id, (ARRAY['start', 'other'])[1 + (random() * 1)::integer]);
			WHEN 'switch' THEN PERFORM kb_switch_on(id, 'seat', 1 + (random() * 3)::integer);
			WHEN 'member' THEN PERFORM kb_add_member(id, key, 'admin'), kb_remove_member(id, key);
			WHEN 'schedule' THEN PERFORM kb_schedule_closure(id, 'support');
			WHEN 'cancel' THEN PERFORM kb_cancel_closure(id, 'olga');
			WHEN 'restore' THEN PERFORM kb_restore_account(id, 'support');
			WHEN 'charge' THEN PERFORM kb_month_charge(id);
			WHEN 'end' THEN PERFORM kb_end_account(id, 'olga', (kb_now() + interval '400 days')::date + (random() * 9)::integer);
			WHEN 'continue' THEN PERFORM kb_continue_account(id, 'olga');
			WHEN 'notices' THEN PERFORM kb_ack_notice(account_id, notice_no) FROM kb_take_notices(3, '1 minute');
			WHEN 'late' THEN PERFORM kb_record_usage_batch(jsonb_agg(jsonb_build_object('account_id', id, 'service', s, 'quantity', 1,
				'key', key, 'at', kb_now() - interval '20 days'))) FROM unnest('{mails,calls}'::text[]) AS s;
			WHEN 'usage' THEN PERFORM kb_record_usage_batch(jsonb_agg(jsonb_build_object('account_id', id, 'service', s, 'quantity', 1,
				'key', key))) FROM unnest('{mails,calls}'::text[]) AS s;
		END CASE;
		INSERT INTO done VALUES (what);
	EXCEPTION WHEN OTHERS THEN
		INSERT INTO done VALUES (what, SQLSTATE, SQLERRM);
	END $$;
	-- a transaction: two calls for each of some accounts in the order of their numbers, and usage last, of the last of them
	-- or one with a higher number
	CREATE PROCEDURE transacts(session integer, n integer) LANGUAGE plpgsql AS $$
	DECLARE
		id bigint;
		last_id bigint = 1;
		call text;
	BEGIN
		FOR id IN SELECT i FROM generate_series(1, 4) AS i WHERE random() < 0.3 ORDER BY i LOOP
			last_id = id;
			FOR call IN SELECT c
				FROM unnest('{login,act,begin,pay,adjust,defer,tariff,switch,member,schedule,cancel,restore,charge,
					end,continue}'::text[]) AS c
				ORDER BY random() LIMIT 2 LOOP
				CALL does(call, id, format('%s-%s-%s', session, n, call));
			END LOOP;
		END LOOP;
		SELECT c INTO call FROM unnest('{usage,late,notices,none}'::text[]) AS c ORDER BY random() LIMIT 1;
		IF call <> 'none' THEN
			CALL does(call, last_id + floor(random() * (5 - last_id))::integer, format('%s-%s-%s', session, n, call));
		END IF;
	END $$});

# Sessions that work, and one that sweeps, all by one calendar, six hours a step.
my @sessions = map {
	my $session = $_;
	my %psql = (err => '');
	my $script = "$PostgreSQL::Test::Utils::tmp_check/session_$session.sql";
	append_to_file($script, join('', "SET search_path = public, kbilling, kbilling_internal; SET client_min_messages = error;\n", map {
		my $hours = 6 * $_;
		"SELECT set_config('kbilling.clock', ('2025-10-01 00:00+00'::timestamptz + interval '$hours hours')::text, false) \\g /dev/null\n"
			. ($session == 0 ? "CALL kbilling.kb_sweep();\n" : "CALL transacts($session, $_);\n")
	} 1 .. 4 * $last_day));
	$psql{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', $script ],
		'>', '/dev/null', '2>', \$psql{err});
	\%psql;
} 0 .. 4;
for my $psql (@sessions)
{
	eval { $psql->{run}->finish };
	is($psql->{err}, '', 'a session comes to its end');
}

is($node->safe_psql('postgres', q{SELECT what, state, message FROM done WHERE state IN ('40P01', '40001', '55P03', 'XX000')}), '',
	'nobody waits for ever');
is($node->safe_psql('postgres', 'SELECT state, message FROM kbilling.sweep_failure'), '', 'nor does the sweep pass anybody over');
like($node->safe_psql('postgres', q{SELECT count(DISTINCT what) FROM done WHERE state IS NULL}), qr/^1[5-8]$/, 'everything was done');
cmp_ok($node->safe_psql('postgres', 'SELECT count(DISTINCT step) FROM kbilling.closure_step'), '>=', 4, 'D: closures among it');
is($node->safe_psql('postgres', 'SELECT * FROM kbilling.kb_check()'), '', 'J2: and the books are right');

$node->stop;
done_testing();
