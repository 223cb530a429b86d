/*
 * What a payment provider is to the portal, and what it reports. stripe.js, liqpay.js and fake.js are providers.
 *
 * A provider knows its own network and its own words, and nothing of the database: what it has heard, or found when it
 * was asked, it says as reports, and report.js books them. The same report may come any number of times.
 */

/**
 * @typedef {{amount: string, currency: string}} Money  as kbilling writes it in JSON: "19.00", "USD"
 *
 * @typedef {object} Payment  a payment that was begun with kb_begin_topup
 * @property {number|string} accountId
 * @property {number|string} paymentId
 * @property {Money} amount  what is to be on the balance, in the account's currency
 *
 * @typedef {{action: string, fields: Record<string, string>}} Form
 *
 * @typedef {(amount: Money) => Money} Charge  what the customer is charged for an amount, if that is not the amount: for
 *   prices in a currency that cards are not charged in. It is asked when a payment is begun
 *
 * @typedef {Payment & {language?: string, returnUrl: string, cancelUrl?: string, description: string}} Begun  where the
 *   browser goes from the provider: after the payment, and without it (else it is the same)
 *
 * @typedef {object} Report
 * @property {"paid"|"failed"|"refunded"|"refunded_total"|"refund_failed"|"disputed"|"dispute_won"} kind
 * @property {number|string} accountId
 * @property {number|string} [paymentId]  of "paid" and "failed"
 * @property {string} [reference]  the provider's own id of this payment, refund, dispute or of its end: letters, digits
 *   and underscores, and no underscore beside more than twelve digits. report.js makes a reference of it (kb_reference)
 * @property {string} [amount]  "19.00 USD". Of what goes back: in the account's currency, or in that which was paid. Of
 *   a dispute it may be missing: all that is left. Of "refunded_total" it is what went back until now, all together
 * @property {string|null} [paid]  what the customer was charged, if that is another amount: "800.00 UAH"
 * @property {string} [method]  a row of kbilling.payment_method
 * @property {string} [topupReference]  the id of the payment that a refund or dispute belongs to
 * @property {string} [refundReference]  the id of the refund that has failed
 * @property {string} [chargebackReference]  the id of the dispute that was won
 * @property {string} [failure]  why it failed: one of FAILURES, or the provider's own words
 *
 * @typedef {object} Provider
 * @property {string} name  by which references begin: a letter, then letters, digits and underscores
 * @property {string[]} origins  where begin sends the browser: what form-action of a Content-Security-Policy has to allow
 * @property {(payment: Begun) => Promise<{url: string} | Form>} begin  where the customer pays: an address to go to, or a
 *   form to POST. A RangeError says that the provider takes no such amount
 * @property {(headers: Record<string, string>, body: Buffer) => Promise<Report[]>} verify  what a call of the webhook
 *   says: nothing, if it is of no payment of ours or changes nothing. Throws BadSignature
 * @property {(payment: Payment & {begunAt: Date, settled: boolean}) => Promise<Report[]>} find  all that has become of a
 *   payment, which is credited already if it is settled
 * @property {(since: Date) => AsyncIterable<() => Promise<Report[]>>} [missed]  what the provider has tried to report
 *   since then, in vain, the oldest first: for each event, what makes its reports. Who has it need not be asked of
 *   payments that are settled
 * @property {import('hono').Hono} [routes]  pages of its own: the checkout of the fake
 */

/**
 * Why a payment failed, where the provider has no words for it: codes, which the page says in the member's language.
 *
 * - checkout_expired: the provider's page was open for too long
 * - declined: the bank, or the provider, has declined it
 * - reversed: it was paid back before it was credited
 * - test_payment: it was a test, and moved no money
 * - no_answer: the provider did not answer when it was begun
 * - amount_refused: the provider takes no such amount
 */
export const FAILURES = ['checkout_expired', 'declined', 'reversed', 'test_payment', 'no_answer', 'amount_refused'];

/** A call of the webhook that the provider has not signed. */
export class BadSignature extends Error {
	constructor() {
		super('the signature does not fit');
		this.name = 'BadSignature';
	}
}

/** @param {Money} money */
export const moneyText = ({ amount, currency }) => `${amount} ${currency}`;

/**
 * The name of a payment at a provider. The service's own name is part of it: an account of the provider may serve
 * several, and what is of another one is none of ours.
 */
export const orderName = (service, { accountId, paymentId }) => `${service}-${accountId}-${paymentId}`;

/** The account and payment of such a name, or null. */
export function readOrderName(service, name) {
	const found = /^(.+)-([1-9][0-9]{0,18})-([1-9][0-9]{0,18})$/.exec(name ?? '');
	return found !== null && found[1] === service ? { accountId: found[2], paymentId: found[3] } : null;
}
