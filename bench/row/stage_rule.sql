-- what: the stage from two dates, a million rows
-- ours: kb_access_stage(date, date)
-- floor: date - date
-- twin: the same rule in plpgsql
-- mode: statement
-- case: rows=1000000
-- per: rows
-- goal: cpu ours / floor <= 1.1
-- goal: cpu twin / ours >= 5

-- == setup
\i twin/stage.sql
CREATE TABLE bench.debt AS SELECT date '2026-11-01' + (i % 20)::integer AS since FROM generate_series(1, :rows) i;
VACUUM ANALYZE bench.debt;

-- == floor
SELECT count(since - date '2026-11-15') FROM bench.debt;

-- == twin
SELECT count(twin.stage(since, date '2026-11-15')) FROM bench.debt;

-- == ours
SELECT count(kbilling.kb_access_stage(since, date '2026-11-15')) FROM bench.debt;
