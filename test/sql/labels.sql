-- What the catalog says of functions and tables is so, and stays so
BEGIN;
CREATE EXTENSION IF NOT EXISTS kbilling;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT no_plan();

CREATE TEMP TABLE own AS
	SELECT p.oid::regprocedure AS signature, p.* FROM pg_proc p
	WHERE p.pronamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace);
SELECT cmp_ok((SELECT count(*) FROM own), '>', 200::bigint, 'there are functions to look at');

-- What a function in SQL runs: its body, bound when it was made, depends on it.
CREATE TEMP TABLE uses AS
	SELECT o.oid AS caller, d.refclassid, d.refobjid FROM own o
	JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = o.oid AND d.deptype = 'n' AND o.prosqlbody IS NOT NULL;
CREATE TEMP VIEW calls AS
	SELECT c.signature AS caller, f.oid::regprocedure AS callee, c.provolatile AS caller_volatile, f.provolatile AS callee_volatile,
		c.proparallel AS caller_parallel, f.proparallel AS callee_parallel
	FROM uses u
	JOIN own c ON c.oid = u.caller
	JOIN pg_proc f ON f.oid = CASE u.refclassid WHEN 'pg_proc'::regclass THEN u.refobjid
		WHEN 'pg_operator'::regclass THEN (SELECT oprcode FROM pg_operator WHERE oid = u.refobjid) END
	WHERE f.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype);	-- which are named, not called
SELECT cmp_ok((SELECT count(*) FROM calls), '>', 300::bigint, 'and calls among them');

-- Volatility
SELECT is_empty($$SELECT caller, callee FROM calls WHERE caller_volatile = 'i' AND callee_volatile <> 'i'
	OR caller_volatile = 's' AND callee_volatile = 'v'$$, 'no function is more stable than what it calls');
SELECT is_empty($$SELECT o.signature, u.refobjid::regclass FROM uses u JOIN own o ON o.oid = u.caller
	WHERE u.refclassid = 'pg_class'::regclass AND o.provolatile = 'i' AND pg_get_function_sqlbody(o.oid) ~ '\m(FROM|JOIN)\M'
		AND u.refobjid NOT IN (SELECT oid FROM pg_class WHERE relkind = 'c')$$, 'what reads a table is not IMMUTABLE');
SELECT is_empty($$SELECT signature FROM own WHERE provolatile <> 'v' AND prosqlbody IS NOT NULL
	AND pg_get_function_sqlbody(oid) ~ '\m(INSERT INTO|UPDATE [a-z_.]+ |DELETE FROM)'$$, 'what writes is VOLATILE');
-- Parallel workers: they write nothing, and do not know whom the session acts for
SELECT is_empty($$SELECT signature FROM own WHERE provolatile = 'v' AND proparallel = 's'$$, 'what is VOLATILE is not PARALLEL SAFE');
SELECT is_empty($$SELECT caller, callee FROM calls WHERE caller_parallel = 's' AND callee_parallel <> 's'
	OR caller_parallel = 'r' AND callee_parallel = 'u'$$, 'nor is what calls what is not');

-- Strict: a check or a trigger that skips NULL would skip what it is for
SELECT is_empty($$SELECT signature FROM own WHERE proisstrict AND prorettype IN ('trigger'::regtype, 'event_trigger'::regtype)$$,
	'no trigger is STRICT');

-- Leakproof: only what says nothing of its arguments but in what it returns
CREATE TEMP VIEW compares AS
	SELECT a.amopopr::regoperator::oid, o.oprcode::oid AS function FROM pg_amop a JOIN pg_operator o ON o.oid = a.amopopr
	UNION ALL
	SELECT NULL, a.amproc::oid FROM pg_amproc a
	UNION ALL
	SELECT NULL, n.oprcode::oid FROM pg_amop a JOIN pg_operator o ON o.oid = a.amopopr JOIN pg_operator n ON n.oid = o.oprnegate;
SELECT cmp_ok((SELECT count(*) FROM own WHERE proleakproof), '>', 5::bigint, 'some are LEAKPROOF');
SELECT is_empty($$SELECT signature FROM own WHERE proleakproof AND oid NOT IN (SELECT function FROM compares)
	AND signature::text NOT LIKE '%kb_may_use()'$$, 'LEAKPROOF are comparisons and hashes');
SELECT is_empty($$SELECT signature FROM own WHERE proleakproof AND provolatile <> 'i' AND signature::text NOT LIKE '%kb_may_use()'$$,
	'which look at nothing else');

-- Operators of an index are what they are in C
SELECT is_empty($$SELECT o.oid::regoperator FROM pg_operator o JOIN own f ON f.oid = o.oprcode
	WHERE f.provolatile <> 'i' OR NOT f.proisstrict$$, 'operators are IMMUTABLE and STRICT');
SELECT is_empty($$SELECT t.oid::regtype, f.signature FROM pg_type t
	JOIN own f ON f.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend) WHERE f.provolatile <> 'i' OR NOT f.proisstrict$$,
	'input and output of types, too');

-- Keys: what belongs to an account begins with its number, so that accounts can be spread over nodes (B).  Of change_log, only
-- some rows are of an account.
CREATE TEMP TABLE of_account AS
	SELECT c.oid::regclass AS relation, a.attnum FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'account_id'
		AND a.attnotnull
	WHERE c.relkind = 'r' AND c.relnamespace IN ('kbilling'::regnamespace, 'kbilling_internal'::regnamespace);
SELECT cmp_ok((SELECT count(*) FROM of_account), '>', 15::bigint, 'there are tables of accounts');
SELECT is_empty($$SELECT t.relation, i.indexrelid::regclass FROM of_account t
	JOIN pg_index i ON i.indrelid = t.relation AND i.indisunique WHERE i.indkey[0] <> t.attnum$$,
	'B: every unique key of an account''s table begins with account_id');
SELECT is_empty($$SELECT t.relation FROM of_account t
	WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.relation AND i.indisprimary)$$,
	'B: and each has one');
SELECT is_empty($$SELECT k.conname FROM of_account t JOIN pg_constraint k ON k.conrelid = t.relation AND k.contype = 'f'
	JOIN of_account r ON r.relation = k.confrelid WHERE k.conkey[1] <> t.attnum OR k.confkey[1] <> r.attnum$$,
	'B: references between accounts'' tables stay within the account');
SELECT is_empty($$SELECT t.relation, a.attname FROM of_account t JOIN pg_attribute a ON a.attrelid = t.relation AND a.attnum > 0
	WHERE a.attidentity <> ''
		OR EXISTS (SELECT FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
			AND pg_get_expr(d.adbin, d.adrelid) ~ 'nextval')$$,
	'B: no sequence is behind their rows');

-- What belongs to accounts is dumped
SELECT is_empty($$SELECT t.relation FROM of_account t, pg_extension e
	WHERE e.extname = 'kbilling' AND NOT t.relation::oid = ANY (e.extconfig)$$,
	'what belongs to accounts goes into a dump');

SELECT finish();
ROLLBACK;
