/*
 * The end of the contract, as the overview says it: on which day, or that it is over and what is left to do.
 */
import { html } from 'hono/html';
import { isOver } from '../day.js';
import { isPositive } from '../format.js';
import { token } from './form.js';

const note = (title, content) => html`<section class="note" aria-labelledby="contract">
<h2 id="contract">${title}</h2>
${content}
</section>`;

/** The end that is set. Who may take it back has a button for that. */
function ending(view) {
	const { t, f, portal } = view;
	const back = html`<form method="post" action="/leave/cancel">${token(view)}
<p class="actions"><button class="plain">${t.goOn}</button> <a class="button plain" href="/leave">${t.anotherDay}</a></p>
</form>`;
	const lapses = isPositive(portal.bonus) ? t.leaveBonus : '';
	return note(t.ends(f.date(portal.ends_on)), html`<p>${t.endsBefore} ${t.leaveCharge} ${t.leaveMoney} ${lapses}</p>
${portal.can_continue ? back : html`<p>${t.endsAsk}</p>`}`);
}

/** What is left to do, once it is over: that what was used is charged, that money goes back, or a debt. */
function settling({ t, f, portal: { refundable, amount_due: due, debt_since: since } }) {
	if (isPositive(due)) return t.endedDue(f.money(due), f.date(since));
	if (!refundable) return t.endedCharging;
	return isPositive(refundable) ? t.endedRefundable(f.money(refundable)) : t.endedSettled;
}

/** Of a contract without an end, nothing. */
export function contract(view) {
	const { t, f, portal } = view;
	if (!portal.ends_on) return '';
	if (!isOver(portal)) return ending(view);
	const isLapsed = isPositive(portal.bonus) && portal.refundable;
	return note(t.ended(f.date(portal.ends_on)), html`<p>${settling(view)}</p>
${isLapsed ? html`<p>${t.endedBonus(f.money(portal.bonus))}</p>` : ''}
${portal.access === 'denied' ? '' : html`<p>${t.endedReading}</p>`}`);
}

/** The way to the page, for who may go; where an end is set, the overview has it beside that. */
export const leaving = ({ t, portal }) =>
	(portal.can_end && !portal.ends_on ? html`<p><a href="/leave">${t.leave}</a></p>` : '');
