/*
 * Who is there: logins, and the member that a transaction acts for (E4).  They are asked at each request, and SET would
 * cost more than their work: their C names whatever it uses with its schema.
 */

CREATE FUNCTION kbilling.kb_login(account_id bigint, member text) RETURNS kb_access_decision
	LANGUAGE c VOLATILE SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_login';
COMMENT ON FUNCTION kb_login(bigint, text) IS
'What the member may do now (S3). A login counts as activity unless access is "denied"; in a read-only transaction and on '
'a standby it is not noted (D7). '
'Errors: KB001; KB004 for an unknown member';

/*
 * Enforcement in the application's own tables: the member that a transaction
 * acts for, the guard, and row security (rules E).
 */

CREATE FUNCTION kbilling.kb_act_as(account_id bigint, member text) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER
	AS 'MODULE_PATHNAME', 'kb_act_as';
COMMENT ON FUNCTION kb_act_as(bigint, text) IS
'From here on the transaction acts for the member, until it ends, or is rolled back to a savepoint before this call '
'(E4). This counts as activity, as a login does, unless the policy counts logins alone (D1, D7). '
'Errors: KB001; KB004 for an unknown member';


CREATE FUNCTION kbilling.kb_acting_account() RETURNS bigint
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'kb_acting_account';
COMMENT ON FUNCTION kb_acting_account() IS
'The account of the member for whom the transaction acts; NULL if it acts for nobody';


CREATE FUNCTION kbilling.kb_acting_member() RETURNS text
	LANGUAGE c STABLE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'kb_acting_member';
COMMENT ON FUNCTION kb_acting_member() IS 'The member for whom the transaction acts; NULL if it acts for nobody';

-- What writes the log is below, and knows of no session.
ALTER TABLE kbilling.change_log ALTER member SET DEFAULT kb_acting_member();

