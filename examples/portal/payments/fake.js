/*
 * A provider that moves no money, for the demo and the tests. It has a checkout page of its own, signs what it reports,
 * and, as others do, reports it again until it is heard. What happens afterwards at a real provider's (refunds,
 * disputes) is made by its methods.
 */
import { createHmac, randomBytes, randomInt } from 'node:crypto';
import { Hono } from 'hono';
import { html } from 'hono/html';
import { BadSignature, moneyText, orderName, readOrderName } from './provider.js';
import { same } from './same.js';

const TEXTS = {
	en: {
		title: 'Test checkout', to: 'Payment', note: 'No money is moved here.', pay: 'Pay', fail: 'Decline the card',
		later: 'Pay later: the report comes after a while', done: 'This payment is done.', back: 'Back',
	},
	uk: {
		title: 'Тестова оплата', to: 'Платіж', note: 'Тут гроші не рухаються.', pay: 'Сплатити',
		fail: 'Відхилити картку', later: 'Сплатити пізніше: звіт надійде згодом', done: 'Цей платіж завершено.', back: 'Назад',
	},
};

/* Ids of digits, as some providers have them. */
const newId = () => String(randomInt(1, 9)) + Array.from({ length: 15 }, () => randomInt(10)).join('');

const wait = seconds => new Promise(resolve => setTimeout(resolve, seconds * 1000).unref());

/** Posts a report to the webhook; whether it was acknowledged. */
function postTo(url) {
	return async ({ headers, body }) => (await fetch(url, { method: 'POST', headers, body })).ok;
}

/**
 * @param {object} options
 * @param {string} options.secret  that signs its reports
 * @param {string} [options.webhookUrl]  where it reports to
 * @param {(signed: {headers: object, body: string}) => Promise<boolean>} [options.send]  instead of that
 * @param {string} [options.service]
 * @param {number} [options.laterSeconds]  how long "pay later" is
 * @param {number[]} [options.retrySeconds]  after how long what was not heard is reported again
 * @param {string} [options.stylesheet]
 * @param {(amount: import('./provider.js').Money) => import('./provider.js').Money} [options.charge]  what is charged
 */
export function createFake({
	secret, webhookUrl, send = postTo(webhookUrl), service = 'kbilling', stylesheet = '/portal.css',
	laterSeconds = 10, retrySeconds = [1, 5, 25, 125], charge = amount => amount,
}) {
	/* Checkouts by the name of their order; what has happened to each is its list of events. */
	const checkouts = new Map();

	const mac = body => createHmac('sha256', secret).update(body).digest('hex');
	function sign(event) {
		const body = JSON.stringify(event);
		return { headers: { 'content-type': 'application/json', 'fake-signature': mac(body) }, body };
	}

	async function begin(payment) {
		const order = orderName(service, payment);
		const token = randomBytes(16).toString('hex');
		checkouts.set(order, { order, token, ...payment, charged: charge(payment.amount), events: [] });
		return { url: `/fake/checkout/${token}` };
	}

	/* What is credited is what was asked for; the customer is charged that, or what it makes in another currency. */
	function report(event) {
		const { accountId, paymentId } = readOrderName(service, event.order) ?? {};
		if (accountId === undefined) return [];
		const { order, ...rest } = event;
		return [{ ...rest, accountId, ...(['paid', 'failed'].includes(event.kind) ? { paymentId } : {}) }];
	}

	async function verify(headers, body) {
		if (!same(headers['fake-signature'] ?? '', mac(body))) throw new BadSignature();
		return report(JSON.parse(body));
	}

	const find = async payment => (checkouts.get(orderName(service, payment))?.events ?? []).flatMap(report);

	function happen(order, event) {
		const whole = { order, ...event };
		checkouts.get(order)?.events.push(whole);
		return whole;
	}

	/* Things that happen at the provider. Each gives the event, which deliver reports. */
	const world = {
		paid(payment, changes = {}) {
			const { amount } = payment;
			const charged = charge(amount);
			const paid = charged.currency === amount.currency ? null : moneyText(charged);
			return happen(orderName(service, payment),
				{ kind: 'paid', reference: newId(), amount: moneyText(amount), paid, method: 'card', ...changes });
		},
		failed: (payment, failure = 'declined') =>
			happen(orderName(service, payment), { kind: 'failed', failure }),
		refunded: ({ order, reference }, amount) =>
			happen(order, { kind: 'refunded', reference: newId(), topupReference: reference, amount }),
		refundFailed: ({ order, reference }) =>
			happen(order, { kind: 'refund_failed', reference: `${reference}failed`, refundReference: reference }),
		disputed: ({ order, reference }, amount) =>
			happen(order, { kind: 'disputed', reference: newId(), topupReference: reference, ...(amount && { amount }) }),
		disputeWon: ({ order, reference }) =>
			happen(order, { kind: 'dispute_won', reference: `${reference}won`, chargebackReference: reference }),
	};

	/** Reports an event, again and again until it is heard. */
	async function deliver(event) {
		for (const seconds of [0, ...retrySeconds]) {
			if (seconds > 0) await wait(seconds);
			if (await send(sign(event)).catch(() => false)) return true;
		}
		return false;
	}

	const open = token => [...checkouts.values()].find(checkout => checkout.token === token);
	const isDone = checkout => checkout.events.some(event => event.kind === 'paid');

	const routes = new Hono();
	routes.get('/fake/checkout/:token', c => {
		const checkout = open(c.req.param('token'));
		return checkout ? c.html(page(checkout, isDone(checkout), stylesheet)) : c.notFound();
	});
	routes.post('/fake/checkout/:token', async c => {
		const checkout = open(c.req.param('token'));
		if (!checkout) return c.notFound();
		const { what } = await c.req.parseBody();
		if (!isDone(checkout)) await press(checkout, what);
		return c.redirect(checkout.returnUrl, 303);
	});

	/* A button. The report of what was paid is often quicker than the customer's browser; that of "later" is not. */
	async function press(checkout, what) {
		if (what === 'fail') await Promise.race([deliver(world.failed(checkout)), wait(2)]);
		if (what === 'pay') await Promise.race([deliver(world.paid(checkout)), wait(2)]);
		if (what === 'later') wait(laterSeconds).then(() => isDone(checkout) || deliver(world.paid(checkout)));
	}

	return { name: 'fake', origins: [], begin, verify, find, routes, world, sign, deliver };
}

function page({ token, language, charged, description, returnUrl, cancelUrl = returnUrl }, isDone, stylesheet) {
	const tongue = TEXTS[language] ? language : 'en';
	const texts = TEXTS[tongue];
	const { currency } = charged;
	const amount = new Intl.NumberFormat(tongue, { style: 'currency', currency }).format(charged.amount);
	const button = what => html`<p><button name="what" value="${what}">${texts[what]}</button></p>`;
	return html`<!DOCTYPE html>
<html lang="${tongue}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${texts.title}</title>
<link rel="stylesheet" href="${stylesheet}">
<link rel="icon" href="/icon.svg" type="image/svg+xml">
</head>
<body>
<main>
<h1>${texts.title}</h1>
<p>${texts.to}: ${description}, <strong>${amount}</strong></p>
<p>${texts.note}</p>
${isDone ? html`<p>${texts.done}</p>` : html`<form method="post" action="/fake/checkout/${token}">
${['pay', 'fail', 'later'].map(button)}
</form>`}
<p><a href="${isDone ? returnUrl : cancelUrl}">${texts.back}</a></p>
</main>
</body>
</html>`;
}
