/*
 * LiqPay: its form, its signatures, its callbacks, and its API, which is played by a server here.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createLiqpay, sign } from '../payments/liqpay.js';
import { BadSignature } from '../payments/provider.js';
import { reconcile } from '../payments/reconcile.js';
import { webhookRoutes } from '../payments/webhook.js';
import { openBooks } from './books.js';

const KEYS = { publicKey: 'i00000001', privateKey: 'a4825234f4bae72a0be04eafe9e8e2bada209255' };
const CALLBACK = 'https://billing.example.com/webhooks/liqpay';

/* What LiqPay says of a payment, by its name. */
const known = new Map();
let status = 200;
let server;
let books;

before(async () => {
	books = await openBooks('liqpay');
	server = createServer(answer).listen(0, '127.0.0.1');
	await new Promise(resolve => server.once('listening', resolve));
});
beforeEach(() => {
	known.clear();
	status = 200;
});
after(async () => {
	await books.end();
	server.closeAllConnections?.();
	server.close();
});

async function answer(request, response) {
	const chunks = [];
	for await (const chunk of request) chunks.push(chunk);
	const form = new URLSearchParams(Buffer.concat(chunks).toString());
	assert.equal(request.url, '/api/request');
	assert.equal(form.get('signature'), sign(KEYS.privateKey, form.get('data')));
	const asked = JSON.parse(Buffer.from(form.get('data'), 'base64'));
	assert.deepEqual([asked.action, asked.version, asked.public_key], ['status', 3, KEYS.publicKey]);
	response.writeHead(status, { 'content-type': 'application/json' });
	response.end(JSON.stringify(known.get(asked.order_id)
		?? { result: 'error', status: 'error', err_code: 'payment_not_found', err_description: 'Payment not found' }));
}

const provider = changes => createLiqpay({
	...KEYS, callbackUrl: CALLBACK, api: server ? `http://127.0.0.1:${server.address().port}` : undefined, ...changes,
});

/** What LiqPay says of a payment that was paid. */
function content(changes = {}) {
	return {
		action: 'pay', payment_id: 2456789012345678, status: 'success', version: 3, type: 'buy', paytype: 'card',
		public_key: KEYS.publicKey, acq_id: 414963, order_id: 'kbilling-7-3:50:USD', liqpay_order_id: 'ABCD1234',
		description: 'Account 7', sender_card_mask2: '424242*42', sender_commission: 0, receiver_commission: 1.38,
		amount: 50, currency: 'USD', amount_debit: 50, currency_debit: 'USD', amount_credit: 50, currency_credit: 'USD',
		is_3ds: true, create_date: 1796000000000, end_date: 1796000001000, transaction_id: 2456789012345678, ...changes,
	};
}

function callback(body, privateKey = KEYS.privateKey) {
	const data = Buffer.from(JSON.stringify(body)).toString('base64');
	return new URLSearchParams({ data, signature: sign(privateKey, data) }).toString();
}

const reportsOf = (body, changes) => provider(changes).verify({}, Buffer.from(callback(body)));

describe('a signature', () => {
	it('is base64(sha1(private key + data + private key))', () => {
		// printf %s "$key$data$key" | openssl dgst -binary -sha1 | base64
		assert.equal(sign('a4825234f4bae72a0be04eafe9e8e2bada209255', 'eyJ2ZXJzaW9uIjozfQ=='), 'BXwdvwYPnvPgqCJY4mDoIUClnO0=');
	});

	it('is LiqPay\'s, of this data', async () => {
		const refuses = body => assert.rejects(provider().verify({}, Buffer.from(body)), BadSignature);
		await refuses(callback(content(), 'of somebody else'));
		await refuses('');
		await refuses('data=e30%3D');
		await refuses(callback(content()).replace('data=', 'data=x'));
	});

	it('of the form, which passes through the browser, is no callback\'s', async () => {
		const { fields } = await provider().begin({
			accountId: '7', paymentId: '3', amount: { amount: '50.00', currency: 'USD' }, returnUrl: 'https://example.com',
			description: 'x',
		});
		assert.deepEqual(await provider().verify({}, Buffer.from(new URLSearchParams(fields).toString())), []);
	});
});

describe('the form', () => {
	const payment = {
		accountId: '7', paymentId: '3', amount: { amount: '50.00', currency: 'USD' }, language: 'uk', returnUrl: 'https://example.com/paid',
		description: 'Рахунок 7',
	};
	const read = fields => JSON.parse(Buffer.from(fields.data, 'base64').toString());

	it('says what is to be paid, and where that is to be told', async () => {
		const { action, fields } = await createLiqpay({ ...KEYS, callbackUrl: CALLBACK }).begin(payment);
		assert.equal(action, 'https://www.liqpay.ua/api/3/checkout');
		assert.equal(fields.signature, sign(KEYS.privateKey, fields.data));
		assert.deepEqual(read(fields), {
			version: 3, public_key: KEYS.publicKey, action: 'pay', amount: 50, currency: 'USD', description: 'Рахунок 7',
			order_id: 'kbilling-7-3:50:USD', result_url: 'https://example.com/paid', server_url: CALLBACK, language: 'uk',
		});
	});

	it('charges in another currency, if it is to', async () => {
		const { fields } = await provider({ charge: () => ({ amount: '2062.50', currency: 'UAH' }) }).begin({ ...payment, language: 'de' });
		const { amount, currency, order_id: order, language } = read(fields);
		assert.deepEqual([amount, currency, order, language], [2062.5, 'UAH', 'kbilling-7-3:50:USD', undefined]);
	});
});

describe('a callback', () => {
	const paid = {
		kind: 'paid', accountId: '7', paymentId: '3', reference: '2456789012345678', amount: '50 USD', paid: null, method: 'card',
	};

	it('of a payment that was paid is one, by its method', async () => {
		assert.deepEqual(await reportsOf(content()), [paid]);
		assert.deepEqual(await reportsOf(content({ status: 'wait_compensation' })), [paid]);
		for (const [paytype, method] of [['apay', 'apple_pay'], ['gpay', 'google_pay'], ['privat24', 'bank_transfer'], ['other', 'card']])
			assert.deepEqual(await reportsOf(content({ paytype })), [{ ...paid, method }]);
		assert.deepEqual(await reportsOf(content({ paytype: 'cash' }), { methods: { cash: 'terminal' } }),
			[{ ...paid, method: 'terminal' }]);
	});

	it('keeps what was debited, if it is not the amount', async () => {
		assert.deepEqual(await reportsOf(content({ amount_debit: 2062.5, currency_debit: 'UAH' })), [{ ...paid, paid: '2062.5 UAH' }]);
		assert.deepEqual(await reportsOf(content({ amount_debit: 0 })), [paid]);
	});

	it('in another currency than was asked for credits what was asked for', async () => {
		assert.deepEqual(await reportsOf(content({ amount: 2062.5, currency: 'UAH', amount_debit: 2062.5, currency_debit: 'UAH' })),
			[{ ...paid, paid: '2062.5 UAH' }]);
	});

	it('of a failure says why', async () => {
		const failed = { kind: 'failed', accountId: '7', paymentId: '3' };
		assert.deepEqual(await reportsOf(content({ status: 'failure', err_code: 'limit', err_description: 'Limit exceeded' })),
			[{ ...failed, failure: 'limit: Limit exceeded' }]);
		assert.deepEqual(await reportsOf(content({ status: 'error' })), [{ ...failed, failure: 'declined' }]);
		assert.deepEqual(await reportsOf(content({ status: 'sandbox' })), [{ ...failed, failure: 'test_payment' }]);
		assert.deepEqual(await reportsOf(content({ status: 'sandbox' }), { sandbox: true }), [paid]);
	});

	it('of what went back says how much, all together', async () => {
		const back = {
			kind: 'refunded_total', accountId: '7', topupReference: '2456789012345678', amount: '50 USD',
			reference: '2456789012345678refunded50',
		};
		assert.deepEqual(await reportsOf(content({ status: 'reversed' })), [back]);
		assert.deepEqual(await reportsOf(content({ status: 'reversed', refund_amount: 12.5 })),
			[{ ...back, amount: '12.5 USD', reference: '2456789012345678refunded12and5' }]);
		assert.deepEqual(await reportsOf(content({ refund_amount: 50 })), [paid, back]);
	});

	it('of what is on its way says nothing', async () => {
		for (const each of ['3ds_verify', 'otp_verify', 'processing', 'prepared', 'wait_secure', 'wait_accept', 'invoice_wait',
			'cash_wait', 'hold_wait', 'subscribed', undefined])
			assert.deepEqual(await reportsOf(content({ status: each })), [], each);
	});

	it('of another shop, service or order is none of ours', async () => {
		assert.deepEqual(await reportsOf(content({ public_key: 'i00000002' })), []);
		for (const order of ['shop-7-3:50:USD', 'kbilling-7-3', 'kbilling-7:50:USD', '17', undefined])
			assert.deepEqual(await reportsOf(content({ order_id: order })), [], order);
	});
});

describe('LiqPay\'s story', () => {
	let alerts = [];

	async function take(body) {
		alerts = [];
		const app = webhookRoutes({ db: books.db, provider: provider(), alert: what => alerts.push(what) });
		return (await app.request('/liqpay', { method: 'POST', body: callback(body) })).status;
	}

	/** A payment that was begun, and what LiqPay says of it. */
	let ids = 4111111111111111;
	async function begun() {
		const payment = await books.begin(await books.account());
		const same = { order_id: `kbilling-${payment.accountId}-${payment.paymentId}:50:USD`, payment_id: ids++ };
		return [payment, changes => content({ ...same, ...changes })];
	}

	it('is booked, with ids that look like card numbers', async () => {
		const [payment, said] = await begun();
		const answers = [];
		for (const changes of [
			{ status: 'processing' }, { status: 'failure', err_code: 'limit' }, { status: 'wait_compensation' }, {}, {},
			{ status: 'reversed', refund_amount: 20 }, { status: 'reversed', refund_amount: 12.5 },
			{ status: 'reversed', refund_amount: 50 }, { status: 'reversed' }, { status: 'failure' },
		])
			answers.push(await take(said(changes)));
		assert.deepEqual([...new Set(answers)], [200]);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD, refund -20.00 USD, refund -30.00 USD');
		assert.match(await books.status(payment), /^settled/);
		await books.check();
	});

	it('in hryvnias, for an account in dollars, goes back to the last cent (T8)', async () => {
		const [payment, said] = await begun();
		const uah = { amount: 2062.5, currency: 'UAH', amount_debit: 2062.5, currency_debit: 'UAH' };
		const back = { status: 'reversed' };
		for (const changes of [{}, { ...back, refund_amount: 687.5 }, { ...back, refund_amount: 1375 }, back])
			assert.equal(await take(said({ ...uah, ...changes })), 200);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD of 2062.50 UAH, refund -16.67 USD of -687.50 UAH, '
			+ 'refund -16.66 USD of -687.50 UAH, refund -16.67 USD of -687.50 UAH');
		await books.check();
	});

	it('is booked by the first word on how it was paid (T9)', async () => {
		const [payment, said] = await begun();
		const later = [{ amount_debit: 2062.5, currency_debit: 'UAH' }, { paytype: 'gpay' }, { paytype: 'gpay', amount_debit: 2062.5 }];
		assert.equal(await take(said({ status: 'wait_compensation' })), 200);
		for (const changes of later) assert.deepEqual([await take(said(changes)), alerts], [200, []]);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD');
		assert.equal(await take(said({ amount: 51 })), 500);
		await books.check();
	});

	it('of a refund is found by the reconciliation, though its callback was lost', async () => {
		const [payment, said] = await begun();
		assert.equal(await take(said()), 200);
		const { order_id: order } = said();
		const { find, ...rest } = provider();
		const mine = { ...rest, find: async row => (row.accountId === payment.accountId ? find(row) : []) };
		const run = options => reconcile({ db: books.db, olderThan: '0', provider: mine, alert: what => alerts.push(what), ...options });
		const entries = () => books.entries(payment.accountId);
		// what is said again of how it was paid is no news
		known.set(order, said({ refund_amount: 20, paytype: 'gpay' }));
		await run({ settled: '0' });
		assert.equal(await entries(), 'topup 50.00 USD');
		for (const changes of [{ refund_amount: 20 }, { status: 'reversed' }, { status: 'reversed' }]) {
			known.set(order, said(changes));
			assert.equal((await run()).failures, 0);
		}
		assert.equal(await entries(), 'topup 50.00 USD, refund -20.00 USD, refund -30.00 USD');
		assert.deepEqual(alerts, []);
		await books.check();
	});

	it('that begins with the end is left to somebody', async () => {
		const [payment, said] = await begun();
		assert.equal(await take(said({ status: 'reversed' })), 500);
		assert.deepEqual(alerts.map(({ error }) => error.code), ['22023']);
		assert.equal(await books.entries(payment.accountId), '');
	});

	it('is found by the reconciliation', async () => {
		const [[paid, saidPaid], [failed, saidFailed], [back, saidBack], [partly, saidPartly], [none], [odd]] =
			[await begun(), await begun(), await begun(), await begun(), await begun(), await begun()];
		for (const said of [saidPaid(), saidFailed({ status: 'failure', err_code: 'limit' }), saidBack({ status: 'reversed' }),
			saidPartly({ refund_amount: 20 })])
			known.set(said.order_id, said);
		known.set(`kbilling-${odd.accountId}-${odd.paymentId}:50:USD`, { result: 'error', err_code: 'err_access' });
		const mine = new Set([paid, failed, back, partly, none, odd].map(({ accountId }) => accountId));
		const { find, ...rest } = provider();
		const run = () => reconcile({
			db: books.db, olderThan: '0', alert: what => alerts.push(what),
			provider: { ...rest, find: async payment => (mine.has(payment.accountId) ? find(payment) : []) },
		});
		alerts = [];
		assert.equal((await run()).failures, 1);
		assert.deepEqual(alerts.map(({ error }) => error.message), ['LiqPay knows no status: err_access']);
		assert.equal(await books.status(paid), 'settled');
		assert.equal(await books.status(failed), 'failed: limit');
		assert.equal(await books.status(back), 'failed: reversed');
		assert.equal(await books.entries(partly.accountId), 'topup 50.00 USD, refund -20.00 USD');
		assert.equal(await books.status(none), 'pending');
		status = 503;
		assert.ok((await run()).failures > 0);
		await books.check();
	});
});
