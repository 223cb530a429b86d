/*
 * What forms have in common.
 */
import { html } from 'hono/html';

export const check = checked => (checked ? html` checked` : '');

/** The field that shows a form to be ours. */
export const token = view => html`<input type="hidden" name="csrf" value="${view.csrf}">`;
