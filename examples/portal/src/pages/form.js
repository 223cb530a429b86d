/*
 * What every form has.
 */
import { html } from 'hono/html';

/** The field that shows a form to be ours. */
export const token = view => html`<input type="hidden" name="csrf" value="${view.csrf}">`;
