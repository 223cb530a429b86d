/*
 * What browsers are told about every page.
 */

/** @param {{origin: string, formOrigins: string[]}} options where forms may lead to, besides the portal itself */
export function securityHeaders({ origin, formOrigins }) {
	const policy = [
		"default-src 'none'",
		"style-src 'self'",
		"img-src 'self'",
		// A browser asks this of the address, too, to which a form's answer leads: the provider's checkout.
		`form-action ${["'self'", ...formOrigins].join(' ')}`,
		"base-uri 'none'",
		"frame-ancestors 'none'",
	].join('; ');

	return async (c, next) => {
		await next();
		c.header('Content-Security-Policy', policy);
		c.header('X-Content-Type-Options', 'nosniff');
		c.header('X-Frame-Options', 'DENY');
		// Not "no-referrer": forms would say that they come from "null".
		c.header('Referrer-Policy', 'same-origin');
		c.header('Cross-Origin-Opener-Policy', 'same-origin');
		c.header('Cross-Origin-Resource-Policy', 'same-origin');
		if (!c.res.headers.has('Cache-Control')) c.header('Cache-Control', 'no-store');
		if (origin.startsWith('https:')) c.header('Strict-Transport-Security', 'max-age=31536000');
	};
}
