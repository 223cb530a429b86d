/*
 * Connections to the database, as one of the two roles that the portal has: the application's, and that of the payment
 * provider's reports. Where the server is, PG* in the environment say.
 */
import pg from 'pg';

// Another transaction came first: the same one, done again, succeeds.
const AGAIN = new Set(['40001', '40P01']);
const TRIES = 3;

/** There is no database to ask, or it has gone. */
export class Unavailable extends Error {
	constructor(cause) {
		super(`the database does not answer: ${cause.message}`, { cause });
	}
}

/** The session's member, or account, is not there any more. */
export class NoSuchMember extends Error {}

export class Database {
	#options;
	#pool;

	/** @param {import('pg').PoolConfig} options at least `user`, the role */
	constructor(options) {
		this.#options = { max: 10, connectionTimeoutMillis: 5000, application_name: 'portal', ...options };
		this.#open();
	}

	#open() {
		this.#pool = new pg.Pool(this.#options);
		// A connection that the server ends while nobody uses it is replaced by the next request's.
		this.#pool.on('error', () => {});
		// One that it ends under a request has failed the request's statement, and says so once more, to whoever listens.
		this.#pool.on('connect', client => client.on('error', () => {}));
	}

	/** One statement, in a transaction of its own. */
	query(text, values) {
		return this.#pool.query(text, values);
	}

	/**
	 * Calls `work` with a connection, in one transaction: all that it does is committed, or nothing. It may be called
	 * again.
	 */
	async transaction(work) {
		for (let tries = 1; ; tries++) {
			try {
				return await this.#attempt(work);
			} catch (error) {
				if (!AGAIN.has(error.code) || tries === TRIES) throw error;
			}
		}
	}

	async #attempt(work) {
		const client = await this.#pool.connect().catch(error => {
			throw new Unavailable(error);
		});
		let broken;
		try {
			await client.query('BEGIN');
			const result = await work(client);
			const { command } = await client.query('COMMIT');
			if (command !== 'COMMIT') throw new Error('the transaction had failed, and was rolled back');
			return result;
		} catch (error) {
			await client.query('ROLLBACK').catch(reason => (broken = reason));
			throw broken && !(error instanceof pg.DatabaseError) ? new Unavailable(error) : error;
		} finally {
			client.release(broken);
		}
	}

	/**
	 * A transaction that acts for a member (E4). It is the member of the session, never one that the request names.
	 * @param {{accountId: string, member: string}} session
	 */
	asMember({ accountId, member }, work) {
		return this.transaction(async client => {
			await client.query('SELECT kbilling.kb_act_as($1, $2)', [accountId, member]).catch(cause => {
				throw ['KB001', 'KB004'].includes(cause.code) ? new NoSuchMember(cause.message, { cause }) : cause;
			});
			return work(client);
		});
	}

	/** Leaves the connections that there are to those who use them, and opens others from now on. */
	reconnect() {
		const before = this.#pool;
		this.#open();
		return before.end();
	}

	end() {
		return this.#pool.end();
	}
}

/** As the role of the application: it serves members. Money it moves by kb_buy alone, from an account's own balance. */
export function openApp(env = process.env) {
	return new Database({ user: env.PORTAL_APP_ROLE || 'portal_app' });
}

/** As the role of the payment provider's reports. */
export function openPayments(env = process.env) {
	return new Database({ user: env.PORTAL_WEBHOOK_ROLE || 'portal_webhook', max: 4 });
}
