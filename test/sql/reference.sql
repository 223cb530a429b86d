-- docs/reference.md says what is so.
BEGIN;
SELECT plan(3);

-- As make reference does it.
\setenv PGDATABASE :DBNAME
\set written `psql -XAtq -v ON_ERROR_STOP=1 -f docs/reference.sql`
\set document `cat docs/reference.md`
\set raised `sed -n "s/.*MAKE_SQLSTATE(\([^)]*\)).*/\1/p" src/errors.h | tr -d "', " | paste -sd ,`

CREATE TEMP TABLE written AS SELECT n, line FROM string_to_table(rtrim(:'written', E'\n'), E'\n') WITH ORDINALITY AS l (line, n);
CREATE TEMP TABLE document AS SELECT n, line FROM string_to_table(rtrim(:'document', E'\n'), E'\n') WITH ORDINALITY AS l (line, n);
SELECT results_eq('SELECT line FROM document ORDER BY n', 'SELECT line FROM written ORDER BY n',
	'docs/reference.md is what make reference writes');
SELECT is_empty($$
	SELECT link[1] FROM document, regexp_matches(line, '\]\(#([^)]*)\)', 'g') AS link
	EXCEPT SELECT id[1] FROM document, regexp_matches(line, '<a id="([^"]*)">', 'g') AS id
	EXCEPT SELECT replace(lower(translate(line, '#`', '')), ' ', '-') FROM (SELECT regexp_replace(line, '^#+ ', '') AS line
		FROM document WHERE line ~ '^#') AS heading
$$, 'what the page links to on itself is there');
SELECT is_empty($$
	SELECT s.state FROM string_to_table(coalesce(nullif($$ || quote_literal(:'raised') || $$, ''), 'none of errors.h'), ',') s (state)
	WHERE NOT EXISTS (SELECT FROM document WHERE line LIKE '| ' || s.state || ' |%')
$$, 'every SQLSTATE that is raised is listed');

SELECT * FROM finish();
ROLLBACK;
