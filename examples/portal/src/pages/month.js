/*
 * The running month with all its lines, all that is left to spend, and all credit that expires: what the overview has no
 * room for.
 */
import { html } from 'hono/html';
import { expiringCredit } from './credit.js';
import { layout } from './layout.js';
import { runningMonth } from './lines.js';
import { spending } from './spending.js';

export function monthPage(before, { portal, steps }) {
	const view = { ...before, portal };
	return layout(view, { title: view.t.month, here: '/month' }, html`${runningMonth(view, steps)}
${spending(view)}
${expiringCredit(view)}`);
}
