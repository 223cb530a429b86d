-- what: an inserted row as usage, six an account
-- ours: kb_meter without a key
-- keyed: kb_meter with a key
-- floor: the INSERT without a trigger
-- twin: a trigger in plpgsql, with a key
-- mode: statement
-- case: rows=60000
-- per: rows
-- goal: wall ours / floor <= 2
-- goal: wall keyed / floor <= 3

-- == setup
CALL bench.make_accounts(:rows / 6);
\i twin/usage.sql
CREATE TABLE bench.shop (sale_id bigint PRIMARY KEY, account_id bigint NOT NULL, quantity integer NOT NULL, note text);
CREATE TABLE bench.metered_shop (LIKE bench.shop INCLUDING ALL);
CREATE TABLE bench.keyed_shop (LIKE bench.shop INCLUDING ALL);
CREATE TABLE bench.twin_shop (LIKE bench.shop INCLUDING ALL);
CREATE TABLE bench.sale AS
SELECT i AS sale_id, 1 + i % (:rows / 6) AS account_id, 1 + i % 7 AS quantity, 'sale ' || i AS note
FROM generate_series(1, :rows) i;
CREATE TRIGGER meter AFTER INSERT ON bench.metered_shop REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('orders', 'account_id', 'quantity');
CREATE TRIGGER meter AFTER INSERT ON bench.keyed_shop REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_meter('orders', 'account_id', 'quantity', 'sale_id');
CREATE TRIGGER meter AFTER INSERT ON bench.twin_shop REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION twin.meter();

-- == floor
INSERT INTO bench.shop SELECT sale_id + :round * 10000000, account_id, quantity, note FROM bench.sale;

-- == twin
INSERT INTO bench.twin_shop SELECT sale_id + :round * 10000000, account_id, quantity, note FROM bench.sale;

-- == ours
INSERT INTO bench.metered_shop SELECT sale_id + :round * 10000000, account_id, quantity, note FROM bench.sale;

-- == keyed
INSERT INTO bench.keyed_shop SELECT sale_id + :round * 10000000, account_id, quantity, note FROM bench.sale;
