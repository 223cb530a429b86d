-- Accounts for the benchmarks, and the same rows in bare tables, which are the floor.  Needs -v accounts=N.
SET client_min_messages = warning;
SET kbilling.clock = '2026-10-15 12:00+00';
CREATE EXTENSION kbilling;
SELECT kbilling.kb_create_tariff('bench', 'USD');
SELECT kbilling.kb_set_price('bench', 'base', '19.00');
SELECT kbilling.kb_create_service(s, 'recurring') FROM unnest('{crm,seat}'::text[]) s;
SELECT kbilling.kb_set_price('bench', 'crm', '7.50'), kbilling.kb_set_price('bench', 'seat', '4.00 each');

INSERT INTO kbilling.account (account_id, created_at, currency, balance, unspent_bonus, charged_through, closure_check_on,
	tariff_from, tariff, time_zone)
SELECT i, kbilling.kb_now(), 'USD', '0 USD', '0 USD', '2026-09-30', '2026-11-25', '2026-10-01', 'bench', 'UTC'
FROM generate_series(1, :accounts) i;
INSERT INTO kbilling.subscription (account_id, service, from_date, quantity)
SELECT i, 'crm', '2026-10-01', 1 FROM generate_series(1, :accounts) i;
INSERT INTO kbilling.subscription (account_id, service, from_date, quantity)
SELECT i, 'seat', '2026-10-01', 1 + i % 5 FROM generate_series(1, :accounts) i;

-- The floor: the same columns, keys and fill factor, without kbilling's types, rules and triggers.
CREATE TABLE bare_account (
	account_id bigint PRIMARY KEY, created_at timestamptz NOT NULL, last_seq bigint NOT NULL, balance bigint NOT NULL,
	unspent_bonus bigint NOT NULL, debt_since date, deferred_until date, charged_through date NOT NULL, tariff_from date NOT NULL,
	delete_on date, stage_check_on date, closure_check_on date, last_notice_no bigint NOT NULL,
	terms_version integer NOT NULL, state text NOT NULL, last_hash bytea, currency text NOT NULL,
	tariff text NOT NULL, time_zone text NOT NULL
) WITH (fillfactor = 80);
INSERT INTO bare_account
SELECT account_id, created_at, last_seq, 0, 0, debt_since, deferred_until, charged_through, tariff_from,
	   delete_on, stage_check_on, closure_check_on, last_notice_no, terms_version, state::text, last_hash, currency, tariff, time_zone
FROM kbilling.account;
CREATE INDEX ON bare_account (time_zone, charged_through, account_id);
CREATE INDEX ON bare_account (time_zone, stage_check_on, account_id) WHERE stage_check_on IS NOT NULL;
CREATE INDEX ON bare_account (time_zone, closure_check_on, account_id) WHERE closure_check_on IS NOT NULL;
CREATE TABLE bare_entry (
	account_id bigint NOT NULL, seq bigint NOT NULL, posted_at timestamptz NOT NULL, amount bigint NOT NULL, balance_after bigint NOT NULL,
	bonus_after bigint NOT NULL, paid bigint, ref_seq bigint, effective_on date NOT NULL, debt_since date, period date, kind text NOT NULL,
	method text, key text NOT NULL, member text, posted_by text NOT NULL, memo text, hash bytea NOT NULL, lines jsonb,
	PRIMARY KEY (account_id, seq), UNIQUE (account_id, key)
);
CREATE TABLE bare_notice (
	account_id bigint NOT NULL, notice_no bigint NOT NULL, written_at timestamptz NOT NULL, due_at timestamptz,
	leased_until timestamptz, delivered_at timestamptz,
	parked_at timestamptz, tries integer NOT NULL DEFAULT 0, kind text NOT NULL, stage_before text, stage text,
	occasion text NOT NULL, last_error text, facts jsonb,
	PRIMARY KEY (account_id, notice_no), UNIQUE (account_id, kind, occasion)
);
CREATE INDEX ON bare_notice (due_at, account_id, notice_no) WHERE due_at IS NOT NULL;
VACUUM ANALYZE;
