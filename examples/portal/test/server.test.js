/*
 * The whole of it, as "make portal" starts it: the server with the demo's day, its customers, and a provider that moves
 * no money.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { fieldOf, SECRET } from './browser.js';
import { freshDatabase } from './database.js';

const directory = fileURLToPath(new URL('..', import.meta.url));
let database, server, origin;

async function freePort() {
	const socket = createServer().listen(0, '127.0.0.1');
	await once(socket, 'listening');
	const { port } = socket.address();
	socket.close();
	await once(socket, 'close');
	return port;
}

const environment = port => ({
	PGDATABASE: database.name, PORT: String(port), PORTAL_SECRET: SECRET, PORTAL_PROVIDER: 'fake', PORTAL_CLOCK: '',
	PORTAL_ORIGIN: '', PORTAL_APPLICATION: '',
});

/** Starts the server; the first line that it says. */
async function start(env) {
	const options = { cwd: directory, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] };
	const child = spawn(process.execPath, ['server.js'], options);
	let said = '';
	const heard = stream => new Promise(resolve => stream.on('data', data => {
		said += data;
		if (said.includes('\n')) resolve();
	}));
	await Promise.race([heard(child.stdout), heard(child.stderr), once(child, 'exit')]);
	return { child, said };
}

before(async () => {
	database = await freshDatabase({ demo: true });
	const port = await freePort();
	origin = `http://localhost:${port}`;
	server = await start({ ...environment(port), PORTAL_CLOCK: '1' });
});
after(async () => {
	if (server.child.exitCode === null) {
		server.child.kill('SIGTERM');
		await once(server.child, 'exit');
	}
	await database.drop();
});

/** Follows the ways that the server points to, and keeps the cookie. */
class Visitor {
	cookie = '';

	async visit(path, form) {
		const init = { redirect: 'manual', headers: { cookie: this.cookie } };
		const body = form && { method: 'POST', body: new URLSearchParams(form), headers: { ...init.headers, origin } };
		const response = await fetch(new URL(path, origin), { ...init, ...body });
		this.cookie = response.headers.get('set-cookie')?.split(';')[0] ?? this.cookie;
		const location = response.headers.get('location');
		if (location) return this.visit(location);
		return { status: response.status, text: await response.text(), path };
	}
}

async function loggedIn(account, member) {
	const visitor = new Visitor();
	await visitor.visit(`/demo/login?account=${account}&member=${member}`);
	return visitor;
}

test('it says where to look', () => {
	assert.equal(server.said.trim(), `Open ${origin}/demo`);
});

test('the demo shows a customer in every stage and state, with a link for each member', async () => {
	const { status, text } = await new Visitor().visit('/demo');
	assert.equal(status, 200);
	for (const word of ['ok', 'grace', 'remind', 'restrict', 'blocked', 'active', 'closing', 'deleted']) {
		assert.ok(text.includes(`<td>${word}</td>`), word);
	}
	assert.equal(text.match(/\/demo\/login\?account=\d+&amp;member=\w+">/g).length, 36);
	assert.match(text, /value="2026-12-05"/);
});

test('a debt goes from reminder to paid: by the day, the page, the provider and its report', async () => {
	const olha = await loggedIn(4, 'olha');
	assert.match((await olha.visit('/')).text, /<dialog open/);

	const { status, path } = await olha.visit('/demo/day', { day: '2026-12-10' });
	assert.deepEqual([status, path], [200, '/demo']);
	const blocked = await olha.visit('/');
	assert.match(blocked.text, /The account is blocked/);

	const csrf = fieldOf(blocked.text, 'csrf');
	const checkout = await olha.visit('/pay', { csrf, amount: 'other', other: '60' });
	assert.match(checkout.path, /^\/fake\/checkout\//);
	const paid = await olha.visit(checkout.path, { what: 'pay' });
	assert.match(paid.text, /\$60\.00 is on the balance/);
	assert.doesNotMatch((await olha.visit('/')).text, /<dialog|blocked/);
	const [{ balance }] = await database.sql('SELECT balance::text FROM kbilling.account WHERE account_id = 4');
	assert.equal(balance, '36.54 USD');
});

test('a payment that the provider declines is shown, and that it has declined it', async () => {
	const andrii = await loggedIn(3, 'andrii');
	const csrf = fieldOf((await andrii.visit('/')).text, 'csrf');
	const checkout = await andrii.visit('/pay', { csrf, amount: 'other', other: '70' });
	const declined = await andrii.visit(checkout.path, { what: 'fail' });
	assert.match(declined.text, /It failed[\s\S]*The payment provider declined it/);
});

test('each day is lived through: what was due on one of them has been done on it', async () => {
	await new Visitor().visit('/demo/day', { day: '2026-12-12' });
	const steps = await database.sql(`SELECT step::text, to_char(taken_on, 'MM-DD') AS day FROM kbilling.closure_step
		WHERE account_id IN (7, 8) AND taken_on > '2026-12-05' ORDER BY account_id, step_no`);
	assert.deepEqual(steps.map(({ step, day }) => `${day} ${step}`),
		['12-08 reminded', '12-10 reminded', '12-11 deleted', '12-09 purged']);
});

test('days do not go back, nor far on, and a form of another site moves none', async () => {
	for (const day of ['2026-12-01', '2099-01-01', 'tomorrow', '2026-13-45', '']) {
		assert.equal((await new Visitor().visit('/demo/day', { day })).status, 422, day);
	}
	const response = await fetch(`${origin}/demo/day`, { method: 'POST', headers: { origin: 'https://evil.example' },
		body: new URLSearchParams({ day: '2026-12-20' }) });
	assert.equal(response.status, 403);
	assert.match((await new Visitor().visit('/demo')).text, /value="2026-12-12"/);
});

test('without PORTAL_CLOCK nobody gets in by the demo, and without a secret nothing starts', async () => {
	const port = await freePort();
	const env = environment(port);
	const { child, said } = await start(env);
	assert.match(said, /The billing page is at/);
	for (const path of ['/demo', '/demo/login?account=1&member=olha']) {
		assert.equal((await fetch(`http://localhost:${port}${path}`, { redirect: 'manual' })).status, 401, path);
	}
	child.kill('SIGTERM');
	assert.deepEqual(await once(child, 'exit'), [0, null], 'and it ends when it is told to');

	const refused = await start({ ...env, PORTAL_SECRET: 'short' });
	assert.match(refused.said, /PORTAL_SECRET has to be/);
	assert.ok(refused.child.exitCode === 1 || (await once(refused.child, 'exit'))[0] === 1);
});

test('an origin may end with a slash; what is no origin is refused at the start', async () => {
	const port = await freePort();
	const here = `http://localhost:${port}`;
	const { child } = await start({ ...environment(port), PORTAL_ORIGIN: `${here}/` });
	const answer = await fetch(`${here}/logout`, { method: 'POST', headers: { origin: here }, body: new URLSearchParams() });
	assert.equal(answer.status, 200);
	child.kill('SIGTERM');
	await once(child, 'exit');
	for (const wrong of ['billing.example.com', 'https://example.com/billing', 'ftp://example.com']) {
		const refused = await start({ ...environment(port), PORTAL_ORIGIN: wrong });
		assert.match(refused.said, /PORTAL_ORIGIN has to be/, wrong);
		assert.ok(refused.child.exitCode === 1 || (await once(refused.child, 'exit'))[0] === 1);
	}
});

test('the server outlives a connection that is ended under a request', async () => {
	const olha = await loggedIn(1, 'olha');
	const locker = new pg.Client({ database: database.name });
	await locker.connect();
	await locker.query('BEGIN');
	await locker.query('LOCK TABLE kbilling.member');
	const asked = olha.visit('/');
	let found = [];
	while (found.length === 0) {
		found = await database.sql(`SELECT pid FROM pg_stat_activity
			WHERE datname = current_database() AND usename = 'portal_app' AND wait_event_type = 'Lock'`);
	}
	await database.sql('SELECT pg_terminate_backend($1)', [found[0].pid]);
	await locker.query('COMMIT');
	await locker.end();
	assert.equal((await asked).status, 503);
	assert.equal((await olha.visit('/')).status, 200);
	assert.equal(server.child.exitCode, null);
});
