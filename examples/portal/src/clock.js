/*
 * A demo's switch of the day. kbilling.clock is a superuser's setting, so a connection of its own sets it, for the whole
 * database; the portal's connections are opened anew and find it set.
 */
import pg from 'pg';

const MOST_DAYS = 400;
const HOUR = '09:00:00+00';

const nextDay = day => new Date(Date.parse(day) + 86400000).toISOString().slice(0, 10);

/**
 * @param {import('./db.js').Database[]} databases
 * @param {import('pg').ClientConfig} [options] of a superuser; else PG* in the environment say
 */
export function demoClock(databases, options = {}) {
	/** Calls `work` with a connection of a superuser. */
	async function asSuperuser(work) {
		const client = new pg.Client(options);
		// If the server ends it, its statement fails; that is enough.
		client.on('error', () => {});
		await client.connect();
		try {
			return await work(client);
		} finally {
			await client.end();
		}
	}

	const today = async client =>
		(await client.query("SELECT to_char(kbilling.kb_now() AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day")).rows[0].day;

	/** A day of the database: the sweep does what is due on it. */
	async function live(client, day) {
		await client.query("SELECT set_config('kbilling.clock', $1, false)", [`${day} ${HOUR}`]);
		await client.query('CALL kbilling.kb_sweep()');
	}

	return {
		asSuperuser,
		today: () => asSuperuser(today),

		/** Goes on to a day, day by day; never back, as what has been posted stays. False if it is no day to go on to. */
		async set(day) {
			if (!/^\d{4}-\d\d-\d\d$/.test(day) || Number.isNaN(Date.parse(day))) return false;
			const isSet = await asSuperuser(async client => {
				let at = await today(client);
				if (day < at || Date.parse(day) - Date.parse(at) > MOST_DAYS * 86400000) return false;
				while (at < day) {
					at = nextDay(at);
					await live(client, at);
				}
				const { rows: [{ name }] } = await client.query('SELECT current_database() AS name');
				const clock = client.escapeLiteral(`${day} ${HOUR}`);
				await client.query(`ALTER DATABASE ${client.escapeIdentifier(name)} SET kbilling.clock = ${clock}`);
				return true;
			});
			if (isSet) await Promise.all(databases.map(db => db.reconnect()));
			return isSet;
		},
	};
}
