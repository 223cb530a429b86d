/*
 * What a provider reports, in every order, through the webhook into a real database; by the fake provider.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import pg from 'pg';
import { providerFrom } from '../payments/choose.js';
import { createFake } from '../payments/fake.js';
import { orderName, readOrderName } from '../payments/provider.js';
import { reconcile } from '../payments/reconcile.js';
import { book, statement, verdict } from '../payments/report.js';
import { logAlert, webhookRoutes } from '../payments/webhook.js';
import { openBooks } from './books.js';

const SECRET = 'of the tests';
let books;
let fake;
let world;
let alerts;

/* The fake reports nothing by itself here: a test says what comes, and when. */
before(async () => {
	books = await openBooks('fake');
	fake = createFake({ secret: SECRET, send: async () => false });
	({ world } = fake);
});
after(() => books.end());
afterEach(() => books.check());

const alert = what => alerts.push(what);

/** The status that the provider is answered with when it reports an event. */
async function report(event, db = books.db) {
	return (await send(fake.sign(event), db)).status;
}

function send({ headers, body }, db = books.db, path = '/fake') {
	alerts = [];
	return webhookRoutes({ db, provider: fake, alert }).request(path, { method: 'POST', headers, body });
}

/** Reports one after the other; the answers. */
async function reportAll(...events) {
	const answers = [];
	for (const event of events) answers.push(await report(event));
	return answers;
}

/** A payment of a new account, begun, and at the fake. */
async function newPayment(amount, currency) {
	const payment = await books.begin(await books.account(currency), amount, currency);
	await fake.begin(payment);
	return payment;
}

/** The SQLSTATEs of which someone was told. */
const told = () => alerts.map(({ error }) => error.code);

describe('what was paid', () => {
	it('is credited, with its bonus, and settles the payment', async () => {
		const payment = await newPayment('100.00');
		assert.equal(await report(world.paid(payment)), 200);
		assert.equal(await books.entries(payment.accountId), 'topup 100.00 USD, bonus 10.00 USD');
		assert.equal(await books.status(payment), 'settled');
	});

	it('is credited once, however often it is reported (T3)', async () => {
		const payment = await newPayment();
		const event = world.paid(payment);
		assert.deepEqual(await reportAll(event, event, event), [200, 200, 200]);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD');
	});

	it('is credited once if it is reported many times at once (T3)', async () => {
		const payment = await newPayment();
		const event = world.paid(payment);
		const answers = await Promise.all(Array.from({ length: 12 }, () => report(event)));
		assert.deepEqual([...new Set(answers)], [200]);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD');
	});

	it('is credited after it was reported as failed (T2, T9)', async () => {
		const payment = await newPayment();
		assert.equal(await report(world.failed(payment, 'no money')), 200);
		assert.equal(await books.status(payment), 'failed: no money');
		assert.equal(await report(world.paid(payment)), 200);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD');
		assert.match(await books.status(payment), /^settled/);
	});

	it('stays credited when a failure comes late (T9)', async () => {
		const payment = await newPayment();
		assert.deepEqual(await reportAll(world.paid(payment), world.failed(payment)), [200, 200]);
		assert.equal(await books.status(payment), 'settled');
		assert.equal(await books.balance(payment.accountId), '50.00 USD');
	});

	it('is credited as the provider says, if that is another amount or method (T9)', async () => {
		const payment = await newPayment();
		assert.equal(await report(world.paid(payment, { amount: '49.00 USD', method: 'google_pay' })), 200);
		assert.equal(await books.entries(payment.accountId), 'topup 49.00 USD');
	});

	it('is not credited in a currency that the account does not have, and someone is told', async () => {
		const payment = await newPayment();
		assert.equal(await report(world.paid(payment, { amount: '50.00 EUR' })), 500);
		assert.deepEqual(told(), ['KB002']);
		assert.equal(await books.entries(payment.accountId), '');
		assert.equal(await books.status(payment), 'pending');
	});

	it('keeps what was paid in another currency beside the amount (T8)', async () => {
		const payment = await newPayment();
		assert.equal(await report(world.paid(payment, { paid: '2062.50 UAH' })), 200);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD of 2062.50 UAH');
	});

	it('is refused under the same id with another amount, and someone is told (J3)', async () => {
		const payment = await newPayment();
		const event = world.paid(payment);
		assert.deepEqual(await reportAll(event, { ...event, amount: '51.00 USD' }), [200, 500]);
		assert.deepEqual(told(), ['KB006']);
		assert.equal(await books.balance(payment.accountId), '50.00 USD');
	});

	it('by a second payment, by mistake, is left to somebody, who may credit it (T9)', async () => {
		const payment = await newPayment();
		const second = world.paid(payment);
		assert.deepEqual(await reportAll(world.paid(payment), second), [200, 500]);
		assert.deepEqual(told(), ['KB006']);
		assert.equal(await books.balance(payment.accountId), '50.00 USD');
		const { paymentId, ...byHand } = (await fake.verify(fake.sign(second).headers, Buffer.from(fake.sign(second).body)))[0];
		assert.deepEqual(await book(books.db, 'fake', byHand), { answer: 'done' });
		assert.equal(await books.balance(payment.accountId), '100.00 USD');
		assert.ok(paymentId);
	});

	it('of an account that is not there is left to somebody', async () => {
		assert.equal(await report(world.paid({ accountId: '987654321', paymentId: '1', amount: { amount: '5', currency: 'USD' } })), 500);
		assert.deepEqual(told(), ['KB001']);
	});

	it('of a payment that another account has is left to somebody', async () => {
		const payment = await newPayment();
		const other = await books.account();
		assert.equal(await report(world.paid({ ...payment, accountId: other })), 500);
		assert.deepEqual(told(), ['KB006']);
		assert.equal(await books.entries(other), '');
		assert.equal(await books.status(payment), 'pending');
	});

	it('for an account that was deleted meanwhile is booked, and the application hears of it (J8)', async () => {
		const payment = await newPayment();
		await books.markDeleted(payment.accountId);
		assert.equal(await report(world.paid(payment)), 200);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD');
		assert.equal(await books.value(`SELECT count(*) FROM kbilling.notice WHERE account_id = $1 AND kind = 'topup_after_deletion'`,
			[payment.accountId]), '1');
	});

	it('in yen and in dinars has their decimals', async () => {
		const [yen, dinars] = [await newPayment('1500', 'JPY'), await newPayment('7.250', 'KWD')];
		assert.deepEqual(await reportAll(world.paid(yen), world.paid(dinars)), [200, 200]);
		assert.equal(await books.balance(yen.accountId), '1500 JPY');
		assert.equal(await books.balance(dinars.accountId), '7.250 KWD');
	});

	it('of another service at the same provider is none of ours', async () => {
		const { accountId } = await newPayment();
		const event = { order: `shop-${accountId}-1`, kind: 'paid', reference: '1234567890123', amount: '1.00 USD', method: 'card' };
		assert.equal(await report(event), 200);
		assert.equal(await books.entries(accountId), '');
	});
});

describe('what goes back', () => {
	/** A payment that was paid, and its event. */
	async function paidPayment(changes, amount) {
		const payment = await newPayment(amount);
		const event = world.paid(payment, changes);
		assert.equal(await report(event), 200);
		return [payment.accountId, event];
	}

	it('is refunded, with its part of the bonus (T6)', async () => {
		const [account, paid] = await paidPayment({}, '100.00');
		const refund = world.refunded(paid, '40.00 USD');
		assert.deepEqual(await reportAll(refund, refund), [200, 200]);
		assert.equal(await books.entries(account), 'topup 100.00 USD, bonus 10.00 USD, bonus -4.00 USD, refund -40.00 USD');
		assert.equal(await report(world.refunded(paid, '60.00 USD')), 200);
		assert.equal(await books.balance(account), '0.00 USD');
	});

	it('is refunded once, if it is reported many times at once', async () => {
		const [account, paid] = await paidPayment();
		const refund = world.refunded(paid, '20.00 USD');
		const answers = await Promise.all(Array.from({ length: 8 }, () => report(refund)));
		assert.deepEqual([...new Set(answers)], [200]);
		assert.equal(await books.balance(account), '30.00 USD');
	});

	it('is refunded though it is spent, as the provider has paid it back already (T6)', async () => {
		const [account, paid] = await paidPayment();
		await books.admin.query(`SELECT kbilling.kb_adjust($1, '-45 USD', 'spent', 'spent')`, [account]);
		assert.equal(await report(world.refunded(paid, '50.00 USD')), 200);
		assert.equal(await books.balance(account), '-45.00 USD');
	});

	it('is not refunded for more than was paid', async () => {
		const [account, paid] = await paidPayment();
		assert.equal(await report(world.refunded(paid, '50.01 USD')), 500);
		assert.deepEqual(told(), ['KB005']);
		assert.equal(await books.balance(account), '50.00 USD');
	});

	it('comes back if the refund fails at the bank, and can be refunded again', async () => {
		const [account, paid] = await paidPayment();
		const refund = world.refunded(paid, '50.00 USD');
		const failed = world.refundFailed(refund);
		assert.deepEqual(await reportAll(refund, failed, refund, failed), [200, 200, 200, 200]);
		assert.equal(await books.entries(account), 'topup 50.00 USD, refund -50.00 USD, reversal 50.00 USD');
		assert.equal(await report(world.refunded(paid, '50.00 USD')), 200);
		assert.equal(await books.balance(account), '0.00 USD');
	});

	it('is refunded in the currency in which it was paid, to the last cent (T8)', async () => {
		const [account, paid] = await paidPayment({ paid: '2062.50 UAH' });
		for (const amount of ['687.50 UAH', '687.49 UAH', '687.51 UAH'])
			assert.equal(await report(world.refunded(paid, amount)), 200);
		assert.equal(await books.entries(account),
			'topup 50.00 USD of 2062.50 UAH, refund -16.67 USD of -687.50 UAH, refund -16.66 USD of -687.49 UAH, '
			+ 'refund -16.67 USD of -687.51 UAH');
	});

	it('may be reported as a sum (T6)', async () => {
		const [account, paid] = await paidPayment();
		const sum = amount => ({ ...world.refunded(paid, amount), kind: 'refunded_total' });
		assert.deepEqual(await reportAll(sum('30.00 USD'), sum('10.00 USD'), sum('50.00 USD'), sum('50.00 USD')), [200, 200, 200, 200]);
		assert.equal(await books.entries(account), 'topup 50.00 USD, refund -30.00 USD, refund -20.00 USD');
	});

	it('is disputed, won, and lost again (T7)', async () => {
		const [account, paid] = await paidPayment({}, '100.00');
		const [lost, again] = [world.disputed(paid), world.disputed(paid)];
		const won = world.disputeWon(lost);
		assert.deepEqual(await reportAll(lost, lost), [200, 200]);
		assert.equal(await books.balance(account), '0.00 USD');
		assert.deepEqual(await reportAll(won, won), [200, 200]);
		assert.equal(await books.balance(account), '110.00 USD');
		assert.deepEqual(await reportAll(again, lost, won), [200, 200, 200]);
		assert.equal(await books.balance(account), '0.00 USD');
	});

	it('is disputed for what is left of it, or for a part', async () => {
		const [account, paid] = await paidPayment();
		assert.deepEqual(await reportAll(world.refunded(paid, '20.00 USD'), world.disputed(paid)), [200, 200]);
		assert.equal(await books.entries(account), 'topup 50.00 USD, refund -20.00 USD, chargeback -30.00 USD');
		const [other, payment] = await paidPayment();
		assert.equal(await report(world.disputed(payment, '15.00 USD')), 200);
		assert.equal(await books.balance(other), '35.00 USD');
	});

	it('of an account that was deleted meanwhile is booked (J8)', async () => {
		const [account, paid] = await paidPayment();
		await books.markDeleted(account);
		const dispute = world.disputed(paid, '30.00 USD');
		assert.deepEqual(await reportAll(world.refunded(paid, '20.00 USD'), dispute, world.disputeWon(dispute)), [200, 200, 200]);
		assert.equal(await books.balance(account), '30.00 USD');
	});

	it('before it was paid is sent again, until it was', async () => {
		const payment = await newPayment();
		const paid = world.paid(payment);
		const refund = world.refunded(paid, '10.00 USD');
		const dispute = world.disputed(paid);
		const events = [world.disputeWon(dispute), dispute, world.refundFailed(refund), refund];
		assert.deepEqual(await reportAll(...events), [500, 500, 500, 500]);
		assert.deepEqual(told(), ['22023']);
		assert.equal(await books.entries(payment.accountId), '');
		/* the dispute takes all; when it was won, there is something to refund */
		assert.deepEqual(await reportAll(paid, ...events), [200, 500, 200, 500, 500]);
		assert.deepEqual(await reportAll(...events), [200, 200, 500, 200]);
		assert.deepEqual(await reportAll(...events), [200, 200, 200, 200]);
		assert.equal(await books.balance(payment.accountId), '50.00 USD');
	});
});

describe('the webhook', () => {
	it('tells nothing to who has not signed', async () => {
		const payment = await newPayment();
		const { headers, body } = fake.sign(world.paid(payment));
		const forged = [
			{ headers, body: body.replace('50.00', '90.00') },
			{ headers: { ...headers, 'fake-signature': '0'.repeat(64) }, body },
			{ headers: {}, body },
			{ headers, body: '' },
			createFake({ secret: 'of somebody else', send: async () => false }).sign(JSON.parse(body)),
		];
		for (const each of forged) {
			const response = await send(each);
			assert.equal(response.status, 400);
			assert.equal(await response.text(), '');
			assert.deepEqual(alerts, []);
		}
		assert.equal(await books.entries(payment.accountId), '');
	});

	it('reads no more than a report', async () => {
		assert.equal((await send({ headers: {}, body: 'x'.repeat(300 * 1024) })).status, 413);
	});

	it('answers at its own address alone', async () => {
		const signed = fake.sign(world.paid(await newPayment()));
		assert.equal((await send(signed, books.db, '/stripe')).status, 404);
		assert.equal((await webhookRoutes({ db: books.db, provider: fake }).request('/fake')).status, 404);
	});

	it('has somebody told of what is signed and makes no sense', async () => {
		assert.equal(await report({ order: `kbilling-${await books.account()}-1`, kind: 'gift' }), 500);
		assert.equal(alerts.length, 1);
		const payment = await newPayment();
		assert.equal(await report(world.paid(payment, { method: 'shells' })), 500);
		assert.deepEqual(told(), ['22023']);
		assert.equal(await report(world.paid(payment, { reference: '4111 1111 1111 1111' })), 500);
		assert.deepEqual(told(), ['22023']);
	});

	it('takes ids that look like card numbers (T10)', async () => {
		const payment = await newPayment();
		const paid = world.paid(payment, { reference: '4111111111111111' });
		assert.deepEqual(await reportAll(paid, world.refunded(paid, '5.00 USD')), [200, 200]);
		assert.equal(await books.value('SELECT key FROM kbilling.entry WHERE account_id = $1 AND seq = 1', [payment.accountId]),
			'fake:411111~111111~1111~');
	});

	it('masks card numbers in what is said of a failure (T10)', async () => {
		const payment = await newPayment();
		assert.equal(await report(world.failed(payment, 'card 4111 1111 1111 1111 declined')), 200);
		assert.equal(await books.status(payment), 'failed: card **** **** **** **** declined');
	});

	it('wants the report again when a lock is not to be had', async () => {
		const payment = await newPayment();
		const event = world.paid(payment);
		const hasty = new pg.Pool({ user: 'portal_webhook', options: '-c lock_timeout=100' });
		const holder = await books.admin.connect();
		try {
			await holder.query('BEGIN');
			await holder.query('SELECT FROM kbilling.account WHERE account_id = $1 FOR UPDATE', [payment.accountId]);
			assert.equal(await report(event, hasty), 503);
			assert.deepEqual(alerts, []);
			await holder.query('COMMIT');
			assert.equal(await report(event, hasty), 200);
		} finally {
			holder.release();
			await hasty.end();
		}
	});

	it('tries again at once when another transaction was first', async () => {
		const payment = await newPayment();
		const strict = new pg.Pool({ user: 'portal_webhook', options: '-c default_transaction_isolation=repeatable\\ read' });
		let tries = 0;
		const counted = { query: (...statement) => (tries++, strict.query(...statement)) };
		try {
			const paid = world.paid(payment);
			assert.equal(await report(paid, strict), 200);
			const holder = await books.admin.connect();
			await holder.query('BEGIN');
			await holder.query(`SELECT kbilling.kb_adjust($1, '1 USD', 'first', 'first')`, [payment.accountId]);
			const answer = report(world.refunded(paid, '10.00 USD'), counted);
			const waiting = `SELECT count(*) FROM pg_stat_activity WHERE usename = 'portal_webhook' AND wait_event_type = 'Lock'`;
			while ((await books.value(waiting)) === '0');
			await holder.query('COMMIT');
			holder.release();
			assert.equal(await answer, 200);
			assert.ok(tries > 1);
			assert.equal(await books.balance(payment.accountId), '41.00 USD');
		} finally {
			await strict.end();
		}
	});

	it('wants the report again when there is no server', async () => {
		const nowhere = new pg.Pool({ user: 'portal_webhook', host: '127.0.0.1', port: 1, connectionTimeoutMillis: 1000 });
		assert.equal(await report(world.paid(await newPayment()), nowhere), 503);
		assert.deepEqual(alerts, []);
		await nowhere.end();
	});

	it('has somebody told when its role lacks a right', async () => {
		await books.admin.query('CREATE ROLE portal_nobody LOGIN');
		const nobody = new pg.Pool({ user: 'portal_nobody' });
		try {
			assert.equal(await report(world.paid(await newPayment()), nobody), 500);
			assert.deepEqual(told(), ['42501']);
		} finally {
			await nobody.end();
			await books.admin.query('DROP ROLE portal_nobody');
		}
	});

	it('has the rights "payments" and no others', async () => {
		for (const text of ['SELECT * FROM kbilling.payment', 'SELECT * FROM kbilling.account', 'SELECT * FROM kbilling.entry',
			'SELECT kbilling.kb_balance(1)', `SELECT kbilling.kb_adjust(1, '1 USD', 'x', 'x')`,
			`SELECT kbilling.kb_reverse(1, 1, 'x', 'x')`])
			await assert.rejects(books.db.query(text), { code: '42501' }, text);
	});
});

describe('what an SQLSTATE means', () => {
	const error = code => Object.assign(new pg.DatabaseError('x', 1, 'error'), { code });

	it('is the table of docs/operations.md', () => {
		const table = {
			'at once': ['40001', '40P01'],
			later: ['55P03', '57014', '08006', '08P01', '53100', '53300', '57P01', '57P03', '25006', 'KB014'],
			alert: ['KB001', 'KB002', 'KB004', 'KB005', 'KB006', 'KB008', 'KB010', '22003', '22004', '22008', '22023', '22P02', '42501',
				'42883', 'XX000', 'XX001', '23505', '0A000'],
		};
		for (const [meaning, codes] of Object.entries(table))
			for (const code of codes) assert.equal(verdict(error(code)), meaning, code);
		assert.equal(verdict(Object.assign(new Error('x'), { code: 'ECONNREFUSED' })), 'later');
		assert.equal(verdict(new Error('timeout exceeded when trying to connect')), 'later');
	});

	it('is that of the page itself', async () => {
		const page = await readFile(new URL('../../../docs/operations.md', import.meta.url), 'utf8');
		const meanings = { 'retry at once': 'at once', retry: 'later', alert: 'alert' };
		const rows = [...page.matchAll(/^\| (`[^|]+) \|[^|]+\| (retry at once|retry|alert) \|$/gm)];
		assert.ok(rows.length > 10);
		for (const [, codes, handler] of rows)
			for (const [, code] of codes.matchAll(/`([0-9A-Z]{2,5})…?`/g))
				assert.equal(verdict(error(code.padEnd(5, '0'))), meanings[handler], code);
	});

	it('is tried again at once, but not for ever', async () => {
		let tries = 0;
		const busy = { query: async () => { tries++; throw error('40001'); } };
		const { answer } = await book(busy, 'fake', { kind: 'failed', accountId: 1, paymentId: 1, failure: 'x' });
		assert.deepEqual([answer, tries], ['later', 4]);
	});
});

describe('the statement of a report', () => {
	it('has all that comes from outside as parameters', () => {
		const { text, values } = statement('fake',
			{ kind: 'refunded', accountId: '7', amount: '1.00 USD', reference: 'r_1', topupReference: 'p_1' });
		assert.equal(text, 'SELECT * FROM kbilling.kb_refund($1::bigint, $2::kbilling.kb_money, kbilling.kb_reference($3::text, $4::text), '
			+ 'topup_reference => kbilling.kb_reference($5::text, $6::text), forced => true)');
		assert.deepEqual(values, ['7', '1.00 USD', 'fake', 'r_1', 'fake', 'p_1']);
		assert.throws(() => statement('fake', { kind: 'gift' }), TypeError);
	});
});

describe('the name of a payment at a provider', () => {
	it('says which it is, and of which service', () => {
		const name = orderName('my-shop', { accountId: '12', paymentId: '3' });
		assert.deepEqual(readOrderName('my-shop', name), { accountId: '12', paymentId: '3' });
		for (const other of ['shop-12-3', 'my-shop-12', 'my-shop-0-1', 'my-shop-1-1-', 'my-shop-1-12345678901234567890', '', null,
			undefined])
			assert.equal(readOrderName('my-shop', other), null, other);
	});
});

describe('an alert in the log', () => {
	it('says what to put right, and nothing of who paid', t => {
		const lines = [];
		t.mock.method(console, 'error', line => lines.push(line));
		logAlert({
			provider: 'fake', report: { kind: 'paid', accountId: 1, paymentId: 2, reference: 'r', member: 'ann@example.org' },
			error: Object.assign(new Error('no'), { code: 'KB001', detail: 'd', hint: 'h' }),
		});
		assert.deepEqual(JSON.parse(lines[0]), {
			alert: 'a report of the payment provider needs somebody', provider: 'fake', kind: 'paid', accountId: 1, paymentId: 2,
			reference: 'r', state: 'KB001', message: 'no', detail: 'd', hint: 'h',
		});
	});
});

describe('the reconciliation', () => {
	/** Runs it for payments of these accounts; others of the database are none of its business here. */
	function run(payments, options = {}) {
		alerts = [];
		const mine = new Set(payments.map(({ accountId }) => accountId));
		const provider = { ...fake, find: async payment => (mine.has(payment.accountId) ? fake.find(payment) : []), ...options.provider };
		return reconcile({ db: books.db, alert, olderThan: '0', ...options, provider });
	}

	const age = ({ accountId, paymentId }, interval) => books.admin.query(
		`UPDATE kbilling.payment SET begun_at = begun_at - $3::interval, expires_at = expires_at - $3::interval
		WHERE account_id = $1 AND payment_id = $2`, [accountId, paymentId, interval]);

	it('books what was paid and never reported, of payments that are pending, expired or failed', async () => {
		const [pending, expired, failed, open] = await Promise.all([newPayment(), newPayment(), newPayment(), newPayment()]);
		await age(expired, '2 days');
		assert.equal(await report(world.failed(failed)), 200);
		assert.match(await books.status(expired), /^expired/);
		for (const payment of [pending, expired, failed]) world.paid(payment);
		const result = await run([pending, expired, failed, open]);
		assert.equal(result.failures, 0);
		for (const payment of [pending, expired, failed]) {
			assert.match(await books.status(payment), /^settled/);
			assert.equal(await books.balance(payment.accountId), '50.00 USD');
		}
		assert.equal(await books.status(open), 'pending');
	});

	it('books it once, though the report comes at the same time, and it runs twice', async () => {
		const payment = await newPayment();
		const event = world.paid(payment);
		const [, , answer] = await Promise.all([run([payment]), run([payment]), report(event)]);
		assert.equal(answer, 200);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD');
	});

	it('books what became of it after it was paid', async () => {
		const payment = await newPayment();
		const paid = world.paid(payment);
		const refund = world.refunded(paid, '20.00 USD');
		world.refundFailed(refund);
		world.disputed(paid);
		await run([payment]);
		assert.equal(await books.entries(payment.accountId),
			'topup 50.00 USD, refund -20.00 USD, reversal 20.00 USD, chargeback -50.00 USD');
	});

	it('notes a failure once', async () => {
		const payment = await newPayment();
		world.failed(payment, 'no money');
		assert.ok((await run([payment])).booked >= 1);
		assert.equal(await books.status(payment), 'failed: no money');
		world.failed(payment, 'other words');
		await run([payment]);
		assert.equal(await books.status(payment), 'failed: no money');
	});

	it('leaves out what is too young or too old', async () => {
		const [young, old] = await Promise.all([newPayment(), newPayment()]);
		await age(old, '4 days');
		world.paid(young);
		world.paid(old);
		await run([young, old], { olderThan: '1 hour' });
		assert.equal(await books.status(young), 'pending');
		assert.match(await books.status(old), /^expired/);
		await run([young, old], { newerThan: '5 days' });
		assert.equal(await books.status(old), 'settled');
	});

	it('goes on after a payment that cannot be asked for, or booked', async () => {
		const [first, second, third] = [await newPayment(), await newPayment(), await newPayment()];
		world.paid(second, { amount: '1.00 EUR' });
		world.paid(third);
		const result = await run([first, second, third], {
			provider: {
				find: async payment => {
					if (payment.accountId === first.accountId) throw new Error('the provider does not answer');
					return [second.accountId, third.accountId].includes(payment.accountId) ? fake.find(payment) : [];
				},
			},
		});
		assert.equal(result.failures, 2);
		assert.deepEqual(alerts.map(({ error }) => error.code ?? error.message).sort(), ['KB002', 'the provider does not answer']);
		assert.equal(await books.status(third), 'settled');
	});

	it('reads them page by page', async () => {
		const payments = [];
		for (let n = 0; n < 5; n++) payments.push(await newPayment());
		for (const payment of payments) world.paid(payment);
		await run(payments, { page: 2 });
		for (const payment of payments) assert.equal(await books.status(payment), 'settled');
	});

	it('asks for what the provider could not report', async () => {
		const payment = await newPayment();
		const event = world.paid(payment);
		const missed = async function* (since) {
			assert.ok(Date.now() - since.getTime() > 2 * 24 * 3600 * 1000);
			yield async () => { throw new Error('one is bad'); };
			const { headers, body } = fake.sign(event);
			yield () => fake.verify(headers, Buffer.from(body));
		};
		assert.equal((await run([], { olderThan: '1 day', provider: { missed } })).failures, 1);
		assert.deepEqual(alerts.map(({ error }) => error.message), ['one is bad']);
		assert.equal(await books.status(payment), 'settled');
	});

	it('asks for settled payments, too, of a provider that cannot say what it has missed', async () => {
		const payment = await newPayment();
		const event = world.paid(payment);
		assert.equal(await report(event), 200);
		world.refunded(event, '20.00 USD');
		async function* missed() {}
		await run([payment], { provider: { missed } });
		await run([payment], { settled: '0' });
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD');
		await run([payment]);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD, refund -20.00 USD');
		await age(payment, '4 days');
		world.refunded(event, '5.00 USD');
		await run([payment]);
		assert.equal(await books.balance(payment.accountId), '30.00 USD');
		await run([payment], { settled: '5 days' });
		assert.equal(await books.balance(payment.accountId), '25.00 USD');
	});
});

describe('the command that reconciles', () => {
	const command = new URL('../payments/reconcile.js', import.meta.url).pathname;
	const env = { ...process.env, PORTAL_PROVIDER: 'fake', PORTAL_SECRET: SECRET, PORTAL_ORIGIN: 'http://localhost:1' };
	const call = (...args) => promisify(execFile)(process.execPath, [command, ...args], { env });

	it('says what it has done, as the role of the webhook', async () => {
		await newPayment();
		const { stdout } = await call('--older-than', '0');
		const { asked, booked, failures } = JSON.parse(stdout);
		assert.ok(asked > 0);
		assert.deepEqual([booked, failures], [0, 0]);
		assert.equal(JSON.parse((await call('--older-than', '2 days', '--newer-than', '1 day', '--settled', '1 day')).stdout).asked, 0);
	});

	it('fails if it cannot ask', async () => {
		await assert.rejects(call('--older-than', 'soon'), { code: 1 });
		await assert.rejects(call('--missed-days', 'all'), { code: 1 });
		env.PORTAL_PROVIDER = 'none';
		await assert.rejects(call(), { code: 1 });
	});
});

describe('the fake', () => {
	const page = async (response, part) => {
		assert.equal(response.status, 200);
		assert.match(await response.text(), part);
	};

	/** One that reports to a webhook of ours. */
	function reporting() {
		const app = () => webhookRoutes({ db: books.db, provider, alert });
		const provider = createFake({
			secret: SECRET, laterSeconds: 0.05,
			send: async ({ headers, body }) => (await app().request('/fake', { method: 'POST', headers, body })).ok,
		});
		return provider;
	}

	const press = (provider, url, what) =>
		provider.routes.request(url, { method: 'POST', body: new URLSearchParams({ what }) });

	it('has a page to pay, which reports before the customer is back', async () => {
		const provider = reporting();
		const payment = await books.begin(await books.account());
		const { url } = await provider.begin({ ...payment, language: 'uk' });
		await page(await provider.routes.request(url), /<html lang="uk">[^]*50,00/);
		const response = await press(provider, url, 'pay');
		assert.equal(response.status, 303);
		assert.equal(response.headers.get('location'), payment.returnUrl);
		assert.equal(await books.status(payment), 'settled');
		await page(await provider.routes.request(url), /завершено/);
		await press(provider, url, 'pay');
		assert.equal(await books.balance(payment.accountId), '50.00 USD');
	});

	it('leads back without a payment, if there was none', async () => {
		const provider = reporting();
		const payment = await books.begin(await books.account());
		const { url } = await provider.begin({ ...payment, cancelUrl: 'http://localhost/#pay' });
		await page(await provider.routes.request(url), /<a href="http:\/\/localhost\/#pay">/);
		await press(provider, url, 'pay');
		await page(await provider.routes.request(url), /<a href="http:\/\/localhost\/">/);
	});

	it('declines a card, and lets the customer try again', async () => {
		const provider = reporting();
		const payment = await books.begin(await books.account());
		const { url } = await provider.begin(payment);
		await press(provider, url, 'fail');
		assert.equal(await books.status(payment), 'failed: declined');
		await press(provider, url, 'pay');
		assert.match(await books.status(payment), /^settled/);
	});

	it('pays later', async () => {
		const provider = reporting();
		const payment = await books.begin(await books.account());
		const { url } = await provider.begin(payment);
		await press(provider, url, 'later');
		assert.equal(await books.status(payment), 'pending');
		const end = Date.now() + 5000;
		while ((await books.status(payment)) === 'pending' && Date.now() < end) await new Promise(resolve => setTimeout(resolve, 20));
		assert.equal(await books.status(payment), 'settled');
	});

	it('reports again until it is heard', async () => {
		let tries = 0;
		const provider = createFake({
			secret: SECRET,
			retrySeconds: [0.01, 0.01, 0.01],
			send: async () => {
				if (++tries === 1) throw new Error('nobody is there');
				return tries === 3;
			},
		});
		assert.deepEqual([await provider.deliver({ kind: 'failed' }), tries], [true, 3]);
	});

	it('has no page for who does not know its address', async () => {
		assert.equal((await fake.routes.request('/fake/checkout/none')).status, 404);
		assert.equal((await press(fake, '/fake/checkout/none', 'pay')).status, 404);
	});

	it('writes what it is told as text', async () => {
		const provider = reporting();
		const payment = await books.begin(await books.account());
		const { url } = await provider.begin({ ...payment, description: '<script>alert(1)</script>' });
		await page(await provider.routes.request(url), /&lt;script&gt;/);
	});

	it('charges in another currency, if it is to', async () => {
		const provider = createFake({
			secret: SECRET, send: async () => false, charge: ({ amount }) => ({ amount: String(Number(amount) * 41.25), currency: 'UAH' }),
		});
		const payment = await books.begin(await books.account());
		await provider.begin(payment);
		const { headers, body } = provider.sign(provider.world.paid(payment));
		assert.equal((await send({ headers, body })).status, 200);
		assert.equal(await books.entries(payment.accountId), 'topup 50.00 USD of 2062.50 UAH');
	});
});

describe('the choice of a provider', () => {
	it('is the environment\'s', () => {
		const env = {
			PORTAL_SECRET: 's', PORTAL_ORIGIN: 'https://billing.example.com',
			STRIPE_SECRET_KEY: 'sk_test_1', STRIPE_WEBHOOK_SECRET: 'whsec_1',
			LIQPAY_PUBLIC_KEY: 'sandbox_i1', LIQPAY_PRIVATE_KEY: 'k',
		};
		for (const name of ['fake', 'stripe', 'liqpay']) assert.equal(providerFrom({ ...env, PORTAL_PROVIDER: name }).name, name);
		assert.throws(() => providerFrom({ ...env, PORTAL_PROVIDER: 'other' }), /fake/);
		assert.throws(() => providerFrom({ PORTAL_PROVIDER: 'stripe' }), /STRIPE_SECRET_KEY/);
	});
});
