/*
 * Stripe Checkout, by the package "stripe". The customer pays on Stripe's page; nothing of a card comes here.
 *
 * Set up, in Stripe's dashboard: a webhook endpoint at https://…/webhooks/stripe with the events of EVENTS, and the API
 * version of the package.
 */
import Stripe from 'stripe';
import { BadSignature, moneyText, orderName, readOrderName } from './provider.js';

/*
 * What is listened to. Stripe says most things more than once; each of these says one thing that no other says:
 *
 * - paid: checkout.session.completed, if its payment_status is "paid", else …async_payment_succeeded later. Not
 *   payment_intent.succeeded, charge.succeeded.
 * - declined, or a debit that failed: payment_intent.payment_failed, which has the reason. Not charge.failed,
 *   …async_payment_failed.
 * - given up: checkout.session.expired. Not payment_intent.canceled.
 * - refunded, and refunds that fail: refund.created, .updated, .failed. Not charge.refunded, which has sums alone, nor
 *   charge.refund.updated.
 * - disputed: charge.dispute.funds_withdrawn. Not charge.dispute.created: of an inquiry, no money goes.
 * - won: charge.dispute.funds_reinstated. Not charge.dispute.closed: if it is lost, nothing moves any more.
 *
 * Events come in any order. What a later one takes for granted is reported with it: that of a failed refund, the refund
 * too; that of a dispute which was won, the dispute.
 */
export const EVENTS = [
	'checkout.session.completed',
	'checkout.session.async_payment_succeeded',
	'checkout.session.expired',
	'payment_intent.payment_failed',
	'refund.created',
	'refund.updated',
	'refund.failed',
	'charge.dispute.funds_withdrawn',
	'charge.dispute.funds_reinstated',
];

/*
 * Amounts are integers: of hundredths, but for these currencies. ISK and UGX have no decimals any more, and are counted
 * in hundredths all the same. Of three decimals, the last is 0.
 */
const NO_DECIMALS = new Set('BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF'.split(' '));
const THREE_DECIMALS = new Set('BHD JOD KWD OMR TND'.split(' '));
const WHOLE_HUNDREDS = new Set(['ISK', 'UGX']);

/**
 * An amount as Stripe counts it. What Stripe cannot charge is refused, and not rounded.
 * @param {import('./provider.js').Money} money
 */
export function toStripe({ amount, currency }) {
	const decimals = NO_DECIMALS.has(currency) ? 0 : THREE_DECIMALS.has(currency) ? 3 : 2;
	const [, whole, fraction = ''] = /^([0-9]+)(?:\.([0-9]+))?$/.exec(amount) ?? [];
	const rest = fraction.slice(decimals);
	const units = Number(whole + fraction.slice(0, decimals).padEnd(decimals, '0'));
	const step = WHOLE_HUNDREDS.has(currency) ? 100 : decimals === 3 ? 10 : 1;
	if (!Number.isSafeInteger(units) || /[1-9]/.test(rest) || units % step !== 0)
		throw new RangeError(`Stripe cannot charge ${amount} ${currency}`);
	return units;
}

/** An amount of Stripe's as text: "19.00 USD". */
export function fromStripe(units, currencyCode) {
	const currency = currencyCode.toUpperCase();
	if (!Number.isSafeInteger(units) || units < 0) throw new RangeError(`${units} is no amount of Stripe's`);
	if (NO_DECIMALS.has(currency)) return `${units} ${currency}`;
	if (WHOLE_HUNDREDS.has(currency) && units % 100 === 0) return `${units / 100} ${currency}`;
	const decimals = THREE_DECIMALS.has(currency) ? 3 : 2;
	const digits = String(units).padStart(decimals + 1, '0');
	return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)} ${currency}`;
}

/* The languages of Stripe's page; in others, it follows the browser. Ukrainian is none of them. */
const LOCALES = new Set(
	'bg cs da de el en es et fi fil fr hr hu id it ja ko lt lv ms mt nb nl pl pt ro ru sk sl sv th tr vi zh'.split(' '));

const WALLETS = { apple_pay: 'apple_pay', google_pay: 'google_pay' };
const METHODS = {
	card: 'card', card_present: 'card', link: 'card',
	us_bank_account: 'bank_transfer', sepa_debit: 'bank_transfer', bacs_debit: 'bank_transfer',
	customer_balance: 'bank_transfer', ideal: 'bank_transfer', bancontact: 'bank_transfer', p24: 'bank_transfer',
};

/**
 * @param {object} options
 * @param {string} options.secretKey
 * @param {string} options.webhookSecret  of the endpoint: "whsec_…"
 * @param {string} [options.service]  one word for this service, as a Stripe account may serve several
 * @param {Record<string, string>} [options.methods]  kbilling's method for a type of payment method of Stripe's
 * @param {import('./provider.js').Charge} [options.charge]
 * @param {object} [options.api]  options for the package: a proxy, another host
 * @returns {import('./provider.js').Provider}
 */
export function createStripe({
	secretKey, webhookSecret, service = 'kbilling', methods = {}, charge = amount => amount, api = {},
}) {
	const stripe = new Stripe(secretKey, { maxNetworkRetries: 2, timeout: 20000, ...api });
	const ours = thing => (thing?.metadata?.service === service ? readOrderName(service, thing.metadata.order) : null);
	const methodOf = details => {
		const wallet = WALLETS[details?.card?.wallet?.type];
		return methods[wallet ?? details?.type] ?? wallet ?? METHODS[details?.type] ?? 'card';
	};

	/* The payment that a refund or dispute is of, with its charge: they do not have our metadata. */
	const paymentIntent = id => stripe.paymentIntents.retrieve(id, { expand: ['latest_charge'] });

	/* Stripe knows the least and the most that it charges, which goes by currency and account. */
	const tooSmallOrLarge = error =>
		error instanceof Stripe.errors.StripeInvalidRequestError && ['amount_too_small', 'amount_too_large'].includes(error.code);

	async function begin({ accountId, paymentId, amount, language, returnUrl, cancelUrl = returnUrl, description }) {
		const charged = charge(amount);
		const order = orderName(service, { accountId, paymentId });
		const metadata = { service, order, amount: moneyText(amount) };
		const session = await stripe.checkout.sessions.create({
			mode: 'payment',
			client_reference_id: order,
			line_items: [{
				quantity: 1,
				price_data: {
					currency: charged.currency.toLowerCase(),
					unit_amount: toStripe(charged),
					product_data: { name: description },
				},
			}],
			metadata,
			payment_intent_data: { metadata },
			locale: LOCALES.has(language) ? language : 'auto',
			success_url: returnUrl,
			cancel_url: cancelUrl,
		}, { idempotencyKey: order }).catch(error => {
			throw tooSmallOrLarge(error) ? new RangeError(error.message) : error;
		});
		return { url: session.url };
	}

	/* What was charged is what is credited, unless it is in another currency than was asked for: then that is. */
	function credited(session) {
		const charged = fromStripe(session.amount_total, session.currency);
		const { presentment_amount: shown, presentment_currency: shownIn } = session.presentment_details ?? {};
		const asked = session.metadata.amount;
		if (!asked.endsWith(charged.slice(-3))) return { amount: asked, paid: charged };
		return { amount: charged, paid: shownIn ? fromStripe(shown, shownIn) : null };
	}

	async function paid(order, session) {
		const intent = await paymentIntent(session.payment_intent);
		return [{
			kind: 'paid', ...order, reference: session.payment_intent, ...credited(session),
			method: methodOf(intent.latest_charge?.payment_method_details),
		}];
	}

	const failed = (order, failure) => [{ kind: 'failed', ...order, failure }];

	function sessionReports(session) {
		const order = ours(session);
		if (order === null) return [];
		if (session.payment_status === 'paid') return paid(order, session);
		return session.status === 'expired' ? failed(order, 'checkout_expired') : [];
	}

	function intentReports(intent) {
		const order = ours(intent);
		return order === null ? [] : failed(order, intent.last_payment_error?.message ?? 'declined');
	}

	/* A refund that waits for the customer has paid nothing back, and if it ends so, it never did. */
	function refund(order, object, before) {
		const hasFailed = object.status === 'failed' || object.status === 'canceled';
		if (object.status === 'requires_action' || (before === 'requires_action' && hasFailed)) return [];
		const made = {
			kind: 'refunded', accountId: order.accountId, reference: object.id, topupReference: object.payment_intent,
			amount: fromStripe(object.amount, object.currency),
		};
		const { accountId, reference } = made;
		const failed = { kind: 'refund_failed', accountId, reference: `${reference}_failed`, refundReference: reference };
		return hasFailed ? [made, failed] : [made];
	}

	/*
	 * A dispute takes money, may give it back, and (a second round) take it again. Stripe lists what moved until now;
	 * where it has not done so yet, the event says. A dispute of the whole charge takes what is left of it.
	 */
	function dispute({ accountId }, object, intent, type) {
		const moved = object.balance_transactions.map(({ amount }) => amount).filter(amount => amount !== 0);
		const signs = moved.length > 0 ? moved : type === 'charge.dispute.funds_reinstated' ? [-1, 1] : [-1];
		const isWhole = object.currency === intent.currency && object.amount >= intent.amount_received;
		const part = isWhole ? {} : { amount: fromStripe(object.amount, object.currency) };
		let round = 0;
		return signs.map(sign => {
			if (sign < 0) round++;
			const reference = round > 1 ? `${object.id}_${round}` : object.id;
			return sign < 0
				? { kind: 'disputed', accountId, reference, topupReference: object.payment_intent, ...part }
				: { kind: 'dispute_won', accountId, reference: `${reference}_won`, chargebackReference: reference };
		});
	}

	async function reportsOf({ type, data: { object, previous_attributes: before } }) {
		if (!EVENTS.includes(type)) return [];
		if (type.startsWith('checkout.session.')) return sessionReports(object);
		if (type.startsWith('payment_intent.')) return intentReports(object);
		if (!object.payment_intent) return [];
		const intent = await paymentIntent(object.payment_intent);
		const order = ours(intent);
		if (order === null) return [];
		if (type.startsWith('refund.')) return refund(order, object, before?.status);
		return dispute(order, object, intent, type);
	}

	async function verify(headers, body) {
		let event;
		try {
			event = stripe.webhooks.constructEvent(body, headers['stripe-signature'] ?? '', webhookSecret);
		} catch (error) {
			throw error instanceof Stripe.errors.StripeSignatureVerificationError ? new BadSignature() : error;
		}
		return reportsOf(event);
	}

	/* Sessions cannot be looked up by what they are for: those of that time are looked through. */
	async function find({ accountId, paymentId, begunAt }) {
		const order = orderName(service, { accountId, paymentId });
		const begun = Math.floor(begunAt.getTime() / 1000);
		const query = { created: { gte: begun - 300, lte: begun + 3600 }, limit: 100 };
		const reports = [];
		for await (const session of stripe.checkout.sessions.list(query)) {
			if (session.client_reference_id !== order) continue;
			reports.push(...(await sessionReports(session)), ...(await sequel(session)));
		}
		return reports;
	}

	/* What became of a session's payment after it was paid. */
	async function sequel({ payment_intent: id, payment_status: status }) {
		if (!id || status !== 'paid') return [];
		const intent = await paymentIntent(id);
		const order = ours(intent);
		const query = { payment_intent: id, limit: 100 };
		const reports = [];
		for await (const object of stripe.refunds.list(query)) reports.push(...refund(order, object));
		for await (const object of stripe.disputes.list(query))
			if (object.balance_transactions.length > 0) reports.push(...dispute(order, object, intent));
		return reports;
	}

	/* Stripe knows which events it could not deliver, for 30 days. */
	async function* missed(since) {
		const created = { gte: Math.floor(since.getTime() / 1000) };
		const query = { types: EVENTS, delivery_success: false, created, limit: 100 };
		const events = [];
		for await (const event of stripe.events.list(query)) events.unshift(event);
		for (const event of events) yield () => reportsOf(event);
	}

	return { name: 'stripe', origins: ['https://checkout.stripe.com'], begin, verify, find, missed };
}
