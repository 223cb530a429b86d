-- Top-ups as a careful application writes them in plpgsql: the row is locked, the reference credits once (T3), the bonus (T5), the
-- chain of hashes (J5), the debt and its stage (S1, S2), the notice (N1). It looks for card numbers by length alone.
\ir stage.sql
CREATE TYPE twin.topup_result AS (
	entry_seq bigint, bonus_seq bigint, credited bigint, bonus bigint, balance bigint, stage_before text, stage_after text, replayed boolean
);

-- The stage of a debt today, by the policy of the account's tariff
CREATE FUNCTION twin.stage_today(a twin.account, debt_since date, today date) RETURNS text LANGUAGE plpgsql STABLE
AS $$
DECLARE
	p twin.policy;
BEGIN
	IF debt_since IS NULL THEN
		RETURN 'ok';
	END IF;
	SELECT y.* INTO STRICT p FROM twin.tariff t JOIN twin.policy y USING (policy) WHERE t.tariff = a.tariff;
	RETURN twin.stage(debt_since, a.deferred_until, today, p.remind_day, p.restrict_day, p.block_day);
END $$;

CREATE FUNCTION twin.apply_topup(the_account bigint, the_amount bigint, the_method text, the_reference text)
	RETURNS twin.topup_result LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a twin.account;
	r twin.topup_result;
	today date;
	tier_percent numeric;
	first_hash bytea;
	new_hash bytea;
BEGIN
	IF the_account IS NULL OR the_amount IS NULL OR the_method IS NULL OR the_reference IS NULL THEN
		RAISE 'an argument is null' USING ERRCODE = '22004';
	ELSIF the_amount <= 0 THEN
		RAISE 'a top-up must be above zero' USING ERRCODE = 'KB005';
	ELSIF NOT EXISTS (SELECT FROM twin.payment_method m WHERE m.method = the_method) THEN
		RAISE 'there is no payment method %', the_method USING ERRCODE = '22023';
	ELSIF octet_length(the_reference) NOT BETWEEN 1 AND 255 OR starts_with(the_reference, 'bonus:') THEN
		RAISE 'reference must have 1 to 255 bytes, and not begin with "bonus:"' USING ERRCODE = '22023';
	ELSIF the_reference ~ '[3-6]([ -]?\d){12}' THEN
		RAISE 'a text that may hold a card number is refused' USING ERRCODE = 'KB008';
	END IF;

	SELECT * INTO a FROM twin.account x WHERE x.account_id = the_account FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE 'there is no account %', the_account USING ERRCODE = 'KB001';
	END IF;
	today := (now() AT TIME ZONE a.time_zone)::date;
	r.stage_before := twin.stage_today(a, a.debt_since, today);
	r.entry_seq := a.last_seq + 1;
	r.credited := the_amount;
	r.bonus := 0;
	r.balance := a.balance + the_amount;
	r.replayed := false;
	first_hash := sha256(coalesce(a.last_hash, '') || convert_to(concat_ws('|', the_account, r.entry_seq, 'topup', the_amount, r.balance,
		a.unspent_bonus, a.debt_since, today, now(), the_reference, the_method, session_user), 'UTF8'));
	new_hash := first_hash;

	INSERT INTO twin.entry (account_id, seq, posted_at, amount, balance_after, bonus_after, effective_on, debt_since, kind, method, key,
		posted_by, hash)
	VALUES (the_account, r.entry_seq, now(), the_amount, r.balance, a.unspent_bonus, today, CASE WHEN r.balance < 0 THEN a.debt_since END,
		'topup', the_method, the_reference, session_user, first_hash)
	ON CONFLICT (account_id, key) DO NOTHING;
	IF NOT FOUND THEN
		RETURN twin.replayed_topup(the_account, the_amount, the_method, the_reference);
	END IF;

	IF r.balance > 0 THEN
		SELECT t.percent INTO tier_percent FROM twin.bonus_tier t
		WHERE t.tariff = a.tariff AND t.min_amount <= least(the_amount, r.balance) AND t.from_date <= today AND t.to_date > today
		ORDER BY t.min_amount DESC, t.from_date DESC LIMIT 1;
		r.bonus := coalesce(round(least(the_amount, r.balance) * tier_percent / 100), 0);
	END IF;
	IF r.bonus > 0 THEN
		r.bonus_seq := r.entry_seq + 1;
		r.balance := r.balance + r.bonus;
		new_hash := sha256(first_hash || convert_to(concat_ws('|', the_account, r.bonus_seq, 'bonus', r.bonus, r.balance,
			a.unspent_bonus + r.bonus, today, now(), r.entry_seq), 'UTF8'));
		INSERT INTO twin.entry (account_id, seq, posted_at, amount, balance_after, bonus_after, effective_on, kind, key, posted_by, ref_seq,
			hash)
		VALUES (the_account, r.bonus_seq, now(), r.bonus, r.balance, a.unspent_bonus + r.bonus, today, 'bonus', 'bonus:' || r.bonus_seq,
			session_user, r.entry_seq, new_hash);
	END IF;

	r.stage_after := twin.stage_today(a, CASE WHEN r.balance < 0 THEN a.debt_since END, today);
	INSERT INTO twin.notice (account_id, notice_no, written_at, due_at, kind, stage_before, stage, occasion)
	VALUES (the_account, a.last_notice_no + 1, now(), now(), 'topup_received', r.stage_before, r.stage_after, r.entry_seq::text);
	UPDATE twin.account x
	SET balance = r.balance, unspent_bonus = a.unspent_bonus + r.bonus, last_seq = coalesce(r.bonus_seq, r.entry_seq),
		last_hash = new_hash, debt_since = CASE WHEN r.balance < 0 THEN a.debt_since END,
		stage_check_on = CASE WHEN r.balance < 0 THEN a.stage_check_on END,
		closure_check_on = CASE WHEN r.balance <= 0 THEN coalesce(a.closure_check_on, today) ELSE a.closure_check_on END,
		last_notice_no = a.last_notice_no + 1
	WHERE x.account_id = the_account;
	RETURN r;
END $$;

-- The first result of a reference, if it stands for the same
CREATE FUNCTION twin.replayed_topup(the_account bigint, the_amount bigint, the_method text, the_reference text)
	RETURNS twin.topup_result LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	e twin.entry;
	r twin.topup_result;
BEGIN
	SELECT * INTO STRICT e FROM twin.entry x WHERE x.account_id = the_account AND x.key = the_reference;
	IF (e.kind, e.amount, e.method) IS DISTINCT FROM ('topup', the_amount, the_method) THEN
		RAISE 'reference % stands for something else', the_reference USING ERRCODE = 'KB006';
	END IF;
	SELECT e.seq, b.seq, e.amount, coalesce(b.amount, 0), coalesce(b.balance_after, e.balance_after), 'ok', 'ok', true INTO r
	FROM (SELECT) one LEFT JOIN twin.entry b ON b.account_id = the_account AND b.seq = e.seq + 1 AND b.kind = 'bonus';
	RETURN r;
END $$;
