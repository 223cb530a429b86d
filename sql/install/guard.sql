/*
 * Enforcement in the application's own tables: the guard, and row security (E1, E2).
 */

CREATE FUNCTION kbilling_internal.kb_may_use() RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_may_use';
COMMENT ON FUNCTION kb_may_use() IS 'Whether the member that the transaction acts for may use the account now; part of kb_can_use';

-- With its caller's rights, as those of the owner would be taken on for each row; what it has to look up, kb_may_use does, once.

CREATE FUNCTION kbilling_internal.kb_can_use_support(internal) RETURNS internal
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_can_use_support';
COMMENT ON FUNCTION kb_can_use_support(internal) IS 'For the planner: rows that kb_can_use shows are found by an index on the account';

CREATE FUNCTION kbilling.kb_can_use(account_id bigint) RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED SUPPORT kb_can_use_support
	AS 'MODULE_PATHNAME', 'kb_can_use';
COMMENT ON FUNCTION kb_can_use(bigint) IS
'For row security policies (E2): whether the member that the transaction acts for may use the account now, with access full or full_with_reminder. False for another account, NULL, or without a member; it never raises. Decided once a statement; an index on the column is used';

CREATE FUNCTION kbilling_internal.kb_check_access(account_id bigint, needs_member boolean) RETURNS void
	LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_check_access';
COMMENT ON FUNCTION kb_check_access(bigint, boolean) IS 'Raises KB003 if the transaction may not write for the account; part of kb_guard';

-- With its caller's rights, for the same reason as kb_can_use.
CREATE FUNCTION kbilling.kb_guard() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_guard';
COMMENT ON FUNCTION kb_guard() IS
'Trigger: lets a write through only if the account''s access allows it, else KB003 (E1). Arguments: account column [, ''member'']. If the transaction acts for a member (kb_act_as), it is that member''s access, and rows of another account are refused; if not, the account itself decides: nothing is written for one that is blocked or deleted; with ''member'' nothing at all. FOR EACH ROW, before or after; or AFTER, FOR EACH STATEMENT, with transition tables; an UPDATE checks the old and the new account';
