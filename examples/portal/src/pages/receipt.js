/*
 * A receipt, to print.
 */
import { html } from 'hono/html';
import { paidWith } from './entry.js';
import { layout } from './layout.js';

const line = text => html`<br>${text}`;

function seller({ t, seller: of }) {
	return of && html`<div><dt>${t.seller}</dt><dd>${of.name}${(of.lines ?? []).map(line)}</dd></div>`;
}

/** Whose data it is for: what the account has set, in its own words; else the member who owns it. */
function payer({ t, portal }) {
	const { member, email, details } = portal.payer ?? {};
	const own = Object.entries(details ?? {}).filter(([, value]) => ['string', 'number'].includes(typeof value));
	const shown = own.length > 0 ? own : [['name', member], ['email', email]].filter(([, value]) => value);
	const keyOf = key => (Object.hasOwn(t.payerKeys, key) ? t.payerKeys[key] : key);
	const named = ([key, value]) => (key === 'name' ? value : `${keyOf(key)}: ${value}`);
	const lines = shown.map(named).map((text, n) => (n > 0 ? line(text) : text));
	return html`<div><dt>${t.payer}</dt><dd>${lines}</dd></div>`;
}

/** The sum of two amounts of one currency, in whole minor units. */
function sum(a, b) {
	const places = (a.amount.split('.')[1] ?? '').length;
	const minor = BigInt(a.amount.replace('.', '')) + BigInt(b.amount.replace('.', ''));
	const digits = String(minor).padStart(places + 1, '0');
	const amount = places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`;
	return { amount, currency: a.currency };
}

export function receiptPage(view, { entry, bonus }) {
	const { t, f, account } = view;
	const number = `${account}-${entry.seq}`;
	const fact = (name, value) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
	const row = (name, value) => html`<tr><th scope="row">${name}</th><td>${f.money(value)}</td></tr>`;
	return layout(view, { title: t.receiptOf(number) }, html`<p class="screen">${t.print}</p>
<dl class="facts receipt">
${seller(view)}
${payer(view)}
${fact(t.account, account)}
${fact(t.date, f.date(entry.effective_on))}
${fact(t.method, entry.method?.name)}
${fact(t.reference, entry.reference)}
${fact(t.paid, paidWith(view, entry))}
</dl>
<table><caption>${t.receiptCaption}</caption>
<thead><tr><th scope="col">${t.what}</th><th scope="col">${t.amount}</th></tr></thead>
<tbody>${row(t.toppedUp, entry.amount)}${bonus ? row(t.bonus, bonus.amount) : ''}</tbody>
<tfoot>${row(t.credited, bonus ? sum(entry.amount, bonus.amount) : entry.amount)}</tfoot>
</table>`);
}
