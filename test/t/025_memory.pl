# A session that calls a function a great many times keeps no memory of it: neither PostgreSQL's contexts nor the process grow.
# KBILLING_CALLS calls of each (1,000; test/long makes a million), of what is slow a tenth.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $calls = $ENV{KBILLING_CALLS} || 1000;

# kB that may still be taken after the first tenth of the calls: by caches, and by how malloc keeps what was freed
my ($most_contexts, $most_process) = (64, 2048);

my $node = PostgreSQL::Test::Cluster->new('memory');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nfsync = off\nsynchronous_commit = off\nmax_wal_size = 4GB");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kbilling;
	SET search_path = public, kbilling;
	SELECT kb_create_tariff('start', 'USD'), kb_create_service('calls', 'metered'), kb_create_service('peak', 'metered', NULL, 'max'),
		kb_create_service('pack', 'one_off'), kb_set_price('start', 'base', '19.00'),
		kb_set_price('start', 'calls', 'graduated 0.10 to 100, 0.05 free 10'), kb_set_price('start', 'peak', '1.00 each'),
		kb_set_price('start', 'pack', '0.01 each'), kb_set_bonus('start', '1 USD', 10);
	SELECT kb_create_account('olga', 'start', id), kb_set_contact(id, 'olga', 'olga@example.org', 'en'),
		kb_apply_topup(id, '100 USD', 'card', 'first') FROM generate_series(1, 100) AS id;
	SELECT kb_set_account_credit_line(id, '1000000 USD') FROM generate_series(1, 50) AS id;
	CREATE FUNCTION is_refused(account_id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM kbilling.kb_adjust(account_id, '0.01 UAH', 'e', 'a gift');
		RETURN false;
	EXCEPTION WHEN OTHERS THEN
		RETURN true;
	END $$;
	CREATE TABLE sample (name text, n integer, contexts bigint, process bigint);
	CREATE TABLE call (id bigint PRIMARY KEY, account_id bigint, units integer);
	CREATE TRIGGER guard BEFORE INSERT ON call FOR EACH ROW EXECUTE FUNCTION kb_guard('account_id');
	CREATE TRIGGER meter AFTER INSERT ON call REFERENCING NEW TABLE AS added FOR EACH STATEMENT
		EXECUTE FUNCTION kb_meter('calls', 'account_id', 'units', 'id');
	VACUUM ANALYZE});

# What is called; an account's number is random, :n is that of the call.
my @functions = (
	[ 'kb_money' => q{SELECT (:n::numeric * '0.01 USD'::kb_money + '1.00 USD')::text} ],
	[ 'kb_rate' => q{SELECT kb_rate('graduated 0.10 to 100, 0.08 to 1000, 0.05 free 5', :n::numeric, 'USD')} ],
	[ 'kb_mask_card_numbers' => q{SELECT kb_mask_card_numbers('card 4111 1111 1111 1111 of ' || :n::integer)} ],
	[ 'kb_format_message' => q{SELECT kb_format_message('{n, plural, one {# call} other {# calls}}', 'en',
		jsonb_build_object('n', :n::integer))} ],
	[ 'kb_balance' => q{SELECT kb_balance(:account)} ],
	[ 'kb_access' => q{SELECT * FROM kb_access(:account, 'owner')} ],
	[ 'account_access' => q{SELECT * FROM account_access WHERE account_id = :account} ],
	[ 'kb_available' => q{SELECT kb_available(:account)} ],
	[ 'kb_current_usage' => q{SELECT count(*) FROM kb_current_usage(:account)} ],
	[ 'kb_record_usage' => q{SELECT kb_record_usage(:account, 'calls', 1, 'u' || :n::integer)} ],
	[ 'a highest quantity' => q{SELECT kb_record_usage(:account, 'peak', :n::numeric, 'p' || :n::integer)} ],
	[ 'kb_record_usage_batch' => q{SELECT kb_record_usage_batch(jsonb_build_array(jsonb_build_object('account_id',
		:account::integer, 'service', 'calls', 'quantity', 1, 'key', 'b' || :n::integer)))} ],
	[ 'kb_meter' => q{INSERT INTO call VALUES (:n, :account, 1)} ],
	[ 'kb_hold_usage' => q{SELECT kb_hold_usage(:account, 'calls', 1, 'h' || :n::integer, kb_now() + interval '1 hour'),
		kb_release_usage(:account, 'calls', 'h' || :n::integer)} ],
	[ 'kb_apply_topup' => q{SELECT kb_apply_topup(:account, '1.00 USD', 'card', 't' || :n::integer)} ],
	[ 'kb_buy' => q{SELECT kb_buy(:account, 'pack', 1, 'y' || :n::integer)} ],
	[ 'kb_adjust' => q{SELECT kb_adjust(:account, '0.01 USD', 'a' || :n::integer, 'a gift')} ],
	[ 'an error' => q{SELECT public.is_refused(:account)} ],
	[ 'kb_portal' => q{SELECT kb_portal(:account, 'olga')}, 10 ],
	[ 'kb_forecast' => q{SELECT count(*) FROM kb_forecast(:account, 3)}, 10 ]);

# Samples are taken by the session itself, at each tenth of the calls.
my $sample = q{SELECT '%s', :n, (SELECT sum(total_bytes) FROM pg_backend_memory_contexts) / 1024,
	substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\s+(\d+)')::bigint};

for my $function (@functions)
{
	my ($name, $call, $share) = @$function;
	my $each = int($calls / ($share || 1) / 10) || 1;
	my $file = $node->basedir . '/call.sql';
	open my $out, '>', $file or die $!;
	printf $out "\\set n :n + 1\n\\set account random(1, 100)\n%s;\n\\if :n %% $each = 0\nINSERT INTO public.sample $sample;\n\\endif\n",
		$call, $name;
	close $out;
	local $ENV{PGOPTIONS} = '-c search_path=kbilling,public';
	command_ok([ 'pgbench', '-n', '-M', 'prepared', '-t', 10 * $each, '-D', 'n=0', '-f', $file, '-h', $node->host, '-p', $node->port,
		'postgres' ], "$name: " . 10 * $each . ' calls');
	my ($contexts, $process) = split /\|/, $node->safe_psql('postgres',
		"SELECT max(contexts) FILTER (WHERE n > $each) - max(contexts) FILTER (WHERE n = $each),
			max(process) FILTER (WHERE n > $each) - max(process) FILTER (WHERE n = $each) FROM sample WHERE name = '$name'");
	cmp_ok($contexts, '<=', $most_contexts, "$name: contexts have grown by $contexts kB");
	cmp_ok($process, '<=', $most_process, "$name: the process has grown by $process kB");
}
$node->stop;
done_testing();
