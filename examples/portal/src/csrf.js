/*
 * That a form which changes something was sent from one of our pages, by who was shown it: a page of another site knows
 * no token, and its forms carry the name of that site.
 */
import { Problem } from './errors.js';
import { same } from '../payments/same.js';
import { mac } from './session.js';

/** The token that the forms of a session carry. */
export function csrfToken(secret, session) {
	return mac(secret, 'csrf', session.id);
}

/** Whether the browser says that the request comes from our own pages; one that says nothing is not refused. */
export function fromHere(request, origin) {
	const from = request.headers.get('origin');
	const site = request.headers.get('sec-fetch-site');
	return (from === null || from === origin) && (site === null || site === 'same-origin');
}

/** The fields of a form. What cannot be read as one, such as a part without an end, is none of ours. */
export async function fieldsOf(c) {
	return c.req.parseBody().catch(() => {
		throw new Problem('badForm');
	});
}

/** Whether a form is one that we gave to this session. */
export function isOurs(request, token, { secret, origin, session }) {
	return fromHere(request, origin) && typeof token === 'string' && same(token, csrfToken(secret, session));
}
