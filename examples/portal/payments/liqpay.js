/*
 * LiqPay, by its documentation (https://www.liqpay.ua/documentation/en): the customer is sent with a signed form to its
 * checkout, and a callback tells what became of the payment. There is no package that is needed for it.
 *
 * Both sides sign in the same way: base64(sha1(private key + data + private key)) of "data", which is base64 of JSON.
 * What is signed for the form passes through the customer's browser, so a callback counts only if it has a status,
 * which the form never has.
 *
 * What could not be found in the documentation, and is taken for granted: that refund_amount is the sum of all that
 * went back, in the payment's currency. Not found either is whether a callback that was not answered by 200 is sent
 * again; so the reconciliation job is needed here, and it also asks for payments that are settled, as a refund may have
 * been reported in vain. Callbacks of one payment may differ in paytype and amount_debit; kbilling keeps the first.
 */
import { createHash } from 'node:crypto';
import { BadSignature, moneyText, orderName, readOrderName } from './provider.js';
import { same } from './same.js';

const VERSION = 3;
const ORIGIN = 'https://www.liqpay.ua';

/* The money is there; with the second it arrives with the day's other payments. */
const PAID = new Set(['success', 'wait_compensation']);
const FAILED = new Set(['failure', 'error']);
/* All others are on their way (3ds_verify, processing, …), or may be taken back (wait_accept: the shop is not verified). */

const METHODS = {
	card: 'card', masterpass: 'card', moment_part: 'card', paypart: 'card', qr: 'card',
	apay: 'apple_pay', gpay: 'google_pay', privat24: 'bank_transfer', invoice: 'bank_transfer', cash: 'manual',
};
const LANGUAGES = new Set(['uk', 'en']);

export function sign(privateKey, data) {
	return createHash('sha1').update(privateKey + data + privateKey).digest('base64');
}

function pack(privateKey, content) {
	const data = Buffer.from(JSON.stringify(content)).toString('base64');
	return { data, signature: sign(privateKey, data) };
}

/* A decimal in the one way that has no zero too many: who asks later may have it from elsewhere. */
const shortest = decimal => decimal.replace(/^0+(?=[0-9])/, '').replace(/(\.[0-9]*?)0+$/, '$1').replace(/\.$/, '');

/**
 * @param {object} options
 * @param {string} options.publicKey
 * @param {string} options.privateKey
 * @param {string} options.callbackUrl  https://…/webhooks/liqpay
 * @param {string} [options.service]  one word for this service, as a shop at LiqPay may serve several
 * @param {boolean} [options.sandbox]  takes test payments for real ones: for a test server alone
 * @param {Record<string, string>} [options.methods]  kbilling's method for a "paytype" of LiqPay's
 * @param {import('./provider.js').Charge} [options.charge]
 * @param {string} [options.api]  another address than LiqPay's own
 * @returns {import('./provider.js').Provider}
 */
export function createLiqpay({
	publicKey, privateKey, callbackUrl, service = 'kbilling', sandbox = false, methods = {}, charge = amount => amount,
	api = ORIGIN,
}) {
	/* The amount to credit is part of the name, as LiqPay gives back nothing else that we say. */
	const nameOf = payment =>
		`${orderName(service, payment)}:${shortest(payment.amount.amount)}:${payment.amount.currency}`;
	function readName(name) {
		const [, order, amount, currency] = /^(.+):([0-9.]+):([A-Z]{3})$/.exec(name ?? '') ?? [];
		const found = order && readOrderName(service, order);
		return found ? { ...found, asked: { amount, currency } } : null;
	}

	async function begin(payment) {
		const charged = charge(payment.amount);
		const fields = pack(privateKey, {
			version: VERSION,
			public_key: publicKey,
			action: 'pay',
			amount: Number(charged.amount),
			currency: charged.currency,
			description: payment.description,
			order_id: nameOf(payment),
			result_url: payment.returnUrl,
			server_url: callbackUrl,
			...(LANGUAGES.has(payment.language) ? { language: payment.language } : {}),
		});
		return { action: `${api}/api/${VERSION}/checkout`, fields };
	}

	/* What was paid is credited, unless it is in another currency than was asked for: then that is. */
	function credited(asked, content) {
		const charged = `${content.amount} ${content.currency}`;
		if (content.currency !== asked.currency) return { amount: moneyText(asked), paid: charged };
		const { amount_debit: debit, currency_debit: currency } = content;
		const debited = Number(debit) > 0 ? `${debit} ${currency}` : charged;
		return { amount: charged, paid: debited === charged ? null : debited };
	}

	const paid = ({ asked, ...order }, content) => ({
		kind: 'paid', ...order, reference: String(content.payment_id), ...credited(asked, content),
		method: methods[content.paytype] ?? METHODS[content.paytype] ?? 'card',
	});

	/* LiqPay says how much went back until now, and not in which parts. */
	const refunded = ({ accountId }, content, sum) => ({
		kind: 'refunded_total', accountId, topupReference: String(content.payment_id),
		amount: `${sum} ${content.currency}`,
		reference: `${content.payment_id}refunded${String(sum).replace('.', 'and')}`,
	});

	function failed({ accountId, paymentId }, content, words) {
		const failure = words ?? [content.err_code, content.err_description].filter(Boolean).join(': ');
		return [{ kind: 'failed', accountId, paymentId, failure: failure || 'declined' }];
	}

	function reportsOf(content) {
		const order = readName(content.order_id);
		if (order === null || (content.public_key ?? publicKey) !== publicKey) return [];
		const { status } = content;
		const sum = Number(content.refund_amount) > 0 ? content.refund_amount : 0;
		if (PAID.has(status) || (status === 'sandbox' && sandbox))
			return sum ? [paid(order, content), refunded(order, content, sum)] : [paid(order, content)];
		if (status === 'sandbox') return failed(order, content, 'test_payment');
		if (status === 'reversed') return [refunded(order, content, sum || content.amount)];
		return FAILED.has(status) ? failed(order, content) : [];
	}

	async function verify(headers, body) {
		const form = new URLSearchParams(body.toString());
		const data = form.get('data') ?? '';
		if (!same(form.get('signature') ?? '', sign(privateKey, data))) throw new BadSignature();
		return reportsOf(JSON.parse(Buffer.from(data, 'base64').toString()));
	}

	async function find(payment) {
		const response = await fetch(`${api}/api/request`, {
			method: 'POST',
			body: new URLSearchParams(pack(privateKey, {
				version: VERSION, public_key: publicKey, action: 'status', order_id: nameOf(payment),
			})),
			signal: AbortSignal.timeout(20000),
		});
		if (!response.ok) throw new Error(`LiqPay has answered ${response.status}`);
		const content = await response.json();
		if (content.err_code === 'payment_not_found') return [];
		if (content.order_id !== nameOf(payment)) throw new Error(`LiqPay knows no status: ${content.err_code}`);
		// Of a payment that was not credited, nothing can be paid back.
		if (content.status === 'reversed' && !payment.settled) return failed(readName(content.order_id), content, 'reversed');
		return reportsOf(content);
	}

	return { name: 'liqpay', origins: [new URL(api).origin], begin, verify, find };
}
