/*
 * What notices say: texts by kind and language (N4).
 *
 * A text is a pattern in the syntax of ICU's MessageFormat, in which the facts
 * of a notice are filled in.  The built-in texts are a view, so that a dump has
 * a service's own ones only.
 */

-- Amounts are texts as kb_money writes them, and dates ISO; has_... and in_... say what a select asks.
CREATE VIEW kbilling.notice_kind WITH (security_invoker) AS
	SELECT k.kind::kb_notice_kind AS kind, k.example::jsonb AS example
	FROM (VALUES
		('topup_received',
			'{"account_id": 7, "has_ended": false,
			"amount": "50.00 USD", "bonus": "5.00 USD", "balance": "36.00 USD", "amount_due": "0.00 USD",
			"has_bonus": true, "in_debt": false, "stage_before": "restrict", "stage": "ok",
			"has_paid": true, "paid": "2062.75 UAH", "has_rate": true, "rate": 41.255}'),
		('charge_posted',
			'{"account_id": 7, "has_ended": false, "month": "2026-11", "amount": "19.00 USD", "is_credit": false, "credit": "0.00 USD",
			"balance": "-4.50 USD", "amount_due": "4.50 USD", "in_debt": true, "stage": "grace"}'),
		('stage_changed',
			'{"account_id": 7, "has_ended": false,
			"stage_before": "remind", "stage": "restrict", "amount_due": "4.50 USD", "balance": "-4.50 USD",
			"next_stage": "blocked", "next_stage_on": "2026-12-10"}'),
		('payment_reminder',
			'{"account_id": 7, "has_ended": false, "amount_due": "4.50 USD", "balance": "-4.50 USD", "day": 5, "next_stage": "restrict",
			"next_stage_on": "2026-12-07", "days": 2}'),
		('closure_scheduled',
			'{"account_id": 7, "has_ended": false, "delete_on": "2026-12-26", "days": 10, "amount_due": "4.50 USD", "in_debt": true,
			"stage": "blocked", "restore_days": 20}'),
		('closure_reminder',
			'{"account_id": 7, "has_ended": false, "delete_on": "2026-12-26", "days": 3, "amount_due": "4.50 USD", "in_debt": true,
			"stage": "blocked"}'),
		('closure_cancelled',
			'{"account_id": 7, "has_ended": false, "why": "member", "delete_on": "2026-12-26", "amount_due": "4.50 USD", "in_debt": true,
			"stage": "blocked"}'),
		('account_deleted',
			'{"account_id": 7, "deleted_on": "2026-12-26", "purge_on": "2027-01-15", "restore_until": "2027-01-14", "days": 20,
			"amount_due": "4.50 USD", "in_debt": true}'),
		('account_restored',
			'{"account_id": 7, "has_ended": false,
			"restored_on": "2027-01-05", "balance": "-4.50 USD", "amount_due": "4.50 USD", "in_debt": true,
			"stage": "blocked"}'),
		('account_purged', '{"account_id": 7, "purged_on": "2027-01-15"}'),
		('topup_after_deletion',
			'{"account_id": 7, "amount": "50.00 USD", "reference": "PAY-1", "balance": "45.50 USD", "amount_due": "0.00 USD",
			"in_debt": false}'),
		('limit_reached', '{"account_id": 7, "service": "messages", "month": "2026-11", "limit": 1000}'),
		('alert',
			'{"account_id": 7, "alert": "balance", "service": "", "month": "2026-11", "amount": "4.50 USD", "threshold_amount": "5.00 USD",
			"number": 0, "threshold": 0}'),
		('charge_upcoming',
			'{"account_id": 7, "month": "2026-11", "charged_on": "2026-12-01", "amount": "19.00 USD", "balance": "4.50 USD",
			"missing": "14.50 USD"}'),
		('contract_ending', '{"account_id": 7, "ends_on": "2026-12-31", "balance": "-4.50 USD", "amount_due": "4.50 USD",
			"in_debt": true}'),
		('contract_continued', '{"account_id": 7, "ends_on": "2026-12-31", "balance": "-4.50 USD", "amount_due": "4.50 USD",
			"in_debt": true}'),
		('credit_expiring',
			'{"account_id": 7, "amount": "5.00 USD", "expires_on": "2026-12-31", "last_day": "2026-12-30", "balance": "12.00 USD"}')
	) AS k (kind, example);
COMMENT ON VIEW notice_kind IS 'The kinds of notices, each with the facts that its texts can use';
COMMENT ON COLUMN notice_kind.kind IS 'The kind';
COMMENT ON COLUMN notice_kind.example IS 'An example of its facts';

CREATE VIEW kbilling.standard_template WITH (security_invoker) AS
	SELECT t.kind::kb_notice_kind AS kind, t.language, t.subject, t.body
	FROM (VALUES
		('topup_received', 'en',
		 'Account {account_id, number, ::group-off}: payment of {amount} received',
'We have received your payment of {amount}.{has_paid, select, true {
You paid {paid}{has_rate, select, true {, at a rate of {rate, number, ::.00######}} other {}}.} other {}}{has_bonus, select, true {
A bonus of {bonus} has been added to it.} other {}}
The balance is now {balance}.{in_debt, select, true {
{amount_due} is still to be paid.} other {}}{has_ended, select, true {} other {{stage, select,
restrict {
Until then, owners and administrators can only pay; employees work on for now.}
blocked {
Until then, nobody can get in, but you can pay at any time.}
other {{stage_before, select, restrict {
The account can be used in full again.} blocked {
The account can be used in full again.} other {}}}}}}
Thank you!'),

		('topup_received', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off}: отримано платіж {amount}'),
kb_utf8('Ми отримали ваш платіж {amount}.{has_paid, select, true {
Ви сплатили {paid}{has_rate, select, true { за курсом {rate, number, ::.00######}} other {}}.} other {}}{has_bonus, select, true {
До нього нараховано бонус {bonus}.} other {}}
Тепер на балансі {balance}.{in_debt, select, true {
Залишилося сплатити {amount_due}.} other {}}{has_ended, select, true {} other {{stage, select,
restrict {
До повної сплати власники й адміністратори можуть лише платити, працівники поки що працюють далі.}
blocked {
До повної сплати увійти до кабінету не можна, але сплатити можна будь-коли.}
other {{stage_before, select, restrict {
Кабінетом знову можна користуватися без обмежень.} blocked {
Кабінетом знову можна користуватися без обмежень.} other {}}}}}}
Дякуємо!')),

		('charge_posted', 'en',
		 'Account {account_id, number, ::group-off}: {is_credit, select, true {credit} other {charge}} for {month}',
'{is_credit, select, true {For {month}, {credit} has been credited to the account.} other {For {month}, {amount} has been charged.}}
The balance is now {balance}.
{in_debt, select, true {Please pay {amount_due}.{has_ended, select, true {} other {{stage, select,
restrict {
Until it is paid, owners and administrators can only pay; employees work on for now.}
blocked {
Until it is paid, nobody can get in, but you can pay at any time.}
other {
The account can be used in full for now. Paying in time keeps it so.}}}}} other {There is nothing to pay now. Thank you!}}'),

		('charge_posted', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off}: {is_credit, select, true {повернення} other {нарахування}} за {month}'),
kb_utf8('{is_credit, select, true {За {month} на баланс повернуто {credit}.} other {За {month} нараховано до сплати {amount}.}}
Тепер на балансі {balance}.
{in_debt, select, true {Будь ласка, сплатіть {amount_due}.{has_ended, select, true {} other {{stage, select,
restrict {
До повної сплати власники й адміністратори можуть лише платити, працівники поки що працюють далі.}
blocked {
До повної сплати увійти до кабінету не можна, але сплатити можна будь-коли.}
other {
Поки що кабінетом можна користуватися без обмежень. Своєчасна сплата збереже доступ.}}}}} other {Зараз платити нічого не потрібно. Дякуємо!}}')),

		('stage_changed', 'en',
		 'Account {account_id, number, ::group-off}: {has_ended, select, true {{stage, select, ok {no debt} blocked {access is blocked} other {payment is due}}} other {{stage, select, ok {no debt, full access} grace {payment is due} restrict {access is restricted} blocked {access is blocked} other {access has changed}}}}',
'{has_ended, select, true {{stage, select,
ok {The debt of the account is settled.}
blocked {The account has a debt: nobody can get in now, but you can pay at any time.}
other {The account has a debt.}}
The balance is {balance}.{next_stage, select,
blocked {
From {next_stage_on} on, nobody will be able to get in.}
other {}}
{stage, select, ok {Thank you!} other {Please pay {amount_due}.}}} other {{stage, select,
ok {The debt of the account is settled, and it can be used in full.}
grace {The account has a debt, and can be used in full for now.}
restrict {The account has a debt: owners and administrators can only pay now. Employees work on.}
blocked {The account has a debt: nobody can get in now, but you can pay at any time.}
other {The access to the account has changed.}}
The balance is {balance}.{next_stage, select,
remind {
From {next_stage_on} on, owners and administrators will see a reminder.}
restrict {
From {next_stage_on} on, owners and administrators will only be able to pay.}
blocked {
From {next_stage_on} on, nobody will be able to get in.}
other {}}{stage, select,
ok {
Thank you!}
grace {
Please pay {amount_due}.
Nothing is deleted because of a debt alone.}
other {
Please pay {amount_due}: the account can then be used in full at once.
Nothing is deleted because of a debt alone.}}}}'),

		('stage_changed', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off}: {has_ended, select, true {{stage, select, ok {боргу немає} blocked {доступ закрито} other {час сплатити}}} other {{stage, select, ok {боргу немає, доступ повний} grace {час сплатити} restrict {доступ обмежено} blocked {доступ закрито} other {доступ змінено}}}}'),
kb_utf8('{has_ended, select, true {{stage, select,
ok {Борг кабінету погашено.}
blocked {У кабінеті є борг: увійти до нього тепер не можна, але сплатити можна будь-коли.}
other {У кабінеті є борг.}}
На балансі {balance}.{next_stage, select,
blocked {
З {next_stage_on} увійти до кабінету буде не можна.}
other {}}
{stage, select, ok {Дякуємо!} other {Будь ласка, сплатіть {amount_due}.}}} other {{stage, select,
ok {Борг кабінету погашено, ним можна користуватися без обмежень.}
grace {У кабінеті є борг. Поки що ним можна користуватися без обмежень.}
restrict {У кабінеті є борг: власники й адміністратори тепер можуть лише платити. Працівники працюють далі.}
blocked {У кабінеті є борг: увійти до нього тепер не можна, але сплатити можна будь-коли.}
other {Доступ до кабінету змінено.}}
На балансі {balance}.{next_stage, select,
remind {
З {next_stage_on} власники й адміністратори бачитимуть нагадування.}
restrict {
З {next_stage_on} власники й адміністратори зможуть лише платити.}
blocked {
З {next_stage_on} увійти до кабінету буде не можна.}
other {}}{stage, select,
ok {
Дякуємо!}
grace {
Будь ласка, сплатіть {amount_due}.
Лише через борг нічого не видаляється.}
other {
Будь ласка, сплатіть {amount_due}: доступ одразу стане повним.
Лише через борг нічого не видаляється.}}}}')),

		('payment_reminder', 'en',
		 'Account {account_id, number, ::group-off}: please pay {amount_due}',
'This is the {day, selectordinal, one {#st} two {#nd} few {#rd} other {#th}} day on which the account has a debt.
The balance is {balance}.
Please pay {amount_due}.{next_stage, select,
restrict {{has_ended, select, true {} other {
{days, plural, one {In # day} other {In # days}}, on {next_stage_on}, the account will be restricted: from then on owners and administrators will only be able to pay; employees work on.}}}
blocked {
{days, plural, one {In # day} other {In # days}}, on {next_stage_on}, the account will be blocked: from then on nobody will be able to get in.}
other {}}
Nothing is deleted because of a debt alone.'),

		('payment_reminder', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off}: будь ласка, сплатіть {amount_due}'),
kb_utf8('Сьогодні {day}-й день, як у кабінеті є борг.
На балансі {balance}.
Будь ласка, сплатіть {amount_due}.{next_stage, select,
restrict {{has_ended, select, true {} other {
{days, plural, one {Через # день} few {Через # дні} many {Через # днів} other {Через # дня}}, {next_stage_on}, доступ буде обмежено: відтоді власники й адміністратори зможуть лише платити, працівники працюватимуть далі.}}}
blocked {
{days, plural, one {Через # день} few {Через # дні} many {Через # днів} other {Через # дня}}, {next_stage_on}, доступ буде закрито: відтоді увійти до кабінету буде не можна.}
other {}}
Лише через борг нічого не видаляється.')),

		('closure_scheduled', 'en',
		 'Account {account_id, number, ::group-off} will be deleted on {delete_on}',
'{has_ended, select, true {The contract has ended{in_debt, select, true {, and {amount_due} is still to be paid} other { and all is settled}}. The account will be deleted {days, plural, =0 {today} one {in # day} other {in # days}}, on {delete_on}.
Until then, its history can be read. To put the deletion off, have an owner or administrator cancel it.} other {The account is not in use and has no money on it, so it will be deleted {days, plural, =0 {today} one {in # day} other {in # days}}, on {delete_on}.
{stage, select,
blocked {The account has a debt of {amount_due}: nobody can get in, but you can pay at any time.
To keep the account, pay so that the balance is above zero, or have an owner or administrator cancel the deletion.}
other {Until then it works as before{in_debt, select, true {, as far as its debt of {amount_due} allows} other {}}.
To keep the account, log in, or pay so that the balance is above zero, or have an owner or administrator cancel the deletion.}}}}
{restore_days, plural, =0 {A deleted account cannot be restored.} other {After the deletion, support can restore it for {restore_days, plural, one {# day} other {# days}}.}} Then its data is erased for good.'),

		('closure_scheduled', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off} буде видалено {delete_on}'),
kb_utf8('{has_ended, select, true {Договір завершено{in_debt, select, true {, залишилося сплатити {amount_due}} other {, розрахунки закрито}}, тому {days, plural, =0 {сьогодні} one {через # день} few {через # дні} many {через # днів} other {через # дня}}, {delete_on}, кабінет буде видалено.
До того часу можна переглядати історію. Щоб відкласти видалення, нехай власник чи адміністратор скасує його.} other {Кабінетом не користуються, і на його балансі немає грошей, тому {days, plural, =0 {сьогодні} one {через # день} few {через # дні} many {через # днів} other {через # дня}}, {delete_on}, його буде видалено.
{stage, select,
blocked {У кабінеті є борг {amount_due}: увійти до нього не можна, але сплатити можна будь-коли.
Щоб зберегти кабінет, поповніть баланс так, щоб він став більшим за нуль, або нехай власник чи адміністратор скасує видалення.}
other {До того часу він працює, як і раніше{in_debt, select, true {, наскільки дозволяє борг {amount_due}} other {}}.
Щоб зберегти кабінет, увійдіть до нього, або поповніть баланс так, щоб він став більшим за нуль, або нехай власник чи адміністратор скасує видалення.}}}}
{restore_days, plural, =0 {Відновити видалений кабінет не можна.} other {Після видалення служба підтримки може відновити його протягом {restore_days, plural, one {# дня} few {# днів} many {# днів} other {# дня}}.}} Потім його дані буде стерто назавжди.')),

		('closure_reminder', 'en',
		 'Reminder: account {account_id, number, ::group-off} will be deleted on {delete_on}',
'{days, plural, =0 {Today} one {In # day} other {In # days}}, on {delete_on}, the account will be deleted, as {has_ended, select, true {its contract has ended.{in_debt, select, true {
{amount_due} is still to be paid.} other {}}
Until then, its history can be read.
To put the deletion off, have an owner or administrator cancel it.} other {it is not in use.
{stage, select,
blocked {The account has a debt of {amount_due}: nobody can get in, but you can pay at any time.
To keep the account, pay so that the balance is above zero, or have an owner or administrator cancel the deletion.}
other {Until then it works as before{in_debt, select, true {, as far as its debt of {amount_due} allows} other {}}.
To keep the account, log in, or pay so that the balance is above zero, or have an owner or administrator cancel the deletion.}}}}'),

		('closure_reminder', 'uk',
		 kb_utf8('Нагадування: кабінет №{account_id, number, ::group-off} буде видалено {delete_on}'),
kb_utf8('{days, plural, =0 {Сьогодні} one {Через # день} few {Через # дні} many {Через # днів} other {Через # дня}}, {delete_on}, кабінет буде видалено, бо {has_ended, select, true {договір завершено.{in_debt, select, true {
Залишилося сплатити {amount_due}.} other {}}
До того часу можна переглядати історію.
Щоб відкласти видалення, нехай власник чи адміністратор скасує його.} other {ним не користуються.
{stage, select,
blocked {У кабінеті є борг {amount_due}: увійти до нього не можна, але сплатити можна будь-коли.
Щоб зберегти кабінет, поповніть баланс так, щоб він став більшим за нуль, або нехай власник чи адміністратор скасує видалення.}
other {До того часу він працює, як і раніше{in_debt, select, true {, наскільки дозволяє борг {amount_due}} other {}}.
Щоб зберегти кабінет, увійдіть до нього, або поповніть баланс так, щоб він став більшим за нуль, або нехай власник чи адміністратор скасує видалення.}}}}')),

		('closure_cancelled', 'en',
		 'Account {account_id, number, ::group-off} will not be deleted',
'The account will not be deleted on {delete_on}.
{why, select,
member {An owner or administrator has cancelled the deletion.}
topup {A payment has brought the balance above zero.}
conditions {{has_ended, select, true {Something is still to be settled.} other {{in_debt, select, true {It is in use again.} other {It is in use again, or its balance is above zero.}}}}}
other {The deletion has been cancelled.}}
{in_debt, select, true {Please pay {amount_due}.{has_ended, select, true {} other {{stage, select,
restrict {
Until it is paid, owners and administrators can only pay; employees work on for now.}
blocked {
Until it is paid, nobody can get in, but you can pay at any time.}
other {
The account can be used in full for now. Paying in time keeps it so.}}}}} other {{has_ended, select, true {There is nothing that you need to do now.} other {It works as before, and there is nothing that you need to do.}}}}'),

		('closure_cancelled', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off} не буде видалено'),
kb_utf8('Видалення кабінету, призначене на {delete_on}, скасовано.
{why, select,
member {Його скасував власник або адміністратор.}
topup {Після платежу баланс став більшим за нуль.}
conditions {{has_ended, select, true {Розрахунки ще не завершено.} other {{in_debt, select, true {Кабінетом знову користуються.} other {Кабінетом знову користуються, або його баланс став більшим за нуль.}}}}}
other {Причин для видалення більше немає.}}
{in_debt, select, true {Будь ласка, сплатіть {amount_due}.{has_ended, select, true {} other {{stage, select,
restrict {
До повної сплати власники й адміністратори можуть лише платити, працівники поки що працюють далі.}
blocked {
До повної сплати увійти до кабінету не можна, але сплатити можна будь-коли.}
other {
Поки що кабінетом можна користуватися без обмежень. Своєчасна сплата збереже доступ.}}}}} other {{has_ended, select, true {Зараз від вас нічого не потрібно.} other {Кабінет працює, як і раніше, від вас нічого не потрібно.}}}}')),

		('account_deleted', 'en',
		 'Account {account_id, number, ::group-off} has been deleted',
'The account was deleted on {deleted_on}. Nobody can get in, and nothing more is charged.
{days, plural, =0 {It cannot be restored.} other {For {days, plural, one {# day} other {# days}}, until {restore_until}, support can restore it as it was. If you need it, please write to support.}}
On {purge_on} its data is erased for good; only the books are kept, as the law requires.{in_debt, select, true {
The account has a debt of {amount_due}.} other {}}'),

		('account_deleted', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off} видалено'),
kb_utf8('Кабінет видалено {deleted_on} Увійти до нього не можна, плата більше не нараховується.
{days, plural, =0 {Відновити його не можна.} other {Протягом {days, plural, one {# дня} few {# днів} many {# днів} other {# дня}}, до {restore_until} включно, служба підтримки може відновити його таким, яким він був. Якщо він вам потрібен, будь ласка, напишіть їй.}}
{purge_on} його дані буде стерто назавжди; залишиться лише облік платежів, як того вимагає закон.{in_debt, select, true {
У кабінеті є борг {amount_due}.} other {}}')),

		('account_restored', 'en',
		 'Account {account_id, number, ::group-off} has been restored',
'The account was restored on {restored_on}, with all of its data as it was.
The balance is {balance}.
{in_debt, select, true {{has_ended, select, true {Please pay {amount_due}.} other {{stage, select,
restrict {Please pay {amount_due}.
Until it is paid, owners and administrators can only pay; employees work on for now.}
blocked {Please pay {amount_due}.
Until it is paid, nobody can get in, but you can pay at any time.}
other {Please pay {amount_due} to keep the access full.}}}}} other {There is nothing to pay now.}}
Welcome back!'),

		('account_restored', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off} відновлено'),
kb_utf8('{restored_on} кабінет відновлено з усіма даними, як було.
На балансі {balance}.
{in_debt, select, true {{has_ended, select, true {Будь ласка, сплатіть {amount_due}.} other {{stage, select,
restrict {Будь ласка, сплатіть {amount_due}.
До повної сплати власники й адміністратори можуть лише платити, працівники поки що працюють далі.}
blocked {Будь ласка, сплатіть {amount_due}.
До повної сплати увійти до кабінету не можна, але сплатити можна будь-коли.}
other {Будь ласка, сплатіть {amount_due}, щоб доступ залишався повним.}}}}} other {Зараз платити нічого не потрібно.}}
З поверненням!')),

		-- For the application: the account has no members left.
		('account_purged', 'en',
		 'Account {account_id, number, ::group-off} has been purged',
'Account {account_id, number, ::group-off} was purged on {purged_on}.
Its members'' personal data and usage are erased; the journal is kept, as the law requires.
Please erase what the application itself still has of this account.'),

		('account_purged', 'uk',
		 kb_utf8('Дані кабінету №{account_id, number, ::group-off} стерто'),
kb_utf8('Дані кабінету №{account_id, number, ::group-off} стерто {purged_on}
Особисті дані його учасників та облік використання видалено; журнал залишається, як того вимагає закон.
Будь ласка, зітріть усе, що про цей кабінет іще зберігає сам застосунок.')),

		-- For the application, too.
		('topup_after_deletion', 'en',
		 'Account {account_id, number, ::group-off} is deleted, but {amount} has been paid',
'A payment of {amount} has arrived for account {account_id, number, ::group-off}, which is deleted. Its reference is {reference}.
It is booked; the balance is now {balance}.{in_debt, select, true {
{amount_due} is still to be paid.} other {}}
The account stays deleted. Please pay back what is left on the balance, or have the account restored while that is possible.'),

		('topup_after_deletion', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off} видалено, але надійшов платіж {amount}'),
kb_utf8('Надійшов платіж {amount} для кабінету №{account_id, number, ::group-off}, який видалено. Номер платежу: {reference}.
Платіж зараховано; тепер на балансі {balance}.{in_debt, select, true {
Залишилося сплатити {amount_due}.} other {}}
Кабінет залишається видаленим. Будь ласка, поверніть те, що є на балансі, або відновіть кабінет, поки це можливо.')),

		('limit_reached', 'en',
		 'Account {account_id, number, ::group-off}: the limit of "{service}" for {month} is passed',
'In {month}, more than {limit, number} of "{service}" have been used, which is the limit that was agreed.
Nothing is switched off; what goes beyond the limit is charged as usual.
If you want another limit, please write to support.'),

		('limit_reached', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off}: перевищено ліміт «{service}» за {month}'),
kb_utf8('За {month} використано понад {limit, number} «{service}»: такий ліміт було погоджено.
Нічого не вимкнено; використане понад ліміт оплачується, як звичайно.
Якщо вам потрібен інший ліміт, будь ласка, напишіть службі підтримки.')),

		('alert', 'en',
		 'Account {account_id, number, ::group-off}: {alert, select, balance {the balance is {amount}} days {the balance lasts {number, plural, =0 {no longer} one {# more day} other {# more days}}} units {{number} of "{service}" used} other {{amount} used in {month}}}',
'{alert, select,
balance {The balance has fallen to {amount}; you are told at {threshold_amount}.}
days {At the pace of these days, the balance lasts {number, plural, =0 {no longer} one {# more day} other {# more days}}.}
units {In {month}, {number} of "{service}" have been used; you are told at {threshold}.}
other {In {month}, {amount} have been used so far; you are told at {threshold_amount}.}}
A payment in time keeps the access full.
Thank you!'),

		('alert', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off}: {alert, select, balance {на балансі {amount}} days {балансу вистачить {number, plural, =0 {лише на сьогодні} one {ще на # день} few {ще на # дні} many {ще на # днів} other {ще на # дня}}} units {використано {number} «{service}»} other {за {month} використано {amount}}}'),
kb_utf8('{alert, select,
balance {На балансі залишилося {amount}; ми повідомляємо про це, коли є не більше {threshold_amount}.}
days {З таким використанням, як тепер, балансу вистачить {number, plural, =0 {лише на сьогодні} one {ще на # день} few {ще на # дні} many {ще на # днів} other {ще на # дня}}.}
units {За {month} використано {number} «{service}»; ми повідомляємо про це від {threshold}.}
other {За {month} використано вже {amount}; ми повідомляємо про це від {threshold_amount}.}}
Своєчасна сплата збереже доступ.
Дякуємо!')),

		('charge_upcoming', 'en',
		 'Account {account_id, number, ::group-off}: please pay {missing} by {charged_on}',
'On {charged_on}, about {amount} will be charged for {month}.
The balance is {balance}, so {missing} are missing.
A payment in time keeps the access full.'),

		('charge_upcoming', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off}: будь ласка, сплатіть {missing} до {charged_on}'),
kb_utf8('За {month} буде нараховано близько {amount}, і станеться це {charged_on}
На балансі {balance}, тож бракує {missing}.
Своєчасна сплата збереже доступ.')),

		('credit_expiring', 'en',
		 'Account {account_id, number, ::group-off}: {amount} of your credit expires after {last_day}',
'{amount} of the credit on your balance can be used until {last_day}, that day included, and then expires.
What you use until then is paid with your credit before your money.
The balance is now {balance}.'),

		('credit_expiring', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off}: {amount} бонусів згорять після {last_day}'),
kb_utf8('На балансі є {amount} бонусів, які можна використати до {last_day} включно; потім вони згорять.
Використане до того часу буде сплачено передусім бонусами.
Зараз на балансі {balance}.')),

		('contract_ending', 'en',
		 'Account {account_id, number, ::group-off}: the contract ends on {ends_on}',
'The contract ends with {ends_on}. Until then the account works as before, and an owner can take the end back.
The day after, what has been used until then is charged, and nothing any more. The balance is now {balance}{in_debt, select, true {, so {amount_due} is to be paid} other {}}.
Money that you have paid and not used up is then paid back. Owners and administrators can go on reading the history.'),

		('contract_ending', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off}: останній день договору {ends_on}'),
kb_utf8('Останній день договору: {ends_on} До його кінця кабінет працює, як і раніше, і власник може відкликати завершення.
Наступного дня буде нараховано плату за використане до того часу, а потім уже нічого. Зараз на балансі {balance}{in_debt, select, true {, отже слід сплатити {amount_due}} other {}}.
Сплачені й не використані гроші тоді буде повернуто. Власники й адміністратори й надалі бачитимуть історію.')),

		('contract_continued', 'en',
		 'Account {account_id, number, ::group-off}: the contract goes on',
'The contract does not end on {ends_on}: the end has been taken back.
The account works as before, and is charged each month.
The balance is now {balance}{in_debt, select, true {, so {amount_due} is to be paid} other {}}.'),

		('contract_continued', 'uk',
		 kb_utf8('Кабінет №{account_id, number, ::group-off}: договір діє далі'),
kb_utf8('Завершення договору, призначене на {ends_on}, відкликано.
Кабінет працює, як і раніше, плата нараховується щомісяця.
Зараз на балансі {balance}{in_debt, select, true {, отже слід сплатити {amount_due}} other {}}.'))
	) AS t (kind, language, subject, body)
	-- what the database's encoding cannot hold is left out
	WHERE t.subject IS NOT NULL AND t.body IS NOT NULL;
COMMENT ON VIEW standard_template IS
'The built-in texts of notices, in English and, where the database''s encoding can hold it, in Ukrainian (N4)';
COMMENT ON COLUMN standard_template.kind IS 'The kind of notice';
COMMENT ON COLUMN standard_template.language IS '"en" or "uk"';
COMMENT ON COLUMN standard_template.subject IS 'Pattern of the subject, one line';
COMMENT ON COLUMN standard_template.body IS 'Pattern of the text';

CREATE TABLE kbilling.notice_template (
	policy   kb_text NOT NULL DEFAULT 'standard' REFERENCES policy,
	kind     kb_notice_kind NOT NULL,
	language kb_text NOT NULL CHECK (language = pg_catalog.lower(language)),
	subject  kb_text NOT NULL,
	body     kb_text NOT NULL,
	PRIMARY KEY (policy, kind, language)
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.notice_template', '');
COMMENT ON TABLE notice_template IS
'A service''s own texts of notices, which come before the built-in ones; written by kb_set_template';
COMMENT ON COLUMN notice_template.policy IS
'The text is for accounts whose tariff has this policy. One of "standard" is also for policies without a text of '
'their own';
COMMENT ON COLUMN notice_template.kind IS 'The kind of notice';
COMMENT ON COLUMN notice_template.language IS 'Language tag of BCP 47, in lower case';
COMMENT ON COLUMN notice_template.subject IS 'Pattern of the subject, one line';
COMMENT ON COLUMN notice_template.body IS 'Pattern of the text';

CREATE FUNCTION kbilling_internal.kb_template(policy text, kind kb_notice_kind, language text)
	RETURNS TABLE (language text, subject text, body text)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT t.language, t.subject, t.body
	FROM unnest(ARRAY[lower($3), split_part(lower($3), '-', 1), 'en']) WITH ORDINALITY AS wanted (language, n)
		JOIN (SELECT o.policy, o.kind, o.language, o.subject, o.body FROM notice_template o WHERE o.policy IN ($1, 'standard')
			  UNION ALL
			  SELECT NULL, s.kind, s.language, s.subject, s.body FROM standard_template s) t
			ON t.language = wanted.language AND t.kind = $2
	-- English last; own texts before standard's own, and those before built-in ones; the nearer language first
	ORDER BY wanted.n = 3, t.policy IS NULL, t.policy IS DISTINCT FROM $1, wanted.n
	LIMIT 1;
END;
COMMENT ON FUNCTION kb_template(text, kb_notice_kind, text) IS
'The text in force, and its language: the policy''s own text, that of the policy "standard", or the built-in one, '
'each in the language or in its first part ("uk" for "uk-UA"); if there is none, the same in English';

CREATE FUNCTION kbilling.kb_set_template(kind kb_notice_kind, language text, subject text, body text, policy text = 'standard')
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('kind, language, subject, body, policy', kind, language, subject, body, policy);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM policy p WHERE p.policy = kb_set_template.policy)
			THEN kb_raise('22023', format('policy "%s" does not exist', policy), NULL, 'Create it with kb_set_policy first.')
		WHEN subject !~ '\S' OR body !~ '\S'
			THEN kb_raise('22023', 'a notice must have a subject and a text', NULL, 'To drop a text of your own, call kb_drop_template.')
		WHEN subject ~ '[\n\r]'
			THEN kb_raise('22023', 'the subject of a notice must be one line')
		END;
	-- A slip is found now, not when the notice is due.
	SELECT kb_format_message(kb_set_template.subject, kb_set_template.language, k.example)
	FROM notice_kind k WHERE k.kind = kb_set_template.kind;
	SELECT kb_format_message(kb_set_template.body, kb_set_template.language, k.example)
	FROM notice_kind k WHERE k.kind = kb_set_template.kind;
	-- Two that set texts of one policy take turns.
	SELECT FROM policy p WHERE p.policy = kb_set_template.policy FOR NO KEY UPDATE;
	WITH old AS MATERIALIZED (
		SELECT to_jsonb(t) - 'policy' AS template FROM notice_template t
		WHERE (t.policy, t.kind, t.language) = (kb_set_template.policy, kb_set_template.kind, lower(kb_set_template.language))
	), new AS (
		INSERT INTO notice_template AS t (policy, kind, language, subject, body)
		VALUES (kb_set_template.policy, kb_set_template.kind, lower(kb_set_template.language), kb_set_template.subject,
				kb_set_template.body)
		ON CONFLICT ON CONSTRAINT notice_template_pkey DO UPDATE SET subject = excluded.subject, body = excluded.body
		RETURNING to_jsonb(t) - 'policy' AS template
	)
	INSERT INTO change_log (subject, policy, before, after)
	SELECT 'template', kb_set_template.policy, old.template, new.template FROM new LEFT JOIN old ON true
	WHERE new.template IS DISTINCT FROM old.template;
END;
COMMENT ON FUNCTION kb_set_template(kb_notice_kind, text, text, text, text) IS
'Sets a service''s own text for a kind of notice in a language, for the accounts of a policy. '
'Errors: 22023 for an unknown policy, a blank subject or text, a subject of two lines, a syntax error in a pattern, '
'and a fact that kbilling.notice_kind does not show';

CREATE FUNCTION kbilling.kb_drop_template(kind kb_notice_kind, language text, policy text = 'standard')
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('kind, language, policy', kind, language, policy);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM notice_template t
						 WHERE (t.policy, t.kind, t.language)
							 = (kb_drop_template.policy, kb_drop_template.kind, lower(kb_drop_template.language)))
			THEN kb_raise('22023', format('policy "%s" has no own text of %s in "%s"', policy, kind, language), NULL,
						  'Own texts are in kbilling.notice_template.')
		END;
	WITH old AS (
		DELETE FROM notice_template t
		WHERE (t.policy, t.kind, t.language) = (kb_drop_template.policy, kb_drop_template.kind, lower(kb_drop_template.language))
		RETURNING to_jsonb(t) - 'policy' AS template
	)
	INSERT INTO change_log (subject, policy, before)
	SELECT 'template', kb_drop_template.policy, old.template FROM old;
END;
COMMENT ON FUNCTION kb_drop_template(kb_notice_kind, text, text) IS
'Drops a service''s own text for a kind of notice in a language, so that the text of the policy "standard" or the '
'built-in one holds again. '
'Errors: 22023 if there is none';
