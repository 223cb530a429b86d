/*
 * A member at a real browser: Chromium, driven by playwright. Whatever page it gets to is looked at for what every page has
 * to be: without an error or a violation of its policy, light, and no wider than the window.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const MOST_BYTES = 30000;
const LONGEST_WORD = 20;

export const DESKTOP = { width: 1000, height: 800 };
export const PHONE = { width: 360, height: 740 };

/** Where Chromium is, or undefined. */
export function findChromium() {
	try {
		return execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim();
	} catch {
		return undefined;
	}
}

/** Starts Chromium. Root has no sandbox in it. */
export function launch() {
	return chromium.launch({ executablePath: findChromium(), chromiumSandbox: process.getuid() !== 0 });
}

/** A text with plain spaces: Intl writes some that do not break. */
export const plain = text => text.replace(/[\u00a0\u202f\u2009]/g, ' ').replace(/\s+/g, ' ');

export class Visitor {
	/**
	 * A browser of one's own, with nobody logged in.
	 * @param {import('playwright-core').Browser} browser
	 * @param {{origin: string}} site
	 * @param {import('playwright-core').BrowserContextOptions} [options]
	 */
	static async at(browser, site, options = {}) {
		const context = await browser.newContext({ viewport: DESKTOP, locale: 'en-GB', ...options });
		context.setDefaultTimeout(15000);
		const visitor = new Visitor();
		Object.assign(visitor, { site, context, page: await context.newPage(), faults: [], expected: [] });
		visitor.#watch();
		return visitor;
	}

	/** One that a member has logged in at, by the demo's link. */
	static async as(browser, site, account, member, options) {
		const visitor = await Visitor.at(browser, site, options);
		await visitor.logIn(account, member);
		return visitor;
	}

	/** Logs in, instead of whoever is. */
	async logIn(account, member, status = 200) {
		await this.go(`/demo/login?account=${account}&member=${encodeURIComponent(member)}`, status);
	}

	#watch() {
		this.page.on('pageerror', error => this.faults.push(String(error)));
		this.page.on('console', message => {
			if (['error', 'warning'].includes(message.type())) this.faults.push(message.text());
		});
	}

	/** Does what leads to another page, and looks at that. `status` is what it is expected to answer with. */
	async #arrive(leave, status) {
		// Chromium tells of such an answer as of an error.
		if (status >= 400) this.expected.push(`Failed to load resource: the server responded with a status of ${status}`);
		const [response] = await Promise.all([this.page.waitForNavigation(), leave()]);
		assert.equal(response.status(), status, `${response.url()}: ${await response.text()}`);
		this.#isWithoutFault();
		await this.#isLight();
		await this.fits();
	}

	/** Until now, the browser has had nothing to tell. */
	#isWithoutFault() {
		const faults = this.faults.filter(fault => !this.expected.some(text => fault.startsWith(text)));
		assert.deepEqual(faults, [], this.page.url());
	}

	/** The page, with all that it loads. */
	async #isLight() {
		const sizes = await this.page.evaluate(() =>
			['navigation', 'resource'].flatMap(type => performance.getEntriesByType(type)).map(entry => entry.decodedBodySize));
		const bytes = sizes.reduce((sum, size) => sum + size, 0);
		assert.ok(sizes.length >= 2 && sizes.every(size => size > 0) && bytes < MOST_BYTES, `${this.page.url()}: ${sizes} bytes`);
	}

	/** Nothing is to be reached by scrolling to the side alone. */
	async fits() {
		const wide = await this.page.evaluate(() => {
			const { scrollWidth, clientWidth } = document.documentElement;
			const beyond = [...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > clientWidth + 1);
			return scrollWidth > clientWidth ? { scrollWidth, clientWidth, by: beyond.map(one => one.outerHTML.slice(0, 200)) } : null;
		});
		assert.equal(wide, null, `${this.page.url()}: ${JSON.stringify(wide)}`);
	}

	/** Goes to an address of the portal. */
	async go(path, status = 200) {
		await this.#arrive(() => this.page.goto(this.site.origin + path), status);
	}

	async reload() {
		await this.#arrive(() => this.page.reload(), 200);
	}

	/** What is found by its role and name, as by who cannot see it. */
	button = name => this.page.getByRole('button', { name, exact: true });
	link = name => this.page.getByRole('link', { name, exact: true });
	dialog = () => this.page.getByRole('dialog');

	/** Clicks on what leads to another page, once for a locator; or does what leads there. */
	async follow(way, status = 200) {
		await this.#arrive(typeof way === 'function' ? way : () => way.click(), status);
	}

	/** What is to be seen: nothing that is hidden or closed. */
	async text() {
		return plain(await this.page.locator('body').innerText());
	}

	/** Checks what is to be seen, and what is not. */
	async sees(wanted, unwanted = []) {
		const text = await this.text();
		const has = part => (part instanceof RegExp ? part.test(text) : text.includes(part));
		for (const part of wanted) assert.ok(has(part), `it says ${part}: ${text}`);
		for (const part of unwanted) assert.ok(!has(part), `it does not say ${part}: ${text}`);
	}

	/** By axe-core: no finding, and nothing that it could not decide. */
	async isAccessible() {
		await this.page.evaluate(AXE);
		const { violations, incomplete } = await this.page.evaluate(() =>
			globalThis.axe.run({ resultTypes: ['violations', 'incomplete'] }));
		const findings = [...violations, ...incomplete].map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(({ html }) => html) }));
		assert.deepEqual(findings, [], `${this.page.url()}: ${JSON.stringify(findings, null, 1)}`);
		// It does not ask for a bar's name.
		const bars = await this.page.locator('meter').evaluateAll(all => all.filter(({ labels }) => labels.length === 0).length);
		assert.equal(bars, 0, `${this.page.url()}: bars without a name`);
	}

	/** No word is broken in its middle, but for long ones. */
	async breaksNoWord() {
		const broken = await this.page.evaluate(longest => {
			const found = [];
			const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
			while (texts.nextNode()) {
				for (const { 0: word, index } of texts.currentNode.data.matchAll(/[^\s\u2013-]+/g)) {
					if (!texts.currentNode.parentElement.checkVisibility()) continue;
					const range = document.createRange();
					range.setStart(texts.currentNode, index);
					range.setEnd(texts.currentNode, index + word.length);
					const lines = new Set([...range.getClientRects()].map(({ top }) => Math.round(top)));
					if (lines.size > 1 && word.length <= longest) found.push(word);
				}
			}
			return found;
		}, LONGEST_WORD);
		assert.deepEqual(broken, [], this.page.url());
	}

	/** The same page at a phone's width. */
	async fitsOnPhone() {
		const { page } = this;
		const before = page.viewportSize();
		await page.setViewportSize(PHONE);
		await this.fits();
		await this.breaksNoWord();
		await page.setViewportSize(before);
	}

	async close() {
		this.#isWithoutFault();
		await this.context.close();
	}
}
