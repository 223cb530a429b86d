// kbilling from Node, by node-postgres (npm install pg).  What it connects to is in setup.sql.
//
//   PGHOST=… PGPORT=… PGDATABASE=shop node examples/clients/node.mjs 1
//
// 1 is the account.  All of it works behind pgbouncer in transaction mode, too; there, give no query a name, unless
// pgbouncer is one that keeps prepared statements (1.21 or later, with max_prepared_statements).
import pg from 'pg';

const account = Number(process.argv[2]);
const { INT8, DATE } = pg.types.builtins;

// How values are read.  A bigint comes as text, as it may not fit a number of JavaScript; numbers of accounts do, and
// counts of minor units always do (they are below 2^53).  A date comes as a moment in the machine's time zone: leave it
// the text that it is.  Numeric stays text, so that no cent is lost.  (Ask for no binary results: pg reads few types of them.)
const parsers = new Map([[INT8, Number], [DATE, String]]);
const types = { getTypeParser: (oid, format) => parsers.get(oid) ?? pg.types.getTypeParser(oid, format) };

// Two roles, two pools: the application cannot credit anybody.
const app = new pg.Pool({ user: 'shop_app', types });
const webhook = new pg.Pool({ user: 'shop_webhook', types });

// kb_money as an object wherever it comes: its oid is not the same in each database, so it is looked up.
const { rows: [{ oid }] } = await app.query(`SELECT 'kbilling.kb_money'::regtype::oid::bigint AS oid`);
parsers.set(oid, (text) => {
	const [amount, currency] = text.split(' ');
	return { amount, currency, toString: () => text };
});

// Runs work(client) in one transaction, for a member.  The next one on the same connection acts for nobody.
async function asMember(account, member, work) {
	const client = await app.connect();
	try {
		await client.query('BEGIN');
		await client.query('SELECT kb_act_as($1, $2)', [account, member]);
		const result = await work(client);
		await client.query('COMMIT');
		return result;
	} catch (error) {
		await client.query('ROLLBACK').catch(() => {});
		throw error;
	} finally {
		client.release();
	}
}

// The first row of a result.
async function one(pool, sql, values) {
	return (await pool.query(sql, values)).rows[0];
}

// What an error says: its SQLSTATE, and the hint, which a member can be shown for KB003.
async function refused(work) {
	try {
		await work();
	} catch (error) {
		console.log(`${error.code}: ${error.hint}`);
	}
}

// A function that returns a row stands in FROM, so that its columns are columns.  In the select list it comes as text, '(ok,full,…)'.
const login = await one(app, 'SELECT stage, access FROM kb_login($1, $2)', [account, 'ann']);
console.log(`login: ${login.stage}, ${login.access}`);

await asMember(account, 'ann', (client) =>
	client.query('INSERT INTO ticket (account_id, subject) VALUES ($1, $2) RETURNING ticket_id', [account, 'Printer on fire']));
const { member } = await one(app, 'SELECT kb_acting_member() AS member');
console.log(`acting afterwards: ${member ?? 'nobody'}`);

// An amount is passed as a number and a currency, or as a text with both: $3::kb_money, '50.00 USD'.
const begun = await one(app, 'SELECT payment_id, kb_amount(bonus) AS bonus FROM kb_begin_topup($1, $2, kb_money($3, $4))',
	[account, 'ann', '50.00', 'USD']);
console.log(`begun: payment ${begun.payment_id}, bonus ${begun.bonus}`);

const confirm = () => one(webhook, `SELECT kb_amount(credited) AS credited, balance, replayed
	FROM kb_apply_topup($1, kb_money($2, $3), 'card', $4, payment_id => $5)`,
	[account, '50.00', 'USD', `payment-${account}`, begun.payment_id]);
const paid = await confirm();
console.log(`paid: ${paid.credited}, balance ${paid.balance}, again: ${paid.replayed}`);
console.log(`paid: again: ${(await confirm()).replayed}`);

// Money as numbers: the exact text of the amount, or the count of minor units, to calculate with.
const money = await one(app, `SELECT kb_amount(b) AS amount, kb_currency(b) AS currency, kb_minor(b) AS minor
	FROM kb_balance($1) b`, [account]);
console.log(`money: ${money.amount} ${money.currency}, ${money.minor} minor units, ${((money.minor - 900) / 100).toFixed(2)} less 9.00`);

const { rows } = await app.query('SELECT what, from_date, kb_amount(amount) AS amount FROM kb_current_usage($1)', [account]);
for (const line of rows)
	console.log(`used: ${line.what} from ${line.from_date}, ${line.amount}`);

const { page } = await one(app, 'SELECT kb_portal($1, $2) AS page', [account, 'ann']);
console.log(`page: ${page.member}, ${page.role}`);

await refused(() => asMember(1000, 'eve', (client) =>
	client.query('INSERT INTO ticket (account_id, subject) VALUES (1000, $1)', ['No coffee'])));
await refused(() => one(app, `SELECT kb_begin_topup($1, 'bob', kb_money(50, 'USD'))`, [account]));
await refused(() => one(app, `SELECT kb_begin_topup($1, 'ann', $2::kb_money)`, [account, '5']));

let times = 0;
for (let i = 0; i < 20; i++)
	times += (await one(app, 'SELECT access FROM kb_login($1, $2)', [account, 'ann'])).access === 'full';
console.log(`full access: ${times} times`);

await Promise.all([app.end(), webhook.end()]);
