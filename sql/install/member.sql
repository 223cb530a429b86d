/*
 * Members: who uses an account, in which role, where notices go, and when somebody was there.
 */

CREATE FUNCTION kbilling.kb_add_member(account_id bigint, member text, role kb_role, email text = NULL)
	RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('member, role', member, role);
	SELECT CASE WHEN member = '' THEN kb_raise('22023', 'member must not be empty') END;
	SELECT kb_require_email(email);
	SELECT kb_lock_account(account_id);
	-- what a repeatable read does not see is then a conflict to try again (40001), not a duplicate
	WITH added AS (
		INSERT INTO member AS m (account_id, member, role, email)
		VALUES (kb_add_member.account_id, kb_add_member.member, kb_add_member.role, kb_add_member.email)
		ON CONFLICT (account_id, member) DO NOTHING
		RETURNING m.member
	)
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM added)
			THEN kb_raise('23505', format('"%s" is a member of account %s already', $2, $1),
						  format('The role is %s.', (SELECT m.role FROM member m WHERE m.account_id = $1 AND m.member = $2)),
						  'Give another role with kb_set_role, another address with kb_set_contact.')
		END;
END;
COMMENT ON FUNCTION kb_add_member(bigint, text, kb_role, text) IS
'Adds a member to an account. '
'Errors: KB001 for an unknown account, KB010 for a deleted one, 23505 if the account has the member already; '
'22023 for an email that is no address';

CREATE FUNCTION kbilling_internal.kb_require_member(account_id bigint, member text) RETURNS void
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_require_member';
COMMENT ON FUNCTION kb_require_member(bigint, text) IS
'Raises KB001 if there is no such account, KB004 if it has no such member';

-- An account has an owner at all times, to whom notices go.  Owners are locked, so that two who leave at once do not
-- count on each other.
CREATE FUNCTION kbilling_internal.kb_keep_owner(account_id bigint, member text) RETURNS void
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT FROM member m WHERE m.account_id = $1 AND m.role = 'owner' ORDER BY m.member FOR UPDATE;
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM member m WHERE m.account_id = $1 AND m.role = 'owner' AND m.member <> $2)
			THEN kb_raise('KB004', format('account %s must keep an owner', $1), format('"%s" is the only one.', $2),
						  'Make another member owner first, with kb_set_role.')
		END;
END;
COMMENT ON FUNCTION kb_keep_owner(bigint, text) IS
'Locks the account''s owners, and raises KB004 if there is none apart from the member. The account is locked already';

CREATE FUNCTION kbilling.kb_set_role(account_id bigint, member text, role kb_role) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('member, role', member, role);
	SELECT kb_lock_account(account_id);
	-- in statements after the lock, so that they see what was done while it was waited for
	SELECT kb_require_member(account_id, member);
	SELECT kb_keep_owner(account_id, member) WHERE role <> 'owner';
	UPDATE member m SET role = kb_set_role.role
	WHERE m.account_id = kb_set_role.account_id AND m.member = kb_set_role.member AND m.role <> kb_set_role.role;
END;
COMMENT ON FUNCTION kb_set_role(bigint, text, kb_role) IS
'Gives a member another role. '
'Errors: KB001, KB010; KB004 for an unknown member, and for the only owner';

CREATE FUNCTION kbilling.kb_remove_member(account_id bigint, member text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('member', member);
	SELECT kb_lock_account(account_id);
	SELECT kb_require_member(account_id, member);
	SELECT kb_keep_owner(account_id, member);
	DELETE FROM member m WHERE m.account_id = kb_remove_member.account_id AND m.member = kb_remove_member.member;
END;
COMMENT ON FUNCTION kb_remove_member(bigint, text) IS
'Removes a member from the account. '
'Errors: KB001, KB010; KB004 for an unknown member, and for the only owner';

CREATE FUNCTION kbilling.kb_set_contact(account_id bigint, member text, email text, language text = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_lock_account(account_id);
	SELECT kb_require_member(account_id, member);
	SELECT kb_require_email(email);
	SELECT CASE
		WHEN NOT kb_is_language(language)
			THEN kb_raise('22023', format('"%s" is not a language', language),
						  'A language is named by a tag of BCP 47, of at most 35 characters.', 'Write "en", "uk" or "uk-UA".')
		END;
	UPDATE member m SET email = kb_set_contact.email, language = kb_set_contact.language
	WHERE m.account_id = kb_set_contact.account_id AND m.member = kb_set_contact.member;
END;
COMMENT ON FUNCTION kb_set_contact(bigint, text, text, text) IS
'Sets where a member''s notices go (NULL: nowhere), and in which language they are (NULL: that of the policy). '
'Errors: KB001, KB010; KB004 for an unknown member; 22023 for an email that is no address, or a language that is no tag';
