/*
 * The languages. To add one, write its file, and list it here: everything else follows.
 */
import en from './en.js';
import uk from './uk.js';

const texts = { __proto__: null, en, uk };

export const languages = Object.keys(texts);

/** The texts for a language tag ("uk-UA"), else the English ones. */
export function textsFor(tag) {
	return texts[String(tag ?? '').toLowerCase().split('-')[0]] ?? en;
}

/** The texts for whoever is not known yet, by what the browser asks for. */
export function textsOf(request) {
	const wanted = (request.headers.get('accept-language') ?? '').split(',')
		.map(part => part.split(';')[0].trim().toLowerCase().split('-')[0]);
	return textsFor(wanted.find(tag => tag in texts));
}
