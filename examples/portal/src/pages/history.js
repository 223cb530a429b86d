/*
 * The entries of the account, newest first.
 */
import { html } from 'hono/html';
import { isNegative } from '../format.js';
import { layout } from './layout.js';

// A page with all lines of all its charges could have any size: where there are many, they are on the entry's own page.
const MOST_LINES = 8;

/** What an entry is called. */
export function title({ t, f }, { kind, amount, period }) {
	if (kind === 'charge' && period) return t.chargeFor(f.month(period));
	if (kind === 'bonus' && isNegative(amount)) return t.bonusBack;
	return t.kinds[kind] ?? t.kinds.other;
}

/** What a charge is made up of, in short. */
function breakdown({ t, f }, { kind, lines }) {
	if (!['charge', 'purchase'].includes(kind) || !lines?.length || lines.length > MOST_LINES) return '';
	const line = ({ name, service, amount }) => html`<li>${name ?? service} <b>${f.money(amount)}</b></li>`;
	return html`<details><summary>${t.moreLines(lines.length)}</summary><ul>${lines.map(line)}</ul></details>`;
}

function row(view, entry) {
	const { t, f } = view;
	const { seq, kind, method, memo } = entry;
	const also = [method?.name, memo].filter(Boolean).map(text => html` <small>${text}</small>`);
	const receipt = html`<a class="more" href="/receipts/${seq}" aria-label="${t.receiptOf(seq)}">${t.receipt}</a>`;
	return html`<tr><td>${f.shortDate(entry.effective_on)}</td>
<th scope="row"><a href="/entries/${seq}">${title(view, entry)}</a>${also}
${kind === 'topup' ? receipt : ''}${breakdown(view, entry)}</th>
<td>${f.change(entry.amount)}</td><td>${f.money(entry.balance_after)}</td></tr>
`;
}

/** A table of entries. */
export function historyTable(view, entries) {
	const { t } = view;
	if (entries.length === 0) return html`<p>${t.noEntries}</p>`;
	return html`<table class="entries"><caption>${t.historyCaption}</caption>
<thead><tr><th scope="col">${t.date}</th><th scope="col">${t.what}</th>
<th scope="col">${t.amount}</th><th scope="col">${t.balanceAfter}</th></tr></thead>
<tbody>${entries.map(entry => row(view, entry))}</tbody>
</table>`;
}

/** The newest entries, on the overview. */
export function newest(view, entries, isThereMore) {
	const { t } = view;
	return html`<section aria-labelledby="history">
<h2 id="history">${t.history}</h2>
${historyTable(view, entries)}
${isThereMore ? html`<p><a href="/history">${t.all}</a></p>` : ''}
</section>`;
}

/** A page of the history. */
export function historyPage(view, { entries, moreBefore, isFirst }) {
	const { t } = view;
	return layout(view, { title: t.history, here: '/history' }, html`${historyTable(view, entries)}
<p class="pages">${isFirst ? '' : html`<a href="/history">${t.newer}</a> `}${
	moreBefore ? html`<a href="/history?before=${moreBefore}" rel="next">${t.older}</a>` : ''}</p>`);
}
