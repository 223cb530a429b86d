/*
 * The form to pay, the payments that have not arrived, and the way on to a provider that wants a form.
 */
import { html } from 'hono/html';
import { decimalsOf } from '../amount.js';
import { isPositive } from '../format.js';
import { lastDayOf } from './credit.js';
import { check, token } from './form.js';
import { layout } from './layout.js';

/** The bonus that an offer earns, and after which day it expires, if it does. */
function earned(view, { bonus, bonus_expires_on: expires }) {
	const { t, f } = view;
	if (!isPositive(bonus)) return '';
	return html` <em>${t.earns(f.money(bonus))}</em>${
		expires ? html` <small>${t.bonusExpires(lastDayOf(view, expires))}</small>` : ''}`;
}

function offer(view, one, checked) {
	const { t, f } = view;
	const { amount, reason, months } = one;
	const why = reason === 'months' ? t.offers.months(months) : t.offers[reason];
	return html`<label class="choice"><input type="radio" name="amount" value="${amount.amount}"${check(checked)}>
<span><b>${f.money(amount)}</b> ${why}${earned(view, one)}</span></label>`;
}

/** Amounts that can be typed so: one whole and one with decimals, if the currency has any. */
function examples({ f, portal }) {
	const decimals = decimalsOf(portal.balance);
	return decimals === 0 ? ['250'] : ['25', f.number(decimals === 2 ? '25.50' : '25.5')];
}

const hintOf = (view, [whole, exact]) => (exact ? view.t.anotherHint(whole, exact) : view.t.anotherHintWhole(whole));

/** What is wrong with an amount. */
const faultOf = (view, fault) => view.t[fault](view.portal.currency, examples(view).at(-1));

/** An amount of the member's own; what is wrong with it stands beside it. */
function another(view, { fault, typed }, checked) {
	const { t, portal } = view;
	const described = fault ? 'other-hint other-fault' : 'other-hint';
	return html`<label class="choice"><input type="radio" name="amount" value="other"${check(checked)}>
<span>${t.another}</span></label>
<p class="other"><label for="other">${t.anotherIn(portal.currency)}</label>
<input id="other" name="other" inputmode="decimal" autocomplete="off" maxlength="24" value="${typed ?? ''}"
 aria-describedby="${described}"${fault ? html` aria-invalid="true"` : ''}>
<small id="other-hint">${hintOf(view, examples(view))}</small>
${fault ? html`<span id="other-fault" class="fault">${faultOf(view, fault)}</span>` : ''}</p>`;
}

/** @param {{fault?: string, typed?: string}} [wrong] what was sent, if it could not be taken */
export function payForm(view, wrong = {}) {
	const { t, portal } = view;
	// Who leaves would lose a bonus.
	const offers = portal.offers.filter(({ reason }) => !portal.ends_on || reason !== 'tier');
	const first = wrong.fault ? -1 : 0;
	const own = Boolean(wrong.fault) || offers.length === 0;
	return html`<section aria-labelledby="pay">
<h2 id="pay">${t.pay}</h2>
${wrong.fault ? html`<p class="fault" role="alert">${t.wrongAmount}:
<a href="#other">${faultOf(view, wrong.fault)}</a></p>` : ''}
<form method="post" action="/pay">${token(view)}
<fieldset><legend>${t.payAmount}</legend>
${offers.map((one, n) => offer(view, one, n === first))}
${another(view, wrong, own)}
</fieldset>
<button>${t.payButton}</button>
<p><small>${t.payNote}</small></p>
</form>
</section>`;
}

/** Why a payment failed: a reason that we know of, or what the provider says. */
const reason = (t, failure) => (Object.hasOwn(t.failures, failure) ? t.failures[failure] : t.providerSays(failure));

/** The payments that are pending, have failed or were not completed. */
export function openPayments({ t, f, portal }) {
	if (portal.payments.length === 0) return '';
	const one = ({ amount, begun_at: at, status, failure }) => html`<li>
<b>${t.paymentOf(f.money(amount), f.moment(at))}</b> ${t.paymentStates[status]}
${failure && html`<small>${reason(t, failure)}</small>`}</li>`;
	return html`<section aria-labelledby="payments">
<h2 id="payments">${t.payments}</h2>
<ul class="payments">${portal.payments.map(one)}</ul>
</section>`;
}

/** What has become of the payment that the member comes back from, which was begun after the entry `after`. */
export function returned({ t, f, portal }, { payment, after, path }) {
	const open = portal.payments.find(({ payment_id: id }) => String(id) === payment);
	if (open?.status === 'pending') {
		return html`<section class="done" role="status"><h2>${t.waiting}</h2><p>${t.waitingText}
<a href="${path}">${t.reload}</a></p></section>`;
	}
	if (open) return html`<p class="warning" role="status">${t.paymentStates[open.status]}</p>`;
	// It has arrived, and perhaps others with it.
	const arrived = portal.entries.filter(({ kind, seq }) => kind === 'topup' && seq > Number(after));
	// While the account is blocked, a receipt is not to be seen.
	const receipt = seq => (portal.access === 'denied' ? '' : html`<a href="/receipts/${seq}">${t.receipt}</a>`);
	return arrived.map(({ amount, seq }) => html`<p class="done" role="status">${t.paymentArrived(f.money(amount))}
${receipt(seq)}</p>`);
}

/** The way on to a provider that wants a form. */
export function onwardPage(view, { action, fields }, amount) {
	const { t, f } = view;
	const field = ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`;
	return layout(view, { title: t.toProvider }, html`<p>${t.toProviderText(f.money(amount))}</p>
<form method="post" action="${action}" accept-charset="utf-8">${Object.entries(fields).map(field)}
<button>${t.toProviderButton}</button></form>`);
}
