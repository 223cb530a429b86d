-- What posts for one account and what posts for many have the same rules: accounts that are charged by the statement for many, and
-- their doubles, of which the same sum is taken by a posting for one.

SET search_path = kbilling, public;
SELECT no_plan();
SET kbilling.clock = '2027-01-05 12:00+00';
SELECT setseed(0.4)
\g /dev/null
SELECT kb_create_tariff('paid', 'USD'), kb_create_tariff('free', 'USD'), kb_set_price('paid', 'base', '19.00'),
	kb_set_bonus('paid', '30 USD', 80), kb_set_bonus('free', '30 USD', 80),
	kb_set_bonus('paid', '50 USD', 60, valid_days => 400), kb_set_bonus('free', '50 USD', 60, valid_days => 400)
\g /dev/null
SELECT kb_create_account('ann', t, i + copy, (ARRAY['UTC', 'Europe/Kyiv', 'America/New_York'])[1 + i % 3])
FROM generate_series(101, 200) AS i, (VALUES ('paid', 0), ('free', 1000)) AS c (t, copy)
\g /dev/null
INSERT INTO activity SELECT account_id, '2099-01-01' FROM account ON CONFLICT (account_id) DO UPDATE SET active_at = excluded.active_at;

-- Random top-ups, credits and deferrals of both copies, on some day of the month
CREATE PROCEDURE pg_temp.live(at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
	amount kb_money;
	days int;
	priority int;
BEGIN
	FOR id IN 101..200 LOOP
		PERFORM set_config('kbilling.clock', (at + floor(random() * 25) * interval '1 day')::text, false);
		amount = kb_money((1 + floor(random() * 6000) / 100)::numeric, 'USD');
		days = 1 + floor(random() * 40);
		priority = (ARRAY[10, 50, 90])[1 + floor(random() * 3)];
		IF random() < 0.5 THEN
			PERFORM kb_apply_topup(i, amount, 'card', 'paid ' || at) FROM unnest(ARRAY[id, id + 1000]) AS i;
		ELSIF random() < 0.4 THEN
			-- good until the play is over: of what expires, one has used more than the other
			PERFORM kb_grant_credit(i, amount, 'credit ' || at, 'a gift',
					CASE WHEN days % 4 > 0 THEN date '2028-01-01' + days % 4 END, priority)
				FROM unnest(ARRAY[id, id + 1000]) AS i;
		ELSIF random() < 0.4 THEN
			PERFORM kb_defer(i, kb_now()::date + days, 'support', 'asked')
				FROM unnest(ARRAY[id, id + 1000]) AS i;
		END IF;
	END LOOP;
END $$;
CREATE PROCEDURE pg_temp.play(month date) LANGUAGE plpgsql AS $$
BEGIN
	CALL pg_temp.live(month + time '12:00' AT TIME ZONE 'UTC');
	PERFORM set_config('kbilling.clock', (month + interval '1 month 15 hours')::text || '+00', false);
	COMMIT;
	CALL kb_sweep();
	PERFORM kb_adjust(e.account_id + 1000, e.amount, 'double ' || e.key, 'as the other') FROM entry AS e
	WHERE e.kind = 'charge' AND e.period = month AND e.account_id <= 1000;
	COMMIT;
	CALL kb_sweep();
END $$;
CALL pg_temp.play('2027-01-01');
CALL pg_temp.play('2027-02-01');
CALL pg_temp.play('2027-03-01');
CALL pg_temp.play('2027-04-01');
CALL pg_temp.play('2027-05-01');
SELECT cmp_ok((SELECT count(*) FROM entry WHERE kind = 'charge' AND debt_since IS NOT NULL AND account_id > 100), '>', 100::bigint,
	'J2: charges by the statement for many have made and kept debts');
SELECT cmp_ok((SELECT count(*) FROM entry WHERE kind = 'charge' AND bonus_after > 0 AND account_id > 100), '>', 20::bigint,
	'J2: and spent bonus');
SELECT cmp_ok((SELECT count(*) FROM entry WHERE kind = 'charge' AND lots IS NOT NULL AND account_id > 100), '>', 20::bigint,
	'G2: and credit that expires, or has a priority');
CREATE TEMP VIEW double AS
	SELECT account_id % 1000 AS id, account_id > 1000 AS doubled,
		to_jsonb(e) - '{account_id,kind,key,period,memo,lines,hash}'::text[] AS stored
	FROM entry AS e WHERE account_id > 100
	UNION ALL
	SELECT account_id % 1000, account_id > 1000, to_jsonb(a) - '{account_id,tariff,last_hash,last_notice_no}'::text[]
	FROM account AS a WHERE account_id > 100;
SELECT is_empty('(SELECT id, stored FROM double WHERE doubled EXCEPT ALL SELECT id, stored FROM double WHERE NOT doubled)
	UNION ALL (SELECT id, stored FROM double WHERE NOT doubled EXCEPT ALL SELECT id, stored FROM double WHERE doubled)',
	'J2, T6, S1: a posting for one writes the same, to the last field');
SELECT is_empty('SELECT * FROM kb_check()', 'J5: and the same hashes, but for what differs');
SELECT * FROM finish();
