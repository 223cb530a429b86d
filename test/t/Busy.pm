# A database with a history, for the tests that take one elsewhere: what is in it, and what is done with it afterwards.
package Busy;
use strict;
use warnings;

use Exporter 'import';
our @EXPORT_OK = qw(make_busy contents lasting_contents $go_on);

sub ask
{
	my ($node, $database, $query) = @_;
	return $node->safe_psql($database, $query);
}

# Half a year of a service: two currencies, all stages, every kind of entry, terms
# of all sorts, sweeps that finished, failed an account and were interrupted; and
# what a DBA has built on it.
sub make_busy
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'CREATE DATABASE busy');
	ask($node, 'busy', q{
		CREATE EXTENSION kbilling;
		SET search_path = kbilling, kbilling_internal, public;
		SET kbilling.clock = '2025-06-10 09:00+00';
		INSERT INTO policy (policy, remind_day, restrict_day, block_day, debt_counts_from, activity, close_unused, metadata)
			VALUES ('strict', 2, 3, 6, 'posting_date', 'logins', false, '{"for": "resellers"}');
		SELECT kb_set_policy('patient', '{"remind_day": 5}'), kb_set_policy('patient', '{"remind_day": 6}');
		-- moves that have ended, as their rows look then
		INSERT INTO shard_move (move, is_source, state, buckets, unverified_from)
			VALUES ('gone', true, 'forgotten', '{1,2}', NULL), ('come', false, 'taken', '{3}', '4294967297');
		INSERT INTO shard_cut (move, catalogue) VALUES ('gone', kb_catalogue_digest());
		SELECT kb_create_tariff('start', 'USD', 'Start'), kb_create_tariff('reseller', 'USD', policy => 'strict'),
			kb_create_tariff('lviv', 'UAH', 'Старт');
		SELECT kb_create_service('seat', 'recurring', 'seat'), kb_create_service('orders', 'metered', 'order', 'count'),
			kb_create_service('setup', 'one_off'), kb_create_service('calls', 'metered'),
			kb_create_service('visitors', 'metered', aggregation => 'unique');
		SELECT kb_set_price('start', 'base', '19.00'), kb_set_price('start', 'base', '20.00', '2025-08-16'),
			kb_set_price('start', 'base', '21.00', '2025-08-16'),
			kb_set_price('start', 'orders', 'graduated 0.10 to 5, 0.05'), kb_set_price('reseller', 'orders', '2.5% + 0.30'),
			kb_set_price('lviv', 'orders', '1 each'), kb_set_price('start', 'setup', '7.50 each'),
			kb_set_price('start', 'calls', '0.01 each'),
			kb_set_price('start', 'visitors', '0.02 each'),
			kb_set_price('start', 'seat', '5.00 each free 1'), kb_set_price('reseller', 'base', '99', prorate => false),
			kb_set_price('reseller', 'seat', '4'), kb_set_price('lviv', 'base', '800.00'),
			kb_set_price('lviv', 'seat', '200 per 2 min 250');
		SELECT kb_set_bonus('start', '100 USD', 10), kb_set_bonus('start', '20 USD', 2.5, to_date => '2025-09-01'),
			kb_set_bonus('lviv', '1000 UAH', 5, valid_days => 40);
		SELECT kb_set_credit_line('reseller', '1000000 USD'), kb_set_limit('start', 'calls', 1000),
			kb_set_alert('start', 'balance', 5.00);
		SELECT kb_set_minimum('lviv', '900 UAH'), kb_set_minimum('lviv', '0 UAH', '2025-08-11'), kb_set_minimum('start', '25 USD'),
			kb_create_discount_code('SUMMER', percent => 12.5, services => '{seat,base}', months => 2, max_uses => 50),
			kb_create_discount_code('FIVE', amount => '5 USD', valid_until => '2025-12-31');
		SELECT kb_set_template('charge_posted', 'uk', 'Рахунок за {month}', '{amount}'),
			kb_set_template('charge_posted', 'en', 'Bill for {month}', '{amount}', 'strict');
		SELECT kb_create_account('owner', ('{lviv,start,reseller}'::text[])[1 + n % 3], email => 'owner@example.org',
			time_zone => ('{Europe/Kyiv,Asia/Tokyo}'::text[])[1 + n % 2]) FROM generate_series(1, 120) AS n;
		SELECT kb_create_account('owner', 'start', 1000, created_at => '2025-01-31 12:00+00');
		SELECT kb_add_member(account_id, 'anna', 'admin'), kb_add_member(account_id, 'ivan', 'employee') FROM account
			WHERE account_id % 4 = 0;
		SELECT kb_apply_topup(account_id, kb_money((account_id * 3)::numeric, currency), 'card', 'pay-1', 'owner')
			FROM account WHERE account_id % 3 > 0;
		SELECT kb_create_payment_method('cash', 'Готівка');
		SELECT kb_set_name('tariff', 'start', 'uk', 'Старт'), kb_set_name('service', 'orders', 'uk-UA', 'Замовлення');
		SELECT kb_set_billing_details(1, '{"name": "Тарас"}'), kb_set_billing_details(2, '{"name": "Acme"}');
		SELECT kb_apply_topup(3, '2000 UAH', 'bank_transfer', 'pay-1'), kb_apply_topup(1, '100 USD', 'google_pay', 'pay-2'),
			kb_apply_topup(2, '30 USD', 'cash', 'pay-2', paid => '1237.50 UAH'), kb_begin_topup(4, 'owner', '5 USD', 'cash');
		SELECT kb_switch_on(account_id, 'seat', 1 + account_id % 3, '2025-06-21') FROM account WHERE account_id % 5 = 0;
		SELECT kb_redeem_code(account_id, 'SUMMER', 'owner') FROM account WHERE account_id % 6 = 0;
		SELECT kb_set_discount(account_id, amount => kb_money(3, currency), services => '{orders}') FROM account WHERE account_id % 9 = 0;
		SELECT kb_set_account_credit_line(3, '50000 UAH'), kb_set_account_limit(4, 'calls', 50, false),
			kb_set_account_alert(4, 'balance', 2.00),
			kb_record_usage(4, 'calls', 60, 'call-1'),
			kb_record_usage(4, 'visitors', 1, 'visit-1', properties => '{"value": "anna"}'), kb_login(4, 'anna'),
			kb_hold_usage(4, 'calls', 5, 'call-2', '2025-12-31 00:00+00'),
			kb_buy(4, 'setup', 1, 'setup-1', 'owner');
		SELECT kb_grant_credit(account_id, kb_money(5 + account_id, currency), 'credit-1', 'a gift', '2025-07-20'),
			kb_grant_credit(account_id, kb_money(7, currency), 'credit-2', 'another', '2025-09-03', 60)
			FROM account WHERE account_id % 11 = 0;
		SELECT kb_record_usage(account_id, 'orders', 1, 'order-' || n, properties => '{"from": "web"}') FROM account,
			generate_series(1, 8) n WHERE account_id % 7 = 0;
		SELECT kb_ack_notice(account_id, notice_no) FROM kb_take_notices(1000, '1 hour');
		SELECT kb_set_policy('strict', '{"keep_notices_months": 1}');
		CALL kb_sweep();
		SET kbilling.clock = '2025-08-20 09:00+00';
		SELECT kb_set_tariff(account_id, 'reseller', '2025-07-11') FROM account WHERE tariff = 'start' AND account_id % 10 = 1;
		SELECT kb_set_tariff(1000, 'reseller', '2025-12-01');
		SELECT kb_switch_off(account_id, 'seat', '2025-08-02') FROM account WHERE account_id % 10 = 0;
	});
	# A charge that is too large for a kb_money is passed over.
	ask($node, 'busy', q{
		SET search_path = kbilling, kbilling_internal; SET kbilling.clock = '2025-08-20 10:00+00';
		SELECT kb_switch_on(16, 'seat', 1e13, '2025-07-21'), kb_adjust(16, '-80000000000000 USD', 'deep-1', 'so deep that no charge fits');
		CALL kb_sweep();
		SELECT kb_switch_off(16, 'seat', '2025-07-21'), kb_adjust(16, '80000000000000 USD', 'deep-2', 'undone'),
			kb_adjust(2, '-0.01 USD', 'cent-1', 'a cent too much');
		SELECT kb_refund(94, '10 USD', 'back-1', 'asked for'), kb_chargeback(5, 'pay-1', 'lost-1'),
			kb_write_off(12, 'gone', 'nobody answers');
		SELECT kb_reverse(7, seq, 'wrong-1', 'wrong month') FROM entry WHERE account_id = 7 AND kind = 'charge' AND period = '2025-06-01';
		SELECT kb_record_usage(account_id, 'orders', 1, 'late-order', '2025-06-12 09:00+00'),
			kb_record_usage(account_id, 'orders', -1, 'cancelled') FROM account WHERE account_id % 14 = 0;
		SELECT kb_defer(9, '2025-08-31', 'support', 'holiday'), kb_defer(9, '2025-09-15', 'support', 'longer'),
			kb_defer(24, '2025-08-20', 'support', 'today');
		SELECT kb_end_account(21, 'owner', '2099-12-31', 'moves away'), kb_end_account(22, 'owner'), kb_continue_account(22, 'owner');
		SET kbilling.clock = '2025-09-01 12:00+00';
		SELECT kb_sweep_begin();
		SELECT kb_sweep_step(3, 50), kb_sweep_step(3, 50);
	});
	ask($node, 'busy', q{
		CREATE ROLE teller;
		CREATE ROLE webhook;
		SELECT kbilling.kb_grant('webhook', 'payments'), kbilling.kb_grant('webhook', 'support');
		GRANT EXECUTE ON FUNCTION kbilling.kb_apply_topup TO teller;
		GRANT SELECT ON kbilling.account TO teller;
		CREATE TABLE public.shop (account_id bigint PRIMARY KEY REFERENCES kbilling.account, fee kbilling.kb_money,
			price kbilling.kb_price);
		INSERT INTO public.shop SELECT account_id, balance, '0.10 each min 1.00' FROM kbilling.account;
		CREATE INDEX ON public.shop (fee);
		CREATE TABLE public.sale (account_id bigint, sale_no bigint PRIMARY KEY);
		CREATE TRIGGER meter AFTER INSERT ON public.sale REFERENCING NEW TABLE AS added
			FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('orders', 'account_id', '', 'sale_no');
		INSERT INTO public.sale SELECT 1 + n % 120, n FROM generate_series(1, 500) n;
		SELECT kbilling.kb_register_purge('public.sale', 'account_id');
		-- the buckets of all accounts, of the next one, and others
		SELECT kbilling.kb_own_buckets(array_agg(kbilling.kb_shard(n)))
			FROM (SELECT generate_series(1, 200) UNION ALL SELECT 1000) a (n);
		CREATE VIEW public.debtors AS SELECT account_id, stage, amount_due FROM kbilling.account_status WHERE stage <> 'ok';
	});
	return;
}

# Everything in every table and sequence of the extension, as text.
sub contents
{
	my ($node, $database) = @_;
	my %contents;
	for my $name (split /\n/, ask($node, $database, q{
		SELECT c.oid::regclass FROM pg_class c
		WHERE c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'S')}))
	{
		my $columns = $name =~ /_seq$/ ? 'last_value, is_called' : '*';
		$contents{$name} = ask($node, $database,
			"SELECT count(*), md5(string_agg(t::text, ';' ORDER BY t::text)) FROM (SELECT $columns FROM $name) t");
	}
	return \%contents;
}

# The same, less what differs from run to run: a run and an event note the machine's own time, the numbers of changes are
# made of it (rights are tried apart), and which slot of a total a session writes to is the server's choice.
sub lasting_contents
{
	my ($node, $database) = @_;
	my $contents = contents($node, $database);
	delete @$contents{ 'kbilling.sweep_run', 'kbilling.usage_event', 'kbilling.usage_total', 'kbilling.change_log' };
	$contents->{'changes, but for their numbers'} = ask($node, $database, q{
		SELECT to_jsonb(c) - 'change_id' FROM kbilling.change_log c WHERE c.subject <> 'rights' ORDER BY c.change_id});
	$contents->{'usage, all slots'} = ask($node, $database, q{
		SELECT account_id, period, service, price_id, aggregation, sum(quantity), sum(billed_quantity), sum(events),
			sum(billed_events), bool_and(settled), max(last_at), max(last_recorded_at)
		FROM kbilling.usage_total GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4});
	return $contents;
}

# Acts that show whether a database goes on as if nothing had happened.
our $go_on = q{
	SET kbilling.clock = '2025-09-05 12:00+00';
	SET search_path = kbilling;
	CALL kb_sweep();
	SELECT kb_apply_topup(4, '30 USD', 'card', 'pay-3', 'anna'), kb_apply_topup(4, '12 USD', 'card', 'pay-1', 'owner');
	SELECT kb_reverse(1000, 1, 'wrong-2', 'after the restore');
	SELECT kb_create_account('new', 'lviv');
	SELECT kb_set_price('start', 'base', '25.00'), kb_set_policy('patient', '{"block_day": 20}');
	SELECT subject, before IS NULL, count(*) FROM change_log WHERE subject <> 'rights' GROUP BY 1, 2 ORDER BY 1, 2;
	SELECT kb_record_usage(7, 'orders', 1, 'order-1'), kb_record_usage(7, 'orders', 1, 'order-9');
	INSERT INTO public.sale VALUES (7, 501);
	SELECT * FROM current_usage ORDER BY 1, 2;
	SELECT run_id, outcome, periods_due, periods_charged FROM sweep_run ORDER BY 1;
	SELECT * FROM account_status ORDER BY 1;
	SELECT * FROM trial_balance ORDER BY 1, 2;
	SELECT * FROM public.debtors ORDER BY 1;
	SELECT * FROM kb_check()};

1;
