/*
 * What a member may look at, and do. The database refuses the rest by itself; this says why.
 */
import { isOver } from './day.js';
import { Problem } from './errors.js';

/** Only owners and admins pay, and see money. */
export function requirePayer({ can_pay: canPay, state }) {
	if (!['active', 'closing'].includes(state)) throw new Problem('gone');
	if (!canPay) throw new Problem('notYours');
}

/** While the account is blocked, what is due is all that they see. */
export function requireLook(portal) {
	requirePayer(portal);
	if (portal.access === 'denied') throw new Problem('denied');
}

/** Only an owner decides about the contract, at every stage, until it is over (X1). */
export function requireOwner(portal) {
	requirePayer(portal);
	if (isOver(portal)) throw new Problem('over');
	if (!portal.can_end) throw new Problem('ownersOnly');
}
