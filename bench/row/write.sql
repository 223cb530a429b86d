-- what: one row written under a guard
-- ours: kb_guard, FOR EACH ROW
-- floor: the INSERT without a trigger
-- seconds: 1
-- case: clients=1 accounts=10000
-- instructions: 300

-- == setup
CALL bench.make_accounts(:accounts);
CREATE TABLE bench.note (account_id bigint, note_id bigint, body text NOT NULL, PRIMARY KEY (account_id, note_id));
CREATE TABLE bench.guarded_note (LIKE bench.note INCLUDING ALL);
CREATE TRIGGER guard BEFORE INSERT ON bench.guarded_note FOR EACH ROW EXECUTE FUNCTION kbilling.kb_guard('account_id');

-- == floor
\set account random(1, :accounts)
\set note random(1, 1000000000000)
INSERT INTO bench.note VALUES (:account, :note, 'a note');

-- == ours
\set account random(1, :accounts)
\set note random(1, 1000000000000)
INSERT INTO bench.guarded_note VALUES (:account, :note, 'a note');
