-- The database that each row's is a copy of: kbilling with a price list, and the same tables twice more, without kbilling's types,
-- rules and triggers: "bare" is the floor, "twin" is for the careful implementation in plpgsql.
SET client_min_messages = warning;
CREATE EXTENSION kbilling;
SET search_path = kbilling;

-- Accounts of "bench" stay, whether they are used or not; those of "idle" are closed by the standard policy.
SELECT kb_set_policy('lasting', '{"close_unused": false}');
SELECT kb_create_tariff('bench', 'USD', policy => 'lasting'), kb_create_tariff('idle', 'USD');
SELECT kb_create_service('service_' || i, 'recurring') FROM generate_series(1, 29) i;
SELECT kb_create_service('orders', 'metered');
SELECT kb_set_price('bench', 'base', '19.00', '2020-01-01'), kb_set_price('bench', 'orders', '0.50 each free 3', '2020-01-01');
SELECT kb_set_price('bench', 'service_' || i, (CASE i % 2 WHEN 1 THEN '7.50' ELSE '4.00 each' END)::kb_price, '2020-01-01')
FROM generate_series(1, 29) i;

CREATE SCHEMA bare;
CREATE TABLE bare.account (
	account_id bigint PRIMARY KEY, created_at timestamptz NOT NULL, last_seq bigint NOT NULL, balance bigint NOT NULL,
	unspent_bonus bigint NOT NULL, debt_since date, deferred_until date, charged_through date NOT NULL, tariff_from date NOT NULL,
	delete_on date, stage_check_on date, closure_check_on date, last_notice_no bigint NOT NULL,
	terms_version integer NOT NULL, state text NOT NULL, last_hash bytea, currency text NOT NULL,
	tariff text NOT NULL, time_zone text NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX ON bare.account (time_zone, charged_through, account_id);
CREATE INDEX ON bare.account (time_zone, stage_check_on, account_id) WHERE stage_check_on IS NOT NULL;
CREATE INDEX ON bare.account (time_zone, closure_check_on, account_id) WHERE closure_check_on IS NOT NULL;
CREATE TABLE bare.entry (
	account_id bigint NOT NULL, seq bigint NOT NULL, posted_at timestamptz NOT NULL, amount bigint NOT NULL, balance_after bigint NOT NULL,
	bonus_after bigint NOT NULL, paid bigint, ref_seq bigint, effective_on date NOT NULL, debt_since date, period date, kind text NOT NULL,
	method text, key text NOT NULL, member text, posted_by text NOT NULL, memo text, hash bytea NOT NULL, lines jsonb,
	PRIMARY KEY (account_id, seq), UNIQUE (account_id, key)
);
CREATE TABLE bare.notice (
	account_id bigint NOT NULL, notice_no bigint NOT NULL, written_at timestamptz NOT NULL, due_at timestamptz,
	leased_until timestamptz, delivered_at timestamptz,
	parked_at timestamptz, tries integer NOT NULL DEFAULT 0, kind text NOT NULL, stage_before text, stage text,
	occasion text NOT NULL, last_error text, facts jsonb,
	PRIMARY KEY (account_id, notice_no), UNIQUE (account_id, kind, occasion)
);
CREATE INDEX ON bare.notice (due_at, account_id, notice_no) WHERE due_at IS NOT NULL;
CREATE TABLE bare.usage_event (
	account_id bigint NOT NULL, service text NOT NULL, key text NOT NULL, at timestamptz NOT NULL, quantity numeric NOT NULL,
	properties jsonb, PRIMARY KEY (account_id, service, key)
);
CREATE TABLE bare.usage_total (
	account_id bigint, period date, service text, events bigint NOT NULL, quantity numeric NOT NULL, counted_at timestamptz NOT NULL,
	PRIMARY KEY (account_id, period, service)
) WITH (fillfactor = 70);

CREATE SCHEMA twin;
CREATE TABLE twin.account (LIKE bare.account INCLUDING ALL);
ALTER TABLE twin.account SET (fillfactor = 80);
CREATE TABLE twin.entry (LIKE bare.entry INCLUDING ALL);
CREATE TABLE twin.notice (LIKE bare.notice INCLUDING ALL);
CREATE TABLE twin.usage_event (LIKE bare.usage_event INCLUDING ALL);
CREATE TABLE twin.usage_total (LIKE bare.usage_total INCLUDING ALL);
ALTER TABLE twin.usage_total SET (fillfactor = 70);
CREATE TABLE twin.policy (policy text PRIMARY KEY, remind_day integer, restrict_day integer, block_day integer);
INSERT INTO twin.policy VALUES ('lasting', 4, 7, 10);
CREATE TABLE twin.tariff (tariff text PRIMARY KEY, policy text NOT NULL);
INSERT INTO twin.tariff VALUES ('bench', 'lasting');
CREATE TABLE twin.bonus_tier (
	tariff text, min_amount bigint, from_date date, to_date date, percent numeric NOT NULL, PRIMARY KEY (tariff, min_amount, from_date)
);
CREATE TABLE twin.payment_method (method text PRIMARY KEY);
INSERT INTO twin.payment_method VALUES ('card'), ('google_pay'), ('apple_pay'), ('bank_transfer'), ('manual');

-- Makes accounts, all alike, in the three sets of tables: as old as the clock says, with so many lines to charge, and so much money.
CREATE SCHEMA bench;
CREATE PROCEDURE bench.make_accounts(accounts bigint, lines integer = 3, balance kb_money = '0 USD', tariff text = 'bench')
	LANGUAGE sql
AS $$
	INSERT INTO kbilling.account (account_id, created_at, currency, balance, unspent_bonus, charged_through, tariff_from, closure_check_on,
		tariff, time_zone)
	SELECT i, kb_now(), 'USD', balance, '0 USD', kb_now()::date - 1, kb_now()::date, kb_now()::date + 41, tariff, 'UTC'
	FROM generate_series(1, accounts) i;
	INSERT INTO kbilling.member (account_id, member, role) SELECT i, 'owner', 'owner' FROM generate_series(1, accounts) i;
	INSERT INTO kbilling.subscription (account_id, service, from_date, quantity)
	SELECT i, 'service_' || line, kb_now()::date, 1 + i % 5 FROM generate_series(1, accounts) i, generate_series(1, lines - 1) line;
	INSERT INTO bare.account
	SELECT account_id, created_at, last_seq, kb_minor(balance), 0, debt_since, deferred_until, charged_through, tariff_from,
		   delete_on, stage_check_on, closure_check_on, last_notice_no, terms_version, state::text, last_hash, currency, tariff, time_zone
	FROM kbilling.account;
	INSERT INTO twin.account TABLE bare.account;
$$;

-- Records so many orders of an account, in calls of 10,000.
CREATE PROCEDURE bench.use(account_id bigint, events bigint) LANGUAGE sql
AS $$
	SELECT count(kb_record_usage_batch(call.events))
	FROM (SELECT jsonb_agg(jsonb_build_object('account_id', use.account_id, 'service', 'orders', 'quantity', 1, 'key', i::text)) AS events
		  FROM generate_series(1, use.events) i GROUP BY i / 10000) call;
$$;
