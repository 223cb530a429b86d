/*
 * What every page has around its content.
 */
import { html } from 'hono/html';
import { closureBanner, done, reminder } from './banners.js';
import { token } from './form.js';

/**
 * @typedef {object} View what a page is made of, whatever it shows
 * @property {typeof import('../text/en.js').default} t its texts
 * @property {ReturnType<typeof import('../format.js').formatter>} f how money and dates are written
 * @property {object} [portal] what kb_portal says of who sees it; nothing for a stranger
 * @property {string} [account] its number
 * @property {string} [csrf] the token that forms carry
 * @property {string} stylesheet
 * @property {string} [application] the address of the application
 * @property {string} [support] where to write to
 * @property {boolean} [demo] whether there is a page to switch the day
 * @property {string} [done] what has just been done
 */

/** Whether the member may look further than at what is due. */
const mayLook = ({ portal }) => portal?.can_pay && portal.access !== 'denied';

function tab(path, name, here) {
	const current = here === path ? html` aria-current="page"` : '';
	return html`<li><a href="${path}"${current}>${name}</a></li>`;
}

function navigation(view, here) {
	const { t, application, portal } = view;
	// On the days when owners and admins get to this page alone, nothing leads back.
	const back = application && ['full', 'full_with_reminder'].includes(portal.access);
	if (!mayLook(view) && !back) return '';
	return html`<nav aria-label="${t.navigation}"><ul>
${mayLook(view) ? [tab('/', t.overview, here), tab('/history', t.history, here)] : ''}
${back ? html`<li><a href="${application}">${t.application}</a></li>` : ''}
</ul></nav>`;
}

function who(view) {
	const { t, portal } = view;
	return html`<form method="post" action="/logout" class="who">${token(view)}
<span>${t.signedInAs(portal.member, t.roles[portal.role])}</span> <button class="plain">${t.signOut}</button></form>`;
}

/**
 * A whole page.
 * @param {View} view
 * @param {{title: string, here?: string}} page
 */
export function layout(view, { title, here }, content) {
	const { t, portal, support, demo } = view;
	return html`<!doctype html>
<html lang="${t.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title === t.title ? title : `${title} - ${t.title}`}</title>
<link rel="stylesheet" href="${view.stylesheet}">
<link rel="icon" href="/icon.svg" type="image/svg+xml">
</head>
<body>
<a class="skip" href="#content">${t.skip}</a>
<header><p class="brand">${t.title}</p>
${portal ? [navigation(view, here), who(view)] : ''}
</header>
<main id="content">
<h1>${title}</h1>
${portal ? [done(view), closureBanner(view), reminder(view)] : ''}
${content}
</main>
<footer>${support && html`<a href="${support}">${t.support}</a> `}${demo && html`<a href="/demo">Demo</a>`}</footer>
</body>
</html>
`;
}
