/*
 * What went wrong, as a page says it: its name in the texts (`problems`), and its status.
 */
import pg from 'pg';
import { NoSuchMember, Unavailable } from './db.js';

const STATUS = {
	signIn: 401, ended: 401, badLink: 400, notYours: 403, ownersOnly: 403, denied: 403, noPage: 404, badForm: 403, over: 409,
	gone: 410, tooMany: 429, broken: 500, provider: 502, later: 503,
};

/** A page that says what went wrong, and what to do. */
export class Problem extends Error {
	/** @param {keyof typeof STATUS} name */
	constructor(name, { wait } = {}) {
		super(name);
		this.name = name;
		this.status = STATUS[name];
		this.wait = wait;
	}
}

// The states that kbilling and the server have for what a member, or time, puts right.
const NAMES = { KB003: 'denied', KB004: 'notYours', KB010: 'gone', KB014: 'later' };
const LATER = /^(40001|40P01|55P03|57014|25006|08...|53...|57P..)$/;

/** The problem that an error is to who sees the page; of what they have no part in, no more than that it is broken. */
export function problemOf(error) {
	if (error instanceof Problem) return error;
	if (error instanceof NoSuchMember) return new Problem('ended');
	if (error instanceof Unavailable) return new Problem('later', { wait: 60 });
	if (!(error instanceof pg.DatabaseError)) return new Problem('broken');
	const name = NAMES[error.code] ?? (LATER.test(error.code) ? 'later' : 'broken');
	return new Problem(name, name === 'later' ? { wait: 60 } : {});
}

/** What is wrong with the amount of a payment, as the form says it; undefined if that is not what is wrong. */
export function amountFault(error) {
	if (!(error instanceof pg.DatabaseError)) return undefined;
	return { KB005: 'amountRange', '22003': 'amountRange', '22P02': 'amountNumber' }[error.code];
}

/** What is wrong with the last day of a contract, or the reason for it, likewise. */
export function leavingFault(error) {
	if (!(error instanceof pg.DatabaseError)) return undefined;
	return { '22008': 'dayPast', KB009: 'dayCharged', KB008: 'reasonCard' }[error.code];
}
