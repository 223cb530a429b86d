/*
 * The pictures of docs/portal, of the demo's customers on the demo's day. In the folder of kbilling:
 *
 *   test/server test/portal test/screenshots.js
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freshDatabase } from './database.js';
import { smaller } from './png.js';
import { startSite } from './site.js';
import { launch, PHONE, Visitor } from './visitor.js';

const MOST_BYTES = 60000;
const directory = fileURLToPath(new URL('../../../docs/portal/', import.meta.url));

// Name, account, member, and: the page, if not the overview; which boxes to open; what it ends with, or how high it is, if
// not all of it; on a phone
const PICTURES = [
	['overview', 1, 'olha', {}],
	['reminder', 4, 'olha', { height: 740 }],
	['restricted', 5, 'olha', { until: 'section:has(#pay)' }],
	['blocked', 6, 'olha', {}],
	['employee', 6, 'emma', {}],
	['closing', 7, 'andrii', { until: 'section:has(#standing)' }],
	['charge', 1, 'olha', { path: '/entries/3', open: 'details' }],
	['receipt', 9, 'olha', { path: '/receipts/566' }],
	['credit', 10, 'olha', { until: 'section:has(#pay)' }],
	['leave', 10, 'olha', { path: '/leave' }],
	['ending', 11, 'olha', { until: 'section:has(#standing)' }],
	['ended', 12, 'olha', { until: 'section:has(#standing)' }],
	['phone', 2, 'olha', { viewport: PHONE, height: 740 }],
];

/** So much of a page. */
async function pictureOf(page, { until, height }) {
	if (height) return page.screenshot();
	const { y, height: rest } = await page.locator(until ?? 'body').boundingBox();
	return page.screenshot({ fullPage: true, clip: { x: 0, y: 0, width: page.viewportSize().width, height: Math.ceil(y + rest) } });
}

const database = await freshDatabase({ demo: true });
const [site, browser] = await Promise.all([startSite(database.name), launch()]);
try {
	mkdirSync(directory, { recursive: true });
	for (const [name, account, member, { path, open, viewport = { width: 800, height: 600 }, ...much }] of PICTURES) {
		const visitor = await Visitor.as(browser, site, account, member,
			{ viewport: { ...viewport, height: much.height ?? viewport.height } });
		const { page } = visitor;
		if (path) await visitor.go(path);
		if (open) for (const box of await page.locator(`${open} > summary`).all()) await box.click();
		const picture = smaller(await pictureOf(page, much));
		assert.ok(picture.length < MOST_BYTES, `${name}: ${picture.length} bytes`);
		writeFileSync(`${directory}${name}.png`, picture);
		await visitor.close();
	}
} finally {
	await browser.close();
	await site.stop();
	await database.drop();
}
