/*
 * The billing page, as each sees it.
 */
import { html } from 'hono/html';
import { isOver } from '../day.js';
import { isPositive } from '../format.js';
import { contract, leaving } from './contract.js';
import { layout } from './layout.js';
import { runningMonth } from './lines.js';
import { newest } from './history.js';
import { openPayments, payForm, returned } from './pay.js';
import { spending } from './spending.js';
import { debt, standing } from './standing.js';

const NEWEST = 6;
// Of lines, limits and holds. All of them are on a page of their own, so that this one stays light.
const MOST = 10;

/** Whether there is anything to pay for: not when the contract is over, and what was used is charged and paid. */
const isPayable = portal => !isOver(portal) || !portal.refundable || isPositive(portal.amount_due);

/** For owners and admins: the whole of it. */
function whole(view, { steps, begun, wrong }) {
	const { portal } = view;
	const rest = portal.entries.length > NEWEST || portal.more_before_seq;
	return html`${begun ? returned(view, begun) : ''}
${contract(view)}
${debt(view)}
${standing(view)}
${spending(view, MOST)}
${isPayable(portal) || wrong ? payForm(view, wrong) : ''}
${openPayments(view)}
${isOver(portal) ? '' : runningMonth(view, steps, MOST)}
${newest(view, portal.entries.slice(0, NEWEST), rest)}`;
}

/** For owners and admins of a blocked account: paying is all there is, or leaving. */
function blocked(view, { begun, wrong }) {
	return html`${begun ? returned(view, begun) : ''}
${contract(view)}
${debt(view)}
${payForm(view, wrong)}
${openPayments(view)}
${leaving(view)}`;
}

/** For employees, who see no money. */
function employee({ t, f, portal }) {
	if (isOver(portal)) {
		return html`<section class="note"><h2>${t.ended(f.date(portal.ends_on))}</h2><p>${t.endedEmployee}</p></section>`;
	}
	if (portal.access === 'denied') {
		return html`<section class="warning"><h2>${t.blocked}</h2><p>${t.blockedAsk}</p></section>`;
	}
	return html`<p>${t.employeeFull}</p><p>${t.employee}</p>`;
}

/** For whoever was a member of a deleted account. */
function deleted({ t, f, portal }) {
	return html`<section class="warning"><h2>${t.deleted}</h2>
<p>${portal.purge_on ? t.deletedUntil(f.date(portal.purge_on)) : t.deletedForGood}</p></section>`;
}

/** @param {{steps?: object[][], begun?: object, wrong?: object}} [of] what has been asked or sent */
export function overviewPage(view, of = {}) {
	const { t, portal } = view;
	const isOpen = ['active', 'closing'].includes(portal.state);
	const content = !isOpen ? deleted(view)
		: !portal.can_pay ? employee(view)
		: portal.access === 'denied' ? blocked(view, of)
		: whole(view, of);
	return layout(view, { title: t.title, here: '/' }, content);
}
