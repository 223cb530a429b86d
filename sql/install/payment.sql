/*
 * Payment methods, and payments that a member has begun and the provider has yet to confirm.
 */

CREATE FUNCTION kbilling_internal.kb_standard_methods() RETURNS text[]
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_standard_methods';
COMMENT ON FUNCTION kb_standard_methods() IS 'The payment methods that are built in (T2)';

-- Rows, and not an enum: a label that is added to an enum is lost with a dump, and the entries that have it with it.
CREATE TABLE kbilling.payment_method (
	method   kb_text PRIMARY KEY CHECK (method <> ''),
	name     kb_text,
	metadata kb_json NOT NULL DEFAULT '{}'
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.payment_method',
	'WHERE method <> ALL (kbilling_internal.kb_standard_methods())');
COMMENT ON TABLE payment_method IS
'How a top-up can be paid (T2). Some are built in; others are added with kb_create_payment_method';
COMMENT ON COLUMN payment_method.method IS 'Code of the method, as entries have it';
COMMENT ON COLUMN payment_method.name IS 'What customers call it';
COMMENT ON COLUMN payment_method.metadata IS 'For the application''s own use';

INSERT INTO payment_method (method, name)
SELECT m, initcap(replace(m, '_', ' ')) FROM unnest(kb_standard_methods()) m;

CREATE TRIGGER payment_method_standard BEFORE UPDATE OR DELETE ON payment_method
	FOR EACH ROW WHEN (OLD.method = ANY (kb_standard_methods()))
	EXECUTE FUNCTION kb_refuse_change('Create a method of your own with kb_create_payment_method.');

CREATE TRIGGER payment_method_truncate BEFORE TRUNCATE ON payment_method
	FOR EACH STATEMENT EXECUTE FUNCTION kb_refuse_change('Delete the rows that are your own.');

CREATE FUNCTION kbilling.kb_create_payment_method(method text, name text = NULL) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('method', method);
	WITH new AS (
		INSERT INTO payment_method (method, name) VALUES (kb_create_payment_method.method, kb_create_payment_method.name)
		RETURNING *
	)
	INSERT INTO change_log (subject, after) SELECT 'payment_method', to_jsonb(new) FROM new;
END;
COMMENT ON FUNCTION kb_create_payment_method(text, text) IS
'Creates a method by which top-ups can be paid (T2); "name" is what customers call it. '
'Errors: 23505 if the method exists, 23514 if it is empty';

CREATE TABLE kbilling.payment (
	account_id   bigint NOT NULL REFERENCES account,
	payment_id   bigint NOT NULL,
	amount       kb_money NOT NULL,
	bonus        kb_money NOT NULL,
	begun_at     timestamptz NOT NULL,
	expires_at   timestamptz NOT NULL,
	failed_at    timestamptz,
	settled_at   timestamptz,
	settled_seq  bigint,
	settled_amount kb_money,
	method       text,
	settled_method text,
	member       kb_text NOT NULL,
	failure      kb_text,
	PRIMARY KEY (account_id, payment_id),
	UNIQUE (account_id, settled_seq),
	CHECK (num_nulls(settled_at, settled_seq, settled_amount, settled_method) IN (0, 4))
);
SELECT pg_catalog.pg_extension_config_dump('kbilling.payment', '');

-- For kb_unsettled_payments.  Not only of those that are not settled: to settle one would then be no change in place.
CREATE INDEX payment_begun ON payment (begun_at);
COMMENT ON INDEX payment_begun IS 'Finds the payments that were begun in a time';

COMMENT ON TABLE payment IS 'Payments that were begun with kb_begin_topup, without any payment data (T4)';
COMMENT ON COLUMN payment.account_id IS 'The account';
COMMENT ON COLUMN payment.payment_id IS 'Runs 1, 2, 3, ... within the account';
COMMENT ON COLUMN payment.amount IS 'What was to be paid when it was begun';
COMMENT ON COLUMN payment.bonus IS
'The bonus that it would have earned when it was begun; the bonus that it earns is computed when it is credited';
COMMENT ON COLUMN payment.begun_at IS 'When it was begun';
COMMENT ON COLUMN payment.expires_at IS 'When it expires; if it is confirmed later, it is credited all the same';
COMMENT ON COLUMN payment.failed_at IS 'When the provider reported that it failed';
COMMENT ON COLUMN payment.settled_at IS 'When it was credited';
COMMENT ON COLUMN payment.settled_seq IS 'The top-up''s entry';
COMMENT ON COLUMN payment.settled_amount IS 'What the provider has confirmed, and was credited (T9)';
COMMENT ON COLUMN payment.method IS
'How it was to be paid when it was begun: a row of kbilling.payment_method; NULL if that was left open';
COMMENT ON COLUMN payment.settled_method IS 'How it was paid, as the provider has confirmed it (T9)';
COMMENT ON COLUMN payment.member IS 'Who began it';
COMMENT ON COLUMN payment.failure IS 'Why it failed, in the provider''s words, with card numbers masked (T10)';

CREATE TYPE kbilling.kb_payment_status AS ENUM ('pending', 'expired', 'failed', 'settled');
COMMENT ON TYPE kb_payment_status IS 'What has become of a payment';

CREATE VIEW kbilling.payment_status WITH (security_invoker) AS
	SELECT p.account_id, p.payment_id, p.amount, p.bonus, p.method, p.member, p.begun_at, p.expires_at,
		   CASE
			   WHEN p.settled_at IS NOT NULL THEN 'settled'
			   WHEN p.failed_at IS NOT NULL THEN 'failed'
			   WHEN p.expires_at <= kb_now() THEN 'expired'
			   ELSE 'pending'
		   END::kb_payment_status AS status, p.settled_seq, p.settled_amount, p.settled_method, p.failure
	FROM payment p
	WHERE kb_is_owned(p.account_id);
COMMENT ON VIEW payment_status IS 'The payments that were begun, and what has become of each';
COMMENT ON COLUMN payment_status.account_id IS 'The account';
COMMENT ON COLUMN payment_status.payment_id IS 'Runs 1, 2, 3, ... within the account';
COMMENT ON COLUMN payment_status.amount IS 'What was to be paid when it was begun';
COMMENT ON COLUMN payment_status.bonus IS 'The bonus that it would have earned when it was begun';
COMMENT ON COLUMN payment_status.method IS 'How it was to be paid when it was begun; NULL if that was left open';
COMMENT ON COLUMN payment_status.member IS 'Who began it';
COMMENT ON COLUMN payment_status.begun_at IS 'When it was begun';
COMMENT ON COLUMN payment_status.expires_at IS 'When it expires; if it is confirmed later, it is credited all the same';
COMMENT ON COLUMN payment_status.status IS '"pending", "expired", "failed" or "settled"';
COMMENT ON COLUMN payment_status.settled_seq IS 'The top-up''s entry, once it is settled';
COMMENT ON COLUMN payment_status.settled_amount IS 'What was confirmed and credited';
COMMENT ON COLUMN payment_status.settled_method IS 'How it was paid';
COMMENT ON COLUMN payment_status.failure IS 'Why it failed';

CREATE TYPE kbilling.kb_payment_offer AS (
	payment_id bigint,
	bonus      kb_money,
	expires_at timestamptz
);
COMMENT ON TYPE kb_payment_offer IS 'A payment that kb_begin_topup has begun';
COMMENT ON COLUMN kb_payment_offer.payment_id IS
'Number of the payment; the provider''s webhook passes it on to kb_apply_topup';
COMMENT ON COLUMN kb_payment_offer.bonus IS 'The bonus that it would earn now';
COMMENT ON COLUMN kb_payment_offer.expires_at IS 'When it expires';

CREATE FUNCTION kbilling.kb_begin_topup(account_id bigint, member text, amount kb_money, method text = NULL)
	RETURNS kb_payment_offer
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_begin_topup';
COMMENT ON FUNCTION kb_begin_topup(bigint, text, kb_money, text) IS
'Begins a payment by a member, at any stage (T1), and returns its number and the bonus that it would earn (T5). '
'The method may be left open, as it often is chosen at the provider; what is confirmed is booked as it was confirmed (T9). '
'Errors: KB001, KB010; KB002 for another currency; KB004 if the member is no owner or admin; KB005 for an amount '
'that is not above zero; 22023 for an unknown method';

CREATE FUNCTION kbilling.kb_fail_topup(account_id bigint, payment_id bigint, failure text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('payment_id, failure', payment_id, failure);
	SELECT kb_require_owned(account_id);
	SELECT FROM account a WHERE a.account_id = $1 FOR NO KEY UPDATE;
	SELECT kb_require_account(account_id);
	SELECT CASE
		WHEN NOT EXISTS (SELECT FROM payment p WHERE p.account_id = kb_fail_topup.account_id AND p.payment_id = kb_fail_topup.payment_id)
			THEN kb_raise('KB006', format('account %s has no payment %s', $1, $2),
						  'Payments are numbered within their account, so it may be another account''s.',
						  'Pass the account for which kb_begin_topup gave that payment_id.')
		END;
	-- what arrives after the confirmation changes nothing (T9), and a purge has taken the words of others
	UPDATE payment p
	SET failed_at = coalesce(p.failed_at, kb_now()),
		failure = CASE WHEN a.state <> 'purged' THEN kb_mask_card_numbers(kb_fail_topup.failure) END
	FROM account a
	WHERE p.account_id = kb_fail_topup.account_id AND p.payment_id = kb_fail_topup.payment_id AND p.settled_at IS NULL
		AND a.account_id = p.account_id;
END;
COMMENT ON FUNCTION kb_fail_topup(bigint, bigint, text) IS
'Notes that a payment failed or expired at the provider, and why, with card numbers masked (T10). It changes nothing if the '
'payment has been credited (T9); if it is confirmed after the failure, it is credited all the same. '
'Errors: KB001; KB006 if the account has no such payment';

CREATE FUNCTION kbilling.kb_unsettled_payments(older_than interval = '15 minutes', newer_than interval = '3 days',
											   max integer = 1000, after_account bigint = NULL, after_payment bigint = NULL,
											   settled_newer_than interval = '0')
	RETURNS TABLE (account_id bigint, payment_id bigint, amount kb_money, begun_at timestamptz, expires_at timestamptz,
				   status kb_payment_status)
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
BEGIN ATOMIC
	SELECT kb_require_not_null('older_than, newer_than, max, settled_newer_than', $1, $2, $3, $6);
	SELECT CASE
		WHEN $3 NOT BETWEEN 1 AND 1000
			THEN kb_raise('22023', format('max is %s', $3), 'It may be 1 to 1000.', 'Read more of them page by page.')
		END;
	SELECT s.account_id, s.payment_id, s.amount, s.begun_at, s.expires_at, s.status
	FROM payment_status s
	-- the first for the index
	WHERE s.begun_at > kb_now() - greatest($2, $6) AND s.begun_at <= kb_now() - $1
		AND s.begun_at > kb_now() - CASE WHEN s.status = 'settled' THEN $6 ELSE $2 END
		AND ($4 IS NULL OR s.account_id > $4 OR s.account_id = $4 AND s.payment_id > $5)
	ORDER BY s.account_id, s.payment_id
	LIMIT $3;
END;
COMMENT ON FUNCTION kb_unsettled_payments(interval, interval, integer, bigint, bigint, interval) IS
'The payments that were begun in a time of the past and are not settled: pending, failed or expired. A job asks the '
'provider what has become of them, as reports get lost, and a failed one may be paid after all (T9). They come by account '
'and payment, up to "max" (1 to 1000) of them; "after_account" and "after_payment" are the last of the page before. '
'With "settled_newer_than", settled ones that were begun since then are among them, for providers that have to be asked of '
'refunds, too. '
'Errors: 22023 if "max" is out of range';
