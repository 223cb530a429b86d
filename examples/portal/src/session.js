/*
 * Who is logged in. The application knows: it makes a token for its member, and sends the browser to /login?token=...;
 * the portal answers with a cookie of its own. Both are signed, and end; a token is good once.
 *
 * An application that can tell by itself who sends a request (by its own cookie, or a header that its proxy sets) needs
 * no token: give createApp a `session` whose `who` says so, and leave out the rest.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { same } from '../payments/same.js';

const LOGIN_SECONDS = 60;
const SESSION_SECONDS = 8 * 3600;

/** A text of 64 hexadecimal digits that only who has the secret can make. */
export function mac(secret, purpose, text) {
	return createHmac('sha256', secret).update(`${purpose}.${text}`).digest('hex');
}

function sign(secret, purpose, payload) {
	const body = Buffer.from(JSON.stringify(payload)).toString('base64url');
	return `${body}.${mac(secret, purpose, body)}`;
}

/** What a token says; its `fault` is "bad" or "expired" if it is not to be trusted. */
function open(secret, purpose, token, now) {
	const [body, signature, ...rest] = String(token).split('.');
	if (rest.length > 0 || !same(mac(secret, purpose, body), signature)) return { fault: 'bad' };
	const payload = JSON.parse(Buffer.from(body, 'base64url').toString());
	return payload.expires > now() ? payload : { fault: 'expired' };
}

const newId = () => randomBytes(16).toString('hex');

function cookieOf(request, name) {
	for (const pair of (request.headers.get('cookie') ?? '').split(';')) {
		const at = pair.indexOf('=');
		if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
	}
}

/**
 * The token with which the application sends its member to the portal.
 * @param {{accountId: string|number|bigint, member: string}} who
 */
export function loginToken(secret, { accountId, member }, now = Date.now) {
	const expires = now() + LOGIN_SECONDS * 1000;
	return sign(secret, 'login', { accountId: String(accountId), member, expires, id: newId() });
}

/** Takes each token once: it is remembered until it would have ended, in this process. */
function usedTokens(now) {
	const endings = new Map();
	return {
		isUsed: token => endings.has(token),
		use(token, expires) {
			for (const [old, ends] of endings) if (ends <= now()) endings.delete(old);
			endings.set(token, expires);
		},
	};
}

/**
 * Sessions by signed tokens. `origin` is the portal's address, as browsers see it: by https, the cookie is for it alone.
 * @param {{secret: string, origin: string, now?: () => number}} options
 */
export function signedSessions({ secret, origin, now = Date.now }) {
	const secure = origin.startsWith('https:');
	const name = secure ? '__Host-portal' : 'portal';
	// Lax: who comes back from the payment provider is still logged in; a form of another site is not.
	const used = usedTokens(now);
	const attributes = `Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;

	return {
		/** Who sends the request: {accountId, member, id}; {fault} if it is none of ours; null for nobody. */
		who(request) {
			const token = cookieOf(request, name);
			return token ? open(secret, 'session', token, now) : null;
		},

		/** The Set-Cookie of the session that a token of the application begins, or {fault}. */
		begin(token) {
			const { fault, accountId, member, expires: ends } = open(secret, 'login', token, now);
			if (fault) return { fault };
			if (used.isUsed(token)) return { fault: 'used' };
			used.use(token, ends);
			const expires = now() + SESSION_SECONDS * 1000;
			const value = sign(secret, 'session', { accountId, member, expires, id: newId() });
			return { cookie: `${name}=${value}; Max-Age=${SESSION_SECONDS}; ${attributes}` };
		},

		/** The Set-Cookie that ends the session. */
		end() {
			return `${name}=; Max-Age=0; ${attributes}`;
		},
	};
}
