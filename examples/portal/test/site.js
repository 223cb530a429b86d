/*
 * The portal's server, as server.js starts it: in a process of its own, with the fake provider and the demo's switch of the
 * day, on a port of its own.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const server = fileURLToPath(new URL('../server.js', import.meta.url));

/** A port that nobody listens on. */
async function freePort() {
	const probe = createServer().listen(0, '127.0.0.1');
	await once(probe, 'listening');
	const { port } = probe.address();
	probe.close();
	await once(probe, 'close');
	return port;
}

/** The text of a stream, as far as it has got. */
function reading(stream) {
	const read = { text: '' };
	stream.setEncoding('utf8');
	stream.on('data', part => (read.text += part));
	return read;
}

/**
 * Starts it on a database that has the demo's customers.
 * @param {string} database its name
 * @returns {Promise<{origin: string, application: string, log: () => string, stop: () => Promise<void>}>} `log` is what it
 *   has had to say of errors
 */
export async function startSite(database) {
	const port = await freePort();
	const application = 'https://app.example/';
	const child = spawn(process.execPath, [server], {
		stdio: ['ignore', 'pipe', 'pipe'],
		env: {
			...process.env,
			PGDATABASE: database,
			PORT: String(port),
			PORTAL_ORIGIN: `http://localhost:${port}`,
			PORTAL_SECRET: 'a secret of the tests, which is long enough',
			PORTAL_PROVIDER: 'fake',
			PORTAL_CLOCK: '1',
			PORTAL_APPLICATION: application,
			PORTAL_SUPPORT: 'mailto:support@example.com',
			PORTAL_SELLER: 'Example Ltd; 1 Main Street; Kyiv',
		},
	});
	const log = reading(child.stderr);
	const ended = once(child, 'exit');
	// It says where it is, or why it is not.
	await Promise.race([once(child.stdout, 'data'), ended]);
	if (child.exitCode !== null) throw new Error(`the server did not start: ${log.text}`);
	return {
		origin: `http://localhost:${port}`,
		application,
		log: () => log.text,
		async stop() {
			child.kill('SIGTERM');
			await ended;
		},
	};
}
