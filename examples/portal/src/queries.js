/*
 * What the portal asks the database, in a transaction that acts for the session's member. Account and member are always
 * the session's: no id of an address or form is ever more than the number of one of the account's own entries.
 */

// The steps of each line, as {text, amount}, by its place: sent back here, a line's numbers could be rounded.
const STEPS = `
	SELECT coalesce(jsonb_agg(s.steps ORDER BY s.n), '[]')
	FROM (SELECT l.n, jsonb_agg(jsonb_build_object('text', e.text,
				'amount', CASE WHEN e.amount IS NOT NULL THEN jsonb_build_object(
					'amount', kbilling.kb_amount(e.amount)::text, 'currency', kbilling.kb_currency(e.amount)) END)
				ORDER BY e.step_no) FILTER (WHERE e.step_no IS NOT NULL) AS steps
		FROM jsonb_array_elements(LINES) WITH ORDINALITY AS l (line, n)
		LEFT JOIN LATERAL kbilling.kb_explain_line(l.line, LANGUAGE) AS e ON true
		GROUP BY l.n) AS s`;

const stepsOf = (lines, language) => STEPS.replace('LINES', lines).replace('LANGUAGE', language);

const PORTAL = 'SELECT kbilling.kb_portal($1, $2) AS portal';

const PORTAL_WITH_STEPS = `
	SELECT p.portal, (${stepsOf("p.portal #> '{usage,lines}'", "p.portal ->> 'language'")}) AS steps
	FROM (${PORTAL} OFFSET 0) AS p`;

const HISTORY = 'SELECT entry FROM kbilling.kb_history($1, $2, $3, $4) ORDER BY seq DESC';

const ENTRY = `
	SELECT h.entry, CASE WHEN h.entry ->> 'kind' IN ('charge', 'purchase') THEN (${stepsOf("h.entry -> 'lines'", '$5')}) END AS steps
	FROM kbilling.kb_history($1, $2, $3, $4) AS h ORDER BY h.seq DESC`;

const BEGIN = 'SELECT payment_id FROM kbilling.kb_begin_topup($1, $2, $3::kbilling.kb_money)';

const CANCEL = 'SELECT kbilling.kb_cancel_closure($1, $2)';

const END = 'SELECT kbilling.kb_end_account($1, $2, $3::date, $4)';

const CONTINUE = 'SELECT kbilling.kb_continue_account($1, $2)';

/** What the page shows to the member. */
export async function readPortal(client, { accountId, member }) {
	const { rows } = await client.query(PORTAL, [accountId, member]);
	return rows[0].portal;
}

/** The same, and how the lines of the running month add up. */
export async function readPortalWithSteps(client, { accountId, member }) {
	const { rows } = await client.query(PORTAL_WITH_STEPS, [accountId, member]);
	return rows[0];
}

/** Some entries, newest first, from below `before` on; and what to go on from, or null. */
export async function readHistory(client, { accountId, member }, before, entries) {
	const { rows } = await client.query(HISTORY, [accountId, member, before, entries + 1]);
	const shown = rows.slice(0, entries).map(row => row.entry);
	return { entries: shown, moreBefore: rows.length > entries ? shown.at(-1).seq : null };
}

/** An entry, with how its lines add up, and the bonus that it has earned; undefined if there is no such entry. */
export async function readEntry(client, { accountId, member }, seq, language) {
	// A bonus is posted right after its top-up.
	const { rows } = await client.query(ENTRY, [accountId, member, seq + 2, 2, language]);
	const found = rows.find(row => row.entry.seq === seq);
	const bonus = rows.find(row => row.entry.ref_seq === seq && row.entry.kind === 'bonus');
	return found && { entry: found.entry, steps: found.steps ?? [], bonus: bonus?.entry };
}

/** Begins a payment, and returns its number. @param {string} amount "19.00 USD" */
export async function beginTopup(client, { accountId, member }, amount) {
	const { rows } = await client.query(BEGIN, [accountId, member, amount]);
	return rows[0].payment_id;
}

/** Cancels the closure of the account. */
export async function cancelClosure(client, { accountId, member }) {
	await client.query(CANCEL, [accountId, member]);
}

/** Ends the contract with a day, "2026-12-31", or moves its end there. */
export async function endAccount(client, { accountId, member }, { day, reason }) {
	await client.query(END, [accountId, member, day, reason || null]);
}

/** Takes the end of the contract back. */
export async function continueAccount(client, { accountId, member }) {
	await client.query(CONTINUE, [accountId, member]);
}
