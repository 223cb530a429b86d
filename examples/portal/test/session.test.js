import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attempts } from '../src/attempts.js';
import { csrfToken, isOurs } from '../src/csrf.js';
import { loginToken, signedSessions } from '../src/session.js';

const secret = 'one secret, which is long enough to be one';
const origin = 'https://billing.example.com';
let time = Date.parse('2026-12-05T09:00:00Z');
const now = () => time;
const sessions = signedSessions({ secret, origin, now });
const token = (of = { accountId: 7, member: 'olha' }, key = secret) => loginToken(key, of, now);

const valueOf = cookie => cookie.split(';')[0];
const ask = cookie => sessions.who(new Request(origin, { headers: cookie ? { cookie } : {} }));

/** The same token, saying something else. */
function changed(text, changes) {
	const [body, signature] = text.split('.');
	const payload = { ...JSON.parse(Buffer.from(body, 'base64url')), ...changes };
	return `${Buffer.from(JSON.stringify(payload)).toString('base64url')}.${signature}`;
}

test('the application\'s token begins a session of its member', () => {
	const { cookie } = sessions.begin(token());
	assert.match(cookie, /^__Host-portal=/);
	for (const attribute of ['Path=/', 'HttpOnly', 'SameSite=Lax', 'Secure']) {
		assert.ok(cookie.includes(`; ${attribute}`), attribute);
	}
	const { accountId, member } = ask(`other=1; ${valueOf(cookie)}`);
	assert.deepEqual({ accountId, member }, { accountId: '7', member: 'olha' });
});

test('an account\'s number is not rounded', () => {
	const { cookie } = sessions.begin(token({ accountId: 9223372036854775807n, member: 'olha' }));
	assert.equal(ask(valueOf(cookie)).accountId, '9223372036854775807');
});

test('a token that was made up, changed, or signed by another secret begins none', () => {
	const good = token();
	const [body] = good.split('.');
	const wrong = ['', 'x', '.', 'a.b', 'a.b.c', `${good}.x`, good.slice(0, -1), `${body}.`, `${body}.ї`,
		changed(good, { accountId: '8' }), changed(good, { member: 'owner' }), changed(good, { expires: time * 2 }),
		token(undefined, 'another secret, which is long enough, too')];
	for (const text of wrong) assert.deepEqual(sessions.begin(text), { fault: 'bad' }, text);
});

test('a token of the application is good for a minute, a session for some hours', () => {
	const late = token();
	const { cookie } = sessions.begin(token());
	time += 61 * 1000;
	assert.deepEqual(sessions.begin(late), { fault: 'expired' });
	assert.equal(ask(valueOf(cookie)).member, 'olha');
	time += 8 * 3600 * 1000;
	assert.deepEqual(ask(valueOf(cookie)), { fault: 'expired' });
});

test('a token of the application is good once, until it would have ended', () => {
	const once = token();
	assert.ok(sessions.begin(once).cookie);
	assert.deepEqual(sessions.begin(once), { fault: 'used' });
	const another = token();
	assert.notEqual(another, once, 'two of the same moment differ');
	assert.ok(sessions.begin(another).cookie);
	time += 61 * 1000;
	assert.deepEqual(sessions.begin(once), { fault: 'expired' });
});

test('what is signed as the one is not taken as the other', () => {
	const { cookie } = sessions.begin(token());
	assert.deepEqual(sessions.begin(valueOf(cookie).split('=')[1]), { fault: 'bad' });
	assert.deepEqual(ask(`__Host-portal=${token()}`), { fault: 'bad' });
});

test('without a cookie, nobody is there', () => {
	assert.equal(ask(undefined), null);
	assert.equal(ask('__Host-portal='), null);
	assert.equal(ask('portal=x'), null);
	assert.match(sessions.end(), /^__Host-portal=; Max-Age=0;/);
});

test('without https, the cookie is sent over http', () => {
	const { cookie } = signedSessions({ secret, origin: 'http://localhost:8080', now }).begin(token());
	assert.match(cookie, /^portal=/);
	assert.ok(!cookie.includes('Secure'));
});

test('a form is ours by the session\'s token, and by where the browser says that it comes from', () => {
	const [one, other] = [{ id: 'a' }, { id: 'b' }];
	const ours = csrfToken(secret, one);
	const sent = (headers, text) => isOurs(new Request(origin, { headers }), text, { secret, origin, session: one });
	assert.ok(sent({}, ours));
	assert.ok(sent({ origin, 'sec-fetch-site': 'same-origin' }, ours));
	for (const from of ['null', 'https://evil.example', `${origin}.evil.example`, 'http://billing.example.com']) {
		assert.ok(!sent({ origin: from }, ours), from);
	}
	for (const site of ['cross-site', 'same-site', 'none']) assert.ok(!sent({ 'sec-fetch-site': site }, ours), site);
	for (const text of ['', undefined, null, 'x', ours.slice(1), csrfToken(secret, other), csrfToken('another', one)]) {
		assert.ok(!sent({}, text), String(text));
	}
});

test('so many tries, and then a wait', () => {
	let at = 0;
	const tries = attempts({ limit: 2, seconds: 10, keys: 3, now: () => at });
	assert.deepEqual([tries.take('a'), tries.take('a'), tries.take('a'), tries.take('b')], [0, 0, 10, 0]);
	at = 4000;
	assert.equal(tries.take('a'), 6);
	at = 10000;
	assert.equal(tries.take('a'), 0);
});

test('a try that came to nothing is given back', () => {
	const tries = attempts({ limit: 1, seconds: 10, now: () => 0 });
	tries.giveBack('a');
	assert.equal(tries.take('a'), 0);
	tries.giveBack('a');
	assert.deepEqual([tries.take('a'), tries.take('a')], [0, 10]);
});

test('keys beyond the most that are kept push out the oldest', () => {
	let at = 0;
	const tries = attempts({ limit: 1, seconds: 10, keys: 2, now: () => at++ });
	for (const key of ['a', 'b', 'c', 'd']) tries.take(key);
	assert.ok(tries.take('d') > 0);
	assert.equal(tries.take('a'), 0);
});
