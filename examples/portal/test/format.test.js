import assert from 'node:assert/strict';
import { test } from 'node:test';
import { amountOf } from '../src/amount.js';
import { dayBefore, isDay, isOver, lastOfMonth, leavingOf } from '../src/day.js';
import { formatter, isNegative, isPositive, plural } from '../src/format.js';

// Intl separates by blanks that do not break.
const plain = text => text.replace(/[\u00a0\u202f\u2009]/g, ' ');
const en = formatter('en', 'America/New_York');
const uk = formatter('uk', 'Europe/Kyiv');
const usd = amount => ({ amount, currency: 'USD' });

test('money is written as the language does, with the decimals that it has', () => {
	assert.equal(en.money(usd('1234.50')), '$1,234.50');
	assert.equal(en.money({ amount: '1234', currency: 'JPY' }), '¥1,234');
	assert.equal(plain(en.money({ amount: '1.234', currency: 'KWD' })), 'KWD 1.234');
	assert.equal(plain(uk.money({ amount: '1234.50', currency: 'UAH' })), '1 234,50 ₴');
});

test('money keeps its sign, also below one, and its zero has none', () => {
	assert.equal(en.money(usd('-0.05')), '-$0.05');
	assert.equal(en.money(usd('-12.00')), '-$12.00');
	assert.equal(en.change(usd('0.05')), '+$0.05');
	assert.equal(en.change(usd('-0.05')), '-$0.05');
	assert.equal(en.change(usd('0.00')), '$0.00');
});

test('money stays exact up to the largest amount', () => {
	assert.equal(en.money(usd('90071992547409.91')), '$90,071,992,547,409.91');
	assert.equal(en.money(usd('-90071992547409.89')), '-$90,071,992,547,409.89');
});

test('numbers keep their decimals', () => {
	assert.equal(en.number('1234.567'), '1,234.567');
	assert.equal(en.number(0.5), '0.5');
	assert.equal(uk.number('0.083333'), '0,083333');
	assert.equal(en.number('NaN'), 'NaN');
});

test('a date is that day, wherever the server is', () => {
	assert.equal(en.date('2026-12-01'), 'December 1, 2026');
	assert.equal(plain(uk.date('2026-12-01')), '1 грудня 2026 р.');
	assert.equal(en.month('2026-12-01'), 'December 2026');
	assert.equal(plain(en.days('2026-12-01', '2026-12-31')).replace('–', '-'), 'Dec 1 - 31');
});

test('a moment is told by the account\'s clock', () => {
	assert.match(plain(en.moment('2026-12-05T09:00:00+00:00')), /December 5, 2026.* 4:00 AM/);
	assert.match(plain(uk.moment('2026-12-05T09:00:00+00:00')), /5 грудня 2026 р.* 11:00/);
	assert.match(formatter('en', 'Nowhere/Known').moment('2026-12-05T09:00:00+00:00'), /9:00/);
});

test('a word has the form that goes with its number', () => {
	const days = { one: 'день', few: 'дні', many: 'днів', other: 'дня' };
	assert.deepEqual([1, 2, 5, 11, 21, 22].map(n => plural('uk')(n, days)), ['день', 'дні', 'днів', 'днів', 'день', 'дні']);
	assert.deepEqual([1, 2].map(n => plural('en')(n, { one: 'day', other: 'days' })), ['day', 'days']);
});

test('money is above zero, or below, by its digits', () => {
	assert.deepEqual(['0.01', '0.00', '-0.01'].map(amount => isPositive(usd(amount))), [true, false, false]);
	assert.deepEqual(['0.01', '0.00', '-0.01'].map(amount => isNegative(usd(amount))), [false, false, true]);
	assert.equal(isPositive(null), false);
});

test('an amount is read as people type it', () => {
	const typed = other => amountOf({ amount: 'other', other }, 2).amount;
	assert.deepEqual(amountOf({ amount: '25.00', other: ' ' }, 2), { amount: '25.00' });
	assert.deepEqual(['25', ' 25.5 ', '25,50', '1 234,50', '1\u00a0234'].map(typed), ['25', '25.5', '25.50', '1234.50', '1234']);
	for (const other of ['', '-5', '1e9', '5 USD', '1,234.50', '1.2.3', 'NaN', '0x10', '9'.repeat(40), '\'; --']) {
		assert.deepEqual(amountOf({ amount: 'other', other }, 2), { fault: 'amountNumber' }, other);
	}
	for (const form of [{}, { amount: ['1', '2'] }, { amount: '' }]) assert.deepEqual(amountOf(form, 2), { fault: 'amountNumber' });
	assert.deepEqual(amountOf({ other: '7' }, 2), { amount: '7' });
});

test('an amount has no more decimals than its currency, and no comma that can be read in two ways', () => {
	const read = (other, decimals) => Object.values(amountOf({ other }, decimals))[0];
	assert.deepEqual(['25', '25.5', '25.50', '25.505'].map(text => read(text, 2)), ['25', '25.5', '25.50', 'amountNumber']);
	assert.deepEqual(['25', '25.5', '25.0', '1 900'].map(text => read(text, 0)), ['25', 'amountNumber', 'amountNumber', '1900']);
	assert.deepEqual(['25.505', '25,5', '25,50', '25.5055'].map(text => read(text, 3)), ['25.505', '25.5', '25.50', 'amountNumber']);
	for (const decimals of [0, 2, 3, 4]) assert.equal(read('1,900', decimals), 'amountComma');
});

test('who types one amount and has chosen another is asked which', () => {
	assert.deepEqual(amountOf({ amount: '25.00', other: '7' }, 2), { fault: 'amountBoth' });
});

test('the day before, the last of a month, and what is a day', () => {
	assert.deepEqual(['2026-12-21', '2026-03-01', '2028-03-01', '2027-01-01'].map(dayBefore),
		['2026-12-20', '2026-02-28', '2028-02-29', '2026-12-31']);
	assert.deepEqual(['2026-12-05', '2026-12-31', '2027-02-01', '2028-02-29'].map(lastOfMonth),
		['2026-12-31', '2026-12-31', '2027-02-28', '2028-02-29']);
	assert.deepEqual(['2028-02-29', '2027-02-29', '2026-13-01', '2026-1-1', '10000-01-01', 'infinity', ''].map(isDay),
		[true, false, false, false, false, false, false]);
});

test('X1: a contract is over on the day after its last one', () => {
	const over = ends => isOver({ ends_on: ends, today: '2026-12-05' });
	assert.deepEqual([null, '2026-12-04', '2026-12-05', '2026-12-06'].map(over), [false, true, false, false]);
});

test('the last day of a form is what is chosen, or what is typed if that is chosen', () => {
	const asked = form => leavingOf(form, '2026-12-05');
	assert.deepEqual(asked({ last: '2026-12-31', day: '2027-01-15' }), { day: '2026-12-31', reason: '' });
	assert.deepEqual(asked({ last: 'other', day: ' 2027-01-15 ', reason: 'x' }), { day: '2027-01-15', reason: 'x' });
	assert.equal(asked({ last: '2026-12-05' }).fault, undefined);
	assert.equal(asked({ last: '2026-12-04' }).fault, 'dayPast');
	for (const form of [{}, { last: 'other' }, { last: ['2026-12-31', '2026-12-05'] }, { last: 'today' }]) {
		assert.equal(asked(form).fault, 'dayWrong', JSON.stringify(form));
	}
	assert.equal(asked({ reason: ' a\r\nb\u0000c ' }).reason, 'a b c');
	assert.equal([...asked({ reason: '🙂'.repeat(300) }).reason].length, 200);
	assert.equal(asked({ reason: ['a', 'b'] }).reason, '');
});
