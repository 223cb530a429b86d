/*
 * Telling sessions, which keep what policies and tariffs say, that it has changed.
 */

CREATE FUNCTION kbilling_internal.kb_tell_policy_change() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'kb_tell_policy_change';
COMMENT ON FUNCTION kb_tell_policy_change() IS
'Trigger function for kbilling.policy and kbilling.tariff: has all sessions read them anew. It changes nothing';

-- Always, as rows may come by replication.  New rows need nothing: that there is none is not kept.
CREATE TRIGGER policy_changed AFTER UPDATE OR DELETE ON policy
	FOR EACH ROW EXECUTE FUNCTION kb_tell_policy_change();
ALTER TABLE kbilling.policy ENABLE ALWAYS TRIGGER policy_changed;

CREATE TRIGGER tariff_changed AFTER UPDATE OR DELETE ON tariff
	FOR EACH ROW EXECUTE FUNCTION kb_tell_policy_change();
ALTER TABLE kbilling.tariff ENABLE ALWAYS TRIGGER tariff_changed;
