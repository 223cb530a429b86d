/*
 * The provider's way in: POST /webhooks/NAME.
 *
 * | answer | when | the provider |
 * | --- | --- | --- |
 * | 200 | what it said is booked, was booked before, or is none of ours | is done |
 * | 400 | it is not signed by the provider, who is told no more | |
 * | 413 | it is larger than any report | |
 * | 500 | it cannot be booked until somebody puts something right, who is told | sends it again |
 * | 503 | it can be booked later | sends it again |
 */
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { BadSignature } from './provider.js';
import { bookAll } from './report.js';

const STATUS = { done: 200, later: 503, alert: 500 };

/**
 * @param {object} options
 * @param {{query: Function}} options.db  a pool of the role with "payments"
 * @param {import('./provider.js').Provider} options.provider
 * @param {(what: {provider: string, report?: object, error: Error}) => unknown} [options.alert]  tells someone
 * @param {number} [options.maxBytes]
 */
export function webhookRoutes({ db, provider, alert = logAlert, maxBytes = 256 * 1024 }) {
	const routes = new Hono();
	routes.post(`/${provider.name}`, bodyLimit({ maxSize: maxBytes, onError: c => c.body(null, 413) }), async c => {
		// the bytes, as they were signed
		const body = Buffer.from(await c.req.arrayBuffer());
		return c.body(null, await take(db, provider, alert, c.req.header(), body));
	});
	return routes;
}

/** Takes one call of the webhook; the status to answer with. */
async function take(db, provider, alert, headers, body) {
	let reports;
	try {
		reports = await provider.verify(headers, body);
	} catch (error) {
		if (error instanceof BadSignature) return 400;
		await alert({ provider: provider.name, error });
		return 500;
	}
	return STATUS[await bookAll(db, provider.name, reports, alert)];
}

/** An alert for who has nothing better: a line in the log. It says which payment, and nothing of who paid. */
export function logAlert({ provider, report, error }) {
	const { kind, accountId, paymentId, reference } = report ?? {};
	console.error(JSON.stringify({
		alert: 'a report of the payment provider needs somebody', provider, kind, accountId, paymentId, reference,
		state: error.code, message: error.message, detail: error.detail, hint: error.hint,
	}));
}
