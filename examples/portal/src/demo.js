/*
 * The demo's own pages: its customers, with a link to log in as each member, and the switch of the day. They let
 * anybody in as anybody, and are there only if PORTAL_CLOCK is set.
 */
import { Hono } from 'hono';
import { fieldsOf, fromHere } from './csrf.js';
import { Problem } from './errors.js';
import { demoPage } from './pages/demo.js';
import { loginToken } from './session.js';

const CUSTOMERS = `
	SELECT c.account_id, c.title, c.story, s.state, s.stage, s.balance::text,
		array_agg(m.member || ',' || m.role ORDER BY m.role) FILTER (WHERE m.member IS NOT NULL) AS members
	FROM demo.customer AS c
	JOIN kbilling.account_status AS s USING (account_id)
	LEFT JOIN kbilling.member AS m USING (account_id)
	GROUP BY c.account_id, c.title, c.story, s.state, s.stage, s.balance ORDER BY c.account_id`;

const membersOf = list => (list ?? []).map(text => text.split(',')).map(([member, role]) => ({ member, role }));

export function demoRoutes({ clock, secret, origin, view }) {
	const routes = new Hono();

	async function page(c, fault) {
		const { rows } = await clock.asSuperuser(client => client.query(CUSTOMERS));
		const customers = rows.map(row => ({ ...row, members: membersOf(row.members) }));
		const shown = { today: await clock.today(), customers, fault };
		return c.html(demoPage(view.stranger(c.req.raw), shown), fault ? 422 : 200);
	}

	routes.get('/', c => page(c));

	routes.get('/login', c => {
		const { account, member } = c.req.query();
		return c.redirect(`/login?token=${loginToken(secret, { accountId: account, member })}`, 303);
	});

	routes.post('/day', async c => {
		if (!fromHere(c.req.raw, origin)) throw new Problem('badForm');
		const { day } = await fieldsOf(c);
		return await clock.set(String(day)) ? c.redirect('/demo', 303) : page(c, true);
	});

	return routes;
}
