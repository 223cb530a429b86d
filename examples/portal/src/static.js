/*
 * The files that pages refer to. They are few and small, and read once.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Hono } from 'hono';

const read = name => readFileSync(new URL(`../public/${name}`, import.meta.url), 'utf8');
const css = read('portal.css');
const icon = read('icon.svg');

const version = createHash('sha256').update(css).digest('hex').slice(0, 12);

/** Its address changes with what is in it, so that browsers may keep it. */
export const stylesheet = `/portal.css?v=${version}`;

const cached = c => ({
	'Cache-Control': c.req.query('v') === version ? 'public, max-age=31536000, immutable' : 'public, max-age=300',
});

export const staticRoutes = new Hono()
	.get('/portal.css', c => c.body(css, 200, { 'Content-Type': 'text/css; charset=utf-8', ...cached(c) }))
	.get('/icon.svg', c => c.body(icon, 200, { 'Content-Type': 'image/svg+xml', ...cached(c) }));
