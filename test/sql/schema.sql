BEGIN;
CREATE EXTENSION IF NOT EXISTS kbilling;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(2);

SELECT isnt(obj_description('kbilling'::regnamespace, 'pg_namespace'), NULL, 'the schema says what it is');
SELECT throws_ok('DROP SCHEMA kbilling CASCADE', '2BP01', NULL, 'the schema goes with the extension only');

SELECT finish();
ROLLBACK;
