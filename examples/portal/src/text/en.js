/*
 * What the pages say, in English. What a function is given is written already: money, dates and counts by Intl.
 */
import { plural } from '../format.js';

const form = plural('en');

export default {
	language: 'en',

	// On every page
	title: 'Billing',
	skip: 'Skip to the content',
	navigation: 'Billing pages',
	overview: 'Overview',
	history: 'History',
	application: 'Back to the application',
	signedInAs: (member, role) => `${member}, ${role}`,
	signOut: 'Sign out',
	signedOut: 'You are signed out',
	roles: { owner: 'owner', admin: 'admin', employee: 'employee' },
	support: 'Write to support',
	close: 'Close',

	// Where the account stands
	standing: 'Your account',
	balance: 'Balance',
	ofItBonus: amount => `of it ${amount} bonus`,
	due: 'Due',
	dueSince: date => `since ${date}`,
	tariff: 'Tariff',
	nextTariff: (tariff, date) => `from ${date}: ${tariff}`,
	nextCharge: 'Next charge',
	nextChargeAbout: (amount, date, month) => `about ${amount} on ${date}, for ${month}`,

	// What is left to spend
	spending: 'Left to spend',
	availableNow: 'is available now: the balance less what has been used and is held, and the credit line.',
	limitOf: (name, used, most) => `${name}: ${used} of ${most} used this month`,
	limitHard: 'What goes beyond is refused.',
	limitSoft: 'What goes beyond is charged as usual.',
	held: 'Held for what is under way',
	heldOf: (name, quantity, until) => `${name}: ${quantity}, until ${until} at most`,

	// A debt, stage by stage
	grace: (amount, date) => `${amount} is due since ${date}.`,
	graceNext: date => `Please pay before ${date}. Until then nothing changes for anybody.`,
	reminder: 'Please top up',
	remind: (amount, date) => `${amount} is due since ${date}.`,
	remindNext: date => `From ${date} on, owners and admins get to this page only, until all of it is paid.`,
	restricted: 'Only this page is open to owners and admins',
	restrict: (amount, date) => `${amount} is due since ${date}. The application opens again as soon as all of it is paid.`,
	restrictNext: date => `From ${date} on, nobody can use the account until then.`,
	blocked: 'The account is blocked',
	blockedPay: (amount, date) => `${amount} is due since ${date}. Nothing is lost: pay it, and everybody is back at once.`,
	blockedAsk: 'A payment is missing. An owner or admin of the account can pay; then everybody is back at once.',
	employee: 'Balance, payments and charges are shown to owners and admins of the account.',
	employeeFull: 'You can work as usual.',

	// A closure
	closing: date => `The account will be deleted on ${date}`,
	closingWhy: 'Nobody has used it for a long time. Until then it works as before.',
	closingPayer: 'A payment that takes the balance above zero keeps it, too.',
	closingAsk: 'An owner or admin of the account can keep it.',
	keepAccount: 'Keep the account',
	kept: 'The account is kept. It will not be deleted.',
	deleted: 'The account is deleted',
	deletedUntil: date => `Support can restore it, with all its data, before ${date}.`,
	deletedForGood: 'Its data is removed.',

	// Paying
	pay: 'Top up',
	payAmount: 'Amount',
	offers: {
		debt: 'pays what is due',
		month: 'pays the running month, too',
		months: n => `covers ${n} ${form(n, { one: 'month', other: 'months' })}, at what you use now`,
		tier: 'earns a bonus',
	},
	earns: amount => `+ ${amount} bonus`,
	another: 'Another amount',
	anotherIn: currency => `Another amount, in ${currency}`,
	anotherHint: (whole, exact) => `For example ${whole} or ${exact}`,
	anotherHintWhole: whole => `For example ${whole}: this currency has no decimals`,
	payButton: 'Continue to payment',
	payNote: 'You choose how to pay on the next page. Your card is never charged without you.',
	wrongAmount: 'There is a problem with the amount',
	amountNumber: (currency, example) => `Enter an amount in ${currency}, as ${example}.`,
	amountComma: () => 'A comma before three digits can be read in two ways. Write a thousand as 1000, and decimals after a point.',
	amountRange: currency => `Enter an amount in ${currency} that is above zero, and not too large.`,
	amountRefused: () => 'The payment provider does not take this amount. Choose another one.',
	amountBoth: () => 'You have typed an amount, and chosen another one. Send the one that you mean.',
	toProvider: 'Go on to the payment provider',
	toProviderText: amount => `You pay ${amount} there, and come back here after that.`,
	toProviderButton: 'Go to the payment page',
	description: account => `Top-up of account ${account}`,

	// Payments that are not on the balance
	payments: 'Payments that have not arrived',
	paymentOf: (amount, moment) => `${amount}, ${moment}`,
	paymentStates: {
		pending: 'The provider has not confirmed it yet.',
		failed: 'It failed. Nothing was credited; you can pay again.',
		expired: 'It was not completed. If you have paid after all, it is credited as soon as the provider says so.',
	},
	// Reasons by their code; any other is in the provider's words.
	failures: {
		no_answer: 'The payment provider did not answer.',
		amount_refused: 'The payment provider does not take this amount.',
		checkout_expired: 'It was not completed in time at the payment provider.',
		declined: 'The payment provider declined it.',
		test_payment: 'It was a test of the payment provider, which moved no money.',
		reversed: 'It was paid back before it was credited.',
	},
	providerSays: words => `The provider says: ${words}`,
	waiting: 'Your payment is being confirmed',
	waitingText: 'This takes a moment. It is on the balance as soon as the provider confirms it.',
	reload: 'Look again',
	paymentArrived: amount => `${amount} is on the balance`,

	// The running month and charges, line by line
	month: 'The running month',
	monthCaption: (month, date) => `${month}, up to and including ${date}`,
	nothingUsed: 'Nothing yet.',
	line: 'Service',
	quantity: 'Quantity',
	amount: 'Amount',
	total: 'Total',
	lateUsage: month => `late usage of ${month}`,
	howItAddsUp: 'How it adds up',
	moreLines: n => `${n} ${form(n, { one: 'line', other: 'lines' })}`,

	// The history
	historyCaption: 'What has moved the balance, newest first',
	noEntries: 'No entries yet.',
	date: 'Date',
	what: 'What',
	balanceAfter: 'Balance',
	all: 'The whole history',
	older: 'Older entries',
	newer: 'The newest entries',
	kinds: {
		topup: 'Top-up',
		bonus: 'Bonus',
		charge: 'Month charge',
		purchase: 'Purchase',
		refund: 'Refund',
		chargeback: 'Disputed payment',
		adjustment: 'Adjustment',
		writeoff: 'Debt written off',
		reversal: 'Correction',
		other: 'Entry',
	},
	chargeFor: month => `Charge for ${month}`,
	bonusBack: 'Bonus taken back',

	// One entry
	entry: seq => `Entry ${seq}`,
	posted: 'Posted',
	method: 'Paid by',
	paid: 'The card was charged',
	rate: rate => `at ${rate}`,
	reference: 'Reference',
	by: 'By',
	memo: 'Note',
	refersTo: 'Belongs to',
	bonusAfter: 'Bonus left',
	lines: 'How the charge is made up',

	// A receipt
	receipt: 'Receipt',
	receiptOf: number => `Receipt ${number}`,
	receiptCaption: 'What was credited',
	print: 'To print it, use your browser\'s print command.',
	seller: 'Seller',
	payer: 'Payer',
	account: 'Account',
	payerKeys: { name: 'Name', address: 'Address', tax_number: 'Tax number', email: 'E-mail' },
	toppedUp: 'Top-up',
	bonus: 'Bonus',
	credited: 'Credited in all',

	// What went wrong, and what to do
	problems: {
		signIn: ['Please sign in', 'This page needs you to come from the application, where you are signed in.'],
		ended: ['Your session has ended', 'Open this page from the application again.'],
		badLink: ['This link does not work', 'It may be too old, or used before. Open this page from the application again.'],
		notYours: ['This is for owners and admins', 'Ask an owner or admin of the account.'],
		denied: ['This is closed for now', 'It opens again as soon as what is due is paid.'],
		noPage: ['There is no such page', 'Go back to the overview.'],
		badForm: ['This form is too old', 'Nothing was changed. Go back, load the page again, and try once more.'],
		tooMany: ['That was too often', 'Nothing was changed. Wait a while, and try again.'],
		gone: ['The account is deleted', 'Nothing can be paid any more. Support can tell whether it can be restored.'],
		later: ['This does not work right now', 'Nothing was changed. Try again in a minute.'],
		provider: ['The payment provider does not answer', 'Nothing was paid. Try again in a minute.'],
		broken: ['Something is wrong on our side', 'We have been told of it. Please try again later.'],
	},
};
