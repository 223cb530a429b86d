/*
 * Calendar days, as texts: "2026-11-30"; and the last day of a contract that an owner has chosen or typed.
 */

// A day has ten; a reason may have more.
const MOST_LETTERS = 200;

const textOf = moment => new Date(moment).toISOString().slice(0, 10);

export const dayBefore = day => textOf(Date.parse(day) - 86400000);

export const lastOfMonth = day => textOf(Date.UTC(Number(day.slice(0, 4)), Number(day.slice(5, 7)), 0));

/** Whether a text is a day that the calendar has. */
export function isDay(text) {
	const moment = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(text) : NaN;
	return !Number.isNaN(moment) && textOf(moment) === text;
}

/** Whether the last day of the contract is over (X2). @param {{ends_on: string|null, today: string}} portal */
export const isOver = ({ ends_on: last, today }) => last !== null && last < today;

/** What people have typed, on one line. */
function lineOf(text) {
	if (typeof text !== 'string') return '';
	return [...text.replace(/\p{Cc}+/gu, ' ').trim()].slice(0, MOST_LETTERS).join('');
}

/**
 * The last day and the reason of a form, and the day's fault, as the texts name it. A day that is typed counts if it is
 * chosen; the page shows once more which it is.
 * @param {string} today
 * @returns {{day: string, reason: string, fault?: 'dayWrong'|'dayPast'}}
 */
export function leavingOf({ last, day, reason }, today) {
	const asked = { day: lineOf(last === 'other' ? day : last), reason: lineOf(reason) };
	if (!isDay(asked.day)) return { ...asked, fault: 'dayWrong' };
	return asked.day < today ? { ...asked, fault: 'dayPast' } : asked;
}
