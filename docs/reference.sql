-- docs/reference.md, from the comments in the catalog: make reference
WITH item AS (
	-- what is in the schema, less what belongs to a table, an aggregate's parts and operators' functions
	SELECT 1 AS part, p.proname AS name, p.oid,
		   format('`%s(%s)`%s', p.proname, pg_get_function_arguments(p.oid),
				  CASE WHEN p.prokind = 'p' THEN '' ELSE format(' → `%s`', pg_get_function_result(p.oid)) END) AS title,
		   obj_description(p.oid, 'pg_proc') AS comment
	FROM pg_proc p
	WHERE p.pronamespace = 'kbilling'::regnamespace
		AND (p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) OR p.proname IN ('kb_meter', 'kb_guard'))	-- the triggers that are for others' tables
		AND 'internal'::regtype <> ALL (p.proargtypes::oid[]) AND p.prorettype <> 'internal'::regtype
		AND NOT EXISTS (SELECT FROM pg_operator o WHERE o.oprcode = p.oid)
		AND NOT EXISTS (SELECT FROM pg_type t WHERE p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend))
		AND NOT EXISTS (SELECT FROM pg_amproc a WHERE a.amproc = p.oid)
		AND NOT EXISTS (SELECT FROM pg_aggregate a WHERE p.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn))
	UNION ALL
	SELECT 2, t.typname, t.oid,
		   format('`%s`%s', t.typname, CASE WHEN t.typtype = 'e' THEN
			   (SELECT ': ' || string_agg(format('`%s`', e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) ELSE '' END),
		   obj_description(t.oid, 'pg_type')
	FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
	WHERE t.typnamespace = 'kbilling'::regnamespace AND t.typelem = 0 AND (t.typrelid = 0 OR c.relkind = 'c')
	UNION ALL
	SELECT 3, o.oprname::text || coalesce(o.oprleft::regtype::text, '') || o.oprright::regtype::text, o.oid,
		   format('`%s%s %s` → `%s`', coalesce(nullif(o.oprleft, 0)::regtype || ' ', ''), o.oprname, o.oprright::regtype, o.oprresult::regtype),
		   obj_description(o.oid, 'pg_operator')
	FROM pg_operator o WHERE o.oprnamespace = 'kbilling'::regnamespace
	UNION ALL
	SELECT CASE c.relkind WHEN 'r' THEN 4 WHEN 'v' THEN 5 END, c.relname, c.oid, format('`%s`', c.relname), obj_description(c.oid, 'pg_class')
	FROM pg_class c WHERE c.relnamespace = 'kbilling'::regnamespace AND c.relkind IN ('r', 'v')
), column_row AS (
	SELECT coalesce(t.oid, c.oid) AS oid, string_agg(format('  - `%s` %s: %s', a.attname, replace(format_type(a.atttypid, a.atttypmod), 'kbilling.', ''),
			   col_description(c.oid, a.attnum)), E'\n' ORDER BY a.attnum) AS list
	FROM pg_class c
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NOT NULL
	LEFT JOIN pg_type t ON t.typrelid = c.oid AND c.relkind = 'c'
	WHERE c.relnamespace = 'kbilling'::regnamespace
	GROUP BY 1
), section AS (
	SELECT part, string_agg(format('- %s: %s.', replace(title, 'kbilling.', ''), rtrim(comment, '.')) || coalesce(E'\n' || list, ''), E'\n' ORDER BY name COLLATE "C", title COLLATE "C") AS body
	FROM item LEFT JOIN column_row USING (oid) GROUP BY part
), right_row AS (
	SELECT format('| `%s` | %s |', replace(object, 'kbilling.', ''), string_agg(coalesce(privileges, ''), ' | ' ORDER BY n)) AS line, min(kind) AS kind
	FROM (SELECT DISTINCT object, kind FROM kbilling.role_right) o
	CROSS JOIN unnest('{app,support,operator,auditor}'::text[]) WITH ORDINALITY g (granted_as, n)
	LEFT JOIN (SELECT granted_as, object, string_agg(lower(privilege), ', ' ORDER BY privilege DESC) AS privileges
			   FROM kbilling.role_right GROUP BY granted_as, object) r USING (object, granted_as)
	GROUP BY object
)
SELECT '# Reference

Made from the comments in the catalog, which psql shows too: `\df+ kbilling.*`, `\dT+ kbilling.*`, `\d+ kbilling.account`.
All names are in the schema `kbilling`. The letters M, J, T, C, S, W and so on with a number are the rules.

## Errors

| SQLSTATE | means |
| --- | --- |
| KB001 | unknown account |
| KB002 | two currencies where there must be one |
| KB003 | access denied: the account''s stage, or the member that the transaction acts for, does not allow the write |
| KB004 | the member''s role does not allow it, or there is no such member |
| KB005 | amount out of range: zero or below, more than can be refunded, no debt to write off |
| KB006 | the reference or key stands for something else, or an entry has been taken back already |
| KB007 | the journal is immutable |
| KB008 | card data is refused |
| KB009 | the period cannot be charged, or is charged already |
| KB010 | the account is deleted |
| KB011 | the account may not be closed: the detail names each condition that is not met |
| KB012 | unknown service or tariff, or a service without a price |
| 22003 | beyond ±(2^53 − 1) minor units; NaN; infinity; a fact of a notice that has more than 64 digits |
| 22004 | null where a value is needed |
| 22008 | an infinite date, or one in the future or past where there must be none |
| 22023 | a value that makes no sense there |
| 22P02 | text that is no `kb_money`, no `kb_price` |
| 39P01 | `kb_meter` is attached to a table in a way that it does not work |
| 42809 | what is to be registered for the purge is no table of an application |
| 42P01 | a table that is registered for the purge is gone |
| 42703, 42804 | a column named in a trigger''s arguments, or to `kb_register_purge`, is not there, or of a type that does not fit |
| 23505 | it exists already |
| 54000 | a text of a notice is too long, or has too many braces |
| 55000 | a built-in row cannot be changed; the account is not closing, or not deleted; pg_cron is not there for `kb_schedule` |

## Hash of an entry

SHA-256 over the 32 bytes of the hash before (nothing for the first entry) and these fields of the entry in this order: account_id, seq, kind, amount,
balance_after, bonus_after, debt_since, effective_on, posted_at, key, period, method, ref_seq, member, memo, lines. A number is 8 bytes in network order; a date
counts days, and a moment microseconds, from 2000-01-01 (UTC); any other field is its text in UTF-8. Each is led by its length in 4 bytes; NULL is the length
0xFFFFFFFF alone.

## Rights

What `kb_grant(role, rights)` gives. What is not listed only computes, and is for everyone, or is for the owner of the extension alone.

| function, table or view | app | support | operator | auditor |
| --- | --- | --- | --- | --- |
' || (SELECT string_agg(line, E'\n' ORDER BY kind, line COLLATE "C") FROM right_row) || E'\n' || string_agg(format(E'\n## %s\n\n%s\n', (ARRAY['Functions', 'Types', 'Operators', 'Tables', 'Views'])[part], body), '' ORDER BY part)
FROM section
