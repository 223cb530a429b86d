/*
 * The portal: what its routes have in common, and their order.
 */
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { webhookRoutes } from '../payments/webhook.js';
import { book } from '../payments/report.js';
import { attempts } from './attempts.js';
import { billingRoutes } from './billing.js';
import { demoRoutes } from './demo.js';
import { Problem, problemOf } from './errors.js';
import { securityHeaders } from './headers.js';
import { loginRoutes, remoteAddress } from './login.js';
import { problemPage } from './pages/problem.js';
import { staticRoutes, stylesheet } from './static.js';
import { views } from './views.js';

const FORM_BYTES = 16 * 1024;

/** An error, for the log. Its state is looked up in the table of docs/operations.md; of a form it says nothing. */
function logError(error) {
	const { code, message, detail, hint, stack, cause } = error;
	const where = code ? undefined : stack;
	console.error(JSON.stringify({ error: message, state: code, detail, hint, cause: cause?.message, stack: where }));
}

/**
 * @param {object} options
 * @param {import('./db.js').Database} options.db as the role with the rights "app"
 * @param {import('./db.js').Database} options.payments as the role with the rights "payments"
 * @param {import('../payments/provider.js').Provider} options.provider
 * @param {{who: (request: Request) => object|null, begin?: Function, end?: Function}} options.session who is logged in
 * @param {string} options.secret of at least 32 characters, for the tokens of forms
 * @param {string} options.origin the portal's address, as browsers see it: "https://billing.example.com"
 * @param {string} [options.application] the application's address
 * @param {string} [options.support] where to write to: "mailto:support@example.com"
 * @param {{name: string, lines?: string[]}} [options.seller] whose receipts they are
 * @param {object} [options.clock] a demo's switch of the day
 * @param {(c: object) => string} [options.client] whose tries are counted together: the address of the browser
 * @param {(error: Error) => void} [options.log]
 * @param {Function} [options.alert] as of webhookRoutes
 */
export function createApp(options) {
	const { db, payments, provider, origin, clock, alert, client = remoteAddress, log = logError } = options;
	const view = views({ ...options, stylesheet });
	const portal = {
		...options,
		client,
		log,
		view,
		beginnings: attempts({ limit: 10, seconds: 600 }),
		badTokens: attempts({ limit: 20, seconds: 600 }),
		failPayment: async (payment, failure) => {
			const { error } = await book(payments, provider.name, { kind: 'failed', ...payment, failure });
			if (error) throw error;
		},
	};
	const app = new Hono();

	app.use(securityHeaders({ origin, formOrigins: provider.origins }));
	app.onError((error, c) => {
		const problem = problemOf(error);
		if (problem.status >= 500 && error !== problem) log(error);
		if (problem.wait) c.header('Retry-After', String(problem.wait));
		return c.html(problemPage(view.stranger(c.req.raw, c.get('language')), problem.name), problem.status);
	});
	app.notFound(c => c.html(problemPage(view.stranger(c.req.raw), 'noPage'), 404));

	app.route('/', staticRoutes);
	// The provider signs what it sends; it has no cookie, and no form of ours.
	app.route('/webhooks', webhookRoutes({ db: payments, provider, alert }));
	app.use(bodyLimit({
		maxSize: FORM_BYTES,
		onError: () => {
			throw new Problem('badForm');
		},
	}));
	if (provider.routes) app.route('/', provider.routes);
	if (clock) app.route('/demo', demoRoutes(portal));
	if (options.session.begin) app.route('/', loginRoutes(portal));
	app.route('/', billingRoutes(portal));
	return app;
}
