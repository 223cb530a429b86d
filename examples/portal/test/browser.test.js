/*
 * The pages in a real browser: what a member sees and can do, day by day and state by state. Visitor looks at each page
 * for errors, violations of its policy, weight and width; what is said of a member's access is rule S3.
 */
import assert from 'node:assert/strict';
import { after, before, test as testOf } from 'node:test';
import { freshDatabase } from './database.js';
import { startSite } from './site.js';
import { findChromium, launch, PHONE, plain, Visitor } from './visitor.js';

// The demo's customers (demo.sql), of whom olha and emma read English, andrii and ivan Ukrainian
const [BAKERY, CAFE, FLORIST, BOOKSHOP, CINEMA, BARBER, CHOIR, CHESS_CLUB, NEWSPAPER] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const [GALLERY, GYM, THEATRE] = [10, 11, 12];
// One who begins on 5 December, and pays nothing; one with large numbers and long names; one with limits
const [DEBTOR, GIANT, LIMITED] = [20, 21, 22];
const LONG_NAME = 'maria-oleksandra.kovalenko-shevchenko@a-company-with-a-long-name.example';

const test = (name, work) => testOf(name, { skip: !findChromium() && 'there is no Chromium here', timeout: 90000 }, work);
let database, site, browser, anyone;

const asMember = (account, member, options) => Visitor.as(browser, site, account, member, options);

const CUSTOMERS = `
	SELECT kbilling.kb_create_account('olha', 'team', ${DEBTOR}, 'Europe/Kyiv', 'olha@example.com'),
		kbilling.kb_add_member(${DEBTOR}, 'andrii', 'admin'), kbilling.kb_add_member(${DEBTOR}, 'emma', 'employee'),
		kbilling.kb_switch_on(${DEBTOR}, 'seat', 2);
	SELECT kbilling.kb_create_account('olha', 'team_ua', ${GIANT}, 'Europe/Kyiv', 'olha@example.com'),
		kbilling.kb_add_member(${GIANT}, '${LONG_NAME}', 'admin'),
		kbilling.kb_apply_topup(${GIANT}, '12345678.90 UAH', 'bank_transfer', 'giant-1'),
		kbilling.kb_adjust(${GIANT}, '-9876543.21 UAH', 'giant-2', '${'a long story '.repeat(12)}');
	SELECT kbilling.kb_create_account('olha', 'team', ${LIMITED}, 'Europe/Kyiv', 'olha@example.com'),
		kbilling.kb_add_member(${LIMITED}, 'andrii', 'admin'), kbilling.kb_add_member(${LIMITED}, 'emma', 'employee'),
		kbilling.kb_apply_topup(${LIMITED}, '50.00 USD', 'card', 'limited-1'),
		kbilling.kb_set_account_credit_line(${LIMITED}, '5.00 USD'),
		kbilling.kb_set_account_limit(${LIMITED}, 'messages', 1000, true),
		kbilling.kb_record_usage(${LIMITED}, 'messages', 300, 'limited-1'),
		kbilling.kb_hold_usage(${LIMITED}, 'messages', 20, 'limited-2', '2026-12-05 12:00+00');
	SELECT kbilling.kb_add_member(account_id, 'ivan', 'employee') FROM kbilling.account WHERE state IN ('active', 'closing');
	UPDATE kbilling.member SET language = CASE WHEN member IN ('andrii', 'ivan') THEN 'uk' ELSE 'en' END
		WHERE account_id <> ${CAFE}`;

before(async () => {
	if (!findChromium()) return;
	database = await freshDatabase({ demo: true });
	await database.sql(CUSTOMERS);
	[site, browser] = await Promise.all([startSite(database.name), launch()]);
	anyone = await Visitor.at(browser, site);
});
after(async () => {
	if (!findChromium()) return;
	await browser?.close();
	await site?.stop();
	await database?.drop();
});

// ---------------------------------------------------------------------------
// Every state, in both languages
// ---------------------------------------------------------------------------

// Of each state: who sees what, and what not.
const STATES = [
	['no debt', BAKERY, [
		['olha', ['Balance $', 'from January 1, 2027: Business', 'The running month', 'Back to the application'], ['is due']],
		['andrii', ['Баланс', 'з 1 січня 2027 р.: Бізнес', 'Поточний місяць', 'Назад до застосунку'], ['борг']],
		['emma', ['You can work as usual'], ['$', 'Top up', 'History']],
		['ivan', ['Ви можете працювати, як завжди'], ['$', 'Поповнення', 'Історія']],
	]],
	['grace', FLORIST, [
		['olha', ['$68.46 is due since December 3, 2026', 'before December 6, 2026']],
		['andrii', ['З 3 грудня 2026 р. у кабінеті є борг: до сплати 68,46 USD']],
	]],
	['remind', BOOKSHOP, [
		['olha', ['Please top up', 'From December 7, 2026 on', 'Payments that have not arrived', 'insufficient funds']],
		['andrii', ['Будь ласка, поповніть баланс', 'З 7 грудня 2026 р.', 'Платежі, що не надійшли']],
	]],
	['restrict', CINEMA, [
		['olha', ['Only this page is open to owners and admins'], ['Back to the application']],
		['andrii', ['доступна лише ця сторінка'], ['Назад до застосунку']],
		['emma', ['You can work as usual', 'Back to the application']],
	]],
	['blocked', BARBER, [
		['olha', ['The account is blocked', '$43.46 is due since November 1, 2026'], ['The running month', 'Back to the application']],
		['andrii', ['Доступ до кабінету закрито', '43,46 USD'], ['Поточний місяць', 'Назад до застосунку']],
		['emma', ['The account is blocked', 'An owner or admin'], ['$', 'Top up', 'Back to the application']],
		['ivan', ['Доступ до кабінету закрито'], ['USD', 'Назад до застосунку']],
	]],
	['closing', CHOIR, [
		['olha', ['will be deleted on December 11, 2026', 'Keep the account']],
		['andrii', ['Кабінет буде видалено 11 грудня 2026 р.', 'Зберегти кабінет']],
		['emma', ['will be deleted on December 11, 2026', 'An owner or admin of the account can keep it'], ['Keep the account']],
		['ivan', ['Кабінет буде видалено 11 грудня 2026 р.'], ['Зберегти кабінет']],
	]],
	['deleted', CHESS_CLUB, [
		['olha', ['The account is deleted', 'before December 9, 2026'], ['Top up', 'Back to the application']],
		['andrii', ['Кабінет видалено', '9 грудня 2026 р.'], ['Поповнення']],
		['emma', ['The account is deleted', 'before December 9, 2026'], ['Top up', 'Back to the application']],
	]],
	['pending', NEWSPAPER, [
		['olha', ['$40.00, December 5, 2026', 'has not confirmed it yet']],
		['andrii', ['40,00 USD', 'ще не підтвердив']],
	]],
	// L1: 50.00 + 5.00, less 0.61 of the base fee (a day of 31), 10.00 for 200 messages, 1.00 for 20 held; L4: held ones count
	['limits', LIMITED, [
		['olha', ['Left to spend $43.39', 'Messages: 320 of 1,000 used this month', 'refused', 'Messages: 20, until December 5, 2026']],
		['andrii', ['43,39 USD', 'Повідомлення: цього місяця використано 320 з 1 000', 'Повідомлення: 20, щонайдовше до 5 грудня']],
		['emma', ['You can work as usual'], ['$', 'Messages']],
	]],
	['credit that expires', GALLERY, [
		['olha', ['of it $75.00 bonus $10.00 expires after December 20, 2026', 'All 4 amounts that expire',
			'bonus expires after December 4, 2027']],
		['andrii', ['10,00 USD згорить після 20 грудня 2026 р.', 'Усі суми, що згорять: 4', 'Бонус згорить після 4 грудня 2027 р.']],
		['emma', ['You can work as usual'], ['$', 'expire']],
	]],
	['the contract ends', GYM, [
		['olha', ['The contract ends on December 31, 2026', 'Let the contract go on', 'Choose another day'],
			['End the contract', 'earns a bonus']],
		['andrii', ['Останній день договору: 31 грудня 2026 р.', 'Власник кабінету може обрати інший день'], ['Продовжити договір']],
		['emma', ['You can work as usual'], ['contract', '$']],
		['ivan', ['Ви можете працювати, як завжди'], ['договор', 'USD']],
	]],
	['the contract is over', THEATRE, [
		['olha', ['The contract ended on November 30, 2026', '$31.54 of what you paid is left'],
			['Top up', 'Back to the application', 'The running month']],
		['andrii', ['Договір завершено', '31,54 USD. Їх буде повернуто'],
			['Поповнення балансу', 'Назад до застосунку', 'Поточний місяць']],
		['emma', ['The contract ended on November 30, 2026', 'cannot be used any more'], ['$', 'Back to the application', 'blocked']],
		['ivan', ['Договір завершено', 'Користуватися кабінетом уже не можна'], ['USD', 'Назад до застосунку']],
	]],
	['large numbers', GIANT, [
		['olha', ['UAH 3,086,419.64']],
		[LONG_NAME, ['UAH 3,086,419.64']],
	]],
];

for (const [name, account, members] of STATES) {
	test(`${name}: what each member sees, without a finding, on a phone, too`, async () => {
		for (const [member, wanted, unwanted] of members) {
			await anyone.logIn(account, member);
			await anyone.sees(wanted, unwanted);
			await anyone.isAccessible();
			await anyone.fitsOnPhone();
		}
	});
}

test('every other page, in both languages, without a finding, on a phone, too', async () => {
	const visitor = anyone;
	for (const member of ['olha', 'andrii']) {
		await visitor.logIn(BAKERY, member);
		for (const path of ['/history', '/entries/1', '/entries/3', '/receipts/1', '/history?before=1', '/nothing']) {
			await visitor.go(path, path === '/nothing' ? 404 : 200);
			// What is closed is part of the page.
			for (const summary of await visitor.page.locator('summary').all()) await summary.click();
			await visitor.isAccessible();
			await visitor.fitsOnPhone();
		}
		await visitor.go('/');
		await visitor.page.locator('input[value=other]').check();
		await visitor.page.locator('#other').fill('much');
		await visitor.follow(visitor.page.locator('form[action="/pay"] button'), 422);
		await visitor.isAccessible();
		await visitor.fitsOnPhone();
		await visitor.follow(visitor.page.locator('.who button'));
		await visitor.isAccessible();
	}
	for (const locale of ['en-GB', 'uk-UA']) {
		const stranger = await Visitor.at(browser, site, { locale });
		for (const [path, status] of [['/', 401], ['/login?token=x', 400], ['/demo', 200]]) {
			await stranger.go(path, status);
			await stranger.isAccessible();
			if (path !== '/demo') await stranger.fitsOnPhone();
		}
		await stranger.close();
	}
});

// ---------------------------------------------------------------------------
// Paying
// ---------------------------------------------------------------------------

/** Chooses an offer, or leaves the first, and goes on to the provider's page. */
async function goToPay(visitor, { offer, button = 'Continue to payment' } = {}) {
	if (offer) await visitor.page.getByRole('radio', { name: offer }).check();
	await visitor.follow(visitor.button(button));
}

/** Chooses, and pays. */
async function pay(visitor, choice) {
	await goToPay(visitor, choice);
	await visitor.follow(visitor.button('Pay'));
}

const cents = text => Number(text.replace(/[^\d]/g, '')) * (/^[-−]/.test(text.trim()) ? -1 : 1);

/** A fact of the page, by its name. */
const fact = async (visitor, name) =>
	plain(await visitor.page.locator('dl.facts > div', { has: visitor.page.locator(`dt:text-is("${name}")`) }).locator('dd').innerText());

test('T5: a tier\'s offer says which bonus it earns, and earns it', async () => {
	const visitor = await asMember(BAKERY, 'olha');
	const before = cents((await fact(visitor, 'Balance')).split(' ')[0]);
	await goToPay(visitor, { offer: '$100.00 earns a bonus + $5.00 bonus' });
	await visitor.sees(['Test checkout', 'Top-up of account 1, $100.00']);
	await visitor.isAccessible();
	await visitor.fitsOnPhone();
	await visitor.follow(visitor.button('Pay'));
	await visitor.sees(['$100.00 is on the balance']);
	await visitor.isAccessible();
	assert.equal(cents((await fact(visitor, 'Balance')).split(' ')[0]) - before, 10500);
	await visitor.follow(visitor.page.getByRole('status').getByRole('link', { name: 'Receipt' }));
	await visitor.sees(['Top-up $100.00', 'Bonus $5.00', 'Credited in all $105.00']);
	await visitor.close();
});

test('T9: a payment that fails is shown with its reason, and can be made again', async () => {
	const visitor = await asMember(FLORIST, 'olha');
	await goToPay(visitor);
	await visitor.follow(visitor.button('Decline the card'));
	assert.match(await visitor.page.getByRole('status').innerText(), /^It failed\. Nothing was credited/);
	await visitor.sees(['Payments that have not arrived', 'The payment provider declined it.', '$68.46 is due since']);
	await visitor.isAccessible();
	await pay(visitor);
	await visitor.sees(['$68.46 is on the balance', 'It failed'], ['is due since']);
	await visitor.close();
});

let pending;
test('a payment that is not confirmed yet is shown as such', async () => {
	pending = await asMember(BAKERY, 'olha');
	await pending.page.getByRole('radio', { name: 'Another amount' }).check();
	await pending.page.getByLabel('Another amount, in USD').fill('12.34');
	await pending.follow(pending.button('Continue to payment'));
	await pending.follow(pending.button(/^Pay later/));
	await pending.sees(['Your payment is being confirmed', '$12.34, December 5, 2026', 'has not confirmed it yet']);
	await pending.isAccessible();
});

test('an amount that is none is explained, and led to', async () => {
	const visitor = await asMember(NEWSPAPER, 'olha');
	const { page } = visitor;
	await page.getByRole('radio', { name: 'Another amount' }).check();
	await page.getByLabel('Another amount, in USD').fill('five');
	await visitor.follow(visitor.button('Continue to payment'), 422);
	await page.getByRole('alert').getByRole('link').click();
	assert.equal(await page.evaluate(() => document.activeElement.id), 'other');
	assert.equal(await page.getByLabel('Another amount, in USD').inputValue(), 'five');
	assert.match(await page.getByLabel('Another amount, in USD').getAttribute('aria-describedby'), /fault/);
	await visitor.close();
});

test('without JavaScript: the reminder closes, and the whole way through paying', async () => {
	const reminded = await asMember(BOOKSHOP, 'andrii', { javaScriptEnabled: false });
	await reminded.button('Закрити').click();
	await reminded.dialog().waitFor({ state: 'hidden' });
	await reminded.close();

	const visitor = await asMember(CINEMA, 'olha', { javaScriptEnabled: false });
	await visitor.sees(['Only this page is open to owners and admins'], ['Back to the application']);
	await goToPay(visitor);
	await visitor.follow(visitor.button('Decline the card'));
	await visitor.sees(['It failed', 'Only this page is open to owners and admins']);
	await goToPay(visitor, { offer: /\+ \$5\.00 bonus$/ });
	await visitor.follow(visitor.button('Pay'));
	await visitor.sees(['$168.46 is on the balance', 'Back to the application'], ['Only this page']);
	await visitor.page.getByText('How it adds up').first().click();
	await visitor.sees([/19\.00/]);
	await visitor.follow(visitor.page.getByRole('status').getByRole('link', { name: 'Receipt' }));
	await visitor.sees(['Credited in all $173.46']);
	await visitor.follow(visitor.link('History'));
	await visitor.follow(visitor.button('Sign out'));
	await visitor.sees(['You are signed out']);
	await visitor.close();
});

// ---------------------------------------------------------------------------
// By keyboard
// ---------------------------------------------------------------------------

/** What has the focus: its name, whether a ring is around it, and whether it is in sight with nothing over it. */
const focused = ({ page }) => page.evaluate(() => {
	const one = document.activeElement;
	const { outlineStyle, outlineWidth } = getComputedStyle(one);
	const { left, top, width, height } = one.getBoundingClientRect();
	const over = document.elementFromPoint(left + width / 2, top + height / 2);
	return {
		name: one.id || one.value || one.textContent.trim(),
		isRinged: one.matches(':focus-visible') && outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
		isInSight: Boolean(over) && (one === over || one.contains(over)),
	};
});

/** Presses Tab until what is wanted has the focus; whatever has it on the way can be seen. */
async function tabTo(visitor, wanted, most = 40) {
	const way = [];
	while (way.at(-1) !== wanted) {
		assert.ok(way.length < most, `${wanted} is not reached by ${way.join(', ')}`);
		await visitor.page.keyboard.press('Tab');
		const { name, isRinged, isInSight } = await focused(visitor);
		assert.ok(isRinged && isInSight, `${name} has the focus, ${isRinged ? 'covered or out of sight' : 'and no ring'}`);
		way.push(name);
	}
	return way;
}

test('by keyboard alone: to the content, past the reminder, to an offer, and through paying', async () => {
	const visitor = await asMember(BOOKSHOP, 'olha');
	const { keyboard } = visitor.page;
	const press = key => () => keyboard.press(key);

	assert.deepEqual(await tabTo(visitor, 'Skip to the content'), ['Skip to the content']);
	await keyboard.press('Enter');
	assert.ok(!(await tabTo(visitor, 'Close')).includes('Sign out'), 'it skips what is before the content');
	await keyboard.press('Enter');
	await visitor.dialog().waitFor({ state: 'hidden' });

	await visitor.reload();
	await tabTo(visitor, '23.46');
	for (const amount of ['52.46', '110.46', '123.46']) {
		await keyboard.press('ArrowDown');
		const { name, isRinged, isInSight } = await focused(visitor);
		assert.deepEqual({ name, isRinged, isInSight }, { name: amount, isRinged: true, isInSight: true });
	}
	assert.deepEqual(await tabTo(visitor, 'Continue to payment'), ['Continue to payment']);
	await visitor.follow(press('Enter'));
	await visitor.sees(['$123.46']);
	await tabTo(visitor, 'pay');
	await visitor.follow(press('Enter'));
	await visitor.sees(['$123.46 is on the balance']);
	// Everything that there is can be reached, to the last, and then it begins anew.
	const way = await tabTo(visitor, 'Demo', 80);
	const there = await visitor.page.locator('a, button, summary, input:not([type=radio])')
		.evaluateAll(all => all.filter(one => one.checkVisibility()).length);
	assert.equal(way.length, there + 1, `of the offers, one: ${way.join(', ')}`);
	await visitor.close();
});

// ---------------------------------------------------------------------------
// History, charges, receipts
// ---------------------------------------------------------------------------

test('a history of 500 entries, page by page to the end: each entry once, each balance that of the entry before it', async () => {
	const visitor = await asMember(NEWSPAPER, 'olha');
	await visitor.follow(visitor.link('The whole history'));
	const seen = [];
	for (;;) {
		const rows = await visitor.page.locator('table.entries tbody tr').evaluateAll(all => all.map(row => ({
			seq: Number(/\d+$/.exec(row.querySelector('th a').getAttribute('href'))[0]),
			amount: row.cells[2].innerText,
			balance: row.cells[3].innerText,
		})));
		seen.push(...rows);
		const older = visitor.link('Older entries');
		if (await older.count() === 0) break;
		await visitor.follow(older);
	}
	assert.ok(seen.length > 500, String(seen.length));
	assert.deepEqual(seen.map(({ seq }) => seq), Array.from(seen, (_, n) => seen.length - n));
	for (const [n, { seq, amount, balance }] of seen.entries()) {
		assert.equal(cents(balance), cents(amount) + cents(seen[n + 1]?.balance ?? '0'), `entry ${seq}: J2`);
	}
	await visitor.follow(visitor.link('The newest entries'));
	assert.equal(new URL(visitor.page.url()).search, '');
	await visitor.close();
});

test('a charge opens to its lines, and each line to its steps, and they add up', async () => {
	const visitor = await asMember(BOOKSHOP, 'olha', { viewport: PHONE });
	const { page } = visitor;
	await visitor.go('/history');
	const charge = page.locator('tr', { has: visitor.link('Charge for October 2026') });
	await charge.locator('summary').click();
	const lines = await charge.locator('details b').allInnerTexts();
	assert.deepEqual([lines.length, lines.reduce((sum, line) => sum + cents(line), 0)], [3, 2900]);

	await visitor.follow(visitor.link('Charge for October 2026'));
	await visitor.sees(['How the charge is made up', 'Base fee', 'Seats', 'Messages', 'Total $29.00']);
	for (const body of await page.locator('table tbody').all()) {
		await body.locator('summary').click();
		const steps = await body.locator('details b').allInnerTexts();
		const line = await body.locator('tr:first-child td:last-child').innerText();
		assert.equal(steps.reduce((sum, step) => sum + cents(step), 0), cents(line), await body.innerText());
	}
	await visitor.fits();
	await visitor.close();
});

test('a receipt is printed on one sheet, with what it is about and nothing to press', async () => {
	const visitor = await asMember(BOOKSHOP, 'olha');
	const { page } = visitor;
	await visitor.go('/receipts/1');
	await page.emulateMedia({ media: 'print' });
	await visitor.sees(['Receipt 4-1', 'Example Ltd 1 Main Street Kyiv', 'olha', 'September 15, 2026', 'Card', 'demo-1', 'Top-up $50.00',
		'Credited in all $50.00'], ['Sign out', 'Overview', 'Please top up', 'Write to support', 'To print it']);
	for (const one of await page.locator('a, button, input').all()) assert.equal(await one.isVisible(), false, await one.innerText());
	const sheets = (await page.pdf({ format: 'A4' })).toString('latin1').match(/\/Type\s*\/Page\b/g);
	assert.equal(sheets.length, 1);
	await visitor.close();
});

// ---------------------------------------------------------------------------
// Ukrainian
// ---------------------------------------------------------------------------

// What has no Ukrainian name: people, makers, currencies, references, and the demo's page.
const LATIN = /^(olha|andrii|Apple|Pay|UAH|USD|demo|fake|Demo|Example|Ltd|Main|Street|Kyiv|example|com|Google)$/;

/** Checks that a page is in Ukrainian, to the last word. */
async function isUkrainian(visitor) {
	assert.equal(await visitor.page.locator('html').getAttribute('lang'), 'uk');
	for (const summary of await visitor.page.locator('summary').all()) await summary.click();
	const text = `${await visitor.page.title()} ${await visitor.text()}`;
	assert.deepEqual((text.match(/[A-Za-z]{2,}/g) ?? []).filter(word => !LATIN.test(word)), [], text);
}

test('in Ukrainian: every word, dates, plurals and money, through paying', async () => {
	const visitor = await asMember(CAFE, 'olha', { viewport: PHONE, locale: 'uk-UA' });
	await isUkrainian(visitor);
	await visitor.sees(['Наступне нарахування близько 1 576,00 ₴, 1 січня 2027 р., за грудень 2026 р.',
		'вистачить на 3 місяці,', 'вистачить на 6 місяців,', 'вистачить на 12 місяців,', '3 рядки',
		'+4 000,00 ₴', '4 000,00 ₴ дасть бонус + бонус 200,00 ₴', '1 груд. 2026 р.', 'грудень 2026 р.']);
	for (const path of ['/history', '/entries/1', '/entries/3', '/receipts/1', '/entries/2']) {
		await visitor.go(path);
		await isUkrainian(visitor);
	}
	await visitor.go('/');
	await goToPay(visitor, { offer: '4 000,00 ₴ дасть бонус + бонус 200,00 ₴', button: 'Перейти до оплати' });
	await isUkrainian(visitor);
	await visitor.isAccessible();
	await visitor.follow(visitor.button('Сплатити'));
	await isUkrainian(visitor);
	await visitor.sees(['4 000,00 ₴ зараховано на баланс', 'з них бонусу']);
	await visitor.go('/nothing', 404);
	await isUkrainian(visitor);
	await visitor.go('/leave');
	await isUkrainian(visitor);
	await visitor.follow(visitor.button('Далі'));
	await isUkrainian(visitor);
	await visitor.close();
});

test('the pending payment arrives without more ado', async t => {
	if (!pending) return t.skip('it was not begun');
	const deadline = Date.now() + 30000;
	const hasArrived = async () => (await pending.text()).includes('$12.34 is on the balance');
	while (!await hasArrived()) {
		assert.ok(Date.now() < deadline, 'it is confirmed after ten seconds');
		await pending.follow(pending.link('Look again'));
	}
	await pending.sees([], ['$12.34, December 5, 2026']);
	return pending.close();
});

// ---------------------------------------------------------------------------
// The account will be deleted
// ---------------------------------------------------------------------------

test('D4: an admin keeps an account that would be deleted, and the banner is gone for all', async () => {
	const [admin, employee] = [await asMember(CHOIR, 'andrii'), await asMember(CHOIR, 'emma')];
	await employee.sees(['The account will be deleted on December 11, 2026']);
	await admin.follow(admin.button('Зберегти кабінет'));
	await admin.sees(['Кабінет збережено. Його не буде видалено.'], ['буде видалено 11']);
	await admin.isAccessible();
	await employee.reload();
	await employee.sees(['You can work as usual'], ['will be deleted on']);
	await Promise.all([admin.close(), employee.close()]);
});

// ---------------------------------------------------------------------------
// The contract ends
// ---------------------------------------------------------------------------

const speak = language =>
	database.sql('UPDATE kbilling.member SET language = $1 WHERE account_id = $2', [language, LIMITED]);

test('the pages to leave by: the form, what is wrong with it, and the day once more, without a finding, on a phone, too', async () => {
	const visitor = await asMember(LIMITED, 'olha');
	const check = async () => {
		await visitor.isAccessible();
		await visitor.fitsOnPhone();
	};
	for (const language of ['uk', 'en']) {
		await speak(language);
		await visitor.go('/leave');
		await check();
		await visitor.page.locator('input[value=other]').check();
		await visitor.follow(visitor.page.locator('form[action="/leave"] button'), 422);
		await check();
		await visitor.page.locator('#day').fill('2027-01-15');
		await visitor.page.locator('#reason').fill('4111 1111 1111 1111');
		await visitor.follow(visitor.page.locator('form[action="/leave"] button'));
		await check();
		await visitor.follow(visitor.page.locator('form[action="/leave/confirm"] button'), 422);
		await check();
	}
	await visitor.close();
});

test('X1: an owner leaves and comes back on a phone, without JavaScript, in both languages', async () => {
	const words = {
		en: { leave: 'End the contract', other: 'Another day', day: 'The last day, if it is another', on: 'Continue', done: 'It is done',
			ends: 'The contract ends on January 15, 2027', back: 'Let the contract go on', goesOn: 'The contract goes on' },
		uk: { leave: 'Завершити договір', other: 'Інший день', day: 'Останній день, якщо він інший', on: 'Далі', done: 'Готово',
			ends: 'Останній день договору: 15 січня 2027 р.', back: 'Продовжити договір', goesOn: 'Договір діє далі' },
	};
	for (const [language, says] of Object.entries(words)) {
		await speak(language);
		const visitor = await asMember(LIMITED, 'olha', { viewport: PHONE, javaScriptEnabled: false });
		await visitor.follow(visitor.link(says.leave));
		await visitor.page.getByRole('radio', { name: says.other, exact: true }).check();
		await visitor.page.getByLabel(says.day).fill('2027-01-15');
		await visitor.follow(visitor.button(says.on));
		await visitor.follow(visitor.button(says.leave));
		await visitor.sees([says.done, says.ends]);
		await visitor.follow(visitor.button(says.back));
		await visitor.sees([says.goesOn], [says.ends]);
		await visitor.close();
	}
	await speak('en');
});

test('X1: leaving takes no more steps than paying, and goes by keyboard alone', async () => {
	const visitor = await asMember(LIMITED, 'olha');
	const press = key => () => visitor.page.keyboard.press(key);
	await tabTo(visitor, 'End the contract');
	await visitor.follow(press('Enter'));
	await tabTo(visitor, '2026-12-31');
	await visitor.page.keyboard.press('ArrowDown');
	assert.equal((await focused(visitor)).name, '2026-12-05');
	await tabTo(visitor, 'Continue');
	await visitor.follow(press('Enter'));
	await visitor.sees(['End the contract on this day?', 'Last day December 5, 2026']);
	await tabTo(visitor, 'End the contract');
	await visitor.follow(press('Enter'));
	await visitor.sees(['The contract ends on December 5, 2026']);
	await visitor.isAccessible();
	await tabTo(visitor, 'Let the contract go on');
	await visitor.follow(press('Enter'));
	await visitor.sees(['The contract goes on'], ['The contract ends']);
	await visitor.close();
});

test('a day that is none is explained, and led to', async () => {
	const visitor = await asMember(LIMITED, 'olha');
	const { page } = visitor;
	await visitor.follow(visitor.link('End the contract'));
	await page.getByRole('radio', { name: 'Another day' }).check();
	await visitor.follow(visitor.button('Continue'), 422);
	await page.getByRole('alert').getByRole('link').click();
	assert.equal(await page.evaluate(() => document.activeElement.id), 'day');
	await visitor.close();
});

// ---------------------------------------------------------------------------
// A debt, from its first day to its twelfth, and back
// ---------------------------------------------------------------------------

const APPLICATION = 'Back to the application';
const MONTH = 'The running month';
const MONEY = ['$', 'Top up', 'History', MONTH];
const DUE = '$25.26 is due since January 1, 2027';

// S3, by the day of the debt: what owners and admins see, and what employees see.
const DAYS = [
	{
		days: [1, 2, 3], popUp: false,
		payer: [[DUE, 'Please pay before January 4, 2027', MONTH, APPLICATION], ['blocked', 'Only this page']],
		employee: [['You can work as usual', APPLICATION], MONEY],
	},
	{
		days: [4, 5, 6], popUp: true,
		payer: [[DUE, 'Please top up', 'From January 7, 2027 on', MONTH, APPLICATION], ['blocked', 'Only this page']],
		employee: [['You can work as usual', APPLICATION], [...MONEY, 'Please top up']],
	},
	{
		days: [7, 8, 9], popUp: false,
		payer: [[DUE, 'Only this page is open to owners and admins', 'From January 10, 2027 on, nobody', MONTH], [APPLICATION]],
		employee: [['You can work as usual', APPLICATION], MONEY],
	},
	{
		days: [10, 11, 12], popUp: false,
		payer: [['The account is blocked', DUE, 'Continue to payment'], [APPLICATION, MONTH, 'History', 'Balance', 'Next charge']],
		employee: [['The account is blocked', 'An owner or admin'], [...MONEY, APPLICATION, 'You can work']],
	},
];

/** Goes on to a day, by the switch of the demo's page. */
async function goOnTo(operator, day) {
	await operator.page.getByLabel('Today').fill(day);
	await operator.follow(operator.button('Go on to this day'));
	assert.equal(await operator.page.getByLabel('Today').inputValue(), day);
}

/** Checks a payer's page on one of those days. */
async function checkPayer(visitor, { payer, popUp }) {
	await visitor.reload();
	await visitor.sees(...payer);
	assert.equal(await visitor.dialog().isVisible(), popUp);
}

/** Checks the pop-up: it closes, comes again with the next page, and leads to the form. */
async function checkPopUp(visitor) {
	await visitor.button('Close').click();
	await visitor.dialog().waitFor({ state: 'hidden' });
	await visitor.follow(visitor.link('History'));
	await visitor.dialog().getByRole('link', { name: 'Top up' }).click();
	await visitor.page.waitForURL('**/#pay');
	await visitor.button('Continue to payment').waitFor();
}

/** Checks an employee's page on one of those days. */
async function checkEmployee(visitor, { employee }) {
	await visitor.reload();
	await visitor.sees(...employee);
	assert.equal(await visitor.dialog().count(), 0);
}

test('S3: a debt from day 1 to day 12, for owner, admin and employee, and back by paying', async () => {
	await database.sql('UPDATE kbilling.member SET language = $1 WHERE account_id = $2', ['en', DEBTOR]);
	const [owner, admin, employee] = await Promise.all(['olha', 'andrii', 'emma'].map(member => asMember(DEBTOR, member)));
	const operator = await Visitor.at(browser, site);
	await operator.go('/demo');
	await owner.sees([APPLICATION], ['is due']);

	for (const stage of DAYS) {
		for (const day of stage.days) {
			await goOnTo(operator, `2027-01-${String(day).padStart(2, '0')}`);
			await checkPayer(owner, stage);
			await checkPayer(admin, stage);
			await checkEmployee(employee, stage);
			if (day === 4) await checkPopUp(owner);
			if (day === 6) await checkPopUp(admin);
		}
	}

	await admin.go('/history', 403);
	await admin.sees(['It opens again as soon as what is due is paid'], ['$']);
	await admin.go('/');
	// Somebody pays: from this moment on, everything is back, for everybody.
	await pay(owner, { offer: '$25.26 pays what is due' });
	await owner.sees(['$25.26 is on the balance', APPLICATION, 'The running month', 'Charge for December 2026'], ['is due', 'blocked']);
	await admin.reload();
	await admin.sees([APPLICATION, 'The running month', 'Balance $0.00'], ['is due', 'blocked']);
	await admin.follow(admin.link('History'));
	await admin.sees(['Charge for December 2026', '-$25.26', '+$25.26']);
	await employee.reload();
	await employee.sees(['You can work as usual', APPLICATION], ['blocked']);
	await Promise.all([owner, admin, employee, operator].map(visitor => visitor.close()));
});

test('X2: on the day after the last one, the contract is over for owner and employee, and what is left is told', async () => {
	const [owner, employee] = [await asMember(GYM, 'olha'), await asMember(GYM, 'emma')];
	await owner.sees(['The contract ended on December 31, 2026', '$2.54 of what you paid is left', 'Charge for December 2026'],
		[APPLICATION, 'Top up', 'Let the contract go on']);
	await employee.sees(['The contract ended on December 31, 2026'], [...MONEY, APPLICATION, 'You can work']);
	await Promise.all([owner.close(), employee.close()]);
});

test('D6: after the purge, nobody is a member any more', async () => {
	const visitor = await Visitor.at(browser, site);
	await visitor.logIn(CHESS_CLUB, 'olha', 401);
	await visitor.sees(['Your session has ended']);
	await visitor.close();
});

test('after all of this, the server has had no errors', () => {
	assert.equal(site.log(), '');
});
