-- docs/reference.md says what the catalog says.
BEGIN;
SELECT plan(2);

\set query `cat docs/reference.sql`
\set document `cat docs/reference.md`

SELECT ok(rtrim(:'document', E'\n') = rtrim((:query), E'\n'), 'docs/reference.md is what make reference writes');
SELECT is_empty($$
	SELECT s.state FROM unnest('{KB001,KB002,KB004,KB005,KB006,KB007,KB008,KB009,KB010,KB012}'::text[]) s (state)
	WHERE position('| ' || s.state || ' |' IN $$ || quote_literal(:'document') || $$) = 0
$$, 'every SQLSTATE that is raised is listed');

SELECT * FROM finish();
ROLLBACK;
