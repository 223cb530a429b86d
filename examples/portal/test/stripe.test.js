/*
 * Stripe: its amounts, its signatures, and its events in the shapes that it publishes. Its API is played by a server here,
 * which keeps what is asked for.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';
import Stripe from 'stripe';
import { BadSignature } from '../payments/provider.js';
import { reconcile } from '../payments/reconcile.js';
import { createStripe, EVENTS, fromStripe, toStripe } from '../payments/stripe.js';
import { webhookRoutes } from '../payments/webhook.js';
import { openBooks } from './books.js';

const WEBHOOK_SECRET = 'whsec_test';
const stripe = new Stripe('sk_test_1');

/* What Stripe has: intents, sessions, refunds, disputes and events, by id. */
const network = { objects: new Map(), requests: [], fail: 0, refuse: null };
let server;
let options;
let books;

before(async () => {
	books = await openBooks('stripe');
	server = createServer(answer).listen(0, '127.0.0.1');
	await new Promise(resolve => server.once('listening', resolve));
	options = {
		secretKey: 'sk_test_1', webhookSecret: WEBHOOK_SECRET,
		api: { host: '127.0.0.1', port: server.address().port, protocol: 'http', maxNetworkRetries: 0 },
	};
});
beforeEach(() => {
	network.objects.clear();
	network.requests = [];
	network.fail = 0;
	network.refuse = null;
});
after(async () => {
	await books.end();
	server.closeAllConnections?.();
	server.close();
});

/* GET of one, with what is expanded in place; GET of a list by its conditions; POST of a session. */
async function answer(request, response) {
	const chunks = [];
	for await (const chunk of request) chunks.push(chunk);
	const url = new URL(request.url, 'http://localhost');
	const body = new URLSearchParams(Buffer.concat(chunks).toString());
	network.requests.push({ method: request.method, path: url.pathname, query: url.searchParams, body, headers: request.headers });
	const [status, content] = network.fail > 0 ? [network.fail, { error: { type: 'api_error', message: 'not now' } }]
		: network.refuse ? [400, { error: { type: 'invalid_request_error', code: network.refuse, message: 'not so' } }]
		: request.method === 'POST' ? [200, create(body)] : read(url);
	response.writeHead(status, { 'content-type': 'application/json' });
	response.end(JSON.stringify(content));
}

function create(body) {
	assert.ok(body.get('line_items[0][price_data][unit_amount]') > 0);
	return { id: 'cs_test_1', object: 'checkout.session', url: 'https://checkout.stripe.com/c/pay/cs_test_1' };
}

const LISTS = {
	'/v1/checkout/sessions': 'checkout.session', '/v1/refunds': 'refund', '/v1/disputes': 'dispute', '/v1/events': 'event',
};

function read({ pathname, searchParams }) {
	if (LISTS[pathname]) return [200, list(LISTS[pathname], searchParams)];
	const found = network.objects.get(pathname.split('/').at(-1));
	if (!found) return [404, { error: { type: 'invalid_request_error', message: 'No such thing' } }];
	const expanded = { ...found };
	for (const [key, value] of searchParams) if (/^expand/.test(key)) expanded[value] = network.objects.get(found[value]);
	return [200, expanded];
}

/* The newest first, a page at a time, as Stripe does. */
function list(object, query) {
	const within = ({ created = 0 }) =>
		created >= Number(query.get('created[gte]') ?? 0) && created <= Number(query.get('created[lte]') ?? Infinity);
	const found = [...network.objects.values()].reverse().filter(each => each.object === object && within(each)
		&& (!query.has('payment_intent') || each.payment_intent === query.get('payment_intent')));
	const from = query.has('starting_after') ? found.findIndex(({ id }) => id === query.get('starting_after')) + 1 : 0;
	const size = Math.min(Number(query.get('limit')), 2);
	return { object: 'list', data: found.slice(from, from + size), has_more: found.length > from + size, url: '/v1' };
}

const provider = changes => createStripe({ ...options, ...changes });

let count = 0;
/** An event, as Stripe sends it. */
function event(type, object, previous) {
	return {
		id: `evt_${++count}`, object: 'event', api_version: '2025-08-27.basil', created: Math.floor(Date.now() / 1000), type,
		livemode: false, pending_webhooks: 1, request: { id: null, idempotency_key: null },
		data: { object, ...(previous ? { previous_attributes: previous } : {}) },
	};
}

function signed(content, secret = WEBHOOK_SECRET, timestamp = Math.floor(Date.now() / 1000)) {
	const payload = JSON.stringify(content);
	return { headers: { 'stripe-signature': stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp }) }, body: payload };
}

/** What a provider makes of an event. */
function reportsOf(content, changes) {
	const { headers, body } = signed(content);
	return provider(changes).verify(headers, Buffer.from(body));
}

/** A checkout with its intent and charge, as Stripe has them when it was paid. */
function checkout({ accountId = '7', paymentId = '3' } = {}, changes = {}) {
	const order = `kbilling-${accountId}-${paymentId}`;
	const { amount = 5000, currency = 'usd', method = { type: 'card', card: { wallet: null } }, ...rest } = changes;
	const metadata = { service: 'kbilling', order, amount: '50.00 USD' };
	const n = ++count;
	const [intent, charge] = [`pi_3Q${n}x`, `ch_3Q${n}x`];
	network.objects.set(charge, { id: charge, object: 'charge', payment_method_details: method });
	network.objects.set(intent, {
		id: intent, object: 'payment_intent', amount, amount_received: amount, currency, latest_charge: charge, metadata,
		status: 'succeeded', last_payment_error: null,
	});
	const session = {
		id: `cs_test_${n}x`, object: 'checkout.session', amount_total: amount, currency, client_reference_id: order, metadata,
		mode: 'payment', payment_intent: intent, payment_status: 'paid', status: 'complete', presentment_details: null,
		created: Math.floor(Date.now() / 1000), ...rest,
	};
	network.objects.set(session.id, session);
	return session;
}

function refundOf(session, changes) {
	const refund = {
		id: `re_3Q${++count}x`, object: 'refund', amount: 1000, currency: session.currency, payment_intent: session.payment_intent,
		charge: network.objects.get(session.payment_intent).latest_charge, metadata: {}, reason: null, status: 'succeeded', ...changes,
	};
	network.objects.set(refund.id, refund);
	return refund;
}

function disputeOf(session, changes = {}) {
	const { moved = [], ...rest } = changes;
	const dispute = {
		id: `du_1Q${++count}x`, object: 'dispute', amount: session.amount_total, currency: session.currency,
		payment_intent: session.payment_intent, charge: network.objects.get(session.payment_intent).latest_charge,
		metadata: {}, reason: 'fraudulent', status: 'needs_response',
		balance_transactions: moved.map(amount =>
			({ id: `txn_${++count}`, object: 'balance_transaction', amount, currency: 'eur', fee: 1500 })),
		...rest,
	};
	network.objects.set(dispute.id, dispute);
	return dispute;
}

describe('an amount of Stripe\'s', () => {
	it('is an integer of the currency\'s smallest unit, as Stripe counts it', () => {
		for (const [amount, currency, units] of [
			['19.00', 'USD', 1900], ['19', 'USD', 1900], ['0.5', 'UAH', 50], ['1500', 'JPY', 1500], ['1500', 'KRW', 1500],
			['7.250', 'KWD', 7250], ['7.25', 'BHD', 7250],
			['5', 'ISK', 500], ['5', 'UGX', 500], ['12', 'MGA', 12], ['12.00', 'MGA', 12], ['100.00', 'HUF', 10000],
			['90071992547409.91', 'USD', Number.MAX_SAFE_INTEGER],
		]) {
			assert.equal(toStripe({ amount, currency }), units, `${amount} ${currency}`);
			const [text, code] = fromStripe(units, currency.toLowerCase()).split(' ');
			assert.deepEqual([Number(text), code], [Number(amount), currency]);
		}
	});

	it('has the decimals that kbilling reads', async () => {
		for (const currency of ['USD', 'JPY', 'KWD', 'ISK', 'UGX', 'MGA', 'HUF', 'TWD', 'CLP', 'XPF', 'VND'])
			assert.ok(await books.value('SELECT kbilling.kb_amount($1::kbilling.kb_money) > 0', [fromStripe(12300, currency)]));
	});

	it('is refused if Stripe cannot charge it, and never rounded', () => {
		for (const [amount, currency] of [
			['19.001', 'USD'], ['1500.5', 'JPY'], ['7.255', 'KWD'], ['12.50', 'MGA'], ['5.50', 'ISK'], ['-1', 'USD'], ['1e3', 'USD'],
			['', 'USD'], ['90071992547409.92', 'USD'],
		])
			assert.throws(() => toStripe({ amount, currency }), RangeError, `${amount} ${currency}`);
		for (const units of [-1, 0.5, NaN, '5', undefined]) assert.throws(() => fromStripe(units, 'usd'), RangeError);
	});
});

describe('a checkout', () => {
	const payment = {
		accountId: '7', paymentId: '3', amount: { amount: '50.00', currency: 'USD' }, language: 'de',
		returnUrl: 'https://example.com/paid?payment=3', description: 'Account 7',
	};

	it('is begun with the account, the payment and the amount', async () => {
		assert.deepEqual(await provider().begin(payment), { url: 'https://checkout.stripe.com/c/pay/cs_test_1' });
		const [{ method, path, body, headers }] = network.requests;
		assert.deepEqual([method, path, headers['idempotency-key']], ['POST', '/v1/checkout/sessions', 'kbilling-7-3']);
		assert.deepEqual(Object.fromEntries(body), {
			mode: 'payment', client_reference_id: 'kbilling-7-3', locale: 'de',
			success_url: payment.returnUrl, cancel_url: payment.returnUrl,
			'line_items[0][quantity]': '1', 'line_items[0][price_data][currency]': 'usd',
			'line_items[0][price_data][unit_amount]': '5000',
			'line_items[0][price_data][product_data][name]': 'Account 7',
			'metadata[service]': 'kbilling', 'metadata[order]': 'kbilling-7-3', 'metadata[amount]': '50.00 USD',
			'payment_intent_data[metadata][service]': 'kbilling', 'payment_intent_data[metadata][order]': 'kbilling-7-3',
			'payment_intent_data[metadata][amount]': '50.00 USD',
		});
	});

	it('that is left without a payment leads elsewhere, if it is to', async () => {
		await provider().begin({ ...payment, cancelUrl: 'https://example.com/#pay' });
		const { body } = network.requests[0];
		assert.deepEqual([body.get('success_url'), body.get('cancel_url')], [payment.returnUrl, 'https://example.com/#pay']);
	});

	it('is in the customer\'s language, if Stripe has it', async () => {
		await provider().begin({ ...payment, language: 'uk' });
		assert.equal(network.requests[0].body.get('locale'), 'auto');
	});

	it('charges in another currency, if it is to', async () => {
		await provider({ charge: () => ({ amount: '2062.50', currency: 'UAH' }) }).begin(payment);
		const { body } = network.requests[0];
		assert.equal(body.get('line_items[0][price_data][currency]'), 'uah');
		assert.equal(body.get('line_items[0][price_data][unit_amount]'), '206250');
		assert.equal(body.get('metadata[amount]'), '50.00 USD');
	});

	it('is not begun if Stripe says no', async () => {
		network.fail = 402;
		await assert.rejects(provider().begin(payment), { message: 'not now' });
		await assert.rejects(provider().begin({ ...payment, amount: { amount: '0.001', currency: 'USD' } }), RangeError);
	});

	it('of less or more than Stripe takes is an amount that is out of range', async () => {
		for (const code of ['amount_too_small', 'amount_too_large']) {
			network.refuse = code;
			await assert.rejects(provider().begin(payment), { name: 'RangeError', message: 'not so' }, code);
		}
		network.refuse = 'parameter_invalid_empty';
		await assert.rejects(provider().begin(payment), { type: 'StripeInvalidRequestError' });
	});
});

describe('a signature', () => {
	const content = event('checkout.session.expired', { id: 'cs_1', object: 'checkout.session', metadata: {} });
	const refuses = (headers, body) => assert.rejects(provider().verify(headers, Buffer.from(body)), BadSignature);

	it('is that of Stripe, of these bytes, and not old', async () => {
		const { headers, body } = signed(content);
		assert.deepEqual(await provider().verify(headers, Buffer.from(body)), []);
		await refuses(headers, `${body} `);
		await refuses({}, body);
		await refuses({ 'stripe-signature': 't=1,v1=00' }, body);
		await refuses(signed(content, 'whsec_other').headers, body);
		await refuses(signed(content, WEBHOOK_SECRET, Math.floor(Date.now() / 1000) - 3600).headers, body);
	});
});

describe('an event', () => {
	it('of a checkout that was paid is a payment, by its method', async () => {
		for (const [method, name] of [
			[{ type: 'card', card: { wallet: null } }, 'card'], [{ type: 'card', card: { wallet: { type: 'apple_pay' } } }, 'apple_pay'],
			[{ type: 'card', card: { wallet: { type: 'google_pay' } } }, 'google_pay'], [{ type: 'sepa_debit' }, 'bank_transfer'],
			[{ type: 'card', card: { wallet: { type: 'link' } } }, 'card'], [{ type: 'klarna' }, 'card'],
		]) {
			const session = checkout({}, { method });
			assert.deepEqual(await reportsOf(event('checkout.session.completed', session)), [{
				kind: 'paid', accountId: '7', paymentId: '3', reference: session.payment_intent, amount: '50.00 USD', paid: null,
				method: name,
			}]);
		}
		const [{ method }] = await reportsOf(event('checkout.session.completed', checkout({}, { method: { type: 'klarna' } })),
			{ methods: { klarna: 'klarna' } });
		assert.equal(method, 'klarna');
	});

	it('of one that is not paid yet says nothing, until it is', async () => {
		const session = checkout({}, { payment_status: 'unpaid' });
		assert.deepEqual(await reportsOf(event('checkout.session.completed', session)), []);
		const [{ kind }] = await reportsOf(event('checkout.session.async_payment_succeeded', { ...session, payment_status: 'paid' }));
		assert.equal(kind, 'paid');
	});

	it('of one in another currency credits what was asked for, and keeps what was charged', async () => {
		const [{ amount, paid }] = await reportsOf(event('checkout.session.completed', checkout({}, { amount: 206250, currency: 'uah' })));
		assert.deepEqual([amount, paid], ['50.00 USD', '2062.50 UAH']);
		const shown = checkout({}, { presentment_details: { presentment_amount: 4600, presentment_currency: 'eur' } });
		const [report] = await reportsOf(event('checkout.session.completed', shown));
		assert.deepEqual([report.amount, report.paid], ['50.00 USD', '46.00 EUR']);
	});

	it('of a declined card or an expired checkout is a failure', async () => {
		const session = checkout({}, { payment_status: 'unpaid', status: 'expired' });
		const intent = { ...network.objects.get(session.payment_intent), last_payment_error: { message: 'Your card was declined.' } };
		const failure = { kind: 'failed', accountId: '7', paymentId: '3' };
		assert.deepEqual(await reportsOf(event('payment_intent.payment_failed', intent)),
			[{ ...failure, failure: 'Your card was declined.' }]);
		assert.deepEqual(await reportsOf(event('payment_intent.payment_failed', { ...intent, last_payment_error: null })),
			[{ ...failure, failure: 'declined' }]);
		assert.deepEqual(await reportsOf(event('checkout.session.expired', session)),
			[{ ...failure, failure: 'checkout_expired' }]);
	});

	it('of a refund is one, as long as it has not failed', async () => {
		const session = checkout();
		const refund = refundOf(session);
		const made = {
			kind: 'refunded', accountId: '7', reference: refund.id, topupReference: session.payment_intent, amount: '10.00 USD',
		};
		assert.deepEqual(await reportsOf(event('refund.created', refund)), [made]);
		assert.deepEqual(await reportsOf(event('refund.created', { ...refund, status: 'pending' })), [made]);
		assert.deepEqual(await reportsOf(event('refund.updated', refund, { status: 'pending' })), [made]);
		const failed = [made, { kind: 'refund_failed', accountId: '7', reference: `${refund.id}_failed`, refundReference: refund.id }];
		assert.deepEqual(await reportsOf(event('refund.failed', { ...refund, status: 'failed' })), failed);
		assert.deepEqual(await reportsOf(event('refund.updated', { ...refund, status: 'canceled' }, { status: 'pending' })), failed);
	});

	it('of a refund that the customer has to take part in is none before', async () => {
		const refund = refundOf(checkout());
		assert.deepEqual(await reportsOf(event('refund.created', { ...refund, status: 'requires_action' })), []);
		assert.deepEqual(await reportsOf(event('refund.updated', { ...refund, status: 'canceled' }, { status: 'requires_action' })), []);
		assert.equal((await reportsOf(event('refund.updated', { ...refund, status: 'pending' }, { status: 'requires_action' }))).length, 1);
	});

	it('of a dispute tells each movement of money once, in whatever order', async () => {
		const session = checkout();
		const dispute = disputeOf(session);
		const disputed = { kind: 'disputed', accountId: '7', reference: dispute.id, topupReference: session.payment_intent };
		const won = { kind: 'dispute_won', accountId: '7', reference: `${dispute.id}_won`, chargebackReference: dispute.id };
		const moved = (...amounts) => ({ ...dispute, balance_transactions: amounts.map(amount => ({ amount })) });
		assert.deepEqual(await reportsOf(event('charge.dispute.funds_withdrawn', dispute)), [disputed]);
		assert.deepEqual(await reportsOf(event('charge.dispute.funds_withdrawn', moved(-4300))), [disputed]);
		assert.deepEqual(await reportsOf(event('charge.dispute.funds_reinstated', moved(-4300, 4300))), [disputed, won]);
		assert.deepEqual(await reportsOf(event('charge.dispute.funds_reinstated', dispute)), [disputed, won]);
		assert.deepEqual(await reportsOf(event('charge.dispute.funds_withdrawn', moved(-4300, 4300, -4300))),
			[disputed, won, { ...disputed, reference: `${dispute.id}_2` }]);
		const [part] = await reportsOf(event('charge.dispute.funds_withdrawn', { ...dispute, amount: 1500 }));
		assert.equal(part.amount, '15.00 USD');
	});

	it('that is said by another one already is not listened to', async () => {
		const session = checkout();
		const intent = network.objects.get(session.payment_intent);
		const charge = { ...network.objects.get(intent.latest_charge), metadata: intent.metadata, payment_intent: intent.id };
		for (const [type, object] of [
			['payment_intent.succeeded', intent], ['charge.succeeded', charge], ['charge.refunded', charge], ['charge.failed', charge],
			['charge.refund.updated', refundOf(session)], ['charge.dispute.created', disputeOf(session)],
			['charge.dispute.closed', disputeOf(session)], ['checkout.session.async_payment_failed', session],
			['customer.created', { id: 'cus_1', object: 'customer' }],
		]) {
			assert.ok(!EVENTS.includes(type));
			assert.deepEqual(await reportsOf(event(type, object)), [], type);
		}
	});

	it('of another service, or of none, is none of ours', async () => {
		const session = checkout();
		assert.deepEqual(await reportsOf(event('checkout.session.completed', session), { service: 'shop' }), []);
		assert.deepEqual(await reportsOf(event('refund.created', refundOf(session)), { service: 'shop' }), []);
		assert.deepEqual(await reportsOf(event('charge.dispute.funds_withdrawn', disputeOf(session)), { service: 'shop' }), []);
		assert.deepEqual(await reportsOf(event('checkout.session.completed', { ...session, metadata: null })), []);
		assert.deepEqual(await reportsOf(event('refund.created', refundOf(session, { payment_intent: null }))), []);
	});

	it('for which Stripe has to be asked, and does not answer, is not lost', async () => {
		const session = checkout();
		network.fail = 500;
		await assert.rejects(reportsOf(event('checkout.session.completed', session)), { message: 'not now' });
	});
});

describe('Stripe\'s story', () => {
	const alerts = [];

	/** The answer to an event. */
	async function take(content) {
		const { headers, body } = signed(content);
		const app = webhookRoutes({ db: books.db, provider: provider(), alert: what => alerts.push(what) });
		return (await app.request('/stripe', { method: 'POST', headers, body })).status;
	}

	async function begun() {
		return books.begin(await books.account());
	}

	it('ends in right books, in whatever order it is told, and told twice', async () => {
		for (let round = 0; round < 6; round++) {
			const payment = await begun();
			const session = checkout(payment);
			const intent = network.objects.get(session.payment_intent);
			const [refund, back] = [refundOf(session), refundOf(session, { amount: 2000 })];
			const dispute = disputeOf(session, { moved: [-4000] });
			const won = { ...dispute, status: 'won', balance_transactions: [...dispute.balance_transactions, { amount: 4000 }] };
			const events = [
				event('payment_intent.payment_failed', { ...intent, last_payment_error: { message: 'declined' } }),
				event('checkout.session.completed', session), event('payment_intent.succeeded', intent),
				event('refund.created', refund), event('refund.created', { ...back, status: 'pending' }),
				event('refund.failed', { ...back, status: 'failed' }), event('charge.dispute.funds_withdrawn', dispute),
				event('charge.dispute.funds_reinstated', won),
			];
			/* as Stripe does: what was not acknowledged comes again */
			let waiting = [...events, ...events].map(content => [Math.random(), content])
				.sort(([a], [b]) => a - b).map(([, content]) => content);
			for (let tries = 0; waiting.length > 0 && tries < 5; tries++) {
				const again = [];
				for (const content of waiting) if ((await take(content)) !== 200) again.push(content);
				waiting = again;
			}
			assert.deepEqual(waiting, []);
			assert.equal(await books.balance(payment.accountId), '40.00 USD');
			assert.match(await books.status(payment), /^settled/);
			await books.check();
		}
	});

	it('in a currency of the card goes back to the last cent (T8)', async () => {
		const payment = await begun();
		const session = checkout(payment, { amount: 206250, currency: 'uah' });
		assert.equal(await take(event('checkout.session.completed', session)), 200);
		for (const amount of [68750, 68750]) assert.equal(await take(event('refund.created', refundOf(session, { amount }))), 200);
		assert.equal(await take(event('charge.dispute.funds_withdrawn', disputeOf(session, { amount: 68750 }))), 200);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD of 2062.50 UAH, refund -16.67 USD of -687.50 UAH, '
			+ 'refund -16.66 USD of -687.50 UAH, chargeback -16.67 USD of -687.50 UAH');
		await books.check();
	});

	it('is told again when Stripe could not be asked', async () => {
		const payment = await begun();
		const content = event('checkout.session.completed', checkout(payment));
		network.fail = 500;
		alerts.length = 0;
		assert.equal(await take(content), 500);
		assert.equal(alerts.length, 1);
		network.fail = 0;
		assert.equal(await take(content), 200);
		assert.equal(await books.status(payment), 'settled');
	});

	it('is found by the reconciliation, of all sessions of that time', async () => {
		const [paid, expired, open, refunded] = [await begun(), await begun(), await begun(), await begun()];
		checkout(paid);
		checkout(expired, { payment_status: 'unpaid', status: 'expired' });
		checkout(open, { payment_status: 'unpaid', status: 'open' });
		const session = checkout(refunded);
		refundOf(session);
		disputeOf(session, { moved: [-4000, 4000] });
		disputeOf(session, { status: 'warning_needs_response' });
		const mine = new Set([paid, expired, open, refunded].map(({ accountId }) => accountId));
		const { find, ...rest } = provider();
		const result = await reconcile({
			db: books.db, olderThan: '0', provider: { ...rest, find: async payment => (mine.has(payment.accountId) ? find(payment) : []) },
		});
		assert.equal(result.failures, 0);
		assert.equal(await books.status(paid), 'settled');
		assert.equal(await books.status(expired), 'failed: checkout_expired');
		assert.equal(await books.status(open), 'pending');
		assert.equal(await books.entries(refunded.accountId),
			'topup 50.00 USD, refund -10.00 USD, chargeback -40.00 USD, reversal 40.00 USD');
		await books.check();
	});

	it('that Stripe could not deliver is asked for, the oldest first', async () => {
		const payment = await begun();
		const session = checkout(payment);
		const refund = refundOf(session);
		for (const content of [event('checkout.session.completed', session), event('refund.created', refund)])
			network.objects.set(content.id, content);
		const result = await reconcile({ db: books.db, provider: provider(), olderThan: '1 day' });
		assert.equal(result.failures, 0);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD, refund -10.00 USD');
		const { query } = network.requests.find(({ path }) => path === '/v1/events');
		assert.equal(query.get('delivery_success'), 'false');
		assert.equal(query.get('types[0]'), EVENTS[0]);
		await books.check();
	});

	it('that Stripe could not deliver is booked though one of its events is bad', async () => {
		const [good, bad] = [await begun(), await begun()];
		const session = checkout(good);
		const lost = checkout(bad);
		network.objects.delete(lost.payment_intent);
		for (const content of [event('checkout.session.completed', lost), event('checkout.session.completed', session)])
			network.objects.set(content.id, content);
		const told = [];
		const result = await reconcile({
			db: books.db, provider: provider(), olderThan: '1 day', missedDays: 30, alert: what => told.push(what),
		});
		assert.deepEqual([result.failures, told.map(({ error }) => error.message)], [1, ['No such thing']]);
		assert.equal(await books.status(good), 'settled');
		assert.equal(await books.status(bad), 'pending');
		const { query } = network.requests.find(({ path }) => path === '/v1/events');
		const days = (Date.now() / 1000 - Number(query.get('created[gte]'))) / 24 / 3600;
		assert.ok(days > 29.9 && days < 30.1, `${days}`);
	});
});
