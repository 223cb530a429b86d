/*
 * What the pages show to whom, and what nobody gets by them: against a database, with the demo's customers.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { createApp } from '../src/app.js';
import { Database } from '../src/db.js';
import { forwardedAddress } from '../src/login.js';
import { loginToken } from '../src/session.js';
import { languages, textsFor } from '../src/text/index.js';
import { Browser, fieldOf, ORIGIN, SECRET, session } from './browser.js';
import { freshDatabase } from './database.js';

// The demo's customers (demo.sql)
const [BAKERY, CAFE, FLORIST, BOOKSHOP, CINEMA, BARBER, CHOIR, CHESS_CLUB, NEWSPAPER] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const [GALLERY, GYM, THEATRE] = [10, 11, 12];
const PAGES = ['/', '/history', '/history?before=3', '/entries/1', '/receipts/1', '/paid?payment=1'];
const POSTS = ['/closure/cancel', '/pay', '/logout', '/leave', '/leave/confirm', '/leave/cancel'];

/** A provider that only remembers what it was asked for. */
const stub = {
	name: 'stub',
	origins: ['https://pay.example'],
	begun: [],
	begin: async payment => {
		stub.begun.push(payment);
		return { url: 'https://pay.example/checkout' };
	},
	/** Where the last customer comes back to. */
	returned: () => stub.begun.at(-1).returnUrl,
	verify: async () => [],
	find: async () => [],
};

let database, app, logged;
const plain = text => text.replace(/[\u00a0\u202f\u2009]/g, ' ');
const sql = (text, values) => database.sql(text, values);
const one = async (text, values) => Object.values((await sql(text, values))[0])[0];

/** The last day of an account's contract. */
const endOf = account => one('SELECT ends_on::text FROM kbilling.account WHERE account_id = $1', [account]);

/** An app of its own, with its own count of tries. */
const appWith = options => createApp({
	db: database.app, payments: database.payments, provider: stub, session, secret: SECRET, origin: ORIGIN,
	application: 'https://app.example/', log: error => logged.push(error), ...options,
});

/** A page, as a member sees it. */
async function page(account, member, path = '/') {
	return (await Browser.of(app, account, member)).get(path);
}

/** The same at another moment, which the role of the pages cannot choose. */
async function pageOn(clock, account, member) {
	const db = new Database({ database: database.name, options: `-c kbilling.clock=${clock}` });
	const seen = await (await Browser.of(appWith({ db }), account, member)).get('/');
	await db.end();
	return seen;
}

/** Checks what a page says, and what it does not. */
function says({ text }, wanted, unwanted = []) {
	const read = plain(text);
	const has = part => (part instanceof RegExp ? part.test(read) : read.includes(part));
	for (const part of wanted) assert.ok(has(part), `it says ${part}:\n${read}`);
	for (const part of unwanted) assert.ok(!has(part), `it does not say ${part}`);
}

before(async () => {
	database = await freshDatabase({ demo: true });
	logged = [];
	app = appWith();
});
after(() => database.drop());

// ---------------------------------------------------------------------------
// Who sees what, stage by stage
// ---------------------------------------------------------------------------

const MONEY = ['<dt>', 'Top up', 'The running month', 'Receipt', '$'];

test('the demo\'s books are right', async () => {
	assert.deepEqual(await sql('SELECT * FROM kbilling.kb_check()'), []);
});

test('an owner or admin without a debt sees balance, tariff, next charge, month, history and form', async () => {
	for (const member of ['olha', 'andrii']) {
		const seen = await page(BAKERY, member);
		assert.equal(seen.status, 200);
		says(seen, ['<dt>Balance</dt><dd><strong>$', 'bonus', 'Team', 'from January 1, 2027: Business',
			'on January 1, 2027, for December 2026', 'The running month', 'Seats', 'Messages', 'How it adds up',
			'Charge for November 2026', 'Receipt', 'action="/pay"',
			'Back to the application'], ['<dialog', 'class="warning"', 'is due since']);
	}
});

test('the lines of the running month are those of the database, and their steps add up to them', async () => {
	const seen = plain((await page(BAKERY, 'olha')).text);
	const lines = await sql('SELECT kbilling.kb_amount(amount)::text AS amount FROM kbilling.kb_current_usage($1)', [BAKERY]);
	assert.ok(lines.length >= 3);
	const month = seen.slice(seen.indexOf('<h2 id="month">'), seen.indexOf('<h2 id="history">'));
	for (const { amount } of lines) assert.ok(month.includes(`<td>$${amount}</td>`), `${amount} in\n${month}`);
	const cents = text => Math.round(Number(text.replace('$', '').replace(',', '')) * 100);
	const explained = [...month.matchAll(/<td>(\$[\d.,]+)<\/td><\/tr><tr class="how">([\s\S]*?)<\/tr>/g)];
	assert.equal(explained.length, lines.length);
	for (const [, amount, rest] of explained) {
		const steps = [...rest.matchAll(/<b>(-?\$[\d.,]+)<\/b>/g)].map(([, step]) => cents(step));
		assert.equal(steps.reduce((sum, step) => sum + step, 0), cents(amount), rest);
	}
});

test('an employee sees no money, at any stage', async () => {
	for (const account of [BAKERY, FLORIST, BOOKSHOP, CINEMA]) {
		const seen = await page(account, 'emma');
		says(seen, ['You can work as usual', 'Back to the application'], [...MONEY, 'action="/pay"', '<dialog', 'href="/history"']);
	}
	says(await page(BARBER, 'emma'), ['The account is blocked', 'An owner or admin'],
		[...MONEY, 'action="/pay"', 'Back to the application']);
});

test('grace: what is due, until when, and nothing else has changed', async () => {
	says(await page(FLORIST, 'olha'),
		['is due since December 3, 2026', 'Please pay before December 6, 2026', 'Back to the application'], ['<dialog']);
});

test('remind: owners and admins have a reminder to close, on every page', async () => {
	for (const path of ['/', '/history', '/entries/1']) {
		says(await page(BOOKSHOP, 'andrii', path), ['<dialog open', 'is due since December 1, 2026', 'From December 7, 2026 on',
			'<form method="dialog">', 'Back to the application']);
	}
});

test('remind: where blocked comes next, the reminder says that it is for everybody', async () => {
	await sql(`SELECT kbilling.kb_set_policy('hard', '{"restrict_day": 10, "block_day": 10}'),
		kbilling.kb_create_tariff('hard', 'USD', 'Hard', policy => 'hard'), kbilling.kb_set_price('hard', 'base', '19.00')`);
	await sql(`BEGIN; SET LOCAL kbilling.clock = '2026-12-01 09:00+00';
		SELECT kbilling.kb_create_account('olha', 'hard', 801), kbilling.kb_adjust(801, '-10.00 USD', 'hard-1', 'x'); COMMIT`);
	says(await page(801, 'olha'), ['<dialog open', 'From December 10, 2026 on, nobody can use the account'], ['owners and admins get']);
});

test('restrict: owners and admins get to this page alone, and it leads nowhere else', async () => {
	says(await page(CINEMA, 'olha'), ['Only this page is open to owners and admins', 'is due since November 28, 2026',
		'From December 7, 2026 on, nobody', 'action="/pay"', 'The running month', 'href="/history"'],
	['Back to the application', '<dialog']);
	assert.equal((await page(CINEMA, 'olha', '/history')).status, 200);
});

test('blocked: paying is all there is', async () => {
	const seen = await page(BARBER, 'olha');
	says(seen, ['The account is blocked', 'is due since November 1, 2026', 'action="/pay"'],
		['The running month', 'href="/history"', 'Receipt', 'Back to the application', '<dt>Balance']);
	for (const path of ['/history', '/entries/1', '/receipts/1']) {
		const refused = await page(BARBER, 'olha', path);
		assert.equal(refused.status, 403, path);
		says(refused, ['It opens again as soon as what is due is paid'], ['$']);
	}
});

test('a closure: every member sees its date, and who may has a button to keep the account', async () => {
	for (const member of ['olha', 'andrii', 'emma']) {
		says(await page(CHOIR, member), ['The account will be deleted on December 11, 2026']);
	}
	says(await page(CHOIR, 'andrii'), ['action="/closure/cancel"', 'Keep the account']);
	says(await page(CHOIR, 'emma'), ['An owner or admin of the account can keep it'], ['action="/closure/cancel"']);
});

test('a deleted account: until when it can be restored, and no more', async () => {
	for (const member of ['olha', 'emma']) {
		says(await page(CHESS_CLUB, member), ['The account is deleted', 'before December 9, 2026'],
			['action="/pay"', '$', 'Back to the application']);
	}
	assert.equal((await page(CHESS_CLUB, 'olha', '/history')).status, 410);
});

test('payments that failed or are pending are shown, with the reason', async () => {
	says(await page(BOOKSHOP, 'olha'),
		['Payments that have not arrived', '$25.00, December 4, 2026', 'It failed', 'insufficient funds']);
	says(await page(NEWSPAPER, 'olha'), ['$40.00, December 5, 2026', 'has not confirmed it yet']);
});

test('Ukrainian, for who reads it', async () => {
	const seen = await page(CAFE, 'olha');
	says(seen, ['<html lang="uk">', 'Ваш кабінет', 'Команда', 'Робочі місця', 'Повідомлення', '₴', '2026 р.'],
		['Balance', 'Seats', 'Top up', '$']);
	says(await new Browser(app).get('/', { 'accept-language': 'uk' }), ['<html lang="uk">', 'Увійдіть, будь ласка']);
});

// ---------------------------------------------------------------------------
// The form, and payments
// ---------------------------------------------------------------------------

test('each offer has its amount, its reason and the bonus that it earns', async () => {
	const browser = await Browser.of(app, BOOKSHOP, 'olha');
	const seen = plain((await browser.get('/')).text);
	const { offers } = await one('SELECT kbilling.kb_portal($1, $2)', [BOOKSHOP, 'olha']);
	const shown = [...seen.matchAll(/name="amount" value="(\d[\d.]*)"/g)].map(([, amount]) => amount);
	assert.deepEqual(shown, offers.map(({ amount }) => amount.amount));
	assert.deepEqual(new Set(shown).size, shown.length);
	says({ text: seen }, ['pays what is due', /covers 3 months/, /\+ \$\d+\.\d\d bonus/]);
});

test('paying begins a payment of the amount that was chosen, and leads to the provider', async () => {
	const browser = await Browser.of(app, FLORIST, 'andrii');
	const answer = await browser.post('/pay', { amount: '100.00', other: '' });
	assert.equal(answer.status, 303);
	assert.equal(answer.headers.get('location'), 'https://pay.example/checkout');
	const [payment] = await sql(`SELECT payment_id, amount::text, member, method FROM kbilling.payment
		WHERE account_id = $1`, [FLORIST]);
	assert.deepEqual(payment, { payment_id: '1', amount: '100.00 USD', member: 'andrii', method: null });
	assert.deepEqual(stub.begun.at(-1), {
		accountId: '3', paymentId: '1', amount: { amount: '100.00', currency: 'USD' }, language: 'en',
		returnUrl: stub.returned(), cancelUrl: 'http://localhost/', description: 'Top-up of account 3',
	});
	assert.match(stub.returned(), /^http:\/\/localhost\/paid\?payment=1&/);
	const path = stub.returned().slice(ORIGIN.length);
	says(await browser.get(path), ['Your payment is being confirmed', `href="${path.replaceAll('&', '&amp;')}"`]);
});

test('who comes back sees what has become of the payment', async () => {
	const browser = await Browser.of(app, CINEMA, 'olha');
	await browser.post('/pay', { amount: 'other', other: '80,50' });
	const first = stub.returned().slice(ORIGIN.length);
	await browser.post('/pay', { amount: 'other', other: '90' });
	const second = stub.returned().slice(ORIGIN.length);
	await sql("SELECT kbilling.kb_fail_topup(5, 1, 'no funds')");
	says(await browser.get(first), ['It failed. Nothing was credited', 'The provider says: no funds']);
	await sql("SELECT kbilling.kb_apply_topup(5, '90.00 USD', 'card', 'returned-2', payment_id => 2)");
	says(await browser.get(second), ['$90.00 is on the balance', 'href="/receipts/', 'Back to the application'], ['$100.00 is on']);
});

test('of a payment that the account has not begun, nothing is said', async () => {
	const browser = await Browser.of(app, BAKERY, 'andrii');
	const florist = await Browser.of(app, FLORIST, 'olha');
	await florist.post('/pay', { amount: 'other', other: '70' });
	const foreign = stub.returned().slice(ORIGIN.length);
	for (const path of ['/paid', '/paid?payment=x', '/paid?payment=1', '/paid?payment=123456', foreign,
		foreign.replace('payment=', 'payment=9')]) {
		const seen = await browser.get(path);
		assert.equal(seen.status, 404, path);
		says(seen, ['There is no such page'], ['is on the balance']);
	}
});

test('reasons that are not the provider\'s words are said in the page\'s language', async () => {
	const told = { no_answer: 'did not answer', amount_refused: 'does not take this amount', checkout_expired: 'was not completed in time',
		declined: 'The payment provider declined it', test_payment: 'moved no money', reversed: 'was paid back' };
	for (const [failure, words] of Object.entries(told)) {
		await sql(`SELECT kbilling.kb_fail_topup(9, payment_id, $1)
			FROM kbilling.kb_begin_topup(9, 'olha', '33.00 USD')`, [failure]);
		says(await page(NEWSPAPER, 'olha'), [words], [`: ${failure}`, 'The provider says']);
		await sql(`SELECT kbilling.kb_fail_topup(2, payment_id, $1)
			FROM kbilling.kb_begin_topup(2, 'olha', '33.00 UAH')`, [failure]);
		says(await page(CAFE, 'olha'), [textsFor('uk').failures[failure]], [failure, 'повідомляє', words]);
	}
	await sql(`SELECT kbilling.kb_fail_topup(9, payment_id, 'constructor')
		FROM kbilling.kb_begin_topup(9, 'olha', '33.00 USD')`);
	says(await page(NEWSPAPER, 'olha'), ['The provider says: constructor']);
	await sql("UPDATE kbilling.payment SET begun_at = begun_at - interval '40 days' WHERE account_id IN (2, 9) AND failed_at IS NOT NULL");
});

test('amounts are read, and the hint given, by the decimals of the currency', async () => {
	const currencies = { JPY: ['900', '25', '250'], USD: ['19.50', '25.50', '25.50'], KWD: ['19.500', '25.5', '25.500'] };
	let account = 810;
	for (const [currency, [price]] of Object.entries(currencies)) {
		await sql('SELECT kbilling.kb_create_tariff($1, $2, $1)', [`in_${currency.toLowerCase()}`, currency]);
		await sql("SELECT kbilling.kb_set_price($1, 'base', $2)", [`in_${currency.toLowerCase()}`, price]);
		for (const language of ['en', 'uk']) {
			await sql("SELECT kbilling.kb_create_account('olha', $1, $2)", [`in_${currency.toLowerCase()}`, ++account]);
			await sql("SELECT kbilling.kb_set_contact($1, 'olha', 'o@example.com', $2)", [account, language]);
			const browser = await Browser.of(appWith(), account, 'olha');
			const hint = /<small id="other-hint">([^<]*)<\/small>/.exec((await browser.get('/')).text)[1];
			const examples = hint.match(/\d+(?:[.,]\d+)?/g);
			assert.equal(examples.some(text => /[.,]/.test(text)), currency !== 'JPY', hint);
			for (const other of examples) {
				assert.equal((await browser.post('/pay', { amount: 'other', other })).status, 303, `${currency} ${other}`);
			}
			const refused = await browser.post('/pay', { amount: 'other', other: '1,900' });
			assert.equal(refused.status, 422, currency);
			says(refused, [language === 'en' ? 'in two ways' : 'двояко']);
			const finer = await browser.post('/pay', { amount: 'other', other: { JPY: '25.5', USD: '25.505', KWD: '25.5005' }[currency] });
			assert.equal(finer.status, 422);
			says(finer, [textsFor(language).amountNumber(currency, examples.at(-1))]);
		}
	}
	assert.deepEqual((await sql('SELECT amount::text FROM kbilling.payment WHERE account_id = 815 ORDER BY payment_id'))
		.map(({ amount }) => amount), ['25.000 KWD', '25.500 KWD']);
});

test('paying at the last stage opens the account in the same moment', async () => {
	const browser = await Browser.of(app, BARBER, 'andrii');
	assert.equal((await browser.post('/pay', { amount: 'other', other: '200' })).status, 303);
	await sql("SELECT kbilling.kb_apply_topup(6, '200.00 USD', 'card', 'back-1', payment_id => 1)");
	says(await browser.get('/'), ['The running month', 'Back to the application'], ['blocked']);
	assert.equal((await browser.get('/history')).status, 200);
});

test('blocked, and paid in part: the page offers no receipt that it does not give', async () => {
	await sql(`BEGIN; SET LOCAL kbilling.clock = '2026-11-10 09:00+00';
		SELECT kbilling.kb_create_account('olha', 'team', 802), kbilling.kb_apply_topup(802, '50.00 USD', 'card', 'part-1'),
			kbilling.kb_adjust(802, '-90.00 USD', 'part-2', 'x'); COMMIT`);
	const browser = await Browser.of(app, 802, 'olha');
	await browser.post('/pay', { amount: 'other', other: '15' });
	await sql("SELECT kbilling.kb_apply_topup(802, '15.00 USD', 'card', 'part-3', payment_id => 1)");
	const seen = await browser.get(stub.returned().slice(ORIGIN.length));
	says(seen, ['The account is blocked', '$15.00 is on the balance'], ['$50.00 is on']);
	for (const [, path] of seen.text.matchAll(/href="(\/[a-z]+\/[^"]*)"/g)) assert.equal((await browser.get(path)).status, 200, path);
});

test('an amount that is none is explained beside its field, and begins nothing', async () => {
	const browser = await Browser.of(app, BAKERY, 'olha');
	const wrong = ['', 'abc', '-5', '0', '0.00', '1.234', '1e3', '999999999999999', '5 UAH', '<b>'];
	for (const other of wrong) {
		logged.length = 0;
		const tries = await Browser.of(appWith(), BAKERY, 'olha');
		const answer = await tries.post('/pay', { amount: 'other', other });
		assert.equal(answer.status, 422, `${other} ${logged[0]}`);
		says(answer, ['role="alert"', 'aria-invalid="true"', 'aria-describedby="other-hint other-fault"'],
			['<b>&lt;', '22P02', 'KB005']);
	}
	says(await browser.post('/pay', { amount: 'other', other: '"><b>' }), ['value="&quot;&gt;&lt;b&gt;"']);
	assert.equal((await browser.post('/pay', {})).status, 422);
	assert.equal(await one('SELECT count(*)::int FROM kbilling.payment WHERE account_id = $1', [BAKERY]), 0);
});

test('the account\'s currency is no choice of the form', async () => {
	const browser = await Browser.of(app, CAFE, 'andrii');
	await browser.post('/pay', { amount: '500.00', currency: 'USD' });
	assert.equal(await one(`SELECT amount::text FROM kbilling.payment
		WHERE account_id = $1 ORDER BY payment_id DESC LIMIT 1`, [CAFE]), '500.00 UAH');
});

test('a provider that wants a form gets one, with what it wants', async () => {
	const way = { action: 'https://pay.example/form', fields: { data: 'a"b', signature: 'c&d' } };
	const provider = { ...stub, begin: async () => way };
	const browser = await Browser.of(appWith({ provider }), CAFE, 'olha');
	says(await browser.post('/pay', { amount: '500.00' }),
		['action="https://pay.example/form"', 'name="data" value="a&quot;b"', 'name="signature" value="c&amp;d"', '500,00 ₴']);
});

test('a provider that does not answer is said to, and the payment has failed', async () => {
	const provider = { ...stub, begin: async () => Promise.reject(new Error('ECONNREFUSED 10.0.0.7:443')) };
	const browser = await Browser.of(appWith({ provider }), NEWSPAPER, 'olha');
	const answer = await browser.post('/pay', { amount: '500.00' });
	assert.equal(answer.status, 502);
	says(answer, ['The payment provider does not answer', 'Nothing was paid'], ['ECONNREFUSED', '10.0.0.7']);
	assert.match(logged.at(-1).message, /ECONNREFUSED/);
	assert.equal(await one(`SELECT status || ': ' || failure FROM kbilling.payment_status
		WHERE account_id = $1 ORDER BY payment_id DESC LIMIT 1`, [NEWSPAPER]), 'failed: no_answer');
});

test('an amount that the provider cannot take is an amount that is wrong', async () => {
	const provider = { ...stub, begin: async () => Promise.reject(new RangeError('too small')) };
	const browser = await Browser.of(appWith({ provider }), NEWSPAPER, 'olha');
	const answer = await browser.post('/pay', { amount: 'other', other: '0.01' });
	assert.equal(answer.status, 422);
	says(answer, ['There is a problem with the amount', 'does not take this amount'], ['too small']);
});

// ---------------------------------------------------------------------------
// History, entries, receipts
// ---------------------------------------------------------------------------

test('the history has each entry once, page by page, newest first', async () => {
	const browser = await Browser.of(app, NEWSPAPER, 'olha');
	const count = await one('SELECT count(*)::int FROM kbilling.entry WHERE account_id = $1', [NEWSPAPER]);
	assert.ok(count >= 500, String(count));
	const seen = [];
	for (let path = '/history'; path;) {
		const { text } = await browser.get(path);
		seen.push(...[...text.matchAll(/<th scope="row"><a href="\/entries\/(\d+)">/g)].map(([, seq]) => Number(seq)));
		path = /href="(\/history\?before=\d+)"/.exec(text)?.[1];
	}
	assert.deepEqual(seen, Array.from({ length: count }, (_, n) => count - n));
});

test('each charge has its breakdown, and its page has how each line adds up', async () => {
	const browser = await Browser.of(app, BAKERY, 'olha');
	says(await browser.get('/history'), [/<details><summary>3 lines<\/summary><ul><li>/, 'Charge for October 2026']);
	const seq = await one("SELECT min(seq)::int FROM kbilling.entry WHERE account_id = $1 AND kind = 'charge'", [BAKERY]);
	says(await browser.get(`/entries/${seq}`),
		['Charge for September 2026', 'How the charge is made up', 'Seats', 'How it adds up', 'Sep 15']);
});

test('a receipt has amount, bonus, payer, and what the card was charged', async () => {
	says(await page(BAKERY, 'andrii', '/receipts/1'), ['Receipt 1-1', '$300.00', '$30.00', '$330.00', 'olha', 'demo-1', 'Card']);
	const seq = await one(`SELECT max(seq)::int FROM kbilling.entry
		WHERE account_id = $1 AND kind = 'topup' AND kbilling.kb_minor(amount) = 250`, [NEWSPAPER]);
	says(await page(NEWSPAPER, 'olha', `/receipts/${seq}`), [`Receipt 9-${seq}`, '$2.50', 'UAH 103.75', 'at 41.5',
		'Newspaper Ltd', 'Address: 1 Main Street, Kyiv', 'Tax number: UA 1234-567']);
	assert.equal((await page(BAKERY, 'olha', '/receipts/2')).status, 404, 'a bonus has none');
});

test('a receipt has the whole number of its account, and details under any key', async () => {
	const id = '9007199254740993';
	await sql(`SELECT kbilling.kb_create_account('olha', 'team', $1)`, [id]);
	await sql(`SELECT kbilling.kb_apply_topup($1, '50.00 USD', 'card', 'far-1'),
		kbilling.kb_set_billing_details($1, '{"constructor": "Brick Ltd", "toString": "x"}')`, [id]);
	says(await page(id, 'olha', '/receipts/1'), [`Receipt ${id}-1`, `<dd>${id}</dd>`, 'constructor: Brick Ltd', 'toString: x'],
		['9007199254740992', 'function', 'native code']);
});

test('every kind of entry has a name, in every language', async () => {
	const kinds = await one('SELECT array_agg(kind::text) FROM unnest(enum_range(NULL::kbilling.kb_entry_kind)) AS kind');
	assert.ok(kinds.includes('expiry'), kinds.join());
	for (const language of languages) assert.deepEqual(kinds.filter(kind => !textsFor(language).kinds[kind]), [], language);
});

// ---------------------------------------------------------------------------
// Credit that expires
// ---------------------------------------------------------------------------

test('G3: beside the balance stands what expires, and after which day; of more than three, the rest on a page of its own', async () => {
	const seen = await page(GALLERY, 'andrii');
	says(seen, ['of it $75.00 bonus', '$10.00 expires after December 20, 2026', '$15.00 expires after February 28, 2027',
		'$20.00 expires after May 31, 2027', 'What you use until then', '<a href="/month">All 4 amounts that expire</a>'],
	['November 30, 2027', 'December 21, 2026']);
	says(await page(GALLERY, 'andrii', '/month'), ['Credit that expires', '$10.00 expires after December 20, 2026',
		'$30.00 expires after November 30, 2027'], ['All 4 amounts']);
	for (const path of ['/', '/month']) says(await page(BAKERY, 'olha', path), [], ['expire']);
	says(await page(GALLERY, 'emma'), ['You can work as usual'], ['expire', '$']);
});

test('G3: the day that is said is the last on which it is good, by the account\'s clock', async () => {
	// In Kyiv, it is two hours later.
	for (const [clock, first] of [['2026-12-20T21:59+00', 'December 20, 2026'], ['2026-12-20T22:01+00', 'February 28, 2027']]) {
		const seen = await pageOn(clock, GALLERY, 'olha');
		assert.equal(/expires after ([^<]*)</.exec(seen.text)[1], first, clock);
	}
});

test('T5: an offer says after which day its bonus expires, if it does', async () => {
	says(await page(GALLERY, 'olha'), ['+ $30.00 bonus', 'The bonus expires after December 4, 2027.']);
	says(await page(BAKERY, 'olha'), [/\+ \$5\.00 bonus/], ['The bonus expires']);
});

test('credit that was granted, and that has expired, has its name, in both languages', async () => {
	const seqOf = kind => one('SELECT min(seq)::int FROM kbilling.entry WHERE account_id = $1 AND kind = $2', [GALLERY, kind]);
	const [granted, expired] = [await seqOf('credit'), await seqOf('expiry')];
	says(await page(GALLERY, 'olha', '/history'), ['Credit granted', 'Credit expired', '-$4.10', 'Winter campaign']);
	says(await page(GALLERY, 'olha', `/entries/${granted}`), ['<h1>Credit granted</h1>', '+$25.00', 'Ten days to try messages']);
	says(await page(GALLERY, 'olha', `/entries/${expired}`), ['<h1>Credit expired</h1>', '-$4.10', 'November 12, 2026']);
	await sql("SELECT kbilling.kb_set_contact($1, 'andrii', 'a@example.com', 'uk')", [GALLERY]);
	says(await page(GALLERY, 'andrii', '/history'), ['Надано бонус', 'Бонус згорів']);
	says(await page(GALLERY, 'andrii'), ['10,00 USD згорить після 20 грудня 2026 р.', 'Усі суми, що згорять: 4',
		'Бонус згорить після 4 грудня 2027 р.']);
});

// ---------------------------------------------------------------------------
// The end of the contract
// ---------------------------------------------------------------------------

/** A new account, paid ahead, with an owner, an admin and an employee. */
async function customer(account, paid = '100.00 USD') {
	await sql(`SELECT kbilling.kb_create_account('olha', 'team', $1, 'Europe/Kyiv'), kbilling.kb_add_member($1, 'andrii', 'admin'),
		kbilling.kb_add_member($1, 'emma', 'employee')`, [account]);
	if (paid) await sql("SELECT kbilling.kb_apply_topup($1, $2::kbilling.kb_money, 'card', 'paid-1')", [account, paid]);
	return Browser.of(app, account, 'olha');
}

/** A contract that has run from 15 November to 2 December: the sweep of the 3rd has charged it, if it is to. */
async function former(account, paid, { isSwept = true } = {}) {
	const at = (day, statement) => sql(`BEGIN; SET LOCAL kbilling.clock = '${day} 09:00+00'; ${statement}; COMMIT`);
	await at('2026-11-15', `SELECT kbilling.kb_create_account('olha', 'team', ${account}, 'Europe/Kyiv'),
		kbilling.kb_add_member(${account}, 'emma', 'employee')${
	paid ? `, kbilling.kb_apply_topup(${account}, '${paid}', 'card', 'paid-1')` : ''}`);
	await at('2026-11-20', `SELECT kbilling.kb_end_account(${account}, 'olha', '2026-12-02')`);
	if (isSwept) {
		await at('2026-12-01', `SELECT kbilling.kb_month_charge(${account})`);
		await at('2026-12-03', `SELECT kbilling.kb_month_charge(${account})`);
	}
}

test('X1: an owner ends the contract with the end of the month: page by page, and everybody sees what is theirs', async () => {
	const owner = await customer(901);
	says(await owner.get('/'), ['<a href="/leave">End the contract</a>'], ['The contract ends']);
	for (const member of ['andrii', 'emma']) says(await page(901, member), [], ['/leave']);

	says(await owner.get('/leave'), ['everything works as before', 'what was used until then is charged', 'is paid back', 'not paid out',
		'A debt stays to be paid', 'go on reading', 'Employees have no access', '<strong>$105.00</strong>', 'of it $5.00 bonus',
		/value="2026-12-31" checked>\s<span>December 31, 2026, the end of this month/, /value="2026-12-05">\s<span>December 5, 2026, today/,
		/value="other">/, 'type="date" name="day" min="2026-12-05" value=""']);
	const asked = await owner.post('/leave', { last: '2026-12-31', day: '', reason: ' too <dear>\r\nfor us ' });
	assert.equal(asked.status, 200);
	says(asked, ['December 31, 2026', 'too &lt;dear&gt; for us', 'action="/leave/confirm"', 'href="/leave"']);
	assert.equal(await endOf(901), null, 'it is asked once more');
	const [last, reason] = [fieldOf(asked.text, 'last'), fieldOf(asked.text, 'reason').replace('&lt;', '<').replace('&gt;', '>')];
	const done = await owner.post('/leave/confirm', { last, reason });
	assert.deepEqual([done.status, done.headers.get('location')], [303, '/?done=ending']);
	assert.equal(await endOf(901), '2026-12-31');
	assert.deepEqual(await one("SELECT after FROM kbilling.change_log WHERE account_id = 901 AND subject = 'end'"),
		{ by: 'olha', ends_on: '2026-12-31', reason: 'too <dear> for us' });

	says(await owner.get('/?done=ending'),
		['It is done', 'The contract ends on December 31, 2026', 'action="/leave/cancel"', 'Choose another day'],
		['>End the contract</a>', 'earns a bonus']);
	says(await page(901, 'andrii', '/?done=ending'), ['The contract ends on December 31, 2026', 'An owner of the account can'],
		['It is done', '/leave']);
	says(await page(901, 'emma', '/?done=ending'), ['You can work as usual'], ['contract', 'It is done', '$']);
});

test('X1: the end is moved to another day, and taken back; who comes second is told how it stands', async () => {
	const owner = await customer(902);
	const set = async form => (await owner.post('/leave/confirm', form)).headers.get('location');
	assert.equal(await set({ last: 'other', day: '2027-03-15' }), '/?done=ending');
	says(await owner.get('/leave'), ['value="other" checked', 'value="2027-03-15"']);
	assert.equal(await set({ last: '2026-12-05' }), '/?done=ending');
	assert.equal(await set({ last: '2026-12-05' }), '/?done=ending', 'the same again');
	says(await owner.get('/'), ['The contract ends on December 5, 2026']);
	says(await owner.get('/leave'), ['value="2026-12-05" checked']);
	for (let n = 0; n < 2; n++) {
		const answer = await owner.post('/leave/cancel');
		assert.deepEqual([answer.status, answer.headers.get('location')], [303, '/?done=continued']);
	}
	assert.equal(await endOf(902), null);
	says(await owner.get('/?done=continued'), ['The contract goes on', '>End the contract</a>'], ['The contract ends']);
	assert.equal(await one("SELECT count(*)::int FROM kbilling.notice WHERE account_id = 902 AND kind = 'contract_continued'"), 1);
	says(await owner.get('/?done=ending'), [], ['class="done"', 'It is done']);
});

test('X1: a day that cannot be the last is explained beside its field, and nothing is ended', async () => {
	const owner = await customer(903);
	const wrong = [['other', '2026-12-04', 'December 5, 2026, or a later day'], ['2026-12-04', '', 'or a later day'],
		['other', '', 'Enter a day, as 2026-12-05'], ['other', '31.12.2026', 'Enter a day'], ['other', '2026-02-30', 'Enter a day'],
		['other', 'infinity', 'Enter a day'], ['other', '10000-01-01', 'Enter a day'], ['"><b>', '', 'value="&quot;&gt;&lt;b&gt;"'],
		[undefined, undefined, 'Enter a day']];
	for (const path of ['/leave', '/leave/confirm']) {
		for (const [last, day, words] of wrong) {
			const answer = await owner.post(path, { ...(last === undefined ? {} : { last, day }), reason: 'kept' });
			assert.equal(answer.status, 422, `${path} ${last} ${day}`);
			says(answer, [words, 'role="alert"', 'aria-invalid="true"', 'aria-describedby="day-fault"', 'href="#day"', 'value="kept"'],
				['<b>"']);
		}
	}
	assert.equal(await endOf(903), null);
});

test('X1, T4: what the database alone knows of a day or reason is told in words', async () => {
	const owner = await customer(904);
	const card = await owner.post('/leave/confirm', { last: '2026-12-31', reason: 'my card 4111 1111 1111 1111 was charged' });
	assert.equal(card.status, 422);
	says(card, ['number of a payment card', 'aria-describedby="reason-fault"', 'href="#reason"', 'value="2026-12-31" checked'],
		['aria-describedby="day-fault"']);
	// Another server's clock is ahead of this one's.
	await sql(`BEGIN; SET LOCAL kbilling.clock = '2027-01-01 09:00+00'; SELECT kbilling.kb_month_charge(904); COMMIT`);
	const charged = await owner.post('/leave/confirm', { last: '2026-12-31' });
	assert.equal(charged.status, 422);
	says(charged, ['charged already', 'aria-describedby="day-fault"']);
	assert.equal(await endOf(904), null);
	assert.equal((await owner.post('/leave/confirm', { last: 'other', day: '2027-01-01' })).status, 303);
});

test('X1: who may not end the contract, or comes too late, is told so, and ends nothing', async () => {
	await customer(905);
	const attempts = [['get', '/leave'], ['post', '/leave'], ['post', '/leave/confirm'], ['post', '/leave/cancel']];
	const table = [[905, 'andrii', 403, 'Only an owner of the account'], [905, 'emma', 403, 'This is for owners and admins'],
		[CHESS_CLUB, 'olha', 410, 'The account is deleted'], [THEATRE, 'olha', 409, 'Its last day has passed'],
		[THEATRE, 'andrii', 409, 'Its last day has passed'], [THEATRE, 'emma', 403, 'This is for owners and admins']];
	for (const [account, member, status, words] of table) {
		const browser = await Browser.of(app, account, member);
		const before = await endOf(account);
		for (const [method, path] of attempts) {
			const seen = await browser[method](path, method === 'post' ? { last: '2026-12-31' } : undefined);
			assert.equal(seen.status, status, `${account} ${member} ${path}`);
			says(seen, [words], ['$']);
		}
		assert.equal(await endOf(account), before);
	}
});

test('X1: what changes between two looks does no harm', async () => {
	const owner = await customer(906);
	await owner.post('/leave/confirm', { last: '2026-12-31' });
	const refusing = (name, code) => Object.assign(Object.create(database.app), {
		asMember: (who, work) => database.app.asMember(who, tx => work({
			query: (text, values) => (text.includes(name)
				? Promise.reject(Object.assign(new pg.DatabaseError('inner words', 11, 'error'), { code })) : tx.query(text, values)),
		})),
	});
	const table = [['kb_end_account', '/leave/confirm', '55000', 303], ['kb_continue_account', '/leave/cancel', '55000', 303],
		['kb_end_account', '/leave/confirm', 'KB004', 403], ['kb_continue_account', '/leave/cancel', 'KB004', 403],
		['kb_end_account', '/leave/confirm', '22008', 422], ['kb_end_account', '/leave/confirm', 'KB010', 410],
		['kb_end_account', '/leave/confirm', 'KB014', 503]];
	for (const [name, path, code, status] of table) {
		const browser = await Browser.of(appWith({ db: refusing(name, code) }), 906, 'olha');
		const answer = await browser.post(path, { last: '2027-01-31' });
		assert.equal(answer.status, status, `${path} ${code}`);
		says(answer, [], ['inner']);
	}
	assert.equal(await endOf(906), '2026-12-31');
	const both = await Promise.all([owner.post('/leave/cancel'), owner.post('/leave/cancel')]);
	assert.deepEqual(both.map(({ status }) => status), [303, 303]);
	assert.equal(await endOf(906), null);
});

test('the end is offered to owners at every stage: who is blocked can leave, too', async () => {
	await sql(`BEGIN; SET LOCAL kbilling.clock = '2026-11-10 09:00+00';
		SELECT kbilling.kb_create_account('olha', 'team', 907), kbilling.kb_adjust(907, '-90.00 USD', 'late-1', 'x'); COMMIT`);
	const owner = await Browser.of(app, 907, 'olha');
	says(await owner.get('/'), ['The account is blocked', '<a href="/leave">End the contract</a>']);
	says(await owner.get('/leave'), ['A debt stays to be paid', '<dt>Due</dt><dd>$90.00']);
	assert.equal((await owner.post('/leave/confirm', { last: '2026-12-31' })).status, 303);
	says(await owner.get('/'), ['The account is blocked', 'The contract ends on December 31, 2026', 'action="/leave/cancel"']);
});

test('X2: once the contract is over, the page says what is paid back, and asks for no more money', async () => {
	for (const member of ['olha', 'andrii']) {
		says(await page(THEATRE, member),
			['The contract ended on November 30, 2026', '$31.54 of what you paid is left', 'Charge for November 2026'],
			['action="/pay"', '/leave', 'Back to the application', '<dt>Tariff', 'The running month']);
	}
	says(await page(THEATRE, 'emma'), ['The contract ended on November 30, 2026', 'cannot be used any more'],
		['$', 'blocked', 'payment is missing', 'Back to the application', 'History']);
	assert.equal((await page(THEATRE, 'andrii', '/history')).status, 200);
});

test('X2: what is not settled yet: the last charge, a debt at each stage, bonus that is left, and all that is', async () => {
	await former(911, '50.00 USD', { isSwept: false });
	says(await page(911, 'olha'), ['The contract ended on December 2, 2026', 'is being charged', 'action="/pay"'], ['is paid back to you']);
	await former(912, null);
	says(await page(912, 'olha'), ['The contract ended on December 2, 2026', /\$\d+\.\d\d is due since December 1, 2026/, 'all is settled',
		'action="/pay"', 'pays what is due'], ['nothing changes for anybody', 'opens again', 'nothing is left to pay']);
	const blocked = await pageOn('2026-12-20T09:00+00', 912, 'olha');
	says(blocked, ['The contract ended on December 2, 2026', 'is due since', 'action="/pay"'],
		['everybody is back', 'can still be read here']);
	await sql(`SELECT kbilling.kb_apply_topup(912, amount_due, 'card', 'rest')
		FROM kbilling.account_status WHERE account_id = 912`);
	says(await page(912, 'olha'), ['All is settled: nothing is left to pay'], ['action="/pay"', 'is due']);
	await former(913, '300.00 USD');
	const bonus = await one('SELECT kbilling.kb_amount(unspent_bonus)::text FROM kbilling.account WHERE account_id = 913');
	says(await page(913, 'olha'), ['$300.00 of what you paid is left', `$${bonus} of the balance is bonus, which is not paid out`]);
});

test('X3: an account whose contract is over says why it will be deleted, and owners can put that off', async () => {
	await former(915, null);
	await sql("SELECT kbilling.kb_write_off(915, 'let-go', 'x')");
	await sql("SELECT kbilling.kb_schedule_closure(915, 'support', 'settled')");
	const owner = await Browser.of(app, 915, 'olha');
	says(await owner.get('/'), ['The account will be deleted on', 'The contract has ended. Until then', 'Put the deletion off'],
		['Nobody has used it', 'takes the balance above zero', 'works as before']);
	says(await page(915, 'emma'), ['The account will be deleted on', 'The contract ended on'], ['Put the deletion off', 'can keep it']);
	const { headers } = await owner.post('/closure/cancel');
	says(await owner.get(headers.get('location')), ['The deletion is put off.'], ['will not be deleted', 'will be deleted on']);
});

test('X1: in Ukrainian, from the form to the end that is taken back', async () => {
	const browser = await customer(908);
	await sql("SELECT kbilling.kb_set_contact(908, 'olha', 'o@example.com', 'uk')");
	says(await browser.get('/leave'), ['Завершити договір', '31 грудня 2026 р., кінець цього місяця', '5 грудня 2026 р., сьогодні']);
	says(await browser.post('/leave', { last: 'other', day: '' }), ['Введіть день, як-от 2026-12-05.']);
	says(await browser.post('/leave', { last: 'other', day: '2027-01-15' }), ['Завершити договір цього дня?', '15 січня 2027 р.']);
	await browser.post('/leave/confirm', { last: 'other', day: '2027-01-15' });
	says(await browser.get('/?done=ending'),
		['Готово: завершення договору призначено.', 'Останній день договору: 15 січня 2027 р.', 'Продовжити договір']);
	await browser.post('/leave/cancel');
	says(await browser.get('/?done=continued'), ['Договір діє далі']);
});

// ---------------------------------------------------------------------------
// What nobody gets
// ---------------------------------------------------------------------------

test('without a session there is nothing, on any page', async () => {
	for (const path of [...PAGES, '/nothing']) {
		const seen = await new Browser(app).get(path);
		assert.equal(seen.status, 401, path);
		says(seen, ['Please sign in', 'https://app.example/'], ['$', 'olha']);
	}
	for (const path of POSTS.filter(to => to !== '/logout')) {
		assert.equal((await new Browser(app).postAs(path, { amount: '5' }, { origin: ORIGIN })).status, 401, path);
	}
});

test('no id in an address or form shows another account', async () => {
	const browser = await Browser.of(app, BAKERY, 'olha');
	const own = plain((await browser.get('/')).text).replace(browser.csrf ?? '', '');
	const ids = 'account_id=9&account=9&accountId=9&member=emma&role=owner';
	assert.equal(plain((await browser.get(`/?${ids}`)).text), own);
	const last = await one('SELECT max(seq)::int FROM kbilling.entry WHERE account_id = $1', [BAKERY]);
	for (const path of [`/entries/${last + 1}`, `/entries/${last + 300}`, `/receipts/${last + 300}`, '/entries/0', '/entries/-1',
		'/entries/1.0', '/entries/9-1', '/receipts/9-1', '/entries/1%20OR%201=1', '/entries/999999999999999',
		'/entries/9999999999999999999', '/entries/NaN', '/history?before=0', '/history?before=x', '/history?before=1;--']) {
		const seen = await browser.get(path);
		assert.equal(seen.status, 404, path);
		says(seen, ['There is no such page'], ['UAH', '$']);
	}
	const before = await one('SELECT count(*)::int FROM kbilling.payment WHERE account_id = 9');
	await browser.post('/pay', { amount: '5.00', account_id: '9', accountId: '9', member: 'emma' });
	assert.equal(await one('SELECT count(*)::int FROM kbilling.payment WHERE account_id = 9'), before);
	assert.equal(await one('SELECT member FROM kbilling.payment WHERE account_id = 1 ORDER BY payment_id DESC LIMIT 1'), 'olha');
});

test('an employee gets to no page of money, and can neither pay nor keep the account', async () => {
	const browser = await Browser.of(app, BAKERY, 'emma');
	for (const path of ['/history', '/history?before=3', '/entries/1', '/receipts/1']) {
		const seen = await browser.get(path);
		assert.equal(seen.status, 403, path);
		says(seen, ['This is for owners and admins'], ['$']);
	}
	const payments = await one('SELECT count(*)::int FROM kbilling.payment');
	assert.equal((await browser.post('/pay', { amount: '5.00' })).status, 403);
	assert.equal(await one('SELECT count(*)::int FROM kbilling.payment'), payments);
	assert.equal((await (await Browser.of(app, CHOIR, 'emma')).post('/closure/cancel')).status, 403);
	assert.equal(await one('SELECT state::text FROM kbilling.account WHERE account_id = $1', [CHOIR]), 'closing');
});

test('a form that is not ours, or of another session, changes nothing', async () => {
	const browser = await Browser.of(app, CHOIR, 'olha');
	const other = await Browser.of(app, CHOIR, 'olha');
	const csrf = fieldOf((await browser.get('/')).text, 'csrf');
	const foreign = fieldOf((await other.get('/')).text, 'csrf');
	assert.notEqual(csrf, foreign);
	const cases = [[{}, { origin: ORIGIN }], [{ csrf: '' }, { origin: ORIGIN }], [{ csrf: foreign }, { origin: ORIGIN }],
		[{ csrf }, { origin: 'https://evil.example' }], [{ csrf }, { origin: 'null' }],
		[{ csrf }, { 'sec-fetch-site': 'cross-site' }],
		[{ csrf }, { origin: ORIGIN, 'content-type': 'application/json' }],
		[{ csrf }, { origin: ORIGIN, 'content-type': 'text/plain' }]];
	for (const path of POSTS) {
		for (const [fields, headers] of cases) {
			const refused = await browser.postAs(path, { amount: '5.00', last: '2026-12-31', ...fields }, headers);
			assert.equal(refused.status, 403, `${path} ${JSON.stringify([fields, headers])}`);
			says(refused, ['This form is too old']);
		}
	}
	assert.equal(await one('SELECT state::text FROM kbilling.account WHERE account_id = $1', [CHOIR]), 'closing');
	assert.equal(await one('SELECT count(*)::int FROM kbilling.payment WHERE account_id = $1', [CHOIR]), 0);
	assert.equal(await endOf(CHOIR), null);
	assert.equal((await browser.get('/')).status, 200, 'and nobody is signed out');
	for (const path of POSTS.filter(to => to !== '/leave')) {
		assert.notEqual((await browser.get(path)).status, 200, `GET ${path}`);
	}
	assert.equal(await one('SELECT state::text FROM kbilling.account WHERE account_id = $1', [CHOIR]), 'closing');
});

test('a form that cannot be read is none, and no fault of ours', async () => {
	const browser = await Browser.of(app, BAKERY, 'olha');
	const before = logged.length;
	for (const path of POSTS) {
		for (const type of ['multipart/form-data; boundary=x', 'multipart/form-data']) {
			const headers = { origin: ORIGIN, 'content-type': type };
			const seen = await browser.request(path, { method: 'POST', headers, body: 'no part of any form' });
			assert.equal(seen.status, 403, `${path} ${type}`);
			says(seen, ['This form is too old']);
		}
	}
	assert.equal(logged.length, before);
});

test('a form that is too large is not read', async () => {
	const browser = await Browser.of(app, BAKERY, 'olha');
	assert.equal((await browser.post('/pay', { amount: '5.00', other: 'x'.repeat(20000) })).status, 403);
});

test('what an address says was done is not believed against the account\'s state', async () => {
	says(await page(CHOIR, 'olha', '/?done=kept'), ['The account will be deleted on'], ['The account is kept']);
	says(await page(CHESS_CLUB, 'olha', '/?done=kept'), ['The account is deleted'], ['The account is kept']);
});

test('an admin keeps the account, once; what was too late does no harm', async () => {
	const browser = await Browser.of(app, CHOIR, 'andrii');
	for (let n = 0; n < 2; n++) {
		const answer = await browser.post('/closure/cancel');
		assert.equal(answer.headers.get('location'), '/?done=kept');
	}
	says(await browser.get('/?done=kept'), ['The account is kept'], ['will be deleted on']);
	assert.equal(await one('SELECT state::text FROM kbilling.account WHERE account_id = $1', [CHOIR]), 'active');
	says(await browser.get('/?done=problems'), [], ['class="done"']);
});

test('a forged or old session is none, and a member who is removed has none any more', async () => {
	const browser = await Browser.of(app, BAKERY, 'andrii');
	const [body, signature] = browser.cookie.split('=')[1].split('.');
	const payload = JSON.parse(Buffer.from(body, 'base64url'));
	const forged = Buffer.from(JSON.stringify({ ...payload, accountId: '9' })).toString('base64url');
	const old = new Browser(app);
	const token = loginToken(SECRET, { accountId: 1, member: 'olha' });
	for (const cookie of [`portal=${forged}.${signature}`, `portal=${body}.`, 'portal=x', `portal=${token}`]) {
		old.cookie = cookie;
		const seen = await old.get('/');
		assert.equal(seen.status, 401, cookie);
		says(seen, ['Your session has ended'], ['$']);
	}
	assert.equal((await Browser.of(app, 1, 'nobody')).cookie !== undefined, true);
	assert.equal((await page(1, 'nobody')).status, 401);
	assert.equal((await page(99, 'olha')).status, 401);
	await sql("SELECT kbilling.kb_add_member(1, 'ivan', 'admin')");
	const ivan = await Browser.of(app, 1, 'ivan');
	assert.equal((await ivan.get('/history')).status, 200);
	await sql("SELECT kbilling.kb_set_role(1, 'ivan', 'employee')");
	assert.equal((await ivan.get('/history')).status, 403, 'the role is that of now');
	await sql("SELECT kbilling.kb_remove_member(1, 'ivan')");
	assert.equal((await ivan.get('/')).status, 401);
});

test('signing out ends the session in this browser', async () => {
	const browser = await Browser.of(app, BAKERY, 'olha');
	says(await browser.post('/logout'), ['You are signed out'], ['$']);
	assert.equal(browser.cookie, undefined);
	assert.equal((await browser.get('/')).status, 401);
});

test('a member begins so many payments and no more; nobody else is kept from paying by that', async () => {
	const strict = appWith();
	const emma = await Browser.of(strict, BAKERY, 'emma');
	for (let n = 0; n < 12; n++) assert.equal((await emma.post('/pay', { amount: '5.00' })).status, 403, 'an employee has no say');
	const browser = await Browser.of(strict, BAKERY, 'olha');
	for (const other of ['x', '0', '1.234', '', '1,900', '999999999999999']) {
		for (let n = 0; n < 3; n++) assert.equal((await browser.post('/pay', { amount: 'other', other })).status, 422, other);
	}
	const statuses = [];
	for (let n = 0; n < 11; n++) statuses.push((await browser.post('/pay', { amount: '5.00' })).status);
	assert.deepEqual(statuses, [...Array(10).fill(303), 429]);
	const refused = await browser.post('/pay', { amount: '5.00' });
	assert.ok(Number(refused.headers.get('retry-after')) > 0);
	const admin = await Browser.of(strict, BAKERY, 'andrii');
	assert.equal((await admin.post('/pay', { amount: '5.00' })).status, 303, 'it is the member who is counted');
	const other = await Browser.of(strict, FLORIST, 'olha');
	assert.equal((await other.post('/pay', { amount: '5.00' })).status, 303, 'and of this account');
});

test('wrong tokens are tried so often and no more; good ones are always good, and cookies do not count', async () => {
	const strict = appWith();
	const old = new Browser(strict);
	old.cookie = 'portal=stale.cookie';
	for (let n = 0; n < 30; n++) assert.equal((await old.get('/')).status, 401);
	const stranger = new Browser(strict);
	for (let n = 0; n < 20; n++) assert.equal((await stranger.get('/login?token=wrong.token')).status, 400);
	const refused = await stranger.get('/login?token=wrong.token');
	assert.equal(refused.status, 429);
	assert.ok(Number(refused.headers.get('retry-after')) > 0);
	assert.equal((await (await Browser.of(strict, BAKERY, 'olha')).get('/')).status, 200, 'from the same address');
	const behind = appWith({ client: forwardedAddress('x-forwarded-for') });
	const tryFrom = from => new Browser(behind).get('/login?token=wrong.token', { 'x-forwarded-for': `10.0.0.1, ${from}` });
	for (let n = 0; n < 20; n++) await tryFrom('a');
	assert.equal((await tryFrom('a')).status, 429);
	assert.equal((await tryFrom('b')).status, 400, 'another address is counted by itself');
});

test('a token of the application is used once', async () => {
	const token = loginToken(SECRET, { accountId: BAKERY, member: 'olha' });
	const [first, second] = [new Browser(app), new Browser(app)];
	assert.equal((await first.get(`/login?token=${token}`)).status, 303);
	const again = await second.get(`/login?token=${token}`);
	assert.equal(again.status, 400);
	says(again, ['This link does not work']);
	assert.equal((await second.get('/')).status, 401);
	assert.equal((await first.get('/')).status, 200);
});

test('the role of the pages has no other rights', async () => {
	for (const statement of ['SELECT * FROM kbilling.entry', 'SELECT * FROM kbilling.member', 'SELECT * FROM kbilling.payment',
		"SELECT kbilling.kb_apply_topup(1, '5.00 USD', 'card', 'x')", "SELECT kbilling.kb_adjust(1, '5.00 USD', 'x', 'y')",
		"SELECT kbilling.kb_fail_topup(1, 1, 'x')"]) {
		await assert.rejects(database.app.query(statement), { code: '42501' }, statement);
	}
	await assert.rejects(database.app.transaction(async tx => {
		await tx.query('SELECT kbilling.kb_now()');
		await tx.query("SET kbilling.clock = '2030-01-01'");
	}), { code: '42501' });
	await assert.rejects(database.payments.query("SELECT kbilling.kb_portal(1, 'olha')"), { code: '42501' });
});

test('E4: each request acts for the session\'s member, in one transaction, and for nobody after that', async () => {
	const acted = [];
	const watching = Object.assign(Object.create(database.app), {
		asMember: (who, work) => database.app.asMember(who, async tx => {
			acted.push((await tx.query(`SELECT kbilling.kb_acting_account() AS account,
				kbilling.kb_acting_member() AS member`)).rows[0]);
			return work(tx);
		}),
	});
	const browser = await Browser.of(appWith({ db: watching }), FLORIST, 'andrii');
	for (const path of [...PAGES, '/month', '/leave']) {
		const before = acted.length;
		await browser.get(path);
		// Of a payment that was not begun, the database is not asked.
		assert.equal(acted.length - before, path.startsWith('/paid') ? 0 : 1, path);
	}
	for (const actor of acted) assert.deepEqual(actor, { account: '3', member: 'andrii' });
	assert.equal((await database.app.query('SELECT kbilling.kb_acting_member() AS member')).rows[0].member, null);
});

// ---------------------------------------------------------------------------
// What is told when something is wrong
// ---------------------------------------------------------------------------

test('without a database, a page says to come back, and nothing of what is inside', async () => {
	const db = new Database({ host: '/nowhere/at/all', user: 'portal_app', database: 'secret_name' });
	const seen = await (await Browser.of(appWith({ db }), BAKERY, 'olha')).get('/');
	assert.equal(seen.status, 503);
	assert.ok(Number(seen.headers.get('retry-after')) > 0);
	says(seen, ['This does not work right now'], ['nowhere', 'secret_name', 'ENOENT', 'portal_app', ' at ']);
	await db.end();
});

const WAITING = `SELECT pid FROM pg_stat_activity
	WHERE datname = current_database() AND usename = $1 AND wait_event_type = 'Lock'`;

test('a connection that is ended under a request takes nobody else with it', async () => {
	const other = new pg.Client({ database: database.name });
	await other.connect();
	const endedUnder = async (ask, waiting) => {
		await other.query('BEGIN');
		await other.query('LOCK TABLE kbilling.member');
		const asked = ask();
		// It may fail before it is waited for.
		asked.catch(() => {});
		let pids = [];
		while (pids.length === 0) pids = await sql(WAITING, [waiting]);
		await sql('SELECT pg_terminate_backend($1)', [pids[0].pid]);
		await other.query('COMMIT');
		return asked;
	};
	const browser = await Browser.of(app, BAKERY, 'olha');
	const seen = await endedUnder(() => browser.get('/'), 'portal_app');
	assert.equal(seen.status, 503);
	says(seen, ['This does not work right now']);
	await assert.rejects(endedUnder(() => database.app.query("SELECT kbilling.kb_portal(1, 'olha')"), 'portal_app'), { code: '57P01' });
	assert.equal((await browser.get('/')).status, 200);
	await other.end();
});

test('an error says by its state what to do, and by nothing else what it was', async () => {
	const raise = (code, message = 'inner words') => ({
		asMember: async () => Promise.reject(Object.assign(new pg.DatabaseError(message, message.length, 'error'),
			{ code, detail: 'inner detail', hint: 'inner hint' })),
	});
	const table = { KB003: 403, KB004: 403, KB010: 410, KB014: 503, '40001': 503, '55P03': 503, '57014': 503, '53300': 503,
		'25006': 503, '57P01': 503, '08006': 503, '42501': 500, '42883': 500, XX000: 500, KB001: 500, KB008: 500 };
	for (const [code, status] of Object.entries(table)) {
		const before = logged.length;
		const seen = await (await Browser.of(appWith({ db: raise(code) }), BAKERY, 'olha')).get('/');
		assert.equal(seen.status, status, code);
		says(seen, ['<h1>'], ['inner', code]);
		assert.equal(logged.length - before, status >= 500 ? 1 : 0, `${code} is told to whoever can put it right`);
	}
	const broken = { asMember: async () => Promise.reject(new TypeError('x is not a function')) };
	const seen = await (await Browser.of(appWith({ db: broken }), BAKERY, 'olha')).get('/');
	assert.equal(seen.status, 500);
	says(seen, ['Something is wrong on our side'], ['not a function', '.js']);
});

test('a transaction that loses to another is done again', async () => {
	let tries = 0;
	const raise = (tx, state) => tx.query('SELECT kbilling_internal.kb_raise($1, $2, NULL, NULL)', [state, 'too late']);
	const result = await database.app.transaction(async tx => {
		if (++tries < 3) await raise(tx, '40001');
		return (await tx.query('SELECT 1 AS one')).rows[0].one;
	});
	assert.deepEqual([result, tries], [1, 3]);
	await assert.rejects(database.app.transaction(tx => raise(tx, '40P01')), { code: '40P01' });
	await assert.rejects(database.app.transaction(async tx => {
		await tx.query('SELECT 1/0').catch(() => {});
	}), /rolled back/);
});

test('what people have written is shown as they have written it', async () => {
	await sql(`SELECT kbilling.kb_add_member(1, '<script>alert(1)</script>', 'admin'),
		kbilling.kb_adjust(1, '1.00 USD', 'memo-1', '<img src=x onerror=alert(1)>')`);
	const browser = await Browser.of(app, 1, '<script>alert(1)</script>');
	for (const path of ['/', '/history']) {
		says(await browser.get(path), ['&lt;script&gt;alert(1)&lt;/script&gt;', '&lt;img src=x onerror=alert(1)&gt;'],
			['<script', '<img']);
	}
});

// ---------------------------------------------------------------------------
// Every page
// ---------------------------------------------------------------------------

let pages;

/** Pages of every kind, by every kind of member, with and without success. */
async function everyPage() {
	if (pages) return pages;
	const seen = [];
	for (const [account, member] of [[1, 'olha'], [1, 'emma'], [2, 'olha'], [4, 'andrii'], [8, 'olha'], [9, 'olha'], [10, 'olha'],
		[11, 'olha'], [12, 'olha'], [12, 'emma'], [99, 'x']]) {
		const browser = await Browser.of(app, account, member);
		for (const path of [...PAGES, '/month', '/leave', '/nothing']) seen.push([`${account} ${member} ${path}`, await browser.get(path)]);
		if (account < 3) seen.push(['wrong amount', await browser.post('/pay', { amount: 'x' })]);
		seen.push(['wrong day', await browser.post('/leave', { last: 'x' })]);
		seen.push(['right day', await browser.post('/leave', { last: '2027-02-03', reason: 'too far' })]);
	}
	const paying = await Browser.of(app, 9, 'olha');
	await paying.post('/pay', { amount: 'other', other: '44' });
	seen.push(['paid', await paying.get(stub.returned().slice(ORIGIN.length))]);
	seen.push(['stranger', await new Browser(app).get('/')]);
	return (pages = seen);
}

test('every answer has the headers that keep others out', async () => {
	const webhook = await new Browser(app).postAs('/webhooks/stub', {}, {});
	for (const [name, { headers }] of [...await everyPage(), ['webhook', webhook]]) {
		assert.equal(headers.get('content-security-policy'), "default-src 'none'; style-src 'self'; img-src 'self'; "
			+ "form-action 'self' https://pay.example; base-uri 'none'; frame-ancestors 'none'", name);
		assert.equal(headers.get('x-content-type-options'), 'nosniff', name);
		assert.equal(headers.get('referrer-policy'), 'same-origin', name);
		assert.equal(headers.get('x-frame-options'), 'DENY', name);
		assert.equal(headers.get('cache-control'), 'no-store', name);
	}
	const style = await new Browser(app).get('/portal.css');
	assert.match(style.headers.get('content-type'), /^text\/css/);
	assert.equal(style.headers.get('x-content-type-options'), 'nosniff');
	const secure = appWith({ origin: 'https://billing.example' });
	assert.match((await new Browser(secure).get('/')).headers.get('strict-transport-security'), /max-age=\d{7}/);
});

test('no page needs a script, or has one, or a style of its own', async () => {
	for (const [name, { text }] of await everyPage()) {
		assert.doesNotMatch(text, /<script|<style|<[^>]*\s(?:style|on[a-z]+|http-equiv)=|javascript:/i, name);
	}
});

test('a page weighs less than 30 kB, with its style', async () => {
	const style = (await new Browser(app).get('/portal.css')).text;
	for (const [name, { text }] of await everyPage()) {
		const bytes = Buffer.byteLength(text) + Buffer.byteLength(style);
		assert.ok(bytes < 30000, `${name}: ${bytes}`);
	}
});

test('however long its lists are, an overview weighs less than 30 kB, and the rest is on a page of its own', async () => {
	const style = (await new Browser(app).get('/portal.css')).text;
	await sql(`SELECT kbilling.kb_create_tariff('wide', 'USD', 'Wide'), kbilling.kb_set_price('wide', 'base', '19.00')`);
	await sql(`SELECT kbilling.kb_create_service(s, 'recurring', 'seat', name => 'Service number ' || n),
		kbilling.kb_set_price('wide', s, '5.00 each')
		FROM generate_series(1, 60) AS n, format('wide_%s', n) AS s`);
	await sql("SELECT kbilling.kb_set_price('wide', 'messages', '0.05 each')");
	for (const [account, language, all] of [[803, 'en', 'All 61 lines'], [804, 'uk', 'Усі рядки: 61']]) {
		await sql("SELECT kbilling.kb_create_account('olha', 'wide', $1)", [account]);
		await sql("SELECT kbilling.kb_set_contact($1, 'olha', 'o@example.com', $2)", [account, language]);
		await sql("SELECT kbilling.kb_apply_topup($1, '3000.00 USD', 'card', 'w')", [account]);
		await sql("SELECT kbilling.kb_switch_on($1, format('wide_%s', n), 2) FROM generate_series(1, 60) AS n", [account]);
		await sql(`SELECT kbilling.kb_set_account_limit($1, 'messages', 100000, false)`, [account]);
		await sql(`SELECT kbilling.kb_hold_usage($1, 'messages', 20, 'h' || n, kbilling.kb_now() + interval '1 hour')
			FROM generate_series(1, 60) AS n`, [account]);
		const browser = await Browser.of(app, account, 'olha');
		const { text } = await browser.get('/');
		const bytes = Buffer.byteLength(text) + Buffer.byteLength(style);
		assert.ok(bytes < 30000, `${language}: ${bytes}`);
		assert.ok(text.includes(`<a href="/month">${all}</a>`), text);
		const whole = await browser.get('/month');
		assert.equal(whole.status, 200);
		assert.equal(whole.text.match(/class="how"/g).length, 61);
		assert.equal(whole.text.match(/Service number \d+ <small>/g).length, 60);
		assert.equal(whole.text.match(/<li>[^<]*: 20, /g).length, 60, 'and what is held');
	}
	assert.equal((await page(BARBER, 'emma', '/month')).status, 403);
	assert.doesNotMatch((await page(BAKERY, 'olha')).text, /href="\/month"/);
});

test('every page says its language, and what its tables, fields and places are', async () => {
	for (const [name, { text }] of await everyPage()) {
		assert.match(text, /^<!doctype html>\n<html lang="(en|uk)">/, name);
		assert.equal(text.match(/<h1>/g)?.length, 1, name);
		for (const landmark of ['<header>', '<main id="content">', '<footer>']) assert.ok(text.includes(landmark), name);
		for (const [, head] of text.matchAll(/<table[^>]*>([\s\S]*?)<\/thead>/g)) {
			assert.match(head, /^<caption>[^<]+<\/caption>/, name);
			assert.doesNotMatch(head, /<th>/, name);
		}
		const ids = [...text.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id);
		assert.equal(new Set(ids).size, ids.length, `${name}: ${ids}`);
		for (const [, points] of text.matchAll(/\s(?:aria-labelledby|aria-describedby|for)="([^"]*)"/g)) {
			for (const id of points.split(' ')) assert.ok(ids.includes(id), `${name}: ${id}`);
		}
		assert.doesNotMatch(text, /undefined|null|\[object|NaN|Invalid/, name);
	}
});

test('what is left to spend: what is available, a limit as a bar, a hold, and a purchase', async () => {
	await sql(`SELECT kbilling.kb_create_account('nina', 'team', 701), kbilling.kb_add_member(701, 'ed', 'employee'),
		kbilling.kb_create_service('setup', 'one_off', name => 'Setup'), kbilling.kb_set_price('team', 'setup', '15.00')`);
	says(await page(701, 'nina'), [], ['Left to spend']);
	await sql(`SELECT kbilling.kb_apply_topup(701, '100.00 USD', 'card', 'p'), kbilling.kb_set_account_credit_line(701, '5 USD'),
		kbilling.kb_set_account_limit(701, 'messages', 1000, false), kbilling.kb_record_usage(701, 'messages', 40, 'k'),
		kbilling.kb_hold_usage(701, 'messages', 20, 'h', kbilling.kb_now() + interval '1 hour')`);
	const seq = await one("SELECT kbilling.kb_buy(701, 'setup', 1, 'b', 'nina')");
	const available = await one('SELECT kbilling.kb_amount(kbilling.kb_available(701))::text');
	const seen = await page(701, 'nina');
	says(seen, ['Left to spend', `$${available}`, 'Messages: 60 of 1,000 used this month', 'charged as usual', 'Messages: 20, until',
		'Purchase']);
	assert.match(seen.text, /<meter id="limit-0" min="0" max="1000" value="60"><\/meter>/);
	says(await page(701, 'ed'), [], ['Left to spend', '<meter']);
	says(await page(701, 'nina', `/entries/${seq}`), ['Purchase', 'Setup', '-$15.00', '15.00 USD once']);
});
