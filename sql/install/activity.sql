/*
 * Activity: what shows that an account is used (D1, D7).
 */

-- Beside the account's row, so that a login waits for no payment and no payment for a login.
CREATE TABLE kbilling.activity (
	account_id bigint PRIMARY KEY REFERENCES account,
	active_at  timestamptz NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.activity', '');
COMMENT ON TABLE activity IS
'When somebody was last there: a login, or a member who acts (D1, D7). Payments and usage leave rows of their own; '
'kb_last_activity looks at them all';
COMMENT ON COLUMN activity.account_id IS 'The account';
COMMENT ON COLUMN activity.active_at IS
'The last of it. It is noted at most once an hour, so this may be up to an hour too early';
