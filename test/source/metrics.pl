# What operators watch: Prometheus takes what examples/metrics has for it, and each alert fires when it should.
use strict;
use warnings;

use FindBin;
use JSON::PP;
use Test::More;

chdir "$FindBin::Bin/../.." or die "$FindBin::Bin: $!";

sub slurp
{
	my ($path) = @_;
	open my $in, '<', $path or die "$path: $!";
	local $/;
	return <$in>;
}

my $rules = slurp('examples/metrics/alerts.yml');
my $tests = slurp('test/alerts.yml');
my @alerts = $rules =~ /^  - alert: (\w+)$/mg;
my %fires = map { $_ => 1 } $tests =~ /^    alertname: (\w+)\n    exp_alerts:\n/mg;
my %silent = map { $_ => 1 } $tests =~ /alertname: (\w+), exp_alerts: \[\]/g;
cmp_ok(scalar @alerts, '>', 10, 'there are alerts');
is_deeply([ sort keys %fires ], [ sort @alerts ], 'a test sees each of them fire');
is_deeply([ sort keys %silent ], [ sort @alerts ], 'and one sees it not fire yet');

# The names in the rules and in the dashboard are those of the views, or the exporter's own.
my %known = map { $_ => 1 } qw(kbilling_check_findings kbilling_shard_up sql_exporter_last_scrape_failed);
my ($list) = slurp('sql/install/metrics.sql') =~ /^\tFROM \(VALUES\n(.*?)\) m \(name, type, help\)$/ms;
$known{$_} = 1 for $list =~ /\('(kbilling_\w+)', '(?:gauge|counter)'/g;
my %used = map { $_ => 1 }
	($rules . slurp('examples/metrics/dashboard.json')) =~ /\b((?:kbilling|sql_exporter)_\w+)(?=[{\[\s)>,])/g;
is_deeply([ grep { !$known{$_} } sort keys %used ], [], 'rules and dashboard name no metric that is not there');
is_deeply([ grep { !$used{$_} } sort keys %known ], [], 'and each metric is in one of them');

# The dashboard: one place on the screen for each panel, and its own sources.
my $dashboard = decode_json(slurp('examples/metrics/dashboard.json'));
my (%ids, %cells, @clash);
for my $panel (@{ $dashboard->{panels} })
{
	my $at = $panel->{gridPos};
	push @clash, $panel->{title} if $ids{ $panel->{id} }++ || $at->{x} + $at->{w} > 24;
	for my $x ($at->{x} .. $at->{x} + $at->{w} - 1)
	{
		push @clash, $panel->{title} if grep { $cells{"$x,$_"}++ } $at->{y} .. $at->{y} + $at->{h} - 1;
	}
}
is_deeply(\@clash, [], 'no panel of the dashboard lies on another');
is_deeply([ grep { $_->{datasource}{uid} ne '${datasource}' } map { ($_, @{ $_->{targets} }) } grep { $_->{targets} }
		@{ $dashboard->{panels} } ], [], 'each reads the Prometheus that is chosen above');

SKIP:
{
	skip 'promtool is not installed', 3 if system('command -v promtool >/dev/null') != 0;
	for (
		[ 'check config examples/metrics/prometheus.yml', 'the configuration is one' ],
		[ 'check rules --lint=all --lint-fatal examples/metrics/alerts.yml', 'the rules are rules' ],
		[ 'test rules test/alerts.yml', 'alerts fire when they should' ])
	{
		my ($command, $what) = @$_;
		my $output = `promtool $command 2>&1`;
		is($?, 0, $what) or diag($output);
	}
}

done_testing();
