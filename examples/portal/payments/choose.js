/*
 * The provider that the environment names. PORTAL_ORIGIN is the portal's own address, as browsers and the provider see
 * it.
 */
import { createFake } from './fake.js';
import { createLiqpay } from './liqpay.js';
import { createStripe } from './stripe.js';

const CHOICES = {
	stripe: env => createStripe({
		secretKey: need(env, 'STRIPE_SECRET_KEY'),
		webhookSecret: need(env, 'STRIPE_WEBHOOK_SECRET'),
		service: env.PORTAL_SERVICE,
	}),
	liqpay: env => createLiqpay({
		publicKey: need(env, 'LIQPAY_PUBLIC_KEY'),
		privateKey: need(env, 'LIQPAY_PRIVATE_KEY'),
		callbackUrl: `${need(env, 'PORTAL_ORIGIN')}/webhooks/liqpay`,
		service: env.PORTAL_SERVICE,
		sandbox: env.LIQPAY_SANDBOX === '1',
	}),
	fake: env => createFake({
		secret: need(env, 'PORTAL_SECRET'),
		webhookUrl: `${need(env, 'PORTAL_ORIGIN')}/webhooks/fake`,
		service: env.PORTAL_SERVICE,
	}),
};

function need(env, name) {
	if (!env[name]) throw new Error(`${name} is not set`);
	return env[name];
}

/** @param {Record<string, string | undefined>} env */
export function providerFrom(env) {
	const choose = CHOICES[env.PORTAL_PROVIDER];
	if (choose === undefined) throw new Error(`PORTAL_PROVIDER must be one of ${Object.keys(CHOICES).join(', ')}`);
	return choose(env);
}
