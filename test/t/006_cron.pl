# pg_cron runs the sweep, as the role that scheduled it, from the database
# where it keeps its jobs (W2).
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('cron');
my ($share) = run_command([ $node->installed_command('pg_config'), '--sharedir' ]);
my ($lib) = run_command([ $node->installed_command('pg_config'), '--pkglibdir' ]);
plan skip_all => 'pg_cron is not installed'
	unless -e "$share/extension/pg_cron.control" && grep { -e } "$lib/pg_cron.so", "$lib/pg_cron.dylib";

my $home = 'billing';
my $other = q{other "shop's"};
my $long = 'ж' x 30 . 'abc';	# 63 bytes: with something in front it is cut

$node->init;
$node->start;
$node->safe_psql('postgres', $_) for
	'CREATE ROLE nightly LOGIN', 'CREATE ROLE daily LOGIN', 'CREATE ROLE nobody LOGIN',
	map { s/"/""/gr =~ s/(.*)/CREATE DATABASE "$1" ENCODING 'UTF8' TEMPLATE template0/r } $home, $other, $long;

# Two months are due in each.
$node->safe_psql($_, q{
	CREATE EXTENSION kbilling;
	SELECT kbilling.kb_create_tariff('start', 'USD'), kbilling.kb_set_price('start', 'base', '19.00'),
		kbilling.kb_create_account('owner', 'start', 1, 'UTC', created_at => date_trunc('month', now(), 'UTC') - interval '2 months');
	SELECT kbilling.kb_grant('nightly', 'operator'), kbilling.kb_grant('daily', 'operator')})
	for $home, $other, $long;

sub ask
{
	my ($database, $query, @options) = @_;
	return $node->safe_psql($database, $query, @options);
}

sub as
{
	my ($role) = @_;
	return (extra_params => [ '-U', $role ]);
}

# Message, detail and hint, each on lines of its own, after the SQLSTATE.
sub refusal
{
	my ($database, $query, @options) = @_;
	my (undef, undef, $error) = $node->psql($database, "\\set VERBOSITY verbose\n$query", @options, on_error_stop => 0);
	return $error =~ s/^(psql:[^ ]* |LOCATION:.*$)//gmr;
}

sub jobs
{
	return ask($home, 'SELECT jobname, schedule, command, database, username, active FROM cron.job ORDER BY jobid');
}

my @both = ('SELECT kbilling.kb_schedule()', 'SELECT kbilling.kb_unschedule()');

# Not there yet.
for my $call (@both)
{
	like(refusal($other, $call),
		qr/55000: pg_cron is not loaded\n.*\nshared_preload_libraries = 'pg_cron'\ncron\.database_name = 'other "shop''s"'\n/s,
		"$call: not loaded: the two lines are said");
	like(refusal($home, "SET cron.database_name = '$home'; $call"), qr/55000: pg_cron is not loaded/, "$call: a setting does not load it");
}
$node->append_conf('postgresql.conf', qq{
	shared_preload_libraries = 'pg_cron'
	cron.database_name = '$home'
	cron.use_background_workers = on
	max_worker_processes = 20});
$node->restart;
like(refusal($home, $_), qr/55000: pg_cron is loaded, .*\nHINT:  Run CREATE EXTENSION pg_cron as a superuser\.\n/s,
	"$_: no extension") for @both;
ask($home, 'CREATE EXTENSION pg_cron');

# Who may.
like(refusal($home, $_, as('nobody')), qr/42501: permission denied for function/, "$_: a role without rights is refused") for @both;
like(refusal($home, $_, as('nightly')), qr/42501: permission denied for schema cron/, "$_: an operator needs pg_cron's schema") for @both;
ask($home, 'GRANT USAGE ON SCHEMA cron TO nightly, daily');

# One job, however often it is scheduled.
is(ask($home, 'SELECT last_seq FROM kbilling.account; SELECT FROM kbilling.sweep_run'), 0, 'nothing is charged yet');
my $id = ask($home, $both[0], as('nightly'));
is(jobs(), "kbilling sweep of $home|3 * * * *|CALL kbilling.kb_sweep()|$home|nightly|t", 'W2: hourly, as the caller');
is(ask($home, 'SELECT jobid FROM cron.job'), $id, 'its id is returned');
is(ask($home, $both[0], as('nightly')), $id, 'scheduled again, it is the same');
is(ask($home, q{SELECT kbilling.kb_schedule('* * * * *')}, as('nightly')), $id, 'by another schedule, too');
is(jobs(), "kbilling sweep of $home|* * * * *|CALL kbilling.kb_sweep()|$home|nightly|t", 'and there is one');
# As many jobs as workers.
is(ask($home, q{SELECT kbilling.kb_schedule('* * * * *', 3)}, as('nightly')), $id, 'W2: with three workers, the id is that of the first');
is(ask($home, q{SELECT string_agg(concat_ws(' ', jobname, command, schedule, username), ', ' ORDER BY jobid) FROM cron.job}),
	join(', ', map { "kbilling sweep ${_}of $home CALL kbilling.kb_sweep(workers => 3) * * * * * nightly" } '', '2 ', '3 '),
	'W1: and each has a job');
is(ask($home, q{SELECT kbilling.kb_schedule('* * * * *', 2); SELECT count(*) FROM cron.job}), "$id\n2", 'W2: then two have');
is(ask($home, q{SELECT count(*) FROM cron.job WHERE username = 'nightly' AND command = 'CALL kbilling.kb_sweep(workers => 2)'}), 2,
	'which run as the same role, even if a superuser says so');
ask($home, q{SELECT kbilling.kb_schedule('* * * * *')}, as('nightly'));
is(jobs(), "kbilling sweep of $home|* * * * *|CALL kbilling.kb_sweep()|$home|nightly|t", 'and then one has');
like(refusal($home, $_, as('daily')),
	qr/42501: the sweep is scheduled by another role\nDETAIL:  .*"nightly"/,
	"$_: another operator does not make a second, nor take it away")
	for @both;
my $charged = q{
	SELECT charged_through = date_trunc('month', now(), 'UTC')::date - 1, last_seq FROM kbilling.account;
	SELECT outcome, periods_due, periods_charged FROM kbilling.sweep_run ORDER BY run_id LIMIT 1};

# From another database: what to run where its jobs are.
for my $call (@both)
{
	my $error = refusal($other, $call);
	like($error, qr/55000: pg_cron keeps its jobs in database "$home"\nDETAIL:/, "$call: from another database");
	my ($hint) = $error =~ /^HINT:  (.*)$/m;
	is($hint, $call eq $both[0]
		? q{SELECT cron.schedule_in_database('kbilling sweep of other "shop''s"', '3 * * * *', }
			. q{'CALL kbilling.kb_sweep()', 'other "shop''s"')}
		: q{SELECT cron.unschedule(jobid) FROM cron.job WHERE database = 'other "shop''s"' AND command LIKE 'CALL kbilling.kb_sweep(%'},
		"$call: the hint is the statement");
	ask($home, $hint);
	is(ask($home, q{SELECT string_agg(database || schedule, ',') FROM cron.job WHERE jobname = 'kbilling sweep of other "shop''s"'}),
		$call eq $both[0] ? "${other}3 * * * *" : '', "$call: which works there");
}
my ($statement) = refusal($other, q{SELECT kbilling.kb_schedule('* * * * *')}) =~ /^HINT:  (.*)$/m;
ask($home, $statement);
($statement) = refusal($long, $both[0]) =~ /^HINT:  (.*)$/m;
ask($home, $statement);
ask($home, $statement);
like(ask($home, q{SELECT octet_length(jobname) <= 63, jobname, database FROM cron.job ORDER BY jobid DESC LIMIT 1}),
	qr/^t\|kbilling sweep of (?:ж){18} [0-9a-f]{8}\|$long$/, 'a long name is cut between characters');
is(ask($home, 'SELECT count(*) FROM cron.job'), 3, 'and scheduled twice it is one job');
ask($home, $_) for refusal($long, $both[1]) =~ /^HINT:  (.*)$/m;
is(ask($home, 'SELECT count(*) FROM cron.job'), 2, 'and taken away by the same name');

# What pg_cron cannot read, and what must not be kept.
like(refusal($home, q{SELECT kbilling.kb_schedule('now and then')}), qr/22023: invalid schedule/, 'no schedule');
like(refusal($home, 'SELECT kbilling.kb_schedule(NULL)'), qr/22004: schedule must not be null/, 'a null schedule');
like(refusal($home, q{SELECT kbilling.kb_schedule('4111 1111 1111 1111')}),
	qr/\AERROR:  KB008: (?!.*4111)/s, 'T4: a card number is refused, and not repeated');
like(refusal($home, "BEGIN READ ONLY; $_"),
	qr/25006: cannot execute kb_(un)?schedule\(\)/, "$_: in a transaction that only reads") for @both;

# Each minute it runs.
for my $database ($home, $other)
{
	my $role = $database eq $home ? 'nightly' : $node->safe_psql('postgres', 'SELECT current_user');
	my $quoted = $database =~ s/'/''/gr;
	ok($node->poll_query_until($home, qq{
		SELECT count(*) > 0 FROM cron.job_run_details
		WHERE status = 'succeeded' AND (database, username, command) = ('$quoted', '$role', 'CALL kbilling.kb_sweep()')}),
			"W2: it has run in $database, as $role");
	is(ask($database, $charged), "t|2\nfinished|2|2", "W2: and charged what was due in $database");
}

# A superuser changes what another role runs, and takes it away.
is(ask($home, $both[0]), $id, 'a superuser changes the job');
is(ask($home, "SELECT schedule, username FROM cron.job WHERE jobid = $id"), '3 * * * *|nightly', 'whose role stays');
ask($home, "SELECT cron.alter_job($id, active := false)");
ask($home, $both[0], as('nightly'));
is(ask($home, "SELECT active, username FROM cron.job WHERE database = current_database()"), 't|nightly',
	'one that was switched off runs again, and there is one');
is(ask($home, 'SELECT kbilling.kb_unschedule()'), 't', 'a superuser takes it away');
is(ask($home, 'SELECT kbilling.kb_unschedule()', as('nightly')), 'f', 'then there is none to take away');
is(ask($home, "$both[0]; $both[1]; $both[1]", as('daily')) =~ s/^\d+\n//r, "t\nf", 'an operator takes away its own');
is(ask($home, "SELECT count(*) FROM cron.job WHERE database = current_database()"), 0, 'and nothing is left');

$node->stop;
done_testing();
