-- What the demo comes to, a line for each sum, to be compared: of one server, or of all shards, by the search_path.
SELECT 'accounts: ' || state AS what, count(*)::text AS value FROM account GROUP BY state
UNION ALL
SELECT 'stage ' || stage || ', accounts and debt', count(*) || ', ' || coalesce(sum(kb_amount(amount_due)), 0)
FROM account_status GROUP BY stage
UNION ALL
SELECT kind || ', entries and sum', count(*) || ', ' || sum(kb_amount(amount)) FROM entry GROUP BY kind
UNION ALL
SELECT 'ledger: ' || ledger_account, kb_amount(balance)::text FROM trial_balance
UNION ALL
SELECT 'closures: ' || step, count(*)::text FROM closure_step GROUP BY step
UNION ALL
SELECT 'notices: ' || kind, count(*)::text FROM notice GROUP BY kind
UNION ALL
SELECT 'orders recorded', sum(quantity)::text FROM usage_total
UNION ALL
-- each has the hash before it, and those of all entries
SELECT 'last hash of every account', md5(string_agg(concat_ws(' ', account_id, last_seq, last_hash), ',' ORDER BY account_id))
FROM account
ORDER BY what;
