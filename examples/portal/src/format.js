/*
 * Money, dates and numbers, as a language writes them. Amounts are decimal texts, and stay exact: they never become a
 * JavaScript number.
 */

const made = new Map();

/** An object of Intl, made once. */
function intl(kind, language, options) {
	const key = `${kind} ${language} ${JSON.stringify(options)}`;
	let found = made.get(key);
	if (!found) {
		found = new Intl[kind](language, options);
		made.set(key, found);
	}
	return found;
}

/** Writes a decimal text by a format: its whole part as a BigInt, with the sign and places of a small number. */
function exactly(language, options, text) {
	const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
	if (!match) return text;
	const [, minus, whole, fraction = ''] = match;
	const places = { minimumFractionDigits: fraction.length, maximumFractionDigits: fraction.length };
	const format = intl('NumberFormat', language, { ...options, ...places });
	const sample = /[1-9]/.test(whole + fraction) ? (minus ? -1 : 1) : 0;
	const grouped = format.formatToParts(BigInt(whole))
		.filter(({ type }) => type === 'integer' || type === 'group')
		.map(({ value }) => value)
		.join('');
	return format.formatToParts(sample)
		.map(({ type, value }) => (type === 'integer' ? grouped : type === 'fraction' ? fraction : value))
		.join('');
}

/** A calendar day, "2026-11-30", as a moment that is written in UTC. */
function day(text) {
	return new Date(`${text}T00:00:00Z`);
}

/** Whether Intl knows a time zone: PostgreSQL has a few names more. */
function known(timeZone) {
	try {
		intl('DateTimeFormat', 'en', { timeZone });
		return timeZone;
	} catch {
		return 'UTC';
	}
}

/**
 * @typedef {{amount: string, currency: string}} Money
 * @param {string} language
 * @param {string} timeZone the account's
 */
export function formatter(language, timeZone = 'UTC') {
	const zone = known(timeZone);
	const dates = options => intl('DateTimeFormat', language, { timeZone: 'UTC', ...options });

	return {
		/** @param {Money} money */
		money: ({ amount, currency }) => exactly(language, { style: 'currency', currency }, amount),

		/** What moved a balance: with its sign. @param {Money} money */
		change: ({ amount, currency }) =>
			exactly(language, { style: 'currency', currency, signDisplay: 'exceptZero' }, amount),

		number: value => exactly(language, {}, String(value)),
		date: text => dates({ dateStyle: 'long' }).format(day(text)),
		shortDate: text => dates({ dateStyle: 'medium' }).format(day(text)),
		days: (from, to) => dates({ day: 'numeric', month: 'short' }).formatRange(day(from), day(to)),
		month: text => dates({ month: 'long', year: 'numeric' }).format(day(text)),
		moment: text => intl('DateTimeFormat', language, { dateStyle: 'long', timeStyle: 'short', timeZone: zone })
			.format(new Date(text)),
	};
}

/** The form of a word for a number: plural('uk')(5, {one: 'день', few: 'дні', many: 'днів', other: 'дня'}) is 'днів'. */
export function plural(language) {
	const rules = new Intl.PluralRules(language);
	return (n, forms) => forms[rules.select(n)] ?? forms.other;
}

/** Whether money is more than nothing. @param {Money|null} money */
export function isPositive(money) {
	return Boolean(money) && !money.amount.startsWith('-') && /[1-9]/.test(money.amount);
}

/** Whether money is less than nothing. @param {Money} money */
export function isNegative(money) {
	return money.amount.startsWith('-');
}
