/*
 * The way in, by the application's token, and the way out.
 */
import { getConnInfo } from '@hono/node-server/conninfo';
import { Hono } from 'hono';
import { fieldsOf, fromHere, isOurs } from './csrf.js';
import { Problem } from './errors.js';
import { signedOutPage } from './pages/problem.js';

/** The address that a request comes from, or that of the proxy before us. */
export function remoteAddress(c) {
	return c.env?.incoming ? getConnInfo(c).remote.address : 'unknown';
}

/** Behind a proxy: the address that it has added to a header, after those that the browser may have made up. */
export const forwardedAddress = header => c => c.req.header(header)?.split(',').at(-1).trim() ?? 'unknown';

/** @param {object} portal what createApp has put together */
export function loginRoutes({ session, view, secret, origin, client, badTokens }) {
	const routes = new Hono();

	routes.get('/login', c => {
		const { cookie, fault } = session.begin(c.req.query('token') ?? '');
		if (fault) {
			// Nobody guesses a token; who tries is slowed down. Good ones are never refused: an address can be that of many.
			const wait = fault === 'bad' ? badTokens.take(client(c)) : 0;
			throw wait > 0 ? new Problem('tooMany', { wait }) : new Problem('badLink');
		}
		c.header('Set-Cookie', cookie);
		return c.redirect('/', 303);
	});

	routes.post('/logout', async c => {
		const who = session.who(c.req.raw);
		const { csrf } = await fieldsOf(c);
		// Who is not signed in any more needs no token to be signed out.
		const isAllowed = who && !who.fault
			? isOurs(c.req.raw, csrf, { secret, origin, session: who }) : fromHere(c.req.raw, origin);
		if (!isAllowed) throw new Problem('badForm');
		c.header('Set-Cookie', session.end());
		return c.html(signedOutPage(view.stranger(c.req.raw)));
	});

	return routes;
}
