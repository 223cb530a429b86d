/*
 * What went wrong, and what to do.
 */
import { html } from 'hono/html';
import { layout } from './layout.js';

/** @param {import('./layout.js').View} view @param {string} name of a text in `problems` */
export function problemPage(view, name) {
	const { t, application } = view;
	const [title, text] = t.problems[name];
	const isStranger = ['signIn', 'ended', 'badLink'].includes(name);
	const back = isStranger ? application && html`<a href="${application}">${t.application}</a>`
		: html`<a href="/">${t.overview}</a>`;
	return layout({ ...view, portal: undefined }, { title }, html`<p>${text}</p>
<p>${back}</p>`);
}

/** After signing out. */
export function signedOutPage(view) {
	const { t, application } = view;
	return layout({ ...view, portal: undefined }, { title: t.signedOut },
		application ? html`<p><a href="${application}">${t.application}</a></p>` : '');
}
