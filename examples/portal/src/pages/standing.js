/*
 * Where the account stands: what is due and what comes of it, and balance, tariff and next charge.
 */
import { html } from 'hono/html';
import { isPositive } from '../format.js';

// By stage, the texts of what is due, and of what comes next; of "remind", the pop-up says that.
const DEBTS = {
	grace: { text: 'grace', next: 'graceNext' },
	remind: { text: 'remind' },
	restrict: { heading: 'restricted', text: 'restrict', next: 'restrictNext' },
	blocked: { heading: 'blocked', text: 'blockedPay' },
};

/** What is due, and what comes of it. */
export function debt({ t, f, portal }) {
	const says = DEBTS[portal.stage];
	if (!says || !isPositive(portal.amount_due)) return '';
	return html`<section class="warning">
${says.heading ? html`<h2>${t[says.heading]}</h2>` : ''}
<p>${t[says.text](f.money(portal.amount_due), f.date(portal.debt_since))}</p>
${says.next && portal.next_stage_on ? html`<p>${t[says.next](f.date(portal.next_stage_on))}</p>` : ''}
</section>`;
}

const row = (name, value) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

/** Balance, what is due, tariff, next charge. */
export function standing({ t, f, portal }) {
	const { balance, bonus, amount_due: due, tariff, next_tariff: planned, next_charge: next } = portal;
	const ofItBonus = isPositive(bonus) && html`<small>${t.ofItBonus(f.money(bonus))}</small>`;
	const later = planned && html`<small>${t.nextTariff(planned.name, f.date(planned.from_date))}</small>`;
	const charge = next && t.nextChargeAbout(f.money(next.amount), f.date(next.charged_on), f.month(next.period));
	return html`<section aria-labelledby="standing">
<h2 id="standing">${t.standing}</h2>
<dl class="facts">
${row(t.balance, html`<strong>${f.money(balance)}</strong>${ofItBonus}`)}
${isPositive(due) && row(t.due, html`${f.money(due)}<small>${t.dueSince(f.date(portal.debt_since))}</small>`)}
${row(t.tariff, html`${tariff.name}${later}`)}
${charge && row(t.nextCharge, charge)}
</dl>
</section>`;
}
