# N4, J5, T4: the extension goes into a database of any encoding.  There notices
# read as in UTF-8, or in English where the encoding cannot hold the Ukrainian
# texts, entries have the same hashes, and card numbers are found in the digits
# and between the spaces and dashes that the encoding has.
use strict;
use warnings;
use Encode qw(decode encode);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('encoding');
$node->init;
$node->start;

# What a client that speaks UTF-8 gets; from MULE_INTERNAL there is no way to it.
sub ask
{
	my ($encoding, $sql) = @_;
	local $ENV{PGCLIENTENCODING} = $encoding eq 'MULE_INTERNAL' ? $encoding : 'UTF8';
	local $ENV{PGOPTIONS} = q{-c kbilling.clock=2026-11-16T10:00:00Z};
	my (undef, $rows, $error) = $node->psql(lc "in_$encoding", "SET search_path = kbilling;\n$sql");
	return $rows . $error;
}

# The notices of a payment, and of a closure, which has dates.
sub notice
{
	my ($encoding, $language) = @_;
	return ask($encoding, qq{
		SELECT (kb_render_notice(account_id, notice_no, '$language')).* FROM notice ORDER BY account_id, notice_no});
}

# KOI8U has the letters, but no numero sign.
my %has_letters = map { $_ => 1 } qw(UTF8 SQL_ASCII WIN1251 ISO_8859_5 EUC_JP KOI8U);
my %has_texts = map { $_ => 1 } grep { $_ ne 'KOI8U' } keys %has_letters;
my (%english, %ukrainian, %hashes, %letters, %explained);

# T4: a card number in what an encoding has of other digits, spaces and dashes; SQL_ASCII is read as UTF-8.
sub with
{
	my ($separator) = @_;
	return join encode('UTF-8', chr $separator), '4111', ('1111') x 3;
}
my ($next_line, $no_break_space, $soft_hyphen, $vowel_separator) = (0x85, 0xA0, 0xAD, 0x180E);
my @wide = (
	'４１１１１１１１１１１１１１１１', '４１１１　１１１１　１１１１　１１１１',
	'中文４１１１－１１１１－１１１１－１１１１', '4111　1111　1111　1111');
my %card = (
	UTF8 => ['౪౧౧౧ ౧౧౧౧ ౧౧౧౧ ౧౧౧౧', '𝟒𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏', with($next_line), with($vowel_separator), @wide],
	SQL_ASCII => ['౪౧౧౧ ౧౧౧౧ ౧౧౧౧ ౧౧౧౧', with($next_line), with($vowel_separator), @wide],
	LATIN1 => [map { with($_) } $next_line, $no_break_space, $soft_hyphen],
	LATIN2 => [with($no_break_space)],
	ISO_8859_5 => ['карта ' . with($no_break_space)],
	WIN1251 => ['карта 4111–1111–1111–1111', with($no_break_space)],
	WIN874 => ['๔๑๑๑ ๑๑๑๑ ๑๑๑๑ ๑๑๑๑', '๔111–1๑11-๑๑๑๑ 1111'],
	KOI8U => ['карта ' . with($no_break_space)],
	EUC_JP => \@wide,
	EUC_JIS_2004 => \@wide,
	EUC_KR => \@wide,
	EUC_CN => \@wide,
	EUC_TW => \@wide);

# Whether such a number is found, whether one with another check digit is, and whether a payment's memo may have it.
sub cards
{
	my ($encoding) = @_;
	for my $spelling (@{ $card{$encoding} // [] })
	{
		my $shown = decode('UTF-8', $spelling) =~ s/[^ -~]/sprintf '\\x{%X}', ord $&/ger;
		is(ask($encoding, "SELECT kb_has_card_number('$spelling')"), 't', "T4: $encoding: $shown is found");
		is(ask($encoding, "SELECT kb_has_card_number('$spelling' || '1')"), 'f', "T4: $encoding: with one more digit it is not");
		like(ask($encoding, "SELECT '$spelling'::kb_text"), qr/payment card number/, "T4: $encoding: and refused");
		is(ask($encoding, "SELECT kb_mask_card_numbers('$spelling')"), encode('UTF-8', decode('UTF-8', $spelling) =~ s/\p{Nd}/*/gr),
			"T10: $encoding: its digits alone are masked");
	}
}

for my $encoding (
	qw(UTF8 SQL_ASCII LATIN1 LATIN2 ISO_8859_5 WIN1251 WIN874 KOI8U EUC_JP EUC_JIS_2004 EUC_KR EUC_CN EUC_TW MULE_INTERNAL))
{
	next if $node->safe_psql('postgres', "SELECT pg_char_to_encoding('$encoding')") < 0;
	$node->safe_psql('postgres', "CREATE DATABASE in_$encoding ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	my (undef, undef, $error) = $node->psql(lc "in_$encoding", 'CREATE EXTENSION kbilling');
	is($error, '', "$encoding: the extension is created") or next;
	cards($encoding);

	ask($encoding, q{
		SELECT kb_create_tariff('std', 'USD'), kb_set_price('std', 'base', '19.00');
		SELECT kb_create_account('olena', 'std', 1, 'Europe/Kyiv', 'olena@example.org', '2026-08-31 12:00Z');
		SELECT kb_apply_topup(1, '50.00 USD', 'card', 'pay_1', 'olena');
		SELECT kb_create_account('taras', 'std', 2, 'Europe/Kyiv', 'taras@example.org', '2026-08-31 12:00Z');
		SELECT kb_schedule_closure(2, 'taras');});
	$hashes{$encoding} = ask($encoding, q{SELECT account_id, seq, hash FROM entry ORDER BY 1, 2});
	$english{$encoding} = notice($encoding, 'en');
	$ukrainian{$encoding} = notice($encoding, 'uk');

	is($hashes{$encoding}, $hashes{UTF8}, "J5: $encoding: the hashes are the same");
	is(ask($encoding, 'SELECT * FROM kb_verify(1)'), '', "J5: $encoding: and fit");
	is(ask($encoding, 'SELECT * FROM kb_check()'), '', "J2: $encoding: the books are right");
	is($english{$encoding}, $english{UTF8}, "N4: $encoding: English");
	is($ukrainian{$encoding}, $has_texts{$encoding} ? $ukrainian{UTF8} : $english{UTF8},
		"N4: $encoding: Ukrainian" . ($has_texts{$encoding} ? '' : ' is not to be had'));
	is(ask($encoding, q{SELECT kb_mask_card_numbers('* 4111 1111 1111 1111, 05')}), '* **** **** **** ****, 05',
		"T10: $encoding: a card number is masked");
	$explained{$encoding}{$_} = ask($encoding, qq{
		SELECT text, amount FROM kb_explain_line('{"what": "usage", "from_date": "2026-11-01", "unit": "order", "quantity": 1234.5,
			"price": "graduated 0.10 to 1000, 0.05 min 500.00", "events": 2, "days": 15, "days_in_month": 30,
			"amount": {"amount": "250.00", "currency": "USD"}}', '$_');
		SELECT kbilling_internal.kb_name('service', 'base', '$_')}) for qw(en uk);
	is($explained{$encoding}{en}, $explained{UTF8}{en}, "P: $encoding: a line in English");
	is($explained{$encoding}{uk}, $explained{UTF8}{ $has_letters{$encoding} ? 'uk' : 'en' },
		"P: $encoding: a line in Ukrainian" . ($has_letters{$encoding} ? '' : ' is not to be had'));
	my $date = ask($encoding, q{SELECT kb_format_message('{d}', 'uk', '{"d": "2026-04-16"}')});
	if ($has_letters{$encoding})
	{
		is($date, '16 квітня 2026 р.', "N4: $encoding: a date in Ukrainian");
		ask($encoding, q{
			SELECT kb_create_account('ївга', 'std', 3);
			SELECT kb_apply_topup(3, '50.00 USD', 'card', 'оплата', 'ївга')});
		$letters{$encoding} = ask($encoding, 'SELECT member, hash FROM entry WHERE account_id = 3');
		is($letters{$encoding}, $letters{UTF8}, "J5: $encoding: the hash of an entry in Ukrainian is the same");
		is(ask($encoding, 'SELECT * FROM kb_verify(3)'), '', "J5: $encoding: and fits");
	}
	else
	{
		like($date, qr/ERROR:  (character .* has no equivalent in encoding "$encoding"|default conversion function .* does not exist)/,
			"N4: $encoding: a date in Ukrainian is refused");
	}
}

# T4: what UTF-8 has nothing for is passed over, and does not stop the look at the rest
my $unknown = q{convert_from('\xa9a1'::bytea, 'EUC_JP')};
is(ask('EUC_JP', "SELECT kb_has_card_number($unknown || '４１１１１１１１１１１１１１１１' || $unknown)"), 't',
	'T4: EUC_JP: a number beside a character that has no equivalent is found');
is(ask('EUC_JP', "SELECT kb_has_card_number(repeat($unknown, 3000) || '1234567890123')"), 'f', 'T4: EUC_JP: what is none is not');
is(ask('EUC_JP', "SELECT kb_has_card_number(repeat('漢', n) || '４１１１１１１１１１１１１１１１') FROM generate_series(500, 515) n" .
	" EXCEPT SELECT true"), '', 'T4: EUC_JP: wherever it begins in a long text');

like($english{UTF8}, qr/^en\|Account 1: payment of 50\.00 USD received\|We have received .*November 26, 2026/s, 'N4: in English');
like($ukrainian{UTF8}, qr/^uk\|Кабінет №1: отримано платіж 50\.00 USD\|Ми отримали .*26 листопада 2026 р\./s, 'N4: in Ukrainian');
like($explained{UTF8}{uk},
	qr/^0\.10 USD за одиницю \(order\), за перші 1000; .*\nПерші 1000: 1000 одиниць по 0\.10 USD\|100\.00 USD\n.*\nАбонентська плата$/s,
	'P: in Ukrainian');
like($hashes{UTF8}, qr/^1\|1\|\\x[0-9a-f]{64}$/, 'J5: there is an entry with its hash');
like($letters{UTF8}, qr/^ївга\|\\x[0-9a-f]{64}$/, 'J5: and one in Ukrainian');

done_testing();
