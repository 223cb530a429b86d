/*
 * From a provider's report to the call that books it, and from the SQLSTATE of that to what the provider is answered:
 * the tables of docs/operations.md#webhooks. It needs a connection with the rights "payments" and no others.
 */
import pg from 'pg';

/** @typedef {import('./provider.js').Report} Report */

/** Of each kind: the call, and what its arguments are made of; of those in "ids", references are made. */
const CALLS = {
	paid: {
		ids: ['reference'],
		call: 'kb_apply_topup(:accountId, :amount, :method, :reference, payment_id => :paymentId, paid => :paid)',
	},
	failed: { ids: [], call: 'kb_fail_topup(:accountId, :paymentId, :failure)' },
	refunded: {
		ids: ['reference', 'topupReference'],
		call: 'kb_refund(:accountId, :amount, :reference, topup_reference => :topupReference, forced => true)',
	},
	refunded_total: {
		ids: ['reference', 'topupReference'],
		call: 'kb_refund_total(:accountId, :topupReference, :amount, :reference)',
	},
	refund_failed: {
		ids: ['reference', 'refundReference'],
		call: 'kb_reverse_refund(:accountId, :refundReference, :reference)',
	},
	disputed: {
		ids: ['reference', 'topupReference'],
		call: 'kb_chargeback(:accountId, :topupReference, :reference, :amount)',
	},
	dispute_won: {
		ids: ['reference', 'chargebackReference'],
		call: 'kb_reverse_chargeback(:accountId, :chargebackReference, :reference)',
	},
};

const TYPES = { accountId: 'bigint', paymentId: 'bigint', amount: 'kbilling.kb_money', paid: 'kbilling.kb_money' };

/**
 * The statement for a report, with its values.
 * @param {string} provider  the provider's name
 * @param {Report} report
 */
export function statement(provider, report) {
	const kind = CALLS[report.kind];
	if (kind === undefined) throw new TypeError(`there is no report of the kind "${report.kind}"`);
	const values = [];
	const put = value => `$${values.push(value ?? null)}`;
	const call = kind.call.replace(/:(\w+)/g, (_, name) =>
		kind.ids.includes(name)
			? `kbilling.kb_reference(${put(provider)}::text, ${put(report[name])}::text)`
			: `${put(report[name])}::${TYPES[name] ?? 'text'}`);
	return { text: `SELECT * FROM kbilling.${call}`, values };
}

/** What may come right by itself: a conflict; a time-out, a server that is away, an account that is being moved. */
const AT_ONCE = /^(40001|40P01)$/;
const LATER = /^(55P03|57014|KB014|08...|53...|57P..|25006)$/;

/**
 * What an error means for a report: "at once", "later" (the provider sends it again), or "alert" (it fails each time
 * until somebody puts something right, or until that which it belongs to has come).
 * @returns {"at once"|"later"|"alert"}
 */
export function verdict(error) {
	if (!(error instanceof pg.DatabaseError)) return error instanceof TypeError ? 'alert' : 'later'; // no answer at all
	if (AT_ONCE.test(error.code)) return 'at once';
	return LATER.test(error.code) ? 'later' : 'alert';
}

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

/**
 * Books a report, in a transaction of its own. Conflicts with other transactions are tried again here.
 * @param {{query: (text: string, values: unknown[]) => Promise<unknown>}} db  a pool of the role with "payments"
 * @param {string} provider  its name
 * @param {Report} report
 * @returns {Promise<{answer: "done"} | {answer: "later"|"alert", error: Error}>}
 */
export async function book(db, provider, report, tries = 4) {
	for (let n = 1; ; n++) {
		try {
			const { text, values } = statement(provider, report);
			await db.query(text, values);
			return { answer: 'done' };
		} catch (error) {
			const answer = verdict(error);
			if (answer !== 'at once') return { answer, error };
			if (n >= tries) return { answer: 'later', error };
			await pause(Math.random() * 20 * 2 ** n);
		}
	}
}

/**
 * Books reports one after the other, and says the worst that became of them. Someone is told of what does not come
 * right by itself.
 * @param {(what: {provider: string, report?: Report, error: Error}) => unknown} alert
 */
export async function bookAll(db, provider, reports, alert) {
	const answers = [];
	for (const report of reports) {
		const { answer, error } = await book(db, provider, report);
		if (answer === 'alert') await alert({ provider, report, error });
		answers.push(answer);
	}
	return ['alert', 'later'].find(answer => answers.includes(answer)) ?? 'done';
}
