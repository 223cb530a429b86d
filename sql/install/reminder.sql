/*
 * Reminders of a closure (D2, D7): which one is due, over values.
 */

CREATE FUNCTION kbilling_internal.kb_next_reminder(scheduled_on date, delete_on date, today date, reminder_days integer[], reminded integer,
												   OUT reminder integer, OUT deletion_on date, OUT next_on date)
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_next_reminder';
COMMENT ON FUNCTION kb_next_reminder(date, date, date, integer[], integer) IS
'What is to be done about a closure today (D2, D7), where "reminded" is the smallest of the reminders that were '
'given (NULL: none). It returns the reminder to give now; the day of the deletion, moved if the last reminder comes '
'too late for it; and the day to look again ("next_on"), NULL if the deletion is due';
