import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import en from '../src/text/en.js';
import { languages, textsFor, textsOf } from '../src/text/index.js';

/** What there is to say: each key with the kind of its text, and how many values a function takes. */
function shapeOf(texts, path = '') {
	return Object.entries(texts).flatMap(([key, value]) => {
		const here = `${path}${key}`;
		if (typeof value === 'function') return [`${here}(${value.length})`];
		if (typeof value === 'object') return shapeOf(value, `${here}.`);
		assert.equal(typeof value, 'string', here);
		assert.notEqual(value.trim(), '', here);
		return [here];
	}).sort();
}

test('each language has the same texts, which take the same values', () => {
	assert.ok(languages.length >= 2);
	for (const language of languages) {
		assert.equal(textsFor(language).language, language);
		assert.deepEqual(shapeOf(textsFor(language)), shapeOf(en), language);
	}
});

test('texts of one value name it', () => {
	for (const language of languages) {
		for (const [key, text] of Object.entries(textsFor(language))) {
			if (typeof text !== 'function') continue;
			const values = Array.from({ length: text.length }, (_, n) => String(n + 31));
			for (const value of values) assert.ok(text(...values).includes(value), `${language}: ${key}`);
		}
	}
});

test('every text is used on some page', () => {
	const folders = ['../src/', '../src/pages/'].map(path => new URL(path, import.meta.url));
	const source = folders.flatMap(folder => readdirSync(folder).filter(name => name.endsWith('.js'))
		.map(name => readFileSync(new URL(name, folder), 'utf8'))).join('\n');
	const used = key => new RegExp(`\\bt\\.${key}\\b|'${key}'|\\b${key}: [45]\\d\\d\\b`).test(source);
	assert.deepEqual([...Object.keys(en), ...Object.keys(en.problems)].filter(key => !used(key)), []);
});

test('a language tag leads to its language, and any other to English', () => {
	const tags = ['uk', 'uk-UA', 'UK', 'en-GB', 'xx', '', null, undefined, 'constructor'];
	assert.deepEqual(tags.map(tag => textsFor(tag).language), ['uk', 'uk', 'uk', 'en', 'en', 'en', 'en', 'en', 'en']);
});

test('a stranger reads what the browser asks for', () => {
	const asks = value =>
		textsOf(new Request('http://localhost/', { headers: value ? { 'accept-language': value } : {} })).language;
	assert.deepEqual(['de-DE, uk;q=0.8, en;q=0.5', 'en-US,en', 'fr', undefined].map(asks), ['uk', 'en', 'en', 'en']);
});
