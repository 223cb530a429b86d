/*
 * Enforcement in the application's own tables: the guard, and row security (E1, E2).
 */

-- These two run under the search path of whoever reads or writes, as pinning it would cost more than they do; what they
-- execute names schemas.

CREATE FUNCTION kbilling_internal.kb_may_use() RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_may_use';
COMMENT ON FUNCTION kb_may_use() IS
'True if the member for whom the transaction acts may use the account now. Part of kb_can_use';

CREATE FUNCTION kbilling_internal.kb_check_access(account_ids bigint[], needs_member boolean, writer oid) RETURNS void
	LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_check_access';
COMMENT ON FUNCTION kb_check_access(bigint[], boolean, oid) IS
'Raises KB003 for the first of the accounts for which the transaction may not write; it says no more than the role '
'"writer" may know (E5). Part of kb_guard';

-- With its caller's rights, as switching to the owner's would cost for each row; kb_may_use has these, and is called
-- once.

CREATE FUNCTION kbilling_internal.kb_can_use_support(internal) RETURNS internal
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_can_use_support';
COMMENT ON FUNCTION kb_can_use_support(internal) IS
'Planner support function: lets an index on the account find the rows for which kb_can_use is true';

CREATE FUNCTION kbilling.kb_can_use(account_id bigint) RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED SUPPORT kb_can_use_support
	AS 'MODULE_PATHNAME', 'kb_can_use';
COMMENT ON FUNCTION kb_can_use(bigint) IS
'For row security policies (E2): true if the member for whom the transaction acts may use the account now, with '
'access "full" or "full_with_reminder". False for any other account, for NULL, and without a member; it never raises '
'an error. It is decided once in a statement, and an index on the column is used';

-- With its caller's rights, for the same reason as kb_can_use.
CREATE FUNCTION kbilling.kb_guard() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_guard';
COMMENT ON FUNCTION kb_guard() IS
'Trigger function that lets a write through only if the account''s access allows it, and raises KB003 if not (E1). '
'If the transaction acts for a member (kb_act_as), that member''s access decides, and rows of other accounts are '
'refused. If it acts for nobody, the account itself decides: nothing is written for one that is blocked or deleted. '
'What is due, and since when, is told to an acting owner or admin, and to roles with a right on kbilling (E5). '
'Its arguments are the account column and, if writes without a member are to be refused, ''member''. It is attached '
'FOR EACH ROW, BEFORE or AFTER, or FOR EACH STATEMENT, AFTER, with transition tables. An UPDATE checks both the old '
'and the new account';
