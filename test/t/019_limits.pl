# L2, L3: however many record usage of one account at once, at whatever isolation level, it spends what it has, and no more.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('limits');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kbilling;
	SET search_path = public, kbilling;
	SELECT kb_create_tariff('prepaid', 'USD'), kb_create_tariff('counted', 'USD'), kb_create_service('calls', 'metered');
	SELECT kb_set_price(t, 'calls', '0.10 each') FROM unnest('{prepaid,counted}'::text[]) AS t;
	SELECT kb_set_credit_line('prepaid', '0 USD'), kb_set_limit('counted', 'calls', 50);
	CREATE TABLE refused (account_id bigint, message text);
	CREATE TABLE call (account_id bigint, n bigint GENERATED ALWAYS AS IDENTITY);
	CREATE TRIGGER meter AFTER INSERT ON call REFERENCING NEW TABLE AS added FOR EACH STATEMENT
		EXECUTE FUNCTION kb_meter('calls', 'account_id');
	-- what is refused is noted; a conflict is for the client to try again
	CREATE FUNCTION uses(id bigint, how text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF how = 'call' THEN PERFORM kb_record_usage(id, 'calls', 1, gen_random_uuid()::text);
		ELSE INSERT INTO call VALUES (id);
		END IF;
	EXCEPTION WHEN SQLSTATE 'KB013' THEN INSERT INTO refused VALUES (id, SQLERRM);
	END $$;
});

my $account = 0;
for my $level ('read committed', 'repeatable read', 'serializable')
{
	for my $case (['prepaid', 'call'], ['prepaid', 'meter'], ['counted', 'call'])
	{
		my ($tariff, $how) = @$case;
		my $name = "$tariff, by $how, $level";
		$account++;
		$node->safe_psql('postgres', "SET search_path = public, kbilling; SELECT kb_create_account('ann', '$tariff', $account),
			kb_apply_topup($account, '5.00 USD', 'card', 'p')");
		local $ENV{PGOPTIONS} = "-c search_path=public,kbilling -c default_transaction_isolation=" . ($level =~ s/ /\\ /r);
		$node->pgbench("--no-vacuum --client 16 --transactions 5 --max-tries 1000", 0, [qr/processed: 80\/80/], [qr/^$/],
			$name, { "use_$account" => "SELECT uses($account, '$how');" });
		is($node->safe_psql('postgres', "SELECT sum(quantity) FROM kbilling.usage_event WHERE account_id = $account"), '50',
			"$name: 50 of 80 are taken");
		is($node->safe_psql('postgres', "SELECT count(*) FROM refused WHERE account_id = $account"), '30', "$name: 30 are refused");
		is($node->safe_psql('postgres', "SELECT kbilling.kb_available($account)"), '0.00 USD', "$name: nothing is left");
	}
}
is($node->safe_psql('postgres', 'SELECT * FROM kbilling.kb_check()'), '', 'the books are right');
$node->stop;
done_testing();
