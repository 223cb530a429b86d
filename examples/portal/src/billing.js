/*
 * The billing pages. Each request is one transaction that acts for the session's member.
 */
import { Hono } from 'hono';
import { requireLook, requirePayer } from './allowed.js';
import { amountOf, decimalsOf } from './amount.js';
import { contractRoutes } from './contract.js';
import { fieldsOf, isOurs } from './csrf.js';
import { isOver } from './day.js';
import { amountFault, Problem } from './errors.js';
import { entryPage } from './pages/entry.js';
import { historyPage } from './pages/history.js';
import { monthPage } from './pages/month.js';
import { overviewPage } from './pages/overview.js';
import { onwardPage } from './pages/pay.js';
import { receiptPage } from './pages/receipt.js';
import { beginTopup, cancelClosure, readEntry, readHistory, readPortal, readPortalWithSteps } from './queries.js';
import { paidPath, readPaid } from './returning.js';

const ENTRIES = 15;

/** A number of the account's own, as an address says it. */
function numberOf(text) {
	if (!/^[1-9]\d{0,14}$/.test(text ?? '')) throw new Problem('noPage');
	return Number(text);
}

// What an address says was done, and its text, if that is so: anybody can write such an address.
const DONE = new Map([
	['kept', portal => portal.state === 'active' && (isOver(portal) ? 'keptForNow' : 'kept')],
	['ending', portal => portal.can_continue && 'ending'],
	['continued', portal => portal.can_end && !portal.ends_on && 'continued'],
]);

/** @param {object} portal what createApp has put together */
export function billingRoutes({
	db, provider, failPayment, session, view, secret, origin, beginnings, log,
}) {
	const routes = new Hono();

	// Who is it?
	routes.use(async (c, next) => {
		const who = session.who(c.req.raw);
		if (!who) throw new Problem('signIn');
		if (who.fault) throw new Problem('ended');
		c.set('who', who);
		await next();
	});

	// What changes something was sent by a form of ours.
	routes.post('*', async (c, next) => {
		const form = await fieldsOf(c);
		if (!isOurs(c.req.raw, form.csrf, { secret, origin, session: c.get('who') })) throw new Problem('badForm');
		c.set('form', form);
		await next();
	});

	/** The overview, with what has been asked or sent. */
	async function overview(c, of = {}, status = 200) {
		const who = c.get('who');
		const { portal, steps } = await db.asMember(who, tx => readPortalWithSteps(tx, who));
		const page = { ...view.member(who, portal), done: DONE.get(c.req.query('done'))?.(portal) };
		return c.html(overviewPage(page, { steps, ...of }), status);
	}

	/** A page of what owners and admins see: `read` gets the transaction and the view. */
	async function look(c, read, page) {
		const who = c.get('who');
		return db.asMember(who, async tx => {
			const portal = await readPortal(tx, who);
			c.set('language', portal.language);
			requireLook(portal);
			const shown = view.member(who, portal);
			return c.html(page(shown, await read(tx, who, shown)));
		});
	}

	routes.get('/', c => overview(c));

	routes.get('/paid', c => {
		const begun = readPaid(secret, c.get('who').accountId, c.req.query());
		if (!begun) throw new Problem('noPage');
		return overview(c, { begun });
	});

	routes.get('/history', c => {
		const before = c.req.query('before') === undefined ? null : numberOf(c.req.query('before'));
		return look(c, async (tx, who) => {
			const found = await readHistory(tx, who, before, ENTRIES);
			return { ...found, isFirst: before === null };
		}, historyPage);
	});

	routes.get('/month', c => look(c, readPortalWithSteps, monthPage));

	const one = async (c, page, isShown) => {
		const seq = numberOf(c.req.param('seq'));
		return look(c, async (tx, who, { t }) => {
			const found = await readEntry(tx, who, seq, t.language);
			if (!found || !isShown(found.entry)) throw new Problem('noPage');
			return found;
		}, page);
	};
	routes.get('/entries/:seq', c => one(c, entryPage, () => true));
	routes.get('/receipts/:seq', c => one(c, receiptPage, ({ kind }) => kind === 'topup'));

	/** A payment, begun at the database; its row stays, whatever the provider says. */
	async function begin(c, who, form, count) {
		return db.asMember(who, async tx => {
			const portal = await readPortal(tx, who);
			c.set('language', portal.language);
			requirePayer(portal);
			const { amount, fault } = amountOf(form, decimalsOf(portal.balance));
			if (fault) return { fault };
			count();
			const money = { amount, currency: portal.currency };
			return { portal, money, payment: await beginTopup(tx, who, `${money.amount} ${money.currency}`) };
		});
	}

	/** Where the member pays. If the provider does not take the payment, or does not answer, nothing has been paid. */
	async function beginAtProvider(who, { portal, money, payment }) {
		const { t } = view.member(who, portal);
		const of = { accountId: who.accountId, paymentId: payment };
		const after = String(portal.entries[0]?.seq ?? 0);
		try {
			return await provider.begin({
				...of, amount: money, language: t.language, description: t.description(who.accountId),
				returnUrl: origin + paidPath(secret, who.accountId, { payment, after }), cancelUrl: `${origin}/`,
			});
		} catch (error) {
			const isRefused = error instanceof RangeError;
			await failPayment(of, isRefused ? 'amount_refused' : 'no_answer').catch(log);
			if (isRefused) return { fault: 'amountRefused' };
			log(error);
			throw new Problem('provider');
		}
	}

	/**
	 * Counts a payment that the member begins: once, though its transaction may be done again, and not if none is begun.
	 * What others do, or what is mistyped, keeps nobody from paying (T1).
	 */
	function countOf({ accountId, member }) {
		const key = JSON.stringify([accountId, member]);
		let isCounted = false;
		return {
			count() {
				if (isCounted) return;
				isCounted = true;
				const wait = beginnings.take(key);
				if (wait > 0) throw new Problem('tooMany', { wait });
			},
			giveBack: () => isCounted && beginnings.giveBack(key),
		};
	}

	routes.post('/pay', async c => {
		const [who, form] = [c.get('who'), c.get('form')];
		const tries = countOf(who);
		const typed = typeof form.other === 'string' ? form.other : '';
		const begun = await begin(c, who, form, tries.count).catch(error => {
			tries.giveBack();
			const fault = amountFault(error);
			if (!fault) throw error;
			return { fault };
		});
		const way = begun.fault ? begun : await beginAtProvider(who, begun);
		if (way.fault) return overview(c, { wrong: { fault: way.fault, typed } }, 422);
		if (way.url) return c.redirect(way.url, 303);
		return c.html(onwardPage(view.member(who, begun.portal), way, begun.money));
	});

	routes.post('/closure/cancel', async c => {
		const who = c.get('who');
		await db.asMember(who, tx => cancelClosure(tx, who)).catch(error => {
			// Somebody, or a payment, was first.
			if (error.code !== '55000') throw error;
		});
		return c.redirect('/?done=kept', 303);
	});

	routes.route('/', contractRoutes({ db, view }));

	return routes;
}
