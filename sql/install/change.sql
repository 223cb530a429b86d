/*
 * The log of what is agreed: who changed it, what it was, what it is (J9).
 *
 * The functions that change it write the log themselves; so a restore or
 * replication, which replays rows, logs nothing twice.
 */

CREATE FUNCTION kbilling_internal.kb_change_id() RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'kb_change_id';
COMMENT ON FUNCTION kb_change_id() IS
'A number for a row of the log that needs no sequence: a UUID of version 7, which rises with the time';

CREATE FUNCTION kbilling_internal.kb_calling_role() RETURNS text
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'kb_calling_role';
COMMENT ON FUNCTION kb_calling_role() IS
'The database role as the session sees it, after SET ROLE; within a function of kbilling, its caller''s and not its owner''s';

CREATE TABLE kbilling.change_log (
	change_id  uuid PRIMARY KEY DEFAULT kb_change_id(),
	changed_at timestamptz NOT NULL DEFAULT kb_now(),
	changed_by text NOT NULL DEFAULT kb_calling_role(),
	member     kb_text,
	subject    text NOT NULL,
	account_id bigint,
	tariff     kb_text,
	service    kb_text,
	policy     kb_text,
	role       text,
	before     jsonb,
	after      jsonb
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.change_log', '');
COMMENT ON TABLE change_log IS
'Every change of what is agreed: price list, policies, templates, payment methods, names, accounts'' terms, rights (J9). Nothing in it is '
'changed or deleted; written by the functions that make the changes';
COMMENT ON COLUMN change_log.change_id IS 'Number of the change; numbers rise in the order in which a session writes them';
COMMENT ON COLUMN change_log.changed_at IS 'When: the start of the transaction';
COMMENT ON COLUMN change_log.changed_by IS 'The database role that made the change, after SET ROLE';
COMMENT ON COLUMN change_log.member IS 'The acting member, if kb_act_as has named one';
COMMENT ON COLUMN change_log.subject IS
'What was changed: "tariff", "service", "price", "bonus_tier", "policy", "template", "payment_method", "credit_line", "limit", '
'"alert", "minimum", "discount", "discount_code", "name", "account_tariff", "subscription", "end", "billing_details" '
'or "rights"';
COMMENT ON COLUMN change_log.account_id IS 'The account whose terms were changed';
COMMENT ON COLUMN change_log.tariff IS 'The tariff: of the price or bonus tier, or the one that the account was put on';
COMMENT ON COLUMN change_log.service IS 'The service';
COMMENT ON COLUMN change_log.policy IS 'The policy; for a template, the one whose accounts get it';
COMMENT ON COLUMN change_log.role IS 'The database role whose rights were changed';
COMMENT ON COLUMN change_log.before IS 'What held before; NULL if there was nothing';
COMMENT ON COLUMN change_log.after IS 'What holds now; NULL if nothing does';

CREATE INDEX change_log_account ON change_log (account_id, change_id) WHERE account_id IS NOT NULL;
COMMENT ON INDEX change_log_account IS 'Finds the changes of an account''s terms';
