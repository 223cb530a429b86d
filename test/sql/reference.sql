-- The documents say what is so.
BEGIN;
SELECT plan(3);

\set query `cat docs/reference.sql`
\set document `cat docs/reference.md`
\set readme `cat README.md`
\set raised `sed -n "s/.*MAKE_SQLSTATE(\([^)]*\)).*/\1/p" src/errors.h | tr -d "', " | paste -sd ,`
\set quickstart `sed 1,2d expected/quickstart.out`

SELECT ok(rtrim(:'document', E'\n') = rtrim((:query), E'\n'), 'docs/reference.md is what make reference writes');
SELECT is_empty($$
	SELECT s.state FROM unnest(string_to_array($$ || quote_literal(:'raised') || $$, ',')) s (state)
	WHERE position('| ' || s.state || ' |' IN $$ || quote_literal(:'document') || $$) = 0
$$, 'every SQLSTATE that is raised is listed');

SELECT ok(position(:'quickstart' IN :'readme') > 0, 'the README''s example is the one that is run, with its output');

SELECT * FROM finish();
ROLLBACK;
