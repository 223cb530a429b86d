/*
 * The amount that a member has chosen or typed.
 */

/** How many decimals a currency has, by an amount of it as the database writes it. */
export const decimalsOf = ({ amount }) => (amount.split('.')[1] ?? '').length;

/** What people type, "25", "25.50", "25,50" or "1 234,50": {amount}, a decimal text; or its {fault}. */
function decimal(typed, decimals) {
	const text = typed.trim().replace(/(?<=\d)[\s\u00a0\u202f](?=\d)/g, '');
	// 1,900 is more than a thousand to some, and less than two to others.
	if (/^\d+,\d{3}$/.test(text)) return { fault: 'amountComma' };
	const amount = text.replace(/^(\d+),(\d+)$/, '$1.$2');
	const [, fraction = ''] = /^\d{1,15}(?:\.(\d+))?$/.exec(amount) ?? [null, 'x'.repeat(decimals + 1)];
	return fraction.length > decimals ? { fault: 'amountNumber' } : { amount };
}

/**
 * The amount of a form, or its fault, as the texts name it. Whether it is too large is for the database to say.
 * @param {number} decimals of the currency
 * @returns {{amount: string} | {fault: 'amountNumber'|'amountComma'|'amountBoth'}}
 */
export function amountOf({ amount: chosen, other }, decimals) {
	const isTyped = typeof other === 'string' && other.trim() !== '';
	// Without a script, a form cannot choose by itself what is typed; nobody is to pay another amount than was meant.
	if (isTyped && chosen !== undefined && chosen !== 'other') return { fault: 'amountBoth' };
	const text = isTyped ? other : chosen;
	return typeof text === 'string' ? decimal(text, decimals) : { fault: 'amountNumber' };
}
