/*
 * Asks the provider what has become of payments, and books what it says: of those that are not settled; of settled ones,
 * too, if the provider cannot say what it has reported in vain, as they may have been paid back.
 *
 *   node payments/reconcile.js [--older-than '15 minutes'] [--newer-than '3 days'] [--settled '3 days'] [--missed-days 7]
 *
 * All of these are of the time when the payment was begun, but the last one: how far back the provider is asked for what
 * it has reported in vain.
 *
 * To be run every quarter of an hour or so, by cron or a timer. The provider is that of PORTAL_PROVIDER, the database that
 * of PG*. It needs the rights "payments" and no others: kb_unsettled_payments tells it which payments these are.
 * Several at once do no harm. It ends with 1 if something could not be asked or booked.
 */
import { parseArgs } from 'node:util';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { providerFrom } from './choose.js';
import { bookAll } from './report.js';
import { logAlert } from './webhook.js';

const UNSETTLED = `SELECT account_id, payment_id, kbilling.kb_amount(amount)::text AS amount,
		kbilling.kb_currency(amount) AS currency, begun_at, status
	FROM kbilling.kb_unsettled_payments($1::interval, $2::interval, $3::integer, $4::bigint, $5::bigint, $6::interval)`;

/** The payments to ask for, from page to page. */
async function* unsettled(db, { olderThan, newerThan, settled, page }) {
	for (let last = {}; ;) {
		const after = [last.account_id ?? null, last.payment_id ?? null];
		const { rows } = await db.query(UNSETTLED, [olderThan, newerThan, page, ...after, settled]);
		yield* rows;
		if (rows.length < page) return;
		last = rows.at(-1);
	}
}

/* What is no news of a payment that is known to have failed, or to be paid. */
const KNOWN = { failed: ['failed'], settled: ['failed', 'paid'] };

/** What the provider says of a payment, but what is known. */
async function ask(provider, row) {
	const reports = await provider.find({
		accountId: row.account_id,
		paymentId: row.payment_id,
		amount: { amount: row.amount, currency: row.currency },
		begunAt: row.begun_at,
		settled: row.status === 'settled',
	});
	return reports.filter(({ kind }) => !KNOWN[row.status]?.includes(kind));
}

/**
 * @param {object} options
 * @param {{query: Function}} options.db  a pool of the role with "payments"
 * @param {import('./provider.js').Provider} options.provider
 * @param {Function} [options.alert]  as that of the webhook
 * @param {string} [options.olderThan]  an interval: the provider had that long to report by itself
 * @param {string} [options.newerThan]  an interval: what is older is given up
 * @param {string} [options.settled]  an interval: of settled payments, those that were begun since then are asked for
 * @param {number} [options.missedDays]  how far back the provider is asked for what it has reported in vain
 * @param {number} [options.page]  how many payments are read at once
 * @returns {Promise<{asked: number, booked: number, failures: number}>}  payments that were asked for, reports that
 *   were booked (again, perhaps), and what could not be asked or booked
 */
export async function reconcile({
	db, provider, alert = logAlert, olderThan = '15 minutes', newerThan = '3 days', settled = provider.missed ? '0' : '3 days',
	missedDays = 7, page = 500,
}) {
	const result = { asked: 0, booked: 0, failures: 0 };
	const attempt = async reportsOf => {
		try {
			const reports = await reportsOf();
			const answer = await bookAll(db, provider.name, reports, alert);
			if (answer === 'done') result.booked += reports.length;
			else result.failures += 1;
		} catch (error) {
			result.failures += 1;
			await alert({ provider: provider.name, error });
		}
	};
	for await (const row of unsettled(db, { olderThan, newerThan, settled, page })) {
		result.asked += 1;
		await attempt(() => ask(provider, row));
	}
	if (provider.missed)
		await attempt(async () => {
			const since = new Date(Date.now() - missedDays * 24 * 3600 * 1000);
			for await (const event of provider.missed(since)) await attempt(event);
			return [];
		});
	return result;
}

/** The command. */
async function main() {
	const text = { type: 'string' };
	const { values } = parseArgs({ options: { 'older-than': text, 'newer-than': text, settled: text, 'missed-days': text } });
	const missedDays = values['missed-days'] === undefined ? undefined : Number(values['missed-days']);
	if (missedDays !== undefined && !(missedDays >= 0)) throw new Error('--missed-days must be a number');
	const provider = providerFrom(process.env);
	const db = new pg.Pool({ user: process.env.PORTAL_WEBHOOK_ROLE || 'portal_webhook', application_name: 'reconcile' });
	try {
		const result = await reconcile({
			db, provider, olderThan: values['older-than'], newerThan: values['newer-than'], settled: values.settled, missedDays,
		});
		console.log(JSON.stringify(result));
		process.exitCode = result.failures > 0 ? 1 : 0;
	} finally {
		await db.end();
	}
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
