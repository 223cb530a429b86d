# From kbilling.metrics to the dashboard (W3): what an exporter makes of it, as examples/metrics has it, is read by a real
# Prometheus, and each expression of the dashboard and of the alerts finds its series and labels there.
use strict;
use warnings;

use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

plan skip_all => 'Prometheus is not installed'
	unless IPC::Run::run([ 'sh', '-c', 'command -v prometheus' ], '>', '/dev/null');

my $limit = $PostgreSQL::Test::Utils::timeout_default;
my $dir = PostgreSQL::Test::Utils::tempdir;
my @running;
END { $_->kill_kill for @running }

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "timezone = 'UTC'");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kbilling;
	SET search_path = kbilling, public;
	SELECT kb_create_tariff('start', 'USD'), kb_create_tariff('lviv', 'UAH'), kb_set_price('start', 'base', '19.00');
	SELECT kb_create_account('ann', 'start', email => 'ann@example.org'), kb_adjust(1, '-5 USD', 'fee', 'a fee');
	CREATE ROLE kbilling_exporter LOGIN;
	CREATE ROLE kbilling_auditor LOGIN;
	GRANT SELECT ON kbilling.metrics TO kbilling_exporter;
	GRANT EXECUTE ON FUNCTION kbilling_internal.kb_metrics() TO kbilling_exporter;
	SELECT kb_grant('kbilling_auditor', 'auditor');
});

# A page of the exporter: each job of its configuration asked as its role, with the labels that it adds, for two servers;
# and of a router, what only that has.
sub page_of_exporter
{
	my @jobs = split /^- name: /m, slurp_file('examples/metrics/sql_exporter.yml');
	my @lines;
	shift @jobs;
	for (@jobs)
	{
		my ($job) = /^(\w+)/;
		my ($user) = m{postgres://(\w+)\@/};
		my ($values) = /^    values: \[(\w+)\]/m;
		my ($query) = /^    query: \|\n((?:      .*\n)+)/m ? $1 : /^    query: (.*)/m;
		for my $host ('a', 'b')
		{
			my $own = qq(driver="postgres",host="$host",database="billing",user="$user",sql_job="$job");
			my $rows = decode_json($node->safe_psql('postgres', "SELECT coalesce(json_agg(r), '[]') FROM ($query) r",
				extra_params => [ '-U', $user ]));
			push @lines, qq(sql_exporter_last_scrape_failed{$own,query="$job"} 0);
			for my $row (@$rows)
			{
				my $value = delete $row->{$values};
				my $labels = join ',', $own, qq(col="$values"), map { qq($_="$row->{$_}") } sort keys %$row;
				push @lines, "sql_$job\{$labels} $value";
			}
		}
	}
	push @lines, 'sql_kbilling{driver="postgres",host="r",database="router",user="e",sql_job="router",col="value",'
		. 'metric="kbilling_shard_up",shard="a"} 1';
	return join("\n", @lines) . "\n";
}

sub begin
{
	my ($name, @command) = @_;
	push @running, IPC::Run::start(\@command, '<', '/dev/null', '&>', "$dir/$name.log");
	return;
}

my ($exporter, $prometheus) = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 2;

# What Prometheus answers; nothing if it does not.
sub ask
{
	my ($path, %parameters) = @_;
	my $http = HTTP::Tiny->new(timeout => 5);
	my $answer = $http->get("http://127.0.0.1:$prometheus/api/v1/$path?" . $http->www_form_urlencode(\%parameters));
	return $answer->{content} =~ /^\{/ ? decode_json($answer->{content}) : {};
}

sub query
{
	my ($expression) = @_;
	my $answer = ask('query', query => $expression);
	diag("$expression: $answer->{error}") if $answer->{error};
	return @{ $answer->{data}{result} // [] };
}

sub wait_for
{
	my ($what, $is_so) = @_;
	for (1 .. 10 * $limit)
	{
		return if $is_so->();
		Time::HiRes::usleep(100_000);
	}
	diag(slurp_file("$dir/prometheus.log"));
	BAIL_OUT("waited in vain for $what");
}

# The page, as it is served; and the configuration, in which nothing else is changed.
mkdir "$dir/page";
append_to_file("$dir/page/metrics", page_of_exporter());
my $configuration = slurp_file('examples/metrics/prometheus.yml');
ok($configuration =~ s/localhost:9237/127.0.0.1:$exporter/, 'the configuration names the exporter');
append_to_file("$dir/prometheus.yml", "global: {scrape_interval: 1s, evaluation_interval: 1s}\n$configuration");
append_to_file("$dir/alerts.yml", slurp_file('examples/metrics/alerts.yml'));
# Prometheus 3 reads nothing that does not say what it is.
begin('exporter', 'python3', '-c', q{if True:
	import functools, http.server, sys
	handler = http.server.SimpleHTTPRequestHandler
	handler.extensions_map = {'': 'text/plain; version=0.0.4'}
	http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), functools.partial(handler, directory=sys.argv[2])).serve_forever()
}, $exporter, "$dir/page");
begin('prometheus', 'prometheus', "--config.file=$dir/prometheus.yml", "--storage.tsdb.path=$dir/data",
	"--web.listen-address=127.0.0.1:$prometheus");
wait_for('Prometheus to read the page', sub { query('count_over_time(up{job="kbilling"}[1m]) > 3 and up == 1') });

# Names and labels
my @metrics = split /\n/, $node->safe_psql('postgres', 'SELECT DISTINCT name FROM kbilling.metrics ORDER BY 1');
is_deeply([ grep { !query("count($_)") } @metrics ], [], 'W3: each metric has its own name again');
my ($series) = query('count({job="kbilling", host="a", __name__=~"kbilling_.*"})');
my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM kbilling.metrics');
is($series->{value}[1], 1 + $rows, 'and all of its series, of each server');
is_deeply([ query('{__name__=~"sql_kbilling.*"}') ], [], 'none keeps the name that the exporter gives it');
is(scalar(query('kbilling_check_findings == 0')), 2, 'the findings of kb_check() are read');

# The dashboard
my %variables = ('$database' => '.*', '$currency' => 'USD', '$__rate_interval' => '1m');
my $dashboard = decode_json(slurp_file('examples/metrics/dashboard.json'));
my $targets = 0;
for my $panel (@{ $dashboard->{panels} })
{
	for my $target (@{ $panel->{targets} // [] })
	{
		my $expression = $target->{expr} =~ s/(\$\w+)/$variables{$1} \/\/ die $1/ger;
		my @result = query($expression);
		cmp_ok(scalar @result, '>', 0, "dashboard: $panel->{title}: $expression");
		for my $label ($target->{legendFormat} =~ /\{\{(\w+)\}\}/g)
		{
			is_deeply([ grep { !defined $_->{metric}{$label} } @result ], [], "each has the label $label of its legend");
		}
		$targets++;
	}
}
cmp_ok($targets, '>', 15, 'the dashboard has panels');
for (grep { $_->{type} eq 'query' } @{ $dashboard->{templating}{list} })
{
	my ($metric, $label) = $_->{definition} =~ /^label_values\((\w+), (\w+)\)$/;
	cmp_ok(scalar(query("count by ($label) ($metric\{$label!=\"\"})")), '>', 0, "dashboard: there is a $_->{name} to choose");
}

# The alerts: all are evaluated, and each metric and label that one names is there
sub rules
{
	return map { @{ $_->{rules} } } @{ ask('rules')->{data}{groups} };
}

cmp_ok(scalar(rules()), '>', 10, 'the alerts are loaded');
wait_for('all alerts to be evaluated', sub { !grep { $_->{health} eq 'unknown' } rules() });
is_deeply([ grep { $_->{health} ne 'ok' } rules() ], [], 'and evaluated without an error');
for my $rule (rules())
{
	my @selectors = $rule->{query} =~ /\b((?:kbilling_|sql_exporter_|up\b)\w*(?:\{[^}]*\})?)/g;
	cmp_ok(scalar @selectors, '>', 0, "$rule->{name} looks at something");
	is_deeply([ grep { !query($_) } @selectors ], [], "$rule->{name}: there are @selectors");
	my %seen = map { $_ => 1 } map { keys %{ $_->{metric} } } map { query($_) } @selectors;
	my @labels = "@{$rule->{annotations}}{qw(summary description)}" =~ /\$labels\.(\w+)/g;
	is_deeply([ grep { !$seen{$_} } @labels ], [], "$rule->{name}: its text names labels that are there");
}
wait_for('the alert that no sweep has ever finished',
	sub { query('ALERTS{alertname="KbillingSweepMissing", alertstate="pending", database="billing", host="b"}') });
pass('no sweep has ever finished, and an alert says so of each server');

$node->stop;
done_testing();
