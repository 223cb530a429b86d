-- The sweep as a job of pg_cron (W2): what is refused where pg_cron does not keep its jobs; t/006_cron.pl has the rest
SET search_path = kbilling, public;
SELECT plan(8);

SELECT throws_ok('SELECT kb_schedule()', '55000', NULL, 'without pg_cron nothing is scheduled');
SELECT throws_ok('SELECT kb_schedule(''30 seconds'')', '55000', NULL, 'by whatever schedule');
SELECT throws_ok('SELECT kb_unschedule()', '55000', NULL, 'nor taken away');
SELECT throws_ok('SELECT kb_schedule(NULL)', '22004', 'schedule must not be null', 'there has to be a schedule');
SELECT throws_ok('SELECT kb_schedule(''4111 1111 1111 1111 *'')', 'KB008', NULL, 'T4: which is no card number');
SELECT throws_ok(format('SELECT kb_schedule(workers => %s)', n), '22023', 'workers must be from 1 to 64',
	'W1: not with ' || n || ' workers')
FROM unnest('{0,65}'::int[]) AS n;
SET default_transaction_read_only = on;
SELECT throws_ok('SELECT kb_schedule()', '25006', NULL, 'nothing is scheduled by a transaction that only reads');

SELECT finish();
