/*
 * The end of the contract (X1): an owner chooses its last day, sees it once more, and can take it back.
 */
import { Hono } from 'hono';
import { requireOwner } from './allowed.js';
import { leavingOf } from './day.js';
import { leavingFault, Problem } from './errors.js';
import { confirmPage, leavePage } from './pages/leave.js';
import { continueAccount, endAccount, readPortal } from './queries.js';

/** @param {object} portal what createApp has put together */
export function contractRoutes({ db, view }) {
	const routes = new Hono();

	/** What owners alone do: `work` gets the transaction, and what kb_portal says. */
	async function asOwner(c, work) {
		const who = c.get('who');
		return db.asMember(who, async tx => {
			const portal = await readPortal(tx, who);
			c.set('language', portal.language);
			requireOwner(portal);
			return work(tx, portal, who);
		}).catch(error => {
			throw error.code === 'KB004' ? new Problem('ownersOnly') : error;
		});
	}

	/** The form, with what has been sent, if it could not be taken. */
	const page = (c, asked) => asOwner(c, (tx, portal, who) =>
		c.html(leavePage(view.member(who, portal), asked), asked?.fault ? 422 : 200));

	routes.get('/leave', c => page(c));

	routes.post('/leave', c => asOwner(c, (tx, portal, who) => {
		const asked = leavingOf(c.get('form'), portal.today);
		const shown = view.member(who, portal);
		return asked.fault ? c.html(leavePage(shown, asked), 422) : c.html(confirmPage(shown, asked));
	}));

	/** Does something to the contract, and goes back to the overview, which says how it stands. */
	async function decide(c, done, work) {
		await asOwner(c, work).catch(error => {
			// Somebody, or midnight, was first.
			if (error.code !== '55000') throw error;
		});
		return c.redirect(`/?done=${done}`, 303);
	}

	routes.post('/leave/confirm', async c => {
		let asked;
		const end = (tx, portal, who) => {
			asked = leavingOf(c.get('form'), portal.today);
			return asked.fault ? undefined : endAccount(tx, who, asked);
		};
		const answer = await decide(c, 'ending', end).catch(error => {
			const fault = leavingFault(error);
			if (!fault) throw error;
			asked = { ...asked, fault };
		});
		return asked?.fault ? page(c, asked) : answer;
	});

	routes.post('/leave/cancel', c =>
		decide(c, 'continued', (tx, portal, who) => portal.can_continue && continueAccount(tx, who)));

	return routes;
}
