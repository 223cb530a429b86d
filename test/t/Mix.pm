# An application's calls at random, by several sessions at once, and what each session knows of them: a call has been
# acknowledged, was refused, or was tried without an answer.  For the tests that let something come in between.
package Mix;
use strict;
use warnings;

use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time sleep);

use Exporter 'import';
our @EXPORT_OK = qw(set_up clients sweepers keep_working wait_for_all call_again clock note_down troubles find_lost
	%setting %count @unexpected);

# What an account can be told at any time.
my @refusals = qw(KB003 KB004 KB005 KB006 KB007 KB009 KB010 KB011 KB012 KB013 22003 22004 22008 22023 55000);

our %setting;		# of the sessions of clients
our %count;			# calls by how they ended
our @unexpected;	# errors that no call may end with
my %serial;			# keys are numbered by session
my $scripts = 0;

my $main = $$;
my @started;
END { if ($$ == $main) { local $?; kill 'TERM', map { $_->{pid} || () } @started } }

sub any { return $_[ int rand @_ ] }

# A price list, and accounts: 'open' ones are without limits, 'tight' ones have a credit line of zero and no base fee, so
# that only what they do themselves is against what they have.
sub set_up
{
	my ($node, %accounts) = @_;
	$node->safe_psql('postgres', q{
		CREATE EXTENSION kbilling;
		SET search_path = public, kbilling;
		SET kbilling.clock = '2025-01-01 00:00+00';
		SELECT kb_set_policy('patient', '{"inactive_days": 120, "keep_notices_months": 2}');
		SELECT kb_create_tariff(t, 'USD', policy => 'patient') FROM unnest('{open,other,tight}'::text[]) AS t;
		SELECT kb_create_service('seat', 'recurring'), kb_create_service('calls', 'metered'), kb_create_service('mails', 'metered'),
			kb_create_service('domain', 'one_off');
		SELECT kb_set_price(t, s, p::kb_price) FROM unnest('{open,other,tight}'::text[]) AS t,
			(VALUES ('calls', '0.10 each'), ('mails', 'graduated 0.05 to 10, 0.02'), ('domain', '2.00 each')) AS p (s, p);
		SELECT kb_set_price('open', 'base', '3.00'), kb_set_price('other', 'base', '4.00'), kb_set_price('open', 'seat', '1.00'),
			kb_set_price('other', 'seat', '1.50');
		SELECT kb_set_bonus('open', '20 USD', 10), kb_set_bonus('open', '40 USD', 15, valid_days => 12),
			kb_set_bonus('tight', '20 USD', 5, valid_days => 30);
		SELECT kb_set_credit_line('tight', '0 USD');
		SELECT kb_create_discount_code('FEW', percent => 5, max_uses => 3), kb_create_discount_code('MANY', amount => '1 USD', months => 2);
		CREATE TABLE note (n text, what text, account_id bigint, key text, kind text, amount numeric, state text, PRIMARY KEY (n, key));
		CREATE INDEX ON note (account_id, key);
	}
	. join '', map { "SELECT kb_create_account('olga', '$_', id) FROM unnest('{@{[ join ',', @{ $accounts{$_} } ]}}'::bigint[]) AS id;" }
		sort keys %accounts);
	return;
}

# What a call is to leave behind: an entry or usage, with its key, and how much of it.
sub leaves { my ($id, $key, $kind, $amount) = @_; return { id => $id, key => $key, kind => $kind, amount => $amount } }

# Each makes a call for an account, with a key that is new: the SQL, and what it leaves behind.
my %calls = (
	topup => sub { my ($c, $id, $key) = @_; my $amount = any(1, 5, 20, 45);
		push @{ $c->{topups}{$id} }, $key; push @{ $c->{entries}{$id} }, $key;
		return ("kb_apply_topup($id, '$amount USD', 'card', '$key')", leaves($id, $key, 'topup', $amount)) },
	payment => sub { my ($c, $id, $key) = @_; return "kb_begin_topup($id, 'olga', '5 USD', 'card')" },
	usage => sub { my ($c, $id, $key) = @_; my $quantity = 1 + int rand 3;
		return ("kb_record_usage($id, 'calls', $quantity, '$key')", leaves($id, $key, 'calls', $quantity)) },
	late => sub { my ($c, $id, $key) = @_;
		return ("kb_record_usage($id, 'mails', 2, '$key', greatest(kb_now() - interval '20 days', '2025-01-02 00:00+00'))",
			leaves($id, $key, 'mails', 2)) },
	taken_back => sub { my ($c, $id, $key) = @_; return ("kb_record_usage($id, 'mails', -1, '$key')", leaves($id, $key, 'mails', -1)) },
	batch => sub { my ($c, $id, $key) = @_; my @events = $c->events($id, $key);
		return ("kb_record_usage_batch('@{[ json(@events) ]}')", @events) },
	each => sub { my ($c, $id, $key) = @_; my @events = $c->events($id, $key);
		return ("kb_record_usage_each('@{[ json(@events) ]}')", @events) },
	hold => sub { my ($c, $id, $key) = @_; push @{ $c->{holds}{$id} }, $key;
		return "kb_hold_usage($id, 'calls', 3, '$key', '$c->{clock}'::timestamptz + interval '3 days')" },
	settle => sub { my ($c, $id) = @_; my $key = shift @{ $c->{holds}{$id} } // return;
		return ("kb_record_usage($id, 'calls', 2, '$key')", leaves($id, $key, 'calls', 2)) },
	release => sub { my ($c, $id) = @_; my $key = shift @{ $c->{holds}{$id} } // return; return "kb_release_usage($id, 'calls', '$key')" },
	buy => sub { my ($c, $id, $key) = @_; push @{ $c->{entries}{$id} }, $key;
		return ("kb_buy($id, 'domain', 1, '$key')", leaves($id, $key, 'purchase', -2)) },
	grant => sub { my ($c, $id, $key) = @_; my $days = any(2, 15, 40);
		push @{ $c->{entries}{$id} }, $key;
		return ("kb_grant_credit($id, '3 USD', '$key', 'sorry', "
			. "('$c->{clock}'::timestamptz + interval '$days days')::date, @{[ any(10, 50) ]})",
			leaves($id, $key, 'credit', 3)) },
	adjust => sub { my ($c, $id, $key) = @_; my $amount = any(-2, -0.5, 1); push @{ $c->{entries}{$id} }, $key;
		return ("kb_adjust($id, '$amount USD', '$key', 'x')", leaves($id, $key, 'adjustment', $amount)) },
	write_off => sub { my ($c, $id, $key) = @_; return ("kb_write_off($id, '$key', 'x')", leaves($id, $key, 'writeoff')) },
	refund => sub { my ($c, $id, $key) = @_; my $of = any(@{ $c->{topups}{$id} }) // return; push @{ $c->{refunds}{$id} }, $key;
		return ("kb_refund($id, '0.50 USD', '$key', 'x', '$of', @{[ any('true', 'false') ]})", leaves($id, $key, 'refund', -0.5)) },
	chargeback => sub { my ($c, $id, $key) = @_; my $of = any(@{ $c->{topups}{$id} }) // return;
		my $amount = any(undef, 0.75); push @{ $c->{chargebacks}{$id} }, $key;
		return ("kb_chargeback($id, '$of', '$key'" . ($amount ? ", '$amount USD'" : '') . ')',
			leaves($id, $key, 'chargeback', $amount && - $amount)) },
	reverse => sub { my ($c, $id, $key) = @_; my $of = any(@{ $c->{entries}{$id} }) // return;
		return ("kb_reverse($id, (SELECT seq FROM kbilling.entry WHERE account_id = $id AND key = '$of'), '$key', 'x')",
			leaves($id, $key, 'reversal')) },
	reverse_refund => sub { my ($c, $id, $key) = @_; my $of = any(@{ $c->{refunds}{$id} }) // return;
		return ("kb_reverse_refund($id, '$of', '$key')", leaves($id, $key, 'reversal', 0.5)) },
	reverse_chargeback => sub { my ($c, $id, $key) = @_; my $of = any(@{ $c->{chargebacks}{$id} }) // return;
		return ("kb_reverse_chargeback($id, '$of', '$key')", leaves($id, $key, 'reversal')) },
	discount => sub { my ($c, $id) = @_; return "kb_set_discount($id, percent => @{[ any(0, 10, 25) ]})" },
	code => sub { my ($c, $id) = @_; return "kb_redeem_code($id, '@{[ any('FEW', 'MANY') ]}', 'olga')" },
	end => sub { my ($c, $id) = @_; return "kb_end_account($id, 'olga', ('$c->{clock}'::timestamptz + interval '900 days')::date)" },
	continue => sub { my ($c, $id) = @_; return "kb_continue_account($id, 'olga')" },
	charge => sub { my ($c, $id) = @_; return "kb_month_charge($id)" },
	tariff => sub { my ($c, $id) = @_; return "kb_set_tariff($id, '@{[ any('open', 'other') ]}')" },
	switch_on => sub { my ($c, $id) = @_; return "kb_switch_on($id, 'seat', @{[ 1 + int rand 3 ]})" },
	switch_off => sub { my ($c, $id) = @_; return "kb_switch_off($id, 'seat')" },
	defer => sub { my ($c, $id) = @_; return "kb_defer($id, ('$c->{clock}'::timestamptz + interval '2 days')::date, 'support', 'x')" },
	limit => sub { my ($c, $id) = @_;
		return "kb_set_account_limit($id, 'mails', @{[ any('NULL', 1000, 3) ]}, @{[ any('true', 'false') ]})" },
	line => sub { my ($c, $id) = @_; return "kb_set_account_credit_line($id, '@{[ any(0, 5, 100) ]} USD')" },
	login => sub { my ($c, $id) = @_; return "kb_login($id, 'olga')" },
	schedule => sub { my ($c, $id) = @_; return "kb_schedule_closure($id, 'support')" },
	cancel => sub { my ($c, $id) = @_; return "kb_cancel_closure($id, 'olga')" },
	restore => sub { my ($c, $id) = @_; return "kb_restore_account($id, 'support')" },
	member => sub { my ($c, $id, $key) = @_; return "kb_add_member($id, '$key', 'admin')" },
	notices => sub { return "(SELECT count(kb_ack_notice(account_id, notice_no)) FROM kb_take_notices(5, '1 minute'))" },
);
# What is done most, is there most.  To tight accounts nothing is done that takes from them what they may have spent.
my %mix = (
	open => [ sort(keys %calls), qw(topup topup topup usage usage usage usage batch batch hold settle buy grant refund) ],
	tight => [ qw(topup usage usage usage usage batch each hold hold settle release buy buy grant login code) ],
);

# Events of some accounts of the session's, for a batch.
sub events
{
	my ($client, $id, $key) = @_;
	my $no = 0;
	return map { leaves(rand() < 0.5 ? $id : any(@{ $client->{accounts}{tight} }, @{ $client->{accounts}{open} }), $key . '-' . $no++,
		any('calls', 'mails'), 1) } 1 .. 2 + int rand 4;
}

sub json
{
	return '[' . join(',', map {
		qq({"account_id": $_->{id}, "service": "$_->{kind}", "quantity": $_->{amount}, "key": "$_->{key}"})
	} @_) . ']';
}

# Sessions do not outlive the test.
sub ending { push @started, @_; return @_ }

# Sessions, with the accounts that they do something to.  What one of them does is in its own order.
sub clients
{
	my ($number, %accounts) = @_;
	return ending(map { bless { name => "c$_", accounts => \%accounts, todo => [], untold => [] }, __PACKAGE__ } 1 .. $number);
}

# The next call of a session.
sub next_call
{
	my ($client) = @_;
	for (;;)
	{
		my $sort = @{ $client->{accounts}{tight} } && rand() < 0.3 ? 'tight' : 'open';
		my @ids = @{ $client->{accounts}{$sort} };
		my $what = any(@{ $mix{$sort} });
		# some accounts are busier than others
		my $id = rand() < 0.3 ? $ids[ rand() * (@ids < 3 ? @ids : 3) ] : any(@ids);
		my $n = "$client->{name}-" . ++$serial{ $client->{name} };
		my ($sql, @leaves) = $calls{$what}->($client, $id, "$what-$n");
		return { n => $n, what => $what, id => $id, sql => $sql, leaves => \@leaves } if $sql;
	}
}

# Lets a session make so many calls, of which those come first that have had no answer.  After each it says what came of it.
sub start_client
{
	my ($client, $node, $clock, $calls) = @_;
	$client->{clock} = $clock;
	push @{ $client->{todo} }, $client->next_call while @{ $client->{todo} } < $calls;
	my $script = "$PostgreSQL::Test::Utils::tmp_check/mix_" . $scripts++;
	append_to_file("$script.sql", join '', "SET search_path = public, kbilling; SET kbilling.clock = '$clock';\n",
		(map { "SET $_ = '$setting{$_}';\n" } sort keys %setting),
		map { "\\echo + $_->{n}\nSELECT * FROM $_->{sql} AS r;\n\\echo = $_->{n} :SQLSTATE\n" } @{ $client->{todo} });
	my $pid = fork // die "fork: $!";
	if (!$pid)
	{
		open STDOUT, '>', "$script.out" or die;
		open STDERR, '>', "$script.err" or die;
		$ENV{PGAPPNAME} = $client->{name};
		exec 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', "$script.sql" or die;
	}
	@$client{qw(pid script started)} = ($pid, $script, time);
	return;
}

# True if the session has come to its end, or lost its server; what came of its calls is then known.
sub reap_client
{
	my ($client) = @_;
	return 1 unless $client->{pid};
	return 0 unless waitpid($client->{pid}, POSIX::WNOHANG());
	delete $client->{pid};
	my $said = slurp_file("$client->{script}.out");
	my $errors = slurp_file("$client->{script}.err");
	my %state = $said =~ /^= (\S+) (\S+)$/mg;
	my %begun = map { $_ => 1 } $said =~ /^\+ (\S+)$/mg;
	my ($lost) = grep { !$state{$_} } keys %begun;
	my (@again, @untried);
	for my $call (@{ $client->{todo} })
	{
		my $state = $state{ $call->{n} };
		if (!$begun{ $call->{n} }) { push @untried, $call; next }
		$call->{tries}++;
		my ($rows) = $said =~ /^\+ \Q$call->{n}\E\n(.*?)^(?:= \Q$call->{n}\E |\z)/ms;
		my $end = !$state ? 'lost' : $state eq '00000' ? 'done' : $state =~ /^(57014|40001|40P01|55P03|53...)$/ ? $state
			: (grep { $_ eq $state } @refusals) ? 'refused' : 'unexpected';
		$count{$end}++;
		$count{"$end: $call->{what}"}++;
		push @unexpected, "$state for: SELECT $call->{sql}\n" . ($errors =~ /ERROR:/ ? $errors : '') if $end eq 'unexpected';
		push @unexpected, "what was found after a crash was refused ($state): SELECT $call->{sql}"
			if $call->{found} && $end ne 'done' && $end ne 'lost' && $end !~ /^5/ && $end ne '40001';
		$call->{end} = $end;
		$call->{rows} = $rows;
		push @{ $client->{untold} }, $call;
		push @again, $call unless $end =~ /done|refused|unexpected/;
	}
	$client->{todo} = [ @again, @untried ];
	unlink map { "$client->{script}.$_" } qw(sql out err);
	return 1;
}

# Sweeps that share the accounts.
sub sweepers { my ($number) = @_; return ending(map { { name => "s$_", workers => $number } } 1 .. $number) }

# The moment so many days after the beginning.
sub clock { my ($days) = @_; return POSIX::strftime('%Y-%m-%d %H:%M:%S+00', gmtime 1735689600 + 86400 * $days) }

sub start_sweeper
{
	my ($sweeper, $node, $clock) = @_;
	$sweeper->{pid} = fork // die "fork: $!";
	return if $sweeper->{pid};
	open STDERR, '>>', "$PostgreSQL::Test::Utils::tmp_check/sweepers.err" or die;
	$ENV{PGAPPNAME} = $sweeper->{name};
	exec 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SET kbilling.clock = '$clock'",
		'-c', "CALL kbilling.kb_sweep(workers => $sweeper->{workers})";
}

# Starts again who has come to an end.
sub keep_working
{
	my ($node, $clock, @sessions) = @_;
	for my $session (@sessions)
	{
		if (!$session->{workers}) { start_client($session, $node, $clock, 120) if reap_client($session) }
		elsif (!$session->{pid} || waitpid $session->{pid}, POSIX::WNOHANG()) { start_sweeper($session, $node, $clock); $count{sweeps}++ }
	}
	return;
}

sub wait_for_all
{
	for my $session (@_)
	{
		if (!$session->{workers}) { sleep 0.01 until reap_client($session) }
		elsif ($session->{pid}) { waitpid delete $session->{pid}, 0 }
	}
	return;
}

# Calls again what has had no answer, or was in conflict, and nothing else.
sub call_again
{
	my ($node, $clock, @clients) = @_;
	for (1 .. 500)
	{
		wait_for_all(@clients);
		$_->{todo} = [ grep { $_->{tries} } @{ $_->{todo} } ] for @clients;
		my @open = grep { @{ $_->{todo} } } @clients or last;
		start_client($_, $node, $clock, 0) for @open;
	}
	return;
}

# What kb_record_usage_each says of its events, by their number.
sub event_ends
{
	my ($call) = @_;
	my %end;
	while ($call->{rows} =~ /^(\d+)\|(\w?)\|(\w*)\|/mg)
	{
		my ($no, $counted, $state) = ($1, $2, $3);
		$end{$no} = $counted ? 'done' : 'refused';
		push @unexpected, "$state for an event of: SELECT $call->{sql}" unless $counted || grep { $_ eq $state } @refusals;
	}
	return %end;
}

# Writes what the sessions know into a table, where it is compared with what is there.  The last answer counts.
sub note_down
{
	my ($node, @clients) = @_;
	my %row;
	for my $client (@clients)
	{
		for my $call (splice @{ $client->{untold} })
		{
			my %of_event = $call->{what} eq 'each' && $call->{end} eq 'done' ? event_ends($call) : ();
			my $no = 0;
			for my $leaves (@{ $call->{leaves} })
			{
				my $end = $of_event{ ++$no } // $call->{end};
				$row{"$call->{n} $leaves->{key}"} = sprintf "('%s', '%s', %s, '%s', '%s', %s, '%s')", @$call{qw(n what)},
					@$leaves{qw(id key kind)}, $leaves->{amount} // 'NULL', $end =~ /^(done|lost)$/ ? $end : 'refused';
			}
		}
	}
	my @rows = values %row;
	while (my @some = splice @rows, 0, 1000)
	{
		$node->safe_psql('postgres', 'INSERT INTO note VALUES ' . join(",\n", @some) . q{
			ON CONFLICT (n, key) DO UPDATE SET state = excluded.state});
	}
	return;
}

# What is not as the sessions know it, and what kbilling finds in its own books.
sub troubles
{
	my ($node) = @_;
	return $node->safe_psql('postgres', q{
		SET search_path = public, kbilling;
		SET kbilling.clock = '2099-01-01 00:00+00';
		-- scanned, as an index might know less than the table
		SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off;
		CREATE TEMP TABLE there AS
			SELECT account_id, key::text, kind::text, kb_amount(amount) AS amount, count(*) AS times FROM entry
			WHERE key NOT LIKE 'kb:%' GROUP BY 1, 2, 3, 4
			UNION ALL
			SELECT account_id, key::text, service, sum(quantity), count(*) FROM usage_event GROUP BY 1, 2, 3;
		-- usage of an account that is purged is gone (D6)
		CREATE TEMP TABLE said AS SELECT * FROM note n WHERE n.kind NOT IN ('calls', 'mails')
			OR NOT EXISTS (SELECT FROM account a WHERE a.account_id = n.account_id AND a.state = 'purged');
		ANALYZE there, said;
		RESET enable_indexscan;
		SELECT 'acknowledged, but not there once as it was: ' || n::text
		FROM said n LEFT JOIN there t USING (account_id, key, kind)
		WHERE state = 'done' AND (t.times = 1 AND t.amount = coalesce(n.amount, t.amount)) IS NOT TRUE;
		SELECT 'refused, but there: ' || n::text FROM said n JOIN there t USING (account_id, key, kind)
		WHERE state = 'refused' AND NOT EXISTS (SELECT FROM said o WHERE o.account_id = n.account_id AND o.key = n.key
			AND o.kind = n.kind AND o.state <> 'refused');
		SELECT 'tried, and there more than once, or otherwise: ' || n::text FROM said n JOIN there t USING (account_id, key, kind)
		WHERE state = 'lost' AND (t.times <> 1 OR t.amount <> coalesce(n.amount, t.amount));
		SELECT 'there, but nobody tried it: ' || t::text FROM there t LEFT JOIN said n USING (account_id, key, kind) WHERE n.n IS NULL;
		SELECT 'a batch is there in part: ' || n.n FROM said n LEFT JOIN there t USING (account_id, key, kind) WHERE n.what = 'batch'
		GROUP BY n.n HAVING count(t.key) NOT IN (0, count(*));
		-- what the sessions know of a balance, with what follows from it: charges, bonus, expiry, what is said to be all that is left
		SELECT 'balance of account ' || a.account_id || ': ' || a.balance
		FROM account a
		LEFT JOIN (SELECT n.account_id, sum(n.amount) AS sum FROM said n JOIN there t USING (account_id, key, kind)
				   WHERE n.kind NOT IN ('calls', 'mails')
				   AND n.state <> 'refused' AND n.amount IS NOT NULL GROUP BY 1) own USING (account_id)
		LEFT JOIN (SELECT e.account_id, sum(kb_amount(e.amount)) AS sum FROM entry e
				   WHERE e.key LIKE 'kb:%' OR e.kind IN ('bonus', 'writeoff') OR e.kind IN ('chargeback', 'reversal') AND EXISTS
				   (SELECT FROM said n WHERE n.account_id = e.account_id AND n.key = e.key AND n.amount IS NULL) GROUP BY 1) ours
			USING (account_id)
		WHERE kb_amount(a.balance) <> coalesce(own.sum, 0) + coalesce(ours.sum, 0);
		SELECT 'usage of account ' || account_id || ': ' || service || ' ' || noted || ', ' || quantity
		FROM (SELECT account_id, kind AS service, sum(t.amount) AS noted
			  FROM (SELECT DISTINCT account_id, key, kind, amount FROM said WHERE state <> 'refused') n
			  JOIN there t USING (account_id, key, kind) WHERE kind IN ('calls', 'mails') GROUP BY 1, 2) n
		FULL JOIN (SELECT account_id, service::text, sum(quantity) AS quantity FROM usage_total GROUP BY 1, 2) u USING (account_id, service)
		WHERE noted IS DISTINCT FROM quantity;
		SELECT 'held, and settled: ' || h::text FROM usage_hold h JOIN usage_event e USING (account_id, service, key);
		SELECT 'code ' || c.code || ' is granted ' || count(d.code) || ' times, and counted ' || coalesce(u.uses, 0)
		FROM discount_code c LEFT JOIN discount d USING (code) LEFT JOIN discount_code_use u USING (code)
		GROUP BY c.code, c.max_uses, u.uses
		HAVING count(d.code) <> coalesce(u.uses, 0) OR count(d.code) > c.max_uses;
		SELECT 'a month is charged twice, or left out: ' || account_id || ' ' || period FROM (
			SELECT account_id, period, charged_through, count(*) FROM entry JOIN account USING (account_id)
			WHERE kind = 'charge' GROUP BY 1, 2, 3) c
		WHERE count > 1 OR period > charged_through;
		SELECT 'trial balance: ' || currency FROM trial_balance GROUP BY currency HAVING sum(balance) <> 0;
		SELECT 'kb_verify: ' || v::text FROM account a, kb_verify(a.account_id) v;
		SELECT 'kb_check: ' || c::text FROM kb_check() c});
}

# Calls of the sessions whose trace is there though nobody was told so: a repeat has to be a replay.
sub find_lost
{
	my ($node, @clients) = @_;
	my %found = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', q{
		SELECT n.n FROM note n
		WHERE state = 'lost' AND (EXISTS (SELECT FROM kbilling.entry e WHERE e.account_id = n.account_id AND e.key = n.key)
			OR EXISTS (SELECT FROM kbilling.usage_event e WHERE e.account_id = n.account_id AND e.key = n.key AND e.service = n.kind))});
	$_->{found} = $found{ $_->{n} } for map { @{ $_->{todo} } } @clients;
	return scalar keys %found;
}

1;
