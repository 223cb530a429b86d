/*
 * The address that a customer comes back to from the provider. It is signed for the account, as the portal began the
 * payment: nothing is said of a number that somebody has made up.
 */
import { same } from '../payments/same.js';
import { mac } from './session.js';

const signature = (secret, account, { payment, after }) =>
	mac(secret, 'paid', `${account}.${payment}.${after}`).slice(0, 32);

/**
 * The path of a payment that was begun.
 * @param {{payment: string, after: string}} begun its number, and that of the newest entry when it was begun
 */
export function paidPath(secret, account, begun) {
	const sign = signature(secret, account, begun);
	return `/paid?${new URLSearchParams({ payment: begun.payment, after: begun.after, sign })}`;
}

/** What such a path says: {payment, after, path}; null if it is none of this account's. */
export function readPaid(secret, account, { payment = '', after = '', sign = '' }) {
	const begun = { payment, after };
	return same(sign, signature(secret, account, begun)) ? { ...begun, path: paidPath(secret, account, begun) } : null;
}
