-- docs/reference.md, from the comments in the catalog: make reference

-- An object's subject is the part of the install script that comments on it.
\set parts `grep -noE "^COMMENT ON [A-Z]+ [^']+ IS" sql/install/*.sql`
SET search_path = kbilling, kbilling_internal;
CREATE TEMP TABLE subject AS
	SELECT m[1] AS part, m[2]::int AS line_no,
		CASE WHEN m[3] IN ('FUNCTION', 'PROCEDURE', 'AGGREGATE') THEN to_regprocedure(m[4])::oid
			 WHEN m[3] IN ('TYPE', 'DOMAIN') THEN to_regtype(m[4])::oid
			 WHEN m[3] IN ('TABLE', 'VIEW') THEN to_regclass(m[4])::oid
			 WHEN m[3] = 'OPERATOR' THEN to_regoperator(m[4])::oid END AS oid
	FROM string_to_table(:'parts', E'\n') AS line,
		regexp_match(line, '(\w+)\.sql:(\d+):COMMENT ON (\w+) (.+) IS$') AS m
	WHERE m[4] !~ '^(CLASS|FAMILY|TRIGGER) ';
SET search_path = kbilling;

-- What a comment says, as Markdown: names as code, rules as links, errors in a paragraph of their own, lines wrapped.
CREATE FUNCTION pg_temp.markdown(comment text) RETURNS text IMMUTABLE LANGUAGE sql
RETURN (
	SELECT string_agg(rtrim(regexp_replace(paragraph, '(.{1,118})( (?=[[:alnum:]`("[])|$)', E'\\1\n', 'g'), E'\n'), E'\n\n')
	FROM string_to_table(
		regexp_replace(regexp_replace(regexp_replace(regexp_replace(rtrim(comment, '.') || '.',
			'"([^"]+)"', '`\1`', 'g'),
			'\mkbilling\.\w+|\mkb(illing)?_\w+', '`\&`', 'g'),
			'\m([A-Z][0-9]+|P)\M', '[\&](rules.md#\&)', 'g'),
			' (Errors:)', E'\n\\1'), E'\n') AS paragraph);
-- The same in a cell of a table.
CREATE FUNCTION pg_temp.cell(comment text) RETURNS text IMMUTABLE LANGUAGE sql
RETURN replace(regexp_replace(pg_temp.markdown(comment), '\s*\n\s*', ' ', 'g'), '|', '\|');
-- What GitHub makes of a heading.
CREATE FUNCTION pg_temp.anchor(heading text) RETURNS text IMMUTABLE LANGUAGE sql
RETURN replace(lower(regexp_replace(heading, '[^\w -]', '', 'g')), ' ', '-');

WITH heading (title, parts, says) AS (
	-- The page's order. A part that stands nowhere here gets a heading of its own after these.
	VALUES
	('Money', '{money}'::text[],
		'Exact amounts, each in its currency. Their operators are found only if `kbilling` is on the `search_path`.'),
	('Price', '{price}', 'Prices as a person writes them in a price list, and what a quantity costs.'),
	('Catalogue', '{catalogue,bonus,name}', 'The price list: tariffs, services, their prices by date, bonus tiers, and names by language.'),
	('Account', '{account}', 'The paying customers.'),
	('Member', '{member}', 'The people who use an account.'),
	('Terms', '{tariff,terms}', 'What an account has: its tariff, and the recurring services that are switched on.'),
	('Payment', '{payment,offer,topup,provider}', 'Money in: a payment that a member begins, and what the provider''s webhook reports.'),
	('Correction', '{allocation,correction}',
		'Refunds, chargebacks, adjustments, write-offs and reversals. Each is an entry of its own.'),
	('Credit', '{lots,credit,grant}', 'Credit that is granted, and what of all credit expires, or is spent in an order of its own.'),
	('Journal', '{lines,journal,posting}', 'The entries that moved the balances.'),
	('Usage', '{event,eventset,usage,batch,meter}',
		'What was used of metered services, by calls or by a trigger on a table of the application.'),
	('Charge', '{bill,rating,charge}', 'What a month costs, when it is charged, and while it runs.'),
	('Discount', '{discount}', 'Discounts of accounts, codes that grant them, and the least that a month costs on a tariff.'),
	('Limits', '{limit,hold,purchase,alert}',
		'What accounts may still spend and use: credit lines, limits of services, holds, what is bought at once, and alerts.'),
	('Access', '{access,status,standing}', 'Balance, stage and access of an account: now, in the past and ahead.'),
	('Forecast', '{ahead,forecast}', 'What will be charged, and what to pay for that.'),
	('Deferral', '{deferral}', 'More time to pay.'),
	('Contract', '{end}', 'The end of an account''s contract: a last day, after which nothing is charged.'),
	('Closure', '{reminder,closure,purge}', 'The way of an unused account to its deletion and purge.'),
	('Notice', '{outbox,notice,template,message}', 'Messages that someone must get, the workers who deliver them, and their texts.'),
	('Sweep', '{sweep,schedule}', 'The job that does all that is due.'),
	('Guard', '{session,guard}', 'How tables of the application are held to the rules: logins, the acting member, triggers, row security.'),
	('Report', '{report}', 'The journal as customers and accountants read it, and checks of the books.'),
	('Portal', '{portal,explain}', 'A billing page in one call, its history page by page, and prices and lines in words.'),
	('Metrics', '{metrics}', 'Numbers for monitoring.'),
	('Shards', '{shard,move}', 'Accounts that are spread over several nodes, and move from one to another.'),
	('Policy', '{policy,policycache,agreement}', 'The numbers of the rules.'),
	('Change log', '{change}', 'Who has changed what is agreed, what it was, and what it is.'),
	('Card numbers', '{card}', 'How payment card numbers are kept out.'),
	('Time', '{schema,clock,calendar}', 'The clock that all rules go by.'),
	('Rights', '{privilege}', 'What each role may do.')
), part AS (
	SELECT p.part, coalesce(h.n, 1000) AS section, coalesce(h.title, initcap(p.part)) AS title, h.says,
		array_position(h.parts, p.part) AS part_no
	FROM (SELECT DISTINCT part FROM subject) p
	LEFT JOIN (SELECT *, row_number() OVER () AS n FROM heading) h ON p.part = ANY (h.parts)
), item AS (
	-- what is in the schema: functions, types, operators, tables and views
	SELECT 1 AS kind, p.proname::text AS name, p.oid, obj_description(p.oid, 'pg_proc') AS comment,
		format('`%s(%s)`', p.proname, replace(regexp_replace(
			replace(pg_get_function_arguments(p.oid), ' DEFAULT ', ' = '),
			'::[a-z_ ]+(?=,|$)', '', 'g'), 'timestamp with time zone', 'timestamptz')) ||
		CASE WHEN p.prokind = 'p' OR p.prorettype = 'void'::regtype THEN ''
			 ELSE regexp_replace(format(' → `%s`', replace(pg_get_function_result(p.oid), 'timestamp with time zone', 'timestamptz')),
				'`TABLE\((.*)\)`', 'rows of `\1`') END AS signature
	FROM pg_proc p WHERE p.pronamespace = 'kbilling'::regnamespace
	UNION ALL
	SELECT 2, t.typname, t.oid, obj_description(t.oid, 'pg_type'),
		(SELECT 'One of ' || string_agg(format('`%s`', e.enumlabel), ', ' ORDER BY e.enumsortorder) || '.'
		 FROM pg_enum e WHERE e.enumtypid = t.oid)
	FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
	WHERE t.typnamespace = 'kbilling'::regnamespace AND t.typelem = 0 AND (t.typrelid = 0 OR c.relkind = 'c')
	UNION ALL
	SELECT 3, 'Operators of ' || t.typname, o.oid, obj_description(o.oid, 'pg_operator'),
		format('`%s%s %s` | `%s`', coalesce(nullif(o.oprleft, 0)::regtype || ' ', ''), o.oprname, o.oprright::regtype, o.oprresult::regtype)
	FROM pg_operator o JOIN pg_type t ON t.oid IN (o.oprleft, o.oprright) AND t.typnamespace = o.oprnamespace
	WHERE o.oprnamespace = 'kbilling'::regnamespace
	GROUP BY o.oid, t.typname
	UNION ALL
	SELECT CASE c.relkind WHEN 'r' THEN 4 WHEN 'v' THEN 5 END, c.relname, c.oid, obj_description(c.oid, 'pg_class'), NULL
	FROM pg_class c WHERE c.relnamespace = 'kbilling'::regnamespace AND c.relkind IN ('r', 'v')
), columns AS (
	SELECT coalesce(t.oid, c.oid) AS oid, E'\n\n| column | type | |\n| --- | --- | --- |\n' ||
		string_agg(format('| `%s` | %s | %s |', a.attname,
			replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz'),
			pg_temp.cell(col_description(c.oid, a.attnum))), E'\n' ORDER BY a.attnum) AS list
	FROM pg_class c
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_type t ON t.typrelid = c.oid AND c.relkind = 'c'
	WHERE c.relnamespace = 'kbilling'::regnamespace AND c.relkind IN ('r', 'v', 'c')
	GROUP BY 1
), placed AS (
	-- functions of one name stand together, with the first of them
	SELECT i.kind, i.name, i.comment, i.signature, c.list, p.part,
		min(p.section) OVER same_name AS section, row_number() OVER (ORDER BY p.section, i.kind, p.part_no, s.line_no) AS place
	FROM item i LEFT JOIN subject s USING (oid) LEFT JOIN part p USING (part) LEFT JOIN columns c USING (oid)
	WINDOW same_name AS (PARTITION BY i.kind, CASE WHEN i.kind = 1 THEN i.name ELSE i.oid::text END)
), entry AS (
	SELECT section, kind, min(place) AS place, name,
		CASE kind WHEN 3 THEN name ELSE format('%s`%s`', (ARRAY['', 'Type ', '', 'Table ', 'View '])[kind], name) END AS heading,
		CASE WHEN kind = 3 THEN E'| operator | gives | |\n| --- | --- | --- |\n' ||
				string_agg(format('| %s | %s |', signature, pg_temp.cell(comment)), E'\n' ORDER BY place)
			 ELSE string_agg(concat(CASE WHEN kind = 1 THEN signature || E'\n\n' END, pg_temp.markdown(comment),
				CASE WHEN kind <> 1 THEN E'\n\n' || signature END, list), E'\n\n' ORDER BY place) END AS body
	FROM placed GROUP BY section, kind, name
), right_row AS (
	SELECT replace(object, 'kbilling.', '') AS object, min(kind) AS kind,
		format('| `%s` | %s |', replace(object, 'kbilling.', ''), string_agg(coalesce(privileges, ''), ' | ' ORDER BY n)) AS line
	FROM (SELECT DISTINCT object, kind FROM role_right) o
	CROSS JOIN unnest('{app,payments,support,operator,auditor,tables}'::text[]) WITH ORDINALITY g (granted_as, n)
	LEFT JOIN (SELECT granted_as, object, string_agg(lower(privilege), ', ' ORDER BY privilege DESC) AS privileges
			   FROM role_right GROUP BY granted_as, object) r USING (object, granted_as)
	GROUP BY object
), section AS (
	SELECT section, title, max(says) AS says,
		(SELECT string_agg(format('<a id="%s"></a>', part), '' ORDER BY part_no) || E'\n\n' FROM part
		 WHERE part.title = p.title AND part <> pg_temp.anchor(title) AND part IN (SELECT placed.part FROM placed)) AS anchors,
		(SELECT string_agg(format(E'### %s\n\n%s\n', heading, body), E'\n' ORDER BY place)
		 FROM entry e WHERE e.section = p.section) AS body,
		(SELECT string_agg(format('[`%s`](#%s)', name, pg_temp.anchor(heading)), ', ' ORDER BY place)
		 FROM entry e WHERE e.section = p.section AND kind = 1) AS functions,
		(SELECT string_agg(format(CASE kind WHEN 3 THEN '[operators](#%2$s)' ELSE '[`%s`](#%s)' END, name, pg_temp.anchor(heading)), ', '
			ORDER BY place)
		 FROM entry e WHERE e.section = p.section AND kind <> 1) AS others
	FROM part p GROUP BY section, title
)
SELECT '# Reference

Everything here is in the schema `kbilling`. The page is made from the comments in the catalog, which psql shows too:
`\df+ kbilling.*`, `\dT+ kbilling.*`, `\d+ kbilling.account`. A letter with a number, such as [T5](rules.md#T5), is a
[rule](rules.md); a code such as KB001 is the SQLSTATE of an [error](#errors). An argument that is shown with `=` can be left out.
What all this is made of is in the schema `kbilling_internal`, which is not to be called; [architecture.md](architecture.md) introduces it.

| subject | functions | types, operators, tables and views |
| --- | --- | --- |
' || string_agg(format('| [%s](#%s) | %s | %s |', title, pg_temp.anchor(title), functions, others), E'\n' ORDER BY section) || '
| [Errors](#errors) | | |
| [Hash of an entry](#hash-of-an-entry) | | |

' || string_agg(concat('## ', title, E'\n\n', anchors, says || E'\n\n', body,
	CASE WHEN title = 'Rights' THEN '
### What kb_grant gives

What is not listed only computes, and is for everyone, or is for the owner of the extension alone.

The functions `kb_granted_as_…` do nothing: they mark what a role was granted as, for `kb_revoke`.

| function, table or view | app | payments | support | operator | auditor | tables |
| --- | --- | --- | --- | --- | --- | --- |
' || (SELECT string_agg(line, E'\n' ORDER BY kind, object COLLATE "C") FROM right_row) || E'\n'
	END), E'\n' ORDER BY section) || '
## Errors

Each error has a message, mostly a detail with the facts, and a hint that says what to do.

| SQLSTATE | means |
| --- | --- |
| KB001 | unknown account |
| KB002 | two currencies where there must be one |
| KB003 | access denied: the account''s stage, or the member that the transaction acts for, does not allow the write |
| KB004 | the member''s role does not allow it, or there is no such member |
| KB005 | amount out of range: zero or below, more than can be refunded or charged back, no debt to write off |
| KB006 | the reference or key stands for something else, or an entry has been taken back already |
| KB007 | the journal is immutable |
| KB008 | card data is refused |
| KB009 | the period cannot be charged, or is charged already; a day after the end of the contract |
| KB010 | the account is deleted |
| KB011 | the account may not be closed: the detail names each condition that is not met |
| KB012 | unknown service or tariff, or a service without a price |
| KB013 | usage beyond the credit line, or a hard limit of a service (L2, L3) |
| KB014 | an account on another shard, in any call that names one: repeat it there (B3) |
| 08006 | the source of a move cannot be reached |
| 22003 | beyond ±(2^53 − 1) minor units; NaN; infinity; a fact of a notice that has more than 64 digits |
| 22004 | null where a value is needed |
| 22008 | an infinite date, or one in the future or past where there must be none; usage after the end of the contract |
| 22012 | an amount is divided by zero |
| 22023 | a value that makes no sense there |
| 22P02 | a text that is not a `kb_money`, not a `kb_price`, or not the JSON of a `kb_lines` |
| 22P03 | the binary form of one of these that is not of its version, or of a currency that is not known |
| 22P05 | a notice''s text has a character that the database''s encoding does not have |
| 25001 | what commits is called inside a transaction block; `kb_receive_move` in one that has written something |
| 39P01 | `kb_meter` is attached to a table in a way in which it does not work |
| 42501 | a right that the caller does not have; or the sweep''s job in pg_cron is another role''s |
| 42704 | there is no such move |
| 42710 | there is a move of that name already |
| 42809 | what is to be registered for the purge is not a table of an application |
| 42P01 | a table that is registered for the purge is gone |
| 42703, 42804 | a column named in a trigger''s arguments, or to `kb_register_purge`, is not there, or of a type that does not fit |
| 23505 | it exists already |
| 54000 | a text of a notice is too long, or has too many braces or too much of a number; a forecast would take too long |
| 55000 | a built-in row cannot be changed; not in the state of an account or contract; pg_cron is not there; a step of a move is not next |
| 55006 | the other node still reads the replication slot of a move |
| 55P03 | a step of a move has waited long enough |
| XX001 | an account is damaged |

## Hash of an entry

SHA-256 over the 32 bytes of the hash before (nothing for the first entry) and these fields of the entry, in this order: account_id, seq,
kind, amount, balance_after, bonus_after, debt_since, effective_on, posted_at, key, period, method, paid, ref_seq, member, posted_by,
memo, lines, lots.
Each is led by its length in 4 bytes; NULL is the length 0xFFFFFFFF alone.
A number is 8 bytes in network order. A date is the number of days since 2000-01-01, and a moment that of microseconds (UTC).
Any other field is its text in UTF-8; that of lots is a priority, an expiry and an amount for each, as in
`10 infinity -2.00 USD, 50 2026-12-01 -3.00 USD`.'
FROM section WHERE body IS NOT NULL
