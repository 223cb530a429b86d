/*
 * The lines of a month: what each is for, how much, and how that adds up.
 */
import { html } from 'hono/html';

/** Whether a line is no service, but a discount or what is missing to the minimum: its quantity is an amount then. */
const isTerm = line => line.what === 'discount' || line.what === 'minimum';

/** What a line covers: its days, if they are not the whole month, or the month that it comes late for. */
function covers({ t, f }, line) {
	if (line.what === 'late usage') return t.lateUsage(f.month(line.from_date));
	const days = f.days(line.from_date, line.to_date);
	return isTerm(line) ? [t.term[line.what], days].filter(Boolean).join(', ') : days;
}

/** How a line adds up, in a box that opens without a script. */
function explanation({ t, f }, steps) {
	if (!steps?.length) return '';
	const step = ({ text, amount }) => html`<li>${text}${amount ? html` <b>${f.money(amount)}</b>` : ''}</li>`;
	return html`<tr class="how"><td colspan="3"><details><summary>${t.howItAddsUp}</summary>
<ol>${steps.map(step)}</ol></details></td></tr>`;
}

function row(view, line, steps) {
	const { f } = view;
	return html`<tbody><tr><th scope="row">${line.name ?? line.service} <small>${covers(view, line)}</small></th>
<td>${isTerm(line) || line.quantity === null || line.quantity === undefined ? '' : f.number(line.quantity)}</td>
<td>${f.money(line.amount)}</td></tr>${explanation(view, steps)}</tbody>
`;
}

/**
 * A table of lines.
 * @param {import('./layout.js').View} view
 * @param {{caption: string, lines: object[], total: object, steps?: object[][], most?: number}} month of more lines than
 *   `most`, the rest is elsewhere
 */
export function linesTable(view, { caption, lines, total, steps = [], most = Infinity }) {
	const { t, f } = view;
	const rest = html`<tbody><tr><th scope="row" colspan="3"><a href="/month">${t.allLines(lines.length)}</a></th></tr>
</tbody>`;
	return html`<table><caption>${caption}</caption>
<thead><tr><th scope="col">${t.line}</th><th scope="col">${t.quantity}</th><th scope="col">${t.amount}</th></tr></thead>
${lines.slice(0, most).map((line, n) => row(view, line, steps[n]))}
${lines.length > most ? rest : ''}
<tfoot><tr><th scope="row" colspan="2">${t.total}</th><td>${f.money(total)}</td></tr></tfoot>
</table>`;
}

/** The running month, as far as it has got. */
export function runningMonth(view, steps, most) {
	const { t, f, portal } = view;
	const { lines, total } = portal.usage;
	const caption = t.monthCaption(f.month(portal.today), f.date(portal.today));
	return html`<section aria-labelledby="month">
<h2 id="month">${t.month}</h2>
${lines.length > 0 ? linesTable(view, { caption, lines, total, steps, most }) : html`<p>${t.nothingUsed}</p>`}
</section>`;
}
