/*
 * What is called in kbilling for an account, and cannot be passed on as it is.
 */

CREATE FUNCTION kbilling_router_internal.kb_has_account_on(account_id bigint) RETURNS boolean
	LANGUAGE plproxy
	AS $$
		CLUSTER 'kbilling_shards';
		RUN ON kbilling_router_internal.kb_partition($1);
		SELECT EXISTS (SELECT FROM kbilling.account a WHERE a.account_id = $1);
	$$;
COMMENT ON FUNCTION kb_has_account_on(bigint) IS 'Whether the account is on its shard';

-- Numbers that the application has brought itself are passed over, as kbilling.kb_create_account does.
CREATE FUNCTION kbilling_router_internal.kb_draw_account_id() RETURNS bigint
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling_router_internal, kbilling, pg_temp
BEGIN ATOMIC
	WITH RECURSIVE pick (id, is_taken) AS (
		SELECT d.id, kb_has_account_on(d.id) FROM (SELECT nextval('kbilling.account_id_seq') AS id OFFSET 0) d
		UNION ALL
		SELECT d.id, kb_has_account_on(d.id) FROM (SELECT nextval('kbilling.account_id_seq') AS id FROM pick p WHERE p.is_taken OFFSET 0) d
	)
	SELECT id FROM pick WHERE NOT is_taken;
END;
COMMENT ON FUNCTION kb_draw_account_id() IS 'A number from the router''s kbilling.account_id_seq that no account has';

CREATE FUNCTION kbilling_router_internal.kb_create_account_on(owner text, tariff text, account_id bigint, time_zone text,
															  email text, created_at timestamptz)
	RETURNS bigint
	LANGUAGE plproxy SET DateStyle = ISO
	AS $$
		CLUSTER 'kbilling_shards';
		RUN ON kbilling_router_internal.kb_partition($3);
		TARGET kbilling.kb_create_account;
	$$;
COMMENT ON FUNCTION kb_create_account_on(text, text, bigint, text, text, timestamptz) IS
'kbilling.kb_create_account on the shard of the number';

CREATE FUNCTION kbilling_router.kb_create_account(owner text, tariff text, account_id bigint = NULL, time_zone text = NULL,
												  email text = NULL, created_at timestamptz = NULL)
	RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT kb_create_account_on($1, $2, coalesce($3, kb_draw_account_id()), $4, $5, $6);
END;
COMMENT ON FUNCTION kbilling_router.kb_create_account(text, text, bigint, text, text, timestamptz) IS
'kbilling.kb_create_account on the shard that is to have the account. A number that is left out is drawn from '
'kbilling.account_id_seq here, on the router. The account is committed there at once: a rollback here undoes nothing';

CREATE FUNCTION kbilling_router_internal.kb_record_usage_batch_on(partitions integer[], batches jsonb[]) RETURNS SETOF bigint
	LANGUAGE plproxy
	AS $$
		CLUSTER 'kbilling_shards';
		SPLIT partitions, batches;
		RUN ON partitions;
		SELECT kbilling.kb_record_usage_batch(($2)[1]);
	$$;
COMMENT ON FUNCTION kb_record_usage_batch_on(integer[], jsonb[]) IS
'kbilling.kb_record_usage_batch, a batch for each shard';

-- What names no account goes where account 0 would be, to be refused there in kbilling's words.
CREATE FUNCTION kbilling_router_internal.kb_batch_partition(account_id jsonb) RETURNS integer
	LANGUAGE sql STABLE
RETURN (SELECT p FROM kb_partition(CASE WHEN jsonb_typeof($1) <> 'number' THEN NULL
									   WHEN $1::numeric BETWEEN 1 AND 9223372036854775807 THEN $1::bigint END) p);
COMMENT ON FUNCTION kb_batch_partition(jsonb) IS
'The number of the shard for an event of a batch, from its field "account_id"';

CREATE FUNCTION kbilling_router.kb_record_usage_batch(events jsonb) RETURNS bigint
	LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT sum(n.counted)::bigint
	FROM (SELECT array_agg(b.partition_no ORDER BY b.partition_no) AS partitions, array_agg(b.batch ORDER BY b.partition_no) AS batches
		  FROM (SELECT kb_batch_partition(e.event->'account_id') AS partition_no, jsonb_agg(e.event ORDER BY e.n) AS batch
				FROM jsonb_array_elements(CASE jsonb_typeof($1) WHEN 'array' THEN $1 END) WITH ORDINALITY e (event, n)
				GROUP BY 1
				UNION ALL
				-- no array, or an empty one
				SELECT kb_batch_partition(NULL), $1
				WHERE CASE jsonb_typeof($1) WHEN 'array' THEN jsonb_array_length($1) = 0 ELSE true END) b) s
	CROSS JOIN LATERAL kb_record_usage_batch_on(s.partitions, s.batches) n (counted);
END;
COMMENT ON FUNCTION kbilling_router.kb_record_usage_batch(jsonb) IS
'kbilling.kb_record_usage_batch, split by the shards of the accounts. Each shard records its events all or none, and '
'commits by itself: after an error, those of other shards may have been recorded. Send the whole batch again, as a key '
'counts once. An error that says which event it is counts those of its shard';
