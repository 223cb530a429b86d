/*
 * The outbox: notices that wait for a worker, and the call that wakes one (N1).
 *
 * The journal writes an entry's notice with the entry; it stores only the entry's
 * number, as the journal has the facts.  Other notices store their facts.
 */

CREATE TYPE kbilling.kb_notice_kind AS ENUM (
	'topup_received', 'charge_posted', 'stage_changed', 'payment_reminder', 'closure_scheduled', 'closure_reminder',
	'closure_cancelled', 'account_deleted', 'account_restored', 'account_purged', 'topup_after_deletion', 'limit_reached',
	'alert', 'charge_upcoming', 'contract_ending', 'contract_continued', 'credit_expiring'
);
COMMENT ON TYPE kb_notice_kind IS 'What a notice is about (N5)';

-- It is in the index notice_stuck, which another number here would want built anew.
CREATE FUNCTION kbilling_internal.kb_max_tries() RETURNS integer
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 10;
COMMENT ON FUNCTION kb_max_tries() IS 'How often a worker may take a notice before it is parked (N2)';

CREATE FUNCTION kbilling_internal.kb_wake(notices bigint) RETURNS bigint
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'kb_wake';
COMMENT ON FUNCTION kb_wake(bigint) IS
'If the number of notices is above zero, wakes the workers when the transaction commits (N1); returns that number';

-- No foreign key to account, and the number comes from its row: as with entries.
CREATE TABLE kbilling.notice (
	account_id   bigint NOT NULL,
	notice_no    bigint NOT NULL,
	written_at   timestamptz NOT NULL,
	due_at       timestamptz,
	leased_until timestamptz,
	delivered_at timestamptz,
	parked_at    timestamptz,
	tries        integer NOT NULL DEFAULT 0,
	kind         kb_notice_kind NOT NULL,
	stage_before kb_stage,
	stage        kb_stage,
	occasion     text NOT NULL,
	last_error   kb_text,
	facts        jsonb,
	PRIMARY KEY (account_id, notice_no),
	UNIQUE (account_id, kind, occasion)	-- N3
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.notice', '');
COMMENT ON TABLE notice IS 'Messages that someone must get, delivered or not (N1 to N3)';
COMMENT ON COLUMN notice.account_id IS 'The account';
COMMENT ON COLUMN notice.notice_no IS 'Runs 1, 2, 3, ... within the account';
COMMENT ON COLUMN notice.written_at IS 'When it was written';
COMMENT ON COLUMN notice.due_at IS
'When a worker may take it next; NULL once it is delivered or parked, and if the account was purged before that';
COMMENT ON COLUMN notice.leased_until IS 'When the lease of the worker that took it last ends (N2)';
COMMENT ON COLUMN notice.delivered_at IS 'When a worker noted that it was delivered';
COMMENT ON COLUMN notice.parked_at IS 'When it was parked (N2)';
COMMENT ON COLUMN notice.tries IS 'How many times a worker has taken it';
COMMENT ON COLUMN notice.kind IS 'What it is about (N5)';
COMMENT ON COLUMN notice.stage_before IS 'For a top-up: the stage before it';
COMMENT ON COLUMN notice.stage IS 'For a top-up or a charge: the stage after it, when it was written';
COMMENT ON COLUMN notice.occasion IS
'What it is about, so that nothing is said twice (N3): the number of an entry or of a closure''s step, or a change '
'of stage';
COMMENT ON COLUMN notice.last_error IS 'Why it could not be delivered, in the worker''s words';
COMMENT ON COLUMN notice.facts IS 'The facts for its text; NULL if they are in the journal';

CREATE INDEX notice_due ON notice (due_at, account_id, notice_no) WHERE due_at IS NOT NULL;
COMMENT ON INDEX notice_due IS 'Finds the notices that are due, in their order';

-- One index for both, as each posting looks at the condition of every index.
CREATE INDEX notice_stuck ON notice (due_at, parked_at) WHERE parked_at IS NOT NULL OR tries >= kb_max_tries();
COMMENT ON INDEX notice_stuck IS 'Finds the notices that are to be parked, and the parked ones, without reading the queue';
