/*
 * The amount that a member has chosen or typed.
 */

/** What people type, "25", "25.50", "25,50" or "1 234,50", as a decimal text; null if it is no amount. */
function decimal(typed) {
	const text = typed.trim().replace(/(?<=\d)[\s\u00a0\u202f](?=\d)/g, '').replace(/^(\d+),(\d+)$/, '$1.$2');
	return /^\d{1,15}(\.\d{1,4})?$/.test(text) ? text : null;
}

/**
 * The amount of a form, or its fault, as the texts name it. Whether the currency has such an amount is for the database
 * to say.
 * @returns {{amount: string} | {fault: 'amountNumber'|'amountBoth'}}
 */
export function amountOf({ amount: chosen, other }) {
	const isTyped = typeof other === 'string' && other.trim() !== '';
	// Without a script, a form cannot choose by itself what is typed; nobody is to pay another amount than was meant.
	if (isTyped && chosen !== undefined && chosen !== 'other') return { fault: 'amountBoth' };
	const text = isTyped ? other : chosen;
	const amount = typeof text === 'string' ? decimal(text) : null;
	return amount === null ? { fault: 'amountNumber' } : { amount };
}
