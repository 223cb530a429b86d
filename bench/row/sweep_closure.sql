-- what: a sweep with one closure due
-- ours: kb_sweep
-- mode: statement
-- case: accounts=20000
-- goal: cpu ours <= 5 ms

-- == setup
-- On each day from 4 May on one account has been idle for long enough; nothing else is due on these days.
SELECT kb_set_policy('slow', '{"notice_days": 300, "reminder_days": [1]}'), kb_create_tariff('slow', 'USD', policy => 'slow');
SET kbilling.clock = '2026-03-01 12:00+00';
CALL bench.make_accounts(:accounts, 1, tariff => 'slow');
UPDATE kbilling.account
SET closure_check_on = CASE WHEN account_id <= 25 THEN date '2026-05-03' + account_id::integer ELSE '2027-01-01' END;
SET kbilling.clock = '2026-05-02 12:00+00';
CALL kbilling.kb_sweep();

-- == before
SELECT set_config('kbilling.clock', date '2026-05-04' + :round || ' 12:00+00', false) AS clock;

-- == ours
CALL kbilling.kb_sweep();
