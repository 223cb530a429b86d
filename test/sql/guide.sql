-- docs/guide.md: each statement runs, and returns what the page says, from CREATE EXTENSION on

DROP EXTENSION kbilling;

\setenv PGDATABASE :DBNAME
\set returned `test/include/page docs/guide.md`
\set said `awk -v want=1 -f test/include/page.awk docs/guide.md`

BEGIN;
SELECT plan(3);

CREATE TEMP TABLE returned AS SELECT n, line FROM string_to_table(:'returned', E'\n') WITH ORDINALITY AS l (line, n);
CREATE TEMP TABLE said AS SELECT n, line FROM string_to_table(rtrim(:'said', E'\n'), E'\n') WITH ORDINALITY AS l (line, n);
SELECT results_eq('SELECT line FROM returned ORDER BY n', 'SELECT line FROM said ORDER BY n', 'the examples return what the guide says');
SELECT cmp_ok((SELECT count(*) FROM said WHERE line = ';'), '>', 60::bigint, 'all of them, that is');
SELECT is_empty('SELECT * FROM kbilling.kb_check()', 'and leave the books right');

SELECT * FROM finish();
ROLLBACK;

DROP OWNED BY desk_app, desk_webhook;
DROP ROLE desk_app, desk_webhook;
