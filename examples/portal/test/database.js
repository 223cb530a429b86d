/*
 * A database for a test file: its own, with the price list of setup.sql and, if wanted, the demo's customers.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { Database } from '../src/db.js';

const file = name => fileURLToPath(new URL(`../${name}`, import.meta.url));

function psql(database, name) {
	const options = ['-Xqd', database, '-v', 'ON_ERROR_STOP=1', '-f', file(name)];
	execFileSync('psql', options, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/**
 * @param {{demo?: boolean}} [options]
 * @returns what a test needs: `sql` asks as a superuser, `app` and `payments` are what the portal has
 */
export async function freshDatabase({ demo = false } = {}) {
	const name = `${process.env.PGDATABASE ?? 'kbilling_portal'}_${process.pid}`;
	const outside = new pg.Client();
	await outside.connect();
	await outside.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8'`);
	psql(name, 'setup.sql');
	if (demo) psql(name, 'demo.sql');

	const superuser = new pg.Pool({ database: name, max: 2 });
	const app = new Database({ database: name, user: 'portal_app' });
	const payments = new Database({ database: name, user: 'portal_webhook' });
	return {
		name,
		app,
		payments,
		sql: async (text, values) => (await superuser.query(text, values)).rows,
		async drop() {
			await Promise.all([app.end(), payments.end(), superuser.end()]);
			await outside.query(`DROP DATABASE ${name}`);
			await outside.end();
		},
	};
}
