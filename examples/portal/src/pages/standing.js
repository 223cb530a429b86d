/*
 * Where the account stands: what is due and what comes of it, and balance, tariff and next charge.
 */
import { html } from 'hono/html';
import { isOver } from '../day.js';
import { isPositive } from '../format.js';
import { leaving } from './contract.js';
import { expiring } from './credit.js';

// By stage, the texts of what is due, and of what comes next; of "remind", the pop-up says that.
const DEBTS = {
	grace: { text: 'grace', next: 'graceNext' },
	remind: { text: 'remind' },
	restrict: { heading: 'restricted', text: 'restrict', next: 'restrictNext' },
	blocked: { heading: 'blocked', text: 'blockedPay' },
};

// Of credit that expires. All of it is on a page of its own.
const MOST_EXPIRING = 3;

/** What is due, and what comes of it. Once the contract is over, it says so itself. */
export function debt({ t, f, portal }) {
	const says = DEBTS[portal.stage];
	if (!says || !isPositive(portal.amount_due) || isOver(portal)) return '';
	return html`<section class="warning">
${says.heading ? html`<h2>${t[says.heading]}</h2>` : ''}
<p>${t[says.text](f.money(portal.amount_due), f.date(portal.debt_since))}</p>
${says.next && portal.next_stage_on ? html`<p>${t[says.next](f.date(portal.next_stage_on))}</p>` : ''}
</section>`;
}

const row = (name, value) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

/** Balance, and what is due. */
export function money({ t, f, portal }, also) {
	const { balance, bonus, amount_due: due } = portal;
	const ofItBonus = isPositive(bonus) && html`<small>${t.ofItBonus(f.money(bonus))}</small>`;
	return html`${row(t.balance, html`<strong>${f.money(balance)}</strong>${ofItBonus}${also}`)}
${isPositive(due) && row(t.due, html`${f.money(due)}<small>${t.dueSince(f.date(portal.debt_since))}</small>`)}`;
}

/** Balance, what is due, tariff, next charge. */
export function standing(view) {
	const { t, f, portal } = view;
	const { tariff, next_tariff: planned, next_charge: next } = portal;
	const later = planned && html`<small>${t.nextTariff(planned.name, f.date(planned.from_date))}</small>`;
	const charge = next && t.nextChargeAbout(f.money(next.amount), f.date(next.charged_on), f.month(next.period));
	return html`<section aria-labelledby="standing">
<h2 id="standing">${t.standing}</h2>
<dl class="facts">
${money(view, expiring(view, MOST_EXPIRING))}
${isOver(portal) ? '' : row(t.tariff, html`${tariff.name}${later}`)}
${charge && row(t.nextCharge, charge)}
</dl>
${leaving(view)}
</section>`;
}
