-- The twin of kb_apply_topup: the same rule by hand, in plpgsql, over the bare tables of setup.sql.  Load it after them, and call
--   SELECT * FROM twin_apply_topup(:account, :amount, 'card', 'pi_' || :key);
CREATE TABLE twin_method (method text PRIMARY KEY);
INSERT INTO twin_method VALUES ('card'), ('google_pay'), ('apple_pay'), ('bank_transfer'), ('manual');
CREATE TABLE twin_bonus_tier (
	tariff text NOT NULL, min_amount bigint NOT NULL, from_date date NOT NULL, to_date date NOT NULL, percent numeric NOT NULL,
	PRIMARY KEY (tariff, min_amount, from_date)
);
CREATE TABLE twin_policy (
	tariff text PRIMARY KEY, remind_day integer NOT NULL, restrict_day integer NOT NULL, block_day integer NOT NULL
);
INSERT INTO twin_policy VALUES ('bench', 4, 7, 10);

-- S2, S4
CREATE FUNCTION twin_stage(debt_since date, deferred_until date, today date, tariff text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	p twin_policy;
	day integer;
BEGIN
	IF debt_since IS NULL THEN
		RETURN 'ok';
	END IF;
	SELECT * INTO STRICT p FROM twin_policy t WHERE t.tariff = twin_stage.tariff;
	day = today - debt_since + 1;
	RETURN CASE
		WHEN day < p.remind_day OR deferred_until >= today THEN 'grace'
		WHEN day < p.restrict_day THEN 'remind'
		WHEN day < p.block_day THEN 'restrict'
		ELSE 'blocked' END;
END $$;

CREATE FUNCTION twin_apply_topup(account_id bigint, amount bigint, method text, reference text, OUT entry_seq bigint,
	OUT bonus_seq bigint, OUT credited bigint, OUT bonus bigint, OUT balance bigint, OUT stage_before text, OUT stage_after text,
	OUT replayed boolean)
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a bare_account;
	known bare_entry;
	today date;
	debt date;
	unspent bigint;
	topup_hash bytea;
	new_hash bytea;
BEGIN
	IF account_id IS NULL OR amount IS NULL OR method IS NULL OR reference IS NULL THEN
		RAISE 'an argument is null' USING ERRCODE = '22004';
	ELSIF amount <= 0 THEN
		RAISE 'a top-up must be above zero' USING ERRCODE = 'KB005';
	ELSIF octet_length(reference) NOT BETWEEN 1 AND 255 OR starts_with(reference, 'kb:') THEN
		RAISE 'invalid reference' USING ERRCODE = '22023';
	ELSIF reference ~ '[3-6](?:[ -]?[0-9]){12}' THEN
		RAISE 'the reference may hold a card number' USING ERRCODE = 'KB008';
	ELSIF NOT EXISTS (SELECT FROM twin_method m WHERE m.method = twin_apply_topup.method) THEN
		RAISE 'unknown method' USING ERRCODE = '22023';
	END IF;

	SELECT * INTO a FROM bare_account b WHERE b.account_id = twin_apply_topup.account_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE 'no such account' USING ERRCODE = 'KB001';
	END IF;
	today = (now() AT TIME ZONE a.time_zone)::date;
	credited = amount;
	bonus = 0;
	stage_before = CASE WHEN a.debt_since IS NULL THEN 'ok' ELSE twin_stage(a.debt_since, a.deferred_until, today, a.tariff) END;

	SELECT * INTO known FROM bare_entry e WHERE e.account_id = a.account_id AND e.key = reference;
	IF FOUND THEN
		IF (known.kind, known.amount, known.method) IS DISTINCT FROM ('topup', twin_apply_topup.amount, twin_apply_topup.method) THEN
			RAISE 'the reference is in use' USING ERRCODE = 'KB006';
		END IF;
		entry_seq = known.seq;
		balance = known.balance_after;
		stage_after = stage_before;
		replayed = true;
		RETURN;
	END IF;

	-- T5: what is left after the debt earns it
	SELECT round((amount + least(a.balance, 0)) * t.percent / 100) INTO bonus FROM twin_bonus_tier t
	WHERE t.tariff = a.tariff AND t.min_amount <= amount + least(a.balance, 0) AND t.from_date <= today AND t.to_date > today
	ORDER BY t.min_amount DESC, t.from_date DESC LIMIT 1;
	bonus = coalesce(bonus, 0);

	entry_seq = a.last_seq + 1;
	balance = a.balance + amount;
	debt = CASE WHEN balance < 0 THEN a.debt_since END;
	unspent = least(a.unspent_bonus, greatest(balance, 0));
	-- J5
	topup_hash = sha256(coalesce(a.last_hash, '') || convert_to(concat_ws('|', a.account_id, entry_seq, 'topup', amount, balance, unspent,
		coalesce(debt::text, '-'), today, now(), reference, method, session_user), 'UTF8'));
	new_hash = topup_hash;
	INSERT INTO bare_entry (account_id, seq, posted_at, amount, balance_after, bonus_after, effective_on, debt_since, kind, method, key,
		posted_by, hash)
	VALUES (a.account_id, entry_seq, now(), amount, balance, unspent, today, debt, 'topup', method, reference, session_user, topup_hash);
	IF bonus > 0 THEN
		bonus_seq = entry_seq + 1;
		balance = balance + bonus;
		unspent = unspent + bonus;
		new_hash = sha256(topup_hash || convert_to(concat_ws('|', a.account_id, bonus_seq, 'bonus', bonus, balance, unspent,
			coalesce(debt::text, '-'), today, now(), 'kb:bonus:' || entry_seq, entry_seq, session_user), 'UTF8'));
		INSERT INTO bare_entry (account_id, seq, posted_at, amount, balance_after, bonus_after, ref_seq, effective_on, debt_since, kind,
			key, posted_by, hash)
		VALUES (a.account_id, bonus_seq, now(), bonus, balance, unspent, entry_seq, today, debt, 'bonus', 'kb:bonus:' || entry_seq,
			session_user, new_hash);
	END IF;
	stage_after = CASE WHEN debt IS NULL THEN 'ok' ELSE twin_stage(debt, a.deferred_until, today, a.tariff) END;
	UPDATE bare_account b
	SET balance = twin_apply_topup.balance, unspent_bonus = unspent, last_seq = coalesce(bonus_seq, entry_seq),
		last_hash = new_hash, debt_since = debt, stage_check_on = CASE WHEN debt IS NOT NULL THEN b.stage_check_on END,
		closure_check_on = CASE WHEN twin_apply_topup.balance <= 0 THEN coalesce(b.closure_check_on, today) ELSE b.closure_check_on END,
		last_notice_no = b.last_notice_no + 1
	WHERE b.account_id = a.account_id;
	INSERT INTO bare_notice (account_id, notice_no, written_at, due_at, kind, stage_before, stage, occasion)
	VALUES (a.account_id, a.last_notice_no + 1, now(), now(), 'topup_received', stage_before, stage_after, entry_seq::text);
	replayed = false;
END $$;
