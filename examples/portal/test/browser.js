/*
 * What a browser does, as far as tests without one need it: it keeps a cookie, and sends the forms that it was shown.
 */
import { loginToken, signedSessions } from '../src/session.js';

export const ORIGIN = 'http://localhost';
export const SECRET = 'a secret of the tests, which is long enough';

/** What the application may set up: sessions by tokens. */
export const session = signedSessions({ secret: SECRET, origin: ORIGIN });

/** The value of a hidden field of a page. */
export const fieldOf = (page, name) => new RegExp(`name="${name}" value="([^"]*)"`).exec(page)?.[1];

export class Browser {
	constructor(app) {
		this.app = app;
		this.cookie = undefined;
	}

	/** One that a member has logged in with. */
	static async of(app, accountId, member) {
		const browser = new Browser(app);
		await browser.get(`/login?token=${loginToken(SECRET, { accountId, member })}`);
		return browser;
	}

	async request(path, { headers = {}, ...init } = {}) {
		const cookie = this.cookie ? { cookie: this.cookie } : {};
		const response = await this.app.request(ORIGIN + path, { ...init, headers: { ...cookie, ...headers } });
		const set = response.headers.get('set-cookie');
		if (set) this.cookie = set.includes('Max-Age=0') ? undefined : set.split(';')[0];
		return { status: response.status, headers: response.headers, text: await response.text() };
	}

	get(path, headers) {
		return this.request(path, { headers });
	}

	/** Sends a form, as the browser does that was shown it. */
	async post(path, fields = {}, headers = {}) {
		const csrf = this.csrf ??= fieldOf((await this.get('/')).text, 'csrf');
		return this.postAs(path, { csrf, ...fields }, { origin: ORIGIN, 'sec-fetch-site': 'same-origin', ...headers });
	}

	postAs(path, fields, headers) {
		return this.request(path, {
			method: 'POST',
			headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
			body: new URLSearchParams(fields).toString(),
		});
	}
}
