/*
 * What is left to spend: what is available, limits as bars, and what is held.
 */
import { html } from 'hono/html';
import { isOver } from '../day.js';

function limit({ t, f }, { name, quantity, used, hard }, n) {
	return html`<li><label for="limit-${n}">${t.limitOf(name, f.number(used), f.number(quantity))}</label>
<meter id="limit-${n}" min="0" max="${quantity > 0 ? quantity : 1}" value="${used}"></meter>
<small>${hard ? t.limitHard : t.limitSoft}</small></li>`;
}

const hold = ({ t, f }, { name, quantity, expires_at: until }) =>
	html`<li>${t.heldOf(name, f.number(quantity), f.moment(until))}</li>`;

/** A list; of more than `most`, with the way to the rest. */
function list(all, most, one, { name, every }) {
	const rest = html`<p><a href="/month">${every(all.length)}</a></p>`;
	return html`<ul${name ? html` class="${name}"` : ''}>${all.slice(0, most).map(one)}</ul>
${all.length > most ? rest : ''}`;
}

/** Nothing, for an account that has no credit line, limit or hold, or whose contract is over (X2). */
export function spending(view, most = Infinity) {
	const { t, f, portal } = view;
	const left = portal.spending;
	const limits = () => list(left.limits, most, (one, n) => limit(view, one, n), { name: 'limits', every: t.allLimits });
	const holds = () => list(left.holds, most, one => hold(view, one), { every: t.allHeld });
	if (!left || isOver(portal)) return '';
	return html`<section aria-labelledby="spending">
<h2 id="spending">${t.spending}</h2>
${left.available && html`<p><strong>${f.money(left.available)}</strong> ${t.availableNow}</p>`}
${left.limits.length > 0 ? limits() : ''}
${left.holds.length > 0 ? html`<h3>${t.held}</h3>${holds()}` : ''}
</section>`;
}
