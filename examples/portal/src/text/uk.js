/*
 * What the pages say, in Ukrainian. What a function is given is written already: money, dates and counts by Intl.
 */
import { plural } from '../format.js';

const form = plural('uk');

export default {
	language: 'uk',

	// On every page
	title: 'Оплата',
	skip: 'Перейти до вмісту',
	navigation: 'Сторінки оплати',
	overview: 'Огляд',
	history: 'Історія',
	application: 'Назад до застосунку',
	signedInAs: (member, role) => `${member}, ${role}`,
	signOut: 'Вийти',
	signedOut: 'Ви вийшли',
	roles: { owner: 'власник', admin: 'адміністратор', employee: 'працівник' },
	support: 'Написати в підтримку',
	close: 'Закрити',

	// Where the account stands
	standing: 'Ваш кабінет',
	balance: 'Баланс',
	ofItBonus: amount => `з них бонусу ${amount}`,
	due: 'До сплати',
	dueSince: date => `з ${date}`,
	tariff: 'Тариф',
	nextTariff: (tariff, date) => `з ${date}: ${tariff}`,
	nextCharge: 'Наступне нарахування',
	nextChargeAbout: (amount, date, month) => `близько ${amount}, ${date}, за ${month}`,

	// What is left to spend
	spending: 'Скільки можна витратити',
	availableNow: 'доступно зараз: баланс без використаного й зарезервованого, разом із кредитною лінією.',
	limitOf: (name, used, most) => `${name}: цього місяця використано ${used} з ${most}`,
	limitHard: 'Понад ліміт не можна.',
	limitSoft: 'Використане понад ліміт оплачується, як звичайно.',
	held: 'Зарезервовано для того, що виконується',
	heldOf: (name, quantity, until) => `${name}: ${quantity}, щонайдовше до ${until}`,

	// A debt, stage by stage
	grace: (amount, date) => `З ${date} у кабінеті є борг: до сплати ${amount}.`,
	graceNext: date => `Будь ласка, сплатіть раніше, ніж настане ${date}. До того ні для кого нічого не зміниться.`,
	reminder: 'Будь ласка, поповніть баланс',
	remind: (amount, date) => `З ${date} у кабінеті є борг: до сплати ${amount}.`,
	remindNext: date => `З ${date} і до повної сплати власникам та адміністраторам буде доступна лише ця сторінка.`,
	remindBlocked: date => `З ${date} і до повної сплати увійти до кабінету не зможе ніхто.`,
	restricted: 'Власникам та адміністраторам доступна лише ця сторінка',
	restrict: (amount, date) => `З ${date} у кабінеті є борг: до сплати ${amount}. Після повної сплати доступ одразу стане повним.`,
	restrictNext: date => `З ${date} і до повної сплати увійти до кабінету не зможе ніхто.`,
	blocked: 'Доступ до кабінету закрито',
	blockedPay: (amount, date) => `З ${date} у кабінеті є борг: до сплати ${amount}. Дані збережено; після повної сплати`
		+ ' доступ одразу повернеться всім.',
	blockedAsk: 'У кабінеті є борг. Сплатити може власник або адміністратор; тоді доступ одразу повернеться всім.',
	employee: 'Баланс, платежі й нарахування бачать власники та адміністратори кабінету.',
	employeeFull: 'Ви можете працювати, як завжди.',

	// A closure
	closing: date => `Кабінет буде видалено ${date}`,
	closingWhy: 'Ним давно не користуються. До того часу він працює, як і раніше.',
	closingPayer: 'Платіж, після якого баланс стане більшим за нуль, теж збереже кабінет.',
	closingAsk: 'Зберегти його може власник або адміністратор.',
	keepAccount: 'Зберегти кабінет',
	kept: 'Кабінет збережено. Його не буде видалено.',
	deleted: 'Кабінет видалено',
	deletedUntil: date => `Служба підтримки може відновити його з усіма даними раніше, ніж настане ${date}.`,
	deletedForGood: 'Його дані видалено.',

	// Paying
	pay: 'Поповнення балансу',
	payAmount: 'Сума',
	offers: {
		debt: 'погасить борг',
		month: 'покриє й поточний місяць',
		months: n => `вистачить на ${n} ${form(n, { one: 'місяць', few: 'місяці', many: 'місяців', other: 'місяця' })},`
			+ ' якщо користуватися, як тепер',
		tier: 'дасть бонус',
	},
	earns: amount => `+ бонус ${amount}`,
	another: 'Інша сума',
	anotherIn: currency => `Інша сума, ${currency}`,
	anotherHint: (whole, exact) => `Наприклад, ${whole} або ${exact}`,
	anotherHintWhole: whole => `Наприклад, ${whole}: у цієї валюти немає дробової частини`,
	payButton: 'Перейти до оплати',
	payNote: 'Спосіб оплати ви оберете на наступній сторінці. Без вас із картки нічого не знімають.',
	wrongAmount: 'Із сумою щось не так',
	amountNumber: (currency, example) => `Введіть суму в ${currency}, як-от ${example}.`,
	amountComma: () => 'Кому перед трьома цифрами можна зрозуміти двояко. Тисячу пишіть як 1000, а дробову частину – після крапки.',
	amountRange: currency => `Введіть суму в ${currency}, більшу за нуль, але не завелику.`,
	amountRefused: () => 'Платіжний сервіс не приймає такої суми. Оберіть іншу.',
	amountBoth: () => 'Ви ввели одну суму, а обрали іншу. Надішліть ту, яку мали на увазі.',
	toProvider: 'Перейдіть до платіжного сервісу',
	toProviderText: amount => `Там ви сплатите ${amount}, а тоді повернетеся сюди.`,
	toProviderButton: 'До сторінки оплати',
	description: account => `Поповнення балансу, кабінет №${account}`,

	// Payments that are not on the balance
	payments: 'Платежі, що не надійшли',
	paymentOf: (amount, moment) => `${amount}, ${moment}`,
	paymentStates: {
		pending: 'Платіжний сервіс його ще не підтвердив.',
		failed: 'Він не вдався. Нічого не зараховано; можна сплатити ще раз.',
		expired: 'Його не завершено. Якщо ви все ж сплатили, суму буде зараховано, щойно сервіс про це повідомить.',
	},
	// Reasons by their code; any other is in the provider's words.
	failures: {
		no_answer: 'Платіжний сервіс не відповів.',
		amount_refused: 'Платіжний сервіс не приймає такої суми.',
		checkout_expired: 'Платіжний сервіс не дочекався завершення оплати.',
		declined: 'Платіжний сервіс його відхилив.',
		test_payment: 'Платіжний сервіс провів його як тестовий, без руху грошей.',
		reversed: 'Платіжний сервіс повернув гроші до зарахування.',
	},
	providerSays: words => `Платіжний сервіс повідомляє: ${words}`,
	waiting: 'Ваш платіж підтверджується',
	waitingText: 'Це триває якусь мить. Сума з’явиться на балансі, щойно сервіс її підтвердить.',
	reload: 'Перевірити ще раз',
	paymentArrived: amount => `${amount} зараховано на баланс`,

	// The running month and charges, line by line
	month: 'Поточний місяць',
	monthCaption: (month, date) => `${month}, включно з ${date}`,
	nothingUsed: 'Поки що нічого.',
	line: 'Послуга',
	quantity: 'Кількість',
	amount: 'Сума',
	total: 'Разом',
	lateUsage: month => `із запізненням, за ${month}`,
	term: { discount: 'знижка', minimum: 'до мінімуму' },
	howItAddsUp: 'Як складається сума',
	allLines: n => `Усі рядки: ${n}`,
	allLimits: n => `Усі ліміти: ${n}`,
	allHeld: n => `Усе зарезервоване: ${n}`,
	moreLines: n => `${n} ${form(n, { one: 'рядок', few: 'рядки', many: 'рядків', other: 'рядка' })}`,

	// The history
	historyCaption: 'Що змінювало баланс, від найновішого',
	noEntries: 'Записів ще немає.',
	date: 'Дата',
	what: 'Що',
	balanceAfter: 'Баланс',
	all: 'Уся історія',
	older: 'Давніші записи',
	newer: 'Найновіші записи',
	kinds: {
		topup: 'Поповнення',
		bonus: 'Бонус',
		charge: 'Нарахування за місяць',
		purchase: 'Покупка',
		refund: 'Повернення платежу',
		chargeback: 'Оскаржений платіж',
		adjustment: 'Коригування',
		writeoff: 'Списання боргу',
		reversal: 'Виправлення',
		other: 'Запис',
	},
	chargeFor: month => `Нарахування за ${month}`,
	bonusBack: 'Бонус скасовано',

	// One entry
	entry: seq => `Запис ${seq}`,
	posted: 'Проведено',
	method: 'Спосіб оплати',
	paid: 'З картки знято',
	rate: rate => `за курсом ${rate}`,
	reference: 'Номер у сервісі',
	by: 'Хто',
	memo: 'Примітка',
	refersTo: 'Стосується',
	bonusAfter: 'Залишок бонусу',
	lines: 'З чого складається нарахування',

	// A receipt
	receipt: 'Квитанція',
	receiptOf: number => `Квитанція ${number}`,
	receiptCaption: 'Що зараховано',
	print: 'Щоб надрукувати, скористайтеся командою друку вашого браузера.',
	seller: 'Отримувач',
	payer: 'Платник',
	account: 'Кабінет',
	payerKeys: { name: 'Ім’я', address: 'Адреса', tax_number: 'Податковий номер', email: 'Ел. пошта' },
	toppedUp: 'Поповнення',
	bonus: 'Бонус',
	credited: 'Усього зараховано',

	// What went wrong, and what to do
	problems: {
		signIn: ['Увійдіть, будь ласка', 'Цю сторінку відкривають із застосунку, до якого ви ввійшли.'],
		ended: ['Ваш сеанс завершився', 'Відкрийте цю сторінку із застосунку ще раз.'],
		badLink: ['Це посилання не працює',
			'Можливо, воно застаріло або його вже використано. Відкрийте цю сторінку із застосунку ще раз.'],
		notYours: ['Це для власників та адміністраторів', 'Зверніться до власника або адміністратора кабінету.'],
		denied: ['Зараз це недоступно', 'Доступ повернеться одразу, щойно борг буде сплачено.'],
		noPage: ['Такої сторінки немає', 'Поверніться до огляду.'],
		badForm: ['Ця форма застаріла', 'Нічого не змінено. Поверніться, оновіть сторінку і спробуйте ще раз.'],
		tooMany: ['Забагато спроб', 'Нічого не змінено. Зачекайте трохи і спробуйте ще раз.'],
		gone: ['Кабінет видалено', 'Сплатити вже нічого не можна. Чи можна його відновити, скаже служба підтримки.'],
		later: ['Зараз це не вдається', 'Нічого не змінено. Спробуйте за хвилину.'],
		provider: ['Платіжний сервіс не відповідає', 'Нічого не сплачено. Спробуйте за хвилину.'],
		broken: ['У нас щось зламалося', 'Нас уже сповіщено. Спробуйте, будь ласка, пізніше.'],
	},
};
