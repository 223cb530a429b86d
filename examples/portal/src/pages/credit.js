/*
 * What of the balance expires, and after which day: the earliest first (G3).
 */
import { html } from 'hono/html';
import { dayBefore, isOver } from '../day.js';

/** The last day on which credit is good. */
export const lastDayOf = ({ f }, firstWithout) => f.date(dayBefore(firstWithout));

/** Nothing, if nothing expires, or the contract is over and all of it lapses. */
export function expiring(view, most) {
	const { t, f, portal } = view;
	const credit = portal.expiring_credit;
	if (credit.length === 0 || isOver(portal)) return '';
	const one = ({ amount, expires_on: on }) => html`<li>${t.expires(f.money(amount), lastDayOf(view, on))}</li>`;
	const rest = html`<small><a href="/month">${t.allExpiring(credit.length)}</a></small>`;
	return html`<ul class="expiring">${credit.slice(0, most).map(one)}</ul>
<small>${t.expiresUsed}</small>
${credit.length > most ? rest : ''}`;
}

/** All of it, on a page of its own. */
export function expiringCredit(view) {
	const all = expiring(view, Infinity);
	return all && html`<section aria-labelledby="credit">
<h2 id="credit">${view.t.expiringCredit}</h2>
${all}
</section>`;
}
