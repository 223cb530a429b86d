/*
 * The amount that a member has chosen or typed.
 */

/**
 * As a decimal text, or null if it is none: "25", "25.50", "25,50", "1 234,50". Whether the currency has such an amount
 * is for the database to say.
 */
export function amountOf(form) {
	const typed = form.amount === 'other' ? form.other : form.amount;
	if (typeof typed !== 'string') return null;
	const text = typed.trim().replace(/(?<=\d)[\s\u00a0\u202f](?=\d)/g, '').replace(/^(\d+),(\d+)$/, '$1.$2');
	return /^\d{1,15}(\.\d{1,4})?$/.test(text) ? text : null;
}
