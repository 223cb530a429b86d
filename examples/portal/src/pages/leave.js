/*
 * How an owner ends the contract: what that means, the last day, and once more which it is.
 */
import { html } from 'hono/html';
import { lastOfMonth } from '../day.js';
import { check, token } from './form.js';
import { layout } from './layout.js';
import { money } from './standing.js';

// What is told in the form is about the day, unless it is one of these.
const ABOUT_REASON = ['reasonCard'];

function meaning({ t }) {
	const says = [t.leaveBefore, t.leaveCharge, t.leaveMoney, t.leaveBonus, t.leaveDebt, t.leaveAccess];
	return html`<ul>${says.map(text => html`<li>${text}</li>`)}</ul>`;
}

const choice = (value, name, checked) =>
	html`<label class="choice"><input type="radio" name="last" value="${value}"${check(checked)}>
<span>${name}</span></label>`;

/** What is wrong with what has been sent. */
const faultOf = ({ t, f, portal }, fault) =>
	t[fault]({ dayWrong: portal.today, dayPast: f.date(portal.today) }[fault]);

/** A field's attributes and text of what is wrong with it. */
function wrong(view, id, fault) {
	if (!fault) return { is: '', text: '' };
	return {
		is: html` aria-invalid="true" aria-describedby="${id}-fault"`,
		text: html`<span id="${id}-fault" class="fault">${faultOf(view, fault)}</span>`,
	};
}

/** Days to choose, the first of which is the default: the end of the month, today, or one's own. */
function days(view, { day, fault }) {
	const { t, f, portal } = view;
	const { today } = portal;
	const month = lastOfMonth(today);
	const wanted = day ?? portal.ends_on ?? month;
	const offered = [[month, t.leaveMonth], [today, t.leaveToday]].slice(month === today ? 1 : 0);
	const isOwn = Boolean(fault) || !offered.some(([one]) => one === wanted);
	const { is, text } = wrong(view, 'day', fault);
	return html`<fieldset><legend>${t.lastDay}</legend>
${offered.map(([one, name]) => choice(one, name(f.date(one)), !isOwn && one === wanted))}
${choice('other', t.leaveOther, isOwn)}
<p class="other"><label for="day">${t.leaveOtherDay}</label>
<input id="day" type="date" name="day" min="${today}" value="${isOwn ? wanted : ''}"${is}>
${text}</p>
</fieldset>`;
}

/** @param {{day?: string, reason?: string, fault?: string}} [asked] what was sent, if it could not be taken */
export function leavePage(view, { day, reason, fault } = {}) {
	const { t } = view;
	const ofReason = ABOUT_REASON.includes(fault) ? fault : undefined;
	const ofDay = ofReason ? undefined : fault;
	const { is, text } = wrong(view, 'reason', ofReason);
	return layout(view, { title: t.leave }, html`${fault ? html`<p class="fault" role="alert">${t.leaveFault}:
<a href="#${ofReason ? 'reason' : 'day'}">${faultOf(view, fault)}</a></p>` : ''}
<section aria-labelledby="means">
<h2 id="means">${t.leaveMeans}</h2>
${meaning(view)}
<dl class="facts">${money(view)}</dl>
</section>
<form method="post" action="/leave">${token(view)}
${days(view, { day, fault: ofDay })}
<p class="reason"><label for="reason">${t.leaveReason}</label>
<input id="reason" name="reason" autocomplete="off" maxlength="200" value="${reason ?? ''}"${is}>
${text}</p>
<p class="actions"><button>${t.leaveOn}</button> <a class="button plain" href="/">${t.leaveNot}</a></p>
<p><small>${t.leaveNote}</small></p>
</form>`);
}

/** What was chosen, before it is done. */
export function confirmPage(view, { day, reason }) {
	const { t, f } = view;
	const row = (name, value) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
	return layout(view, { title: t.leaveSure }, html`<dl class="facts">
${row(t.lastDay, html`<strong>${f.date(day)}</strong>`)}
${reason ? row(t.reason, reason) : ''}
</dl>
<p>${t.leaveBefore}</p>
<form method="post" action="/leave/confirm">${token(view)}
<input type="hidden" name="last" value="${day}"><input type="hidden" name="reason" value="${reason}">
<p class="actions"><button>${t.leave}</button> <a class="button plain" href="/leave">${t.anotherDay}</a></p>
</form>`);
}
