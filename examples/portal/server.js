/*
 * Starts the portal.
 *
 *   PORTAL_SECRET=... PORTAL_ORIGIN=https://billing.example.com node server.js
 *
 * README.md has all of the environment.
 */
import { serve } from '@hono/node-server';
import { providerFrom } from './payments/choose.js';
import { createApp } from './src/app.js';
import { demoClock } from './src/clock.js';
import { openApp, openPayments } from './src/db.js';
import { forwardedAddress } from './src/login.js';
import { signedSessions } from './src/session.js';

const { env } = process;
const port = Number(env.PORT || 8080);
const hostname = env.HOST || '127.0.0.1';
const secret = env.PORTAL_SECRET ?? '';

if (secret.length < 32) {
	console.error('PORTAL_SECRET has to be at least 32 characters that nobody can guess: openssl rand -hex 32');
	process.exit(1);
}

/** The origin of an address, as browsers say it; nothing for what is none, or has a path. */
function originOf(address) {
	try {
		const { origin, protocol, pathname, search, hash } = new URL(address);
		return ['http:', 'https:'].includes(protocol) && pathname + search + hash === '/' ? origin : undefined;
	} catch {
		return undefined;
	}
}

const origin = originOf(env.PORTAL_ORIGIN || `http://localhost:${port}`);
if (!origin) {
	console.error('PORTAL_ORIGIN has to be the address of the page, without a path: https://billing.example.com');
	process.exit(1);
}

const db = openApp(env);
const payments = openPayments(env);
const provider = providerFrom({ ...env, PORTAL_ORIGIN: origin });

// Who is logged in is this line's to say: put yours here.
const session = signedSessions({ secret, origin });

/** "Example Ltd; 1 Main Street; Kyiv" */
function sellerOf(text) {
	const [name, ...lines] = (text ?? '').split(';').map(part => part.trim()).filter(Boolean);
	return name && { name, lines };
}

const app = createApp({
	db,
	payments,
	provider,
	session,
	secret,
	origin,
	application: env.PORTAL_APPLICATION,
	support: env.PORTAL_SUPPORT,
	seller: sellerOf(env.PORTAL_SELLER),
	client: env.PORTAL_PROXY_HEADER ? forwardedAddress(env.PORTAL_PROXY_HEADER) : undefined,
	clock: env.PORTAL_CLOCK === '1' ? demoClock([db, payments]) : undefined,
});

const server = serve({ fetch: app.fetch, port, hostname }, () => {
	console.log(env.PORTAL_CLOCK === '1' ? `Open ${origin}/demo` : `The billing page is at ${origin}/`);
});
server.on('error', error => {
	console.error(error.message);
	process.exit(1);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
	process.once(signal, () => {
		server.close(() => Promise.all([db.end(), payments.end()]));
		server.closeIdleConnections();
	});
}
