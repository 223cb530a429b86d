-- README.md: each statement runs, and returns what the page says; the first example has the output that is expected of it

-- A role of that name that was there before is left there.
SELECT to_regrole('web_app') IS NULL AS role_is_ours \gset
\if :role_is_ours
CREATE ROLE web_app;
\endif

\setenv PGDATABASE :DBNAME
\set returned `test/include/page README.md`
\set said `awk -v want=1 -f test/include/page.awk README.md`
\set readme `cat README.md`
\set quickstart `sed 1,2d expected/quickstart.out`

BEGIN;
SELECT plan(3);

CREATE TEMP TABLE returned AS SELECT n, line FROM string_to_table(:'returned', E'\n') WITH ORDINALITY AS l (line, n);
CREATE TEMP TABLE said AS SELECT n, line FROM string_to_table(rtrim(:'said', E'\n'), E'\n') WITH ORDINALITY AS l (line, n);
SELECT results_eq('SELECT line FROM returned ORDER BY n', 'SELECT line FROM said ORDER BY n', 'the examples return what the README says');
SELECT cmp_ok((SELECT count(*) FROM said WHERE line = ';'), '>', 30::bigint, 'all of them, that is');
SELECT ok(position(:'quickstart' IN :'readme') > 0, 'the quickstart is the one that is run, with its output');

SELECT * FROM finish();
ROLLBACK;

\if :role_is_ours
DROP OWNED BY web_app;
DROP ROLE web_app;
\endif
