/*
 * What is said above the content: what has just been done, that the account will be deleted, and the reminder to pay.
 */
import { html } from 'hono/html';
import { isOver } from '../day.js';
import { token } from './form.js';

/** What the member has just done. */
export const done = ({ t, done: what }) => (what ? html`<p class="done" role="status">${t[what]}</p>` : '');

/** X3: what was not used keeps an account no more whose contract is over; its deletion can be put off. */
function ended(view) {
	const { t, portal } = view;
	return html`<p>${t.closingEnded}</p>
${portal.can_cancel_closure ? html`<form method="post" action="/closure/cancel">${token(view)}
<button class="plain">${t.putOff}</button></form>` : ''}`;
}

/** Why an account that nobody uses will be deleted, and how to keep it. */
function unused(view) {
	const { t, portal } = view;
	const cancel = html`<p>${t.closingPayer}</p>
<form method="post" action="/closure/cancel">${token(view)}<button>${t.keepAccount}</button></form>`;
	return html`<p>${t.closingWhy}</p>
${portal.can_cancel_closure ? cancel : html`<p>${t.closingAsk}</p>`}`;
}

/** D3: every member sees the day of the deletion; who may cancel it has a button for that. */
export function closureBanner(view) {
	const { t, f, portal } = view;
	if (portal.state !== 'closing') return '';
	return html`<section class="warning" aria-labelledby="closing">
<h2 id="closing">${t.closing(f.date(portal.delete_on))}</h2>
${isOver(portal) ? ended(view) : unused(view)}
</section>`;
}

/** The pop-up for owners and admins while their access is "full_with_reminder". It closes without a script. */
export function reminder({ t, f, portal }) {
	const due = portal.reminder;
	if (!due) return '';
	return html`<dialog open aria-labelledby="reminder">
<h2 id="reminder">${t.reminder}</h2>
<p>${t.remind(f.money(due.amount_due), f.date(portal.debt_since))}</p>
<p>${due.restricted_on ? t.remindNext(f.date(due.restricted_on)) : t.remindBlocked(f.date(portal.next_stage_on))}</p>
<form method="dialog"><a class="button" href="/#pay">${t.pay}</a> <button class="plain">${t.close}</button></form>
</dialog>`;
}
