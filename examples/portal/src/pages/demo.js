/*
 * The demo's customers and its day, in English alone.
 */
import { html } from 'hono/html';

function customer({ account_id: id, title, story, state, stage, balance, members }) {
	const address = member => `/demo/login?account=${id}&member=${encodeURIComponent(member)}`;
	const login = ({ member, role }) => html`<li><a href="${address(member)}">${member}, ${role}</a></li>`;
	return html`<tr><th scope="row">${title} <small>${story}</small></th>
<td>${state}</td><td>${stage}</td><td>${balance}</td>
<td><ul class="logins">${members.map(login)}</ul></td></tr>`;
}

export function demoPage({ stylesheet }, { today, customers, fault }) {
	return html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Demo of the billing page</title>
<link rel="stylesheet" href="${stylesheet}"><link rel="icon" href="/icon.svg" type="image/svg+xml"></head>
<body>
<header><p class="brand">Demo</p></header>
<main id="content">
<h1>Demo of the billing page</h1>
<form method="post" action="/demo/day" class="day">
<label for="day">Today</label> <input id="day" type="date" name="day" value="${today}" min="${today}" required>
<button>Go on to this day</button>
${fault ? html`<span class="fault" role="alert">Days go on, up to 400 at once, and not back.</span>` : ''}
</form>
<p>Each day up to it is lived through: the sweep charges, reminds, closes and deletes. To begin anew, start the demo
again.</p>
<table class="customers"><caption>Customers, and who may log in</caption>
<thead><tr><th scope="col">Customer</th><th scope="col">State</th><th scope="col">Stage</th><th scope="col">Balance</th>
<th scope="col">Log in as</th></tr></thead>
<tbody>${customers.map(customer)}</tbody></table>
</main>
</body>
</html>
`;
}
