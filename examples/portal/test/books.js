/*
 * What the tests of payments have in common: accounts of their own in the database that PG* name, and what has become of
 * them. The tests of another file may run at the same time.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import pg from 'pg';

const STATE = new URL('../../../test/include/state.sql', import.meta.url);

/** A statement that another file's test may have been quicker with. */
async function once(admin, text, values) {
	await admin.query(text, values).catch(error => {
		if (!['23505', '42710', 'XX000'].includes(error.code)) throw error;
	});
}

/** @param {string} name  one word for the tests of a file: their tariffs have it */
export async function openBooks(name) {
	const admin = new pg.Pool({ max: 4, options: '-c search_path=public,kbilling' });
	await once(admin, 'CREATE EXTENSION IF NOT EXISTS kbilling');
	await once(admin, 'CREATE ROLE portal_webhook LOGIN');
	await once(admin, `SELECT kbilling.kb_grant('portal_webhook', 'payments')`);
	for (const currency of ['USD', 'UAH', 'JPY', 'KWD']) {
		const tariff = `${name}_${currency.toLowerCase()}`;
		await once(admin, 'SELECT kbilling.kb_create_tariff($1, $2)', [tariff, currency]);
		await once(admin, `SELECT kbilling.kb_set_price($1, 'base', '19')`, [tariff]);
	}
	await once(admin, `SELECT kbilling.kb_set_bonus($1, '100 USD', 10)`, [`${name}_usd`]);
	/* the role of the webhook, and no more than it may do */
	const db = new pg.Pool({ user: 'portal_webhook', max: 8 });
	return new Books(name, admin, db);
}

class Books {
	constructor(name, admin, db) {
		Object.assign(this, { name, admin, db });
	}

	async value(text, values) {
		const { rows: [row] } = await this.admin.query({ text, values, rowMode: 'array' });
		return row?.[0];
	}

	/** A new account's number. */
	account(currency = 'USD') {
		return this.value('SELECT kbilling.kb_create_account($1, $2)', ['ann', `${this.name}_${currency.toLowerCase()}`]);
	}

	/** Begins a payment, as the page does: what a provider is told of it. */
	async begin(accountId, amount = '50.00', currency = 'USD') {
		const paymentId = await this.value(
			`SELECT payment_id FROM kbilling.kb_begin_topup($1, 'ann', $2)`, [accountId, `${amount} ${currency}`]);
		return {
			accountId, paymentId, amount: { amount, currency }, language: 'en', returnUrl: 'http://localhost/', description: 'Top-up',
		};
	}

	/** The account as after its deletion, without the way there. */
	async markDeleted(accountId) {
		const client = await this.admin.connect();
		try {
			await client.query(await readFile(STATE, 'utf8'));
			await client.query(`SELECT pg_temp.put_state($1, 'deleted')`, [accountId]);
		} finally {
			client.release(true);
		}
	}

	/** What has been booked: "topup 50.00 USD, refund -10.00 USD". */
	entries(accountId) {
		return this.value(`SELECT coalesce(string_agg(concat_ws(' ', kind, amount, 'of ' || paid), ', ' ORDER BY seq), '')
			FROM kbilling.entry WHERE account_id = $1`, [accountId]);
	}

	balance(accountId) {
		return this.value('SELECT balance::text FROM kbilling.account WHERE account_id = $1', [accountId]);
	}

	/** What has become of a payment. */
	status({ accountId, paymentId }) {
		return this.value(`SELECT concat_ws(': ', status, failure) FROM kbilling.payment_status
			WHERE account_id = $1 AND payment_id = $2`, [accountId, paymentId]);
	}

	/** The books are right, whatever was reported. */
	async check() {
		assert.deepEqual((await this.admin.query('SELECT * FROM kbilling.kb_check()')).rows, []);
		assert.deepEqual((await this.admin.query(`SELECT currency FROM kbilling.trial_balance
			GROUP BY currency HAVING sum(balance) <> 0`)).rows, []);
	}

	async end() {
		await Promise.all([this.admin.end(), this.db.end()]);
	}
}
