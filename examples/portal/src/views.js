/*
 * What pages are made of: texts, formats, and what the portal knows of who sees them.
 */
import { csrfToken } from './csrf.js';
import { formatter } from './format.js';
import { textsFor, textsOf } from './text/index.js';

/**
 * Makes the views of a portal.
 * @param {object} options of createApp
 * @returns {{member: Function, stranger: Function}}
 */
export function views({ secret, application, support, seller, clock, stylesheet }) {
	const common = { application, support, seller, stylesheet, demo: Boolean(clock) };

	return {
		/** For a member: `portal` is what kb_portal says. */
		member(session, portal) {
			const t = textsFor(portal.language);
			const f = formatter(t.language, portal.time_zone);
			// As a number, it could be rounded.
			const account = String(session.accountId);
			return { ...common, t, f, portal, account, csrf: csrfToken(secret, session) };
		},

		/** For whoever is not known, or is shown nothing; in a language that is known, or asked for. */
		stranger(request, language) {
			const t = language ? textsFor(language) : textsOf(request);
			return { ...common, t, f: formatter(t.language) };
		},
	};
}
