-- The documents say what is so.
BEGIN;
SELECT plan(3);

\set query `cat docs/reference.sql`
\set document `cat docs/reference.md`
\set readme `cat README.md`
\set quickstart `sed 1,2d expected/quickstart.out`

SELECT ok(rtrim(:'document', E'\n') = rtrim((:query), E'\n'), 'docs/reference.md is what make reference writes');
SELECT is_empty($$
	SELECT s.state FROM unnest('{KB001,KB002,KB004,KB005,KB006,KB007,KB008,KB009,KB010,KB012}'::text[]) s (state)
	WHERE position('| ' || s.state || ' |' IN $$ || quote_literal(:'document') || $$) = 0
$$, 'every SQLSTATE that is raised is listed');

SELECT ok(position(:'quickstart' IN :'readme') > 0, 'the README''s example is the one that is run, with its output');

SELECT * FROM finish();
ROLLBACK;
