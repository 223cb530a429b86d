-- what: a row of a bulk INSERT, guarded
-- ours: kb_guard, FOR EACH STATEMENT
-- by_row: kb_guard, FOR EACH ROW
-- floor: the INSERT without a trigger
-- twin: a trigger in plpgsql, FOR EACH STATEMENT
-- mode: statement
-- case: rows=100000 accounts=10000
-- case: rows=100000 accounts=1
-- per: rows
-- goal: wall ours / floor <= 1.2
-- goal: wall by_row / floor <= 1.2

-- == setup
CALL bench.make_accounts(:accounts);
\i twin/guard.sql
CREATE TABLE bench.note (account_id bigint, note_id bigint, body text NOT NULL, PRIMARY KEY (account_id, note_id));
CREATE TABLE bench.guarded_note (LIKE bench.note INCLUDING ALL);
CREATE TABLE bench.note_guarded_by_row (LIKE bench.note INCLUDING ALL);
CREATE TABLE bench.twin_note (LIKE bench.note INCLUDING ALL);
CREATE TABLE bench.new_note AS
SELECT 1 + i % :accounts AS account_id, i AS note_id, 'note ' || i AS body FROM generate_series(1, :rows) i;
CREATE TRIGGER guard AFTER INSERT ON bench.guarded_note REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION kbilling.kb_guard('account_id');
CREATE TRIGGER guard BEFORE INSERT ON bench.note_guarded_by_row
	FOR EACH ROW EXECUTE FUNCTION kbilling.kb_guard('account_id');
CREATE TRIGGER guard AFTER INSERT ON bench.twin_note REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION twin.guard();

-- == before
TRUNCATE bench.note, bench.guarded_note, bench.note_guarded_by_row, bench.twin_note;
CHECKPOINT;

-- == floor
INSERT INTO bench.note SELECT * FROM bench.new_note;

-- == twin
INSERT INTO bench.twin_note SELECT * FROM bench.new_note;

-- == ours
INSERT INTO bench.guarded_note SELECT * FROM bench.new_note;

-- == by_row
INSERT INTO bench.note_guarded_by_row SELECT * FROM bench.new_note;
