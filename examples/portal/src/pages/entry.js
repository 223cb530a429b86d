/*
 * One entry: what it says, and how the lines of a charge add up.
 */
import { html } from 'hono/html';
import { title } from './history.js';
import { layout } from './layout.js';
import { linesTable } from './lines.js';

const row = (name, value) => (value === null || value === undefined || value === '' ? '' :
	html`<div><dt>${name}</dt><dd>${value}</dd></div>`);

/** What the card was charged, if that is another amount, and the rate. */
export function paidWith({ t, f }, { paid, rate }) {
	return paid && html`${f.money(paid)}${rate ? html` <small>${t.rate(f.number(rate))}</small>` : ''}`;
}

const negative = ({ amount, currency }) =>
	({ amount: amount.startsWith('-') ? amount.slice(1) : /[1-9]/.test(amount) ? `-${amount}` : amount, currency });

export function entryPage(view, { entry, steps, bonus }) {
	const { t, f } = view;
	const hasLines = ['charge', 'purchase'].includes(entry.kind);
	const name = title(view, entry);
	const lines = hasLines && entry.lines?.length ? linesTable(view, {
		caption: t.lines, lines: entry.lines, steps, total: negative(entry.amount),
	}) : '';
	return layout(view, { title: name }, html`<dl class="facts">
${row(t.date, f.date(entry.effective_on))}
${row(t.amount, html`<strong>${f.change(entry.amount)}</strong>`)}
${bonus ? row(t.bonus, html`<a href="/entries/${bonus.seq}">${f.change(bonus.amount)}</a>`) : ''}
${row(t.balanceAfter, f.money(entry.balance_after))}
${row(t.bonusAfter, f.money(entry.bonus_after))}
${row(t.method, entry.method?.name)}
${row(t.paid, paidWith(view, entry))}
${row(t.reference, entry.kind === 'charge' ? null : entry.reference)}
${row(t.by, entry.member)}
${row(t.memo, entry.memo)}
${entry.ref_seq ? row(t.refersTo, html`<a href="/entries/${entry.ref_seq}">${t.entry(entry.ref_seq)}</a>`) : ''}
${row(t.posted, f.moment(entry.posted_at))}
</dl>
${entry.kind === 'topup' ? html`<p><a href="/receipts/${entry.seq}">${t.receipt}</a></p>` : ''}
${lines}`);
}
